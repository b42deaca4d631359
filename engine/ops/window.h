/* Kernel windows of convolutions and pools: kernel_shape, strides, dilations, pads, auto_pad, ceil_mode to numbers. */
#ifndef OOD_OPS_WINDOW_H
#define OOD_OPS_WINDOW_H

#include "graph/op.h"
#include "plan/dnnl.h"

/* kernel: rows and columns if they come from the weights, else NULL (kernel_shape is needed). */
bool ood_window_read(const struct ood_node *node, const int64_t kernel[2], struct ood_window *out, struct ood_error *err) OOD_MUST_CHECK;

/* Resolves auto_pad for a source of size[2] and gives the output's; ceil_mode rounds up (a window that would begin in the
 * end padding is left out, as PyTorch does). */
bool ood_window_output(const struct ood_node *node, struct ood_window *window, const int64_t size[2], int64_t out[2],
                       struct ood_error *err) OOD_MUST_CHECK;

/* Is this a MaxPool? Its window over a map of shape x, and its output's size. */
bool ood_max_pool_of(const struct ood_node *node, const struct ood_shape *x, struct ood_window *window, int64_t out[2]);

#endif
