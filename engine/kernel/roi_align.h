/* Region features: RoIAlign (He et al. 2017) as torchvision's roi_align with aligned = True and sampling_ratio = 2: half-pixel
 * coordinates, in each bin the mean of 2×2 bilinear samples; a sample more than one cell outside the map counts as 0. */
#ifndef OOD_KERNEL_ROI_ALIGN_H
#define OOD_KERNEL_ROI_ALIGN_H

#include <stdbool.h>
#include <stddef.h>

#define OOD_ROI_BINS 7                       /* METHOD section 7: 7×7 bins, then their mean */

struct ood_roi_map {
    const float *values;                     /* [channels][height][width] */
    size_t channels, height, width;          /* each at least 1 */
    double scale_x, scale_y;                 /* cells of the map a pixel of the network's input: 1/stride */
};

/* The bins of a box {x1, y1, x2, y2} in pixels of the network's input, finite: out[channels][bins][bins]. */
void ood_roi_align(const struct ood_roi_map *map, const double box[4], size_t bins, float *out);

/* RoIAlign as an operator of networks has it (ONNX, torchvision): bins of any number, samples a bin and direction (0: as many as the
 * bin is cells long, rounded up), mean or greatest of them, half-pixel coordinates or none (then a box is at least one cell long). */
struct ood_roi_form {
    size_t rows, columns;                    /* bins; at least 1 */
    size_t samples;
    bool half_pixel, greatest;
};

/* map: channels last, values[height][width][channels]; box {x1, y1, x2, y2}; out[rows][columns][channels]. A box that is not finite gives NaN.
 * Work is in proportion to the map and the bins, however large the box. scratch: as many doubles as ood_roi_form_scratch says. */
size_t ood_roi_form_scratch(size_t channels, size_t height, size_t width);
void ood_roi_form_align(const struct ood_roi_form *form, const struct ood_roi_map *map, const float box[4], double *scratch, float *out);

/* The mean over OOD_ROI_BINS × OOD_ROI_BINS bins: out[channels]. scratch[height + width]. Sums are in double, in one order. */
void ood_roi_mean(const struct ood_roi_map *map, const double box[4], double *scratch, float *out);

#endif
