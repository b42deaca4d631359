/* A bundle's files, past the hashes that a fuzzer could not guess: two little-endian 32-bit lengths, then model.json,
 * prototypes.safetensors and selftest.safetensors of the rest. What is accepted must hold together, and what is written of
 * it must read the same. */
#include <math.h>
#include <string.h>

#include "bundle/bundle_internal.h"
#include "bundle/safetensors.h"
#include "fuzz.h"

static size_t take_length(const uint8_t *data, size_t rest)
{
    size_t length = 0;
    for (size_t i = 0; i < 4; i++)
        length |= (size_t)data[i] << (8 * i);
    return length < rest ? length : rest;
}

/* A block of its own with the zero byte behind, as ood_file_read gives: reading past the end is seen. */
static struct ood_bytes copy_of(const uint8_t *data, size_t size)
{
    struct ood_error err = { 0 };
    struct ood_bytes bytes = { ood_alloc(size + 1, 1, &err), size };
    fuzz_require(bytes.data != NULL);
    if (size > 0)
        memcpy(bytes.data, data, size);
    return bytes;
}

static void check_tensors(const struct ood_bytes *bytes)
{
    struct ood_error err = { 0 };
    struct ood_safetensors tensors, again;
    struct ood_bytes written, twice;
    if (!ood_safetensors_read(bytes->data, bytes->size, &tensors, &err)) {
        fuzz_require(err.code != OOD_OK && err.message[0] != '\0');
        return;
    }
    const char *const *metadata = (const char *const *)tensors.metadata;
    if (ood_safetensors_write(tensors.entries, tensors.count, metadata, tensors.metadata_count, &written, &err)) {
        fuzz_require(ood_safetensors_read(written.data, written.size, &again, &err));
        fuzz_require(again.count == tensors.count && again.metadata_count == tensors.metadata_count);
        fuzz_require(ood_safetensors_write(again.entries, again.count, (const char *const *)again.metadata,
                                           again.metadata_count, &twice, &err));
        fuzz_require(twice.size == written.size && memcmp(twice.data, written.data, twice.size) == 0);
        ood_safetensors_free(&again);
        ood_bytes_free(&written);
        ood_bytes_free(&twice);
    }
    ood_safetensors_free(&tensors);
}

/* Text of a value, read and written again: the same. */
static void check_text(const json_t *model)
{
    struct ood_error err = { 0 };
    char *text = bundle_json_text(model, &err);
    if (text == NULL) {
        fuzz_require(err.code == OOD_LIMIT);      /* too deep */
        return;
    }
    json_t *again = bundle_json_load(text, strlen(text), &err);
    fuzz_require(again != NULL);
    char *twice = bundle_json_text(again, &err);
    fuzz_require(twice != NULL && strcmp(text, twice) == 0);
    json_decref(again);
    ood_free(text);
    ood_free(twice);
}

static void check_bundle(const struct ood_bundle *bundle)
{
    struct ood_error err = { 0 };
    struct ood_verdict verdict = { 0 };
    const struct ood_judge *judge = &bundle->judge;
    fuzz_require(judge->classes == bundle->classes && judge->dimension > 0 && judge->calibration_count > 0);
    fuzz_require(bundle->selftest_count > 0 && bundle->selftest_floats == ood_preprocess_floats(&bundle->input));
    fuzz_require(strlen(bundle->name) <= 64 && bundle->provenance[0] == '{');
    float *logits = ood_new_array(float, judge->classes, &err), *features = ood_new_array(float, judge->dimension, &err);
    fuzz_require(logits != NULL && features != NULL);
    features[judge->dimension - 1] = 1;
    if (ood_judge_item(judge, logits, features, &verdict, &err))
        fuzz_require(verdict.p_value > 0 && verdict.p_value <= 1 && verdict.class_index == 0 &&
                     (verdict.decision == OOD_OUT) == (verdict.p_value <= judge->alpha));
    else
        fuzz_require(err.code == OOD_SCORE_NOT_FINITE);
    ood_free(logits);
    ood_free(features);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ood_error err = { 0 };
    if (size < 8)
        return 0;
    size_t first = take_length(data, size - 8), second = take_length(data + 4, size - 8 - first);
    struct ood_bytes text = copy_of(data + 8, first), prototypes = copy_of(data + 8 + first, second);
    struct ood_bytes selftest = copy_of(data + 8 + first + second, size - 8 - first - second);
    check_tensors(&prototypes);
    check_tensors(&selftest);
    fuzz_require(bundle_seal_check(&text, &err) || err.code == OOD_CHANGED);
    err = (struct ood_error){ 0 };
    json_t *model = bundle_json_load(text.data, text.size, &err);
    if (model != NULL) {
        check_text(model);
        fuzz_require(bundle_hash_check(model, BUNDLE_SELFTEST, &selftest, &err) || err.code != OOD_OK);
        err = (struct ood_error){ 0 };
        struct ood_bundle *bundle = bundle_parse(model, &prototypes, &selftest, &err);
        if (bundle != NULL)
            check_bundle(bundle);
        else
            fuzz_require(err.code != OOD_OK && strchr(err.message, ':') != NULL);
        ood_bundle_free(bundle);
        json_decref(model);
    } else {
        fuzz_require(err.code == OOD_INVALID);
    }
    ood_bytes_free(&text);
    ood_bytes_free(&prototypes);
    ood_bytes_free(&selftest);
    return 0;
}
