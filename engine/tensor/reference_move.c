/* Reference loops, part two: elements in other places. Bytes are copied one element at a time, whatever the type. */
#include "tensor/reference.h"

#include <math.h>
#include <string.h>

static struct ood_tensor *misfit(struct ood_error *err, const char *what)
{
    ood_fail(err, OOD_INVALID, "reference %s: the inputs do not fit together", what);
    return NULL;
}

static void index_of(const struct ood_shape *shape, size_t offset, int64_t index[OOD_MAX_RANK])
{
    for (size_t i = shape->rank; i-- > 0;) {
        index[i] = (int64_t)(offset % (size_t)shape->dims[i]);
        offset /= (size_t)shape->dims[i];
    }
}

static size_t offset_of(const struct ood_shape *shape, const int64_t index[OOD_MAX_RANK])
{
    size_t offset = 0;
    for (size_t i = 0; i < shape->rank; i++)
        offset = offset * (size_t)shape->dims[i] + (size_t)index[i];
    return offset;
}

static void copy_element(struct ood_tensor *to, size_t i, const void *from, size_t j)
{
    size_t size = ood_type_size(to->type);
    memcpy((char *)to->data + i * size, (const char *)from + j * size, size);
}

struct ood_tensor *ood_reference_transpose(const struct ood_tensor *x, const size_t order[OOD_MAX_RANK], struct ood_error *err)
{
    struct ood_shape shape = { .rank = x->shape.rank };
    for (size_t i = 0; i < shape.rank; i++)
        shape.dims[i] = x->shape.dims[order[i]];
    struct ood_tensor *y = ood_tensor_new(x->type, &shape, err);
    for (size_t i = 0; y != NULL && i < y->count; i++) {
        int64_t to[OOD_MAX_RANK], from[OOD_MAX_RANK] = { 0 };
        index_of(&shape, i, to);
        for (size_t k = 0; k < shape.rank; k++)
            from[order[k]] = to[k];
        copy_element(y, i, x->data, offset_of(&x->shape, from));
    }
    return y;
}

struct ood_tensor *ood_reference_concat(const struct ood_tensor *const *inputs, size_t count, size_t axis, struct ood_error *err)
{
    if (count == 0 || axis >= inputs[0]->shape.rank)
        return misfit(err, "concat");
    struct ood_shape shape = inputs[0]->shape;
    for (size_t i = 1; i < count; i++) {
        struct ood_shape rest = inputs[i]->shape;
        if (rest.rank != shape.rank || inputs[i]->type != inputs[0]->type)
            return misfit(err, "concat");
        shape.dims[axis] += rest.dims[axis];
        rest.dims[axis] = shape.dims[axis];
        if (!ood_shape_equal(&rest, &shape))
            return misfit(err, "concat");
    }
    struct ood_tensor *y = ood_tensor_new(inputs[0]->type, &shape, err);
    for (size_t i = 0; y != NULL && i < y->count; i++) {
        int64_t index[OOD_MAX_RANK];
        size_t which = 0;
        index_of(&shape, i, index);
        while (index[axis] >= inputs[which]->shape.dims[axis])
            index[axis] -= inputs[which++]->shape.dims[axis];
        copy_element(y, i, inputs[which]->data, offset_of(&inputs[which]->shape, index));
    }
    return y;
}

/* The index of a dimension that a padded one shows, -1 where it shows none. */
static int64_t pad_source(int64_t index, int64_t dim, enum ood_reference_pad mode)
{
    if (index >= 0 && index < dim)
        return index;
    if (mode == OOD_REFERENCE_PAD_CONSTANT || dim == 0)
        return -1;
    if (mode == OOD_REFERENCE_PAD_EDGE)
        return index < 0 ? 0 : dim - 1;
    return index < 0 ? -index : 2 * (dim - 1) - index;        /* the border itself is not repeated */
}

struct ood_tensor *ood_reference_pad(const struct ood_tensor *x, const int64_t *pads, enum ood_reference_pad mode,
                                     const void *value, struct ood_error *err)
{
    struct ood_shape shape = x->shape;
    for (size_t i = 0; i < shape.rank; i++) {
        int64_t dim = x->shape.dims[i];
        shape.dims[i] += pads[i] + pads[shape.rank + i];
        if (mode == OOD_REFERENCE_PAD_REFLECT && (pads[i] >= dim || pads[shape.rank + i] >= dim))
            return misfit(err, "pad");
    }
    struct ood_tensor *y = ood_tensor_new(x->type, &shape, err);
    for (size_t i = 0; y != NULL && i < y->count; i++) {
        int64_t index[OOD_MAX_RANK];
        bool inside = true;
        index_of(&shape, i, index);
        for (size_t k = 0; k < shape.rank; k++) {
            index[k] = pad_source(index[k] - pads[k], x->shape.dims[k], mode);
            inside = inside && index[k] >= 0;
        }
        if (inside)
            copy_element(y, i, x->data, offset_of(&x->shape, index));
        else if (value != NULL)
            copy_element(y, i, value, 0);
    }
    return y;
}

/* The indices of a Python slice, one after the other into list[dim]; how many there are. */
static int64_t slice_indices(int64_t dim, int64_t start, int64_t end, int64_t step, int64_t *list)
{
    int64_t least = step > 0 ? 0 : -1, most = step > 0 ? dim : dim - 1, count = 0;
    start = start < 0 ? start + dim : start, end = end < 0 ? end + dim : end;
    start = start < least ? least : start > most ? most : start;
    end = end < least ? least : end > most ? most : end;
    for (int64_t i = start; step > 0 ? i < end : i > end; i += step)
        list[count++] = i;
    return count;
}

struct ood_tensor *ood_reference_slice(const struct ood_tensor *x, const int64_t starts[OOD_MAX_RANK],
                                       const int64_t ends[OOD_MAX_RANK], const int64_t steps[OOD_MAX_RANK], struct ood_error *err)
{
    int64_t *lists[OOD_MAX_RANK] = { NULL };
    struct ood_shape shape = x->shape;
    struct ood_tensor *y = NULL;
    bool fine = true;
    for (size_t k = 0; fine && k < shape.rank; k++) {
        lists[k] = ood_new_array(int64_t, (size_t)x->shape.dims[k], err);
        fine = lists[k] != NULL;
        if (fine)
            shape.dims[k] = slice_indices(x->shape.dims[k], starts[k], ends[k], steps[k], lists[k]);
    }
    if (fine)
        y = ood_tensor_new(x->type, &shape, err);
    for (size_t i = 0; y != NULL && i < y->count; i++) {
        int64_t index[OOD_MAX_RANK];
        index_of(&shape, i, index);
        for (size_t k = 0; k < shape.rank; k++)
            index[k] = lists[k][index[k]];
        copy_element(y, i, x->data, offset_of(&x->shape, index));
    }
    for (size_t k = 0; k < shape.rank; k++)
        ood_free(lists[k]);
    return y;
}

struct ood_tensor *ood_reference_gather(const struct ood_tensor *x, const struct ood_tensor *indices, size_t axis,
                                        struct ood_error *err)
{
    if (axis >= x->shape.rank || x->shape.rank + indices->shape.rank - 1 > OOD_MAX_RANK)
        return misfit(err, "gather");
    size_t picked = indices->shape.rank;
    struct ood_shape shape = { .rank = x->shape.rank - 1 + picked };
    for (size_t i = 0; i < axis; i++)
        shape.dims[i] = x->shape.dims[i];
    for (size_t i = 0; i < picked; i++)
        shape.dims[axis + i] = indices->shape.dims[i];
    for (size_t i = axis + 1; i < x->shape.rank; i++)
        shape.dims[i - 1 + picked] = x->shape.dims[i];
    struct ood_tensor *y = ood_tensor_new(x->type, &shape, err);
    for (size_t i = 0; y != NULL && i < y->count; i++) {
        int64_t index[OOD_MAX_RANK], from[OOD_MAX_RANK] = { 0 };
        index_of(&shape, i, index);
        for (size_t d = 0; d < axis; d++)
            from[d] = index[d];
        size_t k = offset_of(&indices->shape, index + axis);
        int64_t at = indices->type == OOD_INT64 ? ood_i64(indices)[k] : ((const int32_t *)indices->data)[k];
        from[axis] = at < 0 ? at + x->shape.dims[axis] : at;
        for (size_t d = axis + 1; d < x->shape.rank; d++)
            from[d] = index[d - 1 + picked];
        if (from[axis] < 0 || from[axis] >= x->shape.dims[axis]) {
            ood_tensor_free(y);
            return misfit(err, "gather");
        }
        copy_element(y, i, x->data, offset_of(&x->shape, from));
    }
    return y;
}

struct ood_tensor *ood_reference_reshape(const struct ood_tensor *x, const struct ood_shape *shape, struct ood_error *err)
{
    struct ood_tensor *y = ood_tensor_new(x->type, shape, err);
    if (y != NULL && y->count != x->count) {
        ood_tensor_free(y);
        return misfit(err, "reshape");
    }
    for (size_t i = 0; y != NULL && i < y->count; i++)
        copy_element(y, i, x->data, i);
    return y;
}

static double cast_read(const struct ood_tensor *x, size_t i)
{
    switch (x->type) {
    case OOD_FLOAT32: return (double)ood_f32(x)[i];
    case OOD_INT64: return (double)ood_i64(x)[i];
    case OOD_INT32: return (double)((const int32_t *)x->data)[i];
    case OOD_BOOL: return ((const unsigned char *)x->data)[i] != 0;
    }
    return NAN;
}

/* Through double: exact for what tests hold in int64, up to 2^53. */
struct ood_tensor *ood_reference_cast(const struct ood_tensor *x, enum ood_type to, struct ood_error *err)
{
    struct ood_tensor *y = ood_tensor_new(to, &x->shape, err);
    for (size_t i = 0; y != NULL && i < y->count; i++) {
        double v = cast_read(x, i);
        switch (to) {
        case OOD_FLOAT32: ood_f32(y)[i] = (float)v; break;
        case OOD_INT64: ood_i64(y)[i] = (int64_t)v; break;
        case OOD_INT32: ((int32_t *)y->data)[i] = (int32_t)v; break;
        case OOD_BOOL: ((unsigned char *)y->data)[i] = v != 0; break;
        }
    }
    return y;
}
