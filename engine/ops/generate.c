/* Range, EyeLike, OneHot, Trilu, CumSum: numbers made from places. */
#include <math.h>
#include <string.h>

#include "ops/ops.h"
#include "ops/ops_internal.h"
#include "ops/posts_internal.h"

#define ELEMENTS_MOST (INT64_C(1) << 24)

/* ---- Range: its answer is known at load ---- */

static double number_of(const struct ood_tensor *tensor, size_t i)
{
    return tensor->type == OOD_FLOAT32 ? (double)ood_f32(tensor)[i]
           : tensor->type == OOD_INT64 ? (double)ood_i64(tensor)[i]
                                       : (double)((const int32_t *)tensor->data)[i];
}

static bool range_shape(struct ood_graph *graph, const struct ood_node *node, struct ood_error *err)
{
    static const char *const names[] = { "start", "limit", "delta" };
    const enum ood_type type = ood_node_input(graph, node, 0)->type;
    double bounds[3];
    for (size_t i = 0; i < 3; i++) {
        const struct ood_value *value = ood_node_input(graph, node, i);
        if (value->constant == NULL || ood_op_has_batch_numbers(value->constant))
            return ood_node_fail(node, err, OOD_UNSUPPORTED, "%s is not known at load, or depends on the batch", names[i]);
        if (value->type != type || type == OOD_BOOL || value->constant->count != 1)
            return ood_node_fail(node, err, OOD_INVALID, "%s is %zu elements of %s; expected one %s", names[i], value->constant->count,
                                 ood_type_name(value->type), ood_type_name(type));
        bounds[i] = number_of(value->constant, 0);
    }
    const double count = ceil((bounds[1] - bounds[0]) / bounds[2]);
    if (!(bounds[2] != 0) || !isfinite(count) || count > (double)ELEMENTS_MOST)
        return ood_node_fail(node, err, OOD_INVALID, "from %g to %g in steps of %g", bounds[0], bounds[1], bounds[2]);
    const struct ood_shape shape = ood_shape_of(1, count > 0 ? (int64_t)count : INT64_C(0));
    struct ood_tensor *y = ood_tensor_new(type, &shape, err);
    for (size_t i = 0; y != NULL && i < y->count; i++) {
        const double number = bounds[0] + (double)i * bounds[2];
        if (type == OOD_FLOAT32)
            ood_f32(y)[i] = (float)number;
        else if (type == OOD_INT64)
            ood_i64(y)[i] = ood_i64(ood_node_input(graph, node, 0)->constant)[0] + (int64_t)i * ood_i64(ood_node_input(graph, node, 2)->constant)[0];
        else
            ((int32_t *)y->data)[i] = (int32_t)number;
    }
    return ood_op_set_known(graph, node, y, err);
}

const struct ood_op ood_op_range = {
    .name = "Range", .since = 11, .least_inputs = 3, .most_inputs = 3,
    .decided_by = 1 << 0 | 1 << 1 | 1 << 2, .shape = range_shape, .lower = ood_op_lower_known,
};

/* ---- EyeLike ---- */

static bool eye_like_shape(struct ood_graph *graph, const struct ood_node *node, struct ood_error *err)
{
    const struct ood_value *x = ood_node_input(graph, node, 0);
    const int64_t number = ood_node_int(node, "dtype", 0), k = ood_node_int(node, "k", 0);
    enum ood_type type = x->type;
    if (number != 0 && !ood_op_type_of(number, &type))
        return ood_node_fail(node, err, OOD_UNSUPPORTED, "dtype is %lld; expected float32 (1), int32 (6), int64 (7) or bool (9)", (long long)number);
    if (x->shape.rank != 2)
        return ood_node_fail(node, err, OOD_INVALID, "input has %zu dimensions; expected 2", x->shape.rank);
    if (ood_shape_has_batch(&x->shape) || x->shape.dims[0] > ELEMENTS_MOST || x->shape.dims[1] > ELEMENTS_MOST ||
        x->shape.dims[0] * x->shape.dims[1] > ELEMENTS_MOST)
        return ood_node_fail(node, err, OOD_UNSUPPORTED, "a shape that depends on the batch, or of more than %lld elements", (long long)ELEMENTS_MOST);
    const struct ood_shape shape = x->shape;
    struct ood_tensor *y = ood_tensor_new(type, &shape, err);
    for (int64_t row = 0; y != NULL && row < shape.dims[0]; row++) {
        if (k < -shape.dims[0] || k > shape.dims[1] || row + k < 0 || row + k >= shape.dims[1])
            continue;
        const size_t at = (size_t)(row * shape.dims[1] + row + k);
        if (type == OOD_FLOAT32)
            ood_f32(y)[at] = 1;
        else if (type == OOD_INT64)
            ood_i64(y)[at] = 1;
        else if (type == OOD_INT32)
            ((int32_t *)y->data)[at] = 1;
        else
            ((unsigned char *)y->data)[at] = 1;
    }
    return ood_op_set_known(graph, node, y, err);
}

const struct ood_op ood_op_eye_like = {
    .name = "EyeLike", .since = 9, .least_inputs = 1, .most_inputs = 1, .shape = eye_like_shape, .lower = ood_op_lower_known,
};

/* ---- OneHot ---- */

static bool one_hot_depth(const struct ood_graph *graph, const struct ood_node *node, int64_t *depth, struct ood_error *err)
{
    const struct ood_value *value = ood_node_input(graph, node, 1);
    if (value->constant == NULL || value->constant->count != 1 || value->type == OOD_BOOL || ood_op_has_batch_numbers(value->constant))
        return ood_node_fail(node, err, OOD_UNSUPPORTED, "the depth is not one number known at load");
    const double number = number_of(value->constant, 0);
    if (!(number >= 1 && number <= (double)INT32_MAX))
        return ood_node_fail(node, err, OOD_INVALID, "a depth of %g", number);
    *depth = (int64_t)number;
    return true;
}

static bool one_hot_shape(struct ood_graph *graph, const struct ood_node *node, struct ood_error *err)
{
    const struct ood_value *indices = ood_node_input(graph, node, 0), *values = ood_node_input(graph, node, 2);
    struct ood_shape shape = indices->shape;
    int64_t depth = 0;
    size_t axis;
    if (indices->type == OOD_BOOL || values->shape.rank != 1 || values->shape.dims[0] != 2)
        return ood_node_fail(node, err, OOD_INVALID, "indices are %s; expected numbers, and two values", ood_type_name(indices->type));
    if (shape.rank == OOD_MAX_RANK)
        return ood_node_fail(node, err, OOD_UNSUPPORTED, "output has %zu dimensions; at most %d are supported", shape.rank + 1, OOD_MAX_RANK);
    if (!ood_op_axis(node, ood_node_int(node, "axis", -1), shape.rank + 1, &axis, err) || !one_hot_depth(graph, node, &depth, err))
        return false;
    for (size_t i = shape.rank++; i > axis; i--)
        shape.dims[i] = shape.dims[i - 1];
    shape.dims[axis] = depth;
    return ood_graph_set_output(graph, node, 0, values->type, &shape, err);
}

struct one_hot { enum ood_type type; size_t size, outer, depth, inner; };

static void run_one_hot(const void *state, void *const *memory)
{
    const struct one_hot *s = state;
    const char *off = memory[1], *on = off + s->size;
    char *y = memory[2];
    for (size_t o = 0; o < s->outer; o++)
        for (size_t d = 0; d < s->depth; d++)
            for (size_t i = 0; i < s->inner; i++, y += s->size) {
                const size_t at = o * s->inner + i;
                double index = s->type == OOD_FLOAT32 ? (double)((const float *)memory[0])[at]
                               : s->type == OOD_INT64 ? (double)((const int64_t *)memory[0])[at]
                                                      : (double)((const int32_t *)memory[0])[at];
                index += index < 0 ? (double)s->depth : 0;
                memcpy(y, index == (double)d ? on : off, s->size);
            }
}

static bool one_hot_lower(struct ood_builder *builder, const struct ood_node *node, struct ood_error *err)
{
    const struct ood_graph *graph = ood_builder_graph(builder);
    const struct ood_shape x = ood_builder_shape(builder, node->inputs[0]), y = ood_builder_shape(builder, node->outputs[0]);
    struct one_hot state = { .type = graph->values[node->inputs[0]].type, .size = ood_type_size(graph->values[node->inputs[2]].type),
                             .outer = 1, .inner = 1 };
    struct ood_operand operands[3];
    size_t axis;
    if (!ood_op_axis(node, ood_node_int(node, "axis", -1), y.rank, &axis, err))
        return false;
    state.depth = (size_t)y.dims[axis];
    for (size_t i = 0; i < x.rank; i++)
        *(i < axis ? &state.outer : &state.inner) *= (size_t)x.dims[i];
    return ood_builder_input(builder, node->inputs[0], OOD_PLAIN, &operands[0], err) &&
           ood_builder_input(builder, node->inputs[2], OOD_PLAIN, &operands[1], err) &&
           ood_builder_output(builder, node->outputs[0], OOD_PLAIN, &operands[2], err) &&
           ood_builder_step(builder, &(struct ood_step_spec){ .node = node, .kernel = "own:one_hot", .run = run_one_hot, .state = &state,
                                                              .state_size = sizeof state, .operands = operands, .operand_count = 3 }, err);
}

const struct ood_op ood_op_one_hot = {
    .name = "OneHot", .since = 9, .least_inputs = 3, .most_inputs = 3,
    .decided_by = 1 << 1, .shape = one_hot_shape, .lower = one_hot_lower,
};

/* ---- Trilu ---- */

static bool trilu_read(const struct ood_graph *graph, const struct ood_node *node, int64_t *k, struct ood_error *err)
{
    const int64_t *values;
    size_t count = 0;
    *k = 0;
    if (ood_node_input(graph, node, 1) == NULL)
        return true;
    if (!ood_op_known_ints(graph, node, 1, "k", 1, &values, &count, err))
        return false;
    *k = count == 1 ? values[0] : 0;
    return count == 1 || ood_node_fail(node, err, OOD_INVALID, "k has no element");
}

static bool trilu_shape(struct ood_graph *graph, const struct ood_node *node, struct ood_error *err)
{
    const struct ood_value *x = ood_node_input(graph, node, 0);
    int64_t k;
    if (x->shape.rank < 2 || ood_dim_is_batch(x->shape.dims[x->shape.rank - 2]))
        return ood_node_fail(node, err, OOD_UNSUPPORTED, "no matrix in each picture");
    return trilu_read(graph, node, &k, err) && ood_graph_set_output(graph, node, 0, x->type, &x->shape, err);
}

struct trilu { size_t size, count; int64_t rows, columns, k; bool upper; };

static void run_trilu(const void *state, void *const *memory)
{
    const struct trilu *s = state;
    memcpy(memory[1], memory[0], s->count * (size_t)(s->rows * s->columns) * s->size);
    char *y = memory[1];
    for (size_t m = 0; m < s->count; m++)
        for (int64_t r = 0; r < s->rows; r++)
            for (int64_t c = 0; c < s->columns; c++, y += s->size)
                if (s->upper ? c - r < s->k : c - r > s->k)
                    memset(y, 0, s->size);
}

static bool trilu_lower(struct ood_builder *builder, const struct ood_node *node, struct ood_error *err)
{
    const struct ood_shape x = ood_builder_shape(builder, node->inputs[0]);
    struct trilu state = { .size = ood_type_size(ood_builder_graph(builder)->values[node->inputs[0]].type), .count = 1,
                           .rows = x.dims[x.rank - 2], .columns = x.dims[x.rank - 1], .upper = ood_node_int(node, "upper", 1) != 0 };
    struct ood_operand operands[2];
    for (size_t i = 0; i + 2 < x.rank; i++)
        state.count *= (size_t)x.dims[i];
    return trilu_read(ood_builder_graph(builder), node, &state.k, err) &&
           ood_builder_input(builder, node->inputs[0], OOD_PLAIN, &operands[0], err) &&
           ood_builder_output(builder, node->outputs[0], OOD_PLAIN, &operands[1], err) &&
           ood_builder_step(builder, &(struct ood_step_spec){ .node = node, .kernel = "own:trilu", .run = run_trilu, .state = &state,
                                                              .state_size = sizeof state, .operands = operands, .operand_count = 2 }, err);
}

const struct ood_op ood_op_trilu = {
    .name = "Trilu", .since = 14, .least_inputs = 1, .most_inputs = 2, .decided_by = 1 << 1, .shape = trilu_shape, .lower = trilu_lower,
};

/* ---- CumSum ---- */

static bool cum_sum_axis(const struct ood_graph *graph, const struct ood_node *node, size_t *axis, struct ood_error *err)
{
    const struct ood_value *value = ood_node_input(graph, node, 1);
    if (value->constant == NULL || value->constant->count != 1 || (value->type != OOD_INT64 && value->type != OOD_INT32))
        return ood_node_fail(node, err, OOD_UNSUPPORTED, "the axis is not one integer known at load");
    const int64_t number = value->type == OOD_INT64 ? ood_i64(value->constant)[0] : ((const int32_t *)value->constant->data)[0];
    return ood_op_axis(node, number, ood_node_input(graph, node, 0)->shape.rank, axis, err);
}

static bool cum_sum_shape(struct ood_graph *graph, const struct ood_node *node, struct ood_error *err)
{
    const struct ood_value *x = ood_node_input(graph, node, 0);
    size_t axis;
    if (x->type == OOD_BOOL)
        return ood_node_fail(node, err, OOD_INVALID, "input is bool; expected numbers");
    if (!cum_sum_axis(graph, node, &axis, err))
        return false;
    if (ood_dim_is_batch(x->shape.dims[axis]))
        return ood_node_fail(node, err, OOD_UNSUPPORTED, "axis %zu is the batch: pictures would depend on each other", axis);
    return ood_graph_set_output(graph, node, 0, x->type, &x->shape, err);
}

struct cum_sum { enum ood_type type; size_t outer, n, inner; bool exclusive, reverse; };

static void run_cum_sum(const void *state, void *const *memory)
{
    const struct cum_sum *s = state;
    for (size_t line = 0; line < s->outer * s->inner; line++) {
        const size_t start = line / s->inner * s->n * s->inner + line % s->inner;
        double sum = 0;
        uint64_t whole = 0;
        for (size_t j = 0; j < s->n; j++) {
            const size_t at = start + (s->reverse ? s->n - 1 - j : j) * s->inner;
            const double before = sum;
            const uint64_t whole_before = whole;
            if (s->type == OOD_FLOAT32) {
                sum += (double)((const float *)memory[0])[at];
                ((float *)memory[1])[at] = (float)(s->exclusive ? before : sum);
            } else if (s->type == OOD_INT64) {
                whole += (uint64_t)((const int64_t *)memory[0])[at];
                ((int64_t *)memory[1])[at] = (int64_t)(s->exclusive ? whole_before : whole);
            } else {
                whole += (uint64_t)(int64_t)((const int32_t *)memory[0])[at];
                ((int32_t *)memory[1])[at] = (int32_t)(s->exclusive ? whole_before : whole);
            }
        }
    }
}

static bool cum_sum_lower(struct ood_builder *builder, const struct ood_node *node, struct ood_error *err)
{
    const struct ood_graph *graph = ood_builder_graph(builder);
    const struct ood_shape x = ood_builder_shape(builder, node->inputs[0]);
    struct cum_sum state = { .type = graph->values[node->inputs[0]].type, .outer = 1, .n = 1, .inner = 1,
                             .exclusive = ood_node_int(node, "exclusive", 0) != 0, .reverse = ood_node_int(node, "reverse", 0) != 0 };
    struct ood_operand operands[2];
    size_t axis;
    if (!cum_sum_axis(graph, node, &axis, err))
        return false;
    for (size_t i = 0; i < x.rank; i++)
        *(i < axis ? &state.outer : i == axis ? &state.n : &state.inner) *= (size_t)x.dims[i];
    return ood_builder_input(builder, node->inputs[0], OOD_PLAIN, &operands[0], err) &&
           ood_builder_output(builder, node->outputs[0], OOD_PLAIN, &operands[1], err) &&
           ood_builder_step(builder, &(struct ood_step_spec){ .node = node, .kernel = "own:cum_sum", .run = run_cum_sum, .state = &state,
                                                              .state_size = sizeof state, .operands = operands, .operand_count = 2 }, err);
}

const struct ood_op ood_op_cum_sum = {
    .name = "CumSum", .since = 11, .least_inputs = 2, .most_inputs = 2,
    .decided_by = 1 << 1, .shape = cum_sum_shape, .lower = cum_sum_lower,
};
