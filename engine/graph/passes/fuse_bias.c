/* An Add of one number a channel behind a linear operator becomes its bias. */
#include "graph/passes/passes.h"

/* Does value, broadcast over `output`, vary along the channels only, or not at all? */
static bool is_channel_constant(const struct ood_value *value, const struct ood_shape *output,
                                const struct ood_linear *linear)
{
    const struct ood_shape *shape = &value->shape;
    if (value->constant == NULL || value->type != OOD_FLOAT32 || shape->rank > output->rank)
        return false;
    for (size_t i = 0; i < shape->rank; i++) {
        size_t axis = output->rank - shape->rank + i;
        if (shape->dims[i] != 1 && !(axis == linear->axis && shape->dims[i] == (int64_t)linear->channels))
            return false;
    }
    return true;
}

/* Node i adds operand `constant` to the linear operator's operand `other`. Fuses if it can; *err only where memory ends. */
static bool fuse(struct ood_passes *passes, uint32_t i, size_t constant, size_t other, bool *done, struct ood_error *err)
{
    struct ood_graph *graph = passes->graph;
    struct ood_node *add = &graph->nodes[i];
    struct ood_linear linear;
    uint32_t before = ood_sole_producer(passes, add->inputs[other]);
    if (before == OOD_NONE || !ood_linear_of(graph, &graph->nodes[before], &linear))
        return true;
    const struct ood_value *bias = &graph->values[add->inputs[constant]];
    const struct ood_shape *output = &graph->values[add->outputs[0]].shape;
    if (!ood_shape_equal(output, &graph->values[add->inputs[other]].shape) || !is_channel_constant(bias, output, &linear))
        return true;
    double *sum = ood_new_array(double, linear.channels, err);
    if (sum == NULL)
        return false;
    bool ok = true;
    if (ood_linear_bias(graph, &graph->nodes[before], &linear, sum)) {
        for (size_t c = 0; c < linear.channels; c++)
            sum[c] += ood_f32(bias->constant)[bias->constant->count == 1 ? 0 : c];
        ok = ood_linear_set_bias(graph, before, &linear, sum, err);
        if (ok)
            ood_merge(passes, before, i);
        *done = true;
    }
    ood_free(sum);
    return ok;
}

bool ood_pass_fuse_bias(struct ood_passes *passes, struct ood_error *err)
{
    struct ood_graph *graph = passes->graph;
    for (uint32_t i = 0; i < graph->node_count; i++) {
        const struct ood_node *node = &graph->nodes[i];
        bool done = false;
        if (node->dead || (node->op->traits & OOD_OP_ADD) == 0 || node->input_count != 2 || node->output_count != 1 ||
            node->post_count > 0)
            continue;
        if (!fuse(passes, i, 1, 0, &done, err) || (!done && !fuse(passes, i, 0, 1, &done, err)))
            return false;
    }
    return true;
}
