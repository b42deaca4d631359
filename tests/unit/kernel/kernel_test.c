/* Every version of the kernels that this CPU runs, against plain loops in double; bits independent of batch and place. */
#include "functions.h"
#include "guarded.h"

#include <math.h>

#include "base/memory.h"
#include "base/random.h"
#include "kernel/kernel.h"

static const size_t sizes[] = { 0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100, 127, 128, 129, 200, 1000, 1089 };
#define SIZES (sizeof sizes / sizeof sizes[0])

static float *floats(size_t n)
{
    struct ood_error err = { 0 };
    float *memory = ood_new_array(float, n, &err);     /* exactly n, so that a sanitizer sees one too many */
    assert_non_null(memory);
    return memory;
}

static float *random_floats(struct ood_random *random, size_t n, double scale)
{
    float *memory = floats(n);
    for (size_t i = 0; i < n; i++)
        memory[i] = (float)(scale * ood_random_normal(random));
    return memory;
}

static bool same_bits(const float *a, const float *b, size_t n)
{
    return n == 0 || memcmp(a, b, n * sizeof *a) == 0;
}

/* ---- references ---- */

static double steps_reference(const struct ood_unary_step *steps, size_t count, double x)
{
    for (size_t i = 0; i < count; i++)
        x = step_reference(&steps[i], x);
    return x;
}

static double binary_reference(enum ood_binary op, double a, double b)
{
    return op == OOD_BINARY_ADD ? a + b : op == OOD_BINARY_SUB ? a - b : op == OOD_BINARY_MUL ? a * b : a / b;
}


static const struct ood_unary_step sigmoid = { OOD_UNARY_SIGMOID, 0, 0 };

static const struct { size_t count; struct ood_unary_step steps[3]; } chains[] = {
    { 0, { { 0 } } },
    { 1, { { OOD_UNARY_RELU, 0, 0 } } },
    { 1, { { OOD_UNARY_LEAKY_RELU, 0.1f, 0 } } },
    { 1, { { OOD_UNARY_CLIP, -0.5f, 0.75f } } },
    { 1, { { OOD_UNARY_SIGMOID, 0, 0 } } },
    { 3, { { OOD_UNARY_LEAKY_RELU, 0.5f, 0 }, { OOD_UNARY_SIGMOID, 0, 0 }, { OOD_UNARY_CLIP, 0.4f, 0.6f } } },
};
#define CHAINS (sizeof chains / sizeof chains[0])

/* ---- elementwise ---- */

static void unary_is_right_everywhere(void **state)
{
    (void)state;
    struct ood_random random;
    ood_random_seed(&random, 1);
    for_each_version(kernels) {
        for (size_t c = 0; c < CHAINS; c++)
            for (size_t s = 0; s < SIZES; s++) {
                size_t n = sizes[s];
                float *x = random_floats(&random, n, 3), *y = floats(n), *one = floats(1);
                kernels->unary(y, x, n, chains[c].steps, chains[c].count);
                for (size_t i = 0; i < n; i++) {
                    check_close((double)y[i], steps_reference(chains[c].steps, chains[c].count, (double)x[i]), 1e-30, 1e-6);
                    kernels->unary(one, x + i, 1, chains[c].steps, chains[c].count);
                    assert_true(same_bits(one, y + i, 1));          /* alone as among others */
                }
                kernels->unary(x, x, n, chains[c].steps, chains[c].count);
                assert_true(same_bits(x, y, n));
                ood_free(x);
                ood_free(y);
                ood_free(one);
            }
    }
}

static void sigmoid_keeps_its_accuracy_in_both_tails(void **state)
{
    (void)state;
    for_each_version(kernels) {
        float x[16], y[16];
        for (int step = -1100; step <= 1100; step++) {
            for (size_t i = 0; i < 16; i++)
                x[i] = (float)step * 0.1f + (float)i * 0.0061f;
            kernels->unary(y, x, 16, &sigmoid, 1);
            for (size_t i = 0; i < 16; i++)
                check_close((double)y[i], 1 / (1 + exp(-(double)x[i])), 2.4e-38, 1e-6);
        }
        float ends[] = { INFINITY, -INFINITY, 0, -0.0f, 1e30f, -1e30f }, at[6];
        kernels->unary(at, ends, 6, &sigmoid, 1);
        const float expected[] = { 1, 0, 0.5f, 0.5f, 1, 0 };
        for (size_t i = 0; i < 6; i++)
            assert_true(at[i] == expected[i]);
    }
}

/* A NaN logit must stay one, wherever it lies in the array and whatever follows. */
static void nothing_hides_a_nan(void **state)
{
    (void)state;
    for_each_version(kernels) {
        float x[37], y[37], scale[37], shift[37];
        for (size_t place = 0; place < 37; place++) {
            for (size_t i = 0; i < 37; i++)
                x[i] = scale[i] = shift[i] = 1;
            x[place] = NAN;
            for (size_t c = 0; c < CHAINS; c++) {
                kernels->unary(y, x, 37, chains[c].steps, chains[c].count);
                for (size_t i = 0; i < 37; i++)
                    assert_int_equal(isnan(y[i]) != 0, i == place);
                kernels->binary(OOD_BINARY_ADD, y, scale, x, 37, chains[c].steps, chains[c].count);
                assert_true(isnan(y[place]));
                kernels->scale_shift(y, x, scale, shift, NULL, 1, 37, chains[c].steps, chains[c].count);
                assert_true(isnan(y[place]));
            }
            for (enum ood_reduction reduction = OOD_REDUCE_MEAN; reduction <= OOD_REDUCE_MAX; reduction++) {
                kernels->reduce_columns(reduction, y, x, 1, 37);
                assert_true(isnan(y[0]));
                kernels->reduce_rows(reduction, y, x, 1, 37, 1);
                assert_true(isnan(y[0]));
            }
            kernels->softmax(y, x, 1, 37, false);
            for (size_t i = 0; i < 37; i++)
                assert_true(isnan(y[i]));
            kernels->softmax(y, x, 1, 37, true);
            for (size_t i = 0; i < 37; i++)
                assert_true(isnan(y[i]));
            float rows[4 * 37], out[4 * 37];
            for (size_t i = 0; i < 4 * 37; i++)
                rows[i] = i == 2 * 37 + place ? NAN : 1;
            kernels->softmax(out, rows, 4, 37, false);
            for (size_t i = 0; i < 4 * 37; i++)
                assert_int_equal(isnan(out[i]) != 0, i / 37 == 2);
        }
        float wide[40 * 33];
        for (size_t i = 0; i < 40 * 33; i++)
            wide[i] = 1;
        wide[17 * 33 + 32] = wide[2 * 33 + 3] = NAN;
        float most[33];
        kernels->reduce_rows(OOD_REDUCE_MAX, most, wide, 1, 40, 33);
        for (size_t i = 0; i < 33; i++)
            assert_int_equal(isnan(most[i]) != 0, i == 32 || i == 3);
    }
}

static void binary_is_right_everywhere(void **state)
{
    (void)state;
    struct ood_random random;
    ood_random_seed(&random, 2);
    for_each_version(kernels) {
        for (enum ood_binary op = OOD_BINARY_ADD; op <= OOD_BINARY_DIV; op++)
            for (size_t s = 0; s < SIZES; s++) {
                size_t n = sizes[s], c = (s + op) % CHAINS;
                float *a = random_floats(&random, n, 3), *b = random_floats(&random, n, 3), *y = floats(n), one;
                kernels->binary(op, y, a, b, n, chains[c].steps, chains[c].count);
                for (size_t i = 0; i < n; i++) {
                    double plain = (double)(float)binary_reference(op, (double)a[i], (double)b[i]);
                    check_close((double)y[i], steps_reference(chains[c].steps, chains[c].count, plain), 1e-30, 1e-6);
                    kernels->binary(op, &one, a + i, b + i, 1, chains[c].steps, chains[c].count);
                    assert_true(same_bits(&one, y + i, 1));
                }
                float *copy = floats(n);
                memcpy(copy, a, n * sizeof *a);
                kernels->binary(op, copy, copy, b, n, chains[c].steps, chains[c].count);
                assert_true(same_bits(copy, y, n));
                kernels->binary(op, b, a, b, n, chains[c].steps, chains[c].count);
                assert_true(same_bits(b, y, n));
                ood_free(a);
                ood_free(b);
                ood_free(y);
                ood_free(copy);
            }
    }
}

static void broadcasts_join_what_they_can(void **state)
{
    (void)state;
    struct ood_broadcast walk;
    /* the same shape */
    assert_true(ood_broadcast_make(&walk, 3, (size_t[]){ 2, 3, 4 }, (size_t[]){ 12, 4, 1 }, (size_t[]){ 12, 4, 1 }));
    assert_int_equal(walk.rank, 1);
    assert_int_equal(walk.dims[0], 24);
    /* a scalar */
    assert_true(ood_broadcast_make(&walk, 3, (size_t[]){ 2, 3, 4 }, (size_t[]){ 12, 4, 1 }, (size_t[]){ 0, 0, 0 }));
    assert_int_equal(walk.rank, 1);
    assert_int_equal(walk.b_strides[0], 0);
    /* channels last */
    assert_true(ood_broadcast_make(&walk, 4, (size_t[]){ 2, 5, 5, 3 }, (size_t[]){ 75, 15, 3, 1 }, (size_t[]){ 0, 0, 0, 1 }));
    assert_int_equal(walk.rank, 2);
    assert_int_equal(walk.dims[0], 50);
    /* channels first; dims of one do not count */
    assert_true(ood_broadcast_make(&walk, 4, (size_t[]){ 1, 3, 5, 5 }, (size_t[]){ 75, 25, 5, 1 }, (size_t[]){ 0, 1, 0, 0 }));
    assert_int_equal(walk.rank, 2);
    assert_int_equal(walk.dims[1], 25);
    /* one element */
    assert_true(ood_broadcast_make(&walk, 0, NULL, NULL, NULL));
    assert_int_equal(walk.rank, 1);
    assert_int_equal(walk.dims[0], 1);
    /* columns of a matrix are no rows */
    assert_false(ood_broadcast_make(&walk, 2, (size_t[]){ 4, 5 }, (size_t[]){ 5, 1 }, (size_t[]){ 1, 4 }));
}

/* Operands of one or the output's size on each axis, at random; in place with the one that is whole. */
static void broadcasts_are_right(void **state)
{
    (void)state;
    struct ood_random random;
    ood_random_seed(&random, 3);
    for_each_version(kernels) {
        for (int round = 0; round < 400; round++) {
            size_t rank = 1 + ood_random_below(&random, 4), dims[4], whole[4], strides[4], count = 1, b_count = 1;
            for (size_t i = 0; i < rank; i++)
                dims[i] = 1 + ood_random_below(&random, i + 1 == rank ? 40 : 4);
            for (size_t i = rank; i-- > 0;) {
                bool repeated = ood_random_below(&random, 2) == 0;
                whole[i] = dims[i] == 1 ? 0 : count;
                strides[i] = repeated || dims[i] == 1 ? 0 : b_count;
                count *= dims[i];
                b_count *= repeated ? 1 : dims[i];
            }
            enum ood_binary op = (enum ood_binary)ood_random_below(&random, 4);
            bool swap = ood_random_below(&random, 2) == 0;
            float *a = random_floats(&random, count, 1), *b = random_floats(&random, b_count, 1), *y = floats(count);
            struct ood_broadcast walk;
            assert_true(ood_broadcast_make(&walk, rank, dims, swap ? strides : whole, swap ? whole : strides));
            kernels->broadcast(op, y, swap ? b : a, swap ? a : b, &walk, NULL, 0);
            for (size_t i = 0; i < count; i++) {
                size_t rest = i, at = 0;
                for (size_t d = rank; d-- > 0; rest /= dims[d])
                    at += rest % dims[d] * strides[d];
                double left = (double)(swap ? b[at] : a[i]), right = (double)(swap ? a[i] : b[at]);
                assert_true(y[i] == (float)binary_reference(op, left, right));
            }
            kernels->broadcast(op, a, swap ? b : a, swap ? a : b, &walk, NULL, 0);
            assert_true(same_bits(a, y, count));
            ood_free(a);
            ood_free(b);
            ood_free(y);
        }
        struct ood_broadcast empty;
        assert_true(ood_broadcast_make(&empty, 2, (size_t[]){ 3, 0 }, (size_t[]){ 0, 1 }, (size_t[]){ 0, 1 }));
        kernels->broadcast(OOD_BINARY_ADD, NULL, NULL, NULL, &empty, NULL, 0);
    }
}

static void scale_shift_is_right_everywhere(void **state)
{
    (void)state;
    struct ood_random random;
    ood_random_seed(&random, 4);
    static const size_t row_counts[] = { 0, 1, 2, 7, 8, 13, 64 };
    for_each_version(kernels) {
        for (size_t s = 0; s < SIZES; s++)
            for (size_t r = 0; r < sizeof row_counts / sizeof row_counts[0]; r++) {
                size_t channels = sizes[s], rows = row_counts[r], n = rows * channels, c = (s + r) % CHAINS;
                float *x = random_floats(&random, n, 1), *sum = random_floats(&random, n, 1), *y = floats(n), *z = floats(n);
                float *scale = random_floats(&random, channels, 1), *shift = random_floats(&random, channels, 1);
                kernels->scale_shift(y, x, scale, shift, NULL, rows, channels, chains[c].steps, chains[c].count);
                kernels->scale_shift(z, x, scale, shift, sum, rows, channels, chains[c].steps, chains[c].count);
                for (size_t i = 0; i < n; i++) {
                    double plain = (double)x[i] * (double)scale[i % channels] + (double)shift[i % channels];
                    check_close((double)y[i], steps_reference(chains[c].steps, chains[c].count, plain), 1e-6, 1e-6);
                    check_close((double)z[i], steps_reference(chains[c].steps, chains[c].count, plain + (double)sum[i]), 1e-6, 1e-6);
                }
                float *row = floats(channels);
                for (size_t i = 0; i < rows; i++) {                    /* a row alone: the same bits */
                    kernels->scale_shift(row, x + i * channels, scale, shift, sum + i * channels, 1, channels,
                                         chains[c].steps, chains[c].count);
                    assert_true(same_bits(row, z + i * channels, channels));
                }
                kernels->scale_shift(sum, x, scale, shift, sum, rows, channels, chains[c].steps, chains[c].count);
                assert_true(same_bits(sum, z, n));
                kernels->scale_shift(x, x, scale, shift, NULL, rows, channels, chains[c].steps, chains[c].count);
                assert_true(same_bits(x, y, n));
                ood_free(x);
                ood_free(y);
                ood_free(z);
                ood_free(sum);
                ood_free(scale);
                ood_free(shift);
                ood_free(row);
            }
    }
}

/* ---- product ---- */

static const struct { size_t m, k, n; } products[] = {
    { 1, 1, 1 },   { 1, 128, 10 },  { 8, 128, 10 },  { 3, 7, 5 },    { 13, 255, 33 }, { 12, 256, 64 }, { 25, 257, 31 },
    { 7, 600, 17 }, { 2, 64, 100 }, { 1, 300, 200 }, { 65, 48, 144 }, { 4, 0, 9 },    { 0, 5, 5 },     { 5, 5, 0 },
    { 6, 513, 129 }, { 31, 3, 8 },   { 13, 769, 33 },  { 5, 1700, 40 },  { 110, 800, 70 }, { 230, 20, 37 },
};

static void product_is_right_and_rows_stand_alone(void **state)
{
    (void)state;
    struct ood_random random;
    ood_random_seed(&random, 5);
    for_each_version(kernels) {
        for (size_t p = 0; p < sizeof products / sizeof products[0]; p++) {
            size_t m = products[p].m, k = products[p].k, n = products[p].n;
            bool transposed = p % 2 == 1;
            const struct ood_unary_step *steps = chains[p % CHAINS].steps;
            size_t step_count = chains[p % CHAINS].count;
            float *a = random_floats(&random, m * k, 1), *b = random_floats(&random, k * n, 1);
            float *bias = random_floats(&random, n, 1), *c = floats(m * n), *row = floats(n), *added = random_floats(&random, m * n, 1);
            const bool sum = p % 4 < 2, over = sum && k <= OOD_PRODUCT_RUN;
            float *packed = floats(kernels->packed_b_floats(k, n));
            kernels->pack_b(packed, b, k, n, transposed ? 1 : n, transposed ? k : 1);
            for (size_t i = 0; i < m * n; i++)
                c[i] = added[i];
            kernels->product(c, a, packed, p % 3 == 0 ? NULL : bias, over ? c : sum ? added : NULL, m, k, n, steps, step_count);
            for (size_t i = 0; i < m; i++) {
                for (size_t j = 0; j < n; j++) {
                    double total = 0, size = 0;
                    for (size_t s = 0; s < k; s++) {
                        double term = (double)a[i * k + s] * (double)(transposed ? b[j * k + s] : b[s * n + j]);
                        total += term;
                        size += fabs(term);
                    }
                    total += (p % 3 == 0 ? 0 : (double)bias[j]) + (sum ? (double)added[i * n + j] : 0);
                    check_close((double)c[i * n + j], steps_reference(steps, step_count, total), 3e-7 * (size + 1), 1e-6);
                }
                kernels->product(row, a + i * k, packed, p % 3 == 0 ? NULL : bias, sum ? added + i * n : NULL, 1, k, n, steps, step_count);
                assert_true(same_bits(row, c + i * n, n));
            }
            ood_free(a);
            ood_free(b);
            ood_free(bias);
            ood_free(c);
            ood_free(row);
            ood_free(packed);
            ood_free(added);
        }
        assert_int_equal(kernels->packed_b_floats(SIZE_MAX / 2, 100), 0);
        assert_int_equal(kernels->packed_b_floats(2, SIZE_MAX), 0);
    }
}

/* ---- rows ---- */

static void reductions_are_right(void **state)
{
    (void)state;
    struct ood_random random;
    ood_random_seed(&random, 6);
    static const size_t row_counts[] = { 1, 2, 31, 32, 33, 64, 100 };
    for_each_version(kernels) {
        for (size_t s = 1; s < SIZES; s++)
            for (size_t r = 0; r < sizeof row_counts / sizeof row_counts[0]; r++) {
                size_t channels = sizes[s], rows = row_counts[r], n = 3;
                float *x = random_floats(&random, n * rows * channels, 1), *mean = floats(n * channels);
                float *most = floats(n * channels), *one = floats(channels), *along = floats(n * channels);
                kernels->mean_rows(mean, x, n, rows, channels);
                kernels->reduce_rows(OOD_REDUCE_MAX, most, x, n, rows, channels);
                for (size_t i = 0; i < n; i++) {
                    for (size_t c = 0; c < channels; c++) {
                        double sum = 0, greatest = -INFINITY;
                        for (size_t row = 0; row < rows; row++) {
                            sum += (double)x[(i * rows + row) * channels + c];
                            greatest = fmax(greatest, (double)x[(i * rows + row) * channels + c]);
                        }
                        check_close((double)mean[i * channels + c], sum / (double)rows, 1e-6, 1e-6);
                        assert_true((double)most[i * channels + c] == greatest);
                    }
                    kernels->mean_rows(one, x + i * rows * channels, 1, rows, channels);
                    assert_true(same_bits(one, mean + i * channels, channels));
                }
                /* the same numbers the other way round */
                float *turned = floats(n * rows * channels);
                kernels->transpose(turned, x, n, rows, channels);
                kernels->reduce_columns(OOD_REDUCE_MEAN, along, turned, n * channels, rows);
                for (size_t i = 0; i < n * channels; i++)
                    check_close((double)along[i], (double)mean[i], 1e-6, 1e-6);
                kernels->reduce_columns(OOD_REDUCE_MAX, along, turned, n * channels, rows);
                assert_true(same_bits(along, most, n * channels));
                ood_free(x);
                ood_free(mean);
                ood_free(most);
                ood_free(one);
                ood_free(along);
                ood_free(turned);
            }
    }
}

static void softmax_is_stable(void **state)
{
    (void)state;
    struct ood_random random;
    ood_random_seed(&random, 7);
    for_each_version(kernels) {
        for (size_t s = 1; s < SIZES; s++)
            for (int large = 0; large < 2; large++) {
                const size_t n = sizes[s], rows = 7;      /* some go together, the others alone */
                float *x = random_floats(&random, rows * n, large ? 300 : 2), *y = floats(rows * n), *z = floats(rows * n);
                kernels->softmax(y, x, rows, n, false);
                kernels->softmax(z, x, rows, n, true);
                for (size_t r = 0; r < rows; r++) {
                    double most = -INFINITY, sum = 0;
                    for (size_t i = 0; i < n; i++)
                        most = fmax(most, (double)x[r * n + i]);
                    for (size_t i = 0; i < n; i++)
                        sum += exp((double)x[r * n + i] - most);
                    for (size_t i = 0; i < n; i++) {
                        double logarithm = (double)x[r * n + i] - most - log(sum);
                        check_close((double)z[r * n + i], logarithm, 1e-6, 1e-6);
                        check_close((double)y[r * n + i], exp(logarithm), 1e-36, large ? 5e-5 : 2e-6);
                    }
                }
                float *alone = floats(n);
                for (size_t r = 0; r < rows; r++) {
                    kernels->softmax(alone, x + r * n, 1, n, false);
                    assert_true(same_bits(alone, y + r * n, n));
                }
                kernels->softmax(x, x, rows, n, true);
                assert_true(same_bits(x, z, rows * n));
                ood_free(x);
                ood_free(y);
                ood_free(z);
                ood_free(alone);
            }
    }
}

static void transpose_turns_every_element(void **state)
{
    (void)state;
    static const size_t shapes[][3] = { { 1, 1, 1 }, { 2, 3, 5 }, { 3, 16, 16 }, { 1, 17, 33 }, { 2, 1, 40 }, { 1, 40, 1 }, { 0, 4, 4 } };
    for_each_version(kernels) {
        for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++) {
            size_t n = shapes[s][0], rows = shapes[s][1], columns = shapes[s][2];
            float *x = floats(n * rows * columns), *y = floats(n * rows * columns);
            for (size_t i = 0; i < n * rows * columns; i++)
                x[i] = (float)i;
            kernels->transpose(y, x, n, rows, columns);
            for (size_t i = 0; i < n; i++)
                for (size_t r = 0; r < rows; r++)
                    for (size_t c = 0; c < columns; c++)
                        assert_true(y[(i * columns + c) * rows + r] == x[(i * rows + r) * columns + c]);
            ood_free(x);
            ood_free(y);
        }
    }
}

/* Rows of n floats with gaps between them. All arrays end (or begin) at a page that must not be touched, the gaps stay as they are. */
static void check_woven(const struct ood_kernels *kernels, size_t n, size_t rows, bool at_end)
{
    const size_t x_stride = n + rows, y_stride = 2 * n + 3, count = rows == 0 ? 0 : (rows - 1) * x_stride + n;
    const size_t woven = rows == 0 ? 0 : (rows - 1) * y_stride + 2 * n;
    struct guarded a = guard(count, at_end), b = guard(count, at_end), c = guard(count, at_end), d = guard(count, at_end), y = guard(woven, at_end);
    for (size_t i = 0; i < count; i++)
        a.at[i] = (float)i, b.at[i] = -1 - (float)i;
    kernels->interleave(y.at, y_stride, a.at, b.at, x_stride, rows, n);
    kernels->deinterleave(c.at, d.at, x_stride, y.at, y_stride, rows, n);
    for (size_t r = 0; r < rows; r++) {
        const float *p = a.at + r * x_stride, *q = b.at + r * x_stride;
        for (size_t i = 0; i < n; i++) {
            assert_true(y.at[r * y_stride + 2 * i] == p[i] && y.at[r * y_stride + 2 * i + 1] == q[i]);
            assert_true(c.at[r * x_stride + i] == p[i] && d.at[r * x_stride + i] == q[i]);
        }
        for (size_t i = n; r + 1 < rows && i < x_stride; i++)
            assert_true(isnan(c.at[r * x_stride + i]) && isnan(d.at[r * x_stride + i]));
        for (size_t i = 2 * n; r + 1 < rows && i < y_stride; i++)
            assert_true(isnan(y.at[r * y_stride + i]));
    }
    unguard(&a), unguard(&b), unguard(&c), unguard(&d), unguard(&y);
}

static void rows_are_woven_and_taken_apart(void **state)
{
    (void)state;
    for_each_version(kernels)
        for (size_t n = 0; n <= 70; n++)
            for (size_t rows = 0; rows <= 3; rows++) {
                check_woven(kernels, n, rows, false);
                check_woven(kernels, n, rows, true);
            }
}

/* ---- choosing ---- */

static void the_variable_limits_the_choice(void **state)
{
    (void)state;
    static const struct { const char *word, *most; } cases[] = {
        { "SSE41", "baseline" }, { "sse41", "baseline" },  { "AVX", "baseline" }, { "AVX2", "avx2" },        { "avx2_vnni", "avx2" },
        { "ALL", "avx512" },     { "DEFAULT", "avx512" },  { "", "avx512" },      { "AVX512_CORE", "avx512" }, { "avx512_core_bf16", "avx512" },
        { "AVX512_CORE_VNNI", "avx512" }, { "nonsense", "avx512" },
    };
    static const char *const variables[] = { "ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA" };
    for (size_t v = 0; v < 2; v++)
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
            unsetenv(variables[1 - v]);
            setenv(variables[v], cases[i].word, 1);
            const struct ood_kernels *expected = ood_kernels_named(cases[i].most);
            for (size_t lower = VERSIONS; expected == NULL && lower-- > 0;)   /* this CPU's best, where it has less */
                expected = ood_kernels_named(versions[lower]);
            assert_string_equal(ood_kernels_choose()->isa, expected->isa);
        }
    setenv("ONEDNN_MAX_CPU_ISA", "SSE41", 1);              /* the newer name wins */
    setenv("DNNL_MAX_CPU_ISA", "AVX2", 1);
    assert_string_equal(ood_kernels_choose()->isa, "baseline");
    unsetenv("ONEDNN_MAX_CPU_ISA");
    unsetenv("DNNL_MAX_CPU_ISA");
    assert_null(ood_kernels_named("avx"));
    assert_non_null(ood_kernels_named("baseline"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unary_is_right_everywhere),
        cmocka_unit_test(sigmoid_keeps_its_accuracy_in_both_tails),
        cmocka_unit_test(nothing_hides_a_nan),
        cmocka_unit_test(binary_is_right_everywhere),
        cmocka_unit_test(broadcasts_join_what_they_can),
        cmocka_unit_test(broadcasts_are_right),
        cmocka_unit_test(scale_shift_is_right_everywhere),
        cmocka_unit_test(product_is_right_and_rows_stand_alone),
        cmocka_unit_test(reductions_are_right),
        cmocka_unit_test(softmax_is_stable),
        cmocka_unit_test(transpose_turns_every_element),
        cmocka_unit_test(rows_are_woven_and_taken_apart),
        cmocka_unit_test(the_variable_limits_the_choice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
