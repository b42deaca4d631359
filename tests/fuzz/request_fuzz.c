/* Bodies of POST /v1/score. The first byte chooses the Content-Type and ?top=; for the last type the header's value is the
 * input's first line, too. Whatever comes, the answer is JSON. */
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const types[] = { "application/json", "multipart/form-data; boundary=X", "image/png", "" };
    static const char *const tops[] = { NULL, "1", "3", "99999999999999999999" };
    static const struct api_limits limits = { .items = 8, .body_bytes = 1 << 20 };
    struct api_work work;
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
    if (api_work_parse(type, tops[first / 4 % 4], data, size, &limits, fake_scorer(), &work, &err)) {
        check_work(&work, &limits);
        api_work_free(&work);
    } else {
        struct api_answer answer;
        fuzz_require(err.code != API_OK && err.message[0] != '\0');
        api_answer_error(&err, "r", 0, NULL, &answer);
        check_json(&answer);
    }
    return 0;
}
