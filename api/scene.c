/* A body of POST /v1/detections to work: a picture, raw, as base64 or as the part `picture`, and boxes or none. */
#include "api/boxes_internal.h"

struct scene_reader {
    struct api_work *work;
    const struct api_limits *limits;
    struct ood_pool *pool;
    bool detector, found_picture, found_boxes;
};

static bool read_json(struct scene_reader *reader, json_t *root, struct api_error *err)
{
    static const char *const members[] = { "image", "boxes", "format", "unit", "margin", NULL };
    size_t known = 0;
    struct ood_item item;
    if (!json_is_object(root))
        return api_fail(err, API_BAD_REQUEST, "the body is %s; expected an object", api_json_type_name(root));
    json_t *image = api_json_member(root, "image", &known), *boxes = api_json_member(root, "boxes", &known);
    json_t *format = api_json_member(root, "format", &known), *unit = api_json_member(root, "unit", &known);
    json_t *margin = api_json_member(root, "margin", &known);
    if (json_object_size(root) != known)
        return api_json_unknown_member(root, members, "image, boxes, format, unit, margin", err);
    if (image == NULL)
        return api_fail(err, API_NO_ITEMS, "image is missing; expected the picture as base64");
    if (!json_is_string(image))
        return api_json_wrong_type(err, "image", image, "a string of base64");
    if (!api_json_base64(reader->pool, "image", json_string_value(image), json_string_length(image), &item, err))
        return false;
    reader->work->scene.picture = item.picture;
    reader->work->scene.picture_size = item.picture_size;
    return api_boxes_read(boxes, format, unit, margin, reader->detector, reader->limits, reader->pool, reader->work, err);
}

static bool parse_json(struct scene_reader *reader, const unsigned char *body, size_t size, struct api_error *err)
{
    json_t *root = api_boxes_load(body, size, reader->limits, err);
    if (root == NULL)
        return false;
    bool good = read_json(reader, root, err);
    json_decref(root);
    return good || err->code == API_ITEM || err->code == API_TOO_MANY_BOXES || err->code == API_INTERNAL ? good : api_error_prefix(err, "JSON");
}

static bool part_is(const struct api_part *part, const char *name)
{
    return part->name_size == strlen(name) && memcmp(part->name, name, part->name_size) == 0;
}

static bool take_part(void *context, const struct api_part *part, struct api_error *err)
{
    struct scene_reader *reader = context;
    if (part_is(part, "picture") && !reader->found_picture) {
        reader->found_picture = true;
        reader->work->scene.picture = part->data;
        reader->work->scene.picture_size = part->size;
        return true;
    }
    if (part_is(part, "boxes") && !reader->found_boxes) {
        reader->found_boxes = true;
        return api_boxes_text(part->data, part->size, reader->detector, reader->limits, reader->pool, reader->work, err);
    }
    int shown = part->name_size < API_QUOTE_BYTES ? (int)part->name_size : API_QUOTE_BYTES;
    return api_fail(err, API_BAD_REQUEST, "%s part \"%.*s\"; expected picture and boxes, each once",
                    part_is(part, "picture") || part_is(part, "boxes") ? "a second" : "unknown", shown, part->name);
}

static bool parse_body(struct scene_reader *reader, const char *content_type, const unsigned char *body, size_t size,
                       struct api_error *err)
{
    enum api_media media;
    size_t parts;
    if (!api_media_parse(content_type, &media, err))
        return false;
    if (size == 0)
        return api_fail(err, API_NO_ITEMS, "the body is empty; expected a picture");
    reader->work->scene.find = true;
    switch (media) {
    case API_MEDIA_PICTURE:
        reader->work->scene.picture = body;
        reader->work->scene.picture_size = size;
        return true;
    case API_MEDIA_MULTIPART:
        return api_multipart_parse(content_type, body, size, take_part, reader, &parts, err) &&
               (reader->found_picture || api_fail(err, API_NO_ITEMS, "multipart/form-data: no part is named picture"));
    case API_MEDIA_JSON:
        break;
    }
    return parse_json(reader, body, size, err);
}

/* How many items it is for the queue, once it is known what was asked. */
static bool settle(struct scene_reader *reader, struct api_error *err)
{
    struct api_work *work = reader->work;
    struct ood_error cause = { 0 };
    if (work->scene.find && !reader->detector)
        return api_fail(err, API_NO_DETECTOR, "no boxes, and the model has no detector to find objects with: expected boxes");
    bool crops = !reader->detector && work->scene.boxes.count > 0;
    work->kind = crops ? API_WORK_BOXES : API_WORK_SCENE;
    work->count = crops ? work->scene.boxes.count : 1;
    if (crops && (work->items = ood_new_array(struct ood_item, work->count, &cause)) == NULL)
        return api_fail_ood(err, &cause);
    return true;
}

static bool begin(struct scene_reader *reader, struct api_error *err)
{
    struct ood_error cause = { 0 };
    reader->work->memory = reader->pool = ood_new(struct ood_pool, &cause);
    return reader->pool != NULL || api_fail_ood(err, &cause);
}

bool api_scene_parse(const char *content_type, const unsigned char *body, size_t size, const struct api_limits *limits,
                     const struct ood_scorer *scorer, struct api_work *out, struct api_error *err)
{
    struct api_work work = { .kind = API_WORK_SCENE };
    struct scene_reader reader = { .work = &work, .limits = limits, .detector = ood_scorer_is_detector(scorer) };
    if (size > limits->body_bytes)
        return api_fail(err, API_BODY_TOO_LARGE, "the body has %zu bytes; the limit is %zu", size, limits->body_bytes);
    if (!begin(&reader, err) || !parse_body(&reader, content_type, body, size, err) || !settle(&reader, err)) {
        api_work_free(&work);
        return false;
    }
    *out = work;
    return true;
}

bool api_boxes_parse(const char *text, size_t size, const struct api_limits *limits, const struct ood_scorer *scorer,
                     struct api_work *out, struct api_error *err)
{
    struct api_work work = { .kind = API_WORK_SCENE };
    struct scene_reader reader = { .work = &work, .limits = limits, .detector = ood_scorer_is_detector(scorer) };
    if (!begin(&reader, err) ||
        !api_boxes_text((const unsigned char *)text, size, reader.detector, limits, reader.pool, &work, err) || !settle(&reader, err)) {
        api_work_free(&work);
        return false;
    }
    *out = work;
    return true;
}
