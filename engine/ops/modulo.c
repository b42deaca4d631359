/* Mod (ONNX opset 10): of integers the remainder with the divisor's sign, with fmod = 1 that with the dividend's, the one float32 asks
 * for. By zero: 0, and NaN. */
#include <math.h>

#include "ops/integers_internal.h"
#include "ops/ops.h"
#include "ops/ops_internal.h"
#include "ops/walk_internal.h"

static bool mod_shape(struct ood_graph *graph, const struct ood_node *node, struct ood_error *err)
{
    const struct ood_value *a = ood_node_input(graph, node, 0), *b = ood_node_input(graph, node, 1);
    struct ood_shape shape;
    if (a->type != b->type || a->type == OOD_BOOL)
        return ood_node_fail(node, err, OOD_INVALID, "%s with %s; expected numbers of one type", ood_type_name(a->type), ood_type_name(b->type));
    if (a->type == OOD_FLOAT32 && ood_node_int(node, "fmod", 0) != 1)
        return ood_node_fail(node, err, OOD_INVALID, "fmod is 0; expected 1 for float32");
    return ood_walk_shape(graph, node, 2, &shape, err) && ood_graph_set_output(graph, node, 0, a->type, &shape, err);
}

static int64_t dividend_sign(int64_t a, int64_t b) { return b == 0 || b == -1 ? 0 : a % b; }

static int64_t divisor_sign(int64_t a, int64_t b)
{
    const int64_t rest = dividend_sign(a, b);
    return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}

static ood_integer_function *function_of(const struct ood_node *node)
{
    return ood_node_int(node, "fmod", 0) != 0 ? dividend_sign : divisor_sign;
}

static void float_row(const void *state, void *const *memory, size_t y, const size_t *at, const size_t *strides, size_t n)
{
    (void)state;
    for (size_t i = 0; i < n; i++)
        ((float *)memory[0])[y + i] = fmodf(((const float *)memory[1])[at[0] + i * strides[0]], ((const float *)memory[2])[at[1] + i * strides[1]]);
}

static struct ood_tensor *mod_evaluate(const struct ood_graph *graph, const struct ood_node *node,
                                       const struct ood_tensor *const *inputs, struct ood_error *err)
{
    return inputs[0]->type == OOD_FLOAT32 ? ood_walk_evaluate(graph, node, inputs, 2, float_row, NULL, err)
                                          : ood_integers_evaluate(graph, node, inputs, function_of(node), err);
}

static bool mod_lower(struct ood_builder *builder, const struct ood_node *node, struct ood_error *err)
{
    return ood_builder_graph(builder)->values[node->outputs[0]].type == OOD_FLOAT32
               ? ood_walk_step(builder, node, 2, float_row, NULL, 0, "own:mod", err)
               : ood_integers_lower(builder, node, function_of(node), err);
}

const struct ood_op ood_op_mod = {
    .name = "Mod", .since = 10, .least_inputs = 2, .most_inputs = 2, .shape = mod_shape, .evaluate = mod_evaluate, .lower = mod_lower,
};
