/* fit: a choice by AUROC that leaves the usual way only where the gain is more than chance. */
#include "daemon/oodctl/fit_choice.h"

#include <math.h>
#include <string.h>

#include "score/score.h"

/* How many of ascending[n] are less than value; `equal`: or equal. */
static size_t count_below(const double *ascending, size_t n, double value, bool equal)
{
    size_t low = 0, high = n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (ascending[middle] < value || (equal && ascending[middle] == value))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Of each value the share of the others, ascending, below it; of equal ones half. */
static void place_among(const double *values, size_t n, const double *others, size_t m, double *places)
{
    for (size_t i = 0; i < n; i++)
        places[i] = 0.5 * (double)(count_below(others, m, values[i], false) + count_below(others, m, values[i], true)) / (double)m;
}

/* Variance of the mean of a less b. */
static double variance_of_mean(const double *a, const double *b, size_t n)
{
    double mean = 0, squares = 0;
    for (size_t i = 0; i < n; i++)
        mean += (a[i] - b[i]) / (double)n;
    for (size_t i = 0; i < n; i++)
        squares += (a[i] - b[i] - mean) * (a[i] - b[i] - mean);
    return n > 1 ? squares / (double)(n - 1) / (double)n : INFINITY;
}

bool fit_choose(struct fit_choice *choice, struct ood_error *err)
{
    size_t n = choice->n, m = choice->m;
    double *memory = ood_alloc(4 * (n + m), sizeof *memory, err);
    if (memory == NULL)
        return false;
    double *in = memory, *out = in + n, *in_sorted = out + m, *out_sorted = in_sorted + n, *in_places = out_sorted + m, *out_places = in_places + n,
           *in_usual = out_places + m, *out_usual = in_usual + n, usual = 0;
    for (size_t way = 0; way < choice->ways; way++) {
        double auroc = 0;
        choice->score(choice->context, way, in, out);
        memcpy(in_sorted, in, n * sizeof *in);
        memcpy(out_sorted, out, m * sizeof *out);
        ood_sort(in_sorted, n);
        ood_sort(out_sorted, m);
        place_among(in, n, out_sorted, m, way == 0 ? in_usual : in_places);
        place_among(out, m, in_sorted, n, way == 0 ? out_usual : out_places);
        for (size_t i = 0; i < n; i++)
            auroc += (way == 0 ? in_usual : in_places)[i] / (double)n;
        if (way == 0)
            usual = auroc;
        double error = way == 0 ? 0 : sqrt(variance_of_mean(in_places, in_usual, n) + variance_of_mean(out_places, out_usual, m));
        if (way == 0 || (auroc - usual > 2 * error && auroc > choice->auroc)) {
            choice->chosen = way;
            choice->auroc = auroc;
        }
    }
    ood_free(memory);
    return true;
}
