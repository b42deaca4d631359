/* The safetensors format (Hugging Face): 8 bytes of header length, little endian; a JSON header; the tensors' bytes. Only
 * what bundles and checkpoints need: F32, F64 and I64, at most 8 dimensions, a header of at most 1 MiB. */
#ifndef OOD_BUNDLE_SAFETENSORS_H
#define OOD_BUNDLE_SAFETENSORS_H

#include "base/file.h"

enum ood_safetensors_type { OOD_SAFETENSORS_F32, OOD_SAFETENSORS_F64, OOD_SAFETENSORS_I64 };

#define OOD_SAFETENSORS_RANK 8

struct ood_safetensors_entry {
    const char *name;
    enum ood_safetensors_type type;
    size_t rank, shape[OOD_SAFETENSORS_RANK];
    const void *data;             /* little endian, perhaps unaligned (reading); elements in row order */
    size_t count;                 /* elements: the product of shape */
};

struct ood_safetensors {
    struct ood_safetensors_entry *entries;      /* sorted by name */
    size_t count;
    char **metadata;                            /* key, value, key, value … */
    size_t metadata_count;                      /* pairs */
};

/* Checks everything: header, types, shapes against lengths, and that the tensors fill the rest without gap or overlap.
 * Names and metadata are copied, data points into `bytes`. Freed by ood_safetensors_free. */
bool ood_safetensors_read(const void *bytes, size_t size, struct ood_safetensors *out, struct ood_error *err) OOD_MUST_CHECK;
void ood_safetensors_free(struct ood_safetensors *tensors);

/* NULL: none of that name. */
const struct ood_safetensors_entry *ood_safetensors_find(const struct ood_safetensors *tensors, const char *name);
const char *ood_safetensors_metadata(const struct ood_safetensors *tensors, const char *key);

/* A copy of a tensor that must be there with this type and rank; shape[i] = 0 takes any length and is set, else it must be
 * that. Freed by ood_free. "NAME: found …, expected …". */
void *ood_safetensors_take(const struct ood_safetensors *tensors, const char *name, enum ood_safetensors_type type,
                           size_t rank, size_t *shape, struct ood_error *err) OOD_MUST_CHECK;

/* The file's bytes: the same tensors and metadata always give the same. Entries in any order (8-byte types are stored first,
 * then by name), data in the machine's order; `count` is not read. */
bool ood_safetensors_write(const struct ood_safetensors_entry *entries, size_t count, const char *const *metadata,
                           size_t metadata_count, struct ood_bytes *out, struct ood_error *err) OOD_MUST_CHECK;

#endif
