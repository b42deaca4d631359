/* Topological order of the nodes: a depth-first walk with a stack of its own, in the file's order, so that a file that is
 * ordered stays as it is. */
#include "graph/graph_internal.h"

#include <string.h>

enum state { NEW, OPEN, DONE };

struct walk {
    struct ood_graph *graph;
    unsigned char *states;
    uint32_t *stack;                         /* open nodes */
    size_t *next;                            /* for each: the input to look at next */
    struct ood_node *ordered;
    uint32_t *places;                        /* node's new index */
    size_t depth, done;
};

/* What the node reads i-th, its inputs first, then what its posts add; or OOD_NONE. */
static uint32_t reads(const struct ood_node *node, size_t i)
{
    if (i < node->input_count)
        return node->inputs[i];
    const struct ood_post *post = &node->posts[i - node->input_count];
    return post->kind == OOD_POST_SUM ? post->value : OOD_NONE;
}

static bool visit(struct walk *walk, uint32_t start, struct ood_error *err)
{
    struct ood_graph *graph = walk->graph;
    walk->stack[0] = start;
    walk->next[0] = 0;
    walk->depth = 1;
    walk->states[start] = OPEN;
    while (walk->depth > 0) {
        uint32_t at = walk->stack[walk->depth - 1];
        struct ood_node *node = &graph->nodes[at];
        size_t i = walk->next[walk->depth - 1]++;
        if (i == node->input_count + node->post_count) {
            walk->places[at] = (uint32_t)walk->done;
            walk->ordered[walk->done++] = *node;
            walk->states[at] = DONE;
            walk->depth--;
            continue;
        }
        const uint32_t value = reads(node, i), producer = value == OOD_NONE ? OOD_NONE : graph->values[value].producer;
        if (producer == OOD_NONE || walk->states[producer] == DONE)
            continue;
        if (walk->states[producer] == OPEN)
            return ood_node_fail(node, err, OOD_INVALID,
                                 "input \"%s\" depends on the node's own output: the graph has a cycle",
                                 ood_printable(graph->values[value].name).text);
        walk->states[producer] = OPEN;
        walk->stack[walk->depth] = producer;
        walk->next[walk->depth++] = 0;
    }
    return true;
}

bool ood_graph_order(struct ood_graph *graph, struct ood_error *err)
{
    struct ood_pool pool = { 0 };
    size_t n = graph->node_count;
    struct walk walk = { .graph = graph };
    walk.states = ood_pool_alloc(&pool, n, 1, err);
    walk.stack = walk.states == NULL ? NULL : ood_pool_alloc(&pool, n, sizeof *walk.stack, err);
    walk.next = walk.stack == NULL ? NULL : ood_pool_alloc(&pool, n, sizeof *walk.next, err);
    walk.places = walk.next == NULL ? NULL : ood_pool_alloc(&pool, n, sizeof *walk.places, err);
    walk.ordered = walk.places == NULL ? NULL : ood_pool_alloc(&pool, n, sizeof *walk.ordered, err);
    bool ok = walk.ordered != NULL;
    for (uint32_t i = 0; ok && i < n; i++)
        if (walk.states[i] == NEW)
            ok = visit(&walk, i, err);
    if (ok && n > 0) {
        memcpy(graph->nodes, walk.ordered, n * sizeof *graph->nodes);
        for (size_t i = 0; i < graph->value_count; i++)
            if (graph->values[i].producer != OOD_NONE)
                graph->values[i].producer = walk.places[graph->values[i].producer];
    }
    ood_pool_free(&pool);
    return ok;
}
