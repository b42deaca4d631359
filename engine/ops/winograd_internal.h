/* Convolutions by our Winograd kernel. */
#ifndef OOD_OPS_WINOGRAD_INTERNAL_H
#define OOD_OPS_WINOGRAD_INTERNAL_H

#include "ops/posts_internal.h"
#include "plan/tape.h"

/* Does the kernel serve this convolution? The shape of one picture and the model's option alone decide: never the batch, so
 * that plans of all sizes give the same bits, and never a timing. */
bool ood_winograd_serves(const struct ood_builder *builder, const struct ood_convolution_spec *spec);

/* The step: convolution, bias, and the posts up to the second sum. sum: the first one's operand, where there is one; it may be
 * the destination. */
bool ood_winograd_lower(struct ood_builder *builder, const struct ood_convolution_spec *spec, const struct ood_posts *posts,
                        struct ood_operand sum, struct ood_error *err) OOD_MUST_CHECK;

/* ---- training (plan/tape.h): the same convolutions ---- */

/* The forward pass; weights and bias are parameters, sum is added. */
bool ood_winograd_train(struct ood_tape *tape, const struct ood_convolution_spec *spec, struct ood_operand weights, const struct ood_operand *bias,
                        const struct ood_operand *sum, struct ood_error *err) OOD_MUST_CHECK;
/* spec->destination is the gradient read, spec->source the one written. */
bool ood_winograd_data_gradient(struct ood_tape *tape, const struct ood_convolution_spec *spec, struct ood_operand weights, bool add,
                                struct ood_error *err) OOD_MUST_CHECK;
/* spec->source is the source, spec->destination the gradient read. */
bool ood_winograd_weights_gradient(struct ood_tape *tape, const struct ood_convolution_spec *spec, struct ood_operand gradient, bool add,
                                   struct ood_error *err) OOD_MUST_CHECK;

#endif
