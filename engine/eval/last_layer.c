/* Back from the logits to the features over one linear node; its weights and biases as plain arrays. */
#include "eval/last_layer.h"

#include <math.h>

#include "graph/op.h"
#include "ops/ops.h"
#include "scorer/scorer.h"

static const struct ood_node *producer_of(const struct ood_graph *graph, uint32_t value)
{
    uint32_t producer = graph->values[value].producer;
    return graph->values[value].constant != NULL || producer == OOD_NONE ? NULL : &graph->nodes[producer];
}

/* What lies behind reshapes and the like; pools only where `pooled` says so. */
static uint32_t skip(const struct ood_graph *graph, uint32_t value, unsigned traits)
{
    for (;;) {
        const struct ood_node *node = producer_of(graph, value);
        if (node == NULL || (node->op->traits & traits) == 0 || node->post_count > 0 || node->input_count == 0 || node->inputs[0] == OOD_NONE)
            return value;
        value = node->inputs[0];
    }
}

static bool add_bias(struct ood_last_layer *layer, const struct ood_value *bias, double scale, struct ood_error *err)
{
    const struct ood_tensor *tensor = bias->constant;
    if (tensor == NULL || tensor->type != OOD_FLOAT32 || (tensor->count != 1 && tensor->count != layer->classes))
        return ood_fail(err, OOD_UNSUPPORTED, "the last layer's bias is not %zu constants", layer->classes);
    for (size_t k = 0; k < layer->classes; k++)
        layer->bias[k] += (float)(scale * (double)ood_f32(tensor)[tensor->count == 1 ? 0 : k]);
    return true;
}

/* weights: [K][D] (Gemm with transB, a convolution's [K][D][1][1]) or [D][K]. */
static bool take_weights(const struct ood_graph *graph, const struct ood_node *node, struct ood_last_layer *layer, struct ood_error *err)
{
    const struct ood_value *value = ood_node_input(graph, node, 1);
    const struct ood_tensor *tensor = value != NULL ? value->constant : NULL;
    size_t count, k = layer->classes, d = layer->dimension;
    if (tensor == NULL || tensor->type != OOD_FLOAT32 || !ood_mul_size(k, d, &count) || tensor->count != count || ood_node_int(node, "transA", 0) != 0)
        return ood_fail(err, OOD_UNSUPPORTED, "the last layer, %s, has no constant weights of %zu by %zu", node->name, k, d);
    bool by_class = tensor->shape.rank == 4 || ood_node_int(node, "transB", 0) != 0;
    double alpha = (double)ood_node_float(node, "alpha", 1);
    layer->weights = ood_new_array(float, count, err);
    layer->bias = ood_new_array(float, k, err);
    if (layer->weights == NULL || layer->bias == NULL)
        return false;
    for (size_t i = 0; i < k; i++)
        for (size_t j = 0; j < d; j++)
            layer->weights[i * d + j] = (float)(alpha * (double)ood_f32(tensor)[by_class ? i * d + j : j * k + i]);
    const struct ood_value *bias = ood_node_input(graph, node, 2);
    return (bias == NULL || add_bias(layer, bias, (double)ood_node_float(node, "beta", 1), err)) &&
           (node->fused_bias == OOD_NONE || add_bias(layer, &graph->values[node->fused_bias], 1, err));
}

static bool find(const struct ood_graph *graph, struct ood_taps taps, struct ood_last_layer *layer, struct ood_error *err)
{
    const unsigned plain = OOD_OP_IDENTITY | OOD_OP_RESHAPE;
    uint32_t at = skip(graph, taps.logits, plain | OOD_OP_POOL_GLOBAL);
    const struct ood_node *node = producer_of(graph, at), *sum = NULL;
    if (node != NULL && (node->op->traits & OOD_OP_ADD) != 0 && node->post_count == 0 && node->input_count == 2 && node->inputs[1] != OOD_NONE) {
        bool first = graph->values[node->inputs[0]].constant != NULL;
        sum = node;
        at = skip(graph, node->inputs[first ? 1 : 0], plain | OOD_OP_POOL_GLOBAL);
        node = producer_of(graph, at);
    }
    if (node == NULL || (node->op->traits & OOD_OP_LINEAR) == 0 || node->input_count < 2)
        return ood_fail(err, OOD_UNSUPPORTED, "the logits come from %s, expected a linear layer", node == NULL ? "an input" : node->op->name);
    if (node->post_count > 0)
        return ood_fail(err, OOD_UNSUPPORTED, "an activation follows the last linear layer, %s", node->name);
    if (node->inputs[0] == OOD_NONE || skip(graph, node->inputs[0], plain) != skip(graph, taps.features, plain))
        return ood_fail(err, OOD_UNSUPPORTED, "the features are not the input of the last linear layer, %s", node->name);
    if (!take_weights(graph, node, layer, err))
        return false;
    if (sum == NULL)
        return true;
    bool first = graph->values[sum->inputs[0]].constant != NULL;
    return add_bias(layer, &graph->values[sum->inputs[first ? 0 : 1]], 1, err);
}

bool ood_last_layer_find(const struct ood_bundle *bundle, struct ood_last_layer *out, struct ood_error *err)
{
    const struct ood_graph_options options = { .operators = ood_op_table, .input_shape = ood_preprocess_shape(&bundle->input), .one_if_needed = true };
    struct ood_last_layer layer = { .classes = bundle->classes, .dimension = bundle->judge.dimension };
    struct ood_taps taps;
    struct ood_graph *graph = ood_graph_read(&bundle->onnx, &options, err);
    bool done = graph != NULL && ood_graph_taps(graph, bundle->logits_tap, bundle->features_tap, &taps, err);
    if (done) {
        const uint32_t keep[] = { taps.logits, taps.features };
        done = ood_graph_simplify(graph, OOD_PASS_FOLD_CONSTANTS | OOD_PASS_DROP_IDENTITIES, keep, 2, err) && find(graph, taps, &layer, err);
    }
    ood_graph_free(graph);
    if (done)
        *out = layer;
    else
        ood_last_layer_clear(&layer);
    return done;
}

void ood_last_layer_clear(struct ood_last_layer *layer)
{
    ood_free(layer->weights);
    ood_free(layer->bias);
    *layer = (struct ood_last_layer){ 0 };
}

void ood_last_layer_apply(const struct ood_last_layer *layer, const double *features, double *logits)
{
    for (size_t k = 0; k < layer->classes; k++) {
        const float *row = layer->weights + k * layer->dimension;
        double sum = (double)layer->bias[k];
        for (size_t d = 0; d < layer->dimension; d++)
            sum += (double)row[d] * features[d];
        logits[k] = sum;
    }
}

bool ood_last_layer_holds(const struct ood_last_layer *layer, const float *logits, const float *features)
{
    for (size_t k = 0; k < layer->classes; k++) {
        const float *row = layer->weights + k * layer->dimension;
        double sum = (double)layer->bias[k], expected = (double)logits[k];
        for (size_t d = 0; d < layer->dimension; d++)
            sum += (double)row[d] * (double)features[d];
        if (!(fabs(sum - expected) <= 1e-3 + 1e-3 * fabs(expected)))
            return false;
    }
    return true;
}
