/* The whole way from bytes to floats: against torchvision's geometry on Pillow's pixels, reduced decoding, EXIF, memory. */
#include "sample.h"

#include <math.h>
#include <stdlib.h>

#include "base/fault.h"
#include "base/number.h"
#include "picture/picture_internal.h"

static float number(const char *text)
{
    double value;
    if (!ood_parse_double(text, &value))
        fail_msg("%s is no number", text);
    return (float)value;
}

static struct ood_preprocess preset(const char *name)
{
    struct ood_preprocess preprocess;
    assert_true(ood_preprocess_preset(name, &preprocess));
    return preprocess;
}

/* Floats of a picture. Freed by free. */
static float *load(const struct ood_bytes *bytes, const struct ood_preprocess *preprocess, struct ood_workspace *workspace)
{
    struct ood_error err = { 0 };
    float *out = malloc(ood_preprocess_floats(preprocess) * sizeof *out);
    assert_non_null(out);
    check_ok(ood_picture_load(bytes->data, bytes->size, 0, preprocess, workspace, out, NULL, &err));
    return out;
}

static void same_floats(const char *what, const float *values, size_t count, const char *expected)
{
    char hex[OOD_HASH_HEX];
    ood_sha256_hex(values, count * sizeof *values, hex);
    if (strcmp(hex, expected) != 0)
        fail_msg("%s: SHA-256 of the floats is %s, expected %s", what, hex, expected);
}

/* Bit for bit: Pillow's pixels, torchvision's Resize and CenterCrop, NumPy's float32 arithmetic. */
static void chains_are_pillows(void **state)
{
    (void)state;
    struct ood_workspace workspace = { 0 };
    struct sample_table table = sample_table("chains.tsv");
    char *f[SAMPLE_FIELDS], what[128];
    size_t count, lines = 0;
    for (; sample_line(&table, f, &count); lines++) {
        struct ood_preprocess p = { .fill = { 114, 115, 116 }, .scale = number(f[8]) };
        assert_int_equal(count, 16);
        assert_true(ood_resize_parse(f[1], &p.resize) && ood_parse_size(f[2], &p.width) && ood_parse_size(f[3], &p.height) &&
                    ood_parse_size(f[4], &p.resize_to) && ood_filter_parse(f[5], &p.filter) &&
                    ood_channels_parse(f[6], &p.channels) && ood_input_layout_parse(f[7], &p.layout));
        for (int c = 0; c < 3; c++) {
            p.mean[c] = number(f[9 + c]);
            p.std[c] = number(f[12 + c]);
        }
        struct ood_bytes bytes = sample(f[0]);
        float *out = load(&bytes, &p, &workspace);
        snprintf(what, sizeof what, "line %zu: %s %s", lines + 1, f[0], f[1]);
        same_floats(what, out, ood_preprocess_floats(&p), f[15]);
        free(out);
        ood_bytes_free(&bytes);
    }
    assert_int_equal(lines, 19);
    ood_bytes_free(&table.text);
    ood_workspace_free(&workspace);
}

/* Root mean square and largest difference, in pixel steps. */
static void measure(const float *a, const float *b, const struct ood_preprocess *p, double *rms, double *largest)
{
    size_t plane = p->width * p->height;
    double sum = 0;
    *largest = 0;
    for (size_t i = 0; i < 3 * plane; i++) {
        double steps = fabs((double)(a[i] - b[i])) * (double)p->std[i / plane] / (double)p->scale;
        sum += steps * steps;
        *largest = fmax(*largest, steps);
    }
    *rms = sqrt(sum / (double)(3 * plane));
}

/* Real photographs. Where a JPEG is decoded at 1/2, 1/4 or 1/8 the bits are those of Pillow that does the same (draft, then a
 * resize of the exact box); against a full decode the agreement is a tolerance: 2 steps of 255 root mean square over a
 * picture and 12 at any value (seen: 1.6 and 11, over photographs shrunk to 32×32). */
static void photographs_agree_with_pillow(void **state)
{
    (void)state;
    struct ood_error err = { 0 };
    check_shared("data/debian_pictures/README.md");
    struct ood_workspace workspace = { 0 };
    struct ood_preprocess cifar = preset("cifar"), imagenet = preset("imagenet");
    struct sample_table table = sample_table("photographs.tsv");
    char *f[SAMPLE_FIELDS], path[256];
    size_t count, lines = 0, large = 0;
    double worst_rms = 0, worst = 0, mean_rms = 0;
    for (; sample_line(&table, f, &count); lines++) {
        snprintf(path, sizeof path, "data/%s", f[0]);
        struct ood_bytes bytes = sample_read(check_shared(path));
        float *small = load(&bytes, &cifar, &workspace);
        same_floats(f[0], small, ood_preprocess_floats(&cifar), f[4]);
        if (strcmp(f[5], "-") != 0) {
            float *out = load(&bytes, &imagenet, &workspace);
            same_floats(f[0], out, ood_preprocess_floats(&imagenet), f[5]);
            free(out);
            large++;
        }
        struct ood_picture picture = { 0 };
        float full[3 * 32 * 32];
        double rms, largest;
        check_ok(ood_picture_decode(bytes.data, bytes.size, &(struct ood_decode_limits){ 0 }, &picture, &err));
        check_ok(ood_preprocess_apply(&cifar, &picture, &workspace, full, &err));
        measure(small, full, &cifar, &rms, &largest);
        if (rms > 2 || largest > 12)
            fail_msg("%s: %.2f steps rms, %.1f at most, from a full decode", f[0], rms, largest);
        mean_rms += rms;
        worst_rms = fmax(worst_rms, rms);
        worst = fmax(worst, largest);
        ood_picture_free(&picture);
        free(small);
        ood_bytes_free(&bytes);
    }
    print_message("%zu photographs equal Pillow (%zu also at 224); reduced against full decode: rms %.3f mean, %.3f worst, "
                  "largest %.1f steps\n", lines, large, mean_rms / (double)lines, worst_rms, worst);
    assert_int_equal(lines, 47);
    ood_bytes_free(&table.text);
    ood_workspace_free(&workspace);
}

static void twelve_megapixels(void **state)
{
    (void)state;
    struct ood_error err = { 0 };
    struct ood_bytes bytes = sample_read(check_shared("data/samples/photo_12mp.jpg"));
    struct ood_picture picture = { 0 }, expected = { 0 };
    struct ood_workspace workspace = { 0 };
    unsigned char small[43 * 32 * 3];
    char hex[OOD_HASH_HEX];
    check_ok(ood_picture_decode(bytes.data, bytes.size, &(struct ood_decode_limits){ 0 }, &picture, &err));
    ood_sha256_hex(picture.rgb, picture.width * picture.height * 3, hex);
    assert_string_equal(hex, "bd8de23d76054974648fe5df9582c3b68e848cb74ffbc6b2f77441883afb14ef");
    check_ok(ood_resize_rgb(picture.rgb, picture.width, picture.height, NULL, OOD_FILTER_BICUBIC, small, 43, 32, &workspace,
                            &err));
    expected = sample_picture("expected/photo_12mp_to32.png");
    for (size_t y = 0; y < 32; y++)
        assert_memory_equal(small + (y * 43 + 5) * 3, expected.rgb + y * 32 * 3, 32 * 3);
    ood_picture_free(&picture);
    ood_picture_free(&expected);
    ood_workspace_free(&workspace);
    ood_bytes_free(&bytes);
}

/* A picture of the input's size is not resampled: each value is (byte · scale − mean) / std, in float steps. */
static void the_inputs_size_is_not_resampled(void **state)
{
    (void)state;
    struct ood_error err = { 0 };
    struct ood_workspace workspace = { 0 };
    unsigned char rgb[32 * 32 * 3];
    float out[3 * 32 * 32];
    for (size_t i = 0; i < sizeof rgb; i++)
        rgb[i] = (unsigned char)(i * 151 + i / 97);
    struct ood_picture picture = { .rgb = rgb, .width = 32, .height = 32 };
    for (int resize = 0; resize < 3; resize++) {
        struct ood_preprocess p = preset("cifar");
        p.resize = (enum ood_resize)resize;
        check_ok(ood_preprocess_apply(&p, &picture, &workspace, out, &err));
        for (size_t i = 0; i < 32 * 32; i++)
            for (size_t c = 0; c < 3; c++) {
                volatile float scaled = (float)rgb[i * 3 + c] * p.scale;
                volatile float centred = scaled - p.mean[c];
                volatile float value = centred / p.std[c];
                assert_true(out[c * 1024 + i] == value);
            }
        assert_null(workspace.resized);
    }
    ood_workspace_free(&workspace);
}

/* `jpeg` with a segment put behind its first two bytes. Freed by ood_bytes_free. */
static struct ood_bytes with_segment(const struct ood_bytes *jpeg, int marker, const void *body, size_t size)
{
    struct ood_error err = { 0 };
    struct ood_bytes out = { ood_alloc(jpeg->size + size + 4, 1, &err), jpeg->size + size + 4 };
    assert_non_null(out.data);
    memcpy(out.data, jpeg->data, 2);
    unsigned char head[4] = { 0xFF, (unsigned char)marker, (unsigned char)((size + 2) >> 8), (unsigned char)(size + 2) };
    memcpy(out.data + 2, head, 4);
    memcpy(out.data + 6, body, size);
    memcpy(out.data + 6 + size, jpeg->data + 2, jpeg->size - 2);
    return out;
}

/* Whatever the kernels do: also where the inverse of a deviation is none, or rounds badly. From 37 columns on every byte is met in every colour. */
static void values_are_the_definition(void **state)
{
    enum { MOST = 70, ROWS = 7 };
    static const char *const limits[] = { "SSE41", "AVX2", "DEFAULT" };
    static const struct { float scale, mean[3], std[3]; } numbers[] = {
        { 1 / 255.0f, { 0, 0, 0 }, { 1, 1, 1 } }, { 1 / 255.0f, { 0.485f, 0.456f, 0.406f }, { 0.229f, 0.224f, 0.225f } },
        { 1, { 0, 0, 0 }, { 1, 1, 1 } }, { 1, { 0, 0, 0 }, { 255, 255, 255 } }, { 1, { 103.53f, 116.28f, 123.675f }, { 57.375f, 57.12f, 58.395f } },
        { 1 / 255.0f, { 0, 0.456f, -1e-3f }, { 1e-40f, 2e-40f, 3e-41f } }, { 1 / 255.0f, { 0, 0.456f, -1e-3f }, { 1e38f, 2e38f, 3e37f } },
        { -0.3f, { -7, 1e-3f, 5e4f }, { -7, -14, 1.0f / 3 } },
    };
    (void)state;
    struct ood_error err = { 0 };
    for (size_t l = 0; l < sizeof limits / sizeof limits[0]; l++)
        for (size_t k = 0; k < sizeof numbers / sizeof numbers[0] * 4; k++) {
            struct ood_workspace workspace = { 0 };          /* which keeps the kernels of before */
            struct ood_preprocess p = { .height = ROWS, .scale = numbers[k / 4].scale, .channels = k % 2 == 0 ? OOD_CHANNELS_RGB : OOD_CHANNELS_BGR,
                                        .layout = k % 4 < 2 ? OOD_INPUT_NCHW : OOD_INPUT_NHWC };
            memcpy(p.mean, numbers[k / 4].mean, sizeof p.mean);
            memcpy(p.std, numbers[k / 4].std, sizeof p.std);
            setenv("ONEDNN_MAX_CPU_ISA", limits[l], 1);
            for (p.width = 1; p.width <= MOST; p.width++) {
                const size_t plane = p.width * ROWS;
                unsigned char rgb[MOST * ROWS * 3];
                float out[MOST * ROWS * 3];
                for (size_t i = 0; i < plane * 3; i++)
                    rgb[i] = (unsigned char)(i / 3 * 37 + i % 3 * 85);
                const struct ood_picture picture = { .rgb = rgb, .width = p.width, .height = ROWS };
                check_ok(ood_preprocess_apply(&p, &picture, &workspace, out, &err));
                for (size_t i = 0; i < plane * 3; i++) {
                    const size_t c = p.channels == OOD_CHANNELS_BGR ? 2 - i % 3 : i % 3;
                    volatile float value = (float)rgb[i] * p.scale;
                    value = value - p.mean[c];
                    value = value / p.std[c];
                    const float expected = value, *found = p.layout == OOD_INPUT_NCHW ? &out[c * plane + i / 3] : &out[i / 3 * 3 + c];
                    if (memcmp(found, &expected, sizeof expected) != 0)
                        fail_msg("%s, width %zu, case %zu, byte %d of colour %zu: %.9g, expected %.9g", limits[l], p.width, k, rgb[i], i % 3,
                                 (double)*found, (double)expected);
                }
            }
            ood_workspace_free(&workspace);
        }
    unsetenv("ONEDNN_MAX_CPU_ISA");
}

/* Turned and reduced: 227×189 at 1/2 ends in half a pixel, which lies at another edge in each orientation. The result must be
 * the turned result of the unturned file, but for rounding (and the order of the two passes). */
static void a_reduced_picture_is_turned_exactly(void **state)
{
    (void)state;
    struct ood_workspace workspace = { 0 };
    struct ood_preprocess p = { .width = 47, .height = 47, .layout = OOD_INPUT_NHWC, .resize = OOD_RESIZE_EXACT,
                                .scale = 1, .std = { 1, 1, 1 } };
    struct ood_bytes jpeg = sample("progressive.jpg");
    float *straight = load(&jpeg, &p, &workspace);
    assert_true(workspace.capacity == 114 * 95 * 3);
    unsigned char bytes[47 * 47 * 3], turned[47 * 47 * 3];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)straight[i];
    for (int orientation = 2; orientation <= 8; orientation++) {
        char exif[] = "Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x01\0\0\0\0\0\0";
        exif[25] = (char)orientation;
        struct ood_bytes file = with_segment(&jpeg, 0xE1, exif, sizeof exif - 1);
        float *out = load(&file, &p, &workspace);
        ood_turn(bytes, 47, 47, orientation, turned);
        for (size_t i = 0; i < sizeof turned; i++)
            if (fabsf(out[i] - (float)turned[i]) > 1)
                fail_msg("orientation %d: value %zu is %g, expected %d", orientation, i, (double)out[i], turned[i]);
        free(out);
        ood_bytes_free(&file);
    }
    free(straight);
    ood_bytes_free(&jpeg);
    ood_workspace_free(&workspace);
}

#define LITTLE "II*\0\x08\0\0\0"
#define BIG "MM\0*\0\0\0\x08"
static const struct { const char *name, *tiff; size_t size; int orientation; } tiffs[] = {
#define TIFF(bytes) bytes, sizeof(bytes) - 1
    { "little", TIFF(LITTLE "\1\0\x12\1\3\0\1\0\0\0\6\0\0\0"), 6 },
    { "big", TIFF(BIG "\0\1\1\x12\0\3\0\0\0\1\0\x08\0\0"), 8 },
    { "second entry", TIFF(BIG "\0\2\1\x0F\0\2\0\0\0\4abcd\1\x12\0\3\0\0\0\1\0\5\0\0"), 5 },
    { "entry behind the end", TIFF(BIG "\0\2\1\x0F\0\2\0\0\0\4abcd\1\x12\0\3\0\0\0\1\0\5\0"), 1 },
    { "more entries than bytes", TIFF(BIG "\xFF\xFF\1\x12\0\3\0\0\0\1\0\3\0\0"), 3 },
    { "value 0", TIFF(BIG "\0\1\1\x12\0\3\0\0\0\1\0\0\0\0"), 1 },
    { "value 9", TIFF(BIG "\0\1\1\x12\0\3\0\0\0\1\0\x09\0\0"), 1 },
    { "a long", TIFF(BIG "\0\1\1\x12\0\4\0\0\0\1\0\0\0\3"), 1 },
    { "two values", TIFF(BIG "\0\1\1\x12\0\3\0\0\0\2\0\3\0\3"), 1 },
    { "directory at the last byte", TIFF("MM\0*\0\0\0\x09\0\1"), 1 },
    { "directory far away", TIFF("MM\0*\xFF\xFF\xFF\xFF\0\1"), 1 },
    { "not 42", TIFF("MM\0+\0\0\0\x08\0\1\1\x12\0\3\0\0\0\1\0\x08\0\0"), 1 },
    { "mixed order", TIFF("MI\0*\0\0\0\x08\0\1\1\x12\0\3\0\0\0\1\0\x08\0\0"), 1 },
    { "nothing", TIFF(""), 1 },
};

static void orientation_is_read_within_bounds(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof tiffs / sizeof tiffs[0]; i++)
        for (size_t size = tiffs[i].size + 1; size-- > 0;) {
            unsigned char *copy = malloc(size == 0 ? 1 : size);       /* of just this size, for the sanitizer */
            assert_non_null(copy);
            memcpy(copy, tiffs[i].tiff, size);
            int orientation = ood_exif_orientation(copy, size);
            free(copy);
            bool whole = size == tiffs[i].size;
            if (whole ? orientation != tiffs[i].orientation : orientation != 1 && orientation != tiffs[i].orientation)
                fail_msg("%s, %zu bytes: %d", tiffs[i].name, size, orientation);
        }
}

/* Junk between segments is a complaint of libjpeg's: scored, and told. */
static void complaints_become_warnings(void **state)
{
    (void)state;
    struct ood_error err = { 0 };
    struct ood_workspace workspace = { 0 };
    struct ood_preprocess p = preset("cifar");
    float out[3 * 32 * 32];
    struct ood_bytes jpeg = sample("grey.jpg");
    struct ood_bytes junk = with_segment(&jpeg, 0xFE, "junk", 4);
    junk.data[5] = 2;                                   /* the comment is empty, what was in it lies bare */
    struct ood_verdict verdict = { 0 };
    check_ok(ood_picture_load(junk.data, junk.size, 0, &p, &workspace, out, &verdict, &err));
    assert_int_equal(verdict.warning_count, 1);
    assert_string_equal(verdict.warnings[0], "Corrupt JPEG data: 4 extraneous bytes before marker 0xe0");
    for (int i = 0; i < 3; i++)
        check_ok(ood_picture_load(junk.data, junk.size, 0, &p, &workspace, out, &verdict, &err));
    assert_int_equal(verdict.warning_count, OOD_WARNINGS);
    struct ood_verdict clean = { 0 };
    check_ok(ood_picture_load(jpeg.data, jpeg.size, 0, &p, &workspace, out, &clean, &err));
    assert_int_equal(clean.warning_count, 0);
    ood_bytes_free(&jpeg);
    ood_bytes_free(&junk);
    ood_workspace_free(&workspace);
}

static void a_failure_leaves_the_output_alone(void **state)
{
    (void)state;
    struct ood_error err = { 0 };
    struct ood_workspace workspace = { 0 };
    struct ood_preprocess p = preset("cifar");
    float out[3 * 32 * 32], untouched[3 * 32 * 32];
    for (size_t i = 0; i < 3 * 32 * 32; i++)
        out[i] = untouched[i] = (float)i;
    struct ood_verdict verdict = { 0 };
    static const char *const files[] = { "bad_truncated.jpg", "bad_truncated.png", "bad_crc.png", "bad_huge_header.png" };
    for (size_t i = 0; i < 4; i++) {
        struct ood_bytes bytes = sample(files[i]);
        assert_false(ood_picture_load(bytes.data, bytes.size, 0, &p, &workspace, out, &verdict, &err));
        assert_int_not_equal(err.code, OOD_OK);
        ood_bytes_free(&bytes);
    }
    assert_memory_equal(out, untouched, sizeof out);
    assert_int_equal(verdict.warning_count, 0);
    ood_workspace_free(&workspace);
}

/* A JPEG without its own tables is not decoded with those of the picture before it. */
static void pictures_share_nothing(void **state)
{
    (void)state;
    struct ood_error err = { 0 };
    struct ood_workspace workspace = { 0 };
    struct ood_preprocess p = preset("cifar");
    float out[3 * 32 * 32];
    struct ood_bytes whole = sample("grey.jpg"), bare = sample("grey.jpg");
    size_t at = 2;
    while (bare.data[at + 1] != 0xDB)
        at += 2 + ((size_t)bare.data[at + 2] << 8 | bare.data[at + 3]);
    bare.data[at + 1] = 0xFE;                           /* its quantization table is a comment now */
    check_ok(ood_picture_load(whole.data, whole.size, 0, &p, &workspace, out, NULL, &err));
    check_fails(ood_picture_load(bare.data, bare.size, 0, &p, &workspace, out, NULL, &err), OOD_PICTURE_CORRUPT,
                "Quantization table");
    ood_bytes_free(&whole);
    ood_bytes_free(&bare);
    ood_workspace_free(&workspace);
}

static void settings_are_checked(void **state)
{
    (void)state;
    struct ood_error err = { 0 };
    struct ood_preprocess good = preset("imagenet"), p;
    check_ok(ood_preprocess_check(&good, &err));
    p = good, p.width = 0;
    check_fails(ood_preprocess_check(&p, &err), OOD_INVALID, "0×224");
    p = good, p.height = OOD_INPUT_SIDE + 1;
    check_fails(ood_preprocess_check(&p, &err), OOD_INVALID, "224×8193");
    p = good, p.resize_to = 223;
    check_fails(ood_preprocess_check(&p, &err), OOD_INVALID, "short side to 223");
    p = good, p.resize_to = SIZE_MAX;
    check_fails(ood_preprocess_check(&p, &err), OOD_INVALID, "short side to");
    p = good, p.std[1] = 0;
    check_fails(ood_preprocess_check(&p, &err), OOD_INVALID, "channel 1");
    p.channels = OOD_CHANNELS_GREY;                     /* then only the first counts */
    check_ok(ood_preprocess_check(&p, &err));
    p = good, p.mean[2] = NAN;
    check_fails(ood_preprocess_check(&p, &err), OOD_INVALID, "channel 2");
    p = good, p.scale = INFINITY;
    check_fails(ood_preprocess_check(&p, &err), OOD_INVALID, "scale");
    assert_false(ood_preprocess_preset("none", &p));
}

static void areas_are_checked(void **state)
{
    (void)state;
    static unsigned char rgb[4 * 3 * 3];
    static const struct ood_box areas[] = {
        { 0, 0, 4.1, 3 }, { 0, 0, 4, 3.1 }, { -1, 0, 4, 3 }, { 4, 0, 4, 3 }, { 0, 0, 0, 3 },
    };
    struct ood_error err = { 0 };
    struct ood_workspace workspace = { 0 };
    struct ood_preprocess p = preset("cifar");
    float out[3 * 32 * 32];
    struct ood_picture picture = { .rgb = rgb, .width = 4, .height = 3 };
    check_ok(ood_preprocess_apply(&p, &picture, &workspace, out, &err));
    for (size_t i = 0; i < sizeof areas / sizeof areas[0]; i++) {
        picture.area = areas[i];
        check_fails(ood_preprocess_apply(&p, &picture, &workspace, out, &err), OOD_INVALID, "reaches outside of 4×3");
    }
    picture = (struct ood_picture){ .rgb = rgb, .width = 0, .height = 3 };
    check_fails(ood_preprocess_apply(&p, &picture, &workspace, out, &err), OOD_INVALID, "0×3");
    ood_workspace_free(&workspace);
}

static void words_go_there_and_back(void **state)
{
    (void)state;
    enum ood_channels channels;
    enum ood_input_layout layout;
    enum ood_resize resize;
    enum ood_filter filter;
    assert_true(ood_channels_parse("grey", &channels) && channels == OOD_CHANNELS_GREY);
    assert_true(ood_input_layout_parse("nhwc", &layout) && layout == OOD_INPUT_NHWC);
    assert_true(ood_resize_parse("letterbox", &resize) && resize == OOD_RESIZE_LETTERBOX);
    assert_true(ood_filter_parse("bicubic", &filter) && filter == OOD_FILTER_BICUBIC);
    assert_string_equal(ood_channels_name(OOD_CHANNELS_BGR), "bgr");
    assert_string_equal(ood_input_layout_name(OOD_INPUT_NCHW), "nchw");
    assert_string_equal(ood_resize_name(OOD_RESIZE_SHORT_SIDE), "short_side");
    assert_string_equal(ood_resize_name(OOD_RESIZE_EXACT), "exact");
    assert_string_equal(ood_filter_name(OOD_FILTER_BILINEAR), "bilinear");
    assert_false(ood_channels_parse("RGB", &channels) || ood_resize_parse("", &resize) || ood_filter_parse("lanczos", &filter));
    assert_int_equal(channels, OOD_CHANNELS_GREY);
}

static const char *const memory_files[] = {
    "progressive.jpg", "exif_orientation_6.jpg", "cmyk_adobe.jpg", "palette_transparent.png", "grey_1bit.png",
};

/* Once each kind of picture was seen, no allocation of ours may fail, as none is made. */
static void a_warm_workspace_allocates_nothing(void **state)
{
    (void)state;
    struct ood_error err = { 0 };
    struct ood_workspace workspace = { 0 };
    struct ood_preprocess p = preset("cifar");
    float out[3 * 32 * 32], again[3 * 32 * 32];
    for (size_t i = 0; i < 5; i++) {
        struct ood_bytes bytes = sample(memory_files[i]);
        check_ok(ood_picture_load(bytes.data, bytes.size, 0, &p, &workspace, out, NULL, &err));
        ood_fault_arm(OOD_FAULT_ALLOC, 1, true);
        bool ok = ood_picture_load(bytes.data, bytes.size, 0, &p, &workspace, again, NULL, &err);
        assert_false(ood_fault_disarm());
        assert_true(ok);
        assert_memory_equal(out, again, sizeof out);
        ood_bytes_free(&bytes);
    }
    ood_workspace_free(&workspace);
}

/* Each allocation fails once: an error, no harm to the workspace, which serves the next picture. */
static void a_failed_allocation_is_an_error(void **state)
{
    (void)state;
    struct ood_preprocess p = preset("cifar");
    float out[3 * 32 * 32];
    for (size_t i = 0; i < 5; i++) {
        struct ood_bytes bytes = sample(memory_files[i]);
        unsigned long nth = 1;
        for (bool fired = true; fired; nth++) {
            struct ood_error err = { 0 };
            struct ood_workspace workspace = { 0 };
            ood_fault_arm(OOD_FAULT_ALLOC, nth, false);
            bool ok = ood_picture_load(bytes.data, bytes.size, 0, &p, &workspace, out, NULL, &err);
            fired = ood_fault_disarm();
            assert_true(ok == !fired && (ok || err.code == OOD_OUT_OF_MEMORY));
            err = (struct ood_error){ 0 };
            check_ok(ood_picture_load(bytes.data, bytes.size, 0, &p, &workspace, out, NULL, &err));
            ood_workspace_free(&workspace);
        }
        assert_true(nth > 4);
        ood_bytes_free(&bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chains_are_pillows),
        cmocka_unit_test(photographs_agree_with_pillow),
        cmocka_unit_test(twelve_megapixels),
        cmocka_unit_test(the_inputs_size_is_not_resampled),
        cmocka_unit_test(values_are_the_definition),
        cmocka_unit_test(a_reduced_picture_is_turned_exactly),
        cmocka_unit_test(orientation_is_read_within_bounds),
        cmocka_unit_test(complaints_become_warnings),
        cmocka_unit_test(a_failure_leaves_the_output_alone),
        cmocka_unit_test(pictures_share_nothing),
        cmocka_unit_test(settings_are_checked),
        cmocka_unit_test(areas_are_checked),
        cmocka_unit_test(words_go_there_and_back),
        cmocka_unit_test(a_warm_workspace_allocates_nothing),
        cmocka_unit_test(a_failed_allocation_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
