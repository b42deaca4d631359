/* A model's message without the bytes of its large initialisers, which protobuf-c would copy: they are read where they lie in the file. */
#include "graph/slim.h"

#include <string.h>

enum { MODEL_GRAPH = 7, GRAPH_INITIALIZER = 5, TENSOR_RAW_DATA = 9 };            /* onnx.proto's field numbers */
enum { LENGTH_DELIMITED = 2 };

#define LEAST_CUT 4096                       /* bytes; smaller ones are copied */

/* One field: `start` to `end` in all; of length-delimited ones the contents from `inside` on. The scan (scan.h) saw that all of it is there. */
struct field { const unsigned char *start, *inside, *end; uint32_t number; unsigned wire; };

static uint64_t varint(const unsigned char **at, const unsigned char *end)
{
    uint64_t value = 0;
    for (unsigned shift = 0; *at < end; shift += 7) {
        const unsigned char byte = *(*at)++;
        value |= shift < 64 ? (uint64_t)(byte & 0x7F) << shift : 0;
        if (byte < 0x80)
            break;
    }
    return value;
}

/* The field at `at`, or false at the end. Whatever the bytes are, nothing behind `end` is read. */
static bool next_field(const unsigned char *at, const unsigned char *end, struct field *out)
{
    if (at >= end)
        return false;
    *out = (struct field){ .start = at };
    const uint64_t tag = varint(&at, end);
    size_t length;
    out->number = (uint32_t)(tag >> 3);
    out->wire = (unsigned)(tag & 7);
    switch (out->wire) {
    case LENGTH_DELIMITED: {
        const uint64_t given = varint(&at, end);
        out->inside = at;
        length = given < (uint64_t)(end - at) ? (size_t)given : (size_t)(end - at);
        break;
    }
    case 1:
        length = 8;
        break;
    case 5:
        length = 4;
        break;
    default:
        (void)varint(&at, end);
        length = 0;
    }
    out->end = length < (size_t)(end - at) ? at + length : end;
    return true;
}

static bool is(const struct field *field, uint32_t number)
{
    return field->number == number && field->wire == LENGTH_DELIMITED;
}

static size_t varint_size(uint64_t value)
{
    size_t size = 1;
    for (; value >= 0x80; value >>= 7)
        size++;
    return size;
}

static unsigned char *put_varint(unsigned char *to, uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        *to++ = (unsigned char)(value | 0x80);
    *to++ = (unsigned char)value;
    return to;
}

static unsigned char *put(unsigned char *to, const unsigned char *from, const unsigned char *end)
{
    memcpy(to, from, (size_t)(end - from));
    return to + (end - from);
}

/* The tensor's contents without its last large raw_data, if nothing but one of them is there. *cut: where that lies. */
static size_t slim_tensor(const struct field *tensor, struct ood_slice *cut)
{
    size_t size = (size_t)(tensor->end - tensor->inside), found = 0;
    struct field field;
    *cut = (struct ood_slice){ NULL, 0 };
    for (const unsigned char *at = tensor->inside; next_field(at, tensor->end, &field); at = field.end)
        if (is(&field, TENSOR_RAW_DATA)) {
            *cut = (struct ood_slice){ field.inside, (size_t)(field.end - field.inside) };
            size = (size_t)(tensor->end - tensor->inside) - (size_t)(field.end - field.start);
            found++;
        }
    if (found == 1 && cut->size >= LEAST_CUT)
        return size;
    *cut = (struct ood_slice){ NULL, 0 };
    return (size_t)(tensor->end - tensor->inside);
}

/* The graph's contents, slimmed: how large, how many initialisers; written where `to` is not NULL, slices too. */
static size_t slim_graph(const struct field *graph, unsigned char *to, struct ood_slice *slices, size_t *count)
{
    size_t size = 0;
    struct field field, inner;
    struct ood_slice cut;
    *count = 0;
    for (const unsigned char *at = graph->inside; next_field(at, graph->end, &field); at = field.end) {
        if (!is(&field, GRAPH_INITIALIZER)) {
            size += (size_t)(field.end - field.start);
            to = to != NULL ? put(to, field.start, field.end) : NULL;
            continue;
        }
        const size_t tensor = slim_tensor(&field, &cut);
        size += 1 + varint_size(tensor) + tensor;
        if (to != NULL) {
            slices[*count] = cut;
            to = put_varint(put_varint(to, GRAPH_INITIALIZER << 3 | LENGTH_DELIMITED), tensor);
            for (const unsigned char *in = field.inside; next_field(in, field.end, &inner); in = inner.end)
                if (cut.data == NULL || !is(&inner, TENSOR_RAW_DATA))
                    to = put(to, inner.start, inner.end);
        }
        ++*count;
    }
    return size;
}

bool ood_slim_make(const struct ood_bytes *bytes, struct ood_slim *out, struct ood_error *err)
{
    const unsigned char *end = bytes->data + bytes->size;
    size_t size = 0, graphs = 0, graph_size = 0, count = 0;
    struct field field;
    *out = (struct ood_slim){ 0 };
    for (const unsigned char *at = bytes->data; next_field(at, end, &field); at = field.end)
        if (is(&field, MODEL_GRAPH)) {
            graph_size = slim_graph(&field, NULL, NULL, &count);
            size += 1 + varint_size(graph_size) + graph_size;
            graphs++;
        } else {
            size += (size_t)(field.end - field.start);
        }
    if (graphs != 1 || size > bytes->size / 2)
        return true;                         /* little to gain, or not as files are */
    struct ood_slim slim = { .slices = ood_new_array(struct ood_slice, count, err), .slice_count = count };
    slim.bytes.data = slim.slices == NULL ? NULL : ood_alloc(size, 1, err);
    slim.bytes.size = size;
    if (slim.bytes.data == NULL) {
        ood_free(slim.slices);
        return false;
    }
    unsigned char *to = slim.bytes.data;
    for (const unsigned char *at = bytes->data; next_field(at, end, &field); at = field.end)
        if (is(&field, MODEL_GRAPH)) {
            to = put_varint(put_varint(to, MODEL_GRAPH << 3 | LENGTH_DELIMITED), graph_size);
            to += slim_graph(&field, to, slim.slices, &count);
        } else {
            to = put(to, field.start, field.end);
        }
    *out = slim;
    return true;
}

void ood_slim_free(struct ood_slim *slim)
{
    ood_bytes_free(&slim->bytes);
    ood_free(slim->slices);
    *slim = (struct ood_slim){ 0 };
}
