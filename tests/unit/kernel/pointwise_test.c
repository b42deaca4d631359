/* The pointwise kernel, each version this CPU runs: the sums to the bit (bias first, then the channels in order, one rounding each) and against
 * double; steps, a sum, pixels that fill no tile; nothing outside of the arrays is touched; a pixel's bits do not depend on its place. */
#include "guarded.h"

#include <math.h>

#include "base/random.h"
#include "kernel/pointwise.h"

enum { LEAST = OOD_POINTWISE_PIXELS };

/* Pixels from which on these channels are served; 0: never. */
static size_t least_pixels(const struct ood_kernels *kernels, size_t channels, size_t out_channels)
{
    for (size_t pixels = LEAST; pixels <= 128; pixels++)
        if (kernels->pointwise_serves(&(struct ood_pointwise_shape){ pixels, channels, out_channels }))
            return pixels;
    return 0;
}

static void fill(struct ood_random *random, float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] = (float)ood_random_normal(random);
}

/* What is done to the sums. */
struct ending { const char *name; struct ood_unary_step steps[2]; size_t step_count; bool sum, in_place; struct ood_unary_step after; size_t after_count; };

static const struct ending endings[] = {
    { "nothing", { { 0 } }, 0, false, false, { 0 }, 0 },
    { "relu", { { OOD_UNARY_RELU, 0, 0 } }, 1, false, false, { 0 }, 0 },
    { "clip", { { OOD_UNARY_CLIP, -0.5f, 6 } }, 1, false, false, { 0 }, 0 },
    { "hard swish", { { OOD_UNARY_HARD_SWISH, 0, 0 } }, 1, false, false, { 0 }, 0 },
    { "relu, tanh", { { OOD_UNARY_RELU, 0, 0 }, { OOD_UNARY_TANH, 0, 0 } }, 2, false, false, { 0 }, 0 },
    { "sum", { { 0 } }, 0, true, false, { 0 }, 0 },
    { "hard swish, sum, relu", { { OOD_UNARY_HARD_SWISH, 0, 0 } }, 1, true, false, { OOD_UNARY_RELU, 0, 0 }, 1 },
    { "relu6, sum in place, clip", { { OOD_UNARY_CLIP, 0, 6 } }, 1, true, true, { OOD_UNARY_CLIP, 0.25f, 2 }, 1 },
    { "sum in place, relu", { { 0 } }, 0, true, true, { OOD_UNARY_RELU, 0, 0 }, 1 },
    { "clip, sum in place, leaky relu", { { OOD_UNARY_CLIP, -1, 1 } }, 1, true, true, { OOD_UNARY_LEAKY_RELU, 0.1f, 0 }, 1 },
};
enum { NOTHING, RELU };
#define ENDINGS (sizeof endings / sizeof endings[0])

struct layer {
    const struct ood_kernels *kernels;
    struct ood_pointwise_shape shape;
    bool bias, at_end;
    struct guarded x, w, b, packed, sum, y;
};

static struct layer layer_new(const struct ood_kernels *kernels, size_t pixels, size_t channels, size_t out_channels, bool bias, bool at_end)
{
    struct layer l = { .kernels = kernels, .shape = { pixels, channels, out_channels }, .bias = bias, .at_end = at_end };
    struct ood_random random;
    ood_random_seed(&random, channels * 1000 + out_channels);
    assert_true(kernels->pointwise_serves(&l.shape));
    l.x = guard(pixels * channels, at_end);
    l.w = guard(out_channels * channels, at_end);
    l.b = guard(out_channels, at_end);
    l.packed = guard(kernels->pointwise_weights_floats(&l.shape), at_end);
    l.sum = guard(pixels * out_channels, at_end);
    l.y = guard(pixels * out_channels, at_end);
    fill(&random, l.x.at, pixels * channels);
    fill(&random, l.w.at, out_channels * channels);
    fill(&random, l.b.at, out_channels);
    fill(&random, l.sum.at, pixels * out_channels);
    kernels->pointwise_weights(l.packed.at, l.w.at, bias ? l.b.at : NULL, &l.shape);
    return l;
}

static void layer_free(struct layer *l)
{
    unguard(&l->x), unguard(&l->w), unguard(&l->b), unguard(&l->packed), unguard(&l->sum), unguard(&l->y);
}

static void run(struct layer *l, const struct ending *ending)
{
    const size_t bytes = l->shape.pixels * l->shape.out_channels * sizeof(float);
    if (ending->in_place)
        memcpy(l->y.at, l->sum.at, bytes);
    else
        memset(l->y.at, 0xff, bytes);
    const struct ood_pointwise_call call = {
        .shape = &l->shape, .source = l->x.at, .weights = l->packed.at, .steps = ending->steps, .step_count = ending->step_count,
        .sum = ending->in_place ? l->y.at : ending->sum ? l->sum.at : NULL, .after = &ending->after, .after_count = ending->after_count,
        .destination = l->y.at
    };
    l->kernels->pointwise(&call);
}

/* One sum by its definition: as the kernel must round it, and in double with Σ |terms|, which bounds the rounding. */
struct product { float value; double precise, size; };

static struct product product_of(const struct layer *l, size_t pixel, size_t out)
{
    struct product p = { l->bias ? l->b.at[out] : 0, l->bias ? (double)l->b.at[out] : 0, l->bias ? fabs((double)l->b.at[out]) : 0 };
    for (size_t k = 0; k < l->shape.channels; k++) {
        const float x = l->x.at[pixel * l->shape.channels + k], w = l->w.at[out * l->shape.channels + k];
        p.value = fmaf(x, w, p.value);
        p.precise += (double)x * (double)w;
        p.size += fabs((double)x * (double)w);
    }
    return p;
}

static void check_layer(struct layer *l, const struct ending *ending)
{
    const size_t n = l->shape.pixels * l->shape.out_channels;
    float *want = test_malloc(n * sizeof *want);
    run(l, ending);
    for (size_t i = 0; i < n; i++) {
        const struct product p = product_of(l, i / l->shape.out_channels, i % l->shape.out_channels);
        if (!(fabs((double)p.value - p.precise) <= 1e-6 * p.size))
            fail_msg("the definition: %.9g, expected %.9g", (double)p.value, p.precise);
        want[i] = p.value;
    }
    l->kernels->unary(want, want, n, ending->steps, ending->step_count);
    for (size_t i = 0; ending->sum && i < n; i++)
        want[i] += l->sum.at[i];
    l->kernels->unary(want, want, n, &ending->after, ending->after_count);
    for (size_t i = 0; i < n; i++)
        if (memcmp(&l->y.at[i], &want[i], sizeof *want) != 0)
            fail_msg("%s, %zu to %zu channels, %s, pixel %zu of %zu, channel %zu: %.9g, expected %.9g", l->kernels->isa, l->shape.channels,
                     l->shape.out_channels, ending->name, i / l->shape.out_channels, l->shape.pixels, i % l->shape.out_channels, (double)l->y.at[i],
                     (double)want[i]);
    test_free(want);
}

static void check_shape(const struct ood_kernels *kernels, size_t pixels, size_t channels, size_t out_channels, const struct ending *ending, bool bias)
{
    for (size_t at_end = 0; at_end < 2; at_end++) {
        struct layer l = layer_new(kernels, pixels, channels, out_channels, bias, at_end);
        check_layer(&l, ending);
        layer_free(&l);
    }
}

static void channels_in_and_out(void **state)
{
    (void)state;
    for_each_version(kernels) {
        size_t served = 0;
        for (size_t out = 1; out <= 260; out++)
            for (size_t in = 1; in <= 400; in += in < 26 ? 1 : in < 64 ? 5 : 41) {
                const size_t least = least_pixels(kernels, in, out);
                if (least == 0)
                    continue;
                check_shape(kernels, least + in % 7, in, out, &endings[in % 2 == 0 ? NOTHING : RELU], in % 3 != 0);
                served++;
            }
        print_message("%s: %zu shapes served\n", kernels->isa, served);
    }
}

static const size_t outs[] = { 1, 2, 3, 4, 5, 6, 7, 8, 24, 40, 56, 72, 88, 104, 120, 32, 48, 64, 80, 112, 240 };
#define OUTS (sizeof outs / sizeof outs[0])

static void pixels_and_endings(void **state)
{
    (void)state;
    for_each_version(kernels) {
        for (size_t o = 0; o < OUTS; o++)
            for (size_t least = least_pixels(kernels, 12, outs[o]), pixels = least; least > 0 && pixels <= least + LEAST + 9; pixels++)
                for (size_t e = 0; e < ENDINGS; e++)
                    check_shape(kernels, pixels, 12, outs[o], &endings[e], (pixels + e) % 2 == 0);
    }
}

/* The same pixels from another one on, and as if each came first or last. */
static void bits_do_not_depend_on_the_place(void **state)
{
    (void)state;
    for_each_version(kernels) {
        for (size_t o = 0; o < OUTS; o++)
            for (size_t least = least_pixels(kernels, 24, outs[o]), from = 1; least > 0 && from < 20; from++) {
                const struct ood_pointwise_shape shape = { least + LEAST, 24, outs[o] };
                struct layer l = layer_new(kernels, shape.pixels, 24, outs[o], true, false);
                run(&l, &endings[RELU]);
                const struct ood_pointwise_shape rest = { shape.pixels - from, 24, outs[o] };
                float *again = test_malloc(rest.pixels * outs[o] * sizeof(float));
                const struct ood_pointwise_call call = { .shape = &rest, .source = l.x.at + from * 24, .weights = l.packed.at,
                                                         .steps = endings[RELU].steps, .step_count = 1, .destination = again };
                kernels->pointwise(&call);
                assert_memory_equal(again, l.y.at + from * outs[o], rest.pixels * outs[o] * sizeof(float));
                test_free(again);
                layer_free(&l);
            }
    }
}

static void nan_passes(void **state)
{
    (void)state;
    for_each_version(kernels) {
        for (size_t o = 0; o < OUTS; o++) {
            const size_t least = least_pixels(kernels, 8, outs[o]);
            const struct ood_pointwise_shape shape = { least + 1, 8, outs[o] };
            if (least == 0)
                continue;
            struct layer l = layer_new(kernels, shape.pixels, 8, outs[o], true, false);
            l.x.at[5 * 8 + 3] = NAN;
            l.x.at[least * 8] = NAN;
            run(&l, &endings[RELU]);
            for (size_t i = 0; i < shape.pixels * outs[o]; i++)
                assert_true(isnan(l.y.at[i]) == (i / outs[o] == 5 || i / outs[o] == least));
            layer_free(&l);
        }
    }
}

static void serves_what_is_faster(void **state)
{
    static const struct { struct ood_pointwise_shape shape; bool avx2, avx512; } cases[] = {
        { { 1936, 24, 24 }, false, true }, { { 484, 96, 1 }, true, true },   { { 49, 960, 40 }, false, true }, { { 49, 336, 56 }, false, true },
        { { 484, 72, 72 }, false, true },  { { 484, 288, 72 }, false, true }, { { 3136, 48, 8 }, true, true },  { { 400, 7, 24 }, false, true },
        { { 400, 7, 4 }, false, false },   { { 31, 24, 24 }, false, false },  { { 31, 24, 4 }, false, false },  { { 1024, 32, 12 }, false, false },
        { { 1024, 32, 16 }, false, false }, { { 1024, 32, 48 }, false, true },  { { 1024, 32, 88 }, false, true },
        { { 49, 32, 88 }, false, false },   { { 1024, 96, 112 }, false, true }, { { 1025, 96, 112 }, false, false },   { { 49, 128, 96 }, false, false }, { { 100, 64, 32 }, false, true },
        { { 100, 65, 32 }, false, false },  { { 100, 8, 136 }, false, false },  { { 100, 8, 240 }, false, true },  { { 100, 8, 256 }, false, false },
        { { 100, 32, 0 }, false, false },
    };
    (void)state;
    for_each_version(kernels) {
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
            const bool want = strcmp(kernels->isa, "avx512") == 0 ? cases[i].avx512 : strcmp(kernels->isa, "avx2") == 0 ? cases[i].avx2 : false;
            if (kernels->pointwise_serves(&cases[i].shape) != want)
                fail_msg("%s: %zu pixels of %zu to %zu channels", kernels->isa, cases[i].shape.pixels, cases[i].shape.channels,
                         cases[i].shape.out_channels);
        }
    }
}

static void refuses_sizes_that_overflow(void **state)
{
    (void)state;
    for_each_version(kernels) {
        const struct ood_pointwise_shape shapes[] = { { LEAST, SIZE_MAX, 4 }, { LEAST, SIZE_MAX / 16, 4 }, { LEAST, SIZE_MAX / 64, 24 } };
        for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
            assert_int_equal(kernels->pointwise_weights_floats(&shapes[i]), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(channels_in_and_out),
        cmocka_unit_test(pixels_and_endings),
        cmocka_unit_test(bits_do_not_depend_on_the_place),
        cmocka_unit_test(nan_passes),
        cmocka_unit_test(serves_what_is_faster),
        cmocka_unit_test(refuses_sizes_that_overflow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
