/* METHOD section 4: ranks and p-values of split conformal prediction. */
#include "score/score.h"

/* k is the greatest whole number with k / (n + 1) <= alpha, the quotient rounded to double as ood_conformal_p rounds it.
 * For alphas with a few decimals this is floor(alpha (n + 1)) as one would compute it by hand (0.29 · 100 is 29, which
 * the product in double is not), and p <= alpha says the same as S < s_(k) to the last bit. */
size_t ood_conformal_rank(double alpha, size_t n)
{
    double count = (double)n + 1;
    if (!(alpha > 0))
        return 0;
    if (alpha >= 1)
        return n;
    size_t k = (size_t)(alpha * count);
    while (k > 0 && (double)k / count > alpha)
        k--;
    while (k < n && ((double)k + 1) / count <= alpha)
        k++;
    return k;
}

/* #{ i : s_i <= score } */
static size_t count_at_most(const double *ascending, size_t n, double score)
{
    size_t low = 0, high = n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (ascending[middle] <= score)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

double ood_conformal_p(const double *ascending, size_t n, double score)
{
    return (1 + (double)count_at_most(ascending, n, score)) / ((double)n + 1);
}
