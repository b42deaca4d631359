/* The Winograd convolution's gradients in every version that this CPU runs, against direct sums in double. Sources, gradients
 * and scratch memory end (or begin) at a page that must not be touched. Nothing else calls them yet. */
#include "guarded.h"

#include <math.h>
#include <pthread.h>

#include "base/memory.h"
#include "base/random.h"
#include "kernel/winograd.h"

/* Ends at a page where that leaves it aligned to 64 bytes. */
static struct guarded guard_scratch(size_t n)
{
    assert_true(n > 0);
    return guard(n, n % 16 == 0);
}

static struct guarded random_floats(size_t n, bool at_end, struct ood_random *random, double scale)
{
    struct guarded g = guard(n, at_end);
    for (size_t i = 0; i < n; i++)
        g.at[i] = (float)(scale * ood_random_normal(random));
    return g;
}

/* ---- the reference ---- */

static size_t rows_of(const struct ood_winograd_shape *s) { return s->height + s->pad_top + s->pad_bottom - 2; }
static size_t columns_of(const struct ood_winograd_shape *s) { return s->width + s->pad_left + s->pad_right - 2; }
static size_t source_floats(const struct ood_winograd_shape *s) { return s->batch * s->height * s->width * s->channels; }
static size_t target_floats(const struct ood_winograd_shape *s) { return s->batch * rows_of(s) * columns_of(s) * s->out_channels; }
static size_t weights_floats(const struct ood_winograd_shape *s) { return s->out_channels * s->channels * 9; }

/* Direct gradients of Σ dy·y: each product goes to where the forward pass took it from. data like the source or NULL, weights
 * [out][in][3][3] or NULL; both begin as zeros. */
static void direct(const struct ood_winograd_shape *s, const float *source, const float *weights, const float *gradient,
                   double *data, double *weights_gradient)
{
    const float *dy = gradient;
    for (size_t n = 0; n < s->batch; n++)
        for (size_t y = 0; y < rows_of(s); y++)
            for (size_t x = 0; x < columns_of(s); x++, dy += s->out_channels)
                for (size_t tap = 0; tap < 9; tap++) {
                    const size_t row = y + tap / 3 - s->pad_top, column = x + tap % 3 - s->pad_left; /* wraps where outside */
                    if (row >= s->height || column >= s->width)
                        continue;
                    const size_t at = ((n * s->height + row) * s->width + column) * s->channels;
                    for (size_t k = 0; k < s->out_channels; k++)
                        for (size_t c = 0; c < s->channels; c++) {
                            const size_t w = (k * s->channels + c) * 9 + tap;
                            if (data != NULL)
                                data[at + c] += (double)weights[w] * (double)dy[k];
                            if (weights_gradient != NULL)
                                weights_gradient[w] += (double)source[at + c] * (double)dy[k];
                        }
                }
}

/* The same sums of the weights' gradient in float32, in the direct kernels' order: over pictures and pixels. */
static void direct_single(const struct ood_winograd_shape *s, const float *source, const float *dy, float *weights_gradient)
{
    for (size_t n = 0; n < s->batch; n++)
        for (size_t y = 0; y < rows_of(s); y++)
            for (size_t x = 0; x < columns_of(s); x++, dy += s->out_channels)
                for (size_t tap = 0; tap < 9; tap++) {
                    const size_t row = y + tap / 3 - s->pad_top, column = x + tap % 3 - s->pad_left;
                    if (row >= s->height || column >= s->width)
                        continue;
                    const float *at = source + ((n * s->height + row) * s->width + column) * s->channels;
                    for (size_t k = 0; k < s->out_channels; k++)
                        for (size_t c = 0; c < s->channels; c++) {
                            float *w = weights_gradient + (k * s->channels + c) * 9 + tap;
                            *w = fmaf(at[c], dy[k], *w);
                        }
                }
}

/* ---- ours ---- */

static void run_data(const struct ood_kernels *kernels, const struct ood_winograd_shape *s, const float *weights,
                     const float *gradient, float *data)
{
    const struct ood_winograd_shape back = ood_winograd_data_shape(s);
    struct guarded u = guard_scratch(kernels->winograd_weights_floats(back.channels, back.out_channels));
    struct guarded scratch = guard_scratch(kernels->winograd_scratch_floats(&back));
    kernels->winograd_data_weights(u.at, weights, s->channels, s->out_channels);
    kernels->winograd_forward(&(struct ood_winograd_call){
        .shape = &back, .source = gradient, .weights = u.at, .destination = data, .scratch = scratch.at });
    unguard(&u);
    unguard(&scratch);
}

static void run_weights(const struct ood_kernels *kernels, const struct ood_winograd_shape *s, const float *source,
                        const float *gradient, float *weights_gradient, bool add)
{
    struct guarded scratch = guard_scratch(kernels->winograd_gradient_scratch_floats(s));
    kernels->winograd_gradient(&(struct ood_winograd_gradient_call){
        .shape = s, .source = source, .gradient = gradient, .weights_gradient = weights_gradient, .add = add, .scratch = scratch.at });
    unguard(&scratch);
}

/* RMS of found - want, want being of standard deviation `scale`: as a multiple of it. */
static double error_of(const float *found, const double *want, size_t n, double scale)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += ((double)found[i] - want[i]) * ((double)found[i] - want[i]);
    return sqrt(sum / (double)n) / scale;
}

/* ---- every shape ---- */

/* RMS, relative to what a sum of as many independent products of the operands is expected to be; and the largest single one. */
#define MOST_ERROR 4e-6
#define MOST_SINGLE 2e-5

static double largest(const float *found, const double *want, size_t n, double scale)
{
    double most = 0;
    for (size_t i = 0; i < n; i++)
        most = fabs((double)found[i] - want[i]) <= most ? most : fabs((double)found[i] - want[i]);
    return most / scale;
}

static void check(const struct ood_kernels *kernels, const struct ood_winograd_shape *s, const char *what, const float *found,
                  const double *want, size_t n, double scale)
{
    if (!(error_of(found, want, n, scale) <= MOST_ERROR && largest(found, want, n, scale) <= MOST_SINGLE))
        fail_msg("%s: %zu x %zux%zux%zu to %zu, pads %zu %zu %zu %zu: %s: RMS error %.3g, largest %.3g", kernels->isa, s->batch,
                 s->channels, s->height, s->width, s->out_channels, s->pad_top, s->pad_left, s->pad_bottom, s->pad_right, what,
                 error_of(found, want, n, scale), largest(found, want, n, scale));
}

static void check_case(const struct ood_winograd_shape *s, bool at_end, struct ood_random *random)
{
    struct ood_error err = { 0 };
    struct guarded source = random_floats(source_floats(s), at_end, random, 1), gradient = random_floats(target_floats(s), at_end, random, 1);
    struct guarded weights = random_floats(weights_floats(s), true, random, 1), before = random_floats(weights_floats(s), true, random, 1);
    double *data = ood_new_array(double, source_floats(s), &err), *dw = ood_new_array(double, weights_floats(s), &err);
    assert_true(data != NULL && dw != NULL);
    direct(s, source.at, weights.at, gradient.at, data, dw);
    for_each_version(kernels) {
        struct guarded found = guard(source_floats(s), at_end), found_weights = guard(weights_floats(s), at_end);
        run_data(kernels, s, weights.at, gradient.at, found.at);
        check(kernels, s, "data", found.at, data, source_floats(s), sqrt(9.0 * (double)s->out_channels));
        const double sum = sqrt((double)(s->batch * rows_of(s) * columns_of(s)));
        run_weights(kernels, s, source.at, gradient.at, found_weights.at, false);
        check(kernels, s, "weights", found_weights.at, dw, weights_floats(s), sum);
        struct guarded added = guard(weights_floats(s), true);
        memcpy(added.at, before.at, weights_floats(s) * sizeof(float));
        run_weights(kernels, s, source.at, gradient.at, added.at, true);
        for (size_t i = 0; i < weights_floats(s); i++)
            assert_true(added.at[i] == before.at[i] + found_weights.at[i]);
        unguard(&found);
        unguard(&found_weights);
        unguard(&added);
    }
    ood_free(data);
    ood_free(dw);
    unguard(&source);
    unguard(&gradient);
    unguard(&weights);
    unguard(&before);
}

/* Maps 1 to 17 wide and high, all 81 paddings, 1 to 70 channels, batches 1 to 3: each size in several of the others' company. */
static void every_shape_is_right(void **state)
{
    (void)state;
    struct ood_random random;
    ood_random_seed(&random, 14);
    size_t checked = 0;
    for (size_t i = 0; i < 17 * 10; i++) {
        const size_t pads = i % 81;
        const struct ood_winograd_shape s = {
            .batch = 1 + i % 3, .width = 1 + i % 17, .height = 1 + (i / 17 * 5 + i * 3) % 17,
            .channels = 1 + i * 11 % 70, .out_channels = 1 + (i * 29 + 3) % 70,
            .pad_top = pads % 3, .pad_left = pads / 3 % 3, .pad_bottom = pads / 9 % 3, .pad_right = pads / 27
        };
        if (s.height + s.pad_top + s.pad_bottom < 3 || s.width + s.pad_left + s.pad_right < 3)
            continue;
        check_case(&s, i % 2 == 0, &random);
        checked++;
    }
    assert_true(checked > 120);
    for (size_t channels = 1; channels <= 70; channels++)
        check_case(&(struct ood_winograd_shape){ 1, channels, 6, 5, 71 - channels, 1, 1, 1, 1, 0, 0 }, true, &random);
    check_case(&(struct ood_winograd_shape){ 9, 32, 8, 8, 32, 1, 1, 1, 1, 0, 0 }, true, &random);   /* several blocks */
}

/* ---- error ---- */

/* Both gradients of a 128-channel layer against direct float32's: 8 pictures, so that blocks are summed. */
static void error_is_bounded(void **state)
{
    (void)state;
    struct ood_error err = { 0 };
    const struct ood_winograd_shape s = { 8, 128, 8, 8, 128, 1, 1, 1, 1, 0, 0 };
    const size_t in = source_floats(&s), w = weights_floats(&s);
    struct ood_random random;
    ood_random_seed(&random, 129);
    struct guarded source = random_floats(in, true, &random, 1), gradient = random_floats(in, true, &random, 1);
    struct guarded weights = random_floats(w, true, &random, 1);
    double *data = ood_new_array(double, in, &err), *dw = ood_new_array(double, w, &err);
    float *found = ood_new_array(float, in > w ? in : w, &err), *single = ood_new_array(float, w, &err);
    assert_true(data != NULL && dw != NULL && found != NULL && single != NULL);
    direct(&s, source.at, weights.at, gradient.at, data, dw);
    direct_single(&s, source.at, gradient.at, single);
    const double theirs = error_of(single, dw, w, sqrt(512.0));
    for_each_version(kernels) {
        run_data(kernels, &s, weights.at, gradient.at, found);
        const double data_error = error_of(found, data, in, sqrt(9.0 * 128));
        run_weights(kernels, &s, source.at, gradient.at, found, false);
        const double ours = error_of(found, dw, w, sqrt(512.0));
        print_message("%s: RMS error, relative to the result's RMS: data %.2g, weights %.2g (direct float32 %.2g)\n", kernels->isa,
                      data_error, ours, theirs);
        assert_true(data_error < 1.5e-6);
        assert_true(ours < 2e-6 && ours < 4 * theirs);
    }
    ood_free(data);
    ood_free(dw);
    ood_free(found);
    ood_free(single);
    unguard(&source);
    unguard(&gradient);
    unguard(&weights);
}

/* ---- bits ---- */

struct job {
    const struct ood_kernels *kernels;
    const struct ood_winograd_shape *shape;
    const float *source, *weights, *gradient;
    float *data, *weights_gradient;
};

static void *run_job(void *context)
{
    struct job *job = context;
    run_data(job->kernels, job->shape, job->weights, job->gradient, job->data);
    run_weights(job->kernels, job->shape, job->source, job->gradient, job->weights_gradient, false);
    return NULL;
}

static const struct ood_winograd_shape bit_shapes[] = {
    { 8, 32, 16, 16, 32, 1, 1, 1, 1, 0, 0 }, { 3, 128, 8, 8, 64, 1, 1, 1, 1, 0, 0 }, { 5, 19, 7, 7, 37, 0, 2, 1, 0, 0, 0 }, { 2, 5, 3, 11, 70, 2, 1, 0, 2, 0, 0 },
};

/* The data's also where a picture is alone. */
static void check_picture(const struct job *job, const float *data)
{
    struct ood_winograd_shape one = *job->shape;
    one.batch = 1;
    const size_t last = job->shape->batch - 1;
    struct guarded alone = guard(source_floats(&one), true);
    run_data(job->kernels, &one, job->weights, job->gradient + last * target_floats(&one), alone.at);
    assert_memory_equal(alone.at, data + last * source_floats(&one), source_floats(&one) * sizeof(float));
    unguard(&alone);
}

static void bits_depend_on_neither_thread_nor_run(void **state)
{
    (void)state;
    for_each_version(kernels)
        for (size_t i = 0; i < sizeof bit_shapes / sizeof bit_shapes[0]; i++) {
            const struct ood_winograd_shape *s = &bit_shapes[i];
            struct ood_random random;
            ood_random_seed(&random, 7 + i);
            struct guarded source = random_floats(source_floats(s), true, &random, 1), weights = random_floats(weights_floats(s), true, &random, 1);
            struct guarded gradient = random_floats(target_floats(s), true, &random, 1);
            struct guarded data[3], dw[3];
            struct job jobs[3];
            for (size_t run = 0; run < 3; run++) {
                data[run] = guard(source_floats(s), run % 2 == 0);
                dw[run] = guard(weights_floats(s), run % 2 == 0);
                jobs[run] = (struct job){ kernels, s, source.at, weights.at, gradient.at, data[run].at, dw[run].at };
            }
            run_job(&jobs[0]);
            pthread_t threads[2];
            for (size_t t = 0; t < 2; t++)
                assert_int_equal(pthread_create(&threads[t], NULL, run_job, &jobs[1 + t]), 0);
            for (size_t t = 0; t < 2; t++)
                assert_int_equal(pthread_join(threads[t], NULL), 0);
            for (size_t again = 0; again < 3; again++) {
                for (size_t run = 1; run < 3; run++) {
                    assert_memory_equal(data[0].at, data[run].at, source_floats(s) * sizeof(float));
                    assert_memory_equal(dw[0].at, dw[run].at, weights_floats(s) * sizeof(float));
                }
                run_job(&jobs[1 + again % 2]);
            }
            check_picture(&jobs[0], data[0].at);
            for (size_t run = 0; run < 3; run++) {
                unguard(&data[run]);
                unguard(&dw[run]);
            }
            unguard(&source);
            unguard(&weights);
            unguard(&gradient);
        }
}

/* ---- what must not be hidden, what must be refused ---- */

static void a_nan_shows(void **state)
{
    (void)state;
    const struct ood_winograd_shape s = { 2, 20, 9, 9, 20, 1, 1, 1, 1, 0, 0 };
    static float source[2 * 9 * 9 * 20], gradient[2 * 9 * 9 * 20], dw[20 * 20 * 9];
    for_each_version(kernels)
        for (size_t which = 0; which < 2; which++) {
            for (size_t i = 0; i < sizeof source / sizeof *source; i++)
                source[i] = gradient[i] = (float)(i % 13) * 0.1f;
            (which == 0 ? source : gradient)[(4 * 9 + 6) * 20 + 19] = NAN;
            run_weights(kernels, &s, source, gradient, dw, false);
            for (size_t i = 0; i < sizeof dw / sizeof *dw; i++)
                assert_int_equal(isnan(dw[i]), which == 0 ? i / 9 % 20 == 19 : i / 180 == 19);
        }
}

static void an_empty_batch_is_a_sum_of_nothing(void **state)
{
    (void)state;
    const struct ood_winograd_shape s = { 0, 3, 9, 9, 2, 1, 1, 1, 1, 0, 0 };
    for_each_version(kernels) {
        float dw[54], none[1];
        for (size_t i = 0; i < 54; i++)
            dw[i] = (float)i;
        run_weights(kernels, &s, none, none, dw, true);
        for (size_t i = 0; i < 54; i++)
            assert_true(dw[i] == (float)i);
        run_weights(kernels, &s, none, none, dw, false);
        for (size_t i = 0; i < 54; i++)
            assert_true(dw[i] == 0);
    }
}

static void sizes_that_overflow_are_zero(void **state)
{
    (void)state;
    const size_t huge = SIZE_MAX / 4;
    const struct ood_winograd_shape shapes[] = {
        { 1, 16, 0, 8, 16, 1, 1, 1, 1, 0, 0 }, { 1, 16, 1, 8, 16, 0, 1, 1, 1, 0, 0 },      { huge, 16, huge, huge, 16, 1, 1, 1, 1, 0, 0 },
        { 1, huge, 8, 8, huge, 1, 1, 1, 1, 0, 0 }, { 1, 16, SIZE_MAX, 8, 16, 1, 1, 1, 1, 0, 0 }, { 1, SIZE_MAX / 64, 8, 8, 16, 1, 1, 1, 1, 0, 0 },
        { 1, (size_t)1 << 31, 8, 8, (size_t)1 << 31, 1, 1, 1, 1, 0, 0 }, { 1, 0, 8, 8, 16, 1, 1, 1, 1, 0, 0 },
    };
    for_each_version(kernels)
        for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
            assert_int_equal(kernels->winograd_gradient_scratch_floats(&shapes[i]), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_shape_is_right),
        cmocka_unit_test(error_is_bounded),
        cmocka_unit_test(bits_depend_on_neither_thread_nor_run),
        cmocka_unit_test(a_nan_shows),
        cmocka_unit_test(an_empty_batch_is_a_sum_of_nothing),
        cmocka_unit_test(sizes_that_overflow_are_zero),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
