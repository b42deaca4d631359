/* Nodes whose outputs are known at load need not run. What the reader could not compute yet is tried again. */
#include "graph/passes/passes.h"

/* As for the reader: in proportion to what the graph holds already. */
static size_t budget_of(const struct ood_graph *graph)
{
    size_t bytes = (size_t)64 << 20;
    for (size_t i = 0; i < graph->tensor_count; i++)
        bytes += graph->tensors[i]->count * ood_type_size(graph->tensors[i]->type);
    return bytes;
}

bool ood_pass_fold_constants(struct ood_passes *passes, struct ood_error *err)
{
    struct ood_graph *graph = passes->graph;
    size_t budget = budget_of(graph);
    for (size_t i = 0; i < graph->node_count; i++) {
        struct ood_node *node = &graph->nodes[i];
        if (node->dead)
            continue;
        if (!ood_node_evaluate(graph, node, &budget, err))
            return false;
        bool known = true;
        for (size_t k = 0; k < node->output_count; k++)
            known &= node->outputs[k] == OOD_NONE || graph->values[node->outputs[k]].constant != NULL;
        if (!known)
            continue;
        node->dead = true;
        for (size_t k = 0; k < node->output_count; k++)
            if (node->outputs[k] != OOD_NONE)
                graph->values[node->outputs[k]].producer = OOD_NONE;
    }
    return true;
}
