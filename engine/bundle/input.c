/* model.json's section "input": from a picture to the network's input. */
#include <math.h>
#include <string.h>

#include "bundle/bundle_internal.h"

#define HUGE_FLOAT 1e30

static bool parse_fill(const struct bundle_fields *input, unsigned char fill[3], struct ood_error *err)
{
    float values[3];
    if (!bundle_field_floats(input, "fill", 3, 0, 255, values, err))
        return false;
    for (size_t c = 0; c < 3; c++) {
        if (values[c] != floorf(values[c]))
            return bundle_field_fail(input, "fill", "whole numbers from 0 to 255", err);
        fill[c] = (unsigned char)values[c];
    }
    return true;
}

static bool parse_scaling(const struct bundle_fields *input, struct ood_preprocess *out, struct ood_error *err)
{
    double scale;
    size_t channels = out->channels == OOD_CHANNELS_GREY ? 1 : 3;
    if (!bundle_field_number(input, "scale", 1e-30, HUGE_FLOAT, &scale, err) ||
        !bundle_field_floats(input, "mean", channels, -HUGE_FLOAT, HUGE_FLOAT, out->mean, err) ||
        !bundle_field_floats(input, "std", channels, 1e-30, HUGE_FLOAT, out->std, err))
        return false;
    out->scale = (float)scale;
    return true;
}

bool bundle_parse_input(const json_t *root, struct ood_preprocess *out, const char **tensor, struct ood_error *err)
{
    static const char *const known[] = { "tensor", "width", "height", "channels", "layout", "resize", "resize_to", "filter",
                                         "crop", "fill", "scale", "mean", "std", NULL };
    struct bundle_fields input;
    const char *channels, *layout, *resize, *filter, *crop;
    if (!bundle_fields_open(&input, root, "input", known, err) || !bundle_field_text(&input, "tensor", tensor, err) ||
        !bundle_field_size(&input, "width", 1, 16384, &out->width, err) ||
        !bundle_field_size(&input, "height", 1, 16384, &out->height, err) ||
        !bundle_field_text(&input, "channels", &channels, err) || !bundle_field_text(&input, "layout", &layout, err) ||
        !bundle_field_text(&input, "resize", &resize, err) ||
        !bundle_field_size(&input, "resize_to", 0, 65536, &out->resize_to, err) ||
        !bundle_field_text(&input, "filter", &filter, err) || !bundle_field_text(&input, "crop", &crop, err))
        return false;
    if (!ood_channels_parse(channels, &out->channels))
        return bundle_field_fail(&input, "channels", "rgb, bgr or grey", err);
    if (!ood_input_layout_parse(layout, &out->layout))
        return bundle_field_fail(&input, "layout", "nchw or nhwc", err);
    if (!ood_resize_parse(resize, &out->resize))
        return bundle_field_fail(&input, "resize", "short_side, exact, letterbox, letterbox_floor or letterbox_corner", err);
    if (!ood_filter_parse(filter, &out->filter))
        return bundle_field_fail(&input, "filter", "bilinear, bicubic or opencv_bilinear", err);
    if (strcmp(crop, "center") != 0)
        return bundle_field_fail(&input, "crop", "center", err);
    return parse_fill(&input, out->fill, err) && parse_scaling(&input, out, err);
}
