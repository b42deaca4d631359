/* Every comparison score against NumPy and SciPy on three small networks (tests/data/eval/contenders.py), what is left out and why,
 * and the last layer found in a real network. */
#include "check.h"

#include <math.h>

#include "eval/contenders.h"
#include "scorer/scorer.h"

struct record { char word[32]; size_t count; double *values; };

static struct record take(FILE *file, const char *word)
{
    struct record record = { 0 };
    if (fscanf(file, "%31s %zu", record.word, &record.count) != 2)
        return record;
    if (word != NULL)
        assert_string_equal(record.word, word);
    record.values = calloc(record.count, sizeof *record.values);
    assert_non_null(record.values);
    for (size_t i = 0; i < record.count; i++)
        assert_int_equal(fscanf(file, "%lf", &record.values[i]), 1);
    return record;
}

static float *take_floats(FILE *file, const char *word)
{
    struct record record = take(file, word);
    float *floats = calloc(record.count, sizeof *floats);
    assert_non_null(floats);
    for (size_t i = 0; i < record.count; i++)
        floats[i] = (float)record.values[i];
    free(record.values);
    return floats;
}

static void logits_of(const struct ood_last_layer *layer, const float *features, float *logits)
{
    double wide[64], sums[64];
    for (size_t d = 0; d < layer->dimension; d++)
        wide[d] = (double)features[d];
    ood_last_layer_apply(layer, wide, sums);
    for (size_t k = 0; k < layer->classes; k++)
        logits[k] = (float)sums[k];
}

static struct ood_verdict verdict_of(const float *logits, size_t classes)
{
    struct ood_verdict verdict = { .energy = ood_energy(logits, classes, 1), .representation_score = 0.25, .score = 1.5 };
    double probabilities[64];
    ood_softmax(logits, classes, probabilities);
    ood_top(logits, classes, 1, &verdict.class_index);
    verdict.class_probability = probabilities[verdict.class_index];
    return verdict;
}

static void against_numpy(void **state)
{
    (void)state;
    struct ood_error err = { 0 };
    FILE *file = fopen(check_data("eval/contenders.txt"), "r");
    assert_non_null(file);
    static const enum ood_contender order[] = { OOD_CONTENDER_MSP, OOD_CONTENDER_MAX_LOGIT, OOD_CONTENDER_GEN, OOD_CONTENDER_COSINE, OOD_CONTENDER_KNN,
                                                OOD_CONTENDER_MAHALANOBIS, OOD_CONTENDER_VIM, OOD_CONTENDER_REACT, OOD_CONTENDER_ASH_S, OOD_CONTENDER_ASH_B };
    size_t cases = 0;
    for (struct record head; (head = take(file, NULL)).values != NULL; cases++) {
        assert_string_equal(head.word, "case");
        size_t k = (size_t)head.values[0], d = (size_t)head.values[1], n = (size_t)head.values[2], items_count = (size_t)head.values[4];
        struct ood_contender_options options = ood_contender_defaults();
        options.neighbours = (size_t)head.values[3];
        options.gen_classes = 4;
        options.ash_s_percentile = 60;
        struct ood_last_layer layer = { k, d, NULL, NULL };
        layer.weights = take_floats(file, "weights");
        layer.bias = take_floats(file, "bias");
        float *fit_features = take_floats(file, "fit");
        struct record classes = take(file, "classes");
        float *items = take_floats(file, "items"), logits[64];
        uint32_t labels[200];
        double max_logits[200], scores[7][OOD_CONTENDERS];
        for (size_t i = 0; i < n; i++) {
            labels[i] = (uint32_t)classes.values[i];
            logits_of(&layer, fit_features + i * d, logits);
            max_logits[i] = (double)logits[verdict_of(logits, k).class_index];
        }
        struct ood_judge judge = { .classes = k, .dimension = d };
        const struct ood_fit_part fit = { n, fit_features, labels, max_logits };
        struct ood_contenders *contenders = ood_contenders_new(&judge, &layer, NULL, &fit, &options, &err);
        check_ok(contenders != NULL);
        struct ood_contender_memory *memory = ood_contender_memory_new(contenders, &err);
        check_ok(memory != NULL);
        for (size_t i = 0; i < items_count; i++) {
            logits_of(&layer, items + i * d, logits);
            assert_true(ood_last_layer_holds(&layer, logits, items + i * d));
            struct ood_verdict verdict = verdict_of(logits, k);
            ood_contenders_score(contenders, memory, logits, items + i * d, &verdict, scores[i]);
            assert_true(scores[i][OOD_CONTENDER_ENERGY] == -verdict.energy);
            assert_true(scores[i][OOD_CONTENDER_REPRESENTATION] == -0.25);
            assert_true(scores[i][OOD_CONTENDER_SCORE] == 1.5);
        }
        for (size_t c = 0; c < sizeof order / sizeof order[0]; c++) {
            const char *name = ood_contender_info(order[c])->name;
            struct record expected = take(file, name);
            assert_null(ood_contender_missing(contenders, order[c]));
            assert_int_equal(expected.count, items_count);
            for (size_t i = 0; i < items_count; i++) {
                /* logits are float; the distance to oneself is the root of a rounding error */
                double found = scores[i][order[c]], allowed = order[c] == OOD_CONTENDER_KNN ? 1e-3 : 2e-5 * fmax(1, fabs(expected.values[i]));
                if (!(fabs(found - expected.values[i]) <= allowed))
                    fail_msg("case %zu, item %zu: %s is %.9g, expected %.9g", cases, i, name, found, expected.values[i]);
            }
            free(expected.values);
        }
        ood_contender_memory_free(memory);
        ood_contenders_free(contenders);
        free(layer.weights);
        free(layer.bias);
        free(fit_features);
        free(classes.values);
        free(items);
        free(head.values);
    }
    fclose(file);
    assert_int_equal(cases, 3);
}

static void what_is_left_out(void **state)
{
    (void)state;
    struct ood_error err = { 0 };
    struct ood_judge judge = { .classes = 2, .dimension = 3 };
    struct ood_contender_options options = ood_contender_defaults();
    double scores[OOD_CONTENDERS];
    const float logits[] = { 1, 2 }, features[] = { 1, 0, 2 };
    const struct ood_verdict verdict = { .class_index = 1, .class_probability = 0.7, .energy = -2 };

    /* neither layer nor fit pictures */
    struct ood_contenders *contenders = ood_contenders_new(&judge, NULL, "there is no layer", NULL, &options, &err);
    check_ok(contenders != NULL);
    struct ood_contender_memory *memory = ood_contender_memory_new(contenders, &err);
    check_ok(memory != NULL);
    ood_contenders_score(contenders, memory, logits, features, &verdict, scores);
    for (int c = 0; c < OOD_CONTENDERS; c++) {
        enum ood_contender contender = (enum ood_contender)c;
        const char *why = ood_contender_missing(contenders, contender);
        assert_true((why != NULL) == (contender >= OOD_CONTENDER_COSINE));
        assert_true(isnan(scores[c]) == (why != NULL));
        if (why != NULL)
            assert_string_equal(why, ood_contender_needs_layer(contender) ? "there is no layer" : "it needs fit pictures (--fit)");
        assert_true(strlen(ood_contender_info(contender)->formula) > 5 && strlen(ood_contender_info(contender)->source) > 5);
    }
    ood_contender_memory_free(memory);
    ood_contenders_free(contenders);

    /* fit pictures that are too few, all the same, of one class */
    float weights[6] = { 1, 0, 0, 0, 1, 0 }, bias[2] = { 0, 0 };
    const struct ood_last_layer layer = { 2, 3, weights, bias };
    const float same[9] = { 1, 1, 1, 1, 1, 1, 1, 1, 1 };
    const uint32_t classes[3] = { 0, 0, 0 };
    const double max_logits[3] = { 1, 1, 1 };
    const struct ood_fit_part fit = { 3, same, classes, max_logits };
    contenders = ood_contenders_new(&judge, &layer, NULL, &fit, &options, &err);
    check_ok(contenders != NULL);
    static const struct { enum ood_contender contender; const char *why; } expected[] = {
        { OOD_CONTENDER_COSINE, "class" }, { OOD_CONTENDER_KNN, "3 fit pictures, expected at least k = 50" },
        { OOD_CONTENDER_MAHALANOBIS, "do not vary" },
    };
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        const char *why = ood_contender_missing(contenders, expected[i].contender);
        if (why == NULL || strstr(why, expected[i].why) == NULL)
            fail_msg("%s: %s", ood_contender_info(expected[i].contender)->name, why != NULL ? why : "there");
    }
    assert_null(ood_contender_missing(contenders, OOD_CONTENDER_REACT));
    /* ASH-S of features whose sum after pruning is 0 has no scale */
    memory = ood_contender_memory_new(contenders, &err);
    check_ok(memory != NULL);
    ood_contenders_score(contenders, memory, logits, (const float[]){ -1, 0, -2 }, &verdict, scores);
    assert_false(isfinite(scores[OOD_CONTENDER_ASH_S]));
    ood_contender_memory_free(memory);
    ood_contenders_free(contenders);
}

/* The default bundle's Gemm: its weights give the network's logits from its features, and no longer when one is changed. */
static void last_layer_of_a_network(void **state)
{
    (void)state;
    struct ood_error err = { 0 };
    const char *source = getenv("OOD_SOURCE");
    char path[2048];
    snprintf(path, sizeof path, "%s/deploy/models/cifar10", source != NULL ? source : ".");
    struct ood_scorer *scorer = ood_scorer_open(path, NULL, &err);
    check_ok(scorer != NULL);
    struct ood_bundle *bundle = ood_bundle_read(path, &err);
    check_ok(bundle != NULL);
    struct ood_last_layer layer;
    check_ok(ood_last_layer_find(bundle, &layer, &err));
    ood_bundle_free(bundle);
    assert_int_equal(layer.classes, 10);
    assert_int_equal(layer.dimension, 128);
    snprintf(path, sizeof path, "%s/deploy/samples/in", source != NULL ? source : ".");
    struct ood_names names;
    check_ok(ood_folder_names(path, &names, &err));
    struct ood_session *session = ood_scorer_session(scorer, &err);
    check_ok(session != NULL);
    size_t checked = 0;
    for (size_t i = 0; i < names.count; i++) {
        char file[8192];
        snprintf(file, sizeof file, "%s/%s", path, names.items[i]);
        struct ood_names pictures;
        check_ok(ood_folder_names(file, &pictures, &err));
        assert_true(pictures.count > 0);
        snprintf(file, sizeof file, "%s/%s/%s", path, names.items[i], pictures.items[0]);
        ood_names_free(&pictures);
        struct ood_bytes bytes;
        check_ok(ood_file_read(file, 1 << 20, &bytes, &err));
        float logits[10], features[128];
        struct ood_item item = { .picture = bytes.data, .picture_size = bytes.size, .logits_out = logits, .features_out = features };
        struct ood_verdict verdict;
        check_ok(ood_score(scorer, session, &item, 1, &verdict, NULL, &err));
        ood_bytes_free(&bytes);
        if (verdict.error.code != OOD_OK)
            continue;
        assert_true(ood_last_layer_holds(&layer, logits, features));
        layer.bias[3] += 0.5f;
        assert_false(ood_last_layer_holds(&layer, logits, features));
        layer.bias[3] -= 0.5f;
        checked++;
    }
    assert_true(checked >= 4);
    ood_names_free(&names);
    ood_session_free(session);
    ood_last_layer_clear(&layer);
    ood_scorer_free(scorer);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(against_numpy), cmocka_unit_test(what_is_left_out), cmocka_unit_test(last_layer_of_a_network) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
