/* The scores `oodctl eval` ranks: the bundle's own E, D and S, and what a user would compare them with, each by its paper's formula.
 * All are turned so that high = in. h: features, z = h/|h|, f: logits, W and b: the last layer. */
#ifndef OOD_EVAL_CONTENDERS_H
#define OOD_EVAL_CONTENDERS_H

#include "eval/last_layer.h"
#include "score/score.h"

enum ood_contender {
    OOD_CONTENDER_ENERGY,                    /* -E of METHOD section 2 */
    OOD_CONTENDER_REPRESENTATION,            /* -D */
    OOD_CONTENDER_SCORE,                     /* S */
    /* of the logits alone */
    OOD_CONTENDER_MSP,                       /* Hendrycks and Gimpel 2017: max_k softmax_k(f) */
    OOD_CONTENDER_MAX_LOGIT,                 /* Hendrycks et al. 2022: max_k f_k */
    OOD_CONTENDER_GEN,                       /* Liu, Lochman and Zach 2023: -sum over the M greatest p of p^g (1 - p)^g, p = softmax(f) */
    /* of fit pictures' features */
    OOD_CONTENDER_COSINE,                    /* max_k z·c_k, c_k the unit mean of z over the fit pictures of class k (METHOD section 3),
                                              * whatever prototypes the bundle has */
    OOD_CONTENDER_KNN,                       /* Sun et al. 2022: -|z - z_(k)|, the k-th nearest of the fit pictures, k = 50 */
    OOD_CONTENDER_MAHALANOBIS,               /* Lee et al. 2018, last features, no noise added to the input:
                                              * -min_k (h - m_k)' P (h - m_k), m_k class means, P the pseudo-inverse of the shared
                                              * covariance (divisor n; eigenvalues up to D·2^-52 of the greatest count as 0) */
    OOD_CONTENDER_VIM,                       /* Wang et al. 2022: log sum exp f - a |R(h - u)|, u = -W^+ b, R the projection away from the
                                              * N main directions of the fit pictures about u (N: 1000 for D >= 2048, 512 for D >= 768,
                                              * else D/2), a = mean of max f / mean of |R(h - u)| over them */
    /* of the last layer */
    OOD_CONTENDER_REACT,                     /* Sun, Guo and Li 2021: log sum exp (W min(h, c) + b), c the 90th percentile of all
                                              * features of the fit pictures */
    OOD_CONTENDER_ASH_S,                     /* Djurisic et al. 2023: the least 90 % of h become 0, the rest is multiplied by
                                              * exp(sum before / sum after); log sum exp (W h + b) */
    OOD_CONTENDER_ASH_B,                     /* likewise: the least 65 % become 0, each other one (sum before) / (how many are left) */
};
#define OOD_CONTENDERS 13

struct ood_contender_info {
    const char *name;                        /* the word of JSON: "max_logit" */
    const char *title;                       /* of a column: "max logit" */
    const char *formula, *source;            /* for people; source: the paper */
};
const struct ood_contender_info *ood_contender_info(enum ood_contender contender);

struct ood_contender_options {
    double gen_gamma;                        /* 0.1 */
    size_t gen_classes;                      /* M: 100, at most K */
    size_t neighbours;                       /* k: 50 */
    double react_percentile;                 /* 90; 0 … 100 */
    double ash_s_percentile, ash_b_percentile;       /* 90, 65; 0 to below 100. round(D·p/100) features (halves to even) become 0 */
};
struct ood_contender_options ood_contender_defaults(void);

/* What the network said of the pictures a score is fitted on. */
struct ood_fit_part {
    size_t count;
    const float *features;                   /* [count][D] */
    const uint32_t *classes;                 /* [count]: labels, or the predicted ones where there are none */
    const double *max_logits;                /* [count] */
};

/* Ready to score; read only, shared by threads. The judge and the layer are borrowed; fit is not needed afterwards. layer NULL: why
 * there is none says no_layer; fit NULL: there are no fit pictures. What cannot be made for want of them, or because they do not
 * suffice, is missing; only memory and LAPACK itself make it fail. Freed by ood_contenders_free. */
struct ood_contenders;
struct ood_contenders *ood_contenders_new(const struct ood_judge *judge, const struct ood_last_layer *layer, const char *no_layer,
                                          const struct ood_fit_part *fit, const struct ood_contender_options *options,
                                          struct ood_error *err) OOD_MUST_CHECK;
void ood_contenders_free(struct ood_contenders *contenders);

/* Why a score is not there, as a sentence without a final stop; NULL: it is. The contenders' memory. */
const char *ood_contender_missing(const struct ood_contenders *contenders, enum ood_contender contender);
/* Does it need the last layer? */
bool ood_contender_needs_layer(enum ood_contender contender);

/* One thread's scratch. */
struct ood_contender_memory;
struct ood_contender_memory *ood_contender_memory_new(const struct ood_contenders *contenders, struct ood_error *err) OOD_MUST_CHECK;
void ood_contender_memory_free(struct ood_contender_memory *memory);

/* All scores of one item that ood_judge_item took: logits [K], features [D] and its verdict. What is not there becomes NAN; a
 * score may also come out not finite, where its formula gives nothing for this item. */
void ood_contenders_score(const struct ood_contenders *contenders, struct ood_contender_memory *memory, const float *logits,
                          const float *features, const struct ood_verdict *verdict, double scores[OOD_CONTENDERS]);

#endif
