/* ChannelShuffle, which a pass makes of what exporters write (graph/passes/fuse_shuffles.c): the channels of one value, or of two equal ones
 * behind each other, seen as [group][rest] and turned to [rest][group]; into one value or into its two halves. Channels last, one pass. */
#include "kernel/kernel.h"
#include "ops/ops.h"
#include "ops/ops_internal.h"
#include "plan/builder.h"

#define ROWS 64                              /* pixels at a time: what one call has read lies near for the next */

struct shuffle { const struct ood_kernels *kernels; size_t pixels, channels, groups, inputs, outputs; };

static bool shuffle_shape(struct ood_graph *graph, const struct ood_node *node, struct ood_error *err)
{
    struct ood_shape shape = ood_node_input(graph, node, 0)->shape;
    shape.dims[1] = shape.dims[1] * (int64_t)node->input_count / (int64_t)node->output_count;
    for (size_t i = 0; i < node->output_count; i++)
        if (!ood_graph_set_output(graph, node, i, OOD_FLOAT32, &shape, err))
            return false;
    return true;
}

/* Two groups: one half's channels and the other's by turns. memory: inputs, then outputs. */
static void weave(const struct shuffle *s, void *const *memory)
{
    const size_t half = s->channels / 2, x_stride = s->channels / s->inputs, y_stride = s->channels / s->outputs, n = half / s->outputs;
    const float *a = memory[0], *b = s->inputs == 2 ? memory[1] : a + half;
    for (size_t r = 0, rows; r < s->pixels; r += rows) {
        rows = s->pixels - r < ROWS ? s->pixels - r : ROWS;
        for (size_t i = 0; i < s->outputs; i++)
            s->kernels->interleave((float *)memory[s->inputs + i] + r * y_stride, y_stride, a + r * x_stride + i * n, b + r * x_stride + i * n,
                                   x_stride, rows, n);
    }
}

/* Groups of two: the even channels before the odd ones. */
static void unravel(const struct shuffle *s, void *const *memory)
{
    const size_t half = s->channels / 2, x_stride = s->channels / s->inputs, y_stride = s->channels / s->outputs, n = half / s->inputs;
    float *even = memory[s->inputs], *odd = s->outputs == 2 ? memory[s->inputs + 1] : even + half;
    for (size_t r = 0, rows; r < s->pixels; r += rows) {
        rows = s->pixels - r < ROWS ? s->pixels - r : ROWS;
        for (size_t i = 0; i < s->inputs; i++)
            s->kernels->deinterleave(even + r * y_stride + i * n, odd + r * y_stride + i * n, y_stride, (const float *)memory[i] + r * x_stride,
                                     x_stride, rows, n);
    }
}

static void run_shuffle(const void *state, void *const *memory)
{
    const struct shuffle *s = state;
    if (s->groups == 2)
        weave(s, memory);
    else if (s->groups * 2 == s->channels)
        unravel(s, memory);
    else                                     /* one input, one output */
        s->kernels->transpose(memory[1], memory[0], s->pixels, s->groups, s->channels / s->groups);
}

static bool shuffle_lower(struct ood_builder *builder, const struct ood_node *node, struct ood_error *err)
{
    const struct ood_shape x = ood_builder_shape(builder, node->inputs[0]);
    const struct shuffle state = {
        .kernels = ood_builder_kernels(builder), .pixels = (size_t)(x.dims[0] * x.dims[2] * x.dims[3]),
        .channels = (size_t)x.dims[1] * node->input_count, .groups = (size_t)ood_node_int(node, "group", 1), .inputs = node->input_count,
        .outputs = node->output_count
    };
    struct ood_operand operands[4];
    for (size_t i = 0; i < node->input_count; i++)
        if (!ood_builder_input(builder, node->inputs[i], OOD_NHWC, &operands[i], err))
            return false;
    for (size_t i = 0; i < node->output_count; i++)
        if (!ood_builder_output(builder, node->outputs[i], OOD_NHWC, &operands[node->input_count + i], err))
            return false;
    const bool pairs = state.groups == 2 || state.groups * 2 == state.channels;
    return ood_builder_step(builder, &(struct ood_step_spec){ .node = node, .run = run_shuffle, .state = &state, .state_size = sizeof state,
                                                              .kernel = pairs ? state.kernels->name.shuffle : state.kernels->name.transpose,
                                                              .operands = operands, .operand_count = node->input_count + node->output_count }, err);
}

/* In no file: made by a pass. */
const struct ood_op ood_op_channel_shuffle = {
    .name = "ChannelShuffle", .since = 1, .least_inputs = 1, .most_inputs = 2, .shape = shuffle_shape, .lower = shuffle_lower,
};
