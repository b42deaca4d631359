/* From an ONNX file to a checked graph: versions, initialisers, inputs, nodes, outputs, then order and shapes. */
#include "graph/read_internal.h"

#include <stdlib.h>
#include <string.h>

#define IR_FIRST 3                           /* opset_import came with it */
#define IR_LAST 13                           /* the newest known; nothing after 8 concerns operators up to opset 18 */

/* ---- names ---- */

static int compare_entries(const void *a, const void *b)
{
    return strcmp(((const struct ood_index_entry *)a)->name, ((const struct ood_index_entry *)b)->name);
}

bool ood_index_sort(struct ood_index *index, struct ood_error *err)
{
    if (index->count > 0)
        qsort(index->entries, index->count, sizeof *index->entries, compare_entries);
    for (size_t i = 1; i < index->count; i++)
        if (strcmp(index->entries[i - 1].name, index->entries[i].name) == 0)
            return ood_fail(err, OOD_INVALID, "the name \"%s\" is given to two values",
                            ood_printable(index->entries[i].name).text);
    return true;
}

uint32_t ood_index_find(const struct ood_index *index, const char *name)
{
    const struct ood_index_entry key = { .name = name };
    const struct ood_index_entry *found =
        index->count == 0 ? NULL : bsearch(&key, index->entries, index->count, sizeof key, compare_entries);
    return found != NULL ? found->value : OOD_NONE;
}

uint32_t ood_scope_find(const struct ood_scope *scope, const char *name)
{
    uint32_t value = OOD_NONE;
    for (; value == OOD_NONE && scope != NULL; scope = scope->outer)
        value = ood_index_find(scope->index, name);
    return value;
}

bool ood_index_values(const struct ood_graph *graph, uint32_t first, struct ood_index *index, struct ood_error *err)
{
    ood_free(index->entries);
    index->count = 0;
    index->entries = ood_new_array(struct ood_index_entry, graph->value_count - first, err);
    if (index->entries == NULL)
        return false;
    for (uint32_t v = first; v < graph->value_count; v++)
        index->entries[index->count++] = (struct ood_index_entry){ .name = graph->values[v].name, .value = v };
    return ood_index_sort(index, err);
}

/* ---- versions ---- */

static bool read_opset(const Onnx__ModelProto *model, int *out, struct ood_error *err)
{
    int64_t opset = 0;
    for (size_t i = 0; i < model->n_opset_import; i++) {
        const Onnx__OperatorSetIdProto *import = model->opset_import[i];
        if (import->domain != NULL && import->domain[0] != '\0' && strcmp(import->domain, "ai.onnx") != 0)
            continue;                                                 /* harmless unless a node is of that domain */
        if (opset != 0 && opset != import->version)
            return ood_fail(err, OOD_INVALID, "the operator set is given twice, as %lld and %lld", (long long)opset,
                            (long long)import->version);
        opset = import->version;
    }
    if (opset == 0 && model->n_opset_import > 0)
        return ood_fail(err, OOD_UNSUPPORTED, "only operators of other domains than ONNX's own are imported");
    if (opset == 0)
        return ood_fail(err, OOD_INVALID, "no version of the operator set is given");
    if (opset < OOD_OPSET_FIRST || opset > OOD_OPSET_LAST)
        return ood_fail(err, OOD_UNSUPPORTED, "opset %lld, expected %d to %d", (long long)opset, OOD_OPSET_FIRST,
                        OOD_OPSET_LAST);
    *out = (int)opset;
    return true;
}

static bool read_header(struct ood_graph *graph, const Onnx__ModelProto *model, struct ood_error *err)
{
    if (!model->has_ir_version)
        return ood_fail(err, OOD_INVALID, "not an ONNX file: no IR version");
    if (model->ir_version < IR_FIRST || model->ir_version > IR_LAST)
        return ood_fail(err, OOD_UNSUPPORTED, "IR version %lld, expected %d to %d", (long long)model->ir_version,
                        IR_FIRST, IR_LAST);
    if (model->graph == NULL)
        return ood_fail(err, OOD_INVALID, "the model has no graph");
    if (!read_opset(model, &graph->opset, err))
        return false;
    const char *name = model->producer_name != NULL ? model->producer_name : "";
    const char *version = model->producer_version != NULL ? model->producer_version : "";
    char text[220];
    snprintf(text, sizeof text, "%s%s%s", ood_printable(name).text, name[0] != '\0' && version[0] != '\0' ? " " : "",
             ood_printable(version).text);
    graph->producer = ood_pool_strndup(&graph->pool, text, strlen(text), err);
    return graph->producer != NULL;
}

/* Metadata that may name the classes, in the order of the keys; of a key that comes twice the first. */
static bool read_label_texts(struct ood_graph *graph, const Onnx__ModelProto *model, struct ood_error *err)
{
    size_t keys = 0;
    while (ood_label_keys[keys] != NULL)
        keys++;
    struct ood_label_text *texts = ood_pool_alloc(&graph->pool, keys, sizeof *texts, err);
    if (texts == NULL)
        return false;
    graph->label_texts = texts;
    for (size_t k = 0; k < keys; k++)
        for (size_t i = 0; i < model->n_metadata_props; i++) {
            const Onnx__StringStringEntryProto *entry = model->metadata_props[i];
            if (entry->key == NULL || entry->value == NULL || strcmp(entry->key, ood_label_keys[k]) != 0)
                continue;
            const char *text = ood_pool_strndup(&graph->pool, entry->value, strlen(entry->value), err);
            if (text == NULL)
                return false;
            texts[graph->label_text_count++] = (struct ood_label_text){ ood_label_keys[k], text };
            break;
        }
    return true;
}

/* ---- initialisers ---- */

void ood_graph_restore(struct ood_graph *graph)
{
    for (size_t i = 0; i < graph->spent_count; i++)
        memcpy(graph->spent[i].place, graph->spent[i].tensor->data, graph->spent[i].tensor->count * ood_type_size(graph->spent[i].tensor->type));
    graph->spent_count = 0;
}

/* Do a tensor's raw data, float32, lie in the file's own memory? */
static bool lies_in(const Onnx__TensorProto *tensor, const struct ood_bytes *file)
{
    return file != NULL && tensor->has_raw_data && tensor->data_type == ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT &&
           (uintptr_t)tensor->raw_data.data >= (uintptr_t)file->data && (uintptr_t)tensor->raw_data.data - (uintptr_t)file->data < file->size;
}

bool ood_read_initialisers(struct ood_graph *graph, const Onnx__GraphProto *proto, const struct ood_bytes *spend, struct ood_error *err)
{
    if (spend != NULL)
        graph->spent = ood_pool_alloc(&graph->pool, proto->n_initializer, sizeof *graph->spent, err);
    if (spend != NULL && graph->spent == NULL)
        return false;
    if (proto->n_sparse_initializer > 0)
        return ood_fail(err, OOD_UNSUPPORTED, "the graph has sparse initialisers");
    for (size_t i = 0; i < proto->n_initializer; i++) {
        const char *name = ood_read_name(graph, proto->initializer[i]->name, "an initialiser", err);
        if (name == NULL)
            return false;
        const Onnx__TensorProto *data = proto->initializer[i];
        const bool spends = lies_in(data, spend);
        struct ood_tensor *tensor = ood_onnx_tensor(data, spends, err);
        if (tensor == NULL)
            return ood_error_prefix(err, "initialiser \"%s\"", ood_printable(name).text);
        uint32_t value = ood_graph_add_value(graph, name, err);
        if (value == OOD_NONE) {
            ood_tensor_free(tensor);
            return false;
        }
        if (!ood_graph_set_constant(graph, value, tensor, err))
            return false;
        if (spends)
            graph->spent[graph->spent_count++] = (struct ood_spent){ data->raw_data.data, tensor };
    }
    return true;
}

/* ---- inputs ---- */

#define FREE_DIMENSION (-1)

/* The shape the file gives; FREE_DIMENSION where symbolic or absent. *known: is there one at all? */
static bool input_shape(const Onnx__TypeProto__Tensor *tensor, struct ood_shape *shape, bool *known, struct ood_error *err)
{
    *known = tensor->shape != NULL;
    shape->rank = 0;
    if (!*known)
        return true;
    if (tensor->shape->n_dim > OOD_MAX_RANK)
        return ood_fail(err, OOD_UNSUPPORTED, "%zu dimensions, at most %d are supported", tensor->shape->n_dim,
                        OOD_MAX_RANK);
    shape->rank = tensor->shape->n_dim;
    for (size_t i = 0; i < shape->rank; i++) {
        const Onnx__TensorShapeProto__Dimension *dim = tensor->shape->dim[i];
        bool given = dim->value_case == ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
        shape->dims[i] = given ? dim->dim_value : FREE_DIMENSION;     /* -1 is how some writers say free */
        if (given && dim->dim_value < FREE_DIMENSION)
            return ood_fail(err, OOD_INVALID, "dimension %zu is %lld", i, (long long)dim->dim_value);
        if (given && dim->dim_value == 0)                             /* legal, and nothing to score */
            return ood_fail(err, OOD_UNSUPPORTED, "dimension %zu is 0", i);
    }
    return true;
}

/* The shape asked for over the file's: fills what is free, contradicts nothing. Its first dimension may be open, too; where the file takes one
 * picture without a batch, it is left out (*single). */
static bool apply_asked_shape(const struct ood_shape *asked, bool known, struct ood_shape *shape, bool *single, struct ood_error *err)
{
    char found[OOD_SHAPE_TEXT], wanted[OOD_SHAPE_TEXT];
    if (!known) {
        *shape = *asked;
        for (size_t i = 0; i < shape->rank; i++)
            if (shape->dims[i] <= 0)
                shape->dims[i] = FREE_DIMENSION;
        return true;
    }
    struct ood_shape filled = *shape, one;
    if (shape->rank + 1 == asked->rank && (asked->dims[0] <= 1)) {    /* one picture, without a batch */
        one = (struct ood_shape){ .rank = shape->rank };
        memcpy(one.dims, asked->dims + 1, one.rank * sizeof one.dims[0]);
        asked = &one;
        *single = true;
    }
    bool fits = shape->rank == asked->rank;
    for (size_t i = 0; fits && i < shape->rank; i++) {
        if (asked->dims[i] <= 0)
            continue;
        fits = shape->dims[i] == FREE_DIMENSION || shape->dims[i] == asked->dims[i];
        filled.dims[i] = asked->dims[i];
    }
    if (!fits)
        return ood_fail(err, OOD_INVALID, "shape %s was asked for, the file has %s", ood_shape_print(asked, wanted),
                        ood_shape_print(shape, found));
    *shape = filled;
    return true;
}

static bool settle_batch(struct ood_graph *graph, const struct ood_graph_options *options, bool first,
                         struct ood_shape *shape, struct ood_error *err)
{
    if (shape->rank == 0)
        return true;
    int64_t *dim = &shape->dims[0];
    if (*dim == FREE_DIMENSION) {
        *dim = options->batch > 0 ? options->batch : graph->fixed_batch > 0 ? graph->fixed_batch : ood_batch_dim(1);
        return true;
    }
    if (first && options->batch > 0 && *dim != options->batch)
        return ood_fail(err, OOD_INVALID, "the file fixes the batch to %lld, %lld was asked for", (long long)*dim,
                        (long long)options->batch);
    if (first)
        graph->fixed_batch = *dim;
    return true;
}

static bool read_input(struct ood_graph *graph, const struct ood_graph_options *options, const Onnx__ValueInfoProto *proto,
                       struct ood_value *value, struct ood_error *err)
{
    bool known, first = graph->input_count == 0, single = false;
    struct ood_shape shape = { 0 };
    if (proto->type == NULL || proto->type->value_case != ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE)
        return ood_fail(err, OOD_UNSUPPORTED, "is not a tensor");
    const Onnx__TypeProto__Tensor *tensor = proto->type->tensor_type;
    if (!ood_onnx_type(tensor->elem_type, &value->type, err) || !input_shape(tensor, &shape, &known, err))
        return false;
    bool asked = first && options->input_shape.rank > 0;
    if (asked && !apply_asked_shape(&options->input_shape, known, &shape, &single, err))
        return false;
    if (!known && !asked)
        return ood_fail(err, OOD_INVALID, "the file gives no shape");
    if (single)
        graph->fixed_batch = 1;
    else if (!settle_batch(graph, options, first, &shape, err))
        return false;
    for (size_t i = single ? 0 : 1; i < shape.rank; i++)
        if (shape.dims[i] == FREE_DIMENSION)
            return ood_fail(err, OOD_INVALID, "dimension %zu is free; a number for it must be given", i);
    int64_t elements;
    char text[OOD_SHAPE_TEXT];
    if (!ood_shape_elements(&shape, &elements) || (!ood_dim_is_batch(elements) && elements > OOD_BATCH_MOST))
        return ood_fail(err, OOD_INVALID, "shape %s is too large", ood_shape_print(&shape, text));
    value->shape = shape;
    return true;
}

static bool read_inputs(struct ood_graph *graph, const struct ood_graph_options *options, const Onnx__GraphProto *proto,
                        struct ood_error *err)
{
    struct ood_index initialisers = { 0 };
    bool ok = ood_index_values(graph, 0, &initialisers, err);
    graph->inputs = !ok ? NULL : ood_pool_alloc(&graph->pool, proto->n_input, sizeof *graph->inputs, err);
    ok = graph->inputs != NULL;
    for (size_t i = 0; ok && i < proto->n_input; i++) {
        const char *name = ood_read_name(graph, proto->input[i]->name, "a graph input", err);
        if (name != NULL && ood_index_find(&initialisers, name) != OOD_NONE)
            continue;
        uint32_t value = name == NULL ? OOD_NONE : ood_graph_add_value(graph, name, err);
        ok = value != OOD_NONE;
        if (ok && !read_input(graph, options, proto->input[i], &graph->values[value], err))
            ok = ood_error_prefix(err, "input \"%s\"", ood_printable(name).text);
        if (ok)
            graph->inputs[graph->input_count++] = value;
    }
    ood_free(initialisers.entries);
    if (ok && graph->input_count == 0)
        return ood_fail(err, OOD_INVALID, "the graph has no inputs");
    return ok;
}

/* ---- nodes and outputs ---- */

bool ood_read_output_values(struct ood_graph *graph, const Onnx__GraphProto *proto, struct ood_error *err)
{
    for (size_t i = 0; i < proto->n_node; i++)
        for (size_t k = 0; k < proto->node[i]->n_output; k++) {
            if (proto->node[i]->output[k][0] == '\0')
                continue;
            const char *name = ood_read_name(graph, proto->node[i]->output[k], "an output of a node", err);
            if (name == NULL || ood_graph_add_value(graph, name, err) == OOD_NONE)
                return false;
        }
    return true;
}

static bool read_nodes(struct ood_graph *graph, const struct ood_graph_options *options, const Onnx__GraphProto *proto,
                       struct ood_index *index, struct ood_error *err)
{
    const struct ood_scope scope = { .index = index };
    uint32_t output = (uint32_t)graph->value_count;
    if (proto->n_node == 0)
        return ood_fail(err, OOD_INVALID, "the graph has no nodes");
    if (!ood_read_output_values(graph, proto, err) || !ood_index_values(graph, 0, index, err) ||
        !ood_grow(&graph->nodes, &graph->node_capacity, proto->n_node, sizeof *graph->nodes, err))
        return false;
    for (size_t i = 0; i < proto->n_node; i++) {
        if (!ood_read_node(graph, options->operators, proto->node[i], i, &scope, output, &graph->nodes[graph->node_count], err))
            return false;
        graph->node_count++;
        for (size_t k = 0; k < proto->node[i]->n_output; k++)
            output += proto->node[i]->output[k][0] != '\0';
    }
    return true;
}

static bool read_outputs(struct ood_graph *graph, const Onnx__GraphProto *proto, const struct ood_index *index,
                         struct ood_error *err)
{
    if (proto->n_output == 0)
        return ood_fail(err, OOD_INVALID, "the graph has no outputs");
    graph->outputs = ood_pool_alloc(&graph->pool, proto->n_output, sizeof *graph->outputs, err);
    if (graph->outputs == NULL)
        return false;
    for (size_t i = 0; i < proto->n_output; i++) {
        const char *name = proto->output[i]->name != NULL ? proto->output[i]->name : "";
        uint32_t value = ood_index_find(index, name);
        if (value == OOD_NONE)
            return ood_fail(err, OOD_INVALID, "output \"%s\" is computed by no node", ood_printable(name).text);
        if (graph->values[value].uses++ > 0)                          /* not counted yet: outputs only */
            return ood_fail(err, OOD_INVALID, "output \"%s\" is listed twice", ood_printable(name).text);
        graph->outputs[graph->output_count++] = value;
        const Onnx__TypeProto *type = proto->output[i]->type;
        struct ood_error ignored = { 0 };                             /* a hint, until the type is inferred */
        if (graph->values[value].producer != OOD_NONE && type != NULL && type->value_case == ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE)
            (void)!ood_onnx_type(type->tensor_type->elem_type, &graph->values[value].type, &ignored);
    }
    return true;
}

/* ---- all of it ---- */

/* Values computed at load may take this much more than the file. */
static size_t evaluation_budget(size_t file)
{
    return ((size_t)64 << 20) + 8 * file;                             /* file <= OOD_MODEL_BYTES_MOST: no overflow */
}

static bool read_model(struct ood_graph *graph, const Onnx__ModelProto *model,
                       const struct ood_graph_options *options, const struct ood_bytes *file, struct ood_error *err)
{
    struct ood_index index = { 0 };
    bool ok = read_header(graph, model, err) && read_label_texts(graph, model, err) &&
              ood_read_initialisers(graph, model->graph, options->spend ? file : NULL, err) &&
              read_inputs(graph, options, model->graph, err) && read_nodes(graph, options, model->graph, &index, err) &&
              read_outputs(graph, model->graph, &index, err) && ood_graph_order(graph, err);
    ood_free(index.entries);
    if (!ok)
        return false;
    ood_graph_count_uses(graph, NULL, 0);
    graph->staged = options->stages;
    return ood_graph_infer(graph, evaluation_budget(file->size), err);
}

/* *fixed: does the file fix the batch? Told on failure, too. */
static struct ood_graph *read_once(const Onnx__ModelProto *model, const struct ood_graph_options *options, const struct ood_bytes *file, bool *fixed,
                                   struct ood_error *err)
{
    struct ood_graph *graph = ood_new(struct ood_graph, err);
    const bool done = graph != NULL && read_model(graph, model, options, file, err);
    *fixed = graph != NULL && graph->fixed_batch > 0;
    if (done)
        return graph;
    if (graph != NULL)
        ood_graph_restore(graph);
    ood_graph_free(graph);
    return NULL;
}

/* As asked; then, if that may help, for a batch of one, whose failure is the one told: what is wrong is not the batch. */
static struct ood_graph *read_twice(const Onnx__ModelProto *model, const struct ood_graph_options *options, const struct ood_bytes *file,
                                    struct ood_error *err)
{
    struct ood_error first = { 0 };
    bool fixed;
    struct ood_graph *graph = read_once(model, options, file, &fixed, &first);
    if (graph != NULL)
        return graph;
    if (!options->one_if_needed || options->batch > 0 || fixed || (first.code != OOD_UNSUPPORTED && first.code != OOD_INVALID)) {
        *err = first;
        return NULL;
    }
    struct ood_graph_options bound = *options;
    bound.batch = 1;
    graph = read_once(model, &bound, file, &fixed, err);
    if (graph != NULL)
        graph->fixed_batch = 1;
    return graph;
}

struct ood_graph *ood_graph_read(const struct ood_bytes *bytes, const struct ood_graph_options *options,
                                 struct ood_error *err)
{
    struct ood_pool pool = { 0 };
    struct ood_graph *graph = NULL;
    if (bytes->size == 0) {
        ood_fail(err, OOD_INVALID, "not an ONNX file: it is empty");
        return NULL;
    }
    const Onnx__ModelProto *model = ood_onnx_unpack_model(bytes, &pool, err);
    if (model != NULL)
        graph = read_twice(model, options, bytes, err);
    ood_pool_free(&pool);
    return graph;
}
