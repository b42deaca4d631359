/* What a network's parameters are counted as, wherever its file keeps them: initialisers, or Constant nodes as Paddle's exporter writes. */
#include "check.h"
#include "ops/ops.h"
#include "plan/plan.h"
#include "../graph/onnx_writer.h"

static void value(struct onnx_writer *w, bool node, const char *name, size_t rank, const int64_t *dims)
{
    float values[12];
    size_t count = 1;
    for (size_t i = 0; i < rank; i++)
        count *= (size_t)dims[i];
    for (size_t i = 0; i < count; i++)
        values[i] = (float)(i + 1);
    if (!node) {
        onnx_initialiser(w, name, ONNX_FLOAT, rank, dims, values, count * sizeof *values);
        return;
    }
    onnx_node_begin(w, "Constant", NULL, NULL, 0, &name, 1);
    onnx_tensor(w, "value", ONNX_FLOAT, rank, dims, values, count * sizeof *values);
    onnx_node_end(w);
}

/* A batch norm of 4, a matrix 4x3, a bias, and a lone factor, which is no parameter as a Constant. */
static size_t parameters(bool nodes)
{
    struct onnx_writer w = { 0 };
    struct ood_error err = { 0 };
    static const char *const statistics[] = { "x", "gamma", "beta", "mean", "variance" };
    onnx_model_begin(&w, 13);
    onnx_input(&w, "x", ONNX_FLOAT, 2, (int64_t[]){ -1, 4 });
    for (size_t i = 1; i < 5; i++)
        value(&w, nodes, statistics[i], 1, (int64_t[]){ 4 });
    value(&w, nodes, "m", 2, (int64_t[]){ 4, 3 });
    value(&w, false, "b", 1, (int64_t[]){ 3 });
    value(&w, true, "f", 0, NULL);
    onnx_node_begin(&w, "BatchNormalization", NULL, statistics, 5, (const char *[]){ "n" }, 1);
    onnx_node_end(&w);
    onnx_node_begin(&w, "MatMul", NULL, (const char *[]){ "n", "m" }, 2, (const char *[]){ "p" }, 1);
    onnx_node_end(&w);
    onnx_node_begin(&w, "Add", NULL, (const char *[]){ "p", "b" }, 2, (const char *[]){ "q" }, 1);
    onnx_node_end(&w);
    onnx_node_begin(&w, "Mul", NULL, (const char *[]){ "q", "f" }, 2, (const char *[]){ "y" }, 1);
    onnx_node_end(&w);
    onnx_output(&w, "y");
    onnx_model_end(&w);
    const struct ood_bytes onnx = { w.data, w.size };
    struct ood_model *model = ood_model_new(&onnx, &(struct ood_model_options){ .operators = ood_op_table, .no_taps = true }, &err);
    check_ok(model != NULL);
    const size_t count = ood_model_parameters(model);
    ood_model_free(model);
    onnx_free(&w);
    return count;
}

static void constants_are_parameters(void **state)
{
    (void)state;
    assert_int_equal(parameters(false), 4 + 4 + 12 + 3);
    assert_int_equal(parameters(true), 4 + 4 + 12 + 3);
}

/* Counted by NumPy from the file: float32 tensors of more than a number, but the statistics of batch norms. */
static void paddle(void **state)
{
    (void)state;
    struct ood_error err = { 0 };
    struct ood_bytes onnx;
    check_ok(ood_file_read(check_shared("models/ppocr_mobilenetv3_textdir/model.onnx"), (size_t)1 << 30, &onnx, &err));
    const struct ood_model_options options = { .operators = ood_op_table, .no_taps = true, .one_if_needed = true, .input_shape = ood_shape_of(4, (int64_t)1, (int64_t)3, (int64_t)48, (int64_t)192) };
    struct ood_model *model = ood_model_new(&onnx, &options, &err);
    check_ok(model != NULL);
    assert_int_equal(ood_model_parameters(model), 129356);
    ood_model_free(model);
    ood_bytes_free(&onnx);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(constants_are_parameters), cmocka_unit_test(paddle) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
