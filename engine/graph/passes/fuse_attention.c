/* Attention as exporters write it becomes one node: two stacks of matrix products with a softmax along the last axis between them,
 *   softmax(scale · Q·Kᵀ + biases) · V
 * where the scale may be a factor or a divisor of Q, of K or of the scores, and biases (position biases, masks) are added to the scores, which may
 * be reshaped on the way as long as the matrices stay. How Q, K and V come out of what was computed before does not matter here. */
#include "graph/passes/pattern.h"

#define MOST_NODES 10                        /* that go */
#define BIASES 2

struct attention {
    uint32_t q, k;
    bool turned;                             /* K's rows are keys; else its columns */
    double scale;
    bool scaled;                             /* a scale was met: biases behind it would be scaled, too */
    uint32_t biases[BIASES];
    struct ood_shape added_to[BIASES];       /* the scores' shape there */
    size_t bias_count;
    uint32_t gone[MOST_NODES];
    size_t gone_count;
};

static bool is_bare(const struct ood_node *node) { return node->output_count == 1 && node->post_count == 0 && node->fused_bias == OOD_NONE; }

static bool leave_out(struct attention *a, uint32_t node)
{
    if (a->gone_count == MOST_NODES)
        return false;
    a->gone[a->gone_count++] = node;
    return true;
}

/* The operand that node multiplies by one known number, or divides by it; or OOD_NONE. */
static uint32_t scaled_operand(const struct ood_graph *graph, const struct ood_node *node, double *factor)
{
    const bool divides = ood_pattern_has(node, OOD_OP_DIV);
    double number;
    if ((!divides && !ood_pattern_has(node, OOD_OP_MUL)) || node->input_count != 2)
        return OOD_NONE;
    for (size_t i = 0; i < (divides ? 1 : 2); i++) {
        const uint32_t x = node->inputs[i];
        if (x == OOD_NONE || !ood_pattern_number(graph, node->inputs[1 - i], &number) || graph->values[x].type != OOD_FLOAT32 ||
            !ood_shape_equal(&graph->values[x].shape, &graph->values[node->outputs[0]].shape) || (divides && number == 0))
            continue;
        *factor = divides ? 1 / number : number;
        return x;
    }
    return OOD_NONE;
}

/* Same elements in the same order, and the same matrices. */
static bool keeps_matrices(const struct ood_graph *graph, const struct ood_node *node)
{
    const struct ood_shape *from = &graph->values[node->inputs[0]].shape, *to = &graph->values[node->outputs[0]].shape;
    return (node->op->traits & OOD_OP_RESHAPE) != 0 && from->rank >= 2 && to->rank >= 2 &&
           from->dims[from->rank - 1] == to->dims[to->rank - 1] && from->dims[from->rank - 2] == to->dims[to->rank - 2];
}

/* Does `value` give each row of scores its numbers, or all rows the same? */
static bool is_bias(const struct ood_graph *graph, uint32_t value, const struct ood_shape *scores)
{
    const struct ood_shape *shape = &graph->values[value].shape;
    struct ood_shape together;
    return graph->values[value].type == OOD_FLOAT32 && shape->rank >= 1 && shape->dims[shape->rank - 1] == scores->dims[scores->rank - 1] &&
           ood_shape_broadcast(shape, scores, &together) && ood_shape_equal(&together, scores);
}

/* From the scores' `value` back to the product that makes them. */
static bool find_product(const struct ood_passes *passes, uint32_t value, struct attention *a)
{
    const struct ood_graph *graph = passes->graph;
    const uint32_t at = ood_sole_producer(passes, value);
    if (at == OOD_NONE || !is_bare(&graph->nodes[at]))
        return false;
    const struct ood_node *node = &graph->nodes[at];
    double factor;
    if (!leave_out(a, at))
        return false;
    if (node->op->products != NULL && node->op->products(graph, node, &a->turned)) {
        a->q = node->inputs[0], a->k = node->inputs[1];
        return true;
    }
    if (keeps_matrices(graph, node))
        return find_product(passes, node->inputs[0], a);
    const uint32_t x = scaled_operand(graph, node, &factor);
    if (x != OOD_NONE) {
        a->scale *= factor;
        a->scaled = true;
        return find_product(passes, x, a);
    }
    const struct ood_shape *shape = &graph->values[value].shape;
    if (!ood_pattern_has(node, OOD_OP_ADD) || node->input_count != 2 || a->scaled || a->bias_count == BIASES || shape->rank < 2)
        return false;
    for (size_t i = 0; i < 2; i++) {
        const uint32_t bias = node->inputs[1 - i];
        struct attention tried = *a;
        if (bias == OOD_NONE || node->inputs[i] == OOD_NONE || !is_bias(graph, bias, shape) ||
            !ood_shape_equal(&graph->values[node->inputs[i]].shape, shape))
            continue;
        tried.biases[tried.bias_count] = bias;
        tried.added_to[tried.bias_count++] = *shape;
        if (find_product(passes, node->inputs[i], &tried)) {
            *a = tried;
            return true;
        }
    }
    return false;
}

/* A scale that Q or K got before. */
static void take_scale(const struct ood_passes *passes, uint32_t *operand, struct attention *a)
{
    const struct ood_graph *graph = passes->graph;
    const uint32_t at = ood_sole_producer(passes, *operand);
    double factor;
    const uint32_t x = at == OOD_NONE ? OOD_NONE : scaled_operand(graph, &graph->nodes[at], &factor);
    if (x == OOD_NONE || !leave_out(a, at))
        return;
    a->scale *= factor;
    *operand = x;
}

/* Are the matrices' sizes known and not zero? */
static bool is_sized(const struct ood_shape *shape)
{
    for (size_t i = shape->rank - 2; i < shape->rank; i++)
        if (ood_dim_is_batch(shape->dims[i]) || shape->dims[i] <= 0)
            return false;
    return true;
}

/* For each bias, the shape it was added to: attribute `added0`, `added1`. */
static bool rewrite(struct ood_passes *passes, uint32_t i, uint32_t v, const struct attention *a, const struct ood_op *whole,
                    struct ood_error *err)
{
    static const char *const names[BIASES] = { "added0", "added1" };
    struct ood_graph *graph = passes->graph;
    uint32_t *inputs = ood_pool_alloc(&graph->pool, 3 + a->bias_count, sizeof *inputs, err);
    struct ood_attribute *attributes = inputs == NULL ? NULL : ood_pool_alloc(&graph->pool, 2 + a->bias_count, sizeof *attributes, err);
    if (attributes == NULL)
        return false;
    inputs[0] = a->q, inputs[1] = a->k, inputs[2] = v;
    attributes[0] = (struct ood_attribute){ .name = "scale", .kind = OOD_ATTR_FLOAT, .f = (float)a->scale };
    attributes[1] = (struct ood_attribute){ .name = "turned", .kind = OOD_ATTR_INT, .i = a->turned };
    for (size_t b = 0; b < a->bias_count; b++) {
        const size_t from = a->bias_count - 1 - b;                   /* they were found from the last to the first */
        const struct ood_shape *shape = &a->added_to[from];
        int64_t *dims = ood_pool_alloc(&graph->pool, shape->rank, sizeof *dims, err);
        if (dims == NULL)
            return false;
        for (size_t d = 0; d < shape->rank; d++)
            dims[d] = shape->dims[d];
        inputs[3 + b] = a->biases[from];
        attributes[2 + b] = (struct ood_attribute){ .name = names[b], .kind = OOD_ATTR_INTS, .count = shape->rank, .ints = dims };
    }
    for (size_t g = 0; g < a->gone_count; g++)
        ood_pattern_bury(graph, a->gone[g]);
    struct ood_node *node = &graph->nodes[i];
    node->op = whole;
    node->inputs = inputs;
    node->input_count = 3 + a->bias_count;
    node->attributes = attributes;
    node->attribute_count = 2 + a->bias_count;
    return true;
}

bool ood_fuse_attention(struct ood_passes *passes, struct ood_error *err)
{
    struct ood_graph *graph = passes->graph;
    for (uint32_t i = 0; i < graph->node_count; i++) {
        const struct ood_node *node = &graph->nodes[i];
        bool turned;
        if (node->dead || node->op->products == NULL || !is_bare(node) || !node->op->products(graph, node, &turned) || turned)
            continue;
        const uint32_t softmax = ood_sole_producer(passes, node->inputs[0]);
        struct attention a = { .scale = 1 };
        if (softmax == OOD_NONE || graph->nodes[softmax].op->last_softmax == NULL || graph->nodes[softmax].op->whole == NULL ||
            !graph->nodes[softmax].op->last_softmax(graph, &graph->nodes[softmax]) || !leave_out(&a, softmax))
            continue;
        const struct ood_op *whole = graph->nodes[softmax].op->whole;
        const uint32_t v = node->inputs[1];
        if (!find_product(passes, graph->nodes[softmax].inputs[0], &a))
            continue;
        take_scale(passes, &a.q, &a);
        take_scale(passes, &a.k, &a);
        if (is_sized(&graph->values[a.q].shape) && is_sized(&graph->values[a.k].shape) && is_sized(&graph->values[v].shape) &&
            !rewrite(passes, i, v, &a, whole, err))
            return false;
    }
    return true;
}
