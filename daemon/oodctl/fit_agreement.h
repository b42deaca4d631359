/* fit: do the scores made with one kind of convolution agree with those made with another? Pure arithmetic. */
#ifndef OODCTL_FIT_AGREEMENT_H
#define OODCTL_FIT_AGREEMENT_H

#include <stdbool.h>
#include <stddef.h>

/* |a - b| <= ABSOLUTE + RELATIVE |b|, b by direct convolution: as a scorer's self-test holds a bundle on another machine. */
#define FIT_AGREEMENT_ABSOLUTE 1e-4
#define FIT_AGREEMENT_RELATIVE 1e-3

struct fit_scores { double energy, representation, score; };

/* Zero it first. */
struct fit_agreement {
    size_t count, outside;                   /* pictures; those with a score that is further off */
    double largest;                          /* |a - b| of all scores of all pictures; NaN once one was not finite */
    double worst;                            /* |a - b| as a share of what is allowed: above 1 is outside */
    const char *worst_score;                 /* "energy", "representation score", "score"; NULL: all were equal */
    double worst_found, worst_direct;
};

/* One more picture. True: it has the worst score so far (keep its name). */
bool fit_agreement_add(struct fit_agreement *agreement, const struct fit_scores *found, const struct fit_scores *direct);

#endif
