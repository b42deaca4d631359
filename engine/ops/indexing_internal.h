/* Indices computed on the way of a request: read from int64 or int32, counted from the end where negative. What points outside its
 * dimension cannot be refused any more: it picks no element, and the result there is NaN (float32) or 0. */
#ifndef OOD_OPS_INDEXING_INTERNAL_H
#define OOD_OPS_INDEXING_INTERNAL_H

#include "plan/builder.h"

/* Index i of data; false where it is outside a dimension of `dim`. */
static inline bool ood_index_at(const void *data, enum ood_type type, size_t i, size_t dim, size_t *out)
{
    int64_t index = type == OOD_INT64 ? ((const int64_t *)data)[i] : ((const int32_t *)data)[i];
    if (index < -(int64_t)dim || index >= (int64_t)dim)
        return false;
    *out = (size_t)(index < 0 ? index + (int64_t)dim : index);
    return true;
}

/* `count` elements that were not picked. */
void ood_index_missing(void *to, enum ood_type type, size_t count);

/* Indices must be int64 or int32. */
bool ood_index_type(const struct ood_node *node, const struct ood_value *indices, struct ood_error *err) OOD_MUST_CHECK;

#endif
