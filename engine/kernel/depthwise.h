/* Depthwise and grouped convolutions of channels last: each channel by a window of its own, or of all channels of its group. */
#ifndef OOD_KERNEL_DEPTHWISE_H
#define OOD_KERNEL_DEPTHWISE_H

#include "kernel/kernel.h"

/* Windows of side × side, 3 or 5 (7 at stride 1), strides 1 and 2; of groups 3. Pads are zeros. */
struct ood_depthwise_shape {
    size_t batch, height, width, out_height, out_width;
    size_t channels;                         /* of this call */
    size_t pixel;                            /* floats from pixel to pixel in source and destination, >= channels */
    size_t depth;                            /* channels of a group, as many in as out: 1, 4, 8 or 16 */
    size_t side, stride, pad_top, pad_left;
};

struct ood_depthwise_call {
    const struct ood_depthwise_shape *shape;
    const float *source;                     /* [batch][height][width][pixel], the call's first channel */
    const float *weights;                    /* [side][depth][side][pixel], likewise: of each out channel, its group's channels in order */
    const float *bias;                       /* [channels] or NULL */
    const struct ood_unary_step *steps;      /* after the bias */
    size_t step_count;
    float *destination;                      /* [batch][out_height][out_width][pixel]; apart from the source */
};

#endif
