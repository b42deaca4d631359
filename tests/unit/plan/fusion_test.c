/* Each fusion on a small network with the real operators: the steps that are left, and that the result is what it is without passes. */
#include "check.h"

#include <math.h>

#include "base/random.h"
#include "ops/ops.h"
#include "plan/plan.h"
#include "../graph/onnx_writer.h"

#define MOST_FLOATS 65536

/* ---- writing ---- */

static void node(struct onnx_writer *w, const char *op, const char *output, const char *a, const char *b, const char *c)
{
    const char *inputs[] = { a, b, c };
    char name[64];
    snprintf(name, sizeof name, "n_%s", output);
    onnx_node_begin(w, op, name, inputs, b == NULL ? 1 : c == NULL ? 2 : 3, (const char *[]){ output }, 1);
}

#define NODE(w, op, output, ...) (NODE_OF(w, op, output, __VA_ARGS__, NULL, NULL, NULL), onnx_node_end(w))
#define NODE_OF(w, op, output, a, b, c, ...) node(w, op, output, a, b, c)

static void floats(struct onnx_writer *w, const char *name, size_t rank, const int64_t *dims, float offset, float size)
{
    static float data[MOST_FLOATS];
    struct ood_random random;
    size_t count = 1;
    for (size_t i = 0; i < rank; i++)
        count *= (size_t)dims[i];
    assert_true(count <= MOST_FLOATS);
    ood_random_seed(&random, (uint64_t)name[0] * 256 + (uint64_t)name[1]);
    for (size_t i = 0; i < count; i++)
        data[i] = offset + size * (float)ood_random_normal(&random);
    onnx_initialiser(w, name, ONNX_FLOAT, rank, dims, data, count * sizeof *data);
}

#define DIMS(...) sizeof((int64_t[]){ __VA_ARGS__ }) / sizeof(int64_t), (int64_t[]){ __VA_ARGS__ }
#define FLOATS(w, name, offset, size, ...) floats(w, name, DIMS(__VA_ARGS__), offset, size)
#define NUMBER(w, name, value) onnx_initialiser(w, name, ONNX_FLOAT, 0, (int64_t[]){ 0 }, (float[]){ value }, 4)

static void finish(struct onnx_writer *w, const char *output)
{
    onnx_output(w, output);
    onnx_model_end(w);
}

/* ---- the networks ---- */

static void padded_conv(struct onnx_writer *w, const char *automatic, float value, int64_t first, bool read_twice)
{
    onnx_model_begin(w, 11);
    onnx_input(w, "x", ONNX_FLOAT, DIMS(-1, 3, 9, 8));
    FLOATS(w, "w", 0, 1, 4, 3, 3, 3);
    onnx_initialiser(w, "p", ONNX_INT64, DIMS(8), (int64_t[]){ 0, first, 0, 1, 0, 0, 2, 1 }, 64);
    NUMBER(w, "v", value);
    NODE(w, "Pad", "padded", "x", "p", "v");
    node(w, "Conv", read_twice ? "c" : "y", "padded", first > 0 ? "w4" : "w", NULL);
    onnx_ints(w, "strides", (int64_t[]){ 2, 2 }, 2);
    if (automatic != NULL)
        onnx_string(w, "auto_pad", automatic);
    else
        onnx_ints(w, "pads", (int64_t[]){ 1, 0, 0, 1 }, 4);
    onnx_node_end(w);
    if (first > 0)
        FLOATS(w, "w4", 0, 1, 4, 4, 3, 3);
    if (read_twice) {
        NODE(w, "GlobalAveragePool", "q", "padded");
        onnx_initialiser(w, "s", ONNX_INT64, DIMS(1), (int64_t[]){ 1 }, 8);
        node(w, "ReduceMean", "m", "q", NULL, NULL);
        onnx_ints(w, "axes", (int64_t[]){ 1 }, 1);
        onnx_node_end(w);
        NODE(w, "Mul", "y", "c", "m");
    }
    finish(w, "y");
}
static void pad_before_conv(struct onnx_writer *w) { padded_conv(w, NULL, 0, 0, false); }
static void pad_before_valid_conv(struct onnx_writer *w) { padded_conv(w, "VALID", 0, 0, false); }
static void pad_before_same_conv(struct onnx_writer *w) { padded_conv(w, "SAME_UPPER", 0, 0, false); }
static void pad_by_one(struct onnx_writer *w) { padded_conv(w, NULL, 1, 0, false); }
static void pad_of_channels(struct onnx_writer *w) { padded_conv(w, NULL, 0, 1, false); }
static void pad_read_twice(struct onnx_writer *w) { padded_conv(w, NULL, 0, 0, true); }

/* A pool behind zeros: the average over them. */
static void padded_pool(struct onnx_writer *w, const char *op, int64_t own, int64_t counted, int64_t ceil_mode, int64_t pad)
{
    onnx_model_begin(w, 11);
    onnx_input(w, "x", ONNX_FLOAT, DIMS(-1, 3, 9, 8));
    FLOATS(w, "w", 0, 1, 4, 3, 1, 1);
    NODE(w, "Conv", "c", "x", "w");
    onnx_initialiser(w, "p", ONNX_INT64, DIMS(8), (int64_t[]){ 0, 0, pad, 1, 0, 0, 1, 1 }, 64);
    NUMBER(w, "v", 0);
    NODE(w, "Pad", "padded", "c", "p", "v");
    node(w, op, "y", "padded", NULL, NULL);
    onnx_ints(w, "kernel_shape", (int64_t[]){ 3, 3 }, 2);
    onnx_ints(w, "strides", (int64_t[]){ 2, 2 }, 2);
    onnx_ints(w, "pads", (int64_t[]){ own, 0, 0, own }, 4);
    if (counted >= 0)
        onnx_int(w, "count_include_pad", counted);
    if (ceil_mode > 0)
        onnx_int(w, "ceil_mode", ceil_mode);
    onnx_node_end(w);
    finish(w, "y");
}
static void pad_before_average(struct onnx_writer *w) { padded_pool(w, "AveragePool", 0, -1, 0, 1); }
static void pad_before_counting_average(struct onnx_writer *w) { padded_pool(w, "AveragePool", 1, 1, 0, 1); }
static void pad_before_padded_average(struct onnx_writer *w) { padded_pool(w, "AveragePool", 1, 0, 0, 1); }
static void pad_before_ceiling_average(struct onnx_writer *w) { padded_pool(w, "AveragePool", 0, 0, 1, 1); }
static void pad_as_large_as_the_average(struct onnx_writer *w) { padded_pool(w, "AveragePool", 0, 1, 0, 3); }
static void pad_before_maximum(struct onnx_writer *w) { padded_pool(w, "MaxPool", 0, -1, 0, 1); }

/* x · W, then GELU in one of the orders that exporters have. */
static void gelu(struct onnx_writer *w, int order, float root, bool read_elsewhere)
{
    onnx_model_begin(w, 13);
    onnx_input(w, "x", ONNX_FLOAT, DIMS(-1, 5, 12));
    FLOATS(w, "w", 0, 0.5f, 12, 20);
    FLOATS(w, "b", 0, 0.5f, 20);
    NUMBER(w, "root", order == 0 ? root : 1 / root);
    NUMBER(w, "one", 1);
    NUMBER(w, "half", 0.5f);
    NODE(w, "MatMul", "m", "x", "w");
    NODE(w, "Add", "h", "b", "m");
    if (order == 0)
        NODE(w, "Div", "t", "h", "root");
    else
        NODE(w, "Mul", "t", "root", "h");
    NODE(w, "Erf", "e", "t");
    NODE(w, "Add", "a", "e", "one");
    if (order == 0) {                        /* PyTorch */
        NODE(w, "Mul", "f", "h", "a");
        NODE(w, "Mul", "g", "f", "half");
    } else if (order == 1) {                 /* Keras: 0.5 · x first */
        NODE(w, "Mul", "f", "half", "h");
        NODE(w, "Mul", "g", "f", "a");
    } else {                                 /* the factor halved */
        NODE(w, "Mul", "f", "a", "half");
        NODE(w, "Mul", "g", "h", "f");
    }
    if (read_elsewhere)
        NODE(w, "Mul", "y", "g", "e");
    else
        NODE(w, "Neg", "y", "g");
    finish(w, "y");
}
static void gelu_torch(struct onnx_writer *w) { gelu(w, 0, sqrtf(2), false); }
static void gelu_keras(struct onnx_writer *w) { gelu(w, 1, sqrtf(2), false); }
static void gelu_halved(struct onnx_writer *w) { gelu(w, 2, sqrtf(2), false); }
static void gelu_of_another_root(struct onnx_writer *w) { gelu(w, 0, 1.5f, false); }
static void gelu_read_elsewhere(struct onnx_writer *w) { gelu(w, 0, sqrtf(2), true); }

struct norm { bool twice, product, scale, shift; int64_t axis; bool read_elsewhere; };

static void mean(struct onnx_writer *w, const char *output, const char *input, int64_t axis)
{
    node(w, "ReduceMean", output, input, NULL, NULL);
    onnx_ints(w, "axes", &axis, 1);
    onnx_node_end(w);
}

static void layer_norm(struct onnx_writer *w, const struct norm *norm)
{
    onnx_model_begin(w, 13);
    onnx_input(w, "x", ONNX_FLOAT, DIMS(-1, 7, 33));
    FLOATS(w, "s", 1, 0.2f, 33);
    FLOATS(w, "b", 0, 0.2f, 33);
    NUMBER(w, "two", 2);
    NUMBER(w, "epsilon", 1e-5f);
    NODE(w, "Relu", "r", "x");               /* no input of the network: memory is used again */
    mean(w, "m", "r", norm->axis);
    NODE(w, "Sub", "d", "r", "m");
    const char *other = "d";
    if (norm->twice) {
        mean(w, "m2", "r", norm->axis);
        NODE(w, "Sub", "d2", "r", "m2");
        other = "d2";
    }
    if (norm->product)
        NODE(w, "Mul", "q", other, other);
    else
        NODE(w, "Pow", "q", other, "two");
    mean(w, "v", "q", norm->axis);
    NODE(w, "Add", "e", "v", "epsilon");
    NODE(w, "Sqrt", "o", "e");
    const char *last = "n";
    NODE(w, "Div", "n", "d", "o");
    if (norm->scale) {
        NODE(w, "Mul", "scaled", "s", last);
        last = "scaled";
    }
    if (norm->shift) {
        NODE(w, "Add", "shifted", last, "b");
        last = "shifted";
    }
    if (norm->read_elsewhere)
        NODE(w, "Mul", "y", last, "o");
    else
        NODE(w, "Tanh", "y", last);
    finish(w, "y");
}
#define NORM(name, ...) static void name(struct onnx_writer *w) { layer_norm(w, &(struct norm){ __VA_ARGS__ }); }
NORM(norm_torch, .scale = true, .shift = true, .axis = -1)
NORM(norm_plain, .axis = 2)
NORM(norm_scaled, .scale = true, .product = true, .axis = -1)
NORM(norm_shifted, .shift = true, .axis = -1)
NORM(norm_twice, .twice = true, .scale = true, .shift = true, .axis = -1)
NORM(norm_of_rows, .axis = 1)
NORM(norm_read_elsewhere, .scale = true, .shift = true, .axis = -1, .read_elsewhere = true)

/* Heads of 8 out of 24 columns as PyTorch's MultiheadAttention writes them: one product, a Reshape, a Transpose, a Split. */
static void turned(struct onnx_writer *w, const char *output, const char *input, size_t rank, const int64_t *perm)
{
    node(w, "Transpose", output, input, NULL, NULL);
    onnx_ints(w, "perm", perm, rank);
    onnx_node_end(w);
}
#define TURNED(w, output, input, ...) turned(w, output, input, DIMS(__VA_ARGS__))

static void shaped(struct onnx_writer *w, const char *output, const char *input, size_t rank, const int64_t *dims)
{
    char name[32];
    snprintf(name, sizeof name, "shape_%s", output);
    onnx_initialiser(w, name, ONNX_INT64, 1, (int64_t[]){ (int64_t)rank }, dims, rank * sizeof *dims);
    NODE(w, "Reshape", output, input, name);
}
#define SHAPED(w, output, input, ...) shaped(w, output, input, DIMS(__VA_ARGS__))

/* q, k, v [N,3,T,8] of x [N,T,24], and the turned k, t. */
static void heads(struct onnx_writer *w, int64_t tokens)
{
    onnx_model_begin(w, 13);
    onnx_input(w, "x", ONNX_FLOAT, DIMS(-1, tokens, 24));
    FLOATS(w, "wi", 0, 0.3f, 24, 72);
    FLOATS(w, "wo", 0, 0.3f, 24, 24);
    FLOATS(w, "bi", 0, 1, 3, tokens, tokens);
    NODE(w, "MatMul", "h", "x", "wi");
    SHAPED(w, "s", "h", 0, tokens, 3, 3, 8);
    TURNED(w, "u", "s", 2, 0, 3, 1, 4);
    onnx_node_begin(w, "Split", "n_split", (const char *[]){ "u" }, 1, (const char *[]){ "q1", "k1", "v1" }, 3);
    onnx_int(w, "axis", 0);
    onnx_node_end(w);
    onnx_initialiser(w, "first", ONNX_INT64, DIMS(1), (int64_t[]){ 0 }, 8);
    NODE(w, "Squeeze", "q", "q1", "first");
    NODE(w, "Squeeze", "k", "k1", "first");
    NODE(w, "Squeeze", "v", "v1", "first");
    TURNED(w, "t", "k", 0, 1, 3, 2);
}

/* What the heads found, joined, times another matrix. */
static void joined(struct onnx_writer *w, const char *found, int64_t tokens)
{
    TURNED(w, "j", found, 0, 2, 1, 3);
    SHAPED(w, "r", "j", 0, tokens, 24);
    NODE(w, "MatMul", "y", "r", "wo");
    finish(w, "y");
}

static void softmax(struct onnx_writer *w, const char *output, const char *input, int64_t axis)
{
    node(w, "Softmax", output, input, NULL, NULL);
    onnx_int(w, "axis", axis);
    onnx_node_end(w);
}

enum { SCALED_SCORES, SCALED_Q, SCALED_K, BIAS, SCALE_BEHIND_BIAS, OTHER_AXIS, SCORES_READ, WEIGHTS_READ, BIAS_OF_ROWS };

static void attention(struct onnx_writer *w, int kind)
{
    const char *q = "q", *t = "t", *scores = "m";
    heads(w, 19);
    NUMBER(w, "root", sqrtf(8));
    NUMBER(w, "factor", 0.4f);
    FLOATS(w, "br", 0, 1, 19, 1);
    if (kind == SCALED_Q)
        NODE(w, "Div", "qs", "q", "root"), q = "qs";
    if (kind == SCALED_K)
        NODE(w, "Mul", "ks", "factor", "t"), t = "ks";
    NODE(w, "MatMul", "m", q, t);
    if (kind == SCALED_SCORES)
        NODE(w, "Div", "ms", "m", "root"), scores = "ms";
    if (kind == BIAS || kind == SCALE_BEHIND_BIAS)
        NODE(w, "Add", "mb", "bi", scores), scores = "mb";
    if (kind == BIAS_OF_ROWS)
        NODE(w, "Add", "mb", "br", scores), scores = "mb";
    if (kind == SCALE_BEHIND_BIAS)
        NODE(w, "Mul", "mm", "mb", "factor"), scores = "mm";
    softmax(w, "p", scores, kind == OTHER_AXIS ? 2 : -1);
    NODE(w, "MatMul", "a", "p", "v");
    if (kind == SCORES_READ || kind == WEIGHTS_READ)
        NODE(w, "MatMul", "b", kind == SCORES_READ ? "m" : "p", "a");
    joined(w, kind == SCORES_READ || kind == WEIGHTS_READ ? "b" : "a", 19);
}
#define ATTENTION(name, kind) static void name(struct onnx_writer *w) { attention(w, kind); }
ATTENTION(attention_scaled, SCALED_SCORES)
ATTENTION(attention_of_scaled_q, SCALED_Q)
ATTENTION(attention_of_scaled_k, SCALED_K)
ATTENTION(attention_biased, BIAS)
ATTENTION(attention_scaled_behind_bias, SCALE_BEHIND_BIAS)
ATTENTION(attention_along_another_axis, OTHER_AXIS)
ATTENTION(attention_scores_read, SCORES_READ)
ATTENTION(attention_weights_read, WEIGHTS_READ)
ATTENTION(attention_bias_of_rows, BIAS_OF_ROWS)

/* Swin: windows, each with its mask, which the scores are reshaped for. */
static void attention_of_windows(struct onnx_writer *w)
{
    heads(w, 16);
    NUMBER(w, "factor", 0.3f);
    FLOATS(w, "bm", 0, 1, 1, 4, 1, 4, 4);
    SHAPED(w, "qw", "q", -1, 3, 4, 8);
    SHAPED(w, "kw", "k", -1, 3, 4, 8);
    SHAPED(w, "vw", "v", -1, 3, 4, 8);
    FLOATS(w, "bp", 0, 1, 1, 3, 4, 4);
    NODE(w, "Mul", "qs", "qw", "factor");
    TURNED(w, "tw", "kw", 0, 1, 3, 2);
    NODE(w, "MatMul", "m", "qs", "tw");
    NODE(w, "Add", "mb", "m", "bp");
    SHAPED(w, "m5", "mb", -1, 4, 3, 4, 4);
    NODE(w, "Add", "m6", "m5", "bm");
    SHAPED(w, "m4", "m6", -1, 3, 4, 4);
    softmax(w, "p", "m4", 3);
    NODE(w, "MatMul", "a", "p", "vw");
    TURNED(w, "j", "a", 0, 2, 1, 3);
    SHAPED(w, "r", "j", -1, 16, 24);
    NODE(w, "MatMul", "y", "r", "wo");
    finish(w, "y");
}

/* MaxViT: Einsum takes K as it lies. */
static void attention_by_einsum(struct onnx_writer *w)
{
    heads(w, 7);
    node(w, "Einsum", "m", "q", "k", NULL);
    onnx_string(w, "equation", "bhid, bhjd -> bhij");
    onnx_node_end(w);
    softmax(w, "p", "m", -1);
    node(w, "Einsum", "a", "p", "v", NULL);
    onnx_string(w, "equation", "bhij, bhjd -> bhid");
    onnx_node_end(w);
    joined(w, "a", 7);
}

/* A batch norm between two Transposes, and parts of a value joined otherwise: by strides. */
static void views(struct onnx_writer *w)
{
    onnx_model_begin(w, 13);
    onnx_input(w, "x", ONNX_FLOAT, DIMS(-1, 9, 24));
    FLOATS(w, "w", 0, 0.3f, 24, 24);
    FLOATS(w, "g", 1, 0.1f, 24);
    FLOATS(w, "b", 0, 0.1f, 24);
    FLOATS(w, "m", 0, 0.1f, 24);
    FLOATS(w, "v", 2, 0.1f, 24);
    NODE(w, "MatMul", "h", "x", "w");
    TURNED(w, "t", "h", 0, 2, 1);
    onnx_node_begin(w, "BatchNormalization", "n_n", (const char *[]){ "t", "g", "b", "m", "v" }, 5, (const char *[]){ "n" }, 1);
    onnx_node_end(w);
    TURNED(w, "u", "n", 0, 2, 1);
    onnx_initialiser(w, "from", ONNX_INT64, DIMS(1), (int64_t[]){ 4 }, 8);
    onnx_initialiser(w, "to", ONNX_INT64, DIMS(1), (int64_t[]){ 9 }, 8);
    onnx_initialiser(w, "zero", ONNX_INT64, DIMS(1), (int64_t[]){ 0 }, 8);
    onnx_initialiser(w, "one", ONNX_INT64, DIMS(1), (int64_t[]){ 1 }, 8);
    onnx_node_begin(w, "Slice", "n_e", (const char *[]){ "u", "zero", "from", "one" }, 4, (const char *[]){ "e" }, 1);
    onnx_node_end(w);
    node(w, "Concat", "c", "n", "t", NULL);
    onnx_int(w, "axis", 2);
    onnx_node_end(w);
    TURNED(w, "d", "c", 0, 2, 1);
    NODE(w, "Relu", "e2", "e");
    node(w, "Concat", "y", "d", "e2", "u");
    onnx_int(w, "axis", 1);
    onnx_node_end(w);
    finish(w, "y");
}

/* NHWC to NCHW and back is no step; neither is the Conv's result as NHWC. */
static void transposed(struct onnx_writer *w)
{
    onnx_model_begin(w, 13);
    onnx_input(w, "x", ONNX_FLOAT, DIMS(-1, 3, 6, 5));
    FLOATS(w, "w", 0, 1, 8, 3, 3, 3);
    FLOATS(w, "v", 0, 1, 8, 8, 1, 1);
    FLOATS(w, "m", 0, 1, 8, 8);
    NODE(w, "Conv", "c", "x", "w");
    node(w, "Transpose", "t", "c", NULL, NULL);
    onnx_ints(w, "perm", (int64_t[]){ 0, 2, 3, 1 }, 4);
    onnx_node_end(w);
    NODE(w, "MatMul", "p", "t", "m");
    node(w, "Transpose", "u", "p", NULL, NULL);
    onnx_ints(w, "perm", (int64_t[]){ 0, 3, 1, 2 }, 4);
    onnx_node_end(w);
    NODE(w, "Conv", "d", "u", "v");
    NODE(w, "Add", "y", "d", "c");
    finish(w, "y");
}

static void reshape(struct onnx_writer *w, const char *output, const char *input, const char *name, size_t rank, const int64_t *dims)
{
    onnx_initialiser(w, name, ONNX_INT64, 1, (int64_t[]){ (int64_t)rank }, dims, rank * sizeof *dims);
    NODE(w, "Reshape", output, input, name);
}

static void transpose(struct onnx_writer *w, const char *output, const char *input, size_t rank, const int64_t *perm)
{
    node(w, "Transpose", output, input, NULL, NULL);
    onnx_ints(w, "perm", perm, rank);
    onnx_node_end(w);
}

enum halves { WHOLE, SPLIT, SLICES, UNEVEN, ONE_HALF, GATHERS };

static void take_halves(struct onnx_writer *w, const char *whole, enum halves halves, int64_t channels)
{
    const int64_t cut = halves == UNEVEN ? 1 : channels / 2;
    if (halves == SPLIT || halves == UNEVEN) {
        onnx_node_begin(w, "Split", "n_split", (const char *[]){ whole, "sizes" }, 2, (const char *[]){ "left", "right" }, 2);
        onnx_int(w, "axis", 1);
        onnx_node_end(w);
        onnx_initialiser(w, "sizes", ONNX_INT64, DIMS(2), (int64_t[]){ cut, channels - cut }, 16);
    } else if (halves == GATHERS) {
        onnx_initialiser(w, "zero", ONNX_INT64, 0, (int64_t[]){ 0 }, (int64_t[]){ 0 }, 8);
        onnx_initialiser(w, "minus", ONNX_INT64, 0, (int64_t[]){ 0 }, (int64_t[]){ -1 }, 8);
        NODE(w, "Gather", "left", whole, "zero");
        NODE(w, "Gather", "right", whole, "minus");
    } else {
        for (size_t i = 0; i < (halves == SLICES ? 2 : 1); i++) {
            const char *from = i == 0 ? "f0" : "f1", *to = i == 0 ? "t0" : "t1", *axis = i == 0 ? "a0" : "a1";
            onnx_initialiser(w, from, ONNX_INT64, DIMS(1), (int64_t[]){ i == 0 ? 0 : cut }, 8);
            onnx_initialiser(w, to, ONNX_INT64, DIMS(1), (int64_t[]){ i == 0 ? cut : INT64_MAX }, 8);
            onnx_initialiser(w, axis, ONNX_INT64, DIMS(1), (int64_t[]){ 1 }, 8);
            onnx_node_begin(w, "Slice", i == 0 ? "n_left" : "n_right", (const char *[]){ whole, from, to, axis }, 4,
                            (const char *[]){ i == 0 ? "left" : "right" }, 1);
            onnx_node_end(w);
        }
    }
}

/* ShuffleNet's: two Convs joined (or one), shuffled, halved, each half into a Conv of its own. `groups` 0: the form of [c,2,H·W]. */
static void shuffle(struct onnx_writer *w, int64_t channels, int64_t groups, bool joint, enum halves halves, bool read_between)
{
    onnx_model_begin(w, 13);
    onnx_input(w, "x", ONNX_FLOAT, DIMS(groups == 0 ? 1 : -1, 3, 6, 5));
    const int64_t own = joint ? channels / 2 : channels, each = channels / 2, first = halves == UNEVEN ? 1 : each;
    FLOATS(w, "aw", 0, 1, own, 3, 3, 3);
    NODE(w, "Conv", "a", "x", "aw");
    const char *whole = "a";
    if (joint) {
        FLOATS(w, "bw", 0, 1, own, 3, 3, 3);
        NODE(w, "Conv", "b", "x", "bw");
        onnx_node_begin(w, "Concat", "n_j", (const char *[]){ "a", "b" }, 2, (const char *[]){ "j" }, 1);
        onnx_int(w, "axis", 1);
        onnx_node_end(w);
        whole = "j";
    }
    if (groups == 0) {
        reshape(w, "r", whole, "seen", DIMS(each, 2, 12));
        transpose(w, "t", "r", 3, (int64_t[]){ 1, 0, 2 });
        reshape(w, "u", "t", "back", DIMS(2, -1, each, 4, 3));
    } else {
        reshape(w, "r", whole, "seen", DIMS(-1, groups, channels / groups, 4, 3));
        transpose(w, "t", "r", 5, (int64_t[]){ 0, 2, 1, 3, 4 });
        reshape(w, "u", "t", "back", DIMS(-1, channels, 4, 3));
    }
    if (halves == WHOLE) {
        FLOATS(w, "cw", 0, 1, 8, channels, 1, 1);
        NODE(w, "Conv", "c", "u", "cw");
    } else {
        take_halves(w, "u", halves, channels);
        FLOATS(w, "cw", 0, 1, 8, first, 1, 1);
        NODE(w, "Conv", "c", "left", "cw");
    }
    if (halves != WHOLE && halves != ONE_HALF) {
        FLOATS(w, "dw", 0, 1, 8, channels - first, 1, 1);
        NODE(w, "Conv", "d", "right", "dw");
        NODE(w, "Add", read_between ? "e" : "y", "c", "d");
    } else {
        NODE(w, "Neg", read_between ? "e" : "y", "c");
    }
    if (read_between) {
        node(w, "ReduceMean", "m", "u", NULL, NULL);
        onnx_ints(w, "axes", (int64_t[]){ 1 }, 1);
        onnx_node_end(w);
        NODE(w, "Add", "y", "e", "m");
    }
    finish(w, "y");
}
static void shuffled(struct onnx_writer *w) { shuffle(w, 12, 2, false, WHOLE, false); }
static void shuffled_in_threes(struct onnx_writer *w) { shuffle(w, 12, 3, true, SPLIT, false); }
static void shuffled_joint(struct onnx_writer *w) { shuffle(w, 70, 2, true, WHOLE, false); }
static void shuffled_and_split(struct onnx_writer *w) { shuffle(w, 44, 2, true, SPLIT, false); }
static void shuffled_and_sliced(struct onnx_writer *w) { shuffle(w, 68, 2, true, SLICES, false); }
static void shuffled_odd_halves(struct onnx_writer *w) { shuffle(w, 6, 2, true, SPLIT, false); }
static void shuffled_unevenly_split(struct onnx_writer *w) { shuffle(w, 12, 2, true, UNEVEN, false); }
static void shuffled_one_half(struct onnx_writer *w) { shuffle(w, 12, 2, true, ONE_HALF, false); }
static void shuffled_read_between(struct onnx_writer *w) { shuffle(w, 12, 2, true, SPLIT, true); }
static void shuffled_pairs(struct onnx_writer *w) { shuffle(w, 12, 6, true, SPLIT, false); }
static void shuffled_gathered(struct onnx_writer *w) { shuffle(w, 44, 0, true, GATHERS, false); }
static void shuffled_gathered_odd(struct onnx_writer *w) { shuffle(w, 6, 0, true, GATHERS, false); }

/* Not the channels are turned. */
static void turned_rows(struct onnx_writer *w)
{
    onnx_model_begin(w, 13);
    onnx_input(w, "x", ONNX_FLOAT, DIMS(-1, 3, 6, 5));
    FLOATS(w, "aw", 0, 1, 12, 3, 3, 3);
    FLOATS(w, "cw", 0, 1, 8, 12, 1, 1);
    NODE(w, "Conv", "a", "x", "aw");
    reshape(w, "r", "a", "seen", DIMS(-1, 2, 6, 4, 3));
    transpose(w, "t", "r", 5, (int64_t[]){ 0, 1, 2, 4, 3 });
    reshape(w, "u", "t", "back", DIMS(-1, 12, 4, 3));
    NODE(w, "Conv", "y", "u", "cw");
    finish(w, "y");
}

/* A neck: a map of 8x6 pixels, and one of 4x3 that is enlarged, into one 1x1 convolution; what differs between the cases. */
struct neck { int64_t channels; size_t place, others; bool sizes, cubic, uneven, read_elsewhere, twice, wide, empty; int64_t stride; };

static void neck(struct onnx_writer *w, struct neck n)
{
    const char *parts[3] = { "a", "a2", "a2" };
    const bool alone = n.others == 0;
    const int64_t joined = n.channels + (n.empty ? 0 : 10 * (int64_t)n.others);
    onnx_model_begin(w, 13);
    onnx_input(w, "x", ONNX_FLOAT, DIMS(-1, 3, 8, 6));
    FLOATS(w, "aw", 0, 1, 10, 3, 1, 1);
    FLOATS(w, "bw", 0, 1, 10, 3, 1, 1);
    FLOATS(w, "sw", 0, 1, n.channels, 3, 1, 1);
    FLOATS(w, "cw", 0, 0.2f, 7, joined, 1 + n.wide, 1 + n.wide);
    FLOATS(w, "cb", 0, 1, 7);
    onnx_initialiser(w, "scales", ONNX_FLOAT, DIMS(4), (float[]){ 1, 1, 2, n.uneven ? 1 : 2 }, 16);
    onnx_initialiser(w, "sizes", ONNX_INT64, DIMS(4), (int64_t[]){ 0, n.channels, 8, 6 }, 32);
    if (n.empty) {
        onnx_initialiser(w, "none", ONNX_INT64, DIMS(1), (int64_t[]){ 0 }, 8);
        onnx_initialiser(w, "one", ONNX_INT64, DIMS(1), (int64_t[]){ 1 }, 8);
        onnx_node_begin(w, "Slice", "n_a", (const char *[]){ "x", "none", "none", "one" }, 4, (const char *[]){ "a" }, 1);
        onnx_node_end(w);
    } else if (n.others > 0) {
        NODE(w, "Conv", "a", "x", "aw");
    }
    if (n.others > 1)
        NODE(w, "Conv", "a2", "x", "bw");
    node(w, "Conv", "s", "x", "sw", NULL);
    onnx_ints(w, "strides", (int64_t[]){ 2, n.uneven ? 1 : 2 }, 2);
    onnx_node_end(w);
    if (n.sizes) {
        NODE(w, "Shape", "shape", "x");
        onnx_initialiser(w, "zero", ONNX_INT64, DIMS(1), (int64_t[]){ 0 }, 8);
        onnx_initialiser(w, "rest", ONNX_INT64, DIMS(3), (int64_t[]){ n.channels, 8, 6 }, 24);
        NODE(w, "Gather", "pictures", "shape", "zero");
        onnx_node_begin(w, "Concat", "n_all", (const char *[]){ "pictures", "rest" }, 2, (const char *[]){ "all" }, 1);
        onnx_int(w, "axis", 0);
        onnx_node_end(w);
    }
    onnx_node_begin(w, "Resize", "n_up", (const char *[]){ "s", "", n.sizes ? "" : "scales", "all" }, n.sizes ? 4 : 3, (const char *[]){ "up" }, 1);
    onnx_string(w, "mode", n.cubic ? "cubic" : "linear");
    onnx_node_end(w);
    parts[2] = parts[n.place];
    parts[n.place] = "up";
    if (n.others == 1)
        parts[1 - n.place] = "a";
    if (n.others == 2 && n.place < 2)
        parts[2] = n.place == 0 ? "a" : "a2";
    if (!alone) {
        onnx_node_begin(w, "Concat", "n_join", parts, n.others + 1, (const char *[]){ "join" }, 1);
        onnx_int(w, "axis", 1);
        onnx_node_end(w);
    }
    const char *join = alone ? "up" : "join";
    node(w, "Conv", "c", join, "cw", "cb");
    onnx_ints(w, "strides", (int64_t[]){ n.stride, n.stride }, 2);
    onnx_node_end(w);
    NODE(w, "Relu", n.twice || n.read_elsewhere ? "r" : "y", "c");
    if (n.twice) {
        FLOATS(w, "dw", 0, 0.2f, 7, joined, 1, 1);
        NODE(w, "Conv", "d", join, "dw");
        NODE(w, "Sigmoid", "e", "d");
        NODE(w, "Mul", "g", "d", "e");
        NODE(w, "Add", "y", "r", "g");
    }
    if (n.read_elsewhere) {
        node(w, "ReduceMean", "m", join, NULL, NULL);
        onnx_ints(w, "axes", (int64_t[]){ 1 }, 1);
        onnx_node_end(w);
        NODE(w, "Mul", "y", "r", "m");
    }
    finish(w, "y");
}
static void neck_first(struct onnx_writer *w) { neck(w, (struct neck){ 40, .others = 1, .place = 0, .stride = 1 }); }
static void neck_last(struct onnx_writer *w) { neck(w, (struct neck){ 32, .others = 1, .place = 1, .stride = 1 }); }
static void neck_between(struct onnx_writer *w) { neck(w, (struct neck){ 33, .others = 2, .place = 1, .stride = 1, .cubic = true }); }
static void neck_of_sizes(struct onnx_writer *w) { neck(w, (struct neck){ 40, .others = 2, .place = 2, .stride = 1, .sizes = true }); }
static void neck_alone(struct onnx_writer *w) { neck(w, (struct neck){ 40, .stride = 1 }); }
static void neck_uneven(struct onnx_writer *w) { neck(w, (struct neck){ 40, .others = 1, .stride = 1, .uneven = true }); }
static void neck_read_twice(struct onnx_writer *w) { neck(w, (struct neck){ 40, .others = 1, .stride = 1, .twice = true }); }
static void neck_read_elsewhere(struct onnx_writer *w) { neck(w, (struct neck){ 40, .others = 1, .stride = 1, .read_elsewhere = true }); }
static void neck_beside_nothing(struct onnx_writer *w) { neck(w, (struct neck){ 40, .others = 1, .stride = 1, .empty = true }); }
static void neck_narrow(struct onnx_writer *w) { neck(w, (struct neck){ 31, .others = 1, .stride = 1 }); }
static void neck_strided(struct onnx_writer *w) { neck(w, (struct neck){ 40, .others = 1, .stride = 2 }); }
static void neck_of_windows(struct onnx_writer *w) { neck(w, (struct neck){ 40, .others = 1, .stride = 1, .wide = true }); }

/* ---- comparing ---- */

static struct ood_model *compile(const struct onnx_writer *w, const char *name, unsigned passes)
{
    struct ood_error err = { 0 };
    const struct ood_bytes bytes = { w->data, w->size };
    struct ood_model *model = ood_model_new(&bytes, &(struct ood_model_options){ .operators = ood_op_table, .no_taps = true, .passes = passes }, &err);
    if (model == NULL)
        fail_msg("%s: %s", name, err.message);
    return model;
}

/* The operators of the steps for one picture, as "Conv Add"; steps of the engine's own (layouts) left out. */
static void list_steps(const struct ood_model *model, char *text, size_t size)
{
    text[0] = '\0';
    for (size_t i = 0; i < ood_model_step_count(model, 1); i++) {
        const struct ood_step_info step = ood_model_step(model, 1, i);
        const size_t used = strlen(text);
        if (step.op[0] != '\0')
            snprintf(text + used, size - used, "%s%s", used > 0 ? " " : "", step.op);
    }
}

static float *outputs(struct ood_model *model, size_t batch, size_t *count)
{
    struct ood_error err = { 0 };
    struct ood_random random;
    struct ood_run *run = ood_run_new(model, &err);
    assert_non_null(run);
    const struct ood_shape in = ood_model_input_shape(model, 0), out = ood_model_output_shape(model, 0);
    const struct ood_shape in_bound = ood_shape_bind(&in, batch), out_bound = ood_shape_bind(&out, batch);
    size_t floats_in;
    assert_true(ood_shape_count(&in_bound, &floats_in) && ood_shape_count(&out_bound, count));
    float *input = ood_run_input(run, batch, 0), *copy = ood_new_array(float, *count, &err);
    assert_non_null(copy);
    ood_random_seed(&random, 3);
    for (size_t i = 0; i < floats_in; i++)
        input[i] = (float)ood_random_normal(&random);
    ood_run_execute(run, batch);
    memcpy(copy, ood_run_output(run, batch, 0), *count * sizeof *copy);
    ood_run_free(run);
    return copy;
}

static void check_fusion(const char *name, void (*make)(struct onnx_writer *w), const char *expected)
{
    struct onnx_writer w = { 0 };
    char text[400];
    make(&w);
    struct ood_model *plain = compile(&w, name, OOD_PASS_NONE), *fused = compile(&w, name, 0);
    list_steps(fused, text, sizeof text);
    if (strcmp(text, expected) != 0)
        fail_msg("%s: \"%s\", expected \"%s\"", name, text, expected);
    for (size_t batch = 1; batch <= 3; batch += 2) {
        size_t count, again;
        float *a = outputs(plain, batch, &count), *b = outputs(fused, batch, &again);
        double most = 0;
        assert_int_equal(count, again);
        for (size_t i = 0; i < count; i++)
            most = fmax(most, fabs((double)a[i]));
        for (size_t i = 0; i < count; i++)
            if (!(fabs((double)a[i] - (double)b[i]) <= 2e-6 * most))
                fail_msg("%s, batch %zu, element %zu: %.9g, without passes %.9g", name, batch, i, (double)b[i], (double)a[i]);
        ood_free(a);
        ood_free(b);
    }
    ood_model_free(plain);
    ood_model_free(fused);
    onnx_free(&w);
}

static void fusions_keep_the_result(void **state)
{
    static const struct { const char *name; void (*make)(struct onnx_writer *w); const char *steps; } cases[] = {
#define CASE(name, steps) { #name, name, steps }
        CASE(pad_before_conv, "Conv"),
        CASE(pad_before_valid_conv, "Conv"),
        CASE(pad_before_same_conv, "Pad Conv"),
        CASE(pad_by_one, "Pad Conv"),
        CASE(pad_of_channels, "Pad Conv"),
        CASE(pad_read_twice, "Pad Conv GlobalAveragePool ReduceMean Mul"),
        CASE(pad_before_average, "Conv AveragePool"),
        CASE(pad_before_counting_average, "Conv AveragePool"),
        CASE(pad_before_padded_average, "Conv Pad AveragePool"),
        CASE(pad_before_ceiling_average, "Conv Pad AveragePool"),
        CASE(pad_as_large_as_the_average, "Conv Pad AveragePool"),
        CASE(pad_before_maximum, "Conv Pad MaxPool"),
        CASE(gelu_torch, "MatMul Neg"),
        CASE(gelu_keras, "MatMul Neg"),
        CASE(gelu_halved, "MatMul Neg"),
        CASE(gelu_of_another_root, "MatMul Div Erf Add Mul Mul Neg"),
        CASE(gelu_read_elsewhere, "MatMul Div Erf Add Mul Mul Mul"),
        CASE(norm_torch, "Relu LayerNormalization Tanh"),
        CASE(norm_plain, "Relu LayerNormalization Tanh"),
        CASE(norm_scaled, "Relu LayerNormalization Tanh"),
        CASE(norm_shifted, "Relu LayerNormalization Tanh"),
        CASE(norm_twice, "Relu LayerNormalization Tanh"),
        CASE(norm_of_rows, "Relu ReduceMean Sub Pow ReduceMean Add Sqrt Div Tanh"),
        CASE(norm_read_elsewhere, "Relu ReduceMean Sub Pow ReduceMean Add Sqrt Div Mul Add Mul"),
        CASE(transposed, "Conv MatMul Conv"),
        CASE(shuffled, "Conv ChannelShuffle Conv Neg"),
        CASE(shuffled_in_threes, "Conv Conv Concat ChannelShuffle Split Conv Split Conv"),
        CASE(shuffled_joint, "Conv Conv ChannelShuffle Conv Neg"),
        CASE(shuffled_and_split, "Conv Conv ChannelShuffle Conv Conv"),
        CASE(shuffled_and_sliced, "Conv Conv ChannelShuffle Conv Conv"),
        CASE(shuffled_odd_halves, "Conv Conv ChannelShuffle Split Conv Split Conv"),
        CASE(shuffled_unevenly_split, "Conv Conv ChannelShuffle Split Conv Split Conv"),
        CASE(shuffled_one_half, "Conv Conv ChannelShuffle Slice Conv Neg"),
        CASE(shuffled_read_between, "Conv Conv ChannelShuffle Split Conv Split Conv ReduceMean Add"),
        CASE(shuffled_pairs, "Conv Conv ChannelShuffle Conv Conv"),
        CASE(shuffled_gathered, "Conv Conv ChannelShuffle Conv Conv"),
        CASE(shuffled_gathered_odd, "Conv Conv Concat ChannelShuffle Conv Conv"),
        CASE(turned_rows, "Conv Transpose Conv"),
        CASE(attention_scaled, "MatMul Attention MatMul"),
        CASE(attention_of_scaled_q, "MatMul Attention MatMul"),
        CASE(attention_of_scaled_k, "MatMul Attention MatMul"),
        CASE(attention_biased, "MatMul Attention MatMul"),
        CASE(attention_of_windows, "MatMul Squeeze Squeeze Squeeze Attention MatMul"),
        CASE(attention_by_einsum, "MatMul Attention MatMul"),
        CASE(attention_scaled_behind_bias, "MatMul Squeeze Transpose MatMul Add Mul Softmax Squeeze MatMul Transpose MatMul"),
        CASE(attention_along_another_axis, "MatMul Squeeze Transpose MatMul Softmax Squeeze MatMul Transpose MatMul"),
        CASE(attention_scores_read, "MatMul Squeeze Transpose MatMul Softmax Squeeze MatMul MatMul Transpose MatMul"),
        CASE(attention_weights_read, "MatMul Squeeze Transpose MatMul Softmax Squeeze MatMul MatMul Transpose MatMul"),
        CASE(attention_bias_of_rows, "MatMul Squeeze Transpose MatMul Add Softmax Squeeze MatMul Transpose MatMul"),
        CASE(neck_first, "Conv Conv Conv Resize Resize Conv"),
        CASE(neck_last, "Conv Conv Conv Resize Resize Conv"),
        CASE(neck_between, "Conv Conv Conv Concat Conv Resize Resize Conv"),
        CASE(neck_of_sizes, "Conv Conv Conv Concat Conv Resize Resize Conv"),
        CASE(neck_alone, "Conv Conv Resize Resize Relu"),
        CASE(neck_uneven, "Conv Conv Conv Resize Conv"),
        CASE(neck_read_twice, "Conv Conv Conv Resize Resize Conv Conv Resize Resize Conv Conv"),
        CASE(neck_read_elsewhere, "Conv Conv Resize Resize Concat Conv Resize Resize Conv ReduceMean Mul"),
        CASE(neck_beside_nothing, "Conv Resize Resize Concat Conv"),
        CASE(neck_narrow, "Conv Conv Resize Resize Concat Conv"),
        CASE(neck_strided, "Conv Conv Resize Resize Concat Conv"),
        CASE(neck_of_windows, "Conv Conv Resize Resize Concat Conv"),
        CASE(views, "MatMul BatchNormalization Concat Relu Concat"),
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        check_fusion(cases[i].name, cases[i].make, cases[i].steps);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fusions_keep_the_result),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
