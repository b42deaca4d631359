/* 3x3 convolutions of stride 1 by Winograd's F(4x4, 3x3): a tile of 4x4 outputs takes 36 products a pair of channels instead
 * of 144. float32, channels last. The functions stand in struct ood_kernels (kernel/kernel.h); how they work and how exact
 * they are: docs/WINOGRAD.md.
 *
 * Each output element is made by the same operations in the same order whatever the batch, its place in it, its tile's
 * neighbours and the thread. A NaN or infinity in the source reaches all outputs of the tiles that read it, at most 5 rows
 * and columns away. */
#ifndef OOD_KERNEL_WINOGRAD_H
#define OOD_KERNEL_WINOGRAD_H

#include "kernel/kernel.h"

struct ood_winograd_shape {
    size_t batch, channels, height, width;   /* of the source */
    size_t out_channels;
    size_t pad_top, pad_left, pad_bottom, pad_right;
    size_t source_pixel, target_pixel;       /* floats from one pixel to the next where maps hold more channels, those of other groups;
                                              * 0: channels, out_channels */
};                                           /* destination: height + pad_top + pad_bottom - 2 rows, likewise columns */

/* destination = steps from sum_at on (steps before sum_at (convolution + bias) + sum). No pointer but sum = destination may
 * overlap another. */
struct ood_winograd_call {
    const struct ood_winograd_shape *shape;
    const float *source;                     /* [batch][height][width][channels] */
    const float *weights;                    /* as winograd_weights left them; 64-byte aligned */
    const float *bias;                       /* [out_channels] or NULL */
    const float *sum;                        /* like destination, which it may be; or NULL */
    const struct ood_unary_step *steps;
    size_t step_count, sum_at;
    float *destination;                      /* [batch][rows][columns][out_channels] */
    float *scratch;                          /* winograd_scratch_floats(shape), any content; 64-byte aligned */
};

/* ---- backward ----
 *
 * Backward data is the forward pass of the destination's gradient: shape ood_winograd_data_shape, weights as
 * winograd_data_weights left them, no bias. Its bits keep the promise above. */

/* The shape whose source is the destination of `shape` and the other way round. Pads of at most 2, at least one window. */
static inline struct ood_winograd_shape ood_winograd_data_shape(const struct ood_winograd_shape *shape)
{
    return (struct ood_winograd_shape){
        .batch = shape->batch, .channels = shape->out_channels, .out_channels = shape->channels,
        .height = shape->height + shape->pad_top + shape->pad_bottom - 2,
        .width = shape->width + shape->pad_left + shape->pad_right - 2,
        .pad_top = 2 - shape->pad_top, .pad_left = 2 - shape->pad_left,
        .pad_bottom = 2 - shape->pad_bottom, .pad_right = 2 - shape->pad_right,
        .source_pixel = shape->target_pixel, .target_pixel = shape->source_pixel,
    };
}

/* weights_gradient = (what it holds, where add is set +) Σ over pictures and pixels. The sum's order depends on the shape,
 * batch included, alone: the same call gives the same bits in any thread and run; sums of slices of a batch are the caller's. */
struct ood_winograd_gradient_call {
    const struct ood_winograd_shape *shape;  /* of the forward pass */
    const float *source;                     /* [batch][height][width][channels] */
    const float *gradient;                   /* the destination's: [batch][rows][columns][out_channels] */
    float *weights_gradient;                 /* [out_channels][channels][3][3] */
    bool add;
    float *scratch;                          /* winograd_gradient_scratch_floats(shape), any content; 64-byte aligned */
};

#endif
