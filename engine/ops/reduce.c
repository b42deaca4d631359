/* ReduceMean (axes as an attribute: ONNX opset 1 to 17), GlobalAveragePool, GlobalMaxPool. Rows and columns of pictures in NHWC
 * in one pass; anything else as one pass for each run of neighbouring axes. A mean of means of equal size is the mean. */
#include <string.h>

#include "ops/gradient_internal.h"
#include "ops/ops.h"
#include "ops/ops_internal.h"
#include "ops/posts_internal.h"

/* ---- which axes ---- */

typedef bool axes_function(const struct ood_node *node, size_t rank, bool reduced[OOD_MAX_RANK], struct ood_error *err);

/* No axes: all of them, as ONNX Runtime has it also where the attribute is there and empty. */
static bool mean_axes(const struct ood_node *node, size_t rank, bool reduced[OOD_MAX_RANK], struct ood_error *err)
{
    size_t count, axis;
    const int64_t *axes = ood_node_ints(node, "axes", &count);
    for (size_t i = 0; i < rank; i++)
        reduced[i] = count == 0;
    for (size_t i = 0; i < count; i++) {
        if (!ood_op_axis(node, axes[i], rank, &axis, err))
            return false;
        if (reduced[axis])
            return ood_node_fail(node, err, OOD_INVALID, "axis %zu is named twice", axis);
        reduced[axis] = true;
    }
    return true;
}

static bool pool_axes(const struct ood_node *node, size_t rank, bool reduced[OOD_MAX_RANK], struct ood_error *err)
{
    if (rank < 3)
        return ood_node_fail(node, err, OOD_INVALID, "input has %zu dimensions; expected at least 3 (NxCx…)", rank);
    for (size_t i = 0; i < rank; i++)
        reduced[i] = i >= 2;
    return true;
}

static bool shape_of(struct ood_graph *graph, const struct ood_node *node, axes_function *axes, bool keep, struct ood_error *err)
{
    const struct ood_value *x = ood_node_input(graph, node, 0);
    bool reduced[OOD_MAX_RANK] = { false };
    struct ood_shape shape = { 0 };
    if (x->type != OOD_FLOAT32)
        return ood_node_fail(node, err, OOD_UNSUPPORTED, "input is %s; expected float32", ood_type_name(x->type));
    if (!axes(node, x->shape.rank, reduced, err))
        return false;
    for (size_t i = 0; i < x->shape.rank; i++) {
        if (reduced[i] && ood_dim_is_batch(x->shape.dims[i]))
            return ood_node_fail(node, err, OOD_UNSUPPORTED, "axis %zu is the batch: pictures would depend on each other", i);
        if (reduced[i] && x->shape.dims[i] == 0)
            return ood_node_fail(node, err, OOD_INVALID, "axis %zu has no elements", i);
        if (!reduced[i] || keep)
            shape.dims[shape.rank++] = reduced[i] ? 1 : x->shape.dims[i];
    }
    return ood_graph_set_output(graph, node, 0, OOD_FLOAT32, &shape, err);
}

static bool mean_shape(struct ood_graph *graph, const struct ood_node *node, struct ood_error *err)
{
    return shape_of(graph, node, mean_axes, ood_node_int(node, "keepdims", 1) != 0, err);
}

static bool pool_shape(struct ood_graph *graph, const struct ood_node *node, struct ood_error *err)
{
    return shape_of(graph, node, pool_axes, true, err);
}

/* ---- passes ---- */

struct pass { size_t outer, reduced, inner; };       /* y[o][i] = reduction over r of x[o][r][i] */

#define PASSES (OOD_MAX_RANK / 2)

struct reduce {
    const struct ood_kernels *kernels;
    enum ood_reduction reduction;
    size_t pass_count, count;                        /* no pass: count elements are copied */
    struct pass passes[PASSES];
};

/* Runs of reduced axes from the last to the first; axes of one element are no obstacle. */
static void describe(const struct ood_shape *x, const bool reduced[OOD_MAX_RANK], struct reduce *state)
{
    size_t inner = 1;
    state->pass_count = 0;
    for (size_t i = x->rank; i-- > 0;) {
        size_t dim = (size_t)x->dims[i];
        if (dim == 1)
            continue;
        if (!reduced[i]) {
            inner *= dim;
            continue;
        }
        struct pass *pass = &state->passes[state->pass_count++];
        *pass = (struct pass){ 1, 1, inner };
        for (;; i--) {
            pass->reduced *= reduced[i] ? (size_t)x->dims[i] : 1;
            if (i == 0 || (!reduced[i - 1] && x->dims[i - 1] != 1))
                break;
        }
        for (size_t j = 0; j < i; j++)
            pass->outer *= (size_t)x->dims[j];
    }
}

static void run_pass(const struct reduce *s, const struct pass *pass, float *y, const float *x)
{
    if (pass->inner == 1)
        s->kernels->reduce_columns(s->reduction, y, x, pass->outer, pass->reduced);
    else
        s->kernels->reduce_rows(s->reduction, y, x, pass->outer, pass->reduced, pass->inner);
}

/* memory: input, output, and two scratch arrays where there is more than one pass. */
static void run_reduce(const void *state, void *const *memory)
{
    const struct reduce *s = state;
    const float *x = memory[0];
    if (s->pass_count == 0)
        s->kernels->unary(memory[1], x, s->count, NULL, 0);
    for (size_t i = 0; i < s->pass_count; i++) {
        float *y = i + 1 == s->pass_count ? memory[1] : memory[2 + i % 2];
        run_pass(s, &s->passes[i], y, x);
        x = y;
    }
}

/* ---- lower ---- */

static bool lower(struct ood_builder *builder, const struct ood_node *node, axes_function *axes, enum ood_reduction reduction,
                  struct ood_error *err)
{
    const struct ood_shape x = ood_builder_shape(builder, node->inputs[0]);
    struct reduce state = { .kernels = ood_builder_kernels(builder), .reduction = reduction };
    struct ood_operand operands[4];
    bool reduced[OOD_MAX_RANK] = { false };
    enum ood_layout layout = ood_builder_layout(builder, node->inputs[0]);
    size_t operand_count = 2;
    if (!axes(node, x.rank, reduced, err))
        return false;
    if (layout == OOD_NHWC && !reduced[0] && !reduced[1] && reduced[2] && reduced[3]) {
        state.passes[0] = (struct pass){ (size_t)x.dims[0], (size_t)(x.dims[2] * x.dims[3]), (size_t)x.dims[1] };
        state.pass_count = 1;
    } else {
        layout = OOD_PLAIN;
        describe(&x, reduced, &state);
    }
    if (!ood_builder_input(builder, node->inputs[0], layout, &operands[0], err) ||
        !ood_builder_output(builder, node->outputs[0], layout, &operands[1], err))
        return false;
    state.count = ood_posts_count(builder, node->outputs[0]);
    for (; operand_count < 1 + state.pass_count && operand_count < 4; operand_count++) {
        const struct pass *pass = &state.passes[operand_count - 2];       /* the largest that goes there: passes shrink */
        if (!ood_builder_scratch(builder, pass->outer * pass->inner * sizeof(float), &operands[operand_count], err))
            return false;
    }
    struct ood_step_spec step = {
        .node = node, .kernel = state.kernels->name.reduce, .run = run_reduce, .state = &state, .state_size = sizeof state,
        .operands = operands, .operand_count = operand_count, .flops = (double)ood_posts_count(builder, node->inputs[0])
    };
    return ood_builder_step(builder, &step, err);
}

static bool reduce_mean_lower(struct ood_builder *builder, const struct ood_node *node, struct ood_error *err)
{
    return lower(builder, node, mean_axes, OOD_REDUCE_MEAN, err);
}

static bool average_pool_lower(struct ood_builder *builder, const struct ood_node *node, struct ood_error *err)
{
    return lower(builder, node, pool_axes, OOD_REDUCE_MEAN, err);
}

static bool max_pool_lower(struct ood_builder *builder, const struct ood_node *node, struct ood_error *err)
{
    return lower(builder, node, pool_axes, OOD_REDUCE_MAX, err);
}

/* ---- backward: means over rows and columns ---- */

struct spread { const struct ood_kernels *kernels; size_t pictures, area, channels; bool add; };

static void run_spread(const void *state, void *const *memory)
{
    const struct spread *s = state;
    const float *g = memory[0];
    float *dx = memory[1];
    for (size_t p = 0; p < s->pictures; p++, g += s->channels)
        for (size_t r = 0; r < s->area; r++, dx += s->channels)
            for (size_t c = 0; c < s->channels; c++)
                dx[c] = g[c] / (float)s->area + (s->add ? dx[c] : 0);
}

static bool mean_backward(struct ood_tape *tape, const struct ood_node *node, axes_function *axes, struct ood_error *err)
{
    struct ood_builder *builder = ood_tape_builder(tape);
    const struct ood_shape x = ood_builder_shape(builder, node->inputs[0]);
    struct spread state = { ood_builder_kernels(builder), (size_t)x.dims[0], 1, (size_t)x.dims[1], false };
    struct ood_operand operands[2];
    bool reduced[OOD_MAX_RANK] = { false };
    if (!axes(node, x.rank, reduced, err))
        return false;
    if (x.rank != 4 || reduced[0] || reduced[1] || !reduced[2] || !reduced[3])
        return ood_node_fail(node, err, OOD_UNSUPPORTED, "a mean over other axes than rows and columns cannot be trained through");
    state.area = (size_t)(x.dims[2] * x.dims[3]);
    if (!ood_tape_wants(tape, node->inputs[0]))
        return true;
    if (!ood_tape_gradient(tape, node->outputs[0], &operands[0], err) ||
        !ood_tape_gradient_into(tape, node->inputs[0], OOD_NONE, &operands[1], &state.add, err))
        return false;
    const struct ood_step_spec step = { .node = node, .kernel = state.kernels->name.reduce, .run = run_spread, .state = &state,
                                        .state_size = sizeof state, .operands = operands, .operand_count = 2 };
    return ood_builder_step(builder, &step, err);
}

static bool reduce_mean_backward(struct ood_tape *tape, const struct ood_node *node, struct ood_error *err)
{
    return mean_backward(tape, node, mean_axes, err);
}

static bool average_pool_backward(struct ood_tape *tape, const struct ood_node *node, struct ood_error *err)
{
    return mean_backward(tape, node, pool_axes, err);
}

/* A global pool only where its axes are rows and columns: who reads the trait compares the shapes. */
const struct ood_op ood_op_reduce_mean = {
    .name = "ReduceMean", .since = 1, .until = 17, .least_inputs = 1, .most_inputs = 1, .traits = OOD_OP_POOL_GLOBAL,
    .shape = mean_shape, .lower = reduce_mean_lower, .backward = reduce_mean_backward,
};

const struct ood_op ood_op_global_average_pool = {
    .name = "GlobalAveragePool", .since = 1, .least_inputs = 1, .most_inputs = 1, .traits = OOD_OP_POOL_GLOBAL,
    .shape = pool_shape, .lower = average_pool_lower, .backward = average_pool_backward,
};

const struct ood_op ood_op_global_max_pool = {
    .name = "GlobalMaxPool", .since = 1, .least_inputs = 1, .most_inputs = 1, .traits = OOD_OP_POOL_GLOBAL,
    .shape = pool_shape, .lower = max_pool_lower,
};
