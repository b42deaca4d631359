/* Scaled dot-product attention of one head: out = softmax(scale · Q·Kᵀ + biases) · V, without the scores ever leaving the cache. Queries go
 * through in blocks of rows; K and V are packed once. Operands are read where they lie, by strides in floats. */
#ifndef OOD_KERNEL_ATTENTION_H
#define OOD_KERNEL_ATTENTION_H

#include <stddef.h>

#define OOD_ATTENTION_BIASES 2

struct ood_attention_shape {
    size_t queries, keys;                    /* rows of Q; rows of K and V: scores are [queries][keys] */
    size_t depth, width;                     /* columns of Q and K; of V and of the output */
};

struct ood_attention_call {
    struct ood_attention_shape shape;
    float scale;
    const float *q, *k, *v;
    size_t q_row;                            /* from one row of Q to the next; its columns lie together */
    size_t k_row, k_column, v_row, v_column;
    const float *bias[OOD_ATTENTION_BIASES]; /* added to the scores, in this order, or NULL; a row's columns lie together */
    size_t bias_row[OOD_ATTENTION_BIASES];   /* 0: one row for all queries */
    float *out;                              /* not Q, K, V or a bias */
    size_t out_row;                          /* its columns lie together */
    float *scratch;                          /* attention_scratch_floats(shape); 64-byte aligned for speed */
};

/* Of struct ood_kernels: attention, and attention_scratch_floats, 0 where that overflows or nothing is to be done. A row of the output depends on
 * its row of Q, of the biases, on K and V alone: the same bits whatever the other rows, heads and pictures. Scores are sums over `depth` in
 * order, outputs sums over `keys` in order, divided by the row's sum of exponentials. A NaN, or a row of nothing but -infinity, makes its row NaN. */

#endif
