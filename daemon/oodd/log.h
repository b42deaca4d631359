/* Messages and the access log: one write a line, to standard error, a file, or the journal. Any thread. */
#ifndef OODD_LOG_H
#define OODD_LOG_H

#include "configuration.h"

/* Before the first message: where to and how. file "": standard error. */
bool oodd_log_open(enum oodd_log_format format, const char *file, struct ood_error *err) OOD_MUST_CHECK;
/* What is written from now on. */
void oodd_log_level(enum oodd_log_level level, bool access);
/* Opens the file again, after it was renamed; nothing without a file. */
bool oodd_log_reopen(struct ood_error *err) OOD_MUST_CHECK;

void oodd_log(enum oodd_log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

struct oodd_access {
    const char *client, *method, *path, *request_id;
    const char *model;                       /* NULL: none */
    size_t items, bytes;                     /* of the request; of the answer's body */
    unsigned status;                         /* 0: nobody was there to answer */
    double seconds;
};
void oodd_log_access(const struct oodd_access *access);

#endif
