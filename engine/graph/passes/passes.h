/* What the passes share. A pass works on traits and rows (op.h), never on names of operators. While passes run,
 * ood_value.uses is exact for what is alive. */
#ifndef OOD_GRAPH_PASSES_PASSES_H
#define OOD_GRAPH_PASSES_PASSES_H

#include "graph/graph_internal.h"

struct ood_passes {
    struct ood_graph *graph;
    unsigned char *kept;                     /* by value: taps and graph outputs */
    size_t kept_count;
};

bool ood_pass_fold_constants(struct ood_passes *passes, struct ood_error *err) OOD_MUST_CHECK;
bool ood_pass_drop_identities(struct ood_passes *passes, struct ood_error *err) OOD_MUST_CHECK;
bool ood_pass_fuse_pads(struct ood_passes *passes, struct ood_error *err) OOD_MUST_CHECK;
bool ood_pass_fuse_patterns(struct ood_passes *passes, struct ood_error *err) OOD_MUST_CHECK;
bool ood_pass_fuse_shuffles(struct ood_passes *passes, struct ood_error *err) OOD_MUST_CHECK;
bool ood_pass_fuse_bias(struct ood_passes *passes, struct ood_error *err) OOD_MUST_CHECK;
bool ood_pass_fold_batch_norm(struct ood_passes *passes, struct ood_error *err) OOD_MUST_CHECK;
bool ood_pass_sink_resizes(struct ood_passes *passes, struct ood_error *err) OOD_MUST_CHECK;
bool ood_pass_fuse_posts(struct ood_passes *passes, struct ood_error *err) OOD_MUST_CHECK;
bool ood_pass_fuse_training(struct ood_passes *passes, struct ood_error *err) OOD_MUST_CHECK;

/* Marks nodes nobody needs; then, at the very end, takes them and unread constants out. */
bool ood_pass_mark_dead(struct ood_passes *passes, struct ood_error *err) OOD_MUST_CHECK;
bool ood_pass_sweep(struct ood_passes *passes, struct ood_error *err) OOD_MUST_CHECK;

bool ood_is_kept(const struct ood_passes *passes, uint32_t value);

/* The node that makes `value`, if the only reader of its only output is the one asking and it is not kept; or OOD_NONE. */
uint32_t ood_sole_producer(const struct ood_passes *passes, uint32_t value);

/* Node `at` is done by node `before`, which takes over its output and its place (so whatever `at` read is there by then);
 * the inputs of `at` lose their use, the value between them goes. `before` was found by ood_sole_producer. Returns `before`
 * at its new place, node `at`. */
struct ood_node *ood_merge(struct ood_passes *passes, uint32_t before, uint32_t at);

/* ---- linear operators: passes/linear.c ---- */

/* The weights of Conv ([O, I/g, …]), Gemm (transB) or MatMul, constant, as channels × rest. */
struct ood_linear {
    uint32_t weights;                        /* value */
    size_t channels, rest;                   /* of the output; weights to one channel */
    bool by_row;                             /* a channel's weights lie together */
    size_t axis;                             /* of the output, where the channels are */
};

/* False: not linear, or not with constant float32 weights of these layouts. */
bool ood_linear_of(const struct ood_graph *graph, const struct ood_node *node, struct ood_linear *out);

/* The constant added to each channel so far: bias[channels]. False: not known at load, or not one number a channel. */
bool ood_linear_bias(const struct ood_graph *graph, const struct ood_node *node, const struct ood_linear *linear,
                     double *bias);

/* Makes bias[channels] the node's only bias (fused_bias). */
bool ood_linear_set_bias(struct ood_graph *graph, uint32_t node, const struct ood_linear *linear, const double *bias,
                         struct ood_error *err) OOD_MUST_CHECK;

/* Multiplies each channel's weights by scale[channels], in a copy: others may share the weights. */
bool ood_linear_scale(struct ood_graph *graph, uint32_t node, const struct ood_linear *linear, const double *scale,
                      struct ood_error *err) OOD_MUST_CHECK;

#endif
