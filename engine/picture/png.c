/* PNG by libspng. Everything that has or may have transparency is decoded with alpha and laid on white. */
#include "picture/picture_internal.h"

#include <limits.h>
#include <spng.h>
#include <string.h>

/* Text, profiles and the like, unpacked: of one chunk and of all. */
#define CHUNK_BYTES (8u << 20)
#define CHUNK_BYTES_ALL (32u << 20)

/* Beside libspng's codes: the failure was ours and its sentence stands in err. */
#define ERROR_IS_SET INT_MIN

static bool fail_as(struct ood_error *err, int status)
{
    enum ood_code code = OOD_PICTURE_CORRUPT;
    switch (status) {
    case SPNG_IO_EOF:
    case SPNG_IO_ERROR:
    case SPNG_EIO:
    case SPNG_EOF:
    case SPNG_EIDAT_TOO_SHORT:
        return ood_fail(err, OOD_PICTURE_TRUNCATED, "PNG: the data end before the picture does (%s)", spng_strerror(status));
    case SPNG_EMEM:
        code = OOD_OUT_OF_MEMORY;
        break;
    case SPNG_EUSER_WIDTH:
    case SPNG_EUSER_HEIGHT:
        code = OOD_PICTURE_TOO_LARGE;
        break;
    case SPNG_ECHUNK_LIMITS:
        return ood_fail(err, OOD_PICTURE_UNSUPPORTED, "PNG: its texts and profiles take more than %u bytes", CHUNK_BYTES);
    default:
        break;
    }
    return ood_fail(err, code, "PNG: %s", spng_strerror(status));
}

static uint32_t big_endian(const unsigned char *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

bool ood_png_header(const unsigned char *bytes, size_t size, struct picture_header *header, struct ood_error *err)
{
    enum { SIGNATURE = 8, IHDR_END = 33 };
    if (size < IHDR_END)
        return ood_fail(err, OOD_PICTURE_TRUNCATED, "PNG: the data end (%zu bytes) within the header", size);
    if (memcmp(bytes + SIGNATURE, "\0\0\0\x0DIHDR", 8) != 0)
        return ood_fail(err, OOD_PICTURE_CORRUPT, "PNG: the first chunk is not a header (IHDR) of 13 bytes");
    uint32_t width = big_endian(bytes + 16), height = big_endian(bytes + 20);
    if (width == 0 || height == 0)
        return ood_fail(err, OOD_PICTURE_CORRUPT, "PNG: the header says %u×%u pixels", width, height);
    *header = (struct picture_header){ .kind = PICTURE_PNG, .width = width, .height = height, .orientation = 1 };
    return true;
}

/* Whether the chunks go on to the end chunk, which libspng does not read to its last byte. */
static bool ends_whole(const unsigned char *bytes, size_t size, struct ood_error *err)
{
    for (size_t at = 8; size - at >= 12;) {
        size_t length = big_endian(bytes + at), left = size - at - 12;
        if (length > left)
            break;
        if (memcmp(bytes + at + 4, "IEND", 4) == 0)
            return true;
        at += 12 + length;
    }
    return ood_fail(err, OOD_PICTURE_TRUNCATED, "PNG: the data end (%zu bytes) before the end chunk (IEND) does", size);
}

/* The picture's pixels; then the chunks behind them, so that a file without its end is not taken for whole. */
static int decode_into(spng_ctx *context, const struct picture_header *header, bool *alpha,
                       struct ood_workspace *workspace, struct ood_error *err)
{
    struct spng_ihdr ihdr;
    struct spng_trns trns;
    size_t needed;
    int status = spng_get_ihdr(context, &ihdr);
    if (status != 0)
        return status;
    status = spng_get_trns(context, &trns);
    if (status != 0 && status != SPNG_ECHUNKAVAIL)
        return status;
    *alpha = status == 0 || ihdr.color_type == SPNG_COLOR_TYPE_GRAYSCALE_ALPHA ||
             ihdr.color_type == SPNG_COLOR_TYPE_TRUECOLOR_ALPHA;
    int format = *alpha ? SPNG_FMT_RGBA8 : SPNG_FMT_RGB8;
    status = spng_decoded_image_size(context, format, &needed);
    if (status != 0)
        return status;
    if (needed != (uint64_t)header->width * header->height * (*alpha ? 4 : 3))
        return SPNG_EINTERNAL;
    if (!ood_workspace_reserve(&workspace->bytes, &workspace->capacity, needed, err))
        return ERROR_IS_SET;
    status = spng_decode_image(context, workspace->bytes, needed, format, *alpha ? SPNG_DECODE_TRNS : 0);
    return status != 0 ? status : spng_decode_chunks(context);
}

bool ood_png_decode(const unsigned char *bytes, size_t size, const struct picture_header *header,
                    struct ood_workspace *workspace, struct ood_picture *picture, struct ood_error *err)
{
    if (!ends_whole(bytes, size, err))
        return false;
    spng_ctx *context = spng_ctx_new(0);
    if (context == NULL)
        return ood_fail(err, OOD_OUT_OF_MEMORY, "PNG: no memory for a decoder");
    bool alpha = false;
    int status = spng_set_image_limits(context, OOD_PICTURE_SIDE, OOD_PICTURE_SIDE);
    if (status == 0)
        status = spng_set_chunk_limits(context, CHUNK_BYTES, CHUNK_BYTES_ALL);
    if (status == 0)
        status = spng_set_crc_action(context, SPNG_CRC_ERROR, SPNG_CRC_ERROR);
    if (status == 0)
        status = spng_set_png_buffer(context, bytes, size);
    if (status == 0)
        status = decode_into(context, header, &alpha, workspace, err);
    spng_ctx_free(context);
    if (status != 0)
        return status == ERROR_IS_SET ? false : fail_as(err, status);
    if (alpha)
        ood_lay_on_white(workspace->bytes, header->width * header->height);
    ood_picture_is_whole(header, workspace, picture);
    return true;
}
