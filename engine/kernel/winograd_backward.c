/* The gradient of the Winograd convolution's weights: dU = Σ over tiles of (Bᵀ·d·B)ᵀ(A·dy·Aᵀ) on each plane, block by block;
 * then Gᵀ·dU·G. The blocks are the forward pass's, with the gradient's tiles in M's place. */
#include <stdint.h>

#include "kernel/winograd_internal.h"

#define SCRATCH_FLOATS (128 * 1024)          /* V and M of a block, as in the forward pass */
#define LEAST_TILES 24
#define MOST_TILES 48

/* A register tile: ROWS channels × 2 vectors of out channels. ROWS divides VECTOR. */
#if VECTOR == 16
#define ROWS 8
#else
#define ROWS 4
#endif

/* Every block reads and writes all of dU. */
static size_t gradient_tiles(size_t in_vectors, size_t out_vectors)
{
    const double u = (double)PLANES * VECTOR * VECTOR * (double)in_vectors * (double)out_vectors;
    const double scratch = u / 2 > SCRATCH_FLOATS ? u / 2 : SCRATCH_FLOATS;
    const double tiles = scratch / (PLANES * VECTOR) / ((double)in_vectors + (double)out_vectors);
    const size_t whole = tiles > MOST_TILES ? MOST_TILES : tiles < LEAST_TILES ? LEAST_TILES : (size_t)tiles;
    return whole / TILES * TILES;
}

/* dU[plane][panel][channel, to the end of the last vector][2 vectors of out channels]; 0: overflows. */
static size_t u_floats(const struct winograd_block *block)
{
    size_t floats;
    if (__builtin_mul_overflow(block->in_vectors * VECTOR, block->out_vectors * VECTOR, &floats) ||
        __builtin_mul_overflow(floats, (size_t)PLANES, &floats) || floats > SIZE_MAX / 4 / sizeof(float))
        return 0;
    return floats;
}

/* ---- the gradient's tiles ---- */

/* What exists of a tile, and of its vector of out channels. Constants where this is inlined, but for `from`. */
struct reading { const float *from; size_t row, pixel, rows, columns, count; };

INLINE vec read_pixel(struct reading r, size_t i, size_t j)
{
    if (i >= r.rows || j >= r.columns)
        return (vec){ 0 };
    const float *at = r.from + i * r.row + j * r.pixel;
    return r.count < VECTOR ? load_part(at, r.count, 0) : load(at);
}

/* Four vectors along a row into its six planes. */
INLINE void store_row(float *m, const vec half[OUT])
{
    vec out[IN];
    out[0] = half[0];
    out[5] = half[3];
    gradient_pair(&out[1], &out[2], half, POINT_A);
    gradient_pair(&out[3], &out[4], half, POINT_B);
    UNROLL for (size_t j = 0; j < IN; j++)
        store(m + j * M_PLANE, out[j]);
}

/* Two rows of A·dy·Aᵀ. */
INLINE void gradient_rows(float *m, struct reading r, double p, size_t first)
{
    vec half[2][OUT];
    UNROLL for (size_t j = 0; j < OUT; j++) {
        vec y[OUT];
        UNROLL for (size_t i = 0; i < OUT; i++)
            y[i] = read_pixel(r, i, j);
        gradient_pair(&half[0][j], &half[1][j], y, p);
    }
    store_row(m + first * IN * M_PLANE, half[0]);
    store_row(m + (first + 1) * IN * M_PLANE, half[1]);
}

INLINE void gradient_tile(float *m, struct reading r)
{
    UNROLL for (size_t end = 0; end < 2; end++) {
        vec y[OUT];
        UNROLL for (size_t j = 0; j < OUT; j++)
            y[j] = read_pixel(r, end * (OUT - 1), j);
        store_row(m + end * (IN - 1) * IN * M_PLANE, y);
    }
    gradient_rows(m, r, POINT_A, 1);
    gradient_rows(m, r, POINT_B, 3);
}

/* All out channels of a tile. m: the tile's place in the first panel of its group. */
static void gradient_channels(const struct winograd_block *block, const float *gradient, float *m, size_t t, struct place place)
{
    const size_t channels = block->call->shape->out_channels, pixel = target_pixel(block->call->shape);
    const size_t rows = block->out_height - place.row < OUT ? block->out_height - place.row : OUT;
    const size_t columns = block->out_width - place.column < OUT ? block->out_width - place.column : OUT;
    const float *from = gradient + ((place.picture * block->out_height + place.row) * block->out_width + place.column) * pixel;
    for (size_t k = 0; k < block->out_vectors; k++, from += VECTOR) {
        const size_t width = block->out_vectors - k / 2 * 2 < 2 ? 1 : 2;
        const size_t count = channels - k * VECTOR < VECTOR ? channels - k * VECTOR : VECTOR;
        float *to = m + k / 2 * block->groups * M_GROUP + (t * width + k % 2) * VECTOR;
        if (rows == OUT && columns == OUT && count == VECTOR)
            gradient_tile(to, (struct reading){ from, block->out_width * pixel, pixel, OUT, OUT, VECTOR });
        else
            gradient_tile(to, (struct reading){ from, block->out_width * pixel, pixel, rows, columns, count });
    }
}

static void gradient_input(const struct winograd_block *block, const float *gradient)
{
    size_t tile = 0;
    for (size_t group = 0; group < block->groups; group++)
        for (size_t t = 0; t < group_size(block, group); t++)
            gradient_channels(block, gradient, block->m + group * M_GROUP, t, place_of(block, tile++));
}

/* ---- the products ---- */

/* du[ROWS][width vectors] (+)= Σ over the block's tiles, in their order; width is a constant where this is inlined. */
INLINE void register_tile(const struct winograd_block *block, float *du, const float *v, const float *m, size_t width)
{
    vec sum[ROWS * 2];
    UNROLL for (size_t i = 0; i < ROWS * width; i++)
        sum[i] = (vec){ 0 };
    for (size_t group = 0; group < block->groups; group++) {
        const float *values = v, *columns = m;
        for (size_t t = group_size(block, group); t > 0; t--, values += VECTOR, columns += width * VECTOR) {
            vec column[2];
            UNROLL for (size_t k = 0; k < width; k++)
                column[k] = load(columns + k * VECTOR);
            UNROLL for (size_t c = 0; c < ROWS; c++) {
                vec value = splat(values[c]);
                UNROLL for (size_t k = 0; k < width; k++)
                    sum[c * width + k] = multiply_add(value, column[k], sum[c * width + k]);
            }
        }
        v += block->in_vectors * V_CHANNELS;
        m += M_GROUP;
    }
    UNROLL for (size_t i = 0; i < ROWS * width; i++)
        store(du + i * VECTOR, block->first == 0 ? sum[i] : load(du + i * VECTOR) + sum[i]);
}

/* V's lanes behind the last channel are zeros, so whole register tiles serve any number of channels. */
INLINE float *panel_products(const struct winograd_block *block, float *du, size_t plane, size_t panel, size_t width)
{
    const float *m = block->m + panel * block->groups * M_GROUP + plane * M_PLANE;
    for (size_t c = 0; c < block->in_vectors * VECTOR; c += ROWS, du += ROWS * width * VECTOR)
        if (c < block->call->shape->channels)
            register_tile(block, du, block->v + c / VECTOR * V_CHANNELS + plane * V_PLANE + c % VECTOR, m, width);
    return du;
}

static void gradient_products(const struct winograd_block *block, float *du)
{
    for (size_t plane = 0; plane < PLANES; plane++)
        for (size_t panel = 0; panel < block->panels; panel++)
            du = block->out_vectors - 2 * panel < 2 ? panel_products(block, du, plane, panel, 1)
                                                    : panel_products(block, du, plane, panel, 2);
}

/* ---- all of it ---- */

size_t KERNEL(ood_winograd_gradient_scratch_floats)(const struct ood_winograd_shape *shape)
{
    struct winograd_block block;
    if (!KERNEL(ood_winograd_plan)(shape, gradient_tiles, &block) || u_floats(&block) == 0)
        return 0;
    return u_floats(&block) + v_floats(&block) + m_floats(&block) + zeros_floats(shape);
}

void KERNEL(ood_winograd_gradient)(const struct ood_winograd_gradient_call *call)
{
    const struct ood_winograd_call forward = { .shape = call->shape, .source = call->source };
    struct winograd_block block;
    if (!KERNEL(ood_winograd_plan)(call->shape, gradient_tiles, &block))
        return;
    const size_t tiles = block.tile_rows * block.tile_columns * call->shape->batch, most = block.tiles;
    float *du = call->scratch;
    block.call = &forward;
    block.v = du + u_floats(&block);
    block.m = block.v + v_floats(&block);
    block.zeros = memset(block.m + m_floats(&block), 0, zeros_floats(call->shape) * sizeof(float));
    if (tiles == 0)
        memset(du, 0, u_floats(&block) * sizeof *du);
    for (; block.first < tiles; block.first += block.tiles) {
        block.tiles = tiles - block.first < most ? tiles - block.first : most;
        block.groups = group_count(block.tiles);
        KERNEL(ood_winograd_input)(&block);
        gradient_input(&block, call->gradient);
        gradient_products(&block, du);
    }
    KERNEL(ood_winograd_weights_back)(&block, du, call->weights_gradient, call->add);
}
