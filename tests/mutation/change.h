/* Seeded changes to an ONNX model in protobuf-c's structures: fields, shapes, attributes, names, types, initialisers, nodes. */
#ifndef OOD_TESTS_MUTATION_CHANGE_H
#define OOD_TESTS_MUTATION_CHANGE_H

#include "base/memory.h"
#include "base/random.h"
#include "graph/onnx.pb-c.h"

#define CHANGE_TEXT 300

/* Everything new is the pool's, as the model is. */
struct change {
    struct ood_random *random;
    struct ood_pool *pool;
    const char *const *operators;            /* names to try; ends in NULL */
    char told[CHANGE_TEXT];                  /* what was done, for people */
};

/* One change. A model without a field to change stays as it is. */
void change_model(struct change *change, Onnx__ModelProto *model);

/* One change to the bytes of a file, in place: a byte, a cut, a stretch that comes twice. *size may shrink. */
void change_bytes(struct change *change, unsigned char *bytes, size_t *size);

#endif
