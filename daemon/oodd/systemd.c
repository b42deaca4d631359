/* The only file that knows libsystemd. */
#include "systemd.h"

#ifdef HAVE_SYSTEMD

#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-journal.h>

void oodd_systemd_notify(const char *format, ...)
{
    char state[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(state, sizeof state, format, arguments);
    va_end(arguments);
    sd_notify(0, state);
}

double oodd_systemd_watchdog(void)
{
    uint64_t microseconds = 0;
    return sd_watchdog_enabled(0, &microseconds) > 0 ? (double)microseconds * 1e-6 : 0;
}

size_t oodd_systemd_sockets(int *first)
{
    int count = sd_listen_fds(1);
    *first = SD_LISTEN_FDS_START;
    return count > 0 ? (size_t)count : 0;
}

/* JOURNAL_STREAM names the device and inode of the journal's socket: standard error may have been sent elsewhere since. */
bool oodd_systemd_has_journal(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    struct stat status;
    char own[64];
    if (stream == NULL || fstat(2, &status) != 0)
        return false;
    snprintf(own, sizeof own, "%llu:%llu", (unsigned long long)status.st_dev, (unsigned long long)status.st_ino);
    return strcmp(own, stream) == 0;
}

bool oodd_systemd_journal(const struct iovec *fields, size_t count) { return sd_journal_sendv(fields, (int)count) == 0; }

#else

void oodd_systemd_notify(const char *format, ...) { (void)format; }
double oodd_systemd_watchdog(void) { return 0; }
size_t oodd_systemd_sockets(int *first) { *first = -1; return 0; }
bool oodd_systemd_has_journal(void) { return false; }
bool oodd_systemd_journal(const struct iovec *fields, size_t count) { (void)fields, (void)count; return false; }

#endif
