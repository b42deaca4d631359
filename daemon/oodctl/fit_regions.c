/* fit --detector: the pictures through the detector. With annotations they are read twice: first for scores alone, which give AP50 and,
 * of the pictures to fit, the score limit; then for the logits and features of every detection above the limit, 4 (K + D) bytes each. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "daemon/oodctl/crew.h"
#include "daemon/oodctl/fit.h"
#include "daemon/oodctl/truths.h"
#include "detect/detect.h"

#define BATCH 4
#define TRAINING_SHARE 0.25                  /* of the limit: what a head is trained on */

/* What a picture is for. TRAIN: fit->trains. */
enum part { FIT, CALIBRATE, TRAIN };

/* What a thread made of one picture: the scene's detections, then annotated boxes, whose class is the annotation's. */
struct sighting { struct ood_scene scene; struct ood_region *regions; float *logits, *features; size_t boxes, boxes_missed; };

struct pass {
    struct fit *fit;
    struct fit_set *set;
    struct ctl_source *source;
    struct ctl_progress progress;
    double limit;
    bool vectors;                            /* or scores alone */
    bool training;                           /* pictures for the head alone; else all but those */
    size_t position;                         /* of the picture taken next */
    struct ood_random parts, keeping;
    bool first_fits;                         /* of the current pair of pictures; with `trains` the first is for the head */
    bool first_held_fits;                    /* of the two others in the current four */
    struct ood_tally *all, *fitted;      /* scores alone */
    size_t seen;                             /* pictures that may be kept for the self-test, so far */
};

static void sighting_free(void *result)
{
    struct sighting *sighting = result;
    if (sighting == NULL)
        return;
    ood_free(sighting->regions);
    ood_free(sighting->logits);
    ood_free(sighting->features);
    ood_free(sighting);
}

/* ---- the crew's side ---- */

struct looker { struct ood_regions *regions; struct ood_region *found; };

static void looker_free(void *state)
{
    struct looker *looker = state;
    ood_regions_free(looker->regions);
    ood_free(looker->found);
    ood_free(looker);
}

static void *looker_new(void *context, struct ood_error *err)
{
    const struct fit *fit = ((struct pass *)context)->fit;
    struct looker *looker = ood_new(struct looker, err);
    if (looker == NULL)
        return NULL;
    looker->regions = ood_regions_new(fit->model, fit->decoder, &fit->preprocess, 0, err);
    looker->found = ood_new_array(struct ood_region, fit->declaration.detector.most, err);
    if (looker->regions != NULL && looker->found != NULL)
        return looker;
    looker_free(looker);
    return NULL;
}

static bool fill(void *context, struct ctl_job *job, struct ood_error *err)
{
    struct pass *pass = context;
    return ctl_source_fill(pass->source, NULL, job->pictures, BATCH, &job->count, NULL, err);
}

/* The annotated boxes of the picture just run, behind the `count` regions found. truth: NULL, none. */
static void add_boxes(const struct fit *fit, struct looker *looker, const struct ood_annotated *truth, size_t count, struct sighting *out)
{
    struct ood_error missed = { 0 };
    for (size_t t = 0; truth != NULL && t < truth->count; t++) {
        struct ood_region *region = &out->regions[count + out->boxes];
        size_t class_index = fit->name_classes[truth->truths[t].name];
        if (truth->truths[t].ignored || class_index == SIZE_MAX)
            continue;
        memcpy(region->box, truth->truths[t].box, sizeof region->box);
        if (!ood_regions_match(looker->regions, region, &missed)) {
            out->boxes_missed++;
            continue;
        }
        region->class_index = class_index;
        out->boxes++;
    }
}

static bool look(const struct pass *pass, struct looker *looker, const char *id, const struct ood_item *item, struct sighting *out, struct ood_error *err)
{
    const struct fit *fit = pass->fit;
    size_t classes = fit->classes, dimension = fit->dimension;
    ood_regions_find(looker->regions, item->picture, item->picture_size, pass->limit, looker->found, &out->scene, NULL);
    size_t count = out->scene.error.code == OOD_OK ? out->scene.count : 0;
    bool boxes = out->scene.error.code == OOD_OK && pass->training && fit->learns_boxes;
    const struct ood_annotated *truth = boxes ? ood_annotations_find(&fit->annotations, id) : NULL;
    out->regions = ood_new_array(struct ood_region, count + (truth != NULL ? truth->count : 0), err);
    if (out->regions == NULL)
        return false;
    if (count > 0)
        memcpy(out->regions, looker->found, count * sizeof *out->regions);
    add_boxes(fit, looker, truth, count, out);
    count += out->boxes;
    if (!pass->vectors)
        return true;
    out->logits = ood_alloc(count, classes * sizeof *out->logits, err);
    out->features = ood_alloc(count, dimension * sizeof *out->features, err);
    if (out->logits == NULL || out->features == NULL)
        return false;
    for (size_t i = 0; i < count; i++)
        ood_regions_vectors(looker->regions, &out->regions[i], out->logits + i * classes, out->features + i * dimension);
    return true;
}

static bool work(void *context, void *state, struct ctl_job *job)
{
    for (size_t i = 0; i < job->count; i++) {
        struct sighting *sighting = ood_new(struct sighting, &job->err);
        job->results[i] = sighting;
        if (sighting == NULL || !look(context, state, job->pictures[i].id, &job->items[i], sighting, &job->err))
            return false;
        job->verdicts[i] = (struct ood_verdict){ .error = sighting->scene.error };
    }
    return true;
}

/* ---- the taking side ---- */

/* One picture of each pair to fit, drawn; all where calibration has a source of its own. Where a head is trained it gets that picture, and the
 * others are shared in the same way. All passes draw the same. */
static enum part part_of(struct pass *pass)
{
    const struct fit *fit = pass->fit;
    if (fit->options.calibration != NULL && !fit->trains)
        return FIT;
    if (fit->trains && pass->position % 4 == 0)
        pass->first_held_fits = ood_random_next(&pass->parts) >> 63;
    if (pass->position % 2 == 0)
        pass->first_fits = ood_random_next(&pass->parts) >> 63;
    bool drawn = pass->first_fits == (pass->position % 2 == 0);
    if (!fit->trains)
        return drawn ? FIT : CALIBRATE;
    if (drawn)
        return TRAIN;
    return fit->options.calibration != NULL || pass->first_held_fits == (pass->position % 4 < 2) ? FIT : CALIBRATE;
}

static struct ood_found found_of(const struct ood_region *region)
{
    struct ood_found found = { .score = region->score, .class_index = region->class_index };
    memcpy(found.box, region->box, sizeof found.box);
    return found;
}

static struct ood_found *all_found(const struct sighting *sighting, struct ood_error *err)
{
    struct ood_found *found = ood_new_array(struct ood_found, sighting->scene.count, err);
    for (size_t i = 0; found != NULL && i < sighting->scene.count; i++)
        found[i] = found_of(&sighting->regions[i]);
    return found;
}

static bool take_scores(struct pass *pass, const struct ctl_picture *picture, const struct sighting *sighting, bool to_fit, struct ood_error *err)
{
    const struct fit *fit = pass->fit;
    const struct ood_annotated *truth = ood_annotations_find(&fit->annotations, picture->id);
    struct ood_found *found = all_found(sighting, err);
    size_t n = sighting->scene.count;
    bool done = found != NULL && ood_tally_add(pass->all, found, n, truth, fit->name_classes, err) &&
                (!to_fit || ood_tally_add(pass->fitted, found, n, truth, fit->name_classes, err));
    ood_free(found);
    return done;
}

/* Does the box overlap no object, ignored ones too, by IoU 0.5? */
static bool is_background(const double box[4], const struct ood_annotated *truth)
{
    for (size_t t = 0; truth != NULL && t < truth->count; t++)
        if (ood_iou(box, truth->truths[t].box) >= OOD_MATCH_IOU)
            return false;
    return true;
}

/* The classes that prototypes are made for: of matched detections; without annotations, of those at least half way from the limit
 * to 1. classes[n]; background[n]. */
static bool prototype_classes(const struct fit *fit, const struct ctl_picture *picture, const struct sighting *sighting, size_t *classes,
                              bool *background, struct ood_error *err)
{
    size_t n = sighting->scene.count;
    const struct ood_annotated *truth = ood_annotations_find(&fit->annotations, picture->id);
    struct ood_found *found = all_found(sighting, err);
    enum ood_match *result = ood_new_array(enum ood_match, n, err);
    bool *free = ood_new_array(bool, truth == NULL ? 0 : truth->count, err);
    bool done = found != NULL && result != NULL && free != NULL;
    if (done)
        ood_match(found, n, truth, fit->name_classes, false, result, free);
    for (size_t i = 0; done && i < n; i++) {
        bool good = fit->options.annotations != NULL ? result[i] == OOD_MATCHED
                                                     : sighting->regions[i].score >= (1 + fit->declaration.detector.limit) / 2;
        classes[i] = good ? sighting->regions[i].class_index : SIZE_MAX;
        background[i] = result[i] == OOD_UNMATCHED && is_background(sighting->regions[i].box, truth);
    }
    ood_free(found);
    ood_free(result);
    ood_free(free);
    return done;
}

static bool all_finite(const float *values, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!isfinite(values[i]))
            return false;
    return true;
}

static bool append(struct pass *pass, const struct sighting *sighting, size_t i, struct ood_error *err)
{
    struct fit *fit = pass->fit;
    struct fit_set *set = pass->set;
    const float *logits = sighting->logits + i * fit->classes, *features = sighting->features + i * fit->dimension;
    if (!all_finite(logits, fit->classes) || !all_finite(features, fit->dimension))
        return ood_fail(err, OOD_SCORE_NOT_FINITE, "logits or features are not finite (NaN or infinity)");
    if (!ood_grow(&set->logits, &set->logits_capacity, set->count + 1, fit->classes * sizeof *set->logits, err) ||
        !ood_grow(&set->features, &set->features_capacity, set->count + 1, fit->dimension * sizeof *set->features, err) ||
        !ood_grow(&set->labels, &set->labels_capacity, set->count + 1, sizeof *set->labels, err) ||
        !ood_grow(&set->positions, &set->positions_capacity, set->count + 1, sizeof *set->positions, err))
        return false;
    memcpy(set->logits + set->count * fit->classes, logits, fit->classes * sizeof *logits);
    memcpy(set->features + set->count * fit->dimension, features, fit->dimension * sizeof *features);
    set->labels[set->count] = OOD_NONE;
    set->positions[set->count++] = pass->position;
    return true;
}

/* Detections of --images also get their part and the class they stand for. */
static bool place(struct fit *fit, size_t class_index, bool background, bool to_fit, struct ood_error *err)
{
    size_t i = fit->images.count - 1;
    if (!ood_grow(&fit->image_classes, &fit->image_class_capacity, i + 1, sizeof *fit->image_classes, err) ||
        !ood_grow(&fit->is_fit, &fit->is_fit_capacity, i + 1, sizeof *fit->is_fit, err) ||
        !ood_grow(&fit->is_background, &fit->is_background_capacity, i + 1, sizeof *fit->is_background, err))
        return false;
    fit->is_background[i] = background;
    fit->image_classes[i] = class_index;
    fit->is_fit[i] = to_fit;
    fit->matched += class_index != SIZE_MAX;
    if (class_index != SIZE_MAX)
        (to_fit ? fit->fit_counts : fit->calibration_counts)[class_index]++;
    *(to_fit ? &fit->fit_total : &fit->calibration_total) += 1;
    return true;
}

/* Every picture with a detection in the fit part has the same chance to be one of the self-test's. */
static void maybe_keep(struct pass *pass, struct ctl_picture *picture)
{
    struct fit *fit = pass->fit;
    size_t place = fit->kept_count < FIT_SELFTEST ? fit->kept_count : (size_t)ood_random_below(&pass->keeping, pass->seen + 1);
    pass->seen++;
    if (place >= FIT_SELFTEST)
        return;
    if (place == fit->kept_count)
        fit->kept_count++;
    if (picture->path != NULL)               /* it can be read again */
        ood_bytes_free(&picture->bytes);
    ctl_picture_free(&fit->kept[place].picture);
    fit->kept[place] = (struct fit_kept){ pass->position, *picture };
    *picture = (struct ctl_picture){ 0 };
}

static bool take_vectors(struct pass *pass, struct ctl_picture *picture, const struct sighting *sighting, bool to_fit, struct ood_error *err)
{
    struct fit *fit = pass->fit;
    bool images = pass->set == &fit->images;
    size_t *classes = ood_new_array(size_t, sighting->scene.count, err);
    bool *background = ood_new_array(bool, sighting->scene.count, err);
    bool done = classes != NULL && background != NULL && (!images || prototype_classes(fit, picture, sighting, classes, background, err));
    for (size_t i = 0; done && i < sighting->scene.count; i++)
        if (!images || !pass->training || fit->learns_detections || classes[i] == SIZE_MAX)
            done = append(pass, sighting, i, err) && (!images || place(fit, classes[i], background[i], to_fit, err));
    for (size_t i = sighting->scene.count; done && i < sighting->scene.count + sighting->boxes; i++)
        done = append(pass, sighting, i, err) && place(fit, sighting->regions[i].class_index, false, to_fit, err);
    fit->box_count += sighting->boxes;
    fit->boxes_missed += sighting->boxes_missed;
    ood_free(classes);
    ood_free(background);
    if (!done)
        return ood_error_prefix(err, "%s: %s", fit->options.model, picture->id);
    if (images && to_fit && !pass->training && sighting->scene.count > 0)
        maybe_keep(pass, picture);
    return true;
}

static bool take(void *context, struct ctl_job *job, struct ood_error *err)
{
    struct pass *pass = context;
    for (size_t i = 0; i < job->count; i++, pass->position++) {
        enum part part = part_of(pass);
        bool to_fit = part != CALIBRATE;
        if (pass->vectors && pass->set == &pass->fit->images && (part == TRAIN) != pass->training)
            continue;
        const struct ood_error *why = &job->verdicts[i].error;
        if (why->code == OOD_OUT_OF_MEMORY || why->code == OOD_SCORE_NOT_FINITE) {
            *err = *why;
            return ood_error_prefix(err, "%s", job->pictures[i].id);
        }
        if (why->code != OOD_OK) {
            if (pass->vectors) {
                pass->set->unreadable++;
                ctl_say("%s: unreadable: %s", job->pictures[i].id, why->message);
            }
            continue;
        }
        if (pass->vectors ? !take_vectors(pass, &job->pictures[i], job->results[i], to_fit, err)
                          : !take_scores(pass, &job->pictures[i], job->results[i], to_fit, err))
            return false;
    }
    ctl_progress_at(&pass->progress, pass->position);
    return true;
}

static bool run_pass(struct pass *pass, const char *spec, struct ctl_keys *only, const char *what, struct ood_error *err)
{
    struct fit *fit = pass->fit;
    bool done = false;
    ood_random_seed(&pass->parts, fit->options.seed);
    ood_random_seed(&pass->keeping, fit->options.seed + 1);
    pass->source = ctl_source_open(spec, only, err);
    if (pass->source == NULL)
        return false;
    struct ctl_crew crew = {
        .threads = fit_threads(fit), .batch = BATCH, .context = pass, .state_new = looker_new, .state_free = looker_free,
        .fill = fill, .work = work, .take = take, .result_free = sighting_free,
    };
    ctl_progress_start(&pass->progress, what, ctl_source_total(pass->source));
    done = ctl_crew_run(&crew, err);
    ctl_progress_end(&pass->progress);
    if (pass->vectors)
        pass->set->skipped += ctl_source_skipped(pass->source);
    if (done && only != NULL && !ctl_keys_all_met(only, err))
        done = ood_error_prefix(err, "%s: %s", spec, fit->options.only);
    ctl_source_close(pass->source);
    return done;
}

/* ---- the limit, then all of it ---- */

static bool find_limit(struct fit *fit, struct ood_error *err)
{
    struct ood_tally all = { 0 }, fitted = { 0 };
    struct ood_detector *detector = &fit->declaration.detector;
    struct pass pass = { .fit = fit, .limit = CTL_LIMIT_LEAST, .all = &all, .fitted = &fitted };
    bool done = ood_tally_begin(&all, fit->classes, err) && ood_tally_begin(&fitted, fit->classes, err) &&
                run_pass(&pass, fit->options.images, fit->only, "fit: scores", err);
    if (done) {
        double limit = ood_tally_best_limit(&fitted, &fit->best_f1);
        fit->ap50 = ood_tally_ap50(&all);
        if (isnan(limit))
            done = ood_fail(err, OOD_INVALID, "%s: no detection in the pictures to fit matches an object of %s", fit->options.images,
                            fit->options.annotations);
        detector->limit = limit;
        detector->limit_validated = true;
    }
    ood_tally_free(&all);
    ood_tally_free(&fitted);
    return done;
}

static bool gather(struct fit *fit, const char *spec, struct ctl_keys *only, const char *what, struct fit_set *set, size_t *pictures,
                   struct ood_error *err)
{
    struct pass pass = { .fit = fit, .set = set, .limit = fit->declaration.detector.limit, .vectors = true };
    bool done = run_pass(&pass, spec, only, what, err);
    *pictures = pass.position;
    return done;
}

bool fit_training_regions(struct fit *fit, const struct ctl_texts *sources, struct fit_set *foreign, struct ood_error *err)
{
    struct pass pass = { .fit = fit, .set = &fit->images, .vectors = true, .training = true };
    fit->fit_counts = ood_new_array(size_t, fit->classes, err);
    fit->calibration_counts = ood_new_array(size_t, fit->classes, err);
    if (fit->fit_counts == NULL || fit->calibration_counts == NULL || !find_limit(fit, err))
        return false;
    pass.limit = TRAINING_SHARE * fit->declaration.detector.limit;
    if (!run_pass(&pass, fit->options.images, fit->only, "train: pictures", err))
        return false;
    for (size_t i = 0; i < sources->count; i++) {
        size_t unused;
        if (!gather(fit, sources->items[i], NULL, "train: outliers", foreign, &unused, err))
            return false;
    }
    return true;
}

void fit_drop_regions(struct fit *fit)
{
    size_t unreadable = fit->images.unreadable;
    fit_set_free(&fit->images);
    fit->images.unreadable = unreadable;
    ood_free(fit->image_classes);
    ood_free(fit->is_fit);
    ood_free(fit->is_background);
    ood_free(fit->fit_counts);
    ood_free(fit->calibration_counts);
    fit->image_classes = fit->fit_counts = fit->calibration_counts = NULL;
    fit->is_fit = fit->is_background = NULL;
    fit->image_class_capacity = fit->is_fit_capacity = fit->is_background_capacity = 0;
    fit->fit_total = fit->calibration_total = fit->matched = 0;
}

static bool check_counts(const struct fit *fit, struct ood_error *err)
{
    size_t least = (size_t)ceil(1 / fit->options.alpha) - 1, for_prototypes = 0;
    for (size_t k = 0; k < fit->classes; k++)
        for_prototypes += fit->fit_counts[k];
    if (fit->fit_total < 2)
        return ood_fail(err, OOD_INVALID, "%s: %zu detections to fit, at least 2 are needed", fit->options.images, fit->fit_total);
    if (for_prototypes == 0 && fit->options.annotations == NULL)
        return ood_fail(err, OOD_INVALID, "%s: no detection's score is half way from the limit, %g, to 1; --annotations tells which are right",
                        fit->options.images, fit->declaration.detector.limit);
    if (fit->calibration_total < least)
        return ood_fail(err, OOD_INVALID, "%s: %zu detections to calibrate, at least %zu are needed for alpha %g",
                        fit->options.calibration != NULL ? fit->options.calibration : fit->options.images, fit->calibration_total, least,
                        fit->options.alpha);
    return true;
}

bool fit_regions(struct fit *fit, struct ood_error *err)
{
    const struct fit_options *given = &fit->options;
    size_t unused;
    fit->fit_counts = ood_new_array(size_t, fit->classes, err);
    fit->calibration_counts = ood_new_array(size_t, fit->classes, err);
    if (fit->fit_counts == NULL || fit->calibration_counts == NULL || (given->annotations != NULL && !fit->trains && !find_limit(fit, err)) ||
        !gather(fit, given->images, fit->only, "fit: pictures", &fit->images, &fit->picture_count, err))
        return false;
    if (given->calibration != NULL) {
        if (!gather(fit, given->calibration, NULL, "fit: calibration pictures", &fit->calibration, &unused, err))
            return false;
        fit->calibration_total += fit->calibration.count;
    }
    for (size_t i = 0; i < given->outliers.count; i++)
        if (!gather(fit, given->outliers.items[i], NULL, "fit: outliers", &fit->outliers, &unused, err))
            return false;
    return check_counts(fit, err);
}

/* ---- the self-test ---- */

static int by_index(const void *a, const void *b)
{
    const struct fit_kept *x = a, *y = b;
    return (x->index > y->index) - (x->index < y->index);
}

/* One kept picture: its input, and the best detection in that input as a picture of its own; none there: it is passed over. */
static bool self_test_one(struct fit *fit, struct looker *looker, struct ctl_picture *picture, float *logits, float *features, struct ood_error *err)
{
    struct ood_bundle *bundle = fit->bundle;
    size_t i = bundle->selftest_count;
    struct ood_verdict verdict = { 0 };
    struct ood_scene scene;
    double limit = fit->declaration.detector.limit;
    float *input = bundle->selftest_inputs + i * bundle->selftest_floats;
    if (!ctl_picture_read(picture)) {
        *err = picture->error;               /* it could be read before */
        return false;
    }
    if (!ood_regions_load(looker->regions, picture->bytes.data, picture->bytes.size, input, &scene))
        return true;
    ood_regions_find_input(looker->regions, input, limit, looker->found, &scene);
    if (scene.error.code != OOD_OK || scene.count == 0)
        return true;
    ood_regions_vectors(looker->regions, &looker->found[0], logits, features);
    if (!ood_measure(&fit->judge, logits, features, &verdict, err))
        return ood_error_prefix(err, "%s", picture->id);
    bundle->selftest_energy[i] = verdict.energy;
    bundle->selftest_representation[i] = verdict.representation_score;
    bundle->selftest_score[i] = ood_fuse(&fit->judge, verdict.energy, verdict.representation_score);
    bundle->selftest_count++;
    return true;
}

bool fit_regions_self_test(struct fit *fit, struct ood_error *err)
{
    struct pass pass = { .fit = fit };
    struct looker *looker = looker_new(&pass, err);
    float *logits = ood_new_array(float, fit->classes, err), *features = ood_new_array(float, fit->dimension, err);
    bool done = looker != NULL && logits != NULL && features != NULL && fit_self_test_allocate(fit, fit->kept_count, err);
    if (done && fit->kept_count > 0)
        qsort(fit->kept, fit->kept_count, sizeof *fit->kept, by_index);
    for (size_t i = 0; done && i < fit->kept_count; i++)
        done = self_test_one(fit, looker, &fit->kept[i].picture, logits, features, err);
    if (done && fit->bundle->selftest_count == 0)
        done = ood_fail(err, OOD_INVALID, "no picture for the self-test: nothing was detected in those drawn; try another --seed");
    if (looker != NULL)
        looker_free(looker);
    ood_free(logits);
    ood_free(features);
    return done;
}
