/* A picture file to upright pixels: kind, header, limits, decoder, turn. The workspace's pixel buffers live here. */
#include "picture/picture_internal.h"

#include <string.h>
#include <turbojpeg.h>

bool ood_workspace_reserve(unsigned char **bytes, size_t *capacity, size_t needed, struct ood_error *err)
{
    if (needed <= *capacity)
        return true;
    ood_free(*bytes);
    *bytes = NULL;
    *capacity = 0;
    unsigned char *memory = ood_alloc(needed, 1, err);
    if (memory == NULL)
        return false;
    *bytes = memory;
    *capacity = needed;
    return true;
}

void ood_workspace_free(struct ood_workspace *workspace)
{
    if (workspace->decoder != NULL)
        tjDestroy(workspace->decoder);
    ood_free(workspace->bytes);
    ood_free(workspace->turned);
    ood_free(workspace->resized);
    ood_free(workspace->scratch);
    ood_free(workspace->normaliser);
    *workspace = (struct ood_workspace){ 0 };
}

void ood_picture_warn(struct ood_picture *picture, const char *text)
{
    if (picture->warning_count == OOD_WARNINGS)
        return;
    char *warning = picture->warnings[picture->warning_count++];
    snprintf(warning, sizeof picture->warnings[0], "%s", text);
}

/* Kinds this build reads; JPEG, which alone is decoded smaller, has its own way in. */
static const struct { picture_header_function *header; picture_decode_function *decode; } readers[PICTURE_KINDS] = {
    [PICTURE_PNG] = { ood_png_header, ood_png_decode },
#ifdef OOD_HAVE_WEBP
    [PICTURE_WEBP] = { ood_webp_header, ood_webp_decode },
#endif
#ifdef OOD_HAVE_GIF
    [PICTURE_GIF] = { ood_gif_header, ood_gif_decode },
#endif
#ifdef OOD_HAVE_BMP
    [PICTURE_BMP] = { ood_bmp_header, ood_bmp_decode },
#endif
#ifdef OOD_HAVE_TIFF
    [PICTURE_TIFF] = { ood_tiff_header, ood_tiff_decode },
#endif
};

static bool read_header(const unsigned char *bytes, size_t size, struct ood_workspace *workspace, struct picture_header *header,
                        struct ood_error *err)
{
    enum picture_kind kind;
    if (!ood_picture_kind(bytes, size, &kind, err))
        return false;
    if (kind == PICTURE_JPEG)
        return ood_jpeg_header(bytes, size, workspace, header, err);
    if (readers[kind].header != NULL)
        return readers[kind].header(bytes, size, header, err);
    return ood_fail(err, OOD_PICTURE_UNKNOWN, "the picture looks like %s, which was left out when this program was built",
                    ood_picture_kind_name(kind));
}

bool ood_picture_header(const unsigned char *bytes, size_t size, uint64_t pixel_limit, struct ood_workspace *workspace,
                        struct picture_header *header, struct ood_error *err)
{
    struct picture_header found;
    if (!read_header(bytes, size, workspace, &found, err))
        return false;
    uint64_t limit = pixel_limit == 0 ? OOD_DECODE_PIXELS : pixel_limit;
    if (found.width > OOD_PICTURE_SIDE || found.height > OOD_PICTURE_SIDE)
        return ood_fail(err, OOD_PICTURE_TOO_LARGE, "the picture has %zu×%zu pixels, more than %u on a side", found.width,
                        found.height, OOD_PICTURE_SIDE);
    if ((uint64_t)found.width * found.height > limit)
        return ood_fail(err, OOD_PICTURE_TOO_LARGE, "the picture has %zu×%zu pixels, more than the limit of %llu", found.width,
                        found.height, (unsigned long long)limit);
    *header = found;
    return true;
}

/* The greatest of 8, 4, 2 that keeps both sides, else 1. */
static size_t denominator_for(const struct picture_header *header, size_t least_width, size_t least_height)
{
    if (header->kind != PICTURE_JPEG || least_width == 0 || least_height == 0)
        return 1;
    for (size_t denominator = 8; denominator > 1; denominator /= 2)
        if (header_upright_width(header) / denominator >= least_width &&
            header_upright_height(header) / denominator >= least_height)
            return denominator;
    return 1;
}

static bool turn_upright(int orientation, struct ood_workspace *workspace, struct ood_picture *picture,
                         struct ood_error *err)
{
    if (orientation == 1)
        return true;
    size_t width = picture->width, height = picture->height;
    if (!ood_workspace_reserve(&workspace->turned, &workspace->turned_capacity, width * height * 3, err))
        return false;
    ood_turn(picture->rgb, width, height, orientation, workspace->turned);
    picture->rgb = workspace->turned;
    double across = picture->area.x1, down = picture->area.y1;
    if (orientation >= 5) {
        double swapped = across;
        across = down;
        down = swapped;
        picture->width = height;
        picture->height = width;
    }
    /* A part of a pixel that a scaled decode added at the right and lower edge lies at the other one where it was mirrored. */
    bool mirrored = orientation == 2 || orientation == 3 || orientation == 6 || orientation == 7;
    bool upside_down = orientation == 3 || orientation == 4 || orientation == 7 || orientation == 8;
    double left = mirrored ? (double)picture->width - across : 0, top = upside_down ? (double)picture->height - down : 0;
    picture->area = (struct ood_box){ left, top, left + across, top + down };
    return true;
}

bool ood_picture_read(const unsigned char *bytes, size_t size, const struct picture_header *header, size_t least_width,
                      size_t least_height, struct ood_workspace *workspace, struct ood_picture *picture,
                      struct ood_error *err)
{
    struct ood_picture found = {
        .original_width = header_upright_width(header),
        .original_height = header_upright_height(header),
    };
    if (header->kind != PICTURE_JPEG) {
        if (!readers[header->kind].decode(bytes, size, header, workspace, &found, err))
            return false;
    } else {
        size_t denominator = denominator_for(header, least_width, least_height);
        if (!ood_jpeg_decode(bytes, size, header, denominator, workspace, &found, err))
            return false;
    }
    if (!turn_upright(header->orientation, workspace, &found, err))
        return false;
    *picture = found;
    return true;
}

bool ood_picture_decode(const void *bytes, size_t size, const struct ood_decode_limits *limits, struct ood_picture *out,
                        struct ood_error *err)
{
    struct ood_workspace workspace = { 0 };
    struct picture_header header;
    bool ok = ood_picture_header(bytes, size, limits->pixels, &workspace, &header, err) &&
              ood_picture_read(bytes, size, &header, limits->least_width, limits->least_height, &workspace, out, err);
    if (ok && out->rgb == workspace.bytes)
        workspace.bytes = NULL;              /* the caller's now */
    else if (ok)
        workspace.turned = NULL;
    ood_workspace_free(&workspace);
    return ok;
}

void ood_picture_free(struct ood_picture *picture)
{
    ood_free(picture->rgb);
    *picture = (struct ood_picture){ 0 };
}
