/* Tar and tar.gz shards in WebDataset naming, by libarchive: a sample is the run of members that share a key, which is the
 * name up to the first dot of its last part. Members are read up to stated sizes, whatever their headers say. */
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "daemon/oodctl/oodctl.h"
#include "daemon/oodctl/sources.h"
#include "picture/picture.h"

#define LABEL_BYTES 256
#define NAME_BYTES 4096
#define BLOCK 65536

/* What a shard may unpack to. Pictures hardly shrink, their headers and labels do: tiny PNGs with labels pack to a fifth. */
#define UNPACKED_LEAST ((uint64_t)256 << 20)
#define UNPACKED_RATIO 100

struct ctl_shard {
    char *path, *name;                       /* name: the file's, without .tar or .tar.gz */
    struct archive *archive;
    uint64_t unpacked_most;
    struct archive_entry *entry;             /* read ahead: begins the next sample */
    bool end;
    char *key;                               /* of the sample being gathered */
    bool wanted;
    struct ctl_picture sample;
};

static size_t ending(const char *name)
{
    static const char *const endings[] = { ".tar", ".tar.gz", ".tgz" };
    size_t length = strlen(name);
    for (size_t i = 0; i < 3; i++) {
        size_t n = strlen(endings[i]);
        if (length > n && strcasecmp(name + length - n, endings[i]) == 0)
            return n;
    }
    return 0;
}

bool ctl_is_shard(const char *name)
{
    const char *base = ctl_base_name(name);
    return base[0] != '.' && ending(base) > 0;
}

static bool fail_archive(const struct ctl_shard *shard, struct ood_error *err)
{
    const char *why = archive_error_string(shard->archive);
    return ood_fail(err, archive_errno(shard->archive) == ENOENT ? OOD_NOT_FOUND : OOD_INVALID, "%s: %s", shard->path,
                    why != NULL ? why : "cannot be read as a tar archive");
}

/* By the size of the file; a pipe has none, and only the least. */
static uint64_t unpacked_most(const char *path)
{
    struct stat status;
    uint64_t most;
    if (stat(path, &status) != 0 || status.st_size <= 0)
        return UNPACKED_LEAST;
    if (__builtin_mul_overflow((uint64_t)status.st_size, UNPACKED_RATIO, &most))
        return UINT64_MAX;
    return most > UNPACKED_LEAST ? most : UNPACKED_LEAST;
}

/* Asked at each member's header, before its bytes are read or passed over: a few megabytes of gzip can hold terabytes. */
static bool check_unpacked(const struct ctl_shard *shard, struct ood_error *err)
{
    int64_t so_far = archive_filter_bytes(shard->archive, 0), stated = archive_entry_size(shard->entry);
    uint64_t sum = so_far > 0 ? (uint64_t)so_far : 0;
    if (!__builtin_add_overflow(sum, stated > 0 ? (uint64_t)stated : 0, &sum) && sum <= shard->unpacked_most)
        return true;
    return ood_fail(err, OOD_LIMIT, "%s: unpacks to more than %llu MiB, the limit for a shard of its size (%d times the file, at least %d MiB)",
                    shard->path, (unsigned long long)(shard->unpacked_most >> 20), UNPACKED_RATIO, (int)(UNPACKED_LEAST >> 20));
}

struct ctl_shard *ctl_shard_open(const char *path, struct ood_error *err)
{
    struct ctl_shard *shard = ood_new(struct ctl_shard, err);
    if (shard == NULL)
        return NULL;
    const char *base = ctl_base_name(path);
    shard->path = ood_strdup(path, err);
    shard->name = shard->path != NULL ? ood_strndup(base, strlen(base) - ending(base), err) : NULL;
    if (shard->name == NULL)
        goto fail;
    shard->archive = archive_read_new();
    if (shard->archive == NULL) {
        ood_fail(err, OOD_OUT_OF_MEMORY, "%s: out of memory", path);
        goto fail;
    }
    if (archive_read_support_format_tar(shard->archive) != ARCHIVE_OK ||
        archive_read_support_filter_gzip(shard->archive) != ARCHIVE_OK ||
        archive_read_open_filename(shard->archive, path, BLOCK) != ARCHIVE_OK) {
        fail_archive(shard, err);
        goto fail;
    }
    /* libarchive unpacks gzip within gzip within gzip; each layer would multiply what a byte can become. The count takes in
     * the file itself. */
    if (archive_filter_count(shard->archive) > 2) {
        ood_fail(err, OOD_INVALID, "%s: compressed more than once", path);
        goto fail;
    }
    shard->unpacked_most = unpacked_most(path);
    return shard;
fail:
    ctl_shard_close(shard);
    return NULL;
}

/* The member's bytes, at most limit. *too_large instead of an error where there are more. */
static bool read_member(struct ctl_shard *shard, size_t limit, struct ood_bytes *out, bool *too_large, struct ood_error *err)
{
    size_t size = 0, capacity = 0;
    unsigned char *data = NULL;
    int64_t stated = archive_entry_size(shard->entry);
    *too_large = stated < 0 || (uint64_t)stated > limit;
    while (!*too_large) {
        if (!ood_grow(&data, &capacity, size == 0 ? (size_t)stated + 1 : size + BLOCK, 1, err))
            goto fail;
        la_ssize_t got = archive_read_data(shard->archive, data + size, capacity - size - 1);
        if (got < 0) {
            fail_archive(shard, err);
            goto fail;
        }
        size += (size_t)got;
        *too_large = size > limit;
        if (got == 0)
            break;
        if (size + 1 == capacity && size == (size_t)stated)
            break;
    }
    if (*too_large) {
        ood_free(data);
        return true;
    }
    data[size] = '\0';
    *out = (struct ood_bytes){ data, size };
    return true;
fail:
    ood_free(data);
    return false;
}

static bool take_label(struct ctl_shard *shard, const char *name, struct ood_error *err)
{
    struct ood_bytes text;
    bool too_large;
    if (!read_member(shard, LABEL_BYTES, &text, &too_large, err))
        return false;
    if (too_large)
        return ood_fail(err, OOD_LIMIT, "%s: %s: a label of more than %d bytes", shard->path, name, LABEL_BYTES);
    char *label = (char *)text.data, *end = label + strlen(label);
    while (end > label && strchr(" \t\r\n", end[-1]) != NULL)
        *--end = '\0';
    label += strspn(label, " \t\r\n");
    ood_free(shard->sample.label);
    shard->sample.label = *label != '\0' ? ood_strdup(label, err) : NULL;
    bool done = *label == '\0' || shard->sample.label != NULL;
    ood_bytes_free(&text);
    return done;
}

static bool take_picture(struct ctl_shard *shard, const char *name, struct ood_error *err)
{
    bool too_large;
    if (shard->sample.id != NULL)
        return ood_fail(err, OOD_INVALID, "%s: %s: a second picture under the same key", shard->path, name);
    shard->sample.id = ood_format(err, "%s/%s", shard->name, shard->key);
    if (shard->sample.id == NULL || !read_member(shard, CTL_PICTURE_BYTES, &shard->sample.bytes, &too_large, err))
        return false;
    if (too_large)
        ood_fail(&shard->sample.error, OOD_LIMIT, "%s: larger than the limit of %zu bytes", name, CTL_PICTURE_BYTES);
    return true;
}

/* Begins the sample `key` and asks whether it is wanted. */
static bool begin_sample(struct ctl_shard *shard, const char *key, size_t length, struct ctl_keys *only, struct ood_error *err)
{
    shard->key = ood_strndup(key, length, err);
    if (shard->key == NULL)
        return false;
    shard->wanted = true;
    if (only != NULL) {
        char *id = ood_format(err, "%s/%s", shard->name, shard->key);
        if (id == NULL)
            return false;
        shard->wanted = ctl_keys_take(only, id);
        ood_free(id);
    }
    return true;
}

/* The member that was read ahead. *next: it belongs to another sample than the one gathered. */
static bool take_member(struct ctl_shard *shard, struct ctl_keys *only, bool *next, struct ood_error *err)
{
    *next = false;
    const char *name = archive_entry_pathname(shard->entry);
    if (name == NULL)
        name = archive_entry_pathname_utf8(shard->entry);
    if (name == NULL || strlen(name) > NAME_BYTES)
        return ood_fail(err, OOD_INVALID, "%s: a member's name %s", shard->path, name == NULL ? "cannot be read" : "is too long");
    if (archive_entry_filetype(shard->entry) != AE_IFREG)
        return true;
    while (name[0] == '.' && name[1] == '/')
        name += 2;
    const char *slash = strrchr(name, '/'), *dot = strchr(slash != NULL ? slash : name, '.');
    if (dot == NULL || dot == name || dot[-1] == '/')
        return true;                         /* no key, or a hidden file */
    size_t length = (size_t)(dot - name);
    if (shard->key != NULL && (strlen(shard->key) != length || memcmp(shard->key, name, length) != 0)) {
        *next = true;
        return true;
    }
    if (shard->key == NULL && !begin_sample(shard, name, length, only, err))
        return false;
    if (!shard->wanted)
        return true;
    if (strcmp(dot, ".cls") == 0)
        return take_label(shard, name, err);
    if (strchr(dot + 1, '.') == NULL && ood_picture_name(dot))
        return take_picture(shard, name, err);
    return true;
}

/* Hands out the sample gathered, if it is one. */
static bool end_sample(struct ctl_shard *shard, struct ctl_picture *picture)
{
    bool whole = shard->sample.id != NULL;
    ood_free(shard->key);
    shard->key = NULL;
    if (whole)
        *picture = shard->sample;
    else
        ctl_picture_free(&shard->sample);
    shard->sample = (struct ctl_picture){ 0 };
    return whole;
}

bool ctl_shard_next(struct ctl_shard *shard, struct ctl_keys *only, struct ctl_picture *picture, bool *end, struct ood_error *err)
{
    *end = false;
    for (bool next;;) {
        if (shard->entry == NULL && !shard->end) {
            int status = archive_read_next_header(shard->archive, &shard->entry);
            if (status < ARCHIVE_WARN || status == ARCHIVE_RETRY)
                return fail_archive(shard, err);
            if (status == ARCHIVE_EOF) {
                shard->entry = NULL;
                shard->end = true;
            } else if (!check_unpacked(shard, err))
                return false;
        }
        if (shard->end) {
            *end = !end_sample(shard, picture);
            return true;
        }
        if (!take_member(shard, only, &next, err))
            return false;
        if (next) {
            if (end_sample(shard, picture))
                return true;
        } else
            shard->entry = NULL;
    }
}

void ctl_shard_close(struct ctl_shard *shard)
{
    if (shard == NULL)
        return;
    if (shard->archive != NULL)
        archive_read_free(shard->archive);
    ctl_picture_free(&shard->sample);
    ood_free(shard->key);
    ood_free(shard->name);
    ood_free(shard->path);
    ood_free(shard);
}
