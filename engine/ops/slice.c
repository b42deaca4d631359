/* Slice: a strided copy, backwards where a step is negative. The batch is never sliced. */
#include <string.h>

#include "ops/gradient_internal.h"
#include "ops/ops.h"
#include "ops/ops_internal.h"

/* Of each dimension of input 0. */
struct slice { int64_t start[OOD_MAX_RANK], step[OOD_MAX_RANK], count[OOD_MAX_RANK]; };

/* starts, ends, axes, steps: attributes before opset 10, inputs 1 to 4 since. NULL where it is left out. */
static bool slice_list(const struct ood_graph *graph, const struct ood_node *node, const char *name, size_t input,
                       const int64_t **values, size_t *count, struct ood_error *err)
{
    *values = NULL;
    *count = 0;
    if (node->opset < 10)
        *values = ood_node_ints(node, name, count);
    else if (ood_node_input(graph, node, input) != NULL)
        return ood_op_known_ints(graph, node, input, name, OOD_MAX_RANK, values, count, err);
    return true;
}

#define STEP_MOST (INT64_C(1) << 31)

/* An index counted from the end where negative, held between least and most. */
static int64_t clamped(int64_t index, int64_t dim, int64_t least, int64_t most)
{
    if (index < 0)
        index = index < -dim ? least : index + dim;
    return index < least ? least : index > most ? most : index;
}

static bool slice_axis(const struct ood_node *node, struct slice *slice, size_t axis, int64_t start, int64_t end, int64_t step,
                       struct ood_error *err)
{
    int64_t dim = slice->count[axis];
    if (step == 0 || ood_dim_is_batch(step))
        return ood_node_fail(node, err, OOD_INVALID, "a step of %lld", (long long)step);
    step = step > STEP_MOST ? STEP_MOST : step < -STEP_MOST ? -STEP_MOST : step;      /* one element either way */
    if (ood_dim_is_batch(dim)) {
        if (start == 0 && step == 1 && (end == dim || end >= INT32_MAX))
            return true;
        return ood_node_fail(node, err, OOD_UNSUPPORTED, "slices the batch (axis %zu)", axis);
    }
    if (ood_dim_is_batch(start) || ood_dim_is_batch(end))
        return ood_node_fail(node, err, OOD_UNSUPPORTED, "axis %zu is cut at a multiple of the batch", axis);
    int64_t last = step > 0 ? dim : dim - 1;             /* backwards, -1 is the end behind the first element */
    start = clamped(start, dim, 0, last);
    end = end < -dim && step < 0 ? -1 : clamped(end, dim, step > 0 ? 0 : -1, last);
    int64_t reach = step > 0 ? end - start : start - end, stride = step > 0 ? step : -step;
    slice->start[axis] = start;
    slice->step[axis] = step;
    slice->count[axis] = reach <= 0 ? 0 : (reach - 1) / stride + 1;
    return true;
}

static bool slice_read(const struct ood_graph *graph, const struct ood_node *node, const struct ood_shape *shape, struct slice *out,
                       struct ood_error *err)
{
    struct slice slice = { .start = { 0 } };
    const int64_t *starts, *ends, *axes, *steps;
    size_t count, ends_count, axes_count, steps_count, axis;
    bool seen[OOD_MAX_RANK] = { false };
    for (size_t i = 0; i < shape->rank; i++) {
        slice.step[i] = 1;
        slice.count[i] = shape->dims[i];
    }
    if (!slice_list(graph, node, "starts", 1, &starts, &count, err) || !slice_list(graph, node, "ends", 2, &ends, &ends_count, err) ||
        !slice_list(graph, node, "axes", 3, &axes, &axes_count, err) || !slice_list(graph, node, "steps", 4, &steps, &steps_count, err))
        return false;
    if (starts == NULL || ends == NULL || ends_count != count || (axes != NULL && axes_count != count) || (steps != NULL && steps_count != count))
        return ood_node_fail(node, err, OOD_INVALID, "%zu starts, %zu ends, %zu axes, %zu steps; expected as many of each", count,
                             ends_count, axes_count, steps_count);
    for (size_t i = 0; i < count; i++) {
        if (!ood_op_axis(node, axes != NULL ? axes[i] : (int64_t)i, shape->rank, &axis, err))
            return false;
        if (seen[axis])
            return ood_node_fail(node, err, OOD_INVALID, "axis %zu is named twice", axis);
        seen[axis] = true;
        if (!slice_axis(node, &slice, axis, starts[i], ends[i], steps != NULL ? steps[i] : 1, err))
            return false;
    }
    *out = slice;
    return true;
}

static bool slice_shape(struct ood_graph *graph, const struct ood_node *node, struct ood_error *err)
{
    const struct ood_value *data = ood_node_input(graph, node, 0);
    struct ood_shape shape = data->shape;
    struct slice slice;
    if (shape.rank == 0)
        return ood_node_fail(node, err, OOD_INVALID, "input 0 is a scalar; expected at least one dimension");
    if (!slice_read(graph, node, &shape, &slice, err))
        return false;
    for (size_t i = 0; i < shape.rank; i++)
        shape.dims[i] = slice.count[i];
    return ood_graph_set_output(graph, node, 0, data->type, &shape, err);
}

/* Dimensions as the target lies in memory, outermost first; strides of the source in bytes. */
struct copy { size_t rank, size; size_t dims[OOD_MAX_RANK]; int64_t strides[OOD_MAX_RANK], start; };

static void slice_copy(const struct slice *slice, const struct ood_shape *from, const struct ood_shape *to, enum ood_layout layout,
                       size_t size, struct copy *out)
{
    const size_t *order = ood_move_order(from->rank, layout);
    size_t strides[OOD_MAX_RANK];
    struct copy copy = { .rank = from->rank, .size = size };
    ood_move_strides(from, layout, strides);
    for (size_t i = 0; i < from->rank; i++) {
        int64_t stride = (int64_t)(strides[order[i]] * size);
        copy.dims[i] = (size_t)to->dims[order[i]];
        copy.strides[i] = stride * slice->step[order[i]];
        copy.start += stride * slice->start[order[i]];
    }
    *out = copy;
}

static void slice_row(char *to, const char *from, size_t count, int64_t stride, size_t size)
{
    if (stride == (int64_t)size)
        memcpy(to, from, count * size);
    else
        for (size_t i = 0; i < count; i++)
            memcpy(to + i * size, from + (int64_t)i * stride, size);
}

static void slice_run(const void *state, void *const *memory)
{
    const struct copy *copy = state;
    size_t last = copy->rank - 1, at[OOD_MAX_RANK] = { 0 }, row = copy->dims[last] * copy->size;
    int64_t offset = copy->start;
    char *to = memory[1];
    for (size_t i = 0; i < copy->rank; i++)
        if (copy->dims[i] == 0)
            return;
    for (;;) {
        slice_row(to, (const char *)memory[0] + offset, copy->dims[last], copy->strides[last], copy->size);
        to += row;
        size_t i = last;
        for (; i > 0; i--) {
            offset += copy->strides[i - 1];
            if (++at[i - 1] < copy->dims[i - 1])
                break;
            offset -= copy->strides[i - 1] * (int64_t)copy->dims[i - 1];
            at[i - 1] = 0;
        }
        if (i == 0)
            return;
    }
}

static struct ood_tensor *slice_evaluate(const struct ood_graph *graph, const struct ood_node *node,
                                         const struct ood_tensor *const *inputs, struct ood_error *err)
{
    const struct ood_value *value = &graph->values[node->outputs[0]];
    struct slice slice;
    struct copy copy;
    if (!slice_read(graph, node, &inputs[0]->shape, &slice, err))
        return NULL;
    struct ood_tensor *output = ood_tensor_new(value->type, &value->shape, err);
    if (output != NULL && output->count > 0) {
        slice_copy(&slice, &inputs[0]->shape, &value->shape, OOD_PLAIN, ood_type_size(value->type), &copy);
        slice_run(&copy, (void *const[]){ inputs[0]->data, output->data });
    }
    return output;
}

/* The output as a view; no step goes backwards. */
static bool place_part(struct ood_builder *builder, const struct ood_node *node, size_t rank, const struct slice *slice, struct ood_error *err)
{
    struct ood_strided view;
    if (!ood_builder_view(builder, node->inputs[0], &view, err))
        return false;
    for (size_t i = 0; i < rank; i++) {
        view.start += (size_t)slice->start[i] * view.strides[i];
        view.strides[i] *= (size_t)slice->step[i];
    }
    return ood_builder_place_view(builder, node->outputs[0], &view, err);
}

static bool slice_lower(struct ood_builder *builder, const struct ood_node *node, struct ood_error *err)
{
    const struct ood_graph *graph = ood_builder_graph(builder);
    const struct ood_shape from = ood_builder_shape(builder, node->inputs[0]), to = ood_builder_shape(builder, node->outputs[0]);
    enum ood_layout layout = ood_builder_layout(builder, node->inputs[0]);
    struct slice slice;
    struct copy copy;
    struct ood_operand operands[2];
    if (!slice_read(graph, node, &graph->values[node->inputs[0]].shape, &slice, err))
        return false;
    bool turned = false;                                 /* all of it, but backwards */
    for (size_t i = 0; i < from.rank; i++)
        turned = turned || slice.step[i] < 0;
    if (ood_shape_equal(&from, &to) && !turned)
        return ood_op_lower_alias(builder, node, err);
    if (ood_builder_views(builder) && !turned)
        return place_part(builder, node, from.rank, &slice, err);
    slice_copy(&slice, &from, &to, layout, ood_type_size(graph->values[node->outputs[0]].type), &copy);
    return ood_builder_input(builder, node->inputs[0], layout, &operands[0], err) &&
           ood_builder_output(builder, node->outputs[0], layout, &operands[1], err) &&
           ood_builder_step(builder, &(struct ood_step_spec){ .node = node, .kernel = "own:slice", .run = slice_run,
                                                              .state = &copy, .state_size = sizeof copy,
                                                              .operands = operands, .operand_count = 2 }, err);
}

static bool slice_backward(struct ood_tape *tape, const struct ood_node *node, struct ood_error *err)
{
    struct ood_builder *builder = ood_tape_builder(tape);
    const struct ood_graph *graph = ood_builder_graph(builder);
    const struct ood_shape from = ood_builder_shape(builder, node->inputs[0]), to = ood_builder_shape(builder, node->outputs[0]);
    struct ood_move move = { .rank = from.rank };
    struct slice slice;
    if (!slice_read(graph, node, &graph->values[node->inputs[0]].shape, &slice, err))
        return false;
    ood_move_strides(&to, OOD_NHWC, move.from);
    ood_move_strides(&from, OOD_NHWC, move.to);
    for (size_t i = 0; i < move.rank; i++) {
        if (slice.step[i] < 0)
            return ood_node_fail(node, err, OOD_UNSUPPORTED, "a step of %lld cannot be trained through", (long long)slice.step[i]);
        move.dims[i] = (size_t)to.dims[i];
        move.to_start += move.to[i] * (size_t)slice.start[i];
        move.to[i] *= (size_t)slice.step[i];
    }
    return ood_move_gradient(tape, node, node->inputs[0], node->outputs[0], move, true, err);
}

/* One axis is cut, forwards and without gaps. */
static bool slice_part(const struct ood_graph *graph, const struct ood_node *node, size_t output, struct ood_part *part)
{
    const struct ood_shape *data = &ood_node_input(graph, node, 0)->shape;
    struct ood_error err = { 0 };
    struct slice slice;
    size_t cut = 0;
    (void)output;
    if (!slice_read(graph, node, data, &slice, &err))
        return false;
    for (size_t i = 0; i < data->rank; i++) {
        if (slice.step[i] != 1)
            return false;
        if (slice.count[i] == data->dims[i])
            continue;
        *part = (struct ood_part){ .axis = i, .start = slice.start[i], .size = slice.count[i] };
        cut++;
    }
    return cut == 1;
}

const struct ood_op ood_op_slice = {
    .name = "Slice", .since = 1, .until = 9, .least_inputs = 1, .most_inputs = 1,
    .shape = slice_shape, .evaluate = slice_evaluate, .lower = slice_lower, .backward = slice_backward, .part = slice_part,
};

const struct ood_op ood_op_slice_10 = {
    .name = "Slice", .since = 10, .least_inputs = 3, .most_inputs = 5, .decided_by = 1 << 1 | 1 << 2 | 1 << 3 | 1 << 4,
    .shape = slice_shape, .evaluate = slice_evaluate, .lower = slice_lower, .backward = slice_backward, .part = slice_part,
};
