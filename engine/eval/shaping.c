/* ReAct (Sun, Guo and Li 2021, ReAct: Out-of-distribution Detection With Rectified Activations) and ASH (Djurisic et al. 2023, Extremely
 * Simple Activation Shaping for Out-of-Distribution Detection): features changed, then the last layer and the energy again. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "eval/contenders_internal.h"

static int ascending(const void *a, const void *b)
{
    float x, y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return (x > y) - (x < y);
}

bool contender_percentile(const struct ood_fit_part *fit, size_t dimension, double percentile, double *out, struct ood_error *err)
{
    size_t count;
    if (!ood_mul_size(fit->count, dimension, &count))
        return ood_fail(err, OOD_LIMIT, "%zu pictures of %zu features are too many", fit->count, dimension);
    float *sorted = ood_new_array(float, count, err);
    if (sorted == NULL)
        return false;
    memcpy(sorted, fit->features, count * sizeof *sorted);
    qsort(sorted, count, sizeof *sorted, ascending);
    double place = percentile / 100 * (double)(count - 1), whole = floor(place);
    size_t i = (size_t)whole;
    *out = (double)sorted[i];
    if (i + 1 < count)
        *out += (place - whole) * ((double)sorted[i + 1] - (double)sorted[i]);
    ood_free(sorted);
    return true;
}

static double energy_of(const struct ood_last_layer *layer, const double *shaped, double *logits)
{
    double maximum = -INFINITY, sum = 0;
    ood_last_layer_apply(layer, shaped, logits);
    for (size_t k = 0; k < layer->classes; k++)
        maximum = logits[k] > maximum ? logits[k] : maximum;
    for (size_t k = 0; k < layer->classes; k++)
        sum += exp(logits[k] - maximum);
    return maximum + log(sum);
}

double contender_react(const struct ood_last_layer *layer, double limit, const float *features, double *shaped, double *logits)
{
    for (size_t d = 0; d < layer->dimension; d++)
        shaped[d] = (double)features[d] < limit ? (double)features[d] : limit;
    return energy_of(layer, shaped, logits);
}

double contender_ash(const struct ood_last_layer *layer, double percentile, bool binary, const float *features, double *shaped,
                     double *logits, size_t *order)
{
    size_t dimension = layer->dimension, pruned = (size_t)nearbyint((double)dimension * percentile / 100);
    size_t kept = pruned < dimension ? dimension - pruned : 1;
    double before = 0, after = 0;
    ood_top(features, dimension, kept, order);
    for (size_t d = 0; d < dimension; d++) {
        before += (double)features[d];
        shaped[d] = 0;
    }
    for (size_t i = 0; i < kept; i++)
        after += (double)features[order[i]];
    if (!binary && !(after > 0))
        return NAN;                          /* nothing to scale by: not features of a ReLU */
    double scale = exp(before / after), fill = before / (double)kept;
    for (size_t i = 0; i < kept; i++)
        shaped[order[i]] = binary ? fill : (double)features[order[i]] * scale;
    return energy_of(layer, shaped, logits);
}
