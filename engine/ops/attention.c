/* Attention: softmax(scale · Q·Kᵀ + biases) · V for a stack of heads, made of several nodes by graph/passes/fuse_attention.c; in no file of our
 * opsets. Q [..., queries, depth], K [..., depth, keys] (turned: [..., keys, depth]), V [..., keys, width], biases that broadcast to
 * the scores. Operands are read where their producers left them, and the output lies as its reader wants it: heads cost no copies. */
#include <string.h>

#include "kernel/attention.h"
#include "kernel/kernel.h"
#include "ops/ops.h"
#include "ops/ops_internal.h"
#include "plan/builder.h"
#include "plan/move.h"

enum { Q, K, V, OUT, BIAS, PLACES = BIAS + OOD_ATTENTION_BIASES };

/* Where the matrix of each head begins: heads are numbered over the dimensions before it, those of size 1 left out. */
struct place { size_t rank, start; size_t dims[OOD_MAX_RANK], strides[OOD_MAX_RANK]; };

struct attention {
    const struct ood_kernels *kernels;
    struct ood_attention_call call;          /* strides, no memory */
    size_t heads, biases;
    struct place places[PLACES];
};

static size_t at(const struct place *place, size_t head)
{
    size_t offset = place->start;
    for (size_t i = place->rank; i-- > 1; head /= place->dims[i])
        offset += head % place->dims[i] * place->strides[i];
    return place->rank > 0 ? offset + head * place->strides[0] : offset;
}

/* memory: Q, K, V, output, biases, then scratch. */
static void run_attention(const void *state, void *const *memory)
{
    const struct attention *s = state;
    struct ood_attention_call call = s->call;
    call.scratch = memory[BIAS + s->biases];
    for (size_t head = 0; head < s->heads; head++) {
        call.q = (const float *)memory[Q] + at(&s->places[Q], head);
        call.k = (const float *)memory[K] + at(&s->places[K], head);
        call.v = (const float *)memory[V] + at(&s->places[V], head);
        call.out = (float *)memory[OUT] + at(&s->places[OUT], head);
        for (size_t b = 0; b < s->biases; b++)
            call.bias[b] = (const float *)memory[BIAS + b] + at(&s->places[BIAS + b], head);
        s->kernels->attention(&call);
    }
}

static bool attention_shape(struct ood_graph *graph, const struct ood_node *node, struct ood_error *err)
{
    const struct ood_value *q = ood_node_input(graph, node, 0), *v = ood_node_input(graph, node, 2);
    struct ood_shape shape = v->shape;
    if (shape.rank < 2 || q->shape.rank < 2)
        return ood_node_fail(node, err, OOD_INVALID, "Q and V have %zu and %zu dimensions; expected 2 and more", q->shape.rank, shape.rank);
    shape.dims[shape.rank - 2] = q->shape.dims[q->shape.rank - 2];
    return ood_graph_set_output(graph, node, 0, OOD_FLOAT32, &shape, err);
}

static void describe(const struct ood_shape *shape, const struct ood_strided *view, struct place *out)
{
    struct place place = { .start = view->start };
    for (size_t i = 0; i + 2 < shape->rank; i++)
        if (shape->dims[i] != 1) {
            place.dims[place.rank] = (size_t)shape->dims[i];
            place.strides[place.rank++] = view->strides[i];
        }
    *out = place;
}

/* A value by its strides; one whose rows do not lie together, where that is wanted, as a copy. */
static bool read_operand(struct ood_builder *builder, uint32_t value, bool rows, struct ood_strided *out, struct ood_error *err)
{
    const struct ood_shape shape = ood_builder_shape(builder, value);
    if (!ood_builder_view(builder, value, out, err))
        return false;
    if (!rows || shape.dims[shape.rank - 1] == 1 || out->strides[shape.rank - 1] == 1)
        return true;
    out->start = 0;
    ood_move_strides(&shape, OOD_PLAIN, out->strides);
    return ood_builder_input(builder, value, OOD_PLAIN, &out->operand, err);
}

/* A bias dense in memory, strides 0 where it is repeated; `added`: the scores' shape where it is added. */
static bool read_bias(struct ood_builder *builder, const struct ood_node *node, size_t b, struct attention *state, struct ood_operand *operand,
                      struct ood_error *err)
{
    static const char *const names[OOD_ATTENTION_BIASES] = { "added0", "added1" };
    const uint32_t value = node->inputs[3 + b];
    const struct ood_shape own = ood_builder_shape(builder, value);
    struct ood_shape added = { 0 };
    struct ood_strided view = { .start = 0 };
    size_t rank, strides[OOD_MAX_RANK];
    const int64_t *dims = ood_node_ints(node, names[b], &rank);
    if (dims == NULL || rank < 2 || rank > OOD_MAX_RANK || own.rank > rank)
        return ood_node_fail(node, err, OOD_INVALID, "bias %zu is added to no scores", b);
    added.rank = rank;
    for (size_t i = 0; i < rank; i++)
        added.dims[i] = ood_dim_bind(dims[i], ood_builder_batch(builder));
    ood_move_strides(&own, OOD_PLAIN, strides);
    for (size_t i = 0; i < own.rank; i++)
        view.strides[rank - own.rank + i] = own.dims[i] == 1 ? 0 : strides[i];
    state->call.bias_row[b] = view.strides[rank - 2];
    describe(&added, &view, &state->places[BIAS + b]);
    return ood_builder_input(builder, value, OOD_PLAIN, operand, err);
}

/* The output's dimensions as they are to lie: as the Transpose that alone reads it turns them, if rows stay. */
static void order_of(const struct ood_builder *builder, const struct ood_node *node, size_t rank, size_t order[OOD_MAX_RANK])
{
    const struct ood_graph *graph = ood_builder_graph(builder);
    const uint32_t value = node->outputs[0];
    size_t count;
    for (size_t i = 0; i < rank; i++)
        order[i] = i;
    for (size_t n = 0; graph->values[value].uses == 1 && n < graph->node_count; n++) {
        const struct ood_node *reader = &graph->nodes[n];
        if (reader->dead || (reader->op->traits & OOD_OP_TRANSPOSE) == 0 || reader->inputs[0] != value)
            continue;
        const int64_t *perm = ood_node_ints(reader, "perm", &count);
        if (perm != NULL && count == rank && perm[rank - 1] == (int64_t)rank - 1)
            for (size_t i = 0; i < rank; i++)
                order[i] = (size_t)perm[i];
        return;
    }
}

static bool attention_lower(struct ood_builder *builder, const struct ood_node *node, struct ood_error *err)
{
    const bool turned = ood_node_int(node, "turned", 0) != 0;
    struct attention state = { .kernels = ood_builder_kernels(builder), .heads = 1, .biases = node->input_count - 3 };
    struct ood_attention_call *call = &state.call;
    struct ood_shape shapes[4] = { 0 };
    struct ood_strided views[4];
    struct ood_operand operands[PLACES + 1];
    size_t order[OOD_MAX_RANK];
    for (size_t i = 0; i < 4; i++)
        shapes[i] = ood_builder_shape(builder, i == OUT ? node->outputs[0] : node->inputs[i]);
    for (size_t i = Q; i <= V; i++)
        if (!read_operand(builder, node->inputs[i], i == Q, &views[i], err))
            return false;
    order_of(builder, node, shapes[OUT].rank, order);
    if (!ood_builder_output_order(builder, node->outputs[0], order, &views[OUT], err))
        return false;
    for (size_t i = 0; i < 4; i++) {
        operands[i] = views[i].operand;
        describe(&shapes[i], &views[i], &state.places[i]);
    }
    const size_t q = shapes[Q].rank - 2, k = shapes[K].rank - 2, v = shapes[V].rank - 2, out = shapes[OUT].rank - 2;
    for (size_t i = 0; i < out; i++)
        state.heads *= (size_t)shapes[OUT].dims[i];
    call->shape = (struct ood_attention_shape){ (size_t)shapes[Q].dims[q], (size_t)shapes[V].dims[v], (size_t)shapes[Q].dims[q + 1],
                                                (size_t)shapes[V].dims[v + 1] };
    call->scale = ood_node_float(node, "scale", 1);
    call->q_row = views[Q].strides[q];
    call->k_row = views[K].strides[turned ? k : k + 1];
    call->k_column = views[K].strides[turned ? k + 1 : k];
    call->v_row = views[V].strides[v];
    call->v_column = views[V].strides[v + 1];
    call->out_row = views[OUT].strides[out];
    for (size_t b = 0; b < state.biases; b++)
        if (!read_bias(builder, node, b, &state, &operands[BIAS + b], err))
            return false;
    const size_t floats = state.kernels->attention_scratch_floats(&call->shape);
    if (floats == 0)
        return ood_node_fail(node, err, OOD_LIMIT, "%zu keys of %zu numbers are too many", call->shape.keys, call->shape.depth);
    if (!ood_builder_scratch(builder, floats * sizeof(float), &operands[BIAS + state.biases], err))
        return false;
    return ood_builder_step(builder, &(struct ood_step_spec){
        .node = node, .kernel = state.kernels->name.attention, .run = run_attention, .state = &state, .state_size = sizeof state,
        .operands = operands, .operand_count = BIAS + state.biases + 1,
        .flops = 2 * (double)state.heads * (double)call->shape.queries * (double)call->shape.keys *
                 (double)(call->shape.depth + call->shape.width) }, err);
}

const struct ood_op ood_op_attention = {
    .name = "Attention", .since = 23, .least_inputs = 3, .most_inputs = 3 + OOD_ATTENTION_BIASES, .shape = attention_shape, .lower = attention_lower,
};
