/* What several operators share. */
#ifndef OOD_OPS_OPS_INTERNAL_H
#define OOD_OPS_OPS_INTERNAL_H

#include "graph/op.h"

/* An axis of a value of `rank` dimensions, counted from the end where negative. Out of range: OOD_INVALID. */
bool ood_op_axis(const struct ood_node *node, int64_t axis, size_t rank, size_t *out, struct ood_error *err) OOD_MUST_CHECK;

/* The attribute `axis` of a value of `rank` dimensions, by which it is cut into slices; without it OOD_FLAT: its elements are the slices of one flat list. */
#define OOD_FLAT SIZE_MAX
bool ood_op_slice_axis(const struct ood_node *node, size_t rank, size_t *axis, struct ood_error *err) OOD_MUST_CHECK;

/* Element (o, i) of slice k is x[(o·count + k)·inner + i]. No dimension hangs on the batch. */
struct ood_op_slices { size_t outer, count, inner; };
struct ood_op_slices ood_op_slices_of(const struct ood_shape *x, size_t axis);

/* A type by its number in onnx.proto's TensorProto.DataType; false where it is none of ours. */
bool ood_op_type_of(int64_t number, enum ood_type *out);

/* The int64 values of input i, which must be known at load and have one dimension (or none): `what` names it in errors. They
 * may be batch multiples. More than `most`: OOD_INVALID. *values is the graph's memory. */
bool ood_op_known_ints(const struct ood_graph *graph, const struct ood_node *node, size_t i, const char *what, size_t most,
                       const int64_t **values, size_t *count, struct ood_error *err) OOD_MUST_CHECK;

/* The same for float32 values. */
bool ood_op_known_floats(const struct ood_graph *graph, const struct ood_node *node, size_t i, const char *what, size_t most,
                         const float **values, size_t *count, struct ood_error *err) OOD_MUST_CHECK;

/* Does an int64 tensor known at load hold multiples of the batch (tensor.h)? NULL and other types: no. */
bool ood_op_has_batch_numbers(const struct ood_tensor *tensor);

/* From shape(): output 0 is known now, and is this; `tensor` may be NULL after a failure, which is passed on. Takes it. */
bool ood_op_set_known(struct ood_graph *graph, const struct ood_node *node, struct ood_tensor *tensor,
                      struct ood_error *err) OOD_MUST_CHECK;

/* lower() of the same: readers see the constant, there is no step. */
bool ood_op_lower_known(struct ood_builder *builder, const struct ood_node *node, struct ood_error *err);

/* evaluate() of what keeps its elements in their order: a copy of input 0 under the output's shape. */
struct ood_tensor *ood_op_evaluate_same(const struct ood_graph *graph, const struct ood_node *node,
                                        const struct ood_tensor *const *inputs, struct ood_error *err);

/* Rows that others name as `whole` (graph/op.h). */
extern const struct ood_op ood_op_layer_norm, ood_op_channel_shuffle, ood_op_attention;

/* lower() of the same: output 0 is input 0 under another shape. */
bool ood_op_lower_alias(struct ood_builder *builder, const struct ood_node *node, struct ood_error *err);

#endif
