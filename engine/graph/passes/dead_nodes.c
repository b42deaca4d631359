/* Nodes that neither an output nor a tap depends on, and constants nobody reads any more. */
#include "graph/passes/passes.h"

#include <stdlib.h>

static void need(unsigned char *needed, uint32_t value)
{
    if (value != OOD_NONE)
        needed[value] = 1;
}

bool ood_pass_mark_dead(struct ood_passes *passes, struct ood_error *err)
{
    struct ood_graph *graph = passes->graph;
    unsigned char *needed = ood_new_array(unsigned char, graph->value_count, err);
    if (needed == NULL)
        return false;
    for (size_t i = graph->node_count; i-- > 0;) {
        struct ood_node *node = &graph->nodes[i];
        bool alive = false;
        for (size_t k = 0; k < node->output_count && !node->dead; k++)
            alive |= node->outputs[k] != OOD_NONE && (needed[node->outputs[k]] || ood_is_kept(passes, node->outputs[k]));
        if (!alive) {
            for (size_t k = 0; k < node->output_count && !node->dead; k++)
                if (node->outputs[k] != OOD_NONE)
                    graph->values[node->outputs[k]].producer = OOD_NONE;
            node->dead = true;
            continue;
        }
        for (size_t k = 0; k < node->input_count; k++)
            need(needed, node->inputs[k]);
        for (size_t k = 0; k < node->post_count; k++)
            need(needed, node->posts[k].kind == OOD_POST_SUM ? node->posts[k].value : OOD_NONE);
        need(needed, node->fused_bias);
    }
    ood_free(needed);
    return true;
}

static int compare_pointers(const void *a, const void *b)
{
    uintptr_t x = (uintptr_t) * (struct ood_tensor *const *)a, y = (uintptr_t) * (struct ood_tensor *const *)b;
    return (x > y) - (x < y);
}

/* Frees the tensors that neither a value nor an attribute of a living node holds. */
static bool free_unread(struct ood_graph *graph, struct ood_error *err)
{
    struct ood_tensor **held = NULL;
    size_t count = 0, capacity = 0, left = 0;
    bool ok = true;
    for (size_t i = 0; ok && i < graph->value_count; i++)
        if (graph->values[i].constant != NULL) {
            ok = ood_grow(&held, &capacity, count + 1, sizeof *held, err);
            if (ok)
                held[count++] = graph->values[i].constant;
        }
    for (size_t i = 0; ok && i < graph->node_count; i++)
        for (size_t k = 0; ok && k < graph->nodes[i].attribute_count; k++)
            if (graph->nodes[i].attributes[k].tensor != NULL) {
                ok = ood_grow(&held, &capacity, count + 1, sizeof *held, err);
                if (ok)
                    held[count++] = graph->nodes[i].attributes[k].tensor;
            }
    if (ok && count > 0)
        qsort(held, count, sizeof *held, compare_pointers);
    for (size_t i = 0; ok && i < graph->tensor_count; i++) {
        struct ood_tensor *tensor = graph->tensors[i];
        if (count > 0 && bsearch(&tensor, held, count, sizeof *held, compare_pointers) != NULL)
            graph->tensors[left++] = tensor;
        else
            ood_tensor_free(tensor);
    }
    if (ok)
        graph->tensor_count = left;
    ood_free(held);
    return ok;
}

bool ood_pass_sweep(struct ood_passes *passes, struct ood_error *err)
{
    struct ood_graph *graph = passes->graph;
    size_t left = 0;
    for (size_t i = 0; i < graph->node_count; i++) {
        if (graph->nodes[i].dead)
            continue;
        for (size_t k = 0; k < graph->nodes[i].output_count; k++)
            if (graph->nodes[i].outputs[k] != OOD_NONE)
                graph->values[graph->nodes[i].outputs[k]].producer = (uint32_t)left;
        graph->nodes[left++] = graph->nodes[i];
    }
    graph->node_count = left;
    for (size_t i = 0; i < graph->value_count; i++)
        if (graph->values[i].uses == 0)
            graph->values[i].constant = NULL;
    return free_unread(graph, err);
}
