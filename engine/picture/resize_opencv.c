/* Resizing as OpenCV's resize(…, INTER_LINEAR) does it on bytes, to the bit: each output pixel is made of two source columns
 * and two source rows around its centre, however much the picture shrinks, with weights of 11 fractional bits. */
#include "picture/picture_internal.h"

#include <math.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

enum { WEIGHT_ONE = 2048 };

struct tap { size_t low, high; int32_t low_weight, high_weight; };

/* A tap whose pixels are neighbours, before the last source pixel: the byte where the lower one begins, the lower weight below the higher. */
struct column { uint32_t at; int32_t weights; };

/* Output `i` of `outputs` over `cells` source pixels. At the edges columns stay inside with the whole weight on one; rows keep
 * their weights and meet the same row twice, which rounds differently. OpenCV has it so. */
static struct tap tap_of(size_t i, size_t outputs, size_t cells, bool column)
{
    double scale = 1 / ((double)outputs / (double)cells);
    float place = (float)(((double)i + 0.5) * scale - 0.5), whole = floorf(place), share = place - whole;
    int64_t low = (int64_t)whole, last = (int64_t)cells - 1;
    if (column && (low < 0 || low >= last)) {
        low = low < 0 ? 0 : last;
        share = 0;
    }
    int64_t high = low + 1 > last ? last : low + 1;
    return (struct tap){
        .low = (size_t)(low < 0 ? 0 : low), .high = (size_t)high,
        .low_weight = (int32_t)lrintf((1 - share) * WEIGHT_ONE), .high_weight = (int32_t)lrintf(share * WEIGHT_ONE),
    };
}

/* Values of a row between the two passes: 15 bits, as the second pass drops the lowest four. ROW_SLACK: a pixel is written as
 * four values, of which the next one writes over the last. */
enum { ROW_SLACK = 1 };

static void widen_pixel(const unsigned char *row, const struct tap *tap, int16_t *out)
{
    const unsigned char *low = row + 3 * tap->low, *high = row + 3 * tap->high;
    for (size_t c = 0; c < 3; c++)
        out[c] = (int16_t)((low[c] * tap->low_weight + high[c] * tap->high_weight) >> 4);
}

static void blend_value(int16_t upper, int16_t lower, const struct tap *tap, unsigned char *out)
{
    int32_t value = (((tap->low_weight * upper) >> 16) + ((tap->high_weight * lower) >> 16) + 2) >> 2;
    *out = (unsigned char)(value < 0 ? 0 : value > 255 ? 255 : value);
}

#ifdef __SSE2__
/* The same numbers, two pixels and sixteen values at a time. Both source pixels of a column are in the eight bytes from the lower one on. */
static __m128i widen_one(const unsigned char *row, const struct column *column)
{
    const __m128i bytes = _mm_loadl_epi64((const __m128i *)(const void *)(row + column->at));
    const __m128i pairs = _mm_unpacklo_epi8(_mm_unpacklo_epi8(bytes, _mm_srli_epi64(bytes, 24)), _mm_setzero_si128());
    return _mm_srai_epi32(_mm_madd_epi16(pairs, _mm_set1_epi32(column->weights)), 4);
}

static size_t widen_most(const unsigned char *row, const struct column *columns, size_t safe, int16_t *out)
{
    size_t x = 0;
    for (; x + 2 <= safe; x += 2, out += 6) {
        __m128i both = _mm_packs_epi32(widen_one(row, &columns[x]), widen_one(row, &columns[x + 1]));
        _mm_storel_epi64((__m128i *)(void *)out, both);
        _mm_storel_epi64((__m128i *)(void *)(out + 3), _mm_srli_si128(both, 8));
    }
    return x;
}

static __m128i blend_eight(const int16_t *upper, const int16_t *lower, __m128i upper_weight, __m128i lower_weight)
{
    __m128i a = _mm_mulhi_epi16(_mm_loadu_si128((const __m128i *)(const void *)upper), upper_weight);
    __m128i b = _mm_mulhi_epi16(_mm_loadu_si128((const __m128i *)(const void *)lower), lower_weight);
    return _mm_srai_epi16(_mm_add_epi16(_mm_add_epi16(a, b), _mm_set1_epi16(2)), 2);
}

static size_t blend_most(const int16_t *upper, const int16_t *lower, const struct tap *tap, size_t values, unsigned char *out)
{
    __m128i upper_weight = _mm_set1_epi16((int16_t)tap->low_weight), lower_weight = _mm_set1_epi16((int16_t)tap->high_weight);
    size_t i = 0;
    for (; values - i >= 16; i += 16) {
        __m128i first = blend_eight(upper + i, lower + i, upper_weight, lower_weight);
        __m128i second = blend_eight(upper + i + 8, lower + i + 8, upper_weight, lower_weight);
        _mm_storeu_si128((__m128i *)(void *)(out + i), _mm_packus_epi16(first, second));
    }
    return i;
}
#else
static size_t widen_most(const unsigned char *row, const struct column *columns, size_t safe, int16_t *out)
{
    (void)row, (void)columns, (void)safe, (void)out;
    return 0;
}

static size_t blend_most(const int16_t *upper, const int16_t *lower, const struct tap *tap, size_t values, unsigned char *out)
{
    (void)upper, (void)lower, (void)tap, (void)values, (void)out;
    return 0;
}
#endif

/* A row's pixels to `width`, of which the first `safe` have columns. */
static void widen_row(const unsigned char *row, const struct tap *taps, const struct column *columns, size_t width, size_t safe, int16_t *out)
{
    for (size_t x = widen_most(row, columns, safe, out); x < width; x++)
        widen_pixel(row, &taps[x], out + 3 * x);
}

/* The columns of the first taps, up to where they are none: how many. */
static size_t find_columns(const struct tap *taps, size_t count, size_t cells, struct column *columns)
{
    size_t x = 0;
    for (; x < count && taps[x].high == taps[x].low + 1 && taps[x].high + 1 < cells && 3 * taps[x].low <= UINT32_MAX; x++)
        columns[x] = (struct column){ (uint32_t)(3 * taps[x].low), taps[x].high_weight << 16 | taps[x].low_weight };
    return x;
}

static void blend_rows(const int16_t *upper, const int16_t *lower, struct tap tap, size_t values, unsigned char *out)
{
    for (size_t i = blend_most(upper, lower, &tap, values, out); i < values; i++)
        blend_value(upper[i], lower[i], &tap, &out[i]);
}

bool ood_resample_opencv(const struct resample *job, struct ood_workspace *workspace, struct ood_error *err)
{
    size_t x0 = (size_t)job->x0, y0 = (size_t)job->y0, width = (size_t)job->x1 - x0, height = (size_t)job->y1 - y0;
    if ((float)x0 != job->x0 || (float)y0 != job->y0 || (float)(x0 + width) != job->x1 || (float)(y0 + height) != job->y1)
        return ood_fail(err, OOD_INVALID, "area %g,%g,%g,%g: OpenCV's filter takes whole pixels only", (double)job->x0,
                        (double)job->y0, (double)job->x1, (double)job->y1);
    size_t values = job->width * 3, tap_bytes = job->width * sizeof(struct tap), column_bytes = job->width * sizeof(struct column);
    size_t row_bytes = (values + ROW_SLACK) * sizeof(int16_t);
    if (!ood_workspace_reserve(&workspace->scratch, &workspace->scratch_capacity, tap_bytes + column_bytes + 2 * row_bytes, err))
        return false;
    struct tap *taps = (struct tap *)(void *)workspace->scratch;
    struct column *columns = (struct column *)(void *)(workspace->scratch + tap_bytes);
    unsigned char *behind = workspace->scratch + tap_bytes + column_bytes;
    int16_t *rows[2] = { (int16_t *)(void *)behind, (int16_t *)(void *)(behind + row_bytes) };
    size_t held[2] = { SIZE_MAX, SIZE_MAX };         /* which source row each holds */
    for (size_t x = 0; x < job->width; x++)
        taps[x] = tap_of(job->x + x, job->full_width, width, true);
    const size_t safe = find_columns(taps, job->width, width, columns);
    for (size_t y = 0; y < job->height; y++) {
        struct tap tap = tap_of(job->y + y, job->full_height, height, false);
        if (held[0] != tap.low && held[1] == tap.low) {      /* the lower one of before is the upper one now */
            int16_t *swap = rows[0];
            rows[0] = rows[1];
            rows[1] = swap;
            held[1] = held[0];
            held[0] = tap.low;
        }
        const size_t wanted[2] = { tap.low, tap.high };
        for (size_t i = 0; i < 2; i++)
            if (held[i] != wanted[i]) {
                widen_row(job->rgb + (y0 + wanted[i]) * job->source_stride + x0 * 3, taps, columns, job->width, safe, rows[i]);
                held[i] = wanted[i];
            }
        blend_rows(rows[0], rows[1], tap, values, job->out + y * job->out_stride);
    }
    return true;
}
