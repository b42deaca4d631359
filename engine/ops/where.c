/* Where and Expand: elements moved as they are, of any type, with broadcasting. */
#include <string.h>

#include "ops/ops.h"
#include "ops/ops_internal.h"
#include "ops/walk_internal.h"

/* n elements of `size` bytes, the source's `stride` elements apart. */
static void copy_elements(char *to, const char *from, size_t stride, size_t n, size_t size)
{
    if (stride == 1)
        memcpy(to, from, n * size);
    else
        for (size_t i = 0; i < n; i++)
            memcpy(to + i * size, from + i * stride * size, size);
}

/* ---- Where ---- */

static bool where_shape(struct ood_graph *graph, const struct ood_node *node, struct ood_error *err)
{
    const struct ood_value *condition = ood_node_input(graph, node, 0), *a = ood_node_input(graph, node, 1), *b = ood_node_input(graph, node, 2);
    struct ood_shape shape;
    if (condition->type != OOD_BOOL || a->type != b->type)
        return ood_node_fail(node, err, OOD_INVALID, "%s chooses from %s and %s; expected bool, and one type", ood_type_name(condition->type),
                             ood_type_name(a->type), ood_type_name(b->type));
    return ood_walk_shape(graph, node, 3, &shape, err) && ood_graph_set_output(graph, node, 0, a->type, &shape, err);
}

static void where_row(const void *state, void *const *memory, size_t y, const size_t *at, const size_t *strides, size_t n)
{
    const size_t size = *(const size_t *)state;
    const unsigned char *condition = memory[1];
    for (size_t i = 0; i < n; i++) {
        const size_t k = condition[at[0] + i * strides[0]] != 0 ? 1 : 2;
        memcpy((char *)memory[0] + (y + i) * size, (const char *)memory[1 + k] + (at[k] + i * strides[k]) * size, size);
    }
}

static struct ood_tensor *where_evaluate(const struct ood_graph *graph, const struct ood_node *node,
                                         const struct ood_tensor *const *inputs, struct ood_error *err)
{
    const size_t size = ood_type_size(inputs[1]->type);
    return ood_walk_evaluate(graph, node, inputs, 3, where_row, &size, err);
}

static bool where_lower(struct ood_builder *builder, const struct ood_node *node, struct ood_error *err)
{
    const size_t size = ood_type_size(ood_builder_graph(builder)->values[node->outputs[0]].type);
    return ood_walk_step(builder, node, 3, where_row, &size, sizeof size, "own:where", err);
}

const struct ood_op ood_op_where = {
    .name = "Where", .since = 9, .least_inputs = 3, .most_inputs = 3,
    .shape = where_shape, .evaluate = where_evaluate, .lower = where_lower,
};

/* ---- Expand ---- */

static bool expand_shape(struct ood_graph *graph, const struct ood_node *node, struct ood_error *err)
{
    const struct ood_value *x = ood_node_input(graph, node, 0);
    struct ood_shape target = { 0 }, shape;
    const int64_t *dims;
    char a[OOD_SHAPE_TEXT], b[OOD_SHAPE_TEXT];
    if (!ood_op_known_ints(graph, node, 1, "the shape", OOD_MAX_RANK, &dims, &target.rank, err))
        return false;
    for (size_t i = 0; i < target.rank; i++)
        target.dims[i] = dims[i];
    if (!ood_shape_broadcast(&x->shape, &target, &shape))
        return ood_node_fail(node, err, OOD_INVALID, "shape %s does not broadcast to %s", ood_shape_print(&x->shape, a),
                             ood_shape_print(&target, b));
    return ood_graph_set_output(graph, node, 0, x->type, &shape, err);
}

static void expand_row(const void *state, void *const *memory, size_t y, const size_t *at, const size_t *strides, size_t n)
{
    const size_t size = *(const size_t *)state;
    copy_elements((char *)memory[0] + y * size, (const char *)memory[1] + at[0] * size, strides[0], n, size);
}

static struct ood_tensor *expand_evaluate(const struct ood_graph *graph, const struct ood_node *node,
                                          const struct ood_tensor *const *inputs, struct ood_error *err)
{
    const size_t size = ood_type_size(inputs[0]->type);
    return ood_walk_evaluate(graph, node, inputs, 1, expand_row, &size, err);
}

static bool expand_lower(struct ood_builder *builder, const struct ood_node *node, struct ood_error *err)
{
    const size_t size = ood_type_size(ood_builder_graph(builder)->values[node->outputs[0]].type);
    return ood_walk_step(builder, node, 1, expand_row, &size, sizeof size, "own:expand", err);
}

static bool expand_identity(const struct ood_graph *graph, const struct ood_node *node)
{
    return ood_shape_equal(&graph->values[node->inputs[0]].shape, &graph->values[node->outputs[0]].shape);
}

const struct ood_op ood_op_expand = {
    .name = "Expand", .since = 8, .least_inputs = 2, .most_inputs = 2, .decided_by = 1 << 1,
    .shape = expand_shape, .evaluate = expand_evaluate, .lower = expand_lower, .identity = expand_identity,
};
