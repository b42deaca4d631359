/* The Winograd convolution: all pictures' tiles in blocks, each through the input transform, the products and the output
 * transform while it is in cache. */
#include "kernel/winograd.h"

#include <stdint.h>

#include "kernel/winograd_internal.h"

#define SCRATCH_TARGET (128 * 1024)          /* floats of V and M together: what fits a second-level cache of 512 KiB */
#define MOST_TILES (48)
#define LEAST_TILES (TILES * 2)

/* Tiles of a block: about as many as SCRATCH_TARGET holds, and more where the weights are large. */
static size_t most_tiles(size_t in_vectors, size_t out_vectors)
{
    size_t tiles = SCRATCH_TARGET / PLANES / VECTOR / (in_vectors + out_vectors);
    return tiles < LEAST_TILES ? LEAST_TILES : tiles > MOST_TILES ? MOST_TILES : tiles;
}

/* Planes are an odd number of cache lines apart, so that the 36 streams of a transform do not meet in one set. */
static size_t plane_floats(size_t floats)
{
    size_t lines = (floats + 15) / 16;
    return (lines | 1) * 16;
}

/* At least one window, no overflow. */
static bool padded(size_t size, size_t before, size_t behind, size_t *out)
{
    return size > 0 && !__builtin_add_overflow(size, before, out) && !__builtin_add_overflow(*out, behind, out) && *out >= 3;
}

/* The largest block, its memory not set. False: sizes overflow. */
static bool plan_block(const struct ood_winograd_shape *shape, struct winograd_block *block)
{
    size_t tiles, v, m, height, width;
    if (!padded(shape->height, shape->pad_top, shape->pad_bottom, &height) ||
        !padded(shape->width, shape->pad_left, shape->pad_right, &width) ||
        shape->channels > SIZE_MAX / 2 || shape->out_channels > SIZE_MAX / 2 || shape->channels == 0 || shape->out_channels == 0)
        return false;
    *block = (struct winograd_block){
        .out_height = height - 2, .out_width = width - 2,
        .tile_rows = (height - 3) / OUT + 1, .tile_columns = (width - 3) / OUT + 1,
        .in_vectors = (shape->channels + VECTOR - 1) / VECTOR, .out_vectors = (shape->out_channels + VECTOR - 1) / VECTOR,
    };
    if (__builtin_mul_overflow(block->tile_rows, block->tile_columns, &tiles) ||
        __builtin_mul_overflow(tiles, shape->batch, &tiles))
        return false;
    const size_t most = most_tiles(block->in_vectors, block->out_vectors), blocks = tiles / most + (tiles % most != 0);
    block->tiles = blocks == 0 ? 0 : tiles / blocks + (tiles % blocks != 0);
    if (__builtin_mul_overflow(block->tiles * VECTOR, block->in_vectors, &v) || v > SIZE_MAX / 8 / PLANES / sizeof(float) ||
        __builtin_mul_overflow(block->tiles * VECTOR, block->out_vectors, &m) || m > SIZE_MAX / 8 / PLANES / sizeof(float))
        return false;
    block->v_plane = plane_floats(v);
    block->m_plane = plane_floats(m);
    block->u_plane = block->out_vectors * VECTOR * shape->channels;
    return true;
}

size_t KERNEL(ood_winograd_scratch_floats)(const struct ood_winograd_shape *shape)
{
    struct winograd_block block;
    if (!plan_block(shape, &block))
        return 0;
    return (block.v_plane + block.m_plane) * PLANES + block.in_vectors * VECTOR;
}

void KERNEL(ood_winograd_forward)(const struct ood_winograd_call *call)
{
    struct winograd_block block;
    if (!plan_block(call->shape, &block))
        return;
    const size_t tiles = block.tile_rows * block.tile_columns * call->shape->batch, most = block.tiles;
    block.call = call;
    block.v = call->scratch;
    block.m = block.v + block.v_plane * PLANES;
    block.zeros = memset(block.m + block.m_plane * PLANES, 0, block.in_vectors * VECTOR * sizeof(float));
    for (; block.first < tiles; block.first += block.tiles) {
        block.tiles = tiles - block.first < most ? tiles - block.first : most;
        KERNEL(ood_winograd_input)(&block);
        KERNEL(ood_winograd_products)(&block);
        KERNEL(ood_winograd_output)(&block);
    }
}
