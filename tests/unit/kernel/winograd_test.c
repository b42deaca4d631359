/* The Winograd convolution in every version that this CPU runs, against the direct sum in double. Sources, destinations and
 * scratch memory end (or begin) at a page that must not be touched. */
#include "functions.h"
#include "guarded.h"

#include <math.h>
#include <pthread.h>

#include "base/memory.h"
#include "base/random.h"
#include "kernel/winograd.h"

static void fill_random(float *at, size_t n, struct ood_random *random, double scale)
{
    for (size_t i = 0; i < n; i++)
        at[i] = (float)(scale * ood_random_normal(random));
}

/* ---- the reference ---- */

static size_t rows_of(const struct ood_winograd_shape *s) { return s->height + s->pad_top + s->pad_bottom - 2; }
static size_t columns_of(const struct ood_winograd_shape *s) { return s->width + s->pad_left + s->pad_right - 2; }

/* One element of the convolution. single: summed in float32, by channels and then the window, as a direct kernel does. */
static double direct(const struct ood_winograd_shape *s, const float *source, const float *weights, size_t n, size_t y, size_t x,
                     size_t k, bool single)
{
    double sum = 0;
    float sum_single = 0;
    for (size_t c = 0; c < s->channels; c++)
        for (size_t i = 0; i < 3; i++)
            for (size_t j = 0; j < 3; j++) {
                const size_t row = y + i - s->pad_top, column = x + j - s->pad_left;     /* wraps where outside */
                if (row >= s->height || column >= s->width)
                    continue;
                const float a = source[((n * s->height + row) * s->width + column) * s->channels + c];
                const float b = weights[((k * s->channels + c) * 3 + i) * 3 + j];
                sum += (double)a * (double)b;
                sum_single = fmaf(a, b, sum_single);
            }
    return single ? (double)sum_single : sum;
}

/* ---- every shape, every stage ---- */

enum sum_kind { NO_SUM, SUM_APART, SUM_IN_PLACE };

struct stage { bool bias; enum sum_kind sum; size_t sum_at, count; struct ood_unary_step steps[4]; };

#define RELU { OOD_UNARY_RELU, 0, 0 }
#define LEAKY { OOD_UNARY_LEAKY_RELU, 0.1f, 0 }
#define CLIP { OOD_UNARY_CLIP, -0.25f, 0.75f }
#define SIGMOID { OOD_UNARY_SIGMOID, 0, 0 }
#define SILU { OOD_UNARY_SILU, 0, 0 }
#define HARD_SWISH { OOD_UNARY_HARD_SWISH, 0, 0 }
#define HARD_SIGMOID { OOD_UNARY_HARD_SIGMOID, 0.2f, 0.5f }
static const struct stage stages[] = {
    { false, NO_SUM, 0, 0, { RELU } },
    { true, NO_SUM, 0, 1, { RELU } },
    { true, SUM_IN_PLACE, 0, 0, { RELU } },
    { true, SUM_IN_PLACE, 0, 1, { RELU } },
    { false, SUM_APART, 1, 1, { RELU } },
    { true, SUM_APART, 1, 2, { RELU, RELU } },
    { true, NO_SUM, 0, 1, { LEAKY } },
    { true, NO_SUM, 0, 1, { CLIP } },
    { false, NO_SUM, 0, 1, { SIGMOID } },
    { true, SUM_IN_PLACE, 2, 3, { CLIP, SIGMOID, LEAKY } },
    { true, NO_SUM, 0, 4, { LEAKY, CLIP, SIGMOID, RELU } },
    { true, NO_SUM, 0, 1, { SILU } },
    { true, SUM_IN_PLACE, 0, 1, { SILU } },
    { false, SUM_APART, 1, 2, { HARD_SWISH, SILU } },
    { true, NO_SUM, 0, 1, { HARD_SWISH } },
    { true, SUM_APART, 0, 1, { HARD_SIGMOID } },
};
#define STAGES (sizeof stages / sizeof stages[0])

static double stage_reference(const struct stage *stage, double x, double bias, double sum)
{
    x += bias;
    for (size_t i = 0; i <= stage->count; i++) {
        if (stage->sum != NO_SUM && i == stage->sum_at)
            x += sum;
        if (i < stage->count)
            x = step_reference(&stage->steps[i], x);
    }
    return x;
}

/* weights in the kernel's form, in aligned memory of exactly their size. */
static float *prepare(const struct ood_kernels *kernels, const float *weights, const struct ood_winograd_shape *s)
{
    struct ood_error err = { 0 };
    const size_t n = kernels->winograd_weights_floats(s->channels, s->out_channels);
    assert_true(n >= 36 * s->channels * s->out_channels);
    float *prepared = ood_alloc_aligned(n, sizeof(float), &err);
    assert_non_null(prepared);
    kernels->winograd_weights(prepared, weights, s->channels, s->out_channels);
    return prepared;
}

static void check_case(const struct ood_kernels *kernels, const struct ood_winograd_shape *s, const struct stage *stage,
                       bool at_end, struct ood_random *random)
{
    const size_t rows = rows_of(s), columns = columns_of(s), k = s->out_channels, out = s->batch * rows * columns * k;
    struct guarded source = guard(s->batch * s->height * s->width * s->channels, at_end), weights = guard(k * s->channels * 9, true);
    struct guarded bias = guard(k, true), sum = guard(out, at_end), target = guard(out, at_end);
    struct guarded scratch = guard(kernels->winograd_scratch_floats(s), kernels->winograd_scratch_floats(s) % 16 == 0);
    fill_random(source.at, s->batch * s->height * s->width * s->channels, random, 1);
    fill_random(weights.at, k * s->channels * 9, random, 1 / sqrt(9.0 * (double)s->channels));
    fill_random(bias.at, k, random, 1);
    fill_random(sum.at, out, random, 1);
    if (stage->sum == SUM_IN_PLACE)
        memcpy(target.at, sum.at, out * sizeof(float));
    float *prepared = prepare(kernels, weights.at, s);
    kernels->winograd_forward(&(struct ood_winograd_call){
        .shape = s, .source = source.at, .weights = prepared, .bias = stage->bias ? bias.at : NULL,
        .sum = stage->sum == NO_SUM ? NULL : stage->sum == SUM_IN_PLACE ? target.at : sum.at,
        .steps = stage->steps, .step_count = stage->count, .sum_at = stage->sum_at, .destination = target.at, .scratch = scratch.at });
    for (size_t i = 0; i < out; i++) {
        const size_t pixel = i / k, y = pixel / columns % rows, x = pixel % columns;
        const double conv = direct(s, source.at, weights.at, pixel / columns / rows, y, x, i % k, false);
        const double want = stage_reference(stage, conv, stage->bias ? (double)bias.at[i % k] : 0, (double)sum.at[i]);
        if (!(fabs((double)target.at[i] - want) <= 4e-5 + 1e-6 * fabs(want)))
            fail_msg("%s: %zu x %zux%zux%zu to %zu, pads %zu %zu %zu %zu, stage %zu: element %zu (row %zu, column %zu) is %.9g, expected %.9g",
                     kernels->isa, s->batch, s->channels, s->height, s->width, k, s->pad_top, s->pad_left, s->pad_bottom,
                     s->pad_right, (size_t)(stage - stages), i, y, x, (double)target.at[i], want);
    }
    ood_free(prepared);
    unguard(&source);
    unguard(&weights);
    unguard(&bias);
    unguard(&sum);
    unguard(&target);
    unguard(&scratch);
}

/* Maps 1 to 17 wide and high, all 81 paddings, 1 to 70 channels, every stage: each size in several of the others' company. */
static void every_shape_and_stage_is_right(void **state)
{
    (void)state;
    for_each_version(kernels) {
        struct ood_random random;
        ood_random_seed(&random, 13);
        size_t checked = 0;
        for (size_t i = 0; i < 17 * 24; i++) {
            const size_t pads = i % 81;
            const struct ood_winograd_shape s = {
                .batch = 1 + i % 3, .width = 1 + i % 17, .height = 1 + (i / 17 * 5 + i * 3) % 17,
                .channels = 1 + i * 11 % 70, .out_channels = 1 + (i * 29 + 3) % 70,
                .pad_top = pads % 3, .pad_left = pads / 3 % 3, .pad_bottom = pads / 9 % 3, .pad_right = pads / 27
            };
            if (s.height + s.pad_top + s.pad_bottom < 3 || s.width + s.pad_left + s.pad_right < 3)
                continue;
            check_case(kernels, &s, &stages[i % STAGES], i % 2 == 0, &random);
            checked++;
        }
        assert_true(checked > 300);
        for (size_t channels = 1; channels <= 70; channels++) {
            const struct ood_winograd_shape s = { .batch = 1, .width = 5, .height = 6, .channels = channels, .out_channels = 71 - channels,
                                                  .pad_top = 1, .pad_left = 1, .pad_bottom = 1, .pad_right = 1 };
            check_case(kernels, &s, &stages[channels % STAGES], true, &random);
        }
        for (size_t stage = 0; stage < STAGES; stage++) {
            const struct ood_winograd_shape s = { .batch = 9, .width = 8, .height = 8, .channels = 32, .out_channels = 32,
                                                  .pad_top = 1, .pad_left = 1, .pad_bottom = 1, .pad_right = 1 };
            check_case(kernels, &s, &stages[stage], true, &random);
        }
    }
}

/* ---- error ---- */

/* RMS error of a 128-channel layer, as a multiple of that of direct float32 sums. */
static void error_is_within_three_times_the_direct_one(void **state)
{
    (void)state;
    struct ood_error err = { 0 };
    const struct ood_winograd_shape s = { .batch = 1, .width = 12, .height = 12, .channels = 128, .out_channels = 128,
                                          .pad_top = 1, .pad_left = 1, .pad_bottom = 1, .pad_right = 1 };
    const size_t in = 12 * 12 * 128, out = in;
    float *source = ood_new_array(float, in, &err), *weights = ood_new_array(float, 128 * 128 * 9, &err);
    float *target = ood_new_array(float, out, &err), *fused = ood_new_array(float, out, &err);
    double *exact = ood_new_array(double, out, &err), *single = ood_new_array(double, out, &err);
    assert_true(source != NULL && weights != NULL && target != NULL && fused != NULL && exact != NULL && single != NULL);
    struct ood_random random;
    ood_random_seed(&random, 128);
    fill_random(source, in, &random, 1);
    fill_random(weights, 128 * 128 * 9, &random, 0.05);
    for (size_t i = 0; i < out; i++) {
        exact[i] = direct(&s, source, weights, 0, i / 128 / 12, i / 128 % 12, i % 128, false);
        single[i] = direct(&s, source, weights, 0, i / 128 / 12, i / 128 % 12, i % 128, true);
    }
    for_each_version(kernels) {
        float *prepared = prepare(kernels, weights, &s), *scratch = ood_alloc_aligned(kernels->winograd_scratch_floats(&s), sizeof(float), &err);
        assert_non_null(scratch);
        kernels->winograd_forward(&(struct ood_winograd_call){ .shape = &s, .source = source, .weights = prepared,
                                                               .destination = target, .scratch = scratch });
        double ours = 0, theirs = 0, size = 0;
        for (size_t i = 0; i < out; i++) {
            ours += ((double)target[i] - exact[i]) * ((double)target[i] - exact[i]);
            theirs += (single[i] - exact[i]) * (single[i] - exact[i]);
            size += exact[i] * exact[i];
        }
        print_message("%s: RMS error %.2g of the output's RMS, direct float32 %.2g: %.2f times\n", kernels->isa, sqrt(ours / size),
                      sqrt(theirs / size), sqrt(ours / theirs));
        assert_true(sqrt(ours / size) < 1.5e-6);
        assert_true(ours <= 9 * theirs);
        if (strcmp(kernels->isa, "avx2") == 0)
            memcpy(fused, target, out * sizeof *target);
        if (strcmp(kernels->isa, "avx512") == 0)
            assert_memory_equal(fused, target, out * sizeof *target);
        ood_free(prepared);
        ood_free(scratch);
    }
    ood_free(source);
    ood_free(weights);
    ood_free(target);
    ood_free(fused);
    ood_free(exact);
    ood_free(single);
}

/* ---- bits ---- */

struct job {
    const struct ood_kernels *kernels;
    struct ood_winograd_shape shape;
    const float *source, *weights, *bias, *sum;
    const struct stage *stage;
    float *target;
};

static void *run_job(void *context)
{
    struct job *job = context;
    struct ood_error err = { 0 };
    const size_t n = job->kernels->winograd_scratch_floats(&job->shape);
    float *scratch = ood_alloc_aligned(n, sizeof(float), &err);
    assert_non_null(scratch);
    memset(scratch, 0xff, n * sizeof *scratch);
    job->kernels->winograd_forward(&(struct ood_winograd_call){
        .shape = &job->shape, .source = job->source, .weights = job->weights, .bias = job->bias, .sum = job->sum,
        .steps = job->stage->steps, .step_count = job->stage->count, .sum_at = job->stage->sum_at, .destination = job->target,
        .scratch = scratch });
    ood_free(scratch);
    return NULL;
}

static const struct ood_winograd_shape bit_shapes[] = {
    { 8, 32, 32, 32, 32, 1, 1, 1, 1, 0, 0 }, { 8, 64, 16, 16, 64, 1, 1, 1, 1, 0, 0 }, { 8, 128, 8, 8, 128, 1, 1, 1, 1, 0, 0 },
    { 8, 19, 7, 7, 37, 1, 1, 1, 1, 0, 0 },   { 8, 5, 3, 11, 70, 0, 2, 1, 0, 0, 0 },   { 8, 256, 4, 4, 48, 1, 1, 1, 1, 0, 0 },
    { 8, 16, 1, 1, 16, 1, 1, 1, 1, 0, 0 },   { 8, 33, 23, 5, 17, 2, 1, 0, 2, 0, 0 },
};

/* A group of maps that hold others' channels as well: the bits it has alone, and nothing written beside it. */
static void a_group_is_as_alone(void **state)
{
    (void)state;
    enum { GROUPS = 3, IN = 32, OUT = 16, PIXELS = 2 * 9 * 7 };
    static float source[PIXELS * IN * GROUPS], sum[PIXELS * OUT * GROUPS], target[PIXELS * OUT * GROUPS], weights[OUT * IN * 9];
    static float source_alone[PIXELS * IN], sum_alone[PIXELS * OUT], alone[PIXELS * OUT];
    struct ood_random random;
    ood_random_seed(&random, 3);
    fill_random(source, PIXELS * IN * GROUPS, &random, 1);
    fill_random(sum, PIXELS * OUT * GROUPS, &random, 1);
    fill_random(weights, OUT * IN * 9, &random, 0.1);
    for_each_version(kernels)
        for (size_t g = 0; g < GROUPS; g++) {
            struct ood_winograd_shape s = { .batch = 2, .channels = IN, .height = 9, .width = 7, .out_channels = OUT,
                                            .pad_top = 1, .pad_left = 1, .pad_bottom = 1, .pad_right = 1 };
            for (size_t i = 0; i < PIXELS; i++) {
                memcpy(source_alone + i * IN, source + (i * GROUPS + g) * IN, IN * sizeof(float));
                memcpy(sum_alone + i * OUT, sum + (i * GROUPS + g) * OUT, OUT * sizeof(float));
            }
            float *prepared = prepare(kernels, weights, &s);
            struct job job = { kernels, s, source_alone, prepared, NULL, sum_alone, &stages[4], alone };
            run_job(&job);
            memset(target, 0, sizeof target);
            job.shape.source_pixel = IN * GROUPS;
            job.shape.target_pixel = OUT * GROUPS;
            job.source = source + g * IN;
            job.sum = sum + g * OUT;
            job.target = target + g * OUT;
            run_job(&job);
            for (size_t i = 0; i < PIXELS * GROUPS * OUT; i++) {
                const float want = i / OUT % GROUPS == g ? alone[i / OUT / GROUPS * OUT + i % OUT] : 0.0f;
                assert_memory_equal(&target[i], &want, sizeof want);
            }
            ood_free(prepared);
        }
}

static void bits_depend_on_neither_batch_nor_place_nor_thread_nor_run(void **state)
{
    (void)state;
    static const size_t batches[] = { 1, 2, 3, 8 };
    for_each_version(kernels)
        for (size_t i = 0; i < sizeof bit_shapes / sizeof bit_shapes[0]; i++) {
            const struct ood_winograd_shape *s = &bit_shapes[i];
            struct ood_error err = { 0 };
            struct ood_random random;
            ood_random_seed(&random, 7 + i);
            const size_t in = s->height * s->width * s->channels, out = rows_of(s) * columns_of(s) * s->out_channels;
            float *source = ood_new_array(float, 8 * in, &err), *weights = ood_new_array(float, s->out_channels * s->channels * 9, &err);
            float *sum = ood_new_array(float, 8 * out, &err), *target[2] = { ood_new_array(float, 8 * out, &err), ood_new_array(float, 8 * out, &err) };
            float *want = ood_new_array(float, out, &err);
            assert_true(source != NULL && weights != NULL && sum != NULL && target[0] != NULL && target[1] != NULL && want != NULL);
            fill_random(source, 8 * in, &random, 1);
            fill_random(weights, s->out_channels * s->channels * 9, &random, 0.1);
            fill_random(sum, 8 * out, &random, 1);
            float *prepared = prepare(kernels, weights, s);
            struct job job = { kernels, *s, source, prepared, sum, sum, &stages[5], want };
            job.shape.batch = 1;
            run_job(&job);                   /* the picture alone; afterwards it stands everywhere */
            for (size_t b = 0; b < sizeof batches / sizeof batches[0]; b++)
                for (size_t place = 0; place < batches[b]; place++) {
                    struct job jobs[2] = { job, job };
                    pthread_t threads[2];
                    memmove(source + place * in, source, in * sizeof *source);
                    memmove(sum + place * out, sum, out * sizeof *sum);
                    for (size_t t = 0; t < 2; t++) {
                        jobs[t].shape.batch = batches[b];
                        jobs[t].target = target[t];
                        if (place == 0)      /* both threads at once */
                            assert_int_equal(pthread_create(&threads[t], NULL, run_job, &jobs[t]), 0);
                        else
                            run_job(&jobs[t]);
                    }
                    for (size_t t = 0; place == 0 && t < 2; t++)
                        assert_int_equal(pthread_join(threads[t], NULL), 0);
                    for (size_t t = 0; t < 2; t++)
                        if (memcmp(target[t] + place * out, want, out * sizeof *want) != 0)
                            fail_msg("%s: shape %zu: other bits at batch %zu, place %zu, run %zu", kernels->isa, i, batches[b], place, t);
                }
            ood_free(prepared);
            ood_free(source);
            ood_free(weights);
            ood_free(sum);
            ood_free(target[0]);
            ood_free(target[1]);
            ood_free(want);
        }
}

/* ---- what must not be hidden, what must be refused ---- */

static void a_nan_reaches_what_it_should(void **state)
{
    (void)state;
    const struct ood_winograd_shape s = { .batch = 1, .width = 9, .height = 9, .channels = 20, .out_channels = 20,
                                          .pad_top = 1, .pad_left = 1, .pad_bottom = 1, .pad_right = 1 };
    static float source[9 * 9 * 20], weights[20 * 20 * 9], target[9 * 9 * 20];
    for_each_version(kernels) {
        struct ood_error err = { 0 };
        struct ood_random random;
        ood_random_seed(&random, 3);
        fill_random(source, sizeof source / sizeof *source, &random, 1);
        fill_random(weights, sizeof weights / sizeof *weights, &random, 0.1);
        source[(4 * 9 + 6) * 20 + 19] = NAN;
        float *prepared = prepare(kernels, weights, &s), *scratch = ood_alloc_aligned(kernels->winograd_scratch_floats(&s), sizeof(float), &err);
        assert_non_null(scratch);
        for (size_t stage = 0; stage < STAGES; stage++) {
            if (stages[stage].sum != NO_SUM)
                continue;
            kernels->winograd_forward(&(struct ood_winograd_call){
                .shape = &s, .source = source, .weights = prepared, .steps = stages[stage].steps, .step_count = stages[stage].count,
                .destination = target, .scratch = scratch });
            for (size_t y = 0; y < 9; y++)
                for (size_t x = 0; x < 9; x++)
                    for (size_t k = 0; k < 20; k++) {
                        const float value = target[(y * 9 + x) * 20 + k];
                        if (y >= 3 && y <= 5 && x >= 5 && x <= 7)
                            assert_true(isnan(value));
                        if (y > 7)           /* the last row of tiles reads rows 7 and on */
                            assert_false(isnan(value));
                    }
        }
        ood_free(prepared);
        ood_free(scratch);
    }
}

static void sizes_that_overflow_are_zero(void **state)
{
    (void)state;
    for_each_version(kernels) {
        const size_t huge = SIZE_MAX / 4;
        struct ood_winograd_shape s = { 1, 16, 8, 8, 16, 1, 1, 1, 1, 0, 0 };
        assert_true(kernels->winograd_scratch_floats(&s) > 0);
        assert_int_equal(kernels->winograd_weights_floats(huge, huge), 0);
        assert_int_equal(kernels->winograd_weights_floats(huge, 3), 0);
        assert_int_equal(kernels->winograd_weights_floats(3, SIZE_MAX), 0);
        s.height = 0;
        assert_int_equal(kernels->winograd_scratch_floats(&s), 0);
        s.height = 1;
        s.pad_top = 0;
        assert_int_equal(kernels->winograd_scratch_floats(&s), 0);
        s = (struct ood_winograd_shape){ huge, 16, huge, huge, 16, 1, 1, 1, 1, 0, 0 };
        assert_int_equal(kernels->winograd_scratch_floats(&s), 0);
        s = (struct ood_winograd_shape){ 1, huge, 8, 8, huge, 1, 1, 1, 1, 0, 0 };
        assert_int_equal(kernels->winograd_scratch_floats(&s), 0);
        s = (struct ood_winograd_shape){ 1, 16, SIZE_MAX, 8, 16, 1, 1, 1, 1, 0, 0 };
        assert_int_equal(kernels->winograd_scratch_floats(&s), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_shape_and_stage_is_right),
        cmocka_unit_test(error_is_within_three_times_the_direct_one),
        cmocka_unit_test(a_group_is_as_alone),
        cmocka_unit_test(bits_depend_on_neither_batch_nor_place_nor_thread_nor_run),
        cmocka_unit_test(a_nan_reaches_what_it_should),
        cmocka_unit_test(sizes_that_overflow_are_zero),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
