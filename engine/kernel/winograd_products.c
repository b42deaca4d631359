/* The Winograd kernel's middle stage: for each of the 36 planes a product M = V·U by register tiles. Each sum takes its
 * products in the order of the channels, one multiply_add each, whatever the tile. */
#include "kernel/winograd_internal.h"

/* m[tiles][width vectors] = Σ over channels; tiles and width are constants where this is inlined. */
INLINE void register_tile(float *m, const float *v, const float *u, size_t channels, size_t tiles, size_t width)
{
    vec sum[TILES * 2];
    UNROLL for (size_t t = 0; t < tiles; t++)
        UNROLL for (size_t k = 0; k < width; k++)
            sum[t * width + k] = (vec){ 0 };
    for (; channels >= VECTOR; channels -= VECTOR, v += V_CHANNELS)
        for (size_t lane = 0; lane < VECTOR; lane += 4, u += 4 * width * VECTOR)
            UNROLL for (size_t l = 0; l < 4; l++) {
                vec columns[2];
                UNROLL for (size_t k = 0; k < width; k++)
                    columns[k] = load(u + (l * width + k) * VECTOR);
                UNROLL for (size_t t = 0; t < tiles; t++) {
                    vec value = splat(v[t * VECTOR + lane + l]);
                    UNROLL for (size_t k = 0; k < width; k++)
                        sum[t * width + k] = multiply_add(value, columns[k], sum[t * width + k]);
                }
            }
    for (size_t c = 0; c < channels; c++, u += width * VECTOR)
        UNROLL for (size_t t = 0; t < tiles; t++) {
            vec value = splat(v[t * VECTOR + c]);
            UNROLL for (size_t k = 0; k < width; k++)
                sum[t * width + k] = multiply_add(value, load(u + k * VECTOR), sum[t * width + k]);
        }
    UNROLL for (size_t t = 0; t < tiles; t++)
        UNROLL for (size_t k = 0; k < width; k++)
            store(m + (t * width + k) * VECTOR, sum[t * width + k]);
}

typedef void tile_function(float *m, const float *v, const float *u, size_t channels);

#define TILE(n)                                                                                                       \
    static void tile_##n##x1(float *m, const float *v, const float *u, size_t c) { register_tile(m, v, u, c, n, 1); } \
    static void tile_##n##x2(float *m, const float *v, const float *u, size_t c) { register_tile(m, v, u, c, n, 2); }
TILE(1) TILE(2) TILE(3) TILE(4) TILE(5) TILE(6)
#if TILES == 12
TILE(7) TILE(8) TILE(9) TILE(10) TILE(11) TILE(12)
#endif

static tile_function *const tile_functions[][2] = {
    { tile_1x1, tile_1x2 }, { tile_2x1, tile_2x2 }, { tile_3x1, tile_3x2 },
    { tile_4x1, tile_4x2 }, { tile_5x1, tile_5x2 }, { tile_6x1, tile_6x2 },
#if TILES == 12
    { tile_7x1, tile_7x2 }, { tile_8x1, tile_8x2 }, { tile_9x1, tile_9x2 },
    { tile_10x1, tile_10x2 }, { tile_11x1, tile_11x2 }, { tile_12x1, tile_12x2 },
#endif
};

void KERNEL(ood_winograd_products)(const struct winograd_block *block)
{
    const size_t channels = block->call->shape->channels;
    const float *u = block->call->weights;
    for (size_t plane = 0; plane < PLANES; plane++)
        for (size_t panel = 0; panel < block->panels; panel++) {
            const size_t width = block->out_vectors - 2 * panel < 2 ? 1 : 2;
            const float *v = block->v + plane * V_PLANE;
            float *m = block->m + panel * block->groups * M_GROUP + plane * M_PLANE;
            for (size_t group = 0; group < block->groups; group++) {
                tile_functions[group_size(block, group) - 1][width - 1](m, v, u, channels);
                m += M_GROUP;
                v += block->in_vectors * V_CHANNELS;
            }
            u += channels * width * VECTOR;
        }
}
