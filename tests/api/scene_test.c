/* Bodies of POST /v1/detections: what is taken and to which boxes it leads; what is refused, with code and sentence; answers to the
 * byte. */
#include "check.h"

#include "api/api.h"
#include "base/memory.h"
#include "fake_scorer.h"
#include "record.h"

static const struct api_limits limits = { .items = 4, .body_bytes = 1 << 16 };

#define JSON "application/json"
#define FORM "multipart/form-data; boundary=XX"
#define PART(name) "--XX\r\nContent-Disposition: form-data; name=\"" name "\"\r\n\r\n"
#define IMAGE "\"image\":\"aGk=\""
#define BOXES(boxes) "{" IMAGE ",\"boxes\":[" boxes "]}"
#define BOX(numbers) "{\"box\":[" numbers "]}"

static struct ood_scorer *scorer_of(bool detector)
{
    struct ood_scorer *scorer = fake_scorer();
    fake_detector(scorer, detector);
    return scorer;
}

/* ---- what is taken ---- */

static const struct good_case {
    const char *name, *type, *body;
    bool detector;
    enum api_work_kind kind;
    size_t count, boxes;
    const char *picture, *ids[2];
    double corners[2][4];
    bool find, relative;
    double margin;
} good[] = {
    { "two boxes", JSON, BOXES("{\"id\":\"a\",\"box\":[1,2.5,3,4]},{\"box\":[-5,-6,7e2,8]}"), false, API_WORK_BOXES, 2, 2, "hi", { "a", NULL },
      { { 1, 2.5, 3, 4 }, { -5, -6, 700, 8 } }, false, false, 0 },
    { "corner and sizes, relative, a margin", JSON,
      "{\"boxes\":[{\"box\":[0.25,0.5,0.125,0.25],\"id\":\"\"}],\"format\":\"xywh\",\"unit\":\"relative\",\"margin\":0.1," IMAGE "}", false,
      API_WORK_BOXES, 1, 1, "hi", { "" }, { { 0.25, 0.5, 0.375, 0.75 } }, false, true, 0.1 },
    { "the words of the defaults", JSON, "{" IMAGE ",\"boxes\":[" BOX("1,2,3,4") "],\"format\":\"xyxy\",\"unit\":\"pixel\",\"margin\":0}", false,
      API_WORK_BOXES, 1, 1, "hi", { NULL }, { { 1, 2, 3, 4 } }, false, false, 0 },
    { "no boxes in the list", JSON, BOXES(""), false, API_WORK_SCENE, 1, 0, "hi", { NULL }, { { 0 } }, false, false, 0 },
    { "an id twice", JSON, BOXES("{\"id\":\"a\",\"box\":[1,2,3,4]},{\"id\":\"a\",\"box\":[1,2,3,4]}"), false, API_WORK_BOXES, 2, 2, "hi", { "a", "a" },
      { { 1, 2, 3, 4 }, { 1, 2, 3, 4 } }, false, false, 0 },
    { "as many as there may be", JSON, BOXES(BOX("1,2,3,4") "," BOX("1,2,3,4") "," BOX("1,2,3,4") "," BOX("1,2,3,4")), false, API_WORK_BOXES, 4, 4, "hi",
      { NULL }, { { 1, 2, 3, 4 }, { 1, 2, 3, 4 } }, false, false, 0 },
    { "form, the array alone", FORM, PART("picture") "PIC\r\n" PART("boxes") "[" BOX("1,2,3,4") "]\r\n--XX--", false, API_WORK_BOXES, 1, 1, "PIC", { NULL },
      { { 1, 2, 3, 4 } }, false, false, 0 },
    { "form, boxes first, an object", FORM,
      PART("boxes") "{\"unit\":\"relative\",\"boxes\":[{\"id\":\"z\",\"box\":[0,0,1,1]}]}\r\n" PART("picture") "PIC\r\n--XX--", false, API_WORK_BOXES, 1, 1, "PIC",
      { "z" }, { { 0, 0, 1, 1 } }, false, true, 0 },
    { "a detector finds: raw", "image/png", "PIC", true, API_WORK_SCENE, 1, 0, "PIC", { NULL }, { { 0 } }, true, false, 0 },
    { "a detector finds: json", JSON, "{" IMAGE "}", true, API_WORK_SCENE, 1, 0, "hi", { NULL }, { { 0 } }, true, false, 0 },
    { "a detector finds: form", FORM, PART("picture") "PIC\r\n--XX--", true, API_WORK_SCENE, 1, 0, "PIC", { NULL }, { { 0 } }, true, false, 0 },
    { "a detector's regions", JSON, BOXES(BOX("1,2,3,4")), true, API_WORK_SCENE, 1, 1, "hi", { NULL }, { { 1, 2, 3, 4 } }, false, false, 0 },
    { "nothing to look at for a detector", JSON, BOXES(""), true, API_WORK_SCENE, 1, 0, "hi", { NULL }, { { 0 } }, false, false, 0 },
};

static void good_bodies(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        const struct good_case *c = &good[i];
        struct api_work work = { 0 };
        struct api_error err = { 0 };
        if (!api_scene_parse(c->type, (const unsigned char *)c->body, strlen(c->body), &limits, scorer_of(c->detector), &work, &err))
            fail_msg("%s: %s: %s", c->name, api_code_name(err.code), err.message);
        const struct api_scene *scene = &work.scene;
        if (work.kind != c->kind || work.count != c->count || scene->boxes.count != c->boxes || scene->find != c->find ||
            scene->boxes.relative != c->relative || scene->boxes.margin != c->margin)
            fail_msg("%s: kind %d, %zu items, %zu boxes", c->name, (int)work.kind, work.count, scene->boxes.count);
        if (scene->picture_size != strlen(c->picture) || memcmp(scene->picture, c->picture, scene->picture_size) != 0)
            fail_msg("%s: picture of %zu bytes", c->name, scene->picture_size);
        for (size_t j = 0; j < c->boxes && j < 2; j++) {
            assert_memory_equal(scene->boxes.corners[j], c->corners[j], sizeof c->corners[j]);
            assert_true(c->ids[j] == NULL ? work.ids[j] == NULL : strcmp(work.ids[j], c->ids[j]) == 0);
            assert_true(scene->detections[j].box[3] == 0);
        }
        for (size_t j = 0; work.kind == API_WORK_BOXES && j < work.count; j++)
            assert_null(work.items[j].crop);
        api_work_free(&work);
    }
}

/* ---- what is refused ---- */

#define TOO_LONG "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef" \
                 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdefX"

static const struct bad_case {
    const char *name, *type, *body;
    enum api_code code;
    const char *says;
} bad[] = {
    { "no type", NULL, "x", API_UNSUPPORTED_MEDIA_TYPE, "Content-Type is missing" },
    { "another type", "text/plain", "x", API_UNSUPPORTED_MEDIA_TYPE, "\"text/plain\"; expected image/*" },
    { "empty", JSON, "", API_NO_ITEMS, "the body is empty; expected a picture" },
    { "no json", JSON, "{", API_BAD_REQUEST, "JSON: string or '}' expected" },
    { "an array", JSON, "[]", API_BAD_REQUEST, "JSON: the body is an array; expected an object" },
    { "no image", JSON, "{\"boxes\":[]}", API_NO_ITEMS, "JSON: image is missing; expected the picture as base64" },
    { "a number for an image", JSON, "{\"image\":7}", API_BAD_REQUEST, "JSON: image is a number; expected a string of base64" },
    { "no base64", JSON, "{\"image\":\"a-=\"}", API_BAD_REQUEST, "JSON: image is not base64" },
    { "unknown member", JSON, "{" IMAGE ",\"box\":[]}", API_BAD_REQUEST, "JSON: unknown member \"box\"; expected image, boxes, format, unit, margin" },
    { "boxes twice", JSON, "{" IMAGE ",\"boxes\":[],\"boxes\":[]}", API_BAD_REQUEST, "JSON: duplicate object key" },
    { "too deep", JSON, "[[[[[[[[[[]]]]]]]]]]", API_BAD_REQUEST, "nested deeper than 8 levels" },
    { "no boxes", JSON, "{" IMAGE "}", API_NO_DETECTOR, "no boxes, and the model has no detector" },
    { "no boxes, raw", "image/jpeg", "x", API_NO_DETECTOR, "no boxes, and the model has no detector" },
    { "boxes are no array", JSON, "{" IMAGE ",\"boxes\":{}}", API_BAD_REQUEST, "JSON: boxes is an object; expected an array of objects" },
    { "boxes null", JSON, "{" IMAGE ",\"boxes\":null}", API_BAD_REQUEST, "JSON: boxes is null; expected an array of objects" },
    { "format", JSON, "{" IMAGE ",\"boxes\":[],\"format\":\"cxcywh\"}", API_BAD_REQUEST, "JSON: format is \"cxcywh\"; expected \"xyxy\" or \"xywh\"" },
    { "format of another type", JSON, "{" IMAGE ",\"boxes\":[],\"format\":1}", API_BAD_REQUEST, "JSON: format is a number; expected \"xyxy\" or \"xywh\"" },
    { "unit", JSON, "{" IMAGE ",\"boxes\":[],\"unit\":\"px\"}", API_BAD_REQUEST, "JSON: unit is \"px\"; expected \"pixel\" or \"relative\"" },
    { "margin below", JSON, "{" IMAGE ",\"boxes\":[],\"margin\":-0.1}", API_BAD_REQUEST, "JSON: margin is -0.1; expected 0 to 10" },
    { "margin above", JSON, "{" IMAGE ",\"boxes\":[],\"margin\":10.01}", API_BAD_REQUEST, "JSON: margin is 10.01; expected 0 to 10" },
    { "margin NaN", JSON, "{" IMAGE ",\"boxes\":[],\"margin\":NaN}", API_BAD_REQUEST, "JSON: margin is NaN; expected a number" },
    { "format without boxes", JSON, "{" IMAGE ",\"format\":\"xyxy\"}", API_BAD_REQUEST, "JSON: format without boxes" },
    { "margin without boxes", JSON, "{" IMAGE ",\"margin\":1}", API_BAD_REQUEST, "JSON: margin without boxes" },

    { "a box is no object", JSON, BOXES(BOX("1,2,3,4") ",[1,2,3,4]"), API_ITEM, "boxes[1]: found an array; expected an object of id and box" },
    { "a box is NaN", JSON, BOXES(BOX("1,2,3,4") ",NaN"), API_ITEM, "boxes[1]: found NaN; expected an object of id and box" },
    { "no box", JSON, BOXES("{\"id\":\"a\"}"), API_ITEM, "boxes[0] (id \"a\"): box is missing; expected 4 numbers" },
    { "unknown member of a box", JSON, BOXES("{\"id\":\"a\",\"box\":[1,2,3,4],\"label\":\"cat\"}"), API_ITEM,
      "boxes[0] (id \"a\"): unknown member \"label\"; expected id, box" },
    { "three numbers", JSON, BOXES("{\"id\":\"a\",\"box\":[1,2,3]}"), API_ITEM, "boxes[0] (id \"a\"): box has 3 values; expected 4 numbers" },
    { "five numbers", JSON, BOXES(BOX("1,2,3,4,5")), API_ITEM, "boxes[0]: box has 5 values; expected 4 numbers" },
    { "a box of a string", JSON, BOXES("{\"box\":\"1,2,3,4\"}"), API_ITEM, "boxes[0]: box is a string; expected an array of 4 numbers" },
    { "a string", JSON, BOXES(BOX("1,2,\"3\",4")), API_ITEM, "boxes[0]: box[2] is a string; expected a finite number" },
    { "null", JSON, BOXES(BOX("1,2,3,null")), API_ITEM, "boxes[0]: box[3] is null; expected a finite number" },
    { "NaN", JSON, BOXES(BOX("1,2,3,4") ",{\"id\":\"NaN, \\\"1e999\",\"box\":[1,NaN,3,4]}"), API_ITEM,
      "boxes[1] (id \"NaN, \"1e999\"): box[1] is NaN; expected a finite number" },
    { "Infinity", JSON, BOXES(BOX("Infinity,2,3,4")), API_ITEM, "boxes[0]: box[0] is Infinity; expected a finite number" },
    { "-Infinity", JSON, BOXES(BOX("1,2,3,4") "," BOX("1,2,3,-Infinity")), API_ITEM, "boxes[1]: box[3] is -Infinity; expected a finite number" },
    { "too large", JSON, BOXES(BOX("1,2,3,-1e999")), API_ITEM, "boxes[0]: box[3] is -1e999; expected a finite number" },
    { "no number", JSON, BOXES(BOX("1,2,3,1.2.3")), API_ITEM, "boxes[0]: box[3] is 1.2.3; expected a finite number" },
    { "NaN and no json either", JSON, BOXES(BOX("1,2,3,NaN") ",["), API_BAD_REQUEST, "JSON: invalid token near 'NaN'" },
    { "no width", JSON, BOXES("{\"id\":\"k\xC3\xB6ter\",\"box\":[5,5,5,9]}"), API_ITEM,
      "boxes[0] (id \"k\xC3\xB6ter\"): no area: from 5,5 to 5,9; expected x1 < x2 and y1 < y2" },
    { "corners changed", JSON, BOXES(BOX("9,5,5,9")), API_ITEM, "boxes[0]: no area: from 9,5 to 5,9; expected x1 < x2 and y1 < y2" },
    { "a width of 0", JSON, "{" IMAGE ",\"boxes\":[" BOX("5,5,0,9") "],\"format\":\"xywh\"}", API_ITEM,
      "boxes[0]: no area: width 0, height 9; expected more than 0" },
    { "a width below the number's resolution", JSON, "{" IMAGE ",\"boxes\":[" BOX("1e300,5,1,9") "],\"format\":\"xywh\"}", API_ITEM, "boxes[0]: no area" },
    { "a corner above a double", JSON, "{" IMAGE ",\"boxes\":[" BOX("1e308,5,1.7e308,9") "],\"format\":\"xywh\"}", API_ITEM, "boxes[0]: from 1e+308,5 to inf,14" },
    { "an id of a number", JSON, BOXES("{\"id\":7,\"box\":[1,2,3,4]}"), API_ITEM, "boxes[0]: id is a number; expected a string" },
    { "an id that is too long", JSON, BOXES("{\"id\":\"" TOO_LONG "\",\"box\":[1,2,3,4]}"), API_ITEM, "id has 257 bytes; the limit is 256" },
    { "too many", JSON, BOXES(BOX("1,2,3,4") "," BOX("1,2,3,4") "," BOX("1,2,3,4") "," BOX("1,2,3,4") ",{\"id\":\"e\"}," BOX("1,2,3,4")), API_TOO_MANY_BOXES,
      "boxes[4] (id \"e\"): 6 boxes; the limit is 4" },

    { "form without a picture", FORM, PART("boxes") "[]\r\n--XX--", API_NO_ITEMS, "multipart/form-data: no part is named picture" },
    { "form of nothing", FORM, "--XX--", API_NO_ITEMS, "multipart/form-data: no part is named picture" },
    { "two pictures", FORM, PART("picture") "1\r\n" PART("picture") "2\r\n--XX--", API_BAD_REQUEST,
      "multipart/form-data: part 2: a second part \"picture\"; expected picture and boxes, each once" },
    { "boxes twice in a form", FORM, PART("boxes") "[]\r\n" PART("boxes") "[]\r\n--XX--", API_BAD_REQUEST, "part 2: a second part \"boxes\"" },
    { "another part", FORM, PART("picture") "1\r\n" PART("file") "2\r\n--XX--", API_BAD_REQUEST, "part 2: unknown part \"file\"" },
    { "boxes of a form are no json", FORM, PART("picture") "1\r\n" PART("boxes") "1,2,3,4\r\n--XX--", API_BAD_REQUEST, "part 2: JSON: " },
    { "a form's boxes without boxes", FORM, PART("boxes") "{}\r\n" PART("picture") "1\r\n--XX--", API_BAD_REQUEST, "part 1: boxes is missing" },
    { "an image in a form's boxes", FORM, PART("boxes") "{\"boxes\":[],\"image\":\"\"}\r\n--XX--", API_BAD_REQUEST,
      "part 1: unknown member \"image\"; expected boxes, format, unit, margin" },
    { "a bad box in a form", FORM, PART("picture") "1\r\n" PART("boxes") "[" BOX("1,2,3,NaN") "]\r\n--XX--", API_ITEM,
      "boxes[0]: box[3] is NaN; expected a finite number" },
    { "a form without its end", FORM, PART("picture") "1", API_BAD_REQUEST, "no boundary behind it" },
};

static void refused(const char *name, const char *type, const char *body, size_t size, bool detector, enum api_code code, const char *says)
{
    struct api_work work = { .count = 77 };
    struct api_error err = { 0 };
    struct api_answer answer;
    if (api_scene_parse(type, (const unsigned char *)body, size, &limits, scorer_of(detector), &work, &err))
        fail_msg("%s: taken", name);
    if (err.code != code || strstr(err.message, says) == NULL)
        fail_msg("%s: %s: %s", name, api_code_name(err.code), err.message);
    assert_int_equal(work.count, 77);
    api_answer_error(&err, "r", 0, NULL, &answer);
    assert_true(code != API_ITEM || (answer.status == 422 && strcmp(api_error_word(&err), "box_invalid") == 0));
    record_answer("POST", "/v1/detections", &answer);
    api_answer_free(&answer);
}

static void bad_bodies(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        refused(bad[i].name, bad[i].type, bad[i].body, strlen(bad[i].body), false, bad[i].code, bad[i].says);
    refused("a margin for a detector", JSON, "{" IMAGE ",\"boxes\":[],\"margin\":0.5}", strlen("{" IMAGE ",\"boxes\":[],\"margin\":0.5}"), true,
            API_BAD_REQUEST, "margin is 0.5; the model is a detector");
    char *large = calloc(1, limits.body_bytes + 1);
    assert_non_null(large);
    refused("too large", JSON, large, limits.body_bytes + 1, false, API_BODY_TOO_LARGE, "the limit is 65536");
    free(large);
}

/* Every beginning of a body, and a body with any byte changed, is taken or refused, never more. */
static void cut_and_changed_bodies(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        for (size_t at = 0; at < 2 * strlen(good[i].body); at++) {
            size_t size = strlen(good[i].body);
            unsigned char *body = malloc(size + 1);
            struct api_work work;
            struct api_error err = { 0 };
            assert_non_null(body);
            memcpy(body, good[i].body, size + 1);
            if (at < size)
                size = at;
            else
                body[at - size] ^= (unsigned char)(1u << at % 8);
            body = realloc(body, size + 1);  /* the sanitizer sees what is read behind it */
            if (api_scene_parse(good[i].type, body, size, &limits, scorer_of(good[i].detector), &work, &err))
                api_work_free(&work);
            else
                assert_true(err.code != API_OK && err.code != API_INTERNAL && err.message[0] != '\0');
            free(body);
        }
}

/* ---- answers ---- */

#define SHA "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define VERDICT(decision, reason)                                                                                     \
    "\"decision\":\"" decision "\",\"reason\":\"" reason "\",\"class\":{\"index\":1,\"label\":\"dog \\\"2\\\"\",\"probability\":0.5}," \
    "\"energy\":-9.5,\"representation_score\":0.25,\"score\":0.5,\"threshold\":-1.5,\"p_value\":0.75,\"alpha\":0.05,"    \
    "\"nearest\":[{\"label\":\"cat\",\"distance\":0.25}]"

static struct ood_detection detection_of(enum ood_decision decision)
{
    return (struct ood_detection){ .box = { 0, 1.5, 2, 100 }, .objectness = 0.875, .detection_score = 0.5,
                                   .verdict = { .decision = decision, .class_index = 1, .class_probability = 0.5, .energy = -9.5,
                                                .representation_score = 0.25, .score = 0.5, .threshold = -1.5, .p_value = 0.75, .alpha = 0.05,
                                                .nearest_count = 1, .nearest = { { 0, 0.25 } } } };
}

static void check_answer(const struct api_model *model, const struct api_work *work, unsigned status, const char *expected)
{
    struct api_answer answer;
    struct api_timing timing = { .queue = 0.000123, .decode = 2 };
    api_answer_detections(model, work, "r", &timing, &answer);
    assert_int_equal(answer.status, status);
    if (answer.size != strlen(expected) || memcmp(answer.body, expected, answer.size) != 0)
        fail_msg("%.*s\nexpected\n%s", (int)answer.size, answer.body, expected);
    record_answer("POST", "/v1/detections", &answer);
    api_answer_free(&answer);
}

static void answers(void **state)
{
    (void)state;
    struct ood_detection detections[3] = { detection_of(OOD_IN), detection_of(OOD_OUT), detection_of(OOD_REVIEW) };
    static char first[] = "a", *ids[] = { first, NULL, NULL };
    struct api_model model = { .name = "small", .scorer = scorer_of(false) };
    struct api_work work = { .kind = API_WORK_SCENE, .count = 1, .ids = ids,
                             .scene = { .detections = detections, .result = { .width = 640, .height = 480, .count = 3, .warning_count = 1,
                                                                              .warnings = { "Corrupt \"JPEG\" data" } } } };
    detections[2].verdict = (struct ood_verdict){ 0 };
    ood_fail(&detections[2].verdict.error, OOD_SCORE_NOT_FINITE, "NaN");
#define HEAD "{\"model\":\"small\",\"version\":\"" SHA "\",\"request_id\":\"r\","
#define TAIL ",\"timing\":{\"queue\":0.000123,\"decode\":2,\"infer\":0}}"
    static const char scene[] = "\"width\":640,\"height\":480,\"detections\":["
        "{\"index\":0,\"id\":\"a\",\"box\":[0,1.5,2,100]," VERDICT("in", "above_threshold") "},"
        "{\"index\":1,\"box\":[0,1.5,2,100]," VERDICT("out", "below_threshold") "},"
        "{\"index\":2,\"box\":[0,1.5,2,100],\"error\":{\"code\":\"score_not_finite\",\"message\":\"NaN\"}}],"
        "\"summary\":{\"in\":1,\"review\":0,\"out\":1,\"error\":1},\"warnings\":[\"Corrupt \\\"JPEG\\\" data\"]";
    char expected[4096];
    snprintf(expected, sizeof expected, HEAD "%s" TAIL, scene);
    check_answer(&model, &work, 200, expected);
    char *text = api_scene_json(model.scorer, 7, "x.jpg", &work.scene.result, detections, ids);
    snprintf(expected, sizeof expected, "{\"index\":7,\"id\":\"x.jpg\",%s}", scene);
    assert_string_equal(text, expected);
    api_text_free(text);

    fake_detector(model.scorer, true);
    work.scene.result = (struct ood_scene){ .width = 1, .height = 2, .count = 1 };
    work.ids = NULL;
    check_answer(&model, &work, 200, HEAD "\"width\":1,\"height\":2,\"detections\":[{\"index\":0,\"box\":[0,1.5,2,100],\"objectness\":0.875,"
                 "\"detection_score\":0.5," VERDICT("in", "above_threshold") "}],\"summary\":{\"in\":1,\"review\":0,\"out\":0,\"error\":0},\"warnings\":[]" TAIL);
    work.scene.result.count = 0;
    work.scene.detections = NULL;
    check_answer(&model, &work, 200, HEAD "\"width\":1,\"height\":2,\"detections\":[],\"summary\":{\"in\":0,\"review\":0,\"out\":0,\"error\":0},\"warnings\":[]" TAIL);
}

static void failed_scenes(void **state)
{
    (void)state;
    static char first[] = "a", *ids[] = { first, NULL };
    struct api_model model = { .name = "small", .scorer = scorer_of(false) };
    struct api_work work = { .kind = API_WORK_BOXES, .count = 2, .ids = ids };
    ood_fail(&work.scene.result.error, OOD_PICTURE_TRUNCATED, "why");
    check_answer(&model, &work, 422, "{\"error\":{\"code\":\"picture_truncated\",\"message\":\"why\",\"request_id\":\"r\"}}");
    work.scene.result.error.code = OOD_BOX_INVALID;
    check_answer(&model, &work, 422, "{\"error\":{\"code\":\"box_invalid\",\"message\":\"boxes[0] (id \\\"a\\\"): why\",\"request_id\":\"r\"}}");
    work.scene.result.box = 1;
    check_answer(&model, &work, 422, "{\"error\":{\"code\":\"box_invalid\",\"message\":\"boxes[1]: why\",\"request_id\":\"r\"}}");
    char *text = api_scene_json(model.scorer, 0, "x.jpg", &work.scene.result, NULL, ids);
    assert_string_equal(text, "{\"index\":0,\"id\":\"x.jpg\",\"error\":{\"code\":\"box_invalid\",\"message\":\"boxes[1]: why\"}}");
    api_text_free(text);
    work.scene.result.error.code = OOD_OUT_OF_MEMORY;
    check_answer(&model, &work, 500, "{\"error\":{\"code\":\"out_of_memory\",\"message\":\"why\",\"request_id\":\"r\"}}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_bodies), cmocka_unit_test(bad_bodies), cmocka_unit_test(cut_and_changed_bodies), cmocka_unit_test(answers),
        cmocka_unit_test(failed_scenes),
    };
    return cmocka_run_group_tests_name("scenes", tests, NULL, NULL);
}
