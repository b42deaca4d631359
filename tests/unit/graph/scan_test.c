/* Hostile bytes: the scan's limits and refusals, files cut at every length, bits flipped, memory that ends. */
#include "toy.h"

#include "base/clock.h"
#include "base/random.h"
#include "graph/onnx.pb-c.h"
#include "graph/scan.h"

static const struct ood_graph_options toy_options = { .operators = toy_table };

/* ---- the scan alone ---- */

#define BYTES(...) (const unsigned char[]){ __VA_ARGS__ }, sizeof((const unsigned char[]){ __VA_ARGS__ })

static void wire_faults_are_refused(void **state)
{
    (void)state;
    const struct { const char *name; const unsigned char *bytes; size_t size; const char *part; } cases[] = {
        { "tag cut", BYTES(0x80), "offset 0: a number is cut off" },
        { "tag of six bytes", BYTES(0x88, 0x80, 0x80, 0x80, 0x80, 0x00), "offset 0: a number of more than 5 bytes" },
        { "field number 0", BYTES(0x00, 0x00), "field number 0" },
        { "field number too large", BYTES(0xF8, 0xFF, 0xFF, 0xFF, 0x7F, 0x00), "field number 4294967295" },
        { "group", BYTES(0x0B, 0x0C), "wire type 3, which ONNX does not use" },
        { "end of group", BYTES(0x0C), "wire type 4" },
        { "wire type 6", BYTES(0x0E), "wire type 6" },
        { "ir_version as text", BYTES(0x0A, 0x01, 0x37), "ModelProto.ir_version has wire type 2, expected 0" },
        { "producer_name as number", BYTES(0x10, 0x05), "ModelProto.producer_name has wire type 0, expected 2" },
        { "graph as number", BYTES(0x38, 0x05), "ModelProto.graph has wire type 0, expected 2" },
        { "varint cut", BYTES(0x08, 0x80, 0x80), "offset 1: a number is cut off" },
        { "varint of eleven bytes", BYTES(0x08, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01), "more than 10 bytes" },
        { "length cut", BYTES(0x12), "offset 1: a number is cut off" },
        { "length beyond the file", BYTES(0x12, 0x05, 'a'), "offset 1: a length of 5 bytes where 1 are left" },
        { "length of 2^34", BYTES(0x12, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F), "a length of 34359738367 bytes" },
        { "length beyond the message", BYTES(0x3A, 0x02, 0x12, 0x05, 'a', 'b', 'c', 'd', 'e'), "a length of 5 bytes where 0 are left" },
        { "unknown field, cut", BYTES(0xA5, 0x06, 0x01, 0x02), "a number is cut off" },
        { "graph twice", BYTES(0x3A, 0x00, 0x3A, 0x00), "ModelProto.graph occurs twice" },
        { "packed floats, odd bytes", BYTES(0x3A, 0x07, 0x2A, 0x05, 0x22, 0x03, 1, 2, 3), "a packed list of 3 bytes, not a multiple of 4" },
        { "packed ints, cut", BYTES(0x3A, 0x07, 0x2A, 0x05, 0x3A, 0x03, 0x80, 0x80, 0x80), "a number is cut off" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ood_error err = { 0 };
        struct ood_scan_limits limits = ood_scan_limits_for(cases[i].size);
        if (ood_scan(&onnx__model_proto__descriptor, cases[i].bytes, cases[i].size, &limits, &err) || err.code != OOD_INVALID ||
            strstr(err.message, cases[i].part) == NULL)
            fail_msg("%s: %s; expected \"%s\"", cases[i].name, err.message, cases[i].part);
    }
    const struct { const unsigned char *bytes; size_t size; } good[] = {
        { BYTES(0x08, 0x07) },
        { BYTES(0x08, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01) },
        { BYTES(0xA5, 0x06, 1, 2, 3, 4, 0xA2, 0x06, 0x01, 'x', 0xA1, 0x06, 1, 2, 3, 4, 5, 6, 7, 8, 0xA0, 0x06, 0x05) },   /* unknown */
        { BYTES(0x3A, 0x08, 0x2A, 0x06, 0x22, 0x04, 1, 2, 3, 4) },    /* packed */
        { BYTES(0x3A, 0x07, 0x2A, 0x05, 0x25, 1, 2, 3, 4) },          /* the same, not packed */
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct ood_error err = { 0 };
        struct ood_scan_limits limits = ood_scan_limits_for(good[i].size);
        check_ok(ood_scan(&onnx__model_proto__descriptor, good[i].bytes, good[i].size, &limits, &err));
    }
}

static void scan_limits_hold(void **state)
{
    (void)state;
    struct onnx_writer w = { 0 };
    struct ood_error err = { 0 };
    onnx_model_begin(&w, 13);
    onnx_input(&w, "x", ONNX_FLOAT, DIMS(-1, 6));                     /* Model, Graph, ValueInfo, Type, Tensor, Shape, Dimension: 7 deep */
    onnx_model_end(&w);
    struct ood_scan_limits wide = ood_scan_limits_for(w.size), limits = wide;
    check_ok(ood_scan(&onnx__model_proto__descriptor, w.data, w.size, &limits, &err));
    limits.depth = 7;
    check_ok(ood_scan(&onnx__model_proto__descriptor, w.data, w.size, &limits, &err));
    limits.depth = 6;
    check_fails(ood_scan(&onnx__model_proto__descriptor, w.data, w.size, &limits, &err), OOD_LIMIT, "nest deeper than the limit of 6");
    limits = wide;
    limits.messages = 5;
    check_fails(ood_scan(&onnx__model_proto__descriptor, w.data, w.size, &limits, &err), OOD_LIMIT, "limit of 5 messages");
    limits = wide;
    limits.fields = 5;
    check_fails(ood_scan(&onnx__model_proto__descriptor, w.data, w.size, &limits, &err), OOD_LIMIT, "limit of 5 fields");
    limits = wide;
    limits.memory = 300;
    check_fails(ood_scan(&onnx__model_proto__descriptor, w.data, w.size, &limits, &err), OOD_LIMIT, "limit of 300 bytes");
    onnx_free(&w);
}

/* ---- whole files ---- */

static void a_model(struct onnx_writer *w)
{
    onnx_model_begin(w, 13);
    onnx_input(w, "x", ONNX_FLOAT, DIMS(-1, 2, 3, 3));
    toy_weights(w, "w", DIMS(2, 2, 1, 1), -1);
    toy_weights(w, "s", DIMS(2), 0.1f);
    onnx_initialiser(w, "flat", ONNX_INT64, DIMS(2), (int64_t[]){ 0, 18 }, 16);
    toy_begin(w, "Conv", "c", "x", "w");
    onnx_int(w, "group", 1);
    onnx_ints(w, "pads", (int64_t[]){ 0, 0, 0, 0 }, 4);
    toy_end(w);
    toy_node(w, "BatchNormalization", "n", "c", "s", "s", "s", "s");
    toy_node(w, "Add", "a", "n", "x");
    toy_node(w, "Relu", "r", "a");
    toy_node(w, "Reshape", "f", "r", "flat");
    toy_node(w, "Softmax", "y", "f");
    onnx_output(w, "y");
    onnx_model_end(w);
}

/* Whatever the bytes: a graph that can be simplified, or an error with a code and a sentence. Copied so that the
 * sanitizer sees a read past the end. */
static bool feed(const unsigned char *data, size_t size, const struct ood_graph_options *options)
{
    struct ood_error err = { 0 };
    struct ood_bytes bytes = { malloc(size + (size == 0)), size };
    if (size > 0)
        memcpy(bytes.data, data, size);
    struct ood_graph *graph = ood_graph_read(&bytes, options, &err);
    free(bytes.data);
    assert_true(graph != NULL ? err.code == OOD_OK : err.code != OOD_OK && err.code != OOD_OUT_OF_MEMORY && err.message[0] != '\0');
    if (graph != NULL) {
        struct ood_taps taps;
        struct ood_error tap_err = { 0 };
        if (ood_graph_taps(graph, NULL, NULL, &taps, &tap_err))
            check_ok(ood_graph_simplify(graph, OOD_PASS_ALL, (uint32_t[]){ taps.logits, taps.features }, 2, &err));
        else
            check_ok(ood_graph_simplify(graph, OOD_PASS_ALL, NULL, 0, &err));
    }
    ood_graph_free(graph);
    return graph != NULL;
}

static void files_cut_anywhere(void **state)
{
    (void)state;
    struct onnx_writer w = { 0 };
    a_model(&w);
    assert_true(feed(w.data, w.size, &toy_options));
    for (size_t size = 0; size < w.size; size++)
        if (feed(w.data, size, &toy_options))
            fail_msg("cut to %zu of %zu bytes, the file is still read", size, w.size);
    onnx_free(&w);
}

static void bits_flipped(void **state)
{
    (void)state;
    struct onnx_writer w = { 0 };
    a_model(&w);
    size_t read = 0;
    for (size_t bit = 0; bit < 8 * w.size; bit++) {                   /* each bit alone */
        w.data[bit / 8] ^= (unsigned char)(1 << bit % 8);
        read += feed(w.data, w.size, &toy_options);
        w.data[bit / 8] ^= (unsigned char)(1 << bit % 8);
    }
    assert_in_range(read, 1, 8 * w.size - 1);                         /* weights may be any number, lengths may not */
    struct ood_random random;
    ood_random_seed(&random, 1);
    unsigned char *copy = malloc(w.size);
    double until = ood_clock() + 3;
    for (size_t i = 0; i < 20000 && ood_clock() < until; i++) {
        memcpy(copy, w.data, w.size);
        for (uint64_t k = 1 + ood_random_below(&random, 8); k-- > 0;)
            copy[ood_random_below(&random, w.size)] = (unsigned char)ood_random_next(&random);
        feed(copy, w.size, &toy_options);
    }
    free(copy);
    onnx_free(&w);
}

/* Quadratic or worse behaviour would show here as minutes. */
static void large_files_take_linear_time(void **state)
{
    (void)state;
    struct onnx_writer w = { 0 };
    struct ood_error err = { 0 };
    enum { NODES = 30000 };
    static char names[NODES + 1][12];
    onnx_model_begin(&w, 13);
    onnx_input(&w, "v0", ONNX_FLOAT, DIMS(-1, 2, 1, 1));
    toy_weights(&w, "k", DIMS(2, 2, 1, 1), -1);
    toy_weights(&w, "b", DIMS(2, 1, 1), -1);
    for (int i = 0; i <= NODES; i++)
        snprintf(names[i], sizeof names[i], "v%d", i);
    for (int i = NODES; i > 0; i--) {                                 /* the last first: a deep walk */
        onnx_node_begin(&w, i % 3 == 0 ? "Relu" : i % 3 == 1 ? "Conv" : "Add", NULL,
                        (const char *[]){ names[i - 1], i % 3 == 1 ? "k" : "b" }, i % 3 == 0 ? 1 : 2, (const char *[]){ names[i] }, 1);
        onnx_node_end(&w);
    }
    onnx_output(&w, names[NODES]);
    onnx_model_end(&w);
    double start = ood_clock_thread();
    struct ood_graph *graph = toy_read(&w);
    check_ok(ood_graph_simplify(graph, OOD_PASS_ALL, NULL, 0, &err));
    assert_int_equal(graph->node_count, NODES / 3);
    assert_true(ood_clock_thread() - start < 10);
    ood_graph_free(graph);
    onnx_free(&w);
}

/* ---- the real thing ---- */

static void a_real_model_cut(void **state)
{
    (void)state;
    struct ood_error err = { 0 };
    struct ood_bytes bytes;
    check_ok(ood_file_read(check_shared("models/wrn40_2_cifar10/model.onnx"), OOD_MODEL_BYTES_MOST, &bytes, &err));
    struct ood_random random;
    ood_random_seed(&random, 2);
    for (size_t size = 0; size < 400; size++)
        assert_false(feed(bytes.data, size, &toy_options));
    for (size_t i = 0; i < 60; i++)
        assert_false(feed(bytes.data, ood_random_below(&random, bytes.size), &toy_options));
    for (size_t back = 1; back < 60; back++)
        assert_false(feed(bytes.data, bytes.size - back, &toy_options));
    ood_bytes_free(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wire_faults_are_refused),
        cmocka_unit_test(scan_limits_hold),
        cmocka_unit_test(files_cut_anywhere),
        cmocka_unit_test(bits_flipped),
        cmocka_unit_test(large_files_take_linear_time),
        cmocka_unit_test(a_real_model_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
