/* A bundle to its folder. The text of model.json depends on the bundle alone, and what was made is parsed by the reader's own
 * code before a file is touched: nothing is written that would not be read. */
#include <math.h>
#include <string.h>

#include "base/number.h"
#include "bundle/bundle_internal.h"
#include "bundle/safetensors.h"

/* JSON has no infinity and no NaN: null stands for "none". */
static json_t *number(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *numbers(const float *values, size_t count)
{
    json_t *array = json_array();
    for (size_t i = 0; array != NULL && i < count; i++)
        if (json_array_append_new(array, number(ood_float_as_double(values[i]))) != 0) {
            json_decref(array);
            return NULL;
        }
    return array;
}

static json_t *labels_of(const struct ood_bundle *bundle, struct ood_error *err)
{
    json_t *labels = json_array();
    for (size_t k = 0; labels != NULL && k < bundle->classes; k++)
        if (json_array_append_new(labels, json_string(bundle->labels[k])) != 0) {
            ood_fail(err, OOD_INVALID, "labels[%zu]: not UTF-8, or out of memory", k);
            json_decref(labels);
            return NULL;
        }
    if (labels == NULL)
        ood_fail(err, OOD_OUT_OF_MEMORY, "out of memory");
    return labels;
}

static json_t *input_of(const struct ood_bundle *bundle)
{
    const struct ood_preprocess *input = &bundle->input;
    size_t channels = input->channels == OOD_CHANNELS_GREY ? 1 : 3;
    return json_pack("{s:s, s:I, s:I, s:s, s:s, s:s, s:I, s:s, s:s, s:[i, i, i], s:o, s:o, s:o}",
                     "tensor", bundle->input_tensor, "width", (json_int_t)input->width,
                     "height", (json_int_t)input->height, "channels", ood_channels_name(input->channels),
                     "layout", ood_input_layout_name(input->layout), "resize", ood_resize_name(input->resize),
                     "resize_to", (json_int_t)input->resize_to, "filter", ood_filter_name(input->filter),
                     "crop", "center", "fill", input->fill[0], input->fill[1], input->fill[2],
                     "scale", number(ood_float_as_double(input->scale)), "mean", numbers(input->mean, channels),
                     "std", numbers(input->std, channels));
}

static json_t *score_of(const struct ood_bundle *bundle)
{
    const struct ood_judge *judge = &bundle->judge;
    return json_pack("{s:o, s:s, s:o, s:s, s:o, s:o, s:o, s:o}",
                     "temperature", number(judge->temperature),
                     "distance", judge->distance == OOD_DISTANCE_PREDICTED ? "predicted" : "nearest",
                     "beta", number(judge->beta), "beta_from", ood_beta_from_name(bundle->beta_from),
                     "energy_mean", number(judge->energy_mean), "energy_std", number(judge->energy_std),
                     "representation_mean", number(judge->representation_mean),
                     "representation_std", number(judge->representation_std));
}

static json_t *decision_of(const struct ood_judge *judge)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:b, s:I}",
                     "alpha", number(judge->alpha), "alpha_review", number(judge->alpha_review),
                     "threshold", number(judge->threshold), "review_threshold", number(judge->review_threshold),
                     "per_class", (int)judge->per_class, "calibration_items", (json_int_t)judge->calibration_count);
}

static json_t *engine_of(const struct ood_bundle *bundle)
{
    bool checked = isfinite(bundle->largest_difference);
    return json_pack("{s:s, s:s?, s:o}",
                     "convolution", bundle->convolution == OOD_CONVOLUTION_WINOGRAD ? "winograd" : "direct",
                     "checked_against", checked ? "direct" : NULL, "largest_difference", number(bundle->largest_difference));
}

static json_t *files_of(const struct ood_bytes *onnx, const struct ood_bytes *prototypes, const struct ood_bytes *selftest)
{
    const struct { const char *name; const struct ood_bytes *bytes; } files[] = {
        { BUNDLE_NETWORK, onnx }, { BUNDLE_PROTOTYPES, prototypes }, { BUNDLE_SELFTEST, selftest },
    };
    json_t *object = json_object();
    for (size_t i = 0; object != NULL && i < 3; i++) {
        char hex[OOD_HASH_HEX];
        ood_sha256_hex(files[i].bytes->data, files[i].bytes->size, hex);
        if (json_object_set_new(object, files[i].name, json_string(hex)) != 0) {
            json_decref(object);
            return NULL;
        }
    }
    return object;
}

/* model.json as a value, without its seal. */
static json_t *describe(const struct ood_bundle *bundle, const struct ood_bytes *prototypes,
                        const struct ood_bytes *selftest, struct ood_error *err)
{
    json_t *labels = NULL, *provenance = NULL, *model = NULL;
    const char *text = bundle->provenance != NULL ? bundle->provenance : "{}";
    provenance = bundle_json_load(text, strlen(text), err);
    if (provenance == NULL) {
        ood_error_prefix(err, "provenance");
        return NULL;
    }
    labels = labels_of(bundle, err);
    if (labels == NULL)
        goto out;
    model = json_pack("{s:i, s:s, s:O, s:o, s:{s:s, s:s}, s:o, s:o, s:o, s:O, s:o}",
                      "schema", OOD_BUNDLE_SCHEMA, "name", bundle->name, "labels", labels, "input", input_of(bundle),
                      "taps", "logits", bundle->logits_tap, "features", bundle->features_tap, "score", score_of(bundle),
                      "decision", decision_of(&bundle->judge), "engine", engine_of(bundle), "provenance", provenance,
                      "files", files_of(&bundle->onnx, prototypes, selftest));
    if (model != NULL && bundle->detector != NULL && json_object_set_new(model, "detector", bundle_detector_json(bundle->detector)) != 0) {
        json_decref(model);
        model = NULL;
    }
    if (model == NULL)
        ood_fail(err, OOD_INVALID, "a name is not UTF-8, or out of memory");
out:
    json_decref(labels);
    json_decref(provenance);
    return model;
}

/* The sealed text: the seal first, where a reader finds it without parsing, then the members sorted. */
static char *seal_text(const json_t *model, struct ood_error *err)
{
    static const char zeros[] = "0000000000000000000000000000000000000000000000000000000000000000";
    char *rest = bundle_json_text(model, err);
    if (rest == NULL)
        return NULL;
    char *text = ood_format(err, "%s%s\",%s", BUNDLE_SEAL_START, zeros, rest + 1);
    ood_free(rest);
    if (text != NULL)
        bundle_seal_set(text, strlen(text));
    return text;
}

/* ---- tensors ---- */

static bool prototypes_of(const struct ood_judge *judge, struct ood_bytes *out, struct ood_error *err)
{
    const struct ood_safetensors_entry entries[] = {
        { .name = "prototypes", .type = OOD_SAFETENSORS_F32, .rank = 2, .shape = { judge->classes, judge->dimension },
          .data = judge->prototypes },
        { .name = "calibration_scores", .type = OOD_SAFETENSORS_F64, .rank = 1, .shape = { judge->calibration_count },
          .data = judge->calibration_scores },
        { .name = "calibration_classes", .type = OOD_SAFETENSORS_I64, .rank = 1, .shape = { judge->calibration_count },
          .data = judge->calibration_classes },
    };
    return ood_safetensors_write(entries, judge->per_class ? 3 : 2, NULL, 0, out, err) ||
           ood_error_prefix(err, BUNDLE_PROTOTYPES);
}

static bool selftest_of(const struct ood_bundle *bundle, struct ood_bytes *out, struct ood_error *err)
{
    size_t n = bundle->selftest_count;
    const struct ood_safetensors_entry entries[] = {
        { .name = "inputs", .type = OOD_SAFETENSORS_F32, .rank = 2, .shape = { n, bundle->selftest_floats },
          .data = bundle->selftest_inputs },
        { .name = "energy", .type = OOD_SAFETENSORS_F64, .rank = 1, .shape = { n }, .data = bundle->selftest_energy },
        { .name = "representation_score", .type = OOD_SAFETENSORS_F64, .rank = 1, .shape = { n },
          .data = bundle->selftest_representation },
        { .name = "score", .type = OOD_SAFETENSORS_F64, .rank = 1, .shape = { n }, .data = bundle->selftest_score },
    };
    const char *const metadata[] = { "isa", bundle->selftest_isa };
    return ood_safetensors_write(entries, 4, metadata, 1, out, err) || ood_error_prefix(err, BUNDLE_SELFTEST);
}

/* What a pointer must hold before anything is made of it; the rest is what the reader refuses. */
static bool check_complete(const struct ood_bundle *bundle, struct ood_error *err)
{
    const struct ood_judge *judge = &bundle->judge;
    const struct { const char *name; bool there; } parts[] = {
        { "name", bundle->name != NULL },
        { "labels", bundle->labels != NULL && bundle->classes > 0 },
        { "input.tensor", bundle->input_tensor != NULL },
        { "taps", bundle->logits_tap != NULL && bundle->features_tap != NULL },
        { "prototypes", judge->prototypes != NULL },
        { "calibration_scores", judge->calibration_scores != NULL },
        { "calibration_classes", judge->calibration_classes != NULL || !judge->per_class },
        { "selftest", bundle->selftest_inputs != NULL && bundle->selftest_energy != NULL &&
                      bundle->selftest_representation != NULL && bundle->selftest_score != NULL &&
                      bundle->selftest_isa != NULL },
        { "model.onnx", bundle->onnx.data != NULL && bundle->onnx.size > 0 },
    };
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        if (!parts[i].there)
            return ood_fail(err, OOD_INVALID, "%s: missing, expected it to be set before the bundle is written",
                            parts[i].name);
    return true;
}

/* Would the reader take it? */
static bool check_readable(const char *text, const struct ood_bytes *prototypes, const struct ood_bytes *selftest,
                           struct ood_error *err)
{
    json_t *model = bundle_json_load(text, strlen(text), err);
    if (model == NULL)
        return ood_error_prefix(err, BUNDLE_MODEL);
    struct ood_bundle *again = bundle_parse(model, prototypes, selftest, err);
    json_decref(model);
    ood_bundle_free(again);
    return again != NULL;
}

bool ood_bundle_write(struct ood_bundle *bundle, const char *folder, struct ood_error *err)
{
    struct ood_bytes prototypes = { 0 }, selftest = { 0 };
    json_t *model = NULL;
    char *text = NULL;
    bool done = false;
    if (!check_complete(bundle, err))
        return false;
    if (!prototypes_of(&bundle->judge, &prototypes, err) || !selftest_of(bundle, &selftest, err))
        goto out;
    model = describe(bundle, &prototypes, &selftest, err);
    text = model == NULL ? NULL : seal_text(model, err);
    if (text == NULL) {
        ood_error_prefix(err, BUNDLE_MODEL);
        goto out;
    }
    if (!check_readable(text, &prototypes, &selftest, err))
        goto out;
    const struct ood_folder_file files[] = {
        { BUNDLE_MODEL, text, strlen(text) },
        { BUNDLE_NETWORK, bundle->onnx.data, bundle->onnx.size },
        { BUNDLE_PROTOTYPES, prototypes.data, prototypes.size },
        { BUNDLE_SELFTEST, selftest.data, selftest.size },
    };
    done = ood_folder_write(folder, files, sizeof files / sizeof files[0], err);
    if (done)
        ood_sha256_hex(text, strlen(text), bundle->version);
out:
    json_decref(model);
    ood_free(text);
    ood_bytes_free(&prototypes);
    ood_bytes_free(&selftest);
    return done;
}
