/* Graphs in stages: what one hands to the next, and how the next is made of what was put off. */
#include "graph/stage.h"

#include <string.h>

#include "graph/graph_internal.h"

bool ood_node_copy(struct ood_graph *graph, const struct ood_node *from, struct ood_node *to, struct ood_error *err)
{
    uint32_t *inputs = ood_pool_alloc(&graph->pool, from->input_count, sizeof *inputs, err);
    uint32_t *outputs = inputs == NULL ? NULL : ood_pool_alloc(&graph->pool, from->output_count, sizeof *outputs, err);
    if (outputs == NULL)
        return false;
    if (from->input_count > 0)
        memcpy(inputs, from->inputs, from->input_count * sizeof *inputs);
    if (from->output_count > 0)
        memcpy(outputs, from->outputs, from->output_count * sizeof *outputs);
    *to = *from;
    to->inputs = inputs;
    to->outputs = outputs;
    return true;
}

/* Marks what the nodes read. */
static void mark_read(const struct ood_node *nodes, size_t count, unsigned char *read)
{
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < nodes[i].input_count; k++)
            if (nodes[i].inputs[k] != OOD_NONE)
                read[nodes[i].inputs[k]] = 1;
}

bool ood_graph_prune_later(struct ood_graph *graph, struct ood_error *err)
{
    unsigned char *needed = ood_new_array(unsigned char, graph->value_count, err);
    unsigned char *alive = needed == NULL ? NULL : ood_new_array(unsigned char, graph->later_count, err);
    size_t left = 0;
    for (size_t i = 0; alive != NULL && i < graph->output_count; i++)
        needed[graph->outputs[i]] = 1;
    for (size_t i = graph->later_count; alive != NULL && i-- > 0;) {
        for (size_t k = 0; k < graph->later[i].output_count; k++)
            alive[i] |= graph->later[i].outputs[k] != OOD_NONE && needed[graph->later[i].outputs[k]];
        if (alive[i])
            mark_read(&graph->later[i], 1, needed);
    }
    for (size_t i = 0; alive != NULL && i < graph->later_count; i++)
        if (alive[i])
            graph->later[left++] = graph->later[i];
    if (alive != NULL)
        graph->later_count = left;
    ood_free(needed);
    ood_free(alive);
    return alive != NULL;
}

bool ood_graph_delivered(struct ood_graph *graph, const uint32_t **list, size_t *count, struct ood_error *err)
{
    unsigned char *wanted = ood_new_array(unsigned char, graph->value_count, err);
    uint32_t *values = wanted == NULL ? NULL : ood_pool_alloc(&graph->pool, graph->value_count, sizeof *values, err);
    size_t found = 0;
    if (values != NULL) {
        mark_read(graph->later, graph->later_count, wanted);
        for (uint32_t v = 0; v < graph->value_count; v++)
            if (graph->values[v].constant != NULL)
                wanted[v] = 0;
        for (size_t i = 0; i < graph->output_count; i++)
            wanted[graph->outputs[i]] = 1;
        for (uint32_t v = 0; v < graph->value_count; v++)
            if (wanted[v] && graph->values[v].shape.rank != OOD_RANK_UNKNOWN)
                values[found++] = v;
        *list = values;
        *count = found;
    }
    ood_free(wanted);
    return values != NULL;
}

/* ---- the next stage ---- */

static bool take_fact(struct ood_graph *graph, const struct ood_stage_fact *fact, struct ood_error *err)
{
    struct ood_value *value = &graph->values[fact->value];
    value->shape = fact->shape;
    value->counted = false;
    if (fact->data == NULL)
        return true;
    struct ood_tensor *tensor = ood_tensor_new(value->type, &fact->shape, err);
    if (tensor == NULL)
        return false;
    if (tensor->count > 0)
        memcpy(tensor->data, fact->data, tensor->count * ood_type_size(tensor->type));
    for (size_t i = 0; tensor->type == OOD_INT64 && i < tensor->count; i++)
        if (ood_dim_is_batch(ood_i64(tensor)[i])) {
            ood_fail(err, OOD_UNSUPPORTED, "value %s: holds %lld, which is reserved", ood_printable(value->name).text,
                     (long long)ood_i64(tensor)[i]);
            ood_tensor_free(tensor);
            return false;
        }
    return ood_graph_set_constant(graph, fact->value, tensor, err);
}

static bool start(struct ood_graph *graph, const struct ood_graph *before, struct ood_error *err)
{
    graph->opset = before->opset;
    graph->producer = before->producer;
    graph->fixed_batch = before->fixed_batch;
    graph->origins = before->origins;
    graph->staged = true;
    graph->outputs = before->outputs;
    graph->output_count = before->output_count;
    if (!ood_grow(&graph->values, &graph->value_capacity, before->value_count, sizeof *graph->values, err) ||
        !ood_grow(&graph->nodes, &graph->node_capacity, before->later_count, sizeof *graph->nodes, err))
        return false;
    memcpy(graph->values, before->values, before->value_count * sizeof *graph->values);
    graph->value_count = before->value_count;
    for (size_t i = 0; i < graph->value_count; i++) {
        graph->values[i].producer = OOD_NONE;
        graph->values[i].decides = false;
    }
    for (; graph->node_count < before->later_count; graph->node_count++)
        if (!ood_node_copy(graph, &before->later[graph->node_count], &graph->nodes[graph->node_count], err))
            return false;
    return true;
}

/* Values from before that are read now or later, or delivered; none of them is a constant. */
static bool find_inputs(struct ood_graph *graph, struct ood_error *err)
{
    unsigned char *read = ood_new_array(unsigned char, graph->value_count, err);
    graph->inputs = read == NULL ? NULL : ood_pool_alloc(&graph->pool, graph->value_count, sizeof *graph->inputs, err);
    if (graph->inputs != NULL) {
        mark_read(graph->nodes, graph->node_count, read);
        for (uint32_t v = 0; v < graph->value_count; v++) {
            const struct ood_value *value = &graph->values[v];
            if (read[v] && value->constant == NULL && value->producer == OOD_NONE && value->shape.rank != OOD_RANK_UNKNOWN)
                graph->inputs[graph->input_count++] = v;
        }
    }
    ood_free(read);
    return graph->inputs != NULL;
}

struct ood_graph *ood_graph_next(const struct ood_graph *before, const struct ood_stage_fact *facts, size_t count, size_t budget,
                                 struct ood_error *err)
{
    struct ood_graph *graph = ood_new(struct ood_graph, err);
    bool done = graph != NULL && start(graph, before, err);
    for (size_t i = 0; done && i < count; i++)
        done = take_fact(graph, &facts[i], err);
    if (done)
        ood_graph_count_uses(graph, NULL, 0);
    done = done && ood_graph_infer(graph, budget, err);
    if (done && graph->node_count == 0 && graph->later_count == before->later_count && graph->later_count > 0 &&
        graph->later[0].origin == before->later[0].origin)
        done = ood_node_fail(&graph->later[0], err, OOD_UNSUPPORTED, "its shape cannot be told by what has been computed");
    if (done && ood_graph_prune_later(graph, err) && find_inputs(graph, err))
        return graph;
    ood_graph_free(graph);
    return NULL;
}
