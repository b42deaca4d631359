/* METHOD section 4: ranks, p-values, thresholds with and without classes, coverage, and what a judge refuses. */
#include "check.h"

#include <math.h>

#include "base/random.h"
#include "score/score.h"

/* A judge over classes whose logits and features make S whatever the test wants: T = 1, beta 0, E = -logit. */
static struct ood_judge make_judge(size_t n, double alpha, double alpha_review)
{
    struct ood_error err = { 0 };
    struct ood_judge judge = {
        .classes = 1, .dimension = 1, .temperature = 1, .beta = 0, .energy_std = 1, .representation_std = 1,
        .alpha = alpha, .alpha_review = alpha_review, .calibration_count = n,
    };
    judge.prototypes = ood_new_array(float, 1, &err);
    judge.calibration_scores = ood_new_array(double, n, &err);
    assert_non_null(judge.prototypes);
    assert_non_null(judge.calibration_scores);
    judge.prototypes[0] = 1;
    return judge;
}

static int ascending(const void *a, const void *b)
{
    double x, y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return (x > y) - (x < y);
}

static void ranks(void **state)
{
    (void)state;
    static const struct { double alpha; size_t n, k; } cases[] = {
        { 0.05, 18, 0 }, { 0.05, 19, 1 }, { 0.05, 20, 1 }, { 0.05, 38, 1 }, { 0.05, 39, 2 }, { 0.05, 1000, 50 },
        { 0.05, 999, 50 }, { 0.05, 2499, 125 }, { 0.05, 2500, 125 }, { 0.1, 9, 1 }, { 0.1, 29, 3 }, { 0.29, 99, 29 },
        { 0.57, 99, 57 }, { 0.58, 99, 58 }, { 0.07, 99, 7 }, { 0.01, 98, 0 }, { 0.01, 99, 1 }, { 0.3, 9, 3 },
        { 0.7, 9, 7 }, { 0.999, 3, 3 }, { 1e-9, 999999999, 1 }, { 1e-300, 1000, 0 }, { 0, 10, 0 }, { -1, 10, 0 },
        { NAN, 10, 0 }, { 1, 10, 10 }, { 2, 10, 10 }, { 0.5, 0, 0 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if (ood_conformal_rank(cases[i].alpha, cases[i].n) != cases[i].k)
            fail_msg("alpha %g, n %zu: k = %zu, expected %zu", cases[i].alpha, cases[i].n,
                     ood_conformal_rank(cases[i].alpha, cases[i].n), cases[i].k);
    for (size_t n = 0; n < 400; n++)                 /* alphas of two decimals: whole-number arithmetic knows k */
        for (size_t hundredths = 1; hundredths < 100; hundredths++)
            assert_int_equal(ood_conformal_rank((double)hundredths / 100, n), hundredths * (n + 1) / 100);
}

/* The rule by the p-value and the rule by the threshold, on every score that can matter: each calibration score, its
 * neighbours in double, and scores between. The p-value is compared with one that counts. */
static void both_rules_agree(size_t n, double alpha, struct ood_random *random, bool ties)
{
    double scores[1000];
    for (size_t i = 0; i < n; i++)
        scores[i] = ties ? (double)ood_random_below(random, n / 4 + 1) : ood_random_normal(random);
    qsort(scores, n, sizeof *scores, ascending);
    size_t k = ood_conformal_rank(alpha, n);
    double threshold = k == 0 ? -INFINITY : scores[k - 1];
    for (size_t i = 0; i < 4 * n; i++) {
        double at = scores[i / 4];
        double s = i % 4 == 0 ? at : i % 4 == 1 ? nextafter(at, -INFINITY) : i % 4 == 2 ? nextafter(at, INFINITY)
                   : ood_random_normal(random);
        size_t count = 0;
        for (size_t j = 0; j < n; j++)
            count += scores[j] <= s;
        double p = ood_conformal_p(scores, n, s);
        if (p != (1 + (double)count) / ((double)n + 1) || (p <= alpha) != (s < threshold))
            fail_msg("n %zu, alpha %.17g, score %.17g: p %.17g, threshold %.17g", n, alpha, s, p, threshold);
    }
}

static void threshold_rule_is_p_value_rule(void **state)
{
    (void)state;
    struct ood_random random;
    ood_random_seed(&random, 11);
    static const size_t counts[] = { 19, 20, 39, 1000 };
    for (size_t c = 0; c < sizeof counts / sizeof counts[0]; c++)
        for (size_t round = 0; round < (counts[c] == 1000 ? 3u : 60u); round++)
            for (int ties = 0; ties < 2; ties++) {
                size_t n = counts[c];
                both_rules_agree(n, 0.05, &random, ties);
                both_rules_agree(n, ood_random_uniform(&random), &random, ties);
                /* an alpha on the grid of p-values, and its neighbours in double */
                double grid = (1 + (double)ood_random_below(&random, n)) / ((double)n + 1);
                both_rules_agree(n, grid, &random, ties);
                both_rules_agree(n, nextafter(grid, 0), &random, ties);
                both_rules_agree(n, nextafter(grid, 1), &random, ties);
            }
}

static void decisions(void **state)
{
    (void)state;
    struct ood_error err = { 0 };
    struct ood_judge judge = make_judge(39, 0.05, 0.1);
    for (size_t i = 0; i < 39; i++)
        judge.calibration_scores[i] = (double)i;
    check_ok(ood_judge_prepare(&judge, &err));
    assert_true(judge.threshold == 1);
    assert_true(judge.review_threshold == 3);
    static const struct { float logit; double p; enum ood_decision decision; } cases[] = {
        { -5, 1 / 40.0, OOD_OUT }, { 0, 2 / 40.0, OOD_OUT }, { 0.9f, 2 / 40.0, OOD_OUT }, { 1, 3 / 40.0, OOD_REVIEW },
        { 2.5f, 4 / 40.0, OOD_REVIEW }, { 3, 5 / 40.0, OOD_IN }, { 38, 1, OOD_IN }, { 1e30f, 1, OOD_IN },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ood_verdict verdict = { .warning_count = 1, .error = { .code = OOD_LIMIT } };
        check_ok(ood_judge_item(&judge, &cases[i].logit, (float[]){ 2 }, &verdict, &err));
        check_close(verdict.score, (double)cases[i].logit, 0, 0);
        check_close(verdict.p_value, cases[i].p, 0, 0);
        assert_int_equal(verdict.decision, cases[i].decision);
        assert_true(verdict.threshold == 1 && verdict.alpha == 0.05);
        assert_int_equal(verdict.nearest_count, 1);
        assert_int_equal(verdict.warning_count, 1);      /* the picture's, not ours */
        assert_int_equal(verdict.error.code, OOD_LIMIT);
    }
    judge.beta = 0.25;
    judge.energy_mean = -2;
    judge.energy_std = 4;
    judge.representation_mean = 0.5;
    judge.representation_std = 0.1;
    check_close(ood_fuse(&judge, -10, 0.3), -(0.75 * (-8.0 / 4) + 0.25 * (-0.2 / 0.1)), 0, 1e-15);
    judge.representation_std = 1e-320;      /* a deviation prepare would refuse: the score is not finite, and says so */
    struct ood_verdict verdict = { 0 }, before = verdict;
    check_fails(ood_judge_item(&judge, (float[]){ 1 }, (float[]){ -1 }, &verdict, &err), OOD_SCORE_NOT_FINITE, "score");
    check_fails(ood_judge_item(&judge, (float[]){ NAN }, (float[]){ 1 }, &verdict, &err), OOD_SCORE_NOT_FINITE, "logits");
    assert_memory_equal(&verdict, &before, sizeof verdict);
    ood_judge_clear(&judge);
    ood_judge_clear(&judge);
    assert_string_equal(ood_decision_name(OOD_REVIEW), "review");
    assert_string_equal(ood_decision_reason(OOD_OUT), "below_threshold");
}

/* Exchangeable scores: P(out) <= alpha at any n, and close to it. Each trial draws its own calibration. */
static void coverage(void **state)
{
    (void)state;
    struct ood_random random;
    ood_random_seed(&random, 5);
    static const struct { size_t n; double alpha; } cases[] = { { 19, 0.05 }, { 30, 0.05 }, { 50, 0.1 }, { 9, 0.3 } };
    const size_t trials = 40000;
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        size_t n = cases[c].n, out = 0, k = ood_conformal_rank(cases[c].alpha, n);
        for (size_t t = 0; t < trials; t++) {
            double scores[64], s = exp(ood_random_normal(&random));      /* any distribution will do */
            for (size_t i = 0; i < n; i++)
                scores[i] = exp(ood_random_normal(&random));
            qsort(scores, n, sizeof *scores, ascending);
            out += ood_conformal_p(scores, n, s) <= cases[c].alpha;
        }
        double share = (double)out / (double)trials, exact = (double)k / ((double)n + 1);
        assert_true(exact <= cases[c].alpha);
        check_close(share, exact, 4.5 * sqrt(exact * (1 - exact) / (double)trials), 0);
    }
}

static void classes_of_their_own(void **state)
{
    (void)state;
    struct ood_error err = { 0 };
    struct ood_judge judge = make_judge(50, 0.05, 0.1);
    ood_free(judge.prototypes);
    judge.classes = 3;
    judge.per_class = true;
    judge.prototypes = ood_new_array(float, 3, &err);
    assert_non_null(judge.prototypes);
    judge.prototypes[0] = judge.prototypes[1] = judge.prototypes[2] = 1;
    for (size_t i = 0; i < 50; i++)
        judge.calibration_scores[i] = (double)i;
    check_fails(ood_judge_prepare(&judge, &err), OOD_INVALID, "calibration_classes: missing");
    judge.calibration_classes = ood_new_array(int64_t, 50, &err);
    assert_non_null(judge.calibration_classes);
    for (size_t i = 0; i < 50; i++)      /* 18 of class 0 (one too few), 32 of class 2, none of class 1 */
        judge.calibration_classes[i] = i % 2 == 0 && i < 36 ? 0 : 2;
    check_ok(ood_judge_prepare(&judge, &err));
    check_ok(ood_judge_prepare(&judge, &err));      /* again: nothing leaks */
    assert_true(judge.class_scores[0] == NULL && judge.class_scores[1] == NULL);
    assert_int_equal(judge.class_counts[2], 32);
    size_t of[3];
    for (size_t k = 0; k < 3; k++)
        assert_true(ood_judge_threshold(&judge, k, &of[k]) == 1);
    assert_true(of[0] == 50 && of[1] == 50 && of[2] == 32);
    struct ood_verdict verdict = { 0 };
    /* class 0 and class 1 use all 50: k = 2, threshold 1 */
    check_ok(ood_judge_item(&judge, (float[]){ 0.5f, -90, -90 }, (float[]){ 1 }, &verdict, &err));
    assert_true(verdict.threshold == 1 && verdict.decision == OOD_OUT);
    check_close(verdict.p_value, 2 / 51.0, 0, 0);
    check_ok(ood_judge_item(&judge, (float[]){ -90, 1, -90 }, (float[]){ 1 }, &verdict, &err));
    assert_true(verdict.threshold == 1 && verdict.decision == OOD_REVIEW);
    /* class 2 its own 32 (1, 3, 5, …): k = 1, k2 = 3: thresholds 1 and 5 */
    check_ok(ood_judge_item(&judge, (float[]){ -90, -90, 0.5f }, (float[]){ 1 }, &verdict, &err));
    assert_true(verdict.threshold == 1 && verdict.decision == OOD_OUT);
    check_close(verdict.p_value, 1 / 33.0, 0, 0);
    check_ok(ood_judge_item(&judge, (float[]){ -90, -90, 4 }, (float[]){ 1 }, &verdict, &err));
    assert_true(verdict.decision == OOD_REVIEW);
    check_close(verdict.p_value, 3 / 33.0, 0, 0);
    check_ok(ood_judge_item(&judge, (float[]){ -90, -90, 5 }, (float[]){ 1 }, &verdict, &err));
    assert_true(verdict.decision == OOD_IN);
    check_close(verdict.p_value, 4 / 33.0, 0, 0);
    judge.calibration_classes[7] = 3;
    check_fails(ood_judge_prepare(&judge, &err), OOD_INVALID, "calibration_classes: found 3 at 7, expected 0 to 2");
    judge.calibration_classes[7] = -1;
    check_fails(ood_judge_prepare(&judge, &err), OOD_INVALID, "calibration_classes: found -1 at 7");
    ood_judge_clear(&judge);
}

/* Each field spoiled on its own, then put back. */
static void what_a_judge_refuses(void **state)
{
    (void)state;
    struct ood_error err = { 0 };
    struct ood_judge judge = make_judge(19, 0.05, 0.05);
    for (size_t i = 0; i < 19; i++)
        judge.calibration_scores[i] = (double)i / 8;
    check_ok(ood_judge_prepare(&judge, &err));
    struct ood_judge good = judge;
#define REFUSED(field, value, part)                                                                                  \
    do {                                                                                                              \
        judge.field = (value);                                                                                        \
        check_fails(ood_judge_prepare(&judge, &err), OOD_INVALID, part);                                              \
        judge.field = good.field;                                                                                     \
    } while (0)
    REFUSED(classes, 0, "[0, 1]");
    REFUSED(dimension, 0, "[1, 0]");
    REFUSED(temperature, 0, "temperature: found 0");
    REFUSED(temperature, NAN, "temperature: found nan");
    REFUSED(temperature, INFINITY, "temperature: found inf");
    REFUSED(beta, 1.5, "beta: found 1.5, expected 0 to 1");
    REFUSED(beta, NAN, "beta");
    REFUSED(energy_mean, INFINITY, "energy_mean");
    REFUSED(energy_std, 9e-13, "energy_std: found 9e-13");
    REFUSED(energy_std, NAN, "energy_std");
    REFUSED(representation_mean, NAN, "representation_mean");
    REFUSED(representation_std, 0, "representation_std");
    REFUSED(alpha, 0, "alpha: found 0");
    REFUSED(alpha, 1, "alpha: found 1");
    REFUSED(alpha, 0.06, "alpha_review: found 0.05, expected alpha (0.06)");
    REFUSED(alpha_review, 1, "alpha_review");
    REFUSED(alpha_review, NAN, "alpha_review");
    REFUSED(prototypes, NULL, "prototypes: missing");
    REFUSED(calibration_scores, NULL, "calibration_scores: missing");
    REFUSED(calibration_count, 18, "found 18, expected at least 19");
    REFUSED(calibration_scores[3], NAN, "NaN or infinity at 3");
    judge.calibration_scores[3] = 0.375;
    REFUSED(calibration_scores[4], 0.25, "0.25 at 4 is less");
    judge.calibration_scores[4] = 0.5;
    REFUSED(prototypes[0], 0.99f, "class 0 has length 0.99");
    judge.prototypes[0] = NAN;
    check_fails(ood_judge_prepare(&judge, &err), OOD_INVALID, "class 0 has length");
    judge.prototypes[0] = -1;
    check_ok(ood_judge_prepare(&judge, &err));
    judge.alpha = 1e-17;
    check_fails(ood_judge_prepare(&judge, &err), OOD_INVALID, "calibration_scores: found 19, expected at least 1000");
    ood_judge_clear(&judge);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranks),
        cmocka_unit_test(threshold_rule_is_p_value_rule),
        cmocka_unit_test(decisions),
        cmocka_unit_test(coverage),
        cmocka_unit_test(classes_of_their_own),
        cmocka_unit_test(what_a_judge_refuses),
    };
    return cmocka_run_group_tests_name("judge", tests, NULL, NULL);
}
