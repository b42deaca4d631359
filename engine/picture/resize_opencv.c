/* Resizing as OpenCV's resize(…, INTER_LINEAR) does it on bytes, to the bit: each output pixel is made of two source columns
 * and two source rows around its centre, however much the picture shrinks, with weights of 11 fractional bits. */
#include "picture/picture_internal.h"

#include <math.h>
#include <string.h>

#include "kernel/kernel.h"

enum { WEIGHT_ONE = 2048, GROUP_VALUES = 4 * OOD_PIXEL_QUADS, HALF_QUAD = 8, CACHE_LINE = 64 };

struct tap { size_t low, high; int32_t low_weight, high_weight; };

/* The taps of columns, and what the kernel makes a row by (kernel/kernel.h): groups, or where there are none, of the first `safe`, whose pixels are
 * neighbours with another behind them, the byte where the lower one begins and both weights, the lower one's below. */
struct columns {
    const struct ood_kernels *kernels;
    struct tap *taps;
    size_t count;
    struct ood_pixel_group *groups;
    size_t group_count;
    bool near;
    uint32_t *at;
    int32_t *weights;
    size_t safe;
};

/* How outputs lie over source pixels, the last of which is `last`. */
struct direction { double scale; int64_t last; bool columns; };

static struct direction direction_of(size_t outputs, size_t cells, bool columns)
{
    return (struct direction){ 1 / ((double)outputs / (double)cells), (int64_t)cells - 1, columns };
}

/* At the edges columns stay inside with the whole weight on one; rows keep their weights and meet the same row twice, which rounds
 * differently. OpenCV has it so. */
static struct tap tap_of(size_t i, const struct direction *direction)
{
    const float place = (float)(((double)i + 0.5) * direction->scale - 0.5);     /* -1/2 or more */
    int64_t low = (int64_t)place - (place < 0), last = direction->last;
    float share = place - (float)low;
    if (direction->columns && (low < 0 || low >= last)) {
        low = low < 0 ? 0 : last;
        share = 0;
    }
    const int64_t high = low + 1 > last ? last : low + 1;
    return (struct tap){
        .low = (size_t)(low < 0 ? 0 : low), .high = (size_t)high,
        .low_weight = (int32_t)lrintf((1 - share) * WEIGHT_ONE), .high_weight = (int32_t)lrintf(share * WEIGHT_ONE),
    };
}

/* Values of a row between the two passes: 15 bits, as the second pass drops the lowest four. A row has room for whole groups and one more, as
 * weigh_pixels may write behind its pixels. */
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
    if (columns->groups != NULL) {
        columns->kernels->weigh_groups(out, row, columns->groups, columns->group_count, columns->near);
        return;
    }
    for (size_t x = columns->kernels->weigh_pixels(out, row, columns->at, columns->weights, columns->safe); x < columns->count; x++)
        widen_pixel(row, &columns->taps[x], out + 3 * x);
}

static void fill_columns(struct columns *columns, size_t cells)
{
    for (size_t x = 0; x < columns->count; x++) {
        const struct tap tap = columns->taps[x];
        if (tap.high != tap.low + 1 || tap.high + 1 >= cells || 3 * tap.low > UINT32_MAX)
            break;
        columns->at[x] = (uint32_t)(3 * tap.low);
        columns->weights[x] = tap.high_weight << 16 | tap.low_weight;
        columns->safe++;
    }
}

static size_t min_size(size_t a, size_t b) { return a < b ? a : b; }

/* Where `bytes` from the pixel on begin that all lie in the row. */
static uint32_t begin_of(size_t pixel, size_t cells, size_t bytes)
{
    return (uint32_t)(3 * pixel + bytes > 3 * cells ? 3 * cells - bytes : 3 * pixel);
}

/* A quad is of two pixels at most; near: sixteen bytes from the first one's on always have both. What is behind the row's last pixel is made like it. */
static void fill_groups(struct columns *columns, size_t cells)
{
    const size_t last = columns->count - 1;
    const struct tap *taps = columns->taps;
    bool near = true;
    for (size_t x = 0; x < last; x++)
        near = near && 3 * (taps[x + 1].high + 1 - taps[x].low) <= 2 * HALF_QUAD;
    for (size_t quad = 0; quad < columns->group_count * OOD_PIXEL_QUADS; quad++) {
        struct ood_pixel_group *const group = &columns->groups[quad / OOD_PIXEL_QUADS];
        const size_t i = (quad % 2 * OOD_PIXEL_QUADS + quad % OOD_PIXEL_QUADS) / 2;
        const size_t first = min_size(quad * 4 / 3, last), second = min_size((quad * 4 + 3) / 3, last);
        const uint32_t at = begin_of(taps[first].low, cells, near ? 2 * HALF_QUAD : HALF_QUAD);
        const uint32_t behind = near ? at + HALF_QUAD : begin_of(taps[second].low, cells, HALF_QUAD);
        group->at[i][0] = at;
        group->at[i][1] = behind;
        for (size_t k = 0; k < 4; k++) {
            const size_t value = quad * 4 + k, x = min_size(value / 3, last);
            const size_t place = x == first ? value % 3 : value % 3 + HALF_QUAD, from = x == first ? at : behind;
            const signed char places[4] = { (signed char)(3 * taps[x].low + place - from), -1, (signed char)(3 * taps[x].high + place - from), -1 };
            memcpy(&group->place[i][4 * k], places, sizeof places);
            group->weight[i][2 * k] = (int16_t)taps[x].low_weight;
            group->weight[i][2 * k + 1] = (int16_t)taps[x].high_weight;
        }
    }
    columns->near = near;
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
    const size_t values = job->width * 3, group_count = (values + GROUP_VALUES - 1) / GROUP_VALUES;
    const size_t group_bytes = group_count * sizeof(struct ood_pixel_group), row_bytes = (group_count + 1) * GROUP_VALUES * sizeof(int16_t);
    const size_t tap_bytes = job->width * sizeof(struct tap), at_bytes = job->width * sizeof(uint32_t);
    if (!ood_workspace_reserve(&workspace->scratch, &workspace->scratch_capacity,
                               CACHE_LINE + group_bytes + 2 * row_bytes + tap_bytes + 2 * at_bytes, err))
        return false;
    struct columns columns = { .kernels = ood_kernels_choose(), .count = job->width, .group_count = group_count };
    unsigned char *const groups = workspace->scratch + (-(uintptr_t)workspace->scratch & (CACHE_LINE - 1));
    unsigned char *const upper = groups + group_bytes, *const lower = upper + row_bytes, *const taps = lower + row_bytes, *const at = taps + tap_bytes;
    int16_t *rows[2] = { (int16_t *)(void *)upper, (int16_t *)(void *)lower };
    columns.groups = (struct ood_pixel_group *)(void *)groups;
    columns.taps = (struct tap *)(void *)taps;
    columns.at = (uint32_t *)(void *)at;
    columns.weights = (int32_t *)(void *)(at + at_bytes);
    size_t held[2] = { SIZE_MAX, SIZE_MAX };         /* which source row each holds */
    const struct direction across = direction_of(job->full_width, width, true), down = direction_of(job->full_height, height, false);
    for (size_t x = 0; x < job->width; x++)
        columns.taps[x] = tap_of(job->x + x, &across);
    if (columns.kernels->weigh_groups != NULL && 3 * width >= 2 * HALF_QUAD) {
        fill_groups(&columns, width);
    } else {
        columns.groups = NULL;
        fill_columns(&columns, width);
    }
    for (size_t y = 0; y < job->height; y++) {
        const struct tap tap = tap_of(job->y + y, &down);
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
