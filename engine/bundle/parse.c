/* A bundle from memory: model.json's sections one by one, then the tensors they speak of. Every field is checked for type and
 * range before anything depends on it. */
#include <math.h>
#include <string.h>

#include "bundle/bundle_internal.h"
#include "bundle/safetensors.h"

#define HUGE_NUMBER 1e100        /* beyond any energy; keeps sums finite */

static bool parse_name(const struct bundle_fields *top, struct ood_bundle *bundle, struct ood_error *err)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    const char *name;
    if (!bundle_field_text(top, "name", &name, err))
        return false;
    if (strlen(name) > 64 || strspn(name, allowed) != strlen(name))
        return bundle_field_fail(top, "name", "1 to 64 of A-Z a-z 0-9 . _ -", err);
    return (bundle->name = ood_strdup(name, err)) != NULL;
}

static bool parse_labels(const struct bundle_fields *top, struct ood_bundle *bundle, struct ood_error *err)
{
    const json_t *labels = json_object_get(top->object, "labels");
    size_t count = json_array_size(labels);
    if (!json_is_array(labels) || count == 0 || count > BUNDLE_CLASSES_MOST)
        return bundle_field_fail(top, "labels", "an array of 1 to 1000000 names", err);
    bundle->labels = ood_new_array(char *, count, err);
    if (bundle->labels == NULL)
        return false;
    bundle->classes = count;
    for (size_t k = 0; k < count; k++) {
        const json_t *label = json_array_get(labels, k);
        char found[BUNDLE_FOUND_TEXT];
        if (!bundle_text_is_plain(label)) {
            bundle_json_found(label, found);
            return ood_fail(err, OOD_INVALID, "labels[%zu]: found %s, expected a name of 1 to 4096 bytes without control "
                            "characters", k, found);
        }
        if ((bundle->labels[k] = ood_strdup(json_string_value(label), err)) == NULL)
            return false;
    }
    return true;
}

/* ---- taps, score, decision, engine, provenance ---- */

static bool parse_taps(const json_t *model, struct ood_bundle *bundle, struct ood_error *err)
{
    static const char *const known[] = { "logits", "features", NULL };
    struct bundle_fields taps;
    const char *logits, *features;
    return bundle_fields_open(&taps, model, "taps", known, err) && bundle_field_text(&taps, "logits", &logits, err) &&
           bundle_field_text(&taps, "features", &features, err) &&
           (bundle->logits_tap = ood_strdup(logits, err)) != NULL &&
           (bundle->features_tap = ood_strdup(features, err)) != NULL;
}

static const char *const beta_from_names[] = { "default", "outliers", "background" };

const char *ood_beta_from_name(enum ood_beta_from from) { return beta_from_names[from]; }

static bool parse_beta_from(const char *name, enum ood_beta_from *out)
{
    for (size_t i = 0; i < sizeof beta_from_names / sizeof beta_from_names[0]; i++)
        if (strcmp(name, beta_from_names[i]) == 0) {
            *out = (enum ood_beta_from)i;
            return true;
        }
    return false;
}

static bool parse_score(const json_t *model, struct ood_bundle *bundle, struct ood_error *err)
{
    static const char *const known[] = { "temperature", "distance", "beta", "beta_from", "energy_mean", "energy_std",
                                         "representation_mean", "representation_std", NULL };
    struct bundle_fields score;
    struct ood_judge *judge = &bundle->judge;
    const char *distance, *from;
    if (!bundle_fields_open(&score, model, "score", known, err) ||
        !bundle_field_number(&score, "temperature", 1e-6, 1e6, &judge->temperature, err) ||
        !bundle_field_text(&score, "distance", &distance, err) ||
        !bundle_field_number(&score, "beta", 0, 1, &judge->beta, err) ||
        !bundle_field_text(&score, "beta_from", &from, err) ||
        !bundle_field_number(&score, "energy_mean", -HUGE_NUMBER, HUGE_NUMBER, &judge->energy_mean, err) ||
        !bundle_field_number(&score, "energy_std", 1e-12, HUGE_NUMBER, &judge->energy_std, err) ||
        !bundle_field_number(&score, "representation_mean", 0, 2, &judge->representation_mean, err) ||
        !bundle_field_number(&score, "representation_std", 1e-12, 2, &judge->representation_std, err))
        return false;
    if (strcmp(distance, "nearest") != 0 && strcmp(distance, "predicted") != 0)
        return bundle_field_fail(&score, "distance", "nearest or predicted", err);
    if (!parse_beta_from(from, &bundle->beta_from))
        return bundle_field_fail(&score, "beta_from", "default, outliers or background", err);
    judge->distance = strcmp(distance, "predicted") == 0 ? OOD_DISTANCE_PREDICTED : OOD_DISTANCE_NEAREST;
    return true;
}

/* What model.json says of the decision and the calibration scores must confirm. */
struct stated { struct bundle_fields fields; double threshold, review_threshold; };

static bool parse_decision(const json_t *model, struct ood_judge *judge, struct stated *stated, struct ood_error *err)
{
    static const char *const known[] = { "alpha", "alpha_review", "threshold", "review_threshold", "per_class",
                                         "calibration_items", NULL };
    struct bundle_fields *decision = &stated->fields;
    if (!bundle_fields_open(decision, model, "decision", known, err) ||
        !bundle_field_number(decision, "alpha", 1e-9, 0.999999, &judge->alpha, err) ||
        !bundle_field_number(decision, "alpha_review", 1e-9, 0.999999, &judge->alpha_review, err) ||
        !bundle_field_number_or_null(decision, "threshold", -HUGE_NUMBER, HUGE_NUMBER, -INFINITY, &stated->threshold, err) ||
        !bundle_field_number_or_null(decision, "review_threshold", -HUGE_NUMBER, HUGE_NUMBER, -INFINITY,
                                     &stated->review_threshold, err) ||
        !bundle_field_bool(decision, "per_class", &judge->per_class, err) ||
        !bundle_field_size(decision, "calibration_items", 1, SIZE_MAX / 16, &judge->calibration_count, err))
        return false;
    if (judge->alpha_review < judge->alpha)
        return bundle_field_fail(decision, "alpha_review", "alpha or more", err);
    return true;
}

static bool parse_engine(const json_t *model, struct ood_bundle *bundle, struct ood_error *err)
{
    static const char *const known[] = { "convolution", "checked_against", "largest_difference", NULL };
    struct bundle_fields engine;
    const char *convolution;
    if (!bundle_fields_open(&engine, model, "engine", known, err) ||
        !bundle_field_text(&engine, "convolution", &convolution, err) ||
        !bundle_field_number_or_null(&engine, "largest_difference", 0, HUGE_NUMBER, NAN, &bundle->largest_difference, err))
        return false;
    bool winograd = strcmp(convolution, "winograd") == 0, checked = !isnan(bundle->largest_difference);
    if (!winograd && strcmp(convolution, "direct") != 0)
        return bundle_field_fail(&engine, "convolution", "direct or winograd", err);
    if (winograd && !checked)
        return bundle_field_fail(&engine, "largest_difference", "a number (winograd kernels are used only when checked)", err);
    const json_t *against = json_object_get(engine.object, "checked_against");
    if (checked ? !json_is_string(against) || strcmp(json_string_value(against), "direct") != 0 : !json_is_null(against))
        return bundle_field_fail(&engine, "checked_against", checked ? "direct" : "null, as largest_difference", err);
    bundle->convolution = winograd ? OOD_CONVOLUTION_WINOGRAD : OOD_CONVOLUTION_DIRECT;
    return true;
}

static bool parse_detector(const json_t *model, struct ood_bundle *bundle, struct ood_error *err)
{
    if (json_object_get(model, "detector") == NULL)
        return true;
    struct ood_detector *detector = bundle->detector = ood_new(struct ood_detector, err);
    if (detector == NULL || !bundle_parse_detector(model, detector, err))
        return false;
    if (!ood_detector_check(detector, err))
        return ood_error_prefix(err, "detector");
    if (detector->classes != bundle->classes)
        return ood_fail(err, OOD_INVALID, "detector.classes: found %zu, expected %zu, as labels has", detector->classes, bundle->classes);
    const struct { const char *name, *found, *expected; } taps[] = {
        { "logits", bundle->logits_tap, detector->levels[0].logits.tensor != NULL ? detector->levels[0].logits.tensor
                                                                                   : detector->levels[0].classes.tensor },
        { "features", bundle->features_tap, detector->head_count > 0 ? detector->head_features[0] : detector->maps[0] },
    };
    for (size_t i = 0; i < 2; i++)
        if (strcmp(taps[i].found, taps[i].expected) != 0)
            return ood_fail(err, OOD_INVALID, "taps.%s: found \"%.80s\", expected \"%.80s\", the first that the detector reads", taps[i].name,
                            taps[i].found, taps[i].expected);
    bundle->judge.energy_form = ood_detector_energy(detector);
    bundle->judge.classes_may_lack = true;
    return true;
}

static bool parse_provenance(const struct bundle_fields *top, struct ood_bundle *bundle, struct ood_error *err)
{
    const json_t *provenance = json_object_get(top->object, "provenance");
    if (!json_is_object(provenance))
        return bundle_field_fail(top, "provenance", "an object", err);
    bundle->provenance = bundle_json_text(provenance, err);
    return bundle->provenance != NULL ? true : ood_error_prefix(err, "provenance");
}

static bool parse_model(const json_t *model, struct ood_bundle *bundle, struct stated *stated, struct ood_error *err)
{
    static const char *const known[] = { "seal", "schema", "name", "labels", "input", "taps", "score", "decision", "engine",
                                         "detector", "provenance", "files", NULL };
    struct bundle_fields top = { model, NULL };
    size_t schema;
    if (!bundle_field_size(&top, "schema", 0, SIZE_MAX / 2, &schema, err))
        return false;
    if (schema != OOD_BUNDLE_SCHEMA)
        return ood_fail(err, OOD_UNSUPPORTED, "schema: found %zu, expected %d, the only one this version reads", schema,
                        OOD_BUNDLE_SCHEMA);
    const char *tensor;
    return bundle_fields_open(&top, model, NULL, known, err) && parse_name(&top, bundle, err) &&
           parse_labels(&top, bundle, err) && bundle_parse_input(model, &bundle->input, &tensor, err) &&
           (bundle->input_tensor = ood_strdup(tensor, err)) != NULL && parse_taps(model, bundle, err) &&
           parse_score(model, bundle, err) && parse_decision(model, &bundle->judge, stated, err) &&
           parse_engine(model, bundle, err) && parse_detector(model, bundle, err) && parse_provenance(&top, bundle, err);
}

/* ---- tensors ---- */

/* No tensor but these: what nothing reads is not accepted. */
static bool check_count(const struct ood_safetensors *tensors, size_t expected, struct ood_error *err)
{
    return tensors->count == expected ||
           ood_fail(err, OOD_INVALID, "found %zu tensors, expected %zu", tensors->count, expected);
}

static bool parse_prototypes(const struct ood_bytes *bytes, struct ood_bundle *bundle, struct ood_error *err)
{
    struct ood_judge *judge = &bundle->judge;
    struct ood_safetensors tensors;
    if (!ood_safetensors_read(bytes->data, bytes->size, &tensors, err))
        return false;
    size_t shape[2] = { bundle->classes, 0 }, count[1] = { judge->calibration_count };
    bool done = check_count(&tensors, judge->per_class ? 3 : 2, err) &&
                (judge->prototypes = ood_safetensors_take(&tensors, "prototypes", OOD_SAFETENSORS_F32, 2, shape, err)) != NULL &&
                (judge->calibration_scores = ood_safetensors_take(&tensors, "calibration_scores", OOD_SAFETENSORS_F64, 1,
                                                                  count, err)) != NULL &&
                (!judge->per_class ||
                 (judge->calibration_classes = ood_safetensors_take(&tensors, "calibration_classes", OOD_SAFETENSORS_I64, 1,
                                                                    count, err)) != NULL);
    ood_safetensors_free(&tensors);
    judge->classes = shape[0];
    judge->dimension = shape[1];
    return done && ood_judge_prepare(judge, err);
}

static bool check_finite(const char *name, const double *values, size_t count, struct ood_error *err)
{
    for (size_t i = 0; i < count; i++)
        if (!isfinite(values[i]))
            return ood_fail(err, OOD_INVALID, "%s: found NaN or infinity at %zu, expected a finite number", name, i);
    return true;
}

static bool take_selftest(const struct ood_safetensors *tensors, struct ood_bundle *bundle, struct ood_error *err)
{
    const char *isa = ood_safetensors_metadata(tensors, "isa");
    if (isa == NULL || isa[0] == '\0' || strlen(isa) > 64)
        return ood_fail(err, OOD_INVALID, "__metadata__.isa: expected an instruction set's name");
    size_t shape[2] = { 0, ood_preprocess_floats(&bundle->input) };
    bundle->selftest_inputs = ood_safetensors_take(tensors, "inputs", OOD_SAFETENSORS_F32, 2, shape, err);
    if (bundle->selftest_inputs == NULL)
        return false;
    if (shape[0] == 0 || shape[0] > BUNDLE_SELFTEST_MOST)
        return ood_fail(err, OOD_INVALID, "inputs: found %zu, expected 1 to %d", shape[0], BUNDLE_SELFTEST_MOST);
    for (size_t i = 0; i < shape[0] * shape[1]; i++)
        if (!isfinite(bundle->selftest_inputs[i]))
            return ood_fail(err, OOD_INVALID, "inputs: found NaN or infinity at %zu, expected a finite number", i);
    bundle->selftest_count = shape[0];
    bundle->selftest_floats = shape[1];
    const struct { const char *name; double **values; } scores[] = {
        { "energy", &bundle->selftest_energy },
        { "representation_score", &bundle->selftest_representation },
        { "score", &bundle->selftest_score },
    };
    for (size_t i = 0; i < sizeof scores / sizeof scores[0]; i++) {
        *scores[i].values = ood_safetensors_take(tensors, scores[i].name, OOD_SAFETENSORS_F64, 1, shape, err);
        if (*scores[i].values == NULL || !check_finite(scores[i].name, *scores[i].values, shape[0], err))
            return false;
    }
    bundle->selftest_isa = ood_strdup(isa, err);
    return bundle->selftest_isa != NULL;
}

static bool parse_selftest(const struct ood_bytes *bytes, struct ood_bundle *bundle, struct ood_error *err)
{
    struct ood_safetensors tensors;
    if (!ood_safetensors_read(bytes->data, bytes->size, &tensors, err))
        return false;
    bool done = check_count(&tensors, 4, err) && take_selftest(&tensors, bundle, err);
    ood_safetensors_free(&tensors);
    return done;
}

/* ---- all of it ---- */

/* What is written for people and other programs must be what the engine decides by. */
static bool check_stated(const struct stated *stated, const struct ood_judge *judge, struct ood_error *err)
{
    const struct { const char *key; double stated, derived; } thresholds[] = {
        { "threshold", stated->threshold, judge->threshold },
        { "review_threshold", stated->review_threshold, judge->review_threshold },
    };
    for (size_t i = 0; i < 2; i++)
        if (thresholds[i].stated != thresholds[i].derived) {
            char expected[96];
            snprintf(expected, sizeof expected, "%.17g, which the calibration scores give", thresholds[i].derived);
            return bundle_field_fail(&stated->fields, thresholds[i].key, expected, err);
        }
    return true;
}

struct ood_bundle *bundle_parse(const json_t *model, const struct ood_bytes *prototypes, const struct ood_bytes *selftest,
                                struct ood_error *err)
{
    struct stated stated;
    const char *file = BUNDLE_MODEL;
    struct ood_bundle *bundle = ood_new(struct ood_bundle, err);
    if (bundle == NULL || !parse_model(model, bundle, &stated, err))
        goto fail;
    file = BUNDLE_PROTOTYPES;
    if (!parse_prototypes(prototypes, bundle, err))
        goto fail;
    file = BUNDLE_MODEL;
    if (!check_stated(&stated, &bundle->judge, err))
        goto fail;
    file = BUNDLE_SELFTEST;
    if (!parse_selftest(selftest, bundle, err))
        goto fail;
    return bundle;
fail:
    ood_error_prefix(err, "%s", file);
    ood_bundle_free(bundle);
    return NULL;
}

void ood_bundle_free(struct ood_bundle *bundle)
{
    if (bundle == NULL)
        return;
    ood_free(bundle->name);
    for (size_t k = 0; bundle->labels != NULL && k < bundle->classes; k++)
        ood_free(bundle->labels[k]);
    ood_free(bundle->labels);
    ood_free(bundle->input_tensor);
    ood_free(bundle->logits_tap);
    ood_free(bundle->features_tap);
    ood_judge_clear(&bundle->judge);
    if (bundle->detector != NULL)
        ood_detector_clear(bundle->detector);
    ood_free(bundle->detector);
    ood_free(bundle->provenance);
    ood_bytes_free(&bundle->onnx);
    ood_free(bundle->selftest_inputs);
    ood_free(bundle->selftest_energy);
    ood_free(bundle->selftest_representation);
    ood_free(bundle->selftest_score);
    ood_free(bundle->selftest_isa);
    ood_free(bundle);
}
