/* fit: METHOD sections 2 to 4. A seeded, stratified split; prototypes, means and deviations from the fit part; beta from
 * outliers where there are any; thresholds from the calibration part. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "daemon/oodctl/fit.h"

static size_t predicted(const struct fit *fit, const struct fit_set *set, size_t i)
{
    size_t best;
    ood_top(fit_logits(fit, set, i), fit->classes, 1, &best);
    return best;
}

static size_t class_of(const struct fit *fit, const struct fit_set *set, size_t i)
{
    return fit->labelled && set->labels[i] != OOD_NONE ? fit->label_classes[set->labels[i]] : predicted(fit, set, i);
}

/* Half of each class to each part, the odd one to fit; all to fit where calibration has a source of its own. */
static bool split(struct fit *fit, struct ood_error *err)
{
    struct ood_random random;
    size_t n = fit->images.count;
    size_t *members = ood_new_array(size_t, n, err);
    fit->image_classes = ood_new_array(size_t, n, err);
    fit->is_fit = ood_new_array(bool, n, err);
    fit->fit_counts = ood_new_array(size_t, fit->classes, err);
    fit->calibration_counts = ood_new_array(size_t, fit->classes, err);
    if (members == NULL || fit->image_classes == NULL || fit->is_fit == NULL || fit->fit_counts == NULL ||
        fit->calibration_counts == NULL) {
        ood_free(members);
        return false;
    }
    for (size_t i = 0; i < n; i++)
        fit->image_classes[i] = class_of(fit, &fit->images, i);
    ood_random_seed(&random, fit->options.seed);
    for (size_t k = 0; k < fit->classes; k++) {
        size_t count = 0;
        for (size_t i = 0; i < n; i++)
            if (fit->image_classes[i] == k)
                members[count++] = i;
        ood_random_shuffle(&random, members, count);
        size_t fits = fit->options.calibration != NULL ? count : count - count / 2;
        for (size_t i = 0; i < fits; i++)
            fit->is_fit[members[i]] = true;
        fit->fit_counts[k] = fits;
        fit->calibration_counts[k] = count - fits;
        fit->fit_total += fits;
        fit->calibration_total += count - fits;
    }
    ood_free(members);
    for (size_t i = 0; i < fit->calibration.count; i++)
        fit->calibration_counts[class_of(fit, &fit->calibration, i)]++;
    fit->calibration_total += fit->calibration.count;
    return true;
}

static bool check_counts(const struct fit *fit, struct ood_error *err)
{
    const char *source = fit->options.images;
    size_t classes = 0, least = (size_t)ceil(1 / fit->options.alpha) - 1;
    for (size_t k = 0; k < fit->classes; k++)
        classes += fit->fit_counts[k] > 0;
    if (classes < 2)
        return ood_fail(err, OOD_INVALID, "%s: %s; expected pictures of each of the %zu classes", source,
                        classes == 0 ? "no pictures that can be read" : "all pictures are of one class", fit->classes);
    for (size_t k = 0; k < fit->classes; k++)
        if (fit->fit_counts[k] < 2)
            return ood_fail(err, OOD_INVALID, "%s: class %s: %zu picture%s to fit, at least 2 are needed%s", source, fit->labels[k],
                            fit->fit_counts[k], fit->fit_counts[k] == 1 ? "" : "s",
                            fit->options.calibration == NULL ? " (half of a class is kept for calibration)" : "");
    if (fit->calibration_total < least)
        return ood_fail(err, OOD_INVALID, "%s: %zu pictures to calibrate, at least %zu are needed for alpha %g",
                        fit->options.calibration != NULL ? fit->options.calibration : source, fit->calibration_total, least,
                        fit->options.alpha);
    return true;
}

static bool make_prototypes(struct fit *fit, struct ood_error *err)
{
    struct ood_prototype_sums sums = { 0 };
    struct ood_judge *judge = &fit->judge;
    size_t floats;
    bool done = false;
    if (!ood_mul_size(fit->classes, fit->dimension, &floats))
        return ood_fail(err, OOD_LIMIT, "%zu prototypes of %zu values are too many", fit->classes, fit->dimension);
    if (fit->learned != NULL) {
        judge->prototypes = ood_new_array(float, floats, err);
        if (judge->prototypes != NULL)
            memcpy(judge->prototypes, fit->learned, floats * sizeof(float));
        return judge->prototypes != NULL;
    }
    if (!ood_prototypes_begin(&sums, fit->classes, fit->dimension, err))
        return false;
    for (size_t i = 0; i < fit->images.count; i++)
        if (fit->is_fit[i] && fit->image_classes[i] < fit->classes && !ood_prototypes_add(&sums, fit->image_classes[i], fit_features(fit, &fit->images, i), err))
            goto out;
    judge->prototypes = ood_new_array(float, floats, err);
    done = judge->prototypes != NULL && (judge->classes_may_lack ? ood_prototypes_finish_some(&sums, judge->prototypes, err)
                                                                  : ood_prototypes_finish(&sums, judge->prototypes, err));
out:
    ood_prototypes_free(&sums);
    return done;
}

/* E and D of pictures of a set: those with which[i] == wanted, or all where which is NULL. */
static bool measure(const struct fit *fit, const struct fit_set *set, const bool *which, bool wanted, double *energy,
                    double *representation, size_t *classes, size_t *count, struct ood_error *err)
{
    for (size_t i = 0; i < set->count; i++) {
        struct ood_verdict verdict = { 0 };
        if (which != NULL && which[i] != wanted)
            continue;
        if (!ood_measure(&fit->judge, fit_logits(fit, set, i), fit_features(fit, set, i), &verdict, err))
            return false;
        energy[*count] = verdict.energy;
        representation[*count] = verdict.representation_score;
        if (classes != NULL)
            classes[*count] = verdict.class_index;
        ++*count;
    }
    return true;
}

/* E and D of the fit part and of outliers. */
struct measured { double *energy, *representation, *out_energy, *out_representation; size_t n, m; };

static void measured_free(struct measured *measured)
{
    ood_free(measured->energy);
    ood_free(measured->representation);
    ood_free(measured->out_energy);
    ood_free(measured->out_representation);
}

static bool measure_parts(const struct fit *fit, struct measured *measured, struct ood_error *err)
{
    size_t most = fit->outliers.count;
    bool apart = fit->decoder != NULL && fit->learned == NULL;
    measured->energy = ood_new_array(double, fit->fit_total, err);
    measured->representation = ood_new_array(double, fit->fit_total, err);
    measured->out_energy = ood_new_array(double, most, err);
    measured->out_representation = ood_new_array(double, most, err);
    if (measured->energy == NULL || measured->representation == NULL || measured->out_energy == NULL || measured->out_representation == NULL)
        return false;
    if (apart)
        measured->n = fit->fit_total;
    return (apart ? fit_measure_apart(fit, measured->energy, measured->representation, err)
                  : measure(fit, &fit->images, fit->is_fit, true, measured->energy, measured->representation, NULL, &measured->n, err)) &&
           measure(fit, &fit->outliers, NULL, true, measured->out_energy, measured->out_representation, NULL, &measured->m, err);
}

/* beta by the outliers; of a detector's without any by the background. */
static bool choose_beta(struct fit *fit, struct measured *measured, struct ood_error *err)
{
    struct ood_judge *judge = &fit->judge;
    struct ood_ranking ranking;
    judge->beta = 0.5;
    fit->beta_from = measured->m > 0 ? OOD_BETA_OUTLIERS : fit_has_background(fit) ? OOD_BETA_BACKGROUND : OOD_BETA_DEFAULT;
    if (fit->beta_from == OOD_BETA_DEFAULT)
        return true;
    if (fit->beta_from == OOD_BETA_BACKGROUND)
        return fit_choose_beta(fit, measured->energy, measured->representation, err);
    if (!ood_choose_beta(measured->energy, measured->representation, measured->n, measured->out_energy, measured->out_representation, measured->m,
                         judge, err))
        return false;
    for (size_t i = 0; i < measured->n; i++)                   /* how well does it tell them apart now? */
        measured->energy[i] = ood_fuse(judge, measured->energy[i], measured->representation[i]);
    for (size_t i = 0; i < measured->m; i++)
        measured->out_energy[i] = ood_fuse(judge, measured->out_energy[i], measured->out_representation[i]);
    if (!ood_rank(measured->energy, measured->n, measured->out_energy, measured->m, &ranking, err))
        return false;
    fit->outlier_auroc = ranking.auroc;
    return true;
}

/* mu, sigma over the fit part; beta. */
static bool make_scale(struct fit *fit, struct ood_error *err)
{
    struct ood_judge *judge = &fit->judge;
    struct measured measured = { 0 };
    bool done = measure_parts(fit, &measured, err);
    if (done) {
        ood_mean_std(measured.energy, measured.n, &judge->energy_mean, &judge->energy_std);
        ood_mean_std(measured.representation, measured.n, &judge->representation_mean, &judge->representation_std);
        if (!(judge->energy_std >= 1e-12 && judge->representation_std >= 1e-12))
            done = ood_fail(err, OOD_INVALID, "%s: the network says the same of all pictures (energy deviation %g, representation deviation %g)",
                            fit->options.model, judge->energy_std, judge->representation_std);
    }
    done = done && choose_beta(fit, &measured, err);
    measured_free(&measured);
    return done;
}

struct scored { double score; size_t class_index; };

static int by_score(const void *a, const void *b)
{
    const struct scored *x = a, *y = b;
    if (x->score != y->score)
        return x->score < y->score ? -1 : 1;
    return (x->class_index > y->class_index) - (x->class_index < y->class_index);
}

static bool calibrate(struct fit *fit, struct ood_error *err)
{
    struct ood_judge *judge = &fit->judge;
    size_t n = 0, total = fit->calibration_total;
    double *energy = ood_new_array(double, total, err), *representation = ood_new_array(double, total, err);
    size_t *classes = ood_new_array(size_t, total, err);
    struct scored *scored = ood_new_array(struct scored, total, err);
    judge->calibration_scores = ood_new_array(double, total, err);
    judge->calibration_classes = judge->per_class ? ood_new_array(int64_t, total, err) : NULL;
    bool done = energy != NULL && representation != NULL && classes != NULL && scored != NULL && judge->calibration_scores != NULL &&
                (!judge->per_class || judge->calibration_classes != NULL) &&
                measure(fit, &fit->images, fit->is_fit, false, energy, representation, classes, &n, err) &&
                measure(fit, &fit->calibration, NULL, true, energy, representation, classes, &n, err);
    if (done) {
        for (size_t i = 0; i < n; i++)
            scored[i] = (struct scored){ ood_fuse(judge, energy[i], representation[i]), classes[i] };
        qsort(scored, n, sizeof *scored, by_score);
        for (size_t i = 0; i < n; i++) {
            judge->calibration_scores[i] = scored[i].score;
            if (judge->per_class)
                judge->calibration_classes[i] = (int64_t)scored[i].class_index;
        }
        judge->calibration_count = n;
        done = ood_judge_prepare(judge, err);
    }
    ood_free(energy);
    ood_free(representation);
    ood_free(classes);
    ood_free(scored);
    return done;
}

/* The verdicts the calibration pictures get, and the accuracy on all that have labels. */
static bool look_back(struct fit *fit, struct ood_error *err)
{
    const struct fit_set *sets[] = { &fit->images, &fit->calibration };
    size_t accepted = 0, reviewed = 0;
    fit->seen = ood_new_array(size_t, fit->classes, err);
    fit->correct = ood_new_array(size_t, fit->classes, err);
    if (fit->seen == NULL || fit->correct == NULL)
        return false;
    for (size_t s = 0; s < 2; s++)
        for (size_t i = 0; i < sets[s]->count; i++) {
            struct ood_verdict verdict = { 0 };
            if (fit->labelled && sets[s]->labels[i] != OOD_NONE) {
                size_t class_index = class_of(fit, sets[s], i);
                fit->seen[class_index]++;
                fit->correct[class_index] += predicted(fit, sets[s], i) == class_index;
            }
            if (s == 0 && fit->is_fit[i])
                continue;
            if (!ood_judge_item(&fit->judge, fit_logits(fit, sets[s], i), fit_features(fit, sets[s], i), &verdict, err))
                return false;
            accepted += verdict.decision != OOD_OUT;
            reviewed += verdict.decision == OOD_REVIEW;
        }
    fit->accepted = (double)accepted / (double)fit->calibration_total;
    fit->reviewed = (double)reviewed / (double)fit->calibration_total;
    return true;
}

bool fit_judge(struct fit *fit, struct ood_error *err)
{
    const struct fit_options *options = &fit->options;
    struct ood_judge *judge = &fit->judge;
    judge->classes = fit->classes;
    judge->dimension = fit->dimension;
    judge->temperature = options->temperature > 0 ? options->temperature : 1;
    judge->distance = strcmp(options->distance, "predicted") == 0 ? OOD_DISTANCE_PREDICTED : OOD_DISTANCE_NEAREST;
    judge->alpha = options->alpha;
    judge->alpha_review = options->alpha_review != 0 ? options->alpha_review : options->alpha;
    judge->per_class = options->per_class;
    if (fit->decoder != NULL) {              /* split by fit_regions; a class without detections has no prototype */
        judge->energy_form = ood_detector_energy(&fit->declaration.detector);
        judge->classes_may_lack = true;
    } else if (!split(fit, err) || !check_counts(fit, err)) {
        return false;
    }
    return (options->temperature > 0 || !fit_has_background(fit) || fit_choose_temperature(fit, err)) && make_prototypes(fit, err) &&
           make_scale(fit, err) && calibrate(fit, err) && look_back(fit, err);
}
