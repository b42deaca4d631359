/* METHOD section 6: every term and every option against a plain double-precision reference and its central differences, and against PyTorch's
 * values and gradients (tests/data/train/loss.txt); what a batch may not hold, and that the failing term is named. */
#include "check.h"

#include "base/random.h"
#include "score/reference.h"
#include "train/plain_loss.h"

enum { CLASSES = 5, DIMENSION = 7, PICTURES = 9 };

struct arrays {
    float logits[PICTURES * CLASSES], features[PICTURES * DIMENSION], prototypes[CLASSES * DIMENSION];
    int32_t labels[PICTURES];
};

enum parts { BOTH, ONLY_IN, ONLY_OUT };

static void fill(struct arrays *arrays, enum parts parts, uint64_t seed)
{
    struct ood_random random;
    ood_random_seed(&random, seed);
    for (size_t i = 0; i < PICTURES * CLASSES; i++)
        arrays->logits[i] = (float)(2 * ood_random_normal(&random));
    for (size_t i = 0; i < PICTURES * DIMENSION; i++)
        arrays->features[i] = (float)ood_random_normal(&random);
    for (size_t i = 0; i < CLASSES * DIMENSION; i++)
        arrays->prototypes[i] = (float)(3 * ood_random_normal(&random));
    for (size_t i = 0; i < PICTURES; i++) {
        bool in = parts == ONLY_IN || (parts == BOTH && i % 3 != 1);
        arrays->labels[i] = in ? (int32_t)ood_random_below(&random, CLASSES) : -1;
    }
}

static struct ood_loss_batch batch_of(const struct arrays *arrays)
{
    return (struct ood_loss_batch){ PICTURES, arrays->logits, arrays->features, arrays->labels, arrays->prototypes };
}

/* All weights 0, margins in the middle of what random batches have, so that both sides of each are met. */
static struct ood_loss_options neutral(void)
{
    struct ood_error err = { 0 };
    struct ood_loss_options o;
    check_ok(ood_loss_preset("ce", CLASSES, &o, &err));
    o.cross_entropy_weight = 0;
    o.energy_in = -3.5, o.energy_out = -2.5;
    o.representation_in = 0.4, o.representation_out = 0.8;
    o.scale = 3;
    o.beta = 0.3, o.energy_mean = -3, o.energy_std = 1.5, o.representation_mean = 0.6, o.representation_std = 0.3;
    return o;
}

struct what { const char *name; struct ood_loss_options options; bool logits, features; };      /* whether either gets a gradient */

#define CASE(text, l, h, ...)                                                                                         \
    do {                                                                                                              \
        struct ood_loss_options o = neutral();                                                                        \
        __VA_ARGS__;                                                                                                  \
        cases[count++] = (struct what){ text, o, l, h };                                                              \
    } while (0)

static size_t make_cases(struct what *cases)
{
    size_t count = 0;
    CASE("cross-entropy", true, false, o.cross_entropy_weight = 1.5);
    CASE("energy", true, false, o.energy_weight = 0.1);
    CASE("energy, T = 2.5", true, false, o.energy_weight = 0.7, o.temperature = 2.5, o.energy_in = -6, o.energy_out = -4);
    CASE("cluster focal", false, true, o.cluster_weight = 0.5);
    CASE("cluster focal, gamma 0", false, true, o.cluster_weight = 1, o.focus = 0);
    CASE("cluster focal, gamma 0.5", false, true, o.cluster_weight = 1, o.focus = 0.5, o.scale = 16);
    CASE("cluster focal, gamma 1", false, true, o.cluster_weight = 1, o.focus = 1);
    CASE("representation", false, true, o.representation_weight = 1);
    CASE("logistic energy", true, false, o.energy_weight = 1, o.energy_form = OOD_MARGIN_LOGISTIC);
    CASE("logistic representation", false, true, o.representation_weight = 1, o.representation_form = OOD_MARGIN_LOGISTIC);
    CASE("cosine energy", false, true, o.energy_weight = 1, o.energy_space = OOD_ENERGY_COSINE);
    CASE("cosine energy, T = 0.5", false, true, o.energy_weight = 1, o.energy_space = OOD_ENERGY_COSINE, o.temperature = 0.5, o.energy_in = -2,
         o.energy_out = -1);
    CASE("uniform", true, false, o.uniform_weight = 0.5);
    CASE("score, logistic", true, true, o.score_weight = 1);
    CASE("score, hinge", true, true, o.score_weight = 1, o.score_form = OOD_MARGIN_HINGE, o.score_in = 0.5, o.score_out = -0.5);
    CASE("score of E alone", true, false, o.score_weight = 1, o.beta = 0);
    CASE("score of D alone", false, true, o.score_weight = 1, o.beta = 1);
    CASE("score, cosine energy", false, true, o.score_weight = 2, o.energy_space = OOD_ENERGY_COSINE);
    CASE("all", true, true, o.cross_entropy_weight = 1, o.energy_weight = 0.1, o.cluster_weight = 0.5, o.representation_weight = 1,
         o.uniform_weight = 0.5, o.score_weight = 0.3);
    CASE("all, cosine energy", true, true, o.cross_entropy_weight = 1, o.energy_weight = 0.1, o.cluster_weight = 0.5, o.representation_weight = 1,
         o.uniform_weight = 0.5, o.score_weight = 0.3, o.energy_space = OOD_ENERGY_COSINE);
    return count;
}

static double *doubles(const float *from, size_t count)
{
    double *to = calloc(count, sizeof *to);
    assert_non_null(to);
    for (size_t i = 0; i < count; i++)
        to[i] = (double)from[i];
    return to;
}

/* The gradient of the plain loss by x[count], which lies in the batch, against the engine's. Returns the greatest of the engine's. */
static double compare_gradient(const char *name, const char *of, const struct ood_loss_options *o, const struct plain_batch *batch, double *x,
                               const float *gradient, size_t count)
{
    double most = 0;
    for (size_t i = 0; i < count; i++) {
        double kept = x[i], step = 1e-5;
        x[i] = kept + step;
        double above = plain_loss(o, batch, NULL);
        x[i] = kept - step;
        double below = plain_loss(o, batch, NULL);
        x[i] = kept;
        double expected = (above - below) / (2 * step);
        if (!(fabs((double)gradient[i] - expected) <= 2e-8 + 1e-6 * fabs(expected)))
            fail_msg("%s: gradient of %s %zu: %.9g, by central differences %.9g", name, of, i, (double)gradient[i], expected);
        most = fmax(most, fabs((double)gradient[i]));
    }
    return most;
}

static void compare_terms(const char *name, const struct ood_loss_options *o, const struct plain_batch *plain, const struct ood_loss_terms *terms)
{
    double expected[PLAIN_TERMS], total = plain_loss(o, plain, expected);
    const double found[PLAIN_TERMS] = { terms->cross_entropy, terms->energy, terms->cluster, terms->representation, terms->uniform,
                                        o->score_weight > 0 ? terms->score : expected[PLAIN_SCORE] };
    for (size_t t = 0; t < PLAIN_TERMS; t++)
        if (!(fabs(found[t] - expected[t]) <= 1e-12 * (1 + fabs(expected[t]))))
            fail_msg("%s: term %zu: %.17g, expected %.17g", name, t, found[t], expected[t]);
    check_close(terms->total, total, 1e-12, 1e-12);
}

static void compare_with_plain(const struct what *what, enum parts parts)
{
    struct ood_error err = { 0 };
    struct arrays arrays;
    fill(&arrays, parts, 5 + (uint64_t)parts);
    struct plain_batch plain = { CLASSES, DIMENSION, PICTURES, doubles(arrays.logits, PICTURES * CLASSES),
                                 doubles(arrays.features, PICTURES * DIMENSION), doubles(arrays.prototypes, CLASSES * DIMENSION), arrays.labels };
    float logits[PICTURES * CLASSES], features[PICTURES * DIMENSION], prototypes[CLASSES * DIMENSION];
    struct ood_loss_batch batch = batch_of(&arrays);
    struct ood_loss_terms terms;
    struct ood_loss *loss = ood_loss_new(CLASSES, DIMENSION, PICTURES + 2, &what->options, &err);
    check_ok(loss != NULL);
    check_ok(ood_loss(loss, &batch, &(struct ood_loss_gradients){ logits, features, prototypes }, &terms, &err));
    compare_terms(what->name, &what->options, &plain, &terms);
    double by_logits = compare_gradient(what->name, "logit", &what->options, &plain, plain.logits, logits, PICTURES * CLASSES);
    double by_features = compare_gradient(what->name, "feature", &what->options, &plain, plain.features, features, PICTURES * DIMENSION);
    double by_prototypes = compare_gradient(what->name, "prototype", &what->options, &plain, plain.prototypes, prototypes, CLASSES * DIMENSION);
    if (parts == BOTH && ((by_logits > 0) != what->logits || (by_features > 0) != what->features || (by_prototypes > 0) != what->features))
        fail_msg("%s: greatest gradients %g, %g, %g", what->name, by_logits, by_features, by_prototypes);
    ood_loss_free(loss);
    free(plain.logits);
    free(plain.features);
    free(plain.prototypes);
}

static void central_differences(void **state)
{
    (void)state;
    struct what cases[32];
    size_t count = make_cases(cases);
    for (size_t i = 0; i < count; i++)
        for (enum parts parts = BOTH; parts <= ONLY_OUT; parts++)
            compare_with_plain(&cases[i], parts);
}

/* ---- PyTorch's values ---- */

static struct ood_loss_options options_of(const double *x)
{
    return (struct ood_loss_options){
        .cross_entropy_weight = x[0], .energy_weight = x[1], .cluster_weight = x[2], .representation_weight = x[3], .temperature = x[4],
        .energy_in = x[5], .energy_out = x[6], .focus = x[7], .scale = x[8], .representation_in = x[9], .representation_out = x[10],
        .energy_space = (enum ood_energy_space)x[11], .energy_form = (enum ood_margin_form)x[12], .representation_form = (enum ood_margin_form)x[13],
        .uniform_weight = x[14], .score_weight = x[15], .score_form = (enum ood_margin_form)x[16], .score_in = x[17], .score_out = x[18],
        .beta = x[19], .energy_mean = x[20], .energy_std = x[21], .representation_mean = x[22], .representation_std = x[23],
    };
}

static void compare_values(size_t at, struct reference *reference, const char *word, const double *found, size_t count, double relative)
{
    size_t expected_count;
    double *expected = reference_take(reference, word, &expected_count), most = 0;
    assert_int_equal(expected_count, count);
    for (size_t i = 0; i < count; i++)
        most = fmax(most, fabs(expected[i]));
    for (size_t i = 0; i < count; i++)
        if (!(fabs(found[i] - expected[i]) <= 1e-13 + relative * (0.01 * most + fabs(expected[i]))))
            fail_msg("case %zu: %s %zu: %.17g, expected %.17g", at, word, i, found[i], expected[i]);
    free(expected);
}

static void compare_floats(size_t at, struct reference *reference, const char *word, const float *found, size_t count)
{
    double *wide = doubles(found, count);
    compare_values(at, reference, word, wide, count, 1e-6);
    free(wide);
}

struct shape { size_t preset, classes, dimension, pictures; };

static void compare_results(size_t at, struct reference *reference, const struct shape *shape, const struct ood_loss_options *options,
                            const struct ood_loss_batch *batch)
{
    struct ood_error err = { 0 };
    size_t n = shape->pictures;
    struct ood_loss_terms terms;
    float *gradients = calloc(n * shape->classes + n * shape->dimension + shape->classes * shape->dimension, sizeof *gradients);
    double *measured = calloc(3 * n, sizeof *measured);
    assert_true(gradients != NULL && measured != NULL);
    struct ood_loss_gradients to = { gradients, gradients + n * shape->classes, gradients + n * (shape->classes + shape->dimension) };
    struct ood_loss *loss = ood_loss_new(shape->classes, shape->dimension, n, options, &err);
    check_ok(loss != NULL);
    check_ok(ood_loss(loss, batch, &to, &terms, &err));
    check_ok(ood_loss_measure(loss, batch, measured, measured + n, measured + 2 * n, &err));
    compare_values(at, reference, "total", &terms.total, 1, 1e-12);
    size_t count;
    double *expected = reference_take(reference, "terms", &count);
    const double found[] = { terms.cross_entropy, terms.energy, terms.cluster, terms.representation, terms.uniform, terms.score };
    for (size_t t = 0; t < (options->score_weight > 0 ? 6 : 5); t++)
        check_close(found[t], expected[t], 1e-13, 1e-12);
    free(expected);
    compare_values(at, reference, "means", (const double[]){ terms.mean_energy_in, terms.mean_energy_out, terms.mean_own_in,
                                                             terms.mean_representation_in, terms.mean_representation_out }, 5, 1e-12);
    compare_values(at, reference, "correct", (const double[]){ (double)terms.correct, (double)terms.nearest_correct }, 2, 0);
    compare_values(at, reference, "measured", measured, 3 * n, 1e-12);
    compare_floats(at, reference, "by_logits", to.logits, n * shape->classes);
    compare_floats(at, reference, "by_features", to.features, n * shape->dimension);
    compare_floats(at, reference, "by_prototypes", to.prototypes, shape->classes * shape->dimension);
    ood_loss_free(loss);
    free(gradients);
    free(measured);
}

/* Where a case is a preset's, the options are the preset's as it comes. */
static void against_pytorch(void **state)
{
    (void)state;
    struct ood_error err = { 0 };
    static const char *const presets[] = { "", "ce", "energy", "sde" };
    struct reference reference = reference_open_file("train/loss.txt");
    size_t cases = 0;
    for (; reference_next(&reference); cases++) {
        assert_string_equal(reference.word, "case");
        struct shape shape = { (size_t)reference.values[0], (size_t)reference.values[1], (size_t)reference.values[2], (size_t)reference.values[3] };
        size_t count;
        double *numbers = reference_take(&reference, "options", &count);
        assert_int_equal(count, 24);
        struct ood_loss_options options = options_of(numbers);
        if (shape.preset > 0)
            check_ok(ood_loss_preset(presets[shape.preset], shape.classes, &options, &err));
        float *logits = reference_take_floats(&reference, "logits"), *features = reference_take_floats(&reference, "features");
        float *prototypes = reference_take_floats(&reference, "prototypes"), *label_floats = reference_take_floats(&reference, "labels");
        int32_t labels[64];
        assert_true(shape.pictures <= 64);
        for (size_t i = 0; i < shape.pictures; i++)
            labels[i] = (int32_t)label_floats[i];
        compare_results(cases, &reference, &shape, &options, &(struct ood_loss_batch){ shape.pictures, logits, features, labels, prototypes });
        free(numbers);
        free(logits);
        free(features);
        free(prototypes);
        free(label_floats);
    }
    assert_int_equal(cases, 11);
}

/* ---- options ---- */

static void presets(void **state)
{
    (void)state;
    struct ood_error err = { 0 };
    struct ood_loss_options o;
    static const struct { size_t classes; double in; } margins[] = { { 2, -23 }, { 10, -23 }, { 31, -23 }, { 32, -27 }, { 100, -27 }, { 1000, -27 } };
    for (size_t i = 0; i < sizeof margins / sizeof margins[0]; i++) {
        check_ok(ood_loss_preset("energy", margins[i].classes, &o, &err));
        assert_true(o.energy_in == margins[i].in && o.energy_out == -5 && o.energy_weight == 0.1 && o.cluster_weight == 0);
    }
    check_ok(ood_loss_preset("sde", 10, &o, &err));
    o.energy_space = OOD_ENERGY_COSINE;
    ood_loss_default_margins(&o, 10);
    check_close(o.energy_in, -16 * 0.95, 1e-12, 0);
    check_close(o.energy_out, -16 * 0.3 - log(10), 1e-12, 0);
    struct ood_loss_options before = o;
    check_fails(ood_loss_preset("SDE", 10, &o, &err), OOD_INVALID, "found \"SDE\", expected ce, energy or sde");
    assert_memory_equal(&o, &before, sizeof o);
}

static void wrong_options(void **state)
{
    (void)state;
    struct ood_error err = { 0 };
    struct ood_loss_options o = neutral();
    const struct { double *field, value; const char *says; } cases[] = {
        { &o.cross_entropy_weight, -1, "cross-entropy weight: found -1" }, { &o.energy_weight, NAN, "energy weight: found nan" },
        { &o.cluster_weight, INFINITY, "cluster weight: found inf" }, { &o.representation_weight, -1e-9, "representation weight" },
        { &o.uniform_weight, -1, "uniform weight" }, { &o.score_weight, NAN, "score weight" }, { &o.temperature, 0, "temperature: found 0" },
        { &o.focus, -0.1, "gamma: found -0.1" }, { &o.scale, 0, "scale of the cosines: found 0" }, { &o.energy_in, NAN, "energy margin in" },
        { &o.energy_in, -2.5, "the energy margins: found -2.5 in and -2.5 out" }, { &o.representation_out, 0.1, "the representation margins" },
        { &o.score_in, -2, "score margins" }, { &o.beta, 1.5, "beta: found 1.5, expected 0 to 1" }, { &o.energy_std, 0, "energy deviation: found 0" },
        { &o.representation_std, NAN, "representation deviation" }, { &o.energy_mean, INFINITY, "energy mean" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        double kept = *cases[i].field;
        *cases[i].field = cases[i].value;
        check_fails(ood_loss_new(3, 4, 5, &o, &err) != NULL, OOD_INVALID, cases[i].says);
        *cases[i].field = kept;
    }
    check_fails(ood_loss_new(0, 4, 5, &o, &err) != NULL, OOD_INVALID, "found 0 classes");
    check_fails(ood_loss_new(3, 0, 5, &o, &err) != NULL, OOD_INVALID, "0 features");
    check_fails(ood_loss_new(3, 4, 0, &o, &err) != NULL, OOD_INVALID, "0 pictures");
    check_fails(ood_loss_new(3, SIZE_MAX / 2, 5, &o, &err) != NULL, OOD_LIMIT, "too many");
    ood_loss_free(NULL);
}

/* Quantiles by hand: 0.25 of (-9, -7, -5, -1) is -7.5, 0.5 of (-4, -3, 1) is -3. */
static void margins_from_scores(void **state)
{
    (void)state;
    struct ood_error err = { 0 };
    struct ood_loss_options o = neutral();
    const double in_energy[] = { -7, -1, -9, -5 }, in_own[] = { 0.3, 0.1, 0.2, 0.4 }, in_representation[] = { 0.1, 0.1, 0.2, 0.4 };
    const double out_energy[] = { 1, -4, -3 }, out_representation[] = { 0.9, 0.5, 0.6 };
    struct ood_loss_sample sample = { 4, 3, in_energy, in_own, in_representation, out_energy, out_representation };
    check_ok(ood_loss_scale(&o, &sample, 0.25, 0.5, &err));
    check_close(o.energy_in, -7.5, 1e-12, 0);
    check_close(o.representation_in, 0.175, 1e-12, 0);
    check_close(o.energy_out, -3, 1e-12, 0);
    check_close(o.representation_out, 0.6, 1e-12, 0);
    check_close(o.energy_mean, -5.5, 1e-12, 0);
    check_close(o.energy_std, sqrt((1.5 * 1.5 + 4.5 * 4.5 + 3.5 * 3.5 + 0.5 * 0.5) / 3), 1e-12, 0);
    check_close(o.representation_mean, 0.2, 1e-12, 0);
    check_close(o.representation_std, sqrt((0.01 + 0.01 + 0 + 0.04) / 3), 1e-12, 0);
    check_ok(ood_loss_scale(&o, &sample, 0, 1, &err));
    assert_true(o.energy_in == -9 && o.energy_out == 1);
    struct ood_loss_options before = o;
    check_fails(ood_loss_scale(&o, &sample, 1, 0, &err), OOD_INVALID, "the energy margins: found -1 in and -4 out");
    check_fails(ood_loss_scale(&o, &sample, 0.5, 1.1, &err), OOD_INVALID, "quantile out: found 1.1");
    check_fails(ood_loss_scale(&o, &sample, NAN, 0.5, &err), OOD_INVALID, "quantile in");
    sample.out = 0;
    check_fails(ood_loss_scale(&o, &sample, 0.5, 0.5, &err), OOD_INVALID, "4 pictures in and 0 outliers");
    sample.out = 3, sample.in = 1;
    check_fails(ood_loss_scale(&o, &sample, 0.5, 0.5, &err), OOD_INVALID, "1 pictures in");
    sample.in = 4, sample.in_own = (const double[]){ 0, 0, NAN, 0 };
    check_fails(ood_loss_scale(&o, &sample, 0.5, 0.5, &err), OOD_SCORE_NOT_FINITE, "distance in of picture 2");
    sample.in_own = in_own, sample.in_energy = (const double[]){ -9, -9, -9, -9 };
    check_fails(ood_loss_scale(&o, &sample, 0.5, 0.5, &err), OOD_INVALID, "energy deviation: found 0");
    assert_memory_equal(&o, &before, sizeof o);
}

/* ---- what a batch may not hold ---- */

/* One change to a good batch of all terms but what `options` leaves out, and the sentence it must give; nothing is written. */
static void refuse(const struct ood_loss_options *options, const struct arrays *arrays, const float *prototypes, enum ood_code code, const char *says)
{
    struct ood_error err = { 0 };
    float written[PICTURES * (CLASSES + DIMENSION) + CLASSES * DIMENSION], untouched[PICTURES * (CLASSES + DIMENSION) + CLASSES * DIMENSION];
    double measured[PICTURES], unmeasured[PICTURES];
    memset(written, 0x5a, sizeof written);
    memset(untouched, 0x5a, sizeof untouched);
    memset(measured, 0x5a, sizeof measured);
    memset(unmeasured, 0x5a, sizeof unmeasured);
    struct ood_loss_terms terms = { .total = -1 };
    struct ood_loss_batch batch = batch_of(arrays);
    batch.prototypes = prototypes;
    struct ood_loss *loss = ood_loss_new(CLASSES, DIMENSION, PICTURES, options, &err);
    check_ok(loss != NULL);
    check_fails(ood_loss(loss, &batch, &(struct ood_loss_gradients){ written, written + PICTURES * CLASSES, written + PICTURES * (CLASSES + DIMENSION) },
                         &terms, &err), code, says);
    assert_memory_equal(written, untouched, sizeof written);
    assert_true(terms.total == -1);
    if (strstr(says, "gradient") == NULL && strstr(says, "a loss") == NULL) {
        check_fails(ood_loss_measure(loss, &batch, measured, NULL, NULL, &err), code, says);
        assert_memory_equal(measured, unmeasured, sizeof measured);
    }
    ood_loss_free(loss);
}

static void failing_term_is_named(void **state)
{
    (void)state;
    static const double bad[] = { NAN, INFINITY, -INFINITY };
    struct what cases[32];
    size_t count = make_cases(cases);
    static const struct { const char *name, *logit_in, *logit_out, *feature_in, *feature_out, *prototype; } rows[] = {
        { "ce", "cross-entropy", "energy", "representation", "representation", "representation" },
        { "energy", "cross-entropy", "energy", "representation", "representation", "representation" },
        { "sde", "cross-entropy", "energy", "cluster focal", "representation", "cluster focal" },
        { "cosine energy", "energy", "energy", "energy", "energy", "energy" },
        { "uniform", "energy", "uniform", "representation", "representation", "representation" },
        { "score, logistic", "score", "score", "score", "score", "score" },
    };
    struct ood_error err = { 0 };
    for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++) {
        struct ood_loss_options options = { .temperature = NAN };
        if (r < 3)
            check_ok(ood_loss_preset(rows[r].name, CLASSES, &options, &err));
        for (size_t c = 0; r >= 3 && c < count; c++)
            if (strcmp(cases[c].name, rows[r].name) == 0)
                options = cases[c].options;
        for (size_t b = 0; b < 3; b++) {
            struct arrays arrays;
            char says[128];
            fill(&arrays, BOTH, 3);                                  /* picture 2 is in, picture 1 an outlier */
            const struct { float *place; const char *term; const char *who; } places[] = {
                { &arrays.logits[2 * CLASSES + 3], rows[r].logit_in, "picture 2 (of class " },
                { &arrays.logits[1 * CLASSES], rows[r].logit_out, "picture 1 (an outlier)" },
                { &arrays.features[2 * DIMENSION], rows[r].feature_in, "picture 2 (of class " },
                { &arrays.features[2 * DIMENSION - 1], rows[r].feature_out, "picture 1 (an outlier)" },
                { &arrays.prototypes[4 * DIMENSION + 1], rows[r].prototype, "the prototype of class 4: found length" },
            };
            for (size_t p = 0; p < 5; p++) {
                float kept = *places[p].place;
                *places[p].place = (float)bad[b];
                snprintf(says, sizeof says, "the %s term is not finite: %s", places[p].term, places[p].who);
                refuse(&options, &arrays, arrays.prototypes, OOD_SCORE_NOT_FINITE, says);
                *places[p].place = kept;
            }
        }
    }
}

/* The picture's features are all 0: every distance is 1, no gradient goes there. */
static void no_direction(const struct ood_loss_options *options, const struct arrays *arrays, size_t picture)
{
    struct ood_error err = { 0 };
    float features[PICTURES * DIMENSION];
    double energy[PICTURES], own[PICTURES], representation[PICTURES];
    struct ood_loss_terms terms;
    const struct ood_loss_batch batch = batch_of(arrays);
    struct ood_loss *loss = ood_loss_new(CLASSES, DIMENSION, PICTURES, options, &err);
    assert_non_null(loss);
    check_ok(ood_loss(loss, &batch, &(struct ood_loss_gradients){ .features = features }, &terms, &err));
    check_ok(ood_loss_measure(loss, &batch, energy, own, representation, &err));
    assert_true(own[picture] == 1 && representation[picture] == 1 && isfinite(terms.total));
    for (size_t i = 0; i < DIMENSION; i++)
        assert_true(features[picture * DIMENSION + i] == 0);
    ood_loss_free(loss);
}

static void hostile_batches(void **state)
{
    (void)state;
    struct ood_error err = { 0 };
    struct ood_loss_options sde, energy;
    check_ok(ood_loss_preset("sde", CLASSES, &sde, &err));
    check_ok(ood_loss_preset("energy", CLASSES, &energy, &err));
    struct arrays arrays;
    char says[96];
    fill(&arrays, BOTH, 3);
    static const int32_t labels[] = { CLASSES, -2, INT32_MIN, INT32_MAX };
    for (size_t i = 0; i < 4; i++) {
        struct arrays changed = arrays;
        changed.labels[4] = labels[i];
        snprintf(says, sizeof says, "picture 4 has label %d, expected -1 to 4", (int)labels[i]);
        refuse(&sde, &changed, changed.prototypes, OOD_INVALID, says);
    }
    refuse(&sde, &arrays, NULL, OOD_INVALID, "need prototypes");
    struct arrays changed = arrays;
    memset(changed.features + 2 * DIMENSION, 0, DIMENSION * sizeof(float));
    no_direction(&sde, &changed, 2);
    changed = arrays;
    memset(changed.prototypes, 0, DIMENSION * sizeof(float));
    refuse(&sde, &changed, changed.prototypes, OOD_SCORE_NOT_FINITE, "the prototype of class 0: found length 0");
    changed = arrays;
    for (size_t i = 0; i < DIMENSION; i++)
        changed.features[1 * DIMENSION + i] = 1e-43f;                /* a direction, but no float32 holds the gradient */
    refuse(&sde, &changed, changed.prototypes, OOD_SCORE_NOT_FINITE, "the representation term is not finite: picture 1 (an outlier): found a gradient");
    energy.energy_weight = 1e300;
    changed = arrays;
    snprintf(says, sizeof says, "the energy term is not finite: picture 0 (of class %d): found a gradient of", (int)changed.labels[0]);
    refuse(&energy, &changed, NULL, OOD_SCORE_NOT_FINITE, says);
    struct ood_loss *loss = ood_loss_new(CLASSES, DIMENSION, PICTURES - 1, &sde, &err);
    check_ok(loss != NULL);
    struct ood_loss_terms terms;
    struct ood_loss_batch batch = batch_of(&arrays);
    check_fails(ood_loss(loss, &batch, &(struct ood_loss_gradients){ 0 }, &terms, &err), OOD_INVALID, "a batch of 9 pictures, expected 1 to 8");
    batch.pictures = 0;
    check_fails(ood_loss(loss, &batch, &(struct ood_loss_gradients){ 0 }, &terms, &err), OOD_INVALID, "a batch of 0 pictures");
    ood_loss_free(loss);
}

/* The energy preset reads no features: none need have a direction, and no gradient goes there. */
static void without_prototypes(void **state)
{
    (void)state;
    struct ood_error err = { 0 };
    struct ood_loss_options options;
    check_ok(ood_loss_preset("energy", CLASSES, &options, &err));
    struct arrays arrays;
    fill(&arrays, BOTH, 8);
    memset(arrays.features, 0, DIMENSION * sizeof(float));
    struct ood_loss_batch batch = batch_of(&arrays);
    struct ood_loss *loss = ood_loss_new(CLASSES, DIMENSION, PICTURES, &options, &err);
    check_ok(loss != NULL);
    assert_false(ood_loss_needs_prototypes(loss));
    struct ood_loss_terms with, without;
    float features[PICTURES * DIMENSION], prototypes[CLASSES * DIMENSION];
    check_ok(ood_loss(loss, &batch, &(struct ood_loss_gradients){ NULL, features, prototypes }, &with, &err));
    batch.prototypes = NULL;
    check_ok(ood_loss(loss, &batch, &(struct ood_loss_gradients){ NULL, features, prototypes }, &without, &err));
    for (size_t i = 0; i < PICTURES * DIMENSION; i++)
        assert_true(features[i] == 0);
    for (size_t i = 0; i < CLASSES * DIMENSION; i++)
        assert_true(prototypes[i] == 0);
    assert_true(with.total == without.total && with.mean_own_in > 0 && without.mean_own_in == 0 && without.nearest_correct == 0);
    double energy[PICTURES], own[PICTURES];
    check_ok(ood_loss_measure(loss, &batch, energy, NULL, NULL, &err));
    check_close(energy[3], ood_energy(arrays.logits + 3 * CLASSES, CLASSES, 1), 1e-12, 0);
    check_fails(ood_loss_measure(loss, &batch, energy, own, NULL, &err), OOD_INVALID, "distances need prototypes");
    ood_loss_free(loss);
}

/* Values at which a plain formula would lose everything: sure to 1e-40, far beyond exp's range. */
static void extremes(void **state)
{
    (void)state;
    struct ood_error err = { 0 };
    struct ood_loss_options options;
    check_ok(ood_loss_preset("ce", 2, &options, &err));
    options.cluster_weight = 1, options.scale = 2000, options.focus = 0;
    struct ood_loss *loss = ood_loss_new(2, 2, 2, &options, &err);
    check_ok(loss != NULL);
    const float logits[] = { 0, -90, 3e38f, -3e38f }, features[] = { 1, 0, 0, 1 }, prototypes[] = { 1, 0, 0, 1 };
    const int32_t labels[] = { 0, 0 };
    struct ood_loss_terms terms;
    float by_logits[4];
    struct ood_loss_batch one = { 1, logits, features, labels, prototypes }, two = { 2, logits, features, labels, prototypes };
    struct ood_loss_gradients gradients = { .logits = by_logits };
    check_ok(ood_loss(loss, &one, &gradients, &terms, &err));
    check_close(terms.cross_entropy, exp(-90), 0, 1e-12);
    check_close((double)by_logits[1], exp(-90), 0, 1e-6);
    check_ok(ood_loss(loss, &two, &gradients, &terms, &err));
    check_close(terms.cluster, 1000, 0, 1e-12);                      /* the mean of 0 and the 2000 nats of the wrong class */
    check_close(terms.mean_energy_in, (0 - (double)3e38f) / 2, 0, 1e-12);
    ood_loss_free(loss);
    options.scale = 50, options.focus = 0.5;
    loss = ood_loss_new(2, 2, 2, &options, &err);
    check_ok(loss != NULL);
    check_ok(ood_loss(loss, &one, &gradients, &terms, &err));
    check_close(terms.cluster, pow(exp(-50), 1.5), 0, 1e-10);        /* both 1 - q and log q are of that size */
    ood_loss_free(loss);
}

/* ---- the first prototypes ---- */

static void class_means(void **state)
{
    (void)state;
    struct ood_error err = { 0 };
    const float features[] = { 2, 0, 0, 3, 5, 5, 0, -1, 0, -4, 0.6f, 0.8f };
    const int32_t labels[] = { 0, 0, -1, 1, 1, 0 };
    float prototypes[4];
    struct ood_prototype_sums sums;
    check_ok(ood_prototypes_begin(&sums, 2, 2, &err));
    check_ok(ood_prototypes_add_batch(&sums, features, labels, 4, &err));
    check_fails(ood_prototypes_finish(&sums, prototypes, &err), OOD_INVALID, "class 1: found 1 pictures");
    check_ok(ood_prototypes_add_batch(&sums, features + 8, labels + 4, 2, &err));
    check_ok(ood_prototypes_finish(&sums, prototypes, &err));
    double length = sqrt(1.6 * 1.6 + 1.8 * 1.8);
    check_close((double)prototypes[0], 1.6 / length, 1e-7, 0);
    check_close((double)prototypes[1], 1.8 / length, 1e-7, 0);
    assert_true(prototypes[2] == 0 && prototypes[3] == -1);
    check_fails(ood_prototypes_add_batch(&sums, features, (const int32_t[]){ -1, 2 }, 2, &err), OOD_INVALID, "picture 1: class index: found 2");
    check_fails(ood_prototypes_add_batch(&sums, features, (const int32_t[]){ -7 }, 1, &err), OOD_INVALID, "picture 0: class index");
    check_fails(ood_prototypes_add_batch(&sums, (const float[]){ 0, 0 }, (const int32_t[]){ 0 }, 1, &err), OOD_SCORE_NOT_FINITE, "picture 0: features");
    ood_prototypes_free(&sums);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(central_differences), cmocka_unit_test(against_pytorch), cmocka_unit_test(presets), cmocka_unit_test(wrong_options),
        cmocka_unit_test(margins_from_scores), cmocka_unit_test(failing_term_is_named), cmocka_unit_test(hostile_batches),
        cmocka_unit_test(without_prototypes), cmocka_unit_test(extremes), cmocka_unit_test(class_means),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
