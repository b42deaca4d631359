/* A network in training: an ONNX classifier compiled for forward and backward passes over batches of one size, its parameters in
 * memory that an optimiser may change between steps. METHOD section 6 says what is computed around it: losses (train/loss.h) turn logits and
 * features into their gradients, the optimiser (train/optimiser.h) turns parameter gradients into new parameters.
 *
 *     trainer = ood_trainer_new(onnx, &options, err)
 *     each step:  ood_trainer_forward(trainer, fill, context, err)      pictures in; logits and features out
 *                 write ood_trainer_logits_gradient, …_features_gradient
 *                 ood_trainer_backward(trainer)                         parameter gradients
 *                 change the parameters, then ood_trainer_parameters_changed(trainer)
 *
 * The batch is cut into slices of equal size that go through the network one after the other, shared out to the threads; what is summed over
 * the batch (parameter gradients, batch statistics) is summed over each slice and then over the slices in order. So the bits depend on the
 * number of slices, never on the number of threads. All memory is allocated when the trainer is made. */
#ifndef OOD_TRAIN_TRAINER_H
#define OOD_TRAIN_TRAINER_H

#include "plan/tape.h"

struct ood_trainer;

enum ood_precision { OOD_PRECISION_FLOAT32, OOD_PRECISION_BFLOAT16 };

struct ood_trainer_options {
    const struct ood_op *const *operators;   /* ops/ops.h: ood_op_table */
    struct ood_shape input_shape;            /* see ood_graph_options; rank 0: as the file says */
    const char *logits, *features;           /* taps by name; NULL: the defaults */
    size_t in, out;                          /* pictures a step: in-distribution (at least 1), outliers */
    size_t slices;                           /* 0: the largest of 4, 2, 1 that divides both in and out */
    size_t threads;                          /* 0: 1; the caller's thread is one of them. More than slices are not used */
    enum ood_statistics statistics;
    double statistics_momentum;              /* of the running ones: running += momentum (batch - running); 0: 0.1 */
    enum ood_precision precision;            /* of the convolutions' products; BFLOAT16 is refused: it is not faster here */
};

/* Reads and compiles; onnx is not needed afterwards. An operator without a backward pass is refused by name (OOD_UNSUPPORTED), as is a parameter
 * that two nodes read with different meanings. NULL on failure. */
struct ood_trainer *ood_trainer_new(const struct ood_bytes *onnx, const struct ood_trainer_options *options, struct ood_error *err) OOD_MUST_CHECK;
void ood_trainer_free(struct ood_trainer *trainer);            /* NULL is fine; ends its threads */

size_t ood_trainer_classes(const struct ood_trainer *trainer);       /* K */
size_t ood_trainer_dimension(const struct ood_trainer *trainer);     /* D */
size_t ood_trainer_pictures(const struct ood_trainer *trainer);      /* N = in + out */
size_t ood_trainer_input_floats(const struct ood_trainer *trainer);  /* of one picture, row-major over the input's shape without the batch */
size_t ood_trainer_bytes(const struct ood_trainer *trainer);         /* allocated */

/* ---- parameters ---- */

/* An initialiser of the file that training changes, or a running statistic. The memory is the trainer's. */
struct ood_parameter {
    const char *name;                        /* the initialiser's, unique */
    struct ood_shape shape;                  /* as in the file */
    size_t count;
    float *value;
    const float *gradient;                   /* after backward: of the whole batch; NULL: a running statistic */
    bool decay;                              /* weight decay applies: weights of convolutions and products; not biases, not batch norm */
};
size_t ood_trainer_parameter_count(const struct ood_trainer *trainer);       /* running statistics last */
struct ood_parameter ood_trainer_parameter(const struct ood_trainer *trainer, size_t i);

/* Parameter values were written (an optimiser's step, a checkpoint): kernels bring them into their own form before the next forward pass. */
void ood_trainer_parameters_changed(struct ood_trainer *trainer);

/* ---- a step ---- */

/* Writes picture `index` of the batch, preprocessed: 0 … in - 1 are in-distribution, in … in + out - 1 outliers. Called from any of the
 * trainer's threads, once for each index, in no order. False stops the step with its error (that of the lowest index). */
typedef bool ood_trainer_fill(void *context, size_t index, float *input, struct ood_error *err);

/* One forward pass in training mode. Running statistics move (but for FROZEN). */
bool ood_trainer_forward(struct ood_trainer *trainer, ood_trainer_fill *fill, void *context, struct ood_error *err) OOD_MUST_CHECK;

const float *ood_trainer_logits(const struct ood_trainer *trainer);          /* [N][K], by index */
const float *ood_trainer_features(const struct ood_trainer *trainer);        /* [N][D] */
float *ood_trainer_logits_gradient(struct ood_trainer *trainer);             /* [N][K]: to be written before backward */
float *ood_trainer_features_gradient(struct ood_trainer *trainer);           /* [N][D] */

void ood_trainer_backward(struct ood_trainer *trainer);

/* ---- profile ---- */

struct ood_trainer_step_info { const char *node, *op, *kernel; bool backward; double seconds; };     /* seconds: summed over all slices and steps */
void ood_trainer_profile(struct ood_trainer *trainer, bool on);              /* clocks around each step; switching on sets them to 0 */
size_t ood_trainer_step_count(const struct ood_trainer *trainer);
struct ood_trainer_step_info ood_trainer_step(const struct ood_trainer *trainer, size_t i);

#endif
