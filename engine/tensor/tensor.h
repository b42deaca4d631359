/* Dense tensors in host memory, row major, and the shapes the graph reasons with.
 *
 * A dimension is a number, or a multiple of the batch size that is not known before a plan is made: k·N is written
 * ood_batch_dim(k). Shape arithmetic in a graph (Shape, Gather, Concat, Reshape, …) carries such numbers in int64
 * tensors unchanged; ood_dim_bind turns them into plain numbers. So a graph is simplified once, for every batch. */
#ifndef OOD_TENSOR_TENSOR_H
#define OOD_TENSOR_TENSOR_H

#include "base/memory.h"

enum ood_type { OOD_FLOAT32, OOD_INT64, OOD_INT32, OOD_BOOL };

size_t ood_type_size(enum ood_type type);            /* bytes of an element: 4, 8, 4, 1 */
const char *ood_type_name(enum ood_type type);       /* "float32", "int64", "int32", "bool" */

#define OOD_MAX_RANK 8

struct ood_shape {
    size_t rank;
    int64_t dims[OOD_MAX_RANK];
};

/* ---- dimensions ---- */

#define OOD_BATCH_BASE (-(INT64_C(1) << 62))
#define OOD_BATCH_MOST (INT64_C(1) << 40)

static inline bool ood_dim_is_batch(int64_t dim) { return dim > OOD_BATCH_BASE && dim <= OOD_BATCH_BASE + OOD_BATCH_MOST; }
static inline int64_t ood_batch_dim(int64_t k) { return OOD_BATCH_BASE + k; }            /* k·N, 1 <= k <= 2^40 */
static inline int64_t ood_batch_factor(int64_t dim) { return dim - OOD_BATCH_BASE; }     /* the k of k·N */

/* The plain number for N = batch; a plain number as it is. Saturates at INT64_MAX. */
int64_t ood_dim_bind(int64_t dim, size_t batch);

/* a·b and a/b (exact) where at most one is a batch multiple (for a/b: both may be, giving a number). False: not
 * representable (batch squared, overflow, a remainder, division by zero). No error is set: the caller knows the place. */
bool ood_dim_mul(int64_t a, int64_t b, int64_t *out);
bool ood_dim_div(int64_t a, int64_t b, int64_t *out);

/* ---- shapes ---- */

struct ood_shape ood_shape_of(size_t rank, ...);     /* rank int64_t arguments */
bool ood_shape_equal(const struct ood_shape *a, const struct ood_shape *b);
bool ood_shape_has_batch(const struct ood_shape *shape);
struct ood_shape ood_shape_bind(const struct ood_shape *shape, size_t batch);

/* Number of elements as a dimension (may be a batch multiple). False on overflow or batch squared. A rank of 0 is 1. */
bool ood_shape_elements(const struct ood_shape *shape, int64_t *out);

/* The same for a shape without batch dims, as a size, limited to 2^40. */
bool ood_shape_count(const struct ood_shape *shape, size_t *out);

/* numpy's rules, right aligned. A batch dim meets an equal one or 1. False: they do not broadcast. */
bool ood_shape_broadcast(const struct ood_shape *a, const struct ood_shape *b, struct ood_shape *out);

/* "Nx3x32x32", "2Nx64", "[]" for a scalar. Truncated to size. Returns text. */
#define OOD_SHAPE_TEXT 128
const char *ood_shape_print(const struct ood_shape *shape, char text[OOD_SHAPE_TEXT]);

/* ---- tensors ---- */

/* Shape without batch dims; an int64 tensor's *values* may be batch multiples. data is 64-byte aligned if owned. */
struct ood_tensor {
    enum ood_type type;
    struct ood_shape shape;
    size_t count;          /* elements */
    void *data;
    bool owned;            /* data is freed with the tensor */
};

/* Zeroed. Freed by ood_tensor_free. */
struct ood_tensor *ood_tensor_new(enum ood_type type, const struct ood_shape *shape, struct ood_error *err) OOD_MUST_CHECK;
/* A view of the caller's memory (not freed). */
struct ood_tensor *ood_tensor_view(enum ood_type type, const struct ood_shape *shape, void *data, struct ood_error *err) OOD_MUST_CHECK;
struct ood_tensor *ood_tensor_copy(const struct ood_tensor *tensor, struct ood_error *err) OOD_MUST_CHECK;
void ood_tensor_free(struct ood_tensor *tensor);

static inline float *ood_f32(const struct ood_tensor *t) { return (float *)t->data; }
static inline int64_t *ood_i64(const struct ood_tensor *t) { return (int64_t *)t->data; }

#endif
