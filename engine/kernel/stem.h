/* A network's first convolution: from the planes of a picture to channels last. */
#ifndef OOD_KERNEL_STEM_H
#define OOD_KERNEL_STEM_H

#include "kernel/kernel.h"

/* Channels in: at most 4. Windows of at most 8 each way, strides 1 and 2 in both directions. Pads are zeros. */
struct ood_stem_shape {
    size_t batch, channels, height, width, out_height, out_width;
    size_t out_channels;                     /* of this call */
    size_t target_pixel;                     /* floats from pixel to pixel of the destination, >= out_channels */
    size_t window[2], stride, pad_top, pad_left;
};

struct ood_stem_call {
    const struct ood_stem_shape *shape;
    const float *source;                     /* [batch][channels][height][width] */
    const float *weights;                    /* what stem_weights made */
    const float *bias;                       /* [out_channels] or NULL */
    const struct ood_unary_step *steps;      /* after the bias */
    size_t step_count;
    float *destination;                      /* [batch][out_height][out_width][target_pixel], the call's first channel */
    size_t first_row;                        /* of the output: what is made are the out_height rows from there on */
};

/* Windows of a max pool in the direction of a row, channels last. */
struct ood_max_columns { size_t width, out_width, channels, window, stride, pad_left; };

#endif
