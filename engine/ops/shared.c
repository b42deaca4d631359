/* Helpers several operators share: axes, integer inputs known at load, outputs that are their input again. */
#include <string.h>

#include "ops/ops_internal.h"
#include "plan/builder.h"

bool ood_op_axis(const struct ood_node *node, int64_t axis, size_t rank, size_t *out, struct ood_error *err)
{
    int64_t dimensions = (int64_t)rank;
    if (axis < -dimensions || axis >= dimensions)
        return ood_node_fail(node, err, OOD_INVALID, "axis %lld; expected -%zu to %zu", (long long)axis, rank,
                             rank > 0 ? rank - 1 : 0);
    *out = (size_t)(axis < 0 ? axis + dimensions : axis);
    return true;
}

bool ood_op_slice_axis(const struct ood_node *node, size_t rank, size_t *axis, struct ood_error *err)
{
    *axis = OOD_FLAT;
    return ood_node_attribute(node, "axis") == NULL || ood_op_axis(node, ood_node_int(node, "axis", 0), rank, axis, err);
}

struct ood_op_slices ood_op_slices_of(const struct ood_shape *x, size_t axis)
{
    struct ood_op_slices slices = { 1, 1, 1 };
    for (size_t i = 0; i < x->rank; i++)
        *(axis == OOD_FLAT || i == axis ? &slices.count : i < axis ? &slices.outer : &slices.inner) *= (size_t)x->dims[i];
    return slices;
}

bool ood_op_type_of(int64_t number, enum ood_type *out)
{
    switch (number) {
    case 1: *out = OOD_FLOAT32; return true;
    case 6: *out = OOD_INT32; return true;
    case 7: *out = OOD_INT64; return true;
    case 9: *out = OOD_BOOL; return true;
    default: return false;
    }
}

static bool known_list(const struct ood_graph *graph, const struct ood_node *node, size_t i, const char *what, enum ood_type type,
                       size_t most, struct ood_error *err)
{
    const struct ood_value *value = ood_node_input(graph, node, i);
    if (value == NULL)
        return ood_node_fail(node, err, OOD_INVALID, "input %zu (%s) is missing", i, what);
    if (value->type != type)
        return ood_node_fail(node, err, OOD_INVALID, "input %zu (%s) is %s; expected %s", i, what, ood_type_name(value->type),
                             ood_type_name(type));
    if (value->constant == NULL)
        return ood_node_fail(node, err, OOD_UNSUPPORTED, "input %zu (%s, \"%s\") is not known at load", i, what, value->name);
    if (value->shape.rank > 1 || value->constant->count > most)
        return ood_node_fail(node, err, OOD_INVALID, "input %zu (%s) has %zu dimensions and %zu elements; expected 1 and at most %zu",
                             i, what, value->shape.rank, value->constant->count, most);
    return true;
}

bool ood_op_known_ints(const struct ood_graph *graph, const struct ood_node *node, size_t i, const char *what, size_t most,
                       const int64_t **values, size_t *count, struct ood_error *err)
{
    if (!known_list(graph, node, i, what, OOD_INT64, most, err))
        return false;
    *values = ood_i64(ood_node_input(graph, node, i)->constant);
    *count = ood_node_input(graph, node, i)->constant->count;
    return true;
}

bool ood_op_known_floats(const struct ood_graph *graph, const struct ood_node *node, size_t i, const char *what, size_t most,
                         const float **values, size_t *count, struct ood_error *err)
{
    if (!known_list(graph, node, i, what, OOD_FLOAT32, most, err))
        return false;
    *values = ood_f32(ood_node_input(graph, node, i)->constant);
    *count = ood_node_input(graph, node, i)->constant->count;
    return true;
}

bool ood_op_has_batch_numbers(const struct ood_tensor *tensor)
{
    for (size_t i = 0; tensor != NULL && tensor->type == OOD_INT64 && i < tensor->count; i++)
        if (ood_dim_is_batch(ood_i64(tensor)[i]))
            return true;
    return false;
}

bool ood_op_set_known(struct ood_graph *graph, const struct ood_node *node, struct ood_tensor *tensor, struct ood_error *err)
{
    if (tensor == NULL)
        return false;
    if (node->outputs[0] != OOD_NONE && ood_graph_set_output(graph, node, 0, tensor->type, &tensor->shape, err))
        return ood_graph_set_constant(graph, node->outputs[0], tensor, err);
    ood_tensor_free(tensor);
    return node->outputs[0] == OOD_NONE;                      /* nobody asked for it */
}

bool ood_op_lower_known(struct ood_builder *builder, const struct ood_node *node, struct ood_error *err)
{
    (void)builder, (void)node, (void)err;
    return true;
}

struct ood_tensor *ood_op_evaluate_same(const struct ood_graph *graph, const struct ood_node *node,
                                        const struct ood_tensor *const *inputs, struct ood_error *err)
{
    const struct ood_value *value = &graph->values[node->outputs[0]];
    struct ood_tensor *output = ood_tensor_new(value->type, &value->shape, err);
    if (output != NULL && output->count > 0)
        memcpy(output->data, inputs[0]->data, output->count * ood_type_size(output->type));
    return output;
}

bool ood_op_lower_alias(struct ood_builder *builder, const struct ood_node *node, struct ood_error *err)
{
    return ood_builder_alias(builder, node->outputs[0], node->inputs[0], err);
}
