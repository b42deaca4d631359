/* Convolutions of 1x1 with few channels by our kernel: which it serves, its weights, its step. */
#include "kernel/pointwise.h"
#include "ops/own_convolution_internal.h"

/* Of one picture. */
static struct ood_pointwise_shape shape_of(const struct ood_convolution_spec *spec)
{
    return (struct ood_pointwise_shape){ spec->height * spec->width, spec->channels, spec->out_channels };
}

bool ood_pointwise_serves(const struct ood_builder *builder, const struct ood_convolution_spec *spec)
{
    const struct ood_window *w = &spec->window;
    const struct ood_pointwise_shape shape = shape_of(spec);
    for (int i = 0; i < 2; i++)
        if (w->kernel[i] != 1 || w->stride[i] != 1 || w->pad_begin[i] != 0 || w->pad_end[i] != 0)
            return false;
    return spec->groups == 1 && ood_builder_kernels(builder)->pointwise_serves(&shape);
}

struct weights { const struct ood_kernels *kernels; const struct ood_convolution_spec *spec; };

static bool fill_weights(void *memory, const void *context, struct ood_error *err)
{
    const struct weights *w = context;
    const struct ood_pointwise_shape shape = shape_of(w->spec);
    (void)err;
    w->kernels->pointwise_weights(memory, ood_f32(w->spec->weights), w->spec->bias, &shape);
    return true;
}

struct pointwise {
    const struct ood_kernels *kernels;
    struct ood_pointwise_shape shape;
    bool sum;
    struct ood_steps steps, after;
};

static void run_pointwise(const void *state, void *const *memory)
{
    const struct pointwise *s = state;
    const struct ood_pointwise_call call = {
        .shape = &s->shape, .source = memory[0], .weights = memory[1], .steps = s->steps.steps, .step_count = s->steps.count,
        .sum = s->sum ? memory[3] : NULL, .after = s->after.steps, .after_count = s->after.count, .destination = memory[2]
    };
    s->kernels->pointwise(&call);
}

bool ood_pointwise_lower(struct ood_builder *builder, const struct ood_convolution_spec *spec, const struct ood_posts *posts, struct ood_operand sum,
                         struct ood_error *err)
{
    struct pointwise state = { .kernels = ood_builder_kernels(builder), .shape = shape_of(spec), .sum = posts->sum_count > 0, .steps = posts->before,
                               .after = posts->after[0] };
    const struct weights context = { state.kernels, spec };
    const size_t floats = state.kernels->pointwise_weights_floats(&state.shape);
    struct ood_operand operands[4] = { spec->source, { .buffer = OOD_NONE }, spec->destination, sum };
    if (floats == 0)
        return ood_node_fail(spec->node, err, OOD_LIMIT, "the weights are too large");
    operands[1].weights = ood_builder_weights(builder, spec->node, "pointwise", floats * sizeof(float), fill_weights, &context, err);
    if (operands[1].weights == NULL)
        return false;
    state.shape.pixels *= spec->batch;
    return ood_builder_step(builder, &(struct ood_step_spec){ .node = spec->node, .kernel = state.kernels->name.pointwise, .run = run_pointwise,
                                                              .state = &state, .state_size = sizeof state, .operands = operands,
                                                              .operand_count = state.sum ? 4 : 3,
                                                              .flops = 2 * (double)state.shape.pixels * (double)spec->channels *
                                                                       (double)spec->out_channels }, err);
}
