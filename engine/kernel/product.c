/* Matrix product by register tiles. B lies packed in panels of two vectors of columns, [panel][k][2 vectors], columns past n
 * zero; A is packed a few rows at a time into a buffer on the stack, [k][rows]. A tile holds rows × panels of sums in
 * registers. Runs of k are carried on through C itself, which changes no bit: each sum takes its products in the order of k,
 * one multiply_add each, whatever the tile. */
#include "kernel/kernels_internal.h"

#include <stdint.h>

#define PANEL (2 * VECTOR)                   /* columns */
#define RUN 256                              /* of k at a time: B's panel and A's rows stay in the first-level cache */
#if VECTOR == 16
#define ROWS 12                              /* 24 sums of 32 registers */
#else
#define ROWS 6                               /* 12 of 16 */
#endif

size_t KERNEL(ood_packed_b_floats)(size_t k, size_t n)
{
    size_t columns, floats;
    if (__builtin_add_overflow(n, (size_t)PANEL - 1, &columns) ||
        __builtin_mul_overflow(columns / PANEL * PANEL, k, &floats) || floats > SIZE_MAX / sizeof(float))
        return 0;
    return floats;
}

void KERNEL(ood_pack_b)(float *packed, const float *b, size_t k, size_t n, size_t row_stride, size_t column_stride)
{
    for (size_t j = 0; j < n; j += PANEL) {
        size_t columns = n - j < PANEL ? n - j : PANEL;
        for (size_t i = 0; i < k; i++, packed += PANEL) {
            const float *row = b + i * row_stride + j * column_stride;
            for (size_t c = 0; c < columns; c++)
                packed[c] = row[c * column_stride];
            for (size_t c = columns; c < PANEL; c++)
                packed[c] = 0;
        }
    }
}

/* What one call of a tile needs besides its place. */
struct run {
    size_t k;                                /* of this run */
    bool first, last;                        /* start from zero; bias and steps follow */
    size_t panel_stride;                     /* floats from one panel of packed B to the next */
    size_t c_stride;
    const struct ood_unary_step *steps;
    size_t step_count;
};

/* c[rows][panels · PANEL]; a [k][rows]; rows and panels are constants where this is inlined. bias: for these columns, NULL. */
INLINE void tile(float *c, const float *a, const float *b, const float *bias, const struct run *run, size_t rows, size_t panels)
{
    const size_t width = 2 * panels;
    vec sum[ROWS * 2];                       /* rows · width <= ROWS · 2 */
    UNROLL for (size_t r = 0; r < rows; r++)
        UNROLL for (size_t v = 0; v < width; v++)
            sum[r * width + v] = run->first ? (vec){ 0 } : load(c + r * run->c_stride + v * VECTOR);
    for (size_t k = 0; k < run->k; k++) {
        vec columns[8];
        UNROLL for (size_t v = 0; v < width; v++)
            columns[v] = load(b + v / 2 * run->panel_stride + k * PANEL + v % 2 * VECTOR);
        UNROLL for (size_t r = 0; r < rows; r++) {
            vec value = splat(a[k * rows + r]);
            UNROLL for (size_t v = 0; v < width; v++)
                sum[r * width + v] = multiply_add(value, columns[v], sum[r * width + v]);
        }
    }
    UNROLL for (size_t r = 0; r < rows; r++) {
        if (run->last && bias != NULL) {
            UNROLL for (size_t v = 0; v < width; v++)
                sum[r * width + v] = sum[r * width + v] + load(bias + v * VECTOR);
        }
        if (run->last)
            apply_steps(sum + r * width, width, run->steps, run->step_count);
        UNROLL for (size_t v = 0; v < width; v++)
            store(c + r * run->c_stride + v * VECTOR, sum[r * width + v]);
    }
}

/* The tiles that exist. Few rows take several panels, so that enough sums are under way to hide the latency of one. */
static void tile_rows(float *c, const float *a, const float *b, const float *bias, const struct run *run) { tile(c, a, b, bias, run, ROWS, 1); }
#if ROWS > 8
static void tile_8(float *c, const float *a, const float *b, const float *bias, const struct run *run) { tile(c, a, b, bias, run, 8, 1); }
#endif
static void tile_4(float *c, const float *a, const float *b, const float *bias, const struct run *run) { tile(c, a, b, bias, run, 4, 1); }
static void tile_2(float *c, const float *a, const float *b, const float *bias, const struct run *run) { tile(c, a, b, bias, run, 2, 1); }
static void tile_1(float *c, const float *a, const float *b, const float *bias, const struct run *run) { tile(c, a, b, bias, run, 1, 1); }
static void tile_2x2(float *c, const float *a, const float *b, const float *bias, const struct run *run) { tile(c, a, b, bias, run, 2, 2); }
static void tile_1x4(float *c, const float *a, const float *b, const float *bias, const struct run *run) { tile(c, a, b, bias, run, 1, 4); }

typedef void tile_function(float *c, const float *a, const float *b, const float *bias, const struct run *run);

static const struct tile_shape {
    size_t rows, panels;                     /* the most panels `wide` takes at once */
    tile_function *one, *wide;
} shapes[] = {
    { ROWS, 1, tile_rows, tile_rows },
#if ROWS > 8
    { 8, 1, tile_8, tile_8 },
#endif
    { 4, 1, tile_4, tile_4 },
    { 2, 2, tile_2, tile_2x2 },
    { 1, 4, tile_1, tile_1x4 },
};

/* The last panel, of fewer columns than PANEL: through a copy of full width. */
static void tile_tail(const struct tile_shape *shape, float *c, const float *a, const float *b, const float *bias,
                      const struct run *run, size_t columns)
{
    float copy[ROWS * PANEL] = { 0 }, bias_copy[PANEL] = { 0 };
    struct run narrow = *run;
    narrow.c_stride = PANEL;
    if (!run->first)
        for (size_t r = 0; r < shape->rows; r++)
            memcpy(copy + r * PANEL, c + r * run->c_stride, columns * sizeof *c);
    if (bias != NULL)
        memcpy(bias_copy, bias, columns * sizeof *bias);
    shape->one(copy, a, b, bias != NULL ? bias_copy : NULL, &narrow);
    for (size_t r = 0; r < shape->rows; r++)
        memcpy(c + r * run->c_stride, copy + r * PANEL, columns * sizeof *c);
}

/* One band of shape->rows rows against all of B's columns. a: packed, [k of this run][rows]; b: at this run's k. */
static void band(const struct tile_shape *shape, float *c, const float *a, const float *b, const float *bias,
                 const struct run *run, size_t n)
{
    for (size_t j = 0; j < n;) {
        const float *panel = b + j / PANEL * run->panel_stride, *part = bias != NULL ? bias + j : NULL;
        if (n - j >= shape->panels * PANEL) {
            shape->wide(c + j, a, panel, part, run);
            j += shape->panels * PANEL;
        } else if (n - j >= PANEL) {
            shape->one(c + j, a, panel, part, run);
            j += PANEL;
        } else {
            tile_tail(shape, c + j, a, panel, part, run, n - j);
            j = n;
        }
    }
}

void KERNEL(ood_product)(float *c, const float *a, const float *packed, const float *bias, size_t m, size_t k, size_t n,
                         const struct ood_unary_step *steps, size_t step_count)
{
    float rows_of_a[ROWS * RUN];
    struct run run = { .panel_stride = k * PANEL, .c_stride = n, .steps = steps, .step_count = step_count };
    const struct tile_shape *shape = shapes;
    for (size_t i = 0; i < m; i += shape->rows) {
        while (shape->rows > m - i)
            shape++;
        size_t from = 0;
        do {
            const float *source = a + i * k + from, *rows = source;
            run.k = k - from < RUN ? k - from : RUN;
            run.first = from == 0;
            run.last = from + run.k == k;
            if (shape->rows > 1) {           /* one row is packed as it lies */
                for (size_t r = 0; r < shape->rows; r++)
                    for (size_t s = 0; s < run.k; s++)
                        rows_of_a[s * shape->rows + r] = source[r * k + s];
                rows = rows_of_a;
            }
            band(shape, c + i * n, rows, packed + from * PANEL, bias, &run, n);
            from += run.k;
        } while (from < k);
    }
}
