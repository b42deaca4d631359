/* Boxes of one decoded picture: Pillow's crop and resize to the bit, lent pixels, what no box may be. */
#include "sample.h"

#include <math.h>

#include "base/number.h"

static double number(const char *text)
{
    double value;
    assert_true(ood_parse_double(text, &value));
    return value;
}

static struct ood_picture borrow(const char *name, struct ood_workspace *workspace)
{
    struct ood_error err = { 0 };
    struct ood_bytes bytes = sample(name);
    struct ood_picture picture = { 0 };
    size_t width, height;
    check_ok(ood_picture_size(bytes.data, bytes.size, 0, workspace, &width, &height, &err));
    check_ok(ood_picture_borrow(bytes.data, bytes.size, 0, workspace, &picture, &err));
    assert_int_equal(picture.width, width);
    assert_int_equal(picture.height, height);
    ood_bytes_free(&bytes);
    return picture;
}

/* Recorded by tests/data/picture/make.py. The two steps of the preprocessing give the floats of the one. */
static void crops_are_pillows(void **state)
{
    (void)state;
    struct ood_workspace workspace = { 0 };
    struct ood_error err = { 0 };
    struct sample_table table = sample_table("crops.tsv");
    char *f[SAMPLE_FIELDS], hex[OOD_HASH_HEX];
    size_t count, lines = 0;
    for (; sample_line(&table, f, &count); lines++) {
        struct ood_preprocess p = { .fill = { 114, 115, 116 }, .scale = 1.0f / 255, .mean = { 0.1f, 0.2f, 0.3f }, .std = { 1, 2, 3 } };
        struct ood_box box = { number(f[1]), number(f[2]), number(f[3]), number(f[4]) };
        struct ood_picture part;
        assert_int_equal(count, 11);
        assert_true(ood_resize_parse(f[5], &p.resize) && ood_parse_size(f[6], &p.width) && ood_parse_size(f[7], &p.height) &&
                    ood_parse_size(f[8], &p.resize_to) && ood_filter_parse(f[9], &p.filter));
        struct ood_picture picture = borrow(f[0], &workspace);
        check_ok(ood_picture_crop(&picture, &box, &part, &err));
        size_t floats = ood_preprocess_floats(&p);
        unsigned char *rgb = malloc(floats);
        float *once = malloc(floats * sizeof *once), *twice = malloc(floats * sizeof *twice);
        assert_true(rgb != NULL && once != NULL && twice != NULL);
        check_ok(ood_preprocess_resize(&p, &part, &workspace, rgb, &err));
        ood_sha256_hex(rgb, floats, hex);
        if (strcmp(hex, f[10]) != 0)
            fail_msg("line %zu: %s box %s,%s,%s,%s %s: SHA-256 of the pixels is %s", lines + 1, f[0], f[1], f[2], f[3], f[4], f[5], hex);
        check_ok(ood_preprocess_normalise(&p, rgb, &workspace, twice, &err));
        check_ok(ood_preprocess_apply(&p, &part, &workspace, once, &err));
        assert_memory_equal(once, twice, floats * sizeof *once);
        free(rgb);
        free(once);
        free(twice);
    }
    assert_in_range(lines, 50, 60);
    ood_bytes_free(&table.text);
    ood_workspace_free(&workspace);
}

/* A part shares the pixels of its picture; a part of a part is the part under both boxes. */
static void parts_share_pixels(void **state)
{
    (void)state;
    struct ood_workspace workspace = { 0 };
    struct ood_error err = { 0 };
    struct ood_picture picture = borrow("expected/base.png", &workspace), part, inner;
    check_ok(ood_picture_crop(&picture, &(struct ood_box){ -1e300, 10, 60, 1e300 }, &part, &err));
    assert_ptr_equal(part.rgb, picture.rgb + 10 * picture.width * 3);
    assert_int_equal(part.width, 60);
    assert_int_equal(part.height, picture.height - 10);
    assert_int_equal(part.stride, picture.width * 3);
    check_ok(ood_picture_crop(&part, &(struct ood_box){ 3, 2, 4, 9 }, &inner, &err));
    assert_ptr_equal(inner.rgb, picture.rgb + 12 * picture.width * 3 + 3 * 3);
    assert_int_equal(inner.width, 1);
    assert_int_equal(inner.height, 7);
    ood_workspace_trim(&workspace);                      /* small pictures stay */
    assert_non_null(workspace.bytes);
    ood_workspace_free(&workspace);
}

/* Where the pixels lie changes nothing: a part is made what its own copy is made, whatever the resizing. */
static void a_part_is_its_copy(void **state)
{
    (void)state;
    static const struct ood_box boxes[] = { { 10, 20, 42, 52 }, { 100, 3, 111, 189 }, { 50, 60, 227, 70 } };
    struct ood_workspace workspace = { 0 }, other = { 0 };
    struct ood_error err = { 0 };
    struct ood_picture picture = borrow("expected/base.png", &workspace), part;
    enum ood_resize resize;
    enum ood_filter filter;
    for (int r = 0; ood_resize_parse(ood_resize_name((enum ood_resize)r), &resize); r++)
        for (int f = 0; ood_filter_parse(ood_filter_name((enum ood_filter)f), &filter); f++)
            for (size_t b = 0; b < sizeof boxes / sizeof boxes[0]; b++) {
                struct ood_preprocess p = { .width = 32, .height = 32, .resize = resize, .filter = filter, .scale = 1, .std = { 1, 1, 1 } };
                unsigned char of_part[32 * 32 * 3], of_copy[32 * 32 * 3];
                check_ok(ood_picture_crop(&picture, &boxes[b], &part, &err));
                unsigned char *copy = malloc(part.width * part.height * 3);
                assert_non_null(copy);
                for (size_t y = 0; y < part.height; y++)
                    memcpy(copy + y * part.width * 3, part.rgb + y * part.stride, part.width * 3);
                struct ood_picture alone = { .width = part.width, .height = part.height, .rgb = copy };
                check_ok(ood_preprocess_resize(&p, &part, &other, of_part, &err));
                check_ok(ood_preprocess_resize(&p, &alone, &other, of_copy, &err));
                assert_memory_equal(of_part, of_copy, sizeof of_part);
                free(copy);
            }
    ood_workspace_free(&workspace);
    ood_workspace_free(&other);
}

/* However thin, a box has a pixel: the one at its middle. */
static void a_thin_box_is_a_pixel(void **state)
{
    (void)state;
    static const struct { struct ood_box box; size_t x, y; } cases[] = {
        { { 10.6, 20.2, 11.2, 20.4 }, 10, 20 }, { { 226.9, 188.9, 227, 189 }, 226, 188 }, { { 0, 0, 1e-9, 1e-9 }, 0, 0 },
        { { 226.5, 188.5, 500, 500 }, 226, 188 }, { { 4.999, 4.999, 5.001, 5.001 }, 5, 5 }, { { -3, -3, 0.5, 0.5 }, 0, 0 },
    };
    struct ood_workspace workspace = { 0 };
    struct ood_error err = { 0 };
    struct ood_picture picture = borrow("expected/base.png", &workspace), part;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        check_ok(ood_picture_crop(&picture, &cases[i].box, &part, &err));
        assert_int_equal(part.width, 1);
        assert_int_equal(part.height, 1);
        assert_ptr_equal(part.rgb, picture.rgb + (cases[i].y * picture.width + cases[i].x) * 3);
    }
    ood_workspace_free(&workspace);
}

static void what_is_no_box(void **state)
{
    (void)state;
    static const struct ood_box boxes[] = {
        { 227, 0, 300, 10 }, { -5, 0, 0, 10 }, { 0, 189, 10, 190 }, { 0, -9, 10, 0 }, { 5, 5, 5, 9 }, { 5, 5, 9, 5 }, { 9, 5, 5, 9 },
        { NAN, 0, 5, 5 }, { 0, NAN, 5, 5 }, { 0, 0, NAN, 5 }, { 0, 0, 5, NAN }, { -INFINITY, 0, 5, 5 }, { 0, 0, INFINITY, 5 },
    };
    struct ood_workspace workspace = { 0 };
    struct ood_picture picture = borrow("expected/base.png", &workspace), part = { .width = 77 };
    for (size_t i = 0; i < sizeof boxes / sizeof boxes[0]; i++) {
        struct ood_error err = { 0 };
        assert_false(ood_picture_crop(&picture, &boxes[i], &part, &err));
        assert_int_equal(err.code, OOD_BOX_INVALID);
        assert_int_equal(part.width, 77);
    }
    ood_workspace_free(&workspace);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(crops_are_pillows),
        cmocka_unit_test(parts_share_pixels),
        cmocka_unit_test(a_part_is_its_copy),
        cmocka_unit_test(a_thin_box_is_a_pixel),
        cmocka_unit_test(what_is_no_box),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
