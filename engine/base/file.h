/* The only caller of open, read, write, sync and rename. */
#ifndef OOD_BASE_FILE_H
#define OOD_BASE_FILE_H

#include "base/memory.h"

struct ood_bytes { unsigned char *data; size_t size; };
void ood_bytes_free(struct ood_bytes *bytes);

/* The whole file (regular files and pipes), followed by one zero byte that `size` does not count. More than `limit`
 * bytes: OOD_LIMIT. Errors begin with the path. `out` is freed by ood_bytes_free. */
bool ood_file_read(const char *path, size_t limit, struct ood_bytes *out, struct ood_error *err) OOD_MUST_CHECK;

/* One file: written beside its target under a temporary name, synced, renamed, the folder synced. */
bool ood_file_write(const char *path, const void *data, size_t size, struct ood_error *err) OOD_MUST_CHECK;

/* Behind what is there, in one write; the file is made where there is none. Not synced. */
bool ood_file_append(const char *path, const void *data, size_t size, struct ood_error *err) OOD_MUST_CHECK;

struct ood_folder_file { const char *name; const void *data; size_t size; };

/* A folder of files, all or nothing: written under a temporary name beside `path`, synced, then put in place with one
 * rename (an existing folder is exchanged and removed). `path`'s parent must exist. */
bool ood_folder_write(const char *path, const struct ood_folder_file *files, size_t count,
                      struct ood_error *err) OOD_MUST_CHECK;

/* Names in a folder, sorted by byte, without "." and "..". Freed by ood_names_free. */
struct ood_names { char **items; size_t count; };
bool ood_folder_names(const char *path, struct ood_names *out, struct ood_error *err) OOD_MUST_CHECK;
void ood_names_free(struct ood_names *names);

/* A regular file: one that can be read again. */
bool ood_is_file(const char *path);
bool ood_is_folder(const char *path);

#endif
