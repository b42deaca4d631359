/* What tests/bench/boxes compares the service with: the boxes of a picture as pictures of their own, scored in one call on one thread.
 *
 *     boxes_alone BUNDLE PICTURE BATCH X1,Y1,X2,Y2…
 *
 * For each line on standard input a line: seconds for the crops as PNG, decoding included, and for crops that are ready. */
#include <spng.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/number.h"
#include "picture/picture.h"
#include "scorer/scorer.h"

static void require(bool good, const struct ood_error *err)
{
    if (good)
        return;
    fprintf(stderr, "boxes_alone: %s\n", err->message);
    exit(1);
}

static bool parse_box(char *text, double corners[4])
{
    for (size_t i = 0; i < 4; i++) {
        char *end = text + strcspn(text, ",");
        bool last = *end == '\0';
        *end = '\0';
        if (!ood_parse_double(text, &corners[i]) || last != (i == 3))
            return false;
        text = end + 1;
    }
    return true;
}

static void *png_of(const struct ood_picture *part, size_t *size)
{
    struct spng_ihdr header = { .width = (uint32_t)part->width, .height = (uint32_t)part->height, .bit_depth = 8,
                                .color_type = SPNG_COLOR_TYPE_TRUECOLOR };
    unsigned char *pixels = malloc(part->width * part->height * 3);
    spng_ctx *encoder = spng_ctx_new(SPNG_CTX_ENCODER);
    int failed = 1;
    if (pixels == NULL || encoder == NULL)
        exit(1);
    for (size_t y = 0; y < part->height; y++)
        memcpy(pixels + y * part->width * 3, part->rgb + y * part->stride, part->width * 3);
    spng_set_option(encoder, SPNG_ENCODE_TO_BUFFER, 1);
    spng_set_ihdr(encoder, &header);
    spng_encode_image(encoder, pixels, part->width * part->height * 3, SPNG_FMT_PNG, SPNG_ENCODE_FINALIZE);
    void *bytes = spng_get_png_buffer(encoder, size, &failed);
    spng_ctx_free(encoder);
    free(pixels);
    if (failed != 0)
        exit(1);
    return bytes;
}

static double score(struct ood_scorer *scorer, struct ood_session *session, const struct ood_item *items, size_t n)
{
    struct ood_error err = { 0 };
    struct ood_verdict *verdicts = calloc(n, sizeof *verdicts);
    double start = ood_clock();
    require(verdicts != NULL && ood_score(scorer, session, items, n, verdicts, NULL, &err), &err);
    double spent = ood_clock() - start;
    for (size_t i = 0; i < n; i++)
        require(verdicts[i].error.code == OOD_OK, &verdicts[i].error);
    free(verdicts);
    return spent;
}

int main(int argc, char **argv)
{
    struct ood_error err = { 0 };
    struct ood_scorer_options options = { 0 };
    if (argc < 5 || !ood_parse_size(argv[3], &options.batch)) {
        fputs("usage: boxes_alone BUNDLE PICTURE BATCH X1,Y1,X2,Y2…\n", stderr);
        return 2;
    }
    size_t n = (size_t)argc - 4;
    struct ood_scorer *scorer = ood_scorer_open(argv[1], &options, &err);
    require(scorer != NULL, &err);
    struct ood_session *session = ood_scorer_session(scorer, &err);
    struct ood_bytes bytes = { 0 };
    require(session != NULL && ood_file_read(argv[2], (size_t)64 << 20, &bytes, &err), &err);
    struct ood_picture picture = { 0 };
    require(ood_picture_decode(bytes.data, bytes.size, &(struct ood_decode_limits){ 0 }, &picture, &err), &err);
    struct ood_item *encoded = calloc(n, sizeof *encoded), *ready = calloc(n, sizeof *ready);
    struct ood_workspace workspace = { 0 };
    if (encoded == NULL || ready == NULL)
        return 1;
    for (size_t i = 0; i < n; i++) {
        double corners[4];
        struct ood_picture part;
        unsigned char *crop = malloc(ood_scorer_crop_bytes(scorer));
        if (crop == NULL || !parse_box(argv[4 + i], corners))
            return 2;
        struct ood_box box = { corners[0], corners[1], corners[2], corners[3] };
        require(ood_picture_crop(&picture, &box, &part, &err), &err);
        require(ood_preprocess_resize(&ood_scorer_bundle(scorer)->input, &part, &workspace, crop, &err), &err);
        encoded[i].picture = png_of(&part, &encoded[i].picture_size);
        ready[i].crop = crop;
    }
    score(scorer, session, encoded, n);
    for (int c; (c = getchar()) != EOF;)
        if (c == '\n') {
            double png = score(scorer, session, encoded, n), crops = score(scorer, session, ready, n);
            printf("%.6f %.6f\n", png, crops);
            fflush(stdout);
        }
    return 0;
}
