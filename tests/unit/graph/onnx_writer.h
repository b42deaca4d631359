/* Small ONNX files made by hand, message by message on the wire, so that tests of the reader do not lean on the library the
 * reader leans on. Call in this order:
 *
 *     struct onnx_writer w = { 0 };
 *     onnx_model_begin(&w, 13);
 *     onnx_input(&w, "x", ONNX_FLOAT, 4, (int64_t[]){ -1, 3, 8, 8 });        -1: the symbol N
 *     onnx_initialiser(&w, "k", ONNX_FLOAT, 1, (int64_t[]){ 2 }, floats, 8);
 *     onnx_node_begin(&w, "Conv", "conv_1", (const char *[]){ "x", "w" }, 2, (const char *[]){ "y" }, 1);
 *     onnx_ints(&w, "pads", (int64_t[]){ 1, 1, 1, 1 }, 4);                   attributes
 *     onnx_node_end(&w);
 *     onnx_output(&w, "y");
 *     onnx_model_end(&w);                                                    w.data, w.size
 *     onnx_free(&w);
 *
 * Messages may also be made by hand with onnx_begin/onnx_end and the field writers. Memory runs out: abort. */
#ifndef OOD_TESTS_ONNX_WRITER_H
#define OOD_TESTS_ONNX_WRITER_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ONNX_DEPTH 256

enum { ONNX_FLOAT = 1, ONNX_INT32 = 6, ONNX_INT64 = 7, ONNX_BOOL = 9, ONNX_DOUBLE = 11 };        /* TensorProto.DataType */

struct onnx_writer {
    unsigned char *data;
    size_t size, capacity;
    size_t open[ONNX_DEPTH];                 /* where the contents of each open message begin */
    size_t depth;
    int opset;
};

static inline void onnx_free(struct onnx_writer *w)
{
    free(w->data);
    *w = (struct onnx_writer){ 0 };
}

static inline void onnx_put(struct onnx_writer *w, const void *bytes, size_t size)
{
    if (w->size + size > w->capacity) {
        w->capacity = (w->size + size) * 2;
        w->data = realloc(w->data, w->capacity);
        if (w->data == NULL)
            abort();
    }
    if (size > 0)
        memcpy(w->data + w->size, bytes, size);
    w->size += size;
}

static inline size_t onnx_encode(uint64_t value, unsigned char bytes[10])
{
    size_t size = 0;
    do {
        bytes[size++] = (unsigned char)((value & 127) | (value > 127 ? 128 : 0));
        value >>= 7;
    } while (value > 0);
    return size;
}

static inline void onnx_put_varint(struct onnx_writer *w, uint64_t value)
{
    unsigned char bytes[10];
    onnx_put(w, bytes, onnx_encode(value, bytes));
}

/* ---- fields ---- */

static inline void onnx_varint(struct onnx_writer *w, uint32_t field, int64_t value)
{
    onnx_put_varint(w, (uint64_t)field << 3);
    onnx_put_varint(w, (uint64_t)value);
}

static inline void onnx_float_field(struct onnx_writer *w, uint32_t field, float value)
{
    onnx_put_varint(w, ((uint64_t)field << 3) | 5);
    onnx_put(w, &value, sizeof value);
}

static inline void onnx_bytes(struct onnx_writer *w, uint32_t field, const void *bytes, size_t size)
{
    onnx_put_varint(w, ((uint64_t)field << 3) | 2);
    onnx_put_varint(w, size);
    onnx_put(w, bytes, size);
}

static inline void onnx_text(struct onnx_writer *w, uint32_t field, const char *text) { onnx_bytes(w, field, text, strlen(text)); }

/* A message in a field; its length is put in when it ends. */
static inline void onnx_begin(struct onnx_writer *w, uint32_t field)
{
    if (w->depth == ONNX_DEPTH)
        abort();
    onnx_put_varint(w, ((uint64_t)field << 3) | 2);
    w->open[w->depth++] = w->size;
}

static inline void onnx_end(struct onnx_writer *w)
{
    unsigned char bytes[10];
    size_t start = w->open[--w->depth], size = w->size - start, length = onnx_encode(size, bytes);
    onnx_put(w, bytes, length);
    memmove(w->data + start + length, w->data + start, size);
    memcpy(w->data + start, bytes, length);
}

/* ---- tensors ---- */

/* The fields of a TensorProto; raw data of `size` bytes. */
static inline void onnx_tensor_fields(struct onnx_writer *w, const char *name, int type, size_t rank, const int64_t *dims,
                                      const void *raw, size_t size)
{
    for (size_t i = 0; i < rank; i++)
        onnx_varint(w, 1, dims[i]);
    onnx_varint(w, 2, type);
    if (name != NULL)
        onnx_text(w, 8, name);
    onnx_bytes(w, 9, raw, size);
}

static inline void onnx_initialiser(struct onnx_writer *w, const char *name, int type, size_t rank, const int64_t *dims,
                                    const void *raw, size_t size)
{
    onnx_begin(w, 5);
    onnx_tensor_fields(w, name, type, rank, dims, raw, size);
    onnx_end(w);
}

/* ---- inputs and outputs of the graph ---- */

static inline void onnx_input(struct onnx_writer *w, const char *name, int type, size_t rank, const int64_t *dims)
{
    onnx_begin(w, 11);
    onnx_text(w, 1, name);
    onnx_begin(w, 2);
    onnx_begin(w, 1);
    onnx_varint(w, 1, type);
    onnx_begin(w, 2);
    for (size_t i = 0; i < rank; i++) {
        onnx_begin(w, 1);
        if (dims[i] == -1)
            onnx_text(w, 2, "N");
        else
            onnx_varint(w, 1, dims[i]);
        onnx_end(w);
    }
    onnx_end(w);
    onnx_end(w);
    onnx_end(w);
    onnx_end(w);
}

static inline void onnx_output(struct onnx_writer *w, const char *name)
{
    onnx_begin(w, 12);
    onnx_text(w, 1, name);
    onnx_end(w);
}

/* ---- nodes ---- */

/* An empty input name is an omitted input. name may be NULL. */
static inline void onnx_node_begin(struct onnx_writer *w, const char *op, const char *name, const char *const *inputs,
                                   size_t input_count, const char *const *outputs, size_t output_count)
{
    onnx_begin(w, 1);
    for (size_t i = 0; i < input_count; i++)
        onnx_text(w, 1, inputs[i]);
    for (size_t i = 0; i < output_count; i++)
        onnx_text(w, 2, outputs[i]);
    if (name != NULL)
        onnx_text(w, 3, name);
    onnx_text(w, 4, op);
}

static inline void onnx_node_end(struct onnx_writer *w) { onnx_end(w); }

static inline void onnx_attribute_begin(struct onnx_writer *w, const char *name, int type)
{
    onnx_begin(w, 5);
    onnx_text(w, 1, name);
    onnx_varint(w, 20, type);
}

static inline void onnx_float(struct onnx_writer *w, const char *name, float value)
{
    onnx_attribute_begin(w, name, 1);
    onnx_float_field(w, 2, value);
    onnx_end(w);
}

static inline void onnx_int(struct onnx_writer *w, const char *name, int64_t value)
{
    onnx_attribute_begin(w, name, 2);
    onnx_varint(w, 3, value);
    onnx_end(w);
}

static inline void onnx_string(struct onnx_writer *w, const char *name, const char *value)
{
    onnx_attribute_begin(w, name, 3);
    onnx_text(w, 4, value);
    onnx_end(w);
}

static inline void onnx_floats(struct onnx_writer *w, const char *name, const float *values, size_t count)
{
    onnx_attribute_begin(w, name, 6);
    for (size_t i = 0; i < count; i++)
        onnx_float_field(w, 7, values[i]);
    onnx_end(w);
}

static inline void onnx_ints(struct onnx_writer *w, const char *name, const int64_t *values, size_t count)
{
    onnx_attribute_begin(w, name, 7);
    for (size_t i = 0; i < count; i++)
        onnx_varint(w, 8, values[i]);
    onnx_end(w);
}

static inline void onnx_tensor(struct onnx_writer *w, const char *name, int type, size_t rank, const int64_t *dims,
                               const void *raw, size_t size)
{
    onnx_attribute_begin(w, name, 4);
    onnx_begin(w, 5);
    onnx_tensor_fields(w, NULL, type, rank, dims, raw, size);
    onnx_end(w);
    onnx_end(w);
}

/* ---- the model around it ---- */

static inline void onnx_model_begin(struct onnx_writer *w, int opset)
{
    w->opset = opset;
    onnx_varint(w, 1, 7);                    /* IR version */
    onnx_text(w, 2, "onnx_writer");
    onnx_begin(w, 8);
    onnx_text(w, 1, "");
    onnx_varint(w, 2, opset);
    onnx_end(w);
    onnx_begin(w, 7);
    onnx_text(w, 2, "test");
}

static inline void onnx_model_end(struct onnx_writer *w) { onnx_end(w); }

#endif
