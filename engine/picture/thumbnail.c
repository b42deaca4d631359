/* A picture made small and encoded again, for reports. */
#include <string.h>
#include <turbojpeg.h>

#include "picture/picture.h"

#define QUALITY 90

static bool encode(const unsigned char *rgb, size_t width, size_t height, struct ood_bytes *jpeg, struct ood_error *err)
{
    unsigned char *made = NULL;
    unsigned long size = 0;
    tjhandle handle = tjInitCompress();
    if (handle == NULL)
        return ood_fail(err, OOD_OUT_OF_MEMORY, "thumbnail: out of memory");
    bool done = tjCompress2(handle, rgb, (int)width, 0, (int)height, TJPF_RGB, &made, &size, TJSAMP_444, QUALITY, TJFLAG_ACCURATEDCT) == 0 ||
                ood_fail(err, OOD_INVALID, "thumbnail: %s", tjGetErrorStr2(handle));
    if (done) {
        jpeg->data = ood_alloc(size, 1, err);
        jpeg->size = size;
        done = jpeg->data != NULL;
        if (done)
            memcpy(jpeg->data, made, size);
    }
    tjFree(made);
    tjDestroy(handle);
    return done;
}

bool ood_picture_thumbnail(const void *bytes, size_t size, uint64_t pixel_limit, size_t side, struct ood_bytes *jpeg, struct ood_error *err)
{
    const struct ood_decode_limits limits = { .pixels = pixel_limit, .least_width = 2 * side, .least_height = 2 * side };
    struct ood_picture picture = { 0 };
    struct ood_workspace workspace = { 0 };
    struct ood_bytes made = { 0 };
    unsigned char *small = NULL;
    if (!ood_picture_decode(bytes, size, &limits, &picture, err))
        return false;
    size_t longest = picture.width > picture.height ? picture.width : picture.height, width = picture.width, height = picture.height;
    bool done = true;
    if (longest > side) {                    /* only ever made smaller */
        width = picture.width * side / longest > 0 ? picture.width * side / longest : 1;
        height = picture.height * side / longest > 0 ? picture.height * side / longest : 1;
        small = ood_alloc(width * height, 3, err);
        done = small != NULL && ood_resize_rgb(picture.rgb, picture.width, picture.height, NULL, OOD_FILTER_BILINEAR, small, width, height, &workspace, err);
    }
    done = done && encode(small != NULL ? small : picture.rgb, width, height, &made, err);
    ood_free(small);
    ood_workspace_free(&workspace);
    ood_picture_free(&picture);
    if (done)
        *jpeg = made;
    return done;
}
