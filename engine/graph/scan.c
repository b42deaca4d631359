/* The bounded scan of a protobuf file. It follows protobuf-c's own descriptors, so there is no second list of ONNX's
 * fields, and keeps its place in a small array instead of on the call stack. */
#include "graph/scan.h"

#include <inttypes.h>

enum wire_type { WIRE_VARINT, WIRE_64, WIRE_LENGTH, WIRE_GROUP, WIRE_GROUP_END, WIRE_32 };

/* protobuf-c notes each field before it reads any; a string or array is a block of its own. Generous on purpose. */
#define FIELD_MEMORY 48
#define BLOCK_MEMORY 48

struct frame {
    const ProtobufCMessageDescriptor *message;
    const unsigned char *end;
    uint64_t seen;                           /* singular messages met, by place in the descriptor */
};

struct scan {
    const unsigned char *start, *at;
    const struct ood_scan_limits *limits;
    size_t messages, fields, memory;
    struct frame frames[OOD_SCAN_DEPTH];
    size_t depth;                            /* frames in use */
};

struct ood_scan_limits ood_scan_limits_for(size_t size)
{
    size_t memory;
    if (!ood_mul_size(size, 16, &memory) || !ood_add_size(memory, (size_t)64 << 20, &memory))
        memory = SIZE_MAX;
    return (struct ood_scan_limits){ .depth = OOD_SCAN_DEPTH, .messages = 1u << 20, .fields = 1u << 22, .memory = memory };
}

static size_t offset(const struct scan *scan)
{
    return (size_t)(scan->at - scan->start);
}

/* A varint of at most `most` bytes before `end`. */
static bool read_varint(struct scan *scan, const unsigned char *end, size_t most, uint64_t *out, struct ood_error *err)
{
    uint64_t value = 0;
    const unsigned char *at = scan->at;
    for (size_t i = 0; i < most; i++) {
        if (at == end)
            return ood_fail(err, OOD_INVALID, "offset %zu: a number is cut off", offset(scan));
        unsigned char byte = *at++;
        value |= i < 9 || byte < 2 ? (uint64_t)(byte & 0x7F) << (7 * i) : 0;
        if (byte < 0x80) {
            scan->at = at;
            *out = value;
            return true;
        }
    }
    return ood_fail(err, OOD_INVALID, "offset %zu: a number of more than %zu bytes", offset(scan), most);
}

static bool take_memory(struct scan *scan, size_t bytes, struct ood_error *err)
{
    if (bytes > scan->limits->memory - scan->memory)
        return ood_fail(err, OOD_LIMIT, "unpacking needs more than the limit of %zu bytes", scan->limits->memory);
    scan->memory += bytes;
    return true;
}

static bool push(struct scan *scan, const ProtobufCMessageDescriptor *message, const unsigned char *end,
                 struct ood_error *err)
{
    if (scan->depth >= scan->limits->depth || scan->depth >= OOD_SCAN_DEPTH)
        return ood_fail(err, OOD_LIMIT, "offset %zu: messages nest deeper than the limit of %zu", offset(scan),
                        scan->limits->depth);
    if (scan->messages++ >= scan->limits->messages)
        return ood_fail(err, OOD_LIMIT, "more than the limit of %zu messages", scan->limits->messages);
    if (!take_memory(scan, message->sizeof_message + BLOCK_MEMORY, err))
        return false;
    scan->frames[scan->depth++] = (struct frame){ .message = message, .end = end };
    return true;
}

/* The wire type of one element, and in *size its bytes where fixed, *memory its bytes unpacked. */
static enum wire_type element_wire_type(ProtobufCType type, size_t *size, size_t *memory)
{
    *size = 0;
    switch (type) {
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_FLOAT:
        *size = *memory = 4;
        return WIRE_32;
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        *size = *memory = 8;
        return WIRE_64;
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_BYTES:
    case PROTOBUF_C_TYPE_MESSAGE:
        *memory = 16;
        return WIRE_LENGTH;
    default:
        *memory = 8;
        return WIRE_VARINT;
    }
}

/* length bytes at scan->at hold packed elements. */
static bool scan_packed(struct scan *scan, size_t length, enum wire_type wire, size_t size, size_t memory,
                        struct ood_error *err)
{
    const unsigned char *end = scan->at + length;
    if (wire != WIRE_VARINT) {
        if (length % size != 0)
            return ood_fail(err, OOD_INVALID, "offset %zu: a packed list of %zu bytes, not a multiple of %zu",
                            offset(scan), length, size);
        scan->at = end;
        return take_memory(scan, length + BLOCK_MEMORY, err);
    }
    size_t count = 0;
    for (uint64_t ignored; scan->at < end; count++)
        if (!read_varint(scan, end, 10, &ignored, err))
            return false;
    return take_memory(scan, count * memory + BLOCK_MEMORY, err);
}

static bool read_length(struct scan *scan, const unsigned char *end, size_t *length, struct ood_error *err)
{
    size_t place = offset(scan);
    uint64_t value = 0;
    if (!read_varint(scan, end, 5, &value, err))
        return false;
    size_t left = (size_t)(end - scan->at);
    if (value > left)
        return ood_fail(err, OOD_INVALID, "offset %zu: a length of %" PRIu64 " bytes where %zu are left", place,
                        value, left);
    *length = (size_t)value;
    return true;
}

static bool skip_fixed(struct scan *scan, const unsigned char *end, size_t size, struct ood_error *err)
{
    if ((size_t)(end - scan->at) < size)
        return ood_fail(err, OOD_INVALID, "offset %zu: a number is cut off", offset(scan));
    scan->at += size;
    return true;
}

/* A field the schema does not know (of a later ONNX): stepped over; protobuf-c keeps a copy. */
static bool scan_unknown(struct scan *scan, const unsigned char *end, unsigned wire, struct ood_error *err)
{
    uint64_t ignored;
    size_t length = 0;
    switch (wire) {
    case WIRE_VARINT:
        return read_varint(scan, end, 10, &ignored, err) && take_memory(scan, 10 + BLOCK_MEMORY, err);
    case WIRE_64:
        return skip_fixed(scan, end, 8, err) && take_memory(scan, 8 + BLOCK_MEMORY, err);
    case WIRE_32:
        return skip_fixed(scan, end, 4, err) && take_memory(scan, 4 + BLOCK_MEMORY, err);
    default:
        if (!read_length(scan, end, &length, err))
            return false;
        scan->at += length;
        return take_memory(scan, length + 5 + BLOCK_MEMORY, err);
    }
}

static bool scan_known(struct scan *scan, struct frame *frame, const ProtobufCFieldDescriptor *field, unsigned wire,
                       struct ood_error *err)
{
    size_t size, memory, length = 0, place = offset(scan);
    bool repeated = field->label == PROTOBUF_C_LABEL_REPEATED;
    enum wire_type expected = element_wire_type(field->type, &size, &memory);
    bool packed = repeated && expected != WIRE_LENGTH && wire == WIRE_LENGTH;
    if (wire != expected && !packed)
        return ood_fail(err, OOD_INVALID, "offset %zu: %s.%s has wire type %u, expected %u", place,
                        frame->message->short_name, field->name, wire, (unsigned)expected);
    uint64_t ignored;
    if (expected == WIRE_VARINT && !packed)
        return read_varint(scan, frame->end, 10, &ignored, err) && take_memory(scan, memory, err);
    if (expected != WIRE_LENGTH && !packed)
        return skip_fixed(scan, frame->end, size, err) && take_memory(scan, memory, err);
    if (!read_length(scan, frame->end, &length, err))
        return false;
    if (packed)
        return scan_packed(scan, length, expected, size, memory, err);
    if (!take_memory(scan, memory, err))
        return false;
    if (field->type != PROTOBUF_C_TYPE_MESSAGE) {
        scan->at += length;
        return take_memory(scan, length + BLOCK_MEMORY, err);
    }
    if (!repeated) {
        /* Legal, but merging message after message takes protobuf-c quadratic time, and no writer does it. */
        size_t index = (size_t)(field - frame->message->fields);
        if (index >= 64 || (frame->seen >> index & 1) != 0)
            return ood_fail(err, OOD_INVALID, "offset %zu: %s.%s occurs twice", place, frame->message->short_name,
                            field->name);
        frame->seen |= UINT64_C(1) << index;
    }
    return push(scan, field->descriptor, scan->at + length, err);
}

static bool scan_field(struct scan *scan, struct frame *frame, struct ood_error *err)
{
    size_t place = offset(scan);
    uint64_t tag = 0;
    if (!read_varint(scan, frame->end, 5, &tag, err))
        return false;
    unsigned wire = (unsigned)(tag & 7);
    uint64_t number = tag >> 3;
    if (number == 0 || number > 0x1FFFFFFF)
        return ood_fail(err, OOD_INVALID, "offset %zu: field number %" PRIu64, place, number);
    if (wire == WIRE_GROUP || wire == WIRE_GROUP_END || wire > WIRE_32)
        return ood_fail(err, OOD_INVALID, "offset %zu: wire type %u, which ONNX does not use", place, wire);
    if (scan->fields++ >= scan->limits->fields)
        return ood_fail(err, OOD_LIMIT, "more than the limit of %zu fields", scan->limits->fields);
    if (!take_memory(scan, FIELD_MEMORY, err))
        return false;
    const ProtobufCFieldDescriptor *field = protobuf_c_message_descriptor_get_field(frame->message, (unsigned)number);
    return field == NULL ? scan_unknown(scan, frame->end, wire, err) : scan_known(scan, frame, field, wire, err);
}

bool ood_scan(const ProtobufCMessageDescriptor *root, const unsigned char *bytes, size_t size,
              const struct ood_scan_limits *limits, struct ood_error *err)
{
    struct scan scan = { .start = bytes, .at = bytes, .limits = limits };
    if (!push(&scan, root, bytes + size, err))
        return false;
    while (scan.depth > 0) {
        struct frame *frame = &scan.frames[scan.depth - 1];
        if (scan.at == frame->end)
            scan.depth--;
        else if (!scan_field(&scan, frame, err))
            return false;
    }
    return true;
}
