/* Boxes drawn into a picture's pixels, and pictures as PNG: for people who look at detections. */
#include "picture/picture_internal.h"

#include <math.h>
#include <spng.h>
#include <stdlib.h>
#include <string.h>

/* Columns or rows first … end of the picture, from corners that may lie anywhere. */
struct span { size_t first, end; };

static struct span span_of(double from, double to, size_t most)
{
    double first = fmax(floor(from), 0), end = fmin(ceil(to), (double)most);
    if (!(first < end))
        return (struct span){ 0, 0 };
    return (struct span){ (size_t)first, (size_t)end };
}

static void paint(struct ood_picture *picture, struct span columns, struct span rows, const unsigned char colour[3])
{
    for (size_t y = rows.first; y < rows.end; y++)
        for (size_t x = columns.first; x < columns.end; x++)
            memcpy(picture->rgb + (y * picture->width + x) * 3, colour, 3);
}

void ood_picture_draw_box(struct ood_picture *picture, const double box[4], double thickness, const unsigned char colour[3])
{
    struct span columns = span_of(box[0], box[2], picture->width), rows = span_of(box[1], box[3], picture->height);
    if (!isfinite(thickness) || columns.first == columns.end || rows.first == rows.end)
        return;
    paint(picture, columns, span_of(box[1], box[1] + thickness, picture->height), colour);
    paint(picture, columns, span_of(box[3] - thickness, box[3], picture->height), colour);
    paint(picture, span_of(box[0], box[0] + thickness, picture->width), rows, colour);
    paint(picture, span_of(box[2] - thickness, box[2], picture->width), rows, colour);
}

bool ood_picture_png(const struct ood_picture *picture, struct ood_bytes *out, struct ood_error *err)
{
    size_t bytes, size = 0;
    void *buffer = NULL;
    bool done = false;
    if (!ood_mul_size(picture->width, picture->height, &bytes) || !ood_mul_size(bytes, 3, &bytes) || picture->width > OOD_PICTURE_SIDE ||
        picture->height > OOD_PICTURE_SIDE)
        return ood_fail(err, OOD_LIMIT, "a picture of %zu×%zu pixels", picture->width, picture->height);
    struct spng_ihdr header = { .width = (uint32_t)picture->width, .height = (uint32_t)picture->height, .bit_depth = 8,
                                .color_type = SPNG_COLOR_TYPE_TRUECOLOR };
    spng_ctx *context = spng_ctx_new(SPNG_CTX_ENCODER);
    if (context == NULL)
        return ood_fail(err, OOD_OUT_OF_MEMORY, "out of memory");
    int status = spng_set_option(context, SPNG_ENCODE_TO_BUFFER, 1);
    status = status != 0 ? status : spng_set_option(context, SPNG_IMG_COMPRESSION_LEVEL, 3);
    status = status != 0 ? status : spng_set_ihdr(context, &header);
    status = status != 0 ? status : spng_encode_image(context, picture->rgb, bytes, SPNG_FMT_PNG, SPNG_ENCODE_FINALIZE);
    if (status == 0)
        buffer = spng_get_png_buffer(context, &size, &status);
    if (buffer == NULL) {
        ood_fail(err, status == SPNG_EMEM ? OOD_OUT_OF_MEMORY : OOD_INVALID, "PNG: %s", spng_strerror(status));
        goto out;
    }
    struct ood_bytes made = { ood_alloc(size, 1, err), size };
    if (made.data != NULL) {
        memcpy(made.data, buffer, size);
        *out = made;
        done = true;
    }
out:
    free(buffer);                            /* libspng's own */
    spng_ctx_free(context);
    return done;
}
