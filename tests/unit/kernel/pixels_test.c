/* The kernels of a picture's bytes, each version this CPU runs, against what kernel.h says; nothing outside of the arrays is touched. */
#include "guarded.h"

#include <string.h>

#include "base/random.h"

/* Guarded memory for n elements of some size that ends at a page which must not be touched. */
#define GUARDED(n, type) guard(((n) * sizeof(type) + sizeof(float) - 1) / sizeof(float), true)

static void fill_bytes(struct ood_random *random, unsigned char *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        bytes[i] = (unsigned char)(ood_random_next(random) >> 20);
}

static void rows_are_blended(void **state)
{
    (void)state;
    for_each_version(kernels)
        for (size_t n = 1; n < 300; n++) {
            struct ood_random random;
            ood_random_seed(&random, n);
            struct guarded a = GUARDED(n, int16_t), b = GUARDED(n, int16_t), y = GUARDED(n, unsigned char);
            int16_t *upper = guarded_end(&a, n * 2), *lower = guarded_end(&b, n * 2);
            unsigned char *out = guarded_end(&y, n);
            const int16_t weight = (int16_t)(ood_random_next(&random) % 2049), other = (int16_t)(2048 - weight);
            for (size_t i = 0; i < n; i++) {                 /* of 0 … 255 · 2048 >> 4, and beyond what a byte takes */
                upper[i] = (int16_t)(ood_random_next(&random) % 32768);
                lower[i] = i % 5 == 0 ? (int16_t)-300 : (int16_t)(ood_random_next(&random) % 32768);
            }
            const size_t done = kernels->blend_rows(out, upper, lower, weight, other, n);
            assert_true(done == 0 || done == n);
            for (size_t i = 0; i < done; i++) {
                const int value = ((upper[i] * weight >> 16) + (lower[i] * other >> 16) + 2) >> 2;
                if (out[i] != (value < 0 ? 0 : value > 255 ? 255 : value))
                    fail_msg("%s, %zu of %zu values: %d, expected %d", kernels->isa, i, n, out[i], value);
            }
            assert_true(done == n || n < 64 || strcmp(kernels->isa, "baseline") == 0);
            unguard(&a), unguard(&b), unguard(&y);
        }
}

static void pixels_are_weighed(void **state)
{
    enum { PIXELS = 61 };
    (void)state;
    for_each_version(kernels)
        for (size_t n = 1; n <= 70; n++) {
            struct ood_random random;
            ood_random_seed(&random, n);
            struct guarded r = GUARDED(3 * PIXELS, unsigned char), y = GUARDED(3 * n + 1, int16_t);
            unsigned char *row = guarded_end(&r, 3 * PIXELS);
            int16_t *out = guarded_end(&y, (3 * n + 1) * 2);
            uint32_t at[70];
            int32_t weights[70];
            fill_bytes(&random, row, 3 * PIXELS);
            for (size_t i = 0; i < n; i++) {
                at[i] = 3 * (uint32_t)(ood_random_next(&random) % (PIXELS - 2));      /* the last place there is among them */
                if (i % 7 == 0)
                    at[i] = 3 * (PIXELS - 3) + 1;
                const int32_t high = (int32_t)(ood_random_next(&random) % 2049);
                weights[i] = high << 16 | (2048 - high);
            }
            const size_t done = kernels->weigh_pixels(out, row, at, weights, n);
            assert_true(done == 0 || done == n);
            for (size_t i = 0; i < done; i++)
                for (size_t c = 0; c < 3; c++) {
                    const int32_t high = weights[i] >> 16, low = weights[i] & 0xffff;
                    const int value = (row[at[i] + c] * low + row[at[i] + 3 + c] * high) >> 4;
                    if (out[3 * i + c] != value)
                        fail_msg("%s, pixel %zu of %zu: %d, expected %d", kernels->isa, i, n, out[3 * i + c], value);
                }
            unguard(&r), unguard(&y);
        }
}

/* By a table of the definition: division, where the kernel goes by the inverse. */
static void planes_are_the_definition(void **state)
{
    static const float scales[][3] = { { 1 / 255.0f, 0, 1 }, { 1 / 255.0f, 0.485f, 0.229f }, { 1, 103.53f, 57.375f }, { 1 / 128.0f, 0.99f, 0.7f },
                                       { 0.5f, -3, -7 }, { 1e-3f, 1e-4f, 3e5f }, { 1, 127, 128 }, { 3, 1.1f, 1.0f / 3 } };
    (void)state;
    for_each_version(kernels)
        for (size_t n = 1; n <= 70; n++)
            for (size_t s = 0; s < sizeof scales / sizeof scales[0]; s++) {
                struct ood_random random;
                ood_random_seed(&random, n);
                struct guarded x = GUARDED(3 * n, unsigned char), y[3];
                unsigned char *rgb = guarded_end(&x, 3 * n);
                struct ood_pixel_planes planes = { .scale = scales[s][0] };
                fill_bytes(&random, rgb, 3 * n);
                for (size_t c = 0; c < 3; c++) {
                    const float std = scales[s][2] * (float)(c + 1);
                    y[c] = guard(n, true);
                    planes.colour[c] = (struct ood_pixel_colour){ y[c].at, scales[s][1] + (float)c, std, 1 / std };
                }
                const size_t done = kernels->pixel_planes(&planes, rgb, n);
                assert_true(done == 0 || done == n);
                for (size_t i = 0; i < 3 * done; i++) {
                    const struct ood_pixel_colour *colour = &planes.colour[i % 3];
                    volatile float value = (float)rgb[i] * planes.scale;
                    value = value - colour->mean;
                    value = value / colour->std;
                    const float expected = value;
                    if (memcmp(&colour->out[i / 3], &expected, sizeof expected) != 0)
                        fail_msg("%s, pixel %zu of %zu, colour %zu, byte %d: %.9g, expected %.9g", kernels->isa, i / 3, n, i % 3, rgb[i],
                                 (double)colour->out[i / 3], (double)expected);
                }
                unguard(&x), unguard(&y[0]), unguard(&y[1]), unguard(&y[2]);
            }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_blended),
        cmocka_unit_test(pixels_are_weighed),
        cmocka_unit_test(planes_are_the_definition),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
