/* METHOD section 5: how well a score tells in from out, each figure from sorted scores in one sweep; and section 2's
 * choice of beta, which ranks held-out outliers. */
#include <math.h>
#include <string.h>

#include "score/score.h"

static int ascending(const void *a, const void *b)
{
    double x, y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return (x > y) - (x < y);
}

static bool check_scores(const char *name, const double *scores, size_t count, struct ood_error *err)
{
    if (count == 0)
        return ood_fail(err, OOD_INVALID, "%s scores: found none, expected at least 1", name);
    for (size_t i = 0; i < count; i++)
        if (!isfinite(scores[i]))
            return ood_fail(err, OOD_SCORE_NOT_FINITE, "%s scores: found NaN or infinity at %zu, expected a finite "
                            "number", name, i);
    return true;
}

void ood_sort(double *values, size_t n)
{
    if (n > 0)
        qsort(values, n, sizeof *values, ascending);
}

double *ood_sorted_copy(const double *values, size_t n, struct ood_error *err)
{
    double *copy = ood_new_array(double, n, err);
    if (copy == NULL)
        return NULL;
    memcpy(copy, values, n * sizeof *copy);
    ood_sort(copy, n);
    return copy;
}

/* One step of a sweep over the distinct scores: how many of each side have it. */
struct step { size_t in, out; };

static size_t run_up(const double *scores, size_t count, size_t from, double value)
{
    size_t i = from;
    while (i < count && scores[i] == value)
        i++;
    return i - from;
}

static size_t run_down(const double *scores, size_t left, double value)
{
    size_t i = left;
    while (i > 0 && scores[i - 1] == value)
        i--;
    return left - i;
}

/* Mann-Whitney: each outlier counts the in-distribution scores above it, and half of its equals. Whole and half numbers
 * are exact in double up to 2^52 pairs, so that equal rankings give equal bits. */
static double auroc_of(const double *in, size_t n, const double *out, size_t m)
{
    double pairs = 0;
    for (size_t i = 0, j = 0; j < m;) {
        double value = out[j];
        size_t outliers = run_up(out, m, j, value);
        while (i < n && in[i] < value)
            i++;
        size_t equals = run_up(in, n, i, value);
        pairs += (double)outliers * ((double)(n - i - equals) + 0.5 * (double)equals);
        j += outliers;
    }
    return pairs / ((double)n * (double)m);
}

static double fpr95_of(const double *in, size_t n, const double *out, size_t m)
{
    double limit = in[n / 20];      /* s_(j), j = floor(0.05 n) + 1 */
    size_t accepted = 0;
    while (accepted < m && out[m - 1 - accepted] >= limit)
        accepted++;
    return (double)accepted / (double)m;
}

/* Average precision, in-distribution positive, from the greatest score down; and the least detection error on the way. */
static void sweep_down(const double *in, size_t n, const double *out, size_t m, struct ood_ranking *result)
{
    size_t i = n, j = m;
    double precision_sum = 0, least_error = 0.5;
    while (i > 0 || j > 0) {
        double value = j == 0 || (i > 0 && in[i - 1] >= out[j - 1]) ? in[i - 1] : out[j - 1];
        struct step step = { run_down(in, i, value), run_down(out, j, value) };
        i -= step.in;
        j -= step.out;
        double positives = (double)(n - i), negatives = (double)(m - j);
        precision_sum += (double)step.in * positives / (positives + negatives);
        double error = 0.5 * (double)i / (double)n + 0.5 * negatives / (double)m;
        if (error < least_error)
            least_error = error;
    }
    result->aupr_in = precision_sum / (double)n;
    result->detection_error = least_error;
}

/* The same with outliers positive and the score negated: from the least score up. */
static double aupr_out_of(const double *in, size_t n, const double *out, size_t m)
{
    size_t i = 0, j = 0;
    double precision_sum = 0;
    while (j < m) {
        double value = i == n || out[j] <= in[i] ? out[j] : in[i];
        struct step step = { run_up(in, n, i, value), run_up(out, m, j, value) };
        i += step.in;
        j += step.out;
        precision_sum += (double)step.out * (double)j / (double)(i + j);
    }
    return precision_sum / (double)m;
}

bool ood_rank(const double *in, size_t n, const double *out, size_t m, struct ood_ranking *result,
              struct ood_error *err)
{
    if (!check_scores("in-distribution", in, n, err) || !check_scores("outlier", out, m, err))
        return false;
    double *in_sorted = ood_sorted_copy(in, n, err);
    double *out_sorted = in_sorted == NULL ? NULL : ood_sorted_copy(out, m, err);
    if (out_sorted != NULL) {
        sweep_down(in_sorted, n, out_sorted, m, result);
        result->auroc = auroc_of(in_sorted, n, out_sorted, m);
        result->fpr95 = fpr95_of(in_sorted, n, out_sorted, m);
        result->aupr_out = aupr_out_of(in_sorted, n, out_sorted, m);
    }
    ood_free(in_sorted);
    ood_free(out_sorted);
    return out_sorted != NULL;
}

/* ---- beta ---- */

#define BETA_STEPS 20

static void fuse_sorted(const struct ood_judge *judge, const double *energy, const double *representation, size_t count,
                        double *scores)
{
    for (size_t i = 0; i < count; i++)
        scores[i] = ood_fuse(judge, energy[i], representation[i]);
    ood_sort(scores, count);
}

bool ood_choose_beta(const double *in_energy, const double *in_representation, size_t n, const double *out_energy,
                     const double *out_representation, size_t m, struct ood_judge *judge, struct ood_error *err)
{
    if (!check_scores("in-distribution energy", in_energy, n, err) ||
        !check_scores("in-distribution representation", in_representation, n, err) ||
        !check_scores("outlier energy", out_energy, m, err) ||
        !check_scores("outlier representation", out_representation, m, err))
        return false;
    if (!(judge->energy_std >= 1e-12 && judge->representation_std >= 1e-12))
        return ood_fail(err, OOD_INVALID, "deviations: found %g (energy) and %g (representation), expected at least "
                        "1e-12", judge->energy_std, judge->representation_std);
    double *in = ood_new_array(double, n, err);
    double *out = in == NULL ? NULL : ood_new_array(double, m, err);
    if (out == NULL) {
        ood_free(in);
        return false;
    }
    /* From the middle outwards, the lower side first: a later value must be better, not as good. */
    struct ood_judge trial = *judge;
    double best = -1, chosen = 0.5;
    for (int distance = 0; distance <= BETA_STEPS / 2; distance++)
        for (int side = -1; side <= 1; side += 2) {
            trial.beta = (double)(BETA_STEPS / 2 + side * distance) / BETA_STEPS;
            fuse_sorted(&trial, in_energy, in_representation, n, in);
            fuse_sorted(&trial, out_energy, out_representation, m, out);
            double auroc = auroc_of(in, n, out, m);
            if (auroc > best) {
                best = auroc;
                chosen = trial.beta;
            }
        }
    ood_free(in);
    ood_free(out);
    judge->beta = chosen;
    return true;
}
