/* Where logits and features are found: in small graphs of each kind, and in real networks. */
#include "toy.h"

#include "ops/ops.h"

/* ---- graphs ---- */

static void begin(struct onnx_writer *w)
{
    onnx_model_begin(w, 13);
    onnx_input(w, "x", ONNX_FLOAT, DIMS(-1, 4, 5, 5));
    toy_weights(w, "k", DIMS(6, 4, 1, 1), -1);
    toy_weights(w, "k3", DIMS(6, 4, 3, 3), -1);
    toy_weights(w, "m", DIMS(6, 3), -1);
    toy_weights(w, "m2", DIMS(3, 3), -1);
    toy_weights(w, "b", DIMS(3), -1);
    onnx_initialiser(w, "flat", ONNX_INT64, DIMS(2), (int64_t[]){ 0, 6 }, 16);
    onnx_initialiser(w, "row", ONNX_INT64, DIMS(2), (int64_t[]){ 0, 3 }, 16);
    onnx_initialiser(w, "tall", ONNX_INT64, DIMS(4), (int64_t[]){ 0, 6, 1, 1 }, 32);
    toy_node(w, "Conv", "c", "x", "k");
    toy_node(w, "Relu", "r", "c");
    toy_node(w, "GlobalAveragePool", "p", "r");
}

static void end(struct onnx_writer *w, const char *output)
{
    onnx_output(w, output);
    onnx_model_end(w);
}

static void gemm(struct onnx_writer *w)
{
    begin(w);
    toy_node(w, "Reshape", "f", "p", "flat");
    toy_node(w, "Gemm", "y", "f", "m", "b");
    end(w, "y");
}
static void matmul_add_softmax(struct onnx_writer *w)
{
    begin(w);
    toy_node(w, "Reshape", "f", "p", "flat");
    toy_node(w, "MatMul", "g", "f", "m");
    toy_node(w, "Add", "l", "b", "g");
    toy_node(w, "Softmax", "s", "l");
    toy_node(w, "Reshape", "t", "s", "row");
    toy_node(w, "Identity", "y", "t");
    end(w, "y");
}
/* SqueezeNet: 1×1 Conv, Relu, pool, flattened; the tap is a map to be pooled. */
static void conv_pool(struct onnx_writer *w)
{
    begin(w);
    toy_node(w, "Reshape", "y", "p", "flat");
    end(w, "y");
}
static void conv_after_pool(struct onnx_writer *w)
{
    begin(w);
    toy_weights(w, "last", DIMS(3, 6, 1, 1), -1);
    toy_node(w, "Conv", "z", "p", "last");
    toy_node(w, "Reshape", "y", "z", "row");
    end(w, "y");
}
static void activation_at_the_end(struct onnx_writer *w)              /* no linear layer leads to it */
{
    begin(w);
    toy_node(w, "Reshape", "f", "p", "flat");
    toy_node(w, "MatMul", "g", "f", "m");
    toy_node(w, "Relu", "y", "g");
    end(w, "y");
}
static void wide_conv(struct onnx_writer *w)                          /* 3×3: the mean of its input is not the features */
{
    begin(w);
    toy_node(w, "Conv", "d", "x", "k3");
    toy_node(w, "GlobalAveragePool", "q", "d");
    toy_node(w, "Reshape", "y", "q", "flat");
    end(w, "y");
}
static void two_outputs(struct onnx_writer *w)
{
    begin(w);
    toy_node(w, "Reshape", "f", "p", "flat");
    toy_node(w, "MatMul", "g", "f", "m");
    toy_node(w, "MatMul", "h", "g", "m2");
    onnx_output(w, "g");
    end(w, "h");
}
static void map_output(struct onnx_writer *w) { begin(w); end(w, "r"); }
static void softmax_alone(struct onnx_writer *w)
{
    onnx_model_begin(w, 13);
    onnx_input(w, "x", ONNX_FLOAT, DIMS(-1, 3));
    toy_node(w, "Softmax", "y", "x");
    end(w, "y");
}

static void taps_are_found(void **state)
{
    (void)state;
#define CASE(make, asked_l, asked_f, l, f, code, part) { #make, make, asked_l, asked_f, l, f, code, part }
    static const struct { const char *name; void (*make)(struct onnx_writer *w); const char *asked_logits, *asked_features, *logits, *features;
                          enum ood_code code; const char *part; } cases[] = {
        CASE(gemm, NULL, NULL, "y", "f", OOD_OK, ""),
        CASE(gemm, "y", "r", "y", "r", OOD_OK, ""),
        CASE(gemm, "y", "p", "y", "p", OOD_OK, ""),
        CASE(gemm, "f", "r", "f", "r", OOD_OK, ""),
        CASE(gemm, "nope", NULL, "", "", OOD_NOT_FOUND, "logits: the network has no tensor \"nope\"; candidates: \"y\" [Nx3], \"f\" [Nx6], \"p\" [Nx6x1x1]"),
        CASE(gemm, NULL, "nope\n", "", "", OOD_NOT_FOUND, "features: the network has no tensor \"nope?\"; candidates: \"f\" [Nx6], \"x\" [Nx4x5x5]"),
        CASE(gemm, "r", NULL, "", "", OOD_UNSUPPORTED, "logits: \"r\" is float32 [Nx6x5x5], expected N×K"),
        CASE(gemm, "m", NULL, "", "", OOD_UNSUPPORTED, "logits: \"m\" is float32 [6x3], expected N×K of float32 that depends on the input"),
        CASE(gemm, NULL, "flat", "", "", OOD_UNSUPPORTED, "features: \"flat\" is int64 [2]"),
        CASE(matmul_add_softmax, NULL, NULL, "l", "f", OOD_OK, ""),
        CASE(matmul_add_softmax, "g", NULL, "g", "f", OOD_OK, ""),
        CASE(conv_pool, NULL, NULL, "y", "x", OOD_OK, ""),
        CASE(conv_after_pool, NULL, NULL, "y", "p", OOD_OK, ""),
        CASE(activation_at_the_end, NULL, NULL, "", "", OOD_UNSUPPORTED, "features: no Gemm, MatMul or 1×1 Conv before a global pool leads to the logits \"y\""),
        CASE(activation_at_the_end, "g", NULL, "g", "f", OOD_OK, ""),
        CASE(wide_conv, NULL, NULL, "", "", OOD_UNSUPPORTED, "candidates: \"x\" [Nx4x5x5]"),
        CASE(two_outputs, NULL, NULL, "", "", OOD_UNSUPPORTED, "logits: 2 of the network's outputs are N×K, expected one; name the tensor; candidates: \"h\" [Nx3], \"g\" [Nx3]"),
        CASE(two_outputs, "h", NULL, "h", "g", OOD_OK, ""),
        CASE(map_output, NULL, NULL, "", "", OOD_UNSUPPORTED, "logits: 0 of the network's outputs are N×K"),
        CASE(softmax_alone, NULL, NULL, "", "", OOD_UNSUPPORTED, "features: no Gemm"),
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct onnx_writer w = { 0 };
        struct ood_error err = { 0 };
        cases[i].make(&w);
        struct ood_graph *graph = toy_read(&w);
        struct ood_taps taps = { 77, 77 };
        bool ok = ood_graph_taps(graph, cases[i].asked_logits, cases[i].asked_features, &taps, &err);
        if (err.code != cases[i].code || ok != (err.code == OOD_OK) || strstr(err.message, cases[i].part) == NULL)
            fail_msg("%s: %s: %s; expected %s with \"%s\"", cases[i].name, ood_code_name(err.code), err.message,
                     ood_code_name(cases[i].code), cases[i].part);
        if (ok) {
            assert_string_equal(graph->values[taps.logits].name, cases[i].logits);
            assert_string_equal(graph->values[taps.features].name, cases[i].features);
        } else {
            assert_int_equal(taps.logits, 77);                        /* outputs untouched */
        }
        ood_graph_free(graph);
        onnx_free(&w);
    }
}

/* ---- real networks: names as their README and a look at the file say ---- */

/* "40 Conv, 18 BatchNormalization, …": operators left, in order of their first use. */
static void print_operators(const struct ood_graph *graph, char *text, size_t size)
{
    size_t used = 0;
    for (size_t i = 0; i < graph->node_count; i++) {
        size_t count = 0, before = 0;
        for (size_t k = 0; k < graph->node_count; k++) {
            bool same = strcmp(graph->nodes[k].op->name, graph->nodes[i].op->name) == 0;
            count += same;
            before += same && k < i;
        }
        if (before == 0)
            used += (size_t)snprintf(text + used, size - used, "%s%zu %s", i > 0 ? ", " : "", count, graph->nodes[i].op->name);
        assert_true(used < size);
    }
}

static void taps_of(const char *file, struct ood_shape input, const char *logits, const char *features, const char *shape, const char *left)
{
    struct ood_error err = { 0 };
    struct ood_bytes bytes;
    check_ok(ood_file_read(check_shared(file), OOD_MODEL_BYTES_MOST, &bytes, &err));
    struct ood_graph_options options = { .operators = ood_op_table, .input_shape = input, .one_if_needed = true };
    struct ood_graph *graph = ood_graph_read(&bytes, &options, &err);
    check_ok(graph != NULL);
    ood_bytes_free(&bytes);
    struct ood_taps taps;
    check_ok(ood_graph_taps(graph, NULL, NULL, &taps, &err));
    char text[OOD_SHAPE_TEXT];
    assert_string_equal(graph->values[taps.logits].name, logits);
    assert_string_equal(graph->values[taps.features].name, features);
    assert_string_equal(ood_shape_print(&graph->values[taps.features].shape, text), shape);
    check_ok(ood_graph_simplify(graph, OOD_PASS_ALL, (uint32_t[]){ taps.logits, taps.features }, 2, &err));
    assert_int_not_equal(graph->values[taps.features].producer, OOD_NONE);
    char operators[600];
    print_operators(graph, operators, sizeof operators);
    if (left != NULL)                        /* what fusions leave of a transformer is told by tests of theirs */
        assert_string_equal(operators, left);
    ood_graph_free(graph);
}

#define MODEL_OF(folder, input, logits, features, shape, left)                                                                  \
    static void folder(void **state)                                                                                  \
    {                                                                                                                 \
        (void)state;                                                                                                  \
        taps_of("models/" #folder "/model.onnx", input, logits, features, shape, left);                               \
    }
#define MODEL(folder, logits, features, shape, left) MODEL_OF(folder, (struct ood_shape){ .rank = 0 }, logits, features, shape, left)
MODEL(wrn40_2_cifar10, "logits", "/Reshape_output_0", "Nx128",
      "40 Conv, 18 BatchNormalization, 1 AveragePool, 1 Reshape, 1 Gemm")
MODEL(resnet20_cifar10, "logits", "/Reshape_output_0", "Nx64",
      "19 Conv, 4 Slice, 2 Pad, 1 AveragePool, 1 Reshape, 1 Gemm")
MODEL(resnet56_cifar10, "logits", "/Reshape_output_0", "Nx64",
      "55 Conv, 4 Slice, 2 Pad, 1 AveragePool, 1 Reshape, 1 Gemm")
MODEL(densenet100_12_cifar10, "logits", "/Reshape_output_0", "Nx342",
      "99 Conv, 51 BatchNormalization, 48 Concat, 3 AveragePool, 1 Reshape, 1 Gemm")
MODEL(resnet4b_cifar10, "54", "53", "1x100",
      "11 Conv, 1 Flatten, 2 Gemm")
MODEL(resnet20_onnc_cifar10, "208", "207", "1x64",
      "21 Conv, 1 GlobalAveragePool, 1 Reshape, 1 Gemm")
MODEL(keras_resnet8_cifar10, "dense/BiasAdd:0", "flatten/out:0", "Nx64",
      "2 Transpose, 9 Conv, 1 AveragePool, 1 Reshape, 1 MatMul, 1 Softmax")
MODEL(keras_cnn_cifar10, "sequential/dense_1/BiasAdd:0", "sequential/dense/Relu:0", "Nx64",
      "2 Transpose, 2 Conv, 2 MaxPool, 1 Reshape, 2 MatMul, 1 Softmax")
MODEL(squeezenet10_dc_imagenet, "logits", "/fire9/Concat_output_0", "Nx512x13x13",
      "26 Conv, 3 MaxPool, 8 Concat, 1 ReduceMean")
MODEL(keras_mobilenetv1_025_vww, "dense/BiasAdd:0", "flatten/out:0", "Nx256",
      "2 Transpose, 27 Conv, 1 AveragePool, 1 Reshape, 1 MatMul, 1 Softmax")
MODEL(keras_mobilenetv2_035_catdog, "dense_Dense2/MatMul:0", "dense_Dense1/Relu:0", "Nx100",
      "1 Transpose, 52 Conv, 1 ReduceMean, 2 MatMul, 1 Softmax")
MODEL(mnist_cntk_opset8, "Plus214_Output_0", "Pooling160_Output_0_reshape0", "1x256",
      "2 Conv, 2 MaxPool, 1 Reshape, 1 MatMul")
MODEL(lmfrnet_cifar10, "logits", "/Flatten_output_0", "Nx464",
      "77 Conv, 18 Concat, 4 AveragePool, 1 Flatten, 1 Gemm")
MODEL(minifasnetv2_antispoof, "output", "/bn/BatchNormalization_output_0", "Nx128", NULL)
MODEL_OF(ppocr_mobilenetv3_textdir, ood_shape_of(4, (int64_t)1, (int64_t)3, (int64_t)48, (int64_t)192), "linear_1.tmp_1", "reshape2_0.tmp_0", "1x200", NULL)
MODEL(vit_ibp_3_3_8_cifar10, "output", "/2/2.1/BatchNormalization_output_0", "Nx48", NULL)
MODEL(vit_pgd_2_3_16_cifar10, "output", "/2/2.1/BatchNormalization_output_0", "Nx48", NULL)
MODEL(vit_tiny_cifar10, "logits", "/norm/Add_1_output_0", "Nx128", NULL)
MODEL(yolo11n_cls_catdog, "logits", "/model.10/Flatten_output_0", "Nx1280", NULL)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(taps_are_found),
        cmocka_unit_test(wrn40_2_cifar10),
        cmocka_unit_test(resnet20_cifar10),
        cmocka_unit_test(resnet56_cifar10),
        cmocka_unit_test(densenet100_12_cifar10),
        cmocka_unit_test(resnet4b_cifar10),
        cmocka_unit_test(resnet20_onnc_cifar10),
        cmocka_unit_test(keras_resnet8_cifar10),
        cmocka_unit_test(keras_cnn_cifar10),
        cmocka_unit_test(lmfrnet_cifar10),
        cmocka_unit_test(squeezenet10_dc_imagenet),
        cmocka_unit_test(keras_mobilenetv1_025_vww),
        cmocka_unit_test(keras_mobilenetv2_035_catdog),
        cmocka_unit_test(mnist_cntk_opset8),
        cmocka_unit_test(minifasnetv2_antispoof),
        cmocka_unit_test(ppocr_mobilenetv3_textdir),
        cmocka_unit_test(vit_ibp_3_3_8_cifar10),
        cmocka_unit_test(vit_pgd_2_3_16_cifar10),
        cmocka_unit_test(vit_tiny_cifar10),
        cmocka_unit_test(yolo11n_cls_catdog),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
