/* What the tests of this room share: files of tests/data as bytes, lines of its tables, hashes of pixels. */
#ifndef OOD_TESTS_PICTURE_SAMPLE_H
#define OOD_TESTS_PICTURE_SAMPLE_H

#include "check.h"

#include "base/file.h"
#include "base/hash.h"
#include "picture/picture.h"

static inline struct ood_bytes sample_read(const char *path)
{
    struct ood_error err = { 0 };
    struct ood_bytes bytes = { 0 };
    check_ok(ood_file_read(path, (size_t)64 << 20, &bytes, &err));
    return bytes;
}

/* tests/data/samples/NAME */
static inline struct ood_bytes sample(const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "samples/%s", name);
    return sample_read(check_data(path));
}

/* A sample's pixels. Freed by ood_picture_free. */
static inline struct ood_picture sample_picture(const char *name)
{
    struct ood_error err = { 0 };
    struct ood_bytes bytes = sample(name);
    struct ood_picture picture = { 0 };
    if (!ood_picture_decode(bytes.data, bytes.size, &(struct ood_decode_limits){ 0 }, &picture, &err))
        fail_msg("%s: %s", name, err.message);
    ood_bytes_free(&bytes);
    return picture;
}

/* The lines of a table of tests/data/picture, comment lines left out, each cut at its tabs. */
#define SAMPLE_FIELDS 20
struct sample_table { struct ood_bytes text; char *at; };

static inline struct sample_table sample_table(const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "picture/%s", name);
    struct sample_table table = { sample_read(check_data(path)), NULL };
    table.at = (char *)table.text.data;
    return table;
}

static inline bool sample_line(struct sample_table *table, char *fields[SAMPLE_FIELDS], size_t *count)
{
    while (*table->at == '#')
        table->at = strchr(table->at, '\n') + 1;
    if (*table->at == '\0')
        return false;
    *count = 0;
    for (char *end = table->at; *count < SAMPLE_FIELDS; table->at = end + 1) {
        fields[(*count)++] = table->at;
        end = table->at + strcspn(table->at, "\t\n");
        bool last = *end == '\n';
        *end = '\0';
        if (last) {
            table->at = end + 1;
            return true;
        }
    }
    fail_msg("a line of too many fields: %s", fields[0]);
    return false;
}

#endif
