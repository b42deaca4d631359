/* Dimensions that may be multiples of the batch, shapes, tensors. */
#include "check.h"
#include "tensor/tensor.h"

#define N(k) (OOD_BATCH_BASE + (k))
#define MOST_K OOD_BATCH_MOST

static void dimensions_multiply(void **state)
{
    static const struct { int64_t a, b; bool fine; int64_t product; } rows[] = {
        { 3, 4, true, 12 },
        { -1, 4, true, -4 },
        { N(1), 4, true, N(4) },
        { 4, N(1), true, N(4) },
        { N(3), 0, true, 0 },
        { N(1), N(1), false, 0 },                                     /* batch squared */
        { N(2), -1, false, 0 },
        { N(1), MOST_K, true, N(MOST_K) },
        { N(2), MOST_K, false, 0 },
        { INT64_MAX, 2, false, 0 },
        { INT64_MIN, -1, false, 0 },
        { -(INT64_C(1) << 61), 2, true, OOD_BATCH_BASE },             /* the base itself is a plain number */
        { (OOD_BATCH_BASE + 2) / 2, 2, false, 0 },                    /* a product that would read as a multiple of the batch */
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int64_t product = 77;
        bool fine = ood_dim_mul(rows[i].a, rows[i].b, &product);
        if (fine != rows[i].fine || (fine && product != rows[i].product) || (!fine && product != 77))
            fail_msg("row %zu: %d, %lld", i, fine, (long long)product);
    }
}

static void dimensions_divide(void **state)
{
    static const struct { int64_t a, b; bool fine; int64_t quotient; } rows[] = {
        { 12, 4, true, 3 },
        { 13, 4, false, 0 },
        { 12, 0, false, 0 },
        { N(12), 4, true, N(3) },
        { N(12), 5, false, 0 },
        { N(12), N(4), true, 3 },
        { N(4), N(12), false, 0 },
        { 12, N(4), false, 0 },
        { 0, N(4), false, 0 },
        { N(3), 0, false, 0 },
        { N(3), -1, false, 0 },
        { N(3), -3, false, 0 },
        { 12, -1, true, -12 },
        { INT64_MIN, -1, false, 0 },
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int64_t quotient = 77;
        bool fine = ood_dim_div(rows[i].a, rows[i].b, &quotient);
        if (fine != rows[i].fine || (fine && quotient != rows[i].quotient) || (!fine && quotient != 77))
            fail_msg("row %zu: %d, %lld", i, fine, (long long)quotient);
    }
}

static void dimensions_bind(void **state)
{
    (void)state;
    assert_int_equal(ood_dim_bind(7, 3), 7);
    assert_int_equal(ood_dim_bind(-1, 3), -1);
    assert_int_equal(ood_dim_bind(N(1), 3), 3);
    assert_int_equal(ood_dim_bind(N(64), 8), 512);
    assert_int_equal(ood_dim_bind(N(MOST_K), (size_t)1 << 40), INT64_MAX);
    assert_int_equal(ood_dim_bind(N(1), SIZE_MAX), INT64_MAX);
    assert_false(ood_dim_is_batch(OOD_BATCH_BASE));
    assert_true(ood_dim_is_batch(N(MOST_K)));
    assert_false(ood_dim_is_batch(N(MOST_K) + 1));
    assert_false(ood_dim_is_batch(INT64_MIN));
}

static void shapes_count(void **state)
{
    struct ood_shape scalar = { .rank = 0 }, picture = ood_shape_of(4, N(1), INT64_C(3), INT64_C(8), INT64_C(8));
    struct ood_shape squared = ood_shape_of(2, N(1), N(1)), empty = ood_shape_of(2, N(1), INT64_C(0));
    struct ood_shape huge = ood_shape_of(2, INT64_C(1) << 32, INT64_C(1) << 32), large = ood_shape_of(2, INT64_C(1) << 20, (INT64_C(1) << 20) + 1);
    struct ood_shape negative = ood_shape_of(1, INT64_C(-1));
    int64_t elements;
    size_t count;
    (void)state;
    assert_true(ood_shape_elements(&scalar, &elements) && elements == 1);
    assert_true(ood_shape_elements(&picture, &elements) && elements == N(192));
    assert_true(ood_shape_elements(&empty, &elements) && elements == 0);
    assert_false(ood_shape_elements(&squared, &elements));
    assert_false(ood_shape_elements(&huge, &elements));
    assert_false(ood_shape_elements(&negative, &elements));
    assert_false(ood_shape_count(&picture, &count));
    assert_false(ood_shape_count(&large, &count));                    /* more than 2^40 */
    assert_true(ood_shape_has_batch(&picture) && !ood_shape_has_batch(&huge));
    picture = ood_shape_bind(&picture, 5);
    assert_true(ood_shape_count(&picture, &count) && count == 960);
}

static void shapes_broadcast(void **state)
{
    static const struct { struct ood_shape a, b; bool fine; struct ood_shape result; } rows[] = {
        { { 3, { 2, 3, 4 } }, { 1, { 4 } }, true, { 3, { 2, 3, 4 } } },
        { { 2, { 3, 1 } }, { 2, { 1, 4 } }, true, { 2, { 3, 4 } } },
        { { 0, { 0 } }, { 2, { 3, 4 } }, true, { 2, { 3, 4 } } },
        { { 2, { 3, 4 } }, { 2, { 3, 5 } }, false, { 0 } },
        { { 2, { N(1), 4 } }, { 2, { 1, 4 } }, true, { 2, { N(1), 4 } } },
        { { 2, { N(1), 4 } }, { 2, { N(1), 1 } }, true, { 2, { N(1), 4 } } },
        { { 2, { N(1), 4 } }, { 2, { N(2), 4 } }, false, { 0 } },
        { { 2, { N(1), 4 } }, { 2, { 8, 4 } }, false, { 0 } },
        { { 1, { 0 } }, { 1, { 1 } }, true, { 1, { 0 } } },
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (int turned = 0; turned < 2; turned++) {
            struct ood_shape result;
            bool fine = ood_shape_broadcast(turned ? &rows[i].b : &rows[i].a, turned ? &rows[i].a : &rows[i].b, &result);
            if (fine != rows[i].fine || (fine && !ood_shape_equal(&result, &rows[i].result)))
                fail_msg("row %zu, turned %d", i, turned);
        }
}

static void shapes_print(void **state)
{
    struct ood_shape scalar = { .rank = 0 }, picture = ood_shape_of(4, N(1), INT64_C(3), INT64_C(32), INT64_C(32));
    struct ood_shape tokens = ood_shape_of(2, N(64), INT64_C(-1)), wide = { .rank = OOD_MAX_RANK };
    char text[OOD_SHAPE_TEXT];
    (void)state;
    for (size_t i = 0; i < OOD_MAX_RANK; i++)
        wide.dims[i] = INT64_MIN;
    assert_string_equal(ood_shape_print(&scalar, text), "[]");
    assert_string_equal(ood_shape_print(&picture, text), "Nx3x32x32");
    assert_string_equal(ood_shape_print(&tokens, text), "64Nx-1");
    assert_true(strlen(ood_shape_print(&wide, text)) < OOD_SHAPE_TEXT);
}

static void tensors_own_or_borrow(void **state)
{
    struct ood_error err = { 0 };
    struct ood_shape shape = ood_shape_of(2, INT64_C(2), INT64_C(3)), open = ood_shape_of(1, N(1)), negative = ood_shape_of(1, INT64_C(-2));
    struct ood_shape empty = ood_shape_of(2, INT64_C(0), INT64_C(3));
    float numbers[6] = { 1, 2, 3, 4, 5, 6 };
    (void)state;
    struct ood_tensor *view, *copy, *none;
    check_ok(view = ood_tensor_view(OOD_FLOAT32, &shape, numbers, &err));
    check_ok(copy = ood_tensor_copy(view, &err));
    check_ok(none = ood_tensor_new(OOD_INT64, &empty, &err));
    numbers[0] = 9;
    assert_true(ood_f32(view)[0] == 9 && ood_f32(copy)[0] == 1 && ood_f32(copy)[5] == 6);
    assert_int_equal((uintptr_t)copy->data % 64, 0);
    assert_int_equal(none->count, 0);
    ood_tensor_free(view);
    ood_tensor_free(copy);
    ood_tensor_free(none);
    ood_tensor_free(NULL);
    check_fails(ood_tensor_new(OOD_FLOAT32, &open, &err) != NULL, OOD_INVALID, "shape N");
    check_fails(ood_tensor_new(OOD_FLOAT32, &negative, &err) != NULL, OOD_INVALID, "shape -2");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dimensions_multiply), cmocka_unit_test(dimensions_divide), cmocka_unit_test(dimensions_bind),
        cmocka_unit_test(shapes_count),        cmocka_unit_test(shapes_broadcast),  cmocka_unit_test(shapes_print),
        cmocka_unit_test(tensors_own_or_borrow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
