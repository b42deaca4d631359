/* All of systemd that oodd speaks. Built without libsystemd, or not started by systemd, each call does nothing. */
#ifndef OODD_SYSTEMD_H
#define OODD_SYSTEMD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

/* sd_notify's assignments, one a line: "READY=1\nSTATUS=…". */
void oodd_systemd_notify(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Seconds within which the watchdog wants to be fed; 0: it does not. */
double oodd_systemd_watchdog(void);

/* How many sockets were handed over, the first in *first. The variables that say so are removed. */
size_t oodd_systemd_sockets(int *first);

/* Standard error is the journal's. */
bool oodd_systemd_has_journal(void);
/* One entry; fields are "NAME=value". False: it could not be written. */
bool oodd_systemd_journal(const struct iovec *fields, size_t count);

#endif
