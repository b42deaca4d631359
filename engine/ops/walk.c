/* Broadcast walks: an odometer over the outer dimensions, a function for the rows. */
#include "ops/walk_internal.h"

#include <stddef.h>
#include <string.h>

#include "plan/move.h"

static void operand_strides(const struct ood_shape *shape, enum ood_layout layout, size_t rank, size_t strides[OOD_MAX_RANK])
{
    size_t own[OOD_MAX_RANK] = { 0 };
    const size_t *order = ood_move_order(rank, layout);
    ood_move_strides(shape, shape->rank == 4 ? layout : OOD_PLAIN, own);
    for (size_t i = 0; i < rank; i++) {
        size_t missing = rank - shape->rank, dim = order[i];
        strides[i] = dim < missing || shape->dims[dim - missing] == 1 ? 0 : own[dim - missing];
    }
}

/* Does every operand walk dims i - 1 and i of the output as one? */
static bool joined(const struct ood_walk *walk, size_t before, const size_t strides[OOD_WALK_OPERANDS], size_t dim)
{
    for (size_t k = 0; k < walk->operand_count; k++)
        if (walk->strides[k][before] != strides[k] * dim)
            return false;
    return true;
}

void ood_walk_make(struct ood_walk *walk, const struct ood_shape *y, const struct ood_shape *const *operands, size_t count,
                   enum ood_layout layout)
{
    size_t all[OOD_WALK_OPERANDS][OOD_MAX_RANK] = { { 0 } };
    const size_t *order = ood_move_order(y->rank, y->rank == 4 ? layout : OOD_PLAIN);
    *walk = (struct ood_walk){ .operand_count = count };
    for (size_t k = 0; k < count; k++)
        operand_strides(operands[k], y->rank == 4 ? layout : OOD_PLAIN, y->rank, all[k]);
    for (size_t i = 0; i < y->rank; i++) {
        size_t dim = (size_t)y->dims[order[i]], strides[OOD_WALK_OPERANDS];
        if (dim == 1)
            continue;
        for (size_t k = 0; k < OOD_WALK_OPERANDS; k++)
            strides[k] = all[k][i];
        bool join = walk->rank > 0 && joined(walk, walk->rank - 1, strides, dim);
        size_t at = join ? walk->rank - 1 : walk->rank++;
        walk->dims[at] = join ? walk->dims[at] * dim : dim;
        for (size_t k = 0; k < OOD_WALK_OPERANDS; k++)
            walk->strides[k][at] = strides[k];
    }
}

void ood_walk_run(const struct ood_walk *walk, ood_walk_row *row, const void *state, void *const *memory)
{
    size_t at[OOD_WALK_OPERANDS] = { 0 }, strides[OOD_WALK_OPERANDS] = { 0 }, index[OOD_MAX_RANK] = { 0 };
    if (walk->rank == 0) {
        row(state, memory, 0, at, strides, 1);
        return;
    }
    size_t last = walk->rank - 1;
    for (size_t i = 0; i < walk->rank; i++)
        if (walk->dims[i] == 0)
            return;
    for (size_t k = 0; k < OOD_WALK_OPERANDS; k++)
        strides[k] = walk->strides[k][last];
    for (size_t y = 0;; y += walk->dims[last]) {
        row(state, memory, y, at, strides, walk->dims[last]);
        size_t i = last;
        for (; i > 0; i--) {
            bool carry = ++index[i - 1] == walk->dims[i - 1];
            for (size_t k = 0; k < OOD_WALK_OPERANDS; k++) {
                at[k] += walk->strides[k][i - 1];
                at[k] -= carry ? walk->strides[k][i - 1] * walk->dims[i - 1] : 0;
            }
            if (!carry)
                break;
            index[i - 1] = 0;
        }
        if (i == 0)
            return;
    }
}

enum ood_layout ood_walk_layout(const struct ood_builder *builder, const struct ood_node *node, size_t operand_count)
{
    const struct ood_graph *graph = ood_builder_graph(builder);
    const struct ood_value *y = &graph->values[node->outputs[0]];
    enum ood_layout layout = OOD_PLAIN;
    bool found = false;
    if (y->shape.rank != 4)
        return OOD_PLAIN;
    for (size_t i = 0; i < operand_count; i++) {
        const struct ood_value *value = &graph->values[node->inputs[i]];
        if (value->constant != NULL || value->shape.rank != 4 || found)
            continue;
        layout = ood_builder_layout(builder, node->inputs[i]);
        found = ood_shape_equal(&value->shape, &y->shape);
    }
    return layout;
}

/* ---- an operator's three phases ---- */

struct walk_state { struct ood_walk walk; ood_walk_row *row; _Alignas(max_align_t) char state[OOD_WALK_STATE]; };

static void run_walk(const void *state, void *const *memory)
{
    const struct walk_state *s = state;
    ood_walk_run(&s->walk, s->row, s->state, memory);
}

bool ood_walk_step(struct ood_builder *builder, const struct ood_node *node, size_t operand_count, ood_walk_row *row, const void *state,
                   size_t state_size, const char *kernel, struct ood_error *err)
{
    struct walk_state whole = { .row = row };
    struct ood_shape shapes[OOD_WALK_OPERANDS];
    const struct ood_shape y = ood_builder_shape(builder, node->outputs[0]), *each[OOD_WALK_OPERANDS];
    struct ood_operand operands[1 + OOD_WALK_OPERANDS];
    const enum ood_layout layout = ood_walk_layout(builder, node, operand_count);
    for (size_t i = 0; i < operand_count; i++) {
        shapes[i] = ood_builder_shape(builder, node->inputs[i]);
        each[i] = &shapes[i];
        if (!ood_builder_input(builder, node->inputs[i], layout, &operands[1 + i], err))
            return false;
    }
    ood_walk_make(&whole.walk, &y, each, operand_count, layout);
    if (state_size > 0)
        memcpy(whole.state, state, state_size);
    return ood_builder_output(builder, node->outputs[0], layout, &operands[0], err) &&
           ood_builder_step(builder, &(struct ood_step_spec){ .node = node, .kernel = kernel, .run = run_walk, .state = &whole,
                                                              .state_size = sizeof whole, .operands = operands,
                                                              .operand_count = 1 + operand_count }, err);
}

struct ood_tensor *ood_walk_evaluate(const struct ood_graph *graph, const struct ood_node *node, const struct ood_tensor *const *inputs,
                                     size_t operand_count, ood_walk_row *row, const void *state, struct ood_error *err)
{
    const struct ood_value *value = &graph->values[node->outputs[0]];
    const struct ood_shape *shapes[OOD_WALK_OPERANDS];
    void *memory[1 + OOD_WALK_OPERANDS];
    struct ood_walk walk;
    struct ood_tensor *y = ood_tensor_new(value->type, &value->shape, err);
    if (y == NULL)
        return NULL;
    memory[0] = y->data;
    for (size_t i = 0; i < operand_count; i++) {
        shapes[i] = &inputs[i]->shape;
        memory[1 + i] = inputs[i]->data;
    }
    ood_walk_make(&walk, &value->shape, shapes, operand_count, OOD_PLAIN);
    ood_walk_run(&walk, row, state, memory);
    return y;
}

bool ood_walk_shape(const struct ood_graph *graph, const struct ood_node *node, size_t operand_count, struct ood_shape *out,
                    struct ood_error *err)
{
    struct ood_shape shape = ood_node_input(graph, node, 0)->shape;
    char a[OOD_SHAPE_TEXT], b[OOD_SHAPE_TEXT];
    for (size_t i = 1; i < operand_count; i++) {
        const struct ood_shape *other = &ood_node_input(graph, node, i)->shape, before = shape;
        if (!ood_shape_broadcast(&before, other, &shape))
            return ood_node_fail(node, err, OOD_INVALID, "shapes %s and %s do not broadcast", ood_shape_print(&before, a),
                                 ood_shape_print(other, b));
    }
    *out = shape;
    return true;
}
