/* Bodies of POST /v1/score and /v1/detections. The first byte chooses the Content-Type, ?top=, the route (32) and whether the model is a
 * detector (64); for the last type the header's value is the input's first line, too. Whatever comes, the answer is JSON. */
#include <jansson.h>
#include <string.h>

#include "api/api.h"
#include "api/api_internal.h"
#include "fake_scorer.h"
#include "fuzz.h"

static void check_json(struct api_answer *answer)
{
    json_t *parsed = json_loadb(answer->body, answer->size, JSON_REJECT_DUPLICATES, NULL);
    fuzz_require(parsed != NULL && answer->status >= 200 && answer->status < 600);
    json_decref(parsed);
    api_answer_free(answer);
}

static void check_work(struct api_work *work, const struct api_limits *limits)
{
    struct api_model model = { .name = "m", .scorer = fake_scorer() };
    struct api_timing timing = { 0 };
    struct api_answer answer;
    double sum = 0;
    fuzz_require(work->count > 0 && work->count <= limits->items);
    for (size_t i = 0; i < work->count; i++) {
        const struct ood_item *item = &work->items[i];
        fuzz_require(work->ids[i] == NULL || (strlen(work->ids[i]) <= API_ID_BYTES && api_utf8_valid(work->ids[i], strlen(work->ids[i]))));
        fuzz_require((item->picture != NULL) != (item->logits != NULL) && (item->logits != NULL) == (item->features != NULL));
        for (size_t j = 0; j < item->picture_size; j++)
            sum += ((const unsigned char *)item->picture)[j];
        for (size_t j = 0; j < item->logits_count; j++)
            sum += (double)item->logits[j];
        for (size_t j = 0; j < item->features_count; j++)
            sum += (double)item->features[j];
        work->verdicts[i].energy = sum;
        if (i % 2 == 1)
            work->verdicts[i].error = (struct ood_error){ .code = OOD_PICTURE_CORRUPT, .message = "why" };
    }
    fuzz_require(sum - sum == 0);                           /* all numbers finite */
    api_answer_score(&model, work, "r", &timing, &answer);
    check_json(&answer);
}

/* Every box whole: finite corners with area, ids that are UTF-8. Half of the detections fail. */
static void check_scene(struct api_work *work, const struct api_limits *limits, bool detector)
{
    struct api_model model = { .name = "m", .scorer = fake_scorer() };
    struct api_timing timing = { 0 };
    struct api_answer answer;
    struct api_scene *scene = &work->scene;
    const struct ood_boxes *boxes = &scene->boxes;
    uint64_t sum = 0;
    fake_detector(model.scorer, detector);
    fuzz_require(work->count > 0 && work->count <= limits->items && boxes->count <= limits->items);
    fuzz_require(work->kind == API_WORK_BOXES ? !detector && work->count == boxes->count : work->kind == API_WORK_SCENE && work->count == 1);
    fuzz_require(!scene->find || (detector && boxes->count == 0));
    fuzz_require(boxes->margin >= 0 && boxes->margin <= (detector ? 0 : OOD_MARGIN_MOST));
    for (size_t i = 0; i < scene->picture_size; i++)
        sum += ((const unsigned char *)scene->picture)[i];
    fuzz_require(sum <= 255 * (uint64_t)scene->picture_size);
    for (size_t i = 0; i < boxes->count; i++) {
        const double *c = boxes->corners[i];
        fuzz_require(c[0] < c[2] && c[1] < c[3] && c[0] - c[0] == 0 && c[1] - c[1] == 0 && c[2] - c[2] == 0 && c[3] - c[3] == 0);
        fuzz_require(work->ids[i] == NULL || (strlen(work->ids[i]) <= API_ID_BYTES && api_utf8_valid(work->ids[i], strlen(work->ids[i]))));
        memcpy(scene->detections[i].box, c, sizeof scene->detections[i].box);
        if (i % 2 == 1)
            scene->detections[i].verdict.error = (struct ood_error){ .code = OOD_SCORE_NOT_FINITE, .message = "why" };
    }
    scene->result = (struct ood_scene){ .width = 1, .height = 1, .count = boxes->count };
    api_answer_detections(&model, work, "r", &timing, &answer);
    check_json(&answer);
    scene->result.error = (struct ood_error){ .code = OOD_BOX_INVALID, .message = "why" };
    if (boxes->count > 0) {
        scene->result.box = boxes->count - 1;
        api_answer_detections(&model, work, "r", &timing, &answer);
        check_json(&answer);
    }
}

static bool parse(unsigned char first, const char *type, const char *top, const uint8_t *data, size_t size, struct api_error *err)
{
    static const struct api_limits limits = { .items = 8, .body_bytes = 1 << 20 };
    struct api_work work;
    bool detector = (first & 64) != 0, parsed;
    if ((first & 32) != 0) {
        struct ood_scorer *scorer = fake_scorer();
        fake_detector(scorer, detector);
        parsed = api_scene_parse(type, data, size, &limits, scorer, &work, err);
        if (parsed)
            check_scene(&work, &limits, detector);
    } else {
        parsed = api_work_parse(type, top, data, size, &limits, fake_scorer(), &work, err);
        if (parsed)
            check_work(&work, &limits);
    }
    if (parsed)
        api_work_free(&work);
    return parsed;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const types[] = { "application/json", "multipart/form-data; boundary=X", "image/png", "" };
    static const char *const tops[] = { NULL, "1", "3", "99999999999999999999" };
    struct api_error err = { 0 };
    char type[256];
    if (size == 0)
        return 0;
    unsigned char first = data[0];
    snprintf(type, sizeof type, "%s", types[first % 4]);
    data++, size--;
    if (first % 4 == 3) {
        const unsigned char *end = memchr(data, '\n', size);
        size_t length = end != NULL ? (size_t)(end - data) : 0;
        snprintf(type, sizeof type, "%.*s", (int)(length < 250 ? length : 250), (const char *)data);
        data += length, size -= length;
    }
    if (!parse(first, type, tops[first / 4 % 4], data, size, &err)) {
        struct api_answer answer;
        fuzz_require(err.code != API_OK && err.message[0] != '\0');
        api_answer_error(&err, "r", 0, NULL, &answer);
        check_json(&answer);
    }
    return 0;
}
