/* Every function of the kernels, in double. */
#ifndef OOD_TESTS_FUNCTIONS_H
#define OOD_TESTS_FUNCTIONS_H

#include <math.h>

#include "kernel/kernel.h"

static inline double below_zero(double x, double factor, double divisor) { return x < 0 ? factor * expm1(x / divisor) : x; }

static inline double softplus_reference(double x) { return fmax(x, 0) + log1p(exp(-fabs(x))); }

static inline double step_reference(const struct ood_unary_step *step, double x)
{
    const double alpha = (double)step->alpha, beta = (double)step->beta;
    switch (step->function) {
    case OOD_UNARY_RELU: return x > 0 ? x : 0;
    case OOD_UNARY_LEAKY_RELU: return x < 0 ? alpha * x : x;
    case OOD_UNARY_CLIP: return fmin(fmax(x, alpha), beta);
    case OOD_UNARY_SIGMOID: return 1 / (1 + exp(-x));
    case OOD_UNARY_SILU: return x / (1 + exp(-x));
    case OOD_UNARY_HARD_SWISH: return x * fmin(fmax(x / 6 + 0.5, 0), 1);
    case OOD_UNARY_ABS: return fabs(x);
    case OOD_UNARY_NEG: return -x;
    case OOD_UNARY_SIGN: return (x > 0) - (x < 0);
    case OOD_UNARY_SQUARE: return x * x;
    case OOD_UNARY_CUBE: return x * x * x;
    case OOD_UNARY_SQRT: return sqrt(x);
    case OOD_UNARY_RECIPROCAL: return 1 / x;
    case OOD_UNARY_FLOOR: return floor(x);
    case OOD_UNARY_CEIL: return ceil(x);
    case OOD_UNARY_ROUND: return nearbyint(x);
    case OOD_UNARY_EXP: return exp(x);
    case OOD_UNARY_LOG: return log(x);
    case OOD_UNARY_TANH: return tanh(x);
    case OOD_UNARY_ERF: return erf(x);
    case OOD_UNARY_SOFTPLUS: return softplus_reference(x);
    case OOD_UNARY_SOFTSIGN: return x / (1 + fabs(x));
    case OOD_UNARY_ELU: return below_zero(x, alpha, 1);
    case OOD_UNARY_SELU: return beta * below_zero(x, alpha, 1);
    case OOD_UNARY_CELU: return below_zero(x, alpha, alpha);
    case OOD_UNARY_HARD_SIGMOID: return fmin(fmax(alpha * x + beta, 0), 1);
    case OOD_UNARY_THRESHOLDED_RELU: return x > alpha ? x : 0;
    case OOD_UNARY_SHRINK: return x < -alpha ? x + beta : x > alpha ? x - beta : 0;
    case OOD_UNARY_MISH: return x * tanh(softplus_reference(x));
    case OOD_UNARY_GELU: return x * 0.5 * (1 + erf(x * sqrt(0.5)));
    case OOD_UNARY_GELU_TANH: return x * 0.5 * (1 + tanh(sqrt(2 / 3.14159265358979323846) * (x + 0.044715 * x * x * x)));
    }
    return NAN;
}

#endif
