/* Pictures. The first byte chooses how they are prepared, the rest is the file. Whatever comes: a failure has a code and
 * leaves the output alone, success gives finite numbers, and the same ones from a workspace that other pictures went
 * through as from a fresh one, so that nothing of one caller's picture shows in another's. */
#include <math.h>
#include <string.h>

#include "fuzz.h"
#include "picture/picture.h"

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
    for (size_t i = 0; i < VALUES; i++)
        first[i] = second[i] = untouched[i] = 1000;
    bool ok = ood_picture_load(data + 1, size - 1, PIXELS, &preprocess, &used, first, &verdict, &err);
    fuzz_require(ok == (err.code == OOD_OK) && ok == (err.message[0] == '\0'));
    fuzz_require(ok || (verdict.warning_count == 0 && memcmp(first, untouched, sizeof first) == 0));
    for (size_t i = 0; ok && i < VALUES; i++)
        fuzz_require(i < count ? fabsf(first[i]) <= 2 : first[i] == 1000);
    err = (struct ood_error){ 0 };
    fuzz_require(ood_picture_load(data + 1, size - 1, PIXELS, &preprocess, &fresh, second, NULL, &err) == ok);
    fuzz_require(memcmp(first, second, sizeof first) == 0);
    ood_workspace_free(&fresh);
    return 0;
}
