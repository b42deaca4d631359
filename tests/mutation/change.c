/* Changes by protobuf-c's descriptors: any field that is there, whatever ONNX calls it; and some that know what they do. */
#include "change.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"

static uint64_t below(struct change *c, uint64_t limit) { return ood_random_below(c->random, limit); }

static void *room(struct change *c, size_t count, size_t size)
{
    struct ood_error err = { 0 };
    void *memory = ood_pool_alloc(c->pool, count, size, &err);
    if (memory == NULL) {
        fprintf(stderr, "mutate: %s\n", err.message);
        exit(99);
    }
    return memory;
}

static char *copy_text(struct change *c, const char *text, size_t length)
{
    char *copy = room(c, length + 1, 1);
    memcpy(copy, text, length);
    return copy;
}

/* ---- every field that is there ---- */

struct spot { ProtobufCMessage *message; const ProtobufCFieldDescriptor *field; };
struct spots { struct spot *items; size_t count, capacity; };

static void *member(const struct spot *s) { return (char *)s->message + s->field->offset; }
static size_t *quantity(const struct spot *s) { return (size_t *)(void *)((char *)s->message + s->field->quantifier_offset); }

static bool is_there(const struct spot *s)
{
    if (s->field->label == PROTOBUF_C_LABEL_REPEATED)
        return *quantity(s) > 0;
    const bool oneof = (s->field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0;
    if (oneof && *(uint32_t *)(void *)quantity(s) != s->field->id)
        return false;                        /* what is in the union is another field's */
    if (s->field->type == PROTOBUF_C_TYPE_STRING || s->field->type == PROTOBUF_C_TYPE_MESSAGE)
        return *(void **)member(s) != NULL;
    return oneof || s->field->label == PROTOBUF_C_LABEL_REQUIRED || *(protobuf_c_boolean *)(void *)quantity(s) != 0;
}

/* only NULL: all; else only fields of messages of this name. As deep as ONNX nests, which the reader limits. */
static void collect(struct change *c, ProtobufCMessage *message, const char *only, struct spots *spots)
{
    const ProtobufCMessageDescriptor *d = message->descriptor;
    for (unsigned i = 0; i < d->n_fields; i++) {
        const struct spot spot = { message, &d->fields[i] };
        if (!is_there(&spot))
            continue;
        if (only == NULL || strcmp(d->short_name, only) == 0) {
            if (spots->count == spots->capacity) {
                const size_t capacity = spots->capacity * 2 + 64;
                struct spot *more = room(c, capacity, sizeof *more);
                if (spots->count > 0)
                    memcpy(more, spots->items, spots->count * sizeof *more);
                *spots = (struct spots){ more, spots->count, capacity };
            }
            spots->items[spots->count++] = spot;
        }
        if (spot.field->type != PROTOBUF_C_TYPE_MESSAGE)
            continue;
        const bool repeated = spot.field->label == PROTOBUF_C_LABEL_REPEATED;
        ProtobufCMessage **children = repeated ? *(ProtobufCMessage ***)member(&spot) : (ProtobufCMessage **)member(&spot);
        for (size_t k = 0; k < (repeated ? *quantity(&spot) : 1); k++)
            collect(c, children[k], only, spots);
    }
}

/* ---- numbers ---- */

static int64_t odd_integer(struct change *c, int64_t was)
{
    static const int64_t odd[] = { 0, 1, -1, 2, 3, 7, 8, 64, 255, 4096, 65536, INT32_MAX, INT32_MIN, INT64_C(1) << 40, INT64_MAX, INT64_MIN, -2, 1000000 };
    const uint64_t draw = below(c, 10);
    if (draw < 5)
        return odd[below(c, sizeof odd / sizeof odd[0])];
    if (draw < 8)
        return (int64_t)((uint64_t)was + below(c, 7) - 3);
    return draw == 8 ? (int64_t)((uint64_t)was ^ UINT64_C(1) << below(c, 64)) : (int64_t)(0 - (uint64_t)was);
}

static double odd_real(struct change *c, double was)
{
    static const double odd[] = { 0, -0.0, 1, -1, 1e-45, 3.4e38, -3.4e38, 0.5, 1e-5 };
    const uint64_t draw = below(c, 12);
    return draw < 9 ? odd[draw] : draw == 9 ? (double)NAN : draw == 10 ? (double)INFINITY : -was;
}

static size_t element_size(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_INT64: case PROTOBUF_C_TYPE_SINT64: case PROTOBUF_C_TYPE_SFIXED64: case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64: case PROTOBUF_C_TYPE_DOUBLE:
        return 8;
    case PROTOBUF_C_TYPE_BYTES:
        return sizeof(ProtobufCBinaryData);
    case PROTOBUF_C_TYPE_STRING: case PROTOBUF_C_TYPE_MESSAGE:
        return sizeof(void *);
    default:
        return 4;
    }
}

static void change_number(struct change *c, ProtobufCType type, void *at)
{
    double real;
    float narrow;
    int64_t wide;
    int32_t less;
    switch (type) {
    case PROTOBUF_C_TYPE_FLOAT:
        memcpy(&narrow, at, 4);
        narrow = (float)odd_real(c, (double)narrow);
        memcpy(at, &narrow, 4);
        break;
    case PROTOBUF_C_TYPE_DOUBLE:
        memcpy(&real, at, 8);
        real = odd_real(c, real);
        memcpy(at, &real, 8);
        break;
    default:
        if (element_size(type) == 8) {
            memcpy(&wide, at, 8);
            wide = odd_integer(c, wide);
            memcpy(at, &wide, 8);
        } else {
            memcpy(&less, at, 4);
            less = (int32_t)(uint32_t)(uint64_t)odd_integer(c, less);
            memcpy(at, &less, 4);
        }
    }
}

/* ---- texts and bytes ---- */

/* Another string of the same kind of field, an operator's name, a broken copy, nothing. */
static char *odd_text(struct change *c, const char *was, const struct spot *s, const struct spots *spots)
{
    const size_t length = strlen(was);
    switch (below(c, 6)) {
    case 0:
        return copy_text(c, "", 0);
    case 1: {
        char *broken = copy_text(c, was, length);
        if (length > 0)
            broken[below(c, length)] = (char)(1 + below(c, 255));
        return broken;
    }
    case 2:
        return copy_text(c, was, length > 0 ? below(c, length) : 0);
    case 3: {
        size_t count = 0;
        while (c->operators[count] != NULL)
            count++;
        const char *name = c->operators[below(c, count)];
        return copy_text(c, name, strlen(name));
    }
    default:
        for (size_t tries = 0; tries < 64; tries++) {
            const struct spot *other = &spots->items[below(c, spots->count)];
            if (other->field->type != PROTOBUF_C_TYPE_STRING || (tries < 32 && strcmp(other->field->name, s->field->name) != 0))
                continue;
            const char *text = other->field->label == PROTOBUF_C_LABEL_REPEATED ? (*(char ***)member(other))[below(c, *quantity(other))] : *(char **)member(other);
            return copy_text(c, text, strlen(text));
        }
        return copy_text(c, "x", 1);
    }
}

static void odd_bytes(struct change *c, ProtobufCBinaryData *data)
{
    const size_t was = data->len;
    unsigned char *copy = room(c, was + 8, 1);
    if (was > 0)
        memcpy(copy, data->data, was);
    switch (below(c, 4)) {
    case 0:
        data->len = was > 0 ? below(c, was) : 0;
        break;
    case 1:
        data->len = was + 1 + below(c, 7);
        break;
    default:
        for (size_t i = 0; was > 0 && i < 1 + below(c, 16); i++)
            copy[below(c, was)] = (unsigned char)below(c, 256);
    }
    data->data = copy;
}

/* ---- one field ---- */

/* Of a list: an element gone, twice, two exchanged, most of it gone; else one element changed. */
static void change_list(struct change *c, const struct spot *s, const struct spots *spots)
{
    const size_t size = element_size(s->field->type), count = *quantity(s), i = below(c, count), k = below(c, count);
    char *list = room(c, count + 1, size);
    memcpy(list, *(void **)member(s), count * size);
    *(void **)member(s) = list;
    const uint64_t draw = below(c, s->field->type == PROTOBUF_C_TYPE_MESSAGE ? 5 : 9);
    if (draw == 0 || draw == 1) {
        memmove(list + i * size, list + (i + 1) * size, (count - i - 1) * size);
        --*quantity(s);
    } else if (draw == 2) {
        memmove(list + (i + 1) * size, list + i * size, (count - i) * size);
        ++*quantity(s);
    } else if (draw == 3) {
        char swap[sizeof(ProtobufCBinaryData)];
        memcpy(swap, list + i * size, size);
        memcpy(list + i * size, list + k * size, size);
        memcpy(list + k * size, swap, size);
    } else if (draw == 4) {
        *quantity(s) = i;
    } else if (s->field->type == PROTOBUF_C_TYPE_STRING) {
        ((char **)(void *)list)[i] = odd_text(c, ((char **)(void *)list)[i], s, spots);
    } else if (s->field->type == PROTOBUF_C_TYPE_BYTES) {
        odd_bytes(c, (ProtobufCBinaryData *)(void *)list + i);
    } else {
        change_number(c, s->field->type, list + i * size);
    }
}

static void change_field(struct change *c, const struct spot *s, const struct spots *spots)
{
    if (s->field->label == PROTOBUF_C_LABEL_REPEATED) {
        change_list(c, s, spots);
        return;
    }
    const bool oneof = (s->field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0;
    const bool drop = below(c, 5) == 0 && s->field->label == PROTOBUF_C_LABEL_OPTIONAL && !oneof;
    if (s->field->type == PROTOBUF_C_TYPE_STRING)
        *(char **)member(s) = drop ? NULL : odd_text(c, *(char **)member(s), s, spots);
    else if (s->field->type == PROTOBUF_C_TYPE_MESSAGE)
        *(void **)member(s) = oneof || below(c, 8) > 0 ? *(void **)member(s) : NULL;
    else if (drop)
        *(protobuf_c_boolean *)(void *)quantity(s) = 0;
    else if (s->field->type == PROTOBUF_C_TYPE_BYTES)
        odd_bytes(c, member(s));
    else
        change_number(c, s->field->type, member(s));
}

/* ---- changes that know what they do ---- */

/* An operator's name in place of another's: the commonest way to inputs and attributes that do not fit. */
static bool change_operator(struct change *c, Onnx__GraphProto *graph)
{
    size_t count = 0;
    while (c->operators[count] != NULL)
        count++;
    if (graph->n_node == 0)
        return false;
    Onnx__NodeProto *node = graph->node[below(c, graph->n_node)];
    const char *name = c->operators[below(c, count)];
    snprintf(c->told, sizeof c->told, "%.60s of %.60s becomes %s", node->op_type, node->n_output > 0 ? node->output[0] : "nothing", name);
    node->op_type = copy_text(c, name, strlen(name));
    return true;
}

/* A node that reads another value of the graph. */
static bool change_wire(struct change *c, Onnx__GraphProto *graph)
{
    if (graph->n_node == 0)
        return false;
    const size_t place = below(c, graph->n_node), before = below(c, 8) > 0 ? place : graph->n_node - 1;
    Onnx__NodeProto *node = graph->node[place], *other = graph->node[below(c, before + (before == 0))];      /* mostly one before */
    if (node->n_input == 0 || other->n_output == 0 || graph->n_input == 0)
        return false;
    const size_t i = below(c, node->n_input);
    char **inputs = room(c, node->n_input, sizeof *inputs);
    memcpy(inputs, node->input, node->n_input * sizeof *inputs);
    inputs[i] = graph->n_initializer > 0 && below(c, 3) == 0 ? graph->initializer[below(c, graph->n_initializer)]->name
                : before == 0 ? graph->input[below(c, graph->n_input)]->name : other->output[0];
    if (inputs[i] == NULL)
        return false;
    snprintf(c->told, sizeof c->told, "input %zu of %.60s becomes %.60s", i, node->op_type, inputs[i]);
    node->input = inputs;
    return true;
}

/* Dimensions of an initialiser exchanged, or moved from one to another: the bytes still fit. */
static bool change_shape(struct change *c, Onnx__GraphProto *graph)
{
    if (graph->n_initializer == 0)
        return false;
    Onnx__TensorProto *tensor = graph->initializer[below(c, graph->n_initializer)];
    if (tensor->n_dims == 0)
        return false;
    int64_t *dims = room(c, tensor->n_dims + 2, sizeof *dims);
    memcpy(dims, tensor->dims, tensor->n_dims * sizeof *dims);
    const size_t i = below(c, tensor->n_dims), k = below(c, tensor->n_dims);
    if (below(c, 2) == 0) {
        const int64_t swap = dims[i];
        dims[i] = dims[k];
        dims[k] = swap;
    } else if (below(c, 2) == 0) {
        dims[tensor->n_dims++] = 1;
    } else if (i != k) {
        dims[i] = (int64_t)((uint64_t)dims[i] * (uint64_t)dims[k]);
        dims[k] = 1;
    }
    snprintf(c->told, sizeof c->told, "the shape of %.80s", tensor->name != NULL ? tensor->name : "");
    tensor->dims = dims;
    return true;
}

static bool change_opset(struct change *c, Onnx__ModelProto *model)
{
    if (model->n_opset_import == 0)
        return false;
    Onnx__OperatorSetIdProto *import = model->opset_import[below(c, model->n_opset_import)];
    import->has_version = 1;
    import->version = 5 + (int64_t)below(c, 16);
    snprintf(c->told, sizeof c->told, "opset %d", (int)import->version);
    return true;
}

void change_model(struct change *c, Onnx__ModelProto *model)
{
    static const char *const kinds[] = { NULL, "NodeProto", "AttributeProto", "TensorProto", "ValueInfoProto", "Dimension", "GraphProto" };
    struct spots all = { 0 };
    const uint64_t draw = below(c, 20);
    if (model->graph != NULL && ((draw < 4 && change_operator(c, model->graph)) || (draw >= 4 && draw < 8 && change_wire(c, model->graph)) ||
                                 (draw >= 8 && draw < 10 && change_shape(c, model->graph)) || (draw == 10 && change_opset(c, model))))
        return;
    const char *only = kinds[below(c, sizeof kinds / sizeof kinds[0])];
    collect(c, &model->base, only, &all);
    if (all.count == 0)
        return;
    const struct spot *spot = &all.items[below(c, all.count)];
    snprintf(c->told, sizeof c->told, "%s.%s", spot->message->descriptor->short_name, spot->field->name);
    change_field(c, spot, &all);
}

void change_bytes(struct change *c, unsigned char *bytes, size_t *size)
{
    if (*size < 2)
        return;
    const size_t at = below(c, *size);
    switch (below(c, 4)) {
    case 0:
        *size = at;
        snprintf(c->told, sizeof c->told, "cut off at byte %zu", at);
        break;
    case 1: {
        const size_t from = below(c, *size), most = *size - (at > from ? at : from), length = most > 1 ? below(c, most < 200 ? most : 200) : 0;
        memmove(bytes + at, bytes + from, length);
        snprintf(c->told, sizeof c->told, "%zu bytes from %zu to %zu", length, from, at);
        break;
    }
    default:
        bytes[at] = (unsigned char)below(c, 256);
        snprintf(c->told, sizeof c->told, "byte %zu becomes %u", at, bytes[at]);
    }
}
