/* The one reader of picture sources (docs/INTERFACE.md section 1), streaming:
 *
 *     DIR/CLASS/FILE            the folder is the label; pictures end as ood_picture_name says, sorted by byte
 *     DIR                      pictures without a label
 *     SHARD.tar[.gz], .tgz     WebDataset naming: KEY.jpg (.png …) and KEY.cls (the label) side by side
 *     DIR of shards            in the order of their names; folders beside them are left out
 *     @LIST                    lines path[<TAB>label]; a path is relative to the list's folder
 *
 *     source = ctl_source_open(…)
 *     while (ctl_source_next(source, &picture, &end, err) && !end) { …; ctl_picture_free(&picture); }
 *     ctl_source_close(source) */
#ifndef OODCTL_SOURCES_H
#define OODCTL_SOURCES_H

#include "base/file.h"

#define CTL_PICTURE_BYTES ((size_t)64 << 20)       /* the most one encoded picture may have */

struct ctl_picture {
    char *id;                                /* "cat/0001.jpg"; "train-00000/000006": shard and key; the list's path */
    char *label;                             /* NULL: none */
    char *path;                              /* the file that holds it, not read yet; or NULL and */
    struct ood_bytes bytes;                  /* the picture */
    struct ood_error error;                  /* already known to be unreadable */
};
void ctl_picture_free(struct ctl_picture *picture);            /* leaves it zeroed */

/* Reads path into bytes unless they are there. False: picture->error says why. */
bool ctl_picture_read(struct ctl_picture *picture);

/* ---- which of them: a list of ids, one a line ---- */

struct ctl_keys;
struct ctl_keys *ctl_keys_read(const char *path, struct ood_error *err) OOD_MUST_CHECK;
/* From ids[count], which are copied. */
struct ctl_keys *ctl_keys_make(char *const *ids, size_t count, struct ood_error *err) OOD_MUST_CHECK;
size_t ctl_keys_count(const struct ctl_keys *keys);            /* different ones */
bool ctl_keys_take(struct ctl_keys *keys, const char *id);     /* in the list? And marks it as met */
bool ctl_keys_all_met(const struct ctl_keys *keys, struct ood_error *err) OOD_MUST_CHECK;
void ctl_keys_free(struct ctl_keys *keys);

/* ---- sources ---- */

struct ctl_source;

/* only: NULL, or the ids to take (borrowed until close). Errors begin with the source's name. */
struct ctl_source *ctl_source_open(const char *spec, struct ctl_keys *only, struct ood_error *err) OOD_MUST_CHECK;
bool ctl_source_next(struct ctl_source *source, struct ctl_picture *picture, bool *end, struct ood_error *err) OOD_MUST_CHECK;
/* Pictures into pictures[*count …] until there are `most` or the source ends; those whose ids are in `exclude` (NULL: none are) are passed over and
 * counted in *excluded (NULL: not wanted). */
bool ctl_source_fill(struct ctl_source *source, struct ctl_keys *exclude, struct ctl_picture *pictures, size_t most, size_t *count,
                     size_t *excluded, struct ood_error *err) OOD_MUST_CHECK;
size_t ctl_source_total(const struct ctl_source *source);      /* pictures, where known at once; else 0 */
size_t ctl_source_skipped(const struct ctl_source *source);    /* files that are no pictures, so far */
void ctl_source_close(struct ctl_source *source);

/* ---- one shard (shards.c) ---- */

struct ctl_shard;
bool ctl_is_shard(const char *name);         /* by its ending */
struct ctl_shard *ctl_shard_open(const char *path, struct ood_error *err) OOD_MUST_CHECK;
bool ctl_shard_next(struct ctl_shard *shard, struct ctl_keys *only, struct ctl_picture *picture, bool *end,
                    struct ood_error *err) OOD_MUST_CHECK;
void ctl_shard_close(struct ctl_shard *shard);

/* ---- label files: one name a line ---- */

struct ctl_labels { char **names; size_t count, capacity; };
bool ctl_labels_read(const char *path, struct ctl_labels *labels, struct ood_error *err) OOD_MUST_CHECK;
void ctl_labels_free(struct ctl_labels *labels);

/* The lines of a text, in place: *next is where the following one begins, NULL at the end. Line ends (also CRLF) are cut. */
char *ctl_line(char **next);

#endif
