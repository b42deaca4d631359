/* What the decoders of several formats end with: transparency laid on white, inks turned to light, a picture that is all there. */
#include "picture/picture_internal.h"

/* a·b / 255, rounded to nearest. */
static unsigned share(unsigned product)
{
    product += 128;
    return (product + (product >> 8)) >> 8;
}

void ood_lay_on_white(unsigned char *pixels, size_t count)
{
    const unsigned char *from = pixels;
    for (unsigned char *to = pixels; count-- > 0; from += 4, to += 3) {
        unsigned alpha = from[3];
        for (int c = 0; c < 3; c++)
            to[c] = (unsigned char)share(from[c] * alpha + 255 * (255 - alpha));
    }
}

/* Without inversion as Pillow has it: the black that is left less its share of each ink. Inverted the two are one product. */
void ood_ink_to_light(unsigned char *pixels, size_t count, bool inverted)
{
    const unsigned char *ink = pixels;
    for (unsigned char *light = pixels; count-- > 0; ink += 4, light += 3) {
        unsigned black = inverted ? ink[3] : 255u - ink[3];
        for (int c = 0; c < 3; c++)
            light[c] = (unsigned char)(inverted ? share(ink[c] * black) : black - share(ink[c] * black));
    }
}

void ood_picture_is_whole(const struct picture_header *header, struct ood_workspace *workspace, struct ood_picture *picture)
{
    picture->rgb = workspace->bytes;
    picture->width = header->width;
    picture->height = header->height;
    picture->area = (struct ood_box){ 0, 0, (double)header->width, (double)header->height };
}

bool ood_picture_reserve(const struct picture_header *header, size_t channels, struct ood_workspace *workspace, struct ood_error *err)
{
    size_t pixels, needed;
    if (!ood_mul_size(header->width, header->height, &pixels) || !ood_mul_size(pixels, channels, &needed))
        return ood_fail(err, OOD_PICTURE_TOO_LARGE, "%s: %zu×%zu pixels do not fit into memory", ood_picture_kind_name(header->kind),
                        header->width, header->height);
    return ood_workspace_reserve(&workspace->bytes, &workspace->capacity, needed, err);
}
