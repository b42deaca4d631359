/* Convolutions by our Winograd kernel: which it serves, its weights, its step. */
#include "ops/own_convolution_internal.h"
#include "ops/winograd_internal.h"

#include <stdio.h>
#include <string.h>

#include "kernel/winograd.h"

#define LEAST_CHANNELS 16                    /* below, the transforms cost more than the products save */
#define NEAR_WEIGHTS (1 << 20)               /* floats of transformed weights that a cache holds */

bool ood_winograd_serves(const struct ood_builder *builder, const struct ood_convolution_spec *spec)
{
    const struct ood_window *w = &spec->window;
    const size_t channels = spec->channels / spec->groups, out_channels = spec->out_channels / spec->groups;
    if (ood_builder_convolution(builder) != OOD_CONVOLUTION_WINOGRAD || channels < LEAST_CHANNELS || out_channels < LEAST_CHANNELS ||
        (spec->groups > 1 && (channels % LEAST_CHANNELS != 0 || out_channels % LEAST_CHANNELS != 0)))
        return false;                        /* groups: those that fill the widest vector, so that all instruction sets agree */
    const size_t size[] = { spec->height, spec->width }, out[] = { spec->out_height, spec->out_width };
    for (size_t i = 0; i < 2; i++)
        if (out[i] + 2 != size[i] + w->pad_begin[i] + w->pad_end[i] || w->kernel[i] != 3 || w->stride[i] != 1 || w->dilation[i] != 1 || w->pad_begin[i] > 2 || w->pad_end[i] > 2)
            return false;
    /* Maps are below 2^31 each way. A tile makes 16 outputs; where less than half of them are wanted, direct
     * sums are as fast. A picture of one tile reads four times the weights for it: good only if they lie near. */
    const size_t tiles = (spec->out_height + 3) / 4 * ((spec->out_width + 3) / 4), outputs = spec->out_height * spec->out_width;
    return outputs >= 16 && tiles * 16 <= outputs * 2 && (tiles > 1 || 36 * spec->channels * out_channels <= NEAR_WEIGHTS);
}

/* ---- memory of the model ---- */

struct weights { const struct ood_kernels *kernels; const struct ood_convolution_spec *spec; };

static bool fill_weights(void *memory, const void *context, struct ood_error *err)
{
    const struct weights *w = context;
    (void)err;
    const size_t groups = w->spec->groups, channels = w->spec->channels / groups, out_channels = w->spec->out_channels / groups;
    const size_t floats = w->kernels->winograd_weights_floats(channels, out_channels);
    for (size_t g = 0; g < groups; g++)
        w->kernels->winograd_weights((float *)memory + g * floats, ood_f32(w->spec->weights) + g * out_channels * channels * 9, channels,
                                     out_channels);
    return true;
}

static bool prepare(struct ood_builder *builder, const struct ood_convolution_spec *spec, struct ood_operand *weights,
                    struct ood_operand *bias, struct ood_error *err)
{
    const struct ood_kernels *kernels = ood_builder_kernels(builder);
    const struct weights context = { kernels, spec };
    size_t floats = kernels->winograd_weights_floats(spec->channels / spec->groups, spec->out_channels / spec->groups);
    if (floats == 0 || !ood_mul_size(floats, spec->groups, &floats) || floats > SIZE_MAX / sizeof(float))
        return ood_node_fail(spec->node, err, OOD_LIMIT, "the weights are too large");
    *weights = (struct ood_operand){ OOD_NONE, ood_builder_weights(builder, spec->node, kernels->name.winograd,
                                                                   floats * sizeof(float), fill_weights, &context, err) };
    return weights->weights != NULL && (spec->bias == NULL || ood_own_bias(builder, spec, bias, err));
}

/* ---- the step ---- */

enum { SOURCE, WEIGHTS, BIAS, SUM, DESTINATION, SCRATCH, OPERANDS };

struct step {
    const struct ood_kernels *kernels;
    struct ood_winograd_shape shape;         /* of a group */
    size_t groups, group_weights;            /* floats of one group's */
    struct ood_unary_step steps[OOD_POSTS];
    size_t step_count, sum_at;
    size_t operand_of[OPERANDS];             /* OPERANDS: there is none */
};

static const float *memory_of(const struct step *step, void *const *memory, size_t operand)
{
    return step->operand_of[operand] == OPERANDS ? NULL : memory[step->operand_of[operand]];
}

static void run_winograd(const void *state, void *const *memory)
{
    const struct step *step = state;
    struct ood_winograd_call call = {
        .shape = &step->shape, .source = memory_of(step, memory, SOURCE), .weights = memory_of(step, memory, WEIGHTS),
        .bias = memory_of(step, memory, BIAS), .sum = memory_of(step, memory, SUM), .steps = step->steps,
        .step_count = step->step_count, .sum_at = step->sum_at, .destination = memory[step->operand_of[DESTINATION]],
        .scratch = memory[step->operand_of[SCRATCH]]
    };
    for (size_t g = 0; g < step->groups; g++) {
        step->kernels->winograd_forward(&call);
        call.source += step->shape.channels;
        call.weights += step->group_weights;
        if (call.bias != NULL)
            call.bias += step->shape.out_channels;
        if (call.sum != NULL)
            call.sum += step->shape.out_channels;
        call.destination += step->shape.out_channels;
    }
}

/* The functions before the first sum and those behind it, in one list. */
static void fill_steps(struct step *step, const struct ood_posts *posts)
{
    memcpy(step->steps, posts->before.steps, posts->before.count * sizeof *step->steps);
    step->step_count = step->sum_at = posts->before.count;
    if (posts->sum_count == 0)
        return;
    memcpy(step->steps + step->step_count, posts->after[0].steps, posts->after[0].count * sizeof *step->steps);
    step->step_count += posts->after[0].count;
}

static struct ood_winograd_shape shape_of(const struct ood_convolution_spec *spec)
{
    return (struct ood_winograd_shape){
        .batch = spec->batch, .channels = spec->channels / spec->groups, .height = spec->height, .width = spec->width,
        .out_channels = spec->out_channels / spec->groups, .source_pixel = spec->channels, .target_pixel = spec->out_channels, .pad_top = spec->window.pad_begin[0], .pad_left = spec->window.pad_begin[1],
        .pad_bottom = spec->window.pad_end[0], .pad_right = spec->window.pad_end[1]
    };
}

static double flops_of(const struct ood_convolution_spec *spec)
{
    return 18.0 * (double)spec->batch * (double)spec->channels * (double)spec->out_channels * (double)spec->out_height *
           (double)spec->out_width / (double)spec->groups;
}

/* The step of `shape` over `all`, whose BIAS and SUM are there where they are said to be. */
static bool add_step(struct ood_builder *builder, const struct ood_convolution_spec *spec, struct step *step, struct ood_operand all[OPERANDS],
                     bool bias, bool sum, struct ood_error *err)
{
    struct ood_operand operands[OPERANDS];
    const size_t scratch = step->kernels->winograd_scratch_floats(&step->shape);
    if (scratch == 0)
        return ood_node_fail(spec->node, err, OOD_LIMIT, "the maps are too large");
    if (!ood_builder_scratch(builder, scratch * sizeof(float), &all[SCRATCH], err))
        return false;
    struct ood_step_spec told = {
        .node = spec->node, .kernel = step->kernels->name.winograd, .run = run_winograd, .state = step, .state_size = sizeof *step,
        .operands = operands, .flops = flops_of(spec)
    };
    for (size_t i = 0; i < OPERANDS; i++) {
        const bool there = (i != BIAS || bias) && (i != SUM || sum);
        step->operand_of[i] = there ? told.operand_count : OPERANDS;
        if (there)
            operands[told.operand_count++] = all[i];
    }
    return ood_builder_step(builder, &told, err);
}

bool ood_winograd_lower(struct ood_builder *builder, const struct ood_convolution_spec *spec, const struct ood_posts *posts,
                        struct ood_operand sum, struct ood_error *err)
{
    struct step step = { .kernels = ood_builder_kernels(builder), .shape = shape_of(spec), .groups = spec->groups };
    step.group_weights = step.kernels->winograd_weights_floats(step.shape.channels, step.shape.out_channels);
    struct ood_operand all[OPERANDS] = { [SOURCE] = spec->source, [SUM] = sum, [DESTINATION] = spec->destination };
    fill_steps(&step, posts);
    return prepare(builder, spec, &all[WEIGHTS], &all[BIAS], err) &&
           add_step(builder, spec, &step, all, spec->bias != NULL, posts->sum_count > 0, err);
}

/* ---- training ---- */

struct transform { const struct ood_kernels *kernels; size_t channels, out_channels; bool data; };

static void run_transform(const void *state, void *const *memory)
{
    const struct transform *t = state;
    (t->data ? t->kernels->winograd_data_weights : t->kernels->winograd_weights)(memory[1], memory[0], t->channels, t->out_channels);
}

/* The transformed weights of the forward pass, or of the data's gradient: made again whenever the parameter changed. */
static bool transformed(struct ood_tape *tape, const struct ood_convolution_spec *spec, struct ood_operand weights, bool data,
                        struct ood_operand *out, struct ood_error *err)
{
    const struct ood_kernels *kernels = ood_builder_kernels(ood_tape_builder(tape));
    const struct transform state = { kernels, spec->channels, spec->out_channels, data };
    const size_t floats = data ? kernels->winograd_weights_floats(spec->out_channels, spec->channels)
                               : kernels->winograd_weights_floats(spec->channels, spec->out_channels);
    if (floats == 0)
        return ood_node_fail(spec->node, err, OOD_LIMIT, "the weights are too large");
    if (!ood_tape_shared(tape, spec->node, NULL, floats * sizeof(float), out, err))
        return false;
    const struct ood_operand operands[] = { weights, *out };
    const struct ood_step_spec step = { .node = spec->node, .kernel = kernels->name.winograd, .run = run_transform, .state = &state,
                                        .state_size = sizeof state, .operands = operands, .operand_count = 2 };
    return ood_tape_prepare(tape, &step, err);
}

bool ood_winograd_train(struct ood_tape *tape, const struct ood_convolution_spec *spec, struct ood_operand weights, const struct ood_operand *bias,
                        const struct ood_operand *sum, struct ood_error *err)
{
    struct ood_builder *builder = ood_tape_builder(tape);
    struct step step = { .kernels = ood_builder_kernels(builder), .shape = shape_of(spec), .groups = spec->groups };
    step.group_weights = step.kernels->winograd_weights_floats(step.shape.channels, step.shape.out_channels);
    struct ood_operand all[OPERANDS] = { [SOURCE] = spec->source, [DESTINATION] = spec->destination };
    if (bias != NULL)
        all[BIAS] = *bias;
    if (sum != NULL)
        all[SUM] = *sum;
    return transformed(tape, spec, weights, false, &all[WEIGHTS], err) && add_step(builder, spec, &step, all, bias != NULL, sum != NULL, err);
}

bool ood_winograd_data_gradient(struct ood_tape *tape, const struct ood_convolution_spec *spec, struct ood_operand weights, bool add,
                                struct ood_error *err)
{
    struct ood_builder *builder = ood_tape_builder(tape);
    const struct ood_winograd_shape shape = shape_of(spec);
    struct step step = { .kernels = ood_builder_kernels(builder), .shape = ood_winograd_data_shape(&shape), .groups = 1 };
    struct ood_operand all[OPERANDS] = { [SOURCE] = spec->destination, [DESTINATION] = spec->source, [SUM] = spec->source };
    return transformed(tape, spec, weights, true, &all[WEIGHTS], err) && add_step(builder, spec, &step, all, false, add, err);
}

struct gradient { const struct ood_kernels *kernels; struct ood_winograd_shape shape; bool add; };

static void run_gradient(const void *state, void *const *memory)
{
    const struct gradient *g = state;
    const struct ood_winograd_gradient_call call = { .shape = &g->shape, .source = memory[0], .gradient = memory[1],
                                                     .weights_gradient = memory[2], .add = g->add, .scratch = memory[3] };
    g->kernels->winograd_gradient(&call);
}

bool ood_winograd_weights_gradient(struct ood_tape *tape, const struct ood_convolution_spec *spec, struct ood_operand gradient, bool add,
                                   struct ood_error *err)
{
    struct ood_builder *builder = ood_tape_builder(tape);
    const struct gradient state = { ood_builder_kernels(builder), shape_of(spec), add };
    struct ood_operand operands[4] = { spec->source, spec->destination, gradient };
    const size_t floats = state.kernels->winograd_gradient_scratch_floats(&state.shape);
    if (floats == 0)
        return ood_node_fail(spec->node, err, OOD_LIMIT, "the maps are too large");
    const struct ood_step_spec step = { .node = spec->node, .kernel = state.kernels->name.winograd, .run = run_gradient, .state = &state,
                                        .state_size = sizeof state, .operands = operands, .operand_count = 4, .flops = flops_of(spec) };
    return ood_builder_scratch(builder, floats * sizeof(float), &operands[3], err) && ood_builder_step(builder, &step, err);
}
