/* fit: the pictures of a source through the network; their logits and features are kept, 4 (K + D) bytes a picture. */
#include <math.h>
#include <string.h>

#include "base/cpus.h"
#include "base/random.h"
#include "daemon/oodctl/crew.h"
#include "daemon/oodctl/fit.h"

struct gathering {
    struct fit *fit;
    struct fit_set *set;
    struct ctl_source *source;
    struct ctl_progress progress;
    bool keep;                               /* draw self-test pictures */
    size_t position;                         /* in the source, of the picture taken next */
    struct ood_random random;
};

size_t fit_threads(const struct fit *fit) { return fit->options.threads > 0 ? fit->options.threads : ood_cpus(); }

static void *state_new(void *context, struct ood_error *err)
{
    const struct fit *fit = ((struct gathering *)context)->fit;
    return ood_forward_new(fit->model, &fit->preprocess, 0, err);
}

static void state_free(void *state)
{
    ood_forward_free(state);
}

static bool fill(void *context, struct ctl_job *job, struct ood_error *err)
{
    struct gathering *gathering = context;
    return ctl_source_fill(gathering->source, NULL, job->pictures, FIT_BATCH, &job->count, NULL, err);
}

static bool work(void *context, void *state, struct ctl_job *job)
{
    (void)context;
    ood_forward_run(state, job->items, job->count, NULL, job->verdicts, NULL);
    return true;
}

/* A label text's number; the sources bring few different ones, mostly the last one again. */
bool fit_intern_label(struct fit *fit, const char *text, uint32_t *out, struct ood_error *err)
{
    for (size_t i = fit->label_count; i-- > 0;)
        if (strcmp(fit->label_texts[i], text) == 0) {
            *out = (uint32_t)i;
            return true;
        }
    char *copy = ood_strdup(text, err);
    if (copy == NULL || !ood_grow(&fit->label_texts, &fit->label_capacity, fit->label_count + 1, sizeof *fit->label_texts, err)) {
        ood_free(copy);
        return false;
    }
    *out = (uint32_t)fit->label_count;
    fit->label_texts[fit->label_count++] = copy;
    return true;
}

static bool all_finite(const float *values, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!isfinite(values[i]))
            return false;
    return true;
}

/* Every picture has the same chance to be kept, whatever the number (reservoir sampling). */
static void maybe_keep(struct gathering *gathering, struct ctl_picture *picture, size_t index)
{
    struct fit *fit = gathering->fit;
    size_t place = fit->kept_count < FIT_KEPT ? fit->kept_count : (size_t)ood_random_below(&gathering->random, index + 1);
    if (place >= FIT_KEPT)
        return;
    if (place == fit->kept_count)
        fit->kept_count++;
    if (picture->path != NULL)               /* it can be read again */
        ood_bytes_free(&picture->bytes);
    ctl_picture_free(&fit->kept[place].picture);
    fit->kept[place] = (struct fit_kept){ index, *picture };
    *picture = (struct ctl_picture){ 0 };
}

static bool take_one(struct gathering *gathering, struct ctl_picture *picture, const float *logits, const float *features,
                     struct ood_error *err)
{
    struct fit *fit = gathering->fit;
    struct fit_set *set = gathering->set;
    if (!all_finite(logits, fit->classes) || !all_finite(features, fit->dimension))
        return ood_fail(err, OOD_SCORE_NOT_FINITE, "%s: the network's output for %s is not finite (NaN or infinity)",
                        fit->options.model, picture->id);
    uint32_t label = OOD_NONE;
    if (picture->label != NULL && !fit_intern_label(fit, picture->label, &label, err))
        return false;
    if (!ood_grow(&set->logits, &set->logits_capacity, set->count + 1, fit->classes * sizeof *set->logits, err) ||
        !ood_grow(&set->features, &set->features_capacity, set->count + 1, fit->dimension * sizeof *set->features, err) ||
        !ood_grow(&set->labels, &set->labels_capacity, set->count + 1, sizeof *set->labels, err) ||
        !ood_grow(&set->positions, &set->positions_capacity, set->count + 1, sizeof *set->positions, err))
        return false;
    memcpy(set->logits + set->count * fit->classes, logits, fit->classes * sizeof *logits);
    memcpy(set->features + set->count * fit->dimension, features, fit->dimension * sizeof *features);
    set->positions[set->count] = gathering->position;
    set->labels[set->count++] = label;
    if (gathering->keep)
        maybe_keep(gathering, picture, set->count - 1);
    return true;
}

static bool take(void *context, struct ctl_job *job, struct ood_error *err)
{
    struct gathering *gathering = context;
    struct fit_set *set = gathering->set;
    size_t classes = gathering->fit->classes, dimension = gathering->fit->dimension;
    for (size_t i = 0; i < job->count; i++, gathering->position++)
        if (job->verdicts[i].error.code == OOD_OUT_OF_MEMORY) {
            *err = job->verdicts[i].error;
            return false;
        } else if (job->verdicts[i].error.code != OOD_OK) {
            set->unreadable++;
            if (!gathering->fit->again)
                ctl_say("%s: unreadable: %s", job->pictures[i].id, job->verdicts[i].error.message);
        } else if (!take_one(gathering, &job->pictures[i], job->logits + i * classes, job->features + i * dimension, err))
            return false;
    ctl_progress_at(&gathering->progress, set->count + set->unreadable);
    return true;
}

bool fit_gather(struct fit *fit, const char *spec, struct ctl_keys *only, const char *what, struct fit_set *set, struct ood_error *err)
{
    struct gathering gathering = { .fit = fit, .set = set, .keep = set == &fit->images };
    struct fit_part part = { spec, only, set, set->count, 0 };
    if (!ood_grow(&fit->parts, &fit->part_capacity, fit->part_count + 1, sizeof *fit->parts, err))
        return false;
    ood_random_seed(&gathering.random, fit->options.seed);
    gathering.source = ctl_source_open(spec, only, err);
    if (gathering.source == NULL)
        return false;
    struct ctl_crew crew = {
        .threads = fit_threads(fit), .batch = FIT_BATCH, .classes = fit->classes, .dimension = fit->dimension,
        .context = &gathering, .state_new = state_new, .state_free = state_free, .fill = fill, .work = work, .take = take,
    };
    ctl_progress_start(&gathering.progress, what, ctl_source_total(gathering.source));
    bool done = ctl_crew_run(&crew, err);
    ctl_progress_end(&gathering.progress);
    set->skipped += ctl_source_skipped(gathering.source);
    part.count = set->count - part.first;
    fit->parts[fit->part_count++] = part;
    if (done && only != NULL && !ctl_keys_all_met(only, err)) {
        ood_error_prefix(err, "%s: %s", spec, fit->options.only != NULL ? fit->options.only : "pictures held out");
        done = false;
    }
    ctl_source_close(gathering.source);
    return done;
}
