/* What follows an operator's own arithmetic (node->posts), for operators that run on our own kernels: functions of one element
 * ride along in the operator's step; each sum of another value is a pass behind it, with the functions that follow it. */
#ifndef OOD_OPS_POSTS_INTERNAL_H
#define OOD_OPS_POSTS_INTERNAL_H

#include "kernel/kernel.h"
#include "plan/builder.h"

/* A run of functions. */
struct ood_steps {
    struct ood_unary_step steps[OOD_POSTS];
    size_t count;
};

struct ood_posts {
    struct ood_steps before;                 /* the first sum */
    size_t sum_count;
    uint32_t sums[OOD_POSTS];                /* values, of the output's shape */
    struct ood_steps after[OOD_POSTS];       /* sum i, before the next */
};

void ood_posts_read(const struct ood_node *node, struct ood_posts *out);

/* Output 0 in a layout; over the memory of one of `inputs` where this node is its last reader. inputs[count] are values that
 * the step reads at the element it writes, already asked for in this layout as operands[count]; those of another shape, and
 * those a pass of posts (from sum `first` on) would read after the write, are left alone. */
bool ood_posts_output(struct ood_builder *builder, const struct ood_node *node, const struct ood_posts *posts, size_t first,
                      const uint32_t *inputs, const struct ood_operand *operands, size_t count, enum ood_layout layout,
                      struct ood_operand *out, struct ood_error *err) OOD_MUST_CHECK;

/* The passes for the sums from `first` on, over the output. */
bool ood_posts_sums(struct ood_builder *builder, const struct ood_node *node, const struct ood_posts *posts, size_t first,
                    struct ood_operand output, enum ood_layout layout, struct ood_error *err) OOD_MUST_CHECK;

/* Elements of a value with the batch bound: what the builder accepted, so it fits. */
size_t ood_posts_count(const struct ood_builder *builder, uint32_t value);

#endif
