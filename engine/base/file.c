/* Reading whole files, replacing files and folders so that a crash leaves the old or the new, never half. */
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"

void ood_bytes_free(struct ood_bytes *bytes)
{
    ood_free(bytes->data);
    *bytes = (struct ood_bytes){ 0 };
}

/* ---- the calls that can be made to fail; errno says why ---- */

static int open_file(const char *path, int flags)
{
    if (ood_fault_fires(OOD_FAULT_OPEN)) {
        errno = EMFILE;
        return -1;
    }
    return open(path, flags | O_CLOEXEC | O_NOCTTY, 0666);
}

static ssize_t read_some(int fd, void *data, size_t size)
{
    if (ood_fault_fires(OOD_FAULT_READ)) {
        errno = EIO;
        return -1;
    }
    ssize_t got;
    do
        got = read(fd, data, size);
    while (got < 0 && errno == EINTR);
    return got;
}

static bool write_all(int fd, const void *data, size_t size)
{
    for (const char *p = data; size > 0;) {
        if (ood_fault_fires(OOD_FAULT_WRITE)) {
            errno = ENOSPC;
            return false;
        }
        ssize_t put = write(fd, p, size);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return false;
        p += put;
        size -= (size_t)put;
    }
    return true;
}

static bool sync_fd(int fd)
{
    if (ood_fault_fires(OOD_FAULT_SYNC)) {
        errno = EIO;
        return false;
    }
    return fsync(fd) == 0;
}

static bool rename_path(const char *from, const char *to, unsigned flags)
{
    if (ood_fault_fires(OOD_FAULT_RENAME)) {
        errno = EACCES;
        return false;
    }
    return renameat2(AT_FDCWD, from, AT_FDCWD, to, flags) == 0;
}

/* ---- reading ---- */

bool ood_file_read(const char *path, size_t limit, struct ood_bytes *out, struct ood_error *err)
{
    struct stat status;
    unsigned char *data = NULL;
    size_t size = 0, capacity = 0;
    int fd = open_file(path, O_RDONLY);
    if (fd < 0)
        return ood_fail_errno(err, errno, "%s", path);
    if (fstat(fd, &status) != 0) {
        ood_fail_errno(err, errno, "%s", path);
        goto fail;
    }
    if (S_ISDIR(status.st_mode)) {
        ood_fail(err, OOD_INVALID, "%s: is a folder, expected a file", path);
        goto fail;
    }
    if (S_ISREG(status.st_mode) && (uintmax_t)status.st_size > limit)
        goto too_large;
    size_t first = S_ISREG(status.st_mode) ? (size_t)status.st_size + 1 : 65536;
    for (;;) {
        if (!ood_grow(&data, &capacity, size == 0 ? first : size + 65536, 1, err)) {
            ood_error_prefix(err, "%s", path);
            goto fail;
        }
        ssize_t got = read_some(fd, data + size, capacity - size - 1);
        if (got < 0) {
            ood_fail_errno(err, errno, "%s", path);
            goto fail;
        }
        size += (size_t)got;
        if (size > limit)
            goto too_large;
        if (got == 0)
            break;
        if (size + 1 == capacity) {             /* full: at the end, or growing? */
            unsigned char more;
            ssize_t rest = read_some(fd, &more, 1);
            if (rest < 0) {
                ood_fail_errno(err, errno, "%s", path);
                goto fail;
            }
            if (rest == 0)
                break;
            if (!ood_grow(&data, &capacity, size + 65536, 1, err)) {
                ood_error_prefix(err, "%s", path);
                goto fail;
            }
            data[size++] = more;
        }
    }
    data[size] = '\0';
    close(fd);
    *out = (struct ood_bytes){ data, size };
    return true;
too_large:
    ood_fail(err, OOD_LIMIT, "%s: larger than the limit of %zu bytes", path, limit);
fail:
    close(fd);
    ood_free(data);
    return false;
}

/* ---- writing ---- */

static bool write_new(const char *path, const void *data, size_t size, struct ood_error *err)
{
    int fd = open_file(path, O_WRONLY | O_CREAT | O_EXCL);
    if (fd < 0)
        return ood_fail_errno(err, errno, "%s", path);
    bool done = write_all(fd, data, size) && sync_fd(fd);
    int why = errno;
    if (close(fd) != 0 && done) {
        done = false;
        why = errno;
    }
    return done ? true : ood_fail_errno(err, why, "%s", path);
}

bool ood_file_append(const char *path, const void *data, size_t size, struct ood_error *err)
{
    int fd = open_file(path, O_WRONLY | O_CREAT | O_APPEND);
    if (fd < 0)
        return ood_fail_errno(err, errno, "%s", path);
    bool done = write_all(fd, data, size);
    int why = errno;
    if (close(fd) != 0 && done) {
        done = false;
        why = errno;
    }
    return done ? true : ood_fail_errno(err, why, "%s", path);
}

static bool sync_folder(const char *path, struct ood_error *err)
{
    int fd = open_file(path, O_RDONLY | O_DIRECTORY);
    if (fd < 0)
        return ood_fail_errno(err, errno, "%s", path);
    bool done = sync_fd(fd) || errno == EINVAL;      /* some file systems cannot sync a folder */
    int why = errno;
    close(fd);
    return done ? true : ood_fail_errno(err, why, "%s", path);
}

/* "a/b/c/" gives "a/b/c"; parent "a/b", or "." where there is none. */
static bool split_path(const char *path, char **trimmed, char **parent, struct ood_error *err)
{
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/')
        length--;
    *trimmed = ood_strndup(path, length, err);
    if (*trimmed == NULL)
        return false;
    const char *slash = strrchr(*trimmed, '/');
    *parent = slash == NULL ? ood_strdup(".", err)
                            : ood_strndup(*trimmed, slash == *trimmed ? 1 : (size_t)(slash - *trimmed), err);
    if (*parent == NULL) {
        ood_free(*trimmed);
        *trimmed = NULL;
    }
    return *parent != NULL;
}

bool ood_file_write(const char *path, const void *data, size_t size, struct ood_error *err)
{
    char *trimmed = NULL, *parent = NULL, *temporary = NULL;
    bool done = false, made = false;
    if (!split_path(path, &trimmed, &parent, err))
        return false;
    temporary = ood_format(err, "%s.%ld.tmp", trimmed, (long)getpid());
    if (temporary == NULL)
        goto out;
    made = true;
    if (!write_new(temporary, data, size, err))
        goto out;
    if (!rename_path(temporary, trimmed, 0)) {
        ood_fail_errno(err, errno, "%s", path);
        goto out;
    }
    made = false;
    done = sync_folder(parent, err);
out:
    if (made && !done)
        unlink(temporary);
    ood_free(temporary);
    ood_free(parent);
    ood_free(trimmed);
    return done;
}

/* A folder of plain files and nothing below. Takes no memory of ours and cannot be made to fail: it is the clean-up after
 * what failed, and a folder left behind would be in the next writer's way. */
static void remove_folder(const char *path)
{
    DIR *folder = opendir(path);
    if (folder == NULL)
        return;
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;)
        unlinkat(dirfd(folder), entry->d_name, 0);      /* "." and ".." are folders: refused */
    closedir(folder);
    rmdir(path);
}

bool ood_folder_write(const char *path, const struct ood_folder_file *files, size_t count, struct ood_error *err)
{
    char *trimmed = NULL, *parent = NULL, *temporary = NULL;
    bool done = false, made = false;
    if (!split_path(path, &trimmed, &parent, err))
        return false;
    temporary = ood_format(err, "%s.%ld.tmp", trimmed, (long)getpid());
    if (temporary == NULL)
        goto out;
    if (mkdir(temporary, 0777) != 0) {
        ood_fail_errno(err, errno, "%s", temporary);
        goto out;
    }
    made = true;
    for (size_t i = 0; i < count; i++) {
        char *file = ood_format(err, "%s/%s", temporary, files[i].name);
        bool written = file != NULL && write_new(file, files[i].data, files[i].size, err);
        ood_free(file);
        if (!written)
            goto out;
    }
    if (!sync_folder(temporary, err))
        goto out;
    bool exchanged = ood_is_folder(trimmed);
    if (!rename_path(temporary, trimmed, exchanged ? RENAME_EXCHANGE : 0)) {
        ood_fail_errno(err, errno, "%s", path);
        goto out;
    }
    made = exchanged;       /* what now stands under the temporary name is the old folder */
    done = sync_folder(parent, err);
out:
    if (made)
        remove_folder(temporary);
    ood_free(temporary);
    ood_free(parent);
    ood_free(trimmed);
    return done;
}

/* ---- folders ---- */

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

bool ood_folder_names(const char *path, struct ood_names *out, struct ood_error *err)
{
    DIR *folder = ood_fault_fires(OOD_FAULT_OPEN) ? (errno = EMFILE, NULL) : opendir(path);
    if (folder == NULL)
        return ood_fail_errno(err, errno, "%s", path);
    char **items = NULL;
    size_t count = 0, capacity = 0;
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(folder);
        if (entry == NULL && errno != 0) {
            ood_fail_errno(err, errno, "%s", path);
            goto fail;
        }
        if (entry == NULL)
            break;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (!ood_grow(&items, &capacity, count + 1, sizeof *items, err) ||
            (items[count] = ood_strdup(entry->d_name, err)) == NULL)
            goto fail;
        count++;
    }
    closedir(folder);
    if (count > 0)
        qsort(items, count, sizeof *items, by_bytes);
    *out = (struct ood_names){ items, count };
    return true;
fail:
    closedir(folder);
    ood_names_free(&(struct ood_names){ items, count });
    return false;
}

void ood_names_free(struct ood_names *names)
{
    for (size_t i = 0; i < names->count; i++)
        ood_free(names->items[i]);
    ood_free(names->items);
    *names = (struct ood_names){ 0 };
}

bool ood_is_file(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISREG(status.st_mode);
}

bool ood_is_folder(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}
