/* Runs the passes, in the order of the one list below. */
#include "graph/passes/passes.h"

#include <string.h>

/* Bias before batch norm: Conv, Add, BatchNormalization then folds into the Conv as a whole; what is done before a Resize has all of it. */
static const struct {
    unsigned which;                          /* 0: always */
    bool (*run)(struct ood_passes *passes, struct ood_error *err);
} order[] = {
    { 0, ood_pass_fold_constants },
    { OOD_PASS_DROP_IDENTITIES, ood_pass_drop_identities },
    { OOD_PASS_FUSE_PADS, ood_pass_fuse_pads },
    { OOD_PASS_FUSE_PATTERNS, ood_pass_fuse_patterns },
    { OOD_PASS_FUSE_PATTERNS, ood_pass_fuse_shuffles },
    { OOD_PASS_FUSE_BIAS, ood_pass_fuse_bias },
    { OOD_PASS_FOLD_BATCH_NORM, ood_pass_fold_batch_norm },
    { OOD_PASS_SINK_RESIZES, ood_pass_sink_resizes },
    { OOD_PASS_FUSE_POSTS, ood_pass_fuse_posts },
    { OOD_PASS_FUSE_TRAINING, ood_pass_fuse_training },
};

bool ood_is_kept(const struct ood_passes *passes, uint32_t value)
{
    return value < passes->kept_count && passes->kept[value];
}

uint32_t ood_sole_producer(const struct ood_passes *passes, uint32_t value)
{
    const struct ood_graph *graph = passes->graph;
    if (value == OOD_NONE || ood_is_kept(passes, value) || graph->values[value].constant != NULL ||
        graph->values[value].uses != 1)
        return OOD_NONE;
    uint32_t producer = graph->values[value].producer;
    return producer != OOD_NONE && !graph->nodes[producer].dead && graph->nodes[producer].output_count == 1 ? producer : OOD_NONE;
}

struct ood_node *ood_merge(struct ood_passes *passes, uint32_t before, uint32_t at)
{
    struct ood_graph *graph = passes->graph;
    struct ood_node *gone = &graph->nodes[at];
    uint32_t between = graph->nodes[before].outputs[0], output = gone->outputs[0];
    for (size_t i = 0; i < gone->input_count; i++)
        if (gone->inputs[i] != OOD_NONE)
            graph->values[gone->inputs[i]].uses--;
    graph->values[between].producer = OOD_NONE;
    graph->values[output].producer = at;
    *gone = graph->nodes[before];
    gone->outputs[0] = output;
    graph->nodes[before].dead = true;
    return gone;
}

bool ood_graph_simplify(struct ood_graph *graph, unsigned which, const uint32_t *keep, size_t n, struct ood_error *err)
{
    struct ood_passes passes = { .graph = graph, .kept_count = graph->value_count };
    passes.kept = ood_new_array(unsigned char, graph->value_count, err);
    if (passes.kept == NULL)
        return false;
    for (size_t i = 0; i < graph->output_count; i++)
        passes.kept[graph->outputs[i]] = 1;
    for (size_t i = 0; i < n; i++)
        if (keep[i] != OOD_NONE)
            passes.kept[keep[i]] = 1;
    bool ok = true;
    for (size_t i = 0; ok && i < sizeof order / sizeof order[0]; i++)
        if (order[i].which == 0 || (which & order[i].which) != 0) {
            ok = ood_pass_mark_dead(&passes, err);
            ood_graph_count_uses(graph, keep, n);
            ok = ok && order[i].run(&passes, err);
        }
    ok = ok && ood_pass_mark_dead(&passes, err);
    ood_graph_count_uses(graph, keep, n);
    ok = ok && ood_pass_sweep(&passes, err);
    ood_free(passes.kept);
    return ok;
}
