/* Parts of one decoded picture: a header's sides, pixels lent by a workspace, and the picture under a box. */
#include "picture/picture_internal.h"

#include <math.h>

bool ood_picture_size(const void *bytes, size_t size, uint64_t pixel_limit, struct ood_workspace *workspace, size_t *width,
                      size_t *height, struct ood_error *err)
{
    struct picture_header header;
    if (!ood_picture_header(bytes, size, pixel_limit, workspace, &header, err))
        return false;
    *width = header_upright_width(&header);
    *height = header_upright_height(&header);
    return true;
}

bool ood_picture_borrow(const void *bytes, size_t size, uint64_t pixel_limit, struct ood_workspace *workspace,
                        struct ood_picture *out, struct ood_error *err)
{
    struct picture_header header;
    return ood_picture_header(bytes, size, pixel_limit, workspace, &header, err) &&
           ood_picture_read(bytes, size, &header, 0, 0, workspace, out, err);
}

/* from … to, inside 0 … side, in whole pixels, halves to even; at least one. */
static void whole_pixels(double from, double to, size_t side, size_t *first, size_t *count)
{
    size_t start = (size_t)rint(from), end = (size_t)rint(to);
    if (start == end) {
        size_t middle = (size_t)((from + to) / 2);
        start = middle < side ? middle : side - 1;
        end = start + 1;
    }
    *first = start;
    *count = end - start;
}

bool ood_picture_crop(const struct ood_picture *picture, const struct ood_box *box, struct ood_picture *part, struct ood_error *err)
{
    double width = (double)picture->width, height = (double)picture->height;
    double x0 = fmax(box->x0, 0), y0 = fmax(box->y0, 0), x1 = fmin(box->x1, width), y1 = fmin(box->y1, height);
    if (!isfinite(box->x0) || !isfinite(box->y0) || !isfinite(box->x1) || !isfinite(box->y1) || !(x0 < x1 && y0 < y1))
        return ood_fail(err, OOD_BOX_INVALID, "box %g,%g,%g,%g has no area in the picture of %zu×%zu pixels", box->x0, box->y0,
                        box->x1, box->y1, picture->width, picture->height);
    size_t left, top, columns, rows, stride = picture->stride != 0 ? picture->stride : picture->width * 3;
    whole_pixels(x0, x1, picture->width, &left, &columns);
    whole_pixels(y0, y1, picture->height, &top, &rows);
    *part = (struct ood_picture){ .width = columns, .height = rows, .rgb = picture->rgb + top * stride + left * 3, .stride = stride };
    return true;
}
