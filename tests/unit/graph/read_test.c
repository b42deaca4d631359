/* Reading ONNX: what a good file becomes. */
#include "toy.h"

#include "ops/ops.h"

static const struct ood_graph_options toy_options = { .operators = toy_table };

static struct ood_graph *read(const struct onnx_writer *w, const struct ood_graph_options *options, struct ood_error *err)
{
    struct ood_bytes bytes = { w->data, w->size };
    return ood_graph_read(&bytes, options, err);
}

/* x [N,2,4,4] → Conv (3 → channels) → Relu → y */
static void small_model(struct onnx_writer *w)
{
    onnx_model_begin(w, 13);
    onnx_input(w, "x", ONNX_FLOAT, DIMS(-1, 2, 4, 4));
    toy_weights(w, "w", DIMS(3, 2, 3, 3), -1);
    toy_weights(w, "b", DIMS(3), -1);
    onnx_input(w, "b", ONNX_FLOAT, DIMS(3));                          /* IR 3 lists initialisers as inputs, too */
    toy_begin(w, "Conv", "c", "x", "w", "b");
    onnx_int(w, "toy_pad", 1);
    onnx_float(w, "alpha", 0.5f);
    onnx_string(w, "auto_pad", "NOTSET");
    onnx_ints(w, "pads", (int64_t[]){ 1, 2, 3, 4 }, 4);
    onnx_floats(w, "scales", (float[]){ 1.5f, 2.5f }, 2);
    onnx_tensor(w, "value", ONNX_INT64, DIMS(2), (int64_t[]){ 5, 6 }, 16);
    toy_end(w);
    toy_node(w, "Relu", "y", "c");
    onnx_output(w, "y");
    onnx_model_end(w);
}

static void a_model_is_read(void **state)
{
    (void)state;
    struct onnx_writer w = { 0 };
    struct ood_error err = { 0 };
    small_model(&w);
    struct ood_graph *graph = read(&w, &toy_options, &err);
    check_ok(graph != NULL);
    assert_int_equal(graph->opset, 13);
    assert_string_equal(graph->producer, "onnx_writer");
    assert_int_equal(graph->fixed_batch, 0);
    assert_int_equal(graph->input_count, 1);
    assert_int_equal(graph->inputs[0], ood_graph_find(graph, "x"));
    assert_int_equal(graph->outputs[0], ood_graph_find(graph, "y"));
    assert_int_equal(ood_graph_find(graph, "nothing"), OOD_NONE);
    char text[OOD_SHAPE_TEXT];
    assert_string_equal(ood_shape_print(&graph->values[ood_graph_find(graph, "c")].shape, text), "Nx3x4x4");
    assert_int_equal(graph->values[ood_graph_find(graph, "c")].uses, 1);
    assert_int_equal(graph->values[ood_graph_find(graph, "y")].uses, 1);
    const struct ood_node *conv = &graph->nodes[0];
    assert_string_equal(conv->name, "n_c");
    assert_int_equal(ood_node_int(conv, "toy_pad", 7), 1);
    assert_int_equal(ood_node_int(conv, "absent", 7), 7);
    assert_int_equal(ood_node_int(conv, "alpha", 7), 7);              /* of another kind */
    assert_true(ood_node_float(conv, "alpha", 1) == 0.5f);
    assert_string_equal(ood_node_string(conv, "auto_pad", ""), "NOTSET");
    size_t count;
    assert_int_equal(ood_node_ints(conv, "pads", &count)[3], 4);
    assert_int_equal(count, 4);
    assert_null(ood_node_ints(conv, "absent", &count));
    assert_int_equal(count, 0);
    assert_true(ood_node_attribute(conv, "scales")->floats[1] == 2.5f);
    assert_int_equal(ood_i64(ood_node_attribute(conv, "value")->tensor)[1], 6);
    assert_non_null(ood_node_input(graph, conv, 2)->constant);
    assert_null(ood_node_input(graph, conv, 3));
    ood_graph_free(graph);
    onnx_free(&w);
}

static void the_batch_is_free_fixed_or_bound(void **state)
{
    (void)state;
    static const struct { int64_t in_file, asked, option, expected, fixed; enum ood_code code; const char *part; } cases[] = {
        { -1, 0, 0, OOD_BATCH_BASE + 1, 0, OOD_OK, "" },
        { 4, 0, 0, 4, 4, OOD_OK, "" },
        { -1, 0, 3, 3, 0, OOD_OK, "" },
        { 3, 0, 3, 3, 3, OOD_OK, "" },
        { 4, 0, 3, 0, 0, OOD_INVALID, "fixes the batch to 4, 3 was asked for" },
        { -1, 5, 0, 5, 5, OOD_OK, "" },
        { 4, 5, 0, 0, 0, OOD_INVALID, "shape 5x6 was asked for, the file has 4x6" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct onnx_writer w = { 0 };
        struct ood_error err = { 0 };
        onnx_model_begin(&w, 9);
        onnx_input(&w, "x", ONNX_FLOAT, DIMS(cases[i].in_file, 6));
        toy_node(&w, "Relu", "y", "x");
        onnx_output(&w, "y");
        onnx_model_end(&w);
        struct ood_graph_options options = { .operators = toy_table, .batch = cases[i].option };
        if (cases[i].asked != 0)
            options.input_shape = ood_shape_of(2, cases[i].asked, INT64_C(6));
        if (cases[i].code != OOD_OK) {
            check_fails(read(&w, &options, &err) != NULL, cases[i].code, cases[i].part);
        } else {
            struct ood_graph *graph = read(&w, &options, &err);
            check_ok(graph != NULL);
            assert_int_equal(graph->values[graph->outputs[0]].shape.dims[0], cases[i].expected);
            assert_int_equal(graph->fixed_batch, cases[i].fixed);
            ood_graph_free(graph);
        }
        onnx_free(&w);
    }
}

/* Free dimensions but the first take numbers from the shape asked for; 0 or -1 there says: as the file has it. */
static void free_dimensions_take_the_shape_asked_for(void **state)
{
    (void)state;
    struct onnx_writer w = { 0 };
    struct ood_error err = { 0 };
    onnx_model_begin(&w, 9);
    onnx_input(&w, "x", ONNX_FLOAT, DIMS(-1, 3, -1, -1));
    toy_node(&w, "Relu", "y", "x");
    onnx_output(&w, "y");
    onnx_model_end(&w);
    struct ood_graph_options options = toy_options;
    check_fails(read(&w, &options, &err) != NULL, OOD_INVALID, "input \"x\": dimension 2 is free; a number for it must be given");
    options.input_shape = ood_shape_of(4, INT64_C(-1), INT64_C(0), INT64_C(8), INT64_C(6));
    struct ood_graph *graph = read(&w, &options, &err);
    check_ok(graph != NULL);
    char text[OOD_SHAPE_TEXT];
    assert_string_equal(ood_shape_print(&graph->values[graph->inputs[0]].shape, text), "Nx3x8x6");
    ood_graph_free(graph);
    options.input_shape.dims[0] = ood_batch_dim(1);
    graph = read(&w, &options, &err);
    check_ok(graph != NULL);
    assert_string_equal(ood_shape_print(&graph->values[graph->inputs[0]].shape, text), "Nx3x8x6");
    ood_graph_free(graph);
    options.input_shape.rank = 3;
    check_fails(read(&w, &options, &err) != NULL, OOD_INVALID, "was asked for");
    onnx_free(&w);
}

static void nodes_in_any_order_are_sorted(void **state)
{
    (void)state;
    struct onnx_writer w = { 0 };
    struct ood_error err = { 0 };
    onnx_model_begin(&w, 9);
    onnx_input(&w, "x", ONNX_FLOAT, DIMS(-1, 6));
    toy_node(&w, "Add", "y", "b", "c");
    toy_node(&w, "Relu", "c", "b");
    toy_node(&w, "Relu", "a", "x");
    toy_node(&w, "Relu", "b", "a");
    onnx_output(&w, "y");
    onnx_model_end(&w);
    struct ood_graph *graph = read(&w, &toy_options, &err);
    check_ok(graph != NULL);
    static const char *const expected[] = { "n_a", "n_b", "n_c", "n_y" };
    for (uint32_t i = 0; i < 4; i++) {
        assert_string_equal(graph->nodes[i].name, expected[i]);
        assert_int_equal(graph->values[graph->nodes[i].outputs[0]].producer, i);
    }
    ood_graph_free(graph);
    onnx_free(&w);
}

/* Shape and its arithmetic, with the batch unknown, are known at load. */
static void shape_arithmetic_is_evaluated(void **state)
{
    (void)state;
    struct onnx_writer w = { 0 };
    struct ood_error err = { 0 };
    onnx_model_begin(&w, 9);
    onnx_input(&w, "x", ONNX_FLOAT, DIMS(-1, 6, 1, 1));
    onnx_initialiser(&w, "zero", ONNX_INT64, DIMS(4), (int64_t[]){ 0, 0, 0, 0 }, 32);
    toy_node(&w, "Shape", "s", "x");
    toy_node(&w, "Identity", "t", "s");
    toy_node(&w, "Add", "u", "zero", "zero");
    toy_node(&w, "Reshape", "y", "x", "t");
    toy_node(&w, "Reshape", "z", "y", "u");
    onnx_output(&w, "z");
    onnx_model_end(&w);
    struct ood_graph *graph = read(&w, &toy_options, &err);
    check_ok(graph != NULL);
    assert_int_equal(ood_i64(graph->values[ood_graph_find(graph, "t")].constant)[0], ood_batch_dim(1));
    char text[OOD_SHAPE_TEXT];
    assert_string_equal(ood_shape_print(&graph->values[ood_graph_find(graph, "z")].shape, text), "Nx6x1x1");
    ood_graph_free(graph);
    onnx_free(&w);
}

/* ScatterND of what is known: multiples of the batch are moved, not added to. */
static void scatter_is_evaluated(void **state)
{
    (void)state;
    for (int adds = 0; adds < 2; adds++) {
        struct onnx_writer w = { 0 };
        struct ood_error err = { 0 };
        const struct ood_graph_options options = { .operators = ood_op_table };
        onnx_model_begin(&w, 16);
        onnx_input(&w, "x", ONNX_FLOAT, DIMS(-1, 6));
        onnx_initialiser(&w, "places", ONNX_INT64, DIMS(2, 1), (int64_t[]){ 1, -1 }, 16);
        onnx_initialiser(&w, "updates", ONNX_INT64, DIMS(2), (int64_t[]){ 5, 6 }, 16);
        toy_node(&w, "Shape", "s", "x");
        toy_begin(&w, "ScatterND", "t", "s", "places", "updates");
        if (adds)
            onnx_string(&w, "reduction", "add");
        toy_end(&w);
        toy_node(&w, "Reshape", "y", "x", "t");
        onnx_output(&w, "y");
        onnx_model_end(&w);
        if (adds) {
            check_fails(read(&w, &options, &err) != NULL, OOD_UNSUPPORTED, "node n_t (ScatterND, opset 16): indices or sums that depend on the batch");
        } else {
            struct ood_graph *graph = read(&w, &options, &err);
            check_ok(graph != NULL);
            const int64_t *t = ood_i64(graph->values[ood_graph_find(graph, "t")].constant);
            assert_true(t[0] == ood_batch_dim(1) && t[1] == 6);
            ood_graph_free(graph);
        }
        onnx_free(&w);
    }
}

/* A Dropout's mask that nobody reads is let go; read, it is refused. */
static void outputs_not_computed_must_be_unread(void **state)
{
    (void)state;
    for (int reads = 0; reads < 2; reads++) {
        struct onnx_writer w = { 0 };
        struct ood_error err = { 0 };
        onnx_model_begin(&w, 9);
        onnx_input(&w, "x", ONNX_FLOAT, DIMS(-1, 6));
        onnx_node_begin(&w, "Dropout", NULL, NAMES("x"), NAMES("y", "mask"));
        onnx_node_end(&w);
        toy_node(&w, "Relu", "z", reads ? "mask" : "y");
        onnx_output(&w, "z");
        onnx_model_end(&w);
        if (reads) {
            check_fails(read(&w, &toy_options, &err) != NULL, OOD_UNSUPPORTED,
                        "node Dropout_0 (Dropout, opset 9): output 1, \"mask\", is used");
        } else {
            struct ood_graph *graph = read(&w, &toy_options, &err);
            check_ok(graph != NULL);
            assert_int_equal(graph->nodes[0].output_count, 1);
            assert_string_equal(graph->nodes[0].name, "Dropout_0");
            ood_graph_free(graph);
        }
        onnx_free(&w);
    }
}

/* ---- tensors ---- */

static void tensors_are_read_raw_and_typed(void **state)
{
    (void)state;
    struct ood_error err = { 0 };
    const float floats[] = { 1, -2.5f };
    for (int typed = 0; typed < 2; typed++) {
        struct onnx_writer w = { 0 };
        onnx_varint(&w, 1, 2);
        onnx_varint(&w, 2, ONNX_FLOAT);
        onnx_bytes(&w, typed ? 4 : 9, floats, sizeof floats);
        struct ood_bytes bytes = { w.data, w.size };
        struct ood_tensor *tensor = ood_tensor_read_onnx(&bytes, &err);
        check_ok(tensor != NULL);
        assert_int_equal(tensor->count, 2);
        assert_memory_equal(tensor->data, floats, sizeof floats);
        ood_tensor_free(tensor);
        onnx_free(&w);
    }
    struct onnx_writer w = { 0 };                                     /* int64_data, packed and not, a negative one */
    onnx_varint(&w, 1, 3);
    onnx_varint(&w, 2, ONNX_INT64);
    onnx_begin(&w, 7);
    onnx_put_varint(&w, (uint64_t)-1);
    onnx_put_varint(&w, 300);
    onnx_end(&w);
    onnx_varint(&w, 7, 5);
    struct ood_bytes bytes = { w.data, w.size };
    struct ood_tensor *tensor = ood_tensor_read_onnx(&bytes, &err);
    check_ok(tensor != NULL);
    assert_int_equal(ood_i64(tensor)[0], -1);
    assert_int_equal(ood_i64(tensor)[1], 300);
    assert_int_equal(ood_i64(tensor)[2], 5);
    ood_tensor_free(tensor);
    onnx_free(&w);
    onnx_varint(&w, 1, 2);                                            /* bool: int32_data, or raw bytes */
    onnx_varint(&w, 2, ONNX_BOOL);
    onnx_bytes(&w, 9, "\x07\x00", 2);
    bytes = (struct ood_bytes){ w.data, w.size };
    tensor = ood_tensor_read_onnx(&bytes, &err);
    check_ok(tensor != NULL);
    assert_int_equal(((unsigned char *)tensor->data)[0], 1);
    assert_int_equal(((unsigned char *)tensor->data)[1], 0);
    ood_tensor_free(tensor);
    onnx_free(&w);
}

/* A first input without a shape needs one to be given. */
static void input_without_shape(void **state)
{
    (void)state;
    struct onnx_writer w = { 0 };
    struct ood_error err = { 0 };
    onnx_model_begin(&w, 13);
    onnx_begin(&w, 11);
    onnx_text(&w, 1, "x");
    onnx_begin(&w, 2);
    onnx_begin(&w, 1);
    onnx_varint(&w, 1, ONNX_FLOAT);
    onnx_end(&w);
    onnx_end(&w);
    onnx_end(&w);
    toy_node(&w, "Relu", "y", "x");
    onnx_output(&w, "y");
    onnx_model_end(&w);
    check_fails(read(&w, &toy_options, &err) != NULL, OOD_INVALID, "input \"x\": the file gives no shape");
    struct ood_graph_options options = toy_options;
    options.input_shape = ood_shape_of(2, INT64_C(0), INT64_C(5));
    struct ood_graph *graph = read(&w, &options, &err);
    check_ok(graph != NULL);
    char text[OOD_SHAPE_TEXT];
    assert_string_equal(ood_shape_print(&graph->values[graph->outputs[0]].shape, text), "Nx5");
    ood_graph_free(graph);
    onnx_free(&w);
}

static void names_are_shown_safely(void **state)
{
    (void)state;
    static const struct { const char *name, *shown; } cases[] = {
        { "conv/1:0", "conv/1:0" },
        { "Gr\xC3\xB6\xC3\x9F" "e \xE4\xBA\xBA \xF0\x9F\x90\xB8", "Gr\xC3\xB6\xC3\x9F" "e \xE4\xBA\xBA \xF0\x9F\x90\xB8" },
        { "a\nb\x7f", "a?b?" },
        { "\xC2\x9B" "31m", "??31m" },                                /* a control sequence as one character */
        { "\xC0\xAF\xE0\x80\xAF", "?????" },                          /* overlong */
        { "\xED\xA0\x80", "???" },                                    /* half a surrogate pair */
        { "\xF4\x90\x80\x80", "????" },
        { "cut\xE4\xBA", "cut??" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_string_equal(ood_printable(cases[i].name).text, cases[i].shown);
        assert_int_equal(ood_name_is_clean(cases[i].name), strcmp(cases[i].name, cases[i].shown) == 0);
    }
    char name[500];
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    struct ood_printable shown = ood_printable(name);
    assert_int_equal(strlen(shown.text), sizeof shown.text - 1);
    assert_string_equal(shown.text + sizeof shown.text - 4, "...");
}

/* x [batch,3] → what only a batch of one allows → y; behind it an operator there is none of, where asked for. */
static void one_picture_alone(struct onnx_writer *w, const char *behind, int64_t batch)
{
    onnx_model_begin(w, 11);
    onnx_input(w, "x", ONNX_FLOAT, DIMS(batch, 3));
    toy_begin(w, "Squeeze", "s", "x");
    onnx_ints(w, "axes", (int64_t[]){ 0 }, 1);
    toy_end(w);
    toy_node(w, behind, "y", "s");
    onnx_output(w, "y");
    onnx_model_end(w);
}

static void a_batch_of_one_if_needed(void **state)
{
    (void)state;
    struct onnx_writer w = { 0 }, bad = { 0 }, free_batch = { 0 }, fixed = { 0 };
    struct ood_error err = { 0 };
    struct ood_graph_options options = { .operators = ood_op_table };
    one_picture_alone(&w, "Relu", -1);
    check_fails(read(&w, &options, &err) != NULL, OOD_UNSUPPORTED, "is not 1");
    options.one_if_needed = true;
    struct ood_graph *graph = read(&w, &options, &err);
    check_ok(graph != NULL);
    assert_int_equal(err.code, OOD_OK);                               /* the first failure is not told */
    assert_int_equal(graph->fixed_batch, 1);
    assert_int_equal(graph->values[graph->inputs[0]].shape.dims[0], 1);
    assert_int_equal(graph->values[graph->outputs[0]].shape.rank, 1);
    ood_graph_free(graph);
    one_picture_alone(&bad, "Frobnicate", -1);
    check_fails(read(&bad, &options, &err) != NULL, OOD_UNSUPPORTED, "Frobnicate");
    options.batch = 2;                                                /* asked for: nothing else is tried */
    check_fails(read(&w, &options, &err) != NULL, OOD_INVALID, "is not 1");
    options.batch = 0;
    one_picture_alone(&fixed, "Relu", 3);                             /* the file's: likewise */
    check_fails(read(&fixed, &options, &err) != NULL, OOD_INVALID, "is not 1");
    options = (struct ood_graph_options){ .operators = toy_table, .one_if_needed = true };
    small_model(&free_batch);
    graph = read(&free_batch, &options, &err);
    check_ok(graph != NULL);
    assert_int_equal(graph->fixed_batch, 0);                          /* not needed */
    ood_graph_free(graph);
    onnx_free(&w);
    onnx_free(&bad);
    onnx_free(&fixed);
    onnx_free(&free_batch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_model_is_read),
        cmocka_unit_test(the_batch_is_free_fixed_or_bound),
        cmocka_unit_test(a_batch_of_one_if_needed),
        cmocka_unit_test(free_dimensions_take_the_shape_asked_for),
        cmocka_unit_test(nodes_in_any_order_are_sorted),
        cmocka_unit_test(shape_arithmetic_is_evaluated),
        cmocka_unit_test(scatter_is_evaluated),
        cmocka_unit_test(outputs_not_computed_must_be_unread),
        cmocka_unit_test(tensors_are_read_raw_and_typed),
        cmocka_unit_test(input_without_shape),
        cmocka_unit_test(names_are_shown_safely),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
