/* fit: the self-test's inputs and scores, the provenance, and the bundle, which is opened once to see that it holds. */
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/oodctl/fit.h"

/* Up to FIT_SELFTEST kept pictures of the fit part, in the order of the source. */
static size_t choose(struct fit *fit, struct fit_kept **chosen)
{
    size_t count = 0;
    for (size_t i = 0; i < fit->kept_count && count < FIT_SELFTEST; i++)
        if (fit->is_fit[fit->kept[i].index])
            chosen[count++] = &fit->kept[i];
    for (size_t i = 1; i < count; i++)       /* a handful: insertion sort */
        for (size_t j = i; j > 0 && chosen[j]->index < chosen[j - 1]->index; j--) {
            struct fit_kept *swap = chosen[j];
            chosen[j] = chosen[j - 1];
            chosen[j - 1] = swap;
        }
    return count;
}

bool fit_self_test_allocate(struct fit *fit, size_t count, struct ood_error *err)
{
    struct ood_bundle *bundle = fit->bundle;
    bundle->selftest_floats = ood_preprocess_floats(&fit->preprocess);
    bundle->selftest_inputs = ood_alloc(count, bundle->selftest_floats * sizeof(float), err);
    bundle->selftest_energy = ood_new_array(double, count, err);
    bundle->selftest_representation = ood_new_array(double, count, err);
    bundle->selftest_score = ood_new_array(double, count, err);
    bundle->selftest_isa = ood_strdup(ood_engine_identity((char[OOD_ENGINE_IDENTITY]){ 0 }), err);
    return bundle->selftest_inputs != NULL && bundle->selftest_energy != NULL && bundle->selftest_representation != NULL &&
           bundle->selftest_score != NULL && bundle->selftest_isa != NULL;
}

/* One kept picture through the network again, alone. */
static bool self_test_one(struct fit *fit, struct ood_forward *forward, struct ctl_picture *picture, float *logits, float *features,
                          struct ood_error *err)
{
    struct ood_bundle *bundle = fit->bundle;
    size_t i = bundle->selftest_count;
    struct ood_verdict verdict = { 0 };
    if (!ctl_picture_read(picture)) {
        *err = picture->error;               /* it could be read before */
        return false;
    }
    struct ood_item item = { .picture = picture->bytes.data, .picture_size = picture->bytes.size,
                             .logits_out = logits, .features_out = features };
    ood_forward_run(forward, &item, 1, bundle->selftest_inputs + i * bundle->selftest_floats, &verdict, NULL);
    if (verdict.error.code != OOD_OK) {
        *err = verdict.error;
        return ood_error_prefix(err, "%s", picture->id);
    }
    if (!ood_measure(&fit->judge, logits, features, &verdict, err))
        return false;
    bundle->selftest_energy[i] = verdict.energy;
    bundle->selftest_representation[i] = verdict.representation_score;
    bundle->selftest_score[i] = ood_fuse(&fit->judge, verdict.energy, verdict.representation_score);
    bundle->selftest_count++;
    return true;
}

static bool make_self_test(struct fit *fit, struct ood_error *err)
{
    struct fit_kept *chosen[FIT_SELFTEST];
    size_t count = choose(fit, chosen);
    bool done = false;
    if (count == 0)
        return ood_fail(err, OOD_INVALID, "no picture for the self-test: none of those kept is in the fit part; try another --seed");
    struct ood_forward *forward = ood_forward_new(fit->model, &fit->preprocess, 0, err);
    float *logits = ood_new_array(float, fit->classes, err), *features = ood_new_array(float, fit->dimension, err);
    if (forward == NULL || logits == NULL || features == NULL || !fit_self_test_allocate(fit, count, err))
        goto out;
    for (size_t i = 0; i < count; i++)
        if (!self_test_one(fit, forward, &chosen[i]->picture, logits, features, err))
            goto out;
    done = true;
out:
    ood_forward_free(forward);
    ood_free(logits);
    ood_free(features);
    return done;
}

/* How well what a detector's background chose tells it from objects. */
static bool add_chosen(const struct fit *fit, json_t *provenance)
{
    if (fit->temperature_auroc == 0 && fit->beta_from != OOD_BETA_BACKGROUND)
        return true;
    json_t *chosen = json_object();
    bool done = json_object_set_new(provenance, "chosen", chosen) == 0;
    if (done && fit->temperature_auroc > 0)
        done = json_object_set_new(chosen, "temperature_auroc", json_real(fit->temperature_auroc)) == 0;
    if (done && fit->beta_from == OOD_BETA_BACKGROUND)
        done = json_object_set_new(chosen, "beta_auroc", json_real(fit->outlier_auroc)) == 0;
    return done;
}

/* Compact, sorted, nothing of this machine or this moment: the same inputs give the same bytes. */
static char *make_provenance(const struct fit *fit, const char *command, struct ood_error *err)
{
    char hex[OOD_HASH_HEX];
    ood_sha256_hex(fit->onnx.data, fit->onnx.size, hex);
    json_t *object = json_pack("{s:s, s:s, s:s, s:s, s:I, s:s, s:b, s:{s:I, s:I, s:I, s:I}}", "tool", fit->tool != NULL ? fit->tool : "oodctl fit", "version",
                               ood_version(), "created_by_command", command, "model_sha256", hex, "seed",
                               (json_int_t)fit->options.seed, "preset", fit->preset, "labels_from_pictures", (int)fit->labelled,
                               "pictures", "fit", (json_int_t)fit->fit_total, "calibration", (json_int_t)fit->calibration_total,
                               "unreadable", (json_int_t)(fit->images.unreadable + fit->calibration.unreadable), "outliers",
                               (json_int_t)fit->outliers.count);
    if (object != NULL && fit->training != NULL && json_object_set_new(object, "training", json_loads(fit->training, 0, NULL)) != 0) {
        json_decref(object);
        object = NULL;
    }
    if (object != NULL && !add_chosen(fit, object)) {
        json_decref(object);
        object = NULL;
    }
    char *dumped = object != NULL ? json_dumps(object, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    json_decref(object);
    if (dumped == NULL) {
        ood_fail(err, OOD_INVALID, "the provenance cannot be written as JSON (is a name not UTF-8?)");
        return NULL;
    }
    char *text = ood_strdup(dumped, err);
    free(dumped);
    return text;
}

/* The network's, or the first tensors that a detector reads for them. */
static const char *logits_tap(const struct fit *fit)
{
    const struct ood_level *level = &fit->declaration.detector.levels[0];
    if (fit->decoder != NULL)
        return level->logits.tensor != NULL ? level->logits.tensor : level->classes.tensor;
    return ood_model_graph(fit->model)->values[ood_model_taps(fit->model).logits].name;
}

static const char *features_tap(const struct fit *fit)
{
    if (fit->decoder != NULL)
        return fit->declaration.detector.head_count > 0 ? fit->declaration.detector.head_features[0] : fit->declaration.detector.maps[0];
    return ood_model_graph(fit->model)->values[ood_model_taps(fit->model).features].name;
}

static bool make_bundle(struct fit *fit, const char *command, struct ood_error *err)
{
    struct ood_bundle *bundle = fit->bundle = ood_new(struct ood_bundle, err);
    if (bundle == NULL)
        return false;
    bundle->classes = fit->classes;
    bundle->input = fit->preprocess;
    bundle->beta_from = fit->beta_from;
    bundle->convolution = fit->convolution;
    bundle->largest_difference = fit->convolution == OOD_CONVOLUTION_WINOGRAD ? fit->agreement.largest : NAN;
    bundle->name = ood_strdup(fit->options.name, err);
    bundle->input_tensor = ood_strdup(ood_model_input_name(fit->model, 0), err);
    bundle->logits_tap = ood_strdup(logits_tap(fit), err);
    bundle->features_tap = ood_strdup(features_tap(fit), err);
    bundle->provenance = make_provenance(fit, command, err);
    if (bundle->name == NULL || bundle->input_tensor == NULL || bundle->logits_tap == NULL || bundle->features_tap == NULL ||
        bundle->provenance == NULL || !(fit->decoder != NULL ? fit_regions_self_test(fit, err) : make_self_test(fit, err)))
        return false;
    if (fit->decoder != NULL) {
        bundle->detector = ood_new(struct ood_detector, err);
        if (bundle->detector == NULL)
            return false;
        *bundle->detector = fit->declaration.detector;       /* handed over */
        fit->declaration.detector = (struct ood_detector){ 0 };
    }
    bundle->labels = fit->labels;            /* handed over, like the judge and the network's bytes */
    fit->labels = NULL;
    bundle->judge = fit->judge;
    fit->judge = (struct ood_judge){ 0 };
    bundle->onnx = fit->onnx;
    fit->onnx = (struct ood_bytes){ 0 };
    return true;
}

bool fit_write(struct fit *fit, const char *command, struct ood_error *err)
{
    if (!make_bundle(fit, command, err) || !ood_bundle_write(fit->bundle, fit->options.out, err))
        return false;
    struct ood_scorer *scorer = ood_scorer_open(fit->options.out, NULL, err);
    if (scorer == NULL)
        return ood_error_prefix(err, "the bundle just written does not open");
    ood_scorer_free(scorer);
    return true;
}
