/* Mahalanobis distance to the nearest class mean under one shared covariance (Lee et al. 2018, A Simple Unified Framework for
 * Detecting Out-of-Distribution Samples and Adversarial Attacks), by whitening: the distance is plain behind it. */
#include <float.h>
#include <math.h>

#include "eval/contenders_internal.h"

/* Means by class, in double; counts say which there are. */
static void class_means(const struct ood_fit_part *fit, size_t classes, size_t dimension, double *means, size_t *counts)
{
    for (size_t i = 0; i < fit->count; i++) {
        double *mean = means + fit->classes[i] * dimension;
        counts[fit->classes[i]]++;
        for (size_t d = 0; d < dimension; d++)
            mean[d] += (double)fit->features[i * dimension + d];
    }
    for (size_t k = 0; k < classes; k++)
        for (size_t d = 0; counts[k] > 0 && d < dimension; d++)
            means[k * dimension + d] /= (double)counts[k];
}

static void apply(const struct contender_gaussian *gaussian, const double *x, double *y)
{
    for (size_t r = 0; r < gaussian->rank; r++) {
        const double *row = gaussian->whitening + r * gaussian->dimension;
        double sum = 0;
        for (size_t d = 0; d < gaussian->dimension; d++)
            sum += row[d] * x[d];
        y[r] = sum;
    }
}

/* Rows of `matrix` (eigenvectors, ascending) over the roots of their values, those of nothing left out. */
static void whiten(struct contender_gaussian *gaussian, double *matrix, const double *values)
{
    size_t d = gaussian->dimension;
    double limit = values[d - 1] * (double)d * DBL_EPSILON;
    for (size_t i = 0; i < d; i++) {
        if (!(values[i] > limit))
            continue;
        for (size_t j = 0; j < d; j++)
            matrix[gaussian->rank * d + j] = matrix[i * d + j] / sqrt(values[i]);
        gaussian->rank++;
    }
}

bool contender_gaussian_make(struct contender_gaussian *out, const struct ood_fit_part *fit, size_t classes, size_t dimension, struct ood_error *err)
{
    struct contender_gaussian made = { .classes = classes, .dimension = dimension };
    double *means = ood_alloc(classes, dimension * sizeof *means, err), *values = ood_new_array(double, dimension, err);
    double *scratch = ood_new_array(double, dimension, err);
    size_t *counts = ood_new_array(size_t, classes, err);
    made.whitening = ood_alloc(dimension, dimension * sizeof *made.whitening, err);
    made.means = ood_alloc(classes, dimension * sizeof *made.means, err);
    bool done = means != NULL && values != NULL && scratch != NULL && counts != NULL && made.whitening != NULL && made.means != NULL;
    if (done) {
        class_means(fit, classes, dimension, means, counts);
        for (size_t i = 0; i < fit->count; i++)
            contender_add_outer(made.whitening, fit->features + i * dimension, means + fit->classes[i] * dimension, dimension, scratch);
        for (size_t i = 0; i < dimension * dimension; i++)
            made.whitening[i] /= (double)fit->count;
        done = contender_directions(made.whitening, dimension, values, err);
    }
    if (done) {
        whiten(&made, made.whitening, values);
        if (made.rank == 0)
            done = ood_fail(err, OOD_INVALID, "the features do not vary within a class");
    }
    for (size_t k = 0; done && k < classes; k++)
        if (counts[k] > 0)
            apply(&made, means + k * dimension, made.means + made.present++ * made.rank);
    ood_free(means);
    ood_free(values);
    ood_free(scratch);
    ood_free(counts);
    if (done)
        *out = made;
    else
        contender_gaussian_clear(&made);
    return done;
}

void contender_gaussian_clear(struct contender_gaussian *gaussian)
{
    ood_free(gaussian->whitening);
    ood_free(gaussian->means);
    *gaussian = (struct contender_gaussian){ 0 };
}

double contender_gaussian_score(const struct contender_gaussian *gaussian, const float *features, double *scratch)
{
    double nearest = INFINITY, *x = scratch + gaussian->rank;
    for (size_t d = 0; d < gaussian->dimension; d++)
        x[d] = (double)features[d];
    apply(gaussian, x, scratch);
    for (size_t k = 0; k < gaussian->present; k++) {
        const double *mean = gaussian->means + k * gaussian->rank;
        double squares = 0;
        for (size_t r = 0; r < gaussian->rank; r++)
            squares += (scratch[r] - mean[r]) * (scratch[r] - mean[r]);
        nearest = squares < nearest ? squares : nearest;
    }
    return -nearest;
}
