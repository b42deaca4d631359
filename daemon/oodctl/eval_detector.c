/* eval --detector: pictures through a detector, METHOD section 5's unit made of what it finds: of known pictures the detections that match
 * an object, of foreign ones every detection above the score limit. */
#include <math.h>
#include <string.h>

#include "base/cpus.h"
#include "daemon/oodctl/eval.h"
#include "daemon/oodctl/truths.h"

#define BATCH 4

/* ---- annotations ---- */

bool eval_truth_parse(struct eval *eval, const char *text, const char **why)
{
    const char *equals = strchr(text, '=');
    *why = "expected NAME=TRUTH";
    if (equals == NULL || equals[1] == '\0')
        return false;
    size_t length = (size_t)(equals - text);
    *why = "no --out has this name";
    for (size_t s = 0; s < eval->set_count; s++) {
        if (strlen(eval->sets[s].name) != length || strncmp(eval->sets[s].name, text, length) != 0)
            continue;
        *why = "the set has annotations already";
        if (eval->out_truths[s].path != NULL)
            return false;
        eval->out_truths[s].path = equals + 1;
        return true;
    }
    return false;
}

static bool read_truth(struct eval_truth *truth, struct ood_error *err)
{
    return truth->path == NULL || ctl_truths_read("eval", truth->path, &truth->annotations, &truth->classes, err);
}

bool eval_truths(struct eval *eval, struct ood_error *err)
{
    eval->in_truth.path = eval->options.annotations;
    if (!read_truth(&eval->in_truth, err))
        return false;
    for (size_t s = 0; s < eval->set_count; s++)
        if (!read_truth(&eval->out_truths[s], err))
            return ood_error_prefix(err, "%s", eval->sets[s].name);
    return true;
}

void eval_truths_free(struct eval *eval)
{
    for (size_t s = 0; eval->out_truths != NULL && s < eval->set_count; s++) {
        ood_annotations_free(&eval->out_truths[s].annotations);
        ood_free(eval->out_truths[s].classes);
    }
    ood_annotations_free(&eval->in_truth.annotations);
    ood_free(eval->in_truth.classes);
    ood_free(eval->out_truths);
}

/* ---- the crew's side ---- */

struct sighting { struct ood_scene scene; struct ood_detection *detections; };

struct pass {
    struct eval *eval;
    const struct eval_network *network;
    struct eval_pass reading;
    const struct eval_truth *truth;          /* its path is NULL: none */
    const char *set;                         /* NULL: --in */
    bool first;                              /* the bundle, not the one it is compared with */
    double least;                            /* the least score looked for */
    struct eval_pictures *into;
    struct ood_tally tally;                  /* of --in */
    /* of one picture, grown as needed */
    struct ood_found *found;
    enum ood_match *matches;
    bool *free;
    struct eval_box boxes[EVAL_BOXES];
    size_t found_capacity, matches_capacity, free_capacity;
};

struct state { struct ood_session *session; struct ood_detection *detections; };

static void state_free(void *argument)
{
    struct state *state = argument;
    ood_session_free(state->session);
    ood_free(state->detections);
    ood_free(state);
}

static void *state_new(void *context, struct ood_error *err)
{
    const struct pass *pass = context;
    struct state *state = ood_new(struct state, err);
    if (state == NULL)
        return NULL;
    state->session = ood_scorer_session(pass->network->scorer, err);
    state->detections = state->session != NULL ? ood_new_array(struct ood_detection, ood_scorer_detections_most(pass->network->scorer), err) : NULL;
    if (state->detections == NULL) {
        state_free(state);
        return NULL;
    }
    ood_session_detection_limit(state->session, pass->least);
    return state;
}

static void sighting_free(void *result)
{
    struct sighting *sighting = result;
    if (sighting == NULL)
        return;
    ood_free(sighting->detections);
    ood_free(sighting);
}

static bool fill(void *context, struct ctl_job *job, struct ood_error *err)
{
    struct pass *pass = context;
    return eval_pass_fill(&pass->reading, job, BATCH, err);
}

static bool work(void *context, void *argument, struct ctl_job *job)
{
    const struct ood_scorer *scorer = ((struct pass *)context)->network->scorer;
    struct state *state = argument;
    for (size_t i = 0; i < job->count; i++) {
        struct sighting *sighting = ood_new(struct sighting, &job->err);
        job->results[i] = sighting;
        if (sighting == NULL || !ood_detect(scorer, state->session, job->items[i].picture, job->items[i].picture_size, state->detections,
                                            ood_scorer_detections_most(scorer), &sighting->scene, NULL, &job->err))
            return false;
        job->verdicts[i] = (struct ood_verdict){ .error = sighting->scene.error };
        size_t count = sighting->scene.count;
        sighting->detections = ood_new_array(struct ood_detection, count, &job->err);
        if (sighting->detections == NULL)
            return false;
        if (count > 0)
            memcpy(sighting->detections, state->detections, count * sizeof *state->detections);
    }
    return true;
}

/* ---- the taking side ---- */

/* A detection that is ranked. */
static bool append(struct pass *pass, const struct ood_detection *detection, struct ood_error *err)
{
    struct eval_pictures *into = pass->into;
    const struct ood_verdict *verdict = &detection->verdict;
    struct eval_picture item = { .position = into->found.pictures, .label = OOD_NONE, .predicted = (uint32_t)verdict->class_index,
                                 .decision = verdict->decision };
    item.scores[OOD_CONTENDER_ENERGY] = -verdict->energy;
    item.scores[OOD_CONTENDER_REPRESENTATION] = -verdict->representation_score;
    item.scores[OOD_CONTENDER_SCORE] = verdict->score;
    item.scores[OOD_CONTENDER_MSP] = verdict->class_probability;
    if (!ood_grow(&into->items, &into->capacity, into->count + 1, sizeof *into->items, err))
        return false;
    into->items[into->count++] = item;
    return true;
}

/* The picture's detections as match.h takes them, and room for what it says. */
static bool lay_out(struct pass *pass, const struct sighting *sighting, const struct ood_annotated *truth, struct ood_error *err)
{
    size_t n = sighting->scene.count;
    if (!ood_grow(&pass->found, &pass->found_capacity, n + 1, sizeof *pass->found, err) ||
        !ood_grow(&pass->matches, &pass->matches_capacity, n + 1, sizeof *pass->matches, err) ||
        !ood_grow(&pass->free, &pass->free_capacity, (truth != NULL ? truth->count : 0) + 1, sizeof *pass->free, err))
        return false;
    for (size_t i = 0; i < n; i++) {
        const struct ood_detection *detection = &sighting->detections[i];
        pass->found[i] = (struct ood_found){ .score = detection->detection_score, .class_index = detection->verdict.class_index };
        memcpy(pass->found[i].box, detection->box, sizeof detection->box);
    }
    return true;
}

/* Objects of a known class, or of foreign pictures any. */
static void count_objects(const struct pass *pass, const struct ood_annotated *truth, struct eval_found *found)
{
    for (size_t t = 0; truth != NULL && t < truth->count; t++) {
        const struct ood_truth *object = &truth->truths[t];
        if (object->ignored || (pass->set == NULL && pass->truth->classes[object->name] == SIZE_MAX))
            continue;
        found->objects++;
        found->missed += pass->free[t];
    }
}

static bool take_picture(struct pass *pass, const struct ctl_picture *picture, const struct sighting *sighting, struct ood_error *err)
{
    struct eval_pictures *into = pass->into;
    const struct ood_annotated *truth = pass->truth->path != NULL ? ood_annotations_find(&pass->truth->annotations, picture->id) : NULL;
    size_t count = 0, boxes = 0;
    double limit = pass->network->bundle->detector->limit;
    if (!lay_out(pass, sighting, truth, err) ||
        (pass->set == NULL && !ood_tally_add(&pass->tally, pass->found, sighting->scene.count, truth, pass->truth->classes, err)))
        return false;
    while (count < sighting->scene.count && pass->found[count].score >= limit)       /* best first */
        count++;
    ood_match(pass->found, count, truth, pass->truth->classes, pass->set != NULL, pass->matches, pass->free);
    count_objects(pass, truth, &into->found);
    into->found.detections += count;
    for (size_t i = 0; i < count; i++) {
        const struct ood_detection *detection = &sighting->detections[i];
        if (pass->set == NULL && pass->matches[i] != OOD_MATCHED)
            continue;
        if (detection->verdict.error.code != OOD_OK) {
            into->found.unscored++;
            ctl_say("%s: detections[%zu]: not scored: %s", picture->id, i, detection->verdict.error.message);
            continue;
        }
        if (!append(pass, detection, err))
            return false;
        if (boxes == EVAL_BOXES)
            continue;
        pass->boxes[boxes] = (struct eval_box){ .decision = detection->verdict.decision, .score = detection->verdict.score,
                                                .class_index = detection->verdict.class_index };
        memcpy(pass->boxes[boxes++].box, detection->box, sizeof detection->box);
    }
    if (pass->eval->options.report == NULL || !pass->first)
        return true;
    return eval_worst_boxes(&pass->eval->worsts, picture, pass->boxes, boxes, (const size_t[]){ sighting->scene.width, sighting->scene.height },
                            pass->set, pass->eval->options.pixels, err);
}

static bool take(void *context, struct ctl_job *job, struct ood_error *err)
{
    struct pass *pass = context;
    struct eval_pictures *into = pass->into;
    for (size_t i = 0; i < job->count; i++, into->found.pictures++) {
        const struct ood_error *wrong = &job->verdicts[i].error;
        if (wrong->code == OOD_OUT_OF_MEMORY) {
            *err = *wrong;
            return false;
        }
        if (wrong->code != OOD_OK) {
            into->counts.unscored++;
            if (pass->first || wrong->code == OOD_SCORE_NOT_FINITE)
                ctl_say("%s: not scored: %s", job->pictures[i].id, wrong->message);
            continue;
        }
        into->counts.pictures++;
        if (!take_picture(pass, &job->pictures[i], job->results[i], err))
            return ood_error_prefix(err, "%s", job->pictures[i].id);
    }
    ctl_progress_at(&pass->reading.progress, into->found.pictures);
    return true;
}

/* ---- a source ---- */

static bool run_pass(struct pass *pass, const struct eval_source *source, struct ood_error *err)
{
    pass->reading.counts = &pass->into->counts;
    const struct ctl_crew crew = {
        .threads = pass->eval->options.threads > 0 ? pass->eval->options.threads : ood_cpus(), .batch = BATCH, .context = pass,
        .state_new = state_new, .state_free = state_free, .fill = fill, .work = work, .take = take, .result_free = sighting_free,
    };
    return eval_pass_run(&pass->reading, source, &crew, err);
}

/* Nothing to rank is an answer, but not one that figures can be made of. */
static bool check_items(const struct pass *pass, const char *spec, struct ood_error *err)
{
    const struct eval_pictures *into = pass->into;
    if (into->count > 0)
        return true;
    if (pass->set != NULL)
        return ood_fail(err, OOD_INVALID, "%s: nothing was detected in %zu pictures with a score of %.4g or more: there is nothing to rank", spec,
                        into->counts.pictures, pass->network->bundle->detector->limit);
    return ood_fail(err, OOD_INVALID, "%s: none of %zu detections in %zu pictures matches an object of %s", spec, into->found.detections,
                    into->counts.pictures, pass->truth->path);
}

static bool name_owners(struct eval_pictures *into, struct ood_error *err)
{
    into->owners = ood_new_array(size_t, into->count, err);
    for (size_t i = 0; into->owners != NULL && i < into->count; i++)
        into->owners[i] = into->items[i].position;
    return into->owners != NULL;
}

bool eval_detect(struct eval *eval, size_t subject, size_t s, struct ood_error *err)
{
    struct eval_subject *of = &eval->subjects[subject];
    const struct eval_options *given = &eval->options;
    const struct ood_bundle *bundle = of->network.bundle;
    bool in = s == eval->set_count;
    struct pass pass = { .eval = eval, .network = &of->network, .truth = in ? &eval->in_truth : &eval->out_truths[s], .first = subject == 0,
                         .set = in ? NULL : eval->sets[s].name, .into = in ? &of->in : &of->out[s], .least = bundle->detector->limit };
    char *what = ood_format(err, "eval: %s", in ? "in" : eval->sets[s].name);
    const struct eval_source source = { what, in ? given->in : eval->sets[s].spec, in ? given->only : NULL, in ? given->exclude : NULL };
    pass.into->found.annotated = pass.truth->path != NULL;
    pass.into->found.ap50 = NAN;
    bool done = what != NULL;
    if (done && in) {
        pass.least = fmin(CTL_LIMIT_LEAST, pass.least);
        done = ctl_truths_match("eval", pass.truth->path, &pass.truth->annotations, bundle->labels, bundle->classes, !pass.first, pass.truth->classes,
                                err) && ood_tally_begin(&pass.tally, bundle->classes, err);
    }
    done = done && run_pass(&pass, &source, err) && check_items(&pass, source.spec, err) && name_owners(pass.into, err);
    if (done && in)
        pass.into->found.ap50 = ood_tally_ap50(&pass.tally);
    ood_tally_free(&pass.tally);
    ood_free(pass.found);
    ood_free(pass.matches);
    ood_free(pass.free);
    ood_free(what);
    return done || (!in && ood_error_prefix(err, "%s", eval->sets[s].name));
}
