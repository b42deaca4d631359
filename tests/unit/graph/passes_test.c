/* Each pass, on and off, on small graphs: what is left, and that the graph computes what it did before. */
#include "toy.h"

/* ---- graphs ---- */

static void statistics(struct onnx_writer *w, const char *stem, int64_t channels)
{
    static const char *const parts[] = { "scale", "shift", "mean", "var" };
    for (size_t i = 0; i < 4; i++) {
        char name[40];
        snprintf(name, sizeof name, "%s_%s", stem, parts[i]);
        toy_weights(w, name, DIMS(channels), i == 3 ? 0.1f : -1);
    }
}
#define NORM(w, output, input, stem) toy_node(w, "BatchNormalization", output, input, stem "_scale", stem "_shift", stem "_mean", stem "_var")

static void conv(struct onnx_writer *w, const char *output, const char *input, const char *weights, const char *bias, int64_t group)
{
    char name[40];
    snprintf(name, sizeof name, "n_%s", output);
    onnx_node_begin(w, "Conv", name, (const char *[]){ input, weights, bias }, bias != NULL ? 3 : 2, (const char *[]){ output }, 1);
    onnx_int(w, "group", group);
    onnx_int(w, "toy_pad", 1);
    onnx_node_end(w);
}

static void begin(struct onnx_writer *w)
{
    onnx_model_begin(w, 13);
    onnx_input(w, "x", ONNX_FLOAT, DIMS(-1, 4, 5, 5));
}

static void end(struct onnx_writer *w, const char *output)
{
    onnx_output(w, output);
    onnx_model_end(w);
}

/* Conv (groups) without bias → BN → Relu */
static void conv_norm(struct onnx_writer *w, int64_t group, bool bias)
{
    begin(w);
    toy_weights(w, "w", DIMS(8, 4 / group, 3, 3), -1);
    toy_weights(w, "b", DIMS(8), -1);
    statistics(w, "bn", 8);
    conv(w, "c", "x", "w", bias ? "b" : NULL, group);
    NORM(w, "n", "c", "bn");
    toy_node(w, "Relu", "y", "n");
    end(w, "y");
}
static void conv_norm_plain(struct onnx_writer *w) { conv_norm(w, 1, false); }
static void conv_norm_bias(struct onnx_writer *w) { conv_norm(w, 1, true); }
static void conv_norm_grouped(struct onnx_writer *w) { conv_norm(w, 2, true); }
static void conv_norm_depthwise(struct onnx_writer *w) { conv_norm(w, 4, false); }

/* Conv, Add of [1,8,1,1] on its left, BN: all one Conv. */
static void conv_bias_norm(struct onnx_writer *w)
{
    begin(w);
    toy_weights(w, "w", DIMS(8, 4, 1, 1), -1);
    toy_weights(w, "b", DIMS(1, 8, 1, 1), -1);
    statistics(w, "bn", 8);
    conv(w, "c", "x", "w", NULL, 1);
    toy_node(w, "Add", "a", "b", "c");
    NORM(w, "y", "a", "bn");
    end(w, "y");
}

/* Pre-activation: BN → Relu before the Conv, which cannot take it. */
static void norm_first(struct onnx_writer *w)
{
    begin(w);
    toy_weights(w, "w", DIMS(4, 4, 3, 3), -1);
    statistics(w, "bn", 4);
    NORM(w, "n", "x", "bn");
    toy_node(w, "Relu", "r", "n");
    conv(w, "c", "r", "w", NULL, 1);
    toy_node(w, "Add", "y", "c", "x");
    end(w, "y");
}

/* The Conv's output is read twice: its BN must stay. */
static void norm_of_a_shared_conv(struct onnx_writer *w)
{
    begin(w);
    toy_weights(w, "w", DIMS(4, 4, 3, 3), -1);
    statistics(w, "bn", 4);
    conv(w, "c", "x", "w", NULL, 1);
    NORM(w, "n", "c", "bn");
    toy_node(w, "Add", "y", "n", "c");
    end(w, "y");
}

/* Two Convs share their weights; only one has a BN. */
static void shared_weights(struct onnx_writer *w)
{
    begin(w);
    toy_weights(w, "w", DIMS(4, 4, 3, 3), -1);
    statistics(w, "bn", 4);
    conv(w, "c", "x", "w", NULL, 1);
    NORM(w, "n", "c", "bn");
    conv(w, "d", "n", "w", NULL, 1);
    toy_node(w, "Relu", "y", "d");
    end(w, "y");
}

/* A variance so negative that there is no root: left alone. */
static void norm_not_a_number(struct onnx_writer *w)
{
    begin(w);
    toy_weights(w, "w", DIMS(4, 4, 3, 3), -1);
    statistics(w, "bn", 4);
    onnx_initialiser(w, "v", ONNX_FLOAT, DIMS(4), (float[]){ 1, -2, 1, 1 }, 16);
    conv(w, "c", "x", "w", NULL, 1);
    toy_node(w, "BatchNormalization", "y", "c", "bn_scale", "bn_shift", "bn_mean", "v");
    end(w, "y");
}

/* Residual block with a convolution on the way around; the operands in both orders. */
static void residual(struct onnx_writer *w, bool shortcut_first, bool swapped)
{
    begin(w);
    toy_weights(w, "w1", DIMS(4, 4, 3, 3), -1);
    toy_weights(w, "w2", DIMS(4, 4, 3, 3), -1);
    toy_weights(w, "w3", DIMS(4, 4, 3, 3), -1);
    if (shortcut_first)
        conv(w, "s", "x", "w3", NULL, 1);
    conv(w, "c1", "x", "w1", NULL, 1);
    toy_node(w, "Relu", "r1", "c1");
    conv(w, "c2", "r1", "w2", NULL, 1);
    if (!shortcut_first)
        conv(w, "s", "x", "w3", NULL, 1);
    if (swapped)
        toy_node(w, "Add", "a", "s", "c2");
    else
        toy_node(w, "Add", "a", "c2", "s");
    toy_node(w, "Relu", "y", "a");
    end(w, "y");
}
static void residual_a(struct onnx_writer *w) { residual(w, false, false); }
static void residual_b(struct onnx_writer *w) { residual(w, false, true); }
static void residual_c(struct onnx_writer *w) { residual(w, true, false); }
static void residual_d(struct onnx_writer *w) { residual(w, true, true); }

/* The Conv before the Add is made early, what it is added to late: the Conv moves to the Add's place. */
static void sum_made_late(struct onnx_writer *w)
{
    begin(w);
    toy_weights(w, "w", DIMS(4, 4, 3, 3), -1);
    conv(w, "c", "x", "w", NULL, 1);
    toy_node(w, "Softmax", "s", "x");
    toy_node(w, "Softmax", "t", "s");
    toy_node(w, "Add", "y", "c", "t");
    end(w, "y");
}

/* More activations than a node takes. */
static void many_posts(struct onnx_writer *w)
{
    begin(w);
    toy_weights(w, "w", DIMS(4, 4, 3, 3), -1);
    conv(w, "c", "x", "w", NULL, 1);
    toy_node(w, "Add", "p0", "c", "x");
    toy_begin(w, "LeakyRelu", "p1", "p0");
    onnx_float(w, "alpha", 0.3f);
    toy_end(w);
    toy_node(w, "Add", "p2", "p1", "x");
    toy_node(w, "LeakyRelu", "p3", "p2");
    toy_node(w, "Add", "p4", "p3", "x");
    toy_node(w, "Relu", "y", "p4");
    end(w, "y");
}

/* x + x; a broadcasting Add: neither is a sum of one shape with another value. */
static void no_sums(struct onnx_writer *w)
{
    begin(w);
    toy_weights(w, "w", DIMS(4, 4, 3, 3), -1);
    conv(w, "c", "x", "w", NULL, 1);
    toy_node(w, "Add", "d", "c", "c");
    toy_node(w, "GlobalAveragePool", "p", "d");
    conv(w, "e", "d", "w", NULL, 1);
    toy_node(w, "Add", "y", "e", "p");
    end(w, "y");
}

/* Gemm with alpha, beta, transposed weights and BN; MatMul + Add on stacked rows. */
static void gemm_norm(struct onnx_writer *w)
{
    onnx_model_begin(w, 13);
    onnx_input(w, "x", ONNX_FLOAT, DIMS(-1, 6));
    toy_weights(w, "w", DIMS(5, 6), -1);
    toy_weights(w, "b", DIMS(1, 5), -1);
    statistics(w, "bn", 5);
    toy_begin(w, "Gemm", "g", "x", "w", "b");
    onnx_int(w, "transB", 1);
    onnx_float(w, "alpha", 0.5f);
    onnx_float(w, "beta", 2);
    toy_end(w);
    NORM(w, "n", "g", "bn");
    toy_weights(w, "v", DIMS(5, 3), -1);
    statistics(w, "bm", 3);
    toy_node(w, "MatMul", "m", "n", "v");
    NORM(w, "y", "m", "bm");
    end(w, "y");
}

/* A scalar's beta, and a bias that differs by row: that one stays. */
static void gemm_rows(struct onnx_writer *w)
{
    onnx_model_begin(w, 13);
    onnx_input(w, "x", ONNX_FLOAT, DIMS(TOY_BATCH, 6));
    toy_weights(w, "w", DIMS(6, 5), -1);
    toy_weights(w, "b", DIMS(TOY_BATCH, 5), -1);
    statistics(w, "bn", 5);
    toy_node(w, "Gemm", "g", "x", "w", "b");
    NORM(w, "y", "g", "bn");
    end(w, "y");
}

static void matmul_bias(struct onnx_writer *w)
{
    onnx_model_begin(w, 13);
    onnx_input(w, "x", ONNX_FLOAT, DIMS(-1, 3, 4));
    toy_weights(w, "w", DIMS(4, 5), -1);
    toy_weights(w, "b", DIMS(5), -1);
    toy_weights(w, "s", DIMS(1), -1);
    toy_weights(w, "t", DIMS(3, 1), -1);
    toy_node(w, "MatMul", "m", "x", "w");
    toy_node(w, "Add", "a", "b", "m");
    toy_node(w, "Add", "c", "a", "s");                                /* one number for all */
    toy_node(w, "Add", "d", "c", "t");                                /* by row: not a bias */
    toy_node(w, "Relu", "y", "d");
    end(w, "y");
}

/* Everything that hands on its input, inside and at the end. */
static void identities(struct onnx_writer *w)
{
    begin(w);
    onnx_initialiser(w, "same", ONNX_INT64, DIMS(4), (int64_t[]){ 0, 4, 5, 5 }, 32);
    toy_node(w, "Identity", "i", "x");
    toy_node(w, "Relu", "r", "i");
    onnx_node_begin(w, "Dropout", "drop", NAMES("r"), NAMES("d", "mask"));
    onnx_node_end(w);
    toy_node(w, "Reshape", "s", "d", "same");
    toy_begin(w, "Cast", "k", "s");
    onnx_int(w, "to", ONNX_FLOAT);
    toy_end(w);
    toy_node(w, "LeakyRelu", "l", "k");
    toy_node(w, "Identity", "y", "l");
    end(w, "y");
}

/* The value before the last Identity is read elsewhere, also through another Identity. */
static void identity_of_a_shared_value(struct onnx_writer *w)
{
    begin(w);
    toy_node(w, "Relu", "r", "x");
    toy_node(w, "Identity", "a", "r");
    toy_node(w, "Identity", "y", "r");
    toy_node(w, "Softmax", "s", "a");
    onnx_output(w, "s");
    end(w, "y");
}

static void dead_branch(struct onnx_writer *w)
{
    begin(w);
    toy_weights(w, "w", DIMS(4, 4, 3, 3), -1);
    conv(w, "c", "x", "w", NULL, 1);
    toy_node(w, "Softmax", "unread", "c");
    toy_node(w, "Relu", "y", "c");
    end(w, "y");
}

static void constant_branch(struct onnx_writer *w)
{
    begin(w);
    toy_weights(w, "b", DIMS(4, 1, 1), -1);
    toy_node(w, "Add", "b2", "b", "b");
    toy_node(w, "Identity", "b3", "b2");
    toy_node(w, "Add", "y", "x", "b3");
    end(w, "y");
}

/* ---- what is left ---- */

/* "Conv+bias+relu+sum Add …" in order. */
static void print_graph(const struct ood_graph *graph, char *text, size_t size)
{
    static const char *const posts[] = { "+relu", "+leaky", "+clip", "+sigmoid", "+silu", "+hard_swish", "+hard_sigmoid", "+gelu", "+sum" };
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; i < graph->node_count; i++) {
        const struct ood_node *node = &graph->nodes[i];
        assert_false(node->dead);
        used += (size_t)snprintf(text + used, size - used, "%s%s%s", i > 0 ? " " : "", node->op->name,
                                 node->fused_bias != OOD_NONE ? "+bias" : "");
        for (size_t k = 0; k < node->post_count; k++)
            used += (size_t)snprintf(text + used, size - used, "%s", posts[node->posts[k].kind]);
        assert_true(used < size);
    }
}

/* Producers, uses and order agree with the nodes. */
static void check_graph(const struct ood_graph *graph, const uint32_t *keep, size_t n)
{
    uint32_t *uses = calloc(graph->value_count, sizeof *uses);
    for (size_t i = 0; i < graph->node_count; i++) {
        const struct ood_node *node = &graph->nodes[i];
        for (size_t k = 0; k < node->input_count; k++)
            if (node->inputs[k] != OOD_NONE) {
                const struct ood_value *value = &graph->values[node->inputs[k]];
                uses[node->inputs[k]]++;
                assert_true(value->producer == OOD_NONE ? value->constant != NULL || node->inputs[k] == graph->inputs[0] : value->producer < i);
            }
        for (size_t k = 0; k < node->post_count; k++)
            if (node->posts[k].kind == OOD_POST_SUM) {
                uses[node->posts[k].value]++;
                assert_true(graph->values[node->posts[k].value].producer == OOD_NONE || graph->values[node->posts[k].value].producer < i);
            }
        if (node->fused_bias != OOD_NONE)
            uses[node->fused_bias]++;
        for (size_t k = 0; k < node->output_count; k++)
            assert_int_equal(graph->values[node->outputs[k]].producer, i);
    }
    for (size_t i = 0; i < graph->output_count; i++)
        uses[graph->outputs[i]]++;
    for (size_t i = 0; i < n; i++)
        uses[keep[i]]++;
    for (size_t i = 0; i < graph->value_count; i++) {
        assert_int_equal(graph->values[i].uses, uses[i]);
        if (uses[i] == 0)
            assert_null(graph->values[i].constant);                   /* folded weights do not linger */
    }
    free(uses);
}

/* Makes the graph twice, simplifies one, compares every output and kept value, and returns what is left. */
static void simplify(const char *name, void (*make)(struct onnx_writer *w), unsigned which, const char *keep, char *text, size_t size)
{
    struct onnx_writer w = { 0 };
    struct ood_error err = { 0 };
    make(&w);
    struct ood_graph *plain = toy_read(&w), *simple = toy_read(&w);
    uint32_t kept[1] = { keep != NULL ? ood_graph_find(simple, keep) : OOD_NONE };
    check_ok(ood_graph_simplify(simple, which, kept, keep != NULL, &err));
    check_graph(simple, kept, keep != NULL);
    struct toy_run a = toy_execute(plain), b = toy_execute(simple);
    for (size_t i = 0; i < plain->value_count; i++) {
        const struct ood_value *value = &plain->values[i];
        bool wanted = i == kept[0];
        for (size_t k = 0; k < plain->output_count; k++)
            wanted |= i == plain->outputs[k];
        if (!wanted)
            continue;
        assert_string_equal(value->name, simple->values[i].name);
        for (size_t k = 0; k < toy_elements(&a.shapes[i]); k++)
            if (!(fabs(a.data[i][k] - b.data[i][k]) <= 1e-6 + 1e-5 * fabs(a.data[i][k])) && !isnan(a.data[i][k]))
                fail_msg("%s, passes %#x: %s[%zu] = %.9g, expected %.9g", name, which, value->name, k, b.data[i][k], a.data[i][k]);
    }
    print_graph(simple, text, size);
    toy_run_free(&a);
    toy_run_free(&b);
    ood_graph_free(plain);
    ood_graph_free(simple);
    onnx_free(&w);
}

static void passes_leave(void **state)
{
    (void)state;
    enum { BIAS = OOD_PASS_FUSE_BIAS, NORMS = OOD_PASS_FOLD_BATCH_NORM, POSTS = OOD_PASS_FUSE_POSTS, IDS = OOD_PASS_DROP_IDENTITIES };
#define CASE(make, which, keep, left) { #make, make, which, keep, left }
    static const struct { const char *name; void (*make)(struct onnx_writer *w); unsigned which; const char *keep, *left; } cases[] = {
        CASE(conv_norm_plain, 0, NULL, "Conv BatchNormalization Relu"),
        CASE(conv_norm_plain, NORMS, NULL, "Conv+bias Relu"),
        CASE(conv_norm_plain, POSTS, NULL, "Conv BatchNormalization+relu"),
        CASE(conv_norm_plain, OOD_PASS_ALL, NULL, "Conv+bias+relu"),
        CASE(conv_norm_plain, OOD_PASS_ALL, "c", "Conv BatchNormalization+relu"),
        CASE(conv_norm_plain, OOD_PASS_ALL, "n", "Conv+bias Relu"),
        CASE(conv_norm_bias, NORMS, NULL, "Conv+bias Relu"),
        CASE(conv_norm_grouped, OOD_PASS_ALL, NULL, "Conv+bias+relu"),
        CASE(conv_norm_depthwise, OOD_PASS_ALL, NULL, "Conv+bias+relu"),
        CASE(conv_bias_norm, 0, NULL, "Conv Add BatchNormalization"),
        CASE(conv_bias_norm, BIAS, NULL, "Conv+bias BatchNormalization"),
        CASE(conv_bias_norm, NORMS, NULL, "Conv Add BatchNormalization"),
        CASE(conv_bias_norm, OOD_PASS_ALL, NULL, "Conv+bias"),
        CASE(conv_bias_norm, OOD_PASS_ALL, "a", "Conv+bias BatchNormalization"),
        CASE(norm_first, OOD_PASS_ALL, NULL, "BatchNormalization+relu Conv+sum"),
        CASE(norm_of_a_shared_conv, OOD_PASS_ALL, NULL, "Conv BatchNormalization+sum"),
        CASE(shared_weights, OOD_PASS_ALL, NULL, "Conv+bias Conv+relu"),
        CASE(norm_not_a_number, OOD_PASS_ALL, NULL, "Conv BatchNormalization"),
        CASE(residual_a, 0, NULL, "Conv Relu Conv Conv Add Relu"),
        CASE(residual_a, POSTS, NULL, "Conv+relu Conv Conv+sum+relu"),
        CASE(residual_b, POSTS, NULL, "Conv+relu Conv Conv+sum+relu"),
        CASE(residual_c, POSTS, NULL, "Conv Conv+relu Conv+sum+relu"),
        CASE(residual_d, POSTS, NULL, "Conv Conv+relu Conv+sum+relu"),
        CASE(residual_a, POSTS, "a", "Conv+relu Conv Conv+sum Relu"),
        CASE(residual_a, POSTS, "s", "Conv+relu Conv Conv+sum+relu"),
        CASE(sum_made_late, POSTS, NULL, "Softmax Softmax Conv+sum"),
        CASE(sum_made_late, POSTS, "c", "Conv Softmax Softmax Add"),
        CASE(many_posts, POSTS, NULL, "Conv+sum+leaky+sum+leaky Add+relu"),
        CASE(no_sums, OOD_PASS_ALL, NULL, "Conv Add GlobalAveragePool Conv Add"),
        CASE(gemm_norm, 0, NULL, "Gemm BatchNormalization MatMul BatchNormalization"),
        CASE(gemm_norm, NORMS, NULL, "Gemm+bias MatMul+bias"),
        CASE(gemm_rows, OOD_PASS_ALL, NULL, "Gemm BatchNormalization"),
        CASE(matmul_bias, 0, NULL, "MatMul Add Add Add Relu"),
        CASE(matmul_bias, BIAS, NULL, "MatMul+bias Add Relu"),
        CASE(matmul_bias, OOD_PASS_ALL, NULL, "MatMul+bias Add+relu"),
        CASE(identities, 0, NULL, "Identity Relu Dropout Reshape Cast LeakyRelu Identity"),
        CASE(identities, IDS, NULL, "Relu LeakyRelu"),
        CASE(identities, IDS, "s", "Relu LeakyRelu"),
        CASE(identities, IDS, "r", "Relu LeakyRelu"),
        CASE(identities, IDS, "l", "Relu LeakyRelu Identity"),
        CASE(identity_of_a_shared_value, IDS, NULL, "Relu Identity Softmax"),
        CASE(dead_branch, 0, NULL, "Conv Relu"),
        CASE(dead_branch, POSTS, NULL, "Conv+relu"),
        CASE(dead_branch, POSTS, "unread", "Conv Softmax Relu"),
        CASE(constant_branch, 0, NULL, "Add"),
        CASE(constant_branch, 0, "b2", "Add"),
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[400];
        simplify(cases[i].name, cases[i].make, cases[i].which, cases[i].keep, text, sizeof text);
        if (strcmp(text, cases[i].left) != 0)
            fail_msg("%s, passes %#x, keep %s: \"%s\", expected \"%s\"", cases[i].name, cases[i].which,
                     cases[i].keep != NULL ? cases[i].keep : "nothing", text, cases[i].left);
    }
}

/* Every combination of passes computes the same. */
static void every_combination_computes_the_same(void **state)
{
    (void)state;
    void (*const makes[])(struct onnx_writer *w) = { conv_norm_grouped, conv_bias_norm, norm_first, shared_weights, residual_a,
        residual_d, sum_made_late, many_posts, no_sums, gemm_norm, gemm_rows, matmul_bias, identities, identity_of_a_shared_value };
    for (size_t i = 0; i < sizeof makes / sizeof makes[0]; i++)
        for (unsigned which = 0; which <= OOD_PASS_ALL; which++) {
            char name[40], text[400];
            snprintf(name, sizeof name, "graph %zu", i);
            simplify(name, makes[i], which, NULL, text, sizeof text);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(passes_leave),
        cmocka_unit_test(every_combination_computes_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
