/* The detectors of shared/detectors with their reference boxes. */
#ifndef OOD_TESTS_DETECT_REFERENCE_H
#define OOD_TESTS_DETECT_REFERENCE_H

#include <jansson.h>
#include <math.h>

#include "base/file.h"
#include "bundle/bundle.h"
#include "check.h"

struct reference_detector {
    const char *preset, *folder;
    const char *outputs[6];                  /* the tensors of test_data_set_0/output_N.pb */
    const char *picture;                     /* of test_data_set_0 */
};

static const struct reference_detector reference_detectors[] = {
    { "fastestdet", "detectors/fastestdet", { "758" }, "000000000074.jpg" },
    { "yolo_fastestv2", "detectors/yolo_fastestv2", { "794", "796" }, "000000000074.jpg" },
    { "nanodet_m", "detectors/nanodet_m_320",
      { "cls_score0", "bbox_pred0", "cls_score1", "bbox_pred1", "cls_score2", "bbox_pred2" }, "000000000074.jpg" },
    { "ultraface", "detectors/ultraface_rfb_320", { "scores", "boxes" }, "000000000308.jpg" },
};

static inline struct ood_bytes reference_file(const char *folder, const char *name)
{
    struct ood_error err = { 0 };
    struct ood_bytes bytes = { 0 };
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    check_ok(ood_file_read(check_shared(path), (size_t)64 << 20, &bytes, &err));
    return bytes;
}

static inline struct ood_declaration reference_declaration(const char *preset)
{
    struct ood_error err = { 0 };
    struct ood_declaration declaration = { 0 };
    const char *text = ood_declaration_preset(preset);
    assert_non_null(text);
    struct ood_bytes bytes = { (unsigned char *)(uintptr_t)text, strlen(text) };
    check_ok(ood_declaration_read(&bytes, &declaration, &err));
    return declaration;
}

/* {"file": [[x1, y1, x2, y2, score, class], …]} */
static inline json_t *reference_boxes(const struct reference_detector *detector)
{
    struct ood_bytes bytes = reference_file(detector->folder, "reference/boxes.json");
    json_t *boxes = json_loadb((const char *)bytes.data, bytes.size, 0, NULL);
    assert_true(json_is_object(boxes));
    ood_bytes_free(&bytes);
    return boxes;
}

struct agreement { size_t found, expected, unmatched; double pixels, score; };

#define REFERENCE_NEAR_LIMIT 0.0005

/* Greedy one to one: each expected box with the nearest found one of its class. What is within 0.0005 of the limit may lack on
 * either side. */
static inline void compare_boxes(const json_t *expected, const double (*boxes)[4], const double *scores, const size_t *classes,
                                 size_t count, double limit, struct agreement *agreement)
{
    bool *used = calloc(count + 1, 1);
    agreement->found += count;
    agreement->expected += json_array_size(expected);
    for (size_t i = 0; i < json_array_size(expected); i++) {
        const json_t *box = json_array_get(expected, i);
        double best = INFINITY, score = json_number_value(json_array_get(box, 4));
        size_t match = count;
        for (size_t j = 0; j < count; j++) {
            double worst = 0;
            if (used[j] || classes[j] != (size_t)json_integer_value(json_array_get(box, 5)))
                continue;
            for (size_t k = 0; k < 4; k++)
                worst = fmax(worst, fabs(boxes[j][k] - json_number_value(json_array_get(box, k))));
            if (worst < best) {
                best = worst;
                match = j;
            }
        }
        if (match == count || best > 1) {
            agreement->unmatched += score >= limit + REFERENCE_NEAR_LIMIT;
            continue;
        }
        used[match] = true;
        agreement->pixels = fmax(agreement->pixels, best);
        agreement->score = fmax(agreement->score, fabs(scores[match] - score));
    }
    for (size_t j = 0; j < count; j++)
        agreement->unmatched += !used[j] && scores[j] >= limit + REFERENCE_NEAR_LIMIT;
    free(used);
}

#endif
