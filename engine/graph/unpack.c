/* From bytes to protobuf-c's structures: the scan first, then protobuf-c with memory from a pool that has a limit. */
#include "graph/read_internal.h"
#include "graph/scan.h"
#include "graph/slim.h"

struct allocator {
    struct ood_pool *pool;
    struct ood_error *err;
};

static void *pool_allocate(void *data, size_t size)
{
    struct allocator *allocator = data;
    return ood_pool_alloc(allocator->pool, 1, size, allocator->err);
}

/* The pool is freed as a whole. */
static void pool_release(void *data, void *pointer)
{
    (void)data;
    (void)pointer;
}

static bool scan(const ProtobufCMessageDescriptor *root, const struct ood_bytes *bytes, struct ood_pool *pool, struct ood_error *err)
{
    if (bytes->size > OOD_MODEL_BYTES_MOST)
        return ood_fail(err, OOD_LIMIT, "%zu bytes, more than the limit of %zu", bytes->size, OOD_MODEL_BYTES_MOST);
    struct ood_scan_limits limits = ood_scan_limits_for(bytes->size);
    pool->limit = limits.memory;
    return ood_scan(root, bytes->data, bytes->size, &limits, err) || ood_error_prefix(err, "not an ONNX file");
}

static ProtobufCMessage *unpack(const ProtobufCMessageDescriptor *root, const struct ood_bytes *bytes, struct ood_pool *pool,
                                struct ood_error *err)
{
    struct ood_error failure = { 0 };
    struct allocator allocator = { .pool = pool, .err = &failure };
    ProtobufCAllocator functions = { .alloc = pool_allocate, .free = pool_release, .allocator_data = &allocator };
    ProtobufCMessage *message = protobuf_c_message_unpack(root, &functions, bytes->size, bytes->data);
    if (message != NULL)
        return message;
    if (failure.code != OOD_OK)
        *err = failure;
    else
        ood_fail(err, OOD_INVALID, "not an ONNX file: protobuf-c cannot read it");
    return NULL;
}

ProtobufCMessage *ood_onnx_unpack(const ProtobufCMessageDescriptor *root, const struct ood_bytes *bytes,
                                  struct ood_pool *pool, struct ood_error *err)
{
    return scan(root, bytes, pool, err) ? unpack(root, bytes, pool, err) : NULL;
}

Onnx__ModelProto *ood_onnx_unpack_model(const struct ood_bytes *bytes, struct ood_pool *pool, struct ood_error *err)
{
    struct ood_slim slim = { 0 };
    if (!scan(&onnx__model_proto__descriptor, bytes, pool, err) || !ood_slim_make(bytes, &slim, err))
        return NULL;
    Onnx__ModelProto *model = (Onnx__ModelProto *)unpack(&onnx__model_proto__descriptor, slim.bytes.data != NULL ? &slim.bytes : bytes, pool, err);
    for (size_t i = 0; model != NULL && model->graph != NULL && i < slim.slice_count && i < model->graph->n_initializer; i++)
        if (slim.slices[i].data != NULL) {
            union { const unsigned char *data; unsigned char *mutable; } place = { slim.slices[i].data };    /* only read */
            Onnx__TensorProto *tensor = model->graph->initializer[i];
            tensor->has_raw_data = true;
            tensor->raw_data = (ProtobufCBinaryData){ .len = slim.slices[i].size, .data = place.mutable };
        }
    ood_slim_free(&slim);
    return model;
}
