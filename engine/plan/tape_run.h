/* Running a tape: slices shared out to threads, steps that run once between them. For train/. */
#ifndef OOD_PLAN_TAPE_RUN_H
#define OOD_PLAN_TAPE_RUN_H

#include "plan/tape.h"

struct ood_tape_options {
    const struct ood_op *const *operators;
    struct ood_shape input_shape;            /* see ood_graph_options */
    const char *logits, *features;           /* taps; NULL: the defaults */
    size_t slices, slice_pictures, slice_in; /* of slice_pictures the first slice_in are in-distribution */
    enum ood_statistics statistics;
    double momentum;                         /* of running statistics */
};

/* Reads and compiles; onnx is not needed afterwards. */
struct ood_tape *ood_tape_new(const struct ood_bytes *onnx, const struct ood_tape_options *options, struct ood_error *err) OOD_MUST_CHECK;
void ood_tape_free(struct ood_tape *tape);

size_t ood_tape_classes(const struct ood_tape *tape);
size_t ood_tape_dimension(const struct ood_tape *tape);
size_t ood_tape_input_floats(const struct ood_tape *tape);     /* of a picture */
size_t ood_tape_bytes(const struct ood_tape *tape);            /* slices and what they share */

struct ood_tape_parameter_info { const char *name; struct ood_shape shape; size_t count; float *value; const float *gradient; enum ood_parameter_kind kind; };
size_t ood_tape_parameter_count(const struct ood_tape *tape);
struct ood_tape_parameter_info ood_tape_parameter_info(const struct ood_tape *tape, size_t i);

/* Memory and threads to run a tape in; the tape must outlive it. The caller's thread is one of `threads`. */
struct ood_tape_run;
struct ood_tape_run *ood_tape_run_new(const struct ood_tape *tape, size_t threads, struct ood_error *err) OOD_MUST_CHECK;
void ood_tape_run_free(struct ood_tape_run *run);

/* Slice s's memory: [slice_pictures] rows of input_floats, classes, dimension floats. */
float *ood_tape_run_input(const struct ood_tape_run *run, size_t slice);
const float *ood_tape_run_logits(const struct ood_tape_run *run, size_t slice);
const float *ood_tape_run_features(const struct ood_tape_run *run, size_t slice);
float *ood_tape_run_logits_gradient(const struct ood_tape_run *run, size_t slice);
float *ood_tape_run_features_gradient(const struct ood_tape_run *run, size_t slice);

/* Calls work(context, i) for each i below count, on all threads. */
void ood_tape_run_each(struct ood_tape_run *run, size_t count, void (*work)(void *context, size_t i), void *context);

void ood_tape_run_prepare(struct ood_tape_run *run);           /* parameters into kernels' forms */
void ood_tape_run_forward(struct ood_tape_run *run);
void ood_tape_run_backward(struct ood_tape_run *run);

/* Seconds of each step, summed over slices and runs; off by default. */
void ood_tape_run_profile(struct ood_tape_run *run, bool on);
struct ood_tape_step_info { const char *node, *op, *kernel; bool backward; double seconds, flops; };
size_t ood_tape_run_step_count(const struct ood_tape_run *run);
struct ood_tape_step_info ood_tape_run_step(const struct ood_tape_run *run, size_t i);

#endif
