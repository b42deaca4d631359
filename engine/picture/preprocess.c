/* From pixels to a network's input: where the resized picture lies and which part of it is kept, then resample, crop or
 * fill, normalise. */
#include "picture/picture_internal.h"

#include <math.h>
#include <string.h>

/* A buffer larger than this is given back after the picture that needed it. */
#define KEPT_BYTES ((size_t)64 << 20)

bool ood_preprocess_check(const struct ood_preprocess *preprocess, struct ood_error *err)
{
    const struct ood_preprocess *p = preprocess;
    if (p->width == 0 || p->height == 0 || p->width > OOD_INPUT_SIDE || p->height > OOD_INPUT_SIDE)
        return ood_fail(err, OOD_INVALID, "input of %zu×%zu pixels; sides are 1 … %u", p->width, p->height, OOD_INPUT_SIDE);
    if (p->resize == OOD_RESIZE_SHORT_SIDE && p->resize_to != 0 &&
        (p->resize_to < p->width || p->resize_to < p->height || p->resize_to > OOD_INPUT_SIDE))
        return ood_fail(err, OOD_INVALID, "short side to %zu: less than the crop of %zu×%zu, or more than %u", p->resize_to,
                        p->width, p->height, OOD_INPUT_SIDE);
    if (!isfinite(p->scale))
        return ood_fail(err, OOD_INVALID, "scale is not finite");
    for (int c = 0; c < (p->channels == OOD_CHANNELS_GREY ? 1 : 3); c++)
        if (!isfinite(p->mean[c]) || !isfinite(p->std[c]) || p->std[c] == 0)
            return ood_fail(err, OOD_INVALID, "mean and std of channel %d are %g and %g; they must be finite, std not 0", c,
                            (double)p->mean[c], (double)p->std[c]);
    return true;
}

size_t ood_preprocess_floats(const struct ood_preprocess *preprocess)
{
    return preprocess->width * preprocess->height * (preprocess->channels == OOD_CHANNELS_GREY ? 1 : 3);
}

/* The whole picture becomes width × height; of that the part kept_* is placed into the input at left, top. */
struct geometry {
    size_t width, height;
    size_t x, y, kept_width, kept_height;
    size_t left, top;
};

/* round(more / 2), halves to even, as torchvision's CenterCrop has it from Python. */
static size_t half_to_even(size_t more)
{
    size_t half = more / 2;
    return more % 2 == 0 ? half : half + half % 2;
}

static size_t rounded_side(double side)
{
    double rounded = rint(side);
    return rounded < 1 ? 1 : (size_t)rounded;
}

static size_t at_least_1(uint64_t side) { return side < 1 ? 1 : (size_t)side; }

/* picture_* are the original's sides, at most OOD_PICTURE_SIDE, so that no product overflows. */
static struct geometry geometry_of(const struct ood_preprocess *preprocess, size_t picture_width, size_t picture_height)
{
    size_t width = preprocess->width, height = preprocess->height, w = picture_width, h = picture_height;
    struct geometry g = { .width = width, .height = height, .kept_width = width, .kept_height = height };
    if (preprocess->resize == OOD_RESIZE_SHORT_SIDE) {
        size_t to = preprocess->resize_to;
        bool across = to != 0 ? w <= h : (uint64_t)width * h >= (uint64_t)height * w;
        size_t side = to != 0 ? to : across ? width : height;
        g.width = across ? side : (size_t)((uint64_t)side * w / h);
        g.height = across ? (size_t)((uint64_t)side * h / w) : side;
        g.x = half_to_even(g.width - width);
        g.y = half_to_even(g.height - height);
    } else if (preprocess->resize == OOD_RESIZE_LETTERBOX) {
        double ratio = fmin((double)width / (double)w, (double)height / (double)h);
        g.width = g.kept_width = rounded_side((double)w * ratio);
        g.height = g.kept_height = rounded_side((double)h * ratio);
        g.left = (width - g.width) / 2;
        g.top = (height - g.height) / 2;
    } else if (preprocess->resize == OOD_RESIZE_LETTERBOX_FLOOR) {
        bool across = (uint64_t)width * h <= (uint64_t)height * w;       /* the widths fit */
        g.width = g.kept_width = across ? width : at_least_1((uint64_t)height * w / h);
        g.height = g.kept_height = across ? at_least_1((uint64_t)width * h / w) : height;
        g.left = (width - g.width) / 2;
        g.top = (height - g.height) / 2;
    } else if (preprocess->resize == OOD_RESIZE_LETTERBOX_CORNER) {
        double ratio = fmin((double)width / (double)w, (double)height / (double)h);
        g.width = g.kept_width = at_least_1((uint64_t)((double)w * ratio));
        g.height = g.kept_height = at_least_1((uint64_t)((double)h * ratio));
    }
    return g;
}

static void fill(unsigned char *rgb, size_t pixels, const unsigned char colour[3])
{
    for (size_t i = 0; i < pixels; i++)
        memcpy(rgb + 3 * i, colour, 3);
}

/* Where the picture's pixels come from, and where in the input they go. */
struct way { struct geometry geometry; struct ood_box area; size_t stride; bool as_it_is; };

static bool find_way(const struct ood_preprocess *preprocess, const struct ood_picture *picture, struct way *way, struct ood_error *err)
{
    size_t width = picture->width, height = picture->height;
    size_t original_width = picture->original_width != 0 ? picture->original_width : width;
    size_t original_height = picture->original_height != 0 ? picture->original_height : height;
    if (!ood_preprocess_check(preprocess, err))
        return false;
    if (width == 0 || height == 0 || width > OOD_PICTURE_SIDE || height > OOD_PICTURE_SIDE ||
        original_width > OOD_PICTURE_SIDE || original_height > OOD_PICTURE_SIDE)
        return ood_fail(err, OOD_INVALID, "picture of %zu×%zu pixels; sides are 1 … %u", width, height, OOD_PICTURE_SIDE);
    struct ood_box area = picture->area;
    if (area.x1 == 0 && area.y1 == 0)
        area = (struct ood_box){ 0, 0, (double)width, (double)height };
    if (!(area.x0 >= 0 && area.y0 >= 0 && area.x0 < area.x1 && area.y0 < area.y1 && area.x1 <= (double)width &&
          area.y1 <= (double)height))
        return ood_fail(err, OOD_INVALID, "area %g,%g,%g,%g is empty or reaches outside of %zu×%zu pixels", area.x0, area.y0,
                        area.x1, area.y1, width, height);
    struct geometry g = geometry_of(preprocess, original_width, original_height);
    bool same_size = g.width == width && g.height == height && original_width == width && original_height == height;
    way->as_it_is = same_size && g.kept_width == preprocess->width && g.kept_height == preprocess->height;
    way->geometry = g;
    way->area = area;
    way->stride = picture->stride != 0 ? picture->stride : width * 3;
    return true;
}

/* Resized, cropped or filled, into rgb [height][width][3] of the input. */
static bool resample(const struct ood_preprocess *preprocess, const struct ood_picture *picture, const struct way *way,
                     struct ood_workspace *workspace, unsigned char *rgb, struct ood_error *err)
{
    size_t width = preprocess->width, height = preprocess->height;
    const struct geometry *g = &way->geometry;
    if (g->kept_width != width || g->kept_height != height)
        fill(rgb, width * height, preprocess->fill);
    struct resample job = {
        .rgb = picture->rgb, .source_width = picture->width, .source_height = picture->height, .source_stride = way->stride,
        .x0 = (float)way->area.x0, .y0 = (float)way->area.y0, .x1 = (float)way->area.x1, .y1 = (float)way->area.y1,
        .filter = preprocess->filter, .full_width = g->width, .full_height = g->height,
        .x = g->x, .y = g->y, .width = g->kept_width, .height = g->kept_height,
        .out = rgb + (g->top * width + g->left) * 3, .out_stride = width * 3,
    };
    return ood_resample(&job, workspace, err);
}

bool ood_preprocess_apply(const struct ood_preprocess *preprocess, const struct ood_picture *picture,
                          struct ood_workspace *workspace, float *out, struct ood_error *err)
{
    size_t width = preprocess->width, height = preprocess->height;
    struct way way;
    if (!find_way(preprocess, picture, &way, err))
        return false;
    if (way.as_it_is)
        return ood_normalise(preprocess, picture->rgb + way.geometry.y * way.stride + way.geometry.x * 3, way.stride, workspace, out, err);
    return ood_workspace_reserve(&workspace->resized, &workspace->resized_capacity, width * height * 3, err) &&
           resample(preprocess, picture, &way, workspace, workspace->resized, err) &&
           ood_normalise(preprocess, workspace->resized, width * 3, workspace, out, err);
}

bool ood_preprocess_resize(const struct ood_preprocess *preprocess, const struct ood_picture *picture,
                           struct ood_workspace *workspace, unsigned char *rgb, struct ood_error *err)
{
    struct way way;
    if (!find_way(preprocess, picture, &way, err))
        return false;
    if (!way.as_it_is)
        return resample(preprocess, picture, &way, workspace, rgb, err);
    const unsigned char *from = picture->rgb + way.geometry.y * way.stride + way.geometry.x * 3;
    for (size_t y = 0; y < preprocess->height; y++)
        memcpy(rgb + y * preprocess->width * 3, from + y * way.stride, preprocess->width * 3);
    return true;
}

bool ood_preprocess_normalise(const struct ood_preprocess *preprocess, const unsigned char *rgb, struct ood_workspace *workspace,
                              float *out, struct ood_error *err)
{
    return ood_normalise(preprocess, rgb, preprocess->width * 3, workspace, out, err);
}

static void add_warnings(struct ood_verdict *verdict, const struct ood_picture *picture)
{
    for (size_t i = 0; verdict != NULL && i < picture->warning_count && verdict->warning_count < OOD_WARNINGS; i++)
        memcpy(verdict->warnings[verdict->warning_count++], picture->warnings[i], sizeof verdict->warnings[0]);
}

static void drop_if_large(unsigned char **bytes, size_t *capacity)
{
    if (*capacity <= KEPT_BYTES)
        return;
    ood_free(*bytes);
    *bytes = NULL;
    *capacity = 0;
}

void ood_workspace_trim(struct ood_workspace *workspace)
{
    drop_if_large(&workspace->bytes, &workspace->capacity);
    drop_if_large(&workspace->turned, &workspace->turned_capacity);
}

bool ood_picture_load_placed(const void *bytes, size_t size, uint64_t pixel_limit, const struct ood_preprocess *preprocess,
                             struct ood_workspace *workspace, float *out, struct ood_verdict *warnings,
                             struct ood_placement *placement, struct ood_error *err)
{
    struct picture_header header;
    struct ood_picture picture = { 0 };
    if (!ood_preprocess_check(preprocess, err) ||
        !ood_picture_header(bytes, size, pixel_limit, workspace, &header, err))
        return false;
    size_t width = header_upright_width(&header), height = header_upright_height(&header);
    struct geometry g = geometry_of(preprocess, width, height);
    /* OpenCV's filter picks single pixels: those of a smaller decode would be others. */
    bool scaled = preprocess->filter != OOD_FILTER_OPENCV_BILINEAR;
    bool ok = ood_picture_read(bytes, size, &header, scaled ? g.width * 2 : 0, scaled ? g.height * 2 : 0, workspace, &picture, err) &&
              ood_preprocess_apply(preprocess, &picture, workspace, out, err);
    if (ok) {
        add_warnings(warnings, &picture);
        *placement = (struct ood_placement){
            .width = width, .height = height, .left = (double)g.left - (double)g.x, .top = (double)g.top - (double)g.y,
            .scale_x = (double)width / (double)g.width, .scale_y = (double)height / (double)g.height,
        };
    }
    ood_workspace_trim(workspace);
    return ok;
}

bool ood_picture_load(const void *bytes, size_t size, uint64_t pixel_limit, const struct ood_preprocess *preprocess,
                      struct ood_workspace *workspace, float *out, struct ood_verdict *warnings, struct ood_error *err)
{
    struct ood_placement placement;
    return ood_picture_load_placed(bytes, size, pixel_limit, preprocess, workspace, out, warnings, &placement, err);
}
