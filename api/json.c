/* JSON bodies: {"images":[{"id","data"}]} or {"tensors":[{"id","logits","features"}]}. A scan of the text comes first, so that
 * nesting and the number of values (each costs the parser an allocation) are bounded before anything is allocated. */
#include "api/json_internal.h"

#include <math.h>
#include <nettle/base64.h>

/* ---- before parsing ---- */

/* Values are counted by what stands in front of each but the first: a comma or an opening bracket. */
bool api_json_scan(const unsigned char *body, size_t size, size_t values_limit, struct api_error *err)
{
    size_t depth = 0, values = 1;
    for (size_t i = 0; i < size; i++) {
        switch (body[i]) {
        case '"':
            for (i++; i < size && body[i] != '"'; i++)
                if (body[i] == '\\')
                    i++;
            break;
        case '[': case '{':
            values++;
            if (++depth > API_JSON_DEPTH)
                return api_fail(err, API_BAD_REQUEST, "JSON: nested deeper than %d levels at byte %zu", API_JSON_DEPTH, i);
            break;
        case ']': case '}':
            depth -= depth > 0;
            break;
        case ',':
            values++;
            break;
        default:
            break;
        }
        if (values > values_limit)
            return api_fail(err, API_BAD_REQUEST, "JSON: more than %zu values", values_limit);
    }
    return true;
}

/* What the most items a request may have can hold, of this model; never below 65,536, so that tensors of another model's
 * length still get the answer that says so. */
static size_t values_limit(const struct api_builder *builder)
{
    size_t item, all;
    if (!ood_add_size(builder->classes, builder->dimension, &item) || !ood_add_size(item, 8, &item) ||
        !ood_mul_size(item, builder->limits->items, &all))
        all = SIZE_MAX;
    return all < 65536 ? 65536 : all;
}

const char *api_json_type_name(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT: return "an object";
    case JSON_ARRAY: return "an array";
    case JSON_STRING: return "a string";
    case JSON_INTEGER: case JSON_REAL: return "a number";
    case JSON_TRUE: case JSON_FALSE: return "a boolean";
    default: return "null";
    }
}

bool api_json_wrong_type(struct api_error *err, const char *name, const json_t *value, const char *expected)
{
    return api_fail(err, API_BAD_REQUEST, "%s is %s; expected %s", name, api_json_type_name(value), expected);
}

/* A member of an object, counted in *known; NULL: not there. */
json_t *api_json_member(json_t *object, const char *name, size_t *known)
{
    json_t *value = json_object_get(object, name);
    *known += value != NULL;
    return value;
}

/* Names the first member that is none of known[]. */
bool api_json_unknown_member(json_t *object, const char *const *known, const char *expected, struct api_error *err)
{
    const char *name;
    json_t *value;
    json_object_foreach(object, name, value) {
        size_t i = 0;
        while (known[i] != NULL && strcmp(known[i], name) != 0)
            i++;
        if (known[i] == NULL)
            return api_fail(err, API_BAD_REQUEST, "unknown member \"%.*s\"; expected %s", API_QUOTE_BYTES, name, expected);
    }
    return api_fail(err, API_BAD_REQUEST, "unknown member; expected %s", expected);
}

/* ---- pictures ---- */

static bool is_base64_byte(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '/';
}

static bool bad_base64(const char *name, const char *text, size_t size, struct api_error *err)
{
    size_t padding = size >= 1 && text[size - 1] == '=' ? size >= 2 && text[size - 2] == '=' ? 2 : 1 : 0;
    for (size_t i = 0; i < size - padding; i++)
        if (!is_base64_byte(text[i]))
            return api_fail(err, API_BAD_REQUEST, "%s is not base64: byte %zu is 0x%02x", name, i, (unsigned char)text[i]);
    if (size % 4 != 0)
        return api_fail(err, API_BAD_REQUEST, "%s is not base64: %zu characters; expected a multiple of 4, padded with \"=\"", name,
                        size);
    return api_fail(err, API_BAD_REQUEST, "%s is not base64: the last characters carry bits that mean nothing", name);
}

/* RFC 4648 section 4, strictly: padded, no blanks, no line breaks, no bits left over. nettle skips blanks, so that a text with
 * them decodes to fewer bytes than its length tells. */
bool api_json_base64(struct ood_pool *pool, const char *name, const char *text, size_t size, struct ood_item *item, struct api_error *err)
{
    struct ood_error cause = { 0 };
    struct base64_decode_ctx context;
    if (size % 4 != 0)
        return bad_base64(name, text, size, err);
    if (size == 0) {
        *item = (struct ood_item){ .picture = "", .picture_size = 0 };
        return true;
    }
    size_t expected = size / 4 * 3 - (text[size - 1] == '=') - (text[size - 1] == '=' && text[size - 2] == '=');
    size_t length = BASE64_DECODE_LENGTH(size);
    unsigned char *bytes = ood_pool_alloc(pool, length, 1, &cause);
    if (bytes == NULL)
        return api_fail_ood(err, &cause);
    base64_decode_init(&context);
    if (!base64_decode_update(&context, &length, bytes, size, text) || !base64_decode_final(&context) || length != expected)
        return bad_base64(name, text, size, err);
    *item = (struct ood_item){ .picture = bytes, .picture_size = length };
    return true;
}

static bool read_id(json_t *id, struct api_error *err)
{
    return id == NULL || json_is_string(id) || api_json_wrong_type(err, "id", id, "a string");
}

static bool read_image(struct api_builder *builder, json_t *object, struct api_error *err)
{
    static const char *const members[] = { "id", "data", NULL };
    size_t known = 0;
    json_t *id = api_json_member(object, "id", &known), *data = api_json_member(object, "data", &known);
    struct ood_item item;
    if (json_object_size(object) != known)
        return api_json_unknown_member(object, members, "id, data", err);
    if (data == NULL)
        return api_fail(err, API_BAD_REQUEST, "data is missing; expected the picture as base64");
    if (!json_is_string(data))
        return api_json_wrong_type(err, "data", data, "a string of base64");
    return read_id(id, err) && api_json_base64(builder->pool, "data", json_string_value(data), json_string_length(data), &item, err) &&
           api_builder_add(builder, &item, json_string_value(id), json_string_length(id), err);
}

/* ---- tensors ---- */

static bool read_floats(struct ood_pool *pool, json_t *array, const char *name, const float **floats, size_t *count,
                        struct api_error *err)
{
    struct ood_error cause = { 0 };
    if (array == NULL)
        return api_fail(err, API_BAD_REQUEST, "%s is missing; expected an array of numbers", name);
    if (!json_is_array(array))
        return api_json_wrong_type(err, name, array, "an array of numbers");
    size_t n = json_array_size(array);
    float *values = ood_pool_alloc(pool, n, sizeof *values, &cause);
    if (values == NULL)
        return api_fail_ood(err, &cause);
    for (size_t i = 0; i < n; i++) {
        json_t *number = json_array_get(array, i);
        if (!json_is_number(number))
            return api_fail(err, API_BAD_REQUEST, "%s[%zu] is %s; expected a number", name, i, api_json_type_name(number));
        values[i] = (float)json_number_value(number);
        if (!isfinite(values[i]))
            return api_fail(err, API_BAD_REQUEST, "%s[%zu] is %g, more than a 32-bit float can hold", name, i,
                            json_number_value(number));
    }
    *floats = values;
    *count = n;
    return true;
}

static bool read_tensor(struct api_builder *builder, json_t *object, struct api_error *err)
{
    static const char *const members[] = { "id", "logits", "features", NULL };
    size_t known = 0;
    json_t *id = api_json_member(object, "id", &known), *logits = api_json_member(object, "logits", &known);
    json_t *features = api_json_member(object, "features", &known);
    struct ood_item item = { 0 };
    if (json_object_size(object) != known)
        return api_json_unknown_member(object, members, "id, logits, features", err);
    return read_id(id, err) && read_floats(builder->pool, logits, "logits", &item.logits, &item.logits_count, err) &&
           read_floats(builder->pool, features, "features", &item.features, &item.features_count, err) &&
           api_builder_add(builder, &item, json_string_value(id), json_string_length(id), err);
}

/* ---- the body ---- */

json_t *api_json_load(const unsigned char *body, size_t size, struct api_error *err)
{
    json_error_t error;
    json_t *root = json_loadb((const char *)body, size, JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, &error);
    if (root == NULL && json_error_code(&error) == json_error_out_of_memory)
        api_fail(err, API_INTERNAL, "out of memory");
    else if (root == NULL)
        api_fail(err, API_BAD_REQUEST, "JSON: %s (line %d, column %d)", error.text, error.line, error.column);
    return root;
}

static bool read_items(struct api_builder *builder, json_t *array, const char *name,
                       bool (*read)(struct api_builder *, json_t *, struct api_error *), struct api_error *err)
{
    if (!json_is_array(array))
        return api_json_wrong_type(err, name, array, "an array of objects");
    size_t count = json_array_size(array);
    if (count == 0)
        return api_fail(err, API_NO_ITEMS, "JSON: %s is empty", name);
    if (count > builder->limits->items)
        return api_fail(err, API_TOO_MANY_ITEMS, "JSON: %s has %zu items; the limit is %zu", name, count, builder->limits->items);
    for (size_t i = 0; i < count; i++) {
        json_t *object = json_array_get(array, i);
        if (!json_is_object(object))
            api_fail(err, API_BAD_REQUEST, "found %s; expected an object", api_json_type_name(object));
        else if (read(builder, object, err))
            continue;
        return err->code == API_INTERNAL ? false : api_error_prefix(err, "JSON: %s[%zu]", name, i);
    }
    return true;
}

static bool read_root(struct api_builder *builder, json_t *root, struct api_error *err)
{
    static const char *const members[] = { "images", "tensors", NULL };
    size_t known = 0;
    if (!json_is_object(root))
        return api_fail(err, API_BAD_REQUEST, "JSON: the body is %s; expected an object", api_json_type_name(root));
    json_t *images = api_json_member(root, "images", &known), *tensors = api_json_member(root, "tensors", &known);
    if (json_object_size(root) != known) {
        api_json_unknown_member(root, members, "images or tensors", err);
        return api_error_prefix(err, "JSON");
    }
    if (images != NULL && tensors != NULL)
        return api_fail(err, API_BAD_REQUEST, "JSON: both images and tensors; expected one of them");
    if (images != NULL)
        return read_items(builder, images, "images", read_image, err);
    if (tensors != NULL)
        return read_items(builder, tensors, "tensors", read_tensor, err);
    return api_fail(err, API_NO_ITEMS, "JSON: neither images nor tensors");
}

bool api_json_parse(struct api_builder *builder, const unsigned char *body, size_t size, struct api_error *err)
{
    if (size == 0)
        return true;                                        /* the caller says that it is empty */
    if (!api_json_scan(body, size, values_limit(builder), err))
        return false;
    json_t *root = api_json_load(body, size, err);
    if (root == NULL)
        return false;
    bool done = read_root(builder, root, err);
    json_decref(root);
    return done;
}
