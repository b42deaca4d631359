/* Attention of one head against sums in double, written out: every version, sizes beside and across the blocks, strides, biases; memory between
 * guard pages; bits that depend on a row alone; NaN. */
#include "guarded.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "base/random.h"
#include "kernel/attention.h"

struct head { size_t queries, keys, depth, width, gap; bool k_turned, v_turned; size_t biases; size_t bias_rows; };

static const struct head heads[] = {
    { 1, 1, 1, 1, 0, false, false, 0, 0 },     { 65, 65, 16, 16, 32, false, false, 0, 0 },  { 17, 17, 16, 16, 0, true, false, 0, 0 },
    { 49, 49, 32, 32, 64, false, false, 2, 1 }, { 5, 5, 16, 16, 7, false, true, 1, 1 },      { 197, 197, 64, 64, 0, false, false, 0, 0 },
    { 3, 255, 9, 33, 1, false, false, 1, 0 },  { 50, 768, 8, 4, 0, true, true, 2, 0 },       { 7, 769, 20, 70, 3, false, false, 1, 1 },
    { 2, 1600, 900, 5, 0, false, false, 0, 0 }, { 100, 31, 780, 1, 2, true, false, 1, 1 },
};
#define HEADS (sizeof heads / sizeof heads[0])

/* Memory of a head's operands, each a matrix of rows with a gap behind them. */
struct memory { struct guarded q, k, v, bias[2], out, scratch; struct ood_attention_call call; };

static struct guarded matrix(struct ood_random *random, size_t rows, size_t columns, size_t stride, float size)
{
    struct guarded g = guard((rows - 1) * stride + columns, true);
    for (size_t i = 0; i < (rows - 1) * stride + columns; i++)
        g.at[i] = size * (float)ood_random_normal(random);
    return g;
}

static void make(struct memory *m, const struct ood_kernels *kernels, const struct head *h, uint64_t seed, float size)
{
    struct ood_random random;
    ood_random_seed(&random, seed);
    const size_t k_rows = h->k_turned ? h->depth : h->keys, k_columns = h->k_turned ? h->keys : h->depth;
    const size_t v_rows = h->v_turned ? h->width : h->keys, v_columns = h->v_turned ? h->keys : h->width;
    *m = (struct memory){ .call = { .shape = { h->queries, h->keys, h->depth, h->width }, .scale = 1 / sqrtf((float)h->depth) } };
    struct ood_attention_call *call = &m->call;
    m->q = matrix(&random, h->queries, h->depth, h->depth + h->gap, size);
    m->k = matrix(&random, k_rows, k_columns, k_columns + h->gap, 1);
    m->v = matrix(&random, v_rows, v_columns, v_columns + h->gap, 1);
    m->out = guard((h->queries - 1) * (h->width + h->gap) + h->width, true);
    m->scratch = guard(kernels->attention_scratch_floats(&call->shape), true);
    call->q = m->q.at, call->k = m->k.at, call->v = m->v.at, call->out = m->out.at, call->scratch = m->scratch.at;
    call->q_row = h->depth + h->gap;
    call->k_row = h->k_turned ? 1 : k_columns + h->gap, call->k_column = h->k_turned ? k_columns + h->gap : 1;
    call->v_row = h->v_turned ? 1 : v_columns + h->gap, call->v_column = h->v_turned ? v_columns + h->gap : 1;
    call->out_row = h->width + h->gap;
    for (size_t b = 0; b < h->biases; b++) {
        m->bias[b] = matrix(&random, h->bias_rows > 0 ? h->queries : 1, h->keys, h->keys, 1);
        call->bias[b] = m->bias[b].at;
        call->bias_row[b] = h->bias_rows > 0 ? h->keys : 0;
    }
}

static void unmake(struct memory *m, const struct head *h)
{
    unguard(&m->q), unguard(&m->k), unguard(&m->v), unguard(&m->out), unguard(&m->scratch);
    for (size_t b = 0; b < h->biases; b++)
        unguard(&m->bias[b]);
}

/* One element, in double. */
static double expected(const struct ood_attention_call *c, size_t query, size_t column)
{
    const struct ood_attention_shape *s = &c->shape;
    double scores[1600], most = -INFINITY, sum = 0, mixed = 0;
    for (size_t key = 0; key < s->keys; key++) {
        double score = 0;
        for (size_t i = 0; i < s->depth; i++)
            score += (double)c->q[query * c->q_row + i] * (double)c->k[key * c->k_row + i * c->k_column];
        score *= (double)c->scale;
        for (size_t b = 0; b < OOD_ATTENTION_BIASES; b++)
            score += c->bias[b] != NULL ? (double)c->bias[b][query * c->bias_row[b] + key] : 0;
        scores[key] = score;
        most = fmax(most, score);
    }
    for (size_t key = 0; key < s->keys; key++) {
        const double weight = exp(scores[key] - most);
        sum += weight;
        mixed += weight * (double)c->v[key * c->v_row + column * c->v_column];
    }
    return mixed / sum;
}

static void agrees_with_sums_in_double(void **state)
{
    (void)state;
    for_each_version(kernels)
        for (size_t h = 0; h < HEADS; h++)
            for (int large = 0; large < 2; large++) {
                struct memory m;
                make(&m, kernels, &heads[h], 11 + h, large ? 30 : 1);
                const size_t gap = heads[h].gap, n = (heads[h].queries - 1) * m.call.out_row + heads[h].width;
                for (size_t i = 0; i < n; i++)
                    m.out.at[i] = 77;
                kernels->attention(&m.call);
                for (size_t q = 0; q < heads[h].queries; q++) {
                    for (size_t c = 0; c < heads[h].width; c++)
                        check_close((double)m.out.at[q * m.call.out_row + c], expected(&m.call, q, c), large ? 1e-4 : 2e-6, large ? 3e-4 : 4e-6);
                    for (size_t c = 0; c < gap && q + 1 < heads[h].queries; c++)     /* what lies between rows is not the head's */
                        assert_true(m.out.at[q * m.call.out_row + heads[h].width + c] == 77);
                }
                unmake(&m, &heads[h]);
            }
}

static void a_row_depends_on_itself(void **state)
{
    (void)state;
    for_each_version(kernels)
        for (size_t h = 0; h < HEADS; h++) {
            struct memory m;
            float row[70];
            make(&m, kernels, &heads[h], 5, 1);
            kernels->attention(&m.call);
            for (size_t q = 0; q < heads[h].queries; q += heads[h].queries > 4 ? heads[h].queries / 4 : 1) {
                struct ood_attention_call alone = m.call;
                alone.shape.queries = 1;
                alone.q += q * alone.q_row;
                alone.out = row;
                for (size_t b = 0; b < heads[h].biases; b++)
                    alone.bias[b] += q * alone.bias_row[b];
                kernels->attention(&alone);
                assert_memory_equal(row, m.call.out + q * m.call.out_row, heads[h].width * sizeof *row);
            }
            unmake(&m, &heads[h]);
        }
}

static void nan_and_masks(void **state)
{
    static const struct head h = { 9, 21, 8, 6, 0, false, false, 1, 1 };
    (void)state;
    for_each_version(kernels) {
        struct memory m;
        make(&m, kernels, &h, 3, 1);
        m.q.at[4 * m.call.q_row + 2] = NAN;
        for (size_t key = 0; key < h.keys; key++)
            m.bias[0].at[2 * h.keys + key] = -INFINITY;              /* nothing to look at */
        for (size_t key = 3; key < h.keys; key++)
            m.bias[0].at[7 * h.keys + key] = -INFINITY;              /* three keys */
        kernels->attention(&m.call);
        for (size_t q = 0; q < h.queries; q++)
            for (size_t c = 0; c < h.width; c++) {
                const float y = m.out.at[q * m.call.out_row + c];
                assert_int_equal(isnan(y) != 0, q == 4 || q == 2);
                if (q == 7)
                    check_close((double)y, expected(&m.call, q, c), 2e-6, 4e-6);
            }
        unmake(&m, &h);
    }
}

static void sizes_are_checked(void **state)
{
    (void)state;
    for_each_version(kernels) {
        assert_int_equal(kernels->attention_scratch_floats(&(struct ood_attention_shape){ 1, SIZE_MAX / 64, 1, 1 }), 0);
        assert_int_equal(kernels->attention_scratch_floats(&(struct ood_attention_shape){ 1, SIZE_MAX / 4, SIZE_MAX / 4, 1 }), 0);
        assert_int_equal(kernels->attention_scratch_floats(&(struct ood_attention_shape){ 0, 4, 4, 4 }), 0);
        assert_int_equal(kernels->attention_scratch_floats(&(struct ood_attention_shape){ 4, 0, 4, 4 }), 0);
        assert_true(kernels->attention_scratch_floats(&(struct ood_attention_shape){ 4, 4, 4, 4 }) > 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_sums_in_double),
        cmocka_unit_test(a_row_depends_on_itself),
        cmocka_unit_test(nan_and_masks),
        cmocka_unit_test(sizes_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
