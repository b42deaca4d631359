/* MaxPool and AveragePool (ONNX opset 1 to 12): 2-D, channels last, by oneDNN. */
#include "ops/ops.h"
#include "ops/window.h"

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
    return pool_lower(builder, node, OOD_POOLING_MAX, err);
}

static bool average_pool_lower(struct ood_builder *builder, const struct ood_node *node, struct ood_error *err)
{
    return pool_lower(builder, node, ood_node_int(node, "count_include_pad", 0) != 0 ? OOD_POOLING_AVERAGE_PADDED : OOD_POOLING_AVERAGE, err);
}

const struct ood_op ood_op_max_pool = {
    .name = "MaxPool", .since = 1, .least_inputs = 1, .most_inputs = 1,
    .check = pool_check, .shape = pool_shape, .lower = max_pool_lower,
};

const struct ood_op ood_op_average_pool = {
    .name = "AveragePool", .since = 1, .least_inputs = 1, .most_inputs = 1,
    .check = pool_check, .shape = pool_shape, .lower = average_pool_lower,
};
