/* Every function of the kernels in every version this CPU runs: within 4 units in the last place of the exact value over a dense
 * sweep of its range (those that cancel: of the larger term), special values, NaN, the same bits alone as among others. */
#include "check.h"
#include "functions.h"

#include "base/random.h"

static const char *const versions[] = { "baseline", "avx2", "avx512" };

/* absolute: what is allowed beside 4 units: of the term that cancels, where one does. */
static const struct { const char *name; struct ood_unary_step step; double least, most, absolute; } functions[] = {
    { "silu", { OOD_UNARY_SILU, 0, 0 }, -80, 90, 0 },
    { "hard swish", { OOD_UNARY_HARD_SWISH, 0, 0 }, -10, 10, 6e-7 },
    { "abs", { OOD_UNARY_ABS, 0, 0 }, -1e30, 1e30, 0 },
    { "neg", { OOD_UNARY_NEG, 0, 0 }, -1e30, 1e30, 0 },
    { "sign", { OOD_UNARY_SIGN, 0, 0 }, -3, 3, 0 },
    { "square", { OOD_UNARY_SQUARE, 0, 0 }, -30, 30, 0 },
    { "cube", { OOD_UNARY_CUBE, 0, 0 }, -30, 30, 0 },
    { "sqrt", { OOD_UNARY_SQRT, 0, 0 }, 0, 1e4, 0 },
    { "reciprocal", { OOD_UNARY_RECIPROCAL, 0, 0 }, 1e-3, 1e3, 0 },
    { "floor", { OOD_UNARY_FLOOR, 0, 0 }, -40, 40, 0 },
    { "floor of large numbers", { OOD_UNARY_FLOOR, 0, 0 }, -2e7, 2e7, 0 },
    { "ceil", { OOD_UNARY_CEIL, 0, 0 }, -40, 40, 0 },
    { "ceil of large numbers", { OOD_UNARY_CEIL, 0, 0 }, -2e7, 2e7, 0 },
    { "round", { OOD_UNARY_ROUND, 0, 0 }, -40, 40, 0 },
    { "exp", { OOD_UNARY_EXP, 0, 0 }, -86, 88.5, 0 },
    { "exp of small results", { OOD_UNARY_EXP, 0, 0 }, -110, -86, 1.5e-45 },
    { "log", { OOD_UNARY_LOG, 0, 0 }, 1e-3, 20, 0 },
    { "log near 1", { OOD_UNARY_LOG, 0, 0 }, 0.9, 1.1, 0 },
    { "log of large numbers", { OOD_UNARY_LOG, 0, 0 }, 1, 1e38, 0 },
    { "log of denormals", { OOD_UNARY_LOG, 0, 0 }, 1e-44, 1e-38, 0 },
    { "tanh", { OOD_UNARY_TANH, 0, 0 }, -11, 11, 0 },
    { "tanh near 0", { OOD_UNARY_TANH, 0, 0 }, -1e-3, 1e-3, 0 },
    { "erf", { OOD_UNARY_ERF, 0, 0 }, -5, 5, 0 },
    { "erf near 0", { OOD_UNARY_ERF, 0, 0 }, -1e-3, 1e-3, 0 },
    { "softplus", { OOD_UNARY_SOFTPLUS, 0, 0 }, -80, 80, 0 },
    { "softsign", { OOD_UNARY_SOFTSIGN, 0, 0 }, -80, 80, 0 },
    { "elu", { OOD_UNARY_ELU, 1.5f, 0 }, -90, 10, 0 },
    { "elu near 0", { OOD_UNARY_ELU, 1, 0 }, -1e-2, 1e-2, 0 },
    { "selu", { OOD_UNARY_SELU, 1.67326319f, 1.05070102f }, -20, 10, 0 },
    { "celu", { OOD_UNARY_CELU, 2, 0 }, -20, 10, 0 },
    { "hard sigmoid", { OOD_UNARY_HARD_SIGMOID, 0.2f, 0.5f }, -4, 4, 1e-7 },
    { "thresholded relu", { OOD_UNARY_THRESHOLDED_RELU, 1, 0 }, -3, 3, 0 },
    { "shrink", { OOD_UNARY_SHRINK, 0.5f, 0.25f }, -3, 3, 0 },
    { "mish", { OOD_UNARY_MISH, 0, 0 }, -60, 60, 0 },
    { "gelu", { OOD_UNARY_GELU, 0, 0 }, -6, 6, 1e-6 },
    { "gelu, tanh", { OOD_UNARY_GELU_TANH, 0, 0 }, -6, 6, 1e-6 },
};
#define FUNCTIONS (sizeof functions / sizeof functions[0])

static void they_are_accurate(void **state)
{
    enum { N = 50021, RUN = 37 };
    float x[RUN], y[RUN], one;
    (void)state;
    for (size_t v = 0; v < sizeof versions / sizeof versions[0]; v++) {
        const struct ood_kernels *kernels = ood_kernels_named(versions[v]);
        for (size_t f = 0; kernels != NULL && f < FUNCTIONS; f++)
            for (size_t i = 0; i < N; i += RUN) {
                for (size_t k = 0; k < RUN; k++)
                    x[k] = (float)(functions[f].least + (functions[f].most - functions[f].least) * (double)(i + k) / (N + RUN));
                kernels->unary(y, x, RUN, &functions[f].step, 1);
                for (size_t k = 0; k < RUN; k++) {
                    const double expected = step_reference(&functions[f].step, (double)x[k]);
                    if (!(fabs((double)y[k] - expected) <= functions[f].absolute + 4 * 1.1920929e-7 * fabs(expected)))
                        fail_msg("%s, %s: %.9g gives %.9g, expected %.9g", versions[v], functions[f].name, (double)x[k], (double)y[k], expected);
                }
                kernels->unary(&one, x + i % RUN, 1, &functions[f].step, 1);
                assert_memory_equal(&one, y + i % RUN, sizeof one);
            }
    }
}

static void ends_are_right(void **state)
{
    static const struct { enum ood_unary function; float x, y; } cases[] = {
        { OOD_UNARY_EXP, INFINITY, INFINITY }, { OOD_UNARY_EXP, -INFINITY, 0 }, { OOD_UNARY_EXP, 0, 1 }, { OOD_UNARY_EXP, 88.8f, INFINITY },
        { OOD_UNARY_LOG, 0, -INFINITY }, { OOD_UNARY_LOG, -1, NAN }, { OOD_UNARY_LOG, INFINITY, INFINITY }, { OOD_UNARY_LOG, 1, 0 },
        { OOD_UNARY_TANH, INFINITY, 1 }, { OOD_UNARY_TANH, -INFINITY, -1 }, { OOD_UNARY_ERF, INFINITY, 1 }, { OOD_UNARY_ERF, -INFINITY, -1 },
        { OOD_UNARY_SOFTPLUS, INFINITY, INFINITY }, { OOD_UNARY_SOFTPLUS, -INFINITY, 0 }, { OOD_UNARY_SQRT, -1, NAN },
        { OOD_UNARY_ROUND, 2.5f, 2 }, { OOD_UNARY_ROUND, -3.5f, -4 }, { OOD_UNARY_ROUND, INFINITY, INFINITY }, { OOD_UNARY_FLOOR, -INFINITY, -INFINITY },
        { OOD_UNARY_CEIL, 8388609.0f, 8388609.0f }, { OOD_UNARY_MISH, INFINITY, INFINITY }, { OOD_UNARY_ELU, -INFINITY, 0 },
        { OOD_UNARY_SIGN, -0.0f, 0 }, { OOD_UNARY_GELU, 40, 40 },
    };
    (void)state;
    for (size_t v = 0; v < sizeof versions / sizeof versions[0]; v++) {
        const struct ood_kernels *kernels = ood_kernels_named(versions[v]);
        for (size_t i = 0; kernels != NULL && i < sizeof cases / sizeof cases[0]; i++) {
            const struct ood_unary_step step = { cases[i].function, 0, 0 };
            float y;
            kernels->unary(&y, &cases[i].x, 1, &step, 1);
            if (!(y == cases[i].y || (isnan(y) && isnan(cases[i].y))))
                fail_msg("%s, function %d: %g gives %g, expected %g", versions[v], (int)step.function, (double)cases[i].x, (double)y,
                         (double)cases[i].y);
        }
    }
}

static void nan_stays(void **state)
{
    (void)state;
    for (size_t v = 0; v < sizeof versions / sizeof versions[0]; v++) {
        const struct ood_kernels *kernels = ood_kernels_named(versions[v]);
        for (size_t f = 0; kernels != NULL && f < FUNCTIONS; f++) {
            float x[21], y[21];
            for (size_t i = 0; i < 21; i++)
                x[i] = i % 3 == 1 ? NAN : 0.5f;
            kernels->unary(y, x, 21, &functions[f].step, 1);
            for (size_t i = 0; i < 21; i++)
                if (isnan(y[i]) != (i % 3 == 1))
                    fail_msg("%s, %s: element %zu is %g", versions[v], functions[f].name, i, (double)y[i]);
        }
    }
}

static void two_operands(void **state)
{
    struct ood_random random;
    float a[133], b[133], y[133];
    (void)state;
    ood_random_seed(&random, 7);
    for (size_t i = 0; i < 133; i++) {
        a[i] = i % 17 == 3 ? NAN : (float)ood_random_normal(&random);
        b[i] = i % 19 == 4 ? NAN : (float)ood_random_normal(&random);
    }
    for (size_t v = 0; v < sizeof versions / sizeof versions[0]; v++) {
        const struct ood_kernels *kernels = ood_kernels_named(versions[v]);
        for (size_t n = 1; kernels != NULL && n <= 133; n += 11)
            for (enum ood_binary op = OOD_BINARY_MAX; op <= OOD_BINARY_PRELU; op++) {
                kernels->binary(op, y, a, b, n, NULL, 0);
                for (size_t i = 0; i < n; i++) {
                    float expected = op == OOD_BINARY_MAX ? (a[i] > b[i] ? a[i] : b[i]) : op == OOD_BINARY_MIN ? (a[i] < b[i] ? a[i] : b[i])
                                     : a[i] < 0 ? a[i] * b[i] : a[i];
                    if (isnan(a[i]) || (op != OOD_BINARY_PRELU && isnan(b[i])))
                        expected = NAN;
                    assert_true(y[i] == expected || (isnan(y[i]) && isnan(expected)));
                }
            }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(they_are_accurate), cmocka_unit_test(ends_are_right), cmocka_unit_test(nan_stays), cmocka_unit_test(two_operands),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
