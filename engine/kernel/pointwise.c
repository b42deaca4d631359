/* Convolutions of 1x1 by register tiles in which no lane is idle though the channels out fill no whole vectors: a pixel's follow another's in
 * memory, so a vector of sums may belong to several pixels. Each sum begins with the bias and runs over the channels in, one multiply_add each,
 * whatever the tile. A ReLU or clip is done in registers; a tile's sums go through a buffer where something else follows them, and at the end,
 * where the last tile meets the one before. */
#include "kernel/pointwise.h"

#include <math.h>
#include <stdint.h>

#include "kernel/kernels_internal.h"

#define MOST_FLOATS (6 * 56)                 /* of a tile */

/* How a tile's sums end: clipped, unless the bounds are infinite; of a vector the `count` lanes that are not left over, in order. */
struct end { float least, most; size_t count; unsigned order[VECTOR]; };

typedef void tile_function(float *to, const float *x, const float *weights, size_t channels, const struct end *end);

#if VECTOR == 16
/* Channels out are 8 more than whole vectors, `side` of them: two pixels' are 2 · side + 1, of which the one in the middle belongs half to each.
 * pairs and side are constants where this is inlined. */
INLINE void tile_of_pairs(float *to, const float *x, const float *weights, size_t channels, const struct end *end, size_t pairs, size_t side)
{
    const size_t width = 2 * side + 1;
    vec sum[24];
    UNROLL for (size_t v = 0; v < width; v++)
        UNROLL for (size_t p = 0; p < pairs; p++)
            sum[p * width + v] = load(weights + v * VECTOR);
    for (const float *behind = x + channels; x < behind; x++) {
        vec factor[9];
        weights += width * VECTOR;
        UNROLL for (size_t v = 0; v < width; v++) {
            factor[v] = load(weights + v * VECTOR);
            KEEP(factor[v]);
        }
        UNROLL for (size_t p = 0; p < pairs; p++) {
            vec first = splat(x[2 * p * channels]), second = splat(x[(2 * p + 1) * channels]);
            KEEP(first);
            KEEP(second);
            const vec both = (vec)_mm512_mask_blend_ps(0xff00, (__m512)first, (__m512)second);
            UNROLL for (size_t v = 0; v < width; v++)
                sum[p * width + v] = multiply_add(v < side ? first : v == side ? both : second, factor[v], sum[p * width + v]);
        }
    }
    const vec least = splat(end->least), most = splat(end->most);
    UNROLL for (size_t p = 0; p < pairs; p++)
        UNROLL for (size_t v = 0; v < width; v++)
            store(to + (p * width + v) * VECTOR, at_most(most, at_least(least, sum[p * width + v])));
}

#define PAIRS(out_channels, pairs) \
    static void pairs_##out_channels(float *to, const float *x, const float *weights, size_t channels, const struct end *end) \
    { \
        tile_of_pairs(to, x, weights, channels, end, pairs, (out_channels) / 16); \
    }
PAIRS(24, 4) PAIRS(40, 3) PAIRS(56, 3) PAIRS(72, 2)
#endif

#if VECTOR > 4
#define VECTORS 8                            /* of sums, each `pixels` of them */

/* Four channels in of each pixel that has lanes here, as often as it has fours of them. */
INLINE vec fours(const float *x, size_t channels, size_t pixels)
{
#if VECTOR == 16
    __m512 v = _mm512_broadcast_f32x4(_mm_loadu_ps(x));
    if (pixels == 2)
        v = _mm512_mask_broadcast_f32x4(v, 0xff00, _mm_loadu_ps(x + channels));
    if (pixels == 4) {
        v = _mm512_mask_broadcast_f32x4(v, 0x00f0, _mm_loadu_ps(x + channels));
        v = _mm512_mask_broadcast_f32x4(v, 0x0f00, _mm_loadu_ps(x + 2 * channels));
        v = _mm512_mask_broadcast_f32x4(v, 0xf000, _mm_loadu_ps(x + 3 * channels));
    }
    return (vec)v;
#else
    const __m128 first = _mm_loadu_ps(x);
    return (vec)_mm256_insertf128_ps(_mm256_castps128_ps256(first), pixels == 2 ? _mm_loadu_ps(x + channels) : first, 1);
#endif
}

INLINE vec in_order(vec v, const unsigned *order)
{
#if VECTOR == 16
    return (vec)_mm512_permutexvar_ps(_mm512_loadu_si512(order), (__m512)v);
#else
    return (vec)_mm256_permutevar8x32_ps((__m256)v, _mm256_loadu_si256((const __m256i_u *)order));
#endif
}

#if VECTOR == 16
#define ONE_OF_FOUR(v, i) (vec)_mm512_permute_ps((__m512)(v), (i) * 0x55)
#else
#define ONE_OF_FOUR(v, i) (vec)_mm256_permute_ps((__m256)(v), (i) * 0x55)
#endif

/* At most 4 or 8 channels out: a vector's lanes are those of several pixels. channels: a multiple of 4. pixels is a constant where this is
 * inlined. */
INLINE void tile_of_few(float *to, const float *x, const float *weights, size_t channels, const struct end *end, size_t pixels)
{
    vec sum[VECTORS];
    UNROLL for (size_t v = 0; v < VECTORS; v++)
        sum[v] = load(weights);
    weights += VECTOR;
    for (const float *behind = x + channels; x < behind; x += 4, weights += 4 * VECTOR) {
        vec factor[4];
        UNROLL for (size_t i = 0; i < 4; i++) {
            factor[i] = load(weights + i * VECTOR);
            KEEP(factor[i]);
        }
        UNROLL for (size_t v = 0; v < VECTORS; v++) {
            vec in = fours(x + v * pixels * channels, channels, pixels);
            KEEP(in);
            sum[v] = multiply_add(ONE_OF_FOUR(in, 0), factor[0], sum[v]);
            sum[v] = multiply_add(ONE_OF_FOUR(in, 1), factor[1], sum[v]);
            sum[v] = multiply_add(ONE_OF_FOUR(in, 2), factor[2], sum[v]);
            sum[v] = multiply_add(ONE_OF_FOUR(in, 3), factor[3], sum[v]);
        }
    }
    const vec least = splat(end->least), most = splat(end->most);
    UNROLL for (size_t v = 0; v < VECTORS; v++)
        sum[v] = at_most(most, at_least(least, sum[v]));
    if (end->count == VECTOR) {
        UNROLL for (size_t v = 0; v < VECTORS; v++)
            store(to + v * VECTOR, sum[v]);
        return;
    }
    UNROLL for (size_t v = 0; v < VECTORS; v++)
        store_part(to + v * end->count, end->count, in_order(sum[v], end->order));
}

static void four_or_less(float *to, const float *x, const float *weights, size_t channels, const struct end *end)
{
    tile_of_few(to, x, weights, channels, end, VECTOR / 4);
}

static void eight_or_less(float *to, const float *x, const float *weights, size_t channels, const struct end *end)
{
    tile_of_few(to, x, weights, channels, end, VECTOR / 8);
}
#endif

/* What makes so many channels out. lanes: of a pixel, out channels and what is left over; row: floats of the weights of one channel in; pixels: of
 * a tile; most_channels: in, that it is fast for. */
struct form { tile_function *tile; size_t lanes, row, pixels, most_channels; };

/* Against oneDNN 2.6.3 on Zen 5, one thread, GFLOP/s of 267:
 *     24 channels out: 24 in, 44x44 160 -> 237; 144 in, 14x14 180 -> 247; 960 in, 7x7 162 -> 228; 8 in, 56x56 127 -> 182
 *     40: 96 in, 14x14 201 -> 252; 672 in 212 -> 257; 16 in, 56x56 180 -> 233
 *     56: 336 in, 7x7 211 -> 229; 560 in, 28x28 223 -> 257; 8 in, 56x56 169 -> 178
 *     72: 72 in, 22x22 222 -> 258; 16 in, 56x56 191 -> 211; but 96 in, 14x14 227 -> 183: the weights leave the first-level cache
 *     4: 96 in, 22x22 58 -> 122 (AVX2 36 -> 96); 1: 15 -> 30 (8 -> 24); 8: 48 in, 56x56 113 -> 170 (80 -> 115); 6: 64 in, 1200 pixels 87 -> 114
 *     (46 -> 82)
 * With vectors of 8 whole ones fit 24 channels, and oneDNN is as fast; with vectors of 4 it is faster. */
static struct form form_of(size_t out_channels)
{
#if VECTOR == 16
    const struct form pairs[] = {
        { pairs_24, 24, 48, 8, SIZE_MAX }, { pairs_40, 40, 80, 6, SIZE_MAX }, { pairs_56, 56, 112, 6, SIZE_MAX }, { pairs_72, 72, 144, 4, 72 }
    };
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++)
        if (pairs[i].lanes == out_channels)
            return pairs[i];
#endif
#if VECTOR > 4
    if (out_channels > 0 && out_channels <= 4)
        return (struct form){ four_or_less, 4, VECTOR, VECTORS * VECTOR / 4, SIZE_MAX };
    if (out_channels > 0 && out_channels <= 8)
        return (struct form){ eight_or_less, 8, VECTOR, VECTORS * VECTOR / 8, SIZE_MAX };
#endif
    (void)out_channels;
    return (struct form){ .tile = NULL };
}

bool KERNEL(ood_pointwise_serves)(const struct ood_pointwise_shape *shape)
{
    const struct form form = form_of(shape->out_channels);
    return form.tile != NULL && shape->pixels >= OOD_POINTWISE_PIXELS && shape->channels <= form.most_channels &&
           (shape->out_channels > 8 || shape->channels % 4 == 0);
}

size_t KERNEL(ood_pointwise_weights_floats)(const struct ood_pointwise_shape *shape)
{
    size_t floats;
    if (__builtin_add_overflow(shape->channels, 1, &floats) || __builtin_mul_overflow(floats, form_of(shape->out_channels).row, &floats) ||
        floats > SIZE_MAX / sizeof(float))
        return 0;
    return floats;
}

/* [1 + channels][row]: the bias, then each channel in; pixels' lanes one after the other. */
void KERNEL(ood_pointwise_weights)(float *out, const float *weights, const float *bias, const struct ood_pointwise_shape *shape)
{
    const struct form form = form_of(shape->out_channels);
    for (size_t i = 0; i < form.row; i++, out++) {
        const size_t o = i % form.lanes;
        const bool is_there = o < shape->out_channels;
        out[0] = is_there && bias != NULL ? bias[o] : 0;
        for (size_t k = 0; k < shape->channels; k++)
            out[(k + 1) * form.row] = is_there ? weights[o * shape->channels + k] : 0;
    }
}

/* What the tiles do themselves of the steps is taken from them. */
static struct end end_of(const struct form *form, size_t out_channels, const struct ood_unary_step **steps, size_t *step_count)
{
    const bool left_over = out_channels < form->lanes;
    struct end end = { -INFINITY, INFINITY, left_over ? VECTOR / form->lanes * out_channels : VECTOR, { 0 } };
    for (size_t i = 0; left_over && i < end.count; i++)
        end.order[i] = (unsigned)(i / out_channels * form->lanes + i % out_channels);
    if (*step_count == 0 || ((*steps)->function != OOD_UNARY_RELU && (*steps)->function != OOD_UNARY_CLIP))
        return end;
    end.least = (*steps)->function == OOD_UNARY_CLIP ? (*steps)->alpha : 0;
    end.most = (*steps)->function == OOD_UNARY_CLIP ? (*steps)->beta : INFINITY;
    (*steps)++;
    (*step_count)--;
    return end;
}

/* What follows the products besides, on n floats that a tile has made. */
static void finish(float *y, const float *made, const float *sum, size_t n, const struct ood_pointwise_call *call)
{
    size_t i = 0;
    for (; n - i >= BLOCK * VECTOR; i += BLOCK * VECTOR) {
        vec v[BLOCK];
        UNROLL for (size_t j = 0; j < BLOCK; j++)
            v[j] = load(made + i + j * VECTOR);
        apply_steps(v, BLOCK, call->steps, call->step_count);
        UNROLL for (size_t j = 0; j < BLOCK; j++)
            v[j] = sum == NULL ? v[j] : v[j] + load(sum + i + j * VECTOR);
        apply_steps(v, BLOCK, call->after, call->after_count);
        UNROLL for (size_t j = 0; j < BLOCK; j++)
            store(y + i + j * VECTOR, v[j]);
    }
    for (size_t part; i < n; i += part) {
        part = n - i < VECTOR ? n - i : VECTOR;
        vec v = part == VECTOR ? load(made + i) : load_part(made + i, part, 0);
        apply_steps(&v, 1, call->steps, call->step_count);
        if (sum != NULL)
            v = v + (part == VECTOR ? load(sum + i) : load_part(sum + i, part, 0));
        apply_steps(&v, 1, call->after, call->after_count);
        if (part == VECTOR)
            store(y + i, v);
        else
            store_part(y + i, part, v);
    }
}

void KERNEL(ood_pointwise)(const struct ood_pointwise_call *given)
{
    struct ood_pointwise_call call = *given;
    const struct ood_pointwise_shape *s = call.shape;
    const struct form form = form_of(s->out_channels);
    const size_t n = s->out_channels;
    const struct end end = end_of(&form, n, &call.steps, &call.step_count);
    const bool done = call.step_count == 0 && call.sum == NULL;
    _Alignas(64) float made[MOST_FLOATS];
    for (size_t pixel = 0; pixel < s->pixels; pixel += form.pixels) {
        const size_t left = s->pixels - pixel, skipped = left < form.pixels ? form.pixels - left : 0, floats = (form.pixels - skipped) * n;
        const float *x = call.source + (pixel - skipped) * s->channels;
        float *y = call.destination + pixel * n;
        form.tile(done && skipped == 0 ? y : made, x, call.weights, s->channels, &end);
        if (!done)
            finish(y, made + skipped * n, call.sum == NULL ? NULL : call.sum + pixel * n, floats, &call);
        else if (skipped > 0)
            memcpy(y, made + skipped * n, floats * sizeof *y);
    }
}
