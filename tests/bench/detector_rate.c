/* What tests/bench/detectors compares with a network alone: pictures/s of a detector's bundle on one thread, from encoded bytes to
 * verdicts for every object found.
 *
 *     detector_rate BUNDLE SECONDS PICTURE…
 *
 * Passes over all pictures until the seconds are spent. A line, tab separated: pictures/s of the median pass and of the best;
 * milliseconds a picture of decoding (with resizing), the network, and all else (boxes, regions, verdicts), of the median pass;
 * objects a picture. */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/number.h"
#include "scorer/scorer.h"

#define PASSES 10000

struct pass { double seconds; struct ood_timing timing; };

static void require(bool good, const struct ood_error *err)
{
    if (good)
        return;
    fprintf(stderr, "detector_rate: %s\n", err->message);
    exit(1);
}

static int compare(const void *a, const void *b)
{
    double x = ((const struct pass *)a)->seconds, y = ((const struct pass *)b)->seconds;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    struct ood_error err = { 0 };
    struct ood_scorer_options options = { 0 };
    double seconds;
    if (argc < 4 || !ood_parse_double(argv[2], &seconds)) {
        fputs("usage: detector_rate BUNDLE SECONDS PICTURE…\n", stderr);
        return 2;
    }
    size_t count = (size_t)argc - 3, passes = 0, objects = 0;
    struct ood_bytes *pictures = calloc(count, sizeof *pictures);
    struct pass *pass = calloc(PASSES, sizeof *pass);
    struct ood_scorer *scorer = ood_scorer_open(argv[1], &options, &err);
    require(scorer != NULL, &err);
    struct ood_session *session = ood_scorer_session(scorer, &err);
    require(session != NULL, &err);
    size_t most = ood_scorer_detections_most(scorer);
    struct ood_detection *found = calloc(most, sizeof *found);
    if (pictures == NULL || pass == NULL || found == NULL)
        return 1;
    for (size_t i = 0; i < count; i++)
        require(ood_file_read(argv[3 + i], (size_t)64 << 20, &pictures[i], &err), &err);
    double begin = ood_clock();
    while (passes < PASSES && (passes < 3 || ood_clock() - begin < seconds)) {
        struct pass *now = &pass[passes++];
        double start = ood_clock();
        objects = 0;
        for (size_t i = 0; i < count; i++) {
            struct ood_scene scene;
            struct ood_timing timing = { 0 };
            require(ood_detect(scorer, session, pictures[i].data, pictures[i].size, found, most, &scene, &timing, &err), &err);
            require(scene.error.code == OOD_OK, &scene.error);
            objects += scene.count;
            now->timing.decode += timing.decode;
            now->timing.infer += timing.infer;
        }
        now->seconds = ood_clock() - start;
    }
    qsort(pass, passes, sizeof *pass, compare);
    const struct pass *median = &pass[passes / 2];
    double n = (double)count, decode = median->timing.decode / n, infer = median->timing.infer / n;
    printf("%.1f\t%.1f\t%.3f\t%.3f\t%.3f\t%.2f\n", n / median->seconds, n / pass[0].seconds, decode * 1e3, infer * 1e3,
           (median->seconds / n - decode - infer) * 1e3, (double)objects / n);
    return 0;
}
