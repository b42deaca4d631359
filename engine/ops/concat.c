/* Concat along any axis: one strided copy an input into its place of the output. */
#include <limits.h>

#include "ops/gradient_internal.h"
#include "ops/ops.h"
#include "ops/ops_internal.h"

static bool concat_check(const struct ood_graph *graph, const struct ood_node *node, struct ood_error *err)
{
    (void)graph;
    const struct ood_attribute *axis = ood_node_attribute(node, "axis");
    if (axis == NULL || axis->kind != OOD_ATTR_INT)
        return ood_node_fail(node, err, OOD_INVALID, "attribute axis is missing");
    return true;
}

/* Adds input i's size along the axis to *sum, after comparing everything else with the first input. */
static bool concat_add(const struct ood_node *node, const struct ood_value *first, const struct ood_value *input, size_t i,
                       size_t axis, int64_t *sum, struct ood_error *err)
{
    char text[OOD_SHAPE_TEXT], expected[OOD_SHAPE_TEXT];
    bool fits = input->type == first->type && input->shape.rank == first->shape.rank;
    for (size_t k = 0; fits && k < first->shape.rank; k++)
        fits = k == axis || input->shape.dims[k] == first->shape.dims[k];
    if (!fits)
        return ood_node_fail(node, err, OOD_INVALID, "input %zu is %s %s; expected %s %s, any size along axis %zu", i,
                             ood_type_name(input->type), ood_shape_print(&input->shape, text), ood_type_name(first->type),
                             ood_shape_print(&first->shape, expected), axis);
    if (ood_dim_is_batch(input->shape.dims[axis]))
        return ood_node_fail(node, err, OOD_UNSUPPORTED, "concatenates along the batch (axis %zu)", axis);
    if (__builtin_add_overflow(*sum, input->shape.dims[axis], sum))
        return ood_node_fail(node, err, OOD_INVALID, "axis %zu becomes too large", axis);
    return true;
}

static bool concat_shape(struct ood_graph *graph, const struct ood_node *node, struct ood_error *err)
{
    const struct ood_value *first = ood_node_input(graph, node, 0);
    if (first == NULL)
        return ood_node_fail(node, err, OOD_INVALID, "input 0 is missing");
    size_t axis;
    if (!ood_op_axis(node, ood_node_int(node, "axis", 0), first->shape.rank, &axis, err))
        return false;
    struct ood_shape shape = first->shape;
    if (node->input_count > 1) {
        shape.dims[axis] = 0;
        for (size_t i = 0; i < node->input_count; i++) {
            const struct ood_value *input = ood_node_input(graph, node, i);
            if (input == NULL)
                return ood_node_fail(node, err, OOD_INVALID, "input %zu is missing", i);
            if (!concat_add(node, first, input, i, axis, &shape.dims[axis], err))
                return false;
        }
    }
    return ood_graph_set_output(graph, node, 0, first->type, &shape, err);
}

static struct ood_tensor *concat_evaluate(const struct ood_graph *graph, const struct ood_node *node,
                                          const struct ood_tensor *const *inputs, struct ood_error *err)
{
    const struct ood_value *value = &graph->values[node->outputs[0]];
    size_t axis, start = 0;
    if (!ood_op_axis(node, ood_node_int(node, "axis", 0), value->shape.rank, &axis, err))
        return NULL;
    struct ood_tensor *output = ood_tensor_new(value->type, &value->shape, err);
    for (size_t i = 0; output != NULL && i < node->input_count; i++) {
        if (inputs[i]->count > 0) {
            const struct ood_move move = ood_move_part(&output->shape, &inputs[i]->shape, OOD_PLAIN, axis, start, true,
                                                       ood_type_size(output->type));
            ood_move_run(&move, inputs[i]->data, output->data);
        }
        start += (size_t)inputs[i]->shape.dims[axis];
    }
    return output;
}

/* A step takes OOD_STEP_OPERANDS operands, one of them the output: more inputs make more steps. */
#define CONCAT_INPUTS (OOD_STEP_OPERANDS - 1)

struct concat { size_t count; struct ood_move moves[CONCAT_INPUTS]; };

static void concat_run(const void *state, void *const *memory)
{
    const struct concat *concat = state;
    for (size_t i = 0; i < concat->count; i++)
        ood_move_run(&concat->moves[i], memory[i + 1], memory[0]);
}

static enum ood_layout concat_layout(const struct ood_builder *builder, const struct ood_node *node, size_t rank)
{
    for (size_t i = 0; rank == 4 && i < node->input_count; i++)
        if (ood_builder_constant(builder, node->inputs[i]) == NULL && ood_builder_layout(builder, node->inputs[i]) == OOD_NHWC)
            return OOD_NHWC;
    return OOD_PLAIN;
}

/* A part that lies within another value is copied from there. */
static bool move_from_view(struct ood_builder *builder, uint32_t value, const struct ood_shape *output, enum ood_layout layout, size_t axis,
                           size_t start, struct ood_move *move, struct ood_operand *operand, struct ood_error *err)
{
    const struct ood_shape shape = ood_builder_shape(builder, value);
    struct ood_strided view;
    if (!ood_builder_view(builder, value, &view, err))
        return false;
    *operand = view.operand;
    *move = (struct ood_move){ .rank = shape.rank, .from_start = view.start, .size = move->size };
    ood_move_strides(output, layout, move->to);
    move->to_start = start * move->to[axis];
    for (size_t i = 0; i < shape.rank; i++)
        move->dims[i] = (size_t)shape.dims[i], move->from[i] = view.strides[i];
    ood_move_simplify(move);
    return true;
}

static bool concat_lower(struct ood_builder *builder, const struct ood_node *node, struct ood_error *err)
{
    if (node->input_count == 1)
        return ood_op_lower_alias(builder, node, err);
    const struct ood_shape output = ood_builder_shape(builder, node->outputs[0]);
    size_t axis, start = 0, size = ood_type_size(ood_builder_graph(builder)->values[node->outputs[0]].type);
    if (!ood_op_axis(node, ood_node_int(node, "axis", 0), output.rank, &axis, err))
        return false;
    enum ood_layout layout = concat_layout(builder, node, output.rank);
    struct ood_operand operands[OOD_STEP_OPERANDS];
    if (!ood_builder_output(builder, node->outputs[0], layout, &operands[0], err))
        return false;
    struct concat concat = { .count = 0 };
    for (size_t i = 0; i < node->input_count; i++) {
        const struct ood_shape input = ood_builder_shape(builder, node->inputs[i]);
        struct ood_move *move = &concat.moves[concat.count++];
        *move = ood_move_part(&output, &input, layout, axis, start, true, size);
        if (ood_builder_is_view(builder, node->inputs[i]) ? !move_from_view(builder, node->inputs[i], &output, layout, axis, start, move,
                                                                            &operands[concat.count], err)
                                                          : !ood_builder_input(builder, node->inputs[i], layout, &operands[concat.count], err))
            return false;
        start += (size_t)input.dims[axis];
        if (concat.count < CONCAT_INPUTS && i + 1 < node->input_count)
            continue;
        const struct ood_step_spec spec = { .node = node, .kernel = "own:concat", .run = concat_run, .state = &concat,
                                            .state_size = sizeof concat, .operands = operands,
                                            .operand_count = concat.count + 1 };
        if (!ood_builder_step(builder, &spec, err))
            return false;
        concat = (struct concat){ .count = 0 };
    }
    return true;
}

static bool concat_backward(struct ood_tape *tape, const struct ood_node *node, struct ood_error *err)
{
    struct ood_builder *builder = ood_tape_builder(tape);
    const struct ood_shape output = ood_builder_shape(builder, node->outputs[0]);
    size_t axis, start = 0;
    if (!ood_op_axis(node, ood_node_int(node, "axis", 0), output.rank, &axis, err))
        return false;
    for (size_t i = 0; i < node->input_count; i++) {
        const struct ood_shape input = ood_builder_shape(builder, node->inputs[i]);
        const struct ood_move move = ood_move_part(&output, &input, OOD_NHWC, axis, start, false, sizeof(float));
        if (!ood_move_gradient(tape, node, node->inputs[i], node->outputs[0], move, false, err))
            return false;
        start += (size_t)input.dims[axis];
    }
    return true;
}

static bool concat_identity(const struct ood_graph *graph, const struct ood_node *node)
{
    (void)graph;
    return node->input_count == 1;
}

const struct ood_op ood_op_concat = {
    .name = "Concat", .since = 4, .least_inputs = 1, .most_inputs = INT_MAX, .traits = OOD_OP_CONCAT,
    .check = concat_check, .shape = concat_shape, .evaluate = concat_evaluate, .lower = concat_lower, .backward = concat_backward, .identity = concat_identity,
};
