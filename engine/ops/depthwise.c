/* Depthwise and grouped convolutions by our kernel: which it serves, its weights, its step. */
#include "kernel/depthwise.h"
#include "ops/own_convolution_internal.h"

/* Channels in one or two calls: the widest vectors, and behind them what fits half of one better. */
struct part { const struct ood_kernels *kernels; size_t first; struct ood_depthwise_shape shape; };
struct parts { size_t count; struct part part[2]; };

static void add_part(struct parts *parts, const struct ood_kernels *kernels, const struct ood_depthwise_shape *whole, size_t first, size_t channels)
{
    struct part *part = &parts->part[parts->count++];
    *part = (struct part){ kernels, first, *whole };
    part->shape.channels = channels;
}

static bool parts_of(const struct ood_builder *builder, const struct ood_convolution_spec *spec, struct parts *out)
{
    const struct ood_window *w = &spec->window;
    const struct ood_kernels *kernels = ood_builder_kernels(builder), *half = ood_half_kernels(kernels, spec->channels);
    const size_t depth = spec->channels / spec->groups;
    const struct ood_depthwise_shape whole = {
        .batch = spec->batch, .height = spec->height, .width = spec->width, .out_height = spec->out_height, .out_width = spec->out_width,
        .channels = spec->channels, .pixel = spec->channels, .depth = depth, .side = w->kernel[0], .stride = w->stride[0], .pad_top = w->pad_begin[0],
        .pad_left = w->pad_begin[1]
    };
    *out = (struct parts){ 0 };
    if (spec->groups == 1 || spec->out_channels != spec->channels || w->kernel[0] != w->kernel[1] || w->stride[0] != w->stride[1] ||
        w->dilation[0] != 1 || w->dilation[1] != 1)
        return false;
    const size_t rest = spec->channels % 16;
    if (half == NULL) {
        add_part(out, kernels, &whole, 0, spec->channels);
    } else if (spec->channels < 16) {
        add_part(out, half, &whole, 0, spec->channels);
    } else {
        add_part(out, kernels, &whole, 0, spec->channels - rest);
        add_part(out, half, &whole, spec->channels - 8, 8);
    }
    for (size_t i = 0; i < out->count; i++)
        if (!out->part[i].kernels->depthwise_serves(&out->part[i].shape))
            return false;
    return true;
}

bool ood_depthwise_serves(const struct ood_builder *builder, const struct ood_convolution_spec *spec, const struct ood_posts *posts)
{
    struct parts parts;
    return posts->sum_count == 0 && parts_of(builder, spec, &parts);
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

struct depthwise { struct parts parts; bool bias; struct ood_steps steps; };

static void run_depthwise(const void *state, void *const *memory)
{
    const struct depthwise *s = state;
    for (size_t i = 0; i < s->parts.count; i++) {
        const struct part *part = &s->parts.part[i];
        const struct ood_depthwise_call call = {
            .shape = &part->shape, .source = (const float *)memory[0] + part->first, .weights = (const float *)memory[1] + part->first,
            .bias = s->bias ? (const float *)memory[3] + part->first : NULL, .steps = s->steps.steps, .step_count = s->steps.count,
            .destination = (float *)memory[2] + part->first
        };
        part->kernels->depthwise(&call);
    }
}

bool ood_depthwise_lower(struct ood_builder *builder, const struct ood_convolution_spec *spec, const struct ood_posts *posts, struct ood_error *err)
{
    struct depthwise state = { .bias = spec->bias != NULL, .steps = posts->before };
    const size_t taps = spec->window.kernel[0] * spec->window.kernel[1] * (spec->channels / spec->groups);
    struct ood_operand operands[4] = { spec->source, { .buffer = OOD_NONE }, spec->destination, { .buffer = OOD_NONE } };
    if (!parts_of(builder, spec, &state.parts))
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
