/* BMP by a reader of our own: the libraries that read it in Debian are whole toolkits (SDL, GTK's, ImageMagick, libgd with X11 and
 * fonts), and what the format is, a header and rows of pixels, is less than calling one would be. Headers of Windows (40 to 124
 * bytes) and of OS/2 (12, 64); 1, 4, 8, 16, 24 and 32 bits a pixel, RLE8 and RLE4. Every number comes from the file. */
#include "picture/picture_internal.h"

#include <string.h>

enum compression { RGB, RLE8, RLE4, BITFIELDS, JPEG, PNG, ALPHA_BITFIELDS };

struct bmp {
    size_t width, height;
    bool top_down;
    unsigned bits, compression;
    uint32_t masks[4];                       /* red, green, blue, alpha, for 16 and 32 bits; alpha 0: none */
    size_t palette, palette_entries, palette_step, pixels;       /* offsets into the file; entries of 3 or 4 bytes */
};

static uint32_t little_16(const unsigned char *p) { return (uint32_t)(p[0] | p[1] << 8); }
static uint32_t little_32(const unsigned char *p) { return little_16(p) | little_16(p + 2) << 16; }

static bool truncated(size_t size, struct ood_error *err)
{
    return ood_fail(err, OOD_PICTURE_TRUNCATED, "BMP: the data end (%zu bytes) before the picture does", size);
}

/* Bits a pixel and compression that go together. */
static bool check_form(const struct bmp *bmp, struct ood_error *err)
{
    static const char *const names[] = { "RGB", "RLE8", "RLE4", "bit fields", "JPEG", "PNG", "alpha bit fields" };
    bool known = false;
    switch (bmp->compression) {
    case RGB:
        known = bmp->bits == 1 || bmp->bits == 4 || bmp->bits == 8 || bmp->bits == 16 || bmp->bits == 24 || bmp->bits == 32;
        break;
    case RLE8: known = bmp->bits == 8; break;
    case RLE4: known = bmp->bits == 4; break;
    case BITFIELDS:
    case ALPHA_BITFIELDS: known = bmp->bits == 16 || bmp->bits == 32; break;
    default: break;
    }
    if (!known)
        return ood_fail(err, OOD_PICTURE_UNSUPPORTED, "BMP: %u bits a pixel with compression %u (%s) are not read", bmp->bits,
                        bmp->compression, bmp->compression < 7 ? names[bmp->compression] : "unknown");
    if (bmp->top_down && (bmp->compression == RLE8 || bmp->compression == RLE4))
        return ood_fail(err, OOD_PICTURE_CORRUPT, "BMP: run lengths in a picture whose rows go down");
    return true;
}

/* A run of ones, which all but alpha must be. */
static bool check_masks(const struct bmp *bmp, struct ood_error *err)
{
    static const char *const names[] = { "red", "green", "blue", "alpha" };
    for (int c = 0; c < 4; c++) {
        uint32_t mask = bmp->masks[c], most = mask == 0 ? 0 : mask >> __builtin_ctz(mask);
        if ((mask == 0 && c < 3) || (most & (most + 1)) != 0 || (bmp->bits == 16 && mask > 0xFFFF))
            return ood_fail(err, OOD_PICTURE_CORRUPT, "BMP: the mask of %s is 0x%x, expected a run of bits of %u", names[c], mask,
                            bmp->bits);
    }
    return true;
}

/* `size` bytes of a header that begins behind the file's own of 14. */
static bool read_form(const unsigned char *bytes, size_t size, uint32_t length, struct bmp *bmp, struct ood_error *err)
{
    enum { FILE_HEADER = 14, CORE = 12, INFO = 40, OS2 = 64, WITH_MASKS = 52, WITH_ALPHA = 56 };
    const unsigned char *info = bytes + FILE_HEADER;
    if (length == CORE) {
        *bmp = (struct bmp){ .width = little_16(info + 4), .height = little_16(info + 6), .bits = little_16(info + 10) };
        bmp->palette_step = 3;
    } else {
        uint32_t height = little_32(info + 8);
        *bmp = (struct bmp){ .width = little_32(info + 4), .height = height, .bits = little_16(info + 14) };
        bmp->compression = little_32(info + 16);
        bmp->palette_step = 4;
        bmp->palette_entries = little_32(info + 32);
        bmp->top_down = height > INT32_MAX;
        if (bmp->top_down)
            bmp->height = (size_t)UINT32_MAX + 1 - height;
        if (length == OS2 && bmp->compression >= BITFIELDS)
            return ood_fail(err, OOD_PICTURE_UNSUPPORTED, "BMP: OS/2's compression %u is not read", bmp->compression);
    }
    if (bmp->width == 0 || bmp->height == 0 || bmp->width > INT32_MAX)
        return ood_fail(err, OOD_PICTURE_CORRUPT, "BMP: the header says %zu×%zu pixels", bmp->width, bmp->height);
    if (!check_form(bmp, err))
        return false;
    size_t after = FILE_HEADER + length;
    if (bmp->compression == BITFIELDS || bmp->compression == ALPHA_BITFIELDS) {
        bool inside = length >= WITH_MASKS;
        bool alpha = inside ? length >= WITH_ALPHA : bmp->compression == ALPHA_BITFIELDS;
        size_t masks = alpha ? 4 : 3;
        if (!inside)
            after += masks * 4;
        if (size < after)
            return truncated(size, err);
        for (size_t c = 0; c < masks; c++)
            bmp->masks[c] = little_32(info + INFO + 4 * c);
        if (!check_masks(bmp, err))
            return false;
    } else if (bmp->bits == 16)
        memcpy(bmp->masks, (const uint32_t[]){ 0x7C00, 0x03E0, 0x001F, 0 }, sizeof bmp->masks);
    else if (bmp->bits == 32)                /* the fourth byte is padding, not alpha */
        memcpy(bmp->masks, (const uint32_t[]){ 0xFF0000, 0xFF00, 0xFF, 0 }, sizeof bmp->masks);
    bmp->palette = after;
    return true;
}

static bool read_header(const unsigned char *bytes, size_t size, struct bmp *bmp, struct ood_error *err)
{
    enum { FILE_HEADER = 14, LENGTH_END = 18 };
    static const uint32_t lengths[] = { 12, 40, 52, 56, 64, 108, 124 };
    struct bmp found;
    if (size < LENGTH_END)
        return truncated(size, err);
    uint32_t length = little_32(bytes + FILE_HEADER);
    bool known = false;
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++)
        known = known || length == lengths[i];
    if (!known)
        return ood_fail(err, OOD_PICTURE_UNSUPPORTED, "BMP: a header of %u bytes; 12, 40, 52, 56, 64, 108 and 124 are known", length);
    if (size < FILE_HEADER + length)
        return truncated(size, err);
    if (!read_form(bytes, size, length, &found, err))
        return false;
    found.pixels = little_32(bytes + 10);
    if (found.bits > 8)
        found.palette_entries = 0;
    else if (found.palette_entries == 0 || found.palette_entries > (size_t)1 << found.bits)
        found.palette_entries = (size_t)1 << found.bits;
    if (found.pixels < found.palette || (found.bits <= 8 && found.pixels < found.palette + found.palette_step))
        return ood_fail(err, OOD_PICTURE_CORRUPT, "BMP: the pixels begin at byte %zu, within the header or the palette", found.pixels);
    if (found.palette_entries > (found.pixels - found.palette) / found.palette_step)
        found.palette_entries = (found.pixels - found.palette) / found.palette_step;
    *bmp = found;
    return true;
}

bool ood_bmp_header(const unsigned char *bytes, size_t size, struct picture_header *header, struct ood_error *err)
{
    struct bmp bmp;
    if (!read_header(bytes, size, &bmp, err))
        return false;
    *header = (struct picture_header){ .kind = PICTURE_BMP, .width = bmp.width, .height = bmp.height, .orientation = 1 };
    return true;
}

/* Colours as red, green, blue; indices that the palette lacks are shades of grey, as Pillow has them. */
static void read_palette(const unsigned char *bytes, const struct bmp *bmp, unsigned char palette[256][3])
{
    for (size_t i = 0; i < 256; i++) {
        memset(palette[i], (int)i, 3);
        const unsigned char *entry = bytes + bmp->palette + i * bmp->palette_step;
        for (size_t c = 0; i < bmp->palette_entries && c < 3; c++)
            palette[i][c] = entry[2 - c];
    }
}

/* ---- rows as they are ---- */

static void row_of_indices(const unsigned char *from, const struct bmp *bmp, unsigned char palette[256][3], unsigned char *to)
{
    unsigned mask = (1u << bmp->bits) - 1;
    for (size_t x = 0; x < bmp->width; x++, to += 3) {
        size_t bit = x * bmp->bits;
        unsigned index = from[bit / 8] >> (8 - bmp->bits - bit % 8) & mask;
        memcpy(to, palette[index], 3);
    }
}

/* Values of fewer bits are stretched to 255, rounded down as Pillow does. */
static void row_of_fields(const unsigned char *from, const struct bmp *bmp, size_t channels, unsigned char *to)
{
    unsigned shift[4];
    uint64_t most[4];
    for (size_t c = 0; c < channels; c++) {
        shift[c] = (unsigned)__builtin_ctz(bmp->masks[c]);
        most[c] = bmp->masks[c] >> shift[c];
    }
    size_t step = bmp->bits / 8;
    for (size_t x = 0; x < bmp->width; x++, from += step, to += channels) {
        uint32_t pixel = step == 2 ? little_16(from) : little_32(from);
        for (size_t c = 0; c < channels; c++)
            to[c] = (unsigned char)((uint64_t)((pixel & bmp->masks[c]) >> shift[c]) * 255 / most[c]);
    }
}

static void row_of_bytes(const unsigned char *from, size_t width, unsigned char *to)
{
    for (size_t x = 0; x < width; x++, from += 3, to += 3) {
        to[0] = from[2];
        to[1] = from[1];
        to[2] = from[0];
    }
}

static bool decode_rows(const unsigned char *bytes, size_t size, const struct bmp *bmp, unsigned char palette[256][3],
                        size_t channels, unsigned char *out, struct ood_error *err)
{
    size_t bits, stride, before;             /* of a row, of all rows but the last, whose padding may be missing */
    if (!ood_mul_size(bmp->width, bmp->bits, &bits))
        return truncated(size, err);
    stride = (bits / 32 + (bits % 32 != 0)) * 4;
    if (!ood_mul_size(stride, bmp->height - 1, &before) || size < bmp->pixels || size - bmp->pixels < before ||
        size - bmp->pixels - before < (bits + 7) / 8)
        return truncated(size, err);
    for (size_t y = 0; y < bmp->height; y++) {
        const unsigned char *from = bytes + bmp->pixels + stride * (bmp->top_down ? y : bmp->height - 1 - y);
        unsigned char *to = out + y * bmp->width * channels;
        if (bmp->bits <= 8)
            row_of_indices(from, bmp, palette, to);
        else if (bmp->bits == 24)
            row_of_bytes(from, bmp->width, to);
        else
            row_of_fields(from, bmp, channels, to);
    }
    return true;
}

/* ---- run lengths ---- */

/* Where the next pixel goes; y counts upwards from the last row. What lies outside of the picture is dropped. */
struct pen { const struct bmp *bmp; size_t x, y; unsigned char (*palette)[3], *out; };

static void put(struct pen *pen, unsigned index)
{
    if (pen->x < pen->bmp->width && pen->y < pen->bmp->height)
        memcpy(pen->out + ((pen->bmp->height - 1 - pen->y) * pen->bmp->width + pen->x) * 3, pen->palette[index], 3);
    pen->x++;
}

/* Byte `data` holds pixel k of a run: one of 8 bits, or two of 4. */
static unsigned index_of(unsigned data, unsigned bits, size_t k)
{
    return bits == 8 ? data : k % 2 == 0 ? data >> 4 : data & 15;
}

/* Up to the end of the bitmap, or until every row is there. Pixels that are passed over have colour 0, as Pillow has it. */
static bool decode_runs(const unsigned char *bytes, size_t size, const struct bmp *bmp, unsigned char palette[256][3],
                        unsigned char *out, struct ood_error *err)
{
    enum { END_OF_LINE, END_OF_BITMAP, MOVE };
    struct pen pen = { bmp, 0, 0, palette, out };
    size_t at = bmp->pixels;
    for (size_t i = 0; i < bmp->width * bmp->height; i++)
        memcpy(out + 3 * i, palette[0], 3);
    while (pen.y < bmp->height && !(pen.y == bmp->height - 1 && pen.x >= bmp->width)) {
        if (size < at || size - at < 2)
            return truncated(size, err);
        unsigned count = bytes[at], data = bytes[at + 1];
        at += 2;
        if (count > 0)
            for (size_t k = 0; k < count; k++)
                put(&pen, index_of(data, bmp->bits, k));
        else if (data == END_OF_LINE) {
            pen.x = 0;
            pen.y++;
        } else if (data == END_OF_BITMAP)
            break;
        else if (data == MOVE) {
            if (size - at < 2)
                return truncated(size, err);
            pen.x += bytes[at];
            pen.y += bytes[at + 1];
            at += 2;
        } else {
            size_t packed = bmp->bits == 8 ? data : (data + 1) / 2, padded = packed + packed % 2;
            if (size - at < packed)
                return truncated(size, err);
            for (size_t k = 0; k < data; k++)
                put(&pen, index_of(bytes[at + (bmp->bits == 8 ? k : k / 2)], bmp->bits, k));
            at += padded;
        }
    }
    return true;
}

bool ood_bmp_decode(const unsigned char *bytes, size_t size, const struct picture_header *header,
                    struct ood_workspace *workspace, struct ood_picture *picture, struct ood_error *err)
{
    struct bmp bmp;
    unsigned char palette[256][3];
    if (!read_header(bytes, size, &bmp, err))
        return false;
    bool runs = bmp.compression == RLE8 || bmp.compression == RLE4;
    size_t channels = bmp.masks[3] != 0 ? 4 : 3;
    if (size < bmp.palette + bmp.palette_entries * bmp.palette_step)
        return truncated(size, err);
    read_palette(bytes, &bmp, palette);
    if (!ood_picture_reserve(header, channels, workspace, err) ||
        (runs ? !decode_runs(bytes, size, &bmp, palette, workspace->bytes, err)
              : !decode_rows(bytes, size, &bmp, palette, channels, workspace->bytes, err)))
        return false;
    if (channels == 4)
        ood_lay_on_white(workspace->bytes, header->width * header->height);
    ood_picture_is_whole(header, workspace, picture);
    return true;
}
