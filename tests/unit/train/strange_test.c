/* Strange pictures: what each kind keeps and changes, at odd sizes, and that nothing but the draw decides. */
#include <math.h>
#include <stdlib.h>

#include "base/random.h"
#include "check.h"
#include "train/strange.h"

enum { MOST = 40 * 40 * 3 };
static const struct { size_t width, height, channels; } sizes[] = { { 32, 32, 3 }, { 24, 24, 3 }, { 17, 9, 3 }, { 1, 1, 3 }, { 3, 40, 1 }, { 32, 32, 1 } };

static size_t fill(size_t s, unsigned char *pixels)
{
    struct ood_random random;
    size_t count = sizes[s].width * sizes[s].height * sizes[s].channels;
    ood_random_seed(&random, s);
    for (size_t i = 0; i < count; i++)
        pixels[i] = (unsigned char)(ood_random_below(&random, 100) + 50 * (i % sizes[s].channels));
    return count;
}

static void apply(size_t s, enum ood_strange kind, uint64_t draw, unsigned char *pixels)
{
    fill(s, pixels);
    ood_strange_apply(kind, draw, pixels, sizes[s].width, sizes[s].height, sizes[s].channels);
}

static int by_byte(const void *a, const void *b) { return *(const unsigned char *)a - *(const unsigned char *)b; }

/* How many colours there are. */
static size_t colours(size_t s, const unsigned char *pixels)
{
    const size_t n = sizes[s].width * sizes[s].height, channels = sizes[s].channels;
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        size_t k = 0;
        while (k < i && memcmp(pixels + i * channels, pixels + k * channels, channels) != 0)
            k++;
        count += k == i;
    }
    return count;
}

static void test_kinds(void **state)
{
    (void)state;
    unsigned char before[MOST], after[MOST], sorted[2][MOST];
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        const size_t count = fill(s, before), channels = sizes[s].channels;
        for (uint64_t draw = 0; draw < 40; draw++) {
            apply(s, OOD_STRANGE_NOT, draw, after);
            assert_memory_equal(after, before, count);
            apply(s, OOD_STRANGE_GREY, draw, after);
            for (size_t i = 0; i < count; i += channels) {
                double luma = channels == 1 ? before[i] : 0.299 * before[i] + 0.587 * before[i + 1] + 0.114 * before[i + 2];
                for (size_t c = 0; c < channels; c++)
                    assert_true(fabs(after[i + c] - luma) <= 0.51);
            }
            apply(s, OOD_STRANGE_NEGATIVE, draw, after);
            for (size_t i = 0; i < count; i++)
                assert_int_equal(after[i] + before[i], 255);
            for (int tiles = 0; tiles < 2; tiles++) {        /* the same values, elsewhere */
                apply(s, tiles ? OOD_STRANGE_TILES : OOD_STRANGE_CHANNELS, draw, after);
                memcpy(sorted[0], before, count);
                memcpy(sorted[1], after, count);
                qsort(sorted[0], count, 1, by_byte);
                qsort(sorted[1], count, 1, by_byte);
                assert_memory_equal(sorted[0], sorted[1], count);
            }
            apply(s, OOD_STRANGE_TWO_TONES, draw, after);
            assert_true(colours(s, after) <= 2);
            apply(s, OOD_STRANGE_FLAT, draw, after);
            assert_int_equal(colours(s, after), 1);
            apply(s, OOD_STRANGE_BLOCKS, draw, after);
            assert_true(colours(s, after) <= 64);
        }
    }
}

/* Of a large colour picture each kind makes another, draws that matter differ, and the same draw gives the same. */
static void test_draws(void **state)
{
    (void)state;
    unsigned char before[MOST], one[MOST], same[MOST], other[MOST];
    const size_t count = fill(0, before);
    for (enum ood_strange kind = OOD_STRANGE_GREY; kind < OOD_STRANGE_KINDS; kind++) {
        bool drawn = false, depends = kind != OOD_STRANGE_GREY && kind != OOD_STRANGE_NEGATIVE;
        apply(0, kind, 1, one);
        apply(0, kind, 1, same);
        assert_memory_equal(one, same, count);
        assert_memory_not_equal(one, before, count);
        for (uint64_t draw = 2; draw < 20; draw++) {
            apply(0, kind, draw, other);
            drawn |= memcmp(one, other, count) != 0;
        }
        assert_int_equal(drawn, depends);
    }
}

/* By hand: a 4 x 1 picture of one channel. */
static void test_by_hand(void **state)
{
    (void)state;
    bool lower = false, higher = false, white = false, black = false;
    for (uint64_t draw = 0; draw < 200; draw++) {
        unsigned char pixels[4] = { 10, 20, 30, 140 };       /* mean 50 */
        ood_strange_apply(OOD_STRANGE_CONTRAST, draw, pixels, 4, 1, 1);
        assert_true(pixels[0] <= pixels[1] && pixels[1] <= pixels[2] && pixels[2] < pixels[3]);
        lower |= pixels[0] == 50 - 40 * 1 / 8 && pixels[3] == 50 + 90 / 8;
        higher |= pixels[0] == 0 && pixels[3] == 255;
        unsigned char tones[4] = { 10, 20, 30, 140 };
        ood_strange_apply(OOD_STRANGE_TWO_TONES, draw, tones, 4, 1, 1);
        assert_true(tones[0] == tones[1] && tones[1] == tones[2]);
        white |= tones[0] == 0 && tones[3] == 255;
        black |= tones[0] == 255 && tones[3] == 0;
        unsigned char flat[4] = { 10, 20, 30, 141 };
        ood_strange_apply(OOD_STRANGE_FLAT, draw, flat, 4, 1, 1);
        assert_true(flat[0] == flat[3]);
    }
    assert_true(lower && higher && white && black);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_kinds), cmocka_unit_test(test_draws), cmocka_unit_test(test_by_hand) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
