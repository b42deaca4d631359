/* The optimiser over five steps and the schedules over runs against PyTorch's (tests/data/train); averages, state for checkpoints, refusals. */
#include "check.h"

#include <math.h>

#include "score/reference.h"
#include "train/optimiser.h"
#include "train/schedule.h"

/* The blocks of make.py: 20 with decay, 7 without, 3 at another rate, 2 that are only averaged. */
enum { VALUES = 32, TRAINED = 30 };

struct run { float value[VALUES], gradient[TRAINED]; struct ood_optimiser *optimiser; };

static void begin(struct run *run, const struct ood_optimiser_options *options, double factor)
{
    struct ood_error err = { 0 };
    const struct ood_block blocks[] = {
        { "a", run->value, run->gradient, 20, true, 1 }, { "b", run->value + 20, run->gradient + 20, 7, false, 1 },
        { "c", run->value + 27, run->gradient + 27, 3, true, factor }, { "statistic", run->value + 30, NULL, 2, false, 1 },
    };
    run->optimiser = ood_optimiser_new(blocks, 4, options, &err);
    check_ok(run->optimiser != NULL);
    assert_int_equal(ood_optimiser_block_count(run->optimiser), 4);
}

static void compare(size_t at, size_t step, const char *what, const float *found, const float *expected, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!(fabsf(found[i] - expected[i]) <= 1e-6f + 1e-6f * fabsf(expected[i])))
            fail_msg("case %zu, step %zu: %s %zu: %.9g, expected %.9g", at, step, what, i, (double)found[i], (double)expected[i]);
}

/* The arrays of the state of all blocks, one behind the other. */
static void gather(struct ood_optimiser *optimiser, bool average, float *to)
{
    for (size_t b = 0, at = 0; b < 4; b++) {
        struct ood_optimiser_state state = ood_optimiser_state(optimiser, b);
        const float *from = average ? state.average : state.momentum;
        if (from != NULL)
            memcpy(to + at, from, state.count * sizeof *to);
        at += state.count;
    }
}

static void take(struct reference *reference, const char *word, float *to, size_t count)
{
    float *values = reference_take_floats(reference, word);
    memcpy(to, values, count * sizeof *to);
    free(values);
}

static void five_steps(void **state)
{
    (void)state;
    struct ood_error err = { 0 };
    struct reference reference = reference_open_file("train/optimiser.txt");
    size_t cases = 0;
    for (; reference_next(&reference); cases++) {
        assert_string_equal(reference.word, "case");
        const double *x = reference.values, rate = x[0], factor = x[5];
        struct ood_optimiser_options options = { .momentum = x[1], .weight_decay = x[2], .clip_norm = x[3], .average_decay = x[4] };
        struct run run;
        take(&reference, "start", run.value, VALUES);
        begin(&run, &options, factor);
        for (size_t step = 0; step < 5; step++) {
            float expected[VALUES], found[VALUES];
            double norm, expected_norm;
            take(&reference, "gradient", run.gradient, TRAINED);
            run.value[30] += 0.25f, run.value[31] += 0.25f;
            check_ok(ood_optimiser_step(run.optimiser, rate, &norm, &err));
            double *recorded = reference_take(&reference, "norm", NULL);
            expected_norm = *recorded;
            free(recorded);
            check_close(norm, expected_norm, 0, 1e-6);
            take(&reference, "value", expected, VALUES);
            compare(cases, step, "value", run.value, expected, VALUES);
            take(&reference, "average", expected, VALUES);
            if (options.average_decay > 0) {
                gather(run.optimiser, true, found);
                compare(cases, step, "average", found, expected, VALUES);
            }
        }
        float expected[TRAINED], found[VALUES] = { 0 };
        take(&reference, "momentum", expected, TRAINED);
        gather(run.optimiser, false, found);
        if (options.momentum > 0)
            compare(cases, 5, "momentum", found, expected, TRAINED);
        assert_true(ood_optimiser_steps(run.optimiser) == 5);
        ood_optimiser_free(run.optimiser);
    }
    assert_int_equal(cases, 7);
}

static void start(struct run *run)
{
    for (size_t i = 0; i < VALUES; i++)
        run->value[i] = (float)i - 10;
    for (size_t i = 0; i < TRAINED; i++)
        run->gradient[i] = 0.25f * (float)(i % 7) - 0.5f;
}

/* What a checkpoint keeps: values, momentum, averages, steps. A run that goes on from it has the bits of one that never stopped. */
static void resumed(void **state)
{
    (void)state;
    struct ood_error err = { 0 };
    struct ood_optimiser_options options = { .momentum = 0.9, .weight_decay = 0.01, .clip_norm = 1, .average_decay = 0.99 };
    struct run whole, part;
    start(&whole);
    begin(&whole, &options, 2);
    for (size_t i = 0; i < 3; i++)
        check_ok(ood_optimiser_step(whole.optimiser, 0.1, NULL, &err));
    memcpy(part.value, whole.value, sizeof part.value);
    memcpy(part.gradient, whole.gradient, sizeof part.gradient);
    begin(&part, &options, 2);
    for (size_t b = 0; b < 4; b++) {
        struct ood_optimiser_state from = ood_optimiser_state(whole.optimiser, b), to = ood_optimiser_state(part.optimiser, b);
        assert_string_equal(from.name, to.name);
        assert_true((from.momentum == NULL) == (b == 3) && from.average != NULL);
        if (b < 3)
            memcpy(to.momentum, from.momentum, from.count * sizeof(float));
        memcpy(to.average, from.average, from.count * sizeof(float));
    }
    ood_optimiser_set_steps(part.optimiser, ood_optimiser_steps(whole.optimiser));
    for (size_t i = 0; i < 3; i++) {
        check_ok(ood_optimiser_step(whole.optimiser, 0.05, NULL, &err));
        check_ok(ood_optimiser_step(part.optimiser, 0.05, NULL, &err));
    }
    float averages[2][VALUES];
    gather(whole.optimiser, true, averages[0]);
    gather(part.optimiser, true, averages[1]);
    assert_memory_equal(whole.value, part.value, sizeof whole.value);
    assert_memory_equal(averages[0], averages[1], sizeof averages[0]);
    ood_optimiser_free(whole.optimiser);
    ood_optimiser_free(part.optimiser);
}

static void swapped(void **state)
{
    (void)state;
    struct ood_error err = { 0 };
    struct ood_optimiser_options options = ood_optimiser_defaults();
    assert_true(options.momentum == 0.9 && options.weight_decay == 5e-4 && options.clip_norm == 0 && options.average_decay == 0);
    options.average_decay = 0.5;
    struct run run;
    start(&run);
    begin(&run, &options, 1);
    check_ok(ood_optimiser_step(run.optimiser, 0.1, NULL, &err));
    float value[VALUES], average[VALUES], found[VALUES];
    memcpy(value, run.value, sizeof value);
    gather(run.optimiser, true, average);
    assert_memory_not_equal(value, average, sizeof value);
    ood_optimiser_swap_average(run.optimiser);
    gather(run.optimiser, true, found);
    assert_memory_equal(run.value, average, sizeof average);
    assert_memory_equal(found, value, sizeof value);
    check_fails(ood_optimiser_step(run.optimiser, 0.1, NULL, &err), OOD_INVALID, "while the averages are in the parameters' place");
    ood_optimiser_swap_average(run.optimiser);
    assert_memory_equal(run.value, value, sizeof value);
    check_ok(ood_optimiser_step(run.optimiser, 0.1, NULL, &err));
    ood_optimiser_free(run.optimiser);

    options.average_decay = 0;
    begin(&run, &options, 1);
    memcpy(value, run.value, sizeof value);
    ood_optimiser_swap_average(run.optimiser);
    assert_memory_equal(run.value, value, sizeof value);
    assert_null(ood_optimiser_state(run.optimiser, 0).average);
    ood_optimiser_free(run.optimiser);
}

static void not_finite_is_named(void **state)
{
    (void)state;
    struct ood_error err = { 0 };
    static const struct { size_t at; const char *name; } places[] = { { 0, "\"a\"" }, { 19, "\"a\"" }, { 20, "\"b\"" }, { 26, "\"b\"" }, { 29, "\"c\"" } };
    static const double bad[] = { NAN, INFINITY, -INFINITY };
    struct ood_optimiser_options options = { .momentum = 0.9, .clip_norm = 1, .average_decay = 0.9 };
    struct run run, before;
    start(&run);
    begin(&run, &options, 1);
    check_ok(ood_optimiser_step(run.optimiser, 0.1, NULL, &err));
    before = run;
    float momentum[2][VALUES] = { 0 };
    gather(run.optimiser, false, momentum[0]);
    for (size_t p = 0; p < sizeof places / sizeof places[0]; p++)
        for (size_t b = 0; b < 3; b++) {
            float kept = run.gradient[places[p].at];
            double norm = -1;
            run.gradient[places[p].at] = (float)bad[b];
            check_fails(ood_optimiser_step(run.optimiser, 0.1, &norm, &err), OOD_SCORE_NOT_FINITE, places[p].name);
            run.gradient[places[p].at] = kept;
            assert_true(norm == -1 && ood_optimiser_steps(run.optimiser) == 1);
        }
    gather(run.optimiser, false, momentum[1]);
    assert_memory_equal(run.value, before.value, sizeof run.value);
    assert_memory_equal(momentum[0], momentum[1], sizeof momentum[0]);
    check_fails(ood_optimiser_step(run.optimiser, NAN, NULL, &err), OOD_INVALID, "learning rate: found nan");
    check_fails(ood_optimiser_step(run.optimiser, -0.1, NULL, &err), OOD_INVALID, "learning rate: found -0.1");
    ood_optimiser_free(run.optimiser);
}

/* A block at rate 0 stays as it is, and its gradient is nowhere. */
static void frozen(void **state)
{
    (void)state;
    struct ood_error err = { 0 };
    struct run run, before;
    start(&run);
    before = run;
    struct ood_optimiser_options options = { .momentum = 0.9, .weight_decay = 0.1, .clip_norm = 1 };
    begin(&run, &options, 0);
    double norm[2];
    check_ok(ood_optimiser_step(run.optimiser, 0.1, &norm[0], &err));
    run.gradient[28] = NAN;
    memcpy(run.value, before.value, sizeof run.value);
    check_ok(ood_optimiser_step(run.optimiser, 0.1, &norm[1], &err));
    assert_true(norm[0] == norm[1] && norm[0] > 0);
    assert_memory_equal(run.value + 27, before.value + 27, 5 * sizeof(float));
    assert_memory_not_equal(run.value, before.value, 20 * sizeof(float));
    ood_optimiser_free(run.optimiser);
}

static void wrong_options(void **state)
{
    (void)state;
    struct ood_error err = { 0 };
    float value = 1, gradient = 1;
    struct ood_block block = { "weight", &value, &gradient, 1, true, 1 };
    const struct { struct ood_optimiser_options options; const char *says; } cases[] = {
        { { .momentum = 1 }, "momentum: found 1, expected 0 to less than 1" }, { { .momentum = NAN }, "momentum: found nan" },
        { { .weight_decay = -1 }, "weight decay: found -1" }, { { .clip_norm = INFINITY }, "clipping norm: found inf" },
        { { .average_decay = 1 }, "decay of the average: found 1" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        check_fails(ood_optimiser_new(&block, 1, &cases[i].options, &err) != NULL, OOD_INVALID, cases[i].says);
    struct ood_optimiser_options options = ood_optimiser_defaults();
    block.rate = -1;
    check_fails(ood_optimiser_new(&block, 1, &options, &err) != NULL, OOD_INVALID, "parameter \"weight\": found a rate of -1");
    block.rate = NAN;
    check_fails(ood_optimiser_new(&block, 1, &options, &err) != NULL, OOD_INVALID, "parameter \"weight\": found a rate of nan");
    ood_optimiser_free(NULL);
}

/* ---- schedules ---- */

static void against_pytorch(void **state)
{
    (void)state;
    struct reference reference = reference_open_file("train/schedule.txt");
    size_t cases = 0;
    for (; reference_next(&reference); cases++) {
        const double *x = reference.values, span = x[4];
        struct ood_schedule schedule = { (enum ood_schedule_kind)x[0], x[1], x[2], x[3] };
        size_t count;
        double *rates = reference_take(&reference, "rates", &count);
        for (size_t t = 0; t < count; t++)
            check_close(ood_schedule_rate(&schedule, (double)t / span), rates[t], 1e-15, 1e-11);
        free(rates);
    }
    assert_int_equal(cases, 4);
}

static void ends_and_names(void **state)
{
    (void)state;
    struct ood_error err = { 0 };
    struct ood_schedule schedule;
    const struct { const char *name; double first, peak_at, last; } cases[] = {
        { "cosine", 0.002, 0.05, 0 }, { "one-cycle", 0.008, 0.3, 0.2 / 250000 }, { "constant", 0.002, 0.05, 0.2 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        check_ok(ood_schedule_named(cases[i].name, 0.2, &schedule, &err));
        const double first[] = { 0, -0.1, -INFINITY, NAN }, last[] = { 1, 1.0001, INFINITY };
        for (size_t j = 0; j < 4; j++)
            check_close(ood_schedule_rate(&schedule, first[j]), cases[i].first, 1e-15, 0);
        for (size_t j = 0; j < 3; j++)
            check_close(ood_schedule_rate(&schedule, last[j]), cases[i].last, 1e-15, 0);
        assert_true(ood_schedule_rate(&schedule, cases[i].peak_at) == 0.2);
        for (double at = 0; at < 1; at += 1e-3) {                    /* up to the peak, then down */
            double here = ood_schedule_rate(&schedule, at), next = ood_schedule_rate(&schedule, at + 1e-3);
            assert_true(at + 1e-3 <= cases[i].peak_at ? next > here : at < cases[i].peak_at || next <= here);
        }
    }
    schedule.warmup = 0;
    assert_true(ood_schedule_rate(&schedule, 0) == 0.2);
    struct ood_schedule before = schedule;
    check_fails(ood_schedule_named("linear", 0.1, &schedule, &err), OOD_INVALID, "found \"linear\", expected cosine, one-cycle or constant");
    check_fails(ood_schedule_named("cosine", -1, &schedule, &err), OOD_INVALID, "learning rate: found -1");
    assert_memory_equal(&schedule, &before, sizeof schedule);
    schedule.peak = NAN;
    check_fails(ood_schedule_check(&schedule, &err), OOD_INVALID, "learning rate: found nan");
    schedule.peak = 1, schedule.warmup = 1;
    check_fails(ood_schedule_check(&schedule, &err), OOD_INVALID, "warm-up: found 1");
    schedule.warmup = NAN;
    check_fails(ood_schedule_check(&schedule, &err), OOD_INVALID, "warm-up: found nan");
    schedule.warmup = 0.5, schedule.warmup_start = 1.5;
    check_fails(ood_schedule_check(&schedule, &err), OOD_INVALID, "warm-up's start: found 1.5");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(five_steps), cmocka_unit_test(resumed), cmocka_unit_test(swapped), cmocka_unit_test(not_finite_is_named),
        cmocka_unit_test(frozen), cmocka_unit_test(wrong_options), cmocka_unit_test(against_pytorch), cmocka_unit_test(ends_and_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
