/* Which format a picture is in, told by its first bytes; formats we do not read are named in the error. */
#include "picture/picture_internal.h"

#include <string.h>

static const struct {
    const char *name;
    size_t offset, size;
    const char *magic;
} known[] = {
    { "JPEG", 0, 3, "\xFF\xD8\xFF" },
    { "PNG", 0, 8, "\x89PNG\r\n\x1A\n" },
    { "GIF", 0, 4, "GIF8" },
    { "WebP", 8, 4, "WEBP" },
    { "BMP", 0, 2, "BM" },
    { "TIFF", 0, 4, "II*\0" },
    { "TIFF", 0, 4, "MM\0*" },
    { "AVIF", 4, 8, "ftypavif" },
    { "HEIF", 4, 8, "ftypheic" },
    { "JPEG XL", 0, 12, "\0\0\0\x0CJXL \r\n\x87\n" },
    { "JPEG 2000", 0, 12, "\0\0\0\x0CjP  \r\n\x87\n" },
};

bool ood_picture_kind(const unsigned char *bytes, size_t size, enum picture_kind *kind, struct ood_error *err)
{
    if (size == 0)
        return ood_fail(err, OOD_PICTURE_EMPTY, "the picture has no bytes");
    for (size_t i = 0; i < 2; i++) {
        if (size >= known[i].size && memcmp(bytes, known[i].magic, known[i].size) == 0) {
            *kind = i == 0 ? PICTURE_JPEG : PICTURE_PNG;
            return true;
        }
        if (size < known[i].size && memcmp(bytes, known[i].magic, size) == 0)
            return ood_fail(err, OOD_PICTURE_TRUNCATED, "the picture ends within the first bytes of a %s (%zu of %zu)",
                            known[i].name, size, known[i].size);
    }
    for (size_t i = 2; i < sizeof known / sizeof known[0]; i++)
        if (size >= known[i].offset + known[i].size &&
            memcmp(bytes + known[i].offset, known[i].magic, known[i].size) == 0)
            return ood_fail(err, OOD_PICTURE_UNKNOWN, "the picture looks like %s; JPEG and PNG are read", known[i].name);
    char hex[3 * 8 + 1] = "";
    size_t shown = size < 8 ? size : 8;
    for (size_t i = 0; i < shown; i++)
        snprintf(hex + 3 * i, sizeof hex - 3 * i, " %02x", bytes[i]);
    return ood_fail(err, OOD_PICTURE_UNKNOWN, "neither JPEG nor PNG by its first bytes (%s)", hex + 1);
}
