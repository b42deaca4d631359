/* Scorers from hand-made bundles: items alone and together, the same bits whatever the batch and the thread, refusals on
 * opening, the self-test, references. */
#include <pthread.h>
#include <unistd.h>

#include "scorer/tiny.h"

static void assert_same(const struct ood_verdict *a, const struct ood_verdict *b)
{
    assert_int_equal(a->error.code, b->error.code);
    assert_int_equal(a->decision, b->decision);
    assert_int_equal(a->class_index, b->class_index);
    assert_memory_equal(&a->energy, &b->energy, sizeof a->energy);
    assert_memory_equal(&a->representation_score, &b->representation_score, sizeof a->energy);
    assert_memory_equal(&a->score, &b->score, sizeof a->score);
    assert_memory_equal(&a->p_value, &b->p_value, sizeof a->p_value);
    assert_memory_equal(&a->class_probability, &b->class_probability, sizeof a->p_value);
}

/* One at a time, with a fresh session: what all else is held against. */
static void score_alone(struct ood_scorer *scorer, const struct ood_bytes *pictures, struct ood_verdict *verdicts, float *logits, float *features)
{
    struct ood_error err = { 0 };
    struct ood_session *session = ood_scorer_session(scorer, &err);
    check_ok(session != NULL);
    for (size_t i = 0; i < PICTURES; i++) {
        struct ood_item item = { .picture = pictures[i].data, .picture_size = pictures[i].size,
                                 .logits_out = logits + i * CLASSES, .features_out = features + i * FEATURES };
        check_ok(ood_score(scorer, session, &item, 1, &verdicts[i], NULL, &err));
        assert_int_equal(verdicts[i].error.code, OOD_OK);
        assert_true(isfinite(verdicts[i].score) && verdicts[i].nearest_count == OOD_NEAREST);
    }
    ood_session_free(session);
}

/* ---- tests ---- */

static void test_asking(void **state)
{
    (void)state;
    struct ood_scorer *scorer = open_tiny(-1);
    assert_int_equal(ood_scorer_classes(scorer), CLASSES);
    assert_int_equal(ood_scorer_dimension(scorer), FEATURES);
    assert_string_equal(ood_scorer_label(scorer, 2), "class 2");
    assert_string_equal(ood_scorer_label(scorer, CLASSES), "");
    ood_scorer_free(scorer);
    ood_scorer_free(NULL);
    ood_session_free(NULL);
    char text[512];
    ood_build_description(text, sizeof text);
    assert_non_null(strstr(text, "oneDNN"));
    assert_non_null(strstr(text, "commit "));
}

/* The same picture gets the same bits at any count, any place, beside any others; a fixed batch too. */
static void test_batches(void **state)
{
    (void)state;
    const int64_t batches[] = { -1, 4 };
    struct ood_bytes pictures[PICTURES];
    struct ood_error err = { 0 };
    read_pictures(pictures);
    for (size_t b = 0; b < 2; b++) {
        struct ood_scorer *scorer = open_tiny(batches[b]);
        struct ood_session *session = ood_scorer_session(scorer, &err);
        struct ood_verdict alone[PICTURES], verdicts[PICTURES];
        float logits[PICTURES * CLASSES], features[PICTURES * FEATURES], out[PICTURES * CLASSES];
        check_ok(session != NULL);
        score_alone(scorer, pictures, alone, logits, features);
        for (size_t n = 1; n <= PICTURES; n++)
            for (size_t first = 0; first + n <= PICTURES; first++) {
                struct ood_item items[PICTURES];
                for (size_t i = 0; i < n; i++)
                    items[i] = (struct ood_item){ .picture = pictures[first + i].data, .picture_size = pictures[first + i].size,
                                                  .logits_out = out + i * CLASSES };
                check_ok(ood_score(scorer, session, items, n, verdicts, NULL, &err));
                for (size_t i = 0; i < n; i++)
                    assert_same(&verdicts[i], &alone[first + i]);
                assert_memory_equal(out, logits + first * CLASSES, n * CLASSES * sizeof *out);
            }
        ood_session_free(session);
        ood_scorer_free(scorer);
    }
    free_pictures(pictures);
}

/* Items that fail stand between items that do not, and change nothing about them. */
static void test_items(void **state)
{
    (void)state;
    struct ood_bytes pictures[PICTURES];
    struct ood_verdict alone[PICTURES], verdicts[11];
    struct ood_timing timing = { -1, -1, -1 };
    struct ood_error err = { 0 };
    float logits[PICTURES * CLASSES], features[PICTURES * FEATURES], nan_logits[CLASSES] = { 0, NAN, 0, 0 }, zeros[FEATURES] = { 0 };
    struct ood_scorer *scorer = open_tiny(-1);
    struct ood_session *session = ood_scorer_session(scorer, &err);
    check_ok(session != NULL);
    read_pictures(pictures);
    score_alone(scorer, pictures, alone, logits, features);
    const struct ood_item items[] = {
        { .picture = pictures[0].data, .picture_size = pictures[0].size },
        { .picture = pictures[1].data, .picture_size = pictures[1].size / 2 },
        { .picture = pictures[1].data, .picture_size = pictures[1].size },
        { .logits = logits + 2 * CLASSES, .logits_count = CLASSES, .features = features + 2 * FEATURES, .features_count = FEATURES },
        { .logits = logits, .logits_count = CLASSES - 1, .features = features, .features_count = FEATURES },
        { .logits = logits, .logits_count = CLASSES, .features = features, .features_count = FEATURES + 1 },
        { .logits = logits, .logits_count = CLASSES },
        { .logits = nan_logits, .logits_count = CLASSES, .features = features, .features_count = FEATURES },
        { .logits = logits, .logits_count = CLASSES, .features = zeros, .features_count = FEATURES },
        { .picture = "", .picture_size = 0 },
        { .picture = "no picture", .picture_size = 10 },
    };
    const struct { enum ood_code code; size_t like; } expected[] = {
        { OOD_OK, 0 }, { OOD_PICTURE_TRUNCATED, 0 }, { OOD_OK, 1 }, { OOD_OK, 2 }, { OOD_TENSOR_MISMATCH, 0 }, { OOD_TENSOR_MISMATCH, 0 },
        { OOD_TENSOR_MISMATCH, 0 }, { OOD_SCORE_NOT_FINITE, 0 }, { OOD_SCORE_NOT_FINITE, 0 }, { OOD_PICTURE_EMPTY, 0 }, { OOD_PICTURE_UNKNOWN, 0 },
    };
    check_ok(ood_score(scorer, session, items, 11, verdicts, &timing, &err));
    for (size_t i = 0; i < 11; i++) {
        assert_int_equal(verdicts[i].error.code, expected[i].code);
        if (expected[i].code == OOD_OK)
            assert_same(&verdicts[i], &alone[expected[i].like]);
        else
            assert_true(verdicts[i].error.message[0] != '\0' && verdicts[i].energy == 0 && verdicts[i].warning_count == 0);
    }
    assert_true(timing.decode >= 0 && timing.infer >= 0 && timing.score >= 0);
    check_ok(ood_score(scorer, session, NULL, 0, NULL, NULL, &err));
    struct ood_scorer *other = open_tiny(-1);
    check_fails(ood_score(other, session, items, 1, verdicts, NULL, &err), OOD_INVALID, "another scorer");
    ood_scorer_free(other);
    ood_session_free(session);
    ood_scorer_free(scorer);
    free_pictures(pictures);
}

struct worker { struct ood_scorer *scorer; const struct ood_bytes *pictures; const struct ood_verdict *alone; size_t shift; bool same; };

static void *score_in_thread(void *argument)
{
    struct worker *worker = argument;
    struct ood_error err = { 0 };
    struct ood_session *session = ood_scorer_session(worker->scorer, &err);
    worker->same = session != NULL;
    for (size_t round = 0; round < 10 && worker->same; round++) {
        struct ood_item items[PICTURES];
        struct ood_verdict verdicts[PICTURES];
        for (size_t i = 0; i < PICTURES; i++) {
            const struct ood_bytes *picture = &worker->pictures[(i + worker->shift + round) % PICTURES];
            items[i] = (struct ood_item){ .picture = picture->data, .picture_size = picture->size };
        }
        worker->same = ood_score(worker->scorer, session, items, PICTURES, verdicts, NULL, &err);
        for (size_t i = 0; i < PICTURES && worker->same; i++)
            worker->same = memcmp(&verdicts[i].score, &worker->alone[(i + worker->shift + round) % PICTURES].score, sizeof(double)) == 0;
    }
    ood_scorer_free(worker->scorer);         /* the session holds a reference of its own */
    ood_session_free(session);
    return NULL;
}

static void test_threads(void **state)
{
    (void)state;
    struct ood_bytes pictures[PICTURES];
    struct ood_verdict alone[PICTURES];
    float logits[PICTURES * CLASSES], features[PICTURES * FEATURES];
    struct worker workers[3];
    pthread_t threads[3];
    struct ood_scorer *scorer = open_tiny(-1);
    read_pictures(pictures);
    score_alone(scorer, pictures, alone, logits, features);
    for (size_t t = 0; t < 3; t++) {
        workers[t] = (struct worker){ ood_scorer_ref(scorer), pictures, alone, 3 * t, false };
        assert_int_equal(pthread_create(&threads[t], NULL, score_in_thread, &workers[t]), 0);
    }
    ood_scorer_free(scorer);
    for (size_t t = 0; t < 3; t++) {
        pthread_join(threads[t], NULL);
        assert_true(workers[t].same);
    }
    free_pictures(pictures);
}

/* ---- refusals ---- */

static void wrong_input(struct ood_bundle *bundle) { ood_free(bundle->input_tensor); bundle->input_tensor = ood_strdup("x", &(struct ood_error){ 0 }); }
static void wrong_logits(struct ood_bundle *bundle) { ood_free(bundle->logits_tap); bundle->logits_tap = ood_strdup("nothing", &(struct ood_error){ 0 }); }
static void wrong_features(struct ood_bundle *bundle) { ood_free(bundle->features_tap); bundle->features_tap = ood_strdup("logits", &(struct ood_error){ 0 }); }
static void wrong_width(struct ood_bundle *bundle) { bundle->input.width = SIDE + 1; }
static void wrong_channels(struct ood_bundle *bundle) { bundle->input.channels = OOD_CHANNELS_GREY; }
static void wrong_layout(struct ood_bundle *bundle) { bundle->input.layout = OOD_INPUT_NHWC; }
static void wrong_bytes(struct ood_bundle *bundle) { bundle->onnx.size /= 2; }

static void test_refusals(void **state)
{
    (void)state;
    static const struct { void (*break_it)(struct ood_bundle *bundle); const char *says; } cases[] = {
        { wrong_input, "model.onnx: input input, but model.json names x" },
        { wrong_logits, "nothing" },
        { wrong_features, "4 features, but 4 labels and prototypes of [4, 16]" },
        { wrong_width, "model.onnx: " },
        { wrong_channels, "model.onnx: " },
        { wrong_layout, "model.onnx: " },
        { wrong_bytes, "model.onnx: " },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ood_error err = { 0 };
        struct ood_bundle *bundle = make_bundle(-1);
        cases[i].break_it(bundle);
        struct ood_scorer *scorer = ood_scorer_from_bundle(bundle, NULL, &err);
        if (scorer != NULL || strstr(err.message, cases[i].says) == NULL)
            fail_msg("case %zu: %s; expected \"%s\"", i, scorer != NULL ? "opened" : err.message, cases[i].says);
    }
}

/* ---- the self-test ---- */

static void test_self_test(void **state)
{
    (void)state;
    const char *isa = ood_engine_identity((char[OOD_ENGINE_IDENTITY]){ 0 });
    const struct { size_t count, at; double factor; const char *isa, *says; enum ood_convolution convolution; } cases[] = {
        { 3, 0, 1, isa, NULL, OOD_CONVOLUTION_AUTO },
        { 1, 0, 1, isa, NULL, OOD_CONVOLUTION_AUTO },
        { 11, 10, 1, isa, NULL, OOD_CONVOLUTION_AUTO },          /* more than the largest plan */
        { 3, 2, 1 + 1e-15, isa, "self-test: input 2: energy", OOD_CONVOLUTION_AUTO },
        { 11, 10, 1 + 1e-15, isa, "expected the same bits", OOD_CONVOLUTION_AUTO },
        { 3, 2, 1 + 1e-15, "another", NULL, OOD_CONVOLUTION_AUTO },
        { 3, 1, 1 + 5e-4, "another", NULL, OOD_CONVOLUTION_AUTO },
        { 3, 1, 1.01, "another", "self-test: input 1: energy", OOD_CONVOLUTION_AUTO },
    };
    char folder[] = "/tmp/scorer-test.XXXXXX";
    assert_non_null(mkdtemp(folder));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ood_error err = { 0 };
        struct ood_scorer_options options = { .convolution = cases[i].convolution };
        struct ood_bundle *bundle = bundle_with_self_test(cases[i].count);
        bundle->selftest_energy[cases[i].at] *= cases[i].factor;
        ood_free(bundle->selftest_isa);
        bundle->selftest_isa = ood_strdup(cases[i].isa, &err);
        check_ok(ood_bundle_write(bundle, folder, &err));
        ood_bundle_free(bundle);
        struct ood_scorer *scorer = ood_scorer_open(folder, &options, &err);
        if (cases[i].says == NULL ? scorer == NULL : scorer != NULL || strstr(err.message, cases[i].says) == NULL)
            fail_msg("case %zu: %s; expected %s", i, scorer != NULL ? "opened" : err.message, cases[i].says != NULL ? cases[i].says : "to open");
        if (scorer == NULL)
            assert_int_equal(strncmp(err.message, folder, strlen(folder)), 0);
        ood_scorer_free(scorer);
    }
    struct ood_names files;
    struct ood_error err = { 0 };
    check_ok(ood_folder_names(folder, &files, &err));
    for (size_t i = 0; i < files.count; i++) {
        char path[512];
        snprintf(path, sizeof path, "%s/%s", folder, files.items[i]);
        unlink(path);
    }
    ood_names_free(&files);
    rmdir(folder);
    check_fails(ood_scorer_open(folder, NULL, &err) != NULL, OOD_NOT_FOUND, folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_asking),   cmocka_unit_test(test_batches),  cmocka_unit_test(test_items),
        cmocka_unit_test(test_threads),  cmocka_unit_test(test_refusals), cmocka_unit_test(test_self_test),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
