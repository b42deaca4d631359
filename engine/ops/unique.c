/* Unique: the different slices of a tensor along an axis (without one: its elements), each once, ascending or as they come; where each first
 * stands, which each is, how often it is there. NaN is equal to NaN and comes last. */
#include <math.h>
#include <string.h>

#include "ops/ops.h"
#include "ops/ops_internal.h"
#include "ops/sort_internal.h"
#include "plan/builder.h"

#define ELEMENTS_MOST (INT64_C(1) << 24)

enum { VALUES, FIRST, INVERSE, COUNTS, OUTPUTS };

/* As ood_op_slices has it: n slices. */
struct unique { enum ood_type type; size_t outer, n, inner; bool sorted; bool given[OUTPUTS]; };

struct slices { const struct unique *form; const void *x; };

static int order_of(enum ood_type type, const void *x, size_t a, size_t b)
{
    switch (type) {
    case OOD_FLOAT32: {
        const float p = ((const float *)x)[a], q = ((const float *)x)[b];
        return isnan(p) || isnan(q) ? isnan(p) - isnan(q) : (p > q) - (p < q);
    }
    case OOD_INT64:
        return (((const int64_t *)x)[a] > ((const int64_t *)x)[b]) - (((const int64_t *)x)[a] < ((const int64_t *)x)[b]);
    case OOD_INT32:
        return (((const int32_t *)x)[a] > ((const int32_t *)x)[b]) - (((const int32_t *)x)[a] < ((const int32_t *)x)[b]);
    case OOD_BOOL:
        break;
    }
    return (((const unsigned char *)x)[a] != 0) - (((const unsigned char *)x)[b] != 0);
}

static int compare_slices(const struct slices *slices, int64_t a, int64_t b)
{
    const struct unique *s = slices->form;
    for (size_t o = 0; o < s->outer; o++)
        for (size_t i = 0; i < s->inner; i++) {
            const int order = order_of(s->type, slices->x, (o * s->n + (size_t)a) * s->inner + i, (o * s->n + (size_t)b) * s->inner + i);
            if (order != 0)
                return order;
        }
    return 0;
}

static bool comes_before(const void *context, int64_t a, int64_t b) { return compare_slices(context, a, b) < 0; }

/* first[k]: slice k's first likeness; returns how many different there are. order, spare: [n]. */
static size_t find_first(const struct slices *slices, int64_t *order, int64_t *spare, int64_t *first)
{
    const size_t n = slices->form->n;
    size_t different = 0;
    for (size_t i = 0; i < n; i++)
        order[i] = (int64_t)i;
    ood_sort_places(order, spare, n, comes_before, slices);
    for (size_t i = 0, start = 0; i < n; i++) {
        if (i == 0 || compare_slices(slices, order[start], order[i]) != 0) {
            start = i;
            different++;
        }
        first[order[i]] = order[start];      /* a stable sort: the first of equal ones comes first */
    }
    return different;
}

/* memory: input, how many, scratch [4][n], then the outputs that are given. */
static void run_unique(const void *state, void *const *memory)
{
    const struct unique *s = state;
    const struct slices slices = { s, memory[0] };
    int64_t *order = memory[2], *spare = order + s->n, *first = spare + s->n, *number = first + s->n, *outputs[OUTPUTS] = { NULL };
    const size_t different = find_first(&slices, order, spare, first), size = ood_type_size(s->type), row = s->inner * size;
    char *values = NULL;
    for (size_t i = 0, at = 3; i < OUTPUTS; i++)
        if (s->given[i] && i == VALUES)
            values = memory[at++];
        else if (s->given[i])
            outputs[i] = memory[at++];
    for (size_t i = 0, found = 0; i < s->n; i++) {
        const int64_t k = s->sorted ? order[i] : (int64_t)i;
        if (first[k] != k)
            continue;
        number[k] = (int64_t)found;
        for (size_t o = 0; values != NULL && o < s->outer; o++)
            memcpy(values + (o * different + found) * row, (const char *)memory[0] + (o * s->n + (size_t)k) * row, row);
        if (outputs[FIRST] != NULL)
            outputs[FIRST][found] = k;
        if (outputs[COUNTS] != NULL)
            outputs[COUNTS][found] = 0;
        found++;
    }
    for (size_t i = 0; i < s->n; i++) {
        if (outputs[INVERSE] != NULL)
            outputs[INVERSE][i] = number[first[i]];
        if (outputs[COUNTS] != NULL)
            outputs[COUNTS][number[first[i]]]++;
    }
    *(int64_t *)memory[1] = (int64_t)different;
}

static struct unique unique_of(const struct ood_node *node, const struct ood_shape *x, enum ood_type type, size_t axis)
{
    const struct ood_op_slices slices = ood_op_slices_of(x, axis);
    return (struct unique){ .type = type, .outer = slices.outer, .n = slices.count, .inner = slices.inner,
                            .sorted = ood_node_int(node, "sorted", 1) != 0 };
}

static bool unique_shape(struct ood_graph *graph, const struct ood_node *node, struct ood_error *err)
{
    const struct ood_value *x = ood_node_input(graph, node, 0);
    const enum ood_type type = x->type;
    struct ood_shape values = x->shape;
    int64_t elements;
    size_t axis;
    if (!ood_op_slice_axis(node, x->shape.rank, &axis, err))
        return false;
    if (ood_shape_has_batch(&x->shape))
        return ood_node_fail(node, err, OOD_UNSUPPORTED, "a number of elements that depends on the batch");
    if (!ood_shape_elements(&x->shape, &elements) || elements > ELEMENTS_MOST)
        return ood_node_fail(node, err, OOD_LIMIT, "more than %lld elements", (long long)ELEMENTS_MOST);
    const struct unique s = unique_of(node, &x->shape, type, axis);
    const struct ood_shape list = ood_shape_of(1, (int64_t)s.n);
    if (axis == OOD_FLAT)
        values = list;
    return ood_graph_set_output(graph, node, VALUES, type, &values, err) && ood_graph_set_output(graph, node, FIRST, OOD_INT64, &list, err) &&
           ood_graph_set_output(graph, node, INVERSE, OOD_INT64, &list, err) && ood_graph_set_output(graph, node, COUNTS, OOD_INT64, &list, err);
}

static bool unique_counted(const struct ood_graph *graph, const struct ood_node *node, size_t output, size_t *axis)
{
    struct ood_error checked = { 0 };        /* by its shape() */
    if (!ood_op_slice_axis(node, ood_node_input(graph, node, 0)->shape.rank, axis, &checked) || *axis == OOD_FLAT || output != VALUES)
        *axis = 0;
    return output != INVERSE;
}

static bool unique_lower(struct ood_builder *builder, const struct ood_node *node, struct ood_error *err)
{
    const struct ood_graph *graph = ood_builder_graph(builder);
    const struct ood_shape x = ood_builder_shape(builder, node->inputs[0]);
    struct ood_operand operands[3 + OUTPUTS];
    size_t axis, count = 3;
    if (!ood_op_slice_axis(node, x.rank, &axis, err))
        return false;
    struct unique state = unique_of(node, &x, graph->values[node->inputs[0]].type, axis);
    if (!ood_builder_input(builder, node->inputs[0], OOD_PLAIN, &operands[0], err) || !ood_builder_count(builder, node, &operands[1], err) ||
        !ood_builder_scratch(builder, 4 * state.n * sizeof(int64_t), &operands[2], err))
        return false;
    for (size_t i = 0; i < node->output_count; i++) {
        state.given[i] = node->outputs[i] != OOD_NONE;
        if (state.given[i] && !ood_builder_output(builder, node->outputs[i], OOD_PLAIN, &operands[count++], err))
            return false;
    }
    return ood_builder_step(builder, &(struct ood_step_spec){ .node = node, .kernel = "own:unique", .run = run_unique, .state = &state,
                                                              .state_size = sizeof state, .operands = operands, .operand_count = count }, err);
}

const struct ood_op ood_op_unique = {
    .name = "Unique", .since = 11, .least_inputs = 1, .most_inputs = 1, .shape = unique_shape, .counted = unique_counted, .lower = unique_lower,
};
