/* Nodes that hand on their input: by trait, by what the row says of this very node, or a reshape to the same shape. */
#include "graph/passes/passes.h"

static bool hands_on(const struct ood_graph *graph, const struct ood_node *node)
{
    if (node->output_count != 1 || node->input_count == 0 || node->inputs[0] == OOD_NONE || node->post_count > 0)
        return false;
    const struct ood_value *in = &graph->values[node->inputs[0]], *out = &graph->values[node->outputs[0]];
    if (in->type != out->type || !ood_shape_equal(&in->shape, &out->shape) || out->constant != NULL)
        return false;
    return (node->op->traits & (OOD_OP_IDENTITY | OOD_OP_RESHAPE)) != 0 ||
           (node->op->identity != NULL && node->op->identity(graph, node));
}

/* The output has a name that must stay: the input's maker writes it instead, if nobody else reads the input. */
static bool take_over(struct ood_passes *passes, struct ood_node *node)
{
    struct ood_graph *graph = passes->graph;
    uint32_t producer = ood_sole_producer(passes, node->inputs[0]);
    if (producer == OOD_NONE)
        return false;
    graph->values[node->inputs[0]].producer = OOD_NONE;
    graph->values[node->outputs[0]].producer = producer;
    graph->nodes[producer].outputs[0] = node->outputs[0];
    return true;
}

bool ood_pass_drop_identities(struct ood_passes *passes, struct ood_error *err)
{
    struct ood_graph *graph = passes->graph;
    uint32_t *instead = ood_new_array(uint32_t, graph->value_count, err);
    if (instead == NULL)
        return false;
    for (uint32_t i = 0; i < graph->value_count; i++)
        instead[i] = i;
    for (size_t i = 0; i < graph->node_count; i++) {                  /* in order: `instead` of an input is final */
        struct ood_node *node = &graph->nodes[i];
        if (node->dead)
            continue;
        for (size_t k = 0; k < node->input_count; k++)
            if (node->inputs[k] != OOD_NONE)
                node->inputs[k] = instead[node->inputs[k]];
        if (!hands_on(graph, node))
            continue;
        struct ood_value *in = &graph->values[node->inputs[0]], *out = &graph->values[node->outputs[0]];
        if (!ood_is_kept(passes, node->outputs[0])) {
            instead[node->outputs[0]] = node->inputs[0];
            in->uses += out->uses;                                    /* of readers still to come */
            out->uses = 0;
            out->producer = OOD_NONE;
        } else if (!take_over(passes, node)) {
            continue;
        }
        in->uses--;
        node->dead = true;
    }
    ood_free(instead);
    return true;
}
