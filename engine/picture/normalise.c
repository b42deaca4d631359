/* Bytes to the network's numbers, by a table of each byte's value in each channel that is made once and kept. */
#include "picture/picture_internal.h"

#include <string.h>

#include "kernel/kernel.h"

struct ood_normaliser {
    float scale, mean[3], std[3];        /* what the table was made of */
    float value[3][256];
    const struct ood_kernels *kernels;   /* whose planes have the very bits of the table, or NULL */
};

static bool made_for(const struct ood_normaliser *table, const struct ood_preprocess *preprocess)
{
    bool same = table->scale == preprocess->scale;
    for (int c = 0; c < 3; c++)
        same = same && table->mean[c] == preprocess->mean[c] && table->std[c] == preprocess->std[c];
    return same;
}

/* A loop for each step: its result is rounded to float in memory, so that no compiler fuses multiplication and subtraction,
 * which would change bits between machines. */
static void make(struct ood_normaliser *table, const struct ood_preprocess *preprocess)
{
    table->scale = preprocess->scale;
    for (int c = 0; c < 3; c++) {
        float *value = table->value[c];
        table->mean[c] = preprocess->mean[c];
        table->std[c] = preprocess->std[c];
        for (int byte = 0; byte < 256; byte++)
            value[byte] = (float)byte * preprocess->scale;
        for (int byte = 0; byte < 256; byte++)
            value[byte] -= preprocess->mean[c];
        for (int byte = 0; byte < 256; byte++)
            value[byte] /= preprocess->std[c];
    }
}

static bool is_blue_first(const struct ood_preprocess *preprocess) { return preprocess->channels == OOD_CHANNELS_BGR; }

/* The kernel's arguments for planes of `plane` floats: its colours are in the picture's order. */
static struct ood_pixel_planes planes_at(const struct ood_preprocess *preprocess, float *out, size_t plane)
{
    struct ood_pixel_planes planes = { .scale = preprocess->scale };
    for (size_t i = 0; i < 3; i++) {
        const size_t c = is_blue_first(preprocess) ? 2 - i : i;
        planes.colour[i] = (struct ood_pixel_colour){ out + c * plane, preprocess->mean[c], preprocess->std[c], 1 / preprocess->std[c] };
    }
    return planes;
}

/* Does the kernel give the table's bits for every byte? */
static bool agrees(const struct ood_normaliser *table, const struct ood_preprocess *preprocess, const struct ood_kernels *kernels)
{
    unsigned char bytes[256][3];
    float values[3][256];
    const struct ood_pixel_planes planes = planes_at(preprocess, values[0], 256);
    for (size_t i = 0; i < 256; i++)
        memset(bytes[i], (int)i, 3);
    return kernels->pixel_planes(&planes, bytes[0], 256) == 256 && memcmp(values, table->value, sizeof values) == 0;
}

static void colour_rows(const struct ood_preprocess *preprocess, const struct ood_normaliser *table,
                        const unsigned char *rgb, size_t stride, float *out)
{
    size_t width = preprocess->width, height = preprocess->height, plane = width * height;
    size_t first = is_blue_first(preprocess) ? 2 : 0, last = 2 - first;
    const float *a = table->value[0], *b = table->value[1], *c = table->value[2];
    bool planes = preprocess->layout == OOD_INPUT_NCHW;
    struct ood_pixel_planes row = planes_at(preprocess, out, plane);
    for (size_t y = 0; y < height; y++, rgb += stride) {
        const unsigned char *pixel = rgb;
        if (planes) {
            float *out_a = out + y * width, *out_b = out_a + plane, *out_c = out_b + plane;
            const size_t done = table->kernels != NULL ? table->kernels->pixel_planes(&row, rgb, width) : 0;
            for (size_t i = 0; i < 3; i++)
                row.colour[i].out += width;
            pixel += 3 * done;
            for (size_t x = done; x < width; x++, pixel += 3) {
                out_a[x] = a[pixel[first]];
                out_b[x] = b[pixel[1]];
                out_c[x] = c[pixel[last]];
            }
        } else {
            float *to = out + y * width * 3;
            for (size_t x = 0; x < width; x++, pixel += 3, to += 3) {
                to[0] = a[pixel[first]];
                to[1] = b[pixel[1]];
                to[2] = c[pixel[last]];
            }
        }
    }
}

/* ITU-R 601 luma in 16 fractional bits, as Pillow makes "L". */
static void grey_rows(const struct ood_preprocess *preprocess, const struct ood_normaliser *table,
                      const unsigned char *rgb, size_t stride, float *out)
{
    for (size_t y = 0; y < preprocess->height; y++, rgb += stride) {
        const unsigned char *pixel = rgb;
        for (size_t x = 0; x < preprocess->width; x++, pixel += 3)
            *out++ = table->value[0][(pixel[0] * 19595u + pixel[1] * 38470u + pixel[2] * 7471u + 0x8000u) >> 16];
    }
}

bool ood_normalise(const struct ood_preprocess *preprocess, const unsigned char *rgb, size_t stride,
                   struct ood_workspace *workspace, float *out, struct ood_error *err)
{
    struct ood_normaliser *table = workspace->normaliser;
    if (table == NULL || !made_for(table, preprocess)) {
        if (table == NULL && (table = ood_new(struct ood_normaliser, err)) == NULL)
            return false;
        make(table, preprocess);
        const struct ood_kernels *kernels = ood_kernels_choose();
        table->kernels = preprocess->channels != OOD_CHANNELS_GREY && agrees(table, preprocess, kernels) ? kernels : NULL;
        workspace->normaliser = table;
    }
    if (preprocess->channels == OOD_CHANNELS_GREY)
        grey_rows(preprocess, table, rgb, stride, out);
    else
        colour_rows(preprocess, table, rgb, stride, out);
    return true;
}
