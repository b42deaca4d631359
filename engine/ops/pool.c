/* MaxPool and AveragePool (ONNX opset 1 to 12): 2-D, channels last, by oneDNN. */
#include <string.h>

#include "ops/ops.h"
#include "ops/window.h"
#include "plan/tape.h"

static bool pool_check(const struct ood_graph *graph, const struct ood_node *node, struct ood_error *err)
{
    (void)graph;
    if (node->output_count != 1)
        return ood_node_fail(node, err, OOD_UNSUPPORTED, "%zu outputs, expected 1 (no indices)", node->output_count);
    if (ood_node_int(node, "storage_order", 0) != 0)
        return ood_node_fail(node, err, OOD_UNSUPPORTED, "storage_order is not 0");
    return true;
}

static bool pool_window(const struct ood_node *node, const struct ood_shape *x, struct ood_window *window, int64_t out[2],
                        struct ood_error *err)
{
    if (!ood_window_read(node, NULL, window, err) || !ood_window_output(node, window, &x->dims[2], out, err))
        return false;
    for (int i = 0; i < 2; i++)
        if (window->pad_begin[i] >= window->kernel[i] || window->pad_end[i] >= window->kernel[i])
            return ood_node_fail(node, err, OOD_INVALID, "a pad as large as the kernel of %zu", window->kernel[i]);
    return true;
}

static bool pool_shape(struct ood_graph *graph, const struct ood_node *node, struct ood_error *err)
{
    const struct ood_value *source = ood_node_input(graph, node, 0);
    const struct ood_shape *x = &source->shape;
    struct ood_window window;
    int64_t out[2];
    char text[OOD_SHAPE_TEXT];
    if (source->type != OOD_FLOAT32 || x->rank != 4)
        return ood_node_fail(node, err, OOD_UNSUPPORTED, "a %s source of shape %s, expected float32 of 4 dimensions (NxCxHxW)",
                             ood_type_name(source->type), ood_shape_print(x, text));
    if (!pool_window(node, x, &window, out, err))
        return false;
    struct ood_shape shape = ood_shape_of(4, x->dims[0], x->dims[1], out[0], out[1]);
    return ood_graph_set_output(graph, node, 0, OOD_FLOAT32, &shape, err);
}

static bool pool_lower(struct ood_builder *builder, const struct ood_node *node, enum ood_pooling kind, struct ood_error *err)
{
    struct ood_shape x = ood_builder_shape(builder, node->inputs[0]);
    struct ood_pooling_spec spec = { .node = node, .kind = kind, .batch = (size_t)x.dims[0], .channels = (size_t)x.dims[1],
                                     .height = (size_t)x.dims[2], .width = (size_t)x.dims[3] };
    int64_t out[2];
    if (!pool_window(node, &x, &spec.window, out, err))
        return false;
    spec.out_height = (size_t)out[0];
    spec.out_width = (size_t)out[1];
    for (int i = 0; i < 2 && kind == OOD_POOLING_AVERAGE_PADDED; i++) {
        size_t reach = (spec.window.kernel[i] - 1) * spec.window.dilation[i] + 1;
        if ((size_t)(out[i] - 1) * spec.window.stride[i] + reach > (size_t)x.dims[2 + i] + spec.window.pad_begin[i] + spec.window.pad_end[i])
            return ood_node_fail(node, err, OOD_UNSUPPORTED, "ceil_mode with count_include_pad where a window reaches past the padding");
    }
    return ood_builder_input(builder, node->inputs[0], OOD_NHWC, &spec.source, err) &&
           ood_builder_output(builder, node->outputs[0], OOD_NHWC, &spec.destination, err) && ood_builder_pooling(builder, &spec, err);
}

static bool max_pool_lower(struct ood_builder *builder, const struct ood_node *node, struct ood_error *err)
{
    return ood_builder_is_made(builder, node->outputs[0]) || pool_lower(builder, node, OOD_POOLING_MAX, err);
}

static bool average_pool_lower(struct ood_builder *builder, const struct ood_node *node, struct ood_error *err)
{
    return pool_lower(builder, node, ood_node_int(node, "count_include_pad", 0) != 0 ? OOD_POOLING_AVERAGE_PADDED : OOD_POOLING_AVERAGE, err);
}

/* ---- backward: plain loops, the windows of a map in order ---- */

struct pool {
    enum ood_pooling kind;
    struct ood_window window;
    size_t batch, channels, height, width, out_height, out_width;
    bool add;
};

/* The first and the end of the window's positions along one dimension that lie in the map; *whole counts those in map and padding. */
static void reach(const struct pool *p, int i, size_t at, size_t size, size_t *first, size_t *end)
{
    const ptrdiff_t start = (ptrdiff_t)(at * p->window.stride[i]) - (ptrdiff_t)p->window.pad_begin[i], step = (ptrdiff_t)p->window.dilation[i];
    *first = 0;
    *end = p->window.kernel[i];
    while (*first < *end && start + (ptrdiff_t)*first * step < 0)
        ++*first;
    while (*end > *first && start + (ptrdiff_t)(*end - 1) * step >= (ptrdiff_t)size)
        --*end;
}

/* One output's gradient to where it came from: the first of the greatest, or all alike. x, y: NULL for averages. */
static void scatter(const struct pool *p, const float *g, const float *y, const float *x, float *dx, size_t row, size_t column)
{
    size_t r0, r1, c0, c1;
    reach(p, 0, row, p->height, &r0, &r1);
    reach(p, 1, column, p->width, &c0, &c1);
    const size_t count = p->kind == OOD_POOLING_AVERAGE_PADDED ? p->window.kernel[0] * p->window.kernel[1] : (r1 - r0) * (c1 - c0);
    const size_t top = row * p->window.stride[0] - p->window.pad_begin[0], left = column * p->window.stride[1] - p->window.pad_begin[1];
    for (size_t k = 0; k < p->channels; k++) {
        bool found = false;
        for (size_t r = r0; r < r1 && !found; r++)
            for (size_t c = c0; c < c1 && !found; c++) {
                const size_t at = ((top + r * p->window.dilation[0]) * p->width + left + c * p->window.dilation[1]) * p->channels + k;
                if (p->kind != OOD_POOLING_MAX)
                    dx[at] += g[k] / (float)count;
                else if (x[at] == y[k]) {
                    dx[at] += g[k];
                    found = true;
                }
            }
    }
}

/* memory: gradient, dx, y, x (the last two for the maximum). */
static void run_pool_gradient(const void *state, void *const *memory)
{
    const struct pool *p = state;
    const size_t in = p->height * p->width * p->channels, out = p->out_height * p->out_width * p->channels;
    const bool greatest = p->kind == OOD_POOLING_MAX;
    const float *g = memory[0];
    float *dx = memory[1];
    if (!p->add)
        memset(dx, 0, p->batch * in * sizeof *dx);
    for (size_t n = 0; n < p->batch; n++)
        for (size_t r = 0; r < p->out_height; r++)
            for (size_t c = 0; c < p->out_width; c++) {
                const size_t at = n * out + (r * p->out_width + c) * p->channels;
                scatter(p, g + at, greatest ? (const float *)memory[2] + at : NULL, greatest ? (const float *)memory[3] + n * in : NULL,
                        dx + n * in, r, c);
            }
}

static bool pool_backward(struct ood_tape *tape, const struct ood_node *node, enum ood_pooling kind, struct ood_error *err)
{
    struct ood_builder *builder = ood_tape_builder(tape);
    const struct ood_shape x = ood_builder_shape(builder, node->inputs[0]);
    struct pool state = { .kind = kind, .batch = (size_t)x.dims[0], .channels = (size_t)x.dims[1], .height = (size_t)x.dims[2], .width = (size_t)x.dims[3] };
    struct ood_operand operands[4];
    int64_t out[2];
    if (!ood_tape_wants(tape, node->inputs[0]))
        return true;
    if (!pool_window(node, &x, &state.window, out, err) || !ood_tape_gradient(tape, node->outputs[0], &operands[0], err) ||
        !ood_builder_input(builder, node->outputs[0], OOD_NHWC, &operands[2], err) ||
        !ood_builder_input(builder, node->inputs[0], OOD_NHWC, &operands[3], err) ||
        !ood_tape_gradient_into(tape, node->inputs[0], OOD_NONE, &operands[1], &state.add, err))
        return false;
    state.out_height = (size_t)out[0];
    state.out_width = (size_t)out[1];
    const struct ood_step_spec step = { .node = node, .kernel = "own:pool_gradient", .run = run_pool_gradient, .state = &state,
                                        .state_size = sizeof state, .operands = operands, .operand_count = kind == OOD_POOLING_MAX ? 4 : 2 };
    return ood_builder_step(builder, &step, err);
}

static bool max_pool_backward(struct ood_tape *tape, const struct ood_node *node, struct ood_error *err)
{
    return pool_backward(tape, node, OOD_POOLING_MAX, err);
}

static bool average_pool_backward(struct ood_tape *tape, const struct ood_node *node, struct ood_error *err)
{
    return pool_backward(tape, node, ood_node_int(node, "count_include_pad", 0) != 0 ? OOD_POOLING_AVERAGE_PADDED : OOD_POOLING_AVERAGE, err);
}

const struct ood_op ood_op_max_pool = {
    .name = "MaxPool", .since = 1, .least_inputs = 1, .most_inputs = 1,
    .check = pool_check, .shape = pool_shape, .lower = max_pool_lower, .backward = max_pool_backward,
};

bool ood_max_pool_of(const struct ood_node *node, const struct ood_shape *x, struct ood_window *window, int64_t out[2])
{
    struct ood_error err;
    return node->op == &ood_op_max_pool && pool_window(node, x, window, out, &err);
}

const struct ood_op ood_op_average_pool = {
    .name = "AveragePool", .since = 1, .least_inputs = 1, .most_inputs = 1, .traits = OOD_OP_PADS_COUNTED,
    .check = pool_check, .shape = pool_shape, .lower = average_pool_lower, .backward = average_pool_backward,
};
