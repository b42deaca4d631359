/* Relu, LeakyRelu, Sigmoid (ONNX opset 6 on) and Clip (bounds are attributes before opset 11, inputs since): alone a pass over
 * the array, behind another operator one of its posts. */
#include <float.h>
#include <math.h>

#include "ops/gradient_internal.h"
#include "ops/ops.h"
#include "ops/ops_internal.h"
#include "ops/posts_internal.h"

/* What the node does, as a post: shared by lower, evaluate and the fusing pass. */
typedef bool read_function(const struct ood_graph *graph, const struct ood_node *node, struct ood_post *out, struct ood_error *err);

static bool activation_shape(struct ood_graph *graph, const struct ood_node *node, struct ood_error *err)
{
    const struct ood_value *input = ood_node_input(graph, node, 0);
    if (input->type != OOD_FLOAT32)
        return ood_node_fail(node, err, OOD_UNSUPPORTED, "input is %s; expected float32", ood_type_name(input->type));
    return ood_graph_set_output(graph, node, 0, OOD_FLOAT32, &input->shape, err);
}

static struct ood_unary_step step_of(const struct ood_post *post)
{
    struct ood_node node = { .post_count = 1, .posts = { *post } };
    struct ood_posts posts;
    ood_posts_read(&node, &posts);
    return posts.before.steps[0];
}

static struct ood_tensor *evaluate(const struct ood_graph *graph, const struct ood_node *node,
                                   const struct ood_tensor *const *inputs, read_function *read, struct ood_error *err)
{
    struct ood_post post;
    if (!read(graph, node, &post, err))
        return NULL;
    struct ood_tensor *y = ood_tensor_new(OOD_FLOAT32, &inputs[0]->shape, err);
    const struct ood_unary_step step = step_of(&post);
    if (y != NULL)
        ood_kernels_choose()->unary(ood_f32(y), ood_f32(inputs[0]), y->count, &step, 1);
    return y;
}

struct activation { const struct ood_kernels *kernels; size_t count; struct ood_unary_step step; };

static void run_activation(const void *state, void *const *memory)
{
    const struct activation *a = state;
    a->kernels->unary(memory[1], memory[0], a->count, &a->step, 1);
}

static bool lower(struct ood_builder *builder, const struct ood_node *node, read_function *read, struct ood_error *err)
{
    static const struct ood_posts none = { 0 };
    enum ood_layout layout = ood_builder_layout(builder, node->inputs[0]);
    struct ood_operand operands[2];
    struct ood_post post;
    if (!read(ood_builder_graph(builder), node, &post, err) ||
        !ood_builder_input(builder, node->inputs[0], layout, &operands[0], err) ||
        !ood_posts_output(builder, node, &none, 0, node->inputs, operands, 1, layout, &operands[1], err))
        return false;
    struct activation state = { ood_builder_kernels(builder), ood_posts_count(builder, node->outputs[0]), step_of(&post) };
    struct ood_step_spec step = {
        .node = node, .kernel = state.kernels->name.unary, .run = run_activation, .state = &state, .state_size = sizeof state,
        .operands = operands, .operand_count = 2, .flops = (double)state.count
    };
    return ood_builder_step(builder, &step, err);
}

static bool as_post(const struct ood_graph *graph, const struct ood_node *node, read_function *read, struct ood_post *post)
{
    struct ood_error ignored = { 0 };
    return read(graph, node, post, &ignored);
}

static bool backward(struct ood_tape *tape, const struct ood_node *node, read_function *read, struct ood_error *err)
{
    struct ood_post post;
    return read(ood_builder_graph(ood_tape_builder(tape)), node, &post, err) &&
           ood_activation_gradient(tape, node, node->inputs[0], node->outputs[0], node->outputs[0], step_of(&post), err);
}

/* evaluate, lower, as_post and backward of an activation, by its read function. */
#define ACTIVATION(name)                                                                                              \
    static struct ood_tensor *name##_evaluate(const struct ood_graph *graph, const struct ood_node *node,             \
                                              const struct ood_tensor *const *inputs, struct ood_error *err)          \
    {                                                                                                                 \
        return evaluate(graph, node, inputs, name##_read, err);                                                       \
    }                                                                                                                 \
    static bool name##_lower(struct ood_builder *builder, const struct ood_node *node, struct ood_error *err)         \
    {                                                                                                                 \
        return lower(builder, node, name##_read, err);                                                                \
    }                                                                                                                 \
    static bool name##_as_post(const struct ood_graph *graph, const struct ood_node *node, struct ood_post *post)     \
    {                                                                                                                 \
        return as_post(graph, node, name##_read, post);                                                               \
    }                                                                                                                 \
    static bool name##_backward(struct ood_tape *tape, const struct ood_node *node, struct ood_error *err)            \
    {                                                                                                                 \
        return backward(tape, node, name##_read, err);                                                                \
    }

/* ---- Relu, LeakyRelu, Sigmoid ---- */

static bool relu_read(const struct ood_graph *graph, const struct ood_node *node, struct ood_post *out, struct ood_error *err)
{
    (void)graph, (void)node, (void)err;
    *out = (struct ood_post){ .kind = OOD_POST_RELU };
    return true;
}

static bool leaky_relu_read(const struct ood_graph *graph, const struct ood_node *node, struct ood_post *out, struct ood_error *err)
{
    (void)graph, (void)err;
    *out = (struct ood_post){ .kind = OOD_POST_LEAKY_RELU, .alpha = ood_node_float(node, "alpha", 0.01f) };
    return true;
}

static bool sigmoid_read(const struct ood_graph *graph, const struct ood_node *node, struct ood_post *out, struct ood_error *err)
{
    (void)graph, (void)node, (void)err;
    *out = (struct ood_post){ .kind = OOD_POST_SIGMOID };
    return true;
}

ACTIVATION(relu)
ACTIVATION(leaky_relu)
ACTIVATION(sigmoid)

/* ---- Clip ---- */

static bool clip_read(const struct ood_graph *graph, const struct ood_node *node, struct ood_post *out, struct ood_error *err)
{
    (void)graph, (void)err;
    *out = (struct ood_post){ .kind = OOD_POST_CLIP, .alpha = ood_node_float(node, "min", -FLT_MAX),
                              .beta = ood_node_float(node, "max", FLT_MAX) };
    return true;
}

/* A bound given as an input: one float32 known at load, or omitted. */
static bool clip_bound(const struct ood_graph *graph, const struct ood_node *node, size_t i, float *bound, struct ood_error *err)
{
    const struct ood_value *value = ood_node_input(graph, node, i);
    const char *what = i == 1 ? "min" : "max";
    if (value == NULL)
        return true;
    if (value->constant == NULL)
        return ood_node_fail(node, err, OOD_UNSUPPORTED, "input %zu (%s, \"%s\") is not known at load", i, what, value->name);
    if (value->type != OOD_FLOAT32 || value->constant->count != 1)
        return ood_node_fail(node, err, OOD_INVALID, "input %zu (%s) is %zu elements of %s; expected one float32", i, what,
                             value->constant->count, ood_type_name(value->type));
    *bound = ood_f32(value->constant)[0];
    return true;
}

static bool clip_11_read(const struct ood_graph *graph, const struct ood_node *node, struct ood_post *out, struct ood_error *err)
{
    struct ood_post post = { .kind = OOD_POST_CLIP, .alpha = -FLT_MAX, .beta = FLT_MAX };
    if (!clip_bound(graph, node, 1, &post.alpha, err) || !clip_bound(graph, node, 2, &post.beta, err))
        return false;
    *out = post;
    return true;
}

static bool clip_11_check(const struct ood_graph *graph, const struct ood_node *node, struct ood_error *err)
{
    struct ood_post post;
    return clip_11_read(graph, node, &post, err);
}

ACTIVATION(clip)
ACTIVATION(clip_11)

const struct ood_op ood_op_relu = {
    .name = "Relu", .since = 6, .least_inputs = 1, .most_inputs = 1,
    .shape = activation_shape, .evaluate = relu_evaluate, .lower = relu_lower, .as_post = relu_as_post, .backward = relu_backward,
};

const struct ood_op ood_op_leaky_relu = {
    .name = "LeakyRelu", .since = 6, .least_inputs = 1, .most_inputs = 1,
    .shape = activation_shape, .evaluate = leaky_relu_evaluate, .lower = leaky_relu_lower, .as_post = leaky_relu_as_post, .backward = leaky_relu_backward,
};

const struct ood_op ood_op_sigmoid = {
    .name = "Sigmoid", .since = 6, .least_inputs = 1, .most_inputs = 1,
    .shape = activation_shape, .evaluate = sigmoid_evaluate, .lower = sigmoid_lower, .as_post = sigmoid_as_post, .backward = sigmoid_backward,
};

const struct ood_op ood_op_clip = {
    .name = "Clip", .since = 6, .until = 10, .least_inputs = 1, .most_inputs = 1,
    .shape = activation_shape, .evaluate = clip_evaluate, .lower = clip_lower, .as_post = clip_as_post, .backward = clip_backward,
};

const struct ood_op ood_op_clip_11 = {
    .name = "Clip", .since = 11, .least_inputs = 1, .most_inputs = 3, .decided_by = 1 << 1 | 1 << 2, .check = clip_11_check,
    .shape = activation_shape, .evaluate = clip_11_evaluate, .lower = clip_11_lower, .as_post = clip_11_as_post, .backward = clip_11_backward,
};
