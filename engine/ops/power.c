/* Pow (ONNX opset 7, types apart since 12). Whole and half exponents that exporters write are a few instructions; others are powers in
 * double, rounded once. */
#include <math.h>

#include "ops/integers_internal.h"
#include "ops/ops.h"
#include "ops/ops_internal.h"
#include "ops/posts_internal.h"
#include "ops/walk_internal.h"

static bool pow_shape(struct ood_graph *graph, const struct ood_node *node, struct ood_error *err)
{
    const struct ood_value *base = ood_node_input(graph, node, 0), *exponent = ood_node_input(graph, node, 1);
    struct ood_shape shape;
    if (base->type == OOD_BOOL || exponent->type == OOD_BOOL || (node->opset < 12 && base->type != exponent->type))
        return ood_node_fail(node, err, OOD_INVALID, "%s to the power of %s; expected numbers%s", ood_type_name(base->type),
                             ood_type_name(exponent->type), node->opset < 12 ? " of one type" : "");
    return ood_walk_shape(graph, node, 2, &shape, err) && ood_graph_set_output(graph, node, 0, base->type, &shape, err);
}

struct power { enum ood_type base, exponent; };

static double number_at(const void *data, enum ood_type type, size_t i)
{
    return type == OOD_FLOAT32 ? (double)((const float *)data)[i]
           : type == OOD_INT64 ? (double)((const int64_t *)data)[i]
                               : (double)((const int32_t *)data)[i];
}

/* Towards zero; what does not fit becomes the nearest that does, NaN 0. */
static int64_t whole(double number, int64_t least, int64_t most)
{
    if (isnan(number))
        return 0;
    return number <= (double)least ? least : number >= (double)most ? most : (int64_t)number;
}

static int64_t integer_power(int64_t base, int64_t exponent)
{
    int64_t result = 1;
    if (exponent < 0)
        return base == 1 ? 1 : base == -1 ? (exponent % 2 == 0 ? 1 : -1) : 0;
    for (; exponent > 0; exponent /= 2, base = ood_integer_multiply(base, base))
        if (exponent % 2 == 1)
            result = ood_integer_multiply(result, base);
    return result;
}

static void power_row(const void *state, void *const *memory, size_t y, const size_t *at, const size_t *strides, size_t n)
{
    const struct power *s = state;
    for (size_t i = 0; i < n; i++) {
        const size_t a = at[0] + i * strides[0], b = at[1] + i * strides[1];
        const double exponent = number_at(memory[2], s->exponent, b);
        if (s->base == OOD_FLOAT32)
            ((float *)memory[0])[y + i] = (float)pow((double)((const float *)memory[1])[a], exponent);
        else if (s->base == OOD_INT64)
            ((int64_t *)memory[0])[y + i] = s->exponent == OOD_INT64
                ? integer_power(((const int64_t *)memory[1])[a], ((const int64_t *)memory[2])[b])
                : whole(pow(number_at(memory[1], s->base, a), exponent), INT64_MIN, INT64_MAX);
        else
            ((int32_t *)memory[0])[y + i] = (int32_t)whole(pow(number_at(memory[1], s->base, a), exponent), INT32_MIN, INT32_MAX);
    }
}

static struct power power_of(const struct ood_graph *graph, const struct ood_node *node)
{
    return (struct power){ graph->values[node->inputs[0]].type, graph->values[node->inputs[1]].type };
}

static struct ood_tensor *pow_evaluate(const struct ood_graph *graph, const struct ood_node *node,
                                       const struct ood_tensor *const *inputs, struct ood_error *err)
{
    const struct power power = power_of(graph, node);
    if (ood_op_has_batch_numbers(inputs[0]) || ood_op_has_batch_numbers(inputs[1])) {
        ood_node_fail(node, err, OOD_UNSUPPORTED, "an input that depends on the batch");
        return NULL;
    }
    return ood_walk_evaluate(graph, node, inputs, 2, power_row, &power, err);
}

/* ---- exponents that are a few instructions ---- */

struct short_power { const struct ood_kernels *kernels; size_t count; struct ood_steps steps; };

static bool short_steps(const struct ood_graph *graph, const struct ood_node *node, struct ood_steps *out)
{
    static const struct { double exponent; struct ood_steps steps; } known[] = {
        { 1, { .count = 0 } },
        { 2, { { { .function = OOD_UNARY_SQUARE } }, 1 } },
        { 3, { { { .function = OOD_UNARY_CUBE } }, 1 } },
        { 0.5, { { { .function = OOD_UNARY_SQRT } }, 1 } },
        { -0.5, { { { .function = OOD_UNARY_SQRT }, { .function = OOD_UNARY_RECIPROCAL } }, 2 } },
        { -1, { { { .function = OOD_UNARY_RECIPROCAL } }, 1 } },
        { -2, { { { .function = OOD_UNARY_SQUARE }, { .function = OOD_UNARY_RECIPROCAL } }, 2 } },
    };
    const struct ood_value *base = &graph->values[node->inputs[0]], *exponent = &graph->values[node->inputs[1]];
    if (base->type != OOD_FLOAT32 || exponent->constant == NULL || exponent->constant->count != 1 ||
        !ood_shape_equal(&base->shape, &graph->values[node->outputs[0]].shape))
        return false;
    const double number = number_at(exponent->constant->data, exponent->type, 0);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (known[i].exponent == number) {
            *out = known[i].steps;
            return true;
        }
    return false;
}

static void run_short(const void *state, void *const *memory)
{
    const struct short_power *s = state;
    s->kernels->unary(memory[1], memory[0], s->count, s->steps.steps, s->steps.count);
}

static bool pow_lower(struct ood_builder *builder, const struct ood_node *node, struct ood_error *err)
{
    static const struct ood_posts none = { 0 };
    const struct ood_graph *graph = ood_builder_graph(builder);
    struct short_power state = { .kernels = ood_builder_kernels(builder), .count = ood_posts_count(builder, node->outputs[0]) };
    const struct power power = power_of(graph, node);
    if (!short_steps(graph, node, &state.steps))
        return ood_walk_step(builder, node, 2, power_row, &power, sizeof power, "own:power", err);
    const enum ood_layout layout = ood_builder_layout(builder, node->inputs[0]);
    struct ood_operand operands[2];
    struct ood_step_spec step = {
        .node = node, .kernel = state.kernels->name.unary, .run = run_short, .state = &state, .state_size = sizeof state,
        .operands = operands, .operand_count = 2, .flops = (double)state.count
    };
    return ood_builder_input(builder, node->inputs[0], layout, &operands[0], err) &&
           ood_posts_output(builder, node, &none, 0, node->inputs, operands, 1, layout, &operands[1], err) &&
           ood_builder_step(builder, &step, err);
}

const struct ood_op ood_op_pow = {
    .name = "Pow", .since = 7, .least_inputs = 2, .most_inputs = 2, .traits = OOD_OP_POW, .shape = pow_shape, .evaluate = pow_evaluate, .lower = pow_lower,
};
