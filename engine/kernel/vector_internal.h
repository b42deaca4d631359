/* Vectors of floats for the instruction set this file is compiled for: GCC's vector extensions, and intrinsics only where a
 * rounding (fused multiply-add) or a NaN (minimum, maximum) must not be left to the compiler. Compiled with
 * -ffp-contract=off: what is fused stands in the source, so every copy of a loop gives the same bits. */
#ifndef OOD_KERNEL_VECTOR_INTERNAL_H
#define OOD_KERNEL_VECTOR_INTERNAL_H

#include <string.h>

#include "kernel/kernel.h"

#if defined(__SSE2__)
#include <immintrin.h>
#elif defined(__ARM_NEON) && defined(__aarch64__)
#include <arm_neon.h>
#endif

#if defined(__AVX512F__)
#define VECTOR 16                            /* floats */
#elif defined(__AVX2__)
#define VECTOR 8
#else
#define VECTOR 4
#endif
#define BLOCK 4                              /* vectors handled together, so that latencies overlap */
#define STEP_VECTORS 8                       /* the most that take their steps together */

typedef float vec __attribute__((vector_size(VECTOR * 4)));
typedef float vec_unaligned __attribute__((vector_size(VECTOR * 4), aligned(4), may_alias));
typedef unsigned vec_bits __attribute__((vector_size(VECTOR * 4)));

#define INLINE static inline __attribute__((always_inline, unused))
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define UNROLL                               /* checks on every access of an unrolled tile take clang minutes to compile */
#endif
#endif
#if defined(UNROLL)
#elif defined(__clang__)
#define UNROLL _Pragma("unroll")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

/* The value is in a register from here on: left alone, gcc reads an operand of several fused multiply-adds from memory for each, which takes
 * twice as long where it does not lie aligned. */
#if defined(__x86_64__)
#define KEEP(v) __asm__("" : "+v"(v))
#else
#define KEEP(v) (void)(v)
#endif

/* f_avx2 and so on: one name for each version. */
#define KERNEL_PASTE(name, isa) name##_##isa
#define KERNEL_EXPAND(name, isa) KERNEL_PASTE(name, isa)
#define KERNEL(name) KERNEL_EXPAND(name, OOD_KERNEL_ISA)

INLINE vec load(const float *p) { return *(const vec_unaligned *)p; }
INLINE void store(float *p, vec v) { *(vec_unaligned *)p = v; }
INLINE vec splat(float x) { return x - (vec){ 0 }; }

#if defined(__AVX2__) && !defined(__AVX512F__)
/* n lanes set, VECTOR - n not. */
INLINE __m256i first_lanes(size_t n)
{
    static const int lanes[2 * VECTOR] = { -1, -1, -1, -1, -1, -1, -1, -1 };
    return _mm256_loadu_si256((const __m256i_u *)(lanes + VECTOR - n));
}
#endif

/* The first n < VECTOR floats of p, the rest `fill`. No byte behind them is touched. */
INLINE vec load_part(const float *p, size_t n, float fill)
{
#if defined(__AVX512F__)
    return (vec)_mm512_mask_loadu_ps((__m512)splat(fill), (__mmask16)((1u << n) - 1), p);
#elif defined(__AVX2__)
    return (vec)_mm256_blendv_ps((__m256)splat(fill), _mm256_maskload_ps(p, first_lanes(n)), (__m256)first_lanes(n));
#else
    float padded[VECTOR];
    for (size_t i = 0; i < VECTOR; i++)
        padded[i] = fill;
    memcpy(padded, p, n * sizeof *p);
    return load(padded);
#endif
}

INLINE void store_part(float *p, size_t n, vec v)
{
#if defined(__AVX512F__)
    _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), (__m512)v);
#elif defined(__AVX2__)
    _mm256_maskstore_ps(p, first_lanes(n), (__m256)v);
#else
    float padded[VECTOR];
    store(padded, v);
    memcpy(p, padded, n * sizeof *p);
#endif
}

/* a where the mask's bits are set, else b. */
INLINE vec choose(vec_bits mask, vec a, vec b)
{
    return (vec)(((vec_bits)a & mask) | ((vec_bits)b & ~mask));
}

/* a·b + c, one rounding where the instruction set has it. */
INLINE vec multiply_add(vec a, vec b, vec c)
{
#if defined(__AVX512F__)
    return (vec)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(__AVX2__) && defined(__FMA__)
    return (vec)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#elif defined(__ARM_NEON) && defined(__aarch64__)
    return (vec)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
#else
    return a * b + c;
#endif
}

/* The greater (less) of bound and x; x where x is NaN. */
INLINE vec at_least(vec bound, vec x)
{
#if defined(__AVX512F__)
    return (vec)_mm512_max_ps((__m512)bound, (__m512)x);
#elif defined(__AVX2__)
    return (vec)_mm256_max_ps((__m256)bound, (__m256)x);
#elif defined(__SSE2__)
    return (vec)_mm_max_ps((__m128)bound, (__m128)x);
#else
    return choose((vec_bits)(bound > x), bound, x);
#endif
}

INLINE vec at_most(vec bound, vec x)
{
#if defined(__AVX512F__)
    return (vec)_mm512_min_ps((__m512)bound, (__m512)x);
#elif defined(__AVX2__)
    return (vec)_mm256_min_ps((__m256)bound, (__m256)x);
#elif defined(__SSE2__)
    return (vec)_mm_min_ps((__m128)bound, (__m128)x);
#else
    return choose((vec_bits)(bound < x), bound, x);
#endif
}

/* The greater (less) of both; NaN where either is. */
INLINE vec greater(vec a, vec b) { return choose((vec_bits)(a != a), a, at_least(a, b)); }
INLINE vec less(vec a, vec b) { return choose((vec_bits)(a != a), a, at_most(a, b)); }

/* exp(x) for x <= 0, within 2e-7 relative; below 2^-126.5: 0. NaN stays NaN. x = n·ln 2 + r, a polynomial in r (Cephes'
 * expf), 2^n through the exponent's bits: n lies in the low bits of `shifted`. */
INLINE vec exp_negative(vec x)
{
    const vec magic = splat(12582912.0f);    /* 1.5 · 2^23: adding it rounds to an integer */
    x = at_least(splat(-88.0f), x);
    vec shifted = multiply_add(x, splat(1.44269504f), magic);
    vec n = shifted - magic;
    vec r = multiply_add(n, splat(-0.693359375f), x);
    r = multiply_add(n, splat(2.12194440e-4f), r);
    vec p = splat(1.9875691500e-4f);
    p = multiply_add(p, r, splat(1.3981999507e-3f));
    p = multiply_add(p, r, splat(8.3334519073e-3f));
    p = multiply_add(p, r, splat(4.1665795894e-2f));
    p = multiply_add(p, r, splat(1.6666665459e-1f));
    p = multiply_add(p, r, splat(5.0000001201e-1f));
    p = multiply_add(p, r * r, r) + splat(1.0f);
    vec_bits power = ((vec_bits)shifted - (vec_bits)magic + 127u) << 23;
    return p * (vec)power;
}

/* 1 / (1 + exp(-x)): the exponential's argument is never positive, so that both tails keep their relative accuracy. */
INLINE vec sigmoid(vec x)
{
    vec e = exp_negative((vec)((vec_bits)x | 0x80000000u));
    vec s = splat(1.0f) / (splat(1.0f) + e);
    return choose((vec_bits)(x < (vec){ 0 }), e * s, s);
}

/* x · min(max(x/6 + 1/2, 0), 1). */
INLINE vec hard_swish(vec x)
{
    return x * at_most(splat(1.0f), at_least((vec){ 0 }, multiply_add(x, splat(1.0f / 6.0f), splat(0.5f))));
}

/* Every function that apply_steps does not write out, on `count` vectors in place. functions.c */
void KERNEL(ood_functions)(vec *v, size_t count, const struct ood_unary_step *step);

/* The steps on `count` vectors; count is a constant where this is inlined. The called functions get a copy: v stays in registers. */
INLINE void apply_steps(vec *v, size_t count, const struct ood_unary_step *steps, size_t step_count)
{
    for (size_t s = 0; s < step_count; s++) {
        const vec alpha = splat(steps[s].alpha), beta = splat(steps[s].beta);
        switch (steps[s].function) {
        case OOD_UNARY_RELU:
            UNROLL for (size_t i = 0; i < count; i++)
                v[i] = at_least((vec){ 0 }, v[i]);
            break;
        case OOD_UNARY_LEAKY_RELU:
            UNROLL for (size_t i = 0; i < count; i++)
                v[i] = choose((vec_bits)(v[i] < (vec){ 0 }), v[i] * alpha, v[i]);
            break;
        case OOD_UNARY_CLIP:
            UNROLL for (size_t i = 0; i < count; i++)
                v[i] = at_most(beta, at_least(alpha, v[i]));
            break;
        case OOD_UNARY_SIGMOID:
            UNROLL for (size_t i = 0; i < count; i++)
                v[i] = sigmoid(v[i]);
            break;
        case OOD_UNARY_SILU:
            UNROLL for (size_t i = 0; i < count; i++)
                v[i] = v[i] * sigmoid(v[i]);
            break;
        case OOD_UNARY_HARD_SWISH:
            UNROLL for (size_t i = 0; i < count; i++)
                v[i] = hard_swish(v[i]);
            break;
        default: {
            vec copy[STEP_VECTORS];
            UNROLL for (size_t i = 0; i < count; i++)
                copy[i] = v[i];
            KERNEL(ood_functions)(copy, count, &steps[s]);
            UNROLL for (size_t i = 0; i < count; i++)
                v[i] = copy[i];
            break;
        }
        }
    }
}

#endif
