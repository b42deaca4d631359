/* What the operators say about their nodes: checks, shapes, and values that are known at load. */
#include "graph/graph_internal.h"

#include <string.h>

static bool check_counts(const struct ood_graph *graph, const struct ood_node *node, struct ood_error *err)
{
    const struct ood_op *op = node->op;
    (void)graph;
    if (node->input_count < op->least_inputs || node->input_count > op->most_inputs) {
        if (op->least_inputs == op->most_inputs)
            return ood_node_fail(node, err, OOD_INVALID, "%zu inputs, expected %zu", node->input_count, op->least_inputs);
        if (node->input_count > op->most_inputs)
            return ood_node_fail(node, err, OOD_INVALID, "%zu inputs, expected at most %zu", node->input_count,
                                 op->most_inputs);
        return ood_node_fail(node, err, OOD_INVALID, "%zu inputs, expected at least %zu", node->input_count,
                             op->least_inputs);
    }
    for (size_t i = 0; i < op->least_inputs; i++)
        if (node->inputs[i] == OOD_NONE)
            return ood_node_fail(node, err, OOD_INVALID, "input %zu is missing", i);
    return true;
}

/* Outputs that shape() left open: let go where nobody reads them (a Dropout's mask), else refused. */
static bool settle_outputs(struct ood_graph *graph, struct ood_node *node, struct ood_error *err)
{
    for (size_t i = 0; i < node->output_count; i++) {
        struct ood_value *value = node->outputs[i] == OOD_NONE ? NULL : &graph->values[node->outputs[i]];
        if (value == NULL || value->shape.rank != OOD_RANK_UNKNOWN)
            continue;
        if (i == 0 || value->uses > 0)
            return ood_node_fail(node, err, OOD_UNSUPPORTED,
                                 "output %zu, \"%s\", is used, but this engine does not compute it", i,
                                 ood_printable(value->name).text);
        value->shape.rank = 0;
        value->producer = OOD_NONE;
        node->outputs[i] = OOD_NONE;
    }
    while (node->output_count > 1 && node->outputs[node->output_count - 1] == OOD_NONE)
        node->output_count--;
    return true;
}

/* Outputs whose length only a run can tell: the next stage reads them. */
static bool settle_counted(struct ood_graph *graph, const struct ood_node *node, struct ood_error *err)
{
    size_t axis;
    for (size_t i = 0; node->op->counted != NULL && i < node->output_count; i++) {
        if (node->outputs[i] == OOD_NONE || graph->values[node->outputs[i]].constant != NULL || !node->op->counted(graph, node, i, &axis))
            continue;
        if (!graph->staged)
            return ood_node_fail(node, err, OOD_UNSUPPORTED, "the size of output %zu, \"%s\", depends on the data", i,
                                 ood_printable(graph->values[node->outputs[i]].name).text);
        graph->values[node->outputs[i]].counted = true;
    }
    return true;
}

static bool all_inputs_known(const struct ood_graph *graph, const struct ood_node *node)
{
    for (size_t i = 0; i < node->input_count; i++)
        if (node->inputs[i] != OOD_NONE && graph->values[node->inputs[i]].constant == NULL)
            return false;
    return true;
}

/* More inputs than any operator we evaluate sensibly has. */
#define EVALUATED_INPUTS 256

bool ood_node_evaluate(struct ood_graph *graph, const struct ood_node *node, size_t *bytes, struct ood_error *err)
{
    if (node->op->evaluate == NULL || node->output_count != 1 || node->outputs[0] == OOD_NONE ||
        node->input_count > EVALUATED_INPUTS || node->post_count > 0 || node->fused_bias != OOD_NONE)
        return true;
    struct ood_value *value = &graph->values[node->outputs[0]];
    size_t count, needed;
    if (value->constant != NULL || ood_shape_has_batch(&value->shape) || !all_inputs_known(graph, node))
        return true;
    if (!ood_shape_count(&value->shape, &count) || !ood_mul_size(count, ood_type_size(value->type), &needed) ||
        needed > *bytes)
        return ood_node_fail(node, err, OOD_LIMIT,
                             "computing its output at load takes more memory than the file's size allows");
    *bytes -= needed;
    const struct ood_tensor *inputs[EVALUATED_INPUTS];
    for (size_t i = 0; i < node->input_count; i++)
        inputs[i] = node->inputs[i] == OOD_NONE ? NULL : graph->values[node->inputs[i]].constant;
    struct ood_tensor *result = node->op->evaluate(graph, node, inputs, err);
    if (result == NULL)
        return ood_node_prefix(node, err);
    if (result->type != value->type || !ood_shape_equal(&result->shape, &value->shape)) {
        char found[OOD_SHAPE_TEXT], expected[OOD_SHAPE_TEXT];
        ood_node_fail(node, err, OOD_INVALID, "gave %s at load, expected %s", ood_shape_print(&result->shape, found),
                      ood_shape_print(&value->shape, expected));
        ood_tensor_free(result);
        return false;
    }
    return ood_graph_set_constant(graph, node->outputs[0], result, err);
}

static bool infer_node(struct ood_graph *graph, struct ood_node *node, size_t *budget, struct ood_error *err)
{
    if (!check_counts(graph, node, err))
        return false;
    if ((node->op->check != NULL && !node->op->check(graph, node, err)) || !node->op->shape(graph, node, err))
        return ood_node_prefix(node, err);
    return settle_outputs(graph, node, err) && settle_counted(graph, node, err) && ood_node_evaluate(graph, node, budget, err);
}

/* ---- branches and what must wait ---- */

static bool append(struct ood_node **nodes, size_t *count, size_t *capacity, const struct ood_node *node, struct ood_error *err)
{
    if (!ood_grow(nodes, capacity, *count + 1, sizeof **nodes, err))
        return false;
    (*nodes)[(*count)++] = *node;
    return true;
}

static bool not_told_yet(const struct ood_value *value)
{
    return value->shape.rank == OOD_RANK_UNKNOWN || value->counted;
}

/* Does the node hang on what is computed? Marks what decides. An If hangs on its condition alone. */
static bool must_wait(struct ood_graph *graph, const struct ood_node *node)
{
    const bool branches = node->branches != NULL;
    bool waits = false;
    for (size_t i = 0; i < (branches ? 1 : node->input_count); i++) {
        if (node->inputs[i] == OOD_NONE)
            continue;
        struct ood_value *value = &graph->values[node->inputs[i]];
        if (not_told_yet(value))
            waits = true;
        else if (i < 8 * sizeof node->op->decided_by && (node->op->decided_by >> i & 1) != 0 && value->constant == NULL) {
            value->decides = true;
            waits = true;
        }
    }
    return waits;
}

static bool place_node(struct ood_graph *graph, const struct ood_node *node, size_t *budget, struct ood_error *err);

/* The branch that the condition names, in place of the node; its last nodes write the node's outputs. */
static bool place_branch(struct ood_graph *graph, const struct ood_node *node, size_t *budget, struct ood_error *err)
{
    const struct ood_tensor *condition = graph->values[node->inputs[0]].constant;
    if (condition == NULL)
        return ood_node_fail(node, err, OOD_UNSUPPORTED, "the condition, \"%s\", is not known at load",
                             ood_printable(graph->values[node->inputs[0]].name).text);
    if (condition->type != OOD_BOOL || condition->count != 1)
        return ood_node_fail(node, err, OOD_INVALID, "the condition is %zu elements of %s; expected one bool", condition->count,
                             ood_type_name(condition->type));
    const struct ood_branch *branch = &node->branches[*(const unsigned char *)condition->data != 0 ? 0 : 1];
    for (size_t i = 0; i < branch->node_count; i++) {
        struct ood_node copy;
        if (!ood_node_copy(graph, &branch->nodes[i], &copy, err))
            return false;
        if (i + branch->output_count >= branch->node_count) {
            const size_t output = i + branch->output_count - branch->node_count;
            if (output >= node->output_count || node->outputs[output] == OOD_NONE)
                continue;
            copy.outputs[0] = node->outputs[output];
        }
        if (!place_node(graph, &copy, budget, err))
            return false;
    }
    return true;
}

static bool place_node(struct ood_graph *graph, const struct ood_node *node, size_t *budget, struct ood_error *err)
{
    if (graph->staged && must_wait(graph, node)) {
        for (size_t i = 0; i < node->output_count; i++)
            if (node->outputs[i] != OOD_NONE)
                graph->values[node->outputs[i]].producer = OOD_NONE;
        return append(&graph->later, &graph->later_count, &graph->later_capacity, node, err);
    }
    if (node->branches != NULL)
        return place_branch(graph, node, budget, err);
    if (!append(&graph->nodes, &graph->node_count, &graph->node_capacity, node, err))
        return false;
    for (size_t i = 0; i < node->output_count; i++)
        if (node->outputs[i] != OOD_NONE)
            graph->values[node->outputs[i]].producer = (uint32_t)(graph->node_count - 1);
    return infer_node(graph, &graph->nodes[graph->node_count - 1], budget, err);
}

bool ood_graph_infer(struct ood_graph *graph, size_t budget, struct ood_error *err)
{
    bool done = true, whole = !graph->staged;
    for (size_t i = 0; i < graph->node_count; i++)
        whole = whole && graph->nodes[i].branches == NULL;
    if (whole) {
        for (size_t i = 0; done && i < graph->node_count; i++)
            done = infer_node(graph, &graph->nodes[i], &budget, err);
        return done;
    }
    struct ood_node *nodes = graph->nodes;
    const size_t count = graph->node_count;
    graph->nodes = NULL;
    graph->node_count = graph->node_capacity = 0;
    for (size_t i = 0; done && i < count; i++)
        done = place_node(graph, &nodes[i], &budget, err);
    ood_free(nodes);
    return done;
}
