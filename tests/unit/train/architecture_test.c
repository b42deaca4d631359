/* Networks from scratch: names, sizes, statistics of the weights, and that the engine reads and runs them. */
#include <math.h>

#include "base/hash.h"
#include "check.h"
#include "ops/ops.h"
#include "plan/plan.h"
#include "train/architecture.h"
#include "train/trainer.h"

static struct ood_bytes build(const char *text, size_t side, uint64_t seed)
{
    struct ood_error err = { 0 };
    struct ood_architecture architecture;
    struct ood_bytes bytes = { 0 };
    check_ok(ood_architecture_parse(text, &architecture, &err));
    check_ok(ood_architecture_build(&architecture, 3, side, side, seed, &bytes, &err));
    return bytes;
}

static void test_parse(void **state)
{
    (void)state;
    struct ood_error err = { 0 };
    struct ood_architecture a;
    check_ok(ood_architecture_parse("wrn-40-2", &a, &err));
    assert_int_equal(a.family, OOD_WIDE_RESNET);
    assert_int_equal(a.depth, 40);
    assert_int_equal(a.width, 2);
    assert_int_equal(a.classes, 0);
    check_ok(ood_architecture_parse("resnet-20:100", &a, &err));
    assert_int_equal(a.family, OOD_RESNET);
    assert_int_equal(a.classes, 100);
    check_ok(ood_architecture_parse("resnet-9:7", &a, &err));
    assert_int_equal(a.family, OOD_RESNET_9);
    static const char *const bad[] = { "", "wrn", "wrn-", "wrn-40", "wrn-40-", "wrn-41-2", "wrn-4-2", "wrn-40-0", "wrn-40-65", "wrn-40-2-1", "wrn--2", "resnet-",
                                       "resnet-10", "resnet-2", "resnet-99999999999999999999", "resnet-20:", "resnet-20:1", "resnet-20:x", "resnet-20:100001", "vgg-11",
                                       "wrn-40-2:10:10", " resnet-20", "resnet-20 " };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        check_fails(ood_architecture_parse(bad[i], &a, &err), OOD_INVALID, "architecture");
}

/* Parameters as the papers count them: WRN-40-2 with 10 classes has the 2,243,546 of ../shared/models/wrn40_2_cifar10 (trained ones, running
 * statistics aside); ResNet-20 0.27 M, ResNet-56 0.85 M and a little for the projections. */
static void test_sizes(void **state)
{
    (void)state;
    static const struct { const char *text; size_t side, trained, dimension; } cases[] = {
        { "wrn-40-2:10", 32, 2243546, 128 }, { "wrn-16-2:5", 16, 691029, 128 }, { "resnet-20:10", 32, 272474, 64 }, { "resnet-56:10", 24, 855770, 64 },
        { "resnet-9:100", 32, 0, 256 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ood_error err = { 0 };
        struct ood_bytes bytes = build(cases[i].text, cases[i].side, 1);
        struct ood_trainer *trainer = ood_trainer_new(&bytes, &(struct ood_trainer_options){ .operators = ood_op_table, .in = 2, .slices = 1 }, &err);
        check_ok(trainer != NULL);
        size_t trained = 0;
        for (size_t p = 0; p < ood_trainer_parameter_count(trainer); p++) {
            struct ood_parameter parameter = ood_trainer_parameter(trainer, p);
            trained += parameter.gradient != NULL ? parameter.count : 0;
        }
        if (cases[i].trained > 0)
            assert_int_equal(trained, cases[i].trained);
        assert_int_equal(ood_trainer_dimension(trainer), cases[i].dimension);
        ood_trainer_free(trainer);
        ood_bytes_free(&bytes);
    }
}

static void test_seed(void **state)
{
    (void)state;
    char first[OOD_HASH_HEX], again[OOD_HASH_HEX], other[OOD_HASH_HEX];
    struct ood_bytes bytes = build("resnet-20:10", 32, 5);
    ood_sha256_hex(bytes.data, bytes.size, first);
    ood_bytes_free(&bytes);
    bytes = build("resnet-20:10", 32, 5);
    ood_sha256_hex(bytes.data, bytes.size, again);
    ood_bytes_free(&bytes);
    bytes = build("resnet-20:10", 32, 6);
    ood_sha256_hex(bytes.data, bytes.size, other);
    ood_bytes_free(&bytes);
    assert_string_equal(first, again);
    assert_string_not_equal(first, other);
}

/* He et al.: deviation sqrt(2 / (outputs 9)), mean 0. */
static void test_initialisation(void **state)
{
    (void)state;
    struct ood_error err = { 0 };
    struct ood_bytes bytes = build("wrn-16-2:10", 32, 3);
    struct ood_graph *graph = ood_graph_read(&bytes, &(struct ood_graph_options){ .operators = ood_op_table }, &err);
    check_ok(graph != NULL);
    static const struct { const char *name; size_t count; double deviation; } cases[] = {
        { "blocks.5.conv2.weight", 128 * 128 * 9, 0.041666666666666664 }, { "blocks.2.short.weight", 64 * 32, 0.17677669529663687 },
        { "fc.weight", 1280, 0.08838834764831845 },
    };
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        const float *w = ood_graph_find(graph, cases[c].name) != OOD_NONE ? graph->values[ood_graph_find(graph, cases[c].name)].constant->data : NULL;
        assert_non_null(w);
        double sum = 0, squares = 0, n = (double)cases[c].count;
        for (size_t i = 0; i < cases[c].count; i++) {
            sum += (double)w[i];
            squares += (double)w[i] * (double)w[i];
        }
        check_close(sum / n, 0, 5 * cases[c].deviation / sqrt(n), 0);
        check_close(sqrt(squares / n), cases[c].deviation, 0, 5 / sqrt(2 * n));
    }
    const float *gamma = graph->values[ood_graph_find(graph, "bn.weight")].constant->data, *mean = graph->values[ood_graph_find(graph, "bn.running_mean")].constant->data;
    assert_true(gamma[0] == 1 && gamma[127] == 1 && mean[0] == 0 && mean[127] == 0);
    ood_graph_free(graph);
    ood_bytes_free(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse), cmocka_unit_test(test_sizes), cmocka_unit_test(test_seed), cmocka_unit_test(test_initialisation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
