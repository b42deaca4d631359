/* A bundle made ready: read, compiled, checked against its prototypes, self-tested; counted references; sessions; and
 * ood_score, the one way from items to verdicts. */
#include "scorer/scorer.h"

#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "ops/ops.h"
#include "scorer/scorer_internal.h"

#define BATCH 8

/* ---- opening ---- */

struct ood_scorer *ood_scorer_from_bundle(struct ood_bundle *bundle, const struct ood_scorer_options *options, struct ood_error *err)
{
    struct ood_scorer_options none = { 0 };
    if (options == NULL)
        options = &none;
    struct ood_forward *forward = NULL;
    struct ood_scorer *scorer = ood_new(struct ood_scorer, err);
    if (scorer == NULL) {
        ood_bundle_free(bundle);
        return NULL;
    }
    atomic_init(&scorer->references, 1);
    scorer->bundle = bundle;
    scorer->picture_pixels = options->picture_pixels != 0 ? options->picture_pixels : OOD_PICTURE_PIXELS;
    enum ood_convolution made_with = bundle->convolution;
    enum ood_convolution convolution = options->convolution == OOD_CONVOLUTION_AUTO ? made_with : options->convolution;
    scorer->convolution_as_made = convolution == made_with;
    if (bundle->detector != NULL) {
        if (!scorer_detector_open(scorer, convolution, err))
            goto fail;
        ood_bytes_free(&bundle->onnx);
        return scorer;
    }
    struct ood_model_options model_options = {
        .one_if_needed = true, .operators = ood_op_table,
        .input_shape = ood_preprocess_shape(&bundle->input),
        .logits = bundle->logits_tap,
        .features = bundle->features_tap,
        .batch = options->batch != 0 ? options->batch : BATCH,
        .convolution = convolution,
        .spend = true,
    };
    scorer->model = ood_model_new(&bundle->onnx, &model_options, err);
    if (scorer->model == NULL)
        goto fail;
    forward = ood_forward_new(scorer->model, &bundle->input, options->picture_pixels, err);     /* what it checks, now */
    if (forward == NULL)
        goto fail;
    if (forward->classes != bundle->classes || forward->classes != bundle->judge.classes ||
        forward->dimension != bundle->judge.dimension) {
        ood_fail(err, OOD_INVALID, "%zu logits and %zu features, but %zu labels and prototypes of [%zu, %zu]", forward->classes,
                 forward->dimension, bundle->classes, bundle->judge.classes, bundle->judge.dimension);
        goto fail;
    }
    if (strcmp(ood_model_input_name(scorer->model, 0), bundle->input_tensor) != 0) {
        ood_fail(err, OOD_INVALID, "input %s, but model.json names %s", ood_model_input_name(scorer->model, 0), bundle->input_tensor);
        goto fail;
    }
    ood_forward_free(forward);
    ood_bytes_free(&bundle->onnx);
    return scorer;
fail:
    ood_error_prefix(err, "model.onnx");
    ood_forward_free(forward);
    ood_scorer_free(scorer);
    return NULL;
}

/* Does a recorded score hold? To the bit where the same instructions made it; else within 1e-4 + 1e-3·|x|. */
static bool holds(double found, double recorded, bool exact)
{
    if (exact)
        return memcmp(&found, &recorded, sizeof found) == 0;
    return fabs(found - recorded) <= 1e-4 + 1e-3 * fabs(recorded);       /* false for NaN */
}

bool scorer_scores_hold(const struct ood_bundle *bundle, size_t i, const float *logits, const float *features, bool exact,
                        struct ood_error *err)
{
    struct ood_verdict verdict = { 0 };
    if (!ood_measure(&bundle->judge, logits, features, &verdict, err))
        return ood_error_prefix(err, "input %zu", i);
    const struct { const char *name; double found, recorded; } scores[] = {
        { "energy", verdict.energy, bundle->selftest_energy[i] },
        { "representation score", verdict.representation_score, bundle->selftest_representation[i] },
        { "score", ood_fuse(&bundle->judge, verdict.energy, verdict.representation_score), bundle->selftest_score[i] },
    };
    for (size_t k = 0; k < sizeof scores / sizeof scores[0]; k++)
        if (!holds(scores[k].found, scores[k].recorded, exact))
            return ood_fail(err, OOD_INVALID, "input %zu: %s %.17g, recorded %.17g (%s)", i, scores[k].name, scores[k].found,
                            scores[k].recorded, exact ? "expected the same bits" : "expected within 1e-4 + 1e-3·|x|");
    return true;
}

/* To the bit? */
static bool self_test_is_exact(const struct ood_scorer *scorer)
{
    char identity[OOD_ENGINE_IDENTITY];
    return scorer->convolution_as_made && strcmp(scorer->bundle->selftest_isa, ood_engine_identity(identity)) == 0;
}

/* Place by place, the recorded inputs through the smallest and the largest plan: the same bits from both, and the scores that
 * were recorded. */
static bool self_test(const struct ood_scorer *scorer, struct ood_forward *forward, struct ood_error *err)
{
    const struct ood_bundle *bundle = scorer->bundle;
    size_t k = forward->classes, d = forward->dimension, count = bundle->selftest_count;
    size_t least = ood_model_plan_batch(scorer->model, 1), most = forward->most;
    bool exact = self_test_is_exact(scorer), passed = false;
    float *logits = ood_alloc(most + 1, k * sizeof *logits, err), *features = ood_alloc(most + 1, d * sizeof *features, err);
    if (logits == NULL || features == NULL)
        goto out;
    float *one_logits = logits + most * k, *one_features = features + most * d;
    for (size_t i = 0; i < most; i++)
        memcpy(forward->inputs + i * forward->floats, bundle->selftest_inputs + i % count * forward->floats,
               forward->floats * sizeof(float));
    ood_forward_inputs(forward, forward->inputs, most, most, logits, features);
    for (size_t i = 0; i < (count > most ? count : most); i++) {
        ood_forward_inputs(forward, bundle->selftest_inputs + i % count * forward->floats, 1, least, one_logits, one_features);
        if (i < most && (memcmp(one_logits, logits + i * k, k * sizeof *logits) != 0 ||
                         memcmp(one_features, features + i * d, d * sizeof *features) != 0)) {
            ood_fail(err, OOD_INVALID, "input %zu: other outputs at batch %zu, place %zu than at batch %zu", i % count, most, i, least);
            goto out;
        }
        if (i < count && !scorer_scores_hold(bundle, i, one_logits, one_features, exact, err))
            goto out;
    }
    passed = true;
out:
    ood_free(logits);
    ood_free(features);
    return passed;
}

struct ood_scorer *ood_scorer_open(const char *folder, const struct ood_scorer_options *options, struct ood_error *err)
{
    struct ood_forward *forward = NULL;
    struct ood_scorer *scorer = NULL;
    struct ood_bundle *bundle = ood_bundle_read(folder, err);
    if (bundle == NULL)
        goto fail;
    scorer = ood_scorer_from_bundle(bundle, options, err);
    if (scorer == NULL)
        goto fail;
    if (bundle->selftest_count == 0 || bundle->selftest_floats != ood_preprocess_floats(&bundle->input)) {
        ood_fail(err, OOD_INVALID, "selftest.safetensors: %zu inputs of %zu values, expected at least one of %zu",
                 bundle->selftest_count, bundle->selftest_floats, ood_preprocess_floats(&bundle->input));
        goto fail;
    }
    if (scorer->decoder == NULL) {
        forward = ood_forward_new(scorer->model, &bundle->input, scorer->picture_pixels, err);
        if (forward == NULL)
            goto fail;
    }
    if (forward != NULL ? !self_test(scorer, forward, err) : !scorer_detector_self_test(scorer, self_test_is_exact(scorer), err)) {
        ood_error_prefix(err, "self-test");
        goto fail;
    }
    ood_forward_free(forward);
    ood_free(bundle->selftest_inputs);       /* bundle_free takes NULL */
    bundle->selftest_inputs = NULL;
    return scorer;
fail:
    ood_error_prefix(err, "%s", folder);
    ood_forward_free(forward);
    ood_scorer_free(scorer);
    return NULL;
}

/* ---- references ---- */

struct ood_scorer *ood_scorer_ref(struct ood_scorer *scorer)
{
    /* Relaxed: whoever takes a reference already holds one, so nothing is published by the count. */
    atomic_fetch_add_explicit(&scorer->references, 1, memory_order_relaxed);
    return scorer;
}

void ood_scorer_free(struct ood_scorer *scorer)
{
    /* Release each drop, acquire the last: what any thread did with the scorer happens before it is freed. */
    if (scorer == NULL || atomic_fetch_sub_explicit(&scorer->references, 1, memory_order_acq_rel) != 1)
        return;
    ood_model_free(scorer->model);
    ood_decoder_free(scorer->decoder);
    ood_bundle_free(scorer->bundle);
    ood_free(scorer);
}

struct ood_session *ood_scorer_session(struct ood_scorer *scorer, struct ood_error *err)
{
    struct ood_session *session = ood_new(struct ood_session, err);
    if (session == NULL)
        return NULL;
    session->scorer = ood_scorer_ref(scorer);
    if (scorer->decoder != NULL) {
        if (scorer_detector_session(session, err))
            return session;
        goto fail;
    }
    session->forward = ood_forward_new(scorer->model, &scorer->bundle->input, scorer->picture_pixels, err);
    if (session->forward == NULL)
        goto fail;
    size_t most = session->forward->most;
    session->items = ood_new_array(struct ood_item, most, err);
    session->logits = ood_alloc(most, session->forward->classes * sizeof *session->logits, err);
    session->features = ood_alloc(most, session->forward->dimension * sizeof *session->features, err);
    if (session->items == NULL || session->logits == NULL || session->features == NULL)
        goto fail;
    return session;
fail:
    ood_session_free(session);
    return NULL;
}

void ood_session_free(struct ood_session *session)
{
    if (session == NULL)
        return;
    ood_forward_free(session->forward);
    ood_regions_free(session->regions);
    ood_free(session->found);
    ood_free(session->items);
    ood_free(session->logits);
    ood_free(session->features);
    ood_scorer_free(session->scorer);
    ood_free(session);
}

const struct ood_scorer *ood_session_scorer(const struct ood_session *session) { return session->scorer; }
struct ood_forward *ood_session_forward(struct ood_session *session) { return session->forward; }
struct ood_workspace *scorer_session_workspace(struct ood_session *session)
{
    return session->forward != NULL ? &session->forward->workspace : scorer_regions_workspace(session->regions);
}

/* ---- asking ---- */

size_t ood_scorer_classes(const struct ood_scorer *scorer) { return scorer->bundle->classes; }
size_t ood_scorer_dimension(const struct ood_scorer *scorer) { return scorer->bundle->judge.dimension; }
const char *ood_scorer_version(const struct ood_scorer *scorer) { return scorer->bundle->version; }
const struct ood_bundle *ood_scorer_bundle(const struct ood_scorer *scorer) { return scorer->bundle; }
const struct ood_model *ood_scorer_model(const struct ood_scorer *scorer) { return scorer->model; }

const char *ood_scorer_label(const struct ood_scorer *scorer, size_t class_index)
{
    return class_index < scorer->bundle->classes ? scorer->bundle->labels[class_index] : "";
}

/* ---- scoring ---- */

/* At most forward->most items. */
static void score_some(struct ood_session *session, const struct ood_item *items, size_t n, struct ood_verdict *verdicts,
                       struct ood_timing *timing)
{
    const struct ood_judge *judge = &session->scorer->bundle->judge;
    size_t classes = session->forward->classes, dimension = session->forward->dimension;
    for (size_t i = 0; i < n; i++) {
        session->items[i] = items[i];
        session->items[i].logits_out = session->logits + i * classes;
        session->items[i].features_out = session->features + i * dimension;
    }
    ood_forward_run(session->forward, session->items, n, NULL, verdicts, timing);
    double start = ood_clock();
    for (size_t i = 0; i < n; i++) {
        struct ood_error err = { 0 };
        const float *logits = session->items[i].logits_out, *features = session->items[i].features_out;
        if (verdicts[i].error.code != OOD_OK)
            continue;
        if (!ood_judge_item(judge, logits, features, &verdicts[i], &err)) {
            verdicts[i] = (struct ood_verdict){ .error = err };
            continue;
        }
        if (items[i].logits_out != NULL)
            memcpy(items[i].logits_out, logits, classes * sizeof *logits);
        if (items[i].features_out != NULL)
            memcpy(items[i].features_out, features, dimension * sizeof *features);
    }
    timing->score += ood_clock() - start;
}

bool ood_score(const struct ood_scorer *scorer, struct ood_session *session, const struct ood_item *items, size_t n,
               struct ood_verdict *verdicts, struct ood_timing *timing, struct ood_error *err)
{
    struct ood_timing spent = { 0 };
    if (session->scorer != scorer)
        return ood_fail(err, OOD_INVALID, "the session was made for another scorer");
    if (session->forward == NULL)
        scorer_detector_items(session, items, n, verdicts);
    for (size_t first = 0, count; session->forward != NULL && first < n; first += count) {
        count = n - first < session->forward->most ? n - first : session->forward->most;
        score_some(session, items + first, count, verdicts + first, &spent);
    }
    if (timing != NULL)
        *timing = spent;
    return true;
}
