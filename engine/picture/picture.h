/* Encoded pictures to network inputs: decode (JPEG, PNG), turn upright, resize as Pillow does, crop, normalise. */
#ifndef OOD_PICTURE_PICTURE_H
#define OOD_PICTURE_PICTURE_H

#include "base/memory.h"

/* ---- decoding ---- */

struct ood_picture {
    size_t width, height;                    /* pixels, upright */
    unsigned char *rgb;                      /* [height][width][3], 8 bit */
    size_t original_width, original_height;  /* before a scaled decode, upright */
    size_t warning_count;
    char warnings[OOD_WARNINGS][120];
};

struct ood_decode_limits {
    uint64_t pixels;                         /* width × height of the file, asked of the header before memory is taken */
    /* A JPEG may be decoded at 1/2, 1/4 or 1/8 while both sides of the upright picture stay >= these; 0: full size. */
    size_t least_width, least_height;
};

/* Told by the first bytes. JPEG: baseline, progressive (scans limited), grey, CMYK and YCCK, EXIF orientation applied.
 * PNG: all colour types and depths (16 bit: the high byte), alpha laid on white. Premature end of data is
 * OOD_PICTURE_TRUNCATED; other decoder warnings are kept. Zero *out before; freed by ood_picture_free. */
bool ood_picture_decode(const void *bytes, size_t size, const struct ood_decode_limits *limits,
                        struct ood_picture *out, struct ood_error *err) OOD_MUST_CHECK;
void ood_picture_free(struct ood_picture *picture);      /* frees what it holds, leaves it zeroed */

/* ---- preprocessing ---- */

enum ood_channels { OOD_CHANNELS_RGB, OOD_CHANNELS_BGR, OOD_CHANNELS_GREY };
enum ood_input_layout { OOD_INPUT_NCHW, OOD_INPUT_NHWC };
enum ood_resize { OOD_RESIZE_SHORT_SIDE,     /* short side to resize_to (0: to cover width × height), aspect kept */
                  OOD_RESIZE_EXACT,          /* both sides, aspect lost */
                  OOD_RESIZE_LETTERBOX };    /* fit inside, rest filled with fill */
enum ood_filter { OOD_FILTER_BILINEAR, OOD_FILTER_BICUBIC };     /* antialiased when shrinking, as Pillow's */

/* The bundle's "input" section: picture to tensor. value = (pixel · scale − mean[c]) / std[c], channel order as named. */
struct ood_preprocess {
    size_t width, height;                    /* of the network's input */
    enum ood_channels channels;
    enum ood_input_layout layout;
    enum ood_resize resize;
    size_t resize_to;                        /* SHORT_SIDE: e.g. 256 before a crop of 224; 0: the crop itself */
    enum ood_filter filter;
    unsigned char fill[3];                   /* LETTERBOX */
    float scale, mean[3], std[3];            /* in the order of channels */
};

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

/* The whole way: decode (scaled where the result stays >= 2 × the target on both sides), resize, crop, normalise into
 * out[ood_preprocess_floats]. One thread's workspace (zero it first, freed by ood_workspace_free) is reused so that after
 * the first pictures of a size nothing is allocated by us. warnings are appended to the verdict's fields. */
struct ood_workspace { unsigned char *bytes; size_t capacity; void *decoder; };
void ood_workspace_free(struct ood_workspace *workspace);

bool ood_picture_load(const void *bytes, size_t size, uint64_t pixel_limit, const struct ood_preprocess *preprocess,
                      struct ood_workspace *workspace, float *out, struct ood_verdict *warnings,
                      struct ood_error *err) OOD_MUST_CHECK;

/* Pixels already decoded (for tests and crops). */
bool ood_preprocess_apply(const struct ood_preprocess *preprocess, const struct ood_picture *picture,
                          struct ood_workspace *workspace, float *out, struct ood_error *err) OOD_MUST_CHECK;

/* Pillow's Image.resize: 8-bit, two passes (horizontal first), fixed-point coefficients of PRECISION_BITS 22, on a box
 * of the source. rgb in and out. */
struct ood_box { double x0, y0, x1, y1; };
bool ood_resize_rgb(const unsigned char *rgb, size_t width, size_t height, const struct ood_box *box,
                    enum ood_filter filter, unsigned char *out, size_t out_width, size_t out_height,
                    struct ood_workspace *workspace, struct ood_error *err) OOD_MUST_CHECK;

#endif
