/* The bootstrap's figures against the long way: draw the same pictures, gather their scores, rank them. */
#include "check.h"

#include <math.h>

#include "base/random.h"
#include "eval/bootstrap.h"

enum { N = 83, SETS = 3, SCORES = 2, RESAMPLES = 60 };
static const size_t counts[SETS] = { 1, 40, 131 };

struct material { double in[SCORES][N], out[SCORES][SETS][131]; bool flags[N]; const double *rows[SCORES][SETS]; struct ood_bootstrap_score scores[SCORES]; };

/* levels: how many distinct scores there may be, 0: any. */
static void make(struct material *material, uint64_t seed, unsigned levels)
{
    struct ood_random random;
    ood_random_seed(&random, seed);
    for (size_t k = 0; k < SCORES; k++) {
        for (size_t i = 0; i < N; i++)
            material->in[k][i] = levels > 0 ? (double)ood_random_below(&random, levels) + 1 : ood_random_normal(&random) + 1;
        for (size_t s = 0; s < SETS; s++) {
            for (size_t j = 0; j < counts[s]; j++)
                material->out[k][s][j] = levels > 0 ? (double)ood_random_below(&random, levels) : ood_random_normal(&random);
            material->rows[k][s] = material->out[k][s];
        }
        material->scores[k] = (struct ood_bootstrap_score){ material->in[k], material->rows[k], NULL };
    }
    for (size_t i = 0; i < N; i++)
        material->flags[i] = ood_random_below(&random, 10) < 8;
}

static void same(const char *name, double found, double expected, size_t r)
{
    if (!(fabs(found - expected) <= 1e-12))
        fail_msg("resample %zu: %s is %.17g, expected %.17g", r, name, found, expected);
}

static void agrees_with_ranking_what_was_drawn(void **state)
{
    (void)state;
    struct ood_error err = { 0 };
    static const unsigned kinds[] = { 0, 1, 3, 25 };
    static struct material material;
    static struct ood_ranking figures[SCORES * SETS * RESAMPLES];
    double shares[RESAMPLES];
    for (size_t kind = 0; kind < 4; kind++) {
        make(&material, kind + 5, kinds[kind]);
        const bool *flags = material.flags;
        struct ood_bootstrap bootstrap = { .resamples = RESAMPLES, .seed = 42 + kind, .in_count = N, .sets = SETS, .out_counts = counts,
                                           .score_count = SCORES, .scores = material.scores, .flag_count = 1, .flags = &flags };
        check_ok(ood_bootstrap_run(&bootstrap, figures, shares, &err));
        struct ood_random random;
        ood_random_seed(&random, bootstrap.seed);
        for (size_t r = 0; r < RESAMPLES; r++) {
            size_t drawn[N], correct = 0;
            for (size_t i = 0; i < N; i++) {
                drawn[i] = (size_t)ood_random_below(&random, N);
                correct += material.flags[drawn[i]];
            }
            same("share", shares[r], (double)correct / N, r);
            for (size_t s = 0; s < SETS; s++) {
                size_t places[131];
                for (size_t j = 0; j < counts[s]; j++)
                    places[j] = (size_t)ood_random_below(&random, counts[s]);
                for (size_t k = 0; k < SCORES; k++) {
                    double in[N], out[131];
                    for (size_t i = 0; i < N; i++)
                        in[i] = material.in[k][drawn[i]];
                    for (size_t j = 0; j < counts[s]; j++)
                        out[j] = material.out[k][s][places[j]];
                    struct ood_ranking expected, found = figures[(k * SETS + s) * RESAMPLES + r];
                    check_ok(ood_rank(in, N, out, counts[s], &expected, &err));
                    same("auroc", found.auroc, expected.auroc, r);
                    same("fpr95", found.fpr95, expected.fpr95, r);
                    same("aupr_in", found.aupr_in, expected.aupr_in, r);
                    same("aupr_out", found.aupr_out, expected.aupr_out, r);
                    same("detection_error", found.detection_error, expected.detection_error, r);
                }
            }
        }
    }
}

/* Items in pictures: pictures are drawn, their items come along; two scores may have items of their own. */
static void items_come_with_their_pictures(void **state)
{
    (void)state;
    struct ood_error err = { 0 };
    enum { PICTURES = 7, OUT = 5 };
    static struct material material;
    static struct ood_ranking figures[SCORES * RESAMPLES];
    size_t pictures[SCORES][N], out_pictures[SCORES][40], in_counts[SCORES] = { 20, 9 }, out_counts[SCORES] = { 40, 3 }, undefined = 0;
    const size_t out_picture_count = OUT, *rows[SCORES] = { out_pictures[0], out_pictures[1] };
    struct ood_bootstrap_items items[SCORES];
    make(&material, 11, 25);
    struct ood_random random;
    ood_random_seed(&random, 1);
    for (size_t k = 0; k < SCORES; k++) {
        for (size_t i = 0; i < in_counts[k]; i++)
            pictures[k][i] = (size_t)ood_random_below(&random, PICTURES - 1);        /* the last has none */
        for (size_t j = 0; j < out_counts[k]; j++)
            out_pictures[k][j] = (size_t)ood_random_below(&random, k == 0 ? OUT : 1);
        items[k] = (struct ood_bootstrap_items){ in_counts[k], pictures[k], &out_counts[k], &rows[k] };
        material.scores[k] = (struct ood_bootstrap_score){ material.in[k], &material.rows[k][1], &items[k] };
    }
    struct ood_bootstrap bootstrap = { .resamples = RESAMPLES, .seed = 9, .in_count = PICTURES, .sets = 1, .out_counts = &out_picture_count,
                                       .score_count = SCORES, .scores = material.scores };
    check_ok(ood_bootstrap_run(&bootstrap, figures, NULL, &err));
    ood_random_seed(&random, bootstrap.seed);
    for (size_t r = 0; r < RESAMPLES; r++) {
        size_t drawn[PICTURES], drawn_out[OUT];
        for (size_t i = 0; i < PICTURES; i++)
            drawn[i] = (size_t)ood_random_below(&random, PICTURES);
        for (size_t i = 0; i < OUT; i++)
            drawn_out[i] = (size_t)ood_random_below(&random, OUT);
        for (size_t k = 0; k < SCORES; k++) {
            double in[PICTURES * N], out[OUT * 40];
            size_t n = 0, m = 0;
            for (size_t i = 0; i < PICTURES; i++)
                for (size_t x = 0; x < in_counts[k]; x++)
                    if (pictures[k][x] == drawn[i])
                        in[n++] = material.in[k][x];
            for (size_t i = 0; i < OUT; i++)
                for (size_t x = 0; x < out_counts[k]; x++)
                    if (out_pictures[k][x] == drawn_out[i])
                        out[m++] = material.out[k][1][x];
            struct ood_ranking expected, found = figures[k * RESAMPLES + r];
            if (n == 0 || m == 0) {
                undefined++;
                assert_true(isnan(found.auroc) && isnan(found.fpr95) && isnan(found.aupr_in) && isnan(found.aupr_out));
                continue;
            }
            check_ok(ood_rank(in, n, out, m, &expected, &err));
            same("auroc", found.auroc, expected.auroc, r);
            same("fpr95", found.fpr95, expected.fpr95, r);
            same("aupr_in", found.aupr_in, expected.aupr_in, r);
            same("aupr_out", found.aupr_out, expected.aupr_out, r);
            same("detection_error", found.detection_error, expected.detection_error, r);
        }
    }
    assert_true(undefined > 0 && undefined < SCORES * RESAMPLES / 2);      /* the second score's outliers are all in one picture */
    double some[] = { NAN, 7, NAN };
    struct ood_interval interval = ood_interval_of(some, 3);
    assert_true(interval.low == 7 && interval.high == 7);
}

/* For normal scores the AUROC's deviation is known (Hanley and McNeil 1982); the interval is about 3.92 of it wide. */
static void intervals_have_the_right_width(void **state)
{
    (void)state;
    struct ood_error err = { 0 };
    enum { MANY = 1000, DRAWS = 1000 };
    static double in[MANY], out[MANY], values[DRAWS];
    static struct ood_ranking figures[DRAWS];
    const size_t count = MANY;
    const double *row = out;
    struct ood_bootstrap_score score = { in, &row, NULL };
    struct ood_random random;
    ood_random_seed(&random, 3);
    for (size_t i = 0; i < MANY; i++) {
        in[i] = ood_random_normal(&random) + 1;
        out[i] = ood_random_normal(&random);
    }
    struct ood_bootstrap bootstrap = { .resamples = DRAWS, .seed = 1, .in_count = MANY, .sets = 1, .out_counts = &count, .score_count = 1, .scores = &score };
    check_ok(ood_bootstrap_run(&bootstrap, figures, NULL, &err));
    for (size_t r = 0; r < DRAWS; r++)
        values[r] = figures[r].auroc;
    struct ood_interval interval = ood_interval_of(values, DRAWS);
    struct ood_ranking whole;
    check_ok(ood_rank(in, MANY, out, MANY, &whole, &err));
    double a = whole.auroc, q1 = a / (2 - a), q2 = 2 * a * a / (1 + a);
    double deviation = sqrt((a * (1 - a) + (MANY - 1) * (q1 - a * a) + (MANY - 1) * (q2 - a * a)) / ((double)MANY * MANY));
    assert_true(interval.low < a && a < interval.high);
    check_close(interval.high - interval.low, 3.92 * deviation, 0, 0.12);
}

static void percentiles(void **state)
{
    (void)state;
    double values[] = { 4, 1, 3, 2, 5 };     /* numpy.percentile(1 … 5, [2.5, 97.5]) = 1.1, 4.9 */
    struct ood_interval interval = ood_interval_of(values, 5);
    check_close(interval.low, 1.1, 1e-15, 0);
    check_close(interval.high, 4.9, 1e-15, 0);
    interval = ood_interval_of((double[]){ 7 }, 1);
    assert_true(interval.low == 7 && interval.high == 7);
    interval = ood_interval_of(NULL, 0);
    assert_true(isnan(interval.low) && isnan(interval.high));
}

static void what_it_refuses(void **state)
{
    (void)state;
    struct ood_error err = { 0 };
    struct ood_ranking figures[1] = { { .auroc = 7 } };
    double in[2] = { 1, 2 }, bad[2] = { 1, NAN };
    const double *row = in, *bad_row = bad;
    size_t two = 2, none = 0;
    struct ood_bootstrap_score score = { in, &row, NULL };
    struct ood_bootstrap bootstrap = { .resamples = 1, .in_count = 2, .sets = 1, .out_counts = &two, .score_count = 1, .scores = &score };
    bootstrap.in_count = 0;
    check_fails(ood_bootstrap_run(&bootstrap, figures, NULL, &err), OOD_INVALID, "in-distribution");
    bootstrap.in_count = 2;
    bootstrap.out_counts = &none;
    check_fails(ood_bootstrap_run(&bootstrap, figures, NULL, &err), OOD_INVALID, "outlier");
    bootstrap.out_counts = &two;
    score.out = &bad_row;
    check_fails(ood_bootstrap_run(&bootstrap, figures, NULL, &err), OOD_SCORE_NOT_FINITE, "outlier scores: found NaN or infinity at 1");
    score.in = bad;
    check_fails(ood_bootstrap_run(&bootstrap, figures, NULL, &err), OOD_SCORE_NOT_FINITE, "in-distribution scores");
    assert_true(figures[0].auroc == 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(agrees_with_ranking_what_was_drawn), cmocka_unit_test(items_come_with_their_pictures),
                                        cmocka_unit_test(intervals_have_the_right_width),
                                        cmocka_unit_test(percentiles), cmocka_unit_test(what_it_refuses) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
