/* A file read in pieces (graph/slim.h) is the same message as one read whole, and what it gave up of its bytes while weights were taken out of them comes
 * back: any bytes that are a model either way are the same model. */
#include <string.h>

#include "fuzz.h"
#include "graph/read_internal.h"
#include "ops/ops.h"

/* The message as bytes, or NULL: refused, in a sentence. */
static unsigned char *packed(const ProtobufCMessage *message, const struct ood_error *err, size_t *size)
{
    struct ood_error none = { 0 };
    fuzz_require(message != NULL || (err->code != OOD_OK && err->message[0] != '\0'));
    if (message == NULL)
        return NULL;
    *size = protobuf_c_message_get_packed_size(message);
    unsigned char *bytes = ood_alloc(*size + 1, 1, &none);
    fuzz_require(bytes != NULL && protobuf_c_message_pack(message, bytes) == *size);
    return bytes;
}

static void same_message(const struct ood_bytes *file)
{
    struct ood_pool one = { 0 }, other = { 0 };
    struct ood_error err = { 0 }, first = { 0 };
    size_t sizes[2] = { 0, 0 };
    unsigned char *whole = packed(ood_onnx_unpack(&onnx__model_proto__descriptor, file, &one, &first), &first, &sizes[0]);
    const Onnx__ModelProto *model = ood_onnx_unpack_model(file, &other, &err);
    unsigned char *pieces = packed(model != NULL ? &model->base : NULL, &err, &sizes[1]);
    /* Memory is limited by the file's size: pieces need less, so they may be read where the whole is not. */
    fuzz_require(whole == NULL ? pieces == NULL || first.code == OOD_LIMIT || first.code == OOD_OUT_OF_MEMORY : pieces != NULL);
    if (whole != NULL)
        fuzz_require(sizes[0] == sizes[1] && memcmp(whole, pieces, sizes[0]) == 0);
    ood_free(whole);
    ood_free(pieces);
    ood_pool_free(&one);
    ood_pool_free(&other);
}

/* Reads with and without `spend`: the same answer, the same weights; what was refused left the file as it was, or can put it back. */
static void same_graph(const struct ood_bytes *file)
{
    struct ood_error kept_err = { 0 }, spent_err = { 0 };
    struct ood_bytes copy = { ood_alloc(file->size + 1, 1, &kept_err), file->size };
    fuzz_require(copy.data != NULL);
    memcpy(copy.data, file->data, file->size);
    struct ood_graph_options options = { .operators = ood_op_table, .one_if_needed = true };
    struct ood_graph *kept = ood_graph_read(file, &options, &kept_err);
    options.spend = true;
    struct ood_graph *spent = ood_graph_read(&copy, &options, &spent_err);
    fuzz_require((kept != NULL) == (spent != NULL) && kept_err.code == spent_err.code && strcmp(kept_err.message, spent_err.message) == 0);
    for (size_t v = 0; kept != NULL && v < kept->value_count; v++) {
        const struct ood_tensor *a = kept->values[v].constant, *b = spent->values[v].constant;
        fuzz_require((a != NULL) == (b != NULL));
        if (a != NULL)
            fuzz_require(a->count == b->count && (a->count == 0 || memcmp(a->data, b->data, a->count * ood_type_size(a->type)) == 0));
    }
    if (spent != NULL) {
        ood_graph_restore(spent);
        fuzz_require(memcmp(copy.data, file->data, file->size) == 0);
    }
    ood_graph_free(kept);
    ood_graph_free(spent);
    ood_bytes_free(&copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    const struct ood_bytes file = { (unsigned char *)data, size };
    same_message(&file);
    same_graph(&file);
    return 0;
}
