/* From the scores of all pictures to the figures of METHOD section 5: of each set, means that weigh sets equally, over all and per
 * group, intervals from one bootstrap, and how much less one network's mean FPR95 is than another's. */
#ifndef OOD_EVAL_EVALUATION_H
#define OOD_EVAL_EVALUATION_H

#include "eval/bootstrap.h"
#include "eval/contenders.h"
#include "eval/figures.h"

/* ---- the five figures of struct ood_ranking, by number ---- */

#define OOD_FIGURES 5

struct ood_figure_info {
    const char *name, *title;                /* "fpr95", "FPR95" */
    size_t offset;                           /* in struct ood_ranking */
    bool low_is_good;
};
extern const struct ood_figure_info ood_figure_infos[OOD_FIGURES];       /* fpr95, auroc, aupr_in, aupr_out, detection_error */

static inline double *ood_figure(struct ood_ranking *ranking, size_t figure)
{
    return (double *)(void *)((char *)ranking + ood_figure_infos[figure].offset);
}

static inline double ood_figure_of(const struct ood_ranking *ranking, size_t figure)
{
    return *(const double *)(const void *)((const char *)ranking + ood_figure_infos[figure].offset);
}

/* ---- what goes in ---- */

struct ood_scores {
    size_t count;                            /* items, at least 1 */
    const double *of[OOD_CONTENDERS];        /* [count], finite, high = in; NULL: left out (in every set alike) */
    const size_t *pictures;                  /* [count]: the picture each item is in; NULL: the items are the pictures. In all sets, or in none */
    size_t picture_count;                    /* with `pictures`: of the set, those without an item counted */
};

struct ood_out_set { const char *name, *group; };                        /* group: NULL, none */

/* What one network said. The same pictures in the same places as the other's, where two are compared; with `pictures` each has items of its
 * own. */
struct ood_subject {
    struct ood_scores in;
    const bool *correct;                     /* [in.count]: was its class right? NULL: no labels */
    const struct ood_scores *out;            /* [sets] */
};

struct ood_evaluation_options {
    size_t resamples;                        /* 0: no intervals */
    uint64_t seed;
    enum ood_convention convention;          /* beside the default; DEFAULT: no other */
    bool keep_draws;                         /* every resample's figures */
};

/* ---- what comes out ---- */

/* Rows: the sets in their order, then a mean for each group in the order of their first sets, then the mean over all. */
struct ood_figures {
    bool there;
    double aurc;                             /* NAN: no labels */
    struct ood_ranking *rows;                /* [rows] */
    struct ood_ranking *low, *high;          /* [rows]: intervals; NULL: none */
    struct ood_ranking *other;               /* [rows], by options.convention; NULL: none */
    struct ood_ranking *draws;               /* [rows][resamples]; NULL unless kept. NAN: a resample without items */
};

struct ood_subject_figures {
    double accuracy;                         /* NAN: no labels */
    struct ood_interval accuracy_interval;   /* NAN: none */
    struct ood_figures of[OOD_CONTENDERS];
};

/* 1 - FPR95 of subject 0's score / FPR95 of subject 1's, of the means in this row. NAN where the reference is 0. */
struct ood_reduction { enum ood_contender ours, reference; size_t row; double relative; struct ood_interval interval; };

struct ood_evaluation {
    size_t sets, groups, rows;               /* rows = sets + groups + 1 */
    const char **group_names;                /* [groups], the caller's texts */
    size_t subject_count;
    struct ood_subject_figures subjects[2];
    struct ood_interval accuracy_difference; /* subject 0's less subject 1's; NAN: none */
    struct ood_reduction *reductions;        /* every pair of scores there, for each mean; sorted by row, ours, reference */
    size_t reduction_count;
};

/* Is set `s` among those that row's mean is over? */
bool ood_row_has(const struct ood_evaluation *evaluation, const struct ood_out_set *sets, size_t row, size_t s);
/* "flowers", "mean, near", "mean". */
#define OOD_ROW_TEXT 256
const char *ood_row_title(const struct ood_evaluation *evaluation, const struct ood_out_set *sets, size_t row, char text[OOD_ROW_TEXT]);

/* The interval of the difference of two scores' figures, ours less the reference's, of a subject whose draws were kept; NAN: there are none. */
bool ood_difference_interval(const struct ood_subject_figures *figures, enum ood_contender ours, enum ood_contender reference, size_t row,
                             size_t figure, size_t resamples, struct ood_interval *interval, struct ood_error *err) OOD_MUST_CHECK;

/* subject_count: 1, or 2 to compare the first with the second. sets at least 1. Zero *evaluation before; freed by
 * ood_evaluation_free, which takes half-built ones. Errors name the set or score. */
bool ood_evaluate(const struct ood_subject *subjects, size_t subject_count, const struct ood_out_set *sets, size_t set_count,
                  const struct ood_evaluation_options *options, struct ood_evaluation *evaluation, struct ood_error *err) OOD_MUST_CHECK;
void ood_evaluation_free(struct ood_evaluation *evaluation);

#endif
