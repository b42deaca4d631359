/* Transpose: one strided copy, from the layout the producer left into the one that makes it the plainest. */
#include "ops/gradient_internal.h"
#include "ops/ops.h"
#include "ops/ops_internal.h"

/* perm[i]: which input dimension output dimension i is; reversed where the attribute is missing. */
static bool transpose_order(const struct ood_node *node, size_t rank, size_t order[OOD_MAX_RANK], struct ood_error *err)
{
    size_t count;
    const int64_t *perm = ood_node_ints(node, "perm", &count);
    bool given = ood_node_attribute(node, "perm") != NULL, seen[OOD_MAX_RANK] = { false };
    if (given && count != rank)
        return ood_node_fail(node, err, OOD_INVALID, "perm has %zu entries; expected %zu", count, rank);
    for (size_t i = 0; i < rank; i++) {
        int64_t from = given ? perm[i] : (int64_t)(rank - 1 - i);
        if (from < 0 || from >= (int64_t)rank || seen[from])
            return ood_node_fail(node, err, OOD_INVALID, "perm is no permutation of 0 to %zu", rank - 1);
        seen[from] = true;
        order[i] = (size_t)from;
    }
    return true;
}

static bool transpose_shape(struct ood_graph *graph, const struct ood_node *node, struct ood_error *err)
{
    const struct ood_value *data = ood_node_input(graph, node, 0);
    size_t order[OOD_MAX_RANK] = { 0 };
    if (!transpose_order(node, data->shape.rank, order, err))
        return false;
    struct ood_shape shape = { .rank = data->shape.rank };
    for (size_t i = 0; i < shape.rank; i++)
        shape.dims[i] = data->shape.dims[order[i]];
    return ood_graph_set_output(graph, node, 0, data->type, &shape, err);
}

static struct ood_move transpose_move(const struct ood_shape *from, enum ood_layout from_layout, const struct ood_shape *to,
                                      enum ood_layout to_layout, const size_t *order, size_t size)
{
    struct ood_move move = { .rank = from->rank, .size = size };
    size_t strides[OOD_MAX_RANK] = { 0 };
    ood_move_strides(from, from_layout, strides);
    ood_move_strides(to, to_layout, move.to);
    for (size_t i = 0; i < move.rank; i++)
        move.dims[i] = (size_t)to->dims[i], move.from[i] = strides[order[i]];
    ood_move_simplify(&move);
    return move;
}

static struct ood_tensor *transpose_evaluate(const struct ood_graph *graph, const struct ood_node *node,
                                             const struct ood_tensor *const *inputs, struct ood_error *err)
{
    const struct ood_value *value = &graph->values[node->outputs[0]];
    size_t order[OOD_MAX_RANK] = { 0 };
    if (!transpose_order(node, inputs[0]->shape.rank, order, err))
        return NULL;
    struct ood_tensor *output = ood_tensor_new(value->type, &value->shape, err);
    if (output != NULL && output->count > 0) {
        const struct ood_move move = transpose_move(&inputs[0]->shape, OOD_PLAIN, &output->shape, OOD_PLAIN, order,
                                                    ood_type_size(output->type));
        ood_move_run(&move, inputs[0]->data, output->data);
    }
    return output;
}

static void transpose_run(const void *state, void *const *memory)
{
    ood_move_run(state, memory[0], memory[1]);
}

/* The caller fills an input in rows as its shape says; pictures of a batch go in one by one. */
static bool is_input(const struct ood_builder *builder, uint32_t value)
{
    const struct ood_graph *graph = ood_builder_graph(builder);
    for (size_t i = 0; i < graph->input_count; i++)
        if (graph->inputs[i] == value)
            return true;
    return false;
}

/* The output as a view: whoever can read by strides needs no copy. */
static bool place_turned(struct ood_builder *builder, const struct ood_node *node, size_t rank, const size_t *order, struct ood_error *err)
{
    struct ood_strided from;
    if (!ood_builder_view(builder, node->inputs[0], &from, err))
        return false;
    struct ood_strided view = from;
    for (size_t i = 0; i < rank; i++)
        view.strides[i] = from.strides[order[i]];
    return ood_builder_place_view(builder, node->outputs[0], &view, err);
}

static bool transpose_lower(struct ood_builder *builder, const struct ood_node *node, struct ood_error *err)
{
    const struct ood_shape from = ood_builder_shape(builder, node->inputs[0]), to = ood_builder_shape(builder, node->outputs[0]);
    size_t order[OOD_MAX_RANK] = { 0 }, size = ood_type_size(ood_builder_graph(builder)->values[node->outputs[0]].type);
    if (!transpose_order(node, from.rank, order, err))
        return false;
    enum ood_layout layout = ood_builder_layout(builder, node->inputs[0]), out_layout = OOD_PLAIN;
    struct ood_move move = transpose_move(&from, layout, &to, OOD_PLAIN, order, size);
    if (from.rank == 4 && !ood_move_is_copy(&move)) {         /* NHWC pictures made NCHW: as they lie, if left in NHWC */
        const struct ood_move other = transpose_move(&from, layout, &to, OOD_NHWC, order, size);
        if (ood_move_is_copy(&other))
            move = other, out_layout = OOD_NHWC;
    }
    const bool lies = !ood_builder_is_view(builder, node->inputs[0]);
    if (lies && ood_move_is_copy(&move) && !is_input(builder, node->inputs[0]))
        return ood_builder_alias_as(builder, node->outputs[0], out_layout, node->inputs[0], layout, err);
    if (ood_builder_views(builder) && !is_input(builder, node->inputs[0]))
        return place_turned(builder, node, from.rank, order, err);
    struct ood_operand operands[2];
    return ood_builder_input(builder, node->inputs[0], layout, &operands[0], err) &&
           ood_builder_output(builder, node->outputs[0], out_layout, &operands[1], err) &&
           ood_builder_step(builder, &(struct ood_step_spec){ .node = node, .kernel = "own:move", .run = transpose_run,
                                                              .state = &move, .state_size = sizeof move,
                                                              .operands = operands, .operand_count = 2 }, err);
}

static bool transpose_backward(struct ood_tape *tape, const struct ood_node *node, struct ood_error *err)
{
    struct ood_builder *builder = ood_tape_builder(tape);
    const struct ood_shape from = ood_builder_shape(builder, node->inputs[0]), to = ood_builder_shape(builder, node->outputs[0]);
    struct ood_move move = { .rank = from.rank };
    size_t order[OOD_MAX_RANK] = { 0 }, strides[OOD_MAX_RANK] = { 0 };
    if (!transpose_order(node, from.rank, order, err))
        return false;
    ood_move_strides(&from, OOD_NHWC, strides);
    ood_move_strides(&to, OOD_NHWC, move.from);
    for (size_t i = 0; i < move.rank; i++)
        move.dims[i] = (size_t)to.dims[i], move.to[i] = strides[order[i]];
    return ood_move_gradient(tape, node, node->inputs[0], node->outputs[0], move, false, err);
}

const struct ood_op ood_op_transpose = {
    .name = "Transpose", .since = 1, .least_inputs = 1, .most_inputs = 1, .traits = OOD_OP_TRANSPOSE, .whole = &ood_op_channel_shuffle,
    .shape = transpose_shape, .evaluate = transpose_evaluate, .lower = transpose_lower, .backward = transpose_backward,
};
