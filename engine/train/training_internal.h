/* What training.c, checkpoint.c and region_head.c share. */
#ifndef OOD_TRAIN_TRAINING_INTERNAL_H
#define OOD_TRAIN_TRAINING_INTERNAL_H

#include "train/training.h"

struct ood_training {
    struct ood_training_options options;
    struct ood_training_data data;
    const struct ood_bytes *onnx;
    bool early;                              /* the trainer at work is the one for early_side */
    struct ood_trainer *trainer;
    struct ood_optimiser *optimiser;         /* blocks: the trainer's parameters in order, then the prototypes if there are any */
    struct ood_loss *loss;
    size_t classes, dimension;
    bool has_prototypes;
    float *prototypes, *prototype_gradient;  /* [K][D] */
    struct ood_order in_order, out_order;
    size_t *places;                          /* [N] of the step's pictures in their sets */
    int32_t *labels;                         /* [N] */
    uint64_t step;
};

/* Over the trainer's parameters in order, then v of the prototypes (NULL: none) with its gradient and rate, `cells` numbers. NULL on failure. */
struct ood_optimiser *ood_training_optimiser(struct ood_trainer *trainer, float *prototypes, float *gradient, size_t cells, double rate,
                                             const struct ood_optimiser_options *options, struct ood_error *err) OOD_MUST_CHECK;

/* c_k = v_k/|v_k|: unit[K][D]. */
void ood_training_unit(const float *prototypes, size_t classes, size_t dimension, float *unit);

/* The losses with these options from now on. */
bool ood_training_set_loss(struct ood_training *training, const struct ood_loss_options *options, struct ood_error *err) OOD_MUST_CHECK;

#endif
