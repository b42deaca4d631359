/* The functions of one version of the kernels, for its table. */
#ifndef OOD_KERNEL_KERNELS_INTERNAL_H
#define OOD_KERNEL_KERNELS_INTERNAL_H

#include "kernel/vector_internal.h"

void KERNEL(ood_unary)(float *y, const float *x, size_t n, const struct ood_unary_step *steps, size_t step_count);
void KERNEL(ood_binary)(enum ood_binary op, float *y, const float *a, const float *b, size_t n,
                        const struct ood_unary_step *steps, size_t step_count);
void KERNEL(ood_broadcast)(enum ood_binary op, float *y, const float *a, const float *b, const struct ood_broadcast *walk,
                           const struct ood_unary_step *steps, size_t step_count);
void KERNEL(ood_scale_shift)(float *y, const float *x, const float *scale, const float *shift, const float *sum,
                             size_t rows, size_t channels, const struct ood_unary_step *steps, size_t step_count);
size_t KERNEL(ood_packed_b_floats)(size_t k, size_t n);
void KERNEL(ood_pack_b)(float *packed, const float *b, size_t k, size_t n, size_t row_stride, size_t column_stride);
void KERNEL(ood_product)(float *c, const float *a, const float *packed, const float *bias, const float *sum, size_t m, size_t k, size_t n,
                         const struct ood_unary_step *steps, size_t step_count);
void KERNEL(ood_mean_rows)(float *y, const float *x, size_t n, size_t rows, size_t channels);
void KERNEL(ood_reduce_rows)(enum ood_reduction reduction, float *y, const float *x, size_t n, size_t rows, size_t channels);
void KERNEL(ood_reduce_columns)(enum ood_reduction reduction, float *y, const float *x, size_t rows, size_t columns);
void KERNEL(ood_layer_norm)(float *y, float *means, float *inverses, const float *x, const float *scale, const float *shift, size_t rows,
                            size_t columns, float epsilon);
void KERNEL(ood_instance_norm)(float *y, const float *x, const float *scale, const float *shift, size_t rows, size_t channels,
                               size_t columns, float epsilon);
void KERNEL(ood_softmax)(float *y, const float *x, size_t rows, size_t columns, bool logarithm);
size_t KERNEL(ood_attention_scratch_floats)(const struct ood_attention_shape *shape);
void KERNEL(ood_attention)(const struct ood_attention_call *call);
size_t KERNEL(ood_blend_rows)(unsigned char *out, const int16_t *upper, const int16_t *lower, int16_t upper_weight, int16_t lower_weight, size_t n);
size_t KERNEL(ood_weigh_pixels)(int16_t *out, const unsigned char *row, const uint32_t *at, const int32_t *weights, size_t n);
void KERNEL(ood_weigh_groups)(int16_t *out, const unsigned char *row, const struct ood_pixel_group *groups, size_t count, bool near);
size_t KERNEL(ood_pixel_planes)(const struct ood_pixel_planes *to, const unsigned char *rgb, size_t n);
void KERNEL(ood_transpose)(float *y, const float *x, size_t n, size_t rows, size_t columns);
void KERNEL(ood_interleave)(float *y, size_t y_stride, const float *a, const float *b, size_t x_stride, size_t rows, size_t n);
void KERNEL(ood_deinterleave)(float *a, float *b, size_t y_stride, const float *x, size_t x_stride, size_t rows, size_t n);
void KERNEL(ood_resample)(float *y, const float *x, const struct ood_tap *taps, size_t tap_count, size_t outer, size_t from, size_t to,
                          size_t inner);
bool KERNEL(ood_depthwise_serves)(const struct ood_depthwise_shape *shape);
void KERNEL(ood_depthwise)(const struct ood_depthwise_call *call);
bool KERNEL(ood_pointwise_serves)(const struct ood_pointwise_shape *shape);
size_t KERNEL(ood_pointwise_weights_floats)(const struct ood_pointwise_shape *shape);
void KERNEL(ood_pointwise_weights)(float *out, const float *weights, const float *bias, const struct ood_pointwise_shape *shape);
void KERNEL(ood_pointwise)(const struct ood_pointwise_call *call);
bool KERNEL(ood_stem_serves)(const struct ood_stem_shape *shape);
size_t KERNEL(ood_stem_weights_floats)(const struct ood_stem_shape *shape);
void KERNEL(ood_stem_weights)(float *out, const float *weights, const struct ood_stem_shape *shape);
void KERNEL(ood_stem)(const struct ood_stem_call *call);
void KERNEL(ood_max_columns)(float *y, const float *row, const struct ood_max_columns *shape);
void KERNEL(ood_max_rows)(float *y, const float *const *rows, size_t row_count, size_t n);
size_t KERNEL(ood_winograd_weights_floats)(size_t channels, size_t out_channels);
void KERNEL(ood_winograd_weights)(float *out, const float *weights, size_t channels, size_t out_channels);
size_t KERNEL(ood_winograd_scratch_floats)(const struct ood_winograd_shape *shape);
void KERNEL(ood_winograd_forward)(const struct ood_winograd_call *call);
void KERNEL(ood_winograd_data_weights)(float *out, const float *weights, size_t channels, size_t out_channels);
size_t KERNEL(ood_winograd_gradient_scratch_floats)(const struct ood_winograd_shape *shape);
void KERNEL(ood_winograd_gradient)(const struct ood_winograd_gradient_call *call);
void KERNEL(ood_moments)(double *mean, double *m2, const float *x, size_t rows, size_t channels);
void KERNEL(ood_norm_gradient_sums)(const struct ood_norm_gradient_call *call);
void KERNEL(ood_norm_gradient_apply)(const struct ood_norm_gradient_call *call);
void KERNEL(ood_unary_gradient)(float *dx, bool add, const float *g, const float *y, size_t n, const struct ood_unary_step *step);

extern const struct ood_kernels KERNEL(ood_kernels);

#endif
