/* ConvTranspose (ONNX opset 1, 11): 2-D, channels last. Each row of source pixels times the weights gives what every pixel adds to its
 * window; the windows are added up. Sums of windows run in the order of rows and columns, so bits depend on the picture alone. */
#include <string.h>

#include "ops/ops.h"
#include "ops/ops_internal.h"
#include "ops/posts_internal.h"

enum { H, W };

/* What the attributes come to; [0] is H, [1] is W. */
struct geometry { int64_t kernel[2], stride[2], dilation[2], begin[2], end[2], extra[2], out[2], groups; };

static bool pair(const struct ood_node *node, const char *name, int64_t least, int64_t out[2], struct ood_error *err)
{
    size_t count;
    const int64_t *values = ood_node_ints(node, name, &count);
    if (values == NULL)
        return true;
    for (size_t i = 0; i < 2; i++) {
        if (count != 2 || values[i] < least || values[i] > INT32_MAX)
            return ood_node_fail(node, err, OOD_INVALID, "%s has %zu entries, or one below %lld", name, count, (long long)least);
        out[i] = values[i];
    }
    return true;
}

static bool read_pads(const struct ood_node *node, struct geometry *g, struct ood_error *err)
{
    size_t count;
    const int64_t *pads = ood_node_ints(node, "pads", &count);
    for (size_t i = 0; pads != NULL && i < 2; i++) {
        if (count != 4 || pads[i] < 0 || pads[2 + i] < 0 || pads[i] > INT32_MAX || pads[2 + i] > INT32_MAX)
            return ood_node_fail(node, err, OOD_INVALID, "pads has %zu entries, or a negative one", count);
        g->begin[i] = pads[i];
        g->end[i] = pads[2 + i];
    }
    return true;
}

static bool read_geometry(const struct ood_node *node, const struct ood_shape *x, const struct ood_shape *w, struct geometry *out,
                          struct ood_error *err)
{
    struct geometry g = { .kernel = { w->dims[2], w->dims[3] }, .stride = { 1, 1 }, .dilation = { 1, 1 }, .groups = ood_node_int(node, "group", 1) };
    int64_t shape[2] = { 0 };
    const char *automatic = ood_node_string(node, "auto_pad", "NOTSET");
    const bool upper = strcmp(automatic, "SAME_UPPER") == 0, lower = strcmp(automatic, "SAME_LOWER") == 0;
    if (!pair(node, "kernel_shape", 1, g.kernel, err) || !pair(node, "strides", 1, g.stride, err) ||
        !pair(node, "dilations", 1, g.dilation, err) || !pair(node, "output_padding", 0, g.extra, err) ||
        !pair(node, "output_shape", 1, shape, err) || !read_pads(node, &g, err))
        return false;
    if (!upper && !lower && strcmp(automatic, "NOTSET") != 0 && strcmp(automatic, "VALID") != 0)
        return ood_node_fail(node, err, OOD_INVALID, "auto_pad is %.40s", automatic);
    for (size_t i = 0; i < 2; i++) {
        if (g.kernel[i] != w->dims[2 + i] || x->dims[2 + i] < 1 || x->dims[2 + i] > INT32_MAX || g.extra[i] >= (g.stride[i] > g.dilation[i] ? g.stride[i] : g.dilation[i]))
            return ood_node_fail(node, err, OOD_INVALID, "kernel_shape, output_padding or the source's size do not fit");
        const int64_t whole = g.stride[i] * (x->dims[2 + i] - 1) + g.extra[i] + (g.kernel[i] - 1) * g.dilation[i] + 1;
        const bool given = shape[i] > 0;
        if (given || upper || lower) {
            const int64_t wanted = given ? shape[i] : x->dims[2 + i] * g.stride[i], total = whole - wanted > 0 ? whole - wanted : 0;
            g.begin[i] = upper ? total / 2 : total - total / 2;
            g.end[i] = whole - wanted - g.begin[i];          /* negative: the output is wider than what is added up */
            g.out[i] = wanted;
        } else {
            g.out[i] = whole - g.begin[i] - g.end[i];
        }
        if (g.out[i] < 1 || g.out[i] > INT32_MAX)
            return ood_node_fail(node, err, OOD_INVALID, "the output has %lld rows or columns", (long long)g.out[i]);
    }
    *out = g;
    return true;
}

static bool conv_transpose_shape(struct ood_graph *graph, const struct ood_node *node, struct ood_error *err)
{
    const struct ood_value *source = ood_node_input(graph, node, 0), *weights = ood_node_input(graph, node, 1), *bias = ood_node_input(graph, node, 2);
    const struct ood_shape *x = &source->shape, *w = &weights->shape;
    const int64_t groups = ood_node_int(node, "group", 1);
    struct geometry geometry;
    char text[OOD_SHAPE_TEXT];
    if (weights->constant == NULL || (bias != NULL && bias->constant == NULL))
        return ood_node_fail(node, err, OOD_UNSUPPORTED, "the weights or the bias are computed, expected constants");
    if (source->type != OOD_FLOAT32 || weights->type != OOD_FLOAT32)
        return ood_node_fail(node, err, OOD_UNSUPPORTED, "%s by %s, expected float32", ood_type_name(source->type), ood_type_name(weights->type));
    if (x->rank != 4 || w->rank != 4)
        return ood_node_fail(node, err, OOD_UNSUPPORTED, "a source of shape %s, expected 4 dimensions (NxCxHxW)", ood_shape_print(x, text));
    if (groups < 1 || groups > INT32_MAX || x->dims[1] != w->dims[0] || w->dims[0] < 1 || w->dims[0] % groups != 0 || w->dims[1] < 1 || w->dims[1] > INT32_MAX)
        return ood_node_fail(node, err, OOD_INVALID, "weights of shape %s in %lld groups do not fit %lld channels", ood_shape_print(w, text),
                             (long long)groups, (long long)x->dims[1]);
    if (bias != NULL && (bias->type != OOD_FLOAT32 || bias->shape.rank != 1 || bias->shape.dims[0] != w->dims[1] * groups))
        return ood_node_fail(node, err, OOD_INVALID, "the bias %s is not a constant of %lld float32", bias->name, (long long)(w->dims[1] * groups));
    if (!read_geometry(node, x, w, &geometry, err))
        return false;
    const struct ood_shape shape = ood_shape_of(4, x->dims[0], w->dims[1] * groups, geometry.out[H], geometry.out[W]);
    return ood_graph_set_output(graph, node, 0, OOD_FLOAT32, &shape, err);
}

/* ---- the step ---- */

struct transposed {
    const struct ood_kernels *kernels;
    struct geometry g;
    size_t batch, height, width;             /* of the source */
    size_t in, out;                          /* channels of a group */
    size_t packed;                           /* floats of a group's weights */
    bool bias;
};

/* One row of source pixels of one group: products [width][kh][kw][out], added where they belong. */
static void add_row(const struct transposed *s, float *y, const float *products, size_t row, size_t group)
{
    const size_t channels = s->out * (size_t)s->g.groups;
    for (size_t x = 0; x < s->width; x++)
        for (int64_t i = 0; i < s->g.kernel[H]; i++)
            for (int64_t j = 0; j < s->g.kernel[W]; j++, products += s->out) {
                const int64_t r = (int64_t)row * s->g.stride[H] + i * s->g.dilation[H] - s->g.begin[H];
                const int64_t c = (int64_t)x * s->g.stride[W] + j * s->g.dilation[W] - s->g.begin[W];
                if (r < 0 || r >= s->g.out[H] || c < 0 || c >= s->g.out[W])
                    continue;
                float *to = y + (size_t)(r * s->g.out[W] + c) * channels + group * s->out;
                s->kernels->binary(OOD_BINARY_ADD, to, to, products, s->out, NULL, 0);
            }
}

/* memory: source, weights, output, products, the group's pixels of a row, bias. */
static void run_transposed(const void *state, void *const *memory)
{
    const struct transposed *s = state;
    const size_t groups = (size_t)s->g.groups, area = (size_t)(s->g.out[H] * s->g.out[W]), channels = s->out * groups;
    const size_t columns = s->out * (size_t)(s->g.kernel[H] * s->g.kernel[W]);
    const float *x = memory[0];
    float *y = memory[2], *pixels = memory[4];
    for (size_t n = 0; n < s->batch; n++, y += area * channels) {
        for (size_t i = 0; i < area; i++) {
            if (s->bias)
                memcpy(y + i * channels, memory[5], channels * sizeof *y);
            else
                memset(y + i * channels, 0, channels * sizeof *y);
        }
        for (size_t row = 0; row < s->height; row++, x += s->width * s->in * groups)
            for (size_t group = 0; group < groups; group++) {
                const float *source = x;
                for (size_t i = 0; groups > 1 && i < s->width; i++)
                    memcpy(pixels + i * s->in, x + (i * groups + group) * s->in, s->in * sizeof *x);
                if (groups > 1)
                    source = pixels;
                s->kernels->product(memory[3], source, (const float *)memory[1] + group * s->packed, NULL, NULL, s->width, s->in, columns, NULL, 0);
                add_row(s, y, memory[3], row, group);
            }
    }
}

/* Weights [in·groups][out][kh][kw] to a packed matrix [in][kh][kw][out] a group. */
struct packing { const struct transposed *s; const float *weights; };

static bool fill_weights(void *memory, const void *context, struct ood_error *err)
{
    const struct packing *p = context;
    const struct transposed *s = p->s;
    const size_t window = (size_t)(s->g.kernel[H] * s->g.kernel[W]), columns = s->out * window;
    float *matrix = ood_new_array(float, s->in * columns, err);
    if (matrix == NULL)
        return false;
    for (size_t group = 0; group < (size_t)s->g.groups; group++) {
        const float *from = p->weights + group * s->in * columns;
        for (size_t i = 0; i < s->in; i++)
            for (size_t o = 0; o < s->out; o++)
                for (size_t k = 0; k < window; k++)
                    matrix[i * columns + k * s->out + o] = from[(i * s->out + o) * window + k];
        s->kernels->pack_b((float *)memory + group * s->packed, matrix, s->in, columns, columns, 1);
    }
    ood_free(matrix);
    return true;
}

static bool conv_transpose_lower(struct ood_builder *builder, const struct ood_node *node, struct ood_error *err)
{
    const struct ood_graph *graph = ood_builder_graph(builder);
    const struct ood_tensor *weights = graph->values[node->inputs[1]].constant;
    const struct ood_value *bias = ood_node_input(graph, node, 2);
    const struct ood_shape x = ood_builder_shape(builder, node->inputs[0]);
    struct transposed state = { .kernels = ood_builder_kernels(builder), .batch = (size_t)x.dims[0], .height = (size_t)x.dims[2],
                                .width = (size_t)x.dims[3], .out = (size_t)weights->shape.dims[1], .bias = bias != NULL };
    struct ood_operand operands[6] = { [1] = { .buffer = OOD_NONE } };
    size_t columns, floats, bytes;
    if (!read_geometry(node, &x, &weights->shape, &state.g, err))
        return false;
    state.in = (size_t)(x.dims[1] / state.g.groups);
    columns = state.out * (size_t)(state.g.kernel[H] * state.g.kernel[W]);
    state.packed = state.kernels->packed_b_floats(state.in, columns);
    if (state.packed == 0 || !ood_mul_size(state.packed, (size_t)state.g.groups, &floats) || !ood_mul_size(floats, sizeof(float), &bytes))
        return ood_node_fail(node, err, OOD_LIMIT, "the weights are too large");
    const struct packing packing = { &state, ood_f32(weights) };
    operands[1].weights = ood_builder_weights(builder, node, "packed", bytes, fill_weights, &packing, err);
    if (operands[1].weights == NULL || !ood_builder_input(builder, node->inputs[0], OOD_NHWC, &operands[0], err) ||
        !ood_builder_output(builder, node->outputs[0], OOD_NHWC, &operands[2], err))
        return false;
    if (!ood_mul_size(state.width, columns, &floats) || !ood_mul_size(floats, sizeof(float), &bytes))
        return ood_node_fail(node, err, OOD_LIMIT, "the map is too wide");
    if (!ood_builder_scratch(builder, bytes, &operands[3], err) ||
        !ood_builder_scratch(builder, state.width * state.in * sizeof(float), &operands[4], err) ||
        (state.bias && !ood_builder_input(builder, node->inputs[2], OOD_PLAIN, &operands[5], err)))
        return false;
    const struct ood_step_spec step = {
        .node = node, .kernel = state.kernels->name.product, .run = run_transposed, .state = &state, .state_size = sizeof state,
        .operands = operands, .operand_count = state.bias ? 6 : 5,
        .flops = 2 * (double)(state.batch * state.height * state.width) * (double)(state.in * columns) * (double)state.g.groups
    };
    return ood_builder_step(builder, &step, err);
}

const struct ood_op ood_op_conv_transpose = {
    .name = "ConvTranspose", .since = 1, .least_inputs = 2, .most_inputs = 3, .shape = conv_transpose_shape, .lower = conv_transpose_lower,
};
