/* The conventions of published tables beside METHOD's, and the area under the risk-coverage curve. */
#include "eval/figures.h"

#include <math.h>
#include <string.h>

#include "base/random.h"

static const struct { const char *name, *sentence; } conventions[OOD_CONVENTIONS] = {
    [OOD_CONVENTION_DEFAULT] = { "default", "ID positive; FPR95: outliers accepted at the threshold that accepts at least 95 % of ID; AUROC: a tie counts "
                                 "one half; AUPR: average precision; detection error: least mean of both error rates" },
    [OOD_CONVENTION_LIU] = { "liu", "ID positive; FPR95 at the threshold whose recall of ID is nearest to 95 %; outliers cut to a fifth of ID, mean of "
                             "10 seeded draws (Liu et al. 2020)" },
    [OOD_CONVENTION_OPENOOD] = { "openood", "outliers positive; FPR95: ID rejected at the first threshold that rejects at least 95 % of the outliers; AUPR by "
                                 "the trapezoid rule (OpenOOD 1.5)" },
};

const char *ood_convention_name(enum ood_convention convention) { return conventions[convention].name; }
const char *ood_convention_sentence(enum ood_convention convention) { return conventions[convention].sentence; }

bool ood_convention_parse(const char *name, enum ood_convention *out)
{
    for (size_t i = 0; i < OOD_CONVENTIONS; i++)
        if (strcmp(name, conventions[i].name) == 0) {
            *out = (enum ood_convention)i;
            return true;
        }
    return false;
}

/* ---- sweeps over sorted scores ---- */

/* Scores from the greatest down, the two sides together; *i and *j are how many of each are not yet passed. Passes the next
 * distinct score. */
static void step_down(const double *in, size_t *i, const double *out, size_t *j)
{
    double value = *j == 0 || (*i > 0 && in[*i - 1] >= out[*j - 1]) ? in[*i - 1] : out[*j - 1];
    while (*i > 0 && in[*i - 1] == value)
        --*i;
    while (*j > 0 && out[*j - 1] == value)
        --*j;
}

/* Thresholds below the first of recall 1 do not count; of two as near, the lower is taken, as the published code does. */
static double fpr_nearest_recall(const double *in, size_t n, const double *out, size_t m)
{
    double nearest = INFINITY, fpr = 0;
    for (size_t i = n, j = m; i > 0;) {
        step_down(in, &i, out, &j);
        double distance = fabs((double)(n - i) / (double)n - 0.95);
        if (distance <= nearest) {
            nearest = distance;
            fpr = (double)(m - j) / (double)m;
        }
    }
    return fpr;
}

/* Outliers positive, from the least score up: the first step that has 95 % of them. */
static double fpr_of_rejecting(const double *in, size_t n, const double *out, size_t m)
{
    for (size_t i = 0, j = 0;;) {
        double value = i == n || (j < m && out[j] <= in[i]) ? out[j] : in[i];
        while (i < n && in[i] == value)
            i++;
        while (j < m && out[j] == value)
            j++;
        if ((double)j / (double)m >= 0.95)
            return (double)i / (double)n;
    }
}

/* Area under precision over recall by the trapezoid rule, from (0, 1); positives are in. */
static double trapezoid_precision(const double *in, size_t n, const double *out, size_t m)
{
    double area = 0, recall = 0, precision = 1;
    for (size_t i = n, j = m; i > 0;) {
        step_down(in, &i, out, &j);
        double positives = (double)(n - i), now = positives / (double)n, then = positives / (positives + (double)(m - j));
        area += (now - recall) * (then + precision) / 2;
        recall = now;
        precision = then;
    }
    return area;
}

/* ascending[n] turned around: the same scores negated, ascending. */
static void negate_sorted(double *sorted, size_t n)
{
    for (size_t i = 0; i < n - n / 2; i++) {
        double low = sorted[i];
        sorted[i] = -sorted[n - 1 - i];
        sorted[n - 1 - i] = -low;
    }
}

/* ---- conventions ---- */

#define LIU_DRAWS 10

static void add(struct ood_ranking *sum, const struct ood_ranking *one)
{
    sum->auroc += one->auroc;
    sum->fpr95 += one->fpr95;
    sum->aupr_in += one->aupr_in;
    sum->aupr_out += one->aupr_out;
    sum->detection_error += one->detection_error;
}

/* `in` is sorted; out[m] is not. */
static bool rank_liu_once(const double *in, size_t n, const double *out, size_t m, struct ood_ranking *result, struct ood_error *err)
{
    double *sorted = ood_sorted_copy(out, m, err);
    bool done = sorted != NULL && ood_rank(in, n, sorted, m, result, err);
    if (done)
        result->fpr95 = fpr_nearest_recall(in, n, sorted, m);
    ood_free(sorted);
    return done;
}

static bool rank_liu(const double *in, size_t n, const double *out, size_t m, uint64_t seed, struct ood_ranking *result, struct ood_error *err)
{
    size_t taken = n / 5 > 0 ? n / 5 : 1;
    struct ood_ranking sum = { 0 };
    struct ood_random random;
    if (m <= taken)
        return rank_liu_once(in, n, out, m, result, err);
    size_t *order = ood_new_array(size_t, m, err);
    double *drawn = order != NULL ? ood_new_array(double, taken, err) : NULL;
    bool done = drawn != NULL;
    for (size_t i = 0; done && i < m; i++)
        order[i] = i;
    ood_random_seed(&random, seed);
    for (int draw = 0; done && draw < LIU_DRAWS; draw++) {
        struct ood_ranking one = { 0 };
        ood_random_shuffle(&random, order, m);
        for (size_t i = 0; i < taken; i++)
            drawn[i] = out[order[i]];
        done = rank_liu_once(in, n, drawn, taken, &one, err);
        add(&sum, &one);
    }
    ood_free(order);
    ood_free(drawn);
    if (done)
        *result = (struct ood_ranking){ sum.auroc / LIU_DRAWS, sum.fpr95 / LIU_DRAWS, sum.aupr_in / LIU_DRAWS, sum.aupr_out / LIU_DRAWS,
                                        sum.detection_error / LIU_DRAWS };
    return done;
}

static void rank_openood(double *in, size_t n, double *out, size_t m, struct ood_ranking *result)
{
    result->fpr95 = fpr_of_rejecting(in, n, out, m);
    result->aupr_in = trapezoid_precision(in, n, out, m);
    negate_sorted(in, n);
    negate_sorted(out, m);
    result->aupr_out = trapezoid_precision(out, m, in, n);
}

bool ood_rank_as(enum ood_convention convention, const double *in, size_t n, const double *out, size_t m, uint64_t seed,
                 struct ood_ranking *result, struct ood_error *err)
{
    struct ood_ranking ranking;
    if (!ood_rank(in, n, out, m, &ranking, err))
        return false;
    double *in_sorted = ood_sorted_copy(in, n, err);
    double *out_sorted = in_sorted == NULL ? NULL : ood_sorted_copy(out, m, err);
    bool done = out_sorted != NULL;
    if (done && convention == OOD_CONVENTION_LIU)
        done = rank_liu(in_sorted, n, out, m, seed, &ranking, err);
    else if (done && convention == OOD_CONVENTION_OPENOOD)
        rank_openood(in_sorted, n, out_sorted, m, &ranking);
    ood_free(in_sorted);
    ood_free(out_sorted);
    if (done)
        *result = ranking;
    return done;
}

/* ---- risk and coverage ---- */

struct judged { double score; bool correct; };

static int judged_ascending(const void *a, const void *b)
{
    const struct judged *x = a, *y = b;
    return (x->score > y->score) - (x->score < y->score);
}

bool ood_aurc(const double *scores, const bool *correct, size_t n, double *aurc, struct ood_error *err)
{
    double sum = 0;
    size_t mistakes = 0;
    if (n == 0)
        return ood_fail(err, OOD_INVALID, "scores: found none, expected at least 1");
    for (size_t i = 0; i < n; i++)
        if (!isfinite(scores[i]))
            return ood_fail(err, OOD_SCORE_NOT_FINITE, "scores: found NaN or infinity at %zu, expected a finite number", i);
    struct judged *judged = ood_new_array(struct judged, n, err);
    if (judged == NULL)
        return false;
    for (size_t i = 0; i < n; i++)
        judged[i] = (struct judged){ scores[i], correct[i] };
    qsort(judged, n, sizeof *judged, judged_ascending);
    for (size_t i = n; i > 0;) {             /* a tie is one step of the curve, and counts as often as it has items */
        size_t from = i;
        double value = judged[i - 1].score;
        while (i > 0 && judged[i - 1].score == value)
            mistakes += !judged[--i].correct;
        sum += (double)(from - i) * ((double)mistakes / (double)(n - i));
    }
    ood_free(judged);
    *aurc = sum / (double)n;
    return true;
}
