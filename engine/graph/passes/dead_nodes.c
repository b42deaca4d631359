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

struct held { struct ood_tensor **tensors; size_t count, capacity; };

static bool hold(struct held *held, struct ood_tensor *tensor, struct ood_error *err)
{
    if (tensor == NULL)
        return true;
    if (!ood_grow(&held->tensors, &held->capacity, held->count + 1, sizeof *held->tensors, err))
        return false;
    held->tensors[held->count++] = tensor;
    return true;
}

/* Tensors that are attributes, also in branches. */
static bool hold_attributes(struct held *held, const struct ood_node *nodes, size_t count, struct ood_error *err)
{
    bool ok = true;
    for (size_t i = 0; ok && i < count; i++) {
        for (size_t k = 0; ok && k < nodes[i].attribute_count; k++)
            ok = hold(held, nodes[i].attributes[k].tensor, err);
        for (size_t k = 0; ok && nodes[i].branches != NULL && k < 2; k++)
            ok = hold_attributes(held, nodes[i].branches[k].nodes, nodes[i].branches[k].node_count, err);
    }
    return ok;
}

/* Frees the tensors that neither a value nor an attribute of a living node holds. */
static bool free_unread(struct ood_graph *graph, struct ood_error *err)
{
    struct held held = { 0 };
    size_t left = 0;
    bool ok = true;
    for (size_t i = 0; ok && i < graph->value_count; i++)
        ok = hold(&held, graph->values[i].constant, err);
    ok = ok && hold_attributes(&held, graph->nodes, graph->node_count, err) && hold_attributes(&held, graph->later, graph->later_count, err);
    if (ok && held.count > 0)
        qsort(held.tensors, held.count, sizeof *held.tensors, compare_pointers);
    for (size_t i = 0; ok && i < graph->tensor_count; i++) {
        struct ood_tensor *tensor = graph->tensors[i];
        if (held.count > 0 && bsearch(&tensor, held.tensors, held.count, sizeof *held.tensors, compare_pointers) != NULL)
            graph->tensors[left++] = tensor;
        else
            ood_tensor_free(tensor);
    }
    if (ok)
        graph->tensor_count = left;
    ood_free(held.tensors);
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
