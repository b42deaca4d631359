/* fit: which convolution the bundle is made for. What Winograd's gave is held against direct convolution: the same pictures once
 * more, up to COMPARED of them, through the network compiled the other way. */
#include <string.h>

#include "base/random.h"
#include "daemon/oodctl/crew.h"
#include "daemon/oodctl/fit.h"

#define COMPARED 2000

struct comparison {
    struct fit *fit;
    struct ood_model *direct;
    struct ctl_progress progress;
    /* of the source at hand */
    const struct fit_part *part;
    struct ctl_source *source;
    const size_t *drawn;                     /* [drawn_count] of the part's set, ascending */
    size_t drawn_count, filled, taken, position;
};

bool fit_uses_winograd(const struct ood_model *model)
{
    static const char kernel[] = "own:winograd";
    size_t batch = ood_model_plan_batch(model, 1);
    for (size_t i = 0; i < ood_model_step_count(model, batch); i++)
        if (strncmp(ood_model_step(model, batch, i).kernel, kernel, sizeof kernel - 1) == 0)
            return true;
    return false;
}

/* ---- the crew's calls ---- */

static void *state_new(void *context, struct ood_error *err)
{
    const struct comparison *comparison = context;
    return ood_forward_new(comparison->direct, &comparison->fit->preprocess, 0, err);
}

static void state_free(void *state)
{
    ood_forward_free(state);
}

/* The pictures drawn, found again by their places in the source. */
static bool fill(void *context, struct ctl_job *job, struct ood_error *err)
{
    struct comparison *c = context;
    while (job->count < FIT_BATCH && c->filled < c->drawn_count) {
        struct ctl_picture *picture = &job->pictures[job->count];
        bool end = false;
        if (!ctl_source_next(c->source, picture, &end, err))
            return false;
        if (end)
            return ood_fail(err, OOD_CHANGED, "%s: fewer pictures than a moment ago", c->part->spec);
        if (c->position++ == c->part->set->positions[c->drawn[c->filled]]) {
            c->filled++;
            job->count++;
        } else
            ctl_picture_free(picture);
    }
    return true;
}

static bool work(void *context, void *state, struct ctl_job *job)
{
    (void)context;
    ood_forward_run(state, job->items, job->count, NULL, job->verdicts, NULL);
    return true;
}

static bool score(const struct ood_judge *judge, const float *logits, const float *features, struct fit_scores *out, struct ood_error *err)
{
    struct ood_verdict verdict = { 0 };
    if (!ood_measure(judge, logits, features, &verdict, err))
        return false;
    *out = (struct fit_scores){ verdict.energy, verdict.representation_score,
                                ood_fuse(judge, verdict.energy, verdict.representation_score) };
    return true;
}

static bool take_one(struct comparison *c, const struct ctl_picture *picture, const struct ood_verdict *verdict, const float *logits,
                     const float *features, struct ood_error *err)
{
    struct fit *fit = c->fit;
    size_t i = c->drawn[c->taken++];
    struct fit_scores found, direct;
    if (verdict->error.code != OOD_OK) {     /* it could be read before */
        *err = verdict->error;
        return ood_error_prefix(err, "%s", picture->id);
    }
    if (!score(&fit->judge, fit_logits(fit, c->part->set, i), fit_features(fit, c->part->set, i), &found, err) ||
        !score(&fit->judge, logits, features, &direct, err))
        return ood_error_prefix(err, "%s", picture->id);
    if (fit_agreement_add(&fit->agreement, &found, &direct)) {
        ood_free(fit->worst_id);
        fit->worst_id = ood_strdup(picture->id, err);
    }
    return fit->worst_id != NULL || fit->agreement.worst_score == NULL;
}

static bool take(void *context, struct ctl_job *job, struct ood_error *err)
{
    struct comparison *c = context;
    size_t classes = c->fit->classes, dimension = c->fit->dimension;
    for (size_t i = 0; i < job->count; i++)
        if (!take_one(c, &job->pictures[i], &job->verdicts[i], job->logits + i * classes, job->features + i * dimension, err))
            return false;
    ctl_progress_at(&c->progress, c->fit->agreement.count);
    return true;
}

/* ---- the draw ---- */

/* Some of n, each with the same chance, in their order (Knuth's algorithm S). *count: at most COMPARED. */
static size_t *draw(size_t n, size_t seed, size_t *count, struct ood_error *err)
{
    struct ood_random random;
    size_t wanted = n < COMPARED ? n : COMPARED, taken = 0;
    size_t *drawn = ood_new_array(size_t, wanted, err);
    ood_random_seed(&random, seed);
    for (size_t i = 0; drawn != NULL && taken < wanted; i++)
        if (ood_random_below(&random, n - i) < wanted - taken)
            drawn[taken++] = i;
    *count = taken;
    return drawn;
}

static bool compare_part(struct comparison *c, struct ood_error *err)
{
    const struct fit_part *part = c->part;
    struct ctl_crew crew = {
        .threads = fit_threads(c->fit), .batch = FIT_BATCH, .classes = c->fit->classes, .dimension = c->fit->dimension,
        .context = c, .state_new = state_new, .state_free = state_free, .fill = fill, .work = work, .take = take,
    };
    c->filled = c->taken = c->position = 0;
    c->source = ctl_source_open(part->spec, part->only, err);
    bool done = c->source != NULL && ctl_crew_run(&crew, err);
    ctl_source_close(c->source);
    return done;
}

/* Over all sources together; what falls on each is compared in its order. */
static bool compare_all(struct comparison *c, struct ood_error *err)
{
    struct fit *fit = c->fit;
    size_t total = 0, count, begin = 0, next = 0;
    for (size_t i = 0; i < fit->part_count; i++)
        total += fit->parts[i].count;
    size_t *drawn = draw(total, fit->options.seed, &count, err);
    bool done = drawn != NULL;
    ctl_progress_start(&c->progress, "fit: comparing with direct convolution", count);
    for (size_t i = 0; done && i < fit->part_count; i++) {
        const struct fit_part *part = c->part = &fit->parts[i];
        c->drawn = drawn + next;
        c->drawn_count = 0;
        while (next < count && drawn[next] < begin + part->count) {
            drawn[next] = drawn[next] - begin + part->first;
            c->drawn_count++;
            next++;
        }
        begin += part->count;
        done = c->drawn_count == 0 || compare_part(c, err);
    }
    ctl_progress_end(&c->progress);
    ood_free(drawn);
    return done;
}

bool fit_compare(struct fit *fit, struct ood_error *err)
{
    struct comparison comparison = { .fit = fit };
    comparison.direct = fit_compile(fit, OOD_CONVOLUTION_DIRECT, err);
    bool done = comparison.direct != NULL && compare_all(&comparison, err);
    ood_model_free(comparison.direct);
    return done;
}
