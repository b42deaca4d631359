/* Comparisons and logic, answers bool: Equal, Greater, GreaterOrEqual, Less, LessOrEqual, And, Or, Xor; of one operand Not, IsNaN,
 * IsInf. At load also of numbers that are multiples of the batch, where the answer is the same for every batch. */
#include <math.h>

#include "ops/ops.h"
#include "ops/ops_internal.h"
#include "ops/walk_internal.h"

struct comparison {
    bool (*floats)(float a, float b);        /* NULL: not of float32, int64, int32 */
    bool (*integers)(int64_t a, int64_t b);
    bool bools;                              /* of bool as well */
};

static bool equal_floats(float a, float b) { return a == b; }
static bool equal_integers(int64_t a, int64_t b) { return a == b; }
static bool greater_floats(float a, float b) { return a > b; }
static bool greater_integers(int64_t a, int64_t b) { return a > b; }
static bool not_less_floats(float a, float b) { return a >= b; }
static bool not_less_integers(int64_t a, int64_t b) { return a >= b; }
static bool less_floats(float a, float b) { return a < b; }
static bool less_integers(int64_t a, int64_t b) { return a < b; }
static bool not_greater_floats(float a, float b) { return a <= b; }
static bool not_greater_integers(int64_t a, int64_t b) { return a <= b; }
static bool both(int64_t a, int64_t b) { return a != 0 && b != 0; }
static bool either(int64_t a, int64_t b) { return a != 0 || b != 0; }
static bool one_of_them(int64_t a, int64_t b) { return (a != 0) != (b != 0); }

static bool compare_shape(struct ood_graph *graph, const struct ood_node *node, struct ood_error *err)
{
    const struct ood_value *a = ood_node_input(graph, node, 0), *b = ood_node_input(graph, node, 1);
    const struct comparison *comparison = node->op->detail;
    struct ood_shape shape;
    if (a->type != b->type)
        return ood_node_fail(node, err, OOD_INVALID, "%s with %s; expected one type", ood_type_name(a->type), ood_type_name(b->type));
    if (a->type == OOD_BOOL ? !comparison->bools : comparison->floats == NULL)
        return ood_node_fail(node, err, OOD_INVALID, "inputs are %s; expected %s", ood_type_name(a->type),
                             comparison->bools ? "bool" : "numbers");
    return ood_walk_shape(graph, node, 2, &shape, err) && ood_graph_set_output(graph, node, 0, OOD_BOOL, &shape, err);
}

struct compare_state { const struct comparison *comparison; enum ood_type type; };

static int64_t integer_at(const void *data, enum ood_type type, size_t i)
{
    return type == OOD_INT64   ? ((const int64_t *)data)[i]
           : type == OOD_INT32 ? ((const int32_t *)data)[i]
                               : ((const unsigned char *)data)[i] != 0;
}

static void compare_row(const void *state, void *const *memory, size_t y, const size_t *at, const size_t *strides, size_t n)
{
    const struct compare_state *s = state;
    unsigned char *out = (unsigned char *)memory[0] + y;
    for (size_t i = 0; i < n; i++) {
        const size_t a = at[0] + i * strides[0], b = at[1] + i * strides[1];
        out[i] = s->type == OOD_FLOAT32
                     ? s->comparison->floats(((const float *)memory[1])[a], ((const float *)memory[2])[b])
                     : s->comparison->integers(integer_at(memory[1], s->type, a), integer_at(memory[2], s->type, b));
    }
}

/* ---- numbers that depend on the batch N >= 1 ---- */

/* a and b with the same order as before, for every N; false where their order depends on N. */
static bool settle(int64_t *a, int64_t *b)
{
    const bool a_batch = ood_dim_is_batch(*a), b_batch = ood_dim_is_batch(*b);
    if (a_batch && b_batch) {
        *a = ood_batch_factor(*a), *b = ood_batch_factor(*b);
        return true;
    }
    if (a_batch) {
        *a = ood_batch_factor(*a);
        return *b < *a;                      /* kN >= k > b */
    }
    if (b_batch) {
        *b = ood_batch_factor(*b);
        return *a < *b;
    }
    return true;
}

struct settling { const struct comparison *comparison; bool *open; };

static void settle_row(const void *state, void *const *memory, size_t y, const size_t *at, const size_t *strides, size_t n)
{
    const struct settling *s = state;
    for (size_t i = 0; i < n; i++) {
        int64_t a = ((const int64_t *)memory[1])[at[0] + i * strides[0]], b = ((const int64_t *)memory[2])[at[1] + i * strides[1]];
        *s->open = *s->open || !settle(&a, &b);
        ((unsigned char *)memory[0])[y + i] = s->comparison->integers(a, b);
    }
}

static struct ood_tensor *compare_evaluate(const struct ood_graph *graph, const struct ood_node *node,
                                           const struct ood_tensor *const *inputs, struct ood_error *err)
{
    const struct comparison *comparison = node->op->detail;
    const struct compare_state state = { comparison, inputs[0]->type };
    bool open = false;
    const struct settling settling = { comparison, &open };
    if (!ood_op_has_batch_numbers(inputs[0]) && !ood_op_has_batch_numbers(inputs[1]))
        return ood_walk_evaluate(graph, node, inputs, 2, compare_row, &state, err);
    struct ood_tensor *y = ood_walk_evaluate(graph, node, inputs, 2, settle_row, &settling, err);
    if (y == NULL || !open)
        return y;
    ood_tensor_free(y);
    ood_node_fail(node, err, OOD_UNSUPPORTED, "a comparison whose answer depends on the batch");
    return NULL;
}

static bool compare_lower(struct ood_builder *builder, const struct ood_node *node, struct ood_error *err)
{
    const struct compare_state state = { node->op->detail, ood_builder_graph(builder)->values[node->inputs[0]].type };
    return ood_walk_step(builder, node, 2, compare_row, &state, sizeof state, "own:compare", err);
}

#define COMPARISON(row, op_name, first, of_floats, of_integers, of_bools)                                             \
    const struct ood_op ood_op_##row = {                                                                              \
        .name = op_name, .since = first, .least_inputs = 2, .most_inputs = 2, .shape = compare_shape,                 \
        .evaluate = compare_evaluate, .lower = compare_lower,                                                         \
        .detail = &(const struct comparison){ of_floats, of_integers, of_bools },                                     \
    };

COMPARISON(and, "And", 7, NULL, both, true)
COMPARISON(equal, "Equal", 7, equal_floats, equal_integers, true)
COMPARISON(greater, "Greater", 7, greater_floats, greater_integers, false)
COMPARISON(greater_or_equal, "GreaterOrEqual", 12, not_less_floats, not_less_integers, false)
COMPARISON(less, "Less", 7, less_floats, less_integers, false)
COMPARISON(less_or_equal, "LessOrEqual", 12, not_greater_floats, not_greater_integers, false)
COMPARISON(or, "Or", 7, NULL, either, true)
COMPARISON(xor, "Xor", 7, NULL, one_of_them, true)

/* ---- of one operand ---- */

enum question { IS_FALSE, IS_NAN, IS_INFINITE };

struct question_state { enum question question; bool negative, positive; };

static struct question_state question_of(const struct ood_node *node)
{
    return (struct question_state){ *(const enum question *)node->op->detail, ood_node_int(node, "detect_negative", 1) != 0,
                                    ood_node_int(node, "detect_positive", 1) != 0 };
}

static bool question_shape(struct ood_graph *graph, const struct ood_node *node, struct ood_error *err)
{
    const struct ood_value *x = ood_node_input(graph, node, 0);
    const enum ood_type expected = question_of(node).question == IS_FALSE ? OOD_BOOL : OOD_FLOAT32;
    if (x->type != expected)
        return ood_node_fail(node, err, OOD_UNSUPPORTED, "input is %s; expected %s", ood_type_name(x->type), ood_type_name(expected));
    return ood_graph_set_output(graph, node, 0, OOD_BOOL, &x->shape, err);
}

static void question_row(const void *state, void *const *memory, size_t y, const size_t *at, const size_t *strides, size_t n)
{
    const struct question_state *s = state;
    unsigned char *out = (unsigned char *)memory[0] + y;
    for (size_t i = 0; i < n; i++) {
        const size_t x = at[0] + i * strides[0];
        const float number = s->question == IS_FALSE ? 0 : ((const float *)memory[1])[x];
        const bool answer = s->question == IS_FALSE ? ((const unsigned char *)memory[1])[x] == 0
                            : s->question == IS_NAN ? isnan(number) != 0
                                                    : isinf(number) != 0 && (number < 0 ? s->negative : s->positive);
        out[i] = answer;
    }
}

static struct ood_tensor *question_evaluate(const struct ood_graph *graph, const struct ood_node *node,
                                            const struct ood_tensor *const *inputs, struct ood_error *err)
{
    const struct question_state state = question_of(node);
    return ood_walk_evaluate(graph, node, inputs, 1, question_row, &state, err);
}

static bool question_lower(struct ood_builder *builder, const struct ood_node *node, struct ood_error *err)
{
    const struct question_state state = question_of(node);
    return ood_walk_step(builder, node, 1, question_row, &state, sizeof state, "own:compare", err);
}

#define QUESTION(row, op_name, first, asked)                                                                          \
    const struct ood_op ood_op_##row = {                                                                              \
        .name = op_name, .since = first, .least_inputs = 1, .most_inputs = 1, .shape = question_shape,                \
        .evaluate = question_evaluate, .lower = question_lower, .detail = &(const enum question){ asked },            \
    };

QUESTION(is_inf, "IsInf", 10, IS_INFINITE)
QUESTION(is_nan, "IsNaN", 9, IS_NAN)
QUESTION(not, "Not", 1, IS_FALSE)
