/* Pad: constant, reflect and edge; negative pads crop. The batch is never padded. */
#include <string.h>

#include "ops/gradient_internal.h"
#include "ops/ops.h"
#include "ops/ops_internal.h"

enum pad_mode { PAD_CONSTANT, PAD_REFLECT, PAD_EDGE };

#define PAD_MOST (INT64_C(1) << 40)

/* Dimensions in the order they lie in memory, the last one contiguous. */
struct pad {
    enum pad_mode mode;
    size_t rank, size;                       /* size: bytes of an element */
    int64_t from[OOD_MAX_RANK], to[OOD_MAX_RANK], begin[OOD_MAX_RANK];
    unsigned char value[8];                  /* of the constant, its first `size` bytes */
};

/* ---- reading the node ---- */

static bool pad_mode_of(const struct ood_node *node, enum pad_mode *out, struct ood_error *err)
{
    static const char *const names[] = { [PAD_CONSTANT] = "constant", [PAD_REFLECT] = "reflect", [PAD_EDGE] = "edge" };
    const char *mode = ood_node_string(node, "mode", "constant");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(mode, names[i]) == 0) {
            *out = (enum pad_mode)i;
            return true;
        }
    return ood_node_fail(node, err, OOD_UNSUPPORTED, "mode \"%s\"; expected constant, reflect or edge", mode);
}

/* Axis i of the list, which is all of them in order unless `axes` (input 3, opset 18) says otherwise. */
static bool pad_axes(const struct ood_graph *graph, const struct ood_node *node, size_t rank, size_t axes[OOD_MAX_RANK], size_t *count,
                     struct ood_error *err)
{
    const int64_t *given;
    bool seen[OOD_MAX_RANK] = { false };
    *count = rank;
    for (size_t i = 0; i < rank; i++)
        axes[i] = i;
    if (node->opset < 18 || ood_node_input(graph, node, 3) == NULL)
        return true;
    if (!ood_op_known_ints(graph, node, 3, "axes", OOD_MAX_RANK, &given, count, err))
        return false;
    for (size_t i = 0; i < *count; i++) {
        if (!ood_op_axis(node, given[i], rank, &axes[i], err))
            return false;
        if (seen[axes[i]])
            return ood_node_fail(node, err, OOD_INVALID, "axis %zu is named twice", axes[i]);
        seen[axes[i]] = true;
    }
    return true;
}

/* pads[2·rank]: what is added before each dimension, then after each. An attribute before opset 11, input 1 since. */
static bool pads_of(const struct ood_graph *graph, const struct ood_node *node, size_t rank, int64_t pads[2 * OOD_MAX_RANK],
                    struct ood_error *err)
{
    size_t count = 0, axes[OOD_MAX_RANK], axis_count;
    const int64_t *given = NULL;
    if (node->opset < 11)
        given = ood_node_ints(node, "pads", &count);
    else if (!ood_op_known_ints(graph, node, 1, "pads", (size_t)2 * OOD_MAX_RANK, &given, &count, err))
        return false;
    if (!pad_axes(graph, node, rank, axes, &axis_count, err))
        return false;
    if (count != 2 * axis_count)
        return ood_node_fail(node, err, OOD_INVALID, "%zu pads; expected %zu for %zu dimensions", count, 2 * axis_count, axis_count);
    for (size_t i = 0; i < (size_t)2 * OOD_MAX_RANK; i++)
        pads[i] = 0;
    for (size_t i = 0; i < count; i++) {
        if (given[i] < -PAD_MOST || given[i] > PAD_MOST)
            return ood_node_fail(node, err, OOD_INVALID, "pads[%zu] is out of range", i);
        pads[i < axis_count ? axes[i] : rank + axes[i - axis_count]] = given[i];
    }
    return true;
}

static bool pad_value_of(const struct ood_graph *graph, const struct ood_node *node, enum ood_type type,
                         unsigned char value[8], struct ood_error *err)
{
    if (node->opset < 11) {
        float given = ood_node_float(node, "value", 0);
        if (given != 0 && type != OOD_FLOAT32)
            return ood_node_fail(node, err, OOD_UNSUPPORTED, "value %g for %s", (double)given, ood_type_name(type));
        memcpy(value, &given, sizeof given);
        return true;
    }
    const struct ood_value *given = ood_node_input(graph, node, 2);
    if (given == NULL)
        return true;
    if (given->constant == NULL)
        return ood_node_fail(node, err, OOD_UNSUPPORTED, "constant_value (\"%s\") is not known at load", given->name);
    if (given->type != type || given->constant->count != 1)
        return ood_node_fail(node, err, OOD_INVALID, "constant_value is %zu elements of %s; expected one of %s",
                             given->constant->count, ood_type_name(given->type), ood_type_name(type));
    memcpy(value, given->constant->data, ood_type_size(type));
    return true;
}

static bool pad_shape(struct ood_graph *graph, const struct ood_node *node, struct ood_error *err)
{
    const struct ood_value *data = ood_node_input(graph, node, 0);
    struct ood_shape shape = data->shape;
    int64_t pads[2 * OOD_MAX_RANK];
    enum pad_mode mode;
    unsigned char value[8] = { 0 };
    if (!pad_mode_of(node, &mode, err) || !pads_of(graph, node, shape.rank, pads, err) ||
        (mode == PAD_CONSTANT && !pad_value_of(graph, node, data->type, value, err)))
        return false;
    for (size_t i = 0; i < shape.rank; i++) {
        int64_t begin = pads[i], end = pads[shape.rank + i], dim = shape.dims[i];
        if (begin == 0 && end == 0)
            continue;
        if (ood_dim_is_batch(dim))
            return ood_node_fail(node, err, OOD_UNSUPPORTED, "pads the batch (axis %zu)", i);
        if (dim > PAD_MOST || (mode == PAD_REFLECT && (begin >= dim || end >= dim)) || (mode == PAD_EDGE && dim == 0) ||
            dim + begin + end < 0)
            return ood_node_fail(node, err, OOD_INVALID, "pads %lld and %lld do not fit axis %zu of %lld elements",
                                 (long long)begin, (long long)end, i, (long long)dim);
        shape.dims[i] = dim + begin + end;
    }
    return ood_graph_set_output(graph, node, 0, data->type, &shape, err);
}

/* ---- running ---- */

/* Which input index output index i of dimension k shows; -1: none. */
static int64_t pad_source(const struct pad *pad, size_t k, int64_t i)
{
    int64_t source = i - pad->begin[k], dim = pad->from[k];
    if (source >= 0 && source < dim)
        return source;
    if (pad->mode == PAD_CONSTANT)
        return -1;
    if (pad->mode == PAD_EDGE)
        return source < 0 ? 0 : dim - 1;
    return source < 0 ? -source : 2 * (dim - 1) - source;
}

static void pad_fill(const struct pad *pad, char *to, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        memcpy(to + (size_t)i * pad->size, pad->value, pad->size);
}

/* One row of the last dimension; from is NULL where the row lies outside. */
static void pad_row(const struct pad *pad, const char *from, char *to)
{
    size_t last = pad->rank - 1, size = pad->size;
    int64_t count = pad->to[last], first = pad->begin[last] > 0 ? pad->begin[last] : 0, after = pad->begin[last] + pad->from[last];
    if (first > count)
        first = count;
    if (after > count)
        after = count;
    if (after < first)
        after = first;
    if (from == NULL) {
        pad_fill(pad, to, count);
        return;
    }
    if (after > first)
        memcpy(to + (size_t)first * size, from + (size_t)(first - pad->begin[last]) * size, (size_t)(after - first) * size);
    if (pad->mode == PAD_CONSTANT) {
        pad_fill(pad, to, first);
        pad_fill(pad, to + (size_t)after * size, count - after);
        return;
    }
    for (int64_t i = 0; i < count; i++)
        if (i < first || i >= after)
            memcpy(to + (size_t)i * size, from + (size_t)pad_source(pad, last, i) * size, size);
}

static void pad_run(const void *state, void *const *memory)
{
    const struct pad *pad = state;
    size_t last = pad->rank - 1, row = (size_t)pad->to[last] * pad->size;
    size_t rows = 1;
    for (size_t k = 0; k < last; k++)
        rows *= (size_t)pad->to[k];
    int64_t at[OOD_MAX_RANK] = { 0 };
    char *to = memory[1];
    for (size_t r = 0; r < rows; r++, to += row) {
        int64_t offset = 0;
        for (size_t k = 0; k < last && offset >= 0; k++) {
            int64_t source = pad_source(pad, k, at[k]);
            offset = source < 0 ? -1 : offset * pad->from[k] + source;
        }
        pad_row(pad, offset < 0 ? NULL : (const char *)memory[0] + (size_t)(offset * pad->from[last]) * pad->size, to);
        for (size_t k = last; k-- > 0 && ++at[k] == pad->to[k];)
            at[k] = 0;
    }
}

static bool pad_describe(const struct ood_graph *graph, const struct ood_node *node, const struct ood_shape *from,
                         const struct ood_shape *to, enum ood_layout layout, struct pad *out, struct ood_error *err)
{
    const size_t *order = ood_move_order(from->rank, layout);
    enum ood_type type = graph->values[node->outputs[0]].type;
    struct pad pad = { .rank = from->rank, .size = ood_type_size(type) };
    int64_t pads[2 * OOD_MAX_RANK];
    if (!pad_mode_of(node, &pad.mode, err) || !pads_of(graph, node, from->rank, pads, err) ||
        (pad.mode == PAD_CONSTANT && !pad_value_of(graph, node, type, pad.value, err)))
        return false;
    for (size_t k = 0; k < pad.rank; k++)
        pad.from[k] = from->dims[order[k]], pad.to[k] = to->dims[order[k]], pad.begin[k] = pads[order[k]];
    if (pad.rank == 0)                       /* a scalar: nothing to pad, but a row to copy */
        pad.rank = 1, pad.from[0] = pad.to[0] = 1;
    *out = pad;
    return true;
}

static struct ood_tensor *pad_evaluate(const struct ood_graph *graph, const struct ood_node *node,
                                       const struct ood_tensor *const *inputs, struct ood_error *err)
{
    const struct ood_value *value = &graph->values[node->outputs[0]];
    struct pad pad;
    if (!pad_describe(graph, node, &inputs[0]->shape, &value->shape, OOD_PLAIN, &pad, err))
        return NULL;
    struct ood_tensor *output = ood_tensor_new(value->type, &value->shape, err);
    if (output != NULL && output->count > 0)
        pad_run(&pad, (void *const[]){ inputs[0]->data, output->data });
    return output;
}

static bool pad_lower(struct ood_builder *builder, const struct ood_node *node, struct ood_error *err)
{
    const struct ood_shape from = ood_builder_shape(builder, node->inputs[0]), to = ood_builder_shape(builder, node->outputs[0]);
    enum ood_layout layout = ood_builder_layout(builder, node->inputs[0]);
    struct pad pad;
    if (!pad_describe(ood_builder_graph(builder), node, &from, &to, layout, &pad, err))
        return false;
    bool nothing = true;
    for (size_t k = 0; k < pad.rank; k++)
        nothing = nothing && pad.begin[k] == 0 && pad.to[k] == pad.from[k];
    if (nothing)
        return ood_op_lower_alias(builder, node, err);
    struct ood_operand operands[2];
    return ood_builder_input(builder, node->inputs[0], layout, &operands[0], err) &&
           ood_builder_output(builder, node->outputs[0], layout, &operands[1], err) &&
           ood_builder_step(builder, &(struct ood_step_spec){ .node = node, .kernel = "own:pad", .run = pad_run,
                                                              .state = &pad, .state_size = sizeof pad,
                                                              .operands = operands, .operand_count = 2 }, err);
}

static bool pad_backward(struct ood_tape *tape, const struct ood_node *node, struct ood_error *err)
{
    struct ood_builder *builder = ood_tape_builder(tape);
    const struct ood_shape from = ood_builder_shape(builder, node->inputs[0]), to = ood_builder_shape(builder, node->outputs[0]);
    struct ood_move move = { .rank = from.rank };
    enum pad_mode mode;
    int64_t pads[2 * OOD_MAX_RANK];
    bool cut = false;
    if (!pad_mode_of(node, &mode, err) || !pads_of(ood_builder_graph(builder), node, from.rank, pads, err))
        return false;
    if (mode != PAD_CONSTANT)
        return ood_node_fail(node, err, OOD_UNSUPPORTED, "only constant pads can be trained through");
    ood_move_strides(&to, OOD_NHWC, move.from);
    ood_move_strides(&from, OOD_NHWC, move.to);
    for (size_t i = 0; i < move.rank; i++) {             /* what is left of the input along this axis */
        const int64_t first = pads[i] < 0 ? -pads[i] : 0, last = pads[i] + from.dims[i] < to.dims[i] ? from.dims[i] : to.dims[i] - pads[i];
        cut = cut || first > 0 || last < from.dims[i];
        move.dims[i] = last > first ? (size_t)(last - first) : 0;
        move.to_start += move.to[i] * (size_t)first;
        move.from_start += move.from[i] * (size_t)(first + pads[i]);
        if (move.dims[i] == 0)
            return ood_node_fail(node, err, OOD_UNSUPPORTED, "pads that leave nothing of the input cannot be trained through");
    }
    return ood_move_gradient(tape, node, node->inputs[0], node->outputs[0], move, cut, err);
}

static bool pad_identity(const struct ood_graph *graph, const struct ood_node *node)
{
    struct ood_error ignored = { 0 };
    int64_t pads[2 * OOD_MAX_RANK];
    size_t rank = ood_node_input(graph, node, 0)->shape.rank;
    if (!pads_of(graph, node, rank, pads, &ignored))
        return false;
    for (size_t i = 0; i < 2 * rank; i++)
        if (pads[i] != 0)
            return false;
    return true;
}

/* Zeros around rows and columns of NCHW, at least one, none taken away. */
static bool pad_zero_pads(const struct ood_graph *graph, const struct ood_node *node, int64_t out[4])
{
    static const unsigned char zero[8] = { 0 };
    struct ood_error ignored = { 0 };
    const struct ood_value *data = ood_node_input(graph, node, 0);
    int64_t pads[2 * OOD_MAX_RANK];
    enum pad_mode mode;
    unsigned char value[8] = { 0 };
    if (data->shape.rank != 4 || data->type != OOD_FLOAT32 || !pad_mode_of(node, &mode, &ignored) || mode != PAD_CONSTANT ||
        !pads_of(graph, node, 4, pads, &ignored) || !pad_value_of(graph, node, data->type, value, &ignored) || memcmp(value, zero, sizeof zero) != 0)
        return false;
    const size_t places[4] = { 2, 3, 6, 7 };
    bool wanted = pads[0] == 0 && pads[1] == 0 && pads[4] == 0 && pads[5] == 0;
    for (size_t i = 0; i < 4; i++) {
        out[i] = pads[places[i]];
        wanted = wanted && out[i] >= 0;
    }
    return wanted;
}

const struct ood_op ood_op_pad = {
    .name = "Pad", .since = 2, .until = 10, .least_inputs = 1, .most_inputs = 1,
    .shape = pad_shape, .evaluate = pad_evaluate, .lower = pad_lower, .backward = pad_backward, .identity = pad_identity, .zero_pads = pad_zero_pads,
};

const struct ood_op ood_op_pad_11 = {
    .name = "Pad", .since = 11, .until = 17, .least_inputs = 2, .most_inputs = 3, .decided_by = 1 << 1 | 1 << 2,
    .shape = pad_shape, .evaluate = pad_evaluate, .lower = pad_lower, .backward = pad_backward, .identity = pad_identity, .zero_pads = pad_zero_pads,
};

const struct ood_op ood_op_pad_18 = {
    .name = "Pad", .since = 18, .least_inputs = 2, .most_inputs = 4, .decided_by = 1 << 1 | 1 << 2 | 1 << 3,
    .shape = pad_shape, .evaluate = pad_evaluate, .lower = pad_lower, .backward = pad_backward, .identity = pad_identity, .zero_pads = pad_zero_pads,
};
