/* Weights and biases of Conv, Gemm and MatMul, seen alike. Sums and products in double, stored as float32 once. */
#include "graph/passes/passes.h"

#include <string.h>

bool ood_linear_of(const struct ood_graph *graph, const struct ood_node *node, struct ood_linear *out)
{
    if ((node->op->traits & OOD_OP_LINEAR) == 0 || node->output_count != 1 || node->post_count > 0)
        return false;
    const struct ood_value *input = ood_node_input(graph, node, 0), *weights = ood_node_input(graph, node, 1);
    if (input == NULL || input->constant != NULL || weights == NULL || weights->constant == NULL ||
        weights->type != OOD_FLOAT32)
        return false;
    const struct ood_shape *shape = &weights->shape, *output = &graph->values[node->outputs[0]].shape;
    struct ood_linear linear = { .weights = node->inputs[1] };
    if (shape->rank == 2) {
        linear.by_row = ood_node_int(node, "transB", 0) != 0;
        linear.axis = output->rank - 1;
    } else if (shape->rank >= 3 && node->op->most_inputs > 2) {       /* a Conv; a MatMul of stacked matrices takes no bias */
        linear.by_row = true;
        linear.axis = 1;
    } else {
        return false;
    }
    linear.channels = (size_t)(linear.by_row ? shape->dims[0] : shape->dims[1]);
    linear.rest = linear.channels == 0 ? 0 : weights->constant->count / linear.channels;
    if (linear.rest == 0 || output->rank < 2 || output->dims[linear.axis] != (int64_t)linear.channels)
        return false;
    *out = linear;
    return true;
}

/* Is value a constant of one number a channel (or one for all) where the channels are the last axis? */
static const struct ood_tensor *channel_constant(const struct ood_value *value, size_t channels)
{
    const struct ood_tensor *tensor = value->constant;
    if (tensor == NULL || tensor->type != OOD_FLOAT32 || (tensor->count != channels && tensor->count != 1))
        return NULL;
    for (size_t i = 0; i + 1 < tensor->shape.rank; i++)
        if (tensor->shape.dims[i] != 1)
            return NULL;
    return tensor;
}

static bool add_constant(const struct ood_value *value, size_t channels, double factor, double *bias)
{
    const struct ood_tensor *tensor = channel_constant(value, channels);
    if (tensor == NULL)
        return false;
    for (size_t i = 0; i < channels; i++)
        bias[i] += factor * ood_f32(tensor)[tensor->count == 1 ? 0 : i];
    return true;
}

bool ood_linear_bias(const struct ood_graph *graph, const struct ood_node *node, const struct ood_linear *linear,
                     double *bias)
{
    const struct ood_value *input = ood_node_input(graph, node, 2);
    memset(bias, 0, linear->channels * sizeof *bias);
    if (input != NULL && !add_constant(input, linear->channels, ood_node_float(node, "beta", 1.0f), bias))
        return false;
    return node->fused_bias == OOD_NONE || add_constant(&graph->values[node->fused_bias], linear->channels, 1.0, bias);
}

bool ood_linear_set_bias(struct ood_graph *graph, uint32_t node, const struct ood_linear *linear, const double *bias,
                         struct ood_error *err)
{
    struct ood_shape shape = ood_shape_of(1, (int64_t)linear->channels);
    struct ood_tensor *tensor = ood_tensor_new(OOD_FLOAT32, &shape, err);
    if (tensor == NULL)
        return false;
    for (size_t i = 0; i < linear->channels; i++)
        ood_f32(tensor)[i] = (float)bias[i];
    uint32_t value = ood_graph_add_constant(graph, graph->nodes[node].name, tensor, err);
    if (value == OOD_NONE)
        return false;
    struct ood_node *at = &graph->nodes[node];
    if (at->input_count > 2) {
        if (at->inputs[2] != OOD_NONE)
            graph->values[at->inputs[2]].uses--;
        at->input_count = 2;
    }
    if (at->fused_bias != OOD_NONE)
        graph->values[at->fused_bias].uses--;
    at->fused_bias = value;
    graph->values[value].uses = 1;
    return true;
}

bool ood_linear_scale(struct ood_graph *graph, uint32_t node, const struct ood_linear *linear, const double *scale,
                      struct ood_error *err)
{
    struct ood_tensor *scaled = ood_tensor_copy(graph->values[linear->weights].constant, err);
    if (scaled == NULL)
        return false;
    float *weights = ood_f32(scaled);
    for (size_t c = 0; c < linear->channels; c++)
        for (size_t i = 0; i < linear->rest; i++) {
            size_t at = linear->by_row ? c * linear->rest + i : i * linear->channels + c;
            weights[at] = (float)(weights[at] * scale[c]);
        }
    uint32_t value = ood_graph_add_constant(graph, graph->nodes[node].name, scaled, err);
    if (value == OOD_NONE)
        return false;
    graph->values[linear->weights].uses--;
    graph->nodes[node].inputs[1] = value;
    graph->values[value].uses = 1;
    return true;
}
