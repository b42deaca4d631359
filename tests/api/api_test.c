/* Answers to the byte: verdicts, failed items, errors, probes, models; the tables of routes and codes, and that the
 * documentation and openapi.json list the same. */
#include "check.h"

#include <jansson.h>
#include <math.h>

#include "api/api.h"
#include "base/file.h"
#include "base/number.h"
#include "base/random.h"
#include "fake_scorer.h"
#include "record.h"

static struct api_model model(struct ood_scorer *scorer)
{
    return (struct api_model){ .name = "small", .scorer = scorer, .loaded_at = 1700000000.25 };
}

/* ---- routes ---- */

static void routes(void **state)
{
    (void)state;
    static const struct { const char *path; int kind; const char *tail; } cases[] = {
        { "/v1/score", API_ROUTE_SCORE, NULL }, { "/v1/models", API_ROUTE_MODELS, NULL }, { "/v1/models/a", API_ROUTE_MODEL, "a" },
        { "/v1/models/a.b-c_1", API_ROUTE_MODEL, "a.b-c_1" }, { "/healthz", API_ROUTE_HEALTH, NULL }, { "/readyz", API_ROUTE_READY, NULL },
        { "/metrics", API_ROUTE_METRICS, NULL }, { "/openapi.json", API_ROUTE_OPENAPI, NULL },
        { "", -1, NULL }, { "/", -1, NULL }, { "/v1/score/", -1, NULL }, { "/v1/scor", -1, NULL }, { "/v1/models/", -1, NULL },
        { "/v1/models/a/b", -1, NULL }, { "/v1/models/a/", -1, NULL }, { "/V1/score", -1, NULL }, { "v1/score", -1, NULL },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *tail = "untouched";
        const struct api_route *route = api_route_find(cases[i].path, &tail);
        if ((route == NULL) != (cases[i].kind < 0) || (route != NULL && (int)route->kind != cases[i].kind))
            fail_msg("%s: %s", cases[i].path, route != NULL ? route->path : "none");
        if (route == NULL)
            assert_string_equal(tail, "untouched");
        else if (cases[i].tail == NULL)
            assert_null(tail);
        else
            assert_string_equal(tail, cases[i].tail);
    }
}

static void methods(void **state)
{
    (void)state;
    const char *tail;
    const struct api_route *score = api_route_find("/v1/score", &tail), *models = api_route_find("/v1/models", &tail);
    assert_true(api_route_allows(score, "POST"));
    assert_true(api_route_allows(models, "GET") && api_route_allows(models, "HEAD"));
    static const char *const none[] = { "", "G", "GETS", "get", "GET, HEAD", ",", "PUT", "EAD" };
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++)
        assert_false(api_route_allows(models, none[i]) || api_route_allows(score, none[i]));
    assert_false(api_route_allows(score, "GET"));
}

static void request_ids(void **state)
{
    (void)state;
    char text[70];
    memset(text, 'x', sizeof text);
    text[64] = '\0';
    assert_true(api_request_id_valid(text) && api_request_id_valid("a") && api_request_id_valid("A-Z_0.9"));
    text[64] = 'x';
    text[65] = '\0';
    assert_false(api_request_id_valid(text) || api_request_id_valid("") || api_request_id_valid("a b") ||
                 api_request_id_valid("a\n") || api_request_id_valid("\xC3\xA9") || api_request_id_valid("a/b"));
}

/* ---- results ---- */

static struct ood_verdict verdict_of(enum ood_decision decision)
{
    return (struct ood_verdict){
        .decision = decision, .class_index = 1, .class_probability = 0.98, .energy = -9.8125, .representation_score = 0.07,
        .score = 1.0 / 3, .threshold = -1.7123456789, .p_value = 1, .alpha = 0.05, .nearest_count = 3,
        .nearest = { { 1, 0.07 }, { 2, 0.5 }, { 0, 1.25 } },
    };
}

#define HASH "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define CLASS "\"class\":{\"index\":1,\"label\":\"dog \\\"2\\\"\",\"probability\":0.98},"
#define NUMBERS "\"energy\":-9.8125,\"representation_score\":0.07,\"score\":0.3333333333333333,\"threshold\":-1.7123456789,\"p_value\":1,\"alpha\":0.05,"
#define NEAREST "\"nearest\":[{\"label\":\"dog \\\"2\\\"\",\"distance\":0.07},{\"label\":\"k\xC3\xB6ter\",\"distance\":0.5},{\"label\":\"cat\",\"distance\":1.25}],"

static void check_result(const char *expected, size_t index, const char *id, const struct ood_verdict *verdict, const float *logits, size_t top)
{
    char *text = api_result_json(fake_scorer(), index, id, verdict, logits, top);
    assert_non_null(text);
    assert_string_equal(text, expected);
    json_t *parsed = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(parsed);
    json_decref(parsed);
    api_text_free(text);
}

static void results(void **state)
{
    (void)state;
    struct ood_verdict verdict = verdict_of(OOD_IN);
    check_result("{\"index\":0,\"id\":\"a.jpg\",\"decision\":\"in\",\"reason\":\"above_threshold\"," CLASS NUMBERS NEAREST "\"warnings\":[]}",
                 0, "a.jpg", &verdict, NULL, 0);
    check_result("{\"index\":12,\"decision\":\"in\",\"reason\":\"above_threshold\"," CLASS NUMBERS NEAREST "\"warnings\":[]}", 12, NULL, &verdict, NULL, 5);

    verdict = verdict_of(OOD_OUT);
    verdict.warning_count = 2;
    snprintf(verdict.warnings[0], sizeof verdict.warnings[0], "extraneous \"bytes\"");
    snprintf(verdict.warnings[1], sizeof verdict.warnings[1], "\x01\t\xFF");
    verdict.nearest_count = 0;
    verdict.threshold = -INFINITY;
    check_result("{\"index\":0,\"id\":\"\",\"decision\":\"out\",\"reason\":\"below_threshold\"," CLASS
                 "\"energy\":-9.8125,\"representation_score\":0.07,\"score\":0.3333333333333333,\"threshold\":null,\"p_value\":1,\"alpha\":0.05,"
                 "\"nearest\":[],\"warnings\":[\"extraneous \\\"bytes\\\"\",\"\\u0001\\t\xEF\xBF\xBD\"]}", 0, "", &verdict, NULL, 0);

    verdict = (struct ood_verdict){ 0 };
    ood_fail(&verdict.error, OOD_PICTURE_TRUNCATED, "the data end after %d rows", 7);
    check_result("{\"index\":1,\"id\":\"b\",\"error\":{\"code\":\"picture_truncated\",\"message\":\"the data end after 7 rows\"}}", 1, "b", &verdict, NULL, 3);
}

static void top_classes(void **state)
{
    (void)state;
    static const float logits[] = { 0, 0, 100 };
    struct ood_verdict verdict = verdict_of(OOD_REVIEW);
    for (size_t top = 1; top <= 4; top++) {
        char *text = api_result_json(fake_scorer(), 0, NULL, &verdict, logits, top);
        assert_non_null(text);
        json_t *parsed = json_loads(text, 0, NULL);
        json_t *list = json_object_get(parsed, "top");
        assert_int_equal(json_array_size(list), top < 3 ? top : 3);
        static const json_int_t order[] = { 2, 0, 1 };              /* ties: the lower index */
        for (size_t i = 0; i < json_array_size(list); i++)
            assert_int_equal(json_integer_value(json_object_get(json_array_get(list, i), "index")), order[i]);
        assert_true(json_number_value(json_object_get(json_array_get(list, 0), "probability")) == 1.0);
        assert_non_null(strstr(text, "},\"top\":[{\"index\":2,\"label\":\"k\xC3\xB6ter\",\"probability\":1}"));
        json_decref(parsed);
        api_text_free(text);
    }
}

/* Numbers read back as the same double, whatever they are. */
static void numbers_round_trip(void **state)
{
    (void)state;
    struct ood_random random;
    ood_random_seed(&random, 20);
    for (size_t i = 0; i < 5000; i++) {
        struct ood_verdict verdict = verdict_of(OOD_IN);
        verdict.energy = ood_random_normal(&random) * pow(10, ood_random_uniform(&random) * 40 - 20);
        verdict.score = ood_random_normal(&random);
        verdict.p_value = ood_random_uniform(&random);
        char *text = api_result_json(fake_scorer(), 0, NULL, &verdict, NULL, 0);
        json_t *parsed = json_loads(text, JSON_DECODE_INT_AS_REAL, NULL);
        assert_true(json_real_value(json_object_get(parsed, "energy")) == verdict.energy);
        assert_true(json_real_value(json_object_get(parsed, "score")) == verdict.score);
        assert_true(json_real_value(json_object_get(parsed, "p_value")) == verdict.p_value);
        json_decref(parsed);
        api_text_free(text);
    }
}

/* ---- whole answers ---- */

static void check_answer(struct api_answer *answer, unsigned status, const char *expected, const char *method, const char *route)
{
    assert_int_equal(answer->status, status);
    assert_string_equal(answer->content_type, "application/json; charset=utf-8");
    if (answer->size != strlen(expected) || memcmp(answer->body, expected, answer->size) != 0)
        fail_msg("%.*s; expected %s", (int)answer->size, answer->body, expected);
    record_answer(method, route, answer);
    api_answer_free(answer);
}

static void score_answers(void **state)
{
    (void)state;
    struct api_model served = model(fake_scorer());
    struct ood_verdict verdicts[2] = { [0] = verdict_of(OOD_REVIEW) };
    char a[] = "a";
    char *ids[2] = { a, NULL };
    struct api_work work = { .count = 2, .verdicts = verdicts, .ids = ids };
    struct api_timing timing = { .queue = 0.00012345, .decode = 2, .infer = 0 };
    struct api_answer answer;
    ood_fail(&verdicts[1].error, OOD_TENSOR_MISMATCH, "4 logits; expected 3");
    api_answer_score(&served, &work, "req.1", &timing, &answer);
    check_answer(&answer, 200,
                 "{\"model\":\"small\",\"version\":\"" HASH "\",\"request_id\":\"req.1\",\"results\":["
                 "{\"index\":0,\"id\":\"a\",\"decision\":\"review\",\"reason\":\"review_zone\"," CLASS NUMBERS NEAREST "\"warnings\":[]},"
                 "{\"index\":1,\"error\":{\"code\":\"tensor_mismatch\",\"message\":\"4 logits; expected 3\"}}],"
                 "\"timing\":{\"queue\":0.000123,\"decode\":2,\"infer\":0}}", "POST", "/v1/score");

    float logits[6] = { 1, 2, 3, 3, 2, 1 };
    verdicts[1] = verdict_of(OOD_OUT);
    work.logits = logits;
    work.top = 1;
    timing = (struct api_timing){ .queue = -1, .decode = NAN, .infer = 12.3456789 };
    api_answer_score(&served, &work, "r", &timing, &answer);
    json_t *parsed = json_loadb(answer.body, answer.size, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(parsed);
    for (size_t i = 0; i < 2; i++) {
        json_t *result = json_array_get(json_object_get(parsed, "results"), i);
        json_t *best = json_array_get(json_object_get(result, "top"), 0);
        assert_int_equal(json_integer_value(json_object_get(best, "index")), i == 0 ? 2 : 0);
        char *element = json_dumps(result, JSON_COMPACT), *alone = api_result_json(served.scorer, i, ids[i], &verdicts[i], logits + 3 * i, 1);
        assert_non_null(memmem(answer.body, answer.size, alone, strlen(alone)));        /* the same bytes as oodctl score --json */
        api_text_free(alone);
        free(element);
    }
    json_decref(parsed);
    assert_non_null(memmem(answer.body, answer.size, "\"timing\":{\"queue\":0,\"decode\":0,\"infer\":12.345679}}", 50));
    record_answer("POST", "/v1/score", &answer);
    api_answer_free(&answer);
}

static void single_failures(void **state)
{
    (void)state;
    static const struct { enum ood_code code; const char *word; unsigned status; } cases[] = {
        { OOD_PICTURE_EMPTY, "picture_empty", 422 }, { OOD_PICTURE_TOO_LARGE, "picture_too_large", 422 },
        { OOD_SCORE_NOT_FINITE, "score_not_finite", 422 }, { OOD_UNSUPPORTED, "unsupported", 422 },
        { OOD_OUT_OF_MEMORY, "out_of_memory", 500 }, { OOD_SYSTEM, "system_error", 500 },
    };
    struct api_model served = model(fake_scorer());
    struct api_timing timing = { 0 };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ood_verdict verdict = { 0 };
        char *id = NULL, expected[256];
        struct api_work work = { .count = 1, .single = true, .verdicts = &verdict, .ids = &id };
        struct api_answer answer;
        ood_fail(&verdict.error, cases[i].code, "why");
        api_answer_score(&served, &work, "r", &timing, &answer);
        snprintf(expected, sizeof expected, "{\"error\":{\"code\":\"%s\",\"message\":\"why\",\"request_id\":\"r\"}}", cases[i].word);
        check_answer(&answer, cases[i].status, expected, "POST", "/v1/score");
    }
}

static void error_answers(void **state)
{
    (void)state;
    struct api_error err = { 0 };
    struct api_answer answer;
    api_fail(&err, API_QUEUE_FULL, "the queue of %d items is full", 256);
    api_answer_error(&err, "id-1", 3, NULL, &answer);
    assert_int_equal(answer.retry_after, 3);
    assert_null(answer.allow);
    check_answer(&answer, 429, "{\"error\":{\"code\":\"queue_full\",\"message\":\"the queue of 256 items is full\",\"request_id\":\"id-1\"}}", "POST", "/v1/score");
    api_fail(&err, API_METHOD_NOT_ALLOWED, "PUT");
    api_answer_error(&err, NULL, 0, "GET, HEAD", &answer);
    assert_string_equal(answer.allow, "GET, HEAD");
    check_answer(&answer, 405, "{\"error\":{\"code\":\"method_not_allowed\",\"message\":\"PUT\",\"request_id\":\"\"}}", "PUT", "/v1/models");
    /* what is not UTF-8, and a sentence that is too long: cut at a whole character */
    api_fail(&err, API_NOT_FOUND, "\"\\\b\f\n\r\t\x1f\xC0\x80\xED\xA0\x80");
    api_answer_error(&err, "r", 0, NULL, &answer);
    check_answer(&answer, 404, "{\"error\":{\"code\":\"route_not_found\",\"message\":\"\\\"\\\\\\b\\f\\n\\r\\t\\u001f"
                 "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\",\"request_id\":\"r\"}}", "GET", "/v1/models/{name}");
    char text[1200] = "x";
    for (size_t i = 0; i < 500; i++)
        memcpy(text + 1 + 2 * i, "\xC3\xA9", 3);
    assert_false(api_fail(&err, API_BAD_REQUEST, "%s", text));
    assert_int_equal(strlen(err.message), 503);
    assert_true((unsigned char)err.message[502] == 0xA9);
    /* every code has a word and a status that fits it */
    for (int code = API_OK + 1; api_code_name((enum api_code)code)[0] != '\0' || code == API_ITEM; code++) {
        if (code > API_NOT_READY)
            break;
        api_fail(&err, (enum api_code)code, "why");
        err.item = OOD_PICTURE_CORRUPT;
        api_answer_error(&err, "r", code == API_QUEUE_FULL || code == API_DRAINING, code == API_METHOD_NOT_ALLOWED ? "GET, HEAD" : NULL, &answer);
        assert_true(answer.status >= 400 && answer.status < 600);
        record_answer("POST", code == API_NOT_READY ? "/readyz" : "/v1/score", &answer);
        api_answer_free(&answer);
    }
    assert_string_equal(api_code_name((enum api_code)9999), "internal_error");
    assert_int_equal(api_code_status((enum api_code)9999), 500);
}

static void probes(void **state)
{
    (void)state;
    struct api_model served[2] = { model(fake_scorer()), model(fake_scorer()) };
    served[1].name = "b";
    struct api_service service = { .models = served, .model_count = 2 };
    struct api_answer answer;
    api_answer_health(&answer);
    check_answer(&answer, 200, "{\"status\":\"ok\"}", "GET", "/healthz");
    api_answer_ready(&service, "r", &answer);
    check_answer(&answer, 200, "{\"status\":\"ready\",\"models\":[\"small\",\"b\"]}", "GET", "/readyz");
    service.not_ready = "draining";
    api_answer_ready(&service, "r", &answer);
    check_answer(&answer, 503, "{\"error\":{\"code\":\"not_ready\",\"message\":\"draining\",\"request_id\":\"r\"}}", "GET", "/readyz");
    service = (struct api_service){ 0 };
    api_answer_ready(&service, "r", &answer);
    check_answer(&answer, 503, "{\"error\":{\"code\":\"not_ready\",\"message\":\"no model is loaded\",\"request_id\":\"r\"}}", "GET", "/readyz");
}

/* ---- models ---- */

static void finding_models(void **state)
{
    (void)state;
    struct api_model served[3] = { model(fake_scorer()), model(fake_scorer()), model(fake_scorer()) };
    served[0].name = "a";
    served[1].name = "b";
    served[2].name = "c";
    struct api_service service = { .models = served, .model_count = 3, .default_model = 1 };
    struct api_error err = { 0 };
    assert_ptr_equal(api_model_find(&service, NULL, &err), &served[1]);
    assert_ptr_equal(api_model_find(&service, "", &err), &served[1]);
    assert_ptr_equal(api_model_find(&service, "c", &err), &served[2]);
    assert_int_equal(err.code, API_OK);
    assert_null(api_model_find(&service, "d\"", &err));
    assert_int_equal(err.code, API_MODEL_NOT_FOUND);
    assert_string_equal(err.message, "no model is named \"d\"\"; there are: a, b, c");
    service.model_count = 0;
    assert_null(api_model_find(&service, NULL, &err));
    assert_int_equal(err.code, API_NO_MODEL);
}

#define MODEL(default_)                                                                                               \
    "{\"name\":\"small\",\"version\":\"" HASH "\",\"default\":" default_ ",\"loaded_at\":1700000000.25,\"classes\":3,\"dimension\":2," \
    "\"labels\":[\"cat\",\"dog \\\"2\\\"\",\"k\xC3\xB6ter\"],"                                                        \
    "\"input\":{\"tensor\":\"input\",\"width\":32,\"height\":32,\"channels\":\"rgb\",\"layout\":\"nchw\",\"resize\":\"short_side\",\"resize_to\":0," \
    "\"filter\":\"bilinear\",\"scale\":0.003921569,\"mean\":[0.4914,0.4822,0.4465],\"std\":[0.247,0.2435,0.2616]},"     \
    "\"taps\":{\"logits\":\"logits\",\"features\":\"features\"},"                                                     \
    "\"score\":{\"temperature\":1,\"distance\":\"nearest\",\"beta\":0.5,\"beta_from\":\"default\",\"energy_mean\":-9.5,\"energy_std\":2.25," \
    "\"representation_mean\":0.1,\"representation_std\":0.05},"                                                       \
    "\"decision\":{\"alpha\":0.05,\"alpha_review\":0.1,\"threshold\":-1.7123456789,\"review_threshold\":null,\"per_class\":false," \
    "\"calibration_items\":2500},\"engine\":{\"convolution\":\"direct\",\"largest_difference\":null},"                \
    "\"provenance\":{\"made_by\":\"a test\"}}"

static void model_answers(void **state)
{
    (void)state;
    struct api_model served[2] = { model(fake_scorer()), model(fake_scorer()) };
    struct api_service service = { .models = served, .model_count = 2, .default_model = 1 };
    struct api_answer answer;
    assert_true(api_answer_model(&service, &served[1], &answer));
    check_answer(&answer, 200, MODEL("true"), "GET", "/v1/models/{name}");
    assert_true(api_answer_models(&service, &answer));
    check_answer(&answer, 200, "{\"models\":[" MODEL("false") "," MODEL("true") "]}", "GET", "/v1/models");
    service.model_count = 0;
    assert_true(api_answer_models(&service, &answer));
    check_answer(&answer, 200, "{\"models\":[]}", "GET", "/v1/models");

    struct ood_bundle *bundle = fake_bundle(served[0].scorer);
    bundle->input.channels = OOD_CHANNELS_GREY;
    bundle->input.resize = OOD_RESIZE_EXACT;
    bundle->provenance = NULL;
    bundle->beta_from = OOD_BETA_OUTLIERS;
    bundle->judge.per_class = true;
    bundle->largest_difference = 1e-7;
    service.model_count = 1;
    assert_true(api_answer_model(&service, &served[0], &answer));
    static const char *const parts[] = { "\"resize\":\"exact\",\"filter\"", "\"mean\":[0.4914],\"std\":[0.247]", "\"provenance\":{}}",
                                         "\"beta_from\":\"outliers\"", "\"per_class\":true", "\"largest_difference\":1e-07" };
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        if (memmem(answer.body, answer.size, parts[i], strlen(parts[i])) == NULL)
            fail_msg("%s is not in %.*s", parts[i], (int)answer.size, answer.body);
    record_answer("GET", "/v1/models/{name}", &answer);
    api_answer_free(&answer);
}

/* ---- code, documentation and description agree ---- */

#define API_WORD(code, word, status) { word, status },
#define OOD_WORD(code, word) { word, 0 },
static const struct { const char *word; unsigned status; } words[] = { API_ERRORS(API_WORD) OOD_CODES(OOD_WORD) };
#define WORDS (sizeof words / sizeof words[0])

static void documented(void **state)
{
    (void)state;
    struct ood_error err = { 0 };
    struct ood_bytes text;
    char path[4096], cell[128];
    const char *source = getenv("OOD_SOURCE");
    snprintf(path, sizeof path, "%s/docs/INTERFACE.md", source != NULL ? source : ".");
    check_ok(ood_file_read(path, 1 << 20, &text, &err));
    const char *table = strstr((const char *)text.data, "| code | status |");
    assert_non_null(table);
    const char *end = strstr(table, "\n\n");
    assert_non_null(end);
    size_t rows = 0, listed = 0;
    for (size_t i = 0; i < WORDS; i++) {
        if (words[i].word[0] == '\0')
            continue;
        snprintf(cell, sizeof cell, words[i].status != 0 ? "\n| `%s` | %u |" : "`%s`", words[i].word, words[i].status);
        const char *found = strstr(table, cell);
        if (found == NULL || found > end)
            fail_msg("docs/INTERFACE.md does not list %s", cell);
        listed++;
    }
    for (const char *p = table; p < end; p++)
        if (*p == '`' && p[1] >= 'a' && p[1] <= 'z' && (p[-1] == ' ') && (p[-2] == '|' || p[-2] == ',')) {
            const char *line = p;
            while (*line != '\n')
                line--;
            size_t bars = 0;
            for (const char *q = line; q < p; q++)
                bars += *q == '|';
            rows += bars == 1;                              /* in the first column */
        }
    assert_int_equal(rows, listed);
    ood_bytes_free(&text);
}

static void check_enum(json_t *schemas, const char *name, size_t from)
{
    json_t *list = json_object_get(json_object_get(schemas, name), "enum");
    size_t expected = 0;
    for (size_t i = from; i < WORDS; i++) {
        bool found = words[i].word[0] == '\0';
        expected += !found;
        for (size_t j = 0; !found && j < json_array_size(list); j++)
            found = strcmp(json_string_value(json_array_get(list, j)), words[i].word) == 0;
        if (!found)
            fail_msg("openapi.json: %s does not list %s", name, words[i].word);
    }
    assert_int_equal(json_array_size(list), expected);
}

#define OOD_NAME(value, word) word,
static void described(void **state)
{
    (void)state;
    struct api_answer answer;
    json_error_t error;
    api_answer_openapi(&answer);
    assert_int_equal(answer.status, 200);
    json_t *root = json_loadb(answer.body, answer.size, JSON_REJECT_DUPLICATES, &error);
    if (root == NULL)
        fail_msg("openapi.json: %s (line %d)", error.text, error.line);
    json_t *paths = json_object_get(root, "paths"), *schemas = json_object_get(json_object_get(root, "components"), "schemas");
    assert_int_equal(json_object_size(paths), api_route_count);
    for (size_t i = 0; i < api_route_count; i++) {
        json_t *path = json_object_get(paths, api_routes[i].path);
        bool post = api_route_allows(&api_routes[i], "POST");
        if (json_object_get(path, post ? "post" : "get") == NULL || json_object_size(path) != 1)
            fail_msg("openapi.json: %s", api_routes[i].path);
    }
    static const char *const library[] = { OOD_CODES(OOD_NAME) };
    size_t api_words = WORDS - sizeof library / sizeof library[0];
    assert_string_equal(words[api_words].word, "out_of_memory");
    check_enum(schemas, "ErrorCode", 0);
    check_enum(schemas, "ItemCode", api_words);
    json_decref(root);
    record_answer("GET", "/openapi.json", &answer);
    api_answer_free(&answer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(routes), cmocka_unit_test(methods), cmocka_unit_test(request_ids), cmocka_unit_test(results),
        cmocka_unit_test(top_classes), cmocka_unit_test(numbers_round_trip), cmocka_unit_test(score_answers),
        cmocka_unit_test(single_failures), cmocka_unit_test(error_answers), cmocka_unit_test(probes),
        cmocka_unit_test(finding_models), cmocka_unit_test(model_answers), cmocka_unit_test(documented), cmocka_unit_test(described),
    };
    return cmocka_run_group_tests_name("api answers", tests, NULL, NULL);
}
