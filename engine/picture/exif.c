/* The orientation tag of an Exif segment. Every offset comes from the file and is checked against its size. */
#include "picture/picture_internal.h"

#include <string.h>

struct tiff {
    const unsigned char *bytes;
    size_t size;
    bool little;
};

/* Callers have made sure that the bytes are there. */
static unsigned tiff_16(const struct tiff *tiff, size_t at)
{
    const unsigned char *p = tiff->bytes + at;
    return tiff->little ? (unsigned)(p[0] | p[1] << 8) : (unsigned)(p[0] << 8 | p[1]);
}

static uint32_t tiff_32(const struct tiff *tiff, size_t at)
{
    uint32_t first = tiff_16(tiff, at), second = tiff_16(tiff, at + 2);
    return tiff->little ? second << 16 | first : first << 16 | second;
}

int ood_exif_orientation(const unsigned char *bytes, size_t size)
{
    enum { ENTRY = 12, TAG_ORIENTATION = 0x0112, TYPE_SHORT = 3 };
    if (size < 8 || (memcmp(bytes, "II", 2) != 0 && memcmp(bytes, "MM", 2) != 0))
        return 1;
    struct tiff tiff = { bytes, size, bytes[0] == 'I' };
    size_t directory = tiff_32(&tiff, 4);
    if (tiff_16(&tiff, 2) != 42 || directory > size - 2)
        return 1;
    size_t entries = tiff_16(&tiff, directory), at = directory + 2;
    for (size_t i = 0; i < entries && size - at >= ENTRY; i++, at += ENTRY) {
        if (tiff_16(&tiff, at) != TAG_ORIENTATION)
            continue;
        unsigned value = tiff_16(&tiff, at + 8);
        bool sane = tiff_16(&tiff, at + 2) == TYPE_SHORT && tiff_32(&tiff, at + 4) == 1 && value >= 1 && value <= 8;
        return sane ? (int)value : 1;
    }
    return 1;
}
