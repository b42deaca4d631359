/* RoIAlign and non-maximum suppression against torchvision's, the resize against OpenCV's, as tests/data/detect/make.py recorded them. */
#include "check.h"

#include <math.h>

#include "base/file.h"
#include "bundle/safetensors.h"
#include "detect/detect.h"
#include "kernel/roi_align.h"
#include "picture/picture.h"

struct recorded { struct ood_bytes bytes; struct ood_safetensors tensors; };

static struct recorded open_recorded(const char *name)
{
    struct ood_error err = { 0 };
    struct recorded recorded = { 0 };
    check_ok(ood_file_read(check_data(name), 1 << 20, &recorded.bytes, &err));
    check_ok(ood_safetensors_read(recorded.bytes.data, recorded.bytes.size, &recorded.tensors, &err));
    return recorded;
}

static void close_recorded(struct recorded *recorded)
{
    ood_safetensors_free(&recorded->tensors);
    ood_bytes_free(&recorded->bytes);
}

static float *take(const struct recorded *recorded, const char *stem, const char *name, size_t rank, size_t *shape)
{
    struct ood_error err = { 0 };
    char full[64];
    snprintf(full, sizeof full, "%s%s", stem, name);
    memset(shape, 0, rank * sizeof *shape);
    float *values = ood_safetensors_take(&recorded->tensors, full, OOD_SAFETENSORS_F32, rank, shape, &err);
    if (values == NULL)
        fail_msg("%s", err.message);
    return values;
}

static void roi_align_is_torchvisions(void **state)
{
    (void)state;
    struct recorded recorded = open_recorded("detect/roi_align.safetensors");
    const struct { const char *stem; double stride; } cases[] = { { "square", 32 }, { "wide", 32 }, { "fine", 8 }, { "one", 64 } };
    double worst = 0;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t map_shape[3], box_shape[2], bin_shape[4], mean_shape[2];
        float *values = take(&recorded, cases[i].stem, ".map", 3, map_shape), *boxes = take(&recorded, cases[i].stem, ".boxes", 2, box_shape);
        float *bins = take(&recorded, cases[i].stem, ".bins", 4, bin_shape), *means = take(&recorded, cases[i].stem, ".mean", 2, mean_shape);
        struct ood_roi_map map = { values, map_shape[0], map_shape[1], map_shape[2], 1 / cases[i].stride, 1 / cases[i].stride };
        size_t count = map.channels * OOD_ROI_BINS * OOD_ROI_BINS;
        float *out = calloc(count, sizeof *out);
        double *scratch = calloc(map.height + map.width, sizeof *scratch);
        for (size_t b = 0; b < box_shape[0]; b++) {
            double box[4];
            for (size_t k = 0; k < 4; k++)
                box[k] = (double)boxes[4 * b + k];
            ood_roi_align(&map, box, OOD_ROI_BINS, out);
            for (size_t k = 0; k < count; k++) {
                worst = fmax(worst, fabs((double)(out[k] - bins[b * count + k])));
                check_close((double)out[k], (double)bins[b * count + k], 2e-5, 1e-5);
            }
            ood_roi_mean(&map, box, scratch, out);
            for (size_t c = 0; c < map.channels; c++)
                check_close((double)out[c], (double)means[b * map.channels + c], 1e-5, 1e-5);
        }
        free(out);
        free(scratch);
        ood_free(values);
        ood_free(boxes);
        ood_free(bins);
        ood_free(means);
    }
    print_message("largest difference of a bin: %.3g\n", worst);
    close_recorded(&recorded);
}

static void resize_is_opencvs(void **state)
{
    (void)state;
    struct recorded recorded = open_recorded("detect/resize.safetensors");
    for (size_t i = 0; i < 8; i++) {
        char stem[8];
        size_t from[3], to[3];
        struct ood_error err = { 0 };
        struct ood_workspace workspace = { 0 };
        snprintf(stem, sizeof stem, "%zu", i);
        float *source = take(&recorded, stem, ".source", 3, from), *expected = take(&recorded, stem, ".resized", 3, to);
        unsigned char *rgb = malloc(from[0] * from[1] * 3), *out = malloc(to[0] * to[1] * 3);
        for (size_t k = 0; k < from[0] * from[1] * 3; k++)
            rgb[k] = (unsigned char)source[k];
        check_ok(ood_resize_rgb(rgb, from[1], from[0], NULL, OOD_FILTER_OPENCV_BILINEAR, out, to[1], to[0], &workspace, &err));
        for (size_t k = 0; k < to[0] * to[1] * 3; k++)
            if (out[k] != (unsigned char)expected[k])
                fail_msg("case %zu: byte %zu is %d, expected %d", i, k, out[k], (int)expected[k]);
        struct ood_box part = { 0, 0, 0.5, 1 };
        check_fails(ood_resize_rgb(rgb, from[1], from[0], &part, OOD_FILTER_OPENCV_BILINEAR, out, to[1], to[0], &workspace, &err),
                    OOD_INVALID, "whole pixels");
        ood_workspace_free(&workspace);
        free(rgb);
        free(out);
        ood_free(source);
        ood_free(expected);
    }
    close_recorded(&recorded);
}

static void suppression_is_torchvisions(void **state)
{
    (void)state;
    struct recorded recorded = open_recorded("detect/nms.safetensors");
    size_t shape[2], count[1], kept_count[1];
    float *boxes = take(&recorded, "", "boxes", 2, shape), *scores = take(&recorded, "", "scores", 1, count);
    float *classes = take(&recorded, "", "classes", 1, count);
    const struct { const char *name; enum ood_suppression kind; } cases[] = {
        { "agnostic", OOD_SUPPRESS_AGNOSTIC }, { "class_wise", OOD_SUPPRESS_CLASS_WISE } };
    struct ood_candidate *candidates = calloc(count[0], sizeof *candidates);
    for (size_t c = 0; c < 2; c++) {
        float *expected = take(&recorded, "", cases[c].name, 1, kept_count);
        for (size_t most = 1; most <= count[0]; most += most < 3 ? 1 : 50) {
            for (size_t i = 0; i < count[0]; i++) {
                candidates[i] = (struct ood_candidate){ .score = (double)scores[i], .class_index = (size_t)classes[i], .index = i };
                for (size_t k = 0; k < 4; k++)
                    candidates[i].box[k] = (double)boxes[4 * i + k];
            }
            size_t kept = ood_suppress(candidates, count[0], cases[c].kind, 0.45, most);
            assert_int_equal(kept, kept_count[0] < most ? kept_count[0] : most);
            for (size_t i = 0; i < kept; i++)
                assert_int_equal(candidates[i].index, (size_t)expected[i]);
        }
        ood_free(expected);
    }
    assert_int_equal(ood_suppress(candidates, 0, OOD_SUPPRESS_AGNOSTIC, 0.5, 10), 0);
    free(candidates);
    ood_free(boxes);
    ood_free(scores);
    ood_free(classes);
    close_recorded(&recorded);
}

static void ties_go_to_the_lower_index(void **state)
{
    (void)state;
    struct ood_candidate candidates[40];
    for (size_t i = 0; i < 40; i++)
        candidates[i] = (struct ood_candidate){ .box = { (double)i * 10, 0, (double)i * 10 + 9, 9 }, .score = 0.5, .index = (i * 7) % 40 };
    assert_int_equal(ood_suppress(candidates, 40, OOD_SUPPRESS_NONE, 0.5, 40), 40);
    for (size_t i = 0; i < 40; i++)
        assert_int_equal(candidates[i].index, i);
}

static void overlap_of_odd_boxes(void **state)
{
    (void)state;
    const double unit[4] = { 0, 0, 1, 1 }, half[4] = { 0.5, 0, 1.5, 1 }, none[4] = { 1, 1, 1, 1 }, turned[4] = { 1, 1, 0, 0 };
    const double nan[4] = { NAN, 0, 1, 1 }, huge[4] = { -1e300, -1e300, 1e300, 1e300 };
    check_close(ood_iou(unit, unit), 1, 0, 0);
    check_close(ood_iou(unit, half), 1.0 / 3, 1e-15, 0);
    assert_true(ood_iou(unit, none) == 0 && ood_iou(unit, turned) == 0 && ood_iou(huge, huge) == 0 && ood_iou(unit, huge) == 0);
    assert_true(ood_iou(unit, nan) >= 0 && ood_iou(nan, nan) <= 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(roi_align_is_torchvisions), cmocka_unit_test(resize_is_opencvs), cmocka_unit_test(suppression_is_torchvisions),
        cmocka_unit_test(ties_go_to_the_lower_index), cmocka_unit_test(overlap_of_odd_boxes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
