/* What the files that write ONNX share. */
#ifndef OOD_GRAPH_WRITE_INTERNAL_H
#define OOD_GRAPH_WRITE_INTERNAL_H

#include "graph/read_internal.h"

/* An Onnx__ModelProto as fresh bytes. */
bool ood_onnx_pack(const void *model, struct ood_bytes *out, struct ood_error *err) OOD_MUST_CHECK;

#endif
