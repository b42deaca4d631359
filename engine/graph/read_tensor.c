/* ONNX's TensorProto as a tensor: raw or typed data, of exactly the bytes its shape asks for. */
#include "graph/read_internal.h"

#include <string.h>

/* raw_data is little endian by the standard. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "raw tensor data are copied as they are");

bool ood_onnx_type(int32_t data_type, enum ood_type *out, struct ood_error *err)
{
    static const char *const names[] = { "undefined", "float32", "uint8", "int8", "uint16", "int16", "int32", "int64", "string",
                                         "bool", "float16", "double", "uint32", "uint64", "complex64", "complex128", "bfloat16" };
    switch (data_type) {
    case ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT:
        *out = OOD_FLOAT32;
        return true;
    case ONNX__TENSOR_PROTO__DATA_TYPE__INT64:
        *out = OOD_INT64;
        return true;
    case ONNX__TENSOR_PROTO__DATA_TYPE__INT32:
        *out = OOD_INT32;
        return true;
    case ONNX__TENSOR_PROTO__DATA_TYPE__BOOL:
        *out = OOD_BOOL;
        return true;
    default:
        break;
    }
    if (data_type >= 0 && (size_t)data_type < sizeof names / sizeof names[0])
        return ood_fail(err, OOD_UNSUPPORTED, "elements are %s, expected float32, int64, int32 or bool", names[data_type]);
    return ood_fail(err, OOD_UNSUPPORTED, "elements are of type %d, expected float32, int64, int32 or bool", data_type);
}

static bool read_shape(const Onnx__TensorProto *proto, struct ood_shape *shape, size_t *count, struct ood_error *err)
{
    if (proto->n_dims > OOD_MAX_RANK)
        return ood_fail(err, OOD_UNSUPPORTED, "%zu dimensions, at most %d are supported", proto->n_dims, OOD_MAX_RANK);
    shape->rank = proto->n_dims;
    for (size_t i = 0; i < shape->rank; i++) {
        if (proto->dims[i] < 0)
            return ood_fail(err, OOD_INVALID, "dimension %zu is %lld", i, (long long)proto->dims[i]);
        shape->dims[i] = proto->dims[i];
    }
    char text[OOD_SHAPE_TEXT];
    if (!ood_shape_count(shape, count))
        return ood_fail(err, OOD_INVALID, "shape %s is too large", ood_shape_print(shape, text));
    return true;
}

static bool expect_elements(size_t found, size_t expected, const struct ood_shape *shape, const char *where,
                            struct ood_error *err)
{
    char text[OOD_SHAPE_TEXT];
    return found == expected || ood_fail(err, OOD_INVALID, "%s holds %zu elements, shape %s needs %zu", where, found,
                                         ood_shape_print(shape, text), expected);
}

/* Where the elements are: raw_data or the list for the type, and nothing else; as many as the shape asks for. */
static bool check_data(const Onnx__TensorProto *proto, enum ood_type type, const struct ood_shape *shape, size_t count,
                       struct ood_error *err)
{
    size_t lists = (proto->n_float_data != 0) + (proto->n_int32_data != 0) + (proto->n_int64_data != 0) +
                   (proto->n_string_data != 0) + (proto->n_double_data != 0) + (proto->n_uint64_data != 0);
    if (proto->has_raw_data && proto->raw_data.len > 0) {
        if (lists > 0)
            return ood_fail(err, OOD_INVALID, "both raw data and a typed list");
        size_t bytes = count * ood_type_size(type);
        char text[OOD_SHAPE_TEXT];
        return proto->raw_data.len == bytes ||
               ood_fail(err, OOD_INVALID, "raw data of %zu bytes, shape %s of %s needs %zu", proto->raw_data.len,
                        ood_shape_print(shape, text), ood_type_name(type), bytes);
    }
    size_t expected_lists = type == OOD_FLOAT32 ? proto->n_float_data != 0
                            : type == OOD_INT64 ? proto->n_int64_data != 0
                                                : proto->n_int32_data != 0;
    if (lists != expected_lists)
        return ood_fail(err, OOD_INVALID, "data in a list of another type than %s", ood_type_name(type));
    return type == OOD_FLOAT32 ? expect_elements(proto->n_float_data, count, shape, "float_data", err)
           : type == OOD_INT64 ? expect_elements(proto->n_int64_data, count, shape, "int64_data", err)
                               : expect_elements(proto->n_int32_data, count, shape, "int32_data", err);
}

#define PIECE ((size_t)4 << 20)              /* of raw data, given back once copied */

static void copy_raw(const Onnx__TensorProto *proto, bool spend, unsigned char *to)
{
    for (size_t at = 0, size; at < proto->raw_data.len; at += size) {
        size = proto->raw_data.len - at < PIECE ? proto->raw_data.len - at : PIECE;
        memcpy(to + at, proto->raw_data.data + at, size);
        if (spend)
            ood_forget(proto->raw_data.data + at, size);
    }
}

static void copy_data(const Onnx__TensorProto *proto, bool spend, struct ood_tensor *tensor)
{
    if (tensor->count == 0)
        return;
    size_t bytes = tensor->count * ood_type_size(tensor->type);
    if (proto->has_raw_data && proto->raw_data.len > 0)
        copy_raw(proto, spend, tensor->data);
    else if (tensor->type == OOD_FLOAT32)
        memcpy(tensor->data, proto->float_data, bytes);
    else if (tensor->type == OOD_INT64)
        memcpy(tensor->data, proto->int64_data, bytes);
    else if (tensor->type == OOD_INT32)
        memcpy(tensor->data, proto->int32_data, bytes);
    else
        for (size_t i = 0; i < tensor->count; i++)
            ((unsigned char *)tensor->data)[i] = proto->int32_data[i] != 0;
    if (tensor->type == OOD_BOOL)                                     /* raw: any byte but zero is true */
        for (size_t i = 0; i < tensor->count; i++)
            ((unsigned char *)tensor->data)[i] = ((unsigned char *)tensor->data)[i] != 0;
}

/* int64 values near -2^62 mean multiples of the batch to us (tensor.h); a file may not bring its own. */
static bool check_values(const struct ood_tensor *tensor, struct ood_error *err)
{
    if (tensor->type == OOD_INT64)
        for (size_t i = 0; i < tensor->count; i++)
            if (ood_dim_is_batch(ood_i64(tensor)[i]))
                return ood_fail(err, OOD_UNSUPPORTED, "holds %lld, which is reserved", (long long)ood_i64(tensor)[i]);
    return true;
}

struct ood_tensor *ood_onnx_tensor(const Onnx__TensorProto *proto, bool spend, struct ood_error *err)
{
    enum ood_type type;
    struct ood_shape shape = { 0 };
    size_t count;
    if ((proto->has_data_location && proto->data_location != ONNX__TENSOR_PROTO__DATA_LOCATION__DEFAULT) ||
        proto->n_external_data > 0) {
        ood_fail(err, OOD_UNSUPPORTED, "its data are in another file; only data inside the model are read");
        return NULL;
    }
    if (proto->segment != NULL) {
        ood_fail(err, OOD_UNSUPPORTED, "is stored in segments");
        return NULL;
    }
    if (!ood_onnx_type(proto->data_type, &type, err) || !read_shape(proto, &shape, &count, err) ||
        !check_data(proto, type, &shape, count, err))
        return NULL;
    struct ood_tensor *tensor = ood_tensor_new(type, &shape, err);
    if (tensor == NULL)
        return NULL;
    copy_data(proto, spend, tensor);
    if (!check_values(tensor, err)) {
        ood_tensor_free(tensor);
        return NULL;
    }
    return tensor;
}

struct ood_tensor *ood_tensor_read_onnx(const struct ood_bytes *bytes, struct ood_error *err)
{
    struct ood_pool pool = { 0 };
    struct ood_tensor *tensor = NULL;
    ProtobufCMessage *message = ood_onnx_unpack(&onnx__tensor_proto__descriptor, bytes, &pool, err);
    if (message != NULL)
        tensor = ood_onnx_tensor((const Onnx__TensorProto *)message, false, err);
    ood_pool_free(&pool);
    return tensor;
}
