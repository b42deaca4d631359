/* METHOD section 5 on 200 random cases with ties against scikit-learn, SciPy and NumPy (tests/data/eval/figures.py); what the
 * conventions do at the edges. */
#include "check.h"

#include <math.h>

#include "eval/figures.h"

/* figures.py's generator. */
static uint64_t state_of_generator;

static unsigned below(unsigned limit)
{
    state_of_generator = state_of_generator * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)((state_of_generator >> 33) % limit);
}

static double score_of(unsigned levels)
{
    double first = (double)below(levels) / levels * 8;
    return first + (double)below(levels) / levels * 8;
}

static void two_hundred_cases(void **state)
{
    (void)state;
    struct ood_error err = { 0 };
    FILE *file = fopen(check_data("eval/figures.txt"), "r");
    assert_non_null(file);
    size_t cases = 0, ties = 0;
    unsigned seed, n, m, levels, shift;
    static const unsigned kinds[] = { 2, 5, 20, 100, 1000 };
    while (fscanf(file, "%u %u %u %u %u", &seed, &n, &m, &levels, &shift) == 5) {
        double expected[10], in[300], out[300], aurc;
        bool correct[300];
        for (size_t i = 0; i < 10; i++)
            assert_int_equal(fscanf(file, "%lf", &expected[i]), 1);
        state_of_generator = seed;
        assert_int_equal(1 + below(300), n);
        assert_int_equal(1 + below(300), m);
        assert_int_equal(kinds[below(5)], levels);
        assert_int_equal(below(9), shift);
        for (unsigned i = 0; i < n; i++)
            in[i] = score_of(levels) + shift / 2.0;
        for (unsigned i = 0; i < m; i++)
            out[i] = score_of(levels);
        for (unsigned i = 0; i < n; i++)
            correct[i] = below(10) < 7;
        for (unsigned i = 0; i < n; i++)
            for (unsigned j = 0; j < m; j++)
                ties += in[i] == out[j];
        struct ood_ranking found, liu, openood;
        check_ok(ood_rank_as(OOD_CONVENTION_DEFAULT, in, n, out, m, 0, &found, &err));
        check_ok(ood_rank_as(OOD_CONVENTION_LIU, in, n, out, n / 5 < 1 ? 1 : n / 5 < m ? n / 5 : m, 0, &liu, &err));
        check_ok(ood_rank_as(OOD_CONVENTION_OPENOOD, in, n, out, m, 0, &openood, &err));
        check_ok(ood_aurc(in, correct, n, &aurc, &err));
        const double all[10] = { found.auroc, found.fpr95, found.aupr_in, found.aupr_out, found.detection_error, liu.fpr95, openood.fpr95,
                                 openood.aupr_in, openood.aupr_out, aurc };
        for (size_t i = 0; i < 10; i++)
            if (!(fabs(all[i] - expected[i]) <= 1e-12))
                fail_msg("seed %u: figure %zu is %.17g, expected %.17g", seed, i, all[i], expected[i]);
        assert_true(openood.auroc == found.auroc && openood.detection_error == found.detection_error);
        cases++;
    }
    fclose(file);
    assert_int_equal(cases, 200);
    assert_true(ties > 10000);
}

/* More outliers than a fifth: ten draws, whose mean moves with the seed, stays in range and is the whole set's on average. */
static void liu_draws_a_fifth(void **state)
{
    (void)state;
    struct ood_error err = { 0 };
    enum { N = 100, M = 200 };
    double in[N], out[M], sum = 0;
    bool moved = false;
    state_of_generator = 99;
    for (size_t i = 0; i < N; i++)
        in[i] = score_of(1000) + 2;
    for (size_t i = 0; i < M; i++)
        out[i] = score_of(1000);
    struct ood_ranking whole, first, again;
    check_ok(ood_rank(in, N, out, M, &whole, &err));
    check_ok(ood_rank_as(OOD_CONVENTION_LIU, in, N, out, M, 1, &first, &err));
    check_ok(ood_rank_as(OOD_CONVENTION_LIU, in, N, out, M, 1, &again, &err));
    assert_memory_equal(&first, &again, sizeof first);
    for (uint64_t seed = 1; seed <= 50; seed++) {
        struct ood_ranking one;
        check_ok(ood_rank_as(OOD_CONVENTION_LIU, in, N, out, M, seed, &one, &err));
        moved = moved || one.auroc != first.auroc;
        sum += one.auroc / 50;
    }
    assert_true(moved);
    check_close(sum, whole.auroc, 0.01, 0);
}

static void edges(void **state)
{
    (void)state;
    struct ood_error err = { 0 };
    struct ood_ranking ranking = { .auroc = 7 };
    double one = 1, aurc = 7;
    for (int c = 0; c < OOD_CONVENTIONS; c++) {
        enum ood_convention convention = (enum ood_convention)c, parsed;
        check_fails(ood_rank_as(convention, &one, 0, &one, 1, 0, &ranking, &err), OOD_INVALID, "in-distribution");
        check_fails(ood_rank_as(convention, &one, 1, &one, 0, 0, &ranking, &err), OOD_INVALID, "outlier");
        check_fails(ood_rank_as(convention, &one, 1, (double[]){ NAN }, 1, 0, &ranking, &err), OOD_SCORE_NOT_FINITE, "at 0");
        assert_true(ood_convention_parse(ood_convention_name(convention), &parsed) && parsed == convention);
        assert_true(strlen(ood_convention_sentence(convention)) > 20);
    }
    assert_true(ranking.auroc == 7);
    enum ood_convention untouched = OOD_CONVENTION_LIU;
    assert_false(ood_convention_parse("Liu", &untouched));
    assert_int_equal(untouched, OOD_CONVENTION_LIU);
    /* one against one: apart, the same, the wrong way round */
    static const struct { double in, out; enum ood_convention convention; double fpr95, aupr_in; } cases[] = {
        { 1, 0, OOD_CONVENTION_LIU, 0, 1 },     { 1, 1, OOD_CONVENTION_LIU, 1, 0.5 },     { 0, 1, OOD_CONVENTION_LIU, 1, 0.5 },
        { 1, 0, OOD_CONVENTION_OPENOOD, 0, 1 }, { 1, 1, OOD_CONVENTION_OPENOOD, 1, 0.75 }, { 0, 1, OOD_CONVENTION_OPENOOD, 1, 0.25 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        check_ok(ood_rank_as(cases[i].convention, &cases[i].in, 1, &cases[i].out, 1, 0, &ranking, &err));
        if (ranking.fpr95 != cases[i].fpr95 || ranking.aupr_in != cases[i].aupr_in)
            fail_msg("case %zu: fpr95 %g, aupr_in %g", i, ranking.fpr95, ranking.aupr_in);
    }
    check_fails(ood_aurc(&one, (bool[]){ true }, 0, &aurc, &err), OOD_INVALID, "none");
    check_fails(ood_aurc((double[]){ 1, INFINITY }, (bool[]){ true, true }, 2, &aurc, &err), OOD_SCORE_NOT_FINITE, "at 1");
    assert_true(aurc == 7);
    /* mistakes last: 0, 0, 1/3; mistakes first: 1, 1/2, 1/3; all tied: 1/3 */
    check_ok(ood_aurc((double[]){ 3, 2, 1 }, (bool[]){ true, true, false }, 3, &aurc, &err));
    check_close(aurc, 1.0 / 9, 1e-15, 0);
    check_ok(ood_aurc((double[]){ 3, 2, 1 }, (bool[]){ false, true, true }, 3, &aurc, &err));
    check_close(aurc, (1 + 0.5 + 1.0 / 3) / 3, 1e-15, 0);
    check_ok(ood_aurc((double[]){ 1, 1, 1 }, (bool[]){ false, true, true }, 3, &aurc, &err));
    check_close(aurc, 1.0 / 3, 1e-15, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(two_hundred_cases), cmocka_unit_test(liu_draws_a_fifth), cmocka_unit_test(edges) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
