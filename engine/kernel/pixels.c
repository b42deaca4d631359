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
#define PACK_WORDS _mm512_packs_epi32
#define STORE_WORDS(p, x) _mm512_storeu_si512(p, x)
#elif defined(__AVX2__)
#define WORDS 16
typedef __m256i words;
#define LOAD_WORDS(p) _mm256_loadu_si256((const __m256i_u *)(const void *)(p))
#define SAME_WORDS(x) _mm256_set1_epi16(x)
#define HIGH_PRODUCTS _mm256_mulhi_epi16
#define ADD_WORDS _mm256_add_epi16
#define HALVE_WORDS_TWICE(x) _mm256_srai_epi16(x, 2)
#define PACK_WORDS _mm256_packs_epi32
#define STORE_WORDS(p, x) _mm256_storeu_si256((__m256i_u *)(void *)(p), x)
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

#if defined(__SSE2__)
/* A pixel is made of four values, of which the next one writes over the last. */
INLINE __m128i weigh(const unsigned char *row, const uint32_t *at, const int32_t *weights)
{
    const __m128i bytes = _mm_loadl_epi64((const __m128i *)(const void *)(row + *at));
    const __m128i pairs = _mm_unpacklo_epi8(_mm_unpacklo_epi8(bytes, _mm_srli_epi64(bytes, 24)), _mm_setzero_si128());
    return _mm_srai_epi32(_mm_madd_epi16(pairs, _mm_set1_epi32(*weights)), 4);
}
#endif

size_t KERNEL(ood_weigh_pixels)(int16_t *out, const unsigned char *row, const uint32_t *at, const int32_t *weights, size_t n)
{
#if defined(__SSE2__)
    for (size_t i = 0; n >= 2 && i < n; i += 2) {
        i = n - i < 2 ? n - 2 : i;
        const __m128i both = _mm_packs_epi32(weigh(row, at + i, weights + i), weigh(row, at + i + 1, weights + i + 1));
        _mm_storel_epi64((__m128i *)(void *)(out + 3 * i), both);
        _mm_storel_epi64((__m128i *)(void *)(out + 3 * i + 3), _mm_srli_si128(both, 8));
    }
    return n >= 2 ? n : 0;
#else
    (void)out, (void)row, (void)at, (void)weights, (void)n;
    return 0;
#endif
}

#if defined(__AVX2__)
INLINE __m128i quad_bytes(const unsigned char *row, const uint32_t at[2], bool near)
{
    if (near)
        return _mm_loadu_si128((const __m128i_u *)(const void *)(row + at[0]));
    const __m128i first = _mm_loadl_epi64((const __m128i *)(const void *)(row + at[0]));
    return _mm_castps_si128(_mm_loadh_pi(_mm_castsi128_ps(first), (const __m64 *)(const void *)(row + at[1])));
}

/* A vector of quads, 32 bits a value. */
INLINE words weigh_quads(const unsigned char *row, const struct ood_pixel_group *group, size_t quad, bool near)
{
    __m128i bytes[WORDS / 8];
    UNROLL for (size_t i = 0; i < WORDS / 8; i++)
        bytes[i] = quad_bytes(row, group->at[quad + i], near);
    const __m256i half = _mm256_inserti128_si256(_mm256_castsi128_si256(bytes[0]), bytes[1], 1);
#if WORDS == 32
    const __m256i other = _mm256_inserti128_si256(_mm256_castsi128_si256(bytes[2]), bytes[3], 1);
    const words all = _mm512_inserti64x4(_mm512_castsi256_si512(half), other, 1);
    return _mm512_srai_epi32(_mm512_madd_epi16(_mm512_shuffle_epi8(all, LOAD_WORDS(group->place[quad])), LOAD_WORDS(group->weight[quad])), 4);
#else
    return _mm256_srai_epi32(_mm256_madd_epi16(_mm256_shuffle_epi8(half, LOAD_WORDS(group->place[quad])), LOAD_WORDS(group->weight[quad])), 4);
#endif
}

/* Packing two vectors takes a quad of each by turns: even ones and odd ones are in order again. */
INLINE void weigh_all(int16_t *out, const unsigned char *row, const struct ood_pixel_group *groups, size_t count, bool near)
{
    for (size_t g = 0; g < count; g++)
        UNROLL for (size_t quad = 0; quad < OOD_PIXEL_QUADS / 2; quad += WORDS / 8, out += WORDS) {
            const words even = weigh_quads(row, &groups[g], quad, near), odd = weigh_quads(row, &groups[g], quad + OOD_PIXEL_QUADS / 2, near);
            STORE_WORDS(out, PACK_WORDS(even, odd));
        }
}

void KERNEL(ood_weigh_groups)(int16_t *out, const unsigned char *row, const struct ood_pixel_group *groups, size_t count, bool near)
{
    if (near)
        weigh_all(out, row, groups, count, true);
    else
        weigh_all(out, row, groups, count, false);
}
#endif

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
