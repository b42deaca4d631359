/* Folders, lists and shards of pictures, one after the other. Names are gathered when a source is opened; pictures are
 * not read here, except those in shards, where the order is the file's. */
#include "daemon/oodctl/sources.h"

#include <string.h>

#include "picture/picture.h"

#define LIST_BYTES ((size_t)1 << 30)

struct entry { char *path, *id, *label; };           /* a picture's file, or a shard (id NULL) */

struct ctl_source {
    struct entry *entries;
    size_t count, capacity, next;
    struct ctl_shard *shard;                 /* the one being read */
    struct ctl_keys *only;
    size_t skipped;
    bool shards;                             /* entries are shards */
};

static bool is_picture_name(const char *name)
{
    return name[0] != '.' && ood_picture_name(name);
}

static bool add_entry(struct ctl_source *source, char *path, char *id, const char *label, struct ood_error *err)
{
    char *copy = NULL;
    if (path == NULL || (id == NULL && !source->shards) || (label != NULL && (copy = ood_strdup(label, err)) == NULL) ||
        !ood_grow(&source->entries, &source->capacity, source->count + 1, sizeof *source->entries, err)) {
        ood_free(path);
        ood_free(id);
        ood_free(copy);
        return false;
    }
    source->entries[source->count++] = (struct entry){ path, id, copy };
    return true;
}

/* The pictures of DIR/<class>. */
static bool add_class(struct ctl_source *source, const char *folder, const char *class, struct ood_error *err)
{
    struct ood_names names;
    bool done = true;
    char *path = ood_format(err, "%s/%s", folder, class);
    if (path == NULL)
        return false;
    if (!ood_folder_names(path, &names, err)) {
        ood_free(path);
        return false;
    }
    for (size_t i = 0; i < names.count && done; i++)
        if (is_picture_name(names.items[i])) {
            char *file = ood_format(err, "%s/%s", path, names.items[i]);
            char *id = file != NULL ? ood_format(err, "%s/%s", class, names.items[i]) : NULL;
            done = add_entry(source, file, id, class, err);
        } else
            source->skipped++;
    ood_names_free(&names);
    ood_free(path);
    return done;
}

/* What a folder holds decides what it is: shards, whatever folders stand beside them; else class folders or pictures, which
 * are not guessed at where both are there. */
static bool open_folder(struct ctl_source *source, const char *folder, struct ood_error *err)
{
    struct ood_names names;
    size_t folders = 0, pictures = 0, shards = 0;
    bool done = true;
    if (!ood_folder_names(folder, &names, err))
        return false;
    char *is_folder = ood_alloc(names.count, 1, err);
    if (is_folder == NULL)
        goto fail;
    for (size_t i = 0; i < names.count; i++) {
        char *path = ood_format(err, "%s/%s", folder, names.items[i]);
        if (path == NULL)
            goto fail;
        is_folder[i] = names.items[i][0] != '.' && ood_is_folder(path);
        ood_free(path);
        folders += is_folder[i];
        pictures += !is_folder[i] && is_picture_name(names.items[i]);
        shards += !is_folder[i] && ctl_is_shard(names.items[i]);
    }
    if ((folders > 0 && shards == 0) + (pictures > 0) + (shards > 0) != 1) {
        if (folders + pictures + shards == 0)
            ood_fail(err, OOD_INVALID, "%s: holds no pictures (.jpg, .png, .webp …), class folders or shards (.tar, .tar.gz)", folder);
        else
            ood_fail(err, OOD_INVALID, "%s: holds %zu folders, %zu pictures and %zu shards side by side; name one kind", folder,
                     folders, pictures, shards);
        goto fail;
    }
    source->shards = shards > 0;
    for (size_t i = 0; i < names.count && done; i++)
        if (is_folder[i] && shards == 0)
            done = add_class(source, folder, names.items[i], err);
        else if (!is_folder[i] && (shards > 0 ? ctl_is_shard(names.items[i]) : is_picture_name(names.items[i]))) {
            char *path = ood_format(err, "%s/%s", folder, names.items[i]);
            char *id = path != NULL && shards == 0 ? ood_strdup(names.items[i], err) : NULL;
            done = add_entry(source, path, id, NULL, err);
        } else
            source->skipped++;
    if (done && source->count == 0)
        done = ood_fail(err, OOD_INVALID, "%s: its %zu folders hold no pictures (.jpg, .png, .webp …)", folder, folders);
    ood_free(is_folder);
    ood_names_free(&names);
    return done;
fail:
    ood_free(is_folder);
    ood_names_free(&names);
    return false;
}

char *ctl_line(char **next)
{
    char *line = *next;
    if (line == NULL || *line == '\0')
        return NULL;
    char *end = strchr(line, '\n');
    *next = end != NULL ? end + 1 : NULL;
    if (end != NULL)
        *end = '\0';
    size_t length = strlen(line);
    if (length > 0 && line[length - 1] == '\r')
        line[length - 1] = '\0';
    return line;
}

static bool read_text(const char *path, struct ood_bytes *text, struct ood_error *err)
{
    if (!ood_file_read(path, LIST_BYTES, text, err))
        return false;
    const char *zero = memchr(text->data, '\0', text->size);
    if (zero == NULL)
        return true;
    ood_fail(err, OOD_INVALID, "%s: a zero byte at offset %zu, expected a text", path, (size_t)(zero - (char *)text->data));
    ood_bytes_free(text);
    return false;
}

static bool open_list(struct ctl_source *source, const char *list, struct ood_error *err)
{
    struct ood_bytes text;
    if (!read_text(list, &text, err))
        return false;
    const char *slash = strrchr(list, '/');
    int folder = slash != NULL ? (int)(slash - list) + 1 : 0;
    char *next = (char *)text.data;
    bool done = true;
    for (char *line; done && (line = ctl_line(&next)) != NULL;) {
        if (*line == '\0')
            continue;
        char *label = strchr(line, '\t');
        if (label != NULL)
            *label++ = '\0';
        char *path = line[0] == '/' ? ood_strdup(line, err) : ood_format(err, "%.*s%s", folder, list, line);
        char *id = path != NULL ? ood_strdup(line, err) : NULL;
        done = add_entry(source, path, id, label, err);
    }
    ood_bytes_free(&text);
    if (done && source->count == 0)
        done = ood_fail(err, OOD_INVALID, "%s: names no pictures", list);
    return done;
}

struct ctl_source *ctl_source_open(const char *spec, struct ctl_keys *only, struct ood_error *err)
{
    struct ctl_source *source = ood_new(struct ctl_source, err);
    if (source == NULL)
        return NULL;
    source->only = only;
    bool done;
    if (spec[0] == '@')
        done = open_list(source, spec + 1, err);
    else if (ood_is_folder(spec))
        done = open_folder(source, spec, err);
    else if (ctl_is_shard(spec)) {
        source->shards = true;
        done = add_entry(source, ood_strdup(spec, err), NULL, NULL, err);
    } else {
        struct ood_bytes one;                /* is it there at all? */
        done = ood_file_read(spec, CTL_PICTURE_BYTES, &one, err);
        if (done) {
            ood_bytes_free(&one);
            done = ood_fail(err, OOD_INVALID, "%s: expected a folder, a shard (.tar, .tar.gz) or @LIST", spec);
        }
    }
    if (!done) {
        ctl_source_close(source);
        return NULL;
    }
    return source;
}

bool ctl_source_next(struct ctl_source *source, struct ctl_picture *picture, bool *end, struct ood_error *err)
{
    *end = false;
    for (;;) {
        if (source->shard != NULL) {
            bool shard_end;
            if (!ctl_shard_next(source->shard, source->only, picture, &shard_end, err))
                return false;
            if (!shard_end)
                return true;
            ctl_shard_close(source->shard);
            source->shard = NULL;
        }
        if (source->next == source->count) {
            *end = true;
            return true;
        }
        struct entry *entry = &source->entries[source->next++];
        if (source->shards) {
            source->shard = ctl_shard_open(entry->path, err);
            if (source->shard == NULL)
                return false;
        } else if (source->only == NULL || ctl_keys_take(source->only, entry->id)) {
            *picture = (struct ctl_picture){ .id = entry->id, .label = entry->label, .path = entry->path };
            *entry = (struct entry){ 0 };
            return true;
        }
    }
}

bool ctl_source_fill(struct ctl_source *source, struct ctl_keys *exclude, struct ctl_picture *pictures, size_t most, size_t *count,
                     size_t *excluded, struct ood_error *err)
{
    for (bool end = false; *count < most;) {
        struct ctl_picture *picture = &pictures[*count];
        if (!ctl_source_next(source, picture, &end, err))
            return false;
        if (end)
            break;
        if (exclude == NULL || !ctl_keys_take(exclude, picture->id)) {
            ++*count;
            continue;
        }
        ctl_picture_free(picture);
        if (excluded != NULL)
            ++*excluded;
    }
    return true;
}

size_t ctl_source_total(const struct ctl_source *source)
{
    return source->only != NULL ? ctl_keys_count(source->only) : source->shards ? 0 : source->count;
}

size_t ctl_source_skipped(const struct ctl_source *source) { return source->skipped; }

void ctl_source_close(struct ctl_source *source)
{
    if (source == NULL)
        return;
    ctl_shard_close(source->shard);
    for (size_t i = 0; i < source->count; i++) {
        ood_free(source->entries[i].path);
        ood_free(source->entries[i].id);
        ood_free(source->entries[i].label);
    }
    ood_free(source->entries);
    ood_free(source);
}

void ctl_picture_free(struct ctl_picture *picture)
{
    ood_free(picture->id);
    ood_free(picture->label);
    ood_free(picture->path);
    ood_bytes_free(&picture->bytes);
    *picture = (struct ctl_picture){ 0 };
}

bool ctl_picture_read(struct ctl_picture *picture)
{
    if (picture->error.code != OOD_OK)
        return false;
    return picture->bytes.data != NULL || ood_file_read(picture->path, CTL_PICTURE_BYTES, &picture->bytes, &picture->error);
}

/* ---- label files ---- */

bool ctl_labels_read(const char *path, struct ctl_labels *labels, struct ood_error *err)
{
    struct ood_bytes text;
    struct ctl_labels read = { 0 };
    if (!read_text(path, &text, err))
        return false;
    char *next = (char *)text.data;
    for (char *line; (line = ctl_line(&next)) != NULL;) {
        if (*line == '\0') {
            ood_fail(err, OOD_INVALID, "%s: line %zu is empty, expected a label", path, read.count + 1);
            goto fail;
        }
        for (size_t i = 0; i < read.count; i++)
            if (strcmp(read.names[i], line) == 0) {
                ood_fail(err, OOD_INVALID, "%s: lines %zu and %zu are both \"%s\"", path, i + 1, read.count + 1, line);
                goto fail;
            }
        if (!ood_grow(&read.names, &read.capacity, read.count + 1, sizeof *read.names, err))
            goto fail;
        read.names[read.count] = ood_strdup(line, err);
        if (read.names[read.count] == NULL)
            goto fail;
        read.count++;
    }
    ood_bytes_free(&text);
    *labels = read;
    return true;
fail:
    ood_bytes_free(&text);
    ctl_labels_free(&read);
    return false;
}

void ctl_labels_free(struct ctl_labels *labels)
{
    for (size_t i = 0; i < labels->count; i++)
        ood_free(labels->names[i]);
    ood_free(labels->names);
    *labels = (struct ctl_labels){ 0 };
}
