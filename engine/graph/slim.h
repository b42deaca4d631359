/* An ONNX file's message without its large weights: what protobuf-c unpacks, so that they are not in memory twice. */
#ifndef OOD_GRAPH_SLIM_H
#define OOD_GRAPH_SLIM_H

#include "base/file.h"

struct ood_slice { const unsigned char *data; size_t size; };

struct ood_slim {
    struct ood_bytes bytes;                  /* data NULL: unpack the file as it is */
    struct ood_slice *slices;                /* [initialisers], in order: the raw_data left out, in the file's memory; data NULL: none */
    size_t slice_count;
};

/* bytes: a ModelProto that ood_scan has accepted. False: no memory. Freed by ood_slim_free. */
bool ood_slim_make(const struct ood_bytes *bytes, struct ood_slim *out, struct ood_error *err) OOD_MUST_CHECK;
void ood_slim_free(struct ood_slim *slim);

#endif
