/* METHOD sections 2 and 3 up to the fusion: against references, at ties, at the ends of the number range, and at sizes. */
#include "reference.h"

#include <float.h>
#include <math.h>


static void scores_agree_with_numpy(void **state)
{
    (void)state;
    struct ood_error err = { 0 };
    struct reference reference = reference_open();
    size_t cases = 0;
    while (reference_next(&reference)) {
        if (strcmp(reference.word, "scores") != 0)
            continue;
        struct ood_judge judge = { .classes = (size_t)reference.values[0], .dimension = (size_t)reference.values[1],
                                   .temperature = reference.values[2] };
        float *logits = reference_take_floats(&reference, "logits");
        float *features = reference_take_floats(&reference, "features");
        judge.prototypes = reference_take_floats(&reference, "prototypes");
        double *energy = reference_take(&reference, "energy", NULL);
        double *distances = reference_take(&reference, "distances", NULL);
        double *softmax = reference_take(&reference, "softmax", NULL);
        size_t nearest_count, top_count;
        double *nearest = reference_take(&reference, "nearest", &nearest_count);
        double *top = reference_take(&reference, "top", &top_count);

        struct ood_verdict verdict = { 0 };
        check_ok(ood_measure(&judge, logits, features, &verdict, &err));
        check_close(verdict.energy, energy[0], 1e-13, 1e-14);
        check_close(ood_energy(logits, judge.classes, judge.temperature), energy[0], 1e-13, 1e-14);
        assert_int_equal(verdict.class_index, (size_t)top[0]);
        check_close(verdict.class_probability, softmax[(size_t)top[0]], 0, 1e-13);
        assert_int_equal(verdict.nearest_count, nearest_count);
        for (size_t i = 0; i < nearest_count; i++) {
            assert_int_equal(verdict.nearest[i].class_index, (size_t)nearest[i]);
            check_close(verdict.nearest[i].distance, distances[(size_t)nearest[i]], 1e-14, 1e-14);
        }
        assert_true(verdict.representation_score == verdict.nearest[0].distance);

        double *found = calloc(judge.classes, sizeof *found);
        size_t *order = calloc(judge.classes + 2, sizeof *order);
        assert_non_null(found);
        assert_non_null(order);
        check_ok(ood_distances(&judge, features, found, &err));
        for (size_t k = 0; k < judge.classes; k++)
            check_close(found[k], distances[k], 1e-14, 1e-14);
        judge.distance = OOD_DISTANCE_PREDICTED;
        check_ok(ood_measure(&judge, logits, features, &verdict, &err));
        assert_true(verdict.representation_score == found[verdict.class_index]);
        ood_softmax(logits, judge.classes, found);
        for (size_t k = 0; k < judge.classes; k++)
            check_close(found[k], softmax[k], 1e-300, 1e-12);
        for (size_t asked = 0; asked <= judge.classes + 1; asked++) {
            order[judge.classes] = order[judge.classes + 1] = 12345;
            ood_top(logits, judge.classes, asked, order);
            for (size_t i = 0; i < asked && i < judge.classes; i++)
                assert_int_equal(order[i], (size_t)top[i]);
            assert_int_equal(order[judge.classes], 12345);      /* never more than there are */
        }
        free(found);
        free(order);
        free(logits);
        free(features);
        free(judge.prototypes);
        free(energy);
        free(distances);
        free(softmax);
        free(nearest);
        free(top);
        cases++;
    }
    assert_int_equal(cases, 5);
}

static void ties_take_the_lower_class(void **state)
{
    (void)state;
    struct ood_error err = { 0 };
    float prototypes[5][2] = { { 0, 1 }, { 1, 0 }, { 0, 1 }, { 1, 0 }, { 1, 0 } };
    struct ood_judge judge = { .classes = 5, .dimension = 2, .temperature = 1, .prototypes = prototypes[0] };
    struct ood_verdict verdict = { 0 };
    check_ok(ood_measure(&judge, (float[]){ 1, 7, 7, 0, 7 }, (float[]){ 3, 0 }, &verdict, &err));
    assert_int_equal(verdict.class_index, 1);
    assert_int_equal(verdict.nearest_count, 3);
    assert_int_equal(verdict.nearest[0].class_index, 1);
    assert_int_equal(verdict.nearest[1].class_index, 3);
    assert_int_equal(verdict.nearest[2].class_index, 4);
    check_ok(ood_measure(&judge, (float[]){ 1, 7, 7, 0, 7 }, (float[]){ 1, 1 }, &verdict, &err));
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(verdict.nearest[i].class_index, i);
    size_t order[5];
    ood_top((float[]){ 1, 7, 7, 0, 7 }, 5, 5, order);
    static const size_t expected[5] = { 1, 2, 4, 0, 3 };
    assert_memory_equal(order, expected, sizeof expected);
    ood_top((float[]){ 1, 7, 7, 0, 7 }, 5, 2, order);
    assert_memory_equal(order, expected, 2 * sizeof expected[0]);
}

static void the_ends_of_the_range(void **state)
{
    (void)state;
    struct ood_error err = { 0 };
    float prototypes[2][3] = { { 1, 0, 0 }, { 0, -1, 0 } };
    struct ood_judge judge = { .classes = 2, .dimension = 3, .temperature = 1, .prototypes = prototypes[0] };
    struct ood_verdict verdict = { .energy = 42, .nearest_count = 7 }, before = verdict;
    const struct { const char *name; float logits[2], features[3]; const char *part; } bad[] = {
        { "NaN logit", { 1, NAN }, { 1, 2, 3 }, "logits: found NaN for class 1" },
        { "infinite logit", { -INFINITY, 0 }, { 1, 2, 3 }, "logits: found infinity for class 0" },
        { "NaN feature", { 1, 2 }, { 1, NAN, 3 }, "features: found NaN" },
        { "infinite feature", { 1, 2 }, { 1, 2, -INFINITY }, "features: found NaN or infinity" },
        { "no features", { 1, 2 }, { 0, -0.0f, 0 }, "features: all are 0" },
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        check_fails(ood_measure(&judge, bad[i].logits, bad[i].features, &verdict, &err), OOD_SCORE_NOT_FINITE,
                    bad[i].part);
        assert_memory_equal(&verdict, &before, sizeof verdict);      /* outputs untouched */
        if (i >= 2)
            check_fails(ood_distances(&judge, bad[i].features, NULL, &err), OOD_SCORE_NOT_FINITE, bad[i].part);
    }
    judge.temperature = 1e-300;      /* finite logits, but not the energy's sum of them */
    check_ok(ood_measure(&judge, (float[]){ 5, 5 }, (float[]){ 1, 0, 0 }, &verdict, &err));
    check_close(verdict.energy, -5, 0, 0);
    judge.temperature = 1;
    /* the largest and the smallest floats there are */
    check_ok(ood_measure(&judge, (float[]){ FLT_MAX, -FLT_MAX }, (float[]){ FLT_MAX, 0, 0 }, &verdict, &err));
    check_close(verdict.energy, -(double)FLT_MAX, 0, 0);
    check_close(verdict.representation_score, 0, 0, 0);
    check_close(verdict.class_probability, 1, 0, 0);
    check_ok(ood_measure(&judge, (float[]){ -FLT_MAX, -FLT_MAX }, (float[]){ 0, 1e-45f, 0 }, &verdict, &err));
    check_close(verdict.energy, -((double)-FLT_MAX + log(2)), 0, 1e-15);
    check_close(verdict.class_probability, 0.5, 0, 0);
    check_close(verdict.nearest[0].distance, 1, 0, 0);
    check_close(verdict.nearest[1].distance, 2, 0, 0);
    /* a prototype a rounding too long gives no distance below 0 */
    prototypes[0][0] = nextafterf(1, 2);
    check_ok(ood_measure(&judge, (float[]){ 1, 2 }, (float[]){ 7, 0, 0 }, &verdict, &err));
    check_close(verdict.representation_score, 0, 0, 0);
}

static void a_hundred_thousand(void **state)
{
    (void)state;
    struct ood_error err = { 0 };
    const size_t many = 100000;
    float *wide = calloc(many, sizeof *wide), *ones = calloc(many, sizeof *ones);
    size_t *order = calloc(many, sizeof *order);
    assert_non_null(wide);
    assert_non_null(ones);
    assert_non_null(order);
    for (size_t i = 0; i < many; i++) {
        wide[i] = (float)((i * 7919) % many);       /* a permutation of 0 … many-1, so the order is known */
        ones[i] = 1;
    }
    struct ood_verdict verdict = { 0 };
    struct ood_judge judge = { .classes = many, .dimension = 1, .temperature = 1, .prototypes = ones };
    check_ok(ood_measure(&judge, wide, (float[]){ 2 }, &verdict, &err));
    check_close(verdict.energy, -(99999 + log(1 / (1 - exp(-1)))), 0, 1e-15);
    assert_true(wide[verdict.class_index] == 99999.0f);
    check_close(verdict.class_probability, 1 - exp(-1), 1e-14, 0);
    ood_top(wide, many, many, order);
    for (size_t i = 0; i < many; i++)
        assert_true(wide[order[i]] == (float)(many - 1 - i));
    check_ok(ood_measure(&judge, ones, (float[]){ 2 }, &verdict, &err));
    check_close(verdict.energy, -(1 + log(1e5)), 0, 1e-15);

    float length = (float)(1 / sqrt(1e5));
    for (size_t i = 0; i < many; i++)
        wide[i] = length;
    judge = (struct ood_judge){ .classes = 1, .dimension = many, .temperature = 1, .prototypes = wide };
    check_ok(ood_measure(&judge, (float[]){ 3 }, ones, &verdict, &err));
    check_close(verdict.representation_score, 0, 1e-7, 0);
    check_close(verdict.energy, -3, 0, 0);
    free(wide);
    free(ones);
    free(order);
}

static void prototypes_are_means_of_unit_features(void **state)
{
    (void)state;
    struct ood_error err = { 0 };
    struct ood_prototype_sums sums = { 0 };
    check_fails(ood_prototypes_begin(&sums, SIZE_MAX / 4, 8, &err), OOD_LIMIT, "too large");
    check_fails(ood_prototypes_begin(&sums, 0, 8, &err), OOD_INVALID, "[0, 8]");
    check_ok(ood_prototypes_begin(&sums, 3, 2, &err));
    float prototypes[3][2] = { { 9, 9 }, { 9, 9 }, { 9, 9 } };
    check_fails(ood_prototypes_add(&sums, 3, (float[]){ 1, 0 }, &err), OOD_INVALID, "found 3, expected 0 to 2");
    check_fails(ood_prototypes_add(&sums, 0, (float[]){ 0, 0 }, &err), OOD_SCORE_NOT_FINITE, "all are 0");
    check_fails(ood_prototypes_add(&sums, 0, (float[]){ NAN, 0 }, &err), OOD_SCORE_NOT_FINITE, "NaN or infinity");
    /* lengths do not count: (5, 0) and (0, 0.01) meet at 45 degrees */
    check_ok(ood_prototypes_add(&sums, 0, (float[]){ 5, 0 }, &err));
    check_ok(ood_prototypes_add(&sums, 0, (float[]){ 0, 0.01f }, &err));
    check_ok(ood_prototypes_add(&sums, 1, (float[]){ -3, 4 }, &err));
    check_ok(ood_prototypes_add(&sums, 1, (float[]){ -30, 40 }, &err));
    check_ok(ood_prototypes_add(&sums, 2, (float[]){ 1, 0 }, &err));
    check_fails(ood_prototypes_finish(&sums, prototypes[0], &err), OOD_INVALID, "class 2: found 1 pictures");
    assert_true(prototypes[0][0] == 9);
    check_ok(ood_prototypes_add(&sums, 2, (float[]){ -2, 0 }, &err));
    check_fails(ood_prototypes_finish(&sums, prototypes[0], &err), OOD_INVALID, "class 2: the features of its 2");
    check_ok(ood_prototypes_add(&sums, 2, (float[]){ -2, 0 }, &err));
    check_ok(ood_prototypes_finish(&sums, prototypes[0], &err));
    check_close(prototypes[0][0], (float)sqrt(0.5), 1e-7, 0);
    check_close(prototypes[0][1], (float)sqrt(0.5), 1e-7, 0);
    assert_true(prototypes[1][0] == -0.6f && prototypes[1][1] == 0.8f);
    assert_true(prototypes[2][0] == -1 && prototypes[2][1] == 0);
    ood_prototypes_free(&sums);
    ood_prototypes_free(&sums);
}

static void mean_and_deviation(void **state)
{
    (void)state;
    double mean, std;
    ood_mean_std((double[]){ 2, 4, 4, 4, 5, 5, 7, 9 }, 8, &mean, &std);
    check_close(mean, 5, 0, 0);
    check_close(std, sqrt(32.0 / 7), 0, 1e-15);
    ood_mean_std((double[]){ 1e9 + 4, 1e9 + 7, 1e9 + 13, 1e9 + 16 }, 4, &mean, &std);      /* NIST's SmLs idea: far off 0 */
    check_close(mean, 1e9 + 10, 0, 0);
    check_close(std, sqrt(30), 0, 1e-14);
    ood_mean_std((double[]){ -3, -3 }, 2, &mean, &std);
    check_close(std, 0, 0, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scores_agree_with_numpy),
        cmocka_unit_test(ties_take_the_lower_class),
        cmocka_unit_test(the_ends_of_the_range),
        cmocka_unit_test(a_hundred_thousand),
        cmocka_unit_test(prototypes_are_means_of_unit_features),
        cmocka_unit_test(mean_and_deviation),
    };
    return cmocka_run_group_tests_name("measure", tests, NULL, NULL);
}
