/* RoIAlign over maps that lie channels last: every sample's weights are told once and serve all channels. Samples outside the map are
 * stepped over without a look at each, so that a box of any size costs no more than the map. */
#include <math.h>
#include <string.h>

#include "kernel/roi_align.h"

/* One direction of a box: `samples` places a bin, `step` cells apart. Where they lie is told in float32 and in the order of torchvision's sums, so
 * that one at the map's very edge falls to the same side. */
struct axis { float from, bin; double step, samples; size_t bins, cells; };

static struct axis axis_of(float from, float to, float scale, size_t bins, size_t samples, bool half_pixel, size_t cells)
{
    const float shift = half_pixel ? 0.5f : 0;
    struct axis axis = { .from = from * scale - shift, .bins = bins, .cells = cells };
    float length = to * scale - shift - axis.from;
    if (!half_pixel && length < 1)
        length = 1;
    axis.bin = length / (float)bins;
    axis.samples = samples > 0 ? (double)samples : ceil((double)axis.bin);
    if (axis.samples < 0)
        axis.samples = 0;
    axis.step = axis.samples > 0 ? (double)axis.bin / axis.samples : 0;
    return axis;
}

/* Where a sample lies: cells `at` and at + 1 with their shares. False: outside, it counts as 0. */
static bool sample_of(const struct axis *axis, double place, size_t *at, double *share)
{
    if (!(place >= -1 && place <= (double)axis->cells))
        return false;
    double cell = place <= 0 ? 0 : floor(place);
    *share = place <= 0 ? 0 : place - cell;
    if (cell >= (double)(axis->cells - 1)) {
        cell = (double)(axis->cells - 1);
        *share = 0;
    }
    *at = (size_t)cell;
    return true;
}

/* The samples of a bin that may lie inside: first … end - 1. */
struct span { double first, end; };

static struct span inside(const struct axis *axis, size_t bin)
{
    struct span span = { 0, axis->samples };
    if (axis->step == 0)
        return span;
    const double start = (double)axis->from + (double)bin * (double)axis->bin;
    const double top = (-1 - start) / axis->step, bottom = ((double)axis->cells - start) / axis->step;
    const bool down = axis->step > 0;        /* else a box turned round: places go up */
    const double low = (down ? top : bottom) - 2, high = (down ? bottom : top) + 2;
    span.first = low > 0 ? floor(low) : 0;
    span.end = high < span.end ? ceil(high) : span.end;
    return span;
}

static double place_of(const struct axis *axis, size_t bin, double i)
{
    const float within = ((float)i + 0.5f) * axis->bin / (float)axis->samples;
    return (double)(axis->from + (float)bin * axis->bin + within);
}

/* A bin's weights over the cells, each sample counting once: cells first … end - 1 may have any. */
struct reach { size_t first, end; };

static struct reach weigh(const struct axis *axis, size_t bin, double *weights)
{
    struct reach reach = { axis->cells, 0 };
    const struct span span = inside(axis, bin);
    for (double i = span.first; i < span.end; i++) {
        size_t at;
        double share;
        if (!sample_of(axis, place_of(axis, bin, i), &at, &share))
            continue;
        const size_t end = at + (share > 0 ? 2 : 1);
        if (reach.end == 0)
            memset(weights, 0, axis->cells * sizeof *weights);
        weights[at] += 1 - share;
        if (share > 0)
            weights[at + 1] += share;
        reach.first = at < reach.first ? at : reach.first;
        reach.end = end > reach.end ? end : reach.end;
    }
    return reach;
}

/* ---- the mean ---- */

static void mean_bin(const struct ood_roi_map *map, const double *rows, struct reach y, const double *columns, struct reach x, double count,
                     double *sums, float *out)
{
    memset(sums, 0, map->channels * sizeof *sums);
    for (size_t r = y.first; r < y.end; r++)
        for (size_t c = x.first; c < x.end; c++) {
            const double weight = rows[r] * columns[c];
            const float *cell = map->values + (r * map->width + c) * map->channels;
            for (size_t k = 0; weight != 0 && k < map->channels; k++)
                sums[k] += weight * (double)cell[k];
        }
    for (size_t k = 0; k < map->channels; k++)
        out[k] = count > 0 ? (float)(sums[k] / count) : 0;
}

static void align_mean(const struct ood_roi_form *form, const struct ood_roi_map *map, const struct axis *y, const struct axis *x, double *scratch,
                       float *out)
{
    double *sums = scratch, *rows = sums + map->channels, *columns = rows + map->height;
    for (size_t i = 0; i < form->rows; i++) {
        const struct reach down = weigh(y, i, rows);
        for (size_t j = 0; j < form->columns; j++, out += map->channels) {
            const struct reach across = weigh(x, j, columns);
            mean_bin(map, rows, down, columns, across, y->samples * x->samples, sums, out);
        }
    }
}

/* ---- the greatest ---- */

static double blend(const struct ood_roi_map *map, size_t row, double down, size_t column, double across, size_t channel)
{
    const float *at = map->values + (row * map->width + column) * map->channels + channel;
    const size_t below = down > 0 ? map->width * map->channels : 0, beside = across > 0 ? map->channels : 0;
    return (1 - down) * ((1 - across) * (double)at[0] + across * (double)at[beside]) +
           down * ((1 - across) * (double)at[below] + across * (double)at[below + beside]);
}

/* Samples outside count as 0, and so does a bin without samples. */
static void greatest_bin(const struct ood_roi_map *map, const struct axis *y, size_t row_bin, const struct axis *x, size_t column_bin, double *most,
                         float *out)
{
    const struct span down = inside(y, row_bin), across = inside(x, column_bin);
    double seen = 0;
    for (double i = down.first; i < down.end; i++)
        for (double j = across.first; j < across.end; j++) {
            size_t row, column;
            double row_share, column_share;
            if (!sample_of(y, place_of(y, row_bin, i), &row, &row_share) ||
                !sample_of(x, place_of(x, column_bin, j), &column, &column_share))
                continue;
            for (size_t k = 0; k < map->channels; k++) {
                const double value = blend(map, row, row_share, column, column_share, k);
                most[k] = seen == 0 || !(value <= most[k]) ? value : most[k];
            }
            seen++;
        }
    const bool some_outside = seen < y->samples * x->samples;
    for (size_t k = 0; k < map->channels; k++)
        out[k] = seen == 0 || (some_outside && most[k] < 0) ? 0 : (float)most[k];
}

/* ---- boxes ---- */

size_t ood_roi_form_scratch(size_t channels, size_t height, size_t width) { return channels + height + width; }

void ood_roi_form_align(const struct ood_roi_form *form, const struct ood_roi_map *map, const float box[4], double *scratch, float *out)
{
    const size_t bins = form->rows * form->columns;
    const struct axis x = axis_of(box[0], box[2], (float)map->scale_x, form->columns, form->samples, form->half_pixel, map->width);
    const struct axis y = axis_of(box[1], box[3], (float)map->scale_y, form->rows, form->samples, form->half_pixel, map->height);
    if (!isfinite(x.from) || !isfinite(y.from) || !isfinite(x.bin) || !isfinite(y.bin) || !isfinite(x.samples) ||
        !isfinite(y.samples)) {
        for (size_t i = 0; i < bins * map->channels; i++)
            out[i] = NAN;
        return;
    }
    if (!form->greatest) {
        align_mean(form, map, &y, &x, scratch, out);
        return;
    }
    for (size_t i = 0; i < form->rows; i++)
        for (size_t j = 0; j < form->columns; j++, out += map->channels)
            greatest_bin(map, &y, i, &x, j, scratch, out);
}
