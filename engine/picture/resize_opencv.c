/* Resizing as OpenCV's resize(…, INTER_LINEAR) does it on bytes, to the bit: each output pixel is made of two source columns
 * and two source rows around its centre, however much the picture shrinks, with weights of 11 fractional bits. */
#include "picture/picture_internal.h"

#include <math.h>
#include <string.h>

enum { WEIGHT_ONE = 2048 };

struct tap { size_t low, high; int32_t low_weight, high_weight; };

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

static void widen_row(const unsigned char *row, const struct tap *columns, size_t width, int32_t *out)
{
    for (size_t x = 0; x < width; x++, out += 3) {
        const struct tap *tap = &columns[x];
        const unsigned char *low = row + 3 * tap->low, *high = row + 3 * tap->high;
        for (size_t c = 0; c < 3; c++)
            out[c] = low[c] * tap->low_weight + high[c] * tap->high_weight;
    }
}

static void blend_rows(const int32_t *upper, const int32_t *lower, struct tap tap, size_t values, unsigned char *out)
{
    for (size_t i = 0; i < values; i++) {
        int32_t a = (tap.low_weight * (upper[i] >> 4)) >> 16, b = (tap.high_weight * (lower[i] >> 4)) >> 16;
        int32_t value = (a + b + 2) >> 2;
        out[i] = (unsigned char)(value < 0 ? 0 : value > 255 ? 255 : value);
    }
}

bool ood_resample_opencv(const struct resample *job, struct ood_workspace *workspace, struct ood_error *err)
{
    size_t x0 = (size_t)job->x0, y0 = (size_t)job->y0, width = (size_t)job->x1 - x0, height = (size_t)job->y1 - y0;
    if ((float)x0 != job->x0 || (float)y0 != job->y0 || (float)(x0 + width) != job->x1 || (float)(y0 + height) != job->y1)
        return ood_fail(err, OOD_INVALID, "area %g,%g,%g,%g: OpenCV's filter takes whole pixels only", (double)job->x0,
                        (double)job->y0, (double)job->x1, (double)job->y1);
    size_t values = job->width * 3, tap_bytes = job->width * sizeof(struct tap), row_bytes = values * sizeof(int32_t);
    if (!ood_workspace_reserve(&workspace->scratch, &workspace->scratch_capacity, tap_bytes + 2 * row_bytes, err))
        return false;
    struct tap *columns = (struct tap *)(void *)workspace->scratch;
    int32_t *rows[2] = { (int32_t *)(void *)(workspace->scratch + tap_bytes), (int32_t *)(void *)(workspace->scratch + tap_bytes + row_bytes) };
    size_t held[2] = { SIZE_MAX, SIZE_MAX };         /* which source row each holds */
    for (size_t x = 0; x < job->width; x++)
        columns[x] = tap_of(job->x + x, job->full_width, width, true);
    for (size_t y = 0; y < job->height; y++) {
        struct tap tap = tap_of(job->y + y, job->full_height, height, false);
        if (held[0] != tap.low && held[1] == tap.low) {      /* the lower one of before is the upper one now */
            int32_t *swap = rows[0];
            rows[0] = rows[1];
            rows[1] = swap;
            held[1] = held[0];
            held[0] = tap.low;
        }
        const size_t wanted[2] = { tap.low, tap.high };
        for (size_t i = 0; i < 2; i++)
            if (held[i] != wanted[i]) {
                widen_row(job->rgb + (y0 + wanted[i]) * job->source_stride + x0 * 3, columns, job->width, rows[i]);
                held[i] = wanted[i];
            }
        blend_rows(rows[0], rows[1], tap, values, job->out + y * job->out_stride);
    }
    return true;
}
