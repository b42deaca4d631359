/* OpenCV's bilinear resize, by the kernels of each instruction set, against its definition written plainly: random sizes both up and down, areas and
 * windows inside of pictures, rows apart from each other. That the definition is OpenCV's: tests/unit/detect/recorded_values_test.c. */
#include "kernel/guarded.h"

#include <math.h>
#include <stdlib.h>

#include "base/random.h"
#include "picture/picture_internal.h"

/* Both source pixels of an output and their weights of 11 fractional bits. A column's stay inside, with the whole weight on one. */
struct definition { long low, high; int low_weight, high_weight; };

static struct definition define(size_t output, size_t outputs, size_t cells, bool column)
{
    const long last = (long)cells - 1;
    const double scale = 1 / ((double)outputs / (double)cells);
    const float place = (float)(((double)output + 0.5) * scale - 0.5);
    long low = (long)floorf(place);
    float share = place - floorf(place);
    if (column && low < 0)
        low = 0, share = 0;
    if (column && low >= last)
        low = last, share = 0;
    return (struct definition){ low < 0 ? 0 : low, low + 1 > last ? last : low + 1, (int)lrintf((1 - share) * 2048), (int)lrintf(share * 2048) };
}

/* `from` is the area's first byte; c the colour. */
static int expected_byte(const struct resample *job, const unsigned char *from, size_t cells, size_t rows, size_t x, size_t y, size_t c)
{
    const struct definition column = define(job->x + x, job->full_width, cells, true), row = define(job->y + y, job->full_height, rows, false);
    const unsigned char *upper = from + (size_t)row.low * job->source_stride, *lower = from + (size_t)row.high * job->source_stride;
    const size_t low = 3 * (size_t)column.low + c, high = 3 * (size_t)column.high + c;
    const int above = (upper[low] * column.low_weight + upper[high] * column.high_weight) >> 4;
    const int below = (lower[low] * column.low_weight + lower[high] * column.high_weight) >> 4;
    const int value = ((row.low_weight * above >> 16) + (row.high_weight * below >> 16) + 2) >> 2;
    return value < 0 ? 0 : value > 255 ? 255 : value;
}

static size_t between(struct ood_random *random, size_t least, size_t most) { return least + (size_t)ood_random_below(random, most - least + 1); }

/* The picture ends at a page that must not be read, the output at one that must not be written; between its rows nothing is. */
static void check_job(struct ood_random *random, struct resample *job, struct ood_workspace *workspace, const char *isa)
{
    struct ood_error err = { 0 };
    const size_t cells = (size_t)(job->x1 - job->x0), rows = (size_t)(job->y1 - job->y0), gap = job->out_stride - job->width * 3;
    const size_t source_bytes = job->source_stride * (job->source_height - 1) + job->source_width * 3;
    const size_t out_bytes = job->out_stride * (job->height - 1) + job->width * 3;
    struct guarded source = guard(source_bytes / 4 + 1, true), target = guard(out_bytes / 4 + 1, true);
    unsigned char *rgb = guarded_end(&source, source_bytes);
    for (size_t i = 0; i < source_bytes; i++)
        rgb[i] = (unsigned char)(i % 11 == 0 ? 255 : ood_random_next(random) >> 30);
    job->rgb = rgb;
    job->out = guarded_end(&target, out_bytes);
    check_ok(ood_resample_opencv(job, workspace, &err));
    const unsigned char *from = rgb + (size_t)job->y0 * job->source_stride + (size_t)job->x0 * 3;
    for (size_t y = 0; y < job->height; y++) {
        const unsigned char *out = job->out + y * job->out_stride;
        for (size_t i = 0; i < job->width * 3; i++) {
            const int expected = expected_byte(job, from, cells, rows, i / 3, y, i % 3);
            if (out[i] != expected)
                fail_msg("%s, %zux%zu of %zux%zu to %zux%zu, from %zu,%zu: row %zu, byte %zu is %d, expected %d", isa, cells, rows,
                         job->source_width, job->source_height, job->full_width, job->full_height, job->x, job->y, y, i, out[i], expected);
        }
        for (size_t i = job->width * 3; i < job->width * 3 + gap && y + 1 < job->height; i++)
            assert_int_equal(out[i], 0xff);
    }
    unguard(&source), unguard(&target);
}

static void every_kernel_is_the_definition(void **state)
{
    static const char *const limits[] = { "SSE41", "AVX2", "DEFAULT" };
    (void)state;
    for (size_t l = 0; l < sizeof limits / sizeof limits[0]; l++) {
        struct ood_workspace workspace = { 0 };
        struct ood_random random;
        setenv("ONEDNN_MAX_CPU_ISA", limits[l], 1);
        ood_random_seed(&random, 7);
        for (size_t i = 0; i < 1500; i++) {
            /* small ones, in which edges are everything; up to 8 times smaller; about the same size; larger */
            const size_t most = i % 4 == 0 ? 9 : i % 4 == 1 ? 500 : 120, out_most = i % 4 == 0 ? 9 : i % 4 == 1 ? 60 : i % 4 == 2 ? 120 : 300;
            struct resample job = { .source_width = between(&random, 1, most), .source_height = between(&random, 1, 20),
                                    .full_width = between(&random, 1, out_most), .full_height = between(&random, 1, 20) };
            job.source_stride = job.source_width * 3 + between(&random, 0, 5);
            job.x0 = (float)between(&random, 0, (job.source_width - 1) / 4), job.x1 = (float)(job.source_width - between(&random, 0, (job.source_width - 1) / 4));
            job.y0 = (float)between(&random, 0, (job.source_height - 1) / 4), job.y1 = (float)(job.source_height - between(&random, 0, (job.source_height - 1) / 4));
            job.x = between(&random, 0, (job.full_width - 1) / 3), job.y = between(&random, 0, (job.full_height - 1) / 3);
            job.width = job.full_width - job.x - between(&random, 0, (job.full_width - 1) / 3);
            job.height = job.full_height - job.y - between(&random, 0, (job.full_height - 1) / 3);
            job.out_stride = job.width * 3 + between(&random, 0, 40);
            check_job(&random, &job, &workspace, limits[l]);
        }
        ood_workspace_free(&workspace);
    }
    unsetenv("ONEDNN_MAX_CPU_ISA");
}

/* The sizes that detectors have, which loops without tails may be made for. */
static void sizes_of_detectors_are_the_definition(void **state)
{
    static const size_t sizes[][4] = { { 640, 48, 352, 27 }, { 640, 36, 320, 18 }, { 640, 43, 416, 28 }, { 500, 33, 640, 42 }, { 1920, 108, 352, 20 }, { 1280, 72, 640, 36 } };
    (void)state;
    struct ood_workspace workspace = { 0 };
    struct ood_random random;
    ood_random_seed(&random, 8);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        const size_t *side = sizes[i];
        struct resample job = { .source_width = side[0], .source_height = side[1], .source_stride = side[0] * 3, .x1 = (float)side[0], .y1 = (float)side[1],
                                .full_width = side[2], .full_height = side[3], .width = side[2], .height = side[3], .out_stride = side[2] * 3 };
        check_job(&random, &job, &workspace, "");
    }
    ood_workspace_free(&workspace);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_of_detectors_are_the_definition),
        cmocka_unit_test(every_kernel_is_the_definition),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
