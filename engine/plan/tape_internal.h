/* What plan/ and train/ know of a tape: the compiled program of a network in training, and how it is run. */
#ifndef OOD_PLAN_TAPE_INTERNAL_H
#define OOD_PLAN_TAPE_INTERNAL_H

#include "plan/builder_internal.h"
#include "plan/tape_run.h"

/* An initialiser that training changes. */
struct ood_tape_parameter {
    uint32_t value;
    enum ood_parameter_kind kind;
    size_t count;
    float *data;                             /* owned */
    float *gradient;                         /* owned; of the whole batch. NULL: a statistic */
    uint32_t buffer;                         /* the slices' gradients; OOD_NONE: a statistic, or not on any way from the outputs */
    const struct ood_node *node;             /* that asked first */
};

/* Where the gradient of a value lies while the backward pass is built. */
struct ood_tape_gradient { uint32_t buffer; bool set; };

struct ood_tape_kept { const struct ood_node *node; const char *key; struct ood_operand operand; };

struct ood_tape {
    struct ood_model *model;                 /* graph, kernels, engine; it has no plans */
    struct ood_plan plan;                    /* of a slice: forward steps, then backward steps */
    struct ood_builder builder;
    size_t slice_in;
    enum ood_statistics statistics;
    double momentum;
    struct ood_slices slices;

    uint32_t *last_reader;                   /* [value_count]: all OOD_NONE, so that no forward step writes over its input */
    bool *wanted;                            /* [value_count] */
    bool *initialiser;                       /* [value_count]: a constant of the file */
    struct ood_tape_gradient *gradients;     /* [value_count] */
    struct ood_tape_parameter *parameters;
    size_t parameter_count, parameter_capacity;
    struct ood_tape_kept *kept;
    size_t kept_count, kept_capacity;
    void **shared;
    size_t shared_count, shared_capacity, shared_bytes;
    struct ood_step *prepare;                /* steps over shared memory */
    size_t prepare_count, prepare_capacity;
    bool *once;                              /* [step_count] of plan.steps, as far as once_capacity; beyond: false */
    size_t once_capacity;
    size_t forward_steps;                    /* the first so many steps of the plan */
    struct ood_operand input, logits, features, logits_gradient, features_gradient;
    size_t input_floats, classes, dimension;
};

/* A step for prepare(), oneDNN's or our own; takes what it holds, also on failure. */
bool ood_tape_add_prepare(struct ood_tape *tape, struct ood_step *step, struct ood_error *err) OOD_MUST_CHECK;

#endif
