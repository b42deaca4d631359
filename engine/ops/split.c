/* Split along an axis: one strided copy an output. Sizes are an attribute before opset 13, an input since; num_outputs since 18. */
#include <limits.h>

#include "plan/move.h"
#include "ops/ops.h"
#include "ops/ops_internal.h"

/* The sizes the file gives, or NULL. */
static bool given_sizes(const struct ood_graph *graph, const struct ood_node *node, const int64_t **sizes, size_t *count,
                        struct ood_error *err)
{
    *sizes = NULL;
    *count = 0;
    if (node->opset < 13)
        *sizes = ood_node_ints(node, "split", count);
    else if (ood_node_input(graph, node, 1) != NULL)
        return ood_op_known_ints(graph, node, 1, "the sizes", node->output_count, sizes, count, err);
    return true;
}

/* The size of part i of an axis of `dim`: equal ones, the last smaller where opset 18 allows it. */
static int64_t equal_size(int64_t dim, size_t parts, size_t i)
{
    int64_t each = (dim + (int64_t)parts - 1) / (int64_t)parts, left = dim - each * (int64_t)i;
    return left < each ? left : each;
}

/* Checks the sizes given, or that the axis divides. */
static bool check_sizes(const struct ood_node *node, const int64_t *sizes, size_t count, int64_t dim, struct ood_error *err)
{
    int64_t sum = 0, parts = (int64_t)node->output_count;
    const struct ood_attribute *told = ood_node_attribute(node, "num_outputs");
    if (sizes == NULL) {
        if (node->opset >= 18 && told != NULL && ood_node_int(node, "num_outputs", 0) != parts)
            return ood_node_fail(node, err, OOD_INVALID, "num_outputs is %lld; there are %lld outputs",
                                 (long long)ood_node_int(node, "num_outputs", 0), (long long)parts);
        if (dim % parts != 0 && (node->opset < 18 || equal_size(dim, node->output_count, node->output_count - 1) < 0))
            return ood_node_fail(node, err, OOD_INVALID, "%lld elements in %lld parts", (long long)dim, (long long)parts);
        return true;
    }
    if (count != node->output_count)
        return ood_node_fail(node, err, OOD_INVALID, "%zu sizes for %zu outputs", count, node->output_count);
    for (size_t i = 0; i < count; i++)
        if (sizes[i] < 0 || ood_dim_is_batch(sizes[i]) || __builtin_add_overflow(sum, sizes[i], &sum))
            return ood_node_fail(node, err, OOD_INVALID, "part %zu has %lld elements", i, (long long)sizes[i]);
    if (sum != dim)
        return ood_node_fail(node, err, OOD_INVALID, "the sizes sum to %lld; the axis has %lld elements", (long long)sum, (long long)dim);
    return true;
}

/* The whole is known at load: so are the parts. */
static bool set_known(struct ood_graph *graph, const struct ood_node *node, size_t output, const struct ood_tensor *x,
                      const struct ood_shape *shape, size_t axis, size_t start, struct ood_error *err)
{
    struct ood_tensor *part = ood_tensor_new(x->type, shape, err);
    if (part == NULL)
        return false;
    const struct ood_move move = ood_move_part(&x->shape, shape, OOD_PLAIN, axis, start, false, ood_type_size(x->type));
    if (part->count > 0)
        ood_move_run(&move, x->data, part->data);
    return ood_graph_set_constant(graph, node->outputs[output], part, err);
}

static bool split_shape(struct ood_graph *graph, const struct ood_node *node, struct ood_error *err)
{
    const struct ood_value *x = ood_node_input(graph, node, 0);
    const struct ood_tensor *known = x->constant;
    const enum ood_type type = x->type;
    struct ood_shape shape = x->shape;
    const int64_t *sizes;
    size_t axis, count, start = 0;
    if (!ood_op_axis(node, ood_node_int(node, "axis", 0), shape.rank, &axis, err))
        return false;
    int64_t dim = shape.dims[axis];
    if (ood_dim_is_batch(dim))
        return ood_node_fail(node, err, OOD_UNSUPPORTED, "splits the batch (axis %zu)", axis);
    if (!given_sizes(graph, node, &sizes, &count, err) || !check_sizes(node, sizes, count, dim, err))
        return false;
    for (size_t i = 0; i < node->output_count; i++, start += (size_t)shape.dims[axis]) {
        shape.dims[axis] = sizes != NULL ? sizes[i] : equal_size(dim, node->output_count, i);
        if (!ood_graph_set_output(graph, node, i, type, &shape, err))
            return false;
        if (known != NULL && node->outputs[i] != OOD_NONE && !set_known(graph, node, i, known, &shape, axis, start, err))
            return false;
    }
    return true;
}

static void split_run(const void *state, void *const *memory)
{
    ood_move_run(state, memory[0], memory[1]);
}

static bool split_lower(struct ood_builder *builder, const struct ood_node *node, struct ood_error *err)
{
    const struct ood_graph *graph = ood_builder_graph(builder);
    const struct ood_shape x = ood_builder_shape(builder, node->inputs[0]);
    const enum ood_layout layout = ood_builder_layout(builder, node->inputs[0]);
    const size_t size = ood_type_size(graph->values[node->inputs[0]].type);
    const int64_t *sizes;
    size_t axis, count, start = 0;
    if (!ood_op_axis(node, ood_node_int(node, "axis", 0), x.rank, &axis, err) || !given_sizes(graph, node, &sizes, &count, err))
        return false;
    for (size_t i = 0; i < node->output_count; i++) {
        const int64_t part = sizes != NULL ? sizes[i] : equal_size(x.dims[axis], node->output_count, i);
        struct ood_operand operands[2];
        if (node->outputs[i] != OOD_NONE && graph->values[node->outputs[i]].uses > 0) {
            const struct ood_shape y = ood_builder_shape(builder, node->outputs[i]);
            if (ood_builder_views(builder)) {
                struct ood_strided view;
                if (!ood_builder_view(builder, node->inputs[0], &view, err))
                    return false;
                view.start += start * view.strides[axis];
                if (!ood_builder_place_view(builder, node->outputs[i], &view, err))
                    return false;
                start += (size_t)part;
                continue;
            }
            const struct ood_move move = ood_move_part(&x, &y, layout, axis, start, false, size);
            if (!ood_builder_input(builder, node->inputs[0], layout, &operands[0], err) ||
                !ood_builder_output(builder, node->outputs[i], layout, &operands[1], err) ||
                !ood_builder_step(builder, &(struct ood_step_spec){ .node = node, .kernel = "own:split", .run = split_run,
                                                                    .state = &move, .state_size = sizeof move,
                                                                    .operands = operands, .operand_count = 2 }, err))
                return false;
        }
        start += (size_t)part;
    }
    return true;
}

static bool split_part(const struct ood_graph *graph, const struct ood_node *node, size_t output, struct ood_part *part)
{
    const int64_t axis = ood_node_int(node, "axis", 0);
    *part = (struct ood_part){ .axis = (size_t)(axis < 0 ? axis + (int64_t)ood_node_input(graph, node, 0)->shape.rank : axis) };
    for (size_t i = 0; i <= output; i++) {
        if (node->outputs[i] == OOD_NONE)
            return false;
        part->start += part->size;
        part->size = graph->values[node->outputs[i]].shape.dims[part->axis];
    }
    return true;
}

const struct ood_op ood_op_split = {
    .name = "Split", .since = 2, .until = 12, .least_inputs = 1, .most_inputs = 1, .shape = split_shape, .lower = split_lower,
    .part = split_part,
};

const struct ood_op ood_op_split_13 = {
    .name = "Split", .since = 13, .least_inputs = 1, .most_inputs = 2, .decided_by = 1 << 1, .shape = split_shape, .lower = split_lower,
    .part = split_part,
};
