/* A graph's memory, and the ways to ask and extend it. */
#include "graph/graph_internal.h"

#include <stdio.h>
#include <string.h>

void ood_graph_free(struct ood_graph *graph)
{
    if (graph == NULL)
        return;
    for (size_t i = 0; i < graph->tensor_count; i++)
        ood_tensor_free(graph->tensors[i]);
    ood_free(graph->tensors);
    ood_free(graph->values);
    ood_free(graph->nodes);
    ood_free(graph->later);
    ood_pool_free(&graph->pool);
    ood_free(graph);
}

const struct ood_op *ood_op_find(const struct ood_op *const *table, const char *name, int opset)
{
    for (; *table != NULL; table++)
        if (strcmp((*table)->name, name) == 0 && opset >= (*table)->since &&
            ((*table)->until == 0 || opset <= (*table)->until))
            return *table;
    return NULL;
}

/* ---- asking ---- */

uint32_t ood_graph_find(const struct ood_graph *graph, const char *name)
{
    for (size_t i = 0; i < graph->value_count; i++)
        if (strcmp(graph->values[i].name, name) == 0)
            return (uint32_t)i;
    return OOD_NONE;
}

const struct ood_attribute *ood_node_attribute(const struct ood_node *node, const char *name)
{
    for (size_t i = 0; i < node->attribute_count; i++)
        if (strcmp(node->attributes[i].name, name) == 0)
            return &node->attributes[i];
    return NULL;
}

static const struct ood_attribute *attribute_of(const struct ood_node *node, const char *name, enum ood_attribute_kind kind)
{
    const struct ood_attribute *attribute = ood_node_attribute(node, name);
    return attribute != NULL && attribute->kind == kind ? attribute : NULL;
}

int64_t ood_node_int(const struct ood_node *node, const char *name, int64_t otherwise)
{
    const struct ood_attribute *attribute = attribute_of(node, name, OOD_ATTR_INT);
    return attribute != NULL ? attribute->i : otherwise;
}

float ood_node_float(const struct ood_node *node, const char *name, float otherwise)
{
    const struct ood_attribute *attribute = attribute_of(node, name, OOD_ATTR_FLOAT);
    return attribute != NULL ? attribute->f : otherwise;
}

const char *ood_node_string(const struct ood_node *node, const char *name, const char *otherwise)
{
    const struct ood_attribute *attribute = attribute_of(node, name, OOD_ATTR_STRING);
    return attribute != NULL ? attribute->s : otherwise;
}

const int64_t *ood_node_ints(const struct ood_node *node, const char *name, size_t *count)
{
    const struct ood_attribute *attribute = attribute_of(node, name, OOD_ATTR_INTS);
    *count = attribute != NULL ? attribute->count : 0;
    return attribute != NULL ? attribute->ints : NULL;
}

const struct ood_value *ood_node_input(const struct ood_graph *graph, const struct ood_node *node, size_t i)
{
    return i < node->input_count && node->inputs[i] != OOD_NONE ? &graph->values[node->inputs[i]] : NULL;
}

/* ---- errors ---- */

bool ood_node_fail(const struct ood_node *node, struct ood_error *err, enum ood_code code, const char *format, ...)
{
    char text[sizeof err->message];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    ood_fail(err, code, "%s", text);
    return ood_error_prefix(err, "node %s (%s, opset %d)", ood_printable(node->name).text, node->op->name, node->opset);
}

bool ood_node_prefix(const struct ood_node *node, struct ood_error *err)
{
    if (strncmp(err->message, "node ", 5) == 0)
        return false;
    return ood_error_prefix(err, "node %s (%s, opset %d)", ood_printable(node->name).text, node->op->name, node->opset);
}

/* ---- building ---- */

uint32_t ood_graph_add_value(struct ood_graph *graph, const char *name, struct ood_error *err)
{
    if (graph->value_count >= OOD_NONE) {
        ood_fail(err, OOD_LIMIT, "more than %u values", OOD_NONE);
        return OOD_NONE;
    }
    if (!ood_grow(&graph->values, &graph->value_capacity, graph->value_count + 1, sizeof *graph->values, err))
        return OOD_NONE;
    graph->values[graph->value_count] =
        (struct ood_value){ .name = name, .shape = { .rank = OOD_RANK_UNKNOWN }, .producer = OOD_NONE };
    return (uint32_t)graph->value_count++;
}

bool ood_graph_own(struct ood_graph *graph, struct ood_tensor *tensor, struct ood_error *err)
{
    if (!ood_grow(&graph->tensors, &graph->tensor_capacity, graph->tensor_count + 1, sizeof *graph->tensors, err)) {
        ood_tensor_free(tensor);
        return false;
    }
    graph->tensors[graph->tensor_count++] = tensor;
    return true;
}

bool ood_graph_set_output(struct ood_graph *graph, const struct ood_node *node, size_t i, enum ood_type type,
                          const struct ood_shape *shape, struct ood_error *err)
{
    if (i >= node->output_count || node->outputs[i] == OOD_NONE)
        return true;                                                  /* nobody asked for this output */
    int64_t elements;
    char text[OOD_SHAPE_TEXT];
    if (shape->rank > OOD_MAX_RANK)
        return ood_node_fail(node, err, OOD_INVALID, "output %zu has %zu dimensions, at most %d are supported", i,
                             shape->rank, OOD_MAX_RANK);
    if (!ood_shape_elements(shape, &elements) || (!ood_dim_is_batch(elements) && elements > OOD_BATCH_MOST))
        return ood_node_fail(node, err, OOD_INVALID, "output %zu has shape %s: negative or too large", i,
                             ood_shape_print(shape, text));
    struct ood_value *value = &graph->values[node->outputs[i]];
    value->type = type;
    value->shape = *shape;
    return true;
}

bool ood_graph_set_constant(struct ood_graph *graph, uint32_t value, struct ood_tensor *tensor, struct ood_error *err)
{
    if (!ood_graph_own(graph, tensor, err))
        return false;
    graph->values[value].type = tensor->type;
    graph->values[value].shape = tensor->shape;
    graph->values[value].constant = tensor;
    return true;
}

uint32_t ood_graph_add_constant(struct ood_graph *graph, const char *stem, struct ood_tensor *tensor, struct ood_error *err)
{
    char name[140];
    /* Should the file use the same name, ood_graph_find finds the file's: it comes first. */
    snprintf(name, sizeof name, "%s#%zu", ood_printable(stem).text, graph->value_count);
    const char *kept = ood_pool_strndup(&graph->pool, name, strlen(name), err);
    uint32_t value = kept == NULL ? OOD_NONE : ood_graph_add_value(graph, kept, err);
    if (value == OOD_NONE) {
        ood_tensor_free(tensor);
        return OOD_NONE;
    }
    return ood_graph_set_constant(graph, value, tensor, err) ? value : OOD_NONE;
}

static void count_use(struct ood_graph *graph, uint32_t value)
{
    if (value != OOD_NONE)
        graph->values[value].uses++;
}

/* Recursive as deep as branches lie in branches: the scan bounds it. */
static void count_uses_of(struct ood_graph *graph, const struct ood_node *nodes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct ood_node *node = &nodes[i];
        if (node->dead)
            continue;
        for (size_t k = 0; k < node->input_count; k++)
            count_use(graph, node->inputs[k]);
        for (size_t k = 0; k < node->post_count; k++)
            if (node->posts[k].kind == OOD_POST_SUM)
                count_use(graph, node->posts[k].value);
        count_use(graph, node->fused_bias);
        for (size_t k = 0; node->branches != NULL && k < 2; k++)
            count_uses_of(graph, node->branches[k].nodes, node->branches[k].node_count);
    }
}

void ood_graph_count_uses(struct ood_graph *graph, const uint32_t *keep, size_t n)
{
    for (size_t i = 0; i < graph->value_count; i++)
        graph->values[i].uses = 0;
    count_uses_of(graph, graph->nodes, graph->node_count);
    count_uses_of(graph, graph->later, graph->later_count);
    for (size_t i = 0; i < graph->output_count; i++)
        count_use(graph, graph->outputs[i]);
    for (size_t i = 0; i < n; i++)
        count_use(graph, keep[i]);
}
