/* Makes the seeds of onnx_fuzz: make tests/fuzz/onnx_seeds && tests/fuzz/onnx_seeds ../tests/fuzz/onnx.in
 * Small networks that together use every operator, and a lone tensor. */
#include "unit/graph/onnx_writer.h"

#include "base/file.h"

#define NAMES(...) (const char *const[]){ __VA_ARGS__ }, sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(char *)
#define INTS(...) (int64_t[]){ __VA_ARGS__ }, sizeof((int64_t[]){ __VA_ARGS__ }) / sizeof(int64_t)
#define DIMS(...) sizeof((int64_t[]){ __VA_ARGS__ }) / sizeof(int64_t), (int64_t[]){ __VA_ARGS__ }

static void weights(struct onnx_writer *w, const char *name, size_t rank, const int64_t *dims)
{
    float values[256];
    size_t count = 1;
    for (size_t i = 0; i < rank; i++)
        count *= (size_t)dims[i];
    for (size_t i = 0; i < count && i < 256; i++)
        values[i] = (float)(i % 7) * 0.25f + 0.5f;
    onnx_initialiser(w, name, ONNX_FLOAT, rank, dims, values, count * sizeof values[0]);
}

static void ints(struct onnx_writer *w, const char *name, const int64_t *values, size_t count)
{
    onnx_initialiser(w, name, ONNX_INT64, 1, (int64_t[]){ (int64_t)count }, values, count * sizeof values[0]);
}

static void begin(struct onnx_writer *w, const char *op, const char *output, const char *const *inputs, size_t count)
{
    onnx_node_begin(w, op, NULL, inputs, count, (const char *[]){ output }, 1);
}

static void node(struct onnx_writer *w, const char *op, const char *output, const char *const *inputs, size_t count)
{
    begin(w, op, output, inputs, count);
    onnx_node_end(w);
}

static void node_axis(struct onnx_writer *w, const char *op, const char *output, const char *const *inputs, size_t count, int64_t axis)
{
    begin(w, op, output, inputs, count);
    onnx_int(w, "axis", axis);
    onnx_node_end(w);
}

static void start(struct onnx_writer *w, int opset)
{
    onnx_model_begin(w, opset);
    onnx_input(w, "x", ONNX_FLOAT, DIMS(-1, 2, 4, 4));
}

static void end(struct onnx_writer *w)
{
    onnx_output(w, "y");
    onnx_model_end(w);
}

/* Conv, BatchNormalization, Relu, a residual sum, global pool, Flatten, Gemm: what the passes look for. */
static void residual(struct onnx_writer *w)
{
    start(w, 13);
    weights(w, "w", DIMS(2, 2, 3, 3));
    weights(w, "s", DIMS(2));
    weights(w, "g", DIMS(3, 2));
    weights(w, "b", DIMS(3));
    begin(w, "Conv", "c", NAMES("x", "w", "s"));
    onnx_ints(w, "pads", INTS(1, 1, 1, 1));
    onnx_ints(w, "strides", INTS(1, 1));
    onnx_ints(w, "dilations", INTS(1, 1));
    onnx_int(w, "group", 1);
    onnx_node_end(w);
    begin(w, "BatchNormalization", "n", NAMES("c", "s", "s", "s", "s"));
    onnx_float(w, "epsilon", 1e-5f);
    onnx_node_end(w);
    node(w, "Add", "a", NAMES("n", "x"));
    node(w, "Relu", "r", NAMES("a"));
    node(w, "GlobalAveragePool", "p", NAMES("r"));
    node_axis(w, "Flatten", "f", NAMES("p"), 1);
    begin(w, "Gemm", "l", NAMES("f", "g", "b"));
    onnx_int(w, "transB", 1);
    onnx_float(w, "alpha", 1);
    onnx_float(w, "beta", 1);
    onnx_node_end(w);
    node_axis(w, "Softmax", "y", NAMES("l"), 1);
    end(w);
}

/* Shape arithmetic as exporters write it; opset 11, axes as attributes. */
static void reshaping(struct onnx_writer *w)
{
    start(w, 11);
    ints(w, "rest", INTS(-1));
    begin(w, "Constant", "zero", NULL, 0);
    onnx_tensor(w, "value", ONNX_INT64, 0, NULL, (int64_t[]){ 0 }, 8);
    onnx_node_end(w);
    node(w, "Shape", "s", NAMES("x"));
    node_axis(w, "Gather", "g", NAMES("s", "zero"), 0);
    begin(w, "Unsqueeze", "u", NAMES("g"));
    onnx_ints(w, "axes", INTS(0));
    onnx_node_end(w);
    node_axis(w, "Concat", "k", NAMES("u", "rest"), 0);
    begin(w, "Cast", "k2", NAMES("k"));
    onnx_int(w, "to", ONNX_INT64);
    onnx_node_end(w);
    begin(w, "Transpose", "t", NAMES("x"));
    onnx_ints(w, "perm", INTS(0, 2, 3, 1));
    onnx_node_end(w);
    node(w, "Reshape", "y", NAMES("t", "k2"));
    end(w);
}

/* Pools, pads, slices; opset 13, axes as inputs. */
static void windows(struct onnx_writer *w)
{
    start(w, 13);
    ints(w, "pads", INTS(0, 0, 1, 1, 0, 0, 1, 1));
    ints(w, "from", INTS(0));
    ints(w, "to", INTS(1000));
    ints(w, "axes", INTS(2));
    ints(w, "step", INTS(2));
    ints(w, "two", INTS(2, 3));
    begin(w, "Pad", "p", NAMES("x", "pads"));
    onnx_string(w, "mode", "constant");
    onnx_node_end(w);
    begin(w, "MaxPool", "m", NAMES("p"));
    onnx_ints(w, "kernel_shape", INTS(2, 2));
    onnx_int(w, "ceil_mode", 1);
    onnx_node_end(w);
    begin(w, "AveragePool", "a", NAMES("m"));
    onnx_ints(w, "kernel_shape", INTS(3, 3));
    onnx_string(w, "auto_pad", "SAME_UPPER");
    onnx_node_end(w);
    node(w, "Slice", "s", NAMES("a", "from", "to", "axes", "step"));
    node(w, "GlobalMaxPool", "g", NAMES("s"));
    node(w, "Squeeze", "q", NAMES("g", "two"));
    node(w, "Unsqueeze", "u", NAMES("q", "two"));
    begin(w, "ReduceMean", "r", NAMES("u"));
    onnx_ints(w, "axes", INTS(2, 3));
    onnx_int(w, "keepdims", 0);
    onnx_node_end(w);
    node_axis(w, "LogSoftmax", "y", NAMES("r"), -1);
    end(w);
}

/* Arithmetic and activations; the last layer as MatMul and Add. */
static void arithmetic(struct onnx_writer *w)
{
    start(w, 12);
    weights(w, "one", DIMS(1));
    weights(w, "c", DIMS(2, 1, 1));
    weights(w, "m", DIMS(32, 3));
    weights(w, "b", DIMS(3));
    ints(w, "flat", INTS(0, 32));
    ints(w, "some", INTS(2, 2));
    node(w, "Mul", "a", NAMES("x", "c"));
    node(w, "Sub", "d", NAMES("a", "c"));
    node(w, "Div", "e", NAMES("d", "one"));
    begin(w, "LeakyRelu", "f", NAMES("e"));
    onnx_float(w, "alpha", 0.1f);
    onnx_node_end(w);
    begin(w, "Constant", "least", NULL, 0);
    onnx_tensor(w, "value", ONNX_FLOAT, 0, NULL, (float[]){ 0 }, 4);
    onnx_node_end(w);
    node(w, "Clip", "g", NAMES("f", "least"));
    node(w, "Sigmoid", "h", NAMES("g"));
    onnx_node_begin(w, "Dropout", NULL, NAMES("h"), NAMES("i", "mask"));
    onnx_node_end(w);
    node(w, "Identity", "j", NAMES("i"));
    node(w, "Reshape", "k", NAMES("j", "flat"));
    node(w, "MatMul", "l", NAMES("k", "m"));
    begin(w, "ConstantOfShape", "z", NAMES("some"));
    onnx_tensor(w, "value", ONNX_INT64, 1, (int64_t[]){ 1 }, (int64_t[]){ 3 }, 8);
    onnx_node_end(w);
    node(w, "Add", "y", NAMES("l", "b"));
    onnx_output(w, "z");
    end(w);
}

static void tensor(struct onnx_writer *w)
{
    onnx_tensor_fields(w, "t", ONNX_FLOAT, DIMS(1, 2), (float[]){ 1, 2 }, 8);
}

int main(int argc, char **argv)
{
    static const struct { const char *name; void (*make)(struct onnx_writer *w); } seeds[] = {
        { "residual", residual }, { "reshaping", reshaping }, { "windows", windows }, { "arithmetic", arithmetic }, { "tensor", tensor },
    };
    for (size_t i = 0; argc == 2 && i < sizeof seeds / sizeof seeds[0]; i++) {
        struct onnx_writer w = { 0 };
        struct ood_error err = { 0 };
        char path[4096];
        seeds[i].make(&w);
        snprintf(path, sizeof path, "%s/%s", argv[1], seeds[i].name);
        if (!ood_file_write(path, w.data, w.size, &err)) {
            fprintf(stderr, "%s\n", err.message);
            return 1;
        }
        onnx_free(&w);
    }
    return argc == 2 ? 0 : 2;
}
