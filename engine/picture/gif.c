/* GIF by giflib: the first frame on its canvas, transparency laid on white. A walk over the blocks, which costs next to nothing,
 * finds the frame, its transparent colour and whether the file is whole; giflib unpacks the pixels. */
#include "picture/picture_internal.h"

#include <gif_lib.h>
#include <string.h>

struct gif {
    size_t canvas_width, canvas_height;
    size_t left, top, width, height;         /* of the first frame */
    int transparent;                         /* palette index; -1: none */
};

struct reader { const unsigned char *bytes; size_t size, at; };

static size_t little_16(const unsigned char *p) { return (size_t)(p[0] | p[1] << 8); }

/* Bytes of a palette whose size stands in flags. */
static size_t palette_bytes(unsigned flags) { return flags & 0x80 ? (size_t)3 << ((flags & 7) + 1) : 0; }

static bool skip(struct reader *reader, size_t count)
{
    if (count > reader->size - reader->at)
        return false;
    reader->at += count;
    return true;
}

/* The blocks of data up to the empty one. */
static bool skip_data(struct reader *reader)
{
    for (size_t length = 1; length > 0;) {
        if (reader->at == reader->size)
            return false;
        length = reader->bytes[reader->at++];
        if (!skip(reader, length))
            return false;
    }
    return true;
}

static bool skip_extension(struct reader *reader, struct gif *gif)
{
    enum { GRAPHIC_CONTROL = 0xF9, TRANSPARENT = 1 };
    const unsigned char *block = reader->bytes + reader->at;
    if (reader->size - reader->at >= 6 && block[0] == GRAPHIC_CONTROL && block[1] >= 4)
        gif->transparent = block[2] & TRANSPARENT ? block[5] : -1;
    return skip(reader, 1) && skip_data(reader);
}

static bool skip_frame(struct reader *reader, struct gif *gif)
{
    const unsigned char *frame = reader->bytes + reader->at;
    if (!skip(reader, 9))
        return false;
    gif->left = little_16(frame);
    gif->top = little_16(frame + 2);
    gif->width = little_16(frame + 4);
    gif->height = little_16(frame + 6);
    return skip(reader, palette_bytes(frame[8])) && skip(reader, 1) && skip_data(reader);
}

static bool truncated(size_t size, struct ood_error *err)
{
    return ood_fail(err, OOD_PICTURE_TRUNCATED, "GIF: the data end (%zu bytes) before the trailer", size);
}

/* From the first byte to the trailer. */
static bool walk(const unsigned char *bytes, size_t size, struct gif *gif, struct ood_error *err)
{
    enum { SCREEN_END = 13, EXTENSION = 0x21, FRAME = 0x2C, TRAILER = 0x3B };
    struct reader reader = { bytes, size, SCREEN_END };
    struct gif found = { .transparent = -1 }, later;
    if (size < SCREEN_END || !skip(&reader, palette_bytes(bytes[10])))
        return truncated(size, err);
    found.canvas_width = little_16(bytes + 6);
    found.canvas_height = little_16(bytes + 8);
    bool frame_seen = false;
    for (;;) {
        if (reader.at == size)
            return truncated(size, err);
        unsigned code = bytes[reader.at++];
        bool whole = true;
        if (code == TRAILER)
            break;
        if (code == EXTENSION)
            whole = skip_extension(&reader, frame_seen ? &later : &found);
        else if (code == FRAME) {
            whole = skip_frame(&reader, frame_seen ? &later : &found);
            frame_seen = true;
        } else if (code != 0)                /* zeros between blocks are empty ones, which some encoders write */
            return ood_fail(err, OOD_PICTURE_CORRUPT, "GIF: 0x%02x at byte %zu begins no block", code, reader.at - 1);
        if (!whole)
            return truncated(size, err);
    }
    if (!frame_seen || found.width == 0 || found.height == 0)
        return ood_fail(err, OOD_PICTURE_CORRUPT, "GIF: no picture before the trailer");
    *gif = found;
    return true;
}

/* The canvas is widened to hold its first frame, as Pillow and browsers do. */
static size_t larger(size_t a, size_t b) { return a > b ? a : b; }

bool ood_gif_header(const unsigned char *bytes, size_t size, struct picture_header *header, struct ood_error *err)
{
    struct gif gif;
    if (!walk(bytes, size, &gif, err))
        return false;
    *header = (struct picture_header){
        .kind = PICTURE_GIF, .orientation = 1, .width = larger(gif.canvas_width, gif.left + gif.width),
        .height = larger(gif.canvas_height, gif.top + gif.height),
    };
    return true;
}

static int read_bytes(GifFileType *file, GifByteType *out, int wanted)
{
    struct reader *reader = file->UserData;
    size_t left = reader->size - reader->at, count = wanted < 0 ? 0 : (size_t)wanted < left ? (size_t)wanted : left;
    memcpy(out, reader->bytes + reader->at, count);
    reader->at += count;
    return (int)count;
}

static bool fail_as(struct ood_error *err, int status)
{
    const char *why = GifErrorString(status);
    enum ood_code code = OOD_PICTURE_CORRUPT;
    if (status == D_GIF_ERR_EOF_TOO_SOON || status == D_GIF_ERR_READ_FAILED)
        code = OOD_PICTURE_TRUNCATED;
    else if (status == D_GIF_ERR_NOT_ENOUGH_MEM)
        code = OOD_OUT_OF_MEMORY;
    return ood_fail(err, code, "GIF: %s", why != NULL ? why : "cannot be decoded");
}

/* Forward to the first frame's pixels. */
static bool find_frame(GifFileType *file, struct ood_error *err)
{
    GifRecordType record = UNDEFINED_RECORD_TYPE;
    while (DGifGetRecordType(file, &record) == GIF_OK && record != IMAGE_DESC_RECORD_TYPE) {
        GifByteType *block = NULL;
        int code;
        if (record != EXTENSION_RECORD_TYPE)
            return ood_fail(err, OOD_PICTURE_CORRUPT, "GIF: no picture before the trailer");
        for (int status = DGifGetExtension(file, &code, &block); status != GIF_OK || block != NULL;
             status = DGifGetExtensionNext(file, &block))
            if (status != GIF_OK)
                return fail_as(err, file->Error);
    }
    if (record != IMAGE_DESC_RECORD_TYPE || DGifGetImageDesc(file) != GIF_OK)
        return fail_as(err, file->Error);
    return true;
}

/* Indices that the palette lacks, and those of a file without any palette, are shades of grey, as Pillow has them. */
static void palette_of(const GifFileType *file, const struct gif *gif, unsigned char palette[256][3])
{
    const ColorMapObject *map = file->Image.ColorMap != NULL ? file->Image.ColorMap : file->SColorMap;
    for (int i = 0; i < 256; i++) {
        bool there = map != NULL && i < map->ColorCount;
        palette[i][0] = there ? map->Colors[i].Red : (unsigned char)i;
        palette[i][1] = there ? map->Colors[i].Green : (unsigned char)i;
        palette[i][2] = there ? map->Colors[i].Blue : (unsigned char)i;
    }
    if (gif->transparent >= 0)
        memset(palette[gif->transparent], 255, 3);
}

static void paint(const unsigned char *indices, size_t count, unsigned char palette[256][3], unsigned char *rgb)
{
    for (size_t i = 0; i < count; i++)
        memcpy(rgb + 3 * i, palette[indices[i]], 3);
}

/* Row k of the data is which row of an interlaced picture: every eighth, those between, every fourth between, every second. */
static size_t row_of(size_t k, size_t height, bool interlaced)
{
    static const struct { size_t first, step; } passes[] = { { 0, 8 }, { 4, 8 }, { 2, 4 }, { 1, 2 } };
    for (size_t i = 0; interlaced && i < 4; i++) {
        size_t rows = passes[i].first < height ? (height - passes[i].first + passes[i].step - 1) / passes[i].step : 0;
        if (k < rows)
            return passes[i].first + k * passes[i].step;
        k -= rows;
    }
    return k;
}

/* A canvas of the transparent colour or of colour 0 (Pillow's reading), then the frame row by row. */
static bool decode_frame(GifFileType *file, const struct gif *gif, const struct picture_header *header,
                         struct ood_workspace *workspace, struct ood_error *err)
{
    unsigned char palette[256][3], around = gif->transparent >= 0 ? (unsigned char)gif->transparent : 0;
    if (!find_frame(file, err))
        return false;
    if ((size_t)file->Image.Left != gif->left || (size_t)file->Image.Top != gif->top ||
        (size_t)file->Image.Width != gif->width || (size_t)file->Image.Height != gif->height)
        return ood_fail(err, OOD_PICTURE_CORRUPT, "GIF: giflib finds another first frame than the walk over its blocks");
    if (!ood_picture_reserve(header, 3, workspace, err) ||
        !ood_workspace_reserve(&workspace->scratch, &workspace->scratch_capacity, gif->width, err))
        return false;
    palette_of(file, gif, palette);
    if (gif->width != header->width || gif->height != header->height)
        for (size_t i = 0; i < header->width * header->height; i++)
            memcpy(workspace->bytes + 3 * i, palette[around], 3);
    for (size_t k = 0; k < gif->height; k++) {
        if (DGifGetLine(file, workspace->scratch, (int)gif->width) != GIF_OK)
            return fail_as(err, file->Error);
        size_t y = gif->top + row_of(k, gif->height, file->Image.Interlace);
        paint(workspace->scratch, gif->width, palette, workspace->bytes + (y * header->width + gif->left) * 3);
    }
    return true;
}

bool ood_gif_decode(const unsigned char *bytes, size_t size, const struct picture_header *header,
                    struct ood_workspace *workspace, struct ood_picture *picture, struct ood_error *err)
{
    struct reader reader = { bytes, size, 0 };
    struct gif gif;
    int status = 0;
    if (!walk(bytes, size, &gif, err))
        return false;
    GifFileType *file = DGifOpen(&reader, read_bytes, &status);
    if (file == NULL)
        return fail_as(err, status);
    bool ok = decode_frame(file, &gif, header, workspace, err);
    DGifCloseFile(file, &status);
    if (ok)
        ood_picture_is_whole(header, workspace, picture);
    return ok;
}
