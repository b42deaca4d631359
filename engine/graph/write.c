/* An ONNX file unpacked, changed in places and packed again. */
#include "graph/write.h"

#include <stdlib.h>
#include <string.h>

#include "graph/write_internal.h"

bool ood_onnx_pack(const void *model, struct ood_bytes *out, struct ood_error *err)
{
    const Onnx__ModelProto *proto = model;
    size_t size = onnx__model_proto__get_packed_size(proto);
    if (size > OOD_MODEL_BYTES_MOST)
        return ood_fail(err, OOD_LIMIT, "the network would be a file of %zu bytes, more than the limit of %zu", size, OOD_MODEL_BYTES_MOST);
    unsigned char *data = ood_alloc(size, 1, err);
    if (data == NULL)
        return false;
    onnx__model_proto__pack(proto, data);
    *out = (struct ood_bytes){ data, size };
    return true;
}

/* ---- which tensor a name means ---- */

struct named { const char *name; Onnx__TensorProto *tensor; };

static int compare(const void *a, const void *b)
{
    return strcmp(((const struct named *)a)->name, ((const struct named *)b)->name);
}

/* The value of a Constant node; NULL: another node, or a constant in another form. */
static Onnx__TensorProto *constant_value(const Onnx__NodeProto *node)
{
    if (node->op_type == NULL || strcmp(node->op_type, "Constant") != 0 || node->n_output != 1)
        return NULL;
    for (size_t i = 0; i < node->n_attribute; i++)
        if (node->attribute[i]->name != NULL && strcmp(node->attribute[i]->name, "value") == 0)
            return node->attribute[i]->t;
    return NULL;
}

/* Sorted by name; fresh memory. */
static struct named *list_tensors(const Onnx__GraphProto *graph, size_t *count, struct ood_error *err)
{
    size_t n = 0;
    struct named *all = ood_new_array(struct named, graph->n_initializer + graph->n_node, err);
    if (all == NULL)
        return NULL;
    for (size_t i = 0; i < graph->n_initializer; i++)
        if (graph->initializer[i]->name != NULL)
            all[n++] = (struct named){ graph->initializer[i]->name, graph->initializer[i] };
    for (size_t i = 0; i < graph->n_node; i++) {
        Onnx__TensorProto *tensor = constant_value(graph->node[i]);
        if (tensor != NULL)
            all[n++] = (struct named){ graph->node[i]->output[0], tensor };
    }
    qsort(all, n, sizeof *all, compare);
    *count = n;
    return all;
}

/* ---- replacing ---- */

static bool replace(Onnx__TensorProto *tensor, const struct ood_onnx_values *values, struct ood_error *err)
{
    struct ood_tensor *old = ood_onnx_tensor(tensor, false, err);            /* checks lengths, and that nothing lies outside the file */
    if (old == NULL)
        return false;
    size_t elements = 0;
    bool counted = ood_shape_count(&old->shape, &elements), real = old->type == OOD_FLOAT32;
    const char *type = ood_type_name(old->type);
    ood_tensor_free(old);
    if (!real)
        return ood_fail(err, OOD_INVALID, "elements are %s, expected float32", type);
    if (!counted || elements != values->count)
        return ood_fail(err, OOD_INVALID, "%zu elements in the file, %zu to be written", elements, values->count);
    tensor->n_float_data = 0;
    tensor->has_raw_data = true;
    tensor->raw_data.data = (uint8_t *)(uintptr_t)values->data;       /* packing only reads it */
    tensor->raw_data.len = elements * sizeof(float);
    return true;
}

Onnx__ModelProto *ood_onnx_unpack_to_change(const struct ood_bytes *onnx, struct ood_pool *pool, struct ood_error *err)
{
    Onnx__ModelProto *model = (Onnx__ModelProto *)ood_onnx_unpack(&onnx__model_proto__descriptor, onnx, pool, err);
    if (model == NULL || model->graph != NULL)
        return model;
    ood_fail(err, OOD_INVALID, "the model has no graph");
    return NULL;
}

bool ood_onnx_replace(const struct ood_bytes *onnx, const struct ood_onnx_values *values, size_t count, struct ood_bytes *out,
                      struct ood_error *err)
{
    struct ood_pool pool = { 0 };
    struct named *all = NULL;
    size_t n = 0;
    bool done = false;
    Onnx__ModelProto *model = ood_onnx_unpack_to_change(onnx, &pool, err);
    if (model == NULL)
        goto out;
    all = list_tensors(model->graph, &n, err);
    if (all == NULL)
        goto out;
    for (size_t i = 0; i < count; i++) {
        const struct named key = { values[i].name, NULL };
        struct named *found = n > 0 ? bsearch(&key, all, n, sizeof *all, compare) : NULL;
        if (found == NULL) {
            ood_fail(err, OOD_INVALID, "no initialiser or constant is named \"%s\"", values[i].name);
            goto out;
        }
        if ((found > all && compare(found - 1, found) == 0) || (found + 1 < all + n && compare(found + 1, found) == 0)) {
            ood_fail(err, OOD_INVALID, "two initialisers or constants are named \"%s\"", values[i].name);
            goto out;
        }
        if (!replace(found->tensor, &values[i], err)) {
            ood_error_prefix(err, "\"%s\"", values[i].name);
            goto out;
        }
    }
    done = ood_onnx_pack(model, out, err);
out:
    ood_free(all);
    ood_pool_free(&pool);
    return done;
}

/* ---- another input size ---- */

static bool is_initialiser(const Onnx__GraphProto *graph, const char *name)
{
    for (size_t i = 0; i < graph->n_initializer; i++)
        if (name != NULL && graph->initializer[i]->name != NULL && strcmp(graph->initializer[i]->name, name) == 0)
            return true;
    return false;
}

static Onnx__TensorShapeProto *first_input(const Onnx__GraphProto *graph)
{
    for (size_t i = 0; i < graph->n_input; i++)
        if (!is_initialiser(graph, graph->input[i]->name)) {
            const Onnx__TypeProto *type = graph->input[i]->type;
            return type != NULL && type->value_case == ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE ? type->tensor_type->shape : NULL;
        }
    return NULL;
}

/* An AveragePool whose one window is its whole map, without pads. */
static bool pools_all(const struct ood_graph *graph, const struct ood_node *node)
{
    if (strcmp(node->op->name, "AveragePool") != 0)
        return false;
    const struct ood_shape *map = &graph->values[node->inputs[0]].shape, *pooled = &graph->values[node->outputs[0]].shape;
    size_t count, pads;
    const int64_t *kernel = ood_node_ints(node, "kernel_shape", &count), *pad = ood_node_ints(node, "pads", &pads);
    for (size_t i = 0; i < pads; i++)
        if (pad[i] != 0)
            return false;
    for (size_t i = 0; i < count; i++)
        if (count + 2 != map->rank || kernel[i] != map->dims[2 + i] || pooled->dims[2 + i] != 1)
            return false;
    return count > 0;
}

static Onnx__NodeProto *find_node(const Onnx__GraphProto *graph, const char *output)
{
    for (size_t i = 0; i < graph->n_node; i++)
        if (graph->node[i]->n_output > 0 && strcmp(graph->node[i]->output[0], output) == 0)
            return graph->node[i];
    return NULL;
}

/* The means over whole maps at the size `full` stay means over whole maps. */
static bool widen_pools(const struct ood_bytes *onnx, const struct ood_graph_options *full, Onnx__GraphProto *to, struct ood_error *err)
{
    struct ood_graph *graph = ood_graph_read(onnx, full, err);
    for (size_t i = 0; graph != NULL && i < graph->node_count; i++) {
        const struct ood_node *node = &graph->nodes[i];
        Onnx__NodeProto *pool = pools_all(graph, node) ? find_node(to, graph->values[node->outputs[0]].name) : NULL;
        if (pool != NULL) {
            pool->op_type = (char *)"GlobalAveragePool";
            pool->n_attribute = 0;
        }
    }
    bool done = graph != NULL;
    ood_graph_free(graph);
    return done;
}

bool ood_onnx_resize_input(const struct ood_bytes *onnx, const struct ood_graph_options *full, const struct ood_shape *asked, struct ood_bytes *out,
                           struct ood_error *err)
{
    struct ood_pool pool = { 0 };
    bool done = false;
    Onnx__ModelProto *model = (Onnx__ModelProto *)ood_onnx_unpack(&onnx__model_proto__descriptor, onnx, &pool, err);
    if (model == NULL)
        goto out;
    Onnx__TensorShapeProto *shape = model->graph != NULL ? first_input(model->graph) : NULL;
    if (shape == NULL || shape->n_dim != asked->rank) {
        char text[OOD_SHAPE_TEXT];
        ood_fail(err, OOD_INVALID, "the input of the network has %zu dimensions, expected %s", shape != NULL ? shape->n_dim : 0,
                 ood_shape_print(asked, text));
        goto out;
    }
    if (!widen_pools(onnx, full, model->graph, err))
        goto out;
    for (size_t i = 0; i < asked->rank; i++)
        if (asked->dims[i] > 0) {
            shape->dim[i]->value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
            shape->dim[i]->dim_value = asked->dims[i];
        }
    done = ood_onnx_pack(model, out, err);
out:
    ood_pool_free(&pool);
    return done;
}
