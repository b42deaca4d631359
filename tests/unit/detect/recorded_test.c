/* The detectors of shared/detectors without a network: the picture becomes the recorded input to the bit, and the recorded outputs
 * become the reference boxes. */
#include "graph/graph.h"
#include "reference.h"

/* Where its files are not there the test is skipped, before it holds anything. */
static const struct reference_detector *one(void **state)
{
    const struct reference_detector *detector = *state;
    char path[512];
    snprintf(path, sizeof path, "%s/reference/boxes.json", detector->folder);
    check_shared(path);
    snprintf(path, sizeof path, "data/coco128/images/%s", detector->picture);
    check_shared(path);
    return detector;
}

static void load_input(const struct reference_detector *detector, const struct ood_declaration *declaration, float *input,
                       struct ood_placement *placement)
{
    struct ood_error err = { 0 };
    struct ood_workspace workspace = { 0 };
    struct ood_bytes picture = reference_file("data/coco128/images", detector->picture);
    check_ok(ood_picture_load_placed(picture.data, picture.size, 0, &declaration->input, &workspace, input, NULL, placement, &err));
    ood_workspace_free(&workspace);
    ood_bytes_free(&picture);
}

static struct ood_tensor *read_tensor(const struct reference_detector *detector, const char *kind, size_t i)
{
    struct ood_error err = { 0 };
    char name[64];
    snprintf(name, sizeof name, "test_data_set_0/%s_%zu.pb", kind, i);
    struct ood_bytes bytes = reference_file(detector->folder, name);
    struct ood_tensor *tensor = ood_tensor_read_onnx(&bytes, &err);
    assert_non_null(tensor);
    ood_bytes_free(&bytes);
    return tensor;
}

static void inputs_are_the_recorded_ones(void **state)
{
    const struct reference_detector *detector = one(state);
    struct ood_declaration declaration = reference_declaration(detector->preset);
    size_t floats = ood_preprocess_floats(&declaration.input);
    struct ood_placement placement;
    float *input = calloc(floats, sizeof *input);
    load_input(detector, &declaration, input, &placement);
    struct ood_tensor *recorded = read_tensor(detector, "input", 0);
    assert_int_equal(recorded->count, floats);
    assert_memory_equal(recorded->data, input, floats * sizeof *input);
    ood_tensor_free(recorded);
    free(input);
    ood_declaration_clear(&declaration);
}

/* A decoder without taps and with a map of its own: those are not among the recorded outputs. */
static struct ood_decoder *decoder_of(const struct reference_detector *detector, struct ood_declaration *declaration,
                                      struct ood_tensor **outputs, size_t count, const float **tensors)
{
    static const float map[4];
    struct ood_error err = { 0 };
    struct ood_detector *d = &declaration->detector;
    const char *names[OOD_DETECTOR_TENSORS];
    struct ood_shape shapes[OOD_DETECTOR_TENSORS];
    for (size_t i = 0; i < d->level_count; i++) {
        ood_free(d->levels[i].logits.tensor);
        d->levels[i].logits.tensor = NULL;
    }
    d->classes = strcmp(detector->preset, "ultraface") == 0 ? 1 : 80;
    for (size_t i = 0; i < d->map_count; i++) {
        ood_free(d->maps[i]);
        d->maps[i] = NULL;
    }
    d->map_count = 1;
    d->maps[0] = ood_strdup("map", &err);
    size_t n = ood_detector_tensors(d, names);
    for (size_t i = 0; i < n; i++) {
        size_t o = 0;
        while (o < count && strcmp(names[i], detector->outputs[o]) != 0)
            o++;
        shapes[i] = o < count ? outputs[o]->shape : ood_shape_of(4, (int64_t)1, (int64_t)1, (int64_t)2, (int64_t)2);
        tensors[i] = o < count ? outputs[o]->data : map;
    }
    struct ood_decoder *decoder = ood_decoder_new(d, declaration->input.width, declaration->input.height, shapes, n, &err);
    if (decoder == NULL)
        fail_msg("%s", err.message);
    return decoder;
}

static void outputs_give_the_reference_boxes(void **state)
{
    const struct reference_detector *detector = one(state);
    struct ood_error err = { 0 };
    struct ood_declaration declaration = reference_declaration(detector->preset);
    struct ood_placement placement;
    struct ood_tensor *outputs[6] = { 0 };
    const float *tensors[OOD_DETECTOR_TENSORS];
    size_t output_count = 0, count, dropped;
    float *input = calloc(ood_preprocess_floats(&declaration.input), sizeof *input);
    load_input(detector, &declaration, input, &placement);
    for (; output_count < 6 && detector->outputs[output_count] != NULL; output_count++)
        outputs[output_count] = read_tensor(detector, "output", output_count);
    struct ood_decoder *decoder = decoder_of(detector, &declaration, outputs, output_count, tensors);
    const struct ood_detector *d = ood_decoder_detector(decoder);
    struct ood_candidate *candidates = calloc(ood_decoder_candidates(decoder), sizeof *candidates);
    check_ok(ood_decode(decoder, tensors, d->limit, candidates, &count, &dropped, &err));
    assert_int_equal(dropped, 0);
    count = ood_suppress(candidates, count, d->suppression, d->iou, d->most);
    double (*boxes)[4] = calloc(count + 1, sizeof *boxes), *scores = calloc(count + 1, sizeof *scores);
    size_t *classes = calloc(count + 1, sizeof *classes);
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < 4; k++) {
            double most = (double)(k % 2 == 0 ? placement.width : placement.height);
            double at = k % 2 == 0 ? (candidates[i].box[k] - placement.left) * placement.scale_x
                                   : (candidates[i].box[k] - placement.top) * placement.scale_y;
            boxes[i][k] = fmin(fmax(at, 0), most);
        }
        scores[i] = candidates[i].score;
        classes[i] = candidates[i].class_index;
        if (i > 0)
            assert_true(candidates[i].score <= candidates[i - 1].score);
    }
    json_t *reference = reference_boxes(detector);
    struct agreement agreement = { 0 };
    compare_boxes(json_object_get(reference, detector->picture), (const double (*)[4])boxes, scores, classes, count, d->limit, &agreement);
    print_message("%s: %zu boxes of %zu, %.4f pixels, %.2g in score\n", detector->preset, agreement.found, agreement.expected,
                  agreement.pixels, agreement.score);
    assert_true(agreement.expected > 0);
    assert_int_equal(agreement.unmatched, 0);
    assert_true(agreement.pixels <= 0.01 && agreement.score <= 1e-5);
    json_decref(reference);
    free(boxes);
    free(scores);
    free(classes);
    free(candidates);
    free(input);
    ood_decoder_free(decoder);
    for (size_t i = 0; i < output_count; i++)
        ood_tensor_free(outputs[i]);
    ood_declaration_clear(&declaration);
}

#define BOTH(i)                                                                                                       \
    { "input " #i, inputs_are_the_recorded_ones, NULL, NULL, (void *)(uintptr_t)&reference_detectors[i] },            \
    { "boxes " #i, outputs_give_the_reference_boxes, NULL, NULL, (void *)(uintptr_t)&reference_detectors[i] }

int main(void)
{
    const struct CMUnitTest tests[] = { BOTH(0), BOTH(1), BOTH(2), BOTH(3) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
