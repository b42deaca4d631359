/* y = (x - mean) · scale/√(var + ε) + bias behind a linear operator: the factor goes into its weights, the rest into its
 * bias. One that follows anything else (pre-activation networks) stays a step of its own. */
#include "graph/passes/passes.h"

#include <math.h>

/* Inputs 1 to 4 of BatchNormalization, as ONNX orders them. */
enum { SCALE = 1, BIAS, MEAN, VARIANCE };

static const float *statistics(const struct ood_graph *graph, const struct ood_node *node, size_t i, size_t channels)
{
    const struct ood_value *value = ood_node_input(graph, node, i);
    bool known = value != NULL && value->constant != NULL && value->type == OOD_FLOAT32 && value->constant->count == channels;
    return known ? ood_f32(value->constant) : NULL;
}

/* factor[c] and, from the bias before, the bias after. False: not known, or not numbers to multiply weights by. */
static bool affine(const struct ood_graph *graph, const struct ood_node *node, size_t channels, double *factor,
                   double *bias)
{
    const float *scale = statistics(graph, node, SCALE, channels), *shift = statistics(graph, node, BIAS, channels);
    const float *mean = statistics(graph, node, MEAN, channels), *variance = statistics(graph, node, VARIANCE, channels);
    double epsilon = ood_node_float(node, "epsilon", 1e-5f);
    if (scale == NULL || shift == NULL || mean == NULL || variance == NULL)
        return false;
    for (size_t c = 0; c < channels; c++) {
        factor[c] = scale[c] / sqrt(variance[c] + epsilon);
        bias[c] = (bias[c] - mean[c]) * factor[c] + shift[c];
        if (!isfinite(factor[c]) || !isfinite(bias[c]))
            return false;
    }
    return true;
}

static bool fold(struct ood_passes *passes, uint32_t i, uint32_t before, const struct ood_linear *linear, double *factor,
                 double *bias, struct ood_error *err)
{
    struct ood_graph *graph = passes->graph;
    if (!ood_linear_bias(graph, &graph->nodes[before], linear, bias) ||
        !affine(graph, &graph->nodes[i], linear->channels, factor, bias))
        return true;
    if (!ood_linear_scale(graph, before, linear, factor, err) || !ood_linear_set_bias(graph, before, linear, bias, err))
        return false;
    ood_merge(passes, before, i);
    return true;
}

bool ood_pass_fold_batch_norm(struct ood_passes *passes, struct ood_error *err)
{
    struct ood_graph *graph = passes->graph;
    bool ok = true;
    for (uint32_t i = 0; ok && i < graph->node_count; i++) {
        const struct ood_node *node = &graph->nodes[i];
        struct ood_linear linear;
        if (node->dead || (node->op->traits & OOD_OP_BATCH_NORM) == 0 || node->output_count != 1 || node->input_count != 5)
            continue;
        uint32_t before = ood_sole_producer(passes, node->inputs[0]);
        if (before == OOD_NONE || !ood_linear_of(graph, &graph->nodes[before], &linear) || linear.axis != 1)
            continue;
        double *factor = ood_new_array(double, linear.channels, err);
        double *bias = factor == NULL ? NULL : ood_new_array(double, linear.channels, err);
        ok = bias != NULL && fold(passes, i, before, &linear, factor, bias, err);
        ood_free(factor);
        ood_free(bias);
    }
    return ok;
}
