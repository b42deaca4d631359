/* What the files of picture/ share: a picture's header, decoders that fill a workspace, resampling of a window. */
#ifndef OOD_PICTURE_INTERNAL_H
#define OOD_PICTURE_INTERNAL_H

#include "picture/picture.h"

enum picture_kind { PICTURE_JPEG, PICTURE_PNG, PICTURE_WEBP, PICTURE_GIF, PICTURE_BMP, PICTURE_TIFF };
#define PICTURE_KINDS 6

const char *ood_picture_kind_name(enum picture_kind kind);       /* "JPEG" … */

/* What a file's header says, before memory is taken for pixels. */
struct picture_header {
    enum picture_kind kind;
    size_t width, height;                /* as stored, not 0 */
    int orientation;                     /* EXIF's 1 … 8; 5 and above: width and height change places */
    bool ink;                            /* JPEG of four components */
};

/* By the first bytes. OOD_PICTURE_EMPTY, _UNKNOWN, _TRUNCATED. */
bool ood_picture_kind(const unsigned char *bytes, size_t size, enum picture_kind *kind,
                      struct ood_error *err) OOD_MUST_CHECK;

/* Orientation out of a TIFF structure (the body of an Exif segment); 1 where there is none or it makes no sense. */
int ood_exif_orientation(const unsigned char *tiff, size_t size);

/* Walks a JPEG's markers to the end-of-image marker; no pixel is decoded. Refuses what ends before it
 * (OOD_PICTURE_TRUNCATED). */
bool ood_jpeg_markers(const unsigned char *bytes, size_t size, int *orientation, size_t *scans,
                      struct ood_error *err) OOD_MUST_CHECK;

/* A file's header, checked against the limits; then its pixels into the workspace: picture->rgb stays the workspace's.
 * The denominator (1, 2, 4, 8) is for JPEG only. Neither turns the picture upright. */
bool ood_jpeg_header(const unsigned char *bytes, size_t size, struct ood_workspace *workspace,
                     struct picture_header *header, struct ood_error *err) OOD_MUST_CHECK;
bool ood_jpeg_decode(const unsigned char *bytes, size_t size, const struct picture_header *header, size_t denominator,
                     struct ood_workspace *workspace, struct ood_picture *picture, struct ood_error *err) OOD_MUST_CHECK;

typedef bool picture_header_function(const unsigned char *bytes, size_t size, struct picture_header *header, struct ood_error *err);
typedef bool picture_decode_function(const unsigned char *bytes, size_t size, const struct picture_header *header,
                                     struct ood_workspace *workspace, struct ood_picture *picture, struct ood_error *err);
OOD_MUST_CHECK picture_header_function ood_png_header, ood_webp_header, ood_gif_header, ood_bmp_header, ood_tiff_header;
OOD_MUST_CHECK picture_decode_function ood_png_decode, ood_webp_decode, ood_gif_decode, ood_bmp_decode, ood_tiff_decode;

/* What every decoder ends with, in place (colour.c). Colour over white, rounded to nearest: [count][4] to [count][3]. */
void ood_lay_on_white(unsigned char *pixels, size_t count);
/* Cyan, magenta, yellow, black to light, rounded as Pillow rounds: [count][4] to [count][3]. inverted: 255 is no ink. */
void ood_ink_to_light(unsigned char *pixels, size_t count, bool inverted);
/* The whole picture in the workspace's bytes, [height][width][3], as the header has it. */
void ood_picture_is_whole(const struct picture_header *header, struct ood_workspace *workspace, struct ood_picture *picture);
/* width × height × channels bytes into the workspace; OOD_PICTURE_TOO_LARGE where that is no size. */
bool ood_picture_reserve(const struct picture_header *header, size_t channels, struct ood_workspace *workspace,
                         struct ood_error *err) OOD_MUST_CHECK;

/* Kind and header with both limits checked; upright sides are header_upright's. */
bool ood_picture_header(const unsigned char *bytes, size_t size, uint64_t pixel_limit, struct ood_workspace *workspace,
                        struct picture_header *header, struct ood_error *err) OOD_MUST_CHECK;
static inline size_t header_upright_width(const struct picture_header *header)
{
    return header->orientation >= 5 ? header->height : header->width;
}
static inline size_t header_upright_height(const struct picture_header *header)
{
    return header->orientation >= 5 ? header->width : header->height;
}

/* Decodes and turns upright; scaled while the upright sides stay >= least (0, 0: never). rgb is the workspace's. */
bool ood_picture_read(const unsigned char *bytes, size_t size, const struct picture_header *header, size_t least_width,
                      size_t least_height, struct ood_workspace *workspace, struct ood_picture *picture,
                      struct ood_error *err) OOD_MUST_CHECK;

/* Turns rgb [height][width][3] upright into out, which has as many bytes. Orientation 2 … 8. */
void ood_turn(const unsigned char *rgb, size_t width, size_t height, int orientation, unsigned char *out);

/* Adds a warning where there is room: no more than `max` are kept, each cut to its 120 bytes. */
void ood_picture_warn(struct ood_picture *picture, const char *text);

/* At least `needed` bytes, contents lost. On failure nothing is held. */
bool ood_workspace_reserve(unsigned char **bytes, size_t *capacity, size_t needed, struct ood_error *err) OOD_MUST_CHECK;

/* A window of a resized picture: the picture's box becomes full_width × full_height, of which columns x … x + width and
 * rows y … y + height are made, without the rest. */
struct resample {
    const unsigned char *rgb;
    size_t source_width, source_height, source_stride;   /* pixels, pixels, bytes */
    float x0, y0, x1, y1;                /* the box, inside the source */
    enum ood_filter filter;
    size_t full_width, full_height;
    size_t x, y, width, height;
    unsigned char *out;
    size_t out_stride;                   /* bytes */
};
bool ood_resample(const struct resample *job, struct ood_workspace *workspace, struct ood_error *err) OOD_MUST_CHECK;
/* Its branch for OpenCV's filter (resize_opencv.c). A box that is not of whole pixels: OOD_INVALID. */
bool ood_resample_opencv(const struct resample *job, struct ood_workspace *workspace, struct ood_error *err) OOD_MUST_CHECK;

/* Bytes to values of the network's input: [height][width][3] with stride bytes a row. */
bool ood_normalise(const struct ood_preprocess *preprocess, const unsigned char *rgb, size_t stride,
                   struct ood_workspace *workspace, float *out, struct ood_error *err) OOD_MUST_CHECK;

#endif
