/* model.json's section "detector" as a struct and back. */
#include <string.h>

#include "bundle/bundle_internal.h"

#define HUGE_NUMBER 1e6

static bool take_text(const struct bundle_fields *fields, const char *key, char **out, struct ood_error *err)
{
    const char *text;
    return bundle_field_text(fields, key, &text, err) && (*out = ood_strdup(text, err)) != NULL;
}

/* A word of one of the enumerations; `expected` lists them. */
#define WORD(fields, key, parse, out, expected, err)                                                                  \
    (bundle_field_text(fields, key, &word, err) && (parse(word, out) || bundle_field_fail(fields, key, expected, err)))

/* object's member `key`, which must be an object with the members of `known`; its name in sentences goes into `place`. */
#define PLACE 96
static bool open_member(const struct bundle_fields *outer, const char *key, const char *const *known, char place[PLACE],
                        struct bundle_fields *out, struct ood_error *err)
{
    const json_t *object = json_object_get(outer->object, key);
    if (!json_is_object(object))
        return bundle_field_fail(outer, key, "an object", err);
    snprintf(place, PLACE, "%s.%s", outer->section, key);
    return bundle_fields_of(out, object, place, known, err);
}

/* ---- levels ---- */

static bool parse_view(const struct bundle_fields *level, const char *key, bool needed, struct ood_view *out, struct ood_error *err)
{
    static const char *const known[] = { "tensor", "layout", "anchors", "channel", "anchor_step", NULL };
    struct bundle_fields view;
    char place[PLACE];
    const char *word;
    if (!needed && json_is_null(json_object_get(level->object, key)))
        return true;
    return open_member(level, key, known, place, &view, err) && take_text(&view, "tensor", &out->tensor, err) &&
           WORD(&view, "layout", ood_view_layout_parse, &out->layout, "channels_last or channels_first", err) &&
           WORD(&view, "anchors", ood_view_anchors_parse, &out->anchors, "rows, planes, channels or shared", err) &&
           bundle_field_size(&view, "channel", 0, 1000000, &out->channel, err) &&
           bundle_field_size(&view, "anchor_step", 0, 1000000, &out->anchor_step, err);
}

static bool parse_anchors(const struct bundle_fields *level, struct ood_level *out, struct ood_error *err)
{
    const json_t *anchors = json_object_get(level->object, "anchors");
    size_t count = json_array_size(anchors);
    if (!json_is_array(anchors) || count > OOD_DETECTOR_ANCHORS)
        return bundle_field_fail(level, "anchors", "an array of up to 32 pairs [width, height]", err);
    out->anchor_count = count > 0 ? count : 1;
    for (size_t a = 0; a < count; a++)
        for (size_t d = 0; d < 2; d++) {
            const json_t *pair = json_array_get(anchors, a), *value = json_array_get(pair, d);
            if (json_array_size(pair) != 2 || !json_is_number(value) || !(json_number_value(value) > 0 && json_number_value(value) < HUGE_NUMBER))
                return ood_fail(err, OOD_INVALID, "%s.anchors[%zu]: expected a pair [width, height] of numbers above 0", level->section, a);
            out->anchors[a][d] = json_number_value(value);
        }
    return true;
}

/* Most levels have a stride instead. */
static bool parse_cells(const struct bundle_fields *level, struct ood_level *out, struct ood_error *err)
{
    const json_t *cells = json_object_get(level->object, "cells");
    if (cells == NULL)
        return true;
    for (size_t d = 0; d < 2; d++) {
        const json_t *count = json_array_get(cells, d);
        if (json_array_size(cells) != 2 || !json_is_integer(count) || json_integer_value(count) < 1 || json_integer_value(count) > 65536)
            return bundle_field_fail(level, "cells", "a pair [columns, rows] of whole numbers from 1 to 65536", err);
        out->cells[d] = (size_t)json_integer_value(count);
    }
    return true;
}

static bool parse_level(const json_t *object, size_t i, struct ood_level *out, struct ood_error *err)
{
    static const char *const known[] = { "stride", "anchors", "boxes", "objectness", "classes", "logits", "labels", "sizes", "cells", NULL };
    struct bundle_fields level;
    char place[PLACE];
    snprintf(place, sizeof place, "detector.levels[%zu]", i);
    if (!json_is_object(object))
        return ood_fail(err, OOD_INVALID, "%s: expected an object", place);
    return bundle_fields_of(&level, object, place, known, err) && bundle_field_size(&level, "stride", 0, 65536, &out->stride, err) &&
           parse_anchors(&level, out, err) && parse_view(&level, "boxes", true, &out->boxes, err) &&
           parse_view(&level, "objectness", false, &out->objectness, err) && parse_view(&level, "classes", true, &out->classes, err) &&
           parse_view(&level, "logits", false, &out->logits, err) &&
           (json_object_get(object, "labels") == NULL || parse_view(&level, "labels", false, &out->labels, err)) &&
           (json_object_get(object, "sizes") == NULL || parse_view(&level, "sizes", false, &out->sizes, err)) && parse_cells(&level, out, err);
}

static bool parse_levels(const struct bundle_fields *fields, struct ood_detector *out, struct ood_error *err)
{
    const json_t *levels = json_object_get(fields->object, "levels");
    size_t count = json_array_size(levels);
    if (!json_is_array(levels) || count < 1 || count > OOD_DETECTOR_LEVELS)
        return bundle_field_fail(fields, "levels", "an array of 1 to 8 levels", err);
    for (size_t i = 0; i < count; i++)
        if (!parse_level(json_array_get(levels, i), i, &out->levels[i], err))
            return false;
    out->level_count = count;
    return true;
}

/* ---- boxes ---- */

static bool parse_part(const struct bundle_fields *box, const char *key, struct ood_box_part *out, struct ood_error *err)
{
    static const char *const known[] = { "activation", "input_scale", "scale", "shift", "power", "unit", NULL };
    struct bundle_fields part;
    char place[PLACE];
    const char *word;
    return open_member(box, key, known, place, &part, err) &&
           WORD(&part, "activation", ood_activation_parse, &out->activation, "none, sigmoid, tanh, exp or relu", err) &&
           bundle_field_number(&part, "input_scale", -HUGE_NUMBER, HUGE_NUMBER, &out->input_scale, err) &&
           bundle_field_number(&part, "scale", -HUGE_NUMBER, HUGE_NUMBER, &out->scale, err) &&
           bundle_field_number(&part, "shift", -HUGE_NUMBER, HUGE_NUMBER, &out->shift, err) &&
           bundle_field_size(&part, "power", 1, 2, &out->power, err) &&
           WORD(&part, "unit", ood_box_unit_parse, &out->unit, "pixel, input, stride or anchor", err);
}

static bool parse_box(const struct bundle_fields *fields, struct ood_box_form *out, struct ood_error *err)
{
    static const char *const known[] = { "coding", "rows_first", "bins", "cell", "cell_pixels", "center", "size", NULL };
    struct bundle_fields box;
    char place[PLACE];
    const char *word;
    return open_member(fields, "box", known, place, &box, err) &&
           WORD(&box, "coding", ood_box_coding_parse, &out->coding, "corners, center_size, sides or distribution", err) &&
           bundle_field_bool(&box, "rows_first", &out->rows_first, err) &&
           bundle_field_size(&box, "bins", 0, OOD_DETECTOR_BINS, &out->bins, err) &&
           bundle_field_number(&box, "cell", -1, 1, &out->cell, err) &&
           bundle_field_number(&box, "cell_pixels", -HUGE_NUMBER, HUGE_NUMBER, &out->cell_pixels, err) &&
           parse_part(&box, "center", &out->center, err) && parse_part(&box, "size", &out->size, err);
}

/* ---- the rest ---- */

/* *count of `texts`: up to OOD_DETECTOR_MAPS names. */
static bool parse_names(const struct bundle_fields *fields, const char *key, char *texts[OOD_DETECTOR_MAPS], size_t *count, struct ood_error *err)
{
    const json_t *names = json_object_get(fields->object, key);
    size_t n = json_array_size(names);
    if (!json_is_array(names) || n > OOD_DETECTOR_MAPS)
        return bundle_field_fail(fields, key, "an array of up to 4 tensors", err);
    for (size_t i = 0; i < n; i++) {
        if (!bundle_text_is_plain(json_array_get(names, i)))
            return bundle_field_fail(fields, key, "names of tensors", err);
        if ((texts[i] = ood_strdup(json_string_value(json_array_get(names, i)), err)) == NULL)
            return false;
    }
    *count = n;
    return true;
}

/* A trained head; most have none. */
static bool parse_head(const struct bundle_fields *fields, struct ood_detector *out, struct ood_error *err)
{
    static const char *const known[] = { "features", "logits", NULL };
    const json_t *head = json_object_get(fields->object, "head");
    struct bundle_fields inner;
    size_t logits;
    if (head == NULL)
        return true;
    if (!json_is_object(head))
        return bundle_field_fail(fields, "head", "an object", err);
    if (!bundle_fields_of(&inner, head, "detector.head", known, err) || !parse_names(&inner, "features", out->head_features, &out->head_count, err) ||
        !parse_names(&inner, "logits", out->head_logits, &logits, err))
        return false;
    return (out->head_count > 0 && logits == out->head_count) || bundle_field_fail(&inner, "logits", "as many tensors as features, at least 1", err);
}

static const char *energy_word(const struct ood_detector *detector)
{
    return ood_detector_energy(detector) == OOD_ENERGY_JOINT ? "joint" : "softmax";
}

static bool parse_words(const struct bundle_fields *fields, struct ood_detector *out, struct ood_error *err)
{
    const char *word, *head, *from, *energy;
    if (!WORD(fields, "objectness_activation", ood_activation_parse, &out->objectness_activation, "none or sigmoid", err) ||
        !WORD(fields, "class_activation", ood_activation_parse, &out->class_activation, "none, sigmoid or softmax", err) ||
        !WORD(fields, "background", ood_background_parse, &out->background, "none, first or last", err) ||
        !WORD(fields, "suppression", ood_suppression_parse, &out->suppression, "class_wise, agnostic or none", err) ||
        !bundle_field_text(fields, "class_head", &head, err) || !bundle_field_text(fields, "limit_from", &from, err) ||
        !bundle_field_text(fields, "energy", &energy, err))
        return false;
    out->class_softmax = strcmp(head, "softmax") == 0;
    if (!out->class_softmax && strcmp(head, "sigmoid") != 0)
        return bundle_field_fail(fields, "class_head", "softmax or sigmoid", err);
    out->limit_validated = strcmp(from, "validation") == 0;
    if (!out->limit_validated && strcmp(from, "declared") != 0)
        return bundle_field_fail(fields, "limit_from", "declared or validation", err);
    return strcmp(energy, energy_word(out)) == 0 || bundle_field_fail(fields, "energy", "softmax for a softmax head, else joint", err);
}

bool bundle_parse_detector(const json_t *root, struct ood_detector *out, struct ood_error *err)
{
    static const char *const known[] = { "family", "classes", "levels", "box", "objectness_activation", "class_activation", "class_head",
                                         "background", "objectness_power", "class_power", "limit", "limit_from", "suppression", "iou",
                                         "most", "maps", "energy", "head", "peaks", NULL };
    struct bundle_fields fields;
    return bundle_fields_open(&fields, root, "detector", known, err) && take_text(&fields, "family", &out->family, err) &&
           bundle_field_size(&fields, "classes", 0, 100000, &out->classes, err) && parse_levels(&fields, out, err) &&
           parse_box(&fields, &out->box, err) && parse_head(&fields, out, err) && parse_words(&fields, out, err) &&
           bundle_field_number(&fields, "objectness_power", 0, 16, &out->objectness_power, err) &&
           bundle_field_number(&fields, "class_power", 0, 16, &out->class_power, err) &&
           bundle_field_number(&fields, "limit", 1e-6, 1, &out->limit, err) && bundle_field_number(&fields, "iou", 0, 1, &out->iou, err) &&
           (json_object_get(fields.object, "peaks") == NULL || bundle_field_bool(&fields, "peaks", &out->peaks, err)) &&
           bundle_field_size(&fields, "most", 1, OOD_DETECTOR_MOST, &out->most, err) && parse_names(&fields, "maps", out->maps, &out->map_count, err);
}

/* ---- writing: a NULL anywhere makes the whole NULL ---- */

static json_t *view_json(const struct ood_view *view)
{
    if (view->tensor == NULL)
        return json_null();
    return json_pack("{s:s, s:s, s:s, s:I, s:I}", "tensor", view->tensor, "layout", ood_view_layout_name(view->layout), "anchors",
                     ood_view_anchors_name(view->anchors), "channel", (json_int_t)view->channel, "anchor_step",
                     (json_int_t)view->anchor_step);
}

static json_t *part_json(const struct ood_box_part *part)
{
    return json_pack("{s:s, s:f, s:f, s:f, s:I, s:s}", "activation", ood_activation_name(part->activation), "input_scale",
                     part->input_scale, "scale", part->scale, "shift", part->shift, "power", (json_int_t)part->power, "unit",
                     ood_box_unit_name(part->unit));
}

static bool has_anchors(const struct ood_level *level)
{
    return level->anchor_count > 1 || level->anchors[0][0] > 0;
}

static json_t *level_json(const struct ood_level *level)
{
    json_t *anchors = json_array();
    for (size_t a = 0; has_anchors(level) && a < level->anchor_count; a++)
        if (json_array_append_new(anchors, json_pack("[f, f]", level->anchors[a][0], level->anchors[a][1])) != 0) {
            json_decref(anchors);
            return NULL;
        }
    json_t *made = json_pack("{s:I, s:o, s:o, s:o, s:o, s:o}", "stride", (json_int_t)level->stride, "anchors", anchors, "boxes",
                             view_json(&level->boxes), "objectness", view_json(&level->objectness), "classes", view_json(&level->classes),
                             "logits", view_json(&level->logits));
    bool done = made != NULL && (level->labels.tensor == NULL || json_object_set_new(made, "labels", view_json(&level->labels)) == 0) &&
                (level->sizes.tensor == NULL || json_object_set_new(made, "sizes", view_json(&level->sizes)) == 0) &&
                (level->cells[0] == 0 || json_object_set_new(made, "cells", json_pack("[I, I]", (json_int_t)level->cells[0], (json_int_t)level->cells[1])) == 0);
    if (done)
        return made;
    json_decref(made);
    return NULL;
}

static json_t *names_json(char *const *names, size_t count)
{
    json_t *array = json_array();
    bool done = array != NULL;
    for (size_t i = 0; done && i < count; i++)
        done = json_array_append_new(array, json_string(names[i])) == 0;
    if (done)
        return array;
    json_decref(array);
    return NULL;
}

json_t *bundle_detector_json(const struct ood_detector *detector)
{
    const struct ood_box_form *box = &detector->box;
    json_t *levels = json_array(), *maps = names_json(detector->maps, detector->map_count);
    bool done = levels != NULL && maps != NULL;
    for (size_t i = 0; done && i < detector->level_count; i++)
        done = json_array_append_new(levels, level_json(&detector->levels[i])) == 0;
    if (!done) {
        json_decref(levels);
        json_decref(maps);
        return NULL;
    }
    json_t *form = json_pack("{s:s, s:b, s:I, s:f, s:f, s:o, s:o}", "coding", ood_box_coding_name(box->coding), "rows_first",
                             (int)box->rows_first, "bins", (json_int_t)box->bins, "cell", box->cell, "cell_pixels", box->cell_pixels,
                             "center", part_json(&box->center), "size", part_json(&box->size));
    json_t *whole = json_pack("{s:s, s:I, s:o, s:o, s:s, s:s, s:s, s:s, s:f, s:f, s:f, s:s, s:s, s:f, s:I, s:o, s:s}", "family",
                              detector->family, "classes", (json_int_t)detector->classes, "levels", levels, "box", form,
                              "objectness_activation", ood_activation_name(detector->objectness_activation), "class_activation",
                              ood_activation_name(detector->class_activation), "class_head", detector->class_softmax ? "softmax" : "sigmoid",
                              "background", ood_background_name(detector->background), "objectness_power", detector->objectness_power,
                              "class_power", detector->class_power, "limit", detector->limit, "limit_from",
                              detector->limit_validated ? "validation" : "declared", "suppression",
                              ood_suppression_name(detector->suppression), "iou", detector->iou, "most", (json_int_t)detector->most, "maps",
                              maps, "energy", energy_word(detector));
    if (whole != NULL && detector->peaks && json_object_set_new(whole, "peaks", json_true()) != 0) {
        json_decref(whole);
        return NULL;
    }
    if (whole == NULL || detector->head_count == 0)
        return whole;
    json_t *head = json_pack("{s:o, s:o}", "features", names_json(detector->head_features, detector->head_count), "logits",
                             names_json(detector->head_logits, detector->head_count));
    if (json_object_set_new(whole, "head", head) == 0)
        return whole;
    json_decref(whole);
    return NULL;
}
