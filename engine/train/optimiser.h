/* Stochastic gradient descent with Nesterov momentum over blocks of float32 parameters, as PyTorch 1.13's
 * torch.optim.SGD(nesterov=True, dampening=0) does it; clipping by the global norm as its clip_grad_norm_; an exponential moving average of
 * the parameters beside. A step takes no memory, and its bits do not depend on threads. */
#ifndef OOD_TRAIN_OPTIMISER_H
#define OOD_TRAIN_OPTIMISER_H

#include "base/memory.h"

/* A parameter. The caller's memory, at the same place for the optimiser's life. */
struct ood_block {
    const char *name;                        /* for error sentences; copied */
    float *value;                            /* [count] */
    const float *gradient;                   /* [count], of the whole batch. NULL: not trained, only averaged (a running statistic) */
    size_t count;
    bool decay;                              /* weight decay applies */
    double rate;                             /* a factor of the step's learning rate; 1 for all in METHOD. 0: frozen, and out of the norm */
};

struct ood_optimiser_options {
    double momentum;                         /* 0 <= m < 1. METHOD: 0.9 */
    double weight_decay;                     /* >= 0. METHOD: 5e-4 */
    double clip_norm;                        /* gradients are scaled by min(1, clip_norm / (norm + 1e-6)); 0: never */
    double average_decay;                    /* 0 <= d < 1: average += (1 - d_t)(value - average) after step t = 1, 2, …, with
                                                d_t = min(d, (1 + t)/(10 + t)); 0: no average is kept */
};
struct ood_optimiser_options ood_optimiser_defaults(void);       /* 0.9, 5e-4, no clipping, no average */

struct ood_optimiser;

/* Momentum starts at 0, averages at the values now. Blocks are copied, what they point to is not. NULL on failure. */
struct ood_optimiser *ood_optimiser_new(const struct ood_block *blocks, size_t count, const struct ood_optimiser_options *options,
                                        struct ood_error *err) OOD_MUST_CHECK;
void ood_optimiser_free(struct ood_optimiser *optimiser);      /* NULL is fine */

/* One step at learning rate `rate` >= 0. For each trained block, with g the clipped gradient:
 *     g = g + weight_decay value (where it applies);  momentum = m momentum + g;  value = value - rate (g + m momentum)
 * *norm (NULL: not wanted) is the gradients' global norm before clipping, summed in double. A gradient that is not finite is OOD_SCORE_NOT_FINITE
 * naming the block; nothing has changed then. */
bool ood_optimiser_step(struct ood_optimiser *optimiser, double rate, double *norm, struct ood_error *err) OOD_MUST_CHECK;

/* Exchanges values and averages: evaluate or write the averaged network, then call it again before the next step (a step in between is refused).
 * Nothing happens where no average is kept. */
void ood_optimiser_swap_average(struct ood_optimiser *optimiser);

/* ---- for checkpoints: read, or write over, between steps ---- */

/* The optimiser's memory of a block. momentum: [count], NULL for a block without gradient; average: [count], NULL where none is kept. While
 * swapped, `average` holds the trained values. */
struct ood_optimiser_state { const char *name; size_t count; float *momentum, *average; };
size_t ood_optimiser_block_count(const struct ood_optimiser *optimiser);
struct ood_optimiser_state ood_optimiser_state(struct ood_optimiser *optimiser, size_t block);
uint64_t ood_optimiser_steps(const struct ood_optimiser *optimiser);         /* taken so far */
void ood_optimiser_set_steps(struct ood_optimiser *optimiser, uint64_t steps);

#endif
