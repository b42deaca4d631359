/* Einsum where it is a matrix product of two operands: every letter of the output is in one of them (rows, columns) or in both (stacked
 * matrices), every other letter in both (summed over). Operands are laid out as matrices, multiplied, and laid out as asked for. */
#include <string.h>

#include "kernel/kernel.h"
#include "plan/move.h"
#include "ops/ops.h"
#include "ops/ops_internal.h"

enum { LEFT, RIGHT, OUTPUT, TERMS };

/* Letters of each term, in order. */
struct equation { char letters[TERMS][OOD_MAX_RANK + 1]; };

static bool read_equation(const struct ood_node *node, struct equation *out, struct ood_error *err)
{
    const char *text = ood_node_string(node, "equation", "");
    struct equation equation = { 0 };
    size_t term = 0, length = 0;
    for (; *text != '\0'; text++) {
        const char c = *text;
        const bool arrow = c == '-' && text[1] == '>';
        if (c == ' ')
            continue;
        if ((c == ',' && term == LEFT) || (arrow && term == RIGHT)) {
            term++;
            length = 0;
            text += arrow;
            continue;
        }
        const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!letter || length == OOD_MAX_RANK || strchr(equation.letters[term], c) != NULL)
            return ood_node_fail(node, err, OOD_UNSUPPORTED, "equation %.60s: expected two operands and an output of different letters",
                                 ood_node_string(node, "equation", ""));
        equation.letters[term][length++] = c;
    }
    if (term != OUTPUT)
        return ood_node_fail(node, err, OOD_UNSUPPORTED, "equation %.60s: expected a,b->c", ood_node_string(node, "equation", ""));
    *out = equation;
    return true;
}

static bool has(const struct equation *equation, size_t term, char letter) { return strchr(equation->letters[term], letter) != NULL; }

/* A letter's place in a term it is in. */
static size_t place(const struct equation *equation, size_t term, char letter)
{
    return (size_t)(strchr(equation->letters[term], letter) - equation->letters[term]);
}

static bool einsum_check(const struct ood_graph *graph, const struct ood_node *node, struct ood_error *err)
{
    struct equation equation;
    (void)graph;
    if (!read_equation(node, &equation, err))
        return false;
    for (size_t term = 0; term < TERMS; term++)
        for (const char *c = equation.letters[term]; *c != '\0'; c++) {
            const bool left = has(&equation, LEFT, *c), right = has(&equation, RIGHT, *c), output = has(&equation, OUTPUT, *c);
            if (left + right + output < 2)
                return ood_node_fail(node, err, OOD_UNSUPPORTED, "equation %.60s: letter %c is in one term alone",
                                     ood_node_string(node, "equation", ""), *c);
        }
    return true;
}

static bool einsum_shape(struct ood_graph *graph, const struct ood_node *node, struct ood_error *err)
{
    const struct ood_value *a = ood_node_input(graph, node, 0), *b = ood_node_input(graph, node, 1);
    struct equation equation;
    struct ood_shape shape = { 0 };
    if (a->type != OOD_FLOAT32 || b->type != OOD_FLOAT32)
        return ood_node_fail(node, err, OOD_UNSUPPORTED, "inputs are %s and %s; expected float32", ood_type_name(a->type), ood_type_name(b->type));
    if (!read_equation(node, &equation, err))
        return false;
    if (strlen(equation.letters[LEFT]) != a->shape.rank || strlen(equation.letters[RIGHT]) != b->shape.rank)
        return ood_node_fail(node, err, OOD_INVALID, "equation %.60s: operands have %zu and %zu dimensions", ood_node_string(node, "equation", ""),
                             a->shape.rank, b->shape.rank);
    for (const char *c = equation.letters[LEFT]; *c != '\0'; c++) {
        const int64_t dim = a->shape.dims[place(&equation, LEFT, *c)];
        if (!has(&equation, RIGHT, *c))
            continue;
        if (b->shape.dims[place(&equation, RIGHT, *c)] != dim)
            return ood_node_fail(node, err, OOD_INVALID, "letter %c stands for two sizes", *c);
        if (!has(&equation, OUTPUT, *c) && ood_dim_is_batch(dim))
            return ood_node_fail(node, err, OOD_UNSUPPORTED, "the product sums over the batch: pictures would depend on each other");
    }
    for (const char *c = equation.letters[OUTPUT]; *c != '\0'; c++)
        shape.dims[shape.rank++] = has(&equation, LEFT, *c) ? a->shape.dims[place(&equation, LEFT, *c)] : b->shape.dims[place(&equation, RIGHT, *c)];
    return ood_graph_set_output(graph, node, 0, OOD_FLOAT32, &shape, err);
}

/* ---- the step: A as [groups][m][k], B as [groups][k][n], the result [groups][m][n] ---- */

struct einsum { const struct ood_kernels *kernels; size_t groups, m, k, n, packed; struct ood_move left, right, output; };

static void run_einsum(const void *state, void *const *memory)
{
    const struct einsum *s = state;
    float *left = memory[3], *right = memory[4], *result = memory[5], *packed = memory[6];
    ood_move_run(&s->left, memory[0], left);
    ood_move_run(&s->right, memory[1], right);
    for (size_t g = 0; g < s->groups; g++) {
        s->kernels->pack_b(packed, right + g * s->k * s->n, s->k, s->n, s->n, 1);
        s->kernels->product(result + g * s->m * s->n, left + g * s->m * s->k, packed, NULL, NULL, s->m, s->k, s->n, NULL, 0);
    }
    ood_move_run(&s->output, result, memory[2]);
}

/* Letters in the order of a matrix: kinds[i] says in which terms a letter of the i-th part is (left, right, output). */
static size_t order_of(const struct equation *equation, size_t term, const bool kinds[3][TERMS], char out[OOD_MAX_RANK + 1])
{
    size_t count = 0;
    for (size_t part = 0; part < 3; part++)
        for (const char *c = equation->letters[term]; *c != '\0'; c++)
            if (has(equation, LEFT, *c) == kinds[part][LEFT] && has(equation, RIGHT, *c) == kinds[part][RIGHT] &&
                has(equation, OUTPUT, *c) == kinds[part][OUTPUT])
                out[count++] = *c;
    out[count] = '\0';
    return count;
}

/* Between a term as it lies and the same with its letters in `order` (dense); `into`: from the term to the matrix. Letters of the parts
 * come in the order of the left operand where it has them, so that both sides of the product agree. */
static struct ood_move move_of(const struct equation *equation, size_t term, const struct ood_shape *shape, const char *order, bool into)
{
    struct ood_move move = { .rank = shape->rank, .size = sizeof(float) };
    size_t strides[OOD_MAX_RANK], stride = 1;
    ood_move_strides(shape, OOD_PLAIN, strides);
    for (size_t i = shape->rank; i-- > 0;) {
        const size_t at = place(equation, term, order[i]);
        move.dims[i] = (size_t)shape->dims[at];
        move.from[i] = into ? strides[at] : stride;
        move.to[i] = into ? stride : strides[at];
        stride *= move.dims[i];
    }
    ood_move_simplify(&move);
    return move;
}

static bool einsum_lower(struct ood_builder *builder, const struct ood_node *node, struct ood_error *err)
{
    static const bool stacked[TERMS] = { true, true, true }, rows[TERMS] = { true, false, true }, summed[TERMS] = { true, true, false },
                      columns[TERMS] = { false, true, true };
    const struct ood_shape a = ood_builder_shape(builder, node->inputs[0]), b = ood_builder_shape(builder, node->inputs[1]);
    const struct ood_shape y = ood_builder_shape(builder, node->outputs[0]);
    struct einsum state = { .kernels = ood_builder_kernels(builder), .groups = 1, .m = 1, .k = 1, .n = 1 };
    struct equation equation;
    char left[OOD_MAX_RANK + 1], right[OOD_MAX_RANK + 1], output[2 * OOD_MAX_RANK + 1];
    struct ood_operand operands[7];
    bool kinds[3][TERMS];
    if (!read_equation(node, &equation, err))
        return false;
    memcpy(kinds[0], stacked, sizeof stacked), memcpy(kinds[1], rows, sizeof rows), memcpy(kinds[2], summed, sizeof summed);
    const size_t left_count = order_of(&equation, LEFT, kinds, left);
    memcpy(kinds[1], summed, sizeof summed), memcpy(kinds[2], columns, sizeof columns);
    const size_t right_count = order_of(&equation, RIGHT, kinds, right);
    size_t count = 0, at = 0, shared = 0;
    for (size_t i = 0; i < left_count; i++) {                /* what both have, in the left operand's order */
        const size_t dim = (size_t)a.dims[place(&equation, LEFT, left[i])];
        const bool is_right = has(&equation, RIGHT, left[i]), is_output = has(&equation, OUTPUT, left[i]);
        *(is_right && is_output ? &state.groups : is_output ? &state.m : &state.k) *= dim;
        if (is_right)
            right[shared++] = left[i];
        if (is_output)
            output[count++] = left[i];
    }
    for (at = shared; at < right_count; at++) {
        state.n *= (size_t)b.dims[place(&equation, RIGHT, right[at])];
        output[count++] = right[at];
    }
    state.packed = state.kernels->packed_b_floats(state.k, state.n);
    state.left = move_of(&equation, LEFT, &a, left, true);
    state.right = move_of(&equation, RIGHT, &b, right, true);
    state.output = move_of(&equation, OUTPUT, &y, output, false);
    const size_t floats[] = { state.groups * state.m * state.k, state.groups * state.k * state.n, state.groups * state.m * state.n, state.packed };
    if (state.packed == 0 && state.k > 0 && state.n > 0)
        return ood_node_fail(node, err, OOD_LIMIT, "a matrix of %zu by %zu is too large", state.k, state.n);
    if (!ood_builder_input(builder, node->inputs[0], OOD_PLAIN, &operands[0], err) ||
        !ood_builder_input(builder, node->inputs[1], OOD_PLAIN, &operands[1], err) ||
        !ood_builder_output(builder, node->outputs[0], OOD_PLAIN, &operands[2], err))
        return false;
    for (size_t i = 0; i < 4; i++)
        if (!ood_builder_scratch(builder, floats[i] * sizeof(float), &operands[3 + i], err))
            return false;
    return ood_builder_step(builder, &(struct ood_step_spec){ .node = node, .kernel = state.kernels->name.product, .run = run_einsum,
                                                              .state = &state, .state_size = sizeof state, .operands = operands,
                                                              .operand_count = 7,
                                                              .flops = 2 * (double)(state.groups * state.m) * (double)(state.k * state.n) }, err);
}

/* …ij,…jk->…ik or …ij,…kj->…ik. */
static bool is_products(const struct ood_graph *graph, const struct ood_node *node, bool *turned)
{
    struct ood_error ignored = { 0 };
    struct equation e;
    const size_t rank = graph->values[node->inputs[0]].shape.rank;
    if (!read_equation(node, &e, &ignored) || rank < 3 || strlen(e.letters[LEFT]) != rank || strlen(e.letters[RIGHT]) != rank ||
        strlen(e.letters[OUTPUT]) != rank)
        return false;
    const size_t i = rank - 2, j = rank - 1;
    *turned = e.letters[RIGHT][j] == e.letters[LEFT][j];
    return memcmp(e.letters[LEFT], e.letters[RIGHT], i) == 0 && memcmp(e.letters[LEFT], e.letters[OUTPUT], i + 1) == 0 &&
           e.letters[LEFT][j] == e.letters[RIGHT][*turned ? j : i] && e.letters[OUTPUT][j] == e.letters[RIGHT][*turned ? i : j];
}

const struct ood_op ood_op_einsum = {
    .name = "Einsum", .since = 12, .least_inputs = 2, .most_inputs = 2, .check = einsum_check, .shape = einsum_shape, .lower = einsum_lower,
    .products = is_products,
};
