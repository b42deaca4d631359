/* --only: a list of picture ids, and which of them were met. */
#include <stdlib.h>
#include <string.h>

#include "daemon/oodctl/oodctl.h"
#include "daemon/oodctl/sources.h"

struct ctl_keys {
    struct ood_bytes text;                   /* ids point into it */
    char **ids;                              /* sorted, each once */
    bool *met;
    size_t count, capacity;
};

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* From the ids in keys->ids: sorted, each once, none met. */
static bool index_ids(struct ctl_keys *keys, struct ood_error *err)
{
    qsort(keys->ids, keys->count, sizeof *keys->ids, compare);
    size_t different = 1;
    for (size_t i = 1; i < keys->count; i++)
        if (strcmp(keys->ids[i], keys->ids[different - 1]) != 0)
            keys->ids[different++] = keys->ids[i];
    keys->count = different;
    keys->met = ood_new_array(bool, different, err);
    return keys->met != NULL;
}

/* From the lines of the text. */
static bool take_lines(struct ctl_keys *keys, const char *name, struct ood_error *err)
{
    char *next = (char *)keys->text.data;
    for (char *line; (line = ctl_line(&next)) != NULL;)
        if (*line != '\0') {
            if (!ood_grow(&keys->ids, &keys->capacity, keys->count + 1, sizeof *keys->ids, err))
                return false;
            keys->ids[keys->count++] = line;
        }
    return keys->count > 0 ? index_ids(keys, err) : ood_fail(err, OOD_INVALID, "%s: names no pictures", name);
}

struct ctl_keys *ctl_keys_read(const char *path, struct ood_error *err)
{
    struct ctl_keys *keys = ood_new(struct ctl_keys, err);
    if (keys != NULL && ood_file_read(path, (size_t)1 << 30, &keys->text, err) && take_lines(keys, path, err))
        return keys;
    ctl_keys_free(keys);
    return NULL;
}

struct ctl_keys *ctl_keys_make(char *const *ids, size_t count, struct ood_error *err)
{
    struct ctl_buffer text = { 0 };
    struct ctl_keys *keys = ood_new(struct ctl_keys, err);
    bool done = keys != NULL;
    for (size_t i = 0; i < count && done; i++)
        done = ctl_append(&text, err, "%s\n", ids[i]);
    if (keys != NULL)
        keys->text = (struct ood_bytes){ (unsigned char *)text.text, text.length };
    if (done && take_lines(keys, "the list", err))
        return keys;
    ctl_keys_free(keys);
    return NULL;
}

size_t ctl_keys_count(const struct ctl_keys *keys) { return keys->count; }

bool ctl_keys_take(struct ctl_keys *keys, const char *id)
{
    char **found = bsearch(&id, keys->ids, keys->count, sizeof *keys->ids, compare);
    if (found != NULL)
        keys->met[found - keys->ids] = true;
    return found != NULL;
}

bool ctl_keys_all_met(const struct ctl_keys *keys, struct ood_error *err)
{
    size_t missing = 0, first = 0;
    for (size_t i = keys->count; i-- > 0;)
        if (!keys->met[i]) {
            missing++;
            first = i;
        }
    return missing == 0 || ood_fail(err, OOD_NOT_FOUND, "%zu of the %zu pictures named are not in the source, the first: %s",
                                    missing, keys->count, keys->ids[first]);
}

void ctl_keys_free(struct ctl_keys *keys)
{
    if (keys == NULL)
        return;
    ood_bytes_free(&keys->text);
    ood_free(keys->ids);
    ood_free(keys->met);
    ood_free(keys);
}
