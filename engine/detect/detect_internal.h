/* What decoder.c settles once and decode.c reads for every picture. */
#ifndef OOD_DETECT_DETECT_INTERNAL_H
#define OOD_DETECT_DETECT_INTERNAL_H

#include "detect/detect.h"

/* Channel k of anchor a in a cell: tensors[tensor][base + cell·cell_step + a·anchor_step + k·channel_step]. */
struct detect_place { size_t tensor, base, cell_step, anchor_step, channel_step; };

struct detect_grid {
    size_t width, height, cells, anchors;
    size_t first;                            /* index of its first candidate */
    struct detect_place boxes, objectness, classes, logits, labels, sizes;
};

struct detect_map { size_t tensor, channels, height, width; };

struct ood_decoder {
    struct ood_detector detector;
    double input_width, input_height;
    size_t candidates, dimension, scratch;
    struct detect_grid grids[OOD_DETECTOR_LEVELS];
    size_t map_count;                        /* of the detector's, or of its head's */
    struct detect_map maps[OOD_DETECTOR_MAPS], logits[OOD_DETECTOR_MAPS];      /* logits: of a head */
    size_t part;                             /* where in the scratch a map's own means are, of a head: floats */
};

#endif
