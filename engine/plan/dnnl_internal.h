/* How plan/ makes steps of oneDNN primitives: shared by inference (dnnl.c) and training (tape_dnnl.c). */
#ifndef OOD_PLAN_DNNL_INTERNAL_H
#define OOD_PLAN_DNNL_INTERNAL_H

#include "plan/builder_internal.h"

/* Fails with "node …: oneDNN: WHAT: STATUS". Returns false. */
bool ood_dnnl_fail(const struct ood_node *node, struct ood_error *err, dnnl_status_t status, const char *what);

/* User scratchpad mode and the node's posts. NULL on failure; the caller destroys. */
dnnl_primitive_attr_t ood_dnnl_attributes(const struct ood_node *node, bool with_posts, struct ood_error *err);

void ood_dnnl_window(const struct ood_window *window, dnnl_dims_t strides, dnnl_dims_t dilates, dnnl_dims_t begin, dnnl_dims_t end);
/* The end padding of dimension i that makes oneDNN's size formula exact. */
dnnl_dim_t ood_dnnl_exact_end(size_t size, size_t out, const struct ood_window *window, int i);

/* One more argument of a step. Takes *layout and leaves NULL. */
void ood_dnnl_argument(struct ood_step *step, int argument, struct ood_dnnl_layout **layout, struct ood_operand operand);

/* Scratchpad, kernel name, primitive; adds the step, which is taken on success. */
bool ood_dnnl_finish(struct ood_builder *builder, const struct ood_node *node, const_dnnl_primitive_desc_t pd, struct ood_step *step,
                     struct ood_error *err) OOD_MUST_CHECK;

#endif
