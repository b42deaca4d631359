/* Functions of one element without a file of their own: float32; Abs, Neg and Sign of int64 and int32, too. One row a function;
 * which one, and how its attributes are called, stands in the row's detail. */
#include "ops/gradient_internal.h"
#include "ops/ops.h"
#include "ops/ops_internal.h"
#include "ops/posts_internal.h"

struct unary {
    enum ood_unary function;
    bool integers;
    struct { const char *name; float otherwise; } alpha, beta;
};

static struct ood_unary_step step_of(const struct ood_node *node)
{
    const struct unary *unary = node->op->detail;
    struct ood_unary_step step = { .function = unary->function };
    step.alpha = unary->alpha.name != NULL ? ood_node_float(node, unary->alpha.name, unary->alpha.otherwise) : 0;
    step.beta = unary->beta.name != NULL ? ood_node_float(node, unary->beta.name, unary->beta.otherwise) : 0;
    return step;
}

static bool unary_shape(struct ood_graph *graph, const struct ood_node *node, struct ood_error *err)
{
    const struct ood_value *input = ood_node_input(graph, node, 0);
    const struct unary *unary = node->op->detail;
    if (input->type != OOD_FLOAT32 && !(unary->integers && input->type != OOD_BOOL))
        return ood_node_fail(node, err, OOD_UNSUPPORTED, "input is %s; expected float32%s", ood_type_name(input->type),
                             unary->integers ? ", int64 or int32" : "");
    return ood_graph_set_output(graph, node, 0, input->type, &input->shape, err);
}

/* ---- integers ---- */

static int64_t integer(enum ood_unary function, int64_t x)
{
    int64_t negated = (int64_t)(0 - (uint64_t)x);            /* the least number wraps to itself, as everywhere */
    if (function == OOD_UNARY_SIGN)
        return (x > 0) - (x < 0);
    return function == OOD_UNARY_NEG || x < 0 ? negated : x;
}

struct unary_state { const struct ood_kernels *kernels; size_t count; enum ood_type type; struct ood_unary_step step; };

static void run_unary(const void *state, void *const *memory)
{
    const struct unary_state *s = state;
    if (s->type == OOD_FLOAT32) {
        s->kernels->unary(memory[1], memory[0], s->count, &s->step, 1);
        return;
    }
    for (size_t i = 0; i < s->count; i++) {
        if (s->type == OOD_INT64)
            ((int64_t *)memory[1])[i] = integer(s->step.function, ((const int64_t *)memory[0])[i]);
        else
            ((int32_t *)memory[1])[i] = (int32_t)integer(s->step.function, ((const int32_t *)memory[0])[i]);
    }
}

static struct ood_tensor *unary_evaluate(const struct ood_graph *graph, const struct ood_node *node,
                                         const struct ood_tensor *const *inputs, struct ood_error *err)
{
    const struct ood_tensor *x = inputs[0];
    (void)graph;
    if (ood_op_has_batch_numbers(x)) {
        ood_node_fail(node, err, OOD_UNSUPPORTED, "an input that depends on the batch");
        return NULL;
    }
    struct ood_tensor *y = ood_tensor_new(x->type, &x->shape, err);
    const struct unary_state state = { ood_kernels_choose(), x->count, x->type, step_of(node) };
    if (y != NULL)
        run_unary(&state, (void *const[]){ x->data, y->data });
    return y;
}

static bool unary_lower(struct ood_builder *builder, const struct ood_node *node, struct ood_error *err)
{
    static const struct ood_posts none = { 0 };
    enum ood_layout layout = ood_builder_layout(builder, node->inputs[0]);
    const struct unary_state state = { ood_builder_kernels(builder), ood_posts_count(builder, node->outputs[0]),
                                       ood_builder_graph(builder)->values[node->outputs[0]].type, step_of(node) };
    struct ood_operand operands[2];
    struct ood_step_spec step = {
        .node = node, .kernel = state.kernels->name.unary, .run = run_unary, .state = &state, .state_size = sizeof state,
        .operands = operands, .operand_count = 2, .flops = 8 * (double)state.count
    };
    return ood_builder_input(builder, node->inputs[0], layout, &operands[0], err) &&
           ood_posts_output(builder, node, &none, 0, node->inputs, operands, 1, layout, &operands[1], err) &&
           ood_builder_step(builder, &step, err);
}

/* Those with a post of their own. */
static bool unary_as_post(const struct ood_graph *graph, const struct ood_node *node, struct ood_post *post)
{
    const struct ood_unary_step step = step_of(node);
    (void)graph;
    const bool hard_swish = step.function == OOD_UNARY_HARD_SWISH, gelu = step.function == OOD_UNARY_GELU;
    *post = (struct ood_post){ .kind = hard_swish ? OOD_POST_HARD_SWISH : gelu ? OOD_POST_GELU : OOD_POST_HARD_SIGMOID, .alpha = step.alpha,
                               .beta = step.beta, .value = OOD_NONE };
    return hard_swish || gelu || step.function == OOD_UNARY_HARD_SIGMOID;
}

/* Those networks are trained with; a function without a slope in the kernel's table cannot be trained through. */
static bool unary_backward(struct ood_tape *tape, const struct ood_node *node, struct ood_error *err)
{
    const struct ood_unary_step step = step_of(node);
    if (step.function == OOD_UNARY_HARD_SIGMOID)
        return ood_activation_gradient(tape, node, node->inputs[0], node->outputs[0], node->outputs[0], step, err);
    if (step.function == OOD_UNARY_HARD_SWISH)
        return ood_activation_gradient(tape, node, node->inputs[0], node->outputs[0], node->inputs[0], step, err);
    return ood_node_fail(node, err, OOD_UNSUPPORTED, "this operator cannot be trained through (it has no backward pass)");
}

#define UNARY_WITH(row, op_name, first, more_traits, whole_row, ...)                                                   \
    const struct ood_op ood_op_##row = {                                                                              \
        .name = op_name, .since = first, .least_inputs = 1, .most_inputs = 1, .traits = more_traits,                  \
        .shape = unary_shape, .evaluate = unary_evaluate, .lower = unary_lower, .backward = unary_backward,           \
        .as_post = unary_as_post, .whole = whole_row, .detail = &(const struct unary){ __VA_ARGS__ },                 \
    };
#define UNARY(row, op_name, first, ...) UNARY_WITH(row, op_name, first, 0, NULL, __VA_ARGS__)

/* In no file of our opsets (ONNX has it from 20 on): made by a pass. */
static UNARY(gelu, "Gelu", 20, .function = OOD_UNARY_GELU)

UNARY(abs, "Abs", 6, .function = OOD_UNARY_ABS, .integers = true)
UNARY(ceil, "Ceil", 6, .function = OOD_UNARY_CEIL)
UNARY(celu, "Celu", 12, .function = OOD_UNARY_CELU, .alpha = { "alpha", 1 })
UNARY(elu, "Elu", 6, .function = OOD_UNARY_ELU, .alpha = { "alpha", 1 })
UNARY_WITH(erf, "Erf", 9, OOD_OP_ERF, &ood_op_gelu, .function = OOD_UNARY_ERF)
UNARY(exp, "Exp", 6, .function = OOD_UNARY_EXP)
UNARY(floor, "Floor", 6, .function = OOD_UNARY_FLOOR)
UNARY(hard_sigmoid, "HardSigmoid", 6, .function = OOD_UNARY_HARD_SIGMOID, .alpha = { "alpha", 0.2f }, .beta = { "beta", 0.5f })
UNARY(hard_swish, "HardSwish", 14, .function = OOD_UNARY_HARD_SWISH)
UNARY(log, "Log", 6, .function = OOD_UNARY_LOG)
UNARY(mish, "Mish", 18, .function = OOD_UNARY_MISH)
UNARY(neg, "Neg", 6, .function = OOD_UNARY_NEG, .integers = true)
UNARY(reciprocal, "Reciprocal", 6, .function = OOD_UNARY_RECIPROCAL)
UNARY(round, "Round", 11, .function = OOD_UNARY_ROUND)
UNARY(selu, "Selu", 6, .function = OOD_UNARY_SELU, .alpha = { "alpha", 1.67326319f }, .beta = { "gamma", 1.05070102f })
UNARY(shrink, "Shrink", 9, .function = OOD_UNARY_SHRINK, .alpha = { "lambd", 0.5f }, .beta = { "bias", 0 })
UNARY(sign, "Sign", 9, .function = OOD_UNARY_SIGN, .integers = true)
UNARY(softplus, "Softplus", 1, .function = OOD_UNARY_SOFTPLUS)
UNARY(softsign, "Softsign", 1, .function = OOD_UNARY_SOFTSIGN)
UNARY_WITH(sqrt, "Sqrt", 6, OOD_OP_SQRT, NULL, .function = OOD_UNARY_SQRT)
UNARY(tanh, "Tanh", 6, .function = OOD_UNARY_TANH)
UNARY(thresholded_relu, "ThresholdedRelu", 10, .function = OOD_UNARY_THRESHOLDED_RELU, .alpha = { "alpha", 1 })
