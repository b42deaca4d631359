/* Matrix product by register tiles. B lies packed in panels of two vectors of columns, [panel][k][2 vectors], columns past n zero. Rows of
 * A go through in blocks that stay in the second-level cache, a run of k at a time, copied to rows of constant stride; a panel of B's run stays
 * there too while all of the block's tiles take it, so that B is read once a block. Meanwhile each tile asks for its part of the panel that
 * comes next: B comes from memory, and what the processor fetches ahead by itself ends at every page. A tile holds rows × columns of sums in
 * registers; heights within a block differ by one at most. Runs of k are carried on through C itself, which changes no bit: each sum takes
 * its products in the order of k, one multiply_add each, whatever the tile. */
#include "kernel/product_internal.h"

#include <stdint.h>

#define BLOCK_ROWS (VECTOR == 16 ? 108 : 72) /* 330, 220 KiB of A, beside two panels of B of 96, 48 KiB */

size_t KERNEL(ood_packed_b_floats)(size_t k, size_t n)
{
    size_t columns, floats;
    if (__builtin_add_overflow(n, (size_t)PANEL - 1, &columns) ||
        __builtin_mul_overflow(columns / PANEL * PANEL, k, &floats) || floats > SIZE_MAX / sizeof(float))
        return 0;
    return floats;
}

/* Rows that lie together, a panel of them. */
static void pack_rows(float *packed, const float *b, size_t k, size_t columns, size_t row_stride)
{
    for (size_t i = 0; i < k; i++, packed += PANEL, b += row_stride) {
        if (columns == PANEL) {
            store(packed, load(b));
            store(packed + VECTOR, load(b + VECTOR));
            continue;
        }
        memcpy(packed, b, columns * sizeof *b);
        memset(packed + columns, 0, (PANEL - columns) * sizeof *b);
    }
}

#if defined(__SSE2__)
/* Columns that lie together each, in blocks of 4x4: k / 4 · 4 rows of the columns returned. */
static size_t pack_fours(float *packed, const float *b, size_t k, size_t columns, size_t column_stride)
{
    size_t c = 0;
    for (; columns - c >= 4; c += 4)
        for (size_t i = 0; k - i >= 4; i += 4) {
            const float *from = b + c * column_stride + i;
            float *to = packed + i * PANEL + c;
            __m128 v0 = _mm_loadu_ps(from), v1 = _mm_loadu_ps(from + column_stride);
            __m128 v2 = _mm_loadu_ps(from + 2 * column_stride), v3 = _mm_loadu_ps(from + 3 * column_stride);
            _MM_TRANSPOSE4_PS(v0, v1, v2, v3);
            _mm_storeu_ps(to, v0);
            _mm_storeu_ps(to + PANEL, v1);
            _mm_storeu_ps(to + 2 * PANEL, v2);
            _mm_storeu_ps(to + 3 * PANEL, v3);
        }
    return c;
}
#endif

void KERNEL(ood_pack_b)(float *packed, const float *b, size_t k, size_t n, size_t row_stride, size_t column_stride)
{
    for (size_t j = 0; j < n; j += PANEL, packed += k * PANEL) {
        const size_t columns = n - j < PANEL ? n - j : PANEL;
        if (column_stride == 1) {
            pack_rows(packed, b + j, k, columns, row_stride);
            continue;
        }
        if (columns < PANEL)
            memset(packed, 0, k * PANEL * sizeof *packed);
        size_t turned = 0;                                   /* columns done four by four */
#if defined(__SSE2__)
        if (row_stride == 1)
            turned = pack_fours(packed, b + j * column_stride, k, columns, column_stride);
#endif
        for (size_t i0 = 0; i0 < k; i0 += VECTOR) {          /* a square of the cache each */
            const size_t i1 = k - i0 < VECTOR ? k : i0 + VECTOR, i = i1 <= k / 4 * 4 ? i1 : k / 4 * 4;
            for (size_t c = 0; c < columns; c++) {
                const float *column = b + (j + c) * column_stride;
                for (size_t at = c < turned ? (i < i0 ? i0 : i) : i0; at < i1; at++)
                    packed[at * PANEL + c] = column[at * row_stride];
            }
        }
    }
}

/* c[rows][width vectors]; a [rows][a_stride]; rows, width and, but for one row as it lies, a_stride are constants where this is inlined.
 * bias: for these columns, or NULL. */
INLINE void tile(float *c, const float *a, const float *b, const float *bias, const struct run *run, size_t rows, size_t width, size_t a_stride)
{
    const size_t part = run->part;
    vec sum[ROWS * 2];                       /* rows · width <= ROWS · 2 */
    UNROLL for (size_t r = 0; r < rows; r++)
        UNROLL for (size_t v = 0; v < width; v++)
            sum[r * width + v] = (vec){ 0 };
    if (!run->first)
        UNROLL for (size_t r = 0; r < rows; r++)
            UNROLL for (size_t v = 0; v < width; v++) {
                const float *from = c + r * run->c_stride + v * VECTOR;
                sum[r * width + v] = v + 1 < width || part == VECTOR ? load(from) : load_part(from, part, 0);
            }
    const float *ahead = run->ahead;
    for (size_t k = 0; k < run->k; k++, ahead += run->ahead_step) {
        vec columns[8];
        if (rows > 3)                        /* fewer take B as fast as it comes */
            for (size_t line = 0; line < PANEL; line += 16)
                __builtin_prefetch(ahead + line * run->ahead_step / PANEL, 0, 2);
        UNROLL for (size_t v = 0; v < width; v++)
            columns[v] = load(b + v / 2 * run->panel_stride + k * PANEL + v % 2 * VECTOR);
        UNROLL for (size_t r = 0; r < rows; r++) {
            vec value = splat(a[r * a_stride + k]);
            UNROLL for (size_t v = 0; v < width; v++)
                sum[r * width + v] = multiply_add(value, columns[v], sum[r * width + v]);
        }
    }
    if (run->last && bias != NULL)
        UNROLL for (size_t v = 0; v < width; v++) {
            const vec added = v + 1 < width || part == VECTOR ? load(bias + v * VECTOR) : load_part(bias + v * VECTOR, part, 0);
            UNROLL for (size_t r = 0; r < rows; r++)
                sum[r * width + v] = sum[r * width + v] + added;
        }
    if (run->last && run->sum != NULL)
        UNROLL for (size_t r = 0; r < rows; r++)
            UNROLL for (size_t v = 0; v < width; v++) {
                const float *from = run->sum + r * run->c_stride + v * VECTOR;
                sum[r * width + v] = sum[r * width + v] + (v + 1 < width || part == VECTOR ? load(from) : load_part(from, part, 0));
            }
    UNROLL for (size_t r = 0; r < rows; r++)
        UNROLL for (size_t v = 0; v < width; v++) {
            float *to = c + r * run->c_stride + v * VECTOR;
            if (v + 1 < width || part == VECTOR)
                store(to, sum[r * width + v]);
            else
                store_part(to, part, sum[r * width + v]);
        }
}

typedef void tile_function(float *c, const float *a, const float *b, const float *bias, const struct run *run);

/* The tiles that exist, by rows and vectors. Few rows take several panels, so that enough sums are under way to hide the latency of one. */
#define TILE(rows, width) \
    static void tile_##rows##x##width(float *c, const float *a, const float *b, const float *bias, const struct run *run) \
    { \
        tile(c, a, b, bias, run, rows, width, (rows) == 1 ? 0 : A_STRIDE); \
    }
#define TILES(rows) TILE(rows, 1) TILE(rows, 2)
TILES(1) TILES(2) TILES(3) TILES(4) TILES(5) TILES(6)
TILE(1, 8) TILE(2, 4) TILE(3, 4)
#if ROWS > 6
TILES(7) TILES(8) TILES(9) TILES(10) TILES(11) TILES(12)
#endif

/* By rows; `wide` takes `panels` panels at once. */
static const struct tile_shape { tile_function *one_vector, *one_panel, *wide; size_t panels; } shapes[ROWS + 1] = {
#define SHAPE(rows) [rows] = { tile_##rows##x1, tile_##rows##x2, tile_##rows##x2, 1 }
    [1] = { tile_1x1, tile_1x2, tile_1x8, 4 }, [2] = { tile_2x1, tile_2x2, tile_2x4, 2 }, [3] = { tile_3x1, tile_3x2, tile_3x4, 2 },
    SHAPE(4), SHAPE(5), SHAPE(6),
#if ROWS > 6
    SHAPE(7), SHAPE(8), SHAPE(9), SHAPE(10), SHAPE(11), SHAPE(12),
#endif
};

/* The steps over what a tile has written, while it lies in the first-level cache. */
static void finish(float *c, size_t rows, size_t columns, const struct run *run)
{
    for (size_t r = 0; r < rows; r++, c += run->c_stride) {
        size_t j = 0;
        for (; columns - j >= PANEL; j += PANEL) {
            vec v[2] = { load(c + j), load(c + j + VECTOR) };
            apply_steps(v, 2, run->steps, run->step_count);
            store(c + j, v[0]);
            store(c + j + VECTOR, v[1]);
        }
        for (size_t part; j < columns; j += part) {
            part = columns - j < VECTOR ? columns - j : VECTOR;
            vec v = load_part(c + j, part, 0);
            apply_steps(&v, 1, run->steps, run->step_count);
            store_part(c + j, part, v);
        }
    }
}

void KERNEL(ood_product_block)(float *c, const float *a, const float *b, const float *bias, const float *sum, struct run *run, size_t rows,
                               size_t n)
{
    const size_t bands = (rows + ROWS - 1) / ROWS, most = (rows + bands - 1) / bands, panels = shapes[most].panels;
    for (size_t j = 0, columns; j < n; j += columns) {
        const float *panel = b + j / PANEL * run->panel_stride, *part = bias != NULL ? bias + j : NULL;
        const bool wide = bands == 1 && n - j >= panels * PANEL;
        columns = wide ? panels * PANEL : n - j < PANEL ? n - j : PANEL;
        run->part = columns % VECTOR == 0 ? VECTOR : columns % VECTOR;
        run->ahead = columns < n - j ? panel + columns / PANEL * run->panel_stride : b + run->k * PANEL;
        run->ahead_step = (columns + bands - 1) / bands;
        for (size_t i = 0, band = 0, height; i < rows; i += height, band++) {
            height = rows / bands + (band < rows % bands);
            const struct tile_shape *shape = &shapes[height];
            run->sum = sum != NULL ? sum + i * run->c_stride + j : NULL;
            tile_function *function = wide ? shape->wide : columns > VECTOR ? shape->one_panel : shape->one_vector;
            function(c + i * run->c_stride + j, a + i * run->a_stride, panel, part, run);
            run->ahead += run->ahead_step * run->k;
            if (run->last && run->step_count > 0)
                finish(c + i * run->c_stride + j, height, columns, run);
        }
    }
}

void KERNEL(ood_product)(float *c, const float *a, const float *packed, const float *bias, const float *sum, size_t m, size_t k, size_t n,
                         const struct ood_unary_step *steps, size_t step_count)
{
    float rows_of_a[BLOCK_ROWS * A_STRIDE];
    const size_t blocks = (m + BLOCK_ROWS - 1) / BLOCK_ROWS, runs = k > RUN ? (k + RUN - 1) / RUN : 1;
    struct run run = { .panel_stride = k * PANEL, .c_stride = n, .a_stride = A_STRIDE, .steps = steps, .step_count = step_count };
    for (size_t i = 0, number = 0, rows; i < m; i += rows, number++) {
        rows = m / blocks + (number < m % blocks);
        for (size_t part = 0, from = 0; part < runs; part++, from += run.k) {
            const float *source = a + i * k + from;
            run.k = k / runs + (part < k % runs);
            run.first = part == 0;
            run.last = part + 1 == runs;
            for (size_t r = 0; rows > 1 && r < rows; r++)        /* one row is taken as it lies */
                memcpy(rows_of_a + r * A_STRIDE, source + r * k, run.k * sizeof *source);
            KERNEL(ood_product_block)(c + i * n, rows > 1 ? rows_of_a : source, packed + from * PANEL, bias, sum != NULL ? sum + i * n : NULL,
                                      &run, rows, n);
        }
    }
}
