/* KNN (Sun et al. 2022, Out-of-Distribution Detection with Deep Nearest Neighbors): on the unit sphere the k-th nearest is the one
 * with the k-th greatest cosine, so one product with all fit pictures and a selection do. */
#include <math.h>

#include "eval/contenders_internal.h"
#include "kernel/kernel.h"

static void normalise(const float *features, size_t dimension, float *z)
{
    double squares = 0;
    for (size_t d = 0; d < dimension; d++)
        squares += (double)features[d] * (double)features[d];
    double length = sqrt(squares);
    for (size_t d = 0; d < dimension; d++)
        z[d] = length > 0 ? (float)((double)features[d] / length) : 0;
}

bool contender_neighbours_make(struct contender_neighbours *out, const struct ood_fit_part *fit, size_t dimension, size_t k, struct ood_error *err)
{
    const struct ood_kernels *kernels = ood_kernels_choose();
    size_t floats = kernels->packed_b_floats(dimension, fit->count);
    if (floats == 0)
        return ood_fail(err, OOD_LIMIT, "%zu pictures of %zu features are too many", fit->count, dimension);
    float *rows = ood_alloc(fit->count, dimension * sizeof *rows, err);
    float *packed = rows != NULL ? ood_alloc_aligned(floats, sizeof *packed, err) : NULL;
    if (packed != NULL) {
        for (size_t i = 0; i < fit->count; i++)
            normalise(fit->features + i * dimension, dimension, rows + i * dimension);
        kernels->pack_b(packed, rows, dimension, fit->count, 1, dimension);
        *out = (struct contender_neighbours){ fit->count, dimension, k, packed, kernels };
    }
    ood_free(rows);
    return packed != NULL;
}

void contender_neighbours_clear(struct contender_neighbours *neighbours)
{
    ood_free(neighbours->packed);
    *neighbours = (struct contender_neighbours){ 0 };
}

/* The k-th greatest (from 1) of values[n], which are put in some other order (Hoare's selection). */
static float kth_greatest(float *values, size_t n, size_t k)
{
    size_t low = 0, high = n - 1;
    while (low < high) {
        float pivot = values[low + (high - low) / 2];
        size_t i = low, j = high;
        for (;; i++, j--) {
            while (values[i] > pivot)
                i++;
            while (values[j] < pivot)
                j--;
            if (i >= j)
                break;
            float swap = values[i];
            values[i] = values[j];
            values[j] = swap;
        }
        if (k - 1 <= j)                      /* up to j all are >= pivot, behind it <= */
            high = j;
        else
            low = j + 1;
    }
    return values[k - 1];
}

double contender_neighbours_score(const struct contender_neighbours *neighbours, const float *features, float *similarities)
{
    float *z = similarities + neighbours->count;
    normalise(features, neighbours->dimension, z);
    neighbours->kernels->product(similarities, z, neighbours->packed, NULL, NULL, 1, neighbours->dimension, neighbours->count, NULL, 0);
    double squared = 2 - 2 * (double)kth_greatest(similarities, neighbours->count, neighbours->k);
    return -sqrt(squared > 0 ? squared : 0);
}
