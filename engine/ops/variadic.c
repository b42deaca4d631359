/* Max, Min, Sum, Mean of any number of inputs with broadcasting (ONNX opset 8; 6 without it): two at a time. */
#include <limits.h>
#include <string.h>

#include "ops/integers_internal.h"
#include "plan/move.h"
#include "ops/ops.h"
#include "ops/ops_internal.h"
#include "ops/posts_internal.h"
#include "ops/walk_internal.h"

struct variadic { enum ood_binary op; ood_integer_function *integers; bool mean; };

static bool variadic_shape(struct ood_graph *graph, const struct ood_node *node, struct ood_error *err)
{
    const struct variadic *variadic = node->op->detail;
    const struct ood_value *first = ood_node_input(graph, node, 0);
    struct ood_shape shape;
    for (size_t i = 0; i < node->input_count; i++) {
        const struct ood_value *input = ood_node_input(graph, node, i);
        if (input == NULL)
            return ood_node_fail(node, err, OOD_INVALID, "input %zu is missing", i);
        if (input->type != first->type)
            return ood_node_fail(node, err, OOD_INVALID, "%s with %s; expected one type", ood_type_name(first->type), ood_type_name(input->type));
    }
    if (first->type != OOD_FLOAT32 && (variadic->integers == NULL || first->type == OOD_BOOL))
        return ood_node_fail(node, err, OOD_UNSUPPORTED, "inputs are %s; expected float32", ood_type_name(first->type));
    return ood_walk_shape(graph, node, node->input_count, &shape, err) &&
           ood_graph_set_output(graph, node, 0, first->type, &shape, err);
}

/* ---- two at a time: y = op(a, b); the last time also · factor ---- */

struct pair {
    const struct ood_kernels *kernels;
    enum ood_binary op;
    float factor;                            /* 0: none */
    struct ood_integers integers;
    size_t count;
    struct ood_walk walk;
};

static void float_row(const void *state, void *const *memory, size_t y, const size_t *at, const size_t *strides, size_t n)
{
    const struct pair *s = state;
    struct ood_broadcast walk = { .rank = 1, .dims = { n }, .a_strides = { strides[0] }, .b_strides = { strides[1] } };
    s->kernels->broadcast(s->op, (float *)memory[0] + y, (const float *)memory[1] + at[0], (const float *)memory[2] + at[1], &walk, NULL, 0);
}

/* memory: output, a, b; b may be the output. */
static void run_pair(const void *state, void *const *memory)
{
    const struct pair *s = state;
    if (s->integers.type != OOD_FLOAT32)
        ood_walk_run(&s->walk, ood_integers_row, &s->integers, memory);
    else
        ood_walk_run(&s->walk, float_row, s, memory);
    const struct ood_broadcast scaling = { .rank = 1, .dims = { s->count }, .a_strides = { 1 }, .b_strides = { 0 } };
    if (s->factor != 0)
        s->kernels->broadcast(OOD_BINARY_MUL, memory[0], memory[0], &s->factor, &scaling, NULL, 0);
}

/* Are rows of every operand dense or one number, as the float kernel wants them? */
static bool in_rows(const struct ood_walk *walk)
{
    return walk->rank == 0 || (walk->strides[0][walk->rank - 1] <= 1 && walk->strides[1][walk->rank - 1] <= 1);
}

static struct pair pair_of(const struct ood_node *node, const struct ood_kernels *kernels, enum ood_type type, size_t count, bool last)
{
    const struct variadic *variadic = node->op->detail;
    return (struct pair){ .kernels = kernels, .op = variadic->op, .integers = { variadic->integers, type }, .count = count,
                          .factor = variadic->mean && last ? 1.0f / (float)node->input_count : 0 };
}

static struct ood_tensor *variadic_evaluate(const struct ood_graph *graph, const struct ood_node *node,
                                            const struct ood_tensor *const *inputs, struct ood_error *err)
{
    const struct ood_value *value = &graph->values[node->outputs[0]];
    for (size_t i = 0; i < node->input_count; i++)
        if (ood_op_has_batch_numbers(inputs[i])) {
            ood_node_fail(node, err, OOD_UNSUPPORTED, "an input that depends on the batch");
            return NULL;
        }
    if (node->input_count == 1)
        return ood_tensor_copy(inputs[0], err);
    struct ood_tensor *y = ood_tensor_new(value->type, &value->shape, err);
    for (size_t i = 1; y != NULL && i < node->input_count; i++) {
        const struct ood_tensor *a = i == 1 ? inputs[0] : y;
        struct pair pair = pair_of(node, ood_kernels_choose(), value->type, y->count, i + 1 == node->input_count);
        ood_walk_make(&pair.walk, &value->shape, (const struct ood_shape *[]){ &a->shape, &inputs[i]->shape }, 2, OOD_PLAIN);
        run_pair(&pair, (void *const[]){ y->data, a->data, inputs[i]->data });
    }
    return y;
}

static bool variadic_lower(struct ood_builder *builder, const struct ood_node *node, struct ood_error *err)
{
    const struct ood_shape y = ood_builder_shape(builder, node->outputs[0]);
    const enum ood_type type = ood_builder_graph(builder)->values[node->outputs[0]].type;
    enum ood_layout layout = ood_walk_layout(builder, node, node->input_count);
    struct ood_operand output;
    if (node->input_count == 1)
        return ood_op_lower_alias(builder, node, err);
    for (size_t i = 0; i < node->input_count; i++)           /* [C,H,W] computed beside pictures in NHWC */
        if (ood_builder_shape(builder, node->inputs[i]).rank < 4 && ood_posts_count(builder, node->inputs[i]) > 1)
            layout = OOD_PLAIN;
    if (!ood_builder_output(builder, node->outputs[0], layout, &output, err))
        return false;
    for (size_t i = 1; i < node->input_count; i++) {
        const struct ood_shape a = i == 1 ? ood_builder_shape(builder, node->inputs[0]) : y, b = ood_builder_shape(builder, node->inputs[i]);
        struct pair pair = pair_of(node, ood_builder_kernels(builder), type, ood_posts_count(builder, node->outputs[0]), i + 1 == node->input_count);
        struct ood_operand operands[3] = { output, output };
        ood_walk_make(&pair.walk, &y, (const struct ood_shape *[]){ &a, &b }, 2, layout);
        if (type == OOD_FLOAT32 && !in_rows(&pair.walk))
            return ood_node_fail(node, err, OOD_UNSUPPORTED, "operands that do not lie in rows");
        if ((i == 1 && !ood_builder_input(builder, node->inputs[0], layout, &operands[1], err)) ||
            !ood_builder_input(builder, node->inputs[i], layout, &operands[2], err) ||
            !ood_builder_step(builder, &(struct ood_step_spec){ .node = node, .kernel = pair.kernels->name.binary, .run = run_pair,
                                                                .state = &pair, .state_size = sizeof pair, .operands = operands,
                                                                .operand_count = 3, .flops = (double)pair.count }, err))
            return false;
    }
    return true;
}

#define VARIADIC(row, op_name, ...)                                                                                   \
    const struct ood_op ood_op_##row = {                                                                              \
        .name = op_name, .since = 6, .least_inputs = 1, .most_inputs = INT_MAX, .shape = variadic_shape,              \
        .evaluate = variadic_evaluate, .lower = variadic_lower, .detail = &(const struct variadic){ __VA_ARGS__ },    \
    };

VARIADIC(max, "Max", OOD_BINARY_MAX, ood_integer_most, false)
VARIADIC(mean, "Mean", OOD_BINARY_ADD, NULL, true)
VARIADIC(min, "Min", OOD_BINARY_MIN, ood_integer_least, false)
VARIADIC(sum, "Sum", OOD_BINARY_ADD, NULL, false)
