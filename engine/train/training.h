/* A training run, step by step: pictures in order and augmented, the network forward and back (train/trainer.h), the losses
 * (train/loss.h), the optimiser (train/optimiser.h) at the schedule's rate; its state to and from a checkpoint. Deterministic: the state
 * after a step depends on the state before, the options, the step's number and the progress given, on nothing else. */
#ifndef OOD_TRAIN_TRAINING_H
#define OOD_TRAIN_TRAINING_H

#include "train/loss.h"
#include "train/optimiser.h"
#include "train/picture_set.h"
#include "train/schedule.h"
#include "train/trainer.h"

struct ood_training_options {
    struct ood_trainer_options trainer;      /* input_shape: of the network at its full size, {batch, C, H, W} or {batch, H, W, C} */
    struct ood_loss_options loss;
    struct ood_optimiser_options optimiser;
    struct ood_schedule schedule;
    struct ood_augment augment;              /* at the full size; strange: of outliers alone */
    size_t early_side;                       /* progressive size: windows of early_side × early_side while progress < early_share; 0: none */
    double early_share;
    double prototype_rate;                   /* factor of the learning rate for the prototypes; METHOD: 1 */
    uint64_t seed;
};

/* What is trained on. All of it stays the caller's and stays there. */
struct ood_training_data {
    struct ood_picture_set *in, *out;        /* out: NULL where the batch has no outliers */
    const size_t *in_places, *out_places;    /* which of their pictures */
    size_t in_count, out_count;
    const int32_t *in_classes;               /* by place in the set */
};

struct ood_training;

/* onnx (kept by the caller): the network to begin with. prototypes [K][D]: v to begin with, any length but 0; NULL where the losses need none.
 * Fails as ood_trainer_new and ood_loss_new do. */
struct ood_training *ood_training_new(const struct ood_bytes *onnx, const struct ood_training_options *options, const struct ood_training_data *data,
                                      const float *prototypes, struct ood_error *err) OOD_MUST_CHECK;
void ood_training_free(struct ood_training *training);         /* NULL is fine */

uint64_t ood_training_steps(const struct ood_training *training);      /* taken so far */
size_t ood_training_bytes(const struct ood_training *training);        /* of the trainer */
const struct ood_loss_options *ood_training_loss(const struct ood_training *training);       /* as it is used */
struct ood_trainer *ood_training_trainer(struct ood_training *training);       /* the one at work, until the next step */

struct ood_training_report {
    struct ood_loss_terms terms;
    double rate, norm;                       /* learning rate; the gradients' norm before clipping */
};

/* One step at this progress of the budget. On failure nothing that is saved has changed, but for running statistics: a picture
 * that cannot be read again, numbers that are not finite (the term is named). */
bool ood_training_step(struct ood_training *training, double progress, struct ood_training_report *report, struct ood_error *err) OOD_MUST_CHECK;

/* The network as it is now (the average, where one is kept) as an ONNX file: freed by ood_bytes_free. */
bool ood_training_onnx(struct ood_training *training, struct ood_bytes *out, struct ood_error *err) OOD_MUST_CHECK;

/* c_k = v_k/|v_k| of the same into unit[K][D]; false: there are no prototypes. */
bool ood_training_prototypes(struct ood_training *training, float *unit);

/* ---- checkpoints (checkpoint.c): a safetensors file with parameters, running statistics, momentum, averages, prototypes, step and
 * the losses' constants, and the caller's texts: key, value, key, value …; any changed byte is found ---- */

/* Written atomically: what was at path stays until the new one is whole. elapsed: seconds of training so far. */
bool ood_checkpoint_write(struct ood_training *training, const char *path, const char *const *texts, size_t text_count, double elapsed,
                          struct ood_error *err) OOD_MUST_CHECK;

struct ood_checkpoint;
struct ood_checkpoint *ood_checkpoint_read(const char *path, struct ood_error *err) OOD_MUST_CHECK;
void ood_checkpoint_free(struct ood_checkpoint *checkpoint);   /* NULL is fine */
const char *ood_checkpoint_text(const struct ood_checkpoint *checkpoint, const char *key);     /* NULL: none */
uint64_t ood_checkpoint_steps(const struct ood_checkpoint *checkpoint);
double ood_checkpoint_elapsed(const struct ood_checkpoint *checkpoint);

/* The state into a training made with the same network and options. What is missing or of another shape is named (OOD_INVALID). */
bool ood_training_restore(struct ood_training *training, const struct ood_checkpoint *checkpoint, struct ood_error *err) OOD_MUST_CHECK;

#endif
