/* Writing ONNX: numbers replaced, input sizes changed, files from scratch. */
#include "check.h"
#include "graph/onnx_writer.h"
#include "graph/write.h"
#include "ops/ops.h"

static const float ones[8] = { 1, 1, 1, 1, 1, 1, 1, 1 };

/* y = (x + a) * c; `a` an initialiser, `c` a Constant node's value, `twice` an int64 nobody reads. An unknown field at the end. */
static struct ood_bytes make_file(bool two_a)
{
    struct onnx_writer w = { 0 };
    struct ood_error err = { 0 };
    onnx_model_begin(&w, 13);
    onnx_input(&w, "x", ONNX_FLOAT, 2, (int64_t[]){ -1, 4 });
    onnx_initialiser(&w, "a", ONNX_FLOAT, 1, (int64_t[]){ 4 }, ones, 4 * sizeof(float));
    if (two_a)
        onnx_initialiser(&w, "a", ONNX_FLOAT, 1, (int64_t[]){ 4 }, ones, 4 * sizeof(float));
    onnx_initialiser(&w, "whole", ONNX_INT64, 1, (int64_t[]){ 1 }, (int64_t[]){ 7 }, sizeof(int64_t));
    onnx_node_begin(&w, "Constant", "constant", NULL, 0, (const char *[]){ "c" }, 1);
    onnx_tensor(&w, "value", ONNX_FLOAT, 1, (int64_t[]){ 4 }, ones, 4 * sizeof(float));
    onnx_node_end(&w);
    onnx_node_begin(&w, "Add", "sum", (const char *[]){ "x", "a" }, 2, (const char *[]){ "s" }, 1);
    onnx_node_end(&w);
    onnx_node_begin(&w, "Mul", "product", (const char *[]){ "s", "c" }, 2, (const char *[]){ "y" }, 1);
    onnx_node_end(&w);
    onnx_output(&w, "y");
    onnx_model_end(&w);
    onnx_text(&w, 99, "kept though nobody knows it");
    struct ood_bytes bytes = { ood_alloc(w.size, 1, &err), w.size };
    assert_non_null(bytes.data);
    memcpy(bytes.data, w.data, w.size);
    onnx_free(&w);
    return bytes;
}

static bool holds(const struct ood_bytes *bytes, const void *part, size_t size)
{
    return memmem(bytes->data, bytes->size, part, size) != NULL;
}

static struct ood_graph *read_back(const struct ood_bytes *bytes)
{
    struct ood_error err = { 0 };
    struct ood_graph *graph = ood_graph_read(bytes, &(struct ood_graph_options){ .operators = ood_op_table }, &err);
    check_ok(graph != NULL);
    return graph;
}

static void test_replace(void **state)
{
    (void)state;
    struct ood_error err = { 0 };
    struct ood_bytes file = make_file(false), out = { 0 };
    const float a[4] = { 2, 3, 5, 7.25f }, c[4] = { -1, -2, -3, -4.5f };
    check_ok(ood_onnx_replace(&file, (struct ood_onnx_values[]){ { "a", a, 4 }, { "c", c, 4 } }, 2, &out, &err));
    struct ood_graph *graph = read_back(&out);
    const struct ood_value *value = &graph->values[ood_graph_find(graph, "a")];
    assert_memory_equal(value->constant->data, a, sizeof a);
    value = &graph->values[ood_graph_find(graph, "c")];
    assert_memory_equal(value->constant->data, c, sizeof c);
    assert_int_equal(graph->node_count, 3);
    assert_string_equal(graph->nodes[2].name, "product");
    assert_true(holds(&out, "kept though nobody knows it", 27));
    ood_graph_free(graph);
    ood_bytes_free(&out);
    /* nothing replaced: the same file but for the order of fields, and again the same */
    struct ood_bytes again = { 0 };
    check_ok(ood_onnx_replace(&file, NULL, 0, &out, &err));
    check_ok(ood_onnx_replace(&out, NULL, 0, &again, &err));
    assert_int_equal(out.size, again.size);
    assert_memory_equal(out.data, again.data, out.size);
    ood_bytes_free(&out);
    ood_bytes_free(&again);
    ood_bytes_free(&file);
}

static void test_replace_refuses(void **state)
{
    (void)state;
    struct ood_error err = { 0 };
    struct ood_bytes file = make_file(false), twice = make_file(true), out = { 0 };
    const struct { const char *name; size_t count; const char *says; } cases[] = {
        { "b", 4, "no initialiser or constant is named \"b\"" }, { "x", 4, "\"x\"" }, { "a", 3, "\"a\": 4 elements in the file, 3" },
        { "whole", 1, "\"whole\": elements are int64, expected float32" }, { "c", 5, "\"c\": 4 elements" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        check_fails(ood_onnx_replace(&file, &(struct ood_onnx_values){ cases[i].name, ones, cases[i].count }, 1, &out, &err), OOD_INVALID, cases[i].says);
    check_fails(ood_onnx_replace(&twice, &(struct ood_onnx_values){ "a", ones, 4 }, 1, &out, &err), OOD_INVALID, "two initialisers");
    struct ood_bytes garbage = { (unsigned char *)(uintptr_t)"garbage", 7 };
    check_fails(ood_onnx_replace(&garbage, NULL, 0, &out, &err), OOD_INVALID, "not an ONNX file");
    check_fails(ood_onnx_replace(&(struct ood_bytes){ (unsigned char *)(uintptr_t)"", 0 }, NULL, 0, &out, &err), OOD_INVALID, "graph");
    /* any cut of the file: refused or read, never out of bounds */
    for (size_t size = 1; size < file.size; size++) {
        struct ood_bytes cut = { file.data, size };
        err = (struct ood_error){ 0 };
        if (ood_onnx_replace(&cut, &(struct ood_onnx_values){ "a", ones, 4 }, 1, &out, &err))
            ood_bytes_free(&out);
    }
    ood_bytes_free(&file);
    ood_bytes_free(&twice);
}

/* z = relu(y) behind; what was there stays to the byte, unknown fields too. */
static struct ood_bytes make_more(const char *node, const char *initialiser)
{
    struct ood_error err = { 0 };
    struct ood_bytes bytes = { 0 };
    struct ood_shape shape = ood_shape_of(2, (int64_t)-1, (int64_t)4), row = ood_shape_of(1, (int64_t)4);
    struct ood_onnx_builder *builder = ood_onnx_builder_new("more", &err);
    ood_onnx_initialiser(builder, initialiser, &row, ones);
    ood_onnx_node(builder, "Add", (const char *[]){ "y", initialiser }, 2, node, NULL, 0);
    ood_onnx_output(builder, node, &shape);
    check_ok(ood_onnx_builder_finish(builder, &bytes, &err));
    ood_onnx_builder_free(builder);
    return bytes;
}

static void test_append(void **state)
{
    (void)state;
    struct ood_error err = { 0 };
    struct ood_bytes file = make_file(false), more = make_more("z", "e"), out = { 0 };
    bool has;
    check_ok(ood_onnx_append(&file, &more, &out, &err));
    assert_true(holds(&out, "kept though nobody knows it", 27));
    struct ood_graph *graph = read_back(&out);
    assert_int_equal(graph->output_count, 2);
    assert_string_equal(graph->values[graph->outputs[0]].name, "y");
    assert_string_equal(graph->values[graph->outputs[1]].name, "z");
    assert_true(ood_graph_find(graph, "e") != OOD_NONE);
    ood_graph_free(graph);
    const struct { const char *prefix; bool has; } prefixes[] = { { "z", true }, { "e", true }, { "produ", true }, { "q", false }, { "product ", false } };
    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++) {
        check_ok(ood_onnx_has_prefix(&out, prefixes[i].prefix, &has, &err));
        assert_int_equal(has, prefixes[i].has);
    }
    ood_bytes_free(&more);
    ood_bytes_free(&out);
    /* a name that is there: of a tensor, of an input, of a node, of an initialiser */
    static const char *const nodes[] = { "s", "x", "sum", "z" }, *const initialisers[] = { "e", "e", "e", "a" };
    for (size_t i = 0; i < 4; i++) {
        more = make_more(nodes[i], initialisers[i]);
        check_fails(ood_onnx_append(&file, &more, &out, &err), OOD_INVALID, "a name of the network already");
        ood_bytes_free(&more);
    }
    unsigned char nothing[1] = { 0 };
    more = (struct ood_bytes){ nothing, 0 };
    check_fails(ood_onnx_append(&file, &more, &out, &err), OOD_INVALID, "no graph");
    assert_null(out.data);
    ood_bytes_free(&file);
}

static void test_resize(void **state)
{
    (void)state;
    struct ood_error err = { 0 };
    struct ood_bytes file = make_file(false), out = { 0 };
    struct ood_shape asked = ood_shape_of(2, (int64_t)-1, (int64_t)1), other = ood_shape_of(3, (int64_t)-1, (int64_t)1, (int64_t)1);
    const struct ood_graph_options full = { .operators = ood_op_table };
    check_ok(ood_onnx_resize_input(&file, &full, &asked, &out, &err));
    struct ood_graph *graph = read_back(&out);
    assert_int_equal(graph->values[graph->inputs[0]].shape.dims[1], 1);
    assert_true(ood_dim_is_batch(graph->values[graph->inputs[0]].shape.dims[0]));
    ood_graph_free(graph);
    ood_bytes_free(&out);
    check_fails(ood_onnx_resize_input(&file, &full, &other, &out, &err), OOD_INVALID, "2 dimensions");
    ood_bytes_free(&file);
}

/* The pool that takes the whole map takes it at 6x6 too; one of the same kernel with a pad, and a smaller one, stay what they are. */
static void test_resize_pools(void **state)
{
    (void)state;
    struct ood_error err = { 0 };
    struct ood_bytes out = { 0 };
    struct ood_onnx_builder *builder = ood_onnx_builder_new("pools", &err);
    const struct ood_shape input = ood_shape_of(4, (int64_t)0, (int64_t)2, (int64_t)8, (int64_t)8), output = ood_shape_of(4, (int64_t)0, (int64_t)2, (int64_t)1, (int64_t)1);
    const int64_t kernel[2] = { 8, 8 }, small[2] = { 2, 2 }, pads[4] = { 1, 1, 1, 1 };
    const struct ood_onnx_attribute whole[] = { { .name = "kernel_shape", .ints = kernel, .count = 2 }, { .name = "pads", .ints = pads, .count = 4 } };
    const struct ood_onnx_attribute part = { .name = "kernel_shape", .ints = small, .count = 2 };
    ood_onnx_input(builder, "x", &input);
    ood_onnx_node(builder, "AveragePool", (const char *const[]){ "x" }, 1, "all", whole, 1);
    ood_onnx_node(builder, "AveragePool", (const char *const[]){ "x" }, 1, "padded", whole, 2);
    ood_onnx_node(builder, "AveragePool", (const char *const[]){ "x" }, 1, "part", &part, 1);
    ood_onnx_output(builder, "all", &output);
    struct ood_bytes file;
    check_ok(ood_onnx_builder_finish(builder, &file, &err));
    ood_onnx_builder_free(builder);
    const struct ood_graph_options full = { .operators = ood_op_table };
    const struct ood_shape asked = ood_shape_of(4, (int64_t)0, (int64_t)0, (int64_t)6, (int64_t)6);
    check_ok(ood_onnx_resize_input(&file, &full, &asked, &out, &err));
    struct ood_graph *graph = read_back(&out);
    const struct ood_value *all = &graph->values[ood_graph_find(graph, "all")];
    assert_string_equal(graph->nodes[all->producer].op->name, "GlobalAveragePool");
    assert_true(all->shape.dims[2] == 1 && all->shape.dims[3] == 1);
    const struct ood_value *padded = &graph->values[ood_graph_find(graph, "padded")], *third = &graph->values[ood_graph_find(graph, "part")];
    assert_string_equal(graph->nodes[padded->producer].op->name, "AveragePool");
    assert_string_equal(graph->nodes[third->producer].op->name, "AveragePool");
    assert_int_equal(third->shape.dims[2], 5);
    ood_graph_free(graph);
    ood_bytes_free(&out);
    ood_bytes_free(&file);
}

static void test_build(void **state)
{
    (void)state;
    struct ood_error err = { 0 };
    struct ood_bytes out = { 0 };
    struct ood_onnx_builder *builder = ood_onnx_builder_new("small", &err);
    check_ok(builder != NULL);
    struct ood_shape input = ood_shape_of(4, (int64_t)-1, (int64_t)2, (int64_t)5, (int64_t)5), weight = ood_shape_of(4, (int64_t)3, (int64_t)2, (int64_t)1, (int64_t)1);
    struct ood_shape logits = ood_shape_of(2, (int64_t)-1, (int64_t)3);
    const float values[6] = { 1, 2, 3, 4, 5, 6 };
    ood_onnx_input(builder, "x", &input);
    ood_onnx_initialiser(builder, "w", &weight, values);
    ood_onnx_node(builder, "Conv", (const char *[]){ "x", "w" }, 2, "c", (struct ood_onnx_attribute[]){ { .name = "kernel_shape", .ints = (int64_t[]){ 1, 1 }, .count = 2 } }, 1);
    ood_onnx_node(builder, "LeakyRelu", (const char *[]){ "c" }, 1, "r", (struct ood_onnx_attribute[]){ { .name = "alpha", .f = 0.25f, .real = true } }, 1);
    ood_onnx_node(builder, "GlobalAveragePool", (const char *[]){ "r" }, 1, "g", NULL, 0);
    ood_onnx_node(builder, "Flatten", (const char *[]){ "g" }, 1, "y", (struct ood_onnx_attribute[]){ { .name = "axis", .i = 1 } }, 1);
    ood_onnx_output(builder, "y", &logits);
    check_ok(ood_onnx_builder_finish(builder, &out, &err));
    ood_onnx_builder_free(builder);
    struct ood_graph *graph = read_back(&out);
    assert_int_equal(graph->node_count, 4);
    assert_int_equal(graph->opset, 13);
    assert_true(ood_node_float(&graph->nodes[1], "alpha", 0) == 0.25f);
    assert_int_equal(graph->values[graph->outputs[0]].shape.dims[1], 3);
    ood_graph_free(graph);
    ood_bytes_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_replace), cmocka_unit_test(test_replace_refuses), cmocka_unit_test(test_append), cmocka_unit_test(test_resize),
        cmocka_unit_test(test_resize_pools), cmocka_unit_test(test_build),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
