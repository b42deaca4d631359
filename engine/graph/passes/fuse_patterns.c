/* What exporters write in many nodes because their opset has no word for it becomes one node:
 *   GELU                 x · (1 + erf(x / √2)) · 1/2, the factors in any order
 *   attention            fuse_attention.c
 *   LayerNormalization   d = x - mean(x); d / √(mean(d²) + ε) · scale + shift over the last axis, scale and shift as far as there are */
#include "graph/passes/pattern.h"

#include <math.h>

/* ---- reading ---- */

bool ood_pattern_is_alive(const struct ood_graph *graph, uint32_t node, unsigned trait)
{
    return node != OOD_NONE && !graph->nodes[node].dead && (graph->nodes[node].op->traits & trait) != 0 && graph->nodes[node].output_count == 1;
}

bool ood_pattern_has(const struct ood_node *node, unsigned trait)
{
    return (node->op->traits & trait) != 0 && node->output_count == 1 && node->post_count == 0 && node->fused_bias == OOD_NONE;
}

uint32_t ood_pattern_maker(const struct ood_passes *passes, uint32_t value, unsigned trait)
{
    const uint32_t producer = ood_sole_producer(passes, value);
    return producer != OOD_NONE && ood_pattern_has(&passes->graph->nodes[producer], trait) ? producer : OOD_NONE;
}

bool ood_pattern_number(const struct ood_graph *graph, uint32_t value, double *number)
{
    const struct ood_tensor *tensor = value == OOD_NONE ? NULL : graph->values[value].constant;
    if (tensor == NULL || tensor->count != 1 || (tensor->type != OOD_FLOAT32 && tensor->type != OOD_INT64))
        return false;
    *number = tensor->type == OOD_FLOAT32 ? (double)ood_f32(tensor)[0] : (double)ood_i64(tensor)[0];
    return true;
}

static bool is_about(const struct ood_graph *graph, uint32_t value, double expected)
{
    double number;
    return ood_pattern_number(graph, value, &number) && fabs(number - expected) <= 1e-6 * expected;
}

/* The operand beside a known number of a node with two inputs, or OOD_NONE. */
static uint32_t beside(const struct ood_graph *graph, const struct ood_node *node, double number)
{
    for (size_t k = 0; node->input_count == 2 && k < 2; k++)
        if (is_about(graph, node->inputs[k], number) && graph->values[node->inputs[1 - k]].constant == NULL)
            return node->inputs[1 - k];
    return OOD_NONE;
}

void ood_pattern_bury(struct ood_graph *graph, uint32_t node)
{
    if (node == OOD_NONE)
        return;
    graph->nodes[node].dead = true;
    graph->values[graph->nodes[node].outputs[0]].producer = OOD_NONE;
    graph->values[graph->nodes[node].outputs[0]].uses = 0;
}

/* ---- GELU ---- */

struct gelu { uint32_t sum, erf, scaled; };  /* nodes: 1 + erf, erf, x / √2 */

/* Is `value` 1 + erf(x / √2)? */
static bool is_gelu_factor(const struct ood_passes *passes, uint32_t value, uint32_t x, struct gelu *out)
{
    const struct ood_graph *graph = passes->graph;
    out->sum = ood_pattern_maker(passes, value, OOD_OP_ADD);
    if (out->sum == OOD_NONE)
        return false;
    out->erf = ood_pattern_maker(passes, beside(graph, &graph->nodes[out->sum], 1), OOD_OP_ERF);
    if (out->erf == OOD_NONE || graph->nodes[out->erf].op->whole == NULL)
        return false;
    out->scaled = ood_pattern_maker(passes, graph->nodes[out->erf].inputs[0], OOD_OP_DIV | OOD_OP_MUL);
    if (out->scaled == OOD_NONE)
        return false;
    const struct ood_node *scaled = &graph->nodes[out->scaled];
    return (scaled->op->traits & OOD_OP_DIV) != 0 ? scaled->inputs[0] == x && is_about(graph, scaled->inputs[1], sqrt(2))
                                                  : beside(graph, scaled, sqrt(0.5)) == x;
}

/* Node i multiplies; one of its operands is a product, too: three factors. */
static void match_gelu(struct ood_passes *passes, uint32_t i)
{
    struct ood_graph *graph = passes->graph;
    struct ood_node *node = &graph->nodes[i];
    for (size_t k = 0; node->input_count == 2 && k < 2; k++) {
        const uint32_t inner = ood_pattern_maker(passes, node->inputs[k], OOD_OP_MUL);
        if (inner == OOD_NONE || graph->nodes[inner].input_count != 2)
            continue;
        const uint32_t factors[3] = { graph->nodes[inner].inputs[0], graph->nodes[inner].inputs[1], node->inputs[1 - k] };
        for (size_t half = 0; half < 3; half++)
            for (size_t swapped = 0; swapped < 2; swapped++) {
                const uint32_t x = factors[(half + 1 + swapped) % 3], factor = factors[(half + 2 - swapped) % 3];
                struct gelu gelu;
                if (!is_about(graph, factors[half], 0.5) || x == OOD_NONE || graph->values[x].constant != NULL ||
                    graph->values[x].type != OOD_FLOAT32 || !is_gelu_factor(passes, factor, x, &gelu) ||
                    !ood_shape_equal(&graph->values[x].shape, &graph->values[node->outputs[0]].shape))
                    continue;
                node->op = graph->nodes[gelu.erf].op->whole;
                node->inputs[0] = x;
                node->input_count = 1;
                node->attribute_count = 0;
                graph->values[x].uses--;     /* it was read twice */
                ood_pattern_bury(graph, inner), ood_pattern_bury(graph, gelu.sum), ood_pattern_bury(graph, gelu.erf), ood_pattern_bury(graph, gelu.scaled);
                return;
            }
    }
}

/* ---- LayerNormalization ---- */

struct layer_norm { uint32_t x, mean, other_mean, difference, other_difference, square, variance, sum, root; double epsilon; };

/* Is node x - mean(x)? */
static bool is_difference(const struct ood_passes *passes, uint32_t node, uint32_t *mean)
{
    const struct ood_graph *graph = passes->graph;
    if (node == OOD_NONE || graph->nodes[node].dead || !ood_pattern_has(&graph->nodes[node], OOD_OP_SUB) || graph->nodes[node].inputs[1] == OOD_NONE ||
        ood_is_kept(passes, graph->nodes[node].outputs[0]) || ood_is_kept(passes, graph->nodes[node].inputs[1]))
        return false;
    const uint32_t from = graph->values[graph->nodes[node].inputs[1]].producer;
    if (from == OOD_NONE || graph->nodes[from].dead || graph->nodes[from].op->last_mean == NULL || graph->nodes[from].output_count != 1 ||
        graph->nodes[from].inputs[0] != graph->nodes[node].inputs[0] || !graph->nodes[from].op->last_mean(graph, &graph->nodes[from]))
        return false;
    *mean = from;
    return true;
}

/* From the division by the root back to x. */
static bool is_normalisation(const struct ood_passes *passes, uint32_t division, struct layer_norm *out)
{
    const struct ood_graph *graph = passes->graph;
    const struct ood_node *nodes = graph->nodes, *by = &nodes[division];
    *out = (struct layer_norm){ .root = ood_pattern_maker(passes, by->inputs[1], OOD_OP_SQRT) };
    out->sum = out->root == OOD_NONE ? OOD_NONE : ood_pattern_maker(passes, nodes[out->root].inputs[0], OOD_OP_ADD);
    if (out->sum == OOD_NONE || nodes[out->sum].input_count != 2)
        return false;
    for (size_t k = 0; k < 2; k++)
        if (ood_pattern_number(graph, nodes[out->sum].inputs[k], &out->epsilon))
            out->variance = ood_sole_producer(passes, nodes[out->sum].inputs[1 - k]);
    if (!(out->epsilon > 0) || out->variance == OOD_NONE || nodes[out->variance].op->last_mean == NULL ||
        !nodes[out->variance].op->last_mean(graph, &nodes[out->variance]))
        return false;
    out->square = ood_pattern_maker(passes, nodes[out->variance].inputs[0], OOD_OP_POW | OOD_OP_MUL);
    if (out->square == OOD_NONE || nodes[out->square].input_count != 2)
        return false;
    const struct ood_node *square = &nodes[out->square];
    const bool power = (square->op->traits & OOD_OP_POW) != 0;
    if (power ? !is_about(graph, square->inputs[1], 2) : square->inputs[0] != square->inputs[1])
        return false;
    out->difference = graph->values[by->inputs[0]].producer;
    out->other_difference = graph->values[square->inputs[0]].producer;
    if (!is_difference(passes, out->difference, &out->mean) || !is_difference(passes, out->other_difference, &out->other_mean))
        return false;
    out->x = nodes[out->difference].inputs[0];
    const bool one = out->difference == out->other_difference;       /* some exporters write it twice, and the mean */
    const uint32_t reads = (one ? 1 : 0) + (power ? 1 : 2);
    return nodes[out->other_difference].inputs[0] == out->x && nodes[out->mean].op->whole != NULL &&
           graph->values[nodes[out->other_difference].outputs[0]].uses == reads &&
           (one || graph->values[nodes[out->difference].outputs[0]].uses == 1) &&
           graph->values[nodes[out->mean].outputs[0]].uses == (!one && out->mean == out->other_mean ? 2 : 1) &&
           (out->mean == out->other_mean || graph->values[nodes[out->other_mean].outputs[0]].uses == 1);
}

/* The one reader of `value`, behind node `from`, if it has this trait and its other operand is `columns` numbers along the last axis. */
static uint32_t reader_with_row(const struct ood_passes *passes, uint32_t from, uint32_t value, unsigned trait, size_t columns, uint32_t *row)
{
    const struct ood_graph *graph = passes->graph;
    if (ood_is_kept(passes, value) || graph->values[value].uses != 1)
        return OOD_NONE;
    for (uint32_t i = from + 1; i < graph->node_count; i++) {
        const struct ood_node *node = &graph->nodes[i];
        for (size_t k = 0; !node->dead && k < node->input_count; k++) {
            if (node->inputs[k] != value)
                continue;
            if (!ood_pattern_has(node, trait) || node->input_count != 2 || node->inputs[1 - k] == OOD_NONE)
                return OOD_NONE;
            *row = node->inputs[1 - k];
            const struct ood_value *other = &graph->values[*row];
            bool fits = other->constant != NULL && other->type == OOD_FLOAT32 && other->constant->count == columns && other->shape.rank >= 1 &&
                        other->shape.rank <= graph->values[value].shape.rank && other->shape.dims[other->shape.rank - 1] == (int64_t)columns;
            return fits ? i : OOD_NONE;
        }
    }
    return OOD_NONE;
}

/* Scale where the file has none. */
static uint32_t add_ones(struct ood_graph *graph, const char *stem, size_t columns, struct ood_error *err)
{
    const struct ood_shape shape = ood_shape_of(1, (int64_t)columns);
    struct ood_tensor *tensor = ood_tensor_new(OOD_FLOAT32, &shape, err);
    if (tensor == NULL)
        return OOD_NONE;
    for (size_t i = 0; i < columns; i++)
        ood_f32(tensor)[i] = 1;
    return ood_graph_add_constant(graph, stem, tensor, err);
}

/* Node i divides. */
static bool match_layer_norm(struct ood_passes *passes, uint32_t i, struct ood_error *err)
{
    struct ood_graph *graph = passes->graph;
    struct layer_norm norm;
    if (graph->nodes[i].input_count != 2 || graph->nodes[i].inputs[0] == OOD_NONE || !is_normalisation(passes, i, &norm))
        return true;
    const struct ood_shape shape = graph->values[norm.x].shape;
    if (shape.rank < 2 || graph->values[norm.x].type != OOD_FLOAT32 || ood_dim_is_batch(shape.dims[shape.rank - 1]) ||
        !ood_shape_equal(&shape, &graph->values[graph->nodes[i].outputs[0]].shape))
        return true;
    const size_t columns = (size_t)shape.dims[shape.rank - 1];
    uint32_t scale = OOD_NONE, shift = OOD_NONE, last = i;
    const uint32_t scaling = reader_with_row(passes, last, graph->nodes[last].outputs[0], OOD_OP_MUL, columns, &scale);
    last = scaling == OOD_NONE ? last : scaling;
    const uint32_t shifting = reader_with_row(passes, last, graph->nodes[last].outputs[0], OOD_OP_ADD, columns, &shift);
    last = shifting == OOD_NONE ? last : shifting;
    if (scaling == OOD_NONE)
        scale = add_ones(graph, graph->nodes[i].name, columns, err);
    uint32_t *inputs = scale == OOD_NONE ? NULL : ood_pool_alloc(&graph->pool, 3, sizeof *inputs, err);
    struct ood_attribute *attribute = inputs == NULL ? NULL : ood_pool_alloc(&graph->pool, 1, sizeof *attribute, err);
    if (attribute == NULL)
        return false;
    *attribute = (struct ood_attribute){ .name = "epsilon", .kind = OOD_ATTR_FLOAT, .f = (float)norm.epsilon };
    inputs[0] = norm.x, inputs[1] = scale, inputs[2] = shift;
    const struct ood_op *whole = graph->nodes[norm.mean].op->whole;
    const uint32_t gone[] = { norm.mean, norm.other_mean, norm.difference, norm.other_difference, norm.square, norm.variance, norm.sum, norm.root, i,
                              scaling };
    struct ood_node *node = &graph->nodes[last];
    for (size_t k = 0; k < sizeof gone / sizeof gone[0]; k++)
        if (gone[k] != last)
            ood_pattern_bury(graph, gone[k]);
    node->op = whole;
    node->inputs = inputs;
    node->input_count = shifting == OOD_NONE ? 2 : 3;
    node->attributes = attribute;
    node->attribute_count = 1;
    graph->values[norm.x].uses -= (norm.mean == norm.other_mean ? 1 : 2) + (norm.difference == norm.other_difference ? 1 : 2) - 1;
    return true;
}

bool ood_pass_fuse_patterns(struct ood_passes *passes, struct ood_error *err)
{
    struct ood_graph *graph = passes->graph;
    for (uint32_t i = 0; i < graph->node_count; i++) {
        if (graph->nodes[i].dead)
            continue;
        if (ood_pattern_has(&graph->nodes[i], OOD_OP_MUL))
            match_gelu(passes, i);
        else if (ood_pattern_has(&graph->nodes[i], OOD_OP_DIV) && !match_layer_norm(passes, i, err))
            return false;
    }
    return ood_fuse_attention(passes, err);
}
