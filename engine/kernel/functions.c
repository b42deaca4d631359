/* Elementary functions on vectors, each within 4 units in the last place of the exact value, NaN passed on. Polynomials are our own
 * minimax fits (Lawson's iteration over Chebyshev points), in the ranges named beside them. */
#include "kernel/kernels_internal.h"

#include <math.h>

typedef int vec_int __attribute__((vector_size(VECTOR * 4)));

INLINE vec magnitude(vec x) { return (vec)((vec_bits)x & 0x7FFFFFFFu); }
INLINE vec with_sign_of(vec x, vec sign) { return (vec)((vec_bits)x | ((vec_bits)sign & 0x80000000u)); }

INLINE vec square_root(vec x)
{
#if defined(__AVX512F__)
    return (vec)_mm512_sqrt_ps((__m512)x);
#elif defined(__AVX2__)
    return (vec)_mm256_sqrt_ps((__m256)x);
#elif defined(__SSE2__)
    return (vec)_mm_sqrt_ps((__m128)x);
#else
    vec y;
    for (size_t i = 0; i < VECTOR; i++)
        y[i] = sqrtf(x[i]);
    return y;
#endif
}

/* To the nearest whole number, of two the even one: adding 2^23 leaves no fraction. Above, every number is whole. */
INLINE vec nearest(vec x)
{
    const vec whole = splat(8388608.0f), size = magnitude(x), rounded = with_sign_of((size + whole) - whole, x);
    return choose((vec_bits)(size < whole), rounded, x);
}

INLINE vec round_down(vec x)
{
    vec r = nearest(x);
    return choose((vec_bits)(r > x), r - splat(1.0f), r);
}

INLINE vec round_up(vec x)
{
    vec r = nearest(x);
    return choose((vec_bits)(r < x), with_sign_of(magnitude(r + splat(1.0f)), x), r);
}

/* x = n·ln 2 + r: exp(r) - 1 - r as r² times a polynomial (Cephes' expf), and n in the low bits of *shifted. */
INLINE vec exp_reduced(vec x, vec *shifted, vec *r)
{
    const vec magic = splat(12582912.0f);
    *shifted = multiply_add(x, splat(1.44269504f), magic);
    vec n = *shifted - magic;
    *r = multiply_add(n, splat(-0.693359375f), x);
    *r = multiply_add(n, splat(2.12194440e-4f), *r);
    vec p = splat(1.9875691500e-4f);
    p = multiply_add(p, *r, splat(1.3981999507e-3f));
    p = multiply_add(p, *r, splat(8.3334519073e-3f));
    p = multiply_add(p, *r, splat(4.1665795894e-2f));
    p = multiply_add(p, *r, splat(1.6666665459e-1f));
    return multiply_add(p, *r, splat(5.0000001201e-1f)) * *r * *r;
}

/* 2^n in two factors, so that every n an exponential meets, denormal results included, has its bits. */
INLINE vec scale_by_power(vec x, vec shifted)
{
    vec_int n = (vec_int)((vec_bits)shifted - (vec_bits)splat(12582912.0f)), half = n >> 1;
    return x * (vec)((half + 127) << 23) * (vec)((n - half + 127) << 23);
}

INLINE vec exponential(vec x)
{
    vec shifted, r;
    x = at_most(splat(89.0f), at_least(splat(-105.0f), x));
    vec p = exp_reduced(x, &shifted, &r);
    return scale_by_power(p + r + splat(1.0f), shifted);
}

/* exp(x) - 1 for x <= 0 without cancellation: 2^n·(exp(r) - 1) + (2^n - 1). */
INLINE vec exponential_less_one(vec x)
{
    vec shifted, r;
    x = at_least(splat(-60.0f), x);
    vec p = exp_reduced(x, &shifted, &r) + r;
    vec power = (vec)(((vec_bits)shifted - (vec_bits)splat(12582912.0f) + 127u) << 23);
    return multiply_add(p, power, power - splat(1.0f));
}

/* x = 2^n·(1 + r), 1 + r in √½ … √2: r - r²/2 + r³·polynomial + n·ln 2. */
INLINE vec logarithm(vec x)
{
    const vec least = splat(1.17549435e-38f);
    vec_bits denormal = (vec_bits)(x < least);
    vec scaled = choose(denormal, x * splat(8388608.0f), x);
    vec_bits bits = (vec_bits)scaled - 0x3F3504F3u;                  /* √½ */
    vec_int exponent = (vec_int)bits >> 23;
    vec r = (vec)((bits & 0x007FFFFFu) + 0x3F3504F3u) - splat(1.0f);
    vec n = __builtin_convertvector(exponent, vec) - choose(denormal, splat(23.0f), (vec){ 0 });
    vec p = splat(7.3324448891e-02f);
    p = multiply_add(p, r, splat(-1.1659898994e-01f));
    p = multiply_add(p, r, splat(1.1634679521e-01f));
    p = multiply_add(p, r, splat(-1.2396705812e-01f));
    p = multiply_add(p, r, splat(1.4251154510e-01f));
    p = multiply_add(p, r, splat(-1.6669150736e-01f));
    p = multiply_add(p, r, splat(2.0000688113e-01f));
    p = multiply_add(p, r, splat(-2.4999981189e-01f));
    p = multiply_add(p, r, splat(3.3333331257e-01f));
    vec square = r * r;
    vec y = multiply_add(n, splat(-2.12194440e-4f), p * square * r);
    y = multiply_add(square, splat(-0.5f), y) + r;
    y = multiply_add(n, splat(0.693359375f), y);
    y = choose((vec_bits)(x == (vec){ 0 }), splat(-INFINITY), y);
    y = choose((vec_bits)(x < (vec){ 0 }), splat(NAN), y);
    return choose((vec_bits)(x != x) | (vec_bits)(x == splat(INFINITY)), x, y);
}

/* log(1 + e) for e in 0 … 1, as 2·artanh(s), s = e / (2 + e) up to 1/3. */
INLINE vec logarithm_of_one_more(vec e)
{
    vec s = e / (e + splat(2.0f)), q = s * s, p = splat(2.4424900023e-01f);
    p = multiply_add(p, q, splat(2.1389963656e-01f));
    p = multiply_add(p, q, splat(2.8621041718e-01f));
    p = multiply_add(p, q, splat(3.9998678218e-01f));
    p = multiply_add(p, q, splat(6.6666679484e-01f));
    p = multiply_add(p, q, splat(2.0f));
    return s * p;
}

INLINE vec softplus(vec x)
{
    vec e = exp_negative((vec)((vec_bits)x | 0x80000000u));
    return at_least((vec){ 0 }, x) + logarithm_of_one_more(e);
}

/* Below 5/8: x + x³ times a polynomial in x²; above: 1 - 2 / (exp(2|x|) + 1). */
INLINE vec hyperbolic_tangent(vec x)
{
    vec size = magnitude(x), q = x * x;
    vec e = exp_negative(size * splat(-2.0f));
    vec large = (splat(1.0f) - e) / (splat(1.0f) + e);
    vec p = splat(-6.1131882232e-03f);
    p = multiply_add(p, q, splat(2.1010079731e-02f));
    p = multiply_add(p, q, splat(-5.3854069654e-02f));
    p = multiply_add(p, q, splat(1.3332794551e-01f));
    p = multiply_add(p, q, splat(-3.3333329250e-01f));
    return choose((vec_bits)(size < splat(0.625f)), multiply_add(p * q, x, x), with_sign_of(large, x));
}

/* Below 0.86: x + x times a polynomial in x²; above: 1 - exp(polynomial), the logarithm of 1 - erf, up to 4.05, where erf is 1. */
INLINE vec error_function(vec x)
{
    vec size = magnitude(x), q = x * x, p = splat(8.7944188202e-05f);
    p = multiply_add(p, q, splat(-8.2362649711e-04f));
    p = multiply_add(p, q, splat(5.2087336764e-03f));
    p = multiply_add(p, q, splat(-2.6862304048e-02f));
    p = multiply_add(p, q, splat(1.1283744718e-01f));
    p = multiply_add(p, q, splat(-3.7612636760e-01f));
    p = multiply_add(p, q, splat(1.2837916694e-01f));
    vec t = at_most(splat(4.05f), size), l = splat(-2.0198528183e-05f);
    l = multiply_add(l, t, splat(4.2421666925e-04f));
    l = multiply_add(l, t, splat(-4.1220589117e-03f));
    l = multiply_add(l, t, splat(2.4992227661e-02f));
    l = multiply_add(l, t, splat(-1.0808646098e-01f));
    l = multiply_add(l, t, splat(-6.3351987357e-01f));
    l = multiply_add(l, t, splat(-1.1294309122e+00f));
    l = multiply_add(l, t, splat(1.5755047183e-04f));
    vec large = with_sign_of(splat(1.0f) - exp_negative(l), x);
    return choose((vec_bits)(size < splat(0.86f)), multiply_add(p, x, x), large);
}

/* x·tanh(log(1 + exp(x))): with e = exp(x), tanh is e(e + 2) / (e(e + 2) + 2); beyond 20 it is 1. */
INLINE vec mish(vec x)
{
    vec e = exponential(at_most(splat(20.0f), x)), n = e * (e + splat(2.0f));
    return x * (n / (n + splat(2.0f)));
}

INLINE vec gelu(vec x)
{
    vec half = x * splat(0.5f);
    return multiply_add(half, error_function(x * splat(0.70710678f)), half);
}

INLINE vec gelu_tanh(vec x)
{
    vec half = x * splat(0.5f), inner = x * splat(0.79788456f) * multiply_add(x * x, splat(0.044715f), splat(1.0f));
    return multiply_add(half, hyperbolic_tangent(inner), half);
}

/* Below 0, factor·(exp(x/divisor) - 1); else x. */
INLINE vec exponential_below_zero(vec x, vec factor, vec divisor)
{
    vec_bits negative = (vec_bits)(x < (vec){ 0 });
    return choose(negative, factor * exponential_less_one(choose(negative, x / divisor, (vec){ 0 })), x);
}

INLINE vec shrink(vec x, vec bound, vec bias)
{
    vec y = choose((vec_bits)(x < -bound), x + bias, choose((vec_bits)(x > bound), x - bias, (vec){ 0 }));
    return choose((vec_bits)(x != x), x, y);
}

#define EACH(expression)                                    \
    for (size_t i = 0; i < count; i++) {                    \
        const vec x = v[i];                                 \
        v[i] = (expression);                                \
    }                                                       \
    break

void KERNEL(ood_functions)(vec *v, size_t count, const struct ood_unary_step *step)
{
    const vec alpha = splat(step->alpha), beta = splat(step->beta), zero = { 0 }, one = splat(1.0f);
    switch (step->function) {
    case OOD_UNARY_RELU:
    case OOD_UNARY_LEAKY_RELU:
    case OOD_UNARY_CLIP:
    case OOD_UNARY_SIGMOID:
    case OOD_UNARY_SILU:
    case OOD_UNARY_HARD_SWISH: break;        /* never called for these */
    case OOD_UNARY_ABS: EACH(magnitude(x));
    case OOD_UNARY_NEG: EACH(-x);
    case OOD_UNARY_SIGN: EACH(choose((vec_bits)(x > zero), one, choose((vec_bits)(x < zero), -one, x)));
    case OOD_UNARY_SQUARE: EACH(x * x);
    case OOD_UNARY_CUBE: EACH(x * x * x);
    case OOD_UNARY_SQRT: EACH(square_root(x));
    case OOD_UNARY_RECIPROCAL: EACH(one / x);
    case OOD_UNARY_FLOOR: EACH(round_down(x));
    case OOD_UNARY_CEIL: EACH(round_up(x));
    case OOD_UNARY_ROUND: EACH(nearest(x));
    case OOD_UNARY_EXP: EACH(exponential(x));
    case OOD_UNARY_LOG: EACH(logarithm(x));
    case OOD_UNARY_TANH: EACH(hyperbolic_tangent(x));
    case OOD_UNARY_ERF: EACH(error_function(x));
    case OOD_UNARY_SOFTPLUS: EACH(softplus(x));
    case OOD_UNARY_SOFTSIGN: EACH(x / (one + magnitude(x)));
    case OOD_UNARY_ELU: EACH(exponential_below_zero(x, alpha, one));
    case OOD_UNARY_SELU: EACH(beta * exponential_below_zero(x, alpha, one));
    case OOD_UNARY_CELU: EACH(exponential_below_zero(x, alpha, alpha));
    case OOD_UNARY_HARD_SIGMOID: EACH(at_most(one, at_least(zero, multiply_add(x, alpha, beta))));
    case OOD_UNARY_THRESHOLDED_RELU: EACH(choose((vec_bits)(x <= alpha), zero, x));
    case OOD_UNARY_SHRINK: EACH(shrink(x, alpha, beta));
    case OOD_UNARY_MISH: EACH(mish(x));
    case OOD_UNARY_GELU: EACH(gelu(x));
    case OOD_UNARY_GELU_TANH: EACH(gelu_tanh(x));
    }
}
