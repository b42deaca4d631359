/* Thumbnails: the size they come in, upright, near to the picture; what cannot be decoded. And base64, which carries them. */
#include "check.h"

#include "base/base64.h"
#include "picture/picture.h"

static void read_sample(const char *name, struct ood_bytes *bytes)
{
    struct ood_error err = { 0 };
    char path[64];
    snprintf(path, sizeof path, "samples/%s", name);
    check_ok(ood_file_read(check_data(path), 1 << 24, bytes, &err));
}

static void sizes(void **state)
{
    (void)state;
    struct ood_error err = { 0 };
    static const char *const names[] = { "exif_orientation_6.jpg", "exif_orientation_1.jpg", "cmyk_adobe.jpg" };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        static const size_t sides[] = { 1, 7, 64, 1024 };
        struct ood_bytes bytes, jpeg;
        struct ood_picture whole = { 0 };
        read_sample(names[i], &bytes);
        check_ok(ood_picture_decode(bytes.data, bytes.size, &(struct ood_decode_limits){ 0 }, &whole, &err));
        for (size_t s = 0; s < sizeof sides / sizeof sides[0]; s++) {
            struct ood_picture small = { 0 };
            check_ok(ood_picture_thumbnail(bytes.data, bytes.size, 0, sides[s], &jpeg, &err));
            check_ok(ood_picture_decode(jpeg.data, jpeg.size, &(struct ood_decode_limits){ 0 }, &small, &err));
            size_t longest = whole.width > whole.height ? whole.width : whole.height, longer = small.width > small.height ? small.width : small.height;
            assert_int_equal(longer, longest < sides[s] ? longest : sides[s]);
            assert_true((whole.width >= whole.height) == (small.width >= small.height) || sides[s] == 1);
            double sum[2] = { 0, 0 };        /* the mean stays */
            for (size_t k = 0; k < whole.width * whole.height * 3; k++)
                sum[0] += whole.rgb[k] / (double)(whole.width * whole.height * 3);
            for (size_t k = 0; k < small.width * small.height * 3; k++)
                sum[1] += small.rgb[k] / (double)(small.width * small.height * 3);
            if (sides[s] >= 64)
                check_close(sum[1], sum[0], 4, 0);
            ood_picture_free(&small);
            ood_bytes_free(&jpeg);
        }
        ood_picture_free(&whole);
        ood_bytes_free(&bytes);
    }
}

static void refusals(void **state)
{
    (void)state;
    struct ood_error err = { 0 };
    struct ood_bytes bytes, jpeg = { NULL, 7 };
    read_sample("bad_truncated.jpg", &bytes);
    check_fails(ood_picture_thumbnail(bytes.data, bytes.size, 0, 64, &jpeg, &err), OOD_PICTURE_TRUNCATED, "");
    check_fails(ood_picture_thumbnail(bytes.data, 0, 0, 64, &jpeg, &err), OOD_PICTURE_EMPTY, "");
    ood_bytes_free(&bytes);
    read_sample("exif_orientation_1.jpg", &bytes);
    check_fails(ood_picture_thumbnail(bytes.data, bytes.size, 10, 64, &jpeg, &err), OOD_PICTURE_TOO_LARGE, "");
    ood_bytes_free(&bytes);
    assert_true(jpeg.data == NULL && jpeg.size == 7);
}

static void base64(void **state)
{
    (void)state;
    struct ood_error err = { 0 };
    static const char *const cases[][2] = {      /* RFC 4648 section 10 */
        { "", "" }, { "f", "Zg==" }, { "fo", "Zm8=" }, { "foo", "Zm9v" }, { "foob", "Zm9vYg==" }, { "fooba", "Zm9vYmE=" }, { "foobar", "Zm9vYmFy" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *text = ood_base64(cases[i][0], strlen(cases[i][0]), &err);
        check_ok(text != NULL);
        assert_string_equal(text, cases[i][1]);
        ood_free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(sizes), cmocka_unit_test(refusals), cmocka_unit_test(base64) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
