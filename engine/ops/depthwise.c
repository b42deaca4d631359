/* Depthwise and grouped convolutions by our kernel: which it serves, its weights, its step. */
#include "kernel/depthwise.h"
#include "ops/own_convolution_internal.h"

/* Which kernels do what shape. */
struct depthwise_plan { const struct ood_kernels *kernels; struct ood_depthwise_shape shape; };

static bool plan_of(const struct ood_builder *builder, const struct ood_convolution_spec *spec, struct depthwise_plan *out)
{
    const struct ood_window *w = &spec->window;
    const struct ood_kernels *kernels = ood_builder_kernels(builder), *half = ood_half_kernels(kernels, spec->channels);
    if (spec->groups == 1 || spec->out_channels != spec->channels || w->kernel[0] != w->kernel[1] || w->stride[0] != w->stride[1] ||
        w->dilation[0] != 1 || w->dilation[1] != 1)
        return false;
    out->kernels = half != NULL && spec->channels < 16 ? half : kernels;
    out->shape = (struct ood_depthwise_shape){
        .batch = spec->batch, .height = spec->height, .width = spec->width, .out_height = spec->out_height, .out_width = spec->out_width,
        .channels = spec->channels, .pixel = spec->channels, .depth = spec->channels / spec->groups, .side = w->kernel[0], .stride = w->stride[0],
        .pad_top = w->pad_begin[0], .pad_left = w->pad_begin[1]
    };
    return out->kernels->depthwise_serves(&out->shape);
}

bool ood_depthwise_serves(const struct ood_builder *builder, const struct ood_convolution_spec *spec, const struct ood_posts *posts)
{
    struct depthwise_plan plan;
    return posts->sum_count == 0 && plan_of(builder, spec, &plan);
}

/* [side][depth][side][channels] */
static bool fill_weights(void *memory, const void *context, struct ood_error *err)
{
    const struct ood_convolution_spec *spec = context;
    const float *from = ood_f32(spec->weights);
    const size_t side = spec->window.kernel[0], depth = spec->channels / spec->groups;
    float *to = memory;
    (void)err;
    for (size_t c = 0; c < spec->channels; c++)
        for (size_t member = 0; member < depth; member++)
            for (size_t y = 0; y < side; y++)
                for (size_t x = 0; x < side; x++)
                    to[((y * depth + member) * side + x) * spec->channels + c] = *from++;
    return true;
}

struct depthwise { struct depthwise_plan plan; bool bias; struct ood_steps steps; };

static void run_depthwise(const void *state, void *const *memory)
{
    const struct depthwise *s = state;
    const struct ood_depthwise_call call = {
        .shape = &s->plan.shape, .source = memory[0], .weights = memory[1], .bias = s->bias ? memory[3] : NULL, .steps = s->steps.steps,
        .step_count = s->steps.count, .destination = memory[2]
    };
    s->plan.kernels->depthwise(&call);
}

bool ood_depthwise_lower(struct ood_builder *builder, const struct ood_convolution_spec *spec, const struct ood_posts *posts, struct ood_error *err)
{
    struct depthwise state = { .bias = spec->bias != NULL, .steps = posts->before };
    const size_t taps = spec->window.kernel[0] * spec->window.kernel[1] * (spec->channels / spec->groups);
    struct ood_operand operands[4] = { spec->source, { .buffer = OOD_NONE }, spec->destination, { .buffer = OOD_NONE } };
    if (!plan_of(builder, spec, &state.plan))
        return ood_node_fail(spec->node, err, OOD_UNSUPPORTED, "a shape that the depthwise kernel does not serve");
    operands[1].weights = ood_builder_weights(builder, spec->node, "depthwise", taps * spec->channels * sizeof(float), fill_weights, spec, err);
    if (operands[1].weights == NULL)
        return false;
    if (state.bias && !ood_own_bias(builder, spec, &operands[3], err))
        return false;
    const double outputs = (double)spec->batch * (double)spec->channels * (double)spec->out_height * (double)spec->out_width;
    return ood_builder_step(builder, &(struct ood_step_spec){ .node = spec->node, .kernel = ood_builder_kernels(builder)->name.depthwise,
                                                              .run = run_depthwise, .state = &state, .state_size = sizeof state,
                                                              .operands = operands, .operand_count = state.bias ? 4 : 3,
                                                              .flops = 2 * (double)taps * outputs }, err);
}
