/* Bad ONNX files, each with the code and the sentence it must give. */
#include "toy.h"

/* The model around one bad thing: x → Relu → y unless the case says otherwise. */
static void begin(struct onnx_writer *w)
{
    onnx_model_begin(w, 13);
    onnx_input(w, "x", ONNX_FLOAT, DIMS(-1, 6));
}

static void end(struct onnx_writer *w)
{
    toy_node(w, "Relu", "y", "x");
    onnx_output(w, "y");
    onnx_model_end(w);
}

static void tensor_with(struct onnx_writer *w, int type, size_t rank, const int64_t *dims, size_t bytes)
{
    static const unsigned char zeros[64];
    begin(w);
    onnx_initialiser(w, "w", type, rank, dims, zeros, bytes);
    end(w);
}

static void cycle(struct onnx_writer *w)
{
    begin(w);
    toy_node(w, "Add", "a", "x", "c");
    toy_node(w, "Relu", "b", "a");
    toy_node(w, "Relu", "c", "b");
    end(w);
}
static void cycle_of_one(struct onnx_writer *w) { begin(w); toy_node(w, "Add", "a", "x", "a"); end(w); }
static void missing_initialiser(struct onnx_writer *w) { begin(w); toy_node(w, "Add", "a", "x", "w"); end(w); }
static void missing_output(struct onnx_writer *w) { begin(w); onnx_output(w, "nowhere"); end(w); }
static void no_outputs(struct onnx_writer *w) { begin(w); toy_node(w, "Relu", "y", "x"); onnx_model_end(w); }
static void no_nodes(struct onnx_writer *w) { begin(w); onnx_output(w, "x"); onnx_model_end(w); }
static void no_inputs(struct onnx_writer *w) { onnx_model_begin(w, 13); toy_weights(w, "x", DIMS(2), -1); end(w); }
static void no_graph(struct onnx_writer *w) { onnx_model_begin(w, 13); onnx_model_end(w); w->size -= 8; }
static void output_twice(struct onnx_writer *w) { begin(w); onnx_output(w, "y"); end(w); }
static void negative_dimension(struct onnx_writer *w) { tensor_with(w, ONNX_FLOAT, DIMS(-4), 16); }
static void overflowing_dimensions(struct onnx_writer *w) { tensor_with(w, ONNX_FLOAT, DIMS(INT64_MAX / 2, INT64_MAX / 2, 4), 16); }
static void huge_dimensions(struct onnx_writer *w) { tensor_with(w, ONNX_FLOAT, DIMS(1 << 20, 1 << 10), 16); }
static void bytes_short(struct onnx_writer *w) { tensor_with(w, ONNX_FLOAT, DIMS(2, 2), 15); }
static void bytes_long(struct onnx_writer *w) { tensor_with(w, ONNX_INT64, DIMS(2), 17); }
static void double_tensor(struct onnx_writer *w) { tensor_with(w, ONNX_DOUBLE, DIMS(2), 16); }
static void half_tensor(struct onnx_writer *w) { tensor_with(w, 10, DIMS(2), 4); }
static void unknown_type(struct onnx_writer *w) { tensor_with(w, 77, DIMS(2), 4); }
static void nine_dimensions(struct onnx_writer *w) { tensor_with(w, ONNX_FLOAT, DIMS(1, 1, 1, 1, 1, 1, 1, 1, 1), 4); }

static void reserved_value(struct onnx_writer *w)
{
    begin(w);
    onnx_initialiser(w, "w", ONNX_INT64, DIMS(1), (int64_t[]){ ood_batch_dim(3) }, 8);
    end(w);
}

static void reserved_attribute(struct onnx_writer *w)
{
    begin(w);
    toy_begin(w, "Relu", "a", "x");
    onnx_ints(w, "axes", (int64_t[]){ 1, ood_batch_dim(3) }, 2);
    toy_end(w);
    end(w);
}

static void data_twice(struct onnx_writer *w)
{
    begin(w);
    onnx_begin(w, 5);
    onnx_tensor_fields(w, "w", ONNX_FLOAT, DIMS(1), "1234", 4);
    onnx_bytes(w, 4, "1234", 4);
    onnx_end(w);
    end(w);
}

static void data_of_another_type(struct onnx_writer *w)
{
    begin(w);
    onnx_begin(w, 5);
    onnx_varint(w, 1, 1);
    onnx_varint(w, 2, ONNX_FLOAT);
    onnx_text(w, 8, "w");
    onnx_varint(w, 7, 5);
    onnx_end(w);
    end(w);
}

static void external_data(struct onnx_writer *w)
{
    begin(w);
    onnx_begin(w, 5);
    onnx_varint(w, 1, 1);
    onnx_varint(w, 2, ONNX_FLOAT);
    onnx_text(w, 8, "w");
    onnx_begin(w, 13);
    onnx_text(w, 1, "location");
    onnx_text(w, 2, "../../etc/passwd");
    onnx_end(w);
    onnx_varint(w, 14, 1);
    onnx_end(w);
    end(w);
}

static void sparse(struct onnx_writer *w)
{
    begin(w);
    onnx_begin(w, 15);
    onnx_end(w);
    end(w);
}

static void names_twice(struct onnx_writer *w) { begin(w); toy_node(w, "Relu", "y", "x"); end(w); }
static void name_of_input_twice(struct onnx_writer *w) { begin(w); toy_node(w, "Relu", "x", "x"); end(w); }
static void initialiser_twice(struct onnx_writer *w)
{
    begin(w);
    toy_weights(w, "w", DIMS(2), -1);
    toy_weights(w, "w", DIMS(3), -1);
    end(w);
}
static void input_twice(struct onnx_writer *w) { begin(w); onnx_input(w, "x", ONNX_FLOAT, DIMS(-1, 6)); end(w); }
static void nameless_output(struct onnx_writer *w) { begin(w); toy_node(w, "Relu", "", "x"); end(w); }
static void nameless_input(struct onnx_writer *w) { begin(w); onnx_input(w, "", ONNX_FLOAT, DIMS(1)); end(w); }
static void control_in_name(struct onnx_writer *w) { begin(w); toy_node(w, "Relu", "a\x1b[31m\xff", "x"); end(w); }
static void broken_node_name(struct onnx_writer *w)
{
    begin(w);
    onnx_node_begin(w, "Loop\n", "evil\x1b]0;\x07", NAMES("x"), NAMES("a"));
    onnx_node_end(w);
    end(w);
}
static void unknown_operator(struct onnx_writer *w) { begin(w); toy_node(w, "If", "a", "x"); end(w); }
static void operator_of_another_opset(struct onnx_writer *w) { begin(w); toy_node(w, "Upsample", "a", "x"); end(w); }
static void foreign_domain(struct onnx_writer *w)
{
    begin(w);
    toy_begin(w, "Relu", "a", "x");
    onnx_text(w, 7, "com.example");
    toy_end(w);
    end(w);
}
static void attribute_twice(struct onnx_writer *w)
{
    begin(w);
    toy_begin(w, "Relu", "a", "x");
    onnx_int(w, "axis", 1);
    onnx_int(w, "axis", 1);
    toy_end(w);
    end(w);
}
static void attribute_of_a_function(struct onnx_writer *w)
{
    begin(w);
    toy_begin(w, "Relu", "a", "x");
    onnx_attribute_begin(w, "axis", 2);
    onnx_text(w, 21, "outer");
    onnx_end(w);
    toy_end(w);
    end(w);
}
static void attribute_tensor_bad(struct onnx_writer *w)
{
    begin(w);
    toy_begin(w, "Relu", "a", "x");
    onnx_tensor(w, "value", ONNX_DOUBLE, DIMS(1), "12345678", 8);
    toy_end(w);
    end(w);
}
static void too_few_inputs(struct onnx_writer *w) { begin(w); toy_node(w, "Add", "a", "x"); end(w); }
static void too_many_inputs(struct onnx_writer *w) { begin(w); toy_node(w, "Relu", "a", "x", "x"); end(w); }
static void omitted_input(struct onnx_writer *w) { begin(w); toy_node(w, "Add", "a", "x", ""); end(w); }
static void refused_by_check(struct onnx_writer *w)
{
    begin(w);
    toy_weights(w, "w", DIMS(1, 1, 1, 1), -1);
    toy_begin(w, "Conv", "a", "x", "w");
    onnx_int(w, "group", 0);
    toy_end(w);
    end(w);
}
static void refused_by_shape(struct onnx_writer *w)
{
    begin(w);
    toy_weights(w, "w", DIMS(5), -1);
    toy_node(w, "Add", "a", "x", "w");
    end(w);
}
static void reshape_to(struct onnx_writer *w, int64_t a, int64_t b)
{
    begin(w);
    onnx_initialiser(w, "s", ONNX_INT64, DIMS(2), (int64_t[]){ a, b }, 16);
    toy_node(w, "Reshape", "a", "x", "s");
    end(w);
}
static void negative_output(struct onnx_writer *w) { reshape_to(w, -7, 2); }
static void overflowing_output(struct onnx_writer *w) { reshape_to(w, INT64_MAX, INT64_MAX); }
static void input_of_negative_shape(struct onnx_writer *w) { begin(w); onnx_input(w, "z", ONNX_FLOAT, DIMS(1, -5)); end(w); }
static void input_of_no_size(struct onnx_writer *w) { begin(w); onnx_input(w, "z", ONNX_FLOAT, DIMS(1, 0)); end(w); }
static void input_overflowing(struct onnx_writer *w) { begin(w); onnx_input(w, "z", ONNX_FLOAT, DIMS(-1, INT64_MAX, 2)); end(w); }
static void input_too_large(struct onnx_writer *w) { begin(w); onnx_input(w, "z", ONNX_FLOAT, DIMS(1, 1 << 30, 1 << 30)); end(w); }
static void input_of_strings(struct onnx_writer *w) { begin(w); onnx_input(w, "z", 8, DIMS(1, 2)); end(w); }
static void input_without_type(struct onnx_writer *w) { begin(w); onnx_begin(w, 11); onnx_text(w, 1, "z"); onnx_end(w); end(w); }
static void old_opset(struct onnx_writer *w) { onnx_model_begin(w, 6); onnx_input(w, "x", ONNX_FLOAT, DIMS(-1, 6)); end(w); }
static void new_opset(struct onnx_writer *w) { onnx_model_begin(w, 19); onnx_input(w, "x", ONNX_FLOAT, DIMS(-1, 6)); end(w); }
static void no_opset(struct onnx_writer *w) { onnx_varint(w, 1, 7); onnx_begin(w, 7); onnx_input(w, "x", ONNX_FLOAT, DIMS(-1, 6)); end(w); }
static void two_opsets(struct onnx_writer *w)
{
    begin(w);
    end(w);
    onnx_begin(w, 8);
    onnx_varint(w, 2, 11);
    onnx_end(w);
}
static void ir(struct onnx_writer *w, int version) { onnx_varint(w, 1, version); onnx_begin(w, 7); end(w); }
static void old_ir(struct onnx_writer *w) { ir(w, 2); }
static void new_ir(struct onnx_writer *w) { ir(w, 99); }
static void no_ir(struct onnx_writer *w) { onnx_begin(w, 7); end(w); }
static void empty(struct onnx_writer *w) { (void)w; }
static void picture(struct onnx_writer *w) { onnx_put(w, "\x89PNG\r\n\x1a\n", 8); }
static void two_graphs(struct onnx_writer *w) { begin(w); end(w); onnx_begin(w, 7); onnx_end(w); }

/* 20,000 graphs, each in an attribute of the one before: the way a stack would overflow. Built from the inside out. */
static void nested_graphs(struct onnx_writer *w)
{
    size_t most = 20000 * 40, at = most;
    unsigned char *bytes = malloc(most), length[10];
    static const unsigned char fields[] = { (6 << 3) | 2, (5 << 3) | 2, (1 << 3) | 2 };   /* attribute.g, node.attribute, graph.node */
    for (size_t i = 0; i < 20000; i++)
        for (size_t k = 0; k < sizeof fields; k++) {
            size_t n = onnx_encode(most - at, length);
            at -= n + 1;
            bytes[at] = fields[k];
            memcpy(bytes + at + 1, length, n);
        }
    onnx_varint(w, 1, 7);
    onnx_bytes(w, 7, bytes + at, most - at);
    free(bytes);
}

/* Depth is one limit, width another: messages of two bytes, a million of them. */
static void many_messages(struct onnx_writer *w)
{
    onnx_varint(w, 1, 7);
    onnx_begin(w, 7);
    for (size_t i = 0; i < 1100000; i++)
        onnx_bytes(w, 1, "", 0);
    onnx_end(w);
}

static void bad_files_are_named(void **state)
{
    (void)state;
#define CASE(make, code, part) { #make, make, code, part }
    static const struct { const char *name; void (*make)(struct onnx_writer *w); enum ood_code code; const char *part; } cases[] = {
        CASE(cycle, OOD_INVALID, "the graph has a cycle"),
        CASE(cycle_of_one, OOD_INVALID, "node n_a (Add, opset 13): input \"a\" depends on the node's own output"),
        CASE(missing_initialiser, OOD_INVALID, "node n_a (Add, opset 13): input 1, \"w\", is no graph input, initialiser or output of a node"),
        CASE(missing_output, OOD_INVALID, "output \"nowhere\" is computed by no node"),
        CASE(no_outputs, OOD_INVALID, "the graph has no outputs"),
        CASE(no_nodes, OOD_INVALID, "the graph has no nodes"),
        CASE(no_inputs, OOD_INVALID, "the graph has no inputs"),
        CASE(no_graph, OOD_INVALID, "the model has no graph"),
        CASE(output_twice, OOD_INVALID, "output \"y\" is listed twice"),
        CASE(negative_dimension, OOD_INVALID, "initialiser \"w\": dimension 0 is -4"),
        CASE(overflowing_dimensions, OOD_INVALID, "initialiser \"w\": shape 4611686018427387903x4611686018427387903x4 is too large"),
        CASE(huge_dimensions, OOD_INVALID, "raw data of 16 bytes, shape 1048576x1024 of float32 needs 4294967296"),
        CASE(bytes_short, OOD_INVALID, "initialiser \"w\": raw data of 15 bytes, shape 2x2 of float32 needs 16"),
        CASE(bytes_long, OOD_INVALID, "initialiser \"w\": raw data of 17 bytes, shape 2 of int64 needs 16"),
        CASE(double_tensor, OOD_UNSUPPORTED, "initialiser \"w\": elements are double, expected float32, int64, int32 or bool"),
        CASE(half_tensor, OOD_UNSUPPORTED, "initialiser \"w\": elements are float16"),
        CASE(unknown_type, OOD_UNSUPPORTED, "initialiser \"w\": elements are of type 77"),
        CASE(nine_dimensions, OOD_UNSUPPORTED, "initialiser \"w\": 9 dimensions, at most 8"),
        CASE(reserved_value, OOD_UNSUPPORTED, "initialiser \"w\": holds -4611686018427387901, which is reserved"),
        CASE(reserved_attribute, OOD_UNSUPPORTED, "node n_a (Relu, opset 13): attribute axes: holds"),
        CASE(data_twice, OOD_INVALID, "initialiser \"w\": both raw data and a typed list"),
        CASE(data_of_another_type, OOD_INVALID, "initialiser \"w\": data in a list of another type than float32"),
        CASE(external_data, OOD_UNSUPPORTED, "initialiser \"w\": its data are in another file"),
        CASE(sparse, OOD_UNSUPPORTED, "sparse initialisers"),
        CASE(names_twice, OOD_INVALID, "the name \"y\" is given to two values"),
        CASE(name_of_input_twice, OOD_INVALID, "the name \"x\" is given to two values"),
        CASE(initialiser_twice, OOD_INVALID, "the name \"w\" is given to two values"),
        CASE(input_twice, OOD_INVALID, "the name \"x\" is given to two values"),
        CASE(nameless_output, OOD_INVALID, "node n_ (Relu, opset 13): its first output has no name"),
        CASE(nameless_input, OOD_INVALID, "a graph input has no name"),
        CASE(control_in_name, OOD_INVALID, "an output of a node \"a?[31m?\": a name with control characters"),
        CASE(broken_node_name, OOD_UNSUPPORTED, "node evil?]0;? (Loop?, opset 13): operator Loop? is not supported"),
        CASE(unknown_operator, OOD_UNSUPPORTED, "node n_a (If, opset 13): operator If is not supported"),
        CASE(operator_of_another_opset, OOD_UNSUPPORTED, "node n_a (Upsample, opset 13): operator Upsample is not supported"),
        CASE(foreign_domain, OOD_UNSUPPORTED, "node n_a (Relu, domain com.example): only operators of ONNX's own domain"),
        CASE(attribute_twice, OOD_INVALID, "node n_a (Relu, opset 13): attribute axis is given twice"),
        CASE(attribute_of_a_function, OOD_UNSUPPORTED, "node n_a (Relu, opset 13): an attribute of a function"),
        CASE(attribute_tensor_bad, OOD_UNSUPPORTED, "node n_a (Relu, opset 13): attribute value: elements are double"),
        CASE(too_few_inputs, OOD_INVALID, "node n_a (Add, opset 13): 1 inputs, expected 2"),
        CASE(too_many_inputs, OOD_INVALID, "node n_a (Relu, opset 13): 2 inputs, expected 1"),
        CASE(omitted_input, OOD_INVALID, "node n_a (Add, opset 13): input 1 is missing"),
        CASE(refused_by_check, OOD_INVALID, "node n_a (Conv, opset 13): group must be positive"),
        CASE(refused_by_shape, OOD_INVALID, "node n_a (Add, opset 13): inputs do not broadcast"),
        CASE(negative_output, OOD_INVALID, "node n_a (Reshape, opset 13): output 0 has shape -7x2: negative or too large"),
        CASE(overflowing_output, OOD_INVALID, "negative or too large"),
        CASE(input_of_negative_shape, OOD_INVALID, "input \"z\": dimension 1 is -5"),
        CASE(input_of_no_size, OOD_UNSUPPORTED, "input \"z\": dimension 1 is 0"),
        CASE(input_overflowing, OOD_INVALID, "is too large"),
        CASE(input_too_large, OOD_INVALID, "input \"z\": shape 1x1073741824x1073741824 is too large"),
        CASE(input_of_strings, OOD_UNSUPPORTED, "input \"z\": elements are string"),
        CASE(input_without_type, OOD_UNSUPPORTED, "input \"z\": is not a tensor"),
        CASE(old_opset, OOD_UNSUPPORTED, "opset 6, expected 7 to 18"),
        CASE(new_opset, OOD_UNSUPPORTED, "opset 19, expected 7 to 18"),
        CASE(no_opset, OOD_INVALID, "no version of the operator set"),
        CASE(two_opsets, OOD_INVALID, "the operator set is given twice, as 13 and 11"),
        CASE(old_ir, OOD_UNSUPPORTED, "IR version 2, expected 3 to"),
        CASE(new_ir, OOD_UNSUPPORTED, "IR version 99"),
        CASE(no_ir, OOD_INVALID, "no IR version"),
        CASE(empty, OOD_INVALID, "it is empty"),
        CASE(picture, OOD_INVALID, "not an ONNX file: offset"),
        CASE(two_graphs, OOD_INVALID, "ModelProto.graph occurs twice"),
        CASE(nested_graphs, OOD_LIMIT, "messages nest deeper than the limit of 32"),
        CASE(many_messages, OOD_LIMIT, "more than the limit of"),
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct onnx_writer w = { 0 };
        struct ood_error err = { 0 };
        cases[i].make(&w);
        struct ood_bytes bytes = { w.data, w.size };
        struct ood_graph_options options = { .operators = toy_table };
        struct ood_graph *graph = ood_graph_read(&bytes, &options, &err);
        if (graph != NULL || err.code != cases[i].code || strstr(err.message, cases[i].part) == NULL)
            fail_msg("%s: %s: %s; expected %s with \"%s\"", cases[i].name, ood_code_name(err.code), err.message,
                     ood_code_name(cases[i].code), cases[i].part);
        ood_graph_free(graph);
        onnx_free(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(bad_files_are_named) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
