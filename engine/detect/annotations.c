/* Annotations as they are kept, and COCO's form of them. */
#include "detect/annotations_internal.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/number.h"

#define PICTURES_MOST 10000000u
#define TRUTHS_MOST 100000u                  /* of one picture */
#define NAMES_MOST 100000u

/* ---- building ---- */

const char *annotations_base(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == NULL ? path : slash + 1;
}

bool annotations_name(struct ood_annotations *annotations, const char *name, size_t *out, struct ood_error *err)
{
    for (size_t i = annotations->name_count; i-- > 0;)
        if (strcmp(annotations->names[i], name) == 0) {
            *out = i;
            return true;
        }
    if (name[0] == '\0' || strlen(name) > 4096 || annotations->name_count >= NAMES_MOST)
        return ood_fail(err, OOD_INVALID, "a category without a name, with one of more than 4096 bytes, or more than %u categories", NAMES_MOST);
    if (!ood_grow(&annotations->names, &annotations->name_capacity, annotations->name_count + 1, sizeof *annotations->names, err))
        return false;
    char *copy = ood_strdup(name, err);
    if (copy == NULL)
        return false;
    *out = annotations->name_count;
    annotations->names[annotations->name_count++] = copy;
    return true;
}

struct ood_annotated *annotations_picture(struct ood_annotations *annotations, const char *file, struct ood_error *err)
{
    const char *base = annotations_base(file);
    if (base[0] == '\0' || annotations->picture_count >= PICTURES_MOST) {
        ood_fail(err, OOD_INVALID, "a picture without a file name, or more than %u pictures", PICTURES_MOST);
        return NULL;
    }
    if (!ood_grow(&annotations->pictures, &annotations->picture_capacity, annotations->picture_count + 1, sizeof *annotations->pictures, err))
        return NULL;
    struct ood_annotated *picture = &annotations->pictures[annotations->picture_count];
    *picture = (struct ood_annotated){ .file = ood_strdup(base, err) };
    if (picture->file == NULL)
        return NULL;
    annotations->picture_count++;
    return picture;
}

bool annotations_truth(struct ood_annotations *annotations, struct ood_annotated *picture, const struct ood_truth *truth, struct ood_error *err)
{
    for (size_t i = 0; i < 4; i++)
        if (!(fabs(truth->box[i]) <= 1e7))
            return ood_fail(err, OOD_INVALID, "%s: a box with %g, expected numbers up to 1e7", picture->file, truth->box[i]);
    if (!(truth->box[2] > truth->box[0] && truth->box[3] > truth->box[1])) {
        annotations->skipped++;
        return true;
    }
    if (picture->count >= TRUTHS_MOST)
        return ood_fail(err, OOD_LIMIT, "%s: more than %u boxes", picture->file, TRUTHS_MOST);
    if (!ood_grow(&picture->truths, &picture->capacity, picture->count + 1, sizeof *picture->truths, err))
        return false;
    picture->truths[picture->count++] = *truth;
    annotations->truth_count += !truth->ignored;
    return true;
}

static int by_file(const void *a, const void *b)
{
    return strcmp(((const struct ood_annotated *)a)->file, ((const struct ood_annotated *)b)->file);
}

bool ood_annotations_sort(struct ood_annotations *annotations, struct ood_error *err)
{
    if (annotations->picture_count > 0)
        qsort(annotations->pictures, annotations->picture_count, sizeof *annotations->pictures, by_file);
    for (size_t i = 1; i < annotations->picture_count; i++)
        if (strcmp(annotations->pictures[i].file, annotations->pictures[i - 1].file) == 0)
            return ood_fail(err, OOD_INVALID, "picture %.100s: named twice", annotations->pictures[i].file);
    return true;
}

const struct ood_annotated *ood_annotations_find(const struct ood_annotations *annotations, const char *path)
{
    struct ood_annotated key = { .file = (char *)(uintptr_t)annotations_base(path) };
    return annotations->picture_count == 0 ? NULL
           : bsearch(&key, annotations->pictures, annotations->picture_count, sizeof key, by_file);
}

void ood_annotations_free(struct ood_annotations *annotations)
{
    for (size_t i = 0; i < annotations->name_count; i++)
        ood_free(annotations->names[i]);
    for (size_t i = 0; i < annotations->picture_count; i++) {
        ood_free(annotations->pictures[i].file);
        ood_free(annotations->pictures[i].truths);
    }
    ood_free(annotations->names);
    ood_free(annotations->pictures);
    *annotations = (struct ood_annotations){ 0 };
}

/* ---- COCO ---- */

struct numbered { json_int_t id; size_t place; };      /* an id and the picture or name it stands for */

static int by_id(const void *a, const void *b)
{
    json_int_t x = ((const struct numbered *)a)->id, y = ((const struct numbered *)b)->id;
    return (x > y) - (x < y);
}

static const struct numbered *find_id(const struct numbered *table, size_t count, const json_t *id)
{
    struct numbered key = { json_integer_value(id), 0 };
    return count == 0 || !json_is_integer(id) ? NULL : bsearch(&key, table, count, sizeof key, by_id);
}

/* root's array `member` as ids with the text of `text`; the places count from 0 in the array's order. Fresh memory. */
static struct numbered *read_ids(const json_t *root, const char *member, const char *text, size_t *count, struct ood_error *err)
{
    const json_t *array = json_object_get(root, member);
    if (!json_is_array(array)) {
        ood_fail(err, OOD_INVALID, "%s: expected an array", member);
        return NULL;
    }
    *count = json_array_size(array);
    struct numbered *table = ood_new_array(struct numbered, *count, err);
    for (size_t i = 0; table != NULL && i < *count; i++) {
        const json_t *item = json_array_get(array, i), *id = json_object_get(item, "id");
        if (!json_is_integer(id) || !json_is_string(json_object_get(item, text))) {
            ood_fail(err, OOD_INVALID, "%s[%zu]: expected a whole number \"id\" and a string \"%s\"", member, i, text);
            ood_free(table);
            return NULL;
        }
        table[i] = (struct numbered){ json_integer_value(id), i };
    }
    if (table != NULL && *count > 0)
        qsort(table, *count, sizeof *table, by_id);
    for (size_t i = 1; table != NULL && i < *count; i++)
        if (table[i].id == table[i - 1].id) {
            ood_fail(err, OOD_INVALID, "%s: id %lld stands twice", member, (long long)table[i].id);
            ood_free(table);
            return NULL;
        }
    return table;
}

static bool read_annotation(const json_t *item, size_t i, const struct numbered *pictures, size_t picture_count,
                            const struct numbered *names, size_t name_count, struct ood_annotations *out, struct ood_error *err)
{
    const json_t *box = json_object_get(item, "bbox"), *crowd = json_object_get(item, "iscrowd");
    const struct numbered *picture = find_id(pictures, picture_count, json_object_get(item, "image_id"));
    const struct numbered *name = find_id(names, name_count, json_object_get(item, "category_id"));
    struct ood_truth truth = { .ignored = json_is_true(crowd) || json_integer_value(crowd) == 1 };
    if (picture == NULL || name == NULL)
        return ood_fail(err, OOD_INVALID, "annotations[%zu].%s: names none of the %s", i, picture == NULL ? "image_id" : "category_id",
                        picture == NULL ? "images" : "categories");
    if (crowd != NULL && !json_is_boolean(crowd) && !(json_is_integer(crowd) && (json_integer_value(crowd) == 0 || json_integer_value(crowd) == 1)))
        return ood_fail(err, OOD_INVALID, "annotations[%zu].iscrowd: expected 0 or 1", i);
    if (json_array_size(box) != 4)
        return ood_fail(err, OOD_INVALID, "annotations[%zu].bbox: expected [x, y, width, height]", i);
    for (size_t k = 0; k < 4; k++) {
        if (!json_is_number(json_array_get(box, k)))
            return ood_fail(err, OOD_INVALID, "annotations[%zu].bbox[%zu]: expected a number", i, k);
        truth.box[k] = json_number_value(json_array_get(box, k)) + (k >= 2 ? truth.box[k - 2] : 0);
    }
    truth.name = name->place;
    return annotations_truth(out, &out->pictures[picture->place], &truth, err) || ood_error_prefix(err, "annotations[%zu]", i);
}

/* Names in the order of their ids: table[i].place becomes the name's. */
static bool add_names(const json_t *root, struct numbered *table, size_t count, struct ood_annotations *out, struct ood_error *err)
{
    for (size_t i = 0; i < count; i++) {
        const json_t *item = json_array_get(json_object_get(root, "categories"), table[i].place);
        if (!annotations_name(out, json_string_value(json_object_get(item, "name")), &table[i].place, err))
            return false;
    }
    return true;
}

static bool add_pictures(const json_t *root, size_t count, struct ood_annotations *out, struct ood_error *err)
{
    for (size_t i = 0; i < count; i++)
        if (annotations_picture(out, json_string_value(json_object_get(json_array_get(json_object_get(root, "images"), i), "file_name")), err) == NULL)
            return false;
    return true;
}

static bool read_coco(const json_t *root, struct ood_annotations *out, struct ood_error *err)
{
    size_t picture_count = 0, name_count = 0;
    const json_t *items = json_object_get(root, "annotations");
    struct numbered *names = NULL, *pictures = read_ids(root, "images", "file_name", &picture_count, err);
    bool done = pictures != NULL && (names = read_ids(root, "categories", "name", &name_count, err)) != NULL &&
                add_names(root, names, name_count, out, err) && add_pictures(root, picture_count, out, err);
    if (done && !json_is_array(items))
        done = ood_fail(err, OOD_INVALID, "annotations: expected an array");
    for (size_t i = 0; done && i < json_array_size(items); i++)
        done = read_annotation(json_array_get(items, i), i, pictures, picture_count, names, name_count, out, err);
    ood_free(pictures);
    ood_free(names);
    return done && ood_annotations_sort(out, err);
}

bool ood_annotations_coco(const struct ood_bytes *json, struct ood_annotations *out, struct ood_error *err)
{
    json_error_t error;
    struct ood_annotations made = { 0 };
    json_t *root = json_loadb((const char *)json->data, json->size, JSON_REJECT_DUPLICATES, &error);
    if (root == NULL)
        return json_error_code(&error) == json_error_out_of_memory
               ? ood_fail(err, OOD_OUT_OF_MEMORY, "out of memory")
               : ood_fail(err, OOD_INVALID, "line %d, column %d: %s", error.line, error.column, error.text);
    bool done = read_coco(root, &made, err);
    json_decref(root);
    if (!done) {
        ood_annotations_free(&made);
        return false;
    }
    *out = made;
    return true;
}

/* ---- either ---- */

static bool ends_in(const char *name, const char *end)
{
    size_t length = strlen(name), end_length = strlen(end);
    return length > end_length && strcmp(name + length - end_length, end) == 0;
}

static bool read_folder(const char *path, struct ood_annotations *out, struct ood_error *err)
{
    struct ood_names names;
    if (!ood_folder_names(path, &names, err))
        return false;
    bool done = true;
    size_t count = 0;
    for (size_t i = 0; done && i < names.count; i++) {
        if (!ends_in(names.items[i], ".xml"))
            continue;
        struct ood_bytes bytes = { 0 };
        char *file = ood_format(err, "%s/%s", path, names.items[i]);
        done = file != NULL && ood_file_read(file, OOD_ANNOTATION_XML_BYTES, &bytes, err);
        if (done && !ood_annotations_voc(&bytes, out, err))
            done = ood_error_prefix(err, "%s", file);
        ood_bytes_free(&bytes);
        ood_free(file);
        count++;
    }
    ood_names_free(&names);
    if (done && count == 0)
        return ood_fail(err, OOD_NOT_FOUND, "%s: no *.xml files", path);
    return done && (ood_annotations_sort(out, err) || ood_error_prefix(err, "%s", path));
}

bool ood_annotations_read(const char *path, struct ood_annotations *out, struct ood_error *err)
{
    struct ood_annotations made = { 0 };
    struct ood_bytes bytes = { 0 };
    bool done;
    if (ood_is_folder(path)) {
        done = read_folder(path, &made, err);
    } else {
        done = ood_file_read(path, OOD_ANNOTATION_BYTES, &bytes, err);
        if (done && !ood_annotations_coco(&bytes, &made, err))
            done = ood_error_prefix(err, "%s", path);
        ood_bytes_free(&bytes);
    }
    if (!done) {
        ood_annotations_free(&made);
        return false;
    }
    *out = made;
    return true;
}
