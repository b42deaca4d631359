/* What the files of this room share: building a graph, names in messages, uses. */
#ifndef OOD_GRAPH_GRAPH_INTERNAL_H
#define OOD_GRAPH_GRAPH_INTERNAL_H

#include "graph/graph.h"
#include "graph/op.h"

/* The rank of a value whose shape is not known yet: only inside the reader. */
#define OOD_RANK_UNKNOWN SIZE_MAX

/* A new value without producer, type or shape. `name` is the graph's memory. Its index, or OOD_NONE. */
uint32_t ood_graph_add_value(struct ood_graph *graph, const char *name, struct ood_error *err) OOD_MUST_CHECK;

/* The graph takes the tensor, also on failure (then it is freed). */
bool ood_graph_own(struct ood_graph *graph, struct ood_tensor *tensor, struct ood_error *err) OOD_MUST_CHECK;

/* Counts ood_value.uses anew: inputs, fused operands, graph outputs and keep[n]. */
void ood_graph_count_uses(struct ood_graph *graph, const uint32_t *keep, size_t n);

/* Puts nodes in topological order, the file's where that is one. Iterative. A cycle: OOD_INVALID, naming a node on it. */
bool ood_graph_order(struct ood_graph *graph, struct ood_error *err) OOD_MUST_CHECK;

/* Copies a node with input and output lists of its own, which passes may change. False: no memory. */
bool ood_node_copy(struct ood_graph *graph, const struct ood_node *from, struct ood_node *to, struct ood_error *err) OOD_MUST_CHECK;

/* check, shape and evaluate of every node, in order; an If whose condition is known gives way to its branch. Where the graph is staged, what
 * cannot be told yet goes to `later`. Values computed at load may take `budget` bytes in all. */
bool ood_graph_infer(struct ood_graph *graph, size_t budget, struct ood_error *err) OOD_MUST_CHECK;

/* Computes output 0 now if the operator can and every input is known; *bytes is what may still be taken. True also where
 * there was nothing to do. */
bool ood_node_evaluate(struct ood_graph *graph, const struct ood_node *node, size_t *bytes,
                       struct ood_error *err) OOD_MUST_CHECK;

/* Puts "node NAME (OP, opset V): " in front unless the sentence begins with a node already. Returns false. */
bool ood_node_prefix(const struct ood_node *node, struct ood_error *err);

/* A name from a file as it may be shown: control bytes and broken UTF-8 become '?', a long one is cut.
 * Use: ood_printable(name).text */
struct ood_printable { char text[100]; };
struct ood_printable ood_printable(const char *name);

/* Valid UTF-8 without control characters. */
bool ood_name_is_clean(const char *name);

/* The keys of metadata that may hold class names, in the order they are tried; ends in NULL (labels.c). */
extern const char *const ood_label_keys[];

#endif
