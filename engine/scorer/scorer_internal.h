/* What forward.c and scorer.c share. */
#ifndef OOD_SCORER_SCORER_INTERNAL_H
#define OOD_SCORER_SCORER_INTERNAL_H

#include <stdatomic.h>

#include "scorer/scorer.h"

struct ood_forward {
    struct ood_model *model;                 /* a reference */
    struct ood_preprocess preprocess;
    uint64_t picture_pixels;
    struct ood_run *run;
    struct ood_workspace workspace;
    size_t floats, classes, dimension;       /* of one item: input, K, D */
    size_t most;                             /* items run together */
    float *inputs;                           /* [most][floats], decoded and waiting for a plan */
    size_t *places;                          /* [most]: whose input each is */
};

/* What a session is made of: boxes.c cuts in the workspace that decodes for its network. */
const struct ood_scorer *ood_session_scorer(const struct ood_session *session);
struct ood_forward *ood_session_forward(struct ood_session *session);      /* NULL: a detector's */
struct ood_workspace *scorer_session_workspace(struct ood_session *session);
struct ood_workspace *scorer_regions_workspace(struct ood_regions *regions);

#define OOD_PICTURE_PIXELS UINT64_C(40000000)

struct ood_scorer {
    atomic_size_t references;
    struct ood_bundle *bundle;               /* its onnx and self-test inputs are released once they were used */
    struct ood_model *model;
    struct ood_decoder *decoder;             /* NULL: a classifier's bundle */
    uint64_t picture_pixels;
    bool convolution_as_made;                /* the kernels the bundle was made with: its self-test holds to the bit */
};

struct ood_session {
    struct ood_scorer *scorer;               /* a reference */
    struct ood_forward *forward;             /* a classifier's: */
    struct ood_item *items;                  /* [forward->most]: the caller's, with our memory for the outputs */
    float *logits, *features;                /* [most][K], [most][D]; a detector's: [K], [D] */
    struct ood_regions *regions;             /* a detector's: */
    struct ood_region *found;                /* [most detections] */
    double limit;
};

/* The network has one input, of the preprocessing's shape? (forward.c) */
bool scorer_check_input(const struct ood_model *model, const struct ood_preprocess *preprocess, struct ood_error *err) OOD_MUST_CHECK;
/* The caller ran the network: lengths are all there is to check. (forward.c) */
bool scorer_take_tensors(size_t classes, size_t dimension, const struct ood_item *item, float *logits, float *features,
                         struct ood_error *err) OOD_MUST_CHECK;

/* Does a recorded score hold? scorer.c. */
bool scorer_scores_hold(const struct ood_bundle *bundle, size_t i, const float *logits, const float *features, bool exact,
                        struct ood_error *err) OOD_MUST_CHECK;

/* A detector's half of opening, session and ood_score (detect.c). */
bool scorer_detector_open(struct ood_scorer *scorer, enum ood_convolution convolution, struct ood_error *err) OOD_MUST_CHECK;
bool scorer_detector_self_test(const struct ood_scorer *scorer, bool exact, struct ood_error *err) OOD_MUST_CHECK;
bool scorer_detector_session(struct ood_session *session, struct ood_error *err) OOD_MUST_CHECK;
void scorer_detector_items(struct ood_session *session, const struct ood_item *items, size_t n, struct ood_verdict *verdicts);

/* Inputs [n][floats] already preprocessed, n <= batch, through the plan of `batch` (unused places are zero); logits [n][K]
 * and features [n][D] out, either may be NULL. */
void ood_forward_inputs(struct ood_forward *forward, const float *inputs, size_t n, size_t batch, float *logits, float *features);

/* The caller's boxes through a detector's bundle (ood_scorer_is_detector): detections[n].box are set, in pixels of the upright
 * picture and finite; each is cut to the picture, and gets the logits of the detector's candidate that overlaps it most (IoU;
 * ties: the greater score) and the features of its own region. A box without area inside the picture, or that no candidate
 * overlaps, fails alone in its verdict. scene->count becomes n; timing is added to. */
void ood_detect_boxes(struct ood_session *session, const void *picture, size_t picture_size, struct ood_detection *detections,
                      size_t n, struct ood_scene *scene, struct ood_timing *timing);

#endif
