/* METHOD sections 2 and 4 put together: a judge is checked and completed once, then turns logits and features into
 * verdicts without taking memory. */
#include <math.h>

#include "score/score.h"

const char *ood_decision_name(enum ood_decision decision)
{
    return decision == OOD_IN ? "in" : decision == OOD_REVIEW ? "review" : "out";
}

const char *ood_decision_reason(enum ood_decision decision)
{
    return decision == OOD_IN ? "above_threshold" : decision == OOD_REVIEW ? "review_zone" : "below_threshold";
}

/* ---- preparing ---- */

#define LEAST_DEVIATION 1e-12
#define UNIT_TOLERANCE 1e-5      /* float rounding leaves 1e-7 */

static bool check_range(const char *name, double value, double least, double most, struct ood_error *err)
{
    if (value >= least && value <= most)        /* false for NaN */
        return true;
    return ood_fail(err, OOD_INVALID, "%s: found %g, expected %g to %g", name, value, least, most);
}

static bool check_numbers(const struct ood_judge *judge, struct ood_error *err)
{
    if (judge->classes == 0 || judge->dimension == 0)
        return ood_fail(err, OOD_INVALID, "prototypes: found shape [%zu, %zu], expected at least [1, 1]",
                        judge->classes, judge->dimension);
    if (!(judge->temperature > 0) || !isfinite(judge->temperature))
        return ood_fail(err, OOD_INVALID, "temperature: found %g, expected a number above 0", judge->temperature);
    if (!check_range("beta", judge->beta, 0, 1, err) ||
        !check_range("energy_mean", judge->energy_mean, -1e100, 1e100, err) ||
        !check_range("representation_mean", judge->representation_mean, -1e100, 1e100, err) ||
        !check_range("energy_std", judge->energy_std, LEAST_DEVIATION, 1e100, err) ||
        !check_range("representation_std", judge->representation_std, LEAST_DEVIATION, 1e100, err))
        return false;
    if (!(judge->alpha > 0 && judge->alpha < 1))
        return ood_fail(err, OOD_INVALID, "alpha: found %g, expected a number between 0 and 1", judge->alpha);
    if (!(judge->alpha_review >= judge->alpha && judge->alpha_review < 1))
        return ood_fail(err, OOD_INVALID, "alpha_review: found %g, expected alpha (%g) or more, and below 1",
                        judge->alpha_review, judge->alpha);
    return true;
}

static bool check_prototypes(const struct ood_judge *judge, struct ood_error *err)
{
    if (judge->prototypes == NULL)
        return ood_fail(err, OOD_INVALID, "prototypes: missing");
    size_t lacking = 0;
    for (size_t k = 0; k < judge->classes; k++) {
        const float *prototype = judge->prototypes + k * judge->dimension;
        double squares = 0;
        if (judge->classes_may_lack && !ood_has_prototype(judge, k)) {
            lacking++;
            continue;
        }
        for (size_t i = 0; i < judge->dimension; i++)
            squares += (double)prototype[i] * (double)prototype[i];
        if (!(fabs(sqrt(squares) - 1) <= UNIT_TOLERANCE))
            return ood_fail(err, OOD_INVALID, "prototypes: class %zu has length %.9g, expected 1", k, sqrt(squares));
    }
    return lacking < judge->classes ||
           ood_fail(err, OOD_INVALID, "prototypes: all are zeros, expected at least one class with a prototype");
}

static bool check_calibration(const struct ood_judge *judge, struct ood_error *err)
{
    size_t n = judge->calibration_count;
    const double *scores = judge->calibration_scores;
    if (scores == NULL)
        return ood_fail(err, OOD_INVALID, "calibration_scores: missing");
    if (ood_conformal_rank(judge->alpha, n) == 0)
        return ood_fail(err, OOD_INVALID, "calibration_scores: found %zu, expected at least %.0f (1/alpha - 1 for "
                        "alpha %g)", n, ceil(1 / judge->alpha) - 1, judge->alpha);
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(scores[i]))
            return ood_fail(err, OOD_INVALID, "calibration_scores: found NaN or infinity at %zu, expected a finite "
                            "number", i);
        if (i > 0 && scores[i] < scores[i - 1])
            return ood_fail(err, OOD_INVALID, "calibration_scores: %.17g at %zu is less than the one before, expected "
                            "ascending order", scores[i], i);
    }
    if (!judge->per_class)
        return true;
    if (judge->calibration_classes == NULL)
        return ood_fail(err, OOD_INVALID, "calibration_classes: missing, expected %zu (per_class)", n);
    for (size_t i = 0; i < n; i++)
        if (judge->calibration_classes[i] < 0 || (uint64_t)judge->calibration_classes[i] >= judge->classes)
            return ood_fail(err, OOD_INVALID, "calibration_classes: found %lld at %zu, expected 0 to %zu",
                            (long long)judge->calibration_classes[i], i, judge->classes - 1);
    return true;
}

/* s_(k), the kth from below */
static double threshold_of(const double *ascending, size_t n, double alpha)
{
    size_t k = ood_conformal_rank(alpha, n);
    return k == 0 ? -INFINITY : ascending[k - 1];
}

/* The scores of each class, class after class in one block; being taken in ascending order they stay ascending. A class
 * with too few for alpha gets NULL. */
static bool split_by_class(const struct ood_judge *judge, double ***class_scores, size_t **class_counts,
                           struct ood_error *err)
{
    size_t n = judge->calibration_count, classes = judge->classes;
    double *block = NULL, **scores = NULL;
    size_t *counts = ood_new_array(size_t, classes, err);
    if (counts == NULL)
        return false;
    block = ood_new_array(double, n, err);
    /* one pointer more than classes: the block's owner */
    scores = block == NULL ? NULL : ood_new_array(double *, classes + 1, err);
    if (scores == NULL) {
        ood_free(block);
        ood_free(counts);
        return false;
    }
    for (size_t i = 0; i < n; i++)
        counts[judge->calibration_classes[i]]++;
    double *next = block;
    for (size_t k = 0; k < classes; k++) {
        scores[k] = next;
        next += counts[k];
        counts[k] = 0;
    }
    for (size_t i = 0; i < n; i++) {
        int64_t k = judge->calibration_classes[i];
        scores[k][counts[k]++] = judge->calibration_scores[i];
    }
    for (size_t k = 0; k < classes; k++)
        if (ood_conformal_rank(judge->alpha, counts[k]) == 0)
            scores[k] = NULL;
    scores[classes] = block;
    *class_scores = scores;
    *class_counts = counts;
    return true;
}

static void clear_classes(struct ood_judge *judge)
{
    if (judge->class_scores != NULL)
        ood_free(judge->class_scores[judge->classes]);
    ood_free(judge->class_scores);
    ood_free(judge->class_counts);
    judge->class_scores = NULL;
    judge->class_counts = NULL;
}

bool ood_judge_prepare(struct ood_judge *judge, struct ood_error *err)
{
    double **class_scores = NULL;
    size_t *class_counts = NULL;
    if (!check_numbers(judge, err) || !check_prototypes(judge, err) || !check_calibration(judge, err))
        return false;
    if (judge->per_class && !split_by_class(judge, &class_scores, &class_counts, err))
        return false;
    clear_classes(judge);
    judge->class_scores = class_scores;
    judge->class_counts = class_counts;
    judge->threshold = threshold_of(judge->calibration_scores, judge->calibration_count, judge->alpha);
    judge->review_threshold = threshold_of(judge->calibration_scores, judge->calibration_count, judge->alpha_review);
    return true;
}

void ood_judge_clear(struct ood_judge *judge)
{
    clear_classes(judge);
    ood_free(judge->prototypes);
    ood_free(judge->calibration_scores);
    ood_free(judge->calibration_classes);
    *judge = (struct ood_judge){ 0 };
}

/* ---- judging ---- */

double ood_judge_threshold(const struct ood_judge *judge, size_t class_index, size_t *count)
{
    bool own = judge->class_scores != NULL && judge->class_scores[class_index] != NULL;
    if (count != NULL)
        *count = own ? judge->class_counts[class_index] : judge->calibration_count;
    return own ? threshold_of(judge->class_scores[class_index], judge->class_counts[class_index], judge->alpha) : judge->threshold;
}

double ood_fuse(const struct ood_judge *judge, double energy, double representation_score)
{
    double e = (energy - judge->energy_mean) / judge->energy_std;
    double d = (representation_score - judge->representation_mean) / judge->representation_std;
    return -((1 - judge->beta) * e + judge->beta * d);
}

bool ood_judge_item(const struct ood_judge *judge, const float *logits, const float *features,
                    struct ood_verdict *verdict, struct ood_error *err)
{
    struct ood_verdict measured = { 0 };
    if (!ood_measure(judge, logits, features, &measured, err))
        return false;
    double score = ood_fuse(judge, measured.energy, measured.representation_score);
    if (!isfinite(score))
        return ood_fail(err, OOD_SCORE_NOT_FINITE, "score: found %g, expected a finite number", score);

    const double *scores = judge->calibration_scores;
    size_t n = judge->calibration_count;
    double threshold = judge->threshold, review_threshold = judge->review_threshold;
    if (judge->per_class && judge->class_scores[measured.class_index] != NULL) {
        scores = judge->class_scores[measured.class_index];
        n = judge->class_counts[measured.class_index];
        threshold = threshold_of(scores, n, judge->alpha);
        review_threshold = threshold_of(scores, n, judge->alpha_review);
    }
    verdict->decision = score < threshold ? OOD_OUT : score < review_threshold ? OOD_REVIEW : OOD_IN;
    verdict->class_index = measured.class_index;
    verdict->class_probability = measured.class_probability;
    verdict->energy = measured.energy;
    verdict->representation_score = measured.representation_score;
    verdict->score = score;
    verdict->threshold = threshold;
    verdict->p_value = ood_conformal_p(scores, n, score);
    verdict->alpha = judge->alpha;
    verdict->nearest_count = measured.nearest_count;
    for (size_t i = 0; i < measured.nearest_count; i++)
        verdict->nearest[i] = measured.nearest[i];
    return true;
}
