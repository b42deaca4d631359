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

/* ---- detectors: from a picture to regions, for fit and eval before there is a bundle ---- */

/* The network compiled for one picture at a time with every tensor the detector reads, and the declaration bound to their shapes.
 * *decoder is the caller's, freed by ood_decoder_free. What does not fit is named. */
struct ood_model *ood_detector_model(const struct ood_bytes *onnx, const struct ood_detector *detector,
                                     const struct ood_preprocess *preprocess, enum ood_convolution convolution,
                                     struct ood_decoder **decoder, struct ood_error *err) OOD_MUST_CHECK;

/* One thread's memory to find regions in; holds a reference to the model. The decoder stays the caller's and must outlive it. */
struct ood_regions;
struct ood_regions *ood_regions_new(struct ood_model *model, const struct ood_decoder *decoder, const struct ood_preprocess *preprocess,
                                    uint64_t picture_pixels, struct ood_error *err) OOD_MUST_CHECK;
void ood_regions_free(struct ood_regions *regions);

struct ood_region {
    double box[4];                           /* pixels of the upright picture, cut to it */
    double score, objectness, probability;
    size_t class_index, candidate;           /* the detector's best class; which candidate */
};

/* Runs one picture: regions with score >= limit after suppression, best first, into out[the detector's most]; scene's count is how
 * many. What fails is scene->error. The network's outputs stay for ood_regions_vectors until the next run. timing (may be NULL)
 * is added to. */
void ood_regions_find(struct ood_regions *regions, const void *picture, size_t picture_size, double limit, struct ood_region *out,
                      struct ood_scene *scene, struct ood_timing *timing);

/* The same from an input already preprocessed [ood_preprocess_floats], as if the picture were of the input's size. */
void ood_regions_find_input(struct ood_regions *regions, const float *input, double limit, struct ood_region *out, struct ood_scene *scene);

/* The picture as the network's input [ood_preprocess_floats]; false: scene->error says why. Nothing is run. */
bool ood_regions_load(struct ood_regions *regions, const void *picture, size_t picture_size, float *input, struct ood_scene *scene);

/* logits[K] and features[D] of a region of the last run (METHOD section 7). */
void ood_regions_vectors(struct ood_regions *regions, const struct ood_region *region, float *logits, float *features);

/* A caller's box through the last run's outputs: region->box is set, finite, and is cut to the picture; the rest becomes that of
 * the candidate that overlaps it most. False: err says why. */
bool ood_regions_match(struct ood_regions *regions, struct ood_region *region, struct ood_error *err) OOD_MUST_CHECK;

/* What ood_detect of a session finds from now on: detections of this score and more, in place of the bundle's limit (eval: AP50). */
void ood_session_detection_limit(struct ood_session *session, double limit);

#endif
