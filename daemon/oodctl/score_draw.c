/* oodctl score --draw: a picture with its boxes, coloured by decision. */
#include <math.h>

#include "daemon/oodctl/oodctl.h"
#include "daemon/oodctl/score.h"
#include "picture/picture.h"

static const unsigned char *colour_of(const struct ood_verdict *verdict)
{
    static const unsigned char colours[][3] = { { 0, 200, 0 }, { 240, 200, 0 }, { 230, 0, 0 } }, failed[3] = { 128, 128, 128 };
    return verdict->error.code != OOD_OK ? failed : colours[verdict->decision];
}

bool ctl_draw(const char *folder, size_t index, const char *path, const void *bytes, size_t size, const struct ood_detection *detections,
              size_t count, struct ood_error *err)
{
    const struct ood_decode_limits limits = { .pixels = UINT64_MAX };     /* it was decoded before, under the caller's limit */
    struct ood_picture picture = { 0 };
    struct ood_bytes png = { 0 };
    if (!ood_picture_decode(bytes, size, &limits, &picture, err))
        return ood_error_prefix(err, "%s", path);
    double thickness = fmax(2, rint((double)(picture.width > picture.height ? picture.width : picture.height) / 250));
    for (size_t i = count; i-- > 0;)         /* the best on top */
        ood_picture_draw_box(&picture, detections[i].box, thickness, colour_of(&detections[i].verdict));
    char *name = ood_format(err, "%s/%04zu-%s.png", folder, index, ctl_base_name(path));
    bool done = name != NULL && ood_picture_png(&picture, &png, err) && ood_file_write(name, png.data, png.size, err);
    ood_bytes_free(&png);
    ood_free(name);
    ood_picture_free(&picture);
    return done;
}
