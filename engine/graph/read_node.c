/* ONNX's NodeProto as a node: its operator's row, attributes, inputs by name. */
#include "graph/read_internal.h"

#include <string.h>

const char *ood_read_name(struct ood_graph *graph, const char *name, const char *what, struct ood_error *err)
{
    if (name == NULL || name[0] == '\0') {
        ood_fail(err, OOD_INVALID, "%s has no name", what);
        return NULL;
    }
    if (!ood_name_is_clean(name)) {
        ood_fail(err, OOD_INVALID, "%s \"%s\": a name with control characters or broken UTF-8", what,
                 ood_printable(name).text);
        return NULL;
    }
    return ood_pool_strndup(&graph->pool, name, strlen(name), err);
}

/* The type that is written down, or (before IR 2 wrote it) the one field that is there. */
static Onnx__AttributeProto__AttributeType attribute_type(const Onnx__AttributeProto *proto)
{
    if (proto->has_type && proto->type != ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__UNDEFINED)
        return proto->type;
    return proto->has_f        ? ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT
           : proto->has_i      ? ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT
           : proto->has_s      ? ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRING
           : proto->t != NULL  ? ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__TENSOR
           : proto->n_floats   ? ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOATS
           : proto->n_ints     ? ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS
                               : ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__UNDEFINED;
}

static bool check_int(int64_t value, struct ood_error *err)
{
    return !ood_dim_is_batch(value) || ood_fail(err, OOD_UNSUPPORTED, "holds %lld, which is reserved", (long long)value);
}

static bool read_ints(struct ood_graph *graph, const Onnx__AttributeProto *proto, struct ood_attribute *out,
                      struct ood_error *err)
{
    int64_t *ints = ood_pool_alloc(&graph->pool, proto->n_ints, sizeof *ints, err);
    if (ints == NULL)
        return false;
    for (size_t i = 0; i < proto->n_ints; i++) {
        if (!check_int(proto->ints[i], err))
            return false;
        ints[i] = proto->ints[i];
    }
    out->ints = ints;
    out->count = proto->n_ints;
    return true;
}

static bool read_floats(struct ood_graph *graph, const Onnx__AttributeProto *proto, struct ood_attribute *out,
                        struct ood_error *err)
{
    float *floats = ood_pool_alloc(&graph->pool, proto->n_floats, sizeof *floats, err);
    if (floats == NULL)
        return false;
    if (proto->n_floats > 0)
        memcpy(floats, proto->floats, proto->n_floats * sizeof *floats);
    out->floats = floats;
    out->count = proto->n_floats;
    return true;
}

static bool read_tensor(struct ood_graph *graph, const Onnx__AttributeProto *proto, struct ood_attribute *out,
                        struct ood_error *err)
{
    if (proto->t == NULL)
        return ood_fail(err, OOD_INVALID, "is said to be a tensor, but there is none");
    struct ood_tensor *tensor = ood_onnx_tensor(proto->t, false, err);
    if (tensor == NULL || !ood_graph_own(graph, tensor, err))
        return false;
    out->tensor = tensor;
    return true;
}

static bool read_attribute_value(struct ood_graph *graph, const Onnx__AttributeProto *proto, struct ood_attribute *out,
                                 struct ood_error *err)
{
    switch (attribute_type(proto)) {
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT:
        out->kind = OOD_ATTR_INT;
        out->i = proto->i;
        return check_int(proto->i, err);
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT:
        out->kind = OOD_ATTR_FLOAT;
        out->f = proto->f;
        return true;
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRING:
        out->kind = OOD_ATTR_STRING;
        out->s = ood_pool_strndup(&graph->pool, (const char *)proto->s.data, proto->s.len, err);
        out->count = proto->s.len;
        return out->s != NULL;
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS:
        out->kind = OOD_ATTR_INTS;
        return read_ints(graph, proto, out, err);
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOATS:
        out->kind = OOD_ATTR_FLOATS;
        return read_floats(graph, proto, out, err);
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__TENSOR:
        out->kind = OOD_ATTR_TENSOR;
        return read_tensor(graph, proto, out, err);
    default:                                                          /* subgraphs, strings, …: the operator's check decides */
        out->kind = OOD_ATTR_OTHER;
        return true;
    }
}

static bool read_attribute(struct ood_graph *graph, struct ood_node *node, const Onnx__AttributeProto *proto,
                           struct ood_error *err)
{
    struct ood_attribute *out = &node->attributes[node->attribute_count];
    if (proto->ref_attr_name != NULL && proto->ref_attr_name[0] != '\0')
        return ood_fail(err, OOD_UNSUPPORTED, "an attribute of a function");
    out->name = ood_read_name(graph, proto->name, "an attribute", err);
    if (out->name == NULL)
        return false;
    if (ood_node_attribute(node, out->name) != NULL)
        return ood_fail(err, OOD_INVALID, "attribute %s is given twice", ood_printable(out->name).text);
    if (!read_attribute_value(graph, proto, out, err))
        return ood_error_prefix(err, "attribute %s", ood_printable(out->name).text);
    node->attribute_count++;
    return true;
}

/* More than any operator has: keeps the search for attributes given twice from being quadratic. */
#define ATTRIBUTES_MOST 64

static bool read_attributes(struct ood_graph *graph, struct ood_node *node, const Onnx__NodeProto *proto,
                            struct ood_error *err)
{
    if (proto->n_attribute > ATTRIBUTES_MOST)
        return ood_fail(err, OOD_LIMIT, "%zu attributes, at most %d are read", proto->n_attribute, ATTRIBUTES_MOST);
    node->attributes = ood_pool_alloc(&graph->pool, proto->n_attribute, sizeof *node->attributes, err);
    if (node->attributes == NULL)
        return false;
    for (size_t i = 0; i < proto->n_attribute; i++)
        if (!read_attribute(graph, node, proto->attribute[i], err))
            return false;
    return true;
}

static bool read_edges(struct ood_graph *graph, struct ood_node *node, const Onnx__NodeProto *proto,
                       const struct ood_scope *scope, uint32_t position, uint32_t first_output, struct ood_error *err)
{
    if (proto->n_output == 0 || proto->output[0][0] == '\0')
        return ood_fail(err, OOD_INVALID, "its first output has no name");
    node->inputs = ood_pool_alloc(&graph->pool, proto->n_input, sizeof *node->inputs, err);
    node->outputs = node->inputs == NULL ? NULL : ood_pool_alloc(&graph->pool, proto->n_output, sizeof *node->outputs, err);
    if (node->outputs == NULL)
        return false;
    for (size_t i = 0; i < proto->n_input; i++) {
        node->inputs[i] = OOD_NONE;
        if (proto->input[i][0] == '\0')
            continue;
        node->inputs[i] = ood_scope_find(scope, proto->input[i]);
        if (node->inputs[i] == OOD_NONE)
            return ood_fail(err, OOD_INVALID, "input %zu, \"%s\", is no graph input, initialiser or output of a node", i,
                            ood_printable(proto->input[i]).text);
    }
    node->input_count = proto->n_input;
    for (size_t i = 0; i < proto->n_output; i++) {
        node->outputs[i] = proto->output[i][0] == '\0' ? OOD_NONE : first_output++;
        if (node->outputs[i] != OOD_NONE)
            graph->values[node->outputs[i]].producer = position;
    }
    node->output_count = proto->n_output;
    return true;
}

/* The node's name as it is shown; "OP_<index>" where the file gives none. */
static const char *node_name(struct ood_graph *graph, const Onnx__NodeProto *proto, size_t position, struct ood_error *err)
{
    char text[140];
    if (proto->name != NULL && proto->name[0] != '\0') {
        if (ood_name_is_clean(proto->name))
            return ood_pool_strndup(&graph->pool, proto->name, strlen(proto->name), err);
        snprintf(text, sizeof text, "%s", ood_printable(proto->name).text);
    } else {
        snprintf(text, sizeof text, "%s_%zu", ood_printable(proto->op_type != NULL ? proto->op_type : "").text, position);
    }
    return ood_pool_strndup(&graph->pool, text, strlen(text), err);
}

bool ood_read_node(struct ood_graph *graph, const struct ood_op *const *operators, const Onnx__NodeProto *proto, size_t position,
                   const struct ood_scope *scope, uint32_t first_output, struct ood_node *node, struct ood_error *err)
{
    const char *op = proto->op_type != NULL ? proto->op_type : "", *domain = proto->domain != NULL ? proto->domain : "";
    *node = (struct ood_node){ .opset = graph->opset, .fused_bias = OOD_NONE, .origin = ++graph->origins };
    node->name = node_name(graph, proto, position, err);
    if (node->name == NULL)
        return false;
    struct ood_printable shown = ood_printable(node->name);
    if (domain[0] != '\0' && strcmp(domain, "ai.onnx") != 0)
        return ood_fail(err, OOD_UNSUPPORTED,
                        "node %s (%s, domain %s): only operators of ONNX's own domain are supported", shown.text,
                        ood_printable(op).text, ood_printable(domain).text);
    node->op = ood_op_find(operators, op, graph->opset);
    if (node->op == NULL)
        return ood_fail(err, OOD_UNSUPPORTED, "node %s (%s, opset %d): operator %s is not supported", shown.text,
                        ood_printable(op).text, graph->opset, ood_printable(op).text);
    if (!read_edges(graph, node, proto, scope, (uint32_t)position, first_output, err) || !read_attributes(graph, node, proto, err) ||
        ((node->op->traits & OOD_OP_BRANCHES) != 0 && !ood_read_branches(graph, operators, proto, scope, node, err)))
        return ood_node_prefix(node, err);
    return true;
}
