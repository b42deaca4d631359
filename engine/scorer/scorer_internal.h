/* What forward.c and scorer.c share. */
#ifndef OOD_SCORER_SCORER_INTERNAL_H
#define OOD_SCORER_SCORER_INTERNAL_H

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
struct ood_forward *ood_session_forward(struct ood_session *session);

#define OOD_PICTURE_PIXELS UINT64_C(40000000)

/* Inputs [n][floats] already preprocessed, n <= batch, through the plan of `batch` (unused places are zero); logits [n][K]
 * and features [n][D] out, either may be NULL. */
void ood_forward_inputs(struct ood_forward *forward, const float *inputs, size_t n, size_t batch, float *logits, float *features);

/* The caller's boxes through a detector's bundle (ood_scorer_is_detector): detections[n].box are set, in pixels of the upright
 * picture and finite; each is cut to the picture, and gets the logits of the detector's candidate that overlaps it most (IoU;
 * ties: the greater score) and the features of its own region. A box without area inside the picture, or that no candidate
 * overlaps, fails alone in its verdict. scene->count becomes n. */
void ood_detect_boxes(struct ood_session *session, const void *picture, size_t picture_size, struct ood_detection *detections,
                      size_t n, struct ood_scene *scene, struct ood_timing *timing);

#endif
