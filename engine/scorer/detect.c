/* Pictures to detections with a detector's bundle. Bundles with a detector are not read yet, so that none can be asked. */
#include "scorer/scorer_internal.h"

bool ood_scorer_is_detector(const struct ood_scorer *scorer)
{
    (void)scorer;
    return false;
}

size_t ood_scorer_detections_most(const struct ood_scorer *scorer)
{
    (void)scorer;
    return 0;
}

bool ood_detect(const struct ood_scorer *scorer, struct ood_session *session, const void *picture, size_t picture_size,
                struct ood_detection *detections, size_t capacity, struct ood_scene *scene, struct ood_timing *timing,
                struct ood_error *err)
{
    (void)session, (void)picture, (void)picture_size, (void)detections, (void)capacity, (void)scene, (void)timing;
    return ood_fail(err, OOD_UNSUPPORTED, "%s: the bundle holds no detector", ood_scorer_bundle(scorer)->name);
}

void ood_detect_boxes(struct ood_session *session, const void *picture, size_t picture_size, struct ood_detection *detections,
                      size_t n, struct ood_scene *scene, struct ood_timing *timing)
{
    (void)session, (void)picture, (void)picture_size, (void)detections, (void)n, (void)timing;
    *scene = (struct ood_scene){ 0 };
    ood_fail(&scene->error, OOD_UNSUPPORTED, "the bundle holds no detector");
}
