/* What the programs may know of a scorer beyond ood.h: the bundle and the compiled model behind it. The bundle's onnx bytes
 * and self-test inputs are released once they were used. */
#ifndef OOD_SCORER_SCORER_H
#define OOD_SCORER_SCORER_H

#include "bundle/bundle.h"
#include "plan/plan.h"

const struct ood_bundle *ood_scorer_bundle(const struct ood_scorer *scorer);
const struct ood_model *ood_scorer_model(const struct ood_scorer *scorer);

/* A scorer around a bundle just made (fit): takes the bundle (also on failure); no self-test is run. */
struct ood_scorer *ood_scorer_from_bundle(struct ood_bundle *bundle, const struct ood_scorer_options *options,
                                          struct ood_error *err) OOD_MUST_CHECK;

/* The shape of the network's input that a preprocessing fills: {N, C, H, W} or {N, H, W, C}, the batch free. */
struct ood_shape ood_preprocess_shape(const struct ood_preprocess *preprocess);

/* The way of ood_score up to logits and features, for fit: outputs of the network for each item into its logits_out and
 * features_out (both needed); errors[n] says which items failed. `preprocess` in place of the bundle's may not be given:
 * it is the bundle's. */
struct ood_forward;                          /* a model, a run, a workspace: fit's before there is a bundle */
struct ood_forward *ood_forward_new(struct ood_model *model, const struct ood_preprocess *preprocess, uint64_t picture_pixels,
                                    struct ood_error *err) OOD_MUST_CHECK;
void ood_forward_free(struct ood_forward *forward);
size_t ood_forward_classes(const struct ood_forward *forward);       /* K and D: floats of logits_out and features_out */
size_t ood_forward_dimension(const struct ood_forward *forward);
/* verdicts[i].error and .warnings are set, nothing else. ood_score runs exactly this, then ood_judge_item. inputs: NULL, or
 * [n][ood_preprocess_floats] where the preprocessed inputs are copied to (self-test). */
void ood_forward_run(struct ood_forward *forward, const struct ood_item *items, size_t n, float *inputs,
                     struct ood_verdict *verdicts, struct ood_timing *timing);

#endif
