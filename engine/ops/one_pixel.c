/* Convolutions of 1x1 over maps of one pixel, as squeeze and excitation has them: products by our kernel. */
#include "ops/own_convolution_internal.h"

/* Larger ones oneDNN has as fast at batch 1 and faster at batch 4 and 8. */
#define MOST_WEIGHTS 65536
#define MOST_CHANNELS OOD_PRODUCT_RUN

bool ood_one_pixel_serves(const struct ood_convolution_spec *spec, const struct ood_posts *posts)
{
    const struct ood_window *w = &spec->window;
    return spec->height == 1 && spec->width == 1 && spec->out_height == 1 && spec->out_width == 1 && w->kernel[0] == 1 && w->kernel[1] == 1 &&
           w->pad_begin[0] == 0 && w->pad_begin[1] == 0 && spec->groups == 1 && posts->sum_count == 0 && spec->channels <= MOST_CHANNELS &&
           spec->out_channels <= MOST_WEIGHTS / spec->channels;
}

struct weights { const struct ood_kernels *kernels; const struct ood_convolution_spec *spec; };

static bool fill_weights(void *memory, const void *context, struct ood_error *err)
{
    const struct weights *w = context;
    (void)err;
    w->kernels->pack_b(memory, ood_f32(w->spec->weights), w->spec->channels, w->spec->out_channels, 1, w->spec->channels);
    return true;
}

struct one_pixel { const struct ood_kernels *kernels; size_t batch, channels, out_channels; bool bias; struct ood_steps steps; };

static void run_one_pixel(const void *state, void *const *memory)
{
    const struct one_pixel *s = state;
    s->kernels->product(memory[2], memory[0], memory[1], s->bias ? memory[3] : NULL, NULL, s->batch, s->channels, s->out_channels, s->steps.steps,
                        s->steps.count);
}

bool ood_one_pixel_lower(struct ood_builder *builder, const struct ood_convolution_spec *spec, const struct ood_posts *posts, struct ood_error *err)
{
    const struct one_pixel state = { ood_builder_kernels(builder), spec->batch, spec->channels, spec->out_channels, spec->bias != NULL, posts->before };
    const struct weights context = { state.kernels, spec };
    const size_t floats = state.kernels->packed_b_floats(spec->channels, spec->out_channels);
    struct ood_operand operands[4] = { spec->source, { .buffer = OOD_NONE }, spec->destination, { .buffer = OOD_NONE } };
    operands[1].weights = ood_builder_weights(builder, spec->node, "product", floats * sizeof(float), fill_weights, &context, err);
    if (operands[1].weights == NULL || (state.bias && !ood_own_bias(builder, spec, &operands[3], err)))
        return false;
    return ood_builder_step(builder, &(struct ood_step_spec){ .node = spec->node, .kernel = state.kernels->name.product, .run = run_one_pixel,
                                                              .state = &state, .state_size = sizeof state, .operands = operands,
                                                              .operand_count = state.bias ? 4 : 3,
                                                              .flops = 2 * (double)spec->batch * (double)spec->channels *
                                                                       (double)spec->out_channels }, err);
}
