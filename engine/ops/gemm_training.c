/* Gemm and MatMul in training, where they are a layer: y = A · B + bias with a parameter B (and bias), A computed. */
#include <string.h>

#include "ops/gradient_internal.h"
#include "ops/posts_internal.h"

struct layer {
    const struct ood_kernels *kernels;
    size_t m, k, n;                          /* y [m][n] = A [m][k] · B [k][n] */
    bool turned;                             /* B lies [n][k] */
    uint32_t bias;                           /* value, or OOD_NONE */
};

static bool layer_of(struct ood_tape *tape, const struct ood_node *node, struct layer *out, struct ood_error *err)
{
    const struct ood_builder *builder = ood_tape_builder(tape);
    const struct ood_graph *graph = ood_builder_graph(builder);
    const struct ood_shape a = ood_builder_shape(builder, node->inputs[0]);
    const struct ood_value *b = ood_node_input(graph, node, 1), *c = ood_node_input(graph, node, 2);
    if (b->constant == NULL || b->shape.rank != 2)
        return ood_node_fail(node, err, OOD_UNSUPPORTED, "a product by \"%s\", which is no constant matrix, cannot be trained through", b->name);
    if (ood_node_int(node, "transA", 0) != 0 || ood_node_float(node, "alpha", 1) != 1 || (c != NULL && ood_node_float(node, "beta", 1) != 1))
        return ood_node_fail(node, err, OOD_UNSUPPORTED, "transA, alpha or beta other than 0, 1, 1 cannot be trained through");
    *out = (struct layer){ .kernels = ood_builder_kernels(builder), .turned = ood_node_int(node, "transB", 0) != 0, .m = 1,
                           .bias = c != NULL ? node->inputs[2] : OOD_NONE };
    out->k = (size_t)b->shape.dims[out->turned ? 1 : 0];
    out->n = (size_t)b->shape.dims[out->turned ? 0 : 1];
    for (size_t i = 0; i + 1 < a.rank; i++)
        out->m *= (size_t)a.dims[i];
    if (c != NULL && (c->constant == NULL || c->constant->count != out->n))
        return ood_node_fail(node, err, OOD_UNSUPPORTED, "C (\"%s\") is no bias of %zu numbers: it cannot be trained", c->name, out->n);
    return true;
}

/* ---- forward ---- */

/* B, or its transpose, in the product's form. */
struct packing { const struct ood_kernels *kernels; size_t k, n, row_stride, column_stride; };

static void run_pack(const void *state, void *const *memory)
{
    const struct packing *p = state;
    p->kernels->pack_b(memory[1], memory[0], p->k, p->n, p->row_stride, p->column_stride);
}

static bool add_packing(struct ood_tape *tape, const struct ood_node *node, const struct packing *packing, struct ood_operand weights,
                        struct ood_operand *out, struct ood_error *err)
{
    const size_t floats = packing->kernels->packed_b_floats(packing->k, packing->n);
    if (floats == 0)
        return ood_node_fail(node, err, OOD_LIMIT, "the weights are too large");
    if (!ood_tape_shared(tape, node, NULL, floats * sizeof(float), out, err))
        return false;
    const struct ood_operand operands[] = { weights, *out };
    const struct ood_step_spec step = { .node = node, .kernel = packing->kernels->name.product, .run = run_pack, .state = packing,
                                        .state_size = sizeof *packing, .operands = operands, .operand_count = 2 };
    return ood_tape_prepare(tape, &step, err);
}

/* memory: A, packed B, y, bias if there is one. */
static void run_forward(const void *state, void *const *memory)
{
    const struct layer *l = state;
    l->kernels->product(memory[2], memory[0], memory[1], l->bias != OOD_NONE ? memory[3] : NULL, NULL, l->m, l->k, l->n, NULL, 0);
}

static struct ood_step_spec step_of(const struct ood_node *node, const struct layer *layer, ood_step_run *run, const struct ood_operand *operands,
                                    size_t count)
{
    return (struct ood_step_spec){ .node = node, .kernel = layer->kernels->name.product, .run = run, .state = layer, .state_size = sizeof *layer,
                                   .operands = operands, .operand_count = count,
                                   .flops = 2.0 * (double)layer->m * (double)layer->k * (double)layer->n };
}

bool ood_gemm_train(struct ood_tape *tape, const struct ood_node *node, struct ood_error *err)
{
    struct ood_builder *builder = ood_tape_builder(tape);
    struct layer layer;
    struct ood_operand operands[4], weights;
    if (!layer_of(tape, node, &layer, err) || !ood_tape_parameter(tape, node, node->inputs[1], OOD_PARAMETER_WEIGHTS, &weights, err) ||
        (layer.bias != OOD_NONE && !ood_tape_parameter(tape, node, layer.bias, OOD_PARAMETER_PLAIN, &operands[3], err)))
        return false;
    const struct packing packing = { layer.kernels, layer.k, layer.n, layer.turned ? 1 : layer.n, layer.turned ? layer.k : 1 };
    if (!add_packing(tape, node, &packing, weights, &operands[1], err) ||
        !ood_builder_input(builder, node->inputs[0], OOD_PLAIN, &operands[0], err) ||
        !ood_builder_output(builder, node->outputs[0], OOD_PLAIN, &operands[2], err))
        return false;
    const struct ood_step_spec step = step_of(node, &layer, run_forward, operands, layer.bias != OOD_NONE ? 4 : 3);
    return ood_builder_step(builder, &step, err);
}

/* ---- backward ---- */

/* memory: dy [m][n], packed Bᵀ, dA [m][k]. */
static void run_data(const void *state, void *const *memory)
{
    const struct layer *l = state;
    l->kernels->product(memory[2], memory[0], memory[1], NULL, NULL, l->m, l->n, l->k, NULL, 0);
}

/* memory: dy, A, dB, scratch for the left factor turned, scratch for the right one packed. dB [n][k] = dyᵀ · A or [k][n] = Aᵀ · dy. */
static void run_weights(const void *state, void *const *memory)
{
    const struct layer *l = state;
    const float *left = l->turned ? memory[0] : memory[1], *right = l->turned ? memory[1] : memory[0];
    const size_t rows = l->turned ? l->n : l->k, columns = l->turned ? l->k : l->n;
    l->kernels->transpose(memory[3], left, 1, l->m, rows);
    l->kernels->pack_b(memory[4], right, l->m, columns, columns, 1);
    l->kernels->product(memory[2], memory[3], memory[4], NULL, NULL, rows, l->m, columns, NULL, 0);
}

struct sum { const struct ood_kernels *kernels; size_t count; };

static void run_sum(const void *state, void *const *memory)
{
    const struct sum *s = state;
    s->kernels->binary(OOD_BINARY_ADD, memory[1], memory[1], memory[0], s->count, NULL, 0);
}

static bool weights_gradient(struct ood_tape *tape, const struct ood_node *node, const struct layer *layer, struct ood_operand dy,
                             struct ood_error *err)
{
    struct ood_builder *builder = ood_tape_builder(tape);
    const size_t columns = layer->turned ? layer->k : layer->n, rows = layer->turned ? layer->n : layer->k, floats = layer->k * layer->n;
    struct ood_operand operands[5] = { dy }, gradient;
    bool add;
    if (!ood_tape_parameter_gradient(tape, node->inputs[1], &gradient, &add, err) ||
        !ood_builder_input(builder, node->inputs[0], OOD_PLAIN, &operands[1], err) ||
        !ood_builder_scratch(builder, layer->m * rows * sizeof(float), &operands[3], err) ||
        !ood_builder_scratch(builder, layer->kernels->packed_b_floats(layer->m, columns) * sizeof(float), &operands[4], err))
        return false;
    operands[2] = gradient;
    if (add && !ood_builder_scratch(builder, floats * sizeof(float), &operands[2], err))
        return false;
    const struct ood_step_spec step = step_of(node, layer, run_weights, operands, 5);
    if (!ood_builder_step(builder, &step, err) || !add)
        return !add;
    const struct sum sum = { layer->kernels, floats };
    const struct ood_operand both[] = { operands[2], gradient };
    const struct ood_step_spec adding = { .node = node, .kernel = layer->kernels->name.binary, .run = run_sum, .state = &sum, .state_size = sizeof sum,
                                          .operands = both, .operand_count = 2 };
    return ood_builder_step(builder, &adding, err);
}

bool ood_gemm_backward(struct ood_tape *tape, const struct ood_node *node, struct ood_error *err)
{
    struct ood_builder *builder = ood_tape_builder(tape);
    struct layer layer;
    struct ood_operand operands[3], weights;
    bool add;
    if (!layer_of(tape, node, &layer, err) || !ood_tape_gradient(tape, node->outputs[0], &operands[0], err) ||
        (layer.bias != OOD_NONE && !ood_bias_gradient(tape, node, layer.bias, operands[0], layer.m, layer.n, err)) ||
        !weights_gradient(tape, node, &layer, operands[0], err))
        return false;
    if (!ood_tape_wants(tape, node->inputs[0]))
        return true;
    const struct packing packing = { layer.kernels, layer.n, layer.k, layer.turned ? layer.k : 1, layer.turned ? 1 : layer.n };
    const bool there = ood_tape_has_gradient(tape, node->inputs[0]);
    if (!ood_tape_parameter(tape, node, node->inputs[1], OOD_PARAMETER_WEIGHTS, &weights, err) ||
        !add_packing(tape, node, &packing, weights, &operands[1], err) ||
        !(there ? ood_builder_scratch(builder, layer.m * layer.k * sizeof(float), &operands[2], err)
                : ood_tape_gradient_into(tape, node->inputs[0], OOD_NONE, &operands[2], &add, err)))
        return false;
    const struct ood_step_spec step = step_of(node, &layer, run_data, operands, 3);
    return ood_builder_step(builder, &step, err) && (!there || ood_tape_gradient_add(tape, node, node->inputs[0], operands[2], err));
}
