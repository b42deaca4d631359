/* The first convolution of a network by register tiles: up to two vectors of out channels times a few pixels of a row, whose inputs are read one
 * by one out of the planes. Of one and a half of the widest vectors two pixels make three, so that no lane is idle. Each sum begins with the bias
 * and runs over channels, rows and columns of the window that are inside, one multiply_add each, whatever the tile. */
#include "kernel/stem.h"

#include <stdint.h>

#include "kernel/kernels_internal.h"

#define PANEL (2 * VECTOR)                   /* out channels */
#define PAIR (VECTOR + VECTOR / 2)           /* out channels of a last panel whose pixels go in pairs: three vectors for two */
#if VECTOR == 16 || defined(__aarch64__)
#define MOST 12                              /* pixels of a tile of two vectors: 24 sums of 32 registers */
#define FEWER 8
#else
#define MOST 6                               /* 12 of 16 */
#define FEWER 4
#endif
#define MOST_TAPS 256                        /* channels × window */

/* Floats of the weights of a tap for a panel of so many channels. */
static size_t panel_floats(size_t channels)
{
    return channels == 0 ? 0 : VECTOR == 16 && channels == PAIR ? 2 * PAIR : PANEL;
}

bool KERNEL(ood_stem_serves)(const struct ood_stem_shape *shape)
{
    return shape->channels <= 4 && shape->window[0] <= 8 && shape->window[1] <= 8 && (shape->stride == 1 || shape->stride == 2);
}

size_t KERNEL(ood_stem_weights_floats)(const struct ood_stem_shape *shape)
{
    size_t floats = shape->out_channels / PANEL * PANEL + panel_floats(shape->out_channels % PANEL);
    if (shape->out_channels > SIZE_MAX / 64 || __builtin_mul_overflow(floats, shape->channels, &floats) ||
        __builtin_mul_overflow(floats, shape->window[0], &floats) || __builtin_mul_overflow(floats, shape->window[1], &floats) ||
        floats > SIZE_MAX / 4 / sizeof(float))
        return 0;
    return floats;
}


/* [panel][channel, row, column of the window][out channel]: those of a panel, behind them zeros, or those of a pair's second pixel. */
void KERNEL(ood_stem_weights)(float *out, const float *weights, const struct ood_stem_shape *shape)
{
    const size_t taps = shape->channels * shape->window[0] * shape->window[1];
    for (size_t o = 0; o < shape->out_channels; o += PANEL) {
        const size_t channels = shape->out_channels - o < PANEL ? shape->out_channels - o : PANEL, floats = panel_floats(channels);
        for (size_t t = 0; t < taps; t++, out += floats)
            for (size_t i = 0; i < floats; i++)
                out[i] = i < channels || floats > PANEL ? weights[(o + i % channels) * taps + t] : 0;
    }
}

/* One of the products of each sum: where its input lies, from the first of the pixel's window on, and its weights. */
struct tap { long offset; const float *weights; };

struct band {
    const struct ood_stem_call *call;
    const float *bias;                       /* of the panel */
    size_t out_channels;                     /* of the panel, that are there */
    size_t count;
    struct tap taps[MOST_TAPS];
};

/* The steps on rows `first` … of a tile's sums, as many as go together. */
INLINE void finish_rows(vec *sum, size_t rows, size_t width, size_t together, size_t first, const struct ood_stem_call *call)
{
    if (first < rows)
        apply_steps(sum + first * width, (rows - first < together ? rows - first : together) * width, call->steps, call->step_count);
}

/* The steps on a tile's sums, at most 4 · together rows of `width`. A ReLU alone leaves them in their registers; what others call for does not. */
INLINE void finish(vec *sum, size_t rows, size_t width, size_t together, const struct ood_stem_call *call)
{
    if (call->step_count == 1 && call->steps[0].function == OOD_UNARY_RELU) {
        UNROLL for (size_t i = 0; i < rows; i++)
            UNROLL for (size_t v = 0; v < width; v++)
                sum[i * width + v] = at_least((vec){ 0 }, sum[i * width + v]);
        return;
    }
    finish_rows(sum, rows, width, together, 0, call);
    finish_rows(sum, rows, width, together, together, call);
    finish_rows(sum, rows, width, together, 2 * together, call);
    finish_rows(sum, rows, width, together, 3 * together, call);
}

/* x: where the window of the first pixel begins. pixels, width (vectors) and stride are constants where this is inlined. */
INLINE void tile(float *y, const float *x, const struct band *band, size_t pixels, size_t width, size_t stride)
{
    const size_t part = band->out_channels - (width - 1) * VECTOR, target = band->call->shape->target_pixel;
    vec sum[MOST * 2];
    UNROLL for (size_t v = 0; v < width; v++) {
        const vec bias = band->bias == NULL ? (vec){ 0 } : v + 1 < width || part == VECTOR ? load(band->bias + v * VECTOR)
                                                                                         : load_part(band->bias + v * VECTOR, part, 0);
        UNROLL for (size_t p = 0; p < pixels; p++)
            sum[p * width + v] = bias;
    }
    for (const struct tap *tap = band->taps, *end = tap + band->count; tap < end; tap++) {
        const float *from = x + tap->offset;
        vec factor[2];
        UNROLL for (size_t v = 0; v < width; v++)
            factor[v] = load(tap->weights + v * VECTOR);
        UNROLL for (size_t p = 0; p < pixels; p++) {
            const vec value = splat(from[p * stride]);
            UNROLL for (size_t v = 0; v < width; v++)
                sum[p * width + v] = multiply_add(value, factor[v], sum[p * width + v]);
        }
    }
    finish(sum, pixels, width, 4, band->call);
    UNROLL for (size_t p = 0; p < pixels; p++)
        UNROLL for (size_t v = 0; v < width; v++) {
            float *at = y + p * target + v * VECTOR;
            if (v + 1 < width || part == VECTOR)
                store(at, sum[p * width + v]);
            else
                store_part(at, part, sum[p * width + v]);
        }
}

#if VECTOR == 16
/* Two vectors' halves: the first one's lower, the second one's upper. */
INLINE vec halves(vec lower, vec upper)
{
    return (vec)_mm512_mask_blend_ps(0xFF00, (__m512)lower, (__m512)upper);
}

/* The same for pixels of PAIR channels, an even number of them: the second of three vectors holds the last channels of a pair's one pixel and the
 * first of the other. */
INLINE void pair_tile(float *y, const float *x, const struct band *band, size_t pixels, size_t stride)
{
    const size_t target = band->call->shape->target_pixel, half = VECTOR / 2;
    vec sum[MOST * 2], bias[3] = { { 0 }, { 0 }, { 0 } };
    if (band->bias != NULL) {
        bias[0] = load(band->bias);
        bias[2] = load(band->bias + half);
        bias[1] = (vec)_mm512_shuffle_f32x4((__m512)bias[2], (__m512)bias[0], 0x4E);
    }
    UNROLL for (size_t p = 0; p < pixels / 2; p++)
        UNROLL for (size_t v = 0; v < 3; v++)
            sum[p * 3 + v] = bias[v];
    for (const struct tap *tap = band->taps, *end = tap + band->count; tap < end; tap++) {
        const float *from = x + tap->offset;
        const vec factor[3] = { load(tap->weights), load(tap->weights + VECTOR), load(tap->weights + 2 * VECTOR) };
        UNROLL for (size_t p = 0; p < pixels / 2; p++) {
            vec one = splat(from[2 * p * stride]), other = splat(from[(2 * p + 1) * stride]);
            KEEP(one);
            KEEP(other);
            sum[p * 3] = multiply_add(one, factor[0], sum[p * 3]);
            sum[p * 3 + 1] = multiply_add(halves(one, other), factor[1], sum[p * 3 + 1]);
            sum[p * 3 + 2] = multiply_add(other, factor[2], sum[p * 3 + 2]);
        }
    }
    finish(sum, pixels / 2, 3, 2, band->call);
    UNROLL for (size_t p = 0; p < pixels / 2; p++) {
        float *at = y + 2 * p * target;
        store(at, sum[p * 3]);
        _mm256_storeu_ps(at + VECTOR, _mm512_castps512_ps256((__m512)sum[p * 3 + 1]));
        _mm256_storeu_ps(at + target, _mm512_extractf32x8_ps((__m512)sum[p * 3 + 1], 1));
        store(at + target + half, sum[p * 3 + 2]);
    }
}
#endif

typedef void tile_function(float *y, const float *x, const struct band *band);

#define TILE(pixels, width, stride) \
    static void tile_##pixels##_##width##_##stride(float *y, const float *x, const struct band *band) \
    { \
        tile(y, x, band, pixels, width, stride); \
    }
TILE(12, 1, 1) TILE(8, 1, 1) TILE(1, 1, 1) TILE(12, 1, 2) TILE(8, 1, 2) TILE(1, 1, 2) TILE(1, 2, 1) TILE(1, 2, 2)
#if VECTOR == 16
#define PAIR_TILE(pixels, stride) \
    static void pair_tile_##pixels##_##stride(float *y, const float *x, const struct band *band) \
    { \
        pair_tile(y, x, band, pixels, stride); \
    }
PAIR_TILE(16, 1) PAIR_TILE(8, 1) PAIR_TILE(16, 2) PAIR_TILE(8, 2)
#endif
#if MOST == 12
TILE(12, 2, 1) TILE(8, 2, 1) TILE(12, 2, 2) TILE(8, 2, 2)
#else
TILE(6, 2, 1) TILE(4, 2, 1) TILE(6, 2, 2) TILE(4, 2, 2)
#endif

/* By width, the third for pairs, and stride. */
static const struct sizes { size_t most, fewer; tile_function *large, *small, *one; } sizes[][2] = {
    { { 12, 8, tile_12_1_1, tile_8_1_1, tile_1_1_1 }, { 12, 8, tile_12_1_2, tile_8_1_2, tile_1_1_2 } },
#if MOST == 12
    { { MOST, FEWER, tile_12_2_1, tile_8_2_1, tile_1_2_1 }, { MOST, FEWER, tile_12_2_2, tile_8_2_2, tile_1_2_2 } },
#else
    { { MOST, FEWER, tile_6_2_1, tile_4_2_1, tile_1_2_1 }, { MOST, FEWER, tile_6_2_2, tile_4_2_2, tile_1_2_2 } },
#endif
#if VECTOR == 16
    { { 16, 8, pair_tile_16_1, pair_tile_8_1, tile_1_2_1 }, { 16, 8, pair_tile_16_2, pair_tile_8_2, tile_1_2_2 } },
#endif
};

/* Rows and columns of the window that are inside for a window that begins at row `top`, column `left` of the map: `from` … `to` - 1. */
struct range { size_t from, to; };

static struct range inside(long begin, size_t window, size_t size)
{
    const long over = begin + (long)window - (long)size;
    struct range range = { begin < 0 ? (size_t)-begin : 0, over <= 0 ? window : over >= (long)window ? 0 : window - (size_t)over };
    return range;
}

/* The taps of windows whose rows and columns are there. */
static void list_taps(struct band *band, const float *weights, struct range rows, struct range columns)
{
    const struct ood_stem_shape *s = band->call->shape;
    const size_t floats = panel_floats(band->out_channels);
    band->count = 0;
    for (size_t c = 0; c < s->channels; c++)
        for (size_t r = rows.from; r < rows.to; r++)
            for (size_t k = columns.from; k < columns.to; k++)
                band->taps[band->count++] = (struct tap){ (long)((c * s->height + r) * s->width + k),
                                                          weights + ((c * s->window[0] + r) * s->window[1] + k) * floats };
}

/* A row of outputs of one panel, whose windows begin at row `top` of the map: at the edges pixel by pixel, between them in tiles, of which the last
 * may meet the one before: the same bits again. */
static void panel_row(float *y, struct band *band, const float *map, long top, const float *weights)
{
    const struct ood_stem_shape *s = band->call->shape;
    const struct sizes *kind = &sizes[panel_floats(band->out_channels) > PANEL ? 2 : band->out_channels > VECTOR][s->stride - 1];
    const struct range rows = inside(top, s->window[0], s->height), all = { 0, s->window[1] };
    const float *row = map + top * (long)s->width - (long)s->pad_left;
    size_t first = (s->pad_left + s->stride - 1) / s->stride, end = s->width + s->pad_left;
    end = end < s->window[1] ? 0 : (end - s->window[1]) / s->stride + 1;     /* outputs first … end - 1 have whole windows */
    end = end > s->out_width ? s->out_width : end;
    first = first < end ? first : end;
    const size_t whole = end - first, large = (whole + kind->most - 1) / kind->most * kind->most;
    const size_t small = (whole + kind->fewer - 1) / kind->fewer * kind->fewer;
    const size_t size = whole < kind->fewer ? 1 : whole < kind->most || small < large ? kind->fewer : kind->most;
    tile_function *function = size == 1 ? kind->one : size == kind->fewer ? kind->small : kind->large;
    list_taps(band, weights, rows, all);
    for (size_t x = first; x < end; x += size) {
        x = end - x < size ? end - size : x;
        function(y + x * s->target_pixel, row + x * s->stride, band);
    }
    for (size_t x = 0; x < s->out_width; x++) {
        x = x == first ? end : x;
        if (x == s->out_width)
            break;
        list_taps(band, weights, rows, inside((long)(x * s->stride) - (long)s->pad_left, s->window[1], s->width));
        kind->one(y + x * s->target_pixel, row + x * s->stride, band);
    }
}

void KERNEL(ood_stem)(const struct ood_stem_call *call)
{
    const struct ood_stem_shape *s = call->shape;
    const size_t taps = s->channels * s->window[0] * s->window[1];
    struct band band = { .call = call };
    for (size_t n = 0; n < s->batch; n++)
        for (size_t row = 0; row < s->out_height; row++)
            for (size_t o = 0; o < s->out_channels; o += PANEL) {
                band.bias = call->bias == NULL ? NULL : call->bias + o;
                band.out_channels = s->out_channels - o < PANEL ? s->out_channels - o : PANEL;
                panel_row(call->destination + (n * s->out_height + row) * s->out_width * s->target_pixel + o, &band,
                          call->source + n * s->channels * s->height * s->width, (long)((call->first_row + row) * s->stride) - (long)s->pad_top,
                          call->weights + o * taps);
            }
}

/* One vector of channels, of which `part` are there. */
INLINE vec take(const float *x, size_t part)
{
    return part == VECTOR ? load(x) : load_part(x, part, 0);
}

INLINE void put(float *y, size_t part, vec v)
{
    if (part == VECTOR)
        store(y, v);
    else
        store_part(y, part, v);
}

/* `count` outputs of one vector of channels, whose windows are three columns from x on and two apart: the last of one is the first of the next. */
INLINE void overlapping(float *y, const float *x, size_t count, size_t channels, size_t part)
{
    vec last = take(x, part);
    for (size_t i = 0; i < count; i++, y += channels) {
        const vec inner = take(x + channels, part), next = take(x += 2 * channels, part);
        put(y, part, at_least(at_least(last, inner), next));
        last = next;
    }
}

void KERNEL(ood_max_columns)(float *y, const float *row, const struct ood_max_columns *shape)
{
    const size_t channels = shape->channels, stride = shape->stride;
    size_t first = (shape->pad_left + stride - 1) / stride, end = shape->width + shape->pad_left;
    end = end < shape->window ? 0 : (end - shape->window) / stride + 1;      /* outputs first … end - 1 have whole windows */
    end = end > shape->out_width ? shape->out_width : end;
    first = first < end && shape->window == 3 && stride == 2 ? first : end;
    for (size_t c = 0; c < channels && first < end; c += VECTOR) {
        const float *from = row + (first * stride - shape->pad_left) * channels + c;
        if (channels - c >= VECTOR)
            overlapping(y + first * channels + c, from, end - first, channels, VECTOR);
        else
            overlapping(y + first * channels + c, from, end - first, channels, channels - c);
    }
    for (size_t x = 0; x < shape->out_width; x++) {
        x = x == first ? end : x;
        if (x == shape->out_width)
            break;
        const size_t begin = x * stride, behind = begin + shape->window - shape->pad_left;
        const size_t from = begin < shape->pad_left ? 0 : begin - shape->pad_left, to = behind < shape->width ? behind : shape->width;
        for (size_t c = 0; c < channels; c += VECTOR) {
            const size_t part = channels - c < VECTOR ? channels - c : VECTOR;
            vec most = take(row + from * channels + c, part);
            for (size_t k = from + 1; k < to; k++)
                most = at_least(most, take(row + k * channels + c, part));
            put(y + x * channels + c, part, most);
        }
    }
}

/* count vectors, which is a constant where this is inlined; of the last there are `part` floats. */
INLINE void greatest_of_rows(float *y, const float *const *rows, size_t row_count, size_t at, size_t count, size_t part)
{
    vec most[BLOCK];
    UNROLL for (size_t v = 0; v < count; v++)
        most[v] = take(rows[0] + at + v * VECTOR, v + 1 < count ? VECTOR : part);
    for (size_t r = 1; r < row_count; r++)
        UNROLL for (size_t v = 0; v < count; v++)
            most[v] = at_least(most[v], take(rows[r] + at + v * VECTOR, v + 1 < count ? VECTOR : part));
    UNROLL for (size_t v = 0; v < count; v++)
        put(y + at + v * VECTOR, v + 1 < count ? VECTOR : part, most[v]);
}

void KERNEL(ood_max_rows)(float *y, const float *const *rows, size_t row_count, size_t n)
{
    size_t i = 0;
    for (; n - i >= BLOCK * VECTOR; i += BLOCK * VECTOR)
        greatest_of_rows(y, rows, row_count, i, BLOCK, VECTOR);
    for (; n - i >= VECTOR; i += VECTOR)
        greatest_of_rows(y, rows, row_count, i, 1, VECTOR);
    if (i < n)
        greatest_of_rows(y, rows, row_count, i, 1, n - i);
}
