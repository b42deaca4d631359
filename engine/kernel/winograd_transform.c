/* The Winograd kernel's first and last stage: tiles of the source into V, M into the destination with bias and steps. */
#include "kernel/winograd_internal.h"

/* ---- first ---- */

/* What a tile reads: rows[i] is the first column of row i (of the block's zeros, where the row lies outside the map). Columns
 * outside first … end - 1 lie outside the map, the rows begin with column `first`. */
struct window {
    const float *rows[IN];
    size_t step;                             /* floats from one column to the next */
    size_t first, end;
    bool whole;
};

/* The part of begin … begin + IN - 1 that lies in the map: padded coordinates, the map at pad … pad + size - 1. */
static void clip(size_t begin, size_t pad, size_t size, size_t *first, size_t *end)
{
    *first = begin < pad ? pad - begin : 0;
    *end = begin + IN > pad + size ? (begin < pad + size ? pad + size - begin : 0) : IN;
    if (*first > *end)
        *first = *end;
}

static void find_window(const struct winograd_block *block, struct place place, struct window *window)
{
    const struct ood_winograd_shape *shape = block->call->shape;
    size_t first_row, end_row;
    clip(place.row, shape->pad_top, shape->height, &first_row, &end_row);
    clip(place.column, shape->pad_left, shape->width, &window->first, &window->end);
    window->whole = first_row == 0 && end_row == IN && window->first == 0 && window->end == IN;
    window->step = source_pixel(shape);
    for (size_t i = 0; i < IN; i++) {
        const bool inside = i >= first_row && i < end_row && window->first < window->end;
        window->rows[i] = !inside ? block->zeros
                                  : block->call->source +
                                        ((place.picture * shape->height + place.row + i - shape->pad_top) * shape->width +
                                         place.column + window->first - shape->pad_left) * window->step;
    }
}

/* How a vector of a tile's channels is read. Constants where this is inlined but for count. */
struct reading { bool whole, part; size_t channel, count; };

/* Column j of rows from … to - 1, zeros where it lies outside; steps to the next column. */
INLINE void load_column(vec d[IN], const float *rows[IN], const struct window *window, size_t j, size_t from, size_t to,
                        struct reading reading)
{
    const bool inside = reading.whole || (j >= window->first && j < window->end);
    UNROLL for (size_t i = from; i < to; i++) {
        d[i] = !inside ? (vec){ 0 } : reading.part ? load_part(rows[i], reading.count, 0) : load(rows[i]);
        rows[i] += inside ? window->step : 0;
    }
}

/* Six vectors along a row into its six planes. */
INLINE void store_row(float *v, const vec half[IN])
{
    vec out[IN];
    input_ends(&out[0], &out[5], half);
    input_pair(&out[1], &out[2], half, POINT_A, POINT_B);
    input_pair(&out[3], &out[4], half, POINT_B, POINT_A);
    UNROLL for (size_t j = 0; j < IN; j++)
        store(v + j * V_PLANE, out[j]);
}

enum rows { ENDS, PAIR_A, PAIR_B };

/* Two rows of Bᵀ·d·B: first down the columns, then along the two rows, which fit the registers. Reading the source again for
 * each two rows is cheaper than a copy of all six half way. */
INLINE void input_rows(float *v, const struct window *window, enum rows which, struct reading reading)
{
    vec half[2][IN];
    const float *rows[IN];
    const size_t from = which == ENDS ? 0 : 1, to = which == ENDS ? IN : IN - 1;
    UNROLL for (size_t i = from; i < to; i++)
        rows[i] = window->rows[i] + reading.channel;
    UNROLL for (size_t j = 0; j < IN; j++) {
        vec d[IN];
        load_column(d, rows, window, j, from, to, reading);
        if (which == ENDS)
            input_ends(&half[0][j], &half[1][j], d);
        else if (which == PAIR_A)
            input_pair(&half[0][j], &half[1][j], d, POINT_A, POINT_B);
        else
            input_pair(&half[0][j], &half[1][j], d, POINT_B, POINT_A);
    }
    const size_t first = which == ENDS ? 0 : which == PAIR_A ? 1 : 3, second = which == ENDS ? IN - 1 : first + 1;
    store_row(v + first * IN * V_PLANE, half[0]);
    store_row(v + second * IN * V_PLANE, half[1]);
}

/* One vector of channels of a tile into its place on the 36 planes. Lanes behind the last channel are read by no one. */
INLINE void input_tile(float *v, const struct window *window, struct reading reading)
{
    input_rows(v, window, ENDS, reading);
    input_rows(v, window, PAIR_A, reading);
    input_rows(v, window, PAIR_B, reading);
}

#define LINE 16                              /* floats of a cache line */

/* All channels of a group's tiles, so ordered that lines of the source and of V are read and written whole. */
static void input_group(float *v, const struct window *windows, size_t tiles, size_t channels)
{
    for (size_t line = 0; line < channels; line += LINE)
        for (size_t t = 0; t < tiles; t++) {
            size_t c = line;
            for (; c < line + LINE && c + VECTOR <= channels; c += VECTOR) {
                float *to = v + c / VECTOR * V_CHANNELS + t * VECTOR;
                if (windows[t].whole)
                    input_tile(to, &windows[t], (struct reading){ true, false, c, VECTOR });
                else
                    input_tile(to, &windows[t], (struct reading){ false, false, c, VECTOR });
            }
            if (c < line + LINE && c < channels)
                input_tile(v + c / VECTOR * V_CHANNELS + t * VECTOR, &windows[t], (struct reading){ false, true, c, channels - c });
        }
}

void KERNEL(ood_winograd_input)(const struct winograd_block *block)
{
    float *v = block->v;
    size_t tile = 0;
    for (size_t group = 0; group < block->groups; group++, v += block->in_vectors * V_CHANNELS) {
        const size_t tiles = group_size(block, group);
        struct window windows[TILES];
        for (size_t t = 0; t < tiles; t++)
            find_window(block, place_of(block, tile++), &windows[t]);
        input_group(v, windows, tiles, block->call->shape->channels);
    }
}

/* ---- last ---- */

static __attribute__((noinline)) void apply_any(vec v[OUT], const struct ood_unary_step *steps, size_t count)
{
    apply_steps(v, OUT, steps, count);
}

INLINE void apply(vec v[OUT], const struct ood_unary_step *steps, size_t count)
{
    if (count == 1 && steps->function == OOD_UNARY_RELU)
        UNROLL for (size_t i = 0; i < OUT; i++)
            v[i] = at_least((vec){ 0 }, v[i]);
    else if (count > 0)
        apply_any(v, steps, count);
}

/* Where a tile's outputs go; rows and columns: those that exist. Constants where this is inlined, but for `at`. */
struct writing { size_t at, rows, columns, count; };

/* A row of outputs of one vector of out channels: bias, steps, sum, steps. */
INLINE void finish_row(const struct winograd_block *block, const vec half[IN], vec bias, size_t i, struct writing w)
{
    const struct ood_winograd_call *call = block->call;
    const size_t pixel = target_pixel(call->shape), at = w.at + i * block->out_width * pixel;
    vec out[OUT];
    if (i >= w.rows)
        return;
    output_even(&out[0], &out[2], half);
    output_odd(&out[1], &out[3], half);
    UNROLL for (size_t j = 0; j < OUT; j++)
        out[j] = out[j] + bias;
    apply(out, call->steps, call->sum_at);
    if (call->sum != NULL)
        UNROLL for (size_t j = 0; j < OUT; j++)
            if (j < w.columns)
                out[j] = out[j] + (w.count < VECTOR ? load_part(call->sum + at + j * pixel, w.count, 0)
                                                    : load(call->sum + at + j * pixel));
    if (call->step_count > call->sum_at)     /* no steps: no array to point into */
        apply(out, call->steps + call->sum_at, call->step_count - call->sum_at);
    UNROLL for (size_t j = 0; j < OUT; j++)
        if (j < w.columns && w.count < VECTOR)
            store_part(call->destination + at + j * pixel, w.count, out[j]);
        else if (j < w.columns)
            store(call->destination + at + j * pixel, out[j]);
}

/* Aᵀ·M·A: down the columns, two rows of the four at a time, then along each. m: plane 0 of the vector. */
INLINE void output_tile(const struct winograd_block *block, const float *m, vec bias, struct writing w)
{
    vec half[2][IN];
    UNROLL for (size_t odd = 0; odd < 2; odd++) {
        UNROLL for (size_t j = 0; j < IN; j++) {
            vec in[IN];
            UNROLL for (size_t i = odd; i < IN - 1 + odd; i++)
                in[i] = load(m + (i * IN + j) * M_PLANE);
            if (odd == 0)
                output_even(&half[0][j], &half[1][j], in);
            else
                output_odd(&half[0][j], &half[1][j], in);
        }
        finish_row(block, half[0], bias, odd, w);
        finish_row(block, half[1], bias, odd + 2, w);
    }
}

/* A tile's outputs. m: the tile's place in the first panel of its group. */
static void output_channels(const struct winograd_block *block, const float *m, size_t t, struct place place)
{
    const struct ood_winograd_call *call = block->call;
    const size_t channels = call->shape->out_channels;
    const size_t rows = block->out_height - place.row < OUT ? block->out_height - place.row : OUT;
    const size_t columns = block->out_width - place.column < OUT ? block->out_width - place.column : OUT;
    const size_t at = ((place.picture * block->out_height + place.row) * block->out_width + place.column) * target_pixel(call->shape);
    for (size_t k = 0; k < block->out_vectors; k++) {
        const size_t width = block->out_vectors - k / 2 * 2 < 2 ? 1 : 2;
        const size_t count = channels - k * VECTOR < VECTOR ? channels - k * VECTOR : VECTOR;
        const float *from = m + k / 2 * block->groups * M_GROUP + (t * width + k % 2) * VECTOR;
        const vec bias = call->bias == NULL ? (vec){ 0 } : count < VECTOR ? load_part(call->bias + k * VECTOR, count, 0)
                                                                         : load(call->bias + k * VECTOR);
        if (rows == OUT && columns == OUT && count == VECTOR)
            output_tile(block, from, bias, (struct writing){ at + k * VECTOR, OUT, OUT, VECTOR });
        else
            output_tile(block, from, bias, (struct writing){ at + k * VECTOR, rows, columns, count });
    }
}

void KERNEL(ood_winograd_output)(const struct winograd_block *block)
{
    size_t tile = 0;
    for (size_t group = 0; group < block->groups; group++)
        for (size_t t = 0; t < group_size(block, group); t++)
            output_channels(block, block->m + group * M_GROUP, t, place_of(block, tile++));
}
