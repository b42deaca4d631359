/* The tape: how an operator describes its work in training. A network in training is compiled once for slices of a fixed number of pictures:
 * each operator's train() adds the steps of the forward pass, in topological order, then each backward() those of the backward pass,
 * in reverse. Both use the step builder (plan/builder.h) for values, scratch and steps: a step belongs to the pass being built, and every value lives
 * as long as a step of either pass reads it.
 *
 * A slice's steps run in one thread; slices run side by side. What they share is made by ood_tape_shared; a step added by
 * ood_tape_once runs when every slice has come there, and no slice goes on before it has run. */
#ifndef OOD_PLAN_TAPE_H
#define OOD_PLAN_TAPE_H

#include "plan/builder.h"
#include "plan/dnnl.h"

struct ood_tape;

/* METHOD section 6: where the mean and variance of a batch normalisation come from. */
enum ood_statistics {
    OOD_STATISTICS_JOINT,                    /* the whole batch, in-distribution and outliers */
    OOD_STATISTICS_IN,                       /* the in-distribution pictures alone; outliers are normalised by them */
    OOD_STATISTICS_FROZEN,                   /* the running ones, which stay as they are */
};

/* ---- asking ---- */

struct ood_builder *ood_tape_builder(struct ood_tape *tape);
size_t ood_tape_slice_in(const struct ood_tape *tape);         /* the first so many pictures of a slice are in-distribution */
enum ood_statistics ood_tape_statistics(const struct ood_tape *tape);
double ood_tape_momentum(const struct ood_tape *tape);         /* of running statistics */

/* How a slice's memory is found from that of slice 0: `stride` bytes further a slice. For the state of steps that run once; filled in
 * when the tape is complete. */
struct ood_slices { size_t count, stride; };
const struct ood_slices *ood_tape_slices(const struct ood_tape *tape);

/* ---- parameters ---- */

enum ood_parameter_kind { OOD_PARAMETER_WEIGHTS, OOD_PARAMETER_PLAIN, OOD_PARAMETER_STATISTIC };     /* weight decay: WEIGHTS alone */

/* train(): constant `value` is changed by training. *out is its memory, float32 in the file's shape, shared. Refused (OOD_UNSUPPORTED, named) where
 * the constant is no initialiser, was asked for as another kind, or is a STATISTIC of two nodes. */
bool ood_tape_parameter(struct ood_tape *tape, const struct ood_node *node, uint32_t value, enum ood_parameter_kind kind,
                        struct ood_operand *out, struct ood_error *err) OOD_MUST_CHECK;

/* backward(): where the slice's gradient of a parameter is written; *add: to be added to what is there. */
bool ood_tape_parameter_gradient(struct ood_tape *tape, uint32_t value, struct ood_operand *out, bool *add, struct ood_error *err) OOD_MUST_CHECK;

/* ---- gradients of values; rank 4: OOD_NHWC, else OOD_PLAIN ---- */

/* Does a parameter or an input that is one lie behind this value? Else its gradient is not asked for. */
bool ood_tape_wants(const struct ood_tape *tape, uint32_t value);

/* backward(): the finished gradient of one of the node's outputs, to be read. */
bool ood_tape_gradient(struct ood_tape *tape, uint32_t value, struct ood_operand *out, struct ood_error *err) OOD_MUST_CHECK;

/* backward(): has the gradient of a value been written by a node behind? */
bool ood_tape_has_gradient(const struct ood_tape *tape, uint32_t value);

/* backward(): where to write the gradient of one of the node's inputs; *add: to be added to what is there. `over`: a value whose gradient the
 * same step reads at the element it writes, or OOD_NONE: its memory may then be the answer. */
bool ood_tape_gradient_into(struct ood_tape *tape, uint32_t value, uint32_t over, struct ood_operand *out, bool *add, struct ood_error *err) OOD_MUST_CHECK;

/* backward(): the gradient of one of the node's outputs is replaced by something made of it, element by element; *before is read, *after written
 * (they may be the same memory). */
bool ood_tape_gradient_replace(struct ood_tape *tape, uint32_t value, struct ood_operand *before, struct ood_operand *after, struct ood_error *err) OOD_MUST_CHECK;

/* backward(): the gradient of `value` is (or gains) that of `from`, a value of the same number of elements in the same order: shared memory, or a pass. */
bool ood_tape_gradient_pass(struct ood_tape *tape, const struct ood_node *node, uint32_t value, uint32_t from, struct ood_error *err) OOD_MUST_CHECK;

/* backward(): writes, or adds, what lies in `from`, laid out as the gradient of `value` is, to that gradient. For kernels that cannot add. */
bool ood_tape_gradient_add(struct ood_tape *tape, const struct ood_node *node, uint32_t value, struct ood_operand from, struct ood_error *err) OOD_MUST_CHECK;

/* ---- memory and steps ---- */

/* Zeroed memory of all slices; with a key, the same again for the same node. */
bool ood_tape_shared(struct ood_tape *tape, const struct ood_node *node, const char *key, size_t bytes, struct ood_operand *out, struct ood_error *err) OOD_MUST_CHECK;

/* A step that runs once, when all slices have come here. Its memory of slices is slice 0's. */
bool ood_tape_once(struct ood_tape *tape, const struct ood_step_spec *spec, struct ood_error *err) OOD_MUST_CHECK;

/* A step that runs once before a forward pass when parameters have changed: brings them into a kernel's form. Shared operands alone. */
bool ood_tape_prepare(struct ood_tape *tape, const struct ood_step_spec *spec, struct ood_error *err) OOD_MUST_CHECK;

/* ---- oneDNN's convolutions in training; specs as for inference, node->posts are not honoured but a SUM (forward) ---- */

/* spec->weights tells the shape; `weights` is the parameter. */
bool ood_tape_convolution(struct ood_tape *tape, const struct ood_convolution_spec *spec, struct ood_operand weights,
                          const struct ood_operand *bias, struct ood_error *err) OOD_MUST_CHECK;
/* spec->destination is the gradient read, spec->source the gradient written over. */
bool ood_tape_convolution_data(struct ood_tape *tape, const struct ood_convolution_spec *spec, struct ood_operand weights, struct ood_error *err) OOD_MUST_CHECK;
/* spec->source is the source, spec->destination the gradient; gradient: of the weights, [O, I/groups, kh, kw]. */
bool ood_tape_convolution_weights(struct ood_tape *tape, const struct ood_convolution_spec *spec, struct ood_operand gradient, bool add, struct ood_error *err) OOD_MUST_CHECK;

#endif
