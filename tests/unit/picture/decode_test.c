/* Decoding: every sample against its right pixels, broken ones refused with their code, hostile bytes. */
#include "sample.h"

#include "base/number.h"
#include "base/random.h"

static const struct ood_decode_limits no_limits = { 0 };

/* A table of file, width, height, hash of the pixels. Returns its lines. */
static size_t check_hashes(const char *table_name)
{
    struct sample_table table = sample_table(table_name);
    char *field[SAMPLE_FIELDS], hex[OOD_HASH_HEX];
    size_t count, lines = 0, width, height;
    for (; sample_line(&table, field, &count); lines++) {
        struct ood_picture picture = sample_picture(field[0]);
        assert_int_equal(count, 4);
        assert_true(ood_parse_size(field[1], &width) && ood_parse_size(field[2], &height));
        assert_int_equal(picture.width, width);
        assert_int_equal(picture.height, height);
        ood_sha256_hex(picture.rgb, width * height * 3, hex);
        if (strcmp(hex, field[3]) != 0)
            fail_msg("%s: SHA-256 of the pixels is %s, expected %s", field[0], hex, field[3]);
        ood_picture_free(&picture);
    }
    ood_bytes_free(&table.text);
    return lines;
}

/* The expected pictures are PNGs that we read ourselves; what we read is compared with what Pillow read. Also JPEGs of samplings
 * that TurboJPEG has no name for. */
static void expected_pictures_are_read_as_pillow_reads_them(void **state)
{
    (void)state;
    assert_int_equal(check_hashes("decoded.tsv"), 30);
}

/* Every colour type and depth, plain and interlaced, with and without a transparent colour; pixels computed by NumPy. */
static void every_kind_of_png_is_read(void **state)
{
    (void)state;
    assert_int_equal(check_hashes("pngs.tsv"), 52);
}

/* JPEG within `most` of the expected pixels: 0, as both come from libjpeg-turbo with the accurate DCT and smooth chroma. */
static const struct { const char *file, *expected; int most; } pairs[] = {
    { "progressive.jpg", "progressive.png", 0 },
    { "grey.jpg", "grey.png", 0 },
    { "cmyk_adobe.jpg", "cmyk_adobe.png", 0 },
    { "ycck_adobe.jpg", "ycck_adobe.png", 0 },
    { "restart_422.jpg", "restart_422.png", 0 },
    { "sample_440.jpg", "sample_440.png", 0 },
    { "arithmetic.jpg", "arithmetic.png", 0 },
    { "exif_orientation_1.jpg", "exif_orientation_1.png", 0 },
    { "exif_orientation_2.jpg", "exif_orientation_2.png", 0 },
    { "exif_orientation_3.jpg", "exif_orientation_3.png", 0 },
    { "exif_orientation_4.jpg", "exif_orientation_4.png", 0 },
    { "exif_orientation_5.jpg", "exif_orientation_5.png", 0 },
    { "exif_orientation_6.jpg", "exif_orientation_6.png", 0 },
    { "exif_orientation_7.jpg", "exif_orientation_7.png", 0 },
    { "exif_orientation_8.jpg", "exif_orientation_8.png", 0 },
    { "rgb16.png", "rgb16_top_byte.png", 0 },
    { "palette_transparent.png", "palette_transparent_over_white.png", 0 },
    { "grey_alpha.png", "grey_alpha_over_white.png", 0 },
    { "grey_1bit.png", "grey_1bit.png", 0 },
    { "interlaced.png", "base.png", 0 },
    { "png_named.jpg", "exif_upright.png", 0 },
};

static void samples_have_the_right_pixels(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        char expected_name[128];
        snprintf(expected_name, sizeof expected_name, "expected/%s", pairs[i].expected);
        struct ood_picture picture = sample_picture(pairs[i].file), expected = sample_picture(expected_name);
        assert_int_equal(picture.warning_count, 0);
        if (picture.width != expected.width || picture.height != expected.height)
            fail_msg("%s: %zu×%zu pixels, expected %zu×%zu", pairs[i].file, picture.width, picture.height, expected.width,
                     expected.height);
        int largest = 0;
        size_t different = 0;
        for (size_t k = 0; k < picture.width * picture.height * 3; k++) {
            int difference = abs(picture.rgb[k] - expected.rgb[k]);
            largest = difference > largest ? difference : largest;
            different += difference != 0;
        }
        if (largest > pairs[i].most)
            fail_msg("%s: %zu values differ, by up to %d; at most %d expected", pairs[i].file, different, largest,
                     pairs[i].most);
        ood_picture_free(&picture);
        ood_picture_free(&expected);
    }
}

static const struct { const char *file; enum ood_code code; const char *part; } bad[] = {
    { "bad_truncated.jpg", OOD_PICTURE_TRUNCATED, "JPEG: the data end (6639 bytes)" },
    { "bad_truncated.png", OOD_PICTURE_TRUNCATED, "PNG: the data end" },
    { "bad_crc.png", OOD_PICTURE_CORRUPT, "checksum" },
    { "bad_crc_header.png", OOD_PICTURE_CORRUPT, "checksum" },
    { "bad_huge_header.png", OOD_PICTURE_TOO_LARGE, "60000×60000 pixels, more than the limit of 40000000" },
    { "bad_empty.jpg", OOD_PICTURE_EMPTY, "no bytes" },
    { "../picture/jpeg/two_components.jpg", OOD_PICTURE_UNSUPPORTED, "Could not determine" },
    { "README.md", OOD_PICTURE_UNKNOWN, "(23 20 73 61 6d 70 6c 65)" },
};

static void broken_pictures_are_refused(void **state)
{
    (void)state;
    struct ood_error err = { 0 };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct ood_bytes bytes = sample(bad[i].file);
        struct ood_picture picture = { 0 };
        check_fails(ood_picture_decode(bytes.data, bytes.size, &no_limits, &picture, &err), bad[i].code, bad[i].part);
        assert_null(picture.rgb);
        ood_bytes_free(&bytes);
    }
}

static void other_formats_are_named(void **state)
{
    (void)state;
    struct ood_error err = { 0 };
    struct ood_picture picture = { 0 };
    check_fails(ood_picture_decode("\0\0\0\x1C" "ftypavif", 12, &no_limits, &picture, &err), OOD_PICTURE_UNKNOWN, "AVIF");
    check_fails(ood_picture_decode("\0\0\0\x0CJXL \r\n\x87\n", 12, &no_limits, &picture, &err), OOD_PICTURE_UNKNOWN, "JPEG XL");
    check_fails(ood_picture_decode("RIFF\0\0\0\0WAVEfmt ", 16, &no_limits, &picture, &err), OOD_PICTURE_UNKNOWN, "are those of no picture");
    check_fails(ood_picture_decode("x", 1, &no_limits, &picture, &err), OOD_PICTURE_UNKNOWN, "(78)");
}

static void limits_are_asked_of_the_header(void **state)
{
    (void)state;
    struct ood_error err = { 0 };
    struct ood_picture picture = { 0 };
    struct ood_bytes jpeg = sample("progressive.jpg"), png = sample("interlaced.png");
    struct ood_decode_limits exact = { .pixels = 227 * 189 }, less = { .pixels = 227 * 189 - 1 };
    check_fails(ood_picture_decode(jpeg.data, jpeg.size, &less, &picture, &err), OOD_PICTURE_TOO_LARGE, "227×189");
    check_fails(ood_picture_decode(png.data, png.size, &less, &picture, &err), OOD_PICTURE_TOO_LARGE, "227×189");
    check_ok(ood_picture_decode(jpeg.data, jpeg.size, &exact, &picture, &err));
    ood_picture_free(&picture);
    check_ok(ood_picture_decode(png.data, png.size, &exact, &picture, &err));
    ood_picture_free(&picture);

    /* the same files that claim other sizes */
    size_t sof = 0;
    while (!(jpeg.data[sof] == 0xFF && jpeg.data[sof + 1] == 0xC2))
        sof++;
    memset(jpeg.data + sof + 5, 0xFF, 4);
    check_fails(ood_picture_decode(jpeg.data, jpeg.size, &no_limits, &picture, &err), OOD_PICTURE_TOO_LARGE, "65500");
    memset(png.data + 16, 0x7F, 4);
    check_fails(ood_picture_decode(png.data, png.size, &no_limits, &picture, &err), OOD_PICTURE_TOO_LARGE, "on a side");
    memset(png.data + 16, 0, 4);
    check_fails(ood_picture_decode(png.data, png.size, &no_limits, &picture, &err), OOD_PICTURE_CORRUPT, "0×189");
    ood_bytes_free(&jpeg);
    ood_bytes_free(&png);
}

static void jpegs_are_reduced_while_decoding(void **state)
{
    (void)state;
    struct ood_error err = { 0 };
    static const struct { const char *file; size_t least_width, least_height, width, height; } cases[] = {
        { "progressive.jpg", 0, 0, 227, 189 }, { "progressive.jpg", 113, 94, 114, 95 },
        { "progressive.jpg", 114, 94, 227, 189 }, { "progressive.jpg", 113, 95, 227, 189 },
        { "progressive.jpg", 28, 23, 29, 24 }, { "progressive.jpg", 1, 1, 29, 24 },
        { "exif_orientation_6.jpg", 60, 40, 60, 40 }, { "exif_orientation_6.jpg", 40, 60, 120, 80 },
        { "cmyk_adobe.jpg", 56, 47, 57, 48 }, { "interlaced.png", 1, 1, 227, 189 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ood_bytes bytes = sample(cases[i].file);
        struct ood_decode_limits limits = { .least_width = cases[i].least_width, .least_height = cases[i].least_height };
        struct ood_picture picture = { 0 };
        check_ok(ood_picture_decode(bytes.data, bytes.size, &limits, &picture, &err));
        if (picture.width != cases[i].width || picture.height != cases[i].height)
            fail_msg("%s for %zu×%zu: %zu×%zu pixels", cases[i].file, limits.least_width, limits.least_height, picture.width,
                     picture.height);
        bool exif = strncmp(cases[i].file, "exif", 4) == 0;
        assert_int_equal(picture.original_width, exif ? 120 : 227);
        assert_int_equal(picture.original_height, exif ? 80 : 189);
        ood_picture_free(&picture);
        ood_bytes_free(&bytes);
    }
}

/* A prefix of a file, in memory of just its size, so that a sanitizer sees a byte read too far. */
static bool decode_copy(const unsigned char *bytes, size_t size, struct ood_error *err)
{
    unsigned char *copy = malloc(size == 0 ? 1 : size);
    assert_non_null(copy);
    memcpy(copy, bytes, size);
    struct ood_picture picture = { 0 };
    bool ok = ood_picture_decode(copy, size, &no_limits, &picture, err);
    assert_true(ok == (picture.rgb != NULL));
    ood_picture_free(&picture);
    free(copy);
    return ok;
}

static void every_prefix_is_refused(void **state)
{
    (void)state;
    static const char *const files[] = { "exif_orientation_6.jpg", "grey_1bit.png", "progressive.jpg" };
    for (size_t i = 0; i < 3; i++) {
        struct ood_bytes bytes = sample(files[i]);
        for (size_t size = 0; size < bytes.size; size++) {
            struct ood_error err = { 0 };
            bool ok = decode_copy(bytes.data, size, &err);
            if (ok || (size > 0 && err.code != OOD_PICTURE_TRUNCATED))
                fail_msg("%s cut to %zu bytes: %s: %s", files[i], size, ood_code_name(err.code), err.message);
        }
        ood_bytes_free(&bytes);
    }
}

/* `jpeg` with its last scan `more` times again. Freed by ood_bytes_free. */
static struct ood_bytes with_scans(const struct ood_bytes *jpeg, size_t more)
{
    struct ood_error err = { 0 };
    size_t scan = jpeg->size - 2;
    while (!(jpeg->data[scan] == 0xFF && jpeg->data[scan + 1] == 0xDA))
        scan--;
    size_t length = jpeg->size - 2 - scan;
    struct ood_bytes out = { ood_alloc(jpeg->size + more * length, 1, &err), jpeg->size + more * length };
    assert_non_null(out.data);
    memcpy(out.data, jpeg->data, jpeg->size - 2);
    for (size_t i = 0; i < more; i++)
        memcpy(out.data + jpeg->size - 2 + i * length, jpeg->data + scan, length);
    memcpy(out.data + out.size - 2, "\xFF\xD9", 2);
    return out;
}

static void scans_are_limited(void **state)
{
    (void)state;
    struct ood_error err = { 0 };
    struct ood_picture picture = { 0 };
    struct ood_bytes jpeg = sample("progressive.jpg");          /* of 10 scans */
    struct ood_bytes most = with_scans(&jpeg, 90), more = with_scans(&jpeg, 91), large = with_scans(&jpeg, 11);
    check_ok(ood_picture_decode(most.data, most.size, &no_limits, &picture, &err));
    assert_int_equal(picture.warning_count, 1);
    ood_picture_free(&picture);
    check_fails(ood_picture_decode(more.data, more.size, &no_limits, &picture, &err), OOD_PICTURE_UNSUPPORTED, "101 scans");
    check_ok(ood_picture_decode(large.data, large.size, &no_limits, &picture, &err));
    ood_picture_free(&picture);
    size_t sof = 0;
    while (!(large.data[sof] == 0xFF && large.data[sof + 1] == 0xC2))
        sof++;
    memcpy(large.data + sof + 5, "\x18\x6A\x18\x6A", 4);       /* 6250×6250 pixels */
    check_fails(ood_picture_decode(large.data, large.size, &no_limits, &picture, &err), OOD_PICTURE_UNSUPPORTED,
                "21 scans over 6250×6250 pixels");
    ood_bytes_free(&jpeg);
    ood_bytes_free(&most);
    ood_bytes_free(&more);
    ood_bytes_free(&large);
}

/* A JPEG cut in its scan and closed with an end marker is no whole picture either. */
static void a_closed_stump_is_truncated(void **state)
{
    (void)state;
    struct ood_error err = { 0 };
    struct ood_bytes bytes = sample("exif_orientation_1.jpg");
    size_t half = bytes.size / 2;
    bytes.data[half] = 0xFF;
    bytes.data[half + 1] = 0xD9;
    check_fails(decode_copy(bytes.data, half + 2, &err), OOD_PICTURE_TRUNCATED, "remature end");
    ood_bytes_free(&bytes);
}

static void flipped_bits_do_no_harm(void **state)
{
    (void)state;
    static const char *const files[] = {
        "exif_orientation_6.jpg", "progressive.jpg", "arithmetic.jpg", "ycck_adobe.jpg", "palette_transparent.png",
        "grey_1bit.png",
    };
    struct ood_random random;
    ood_random_seed(&random, 12);
    size_t refused = 0, tried = 0;
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        struct ood_bytes bytes = sample(files[i]);
        for (int round = 0; round < 60; round++, tried++) {
            size_t flips = 1 + ood_random_below(&random, 4), at[4], bit[4];
            size_t head = bytes.size < 700 ? bytes.size : 700, reach = round % 2 == 0 ? bytes.size : head;
            for (size_t k = 0; k < flips; k++) {
                at[k] = ood_random_below(&random, reach);
                bit[k] = ood_random_below(&random, 8);
                bytes.data[at[k]] ^= (unsigned char)(1u << bit[k]);
            }
            struct ood_error err = { 0 };
            refused += !decode_copy(bytes.data, bytes.size, &err);
            for (size_t k = flips; k-- > 0;)
                bytes.data[at[k]] ^= (unsigned char)(1u << bit[k]);
        }
        struct ood_error err = { 0 };
        assert_true(decode_copy(bytes.data, bytes.size, &err));
        ood_bytes_free(&bytes);
    }
    assert_true(refused > tried / 4 && refused < tried);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(expected_pictures_are_read_as_pillow_reads_them),
        cmocka_unit_test(every_kind_of_png_is_read),
        cmocka_unit_test(scans_are_limited),
        cmocka_unit_test(samples_have_the_right_pixels),
        cmocka_unit_test(broken_pictures_are_refused),
        cmocka_unit_test(other_formats_are_named),
        cmocka_unit_test(limits_are_asked_of_the_header),
        cmocka_unit_test(jpegs_are_reduced_while_decoding),
        cmocka_unit_test(every_prefix_is_refused),
        cmocka_unit_test(a_closed_stump_is_truncated),
        cmocka_unit_test(flipped_bits_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
