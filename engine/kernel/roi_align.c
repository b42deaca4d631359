/* RoIAlign. A bin's samples lie on a grid and a bilinear weight is a product, so each bin is rows' weights times columns'
 * weights: at most four taps a direction. Of the mean over all bins the weights are summed first. */
#include "kernel/roi_align.h"

#include <math.h>
#include <string.h>

enum { SAMPLES = 2, TAPS = 2 * SAMPLES };

struct taps { size_t count, at[TAPS]; double weight[TAPS]; };

/* One direction's share of bin `bin` of `bins`: from … to in cells, of a map `cells` long. Weights add up to 1 where no sample
 * lies outside. */
static struct taps taps_of(double from, double to, size_t bins, size_t bin, size_t cells)
{
    struct taps taps = { 0 };
    double width = (to - from) / (double)bins;
    for (size_t i = 0; i < SAMPLES; i++) {
        double place = from + (double)bin * width + ((double)i + 0.5) * width / SAMPLES;
        if (!(place >= -1 && place <= (double)cells))
            continue;
        double cell = place <= 0 ? 0 : floor(place), share = place <= 0 ? 0 : place - cell;
        if (cell >= (double)(cells - 1)) {
            cell = (double)(cells - 1);
            share = 0;
        }
        taps.at[taps.count] = (size_t)cell;
        taps.weight[taps.count++] = (1 - share) / SAMPLES;
        if (share > 0) {
            taps.at[taps.count] = (size_t)cell + 1;
            taps.weight[taps.count++] = share / SAMPLES;
        }
    }
    return taps;
}

/* Half-pixel: the centre of cell 0 is at 0. */
struct range { double from, to; };

static struct range range_of(double from, double to, double scale)
{
    return (struct range){ from * scale - 0.5, to * scale - 0.5 };
}

void ood_roi_align(const struct ood_roi_map *map, const double box[4], size_t bins, float *out)
{
    struct range x = range_of(box[0], box[2], map->scale_x), y = range_of(box[1], box[3], map->scale_y);
    size_t plane = map->height * map->width;
    for (size_t i = 0; i < bins; i++) {
        struct taps rows = taps_of(y.from, y.to, bins, i, map->height);
        for (size_t j = 0; j < bins; j++) {
            struct taps columns = taps_of(x.from, x.to, bins, j, map->width);
            for (size_t c = 0; c < map->channels; c++) {
                double sum = 0;
                for (size_t r = 0; r < rows.count; r++)
                    for (size_t k = 0; k < columns.count; k++)
                        sum += rows.weight[r] * columns.weight[k] *
                               (double)map->values[c * plane + rows.at[r] * map->width + columns.at[k]];
                out[(c * bins + i) * bins + j] = (float)sum;
            }
        }
    }
}

/* Weights of all bins together, and which cells have any: first … end. */
struct span { size_t first, end; };

static struct span sum_weights(struct range range, size_t cells, double *weights)
{
    struct span span = { cells, 0 };
    memset(weights, 0, cells * sizeof *weights);
    for (size_t bin = 0; bin < OOD_ROI_BINS; bin++) {
        struct taps taps = taps_of(range.from, range.to, OOD_ROI_BINS, bin, cells);
        for (size_t i = 0; i < taps.count; i++) {
            weights[taps.at[i]] += taps.weight[i] / OOD_ROI_BINS;
            span.first = taps.at[i] < span.first ? taps.at[i] : span.first;
            span.end = taps.at[i] >= span.end ? taps.at[i] + 1 : span.end;
        }
    }
    return span;
}

void ood_roi_mean(const struct ood_roi_map *map, const double box[4], double *scratch, float *out)
{
    double *by_row = scratch, *by_column = scratch + map->height;
    struct span rows = sum_weights(range_of(box[1], box[3], map->scale_y), map->height, by_row);
    struct span columns = sum_weights(range_of(box[0], box[2], map->scale_x), map->width, by_column);
    for (size_t c = 0; c < map->channels; c++) {
        const float *plane = map->values + c * map->height * map->width;
        double sum = 0;
        for (size_t r = rows.first; r < rows.end; r++) {
            double row = 0;
            for (size_t k = columns.first; k < columns.end; k++)
                row += by_column[k] * (double)plane[r * map->width + k];
            sum += by_row[r] * row;
        }
        out[c] = (float)sum;
    }
}
