/* The safetensors reader and writer: a file of another program's, our own bytes, and everything a header can lie about. */
#include "check.h"

#include "base/random.h"
#include "bundle/safetensors.h"

static struct ood_bytes with_header(const char *header, size_t data_size)
{
    struct ood_error err = { 0 };
    size_t length = strlen(header);
    struct ood_bytes bytes = { ood_alloc(8 + length + data_size, 1, &err), 8 + length + data_size };
    assert_non_null(bytes.data);
    for (size_t i = 0; i < 8; i++)
        bytes.data[i] = (unsigned char)((uint64_t)length >> (8 * i));
    memcpy(bytes.data + 8, header, length);
    return bytes;
}

static void another_programs_file(void **state)
{
    (void)state;
    struct ood_error err = { 0 };
    struct ood_bytes bytes;
    struct ood_safetensors tensors;
    check_ok(ood_file_read(check_data("bundle/other.safetensors"), 1 << 20, &bytes, &err));
    check_ok(ood_safetensors_read(bytes.data, bytes.size, &tensors, &err));
    assert_int_equal(tensors.count, 5);
    for (size_t i = 1; i < tensors.count; i++)
        assert_true(strcmp(tensors.entries[i - 1].name, tensors.entries[i].name) < 0);
    size_t any[2] = { 0, 3 };
    float *weights = ood_safetensors_take(&tensors, "weights", OOD_SAFETENSORS_F32, 2, any, &err);
    assert_non_null(weights);
    assert_true(any[0] == 2 && weights[5] == 5 / 7.0f && weights[0] == 0);
    size_t three[1] = { 3 };
    int64_t *ids = ood_safetensors_take(&tensors, "ids", OOD_SAFETENSORS_I64, 1, three, &err);
    assert_non_null(ids);
    assert_true(ids[0] == -1 && ids[1] == (int64_t)1 << 62 && ids[2] == 3);
    size_t four[1] = { 0 };
    double *scores = ood_safetensors_take(&tensors, "scores", OOD_SAFETENSORS_F64, 1, four, &err);
    assert_non_null(scores);
    assert_true(four[0] == 4 && scores[0] == 0.1 && scores[2] == 5e-324 && scores[3] == 1.7976931348623157e308);
    assert_int_equal(ood_safetensors_find(&tensors, "empty")->count, 0);
    assert_int_equal(ood_safetensors_find(&tensors, "scalar")->rank, 0);
    assert_null(ood_safetensors_find(&tensors, "absent"));
    assert_string_equal(ood_safetensors_metadata(&tensors, "Gruß"), "Grüße");
    assert_null(ood_safetensors_metadata(&tensors, "absent"));

    size_t shape[2] = { 2, 4 };
    check_fails(ood_safetensors_take(&tensors, "absent", OOD_SAFETENSORS_F32, 2, shape, &err) != NULL, OOD_INVALID,
                "absent: missing");
    check_fails(ood_safetensors_take(&tensors, "weights", OOD_SAFETENSORS_F64, 2, shape, &err) != NULL, OOD_INVALID,
                "weights: found F32, expected F64");
    check_fails(ood_safetensors_take(&tensors, "weights", OOD_SAFETENSORS_F32, 2, shape, &err) != NULL, OOD_INVALID,
                "weights: found shape [2, 3], expected [2, 4]");
    check_fails(ood_safetensors_take(&tensors, "weights", OOD_SAFETENSORS_F32, 1, shape, &err) != NULL, OOD_INVALID,
                "weights: found shape [2, 3], expected [2]");
    assert_true(shape[0] == 2 && shape[1] == 4);

    /* truncated anywhere, or with a byte more */
    for (size_t size = 0; size < bytes.size; size++) {
        unsigned char *part = malloc(size + 1);      /* its own block, so that reading past it is seen */
        assert_non_null(part);
        memcpy(part, bytes.data, size);
        struct ood_safetensors none;
        bool done = ood_safetensors_read(part, size, &none, &err);
        free(part);
        assert_false(done);
        assert_int_not_equal(err.code, OOD_OK);
    }
    err = (struct ood_error){ 0 };
    struct ood_safetensors none;
    check_fails(ood_safetensors_read(bytes.data, bytes.size + 1, &none, &err), OOD_INVALID, "bytes of data, expected");
    ood_free(weights);
    ood_free(ids);
    ood_free(scores);
    ood_safetensors_free(&tensors);
    ood_safetensors_free(&tensors);
    ood_bytes_free(&bytes);
}

static void our_own_bytes(void **state)
{
    (void)state;
    struct ood_error err = { 0 };
    const struct ood_safetensors_entry entries[] = {
        { .name = "b", .type = OOD_SAFETENSORS_F32, .rank = 1, .shape = { 1 }, .data = (float[]){ 1 } },
        { .name = "a", .type = OOD_SAFETENSORS_F32, .rank = 2, .shape = { 1, 2 }, .data = (float[]){ -2, 0.5f } },
        { .name = "c", .type = OOD_SAFETENSORS_F64, .rank = 0, .data = (double[]){ 3 } },
    };
    static const char expected[] =
        "\xc8\0\0\0\0\0\0\0"
        "{\"__metadata__\":{\"isa\":\"avx2\"},\"a\":{\"data_offsets\":[8,16],\"dtype\":\"F32\",\"shape\":[1,2]},"
        "\"b\":{\"data_offsets\":[16,20],\"dtype\":\"F32\",\"shape\":[1]},\"c\":{\"data_offsets\":[0,8],\"dtype\":\"F64\","
        "\"shape\":[]}}"
        "\0\0\0\0\0\0\x08\x40" "\0\0\0\xc0\0\0\0\x3f" "\0\0\x80\x3f";
    struct ood_bytes bytes, again;
    check_ok(ood_safetensors_write(entries, 3, (const char *const[]){ "isa", "avx2" }, 1, &bytes, &err));
    size_t header = bytes.size - 20, text = sizeof expected - 1 - 20 - 8;      /* the padded header; its text */
    assert_int_equal(bytes.data[0], (text + 7) / 8 * 8);
    assert_memory_equal(bytes.data + 8, expected + 8, text);
    for (size_t i = text; i < header - 8; i++)
        assert_int_equal(bytes.data[8 + i], ' ');
    assert_memory_equal(bytes.data + bytes.size - 20, expected + sizeof expected - 1 - 20, 20);
    struct ood_safetensors_entry turned[] = { entries[2], entries[1], entries[0] };
    check_ok(ood_safetensors_write(turned, 3, (const char *const[]){ "isa", "avx2" }, 1, &again, &err));
    assert_int_equal(again.size, bytes.size);
    assert_memory_equal(again.data, bytes.data, bytes.size);
    ood_bytes_free(&again);
    struct ood_safetensors tensors;
    check_ok(ood_safetensors_read(bytes.data, bytes.size, &tensors, &err));
    size_t shape[2] = { 0, 0 };
    float *a = ood_safetensors_take(&tensors, "a", OOD_SAFETENSORS_F32, 2, shape, &err);
    assert_non_null(a);
    assert_true(a[0] == -2 && a[1] == 0.5f);
    ood_free(a);
    ood_safetensors_free(&tensors);
    ood_bytes_free(&bytes);

    check_ok(ood_safetensors_write(NULL, 0, NULL, 0, &bytes, &err));      /* nothing is a file, too */
    check_ok(ood_safetensors_read(bytes.data, bytes.size, &tensors, &err));
    assert_int_equal(tensors.count, 0);
    ood_safetensors_free(&tensors);
    ood_bytes_free(&bytes);
    struct ood_safetensors_entry large = { .name = "large", .rank = 2, .shape = { SIZE_MAX / 2, 3 }, .data = "" };
    check_fails(ood_safetensors_write(&large, 1, NULL, 0, &bytes, &err), OOD_LIMIT, "large: too large");
    large = (struct ood_safetensors_entry){ .name = "\xff", .rank = 0, .data = (float[]){ 1 } };
    check_fails(ood_safetensors_write(&large, 1, NULL, 0, &bytes, &err), OOD_INVALID, "UTF-8");
}

static void what_a_header_can_lie_about(void **state)
{
    (void)state;
    static const struct { const char *header; size_t data; enum ood_code code; const char *part; } cases[] = {
        { "[]", 0, OOD_INVALID, "header: found an array of 0, expected an object" },
        { "", 0, OOD_INVALID, "header: line 1" },
        { "{", 0, OOD_INVALID, "header: line 1" },
        { "{}x", 0, OOD_INVALID, "header: line 1" },
        { "{\"\xff\":1}", 0, OOD_INVALID, "header: line 1" },
        { "{\"a\":1}", 0, OOD_INVALID, "a: found 1, expected an object" },
        { "{\"a\":{}}", 0, OOD_INVALID, "a: dtype: found nothing" },
        { "{\"a\":{\"dtype\":\"F16\",\"shape\":[],\"data_offsets\":[0,2]}}", 2, OOD_INVALID, "a: dtype: found \"F16\"" },
        { "{\"a\":{\"dtype\":4,\"shape\":[],\"data_offsets\":[0,4]}}", 4, OOD_INVALID, "a: dtype: found 4" },
        { "{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", 4, OOD_INVALID, "a: shape: expected an array" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,4]}}", 4, OOD_INVALID, "a: shape" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,4]}}", 4, OOD_INVALID, "shape[0]: found -1" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[1.0],\"data_offsets\":[0,4]}}", 4, OOD_INVALID, "shape[0]: found 1" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[9223372036854775807,3],\"data_offsets\":[0,4]}}", 4, OOD_LIMIT, "a: shape" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[4611686018427387905],\"data_offsets\":[0,4]}}", 4, OOD_INVALID,
          "elements of 4" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,4]}}", 4, OOD_INVALID, "a: data_offsets: found 4 bytes" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0]}}", 4, OOD_INVALID, "array of 2 offsets" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4,8]}}", 4, OOD_INVALID, "array of 2 offsets" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[-4,0]}}", 4, OOD_INVALID, "array of 2 offsets" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}", 4, OOD_INVALID, "within 4 bytes" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[8,4]}}", 8, OOD_INVALID, "found 8 to 4" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}", 8, OOD_INVALID, "a gap at byte 0" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 8, OOD_INVALID, "found 8 bytes of data, expected 4" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
          "\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[2,6]}}", 6, OOD_INVALID, "overlap at byte 2" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
          "\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4, OOD_INVALID, "overlap at byte 0" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
          "\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4, OOD_INVALID, "duplicate" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4],\"more\":1}}", 4, OOD_INVALID, "a: more: not" },
        { "{\"__metadata__\":[]}", 0, OOD_INVALID, "__metadata__: expected an object" },
        { "{\"__metadata__\":{\"a\":1}}", 0, OOD_INVALID, "__metadata__: expected strings" },
        { "{\"an extremely long name of more than forty bytes, with \\n in it\":1}", 0, OOD_INVALID, "more than fort…: found 1, expected an object" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ood_error err = { 0 };
        struct ood_safetensors out = { .count = 77 };
        struct ood_bytes bytes = with_header(cases[i].header, cases[i].data);
        if (ood_safetensors_read(bytes.data, bytes.size, &out, &err) || err.code != cases[i].code ||
            strstr(err.message, cases[i].part) == NULL || out.count != 77)
            fail_msg("%s: %s: %s; expected \"%s\"", cases[i].header, ood_code_name(err.code), err.message, cases[i].part);
        ood_bytes_free(&bytes);
    }
    /* header lengths: all of size_t, more than the limit, more than there is */
    struct ood_error err = { 0 };
    struct ood_safetensors none;
    check_fails(ood_safetensors_read("\xff\xff\xff\xff\xff\xff\xff\xff{}", 10, &none, &err), OOD_LIMIT, "header: found");
    check_fails(ood_safetensors_read("\3\0\0\0\0\0\0\0{}", 10, &none, &err), OOD_INVALID, "header: found 2 bytes, expected 3");
    /* a thousand levels of arrays are Jansson's to refuse or take; ours not to fall over */
    char *deep = malloc(20001);
    assert_non_null(deep);
    memset(deep, '[', 20000);
    deep[20000] = '\0';
    struct ood_bytes bytes = with_header(deep, 0);
    check_fails(ood_safetensors_read(bytes.data, bytes.size, &none, &err), OOD_INVALID, "maximum parsing depth");
    ood_bytes_free(&bytes);
    free(deep);
}

/* Flipped bits: refused or read, and what is read lies within the bytes (the sanitizers watch). */
static void flipped_bits(void **state)
{
    (void)state;
    struct ood_error err = { 0 };
    struct ood_bytes bytes;
    struct ood_random random;
    ood_random_seed(&random, 3);
    check_ok(ood_file_read(check_data("bundle/other.safetensors"), 1 << 20, &bytes, &err));
    for (size_t i = 0; i < 8 * bytes.size; i++) {
        unsigned char *copy = malloc(bytes.size);
        assert_non_null(copy);
        memcpy(copy, bytes.data, bytes.size);
        copy[i / 8] ^= (unsigned char)(1u << i % 8);
        if (i % 3 == 0)
            copy[ood_random_below(&random, bytes.size)] = (unsigned char)ood_random_next(&random);
        struct ood_safetensors tensors;
        struct ood_error ignored = { 0 };
        if (ood_safetensors_read(copy, bytes.size, &tensors, &ignored)) {
            for (size_t t = 0; t < tensors.count; t++) {
                const struct ood_safetensors_entry *entry = &tensors.entries[t];
                size_t shape[OOD_SAFETENSORS_RANK] = { 0 };
                void *values = ood_safetensors_take(&tensors, entry->name, entry->type, entry->rank, shape, &err);
                assert_non_null(values);
                ood_free(values);
            }
            ood_safetensors_free(&tensors);
        } else {
            assert_int_not_equal(ignored.code, OOD_OK);
        }
        free(copy);
    }
    ood_bytes_free(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(another_programs_file),
        cmocka_unit_test(our_own_bytes),
        cmocka_unit_test(what_a_header_can_lie_about),
        cmocka_unit_test(flipped_bits),
    };
    return cmocka_run_group_tests_name("safetensors", tests, NULL, NULL);
}
