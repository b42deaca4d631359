/* Shape, Size and Gather: with Concat and Reshape the arithmetic on dimensions that exporters write. The answers of Shape and Size are
 * known at load, batch multiples included; Gather also picks from data, by indices known at load or computed. */
#include <string.h>

#include "ops/indexing_internal.h"
#include "ops/ops.h"
#include "ops/ops_internal.h"
#include "plan/builder.h"

/* ---- Shape ---- */

/* start and end of opset 15: clamped into 0 … rank. */
static size_t shape_bound(int64_t bound, size_t rank)
{
    int64_t most = (int64_t)rank, at = bound < 0 ? bound + most : bound;
    return (size_t)(at < 0 ? 0 : at > most ? most : at);
}

static bool shape_shape(struct ood_graph *graph, const struct ood_node *node, struct ood_error *err)
{
    const struct ood_value *input = ood_node_input(graph, node, 0);
    size_t rank = input->shape.rank, start = 0, end = rank;
    if (node->opset >= 15) {
        start = shape_bound(ood_node_int(node, "start", 0), rank);
        end = shape_bound(ood_node_int(node, "end", (int64_t)rank), rank);
    }
    size_t count = end > start ? end - start : 0;
    const struct ood_shape shape = ood_shape_of(1, (int64_t)count);
    struct ood_tensor *dims = ood_tensor_new(OOD_INT64, &shape, err);
    if (dims == NULL)
        return false;
    if (count > 0)
        memcpy(dims->data, input->shape.dims + start, count * sizeof(int64_t));
    return ood_op_set_known(graph, node, dims, err);
}

const struct ood_op ood_op_shape = {
    .name = "Shape", .since = 1, .least_inputs = 1, .most_inputs = 1, .shape = shape_shape, .lower = ood_op_lower_known,
};

/* ---- Size ---- */

static bool size_shape(struct ood_graph *graph, const struct ood_node *node, struct ood_error *err)
{
    static const struct ood_shape scalar = { .rank = 0 };
    int64_t elements;
    if (!ood_shape_elements(&ood_node_input(graph, node, 0)->shape, &elements))
        return ood_node_fail(node, err, OOD_UNSUPPORTED, "a number of elements that is no multiple of the batch");
    struct ood_tensor *tensor = ood_tensor_new(OOD_INT64, &scalar, err);
    if (tensor != NULL)
        ood_i64(tensor)[0] = elements;
    return ood_op_set_known(graph, node, tensor, err);
}

const struct ood_op ood_op_size = {
    .name = "Size", .since = 1, .least_inputs = 1, .most_inputs = 1, .shape = size_shape, .lower = ood_op_lower_known,
};

/* ---- Gather ---- */

/* Index i of a tensor of int64 or int32, counted from the end where negative; false where it is no index of `dim`. */
static bool gather_index(const struct ood_tensor *indices, size_t i, int64_t dim, size_t *out)
{
    int64_t index = indices->type == OOD_INT64 ? ood_i64(indices)[i] : ((const int32_t *)indices->data)[i];
    if (index < -dim || index >= dim)
        return false;
    *out = (size_t)(index < 0 ? index + dim : index);
    return true;
}

static bool gather_shape(struct ood_graph *graph, const struct ood_node *node, struct ood_error *err)
{
    const struct ood_value *data = ood_node_input(graph, node, 0), *indices = ood_node_input(graph, node, 1);
    size_t axis, rank = data->shape.rank, picked = indices->shape.rank, ignored;
    if (!ood_op_axis(node, ood_node_int(node, "axis", 0), rank, &axis, err))
        return false;
    if (!ood_index_type(node, indices, err))
        return false;
    if (rank - 1 + picked > OOD_MAX_RANK)
        return ood_node_fail(node, err, OOD_UNSUPPORTED, "output has %zu dimensions; at most %d are supported",
                             rank - 1 + picked, OOD_MAX_RANK);
    int64_t dim = data->shape.dims[axis];
    if (ood_dim_is_batch(dim))
        return ood_node_fail(node, err, OOD_UNSUPPORTED, "picks along the batch (axis %zu)", axis);
    for (size_t i = 0; indices->constant != NULL && i < indices->constant->count; i++)
        if (!gather_index(indices->constant, i, dim, &ignored))
            return ood_node_fail(node, err, OOD_INVALID, "index %zu is outside axis %zu of %lld elements", i, axis, (long long)dim);
    struct ood_shape shape = { .rank = rank - 1 + picked };
    for (size_t i = 0; i < shape.rank; i++)
        shape.dims[i] = i < axis ? data->shape.dims[i] : i < axis + picked ? indices->shape.dims[i - axis]
                                                                            : data->shape.dims[i - picked + 1];
    return ood_graph_set_output(graph, node, 0, data->type, &shape, err);
}

struct gather { size_t outer, dim, picked, inner; };     /* inner: bytes */

static struct gather gather_of(const struct ood_shape *data, size_t axis, size_t picked, enum ood_type type)
{
    struct gather gather = { .outer = 1, .dim = (size_t)data->dims[axis], .picked = picked, .inner = ood_type_size(type) };
    for (size_t i = 0; i < data->rank; i++)
        if (i != axis)
            *(i < axis ? &gather.outer : &gather.inner) *= (size_t)data->dims[i];
    return gather;
}

static void gather_run(const void *state, void *const *memory)
{
    const struct gather *gather = state;
    const char *from = memory[0];
    const int64_t *indices = memory[1];
    char *to = memory[2];
    for (size_t outer = 0; outer < gather->outer; outer++, from += gather->dim * gather->inner)
        for (size_t i = 0; i < gather->picked; i++, to += gather->inner)
            memcpy(to, from + (size_t)indices[i] * gather->inner, gather->inner);
}

struct gather_indices { const struct ood_tensor *tensor; int64_t dim; };

static bool gather_fill(void *memory, const void *context, struct ood_error *err)
{
    const struct gather_indices *indices = context;
    int64_t *plain = memory;
    size_t index = 0;
    for (size_t i = 0; i < indices->tensor->count; i++) {
        if (!gather_index(indices->tensor, i, indices->dim, &index))
            return ood_fail(err, OOD_INVALID, "index %zu is out of range", i);
        plain[i] = (int64_t)index;
    }
    return true;
}

static struct ood_tensor *gather_evaluate(const struct ood_graph *graph, const struct ood_node *node,
                                          const struct ood_tensor *const *inputs, struct ood_error *err)
{
    const struct ood_value *value = &graph->values[node->outputs[0]];
    size_t axis;
    if (!ood_op_axis(node, ood_node_int(node, "axis", 0), inputs[0]->shape.rank, &axis, err))
        return NULL;
    const struct gather_indices indices = { inputs[1], inputs[0]->shape.dims[axis] };
    int64_t *plain = ood_new_array(int64_t, inputs[1]->count, err);
    if (plain == NULL)
        return NULL;
    struct ood_tensor *output = NULL;
    if (gather_fill(plain, &indices, err))
        output = ood_tensor_new(value->type, &value->shape, err);
    if (output != NULL && output->count > 0) {
        const struct gather gather = gather_of(&inputs[0]->shape, axis, inputs[1]->count, value->type);
        gather_run(&gather, (void *const[]){ inputs[0]->data, plain, output->data });
    }
    ood_free(plain);
    return output;
}

struct gather_computed { struct gather gather; enum ood_type type, index_type; };

static void gather_computed_run(const void *state, void *const *memory)
{
    const struct gather_computed *s = state;
    const char *from = memory[0];
    char *to = memory[2];
    for (size_t outer = 0; outer < s->gather.outer; outer++, from += s->gather.dim * s->gather.inner)
        for (size_t i = 0, index = 0; i < s->gather.picked; i++, to += s->gather.inner) {
            if (ood_index_at(memory[1], s->index_type, i, s->gather.dim, &index))
                memcpy(to, from + index * s->gather.inner, s->gather.inner);
            else
                ood_index_missing(to, s->type, s->gather.inner / ood_type_size(s->type));
        }
}

static bool gather_lower_computed(struct ood_builder *builder, const struct ood_node *node, size_t axis, struct ood_error *err)
{
    const struct ood_graph *graph = ood_builder_graph(builder);
    const struct ood_shape data = ood_builder_shape(builder, node->inputs[0]), indices = ood_builder_shape(builder, node->inputs[1]);
    struct gather_computed state = { .type = graph->values[node->inputs[0]].type, .index_type = graph->values[node->inputs[1]].type };
    struct ood_operand operands[3];
    size_t picked;
    if (!ood_shape_count(&indices, &picked))
        return ood_node_fail(node, err, OOD_INVALID, "too many indices");
    state.gather = gather_of(&data, axis, picked, state.type);
    return ood_builder_input(builder, node->inputs[0], OOD_PLAIN, &operands[0], err) &&
           ood_builder_input(builder, node->inputs[1], OOD_PLAIN, &operands[1], err) &&
           ood_builder_output(builder, node->outputs[0], OOD_PLAIN, &operands[2], err) &&
           ood_builder_step(builder, &(struct ood_step_spec){ .node = node, .kernel = "own:gather", .run = gather_computed_run,
                                                              .state = &state, .state_size = sizeof state, .operands = operands,
                                                              .operand_count = 3 }, err);
}

/* One slice, as a view; the index has dimensions of 1, or none. */
static bool place_picked(struct ood_builder *builder, const struct ood_node *node, const struct ood_shape *data, size_t axis,
                         const struct ood_tensor *indices, struct ood_error *err)
{
    const size_t picked = indices->shape.rank;
    struct ood_strided from, view;
    size_t index = 0;
    if (!ood_builder_view(builder, node->inputs[0], &from, err))
        return false;
    if (!gather_index(indices, 0, data->dims[axis], &index))
        return ood_node_fail(node, err, OOD_INVALID, "the index is out of range");
    view = from;
    view.start += index * from.strides[axis];
    for (size_t i = 0; i + 1 < data->rank + picked; i++)
        view.strides[i] = i < axis ? from.strides[i] : i < axis + picked ? 1 : from.strides[i - picked + 1];
    return ood_builder_place_view(builder, node->outputs[0], &view, err);
}

static bool gather_lower(struct ood_builder *builder, const struct ood_node *node, struct ood_error *err)
{
    const struct ood_shape data = ood_builder_shape(builder, node->inputs[0]);
    const struct ood_value *value = &ood_builder_graph(builder)->values[node->outputs[0]];
    const struct ood_tensor *indices = ood_builder_constant(builder, node->inputs[1]);
    size_t axis;
    if (!ood_op_axis(node, ood_node_int(node, "axis", 0), data.rank, &axis, err))
        return false;
    if (indices == NULL)
        return gather_lower_computed(builder, node, axis, err);
    if (indices->count == 1 && ood_builder_views(builder))
        return place_picked(builder, node, &data, axis, indices, err);
    const struct gather gather = gather_of(&data, axis, indices->count, value->type);
    const struct gather_indices context = { indices, data.dims[axis] };
    struct ood_operand operands[3] = { [1] = { .buffer = OOD_NONE } };
    operands[1].weights = ood_builder_weights(builder, node, "indices", indices->count * sizeof(int64_t), gather_fill,
                                              &context, err);
    return operands[1].weights != NULL &&
           ood_builder_input(builder, node->inputs[0], OOD_PLAIN, &operands[0], err) &&
           ood_builder_output(builder, node->outputs[0], OOD_PLAIN, &operands[2], err) &&
           ood_builder_step(builder, &(struct ood_step_spec){ .node = node, .kernel = "own:gather", .run = gather_run,
                                                              .state = &gather, .state_size = sizeof gather,
                                                              .operands = operands, .operand_count = 3 }, err);
}

/* One place of the axis, as a scalar index that is known. */
static bool gather_part(const struct ood_graph *graph, const struct ood_node *node, size_t output, struct ood_part *part)
{
    const struct ood_shape *data = &ood_node_input(graph, node, 0)->shape;
    const struct ood_value *indices = ood_node_input(graph, node, 1);
    const int64_t axis = ood_node_int(node, "axis", 0);
    size_t index;
    (void)output;
    *part = (struct ood_part){ .axis = (size_t)(axis < 0 ? axis + (int64_t)data->rank : axis), .size = 1, .dropped = true };
    if (indices->constant == NULL || indices->shape.rank != 0 || !gather_index(indices->constant, 0, data->dims[part->axis], &index))
        return false;
    part->start = (int64_t)index;
    return true;
}

const struct ood_op ood_op_gather = {
    .name = "Gather", .since = 1, .least_inputs = 2, .most_inputs = 2,
    .shape = gather_shape, .evaluate = gather_evaluate, .lower = gather_lower, .part = gather_part,
};
