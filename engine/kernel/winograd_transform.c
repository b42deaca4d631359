/* The Winograd kernel's first and last stage: tiles of the source into V, M into the destination with bias and steps. */
#include "kernel/winograd_internal.h"

struct place { size_t picture, row, column; };   /* a tile's; row and column of its first output */

static struct place place_of(const struct winograd_block *block, size_t tile)
{
    const size_t a_picture = block->tile_rows * block->tile_columns, i = (block->first + tile) % a_picture;
    return (struct place){ (block->first + tile) / a_picture, i / block->tile_columns * OUT, i % block->tile_columns * OUT };
}

/* ---- first ---- */

/* What a tile reads: row i from rows[i] on, `step` floats from one column to the next. Columns outside first … end - 1 are
 * zero; rows outside the map read the block's zeros with step 0. */
struct window {
    const float *rows[IN];
    size_t steps[IN];
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
    for (size_t i = 0; i < IN; i++) {
        const bool inside = i >= first_row && i < end_row && window->first < window->end;
        window->steps[i] = inside ? shape->channels : 0;
        window->rows[i] = !inside ? block->zeros
                                  : block->call->source +
                                        ((place.picture * shape->height + place.row + i - shape->pad_top) * shape->width +
                                         place.column + window->first - shape->pad_left) * shape->channels;
    }
}

/* One vector of channels of a tile, the window's rows told by pointers. count < VECTOR: the last channels; what stands in the
 * lanes behind is not read by anyone. whole and part are constants where this is inlined. */
INLINE void input_tile(float *v, size_t plane, const struct window *window, size_t channel, size_t count, bool whole, bool part)
{
    vec half[IN][IN];
    const float *rows[IN];
    const size_t first = whole ? 0 : window->first, end = whole ? IN : window->end;
    for (size_t i = 0; i < IN; i++)
        rows[i] = window->rows[i] + channel;
    if (!whole)
        for (size_t i = 0; i < IN; i++)
            for (size_t j = 0; j < IN; j++)
                half[i][j] = (vec){ 0 };
    for (size_t j = first; j < end; j++) {
        vec in[IN], out[IN];
        UNROLL for (size_t i = 0; i < IN; i++) {
            in[i] = part ? load_part(rows[i], count, 0) : load(rows[i]);
            rows[i] += whole ? window->steps[0] : window->steps[i];
        }
        transform_input(out, in);
        UNROLL for (size_t i = 0; i < IN; i++)
            half[i][j] = out[i];
    }
    for (size_t i = 0; i < IN; i++) {
        vec out[IN];
        transform_input(out, half[i]);
        UNROLL for (size_t j = 0; j < IN; j++)
            store(v + (i * IN + j) * plane, out[j]);
    }
}

void KERNEL(ood_winograd_input)(const struct winograd_block *block)
{
    const size_t channels = block->call->shape->channels;
    float *v = block->v;
    size_t tile = 0;
    for (size_t group = 0; group < group_count(block->tiles); group++) {
        const size_t tiles = group_size(block->tiles, group);
        for (size_t t = 0; t < tiles; t++, tile++) {
            struct window window;
            find_window(block, place_of(block, tile), &window);
            float *to = v + t * VECTOR;
            size_t c = 0;
            for (; c + VECTOR <= channels; c += VECTOR, to += tiles * VECTOR)
                if (window.whole)
                    input_tile(to, block->v_plane, &window, c, VECTOR, true, false);
                else
                    input_tile(to, block->v_plane, &window, c, VECTOR, false, false);
            if (c < channels)
                input_tile(to, block->v_plane, &window, c, channels - c, false, true);
        }
        v += tiles * block->in_vectors * VECTOR;
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

/* One vector of out channels of a tile: m at its plane 0, `at` the place of its first element in destination and sum; rows ×
 * columns of the tile exist. */
INLINE void output_tile(const struct winograd_block *block, const float *m, vec bias, size_t at, size_t rows, size_t columns,
                        size_t count)
{
    const struct ood_winograd_call *call = block->call;
    const size_t pixel = call->shape->out_channels, row = block->out_width * pixel;
    vec half[OUT][IN];
    for (size_t j = 0; j < IN; j++) {
        vec in[IN], out[OUT];
        UNROLL for (size_t i = 0; i < IN; i++)
            in[i] = load(m + (i * IN + j) * block->m_plane);
        transform_output(out, in);
        UNROLL for (size_t i = 0; i < OUT; i++)
            half[i][j] = out[i];
    }
    for (size_t i = 0; i < rows; i++, at += row) {
        vec out[OUT];
        transform_output(out, half[i]);
        UNROLL for (size_t j = 0; j < OUT; j++)
            out[j] = out[j] + bias;
        apply(out, call->steps, call->sum_at);
        if (call->sum != NULL)
            for (size_t j = 0; j < columns; j++)
                out[j] = out[j] + (count < VECTOR ? load_part(call->sum + at + j * pixel, count, 0)
                                                  : load(call->sum + at + j * pixel));
        apply(out, call->steps + call->sum_at, call->step_count - call->sum_at);
        for (size_t j = 0; j < columns; j++)
            if (count < VECTOR)
                store_part(call->destination + at + j * pixel, count, out[j]);
            else
                store(call->destination + at + j * pixel, out[j]);
    }
}

void KERNEL(ood_winograd_output)(const struct winograd_block *block)
{
    const struct ood_winograd_call *call = block->call;
    const size_t out_channels = call->shape->out_channels;
    for (size_t tile = 0; tile < block->tiles; tile++) {
        const struct place place = place_of(block, tile);
        const size_t rows = block->out_height - place.row < OUT ? block->out_height - place.row : OUT;
        const size_t columns = block->out_width - place.column < OUT ? block->out_width - place.column : OUT;
        size_t at = ((place.picture * block->out_height + place.row) * block->out_width + place.column) * out_channels;
        for (size_t k = 0; k < block->out_vectors; k++) {
            const size_t panel = k / 2, width = block->out_vectors - 2 * panel < 2 ? 1 : 2;
            const float *m = block->m + (panel * 2 * block->tiles + tile * width + k % 2) * VECTOR;
            const size_t count = out_channels - k * VECTOR < VECTOR ? out_channels - k * VECTOR : VECTOR;
            const vec bias = call->bias == NULL ? (vec){ 0 } : load_part(call->bias + k * VECTOR, count, 0);
            if (rows == OUT && columns == OUT && count == VECTOR)
                output_tile(block, m, bias, at + k * VECTOR, OUT, OUT, VECTOR);
            else
                output_tile(block, m, bias, at + k * VECTOR, rows, columns, count);
        }
    }
}
