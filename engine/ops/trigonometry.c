/* Sin, Cos, Tan, their inverses and hyperbolic kin: rare in networks that see, so the C library's functions, in double, rounded once. */
#include <math.h>

#include "ops/ops.h"
#include "ops/ops_internal.h"
#include "ops/walk_internal.h"

struct function { double (*of)(double x); };

static bool trigonometry_shape(struct ood_graph *graph, const struct ood_node *node, struct ood_error *err)
{
    const struct ood_value *x = ood_node_input(graph, node, 0);
    if (x->type != OOD_FLOAT32)
        return ood_node_fail(node, err, OOD_UNSUPPORTED, "input is %s; expected float32", ood_type_name(x->type));
    return ood_graph_set_output(graph, node, 0, OOD_FLOAT32, &x->shape, err);
}

static void function_row(const void *state, void *const *memory, size_t y, const size_t *at, const size_t *strides, size_t n)
{
    const struct function *function = state;
    for (size_t i = 0; i < n; i++)
        ((float *)memory[0])[y + i] = (float)function->of((double)((const float *)memory[1])[at[0] + i * strides[0]]);
}

static struct ood_tensor *trigonometry_evaluate(const struct ood_graph *graph, const struct ood_node *node,
                                                const struct ood_tensor *const *inputs, struct ood_error *err)
{
    return ood_walk_evaluate(graph, node, inputs, 1, function_row, node->op->detail, err);
}

static bool trigonometry_lower(struct ood_builder *builder, const struct ood_node *node, struct ood_error *err)
{
    return ood_walk_step(builder, node, 1, function_row, node->op->detail, sizeof(struct function), "own:trigonometry", err);
}

#define FUNCTION(row, op_name, first, of_double)                                                                      \
    const struct ood_op ood_op_##row = {                                                                              \
        .name = op_name, .since = first, .least_inputs = 1, .most_inputs = 1, .shape = trigonometry_shape,            \
        .evaluate = trigonometry_evaluate, .lower = trigonometry_lower, .detail = &(const struct function){ of_double }, \
    };

FUNCTION(acos, "Acos", 7, acos)
FUNCTION(acosh, "Acosh", 9, acosh)
FUNCTION(asin, "Asin", 7, asin)
FUNCTION(asinh, "Asinh", 9, asinh)
FUNCTION(atan, "Atan", 7, atan)
FUNCTION(atanh, "Atanh", 9, atanh)
FUNCTION(cos, "Cos", 7, cos)
FUNCTION(cosh, "Cosh", 9, cosh)
FUNCTION(sin, "Sin", 7, sin)
FUNCTION(sinh, "Sinh", 9, sinh)
FUNCTION(tan, "Tan", 7, tan)
