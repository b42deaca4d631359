/* A detector's declaration: from a file with usual values filled in, in a bundle and back, and everything it can get wrong. */
#include <jansson.h>

#include "bundle/bundle_internal.h"
#include "small.h"

static const char declared[] =
    "{\"input\":{\"width\":2,\"height\":2,\"channels\":\"grey\",\"mean\":[0],\"std\":[255]},"
    "\"detector\":{\"classes\":3,\"levels\":[{\"stride\":1,\"anchors\":[[1,2],[3,4.5]],\"boxes\":{\"tensor\":\"b\",\"anchors\":\"channels\","
    "\"anchor_step\":4},\"classes\":{\"tensor\":\"c\",\"layout\":\"channels_first\",\"anchors\":\"shared\"}}],"
    "\"box\":{\"coding\":\"center_size\",\"size\":{\"activation\":\"exp\",\"unit\":\"anchor\"}},\"maps\":[\"m\"]}}";

static bool read_text(const char *text, struct ood_declaration *out, struct ood_error *err)
{
    struct ood_bytes bytes = { (unsigned char *)(uintptr_t)text, strlen(text) };
    return ood_declaration_read(&bytes, out, err);
}

static void usual_values_are_filled_in(void **state)
{
    (void)state;
    struct ood_error err = { 0 };
    struct ood_declaration declaration = { 0 };
    check_ok(read_text(declared, &declaration, &err));
    const struct ood_detector *d = &declaration.detector;
    assert_string_equal(declaration.input_tensor, "#0");
    assert_int_equal(declaration.input.filter, OOD_FILTER_OPENCV_BILINEAR);
    assert_true(d->limit == 0.25 && d->iou == 0.45 && d->most == 300 && d->objectness_power == 1 && !d->limit_validated);
    assert_int_equal(d->level_count, 1);
    assert_int_equal(d->levels[0].anchor_count, 2);
    assert_true(d->levels[0].anchors[1][1] == 4.5);
    assert_int_equal(d->levels[0].boxes.anchors, OOD_VIEW_CHANNELS);
    assert_int_equal(d->levels[0].classes.layout, OOD_VIEW_CHANNELS_FIRST);
    assert_null(d->levels[0].objectness.tensor);
    assert_int_equal(d->box.size.activation, OOD_ACTIVATION_EXP);
    assert_int_equal(d->box.center.power, 1);
    assert_int_equal(ood_detector_energy(d), OOD_ENERGY_JOINT);
    check_ok(ood_detector_check(d, &err));
    ood_declaration_clear(&declaration);
}

static void presets_are_read(void **state)
{
    (void)state;
    static const char *const expected[] = { "fastestdet", "nanodet_m", "retinanet", "ssd", "torchvision", "ultraface", "yolo_fastestv2", "yolov5",
                                            "yolov8", "yolox" };
    struct ood_error err = { 0 };
    size_t count = 0;
    for (const char *name; (name = ood_declaration_preset_name(count)) != NULL; count++) {
        struct ood_declaration declaration = { 0 };
        assert_string_equal(name, expected[count]);
        check_ok(read_text(ood_declaration_preset(name), &declaration, &err));
        assert_string_equal(declaration.detector.family, name);
        check_ok(ood_preprocess_check(&declaration.input, &err));
        declaration.detector.classes = 80;           /* what the network tells */
        if (declaration.detector.map_count == 0) {
            declaration.detector.maps[0] = ood_strdup("map", &err);
            declaration.detector.map_count = 1;
        }
        check_ok(ood_detector_check(&declaration.detector, &err));
        ood_declaration_clear(&declaration);
    }
    assert_int_equal(count, 10);
    assert_null(ood_declaration_preset("yolo"));
}

/* The small bundle as a detector's. */
static struct ood_bundle *small_detector(void)
{
    struct ood_error err = { 0 };
    struct ood_declaration declaration = { 0 };
    struct ood_bundle *bundle = small_bundle();
    check_ok(read_text(declared, &declaration, &err));
    bundle->detector = ood_new(struct ood_detector, &err);
    *bundle->detector = declaration.detector;
    declaration.detector = (struct ood_detector){ 0 };
    ood_declaration_clear(&declaration);
    ood_free(bundle->logits_tap);
    ood_free(bundle->features_tap);
    bundle->logits_tap = SMALL_TEXT("c");
    bundle->features_tap = SMALL_TEXT("m");
    memset(bundle->judge.prototypes + 2, 0, 2 * sizeof(float));      /* a class without a prototype */
    return bundle;
}

static void a_bundle_comes_back(void **state)
{
    (void)state;
    struct ood_error err = { 0 };
    char folder[64];
    small_folder(folder);
    struct ood_bundle *bundle = small_detector();
    check_ok(ood_bundle_write(bundle, folder, &err));
    struct ood_bundle *read = ood_bundle_read(folder, &err);
    if (read == NULL)
        fail_msg("%s", err.message);
    assert_non_null(read->detector);
    assert_string_equal(read->version, bundle->version);
    assert_int_equal(read->judge.energy_form, OOD_ENERGY_JOINT);
    assert_true(ood_has_prototype(&read->judge, 0) && !ood_has_prototype(&read->judge, 1) && ood_has_prototype(&read->judge, 2));
    json_t *first = bundle_detector_json(bundle->detector), *second = bundle_detector_json(read->detector);
    assert_true(json_equal(first, second));
    json_decref(first);
    json_decref(second);
    /* the same content, the same bytes */
    check_ok(ood_bundle_write(read, folder, &err));
    assert_string_equal(read->version, bundle->version);
    ood_bundle_free(read);
    /* and what the reader would refuse is not written */
    bundle->detector->iou = 2;
    check_fails(ood_bundle_write(bundle, folder, &err), OOD_INVALID, "model.json: detector.iou: found 2");
    bundle->detector->iou = 0.5;
    bundle->detector->classes = 2;
    check_fails(ood_bundle_write(bundle, folder, &err), OOD_INVALID, "detector.classes: found 2, expected 3");
    bundle->detector->classes = 3;
    bundle->logits_tap[0] = 'x';
    check_fails(ood_bundle_write(bundle, folder, &err), OOD_INVALID, "taps.logits: found \"x\", expected \"c\"");
    ood_bundle_free(bundle);
    small_remove(folder);
}

/* Members that most declarations do not have, and that are only written where they are there. */
static void rare_members_come_back(void **state)
{
    (void)state;
    static const char text[] = "{\"input\":{\"width\":60,\"height\":60},\"detector\":{\"levels\":[{\"cells\":[7,5],\"boxes\":{\"tensor\":\"b\"},"
                               "\"sizes\":{\"tensor\":\"s\",\"layout\":\"channels_first\",\"channel\":3},\"classes\":{\"tensor\":\"c\"}}],\"classes\":2,"
                               "\"box\":{\"coding\":\"center_size\",\"center\":{\"unit\":\"stride\"}},\"peaks\":true,\"maps\":[\"m\"]}}";
    struct ood_error err = { 0 };
    struct ood_declaration declaration = { 0 };
    struct ood_detector again = { 0 };
    check_ok(read_text(text, &declaration, &err));
    const struct ood_detector *d = &declaration.detector;
    assert_true(d->peaks && d->levels[0].cells[0] == 7 && d->levels[0].cells[1] == 5 && d->levels[0].stride == 0);
    assert_true(d->levels[0].sizes.channel == 3 && d->levels[0].sizes.layout == OOD_VIEW_CHANNELS_FIRST);
    check_ok(ood_detector_check(d, &err));
    json_t *root = json_pack("{s:o}", "detector", bundle_detector_json(d));
    ood_detector_usual(&again);
    check_ok(bundle_parse_detector(root, &again, &err));
    json_t *first = bundle_detector_json(d), *second = bundle_detector_json(&again);
    assert_true(json_equal(first, second));
    assert_string_equal(again.levels[0].sizes.tensor, "s");
    json_decref(first);
    json_decref(second);
    json_decref(root);
    ood_detector_clear(&again);
    ood_declaration_clear(&declaration);
}

/* A trained head: E is a softmax's, and the features are its own. */
static void a_head_comes_back(void **state)
{
    (void)state;
    struct ood_error err = { 0 };
    char folder[64];
    small_folder(folder);
    struct ood_bundle *bundle = small_detector();
    bundle->detector->head_features[0] = SMALL_TEXT("f");
    bundle->detector->head_logits[0] = SMALL_TEXT("g");
    bundle->detector->head_count = 1;
    check_fails(ood_bundle_write(bundle, folder, &err), OOD_INVALID, "taps.features: found \"m\", expected \"f\"");
    bundle->features_tap[0] = 'f';
    check_ok(ood_bundle_write(bundle, folder, &err));
    struct ood_bundle *read = ood_bundle_read(folder, &err);
    if (read == NULL)
        fail_msg("%s", err.message);
    assert_int_equal(read->detector->head_count, 1);
    assert_string_equal(read->detector->head_logits[0], "g");
    assert_int_equal(read->judge.energy_form, OOD_ENERGY_SOFTMAX);
    const char *names[OOD_DETECTOR_TENSORS];
    size_t count = ood_detector_tensors(read->detector, names);
    assert_string_equal(names[count - 2], "f");
    assert_string_equal(names[count - 1], "g");
    for (size_t i = 0; i < count; i++)
        assert_true(strcmp(names[i], "m") != 0);
    ood_bundle_free(read);
    ood_bundle_free(bundle);
    small_remove(folder);
}

static void each_member(void **state)
{
    (void)state;
    static const struct { const char *from, *to, *part; } cases[] = {
        { "\"classes\":3", "\"classes\":-1", "detector.classes: found -1" },
        { "\"classes\":3", "\"classes\":\"3\"", "detector.classes: found \"3\", expected a whole number" },
        { "\"classes\":3", "\"colours\":3", "detector.colours: not a member of schema 1" },
        { "\"stride\":1", "\"stride\":-1", "detector.levels[0].stride: found -1" },
        { "[[1,2],[3,4.5]]", "[[1,2],[3]]", "detector.levels[0].anchors[1]: expected a pair" },
        { "[[1,2],[3,4.5]]", "[[1,2],[3,0]]", "detector.levels[0].anchors[1]: expected a pair" },
        { "[[1,2],[3,4.5]]", "{}", "detector.levels[0].anchors: found an object" },
        { "\"tensor\":\"b\"", "\"tensor\":\"\"", "detector.levels[0].boxes.tensor: found \"\"" },
        { "\"tensor\":\"b\"", "\"rows\":\"b\"", "detector.levels[0].boxes.rows: not a member" },
        { "\"anchors\":\"channels\"", "\"anchors\":\"many\"", "detector.levels[0].boxes.anchors: found \"many\", expected rows, planes" },
        { "\"channels_first\"", "\"nchw\"", "detector.levels[0].classes.layout: found \"nchw\"" },
        { "\"coding\":\"center_size\"", "\"coding\":\"polar\"", "detector.box.coding: found \"polar\"" },
        { "\"activation\":\"exp\"", "\"activation\":\"gelu\"", "detector.box.size.activation: found \"gelu\"" },
        { "\"unit\":\"anchor\"", "\"unit\":\"inch\"", "detector.box.size.unit: found \"inch\"" },
        { "\"maps\":[\"m\"]", "\"maps\":[\"m\"],\"head\":7", "detector.head: found 7, expected an object" },
        { "\"maps\":[\"m\"]", "\"maps\":[\"m\"],\"head\":{\"features\":[\"f\"]}", "detector.head.logits: found nothing" },
        { "\"maps\":[\"m\"]", "\"maps\":[\"m\"],\"head\":{\"features\":[\"f\"],\"logits\":[]}", "detector.head.logits: found an array of 0, expected as many" },
        { "\"maps\":[\"m\"]", "\"maps\":[\"m\"],\"head\":{\"features\":[],\"logits\":[]}", "expected as many tensors as features, at least 1" },
        { "\"maps\":[\"m\"]", "\"maps\":[\"m\"],\"head\":{\"features\":[\"f\"],\"logits\":[\"g\"],\"more\":1}", "detector.head.more: not a member" },
        { "\"stride\":1", "\"cells\":7", "detector.levels[0].cells: found 7, expected a pair" },
        { "\"stride\":1", "\"cells\":[3]", "detector.levels[0].cells: found an array of 1, expected a pair" },
        { "\"stride\":1", "\"cells\":[3,0]", "detector.levels[0].cells: found an array of 2, expected a pair" },
        { "\"stride\":1", "\"cells\":[3,2.5]", "detector.levels[0].cells: found an array of 2, expected a pair" },
        { "\"stride\":1", "\"sizes\":{\"channel\":1}", "detector.levels[0].sizes.tensor: found nothing" },
        { "\"maps\":[\"m\"]", "\"peaks\":1", "detector.peaks: found 1" },
        { "\"maps\":[\"m\"]", "\"maps\":[1]", "detector.maps: found an array of 1, expected names of tensors" },
        { "\"maps\":[\"m\"]", "\"limit\":0", "detector.limit: found 0" },
        { "\"maps\":[\"m\"]", "\"most\":10001", "detector.most: found 10001" },
        { "\"maps\":[\"m\"]", "\"energy\":\"softmax\"", "detector.energy: found \"softmax\"" },
        { "\"maps\":[\"m\"]", "\"class_head\":\"linear\"", "detector.class_head: found \"linear\"" },
        { "\"levels\":[", "\"levels\":[7,", "detector.levels[0]: expected an object" },
        { "\"width\":2", "\"width\":0", "input.width: found 0" },
        { "\"input\"", "\"inputs\"", "inputs: not a member of schema 1" },
        { "{\"input\"", "\x01", "line 1" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ood_error err = { 0 };
        struct ood_declaration declaration = { 0 };
        const char *at = strstr(declared, cases[i].from);
        char text[2048];
        assert_non_null(at);
        snprintf(text, sizeof text, "%.*s%s%s", (int)(at - declared), declared, cases[i].to, at + strlen(cases[i].from));
        if (read_text(text, &declaration, &err) || strstr(err.message, cases[i].part) == NULL)
            fail_msg("%s: %s; expected \"%s\"", text, err.message, cases[i].part);
        assert_null(declaration.input_tensor);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(usual_values_are_filled_in), cmocka_unit_test(presets_are_read), cmocka_unit_test(a_bundle_comes_back),
        cmocka_unit_test(a_head_comes_back), cmocka_unit_test(rare_members_come_back), cmocka_unit_test(each_member),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
