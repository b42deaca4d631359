/* What the files that write ONNX share. */
#ifndef OOD_GRAPH_WRITE_INTERNAL_H
#define OOD_GRAPH_WRITE_INTERNAL_H

#include "graph/read_internal.h"

/* The file's message, which has a graph; with all its bytes, to be packed again. */
Onnx__ModelProto *ood_onnx_unpack_to_change(const struct ood_bytes *onnx, struct ood_pool *pool, struct ood_error *err) OOD_MUST_CHECK;

/* An Onnx__ModelProto as fresh bytes. */
bool ood_onnx_pack(const void *model, struct ood_bytes *out, struct ood_error *err) OOD_MUST_CHECK;

#endif
