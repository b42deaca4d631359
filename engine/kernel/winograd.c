/* The Winograd convolution: all pictures' tiles in blocks, each through the input transform, the products and the output
 * transform while it is in cache. */
#include "kernel/winograd.h"

#include <stdint.h>

#include "kernel/winograd_internal.h"

#define SCRATCH_FLOATS (128 * 1024)          /* V and M of a block: what fits a second-level cache of 512 KiB */
#define MOST_TILES 48
#define LEAST_TILES (TILES * 2)

/* Tiles of a block. Every block reads all of U: where U is large and comes from afar, a larger block is worth V and M leaving
 * the second-level cache, which costs little. */
static size_t forward_tiles(size_t in_vectors, size_t out_vectors)
{
    const double u = (double)PLANES * VECTOR * VECTOR * (double)in_vectors * (double)out_vectors;
    const double scratch = u / 4 > SCRATCH_FLOATS ? u / 4 : SCRATCH_FLOATS;
    const double tiles = scratch / (PLANES * VECTOR) / ((double)in_vectors + (double)out_vectors);
    return tiles < LEAST_TILES ? LEAST_TILES : tiles > MOST_TILES ? MOST_TILES : (size_t)tiles;
}

/* At least one window, no overflow. */
static bool padded(size_t size, size_t before, size_t behind, size_t *out)
{
    return size > 0 && !__builtin_add_overflow(size, before, out) && !__builtin_add_overflow(*out, behind, out) && *out >= 3;
}

bool KERNEL(ood_winograd_plan)(const struct ood_winograd_shape *shape, most_tiles_function *most_tiles,
                               struct winograd_block *block)
{
    size_t tiles, v, m, height, width;
    if (!padded(shape->height, shape->pad_top, shape->pad_bottom, &height) ||
        !padded(shape->width, shape->pad_left, shape->pad_right, &width) ||
        shape->channels > SIZE_MAX / 64 || shape->out_channels > SIZE_MAX / 64 || shape->channels == 0 || shape->out_channels == 0 ||
        shape->source_pixel > SIZE_MAX / 64 || shape->target_pixel > SIZE_MAX / 64)
        return false;
    *block = (struct winograd_block){
        .out_height = height - 2, .out_width = width - 2,
        .tile_rows = (height - 3) / OUT + 1, .tile_columns = (width - 3) / OUT + 1,
        .in_vectors = (shape->channels + VECTOR - 1) / VECTOR, .out_vectors = (shape->out_channels + VECTOR - 1) / VECTOR,
        .panels = (shape->out_channels + 2 * VECTOR - 1) / (2 * VECTOR),
    };
    if (__builtin_mul_overflow(block->tile_rows, block->tile_columns, &tiles) ||
        __builtin_mul_overflow(tiles, shape->batch, &tiles))
        return false;
    const size_t most = most_tiles(block->in_vectors, block->out_vectors), blocks = tiles / most + (tiles % most != 0);
    block->tiles = blocks == 0 ? 0 : tiles / blocks + (tiles % blocks != 0);
    block->groups = group_count(block->tiles);
    return !__builtin_mul_overflow(block->groups * V_CHANNELS, block->in_vectors, &v) && v <= SIZE_MAX / 4 / sizeof(float) &&
           !__builtin_mul_overflow(block->groups * M_GROUP, block->panels, &m) && m <= SIZE_MAX / 4 / sizeof(float);
}

size_t KERNEL(ood_winograd_scratch_floats)(const struct ood_winograd_shape *shape)
{
    struct winograd_block block;
    if (!KERNEL(ood_winograd_plan)(shape, forward_tiles, &block))
        return 0;
    return v_floats(&block) + m_floats(&block) + zeros_floats(shape);
}

void KERNEL(ood_winograd_forward)(const struct ood_winograd_call *call)
{
    struct winograd_block block;
    if (!KERNEL(ood_winograd_plan)(call->shape, forward_tiles, &block))
        return;
    const size_t tiles = block.tile_rows * block.tile_columns * call->shape->batch, most = block.tiles;
    block.call = call;
    block.v = call->scratch;
    block.m = block.v + v_floats(&block);
    block.zeros = memset(block.m + m_floats(&block), 0, zeros_floats(call->shape) * sizeof(float));
    for (; block.first < tiles; block.first += block.tiles) {
        block.tiles = tiles - block.first < most ? tiles - block.first : most;
        block.groups = group_count(block.tiles);
        KERNEL(ood_winograd_input)(&block);
        KERNEL(ood_winograd_products)(&block);
        KERNEL(ood_winograd_output)(&block);
    }
}
