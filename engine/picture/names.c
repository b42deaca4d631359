/* The words of model.json for the enumerations of picture.h, and the presets. */
#include "picture/picture.h"

#include <string.h>

static const char *const channels_names[] = { "rgb", "bgr", "grey" };
static const char *const layout_names[] = { "nchw", "nhwc" };
static const char *const resize_names[] = { "short_side", "exact", "letterbox", "letterbox_floor", "letterbox_corner" };
static const char *const filter_names[] = { "bilinear", "bicubic", "opencv_bilinear" };

#define COUNT(names) (sizeof(names) / sizeof(names)[0])

/* The word's place in the list; its length: not there. */
static size_t place(const char *const *names, size_t count, const char *name)
{
    size_t i = 0;
    while (i < count && strcmp(names[i], name) != 0)
        i++;
    return i;
}

#define NAMES(type, stem, names)                                                                                      \
    const char *ood_##stem##_name(enum type value)                                                                    \
    {                                                                                                                 \
        return (size_t)value < COUNT(names) ? names[value] : "?";                                                     \
    }                                                                                                                 \
    bool ood_##stem##_parse(const char *name, enum type *out)                                                         \
    {                                                                                                                 \
        size_t i = place(names, COUNT(names), name);                                                                  \
        if (i == COUNT(names))                                                                                        \
            return false;                                                                                             \
        *out = (enum type)i;                                                                                          \
        return true;                                                                                                  \
    }

NAMES(ood_channels, channels, channels_names)
NAMES(ood_input_layout, input_layout, layout_names)
NAMES(ood_resize, resize, resize_names)
NAMES(ood_filter, filter, filter_names)

static const struct {
    const char *name;
    struct ood_preprocess preprocess;
} presets[] = {
    { "cifar", { .width = 32, .height = 32, .scale = 1.0f / 255, .mean = { 0.4914f, 0.4822f, 0.4465f },
                 .std = { 0.2470f, 0.2435f, 0.2616f } } },
    { "imagenet", { .width = 224, .height = 224, .resize_to = 256, .scale = 1.0f / 255, .mean = { 0.485f, 0.456f, 0.406f },
                    .std = { 0.229f, 0.224f, 0.225f } } },
};

bool ood_preprocess_preset(const char *name, struct ood_preprocess *out)
{
    for (size_t i = 0; i < COUNT(presets); i++)
        if (strcmp(presets[i].name, name) == 0) {
            *out = presets[i].preprocess;
            return true;
        }
    return false;
}
