/* Encoded pictures to network inputs: decode (JPEG, PNG, WebP, GIF, BMP, TIFF), turn upright, resize as Pillow does, crop, normalise. */
#ifndef OOD_PICTURE_PICTURE_H
#define OOD_PICTURE_PICTURE_H

#include "base/file.h"
#include "base/memory.h"

/* ---- decoding ---- */

struct ood_box { double x0, y0, x1, y1; };   /* pixels; x1 and y1 are just outside */

struct ood_picture {
    size_t width, height;                    /* pixels, upright */
    unsigned char *rgb;                      /* [height][width][3], 8 bit */
    size_t original_width, original_height;  /* before a scaled decode, upright; 0: as width, height */
    /* Where in rgb the whole original lies. 0,0,width,height unless a scaled decode ended in a part of a pixel
     * (4001 / 8 = 500.125 of 501 columns). All zero: everything. */
    struct ood_box area;
    size_t stride;                           /* bytes from row to row of rgb; 0: width × 3 */
    size_t warning_count;
    char warnings[OOD_WARNINGS][120];
};

#define OOD_DECODE_PIXELS 40000000u         /* the limit where none is named */
#define OOD_PICTURE_SIDE 65500u              /* the most pixels on a side of any picture: libjpeg's limit */

struct ood_decode_limits {
    uint64_t pixels;                         /* width × height of the file, asked of the header before memory is taken; 0:
                                              * OOD_DECODE_PIXELS */
    /* A JPEG may be decoded at 1/2, 1/4 or 1/8 while both sides of the upright picture stay >= these; 0: full size. */
    size_t least_width, least_height;
};

/* Told by the first bytes. Alpha and transparent colours are laid on white; gamma and colour profiles are not applied.
 * JPEG: baseline, progressive, arithmetic (at most 100 scans, 20 where scans times pixels are above 800 million), grey, CMYK and
 * YCCK (ink stored inverted, as Adobe and Pillow have it), EXIF orientation applied. PNG: all colour types and depths, 16 bit: the high byte; eXIf is not looked at; a wrong
 * checksum in any chunk is refused.
 * WebP: lossy and lossless, an animation's first frame on its canvas; EXIF orientation applied. GIF: the first frame on its canvas; a
 * file without its trailer is truncated. BMP: 1, 4, 8, 16, 24 and 32 bits, bit fields, RLE8 and RLE4. TIFF: the first page;
 * strips and tiles, planes together or apart; grey, palettes, RGB, CMYK (any ICC profile aside), YCbCr within JPEG; unsigned
 * samples of 1, 2, 4, 8 and 16 bits (the high byte); uncompressed, PackBits, LZW, Deflate, CCITT and JPEG; orientation applied.
 * WebP, GIF, BMP and TIFF may have been left out when this was built: OOD_PICTURE_UNKNOWN then.
 * Errors: OOD_PICTURE_EMPTY, _UNKNOWN, _TRUNCATED (data end before the picture's end marker), _CORRUPT, _TOO_LARGE,
 * _UNSUPPORTED, OOD_OUT_OF_MEMORY. What else the decoder complains of is kept as a warning.
 * Zero *out before; freed by ood_picture_free. */
bool ood_picture_decode(const void *bytes, size_t size, const struct ood_decode_limits *limits,
                        struct ood_picture *out, struct ood_error *err) OOD_MUST_CHECK;
/* Does a file's name end as one of a format above (any case)? */
bool ood_picture_name(const char *name);
void ood_picture_free(struct ood_picture *picture);      /* frees what it holds, leaves it zeroed */

/* ---- preprocessing ---- */

enum ood_channels { OOD_CHANNELS_RGB, OOD_CHANNELS_BGR, OOD_CHANNELS_GREY };     /* grey: ITU-R 601, as Pillow's "L" */
enum ood_input_layout { OOD_INPUT_NCHW, OOD_INPUT_NHWC };
enum ood_resize { OOD_RESIZE_SHORT_SIDE,     /* as torchvision's Resize(int) and CenterCrop, aspect kept */
                  OOD_RESIZE_EXACT,          /* both sides, aspect lost */
                  OOD_RESIZE_LETTERBOX,      /* fit inside, centred, the rest filled with fill */
                  OOD_RESIZE_LETTERBOX_FLOOR,        /* the same, sides rounded down */
                  OOD_RESIZE_LETTERBOX_CORNER };     /* fit inside, at the top left, sides rounded down */
enum ood_filter { OOD_FILTER_BILINEAR, OOD_FILTER_BICUBIC,       /* antialiased when shrinking, as Pillow's */
                  OOD_FILTER_OPENCV_BILINEAR };      /* OpenCV's INTER_LINEAR on bytes: two taps a direction, never antialiased */

/* The bundle's "input" section: picture to tensor. value = (pixel · scale − mean[c]) / std[c] in float32, channel order as
 * named. The picture is resized as RGB, then cropped, then made grey if grey is wanted.
 *
 * SHORT_SIDE, of a picture w×h, divisions rounded down:
 *     resize_to R > 0          w <= h: R × R·h/w, else R·w/h × R; R must be at least width and height
 *     resize_to 0, to cover    width·h >= height·w: width × width·h/w, else height·w/h × height (with width = height the
 *                              same as resize_to = width)
 *     the crop begins at (W − width)/2, (H − height)/2, halves rounded to even
 * LETTERBOX: r = min(width/w, height/h); W = w·r, H = h·r rounded (halves to even), at least 1; placed at (width − W)/2,
 * (height − H)/2 rounded down. LETTERBOX_FLOOR: the fitting side is the input's own, the other width·h/w or height·w/h rounded
 * down (NanoDet's). LETTERBOX_CORNER: W = w·r, H = h·r in double, rounded down; placed at 0, 0 (YOLOX's). */
struct ood_preprocess {
    size_t width, height;                    /* of the network's input, 1 … OOD_INPUT_SIDE */
    enum ood_channels channels;
    enum ood_input_layout layout;
    enum ood_resize resize;
    size_t resize_to;                        /* SHORT_SIDE: e.g. 256 before a crop of 224; 0: the crop itself */
    enum ood_filter filter;
    unsigned char fill[3];                   /* LETTERBOX: red, green, blue */
    float scale, mean[3], std[3];            /* in the order of channels */
};

#define OOD_INPUT_SIDE 8192u

/* Sides, resize_to and numbers in their ranges (std not 0, all finite)? OOD_INVALID names the one that is not. */
bool ood_preprocess_check(const struct ood_preprocess *preprocess, struct ood_error *err) OOD_MUST_CHECK;

/* Presets: "cifar" (32×32, short side, bilinear, 1/255, mean .4914 .4822 .4465, std .2470 .2435 .2616) and "imagenet" (224,
 * short side 256, bilinear, 1/255, mean .485 .456 .406, std .229 .224 .225). False: no such preset. */
bool ood_preprocess_preset(const char *name, struct ood_preprocess *out);

/* Words of model.json for the enumerations, and back (false: unknown). */
const char *ood_channels_name(enum ood_channels value);
const char *ood_input_layout_name(enum ood_input_layout value);
const char *ood_resize_name(enum ood_resize value);      /* "short_side", "exact", "letterbox" */
const char *ood_filter_name(enum ood_filter value);
bool ood_channels_parse(const char *name, enum ood_channels *out);
bool ood_input_layout_parse(const char *name, enum ood_input_layout *out);
bool ood_resize_parse(const char *name, enum ood_resize *out);
bool ood_filter_parse(const char *name, enum ood_filter *out);

/* Floats of one input: channels (1 or 3) × height × width. */
size_t ood_preprocess_floats(const struct ood_preprocess *preprocess);

/* One thread's memory: zero it first, freed by ood_workspace_free. Reused, so that after the first pictures of a size
 * nothing is allocated by us (the decoders have allocations of their own). Buffers above 64 MiB are not kept. */
struct ood_workspace {
    unsigned char *bytes;                    /* pixels as decoded */
    size_t capacity;
    unsigned char *turned;                   /* and turned upright */
    size_t turned_capacity;
    unsigned char *resized;
    size_t resized_capacity;
    unsigned char *scratch;                  /* resize: coefficients and rows */
    size_t scratch_capacity;
    void *decoder;                           /* TurboJPEG's handle, of the last picture */
    struct ood_normaliser *normaliser;       /* value of each byte in each channel */
};
void ood_workspace_free(struct ood_workspace *workspace);

/* The whole way: decode (scaled where the result stays >= 2 × the resized picture on both sides), resize, crop, normalise
 * into out[ood_preprocess_floats]. pixel_limit 0: OOD_DECODE_PIXELS. Warnings are appended to those of `warnings` (NULL:
 * dropped), as far as there is room. A picture of the input's size is not resampled.
 * Errors: those of ood_picture_decode and ood_preprocess_check. */
bool ood_picture_load(const void *bytes, size_t size, uint64_t pixel_limit, const struct ood_preprocess *preprocess,
                      struct ood_workspace *workspace, float *out, struct ood_verdict *warnings,
                      struct ood_error *err) OOD_MUST_CHECK;

/* How a picture lies in the network's input: column x of the input is column (x − left)·scale_x of the picture. */
struct ood_placement {
    size_t width, height;                    /* of the upright picture */
    double left, top;                        /* below 0 where a crop begins inside the picture */
    double scale_x, scale_y;                 /* pixels of the picture a pixel of the input */
};

/* ood_picture_load that also tells the placement. */
bool ood_picture_load_placed(const void *bytes, size_t size, uint64_t pixel_limit, const struct ood_preprocess *preprocess,
                             struct ood_workspace *workspace, float *out, struct ood_verdict *warnings,
                             struct ood_placement *placement, struct ood_error *err) OOD_MUST_CHECK;

/* ---- boxes: parts of one decoded picture ---- */

/* Sides of the upright picture, out of its header: nothing is decoded. Errors: those of ood_picture_decode. */
bool ood_picture_size(const void *bytes, size_t size, uint64_t pixel_limit, struct ood_workspace *workspace, size_t *width,
                      size_t *height, struct ood_error *err) OOD_MUST_CHECK;

/* ood_picture_decode at full size into the workspace: the pixels are lent until its next picture or ood_workspace_trim. */
bool ood_picture_borrow(const void *bytes, size_t size, uint64_t pixel_limit, struct ood_workspace *workspace,
                        struct ood_picture *out, struct ood_error *err) OOD_MUST_CHECK;
/* Gives back what is above 64 MiB. */
void ood_workspace_trim(struct ood_workspace *workspace);

/* The part of a picture under a box, as a picture of its own that shares the pixels: what Pillow's crop gives. The box is cut to
 * the picture and its corners rounded to whole pixels, halves to even; where nothing is left the pixel at its middle.
 * Not for a picture that was decoded at a smaller scale. A box that is not finite, empty or outside: OOD_BOX_INVALID. */
bool ood_picture_crop(const struct ood_picture *picture, const struct ood_box *box, struct ood_picture *part,
                      struct ood_error *err) OOD_MUST_CHECK;

/* ood_preprocess_apply in two steps: first what a picture is resized and cropped to, rgb [height][width][3] of the network's
 * input; then its values, out[ood_preprocess_floats]. */
bool ood_preprocess_resize(const struct ood_preprocess *preprocess, const struct ood_picture *picture,
                           struct ood_workspace *workspace, unsigned char *rgb, struct ood_error *err) OOD_MUST_CHECK;
bool ood_preprocess_normalise(const struct ood_preprocess *preprocess, const unsigned char *rgb, struct ood_workspace *workspace,
                              float *out, struct ood_error *err) OOD_MUST_CHECK;

/* Pixels already decoded (for tests and crops). Sides and area out of range: OOD_INVALID. OpenCV's filter, which never looks
 * at a neighbourhood, takes an area of whole pixels only. */
bool ood_preprocess_apply(const struct ood_preprocess *preprocess, const struct ood_picture *picture,
                          struct ood_workspace *workspace, float *out, struct ood_error *err) OOD_MUST_CHECK;

/* Pillow's Image.resize, the same bytes: 8 bit, two passes (horizontal first), fixed-point coefficients of 22 bits, on a box
 * of the source (NULL: all of it), whose corners are rounded to float as Pillow does. rgb [height][width][3] to
 * out [out_height][out_width][3]. A box that is empty, not finite or reaches outside, or a side of 0 or above 2^24:
 * OOD_INVALID. */
bool ood_resize_rgb(const unsigned char *rgb, size_t width, size_t height, const struct ood_box *box,
                    enum ood_filter filter, unsigned char *out, size_t out_width, size_t out_height,
                    struct ood_workspace *workspace, struct ood_error *err) OOD_MUST_CHECK;

/* ---- for people ---- */

/* A frame along the inside of a box {x1, y1, x2, y2} in pixels; what lies outside of the picture is left out. */
void ood_picture_draw_box(struct ood_picture *picture, const double box[4], double thickness, const unsigned char colour[3]);

/* The pixels as an RGB PNG; freed by ood_bytes_free. */
bool ood_picture_png(const struct ood_picture *picture, struct ood_bytes *out, struct ood_error *err) OOD_MUST_CHECK;

/* The encoded picture as a JPEG whose longer side is at most `side` (1 … 1024), for reports: upright, smaller pictures as they are.
 * Errors: those of ood_picture_decode. Freed by ood_bytes_free. */
bool ood_picture_thumbnail(const void *bytes, size_t size, uint64_t pixel_limit, size_t side, struct ood_bytes *jpeg,
                           struct ood_error *err) OOD_MUST_CHECK;

#endif
