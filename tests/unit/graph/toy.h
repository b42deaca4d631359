/* A few operators in the plainest form, and an interpreter for graphs of them: the reader, passes and taps are tested
 * without the engine's own operators, and a graph must compute the same before and after a pass. */
#ifndef OOD_TESTS_TOY_H
#define OOD_TESTS_TOY_H

#include <math.h>

#include "check.h"
#include "graph/graph_internal.h"
#include "onnx_writer.h"

static inline const struct ood_shape *toy_shape(const struct ood_graph *graph, const struct ood_node *node, size_t i)
{
    return &ood_node_input(graph, node, i)->shape;
}

static inline bool toy_same(struct ood_graph *graph, const struct ood_node *node, struct ood_error *err)
{
    const struct ood_value *in = ood_node_input(graph, node, 0);
    struct ood_shape shape = in->shape;
    return ood_graph_set_output(graph, node, 0, in->type, &shape, err);
}

static inline bool toy_broadcast(struct ood_graph *graph, const struct ood_node *node, struct ood_error *err)
{
    struct ood_shape shape;
    if (!ood_shape_broadcast(toy_shape(graph, node, 0), toy_shape(graph, node, 1), &shape))
        return ood_node_fail(node, err, OOD_INVALID, "inputs do not broadcast");
    return ood_graph_set_output(graph, node, 0, ood_node_input(graph, node, 0)->type, &shape, err);
}

static inline bool toy_conv_shape(struct ood_graph *graph, const struct ood_node *node, struct ood_error *err)
{
    struct ood_shape shape = *toy_shape(graph, node, 0), weights = *toy_shape(graph, node, 1);
    int64_t pad = ood_node_int(node, "toy_pad", 0);
    if (shape.rank != 4 || weights.rank != 4)
        return ood_node_fail(node, err, OOD_UNSUPPORTED, "only two dimensions");
    shape.dims[1] = weights.dims[0];
    for (size_t i = 2; i < 4; i++)
        shape.dims[i] += 2 * pad - weights.dims[i] + 1;
    return ood_graph_set_output(graph, node, 0, OOD_FLOAT32, &shape, err);
}

static inline bool toy_matmul_shape(struct ood_graph *graph, const struct ood_node *node, struct ood_error *err)
{
    struct ood_shape shape = *toy_shape(graph, node, 0), weights = *toy_shape(graph, node, 1);
    if (shape.rank < 2 || weights.rank != 2)
        return ood_node_fail(node, err, OOD_UNSUPPORTED, "only matrices");
    shape.dims[shape.rank - 1] = weights.dims[ood_node_int(node, "transB", 0) != 0 ? 0 : 1];
    return ood_graph_set_output(graph, node, 0, OOD_FLOAT32, &shape, err);
}

static inline bool toy_pool_shape(struct ood_graph *graph, const struct ood_node *node, struct ood_error *err)
{
    struct ood_shape shape = *toy_shape(graph, node, 0);
    for (size_t i = 2; i < shape.rank; i++)
        shape.dims[i] = 1;
    return ood_graph_set_output(graph, node, 0, OOD_FLOAT32, &shape, err);
}

/* Reshape by a constant: 0 copies a dimension, as in ONNX; no -1. */
static inline bool toy_reshape_shape(struct ood_graph *graph, const struct ood_node *node, struct ood_error *err)
{
    const struct ood_tensor *target = ood_node_input(graph, node, 1)->constant;
    if (target == NULL || target->type != OOD_INT64)
        return ood_node_fail(node, err, OOD_UNSUPPORTED, "the shape is not known at load");
    struct ood_shape shape = { .rank = target->count };
    for (size_t i = 0; i < shape.rank; i++)
        shape.dims[i] = ood_i64(target)[i] == 0 ? toy_shape(graph, node, 0)->dims[i] : ood_i64(target)[i];
    return ood_graph_set_output(graph, node, 0, OOD_FLOAT32, &shape, err);
}

static inline bool toy_shape_shape(struct ood_graph *graph, const struct ood_node *node, struct ood_error *err)
{
    const struct ood_shape in = *toy_shape(graph, node, 0), shape = { .rank = 1, .dims = { (int64_t)in.rank } };
    struct ood_tensor *tensor = ood_tensor_new(OOD_INT64, &shape, err);
    if (tensor == NULL)
        return false;
    memcpy(tensor->data, in.dims, in.rank * sizeof in.dims[0]);
    return ood_graph_set_constant(graph, node->outputs[0], tensor, err);
}

static inline struct ood_tensor *toy_add_evaluate(const struct ood_graph *graph, const struct ood_node *node,
                                                  const struct ood_tensor *const *inputs, struct ood_error *err)
{
    (void)graph;
    if (inputs[0]->count != inputs[1]->count || inputs[0]->type == OOD_BOOL) {
        ood_node_fail(node, err, OOD_UNSUPPORTED, "adds tensors of one size only");
        return NULL;
    }
    struct ood_tensor *sum = ood_tensor_copy(inputs[0], err);
    for (size_t i = 0; sum != NULL && i < sum->count; i++) {
        if (sum->type == OOD_FLOAT32)
            ood_f32(sum)[i] += ood_f32(inputs[1])[i];
        else
            ood_i64(sum)[i] += ood_i64(inputs[1])[i];
    }
    return sum;
}

static inline struct ood_tensor *toy_identity_evaluate(const struct ood_graph *graph, const struct ood_node *node,
                                                       const struct ood_tensor *const *inputs, struct ood_error *err)
{
    (void)graph;
    (void)node;
    return ood_tensor_copy(inputs[0], err);
}

static inline bool toy_relu_post(const struct ood_graph *graph, const struct ood_node *node, struct ood_post *post)
{
    (void)graph;
    (void)node;
    post->kind = OOD_POST_RELU;
    return true;
}

static inline bool toy_leaky_post(const struct ood_graph *graph, const struct ood_node *node, struct ood_post *post)
{
    (void)graph;
    post->kind = OOD_POST_LEAKY_RELU;
    post->alpha = ood_node_float(node, "alpha", 0.01f);
    return true;
}

static inline bool toy_cast_identity(const struct ood_graph *graph, const struct ood_node *node)
{
    (void)graph;
    return ood_node_int(node, "to", 0) == ONNX_FLOAT;
}

static inline bool toy_group_check(const struct ood_graph *graph, const struct ood_node *node, struct ood_error *err)
{
    (void)graph;
    return ood_node_int(node, "group", 1) > 0 || ood_node_fail(node, err, OOD_INVALID, "group must be positive");
}

#define TOY_ROW(label, op, ...) static const struct ood_op toy_##label = { .name = op, .since = 7, __VA_ARGS__ }
TOY_ROW(conv, "Conv", .least_inputs = 2, .most_inputs = 3, .traits = OOD_OP_LINEAR | OOD_OP_TAKES_POSTS, .check = toy_group_check, .shape = toy_conv_shape);
TOY_ROW(gemm, "Gemm", .least_inputs = 2, .most_inputs = 3, .traits = OOD_OP_LINEAR | OOD_OP_TAKES_POSTS, .shape = toy_matmul_shape);
TOY_ROW(matmul, "MatMul", .least_inputs = 2, .most_inputs = 2, .traits = OOD_OP_LINEAR | OOD_OP_TAKES_POSTS, .shape = toy_matmul_shape);
TOY_ROW(norm, "BatchNormalization", .least_inputs = 5, .most_inputs = 5, .traits = OOD_OP_BATCH_NORM | OOD_OP_TAKES_POSTS, .shape = toy_same);
TOY_ROW(add, "Add", .least_inputs = 2, .most_inputs = 2, .traits = OOD_OP_ADD | OOD_OP_TAKES_POSTS, .shape = toy_broadcast, .evaluate = toy_add_evaluate);
TOY_ROW(relu, "Relu", .least_inputs = 1, .most_inputs = 1, .shape = toy_same, .as_post = toy_relu_post);
TOY_ROW(leaky, "LeakyRelu", .least_inputs = 1, .most_inputs = 1, .shape = toy_same, .as_post = toy_leaky_post);
TOY_ROW(softmax, "Softmax", .least_inputs = 1, .most_inputs = 1, .traits = OOD_OP_SOFTMAX, .shape = toy_same);
TOY_ROW(identity, "Identity", .least_inputs = 1, .most_inputs = 1, .traits = OOD_OP_IDENTITY, .shape = toy_same, .evaluate = toy_identity_evaluate);
TOY_ROW(dropout, "Dropout", .least_inputs = 1, .most_inputs = 3, .traits = OOD_OP_IDENTITY, .shape = toy_same);
TOY_ROW(cast, "Cast", .least_inputs = 1, .most_inputs = 1, .shape = toy_same, .identity = toy_cast_identity);
TOY_ROW(reshape, "Reshape", .least_inputs = 2, .most_inputs = 2, .traits = OOD_OP_RESHAPE, .shape = toy_reshape_shape);
TOY_ROW(pool, "GlobalAveragePool", .least_inputs = 1, .most_inputs = 1, .traits = OOD_OP_POOL_GLOBAL, .shape = toy_pool_shape);
TOY_ROW(shape_of, "Shape", .least_inputs = 1, .most_inputs = 1, .shape = toy_shape_shape);
static const struct ood_op toy_old = { .name = "Upsample", .since = 7, .until = 9, .least_inputs = 1, .most_inputs = 1, .shape = toy_same };

static const struct ood_op *const toy_table[] = { &toy_conv, &toy_gemm, &toy_matmul, &toy_norm, &toy_add, &toy_relu, &toy_leaky,
    &toy_softmax, &toy_identity, &toy_dropout, &toy_cast, &toy_reshape, &toy_pool, &toy_shape_of, &toy_old, NULL };

/* ---- writing ---- */

#define NAMES(...) (const char *const[]){ __VA_ARGS__ }, sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(char *)
#define DIMS(...) sizeof((int64_t[]){ __VA_ARGS__ }) / sizeof(int64_t), (int64_t[]){ __VA_ARGS__ }

/* A node of one output, named after it; attributes may follow until toy_end. */
#define toy_begin(w, op, output, ...) onnx_node_begin(w, op, "n_" output, NAMES(__VA_ARGS__), (const char *const[]){ output }, 1)
#define toy_end(w) onnx_node_end(w)
#define toy_node(w, op, output, ...) (toy_begin(w, op, output, __VA_ARGS__), toy_end(w))

/* Weights that look random and are the same everywhere. */
static inline float toy_number(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (float)((int64_t)(*state >> 40) - (1 << 23)) / (float)(1 << 23);
}

static inline void toy_weights(struct onnx_writer *w, const char *name, size_t rank, const int64_t *dims, float least)
{
    float data[4096];
    size_t count = 1;
    uint64_t state = 7;
    for (const char *c = name; *c != '\0'; c++)
        state = state * 31 + (unsigned char)*c;
    for (size_t i = 0; i < rank; i++)
        count *= (size_t)dims[i];
    assert_true(count <= sizeof data / sizeof data[0]);
    for (size_t i = 0; i < count; i++)
        data[i] = least >= 0 ? least + fabsf(toy_number(&state)) : toy_number(&state);
    onnx_initialiser(w, name, ONNX_FLOAT, rank, dims, data, count * sizeof data[0]);
}

static inline struct ood_graph *toy_read(struct onnx_writer *w)
{
    struct ood_error err = { 0 };
    struct ood_bytes bytes = { w->data, w->size };
    struct ood_graph_options options = { .operators = toy_table };
    struct ood_graph *graph = ood_graph_read(&bytes, &options, &err);
    if (graph == NULL)
        fail_msg("%s: %s", ood_code_name(err.code), err.message);
    return graph;
}

/* ---- running ---- */

#define TOY_BATCH 2

struct toy_run { struct ood_shape *shapes; double **data; size_t count; };

static inline size_t toy_elements(const struct ood_shape *shape)
{
    size_t count = 1;
    for (size_t i = 0; i < shape->rank; i++)
        count *= (size_t)shape->dims[i];
    return count;
}

/* Where element i of `shape` reads in a tensor broadcast to it. */
static inline size_t toy_place(const struct ood_shape *shape, const struct ood_shape *from, size_t i)
{
    size_t place = 0, stride = 1;
    for (size_t k = shape->rank; k-- > 0;) {
        size_t at = i % (size_t)shape->dims[k];
        i /= (size_t)shape->dims[k];
        if (k + from->rank < shape->rank)
            continue;
        size_t dim = (size_t)from->dims[k + from->rank - shape->rank];
        place += dim == 1 ? 0 : at * stride;
        stride *= dim;
    }
    return place;
}

static inline double toy_conv_at(const struct toy_run *run, const struct ood_node *node, const struct ood_shape *out, size_t i)
{
    const struct ood_shape *in = &run->shapes[node->inputs[0]], *weights = &run->shapes[node->inputs[1]];
    size_t W = (size_t)out->dims[3], H = (size_t)out->dims[2], O = (size_t)out->dims[1], I = (size_t)weights->dims[1];
    size_t x = i % W, y = i / W % H, o = i / W / H % O, n = i / W / H / O, group = (size_t)ood_node_int(node, "group", 1);
    int64_t pad = ood_node_int(node, "toy_pad", 0);
    double sum = 0;
    for (size_t c = 0; c < I; c++)
        for (int64_t ky = 0; ky < weights->dims[2]; ky++)
            for (int64_t kx = 0; kx < weights->dims[3]; kx++) {
                int64_t iy = (int64_t)y + ky - pad, ix = (int64_t)x + kx - pad;
                if (iy < 0 || ix < 0 || iy >= in->dims[2] || ix >= in->dims[3])
                    continue;
                size_t channel = o / (O / group) * I + c;
                size_t from = ((n * (size_t)in->dims[1] + channel) * (size_t)in->dims[2] + (size_t)iy) * (size_t)in->dims[3] + (size_t)ix;
                size_t by = ((o * I + c) * (size_t)weights->dims[2] + (size_t)ky) * (size_t)weights->dims[3] + (size_t)kx;
                sum += run->data[node->inputs[0]][from] * run->data[node->inputs[1]][by];
            }
    return sum + (node->input_count > 2 ? run->data[node->inputs[2]][o] : 0);
}

static inline double toy_matmul_at(const struct toy_run *run, const struct ood_node *node, const struct ood_shape *out, size_t i)
{
    const struct ood_shape *in = &run->shapes[node->inputs[0]];
    bool transposed = ood_node_int(node, "transB", 0) != 0;
    size_t depth = (size_t)in->dims[in->rank - 1], columns = (size_t)out->dims[out->rank - 1], row = i / columns, column = i % columns;
    double sum = 0;
    for (size_t k = 0; k < depth; k++)
        sum += run->data[node->inputs[0]][row * depth + k] *
               run->data[node->inputs[1]][transposed ? column * depth + k : k * columns + column];
    sum *= ood_node_float(node, "alpha", 1);
    if (node->input_count > 2)
        sum += ood_node_float(node, "beta", 1) * run->data[node->inputs[2]][toy_place(out, &run->shapes[node->inputs[2]], i)];
    return sum;
}

static inline double toy_norm_at(const struct toy_run *run, const struct ood_node *node, const struct ood_shape *out, size_t i)
{
    size_t inner = 1;
    for (size_t k = 2; k < out->rank; k++)
        inner *= (size_t)out->dims[k];
    size_t c = i / inner % (size_t)out->dims[1];
    double *const *d = run->data;
    return (d[node->inputs[0]][i] - d[node->inputs[3]][c]) / sqrt(d[node->inputs[4]][c] + ood_node_float(node, "epsilon", 1e-5f)) *
               d[node->inputs[1]][c] + d[node->inputs[2]][c];
}

static inline double toy_softmax_at(const struct toy_run *run, const struct ood_node *node, const struct ood_shape *out, size_t i)
{
    size_t last = (size_t)out->dims[out->rank - 1];
    double sum = 0;
    for (size_t k = 0; k < last; k++)
        sum += exp(run->data[node->inputs[0]][i / last * last + k]);
    return exp(run->data[node->inputs[0]][i]) / sum;
}

static inline double toy_element(const struct toy_run *run, const struct ood_node *node, const struct ood_shape *out, size_t i)
{
    const double *x = run->data[node->inputs[0]];
    if (node->op == &toy_conv)
        return toy_conv_at(run, node, out, i);
    if (node->op == &toy_gemm || node->op == &toy_matmul)
        return toy_matmul_at(run, node, out, i);
    if (node->op == &toy_norm)
        return toy_norm_at(run, node, out, i);
    if (node->op == &toy_softmax)
        return toy_softmax_at(run, node, out, i);
    if (node->op == &toy_add)
        return x[toy_place(out, &run->shapes[node->inputs[0]], i)] +
               run->data[node->inputs[1]][toy_place(out, &run->shapes[node->inputs[1]], i)];
    if (node->op == &toy_relu)
        return x[i] > 0 ? x[i] : 0;
    if (node->op == &toy_leaky)
        return x[i] > 0 ? x[i] : x[i] * ood_node_float(node, "alpha", 0.01f);
    if (node->op == &toy_pool) {
        size_t inner = toy_elements(&run->shapes[node->inputs[0]]) / toy_elements(out);
        double sum = 0;
        for (size_t k = 0; k < inner; k++)
            sum += x[i * inner + k];
        return sum / (double)inner;
    }
    return x[i];                                                      /* identities and reshapes */
}

static inline double toy_posts(const struct toy_run *run, const struct ood_node *node, const struct ood_shape *out, size_t i, double v)
{
    if (node->fused_bias != OOD_NONE) {
        size_t inner = 1;
        for (size_t k = node->op == &toy_conv ? 2 : out->rank; k < out->rank; k++)
            inner *= (size_t)out->dims[k];
        v += run->data[node->fused_bias][i / inner % toy_elements(&run->shapes[node->fused_bias])];
    }
    for (size_t k = 0; k < node->post_count; k++) {
        const struct ood_post *post = &node->posts[k];
        if (post->kind == OOD_POST_RELU)
            v = v > 0 ? v : 0;
        else if (post->kind == OOD_POST_LEAKY_RELU)
            v = v > 0 ? v : v * post->alpha;
        else if (post->kind == OOD_POST_SUM)
            v += run->data[post->value][i];
        else
            fail_msg("post %d", post->kind);
    }
    return v;
}

static inline void toy_run_free(struct toy_run *run)
{
    for (size_t i = 0; i < run->count; i++)
        free(run->data[i]);
    free(run->data);
    free(run->shapes);
}

/* Runs the graph on made-up inputs; data[v] of every value computed. A node that reads what is not there yet crashes. */
static inline struct toy_run toy_execute(const struct ood_graph *graph)
{
    struct toy_run run = { calloc(graph->value_count, sizeof *run.shapes), calloc(graph->value_count, sizeof *run.data), graph->value_count };
    for (size_t i = 0; i < graph->value_count; i++) {
        const struct ood_tensor *constant = graph->values[i].constant;
        run.shapes[i] = ood_shape_bind(&graph->values[i].shape, TOY_BATCH);
        if (constant == NULL || constant->type != OOD_FLOAT32)
            continue;
        run.data[i] = calloc(constant->count + 1, sizeof(double));
        for (size_t k = 0; k < constant->count; k++)
            run.data[i][k] = ood_f32(constant)[k];
    }
    for (size_t i = 0; i < graph->input_count; i++) {
        size_t count = toy_elements(&run.shapes[graph->inputs[i]]);
        uint64_t state = i + 99;
        run.data[graph->inputs[i]] = calloc(count, sizeof(double));
        for (size_t k = 0; k < count; k++)
            run.data[graph->inputs[i]][k] = toy_number(&state);
    }
    for (size_t i = 0; i < graph->node_count; i++) {
        const struct ood_node *node = &graph->nodes[i];
        if (node->dead || graph->values[node->outputs[0]].constant != NULL)
            continue;
        const struct ood_shape *out = &run.shapes[node->outputs[0]];
        double *data = calloc(toy_elements(out), sizeof *data);
        for (size_t k = 0; k < toy_elements(out); k++)
            data[k] = toy_posts(&run, node, out, k, toy_element(&run, node, out, k));
        run.data[node->outputs[0]] = data;
    }
    return run;
}

#endif
