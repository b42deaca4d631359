/* METHOD section 5's intervals: percentile bootstrap over the pictures, the same resamples for every score, so that differences
 * between scores, and between networks that saw the same pictures, are paired. */
#ifndef OOD_EVAL_BOOTSTRAP_H
#define OOD_EVAL_BOOTSTRAP_H

#include "score/score.h"

/* Where the items that are ranked are not the pictures but things in them (detections): how many there are, and the picture of each. A
 * picture may have none. */
struct ood_bootstrap_items {
    size_t in_count;
    const size_t *in_pictures;               /* [in_count]: below bootstrap.in_count */
    const size_t *out_counts;                /* [sets] */
    const size_t *const *out_pictures;       /* [sets]: [out_counts[set]] */
};

/* One score of every item. */
struct ood_bootstrap_score {
    const double *in;                        /* [in_count] */
    const double *const *out;                /* [sets]: [out_counts[set]] */
    const struct ood_bootstrap_items *items; /* NULL: the pictures themselves */
};

struct ood_bootstrap {
    size_t resamples;
    uint64_t seed;
    size_t in_count, sets;                   /* pictures, which are what is drawn */
    const size_t *out_counts;                /* [sets] */
    size_t score_count;
    const struct ood_bootstrap_score *scores;
    size_t flag_count;
    const bool *const *flags;                /* [flag_count][in_count]: shares of ID pictures, as accuracy */
};

/* figures [score_count][sets][resamples] and shares [flag_count][resamples] (each may be NULL where there is nothing to write).
 * A resample draws in_count ID pictures, then out_counts[set] of each set, with replacement, from one stream of random numbers
 * (ood_random_below, in this order, resample after resample). Each figure is ood_rank's of the pictures drawn. Costs a sweep over
 * the pictures for each resample, score and set; nothing is sorted again. Where no picture drawn of a side has an item, there is nothing
 * to rank: the figures are NAN.
 * No pictures or a score that is not finite: as ood_rank. */
bool ood_bootstrap_run(const struct ood_bootstrap *bootstrap, struct ood_ranking *figures, double *shares, struct ood_error *err) OOD_MUST_CHECK;

struct ood_interval { double low, high; };

/* The 2.5th and 97.5th percentiles (linear between neighbours, as NumPy's default) of those that are no NAN. Sorts values[n]. None: NAN
 * both. */
struct ood_interval ood_interval_of(double *values, size_t n);

#endif
