/* A body in, an answer out, with a real scorer between: a network of three colours (the mean of each channel is a feature, ten
 * times it a logit), scores by hand from METHOD. A picture and its tensors get the same result; one way in is like another. */
#include "check.h"

#include <jansson.h>

#include "api/api.h"
#include "graph/onnx_writer.h"
#include "scorer/scorer.h"

/* 4×4, all red; made by Python's zlib. */
static const unsigned char red[] = {
    0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A, 0x00, 0x00, 0x00, 0x0D, 0x49, 0x48, 0x44, 0x52, 0x00, 0x00, 0x00, 0x04, 0x00,
    0x00, 0x00, 0x04, 0x08, 0x02, 0x00, 0x00, 0x00, 0x26, 0x93, 0x09, 0x29, 0x00, 0x00, 0x00, 0x10, 0x49, 0x44, 0x41, 0x54, 0x78,
    0xDA, 0x63, 0xF8, 0xCF, 0xC0, 0x00, 0x47, 0x0C, 0xC4, 0x71, 0x00, 0xAE, 0x93, 0x0F, 0xF1, 0x38, 0x5E, 0x8C, 0x11, 0x00, 0x00,
    0x00, 0x00, 0x49, 0x45, 0x4E, 0x44, 0xAE, 0x42, 0x60, 0x82,
};
#define RED "iVBORw0KGgoAAAANSUhEUgAAAAQAAAAECAIAAAAmkwkpAAAAEElEQVR42mP4z8AARwzEcQCukw/xOF6MEQAAAABJRU5ErkJggg=="
#define RED_TENSOR "\"logits\":[10,0,0],\"features\":[1,0,0]"

static void make_network(struct ood_bytes *onnx)
{
    static const float weights[9] = { 10, 0, 0, 0, 10, 0, 0, 0, 10 };
    struct ood_error err = { 0 };
    struct onnx_writer w = { 0 };
    onnx_model_begin(&w, 13);
    onnx_input(&w, "input", ONNX_FLOAT, 4, (int64_t[]){ -1, 3, 4, 4 });
    onnx_initialiser(&w, "w", ONNX_FLOAT, 2, (int64_t[]){ 3, 3 }, weights, sizeof weights);
    onnx_node_begin(&w, "GlobalAveragePool", "pool", (const char *[]){ "input" }, 1, (const char *[]){ "pooled" }, 1);
    onnx_node_end(&w);
    onnx_node_begin(&w, "Flatten", "flat", (const char *[]){ "pooled" }, 1, (const char *[]){ "features" }, 1);
    onnx_node_end(&w);
    onnx_node_begin(&w, "Gemm", "fc", (const char *[]){ "features", "w" }, 2, (const char *[]){ "logits" }, 1);
    onnx_node_end(&w);
    onnx_output(&w, "logits");
    onnx_model_end(&w);
    onnx->data = ood_alloc(w.size, 1, &err);
    assert_non_null(onnx->data);
    memcpy(onnx->data, w.data, w.size);
    onnx->size = w.size;
    onnx_free(&w);
}

static struct ood_scorer *make_scorer(void)
{
    static const char *const labels[] = { "red", "green", "blue" };
    struct ood_error err = { 0 };
    struct ood_bundle *bundle = ood_new(struct ood_bundle, &err);
    assert_non_null(bundle);
    bundle->name = ood_strdup("colours", &err);
    memset(bundle->version, 'c', sizeof bundle->version - 1);
    bundle->classes = 3;
    bundle->labels = ood_new_array(char *, 3, &err);
    bundle->input_tensor = ood_strdup("input", &err);
    bundle->logits_tap = ood_strdup("logits", &err);
    bundle->features_tap = ood_strdup("features", &err);
    bundle->input = (struct ood_preprocess){ .width = 4, .height = 4, .resize = OOD_RESIZE_EXACT, .scale = 1.0f / 255, .std = { 1, 1, 1 } };
    bundle->judge = (struct ood_judge){ .classes = 3, .dimension = 3, .temperature = 1, .beta = 0.5, .energy_mean = -10, .energy_std = 0.5,
                                        .representation_mean = 0.1, .representation_std = 0.05, .alpha = 0.05, .alpha_review = 0.05,
                                        .calibration_count = 19 };
    bundle->judge.prototypes = ood_new_array(float, 9, &err);
    bundle->judge.calibration_scores = ood_new_array(double, 19, &err);
    assert_non_null(bundle->labels);
    assert_non_null(bundle->judge.prototypes);
    assert_non_null(bundle->judge.calibration_scores);
    for (size_t i = 0; i < 3; i++) {
        bundle->labels[i] = ood_strdup(labels[i], &err);
        bundle->judge.prototypes[4 * i] = 1;
    }
    for (size_t i = 0; i < 19; i++)
        bundle->judge.calibration_scores[i] = (double)i - 9;
    check_ok(ood_judge_prepare(&bundle->judge, &err));
    make_network(&bundle->onnx);
    struct ood_scorer *scorer = ood_scorer_from_bundle(bundle, NULL, &err);
    if (scorer == NULL)
        fail_msg("%s", err.message);
    return scorer;
}

struct setup { struct ood_scorer *scorer; struct ood_session *session; };

static int begin(void **state)
{
    static struct setup setup;
    struct ood_error err = { 0 };
    setup.scorer = make_scorer();
    setup.session = ood_scorer_session(setup.scorer, &err);
    if (setup.session == NULL)
        fail_msg("%s", err.message);
    *state = &setup;
    return 0;
}

static int end(void **state)
{
    struct setup *setup = *state;
    ood_session_free(setup->session);
    ood_scorer_free(setup->scorer);
    return 0;
}

/* The daemon's way. The answer as a tree; *status beside it. */
static json_t *post(struct setup *setup, const char *type, const char *top, const void *body, size_t size, unsigned *status)
{
    static const struct api_limits limits = { .items = 64, .body_bytes = 1 << 20 };
    static const struct api_timing timing = { 0 };
    struct api_model model = { .name = "colours", .scorer = setup->scorer };
    struct api_work work;
    struct api_answer answer;
    struct api_error error = { 0 };
    struct ood_error err = { 0 };
    if (!api_work_parse(type, top, body, size, &limits, setup->scorer, &work, &error))
        fail_msg("%s", error.message);
    check_ok(ood_score(setup->scorer, setup->session, work.items, work.count, work.verdicts, NULL, &err));
    api_answer_score(&model, &work, "r", &timing, &answer);
    json_t *tree = json_loadb(answer.body, answer.size, JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, NULL);
    assert_non_null(tree);
    *status = answer.status;
    api_answer_free(&answer);
    api_work_free(&work);
    return tree;
}

static double number(json_t *object, const char *name)
{
    json_t *value = json_object_get(object, name);
    if (!json_is_number(value))
        fail_msg("%s is no number", name);
    return json_number_value(value);
}

static json_t *result(json_t *tree, size_t index)
{
    return json_array_get(json_object_get(tree, "results"), index);
}

static void by_hand(void **state)
{
    unsigned status;
    json_t *tree = post(*state, "image/png", NULL, red, sizeof red, &status), *found = result(tree, 0);
    assert_int_equal(status, 200);
    assert_string_equal(json_string_value(json_object_get(found, "decision")), "in");
    assert_string_equal(json_string_value(json_object_get(json_object_get(found, "class"), "label")), "red");
    check_close(number(json_object_get(found, "class"), "probability"), 0.9999092083843409, 1e-12, 0);     /* 1 / (1 + 2 e^-10) */
    check_close(number(found, "energy"), -10.000090795737467, 1e-12, 0);                                    /* -log(e^10 + 2) */
    check_close(number(found, "representation_score"), 0, 1e-12, 0);
    check_close(number(found, "score"), 1.000090795737467, 1e-11, 0);       /* -(0.5 (E + 10) / 0.5 + 0.5 (0 - 0.1) / 0.05) */
    assert_true(number(found, "threshold") == -9 && number(found, "p_value") == 0.6 && number(found, "alpha") == 0.05);
    assert_null(json_object_get(found, "id"));
    json_decref(tree);

    static const char body[] = "{\"tensors\":[{\"id\":\"flat\",\"logits\":[0,0,0],\"features\":[2,2,2]},{\"id\":\"long\",\"logits\":[0,0,0,0],\"features\":[1,1,1]},"
                               "{\"id\":\"zero\",\"logits\":[0,0,0],\"features\":[0,0,0]}]}";
    tree = post(*state, "application/json", "2", body, sizeof body - 1, &status);
    assert_int_equal(status, 200);
    found = result(tree, 0);
    assert_string_equal(json_string_value(json_object_get(found, "decision")), "out");
    check_close(number(found, "energy"), -1.0986122886681098, 1e-12, 0);                                    /* -log 3 */
    check_close(number(found, "representation_score"), 0.42264973081037427, 1e-12, 0);                      /* 1 - 1/sqrt 3 */
    assert_true(number(found, "p_value") == 0.05);
    json_t *best = json_array_get(json_object_get(found, "top"), 1);
    assert_int_equal(json_array_size(json_object_get(found, "top")), 2);
    assert_string_equal(json_string_value(json_object_get(best, "label")), "green");
    check_close(number(best, "probability"), 1.0 / 3, 1e-15, 0);
    static const char *const codes[] = { "tensor_mismatch", "score_not_finite" };
    for (size_t i = 0; i < 2; i++) {
        json_t *error = json_object_get(result(tree, i + 1), "error");
        assert_string_equal(json_string_value(json_object_get(error, "code")), codes[i]);
        assert_true(json_string_length(json_object_get(error, "message")) > 0);
    }
    json_decref(tree);
}

/* The same picture by every way in: the same result but for its place and id. */
static void every_way(void **state)
{
    unsigned status;
    char form[1024];
    static const char head[] = "--X\r\nContent-Disposition: form-data; name=\"p\"; filename=\"f\"\r\n\r\n", foot[] = "\r\n--X--\r\n";
    size_t size = 0;
    memcpy(form, head, sizeof head - 1);
    size += sizeof head - 1;
    memcpy(form + size, red, sizeof red);
    size += sizeof red;
    memcpy(form + size, foot, sizeof foot - 1);
    size += sizeof foot - 1;
    static const char images[] = "{\"images\":[{\"id\":\"p\",\"data\":\"" RED "\"}]}", tensors[] = "{\"tensors\":[{\"id\":\"p\"," RED_TENSOR "}]}";
    const struct { const char *type; const void *body; size_t size; } ways[] = {
        { "image/png", red, sizeof red }, { "application/octet-stream", red, sizeof red }, { "multipart/form-data; boundary=X", form, size },
        { "application/json", images, sizeof images - 1 }, { "application/json", tensors, sizeof tensors - 1 },
    };
    char *first = NULL;
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        json_t *tree = post(*state, ways[i].type, "3", ways[i].body, ways[i].size, &status), *found = result(tree, 0);
        assert_int_equal(status, 200);
        if (i >= 2)
            assert_string_equal(json_string_value(json_object_get(found, "id")), "p");
        json_object_del(found, "id");
        char *text = json_dumps(found, JSON_COMPACT);
        if (first == NULL)
            first = text;
        else
            assert_string_equal(text, first);
        if (text != first)
            free(text);
        json_decref(tree);
    }
    free(first);
}

static void broken_pictures(void **state)
{
    unsigned status;
    json_t *tree = post(*state, "image/png", NULL, red, sizeof red - 30, &status);
    assert_int_equal(status, 422);
    assert_string_equal(json_string_value(json_object_get(json_object_get(tree, "error"), "code")), "picture_truncated");
    json_decref(tree);
    tree = post(*state, "image/avif", NULL, "\0\0\0\x1C" "ftypavif", 12, &status);
    assert_int_equal(status, 422);
    assert_string_equal(json_string_value(json_object_get(json_object_get(tree, "error"), "code")), "picture_unknown");
    json_decref(tree);
    static const char images[] = "{\"images\":[{\"data\":\"\"},{\"data\":\"" RED "\"},{\"data\":\"aGk=\"}]}";
    tree = post(*state, "application/json", NULL, images, sizeof images - 1, &status);
    assert_int_equal(status, 200);
    assert_string_equal(json_string_value(json_object_get(json_object_get(result(tree, 0), "error"), "code")), "picture_empty");
    assert_string_equal(json_string_value(json_object_get(result(tree, 1), "decision")), "in");
    assert_string_equal(json_string_value(json_object_get(json_object_get(result(tree, 2), "error"), "code")), "picture_unknown");
    json_decref(tree);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(by_hand), cmocka_unit_test(every_way), cmocka_unit_test(broken_pictures) };
    return cmocka_run_group_tests_name("api scoring", tests, begin, end);
}
