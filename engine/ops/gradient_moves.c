/* Gradients of what only moves elements (Concat, Split, Slice, Pad, Transpose), and of arithmetic with repeated operands. */
#include <string.h>

#include "ops/gradient_internal.h"
#include "ops/posts_internal.h"

struct moved { struct ood_move move; size_t zeros; };

static void run_moved(const void *state, void *const *memory)
{
    const struct moved *m = state;
    if (m->zeros > 0)
        memset(memory[1], 0, m->zeros);
    ood_move_run(&m->move, memory[0], memory[1]);
}

bool ood_move_gradient(struct ood_tape *tape, const struct ood_node *node, uint32_t input, uint32_t output, struct ood_move move, bool partial,
                       struct ood_error *err)
{
    struct ood_builder *builder = ood_tape_builder(tape);
    struct ood_operand operands[2];
    const size_t bytes = ood_posts_count(builder, input) * sizeof(float);
    const bool there = ood_tape_has_gradient(tape, input);
    bool add;
    if (!ood_tape_wants(tape, input))
        return true;
    move.size = sizeof(float);
    ood_move_simplify(&move);
    const struct moved state = { move, partial ? bytes : 0 };
    if (!ood_tape_gradient(tape, output, &operands[0], err) ||
        !(there ? ood_builder_scratch(builder, bytes, &operands[1], err) : ood_tape_gradient_into(tape, input, OOD_NONE, &operands[1], &add, err)))
        return false;
    const struct ood_step_spec step = { .node = node, .kernel = "own:move", .run = run_moved, .state = &state, .state_size = sizeof state,
                                        .operands = operands, .operand_count = 2 };
    return ood_builder_step(builder, &step, err) && (!there || ood_tape_gradient_add(tape, node, input, operands[1], err));
}

/* ---- arithmetic ---- */

/* One operand's gradient: memory: g, a, b, dx, sums. Sums run over the output as it lies in memory, in double. */
struct operand_gradient { struct ood_walk walk; enum ood_binary op; size_t which, count; bool add; double *sums; };

static void row_gradient(const void *state, void *const *memory, size_t y, const size_t at[OOD_WALK_OPERANDS], const size_t strides[OOD_WALK_OPERANDS],
                         size_t n)
{
    const struct operand_gradient *s = state;
    const float *g = (const float *)memory[0] + y, *a = (const float *)memory[1] + at[0], *b = (const float *)memory[2] + at[1];
    double *sums = s->sums + at[s->which];
    for (size_t i = 0; i < n; i++) {
        const double left = (double)a[i * strides[0]], right = (double)b[i * strides[1]], slope = (double)g[i];
        double d = slope;
        if (s->op == OOD_BINARY_SUB && s->which == 1)
            d = -slope;
        else if (s->op == OOD_BINARY_MUL)
            d = slope * (s->which == 0 ? right : left);
        else if (s->op == OOD_BINARY_DIV)
            d = s->which == 0 ? slope / right : -slope * left / (right * right);
        sums[i * strides[s->which]] += d;
    }
}

static void run_operand(const void *state, void *const *memory)
{
    struct operand_gradient s = *(const struct operand_gradient *)state;
    float *dx = memory[3];
    s.sums = memory[4];
    memset(s.sums, 0, s.count * sizeof *s.sums);
    ood_walk_run(&s.walk, row_gradient, &s, memory);
    for (size_t i = 0; i < s.count; i++)
        dx[i] = (float)s.sums[i] + (s.add ? dx[i] : 0);
}

bool ood_arithmetic_gradient(struct ood_tape *tape, const struct ood_node *node, enum ood_binary op, struct ood_error *err)
{
    struct ood_builder *builder = ood_tape_builder(tape);
    const struct ood_shape y = ood_builder_shape(builder, node->outputs[0]);
    const struct ood_shape shapes[2] = { ood_builder_shape(builder, node->inputs[0]), ood_builder_shape(builder, node->inputs[1]) };
    for (size_t i = 0; i < 2; i++) {
        const uint32_t value = node->inputs[i];
        const bool parameter = ood_builder_constant(builder, value) != NULL;
        struct operand_gradient state = { .op = op, .which = i };
        struct ood_operand operands[5];
        if (!ood_tape_wants(tape, value))
            continue;
        if (op == OOD_BINARY_ADD && !parameter && ood_shape_equal(&shapes[i], &y)) {
            if (!ood_tape_gradient_pass(tape, node, value, node->outputs[0], err))
                return false;
            continue;
        }
        if (!ood_shape_count(&shapes[i], &state.count))
            return ood_node_fail(node, err, OOD_LIMIT, "an operand is too large");
        ood_walk_make(&state.walk, &y, (const struct ood_shape *const[]){ &shapes[0], &shapes[1] }, 2, OOD_NHWC);
        if (!ood_tape_gradient(tape, node->outputs[0], &operands[0], err) ||
            !ood_builder_input(builder, node->inputs[0], OOD_NHWC, &operands[1], err) ||
            !ood_builder_input(builder, node->inputs[1], OOD_NHWC, &operands[2], err) ||
            !(parameter ? ood_tape_parameter_gradient(tape, value, &operands[3], &state.add, err)
                        : ood_tape_gradient_into(tape, value, OOD_NONE, &operands[3], &state.add, err)) ||
            !ood_builder_scratch(builder, state.count * sizeof(double), &operands[4], err))
            return false;
        const struct ood_step_spec step = { .node = node, .kernel = "own:operand_gradient", .run = run_operand, .state = &state,
                                            .state_size = sizeof state, .operands = operands, .operand_count = 5 };
        if (!ood_builder_step(builder, &step, err))
            return false;
    }
    return true;
}
