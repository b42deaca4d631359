/* What the files that read ONNX share. */
#ifndef OOD_GRAPH_READ_INTERNAL_H
#define OOD_GRAPH_READ_INTERNAL_H

#include "graph/graph_internal.h"
#include "graph/onnx.pb-c.h"

#define OOD_OPSET_FIRST 7
#define OOD_OPSET_LAST 18

/* bytes as a message of `root`, after the scan, in the pool's memory (never freed singly). NULL on failure. */
ProtobufCMessage *ood_onnx_unpack(const ProtobufCMessageDescriptor *root, const struct ood_bytes *bytes,
                                  struct ood_pool *pool, struct ood_error *err) OOD_MUST_CHECK;

/* A whole model's file; large raw data of initialisers stay where they lie in `bytes`. */
Onnx__ModelProto *ood_onnx_unpack_model(const struct ood_bytes *bytes, struct ood_pool *pool, struct ood_error *err) OOD_MUST_CHECK;

/* A fresh tensor of what the message holds; spend: the memory of its raw data goes back to the system as they are copied. The caller puts the
 * tensor's name in front of the error. */
struct ood_tensor *ood_onnx_tensor(const Onnx__TensorProto *proto, bool spend, struct ood_error *err) OOD_MUST_CHECK;

/* ONNX's data type as ours. False: not supported, said with ONNX's name for it. */
bool ood_onnx_type(int32_t data_type, enum ood_type *out, struct ood_error *err) OOD_MUST_CHECK;

/* Names to values, sorted: lookups take no longer for names chosen to collide. */
struct ood_index_entry { const char *name; uint32_t value; };
struct ood_index { struct ood_index_entry *entries; size_t count; };

/* Sorts. Two entries of one name: OOD_INVALID. */
bool ood_index_sort(struct ood_index *index, struct ood_error *err) OOD_MUST_CHECK;
uint32_t ood_index_find(const struct ood_index *index, const char *name);
/* The names of the values from `first` on, sorted; in place of what was there. The entries are freed by the caller. */
bool ood_index_values(const struct ood_graph *graph, uint32_t first, struct ood_index *index, struct ood_error *err) OOD_MUST_CHECK;

/* Where names are looked up: a branch's own, then those around it. */
struct ood_scope { const struct ood_index *index; const struct ood_scope *outer; };
uint32_t ood_scope_find(const struct ood_scope *scope, const char *name);

/* Node `position` of the file (or of a branch): operator, attributes, branches, inputs through the scope. Its outputs are values already, from
 * first_output on, those with an empty name left out. */
bool ood_read_node(struct ood_graph *graph, const struct ood_op *const *operators, const Onnx__NodeProto *proto, size_t position,
                   const struct ood_scope *scope, uint32_t first_output, struct ood_node *node, struct ood_error *err) OOD_MUST_CHECK;

/* The branches of an If, then_branch and else_branch: node->branches, and what they read from outside as inputs 1, 2, … */
bool ood_read_branches(struct ood_graph *graph, const struct ood_op *const *operators, const Onnx__NodeProto *proto,
                       const struct ood_scope *scope, struct ood_node *node, struct ood_error *err) OOD_MUST_CHECK;

/* Initialisers of the file's graph, or of a branch, as constant values; spend: the file whose bytes are given up, or NULL. */
bool ood_read_initialisers(struct ood_graph *graph, const Onnx__GraphProto *proto, const struct ood_bytes *spend,
                           struct ood_error *err) OOD_MUST_CHECK;

/* The outputs of a graph's nodes as values without a producer, in order. */
bool ood_read_output_values(struct ood_graph *graph, const Onnx__GraphProto *proto, struct ood_error *err) OOD_MUST_CHECK;

/* A copy of a value's name, if it is one that can be kept: not empty, UTF-8, no control characters. NULL on failure. */
const char *ood_read_name(struct ood_graph *graph, const char *name, const char *what,
                          struct ood_error *err) OOD_MUST_CHECK;

#endif
