/* Pictures. The first byte chooses how they are prepared, the rest is the file. Built once for all formats, and once for each of
 * some (FUZZ_KIND), where the signature is put in its place: what is found there is of that format. Whatever comes: a failure has a code and
 * leaves the output alone, success gives finite numbers, and the same ones from a workspace that other pictures went
 * through as from a fresh one, so that nothing of one caller's picture shows in another's. */
#include <math.h>
#include <string.h>

#include "fuzz.h"
#include "picture/picture.h"

#ifndef FUZZ_KIND
#define FUZZ_KIND 0
#endif

enum { PIXELS = 1 << 16, SIDE = 48, VALUES = SIDE * SIDE * 3 };

static struct ood_preprocess preprocess_of(unsigned choice)
{
    struct ood_preprocess preprocess = {
        .width = choice & 1 ? 32 : SIDE, .height = choice & 2 ? 32 : 7, .channels = (enum ood_channels)(choice / 4 % 3),
        .layout = choice & 32 ? OOD_INPUT_NHWC : OOD_INPUT_NCHW, .resize = (enum ood_resize)(choice / 64 % 3),
        .resize_to = choice & 16 ? SIDE : 0, .filter = choice & 128 ? OOD_FILTER_BICUBIC : OOD_FILTER_BILINEAR,
        .scale = 1.0f / 255, .mean = { 0.5f, 0.5f, 0.5f }, .std = { 0.25f, 0.25f, 0.25f },
    };
    return preprocess;
}

/* The file, with the signature of the format that is fuzzed. Freed by the caller. */
static unsigned char *signed_copy(const uint8_t *data, size_t size)
{
    static const struct { size_t size, skip_from, skip_to; const char *bytes; } signatures[] = {
        { 0, 0, 0, "" }, { 12, 4, 8, "RIFF....WEBP" }, { 4, 0, 0, "GIF8" }, { 2, 0, 0, "BM" }, { 4, 0, 0, "II*\0" },
    };
    unsigned char *copy = malloc(size > 0 ? size : 1);
    fuzz_require(copy != NULL);
    memcpy(copy, data, size);
    const size_t length = signatures[FUZZ_KIND].size;
    if (FUZZ_KIND == 4 && size > 0 && data[0] == 'M')
        memcpy(copy, "MM\0*", size < 4 ? size : 4);
    else
        for (size_t i = 0; i < length && i < size; i++)
            if (i < signatures[FUZZ_KIND].skip_from || i >= signatures[FUZZ_KIND].skip_to)
                copy[i] = (unsigned char)signatures[FUZZ_KIND].bytes[i];
    return copy;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct ood_workspace used;
    struct ood_workspace fresh = { 0 };
    struct ood_error err = { 0 };
    struct ood_verdict verdict = { 0 };
    float first[VALUES], second[VALUES], untouched[VALUES];
    if (size == 0)
        return 0;
    struct ood_preprocess preprocess = preprocess_of(data[0]);
    size_t count = ood_preprocess_floats(&preprocess);
    unsigned char *file = signed_copy(data + 1, size - 1);
    for (size_t i = 0; i < VALUES; i++)
        first[i] = second[i] = untouched[i] = 1000;
    bool ok = ood_picture_load(file, size - 1, PIXELS, &preprocess, &used, first, &verdict, &err);
    fuzz_require(ok == (err.code == OOD_OK) && ok == (err.message[0] == '\0'));
    fuzz_require(ok || (verdict.warning_count == 0 && memcmp(first, untouched, sizeof first) == 0));
    for (size_t i = 0; ok && i < VALUES; i++)
        fuzz_require(i < count ? fabsf(first[i]) <= 2 : first[i] == 1000);
    err = (struct ood_error){ 0 };
    fuzz_require(ood_picture_load(file, size - 1, PIXELS, &preprocess, &fresh, second, NULL, &err) == ok);
    fuzz_require(memcmp(first, second, sizeof first) == 0);
    ood_workspace_free(&fresh);
    free(file);
    return 0;
}
