/* Between the files of the Winograd kernel: the transforms in one dimension, and where things lie in its scratch memory.
 *
 * Points 0, ±a, ±b and infinity with a = 5/8, b = 3/2. With M(x) = x·(x² - a²)·(x² - b²) and N(p) = Π (p - q) over the other
 * finite points q, y_i = Σ_j d_{i+j}·g_j is y = Aᵀ((G·g) ⊙ (Bᵀ·d)) for
 *     Bᵀ: row p the coefficients of M(x) / (x - p); row infinity those of M(x)
 *     G:  row p (1, p, p²) / N(p);                  row infinity (0, 0, 1)
 *     Aᵀ: column p (1, p, p², p³);                  column infinity (0, 0, 0, 1)
 * (Toom and Cook's product of polynomials, transposed). Every coefficient of Bᵀ and Aᵀ is exact in float32. */
#ifndef OOD_KERNEL_WINOGRAD_INTERNAL_H
#define OOD_KERNEL_WINOGRAD_INTERNAL_H

#include "kernel/kernels_internal.h"
#include "kernel/winograd.h"

#define POINT_A 0.625
#define POINT_B 1.5

#define OUT 4                                /* outputs of a tile, rows and columns each */
#define IN 6                                 /* what it reads */
#define PLANES (IN * IN)

/* A register tile: TILES × 2 vectors of sums. */
#if VECTOR == 16 || defined(__aarch64__)
#define TILES 12                             /* 24 sums of 32 registers */
#else
#define TILES 6                              /* 12 of 16 */
#endif

/* A block: the tiles that go through all three stages together. Its tiles stand in groups of at most TILES; every group has
 * the room of a full one, so that the transforms reach the planes by constant offsets.
 *     V[group][vector of channels][plane][tile of the group][VECTOR]
 *     U[plane][panel][channel][2 vectors of out channels]             a last odd vector is a panel of its own, one wide
 *     M[panel][group][plane][tile of the group][2 vectors of out channels] */
#define V_PLANE (TILES * VECTOR)             /* floats */
#define V_CHANNELS (PLANES * V_PLANE + 16)   /* of a vector of channels; a line more, so that vectors do not meet in one set */
#define M_PLANE (TILES * 2 * VECTOR)
#define M_GROUP (PLANES * M_PLANE)

struct winograd_block {
    const struct ood_winograd_call *call;
    size_t tile_rows, tile_columns;          /* of a picture */
    size_t out_height, out_width;
    size_t in_vectors, out_vectors, panels;
    size_t first, tiles, groups;             /* first and tiles: of all pictures' tiles */
    float *v, *m;
    const float *zeros;                      /* zeros_floats of them */
};

/* Groups: sizes differ by one at most, the larger ones first. */
INLINE size_t group_count(size_t tiles) { return (tiles + TILES - 1) / TILES; }
INLINE size_t group_size(const struct winograd_block *block, size_t group)
{
    return block->tiles / block->groups + (group < block->tiles % block->groups);
}

INLINE size_t v_floats(const struct winograd_block *block) { return block->groups * block->in_vectors * V_CHANNELS; }
INLINE size_t m_floats(const struct winograd_block *block) { return block->groups * block->panels * M_GROUP; }

INLINE size_t source_pixel(const struct ood_winograd_shape *shape) { return shape->source_pixel > 0 ? shape->source_pixel : shape->channels; }
INLINE size_t target_pixel(const struct ood_winograd_shape *shape) { return shape->target_pixel > 0 ? shape->target_pixel : shape->out_channels; }

/* A row of IN columns that is not there. */
INLINE size_t zeros_floats(const struct ood_winograd_shape *shape) { return IN * source_pixel(shape); }

/* Where a tile's outputs begin. */
struct place { size_t picture, row, column; };
INLINE struct place place_of(const struct winograd_block *block, size_t tile)
{
    const size_t a_picture = block->tile_rows * block->tile_columns, i = (block->first + tile) % a_picture;
    return (struct place){ (block->first + tile) / a_picture, i / block->tile_columns * OUT, i % block->tile_columns * OUT };
}

/* The largest block of a pass that wants at most most_tiles tiles in one; its memory not set. False: sizes overflow. */
typedef size_t most_tiles_function(size_t in_vectors, size_t out_vectors);
bool KERNEL(ood_winograd_plan)(const struct ood_winograd_shape *shape, most_tiles_function *most_tiles,
                               struct winograd_block *block);

void KERNEL(ood_winograd_input)(const struct winograd_block *block);
void KERNEL(ood_winograd_products)(const struct winograd_block *block);
void KERNEL(ood_winograd_output)(const struct winograd_block *block);

/* weights [out_channels][channels][3][3] (+)= Gᵀ·dU·G; dU as U, with rows up to the last vector of channels' end. */
void KERNEL(ood_winograd_weights_back)(const struct winograd_block *block, const float *du, float *weights, bool add);

/* Bᵀ·d, two rows at a time: those of the points ±p (q is the other), which share their halves, from d[1] to d[4] … */
INLINE void input_pair(vec *plus, vec *minus, const vec d[IN], double p, double q)
{
    const vec q2 = splat((float)(-q * q));
    vec even = multiply_add(q2, d[2], d[4]), odd = multiply_add(q2, d[1], d[3]);
    *plus = multiply_add(splat((float)p), odd, even);
    *minus = multiply_add(splat((float)-p), odd, even);
}

/* … and those of 0 and infinity. */
INLINE void input_ends(vec *zero, vec *infinity, const vec d[IN])
{
    const vec product = splat((float)(POINT_A * POINT_A * POINT_B * POINT_B));
    const vec sum = splat((float)-(POINT_A * POINT_A + POINT_B * POINT_B));
    *zero = multiply_add(product, d[0], multiply_add(sum, d[2], d[4]));
    *infinity = multiply_add(product, d[1], multiply_add(sum, d[3], d[5]));
}

/* Aᵀ·m, two rows at a time: the even ones from m[0] to m[4] … */
INLINE void output_even(vec *zero, vec *two, const vec m[IN])
{
    vec a = m[1] + m[2], b = m[3] + m[4];
    *zero = m[0] + a + b;
    *two = multiply_add(splat((float)(POINT_B * POINT_B)), b, splat((float)(POINT_A * POINT_A)) * a);
}

/* … and the odd ones from m[1] to m[5]. */
INLINE void output_odd(vec *one, vec *three, const vec m[IN])
{
    vec a = m[1] - m[2], b = m[3] - m[4];
    *one = multiply_add(splat((float)POINT_B), b, splat((float)POINT_A) * a);
    *three = multiply_add(splat((float)(POINT_B * POINT_B * POINT_B)), b,
                          multiply_add(splat((float)(POINT_A * POINT_A * POINT_A)), a, m[5]));
}

/* A·y, two rows at a time: those of ±p; those of 0 and infinity are y[0] and y[3]. */
INLINE void gradient_pair(vec *plus, vec *minus, const vec y[OUT], double p)
{
    vec even = multiply_add(splat((float)(p * p)), y[2], y[0]);
    vec odd = multiply_add(splat((float)(p * p * p)), y[3], splat((float)p) * y[1]);
    *plus = even + odd;
    *minus = even - odd;
}

#endif
