/* Pictures to detections with verdicts by a detector's bundle; the detector's half of opening one, of sessions and of ood_score. */
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "scorer/scorer_internal.h"

/* ---- opening ---- */

bool scorer_detector_open(struct ood_scorer *scorer, enum ood_convolution convolution, struct ood_error *err)
{
    struct ood_bundle *bundle = scorer->bundle;
    scorer->model = ood_detector_model(&bundle->onnx, bundle->detector, &bundle->input, convolution, &scorer->decoder, err);
    if (scorer->model == NULL)
        return false;
    if (ood_decoder_dimension(scorer->decoder) != bundle->judge.dimension || bundle->detector->classes != bundle->judge.classes)
        return ood_fail(err, OOD_INVALID, "%zu classes and features of %zu values, but prototypes of [%zu, %zu]",
                        bundle->detector->classes, ood_decoder_dimension(scorer->decoder), bundle->judge.classes, bundle->judge.dimension);
    if (strcmp(ood_model_input_name(scorer->model, 0), bundle->input_tensor) != 0)
        return ood_fail(err, OOD_INVALID, "input %s, but model.json names %s", ood_model_input_name(scorer->model, 0), bundle->input_tensor);
    return scorer_check_input(scorer->model, &bundle->input, err);
}

bool scorer_detector_session(struct ood_session *session, struct ood_error *err)
{
    const struct ood_scorer *scorer = session->scorer;
    session->regions = ood_regions_new(scorer->model, scorer->decoder, &scorer->bundle->input, scorer->picture_pixels, err);
    session->found = ood_new_array(struct ood_region, scorer->bundle->detector->most, err);
    session->logits = ood_new_array(float, scorer->bundle->classes, err);
    session->features = ood_new_array(float, scorer->bundle->judge.dimension, err);
    session->limit = scorer->bundle->detector->limit;
    return session->regions != NULL && session->found != NULL && session->logits != NULL && session->features != NULL;
}

void ood_session_detection_limit(struct ood_session *session, double limit) { session->limit = limit; }

/* Each recorded input's best detection must score as recorded. */
bool scorer_detector_self_test(const struct ood_scorer *scorer, bool exact, struct ood_error *err)
{
    const struct ood_bundle *bundle = scorer->bundle;
    struct ood_session *session = ood_scorer_session((struct ood_scorer *)scorer, err);      /* its reference is dropped below */
    bool passed = session != NULL;
    for (size_t i = 0; passed && i < bundle->selftest_count; i++) {
        struct ood_scene scene;
        ood_regions_find_input(session->regions, bundle->selftest_inputs + i * bundle->selftest_floats, bundle->detector->limit,
                               session->found, &scene);
        if (scene.error.code != OOD_OK || scene.count == 0) {
            passed = ood_fail(err, OOD_INVALID, "input %zu: %s", i, scene.count == 0 && scene.error.code == OOD_OK
                              ? "nothing detected, expected a detection" : scene.error.message);
            break;
        }
        ood_regions_vectors(session->regions, &session->found[0], session->logits, session->features);
        passed = scorer_scores_hold(bundle, i, session->logits, session->features, exact, err);
    }
    ood_session_free(session);
    return passed;
}

/* ---- asking ---- */

bool ood_scorer_is_detector(const struct ood_scorer *scorer) { return scorer->decoder != NULL; }

size_t ood_scorer_detections_most(const struct ood_scorer *scorer)
{
    return scorer->decoder != NULL ? scorer->bundle->detector->most : 0;
}

/* ---- detecting ---- */

static void judge_region(struct ood_session *session, const struct ood_region *region, struct ood_detection *out)
{
    struct ood_error err = { 0 };
    *out = (struct ood_detection){ .objectness = region->objectness, .detection_score = region->score };
    memcpy(out->box, region->box, sizeof out->box);
    ood_regions_vectors(session->regions, region, session->logits, session->features);
    if (!ood_judge_item(&session->scorer->bundle->judge, session->logits, session->features, &out->verdict, &err)) {
        out->verdict = (struct ood_verdict){ .error = err };
        return;
    }
    /* The detector's own word: from tapped or clipped logits it may differ by a rounding, or by the background. */
    out->verdict.class_index = region->class_index;
    out->verdict.class_probability = region->probability;
}

bool ood_detect(const struct ood_scorer *scorer, struct ood_session *session, const void *picture, size_t picture_size,
                struct ood_detection *detections, size_t capacity, struct ood_scene *scene, struct ood_timing *timing,
                struct ood_error *err)
{
    struct ood_timing spent = { 0 };
    if (scorer->decoder == NULL)
        return ood_fail(err, OOD_UNSUPPORTED, "%s: the bundle holds no detector", scorer->bundle->name);
    if (session->scorer != scorer)
        return ood_fail(err, OOD_INVALID, "the session was made for another scorer");
    if (capacity < scorer->bundle->detector->most)
        return ood_fail(err, OOD_INVALID, "room for %zu detections, a picture can have %zu", capacity, scorer->bundle->detector->most);
    ood_regions_find(session->regions, picture, picture_size, session->limit, session->found, scene, &spent);
    double start = ood_clock();
    for (size_t i = 0; i < scene->count; i++)
        judge_region(session, &session->found[i], &detections[i]);
    spent.score += ood_clock() - start;
    if (timing != NULL)
        *timing = spent;
    return true;
}

void ood_detect_boxes(struct ood_session *session, const void *picture, size_t picture_size, struct ood_detection *detections,
                      size_t n, struct ood_scene *scene, struct ood_timing *timing)
{
    /* A limit above every score: nothing is decoded but the boxes asked for. */
    ood_regions_find(session->regions, picture, picture_size, 2, session->found, scene, timing);
    double start = ood_clock();
    for (size_t i = 0; i < n && scene->error.code == OOD_OK; i++) {
        struct ood_error err = { 0 };
        struct ood_region region = { 0 };
        memcpy(region.box, detections[i].box, sizeof region.box);
        if (ood_regions_match(session->regions, &region, &err))
            judge_region(session, &region, &detections[i]);
        else
            detections[i].verdict = (struct ood_verdict){ .error = err };
    }
    if (scene->error.code == OOD_OK)
        scene->count = n;
    timing->score += ood_clock() - start;
}

/* ---- ood_score: logits and features of regions that the caller found ---- */

void scorer_detector_items(struct ood_session *session, const struct ood_item *items, size_t n, struct ood_verdict *verdicts)
{
    const struct ood_judge *judge = &session->scorer->bundle->judge;
    for (size_t i = 0; i < n; i++) {
        struct ood_error err = { 0 };
        const struct ood_item *item = &items[i];
        verdicts[i] = (struct ood_verdict){ 0 };
        if (item->picture != NULL || item->crop != NULL || (item->logits == NULL && item->features == NULL))
            ood_fail(&err, OOD_UNSUPPORTED, "the model is a detector: it gives verdicts for objects, not for whole pictures");
        else if (scorer_take_tensors(judge->classes, judge->dimension, item, session->logits, session->features, &err) &&
                 ood_judge_item(judge, session->logits, session->features, &verdicts[i], &err)) {
            if (item->logits_out != NULL)
                memcpy(item->logits_out, session->logits, judge->classes * sizeof(float));
            if (item->features_out != NULL)
                memcpy(item->features_out, session->features, judge->dimension * sizeof(float));
        }
        if (err.code != OOD_OK)
            verdicts[i] = (struct ood_verdict){ .error = err };
    }
}
