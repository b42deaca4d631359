/* A network's logits and features of pictures in memory, and what they say of it while it is trained: accuracy, and how well its
 * scores tell held-out outliers. Inference as everywhere else (plan/plan.h), on several threads; results do not depend on them. */
#ifndef OOD_TRAIN_INFERENCE_H
#define OOD_TRAIN_INFERENCE_H

#include "plan/plan.h"
#include "train/picture_set.h"

struct ood_outputs { size_t count, classes, dimension; float *logits, *features; };       /* [count][K], [count][D] */
void ood_outputs_free(struct ood_outputs *outputs);            /* frees what it holds, leaves it zeroed */

/* The network at the set's input size, with Winograd convolutions; NULL on failure. */
struct ood_model *ood_inference_model(const struct ood_bytes *onnx, const struct ood_picture_set *set, const char *logits, const char *features,
                                      struct ood_error *err) OOD_MUST_CHECK;

/* Pictures places[count] of the set, whole, through the model. */
bool ood_inference(struct ood_model *model, struct ood_picture_set *set, const size_t *places, size_t count, size_t threads, struct ood_outputs *out,
                   struct ood_error *err) OOD_MUST_CHECK;

struct ood_validation {
    size_t in, out;                          /* pictures */
    double accuracy;
    bool told;                               /* the rest is there: there are outliers. Of D and S NaN where there are no prototypes */
    double energy_fpr95, representation_fpr95, score_fpr95;            /* E, D and S at beta 0.5 (METHOD sections 2 and 5) */
    double energy_auroc, representation_auroc, score_auroc;
};

/* classes[in->count]: the true ones. prototypes [K][D]: c; NULL: unit class means of these very pictures; a class without two of
 * them leaves D and S open. out may be empty. */
bool ood_validate(const struct ood_outputs *in, const int32_t *classes, const struct ood_outputs *out, const float *prototypes, double temperature,
                  struct ood_validation *result, struct ood_error *err) OOD_MUST_CHECK;

#endif
