/* A network's first convolution by our kernel, which reads the input as it lies: which it serves, its weights, its step. */
#include "kernel/stem.h"
#include "ops/own_convolution_internal.h"
#include "ops/window.h"

#define MOST_POOLED 8                        /* rows and columns of a pool's window */

/* Out channels in one or two calls: the widest vectors, and behind them what fits half of one better. A half that would share its panel's inputs
 * with a whole vector (24 channels) goes with it, unless the CPU makes two halves of a vector anyway: 341 us for 3 to 24 channels of 352 x 352 and
 * their pool on Zen 5, 219 since two pixels are made at a time. */
struct part { const struct ood_kernels *kernels; size_t first, weights; struct ood_stem_shape shape; };
struct parts { size_t count; struct part part[2]; };

static bool add_part(struct parts *parts, const struct ood_kernels *kernels, const struct ood_stem_shape *whole, size_t first, size_t channels)
{
    struct part *part = &parts->part[parts->count];
    *part = (struct part){ kernels, first, 0, *whole };
    part->shape.out_channels = channels;
    if (parts->count > 0)
        part->weights = part[-1].weights + part[-1].kernels->stem_weights_floats(&part[-1].shape);
    parts->count++;
    return kernels->stem_weights_floats(&part->shape) > 0;
}

static bool parts_of(const struct ood_builder *builder, const struct ood_convolution_spec *spec, struct parts *out)
{
    const struct ood_window *w = &spec->window;
    const struct ood_kernels *kernels = ood_builder_kernels(builder);
    const bool shares = spec->out_channels / 16 % 2 != 0;
    const struct ood_kernels *half = shares && !ood_kernels_halve_vectors() ? NULL : ood_half_kernels(kernels, spec->out_channels);
    const struct ood_stem_shape whole = {
        .batch = spec->batch, .channels = spec->channels, .height = spec->height, .width = spec->width, .out_height = spec->out_height,
        .out_width = spec->out_width, .out_channels = spec->out_channels, .target_pixel = spec->out_channels,
        .window = { w->kernel[0], w->kernel[1] }, .stride = w->stride[0], .pad_top = w->pad_begin[0], .pad_left = w->pad_begin[1]
    };
    *out = (struct parts){ 0 };
    if (spec->groups != 1 || w->stride[0] != w->stride[1] || w->dilation[0] != 1 || w->dilation[1] != 1 || !kernels->stem_serves(&whole))
        return false;
    const size_t rest = spec->out_channels % 16;
    if (half == NULL)
        return add_part(out, kernels, &whole, 0, spec->out_channels);
    return (spec->out_channels == rest || add_part(out, kernels, &whole, 0, spec->out_channels - rest)) &&
           add_part(out, half, &whole, spec->out_channels - rest, rest);
}

bool ood_stem_serves(const struct ood_builder *builder, const struct ood_convolution_spec *spec, const struct ood_posts *posts)
{
    struct parts parts;
    return posts->sum_count == 0 && ood_builder_layout(builder, spec->node->inputs[0]) == OOD_PLAIN && parts_of(builder, spec, &parts);
}

struct weights { const struct parts *parts; const struct ood_convolution_spec *spec; };

static bool fill_weights(void *memory, const void *context, struct ood_error *err)
{
    const struct weights *w = context;
    const struct ood_convolution_spec *spec = w->spec;
    const size_t taps = spec->channels * spec->window.kernel[0] * spec->window.kernel[1];
    (void)err;
    for (size_t i = 0; i < w->parts->count; i++) {
        const struct part *part = &w->parts->part[i];
        part->kernels->stem_weights((float *)memory + part->weights, ood_f32(spec->weights) + part->first * taps, &part->shape);
    }
    return true;
}

/* A max pool behind it: rows of the convolution go into it as they are made, and never to memory. */
struct pool { uint32_t output; struct ood_window window; size_t out_height; struct ood_max_columns columns; };

struct stem { struct parts parts; bool bias; struct ood_steps steps; const struct ood_kernels *kernels; struct pool pool; };

/* Of `pictures` from source on, `rows` of the output from first_row on. */
static void run_rows(const struct stem *s, void *const *memory, const float *source, size_t pictures, size_t first_row, size_t rows, float *destination)
{
    for (size_t i = 0; i < s->parts.count; i++) {
        const struct part *part = &s->parts.part[i];
        struct ood_stem_shape shape = part->shape;
        shape.batch = pictures;
        shape.out_height = rows;
        const struct ood_stem_call call = {
            .shape = &shape, .source = source, .weights = (const float *)memory[1] + part->weights,
            .bias = s->bias ? (const float *)memory[3] + part->first : NULL, .steps = s->steps.steps, .step_count = s->steps.count,
            .destination = destination + part->first, .first_row = first_row
        };
        part->kernels->stem(&call);
    }
}

static void run_stem(const void *state, void *const *memory)
{
    const struct stem *s = state;
    const struct ood_stem_shape *shape = &s->parts.part[0].shape;
    run_rows(s, memory, memory[0], shape->batch, 0, shape->out_height, memory[2]);
}

/* The last operand holds the rows of a window after their columns were pooled, each in its place of a ring, and one of the convolution. */
static void run_stem_pool(const void *state, void *const *memory)
{
    const struct stem *s = state;
    const struct ood_stem_shape *shape = &s->parts.part[0].shape;
    const struct ood_window *w = &s->pool.window;
    const size_t row = s->pool.columns.out_width * s->pool.columns.channels, picture = shape->channels * shape->height * shape->width;
    float *ring = memory[s->bias ? 4 : 3], *line = ring + w->kernel[0] * row, *y = memory[2];
    for (size_t n = 0; n < shape->batch; n++)
        for (size_t out = 0, made = 0; out < s->pool.out_height; out++, y += row) {
            const size_t begin = out * w->stride[0], end = begin + w->kernel[0] - w->pad_begin[0];
            const size_t from = begin < w->pad_begin[0] ? 0 : begin - w->pad_begin[0], to = end < shape->out_height ? end : shape->out_height;
            const float *rows[MOST_POOLED];
            for (made = made < from ? from : made; made < to; made++) {
                run_rows(s, memory, (const float *)memory[0] + n * picture, 1, made, 1, line);
                s->kernels->max_columns(ring + made % w->kernel[0] * row, line, &s->pool.columns);
            }
            for (size_t r = from; r < to; r++)
                rows[r - from] = ring + r % w->kernel[0] * row;
            s->kernels->max_rows(y, rows, to - from, row);
        }
}

/* The pool that reads the convolution's output, if it is one for here: every window has a pixel of the map. */
static bool find_pool(const struct ood_builder *builder, const struct ood_convolution_spec *spec, struct pool *pool)
{
    const uint32_t value = spec->node->outputs[0];
    const struct ood_node *node = ood_builder_only_reader(builder, value);
    const struct ood_shape x = ood_builder_shape(builder, value);
    int64_t out[2];
    if (node == NULL || node->inputs[0] != value || !ood_max_pool_of(node, &x, &pool->window, out))
        return false;
    const struct ood_window *w = &pool->window;
    for (int i = 0; i < 2; i++)
        if (w->kernel[i] > MOST_POOLED || w->dilation[i] != 1 || (size_t)(out[i] - 1) * w->stride[i] >= (size_t)x.dims[2 + i] + w->pad_begin[i])
            return false;
    pool->output = node->outputs[0];
    pool->out_height = (size_t)out[0];
    pool->columns = (struct ood_max_columns){ spec->out_width, (size_t)out[1], spec->out_channels, w->kernel[1], w->stride[1], w->pad_begin[1] };
    return true;
}

bool ood_stem_place(struct ood_builder *builder, const struct ood_convolution_spec *spec, struct ood_operand *out, struct ood_error *err)
{
    struct pool pool;
    return ood_builder_output(builder, find_pool(builder, spec, &pool) ? pool.output : spec->node->outputs[0], OOD_NHWC, out, err);
}

bool ood_stem_lower(struct ood_builder *builder, const struct ood_convolution_spec *spec, const struct ood_posts *posts, struct ood_error *err)
{
    struct stem state = { .bias = spec->bias != NULL, .steps = posts->before, .kernels = ood_builder_kernels(builder) };
    const struct weights context = { &state.parts, spec };
    struct ood_operand operands[5] = { spec->source, { .buffer = OOD_NONE }, spec->destination, { .buffer = OOD_NONE }, { .buffer = OOD_NONE } };
    if (!parts_of(builder, spec, &state.parts))
        return ood_node_fail(spec->node, err, OOD_UNSUPPORTED, "a shape that the stem kernel does not serve");
    const struct part *last = &state.parts.part[state.parts.count - 1];
    const size_t floats = last->weights + last->kernels->stem_weights_floats(&last->shape);
    operands[1].weights = ood_builder_weights(builder, spec->node, "stem", floats * sizeof(float), fill_weights, &context, err);
    if (operands[1].weights == NULL)
        return false;
    if (state.bias && !ood_own_bias(builder, spec, &operands[3], err))
        return false;
    const bool pooled = find_pool(builder, spec, &state.pool);
    const size_t ring = pooled ? state.pool.window.kernel[0] * state.pool.columns.out_width + spec->out_width : 0;
    if (pooled && !ood_builder_scratch(builder, ring * spec->out_channels * sizeof(float), &operands[state.bias ? 4 : 3], err))
        return false;
    const double taps = (double)(spec->channels * spec->window.kernel[0] * spec->window.kernel[1]);
    return ood_builder_step(builder, &(struct ood_step_spec){ .node = spec->node, .run = pooled ? run_stem_pool : run_stem,
                                                              .kernel = pooled ? state.kernels->name.stem_pool : state.kernels->name.stem,
                                                              .state = &state, .state_size = sizeof state, .operands = operands,
                                                              .operand_count = 3 + (size_t)state.bias + (size_t)pooled,
                                                              .flops = 2 * taps * (double)spec->batch * (double)spec->out_channels *
                                                                       (double)spec->out_height * (double)spec->out_width }, err);
}
