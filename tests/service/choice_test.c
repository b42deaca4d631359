/* fit's choice by AUROC against the long way: every pair counted, DeLong's components one by one. */
#include "check.h"

#include <math.h>

#include "base/random.h"
#include "daemon/oodctl/fit_choice.h"

enum { N = 60, M = 25, WAYS = 4 };

struct scores { double in[WAYS][N], out[WAYS][M]; };

static void give(const void *context, size_t way, double *in, double *out)
{
    const struct scores *scores = context;
    for (size_t i = 0; i < N; i++)
        in[i] = scores->in[way][i];
    for (size_t j = 0; j < M; j++)
        out[j] = scores->out[way][j];
}

static double wins(double a, double b) { return a > b ? 1 : a == b ? 0.5 : 0; }

static double auroc_of(const struct scores *s, size_t way)
{
    double sum = 0;
    for (size_t i = 0; i < N; i++)
        for (size_t j = 0; j < M; j++)
            sum += wins(s->in[way][i], s->out[way][j]);
    return sum / (N * M);
}

static double standard_error(const struct scores *s, size_t way)
{
    double gain = auroc_of(s, way) - auroc_of(s, 0), in = 0, out = 0;
    for (size_t i = 0; i < N; i++) {
        double part = 0;
        for (size_t j = 0; j < M; j++)
            part += (wins(s->in[way][i], s->out[way][j]) - wins(s->in[0][i], s->out[0][j])) / M;
        in += (part - gain) * (part - gain);
    }
    for (size_t j = 0; j < M; j++) {
        double part = 0;
        for (size_t i = 0; i < N; i++)
            part += (wins(s->in[way][i], s->out[way][j]) - wins(s->in[0][i], s->out[0][j])) / N;
        out += (part - gain) * (part - gain);
    }
    return sqrt(in / (N - 1) / N + out / (M - 1) / M);
}

/* Ways are better than the first by random amounts; whole numbers, so that there are ties. */
static void follows_the_rule(void **state)
{
    (void)state;
    struct ood_error err = { 0 };
    struct ood_random random;
    size_t stayed = 0, held_back = 0;
    ood_random_seed(&random, 5);
    for (size_t round = 0; round < 200; round++) {
        struct scores s;
        for (size_t way = 0; way < WAYS; way++) {
            double shift = way == 0 ? 0.5 : 1.2 * (double)ood_random_below(&random, 100) / 100;
            for (size_t i = 0; i < N; i++)
                s.in[way][i] = rint(4 * (ood_random_normal(&random) + shift));
            for (size_t j = 0; j < M; j++)
                s.out[way][j] = rint(4 * ood_random_normal(&random));
        }
        struct fit_choice choice = { .ways = WAYS, .n = N, .m = M, .score = give, .context = &s };
        check_ok(fit_choose(&choice, &err));
        size_t expected = 0;
        double best = auroc_of(&s, 0), greatest = best;
        for (size_t way = 1; way < WAYS; way++) {
            double auroc = auroc_of(&s, way);
            greatest = fmax(greatest, auroc);
            if (auroc - auroc_of(&s, 0) > 2 * standard_error(&s, way) && auroc > best) {
                best = auroc;
                expected = way;
            }
        }
        assert_int_equal(choice.chosen, expected);
        check_close(choice.auroc, best, 1e-12, 0);
        stayed += expected == 0;
        held_back += greatest > best;
    }
    assert_true(stayed > 20 && stayed < 180 && held_back > 20);
}

static void equal_ways(void **state)
{
    (void)state;
    struct ood_error err = { 0 };
    static struct scores s;
    struct fit_choice choice = { .ways = WAYS, .n = N, .m = M, .score = give, .context = &s };
    for (size_t way = 0; way < WAYS; way++) {
        for (size_t i = 0; i < N; i++)
            s.in[way][i] = (double)i;
        for (size_t j = 0; j < M; j++)
            s.out[way][j] = 7;
    }
    check_ok(fit_choose(&choice, &err));
    assert_int_equal(choice.chosen, 0);
    check_close(choice.auroc, (52 + 0.5) / 60, 1e-12, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(follows_the_rule), cmocka_unit_test(equal_ways) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
