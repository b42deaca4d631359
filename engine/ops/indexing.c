/* GatherElements, ScatterElements (and Scatter, its name before opset 11), GatherND, ScatterND: elements picked and put by indices that
 * may be computed. */
#include "ops/indexing_internal.h"

#include <math.h>
#include <string.h>

#include "ops/ops.h"
#include "ops/ops_internal.h"

void ood_index_missing(void *to, enum ood_type type, size_t count)
{
    if (type == OOD_FLOAT32)
        for (size_t i = 0; i < count; i++)
            ((float *)to)[i] = NAN;
    else
        memset(to, 0, count * ood_type_size(type));
}

bool ood_index_type(const struct ood_node *node, const struct ood_value *indices, struct ood_error *err)
{
    if (indices->type == OOD_INT64 || indices->type == OOD_INT32)
        return true;
    return ood_node_fail(node, err, OOD_INVALID, "indices are %s; expected int64 or int32", ood_type_name(indices->type));
}

/* ---- what an update does to the element it meets ---- */

enum update { REPLACE, ADD, MULTIPLY, MOST, LEAST };

static bool read_update(const struct ood_node *node, enum update *out, struct ood_error *err)
{
    static const char *const names[] = { "none", "add", "mul", "max", "min" };
    const char *name = ood_node_string(node, "reduction", "none");
    for (size_t i = 0; i < (node->opset >= 18 ? 5 : 3); i++)
        if (strcmp(names[i], name) == 0) {
            *out = (enum update)i;
            return true;
        }
    return ood_node_fail(node, err, OOD_UNSUPPORTED, "reduction is %.40s", name);
}

static void put_float(enum update update, float *to, float x)
{
    switch (update) {
    case REPLACE: *to = x; break;
    case ADD: *to += x; break;
    case MULTIPLY: *to *= x; break;
    case MOST: *to = isnan(*to) || *to > x ? *to : x; break;
    case LEAST: *to = isnan(*to) || *to < x ? *to : x; break;
    }
}

static int64_t put_integer(enum update update, int64_t to, int64_t x)
{
    switch (update) {
    case REPLACE: return x;
    case ADD: return (int64_t)((uint64_t)to + (uint64_t)x);
    case MULTIPLY: return (int64_t)((uint64_t)to * (uint64_t)x);
    case MOST: return to > x ? to : x;
    case LEAST: break;
    }
    return to < x ? to : x;
}

static void put(enum update update, enum ood_type type, void *to, size_t at, const void *from, size_t i)
{
    if (type == OOD_FLOAT32)
        put_float(update, (float *)to + at, ((const float *)from)[i]);
    else if (type == OOD_INT64)
        ((int64_t *)to)[at] = put_integer(update, ((int64_t *)to)[at], ((const int64_t *)from)[i]);
    else if (type == OOD_INT32)
        ((int32_t *)to)[at] = (int32_t)put_integer(update, ((int32_t *)to)[at], ((const int32_t *)from)[i]);
    else
        ((unsigned char *)to)[at] = ((const unsigned char *)from)[i];
}

/* ---- along one axis: the other coordinates are those of the index ---- */

struct along {
    enum ood_type type, index_type;
    enum update update;
    size_t rank, axis, count, data_count;    /* count: of indices */
    size_t dims[OOD_MAX_RANK], strides[OOD_MAX_RANK], data_dims[OOD_MAX_RANK];
};

static bool along_shape(const struct ood_graph *graph, const struct ood_node *node, size_t *axis, struct ood_error *err)
{
    const struct ood_value *data = ood_node_input(graph, node, 0), *indices = ood_node_input(graph, node, 1);
    char a[OOD_SHAPE_TEXT], b[OOD_SHAPE_TEXT];
    if (!ood_index_type(node, indices, err) || !ood_op_axis(node, ood_node_int(node, "axis", 0), data->shape.rank, axis, err))
        return false;
    bool fits = data->shape.rank == indices->shape.rank;
    for (size_t i = 0; fits && i < data->shape.rank; i++) {
        const int64_t d = data->shape.dims[i], k = indices->shape.dims[i];
        fits = i == *axis || d == k || (!ood_dim_is_batch(d) && !ood_dim_is_batch(k) && k <= d);
    }
    if (!fits)
        return ood_node_fail(node, err, OOD_INVALID, "indices of shape %s do not fit data of shape %s", ood_shape_print(&indices->shape, a),
                             ood_shape_print(&data->shape, b));
    if (ood_dim_is_batch(data->shape.dims[*axis]) || ood_dim_is_batch(indices->shape.dims[*axis]))
        return ood_node_fail(node, err, OOD_UNSUPPORTED, "picks along the batch (axis %zu)", *axis);
    return true;
}

static bool describe_along(const struct ood_builder *builder, const struct ood_node *node, struct along *out, struct ood_error *err)
{
    const struct ood_graph *graph = ood_builder_graph(builder);
    const struct ood_shape data = ood_builder_shape(builder, node->inputs[0]), indices = ood_builder_shape(builder, node->inputs[1]);
    struct along along = { .type = graph->values[node->inputs[0]].type, .index_type = graph->values[node->inputs[1]].type, .rank = data.rank };
    if (!ood_op_axis(node, ood_node_int(node, "axis", 0), data.rank, &along.axis, err) || !ood_shape_count(&indices, &along.count) ||
        !ood_shape_count(&data, &along.data_count))
        return false;
    size_t stride = 1;
    for (size_t i = data.rank; i-- > 0; stride *= (size_t)data.dims[i]) {
        along.dims[i] = (size_t)indices.dims[i];
        along.data_dims[i] = (size_t)data.dims[i];
        along.strides[i] = stride;
    }
    *out = along;
    return true;
}

/* Where in the data index i of the indices points. */
static bool place_along(const struct along *s, const void *indices, size_t i, size_t *out)
{
    size_t place = 0, rest = i, index;
    if (!ood_index_at(indices, s->index_type, i, s->data_dims[s->axis], &index))
        return false;
    for (size_t d = s->rank; d-- > 0; rest /= s->dims[d])
        place += (d == s->axis ? index : rest % s->dims[d]) * s->strides[d];
    *out = place;
    return true;
}

static bool gather_elements_shape(struct ood_graph *graph, const struct ood_node *node, struct ood_error *err)
{
    size_t axis;
    return along_shape(graph, node, &axis, err) &&
           ood_graph_set_output(graph, node, 0, ood_node_input(graph, node, 0)->type, &ood_node_input(graph, node, 1)->shape, err);
}

static void run_gather_elements(const void *state, void *const *memory)
{
    const struct along *s = state;
    const size_t size = ood_type_size(s->type);
    char *to = memory[2];
    for (size_t i = 0, at = 0; i < s->count; i++, to += size) {
        if (place_along(s, memory[1], i, &at))
            memcpy(to, (const char *)memory[0] + at * size, size);
        else
            ood_index_missing(to, s->type, 1);
    }
}

static bool gather_elements_lower(struct ood_builder *builder, const struct ood_node *node, struct ood_error *err)
{
    struct ood_operand operands[3];
    struct along state;
    return describe_along(builder, node, &state, err) && ood_builder_input(builder, node->inputs[0], OOD_PLAIN, &operands[0], err) &&
           ood_builder_input(builder, node->inputs[1], OOD_PLAIN, &operands[1], err) &&
           ood_builder_output(builder, node->outputs[0], OOD_PLAIN, &operands[2], err) &&
           ood_builder_step(builder, &(struct ood_step_spec){ .node = node, .kernel = "own:gather_elements", .run = run_gather_elements,
                                                              .state = &state, .state_size = sizeof state, .operands = operands,
                                                              .operand_count = 3 }, err);
}

const struct ood_op ood_op_gather_elements = {
    .name = "GatherElements", .since = 11, .least_inputs = 2, .most_inputs = 2,
    .shape = gather_elements_shape, .lower = gather_elements_lower,
};

static bool scatter_elements_shape(struct ood_graph *graph, const struct ood_node *node, struct ood_error *err)
{
    const struct ood_value *data = ood_node_input(graph, node, 0), *updates = ood_node_input(graph, node, 2);
    enum update update;
    size_t axis;
    if (!along_shape(graph, node, &axis, err) || !read_update(node, &update, err))
        return false;
    if (updates->type != data->type || !ood_shape_equal(&updates->shape, &ood_node_input(graph, node, 1)->shape))
        return ood_node_fail(node, err, OOD_INVALID, "updates are not of the data's type and the indices' shape");
    if (data->type == OOD_BOOL && update != REPLACE)
        return ood_node_fail(node, err, OOD_INVALID, "a reduction of bool");
    return ood_graph_set_output(graph, node, 0, data->type, &data->shape, err);
}

static void run_scatter_elements(const void *state, void *const *memory)
{
    const struct along *s = state;
    memcpy(memory[3], memory[0], s->data_count * ood_type_size(s->type));
    for (size_t i = 0, at = 0; i < s->count; i++)
        if (place_along(s, memory[1], i, &at))
            put(s->update, s->type, memory[3], at, memory[2], i);
}

/* data, indices, updates to the output: of both scatters. */
static bool add_scatter(struct ood_builder *builder, const struct ood_node *node, ood_step_run *run, const void *state, size_t size,
                        struct ood_error *err)
{
    struct ood_operand operands[4];
    for (size_t i = 0; i < 3; i++)
        if (!ood_builder_input(builder, node->inputs[i], OOD_PLAIN, &operands[i], err))
            return false;
    return ood_builder_output(builder, node->outputs[0], OOD_PLAIN, &operands[3], err) &&
           ood_builder_step(builder, &(struct ood_step_spec){ .node = node, .kernel = "own:scatter", .run = run, .state = state,
                                                              .state_size = size, .operands = operands, .operand_count = 4 }, err);
}

static bool scatter_elements_lower(struct ood_builder *builder, const struct ood_node *node, struct ood_error *err)
{
    struct along state;
    return describe_along(builder, node, &state, err) && read_update(node, &state.update, err) &&
           add_scatter(builder, node, run_scatter_elements, &state, sizeof state, err);
}

const struct ood_op ood_op_scatter = {
    .name = "Scatter", .since = 9, .until = 10, .least_inputs = 3, .most_inputs = 3,
    .shape = scatter_elements_shape, .lower = scatter_elements_lower,
};

const struct ood_op ood_op_scatter_elements = {
    .name = "ScatterElements", .since = 11, .least_inputs = 3, .most_inputs = 3,
    .shape = scatter_elements_shape, .lower = scatter_elements_lower,
};

/* ---- by tuples of indices ---- */

struct tuples {
    enum ood_type type, index_type;
    enum update update;
    size_t groups, tuples, length;           /* tuples a group; groups share nothing but their number (batch_dims) */
    size_t dims[OOD_MAX_RANK];               /* of the data that a tuple goes through */
    size_t picked, slice;                    /* data elements of a group; elements one tuple stands for */
};

static bool tuples_shape(const struct ood_graph *graph, const struct ood_node *node, size_t *batch_dims, size_t *length,
                         struct ood_error *err)
{
    const struct ood_value *data = ood_node_input(graph, node, 0), *indices = ood_node_input(graph, node, 1);
    const int64_t batch = ood_node_int(node, "batch_dims", 0);
    if (!ood_index_type(node, indices, err))
        return false;
    const size_t rank = data->shape.rank, index_rank = indices->shape.rank;
    if (index_rank < 1 || batch < 0 || (size_t)batch >= index_rank || (size_t)batch >= rank)
        return ood_node_fail(node, err, OOD_INVALID, "batch_dims is %lld, data have %zu dimensions, indices %zu", (long long)batch, rank, index_rank);
    const int64_t tuple = indices->shape.dims[index_rank - 1];
    if (tuple < 1 || tuple > (int64_t)rank - batch)
        return ood_node_fail(node, err, OOD_INVALID, "indices come in tuples of %lld; expected 1 to %zu", (long long)tuple, rank - (size_t)batch);
    for (size_t i = 0; i < (size_t)batch; i++)
        if (data->shape.dims[i] != indices->shape.dims[i])
            return ood_node_fail(node, err, OOD_INVALID, "dimension %zu of data and indices differs", i);
    for (size_t i = (size_t)batch; i < (size_t)(batch + tuple); i++)
        if (ood_dim_is_batch(data->shape.dims[i]))
            return ood_node_fail(node, err, OOD_UNSUPPORTED, "picks along the batch (axis %zu)", i);
    *batch_dims = (size_t)batch;
    *length = (size_t)tuple;
    return true;
}

/* Of data and indices of these shapes, without the batch. */
static bool describe_tuples(const struct ood_graph *graph, const struct ood_node *node, const struct ood_shape *data, const struct ood_shape *indices,
                            struct tuples *out, struct ood_error *err)
{
    struct tuples state = { .type = graph->values[node->inputs[0]].type, .index_type = graph->values[node->inputs[1]].type,
                            .groups = 1, .tuples = 1, .picked = 1, .slice = 1 };
    size_t batch;
    if (!tuples_shape(graph, node, &batch, &state.length, err))
        return false;
    for (size_t i = 0; i + 1 < indices->rank; i++)
        *(i < batch ? &state.groups : &state.tuples) *= (size_t)indices->dims[i];
    for (size_t i = 0; i < state.length; i++)
        state.dims[i] = (size_t)data->dims[batch + i];
    for (size_t i = batch; i < data->rank; i++) {
        state.picked *= (size_t)data->dims[i];
        state.slice *= i >= batch + state.length ? (size_t)data->dims[i] : 1;
    }
    *out = state;
    return true;
}

static bool tuples_to_run(const struct ood_builder *builder, const struct ood_node *node, struct tuples *out, struct ood_error *err)
{
    const struct ood_shape data = ood_builder_shape(builder, node->inputs[0]), indices = ood_builder_shape(builder, node->inputs[1]);
    return describe_tuples(ood_builder_graph(builder), node, &data, &indices, out, err);
}

/* The data element where tuple i of all begins. */
static bool place_tuple(const struct tuples *s, const void *indices, size_t i, size_t *out)
{
    size_t place = 0, index;
    for (size_t k = 0; k < s->length; k++) {
        if (!ood_index_at(indices, s->index_type, i * s->length + k, s->dims[k], &index))
            return false;
        place = place * s->dims[k] + index;
    }
    *out = i / s->tuples * s->picked + place * s->slice;
    return true;
}

static bool gather_nd_shape(struct ood_graph *graph, const struct ood_node *node, struct ood_error *err)
{
    const struct ood_value *data = ood_node_input(graph, node, 0), *indices = ood_node_input(graph, node, 1);
    struct ood_shape shape = indices->shape;
    size_t batch, length;
    if (!tuples_shape(graph, node, &batch, &length, err))
        return false;
    const size_t kept = data->shape.rank - batch - length;
    if (shape.rank - 1 + kept > OOD_MAX_RANK)
        return ood_node_fail(node, err, OOD_UNSUPPORTED, "output has %zu dimensions; at most %d are supported", shape.rank - 1 + kept, OOD_MAX_RANK);
    shape.rank--;
    for (size_t i = 0; i < kept; i++)
        shape.dims[shape.rank++] = data->shape.dims[batch + length + i];
    return ood_graph_set_output(graph, node, 0, data->type, &shape, err);
}

static void run_gather_nd(const void *state, void *const *memory)
{
    const struct tuples *s = state;
    const size_t size = ood_type_size(s->type), bytes = s->slice * size;
    char *to = memory[2];
    for (size_t i = 0, at = 0; i < s->groups * s->tuples; i++, to += bytes) {
        if (place_tuple(s, memory[1], i, &at))
            memcpy(to, (const char *)memory[0] + at * size, bytes);
        else
            ood_index_missing(to, s->type, s->slice);
    }
}

static bool gather_nd_lower(struct ood_builder *builder, const struct ood_node *node, struct ood_error *err)
{
    struct ood_operand operands[3];
    struct tuples state;
    return tuples_to_run(builder, node, &state, err) && ood_builder_input(builder, node->inputs[0], OOD_PLAIN, &operands[0], err) &&
           ood_builder_input(builder, node->inputs[1], OOD_PLAIN, &operands[1], err) &&
           ood_builder_output(builder, node->outputs[0], OOD_PLAIN, &operands[2], err) &&
           ood_builder_step(builder, &(struct ood_step_spec){ .node = node, .kernel = "own:gather_nd", .run = run_gather_nd,
                                                              .state = &state, .state_size = sizeof state, .operands = operands,
                                                              .operand_count = 3 }, err);
}

const struct ood_op ood_op_gather_nd = {
    .name = "GatherND", .since = 11, .least_inputs = 2, .most_inputs = 2, .shape = gather_nd_shape, .lower = gather_nd_lower,
};

static bool scatter_nd_shape(struct ood_graph *graph, const struct ood_node *node, struct ood_error *err)
{
    const struct ood_value *data = ood_node_input(graph, node, 0), *indices = ood_node_input(graph, node, 1), *updates = ood_node_input(graph, node, 2);
    struct ood_shape expected = indices->shape;
    enum update update;
    size_t batch, length;
    if (!tuples_shape(graph, node, &batch, &length, err) || !read_update(node, &update, err))
        return false;
    expected.rank--;
    for (size_t i = length; i < data->shape.rank && expected.rank < OOD_MAX_RANK; i++)
        expected.dims[expected.rank++] = data->shape.dims[i];
    if (batch != 0 || updates->type != data->type || !ood_shape_equal(&updates->shape, &expected) || (data->type == OOD_BOOL && update != REPLACE))
        return ood_node_fail(node, err, OOD_INVALID, "data, indices and updates do not fit together");
    if (ood_shape_has_batch(&indices->shape))
        return ood_node_fail(node, err, OOD_UNSUPPORTED, "puts what each picture brings into one place");
    return ood_graph_set_output(graph, node, 0, data->type, &data->shape, err);
}

static void run_scatter_nd(const void *state, void *const *memory)
{
    const struct tuples *s = state;
    memcpy(memory[3], memory[0], s->picked * ood_type_size(s->type));
    for (size_t i = 0, at = 0; i < s->tuples; i++)
        if (place_tuple(s, memory[1], i, &at))
            for (size_t k = 0; k < s->slice; k++)
                put(s->update, s->type, memory[3], at + k, memory[2], i * s->slice + k);
}

static bool scatter_nd_lower(struct ood_builder *builder, const struct ood_node *node, struct ood_error *err)
{
    struct tuples state;
    return tuples_to_run(builder, node, &state, err) && read_update(node, &state.update, err) &&
           add_scatter(builder, node, run_scatter_nd, &state, sizeof state, err);
}

/* Multiples of the batch are moved; nothing is computed of them. */
static struct ood_tensor *scatter_nd_evaluate(const struct ood_graph *graph, const struct ood_node *node, const struct ood_tensor *const *inputs,
                                              struct ood_error *err)
{
    struct tuples state;
    if (!describe_tuples(graph, node, &inputs[0]->shape, &inputs[1]->shape, &state, err) || !read_update(node, &state.update, err))
        return NULL;
    if (ood_op_has_batch_numbers(inputs[1]) ||
        (state.update != REPLACE && (ood_op_has_batch_numbers(inputs[0]) || ood_op_has_batch_numbers(inputs[2])))) {
        (void)ood_fail(err, OOD_UNSUPPORTED, "indices or sums that depend on the batch");
        return NULL;
    }
    struct ood_tensor *y = ood_tensor_new(state.type, &inputs[0]->shape, err);
    if (y != NULL)
        run_scatter_nd(&state, (void *const[]){ inputs[0]->data, inputs[1]->data, inputs[2]->data, y->data });
    return y;
}

const struct ood_op ood_op_scatter_nd = {
    .name = "ScatterND", .since = 11, .least_inputs = 3, .most_inputs = 3, .shape = scatter_nd_shape, .evaluate = scatter_nd_evaluate,
    .lower = scatter_nd_lower,
};
