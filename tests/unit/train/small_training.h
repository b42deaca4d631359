/* A training run small enough for tests: 90 pictures of three colours and 40 outliers in noise, 16 x 16, a WideResNet of ten layers. */
#ifndef OOD_TESTS_TRAIN_SMALL_TRAINING_H
#define OOD_TESTS_TRAIN_SMALL_TRAINING_H

#include "base/random.h"
#include "check.h"
#include "ops/ops.h"
#include "scorer/scorer.h"
#include "train/architecture.h"
#include "train/training.h"

#ifndef SMALL_SIDE
#define SMALL_SIDE 16
#endif
#define SMALL_IN 90
#define SMALL_OUT 40
#define SMALL_CLASSES 3
#define SMALL_FEATURES 64

struct small {
    struct ood_picture_set *in, *out;
    size_t places[SMALL_IN];
    int32_t classes[SMALL_IN];
    float prototypes[SMALL_CLASSES * SMALL_FEATURES];
    struct ood_bytes onnx;
    struct ood_training_options options;
    struct ood_training_data data;
};

/* Class k is bright in channel k; an outlier in none. */
static inline struct ood_picture_set *small_set(const struct ood_preprocess *preprocess, size_t count, bool outliers, uint64_t seed)
{
    struct ood_error err = { 0 };
    struct ood_random random;
    float pixels[SMALL_SIDE * SMALL_SIDE * 3];
    struct ood_picture_set *set = ood_picture_set_new(preprocess, SIZE_MAX, &err);
    check_ok(set != NULL);
    ood_random_seed(&random, seed);
    for (size_t i = 0; i < count; i++) {
        struct ood_bytes none = { 0 };
        for (size_t p = 0; p < sizeof pixels / sizeof pixels[0]; p++)
            pixels[p] = (float)(ood_random_below(&random, 120) + (!outliers && p % 3 == i % 3 ? 100 : 0));
        check_ok(ood_picture_set_add(set, pixels, NULL, &none, &err));
    }
    return set;
}

static inline void small_open(struct small *small, const char *preset)
{
    struct ood_error err = { 0 };
    struct ood_preprocess preprocess;
    struct ood_architecture architecture;
    struct ood_random random;
    assert_true(ood_preprocess_preset("cifar", &preprocess));
    preprocess.width = preprocess.height = SMALL_SIDE;
    *small = (struct small){ .in = small_set(&preprocess, SMALL_IN, false, 1), .out = small_set(&preprocess, SMALL_OUT, true, 2) };
    for (size_t i = 0; i < SMALL_IN; i++) {
        small->places[i] = i;
        small->classes[i] = (int32_t)(i % SMALL_CLASSES);
    }
    ood_random_seed(&random, 3);
    for (size_t i = 0; i < SMALL_CLASSES * SMALL_FEATURES; i++)
        small->prototypes[i] = (float)ood_random_normal(&random);
    check_ok(ood_architecture_parse("wrn-10-1:3", &architecture, &err));
    check_ok(ood_architecture_build(&architecture, 3, SMALL_SIDE, SMALL_SIDE, 4, &small->onnx, &err));
    struct ood_training_options *o = &small->options;
    o->trainer = (struct ood_trainer_options){ .operators = ood_op_table, .input_shape = ood_preprocess_shape(&preprocess), .in = 12, .out = 8, .slices = 2, .threads = 1 };
    check_ok(ood_loss_preset(preset, SMALL_CLASSES, &o->loss, &err));
    o->loss.energy_in = -4;
    o->loss.energy_out = -1;
    o->optimiser = ood_optimiser_defaults();
    check_ok(ood_schedule_named("cosine", 0.05, &o->schedule, &err));
    o->augment = (struct ood_augment){ .crop = true, .mirror = true, .pad = 2, .width = SMALL_SIDE, .height = SMALL_SIDE };
    o->prototype_rate = 1;
    o->seed = 5;
    small->data = (struct ood_training_data){ small->in, small->out, small->places, small->places, SMALL_IN, SMALL_OUT, small->classes };
}

static inline struct ood_training *small_start(struct small *small)
{
    struct ood_error err = { 0 };
    struct ood_training *training = ood_training_new(&small->onnx, &small->options, &small->data, small->prototypes, &err);
    check_ok(training != NULL);
    return training;
}

/* Steps first … last - 1 of `all`; the last one's report. */
static inline struct ood_training_report small_run(struct ood_training *training, size_t first, size_t last, size_t all)
{
    struct ood_error err = { 0 };
    struct ood_training_report report = { 0 };
    for (size_t i = first; i < last; i++)
        check_ok(ood_training_step(training, (double)i / (double)all, &report, &err));
    return report;
}

static inline void small_close(struct small *small)
{
    ood_picture_set_free(small->in);
    ood_picture_set_free(small->out);
    ood_bytes_free(&small->onnx);
}

#endif
