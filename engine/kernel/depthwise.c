/* Depthwise and grouped convolutions by register tiles: a vector of channels times a few pixels of a row. Columns that lie outside of the map are
 * read from a vector of zeros, rows are left out; each sum runs over the window's rows, the channels of its group, the window's columns, one
 * multiply_add each, whatever the tile. */
#include "kernel/depthwise.h"

#include "kernel/kernels_internal.h"

#define MOST 8                               /* pixels of a tile: with the weights of a row of the window, and one input, 16 registers at most */
#define LEAST (MOST / 2)                     /* below, one at a time */

/* A tile: its first output column, and the rows of the window that are there. */
struct place {
    const float *source;                     /* row `first` of the window, column 0 of the map */
    size_t first, last;                      /* rows of the window: first … last - 1 */
    long column;                             /* of the map where the window of the first pixel begins; may be negative */
};

static const float zeros[VECTOR];

/* How a sum meets the channels of its group: there is one; they lie in one vector, several groups in it; they fill vectors. */
enum meeting { ALONE, WITHIN, ACROSS };

#if VECTOR > 4
/* Channel `member` of each group of `depth` lanes, a power of two. */
INLINE vec_bits lanes_of(size_t depth, size_t member)
{
#if VECTOR == 16
    const vec_bits lanes = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 };
#else
    const vec_bits lanes = { 0, 1, 2, 3, 4, 5, 6, 7 };
#endif
    return (lanes & -(unsigned)depth) + (unsigned)member;
}

INLINE vec spread(vec x, vec_bits lanes)
{
#if VECTOR == 16
    return (vec)_mm512_permutexvar_ps((__m512i)lanes, (__m512)x);
#else
    return (vec)_mm256_permutevar8x32_ps((__m256)x, (__m256i)lanes);
#endif
}
#endif

/* All vectors of channels of `pixels` outputs, of which the last vector may meet the one before: the same bits again. pixels, side, stride,
 * inside (no column is outside) and meeting are constants where this is inlined. */
INLINE void tile(float *to, const struct ood_depthwise_call *call, const struct place *place, size_t pixels, size_t side, size_t stride, bool inside,
                 enum meeting meeting)
{
    const size_t pixel = call->shape->pixel, columns = (pixels - 1) * stride + side, width = call->shape->width, channels = call->shape->channels;
    const size_t first = place->first, last = place->last, depth = meeting == ALONE ? 1 : call->shape->depth;
    for (size_t c = 0; c < channels; c += VECTOR) {
        c = channels - c < VECTOR ? channels - VECTOR : c;
        const float *row = place->source + (meeting == ACROSS ? c / depth * depth : c), *w = call->weights + first * depth * side * pixel + c;
        vec sum[MOST];
        sum[0] = call->bias != NULL ? load(call->bias + c) : (vec){ 0 };
        UNROLL for (size_t p = 1; p < pixels; p++)
            sum[p] = sum[0];
        for (size_t y = first; y < last; y++, row += width * pixel)
            for (size_t member = 0; member < depth; member++) {
                vec factor[7];
#if VECTOR > 4
                const vec_bits lanes = meeting == WITHIN ? lanes_of(depth, member) : (vec_bits){ 0 };
#endif
                UNROLL for (size_t k = 0; k < side; k++, w += pixel)
                    factor[k] = load(w);
                const float *x = row + place->column * (long)pixel + (meeting == ACROSS ? member : 0);
                UNROLL for (size_t j = 0; j < columns; j++, x += pixel) {
                    const float *from = inside || (size_t)(place->column + (long)j) < width ? x : zeros;
                    vec value = meeting == ACROSS ? splat(*from) : load(from);
#if VECTOR > 4
                    if (meeting == WITHIN)
                        value = spread(value, lanes);
#endif
                    KEEP(value);
                    UNROLL for (size_t k = 0; k < side; k++)
                        if (j >= k && (j - k) % stride == 0 && (j - k) / stride < pixels)
                            sum[(j - k) / stride] = multiply_add(value, factor[k], sum[(j - k) / stride]);
                }
            }
        apply_steps(sum, pixels, call->steps, call->step_count);
        UNROLL for (size_t p = 0; p < pixels; p++)
            store(to + p * pixel + c, sum[p]);
    }
}

typedef void tile_function(float *to, const struct ood_depthwise_call *call, const struct place *place);

#define TILE(pixels, side, stride, meeting) \
    static void inside_##pixels##_##side##_##stride##_##meeting(float *to, const struct ood_depthwise_call *call, const struct place *place) \
    { \
        tile(to, call, place, pixels, side, stride, true, meeting); \
    } \
    static void edge_##pixels##_##side##_##stride##_##meeting(float *to, const struct ood_depthwise_call *call, const struct place *place) \
    { \
        tile(to, call, place, pixels, side, stride, false, meeting); \
    }
#define PAIR(pixels, side, stride, meeting) \
    [pixels] = { edge_##pixels##_##side##_##stride##_##meeting, inside_##pixels##_##side##_##stride##_##meeting }
#define TILES(side, stride, meeting) \
    TILE(1, side, stride, meeting) TILE(4, side, stride, meeting) TILE(5, side, stride, meeting) TILE(6, side, stride, meeting) \
    TILE(7, side, stride, meeting) TILE(8, side, stride, meeting)
#define ROW_OF(side, stride, meeting) \
    { PAIR(1, side, stride, meeting), PAIR(4, side, stride, meeting), PAIR(5, side, stride, meeting), PAIR(6, side, stride, meeting), \
      PAIR(7, side, stride, meeting), PAIR(8, side, stride, meeting) }
TILES(3, 1, ALONE) TILES(3, 2, ALONE) TILES(5, 1, ALONE) TILES(5, 2, ALONE) TILES(7, 1, ALONE)
TILES(3, 1, ACROSS) TILES(3, 2, ACROSS)

static tile_function *const tiles[5][MOST + 1][2] = {
    ROW_OF(3, 1, ALONE), ROW_OF(3, 2, ALONE), ROW_OF(5, 1, ALONE), ROW_OF(5, 2, ALONE), ROW_OF(7, 1, ALONE)
};
static tile_function *const across[2][MOST + 1][2] = { ROW_OF(3, 1, ACROSS), ROW_OF(3, 2, ACROSS) };
#if VECTOR > 4
TILES(3, 1, WITHIN) TILES(3, 2, WITHIN)
static tile_function *const within[2][MOST + 1][2] = { ROW_OF(3, 1, WITHIN), ROW_OF(3, 2, WITHIN) };
#endif

static tile_function *const (*tiles_of(const struct ood_depthwise_shape *s))[2]
{
#if VECTOR > 4
    if (s->depth > 1 && s->depth < VECTOR)
        return within[s->stride - 1];
#endif
    return s->depth > 1 ? across[s->stride - 1] : tiles[s->side == 7 ? 4 : (s->side - 3) + (s->stride - 1)];
}

bool KERNEL(ood_depthwise_serves)(const struct ood_depthwise_shape *shape)
{
    const bool window = ((shape->side == 3 || shape->side == 5) && (shape->stride == 1 || shape->stride == 2)) ||
                        (shape->side == 7 && shape->stride == 1);
    if (shape->depth > 1)                    /* whole groups in the widest vectors; of more channels others are faster */
        return shape->side == 3 && (shape->stride == 1 || shape->stride == 2) && shape->channels % 16 == 0 &&
               (shape->depth == 4 || shape->depth == 8 || shape->depth == 16);
    return window && shape->channels >= VECTOR;
}

/* A row of outputs. */
static void row_of_tiles(float *to, const struct ood_depthwise_call *call, struct place *place, tile_function *const kinds[MOST + 1][2])
{
    const struct ood_depthwise_shape *s = call->shape;
    const size_t most = s->out_width < LEAST ? 1 : MOST, count = (s->out_width + most - 1) / most;
    for (size_t x = 0, i = 0, pixels; x < s->out_width; x += pixels, i++) {
        pixels = s->out_width / count + (i < s->out_width % count);
        place->column = (long)(x * s->stride) - (long)s->pad_left;
        const bool inside = place->column >= 0 && place->column + (long)((pixels - 1) * s->stride + s->side) <= (long)s->width;
        kinds[pixels][inside](to + x * s->pixel, call, place);
    }
}

void KERNEL(ood_depthwise)(const struct ood_depthwise_call *call)
{
    const struct ood_depthwise_shape *s = call->shape;
    tile_function *const (*kinds)[2] = tiles_of(s);
    for (size_t n = 0; n < s->batch; n++)
        for (size_t y = 0; y < s->out_height; y++) {
            const size_t top = y * s->stride;            /* of the padded map */
            struct place place = { .first = top < s->pad_top ? s->pad_top - top : 0, .last = s->side };
            if (place.first > s->side)
                place.first = s->side;
            if (top + s->side > s->height + s->pad_top)
                place.last = s->height + s->pad_top > top ? s->height + s->pad_top - top : 0;
            const bool some = place.first < place.last;
            place.source = call->source + (n * s->height + (some ? top + place.first - s->pad_top : 0)) * s->width * s->pixel;
            row_of_tiles(call->destination + (n * s->out_height + y) * s->out_width * s->pixel, call, &place, kinds);
        }
}
