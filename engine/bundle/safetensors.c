/* Reading and writing safetensors files in memory. The reader trusts nothing: a header is bounded before it is parsed, and
 * every offset is checked against the tensor's own length, its neighbours and the end. */
#include "bundle/safetensors.h"

#include <inttypes.h>
#include <string.h>

#include "bundle/bundle_internal.h"

#define HEADER_MOST ((size_t)1 << 20)

static const struct { const char *name; size_t width; } types[] = {
    [OOD_SAFETENSORS_F32] = { "F32", 4 },
    [OOD_SAFETENSORS_F64] = { "F64", 8 },
    [OOD_SAFETENSORS_I64] = { "I64", 8 },
};
#define TYPES (sizeof types / sizeof types[0])

/* File to memory or back: little endian there. */
static void copy_elements(void *to, const void *from, size_t count, size_t width)
{
    if (count == 0)
        return;
    memcpy(to, from, count * width);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    unsigned char *bytes = to;
    for (size_t i = 0; i < count; i++, bytes += width)
        for (size_t j = 0; j < width / 2; j++) {
            unsigned char byte = bytes[j];
            bytes[j] = bytes[width - 1 - j];
            bytes[width - 1 - j] = byte;
        }
#endif
}

static bool multiply_shape(const size_t *shape, size_t rank, size_t *count)
{
    *count = 1;
    for (size_t i = 0; i < rank; i++)
        if (!ood_mul_size(*count, shape[i], count))
            return false;
    return true;
}

/* ---- reading ---- */

struct span { size_t begin, end, entry; };

static bool read_size(const json_t *value, size_t *out)
{
    if (!json_is_integer(value) || json_integer_value(value) < 0 || (uint64_t)json_integer_value(value) > SIZE_MAX)
        return false;
    *out = (size_t)json_integer_value(value);
    return true;
}

static bool read_shape(const json_t *shape, struct ood_safetensors_entry *entry, struct ood_error *err)
{
    if (!json_is_array(shape) || json_array_size(shape) > OOD_SAFETENSORS_RANK)
        return ood_fail(err, OOD_INVALID, "shape: expected an array of at most %d lengths", OOD_SAFETENSORS_RANK);
    entry->rank = json_array_size(shape);
    for (size_t i = 0; i < entry->rank; i++)
        if (!read_size(json_array_get(shape, i), &entry->shape[i])) {
            char found[BUNDLE_FOUND_TEXT];
            bundle_json_found(json_array_get(shape, i), found);
            return ood_fail(err, OOD_INVALID, "shape[%zu]: found %s, expected a length", i, found);
        }
    if (!multiply_shape(entry->shape, entry->rank, &entry->count))
        return ood_fail(err, OOD_LIMIT, "shape: more elements than memory can hold");
    return true;
}

/* One member of the header: {"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}. Data bytes are `room` long. */
static bool read_entry(const json_t *member, size_t room, struct ood_safetensors_entry *entry, struct span *span,
                       struct ood_error *err)
{
    static const char *const known[] = { "dtype", "shape", "data_offsets", NULL };
    struct bundle_fields fields;
    const char *type;
    size_t bytes, t = 0;
    if (!bundle_fields_open(&fields, member, NULL, known, err) || !bundle_field_text(&fields, "dtype", &type, err))
        return false;
    while (t < TYPES && strcmp(types[t].name, type) != 0)
        t++;
    if (t == TYPES)
        return bundle_field_fail(&fields, "dtype", "F32, F64 or I64", err);
    entry->type = (enum ood_safetensors_type)t;
    if (!read_shape(json_object_get(member, "shape"), entry, err))
        return false;
    const json_t *offsets = json_object_get(member, "data_offsets");
    if (!json_is_array(offsets) || json_array_size(offsets) != 2 ||
        !read_size(json_array_get(offsets, 0), &span->begin) || !read_size(json_array_get(offsets, 1), &span->end))
        return ood_fail(err, OOD_INVALID, "data_offsets: expected an array of 2 offsets");
    if (span->begin > span->end || span->end > room)
        return ood_fail(err, OOD_INVALID, "data_offsets: found %zu to %zu, expected a range within %zu bytes",
                        span->begin, span->end, room);
    if (!ood_mul_size(entry->count, types[t].width, &bytes) || bytes != span->end - span->begin)
        return ood_fail(err, OOD_INVALID, "data_offsets: found %zu bytes, expected %zu elements of %zu",
                        span->end - span->begin, entry->count, types[t].width);
    return true;
}

static int by_place(const void *a, const void *b)
{
    const struct span *x = a, *y = b;
    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    return (x->end > y->end) - (x->end < y->end);
}

/* The tensors must fill the data without gap or overlap: no byte that nothing reads. */
static bool check_spans(struct span *spans, size_t count, size_t room, struct ood_error *err)
{
    size_t end = 0;
    if (count > 0)
        qsort(spans, count, sizeof *spans, by_place);
    for (size_t i = 0; i < count; i++) {
        if (spans[i].begin != end)
            return ood_fail(err, OOD_INVALID, "data_offsets: %s at byte %zu", spans[i].begin < end ? "overlap" : "a gap",
                            spans[i].begin < end ? spans[i].begin : end);
        end = spans[i].end;
    }
    if (end != room)
        return ood_fail(err, OOD_INVALID, "found %zu bytes of data, expected %zu", room, end);
    return true;
}

static bool read_metadata(const json_t *metadata, struct ood_safetensors *tensors, struct ood_error *err)
{
    if (!json_is_object(metadata))
        return ood_fail(err, OOD_INVALID, "__metadata__: expected an object");
    tensors->metadata = ood_new_array(char *, 2 * json_object_size(metadata), err);
    if (tensors->metadata == NULL)
        return false;
    for (void *at = json_object_iter((json_t *)metadata); at != NULL; at = json_object_iter_next((json_t *)metadata, at)) {
        const json_t *value = json_object_iter_value(at);
        if (!json_is_string(value))
            return ood_fail(err, OOD_INVALID, "__metadata__: expected strings only");
        char **pair = tensors->metadata + 2 * tensors->metadata_count++;
        if ((pair[0] = ood_strdup(json_object_iter_key(at), err)) == NULL ||
            (pair[1] = ood_strdup(json_string_value(value), err)) == NULL)
            return false;
    }
    return true;
}

static int by_name(const void *a, const void *b)
{
    const struct ood_safetensors_entry *x = a, *y = b;
    return strcmp(x->name, y->name);
}

static bool read_members(const json_t *header, const unsigned char *data, size_t room, struct ood_safetensors *tensors,
                         struct ood_error *err)
{
    bool done = false;
    size_t members = json_object_size(header);
    struct span *spans = ood_new_array(struct span, members, err);
    if (spans == NULL)
        return false;
    tensors->entries = ood_new_array(struct ood_safetensors_entry, members, err);
    if (tensors->entries == NULL)
        goto out;
    for (void *at = json_object_iter((json_t *)header); at != NULL; at = json_object_iter_next((json_t *)header, at)) {
        const char *key = json_object_iter_key(at);
        const json_t *member = json_object_iter_value(at);
        if (strcmp(key, "__metadata__") == 0) {
            if (!read_metadata(member, tensors, err))
                goto out;
            continue;
        }
        struct ood_safetensors_entry *entry = &tensors->entries[tensors->count];
        if (!read_entry(member, room, entry, &spans[tensors->count], err)) {
            char shown[BUNDLE_FOUND_TEXT];
            bundle_text_shown(key, strlen(key), shown);
            ood_error_prefix(err, "%s", shown);
            goto out;
        }
        entry->data = data + spans[tensors->count].begin;
        entry->name = ood_strdup(key, err);
        if (entry->name == NULL)
            goto out;
        tensors->count++;
    }
    done = check_spans(spans, tensors->count, room, err);
    if (tensors->count > 0)
        qsort(tensors->entries, tensors->count, sizeof *tensors->entries, by_name);
out:
    ood_free(spans);
    return done;
}

bool ood_safetensors_read(const void *bytes, size_t size, struct ood_safetensors *out, struct ood_error *err)
{
    const unsigned char *start = bytes;
    uint64_t length = 0;
    if (size < 8)
        return ood_fail(err, OOD_INVALID, "found %zu bytes, expected at least 8", size);
    for (size_t i = 0; i < 8; i++)
        length |= (uint64_t)start[i] << (8 * i);
    if (length > HEADER_MOST)
        return ood_fail(err, OOD_LIMIT, "header: found %" PRIu64 " bytes, expected at most %zu", length, HEADER_MOST);
    if (length > size - 8)
        return ood_fail(err, OOD_INVALID, "header: found %zu bytes, expected %" PRIu64, size - 8, length);
    json_t *header = bundle_json_load(start + 8, (size_t)length, err);
    if (header == NULL)
        return ood_error_prefix(err, "header");
    struct ood_safetensors tensors = { 0 };
    bool done = read_members(header, start + 8 + length, size - 8 - (size_t)length, &tensors, err);
    json_decref(header);
    if (done)
        *out = tensors;
    else
        ood_safetensors_free(&tensors);
    return done;
}

void ood_safetensors_free(struct ood_safetensors *tensors)
{
    for (size_t i = 0; i < tensors->count; i++)
        ood_free((char *)tensors->entries[i].name);
    ood_free(tensors->entries);
    for (size_t i = 0; i < 2 * tensors->metadata_count; i++)
        ood_free(tensors->metadata[i]);
    ood_free(tensors->metadata);
    *tensors = (struct ood_safetensors){ 0 };
}

const struct ood_safetensors_entry *ood_safetensors_find(const struct ood_safetensors *tensors, const char *name)
{
    struct ood_safetensors_entry wanted = { .name = name };
    return tensors->count == 0 ? NULL
                               : bsearch(&wanted, tensors->entries, tensors->count, sizeof *tensors->entries, by_name);
}

const char *ood_safetensors_metadata(const struct ood_safetensors *tensors, const char *key)
{
    for (size_t i = 0; i < tensors->metadata_count; i++)
        if (strcmp(tensors->metadata[2 * i], key) == 0)
            return tensors->metadata[2 * i + 1];
    return NULL;
}

/* "2, 3" */
static void print_shape(const size_t *shape, size_t rank, char *text, size_t size)
{
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; i < rank && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%zu", i == 0 ? "" : ", ", shape[i]);
}

static bool shape_fits(const struct ood_safetensors_entry *entry, size_t rank, const size_t *shape)
{
    if (entry->rank != rank)
        return false;
    for (size_t i = 0; i < rank; i++)
        if (shape[i] != 0 && shape[i] != entry->shape[i])
            return false;
    return true;
}

void *ood_safetensors_take(const struct ood_safetensors *tensors, const char *name, enum ood_safetensors_type type,
                           size_t rank, size_t *shape, struct ood_error *err)
{
    const struct ood_safetensors_entry *entry = ood_safetensors_find(tensors, name);
    if (entry == NULL) {
        ood_fail(err, OOD_INVALID, "%s: missing", name);
        return NULL;
    }
    if (entry->type != type) {
        ood_fail(err, OOD_INVALID, "%s: found %s, expected %s", name, types[entry->type].name, types[type].name);
        return NULL;
    }
    if (!shape_fits(entry, rank, shape)) {
        char found[128], expected[128];
        print_shape(entry->shape, entry->rank, found, sizeof found);
        print_shape(shape, rank, expected, sizeof expected);
        ood_fail(err, OOD_INVALID, "%s: found shape [%s], expected [%s] (0: any)", name, found, expected);
        return NULL;
    }
    void *copy = ood_alloc(entry->count, types[type].width, err);
    if (copy == NULL)
        return NULL;
    copy_elements(copy, entry->data, entry->count, types[type].width);
    memcpy(shape, entry->shape, rank * sizeof *shape);
    return copy;
}

/* ---- writing ---- */

/* Wide types first, so that every tensor is aligned to its elements (the header is padded to 8). */
static int by_width_and_name(const void *a, const void *b)
{
    const struct ood_safetensors_entry *x = a, *y = b;
    if (types[x->type].width != types[y->type].width)
        return types[x->type].width > types[y->type].width ? -1 : 1;
    return strcmp(x->name, y->name);
}

static json_t *describe_entry(const struct ood_safetensors_entry *entry, size_t begin, size_t end)
{
    json_t *shape = json_array();
    for (size_t i = 0; i < entry->rank; i++)
        if (json_array_append_new(shape, json_integer((json_int_t)entry->shape[i])) != 0) {
            json_decref(shape);
            return NULL;
        }
    return json_pack("{s:s, s:o, s:[I, I]}", "dtype", types[entry->type].name, "shape", shape, "data_offsets",
                     (json_int_t)begin, (json_int_t)end);
}

/* The header's text for sorted entries, and the length of the data behind it. */
static char *make_header(struct ood_safetensors_entry *entries, size_t count, const char *const *metadata,
                         size_t metadata_count, size_t *data_size, struct ood_error *err)
{
    char *text = NULL;
    size_t end = 0;
    json_t *header = json_object(), *pairs = metadata_count > 0 ? json_object() : NULL;
    for (size_t i = 0; i < count; i++) {
        size_t bytes, begin = end;
        if (!multiply_shape(entries[i].shape, entries[i].rank, &entries[i].count) ||
            !ood_mul_size(entries[i].count, types[entries[i].type].width, &bytes) ||
            !ood_add_size(begin, bytes, &end) || end > PTRDIFF_MAX) {
            ood_fail(err, OOD_LIMIT, "%s: too large", entries[i].name);
            goto out;
        }
        if (json_object_set_new(header, entries[i].name, describe_entry(&entries[i], begin, end)) != 0)
            goto no_memory;
    }
    for (size_t i = 0; i < metadata_count; i++)
        if (json_object_set_new(pairs, metadata[2 * i], json_string(metadata[2 * i + 1])) != 0)
            goto no_memory;
    if (pairs != NULL && json_object_set(header, "__metadata__", pairs) != 0)
        goto no_memory;
    *data_size = end;
    text = bundle_json_text(header, err);
    goto out;
no_memory:
    ood_fail(err, OOD_INVALID, "header: a name or metadata is not UTF-8, or out of memory");
out:
    json_decref(pairs);
    json_decref(header);
    return text;
}

bool ood_safetensors_write(const struct ood_safetensors_entry *entries, size_t count, const char *const *metadata,
                           size_t metadata_count, struct ood_bytes *out, struct ood_error *err)
{
    unsigned char *bytes = NULL;
    char *header = NULL;
    size_t data_size, length, padded, size;
    struct ood_safetensors_entry *sorted = ood_new_array(struct ood_safetensors_entry, count, err);
    if (sorted == NULL)
        return false;
    if (count > 0) {
        memcpy(sorted, entries, count * sizeof *sorted);
        qsort(sorted, count, sizeof *sorted, by_width_and_name);
    }
    header = make_header(sorted, count, metadata, metadata_count, &data_size, err);
    if (header == NULL)
        goto out;
    length = strlen(header);
    padded = (length + 7) / 8 * 8;
    if (padded > HEADER_MOST || !ood_add_size(data_size, 8 + padded, &size)) {
        ood_fail(err, OOD_LIMIT, "header: %zu bytes, expected at most %zu", padded, HEADER_MOST);
        goto out;
    }
    bytes = ood_alloc(size + 1, 1, err);       /* the byte behind, as ood_bytes has */
    if (bytes == NULL)
        goto out;
    for (size_t i = 0; i < 8; i++)
        bytes[i] = (unsigned char)((uint64_t)padded >> (8 * i));
    memcpy(bytes + 8, header, length);
    memset(bytes + 8 + length, ' ', padded - length);
    for (size_t i = 0, at = 8 + padded; i < count; at += sorted[i].count * types[sorted[i].type].width, i++)
        copy_elements(bytes + at, sorted[i].data, sorted[i].count, types[sorted[i].type].width);
    *out = (struct ood_bytes){ bytes, size };
out:
    ood_free(header);
    ood_free(sorted);
    return bytes != NULL;
}
