/* Constant: a value the file spells out in a node. It is known as soon as its shape is, and nothing is left to run. */
#include <string.h>

#include "ops/ops.h"
#include "ops/ops_internal.h"

static bool constant_check(const struct ood_graph *graph, const struct ood_node *node, struct ood_error *err)
{
    static const struct { const char *name; enum ood_attribute_kind kind; int since; } known[] = {
        { "value", OOD_ATTR_TENSOR, 1 },       { "value_float", OOD_ATTR_FLOAT, 12 }, { "value_floats", OOD_ATTR_FLOATS, 12 },
        { "value_int", OOD_ATTR_INT, 12 },     { "value_ints", OOD_ATTR_INTS, 12 },
    };
    (void)graph;
    if (node->attribute_count != 1)
        return ood_node_fail(node, err, OOD_INVALID, "%zu attributes; expected one, its value", node->attribute_count);
    const struct ood_attribute *attribute = &node->attributes[0];
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(known[i].name, attribute->name) == 0 && known[i].kind == attribute->kind && known[i].since <= node->opset)
            return true;
    return ood_node_fail(node, err, OOD_UNSUPPORTED,
                         "attribute %s; expected value (a tensor), value_float, value_floats, value_int or value_ints (since opset 12)",
                         attribute->name);
}

static struct ood_tensor *constant_tensor(const struct ood_attribute *attribute, struct ood_error *err)
{
    if (attribute->kind == OOD_ATTR_TENSOR)
        return ood_tensor_copy(attribute->tensor, err);
    bool list = attribute->kind == OOD_ATTR_FLOATS || attribute->kind == OOD_ATTR_INTS;
    bool floats = attribute->kind == OOD_ATTR_FLOAT || attribute->kind == OOD_ATTR_FLOATS;
    const struct ood_shape shape = { .rank = list ? 1 : 0, .dims = { (int64_t)attribute->count } };
    struct ood_tensor *tensor = ood_tensor_new(floats ? OOD_FLOAT32 : OOD_INT64, &shape, err);
    if (tensor == NULL || tensor->count == 0)
        return tensor;
    if (floats)
        memcpy(tensor->data, list ? attribute->floats : &attribute->f, tensor->count * sizeof(float));
    else
        memcpy(tensor->data, list ? attribute->ints : &attribute->i, tensor->count * sizeof(int64_t));
    return tensor;
}

static bool constant_shape(struct ood_graph *graph, const struct ood_node *node, struct ood_error *err)
{
    return ood_op_set_known(graph, node, constant_tensor(&node->attributes[0], err), err);
}

const struct ood_op ood_op_constant = {
    .name = "Constant", .since = 1, .least_inputs = 0, .most_inputs = 0,
    .check = constant_check, .shape = constant_shape, .lower = ood_op_lower_known,
};
