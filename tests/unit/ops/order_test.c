/* TopK against a plain sort, of any k, with ties and NaN; NonMaxSuppression where scores, boxes and limits are no numbers. */
#include <math.h>

#include "base/random.h"
#include "check.h"
#include "ops/ops.h"
#include "plan/plan.h"
#include "../graph/onnx_writer.h"

static struct ood_model *load(const struct onnx_writer *w, bool stages)
{
    struct ood_error err = { 0 };
    const struct ood_bytes onnx = { w->data, w->size };
    const struct ood_model_options options = { .operators = ood_op_table, .no_taps = true, .only_batch = 1, .stages = stages };
    struct ood_model *model = ood_model_new(&onnx, &options, &err);
    check_ok(model != NULL);
    return model;
}

/* ---- TopK ---- */

static const float *sorted;                  /* what compare reads */
static size_t sorted_inner;
static bool sorted_largest;

/* NaN first; equal ones by place. */
static int compare(const void *a, const void *b)
{
    const int64_t i = *(const int64_t *)a, k = *(const int64_t *)b;
    const float x = sorted[(size_t)i * sorted_inner], y = sorted[(size_t)k * sorted_inner];
    if (isnan(x) != isnan(y))
        return isnan(x) ? -1 : 1;
    if (!isnan(x) && x != y)
        return (x > y) == sorted_largest ? -1 : 1;
    return (i > k) - (i < k);
}

static void check_top_k(size_t n, size_t inner, size_t k, bool largest, unsigned kinds, uint64_t seed)
{
    struct onnx_writer w = { 0 };
    struct ood_error err = { 0 };
    struct ood_random random;
    const char *inputs[] = { "x", "k" }, *outputs[] = { "values", "places" };
    onnx_model_begin(&w, 13);
    onnx_input(&w, "x", ONNX_FLOAT, 3, (int64_t[]){ 1, (int64_t)n, (int64_t)inner });
    onnx_initialiser(&w, "k", ONNX_INT64, 1, (int64_t[]){ 1 }, (int64_t[]){ (int64_t)k }, 8);
    onnx_node_begin(&w, "TopK", NULL, inputs, 2, outputs, 2);
    onnx_int(&w, "axis", 1);
    onnx_int(&w, "largest", largest);
    onnx_node_end(&w);
    onnx_output(&w, "values");
    onnx_output(&w, "places");
    onnx_model_end(&w);
    struct ood_model *model = load(&w, false);
    struct ood_run *run = ood_run_new(model, &err);
    float *x = malloc(n * inner * sizeof *x);
    int64_t *order = malloc(n * sizeof *order);
    assert_true(run != NULL && x != NULL && order != NULL);
    ood_random_seed(&random, seed);
    for (size_t i = 0; i < n * inner; i++) {                          /* kinds 0: all different, nearly */
        const uint64_t draw = kinds > 0 ? ood_random_below(&random, kinds) : 0;
        x[i] = kinds == 0 ? (float)ood_random_normal(&random) : draw == 0 ? NAN : draw == 1 ? -INFINITY : draw == 2 ? -0.0f : draw == 3 ? 0.0f : (float)draw;
    }
    memcpy(ood_run_input(run, 1, 0), x, n * inner * sizeof *x);
    ood_run_execute(run, 1);
    const float *values = ood_run_output(run, 1, 0);
    const int64_t *places = ood_run_output(run, 1, 1);
    for (size_t c = 0; c < inner; c++) {
        sorted = x + c, sorted_inner = inner, sorted_largest = largest;
        for (size_t i = 0; i < n; i++)
            order[i] = (int64_t)i;
        qsort(order, n, sizeof *order, compare);
        for (size_t i = 0; i < k; i++) {
            if (places[i * inner + c] != order[i])
                fail_msg("n %zu, k %zu, column %zu: place %zu is %lld, expected %lld", n, k, c, i, (long long)places[i * inner + c], (long long)order[i]);
            assert_memory_equal(&values[i * inner + c], &x[(size_t)order[i] * inner + c], sizeof *x);
        }
    }
    free(x);
    free(order);
    ood_run_free(run);
    ood_model_free(model);
    onnx_free(&w);
}

static void top_k_is_a_sort(void **state)
{
    (void)state;
    uint64_t seed = 1;
    for (size_t n = 1; n <= 40; n += 3)
        for (size_t k = 0; k <= n; k += 1 + n / 7)
            for (unsigned kinds = 0; kinds <= 9; kinds += 3) {
                check_top_k(n, 1, k, true, kinds, seed++);
                check_top_k(n, 3, k, false, kinds, seed++);
            }
}

/* By insertion this took n·k: a minute. */
static void top_k_of_many(void **state)
{
    (void)state;
    check_top_k(300000, 1, 150000, true, 0, 7);
    check_top_k(300000, 1, 300000, false, 5, 8);
}

/* ---- NonMaxSuppression ---- */

#define BOXES 5

/* Five boxes: 0 and 1 overlap by 0.6, 2 is far away, 3 and 4 are the case's. Expects `want`, ended by -1. */
struct nan_case {
    const char *name;
    float box_3[4], box_4[4], scores[BOXES], iou, limit;
    bool centre, has_limit;
    int want[BOXES + 1];
};

static void suppress(const struct nan_case *row)
{
    static const float corners[2][4] = { { 0, 0, 4, 4 }, { 0, 1, 4, 5 } }, far[4] = { 50, 50, 60, 60 };
    static const float centres[2][4] = { { 2, 2, 4, 4 }, { 2, 3, 4, 4 } }, far_centre[4] = { 55, 55, 10, 10 };
    struct onnx_writer w = { 0 };
    struct ood_error err = { 0 };
    float boxes[BOXES][4];
    const char *inputs[] = { "boxes", "scores", "most", "iou", "limit" };
    memcpy(boxes, row->centre ? centres : corners, sizeof corners);
    memcpy(boxes[2], row->centre ? far_centre : far, sizeof far);
    memcpy(boxes[3], row->box_3, sizeof boxes[3]);
    memcpy(boxes[4], row->box_4, sizeof boxes[4]);
    onnx_model_begin(&w, 13);
    onnx_input(&w, "boxes", ONNX_FLOAT, 3, (int64_t[]){ 1, BOXES, 4 });
    onnx_input(&w, "scores", ONNX_FLOAT, 3, (int64_t[]){ 1, 1, BOXES });
    onnx_input(&w, "iou", ONNX_FLOAT, 1, (int64_t[]){ 1 });
    onnx_input(&w, "limit", ONNX_FLOAT, 1, (int64_t[]){ 1 });
    onnx_initialiser(&w, "most", ONNX_INT64, 1, (int64_t[]){ 1 }, (int64_t[]){ 10 }, 8);
    onnx_node_begin(&w, "NonMaxSuppression", NULL, inputs, row->has_limit ? 5 : 4, (const char *[]){ "y" }, 1);
    onnx_int(&w, "center_point_box", row->centre);
    onnx_node_end(&w);
    onnx_output(&w, "y");
    onnx_model_end(&w);
    struct ood_model *model = load(&w, true);
    struct ood_run *run = ood_run_new(model, &err);
    check_ok(run != NULL);
    memcpy(ood_run_input(run, 1, 0), boxes, sizeof boxes);
    memcpy(ood_run_input(run, 1, 1), row->scores, sizeof row->scores);
    *(float *)ood_run_input(run, 1, 2) = row->iou;
    *(float *)ood_run_input(run, 1, 3) = row->limit;
    check_ok(ood_run_all(run, 1, &err));
    const int64_t *found = ood_run_output(run, 1, 0);
    const size_t count = (size_t)ood_run_output_shape(run, 1, 0).dims[0];
    size_t wanted = 0;
    while (row->want[wanted] >= 0)
        wanted++;
    for (size_t i = 0; i < count && i < wanted; i++)
        if (found[3 * i + 2] != row->want[i] || found[3 * i] != 0 || found[3 * i + 1] != 0)
            fail_msg("%s: answer %zu is box %lld, expected %d", row->name, i, (long long)found[3 * i + 2], row->want[i]);
    if (count != wanted)
        fail_msg("%s: %zu boxes, expected %zu", row->name, count, wanted);
    ood_run_free(run);
    ood_model_free(model);
    onnx_free(&w);
}

#define USUAL_SCORES { 0.9f, 0.8f, 0.7f, 0.6f, 0.5f }

static void suppression_of_no_numbers(void **state)
{
    (void)state;
    const float nan = NAN, inf = INFINITY;
    const struct nan_case cases[] = {
        { "numbers", { 50, 50, 60, 61 }, { 0, 0, 4, 4 }, USUAL_SCORES, 0.5f, 0, false, true, { 0, 2, -1 } },
        { "numbers, centres", { 55, 55, 10, 10 }, { 2, 2, 4, 4 }, USUAL_SCORES, 0.5f, 0, true, true, { 0, 2, -1 } },
        { "a score", { 50, 50, 60, 61 }, { 0, 0, 4, 4 }, { nan, 0.8f, nan, 0.6f, 0.5f }, 0.5f, 0, false, true, { 1, 3, -1 } },
        { "a score, no limit", { 50, 50, 60, 61 }, { 0, 0, 4, 4 }, { nan, 0.8f, nan, -inf, inf }, 0.5f, 0, false, false, { 4, 3, -1 } },
        { "all scores", { 50, 50, 60, 61 }, { 0, 0, 4, 4 }, { nan, nan, nan, nan, nan }, 0.5f, 0, false, false, { -1 } },
        { "a coordinate", { 50, nan, 60, 60 }, { nan, 0, 4, 4 }, USUAL_SCORES, 0.5f, 0, false, true, { 0, 2, 3, 4, -1 } },
        { "both of a side", { nan, 50, nan, 60 }, { nan, nan, nan, nan }, USUAL_SCORES, 0.5f, 0, false, true, { 0, 2, 3, 4, -1 } },
        { "a coordinate of the best", { 0, 0, nan, 4 }, { 0, 0, 4, 4 }, { 0.5f, 0.4f, 0.3f, 0.9f, 0.2f }, 0.5f, 0, false, true, { 3, 0, 2, -1 } },
        { "centre and size", { 55, nan, 10, 10 }, { 2, 2, nan, 4 }, USUAL_SCORES, 0.5f, 0, true, true, { 0, 2, 3, 4, -1 } },
        { "without end", { -inf, -inf, inf, inf }, { -inf, -inf, inf, inf }, USUAL_SCORES, 0.5f, 0, false, true, { 0, 2, 3, 4, -1 } },
        { "a width without end", { 55, 55, inf, 10 }, { 55, 55, inf, 10 }, USUAL_SCORES, 0.5f, 0, true, true, { 0, 2, 3, 4, -1 } },
        { "too large an area", { -3e38f, -3e38f, 3e38f, 3e38f }, { 0, 0, 1e30f, 1e30f }, USUAL_SCORES, 0.5f, 0, false, true, { 0, 2, 3, 4, -1 } },
        { "the overlap's limit", { 50, 50, 60, 61 }, { 0, 0, 4, 4 }, USUAL_SCORES, nan, 0, false, true, { 0, 1, 2, 3, 4, -1 } },
        { "the score's limit", { 50, 50, 60, 61 }, { 0, 0, 4, 4 }, USUAL_SCORES, 0.5f, nan, false, true, { -1 } },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        suppress(&cases[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(top_k_is_a_sort), cmocka_unit_test(top_k_of_many), cmocka_unit_test(suppression_of_no_numbers) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
