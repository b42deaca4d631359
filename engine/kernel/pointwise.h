/* Convolutions of 1x1 of channels last with few channels: a product of pixels by weights. */
#ifndef OOD_KERNEL_POINTWISE_H
#define OOD_KERNEL_POINTWISE_H

#include "kernel/kernel.h"

#define OOD_POINTWISE_PIXELS 32              /* at least */

struct ood_pointwise_shape {
    size_t pixels;                           /* of all pictures */
    size_t channels, out_channels;
};

struct ood_pointwise_call {
    const struct ood_pointwise_shape *shape;
    const float *source;                     /* [pixels][channels] */
    const float *weights;                    /* what pointwise_weights made, the bias among them */
    const struct ood_unary_step *steps;
    size_t step_count;
    const float *sum;                        /* added behind the steps, [pixels][out_channels], or NULL; may be the destination */
    const struct ood_unary_step *after;      /* steps behind the sum */
    size_t after_count;
    float *destination;                      /* [pixels][out_channels]; apart from the source */
};

#endif
