/* ArgMax, ArgMin, TopK, Hardmax: where the largest numbers along an axis are. float32, int64, int32; a NaN counts as the largest
 * (ArgMin: the smallest), as in numpy and PyTorch. */
#include <math.h>

#include "ops/ops.h"
#include "ops/ops_internal.h"
#include "ops/posts_internal.h"

/* Elements along the axis lie `inner` apart. */
struct line { enum ood_type type; size_t outer, n, inner; };

static struct line line_of(const struct ood_shape *x, enum ood_type type, size_t axis, bool flat)
{
    struct line line = { type, 1, 1, 1 };
    for (size_t i = 0; i < x->rank; i++)
        *(i < axis ? &line.outer : i == axis || flat ? &line.n : &line.inner) *= (size_t)x->dims[i];
    return line;
}

/* Does element a come before element b? */
static bool before(enum ood_type type, const void *x, size_t a, size_t b, bool largest)
{
    if (type == OOD_FLOAT32) {
        const float p = ((const float *)x)[a], q = ((const float *)x)[b];
        if (isnan(p) || isnan(q))
            return isnan(p) && !isnan(q);
        return largest ? p > q : p < q;
    }
    const int64_t p = type == OOD_INT64 ? ((const int64_t *)x)[a] : ((const int32_t *)x)[a];
    const int64_t q = type == OOD_INT64 ? ((const int64_t *)x)[b] : ((const int32_t *)x)[b];
    return largest ? p > q : p < q;
}

/* The place along the axis of the element that comes first; of equal ones the first, or the last. */
static size_t first_of(const struct line *line, const void *x, size_t start, bool largest, bool last)
{
    size_t best = 0;
    for (size_t i = 1; i < line->n; i++) {
        const size_t a = start + i * line->inner, b = start + best * line->inner;
        if (before(line->type, x, a, b, largest) || (last && !before(line->type, x, b, a, largest)))
            best = i;
    }
    return best;
}

static bool check_axis(const struct ood_node *node, const struct ood_value *x, int64_t attribute, size_t *axis, struct ood_error *err)
{
    if (x->type == OOD_BOOL)
        return ood_node_fail(node, err, OOD_INVALID, "input is bool; expected numbers");
    if (!ood_op_axis(node, attribute, x->shape.rank, axis, err))
        return false;
    if (ood_dim_is_batch(x->shape.dims[*axis]))
        return ood_node_fail(node, err, OOD_UNSUPPORTED, "axis %zu is the batch: pictures would depend on each other", *axis);
    return true;
}

/* ---- ArgMax, ArgMin ---- */

static bool arg_shape(struct ood_graph *graph, const struct ood_node *node, struct ood_error *err)
{
    const struct ood_value *x = ood_node_input(graph, node, 0);
    struct ood_shape shape = { 0 };
    size_t axis;
    if (!check_axis(node, x, ood_node_int(node, "axis", 0), &axis, err))
        return false;
    if (x->shape.dims[axis] == 0)
        return ood_node_fail(node, err, OOD_INVALID, "axis %zu has no elements", axis);
    for (size_t i = 0; i < x->shape.rank; i++)
        if (i != axis || ood_node_int(node, "keepdims", 1) != 0)
            shape.dims[shape.rank++] = i == axis ? 1 : x->shape.dims[i];
    return ood_graph_set_output(graph, node, 0, OOD_INT64, &shape, err);
}

struct arg { struct line line; bool largest, last; };

static void run_arg(const void *state, void *const *memory)
{
    const struct arg *s = state;
    int64_t *y = memory[1];
    for (size_t o = 0; o < s->line.outer; o++)
        for (size_t i = 0; i < s->line.inner; i++)
            *y++ = (int64_t)first_of(&s->line, memory[0], o * s->line.n * s->line.inner + i, s->largest, s->last);
}

static bool arg_lower(struct ood_builder *builder, const struct ood_node *node, struct ood_error *err)
{
    const struct ood_shape x = ood_builder_shape(builder, node->inputs[0]);
    struct arg state = { .largest = *(const bool *)node->op->detail, .last = ood_node_int(node, "select_last_index", 0) != 0 };
    struct ood_operand operands[2];
    size_t axis;
    if (!ood_op_axis(node, ood_node_int(node, "axis", 0), x.rank, &axis, err))
        return false;
    state.line = line_of(&x, ood_builder_graph(builder)->values[node->inputs[0]].type, axis, false);
    return ood_builder_input(builder, node->inputs[0], OOD_PLAIN, &operands[0], err) &&
           ood_builder_output(builder, node->outputs[0], OOD_PLAIN, &operands[1], err) &&
           ood_builder_step(builder, &(struct ood_step_spec){ .node = node, .kernel = "own:arg", .run = run_arg, .state = &state,
                                                              .state_size = sizeof state, .operands = operands, .operand_count = 2 }, err);
}

const struct ood_op ood_op_arg_max = {
    .name = "ArgMax", .since = 1, .least_inputs = 1, .most_inputs = 1, .shape = arg_shape, .lower = arg_lower, .detail = &(const bool){ true },
};

const struct ood_op ood_op_arg_min = {
    .name = "ArgMin", .since = 1, .least_inputs = 1, .most_inputs = 1, .shape = arg_shape, .lower = arg_lower, .detail = &(const bool){ false },
};

/* ---- Hardmax: 1 at the first of the largest, else 0 ---- */

static bool hardmax_axis(const struct ood_node *node, const struct ood_value *x, size_t *axis, struct ood_error *err)
{
    return check_axis(node, x, ood_node_int(node, "axis", node->opset < 13 ? 1 : -1), axis, err);
}

static bool hardmax_shape(struct ood_graph *graph, const struct ood_node *node, struct ood_error *err)
{
    const struct ood_value *x = ood_node_input(graph, node, 0);
    size_t axis;
    if (x->type != OOD_FLOAT32)
        return ood_node_fail(node, err, OOD_UNSUPPORTED, "input is %s; expected float32", ood_type_name(x->type));
    return hardmax_axis(node, x, &axis, err) && ood_graph_set_output(graph, node, 0, OOD_FLOAT32, &x->shape, err);
}

static void run_hardmax(const void *state, void *const *memory)
{
    const struct line *line = state;
    float *y = memory[1];
    for (size_t i = 0; i < line->outer * line->n * line->inner; i++)
        y[i] = 0;
    for (size_t o = 0; o < line->outer && line->n > 0; o++)
        for (size_t i = 0; i < line->inner; i++) {
            const size_t start = o * line->n * line->inner + i;
            y[start + first_of(line, memory[0], start, true, false) * line->inner] = 1;
        }
}

static bool hardmax_lower(struct ood_builder *builder, const struct ood_node *node, struct ood_error *err)
{
    const struct ood_shape x = ood_builder_shape(builder, node->inputs[0]);
    struct ood_operand operands[2];
    size_t axis;
    if (!hardmax_axis(node, &ood_builder_graph(builder)->values[node->inputs[0]], &axis, err))
        return false;
    const struct line state = line_of(&x, OOD_FLOAT32, axis, node->opset < 13);
    return ood_builder_input(builder, node->inputs[0], OOD_PLAIN, &operands[0], err) &&
           ood_builder_output(builder, node->outputs[0], OOD_PLAIN, &operands[1], err) &&
           ood_builder_step(builder, &(struct ood_step_spec){ .node = node, .kernel = "own:hardmax", .run = run_hardmax, .state = &state,
                                                              .state_size = sizeof state, .operands = operands, .operand_count = 2 }, err);
}

const struct ood_op ood_op_hardmax = {
    .name = "Hardmax", .since = 1, .least_inputs = 1, .most_inputs = 1, .shape = hardmax_shape, .lower = hardmax_lower,
};

/* ---- TopK ---- */

static bool top_k_count(const struct ood_graph *graph, const struct ood_node *node, int64_t *k, struct ood_error *err)
{
    const int64_t *values;
    size_t count;
    *k = ood_node_int(node, "k", -1);
    if (node->opset < 10)
        return true;
    if (!ood_op_known_ints(graph, node, 1, "k", 1, &values, &count, err))
        return false;
    *k = count == 1 ? values[0] : -1;
    return true;
}

static bool top_k_shape(struct ood_graph *graph, const struct ood_node *node, struct ood_error *err)
{
    const struct ood_value *x = ood_node_input(graph, node, 0);
    const enum ood_type type = x->type;
    struct ood_shape shape = x->shape;
    int64_t k;
    size_t axis;
    if (!check_axis(node, x, ood_node_int(node, "axis", -1), &axis, err) || !top_k_count(graph, node, &k, err))
        return false;
    if (k < 0 || ood_dim_is_batch(k) || k > shape.dims[axis])
        return ood_node_fail(node, err, OOD_INVALID, "k is %lld; axis %zu has %lld elements", (long long)k, axis, (long long)shape.dims[axis]);
    shape.dims[axis] = k;
    return ood_graph_set_output(graph, node, 0, type, &shape, err) && ood_graph_set_output(graph, node, 1, OOD_INT64, &shape, err);
}

struct top_k { struct line line; size_t k; bool largest, values, indices; };

/* One line: its elements lie `inner` apart from `start` on. */
struct places { const struct line *line; const void *x; size_t start; bool largest; };

/* Does the element at place a come before that at b? Equal ones in the order of their places: no two are the same. */
static bool comes_first(const struct places *p, int64_t a, int64_t b)
{
    const size_t at_a = p->start + (size_t)a * p->line->inner, at_b = p->start + (size_t)b * p->line->inner;
    return before(p->line->type, p->x, at_a, at_b, p->largest) || (a < b && !before(p->line->type, p->x, at_b, at_a, p->largest));
}

/* heap[held]: below each place stand two that come before it; `place` goes in at the top and sinks. */
static void sink(const struct places *p, int64_t *heap, size_t held, int64_t place)
{
    size_t at = 0;
    for (size_t child; (child = 2 * at + 1) < held; at = child) {
        if (child + 1 < held && comes_first(p, heap[child], heap[child + 1]))
            child++;
        if (!comes_first(p, place, heap[child]))
            break;
        heap[at] = heap[child];
    }
    heap[at] = place;
}

/* best[k]: the places of the k that come first, in order. A heap with the last of those held at its top, then taken down from the end:
 * n·log k whatever k is. */
static void take_first(const struct places *p, int64_t *best, size_t k)
{
    for (size_t i = 0; i < k; i++) {
        size_t at = i;
        for (; at > 0 && comes_first(p, best[(at - 1) / 2], (int64_t)i); at = (at - 1) / 2)
            best[at] = best[(at - 1) / 2];
        best[at] = (int64_t)i;
    }
    for (size_t i = k; i < p->line->n && k > 0; i++)
        if (comes_first(p, (int64_t)i, best[0]))
            sink(p, best, k, (int64_t)i);
    for (size_t held = k; held > 1; held--) {
        const int64_t last = best[held - 1];
        best[held - 1] = best[0];
        sink(p, best, held - 1, last);
    }
}

/* memory: input, places of one line, then values and indices as far as they are asked for. */
static void run_top_k(const void *state, void *const *memory)
{
    const struct top_k *s = state;
    int64_t *best = memory[1];
    void *values = s->values ? memory[2] : NULL;
    int64_t *indices = s->indices ? memory[s->values ? 3 : 2] : NULL;
    for (size_t o = 0; o < s->line.outer; o++)
        for (size_t i = 0; i < s->line.inner; i++) {
            const size_t start = o * s->line.n * s->line.inner + i, to = o * s->k * s->line.inner + i;
            take_first(&(struct places){ &s->line, memory[0], start, s->largest }, best, s->k);
            for (size_t j = 0; j < s->k; j++) {
                const size_t from = start + (size_t)best[j] * s->line.inner, y = to + j * s->line.inner;
                if (indices != NULL)
                    indices[y] = best[j];
                if (values == NULL)
                    continue;
                if (s->line.type == OOD_FLOAT32)
                    ((float *)values)[y] = ((const float *)memory[0])[from];
                else if (s->line.type == OOD_INT64)
                    ((int64_t *)values)[y] = ((const int64_t *)memory[0])[from];
                else
                    ((int32_t *)values)[y] = ((const int32_t *)memory[0])[from];
            }
        }
}

static bool top_k_lower(struct ood_builder *builder, const struct ood_node *node, struct ood_error *err)
{
    const struct ood_graph *graph = ood_builder_graph(builder);
    const struct ood_shape x = ood_builder_shape(builder, node->inputs[0]);
    struct top_k state = { .largest = ood_node_int(node, "largest", 1) != 0 };
    struct ood_operand operands[4];
    size_t axis, count = 2;
    int64_t k;
    if (!ood_op_axis(node, ood_node_int(node, "axis", -1), x.rank, &axis, err) || !top_k_count(graph, node, &k, err))
        return false;
    state.k = (size_t)k;
    state.line = line_of(&x, graph->values[node->inputs[0]].type, axis, false);
    state.values = node->outputs[0] != OOD_NONE && graph->values[node->outputs[0]].uses > 0;
    state.indices = node->output_count > 1 && node->outputs[1] != OOD_NONE && graph->values[node->outputs[1]].uses > 0;
    if (!ood_builder_input(builder, node->inputs[0], OOD_PLAIN, &operands[0], err) ||
        !ood_builder_scratch(builder, (state.k + 1) * sizeof(int64_t), &operands[1], err) ||
        (state.values && !ood_builder_output(builder, node->outputs[0], OOD_PLAIN, &operands[count++], err)) ||
        (state.indices && !ood_builder_output(builder, node->outputs[1], OOD_PLAIN, &operands[count++], err)))
        return false;
    return ood_builder_step(builder, &(struct ood_step_spec){ .node = node, .kernel = "own:top_k", .run = run_top_k, .state = &state,
                                                              .state_size = sizeof state, .operands = operands, .operand_count = count }, err);
}

const struct ood_op ood_op_top_k = {
    .name = "TopK", .since = 1, .until = 9, .least_inputs = 1, .most_inputs = 1, .shape = top_k_shape, .lower = top_k_lower,
};

const struct ood_op ood_op_top_k_10 = {
    .name = "TopK", .since = 10, .least_inputs = 2, .most_inputs = 2, .decided_by = 1 << 1, .shape = top_k_shape, .lower = top_k_lower,
};
