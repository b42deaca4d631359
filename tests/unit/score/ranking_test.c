/* METHOD section 5's figures and the choice of beta, against the plain O(n m) definitions; section 8's and Fisher's
 * chances, against other algorithms. */
#include "reference.h"

#include <math.h>


static void figures_agree_with_their_definitions(void **state)
{
    (void)state;
    struct ood_error err = { 0 };
    struct reference reference = reference_open();
    size_t cases = 0;
    while (reference_next(&reference)) {
        if (strcmp(reference.word, "rank_in") != 0)
            continue;
        size_t n = reference.count, m;
        double *in = reference.values;
        reference.values = NULL;
        double *out = reference_take(&reference, "rank_out", &m), *expected = reference_take(&reference, "ranking", NULL);
        struct ood_ranking found;
        check_ok(ood_rank(in, n, out, m, &found, &err));
        assert_true(found.auroc == expected[0]);      /* exact: whole and half numbers */
        assert_true(found.fpr95 == expected[1]);
        check_close(found.aupr_in, expected[2], 1e-13, 0);
        check_close(found.aupr_out, expected[3], 1e-13, 0);
        check_close(found.detection_error, expected[4], 1e-15, 0);
        free(in);
        free(out);
        free(expected);
        cases++;
    }
    assert_int_equal(cases, 8);
}

static void what_ranking_refuses(void **state)
{
    (void)state;
    struct ood_error err = { 0 };
    struct ood_ranking result = { .auroc = 7 };
    check_fails(ood_rank((double[]){ 1 }, 0, (double[]){ 1 }, 1, &result, &err), OOD_INVALID, "in-distribution scores");
    check_fails(ood_rank((double[]){ 1 }, 1, (double[]){ 1 }, 0, &result, &err), OOD_INVALID, "outlier scores");
    check_fails(ood_rank((double[]){ 1, NAN }, 2, (double[]){ 1 }, 1, &result, &err), OOD_SCORE_NOT_FINITE, "at 1");
    check_fails(ood_rank((double[]){ 1 }, 1, (double[]){ -INFINITY }, 1, &result, &err), OOD_SCORE_NOT_FINITE, "at 0");
    assert_true(result.auroc == 7);
}

/* 300,000 a side, most outliers tied, the figures known beforehand: the plain way would take 9e10 comparisons. */
static void many_scores(void **state)
{
    (void)state;
    struct ood_error err = { 0 };
    const size_t n = 300000;
    double *in = calloc(n, sizeof *in), *out = calloc(n, sizeof *out);
    assert_non_null(in);
    assert_non_null(out);
    for (size_t i = 0; i < n; i++) {
        in[i] = (double)(i * 7919 % n);              /* each of 0 … n-1 once */
        out[i] = (double)(i % 3) * 1e5 - 0.5;        /* below all, below two thirds, below one third */
    }
    struct ood_ranking found;
    check_ok(ood_rank(in, n, out, n, &found, &err));
    check_close(found.auroc, (1 + 2.0 / 3 + 1.0 / 3) / 3, 1e-15, 0);
    check_close(found.fpr95, 2.0 / 3, 1e-15, 0);     /* the limit is 15000: two of the three heaps are above it */
    free(in);
    free(out);
}

static void beta_by_auroc(void **state)
{
    (void)state;
    struct ood_error err = { 0 };
    struct reference reference = reference_open();
    size_t cases = 0;
    while (reference_next(&reference)) {
        if (strcmp(reference.word, "beta_in_e") != 0)
            continue;
        size_t n = reference.count, m;
        double *in_e = reference.values;
        reference.values = NULL;
        double *in_d = reference_take(&reference, "beta_in_d", NULL), *out_e = reference_take(&reference, "beta_out_e", &m);
        double *out_d = reference_take(&reference, "beta_out_d", NULL), *beta = reference_take(&reference, "beta", NULL);
        struct ood_judge judge = { .energy_std = 1, .representation_std = 1, .beta = -7 };
        check_ok(ood_choose_beta(in_e, in_d, n, out_e, out_d, m, &judge, &err));
        assert_true(judge.beta == beta[0]);
        judge.beta = -7;
        judge.energy_std = 1e-13;
        check_fails(ood_choose_beta(in_e, in_d, n, out_e, out_d, m, &judge, &err), OOD_INVALID, "1e-13");
        assert_true(judge.beta == -7);
        free(in_e);
        free(in_d);
        free(out_e);
        free(out_d);
        free(beta);
        cases++;
    }
    assert_int_equal(cases, 4);

    struct ood_judge judge = { .energy_std = 1, .representation_std = 1 };
    double near[2] = { 0, 1 }, far[2] = { 10, 11 }, swapped[2] = { 1, 0 };
    /* every beta ranks perfectly: the middle */
    check_ok(ood_choose_beta(near, near, 2, far, far, 2, &judge, &err));
    assert_true(judge.beta == 0.5);
    check_ok(ood_choose_beta((double[]){ 0 }, (double[]){ 1 }, 1, (double[]){ 1 }, (double[]){ 0 }, 1, &judge, &err));
    assert_true(judge.beta == 0.45);      /* energy alone tells: any beta below the middle, the nearest to it */
    check_ok(ood_choose_beta((double[]){ 1 }, (double[]){ 0 }, 1, (double[]){ 0 }, (double[]){ 1 }, 1, &judge, &err));
    assert_true(judge.beta == 0.55);
    /* no beta better than another (each wins one pair of two, the middle ties both): the middle */
    check_ok(ood_choose_beta((double[]){ 0, 1 }, swapped, 2, (double[]){ 0.5 }, (double[]){ 0.5 }, 1, &judge, &err));
    assert_true(judge.beta == 0.5);
    /* every beta but the middle wins one pair of two, which wins none: of 0.45 and 0.55 the lower */
    check_ok(ood_choose_beta((double[]){ 0, 1 }, swapped, 2, (double[]){ 0.48 }, (double[]){ 0.48 }, 1, &judge, &err));
    assert_true(judge.beta == 0.45);
    check_fails(ood_choose_beta(near, near, 2, far, (double[]){ NAN, 0 }, 2, &judge, &err), OOD_SCORE_NOT_FINITE,
                "outlier representation");
    check_fails(ood_choose_beta(near, near, 2, far, far, 0, &judge, &err), OOD_INVALID, "outlier energy");
}

static void fisher(void **state)
{
    (void)state;
    struct reference reference = reference_open();
    size_t cases = 0;
    while (reference_next(&reference)) {
        if (strcmp(reference.word, "fisher_p") != 0)
            continue;
        size_t m = reference.count;
        double *p = reference.values;
        reference.values = NULL;
        double *expected = reference_take(&reference, "fisher", NULL);
        check_close(ood_p_batch(p, m), expected[0], 0, 2e-12);
        free(p);
        free(expected);
        cases++;
    }
    assert_int_equal(cases, 10);
    check_close(ood_p_batch(NULL, 0), 1, 0, 0);
    check_close(ood_p_batch((double[]){ 0 }, 1), 0, 0, 0);
    check_close(ood_p_batch((double[]){ 5e-324 }, 1), 5e-324, 5e-324, 0);
    double *many = calloc(100000, sizeof *many);
    assert_non_null(many);
    for (size_t i = 0; i < 100000; i++)
        many[i] = exp(-1);      /* y = m: P is just below one half (Ramanujan: 1/2 - 1/(3 sqrt(2 pi m))) */
    check_close(ood_p_batch(many, 100000), 0.5 - 1 / (3 * sqrt(2 * 3.14159265358979 * 1e5)), 1e-6, 0);
    for (size_t i = 0; i < 100000; i++)
        many[i] = 0.9;
    check_close(ood_p_batch(many, 100000), 1, 0, 0);
    free(many);
}

static void kolmogorov_smirnov(void **state)
{
    (void)state;
    struct reference reference = reference_open();
    size_t cases = 0, chances = 0;
    while (reference_next(&reference)) {
        if (strcmp(reference.word, "ks_values") == 0) {
            size_t n = reference.count;
            double *values = reference.values;
            reference.values = NULL;
            double *expected = reference_take(&reference, "ks", NULL);
            check_close(ood_ks_distance(values, n), expected[0], 1e-15, 0);
            free(values);
            free(expected);
            cases++;
        }
        if (strcmp(reference.word, "ks_p") == 0)
            for (size_t i = 0; i < reference.count; i += 3) {
                double n = reference.values[i], p = ood_ks_p_value(reference.values[i + 1], (size_t)n);
                bool exact = n <= 128 || n * reference.values[i + 1] * reference.values[i + 1] > 3;
                double difference = fabs(p - reference.values[i + 2]);
                if (!(difference <= (exact ? 1e-9 : 2e-4)))
                    fail_msg("n %g, distance %.17g: p %.17g, expected %.17g", n, reference.values[i + 1], p,
                             reference.values[i + 2]);
                chances++;
            }
    }
    assert_int_equal(cases, 4);
    assert_true(chances > 80);
    check_close(ood_ks_distance(NULL, 0), 0, 0, 0);
    check_close(ood_ks_distance_sorted((double[]){ 0.25, 0.75 }, 2), 0.25, 0, 0);
    static const struct { double distance; size_t n; double p; } ends[] = {
        { 0, 10, 1 }, { 0.05, 10, 1 }, { 1, 10, 0 }, { 2, 10, 0 }, { 0.5, 0, 1 }, { 1e-6, 100000, 1 }, { 0.9, 65536, 0 },
    };
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++)
        check_close(ood_ks_p_value(ends[i].distance, ends[i].n), ends[i].p, 1e-12, 0);
    assert_true(isnan(ood_ks_p_value(NAN, 10)));
    for (size_t n = 100; n <= 160; n += 30) {      /* no jump where one way hands over to the other, and never rising */
        double before = 1;
        for (double d = 0.001; d < 0.3; d += 0.0005) {
            double p = ood_ks_p_value(d, n);
            assert_true(p <= before + 1e-7 && p >= 0);
            assert_true(before - p < 0.05);
            before = p;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(figures_agree_with_their_definitions),
        cmocka_unit_test(what_ranking_refuses),
        cmocka_unit_test(many_scores),
        cmocka_unit_test(beta_by_auroc),
        cmocka_unit_test(fisher),
        cmocka_unit_test(kolmogorov_smirnov),
    };
    return cmocka_run_group_tests_name("ranking", tests, NULL, NULL);
}
