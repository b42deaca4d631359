/* Class names that exporters leave in an ONNX file's metadata. */
#ifndef OOD_GRAPH_LABELS_H
#define OOD_GRAPH_LABELS_H

#include "graph/graph.h"

#define OOD_LABELS_MOST 1000000              /* as a bundle's */
#define OOD_LABEL_BYTES 4000                 /* a bundle takes 4096: room for " (517)" */

struct ood_labels {
    char **names;                            /* [count] by class, UTF-8 without control characters, no two alike */
    size_t count;
    const char *key;                         /* of ood_graph_labels: where they stand, static memory */
};
void ood_labels_clear(struct ood_labels *labels);

/* text[size] as the names of classes 0 … n-1, n >= 1. One of
 *
 *     {0: 'cat', 1: "dog"}      number to name or name to number, as Python or JSON writes it; keys may be "0"; each of 0 … n-1 once
 *     ['cat', "dog"]            also in ( )
 *     cat, dog                  plain: a name a line or, on one line, behind commas; blanks around names are cut
 *
 * Escapes are Python's and JSON's (\n, \x41, \u00e9, surrogate pairs). Nothing is evaluated, nothing nests. Names that occur twice get their
 * class behind: "crane (134)", "crane (517)". OOD_INVALID says at which byte what was expected; more than OOD_LABELS_MOST: OOD_LIMIT. */
bool ood_labels_parse(const char *text, size_t size, struct ood_labels *out, struct ood_error *err) OOD_MUST_CHECK;

/* The names of a network's `classes` classes by its file's metadata: the first of the keys (docs/MODELS.md, "Labels") that gives so many. out->count 0: there is no such key. OOD_INVALID: there is, and
 * none can be used; the error is the first one's and begins with its key. */
bool ood_graph_labels(const struct ood_graph *graph, size_t classes, struct ood_labels *out, struct ood_error *err) OOD_MUST_CHECK;

#endif
