/* Small ONNX files from scratch: protobuf-c's structures in a pool, packed at the end. */
#include <string.h>

#include "graph/write.h"
#include "graph/write_internal.h"

#define OPSET 13
#define IR_VERSION 7                         /* ONNX 1.8, which came with opset 13 */

/* A list of pointers that grows in the builder's memory. */
struct list { void **items; size_t count, capacity; };

struct ood_onnx_builder {
    struct ood_pool pool;
    struct ood_error err;                    /* the first */
    struct list inputs, outputs, initialisers, nodes;
    Onnx__ModelProto model;
    Onnx__GraphProto graph;
    Onnx__OperatorSetIdProto opset;
    Onnx__OperatorSetIdProto *opsets[1];
};

static bool failed(const struct ood_onnx_builder *builder) { return builder->err.code != OOD_OK; }

static void *take(struct ood_onnx_builder *builder, size_t count, size_t size)
{
    return failed(builder) ? NULL : ood_pool_alloc(&builder->pool, count, size, &builder->err);
}

static char *copy_text(struct ood_onnx_builder *builder, const char *text)
{
    return failed(builder) ? NULL : ood_pool_strndup(&builder->pool, text, strlen(text), &builder->err);
}

static void append(struct ood_onnx_builder *builder, struct list *list, void *item)
{
    if (item != NULL && !failed(builder) && ood_grow(&list->items, &list->capacity, list->count + 1, sizeof *list->items, &builder->err))
        list->items[list->count++] = item;
}

struct ood_onnx_builder *ood_onnx_builder_new(const char *graph, struct ood_error *err)
{
    struct ood_onnx_builder *builder = ood_new(struct ood_onnx_builder, err);
    if (builder == NULL)
        return NULL;
    onnx__model_proto__init(&builder->model);
    onnx__graph_proto__init(&builder->graph);
    onnx__operator_set_id_proto__init(&builder->opset);
    static char domain[] = "", producer[] = "oodctl";
    builder->opset.domain = domain;
    builder->opset.has_version = true;
    builder->opset.version = OPSET;
    builder->opsets[0] = &builder->opset;
    builder->graph.name = copy_text(builder, graph);
    builder->model.has_ir_version = true;
    builder->model.ir_version = IR_VERSION;
    builder->model.producer_name = producer;
    builder->model.producer_version = copy_text(builder, ood_version());
    builder->model.n_opset_import = 1;
    builder->model.opset_import = builder->opsets;
    builder->model.graph = &builder->graph;
    return builder;
}

void ood_onnx_builder_free(struct ood_onnx_builder *builder)
{
    if (builder == NULL)
        return;
    ood_free(builder->inputs.items);
    ood_free(builder->outputs.items);
    ood_free(builder->initialisers.items);
    ood_free(builder->nodes.items);
    ood_pool_free(&builder->pool);
    ood_free(builder);
}

/* ---- inputs and outputs ---- */

static Onnx__TensorShapeProto *make_shape(struct ood_onnx_builder *builder, const struct ood_shape *shape)
{
    static char batch[] = "n";
    Onnx__TensorShapeProto *proto = take(builder, 1, sizeof *proto);
    Onnx__TensorShapeProto__Dimension *dims = take(builder, shape->rank, sizeof *dims), **list = take(builder, shape->rank, sizeof *list);
    if (proto == NULL || dims == NULL || list == NULL)
        return NULL;
    onnx__tensor_shape_proto__init(proto);
    proto->n_dim = shape->rank;
    proto->dim = list;
    for (size_t i = 0; i < shape->rank; i++) {
        bool free_dimension = shape->dims[i] <= 0;
        onnx__tensor_shape_proto__dimension__init(&dims[i]);
        list[i] = &dims[i];
        if (free_dimension) {
            dims[i].value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM;
            dims[i].dim_param = batch;
        } else {
            dims[i].value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
            dims[i].dim_value = shape->dims[i];
        }
    }
    return proto;
}

static Onnx__ValueInfoProto *make_value(struct ood_onnx_builder *builder, const char *name, const struct ood_shape *shape)
{
    Onnx__ValueInfoProto *value = take(builder, 1, sizeof *value);
    Onnx__TypeProto *type = take(builder, 1, sizeof *type);
    Onnx__TypeProto__Tensor *tensor = take(builder, 1, sizeof *tensor);
    Onnx__TensorShapeProto *dims = make_shape(builder, shape);
    char *copy = copy_text(builder, name);
    if (value == NULL || type == NULL || tensor == NULL || dims == NULL || copy == NULL)
        return NULL;
    onnx__value_info_proto__init(value);
    onnx__type_proto__init(type);
    onnx__type_proto__tensor__init(tensor);
    tensor->has_elem_type = true;
    tensor->elem_type = ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT;
    tensor->shape = dims;
    type->value_case = ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE;
    type->tensor_type = tensor;
    value->name = copy;
    value->type = type;
    return value;
}

void ood_onnx_input(struct ood_onnx_builder *builder, const char *name, const struct ood_shape *shape)
{
    append(builder, &builder->inputs, make_value(builder, name, shape));
}

void ood_onnx_output(struct ood_onnx_builder *builder, const char *name, const struct ood_shape *shape)
{
    append(builder, &builder->outputs, make_value(builder, name, shape));
}

/* ---- numbers and nodes ---- */

void ood_onnx_initialiser(struct ood_onnx_builder *builder, const char *name, const struct ood_shape *shape, const float *values)
{
    size_t count;
    if (!failed(builder) && !ood_shape_count(shape, &count))
        ood_fail(&builder->err, OOD_INVALID, "initialiser \"%s\": its shape is too large", name);
    Onnx__TensorProto *tensor = take(builder, 1, sizeof *tensor);
    int64_t *dims = take(builder, shape->rank, sizeof *dims);
    char *copy = copy_text(builder, name);
    float *data = failed(builder) ? NULL : take(builder, count, sizeof *data);
    if (tensor == NULL || dims == NULL || copy == NULL || data == NULL)
        return;
    memcpy(data, values, count * sizeof *data);
    onnx__tensor_proto__init(tensor);
    tensor->name = copy;
    tensor->has_data_type = true;
    tensor->data_type = ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT;
    tensor->n_dims = shape->rank;
    tensor->dims = memcpy(dims, shape->dims, shape->rank * sizeof *dims);
    tensor->has_raw_data = true;
    tensor->raw_data.data = (uint8_t *)data;
    tensor->raw_data.len = count * sizeof *data;
    append(builder, &builder->initialisers, tensor);
}

static Onnx__AttributeProto *make_attribute(struct ood_onnx_builder *builder, const struct ood_onnx_attribute *from)
{
    Onnx__AttributeProto *attribute = take(builder, 1, sizeof *attribute);
    int64_t *ints = take(builder, from->count, sizeof *ints);
    char *name = copy_text(builder, from->name);
    if (attribute == NULL || ints == NULL || name == NULL)
        return NULL;
    onnx__attribute_proto__init(attribute);
    attribute->name = name;
    attribute->has_type = true;
    if (from->ints != NULL) {
        attribute->type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS;
        attribute->n_ints = from->count;
        attribute->ints = memcpy(ints, from->ints, from->count * sizeof *ints);
    } else if (from->real) {
        attribute->type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT;
        attribute->has_f = true;
        attribute->f = from->f;
    } else {
        attribute->type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT;
        attribute->has_i = true;
        attribute->i = from->i;
    }
    return attribute;
}

void ood_onnx_node(struct ood_onnx_builder *builder, const char *op, const char *const *inputs, size_t input_count, const char *output,
                   const struct ood_onnx_attribute *attributes, size_t attribute_count)
{
    Onnx__NodeProto *node = take(builder, 1, sizeof *node);
    char **names = take(builder, input_count, sizeof *names), **outputs = take(builder, 1, sizeof *outputs);
    Onnx__AttributeProto **list = take(builder, attribute_count, sizeof *list);
    if (node == NULL || names == NULL || outputs == NULL || list == NULL)
        return;
    onnx__node_proto__init(node);
    node->name = outputs[0] = copy_text(builder, output);
    node->op_type = copy_text(builder, op);
    for (size_t i = 0; i < input_count; i++)
        names[i] = copy_text(builder, inputs[i]);
    for (size_t i = 0; i < attribute_count; i++)
        list[i] = make_attribute(builder, &attributes[i]);
    node->n_input = input_count;
    node->input = names;
    node->n_output = 1;
    node->output = outputs;
    node->n_attribute = attribute_count;
    node->attribute = list;
    append(builder, &builder->nodes, node);
}

bool ood_onnx_builder_finish(struct ood_onnx_builder *builder, struct ood_bytes *out, struct ood_error *err)
{
    if (failed(builder)) {
        *err = builder->err;
        return false;
    }
    Onnx__GraphProto *graph = &builder->graph;
    graph->n_input = builder->inputs.count;
    graph->input = (Onnx__ValueInfoProto **)builder->inputs.items;
    graph->n_output = builder->outputs.count;
    graph->output = (Onnx__ValueInfoProto **)builder->outputs.items;
    graph->n_initializer = builder->initialisers.count;
    graph->initializer = (Onnx__TensorProto **)builder->initialisers.items;
    graph->n_node = builder->nodes.count;
    graph->node = (Onnx__NodeProto **)builder->nodes.items;
    return ood_onnx_pack(&builder->model, out, err);
}
