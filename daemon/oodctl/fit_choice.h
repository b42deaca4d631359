/* A choice by AUROC that leaves the usual way only where the gain is more than chance. */
#ifndef OODCTL_FIT_CHOICE_H
#define OODCTL_FIT_CHOICE_H

#include "base/memory.h"

/* Ways to score n items that are in and m that are out, both at least 1; way 0 is the usual one. */
struct fit_choice {
    size_t ways, n, m;
    void (*score)(const void *context, size_t way, double *in, double *out);      /* [n], [m], finite, high = in */
    const void *context;
    size_t chosen;                           /* set */
    double auroc;                            /* of the way chosen, set */
};

/* The way with the greatest AUROC among the usual one and those that gain more than twice the standard error of the gain, which is paired
 * (DeLong, DeLong and Clarke-Pearson 1988, Comparing the areas under two or more correlated receiver operating characteristic curves). Of
 * equal ones the first. */
bool fit_choose(struct fit_choice *choice, struct ood_error *err) OOD_MUST_CHECK;

#endif
