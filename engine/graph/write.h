/* Writing ONNX: a file again with other numbers in it, and small networks from scratch. */
#ifndef OOD_GRAPH_WRITE_H
#define OOD_GRAPH_WRITE_H

#include "graph/graph.h"

/* ---- a file with some of its numbers replaced ---- */

struct ood_onnx_values { const char *name; const float *data; size_t count; };

/* The file with these numbers in the float32 initialisers of these names, or in the Constant nodes that give these values; everything
 * else stays, unknown fields too. A name that is not there or there twice, elements that are not float32, another count: the name is
 * said (OOD_INVALID). *out: fresh bytes, freed by ood_bytes_free. */
bool ood_onnx_replace(const struct ood_bytes *onnx, const struct ood_onnx_values *values, size_t count, struct ood_bytes *out,
                      struct ood_error *err) OOD_MUST_CHECK;

/* The file with another's initialisers, nodes and outputs behind its own; everything of the first stays, of the second nothing else counts. A
 * name that `more` makes and that is in the file already: OOD_INVALID. *out: fresh bytes. */
bool ood_onnx_append(const struct ood_bytes *onnx, const struct ood_bytes *more, struct ood_bytes *out, struct ood_error *err) OOD_MUST_CHECK;

/* Is there a tensor or node in the file whose name begins so? */
bool ood_onnx_has_prefix(const struct ood_bytes *onnx, const char *prefix, bool *has, struct ood_error *err) OOD_MUST_CHECK;

/* The file with the size `asked` in place of its first input's (the batch, a dimension of 0 or less, stays as it is): for a network
 * that works at more sizes than the one it was written for. An AveragePool that takes the whole map when the file is read by `full` becomes
 * GlobalAveragePool, which does so at every size. Ranks that differ: OOD_INVALID; what ood_graph_read refuses. */
bool ood_onnx_resize_input(const struct ood_bytes *onnx, const struct ood_graph_options *full, const struct ood_shape *asked, struct ood_bytes *out,
                           struct ood_error *err) OOD_MUST_CHECK;

/* ---- a file from scratch: opset 13, IR version 7. The first error stands; what follows does nothing; finish tells it ---- */

struct ood_onnx_builder;

struct ood_onnx_attribute {                  /* one of: ints[count], or with ints NULL an int, or with `real` a float */
    const char *name;
    const int64_t *ints;
    size_t count;
    int64_t i;
    float f;
    bool real;
};

/* All texts and numbers are copied. `graph`: the graph's name. */
struct ood_onnx_builder *ood_onnx_builder_new(const char *graph, struct ood_error *err) OOD_MUST_CHECK;
void ood_onnx_builder_free(struct ood_onnx_builder *builder);          /* NULL is fine */

/* float32; a dimension of 0 or less is the batch, named "n". */
void ood_onnx_input(struct ood_onnx_builder *builder, const char *name, const struct ood_shape *shape);
void ood_onnx_output(struct ood_onnx_builder *builder, const char *name, const struct ood_shape *shape);
/* values[elements of shape], float32. */
void ood_onnx_initialiser(struct ood_onnx_builder *builder, const char *name, const struct ood_shape *shape, const float *values);
/* One output; the node is named after it. */
void ood_onnx_node(struct ood_onnx_builder *builder, const char *op, const char *const *inputs, size_t input_count, const char *output,
                   const struct ood_onnx_attribute *attributes, size_t attribute_count);

/* The bytes, or the first error. */
bool ood_onnx_builder_finish(struct ood_onnx_builder *builder, struct ood_bytes *out, struct ood_error *err) OOD_MUST_CHECK;

#endif
