/* The only caller of malloc and free. Sizes are multiplied with overflow checked. Everything returned is zeroed. */
#ifndef OOD_BASE_MEMORY_H
#define OOD_BASE_MEMORY_H

#include "base/error.h"

/* count * size bytes, zeroed; NULL and OOD_OUT_OF_MEMORY on failure. A zero product gives one byte. */
void *ood_alloc(size_t count, size_t size, struct ood_error *err) OOD_MUST_CHECK;

#define ood_new(type, err) ((type *)ood_alloc(1, sizeof(type), (err)))
#define ood_new_array(type, count, err) ((type *)ood_alloc((count), sizeof(type), (err)))

/* 64-byte aligned (a cache line, an AVX-512 vector), zeroed; freed by ood_free. */
void *ood_alloc_aligned(size_t count, size_t size, struct ood_error *err) OOD_MUST_CHECK;

/* Grows *pointer (NULL at first) so that it holds at least `needed` elements; *capacity is kept by this call. New
 * elements are zeroed. On failure *pointer is unchanged and still the caller's. */
bool ood_grow(void *pointer, size_t *capacity, size_t needed, size_t size, struct ood_error *err) OOD_MUST_CHECK;

char *ood_strdup(const char *text, struct ood_error *err) OOD_MUST_CHECK;
char *ood_strndup(const char *text, size_t length, struct ood_error *err) OOD_MUST_CHECK;

/* printf into fresh memory. */
char *ood_format(struct ood_error *err, const char *format, ...) OOD_MUST_CHECK __attribute__((format(printf, 2, 3)));

void ood_free(void *pointer);

/* The contents of memory from ood_alloc are not wanted any more: whole pages of it go back to the system and read as anything until written
 * again. The block is still to be freed. */
void ood_forget(void *memory, size_t size);

/* Pages that free left between what stays go back to the system; for when much was freed and what stays will stay long. */
void ood_memory_trim(void);

/* a * b and a + b into *out; false on overflow (no error is set: the caller knows the sentence). */
static inline bool ood_mul_size(size_t a, size_t b, size_t *out) { return !__builtin_mul_overflow(a, b, out); }
static inline bool ood_add_size(size_t a, size_t b, size_t *out) { return !__builtin_add_overflow(a, b, out); }

/* A pool: small blocks that live and die together (a graph's names, nodes, attributes). Blocks are zeroed and 16-byte
 * aligned. Zero the struct before the first use. `limit` bytes in all, 0: none. */
struct ood_pool {
    struct ood_pool_block *blocks;
    size_t used, limit;
};
void *ood_pool_alloc(struct ood_pool *pool, size_t count, size_t size, struct ood_error *err) OOD_MUST_CHECK;
char *ood_pool_strndup(struct ood_pool *pool, const char *text, size_t length, struct ood_error *err) OOD_MUST_CHECK;
void ood_pool_free(struct ood_pool *pool);

#endif
