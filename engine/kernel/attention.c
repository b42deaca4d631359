/* Attention of one head (attention.h). A block of rows' scores lies in slabs of RUN keys, [slab][row][A_STRIDE], which is how the products
 * want their A: Q·Kᵀ writes it, the softmax works in it, and ·V reads it. What is summed is exponentials; the output is divided
 * by their sum at the end. */
#include "kernel/attention.h"

#include <math.h>
#include <stdint.h>

#include "kernel/lanes_internal.h"
#include "kernel/product_internal.h"

#define TOGETHER 4                           /* rows whose chains of dependent operations overlap */
#define BLOCK_ROWS (4 * ROWS)
#define SLAB_FLOATS (BLOCK_ROWS * A_STRIDE)

size_t KERNEL(ood_attention_scratch_floats)(const struct ood_attention_shape *s)
{
    size_t keys, floats;
    const size_t k = KERNEL(ood_packed_b_floats)(s->depth, s->keys), v = KERNEL(ood_packed_b_floats)(s->keys, s->width);
    if (s->queries == 0 || k == 0 || v == 0 || __builtin_add_overflow(s->keys, (size_t)2 * RUN, &keys) ||       /* slabs, and one for Q */
        __builtin_mul_overflow(keys / RUN, (size_t)SLAB_FLOATS, &floats) || __builtin_add_overflow(floats, k, &floats) ||
        __builtin_add_overflow(floats, v, &floats) || floats > SIZE_MAX / sizeof(float))
        return 0;
    return floats;
}

/* Rows of Q times the scale, a run of the depth. */
static void copy_queries(float *to, const float *q, size_t row_stride, size_t rows, size_t n, float scale)
{
    const vec factor = splat(scale);
    for (size_t r = 0; r < rows; r++, q += row_stride, to += A_STRIDE) {
        size_t i = 0;
        for (; n - i >= VECTOR; i += VECTOR)
            store(to + i, load(q + i) * factor);
        if (i < n)
            store_part(to + i, n - i, load_part(q + i, n - i, 0) * factor);
    }
}

/* Scores of `rows` queries from `first` on; past the last key, up to a whole vector, zeros of the packed K make more, which nobody reads. */
static void score(const struct ood_attention_call *call, const float *keys, float *slabs, float *queries, size_t first, size_t rows)
{
    const struct ood_attention_shape *s = &call->shape;
    struct run run = { .panel_stride = s->depth * PANEL, .a_stride = A_STRIDE, .c_stride = A_STRIDE };
    for (size_t from = 0; from < s->depth; from += run.k) {
        run.k = s->depth - from < RUN ? s->depth - from : RUN;
        run.first = from == 0;
        copy_queries(queries, call->q + first * call->q_row + from, call->q_row, rows, run.k, call->scale);
        for (size_t key = 0; key < s->keys; key += RUN) {
            const size_t count = s->keys - key < RUN ? s->keys - key : RUN;
            KERNEL(ood_product_block)(slabs + key / RUN * SLAB_FLOATS, queries, keys + key / PANEL * run.panel_stride + from * PANEL, NULL, NULL, &run,
                                      rows, (count + VECTOR - 1) / VECTOR * VECTOR);
        }
    }
}

/* One vector of scores with its biases; part: lanes that are keys, the others -infinity. */
INLINE vec biased(const struct ood_attention_call *call, const float *scores, size_t row, size_t key, size_t part)
{
    vec x = part == VECTOR ? load(scores) : load_part(scores, part, -INFINITY);
    for (size_t b = 0; b < OOD_ATTENTION_BIASES; b++) {
        if (call->bias[b] == NULL)
            continue;
        const float *bias = call->bias[b] + row * call->bias_row[b] + key;
        x = x + (part == VECTOR ? load(bias) : load_part(bias, part, 0));
    }
    return x;
}

/* Scores to exponentials: `rows` rows (a constant where this is inlined) from row `at` of the block on, which is query `query`. The maximum
 * need not see a NaN: its exponential makes the sum NaN, and so the row. */
INLINE void weigh_rows(const struct ood_attention_call *call, float *slabs, float *inverse, size_t at, size_t query, size_t rows)
{
    const size_t keys = call->shape.keys;
    vec most[TOGETHER], sum[TOGETHER];
    UNROLL for (size_t r = 0; r < rows; r++) {
        most[r] = splat(-INFINITY);
        sum[r] = (vec){ 0 };
    }
    for (size_t key = 0; key < keys; key += VECTOR) {
        const size_t part = keys - key < VECTOR ? keys - key : VECTOR;
        float *scores = slabs + key / RUN * SLAB_FLOATS + at * A_STRIDE + key % RUN;
        UNROLL for (size_t r = 0; r < rows; r++) {
            const vec x = biased(call, scores + r * A_STRIDE, query + r, key, part);
            store(scores + r * A_STRIDE, x);
            most[r] = at_least(most[r], x);
        }
    }
    UNROLL for (size_t r = 0; r < rows; r++)
        most[r] = splat(reduce_lanes(OOD_REDUCE_MAX, most[r]));
    for (size_t key = 0; key < keys; key += VECTOR) {
        float *scores = slabs + key / RUN * SLAB_FLOATS + at * A_STRIDE + key % RUN;
        UNROLL for (size_t r = 0; r < rows; r++) {
            const vec e = exp_negative(load(scores + r * A_STRIDE) - most[r]);
            sum[r] = sum[r] + e;
            store(scores + r * A_STRIDE, e);
        }
    }
    UNROLL for (size_t r = 0; r < rows; r++)
        inverse[r] = 1.0f / reduce_lanes(OOD_REDUCE_SUM, sum[r]);
}

static void weigh(const struct ood_attention_call *call, float *slabs, float *inverse, size_t first, size_t rows)
{
    size_t r = 0;
    for (; rows - r >= TOGETHER; r += TOGETHER)
        weigh_rows(call, slabs, inverse + r, r, first + r, TOGETHER);
    for (; r < rows; r++)
        weigh_rows(call, slabs, inverse + r, r, first + r, 1);
}

/* out = weights · V, divided by the weights' sums. */
static void mix(const struct ood_attention_call *call, const float *values, const float *slabs, const float *inverse, size_t first, size_t rows)
{
    const struct ood_attention_shape *s = &call->shape;
    float *out = call->out + first * call->out_row;
    struct run run = { .panel_stride = s->keys * PANEL, .a_stride = A_STRIDE, .c_stride = call->out_row };
    for (size_t from = 0; from < s->keys; from += run.k) {
        run.k = s->keys - from < RUN ? s->keys - from : RUN;
        run.first = from == 0;
        KERNEL(ood_product_block)(out, slabs + from / RUN * SLAB_FLOATS, values + from * PANEL, NULL, NULL, &run, rows, s->width);
    }
    for (size_t r = 0; r < rows; r++, out += call->out_row) {
        const vec factor = splat(inverse[r]);
        size_t i = 0;
        for (; s->width - i >= VECTOR; i += VECTOR)
            store(out + i, load(out + i) * factor);
        if (i < s->width)
            store_part(out + i, s->width - i, load_part(out + i, s->width - i, 0) * factor);
    }
}

void KERNEL(ood_attention)(const struct ood_attention_call *call)
{
    const struct ood_attention_shape *s = &call->shape;
    float inverse[BLOCK_ROWS];
    float *keys = call->scratch, *values = keys + KERNEL(ood_packed_b_floats)(s->depth, s->keys);
    float *queries = values + KERNEL(ood_packed_b_floats)(s->keys, s->width), *slabs = queries + SLAB_FLOATS;
    KERNEL(ood_pack_b)(keys, call->k, s->depth, s->keys, call->k_column, call->k_row);
    KERNEL(ood_pack_b)(values, call->v, s->keys, s->width, call->v_row, call->v_column);
    const size_t blocks = (s->queries + BLOCK_ROWS - 1) / BLOCK_ROWS;
    for (size_t block = 0, first = 0, rows; block < blocks; block++, first += rows) {
        rows = s->queries / blocks + (block < s->queries % blocks);
        score(call, keys, slabs, queries, first, rows);
        weigh(call, slabs, inverse, first, rows);
        mix(call, values, slabs, inverse, first, rows);
    }
}
