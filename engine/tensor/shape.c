/* Dimensions that may be multiples of the batch, and shapes of them. */
#include "tensor/tensor.h"

#include <stdio.h>

int64_t ood_dim_bind(int64_t dim, size_t batch)
{
    if (!ood_dim_is_batch(dim))
        return dim;
    int64_t bound;
    if (batch > INT64_MAX || __builtin_mul_overflow(ood_batch_factor(dim), (int64_t)batch, &bound))
        return INT64_MAX;
    return bound;
}

static bool batch_dim(int64_t factor, int64_t *out)
{
    if (factor < 1 || factor > OOD_BATCH_MOST)
        return false;
    *out = ood_batch_dim(factor);
    return true;
}

bool ood_dim_mul(int64_t a, int64_t b, int64_t *out)
{
    int64_t product;
    if (ood_dim_is_batch(a) && ood_dim_is_batch(b))
        return false;
    if (ood_dim_is_batch(b))
        return ood_dim_mul(b, a, out);
    if (!ood_dim_is_batch(a)) {
        if (__builtin_mul_overflow(a, b, &product) || ood_dim_is_batch(product))
            return false;
        *out = product;
        return true;
    }
    if (b == 0) {
        *out = 0;
        return true;
    }
    return !__builtin_mul_overflow(ood_batch_factor(a), b, &product) && batch_dim(product, out);
}

bool ood_dim_div(int64_t a, int64_t b, int64_t *out)
{
    if (ood_dim_is_batch(a) && ood_dim_is_batch(b)) {
        int64_t ka = ood_batch_factor(a), kb = ood_batch_factor(b);
        if (ka % kb != 0)
            return false;
        *out = ka / kb;
        return true;
    }
    if (ood_dim_is_batch(b) || b == 0 || b == -1)
        return b == -1 && !ood_dim_is_batch(a) && ood_dim_mul(a, -1, out);
    if (ood_dim_is_batch(a))
        return ood_batch_factor(a) % b == 0 && batch_dim(ood_batch_factor(a) / b, out);
    if (a % b != 0)
        return false;
    *out = a / b;
    return true;
}

struct ood_shape ood_shape_of(size_t rank, ...)
{
    struct ood_shape shape = { .rank = rank };
    va_list dims;
    va_start(dims, rank);
    for (size_t i = 0; i < rank; i++)
        shape.dims[i] = va_arg(dims, int64_t);
    va_end(dims);
    return shape;
}

bool ood_shape_equal(const struct ood_shape *a, const struct ood_shape *b)
{
    if (a->rank != b->rank)
        return false;
    for (size_t i = 0; i < a->rank; i++)
        if (a->dims[i] != b->dims[i])
            return false;
    return true;
}

bool ood_shape_has_batch(const struct ood_shape *shape)
{
    for (size_t i = 0; i < shape->rank; i++)
        if (ood_dim_is_batch(shape->dims[i]))
            return true;
    return false;
}

struct ood_shape ood_shape_bind(const struct ood_shape *shape, size_t batch)
{
    struct ood_shape bound = *shape;
    for (size_t i = 0; i < bound.rank; i++)
        bound.dims[i] = ood_dim_bind(bound.dims[i], batch);
    return bound;
}

bool ood_shape_elements(const struct ood_shape *shape, int64_t *out)
{
    int64_t elements = 1;
    for (size_t i = 0; i < shape->rank; i++)
        if ((shape->dims[i] < 0 && !ood_dim_is_batch(shape->dims[i])) || !ood_dim_mul(elements, shape->dims[i], &elements))
            return false;
    *out = elements;
    return true;
}

bool ood_shape_count(const struct ood_shape *shape, size_t *out)
{
    int64_t elements;
    if (!ood_shape_elements(shape, &elements) || ood_dim_is_batch(elements) || elements > (INT64_C(1) << 40))
        return false;
    *out = (size_t)elements;
    return true;
}

bool ood_shape_broadcast(const struct ood_shape *a, const struct ood_shape *b, struct ood_shape *out)
{
    struct ood_shape result = { .rank = a->rank > b->rank ? a->rank : b->rank };
    for (size_t i = 0; i < result.rank; i++) {
        int64_t da = i + a->rank < result.rank ? 1 : a->dims[i + a->rank - result.rank];
        int64_t db = i + b->rank < result.rank ? 1 : b->dims[i + b->rank - result.rank];
        if (da != db && da != 1 && db != 1)
            return false;
        result.dims[i] = da == 1 ? db : da;
    }
    *out = result;
    return true;
}

const char *ood_shape_print(const struct ood_shape *shape, char text[OOD_SHAPE_TEXT])
{
    size_t used = 0;
    if (shape->rank == 0 || shape->rank > OOD_MAX_RANK)      /* a rank that nobody knows yet */
        snprintf(text, OOD_SHAPE_TEXT, shape->rank == 0 ? "[]" : "?");
    for (size_t i = 0; shape->rank <= OOD_MAX_RANK && i < shape->rank && used < OOD_SHAPE_TEXT; i++) {
        int64_t dim = shape->dims[i], factor = ood_dim_is_batch(dim) ? ood_batch_factor(dim) : 0;
        const char *cross = i > 0 ? "x" : "";
        int put = factor == 0   ? snprintf(text + used, OOD_SHAPE_TEXT - used, "%s%lld", cross, (long long)dim)
                  : factor == 1 ? snprintf(text + used, OOD_SHAPE_TEXT - used, "%sN", cross)
                                : snprintf(text + used, OOD_SHAPE_TEXT - used, "%s%lldN", cross, (long long)factor);
        used += put > 0 ? (size_t)put : 0;
    }
    return text;
}
