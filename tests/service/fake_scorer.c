/* A scorer without a network, for the daemon's tests: opens any folder, and does what an item's bytes tell it to.
 *
 *     "sleep 0.05"   the batch takes so many seconds longer            "bad"   the item fails (picture_unknown)
 *     "fail"         the whole call fails                              else    scored at once
 *
 * A folder whose name begins with "broken" does not open. Defined here, the engine's own are not linked. A session must be
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

struct ood_scorer { struct ood_bundle bundle; atomic_int references; };
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
    if (begins(item, "bad"))
        ood_fail(&verdict->error, OOD_PICTURE_UNKNOWN, "neither JPEG nor PNG by its first bytes");
    else if (item->picture == NULL && (item->logits_count != CLASSES || item->features_count != DIMENSION))
        ood_fail(&verdict->error, OOD_TENSOR_MISMATCH, "%zu logits and %zu features: expected %d and %d", item->logits_count,
                 item->features_count, CLASSES, DIMENSION);
    else if (item->logits_out != NULL)
        memcpy(item->logits_out, item->picture != NULL ? own : item->logits, sizeof own);
}

bool ood_score(const struct ood_scorer *scorer, struct ood_session *session, const struct ood_item *items, size_t n,
               struct ood_verdict *verdicts, struct ood_timing *timing, struct ood_error *err)
{
    bool was = atomic_exchange(&session->used, true), fails = false;
    assert(!was && session->scorer == scorer);
    (void)was, (void)scorer;
    double start = ood_clock();
    for (size_t i = 0; i < n; i++) {
        char number[16] = "";
        double seconds = 0;
        if (begins(&items[i], "sleep ")) {
            size_t digits = items[i].picture_size - 6 < sizeof number ? items[i].picture_size - 6 : sizeof number - 1;
            memcpy(number, (const char *)items[i].picture + 6, digits);
            struct timespec pause = { 0 };
            if (ood_parse_double(number, &seconds) && seconds < 100) {
                pause.tv_sec = (time_t)seconds;
                pause.tv_nsec = (long)((seconds - (double)pause.tv_sec) * 1e9);
                nanosleep(&pause, NULL);
            }
        }
        fails = fails || begins(&items[i], "fail");
    }
    for (size_t i = 0; i < n && !fails; i++)
        judge(&items[i], &verdicts[i]);
    if (timing != NULL)
        *timing = (struct ood_timing){ .infer = ood_clock() - start };
    atomic_store(&session->used, false);
    return !fails || ood_fail(err, OOD_SYSTEM, "failed on purpose");
}
