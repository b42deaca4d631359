/* The depthwise and the stem kernel, each version this CPU runs, against plain loops in double; nothing outside of the arrays is touched; a
 * picture's bits are the same alone and in a batch. */
#include "guarded.h"

#include <math.h>

#include "base/random.h"
#include "kernel/depthwise.h"
#include "kernel/stem.h"

/* What follows the sums: nothing, or one step. */
enum after { NOTHING, CLIP, RELU, LEAKY };
static const struct ood_unary_step steps[] = {
    [CLIP] = { OOD_UNARY_CLIP, 0, 6 }, [RELU] = { OOD_UNARY_RELU, 0, 0 }, [LEAKY] = { OOD_UNARY_LEAKY_RELU, 0.25f, 0 }
};

static void fill(struct ood_random *random, float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] = (float)ood_random_normal(random);
}

static size_t outputs_of(size_t size, size_t before, size_t behind, size_t window, size_t stride)
{
    return (size + before + behind - window) / stride + 1;
}

/* Σ |terms| bounds the rounding. */
struct sum { double value, size; };

static void add(struct sum *sum, double a, double b)
{
    sum->value += a * b;
    sum->size += fabs(a * b);
}

static void check_sum(struct sum sum, enum after after, float found)
{
    const double value = after == CLIP ? fmin(fmax(sum.value, 0), 6) : after == RELU ? fmax(sum.value, 0)
                       : after == LEAKY && sum.value < 0 ? sum.value / 4 : sum.value;
    if (!(fabs((double)found - value) <= 1e-6 * sum.size + 1e-30))
        fail_msg("%.9g, expected %.9g", (double)found, value);
}

/* ---- depthwise ---- */

struct depthwise_case { size_t side, stride, height, width, top, left, bottom, right, channels, pixel; bool bias; enum after after; size_t depth; };

static const struct depthwise_case depthwise_cases[] = {
    /* every width of a tile, borders on both sides */
    { 3, 1, 5, 1, 1, 1, 1, 1, 16, 16, true, NOTHING, 1 },      { 3, 1, 4, 2, 1, 1, 1, 1, 17, 17, true, CLIP, 1 },
    { 3, 1, 3, 3, 1, 1, 1, 1, 24, 24, false, NOTHING, 1 },     { 3, 1, 3, 4, 1, 1, 1, 1, 31, 31, true, CLIP, 1 },
    { 3, 1, 6, 5, 1, 1, 1, 1, 16, 20, true, CLIP, 1 },         { 3, 1, 2, 6, 1, 1, 1, 1, 58, 58, true, NOTHING, 1 },
    { 3, 1, 1, 7, 1, 1, 1, 1, 32, 32, true, CLIP, 1 },         { 3, 1, 3, 8, 1, 1, 1, 1, 48, 48, true, CLIP, 1 },
    { 3, 1, 3, 9, 1, 1, 1, 1, 16, 16, true, CLIP, 1 },         { 3, 1, 4, 22, 1, 1, 1, 1, 40, 48, true, CLIP, 1 },
    { 3, 1, 7, 44, 0, 0, 0, 0, 16, 16, false, CLIP, 1 },       { 3, 1, 3, 19, 2, 2, 2, 2, 16, 16, true, CLIP, 1 },
    { 3, 2, 8, 9, 1, 1, 1, 1, 24, 24, true, CLIP, 1 },         { 3, 2, 7, 16, 0, 0, 1, 1, 16, 16, true, CLIP, 1 },
    { 3, 2, 5, 33, 1, 1, 0, 0, 20, 20, true, NOTHING, 1 },     { 3, 2, 44, 44, 1, 1, 1, 1, 16, 16, true, CLIP, 1 },
    { 5, 1, 3, 2, 2, 2, 2, 2, 16, 16, true, CLIP, 1 },         { 5, 1, 7, 7, 2, 2, 2, 2, 33, 33, true, CLIP, 1 },
    { 5, 1, 9, 14, 2, 2, 2, 2, 16, 16, false, CLIP, 1 },       { 5, 2, 14, 15, 2, 2, 2, 2, 16, 16, true, CLIP, 1 },
    { 5, 2, 11, 28, 1, 1, 2, 2, 47, 47, true, CLIP, 1 },       { 7, 1, 7, 7, 3, 3, 3, 3, 16, 16, true, NOTHING, 1 },
    { 7, 1, 9, 20, 3, 3, 3, 3, 19, 19, true, CLIP, 1 },
    /* groups */
    { 3, 1, 5, 1, 1, 1, 1, 1, 16, 16, true, NOTHING, 4 },      { 3, 1, 4, 12, 1, 1, 1, 1, 32, 32, true, CLIP, 4 },
    { 3, 1, 3, 14, 2, 0, 0, 2, 48, 64, false, CLIP, 8 },       { 3, 1, 7, 7, 1, 1, 1, 1, 64, 64, true, NOTHING, 16 },
    { 3, 2, 9, 23, 1, 1, 1, 1, 32, 32, true, CLIP, 4 },        { 3, 2, 8, 9, 0, 1, 1, 0, 16, 16, true, NOTHING, 8 },
    { 3, 2, 5, 33, 1, 1, 0, 0, 32, 48, false, NOTHING, 16 },
};

static struct sum depthwise_sum(const struct depthwise_case *c, const float *x, const float *w, const float *bias, size_t y, size_t column, size_t channel)
{
    struct sum sum = { 0 };
    if (c->bias)
        add(&sum, (double)bias[channel], 1);
    const size_t depth = c->depth, first = channel / depth * depth;
    for (size_t i = 0; i < c->side; i++)
        for (size_t j = 0; j < c->side; j++) {
            const size_t row = y * c->stride + i, at = column * c->stride + j;
            if (row < c->top || row - c->top >= c->height || at < c->left || at - c->left >= c->width)
                continue;
            for (size_t member = 0; member < depth; member++)
                add(&sum, (double)x[((row - c->top) * c->width + at - c->left) * c->pixel + first + member],
                    (double)w[((i * depth + member) * c->side + j) * c->pixel + channel]);
        }
    return sum;
}

/* Arrays end (or begin) at a page that must not be touched; the floats between `channels` and `pixel` stay as they are. */
static void check_depthwise(const struct ood_kernels *kernels, const struct depthwise_case *c, bool at_end)
{
    enum { BATCH = 2 };
    struct ood_random random;
    ood_random_seed(&random, 5);
    struct ood_depthwise_shape shape = {
        .batch = BATCH, .height = c->height, .width = c->width, .channels = c->channels, .pixel = c->pixel, .depth = c->depth, .side = c->side, .stride = c->stride,
        .pad_top = c->top, .pad_left = c->left, .out_height = outputs_of(c->height, c->top, c->bottom, c->side, c->stride),
        .out_width = outputs_of(c->width, c->left, c->right, c->side, c->stride)
    };
    if (!kernels->depthwise_serves(&shape))
        fail_msg("%s does not serve %zux%zu of %zu channels", kernels->isa, c->side, c->side, c->channels);
    const size_t gap = c->pixel - c->channels, in = c->height * c->width * c->pixel, out = shape.out_height * shape.out_width * c->pixel;
    const size_t taps = c->side * c->side * c->depth;
    struct guarded x = guard(BATCH * in - gap, at_end), w = guard(taps * c->pixel - gap, at_end), b = guard(c->channels, at_end);
    struct guarded y = guard(BATCH * out - gap, at_end), one = guard(out - gap, at_end);
    fill(&random, x.at, BATCH * in - gap);
    fill(&random, w.at, taps * c->pixel - gap);
    fill(&random, b.at, c->channels);
    struct ood_depthwise_call call = { .shape = &shape, .source = x.at, .weights = w.at, .bias = c->bias ? b.at : NULL, .steps = &steps[c->after],
                                       .step_count = c->after != NOTHING, .destination = y.at };
    kernels->depthwise(&call);
    for (size_t n = 0; n < BATCH; n++)
        for (size_t i = 0; i < shape.out_height * shape.out_width; i++)
            for (size_t k = 0; k < c->pixel; k++) {
                if (n * out + i * c->pixel + k >= BATCH * out - gap)
                    continue;
                const float found = y.at[n * out + i * c->pixel + k];
                if (k >= c->channels)
                    assert_true(isnan(found));
                else
                    check_sum(depthwise_sum(c, x.at + n * in, w.at, b.at, i / shape.out_width, i % shape.out_width, k), c->after, found);
            }
    shape.batch = 1;
    call.destination = one.at;
    call.source = x.at + in;
    kernels->depthwise(&call);
    assert_memory_equal(one.at, y.at + out, (out - gap) * sizeof(float));
    unguard(&x), unguard(&w), unguard(&b), unguard(&y), unguard(&one);
}

static void depthwise_is_right(void **state)
{
    (void)state;
    for_each_version(kernels) {
        for (size_t i = 0; i < sizeof depthwise_cases / sizeof depthwise_cases[0]; i++) {
            check_depthwise(kernels, &depthwise_cases[i], false);
            check_depthwise(kernels, &depthwise_cases[i], true);
        }
    }
}

/* Tiles of each width in one, two and more columns and rows, of half a vector behind whole ones, whose pixels go in pairs. */
static void depthwise_is_right_of_each_width(void **state)
{
    (void)state;
    for_each_version(kernels)
        for (size_t width = 1; width <= 50; width++)
            for (size_t stride = 1; stride <= 2; stride++)
                for (size_t side = 3; side <= 5; side += 2) {
                    const size_t pad = side / 2, channels = width % 4 == 0 ? 20 : 24;
                    const struct depthwise_case c = {
                        side, stride, 1 + width % 9, width, pad, pad, pad, pad, channels, channels + width % 3, width % 5 != 0,
                        width % 7 == 0 ? LEAKY : RELU, 1
                    };
                    check_depthwise(kernels, &c, width % 2 == 0);
                }
}

/* More channels and columns than are done together. */
static void depthwise_is_right_of_large_rows(void **state)
{
    (void)state;
    for_each_version(kernels)
        for (size_t stride = 1; stride <= 2; stride++) {
            const struct depthwise_case c = { 3, stride, 6, 50, 1, 1, 1, 1, 152, 152, true, RELU, 1 };
            const struct depthwise_case wide = { 3, stride, 6, 200, 1, 1, 1, 1, 40, 41, true, CLIP, 1 };
            const struct depthwise_case grouped = { 3, stride, 6, 30, 1, 1, 1, 1, 144, 144, true, RELU, 16 };
            check_depthwise(kernels, &c, true);
            check_depthwise(kernels, &wide, true);
            check_depthwise(kernels, &grouped, false);
        }
}

static void depthwise_serves_what_it_has_tiles_for(void **state)
{
    (void)state;
    for_each_version(kernels) {
        struct ood_depthwise_shape shape = { .channels = 16, .depth = 1, .side = 3, .stride = 1 };
        assert_true(kernels->depthwise_serves(&shape));
        const struct { size_t channels, side, stride, depth; } none[] = {
            { 3, 3, 1, 1 }, { 16, 2, 1, 1 }, { 16, 4, 1, 1 }, { 16, 3, 3, 1 }, { 16, 7, 2, 1 }, { 16, 3, 0, 1 }, { 16, 9, 1, 1 },
            { 24, 3, 1, 4 }, { 16, 3, 1, 2 }, { 16, 5, 1, 4 }, { 16, 3, 3, 4 }, { 64, 3, 1, 32 }, { 48, 3, 1, 12 },
        };
        for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) {
            shape = (struct ood_depthwise_shape){ .channels = none[i].channels, .depth = none[i].depth, .side = none[i].side,
                                                    .stride = none[i].stride };
            assert_false(kernels->depthwise_serves(&shape));
        }
    }
}

/* ---- stem ---- */

struct stem_case { size_t rows, columns, stride, height, width, top, left, bottom, right, channels, out_channels, pixel; bool bias; enum after after; };

static const struct stem_case stem_cases[] = {
    { 3, 3, 2, 9, 9, 1, 1, 1, 1, 3, 24, 24, true, CLIP },        { 3, 3, 2, 8, 65, 0, 0, 1, 1, 3, 32, 32, true, CLIP },
    { 3, 3, 1, 32, 32, 1, 1, 1, 1, 3, 16, 16, true, NOTHING },     { 3, 3, 1, 3, 13, 1, 1, 1, 1, 1, 5, 7, false, CLIP },
    { 7, 7, 2, 20, 41, 3, 3, 3, 3, 3, 64, 64, true, CLIP },      { 1, 1, 1, 4, 6, 0, 0, 0, 0, 4, 40, 40, true, NOTHING },
    { 5, 3, 1, 6, 9, 2, 1, 2, 1, 2, 33, 50, true, CLIP },        { 3, 5, 2, 7, 4, 1, 2, 1, 2, 3, 8, 8, true, CLIP },
    { 5, 5, 1, 2, 2, 2, 2, 2, 2, 3, 17, 17, true, CLIP },        { 3, 3, 1, 1, 1, 4, 4, 4, 4, 3, 16, 16, true, CLIP },
    { 2, 2, 2, 10, 50, 0, 0, 0, 0, 3, 12, 12, false, NOTHING },    { 3, 3, 1, 4, 8, 0, 0, 0, 0, 3, 48, 48, true, CLIP },
    { 3, 3, 1, 4, 7, 1, 1, 1, 1, 3, 9, 9, true, CLIP },          { 3, 3, 2, 4, 19, 1, 1, 1, 1, 3, 64, 70, true, CLIP },
    /* one and a half vectors of the widest kind: each width of a tile, borders, strides */
    { 3, 3, 2, 5, 34, 1, 1, 1, 1, 3, 24, 24, true, RELU },       { 3, 3, 2, 4, 16, 0, 0, 1, 1, 3, 24, 24, false, CLIP },
    { 3, 3, 1, 3, 16, 1, 1, 1, 1, 3, 24, 31, true, RELU },       { 3, 3, 1, 3, 10, 1, 1, 1, 1, 4, 56, 56, true, NOTHING },
    { 7, 5, 2, 9, 75, 3, 2, 3, 2, 1, 56, 60, false, RELU },      { 1, 1, 1, 2, 17, 0, 0, 0, 0, 3, 24, 24, true, CLIP },
    { 3, 3, 2, 6, 3, 1, 1, 1, 1, 3, 24, 24, true, RELU },        { 3, 3, 1, 2, 40, 1, 1, 1, 1, 3, 12, 12, true, RELU },
};

static struct sum stem_sum(const struct stem_case *c, const float *x, const float *w, const float *bias, size_t y, size_t column, size_t out)
{
    struct sum sum = { 0 };
    if (c->bias)
        add(&sum, (double)bias[out], 1);
    for (size_t k = 0; k < c->channels; k++)
        for (size_t i = 0; i < c->rows; i++)
            for (size_t j = 0; j < c->columns; j++) {
                const size_t row = y * c->stride + i, at = column * c->stride + j;
                if (row >= c->top && row - c->top < c->height && at >= c->left && at - c->left < c->width)
                    add(&sum, (double)x[(k * c->height + row - c->top) * c->width + at - c->left],
                        (double)w[((out * c->channels + k) * c->rows + i) * c->columns + j]);
            }
    return sum;
}

static void check_stem(const struct ood_kernels *kernels, const struct stem_case *c, bool at_end)
{
    enum { BATCH = 2 };
    struct ood_random random;
    ood_random_seed(&random, 6);
    struct ood_stem_shape shape = {
        .batch = BATCH, .channels = c->channels, .height = c->height, .width = c->width, .out_channels = c->out_channels, .target_pixel = c->pixel,
        .window = { c->rows, c->columns }, .stride = c->stride, .pad_top = c->top, .pad_left = c->left,
        .out_height = outputs_of(c->height, c->top, c->bottom, c->rows, c->stride),
        .out_width = outputs_of(c->width, c->left, c->right, c->columns, c->stride)
    };
    const size_t gap = c->pixel - c->out_channels, in = c->channels * c->height * c->width, out = shape.out_height * shape.out_width * c->pixel;
    const size_t weights = c->out_channels * c->channels * c->rows * c->columns, floats = kernels->stem_weights_floats(&shape);
    assert_true(floats >= weights);
    struct guarded x = guard(BATCH * in, at_end), w = guard(weights, at_end), b = guard(c->out_channels, at_end), packed = guard(floats, false);
    struct guarded y = guard(BATCH * out - gap, at_end), one = guard(out - gap, at_end);
    fill(&random, x.at, BATCH * in);
    fill(&random, w.at, weights);
    fill(&random, b.at, c->out_channels);
    kernels->stem_weights(packed.at, w.at, &shape);
    struct ood_stem_call call = { .shape = &shape, .source = x.at, .weights = packed.at, .bias = c->bias ? b.at : NULL, .steps = &steps[c->after],
                                  .step_count = c->after != NOTHING, .destination = y.at };
    kernels->stem(&call);
    for (size_t n = 0; n < BATCH; n++)
        for (size_t i = 0; i < shape.out_height * shape.out_width; i++)
            for (size_t k = 0; k < c->pixel && n * out + i * c->pixel + k < BATCH * out - gap; k++) {
                const float found = y.at[n * out + i * c->pixel + k];
                if (k >= c->out_channels)
                    assert_true(isnan(found));
                else
                    check_sum(stem_sum(c, x.at + n * in, w.at, b.at, i / shape.out_width, i % shape.out_width, k), c->after, found);
            }
    shape.batch = 1;
    call.destination = one.at;
    call.source = x.at + in;
    kernels->stem(&call);
    assert_memory_equal(one.at, y.at + out, (out - gap) * sizeof(float));
    unguard(&x), unguard(&w), unguard(&b), unguard(&packed), unguard(&y), unguard(&one);
}

static void stem_is_right(void **state)
{
    (void)state;
    for_each_version(kernels) {
        for (size_t i = 0; i < sizeof stem_cases / sizeof stem_cases[0]; i++) {
            check_stem(kernels, &stem_cases[i], false);
            check_stem(kernels, &stem_cases[i], true);
        }
    }
}

/* ---- max pool ---- */

/* Windows of `window` columns, the first of which begins at column -pad; the last may go past the end. */
static void check_max_columns(const struct ood_kernels *kernels, size_t channels, size_t width, size_t window, size_t stride, size_t pad)
{
    const size_t inside = (width + pad - window) / stride + 1, out_width = inside * stride < width + pad ? inside + 1 : inside;
    const struct ood_max_columns shape = { width, out_width, channels, window, stride, pad };
    struct guarded row = guard(width * channels, channels % 2 == 0), y = guard(out_width * channels, channels % 2 != 0);
    struct ood_random random;
    ood_random_seed(&random, channels);
    fill(&random, row.at, width * channels);
    kernels->max_columns(y.at, row.at, &shape);
    for (size_t x = 0; x < out_width; x++)
        for (size_t c = 0; c < channels; c++) {
            float most = -INFINITY;
            for (size_t k = x * stride; k < x * stride + window; k++)
                if (k >= pad && k - pad < width)
                    most = fmaxf(most, row.at[(k - pad) * channels + c]);
            if (y.at[x * channels + c] != most)
                fail_msg("%s, %zu channels, %zu columns, window %zu, stride %zu, pad %zu: output %zu of channel %zu is %.9g, expected %.9g",
                         kernels->isa, channels, width, window, stride, pad, x, c, (double)y.at[x * channels + c], (double)most);
        }
    unguard(&row), unguard(&y);
}

static void max_columns_are_right(void **state)
{
    (void)state;
    for_each_version(kernels)
        for (size_t channels = 1; channels <= 72; channels++)
            for (size_t width = 3; width <= 12; width++)
                for (size_t pad = 0; pad <= 2; pad++) {
                    check_max_columns(kernels, channels, width, 3, 2, pad);
                    check_max_columns(kernels, channels, width, 3, 1, pad);
                    check_max_columns(kernels, channels, width, 2, 1 + width % 3, pad % 2);
                }
}

static void max_rows_are_right(void **state)
{
    (void)state;
    for_each_version(kernels)
        for (size_t n = 1; n <= 70; n++)
            for (size_t count = 1; count <= 3; count++) {
                struct guarded row[3], y = guard(n, n % 2 == 0);
                const float *rows[3];
                struct ood_random random;
                ood_random_seed(&random, n);
                for (size_t r = 0; r < 3; r++) {
                    row[r] = guard(n, r % 2 == 0);
                    fill(&random, row[r].at, n);
                    rows[r] = row[r].at;
                }
                kernels->max_rows(y.at, rows, count, n);
                for (size_t i = 0; i < n; i++)
                    assert_true(y.at[i] == fmaxf(rows[0][i], fmaxf(rows[count > 1][i], rows[count - 1][i])));
                for (size_t r = 0; r < 3; r++)
                    unguard(&row[r]);
                unguard(&y);
            }
}

static void stem_refuses_sizes_that_overflow(void **state)
{
    (void)state;
    for_each_version(kernels) {
        struct ood_stem_shape shape = { .channels = 3, .out_channels = SIZE_MAX / 8, .window = { 3, 3 } };
        assert_int_equal(kernels->stem_weights_floats(&shape), 0);
        shape = (struct ood_stem_shape){ .channels = SIZE_MAX / 16, .out_channels = 64, .window = { 3, 3 } };
        assert_int_equal(kernels->stem_weights_floats(&shape), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(depthwise_is_right),
        cmocka_unit_test(depthwise_is_right_of_each_width),
        cmocka_unit_test(depthwise_is_right_of_large_rows),
        cmocka_unit_test(depthwise_serves_what_it_has_tiles_for),
        cmocka_unit_test(stem_is_right),
        cmocka_unit_test(stem_refuses_sizes_that_overflow),
        cmocka_unit_test(max_columns_are_right),
        cmocka_unit_test(max_rows_are_right),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
