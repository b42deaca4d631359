/* What the commands of oodctl share: the table row a command is, its options, exit statuses, messages and progress. */
#ifndef OODCTL_OODCTL_H
#define OODCTL_OODCTL_H

#include <stdio.h>

#include "base/memory.h"

/* docs/INTERFACE.md section 1. */
enum ctl_status {
    CTL_DONE = 0,
    CTL_NO = 1,                              /* the answer is no: a check failed, some inputs failed, each named */
    CTL_USAGE = 2,
    CTL_INPUT = 3,                           /* the named input is bad or missing */
    CTL_SYSTEM = 4,                          /* memory, disk, permission */
};

/* ---- options ---- */

enum ctl_kind {
    CTL_FLAG,                                /* bool */
    CTL_TEXT,                                /* const char * */
    CTL_SIZE,                                /* size_t, least … most */
    CTL_NUMBER,                              /* double, least … most */
    CTL_TEXTS,                               /* struct ctl_texts: may be given several times */
};

struct ctl_texts { const char **items; size_t count, capacity; };

/* A row: parsing, ranges and --help come from it. Tables end with a row whose name is NULL. */
struct ctl_option {
    const char *name, *argument, *help;      /* argument: what --help calls it; NULL for flags */
    enum ctl_kind kind;
    size_t offset;                           /* of its field in the command's struct, which holds the default */
    double least, most;
};

struct ctl_command {
    const char *name, *operands, *summary;   /* "BUNDLE [FILE… | -]"; one line */
    const struct ctl_option *options;
    int (*run)(const struct ctl_command *command, int argc, char **argv);      /* argv[0] is the command's name */
};

extern const struct ctl_command ctl_fit, ctl_train, ctl_calibrate, ctl_eval, ctl_score, ctl_inspect, ctl_verify, ctl_bench;

/* Reads argv by the table into `fields`; *first becomes the index of the first operand. False: the command ends with
 * *status now (--help was printed, or the usage was wrong and said so). */
bool ctl_parse(const struct ctl_command *command, int argc, char **argv, void *fields, int *first, int *status);

/* Says what is wrong with the usage; returns CTL_USAGE. */
int ctl_usage(const struct ctl_command *command, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* "a,b,c" as numbers: least to most of them, or false. *count may be NULL. */
bool ctl_numbers(const char *text, size_t least, size_t most, double *numbers, size_t *count);

void ctl_version(void);

/* ---- messages, on standard error ---- */

/* The text with control characters as '?'. */
void ctl_put(FILE *file, const char *text);

/* "oodctl: WHAT: WHY"; the format is both. */
void ctl_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Says the error and gives its exit status. */
int ctl_fail(const struct ood_error *err);

/* ---- progress, on standard error: drawn on a terminal, a plain line every ten seconds elsewhere ---- */

struct ctl_progress {
    const char *what;                        /* "fit: pictures" */
    size_t total;                            /* 0: not known */
    double started, shown;
};

void ctl_progress_start(struct ctl_progress *progress, const char *what, size_t total);
void ctl_progress_at(struct ctl_progress *progress, size_t done);
/* The same with a line of the caller's: is one due, and here it is. */
bool ctl_progress_due(struct ctl_progress *progress);
void ctl_progress_line(struct ctl_progress *progress, const char *line);
void ctl_progress_end(struct ctl_progress *progress);          /* takes the line off the terminal */

/* ---- text for people ---- */

#define CTL_COUNT_TEXT 32
const char *ctl_count(size_t n, char text[CTL_COUNT_TEXT]);    /* "12,345"; returns text */
const char *ctl_base_name(const char *path);                   /* behind the last '/', trailing ones aside; "" for "/" */

/* A text that grows; zero terminated at length. */
struct ctl_buffer { char *text; size_t length, capacity; };
bool ctl_append(struct ctl_buffer *out, struct ood_error *err, const char *format, ...)
    __attribute__((format(printf, 3, 4), warn_unused_result));

#endif
