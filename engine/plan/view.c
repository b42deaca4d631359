/* Values that are views of other values' memory: what Transpose, Slice and their kin leave behind, so that who can read by strides need not wait for
 * a copy. Others ask for a layout and get one. */
#include "plan/builder_internal.h"
#include "plan/move.h"

bool ood_builder_views(const struct ood_builder *builder) { return builder->views; }

bool ood_builder_is_view(const struct ood_builder *builder, uint32_t value)
{
    const struct ood_placed *placed = &builder->placed[value];
    return ood_builder_constant(builder, value) == NULL && placed->set && placed->is_view && placed->buffer[OOD_PLAIN] == OOD_NONE &&
           placed->buffer[OOD_NHWC] == OOD_NONE;
}

bool ood_builder_view(struct ood_builder *builder, uint32_t value, struct ood_strided *out, struct ood_error *err)
{
    const struct ood_shape shape = ood_builder_shape(builder, value);
    const struct ood_placed *placed = &builder->placed[value];
    struct ood_strided view = { .start = 0 };
    if (ood_builder_constant(builder, value) == NULL && placed->set && placed->is_view) {
        *out = placed->view;
        return true;
    }
    const enum ood_layout layout = ood_builder_layout(builder, value);
    if (!ood_builder_input(builder, value, layout, &view.operand, err))
        return false;
    ood_move_strides(&shape, layout, view.strides);
    *out = view;
    return true;
}

/* The layout whose order is nearest. */
static enum ood_layout layout_of(const struct ood_shape *shape, const size_t *strides)
{
    return shape->rank == 4 && shape->dims[1] > 1 && strides[1] < strides[2] && strides[1] < strides[3] ? OOD_NHWC : OOD_PLAIN;
}

bool ood_builder_place_view(struct ood_builder *builder, uint32_t value, const struct ood_strided *view, struct ood_error *err)
{
    const struct ood_shape shape = ood_builder_shape(builder, value);
    if (!builder->views || view->operand.buffer == OOD_NONE)
        return ood_fail(err, OOD_INVALID, "value %s is a view of a constant that was not folded", builder->model->graph->values[value].name);
    builder->placed[value] = (struct ood_placed){ .buffer = { OOD_NONE, OOD_NONE }, .layout = layout_of(&shape, view->strides), .set = true,
                                                  .is_view = true, .view = *view };
    ood_builder_hold(builder, value, view->operand.buffer);
    return true;
}

bool ood_builder_output_order(struct ood_builder *builder, uint32_t value, const size_t *order, struct ood_strided *out, struct ood_error *err)
{
    const struct ood_shape shape = ood_builder_shape(builder, value);
    struct ood_strided view = { .start = 0 };
    size_t stride = 1;
    bool plain = true;
    for (size_t i = shape.rank; i-- > 0;) {
        plain = plain && order[i] == i;
        view.strides[order[i]] = stride;
        stride *= (size_t)shape.dims[order[i]];
    }
    if (!ood_builder_output(builder, value, OOD_PLAIN, &view.operand, err))
        return false;
    if (plain || !builder->views)
        ood_move_strides(&shape, OOD_PLAIN, view.strides);
    else if (!ood_builder_place_view(builder, value, &view, err))
        return false;
    *out = view;
    return true;
}

/* ---- copies ---- */

static void run_copy(const void *state, void *const *memory) { ood_move_run(state, memory[0], memory[1]); }

bool ood_builder_copy_view(struct ood_builder *builder, uint32_t value, enum ood_layout layout, struct ood_error *err)
{
    const struct ood_graph *graph = builder->model->graph;
    const struct ood_shape shape = ood_builder_shape(builder, value);
    struct ood_placed *placed = &builder->placed[value];
    struct ood_move move = { .rank = shape.rank, .from_start = placed->view.start, .size = ood_type_size(graph->values[value].type) };
    ood_move_strides(&shape, layout, move.to);
    for (size_t i = 0; i < shape.rank; i++)
        move.dims[i] = (size_t)shape.dims[i], move.from[i] = placed->view.strides[i];
    ood_move_simplify(&move);
    if (ood_move_is_copy(&move) && move.from_start == 0) {
        placed->buffer[layout] = placed->view.operand.buffer;
        return true;
    }
    size_t bytes;
    uint32_t buffer = OOD_NONE;
    if (!ood_builder_value_bytes(builder, value, &bytes, err) ||
        !ood_builder_new_buffer(builder, bytes, builder->last_reader[value], &buffer, err))
        return false;
    const uint32_t producer = graph->values[value].producer;
    struct ood_step step = {
        .node = producer == OOD_NONE ? NULL : &graph->nodes[producer], .kernel = "own:move", .value = value, .run = run_copy, .operand_count = 2,
        .operands = { placed->view.operand, { .buffer = buffer } }, .bytes = 2 * bytes,
    };
    struct ood_move *state = ood_new(struct ood_move, err);
    if (state == NULL)
        return false;
    *state = move;
    step.state = state;
    if (!ood_builder_add(builder, &step, err))
        return false;
    placed->buffer[layout] = buffer;
    return true;
}

/* ---- reshapes ---- */

struct strided { size_t rank, dims[OOD_MAX_RANK], strides[OOD_MAX_RANK]; };

/* The strides of the same elements in the same order under other dimensions: groups of dimensions with the same product on both sides, each of
 * the source one run. No dimension of either is 1 or 0. */
static bool reshape_strides(const struct strided *from, struct strided *to)
{
    size_t i = 0, j = 0;
    while (i < from->rank && j < to->rank) {
        size_t i_end = i + 1, j_end = j + 1, left = from->dims[i], right = to->dims[j];
        while (left != right) {
            if (left < right ? i_end == from->rank : j_end == to->rank)
                return false;
            if (left < right)
                left *= from->dims[i_end++];
            else
                right *= to->dims[j_end++];
        }
        for (size_t k = i; k + 1 < i_end; k++)
            if (from->strides[k] != from->dims[k + 1] * from->strides[k + 1])
                return false;
        size_t stride = from->strides[i_end - 1];
        for (size_t k = j_end; k-- > j; stride *= to->dims[k])
            to->strides[k] = stride;
        i = i_end, j = j_end;
    }
    return i == from->rank && j == to->rank;
}

static struct strided without_ones(const struct ood_shape *shape, const size_t *strides)
{
    struct strided out = { .rank = 0 };
    for (size_t i = 0; i < shape->rank; i++)
        if (shape->dims[i] != 1) {
            out.dims[out.rank] = (size_t)shape->dims[i];
            out.strides[out.rank++] = strides[i];
        }
    return out;
}

bool ood_builder_reshape_view(struct ood_builder *builder, uint32_t value, uint32_t of, bool *done, struct ood_error *err)
{
    static const size_t none[OOD_MAX_RANK] = { 0 };
    const struct ood_shape from_shape = ood_builder_shape(builder, of), to_shape = ood_builder_shape(builder, value);
    const struct ood_placed *placed = &builder->placed[of];
    const bool plain = placed->buffer[OOD_PLAIN] != OOD_NONE;
    *done = false;
    if (!builder->views || !placed->set || plain || (!placed->is_view && ood_shape_equal(&from_shape, &to_shape)))
        return true;
    struct ood_strided view;
    if (!ood_builder_view(builder, of, &view, err))
        return false;
    const struct strided from = without_ones(&from_shape, view.strides);
    struct strided to = without_ones(&to_shape, none);
    if (!reshape_strides(&from, &to))
        return true;
    for (size_t i = 0, next = 0; i < to_shape.rank; i++)
        view.strides[i] = to_shape.dims[i] == 1 ? 1 : to.strides[next++];
    *done = true;
    return ood_builder_place_view(builder, value, &view, err);
}
