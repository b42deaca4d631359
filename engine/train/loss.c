/* METHOD section 6 over a batch. Each picture is looked at once (energy, direction, cosines), its terms are added in order, and what they want of
 * energy, logits and cosines is carried back to logits, features and prototypes. Gradients gather in double and are written when all went well. */
#include <float.h>
#include <math.h>

#include "train/loss_internal.h"

struct ood_loss {
    struct ood_loss_options options;
    size_t classes, dimension, most;
    double weights[OOD_TERM_COUNT];
    double *unit, *unit_gradient, *lengths;      /* c [K][D], its gradient, |v| [K] */
    double *logit_gradient, *feature_gradient;   /* [most][K], [most][D] */
    double *measured;                            /* [most][3] */
    /* of the picture looked at */
    double *logits, *softmax, *tempered, *assignment;    /* [K] f, softmax f, softmax of the energy's space at T, q */
    double *cosines, *cosine_gradient;           /* [K] z·c_k */
    double *direction, *direction_gradient;      /* [D] z */
};

/* ---- memory ---- */

static bool allocate(struct ood_loss *loss, struct ood_error *err)
{
    size_t k = loss->classes, d = loss->dimension, cells, logit_cells, feature_cells, measured;
    if (k == 0 || d == 0 || loss->most == 0)
        return ood_fail(err, OOD_INVALID, "loss: found %zu classes, %zu features, %zu pictures, expected at least 1 of each", k, d, loss->most);
    if (k > INT32_MAX || !ood_mul_size(k, d, &cells) || !ood_mul_size(k, loss->most, &logit_cells) || !ood_mul_size(d, loss->most, &feature_cells)
        || !ood_mul_size(3, loss->most, &measured))
        return ood_fail(err, OOD_LIMIT, "loss: %zu classes, %zu features and %zu pictures are too many", k, d, loss->most);
    struct { double **place; size_t count; } arrays[] = {
        { &loss->unit, cells }, { &loss->unit_gradient, cells }, { &loss->lengths, k },
        { &loss->logit_gradient, logit_cells }, { &loss->feature_gradient, feature_cells }, { &loss->measured, measured },
        { &loss->logits, k }, { &loss->softmax, k }, { &loss->tempered, k }, { &loss->assignment, k },
        { &loss->cosines, k }, { &loss->cosine_gradient, k }, { &loss->direction, d }, { &loss->direction_gradient, d },
    };
    for (size_t i = 0; i < sizeof arrays / sizeof arrays[0]; i++)
        if ((*arrays[i].place = ood_alloc_aligned(arrays[i].count, sizeof(double), err)) == NULL)
            return false;
    return true;
}

struct ood_loss *ood_loss_new(size_t classes, size_t dimension, size_t most, const struct ood_loss_options *options, struct ood_error *err)
{
    if (!ood_loss_check(options, err)) {
        ood_error_prefix(err, "loss");
        return NULL;
    }
    struct ood_loss *loss = ood_new(struct ood_loss, err);
    if (loss == NULL)
        return NULL;
    *loss = (struct ood_loss){
        .options = *options, .classes = classes, .dimension = dimension, .most = most,
        .weights = {
            [OOD_TERM_CROSS_ENTROPY] = options->cross_entropy_weight, [OOD_TERM_ENERGY] = options->energy_weight,
            [OOD_TERM_CLUSTER] = options->cluster_weight, [OOD_TERM_REPRESENTATION] = options->representation_weight,
            [OOD_TERM_UNIFORM] = options->uniform_weight, [OOD_TERM_SCORE] = options->score_weight,
        },
    };
    if (allocate(loss, err))
        return loss;
    ood_loss_free(loss);
    return NULL;
}

void ood_loss_free(struct ood_loss *loss)
{
    if (loss == NULL)
        return;
    double *arrays[] = {
        loss->unit, loss->unit_gradient, loss->lengths, loss->logit_gradient, loss->feature_gradient, loss->measured, loss->logits, loss->softmax,
        loss->tempered, loss->assignment, loss->cosines, loss->cosine_gradient, loss->direction, loss->direction_gradient,
    };
    for (size_t i = 0; i < sizeof arrays / sizeof arrays[0]; i++)
        ood_free(arrays[i]);
    ood_free(loss);
}

bool ood_loss_needs_prototypes(const struct ood_loss *loss)
{
    return ood_loss_reads_prototypes(&loss->options);
}

/* ---- arithmetic ---- */

/* Eight running sums, so that one addition need not wait for the one before; they are added in a fixed order. */
static double dot(const double *x, const double *y, size_t n)
{
    double sums[8] = { 0 };
    size_t i = 0;
    for (; n - i >= 8; i += 8)
        for (size_t j = 0; j < 8; j++)
            sums[j] += x[i + j] * y[i + j];
    for (size_t j = 0; i < n; i++, j++)
        sums[j] += x[i] * y[i];
    return ((sums[0] + sums[4]) + (sums[1] + sums[5])) + ((sums[2] + sums[6]) + (sums[3] + sums[7]));
}

/* y += a x */
static void add_scaled(double *restrict y, double a, const double *restrict x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] += a * x[i];
}

static size_t greatest(const double *values, size_t n)
{
    size_t best = 0;
    for (size_t i = 1; i < n; i++)
        if (values[i] > values[best])
            best = i;
    return best;
}

/* softmax(scale x / temperature) and its log-sum-exp as `highest` + `above`, kept apart so that log softmax loses nothing where it is near 0. */
struct exponentials { double highest, above; };

static struct exponentials exponentials(const double *x, size_t n, double factor, double *softmax)
{
    size_t best = greatest(x, n);
    double rest = 0;
    for (size_t i = 0; i < n; i++) {
        softmax[i] = exp((x[i] - x[best]) * factor);
        if (i != best)
            rest += softmax[i];
    }
    for (size_t i = 0; i < n; i++)
        softmax[i] /= 1 + rest;
    return (struct exponentials){ x[best] * factor, log1p(rest) };
}

static double log_softmax(struct exponentials sum, double x, double factor)
{
    return (x * factor - sum.highest) - sum.above;
}

/* ---- failures name the term ---- */

static const char *const term_names[OOD_TERM_COUNT] = {
    [OOD_TERM_CROSS_ENTROPY] = "cross-entropy", [OOD_TERM_ENERGY] = "energy", [OOD_TERM_CLUSTER] = "cluster focal",
    [OOD_TERM_REPRESENTATION] = "representation", [OOD_TERM_UNIFORM] = "uniform", [OOD_TERM_SCORE] = "score",
};

/* A picture of the batch: what its terms read and what they give. */
struct picture {
    size_t index, label;                     /* label: in only */
    bool in;
    double length;                           /* |h| */
    double energy, own, representation;      /* E, d_y (an outlier's: D), D */
    size_t nearest, predicted;               /* arg min d, argmax f */
};

static bool not_finite(enum ood_loss_term term, const struct picture *picture, struct ood_error *err, const char *what, double found)
{
    char who[48];
    snprintf(who, sizeof who, picture->in ? "of class %zu" : "an outlier", picture->label);
    return ood_fail(err, OOD_SCORE_NOT_FINITE, "the %s term is not finite: picture %zu (%s): found %s %g", term_names[term], picture->index, who,
                    what, found);
}

/* The first term with a weight that reads the logits (or the cosines) of in-distribution pictures (or outliers); where there is none, `otherwise`. */
static enum ood_loss_term reader(const struct ood_loss *loss, bool cosines, bool in, bool out, enum ood_loss_term otherwise)
{
    bool cosine_energy = loss->options.energy_space == OOD_ENERGY_COSINE;
    const bool reads[OOD_TERM_COUNT] = {
        [OOD_TERM_CROSS_ENTROPY] = in && !cosines, [OOD_TERM_ENERGY] = cosines == cosine_energy, [OOD_TERM_CLUSTER] = in && cosines,
        [OOD_TERM_REPRESENTATION] = cosines, [OOD_TERM_UNIFORM] = out && !cosines, [OOD_TERM_SCORE] = cosines || !cosine_energy,
    };
    for (enum ood_loss_term term = 0; term < OOD_TERM_COUNT; term++)
        if (reads[term] && loss->weights[term] > 0)
            return term;
    return otherwise;
}

/* ---- looking at a batch ---- */

/* Counts the parts and makes unit prototypes. */
static bool begin(struct ood_loss *loss, const struct ood_loss_batch *batch, size_t *in, struct ood_error *err)
{
    *in = 0;
    if (batch->pictures == 0 || batch->pictures > loss->most)
        return ood_fail(err, OOD_INVALID, "loss: found a batch of %zu pictures, expected 1 to %zu", batch->pictures, loss->most);
    for (size_t i = 0; i < batch->pictures; i++) {
        if (batch->labels[i] < -1 || batch->labels[i] >= (int32_t)loss->classes)
            return ood_fail(err, OOD_INVALID, "loss: picture %zu has label %d, expected -1 to %zu", i, (int)batch->labels[i], loss->classes - 1);
        *in += batch->labels[i] >= 0;
    }
    if (batch->prototypes == NULL)
        return !ood_loss_needs_prototypes(loss) || ood_fail(err, OOD_INVALID, "loss: its terms need prototypes, found none");
    for (size_t k = 0; k < loss->classes; k++) {
        double *unit = loss->unit + k * loss->dimension;
        for (size_t i = 0; i < loss->dimension; i++)
            unit[i] = (double)batch->prototypes[k * loss->dimension + i];
        double length = sqrt(dot(unit, unit, loss->dimension));
        if (!isfinite(length) || length == 0)
            return ood_fail(err, OOD_SCORE_NOT_FINITE, "the %s term is not finite: the prototype of class %zu: found length %g",
                            term_names[reader(loss, true, true, true, OOD_TERM_REPRESENTATION)], k, length);
        for (size_t i = 0; i < loss->dimension; i++)
            unit[i] /= length;
        loss->lengths[k] = length;
    }
    return true;
}

/* z of the picture, or 0 where it has no direction: then every cosine is 0. */
static bool look_at_features(struct ood_loss *loss, const float *features, struct picture *picture, struct ood_error *err)
{
    for (size_t i = 0; i < loss->dimension; i++)
        loss->direction[i] = (double)features[i];
    picture->length = sqrt(dot(loss->direction, loss->direction, loss->dimension));
    if (!isfinite(picture->length))
        return not_finite(reader(loss, true, picture->in, !picture->in, OOD_TERM_REPRESENTATION), picture, err, "features of length", picture->length);
    for (size_t i = 0; picture->length > 0 && i < loss->dimension; i++)
        loss->direction[i] /= picture->length;
    return true;
}

/* Fills loss's arrays of the picture, and the picture but for its part. */
static bool look(struct ood_loss *loss, const struct ood_loss_batch *batch, size_t index, struct picture *picture, struct ood_error *err)
{
    size_t classes = loss->classes, dimension = loss->dimension;
    int32_t label = batch->labels[index];
    *picture = (struct picture){ .index = index, .in = label >= 0, .label = label >= 0 ? (size_t)label : 0 };
    for (size_t k = 0; k < classes; k++) {
        loss->logits[k] = (double)batch->logits[index * classes + k];
        if (!isfinite(loss->logits[k]))
            return not_finite(reader(loss, false, picture->in, !picture->in, OOD_TERM_ENERGY), picture, err, "a logit of", loss->logits[k]);
    }
    picture->predicted = greatest(loss->logits, classes);
    if (!look_at_features(loss, batch->features + index * dimension, picture, err))
        return false;
    if (batch->prototypes != NULL) {
        for (size_t k = 0; k < classes; k++)
            loss->cosines[k] = dot(loss->direction, loss->unit + k * dimension, dimension);
        picture->nearest = greatest(loss->cosines, classes);
        picture->representation = 1 - loss->cosines[picture->nearest];
        picture->own = picture->in ? 1 - loss->cosines[picture->label] : picture->representation;
    }
    bool cosine = loss->options.energy_space == OOD_ENERGY_COSINE;
    double temperature = loss->options.temperature, factor = (cosine ? loss->options.scale : 1) / temperature;
    struct exponentials sum = exponentials(cosine ? loss->cosines : loss->logits, classes, factor, loss->tempered);
    picture->energy = -temperature * (sum.highest + sum.above);
    if (!isfinite(picture->energy))
        return not_finite(OOD_TERM_ENERGY, picture, err, "an energy of", picture->energy);
    return true;
}

/* ---- the terms of a picture ---- */

struct pass {
    struct ood_loss *loss;
    const struct ood_loss_batch *batch;
    double sums[OOD_TERM_COUNT][2];          /* over in, over outliers */
    double energy[2], own[2], representation[2];
    size_t count[2], correct, nearest_correct;
    double shortest;                         /* |v|; INFINITY without prototypes */
};

/* Adds the term's value and gives its weighted slope, d total / d what the term is a function of. `reach` is the most that a unit of slope can
 * become in a gradient: what no float32 holds is refused here, where the term has a name. */
static bool add(struct pass *pass, const struct picture *picture, enum ood_loss_term term, struct ood_slope at, double reach, double *slope,
                struct ood_error *err)
{
    double weight = pass->loss->weights[term];
    *slope = 0;
    pass->sums[term][!picture->in] += at.value;
    if (weight == 0)
        return true;
    if (!isfinite(at.value))
        return not_finite(term, picture, err, "a loss of", at.value);
    *slope = weight * at.slope / (double)pass->count[!picture->in];
    if (!(fabs(*slope) * reach <= FLT_MAX))
        return not_finite(term, picture, err, "a gradient of", *slope * reach);
    return true;
}

/* -S and its derivatives by E and D. */
struct fused { double value, by_energy, by_representation; };

static struct fused fuse(const struct ood_loss_options *o, const struct picture *picture)
{
    double by_energy = (1 - o->beta) / o->energy_std, by_representation = o->beta / o->representation_std;
    return (struct fused){ by_energy * (picture->energy - o->energy_mean) + by_representation * (picture->representation - o->representation_mean),
                           by_energy, by_representation };
}

/* What the terms want of the picture's energy, logits and cosines. */
static bool add_logit_terms(struct pass *pass, const struct picture *picture, double *logit_gradient, struct ood_error *err)
{
    struct ood_loss *loss = pass->loss;
    double slope, mean = 0;
    struct exponentials sum = exponentials(loss->logits, loss->classes, 1, loss->softmax);
    if (picture->in) {
        if (!add(pass, picture, OOD_TERM_CROSS_ENTROPY, (struct ood_slope){ -log_softmax(sum, loss->logits[picture->label], 1), 1 }, 1, &slope, err))
            return false;
        add_scaled(logit_gradient, slope, loss->softmax, loss->classes);
        logit_gradient[picture->label] -= slope;
        return true;
    }
    for (size_t k = 0; k < loss->classes; k++)
        mean -= log_softmax(sum, loss->logits[k], 1) / (double)loss->classes;
    if (!add(pass, picture, OOD_TERM_UNIFORM, (struct ood_slope){ mean, 1 }, 1, &slope, err))
        return false;
    for (size_t k = 0; k < loss->classes; k++)
        logit_gradient[k] += slope * (loss->softmax[k] - 1 / (double)loss->classes);
    return true;
}

static bool add_cosine_terms(struct pass *pass, const struct picture *picture, double reach, struct ood_error *err)
{
    struct ood_loss *loss = pass->loss;
    const struct ood_loss_options *o = &loss->options;
    double slope;
    if (picture->in) {
        struct exponentials sum = exponentials(loss->cosines, loss->classes, o->scale, loss->assignment);
        struct ood_slope focal = ood_cluster_focal(log_softmax(sum, loss->cosines[picture->label], o->scale), o->focus);
        if (!add(pass, picture, OOD_TERM_CLUSTER, focal, o->scale * reach, &slope, err))
            return false;
        add_scaled(loss->cosine_gradient, -slope * o->scale, loss->assignment, loss->classes);
        loss->cosine_gradient[picture->label] += slope * o->scale;
    }
    struct ood_slope margin = ood_margin(o->representation_form, picture->own, o->representation_in, o->representation_out, picture->in);
    if (!add(pass, picture, OOD_TERM_REPRESENTATION, margin, reach, &slope, err))
        return false;
    loss->cosine_gradient[picture->in ? picture->label : picture->nearest] -= slope;
    return true;
}

/* The energy's margins and the fused score's; the energy's gradient goes on to its space. */
static bool add_energy_terms(struct pass *pass, const struct picture *picture, double reach, double *logit_gradient, struct ood_error *err)
{
    struct ood_loss *loss = pass->loss;
    const struct ood_loss_options *o = &loss->options;
    bool cosine = o->energy_space == OOD_ENERGY_COSINE;
    double energy_reach = cosine ? o->scale * reach : 1, energy_slope, slope;
    struct ood_slope margin = ood_margin(o->energy_form, picture->energy, o->energy_in, o->energy_out, picture->in);
    if (!add(pass, picture, OOD_TERM_ENERGY, margin, energy_reach, &energy_slope, err))
        return false;
    if (o->score_weight > 0) {
        struct fused fused = fuse(o, picture);
        margin = ood_margin(o->score_form, fused.value, -o->score_in, -o->score_out, picture->in);
        if (!add(pass, picture, OOD_TERM_SCORE, margin, fmax(fused.by_energy * energy_reach, fused.by_representation * reach), &slope, err))
            return false;
        energy_slope += slope * fused.by_energy;
        loss->cosine_gradient[picture->nearest] -= slope * fused.by_representation;
    }
    if (energy_slope != 0)
        add_scaled(cosine ? loss->cosine_gradient : logit_gradient, -energy_slope * (cosine ? o->scale : 1), loss->tempered, loss->classes);
    return true;
}

/* The gradient of the cosines to z and c, and of z to h. */
static void carry_back(struct ood_loss *loss, const struct picture *picture, double *feature_gradient)
{
    size_t dimension = loss->dimension;
    bool any = false;
    memset(loss->direction_gradient, 0, dimension * sizeof(double));
    for (size_t k = 0; k < loss->classes; k++) {
        double slope = loss->cosine_gradient[k];
        if (slope == 0)
            continue;
        any = true;
        add_scaled(loss->direction_gradient, slope, loss->unit + k * dimension, dimension);
        add_scaled(loss->unit_gradient + k * dimension, slope, loss->direction, dimension);
    }
    if (!any || picture->length == 0)        /* no direction, no gradient */
        return;
    double along = dot(loss->direction, loss->direction_gradient, dimension);
    for (size_t i = 0; i < dimension; i++)
        feature_gradient[i] = (loss->direction_gradient[i] - loss->direction[i] * along) / picture->length;
}

static bool add_picture(struct pass *pass, const struct picture *picture, struct ood_error *err)
{
    struct ood_loss *loss = pass->loss;
    bool out = !picture->in;
    double *logit_gradient = loss->logit_gradient + picture->index * loss->classes;
    double reach = 1 / (picture->length > 0 ? fmin(picture->length, pass->shortest) : pass->shortest);
    memset(loss->cosine_gradient, 0, loss->classes * sizeof(double));
    if (!add_logit_terms(pass, picture, logit_gradient, err) || !add_energy_terms(pass, picture, reach, logit_gradient, err)
        || (pass->batch->prototypes != NULL && !add_cosine_terms(pass, picture, reach, err)))
        return false;
    carry_back(loss, picture, loss->feature_gradient + picture->index * loss->dimension);
    pass->energy[out] += picture->energy;
    pass->own[out] += picture->own;
    pass->representation[out] += picture->representation;
    pass->correct += picture->in && picture->predicted == picture->label;
    pass->nearest_correct += picture->in && pass->batch->prototypes != NULL && picture->nearest == picture->label;
    return true;
}

/* ---- the results ---- */

/* g_c to g_v, in place. */
static void carry_back_prototypes(struct ood_loss *loss)
{
    size_t dimension = loss->dimension;
    for (size_t k = 0; k < loss->classes; k++) {
        double *gradient = loss->unit_gradient + k * dimension, *unit = loss->unit + k * dimension, along = dot(unit, gradient, dimension);
        for (size_t i = 0; i < dimension; i++)
            gradient[i] = (gradient[i] - unit[i] * along) / loss->lengths[k];
    }
}

/* Each term's slope was within float32; their sum may still not be. */
static bool fits(const char *what, const double *gradient, size_t count, struct ood_error *err)
{
    for (size_t i = 0; i < count; i++)
        if (!(fabs(gradient[i]) <= FLT_MAX))
            return ood_fail(err, OOD_SCORE_NOT_FINITE, "the gradient of the %s is not finite in float32: the terms together give %g", what, gradient[i]);
    return true;
}

static void write_floats(float *to, const double *from, size_t count)
{
    for (size_t i = 0; to != NULL && i < count; i++)
        to[i] = (float)from[i];
}

static double mean_of(double sum, size_t count)
{
    return count == 0 ? 0 : sum / (double)count;
}

static struct ood_loss_terms terms_of(const struct pass *pass)
{
    double terms[OOD_TERM_COUNT], total = 0;
    for (size_t term = 0; term < OOD_TERM_COUNT; term++) {
        terms[term] = mean_of(pass->sums[term][0], pass->count[0]) + mean_of(pass->sums[term][1], pass->count[1]);
        if (pass->loss->weights[term] > 0)
            total += pass->loss->weights[term] * terms[term];
    }
    return (struct ood_loss_terms){
        .total = total, .cross_entropy = terms[OOD_TERM_CROSS_ENTROPY], .energy = terms[OOD_TERM_ENERGY], .cluster = terms[OOD_TERM_CLUSTER],
        .representation = terms[OOD_TERM_REPRESENTATION], .uniform = terms[OOD_TERM_UNIFORM], .score = terms[OOD_TERM_SCORE],
        .mean_energy_in = mean_of(pass->energy[0], pass->count[0]), .mean_energy_out = mean_of(pass->energy[1], pass->count[1]),
        .mean_own_in = mean_of(pass->own[0], pass->count[0]),
        .mean_representation_in = mean_of(pass->representation[0], pass->count[0]),
        .mean_representation_out = mean_of(pass->representation[1], pass->count[1]),
        .in = pass->count[0], .out = pass->count[1], .correct = pass->correct, .nearest_correct = pass->nearest_correct,
    };
}

bool ood_loss(struct ood_loss *loss, const struct ood_loss_batch *batch, const struct ood_loss_gradients *gradients, struct ood_loss_terms *terms,
              struct ood_error *err)
{
    struct pass pass = { .loss = loss, .batch = batch, .shortest = INFINITY };
    if (!begin(loss, batch, &pass.count[0], err))
        return false;
    pass.count[1] = batch->pictures - pass.count[0];
    size_t logit_cells = batch->pictures * loss->classes, feature_cells = batch->pictures * loss->dimension;
    size_t cells = loss->classes * loss->dimension;
    memset(loss->logit_gradient, 0, logit_cells * sizeof(double));
    memset(loss->feature_gradient, 0, feature_cells * sizeof(double));
    memset(loss->unit_gradient, 0, cells * sizeof(double));
    for (size_t k = 0; batch->prototypes != NULL && k < loss->classes; k++)
        pass.shortest = fmin(pass.shortest, loss->lengths[k]);
    for (size_t i = 0; i < batch->pictures; i++) {
        struct picture picture;
        if (!look(loss, batch, i, &picture, err) || !add_picture(&pass, &picture, err))
            return false;
    }
    if (batch->prototypes != NULL)
        carry_back_prototypes(loss);
    struct ood_loss_terms made = terms_of(&pass);
    if (!isfinite(made.total))
        return ood_fail(err, OOD_SCORE_NOT_FINITE, "the loss is not finite: the terms together give %g", made.total);
    if (!fits("logits", loss->logit_gradient, logit_cells, err) || !fits("features", loss->feature_gradient, feature_cells, err)
        || !fits("prototypes", loss->unit_gradient, cells, err))
        return false;
    write_floats(gradients->logits, loss->logit_gradient, logit_cells);
    write_floats(gradients->features, loss->feature_gradient, feature_cells);
    write_floats(gradients->prototypes, loss->unit_gradient, cells);
    *terms = made;
    return true;
}

bool ood_loss_measure(struct ood_loss *loss, const struct ood_loss_batch *batch, double *energy, double *own, double *representation,
                      struct ood_error *err)
{
    size_t in;
    struct picture picture;
    if (batch->prototypes == NULL && (own != NULL || representation != NULL))
        return ood_fail(err, OOD_INVALID, "loss: distances need prototypes, found none");
    if (!begin(loss, batch, &in, err))
        return false;
    for (size_t i = 0; i < batch->pictures; i++) {
        if (!look(loss, batch, i, &picture, err))
            return false;
        loss->measured[3 * i] = picture.energy;
        loss->measured[3 * i + 1] = picture.own;
        loss->measured[3 * i + 2] = picture.representation;
    }
    double *const results[] = { energy, own, representation };
    for (size_t j = 0; j < 3; j++)
        for (size_t i = 0; results[j] != NULL && i < batch->pictures; i++)
            results[j][i] = loss->measured[3 * i + j];
    return true;
}

bool ood_prototypes_add_batch(struct ood_prototype_sums *sums, const float *features, const int32_t *labels, size_t pictures, struct ood_error *err)
{
    for (size_t i = 0; i < pictures; i++) {
        if (labels[i] == -1)
            continue;
        size_t label = labels[i] < 0 ? SIZE_MAX : (size_t)labels[i];       /* the sums refuse it */
        if (!ood_prototypes_add(sums, label, features + i * sums->dimension, err))
            return ood_error_prefix(err, "picture %zu", i);
    }
    return true;
}
