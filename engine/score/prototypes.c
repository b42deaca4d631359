/* METHOD section 3: class means of unit features, and the mean and deviation that section 2 scales by. */
#include <math.h>

#include "score/score.h"

bool ood_prototypes_begin(struct ood_prototype_sums *sums, size_t classes, size_t dimension, struct ood_error *err)
{
    size_t cells;
    if (classes == 0 || dimension == 0)
        return ood_fail(err, OOD_INVALID, "prototypes: found shape [%zu, %zu], expected at least [1, 1]", classes,
                        dimension);
    if (!ood_mul_size(classes, dimension, &cells))
        return ood_fail(err, OOD_LIMIT, "prototypes: shape [%zu, %zu] is too large", classes, dimension);
    double *values = ood_new_array(double, cells, err);
    if (values == NULL)
        return false;
    size_t *counts = ood_new_array(size_t, classes, err);
    if (counts == NULL) {
        ood_free(values);
        return false;
    }
    *sums = (struct ood_prototype_sums){ classes, dimension, values, counts };
    return true;
}

bool ood_prototypes_add(struct ood_prototype_sums *sums, size_t class_index, const float *features,
                        struct ood_error *err)
{
    if (class_index >= sums->classes)
        return ood_fail(err, OOD_INVALID, "class index: found %zu, expected 0 to %zu", class_index, sums->classes - 1);
    double squares = 0;
    for (size_t i = 0; i < sums->dimension; i++)
        squares += (double)features[i] * (double)features[i];
    if (!isfinite(squares) || squares == 0)
        return ood_fail(err, OOD_SCORE_NOT_FINITE, "features: %s, expected finite numbers with a direction",
                        squares == 0 ? "all are 0" : "found NaN or infinity");
    double length = sqrt(squares), *sum = sums->sums + class_index * sums->dimension;
    for (size_t i = 0; i < sums->dimension; i++)
        sum[i] += (double)features[i] / length;
    sums->counts[class_index]++;
    return true;
}

/* Length of class k's mean, which must have a direction. */
static bool mean_length(const struct ood_prototype_sums *sums, size_t k, size_t least, double *length, struct ood_error *err)
{
    const double *sum = sums->sums + k * sums->dimension;
    double count = (double)sums->counts[k], squares = 0;
    if (sums->counts[k] < least)
        return ood_fail(err, OOD_INVALID, "class %zu: found %zu pictures to fit, expected at least 2", k,
                        sums->counts[k]);
    for (size_t i = 0; i < sums->dimension; i++)
        squares += (sum[i] / count) * (sum[i] / count);
    *length = sqrt(squares);
    if (!(*length > 1e-6))      /* unit vectors that cancel to this little leave only their rounding */
        return ood_fail(err, OOD_INVALID, "class %zu: the features of its %zu pictures cancel out (mean of length %g)",
                        k, sums->counts[k], *length);
    return true;
}

static bool finish(const struct ood_prototype_sums *sums, bool some, float *prototypes, struct ood_error *err)
{
    double length;
    size_t made = 0, least = some ? 1 : 2;
    for (size_t k = 0; k < sums->classes; k++)
        if (some && sums->counts[k] < least)
            continue;
        else if (!mean_length(sums, k, least, &length, err))
            return false;
        else
            made++;
    if (made == 0)
        return ood_fail(err, OOD_INVALID, "no class has a region to fit");
    for (size_t k = 0; k < sums->classes; k++) {
        bool lacks = some && sums->counts[k] < least;
        if (!lacks && !mean_length(sums, k, least, &length, err))
            return false;
        for (size_t i = 0; i < sums->dimension; i++) {
            size_t cell = k * sums->dimension + i;
            prototypes[cell] = lacks ? 0 : (float)(sums->sums[cell] / (double)sums->counts[k] / length);
        }
    }
    return true;
}

bool ood_prototypes_finish(const struct ood_prototype_sums *sums, float *prototypes, struct ood_error *err)
{
    return finish(sums, false, prototypes, err);
}

bool ood_prototypes_finish_some(const struct ood_prototype_sums *sums, float *prototypes, struct ood_error *err)
{
    return finish(sums, true, prototypes, err);
}

void ood_prototypes_free(struct ood_prototype_sums *sums)
{
    ood_free(sums->sums);
    ood_free(sums->counts);
    *sums = (struct ood_prototype_sums){ 0 };
}

void ood_mean_std(const double *values, size_t n, double *mean, double *std)
{
    double sum = 0, squares = 0, rest = 0;
    for (size_t i = 0; i < n; i++)
        sum += values[i];
    double average = sum / (double)n;
    for (size_t i = 0; i < n; i++) {
        double difference = values[i] - average;
        squares += difference * difference;
        rest += difference;      /* 0 but for rounding: Chan, Golub and LeVeque's correction */
    }
    *mean = average;
    *std = sqrt((squares - rest * rest / (double)n) / ((double)n - 1));
}
