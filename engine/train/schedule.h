/* The learning rate over a run, as a function of the run's progress in [0, 1]: steps, epochs and minutes all map to it. The convention of `train`
 * is progress = what is done of the budget when the step begins, so the first step has 0 and none has 1. */
#ifndef OOD_TRAIN_SCHEDULE_H
#define OOD_TRAIN_SCHEDULE_H

#include "base/error.h"

enum ood_schedule_kind {
    OOD_SCHEDULE_COSINE,                     /* warm-up, then peak (1 + cos(pi x))/2 down to 0 at progress 1 (METHOD section 6) */
    OOD_SCHEDULE_ONE_CYCLE,                  /* PyTorch's OneCycleLR (Smith and Topin 2017): by a cosine from peak/25 up to peak at `warmup`, by
                                                a cosine down to peak/250000 at progress 1; the momentum stays */
    OOD_SCHEDULE_CONSTANT,                   /* warm-up, then peak */
};

struct ood_schedule {
    enum ood_schedule_kind kind;
    double peak;                             /* the greatest rate, >= 0 */
    double warmup;                           /* share of the run in [0, 1) that the rate rises over, linearly from warmup_start peak */
    double warmup_start;                     /* in [0, 1]; ONE_CYCLE does not read it */
};

/* "cosine", "one-cycle" or "constant" with its defaults: warm-up 0.05 from 0.01 of the peak; one-cycle 0.3. Another name: OOD_INVALID. */
bool ood_schedule_named(const char *name, double peak, struct ood_schedule *schedule, struct ood_error *err) OOD_MUST_CHECK;

/* OOD_INVALID naming the field that is out of its range. */
bool ood_schedule_check(const struct ood_schedule *schedule, struct ood_error *err) OOD_MUST_CHECK;

/* The rate. Progress outside [0, 1] (a budget overrun) counts as its nearest end. */
double ood_schedule_rate(const struct ood_schedule *schedule, double progress);

#endif
