/* A region head: it begins as the detector is, learns what tells foreign regions, gives the same bits on any number of threads, and stands in the
 * network's file: there the maps' pooled sums are what the head makes of a region's features. */
#include <math.h>

#include "base/random.h"
#include "detect/detect.h"
#include "ops/ops.h"
#include "plan/plan.h"
#include "tests/unit/check.h"
#include "graph/write.h"
#include "train/region_head.h"

enum { K = 4, D = 6, IN = 90, OUT = 60 };

struct material { float in_logits[IN * K], in_features[IN * D], out_logits[OUT * K], out_features[OUT * D]; int32_t classes[IN]; struct ood_region_set set; };

/* Three of four classes, each about a direction of its own; foreign regions have the same logits, and features with a side of their own. */
static void make(struct material *m)
{
    struct ood_random random;
    ood_random_seed(&random, 3);
    for (size_t i = 0; i < IN + OUT; i++) {
        bool in = i < IN;
        size_t class_index = i % 3;
        float *logits = in ? m->in_logits + i * K : m->out_logits + (i - IN) * K, *features = in ? m->in_features + i * D : m->out_features + (i - IN) * D;
        for (size_t k = 0; k < K; k++)
            logits[k] = (float)(ood_random_normal(&random) + (k == class_index ? 4 : 0));
        for (size_t d = 0; d < D; d++)
            features[d] = (float)(40 + 10 * ood_random_normal(&random) + (d == class_index ? 60 : 0) + (d == 5 && !in ? 40 : 0));
        if (in)
            m->classes[i] = (int32_t)class_index;
    }
    m->set = (struct ood_region_set){ K, D, IN, OUT, m->in_logits, m->in_features, m->classes, m->out_logits, m->out_features };
}

static struct ood_region_head_options usual(void)
{
    struct ood_region_head_options o = { .own_in = 0.25, .own_out = 0.75, .prototype_rate = 1, .batch_in = 16, .batch_out = 8, .steps = 200, .threads = 1, .seed = 5 };
    struct ood_error err = { 0 };
    check_ok(ood_loss_preset("sde", K, &o.loss, &err));
    check_ok(ood_schedule_named("cosine", 0.03, &o.schedule, &err));
    o.optimiser = ood_optimiser_defaults();
    return o;
}

/* -E and -D of a region as the head has it. */
static void score(const struct ood_region_head *head, const float *logits, const float *features, double *energy, double *representation)
{
    struct ood_error err = { 0 };
    struct ood_judge judge = { .classes = K, .dimension = D, .temperature = 1, .classes_may_lack = true, .prototypes = head->prototypes };
    struct ood_verdict verdict = { 0 };
    float f[K], h[D];
    for (size_t i = 0; i < D; i++) {
        double sum = (double)head->bias[i];
        for (size_t d = 0; d < D; d++)
            sum += (double)head->weights[i * D + d] * (double)features[d];
        h[i] = (float)sum;
    }
    for (size_t k = 0; k < K; k++) {
        double sum = (double)logits[k] + (double)head->logit_bias[k];
        for (size_t d = 0; d < D; d++)
            sum += (double)head->logit_weights[k * D + d] * (double)h[d];
        f[k] = (float)sum;
    }
    check_ok(ood_measure(&judge, f, h, &verdict, &err));
    *energy = -verdict.energy;
    *representation = -verdict.representation_score;
}

static void rank(const struct material *m, const struct ood_region_head *head, double auroc[2])
{
    double in[2][IN], out[2][OUT];
    struct ood_error err = { 0 };
    for (size_t i = 0; i < IN; i++)
        score(head, m->in_logits + i * K, m->in_features + i * D, &in[0][i], &in[1][i]);
    for (size_t i = 0; i < OUT; i++)
        score(head, m->out_logits + i * K, m->out_features + i * D, &out[0][i], &out[1][i]);
    for (size_t s = 0; s < 2; s++) {
        struct ood_ranking ranking;
        check_ok(ood_rank(in[s], IN, out[s], OUT, &ranking, &err));
        auroc[s] = ranking.auroc;
    }
}

static void begins_as_it_is_and_learns(void **state)
{
    (void)state;
    static struct material m;
    struct ood_error err = { 0 };
    struct ood_region_head head = { 0 };
    struct ood_region_head_options o = usual();
    double before[2], after[2], squares = 0;
    make(&m);
    o.schedule.peak = 0;
    check_ok(ood_region_head_train(&m.set, &o, &head, &err));
    for (size_t i = 0; i < D; i++) {
        assert_true(head.bias[i] == 0);
        for (size_t d = 0; d < D; d++)
            assert_true(head.weights[i * D + d] == (i == d ? head.weights[0] : 0));
    }
    for (size_t i = 0; i < IN; i++) {
        double length = 0;
        for (size_t d = 0; d < D; d++)
            length += (double)m.in_features[i * D + d] * (double)m.in_features[i * D + d];
        squares += sqrt(length) / IN;
    }
    check_close((double)head.weights[0], 1 / squares, 0, 1e-6);
    for (size_t d = 0; d < D; d++)
        assert_true(head.prototypes[3 * D + d] == 0);      /* no region is of class 3 */
    rank(&m, &head, before);
    ood_region_head_clear(&head);
    o = usual();
    o.loss.energy_weight = 1;
    o.steps = 1500;
    check_ok(ood_region_head_train(&m.set, &o, &head, &err));
    rank(&m, &head, after);
    if (!(before[0] < 0.6 && after[0] > 0.8 && after[1] > before[1]))
        fail_msg("AUROC of E %.3f to %.3f, of D %.3f to %.3f", before[0], after[0], before[1], after[1]);
    assert_true(head.last.total < head.first.total);
    assert_true(head.loss.energy_in < head.loss.energy_out && head.loss.energy_in != o.loss.energy_in);
    ood_region_head_clear(&head);
}

static void same_bits(void **state)
{
    (void)state;
    static struct material m;
    struct ood_error err = { 0 };
    struct ood_region_head one = { 0 }, three = { 0 }, other = { 0 };
    struct ood_region_head_options o = usual();
    make(&m);
    check_ok(ood_region_head_train(&m.set, &o, &one, &err));
    o.threads = 3;
    check_ok(ood_region_head_train(&m.set, &o, &three, &err));
    assert_memory_equal(one.weights, three.weights, D * D * sizeof(float));
    assert_memory_equal(one.logit_weights, three.logit_weights, K * D * sizeof(float));
    assert_memory_equal(one.prototypes, three.prototypes, K * D * sizeof(float));
    o.seed = 6;
    check_ok(ood_region_head_train(&m.set, &o, &other, &err));
    assert_memory_not_equal(one.weights, other.weights, D * D * sizeof(float));
    ood_region_head_clear(&one);
    ood_region_head_clear(&three);
    ood_region_head_clear(&other);
}

static void what_it_refuses(void **state)
{
    (void)state;
    static struct material m;
    struct ood_error err = { 0 };
    struct ood_region_head head = { 0 };
    struct ood_region_head_options o = usual();
    make(&m);
    m.set.out = 0;
    check_fails(ood_region_head_train(&m.set, &o, &head, &err), OOD_INVALID, "90 known regions and 0 others");
    m.set.out = OUT;
    m.classes[7] = K;
    check_fails(ood_region_head_train(&m.set, &o, &head, &err), OOD_INVALID, "region 7: class 4, expected 0 to 3");
    m.classes[7] = 1;
    o.steps = 0;
    check_fails(ood_region_head_train(&m.set, &o, &head, &err), OOD_INVALID, "0 steps");
    o = usual();
    m.in_features[5 * D] = NAN;
    check_fails(ood_region_head_train(&m.set, &o, &head, &err), OOD_SCORE_NOT_FINITE, "mean length");
    make(&m);
    memset(m.in_features + 5 * D, 0, D * sizeof(float));
    check_fails(ood_region_head_train(&m.set, &o, &head, &err), OOD_SCORE_NOT_FINITE, "region 5");
    make(&m);
    m.out_logits[3] = INFINITY;
    check_fails(ood_region_head_train(&m.set, &o, &head, &err), OOD_SCORE_NOT_FINITE, "");
    make(&m);
    o.own_in = 1;
    o.own_out = 0;
    check_fails(ood_region_head_train(&m.set, &o, &head, &err), OOD_INVALID, "");
    o = usual();
    o.schedule.peak = 1e30;
    check_fails(ood_region_head_train(&m.set, &o, &head, &err), OOD_SCORE_NOT_FINITE, "step ");
    assert_null(head.weights);
}

/* ---- in the file ---- */

static void convolution(struct ood_onnx_builder *builder, const char *from, size_t in, size_t out, size_t stride, const char *to, const char *weights, uint64_t seed)
{
    float values[64 * 9];
    struct ood_random random;
    int64_t strides[2] = { (int64_t)stride, (int64_t)stride };
    const struct ood_onnx_attribute attributes[] = { { .name = "kernel_shape", .ints = (int64_t[]){ 3, 3 }, .count = 2 }, { .name = "strides", .ints = strides, .count = 2 },
                                                     { .name = "pads", .ints = (int64_t[]){ 1, 1, 1, 1 }, .count = 4 } };
    struct ood_shape shape = ood_shape_of(4, (int64_t)out, (int64_t)in, (int64_t)3, (int64_t)3);
    ood_random_seed(&random, seed);
    for (size_t i = 0; i < out * in * 9; i++)
        values[i] = (float)ood_random_normal(&random);
    ood_onnx_initialiser(builder, weights, &shape, values);
    ood_onnx_node(builder, "Conv", (const char *[]){ from, weights }, 2, to, attributes, 3);
}

/* Two maps of 4 and 2 channels, of strides 2 and 4. taken: a tensor of this name besides. */
static struct ood_bytes network(const char *taken)
{
    struct ood_error err = { 0 };
    struct ood_bytes onnx = { 0 };
    struct ood_shape input = ood_shape_of(4, (int64_t)-1, (int64_t)3, (int64_t)16, (int64_t)16), output = ood_shape_of(4, (int64_t)-1, (int64_t)2, (int64_t)4, (int64_t)4);
    struct ood_onnx_builder *builder = ood_onnx_builder_new("maps", &err);
    ood_onnx_input(builder, "x", &input);
    convolution(builder, "x", 3, 4, 2, "m0", "w0", 1);
    convolution(builder, "m0", 4, 2, 2, "m1", "w1", 2);
    if (taken != NULL)
        ood_onnx_node(builder, "Relu", (const char *[]){ "m1" }, 1, taken, NULL, 0);
    ood_onnx_output(builder, "m1", &output);
    check_ok(ood_onnx_builder_finish(builder, &onnx, &err));
    ood_onnx_builder_free(builder);
    return onnx;
}

static void numbers(float *values, size_t n, uint64_t seed)
{
    struct ood_random random;
    ood_random_seed(&random, seed);
    for (size_t i = 0; i < n; i++)
        values[i] = (float)ood_random_normal(&random);
}

/* The mean of a map's channel, which is a pooling too. */
static double mean_of(const float *values, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)values[i];
    return sum / (double)n;
}

static void stands_in_the_file(void **state)
{
    (void)state;
    struct ood_error err = { 0 };
    float weights[D * D], bias[D], logit_weights[K * D], logit_bias[K];
    const struct ood_region_head head = { .classes = K, .dimension = D, .weights = weights, .bias = bias, .logit_weights = logit_weights, .logit_bias = logit_bias };
    const struct ood_region_map maps[] = { { "m0", 4, 8, 8 }, { "m1", 2, 4, 4 } };
    numbers(weights, D * D, 1);
    numbers(bias, D, 2);
    numbers(logit_weights, K * D, 3);
    numbers(logit_bias, K, 4);
    static const char *const taken[] = { NULL, "oodd.head.features.0" }, *const expected[] = { "oodd.head", "oodd.head1" };
    for (size_t t = 0; t < 2; t++) {
        struct ood_bytes onnx = network(taken[t]), out = { 0 };
        char *prefix = NULL, names[4][40];
        check_ok(ood_region_head_append(&head, &onnx, maps, 2, &prefix, &out, &err));
        assert_string_equal(prefix, expected[t]);
        for (size_t i = 0; i < 4; i++)
            snprintf(names[i], sizeof names[i], "%s.%s.%zu", prefix, i < 2 ? "features" : "logits", i % 2);
        const char *tensors[] = { "m0", "m1", names[0], names[1], names[2], names[3] };
        struct ood_model_options options = { .operators = ood_op_table, .outputs = tensors, .output_count = 6, .batch = 1, .only_batch = 1 };
        struct ood_model *model = ood_model_new(&out, &options, &err);
        if (model == NULL)
            fail_msg("%s", err.message);
        struct ood_run *run = ood_run_new(model, &err);
        numbers(ood_run_input(run, 1, 0), 3 * 16 * 16, 9);
        ood_run_execute(run, 1);
        const float *m0 = ood_run_output(run, 1, 0), *m1 = ood_run_output(run, 1, 1);
        double r[D], h[D];
        for (size_t d = 0; d < D; d++)
            r[d] = d < 4 ? mean_of(m0 + d * 64, 64) : mean_of(m1 + (d - 4) * 16, 16);
        for (size_t i = 0; i < D; i++) {
            h[i] = (double)bias[i];
            for (size_t d = 0; d < D; d++)
                h[i] += (double)weights[i * D + d] * r[d];
            check_close(mean_of((const float *)ood_run_output(run, 1, 2) + i * 64, 64) + mean_of((const float *)ood_run_output(run, 1, 3) + i * 16, 16), h[i], 1e-4, 1e-5);
        }
        for (size_t k = 0; k < K; k++) {
            double f = (double)logit_bias[k];
            for (size_t d = 0; d < D; d++)
                f += (double)logit_weights[k * D + d] * h[d];
            check_close(mean_of((const float *)ood_run_output(run, 1, 4) + k * 64, 64) + mean_of((const float *)ood_run_output(run, 1, 5) + k * 16, 16), f, 1e-4, 1e-5);
        }
        ood_run_free(run);
        ood_model_free(model);
        ood_free(prefix);
        ood_bytes_free(&onnx);
        ood_bytes_free(&out);
    }
    struct ood_bytes onnx = network(NULL), out = { 0 };
    char *prefix = NULL;
    check_fails(ood_region_head_append(&head, &onnx, maps, 1, &prefix, &out, &err), OOD_INVALID, "4 channels together, the head was trained on 6");
    onnx.size /= 2;
    check_fails(ood_region_head_append(&head, &onnx, maps, 2, &prefix, &out, &err), OOD_INVALID, "not an ONNX file");
    assert_null(prefix);
    ood_bytes_free(&onnx);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(begins_as_it_is_and_learns), cmocka_unit_test(same_bits), cmocka_unit_test(what_it_refuses),
                                        cmocka_unit_test(stands_in_the_file) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
