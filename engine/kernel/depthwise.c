/* Depthwise and grouped convolutions by register tiles: a vector of channels times a few pixels of one or two rows. Columns that lie outside of the
 * map are read from a vector of zeros, rows are left out; each sum runs over the window's rows, the channels of its group, the window's columns, one
 * multiply_add each, whatever the tile. */
#include "kernel/depthwise.h"

#include "kernel/kernels_internal.h"

#define MOST 8                               /* pixels of a tile's row: with a window's row of weights and an input, 16 registers at most */
#define LEAST (MOST / 2)                     /* below, one at a time */
#define MOST_SIDE 7
#define BLOCK_CHANNELS 64                    /* of a call, at least, that are done together */
#define STRIP_BYTES 16384                    /* of the inputs of two rows of tiles that are: they, weights and outputs lie in the nearest cache */

/* A tile: its first column of the map, its channels, and the rows of the window that are there. */
struct place {
    const float *source;                     /* row `first` of the window, column 0 of the map */
    size_t first, last;                      /* rows of the window: first … last - 1 */
    long column;                             /* of the map where the window of the first pixel begins; may be negative */
    size_t begin, end;                       /* channels */
};

static const float zeros[VECTOR];

#if defined(__clang__)
#define UNROLL_COLUMNS UNROLL
#else
#define UNROLL_COLUMNS _Pragma("GCC unroll 32")  /* up to 19 */
#endif

/* How a sum meets the channels of its group. There is one: in a vector of channels of a pixel, or in half of one, whose other half is those of the
 * next pixel. They lie in one vector, several groups in it; they fill vectors. */
enum meeting { ALONE, HALVES, WITHIN, ACROSS };

/* What a tile is, all constants where it is inlined. */
struct form {
    size_t pixels, rows, side, stride;       /* pixels a row */
    bool inside;                             /* no column is outside */
    enum meeting meeting;
};

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

#if VECTOR == 16
INLINE vec both_halves(const float *p) { return (vec)_mm512_broadcast_f32x8(_mm256_loadu_ps(p)); }

INLINE vec load_halves(const float *lower, const float *upper)
{
    return (vec)_mm512_insertf32x8(_mm512_castps256_ps512(_mm256_loadu_ps(lower)), _mm256_loadu_ps(upper), 1);
}

INLINE void store_halves(float *lower, float *upper, vec v)
{
    _mm256_storeu_ps(lower, _mm512_castps512_ps256((__m512)v));
    _mm256_storeu_ps(upper, _mm512_extractf32x8_ps((__m512)v, 1));
}
#else                                        /* no tile is made of them */
INLINE vec both_halves(const float *p) { return load(p); }
INLINE vec load_halves(const float *lower, const float *upper) { return (void)upper, load(lower); }
INLINE void store_halves(float *lower, float *upper, vec v) { (void)upper, store(lower, v); }
#endif

/* The weights (or the bias) of a sum's lanes. */
INLINE vec load_factor(const float *p, enum meeting meeting) { return meeting == HALVES ? both_halves(p) : load(p); }

/* Sums of a row of a tile, and the first pixel of each: the last pair may meet the one before. */
INLINE size_t sums_of(struct form f) { return f.meeting == HALVES ? (f.pixels + 1) / 2 : f.pixels; }
INLINE size_t pixel_of(size_t i, struct form f) { return f.meeting != HALVES ? i : 2 * i + 2 <= f.pixels ? 2 * i : f.pixels - 2; }

/* Where column j of a tile lies. But for single pixels, at most side / 2 columns at each end may be outside. */
INLINE const float *column_at(const float *x, size_t j, const struct ood_depthwise_shape *s, const struct place *place, struct form f)
{
    const size_t columns = (f.pixels - 1) * f.stride + f.side;
    const bool inside = f.inside || (f.pixels > 1 && j >= f.side / 2 && j < columns - f.side / 2);
    return inside || (size_t)(place->column + (long)j) < s->width ? x : zeros;
}

INLINE void add_column(vec *sum, const vec *factor, vec value, size_t j, struct form f)
{
    const size_t count = sums_of(f);
    UNROLL for (size_t i = 0; i < count; i++) {
        const size_t start = pixel_of(i, f) * f.stride;
        if (j >= start && j - start < f.side)
            sum[i] = multiply_add(value, factor[j - start], sum[i]);
    }
}

/* Adds a row of inputs x by a row of the window; `below` by another, to the sums of the next row of the tile, where there is one. */
INLINE void add_row(vec *sum, const vec *factor, vec *below, const vec *factor_below, const float *x, size_t member,
                    const struct ood_depthwise_shape *s, const struct place *place, struct form f)
{
    const size_t columns = (f.pixels - 1) * f.stride + f.side, pixel = s->pixel, loads = columns - (f.meeting == HALVES ? f.stride : 0);
#if VECTOR > 4
    const vec_bits lanes = f.meeting == WITHIN ? lanes_of(s->depth, member) : (vec_bits){ 0 };
#endif
    if (f.meeting == ACROSS)
        x += member;
    UNROLL_COLUMNS for (size_t j = 0; j < loads; j++, x += pixel) {
        if (j % 4 == 3)                      /* else each column gets a distance of its own, more than there are registers for */
            __asm__("" : "+r"(x));
        const float *from = column_at(x, j, s, place, f);
        vec value = f.meeting == ACROSS ? splat(*from)
                  : f.meeting == HALVES ? load_halves(from, column_at(x + f.stride * pixel, j + f.stride, s, place, f)) : load(from);
#if VECTOR > 4
        if (f.meeting == WITHIN)
            value = spread(value, lanes);
#endif
        KEEP(value);
        if (sum != NULL)
            add_column(sum, factor, value, j, f);
        if (below != NULL)
            add_column(below, factor_below, value, j, f);
    }
}

/* Other steps than a ReLU or a clip alone. */
static __attribute__((noinline)) void other_steps(vec *sum, const struct ood_depthwise_call *call)
{
    apply_steps(sum, MOST, call->steps, call->step_count);
}

/* The steps on a row of sums. A ReLU or a clip leaves them in their registers. */
INLINE void finish(vec *sum, size_t count, const struct ood_depthwise_call *call)
{
    const struct ood_unary_step *step = call->steps;
    if (call->step_count == 0)
        return;
    if (call->step_count == 1 && step->function == OOD_UNARY_RELU) {
        UNROLL for (size_t i = 0; i < count; i++)
            sum[i] = at_least((vec){ 0 }, sum[i]);
    } else if (call->step_count == 1 && step->function == OOD_UNARY_CLIP) {
        const vec alpha = splat(step->alpha), beta = splat(step->beta);
        UNROLL for (size_t i = 0; i < count; i++)
            sum[i] = at_most(beta, at_least(alpha, sum[i]));
    } else {
        vec copy[MOST];                      /* sum stays in registers */
        UNROLL for (size_t i = 0; i < MOST; i++)
            copy[i] = i < count ? sum[i] : (vec){ 0 };
        other_steps(copy, call);
        UNROLL for (size_t i = 0; i < count; i++)
            sum[i] = copy[i];
    }
}

/* A vector of channels from c on. */
INLINE void tile_of(float *to, const struct ood_depthwise_call *call, const struct place *place, size_t c, struct form f)
{
    const struct ood_depthwise_shape *s = call->shape;
    const size_t pixel = s->pixel, depth = f.meeting == WITHIN || f.meeting == ACROSS ? s->depth : 1, pitch = s->width * pixel;
    const float *row = place->source + place->column * (long)pixel + (f.meeting == ACROSS ? c / depth * depth : c);
    const float *w = call->weights + place->first * depth * f.side * pixel + c;
    const size_t count = sums_of(f), in_rows = f.stride + 3;
    vec sum[2][MOST];
    sum[0][0] = call->bias != NULL ? load_factor(call->bias + c, f.meeting) : (vec){ 0 };
    UNROLL for (size_t r = 0; r < f.rows; r++)
        UNROLL for (size_t i = 0; i < count; i++)
            sum[r][i] = sum[0][0];
    if (f.rows == 1) {
        for (size_t y = place->first; y < place->last; y++, row += pitch)
            for (size_t member = 0; member < depth; member++) {
                vec factor[MOST_SIDE];
                UNROLL for (size_t k = 0; k < f.side; k++, w += pixel)
                    factor[k] = load_factor(w, f.meeting);
                add_row(sum[0], factor, NULL, NULL, row, member, s, place, f);
            }
    } else {
        vec factor[3][3];
        UNROLL for (size_t y = 0; y < 3; y++)
            UNROLL for (size_t k = 0; k < 3; k++, w += pixel)
                factor[y][k] = load_factor(w, f.meeting);
        UNROLL for (size_t y = 0; y < in_rows; y++, row += pitch) {
            const bool above = y < 3, below = y >= f.stride;
            add_row(above ? sum[0] : NULL, factor[above ? y : 0], below ? sum[1] : NULL, factor[below ? y - f.stride : 0], row, 0, s, place, f);
        }
    }
    UNROLL for (size_t r = 0; r < f.rows; r++, to += s->out_width * pixel) {
        finish(sum[r], count, call);
        UNROLL for (size_t i = 0; i < count; i++) {
            float *at = to + pixel_of(i, f) * pixel + c;
            if (f.meeting == HALVES)
                store_halves(at, at + pixel, sum[r][i]);
            else
                store(at, sum[r][i]);
        }
    }
}

/* The vectors of channels of a tile, of which the last may meet the one before: the same bits again. */
INLINE void tile(float *to, const struct ood_depthwise_call *call, const struct place *place, struct form f)
{
    const size_t channels = call->shape->channels;
    for (size_t c = place->begin; c < place->end; c += VECTOR) {
        if (VECTOR == 16 && f.meeting == ALONE && f.pixels > 1 && channels - c <= VECTOR / 2) {
            f.meeting = HALVES;
            tile_of(to, call, place, channels - VECTOR / 2, f);
            return;
        }
        c = channels - c < VECTOR ? channels - VECTOR : c;
        tile_of(to, call, place, c, f);
    }
}

typedef void tile_function(float *to, const struct ood_depthwise_call *call, const struct place *place);

#define TILE(pixels, rows, side, stride, meeting) \
    static void inside_##pixels##_##rows##_##side##_##stride##_##meeting(float *to, const struct ood_depthwise_call *call, \
                                                                         const struct place *place) \
    { \
        tile(to, call, place, (struct form){ pixels, rows, side, stride, true, meeting }); \
    } \
    static void edge_##pixels##_##rows##_##side##_##stride##_##meeting(float *to, const struct ood_depthwise_call *call, \
                                                                       const struct place *place) \
    { \
        tile(to, call, place, (struct form){ pixels, rows, side, stride, false, meeting }); \
    }
#define PAIR(pixels, rows, side, stride, meeting) \
    [pixels] = { edge_##pixels##_##rows##_##side##_##stride##_##meeting, inside_##pixels##_##rows##_##side##_##stride##_##meeting }
#define TILES(rows, side, stride, meeting) \
    TILE(1, rows, side, stride, meeting) TILE(4, rows, side, stride, meeting) TILE(5, rows, side, stride, meeting) \
    TILE(6, rows, side, stride, meeting) TILE(7, rows, side, stride, meeting) TILE(8, rows, side, stride, meeting)
#define ROW_OF(rows, side, stride, meeting) \
    { PAIR(1, rows, side, stride, meeting), PAIR(4, rows, side, stride, meeting), PAIR(5, rows, side, stride, meeting), \
      PAIR(6, rows, side, stride, meeting), PAIR(7, rows, side, stride, meeting), PAIR(8, rows, side, stride, meeting) }
TILES(1, 3, 1, ALONE) TILES(1, 3, 2, ALONE) TILES(1, 5, 1, ALONE) TILES(1, 5, 2, ALONE) TILES(1, 7, 1, ALONE)
TILES(1, 3, 1, ACROSS) TILES(1, 3, 2, ACROSS)

static tile_function *const tiles[5][MOST + 1][2] = {
    ROW_OF(1, 3, 1, ALONE), ROW_OF(1, 3, 2, ALONE), ROW_OF(1, 5, 1, ALONE), ROW_OF(1, 5, 2, ALONE), ROW_OF(1, 7, 1, ALONE)
};
static tile_function *const across[2][MOST + 1][2] = { ROW_OF(1, 3, 1, ACROSS), ROW_OF(1, 3, 2, ACROSS) };
#if VECTOR > 4
TILES(1, 3, 1, WITHIN) TILES(1, 3, 2, WITHIN)
static tile_function *const within[2][MOST + 1][2] = { ROW_OF(1, 3, 1, WITHIN), ROW_OF(1, 3, 2, WITHIN) };
#endif
#if VECTOR == 16                             /* 16 sums, 9 weights and an input lie in 32 registers */
TILES(2, 3, 1, ALONE) TILES(2, 3, 2, ALONE)
static tile_function *const two_rows[2][MOST + 1][2] = { ROW_OF(2, 3, 1, ALONE), ROW_OF(2, 3, 2, ALONE) };
#endif

static tile_function *const (*tiles_of(const struct ood_depthwise_shape *s))[2]
{
#if VECTOR > 4
    if (s->depth > 1 && s->depth < VECTOR)
        return within[s->stride - 1];
#endif
    return s->depth > 1 ? across[s->stride - 1] : tiles[s->side == 7 ? 4 : (s->side - 3) + (s->stride - 1)];
}

/* The same of two rows, NULL where there are none. */
static tile_function *const (*pairs_of(const struct ood_depthwise_shape *s))[2]
{
#if VECTOR == 16
    if (s->depth == 1 && s->side == 3)
        return two_rows[s->stride - 1];
#endif
    (void)s;
    return NULL;
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

/* Of output row y. */
static void place_row(struct place *place, const struct ood_depthwise_call *call, size_t n, size_t y)
{
    const struct ood_depthwise_shape *s = call->shape;
    const size_t top = y * s->stride;                    /* of the padded map */
    place->first = top < s->pad_top ? s->pad_top - top : 0;
    place->last = s->side;
    if (place->first > s->side)
        place->first = s->side;
    if (top + s->side > s->height + s->pad_top)
        place->last = s->height + s->pad_top > top ? s->height + s->pad_top - top : 0;
    const bool some = place->first < place->last;
    place->source = call->source + (n * s->height + (some ? top + place->first - s->pad_top : 0)) * s->width * s->pixel;
}

/* Where the i-th of `count` columns of tiles begins: they are as even as they get. */
static size_t begin_of(size_t i, size_t count, const struct ood_depthwise_shape *s) { return i * s->out_width / count; }

/* The columns of tiles from `from` to `to`, all the way down. */
static void strip(const struct ood_depthwise_call *call, struct place place, size_t n, size_t from, size_t to, size_t count)
{
    const struct ood_depthwise_shape *s = call->shape;
    tile_function *const (*kinds)[2] = tiles_of(s), *const (*pairs)[2] = pairs_of(s);
    for (size_t y = 0, rows; y < s->out_height; y += rows) {
        const bool two = pairs != NULL && y + 1 < s->out_height && y * s->stride >= s->pad_top &&
                         (y + 1) * s->stride + s->side <= s->height + s->pad_top;
        rows = two ? 2 : 1;
        place_row(&place, call, n, y);
        for (size_t i = from, x = begin_of(i, count, s), next; i < to; i++, x = next) {
            next = begin_of(i + 1, count, s);
            place.column = (long)(x * s->stride) - (long)s->pad_left;
            const bool inside = place.column >= 0 && place.column + (long)((next - x - 1) * s->stride + s->side) <= (long)s->width;
            (two ? pairs : kinds)[next - x][inside](call->destination + ((n * s->out_height + y) * s->out_width + x) * s->pixel, call, &place);
        }
    }
}

void KERNEL(ood_depthwise)(const struct ood_depthwise_call *call)
{
    const struct ood_depthwise_shape *s = call->shape;
    const bool narrow_edges = s->pad_left <= s->side / 2 && s->out_width * s->stride + s->side <= s->width + s->pad_left + s->side / 2 + s->stride;
    const size_t most = s->out_width < LEAST || !narrow_edges ? 1 : MOST, count = (s->out_width + most - 1) / most;
    for (size_t n = 0; n < s->batch; n++)
        for (struct place place = { .begin = 0 }; place.begin < s->channels; place.begin = place.end) {
            place.end = s->channels - place.begin < 2 * BLOCK_CHANNELS ? s->channels : place.begin + BLOCK_CHANNELS;
            const size_t bytes = (s->side + s->stride) * MOST * s->stride * (place.end - place.begin) * sizeof(float);
            const size_t wide = bytes < STRIP_BYTES ? STRIP_BYTES / bytes : 1;
            for (size_t i = 0; i < count; i += wide)
                strip(call, place, n, i, count - i < wide ? count : i + wide, count);
        }
}
