/* JSON in and out for bundles: bounded reading, and writing that gives the same bytes for the same value (sorted keys, no
 * blanks, the shortest numbers that read back). */
#include <math.h>
#include <string.h>

#include "base/number.h"
#include "bundle/bundle_internal.h"

json_t *bundle_json_load(const void *data, size_t size, struct ood_error *err)
{
    json_error_t error;
    json_t *value = json_loadb(data, size, JSON_REJECT_DUPLICATES, &error);
    if (value == NULL && json_error_code(&error) == json_error_out_of_memory) {
        ood_fail(err, OOD_OUT_OF_MEMORY, "out of memory");
        return NULL;
    }
    if (value == NULL) {
        ood_fail(err, OOD_INVALID, "line %d, column %d: %s", error.line, error.column, error.text);
        return NULL;
    }
    if (!json_is_object(value)) {
        char found[BUNDLE_FOUND_TEXT];
        bundle_json_found(value, found);
        ood_fail(err, OOD_INVALID, "found %s, expected an object", found);
        json_decref(value);
        return NULL;
    }
    return value;
}

void bundle_text_shown(const char *text, size_t length, char shown[BUNDLE_FOUND_TEXT])
{
    size_t size = length <= 40 ? length : 40;
    while (length > 40 && size > 0 && ((unsigned char)text[size] & 0xC0) == 0x80)      /* no half of a character */
        size--;
    memcpy(shown, text, size);
    for (size_t i = 0; i < size; i++)
        if ((unsigned char)shown[i] < 0x20 || shown[i] == 0x7F)
            shown[i] = '?';
    snprintf(shown + size, BUNDLE_FOUND_TEXT - size, "%s", length > 40 ? "…" : "");
}

void bundle_json_found(const json_t *value, char text[BUNDLE_FOUND_TEXT])
{
    char number[OOD_NUMBER_TEXT], shown[BUNDLE_FOUND_TEXT];
    switch (value == NULL ? JSON_NULL : json_typeof(value)) {
    case JSON_STRING:
        bundle_text_shown(json_string_value(value), json_string_length(value), shown);
        snprintf(text, BUNDLE_FOUND_TEXT, "\"%.50s\"", shown);
        break;
    case JSON_INTEGER:
        snprintf(text, BUNDLE_FOUND_TEXT, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        break;
    case JSON_REAL:
        ood_print_double(json_real_value(value), number);
        snprintf(text, BUNDLE_FOUND_TEXT, "%s", number);
        break;
    case JSON_OBJECT:
        snprintf(text, BUNDLE_FOUND_TEXT, "an object");
        break;
    case JSON_ARRAY:
        snprintf(text, BUNDLE_FOUND_TEXT, "an array of %zu", json_array_size(value));
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        snprintf(text, BUNDLE_FOUND_TEXT, "%s", json_is_true(value) ? "true" : "false");
        break;
    case JSON_NULL:
        snprintf(text, BUNDLE_FOUND_TEXT, "%s", value == NULL ? "nothing" : "null");
        break;
    }
}

/* ---- writing ---- */

struct text { char *data; size_t size, capacity; };

static bool put(struct text *text, const char *data, size_t size, struct ood_error *err)
{
    size_t needed;
    if (!ood_add_size(text->size, size, &needed) || !ood_add_size(needed, 1, &needed))
        return ood_fail(err, OOD_LIMIT, "too large");
    if (!ood_grow(&text->data, &text->capacity, needed, 1, err))
        return false;
    memcpy(text->data + text->size, data, size);
    text->size += size;
    text->data[text->size] = '\0';
    return true;
}

static bool put_string(struct text *text, const char *string, size_t length, struct ood_error *err)
{
    static const char named[] = "\bb\tt\nn\ff\rr\"\"\\\\";
    if (!put(text, "\"", 1, err))
        return false;
    for (size_t i = 0; i < length; i++) {
        char escape[8] = { '\\', '\0' };
        size_t size = 0;
        for (size_t n = 0; n + 1 < sizeof named; n += 2)
            if (string[i] == named[n]) {
                escape[1] = named[n + 1];
                size = 2;
            }
        if (size == 0 && (unsigned char)string[i] < 0x20)
            size = (size_t)snprintf(escape, sizeof escape, "\\u%04x", (unsigned)string[i]);
        if (!put(text, size == 0 ? string + i : escape, size == 0 ? 1 : size, err))
            return false;
    }
    return put(text, "\"", 1, err);
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool put_value(struct text *text, const json_t *value, size_t levels, struct ood_error *err);

static bool put_object(struct text *text, const json_t *object, size_t levels, struct ood_error *err)
{
    size_t count = 0;
    bool done = false;
    const char *key;
    const json_t *member;
    const char **keys = ood_new_array(const char *, json_object_size(object), err);
    if (keys == NULL)
        return false;
    for (void *at = json_object_iter((json_t *)object); at != NULL; at = json_object_iter_next((json_t *)object, at))
        keys[count++] = json_object_iter_key(at);
    if (count > 0)
        qsort(keys, count, sizeof *keys, by_bytes);
    if (!put(text, "{", 1, err))
        goto out;
    for (size_t i = 0; i < count; i++) {
        key = keys[i];
        member = json_object_get(object, key);
        if ((i > 0 && !put(text, ",", 1, err)) || !put_string(text, key, strlen(key), err) ||
            !put(text, ":", 1, err) || !put_value(text, member, levels, err))
            goto out;
    }
    done = put(text, "}", 1, err);
out:
    ood_free(keys);
    return done;
}

static bool put_array(struct text *text, const json_t *array, size_t levels, struct ood_error *err)
{
    if (!put(text, "[", 1, err))
        return false;
    for (size_t i = 0; i < json_array_size(array); i++)
        if ((i > 0 && !put(text, ",", 1, err)) || !put_value(text, json_array_get(array, i), levels, err))
            return false;
    return put(text, "]", 1, err);
}

static bool put_number(struct text *text, const json_t *value, struct ood_error *err)
{
    char number[OOD_NUMBER_TEXT];
    if (json_is_integer(value))
        snprintf(number, sizeof number, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    else if (json_real_value(value) == 0)      /* "-0" would be read as the integer 0 */
        snprintf(number, sizeof number, "%s", signbit(json_real_value(value)) ? "-0.0" : "0");
    else
        ood_print_double(json_real_value(value), number);
    return put(text, number, strlen(number), err);
}

static bool put_value(struct text *text, const json_t *value, size_t levels, struct ood_error *err)
{
    if (levels == 0)
        return ood_fail(err, OOD_LIMIT, "nested more than 64 levels deep");
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return put_object(text, value, levels - 1, err);
    case JSON_ARRAY:
        return put_array(text, value, levels - 1, err);
    case JSON_STRING:
        return put_string(text, json_string_value(value), json_string_length(value), err);
    case JSON_INTEGER:
    case JSON_REAL:
        return put_number(text, value, err);
    case JSON_TRUE:
        return put(text, "true", 4, err);
    case JSON_FALSE:
        return put(text, "false", 5, err);
    case JSON_NULL:
        break;
    }
    return put(text, "null", 4, err);
}

char *bundle_json_text(const json_t *value, struct ood_error *err)
{
    struct text text = { 0 };
    if (put_value(&text, value, 64, err))
        return text.data;
    ood_free(text.data);
    return NULL;
}
