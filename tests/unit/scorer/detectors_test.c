/* The detectors of shared/detectors through the engine: all 128 pictures, their boxes against reference/boxes.json to 1 pixel and
 * 1e-3 in score, candidates within 0.0005 of the limit aside. */
#include "../detect/reference.h"

#include "graph/graph.h"
#include "ops/ops.h"
#include "scorer/scorer.h"

struct loaded { struct ood_declaration declaration; struct ood_model *model; struct ood_decoder *decoder; struct ood_regions *regions; };

static void load(const struct reference_detector *reference, struct loaded *out)
{
    struct ood_error err = { 0 };
    struct ood_bytes onnx = reference_file(reference->folder, "model.onnx");
    out->declaration = reference_declaration(reference->preset);
    struct ood_preprocess *input = &out->declaration.input;
    struct ood_graph_options options = { .operators = ood_op_table, .input_shape = ood_preprocess_shape(input), .batch = 1 };
    struct ood_graph *graph = ood_graph_read(&onnx, &options, &err);
    if (graph == NULL)
        fail_msg("%s", err.message);
    check_ok(ood_detector_resolve(&out->declaration.detector, graph, input->width, input->height, &err));
    ood_graph_free(graph);
    out->model = ood_detector_model(&onnx, &out->declaration.detector, input, OOD_CONVOLUTION_DIRECT, &out->decoder, &err);
    if (out->model == NULL)
        fail_msg("%s", err.message);
    out->regions = ood_regions_new(out->model, out->decoder, input, 0, &err);
    if (out->regions == NULL)
        fail_msg("%s", err.message);
    ood_bytes_free(&onnx);
}

static void unload(struct loaded *loaded)
{
    ood_regions_free(loaded->regions);
    ood_model_free(loaded->model);
    ood_decoder_free(loaded->decoder);
    ood_declaration_clear(&loaded->declaration);
}

static void boxes_agree(void **state)
{
    const struct reference_detector *reference = *state;
    struct loaded loaded = { 0 };
    struct agreement agreement = { 0 };
    load(reference, &loaded);
    const struct ood_detector *detector = &loaded.declaration.detector;
    struct ood_region *found = calloc(detector->most, sizeof *found);
    double (*boxes)[4] = calloc(detector->most, sizeof *boxes), *scores = calloc(detector->most, sizeof *scores);
    size_t *classes = calloc(detector->most, sizeof *classes);
    float *logits = calloc(detector->classes, sizeof *logits);
    float *features = calloc(ood_decoder_dimension(loaded.decoder), sizeof *features);
    json_t *all = reference_boxes(reference), *expected;
    const char *name;
    json_object_foreach(all, name, expected) {
        struct ood_scene scene;
        struct ood_bytes picture = reference_file("data/coco128/images", name);
        ood_regions_find(loaded.regions, picture.data, picture.size, detector->limit, found, &scene, NULL);
        if (scene.error.code != OOD_OK)
            fail_msg("%s: %s", name, scene.error.message);
        for (size_t i = 0; i < scene.count; i++) {
            memcpy(boxes[i], found[i].box, sizeof boxes[i]);
            scores[i] = found[i].score;
            classes[i] = found[i].class_index;
            ood_regions_vectors(loaded.regions, &found[i], logits, features);
            for (size_t k = 0; k < detector->classes; k++)       /* the tapped logits are those of the class it says */
                assert_true(isfinite(logits[k]) && logits[k] <= logits[classes[i]] + 1e-4f);
        }
        compare_boxes(expected, (const double (*)[4])boxes, scores, classes, scene.count, detector->limit, &agreement);
        ood_bytes_free(&picture);
    }
    print_message("%s: %zu boxes, reference %zu, unmatched %zu, %.4f pixels, %.3g in score; features of %s\n", reference->preset,
                  agreement.found, agreement.expected, agreement.unmatched, agreement.pixels, agreement.score, detector->maps[0]);
    assert_int_equal(agreement.unmatched, 0);
    assert_true(agreement.pixels <= 1 && agreement.score <= 1e-3);
    json_decref(all);
    free(found);
    free(boxes);
    free(scores);
    free(classes);
    free(logits);
    free(features);
    unload(&loaded);
}

#define AGREES(i) { "boxes agree " #i, boxes_agree, NULL, NULL, (void *)(uintptr_t)&reference_detectors[i] }

int main(void)
{
    const struct CMUnitTest tests[] = { AGREES(0), AGREES(1), AGREES(2), AGREES(3) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
