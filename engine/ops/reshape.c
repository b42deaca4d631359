/* Reshape, Flatten, Squeeze and Unsqueeze: the same elements in the same order under another shape. None of them copies. */
#include "ops/gradient_internal.h"
#include "ops/ops.h"
#include "ops/ops_internal.h"

/* ---- Reshape ---- */

/* Solves a target for data of `elements`: 0 keeps the input's dimension (not with allowzero), one -1 takes what is left.
 * literal_batch: a first target dimension of 1 is a batch of one that the exporter wrote down; it means N. */
static bool reshape_solve(const struct ood_shape *data, int64_t elements, const int64_t *target, size_t count,
                          bool allow_zero, bool literal_batch, struct ood_shape *out)
{
    struct ood_shape shape = { .rank = count };
    int64_t known = 1, all;
    size_t open = SIZE_MAX;
    for (size_t i = 0; i < count; i++) {
        int64_t dim = target[i];
        if (i == 0 && literal_batch)
            dim = ood_batch_dim(1);
        else if (dim == 0 && !allow_zero) {
            if (i >= data->rank)
                return false;
            dim = data->dims[i];
        }
        shape.dims[i] = dim;
        if (dim == -1) {
            if (open != SIZE_MAX)
                return false;
            open = i;
        } else if ((dim < 0 && !ood_dim_is_batch(dim)) || !ood_dim_mul(known, dim, &known)) {
            return false;
        }
    }
    if (open != SIZE_MAX && !ood_dim_div(elements, known, &shape.dims[open]))
        return false;
    if (!ood_shape_elements(&shape, &all) || all != elements)
        return false;
    *out = shape;
    return true;
}

/* outer · kN · inner of a shape with a batch dim and at least one element: no product overflows. False: no batch dim. */
static bool split_at_batch(const struct ood_shape *shape, int64_t *outer, int64_t *k, int64_t *inner)
{
    *outer = *inner = 1, *k = 0;
    for (size_t i = 0; i < shape->rank; i++) {
        if (ood_dim_is_batch(shape->dims[i]))
            *k = ood_batch_factor(shape->dims[i]);
        else
            *(*k == 0 ? outer : inner) *= shape->dims[i];
    }
    return *k != 0;
}

/* Does every dimension but the batch's still lie within one picture? [N,6] as [3,2N] puts several pictures into the first, and
 * what is computed along it would depend on the neighbours: some export's literal batch. Which part of a multiple of the batch is
 * N is not known, as in [T,N,E] to [T·N,E] and back, so it is taken to be whichever fits: kN as a·N·b with a·b = k. */
static bool keeps_pictures(const struct ood_shape *from, const struct ood_shape *to)
{
    int64_t outer, k, inner, to_outer, to_k, to_inner;
    if (!split_at_batch(from, &outer, &k, &inner) || !split_at_batch(to, &to_outer, &to_k, &to_inner))
        return true;
    int64_t a = to_outer, b = outer;                          /* a: what `outer` lacks to be a multiple of `to_outer` */
    while (b != 0) {
        int64_t rest = a % b;
        a = b, b = rest;
    }
    a = to_outer / a;
    return k % a == 0 && k / a * inner % to_inner == 0;
}

static bool reshape_shape(struct ood_graph *graph, const struct ood_node *node, struct ood_error *err)
{
    const struct ood_value *data = ood_node_input(graph, node, 0);
    const int64_t *target;
    size_t count;
    int64_t elements;
    if (!ood_op_known_ints(graph, node, 1, "shape", OOD_MAX_RANK, &target, &count, err))
        return false;
    bool allow_zero = node->opset >= 14 && ood_node_int(node, "allowzero", 0) != 0;
    struct ood_shape shape = { .rank = count };
    char from[OOD_SHAPE_TEXT], to[OOD_SHAPE_TEXT];
    if (!ood_shape_elements(&data->shape, &elements))
        return ood_node_fail(node, err, OOD_UNSUPPORTED, "input has shape %s", ood_shape_print(&data->shape, from));
    bool free_batch = data->shape.rank > 0 && ood_dim_is_batch(data->shape.dims[0]) && count > 0 && target[0] == 1;
    if ((free_batch && reshape_solve(&data->shape, elements, target, count, allow_zero, true, &shape)) ||
        reshape_solve(&data->shape, elements, target, count, allow_zero, false, &shape)) {
        if (ood_dim_is_batch(elements) && !keeps_pictures(&data->shape, &shape))
            return ood_node_fail(node, err, OOD_UNSUPPORTED, "%s to %s would mix the pictures of a batch",
                                 ood_shape_print(&data->shape, from), ood_shape_print(&shape, to));
        return ood_graph_set_output(graph, node, 0, data->type, &shape, err);
    }
    for (size_t i = 0; i < count; i++)
        shape.dims[i] = target[i];
    return ood_node_fail(node, err, OOD_INVALID, "input of shape %s does not fit into %s", ood_shape_print(&data->shape, from),
                         ood_shape_print(&shape, to));
}

const struct ood_op ood_op_reshape = {
    .name = "Reshape", .since = 5, .least_inputs = 2, .most_inputs = 2, .decided_by = 1 << 1, .traits = OOD_OP_RESHAPE,
    .shape = reshape_shape, .evaluate = ood_op_evaluate_same, .lower = ood_op_lower_alias, .backward = ood_reshape_backward,
};

/* ---- Flatten ---- */

static bool flatten_shape(struct ood_graph *graph, const struct ood_node *node, struct ood_error *err)
{
    const struct ood_value *data = ood_node_input(graph, node, 0);
    int64_t rank = (int64_t)data->shape.rank, axis = ood_node_int(node, "axis", 1);
    if (axis < -rank || axis > rank)
        return ood_node_fail(node, err, OOD_INVALID, "axis %lld; expected -%zu to %zu", (long long)axis, data->shape.rank,
                             data->shape.rank);
    if (axis < 0)
        axis += rank;
    struct ood_shape left = { .rank = (size_t)axis }, right = { .rank = (size_t)(rank - axis) }, shape = { .rank = 2 };
    for (int64_t i = 0; i < rank; i++)
        *(i < axis ? &left.dims[i] : &right.dims[i - axis]) = data->shape.dims[i];
    char text[OOD_SHAPE_TEXT];
    if (!ood_shape_elements(&left, &shape.dims[0]) || !ood_shape_elements(&right, &shape.dims[1]))
        return ood_node_fail(node, err, OOD_UNSUPPORTED, "input has shape %s", ood_shape_print(&data->shape, text));
    return ood_graph_set_output(graph, node, 0, data->type, &shape, err);
}

const struct ood_op ood_op_flatten = {
    .name = "Flatten", .since = 1, .least_inputs = 1, .most_inputs = 1, .traits = OOD_OP_RESHAPE,
    .shape = flatten_shape, .evaluate = ood_op_evaluate_same, .lower = ood_op_lower_alias, .backward = ood_reshape_backward,
};

/* ---- Squeeze and Unsqueeze: axes are an attribute before opset 13, input 1 since ---- */

static bool axes_of(const struct ood_graph *graph, const struct ood_node *node, const int64_t **axes, size_t *count,
                    bool *given, struct ood_error *err)
{
    *axes = NULL, *count = 0;
    if (node->opset < 13) {
        *axes = ood_node_ints(node, "axes", count);
        *given = ood_node_attribute(node, "axes") != NULL;
        return true;
    }
    *given = ood_node_input(graph, node, 1) != NULL;
    return !*given || ood_op_known_ints(graph, node, 1, "axes", OOD_MAX_RANK, axes, count, err);
}

/* Marks each axis once. */
static bool mark_axes(const struct ood_node *node, const int64_t *axes, size_t count, size_t rank, bool marked[OOD_MAX_RANK],
                      struct ood_error *err)
{
    for (size_t i = 0; i < count; i++) {
        size_t axis;
        if (!ood_op_axis(node, axes[i], rank, &axis, err))
            return false;
        if (marked[axis])
            return ood_node_fail(node, err, OOD_INVALID, "axis %zu is named twice", axis);
        marked[axis] = true;
    }
    return true;
}

static bool squeeze_shape(struct ood_graph *graph, const struct ood_node *node, struct ood_error *err)
{
    const struct ood_value *data = ood_node_input(graph, node, 0);
    const int64_t *axes;
    size_t count;
    bool given, marked[OOD_MAX_RANK] = { false };
    if (!axes_of(graph, node, &axes, &count, &given, err) ||
        !mark_axes(node, axes, count, data->shape.rank, marked, err))
        return false;
    struct ood_shape shape = { .rank = 0 };
    for (size_t i = 0; i < data->shape.rank; i++) {
        int64_t dim = data->shape.dims[i];
        char text[OOD_SHAPE_TEXT];
        if (marked[i] && dim != 1)
            return ood_node_fail(node, err, ood_dim_is_batch(dim) ? OOD_UNSUPPORTED : OOD_INVALID,
                                 "axis %zu of %s is not 1", i, ood_shape_print(&data->shape, text));
        if (given ? !marked[i] : dim != 1)
            shape.dims[shape.rank++] = dim;
    }
    return ood_graph_set_output(graph, node, 0, data->type, &shape, err);
}

static bool unsqueeze_shape(struct ood_graph *graph, const struct ood_node *node, struct ood_error *err)
{
    const struct ood_value *data = ood_node_input(graph, node, 0);
    const int64_t *axes;
    size_t count;
    bool given, marked[OOD_MAX_RANK] = { false };
    if (!axes_of(graph, node, &axes, &count, &given, err))
        return false;
    if (!given)
        return ood_node_fail(node, err, OOD_INVALID, "axes are missing");
    struct ood_shape shape = { .rank = data->shape.rank + count };
    if (shape.rank > OOD_MAX_RANK)
        return ood_node_fail(node, err, OOD_UNSUPPORTED, "output has %zu dimensions; at most %d are supported", shape.rank,
                             OOD_MAX_RANK);
    if (!mark_axes(node, axes, count, shape.rank, marked, err))
        return false;
    for (size_t i = 0, from = 0; i < shape.rank; i++)
        shape.dims[i] = marked[i] ? 1 : data->shape.dims[from++];
    return ood_graph_set_output(graph, node, 0, data->type, &shape, err);
}

const struct ood_op ood_op_squeeze = {
    .name = "Squeeze", .since = 1, .until = 12, .least_inputs = 1, .most_inputs = 1, .traits = OOD_OP_RESHAPE,
    .shape = squeeze_shape, .evaluate = ood_op_evaluate_same, .lower = ood_op_lower_alias, .backward = ood_reshape_backward,
};

const struct ood_op ood_op_squeeze_13 = {
    .name = "Squeeze", .since = 13, .least_inputs = 1, .most_inputs = 2, .decided_by = 1 << 1, .traits = OOD_OP_RESHAPE,
    .shape = squeeze_shape, .evaluate = ood_op_evaluate_same, .lower = ood_op_lower_alias, .backward = ood_reshape_backward,
};

const struct ood_op ood_op_unsqueeze = {
    .name = "Unsqueeze", .since = 1, .until = 12, .least_inputs = 1, .most_inputs = 1, .traits = OOD_OP_RESHAPE,
    .shape = unsqueeze_shape, .evaluate = ood_op_evaluate_same, .lower = ood_op_lower_alias, .backward = ood_reshape_backward,
};

const struct ood_op ood_op_unsqueeze_13 = {
    .name = "Unsqueeze", .since = 13, .least_inputs = 2, .most_inputs = 2, .decided_by = 1 << 1, .traits = OOD_OP_RESHAPE,
    .shape = unsqueeze_shape, .evaluate = ood_op_evaluate_same, .lower = ood_op_lower_alias, .backward = ood_reshape_backward,
};
