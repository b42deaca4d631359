/* The table of one version of the kernels. */
#include "kernel/kernels_internal.h"

#define TEXT(isa) #isa
#define ISA(isa) TEXT(isa)
#define NAME(function) "own:" function " " ISA(OOD_KERNEL_ISA)

const struct ood_kernels KERNEL(ood_kernels) = {
    .isa = ISA(OOD_KERNEL_ISA),
    .name = {
        .unary = NAME("unary"), .binary = NAME("binary"), .scale_shift = NAME("scale_shift"), .product = NAME("product"),
        .reduce = NAME("reduce"), .normalise = NAME("normalise"), .softmax = NAME("softmax"), .transpose = NAME("transpose"),
        .shuffle = NAME("shuffle"), .resample = NAME("resample"), .winograd = NAME("winograd"), .depthwise = NAME("depthwise"),
        .pointwise = NAME("pointwise"), .stem = NAME("stem"), .stem_pool = NAME("stem+max_pool"), .training = NAME("training"), .attention = NAME("attention"),
    },
    .unary = KERNEL(ood_unary),
    .binary = KERNEL(ood_binary),
    .broadcast = KERNEL(ood_broadcast),
    .scale_shift = KERNEL(ood_scale_shift),
    .packed_b_floats = KERNEL(ood_packed_b_floats),
    .pack_b = KERNEL(ood_pack_b),
    .product = KERNEL(ood_product),
    .mean_rows = KERNEL(ood_mean_rows),
    .reduce_rows = KERNEL(ood_reduce_rows),
    .reduce_columns = KERNEL(ood_reduce_columns),
    .layer_norm = KERNEL(ood_layer_norm),
    .instance_norm = KERNEL(ood_instance_norm),
    .softmax = KERNEL(ood_softmax),
    .attention_scratch_floats = KERNEL(ood_attention_scratch_floats),
    .attention = KERNEL(ood_attention),
    .transpose = KERNEL(ood_transpose),
    .interleave = KERNEL(ood_interleave),
    .deinterleave = KERNEL(ood_deinterleave),
    .resample = KERNEL(ood_resample),
    .blend_rows = KERNEL(ood_blend_rows),
    .weigh_pixels = KERNEL(ood_weigh_pixels),
#if defined(__AVX2__)
    .weigh_groups = KERNEL(ood_weigh_groups),
#endif
    .pixel_planes = KERNEL(ood_pixel_planes),
    .depthwise_serves = KERNEL(ood_depthwise_serves),
    .depthwise = KERNEL(ood_depthwise),
    .pointwise_serves = KERNEL(ood_pointwise_serves),
    .pointwise_weights_floats = KERNEL(ood_pointwise_weights_floats),
    .pointwise_weights = KERNEL(ood_pointwise_weights),
    .pointwise = KERNEL(ood_pointwise),
    .stem_serves = KERNEL(ood_stem_serves),
    .stem_weights_floats = KERNEL(ood_stem_weights_floats),
    .stem_weights = KERNEL(ood_stem_weights),
    .stem = KERNEL(ood_stem),
    .max_columns = KERNEL(ood_max_columns),
    .max_rows = KERNEL(ood_max_rows),
    .winograd_weights_floats = KERNEL(ood_winograd_weights_floats),
    .winograd_weights = KERNEL(ood_winograd_weights),
    .winograd_scratch_floats = KERNEL(ood_winograd_scratch_floats),
    .winograd_forward = KERNEL(ood_winograd_forward),
    .winograd_data_weights = KERNEL(ood_winograd_data_weights),
    .winograd_gradient_scratch_floats = KERNEL(ood_winograd_gradient_scratch_floats),
    .winograd_gradient = KERNEL(ood_winograd_gradient),
    .moments = KERNEL(ood_moments),
    .norm_gradient_sums = KERNEL(ood_norm_gradient_sums),
    .norm_gradient_apply = KERNEL(ood_norm_gradient_apply),
    .unary_gradient = KERNEL(ood_unary_gradient),
};
