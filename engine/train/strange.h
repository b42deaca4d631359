/* Strange pictures: what an outlier may become so that a network meets more than natural photographs (METHOD section 6). */
#ifndef OOD_TRAIN_STRANGE_H
#define OOD_TRAIN_STRANGE_H

#include <stddef.h>
#include <stdint.h>

enum ood_strange {
    OOD_STRANGE_NOT,
    OOD_STRANGE_GREY,                        /* luma (ITU-R 601) in every channel */
    OOD_STRANGE_NEGATIVE,                    /* 255 - v */
    OOD_STRANGE_CHANNELS,                    /* exchanged, one of the five ways */
    OOD_STRANGE_TWO_TONES,                   /* luma below its mean one colour, the rest another: black and white or white and black (half), or any */
    OOD_STRANGE_CONTRAST,                    /* about the mean of all values, times 1/8 to 3/8 or 3 to 6 */
    OOD_STRANGE_TILES,                       /* 4 x 4 tiles in another order; what no tile covers stays */
    OOD_STRANGE_BLOCKS,                      /* 2 x 2 to 8 x 8 blocks of one colour each, their mean */
    OOD_STRANGE_FLAT,                        /* one colour: the picture's mean (half), or any */
    OOD_STRANGE_NOISE,                       /* every value drawn */
    OOD_STRANGE_KINDS
};

/* pixels[height][width][channels] in place, channels 1 or 3; of one channel, grey and exchanged channels change nothing. What is drawn comes from
 * `draw` alone. */
void ood_strange_apply(enum ood_strange kind, uint64_t draw, unsigned char *pixels, size_t width, size_t height, size_t channels);

#endif
