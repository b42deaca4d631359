/* METHOD sections 2 to 5 and 8: everything from the logits on, in double. No input or output, no allocation on the way of
 * an item. */
#ifndef OOD_SCORE_SCORE_H
#define OOD_SCORE_SCORE_H

#include "base/memory.h"

enum ood_distance { OOD_DISTANCE_NEAREST, OOD_DISTANCE_PREDICTED };      /* D: min over classes, or at argmax f */

/* E: of a softmax head, or the joint energy of independent sigmoids (METHOD section 7). */
enum ood_energy_form { OOD_ENERGY_SOFTMAX, OOD_ENERGY_JOINT };

/* Everything a verdict is computed from. Owns what it points to; zero it first, ood_judge_clear frees. */
struct ood_judge {
    size_t classes, dimension;               /* K, D */
    double temperature;                      /* T */
    enum ood_energy_form energy_form;        /* JOINT: the class probability is its sigmoid */
    bool classes_may_lack;                   /* a prototype of zeros: the class has none and is never the nearest (detectors) */
    enum ood_distance distance;
    double beta, energy_mean, energy_std, representation_mean, representation_std;
    double alpha, alpha_review;
    bool per_class;                          /* Mondrian: thresholds of the predicted class */
    float *prototypes;                       /* [K][D], unit length */
    size_t calibration_count;                /* n */
    double *calibration_scores;              /* [n], ascending */
    int64_t *calibration_classes;            /* [n] predicted classes beside them; NULL unless per_class */
    double threshold, review_threshold;      /* s_(k), s_(k2); -INFINITY for k = 0 */
    /* made by ood_judge_prepare from the above, per class: */
    double **class_scores;                   /* [K] ascending, or NULL where a class uses all; NULL unless per_class */
    size_t *class_counts;
};

/* Checks and completes a judge whose public fields are set: lengths, prototypes finite and of unit length, sigma >= 1e-12,
 * 0 < alpha <= alpha_review < 1, 0 <= beta <= 1, scores ascending and finite, n >= ceil(1/alpha) - 1; sets thresholds and
 * per-class scores. */
bool ood_judge_prepare(struct ood_judge *judge, struct ood_error *err) OOD_MUST_CHECK;
void ood_judge_clear(struct ood_judge *judge);
/* s_(k) at alpha that pictures of this predicted class are compared with, and how many scores it is of (NULL: not asked). */
double ood_judge_threshold(const struct ood_judge *judge, size_t class_index, size_t *count);

/* METHOD 2: E, D, class, nearest. logits[K], features[D] as the network gave them. Fills class, probability, energy,
 * representation score and nearest of *verdict. Needs K, D, T, distance and prototypes of the judge only. Not finite, or
 * features of norm 0: OOD_SCORE_NOT_FINITE. */
bool ood_measure(const struct ood_judge *judge, const float *logits, const float *features,
                 struct ood_verdict *verdict, struct ood_error *err) OOD_MUST_CHECK;

/* METHOD 2: S from the verdict's energy and representation score. */
double ood_fuse(const struct ood_judge *judge, double energy, double representation_score);

/* METHOD 2 and 4, whole: measure, fuse, p-value, decision. The judge is prepared. Takes no memory; leaves the verdict's
 * error and warnings alone. */
bool ood_judge_item(const struct ood_judge *judge, const float *logits, const float *features,
                    struct ood_verdict *verdict, struct ood_error *err) OOD_MUST_CHECK;

/* The parts, for fit and eval and for tests. */
double ood_energy(const float *logits, size_t classes, double temperature);
double ood_joint_energy(const float *logits, size_t classes, double temperature);
/* softmax at T = 1 of all classes into probabilities[K]. */
void ood_softmax(const float *logits, size_t classes, double *probabilities);
/* Indices of the `top` greatest logits, descending, ties: the lower index first. top > K: all K. No memory is taken. */
void ood_top(const float *logits, size_t classes, size_t top, size_t *indices);
/* All d_k of METHOD section 2 into distances[K] (NULL: the features are only checked); see ood_measure for errors. */
bool ood_distances(const struct ood_judge *judge, const float *features, double *distances, struct ood_error *err) OOD_MUST_CHECK;

/* METHOD 4. k = floor(alpha (n + 1)), taken as the greatest k with k / (n + 1) <= alpha in double: alpha = 0.05, n = 19
 * gives 1, and p <= alpha is S < s_(k) to the last bit. 0: nothing is ever out. */
size_t ood_conformal_rank(double alpha, size_t n);
/* (1 + #{ s_i <= score }) / (n + 1) of ascending[n]. */
double ood_conformal_p(const double *ascending, size_t n, double score);

/* Has class k a prototype? All have, unless classes_may_lack. */
bool ood_has_prototype(const struct ood_judge *judge, size_t k);

/* METHOD 3: accumulates z per class in double; then unit prototypes. Features of norm 0 or not finite:
 * OOD_SCORE_NOT_FINITE; a class index >= K: OOD_INVALID. */
struct ood_prototype_sums { size_t classes, dimension; double *sums; size_t *counts; };
bool ood_prototypes_begin(struct ood_prototype_sums *sums, size_t classes, size_t dimension, struct ood_error *err) OOD_MUST_CHECK;
bool ood_prototypes_add(struct ood_prototype_sums *sums, size_t class_index, const float *features, struct ood_error *err) OOD_MUST_CHECK;
/* A class with fewer than 2: OOD_INVALID naming its index. Writes prototypes[K][D]. */
bool ood_prototypes_finish(const struct ood_prototype_sums *sums, float *prototypes, struct ood_error *err) OOD_MUST_CHECK;
/* The same where classes may lack (METHOD 7): zeros for a class with none; all with none: OOD_INVALID. */
bool ood_prototypes_finish_some(const struct ood_prototype_sums *sums, float *prototypes, struct ood_error *err) OOD_MUST_CHECK;
void ood_prototypes_free(struct ood_prototype_sums *sums);

/* Mean and standard deviation (n - 1), two passes. n >= 2. (Deviation below 1e-12: ood_judge_prepare refuses.) */
void ood_mean_std(const double *values, size_t n, double *mean, double *std);

/* ---- METHOD 5 (ranking.c): in-distribution is positive, greater is more in. Inputs need not be sorted. ---- */

struct ood_ranking { double auroc, fpr95, aupr_in, aupr_out, detection_error; };
/* n, m >= 1 (else OOD_INVALID); all finite (else OOD_SCORE_NOT_FINITE). O((n + m) log(n + m)). */
bool ood_rank(const double *in, size_t n, const double *out, size_t m, struct ood_ranking *result, struct ood_error *err) OOD_MUST_CHECK;

/* Ascending, in place; and a sorted copy, freed by ood_free. Of finite numbers. */
void ood_sort(double *values, size_t n);
double *ood_sorted_copy(const double *values, size_t n, struct ood_error *err) OOD_MUST_CHECK;

/* ---- METHOD 2: beta from held-out outliers: sets judge->beta by AUROC; its means and deviations must be set ---- */
bool ood_choose_beta(const double *in_energy, const double *in_representation, size_t n, const double *out_energy,
                     const double *out_representation, size_t m, struct ood_judge *judge, struct ood_error *err) OOD_MUST_CHECK;

/* ---- METHOD 4: p of several pictures of one source together; METHOD 8 statistics ---- */
/* Fisher: P(chi-squared with 2m degrees >= -2 sum of log p). p in (0, 1]; m = 0: 1. */
double ood_p_batch(const double *p_values, size_t m);
/* Largest distance of the p-values' distribution from the uniform one; n = 0: 0. The first sorts a copy (NAN when there is
 * no memory for it), the second takes them ascending and no memory. */
double ood_ks_distance(const double *p_values, size_t n);
double ood_ks_distance_sorted(const double *ascending_p_values, size_t n);
/* P(D_n >= distance) for n uniform values: exact to n = 128 and in the tail, within 2e-4 elsewhere. */
double ood_ks_p_value(double distance, size_t n);

#endif
