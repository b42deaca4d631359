/* The table of scores and those that need nothing but the logits. */
#include "eval/contenders.h"

#include <math.h>

static const struct ood_contender_info infos[OOD_CONTENDERS] = {
    [OOD_CONTENDER_ENERGY] = { "energy", "E", "-E = T log sum_k exp(f_k / T)", "Liu et al. 2020" },
    [OOD_CONTENDER_REPRESENTATION] = { "representation", "D", "-D = -min_k (1 - z·c_k)", "Joshi et al. 2022" },
    [OOD_CONTENDER_SCORE] = { "score", "S", "S, E and D standardised and fused", "Joshi et al. 2022" },
    [OOD_CONTENDER_MSP] = { "msp", "MSP", "max_k softmax_k(f)", "Hendrycks and Gimpel 2017" },
    [OOD_CONTENDER_MAX_LOGIT] = { "max_logit", "max logit", "max_k f_k", "Hendrycks et al. 2022" },
    [OOD_CONTENDER_GEN] = { "gen", "GEN", "-sum over the M greatest p_k of p_k^g (1 - p_k)^g", "Liu, Lochman and Zach 2023" },
};

const struct ood_contender_info *ood_contender_info(enum ood_contender contender) { return &infos[contender]; }

struct ood_contender_options ood_contender_defaults(void)
{
    return (struct ood_contender_options){ .gen_gamma = 0.1, .gen_classes = 100 };
}

struct ood_contenders {
    const struct ood_judge *judge;
    struct ood_contender_options options;
};

struct ood_contender_memory {
    double *probabilities;                   /* [K] */
    size_t *top;                             /* [K] */
};

struct ood_contenders *ood_contenders_new(const struct ood_judge *judge, const struct ood_contender_options *options, struct ood_error *err)
{
    struct ood_contenders *contenders = ood_new(struct ood_contenders, err);
    if (contenders == NULL)
        return NULL;
    contenders->judge = judge;
    contenders->options = *options;
    return contenders;
}

void ood_contenders_free(struct ood_contenders *contenders)
{
    ood_free(contenders);
}

const char *ood_contender_missing(const struct ood_contenders *contenders, enum ood_contender contender)
{
    (void)contenders;
    (void)contender;
    return NULL;
}

struct ood_contender_memory *ood_contender_memory_new(const struct ood_contenders *contenders, struct ood_error *err)
{
    struct ood_contender_memory *memory = ood_new(struct ood_contender_memory, err);
    if (memory == NULL)
        return NULL;
    memory->probabilities = ood_new_array(double, contenders->judge->classes, err);
    memory->top = ood_new_array(size_t, contenders->judge->classes, err);
    if (memory->probabilities == NULL || memory->top == NULL) {
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
    ood_free(memory->top);
    ood_free(memory);
}

/* The generalised entropy of the greatest probabilities, negated. */
static double gen(const struct ood_contenders *contenders, struct ood_contender_memory *memory, const float *logits)
{
    size_t classes = contenders->judge->classes, most = contenders->options.gen_classes < classes ? contenders->options.gen_classes : classes;
    double sum = 0;
    ood_top(logits, classes, most, memory->top);
    for (size_t i = 0; i < most; i++) {
        double p = memory->probabilities[memory->top[i]];
        sum += pow(p, contenders->options.gen_gamma) * pow(1 - p, contenders->options.gen_gamma);
    }
    return -sum;
}

void ood_contenders_score(const struct ood_contenders *contenders, struct ood_contender_memory *memory, const float *logits,
                          const float *features, const struct ood_verdict *verdict, double scores[OOD_CONTENDERS])
{
    (void)features;
    scores[OOD_CONTENDER_ENERGY] = -verdict->energy;
    scores[OOD_CONTENDER_REPRESENTATION] = -verdict->representation_score;
    scores[OOD_CONTENDER_SCORE] = verdict->score;
    scores[OOD_CONTENDER_MSP] = verdict->class_probability;
    scores[OOD_CONTENDER_MAX_LOGIT] = (double)logits[verdict->class_index];
    ood_softmax(logits, contenders->judge->classes, memory->probabilities);
    scores[OOD_CONTENDER_GEN] = gen(contenders, memory, logits);
}
