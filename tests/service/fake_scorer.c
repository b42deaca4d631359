/* A scorer without a network, for the daemon's tests: opens any folder, and does what an item's bytes tell it to.
 *
 *     "sleep 0.05"   the batch takes so many seconds longer            "bad"   the item fails (picture_unknown)
 *     "fail"         the whole call fails                              else    scored at once
 *
 * A picture has 640×480 pixels. Cutting its boxes does as above; of "crops 0.01" each box takes so long when it is scored. A box's
 * score is its x1. A folder whose name begins with "broken" does not open; one that begins with "detector" finds, in any picture but
 * "none", three objects. Defined here, the engine's own are not linked. A session must be
 * used by one thread at a time: it asserts so. */
#include <assert.h>
#include <math.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/number.h"
#include "scorer/scorer.h"

#define CLASSES 3
#define DIMENSION 2

struct ood_scorer { struct ood_bundle bundle; bool detector; atomic_int references; };
struct ood_session { struct ood_scorer *scorer; atomic_bool used; };

static char cat[] = "cat", dog[] = "dog", ship[] = "ship", input[] = "input", logits[] = "logits", features[] = "features",
            provenance[] = "{\"made_by\":\"a test\"}";
static char *labels[CLASSES] = { cat, dog, ship };

struct ood_scorer *ood_scorer_open(const char *folder, const struct ood_scorer_options *options, struct ood_error *err)
{
    (void)options;
    const char *slash = strrchr(folder, '/'), *name = slash != NULL ? slash + 1 : folder;
    if (strncmp(name, "broken", 6) == 0) {
        ood_fail(err, OOD_CHANGED, "%s: model.json: broken on purpose", folder);
        return NULL;
    }
    struct ood_scorer *scorer = ood_new(struct ood_scorer, err);
    if (scorer == NULL)
        return NULL;
    scorer->bundle = (struct ood_bundle){
        .classes = CLASSES, .labels = labels, .input_tensor = input, .logits_tap = logits, .features_tap = features,
        .input = { .width = 32, .height = 32, .scale = 1.0f / 255, .std = { 1, 1, 1 } },
        .judge = { .classes = CLASSES, .dimension = DIMENSION, .temperature = 1, .beta = 0.5, .energy_std = 1,
                   .representation_std = 1, .alpha = 0.05, .alpha_review = 0.05, .calibration_count = 2500, .threshold = -1.5,
                   .review_threshold = -1.5 },
        .largest_difference = NAN, .provenance = provenance,
    };
    scorer->detector = strncmp(name, "detector", 8) == 0;
    memset(scorer->bundle.version, 'a', sizeof scorer->bundle.version - 1);
    if ((scorer->bundle.name = ood_strdup(name, err)) == NULL) {
        ood_free(scorer);
        return NULL;
    }
    atomic_init(&scorer->references, 1);
    return scorer;
}

struct ood_scorer *ood_scorer_ref(struct ood_scorer *scorer)
{
    atomic_fetch_add(&scorer->references, 1);
    return scorer;
}

void ood_scorer_free(struct ood_scorer *scorer)
{
    if (scorer == NULL || atomic_fetch_sub(&scorer->references, 1) > 1)
        return;
    ood_free(scorer->bundle.name);
    ood_free(scorer);
}

struct ood_session *ood_scorer_session(struct ood_scorer *scorer, struct ood_error *err)
{
    struct ood_session *session = ood_new(struct ood_session, err);
    if (session != NULL)
        session->scorer = ood_scorer_ref(scorer);
    return session;
}

void ood_session_free(struct ood_session *session)
{
    if (session != NULL)
        ood_scorer_free(session->scorer);
    ood_free(session);
}

size_t ood_scorer_classes(const struct ood_scorer *scorer) { return scorer->bundle.classes; }
size_t ood_scorer_dimension(const struct ood_scorer *scorer) { return scorer->bundle.judge.dimension; }
const char *ood_scorer_version(const struct ood_scorer *scorer) { return scorer->bundle.version; }
const struct ood_bundle *ood_scorer_bundle(const struct ood_scorer *scorer) { return &scorer->bundle; }
bool ood_scorer_is_detector(const struct ood_scorer *scorer) { return scorer->detector; }
size_t ood_scorer_detections_most(const struct ood_scorer *scorer) { return scorer->detector ? 100 : 0; }
size_t ood_scorer_crop_bytes(const struct ood_scorer *scorer) { (void)scorer; return 32 * 32 * 3; }
const char *ood_scorer_label(const struct ood_scorer *scorer, size_t class_index) { return scorer->bundle.labels[class_index]; }
void ood_build_description(char *text, size_t size) { snprintf(text, size, "commit none; a fake scorer; " OOD_OPTIONS); }

static bool begins(const struct ood_item *item, const char *text)
{
    return item->picture != NULL && item->picture_size >= strlen(text) && memcmp(item->picture, text, strlen(text)) == 0;
}

static void judge(const struct ood_item *item, struct ood_verdict *verdict)
{
    static const float own[CLASSES] = { 4, 1, 0 };
    *verdict = (struct ood_verdict){ .decision = OOD_IN, .class_probability = 0.98, .energy = -9.5, .representation_score = 0.07,
                                     .score = 0.64, .threshold = -1.5, .p_value = 0.73, .alpha = 0.05, .nearest_count = CLASSES };
    for (size_t i = 0; i < CLASSES; i++) {
        verdict->nearest[i].class_index = i;
        verdict->nearest[i].distance = 0.07 + 0.1 * (double)i;
    }
    if (item->crop != NULL)
        memcpy(&verdict->score, item->crop, sizeof verdict->score);
    else if (begins(item, "bad"))
        ood_fail(&verdict->error, OOD_PICTURE_UNKNOWN, "the first bytes (62 61 64) are those of no picture");
    else if (item->picture == NULL && (item->logits_count != CLASSES || item->features_count != DIMENSION))
        ood_fail(&verdict->error, OOD_TENSOR_MISMATCH, "%zu logits and %zu features: expected %d and %d", item->logits_count,
                 item->features_count, CLASSES, DIMENSION);
    else if (item->logits_out != NULL)
        memcpy(item->logits_out, item->picture != NULL ? own : item->logits, sizeof own);
}

/* The seconds behind a word of the picture, 0 where it does not begin so. */
static double seconds_of(const void *picture, size_t size, const char *word)
{
    char number[16] = "";
    double seconds;
    size_t length = strlen(word);
    if (picture == NULL || size < length || memcmp(picture, word, length) != 0)
        return 0;
    memcpy(number, (const char *)picture + length, size - length < sizeof number ? size - length : sizeof number - 1);
    return ood_parse_double(number, &seconds) && seconds < 100 ? seconds : 0;
}

static void wait_for(double seconds)
{
    struct timespec pause = { (time_t)seconds, (long)((seconds - floor(seconds)) * 1e9) };
    if (seconds > 0)
        nanosleep(&pause, NULL);
}

static void enter(const struct ood_scorer *scorer, struct ood_session *session)
{
    bool was = atomic_exchange(&session->used, true);
    assert(!was && session->scorer == scorer);
    (void)was, (void)scorer;
}

bool ood_score(const struct ood_scorer *scorer, struct ood_session *session, const struct ood_item *items, size_t n,
               struct ood_verdict *verdicts, struct ood_timing *timing, struct ood_error *err)
{
    bool fails = false;
    double start = ood_clock(), seconds;
    enter(scorer, session);
    for (size_t i = 0; i < n; i++) {
        seconds = seconds_of(items[i].picture, items[i].picture_size, "sleep ");
        if (items[i].crop != NULL)
            memcpy(&seconds, items[i].crop + sizeof seconds, sizeof seconds);
        wait_for(seconds);
        fails = fails || begins(&items[i], "fail");
    }
    for (size_t i = 0; i < n && !fails; i++)
        judge(&items[i], &verdicts[i]);
    if (timing != NULL)
        *timing = (struct ood_timing){ .infer = ood_clock() - start };
    atomic_store(&session->used, false);
    return !fails || ood_fail(err, OOD_SYSTEM, "failed on purpose");
}

/* ---- boxes and objects ---- */

/* Where the picture is fine, its boxes in 640×480 pixels. */
static void look(const struct ood_item *item, const struct ood_boxes *boxes, struct ood_detection *detections, struct ood_scene *scene)
{
    *scene = (struct ood_scene){ .width = 640, .height = 480, .count = boxes->count };
    if (begins(item, "bad"))
        ood_fail(&scene->error, OOD_PICTURE_UNKNOWN, "the first bytes (62 61 64) are those of no picture");
    for (size_t i = 0; i < boxes->count && scene->error.code == OOD_OK; i++) {
        detections[i] = (struct ood_detection){ .objectness = 1, .detection_score = 1 };
        for (size_t k = 0; k < 4; k++)
            detections[i].box[k] = fmin(fmax(boxes->corners[i][k], 0), k % 2 == 0 ? 640 : 480);
        if (!(detections[i].box[0] < detections[i].box[2] && detections[i].box[1] < detections[i].box[3])) {
            scene->box = i;
            ood_fail(&scene->error, OOD_BOX_INVALID, "outside of the picture");
        }
    }
}

bool ood_cut(const struct ood_scorer *scorer, struct ood_session *session, const void *picture, size_t picture_size,
             const struct ood_boxes *boxes, struct ood_detection *detections, unsigned char *const *crops, struct ood_scene *scene,
             struct ood_timing *timing, struct ood_error *err)
{
    const struct ood_item item = { .picture = picture, .picture_size = picture_size };
    double each = seconds_of(picture, picture_size, "crops ");
    enter(scorer, session);
    wait_for(seconds_of(picture, picture_size, "sleep "));
    look(&item, boxes, detections, scene);
    for (size_t i = 0; i < boxes->count; i++) {
        memcpy(crops[i], &detections[i].box[0], sizeof each);
        memcpy(crops[i] + sizeof each, &each, sizeof each);
    }
    *timing = (struct ood_timing){ .decode = 0.001 };
    atomic_store(&session->used, false);
    return !begins(&item, "fail") || ood_fail(err, OOD_SYSTEM, "failed on purpose");
}

bool ood_score_boxes(const struct ood_scorer *scorer, struct ood_session *session, const void *picture, size_t picture_size,
                     const struct ood_boxes *boxes, struct ood_detection *detections, struct ood_scene *scene,
                     struct ood_timing *timing, struct ood_error *err)
{
    const struct ood_item item = { .picture = picture, .picture_size = picture_size };
    enter(scorer, session);
    look(&item, boxes, detections, scene);
    for (size_t i = 0; i < boxes->count; i++) {
        judge(&(struct ood_item){ .picture = "x", .picture_size = 1 }, &detections[i].verdict);
        detections[i].verdict.score = detections[i].box[0];
    }
    *timing = (struct ood_timing){ .decode = 0.001 };
    atomic_store(&session->used, false);
    return !begins(&item, "fail") || ood_fail(err, OOD_SYSTEM, "failed on purpose");
}

bool ood_detect(const struct ood_scorer *scorer, struct ood_session *session, const void *picture, size_t picture_size,
                struct ood_detection *detections, size_t capacity, struct ood_scene *scene, struct ood_timing *timing,
                struct ood_error *err)
{
    static const double corners[3][4] = { { 10, 20, 110, 120 }, { 0, 0, 640, 480 }, { 300.5, 200.25, 310.5, 260 } };
    const struct ood_item item = { .picture = picture, .picture_size = picture_size };
    struct ood_boxes boxes = { .corners = corners, .count = begins(&item, "none") ? 0 : 3 };
    assert(scorer->detector && capacity >= boxes.count);
    (void)capacity;
    return ood_score_boxes(scorer, session, picture, picture_size, &boxes, detections, scene, timing, err);
}
