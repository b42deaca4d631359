/* The configuration: one table of keys (docs/INTERFACE.md section 6) that the reader, --print-config, the sample file, the
 * manual's test and the messages all walk; and the values an oodd runs with, each with where it came from.
 *
 *     config = oodd_config_new(err)                     every key at its default
 *     oodd_config_read_file / _set / _add_bundle        in the order of the command line: later wins
 *     oodd_config_check(config, err)                    what only the whole can tell
 *
 * Reading is for one thread at a time (inih's settings are the process's); what was read is then only looked at. */
#ifndef OODD_CONFIGURATION_H
#define OODD_CONFIGURATION_H

#include <stdio.h>

#include "base/memory.h"

enum oodd_key_type {
    OODD_KEY_SIZE,                           /* size_t: decimal digits, or a word of the row that stands for 0 */
    OODD_KEY_SECONDS,                        /* double */
    OODD_KEY_BOOL,                           /* bool: true, false, yes, no, on, off, 1, 0 */
    OODD_KEY_WORD,                           /* int: the place of the value in the row's words */
    OODD_KEY_TEXT,                           /* char *: anything, "" too */
    OODD_KEY_LISTEN,                         /* char *: addresses, comma separated (address.h) */
    OODD_KEY_MODEL,                          /* model.NAME.path: a row of config->models */
};

enum oodd_key_effect { OODD_ON_RELOAD, OODD_ON_RESTART };

struct oodd_key {
    const char *name;                        /* "section.key" */
    enum oodd_key_type type;
    const char *standard;                    /* the default, as one would write it */
    const char *least, *most;                /* numbers: bounds, both allowed; else NULL */
    const char *words;                       /* WORD: "auto|direct"; SIZE: the word that stands for 0; else NULL */
    enum oodd_key_effect effect;
    size_t offset;                           /* in struct oodd_config */
    const char *help;                        /* a sentence without its stop: the sample's comment */
};

extern const struct oodd_key oodd_keys[];
extern const size_t oodd_key_count;
#define OODD_KEYS_MOST 32

enum oodd_log_format { OODD_LOG_AUTO, OODD_LOG_JOURNAL, OODD_LOG_TEXT, OODD_LOG_JSON };
enum oodd_log_level { OODD_ERROR, OODD_WARNING, OODD_INFO, OODD_DEBUG };

struct oodd_model_path { char *name, *path, *from; };

struct oodd_config {
    char *listen;
    size_t threads;
    size_t workers;                          /* 0: auto */
    size_t batch;
    int convolution;                         /* enum ood_convolution */
    char *models_directory, *default_model;
    size_t body_bytes, picture_pixels, items, queue_items, connections, connections_per_address;
    double header_seconds, body_seconds, request_seconds, drain_delay_seconds, drain_seconds;
    int log_format, log_level;
    bool log_access;
    char *log_file;
    struct oodd_model_path *models;          /* bundles of the command line first, then in the order they were named */
    size_t model_count, model_capacity, bundle_count;
    char *from[OODD_KEYS_MOST];              /* where the value came from; NULL: the default */
};

#define OODD_NAME_MOST 64
/* [A-Za-z0-9._-]{1,64}, not beginning with a dot. */
bool oodd_model_name_valid(const char *name);

struct oodd_config *oodd_config_new(struct ood_error *err) OOD_MUST_CHECK;
void oodd_config_free(struct oodd_config *config);

/* An INI file; errors begin with FILE:LINE. On failure the configuration may have taken what stood before the error. */
bool oodd_config_read_file(struct oodd_config *config, const char *path, struct ood_error *err) OOD_MUST_CHECK;
/* The same from memory; name stands for the file's in errors. */
bool oodd_config_read_text(struct oodd_config *config, const char *name, const char *text, size_t size,
                           struct ood_error *err) OOD_MUST_CHECK;
/* "section.key=value" */
bool oodd_config_set(struct oodd_config *config, const char *assignment, struct ood_error *err) OOD_MUST_CHECK;
/* A bundle of the command line: served under its folder's name. */
bool oodd_config_add_bundle(struct oodd_config *config, const char *path, struct ood_error *err) OOD_MUST_CHECK;
/* Keys that contradict each other. */
bool oodd_config_check(const struct oodd_config *config, struct ood_error *err) OOD_MUST_CHECK;

/* The value of a row as one would write it; text is the caller's, of size bytes. */
void oodd_config_value(const struct oodd_config *config, const struct oodd_key *key, char *text, size_t size);
/* Effective values with where each came from, as a file that reads back to the same values. */
void oodd_config_print(const struct oodd_config *config, FILE *file);

/* The first key that takes effect only on a restart and differs; NULL: none. */
const struct oodd_key *oodd_config_restart_key(const struct oodd_config *running, const struct oodd_config *next,
                                               const struct oodd_key *after);

#endif
