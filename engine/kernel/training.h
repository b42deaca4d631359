/* Passes of training over rows × channels: batch statistics, the two halves of a batch normalisation's gradient, an activation's gradient.
 * The functions stand in struct ood_kernels (kernel/kernel.h). Sums run over rows in order, in runs of 32 as float32 and then as double, so
 * that they depend on the rows alone. */
#ifndef OOD_KERNEL_TRAINING_H
#define OOD_KERNEL_TRAINING_H

#include "kernel/kernel.h"

/* What an activation behind y = x·scale + shift lets through: gradients where low < y < high. ReLU: 0, infinity; clip: its bounds; none: `open`. y is
 * computed again, with the forward pass's bits. */
struct ood_gate { bool open; float low, high; const float *scale, *shift; };

/* Both halves: g is the gradient behind the gate, x what was normalised, [rows][channels]; mean is [channels]. */
struct ood_norm_gradient_call {
    const float *g, *x, *mean;
    struct ood_gate gate;
    size_t rows, channels;
    double *sum, *product;                   /* sums: Σ g', Σ g'·(x - mean), [channels] each; product may be NULL, x then too if the gate is open */
    float *dx;                               /* apply: = a·g' + b·(x - mean) + c, [channels] each; may be g. b NULL: b and c are 0 */
    bool add;                                /* to what dx holds */
    const float *a, *b, *c;
};

#endif
