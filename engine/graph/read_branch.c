/* The branches of an If as nodes over the graph's own values. A name is looked up in the branch, then outside. Each output of a branch is handed
 * on by an Identity, whose output the If's own takes the place of when the branch does. */
#include "graph/read_internal.h"

#include <stdlib.h>
#include <string.h>

struct reader { struct ood_graph *graph; const struct ood_op *const *operators; };

/* Nodes of a branch stand in order: nothing may be read before it is made. */
static bool check_order(const struct reader *reader, const struct ood_node *node, uint32_t first_output, struct ood_error *err)
{
    const struct ood_graph *graph = reader->graph;
    for (size_t i = 0; i < node->input_count; i++)
        if (node->inputs[i] != OOD_NONE && node->inputs[i] >= first_output && graph->values[node->inputs[i]].constant == NULL)
            return ood_node_fail(node, err, OOD_INVALID, "input %zu, \"%s\", is read before it is made", i,
                                 ood_printable(graph->values[node->inputs[i]].name).text);
    for (size_t i = 0; i < node->output_count; i++)
        if (node->outputs[i] != OOD_NONE)
            graph->values[node->outputs[i]].producer = OOD_NONE;
    return true;
}

static bool read_branch_nodes(const struct reader *reader, const Onnx__GraphProto *proto, const struct ood_scope *scope, uint32_t output,
                              struct ood_branch *branch, struct ood_error *err)
{
    struct ood_graph *graph = reader->graph;
    for (size_t i = 0; i < proto->n_node; i++) {
        struct ood_node *node = &branch->nodes[branch->node_count];
        if (!ood_read_node(graph, reader->operators, proto->node[i], i, scope, output, node, err) || !check_order(reader, node, output, err))
            return false;
        branch->node_count++;
        for (size_t k = 0; k < proto->node[i]->n_output; k++)
            output += proto->node[i]->output[k][0] != '\0';
    }
    return true;
}

/* An Identity behind the branch for output i. */
static bool hand_on(const struct reader *reader, const Onnx__GraphProto *proto, size_t i, const struct ood_scope *scope, struct ood_branch *branch,
                    struct ood_error *err)
{
    struct ood_graph *graph = reader->graph;
    struct ood_node *node = &branch->nodes[branch->node_count];
    const char *name = proto->output[i]->name != NULL ? proto->output[i]->name : "";
    *node = (struct ood_node){ .opset = graph->opset, .fused_bias = OOD_NONE, .origin = ++graph->origins, .input_count = 1, .output_count = 1 };
    node->op = ood_op_find(reader->operators, "Identity", graph->opset);
    node->name = ood_pool_strndup(&graph->pool, "output of a branch", 18, err);
    node->inputs = node->name == NULL ? NULL : ood_pool_alloc(&graph->pool, 1, sizeof *node->inputs, err);
    node->outputs = node->inputs == NULL ? NULL : ood_pool_alloc(&graph->pool, 1, sizeof *node->outputs, err);
    if (node->outputs == NULL)
        return false;
    node->inputs[0] = ood_scope_find(scope, name);
    if (node->inputs[0] == OOD_NONE || node->op == NULL)
        return ood_fail(err, OOD_INVALID, "output \"%s\" of a branch is computed by no node", ood_printable(name).text);
    node->outputs[0] = ood_graph_add_value(graph, node->name, err);
    branch->node_count++;
    branch->output_count++;
    return node->outputs[0] != OOD_NONE;
}

static bool read_branch(const struct reader *reader, const Onnx__GraphProto *proto, const struct ood_scope *outer, struct ood_branch *branch,
                        struct ood_error *err)
{
    struct ood_graph *graph = reader->graph;
    struct ood_index index = { 0 };
    const struct ood_scope scope = { &index, outer };
    size_t nodes;
    if (proto->n_input > 0)
        return ood_fail(err, OOD_INVALID, "a branch has %zu inputs, expected none", proto->n_input);
    if (!ood_add_size(proto->n_node, proto->n_output, &nodes))
        return ood_fail(err, OOD_LIMIT, "a branch of too many nodes");
    const uint32_t own = (uint32_t)graph->value_count;       /* values from here on are the branch's */
    branch->nodes = ood_pool_alloc(&graph->pool, nodes, sizeof *branch->nodes, err);
    if (branch->nodes == NULL || !ood_read_initialisers(graph, proto, NULL, err))
        return false;
    const uint32_t output = (uint32_t)graph->value_count;
    bool done = ood_read_output_values(graph, proto, err) && ood_index_values(graph, own, &index, err) &&
                read_branch_nodes(reader, proto, &scope, output, branch, err);
    for (size_t i = 0; done && i < proto->n_output; i++)
        done = hand_on(reader, proto, i, &scope, branch, err);
    ood_free(index.entries);
    return done;
}

/* ---- what branches read from outside ---- */

static int compare_values(const void *a, const void *b)
{
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static bool gather_read(const struct ood_graph *graph, const struct ood_branch *branch, uint32_t first, uint32_t **list, size_t *count,
                        size_t *capacity, struct ood_error *err)
{
    for (size_t i = 0; i < branch->node_count; i++)
        for (size_t k = 0; k < branch->nodes[i].input_count; k++) {
            const uint32_t value = branch->nodes[i].inputs[k];
            if (value == OOD_NONE || (value >= first && graph->values[value].constant == NULL))
                continue;
            if (!ood_grow(list, capacity, *count + 1, sizeof **list, err))
                return false;
            (*list)[(*count)++] = value;
        }
    return true;
}

/* Inputs 1, 2, … of the If: each value once; constants of the branches, too, so that they are known to be read. */
static bool set_inputs(struct ood_graph *graph, struct ood_node *node, uint32_t first, struct ood_error *err)
{
    uint32_t *list = NULL;
    size_t count = 0, capacity = 0, left = 1;
    bool done = gather_read(graph, &node->branches[0], first, &list, &count, &capacity, err) &&
                gather_read(graph, &node->branches[1], first, &list, &count, &capacity, err);
    uint32_t *inputs = done ? ood_pool_alloc(&graph->pool, count + 1, sizeof *inputs, err) : NULL;
    if (inputs != NULL) {
        if (count > 0)
            qsort(list, count, sizeof *list, compare_values);
        inputs[0] = node->inputs[0];
        for (size_t i = 0; i < count; i++)
            if (i == 0 || list[i] != list[i - 1])
                inputs[left++] = list[i];
        node->inputs = inputs;
        node->input_count = left;
    }
    ood_free(list);
    return inputs != NULL;
}

static const Onnx__GraphProto *branch_of(const Onnx__NodeProto *proto, const char *name)
{
    for (size_t i = 0; i < proto->n_attribute; i++)
        if (proto->attribute[i]->name != NULL && strcmp(proto->attribute[i]->name, name) == 0)
            return proto->attribute[i]->g;
    return NULL;
}

bool ood_read_branches(struct ood_graph *graph, const struct ood_op *const *operators, const Onnx__NodeProto *proto,
                       const struct ood_scope *scope, struct ood_node *node, struct ood_error *err)
{
    static const char *const names[] = { "then_branch", "else_branch" };
    const struct reader reader = { graph, operators };
    const uint32_t first = (uint32_t)graph->value_count;
    if (node->input_count != 1 || node->inputs[0] == OOD_NONE)
        return ood_fail(err, OOD_INVALID, "%zu inputs, expected the condition", node->input_count);
    node->branches = ood_pool_alloc(&graph->pool, 2, sizeof *node->branches, err);
    if (node->branches == NULL)
        return false;
    for (size_t i = 0; i < 2; i++) {
        const Onnx__GraphProto *branch = branch_of(proto, names[i]);
        if (branch == NULL)
            return ood_fail(err, OOD_INVALID, "attribute %s is missing", names[i]);
        if (!read_branch(&reader, branch, scope, &node->branches[i], err))
            return ood_error_prefix(err, "%s", names[i]);
        if (node->branches[i].output_count != node->output_count)
            return ood_fail(err, OOD_INVALID, "%s has %zu outputs, the node %zu", names[i], node->branches[i].output_count, node->output_count);
    }
    return set_inputs(graph, node, first, err);
}
