/* Region features: RoIAlign (He et al. 2017) as torchvision's roi_align with aligned = True and sampling_ratio = 2: half-pixel
 * coordinates, in each bin the mean of 2×2 bilinear samples; a sample more than one cell outside the map counts as 0. */
#ifndef OOD_KERNEL_ROI_ALIGN_H
#define OOD_KERNEL_ROI_ALIGN_H

#include <stddef.h>

#define OOD_ROI_BINS 7                       /* METHOD section 7: 7×7 bins, then their mean */

struct ood_roi_map {
    const float *values;                     /* [channels][height][width] */
    size_t channels, height, width;          /* each at least 1 */
    double scale_x, scale_y;                 /* cells of the map a pixel of the network's input: 1/stride */
};

/* The bins of a box {x1, y1, x2, y2} in pixels of the network's input, finite: out[channels][bins][bins]. */
void ood_roi_align(const struct ood_roi_map *map, const double box[4], size_t bins, float *out);

/* The mean over OOD_ROI_BINS × OOD_ROI_BINS bins: out[channels]. scratch[height + width]. Sums are in double, in one order. */
void ood_roi_mean(const struct ood_roi_map *map, const double box[4], double *scratch, float *out);

#endif
