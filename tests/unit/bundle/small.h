/* A small bundle in memory, complete and valid, for tests to write, read and spoil. */
#ifndef OOD_TESTS_BUNDLE_SMALL_H
#define OOD_TESTS_BUNDLE_SMALL_H

#include <fcntl.h>
#include <math.h>
#include <unistd.h>

#include "check.h"

#include "bundle/bundle.h"

static inline void *small_copy(const void *data, size_t size)
{
    struct ood_error err = { 0 };
    void *copy = ood_alloc(size, 1, &err);
    assert_non_null(copy);
    memcpy(copy, data, size);
    return copy;
}

#define SMALL_TEXT(text) small_copy((text), strlen(text) + 1)

/* 3 classes, 2 features, 20 calibration scores, two self-test inputs of 2×2 grey pixels. The reader does not look into the
 * network, so any bytes are one. */
static inline struct ood_bundle *small_bundle(void)
{
    static const float prototypes[3][2] = { { 1, 0 }, { 0.6f, 0.8f }, { 0, -1 } };
    static const float inputs[2][4] = { { 0, 0.25f, -1.5f, 1e-3f }, { 1, 2, 3, 4 } };
    static const char *const labels[] = { "cat", "Füchse \"rot\"", "a\\b/c" };
    static const char network[] = "\x08\x08 not a network \x00 but bytes";
    struct ood_error err = { 0 };
    struct ood_bundle *bundle = ood_new(struct ood_bundle, &err);
    assert_non_null(bundle);
    bundle->name = SMALL_TEXT("small-1.0_x");
    bundle->classes = 3;
    bundle->labels = ood_new_array(char *, 3, &err);
    assert_non_null(bundle->labels);
    for (size_t k = 0; k < 3; k++)
        bundle->labels[k] = SMALL_TEXT(labels[k]);
    bundle->input_tensor = SMALL_TEXT("input");
    bundle->logits_tap = SMALL_TEXT("/fc/Gemm:0");
    bundle->features_tap = SMALL_TEXT("/pool/Flatten");
    bundle->input = (struct ood_preprocess){
        .width = 2, .height = 2, .channels = OOD_CHANNELS_GREY, .layout = OOD_INPUT_NHWC, .resize = OOD_RESIZE_LETTERBOX,
        .resize_to = 7, .filter = OOD_FILTER_BICUBIC, .fill = { 1, 2, 255 }, .scale = 1 / 255.0f, .mean = { 0.4914f },
        .std = { 0.1f },
    };
    struct ood_judge *judge = &bundle->judge;
    *judge = (struct ood_judge){
        .classes = 3, .dimension = 2, .temperature = 1, .distance = OOD_DISTANCE_NEAREST, .beta = 0.35, .energy_mean = -9.81,
        .energy_std = 1.0 / 3, .representation_mean = 0.07, .representation_std = 0.01, .alpha = 0.05, .alpha_review = 0.1,
        .calibration_count = 20,
    };
    judge->prototypes = small_copy(prototypes, sizeof prototypes);
    judge->calibration_scores = ood_new_array(double, 20, &err);
    assert_non_null(judge->calibration_scores);
    for (size_t i = 0; i < 20; i++)
        judge->calibration_scores[i] = -2 + (double)i / 7;
    check_ok(ood_judge_prepare(judge, &err));
    bundle->beta_from = OOD_BETA_OUTLIERS;
    bundle->convolution = OOD_CONVOLUTION_WINOGRAD;
    bundle->largest_difference = 1.25e-5;
    bundle->provenance = SMALL_TEXT("{\"made\":{\"by\":\"a test\",\"pictures\":40},\"seed\":7,\"small\":[0.1,-0.0,1e-07,true,null]}");
    bundle->onnx = (struct ood_bytes){ small_copy(network, sizeof network), sizeof network - 1 };
    bundle->selftest_count = 2;
    bundle->selftest_floats = 4;
    bundle->selftest_inputs = small_copy(inputs, sizeof inputs);
    bundle->selftest_energy = small_copy((double[]){ -9.7, -1e-3 }, 2 * sizeof(double));
    bundle->selftest_representation = small_copy((double[]){ 0.1, 0 }, 2 * sizeof(double));
    bundle->selftest_score = small_copy((double[]){ 1.0 / 3, -12 }, 2 * sizeof(double));
    bundle->selftest_isa = SMALL_TEXT("avx2");
    return bundle;
}

static const char *const small_files[] = { "model.json", "model.onnx", "prototypes.safetensors", "selftest.safetensors" };
#define SMALL_FILES 4

/* A folder of one test's own, beside the test; and its end. */
static inline void small_folder(char path[64])
{
    snprintf(path, 64, "bundle_test.XXXXXX");
    assert_non_null(mkdtemp(path));
}

static inline void small_remove(const char *folder)
{
    struct ood_error err = { 0 };
    struct ood_names names;
    check_ok(ood_folder_names(folder, &names, &err));
    for (size_t i = 0; i < names.count; i++) {
        char *path = ood_format(&err, "%s/%s", folder, names.items[i]);
        assert_non_null(path);
        if (ood_is_folder(path))
            small_remove(path);
        else
            unlink(path);
        ood_free(path);
    }
    ood_names_free(&names);
    rmdir(folder);
}

/* Without syncs, and without truncating to nothing first (some file systems sync after that): thousands of these run. */
static inline void small_put(const char *folder, const char *name, const void *data, size_t size)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    int fd = open(path, O_WRONLY | O_CREAT, 0666);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, size), size);
    assert_int_equal(ftruncate(fd, (off_t)size), 0);
    assert_int_equal(close(fd), 0);
}

static inline struct ood_bytes small_get(const char *folder, const char *name)
{
    struct ood_error err = { 0 };
    struct ood_bytes bytes;
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    check_ok(ood_file_read(path, 1 << 20, &bytes, &err));
    return bytes;
}

#endif
