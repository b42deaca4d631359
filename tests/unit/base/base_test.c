/* Errors, memory, files, hashes, numbers, random numbers and shapes. */
#include "check.h"

#include <locale.h>
#include <math.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/number.h"
#include "base/random.h"
#include "tensor/tensor.h"

static void errors_grow_at_the_front(void **state)
{
    (void)state;
    struct ood_error err = { 0 };
    assert_false(ood_fail(&err, OOD_INVALID, "expected %d", 3));
    ood_error_prefix(&err, "node %s", "Conv_1");
    assert_string_equal(err.message, "node Conv_1: expected 3");
    assert_int_equal(err.code, OOD_INVALID);
    char name[600];
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    for (size_t i = 500; i + 2 < sizeof name; i += 2)
        memcpy(name + i, "\xC3\xA4", 2);            /* cut inside a character: no half of one is left */
    ood_error_prefix(&err, "%s", name);
    size_t length = strlen(err.message);
    assert_true(length < sizeof err.message);
    assert_int_not_equal((unsigned char)err.message[length - 1], 0xC3);
    ood_fail_errno(&err, 2, "a.jpg");
    assert_int_equal(err.code, OOD_NOT_FOUND);
    assert_string_equal(err.message, "a.jpg: No such file or directory");
    assert_string_equal(ood_code_name(OOD_PICTURE_TRUNCATED), "picture_truncated");
}

static void sizes_are_checked(void **state)
{
    (void)state;
    struct ood_error err = { 0 };
    check_fails(ood_alloc(SIZE_MAX / 2, 3, &err) != NULL, OOD_OUT_OF_MEMORY, "out of memory");
    check_fails(ood_alloc_aligned(SIZE_MAX, 1, &err) != NULL, OOD_OUT_OF_MEMORY, "out of memory");
    struct ood_pool pool = { .limit = 100 };
    assert_non_null(ood_pool_alloc(&pool, 4, 16, &err));
    check_fails(ood_pool_alloc(&pool, 4, 16, &err) != NULL, OOD_LIMIT, "100 bytes");
    ood_pool_free(&pool);
    int *numbers = NULL;
    size_t capacity = 0;
    for (size_t i = 0; i < 100; i++) {
        check_ok(ood_grow(&numbers, &capacity, i + 1, sizeof *numbers, &err));
        assert_int_equal(numbers[i], 0);
        numbers[i] = (int)i;
    }
    assert_int_equal(numbers[99], 99);
    ood_free(numbers);
}

static void files_and_folders(void **state)
{
    (void)state;
    struct ood_error err = { 0 };
    char folder[] = "/tmp/ood_base_XXXXXX", path[128], file[160];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/a", folder);
    check_ok(ood_file_write(path, "hello", 5, &err));
    struct ood_bytes bytes;
    check_ok(ood_file_read(path, 5, &bytes, &err));
    assert_int_equal(bytes.size, 5);
    assert_string_equal((char *)bytes.data, "hello");
    ood_bytes_free(&bytes);
    check_fails(ood_file_read(path, 4, &bytes, &err), OOD_LIMIT, "limit of 4 bytes");
    check_fails(ood_file_read(folder, 4, &bytes, &err), OOD_INVALID, "is a folder");
    check_fails(ood_file_read("/nonexistent/x", 4, &bytes, &err), OOD_NOT_FOUND, "/nonexistent/x");
    snprintf(path, sizeof path, "%s/bundle/", folder);
    for (int round = 0; round < 2; round++) {       /* new, then exchanged */
        struct ood_folder_file files[] = { { "x", round == 0 ? "1" : "2", 1 }, { "y", "", 0 } };
        check_ok(ood_folder_write(path, files, round == 0 ? 2 : 1, &err));
    }
    struct ood_names names;
    check_ok(ood_folder_names(path, &names, &err));
    assert_int_equal(names.count, 1);
    assert_string_equal(names.items[0], "x");
    ood_names_free(&names);
    check_ok(ood_folder_names(folder, &names, &err));
    assert_int_equal(names.count, 2);               /* a, bundle: nothing temporary is left */
    ood_names_free(&names);
    snprintf(file, sizeof file, "%s/bundle/x", folder);
    assert_int_equal(unlink(file), 0);
    snprintf(file, sizeof file, "%s/bundle", folder);
    assert_int_equal(rmdir(file), 0);
    snprintf(file, sizeof file, "%s/a", folder);
    assert_int_equal(unlink(file), 0);
    assert_int_equal(rmdir(folder), 0);
}

static void hashes(void **state)
{
    (void)state;
    char hex[OOD_HASH_HEX];
    ood_sha256_hex("abc", 3, hex);      /* FIPS 180-2, appendix B.1 */
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

static void numbers(void **state)
{
    (void)state;
    static const struct { const char *text; bool good; double value; } cases[] = {
        { "1.5", true, 1.5 }, { "-1e-3", true, -1e-3 }, { ".5", true, .5 }, { "1,5", false, 0 }, { "", false, 0 },
        { " 1", false, 0 }, { "1 ", false, 0 }, { "nan", false, 0 }, { "1e999", false, 0 }, { "0x10", true, 16 },
    };
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
            double value = 0;
            if (ood_parse_double(cases[i].text, &value) != cases[i].good || value != cases[i].value)
                fail_msg("%s", cases[i].text);
        }
        setlocale(LC_ALL, "de_DE.UTF-8");           /* where there is one, nothing changes */
    }
    setlocale(LC_ALL, "C");
    size_t size;
    assert_true(ood_parse_size("18446744073709551615", &size));
    assert_false(ood_parse_size("18446744073709551616", &size));
    assert_false(ood_parse_size("-1", &size));
    assert_false(ood_parse_size("", &size));
    char text[OOD_NUMBER_TEXT];
    ood_print_double(0.05, text);
    assert_string_equal(text, "0.05");
    ood_print_double(1.0 / 3, text);
    double back;
    assert_true(ood_parse_double(text, &back));
    assert_true(back == 1.0 / 3);
    assert_true(ood_float_as_double(0.4914f) == 0.4914);
    for (float x = 1e-30f; x < 1e30f; x *= 1.7f)
        assert_true((float)ood_float_as_double(x) == x && (float)ood_float_as_double(-x) == -x);
}

/* The shortest of 15 to 17 digits by trying, as the C library prints them. */
static void check_printed(double value)
{
    char expected[OOD_NUMBER_TEXT], text[OOD_NUMBER_TEXT];
    for (int digits = 15; digits <= 17; digits++) {
        double back;
        snprintf(expected, sizeof expected, "%.*g", digits, value);
        if (ood_parse_double(expected, &back) && back == value)
            break;
    }
    ood_print_double(value, text);
    if (strcmp(text, expected) != 0)
        fail_msg("%a is printed as %s; expected %s", value, text, expected);
}

static void printed_numbers(void **state)
{
    (void)state;
    static const double exact[] = { 0, -0.0, 1, -1, 10, 0.1, 0.05, 0.5, 0.25, 100, 123456, 999999999999999, 1e14, 1e15, 1e16, 1e-4, 9.9e-5,
                                    1e-5, 1e22, 1e300, 5e-324, 2.5, 1.0 / 3, 2.0 / 3, 0.3, 0.1 + 0.2, 9.999999999999998, 4503599627370497.5,
                                    0.99999999999999989, 1.0000000000000002 };
    struct ood_random random;
    ood_random_seed(&random, 9);
    for (size_t i = 0; i < sizeof exact / sizeof exact[0]; i++)
        for (int sign = -1; sign <= 1; sign += 2) {
            check_printed(sign * exact[i]);
            check_printed(sign * nextafter(exact[i], 1e308));
            check_printed(sign * nextafter(exact[i], -1e308));
        }
    for (int exponent = -20; exponent < 60; exponent++) {                  /* powers of two and of ten, and what is beside them */
        check_printed(ldexp(1, exponent));
        check_printed(nextafter(ldexp(1, exponent), 0));
        check_printed(pow(10, exponent / 2 - 5));
        check_printed(nextafter(pow(10, exponent / 2 - 5), 0));
    }
    for (size_t i = 0; i < 20000; i++) {
        double any = ood_random_normal(&random) * pow(10, ood_random_uniform(&random) * 24 - 7);
        check_printed(any);
        check_printed(floor(any));
        check_printed((double)ood_random_below(&random, 100000) / 10000);
        check_printed((double)(float)any);
    }
}

static void random_numbers(void **state)
{
    (void)state;
    struct ood_random random;
    ood_random_seed(&random, 0);
    /* splitmix64(0) is published as E220A8397B1DCDAF, 6E789E6AA1B965F4, … */
    assert_true(random.state[0] == 0xE220A8397B1DCDAFu && random.state[1] == 0x6E789E6AA1B965F4u);
    double sum = 0, squares = 0;
    size_t order[100], seen = 0;
    for (size_t i = 0; i < 10000; i++) {
        double x = ood_random_normal(&random);
        sum += x;
        squares += x * x;
        assert_true(ood_random_below(&random, 7) < 7);
    }
    check_close(sum / 10000, 0, 0.05, 0);
    check_close(squares / 10000, 1, 0.06, 0);
    for (size_t i = 0; i < 100; i++)
        order[i] = i;
    ood_random_shuffle(&random, order, 100);
    for (size_t i = 0; i < 100; i++)
        seen += order[i];
    assert_int_equal(seen, 4950);
}

static void batch_dimensions(void **state)
{
    (void)state;
    struct ood_shape a = ood_shape_of(4, ood_batch_dim(1), INT64_C(64), INT64_C(8), INT64_C(8)), b = ood_shape_of(3, INT64_C(64), INT64_C(1), INT64_C(1)), c;
    char text[OOD_SHAPE_TEXT];
    assert_true(ood_shape_broadcast(&a, &b, &c));
    assert_true(ood_shape_equal(&a, &c));
    assert_string_equal(ood_shape_print(&a, text), "Nx64x8x8");
    int64_t elements;
    assert_true(ood_shape_elements(&a, &elements));
    assert_int_equal(ood_batch_factor(elements), 4096);
    assert_true(ood_dim_div(elements, ood_batch_dim(2), &elements) && elements == 2048);
    assert_false(ood_dim_mul(ood_batch_dim(1), ood_batch_dim(1), &elements));
    assert_false(ood_dim_mul(INT64_MAX, 2, &elements));
    assert_false(ood_dim_div(7, 2, &elements));
    assert_int_equal(ood_dim_bind(ood_batch_dim(3), 5), 15);
    size_t count;
    assert_false(ood_shape_count(&a, &count));
    c = ood_shape_bind(&a, 2);
    assert_true(ood_shape_count(&c, &count) && count == 8192);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_grow_at_the_front), cmocka_unit_test(sizes_are_checked),
        cmocka_unit_test(files_and_folders), cmocka_unit_test(hashes), cmocka_unit_test(numbers), cmocka_unit_test(printed_numbers),
        cmocka_unit_test(random_numbers), cmocka_unit_test(batch_dimensions),
    };
    return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
