/* LayerNormalization (ONNX opset 17), InstanceNormalization (6), LpNormalization, LRN: each picture by its own numbers. */
#include <math.h>

#include "ops/ops.h"
#include "ops/ops_internal.h"
#include "ops/posts_internal.h"

static bool floats_only(const struct ood_graph *graph, const struct ood_node *node, size_t inputs, struct ood_error *err)
{
    for (size_t i = 0; i < inputs; i++) {
        const struct ood_value *value = ood_node_input(graph, node, i);
        if (value != NULL && value->type != OOD_FLOAT32)
            return ood_node_fail(node, err, OOD_UNSUPPORTED, "input %zu is %s; expected float32", i, ood_type_name(value->type));
    }
    return true;
}

/* ---- LayerNormalization ---- */

/* scale and bias must be as large as what is normalised: the dims from the axis on, 1s before them allowed. */
static bool fits(const struct ood_value *value, const struct ood_shape *x, size_t axis)
{
    const size_t rank = x->rank - axis, own = value->shape.rank;
    for (size_t i = 0; i < own || i < rank; i++) {
        const int64_t found = i < own ? value->shape.dims[own - 1 - i] : 1, expected = i < rank ? x->dims[x->rank - 1 - i] : 1;
        if (found != expected)
            return false;
    }
    return true;
}

static bool layer_norm_shape(struct ood_graph *graph, const struct ood_node *node, struct ood_error *err)
{
    const struct ood_value *scale = ood_node_input(graph, node, 1), *bias = ood_node_input(graph, node, 2);
    const struct ood_shape x = ood_node_input(graph, node, 0)->shape;
    struct ood_shape statistics = x;
    size_t axis;
    if (!floats_only(graph, node, 3, err) || !ood_op_axis(node, ood_node_int(node, "axis", -1), x.rank, &axis, err))
        return false;
    for (size_t i = axis; i < x.rank; i++) {
        if (ood_dim_is_batch(x.dims[i]))
            return ood_node_fail(node, err, OOD_UNSUPPORTED, "axis %zu is the batch: pictures would depend on each other", i);
        statistics.dims[i] = 1;
    }
    if (!fits(scale, &x, axis) || (bias != NULL && !fits(bias, &x, axis)))
        return ood_node_fail(node, err, OOD_UNSUPPORTED, "a scale or bias that is not as large as what is normalised (axis %zu on)", axis);
    return ood_graph_set_output(graph, node, 0, OOD_FLOAT32, &x, err) &&
           ood_graph_set_output(graph, node, 1, OOD_FLOAT32, &statistics, err) &&
           ood_graph_set_output(graph, node, 2, OOD_FLOAT32, &statistics, err);
}

enum { NOWHERE = OOD_STEP_OPERANDS };

struct layer_norm { const struct ood_kernels *kernels; size_t rows, columns; float epsilon; size_t shift, means, inverses; };

static void run_layer_norm(const void *state, void *const *memory)
{
    const struct layer_norm *s = state;
    s->kernels->layer_norm(memory[0], s->means == NOWHERE ? NULL : memory[s->means], s->inverses == NOWHERE ? NULL : memory[s->inverses],
                           memory[1], memory[2], s->shift == NOWHERE ? NULL : memory[s->shift], s->rows, s->columns, s->epsilon);
}

static bool layer_norm_lower(struct ood_builder *builder, const struct ood_node *node, struct ood_error *err)
{
    static const struct ood_posts none = { 0 };
    const struct ood_graph *graph = ood_builder_graph(builder);
    const struct ood_shape x = ood_builder_shape(builder, node->inputs[0]);
    struct layer_norm state = { ood_builder_kernels(builder), 1, 1, ood_node_float(node, "epsilon", 1e-5f), NOWHERE, NOWHERE, NOWHERE };
    struct ood_operand operands[6];
    size_t axis, count = 3;
    if (!ood_op_axis(node, ood_node_int(node, "axis", -1), x.rank, &axis, err))
        return false;
    for (size_t i = 0; i < x.rank; i++)
        *(i < axis ? &state.rows : &state.columns) *= (size_t)x.dims[i];
    if (!ood_builder_input(builder, node->inputs[0], OOD_PLAIN, &operands[1], err) ||
        !ood_builder_input(builder, node->inputs[1], OOD_PLAIN, &operands[2], err))
        return false;
    if (ood_node_input(graph, node, 2) != NULL) {
        state.shift = count++;
        if (!ood_builder_input(builder, node->inputs[2], OOD_PLAIN, &operands[state.shift], err))
            return false;
    }
    if (!ood_posts_output(builder, node, &none, 0, node->inputs, &operands[1], 1, OOD_PLAIN, &operands[0], err))
        return false;
    for (size_t i = 1; i < node->output_count; i++) {
        if (node->outputs[i] == OOD_NONE || graph->values[node->outputs[i]].uses == 0)
            continue;
        *(i == 1 ? &state.means : &state.inverses) = count;
        if (!ood_builder_output(builder, node->outputs[i], OOD_PLAIN, &operands[count++], err))
            return false;
    }
    return ood_builder_step(builder, &(struct ood_step_spec){ .node = node, .kernel = state.kernels->name.normalise, .run = run_layer_norm,
                                                              .state = &state, .state_size = sizeof state, .operands = operands,
                                                              .operand_count = count, .flops = 7 * (double)(state.rows * state.columns) }, err);
}

const struct ood_op ood_op_layer_norm = {
    .name = "LayerNormalization", .since = 17, .least_inputs = 2, .most_inputs = 3, .shape = layer_norm_shape, .lower = layer_norm_lower,
};

/* ---- InstanceNormalization ---- */

static bool instance_norm_shape(struct ood_graph *graph, const struct ood_node *node, struct ood_error *err)
{
    const struct ood_value *x = ood_node_input(graph, node, 0);
    if (!floats_only(graph, node, 3, err))
        return false;
    if (x->shape.rank < 3 || ood_dim_is_batch(x->shape.dims[1]))
        return ood_node_fail(node, err, OOD_INVALID, "input has %zu dimensions; expected at least 3 (NxCx…)", x->shape.rank);
    for (size_t i = 1; i < 3; i++) {
        const struct ood_shape *shape = &ood_node_input(graph, node, i)->shape;
        if (shape->rank != 1 || shape->dims[0] != x->shape.dims[1])
            return ood_node_fail(node, err, OOD_INVALID, "input %zu is not one number for each of %lld channels", i, (long long)x->shape.dims[1]);
    }
    for (size_t i = 2; i < x->shape.rank; i++)
        if (ood_dim_is_batch(x->shape.dims[i]))
            return ood_node_fail(node, err, OOD_UNSUPPORTED, "axis %zu is the batch: pictures would depend on each other", i);
    return ood_graph_set_output(graph, node, 0, OOD_FLOAT32, &x->shape, err);
}

struct instance_norm { const struct ood_kernels *kernels; size_t rows, channels, columns; float epsilon; };

static void run_instance_norm(const void *state, void *const *memory)
{
    const struct instance_norm *s = state;
    s->kernels->instance_norm(memory[3], memory[0], memory[1], memory[2], s->rows, s->channels, s->columns, s->epsilon);
}

static bool instance_norm_lower(struct ood_builder *builder, const struct ood_node *node, struct ood_error *err)
{
    static const struct ood_posts none = { 0 };
    const struct ood_shape x = ood_builder_shape(builder, node->inputs[0]);
    struct instance_norm state = { ood_builder_kernels(builder), (size_t)(x.dims[0] * x.dims[1]), (size_t)x.dims[1], 1,
                                   ood_node_float(node, "epsilon", 1e-5f) };
    struct ood_operand operands[4];
    for (size_t i = 2; i < x.rank; i++)
        state.columns *= (size_t)x.dims[i];
    for (size_t i = 0; i < 3; i++)
        if (!ood_builder_input(builder, node->inputs[i], OOD_PLAIN, &operands[i], err))
            return false;
    return ood_posts_output(builder, node, &none, 0, node->inputs, operands, 1, OOD_PLAIN, &operands[3], err) &&
           ood_builder_step(builder, &(struct ood_step_spec){ .node = node, .kernel = state.kernels->name.normalise, .run = run_instance_norm,
                                                              .state = &state, .state_size = sizeof state, .operands = operands,
                                                              .operand_count = 4, .flops = 7 * (double)(state.rows * state.columns) }, err);
}

const struct ood_op ood_op_instance_norm = {
    .name = "InstanceNormalization", .since = 6, .least_inputs = 3, .most_inputs = 3,
    .shape = instance_norm_shape, .lower = instance_norm_lower,
};

/* ---- LpNormalization, LRN: along lines whose elements lie `inner` apart ---- */

struct line { size_t outer, n, inner; int64_t size; double p, alpha, beta, bias; };

static bool lp_shape(struct ood_graph *graph, const struct ood_node *node, struct ood_error *err)
{
    const struct ood_value *x = ood_node_input(graph, node, 0);
    const int64_t p = ood_node_int(node, "p", 2);
    size_t axis;
    if (!floats_only(graph, node, 1, err) || !ood_op_axis(node, ood_node_int(node, "axis", -1), x->shape.rank, &axis, err))
        return false;
    if (p != 1 && p != 2)
        return ood_node_fail(node, err, OOD_INVALID, "p is %lld; expected 1 or 2", (long long)p);
    if (ood_dim_is_batch(x->shape.dims[axis]))
        return ood_node_fail(node, err, OOD_UNSUPPORTED, "axis %zu is the batch: pictures would depend on each other", axis);
    return ood_graph_set_output(graph, node, 0, OOD_FLOAT32, &x->shape, err);
}

static void run_lp(const void *state, void *const *memory)
{
    const struct line *s = state;
    for (size_t line = 0; line < s->outer * s->inner; line++) {
        const size_t start = line / s->inner * s->n * s->inner + line % s->inner;
        const float *x = (const float *)memory[0] + start;
        float *y = (float *)memory[1] + start;
        double sum = 0;
        for (size_t i = 0; i < s->n; i++) {
            const double v = (double)x[i * s->inner];
            sum += s->p == 1 ? fabs(v) : v * v;
        }
        const double norm = s->p == 1 ? sum : sqrt(sum);
        for (size_t i = 0; i < s->n; i++)
            y[i * s->inner] = norm == 0 ? 0 : (float)((double)x[i * s->inner] / norm);
    }
}

static bool lrn_shape(struct ood_graph *graph, const struct ood_node *node, struct ood_error *err)
{
    const struct ood_value *x = ood_node_input(graph, node, 0);
    const int64_t size = ood_node_int(node, "size", 0);
    if (!floats_only(graph, node, 1, err))
        return false;
    if (x->shape.rank < 2 || ood_dim_is_batch(x->shape.dims[1]) || size < 1 || size > INT32_MAX)
        return ood_node_fail(node, err, OOD_INVALID, "size is %lld of %zu dimensions; expected 1 or more of NxC…", (long long)size, x->shape.rank);
    return ood_graph_set_output(graph, node, 0, OOD_FLOAT32, &x->shape, err);
}

/* y = x / (bias + alpha/size · sum of squares of the `size` channels around)^beta. */
static void run_lrn(const void *state, void *const *memory)
{
    const struct line *s = state;
    const int64_t n = (int64_t)s->n, left = (s->size - 1) / 2, right = s->size - 1 - left;
    for (size_t line = 0; line < s->outer * s->inner; line++) {
        const size_t start = line / s->inner * s->n * s->inner + line % s->inner;
        const float *x = (const float *)memory[0] + start;
        float *y = (float *)memory[1] + start;
        for (int64_t c = 0; c < n; c++) {
            double sum = 0;
            for (int64_t k = c - left < 0 ? 0 : c - left; k <= c + right && k < n; k++)
                sum += (double)x[(size_t)k * s->inner] * (double)x[(size_t)k * s->inner];
            y[(size_t)c * s->inner] = (float)((double)x[(size_t)c * s->inner] * pow(s->bias + s->alpha / (double)s->size * sum, -s->beta));
        }
    }
}

static bool add_lines(struct ood_builder *builder, const struct ood_node *node, struct line *state, size_t axis, enum ood_layout layout,
                      const char *kernel, ood_step_run *run, struct ood_error *err)
{
    const struct ood_shape x = ood_builder_shape(builder, node->inputs[0]);
    struct ood_operand operands[2];
    state->outer = state->n = state->inner = 1;
    for (size_t i = 0; i < x.rank; i++)
        *(i < axis ? &state->outer : i == axis ? &state->n : &state->inner) *= (size_t)x.dims[i];
    if (layout == OOD_NHWC) {                /* channels are lines as they lie */
        state->outer *= state->inner;
        state->inner = 1;
    }
    return ood_builder_input(builder, node->inputs[0], layout, &operands[0], err) &&
           ood_builder_output(builder, node->outputs[0], layout, &operands[1], err) &&
           ood_builder_step(builder, &(struct ood_step_spec){ .node = node, .kernel = kernel, .run = run, .state = state,
                                                              .state_size = sizeof *state, .operands = operands, .operand_count = 2 }, err);
}

static bool lp_lower(struct ood_builder *builder, const struct ood_node *node, struct ood_error *err)
{
    struct line state = { .p = (double)ood_node_int(node, "p", 2) };
    size_t axis;
    return ood_op_axis(node, ood_node_int(node, "axis", -1), ood_builder_shape(builder, node->inputs[0]).rank, &axis, err) &&
           add_lines(builder, node, &state, axis, OOD_PLAIN, "own:lp_normalise", run_lp, err);
}

static bool lrn_lower(struct ood_builder *builder, const struct ood_node *node, struct ood_error *err)
{
    struct line state = { .size = ood_node_int(node, "size", 1), .alpha = (double)ood_node_float(node, "alpha", 1e-4f),
                          .beta = (double)ood_node_float(node, "beta", 0.75f), .bias = (double)ood_node_float(node, "bias", 1) };
    const enum ood_layout layout = ood_builder_shape(builder, node->inputs[0]).rank == 4 ? OOD_NHWC : OOD_PLAIN;
    return add_lines(builder, node, &state, 1, layout, "own:lrn", run_lrn, err);
}

const struct ood_op ood_op_lp_norm = {
    .name = "LpNormalization", .since = 1, .least_inputs = 1, .most_inputs = 1, .shape = lp_shape, .lower = lp_lower,
};

const struct ood_op ood_op_lrn = {
    .name = "LRN", .since = 1, .least_inputs = 1, .most_inputs = 1, .shape = lrn_shape, .lower = lrn_lower,
};
