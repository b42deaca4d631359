/* Convolutions of 1x1 by register tiles in which no lane is idle, though channels out may fill no whole vectors: a pixel's follow another's in
 * memory, so a vector of sums may belong to several pixels. Tiles are small: where few channels come in, the next begins while one ends. Each sum
 * begins with the bias and runs over the channels in, one multiply_add each, whatever the tile. What is added, a ReLU and a clip are done in
 * registers; a tile's sums go through a buffer where something else follows them, and at the end, where the last tile meets the one before. */
#include "kernel/pointwise.h"

#include <math.h>
#include <stdint.h>

#include "kernel/kernels_internal.h"

#define MOST_OUT 120                         /* channels */
#define MOST_FLOATS (8 * MOST_OUT)           /* of a tile */

struct clip { float least, most; };          /* infinite: none */

/* How a tile's sums end: clipped, and where something is added clipped again; of a vector the `count` lanes that are not left over, in order. */
struct end { struct clip first, after; size_t out_channels, count; unsigned order[VECTOR]; };

/* added: as `to` lies, where it is not NULL. */
typedef void tile_function(float *to, const float *added, const float *x, const float *weights, size_t channels, const struct end *end);

INLINE vec clipped(vec v, vec least, vec most) { return at_most(most, at_least(least, v)); }

INLINE const float *further(const float *added, size_t floats) { return added == NULL ? NULL : added + floats; }

#if VECTOR > 4
/* `rows` times `width` vectors, rows `step` floats apart. rows and width are constants where this is inlined. */
INLINE void put(float *to, const float *added, size_t step, const vec *sum, size_t rows, size_t width, const struct end *end)
{
    const vec least = splat(end->first.least), most = splat(end->first.most);
    if (added == NULL) {
        UNROLL for (size_t r = 0; r < rows; r++)
            UNROLL for (size_t v = 0; v < width; v++)
                store(to + r * step + v * VECTOR, clipped(sum[r * width + v], least, most));
        return;
    }
    const vec least_after = splat(end->after.least), most_after = splat(end->after.most);
    UNROLL for (size_t r = 0; r < rows; r++)
        UNROLL for (size_t v = 0; v < width; v++) {
            const vec whole = clipped(sum[r * width + v], least, most) + load(added + r * step + v * VECTOR);
            store(to + r * step + v * VECTOR, clipped(whole, least_after, most_after));
        }
}
#endif

#if VECTOR == 16
#define PIXELS 4

/* Channels out are 8 more than whole vectors, so that two pixels' are whole ones, of which the one in the middle belongs half to each: that and
 * `side` before and behind it. step: floats from pair to pair. pairs and side are constants where this is inlined. */
INLINE void tile_of_pairs(float *to, const float *added, size_t step, const float *x, const float *weights, size_t channels, const struct end *end,
                          size_t pairs, size_t side)
{
    const size_t width = 2 * side + 1;
    vec sum[24];
    UNROLL for (size_t v = 0; v < width; v++)
        UNROLL for (size_t p = 0; p < pairs; p++)
            sum[p * width + v] = load(weights + v * VECTOR);
    for (const float *behind = x + channels; x < behind; x++) {
        vec factor[7];
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
    put(to, added, step, sum, pairs, width, end);
}

#define PAIRS(out_channels, pairs) \
    static void pairs_##out_channels(float *to, const float *added, const float *x, const float *weights, size_t channels, const struct end *end) \
    { \
        tile_of_pairs(to, added, 2 * (out_channels), x, weights, channels, end, pairs, (out_channels) / 16); \
    }
PAIRS(24, 4) PAIRS(40, 3) PAIRS(56, 3)

/* Whole vectors, `width` of them, of PIXELS pixels, which lie `pixel` floats apart here and `step` there. width is a constant where this is
 * inlined. */
INLINE void tile_of_vectors(float *to, const float *added, size_t step, const float *x, size_t pixel, const float *weights, size_t channels,
                            const struct end *end, size_t width)
{
    vec sum[PIXELS * 4];
    UNROLL for (size_t v = 0; v < width; v++)
        UNROLL for (size_t p = 0; p < PIXELS; p++)
            sum[p * width + v] = load(weights + v * VECTOR);
    for (const float *behind = x + channels; x < behind; x++) {
        vec factor[4];
        weights += width * VECTOR;
        UNROLL for (size_t v = 0; v < width; v++) {
            factor[v] = load(weights + v * VECTOR);
            KEEP(factor[v]);
        }
        UNROLL for (size_t p = 0; p < PIXELS; p++) {
            const vec value = splat(x[p * pixel]);
            UNROLL for (size_t v = 0; v < width; v++)
                sum[p * width + v] = multiply_add(value, factor[v], sum[p * width + v]);
        }
    }
    put(to, added, step, sum, PIXELS, width, end);
}

typedef void vectors_function(float *to, const float *added, size_t step, const float *x, size_t pixel, const float *weights, size_t channels,
                              const struct end *end);

#define VECTORS_OF(width) \
    static void vectors_##width(float *to, const float *added, size_t step, const float *x, size_t pixel, const float *weights, size_t channels, \
                                const struct end *end) \
    { \
        tile_of_vectors(to, added, step, x, pixel, weights, channels, end, width); \
    }
VECTORS_OF(2) VECTORS_OF(3) VECTORS_OF(4)

/* Of `left` whole vectors, 2 or more, those that go together: enough sums under way, few enough that the next tile begins while this one ends. */
static size_t together(size_t left) { return left == 4 ? 4 : left < 3 ? left : 3; }

/* Returns the weights behind. */
static const float *whole_vectors(float *to, const float *added, size_t step, const float *x, size_t pixel, const float *weights, size_t channels,
                                  const struct end *end, size_t vectors)
{
    static vectors_function *const tiles[] = { NULL, NULL, vectors_2, vectors_3, vectors_4 };
    for (size_t v = 0, some; v < vectors; v += some, weights += (1 + channels) * some * VECTOR) {
        some = together(vectors - v);
        tiles[some](to + v * VECTOR, further(added, v * VECTOR), step, x, pixel, weights, channels, end);
    }
    return weights;
}

static void whole(float *to, const float *added, const float *x, const float *weights, size_t channels, const struct end *end)
{
    whole_vectors(to, added, end->out_channels, x, channels, weights, channels, end, end->out_channels / VECTOR);
}

/* More channels out than a tile of pairs holds: whole vectors of the first pixels before the last 24 channels, those of the second behind the first
 * 24, then pairs of these two times 24. */
static void wide(float *to, const float *added, const float *x, const float *weights, size_t channels, const struct end *end)
{
    const size_t n = end->out_channels, vectors = n / VECTOR - 1;
    weights = whole_vectors(to, added, 2 * n, x, 2 * channels, weights, channels, end, vectors);
    weights = whole_vectors(to + n + 24, further(added, n + 24), 2 * n, x + channels, 2 * channels, weights, channels, end, vectors);
    tile_of_pairs(to + vectors * VECTOR, further(added, vectors * VECTOR), 2 * n, x, weights, channels, end, PIXELS, 1);
}
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

/* At most 4 or 8 channels out: a vector's lanes are those of several pixels. channels: a multiple of 4. added: only where no lanes are left over. pixels is a constant where this is
 * inlined. */
INLINE void tile_of_few(float *to, const float *added, const float *x, const float *weights, size_t channels, const struct end *end, size_t pixels)
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
    if (end->count == VECTOR) {
        put(to, added, VECTOR, sum, VECTORS, 1, end);
        return;
    }
    const vec least = splat(end->first.least), most = splat(end->first.most);
    UNROLL for (size_t v = 0; v < VECTORS; v++)
        store_part(to + v * end->count, end->count, in_order(clipped(sum[v], least, most), end->order));
}

static void four_or_less(float *to, const float *added, const float *x, const float *weights, size_t channels, const struct end *end)
{
    tile_of_few(to, added, x, weights, channels, end, VECTOR / 4);
}

static void eight_or_less(float *to, const float *added, const float *x, const float *weights, size_t channels, const struct end *end)
{
    tile_of_few(to, added, x, weights, channels, end, VECTOR / 8);
}
#endif

/* What makes so many channels out. lanes: of a pixel, out channels and what is left over; row: floats of the weights of one channel in; pixels: of
 * a tile. */
struct form { tile_function *tile; size_t lanes, row, pixels; };

#define WIDE_PIXELS 100                      /* at least: what the last tile does twice weighs more in smaller maps */
#define WHOLE_WEIGHTS 11264                  /* floats: 44 KiB, which the first-level cache holds */
#define WHOLE_PIXELS 1024                    /* at most, of more than 64 channels */

/* Against oneDNN 2.6.3 on Zen 5, one thread, GFLOP/s of 267:
 *     24 channels out: 24 in, 44x44 160 -> 237; 144 in, 14x14 180 -> 247; 960 in, 7x7 162 -> 228; 8 in, 56x56 127 -> 182
 *     40: 96 in, 14x14 201 -> 252; 672 in 212 -> 257; 16 in, 56x56 180 -> 233
 *     56: 336 in, 7x7 211 -> 229; 560 in, 28x28 223 -> 257; 8 in, 56x56 169 -> 178
 *     72: 288 in, 22x22 226 -> 256; 24 in, 56x56 201 -> 249; 88: 24 in, 28x28 207 -> 251; 104: 104 in, 28x28 232 -> 248; 120: 40 in, 28x28
 *     226 -> 258; more make less of a difference, and none from 232 on
 *     whole vectors: 48: 8 in, 56x56 183 -> 203; 48 in, 22x22 240 -> 259; 64: 16 in, 112x112 207 -> 234; 96: 16 in, 28x28 216 -> 253; 96 in, 11x11
 *     243 -> 251, but 40x40 256 -> 249; 192: 32 in, 28x28 233 -> 256; no gain where the weights leave the first-level cache, nor for 32 where more
 *     than 64 come in
 *     4: 96 in, 22x22 58 -> 122 (AVX2 36 -> 96); 1: 15 -> 30 (8 -> 24); 8: 48 in, 56x56 113 -> 170 (80 -> 115); 6: 64 in, 1200 pixels 87 -> 114
 *     (46 -> 82)
 * With vectors of 8 whole ones fit 24 channels, and oneDNN is as fast; with vectors of 4 it is faster. */
static struct form form_of(size_t out_channels)
{
#if VECTOR == 16
    const struct form pairs[] = { { pairs_24, 24, 48, 8 }, { pairs_40, 40, 80, 6 }, { pairs_56, 56, 112, 6 } };
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++)
        if (pairs[i].lanes == out_channels)
            return pairs[i];
    if (out_channels > 56 && out_channels <= MOST_OUT && out_channels % 16 == 8)
        return (struct form){ wide, out_channels, 2 * out_channels, 2 * PIXELS };
    if (out_channels > 16 && out_channels <= 2 * MOST_OUT && out_channels % 16 == 0)
        return (struct form){ whole, out_channels, out_channels, PIXELS };
#endif
#if VECTOR > 4
    if (out_channels > 0 && out_channels <= 4)
        return (struct form){ four_or_less, 4, VECTOR, VECTORS * VECTOR / 4 };
    if (out_channels > 0 && out_channels <= 8)
        return (struct form){ eight_or_less, 8, VECTOR, VECTORS * VECTOR / 8 };
#endif
    (void)out_channels;
    return (struct form){ .tile = NULL };
}

bool KERNEL(ood_pointwise_serves)(const struct ood_pointwise_shape *shape)
{
    const struct form form = form_of(shape->out_channels);
#if VECTOR == 16
    if (form.tile == wide && shape->pixels < WIDE_PIXELS)
        return false;
    if (form.tile == whole && shape->channels > 64 && (shape->out_channels == 32 || shape->pixels > WHOLE_PIXELS))
        return false;
    if (form.tile == whole && shape->channels > WHOLE_WEIGHTS / shape->out_channels)
        return false;
#endif
    return form.tile != NULL && shape->pixels >= OOD_POINTWISE_PIXELS && (shape->out_channels > 8 || shape->channels % 4 == 0);
}

size_t KERNEL(ood_pointwise_weights_floats)(const struct ood_pointwise_shape *shape)
{
    size_t floats;
    if (__builtin_add_overflow(shape->channels, 1, &floats) || __builtin_mul_overflow(floats, form_of(shape->out_channels).row, &floats) ||
        floats > SIZE_MAX / sizeof(float))
        return 0;
    return floats;
}

/* [1 + channels][floats]: the bias, then each channel in, from a lane on; pixels' lanes follow each other. Returns what is behind. */
static float *pack(float *out, const float *weights, const float *bias, const struct ood_pointwise_shape *shape, size_t lanes, size_t first,
                   size_t floats)
{
    for (size_t i = 0; i < floats; i++) {
        const size_t o = (first + i) % lanes;
        const bool is_there = o < shape->out_channels;
        out[i] = is_there && bias != NULL ? bias[o] : 0;
        for (size_t k = 0; k < shape->channels; k++)
            out[(k + 1) * floats + i] = is_there ? weights[o * shape->channels + k] : 0;
    }
    return out + (1 + shape->channels) * floats;
}

#if VECTOR == 16
static float *pack_vectors(float *out, const float *weights, const float *bias, const struct ood_pointwise_shape *shape, size_t first, size_t vectors)
{
    for (size_t v = 0, some; v < vectors; v += some) {
        some = together(vectors - v);
        out = pack(out, weights, bias, shape, shape->out_channels, first + v * VECTOR, some * VECTOR);
    }
    return out;
}
#endif

void KERNEL(ood_pointwise_weights)(float *out, const float *weights, const float *bias, const struct ood_pointwise_shape *shape)
{
    const struct form form = form_of(shape->out_channels);
#if VECTOR == 16
    const size_t vectors = shape->out_channels / VECTOR;
    if (form.tile == whole) {
        pack_vectors(out, weights, bias, shape, 0, vectors);
        return;
    }
    if (form.tile == wide) {
        out = pack_vectors(out, weights, bias, shape, 0, vectors - 1);
        out = pack_vectors(out, weights, bias, shape, 24, vectors - 1);
        pack(out, weights, bias, shape, form.lanes, (vectors - 1) * VECTOR, 3 * VECTOR);
        return;
    }
#endif
    pack(out, weights, bias, shape, form.lanes, 0, form.row);
}

/* A step that is a clip is taken from the steps. */
static struct clip take_clip(const struct ood_unary_step **steps, size_t *step_count)
{
    struct clip clip = { -INFINITY, INFINITY };
    if (*step_count == 0 || ((*steps)->function != OOD_UNARY_RELU && (*steps)->function != OOD_UNARY_CLIP))
        return clip;
    clip.least = (*steps)->function == OOD_UNARY_CLIP ? (*steps)->alpha : 0;
    clip.most = (*steps)->function == OOD_UNARY_CLIP ? (*steps)->beta : INFINITY;
    (*steps)++;
    (*step_count)--;
    return clip;
}

/* What the tiles do themselves of what follows the products is taken from the call, but for the sum: *added. */
static struct end take_end(const struct form *form, struct ood_pointwise_call *call, const float **added)
{
    const size_t n = call->shape->out_channels;
    const bool left_over = n < form->lanes;
    struct end end = { .out_channels = n, .count = left_over ? VECTOR / form->lanes * n : VECTOR };
    for (size_t i = 0; left_over && i < end.count; i++)
        end.order[i] = (unsigned)(i / n * form->lanes + i % n);
    end.first = take_clip(&call->steps, &call->step_count);
    if (call->sum == NULL || call->step_count > 0 || left_over)
        return end;
    *added = call->sum;
    call->sum = NULL;
    end.after = take_clip(&call->after, &call->after_count);
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
    const float *added = NULL;
    const struct end end = take_end(&form, &call, &added);
    const bool done = call.step_count == 0 && call.sum == NULL && call.after_count == 0;
    _Alignas(64) float made[MOST_FLOATS];
    for (size_t pixel = 0; pixel < s->pixels; pixel += form.pixels) {
        const size_t left = s->pixels - pixel, skipped = left < form.pixels ? form.pixels - left : 0, floats = (form.pixels - skipped) * n;
        const float *x = call.source + (pixel - skipped) * s->channels;
        float *y = call.destination + pixel * n;
        form.tile(done && skipped == 0 ? y : made, further(added, (pixel - skipped) * n), x, call.weights, s->channels, &end);
        if (!done)
            finish(y, made + skipped * n, further(call.sum, pixel * n), floats, &call);
        else if (skipped > 0)
            memcpy(y, made + skipped * n, floats * sizeof *y);
    }
}
