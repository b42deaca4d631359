/* METHOD section 5: how well a score tells in from out, by the conventions of the field, and how well it ranks the network's own
 * mistakes. In-distribution is positive and greater is more in, whatever the convention calls positive. */
#ifndef OOD_EVAL_FIGURES_H
#define OOD_EVAL_FIGURES_H

#include "score/score.h"

/* What published tables mean by the same words.
 *
 *     DEFAULT   METHOD section 5: FPR95 at the threshold that accepts at least 95 % of ID; average precision
 *     LIU       Liu et al. 2020 (Energy-based Out-of-distribution Detection) and the code it grew from, Hendrycks et al. 2019
 *               (Outlier Exposure): FPR at the threshold whose recall of ID is nearest to 0.95 (of two, the greater recall); outliers
 *               cut to a fifth of ID (at least 1), the mean of ten seeded draws; a set that small is taken whole, once
 *     OPENOOD   OpenOOD 1.5 (Zhang et al. 2023): outliers are positive: FPR95 is the share of ID rejected at the first threshold that
 *               rejects at least 95 % of the outliers; AUPR by the trapezoid rule from (recall 0, precision 1) */
enum ood_convention { OOD_CONVENTION_DEFAULT, OOD_CONVENTION_LIU, OOD_CONVENTION_OPENOOD };
#define OOD_CONVENTIONS 3

const char *ood_convention_name(enum ood_convention convention);         /* "default", "liu", "openood" */
const char *ood_convention_sentence(enum ood_convention convention);     /* what it means, for people, without a final stop */
bool ood_convention_parse(const char *name, enum ood_convention *out);

/* in[n], out[m] as ood_rank takes them; its errors. DEFAULT is ood_rank. seed: of LIU's draws. */
bool ood_rank_as(enum ood_convention convention, const double *in, size_t n, const double *out, size_t m, uint64_t seed,
                 struct ood_ranking *result, struct ood_error *err) OOD_MUST_CHECK;

/* Area under the risk-coverage curve (Geifman, Uziel and El-Yaniv 2019, Bias-Reduced Uncertainty Estimation for Deep Neural
 * Classifiers): the mean over the n items of the share of mistakes among those with a score at least theirs. 0 … 1, low = good.
 * n = 0: OOD_INVALID; a score that is not finite: OOD_SCORE_NOT_FINITE. */
bool ood_aurc(const double *scores, const bool *correct, size_t n, double *aurc, struct ood_error *err) OOD_MUST_CHECK;

#endif
