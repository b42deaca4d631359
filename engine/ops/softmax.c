/* Softmax and LogSoftmax. Before opset 13: over everything from the axis on as one; since: over one axis. The maximum is
 * subtracted first; the order of the sum depends on the class alone. */
#include "ops/ops.h"
#include "ops/ops_internal.h"
#include "ops/posts_internal.h"

static bool is_flat(const struct ood_node *node) { return node->opset < 13; }

static bool axis_of(const struct ood_node *node, size_t rank, size_t *out, struct ood_error *err)
{
    return ood_op_axis(node, ood_node_int(node, "axis", is_flat(node) ? 1 : -1), rank, out, err);
}

static bool softmax_shape(struct ood_graph *graph, const struct ood_node *node, struct ood_error *err)
{
    const struct ood_value *x = ood_node_input(graph, node, 0);
    size_t axis;
    if (x->type != OOD_FLOAT32)
        return ood_node_fail(node, err, OOD_UNSUPPORTED, "input is %s; expected float32", ood_type_name(x->type));
    if (!axis_of(node, x->shape.rank, &axis, err))
        return false;
    for (size_t i = axis; i < (is_flat(node) ? x->shape.rank : axis + 1); i++)
        if (ood_dim_is_batch(x->shape.dims[i]))
            return ood_node_fail(node, err, OOD_UNSUPPORTED, "axis %zu goes over the batch: pictures would depend on each other", axis);
    return ood_graph_set_output(graph, node, 0, OOD_FLOAT32, &x->shape, err);
}

struct softmax { const struct ood_kernels *kernels; size_t outer, n, inner; bool logarithm; };

static void run_rows(const void *state, void *const *memory)
{
    const struct softmax *s = state;
    s->kernels->softmax(memory[1], memory[0], s->outer, s->n, s->logarithm);
}

/* The axis is not innermost: turned, row by row, and back. */
static void run_turned(const void *state, void *const *memory)
{
    const struct softmax *s = state;
    s->kernels->transpose(memory[2], memory[0], s->outer, s->n, s->inner);
    s->kernels->softmax(memory[2], memory[2], s->outer * s->inner, s->n, s->logarithm);
    s->kernels->transpose(memory[1], memory[2], s->outer, s->inner, s->n);
}

/* Dims before the axis, of it, behind it. Channels of pictures in NHWC are rows as they lie. */
static void describe(const struct ood_shape *x, enum ood_layout layout, size_t axis, bool flat, struct softmax *state)
{
    state->outer = state->n = state->inner = 1;
    for (size_t i = 0; i < x->rank; i++) {
        size_t *part = i < axis ? &state->outer : i == axis || flat ? &state->n : &state->inner;
        *part *= (size_t)x->dims[i];
    }
    if (layout == OOD_NHWC) {
        state->outer *= state->inner;
        state->inner = 1;
    }
}

static bool lower(struct ood_builder *builder, const struct ood_node *node, bool logarithm, struct ood_error *err)
{
    static const struct ood_posts none = { 0 };
    const struct ood_shape x = ood_builder_shape(builder, node->inputs[0]);
    struct softmax state = { .kernels = ood_builder_kernels(builder), .logarithm = logarithm };
    struct ood_operand operands[3];
    enum ood_layout layout = OOD_PLAIN;
    size_t axis, count = ood_posts_count(builder, node->outputs[0]);
    if (!axis_of(node, x.rank, &axis, err))
        return false;
    if (!is_flat(node) && x.rank == 4 && axis == 1)
        layout = ood_builder_layout(builder, node->inputs[0]);
    describe(&x, layout, axis, is_flat(node), &state);
    bool turned = state.inner != 1;
    if (!ood_builder_input(builder, node->inputs[0], layout, &operands[0], err) ||
        !ood_posts_output(builder, node, &none, 0, node->inputs, operands, 1, layout, &operands[1], err) ||
        (turned && !ood_builder_scratch(builder, count * sizeof(float), &operands[2], err)))
        return false;
    struct ood_step_spec step = {
        .node = node, .kernel = state.kernels->name.softmax, .run = turned ? run_turned : run_rows,
        .state = &state, .state_size = sizeof state, .operands = operands, .operand_count = turned ? 3 : 2,
        .flops = 16 * (double)count          /* an exponential is a polynomial */
    };
    return ood_builder_step(builder, &step, err);
}

static bool softmax_lower(struct ood_builder *builder, const struct ood_node *node, struct ood_error *err)
{
    return lower(builder, node, false, err);
}

static bool log_softmax_lower(struct ood_builder *builder, const struct ood_node *node, struct ood_error *err)
{
    return lower(builder, node, true, err);
}

static bool is_along_last(const struct ood_graph *graph, const struct ood_node *node)
{
    const size_t rank = graph->values[node->inputs[0]].shape.rank;
    const int64_t axis = ood_node_int(node, "axis", is_flat(node) ? 1 : -1);
    return rank > 0 && (axis == -1 || axis == (int64_t)rank - 1);
}

const struct ood_op ood_op_softmax = {
    .name = "Softmax", .since = 1, .least_inputs = 1, .most_inputs = 1, .traits = OOD_OP_SOFTMAX,
    .shape = softmax_shape, .lower = softmax_lower, .last_softmax = is_along_last, .whole = &ood_op_attention,
};

const struct ood_op ood_op_log_softmax = {
    .name = "LogSoftmax", .since = 1, .least_inputs = 1, .most_inputs = 1, .traits = OOD_OP_SOFTMAX,
    .shape = softmax_shape, .lower = log_softmax_lower,
};
