/* eval and calibrate: the pictures of a source through a network, one after the other. What is kept of them is the caller's choice. */
#include <string.h>

#include "base/cpus.h"
#include "base/number.h"
#include "daemon/oodctl/eval.h"

#define BATCH 8

/* ---- a source, whatever goes through ---- */

bool eval_pass_fill(struct eval_pass *pass, struct ctl_job *job, size_t batch, struct ood_error *err)
{
    return ctl_source_fill(pass->source, pass->exclude, job->pictures, batch, &job->count, &pass->counts->excluded, err);
}

bool eval_pass_run(struct eval_pass *pass, const struct eval_source *source, const struct ctl_crew *crew, struct ood_error *err)
{
    struct ctl_keys *only = NULL;
    bool done = false;
    if ((source->only != NULL && (only = ctl_keys_read(source->only, err)) == NULL) ||
        (source->exclude != NULL && (pass->exclude = ctl_keys_read(source->exclude, err)) == NULL) ||
        (pass->source = ctl_source_open(source->spec, only, err)) == NULL)
        goto out;
    ctl_progress_start(&pass->progress, source->what, ctl_source_total(pass->source));
    done = ctl_crew_run(crew, err);
    ctl_progress_end(&pass->progress);
    pass->counts->skipped = ctl_source_skipped(pass->source);
    if (done && only != NULL && !ctl_keys_all_met(only, err))
        done = ood_error_prefix(err, "%s: %s", source->spec, source->only);
    if (done && pass->exclude != NULL && !ctl_keys_all_met(pass->exclude, err))
        done = ood_error_prefix(err, "%s: %s", source->spec, source->exclude);
    if (done && pass->counts->pictures == 0)
        done = ood_fail(err, OOD_INVALID, "%s: none of its %zu pictures can be scored", source->spec, pass->counts->unscored + pass->counts->excluded);
out:
    ctl_source_close(pass->source);
    ctl_keys_free(only);
    ctl_keys_free(pass->exclude);
    return done;
}

/* ---- a classifier's ---- */

struct run {
    const struct eval_gathering *gathering;
    struct eval_pass pass;
    struct eval_counts counts;
    size_t position;
};

struct state { struct ood_session *session; struct ood_contender_memory *memory; };

static void state_free(void *argument)
{
    struct state *state = argument;
    ood_session_free(state->session);
    ood_contender_memory_free(state->memory);
    ood_free(state);
}

static void *state_new(void *context, struct ood_error *err)
{
    const struct eval_network *network = ((struct run *)context)->gathering->network;
    struct state *state = ood_new(struct state, err);
    if (state == NULL)
        return NULL;
    state->session = ood_scorer_session(network->scorer, err);
    state->memory = network->contenders != NULL && state->session != NULL ? ood_contender_memory_new(network->contenders, err) : NULL;
    if (state->session == NULL || (network->contenders != NULL && state->memory == NULL)) {
        state_free(state);
        return NULL;
    }
    return state;
}

static bool fill(void *context, struct ctl_job *job, struct ood_error *err)
{
    struct run *run = context;
    return eval_pass_fill(&run->pass, job, BATCH, err);
}

static bool work(void *context, void *argument, struct ctl_job *job)
{
    const struct eval_network *network = ((struct run *)context)->gathering->network;
    struct state *state = argument;
    size_t classes = ood_scorer_classes(network->scorer), dimension = ood_scorer_dimension(network->scorer);
    if (!ood_score(network->scorer, state->session, job->items, job->count, job->verdicts, NULL, &job->err))
        return false;
    for (size_t i = 0; i < job->count && network->contenders != NULL; i++)
        if (job->verdicts[i].error.code == OOD_OK)
            ood_contenders_score(network->contenders, state->memory, job->logits + i * classes, job->features + i * dimension, &job->verdicts[i],
                                 job->values + i * OOD_CONTENDERS);
    return true;
}

static bool take(void *context, struct ctl_job *job, struct ood_error *err)
{
    struct run *run = context;
    const struct eval_gathering *gathering = run->gathering;
    const struct eval_network *network = gathering->network;
    size_t classes = ood_scorer_classes(network->scorer), dimension = ood_scorer_dimension(network->scorer);
    for (size_t i = 0; i < job->count; i++, run->position++) {
        const struct ood_error *wrong = &job->verdicts[i].error;
        if (wrong->code == OOD_OUT_OF_MEMORY) {
            *err = *wrong;
            return false;
        }
        if (wrong->code != OOD_OK) {
            run->counts.unscored++;
            if (!gathering->quiet || wrong->code == OOD_SCORE_NOT_FINITE)
                ctl_say("%s: not scored: %s", job->pictures[i].id, wrong->message);
            continue;
        }
        run->counts.pictures++;
        const struct eval_seen seen = {
            .picture = &job->pictures[i], .position = run->position, .verdict = &job->verdicts[i], .logits = job->logits + i * classes,
            .features = job->features + i * dimension, .scores = network->contenders != NULL ? job->values + i * OOD_CONTENDERS : NULL,
        };
        if (!gathering->see(gathering->context, &seen, err))
            return false;
    }
    ctl_progress_at(&run->pass.progress, run->counts.pictures + run->counts.unscored);
    return true;
}

bool eval_gather(const struct eval_gathering *gathering, const struct eval_source *source, struct eval_counts *counts, struct ood_error *err)
{
    struct run run = { .gathering = gathering };
    run.pass.counts = &run.counts;
    const struct ctl_crew crew = {
        .threads = gathering->threads > 0 ? gathering->threads : ood_cpus(), .batch = BATCH, .classes = ood_scorer_classes(gathering->network->scorer),
        .dimension = ood_scorer_dimension(gathering->network->scorer), .values = OOD_CONTENDERS, .context = &run,
        .state_new = state_new, .state_free = state_free, .fill = fill, .work = work, .take = take,
    };
    if (!eval_pass_run(&run.pass, source, &crew, err))
        return false;
    *counts = run.counts;
    return true;
}

bool eval_class_of(const struct ood_bundle *bundle, const char *text, uint32_t *class_index)
{
    size_t number;
    for (size_t k = 0; k < bundle->classes; k++)
        if (strcmp(bundle->labels[k], text) == 0) {
            *class_index = (uint32_t)k;
            return true;
        }
    if (!ood_parse_size(text, &number) || number >= bundle->classes)
        return false;
    *class_index = (uint32_t)number;
    return true;
}
