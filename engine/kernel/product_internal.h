/* Blocks of a matrix product, for product.c and what is made of products (attention.c). */
#ifndef OOD_KERNEL_PRODUCT_INTERNAL_H
#define OOD_KERNEL_PRODUCT_INTERNAL_H

#include "kernel/kernels_internal.h"

#define PANEL (2 * VECTOR)                   /* columns of packed B that lie together: [panel][k][PANEL] */
#define RUN OOD_PRODUCT_RUN                  /* of k at a time */
#define A_STRIDE (RUN + 16)                  /* of a copied row: neighbours lie in other sets of the first-level cache */
#if VECTOR == 16
#define ROWS 12                              /* of a register tile: 24 sums of 32 registers */
#else
#define ROWS 6                               /* 12 of 16 */
#endif

/* What the tiles of a run need besides their place. */
struct run {
    size_t k;                                /* of this run, at most RUN */
    bool first, last;                        /* start from zero; bias and steps follow */
    size_t a_stride, c_stride;               /* a_stride: A_STRIDE, but for a single row */
    size_t panel_stride;                     /* floats from one panel of packed B to the next */
    size_t part;                             /* columns of the tile's last vector that are there; set on the way, as are: */
    const float *sum;                        /* what is added to the tile, or NULL */
    const float *ahead;                      /* what the tile asks for, */
    size_t ahead_step;                       /* this many floats further for each k */
    const struct ood_unary_step *steps;
    size_t step_count;
};

/* A block's run: `rows` of A against all n columns of B: c and sum (or NULL) [rows][run->c_stride], a [rows][run->a_stride], b packed, at
 * this run's k. */
void KERNEL(ood_product_block)(float *c, const float *a, const float *b, const float *bias, const float *sum, struct run *run, size_t rows,
                               size_t n);

#endif
