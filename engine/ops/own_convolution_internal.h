/* Convolutions by kernels of ours other than Winograd's, in inference. Each `serves` is a fixed rule of the shape of one picture: plans of all
 * sizes give the same bits. The posts are those before a sum; with a sum only the pointwise kernel serves. */
#ifndef OOD_OPS_OWN_CONVOLUTION_INTERNAL_H
#define OOD_OPS_OWN_CONVOLUTION_INTERNAL_H

#include "ops/posts_internal.h"
#include "plan/dnnl.h"

/* The bias, which spec has, among the model's weights. */
bool ood_own_bias(struct ood_builder *builder, const struct ood_convolution_spec *spec, struct ood_operand *out, struct ood_error *err) OOD_MUST_CHECK;
/* Kernels of vectors half as wide, where the last channels % 16 of them fit those better; else NULL. */
const struct ood_kernels *ood_half_kernels(const struct ood_kernels *kernels, size_t channels);

/* kernel/depthwise.h: each channel by itself. */
bool ood_depthwise_serves(const struct ood_builder *builder, const struct ood_convolution_spec *spec, const struct ood_posts *posts);
bool ood_depthwise_lower(struct ood_builder *builder, const struct ood_convolution_spec *spec, const struct ood_posts *posts,
                         struct ood_error *err) OOD_MUST_CHECK;

/* kernel/pointwise.h: of 1x1. The first sum and the posts behind it are done with it; sum: its operand, where there is one. */
bool ood_pointwise_serves(const struct ood_builder *builder, const struct ood_convolution_spec *spec);
bool ood_pointwise_lower(struct ood_builder *builder, const struct ood_convolution_spec *spec, const struct ood_posts *posts, struct ood_operand sum,
                         struct ood_error *err) OOD_MUST_CHECK;

/* Products: of 1x1 over maps of one pixel. */
bool ood_one_pixel_serves(const struct ood_convolution_spec *spec, const struct ood_posts *posts);
bool ood_one_pixel_lower(struct ood_builder *builder, const struct ood_convolution_spec *spec, const struct ood_posts *posts,
                         struct ood_error *err) OOD_MUST_CHECK;

/* kernel/stem.h: the first, of an input's planes. spec->source: plain. */
bool ood_stem_serves(const struct ood_builder *builder, const struct ood_convolution_spec *spec, const struct ood_posts *posts);
/* Its output: of the convolution, or where one max pool alone reads that, the pool's, which is then made with it. */
bool ood_stem_place(struct ood_builder *builder, const struct ood_convolution_spec *spec, struct ood_operand *out, struct ood_error *err) OOD_MUST_CHECK;
bool ood_stem_lower(struct ood_builder *builder, const struct ood_convolution_spec *spec, const struct ood_posts *posts,
                    struct ood_error *err) OOD_MUST_CHECK;

#endif
