/* Reductions over rows and columns, softmax, transposition. A sum's order depends on the index summed over alone: over rows
 * in runs of 32, over columns in lanes, then lanes in halves. */
#include "kernel/lanes_internal.h"

#include <math.h>

#include "kernel/kernels_internal.h"

#define RUN 32                               /* rows summed before they join the total: keeps the error near log n */

/* A partial result and an element. */
INLINE vec take(enum ood_reduction reduction, vec part, vec x)
{
    return combine(reduction, part, reduction == OOD_REDUCE_SUM_ABS      ? (vec)((vec_bits)x & 0x7FFFFFFFu)
                                    : reduction == OOD_REDUCE_SUM_SQUARE ? x * x
                                                                         : x);
}

INLINE float identity(enum ood_reduction reduction)
{
    return reduction == OOD_REDUCE_MAX    ? -INFINITY
           : reduction == OOD_REDUCE_MIN  ? INFINITY
           : reduction == OOD_REDUCE_PROD ? 1.0f
                                          : 0.0f;
}

/* The statement with `reduction` a constant, so that loops hold no choice. */
#define FOR_REDUCTION(reduction, statement)                                                                           \
    switch (reduction) {                                                                                              \
    case OOD_REDUCE_MEAN: { const enum ood_reduction REDUCTION = OOD_REDUCE_MEAN; statement; break; }                                 \
    case OOD_REDUCE_MAX: { const enum ood_reduction REDUCTION = OOD_REDUCE_MAX; statement; break; }                                   \
    case OOD_REDUCE_SUM: { const enum ood_reduction REDUCTION = OOD_REDUCE_SUM; statement; break; }                                   \
    case OOD_REDUCE_MIN: { const enum ood_reduction REDUCTION = OOD_REDUCE_MIN; statement; break; }                                   \
    case OOD_REDUCE_PROD: { const enum ood_reduction REDUCTION = OOD_REDUCE_PROD; statement; break; }                                 \
    case OOD_REDUCE_SUM_ABS: { const enum ood_reduction REDUCTION = OOD_REDUCE_SUM_ABS; statement; break; }                           \
    case OOD_REDUCE_SUM_SQUARE: { const enum ood_reduction REDUCTION = OOD_REDUCE_SUM_SQUARE; statement; break; }                     \
    }

/* `count` vectors of channels of one picture. */
INLINE void reduce_vectors(enum ood_reduction reduction, float *y, const float *x, size_t rows, size_t channels, size_t count)
{
    vec total[BLOCK], part[BLOCK];
    UNROLL for (size_t i = 0; i < count; i++)
        total[i] = splat(identity(reduction));
    for (size_t row = 0; row < rows; row += RUN) {
        size_t end = rows - row < RUN ? rows : row + RUN;
        UNROLL for (size_t i = 0; i < count; i++)
            part[i] = splat(identity(reduction));
        for (size_t r = row; r < end; r++)
            UNROLL for (size_t i = 0; i < count; i++)
                part[i] = take(reduction, part[i], load(x + r * channels + i * VECTOR));
        UNROLL for (size_t i = 0; i < count; i++)
            total[i] = combine(reduction, total[i], part[i]);
    }
    UNROLL for (size_t i = 0; i < count; i++)
        store(y + i * VECTOR, reduction == OOD_REDUCE_MEAN ? total[i] / splat((float)rows) : total[i]);
}

/* Fewer channels than a vector: the same with a padded copy of each row. */
INLINE void reduce_narrow(enum ood_reduction reduction, float *y, const float *x, size_t rows, size_t channels)
{
    vec total = splat(identity(reduction));
    for (size_t row = 0; row < rows; row += RUN) {
        size_t end = rows - row < RUN ? rows : row + RUN;
        vec part = splat(identity(reduction));
        for (size_t r = row; r < end; r++)
            part = take(reduction, part, load_part(x + r * channels, channels, 0));
        total = combine(reduction, total, part);
    }
    store_part(y, channels, reduction == OOD_REDUCE_MEAN ? total / splat((float)rows) : total);
}

INLINE void reduce_picture(enum ood_reduction reduction, float *y, const float *x, size_t rows, size_t channels)
{
    size_t c = 0;
    if (channels < VECTOR) {
        reduce_narrow(reduction, y, x, rows, channels);
        return;
    }
    for (; channels - c >= BLOCK * VECTOR; c += BLOCK * VECTOR)
        reduce_vectors(reduction, y + c, x + c, rows, channels, BLOCK);
    for (; channels - c >= VECTOR; c += VECTOR)
        reduce_vectors(reduction, y + c, x + c, rows, channels, 1);
    if (c < channels)
        reduce_vectors(reduction, y + channels - VECTOR, x + channels - VECTOR, rows, channels, 1);
}

void KERNEL(ood_reduce_rows)(enum ood_reduction reduction, float *y, const float *x, size_t n, size_t rows, size_t channels)
{
    for (size_t i = 0; i < n; i++, y += channels, x += rows * channels) {
        FOR_REDUCTION(reduction, reduce_picture(REDUCTION, y, x, rows, channels))
    }
}

void KERNEL(ood_mean_rows)(float *y, const float *x, size_t n, size_t rows, size_t channels)
{
    KERNEL(ood_reduce_rows)(OOD_REDUCE_MEAN, y, x, n, rows, channels);
}

/* ---- along a row ---- */

/* The reduction of n floats; of a mean the sum. */
INLINE float reduce_run(enum ood_reduction reduction, const float *x, size_t n)
{
    vec part[BLOCK];
    UNROLL for (size_t i = 0; i < BLOCK; i++)
        part[i] = splat(identity(reduction));
    size_t i = 0;
    for (; n - i >= BLOCK * VECTOR; i += BLOCK * VECTOR)
        UNROLL for (size_t j = 0; j < BLOCK; j++)
            part[j] = take(reduction, part[j], load(x + i + j * VECTOR));
    for (; n - i >= VECTOR; i += VECTOR)
        part[0] = take(reduction, part[0], load(x + i));
    if (i < n)
        part[1] = take(reduction, part[1], load_part(x + i, n - i, identity(reduction)));
    vec low = combine(reduction, part[0], part[1]), high = combine(reduction, part[2], part[3]);
    return reduce_lanes(reduction, combine(reduction, low, high));
}

void KERNEL(ood_reduce_columns)(enum ood_reduction reduction, float *y, const float *x, size_t rows, size_t columns)
{
    for (size_t r = 0; r < rows; r++, x += columns)
        FOR_REDUCTION(reduction, y[r] = reduce_run(REDUCTION, x, columns) / (REDUCTION == OOD_REDUCE_MEAN ? (float)columns : 1.0f))
}

/* ---- normalisation of rows ---- */

/* Sum of (x - mean)² over a row, in the order of a sum of x. */
static float squared_distance(const float *x, vec mean, size_t n)
{
    vec part[2] = { { 0 }, { 0 } };
    size_t i = 0;
    for (; n - i >= 2 * VECTOR; i += 2 * VECTOR)
        UNROLL for (size_t j = 0; j < 2; j++) {
            vec d = load(x + i + j * VECTOR) - mean;
            part[j] = multiply_add(d, d, part[j]);
        }
    for (; i < n; i += VECTOR) {
        float rest[VECTOR];
        store(rest, mean);                   /* what lies behind the row counts nothing */
        vec d;
        if (n - i >= VECTOR) {
            d = load(x + i) - mean;
        } else {
            memcpy(rest, x + i, (n - i) * sizeof *x);
            d = load(rest) - mean;
        }
        part[0] = multiply_add(d, d, part[0]);
    }
    return reduce_lanes(OOD_REDUCE_SUM, part[0] + part[1]);
}

static void row_statistics(const float *x, size_t n, float epsilon, float *mean, float *inverse)
{
    *mean = reduce_run(OOD_REDUCE_SUM, x, n) / (float)n;
    *inverse = 1.0f / sqrtf(squared_distance(x, splat(*mean), n) / (float)n + epsilon);
}

void KERNEL(ood_layer_norm)(float *y, float *means, float *inverses, const float *x, const float *scale, const float *shift, size_t rows,
                            size_t columns, float epsilon)
{
    for (size_t r = 0; r < rows; r++, x += columns, y += columns) {
        float mean, inverse;
        row_statistics(x, columns, epsilon, &mean, &inverse);
        size_t i = 0;
        for (; columns - i >= VECTOR; i += VECTOR) {
            vec normal = (load(x + i) - splat(mean)) * splat(inverse);
            store(y + i, shift != NULL ? multiply_add(normal, load(scale + i), load(shift + i)) : normal * load(scale + i));
        }
        if (i < columns) {
            size_t rest = columns - i;
            vec normal = (load_part(x + i, rest, 0) - splat(mean)) * splat(inverse), factor = load_part(scale + i, rest, 0);
            store_part(y + i, rest, shift != NULL ? multiply_add(normal, factor, load_part(shift + i, rest, 0)) : normal * factor);
        }
        if (means != NULL)
            means[r] = mean;
        if (inverses != NULL)
            inverses[r] = inverse;
    }
}

void KERNEL(ood_instance_norm)(float *y, const float *x, const float *scale, const float *shift, size_t rows, size_t channels,
                               size_t columns, float epsilon)
{
    for (size_t r = 0; r < rows; r++, x += columns, y += columns) {
        float mean, inverse;
        row_statistics(x, columns, epsilon, &mean, &inverse);
        const vec factor = splat(inverse * scale[r % channels]), added = splat(shift[r % channels]);
        size_t i = 0;
        for (; columns - i >= VECTOR; i += VECTOR)
            store(y + i, multiply_add(load(x + i) - splat(mean), factor, added));
        if (i < columns)
            store_part(y + i, columns - i, multiply_add(load_part(x + i, columns - i, 0) - splat(mean), factor, added));
    }
}

/* ---- softmax ---- */

#define TOGETHER 4                           /* rows whose chains of dependent operations overlap */

/* `rows` rows, a constant where this is inlined. The maximum need not see a NaN: its exponential makes the sum NaN, and so the row. */
INLINE void softmax_rows(float *y, const float *x, size_t n, size_t rows)
{
    const size_t tail = n % VECTOR, body = n - tail;
    vec most[TOGETHER], sum[TOGETHER], last[TOGETHER], inverse[TOGETHER];
    UNROLL for (size_t r = 0; r < rows; r++) {
        most[r] = tail > 0 ? load_part(x + r * n + body, tail, -INFINITY) : splat(-INFINITY);
        last[r] = sum[r] = (vec){ 0 };
    }
    for (size_t i = 0; i < body; i += VECTOR)
        UNROLL for (size_t r = 0; r < rows; r++)
            most[r] = at_least(most[r], load(x + r * n + i));
    UNROLL for (size_t r = 0; r < rows; r++)
        most[r] = splat(reduce_lanes(OOD_REDUCE_MAX, most[r]));
    if (tail > 0)
        UNROLL for (size_t r = 0; r < rows; r++)
            last[r] = exp_negative(load_part(x + r * n + body, tail, -INFINITY) - most[r]);
    for (size_t i = 0; i < body; i += VECTOR)
        UNROLL for (size_t r = 0; r < rows; r++) {
            const vec e = exp_negative(load(x + r * n + i) - most[r]);
            sum[r] = sum[r] + e;
            store(y + r * n + i, e);
        }
    UNROLL for (size_t r = 0; r < rows; r++)
        inverse[r] = splat(1.0f / reduce_lanes(OOD_REDUCE_SUM, sum[r] + last[r]));
    for (size_t i = 0; i < body; i += VECTOR)
        UNROLL for (size_t r = 0; r < rows; r++)
            store(y + r * n + i, load(y + r * n + i) * inverse[r]);
    if (tail > 0)
        UNROLL for (size_t r = 0; r < rows; r++)
            store_part(y + r * n + body, tail, last[r] * inverse[r]);
}

static void log_softmax_row(float *y, const float *x, size_t n)
{
    const size_t tail = n % VECTOR, body = n - tail;
    const vec most = splat(reduce_run(OOD_REDUCE_MAX, x, n));
    vec sum = { 0 };
    for (size_t i = 0; i < body; i += VECTOR)
        sum = sum + exp_negative(load(x + i) - most);
    const vec last = load_part(x + body, tail, -INFINITY) - most;
    sum = sum + exp_negative(last);
    const vec less = splat((float)log((double)reduce_lanes(OOD_REDUCE_SUM, sum)));
    for (size_t i = 0; i < body; i += VECTOR)
        store(y + i, load(x + i) - most - less);
    store_part(y + body, tail, last - less);
}

void KERNEL(ood_softmax)(float *y, const float *x, size_t rows, size_t columns, bool logarithm)
{
    size_t r = 0;
    for (; logarithm && r < rows; r++)
        log_softmax_row(y + r * columns, x + r * columns, columns);
    for (; rows - r >= TOGETHER; r += TOGETHER)
        softmax_rows(y + r * columns, x + r * columns, columns, TOGETHER);
    for (; r < rows; r++)
        softmax_rows(y + r * columns, x + r * columns, columns, 1);
}

/* In squares, so that both sides stay in the first-level cache. */
#define SQUARE 16

void KERNEL(ood_transpose)(float *y, const float *x, size_t n, size_t rows, size_t columns)
{
    for (size_t i = 0; i < n; i++, x += rows * columns, y += rows * columns)
        for (size_t r0 = 0; r0 < rows; r0 += SQUARE) {
            size_t r1 = rows - r0 < SQUARE ? rows : r0 + SQUARE;
            for (size_t c0 = 0; c0 < columns; c0 += SQUARE) {
                size_t c1 = columns - c0 < SQUARE ? columns : c0 + SQUARE;
                for (size_t c = c0; c < c1; c++)
                    for (size_t r = r0; r < r1; r++)
                        y[c * rows + r] = x[r * columns + c];
            }
        }
}
