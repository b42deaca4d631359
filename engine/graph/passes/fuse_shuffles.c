/* Channel shuffles as exporters write them become one node, with the Concat of two equal values before and the Split into halves behind as far
 * as they serve nothing else:
 *   x [N,g·c,H,W] seen as [N,g,c,H,W] (or [N,g,c,H·W]), g and c exchanged, seen as [N,c·g,H,W]; halves by Split or two Slices
 *   x [N,2·c,H,W] seen as [N·c,2,H·W], turned to [2,N·c,H·W], seen as [2,N,c,H,W]; halves by a Gather each: the even and the odd channels */
#include "graph/passes/pattern.h"

struct shuffle {
    uint32_t before, turn, after;            /* nodes: Reshape, Transpose, Reshape */
    uint32_t joint;                          /* the Concat, or OOD_NONE */
    uint32_t x;                              /* what the first Reshape reads */
    int64_t groups;
    bool parts;                              /* the halves are the first axis of what comes out */
    uint32_t readers[2], halves[2];          /* nodes that take the halves (one twice, or OOD_NONE), and these values */
};

/* The first reader of `value` behind node `from`, or OOD_NONE. */
static uint32_t reader_behind(const struct ood_graph *graph, uint32_t from, uint32_t value)
{
    for (uint32_t i = from + 1; i < graph->node_count; i++)
        for (size_t k = 0; !graph->nodes[i].dead && k < graph->nodes[i].input_count; k++)
            if (graph->nodes[i].inputs[k] == value)
                return i;
    return OOD_NONE;
}

static bool turns(const struct ood_node *node, const int64_t *wanted, size_t rank)
{
    size_t count;
    const int64_t *perm = ood_node_ints(node, "perm", &count);
    bool same = perm != NULL && count == rank;
    for (size_t i = 0; same && i < rank; i++)
        same = perm[i] == wanted[i];
    return same;
}

/* Do the shapes tell one of the two forms? Sets groups and parts. */
static bool is_shuffle(const struct ood_graph *graph, struct shuffle *s)
{
    static const int64_t inner[] = { 0, 2, 1, 3, 4 }, outer[] = { 1, 0, 2 };
    const struct ood_shape *x = &graph->values[s->x].shape, *y = &graph->values[graph->nodes[s->after].outputs[0]].shape;
    const struct ood_node *turn = &graph->nodes[s->turn];
    const struct ood_shape *seen = &graph->values[turn->inputs[0]].shape;
    if (graph->values[s->x].constant != NULL || graph->values[s->x].type != OOD_FLOAT32 || x->rank != 4)
        return false;
    for (size_t i = 1; i < 4; i++)
        if (ood_dim_is_batch(x->dims[i]) || x->dims[i] < 1 || x->dims[i] > INT32_MAX)
            return false;
    if (seen->rank == 3) {
        const struct ood_shape parts = ood_shape_of(5, (int64_t)2, x->dims[0], x->dims[1] / 2, x->dims[2], x->dims[3]);
        s->groups = x->dims[1] / 2;
        s->parts = true;
        return turns(turn, outer, 3) && x->dims[1] % 2 == 0 && seen->dims[1] == 2 && seen->dims[2] == x->dims[2] * x->dims[3] &&
               ood_shape_equal(y, &parts);
    }
    if (seen->rank != 4 && seen->rank != 5)
        return false;
    s->groups = seen->dims[1];
    s->parts = false;
    return turns(turn, inner, seen->rank) && ood_shape_equal(x, y) && seen->dims[0] == x->dims[0] && !ood_dim_is_batch(s->groups) && s->groups >= 1 &&
           x->dims[1] % s->groups == 0 && seen->dims[2] == x->dims[1] / s->groups &&
           (seen->rank == 5 ? seen->dims[3] == x->dims[2] && seen->dims[4] == x->dims[3] : seen->dims[3] == x->dims[2] * x->dims[3]);
}

/* Two values of one shape, joined along the channels. */
static void find_joint(const struct ood_passes *passes, struct shuffle *s)
{
    const struct ood_graph *graph = passes->graph;
    const uint32_t joint = ood_sole_producer(passes, s->x);
    s->joint = OOD_NONE;
    if (!ood_pattern_is_alive(graph, joint, OOD_OP_CONCAT) || graph->nodes[joint].input_count != 2)
        return;
    const uint32_t *inputs = graph->nodes[joint].inputs;
    const int64_t axis = ood_node_int(&graph->nodes[joint], "axis", 0);
    if ((axis == 1 || axis == -3) && inputs[0] != inputs[1] && graph->values[inputs[0]].constant == NULL && graph->values[inputs[1]].constant == NULL &&
        ood_shape_equal(&graph->values[inputs[0]].shape, &graph->values[inputs[1]].shape))
        s->joint = joint;
}

/* Puts what node `reader` takes of the whole among the halves. */
static bool take_halves(const struct ood_graph *graph, struct shuffle *s, uint32_t reader, int64_t half)
{
    const struct ood_node *node = &graph->nodes[reader];
    for (size_t i = 0; i < node->output_count; i++) {
        struct ood_part part;
        if (node->op->part == NULL || node->outputs[i] == OOD_NONE || !node->op->part(graph, node, i, &part))
            return false;
        const bool fits = s->parts ? part.axis == 0 && part.dropped && part.start < 2
                                   : part.axis == 1 && !part.dropped && part.size == half && part.start % half == 0;
        const size_t which = fits ? (size_t)(s->parts ? part.start : part.start / half) : 0;
        if (!fits || which > 1 || s->halves[which] != OOD_NONE)
            return false;
        s->halves[which] = node->outputs[i];
        s->readers[which] = reader;
    }
    return true;
}

static void find_halves(const struct ood_passes *passes, struct shuffle *s)
{
    const struct ood_graph *graph = passes->graph;
    const uint32_t whole = graph->nodes[s->after].outputs[0], uses = graph->values[whole].uses;
    const int64_t channels = graph->values[s->x].shape.dims[1];
    s->halves[0] = s->halves[1] = s->readers[0] = s->readers[1] = OOD_NONE;
    bool whole_taken = !ood_is_kept(passes, whole) && channels % 2 == 0;
    uint32_t found = 0;
    for (uint32_t i = s->after; whole_taken && found < uses && (i = reader_behind(graph, i, whole)) != OOD_NONE; found++)
        whole_taken = graph->nodes[i].inputs[0] == whole && take_halves(graph, s, i, channels / 2);
    if (!whole_taken || found != uses || s->halves[0] == OOD_NONE || s->halves[1] == OOD_NONE)
        s->halves[0] = s->halves[1] = OOD_NONE;
}

static void bury(struct ood_graph *graph, uint32_t node)
{
    if (node == OOD_NONE || graph->nodes[node].dead)
        return;
    graph->nodes[node].dead = true;
    for (size_t i = 0; i < graph->nodes[node].output_count; i++) {
        graph->values[graph->nodes[node].outputs[i]].producer = OOD_NONE;
        graph->values[graph->nodes[node].outputs[i]].uses = 0;
    }
}

/* One node for all of it, in the place of the first: everything it reads is there, nobody reads its outputs before. */
static bool merge(struct ood_graph *graph, const struct shuffle *s, struct ood_error *err)
{
    const bool joint = s->joint != OOD_NONE, halves = s->halves[0] != OOD_NONE;
    const uint32_t first = joint ? s->joint : s->before, whole = graph->nodes[s->after].outputs[0];
    const struct ood_op *op = graph->nodes[s->turn].op->whole;
    uint32_t *inputs = ood_pool_alloc(&graph->pool, 2, sizeof *inputs, err), *outputs = ood_pool_alloc(&graph->pool, 2, sizeof *outputs, err);
    struct ood_attribute *group = ood_pool_alloc(&graph->pool, 1, sizeof *group, err);
    if (inputs == NULL || outputs == NULL || group == NULL)
        return false;
    *group = (struct ood_attribute){ .name = "group", .kind = OOD_ATTR_INT, .i = s->groups };
    inputs[0] = joint ? graph->nodes[first].inputs[0] : s->x;
    inputs[1] = joint ? graph->nodes[first].inputs[1] : OOD_NONE;
    outputs[0] = halves ? s->halves[0] : whole;
    outputs[1] = s->halves[1];
    const uint32_t uses[2] = { graph->values[outputs[0]].uses, halves ? graph->values[outputs[1]].uses : 0 };
    struct ood_node *node = &graph->nodes[first];
    const uint32_t gone[] = { s->joint, s->before, s->turn, s->after, halves ? s->readers[0] : OOD_NONE, halves ? s->readers[1] : OOD_NONE };
    for (size_t i = 0; i < sizeof gone / sizeof gone[0]; i++)
        bury(graph, gone[i]);
    node->dead = false;
    node->op = op;
    node->inputs = inputs;
    node->input_count = joint ? 2 : 1;
    node->outputs = outputs;
    node->output_count = halves ? 2 : 1;
    node->attributes = group;
    node->attribute_count = 1;
    for (size_t i = 0; i < node->output_count; i++) {
        graph->values[outputs[i]].producer = first;
        graph->values[outputs[i]].uses = uses[i];
    }
    return true;
}

/* Node i transposes. */
static bool match_shuffle(struct ood_passes *passes, uint32_t i, struct ood_error *err)
{
    struct ood_graph *graph = passes->graph;
    struct shuffle s = { .turn = i, .before = ood_sole_producer(passes, graph->nodes[i].inputs[0]) };
    const uint32_t turned = graph->nodes[i].outputs[0];
    if (graph->nodes[i].op->whole == NULL || !ood_pattern_is_alive(graph, s.before, OOD_OP_RESHAPE) || ood_is_kept(passes, turned) ||
        graph->values[turned].uses != 1)
        return true;
    s.after = reader_behind(graph, i, turned);
    s.x = graph->nodes[s.before].inputs[0];
    if (!ood_pattern_is_alive(graph, s.after, OOD_OP_RESHAPE) || graph->nodes[s.after].inputs[0] != turned || s.x == OOD_NONE || !is_shuffle(graph, &s))
        return true;
    find_joint(passes, &s);
    find_halves(passes, &s);
    const int64_t channels = graph->values[s.x].shape.dims[1];
    const bool woven = s.groups == 2, pairs = woven || s.groups * 2 == channels;
    if (!pairs || (!woven && channels % 4 != 0))             /* ops/shuffle.c: a half of a half must be whole */
        s.joint = OOD_NONE;
    if (!pairs || (woven && channels % 4 != 0))
        s.halves[0] = s.halves[1] = OOD_NONE;
    return (s.parts && s.halves[0] == OOD_NONE) || merge(graph, &s, err);
}

bool ood_pass_fuse_shuffles(struct ood_passes *passes, struct ood_error *err)
{
    struct ood_graph *graph = passes->graph;
    for (uint32_t i = 0; i < graph->node_count; i++)
        if (ood_pattern_is_alive(graph, i, OOD_OP_TRANSPOSE) && graph->nodes[i].post_count == 0 && !match_shuffle(passes, i, err))
            return false;
    return true;
}
