/* The scores `oodctl eval` ranks: the bundle's own E, D and S, and what a user would compare them with, each by its paper's formula.
 * All are turned so that high = in. */
#ifndef OOD_EVAL_CONTENDERS_H
#define OOD_EVAL_CONTENDERS_H

#include "score/score.h"

enum ood_contender {
    OOD_CONTENDER_ENERGY,                    /* -E of METHOD section 2 */
    OOD_CONTENDER_REPRESENTATION,            /* -D */
    OOD_CONTENDER_SCORE,                     /* S */
    OOD_CONTENDER_MSP,                       /* Hendrycks and Gimpel 2017: max_k softmax_k(f) */
    OOD_CONTENDER_MAX_LOGIT,                 /* Hendrycks et al. 2022: max_k f_k */
    OOD_CONTENDER_GEN,                       /* Liu, Lochman and Zach 2023: -sum over the M greatest p of p^g (1 - p)^g */
};
#define OOD_CONTENDERS 6

struct ood_contender_info {
    const char *name;                        /* the word of JSON: "max_logit" */
    const char *title;                       /* of a column: "max logit" */
    const char *formula, *source;            /* for people; source: the paper */
};
const struct ood_contender_info *ood_contender_info(enum ood_contender contender);

struct ood_contender_options {
    double gen_gamma;                        /* 0.1 */
    size_t gen_classes;                      /* M: 100, at most K */
};
struct ood_contender_options ood_contender_defaults(void);

/* Ready to score; read only, shared by threads. The judge is borrowed. Freed by ood_contenders_free. */
struct ood_contenders;
struct ood_contenders *ood_contenders_new(const struct ood_judge *judge, const struct ood_contender_options *options,
                                          struct ood_error *err) OOD_MUST_CHECK;
void ood_contenders_free(struct ood_contenders *contenders);

/* Why a score is not there, as a sentence without a final stop; NULL: it is. The contenders' memory. */
const char *ood_contender_missing(const struct ood_contenders *contenders, enum ood_contender contender);

/* One thread's scratch. */
struct ood_contender_memory;
struct ood_contender_memory *ood_contender_memory_new(const struct ood_contenders *contenders, struct ood_error *err) OOD_MUST_CHECK;
void ood_contender_memory_free(struct ood_contender_memory *memory);

/* All scores of one item that ood_judge_item took: logits [K], features [D] and its verdict. What is not there becomes NAN; a
 * score may also come out not finite, where its formula gives nothing for this item. */
void ood_contenders_score(const struct ood_contenders *contenders, struct ood_contender_memory *memory, const float *logits,
                          const float *features, const struct ood_verdict *verdict, double scores[OOD_CONTENDERS]);

#endif
