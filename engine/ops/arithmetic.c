/* Add, Sub, Mul, Div (ONNX opset 7 on) with numpy's broadcasting, of float32, int64 and int32; at load int64 numbers may be multiples
 * of the batch. PRelu, the slope broadcast to the input. */
#include "ops/integers_internal.h"
#include "plan/move.h"
#include "ops/gradient_internal.h"
#include "ops/ops.h"
#include "ops/posts_internal.h"

static bool arithmetic_shape(struct ood_graph *graph, const struct ood_node *node, struct ood_error *err)
{
    const struct ood_value *a = ood_node_input(graph, node, 0), *b = ood_node_input(graph, node, 1);
    struct ood_shape shape;
    char a_text[OOD_SHAPE_TEXT], b_text[OOD_SHAPE_TEXT];
    if (a->type != b->type)
        return ood_node_fail(node, err, OOD_INVALID, "%s with %s; expected one type", ood_type_name(a->type), ood_type_name(b->type));
    if (a->type == OOD_BOOL)
        return ood_node_fail(node, err, OOD_INVALID, "inputs are bool; expected numbers");
    if (!ood_shape_broadcast(&a->shape, &b->shape, &shape))
        return ood_node_fail(node, err, OOD_INVALID, "shapes %s and %s do not broadcast", ood_shape_print(&a->shape, a_text),
                             ood_shape_print(&b->shape, b_text));
    return ood_graph_set_output(graph, node, 0, a->type, &shape, err);
}

/* ---- how the operands lie ---- */

/* Strides of an operand along the output's dimensions, in the output's order in memory; 0 where it is repeated. */
static void operand_strides(const struct ood_shape *shape, enum ood_layout layout, size_t rank, size_t strides[OOD_MAX_RANK])
{
    size_t own[OOD_MAX_RANK] = { 0 };
    const size_t *order = ood_move_order(rank, rank == 4 ? layout : OOD_PLAIN);
    ood_move_strides(shape, shape->rank == 4 ? layout : OOD_PLAIN, own);
    for (size_t i = 0; i < rank; i++) {
        size_t missing = rank - shape->rank, dim = order[i];
        strides[i] = dim < missing || shape->dims[dim - missing] == 1 ? 0 : own[dim - missing];
    }
}

static bool walk_of(const struct ood_shape *y, const struct ood_shape *a, const struct ood_shape *b, enum ood_layout layout,
                    struct ood_broadcast *out)
{
    size_t dims[OOD_MAX_RANK] = { 0 }, a_strides[OOD_MAX_RANK], b_strides[OOD_MAX_RANK];
    const size_t *order = ood_move_order(y->rank, y->rank == 4 ? layout : OOD_PLAIN);
    for (size_t i = 0; i < y->rank; i++)
        dims[i] = (size_t)y->dims[order[i]];
    operand_strides(a, layout, y->rank, a_strides);
    operand_strides(b, layout, y->rank, b_strides);
    return ood_broadcast_make(out, y->rank, dims, a_strides, b_strides);
}

/* ---- at load ---- */

static bool plain(int64_t number) { return !ood_dim_is_batch(number); }

static bool add_numbers(int64_t a, int64_t b, int64_t *out)
{
    if (!plain(a) && !plain(b)) {            /* kN + jN */
        int64_t k = ood_batch_factor(a) + ood_batch_factor(b);
        *out = ood_batch_dim(k);
        return k <= OOD_BATCH_MOST;
    }
    if (!plain(a) || !plain(b)) {
        *out = plain(a) ? b : a;
        return (plain(a) ? a : b) == 0;
    }
    return !__builtin_add_overflow(a, b, out) && plain(*out);
}

static bool subtract_numbers(int64_t a, int64_t b, int64_t *out)
{
    if (!plain(a) && !plain(b)) {            /* kN - jN */
        int64_t k = ood_batch_factor(a) - ood_batch_factor(b);
        *out = k > 0 ? ood_batch_dim(k) : 0;
        return k >= 0;
    }
    if (!plain(a) || !plain(b)) {
        *out = a;
        return b == 0;
    }
    return !__builtin_sub_overflow(a, b, out) && plain(*out);
}

static bool divide_numbers(int64_t a, int64_t b, int64_t *out)
{
    if (!plain(a) || !plain(b))
        return ood_dim_div(a, b, out);
    if (b == 0 || (a == INT64_MIN && b == -1))
        return false;
    *out = a / b;                            /* towards zero, as ONNX Runtime */
    return plain(*out);
}

static bool operate(enum ood_binary op, int64_t a, int64_t b, int64_t *out)
{
    switch (op) {
    case OOD_BINARY_ADD: return add_numbers(a, b, out);
    case OOD_BINARY_SUB: return subtract_numbers(a, b, out);
    case OOD_BINARY_MUL: return ood_dim_mul(a, b, out);
    default: break;
    }
    return divide_numbers(a, b, out);
}

static int64_t integer_at(const struct ood_tensor *t, size_t i)
{
    return t->type == OOD_INT64 ? ood_i64(t)[i] : ((const int32_t *)t->data)[i];
}

static bool evaluate_integers(const struct ood_node *node, enum ood_binary op, const struct ood_tensor *a,
                              const struct ood_tensor *b, struct ood_tensor *y, struct ood_error *err)
{
    size_t a_strides[OOD_MAX_RANK], b_strides[OOD_MAX_RANK];
    operand_strides(&a->shape, OOD_PLAIN, y->shape.rank, a_strides);
    operand_strides(&b->shape, OOD_PLAIN, y->shape.rank, b_strides);
    for (size_t i = 0; i < y->count; i++) {
        size_t rest = i, at_a = 0, at_b = 0;
        for (size_t d = y->shape.rank; d-- > 0; rest /= (size_t)y->shape.dims[d]) {
            at_a += rest % (size_t)y->shape.dims[d] * a_strides[d];
            at_b += rest % (size_t)y->shape.dims[d] * b_strides[d];
        }
        int64_t left = integer_at(a, at_a), right = integer_at(b, at_b), result;
        if (!operate(op, left, right, &result) || (y->type == OOD_INT32 && result != (int32_t)result))
            return ood_node_fail(node, err, OOD_UNSUPPORTED, "element %zu has no result (overflow, a division by zero, or a batch "
                                 "size that no multiple of the batch expresses)", i);
        if (y->type == OOD_INT64)
            ood_i64(y)[i] = result;
        else
            ((int32_t *)y->data)[i] = (int32_t)result;
    }
    return true;
}

static struct ood_tensor *evaluate(const struct ood_node *node, enum ood_binary op, const struct ood_tensor *const *inputs,
                                   struct ood_error *err)
{
    const struct ood_tensor *a = inputs[0], *b = inputs[1];
    struct ood_shape shape;
    struct ood_broadcast walk;
    if (!ood_shape_broadcast(&a->shape, &b->shape, &shape)) {
        ood_node_fail(node, err, OOD_INVALID, "shapes do not broadcast");
        return NULL;
    }
    struct ood_tensor *y = ood_tensor_new(a->type, &shape, err);
    if (y == NULL)
        return NULL;
    if (a->type == OOD_FLOAT32 && walk_of(&shape, &a->shape, &b->shape, OOD_PLAIN, &walk)) {
        ood_kernels_choose()->broadcast(op, ood_f32(y), ood_f32(a), ood_f32(b), &walk, NULL, 0);
    } else if (!evaluate_integers(node, op, a, b, y, err)) {
        ood_tensor_free(y);
        return NULL;
    }
    return y;
}

/* ---- on the way of a request ---- */

struct arithmetic { const struct ood_kernels *kernels; enum ood_binary op; struct ood_broadcast walk; struct ood_steps steps; };

static void run_arithmetic(const void *state, void *const *memory)
{
    const struct arithmetic *s = state;
    s->kernels->broadcast(s->op, memory[2], memory[0], memory[1], &s->walk, s->steps.steps, s->steps.count);
}

/* The layout of the operand that is as large as the output and not a constant; else of any that is not a constant. */
static enum ood_layout layout_of(const struct ood_builder *builder, const struct ood_node *node)
{
    const struct ood_graph *graph = ood_builder_graph(builder);
    const struct ood_value *y = &graph->values[node->outputs[0]];
    enum ood_layout layout = OOD_PLAIN;
    if (y->shape.rank != 4)
        return OOD_PLAIN;
    for (size_t i = 0; i < 2; i++) {
        const struct ood_value *value = &graph->values[node->inputs[i]];
        if (value->constant != NULL || value->shape.rank != 4)
            continue;
        layout = ood_builder_layout(builder, node->inputs[i]);
        if (ood_shape_equal(&value->shape, &y->shape))
            break;
    }
    return layout;
}

static ood_integer_function *integer_function(enum ood_binary op)
{
    return op == OOD_BINARY_ADD   ? ood_integer_add
           : op == OOD_BINARY_SUB ? ood_integer_subtract
           : op == OOD_BINARY_MUL ? ood_integer_multiply
                                  : ood_integer_divide;
}

/* given (NULL: none): the memory of input `which`, where it is not the builder's to find. */
static bool lower_with(struct ood_builder *builder, const struct ood_node *node, enum ood_binary op, size_t which, const struct ood_operand *given,
                       struct ood_error *err)
{
    const struct ood_shape y = ood_builder_shape(builder, node->outputs[0]), a = ood_builder_shape(builder, node->inputs[0]),
                           b = ood_builder_shape(builder, node->inputs[1]);
    enum ood_layout layout = layout_of(builder, node);
    struct arithmetic state = { .kernels = ood_builder_kernels(builder), .op = op };
    struct ood_operand operands[3];
    struct ood_posts posts;
    if (ood_builder_graph(builder)->values[node->outputs[0]].type != OOD_FLOAT32)
        return ood_integers_lower(builder, node, integer_function(op), err);
    if (layout == OOD_NHWC && !walk_of(&y, &a, &b, layout, &state.walk))
        layout = OOD_PLAIN;                  /* [C,H,W] beside pictures in NHWC */
    if (!walk_of(&y, &a, &b, layout, &state.walk))
        return ood_node_fail(node, err, OOD_UNSUPPORTED, "operands that do not lie in rows");
    ood_posts_read(node, &posts);
    state.steps = posts.before;
    for (size_t i = 0; i < 2; i++)
        if (given != NULL && i == which)
            operands[i] = *given;
        else if (!ood_builder_input(builder, node->inputs[i], layout, &operands[i], err))
            return false;
    if (!ood_posts_output(builder, node, &posts, 0, node->inputs, operands, 2, layout, &operands[2], err))
        return false;
    struct ood_step_spec step = {
        .node = node, .kernel = state.kernels->name.binary, .run = run_arithmetic, .state = &state, .state_size = sizeof state,
        .operands = operands, .operand_count = 3,
        .flops = (double)ood_posts_count(builder, node->outputs[0]) * (double)(1 + state.steps.count)
    };
    return ood_builder_step(builder, &step, err) && ood_posts_sums(builder, node, &posts, 0, operands[2], layout, err);
}

static bool lower(struct ood_builder *builder, const struct ood_node *node, enum ood_binary op, struct ood_error *err)
{
    return lower_with(builder, node, op, 0, NULL, err);
}

/* ---- training ---- */

/* A number a channel added to something computed is a bias: Keras' MatMul, Add. Other constants stay as they are. */
static bool add_train(struct ood_tape *tape, const struct ood_node *node, struct ood_error *err)
{
    struct ood_builder *builder = ood_tape_builder(tape);
    const struct ood_shape y = ood_builder_shape(builder, node->outputs[0]);
    const int64_t channels = y.rank < 2 ? 0 : y.dims[y.rank == 4 ? 1 : y.rank - 1];
    struct ood_operand bias = { .buffer = OOD_NONE };
    for (size_t i = 0; i < 2; i++) {
        const struct ood_tensor *constant = ood_builder_constant(builder, node->inputs[i]);
        if (constant == NULL || constant->type != OOD_FLOAT32 || constant->count != (size_t)channels)
            continue;
        if (!ood_tape_parameter(tape, node, node->inputs[i], OOD_PARAMETER_PLAIN, &bias, err))
            return false;
        return lower_with(builder, node, OOD_BINARY_ADD, i, &bias, err);
    }
    return lower_with(builder, node, OOD_BINARY_ADD, 0, NULL, err);
}

#define ARITHMETIC_BACKWARD(row, op)                                                                                  \
    static bool row##_backward(struct ood_tape *tape, const struct ood_node *node, struct ood_error *err)             \
    {                                                                                                                 \
        return ood_arithmetic_gradient(tape, node, op, err);                                                          \
    }

ARITHMETIC_BACKWARD(add, OOD_BINARY_ADD)
ARITHMETIC_BACKWARD(sub, OOD_BINARY_SUB)
ARITHMETIC_BACKWARD(mul, OOD_BINARY_MUL)
ARITHMETIC_BACKWARD(div, OOD_BINARY_DIV)

static bool prelu_shape(struct ood_graph *graph, const struct ood_node *node, struct ood_error *err)
{
    const struct ood_value *x = ood_node_input(graph, node, 0), *slope = ood_node_input(graph, node, 1);
    struct ood_shape shape;
    char a[OOD_SHAPE_TEXT], b[OOD_SHAPE_TEXT];
    if (x->type != OOD_FLOAT32 || slope->type != OOD_FLOAT32)
        return ood_node_fail(node, err, OOD_UNSUPPORTED, "%s with %s; expected float32", ood_type_name(x->type), ood_type_name(slope->type));
    if (!ood_shape_broadcast(&x->shape, &slope->shape, &shape) || !ood_shape_equal(&shape, &x->shape))
        return ood_node_fail(node, err, OOD_INVALID, "a slope of shape %s does not broadcast to %s", ood_shape_print(&slope->shape, a),
                             ood_shape_print(&x->shape, b));
    return ood_graph_set_output(graph, node, 0, OOD_FLOAT32, &shape, err);
}

/* A row: its evaluate and lower differ in the operation alone. */
#define ARITHMETIC(row, op_name, op, more_traits, shape_function, train_function, backward_function)                  \
    static struct ood_tensor *row##_evaluate(const struct ood_graph *graph, const struct ood_node *node,              \
                                             const struct ood_tensor *const *inputs, struct ood_error *err)           \
    {                                                                                                                 \
        (void)graph;                                                                                                  \
        return evaluate(node, op, inputs, err);                                                                       \
    }                                                                                                                 \
    static bool row##_lower(struct ood_builder *builder, const struct ood_node *node, struct ood_error *err)          \
    {                                                                                                                 \
        return lower(builder, node, op, err);                                                                         \
    }                                                                                                                 \
    const struct ood_op ood_op_##row = {                                                                              \
        .name = op_name, .since = 7, .least_inputs = 2, .most_inputs = 2, .traits = OOD_OP_TAKES_POSTS | (more_traits), \
        .shape = shape_function, .evaluate = row##_evaluate, .lower = row##_lower, .train = train_function,           \
        .backward = backward_function,                                                                                \
    };

ARITHMETIC(add, "Add", OOD_BINARY_ADD, OOD_OP_ADD, arithmetic_shape, add_train, add_backward)
ARITHMETIC(sub, "Sub", OOD_BINARY_SUB, OOD_OP_SUB, arithmetic_shape, NULL, sub_backward)
ARITHMETIC(mul, "Mul", OOD_BINARY_MUL, OOD_OP_MUL, arithmetic_shape, NULL, mul_backward)
ARITHMETIC(div, "Div", OOD_BINARY_DIV, OOD_OP_DIV, arithmetic_shape, NULL, div_backward)
ARITHMETIC(prelu, "PRelu", OOD_BINARY_PRELU, 0, prelu_shape, NULL, NULL)
