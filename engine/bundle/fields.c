/* Typed, bounded members of model.json's objects, and the sentences for what is not as it must be. */
#include <math.h>
#include <string.h>

#include "base/number.h"
#include "bundle/bundle_internal.h"

/* "decision." or nothing */
static void place_of(const struct bundle_fields *fields, const char *key, char *text, size_t size)
{
    snprintf(text, size, "%s%s%s", fields->section == NULL ? "" : fields->section, fields->section == NULL ? "" : ".",
             key);
}

bool bundle_field_fail(const struct bundle_fields *fields, const char *key, const char *expected, struct ood_error *err)
{
    char place[128], found[BUNDLE_FOUND_TEXT];
    place_of(fields, key, place, sizeof place);
    bundle_json_found(json_object_get(fields->object, key), found);
    return ood_fail(err, OOD_INVALID, "%s: found %s, expected %s", place, found, expected);
}

bool bundle_fields_of(struct bundle_fields *fields, const json_t *object, const char *section, const char *const *known,
                      struct ood_error *err)
{
    struct bundle_fields opened = { object, section };
    for (void *at = json_object_iter((json_t *)object); at != NULL; at = json_object_iter_next((json_t *)object, at)) {
        const char *key = json_object_iter_key(at);
        size_t i = 0;
        while (known[i] != NULL && strcmp(known[i], key) != 0)
            i++;
        if (known[i] != NULL)
            continue;
        char shown[BUNDLE_FOUND_TEXT];
        bundle_text_shown(key, strlen(key), shown);
        char place[128];
        place_of(&opened, shown, place, sizeof place);
        return ood_fail(err, OOD_INVALID, "%s: not a member of schema %d", place, OOD_BUNDLE_SCHEMA);
    }
    *fields = opened;
    return true;
}

bool bundle_fields_open(struct bundle_fields *fields, const json_t *root, const char *section, const char *const *known,
                        struct ood_error *err)
{
    struct bundle_fields top = { root, NULL };
    const json_t *object = section == NULL ? root : json_object_get(root, section);
    if (!json_is_object(object) && section != NULL)
        return bundle_field_fail(&top, section, "an object", err);
    if (!json_is_object(object)) {
        char found[BUNDLE_FOUND_TEXT];
        bundle_json_found(object, found);
        return ood_fail(err, OOD_INVALID, "found %s, expected an object", found);
    }
    return bundle_fields_of(fields, object, section, known, err);
}

/* "a number", "a number, 0 to 1" … */
static bool fail_range(const struct bundle_fields *fields, const char *key, const char *kind, double least, double most,
                       struct ood_error *err)
{
    char expected[128], least_text[OOD_NUMBER_TEXT], most_text[OOD_NUMBER_TEXT];
    ood_print_double(least, least_text);
    ood_print_double(most, most_text);
    snprintf(expected, sizeof expected, "%s from %s to %s", kind, least_text, most_text);
    return bundle_field_fail(fields, key, expected, err);
}

bool bundle_field_number(const struct bundle_fields *fields, const char *key, double least, double most, double *out,
                         struct ood_error *err)
{
    const json_t *value = json_object_get(fields->object, key);
    if (!json_is_number(value))
        return bundle_field_fail(fields, key, "a number", err);
    double number = json_number_value(value);
    if (!(number >= least && number <= most))
        return fail_range(fields, key, "a number", least, most, err);
    *out = number;
    return true;
}

bool bundle_field_number_or_null(const struct bundle_fields *fields, const char *key, double least, double most,
                                 double absent, double *out, struct ood_error *err)
{
    if (json_is_null(json_object_get(fields->object, key))) {
        *out = absent;
        return true;
    }
    return bundle_field_number(fields, key, least, most, out, err);
}

bool bundle_field_size(const struct bundle_fields *fields, const char *key, size_t least, size_t most, size_t *out,
                       struct ood_error *err)
{
    const json_t *value = json_object_get(fields->object, key);
    if (!json_is_integer(value))
        return bundle_field_fail(fields, key, "a whole number", err);
    json_int_t number = json_integer_value(value);
    if (number < 0 || (uint64_t)number < least || (uint64_t)number > most)
        return fail_range(fields, key, "a whole number", (double)least, (double)most, err);
    *out = (size_t)number;
    return true;
}

bool bundle_field_bool(const struct bundle_fields *fields, const char *key, bool *out, struct ood_error *err)
{
    const json_t *value = json_object_get(fields->object, key);
    if (!json_is_boolean(value))
        return bundle_field_fail(fields, key, "true or false", err);
    *out = json_is_true(value);
    return true;
}

bool bundle_text_is_plain(const json_t *value)
{
    if (!json_is_string(value) || json_string_length(value) == 0 || json_string_length(value) > BUNDLE_TEXT_MOST)
        return false;
    for (const char *c = json_string_value(value); *c != '\0'; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7F)
            return false;
    return true;
}

bool bundle_field_text(const struct bundle_fields *fields, const char *key, const char **out, struct ood_error *err)
{
    const json_t *value = json_object_get(fields->object, key);
    if (!json_is_string(value))
        return bundle_field_fail(fields, key, "a string", err);
    if (!bundle_text_is_plain(value))
        return bundle_field_fail(fields, key, "1 to 4096 bytes without control characters", err);
    *out = json_string_value(value);
    return true;
}

bool bundle_field_floats(const struct bundle_fields *fields, const char *key, size_t count, double least, double most,
                         float *out, struct ood_error *err)
{
    const json_t *array = json_object_get(fields->object, key);
    if (!json_is_array(array) || json_array_size(array) != count) {
        char expected[64];
        snprintf(expected, sizeof expected, "an array of %zu number%s", count, count == 1 ? "" : "s");
        return bundle_field_fail(fields, key, expected, err);
    }
    for (size_t i = 0; i < count; i++) {
        const json_t *value = json_array_get(array, i);
        float number = (float)json_number_value(value);
        if (json_is_number(value) && (double)number >= least && (double)number <= most)
            continue;
        char place[128], found[BUNDLE_FOUND_TEXT];
        place_of(fields, key, place, sizeof place);
        bundle_json_found(value, found);
        return ood_fail(err, OOD_INVALID, "%s[%zu]: found %s, expected a number from %g to %g", place, i, found, least,
                        most);
    }
    for (size_t i = 0; i < count; i++)
        out[i] = (float)json_number_value(json_array_get(array, i));
    return true;
}
