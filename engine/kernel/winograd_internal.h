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

/* A block: the tiles that go through all three stages together. Its tiles stand in groups of at most TILES.
 *     V[plane][group][vector of channels][tile of the group][VECTOR]
 *     U[plane][panel][channel][2 vectors of out channels]             a last odd vector is a panel of its own, one wide
 *     M[plane][panel][tile][2 vectors of out channels] */
struct winograd_block {
    const struct ood_winograd_call *call;
    size_t tile_rows, tile_columns;          /* of a picture */
    size_t out_height, out_width;
    size_t in_vectors, out_vectors;
    size_t first, tiles;                     /* of all pictures' tiles */
    size_t v_plane, m_plane, u_plane;        /* floats */
    float *v, *m;
    const float *zeros;                      /* as long as in_vectors */
};

/* Groups: sizes differ by one at most, the larger ones first. */
INLINE size_t group_count(size_t tiles) { return (tiles + TILES - 1) / TILES; }
INLINE size_t group_size(size_t tiles, size_t group)
{
    size_t count = group_count(tiles);
    return tiles / count + (group < tiles % count);
}

void KERNEL(ood_winograd_input)(const struct winograd_block *block);
void KERNEL(ood_winograd_products)(const struct winograd_block *block);
void KERNEL(ood_winograd_output)(const struct winograd_block *block);

/* Bᵀ·d */
INLINE void transform_input(vec out[IN], const vec d[IN])
{
    const float a = (float)POINT_A, b = (float)POINT_B;
    const vec a2 = splat(-a * a), b2 = splat(-b * b), a2_b2 = splat(a * a * b * b), sum = splat(-(a * a + b * b));
    vec even_a = multiply_add(b2, d[2], d[4]), odd_a = multiply_add(b2, d[1], d[3]);
    vec even_b = multiply_add(a2, d[2], d[4]), odd_b = multiply_add(a2, d[1], d[3]);
    out[0] = multiply_add(a2_b2, d[0], multiply_add(sum, d[2], d[4]));
    out[1] = multiply_add(splat(a), odd_a, even_a);
    out[2] = multiply_add(splat(-a), odd_a, even_a);
    out[3] = multiply_add(splat(b), odd_b, even_b);
    out[4] = multiply_add(splat(-b), odd_b, even_b);
    out[5] = multiply_add(a2_b2, d[1], multiply_add(sum, d[3], d[5]));
}

/* Aᵀ·m */
INLINE void transform_output(vec out[OUT], const vec m[IN])
{
    const float a = (float)POINT_A, b = (float)POINT_B;
    vec sum_a = m[1] + m[2], difference_a = m[1] - m[2], sum_b = m[3] + m[4], difference_b = m[3] - m[4];
    out[0] = m[0] + sum_a + sum_b;
    out[1] = multiply_add(splat(b), difference_b, splat(a) * difference_a);
    out[2] = multiply_add(splat(b * b), sum_b, splat(a * a) * sum_a);
    out[3] = multiply_add(splat(b * b * b), difference_b, multiply_add(splat(a * a * a), difference_a, m[5]));
}

#endif
