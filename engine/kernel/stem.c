/* The first convolution of a network by register tiles: up to two vectors of out channels times a few pixels of a row, whose inputs are read one
 * by one out of the planes. Each sum begins with the bias and runs over channels, rows and columns of the window that are inside, one
 * multiply_add each, whatever the tile. */
#include "kernel/stem.h"

#include <stdint.h>

#include "kernel/kernels_internal.h"

#define PANEL (2 * VECTOR)                   /* out channels */
#if VECTOR == 16 || defined(__aarch64__)
#define MOST 12                              /* pixels of a tile of two vectors: 24 sums of 32 registers */
#define FEWER 8
#else
#define MOST 6                               /* 12 of 16 */
#define FEWER 4
#endif
#define MOST_TAPS 256                        /* channels × window */

bool KERNEL(ood_stem_serves)(const struct ood_stem_shape *shape)
{
    return shape->channels <= 4 && shape->window[0] <= 8 && shape->window[1] <= 8 && (shape->stride == 1 || shape->stride == 2);
}

size_t KERNEL(ood_stem_weights_floats)(const struct ood_stem_shape *shape)
{
    size_t floats = (shape->out_channels + PANEL - 1) / PANEL * PANEL;
    if (shape->out_channels > SIZE_MAX / 64 || __builtin_mul_overflow(floats, shape->channels, &floats) ||
        __builtin_mul_overflow(floats, shape->window[0], &floats) || __builtin_mul_overflow(floats, shape->window[1], &floats) ||
        floats > SIZE_MAX / 4 / sizeof(float))
        return 0;
    return floats;
}

/* [panel][channel, row, column of the window][PANEL]; out channels behind the last are zero. */
void KERNEL(ood_stem_weights)(float *out, const float *weights, const struct ood_stem_shape *shape)
{
    const size_t taps = shape->channels * shape->window[0] * shape->window[1];
    for (size_t o = 0; o < (shape->out_channels + PANEL - 1) / PANEL * PANEL; o++)
        for (size_t t = 0; t < taps; t++)
            out[(o / PANEL * taps + t) * PANEL + o % PANEL] = o < shape->out_channels ? weights[o * taps + t] : 0;
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
    UNROLL for (size_t p = 0; p < pixels; p += 4)
        apply_steps(sum + p * width, (pixels - p < 4 ? pixels - p : 4) * width, band->call->steps, band->call->step_count);
    UNROLL for (size_t p = 0; p < pixels; p++)
        UNROLL for (size_t v = 0; v < width; v++) {
            float *at = y + p * target + v * VECTOR;
            if (v + 1 < width || part == VECTOR)
                store(at, sum[p * width + v]);
            else
                store_part(at, part, sum[p * width + v]);
        }
}

typedef void tile_function(float *y, const float *x, const struct band *band);

#define TILE(pixels, width, stride) \
    static void tile_##pixels##_##width##_##stride(float *y, const float *x, const struct band *band) \
    { \
        tile(y, x, band, pixels, width, stride); \
    }
TILE(12, 1, 1) TILE(8, 1, 1) TILE(1, 1, 1) TILE(12, 1, 2) TILE(8, 1, 2) TILE(1, 1, 2) TILE(1, 2, 1) TILE(1, 2, 2)
#if MOST == 12
TILE(12, 2, 1) TILE(8, 2, 1) TILE(12, 2, 2) TILE(8, 2, 2)
#else
TILE(6, 2, 1) TILE(4, 2, 1) TILE(6, 2, 2) TILE(4, 2, 2)
#endif

/* By width and stride. */
static const struct sizes { size_t most, fewer; tile_function *large, *small, *one; } sizes[2][2] = {
    { { 12, 8, tile_12_1_1, tile_8_1_1, tile_1_1_1 }, { 12, 8, tile_12_1_2, tile_8_1_2, tile_1_1_2 } },
#if MOST == 12
    { { MOST, FEWER, tile_12_2_1, tile_8_2_1, tile_1_2_1 }, { MOST, FEWER, tile_12_2_2, tile_8_2_2, tile_1_2_2 } },
#else
    { { MOST, FEWER, tile_6_2_1, tile_4_2_1, tile_1_2_1 }, { MOST, FEWER, tile_6_2_2, tile_4_2_2, tile_1_2_2 } },
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
    band->count = 0;
    for (size_t c = 0; c < s->channels; c++)
        for (size_t r = rows.from; r < rows.to; r++)
            for (size_t k = columns.from; k < columns.to; k++)
                band->taps[band->count++] = (struct tap){ (long)((c * s->height + r) * s->width + k),
                                                          weights + ((c * s->window[0] + r) * s->window[1] + k) * PANEL };
}

/* A row of outputs of one panel, whose windows begin at row `top` of the map: at the edges pixel by pixel, between them in tiles, of which the last
 * may meet the one before: the same bits again. */
static void panel_row(float *y, struct band *band, const float *map, long top, const float *weights)
{
    const struct ood_stem_shape *s = band->call->shape;
    const struct sizes *kind = &sizes[band->out_channels > VECTOR][s->stride - 1];
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

/* The greatest of one vector of channels over a window. from, to: its columns of the map. */
INLINE vec greatest(const float *const *rows, size_t row_count, size_t from, size_t to, size_t channels, size_t c, size_t part)
{
    vec most = part == VECTOR ? load(rows[0] + from * channels + c) : load_part(rows[0] + from * channels + c, part, 0);
    for (size_t r = 0; r < row_count; r++)
        for (size_t k = from; k < to; k++) {
            const float *at = rows[r] + k * channels + c;
            most = at_least(most, part == VECTOR ? load(at) : load_part(at, part, 0));
        }
    return most;
}

void KERNEL(ood_max_row)(float *y, const float *const *rows, size_t row_count, const struct ood_max_row *shape)
{
    const size_t channels = shape->channels;
    for (size_t x = 0; x < shape->out_width; x++, y += channels) {
        const size_t begin = x * shape->stride, end = begin + shape->window - shape->pad_left;
        const size_t from = begin < shape->pad_left ? 0 : begin - shape->pad_left, to = end < shape->width ? end : shape->width;
        size_t c = 0;
        for (; channels - c >= VECTOR; c += VECTOR)
            store(y + c, greatest(rows, row_count, from, to, channels, c, VECTOR));
        if (c < channels)
            store_part(y + c, channels - c, greatest(rows, row_count, from, to, channels, c, channels - c));
    }
}
