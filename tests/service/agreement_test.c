/* The rule by which `oodctl fit` writes "winograd" into a bundle: daemon/oodctl/fit_agreement.h. */
#include "check.h"

#include <math.h>

#include "daemon/oodctl/fit_agreement.h"

static void bounds(void **state)
{
    (void)state;
    static const struct { double found, direct; bool agrees; } cases[] = {
        { 0, 0, true },
        { 9.9e-5, 0, true },                 { -9.9e-5, 0, true },
        { 1.01e-4, 0, false },               { -1.01e-4, 0, false },
        { 10.01, 10, true },                 { 9.9899, 10, true },
        { 10.0102, 10, false },              { 9.9898, 10, false },
        { -10.01, -10, true },               { -10.0102, -10, false },
        { 1e9, 1.0009e9, true },             { 1e9, 1.0011e9, false },
        { 1, -1, false },
        { NAN, 1, false },                   { 1, NAN, false },         { NAN, NAN, false },
        { INFINITY, 1, false },              { 1, INFINITY, false },    { INFINITY, INFINITY, false },
        { -INFINITY, INFINITY, false },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        for (size_t k = 0; k < 3; k++) {     /* in each of the three scores, the other two being equal */
            struct fit_agreement agreement = { 0 };
            double found[3] = { -3, 0.25, 1.5 }, direct[3] = { -3, 0.25, 1.5 };
            static const char *const names[] = { "energy", "representation score", "score" };
            found[k] = cases[i].found;
            direct[k] = cases[i].direct;
            bool worst = fit_agreement_add(&agreement, &(struct fit_scores){ found[0], found[1], found[2] },
                                           &(struct fit_scores){ direct[0], direct[1], direct[2] });
            if ((agreement.outside == 0) != cases[i].agrees)
                fail_msg("case %zu, score %zu: %g and %g", i, k, cases[i].found, cases[i].direct);
            assert_int_equal(agreement.count, 1);
            assert_int_equal(worst, i > 0);
            if (worst)
                assert_string_equal(agreement.worst_score, names[k]);
            else
                assert_null(agreement.worst_score);
            if (cases[i].agrees)
                assert_true(agreement.largest == fabs(cases[i].found - cases[i].direct));
        }
}

/* The worst is by the share of what is allowed, the largest difference is plain. */
static void worst_and_largest(void **state)
{
    (void)state;
    struct fit_agreement agreement = { 0 };
    const struct fit_scores zero = { 0, 0, 0 };
    assert_false(fit_agreement_add(&agreement, &zero, &zero));
    assert_true(fit_agreement_add(&agreement, &(struct fit_scores){ 5e-5, 0, 0 }, &zero));               /* half of 1e-4 */
    assert_false(fit_agreement_add(&agreement, &(struct fit_scores){ 0, 0, 100.01 }, &(struct fit_scores){ 0, 0, 100 }));    /* a tenth of 0.1 */
    assert_string_equal(agreement.worst_score, "energy");
    check_close(agreement.worst, 0.5, 1e-12, 0);
    check_close(agreement.largest, 0.01, 1e-12, 0);
    assert_int_equal(agreement.outside, 0);
    assert_true(fit_agreement_add(&agreement, &(struct fit_scores){ 0, 3e-4, 2e-4 }, &zero));            /* one picture, two scores */
    assert_string_equal(agreement.worst_score, "representation score");
    assert_true(agreement.worst_found == 3e-4 && agreement.worst_direct == 0);
    assert_int_equal(agreement.outside, 1);
    assert_false(fit_agreement_add(&agreement, &zero, &zero));                                           /* what was seen stays */
    assert_int_equal(agreement.outside, 1);
    assert_int_equal(agreement.count, 5);
    check_close(agreement.largest, 0.01, 1e-12, 0);
    assert_true(fit_agreement_add(&agreement, &(struct fit_scores){ NAN, 0, 0 }, &zero));
    assert_true(isnan(agreement.largest));
    fit_agreement_add(&agreement, &(struct fit_scores){ 1, 0, 0 }, &zero);
    assert_true(isnan(agreement.largest));
    assert_int_equal(agreement.outside, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(bounds), cmocka_unit_test(worst_and_largest) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
