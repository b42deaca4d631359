/* A tiny bundle made by hand: conv, residual sum, pool, gemm; random prototypes; the samples of tests/data as pictures. */
#ifndef OOD_TESTS_SCORER_TINY_H
#define OOD_TESTS_SCORER_TINY_H

#include <math.h>

#include "base/random.h"
#include "check.h"
#include "graph/onnx_writer.h"
#include "scorer/scorer.h"

#define CLASSES 4
#define FEATURES 16
#define SIDE 16
#define CALIBRATION 39

/* ---- a network: conv, residual block, pool, gemm ---- */

static inline void random_floats(float *values, size_t n, uint64_t seed, double scale)
{
    struct ood_random random;
    ood_random_seed(&random, seed);
    for (size_t i = 0; i < n; i++)
        values[i] = (float)(scale * ood_random_normal(&random));
}

static inline void conv(struct onnx_writer *w, const char *weights, size_t out, size_t in, const char *from, const char *to, uint64_t seed)
{
    float taps[16 * 16 * 9];
    random_floats(taps, out * in * 9, seed, sqrt(2.0 / (double)(in * 9)));
    onnx_initialiser(w, weights, ONNX_FLOAT, 4, (int64_t[]){ (int64_t)out, (int64_t)in, 3, 3 }, taps, out * in * 9 * sizeof(float));
    onnx_node_begin(w, "Conv", to, (const char *[]){ from, weights }, 2, (const char *[]){ to }, 1);
    onnx_ints(w, "pads", (int64_t[]){ 1, 1, 1, 1 }, 4);
    onnx_ints(w, "kernel_shape", (int64_t[]){ 3, 3 }, 2);
    onnx_node_end(w);
}

static inline void plain(struct onnx_writer *w, const char *op, const char *a, const char *b, const char *to)
{
    onnx_node_begin(w, op, to, (const char *[]){ a, b }, b != NULL ? 2 : 1, (const char *[]){ to }, 1);
    onnx_node_end(w);
}

static inline struct ood_bytes make_network(int64_t batch)
{
    struct onnx_writer w = { 0 };
    struct ood_error err = { 0 };
    float last[CLASSES * FEATURES], bias[CLASSES] = { 0.1f, -0.1f, 0.2f, 0 };
    random_floats(last, CLASSES * FEATURES, 3, 1.0);
    onnx_model_begin(&w, 13);
    onnx_input(&w, "input", ONNX_FLOAT, 4, (int64_t[]){ batch, 3, SIDE, SIDE });
    conv(&w, "w1", 16, 3, "input", "c1", 1);
    plain(&w, "Relu", "c1", NULL, "r1");
    conv(&w, "w2", 16, 16, "r1", "c2", 2);
    plain(&w, "Add", "c2", "r1", "s");
    plain(&w, "Relu", "s", NULL, "r2");
    plain(&w, "GlobalAveragePool", "r2", NULL, "g");
    plain(&w, "Flatten", "g", NULL, "features");
    onnx_initialiser(&w, "v", ONNX_FLOAT, 2, (int64_t[]){ CLASSES, FEATURES }, last, sizeof last);
    onnx_initialiser(&w, "d", ONNX_FLOAT, 1, (int64_t[]){ CLASSES }, bias, sizeof bias);
    onnx_node_begin(&w, "Gemm", "fc", (const char *[]){ "features", "v", "d" }, 3, (const char *[]){ "logits" }, 1);
    onnx_int(&w, "transB", 1);
    onnx_node_end(&w);
    onnx_output(&w, "logits");
    onnx_model_end(&w);
    struct ood_bytes bytes = { ood_alloc(w.size, 1, &err), w.size };
    assert_non_null(bytes.data);
    memcpy(bytes.data, w.data, w.size);
    onnx_free(&w);
    return bytes;
}

/* ---- a bundle around it ---- */

static inline struct ood_bundle *make_bundle(int64_t batch)
{
    struct ood_error err = { 0 };
    struct ood_bundle *bundle = ood_new(struct ood_bundle, &err);
    assert_non_null(bundle);
    bundle->name = ood_strdup("tiny", &err);
    bundle->classes = CLASSES;
    bundle->labels = ood_new_array(char *, CLASSES, &err);
    for (size_t k = 0; k < CLASSES; k++)
        bundle->labels[k] = ood_format(&err, "class %zu", k);
    bundle->input_tensor = ood_strdup("input", &err);
    bundle->logits_tap = ood_strdup("logits", &err);
    bundle->features_tap = ood_strdup("features", &err);
    assert_true(ood_preprocess_preset("cifar", &bundle->input));
    bundle->input.width = bundle->input.height = SIDE;
    bundle->convolution = OOD_CONVOLUTION_DIRECT;
    bundle->largest_difference = NAN;
    bundle->provenance = ood_strdup("{}", &err);
    bundle->onnx = make_network(batch);
    struct ood_judge *judge = &bundle->judge;
    *judge = (struct ood_judge){ .classes = CLASSES, .dimension = FEATURES, .temperature = 1, .beta = 0.5, .energy_mean = -1.5,
                                 .energy_std = 0.7, .representation_mean = 0.5, .representation_std = 0.2, .alpha = 0.05,
                                 .alpha_review = 0.1, .calibration_count = CALIBRATION };
    judge->prototypes = ood_new_array(float, CLASSES * FEATURES, &err);
    random_floats(judge->prototypes, CLASSES * FEATURES, 9, 1.0);
    for (size_t k = 0; k < CLASSES; k++) {
        double norm = 0;
        for (size_t d = 0; d < FEATURES; d++)
            norm += (double)judge->prototypes[k * FEATURES + d] * (double)judge->prototypes[k * FEATURES + d];
        for (size_t d = 0; d < FEATURES; d++)
            judge->prototypes[k * FEATURES + d] = (float)((double)judge->prototypes[k * FEATURES + d] / sqrt(norm));
    }
    judge->calibration_scores = ood_new_array(double, CALIBRATION, &err);
    for (size_t i = 0; i < CALIBRATION; i++)
        judge->calibration_scores[i] = -2.0 + 0.1 * (double)i;
    check_ok(ood_judge_prepare(judge, &err));
    return bundle;
}

static inline struct ood_scorer *open_tiny(int64_t batch)
{
    struct ood_error err = { 0 };
    struct ood_scorer *scorer = ood_scorer_from_bundle(make_bundle(batch), NULL, &err);
    check_ok(scorer != NULL);
    return scorer;
}

/* ---- pictures ---- */

static const char *const picture_names[] = { "arithmetic.jpg", "grey.jpg", "grey_alpha.png", "interlaced.png", "cmyk_adobe.jpg", "rgb16.png",
                                     "exif_orientation_6.jpg", "progressive.jpg", "restart_422.jpg", "grey_1bit.png", "exif_orientation_3.jpg" };
#define PICTURES (sizeof picture_names / sizeof picture_names[0])

static inline void read_pictures(struct ood_bytes *pictures)
{
    struct ood_error err = { 0 };
    for (size_t i = 0; i < PICTURES; i++) {
        char name[64];
        snprintf(name, sizeof name, "samples/%s", picture_names[i]);
        check_ok(ood_file_read(check_data(name), 1 << 24, &pictures[i], &err));
    }
}

static inline void free_pictures(struct ood_bytes *pictures)
{
    for (size_t i = 0; i < PICTURES; i++)
        ood_bytes_free(&pictures[i]);
}

/* Scores of the first pictures, recorded on this machine. */
static inline struct ood_bundle *bundle_with_self_test(size_t count)
{
    struct ood_error err = { 0 };
    struct ood_scorer *scorer = open_tiny(-1);
    struct ood_bundle *bundle = make_bundle(-1);
    struct ood_forward *forward;
    struct ood_bytes pictures[PICTURES];
    read_pictures(pictures);
    bundle->selftest_floats = ood_preprocess_floats(&bundle->input);
    bundle->selftest_count = count;
    bundle->selftest_inputs = ood_new_array(float, count * bundle->selftest_floats, &err);
    bundle->selftest_energy = ood_new_array(double, count, &err);
    bundle->selftest_representation = ood_new_array(double, count, &err);
    bundle->selftest_score = ood_new_array(double, count, &err);
    bundle->selftest_isa = ood_strdup(ood_engine_identity((char[OOD_ENGINE_IDENTITY]){ 0 }), &err);
    struct ood_model *model = (struct ood_model *)ood_scorer_model(scorer);
    forward = ood_forward_new(model, &bundle->input, 0, &err);
    check_ok(forward != NULL);
    for (size_t i = 0; i < count; i++) {
        float logits[CLASSES], features[FEATURES];
        struct ood_verdict verdict;
        struct ood_item item = { .picture = pictures[i % PICTURES].data, .picture_size = pictures[i % PICTURES].size,
                                 .logits_out = logits, .features_out = features };
        ood_forward_run(forward, &item, 1, bundle->selftest_inputs + i * bundle->selftest_floats, &verdict, NULL);
        assert_int_equal(verdict.error.code, OOD_OK);
        check_ok(ood_judge_item(&bundle->judge, logits, features, &verdict, &err));
        bundle->selftest_energy[i] = verdict.energy;
        bundle->selftest_representation[i] = verdict.representation_score;
        bundle->selftest_score[i] = verdict.score;
    }
    ood_forward_free(forward);
    ood_scorer_free(scorer);
    free_pictures(pictures);
    return bundle;
}

#endif
