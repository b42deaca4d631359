/* METHOD section 6 written down plainly in double, straight from the page: no gradient, no care for ranges. The engine's losses and gradients are
 * compared with it and with its central differences. */
#ifndef OOD_TESTS_TRAIN_PLAIN_LOSS_H
#define OOD_TESTS_TRAIN_PLAIN_LOSS_H

#include <math.h>

#include "train/loss.h"

enum { PLAIN_CE, PLAIN_ENERGY, PLAIN_CLUSTER, PLAIN_REPRESENTATION, PLAIN_UNIFORM, PLAIN_SCORE, PLAIN_TERMS };

struct plain_batch { size_t classes, dimension, pictures; double *logits, *features, *prototypes; const int32_t *labels; };

static inline double plain_softmax_log(const double *x, size_t classes, size_t y)
{
    double sum = 0;
    for (size_t k = 0; k < classes; k++)
        sum += exp(x[k] - x[y]);
    return -log(sum);
}

static inline double plain_margin(enum ood_margin_form form, double u, double in, double out, bool is_in)
{
    if (form == OOD_MARGIN_HINGE) {
        double excess = is_in ? fmax(0, u - in) : fmax(0, out - u);
        return excess * excess;
    }
    double t = (u - (in + out) / 2) / ((out - in) / 2);
    return log(1 + exp(is_in ? t : -t));
}

/* Of one picture: E, D, d_y and the terms before weights. */
struct plain_picture { double energy, nearest, own, terms[PLAIN_TERMS]; };

static inline struct plain_picture plain_picture(const struct ood_loss_options *o, const struct plain_batch *batch, size_t i)
{
    struct plain_picture p = { .nearest = INFINITY };
    size_t classes = batch->classes, dimension = batch->dimension;
    const double *f = batch->logits + i * classes, *h = batch->features + i * dimension;
    double *a = calloc(classes, sizeof *a), length = 0, sum = 0, uniform = 0;
    assert_non_null(a);
    for (size_t j = 0; j < dimension; j++)
        length += h[j] * h[j];
    for (size_t k = 0; k < classes; k++) {
        double cosine = 0, squares = 0;
        for (size_t j = 0; j < dimension; j++) {
            double v = batch->prototypes[k * dimension + j];
            cosine += h[j] * v;
            squares += v * v;
        }
        cosine /= sqrt(length) * sqrt(squares);
        a[k] = o->scale * cosine;
        p.nearest = fmin(p.nearest, 1 - cosine);
        if ((int32_t)k == batch->labels[i])
            p.own = 1 - cosine;
    }
    const double *space = o->energy_space == OOD_ENERGY_COSINE ? a : f;
    for (size_t k = 0; k < classes; k++) {
        sum += exp(space[k] / o->temperature);
        uniform -= plain_softmax_log(f, classes, k) / (double)classes;
    }
    p.energy = -o->temperature * log(sum);
    bool in = batch->labels[i] >= 0;
    double s = -((1 - o->beta) * (p.energy - o->energy_mean) / o->energy_std + o->beta * (p.nearest - o->representation_mean) / o->representation_std);
    if (in) {
        size_t y = (size_t)batch->labels[i];
        double log_q = plain_softmax_log(a, classes, y);
        p.terms[PLAIN_CE] = -plain_softmax_log(f, classes, y);
        p.terms[PLAIN_CLUSTER] = -pow(1 - exp(log_q), o->focus) * log_q;
    } else {
        p.terms[PLAIN_UNIFORM] = uniform;
    }
    p.terms[PLAIN_ENERGY] = plain_margin(o->energy_form, p.energy, o->energy_in, o->energy_out, in);
    p.terms[PLAIN_REPRESENTATION] = plain_margin(o->representation_form, in ? p.own : p.nearest, o->representation_in, o->representation_out, in);
    p.terms[PLAIN_SCORE] = plain_margin(o->score_form, -s, -o->score_in, -o->score_out, in);
    free(a);
    return p;
}

static inline const double *plain_weights(const struct ood_loss_options *o, double weights[PLAIN_TERMS])
{
    weights[PLAIN_CE] = o->cross_entropy_weight;
    weights[PLAIN_ENERGY] = o->energy_weight;
    weights[PLAIN_CLUSTER] = o->cluster_weight;
    weights[PLAIN_REPRESENTATION] = o->representation_weight;
    weights[PLAIN_UNIFORM] = o->uniform_weight;
    weights[PLAIN_SCORE] = o->score_weight;
    return weights;
}

/* The batch's terms into terms[PLAIN_TERMS] (NULL: not wanted); returns the total. */
static inline double plain_loss(const struct ood_loss_options *o, const struct plain_batch *batch, double *terms)
{
    double sums[PLAIN_TERMS][2] = { 0 }, weights[PLAIN_TERMS], total = 0, count[2] = { 0 };
    plain_weights(o, weights);
    for (size_t i = 0; i < batch->pictures; i++) {
        struct plain_picture p = plain_picture(o, batch, i);
        bool out = batch->labels[i] < 0;
        count[out]++;
        for (size_t t = 0; t < PLAIN_TERMS; t++)
            sums[t][out] += p.terms[t];
    }
    for (size_t t = 0; t < PLAIN_TERMS; t++) {
        double term = (count[0] > 0 ? sums[t][0] / count[0] : 0) + (count[1] > 0 ? sums[t][1] / count[1] : 0);
        if (terms != NULL)
            terms[t] = term;
        total += weights[t] * term;
    }
    return total;
}

#endif
