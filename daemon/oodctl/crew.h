/* Pictures through the network on several threads, results in the order of the source. Who fills the jobs and who takes
 * them is the calling thread; in between one of the crew's threads reads the files and runs `work`. Nothing depends on how
 * many threads there are. */
#ifndef OODCTL_CREW_H
#define OODCTL_CREW_H

#include "daemon/oodctl/sources.h"

struct ctl_job {
    size_t count;                            /* set by fill */
    struct ctl_picture *pictures;            /* [batch]; freed by the crew after take, which may keep one by zeroing it */
    struct ood_item *items;                  /* [batch]: prepared by the crew, outputs pointing at */
    float *logits, *features;                /* [batch][K], [batch][D] */
    struct ood_verdict *verdicts;            /* [batch] */
    double *values;                          /* [batch][values]: what else work finds out */
    void **results;                          /* [batch]: what else work made of each; freed by the crew unless take zeroes it */
    bool failed;                             /* work as a whole: err says why */
    struct ood_error err;
};

struct ctl_crew {
    size_t threads, batch, classes, dimension;       /* K and D: 0, no such outputs */
    size_t values;                           /* numbers a picture that work leaves for take */
    void *context;
    /* One thread's memory, made and freed by the calling thread. */
    void *(*state_new)(void *context, struct ood_error *err);
    void (*state_free)(void *state);
    /* Fills job->pictures[0 … batch) and count; a count below batch is the end. */
    bool (*fill)(void *context, struct ctl_job *job, struct ood_error *err);
    /* items[count] to verdicts[count]. Runs on the crew's threads. False: job->err. */
    bool (*work)(void *context, void *state, struct ctl_job *job);
    void (*result_free)(void *result);       /* NULL: work makes no results */
    /* In order. */
    bool (*take)(void *context, struct ctl_job *job, struct ood_error *err);
};

bool ctl_crew_run(const struct ctl_crew *crew, struct ood_error *err) OOD_MUST_CHECK;

#endif
