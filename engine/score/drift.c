/* METHOD sections 4 and 8: several p-values together. Fisher's combination, and the Kolmogorov-Smirnov distance of a
 * window's p-values from the uniform distribution with its own p-value. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "score/score.h"

/* log n!, without lgamma's global sign. */
static double log_factorial(double n)
{
    int sign;
    return lgamma_r(n + 1, &sign);
}

/* ---- Fisher ---- */

/* P(χ² with 2m degrees > 2y) = e^-y Σ_{i<m} y^i / i!, a Poisson sum: from its greatest end down where y is large, as one
 * less the other end where it is small. */
double ood_p_batch(const double *p_values, size_t m)
{
    double y = 0;
    for (size_t i = 0; i < m; i++)
        y -= log(p_values[i]);
    if (m == 0 || y <= 0)
        return 1;
    if (isinf(y))
        return 0;
    double count = (double)m, sum = 0;
    if (y > count) {
        double term = exp(-y + (count - 1) * log(y) - log_factorial(count - 1));
        for (double i = count - 1; i >= 0 && term > sum * DBL_EPSILON / 8; i--) {
            sum += term;
            term *= i / y;
        }
        return sum < 1 ? sum : 1;
    }
    double term = exp(-y + count * log(y) - log_factorial(count));
    for (double i = count + 1; term > sum * DBL_EPSILON / 8; i++) {
        sum += term;
        term *= y / i;
    }
    return sum < 1 ? 1 - sum : 0;
}

/* ---- Kolmogorov-Smirnov ---- */

static int ascending(const void *a, const void *b)
{
    double x, y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return (x > y) - (x < y);
}

double ood_ks_distance_sorted(const double *ascending_p_values, size_t n)
{
    double distance = 0, count = (double)n;
    for (size_t i = 0; i < n; i++) {
        double above = ((double)i + 1) / count - ascending_p_values[i];
        double below = ascending_p_values[i] - (double)i / count;
        distance = fmax(distance, fmax(above, below));
    }
    return distance;
}

double ood_ks_distance(const double *p_values, size_t n)
{
    struct ood_error no_memory = { 0 };
    double *copy = ood_new_array(double, n, &no_memory);
    if (copy == NULL)
        return NAN;
    if (n > 0)
        memcpy(copy, p_values, n * sizeof *copy);
    qsort(copy, n, sizeof *copy, ascending);
    double distance = ood_ks_distance_sorted(copy, n);
    ood_free(copy);
    return distance;
}

/* Few values: exact. P(D_n < d) is the chance that i/n - d < U_(i) < (i-1)/n + d for all i: that a Poisson process of
 * rate n, given n points in [0, 1], has at most i-1 of them at i/n - d and at least i at (i-1)/n + d. chances[k] carries
 * the chance of k points from limit to limit; those outside a limit are struck out (Pomeranz 1974, Noe 1972). */
#define EXACT_MOST 128

static void advance_process(double chances[EXACT_MOST + 1], size_t n, double expected)
{
    double poisson[EXACT_MOST + 1];
    poisson[0] = exp(-expected);
    for (size_t k = 1; k <= n; k++)
        poisson[k] = poisson[k - 1] * expected / (double)k;
    for (size_t k = n + 1; k-- > 0;) {
        double sum = 0;
        for (size_t j = 0; j <= k; j++)
            sum += chances[j] * poisson[k - j];
        chances[k] = sum;
    }
}

static double exact_p(double distance, size_t n)
{
    double chances[EXACT_MOST + 1] = { 1 }, count = (double)n, place = 0;
    size_t upper = 1, lower = 1;
    while (upper <= n || lower <= n) {
        double most_at = upper <= n ? fmin(fmax((double)upper / count - distance, 0), 1) : 2;
        double least_at = lower <= n ? fmin(((double)lower - 1) / count + distance, 1) : 2;
        double next = fmin(most_at, least_at);
        advance_process(chances, n, (next - place) * count);
        place = next;
        if (most_at <= least_at) {
            for (size_t k = upper; k <= n; k++)
                chances[k] = 0;
            upper++;
        } else {
            for (size_t k = 0; k < lower; k++)
                chances[k] = 0;
            lower++;
        }
    }
    advance_process(chances, n, (1 - place) * count);
    double inside = chances[n] * exp(count - count * log(count) + log_factorial(count));
    return fmin(fmax(1 - inside, 0), 1);
}

/* Far out both sides cannot be passed at once, and the one-sided chance is known (Birnbaum and Tingey 1951):
 * P(D+ >= d) = d Σ_j C(n, j) (d + j/n)^(j-1) (1 - d - j/n)^(n-j), all terms positive. */
static double tail_p(double distance, size_t n)
{
    double count = (double)n, sum = 0;
    for (double j = 0; j <= count * (1 - distance); j++) {
        double left = distance + j / count, right = 1 - left;
        if (right <= 0)
            break;
        sum += exp(log_factorial(count) - log_factorial(j) - log_factorial(count - j) + (j - 1) * log(left) +
                   (count - j) * log(right));
    }
    return fmin(2 * distance * sum, 1);
}

/* Many values: Kolmogorov's limit with its argument corrected to order 1/n (Vrbik 2018). */
static double limit_p(double distance, size_t n)
{
    double root = sqrt((double)n), z = distance * root;
    z += 1 / (6 * root) + (z - 1) / (4 * (double)n);
    if (z < 0.3)
        return 1;      /* less than 1e-5 from it, and the sum below converges slowly */
    double sum = 0;
    for (double i = 1, sign = 1; i < 100; i++, sign = -sign) {
        double term = exp(-2 * i * i * z * z);
        sum += sign * term;
        if (term < 1e-18)
            break;
    }
    return fmin(fmax(2 * sum, 0), 1);
}

#define TAIL_FROM 3.0      /* n d²; both sides passed at once: below e^-24 of the whole */

double ood_ks_p_value(double distance, size_t n)
{
    if (isnan(distance))
        return NAN;
    if (n == 0 || distance <= 0.5 / (double)n)      /* no sample is nearer than that */
        return 1;
    if (distance >= 1)
        return 0;
    if ((double)n * distance * distance > TAIL_FROM)
        return tail_p(distance, n);
    return n <= EXACT_MOST ? exact_p(distance, n) : limit_p(distance, n);
}
