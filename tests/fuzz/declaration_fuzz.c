/* A detector's declaration from bytes, then tensors for it: what is accepted must be written and read the same, and what binds to the
 * shapes must decode any floats without reading outside of them. The bytes behind the first zero are the floats. */
#include <math.h>
#include <string.h>

#include "bundle/bundle_internal.h"
#include "fuzz.h"

/* The detector written as in model.json and read again. */
static void check_text(const struct ood_detector *detector)
{
    struct ood_error err = { 0 };
    struct ood_detector again = { 0 };
    json_t *root = json_object(), *first = bundle_detector_json(detector);
    fuzz_require(root != NULL && first != NULL && json_object_set(root, "detector", first) == 0);
    fuzz_require(bundle_parse_detector(root, &again, &err));
    json_t *second = bundle_detector_json(&again);
    char *a = bundle_json_text(first, &err), *b = bundle_json_text(second, &err);
    fuzz_require(a != NULL && b != NULL && strcmp(a, b) == 0);
    ood_free(a);
    ood_free(b);
    json_decref(second);
    json_decref(first);
    json_decref(root);
    ood_detector_clear(&again);
}

/* Shapes drawn from the bytes; every tensor is a block of exactly its size. */
static void check_decoding(const struct ood_declaration *declaration, const uint8_t *data, size_t size)
{
    struct ood_error err = { 0 };
    const struct ood_detector *detector = &declaration->detector;
    const char *names[OOD_DETECTOR_TENSORS];
    struct ood_shape shapes[OOD_DETECTOR_TENSORS];
    float *tensors[OOD_DETECTOR_TENSORS] = { 0 };
    size_t n = ood_detector_tensors(detector, names), at = 0;
    for (size_t i = 0; i < n; i++) {
        int64_t dims[3];
        for (size_t k = 0; k < 3; k++)
            dims[k] = 1 + (at < size ? data[at++] % 12 : 0);
        bool map = at < size && data[at++] % 2 == 0;
        shapes[i] = map ? ood_shape_of(4, (int64_t)1, dims[0], dims[1], dims[2]) : ood_shape_of(3, (int64_t)1, dims[0] * dims[1], dims[2]);
        size_t count = (size_t)(dims[0] * dims[1] * dims[2]);
        tensors[i] = ood_alloc(count, sizeof(float), &err);
        fuzz_require(tensors[i] != NULL);
        for (size_t k = 0; k < count; k++, at += 4)
            if (at + 4 <= size)
                memcpy(&tensors[i][k], data + at, 4);
    }
    struct ood_decoder *decoder = ood_decoder_new(detector, declaration->input.width, declaration->input.height, shapes, n, &err);
    if (decoder != NULL) {
        size_t all = ood_decoder_candidates(decoder), count = 0, dropped;
        const float *const *read = (const float *const *)tensors;
        struct ood_candidate *found = ood_new_array(struct ood_candidate, all, &err);
        float *logits = ood_new_array(float, detector->classes, &err), *features = ood_new_array(float, ood_decoder_dimension(decoder), &err);
        double *scratch = ood_new_array(double, ood_decoder_scratch(decoder), &err);
        fuzz_require(found != NULL && logits != NULL && features != NULL && scratch != NULL);
        if (ood_decode(decoder, read, detector->limit, found, &count, &dropped, &err)) {
            count = ood_suppress(found, count, detector->suppression, detector->iou, detector->most);
            fuzz_require(count <= detector->most && count + dropped <= all + dropped);
            for (size_t i = 0; i < count; i++) {
                fuzz_require(found[i].score >= detector->limit && found[i].class_index < detector->classes && isfinite(found[i].box[0]));
                ood_decoder_logits(decoder, read, found[i].index, logits);
                ood_decoder_features(decoder, read, found[i].box, scratch, features);
            }
        }
        ood_free(found);
        ood_free(logits);
        ood_free(features);
        ood_free(scratch);
        ood_decoder_free(decoder);
    }
    for (size_t i = 0; i < n; i++)
        ood_free(tensors[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ood_error err = { 0 };
    struct ood_declaration declaration = { 0 };
    const uint8_t *end = size > 0 ? memchr(data, 0, size) : NULL;
    size_t text = end == NULL ? size : (size_t)(end - data);
    struct ood_bytes bytes = { ood_alloc(text + 1, 1, &err), text };
    fuzz_require(bytes.data != NULL);
    if (text > 0)
        memcpy(bytes.data, data, text);
    if (ood_declaration_read(&bytes, &declaration, &err)) {
        check_text(&declaration.detector);
        if (ood_detector_check(&declaration.detector, &err))
            check_decoding(&declaration, end == NULL ? NULL : end + 1, end == NULL ? 0 : size - text - 1);
    } else {
        fuzz_require(err.code != OOD_OK && err.message[0] != '\0');
    }
    ood_declaration_clear(&declaration);
    ood_bytes_free(&bytes);
    return 0;
}
