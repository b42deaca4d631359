/* BatchNormalization in training: statistics of the whole batch (or its in-distribution part, or the running ones), gathered over the slices in
 * order; a residual sum and an activation behind it ride along. Ioffe and Szegedy 2015; running variance unbiased, as PyTorch has it. */
#include <math.h>

#include "kernel/training.h"
#include "ops/gradient_internal.h"
#include "ops/posts_internal.h"

/* What is shared by the slices, [channels] floats each, padded to a cache line: of the forward pass, then of the backward pass. */
enum { MEAN, INVERSE, SCALE, SHIFT, B, C, ARRAYS };

struct norm {
    const struct ood_kernels *kernels;
    const struct ood_slices *slices;
    size_t channels, padded;                 /* padded: floats from one array to the next */
    size_t rows, statistics_rows;            /* of a slice; of those that count for the statistics; 0: the running ones */
    double epsilon, momentum;
    bool sum;                                /* is added before the activation */
    bool add, add_scale, add_bias;           /* to what the gradients hold */
    struct ood_gate gate;                    /* bounds alone */
    struct ood_steps steps;
};

static struct norm describe(struct ood_tape *tape, const struct ood_node *node, const struct ood_posts *posts)
{
    const struct ood_shape x = ood_builder_shape(ood_tape_builder(tape), node->inputs[0]);
    struct norm norm = { .kernels = ood_builder_kernels(ood_tape_builder(tape)), .slices = ood_tape_slices(tape), .channels = (size_t)x.dims[1],
                         .rows = (size_t)x.dims[0], .epsilon = (double)ood_node_float(node, "epsilon", 1e-5f), .momentum = ood_tape_momentum(tape),
                         .sum = posts->sum_count > 0, .steps = posts->sum_count > 0 ? posts->after[0] : posts->before, .gate.open = true };
    size_t area = 1;
    for (size_t i = 2; i < x.rank; i++)
        area *= (size_t)x.dims[i];
    norm.rows *= area;
    norm.padded = (norm.channels + 15) / 16 * 16;
    norm.statistics_rows = ood_tape_statistics(tape) == OOD_STATISTICS_JOINT ? norm.rows
                           : ood_tape_statistics(tape) == OOD_STATISTICS_IN ? ood_tape_slice_in(tape) * area : 0;
    if (norm.steps.count == 1) {             /* ReLU or Clip: OOD_PASS_FUSE_TRAINING */
        const struct ood_unary_step *step = &norm.steps.steps[0];
        const bool relu = step->function == OOD_UNARY_RELU;
        norm.gate = (struct ood_gate){ .open = norm.sum, .low = relu ? 0 : step->alpha, .high = relu ? INFINITY : step->beta };
    }
    return norm;
}

/* ---- forward ---- */

static void run_moments(const void *state, void *const *memory)
{
    const struct norm *n = state;
    double *moments = memory[1];
    n->kernels->moments(moments, moments + n->padded, memory[0], n->statistics_rows, n->channels);
}

/* Scale and shift from mean and variance. */
static void set_scale(const struct norm *n, float *shared, size_t c, double mean, double variance, float gamma, float beta)
{
    const double inverse = 1 / sqrt(variance + n->epsilon), scale = (double)gamma * inverse;
    shared[MEAN * n->padded + c] = (float)mean;
    shared[INVERSE * n->padded + c] = (float)inverse;
    shared[SCALE * n->padded + c] = (float)scale;
    shared[SHIFT * n->padded + c] = (float)((double)beta - mean * scale);
}

/* memory: moments of slice 0, shared, gamma, beta, running mean, running variance. Slices are joined in order (Chan et al. 1979). */
static void run_join(const void *state, void *const *memory)
{
    const struct norm *n = state;
    float *shared = memory[1], *running_mean = memory[4], *running_variance = memory[5];
    const float *gamma = memory[2], *beta = memory[3];
    const double rows = (double)n->statistics_rows, total = rows * (double)n->slices->count;
    for (size_t c = 0; c < n->channels; c++) {
        double mean = 0, m2 = 0, count = 0;
        for (size_t s = 0; s < n->slices->count; s++) {
            const double *moments = (const double *)(const void *)((const unsigned char *)memory[0] + s * n->slices->stride);
            const double delta = moments[c] - mean, joined = count + rows;
            mean += delta * rows / joined;
            m2 += moments[n->padded + c] + delta * delta * count * rows / joined;
            count = joined;
        }
        set_scale(n, shared, c, mean, m2 / total, gamma[c], beta[c]);
        running_mean[c] = (float)((double)running_mean[c] + n->momentum * (mean - (double)running_mean[c]));
        running_variance[c] = (float)((double)running_variance[c] + n->momentum * (m2 / (total > 1 ? total - 1 : 1) - (double)running_variance[c]));
    }
}

/* memory: shared, gamma, beta, running mean, running variance. */
static void run_frozen(const void *state, void *const *memory)
{
    const struct norm *n = state;
    const float *gamma = memory[1], *beta = memory[2], *mean = memory[3], *variance = memory[4];
    for (size_t c = 0; c < n->channels; c++)
        set_scale(n, memory[0], c, (double)mean[c], (double)variance[c], gamma[c], beta[c]);
}

/* memory: x, shared, y, sum if there is one. */
static void run_normalise(const void *state, void *const *memory)
{
    const struct norm *n = state;
    const float *shared = memory[1];
    n->kernels->scale_shift(memory[2], memory[0], shared + SCALE * n->padded, shared + SHIFT * n->padded, n->sum ? memory[3] : NULL, n->rows,
                            n->channels, n->steps.steps, n->steps.count);
}

static struct ood_step_spec step_of(const struct ood_node *node, const struct norm *norm, ood_step_run *run, const struct ood_operand *operands,
                                    size_t count)
{
    return (struct ood_step_spec){ .node = node, .kernel = norm->kernels->name.training, .run = run, .state = norm, .state_size = sizeof *norm,
                                   .operands = operands, .operand_count = count };
}

/* Statistics into `shared`. parameters: gamma, beta, running mean, running variance. */
static bool add_statistics(struct ood_tape *tape, const struct ood_node *node, const struct norm *norm, struct ood_operand x,
                           struct ood_operand shared, const struct ood_operand parameters[4], struct ood_error *err)
{
    if (norm->statistics_rows == 0) {
        const struct ood_operand operands[] = { shared, parameters[0], parameters[1], parameters[2], parameters[3] };
        const struct ood_step_spec step = step_of(node, norm, run_frozen, operands, 5);
        return ood_tape_prepare(tape, &step, err);
    }
    struct ood_operand operands[6] = { x };
    if (!ood_builder_scratch(ood_tape_builder(tape), 2 * norm->padded * sizeof(double), &operands[1], err))
        return false;
    const struct ood_step_spec moments = step_of(node, norm, run_moments, operands, 2);
    if (!ood_builder_step(ood_tape_builder(tape), &moments, err))
        return false;
    const struct ood_operand joined[] = { operands[1], shared, parameters[0], parameters[1], parameters[2], parameters[3] };
    const struct ood_step_spec join = step_of(node, norm, run_join, joined, 6);
    return ood_tape_once(tape, &join, err);
}

bool ood_batch_norm_train(struct ood_tape *tape, const struct ood_node *node, struct ood_error *err)
{
    static const enum ood_parameter_kind kinds[] = { OOD_PARAMETER_PLAIN, OOD_PARAMETER_PLAIN, OOD_PARAMETER_STATISTIC, OOD_PARAMETER_STATISTIC };
    struct ood_builder *builder = ood_tape_builder(tape);
    struct ood_posts posts;
    ood_posts_read(node, &posts);
    const struct norm norm = describe(tape, node, &posts);
    const size_t rank = ood_builder_shape(builder, node->inputs[0]).rank;
    struct ood_operand operands[4], parameters[4];
    if (rank != 4 && rank != 2)
        return ood_node_fail(node, err, OOD_UNSUPPORTED, "an input of %zu dimensions, expected 2 or 4 in training", rank);
    for (size_t i = 0; i < 4; i++)
        if (!ood_tape_parameter(tape, node, node->inputs[i + 1], kinds[i], &parameters[i], err))
            return false;
    if (!ood_builder_input(builder, node->inputs[0], OOD_NHWC, &operands[0], err) ||
        !ood_tape_shared(tape, node, "norm", ARRAYS * norm.padded * sizeof(float), &operands[1], err) ||
        !add_statistics(tape, node, &norm, operands[0], operands[1], parameters, err) ||
        (norm.sum && !ood_builder_input(builder, posts.sums[0], OOD_NHWC, &operands[3], err)) ||
        !ood_builder_output(builder, node->outputs[0], OOD_NHWC, &operands[2], err))
        return false;
    const struct ood_step_spec step = step_of(node, &norm, run_normalise, operands, norm.sum ? 4 : 3);
    return ood_builder_step(builder, &step, err);
}

/* ---- backward ---- */

static struct ood_norm_gradient_call call_of(const struct norm *n, const float *g, const float *x, const float *shared)
{
    struct ood_norm_gradient_call call = { .g = g, .x = x, .mean = shared + MEAN * n->padded, .gate = n->gate, .rows = n->rows, .channels = n->channels };
    call.gate.scale = shared + SCALE * n->padded;
    call.gate.shift = shared + SHIFT * n->padded;
    return call;
}

/* memory: g, x, shared, sums (Σ g', Σ g'·(x - mean)), the slice's gradients of gamma and beta. */
static void run_sums(const void *state, void *const *memory)
{
    const struct norm *n = state;
    const float *inverse = (const float *)memory[2] + INVERSE * n->padded;
    double *sums = memory[3];
    float *gamma = memory[4], *beta = memory[5];
    struct ood_norm_gradient_call call = call_of(n, memory[0], memory[1], memory[2]);
    call.sum = sums;
    call.product = sums + n->padded;
    n->kernels->norm_gradient_sums(&call);
    for (size_t c = 0; c < n->channels; c++) {
        gamma[c] = (float)(call.product[c] * (double)inverse[c]) + (n->add_scale ? gamma[c] : 0);
        beta[c] = (float)call.sum[c] + (n->add_bias ? beta[c] : 0);
    }
}

/* memory: sums of slice 0, shared. dx = scale (g' - mean of g' - x̂ · mean of g'·x̂), the means over what the statistics were of. */
static void run_coefficients(const void *state, void *const *memory)
{
    const struct norm *n = state;
    float *shared = memory[1];
    const double total = (double)n->statistics_rows * (double)n->slices->count;
    for (size_t c = 0; c < n->channels; c++) {
        double sum = 0, product = 0;
        for (size_t s = 0; s < n->slices->count; s++) {
            const double *sums = (const double *)(const void *)((const unsigned char *)memory[0] + s * n->slices->stride);
            sum += sums[c];
            product += sums[n->padded + c];
        }
        const double scale = (double)shared[SCALE * n->padded + c], inverse = (double)shared[INVERSE * n->padded + c];
        shared[B * n->padded + c] = total > 0 ? (float)(-scale * inverse * inverse * product / total) : 0;
        shared[C * n->padded + c] = total > 0 ? (float)(-scale * sum / total) : 0;
    }
}

/* memory: g, x, shared, dx. */
static void run_apply(const void *state, void *const *memory)
{
    const struct norm *n = state;
    const float *shared = memory[2];
    struct ood_norm_gradient_call call = call_of(n, memory[0], memory[1], shared);
    call.dx = memory[3];
    call.add = n->add;
    call.a = shared + SCALE * n->padded;
    call.b = shared + B * n->padded;
    call.c = shared + C * n->padded;
    call.rows = n->statistics_rows;
    if (call.rows > 0)
        n->kernels->norm_gradient_apply(&call);
    if (call.rows == n->rows)
        return;
    const size_t done = call.rows * n->channels;
    call.g += done;
    call.x += done;
    call.dx += done;
    call.rows = n->rows - call.rows;
    call.b = call.c = NULL;
    n->kernels->norm_gradient_apply(&call);
}

/* A sum and then an activation: the gradient of both addends is what the activation lets through, told by its output. */
struct masked { const struct ood_kernels *kernels; size_t count; struct ood_unary_step step; };

static void run_masked(const void *state, void *const *memory)
{
    const struct masked *m = state;
    m->kernels->unary_gradient(memory[2], false, memory[0], memory[1], m->count, &m->step);
}

static bool add_masked(struct ood_tape *tape, const struct ood_node *node, const struct norm *norm, struct ood_error *err)
{
    struct ood_builder *builder = ood_tape_builder(tape);
    const struct masked state = { norm->kernels, norm->rows * norm->channels, norm->steps.steps[0] };
    struct ood_operand operands[3];
    if (!ood_tape_gradient_replace(tape, node->outputs[0], &operands[0], &operands[2], err) ||
        !ood_builder_input(builder, node->outputs[0], OOD_NHWC, &operands[1], err))
        return false;
    const struct ood_step_spec step = { .node = node, .kernel = norm->kernels->name.training, .run = run_masked, .state = &state,
                                        .state_size = sizeof state, .operands = operands, .operand_count = 3 };
    return ood_builder_step(builder, &step, err);
}

bool ood_batch_norm_backward(struct ood_tape *tape, const struct ood_node *node, struct ood_error *err)
{
    struct ood_builder *builder = ood_tape_builder(tape);
    struct ood_posts posts;
    struct ood_operand operands[6];
    ood_posts_read(node, &posts);
    struct norm norm = describe(tape, node, &posts);
    if ((norm.sum && norm.steps.count > 0 && !add_masked(tape, node, &norm, err)) ||
        (norm.sum && !ood_tape_gradient_pass(tape, node, posts.sums[0], node->outputs[0], err)) ||
        !ood_tape_gradient(tape, node->outputs[0], &operands[0], err) ||
        !ood_builder_input(builder, node->inputs[0], OOD_NHWC, &operands[1], err) ||
        !ood_tape_shared(tape, node, "norm", 0, &operands[2], err) ||
        !ood_builder_scratch(builder, 2 * norm.padded * sizeof(double), &operands[3], err) ||
        !ood_tape_parameter_gradient(tape, node->inputs[1], &operands[4], &norm.add_scale, err) ||
        !ood_tape_parameter_gradient(tape, node->inputs[2], &operands[5], &norm.add_bias, err))
        return false;
    const struct ood_step_spec sums = step_of(node, &norm, run_sums, operands, 6);
    if (!ood_builder_step(builder, &sums, err))
        return false;
    if (!ood_tape_wants(tape, node->inputs[0]))
        return true;
    if (norm.statistics_rows > 0) {
        const struct ood_operand joined[] = { operands[3], operands[2] };
        const struct ood_step_spec coefficients = step_of(node, &norm, run_coefficients, joined, 2);
        if (!ood_tape_once(tape, &coefficients, err))
            return false;
    }
    if (!ood_tape_gradient_into(tape, node->inputs[0], node->outputs[0], &operands[3], &norm.add, err))
        return false;
    const struct ood_step_spec apply = step_of(node, &norm, run_apply, operands, 4);
    return ood_builder_step(builder, &apply, err);
}
