/* Every allocation of ours on the way of a request fails once, or from then on: the request fails as internal_error, an answer
 * becomes the static one, nothing leaks (the sanitizer watches). */
#include "check.h"

#include "api/api.h"
#include "base/fault.h"
#include "base/memory.h"
#include "fake_scorer.h"

static const struct { const char *type, *body; } bodies[] = {
    { "image/png", "x" },
    { "application/json", "{\"images\":[{\"id\":\"a\",\"data\":\"aGk=\"},{\"data\":\"aGk=\"}]}" },
    { "application/json", "{\"tensors\":[{\"id\":\"a\",\"logits\":[1,2,3],\"features\":[1,2]}]}" },
    { "multipart/form-data; boundary=X", "--X\r\nContent-Disposition: form-data; name=a; filename=b\r\n\r\n1\r\n--X--" },
};

static void parsing(void **state)
{
    (void)state;
    struct api_limits limits = { .items = 4, .body_bytes = 1000 };
    for (size_t i = 0; i < 2 * (sizeof bodies / sizeof bodies[0]); i++) {
        const char *type = bodies[i / 2].type, *body = bodies[i / 2].body;
        bool fired = true;
        for (unsigned long nth = 1; fired; nth++) {
            struct api_work work = { 0 };
            struct api_error err = { 0 };
            ood_fault_arm(OOD_FAULT_ALLOC, nth, i % 2 == 1);
            bool parsed = api_work_parse(type, "2", (const unsigned char *)body, strlen(body), &limits, fake_scorer(), &work, &err);
            fired = ood_fault_disarm();
            if (parsed == fired || (fired && (err.code != API_INTERNAL || strstr(err.message, "out of memory") == NULL)))
                fail_msg("%s, allocation %lu: %s: %s", type, nth, api_code_name(err.code), err.message);
            assert_true(nth > 1 || fired);
            api_work_free(&work);
        }
    }
}

static void parsing_scenes(void **state)
{
    (void)state;
    static const struct { const char *type, *body; } scenes[] = {
        { "application/json", "{\"image\":\"aGk=\",\"boxes\":[{\"id\":\"a\",\"box\":[1,2,3,4]},{\"box\":[1,2,3,4]}]}" },
        { "application/json", "{\"image\":\"aGk=\",\"boxes\":[]}" },
        { "multipart/form-data; boundary=X", "--X\r\nContent-Disposition: form-data; name=picture\r\n\r\n1\r\n--X\r\n"
          "Content-Disposition: form-data; name=boxes\r\n\r\n[{\"box\":[1,2,3,4]}]\r\n--X--" },
    };
    struct api_limits limits = { .items = 4, .body_bytes = 1000 };
    for (size_t i = 0; i < 2 * (sizeof scenes / sizeof scenes[0]); i++) {
        bool fired = true;
        for (unsigned long nth = 1; fired; nth++) {
            struct api_work work = { 0 };
            struct api_error err = { 0 };
            const char *body = scenes[i / 2].body;
            ood_fault_arm(OOD_FAULT_ALLOC, nth, i % 2 == 1);
            bool parsed = api_scene_parse(scenes[i / 2].type, (const unsigned char *)body, strlen(body), &limits, fake_scorer(), &work, &err);
            fired = ood_fault_disarm();
            if (parsed == fired || (fired && (err.code != API_INTERNAL || strstr(err.message, "out of memory") == NULL)))
                fail_msg("scene %zu, allocation %lu: %s: %s", i, nth, api_code_name(err.code), err.message);
            assert_true(nth > 1 || fired);
            api_work_free(&work);
        }
    }
}

static void answering(void **state)
{
    (void)state;
    struct api_model model = { .name = "m", .scorer = fake_scorer() };
    struct api_service service = { .models = &model, .model_count = 1 };
    struct ood_verdict verdict = { .nearest_count = 1 };
    float logits[3] = { 1, 2, 3 };
    char *id = NULL;
    struct api_work work = { .count = 1, .verdicts = &verdict, .ids = &id, .logits = logits, .top = 3 };
    struct api_timing timing = { 0 };
    struct api_error error = { .code = API_NO_ITEMS };
    struct ood_detection detection = { .box = { 1, 2, 3, 4 } };
    struct api_work scene = { .kind = API_WORK_SCENE, .scene = { .detections = &detection, .result = { .count = 1 } } };
    for (int kind = 0; kind < 7; kind++) {
        bool fired = true;
        for (unsigned long nth = 1; fired; nth++) {
            struct api_answer answer = { 0 };
            char *text = NULL;
            bool written = true;
            ood_fault_arm(OOD_FAULT_ALLOC, nth, false);
            switch (kind) {
            case 0: api_answer_score(&model, &work, "r", &timing, &answer); break;
            case 1: api_answer_error(&error, "r", 0, NULL, &answer); break;
            case 2: written = api_answer_models(&service, &answer); break;
            case 3: api_answer_ready(&service, "r", &answer); break;
            case 4: text = api_scene_json(model.scorer, 0, NULL, &scene.scene.result, &detection, NULL); break;
            case 5: api_answer_detections(&model, &scene, "r", &timing, &answer); break;
            default: text = api_result_json(model.scorer, 0, NULL, &verdict, logits, 2); break;
            }
            fired = ood_fault_disarm();
            assert_true(nth > 1 || fired);
            if (kind == 4 || kind == 6) {
                assert_true((text == NULL) == fired);
            } else {
                assert_true(answer.static_body == fired && answer.size > 0 && (answer.status == 500 || !fired));
                assert_true(kind != 2 || written != fired);
            }
            api_text_free(text);
            api_answer_free(&answer);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(parsing), cmocka_unit_test(parsing_scenes), cmocka_unit_test(answering) };
    return cmocka_run_group_tests_name("api faults", tests, NULL, NULL);
}
