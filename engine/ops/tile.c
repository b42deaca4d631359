/* Tile, DepthToSpace, SpaceToDepth: strided copies. */
#include <string.h>

#include "plan/move.h"
#include "ops/ops.h"
#include "ops/ops_internal.h"

/* ---- Tile: each dimension one after the other, in place, from the innermost ---- */

static bool tile_repeats(const struct ood_graph *graph, const struct ood_node *node, const int64_t **repeats, struct ood_error *err)
{
    const size_t rank = ood_node_input(graph, node, 0)->shape.rank;
    size_t count;
    if (!ood_op_known_ints(graph, node, 1, "repeats", OOD_MAX_RANK, repeats, &count, err))
        return false;
    return count == rank || ood_node_fail(node, err, OOD_INVALID, "%zu repeats for %zu dimensions", count, rank);
}

static bool tile_shape(struct ood_graph *graph, const struct ood_node *node, struct ood_error *err)
{
    const struct ood_value *x = ood_node_input(graph, node, 0);
    struct ood_shape shape = x->shape;
    const int64_t *repeats;
    if (!tile_repeats(graph, node, &repeats, err))
        return false;
    for (size_t i = 0; i < shape.rank; i++) {
        if (ood_dim_is_batch(shape.dims[i]) && repeats[i] != 1)
            return ood_node_fail(node, err, OOD_UNSUPPORTED, "repeats the batch (axis %zu)", i);
        if ((repeats[i] < 0 && !ood_dim_is_batch(repeats[i])) || !ood_dim_mul(shape.dims[i], repeats[i], &shape.dims[i]))
            return ood_node_fail(node, err, OOD_INVALID, "axis %zu is repeated %lld times", i, (long long)repeats[i]);
    }
    return ood_graph_set_output(graph, node, 0, x->type, &shape, err);
}

struct tile { size_t rank, size; size_t from[OOD_MAX_RANK], to[OOD_MAX_RANK]; };

/* The block of dimensions d and on, from `from` to `to`. As deep as there are dimensions. */
static void tile_block(const struct tile *s, size_t d, char *to, const char *from)
{
    size_t from_block = s->size, to_block = s->size;
    if (d == s->rank) {
        memcpy(to, from, s->size);
        return;
    }
    for (size_t i = d + 1; i < s->rank; i++)
        from_block *= s->from[i], to_block *= s->to[i];
    if (d + 1 == s->rank)
        memcpy(to, from, s->from[d] * s->size);
    else
        for (size_t i = 0; i < s->from[d]; i++)
            tile_block(s, d + 1, to + i * to_block, from + i * from_block);
    const size_t once = s->from[d] * to_block, all = s->to[d] * to_block;
    for (size_t at = once; at < all; at += once)
        memcpy(to + at, to, once);
}

static void run_tile(const void *state, void *const *memory)
{
    const struct tile *s = state;
    for (size_t i = 0; i < s->rank; i++)
        if (s->to[i] == 0)
            return;
    tile_block(s, 0, memory[1], memory[0]);
}

static struct tile tile_of(const struct ood_shape *x, const struct ood_shape *y, enum ood_type type)
{
    struct tile tile = { .rank = x->rank, .size = ood_type_size(type) };
    for (size_t i = 0; i < x->rank; i++)
        tile.from[i] = (size_t)x->dims[i], tile.to[i] = (size_t)y->dims[i];
    return tile;
}

static struct ood_tensor *tile_evaluate(const struct ood_graph *graph, const struct ood_node *node,
                                        const struct ood_tensor *const *inputs, struct ood_error *err)
{
    const struct ood_value *value = &graph->values[node->outputs[0]];
    struct ood_tensor *y = ood_tensor_new(value->type, &value->shape, err);
    const struct tile tile = tile_of(&inputs[0]->shape, &value->shape, value->type);
    if (y != NULL)
        run_tile(&tile, (void *const[]){ inputs[0]->data, y->data });
    return y;
}

static bool tile_lower(struct ood_builder *builder, const struct ood_node *node, struct ood_error *err)
{
    const struct ood_shape x = ood_builder_shape(builder, node->inputs[0]), y = ood_builder_shape(builder, node->outputs[0]);
    const struct tile state = tile_of(&x, &y, ood_builder_graph(builder)->values[node->inputs[0]].type);
    struct ood_operand operands[2];
    return ood_builder_input(builder, node->inputs[0], OOD_PLAIN, &operands[0], err) &&
           ood_builder_output(builder, node->outputs[0], OOD_PLAIN, &operands[1], err) &&
           ood_builder_step(builder, &(struct ood_step_spec){ .node = node, .kernel = "own:tile", .run = run_tile, .state = &state,
                                                              .state_size = sizeof state, .operands = operands, .operand_count = 2 }, err);
}

const struct ood_op ood_op_tile = {
    .name = "Tile", .since = 6, .least_inputs = 2, .most_inputs = 2,
    .decided_by = 1 << 1, .shape = tile_shape, .evaluate = tile_evaluate, .lower = tile_lower,
};

/* ---- DepthToSpace, SpaceToDepth ---- */

static bool blocks_shape(struct ood_graph *graph, const struct ood_node *node, struct ood_error *err)
{
    const struct ood_value *x = ood_node_input(graph, node, 0);
    const bool to_space = *(const bool *)node->op->detail;
    const int64_t block = ood_node_int(node, "blocksize", 0);
    const char *mode = ood_node_string(node, "mode", "DCR");
    struct ood_shape shape = x->shape;
    if (shape.rank != 4 || ood_dim_is_batch(shape.dims[1]) || ood_dim_is_batch(shape.dims[2]) || ood_dim_is_batch(shape.dims[3]))
        return ood_node_fail(node, err, OOD_INVALID, "input has %zu dimensions; expected NxCxHxW", shape.rank);
    if (block < 1 || block > INT16_MAX || (strcmp(mode, "DCR") != 0 && (!to_space || strcmp(mode, "CRD") != 0)))
        return ood_node_fail(node, err, OOD_INVALID, "blocksize is %lld, mode %.20s", (long long)block, mode);
    const int64_t area = block * block;
    if (to_space ? shape.dims[1] % area != 0 : shape.dims[2] % block != 0 || shape.dims[3] % block != 0)
        return ood_node_fail(node, err, OOD_INVALID, "dimensions are no multiples of the block");
    shape.dims[1] = to_space ? shape.dims[1] / area : shape.dims[1] * area;
    for (size_t i = 2; i < 4; i++)
        shape.dims[i] = to_space ? shape.dims[i] * block : shape.dims[i] / block;
    return ood_graph_set_output(graph, node, 0, x->type, &shape, err);
}

static void run_blocks(const void *state, void *const *memory)
{
    ood_move_run(state, memory[0], memory[1]);
}

/* Between the side with many channels (deep) and the one with many pixels (wide): dimensions n, c, row and column in a block, h, w. */
static struct ood_move blocks_move(const struct ood_node *node, const struct ood_shape *deep, const struct ood_shape *wide,
                                   enum ood_layout layout, bool to_space, size_t size)
{
    const size_t block = (size_t)ood_node_int(node, "blocksize", 1), channels = (size_t)wide->dims[1];
    const bool crd = to_space && strcmp(ood_node_string(node, "mode", "DCR"), "CRD") == 0;
    size_t d[OOD_MAX_RANK] = { 0 }, w[OOD_MAX_RANK] = { 0 };
    struct ood_move move = { .rank = 6, .size = size,
                             .dims = { (size_t)deep->dims[0], channels, block, block, (size_t)deep->dims[2], (size_t)deep->dims[3] } };
    ood_move_strides(deep, layout, d);
    ood_move_strides(wide, layout, w);
    const size_t deep_strides[6] = { d[0], d[1] * (crd ? block * block : 1), d[1] * (crd ? block : block * channels), d[1] * (crd ? 1 : channels), d[2], d[3] };
    const size_t wide_strides[6] = { w[0], w[1], w[2], w[3], w[2] * block, w[3] * block };
    memcpy(to_space ? move.from : move.to, deep_strides, sizeof deep_strides);
    memcpy(to_space ? move.to : move.from, wide_strides, sizeof wide_strides);
    ood_move_simplify(&move);
    return move;
}

static bool blocks_lower(struct ood_builder *builder, const struct ood_node *node, struct ood_error *err)
{
    const struct ood_shape x = ood_builder_shape(builder, node->inputs[0]), y = ood_builder_shape(builder, node->outputs[0]);
    const bool to_space = *(const bool *)node->op->detail;
    const enum ood_layout layout = ood_builder_layout(builder, node->inputs[0]);
    const struct ood_move state = blocks_move(node, to_space ? &x : &y, to_space ? &y : &x, layout, to_space,
                                              ood_type_size(ood_builder_graph(builder)->values[node->inputs[0]].type));
    struct ood_operand operands[2];
    return ood_builder_input(builder, node->inputs[0], layout, &operands[0], err) &&
           ood_builder_output(builder, node->outputs[0], layout, &operands[1], err) &&
           ood_builder_step(builder, &(struct ood_step_spec){ .node = node, .kernel = "own:move", .run = run_blocks, .state = &state,
                                                              .state_size = sizeof state, .operands = operands, .operand_count = 2 }, err);
}

const struct ood_op ood_op_depth_to_space = {
    .name = "DepthToSpace", .since = 1, .least_inputs = 1, .most_inputs = 1, .shape = blocks_shape, .lower = blocks_lower,
    .detail = &(const bool){ true },
};

const struct ood_op ood_op_space_to_depth = {
    .name = "SpaceToDepth", .since = 1, .least_inputs = 1, .most_inputs = 1, .shape = blocks_shape, .lower = blocks_lower,
    .detail = &(const bool){ false },
};
