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

bool ood_graph_infer(struct ood_graph *graph, size_t budget, struct ood_error *err)
{
    for (size_t i = 0; i < graph->node_count; i++) {
        struct ood_node *node = &graph->nodes[i];
        if (!check_counts(graph, node, err))
            return false;
        if ((node->op->check != NULL && !node->op->check(graph, node, err)) || !node->op->shape(graph, node, err))
            return ood_node_prefix(node, err);
        if (!settle_outputs(graph, node, err) || !ood_node_evaluate(graph, node, &budget, err))
            return false;
    }
    return true;
}
