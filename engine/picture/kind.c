/* Which format a picture is in, told by its first bytes; formats we do not read are named in the error. */
#include "picture/picture_internal.h"

#include <string.h>
#include <strings.h>

static const char *const names[PICTURE_KINDS] = { "JPEG", "PNG", "WebP", "GIF", "BMP", "TIFF" };

/* Bytes skip_from … skip_to - 1 of a signature may be anything. */
static const struct { enum picture_kind kind; size_t size, skip_from, skip_to; const char *magic; } known[] = {
    { PICTURE_JPEG, 3, 0, 0, "\xFF\xD8\xFF" },
    { PICTURE_PNG, 8, 0, 0, "\x89PNG\r\n\x1A\n" },
    { PICTURE_WEBP, 12, 4, 8, "RIFF....WEBP" },
    { PICTURE_GIF, 6, 0, 0, "GIF87a" },
    { PICTURE_GIF, 6, 0, 0, "GIF89a" },
    { PICTURE_BMP, 2, 0, 0, "BM" },
    { PICTURE_TIFF, 4, 0, 0, "II*\0" },
    { PICTURE_TIFF, 4, 0, 0, "MM\0*" },
    { PICTURE_TIFF, 4, 0, 0, "II+\0" },          /* BigTIFF, refused by name */
    { PICTURE_TIFF, 4, 0, 0, "MM\0+" },
};

static const struct { const char *name; size_t offset, size; const char *magic; } others[] = {
    { "AVIF", 4, 8, "ftypavif" },
    { "HEIF", 4, 8, "ftypheic" },
    { "JPEG XL", 0, 12, "\0\0\0\x0CJXL \r\n\x87\n" },
    { "JPEG 2000", 0, 12, "\0\0\0\x0CjP  \r\n\x87\n" },
};

#define READ "JPEG, PNG, WebP, GIF, BMP and TIFF are read"

const char *ood_picture_kind_name(enum picture_kind kind) { return names[kind]; }

bool ood_picture_kind(const unsigned char *bytes, size_t size, enum picture_kind *kind, struct ood_error *err)
{
    if (size == 0)
        return ood_fail(err, OOD_PICTURE_EMPTY, "the picture has no bytes");
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        size_t at = 0;
        while (at < known[i].size && at < size &&
               ((at >= known[i].skip_from && at < known[i].skip_to) || bytes[at] == (unsigned char)known[i].magic[at]))
            at++;
        if (at == known[i].size) {
            *kind = known[i].kind;
            return true;
        }
        if (at == size)
            return ood_fail(err, OOD_PICTURE_TRUNCATED, "the picture ends within the first bytes of a %s (%zu of %zu)",
                            names[known[i].kind], size, known[i].size);
    }
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if (size >= others[i].offset + others[i].size &&
            memcmp(bytes + others[i].offset, others[i].magic, others[i].size) == 0)
            return ood_fail(err, OOD_PICTURE_UNKNOWN, "the picture looks like %s; " READ, others[i].name);
    char hex[3 * 8 + 1] = "";
    size_t shown = size < 8 ? size : 8;
    for (size_t i = 0; i < shown; i++)
        snprintf(hex + 3 * i, sizeof hex - 3 * i, " %02x", bytes[i]);
    return ood_fail(err, OOD_PICTURE_UNKNOWN, "the first bytes (%s) are those of no picture; " READ, hex + 1);
}

bool ood_picture_name(const char *name)
{
    static const char *const endings[] = { ".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff" };
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; dot != NULL && i < sizeof endings / sizeof endings[0]; i++)
        if (strcasecmp(dot, endings[i]) == 0)
            return true;
    return false;
}
