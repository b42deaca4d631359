/* The first directory of a TIFF structure: the orientation in an Exif segment, and what a TIFF file's header is to us. Every
 * offset comes from the file and is checked against its size. */
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

enum { ENTRY = 12, TAG_WIDTH = 0x0100, TAG_HEIGHT = 0x0101, TAG_ORIENTATION = 0x0112, TYPE_SHORT = 3, TYPE_LONG = 4 };

/* The orientation in the entry at `at`; 1 where it makes no sense. */
static int orientation_at(const struct tiff *tiff, size_t at)
{
    unsigned value = tiff_16(tiff, at + 8);
    bool sane = tiff_16(tiff, at + 2) == TYPE_SHORT && tiff_32(tiff, at + 4) == 1 && value >= 1 && value <= 8;
    return sane ? (int)value : 1;
}

int ood_exif_orientation(const unsigned char *bytes, size_t size)
{
    if (size < 8 || (memcmp(bytes, "II", 2) != 0 && memcmp(bytes, "MM", 2) != 0))
        return 1;
    struct tiff tiff = { bytes, size, bytes[0] == 'I' };
    size_t directory = tiff_32(&tiff, 4);
    if (tiff_16(&tiff, 2) != 42 || directory > size - 2)
        return 1;
    size_t entries = tiff_16(&tiff, directory), at = directory + 2;
    for (size_t i = 0; i < entries && size - at >= ENTRY; i++, at += ENTRY)
        if (tiff_16(&tiff, at) == TAG_ORIENTATION)
            return orientation_at(&tiff, at);
    return 1;
}

/* A side, of 16 or 32 bits; 0: of no such kind. */
static size_t side_at(const struct tiff *tiff, size_t at)
{
    unsigned type = tiff_16(tiff, at + 2);
    if (tiff_32(tiff, at + 4) != 1 || (type != TYPE_SHORT && type != TYPE_LONG))
        return 0;
    return type == TYPE_SHORT ? tiff_16(tiff, at + 8) : tiff_32(tiff, at + 8);
}

/* Where an entry's value does not fit into the entry: is it within the file? */
static bool value_is_there(const struct tiff *tiff, size_t at)
{
    static const unsigned char sizes[] = { 0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4 };      /* of types 1 to 13 */
    unsigned type = tiff_16(tiff, at + 2);
    uint64_t bytes = (uint64_t)tiff_32(tiff, at + 4) * (type < sizeof sizes ? sizes[type] : 0);
    return bytes <= 4 || (tiff_32(tiff, at + 8) <= tiff->size && bytes <= tiff->size - tiff_32(tiff, at + 8));
}

bool ood_tiff_header(const unsigned char *bytes, size_t size, struct picture_header *header, struct ood_error *err)
{
    struct tiff tiff = { bytes, size, bytes[0] == 'I' };
    struct picture_header found = { .kind = PICTURE_TIFF, .orientation = 1 };
    if (tiff_16(&tiff, 2) != 42)
        return ood_fail(err, OOD_PICTURE_UNSUPPORTED, "TIFF: BigTIFF, with offsets of 64 bits, is not read");
    if (size < 8 || tiff_32(&tiff, 4) > size - 2)
        goto truncated;
    size_t directory = tiff_32(&tiff, 4), entries = tiff_16(&tiff, directory), at = directory + 2;
    if (entries > (size - at) / ENTRY || size - at - entries * ENTRY < 4)
        goto truncated;
    for (size_t i = 0; i < entries; i++, at += ENTRY) {
        unsigned tag = tiff_16(&tiff, at);
        if (!value_is_there(&tiff, at))
            goto truncated;
        if (tag == TAG_WIDTH)
            found.width = side_at(&tiff, at);
        else if (tag == TAG_HEIGHT)
            found.height = side_at(&tiff, at);
        else if (tag == TAG_ORIENTATION)
            found.orientation = orientation_at(&tiff, at);
    }
    if (found.width == 0 || found.height == 0)
        return ood_fail(err, OOD_PICTURE_CORRUPT, "TIFF: the first directory says %zu×%zu pixels", found.width, found.height);
    *header = found;
    return true;
truncated:
    return ood_fail(err, OOD_PICTURE_TRUNCATED, "TIFF: the data end (%zu bytes) before the first directory and its values do", size);
}
