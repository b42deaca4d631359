/* Steps that backward passes of several operators share. */
#include "ops/gradient_internal.h"

#include "kernel/training.h"
#include "ops/posts_internal.h"

struct bias { const struct ood_kernels *kernels; size_t rows, channels; bool add; };

static void run_bias(const void *state, void *const *memory)
{
    const struct bias *b = state;
    double *sums = memory[2];
    float *out = memory[1];
    const struct ood_norm_gradient_call call = { .g = memory[0], .gate.open = true, .rows = b->rows, .channels = b->channels, .sum = sums };
    b->kernels->norm_gradient_sums(&call);
    for (size_t c = 0; c < b->channels; c++)
        out[c] = (float)sums[c] + (b->add ? out[c] : 0);
}

bool ood_bias_gradient(struct ood_tape *tape, const struct ood_node *node, uint32_t bias, struct ood_operand gradient, size_t rows, size_t channels,
                       struct ood_error *err)
{
    struct ood_builder *builder = ood_tape_builder(tape);
    struct bias state = { ood_builder_kernels(builder), rows, channels, false };
    struct ood_operand operands[3] = { gradient };
    if (!ood_tape_parameter_gradient(tape, bias, &operands[1], &state.add, err) ||
        !ood_builder_scratch(builder, channels * sizeof(double), &operands[2], err))
        return false;
    const struct ood_step_spec step = { .node = node, .kernel = state.kernels->name.training, .run = run_bias, .state = &state,
                                        .state_size = sizeof state, .operands = operands, .operand_count = 3 };
    return ood_builder_step(builder, &step, err);
}

struct activation { const struct ood_kernels *kernels; size_t count; struct ood_unary_step step; bool add; };

static void run_activation(const void *state, void *const *memory)
{
    const struct activation *a = state;
    a->kernels->unary_gradient(memory[2], a->add, memory[0], memory[1], a->count, &a->step);
}

bool ood_activation_gradient(struct ood_tape *tape, const struct ood_node *node, uint32_t input, uint32_t output, uint32_t told,
                             struct ood_unary_step function, struct ood_error *err)
{
    struct ood_builder *builder = ood_tape_builder(tape);
    struct activation state = { ood_builder_kernels(builder), ood_posts_count(builder, output), function, false };
    struct ood_operand operands[3];
    if (!ood_tape_wants(tape, input))
        return true;
    if (!ood_tape_gradient(tape, output, &operands[0], err) || !ood_builder_input(builder, told, OOD_NHWC, &operands[1], err) ||
        !ood_tape_gradient_into(tape, input, output, &operands[2], &state.add, err))
        return false;
    const struct ood_step_spec step = { .node = node, .kernel = state.kernels->name.training, .run = run_activation, .state = &state,
                                        .state_size = sizeof state, .operands = operands, .operand_count = 3 };
    return ood_builder_step(builder, &step, err);
}

/* ---- another shape ---- */

struct turn { const struct ood_kernels *kernels; size_t pictures, rows, columns; };

static void run_turn(const void *state, void *const *memory)
{
    const struct turn *t = state;
    t->kernels->transpose(memory[1], memory[0], t->pictures, t->rows, t->columns);
}

/* Gradients of rank 4 lie channels last: does that differ from row-major order? */
static bool is_turned(const struct ood_shape *shape) { return shape->rank == 4 && shape->dims[1] != 1 && shape->dims[2] * shape->dims[3] != 1; }

static bool add_turn(struct ood_tape *tape, const struct ood_node *node, const struct ood_shape *shape, bool to_nhwc, struct ood_operand *operand,
                     struct ood_error *err)
{
    struct ood_builder *builder = ood_tape_builder(tape);
    const size_t area = (size_t)(shape->dims[2] * shape->dims[3]), channels = (size_t)shape->dims[1];
    const struct turn state = { ood_builder_kernels(builder), (size_t)shape->dims[0], to_nhwc ? channels : area, to_nhwc ? area : channels };
    struct ood_operand operands[2] = { *operand };
    if (!ood_builder_scratch(builder, state.pictures * area * channels * sizeof(float), &operands[1], err))
        return false;
    const struct ood_step_spec step = { .node = node, .kernel = state.kernels->name.transpose, .run = run_turn, .state = &state,
                                        .state_size = sizeof state, .operands = operands, .operand_count = 2 };
    *operand = operands[1];
    return ood_builder_step(builder, &step, err);
}

bool ood_reshape_backward(struct ood_tape *tape, const struct ood_node *node, struct ood_error *err)
{
    struct ood_builder *builder = ood_tape_builder(tape);
    const struct ood_shape from = ood_builder_shape(builder, node->outputs[0]), to = ood_builder_shape(builder, node->inputs[0]);
    struct ood_operand gradient;
    if (!ood_tape_wants(tape, node->inputs[0]))
        return true;
    if (ood_shape_equal(&from, &to) || (!is_turned(&from) && !is_turned(&to)))
        return ood_tape_gradient_pass(tape, node, node->inputs[0], node->outputs[0], err);
    return ood_tape_gradient(tape, node->outputs[0], &gradient, err) &&
           (!is_turned(&from) || add_turn(tape, node, &from, false, &gradient, err)) &&
           (!is_turned(&to) || add_turn(tape, node, &to, true, &gradient, err)) &&
           ood_tape_gradient_add(tape, node, node->inputs[0], gradient, err);
}
