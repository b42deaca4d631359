/* Resizing against Pillow's bytes, and the bounds of its memory. */
#include "sample.h"

#include <math.h>

#include "base/number.h"

static enum ood_filter filter_of(const char *name)
{
    enum ood_filter filter;
    if (!ood_filter_parse(name, &filter))
        fail_msg("filter %s", name);
    return filter;
}

/* 2 filters × 20 boxes and sizes: same bytes, and the same again with one reused workspace. */
static void resizing_is_pillows(void **state)
{
    (void)state;
    struct ood_error err = { 0 };
    struct ood_workspace workspace = { 0 };
    struct sample_table table = sample_table("resized.tsv");
    char *field[SAMPLE_FIELDS], hex[OOD_HASH_HEX];
    size_t count, lines = 0, width, height;
    for (; sample_line(&table, field, &count); lines++) {
        struct ood_picture picture = sample_picture(field[0]);
        struct ood_box box;
        assert_int_equal(count, 9);
        assert_true(ood_parse_double(field[2], &box.x0) && ood_parse_double(field[3], &box.y0) &&
                    ood_parse_double(field[4], &box.x1) && ood_parse_double(field[5], &box.y1) &&
                    ood_parse_size(field[6], &width) && ood_parse_size(field[7], &height));
        unsigned char *out = malloc(width * height * 3);
        assert_non_null(out);
        check_ok(ood_resize_rgb(picture.rgb, picture.width, picture.height, &box, filter_of(field[1]), out, width, height,
                                &workspace, &err));
        ood_sha256_hex(out, width * height * 3, hex);
        if (strcmp(hex, field[8]) != 0)
            fail_msg("%s of box %s,%s,%s,%s to %zu×%zu differs from Pillow", field[1], field[2], field[3], field[4], field[5],
                     width, height);
        free(out);
        ood_picture_free(&picture);
    }
    assert_int_equal(lines, 40);
    ood_bytes_free(&table.text);
    ood_workspace_free(&workspace);
}

static void boxes_and_sides_are_checked(void **state)
{
    (void)state;
    static const unsigned char rgb[4 * 3 * 3] = { 0 };
    static const struct ood_box boxes[] = {
        { 0, 0, 4.5, 3 }, { 0, 0, 4, 3.5 }, { -1, 0, 4, 3 }, { 0, -0.5, 4, 3 }, { 2, 0, 2, 3 }, { 0, 2, 4, 1 },
        { 0, 0, (double)NAN, 3 }, { (double)NAN, 0, 4, 3 }, { 0, 0, (double)INFINITY, 3 },
    };
    struct ood_error err = { 0 };
    struct ood_workspace workspace = { 0 };
    unsigned char out[12];
    for (size_t i = 0; i < sizeof boxes / sizeof boxes[0]; i++)
        check_fails(ood_resize_rgb(rgb, 4, 3, &boxes[i], OOD_FILTER_BICUBIC, out, 2, 2, &workspace, &err), OOD_INVALID,
                    "reaches outside of 4×3");
    check_fails(ood_resize_rgb(rgb, 4, 3, NULL, OOD_FILTER_BICUBIC, out, 0, 2, &workspace, &err), OOD_INVALID, "side");
    check_fails(ood_resize_rgb(rgb, 0, 3, NULL, OOD_FILTER_BICUBIC, out, 2, 2, &workspace, &err), OOD_INVALID, "side");
    check_fails(ood_resize_rgb(rgb, 4, 3, NULL, OOD_FILTER_BICUBIC, out, 2, ((size_t)1 << 24) + 1, &workspace, &err),
                OOD_INVALID, "side");
    check_ok(ood_resize_rgb(rgb, 4, 3, NULL, OOD_FILTER_BICUBIC, out, 2, 2, &workspace, &err));
    ood_workspace_free(&workspace);
}

/* A strip as long as a picture may be: to a small input by every rule, the memory stays small. */
static void strips_take_little_memory(void **state)
{
    (void)state;
    struct ood_error err = { 0 };
    unsigned char *rgb = malloc((size_t)OOD_PICTURE_SIDE * 3);
    assert_non_null(rgb);
    for (size_t i = 0; i < OOD_PICTURE_SIDE; i++)
        memcpy(rgb + 3 * i, "\x10\x80\xF0", 3);
    for (int upright = 0; upright < 2; upright++)
        for (int resize = 0; resize < 3; resize++) {
            struct ood_preprocess preprocess = {
                .width = 32, .height = 32, .layout = OOD_INPUT_NHWC, .resize = (enum ood_resize)resize, .scale = 1,
                .filter = OOD_FILTER_BICUBIC, .fill = { 1, 2, 3 }, .std = { 1, 1, 1 },
            };
            struct ood_picture picture = { .rgb = rgb, .width = upright ? 1 : OOD_PICTURE_SIDE,
                                           .height = upright ? OOD_PICTURE_SIDE : 1 };
            struct ood_workspace workspace = { 0 };
            float out[32 * 32 * 3];
            check_ok(ood_preprocess_apply(&preprocess, &picture, &workspace, out, &err));
            assert_true(workspace.resized_capacity + workspace.scratch_capacity < 3u << 20);
            const float *middle = out + (16 * 32 + 16) * 3;
            const float *line = out + (upright ? 5 * 32 + 15 : 15 * 32 + 5) * 3;
            bool filled = resize == OOD_RESIZE_LETTERBOX;
            assert_true(line[0] == 0x10 && line[1] == 0x80 && line[2] == 0xF0);
            assert_true(filled ? middle[0] == 1 && middle[1] == 2 && middle[2] == 3
                               : middle[0] == 0x10 && middle[1] == 0x80 && middle[2] == 0xF0);
            ood_workspace_free(&workspace);
        }
    free(rgb);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(resizing_is_pillows),
        cmocka_unit_test(boxes_and_sides_are_checked),
        cmocka_unit_test(strips_take_little_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
