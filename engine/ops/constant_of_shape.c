/* ConstantOfShape: a tensor of one value, whose shape must be known at load. */
#include <string.h>

#include "ops/ops.h"
#include "ops/ops_internal.h"

#define ELEMENTS_MOST (INT64_C(1) << 24)

static bool constant_of_shape_shape(struct ood_graph *graph, const struct ood_node *node, struct ood_error *err)
{
    const struct ood_attribute *value = ood_node_attribute(node, "value");
    const struct ood_tensor *one = value != NULL && value->kind == OOD_ATTR_TENSOR ? value->tensor : NULL;
    struct ood_shape shape = { .rank = 0 };
    const int64_t *dims;
    int64_t elements;
    if (!ood_op_known_ints(graph, node, 0, "the shape", OOD_MAX_RANK, &dims, &shape.rank, err))
        return false;
    if (value != NULL && (one == NULL || one->count != 1))
        return ood_node_fail(node, err, OOD_INVALID, "attribute value is not a tensor of one element");
    for (size_t i = 0; i < shape.rank; i++)
        shape.dims[i] = dims[i];
    if (ood_shape_has_batch(&shape))
        return ood_node_fail(node, err, OOD_UNSUPPORTED, "a shape that depends on the batch");
    if (!ood_shape_elements(&shape, &elements) || elements > ELEMENTS_MOST)
        return ood_node_fail(node, err, OOD_INVALID, "a negative shape, or one of more than %lld elements", (long long)ELEMENTS_MOST);
    struct ood_tensor *tensor = ood_tensor_new(one != NULL ? one->type : OOD_FLOAT32, &shape, err);
    for (size_t i = 0, size = tensor != NULL ? ood_type_size(tensor->type) : 0; tensor != NULL && one != NULL && i < tensor->count; i++)
        memcpy((char *)tensor->data + i * size, one->data, size);
    return ood_op_set_known(graph, node, tensor, err);
}

const struct ood_op ood_op_constant_of_shape = {
    .name = "ConstantOfShape", .since = 9, .least_inputs = 1, .most_inputs = 1,
    .shape = constant_of_shape_shape, .lower = ood_op_lower_known,
};
