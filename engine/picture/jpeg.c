/* JPEG by TurboJPEG: header, scaled decoding, ink to light, and what its messages mean. */
#include "picture/picture_internal.h"

#include <string.h>
#include <turbojpeg.h>

static bool starts_with(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

/* libjpeg's warnings by their first words. TurboJPEG's own code does not do: after a warning it calls a fatal error a
 * warning, too (its message is then the error's). */
static bool is_warning(const char *message)
{
    static const char *const starts[] = {
        "Corrupt JPEG data: ", "Inconsistent progression sequence", "Unknown Adobe color transform", "Warning: ",
        "Invalid SOS parameters for sequential",
    };
    for (size_t i = 0; i < sizeof starts / sizeof starts[0]; i++)
        if (starts_with(message, starts[i]))
            return true;
    return false;
}

static bool fail_as(struct ood_error *err, const char *message)
{
    enum ood_code code = OOD_PICTURE_CORRUPT;
    if (strstr(message, "remature end") != NULL)
        code = OOD_PICTURE_TRUNCATED;
    else if (starts_with(message, "Unsupported") || starts_with(message, "Sorry") ||
             starts_with(message, "Empty JPEG image") || strstr(message, "Could not determine") != NULL)
        code = OOD_PICTURE_UNSUPPORTED;
    else if (strstr(message, "scans") != NULL)
        code = OOD_PICTURE_UNSUPPORTED;
    else if (starts_with(message, "Maximum supported image dimension"))
        code = OOD_PICTURE_TOO_LARGE;
    else if (starts_with(message, "Insufficient memory") || strstr(message, "emory allocation") != NULL)
        code = OOD_OUT_OF_MEMORY;
    return ood_fail(err, code, "JPEG: %s", message);
}

/* A scan of few bytes may walk over all of a picture: 100 scans of 40 megapixels take 8 seconds. Encoders make about 10. */
static bool scans_fit(size_t scans, const struct picture_header *header, struct ood_error *err)
{
    enum { ALWAYS = 20, MOST = 100, PIXELS = 800000000 };
    uint64_t pixels = (uint64_t)header->width * header->height;
    if (scans <= ALWAYS || (scans <= MOST && pixels * scans <= PIXELS))
        return true;
    return ood_fail(err, OOD_PICTURE_UNSUPPORTED, "JPEG: %zu scans over %zu×%zu pixels; at most %d are read, %d where the "
                    "scans of all pixels are more than %d", scans, header->width, header->height, MOST, ALWAYS, PIXELS);
}

bool ood_jpeg_header(const unsigned char *bytes, size_t size, struct ood_workspace *workspace,
                     struct picture_header *header, struct ood_error *err)
{
    struct picture_header found = { .kind = PICTURE_JPEG };
    size_t scans;
    if (!ood_jpeg_markers(bytes, size, &found.orientation, &scans, err))
        return false;
    /* A handle keeps the tables of its last picture and would lend them to one that has none: a handle for each picture,
     * which costs less than a microsecond. */
    if (workspace->decoder != NULL)
        tjDestroy(workspace->decoder);
    workspace->decoder = tjInitDecompress();
    if (workspace->decoder == NULL)
        return ood_fail(err, OOD_OUT_OF_MEMORY, "JPEG: no decoder: %s", tjGetErrorStr2(NULL));
    /* A sampling that TurboJPEG has no name for is reported as a failure, after everything we ask for was set. */
    int width = 0, height = 0, sampling = -1, colours = -1;
    int status = tjDecompressHeader3(workspace->decoder, bytes, size, &width, &height, &sampling, &colours);
    if (width < 1 || height < 1 || colours < 0)
        return fail_as(err, status != 0 ? tjGetErrorStr2(workspace->decoder) : "no picture in the file");
    found.width = (size_t)width;
    found.height = (size_t)height;
    found.ink = colours == TJCS_CMYK || colours == TJCS_YCCK;
    if (!scans_fit(scans, &found, err))
        return false;
    *header = found;
    return true;
}

bool ood_jpeg_decode(const unsigned char *bytes, size_t size, const struct picture_header *header, size_t denominator,
                     struct ood_workspace *workspace, struct ood_picture *picture, struct ood_error *err)
{
    size_t width = (header->width + denominator - 1) / denominator;
    size_t height = (header->height + denominator - 1) / denominator;
    size_t row = width * (header->ink ? 4 : 3), needed;       /* sides are at most OOD_PICTURE_SIDE */
    if (!ood_mul_size(row, height, &needed))
        return ood_fail(err, OOD_PICTURE_TOO_LARGE, "JPEG: %zu×%zu pixels do not fit into memory", width, height);
    if (!ood_workspace_reserve(&workspace->bytes, &workspace->capacity, needed, err))
        return false;
    int status = tjDecompress2(workspace->decoder, bytes, size, workspace->bytes, (int)width, (int)row, (int)height,
                               header->ink ? TJPF_CMYK : TJPF_RGB, TJFLAG_LIMITSCANS);
    if (status != 0) {
        const char *message = tjGetErrorStr2(workspace->decoder);
        if (!is_warning(message) || strstr(message, "remature end") != NULL)
            return fail_as(err, message);
        ood_picture_warn(picture, message);
    }
    if (header->ink)
        ood_ink_to_light(workspace->bytes, width * height, true);
    picture->rgb = workspace->bytes;
    picture->width = width;
    picture->height = height;
    picture->area = (struct ood_box){ 0, 0, (double)header->width / (double)denominator,
                                      (double)header->height / (double)denominator };
    return true;
}
