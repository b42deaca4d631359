/* Arithmetic on integers: one loop for every function and both types. */
#include "ops/integers_internal.h"

#include "ops/ops_internal.h"
#include "ops/walk_internal.h"

int64_t ood_integer_add(int64_t a, int64_t b) { return (int64_t)((uint64_t)a + (uint64_t)b); }
int64_t ood_integer_subtract(int64_t a, int64_t b) { return (int64_t)((uint64_t)a - (uint64_t)b); }
int64_t ood_integer_multiply(int64_t a, int64_t b) { return (int64_t)((uint64_t)a * (uint64_t)b); }
int64_t ood_integer_divide(int64_t a, int64_t b) { return b == 0 ? 0 : b == -1 ? ood_integer_subtract(0, a) : a / b; }
int64_t ood_integer_most(int64_t a, int64_t b) { return a > b ? a : b; }
int64_t ood_integer_least(int64_t a, int64_t b) { return a < b ? a : b; }

void ood_integers_row(const void *state, void *const *memory, size_t y, const size_t *at, const size_t *strides, size_t n)
{
    const struct ood_integers *s = state;
    for (size_t i = 0; i < n; i++) {
        const size_t a = at[0] + i * strides[0], b = at[1] + i * strides[1];
        if (s->type == OOD_INT64)
            ((int64_t *)memory[0])[y + i] = s->function(((const int64_t *)memory[1])[a], ((const int64_t *)memory[2])[b]);
        else
            ((int32_t *)memory[0])[y + i] = (int32_t)s->function(((const int32_t *)memory[1])[a], ((const int32_t *)memory[2])[b]);
    }
}

struct ood_tensor *ood_integers_evaluate(const struct ood_graph *graph, const struct ood_node *node,
                                         const struct ood_tensor *const *inputs, ood_integer_function *function, struct ood_error *err)
{
    const struct ood_integers state = { function, inputs[0]->type };
    if (ood_op_has_batch_numbers(inputs[0]) || ood_op_has_batch_numbers(inputs[1])) {
        ood_node_fail(node, err, OOD_UNSUPPORTED, "an input that depends on the batch");
        return NULL;
    }
    return ood_walk_evaluate(graph, node, inputs, 2, ood_integers_row, &state, err);
}

bool ood_integers_lower(struct ood_builder *builder, const struct ood_node *node, ood_integer_function *function, struct ood_error *err)
{
    const struct ood_integers state = { function, ood_builder_graph(builder)->values[node->outputs[0]].type };
    return ood_walk_step(builder, node, 2, ood_integers_row, &state, sizeof state, "own:integers", err);
}
