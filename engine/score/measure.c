/* METHOD section 2 up to the fusion: energy, softmax, distances to the prototypes, the nearest of them. Sums run in one
 * fixed order, so that the same item always gets the same bits. */
#include <math.h>

#include "score/score.h"

/* x·y in double. Eight running sums, so that one addition need not wait for the one before; they are added in a fixed
 * order. float products are exact in double and cannot overflow. */
static double dot(const float *x, const float *y, size_t n)
{
    double sums[8] = { 0 };
    size_t i = 0;
    for (; n - i >= 8; i += 8)
        for (size_t j = 0; j < 8; j++)
            sums[j] += (double)x[i + j] * (double)y[i + j];
    for (size_t j = 0; i < n; i++, j++)
        sums[j] += (double)x[i] * (double)y[i];
    return ((sums[0] + sums[4]) + (sums[1] + sums[5])) + ((sums[2] + sums[6]) + (sums[3] + sums[7]));
}

/* The first index of the greatest. */
static size_t greatest(const float *logits, size_t classes)
{
    size_t best = 0;
    for (size_t k = 1; k < classes; k++)
        if (logits[k] > logits[best])
            best = k;
    return best;
}

/* Σ exp((f_k − max) / T): at least 1, as the greatest logit gives 1. */
static double sum_of_exponentials(const float *logits, size_t classes, double maximum, double temperature)
{
    double sum = 0;
    for (size_t k = 0; k < classes; k++)
        sum += exp(((double)logits[k] - maximum) / temperature);
    return sum;
}

double ood_energy(const float *logits, size_t classes, double temperature)
{
    double maximum = (double)logits[greatest(logits, classes)];
    return -(maximum + temperature * log(sum_of_exponentials(logits, classes, maximum, temperature)));
}

/* log(1 + exp(x)) without overflow. */
static double softplus(double x)
{
    return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x));
}

double ood_joint_energy(const float *logits, size_t classes, double temperature)
{
    double sum = 0;
    for (size_t k = 0; k < classes; k++)
        sum += softplus((double)logits[k] / temperature);
    return -temperature * sum;
}

void ood_softmax(const float *logits, size_t classes, double *probabilities)
{
    double maximum = (double)logits[greatest(logits, classes)], sum = 0;
    for (size_t k = 0; k < classes; k++)
        sum += probabilities[k] = exp((double)logits[k] - maximum);
    for (size_t k = 0; k < classes; k++)
        probabilities[k] /= sum;
}

/* ---- the greatest logits: a heap of the best so far whose root is the worst of them, then a heap sort in place ---- */

static bool comes_before(const float *logits, size_t a, size_t b)
{
    return logits[a] > logits[b] || (logits[a] == logits[b] && a < b);
}

static void sift_down(const float *logits, size_t *heap, size_t count, size_t place)
{
    size_t moved = heap[place];
    for (size_t child; (child = 2 * place + 1) < count; place = child) {
        if (child + 1 < count && comes_before(logits, heap[child], heap[child + 1]))
            child++;
        if (!comes_before(logits, moved, heap[child]))
            break;
        heap[place] = heap[child];
    }
    heap[place] = moved;
}

void ood_top(const float *logits, size_t classes, size_t top, size_t *indices)
{
    if (top > classes)
        top = classes;
    if (top == 0)
        return;
    for (size_t k = 0; k < top; k++)
        indices[k] = k;
    for (size_t place = top / 2; place-- > 0;)
        sift_down(logits, indices, top, place);
    for (size_t k = top; k < classes; k++)
        if (comes_before(logits, k, indices[0])) {
            indices[0] = k;
            sift_down(logits, indices, top, 0);
        }
    for (size_t count = top; count-- > 1;) {
        size_t worst = indices[0];
        indices[0] = indices[count];
        sift_down(logits, indices, count, 0);
        indices[count] = worst;
    }
}

/* ---- distances ---- */

/* ‖h‖. One NaN or infinity makes the sum of squares not finite, and finite floats cannot. */
static bool length_of(const float *features, size_t dimension, double *length, struct ood_error *err)
{
    double squares = dot(features, features, dimension);
    if (!isfinite(squares))
        return ood_fail(err, OOD_SCORE_NOT_FINITE, "features: found NaN or infinity, expected finite numbers");
    if (squares == 0)
        return ood_fail(err, OOD_SCORE_NOT_FINITE, "features: all are 0, expected a vector with a direction");
    *length = sqrt(squares);
    return true;
}

/* d_k. A prototype's rounding to float can leave the cosine just above 1: the distance is kept in its range. */
static double distance_to(const struct ood_judge *judge, size_t k, const float *features, double length)
{
    double distance = 1 - dot(features, judge->prototypes + k * judge->dimension, judge->dimension) / length;
    return distance < 0 ? 0 : distance > 2 ? 2 : distance;
}

bool ood_distances(const struct ood_judge *judge, const float *features, double *distances, struct ood_error *err)
{
    double length;
    if (!length_of(features, judge->dimension, &length, err))
        return false;
    for (size_t k = 0; distances != NULL && k < judge->classes; k++)
        distances[k] = distance_to(judge, k, features, length);
    return true;
}

struct nearest { size_t class_index; double distance; };

/* Keeps the `count` nearest so far in order. Classes come in ascending order, so "less" leaves ties to the lower. */
static size_t keep_nearest(struct nearest nearest[OOD_NEAREST], size_t count, size_t k, double distance)
{
    size_t place = count;
    while (place > 0 && distance < nearest[place - 1].distance)
        place--;
    if (place == OOD_NEAREST)
        return count;
    if (count < OOD_NEAREST)
        count++;
    for (size_t i = count - 1; i > place; i--)
        nearest[i] = nearest[i - 1];
    nearest[place] = (struct nearest){ k, distance };
    return count;
}

bool ood_has_prototype(const struct ood_judge *judge, size_t k)
{
    const float *prototype = judge->prototypes + k * judge->dimension;
    for (size_t i = 0; judge->classes_may_lack && i < judge->dimension; i++)
        if (prototype[i] != 0)
            return true;
    return !judge->classes_may_lack;
}

/* E, and the probability of the class of the greatest logit. */
static double energy_of(const struct ood_judge *judge, const float *logits, size_t class_index, double *probability)
{
    double maximum = (double)logits[class_index];
    if (judge->energy_form == OOD_ENERGY_JOINT) {
        *probability = 1 / (1 + exp(-maximum));
        return ood_joint_energy(logits, judge->classes, judge->temperature);
    }
    double sum = sum_of_exponentials(logits, judge->classes, maximum, 1);
    double sum_at_t = judge->temperature == 1 ? sum
                      : sum_of_exponentials(logits, judge->classes, maximum, judge->temperature);
    *probability = 1 / sum;
    return -(maximum + judge->temperature * log(sum_at_t));
}

bool ood_measure(const struct ood_judge *judge, const float *logits, const float *features,
                 struct ood_verdict *verdict, struct ood_error *err)
{
    for (size_t k = 0; k < judge->classes; k++)
        if (!isfinite(logits[k]))
            return ood_fail(err, OOD_SCORE_NOT_FINITE, "logits: found %s for class %zu, expected a finite number",
                            isnan(logits[k]) ? "NaN" : "infinity", k);
    double length;
    if (!length_of(features, judge->dimension, &length, err))
        return false;

    size_t class_index = greatest(logits, judge->classes);
    double probability, energy = energy_of(judge, logits, class_index, &probability);
    if (!isfinite(energy))
        return ood_fail(err, OOD_SCORE_NOT_FINITE, "energy: found %g, expected a finite number", energy);

    struct nearest nearest[OOD_NEAREST] = { 0 };
    size_t nearest_count = 0;
    double predicted = -1;
    for (size_t k = 0; k < judge->classes; k++) {
        if (judge->classes_may_lack && !ood_has_prototype(judge, k))
            continue;
        double distance = distance_to(judge, k, features, length);
        if (k == class_index)
            predicted = distance;
        nearest_count = keep_nearest(nearest, nearest_count, k, distance);
    }

    verdict->class_index = class_index;
    verdict->class_probability = probability;
    verdict->energy = energy;
    /* A predicted class without a prototype: the nearest. */
    verdict->representation_score = judge->distance == OOD_DISTANCE_PREDICTED && predicted >= 0 ? predicted : nearest[0].distance;
    verdict->nearest_count = nearest_count;
    for (size_t i = 0; i < nearest_count; i++) {
        verdict->nearest[i].class_index = nearest[i].class_index;
        verdict->nearest[i].distance = nearest[i].distance;
    }
    return true;
}
