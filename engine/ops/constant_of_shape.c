/* ConstantOfShape: a tensor of one value, whose shape must be known at load. Where that depends on the batch, as exports of vision
 * transformers write the class token, a step fills it. */
#include <string.h>

#include "ops/ops.h"
#include "ops/ops_internal.h"
#include "plan/builder.h"

#define ELEMENTS_MOST (INT64_C(1) << 24)

struct fill { size_t count, size; unsigned char one[8]; };     /* of size bytes each */

/* The attribute's one element, or 0.0f. */
static bool fill_of(const struct ood_node *node, struct fill *fill, enum ood_type *type, struct ood_error *err)
{
    const struct ood_attribute *value = ood_node_attribute(node, "value");
    const struct ood_tensor *one = value != NULL && value->kind == OOD_ATTR_TENSOR ? value->tensor : NULL;
    if (value != NULL && (one == NULL || one->count != 1))
        return ood_node_fail(node, err, OOD_INVALID, "attribute value is not a tensor of one element");
    *type = one != NULL ? one->type : OOD_FLOAT32;
    *fill = (struct fill){ .size = ood_type_size(*type) };
    if (one != NULL)
        memcpy(fill->one, one->data, fill->size);
    return true;
}

static void run_fill(const void *state, void *const *memory)
{
    const struct fill *fill = state;
    unsigned char *to = memory[0];
    for (size_t i = 0; i < fill->count; i++)
        memcpy(to + i * fill->size, fill->one, fill->size);
}

static bool constant_of_shape_shape(struct ood_graph *graph, const struct ood_node *node, struct ood_error *err)
{
    struct ood_shape shape = { .rank = 0 };
    const int64_t *dims;
    int64_t elements;
    enum ood_type type;
    struct fill fill;
    if (!ood_op_known_ints(graph, node, 0, "the shape", OOD_MAX_RANK, &dims, &shape.rank, err) || !fill_of(node, &fill, &type, err))
        return false;
    for (size_t i = 0; i < shape.rank; i++)
        shape.dims[i] = dims[i];
    if (ood_shape_has_batch(&shape)) {
        if (type == OOD_FLOAT32)
            return ood_graph_set_output(graph, node, 0, type, &shape, err);
        return ood_node_fail(node, err, OOD_UNSUPPORTED, "%s of a shape that depends on the batch", ood_type_name(type));
    }
    if (!ood_shape_elements(&shape, &elements) || elements > ELEMENTS_MOST)
        return ood_node_fail(node, err, OOD_INVALID, "a negative shape, or one of more than %lld elements", (long long)ELEMENTS_MOST);
    struct ood_tensor *tensor = ood_tensor_new(type, &shape, err);
    if (tensor != NULL) {
        fill.count = tensor->count;
        run_fill(&fill, (void *const[]){ tensor->data });
    }
    return ood_op_set_known(graph, node, tensor, err);
}

static bool constant_of_shape_lower(struct ood_builder *builder, const struct ood_node *node, struct ood_error *err)
{
    const struct ood_shape shape = ood_builder_shape(builder, node->outputs[0]);
    struct ood_operand out;
    struct fill fill;
    enum ood_type type;
    if (ood_builder_constant(builder, node->outputs[0]) != NULL)
        return true;
    if (!fill_of(node, &fill, &type, err))
        return false;
    if (!ood_shape_count(&shape, &fill.count))
        return ood_node_fail(node, err, OOD_LIMIT, "its shape has too many elements");
    return ood_builder_output(builder, node->outputs[0], OOD_PLAIN, &out, err) &&
           ood_builder_step(builder, &(struct ood_step_spec){ .node = node, .kernel = "own:fill", .run = run_fill, .state = &fill,
                                                              .state_size = sizeof fill, .operands = &out, .operand_count = 1 }, err);
}

const struct ood_op ood_op_constant_of_shape = {
    .name = "ConstantOfShape", .since = 9, .least_inputs = 1, .most_inputs = 1, .decided_by = 1 << 0,
    .shape = constant_of_shape_shape, .lower = constant_of_shape_lower,
};
