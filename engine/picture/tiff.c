/* TIFF by libtiff, from memory: the first page, in strips or tiles, planes together or apart. Grey and palettes of 1 to 16 bits, RGB
 * and CMYK of 8 and 16, YCbCr within JPEG; whatever else is refused by name. The first directory was walked before
 * (exif.c): the sides are known, and that the file is whole, before libtiff takes memory for anything. */
#include "picture/picture_internal.h"

#include <limits.h>
#include <string.h>
#include <tiffio.h>

struct tiff {
    const unsigned char *bytes;
    size_t size, at;                         /* at: where libtiff reads */
    struct ood_picture *picture;             /* for warnings */
    char message[200];                       /* libtiff's first error */
};

/* What the pixels are, out of the tags. */
struct form {
    uint16_t bits, samples, photometric, planar, compression;
    size_t channels;                         /* kept of the samples: 1, 2 (with alpha), 3 or 4 */
    bool premultiplied;                      /* colours are multiplied by alpha already */
    size_t block_width, block_height, blocks, across;    /* a strip or a tile; blocks of a plane, and in a row */
    bool tiled;
};

/* ---- the file in memory, as libtiff sees it ---- */

static tmsize_t read_bytes(thandle_t handle, void *out, tmsize_t wanted)
{
    struct tiff *tiff = handle;
    size_t left = tiff->size - tiff->at, count = wanted < 0 ? 0 : (size_t)wanted < left ? (size_t)wanted : left;
    memcpy(out, tiff->bytes + tiff->at, count);
    tiff->at += count;
    return (tmsize_t)count;
}

static tmsize_t write_nothing(thandle_t handle, void *data, tmsize_t size)
{
    (void)handle, (void)data, (void)size;
    return 0;
}

static toff_t seek(thandle_t handle, toff_t offset, int whence)
{
    struct tiff *tiff = handle;
    toff_t base = whence == SEEK_CUR ? tiff->at : whence == SEEK_END ? tiff->size : 0, at;
    if (__builtin_add_overflow(base, offset, &at) || at > tiff->size)
        at = tiff->size;                     /* a read there finds nothing */
    tiff->at = (size_t)at;
    return at;
}

static int close_nothing(thandle_t handle)
{
    (void)handle;
    return 0;
}

static toff_t size_of(thandle_t handle) { return ((struct tiff *)handle)->size; }

/* libtiff only reads what is mapped; it takes a pointer to what it may write to. */
static int map(thandle_t handle, void **base, toff_t *size)
{
    struct tiff *tiff = handle;
    memcpy(base, &tiff->bytes, sizeof *base);
    *size = tiff->size;
    return 1;
}

static void unmap(thandle_t handle, void *base, toff_t size) { (void)handle, (void)base, (void)size; }

__attribute__((format(printf, 4, 0)))
static int keep_error(TIFF *file, void *user, const char *module, const char *format, va_list arguments)
{
    struct tiff *tiff = user;
    (void)file, (void)module;
    if (tiff->message[0] == '\0')
        vsnprintf(tiff->message, sizeof tiff->message, format, arguments);
    return 1;
}

/* Of tags that say nothing of the pixels (there are many) nobody need hear. */
__attribute__((format(printf, 4, 0)))
static int keep_warning(TIFF *file, void *user, const char *module, const char *format, va_list arguments)
{
    struct tiff *tiff = user;
    char text[120];
    (void)file, (void)module;
    if (strstr(format, "nknown field with tag") == NULL) {
        vsnprintf(text, sizeof text, format, arguments);
        ood_picture_warn(tiff->picture, text);
    }
    return 1;
}

/* Memory that libtiff takes at once: for a block, or for the file's own lists. */
static TIFF *open_file(struct tiff *tiff, tmsize_t most, struct ood_error *err)
{
    TIFFOpenOptions *options = TIFFOpenOptionsAlloc();
    if (options == NULL) {
        ood_fail(err, OOD_OUT_OF_MEMORY, "TIFF: no memory for a decoder");
        return NULL;
    }
    TIFFOpenOptionsSetMaxSingleMemAlloc(options, most);
    TIFFOpenOptionsSetErrorHandlerExtR(options, keep_error, tiff);
    TIFFOpenOptionsSetWarningHandlerExtR(options, keep_warning, tiff);
    TIFF *file = TIFFClientOpenExt("picture", "rm", tiff, read_bytes, write_nothing, seek, close_nothing, size_of, map, unmap, options);
    TIFFOpenOptionsFree(options);
    if (file == NULL)
        ood_fail(err, OOD_PICTURE_CORRUPT, "TIFF: %s", tiff->message[0] != '\0' ? tiff->message : "cannot be opened");
    return file;
}

static bool fail_as(struct ood_error *err, const struct tiff *tiff)
{
    enum ood_code code = OOD_PICTURE_CORRUPT;
    const char *why = tiff->message[0] != '\0' ? tiff->message : "cannot be decoded";
    if (strstr(why, "ead error") != NULL || strstr(why, "ot enough data") != NULL || strstr(why, "remature") != NULL)
        code = OOD_PICTURE_TRUNCATED;
    else if (strstr(why, "emory") != NULL)
        code = OOD_OUT_OF_MEMORY;
    return ood_fail(err, code, "TIFF: %s", why);
}

/* ---- what is read, and what is not ---- */

static bool unsupported(struct ood_error *err, const char *what, unsigned value)
{
    return ood_fail(err, OOD_PICTURE_UNSUPPORTED, "TIFF: %s %u is not read", what, value);
}

static const char *compression_name(unsigned compression)
{
    switch (compression) {
    case COMPRESSION_NONE: case COMPRESSION_CCITTRLE: case COMPRESSION_CCITTFAX3: case COMPRESSION_CCITTFAX4:
    case COMPRESSION_LZW: case COMPRESSION_JPEG: case COMPRESSION_ADOBE_DEFLATE: case COMPRESSION_DEFLATE:
    case COMPRESSION_PACKBITS: return NULL;
    case COMPRESSION_OJPEG: return "old-style JPEG";
    case COMPRESSION_LZMA: return "LZMA";
    case COMPRESSION_ZSTD: return "Zstandard";
    case COMPRESSION_WEBP: return "WebP";
    case COMPRESSION_JBIG: return "JBIG";
    case COMPRESSION_JP2000: return "JPEG 2000";
    case COMPRESSION_LERC: return "LERC";
    case COMPRESSION_SGILOG: case COMPRESSION_SGILOG24: return "LogLuv";
    default: return "unknown";
    }
}

/* Samples a pixel that are colours, by photometric interpretation; 0: not read. */
static size_t colours_of(unsigned photometric)
{
    switch (photometric) {
    case PHOTOMETRIC_MINISWHITE: case PHOTOMETRIC_MINISBLACK: case PHOTOMETRIC_PALETTE: return 1;
    case PHOTOMETRIC_RGB: case PHOTOMETRIC_YCBCR: return 3;
    case PHOTOMETRIC_SEPARATED: return 4;
    default: return 0;
    }
}

static bool check_samples(TIFF *file, struct form *form, struct ood_error *err)
{
    uint16_t extra_count = 0, *extra = NULL, ink = INKSET_CMYK;
    size_t colours = colours_of(form->photometric);
    if (colours == 0)
        return unsupported(err, "photometric interpretation", form->photometric);
    if (form->samples < colours || form->samples > colours + 4)
        return ood_fail(err, OOD_PICTURE_UNSUPPORTED, "TIFF: %u samples a pixel of photometric interpretation %u are not read",
                        form->samples, form->photometric);
    if (form->photometric == PHOTOMETRIC_SEPARATED && TIFFGetField(file, TIFFTAG_INKSET, &ink) && ink != INKSET_CMYK)
        return unsupported(err, "a set of inks other than CMYK,", ink);
    bool palette = form->photometric == PHOTOMETRIC_PALETTE, deep = form->bits == 8 || form->bits == 16;
    bool shallow = (form->bits == 1 || form->bits == 2 || form->bits == 4) && form->samples == 1;
    if (!(deep && !(palette && form->bits == 16)) && !shallow)
        return ood_fail(err, OOD_PICTURE_UNSUPPORTED, "TIFF: %u samples of %u bits a pixel, photometric interpretation %u, are not read",
                        form->samples, form->bits, form->photometric);
    form->channels = colours;
    if (colours == 4 || form->samples == colours)
        return true;
    /* a sample more than colours, of which nothing is said, is alpha, as Pillow takes it */
    bool said = TIFFGetField(file, TIFFTAG_EXTRASAMPLES, &extra_count, &extra) && extra_count > 0;
    if (!said || extra[0] == EXTRASAMPLE_ASSOCALPHA || extra[0] == EXTRASAMPLE_UNASSALPHA)
        form->channels++;
    form->premultiplied = said && extra[0] == EXTRASAMPLE_ASSOCALPHA;
    return true;
}

static bool check_colour(TIFF *file, struct form *form, struct ood_error *err)
{
    uint16_t format = SAMPLEFORMAT_UINT;
    const char *compression = compression_name(form->compression);
    if (compression != NULL)
        return ood_fail(err, OOD_PICTURE_UNSUPPORTED, "TIFF: compression %u (%s) is not read", form->compression, compression);
    TIFFGetFieldDefaulted(file, TIFFTAG_SAMPLEFORMAT, &format);
    if (format != SAMPLEFORMAT_UINT && format != SAMPLEFORMAT_VOID)
        return ood_fail(err, OOD_PICTURE_UNSUPPORTED, "TIFF: samples that are %s are not read, unsigned integers are",
                        format == SAMPLEFORMAT_IEEEFP ? "floating-point numbers" : format == SAMPLEFORMAT_INT ? "signed" : "complex");
    if (form->photometric == PHOTOMETRIC_YCBCR && (form->compression != COMPRESSION_JPEG || form->planar != PLANARCONFIG_CONTIG))
        return ood_fail(err, OOD_PICTURE_UNSUPPORTED, "TIFF: YCbCr is read within JPEG, planes together, only");
    return check_samples(file, form, err);
}

/* A block is at most as large as a picture may be, and never larger than this where the picture is smaller. */
#define BLOCK_PIXELS ((size_t)1 << 22)

static bool read_form(TIFF *file, const struct picture_header *header, struct form *form, struct ood_error *err)
{
    uint32_t width = 0, height = 0, block_width = 0, block_height = 0;
    struct form found = { .tiled = TIFFIsTiled(file) != 0 };
    TIFFGetField(file, TIFFTAG_IMAGEWIDTH, &width);
    TIFFGetField(file, TIFFTAG_IMAGELENGTH, &height);
    if (width != header->width || height != header->height)
        return ood_fail(err, OOD_PICTURE_CORRUPT, "TIFF: libtiff finds %u×%u pixels, the directory says %zu×%zu", width, height,
                        header->width, header->height);
    if (!TIFFGetField(file, TIFFTAG_PHOTOMETRIC, &found.photometric))
        return ood_fail(err, OOD_PICTURE_CORRUPT, "TIFF: no photometric interpretation");
    TIFFGetFieldDefaulted(file, TIFFTAG_BITSPERSAMPLE, &found.bits);
    TIFFGetFieldDefaulted(file, TIFFTAG_SAMPLESPERPIXEL, &found.samples);
    TIFFGetFieldDefaulted(file, TIFFTAG_PLANARCONFIG, &found.planar);
    TIFFGetFieldDefaulted(file, TIFFTAG_COMPRESSION, &found.compression);
    if (!check_colour(file, &found, err))
        return false;
    if (found.tiled) {
        TIFFGetField(file, TIFFTAG_TILEWIDTH, &block_width);
        TIFFGetField(file, TIFFTAG_TILELENGTH, &block_height);
    } else {
        block_width = width;
        TIFFGetFieldDefaulted(file, TIFFTAG_ROWSPERSTRIP, &block_height);
        block_height = block_height < height ? block_height : height;
    }
    size_t pixels, most = header->width * header->height;
    if (block_width == 0 || block_height == 0 || !ood_mul_size(block_width, block_height, &pixels) ||
        pixels > (most > BLOCK_PIXELS ? most : BLOCK_PIXELS))
        return ood_fail(err, OOD_PICTURE_CORRUPT, "TIFF: blocks of %u×%u pixels", block_width, block_height);
    found.block_width = block_width;
    found.block_height = block_height;
    found.across = (header->width + block_width - 1) / block_width;
    found.blocks = found.across * ((header->height + block_height - 1) / block_height);
    *form = found;
    return true;
}

/* Every block within the file, all of them no more than the file, and what is JPEG in them of few scans: so no block can be asked
 * for again and again, and no scan. */
static bool check_blocks(TIFF *file, const struct tiff *tiff, const struct form *form, struct ood_error *err)
{
    enum { MOST_SCANS = 20 };
    size_t count = form->blocks * (form->planar == PLANARCONFIG_SEPARATE ? form->samples : 1);
    uint64_t sum = 0;
    uint32_t there = form->tiled ? TIFFNumberOfTiles(file) : TIFFNumberOfStrips(file);
    if (there < count)
        return ood_fail(err, OOD_PICTURE_CORRUPT, "TIFF: %u blocks, expected %zu", there, count);
    for (size_t i = 0; i < count; i++) {
        int offset_failed = 0, length_failed = 0, orientation;
        uint64_t offset = TIFFGetStrileOffsetWithErr(file, (uint32_t)i, &offset_failed);
        uint64_t length = TIFFGetStrileByteCountWithErr(file, (uint32_t)i, &length_failed);
        if (offset_failed || length_failed || length == 0)
            return ood_fail(err, OOD_PICTURE_CORRUPT, "TIFF: block %zu has no place in the file", i);
        if (offset > tiff->size || length > tiff->size - offset)
            return ood_fail(err, OOD_PICTURE_TRUNCATED, "TIFF: the data end (%zu bytes) before block %zu does", tiff->size, i);
        sum += length;
        if (sum > tiff->size)
            return ood_fail(err, OOD_PICTURE_CORRUPT, "TIFF: its blocks lie one on another");
        size_t scans = 0;
        if (form->compression == COMPRESSION_JPEG &&
            (length < 2 || !ood_jpeg_markers(tiff->bytes + offset, (size_t)length, &orientation, &scans, err)))
            return length < 2 ? ood_fail(err, OOD_PICTURE_CORRUPT, "TIFF: block %zu is no JPEG", i)
                              : ood_error_prefix(err, "TIFF: block %zu", i);
        if (scans > MOST_SCANS)
            return ood_fail(err, OOD_PICTURE_UNSUPPORTED, "TIFF: block %zu has %zu scans, at most %d are read", i, scans, MOST_SCANS);
    }
    return true;
}

/* ---- samples ---- */

static unsigned sample_at(const unsigned char *row, size_t index, unsigned bits)
{
    if (bits == 8)
        return row[index];
    if (bits == 16) {
        uint16_t value;                      /* in this machine's order, which libtiff saw to */
        memcpy(&value, row + 2 * index, sizeof value);
        return value >> 8;
    }
    size_t bit = index * bits;
    return row[bit / 8] >> (8 - bits - bit % 8) & ((1u << bits) - 1);
}

/* A block's samples to where they belong in [height][width][channels]. plane: -1 for all of them. */
static void place(const struct form *form, const struct picture_header *header, const unsigned char *block, size_t row_bytes,
                  size_t index, int plane, unsigned char *out)
{
    size_t left = index % form->across * form->block_width, top = index / form->across * form->block_height;
    size_t samples = plane < 0 ? form->samples : 1, first = plane < 0 ? 0 : (size_t)plane;
    size_t kept = plane < 0 ? form->channels : 1;
    for (size_t y = 0; y < form->block_height && top + y < header->height; y++) {
        const unsigned char *row = block + y * row_bytes;
        unsigned char *to = out + ((top + y) * header->width + left) * form->channels + first;
        for (size_t x = 0; x < form->block_width && left + x < header->width; x++, to += form->channels)
            for (size_t c = 0; c < kept; c++)
                to[c] = (unsigned char)sample_at(row, x * samples + c, form->bits);
    }
}

static bool read_blocks(TIFF *file, const struct tiff *tiff, const struct form *form, const struct picture_header *header,
                        struct ood_workspace *workspace, struct ood_error *err)
{
    tmsize_t needed = form->tiled ? TIFFTileSize(file) : TIFFStripSize(file);
    tmsize_t row = form->tiled ? TIFFTileRowSize(file) : TIFFScanlineSize(file);
    size_t planes = form->planar == PLANARCONFIG_SEPARATE ? form->channels : 1;
    size_t wide = form->block_width * form->bits * (form->planar == PLANARCONFIG_SEPARATE ? 1 : form->samples);
    if (needed <= 0 || row <= 0 || (size_t)row < (wide + 7) / 8 || (size_t)needed / (size_t)row < form->block_height)
        return fail_as(err, tiff);
    if (!ood_workspace_reserve(&workspace->scratch, &workspace->scratch_capacity, (size_t)needed, err))
        return false;
    for (size_t plane = 0; plane < planes; plane++)
        for (size_t i = 0; i < form->blocks; i++) {
            uint32_t index = (uint32_t)(plane * form->blocks + i);
            memset(workspace->scratch, 0, (size_t)needed);
            tmsize_t got = form->tiled ? TIFFReadEncodedTile(file, index, workspace->scratch, needed)
                                       : TIFFReadEncodedStrip(file, index, workspace->scratch, needed);
            if (got < 0)
                return fail_as(err, tiff);
            place(form, header, workspace->scratch, (size_t)row, i, form->planar == PLANARCONFIG_SEPARATE ? (int)plane : -1,
                  workspace->bytes);
        }
    return true;
}

/* ---- colours ---- */

/* What each value of the first sample looks like, where it is not a colour of its own. */
static bool palette_of(TIFF *file, const struct form *form, unsigned char palette[256][3], struct ood_error *err)
{
    unsigned most = form->bits >= 8 ? 255 : (1u << form->bits) - 1;
    uint16_t *red, *green, *blue;
    memset(palette, 0, 256 * 3);
    if (form->photometric != PHOTOMETRIC_PALETTE) {
        for (unsigned i = 0; i <= most; i++)
            memset(palette[i], (int)((form->photometric == PHOTOMETRIC_MINISWHITE ? most - i : i) * 255 / most), 3);
        return true;
    }
    if (!TIFFGetField(file, TIFFTAG_COLORMAP, &red, &green, &blue))
        return ood_fail(err, OOD_PICTURE_CORRUPT, "TIFF: a palette is needed and not there");
    for (unsigned i = 0; i <= most; i++) {
        palette[i][0] = (unsigned char)(red[i] >> 8);
        palette[i][1] = (unsigned char)(green[i] >> 8);
        palette[i][2] = (unsigned char)(blue[i] >> 8);
    }
    return true;
}

/* Colours that were multiplied by alpha, divided again, as Pillow does. */
static void divide_by_alpha(unsigned char *pixels, size_t count)
{
    for (; count-- > 0; pixels += 4)
        for (int c = 0; pixels[3] > 0 && c < 3; c++) {
            unsigned value = pixels[c] * 255u / pixels[3];
            pixels[c] = (unsigned char)(value > 255 ? 255 : value);
        }
}

/* In place, from the last pixel to the first, as pixels grow: one or two samples to three or four. */
static void look_up(unsigned char *pixels, size_t count, size_t channels, unsigned char palette[256][3])
{
    while (count-- > 0) {
        unsigned index = pixels[count * channels], alpha = channels == 2 ? pixels[count * channels + 1] : 0;
        unsigned char *to = pixels + count * (channels + 2);
        memcpy(to, palette[index], 3);
        if (channels == 2)
            to[3] = (unsigned char)alpha;
    }
}

static bool to_rgb(TIFF *file, const struct form *form, size_t count, unsigned char *pixels, struct ood_error *err)
{
    unsigned char palette[256][3];
    bool alpha = form->channels == 2 || (form->channels == 4 && form->photometric != PHOTOMETRIC_SEPARATED);
    if (form->channels <= 2) {
        if (!palette_of(file, form, palette, err))
            return false;
        look_up(pixels, count, form->channels, palette);
    }
    if (form->photometric == PHOTOMETRIC_SEPARATED)
        ood_ink_to_light(pixels, count, false);
    if (alpha && form->premultiplied)
        divide_by_alpha(pixels, count);
    if (alpha)
        ood_lay_on_white(pixels, count);
    return true;
}

/* ---- the way in ---- */

static bool decode(TIFF *file, struct tiff *tiff, const struct picture_header *header, struct ood_workspace *workspace,
                   struct ood_error *err)
{
    struct form form = { 0 };
    if (!read_form(file, header, &form, err) || !check_blocks(file, tiff, &form, err) ||
        !ood_picture_reserve(header, form.channels <= 2 ? form.channels + 2 : form.channels, workspace, err))
        return false;
    if (form.photometric == PHOTOMETRIC_YCBCR)
        TIFFSetField(file, TIFFTAG_JPEGCOLORMODE, JPEGCOLORMODE_RGB);
    return read_blocks(file, tiff, &form, header, workspace, err) &&
           to_rgb(file, &form, header->width * header->height, workspace->bytes, err);
}

bool ood_tiff_decode(const unsigned char *bytes, size_t size, const struct picture_header *header,
                     struct ood_workspace *workspace, struct ood_picture *picture, struct ood_error *err)
{
    enum { LEAST = 64 << 20, SAMPLES = 8, BYTES = 2 };
    struct tiff tiff = { .bytes = bytes, .size = size, .picture = picture };
    size_t pixels = header->width * header->height, most = LEAST;      /* the header was checked: no overflow */
    if (pixels > most / SAMPLES / BYTES)
        most = pixels * SAMPLES * BYTES;
    TIFF *file = open_file(&tiff, (tmsize_t)most, err);
    if (file == NULL)
        return false;
    bool ok = decode(file, &tiff, header, workspace, err);
    TIFFClose(file);
    if (ok)
        ood_picture_is_whole(header, workspace, picture);
    return ok;
}
