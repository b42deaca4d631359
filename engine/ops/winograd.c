/* Convolutions by our Winograd kernel: which it serves, its weights, its step. */
#include "ops/winograd_internal.h"

#include <stdio.h>
#include <string.h>

#include "kernel/winograd.h"

#define LEAST_CHANNELS 16                    /* below, the transforms cost more than the products save */
#define NEAR_WEIGHTS (1 << 20)               /* floats of transformed weights that a cache holds */

bool ood_winograd_serves(const struct ood_builder *builder, const struct ood_convolution_spec *spec)
{
    const struct ood_window *w = &spec->window;
    if (ood_builder_convolution(builder) != OOD_CONVOLUTION_WINOGRAD || spec->groups != 1 || spec->channels < LEAST_CHANNELS ||
        spec->out_channels < LEAST_CHANNELS)
        return false;
    const size_t size[] = { spec->height, spec->width }, out[] = { spec->out_height, spec->out_width };
    for (size_t i = 0; i < 2; i++)
        if (out[i] + 2 != size[i] + w->pad_begin[i] + w->pad_end[i] || w->kernel[i] != 3 || w->stride[i] != 1 || w->dilation[i] != 1 || w->pad_begin[i] > 2 || w->pad_end[i] > 2)
            return false;
    /* Maps are below 2^31 each way. A tile makes 16 outputs; where less than half of them are wanted, direct
     * sums are as fast. A picture of one tile reads four times the weights for it: good only if they lie near. */
    const size_t tiles = (spec->out_height + 3) / 4 * ((spec->out_width + 3) / 4), outputs = spec->out_height * spec->out_width;
    return outputs >= 16 && tiles * 16 <= outputs * 2 && (tiles > 1 || 36 * spec->channels * spec->out_channels <= NEAR_WEIGHTS);
}

/* ---- memory of the model ---- */

struct weights { const struct ood_kernels *kernels; const struct ood_convolution_spec *spec; };

static bool fill_weights(void *memory, const void *context, struct ood_error *err)
{
    const struct weights *w = context;
    (void)err;
    w->kernels->winograd_weights(memory, ood_f32(w->spec->weights), w->spec->channels, w->spec->out_channels);
    return true;
}

static bool fill_bias(void *memory, const void *context, struct ood_error *err)
{
    const struct ood_convolution_spec *spec = context;
    (void)err;
    memcpy(memory, spec->bias, spec->out_channels * sizeof *spec->bias);
    return true;
}

static bool prepare(struct ood_builder *builder, const struct ood_convolution_spec *spec, struct ood_operand *weights,
                    struct ood_operand *bias, struct ood_error *err)
{
    const struct ood_kernels *kernels = ood_builder_kernels(builder);
    const struct weights context = { kernels, spec };
    const size_t floats = kernels->winograd_weights_floats(spec->channels, spec->out_channels);
    if (floats == 0)
        return ood_node_fail(spec->node, err, OOD_LIMIT, "the weights are too large");
    *weights = (struct ood_operand){ OOD_NONE, ood_builder_weights(builder, spec->node, kernels->name.winograd,
                                                                   floats * sizeof(float), fill_weights, &context, err) };
    if (weights->weights == NULL || spec->bias == NULL)
        return weights->weights != NULL;
    *bias = (struct ood_operand){ OOD_NONE, ood_builder_weights(builder, spec->node, "bias", spec->out_channels * sizeof(float),
                                                                fill_bias, spec, err) };
    return bias->weights != NULL;
}

/* ---- the step ---- */

enum { SOURCE, WEIGHTS, BIAS, SUM, DESTINATION, SCRATCH, OPERANDS };

struct step {
    const struct ood_kernels *kernels;
    struct ood_winograd_shape shape;
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
    const struct ood_winograd_call call = {
        .shape = &step->shape, .source = memory_of(step, memory, SOURCE), .weights = memory_of(step, memory, WEIGHTS),
        .bias = memory_of(step, memory, BIAS), .sum = memory_of(step, memory, SUM), .steps = step->steps,
        .step_count = step->step_count, .sum_at = step->sum_at, .destination = memory[step->operand_of[DESTINATION]],
        .scratch = memory[step->operand_of[SCRATCH]]
    };
    step->kernels->winograd_forward(&call);
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
        .batch = spec->batch, .channels = spec->channels, .height = spec->height, .width = spec->width,
        .out_channels = spec->out_channels, .pad_top = spec->window.pad_begin[0], .pad_left = spec->window.pad_begin[1],
        .pad_bottom = spec->window.pad_end[0], .pad_right = spec->window.pad_end[1]
    };
}

bool ood_winograd_lower(struct ood_builder *builder, const struct ood_convolution_spec *spec, const struct ood_posts *posts,
                        struct ood_operand sum, struct ood_error *err)
{
    struct step step = { .kernels = ood_builder_kernels(builder), .shape = shape_of(spec) };
    struct ood_operand all[OPERANDS] = { [SOURCE] = spec->source, [SUM] = sum, [DESTINATION] = spec->destination };
    struct ood_operand operands[OPERANDS];
    fill_steps(&step, posts);
    const size_t scratch = step.kernels->winograd_scratch_floats(&step.shape);
    if (scratch == 0)
        return ood_node_fail(spec->node, err, OOD_LIMIT, "the maps are too large");
    if (!prepare(builder, spec, &all[WEIGHTS], &all[BIAS], err) ||
        !ood_builder_scratch(builder, scratch * sizeof(float), &all[SCRATCH], err))
        return false;
    struct ood_step_spec told = {
        .node = spec->node, .kernel = step.kernels->name.winograd, .run = run_winograd, .state = &step, .state_size = sizeof step,
        .operands = operands,
        .flops = 18.0 * (double)spec->batch * (double)spec->channels * (double)spec->out_channels * (double)spec->out_height *
                 (double)spec->out_width
    };
    for (size_t i = 0; i < OPERANDS; i++) {
        const bool there = (i != BIAS || spec->bias != NULL) && (i != SUM || posts->sum_count > 0);
        step.operand_of[i] = there ? told.operand_count : OPERANDS;
        if (there)
            operands[told.operand_count++] = all[i];
    }
    return ood_builder_step(builder, &told, err);
}
