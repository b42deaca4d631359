/* Resizing as Pillow's Image.resize does it, to the bit: each output pixel is a weighted sum over the source pixels under the
 * filter, whose support grows with the reduction; first along rows, rounded to 8 bits, then along columns. Weights are made in
 * double, normalised, and rounded to 22 fractional bits. Only the wanted window is made, and of the intermediate rows only
 * those under the current output row are kept, so memory follows the output, not the source. */
#include "picture/picture_internal.h"

#include <math.h>
#include <string.h>

enum { FRACTION = 22, HALF = 1 << (FRACTION - 1) };

/* One direction: output i is made of the source pixels first[i] … first[i] + count[i]. */
struct axis {
    bool identity;                       /* no weights: output i is source pixel `offset + i` */
    size_t offset;
    size_t taps;                         /* weights stored for each output, >= any count */
    size_t outputs;
    int32_t *weights;                    /* [outputs][taps] */
    uint32_t *first, *count;
};

static double bilinear(double x)
{
    x = fabs(x);
    return x < 1 ? 1 - x : 0;
}

/* Keys' cubic convolution with a = -1/2. */
static double bicubic(double x)
{
    const double a = -0.5;
    x = fabs(x);
    if (x < 1)
        return ((a + 2) * x - (a + 3)) * x * x + 1;
    return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
}

/* How one direction maps: box from … to of the source becomes `full` outputs. */
struct mapping {
    double from, scale, filter_scale, support;
    double (*filter)(double);
};

/* The box is in float, and so is the difference: Pillow's are. */
static struct mapping mapping_of(float from, float to, size_t full, enum ood_filter filter)
{
    float length = to - from;
    struct mapping map = { .from = from, .scale = (double)length / (double)full };
    map.filter_scale = map.scale < 1 ? 1 : map.scale;
    map.support = (filter == OOD_FILTER_BICUBIC ? 2 : 1) * map.filter_scale;
    map.filter = filter == OOD_FILTER_BICUBIC ? bicubic : bilinear;
    return map;
}

/* Weights of the outputs window … window + axis->outputs; `exact` holds one output's before they are rounded. */
static void weigh(struct axis *axis, const struct mapping *map, size_t source, size_t window, double *exact)
{
    for (size_t i = 0; i < axis->outputs; i++) {
        double centre = map->from + ((double)(window + i) + 0.5) * map->scale;
        double low = centre - map->support + 0.5, high = centre + map->support + 0.5;
        size_t first = low < 0 ? 0 : (size_t)low, end = high > (double)source ? source : (size_t)high;
        size_t count = end - first;
        double sum = 0, inverse = 1 / map->filter_scale;
        for (size_t k = 0; k < count; k++) {
            exact[k] = map->filter(((double)(k + first) - centre + 0.5) * inverse);
            sum += exact[k];
        }
        int32_t *weights = axis->weights + i * axis->taps;
        for (size_t k = 0; k < count; k++) {
            double weight = (sum != 0 ? exact[k] / sum : exact[k]) * (1 << FRACTION);
            weights[k] = (int32_t)(weight < 0 ? weight - 0.5 : weight + 0.5);
        }
        axis->first[i] = (uint32_t)first;
        axis->count[i] = (uint32_t)count;
    }
}

static inline unsigned char to_byte(int32_t sum)
{
    int32_t value = sum >> FRACTION;
    return (unsigned char)(value < 0 ? 0 : value > 255 ? 255 : value);
}

static void row_across(const struct axis *axis, const unsigned char *row, unsigned char *out)
{
    for (size_t i = 0; i < axis->outputs; i++, out += 3) {
        const unsigned char *pixel = row + (size_t)axis->first[i] * 3;
        const int32_t *weights = axis->weights + i * axis->taps;
        int32_t red = HALF, green = HALF, blue = HALF;
        for (uint32_t k = 0; k < axis->count[i]; k++, pixel += 3) {
            red += pixel[0] * weights[k];
            green += pixel[1] * weights[k];
            blue += pixel[2] * weights[k];
        }
        out[0] = to_byte(red);
        out[1] = to_byte(green);
        out[2] = to_byte(blue);
    }
}

static void add_row(int32_t *restrict sums, const unsigned char *restrict row, int32_t weight, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        sums[i] += row[i] * weight;
}

/* Scratch memory of one job, cut from one block. */
struct scratch { unsigned char *at; };

static void *cut(struct scratch *scratch, size_t bytes)
{
    void *piece = scratch->at;
    scratch->at += (bytes + 15) / 16 * 16;
    return piece;
}

/* count · size more bytes, rounded up to 16. */
static bool add_bytes(size_t *total, size_t count, size_t size)
{
    size_t bytes;
    return ood_mul_size(count, size, &bytes) && ood_add_size(bytes, 15, &bytes) &&
           ood_add_size(*total, bytes / 16 * 16, total);
}

static void axis_prepare(struct axis *axis, const struct mapping *map, size_t window, size_t outputs)
{
    *axis = (struct axis){ .outputs = outputs, .taps = (size_t)ceil(map->support) * 2 + 1 };
    axis->identity = map->scale == 1 && map->from == floor(map->from);
    axis->offset = axis->identity ? (size_t)map->from + window : 0;
}

static void axis_weigh(struct axis *axis, const struct mapping *map, size_t source, size_t window, double *exact,
                       struct scratch *scratch)
{
    if (axis->identity)
        return;
    axis->weights = cut(scratch, axis->outputs * axis->taps * sizeof *axis->weights);
    axis->first = cut(scratch, axis->outputs * sizeof *axis->first);
    axis->count = cut(scratch, axis->outputs * sizeof *axis->count);
    weigh(axis, map, source, window, exact);
}

/* Row `y` of the source after the horizontal pass: in place in the source where there is none. */
static const unsigned char *across(const struct resample *job, const struct axis *axis, size_t y, unsigned char *row)
{
    const unsigned char *source = job->rgb + y * job->source_stride;
    if (axis->identity)
        return source + axis->offset * 3;
    row_across(axis, source, row);
    return row;
}

static void run(const struct resample *job, const struct axis *x_axis, const struct axis *y_axis, unsigned char *ring,
                int32_t *sums)
{
    size_t bytes = job->width * 3, next = 0;
    for (size_t y = 0; y < job->height; y++) {
        unsigned char *out = job->out + y * job->out_stride;
        if (y_axis->identity) {
            const unsigned char *row = across(job, x_axis, y_axis->offset + y, out);
            if (row != out)
                memcpy(out, row, bytes);
            continue;
        }
        size_t first = y_axis->first[y], end = first + y_axis->count[y];
        for (size_t i = 0; i < bytes; i++)
            sums[i] = HALF;
        for (size_t r = first; r < end; r++) {
            unsigned char *kept = ring + (x_axis->identity ? 0 : r % y_axis->taps * bytes);
            const unsigned char *row = r >= next || x_axis->identity ? across(job, x_axis, r, kept) : kept;
            add_row(sums, row, y_axis->weights[y * y_axis->taps + (r - first)], bytes);
        }
        next = end > next ? end : next;
        for (size_t i = 0; i < bytes; i++)
            out[i] = to_byte(sums[i]);
    }
}

bool ood_resample(const struct resample *job, struct ood_workspace *workspace, struct ood_error *err)
{
    if (job->filter == OOD_FILTER_OPENCV_BILINEAR)
        return ood_resample_opencv(job, workspace, err);
    struct mapping x_map = mapping_of(job->x0, job->x1, job->full_width, job->filter);
    struct mapping y_map = mapping_of(job->y0, job->y1, job->full_height, job->filter);
    struct axis x_axis, y_axis;
    axis_prepare(&x_axis, &x_map, job->x, job->width);
    axis_prepare(&y_axis, &y_map, job->y, job->height);

    size_t total = 0, row, most = x_axis.taps > y_axis.taps ? x_axis.taps : y_axis.taps;
    bool fits = ood_mul_size(job->width, 3, &row) && add_bytes(&total, most, sizeof(double));
    const struct axis *axes[2] = { &x_axis, &y_axis };
    for (int i = 0; i < 2; i++) {
        size_t weights;
        if (!axes[i]->identity)
            fits = fits && ood_mul_size(axes[i]->outputs, axes[i]->taps, &weights) &&
                   add_bytes(&total, weights, sizeof(int32_t)) && add_bytes(&total, axes[i]->outputs, sizeof(uint32_t)) &&
                   add_bytes(&total, axes[i]->outputs, sizeof(uint32_t));
    }
    fits = fits && add_bytes(&total, row, sizeof(int32_t)) &&
           add_bytes(&total, x_axis.identity || y_axis.identity ? 0 : y_axis.taps, row);
    if (!fits)
        return ood_fail(err, OOD_OUT_OF_MEMORY, "resizing to %zu×%zu pixels does not fit into memory", job->full_width,
                        job->full_height);
    if (!ood_workspace_reserve(&workspace->scratch, &workspace->scratch_capacity, total, err))
        return false;

    struct scratch scratch = { workspace->scratch };
    double *exact = cut(&scratch, most * sizeof *exact);
    axis_weigh(&x_axis, &x_map, job->source_width, job->x, exact, &scratch);
    axis_weigh(&y_axis, &y_map, job->source_height, job->y, exact, &scratch);
    int32_t *sums = cut(&scratch, row * sizeof *sums);
    run(job, &x_axis, &y_axis, scratch.at, sums);
    return true;
}

/* Up to 2^24 a side is a float without rounding; a box may then reach the last pixel, never past it. */
static bool side_fits(size_t side)
{
    return side > 0 && side <= (size_t)1 << 24;
}

bool ood_resize_rgb(const unsigned char *rgb, size_t width, size_t height, const struct ood_box *box,
                    enum ood_filter filter, unsigned char *out, size_t out_width, size_t out_height,
                    struct ood_workspace *workspace, struct ood_error *err)
{
    if (!side_fits(width) || !side_fits(height) || !side_fits(out_width) || !side_fits(out_height))
        return ood_fail(err, OOD_INVALID, "resize of %zu×%zu to %zu×%zu pixels: a side is 0 or too large", width, height,
                        out_width, out_height);
    struct resample job = {
        .rgb = rgb, .source_width = width, .source_height = height, .source_stride = width * 3, .x1 = (float)width, .y1 = (float)height,
        .filter = filter, .full_width = out_width, .full_height = out_height, .width = out_width, .height = out_height,
        .out = out, .out_stride = out_width * 3,
    };
    if (box != NULL) {
        job.x0 = (float)box->x0;
        job.y0 = (float)box->y0;
        job.x1 = (float)box->x1;
        job.y1 = (float)box->y1;
        if (!(job.x0 >= 0 && job.y0 >= 0 && job.x0 < job.x1 && job.y0 < job.y1 && (double)job.x1 <= (double)width &&
              (double)job.y1 <= (double)height))
            return ood_fail(err, OOD_INVALID, "resize: box %g,%g,%g,%g is empty or reaches outside of %zu×%zu pixels",
                            box->x0, box->y0, box->x1, box->y1, width, height);
    }
    return ood_resample(&job, workspace, err);
}
