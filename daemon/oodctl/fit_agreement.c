/* fit: the rule by which a bundle may use Winograd convolutions. */
#include "daemon/oodctl/fit_agreement.h"

#include <math.h>

bool fit_agreement_add(struct fit_agreement *agreement, const struct fit_scores *found, const struct fit_scores *direct)
{
    const struct { const char *name; double found, direct; } scores[] = {
        { "energy", found->energy, direct->energy },
        { "representation score", found->representation, direct->representation },
        { "score", found->score, direct->score },
    };
    bool worst = false, outside = false;
    for (size_t i = 0; i < sizeof scores / sizeof scores[0]; i++) {
        double off = fabs(scores[i].found - scores[i].direct);
        double share = off / (FIT_AGREEMENT_ABSOLUTE + FIT_AGREEMENT_RELATIVE * fabs(scores[i].direct));
        if (isnan(share))                    /* NaN, or two infinities: nothing that could be served */
            share = INFINITY;
        outside = outside || share > 1;
        if (isnan(agreement->largest) || !isfinite(off))
            agreement->largest = NAN;
        else
            agreement->largest = fmax(agreement->largest, off);
        if (share > agreement->worst) {
            agreement->worst = share;
            agreement->worst_score = scores[i].name;
            agreement->worst_found = scores[i].found;
            agreement->worst_direct = scores[i].direct;
            worst = true;
        }
    }
    agreement->count++;
    agreement->outside += outside;
    return worst;
}
