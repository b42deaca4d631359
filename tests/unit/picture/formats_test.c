/* WebP, GIF, BMP and TIFF: every kind against Pillow's pixels, broken and foreign ones refused with their code, hostile bytes. */
#include "sample.h"

#include "base/number.h"
#include "base/random.h"

static const struct ood_decode_limits no_limits = { 0 };

static struct ood_bytes format_file(const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "picture/formats/%s", name);
    return sample_read(check_data(path));
}

/* What this build reads, by a file's ending. */
static bool is_read(const char *name)
{
    static const char *const left_out[] = {
        "",
#ifndef OOD_HAVE_WEBP
        ".webp",
#endif
#ifndef OOD_HAVE_GIF
        ".gif",
#endif
#ifndef OOD_HAVE_BMP
        ".bmp",
#endif
#ifndef OOD_HAVE_TIFF
        ".tif",
#endif
    };
    for (size_t i = 1; i < sizeof left_out / sizeof left_out[0]; i++)
        if (strstr(name, left_out[i]) != NULL)
            return false;
    return true;
}

static void every_kind_has_the_right_pixels(void **state)
{
    (void)state;
    struct sample_table table = sample_table("formats.tsv");
    char *field[SAMPLE_FIELDS], hex[OOD_HASH_HEX];
    size_t count, lines = 0, width, height, wrong = 0;
    for (; sample_line(&table, field, &count); lines++) {
        struct ood_error err = { 0 };
        struct ood_picture picture = { 0 };
        struct ood_bytes bytes = format_file(strrchr(field[0], '/') + 1);
        assert_int_equal(count, 4);
        assert_true(ood_parse_size(field[1], &width) && ood_parse_size(field[2], &height));
        if (!is_read(field[0])) {
            check_fails(ood_picture_decode(bytes.data, bytes.size, &no_limits, &picture, &err), OOD_PICTURE_UNKNOWN, "left out");
            ood_bytes_free(&bytes);
            continue;
        }
        if (!ood_picture_decode(bytes.data, bytes.size, &no_limits, &picture, &err)) {
            print_error("%s: %s: %s\n", field[0], ood_code_name(err.code), err.message);
            wrong++;
        } else {
            ood_sha256_hex(picture.rgb, picture.width * picture.height * 3, hex);
            bool right = picture.width == width && picture.height == height && strcmp(hex, field[3]) == 0;
            bool quiet = picture.warning_count == (strstr(field[0], "unsaid") != NULL);     /* alpha that the tags say nothing of */
            if (!right || !quiet)
                print_error("%s: %zu×%zu pixels, expected %zu×%zu; %s; %s\n", field[0], picture.width, picture.height, width, height,
                            right ? "the right ones" : "others", picture.warnings[0]);
            wrong += !right || !quiet;
        }
        ood_picture_free(&picture);
        ood_bytes_free(&bytes);
    }
    assert_int_equal(wrong, 0);
    assert_int_equal(lines, 119);
    ood_bytes_free(&table.text);
}

/* A file with bytes replaced; size 0: as long as it is. */
struct damage { const char *file; size_t size, at, count; const char *bytes; enum ood_code code; const char *part; };

static const struct damage damaged[] = {
    { "bad_float.tif", 0, 0, 0, "", OOD_PICTURE_UNSUPPORTED, "floating-point" },
    { "bad_signed.tif", 0, 0, 0, "", OOD_PICTURE_UNSUPPORTED, "signed" },
    { "bad_lab.tif", 0, 0, 0, "", OOD_PICTURE_UNSUPPORTED, "photometric interpretation 8" },
    { "bad_bits_32.tif", 0, 0, 0, "", OOD_PICTURE_UNSUPPORTED, "32 bits" },
    { "bad_bits_12.tif", 0, 0, 0, "", OOD_PICTURE_UNSUPPORTED, "12 bits" },
    { "bad_ycbcr.tif", 0, 0, 0, "", OOD_PICTURE_UNSUPPORTED, "YCbCr" },
    { "bad_inks.tif", 0, 0, 0, "", OOD_PICTURE_UNSUPPORTED, "inks" },
    { "bad_zstd.tif", 0, 0, 0, "", OOD_PICTURE_UNSUPPORTED, "Zstandard" },
    { "raw.tif", 0, 2, 2, "+\0", OOD_PICTURE_UNSUPPORTED, "BigTIFF" },
    { "no_palette.gif", 0, 13, 1, "\x77", OOD_PICTURE_CORRUPT, "GIF" },
    { "rgb.bmp", 0, 14, 4, "\x29\0\0\0", OOD_PICTURE_UNSUPPORTED, "a header of 41 bytes" },
    { "rgb.bmp", 0, 28, 2, "\x02\0", OOD_PICTURE_UNSUPPORTED, "2 bits a pixel" },
    { "rgb.bmp", 0, 30, 4, "\4\0\0\0", OOD_PICTURE_UNSUPPORTED, "(JPEG)" },
    { "rgb.bmp", 0, 30, 4, "\x09\0\0\0", OOD_PICTURE_UNSUPPORTED, "(unknown)" },
    { "rgb.bmp", 0, 18, 4, "\0\0\0\0", OOD_PICTURE_CORRUPT, "0×18" },
    { "rgb.bmp", 0, 22, 4, "\0\0\0\x80", OOD_PICTURE_TOO_LARGE, "on a side" },
    { "rgb.bmp", 0, 10, 4, "\x20\0\0\0", OOD_PICTURE_CORRUPT, "begin at byte 32" },
    { "rgb.bmp", 0, 10, 4, "\xFF\xFF\xFF\xFF", OOD_PICTURE_TRUNCATED, "end" },
    { "rgb.bmp", 0, 18, 8, "\x40\x9C\0\0\x40\x9C\0\0", OOD_PICTURE_TOO_LARGE, "more than the limit of 40000000" },
    { "rgb_565.bmp", 0, 54, 4, "\x00\xA8\0\0", OOD_PICTURE_CORRUPT, "mask of red is 0xa800" },
    { "rgb_565.bmp", 0, 58, 4, "\0\0\0\0", OOD_PICTURE_CORRUPT, "mask of green is 0x0" },
    { "runs_8.bmp", 0, 22, 4, "\xEE\xFF\xFF\xFF", OOD_PICTURE_CORRUPT, "go down" },
    { "lossy.webp", 0, 20, 4, "\xFF\xFF\xFF\xFF", OOD_PICTURE_CORRUPT, "WebP" },
    { "lossless.webp", 0, 4, 4, "\xFF\xFF\0\0", OOD_PICTURE_TRUNCATED, "WebP: the data end" },
    { "animation.webp", 0, 24, 6, "\x3F\x9C\0\x3F\x9C\0", OOD_PICTURE_TOO_LARGE, "40000×40000" },
    { "plain.gif", 0, 6, 4, "\xFF\xFF\x01\0", OOD_PICTURE_TOO_LARGE, "65535×18 pixels, more than 65500" },
    { "stored_87a.gif", 0, 786, 4, "\xFF\x7F\xFF\x7F", OOD_PICTURE_TOO_LARGE, "32767×32767" },
};

static void damaged_files_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof damaged / sizeof damaged[0]; i++) {
        const struct damage *d = &damaged[i];
        struct ood_error err = { 0 };
        struct ood_picture picture = { 0 };
        struct ood_bytes bytes = format_file(d->file);
        assert_true(d->at + d->count <= bytes.size);
        memcpy(bytes.data + d->at, d->bytes, d->count);
        if (is_read(d->file)) {
            bool ok = ood_picture_decode(bytes.data, bytes.size, &no_limits, &picture, &err);
            if (ok || err.code != d->code || strstr(err.message, d->part) == NULL)
                fail_msg("%zu, %s at %zu: %s: %s; expected %s with \"%s\"", i, d->file, d->at, ood_code_name(err.code), err.message,
                         ood_code_name(d->code), d->part);
            assert_null(picture.rgb);
        }
        ood_bytes_free(&bytes);
    }
}

/* In memory of just its size, so that a sanitizer sees a byte read too far. */
static bool decode_copy(const unsigned char *bytes, size_t size, const struct ood_decode_limits *limits, struct ood_error *err)
{
    unsigned char *copy = malloc(size == 0 ? 1 : size);
    assert_non_null(copy);
    memcpy(copy, bytes, size);
    struct ood_picture picture = { 0 };
    bool ok = ood_picture_decode(copy, size, limits, &picture, err);
    assert_true(ok == (picture.rgb != NULL));
    ood_picture_free(&picture);
    free(copy);
    return ok;
}

static const char *const wholes[] = {
    "lossy.webp", "lossless_alpha.webp", "lossy_alpha.webp", "orientation_6.webp", "animation_part_alpha.webp", "plain.gif", "frames.gif",
    "part_transparent.gif", "interlaced.gif", "rgb.bmp", "palette_8.bmp", "runs_8.bmp", "runs_4.bmp", "rgba_v5.bmp", "rgb_565.bmp",
    "tiff_lzw.tif", "jpeg_ycbcr.tif", "group4.tif", "tiles_planes.tif", "palette_4.tif", "rgba_premultiplied.tif", "packbits.tif",
};

static void every_prefix_is_truncated(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof wholes / sizeof wholes[0]; i++) {
        struct ood_bytes bytes = format_file(wholes[i]);
        for (size_t size = 0; is_read(wholes[i]) && size < bytes.size; size++) {
            struct ood_error err = { 0 };
            bool ok = decode_copy(bytes.data, size, &no_limits, &err);
            if (ok || (size > 0 && err.code != OOD_PICTURE_TRUNCATED))
                fail_msg("%s cut to %zu of %zu bytes: %s: %s", wholes[i], size, bytes.size, ood_code_name(err.code), err.message);
        }
        ood_bytes_free(&bytes);
    }
}

static void pixels_are_limited(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof wholes / sizeof wholes[0]; i++) {
        struct ood_error err = { 0 };
        struct ood_bytes bytes = format_file(wholes[i]);
        struct ood_decode_limits less = { .pixels = 20 * 18 - 1 }, exact = { .pixels = 20 * 18 };
        if (is_read(wholes[i])) {
            check_fails(decode_copy(bytes.data, bytes.size, &less, &err), OOD_PICTURE_TOO_LARGE, "more than the limit of 359");
            check_ok(decode_copy(bytes.data, bytes.size, &exact, &err));
        }
        ood_bytes_free(&bytes);
    }
}

static void flipped_bits_do_no_harm(void **state)
{
    (void)state;
    struct ood_random random;
    struct ood_decode_limits limits = { .pixels = 1000000 };
    ood_random_seed(&random, 16);
    size_t refused = 0, tried = 0;
    for (size_t i = 0; i < sizeof wholes / sizeof wholes[0]; i++) {
        struct ood_bytes bytes = format_file(wholes[i]);
        for (int round = 0; is_read(wholes[i]) && round < 300; round++, tried++) {
            size_t flips = 1 + ood_random_below(&random, 3), at[3], bit[3];
            size_t head = bytes.size < 200 ? bytes.size : 200;
            for (size_t k = 0; k < flips; k++) {
                at[k] = round % 3 == 0   ? ood_random_below(&random, bytes.size)
                        : round % 3 == 1 ? ood_random_below(&random, head)
                                         : bytes.size - 1 - ood_random_below(&random, head);
                bit[k] = ood_random_below(&random, 8);
                bytes.data[at[k]] ^= (unsigned char)(1u << bit[k]);
            }
            struct ood_error err = { 0 };
            refused += !decode_copy(bytes.data, bytes.size, &limits, &err);
            for (size_t k = flips; k-- > 0;)
                bytes.data[at[k]] ^= (unsigned char)(1u << bit[k]);
        }
        ood_bytes_free(&bytes);
    }
    assert_true(tried == 0 || (refused > tried / 10 && refused < tried));
}

/* A run over an edge, moves out of the picture, data that go on behind the last row: dropped, and nothing else is touched. */
static void runs_outside_are_dropped(void **state)
{
    (void)state;
    if (!is_read(".bmp"))
        skip();
    struct ood_error err = { 0 };
    struct ood_picture picture = { 0 };
    struct ood_bytes bytes = format_file("runs_8.bmp");
    unsigned char *runs = bytes.data + 14 + 40 + 256 * 4;
    memcpy(runs, "\xFF\x01\x00\x02\xFF\x00\xFF\x02\x00\x00\xFF\x03\x00\x02\x00\xFF\xFF\x04", 18);
    check_ok(ood_picture_decode(bytes.data, bytes.size, &no_limits, &picture, &err));
    const unsigned char *last = picture.rgb + 17 * 20 * 3, *above = last - 20 * 3;
    static const unsigned char one[] = { 5, 81, 12 }, three[] = { 15, 103, 18 }, zero[] = { 0, 70, 9 };
    for (size_t x = 0; x < 20; x++) {
        assert_memory_equal(last + 3 * x, one, 3);
        assert_memory_equal(above + 3 * x, three, 3);
        assert_memory_equal(picture.rgb + 3 * x, zero, 3);
    }
    ood_picture_free(&picture);
    ood_bytes_free(&bytes);
}

static void names_of_pictures(void **state)
{
    (void)state;
    static const char *const yes[] = { "a.jpg", "A.JPEG", "b.Png", "c.webp", "d.gif", "e.BMP", "f.tif", "g.TIFF", "x.tar.png" };
    static const char *const no[] = { "jpg", "a.jp", "a.txt", "a.png.txt", "a.", "", "a.jpgx", "a.avif" };
    for (size_t i = 0; i < sizeof yes / sizeof yes[0]; i++)
        assert_true(ood_picture_name(yes[i]));
    for (size_t i = 0; i < sizeof no / sizeof no[0]; i++)
        assert_false(ood_picture_name(no[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_has_the_right_pixels),
        cmocka_unit_test(damaged_files_are_refused),
        cmocka_unit_test(every_prefix_is_truncated),
        cmocka_unit_test(pixels_are_limited),
        cmocka_unit_test(flipped_bits_do_no_harm),
        cmocka_unit_test(runs_outside_are_dropped),
        cmocka_unit_test(names_of_pictures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
