/* Boxes of POST /v1/detections: {"boxes":[{"id","box"}],"format","unit","margin"}, or the array alone, as a form's part has it.
 * What is wrong with a box names it by index and id; what only a picture can tell (that a box lies outside) the scorer says. */
#include "api/boxes_internal.h"

#include <math.h>

#include "base/number.h"

/* ---- numbers that JSON has not ---- */

/* Bytes from p on that could be one number; 0: none begins here. */
static size_t number_length(const char *p, const char *end)
{
    const char *digit = p < end && *p == '-' ? p + 1 : p, *q = p;
    if (digit == end || *digit < '0' || *digit > '9')
        return 0;
    while (q < end && *q != '\0' && strchr("0123456789+-.eE", *q) != NULL)
        q++;
    return (size_t)(q - p);
}

/* NaN and infinities, as Python and others write them, and numbers above a double's: the length of the one at p, 0: none. */
static size_t no_number(const char *p, const char *end)
{
    static const char *const words[] = { "NaN", "Infinity", "-Infinity" };
    char digits[400];
    double value;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if ((size_t)(end - p) >= strlen(words[i]) && memcmp(p, words[i], strlen(words[i])) == 0)
            return strlen(words[i]);
    size_t length = number_length(p, end);
    if (length == 0 || length >= sizeof digits)
        return 0;
    memcpy(digits, p, length);
    digits[length] = '\0';
    return ood_parse_double(digits, &value) && isfinite(value) ? 0 : length;
}

/* A text the parser refused, each of these as {"NaN":0}, so that the box it stands in can be named. */
static json_t *load_spelled_out(const char *text, size_t size, struct api_error *err)
{
    struct api_writer writer = { 0 };
    struct api_error ignored = { 0 };
    const char *end = text + size;
    bool quoted = false, found = false;
    for (const char *p = text; p < end;) {
        size_t length = quoted ? 0 : no_number(p, end), plain = quoted ? 0 : number_length(p, end);
        if (length > 0) {
            api_write(&writer, "{\"");
            api_write_bytes(&writer, p, length < API_QUOTE_BYTES ? length : API_QUOTE_BYTES);
            api_write(&writer, "\":0}");
            found = true;
        } else {
            if (plain == 0)
                plain = quoted && *p == '\\' && end - p > 1 ? 2 : 1;
            if (*p == '"')
                quoted = !quoted;
            api_write_bytes(&writer, p, plain);
        }
        p += length > 0 ? length : plain;
    }
    json_t *root = found && !writer.failed ? api_json_load((const unsigned char *)writer.data, writer.size, &ignored) : NULL;
    if (writer.failed || ignored.code == API_INTERNAL)
        api_fail(err, API_INTERNAL, "out of memory");
    ood_free(writer.data);
    return root;
}

json_t *api_boxes_load(const unsigned char *text, size_t size, const struct api_limits *limits, struct api_error *err)
{
    size_t values = limits->items < SIZE_MAX / 16 ? limits->items * 16 : SIZE_MAX;
    if (!api_json_scan(text, size, values < 65536 ? 65536 : values, err))
        return NULL;
    json_t *root = api_json_load(text, size, err);
    return root != NULL || err->code != API_BAD_REQUEST ? root : load_spelled_out((const char *)text, size, err);
}

/* The word that was spelled out; NULL: it is another value. */
static const char *spelled_out(json_t *value)
{
    const char *name = json_object_size(value) == 1 ? json_object_iter_key(json_object_iter(value)) : NULL;
    return name != NULL && no_number(name, name + strlen(name)) > 0 ? name : NULL;
}

/* What a value is, in an error. */
static const char *describe(json_t *value)
{
    const char *word = spelled_out(value);
    return word != NULL ? word : api_json_type_name(value);
}

/* ---- one box ---- */

bool api_box_prefix(struct api_error *err, size_t index, const char *id)
{
    if (id == NULL)
        return api_error_prefix(err, "boxes[%zu]", index);
    return api_error_prefix(err, "boxes[%zu] (id \"%.*s\")", index, API_QUOTE_BYTES, id);
}

static bool fail_box(struct api_error *err, enum api_code code, size_t index, json_t *element)
{
    json_t *id = json_object_get(element, "id");
    err->code = code;
    err->item = code == API_ITEM ? OOD_BOX_INVALID : OOD_OK;
    return api_box_prefix(err, index, json_string_value(id));
}

static bool read_corners(json_t *box, bool sizes, double corners[4], struct api_error *err)
{
    if (box == NULL)
        return api_fail(err, API_ITEM, "box is missing; expected 4 numbers");
    if (!json_is_array(box))
        return api_fail(err, API_ITEM, "box is %s; expected an array of 4 numbers", describe(box));
    if (json_array_size(box) != 4)
        return api_fail(err, API_ITEM, "box has %zu values; expected 4 numbers", json_array_size(box));
    for (size_t i = 0; i < 4; i++) {
        json_t *number = json_array_get(box, i);
        if (!json_is_number(number))
            return api_fail(err, API_ITEM, "box[%zu] is %s; expected a finite number", i, describe(number));
        corners[i] = json_number_value(number);
    }
    if (sizes && !(corners[2] > 0 && corners[3] > 0))
        return api_fail(err, API_ITEM, "no area: width %.9g, height %.9g; expected more than 0", corners[2], corners[3]);
    if (sizes) {
        corners[2] += corners[0];
        corners[3] += corners[1];
    }
    if (!(corners[0] < corners[2] && corners[1] < corners[3]))
        return api_fail(err, API_ITEM, "no area: from %.9g,%.9g to %.9g,%.9g; expected x1 < x2 and y1 < y2", corners[0], corners[1],
                        corners[2], corners[3]);
    if (!isfinite(corners[2]) || !isfinite(corners[3]))
        return api_fail(err, API_ITEM, "from %.9g,%.9g to %.9g,%.9g; expected finite numbers", corners[0], corners[1], corners[2], corners[3]);
    return true;
}

static bool read_box(json_t *element, bool sizes, double corners[4], struct api_error *err)
{
    static const char *const members[] = { "id", "box", NULL };
    size_t known = 0;
    if (!json_is_object(element) || spelled_out(element) != NULL)
        return api_fail(err, API_ITEM, "found %s; expected an object of id and box", describe(element));
    json_t *id = api_json_member(element, "id", &known), *box = api_json_member(element, "box", &known);
    if (json_object_size(element) != known)
        return api_json_unknown_member(element, members, "id, box", err);
    if (id != NULL && !json_is_string(id))
        return api_json_wrong_type(err, "id", id, "a string");
    if (id != NULL && !api_id_check(json_string_value(id), json_string_length(id), err))
        return false;
    return read_corners(box, sizes, corners, err);
}

static bool read_boxes(json_t *array, bool sizes, const struct api_limits *limits, struct ood_pool *pool, struct api_work *work,
                       struct api_error *err)
{
    struct ood_error cause = { 0 };
    if (!json_is_array(array))
        return api_fail(err, API_BAD_REQUEST, "boxes is %s; expected an array of objects", describe(array));
    size_t count = json_array_size(array);
    if (count > limits->items) {
        api_fail(err, API_TOO_MANY_BOXES, "%zu boxes; the limit is %zu", count, limits->items);
        return fail_box(err, API_TOO_MANY_BOXES, limits->items, json_array_get(array, limits->items));
    }
    double(*corners)[4] = ood_pool_alloc(pool, count, sizeof *corners, &cause);
    work->ids = ood_new_array(char *, count, &cause);
    work->scene.detections = ood_new_array(struct ood_detection, count, &cause);
    if (corners == NULL || work->ids == NULL || work->scene.detections == NULL)
        return api_fail_ood(err, &cause);
    for (size_t i = 0; i < count; i++) {
        json_t *element = json_array_get(array, i), *id = json_object_get(element, "id");
        if (!read_box(element, sizes, corners[i], err))
            return fail_box(err, API_ITEM, i, element);
        if (id != NULL && (work->ids[i] = ood_pool_strndup(pool, json_string_value(id), json_string_length(id), &cause)) == NULL)
            return api_fail_ood(err, &cause);
    }
    work->scene.boxes.corners = (const double(*)[4])corners;
    work->scene.boxes.count = count;
    return true;
}

/* ---- how they are given ---- */

/* One of two words; absent: the first. */
static bool read_word(json_t *value, const char *name, const char *first, const char *second, bool *is_second, struct api_error *err)
{
    const char *word = json_string_value(value);
    *is_second = word != NULL && strcmp(word, second) == 0;
    if (value == NULL || *is_second || (word != NULL && strcmp(word, first) == 0))
        return true;
    if (word == NULL)
        return api_fail(err, API_BAD_REQUEST, "%s is %s; expected \"%s\" or \"%s\"", name, describe(value), first, second);
    return api_fail(err, API_BAD_REQUEST, "%s is \"%.*s\"; expected \"%s\" or \"%s\"", name, API_QUOTE_BYTES, word, first, second);
}

static bool read_margin(json_t *value, bool detector, double *margin, struct api_error *err)
{
    if (value == NULL)
        return true;
    if (!json_is_number(value))
        return api_fail(err, API_BAD_REQUEST, "margin is %s; expected a number", describe(value));
    *margin = json_number_value(value);
    if (detector && *margin != 0)
        return api_fail(err, API_BAD_REQUEST, "margin is %.9g; the model is a detector, which sees the whole picture: expected 0", *margin);
    if (!(*margin >= 0 && *margin <= OOD_MARGIN_MOST))
        return api_fail(err, API_BAD_REQUEST, "margin is %.9g; expected 0 to %d", *margin, OOD_MARGIN_MOST);
    return true;
}

bool api_boxes_read(json_t *boxes, json_t *format, json_t *unit, json_t *margin, bool detector, const struct api_limits *limits,
                    struct ood_pool *pool, struct api_work *work, struct api_error *err)
{
    bool sizes;
    if (boxes == NULL && (format != NULL || unit != NULL || margin != NULL))
        return api_fail(err, API_BAD_REQUEST, "%s without boxes", format != NULL ? "format" : unit != NULL ? "unit" : "margin");
    work->scene.find = boxes == NULL;
    return boxes == NULL || (read_word(format, "format", "xyxy", "xywh", &sizes, err) &&
                             read_word(unit, "unit", "pixel", "relative", &work->scene.boxes.relative, err) &&
                             read_margin(margin, detector, &work->scene.boxes.margin, err) &&
                             read_boxes(boxes, sizes, limits, pool, work, err));
}

bool api_boxes_text(const unsigned char *text, size_t size, bool detector, const struct api_limits *limits, struct ood_pool *pool,
                    struct api_work *work, struct api_error *err)
{
    static const char *const members[] = { "boxes", "format", "unit", "margin", NULL };
    size_t known = 0;
    bool good;
    json_t *root = api_boxes_load(text, size, limits, err);
    if (root == NULL)
        return false;
    if (json_is_object(root) && spelled_out(root) == NULL) {
        json_t *boxes = api_json_member(root, "boxes", &known), *format = api_json_member(root, "format", &known);
        json_t *unit = api_json_member(root, "unit", &known), *margin = api_json_member(root, "margin", &known);
        if (json_object_size(root) != known)
            good = api_json_unknown_member(root, members, "boxes, format, unit, margin", err);
        else if (boxes == NULL)
            good = api_fail(err, API_BAD_REQUEST, "boxes is missing; expected an array of objects");
        else
            good = api_boxes_read(boxes, format, unit, margin, detector, limits, pool, work, err);
    } else {
        good = api_boxes_read(root, NULL, NULL, NULL, detector, limits, pool, work, err);
    }
    json_decref(root);
    return good;
}
