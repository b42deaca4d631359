/* Graphs whose shapes hang on data: what stages compute, what they keep, where they stop, and what they say of hostile numbers. */
#include <math.h>
#include <pthread.h>

#include "base/fault.h"
#include "check.h"
#include "ops/ops.h"
#include "plan/plan.h"
#include "../graph/onnx_writer.h"

/* ---- small networks ---- */

static void node(struct onnx_writer *w, const char *op, const char *a, const char *b, const char *c, const char *y)
{
    const char *inputs[] = { a, b, c };
    onnx_node_begin(w, op, NULL, inputs, c != NULL ? 3 : b != NULL ? 2 : 1, (const char *[]){ y }, 1);
    onnx_node_end(w);
}

static void floats(struct onnx_writer *w, const char *name, size_t rank, const int64_t *dims, const float *values)
{
    size_t count = 1;
    for (size_t i = 0; i < rank; i++)
        count *= (size_t)dims[i];
    onnx_initialiser(w, name, ONNX_FLOAT, rank, dims, values, count * sizeof *values);
}

static void ints(struct onnx_writer *w, const char *name, size_t rank, int64_t first, int64_t second)
{
    onnx_initialiser(w, name, ONNX_INT64, rank, (int64_t[]){ second == INT64_MIN ? 1 : 2 }, (int64_t[]){ first, second },
                     (rank == 0 || second == INT64_MIN ? 1 : 2) * sizeof(int64_t));
}

#define ONE INT64_MIN

/* x[24, 6] and t[1]: the rows whose sum is above t, through a Gemm of 3 and a Softmax; and how often each shape was met is nobody's business. */
static void rows_network(struct onnx_writer *w)
{
    float weights[18];
    for (size_t i = 0; i < 18; i++)
        weights[i] = (float)((int)(i * 7 % 11) - 5) / 8;
    onnx_model_begin(w, 13);
    onnx_input(w, "x", ONNX_FLOAT, 2, (int64_t[]){ 24, 6 });
    onnx_input(w, "t", ONNX_FLOAT, 1, (int64_t[]){ 1 });
    floats(w, "w", 2, (int64_t[]){ 6, 3 }, weights);
    floats(w, "b", 1, (int64_t[]){ 3 }, (float[]){ 0.5f, -1, 2 });
    ints(w, "last", 1, -1, ONE);
    node(w, "ReduceSum", "x", "last", NULL, "sums");
    node(w, "Greater", "sums", "t", NULL, "above");
    node(w, "Squeeze", "above", "last", NULL, "flat");
    node(w, "NonZero", "flat", NULL, NULL, "places");
    ints(w, "first", 1, 0, ONE);
    node(w, "Squeeze", "places", "first", NULL, "rows");
    node(w, "Gather", "x", "rows", NULL, "chosen");
    node(w, "Gemm", "chosen", "w", "b", "logits");
    node(w, "Softmax", "logits", NULL, NULL, "y");
    onnx_output(w, "y");
    onnx_output(w, "rows");
    onnx_model_end(w);
}

static struct ood_model *load(const struct onnx_writer *w, struct ood_error *err)
{
    const struct ood_bytes onnx = { w->data, w->size };
    return ood_model_new(&onnx, &(struct ood_model_options){ .operators = ood_op_table, .no_taps = true, .stages = true }, err);
}

static float number(size_t i) { return (float)((i * 2654435761u >> 7) % 2001) / 1000 - 1; }

static void fill_rows(struct ood_run *run, size_t batch, size_t seed, float limit)
{
    float *x = ood_run_input(run, batch, 0), *t = ood_run_input(run, batch, 1);
    for (size_t i = 0; i < 24 * 6; i++)
        x[i] = number(i + 1000 * seed);
    *t = limit;
}

/* The same in a loop. */
static void check_rows(const struct ood_run *run, size_t batch, size_t seed, float limit)
{
    const float *y = ood_run_output(run, batch, 0);
    const int64_t *rows = ood_run_output(run, batch, 1);
    const struct ood_shape shape = ood_run_output_shape(run, batch, 0), list = ood_run_output_shape(run, batch, 1);
    size_t count = 0;
    for (size_t r = 0; r < 24; r++) {
        float sum = 0;
        double logits[3] = { 0.5, -1, 2 }, total = 0;
        for (size_t i = 0; i < 6; i++)
            sum += number(6 * r + i + 1000 * seed);
        if (!(sum > limit))
            continue;
        for (size_t k = 0; k < 3; k++) {
            for (size_t i = 0; i < 6; i++)
                logits[k] += (double)number(6 * r + i + 1000 * seed) * ((int)((3 * i + k) * 7 % 11) - 5) / 8;
            total += exp(logits[k]);
        }
        assert_true((int64_t)count < shape.dims[0]);
        assert_int_equal(rows[count], r);
        for (size_t k = 0; k < 3; k++)
            check_close((double)y[3 * count + k], exp(logits[k]) / total, 1e-6, 1e-5);
        count++;
    }
    assert_int_equal(shape.rank, 2);
    assert_int_equal(shape.dims[0], count);
    assert_int_equal(shape.dims[1], 3);
    assert_int_equal(list.dims[0], count);
    assert_int_equal(ood_run_output_type(run, batch, 1), OOD_INT64);
}

/* ---- tests ---- */

static void rows_of_any_number(void **state)
{
    (void)state;
    struct ood_error err = { 0 };
    struct onnx_writer w = { 0 };
    rows_network(&w);
    struct ood_model *model = load(&w, &err);
    check_ok(model != NULL);
    assert_true(ood_model_is_staged(model));
    assert_true(ood_model_output_shape(model, 0).rank == OOD_RANK_FREE);
    struct ood_run *run = ood_run_new(model, &err);
    check_ok(run != NULL);
    const size_t batch = ood_model_most_batch(model);
    static const float limits[] = { -100, 0, 0.5f, 100, 1, -1, 0.25f, -0.25f, 100, 0, -100 };
    for (size_t round = 0; round < 2; round++)
        for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
            fill_rows(run, batch, i, limits[i]);
            check_ok(ood_run_all(run, batch, &err));
            check_rows(run, batch, i, limits[i]);
        }
    fill_rows(run, batch, 3, NAN);
    check_ok(ood_run_all(run, batch, &err));
    check_rows(run, batch, 3, NAN);
    ood_run_free(run);
    ood_model_free(model);
    onnx_free(&w);
}

/* Shapes met before cost no memory; of many, few are kept. */
static void stages_are_kept_and_go(void **state)
{
    (void)state;
    struct ood_error err = { 0 };
    struct onnx_writer w = { 0 };
    rows_network(&w);
    struct ood_model *model = load(&w, &err);
    struct ood_run *run = ood_run_new(model, &err);
    const size_t batch = ood_model_most_batch(model);
    for (size_t i = 0; i < 2; i++) {
        fill_rows(run, batch, i, 0);
        check_ok(ood_run_all(run, batch, &err));
    }
    ood_fault_arm(OOD_FAULT_ALLOC, 1, true);
    for (size_t i = 0; i < 4; i++) {
        fill_rows(run, batch, i % 2, 0);
        check_ok(ood_run_all(run, batch, &err));
        check_rows(run, batch, i % 2, 0);
    }
    assert_false(ood_fault_disarm());
    ood_run_free(run);
    ood_model_free(model);
    onnx_free(&w);
}

/* Each allocation of a run that compiles fails once: the run says so, and goes on afterwards. */
static void want_of_memory(void **state)
{
    (void)state;
    struct ood_error err = { 0 };
    struct onnx_writer w = { 0 };
    rows_network(&w);
    struct ood_model *model = load(&w, &err);
    bool fired = true;
    for (unsigned long nth = 1; fired; nth++) {
        struct ood_run *run = ood_run_new(model, &err);
        const size_t batch = ood_model_most_batch(model);
        check_ok(run != NULL);
        fill_rows(run, batch, 5, 0);
        ood_fault_arm(OOD_FAULT_ALLOC, nth, false);
        const bool done = ood_run_all(run, batch, &err);
        fired = ood_fault_disarm();
        if (fired ? done || err.code != OOD_OUT_OF_MEMORY : !done)
            fail_msg("allocation %lu: %s: %s", nth, ood_code_name(err.code), err.message);
        err = (struct ood_error){ 0 };
        fill_rows(run, batch, 6, 0.5f);
        check_ok(ood_run_all(run, batch, &err));
        check_rows(run, batch, 6, 0.5f);
        ood_run_free(run);
    }
    for (unsigned long nth = 1; nth < 400; nth += 3) {                /* and while the model is made */
        ood_fault_arm(OOD_FAULT_ALLOC, nth, false);
        struct ood_model *made = load(&w, &err);
        struct ood_run *run = made != NULL ? ood_run_new(made, &err) : NULL;
        if (ood_fault_disarm() ? run != NULL : run == NULL)
            fail_msg("allocation %lu: %s", nth, err.message);
        ood_run_free(run);
        ood_model_free(made);
        err = (struct ood_error){ 0 };
    }
    ood_model_free(model);
    onnx_free(&w);
}

static void *run_many(void *argument)
{
    struct ood_model *model = argument;
    struct ood_error err = { 0 };
    struct ood_run *run = ood_run_new(model, &err);
    bool same = run != NULL;
    float first[72];
    for (size_t i = 0; same && i < 40; i++) {
        const size_t batch = ood_model_most_batch(model);
        fill_rows(run, batch, i % 2 == 0 ? 1 : i, i % 2 == 0 ? 0 : (float)(i % 7) / 4);
        same = ood_run_all(run, batch, &err);
        const struct ood_shape shape = ood_run_output_shape(run, batch, 0);
        if (same && i == 0)
            memcpy(first, ood_run_output(run, batch, 0), (size_t)shape.dims[0] * 3 * sizeof *first);
        else if (same && i % 2 == 0)
            same = memcmp(first, ood_run_output(run, batch, 0), (size_t)shape.dims[0] * 3 * sizeof *first) == 0;
    }
    ood_run_free(run);
    return same ? model : NULL;
}

static void threads_share_a_model(void **state)
{
    (void)state;
    struct ood_error err = { 0 };
    struct onnx_writer w = { 0 };
    pthread_t threads[4];
    rows_network(&w);
    struct ood_model *model = load(&w, &err);
    check_ok(model != NULL);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, run_many, model), 0);
    for (size_t i = 0; i < 4; i++) {
        void *same;
        pthread_join(threads[i], &same);
        assert_non_null(same);
    }
    ood_model_free(model);
    onnx_free(&w);
}

/* Who cannot take stages is told why; what no output needs does not stand in the way. */
static void refused_where_a_whole_is_wanted(void **state)
{
    (void)state;
    struct ood_error err = { 0 };
    struct onnx_writer w = { 0 };
    rows_network(&w);
    const struct ood_bytes onnx = { w.data, w.size };
    struct ood_model_options options = { .operators = ood_op_table, .no_taps = true };
    check_fails(ood_model_new(&onnx, &options, &err) != NULL, OOD_UNSUPPORTED, "the size of output 0, \"places\", depends on the data");
    const char *sums[] = { "sums" };
    options = (struct ood_model_options){ .operators = ood_op_table, .outputs = sums, .output_count = 1 };
    struct ood_model *model = ood_model_new(&onnx, &options, &err);
    check_ok(model != NULL);
    assert_false(ood_model_is_staged(model));
    ood_model_free(model);
    onnx_free(&w);
}

/* x[4] → Range(0, ⌊x0⌋, 1) + x1 reshaped to [⌊x2⌋, ⌊x3⌋]. */
static void shapes_network(struct onnx_writer *w)
{
    onnx_model_begin(w, 13);
    onnx_input(w, "x", ONNX_FLOAT, 1, (int64_t[]){ 4 });
    static const char *const names[] = { "i0", "i1", "i2" };
    for (int64_t i = 0; i < 3; i++)
        ints(w, names[i], i == 2 ? 1 : 0, i, i == 2 ? 3 : ONE);
    floats(w, "zero", 0, NULL, (float[]){ 0 });
    floats(w, "one", 0, NULL, (float[]){ 1 });
    node(w, "Gather", "x", "i0", NULL, "x0");
    node(w, "Gather", "x", "i1", NULL, "x1");
    node(w, "Gather", "x", "i2", NULL, "x23");
    onnx_node_begin(w, "Cast", NULL, (const char *[]){ "x23" }, 1, (const char *[]){ "sizes" }, 1);
    onnx_int(w, "to", ONNX_INT64);
    onnx_node_end(w);
    node(w, "Range", "zero", "x0", "one", "r");
    node(w, "Add", "r", "x1", NULL, "s");
    node(w, "Reshape", "s", "sizes", NULL, "y");
    onnx_output(w, "y");
    onnx_model_end(w);
}

static void computed_shapes(void **state)
{
    (void)state;
    struct ood_error err = { 0 };
    struct onnx_writer w = { 0 };
    shapes_network(&w);
    struct ood_model *model = load(&w, &err);
    check_ok(model != NULL);
    struct ood_run *run = ood_run_new(model, &err);
    const size_t batch = ood_model_most_batch(model);
    static const struct { float x[4]; enum ood_code code; const char *says; } cases[] = {
        { { 6, 0.5f, 2, 3 }, OOD_OK, NULL },
        { { 6, 0.5f, 3, -1 }, OOD_OK, NULL },
        { { 0, 0.5f, 4, 0 }, OOD_INVALID, "does not fit" },
        { { 7, 0.5f, 2, 3 }, OOD_INVALID, "node Reshape_6 (Reshape, opset 13): input of shape 7 does not fit into 2x3" },
        { { 1e9f, 0, 2, 3 }, OOD_INVALID, "Range" },
        { { NAN, 0, 2, 3 }, OOD_INVALID, "Range" },
        { { INFINITY, 0, 2, 3 }, OOD_INVALID, "Range" },
        { { 6, 0, 1e30f, 3 }, OOD_INVALID, "does not fit" },
        { { 6, 0, -4.6e18f, 3 }, OOD_UNSUPPORTED, "reserved" },
        { { 12, -2, 4, 3 }, OOD_OK, NULL },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        memcpy(ood_run_input(run, batch, 0), cases[i].x, sizeof cases[i].x);
        if (cases[i].code != OOD_OK) {
            if (cases[i].code == OOD_UNSUPPORTED)
                ((float *)ood_run_input(run, batch, 0))[2] = -4611686018427387904.0f + 549755813888.0f;
            check_fails(ood_run_all(run, batch, &err), cases[i].code, cases[i].says);
            continue;
        }
        check_ok(ood_run_all(run, batch, &err));
        const struct ood_shape shape = ood_run_output_shape(run, batch, 0);
        const float *y = ood_run_output(run, batch, 0);
        assert_int_equal(shape.rank, 2);
        assert_int_equal(shape.dims[0] * shape.dims[1], (int64_t)cases[i].x[0]);
        for (size_t k = 0; k < (size_t)cases[i].x[0]; k++)
            assert_true(y[k] == (float)k + cases[i].x[1]);
    }
    ood_run_free(run);
    ood_model_free(model);
    onnx_free(&w);
}

/* ---- branches ---- */

static void branch_begin(struct onnx_writer *w, const char *name)
{
    onnx_attribute_begin(w, name, 5);
    onnx_begin(w, 6);
}

static void branch_end(struct onnx_writer *w)
{
    onnx_end(w);
    onnx_end(w);
}

/* c[1], x[3]: c > 0 ? (c > 1 ? x · x : x + k) : x, with k a constant of the branch, of the same name in both. */
static void branch_network(struct onnx_writer *w)
{
    onnx_model_begin(w, 13);
    onnx_input(w, "c", ONNX_FLOAT, 1, (int64_t[]){ 1 });
    onnx_input(w, "x", ONNX_FLOAT, 1, (int64_t[]){ 3 });
    floats(w, "zero", 1, (int64_t[]){ 1 }, (float[]){ 0 });
    floats(w, "one", 1, (int64_t[]){ 1 }, (float[]){ 1 });
    node(w, "Greater", "c", "zero", NULL, "some");
    onnx_node_begin(w, "If", "outer", (const char *[]){ "some" }, 1, (const char *[]){ "z" }, 1);
    branch_begin(w, "then_branch");
    node(w, "Greater", "c", "one", NULL, "more");
    onnx_node_begin(w, "If", "inner", (const char *[]){ "more" }, 1, (const char *[]){ "v" }, 1);
    branch_begin(w, "then_branch");
    node(w, "Mul", "x", "x", NULL, "u");
    onnx_output(w, "u");
    branch_end(w);
    branch_begin(w, "else_branch");
    floats(w, "k", 1, (int64_t[]){ 3 }, (float[]){ 10, 20, 30 });
    node(w, "Add", "x", "k", NULL, "u");
    onnx_output(w, "u");
    branch_end(w);
    onnx_node_end(w);
    onnx_output(w, "v");
    branch_end(w);
    branch_begin(w, "else_branch");
    onnx_output(w, "x");
    branch_end(w);
    onnx_node_end(w);
    node(w, "Neg", "z", NULL, NULL, "y");
    onnx_output(w, "y");
    onnx_model_end(w);
}

static void branches_by_computed_conditions(void **state)
{
    (void)state;
    struct ood_error err = { 0 };
    struct onnx_writer w = { 0 };
    branch_network(&w);
    struct ood_model *model = load(&w, &err);
    check_ok(model != NULL);
    struct ood_run *run = ood_run_new(model, &err);
    const size_t batch = ood_model_most_batch(model);
    static const struct { float c, y[3]; } cases[] = {
        { 2, { -1, -4, -9 } }, { 0.5f, { -11, -22, -33 } }, { -1, { -1, -2, -3 } }, { NAN, { -1, -2, -3 } }, { 2, { -1, -4, -9 } },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        *(float *)ood_run_input(run, batch, 0) = cases[i].c;
        memcpy(ood_run_input(run, batch, 1), (float[]){ 1, 2, 3 }, 3 * sizeof(float));
        check_ok(ood_run_all(run, batch, &err));
        assert_memory_equal(ood_run_output(run, batch, 0), cases[i].y, sizeof cases[i].y);
    }
    ood_run_free(run);
    ood_model_free(model);
    onnx_free(&w);
}

enum broken { READ_EARLY, UNKNOWN_NAME, TWO_OUTPUTS, NO_ELSE, TWICE, WITH_INPUT, NO_CONDITION };

static void broken_network(struct onnx_writer *w, enum broken how)
{
    onnx_model_begin(w, 13);
    onnx_input(w, "c", ONNX_BOOL, 1, (int64_t[]){ 1 });
    onnx_input(w, "x", ONNX_FLOAT, 1, (int64_t[]){ 3 });
    onnx_node_begin(w, "If", "branch", (const char *[]){ "c" }, how == NO_CONDITION ? 0 : 1, (const char *[]){ "y" }, 1);
    branch_begin(w, "then_branch");
    if (how == WITH_INPUT)
        onnx_input(w, "q", ONNX_FLOAT, 1, (int64_t[]){ 3 });
    node(w, "Neg", how == READ_EARLY ? "b" : how == UNKNOWN_NAME ? "nowhere" : "x", NULL, NULL, "a");
    node(w, "Neg", "a", NULL, NULL, how == TWICE ? "a" : "b");
    onnx_output(w, "a");
    if (how == TWO_OUTPUTS)
        onnx_output(w, "b");
    branch_end(w);
    if (how != NO_ELSE) {
        branch_begin(w, "else_branch");
        onnx_output(w, "x");
        branch_end(w);
    }
    onnx_node_end(w);
    onnx_output(w, "y");
    onnx_model_end(w);
}

static void broken_branches(void **state)
{
    (void)state;
    static const char *const says[] = { [READ_EARLY] = "read before it is made", [UNKNOWN_NAME] = "\"nowhere\", is no graph input",
                                        [TWO_OUTPUTS] = "then_branch has 2 outputs, the node 1", [NO_ELSE] = "else_branch is missing",
                                        [TWICE] = "given to two values", [WITH_INPUT] = "has 1 inputs", [NO_CONDITION] = "expected the condition" };
    for (enum broken how = 0; how <= NO_CONDITION; how++) {
        struct ood_error err = { 0 };
        struct onnx_writer w = { 0 };
        broken_network(&w, how);
        check_fails(load(&w, &err) != NULL, OOD_INVALID, says[how]);
        onnx_free(&w);
    }
}

/* The networks that fuzzing and mutation begin with (tests/fuzz/staged_networks.py) run, and some numbers lead to the last node. */
static void seeds_run(void **state)
{
    (void)state;
    static const struct { const char *name; bool staged; } seeds[] = {
        { "branches", true }, { "known_branch", false }, { "regions", true }, { "rows", true }, { "shapes", true }, { "suppression", true }, { "two_stage", true },
    };
    const char *source = getenv("OOD_SOURCE");
    for (size_t i = 0; i < sizeof seeds / sizeof *seeds; i++) {
        struct ood_error err = { 0 };
        struct ood_bytes onnx = { 0 };
        char path[4096];
        snprintf(path, sizeof path, "%s/tests/fuzz/stages.in/%s.onnx", source != NULL ? source : ".", seeds[i].name);
        check_ok(ood_file_read(path, (size_t)1 << 20, &onnx, &err));
        struct ood_model *model = ood_model_new(&onnx, &(struct ood_model_options){ .operators = ood_op_table, .no_taps = true, .stages = true }, &err);
        check_ok(model != NULL);
        assert_int_equal(ood_model_is_staged(model), seeds[i].staged);
        struct ood_run *run = ood_run_new(model, &err);
        check_ok(run != NULL);
        const size_t batch = ood_model_most_batch(model);
        size_t elements = 0;
        for (size_t seed = 0; seed < 8; seed++) {
            for (size_t k = 0; k < ood_model_input_count(model); k++) {
                size_t count;
                const struct ood_shape shape = ood_model_input_shape(model, k), bound = ood_shape_bind(&shape, batch);
                assert_true(ood_shape_count(&bound, &count));
                for (size_t e = 0; e < count; e++)           /* shapes: 6 numbers become 2x3 */
                    ((float *)ood_run_input(run, batch, k))[e] = strcmp(seeds[i].name, "shapes") == 0 ? (float[]){ 6, 0.5f, 2, 3 }[e] : number(e * 7 + 100 * seed) * 2;
            }
            check_ok(ood_run_all(run, batch, &err));
            const struct ood_shape shape = ood_run_output_shape(run, batch, 0);
            size_t count;
            assert_true(ood_shape_count(&shape, &count));
            elements += count;
        }
        assert_true(elements > 0);
        ood_run_free(run);
        ood_model_free(model);
        ood_bytes_free(&onnx);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_of_any_number), cmocka_unit_test(stages_are_kept_and_go), cmocka_unit_test(want_of_memory),
        cmocka_unit_test(threads_share_a_model), cmocka_unit_test(refused_where_a_whole_is_wanted), cmocka_unit_test(computed_shapes), cmocka_unit_test(seeds_run),
        cmocka_unit_test(branches_by_computed_conditions), cmocka_unit_test(broken_branches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
