/* A walk over protobuf's wire format before protobuf-c sees it: every length inside its parent, every wire type the
 * schema's, and depth, counts and memory within limits. No recursion and no allocation, so no input can exhaust either. */
#ifndef OOD_GRAPH_SCAN_H
#define OOD_GRAPH_SCAN_H

#include <protobuf-c/protobuf-c.h>

#include "base/memory.h"

#define OOD_SCAN_DEPTH 32                    /* ONNX without subgraphs needs 7 */

struct ood_scan_limits {
    size_t depth;                            /* messages in messages, at most OOD_SCAN_DEPTH */
    size_t messages;
    size_t fields;
    size_t memory;                           /* bytes that unpacking is estimated to take */
};

/* What a file of so many bytes may ask for: memory grows with the file, not with what the file says. */
struct ood_scan_limits ood_scan_limits_for(size_t size);

/* bytes[size] as a message of `root`. OOD_INVALID: not well formed, with the offset; OOD_LIMIT: beyond a limit. */
bool ood_scan(const ProtobufCMessageDescriptor *root, const unsigned char *bytes, size_t size,
              const struct ood_scan_limits *limits, struct ood_error *err) OOD_MUST_CHECK;

#endif
