/* What LAPACK is asked for: eigenvectors of a covariance, and the shortest solution of the last layer's equation. */
#include <lapacke.h>
#include <math.h>
#include <string.h>

#include "eval/contenders_internal.h"

void contender_add_outer(double *sum, const float *x, const double *centre, size_t dimension, double *scratch)
{
    for (size_t i = 0; i < dimension; i++)
        scratch[i] = (double)x[i] - centre[i];
    for (size_t i = 0; i < dimension; i++) {
        double factor = scratch[i], *row = sum + i * dimension;
        for (size_t j = i; factor != 0 && j < dimension; j++)
            row[j] += factor * scratch[j];
    }
}

static bool lapack_fail(const char *what, lapack_int info, struct ood_error *err)
{
    if (info == LAPACK_WORK_MEMORY_ERROR || info == LAPACK_TRANSPOSE_MEMORY_ERROR)
        return ood_fail(err, OOD_OUT_OF_MEMORY, "%s: out of memory", what);
    return ood_fail(err, OOD_INVALID, "%s: LAPACK gives %d; are the features finite?", what, (int)info);
}

bool contender_directions(double *matrix, size_t dimension, double *values, struct ood_error *err)
{
    /* Our upper triangle by rows is LAPACK's lower one by columns; eigenvectors come as columns, our rows. */
    lapack_int info = LAPACKE_dsyevd(LAPACK_COL_MAJOR, 'V', 'L', (lapack_int)dimension, matrix, (lapack_int)dimension, values);
    return info == 0 || lapack_fail("eigenvectors of the features' covariance", info, err);
}

bool contender_origin(const struct ood_last_layer *layer, double *u, struct ood_error *err)
{
    size_t k = layer->classes, d = layer->dimension, most = k > d ? k : d, least = k < d ? k : d;
    lapack_int rank, info = -1;
    double *weights = ood_alloc(k, d * sizeof *weights, err), *right = ood_new_array(double, most, err), *singular = ood_new_array(double, least, err);
    bool done = weights != NULL && right != NULL && singular != NULL;
    if (done) {
        for (size_t i = 0; i < k; i++) {
            right[i] = -(double)layer->bias[i];
            for (size_t j = 0; j < d; j++)
                weights[j * k + i] = (double)layer->weights[i * d + j];
        }
        info = LAPACKE_dgelsd(LAPACK_COL_MAJOR, (lapack_int)k, (lapack_int)d, 1, weights, (lapack_int)k, right, (lapack_int)most, singular,
                              1e-15, &rank);
        done = info == 0 || lapack_fail("the last layer's origin", info, err);
    }
    if (done)
        memcpy(u, right, d * sizeof *u);
    ood_free(weights);
    ood_free(right);
    ood_free(singular);
    return done;
}
