/* Bytes of pictures: two rows blended into one, a row's pixels weighed against their neighbours, and into planes of the network's numbers. Each
 * does as many as its vectors are made for and says how many; the last vector may meet the one before, for the same numbers once more. */
#include "kernel/kernels_internal.h"

#include <stdint.h>

#if defined(__AVX512BW__)
#define WORDS 32                             /* of a vector of 16 bits */
typedef __m512i words;
#define LOAD_WORDS(p) _mm512_loadu_si512(p)
#define SAME_WORDS(x) _mm512_set1_epi16(x)
#define HIGH_PRODUCTS _mm512_mulhi_epi16
#define ADD_WORDS _mm512_add_epi16
#define HALVE_WORDS_TWICE(x) _mm512_srai_epi16(x, 2)
#elif defined(__AVX2__)
#define WORDS 16
typedef __m256i words;
#define LOAD_WORDS(p) _mm256_loadu_si256((const __m256i_u *)(const void *)(p))
#define SAME_WORDS(x) _mm256_set1_epi16(x)
#define HIGH_PRODUCTS _mm256_mulhi_epi16
#define ADD_WORDS _mm256_add_epi16
#define HALVE_WORDS_TWICE(x) _mm256_srai_epi16(x, 2)
#elif defined(__SSE2__)
#define WORDS 8
typedef __m128i words;
#define LOAD_WORDS(p) _mm_loadu_si128((const __m128i_u *)(const void *)(p))
#define SAME_WORDS(x) _mm_set1_epi16(x)
#define HIGH_PRODUCTS _mm_mulhi_epi16
#define ADD_WORDS _mm_add_epi16
#define HALVE_WORDS_TWICE(x) _mm_srai_epi16(x, 2)
#endif

/* ---- blending ---- */

#ifdef WORDS
INLINE words blend(const int16_t *upper, const int16_t *lower, words upper_weight, words lower_weight)
{
    const words sum = ADD_WORDS(HIGH_PRODUCTS(LOAD_WORDS(upper), upper_weight), HIGH_PRODUCTS(LOAD_WORDS(lower), lower_weight));
    return HALVE_WORDS_TWICE(ADD_WORDS(sum, SAME_WORDS(2)));
}

/* Clipped to bytes, `first` before `second`. */
INLINE void store_bytes(unsigned char *out, words first, words second)
{
#if WORDS == 32
    const __m512i order = _mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7);
    _mm512_storeu_si512(out, _mm512_permutexvar_epi64(order, _mm512_packus_epi16(first, second)));
#elif WORDS == 16
    _mm256_storeu_si256((__m256i_u *)(void *)out, _mm256_permute4x64_epi64(_mm256_packus_epi16(first, second), 0xd8));
#else
    _mm_storeu_si128((__m128i_u *)(void *)out, _mm_packus_epi16(first, second));
#endif
}
#endif

size_t KERNEL(ood_blend_rows)(unsigned char *out, const int16_t *upper, const int16_t *lower, int16_t upper_weight, int16_t lower_weight, size_t n)
{
#ifdef WORDS
    const words up = SAME_WORDS(upper_weight), low = SAME_WORDS(lower_weight);
    for (size_t at = 0; n >= 2 * WORDS && at < n; at += 2 * WORDS) {
        const size_t i = n - at < 2 * WORDS ? n - 2 * WORDS : at;
        store_bytes(out + i, blend(upper + i, lower + i, up, low), blend(upper + i + WORDS, lower + i + WORDS, up, low));
    }
    return n >= 2 * WORDS ? n : 0;
#else
    (void)out, (void)upper, (void)lower, (void)upper_weight, (void)lower_weight, (void)n;
    return 0;
#endif
}

/* ---- weighing neighbours ---- */

#if defined(__AVX2__)
/* Of two pixels that begin eight bytes each, to words: the first one's colour beside the second one's, three times. */
#define PAIR_ORDER 0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1

INLINE __m128i two_places(const unsigned char *row, const uint32_t *at)
{
    const __m128i first = _mm_loadl_epi64((const __m128i *)(const void *)(row + at[0]));
    return _mm_castps_si128(_mm_loadh_pi(_mm_castsi128_ps(first), (const __m64 *)(const void *)(row + at[1])));
}
#endif

#if defined(__AVX512BW__)
#define TOGETHER 8
/* Sums of four pixels, 32 bits each, a pixel in four. */
INLINE __m512i weigh(const unsigned char *row, const uint32_t *at, const int32_t *weights)
{
    const __m256i places = _mm256_inserti128_si256(_mm256_castsi128_si256(two_places(row, at)), two_places(row, at + 2), 1);
    const __m512i spread = _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 0, 1, 1, 2, 2, 3, 3), _mm512_castsi256_si512(places));
    const __m512i pairs = _mm512_shuffle_epi8(spread, _mm512_broadcast_i32x4(_mm_setr_epi8(PAIR_ORDER)));
    const __m512i each = _mm512_castsi128_si512(_mm_loadu_si128((const __m128i_u *)(const void *)weights));
    const __m512i own = _mm512_permutexvar_epi32(_mm512_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3), each);
    return _mm512_srai_epi32(_mm512_madd_epi16(pairs, own), 4);
}

INLINE void weigh_together(int16_t *out, const unsigned char *row, const uint32_t *at, const int32_t *weights)
{
    static const int16_t order[32] = { 0, 1, 2, 8, 9, 10, 16, 17, 18, 24, 25, 26, 4, 5, 6, 12, 13, 14, 20, 21, 22, 28, 29, 30 };
    const __m512i both = _mm512_packs_epi32(weigh(row, at, weights), weigh(row, at + 4, weights + 4));
    _mm512_mask_storeu_epi16(out, (1u << 3 * TOGETHER) - 1, _mm512_permutexvar_epi16(_mm512_loadu_si512(order), both));
}
#elif defined(__AVX2__)
#define TOGETHER 4
INLINE __m256i weigh(const unsigned char *row, const uint32_t *at, const int32_t *weights)
{
    const __m256i spread = _mm256_permute4x64_epi64(_mm256_castsi128_si256(two_places(row, at)), 0x50);
    const __m256i pairs = _mm256_shuffle_epi8(spread, _mm256_broadcastsi128_si256(_mm_setr_epi8(PAIR_ORDER)));
    const __m256i each = _mm256_castsi128_si256(_mm_loadl_epi64((const __m128i *)(const void *)weights));
    const __m256i own = _mm256_permutevar8x32_epi32(each, _mm256_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1));
    return _mm256_srai_epi32(_mm256_madd_epi16(pairs, own), 4);
}

/* A pixel is written as four values, of which the next one writes over the last. */
INLINE void weigh_together(int16_t *out, const unsigned char *row, const uint32_t *at, const int32_t *weights)
{
    const __m256i both = _mm256_packs_epi32(weigh(row, at, weights), weigh(row, at + 2, weights + 2));
    const __m128i even = _mm256_castsi256_si128(both), odd = _mm256_extracti128_si256(both, 1);
    const int64_t pixels[TOGETHER] = { _mm_cvtsi128_si64(even), _mm_cvtsi128_si64(odd), _mm_extract_epi64(even, 1), _mm_extract_epi64(odd, 1) };
    for (size_t i = 0; i < TOGETHER; i++)
        memcpy(out + 3 * i, &pixels[i], sizeof pixels[i]);
}
#elif defined(__SSE2__)
#define TOGETHER 2
INLINE __m128i weigh(const unsigned char *row, const uint32_t *at, const int32_t *weights)
{
    const __m128i bytes = _mm_loadl_epi64((const __m128i *)(const void *)(row + *at));
    const __m128i pairs = _mm_unpacklo_epi8(_mm_unpacklo_epi8(bytes, _mm_srli_epi64(bytes, 24)), _mm_setzero_si128());
    return _mm_srai_epi32(_mm_madd_epi16(pairs, _mm_set1_epi32(*weights)), 4);
}

INLINE void weigh_together(int16_t *out, const unsigned char *row, const uint32_t *at, const int32_t *weights)
{
    const __m128i both = _mm_packs_epi32(weigh(row, at, weights), weigh(row, at + 1, weights + 1));
    _mm_storel_epi64((__m128i *)(void *)out, both);
    _mm_storel_epi64((__m128i *)(void *)(out + 3), _mm_srli_si128(both, 8));
}
#endif

size_t KERNEL(ood_weigh_pixels)(int16_t *out, const unsigned char *row, const uint32_t *at, const int32_t *weights, size_t n)
{
#ifdef TOGETHER
    for (size_t i = 0; n >= TOGETHER && i < n; i += TOGETHER) {
        i = n - i < TOGETHER ? n - TOGETHER : i;
        weigh_together(out + 3 * i, row, at + i, weights + i);
    }
    return n >= TOGETHER ? n : 0;
#else
    (void)out, (void)row, (void)at, (void)weights, (void)n;
    return 0;
#endif
}

/* ---- planes of numbers ---- */

#if defined(__AVX2__)
typedef int vec_places __attribute__((vector_size(VECTOR * 4)));

/* A vector of pixels, of which each sixteen bytes of the vector begin with four. */
INLINE vec pixels_at(const unsigned char *rgb)
{
    const vec bytes = load_part((const void *)rgb, VECTOR * 3 / 4, 0);
#if VECTOR == 16
    return (vec)_mm512_permutexvar_ps(_mm512_setr_epi32(0, 1, 2, 3, 3, 4, 5, 6, 6, 7, 8, 9, 9, 10, 11, 12), (__m512)bytes);
#else
    return (vec)_mm256_permutevar8x32_ps((__m256)bytes, _mm256_setr_epi32(0, 1, 2, 3, 3, 4, 5, 6));
#endif
}

/* Byte c of each pixel as a number. */
INLINE vec colour_of(vec pixels, size_t c)
{
    static const int places[3][4] = {
#define PLACES(c) { ~0xff | (c), ~0xff | (3 + (c)), ~0xff | (6 + (c)), ~0xff | (9 + (c)) }
        PLACES(0), PLACES(1), PLACES(2),
    };
    const __m128i place = _mm_loadu_si128((const __m128i_u *)(const void *)places[c]);
#if VECTOR == 16
    return __builtin_convertvector((vec_places)_mm512_shuffle_epi8((__m512i)pixels, _mm512_broadcast_i32x4(place)), vec);
#else
    return __builtin_convertvector((vec_places)_mm256_shuffle_epi8((__m256i)pixels, _mm256_broadcastsi128_si256(place)), vec);
#endif
}

/* The quotient by way of the divisor's inverse, and what is left of the dividend by the quotient. */
INLINE vec value_of(vec byte, vec scale, const struct ood_pixel_colour *c)
{
    const vec value = byte * scale - splat(c->mean), quotient = value * splat(c->inverse);
    return multiply_add(multiply_add(-quotient, splat(c->std), value), splat(c->inverse), quotient);
}
#endif

size_t KERNEL(ood_pixel_planes)(const struct ood_pixel_planes *to, const unsigned char *rgb, size_t n)
{
#if defined(__AVX2__)
    const struct ood_pixel_planes planes = *to;      /* nothing that is stored changes it */
    for (size_t at = 0; n >= VECTOR && at < n; at += VECTOR) {
        const size_t i = n - at < VECTOR ? n - VECTOR : at;
        const vec pixels = pixels_at(rgb + 3 * i);
        UNROLL for (size_t c = 0; c < 3; c++)
            store(planes.colour[c].out + i, value_of(colour_of(pixels, c), splat(planes.scale), &planes.colour[c]));
    }
    return n >= VECTOR ? n : 0;
#else
    (void)to, (void)rgb, (void)n;
    return 0;
#endif
}
