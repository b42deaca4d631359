/* Activations and residual sums become posts of the operator before, which writes the result in one go. In training fewer do: those
 * whose gradient the operator's backward pass can take along. */
#include "graph/passes/passes.h"

/* In training: a sum comes first, an activation follows batch norm alone. */
static bool trains_with(const struct ood_node *node, enum ood_post_kind kind)
{
    const bool norm = (node->op->traits & OOD_OP_BATCH_NORM) != 0;
    if (kind == OOD_POST_SUM)
        return node->post_count == 0 && (norm || (node->op->traits & OOD_OP_LINEAR) != 0);
    return norm && (kind == OOD_POST_RELU || kind == OOD_POST_CLIP) &&
           (node->post_count == 0 || (node->post_count == 1 && node->posts[0].kind == OOD_POST_SUM));
}

/* The node that makes `value` and can take one more post, or OOD_NONE. */
static uint32_t taker(const struct ood_passes *passes, uint32_t value, enum ood_post_kind kind, bool training)
{
    uint32_t producer = ood_sole_producer(passes, value);
    if (producer == OOD_NONE)
        return OOD_NONE;
    const struct ood_node *node = &passes->graph->nodes[producer];
    if (training && (passes->graph->values[value].shape.rank != 4 || !trains_with(node, kind)))
        return OOD_NONE;
    return (node->op->traits & OOD_OP_TAKES_POSTS) != 0 && node->post_count < OOD_POSTS &&
                   passes->graph->values[value].type == OOD_FLOAT32 ? producer : OOD_NONE;
}

static void fuse_activation(struct ood_passes *passes, uint32_t i, const struct ood_post *post, bool training)
{
    uint32_t before = taker(passes, passes->graph->nodes[i].inputs[0], post->kind, training);
    if (before == OOD_NONE)
        return;
    struct ood_node *node = ood_merge(passes, before, i);
    node->posts[node->post_count++] = *post;
}

/* Which operand's maker computes the sum: a linear one, whose result is still in registers, before others; of two, the
 * later one, whose time of running then changes least. */
static size_t summing_operand(const struct ood_graph *graph, const uint32_t takers[2])
{
    if (takers[0] == OOD_NONE || takers[1] == OOD_NONE)
        return takers[0] == OOD_NONE;
    bool linear0 = (graph->nodes[takers[0]].op->traits & OOD_OP_LINEAR) != 0;
    bool linear1 = (graph->nodes[takers[1]].op->traits & OOD_OP_LINEAR) != 0;
    return linear0 != linear1 ? linear1 : takers[1] > takers[0];
}

static void fuse_sum(struct ood_passes *passes, uint32_t i, bool training)
{
    struct ood_graph *graph = passes->graph;
    const struct ood_node *add = &graph->nodes[i];
    if (add->input_count != 2 || add->output_count != 1 || add->post_count > 0 || add->inputs[0] == OOD_NONE ||
        add->inputs[1] == OOD_NONE)
        return;
    const struct ood_value *a = &graph->values[add->inputs[0]], *b = &graph->values[add->inputs[1]];
    if (a->constant != NULL || b->constant != NULL || a->type != OOD_FLOAT32 || b->type != OOD_FLOAT32 ||
        !ood_shape_equal(&a->shape, &b->shape))
        return;
    uint32_t takers[2] = { taker(passes, add->inputs[0], OOD_POST_SUM, training), taker(passes, add->inputs[1], OOD_POST_SUM, training) };
    size_t k = summing_operand(graph, takers);
    if (takers[k] == OOD_NONE)
        return;
    uint32_t other = add->inputs[1 - k];
    struct ood_node *node = ood_merge(passes, takers[k], i);          /* in the Add's place: the other operand is there */
    node->posts[node->post_count++] = (struct ood_post){ .kind = OOD_POST_SUM, .value = other };
    graph->values[other].uses++;
}

/* x·sigmoid(x) and x·hard_sigmoid(x), the latter of HardSwish's slope, as exporters write SiLU and HardSwish. */
static bool gate_kind(const struct ood_graph *graph, const struct ood_node *gate, struct ood_post *out)
{
    struct ood_post post = { .value = OOD_NONE };
    if (gate->post_count > 0 || gate->op->as_post == NULL || !gate->op->as_post(graph, gate, &post))
        return false;
    const bool hard = post.kind == OOD_POST_HARD_SIGMOID && post.beta == 0.5f && post.alpha > 0.16666f && post.alpha < 0.16667f;
    *out = (struct ood_post){ .kind = hard ? OOD_POST_HARD_SWISH : OOD_POST_SILU, .value = OOD_NONE };
    return hard || post.kind == OOD_POST_SIGMOID;
}

/* Node i multiplies what a node makes by a gate of the same, and nobody else reads either. */
static void fuse_gate(struct ood_passes *passes, uint32_t i)
{
    struct ood_graph *graph = passes->graph;
    const struct ood_node *product = &graph->nodes[i];
    if (product->input_count != 2 || product->post_count > 0 || product->inputs[0] == OOD_NONE || product->inputs[1] == OOD_NONE)
        return;
    for (size_t k = 0; k < 2; k++) {
        const uint32_t x = product->inputs[1 - k], gated = product->inputs[k], gate = ood_sole_producer(passes, gated);
        struct ood_post post;
        if (gate == OOD_NONE || graph->nodes[gate].inputs[0] != x || graph->values[x].uses != 2 ||
            !gate_kind(graph, &graph->nodes[gate], &post))
            continue;
        graph->values[x].uses--;             /* the gate's */
        const uint32_t before = taker(passes, x, post.kind, false);
        if (before == OOD_NONE) {
            graph->values[x].uses++;
            return;
        }
        graph->nodes[gate].dead = true;
        graph->values[gated].producer = OOD_NONE;
        struct ood_node *node = ood_merge(passes, before, i);
        node->posts[node->post_count++] = post;
        return;
    }
}

static void fuse(struct ood_passes *passes, bool training)
{
    struct ood_graph *graph = passes->graph;
    for (uint32_t i = 0; i < graph->node_count; i++) {
        const struct ood_node *node = &graph->nodes[i];
        struct ood_post post = { .value = OOD_NONE };
        if (node->dead || node->output_count != 1)
            continue;
        if (node->op->as_post != NULL && node->op->as_post(graph, node, &post))
            fuse_activation(passes, i, &post, training);
        else if ((node->op->traits & OOD_OP_ADD) != 0)
            fuse_sum(passes, i, training);
        else if ((node->op->traits & OOD_OP_MUL) != 0 && !training)
            fuse_gate(passes, i);
    }
}

bool ood_pass_fuse_posts(struct ood_passes *passes, struct ood_error *err)
{
    (void)err;
    fuse(passes, false);
    return true;
}

bool ood_pass_fuse_training(struct ood_passes *passes, struct ood_error *err)
{
    (void)err;
    fuse(passes, true);
    return true;
}
