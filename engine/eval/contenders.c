/* The table of scores, what each needs, and one item through all of them. */
#include <math.h>

#include "eval/contenders_internal.h"

enum { FIT = 1, LAYER = 2 };

static const struct { struct ood_contender_info info; unsigned needs; } rows[OOD_CONTENDERS] = {
    [OOD_CONTENDER_ENERGY] = { { "energy", "E", "-E = T log sum exp(f/T)", "Liu et al. 2020" }, 0 },
    [OOD_CONTENDER_REPRESENTATION] = { { "representation", "D", "-D, the distance to the bundle's prototypes", "Joshi et al. 2022" }, 0 },
    [OOD_CONTENDER_SCORE] = { { "score", "S", "S, E and D fused: what the bundle decides by", "Joshi et al. 2022" }, 0 },
    [OOD_CONTENDER_MSP] = { { "msp", "MSP", "the greatest softmax probability", "Hendrycks and Gimpel 2017" }, 0 },
    [OOD_CONTENDER_MAX_LOGIT] = { { "max_logit", "max logit", "the greatest logit", "Hendrycks et al. 2022" }, 0 },
    [OOD_CONTENDER_GEN] = { { "gen", "GEN", "generalised entropy of the greatest probabilities, negated", "Liu, Lochman and Zach 2023" }, 0 },
    [OOD_CONTENDER_COSINE] = { { "cosine", "cosine", "the greatest cosine to a class's mean direction among the fit pictures", "METHOD section 3" }, FIT },
    [OOD_CONTENDER_KNN] = { { "knn", "KNN", "distance to the k-th nearest fit picture, features of unit length, negated", "Sun et al. 2022" }, FIT },
    [OOD_CONTENDER_MAHALANOBIS] = { { "mahalanobis", "Mahalan.", "squared distance to the nearest class mean under the shared covariance, negated",
                                      "Lee et al. 2018" }, FIT },
    [OOD_CONTENDER_VIM] = { { "vim", "ViM", "energy less the virtual logit of the residual features", "Wang et al. 2022" }, FIT | LAYER },
    [OOD_CONTENDER_REACT] = { { "react", "ReAct", "energy of features cut off at a percentile of the fit pictures'", "Sun, Guo and Li 2021" }, FIT | LAYER },
    [OOD_CONTENDER_ASH_S] = { { "ash_s", "ASH-S", "energy of the greatest features, scaled up", "Djurisic et al. 2023" }, LAYER },
    [OOD_CONTENDER_ASH_B] = { { "ash_b", "ASH-B", "energy of the greatest features, made equal", "Djurisic et al. 2023" }, LAYER },
};

const struct ood_contender_info *ood_contender_info(enum ood_contender contender) { return &rows[contender].info; }
bool ood_contender_needs_layer(enum ood_contender contender) { return (rows[contender].needs & LAYER) != 0; }

struct ood_contender_options ood_contender_defaults(void)
{
    return (struct ood_contender_options){ .gen_gamma = 0.1, .gen_classes = 100, .neighbours = 50, .react_percentile = 90, .ash_s_percentile = 90,
                                           .ash_b_percentile = 65 };
}

struct ood_contenders {
    const struct ood_judge *judge;
    const struct ood_last_layer *layer;
    struct ood_contender_options options;
    char *missing[OOD_CONTENDERS];
    struct ood_judge means;                  /* cosine: K, D and prototypes only */
    struct contender_neighbours neighbours;
    struct contender_gaussian gaussian;
    struct contender_vim vim;
    double react_limit;
};

struct ood_contender_memory {
    double *probabilities, *logits, *distances;      /* [K] */
    size_t *order;                           /* [max(K, D)] */
    double *shaped;                          /* [2 D] */
    float *similarities;                     /* [fit pictures + D] */
};

/* ---- making ---- */

static bool make_cosine(struct ood_contenders *contenders, const struct ood_fit_part *fit, struct ood_error *err)
{
    size_t classes = contenders->judge->classes, dimension = contenders->judge->dimension;
    struct ood_prototype_sums sums = { 0 };
    contenders->means = (struct ood_judge){ .classes = classes, .dimension = dimension };
    contenders->means.prototypes = ood_alloc(classes, dimension * sizeof(float), err);
    bool done = contenders->means.prototypes != NULL && ood_prototypes_begin(&sums, classes, dimension, err);
    for (size_t i = 0; done && i < fit->count; i++)
        done = ood_prototypes_add(&sums, fit->classes[i], fit->features + i * dimension, err);
    done = done && ood_prototypes_finish(&sums, contenders->means.prototypes, err);
    ood_prototypes_free(&sums);
    return done;
}

static bool make(struct ood_contenders *contenders, enum ood_contender contender, const struct ood_fit_part *fit, struct ood_error *err)
{
    size_t classes = contenders->judge->classes, dimension = contenders->judge->dimension;
    const struct ood_contender_options *options = &contenders->options;
    switch (contender) {
    case OOD_CONTENDER_COSINE:
        return make_cosine(contenders, fit, err);
    case OOD_CONTENDER_KNN:
        if (fit->count < options->neighbours)
            return ood_fail(err, OOD_INVALID, "%zu fit pictures, expected at least k = %zu", fit->count, options->neighbours);
        return contender_neighbours_make(&contenders->neighbours, fit, dimension, options->neighbours, err);
    case OOD_CONTENDER_MAHALANOBIS:
        return contender_gaussian_make(&contenders->gaussian, fit, classes, dimension, err);
    case OOD_CONTENDER_VIM:
        return contender_vim_make(&contenders->vim, contenders->layer, fit, err);
    case OOD_CONTENDER_REACT:
        return contender_percentile(fit, dimension, options->react_percentile, &contenders->react_limit, err);
    default:
        return true;
    }
}

/* Makes one score, or says why not. False: memory. */
static bool make_or_miss(struct ood_contenders *contenders, enum ood_contender contender, const char *no_layer, const struct ood_fit_part *fit,
                         struct ood_error *err)
{
    unsigned needs = rows[contender].needs;
    struct ood_error why = { 0 };
    if ((needs & LAYER) != 0 && contenders->layer == NULL)
        contenders->missing[contender] = ood_strdup(no_layer, err);
    else if ((needs & FIT) != 0 && fit == NULL)
        contenders->missing[contender] = ood_strdup("it needs fit pictures (--fit)", err);
    else if (!make(contenders, contender, fit, &why)) {
        if (why.code == OOD_OUT_OF_MEMORY) {
            *err = why;
            return false;
        }
        contenders->missing[contender] = ood_strdup(why.message, err);
    } else
        return true;
    return contenders->missing[contender] != NULL;
}

struct ood_contenders *ood_contenders_new(const struct ood_judge *judge, const struct ood_last_layer *layer, const char *no_layer,
                                          const struct ood_fit_part *fit, const struct ood_contender_options *options, struct ood_error *err)
{
    struct ood_contenders *contenders = ood_new(struct ood_contenders, err);
    if (contenders == NULL)
        return NULL;
    contenders->judge = judge;
    contenders->layer = layer;
    contenders->options = *options;
    for (size_t c = 0; c < OOD_CONTENDERS; c++)
        if (!make_or_miss(contenders, (enum ood_contender)c, no_layer, fit, err)) {
            ood_contenders_free(contenders);
            return NULL;
        }
    return contenders;
}

void ood_contenders_free(struct ood_contenders *contenders)
{
    if (contenders == NULL)
        return;
    for (size_t c = 0; c < OOD_CONTENDERS; c++)
        ood_free(contenders->missing[c]);
    ood_free(contenders->means.prototypes);
    contender_neighbours_clear(&contenders->neighbours);
    contender_gaussian_clear(&contenders->gaussian);
    contender_vim_clear(&contenders->vim);
    ood_free(contenders);
}

const char *ood_contender_missing(const struct ood_contenders *contenders, enum ood_contender contender) { return contenders->missing[contender]; }

struct ood_contender_memory *ood_contender_memory_new(const struct ood_contenders *contenders, struct ood_error *err)
{
    size_t classes = contenders->judge->classes, dimension = contenders->judge->dimension;
    struct ood_contender_memory *memory = ood_new(struct ood_contender_memory, err);
    if (memory == NULL)
        return NULL;
    memory->probabilities = ood_new_array(double, classes, err);
    memory->logits = ood_new_array(double, classes, err);
    memory->distances = ood_new_array(double, classes, err);
    memory->order = ood_new_array(size_t, classes > dimension ? classes : dimension, err);
    memory->shaped = ood_alloc(dimension, 2 * sizeof *memory->shaped, err);
    memory->similarities = ood_new_array(float, contenders->neighbours.count + dimension, err);
    if (memory->probabilities == NULL || memory->logits == NULL || memory->distances == NULL || memory->order == NULL || memory->shaped == NULL ||
        memory->similarities == NULL) {
        ood_contender_memory_free(memory);
        return NULL;
    }
    return memory;
}

void ood_contender_memory_free(struct ood_contender_memory *memory)
{
    if (memory == NULL)
        return;
    ood_free(memory->probabilities);
    ood_free(memory->logits);
    ood_free(memory->distances);
    ood_free(memory->order);
    ood_free(memory->shaped);
    ood_free(memory->similarities);
    ood_free(memory);
}

/* ---- scoring ---- */

/* GEN: Pushing the Limits of Softmax-Based Out-of-Distribution Detection (CVPR 2023). */
static double gen(const struct ood_contenders *contenders, struct ood_contender_memory *memory, const float *logits)
{
    size_t classes = contenders->judge->classes, most = contenders->options.gen_classes < classes ? contenders->options.gen_classes : classes;
    double sum = 0, gamma = contenders->options.gen_gamma;
    ood_softmax(logits, classes, memory->probabilities);
    ood_top(logits, classes, most, memory->order);
    for (size_t i = 0; i < most; i++) {
        double p = memory->probabilities[memory->order[i]];
        sum += pow(p, gamma) * pow(1 - p, gamma);
    }
    return -sum;
}

static double cosine(const struct ood_contenders *contenders, struct ood_contender_memory *memory, const float *features)
{
    struct ood_error unused = { 0 };
    double nearest = INFINITY;
    if (!ood_distances(&contenders->means, features, memory->distances, &unused))
        return NAN;
    for (size_t k = 0; k < contenders->judge->classes; k++)
        nearest = memory->distances[k] < nearest ? memory->distances[k] : nearest;
    return 1 - nearest;
}

static double score_one(const struct ood_contenders *contenders, struct ood_contender_memory *memory, enum ood_contender contender,
                        const float *logits, const float *features, const struct ood_verdict *verdict)
{
    const struct ood_contender_options *options = &contenders->options;
    switch (contender) {
    case OOD_CONTENDER_ENERGY:
        return -verdict->energy;
    case OOD_CONTENDER_REPRESENTATION:
        return -verdict->representation_score;
    case OOD_CONTENDER_SCORE:
        return verdict->score;
    case OOD_CONTENDER_MSP:
        return verdict->class_probability;
    case OOD_CONTENDER_MAX_LOGIT:
        return (double)logits[verdict->class_index];
    case OOD_CONTENDER_GEN:
        return gen(contenders, memory, logits);
    case OOD_CONTENDER_COSINE:
        return cosine(contenders, memory, features);
    case OOD_CONTENDER_KNN:
        return contender_neighbours_score(&contenders->neighbours, features, memory->similarities);
    case OOD_CONTENDER_MAHALANOBIS:
        return contender_gaussian_score(&contenders->gaussian, features, memory->shaped);
    case OOD_CONTENDER_VIM:
        return contender_vim_score(&contenders->vim, -ood_energy(logits, contenders->judge->classes, 1), features, memory->shaped);
    case OOD_CONTENDER_REACT:
        return contender_react(contenders->layer, contenders->react_limit, features, memory->shaped, memory->logits);
    case OOD_CONTENDER_ASH_S:
        return contender_ash(contenders->layer, options->ash_s_percentile, false, features, memory->shaped, memory->logits, memory->order);
    case OOD_CONTENDER_ASH_B:
        return contender_ash(contenders->layer, options->ash_b_percentile, true, features, memory->shaped, memory->logits, memory->order);
    }
    return NAN;
}

void ood_contenders_score(const struct ood_contenders *contenders, struct ood_contender_memory *memory, const float *logits,
                          const float *features, const struct ood_verdict *verdict, double scores[OOD_CONTENDERS])
{
    for (size_t c = 0; c < OOD_CONTENDERS; c++)
        scores[c] = contenders->missing[c] != NULL ? NAN : score_one(contenders, memory, (enum ood_contender)c, logits, features, verdict);
}
