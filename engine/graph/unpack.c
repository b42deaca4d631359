/* From bytes to protobuf-c's structures: the scan first, then protobuf-c with memory from a pool that has a limit. */
#include "graph/read_internal.h"
#include "graph/scan.h"

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

ProtobufCMessage *ood_onnx_unpack(const ProtobufCMessageDescriptor *root, const struct ood_bytes *bytes,
                                  struct ood_pool *pool, struct ood_error *err)
{
    if (bytes->size > OOD_MODEL_BYTES_MOST) {
        ood_fail(err, OOD_LIMIT, "%zu bytes, more than the limit of %zu", bytes->size, OOD_MODEL_BYTES_MOST);
        return NULL;
    }
    struct ood_scan_limits limits = ood_scan_limits_for(bytes->size);
    if (!ood_scan(root, bytes->data, bytes->size, &limits, err)) {
        ood_error_prefix(err, "not an ONNX file");
        return NULL;
    }
    struct ood_error failure = { 0 };
    struct allocator allocator = { .pool = pool, .err = &failure };
    ProtobufCAllocator functions = { .alloc = pool_allocate, .free = pool_release, .allocator_data = &allocator };
    pool->limit = limits.memory;
    ProtobufCMessage *message = protobuf_c_message_unpack(root, &functions, bytes->size, bytes->data);
    if (message != NULL)
        return message;
    if (failure.code != OOD_OK)
        *err = failure;
    else
        ood_fail(err, OOD_INVALID, "not an ONNX file: protobuf-c cannot read it");
    return NULL;
}
