/* A detector's declaration from a file: what it leaves out is filled in with usual values, then model.json's own reader takes it. */
#include <string.h>

#include "bundle/bundle_internal.h"

/* ---- usual values ---- */

static const char usual_input[] =
    "{\"tensor\":\"#0\",\"channels\":\"rgb\",\"layout\":\"nchw\",\"resize\":\"exact\",\"resize_to\":0,\"filter\":\"opencv_bilinear\","
    "\"crop\":\"center\",\"fill\":[0,0,0],\"scale\":1,\"mean\":[0,0,0],\"std\":[1,1,1]}";
static const char usual_detector[] =
    "{\"family\":\"custom\",\"classes\":0,\"objectness_activation\":\"none\",\"class_activation\":\"none\",\"class_head\":\"sigmoid\","
    "\"background\":\"none\",\"objectness_power\":1,\"class_power\":1,\"limit\":0.25,\"limit_from\":\"declared\","
    "\"suppression\":\"class_wise\",\"iou\":0.45,\"most\":300,\"maps\":[],\"box\":{}}";
static const char usual_level[] = "{\"stride\":0,\"anchors\":[],\"objectness\":null,\"logits\":null}";
static const char usual_view[] = "{\"layout\":\"channels_last\",\"anchors\":\"rows\",\"channel\":0,\"anchor_step\":0}";
static const char usual_box[] = "{\"rows_first\":false,\"bins\":0,\"cell\":0,\"cell_pixels\":0,\"center\":{},\"size\":{}}";
static const char usual_part[] =
    "{\"activation\":\"none\",\"input_scale\":1,\"scale\":1,\"shift\":0,\"power\":1,\"unit\":\"pixel\"}";

/* Members that object lacks; what is no object is left to the reader, which refuses it. */
static bool fill_in(json_t *object, const char *usual, struct ood_error *err)
{
    if (!json_is_object(object))
        return true;
    json_t *members = json_loads(usual, 0, NULL);
    bool done = members != NULL && json_object_update_missing(object, members) == 0;
    json_decref(members);
    return done || ood_fail(err, OOD_OUT_OF_MEMORY, "out of memory");
}

static bool fill_in_levels(json_t *levels, struct ood_error *err)
{
    static const char *const views[] = { "boxes", "objectness", "classes", "logits", "labels", "sizes" };
    for (size_t i = 0; i < json_array_size(levels); i++) {
        json_t *level = json_array_get(levels, i);
        if (!fill_in(level, usual_level, err))
            return false;
        for (size_t r = 0; r < sizeof views / sizeof views[0]; r++)
            if (!fill_in(json_object_get(level, views[r]), usual_view, err))
                return false;
    }
    return true;
}

static bool fill_in_all(json_t *root, struct ood_error *err)
{
    json_t *detector = json_object_get(root, "detector"), *box = json_object_get(detector, "box"), *head, *word;
    if (!fill_in(json_object_get(root, "input"), usual_input, err) || !fill_in(detector, usual_detector, err) ||
        !fill_in_levels(json_object_get(detector, "levels"), err))
        return false;
    box = json_object_get(detector, "box");
    if (!fill_in(box, usual_box, err) || !fill_in(json_object_get(box, "center"), usual_part, err) ||
        !fill_in(json_object_get(box, "size"), usual_part, err))
        return false;
    head = json_object_get(detector, "class_head");
    if (!json_is_object(detector) || json_object_get(detector, "energy") != NULL)
        return true;
    const bool softmax = json_object_get(detector, "head") != NULL || (json_is_string(head) && strcmp(json_string_value(head), "softmax") == 0);
    word = json_string(softmax ? "softmax" : "joint");
    return json_object_set_new(detector, "energy", word) == 0 || ood_fail(err, OOD_OUT_OF_MEMORY, "out of memory");
}

/* ---- reading ---- */

bool ood_declaration_read(const struct ood_bytes *text, struct ood_declaration *out, struct ood_error *err)
{
    static const char *const known[] = { "input", "detector", NULL };
    struct ood_declaration made = { 0 };
    struct bundle_fields top;
    const char *tensor;
    json_t *root = bundle_json_load(text->data, text->size, err);
    bool done = root != NULL && bundle_fields_open(&top, root, NULL, known, err) && fill_in_all(root, err) &&
                bundle_parse_input(root, &made.input, &tensor, err) && (made.input_tensor = ood_strdup(tensor, err)) != NULL &&
                bundle_parse_detector(root, &made.detector, err);
    json_decref(root);
    if (!done) {
        ood_declaration_clear(&made);
        return false;
    }
    *out = made;
    return true;
}

void ood_declaration_clear(struct ood_declaration *declaration)
{
    ood_free(declaration->input_tensor);
    ood_detector_clear(&declaration->detector);
    *declaration = (struct ood_declaration){ 0 };
}
