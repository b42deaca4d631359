/* Pictures in memory: the same inputs as inference has, whichever way they are kept; crops, mirrors, pads and orders. */
#include <math.h>

#include "base/random.h"
#include "check.h"
#include "train/picture_set.h"

static const char *const names[] = { "arithmetic.jpg", "grey.jpg", "grey_alpha.png", "interlaced.png", "cmyk_adobe.jpg", "rgb16.png", "grey_1bit.png" };
#define NAMES (sizeof names / sizeof names[0])

static struct ood_preprocess preprocess_of(size_t width, size_t height, enum ood_channels channels, enum ood_input_layout layout)
{
    struct ood_preprocess preprocess;
    assert_true(ood_preprocess_preset("cifar", &preprocess));
    preprocess.width = width;
    preprocess.height = height;
    preprocess.channels = channels;
    preprocess.layout = layout;
    return preprocess;
}

/* The samples, as many decoded as `most` bytes allow; paths for every other of the rest. */
static struct ood_picture_set *samples(const struct ood_preprocess *preprocess, size_t most)
{
    struct ood_error err = { 0 };
    struct ood_workspace workspace = { 0 };
    struct ood_picture_set *set = ood_picture_set_new(preprocess, most, &err);
    check_ok(set != NULL);
    float *pixels = malloc(ood_preprocess_floats(preprocess) * sizeof *pixels);
    for (size_t i = 0; i < NAMES; i++) {
        char name[64];
        struct ood_bytes bytes;
        snprintf(name, sizeof name, "samples/%s", names[i]);
        check_ok(ood_file_read(check_data(name), 1 << 24, &bytes, &err));
        check_ok(ood_picture_load(bytes.data, bytes.size, 0, ood_picture_set_pixels(set), &workspace, pixels, NULL, &err));
        check_ok(ood_picture_set_add(set, pixels, i % 2 == 0 ? ood_strdup(check_data(name), &err) : NULL, &bytes, &err));
        assert_null(bytes.data);
    }
    free(pixels);
    ood_workspace_free(&workspace);
    return set;
}

/* The whole picture is what inference makes of the file, to the bit: kept decoded, by path, or by bytes. */
static void test_same_as_inference(void **state)
{
    (void)state;
    const struct ood_preprocess kinds[] = {
        preprocess_of(32, 32, OOD_CHANNELS_RGB, OOD_INPUT_NCHW), preprocess_of(20, 28, OOD_CHANNELS_BGR, OOD_INPUT_NHWC),
        preprocess_of(17, 16, OOD_CHANNELS_GREY, OOD_INPUT_NCHW), preprocess_of(17, 16, OOD_CHANNELS_GREY, OOD_INPUT_NHWC),
    };
    for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
        size_t floats = ood_preprocess_floats(&kinds[k]), rooms[] = { 0, 3 * floats, SIZE_MAX };
        struct ood_error err = { 0 };
        struct ood_workspace workspace = { 0 };
        float *expected = malloc(floats * sizeof *expected), *found = malloc(floats * sizeof *found);
        for (size_t r = 0; r < 3; r++) {
            struct ood_picture_set *set = samples(&kinds[k], rooms[r]);
            struct ood_crop whole = ood_picture_set_whole(set);
            assert_int_equal(ood_picture_set_decoded(set), r == 0 ? 0 : r == 1 ? 3 : NAMES);
            for (size_t i = 0; i < NAMES; i++) {
                char name[64];
                struct ood_bytes bytes;
                snprintf(name, sizeof name, "samples/%s", names[i]);
                check_ok(ood_file_read(check_data(name), 1 << 24, &bytes, &err));
                check_ok(ood_picture_load(bytes.data, bytes.size, 0, &kinds[k], &workspace, expected, NULL, &err));
                check_ok(ood_picture_set_fill(set, i, &whole, found, &err));
                assert_memory_equal(found, expected, floats * sizeof *found);
                ood_bytes_free(&bytes);
            }
            ood_picture_set_free(set);
        }
        ood_workspace_free(&workspace);
        free(expected);
        free(found);
    }
}

/* Against a plain loop: value at (x, y), mirrored, 0 outside. */
static void test_crops(void **state)
{
    (void)state;
    struct ood_error err = { 0 };
    const struct ood_preprocess preprocess = preprocess_of(12, 10, OOD_CHANNELS_RGB, OOD_INPUT_NCHW);
    struct ood_picture_set *set = samples(&preprocess, SIZE_MAX);
    float whole[3 * 10 * 12], part[3 * 16 * 16];
    static const struct ood_crop crops[] = { { 0, 0, 12, 10, true, 0, 0 }, { -4, 4, 12, 10, false, 0, 0 }, { 4, -4, 12, 10, true, 0, 0 }, { 3, 2, 5, 6, true, 0, 0 }, { -2, -3, 16, 16, false, 0, 0 },
                                              { 40, 40, 4, 4, false, 0, 0 } };
    for (size_t i = 0; i < NAMES; i++) {
        struct ood_crop all = ood_picture_set_whole(set);
        check_ok(ood_picture_set_fill(set, i, &all, whole, &err));
        for (size_t k = 0; k < sizeof crops / sizeof crops[0]; k++) {
            const struct ood_crop *crop = &crops[k];
            check_ok(ood_picture_set_fill(set, i, crop, part, &err));
            for (size_t c = 0; c < 3; c++)
                for (size_t y = 0; y < crop->height; y++)
                    for (size_t x = 0; x < crop->width; x++) {
                        ptrdiff_t from_x = crop->x + (ptrdiff_t)(crop->mirror ? crop->width - 1 - x : x), from_y = crop->y + (ptrdiff_t)y;
                        bool inside = from_x >= 0 && from_x < 12 && from_y >= 0 && from_y < 10;
                        float expected = inside ? whole[(c * 10 + (size_t)from_y) * 12 + (size_t)from_x] : 0;
                        assert_true(part[(c * crop->height + y) * crop->width + x] == expected);
                    }
        }
    }
    ood_picture_set_free(set);
}

/* Strange pixels are cut like any others, whichever way the picture is kept; the picture itself stays what it was. */
static void test_strange(void **state)
{
    (void)state;
    struct ood_error err = { 0 };
    const struct ood_preprocess preprocess = preprocess_of(12, 10, OOD_CHANNELS_RGB, OOD_INPUT_NCHW);
    struct ood_picture_set *kept = samples(&preprocess, SIZE_MAX), *again = samples(&preprocess, 0);
    const struct ood_crop whole = ood_picture_set_whole(kept);
    struct ood_crop strange = whole;
    float plain[360], negative[360], other[360];
    strange.strange = OOD_STRANGE_NEGATIVE;
    for (size_t i = 0; i < NAMES; i++) {
        check_ok(ood_picture_set_fill(kept, i, &strange, negative, &err));
        check_ok(ood_picture_set_fill(again, i, &strange, other, &err));
        assert_memory_equal(negative, other, sizeof other);
        check_ok(ood_picture_set_fill(kept, i, &whole, plain, &err));
        for (size_t k = 0; k < 360; k++) {   /* (p s - m) / d and ((255 - p) s - m) / d: their sum is (255 s - 2 m) / d */
            const size_t c = k / 120;
            assert_float_equal(plain[k] + negative[k], (255 * preprocess.scale - 2 * preprocess.mean[c]) / preprocess.std[c], 1e-4);
        }
    }
    ood_picture_set_free(kept);
    ood_picture_set_free(again);
}

static void test_gone(void **state)
{
    (void)state;
    struct ood_error err = { 0 };
    const struct ood_preprocess preprocess = preprocess_of(8, 8, OOD_CHANNELS_RGB, OOD_INPUT_NCHW);
    struct ood_picture_set *set = ood_picture_set_new(&preprocess, 0, &err);
    float pixels[3 * 8 * 8] = { 0 };
    struct ood_bytes none = { 0 }, garbage = { ood_alloc(7, 1, &err), 7 };
    check_ok(ood_picture_set_add(set, pixels, ood_strdup("/nowhere/at/all.png", &err), &none, &err));
    check_ok(ood_picture_set_add(set, pixels, NULL, &garbage, &err));
    struct ood_crop whole = ood_picture_set_whole(set);
    check_fails(ood_picture_set_fill(set, 0, &whole, pixels, &err), OOD_NOT_FOUND, "/nowhere/at/all.png");
    check_fails(ood_picture_set_fill(set, 1, &whole, pixels, &err), OOD_PICTURE_UNKNOWN, "a picture of a shard");
    ood_picture_set_free(set);
}

/* Every offset, both mirrors, about as often as each other; nothing but seed, step and index matters. */
static void test_augment(void **state)
{
    (void)state;
    struct ood_error err = { 0 };
    const struct ood_preprocess preprocess = preprocess_of(32, 32, OOD_CHANNELS_RGB, OOD_INPUT_NCHW);
    struct ood_picture_set *set = ood_picture_set_new(&preprocess, 0, &err);
    struct ood_augment augment = { .crop = true, .mirror = true, .pad = 4, .width = 32, .height = 32 };
    size_t counts[9][9][2] = { 0 }, draws = 162 * 200;
    for (size_t i = 0; i < draws; i++) {
        struct ood_crop crop = ood_augment_draw(set, &augment, 7, i / 100, i % 100);
        assert_in_range(crop.x + 4, 0, 8);
        assert_in_range(crop.y + 4, 0, 8);
        counts[crop.x + 4][crop.y + 4][crop.mirror]++;
        struct ood_crop again = ood_augment_draw(set, &augment, 7, i / 100, i % 100);
        assert_true(again.x == crop.x && again.y == crop.y && again.mirror == crop.mirror);
    }
    double chi = 0;                          /* 161 degrees of freedom: above 230 in one of 3,000 runs, and the seed is fixed */
    for (size_t i = 0; i < 162; i++) {
        double d = (double)counts[i / 18][i / 2 % 9][i % 2] - 200;
        chi += d * d / 200;
    }
    assert_true(chi < 230);
    size_t same = 0;
    for (size_t i = 0; i < 1000; i++) {
        struct ood_crop a = ood_augment_draw(set, &augment, 7, 0, i), b = ood_augment_draw(set, &augment, 8, 0, i), c = ood_augment_draw(set, &augment, 7, 1, i);
        same += (a.x == b.x && a.y == b.y && a.mirror == b.mirror) + (a.x == c.x && a.y == c.y && a.mirror == c.mirror);
    }
    assert_true(same < 40);                  /* 2000 / 162 expected */
    augment.width = augment.height = 24;     /* no pad then */
    for (size_t i = 0; i < 1000; i++) {
        struct ood_crop crop = ood_augment_draw(set, &augment, 7, 0, i);
        assert_in_range(crop.x, 0, 8);
        assert_in_range(crop.y, 0, 8);
        assert_true(crop.width == 24 && crop.height == 24);
    }
    size_t strange[OOD_STRANGE_KINDS] = { 0 };
    augment.strange = 0.9;                   /* each kind about as often as another; the window stays where it was */
    for (size_t i = 0; i < 9000; i++) {
        struct ood_crop crop = ood_augment_draw(set, &augment, 7, i / 100, i % 100), plain;
        augment.strange = 0;
        plain = ood_augment_draw(set, &augment, 7, i / 100, i % 100);
        augment.strange = 0.9;
        assert_true(crop.x == plain.x && crop.y == plain.y && crop.mirror == plain.mirror && plain.strange == OOD_STRANGE_NOT);
        assert_in_range(crop.strange, 0, OOD_STRANGE_KINDS - 1);
        strange[crop.strange]++;
    }
    for (size_t kind = 0; kind < OOD_STRANGE_KINDS; kind++)
        assert_in_range(strange[kind], 780, 1020);           /* 900 expected, deviation 28 */
    augment.strange = 0;
    augment.crop = augment.mirror = false;
    struct ood_crop centre = ood_augment_draw(set, &augment, 7, 3, 4);
    assert_true(centre.x == 4 && centre.y == 4 && !centre.mirror);
    ood_picture_set_free(set);
}

static void test_order(void **state)
{
    (void)state;
    struct ood_error err = { 0 };
    const size_t places[7] = { 3, 5, 8, 13, 21, 34, 55 };
    struct ood_order order, other;
    size_t walk[70], moved = 0;
    check_ok(ood_order_new(&order, 11, 1, places, 7, &err));
    check_ok(ood_order_new(&other, 11, 2, places, 7, &err));
    for (size_t i = 0; i < 70; i++)
        walk[i] = ood_order_at(&order, i);
    for (size_t e = 0; e < 10; e++) {        /* each epoch has each place once */
        size_t sum = 0;
        for (size_t i = 0; i < 7; i++)
            sum += walk[7 * e + i];
        assert_int_equal(sum, 139);
        for (size_t i = 0; i < 7; i++)
            for (size_t k = 0; k < i; k++)
                assert_true(walk[7 * e + i] != walk[7 * e + k]);
        moved += e > 0 && memcmp(walk, walk + 7 * e, 7 * sizeof *walk) != 0;
    }
    assert_int_equal(moved, 9);
    for (size_t i = 70; i-- > 0;)            /* from anywhere */
        assert_int_equal(ood_order_at(&order, i), walk[i]);
    size_t same = 0;
    for (size_t i = 0; i < 70; i++)
        same += ood_order_at(&other, i) == walk[i];
    assert_true(same < 30);
    ood_order_clear(&order);
    ood_order_clear(&other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_as_inference), cmocka_unit_test(test_crops), cmocka_unit_test(test_strange), cmocka_unit_test(test_gone), cmocka_unit_test(test_augment), cmocka_unit_test(test_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
