/* Gemm (ONNX opset 7 on) and MatMul (1 on), on our own product. A constant B is packed once; a computed one at every run, in
 * scratch. A bias rides along in the product; whatever else Gemm's C may be is a pass behind it. */
#include <string.h>

#include "ops/gradient_internal.h"
#include "ops/ops.h"
#include "ops/posts_internal.h"

/* y = A · B (+ bias) for `groups` pairs of matrices, or one where B is shared: then all rows of A are rows of one product. */
struct product {
    const struct ood_kernels *kernels;
    size_t m, k, n;
    bool packed;                             /* memory[1] is packed already */
    bool turned;                             /* A lies [k][m] */
    bool bias, sum;
    size_t row_stride, column_stride;        /* of B, not packed */
    float alpha;                             /* times B, not packed */
    size_t groups, rank;                     /* outer dims, for walking A's and B's */
    size_t dims[OOD_MAX_RANK], a_strides[OOD_MAX_RANK], b_strides[OOD_MAX_RANK];     /* in matrices */
    struct ood_steps steps;
};

/* memory: A, B, output, then bias, sum, scratch for packed B, scratch for turned A, as far as there are. */
static void run_product(const void *state, void *const *memory)
{
    const struct product *s = state;
    const float *a = memory[0], *b = memory[1];
    size_t next = 3;
    const float *bias = s->bias ? memory[next++] : NULL;
    const float *sum = s->sum ? memory[next++] : NULL;
    float *packed = s->packed ? NULL : memory[next++];
    if (s->turned) {
        s->kernels->transpose(memory[next], a, 1, s->k, s->m);
        a = memory[next];
    }
    for (size_t group = 0, last_b = SIZE_MAX; group < s->groups; group++) {
        size_t rest = group, at_a = 0, at_b = 0;
        for (size_t d = s->rank; d-- > 0; rest /= s->dims[d]) {
            at_a += rest % s->dims[d] * s->a_strides[d];
            at_b += rest % s->dims[d] * s->b_strides[d];
        }
        if (!s->packed && at_b != last_b) {
            s->kernels->pack_b(packed, b + at_b * s->k * s->n, s->k, s->n, s->row_stride, s->column_stride);
            for (size_t i = 0, count = s->alpha == 1 ? 0 : s->kernels->packed_b_floats(s->k, s->n); i < count; i++)
                packed[i] *= s->alpha;
            last_b = at_b;
        }
        s->kernels->product((float *)memory[2] + group * s->m * s->n, a + at_a * s->m * s->k, s->packed ? b : packed, bias,
                            sum != NULL ? sum + group * s->m * s->n : NULL, s->m, s->k, s->n, s->steps.steps, s->steps.count);
    }
}

/* ---- B known at load ---- */

struct packing { const struct ood_kernels *kernels; float *b; size_t k, n, row_stride, column_stride, floats; float alpha; bool spend; };

#define PIECE 64                             /* columns packed before their source is given back: whole panels of every instruction set */

static bool fill_packed(void *memory, const void *context, struct ood_error *err)
{
    const struct packing *p = context;
    float *packed = memory;
    (void)err;
    for (size_t j = 0; p->spend && j < p->n; j += PIECE) {           /* columns lie one behind the other */
        const size_t columns = p->n - j < PIECE ? p->n - j : PIECE;
        p->kernels->pack_b(packed + p->kernels->packed_b_floats(p->k, j), p->b + j * p->k, p->k, columns, 1, p->k);
        ood_forget(p->b + j * p->k, columns * p->k * sizeof(float));
    }
    if (!p->spend)
        p->kernels->pack_b(packed, p->b, p->k, p->n, p->row_stride, p->column_stride);
    for (size_t i = 0; p->alpha != 1 && i < p->floats; i++)
        packed[i] *= p->alpha;
    return true;
}

/* Operand 1: packed B where it is a constant matrix; else B as it lies, and scratch to pack it in. */
static bool place_b(struct ood_builder *builder, const struct ood_node *node, bool one_matrix, struct product *state,
                    struct ood_operand *b, struct ood_operand *scratch, struct ood_error *err)
{
    const struct ood_tensor *constant = ood_builder_constant(builder, node->inputs[1]);
    size_t floats = state->kernels->packed_b_floats(state->k, state->n);
    if (floats == 0 && state->k > 0 && state->n > 0)
        return ood_node_fail(node, err, OOD_LIMIT, "a matrix of %zu by %zu is too large", state->k, state->n);
    state->packed = constant != NULL && one_matrix;
    if (!state->packed)
        return ood_builder_input(builder, node->inputs[1], OOD_PLAIN, b, err) &&
               ood_builder_scratch(builder, floats * sizeof(float), scratch, err);
    const struct packing context = { state->kernels, ood_f32(constant), state->k, state->n, state->row_stride, state->column_stride, floats,
                                     state->alpha, state->row_stride == 1 && ood_builder_sole(builder, node->inputs[1]) };
    *b = (struct ood_operand){ .buffer = OOD_NONE };
    b->weights = ood_builder_weights(builder, node, "packed", floats * sizeof(float), fill_packed, &context, err);
    if (b->weights != NULL)
        ood_builder_spent(builder, node->inputs[1], true);
    return b->weights != NULL;
}

/* The output. A sum that follows the product at once rides along; the output goes over it where nobody reads it later, the product does not
 * read it and k is one run. */
static bool place_output(struct ood_builder *builder, const struct ood_node *node, const struct ood_posts *posts, struct product *state,
                         struct ood_operand operands[3], struct ood_operand *sum, struct ood_error *err)
{
    state->sum = posts->sum_count > 0 && posts->before.count == 0;
    if (!state->sum)
        return ood_builder_output(builder, node->outputs[0], OOD_PLAIN, &operands[2], err);
    state->steps = posts->after[0];
    if (!ood_builder_input(builder, posts->sums[0], OOD_PLAIN, sum, err))
        return false;
    const bool apart = state->k > OOD_PRODUCT_RUN || sum->buffer == operands[0].buffer || sum->buffer == operands[1].buffer;
    return ood_posts_output(builder, node, posts, 1, posts->sums, sum, apart ? 0 : 1, OOD_PLAIN, &operands[2], err);
}

/* The step; operands 0 to 2, the bias and the sum are placed. */
static bool add_product(struct ood_builder *builder, const struct ood_node *node, const struct product *state,
                        const struct ood_operand base[3], const struct ood_operand *bias, const struct ood_operand *sum,
                        const struct ood_operand *scratch, struct ood_error *err)
{
    struct ood_operand operands[7] = { base[0], base[1], base[2] };
    size_t count = 3;
    if (state->bias)
        operands[count++] = *bias;
    if (state->sum)
        operands[count++] = *sum;
    if (!state->packed)
        operands[count++] = *scratch;
    if (state->turned && !ood_builder_scratch(builder, state->m * state->k * sizeof(float), &operands[count++], err))
        return false;
    struct ood_step_spec step = {
        .node = node, .kernel = state->kernels->name.product, .run = run_product, .state = state, .state_size = sizeof *state,
        .operands = operands, .operand_count = count,
        .flops = 2 * (double)state->groups * (double)state->m * (double)state->k * (double)state->n
    };
    return ood_builder_step(builder, &step, err);
}

/* ---- Gemm ---- */

struct gemm { bool turn_a, turn_b; float alpha, beta; };

static struct gemm gemm_of(const struct ood_node *node)
{
    return (struct gemm){ ood_node_int(node, "transA", 0) != 0, ood_node_int(node, "transB", 0) != 0,
                          ood_node_float(node, "alpha", 1), ood_node_float(node, "beta", 1) };
}

static bool gemm_shape(struct ood_graph *graph, const struct ood_node *node, struct ood_error *err)
{
    const struct ood_value *a = ood_node_input(graph, node, 0), *b = ood_node_input(graph, node, 1), *c = ood_node_input(graph, node, 2);
    const struct gemm gemm = gemm_of(node);
    char a_text[OOD_SHAPE_TEXT], b_text[OOD_SHAPE_TEXT];
    struct ood_shape together;
    if (a->type != OOD_FLOAT32 || b->type != OOD_FLOAT32 || (c != NULL && c->type != OOD_FLOAT32))
        return ood_node_fail(node, err, OOD_UNSUPPORTED, "inputs are %s and %s; expected float32", ood_type_name(a->type), ood_type_name(b->type));
    if (a->shape.rank != 2 || b->shape.rank != 2 || a->shape.dims[gemm.turn_a ? 0 : 1] != b->shape.dims[gemm.turn_b ? 1 : 0])
        return ood_node_fail(node, err, OOD_INVALID, "shapes %s%s and %s%s do not multiply", ood_shape_print(&a->shape, a_text),
                             gemm.turn_a ? " (transposed)" : "", ood_shape_print(&b->shape, b_text), gemm.turn_b ? " (transposed)" : "");
    if (ood_dim_is_batch(a->shape.dims[gemm.turn_a ? 0 : 1]))
        return ood_node_fail(node, err, OOD_UNSUPPORTED, "the product sums over the batch: pictures would depend on each other");
    struct ood_shape shape = ood_shape_of(2, a->shape.dims[gemm.turn_a ? 1 : 0], b->shape.dims[gemm.turn_b ? 0 : 1]);
    if (c != NULL && (!ood_shape_broadcast(&c->shape, &shape, &together) || !ood_shape_equal(&together, &shape)))
        return ood_node_fail(node, err, OOD_INVALID, "C of shape %s does not broadcast to %s", ood_shape_print(&c->shape, a_text),
                             ood_shape_print(&shape, b_text));
    return ood_graph_set_output(graph, node, 0, OOD_FLOAT32, &shape, err);
}

struct bias { const struct ood_tensor *c, *fused; float beta; size_t n; };

static bool fill_bias(void *memory, const void *context, struct ood_error *err)
{
    const struct bias *b = context;
    float *out = memory;
    (void)err;
    for (size_t i = 0; i < b->n; i++) {
        double own = b->c == NULL ? 0 : (double)b->beta * (double)ood_f32(b->c)[b->c->count == 1 ? 0 : i];
        out[i] = (float)(own + (b->fused == NULL ? 0 : (double)ood_f32(b->fused)[i]));
    }
    return true;
}

/* Is C a constant that is the same for every row? */
static bool is_bias(const struct ood_value *c)
{
    return c->constant != NULL && (c->shape.rank < 2 || c->shape.dims[0] == 1);
}

/* beta · C and the bias a pass found, where they are constants of n (or one) numbers. *there: is there any? */
static bool place_bias(struct ood_builder *builder, const struct ood_node *node, const struct ood_value *c, float beta, size_t n,
                       struct ood_operand *out, bool *there, struct ood_error *err)
{
    const struct ood_graph *graph = ood_builder_graph(builder);
    struct bias context = { .beta = beta, .n = n };
    context.c = c != NULL && is_bias(c) ? c->constant : NULL;
    context.fused = node->fused_bias == OOD_NONE ? NULL : graph->values[node->fused_bias].constant;
    *there = context.c != NULL || context.fused != NULL;
    if (!*there)
        return true;
    if (context.fused != NULL && context.fused->count != n)
        return ood_node_fail(node, err, OOD_INVALID, "a bias of %zu numbers; expected %zu", context.fused->count, n);
    *out = (struct ood_operand){ .buffer = OOD_NONE };
    out->weights = ood_builder_weights(builder, node, "bias", n * sizeof(float), fill_bias, &context, err);
    return out->weights != NULL;
}

/* ---- Gemm's C that is no bias ---- */

struct addend { const struct ood_kernels *kernels; size_t c_count; float beta; struct ood_broadcast scaling, walk; struct ood_steps steps; };

static void run_addend(const void *state, void *const *memory)
{
    const struct addend *s = state;
    s->kernels->broadcast(OOD_BINARY_MUL, memory[2], memory[1], &s->beta, &s->scaling, NULL, 0);
    s->kernels->broadcast(OOD_BINARY_ADD, memory[0], memory[0], memory[2], &s->walk, s->steps.steps, s->steps.count);
}

static bool add_addend(struct ood_builder *builder, const struct ood_node *node, uint32_t c, size_t m, size_t n, float beta,
                       const struct ood_steps *steps, struct ood_operand output, struct ood_error *err)
{
    const struct ood_shape shape = ood_builder_shape(builder, c);
    size_t columns = shape.rank < 1 ? 1 : (size_t)shape.dims[shape.rank - 1], rows = shape.rank < 2 ? 1 : (size_t)shape.dims[0];
    struct addend state = { .kernels = ood_builder_kernels(builder), .c_count = rows * columns, .beta = beta, .steps = *steps };
    struct ood_operand operands[3] = { output };
    if (!ood_broadcast_make(&state.scaling, 1, &state.c_count, (size_t[]){ 1 }, (size_t[]){ 0 }) ||
        !ood_broadcast_make(&state.walk, 2, (size_t[]){ m, n }, (size_t[]){ n, 1 },
                            (size_t[]){ rows == 1 ? 0 : columns, columns == 1 ? 0 : 1 }))
        return ood_node_fail(node, err, OOD_UNSUPPORTED, "C does not lie in rows");
    struct ood_step_spec step = {
        .node = node, .kernel = state.kernels->name.binary, .run = run_addend, .state = &state, .state_size = sizeof state,
        .operands = operands, .operand_count = 3, .flops = (double)m * (double)n * (double)(1 + steps->count)
    };
    return ood_builder_input(builder, c, OOD_PLAIN, &operands[1], err) &&
           ood_builder_scratch(builder, state.c_count * sizeof(float), &operands[2], err) && ood_builder_step(builder, &step, err);
}

static bool gemm_lower(struct ood_builder *builder, const struct ood_node *node, struct ood_error *err)
{
    static const struct ood_steps nothing = { 0 };
    const struct gemm gemm = gemm_of(node);
    const struct ood_shape b = ood_builder_shape(builder, node->inputs[1]), y = ood_builder_shape(builder, node->outputs[0]);
    const struct ood_value *c = ood_node_input(ood_builder_graph(builder), node, 2);
    struct product state = {
        .kernels = ood_builder_kernels(builder), .m = (size_t)y.dims[0], .k = (size_t)b.dims[gemm.turn_b ? 1 : 0],
        .n = (size_t)y.dims[1], .turned = gemm.turn_a, .alpha = gemm.alpha, .groups = 1
    };
    state.row_stride = gemm.turn_b ? 1 : state.n;
    state.column_stride = gemm.turn_b ? state.k : 1;
    struct ood_operand operands[3], bias = { 0 }, sum = { 0 }, scratch = { 0 };
    struct ood_posts posts;
    bool addend = c != NULL && !is_bias(c);
    ood_posts_read(node, &posts);
    state.steps = addend ? nothing : posts.before;
    return ood_builder_input(builder, node->inputs[0], OOD_PLAIN, &operands[0], err) &&
           place_b(builder, node, true, &state, &operands[1], &scratch, err) &&
           place_bias(builder, node, c, gemm.beta, state.n, &bias, &state.bias, err) &&
           (addend ? ood_builder_output(builder, node->outputs[0], OOD_PLAIN, &operands[2], err)
                   : place_output(builder, node, &posts, &state, operands, &sum, err)) &&
           add_product(builder, node, &state, operands, &bias, &sum, &scratch, err) &&
           (!addend || add_addend(builder, node, node->inputs[2], state.m, state.n, gemm.beta, &posts.before, operands[2], err)) &&
           ood_posts_sums(builder, node, &posts, state.sum, operands[2], OOD_PLAIN, err);
}

/* ---- MatMul ---- */

/* A vector is a matrix of one row (a) or one column (b). */
static struct ood_shape as_matrix(const struct ood_shape *shape, bool column)
{
    if (shape->rank != 1)
        return *shape;
    return column ? ood_shape_of(2, shape->dims[0], INT64_C(1)) : ood_shape_of(2, INT64_C(1), shape->dims[0]);
}

/* The dims before the matrix. */
static struct ood_shape outer_of(const struct ood_shape *matrix)
{
    struct ood_shape outer = *matrix;
    outer.rank -= 2;
    return outer;
}

static bool matmul_shape(struct ood_graph *graph, const struct ood_node *node, struct ood_error *err)
{
    const struct ood_value *a = ood_node_input(graph, node, 0), *b = ood_node_input(graph, node, 1);
    const struct ood_shape left = as_matrix(&a->shape, false), right = as_matrix(&b->shape, true);
    struct ood_shape shape;
    char a_text[OOD_SHAPE_TEXT], b_text[OOD_SHAPE_TEXT];
    if (a->type != OOD_FLOAT32 || b->type != OOD_FLOAT32)
        return ood_node_fail(node, err, OOD_UNSUPPORTED, "inputs are %s and %s; expected float32", ood_type_name(a->type), ood_type_name(b->type));
    bool fits = a->shape.rank > 0 && b->shape.rank > 0 && left.dims[left.rank - 1] == right.dims[right.rank - 2];
    if (fits) {
        const struct ood_shape a_outer = outer_of(&left), b_outer = outer_of(&right);
        fits = ood_shape_broadcast(&a_outer, &b_outer, &shape);
    }
    if (!fits)
        return ood_node_fail(node, err, OOD_INVALID, "shapes %s and %s do not multiply", ood_shape_print(&a->shape, a_text),
                             ood_shape_print(&b->shape, b_text));
    if (ood_dim_is_batch(left.dims[left.rank - 1]))
        return ood_node_fail(node, err, OOD_UNSUPPORTED, "the product sums over the batch: pictures would depend on each other");
    if (a->shape.rank > 1)
        shape.dims[shape.rank++] = left.dims[left.rank - 2];
    if (b->shape.rank > 1)
        shape.dims[shape.rank++] = right.dims[right.rank - 1];
    return ood_graph_set_output(graph, node, 0, OOD_FLOAT32, &shape, err);
}

/* How many matrices apart neighbours along each of the output's outer dims lie; 0 where they are the same. */
static void outer_strides(const struct ood_shape *outer, size_t rank, size_t strides[OOD_MAX_RANK])
{
    size_t stride = 1;
    for (size_t i = 0; i < rank; i++) {
        size_t dim = i < outer->rank ? (size_t)outer->dims[outer->rank - 1 - i] : 1;
        strides[rank - 1 - i] = dim == 1 ? 0 : stride;
        stride *= dim;
    }
}

static void describe(const struct ood_shape *a, const struct ood_shape *b, struct product *state)
{
    const struct ood_shape left = as_matrix(a, false), right = as_matrix(b, true);
    const struct ood_shape a_outer = outer_of(&left), b_outer = outer_of(&right);
    struct ood_shape outer = { 0 };
    bool fits = ood_shape_broadcast(&a_outer, &b_outer, &outer);
    state->m = (size_t)left.dims[left.rank - 2];
    state->k = (size_t)left.dims[left.rank - 1];
    state->n = (size_t)right.dims[right.rank - 1];
    state->row_stride = state->n;
    state->column_stride = 1;
    state->groups = fits ? 1 : 0;                    /* shape() saw that they fit */
    if (right.rank == 2) {                           /* one B: all rows of A at once */
        for (size_t i = 0; i < a_outer.rank; i++)
            state->m *= (size_t)a_outer.dims[i];
        return;
    }
    state->rank = outer.rank;
    for (size_t i = 0; i < outer.rank; i++)
        state->groups *= state->dims[i] = (size_t)outer.dims[i];
    outer_strides(&a_outer, outer.rank, state->a_strides);
    outer_strides(&b_outer, outer.rank, state->b_strides);
}

static bool matmul_lower(struct ood_builder *builder, const struct ood_node *node, struct ood_error *err)
{
    const struct ood_shape a = ood_builder_shape(builder, node->inputs[0]), b = ood_builder_shape(builder, node->inputs[1]);
    struct product state = { .kernels = ood_builder_kernels(builder), .alpha = 1 };
    struct ood_operand operands[3], bias = { 0 }, sum = { 0 }, scratch = { 0 };
    struct ood_posts posts;
    describe(&a, &b, &state);
    ood_posts_read(node, &posts);
    state.steps = posts.before;
    return ood_builder_input(builder, node->inputs[0], OOD_PLAIN, &operands[0], err) &&
           place_b(builder, node, b.rank <= 2, &state, &operands[1], &scratch, err) &&
           place_bias(builder, node, NULL, 1, state.n, &bias, &state.bias, err) &&
           place_output(builder, node, &posts, &state, operands, &sum, err) &&
           add_product(builder, node, &state, operands, &bias, &sum, &scratch, err) &&
           ood_posts_sums(builder, node, &posts, state.sum, operands[2], OOD_PLAIN, err);
}

const struct ood_op ood_op_gemm = {
    .name = "Gemm", .since = 7, .least_inputs = 2, .most_inputs = 3, .traits = OOD_OP_LINEAR | OOD_OP_TAKES_POSTS,
    .shape = gemm_shape, .lower = gemm_lower, .train = ood_gemm_train, .backward = ood_gemm_backward,
};

static bool is_products(const struct ood_graph *graph, const struct ood_node *node, bool *turned)
{
    const struct ood_shape *a = &graph->values[node->inputs[0]].shape, *b = &graph->values[node->inputs[1]].shape;
    bool same = a->rank == b->rank && a->rank >= 3;
    for (size_t i = 0; same && i + 2 < a->rank; i++)
        same = a->dims[i] == b->dims[i];
    *turned = false;
    return same;
}

const struct ood_op ood_op_matmul = {
    .name = "MatMul", .since = 1, .least_inputs = 2, .most_inputs = 2, .traits = OOD_OP_LINEAR | OOD_OP_TAKES_POSTS,
    .shape = matmul_shape, .lower = matmul_lower, .products = is_products, .train = ood_gemm_train, .backward = ood_gemm_backward,
};
