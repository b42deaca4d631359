/* WebP by libwebp: a still picture, or the first frame of an animation on its canvas, with the Exif chunk's orientation. */
#include "picture/picture_internal.h"

#include <string.h>
#include <webp/decode.h>
#include <webp/demux.h>

/* The container's parts, whole. Freed by WebPDemuxDelete. */
static WebPDemuxer *open_file(const unsigned char *bytes, size_t size, struct ood_error *err)
{
    WebPData data = { bytes, size };
    WebPDemuxState state = WEBP_DEMUX_PARSE_ERROR;
    WebPDemuxer *file = WebPDemuxPartial(&data, &state);
    if (state == WEBP_DEMUX_DONE && file != NULL)
        return file;
    WebPDemuxDelete(file);
    if (state == WEBP_DEMUX_PARSING_HEADER || state == WEBP_DEMUX_PARSED_HEADER)
        ood_fail(err, OOD_PICTURE_TRUNCATED, "WebP: the data end (%zu bytes) before the picture does", size);
    else if (state == WEBP_DEMUX_DONE)
        ood_fail(err, OOD_OUT_OF_MEMORY, "WebP: no memory for a decoder");
    else
        ood_fail(err, OOD_PICTURE_CORRUPT, "WebP: its chunks make no sense");
    return NULL;
}

/* The chunk is a TIFF structure, in some files behind the marker that it has in a JPEG. */
static int orientation_of(const WebPDemuxer *file)
{
    WebPChunkIterator chunk;
    int orientation = 1;
    if (!WebPDemuxGetChunk(file, "EXIF", 1, &chunk))
        return 1;
    size_t marker = chunk.chunk.size >= 6 && memcmp(chunk.chunk.bytes, "Exif\0", 6) == 0 ? 6 : 0;
    orientation = ood_exif_orientation(chunk.chunk.bytes + marker, chunk.chunk.size - marker);
    WebPDemuxReleaseChunkIterator(&chunk);
    return orientation;
}

bool ood_webp_header(const unsigned char *bytes, size_t size, struct picture_header *header, struct ood_error *err)
{
    WebPDemuxer *file = open_file(bytes, size, err);
    if (file == NULL)
        return false;
    struct picture_header found = {
        .kind = PICTURE_WEBP, .width = WebPDemuxGetI(file, WEBP_FF_CANVAS_WIDTH),
        .height = WebPDemuxGetI(file, WEBP_FF_CANVAS_HEIGHT), .orientation = orientation_of(file),
    };
    bool frames = WebPDemuxGetI(file, WEBP_FF_FRAME_COUNT) > 0;
    WebPDemuxDelete(file);
    if (found.width == 0 || found.height == 0 || !frames)
        return ood_fail(err, OOD_PICTURE_CORRUPT, "WebP: no picture in the file");
    *header = found;
    return true;
}

static bool fail_as(struct ood_error *err, VP8StatusCode status)
{
    switch (status) {
    case VP8_STATUS_OUT_OF_MEMORY:
        return ood_fail(err, OOD_OUT_OF_MEMORY, "WebP: no memory for the decoder");
    case VP8_STATUS_NOT_ENOUGH_DATA:
    case VP8_STATUS_SUSPENDED:
        return ood_fail(err, OOD_PICTURE_TRUNCATED, "WebP: the data end before the picture does");
    case VP8_STATUS_UNSUPPORTED_FEATURE:
        return ood_fail(err, OOD_PICTURE_UNSUPPORTED, "WebP: a feature that libwebp does not decode");
    default:
        return ood_fail(err, OOD_PICTURE_CORRUPT, "WebP: libwebp cannot decode it (status %d)", (int)status);
    }
}

/* The frame's pixels, three or four bytes each, into `out` with `stride` bytes a row. */
static bool decode_frame(const WebPIterator *frame, bool alpha, unsigned char *out, size_t stride, struct ood_error *err)
{
    WebPDecoderConfig config;
    if (!WebPInitDecoderConfig(&config))
        return ood_fail(err, OOD_PICTURE_UNSUPPORTED, "WebP: libwebp is of another version than its header");
    VP8StatusCode status = WebPGetFeatures(frame->fragment.bytes, frame->fragment.size, &config.input);
    if (status != VP8_STATUS_OK)
        return fail_as(err, status);
    if (config.input.width != frame->width || config.input.height != frame->height)
        return ood_fail(err, OOD_PICTURE_CORRUPT, "WebP: a frame of %d×%d pixels holds %d×%d", frame->width, frame->height,
                        config.input.width, config.input.height);
    config.output.colorspace = alpha ? MODE_RGBA : MODE_RGB;
    config.output.is_external_memory = 1;
    config.output.u.RGBA = (WebPRGBABuffer){ out, (int)stride, stride * (size_t)frame->height };
    status = WebPDecode(frame->fragment.bytes, frame->fragment.size, &config);
    WebPFreeDecBuffer(&config.output);
    return status == VP8_STATUS_OK || fail_as(err, status);
}

/* The first frame of an animation may be a part of its canvas; the rest is transparent, and black where the file is said to
 * have no alpha (Pillow's reading, and libwebp's). */
static bool decode_first(const WebPIterator *frame, bool alpha, const struct picture_header *header,
                         struct ood_workspace *workspace, struct ood_error *err)
{
    size_t channels = alpha ? 4 : 3, row = header->width * channels;
    if (!ood_picture_reserve(header, channels, workspace, err))
        return false;
    size_t left = (size_t)frame->x_offset, top = (size_t)frame->y_offset;
    if (left + (size_t)frame->width > header->width || top + (size_t)frame->height > header->height)
        return ood_fail(err, OOD_PICTURE_CORRUPT, "WebP: the first frame does not lie on its canvas");
    if ((size_t)frame->width != header->width || (size_t)frame->height != header->height)
        memset(workspace->bytes, 0, row * header->height);
    return decode_frame(frame, alpha, workspace->bytes + top * row + left * channels, row, err);
}

bool ood_webp_decode(const unsigned char *bytes, size_t size, const struct picture_header *header,
                     struct ood_workspace *workspace, struct ood_picture *picture, struct ood_error *err)
{
    WebPIterator frame;
    WebPDemuxer *file = open_file(bytes, size, err);
    if (file == NULL)
        return false;
    bool alpha = (WebPDemuxGetI(file, WEBP_FF_FORMAT_FLAGS) & ALPHA_FLAG) != 0;
    bool ok = false;
    if (WebPDemuxGetFrame(file, 1, &frame)) {
        ok = decode_first(&frame, alpha, header, workspace, err);
        WebPDemuxReleaseIterator(&frame);
    } else
        ood_fail(err, OOD_PICTURE_CORRUPT, "WebP: no picture in the file");
    WebPDemuxDelete(file);
    if (!ok)
        return false;
    if (alpha)
        ood_lay_on_white(workspace->bytes, header->width * header->height);
    ood_picture_is_whole(header, workspace, picture);
    return true;
}
