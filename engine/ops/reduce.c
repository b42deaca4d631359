/* Every Reduce* (axes as an attribute; as an input since ONNX opset 18, ReduceSum since 13), GlobalAveragePool, GlobalMaxPool. Rows and
 * columns of pictures in NHWC in one pass; anything else as one pass for each run of neighbouring axes: a mean of means of equal size is
 * the mean. int64 and int32 go through plain loops. */
#include <math.h>
#include <string.h>

#include "ops/gradient_internal.h"
#include "ops/ops.h"
#include "ops/ops_internal.h"
#include "ops/posts_internal.h"
#include "ops/walk_internal.h"

/* What a row is: the first pass, those after it, a function of the result. */
struct reduction {
    enum ood_reduction first, next;
    size_t step_count;
    struct ood_unary_step step;
    bool integers, exponentials;             /* exponentials: the logarithm of the sum of exponentials */
    int axes_input;                          /* the opset since which axes are an input */
};

/* ---- which axes ---- */

typedef bool axes_function(const struct ood_graph *graph, const struct ood_node *node, size_t rank, bool reduced[OOD_MAX_RANK],
                           struct ood_error *err);

/* No axes: all of them (or none, with noop_with_empty_axes), as ONNX Runtime has it also where the attribute is there and empty. */
static bool reduce_axes(const struct ood_graph *graph, const struct ood_node *node, size_t rank, bool reduced[OOD_MAX_RANK],
                        struct ood_error *err)
{
    const struct reduction *reduction = node->op->detail;
    const bool input = node->opset >= reduction->axes_input;
    const int64_t *axes = NULL;
    size_t count = 0, axis;
    if (!input)
        axes = ood_node_ints(node, "axes", &count);
    else if (ood_node_input(graph, node, 1) != NULL && !ood_op_known_ints(graph, node, 1, "the axes", OOD_MAX_RANK, &axes, &count, err))
        return false;
    const bool none = input && ood_node_int(node, "noop_with_empty_axes", 0) != 0;
    for (size_t i = 0; i < rank; i++)
        reduced[i] = count == 0 && !none;
    for (size_t i = 0; i < count; i++) {
        if (!ood_op_axis(node, axes[i], rank, &axis, err))
            return false;
        if (reduced[axis])
            return ood_node_fail(node, err, OOD_INVALID, "axis %zu is named twice", axis);
        reduced[axis] = true;
    }
    return true;
}

static bool pool_axes(const struct ood_graph *graph, const struct ood_node *node, size_t rank, bool reduced[OOD_MAX_RANK],
                      struct ood_error *err)
{
    (void)graph;
    if (rank < 3)
        return ood_node_fail(node, err, OOD_INVALID, "input has %zu dimensions; expected at least 3 (NxCx…)", rank);
    for (size_t i = 0; i < rank; i++)
        reduced[i] = i >= 2;
    return true;
}

static bool shape_of(struct ood_graph *graph, const struct ood_node *node, axes_function *axes, bool keep, struct ood_error *err)
{
    const struct ood_value *x = ood_node_input(graph, node, 0);
    const struct reduction *reduction = node->op->detail;
    bool reduced[OOD_MAX_RANK] = { false };
    struct ood_shape shape = { 0 };
    if (x->type != OOD_FLOAT32 && !(reduction->integers && x->type != OOD_BOOL))
        return ood_node_fail(node, err, OOD_UNSUPPORTED, "input is %s; expected float32%s", ood_type_name(x->type),
                             reduction->integers ? ", int64 or int32" : "");
    if (!axes(graph, node, x->shape.rank, reduced, err))
        return false;
    for (size_t i = 0; i < x->shape.rank; i++) {
        if (reduced[i] && ood_dim_is_batch(x->shape.dims[i]))
            return ood_node_fail(node, err, OOD_UNSUPPORTED, "axis %zu is the batch: pictures would depend on each other", i);
        if (reduced[i] && x->shape.dims[i] == 0)
            return ood_node_fail(node, err, OOD_INVALID, "axis %zu has no elements", i);
        if (!reduced[i] || keep)
            shape.dims[shape.rank++] = reduced[i] ? 1 : x->shape.dims[i];
    }
    return ood_graph_set_output(graph, node, 0, x->type, &shape, err);
}

static bool reduce_shape(struct ood_graph *graph, const struct ood_node *node, struct ood_error *err)
{
    return shape_of(graph, node, reduce_axes, ood_node_int(node, "keepdims", 1) != 0, err);
}

static bool pool_shape(struct ood_graph *graph, const struct ood_node *node, struct ood_error *err)
{
    return shape_of(graph, node, pool_axes, true, err);
}

/* ---- passes ---- */

struct pass { size_t outer, reduced, inner; };       /* y[o][i] = reduction over r of x[o][r][i] */

#define PASSES (OOD_MAX_RANK / 2)

struct reduce {
    const struct ood_kernels *kernels;
    enum ood_reduction first, next;
    size_t pass_count, count;                        /* no pass: count elements go through the first reduction alone */
    struct pass passes[PASSES];
    size_t step_count;
    struct ood_unary_step step;
};

/* Runs of reduced axes from the last to the first; axes of one element are no obstacle. */
static void describe(const struct ood_shape *x, const bool reduced[OOD_MAX_RANK], struct reduce *state)
{
    size_t inner = 1;
    state->pass_count = 0;
    for (size_t i = x->rank; i-- > 0;) {
        size_t dim = (size_t)x->dims[i];
        if (dim == 1)
            continue;
        if (!reduced[i]) {
            inner *= dim;
            continue;
        }
        struct pass *pass = &state->passes[state->pass_count++];
        *pass = (struct pass){ 1, 1, inner };
        for (;; i--) {
            pass->reduced *= reduced[i] ? (size_t)x->dims[i] : 1;
            if (i == 0 || (!reduced[i - 1] && x->dims[i - 1] != 1))
                break;
        }
        for (size_t j = 0; j < i; j++)
            pass->outer *= (size_t)x->dims[j];
    }
}

static void run_pass(const struct reduce *s, enum ood_reduction reduction, const struct pass *pass, float *y, const float *x)
{
    if (pass->inner == 1)
        s->kernels->reduce_columns(reduction, y, x, pass->outer, pass->reduced);
    else
        s->kernels->reduce_rows(reduction, y, x, pass->outer, pass->reduced, pass->inner);
}

/* memory: input, output, and two scratch arrays where there is more than one pass. */
static void run_reduce(const void *state, void *const *memory)
{
    const struct reduce *s = state;
    const float *x = memory[0];
    if (s->pass_count == 0)
        run_pass(s, s->first, &(const struct pass){ s->count, 1, 1 }, memory[1], x);
    for (size_t i = 0; i < s->pass_count; i++) {
        float *y = i + 1 == s->pass_count ? memory[1] : memory[2 + i % 2];
        run_pass(s, i == 0 ? s->first : s->next, &s->passes[i], y, x);
        x = y;
    }
    if (s->step_count > 0)
        s->kernels->unary(memory[1], memory[1], s->count, &s->step, s->step_count);
}

/* A step that reduces source to target; state->passes are described. */
static bool add_reduce(struct ood_builder *builder, const struct ood_node *node, const struct reduce *state, struct ood_operand source,
                       struct ood_operand target, struct ood_error *err)
{
    struct ood_operand operands[4] = { source, target };
    size_t operand_count = 2;
    for (; operand_count < 1 + state->pass_count && operand_count < 4; operand_count++) {
        const struct pass *pass = &state->passes[operand_count - 2];      /* the largest that goes there: passes shrink */
        if (!ood_builder_scratch(builder, pass->outer * pass->inner * sizeof(float), &operands[operand_count], err))
            return false;
    }
    const struct ood_step_spec step = {
        .node = node, .kernel = state->kernels->name.reduce, .run = run_reduce, .state = state, .state_size = sizeof *state,
        .operands = operands, .operand_count = operand_count, .flops = (double)ood_posts_count(builder, node->inputs[0])
    };
    return ood_builder_step(builder, &step, err);
}

/* ---- the logarithm of a sum of exponentials: log(sum of exp(x - m)) + m, m the maximum ---- */

struct shifted { const struct ood_kernels *kernels; struct ood_walk walk; enum ood_binary op; size_t step_count; struct ood_unary_step step; };

static void shifted_row(const void *state, void *const *memory, size_t y, const size_t *at, const size_t *strides, size_t n)
{
    const struct shifted *s = state;
    const float *a = memory[1], *b = memory[2];
    float *out = memory[0];
    for (size_t i = 0; i < n; i++) {
        const float most = b[at[1] + i * strides[1]];
        out[y + i] = s->op == OOD_BINARY_ADD ? a[at[0] + i * strides[0]] + most : a[at[0] + i * strides[0]] - (isinf(most) ? 0 : most);
    }
    s->kernels->unary(out + y, out + y, n, &s->step, s->step_count);
}

static void run_shifted(const void *state, void *const *memory)
{
    const struct shifted *s = state;
    ood_walk_run(&s->walk, shifted_row, s, memory);
}

static bool add_shifted(struct ood_builder *builder, const struct ood_node *node, const struct shifted *state, struct ood_operand a,
                        struct ood_operand b, struct ood_operand y, struct ood_error *err)
{
    const struct ood_operand operands[3] = { y, a, b };
    const struct ood_step_spec step = { .node = node, .kernel = state->kernels->name.binary, .run = run_shifted, .state = state,
                                        .state_size = sizeof *state, .operands = operands, .operand_count = 3 };
    return ood_builder_step(builder, &step, err);
}

/* x is plain; kept: its shape with 1 for what is reduced. */
static bool lower_exponentials(struct ood_builder *builder, const struct ood_node *node, const struct ood_shape *x,
                               const struct ood_shape *kept, const struct reduce *reduce, struct ood_operand source,
                               struct ood_operand target, struct ood_error *err)
{
    struct reduce most = *reduce, sum = *reduce;
    struct shifted less = { .kernels = reduce->kernels, .op = OOD_BINARY_SUB, .step_count = 1, .step = { .function = OOD_UNARY_EXP } };
    struct shifted more = { .kernels = reduce->kernels, .op = OOD_BINARY_ADD };
    struct ood_operand maxima, powers, sums;
    const size_t count = ood_posts_count(builder, node->inputs[0]);
    most.first = most.next = OOD_REDUCE_MAX;
    most.step_count = 0;
    sum.step_count = 1;
    sum.step = (struct ood_unary_step){ .function = OOD_UNARY_LOG };
    ood_walk_make(&less.walk, x, (const struct ood_shape *[]){ x, kept }, 2, OOD_PLAIN);
    ood_walk_make(&more.walk, kept, (const struct ood_shape *[]){ kept, kept }, 2, OOD_PLAIN);
    return ood_builder_scratch(builder, reduce->count * sizeof(float), &maxima, err) &&
           add_reduce(builder, node, &most, source, maxima, err) &&
           ood_builder_scratch(builder, count * sizeof(float), &powers, err) &&
           add_shifted(builder, node, &less, source, maxima, powers, err) &&
           ood_builder_scratch(builder, reduce->count * sizeof(float), &sums, err) &&
           add_reduce(builder, node, &sum, powers, sums, err) &&
           add_shifted(builder, node, &more, sums, maxima, target, err);
}

/* ---- plain loops: integers, and what is known at load ---- */

/* Sums in double or int64; for int64 inputs numbers that depend on the batch multiply (a Shape's product), nothing else. */
struct plain { const struct reduction *reduction; enum ood_type type; double *floats; const double *shift; int64_t *integers; bool *open; };

static void plain_float(const struct plain *s, double *to, double x, double most)
{
    const enum ood_reduction r = s->reduction->first;
    x = r == OOD_REDUCE_SUM_ABS ? fabs(x) : r == OOD_REDUCE_SUM_SQUARE ? x * x : s->shift != NULL ? exp(x - most) : x;
    *to = r == OOD_REDUCE_MAX    ? (isnan(*to) || *to > x ? *to : x)
          : r == OOD_REDUCE_MIN  ? (isnan(*to) || *to < x ? *to : x)
          : r == OOD_REDUCE_PROD ? *to * x
                                 : *to + x;
}

static void plain_integer(const struct plain *s, int64_t *to, int64_t x)
{
    const enum ood_reduction r = s->reduction->first;
    if (ood_dim_is_batch(x) || ood_dim_is_batch(*to)) {
        *s->open = *s->open || r != OOD_REDUCE_PROD || !ood_dim_mul(*to, x, to);
        return;
    }
    const uint64_t a = (uint64_t)*to, b = (uint64_t)x;
    *to = r == OOD_REDUCE_MAX          ? (*to > x ? *to : x)
          : r == OOD_REDUCE_MIN        ? (*to < x ? *to : x)
          : r == OOD_REDUCE_PROD       ? (int64_t)(a * b)
          : r == OOD_REDUCE_SUM_ABS    ? (int64_t)(a + (x < 0 ? 0 - b : b))
          : r == OOD_REDUCE_SUM_SQUARE ? (int64_t)(a + b * b)
                                       : (int64_t)(a + b);
}

/* The walk goes over the input; operand 0 is the output. */
static void plain_row(const void *state, void *const *memory, size_t x, const size_t *at, const size_t *strides, size_t n)
{
    const struct plain *s = state;
    for (size_t i = 0; i < n; i++) {
        const size_t y = at[0] + i * strides[0];
        if (s->type == OOD_FLOAT32)
            plain_float(s, &s->floats[y], (double)((const float *)memory[0])[x + i], s->shift != NULL ? s->shift[y] : 0);
        else
            plain_integer(s, &s->integers[y], s->type == OOD_INT64 ? ((const int64_t *)memory[0])[x + i] : ((const int32_t *)memory[0])[x + i]);
    }
}

static void start(const struct reduction *reduction, double *floats, int64_t *integers, size_t count)
{
    const enum ood_reduction r = reduction->first;
    for (size_t i = 0; i < count; i++) {
        floats[i] = r == OOD_REDUCE_MAX ? -INFINITY : r == OOD_REDUCE_MIN ? INFINITY : r == OOD_REDUCE_PROD;
        integers[i] = r == OOD_REDUCE_MAX ? INT64_MIN : r == OOD_REDUCE_MIN ? INT64_MAX : r == OOD_REDUCE_PROD;
    }
}

static double finished(const struct reduction *reduction, double result, double elements, double most)
{
    result = reduction->first == OOD_REDUCE_MEAN ? result / elements : result;
    if (reduction->exponentials)
        return log(result) + most;
    if (reduction->step_count == 0)
        return result;
    return reduction->step.function == OOD_UNARY_LOG ? log(result) : sqrt(result);
}

/* work: two doubles and an int64 an output element. False: a number that depends on the batch has no place here. */
static bool plain_reduce(const struct reduction *reduction, enum ood_type type, const struct ood_walk *walk, size_t count, size_t elements,
                         const void *x, void *y, double *work)
{
    bool open = false;
    double *shift = work + count;
    int64_t *integers = (int64_t *)(void *)(work + 2 * count);
    struct plain plain = { .reduction = reduction, .type = type, .floats = work, .integers = integers, .open = &open };
    static const struct reduction most = { .first = OOD_REDUCE_MAX };
    union { const void *constant; void *mutable; } input = { x };        /* rows only read it */
    void *const memory[] = { input.mutable };
    if (reduction->exponentials) {
        struct plain first = { .reduction = &most, .type = type, .floats = shift };
        start(&most, shift, integers, count);
        ood_walk_run(walk, plain_row, &first, memory);
        plain.shift = shift;
    }
    start(reduction, work, integers, count);
    ood_walk_run(walk, plain_row, &plain, memory);
    for (size_t i = 0; i < count; i++) {
        if (type == OOD_FLOAT32)
            ((float *)y)[i] = (float)finished(reduction, work[i], (double)elements, reduction->exponentials ? shift[i] : 0);
        else if (type == OOD_INT64)
            ((int64_t *)y)[i] = integers[i];
        else
            ((int32_t *)y)[i] = (int32_t)integers[i];
    }
    return !open;
}

/* The input's walk with the output as operand; *elements that meet in one. */
static void plain_walk(const struct ood_shape *x, const bool reduced[OOD_MAX_RANK], struct ood_walk *walk, size_t *elements)
{
    struct ood_shape kept = *x;
    *elements = 1;
    for (size_t i = 0; i < x->rank; i++)
        if (reduced[i]) {
            *elements *= (size_t)x->dims[i];
            kept.dims[i] = 1;
        }
    ood_walk_make(walk, x, (const struct ood_shape *[]){ &kept }, 1, OOD_PLAIN);
}

static struct ood_tensor *reduce_evaluate(const struct ood_graph *graph, const struct ood_node *node,
                                          const struct ood_tensor *const *inputs, struct ood_error *err)
{
    const struct ood_value *value = &graph->values[node->outputs[0]];
    const struct ood_tensor *x = inputs[0];
    bool reduced[OOD_MAX_RANK] = { false };
    struct ood_walk walk;
    size_t elements;
    if (!reduce_axes(graph, node, x->shape.rank, reduced, err))
        return NULL;
    plain_walk(&x->shape, reduced, &walk, &elements);
    struct ood_tensor *y = ood_tensor_new(value->type, &value->shape, err);
    double *work = y != NULL ? ood_new_array(double, 3 * y->count, err) : NULL;
    bool done = work != NULL;
    if (done && !plain_reduce(node->op->detail, x->type, &walk, y->count, elements, x->data, y->data, work))
        done = ood_node_fail(node, err, OOD_UNSUPPORTED, "an input that depends on the batch");
    ood_free(work);
    if (!done) {
        ood_tensor_free(y);
        return NULL;
    }
    return y;
}

struct plain_step { const struct reduction *reduction; enum ood_type type; struct ood_walk walk; size_t count, elements; };

static void run_plain(const void *state, void *const *memory)
{
    const struct plain_step *s = state;
    (void)plain_reduce(s->reduction, s->type, &s->walk, s->count, s->elements, memory[0], memory[1], memory[2]);
}

static bool lower_integers(struct ood_builder *builder, const struct ood_node *node, const struct ood_shape *x,
                           const bool reduced[OOD_MAX_RANK], struct ood_error *err)
{
    struct plain_step state = { .reduction = node->op->detail, .type = ood_builder_graph(builder)->values[node->inputs[0]].type,
                                .count = ood_posts_count(builder, node->outputs[0]) };
    struct ood_operand operands[3];
    plain_walk(x, reduced, &state.walk, &state.elements);
    return ood_builder_input(builder, node->inputs[0], OOD_PLAIN, &operands[0], err) &&
           ood_builder_output(builder, node->outputs[0], OOD_PLAIN, &operands[1], err) &&
           ood_builder_scratch(builder, 3 * state.count * sizeof(double), &operands[2], err) &&
           ood_builder_step(builder, &(struct ood_step_spec){ .node = node, .kernel = "own:reduce_integers", .run = run_plain,
                                                              .state = &state, .state_size = sizeof state, .operands = operands,
                                                              .operand_count = 3 }, err);
}

/* ---- lower ---- */

static bool lower(struct ood_builder *builder, const struct ood_node *node, axes_function *axes, struct ood_error *err)
{
    const struct reduction *reduction = node->op->detail;
    const struct ood_graph *graph = ood_builder_graph(builder);
    const struct ood_shape x = ood_builder_shape(builder, node->inputs[0]);
    struct ood_shape kept = x;
    struct reduce state = { .kernels = ood_builder_kernels(builder), .first = reduction->first, .next = reduction->next,
                            .step_count = reduction->step_count, .step = reduction->step };
    struct ood_operand source, target;
    bool reduced[OOD_MAX_RANK] = { false };
    enum ood_layout layout = ood_builder_layout(builder, node->inputs[0]);
    if (!axes(graph, node, x.rank, reduced, err))
        return false;
    if (graph->values[node->inputs[0]].type != OOD_FLOAT32)
        return lower_integers(builder, node, &x, reduced, err);
    if (layout == OOD_NHWC && !reduced[0] && !reduced[1] && reduced[2] && reduced[3] && !reduction->exponentials) {
        state.passes[0] = (struct pass){ (size_t)x.dims[0], (size_t)(x.dims[2] * x.dims[3]), (size_t)x.dims[1] };
        state.pass_count = 1;
    } else {
        layout = OOD_PLAIN;
        describe(&x, reduced, &state);
    }
    state.count = ood_posts_count(builder, node->outputs[0]);
    for (size_t i = 0; i < x.rank; i++)
        kept.dims[i] = reduced[i] ? 1 : x.dims[i];
    if (!ood_builder_input(builder, node->inputs[0], layout, &source, err) ||
        !ood_builder_output(builder, node->outputs[0], layout, &target, err))
        return false;
    return reduction->exponentials ? lower_exponentials(builder, node, &x, &kept, &state, source, target, err)
                                   : add_reduce(builder, node, &state, source, target, err);
}

static bool reduce_lower(struct ood_builder *builder, const struct ood_node *node, struct ood_error *err)
{
    return lower(builder, node, reduce_axes, err);
}

static bool pool_lower(struct ood_builder *builder, const struct ood_node *node, struct ood_error *err)
{
    return lower(builder, node, pool_axes, err);
}

/* ---- backward: means over rows and columns ---- */

struct spread { const struct ood_kernels *kernels; size_t pictures, area, channels; bool add; };

static void run_spread(const void *state, void *const *memory)
{
    const struct spread *s = state;
    const float *g = memory[0];
    float *dx = memory[1];
    for (size_t p = 0; p < s->pictures; p++, g += s->channels)
        for (size_t r = 0; r < s->area; r++, dx += s->channels)
            for (size_t c = 0; c < s->channels; c++)
                dx[c] = g[c] / (float)s->area + (s->add ? dx[c] : 0);
}

static bool mean_backward(struct ood_tape *tape, const struct ood_node *node, axes_function *axes, struct ood_error *err)
{
    struct ood_builder *builder = ood_tape_builder(tape);
    const struct ood_shape x = ood_builder_shape(builder, node->inputs[0]);
    struct spread state = { ood_builder_kernels(builder), (size_t)x.dims[0], 1, (size_t)x.dims[1], false };
    struct ood_operand operands[2];
    bool reduced[OOD_MAX_RANK] = { false };
    if (!axes(ood_builder_graph(builder), node, x.rank, reduced, err))
        return false;
    if (x.rank != 4 || reduced[0] || reduced[1] || !reduced[2] || !reduced[3])
        return ood_node_fail(node, err, OOD_UNSUPPORTED, "a mean over other axes than rows and columns cannot be trained through");
    state.area = (size_t)(x.dims[2] * x.dims[3]);
    if (!ood_tape_wants(tape, node->inputs[0]))
        return true;
    if (!ood_tape_gradient(tape, node->outputs[0], &operands[0], err) ||
        !ood_tape_gradient_into(tape, node->inputs[0], OOD_NONE, &operands[1], &state.add, err))
        return false;
    const struct ood_step_spec step = { .node = node, .kernel = state.kernels->name.reduce, .run = run_spread, .state = &state,
                                        .state_size = sizeof state, .operands = operands, .operand_count = 2 };
    return ood_builder_step(builder, &step, err);
}

static bool reduce_mean_backward(struct ood_tape *tape, const struct ood_node *node, struct ood_error *err)
{
    return mean_backward(tape, node, reduce_axes, err);
}

static bool average_pool_backward(struct ood_tape *tape, const struct ood_node *node, struct ood_error *err)
{
    return mean_backward(tape, node, pool_axes, err);
}

/* A global pool only where its axes are rows and columns: who reads the trait compares the shapes. */
#define REDUCE(row, op_name, first_opset, last_opset, inputs, ...)                                                     \
    const struct ood_op ood_op_##row = {                                                                              \
        .name = op_name, .since = first_opset, .until = last_opset, .least_inputs = 1, .most_inputs = inputs,         \
        .shape = reduce_shape, .evaluate = reduce_evaluate, .lower = reduce_lower, __VA_ARGS__                        \
    };

/* Rows before and since axes are an input; how they reduce. */
#define REDUCES(row, op_name, input_opset, ...)                                                                        \
    static const struct reduction row##_reduction = { .axes_input = input_opset, __VA_ARGS__ };                       \
    REDUCE(row, op_name, 1, input_opset - 1, 1, .detail = &row##_reduction)                                           \
    REDUCE(row##_##input_opset, op_name, input_opset, 0, 2, .decided_by = 1 << 1, .detail = &row##_reduction)

#define SQUARE_ROOT .step_count = 1, .step = { .function = OOD_UNARY_SQRT }
#define LOGARITHM .step_count = 1, .step = { .function = OOD_UNARY_LOG }

REDUCES(reduce_l1, "ReduceL1", 18, .first = OOD_REDUCE_SUM_ABS, .next = OOD_REDUCE_SUM, .integers = true)
REDUCES(reduce_l2, "ReduceL2", 18, .first = OOD_REDUCE_SUM_SQUARE, .next = OOD_REDUCE_SUM, SQUARE_ROOT)
REDUCES(reduce_log_sum, "ReduceLogSum", 18, .first = OOD_REDUCE_SUM, .next = OOD_REDUCE_SUM, LOGARITHM)
REDUCES(reduce_log_sum_exp, "ReduceLogSumExp", 18, .first = OOD_REDUCE_SUM, .next = OOD_REDUCE_SUM, .exponentials = true)
REDUCES(reduce_max, "ReduceMax", 18, .first = OOD_REDUCE_MAX, .next = OOD_REDUCE_MAX, .integers = true)
REDUCES(reduce_min, "ReduceMin", 18, .first = OOD_REDUCE_MIN, .next = OOD_REDUCE_MIN, .integers = true)
REDUCES(reduce_prod, "ReduceProd", 18, .first = OOD_REDUCE_PROD, .next = OOD_REDUCE_PROD, .integers = true)
REDUCES(reduce_sum, "ReduceSum", 13, .first = OOD_REDUCE_SUM, .next = OOD_REDUCE_SUM, .integers = true)
REDUCES(reduce_sum_square, "ReduceSumSquare", 18, .first = OOD_REDUCE_SUM_SQUARE, .next = OOD_REDUCE_SUM, .integers = true)

/* Over the last axis alone, kept as 1: half of a LayerNormalization. */
static bool mean_of_last(const struct ood_graph *graph, const struct ood_node *node)
{
    struct ood_error ignored = { 0 };
    const size_t rank = ood_node_input(graph, node, 0)->shape.rank;
    bool reduced[OOD_MAX_RANK] = { false };
    if (rank < 1 || ood_node_int(node, "keepdims", 1) == 0 || !reduce_axes(graph, node, rank, reduced, &ignored))
        return false;
    for (size_t i = 0; i + 1 < rank; i++)
        if (reduced[i])
            return false;
    return reduced[rank - 1];
}

#define LAYER_NORM_PARTS .last_mean = mean_of_last, .whole = &ood_op_layer_norm
static const struct reduction mean_reduction = { .axes_input = 18, .first = OOD_REDUCE_MEAN, .next = OOD_REDUCE_MEAN };
REDUCE(reduce_mean, "ReduceMean", 1, 17, 1, .traits = OOD_OP_POOL_GLOBAL, .backward = reduce_mean_backward, .detail = &mean_reduction, LAYER_NORM_PARTS)
REDUCE(reduce_mean_18, "ReduceMean", 18, 0, 2, .traits = OOD_OP_POOL_GLOBAL, .backward = reduce_mean_backward, .detail = &mean_reduction, LAYER_NORM_PARTS)

const struct ood_op ood_op_global_average_pool = {
    .name = "GlobalAveragePool", .since = 1, .least_inputs = 1, .most_inputs = 1, .traits = OOD_OP_POOL_GLOBAL,
    .shape = pool_shape, .lower = pool_lower, .backward = average_pool_backward, .detail = &mean_reduction,
};

static const struct reduction max_reduction = { .first = OOD_REDUCE_MAX, .next = OOD_REDUCE_MAX };

const struct ood_op ood_op_global_max_pool = {
    .name = "GlobalMaxPool", .since = 1, .least_inputs = 1, .most_inputs = 1, .traits = OOD_OP_POOL_GLOBAL,
    .shape = pool_shape, .lower = pool_lower, .detail = &max_reduction,
};
