/* Where a network's logits and features are: by name, or by walking back from its one N×K output. */
#include "graph/graph_internal.h"

#include <stdio.h>
#include <string.h>

static const struct ood_node *producer_of(const struct ood_graph *graph, uint32_t value)
{
    uint32_t producer = graph->values[value].producer;
    return graph->values[value].constant != NULL || producer == OOD_NONE ? NULL : &graph->nodes[producer];
}

static bool has_trait(const struct ood_node *node, unsigned traits)
{
    return (node->op->traits & traits) != 0;
}

/* K of an N×K value ([N,K], or that with axes of length 1, as [N,K,1,1]), or 0. */
static int64_t class_count(const struct ood_value *value)
{
    int64_t classes = 1;
    if (value->type != OOD_FLOAT32 || value->constant != NULL || value->shape.rank < 2 || value->shape.rank > OOD_MAX_RANK)
        return 0;
    for (size_t i = 1; i < value->shape.rank; i++) {
        int64_t dim = value->shape.dims[i];
        if (ood_dim_is_batch(dim) || (dim != 1 && classes != 1))
            return 0;
        classes *= dim;
    }
    return classes >= 2 ? classes : 0;
}

/* [N,D] or [N,C,H,W] for the N of the logits. */
static bool can_be_features(const struct ood_graph *graph, uint32_t value, uint32_t logits)
{
    const struct ood_value *v = &graph->values[value];
    return v->type == OOD_FLOAT32 && v->constant == NULL && (v->shape.rank == 2 || v->shape.rank == 4) &&
           v->shape.dims[0] == graph->values[logits].shape.dims[0];
}

/* ---- candidates, for messages ---- */

struct list { char text[320]; size_t used, count; };

static void list_value(struct list *list, const struct ood_graph *graph, uint32_t value)
{
    char shape[OOD_SHAPE_TEXT];
    size_t room = sizeof list->text - list->used;
    int put = snprintf(list->text + list->used, room, "%s\"%s\" [%s]", list->count > 0 ? ", " : "",
                       ood_printable(graph->values[value].name).text, ood_shape_print(&graph->values[value].shape, shape));
    if (put > 0 && (size_t)put < room) {
        list->used += (size_t)put;
        list->count++;
    } else {
        list->text[list->used] = '\0';                                /* no half names */
    }
}

#define CANDIDATES 6

static struct list logits_candidates(const struct ood_graph *graph)
{
    struct list list = { "", 0, 0 };
    for (size_t i = graph->node_count; i-- > 0 && list.count < CANDIDATES;) {
        const struct ood_node *node = &graph->nodes[i];
        if (node->output_count > 0 && node->outputs[0] != OOD_NONE && class_count(&graph->values[node->outputs[0]]) > 0 &&
            !has_trait(node, OOD_OP_SOFTMAX))
            list_value(&list, graph, node->outputs[0]);
    }
    return list;
}

static struct list features_candidates(const struct ood_graph *graph, uint32_t logits)
{
    struct list list = { "", 0, 0 };
    for (size_t i = graph->node_count; i-- > 0 && list.count < CANDIDATES;) {
        const struct ood_node *node = &graph->nodes[i];
        if (has_trait(node, OOD_OP_LINEAR) && node->input_count > 0 && node->inputs[0] != OOD_NONE &&
            can_be_features(graph, node->inputs[0], logits))
            list_value(&list, graph, node->inputs[0]);
    }
    return list;
}

static bool fail_with(const struct list *list, struct ood_error *err)
{
    struct ood_error told = *err;
    return ood_fail(err, told.code, "%s; candidates: %s", told.message, list->count > 0 ? list->text : "none");
}

/* ---- logits ---- */

static bool named(const struct ood_graph *graph, const char *what, const char *name, uint32_t *out, struct ood_error *err)
{
    *out = ood_graph_find(graph, name);
    return *out != OOD_NONE || ood_fail(err, OOD_NOT_FOUND, "%s: the network has no tensor \"%s\"", what,
                                        ood_printable(name).text);
}

/* Back from a probability to what the softmax was given; `value` itself where there is none. */
static uint32_t before_softmax(const struct ood_graph *graph, uint32_t value)
{
    for (uint32_t at = value;;) {
        const struct ood_node *node = producer_of(graph, at);
        if (node == NULL || node->input_count == 0 || node->inputs[0] == OOD_NONE || node->outputs[0] != at ||
            !has_trait(node, OOD_OP_SOFTMAX | OOD_OP_IDENTITY | OOD_OP_RESHAPE))
            return value;
        at = node->inputs[0];
        if (has_trait(node, OOD_OP_SOFTMAX))
            value = at;
    }
}

static bool default_logits(const struct ood_graph *graph, uint32_t *out, struct ood_error *err)
{
    size_t found = 0;
    uint32_t output = OOD_NONE;
    for (size_t i = 0; i < graph->output_count; i++)
        if (class_count(&graph->values[graph->outputs[i]]) > 0 && found++ == 0)
            output = graph->outputs[i];
    if (found != 1)
        return ood_fail(err, OOD_UNSUPPORTED,
                        "logits: %zu of the network's outputs are N×K, expected one; name the tensor", found);
    uint32_t logits = before_softmax(graph, output);
    if (class_count(&graph->values[logits]) != class_count(&graph->values[output]))
        return ood_fail(err, OOD_UNSUPPORTED, "logits: what the softmax is given, \"%s\", is not N×K",
                        ood_printable(graph->values[logits].name).text);
    *out = logits;
    return true;
}

static bool find_logits(const struct ood_graph *graph, const char *name, uint32_t *out, struct ood_error *err)
{
    if (name == NULL)
        return default_logits(graph, out, err);
    if (!named(graph, "logits", name, out, err))
        return false;
    char shape[OOD_SHAPE_TEXT];
    return class_count(&graph->values[*out]) > 0 ||
           ood_fail(err, OOD_UNSUPPORTED, "logits: \"%s\" is %s [%s], expected N×K of float32 that depends on the input",
                    ood_printable(name).text, ood_type_name(graph->values[*out].type),
                    ood_shape_print(&graph->values[*out].shape, shape));
}

/* ---- features ---- */

/* A mean or maximum over the whole of H and W, by its shapes: the trait alone does not tell a ReduceMean's axes. */
static bool pools_all(const struct ood_graph *graph, const struct ood_node *node)
{
    const struct ood_shape *in = &graph->values[node->inputs[0]].shape, *out = &graph->values[node->outputs[0]].shape;
    if (!has_trait(node, OOD_OP_POOL_GLOBAL) || in->rank != 4 || out->rank < 2 || in->dims[0] != out->dims[0] ||
        in->dims[1] != out->dims[1])
        return false;
    for (size_t i = 2; i < out->rank; i++)
        if (out->dims[i] != 1)
            return false;
    return out->rank == 2 || out->rank == 4;
}

/* The last layer: Gemm or MatMul by a constant matrix, or a 1×1 convolution of one group. */
static bool is_last_layer(const struct ood_graph *graph, const struct ood_node *node)
{
    const struct ood_value *weights = ood_node_input(graph, node, 1);
    if (!has_trait(node, OOD_OP_LINEAR) || weights == NULL || weights->constant == NULL)
        return false;
    for (size_t i = 2; i < weights->shape.rank; i++)
        if (weights->shape.dims[i] != 1)
            return false;
    return (weights->shape.rank == 2 || weights->shape.rank == 4) && ood_node_int(node, "group", 1) == 1;
}

/* One step back from `at` towards the last layer; OOD_NONE where the way ends. */
static uint32_t step_back(const struct ood_graph *graph, const struct ood_node *node, bool *pooled)
{
    struct ood_post post;
    if (has_trait(node, OOD_OP_IDENTITY | OOD_OP_RESHAPE))
        return node->inputs[0];
    if (pools_all(graph, node)) {
        *pooled = true;
        return node->inputs[0];
    }
    if (has_trait(node, OOD_OP_ADD) && node->input_count == 2 && node->inputs[1] != OOD_NONE) {
        bool first = graph->values[node->inputs[0]].constant != NULL, second = graph->values[node->inputs[1]].constant != NULL;
        return first == second ? OOD_NONE : node->inputs[first];
    }
    bool activation = *pooled && node->op->as_post != NULL && node->op->as_post(graph, node, &post);
    return activation ? node->inputs[0] : OOD_NONE;
}

static bool default_features(const struct ood_graph *graph, uint32_t logits, uint32_t *out, struct ood_error *err)
{
    bool pooled = false;
    for (uint32_t at = logits; at != OOD_NONE;) {
        const struct ood_node *node = producer_of(graph, at);
        if (node == NULL || node->input_count == 0 || node->inputs[0] == OOD_NONE)
            break;
        if (is_last_layer(graph, node)) {
            *out = node->inputs[0];
            if (can_be_features(graph, *out, logits))
                return true;
            break;
        }
        at = step_back(graph, node, &pooled);
    }
    return ood_fail(err, OOD_UNSUPPORTED,
                    "features: no Gemm, MatMul or 1×1 Conv before a global pool leads to the logits \"%s\"; name the tensor",
                    ood_printable(graph->values[logits].name).text);
}

static bool find_features(const struct ood_graph *graph, const char *name, uint32_t logits, uint32_t *out,
                          struct ood_error *err)
{
    if (name == NULL)
        return default_features(graph, logits, out, err);
    if (!named(graph, "features", name, out, err))
        return false;
    char shape[OOD_SHAPE_TEXT];
    return can_be_features(graph, *out, logits) ||
           ood_fail(err, OOD_UNSUPPORTED,
                    "features: \"%s\" is %s [%s], expected [N,D] or [N,C,H,W] of float32 that depends on the input",
                    ood_printable(name).text, ood_type_name(graph->values[*out].type),
                    ood_shape_print(&graph->values[*out].shape, shape));
}

bool ood_graph_taps(const struct ood_graph *graph, const char *logits, const char *features, struct ood_taps *out,
                    struct ood_error *err)
{
    struct ood_taps taps = { OOD_NONE, OOD_NONE };
    if (!find_logits(graph, logits, &taps.logits, err)) {
        struct list list = logits_candidates(graph);
        return fail_with(&list, err);
    }
    if (!find_features(graph, features, taps.logits, &taps.features, err)) {
        struct list list = features_candidates(graph, taps.logits);
        return fail_with(&list, err);
    }
    *out = taps;
    return true;
}
