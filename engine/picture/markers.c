/* A walk over a JPEG's markers, which costs next to nothing beside decoding. It finds what TurboJPEG does not tell: the
 * Exif segment, the number of scans before any is decoded, and whether the end marker is there at all (TurboJPEG keeps only
 * the first warning, so a premature end may hide behind another one). */
#include "picture/picture_internal.h"

#include <string.h>

enum {
    MARKER_TEM = 0x01, MARKER_RST0 = 0xD0, MARKER_RST7 = 0xD7, MARKER_SOI = 0xD8, MARKER_EOI = 0xD9, MARKER_SOS = 0xDA,
    MARKER_APP1 = 0xE1,
};

/* The next marker at or behind *at, as libjpeg finds it: 0xFF, more 0xFF, then a byte that is not 0. *at is left behind it.
 * Restart markers are part of a scan's data. 0: none before the end. */
static int next_marker(const unsigned char *bytes, size_t size, size_t *at)
{
    while (*at < size) {
        const unsigned char *found = memchr(bytes + *at, 0xFF, size - *at);
        if (found == NULL)
            break;
        size_t position = (size_t)(found - bytes);
        while (position < size && bytes[position] == 0xFF)
            position++;
        if (position == size)
            break;
        int code = bytes[position];
        *at = position + 1;
        if (code != 0 && code != MARKER_TEM && !(code >= MARKER_RST0 && code <= MARKER_RST7))
            return code;
    }
    *at = size;
    return 0;
}

bool ood_jpeg_markers(const unsigned char *bytes, size_t size, int *orientation, size_t *scans, struct ood_error *err)
{
    bool exif_seen = false;
    int turn = 1;
    size_t at = 2, scans_seen = 0;
    for (int code; (code = next_marker(bytes, size, &at)) != MARKER_EOI;) {
        if (code == MARKER_SOI)
            return ood_fail(err, OOD_PICTURE_CORRUPT, "JPEG: a second start of image at byte %zu", at - 2);
        size_t length = code != 0 && size - at >= 2 ? (size_t)bytes[at] << 8 | bytes[at + 1] : 0;
        if (code == 0 || size - at < 2 || size - at < length)
            return ood_fail(err, OOD_PICTURE_TRUNCATED, "JPEG: the data end (%zu bytes) before the end-of-image marker",
                            size);
        if (length < 2)
            return ood_fail(err, OOD_PICTURE_CORRUPT, "JPEG: marker 0x%02x at byte %zu has the length %zu", code, at - 2,
                            length);
        if (code == MARKER_APP1 && !exif_seen && length >= 8 && memcmp(bytes + at + 2, "Exif\0", 6) == 0) {
            exif_seen = true;
            turn = ood_exif_orientation(bytes + at + 8, length - 8);
        }
        scans_seen += code == MARKER_SOS;
        at += length;
    }
    if (scans_seen == 0)
        return ood_fail(err, OOD_PICTURE_CORRUPT, "JPEG: no scan before the end-of-image marker");
    *orientation = turn;
    *scans = scans_seen;
    return true;
}
