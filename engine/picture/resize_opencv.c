/* Resizing as OpenCV's resize(…, INTER_LINEAR) does it on bytes, to the bit: each output pixel is made of two source columns
 * and two source rows around its centre, however much the picture shrinks, with weights of 11 fractional bits. */
#include "picture/picture_internal.h"

#include <math.h>
#include <string.h>

#include "kernel/kernel.h"

enum { WEIGHT_ONE = 2048 };

struct tap { size_t low, high; int32_t low_weight, high_weight; };

/* The taps of columns; of the first `safe`, whose pixels are neighbours with another behind them, also the byte where the lower one begins and both
 * weights, the lower one's below (kernel/kernel.h: weigh_pixels). */
struct columns { const struct ood_kernels *kernels; struct tap *taps; uint32_t *at; int32_t *weights; size_t count, safe; };

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

/* Values of a row between the two passes: 15 bits, as the second pass drops the lowest four. ROW_SLACK: what weigh_pixels may write behind. */
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

static void widen_row(const unsigned char *row, const struct columns *columns, int16_t *out)
{
    for (size_t x = columns->kernels->weigh_pixels(out, row, columns->at, columns->weights, columns->safe); x < columns->count; x++)
        widen_pixel(row, &columns->taps[x], out + 3 * x);
}

static void fill_columns(struct columns *columns, size_t first, size_t full_width, size_t cells)
{
    for (size_t x = 0; x < columns->count; x++) {
        const struct tap tap = columns->taps[x] = tap_of(first + x, full_width, cells, true);
        if (columns->safe == x && tap.high == tap.low + 1 && tap.high + 1 < cells && 3 * tap.low <= UINT32_MAX) {
            columns->at[x] = (uint32_t)(3 * tap.low);
            columns->weights[x] = tap.high_weight << 16 | tap.low_weight;
            columns->safe++;
        }
    }
}

static void blend_rows(const struct ood_kernels *kernels, const int16_t *upper, const int16_t *lower, struct tap tap, size_t values, unsigned char *out)
{
    const int16_t weights[2] = { (int16_t)tap.low_weight, (int16_t)tap.high_weight };
    for (size_t i = kernels->blend_rows(out, upper, lower, weights[0], weights[1], values); i < values; i++)
        blend_value(upper[i], lower[i], &tap, &out[i]);
}

bool ood_resample_opencv(const struct resample *job, struct ood_workspace *workspace, struct ood_error *err)
{
    size_t x0 = (size_t)job->x0, y0 = (size_t)job->y0, width = (size_t)job->x1 - x0, height = (size_t)job->y1 - y0;
    if ((float)x0 != job->x0 || (float)y0 != job->y0 || (float)(x0 + width) != job->x1 || (float)(y0 + height) != job->y1)
        return ood_fail(err, OOD_INVALID, "area %g,%g,%g,%g: OpenCV's filter takes whole pixels only", (double)job->x0,
                        (double)job->y0, (double)job->x1, (double)job->y1);
    const size_t values = job->width * 3, tap_bytes = job->width * sizeof(struct tap), at_bytes = job->width * sizeof(uint32_t);
    const size_t row_bytes = (values + ROW_SLACK) * sizeof(int16_t);
    if (!ood_workspace_reserve(&workspace->scratch, &workspace->scratch_capacity, tap_bytes + 2 * at_bytes + 2 * row_bytes, err))
        return false;
    unsigned char *const behind = workspace->scratch + tap_bytes + 2 * at_bytes;
    struct columns columns = { .kernels = ood_kernels_choose(), .taps = (struct tap *)(void *)workspace->scratch,
                               .at = (uint32_t *)(void *)(workspace->scratch + tap_bytes),
                               .weights = (int32_t *)(void *)(workspace->scratch + tap_bytes + at_bytes), .count = job->width };
    int16_t *rows[2] = { (int16_t *)(void *)behind, (int16_t *)(void *)(behind + row_bytes) };
    size_t held[2] = { SIZE_MAX, SIZE_MAX };         /* which source row each holds */
    fill_columns(&columns, job->x, job->full_width, width);
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
                widen_row(job->rgb + (y0 + wanted[i]) * job->source_stride + x0 * 3, &columns, rows[i]);
                held[i] = wanted[i];
            }
        blend_rows(columns.kernels, rows[0], rows[1], tap, values, job->out + y * job->out_stride);
    }
    return true;
}
