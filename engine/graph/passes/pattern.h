/* What recognising patterns of nodes takes. */
#ifndef OOD_GRAPH_PASSES_PATTERN_H
#define OOD_GRAPH_PASSES_PATTERN_H

#include "graph/passes/passes.h"

/* Is there such a node, alive, with one of these traits and one output? */
bool ood_pattern_is_alive(const struct ood_graph *graph, uint32_t node, unsigned trait);

/* Has the node one of these traits, one output, and nothing fused to it? */
bool ood_pattern_has(const struct ood_node *node, unsigned trait);

/* The node with one of these traits that makes `value` for one reader alone, or OOD_NONE. */
uint32_t ood_pattern_maker(const struct ood_passes *passes, uint32_t value, unsigned trait);

/* Is value one known number? */
bool ood_pattern_number(const struct ood_graph *graph, uint32_t value, double *number);

/* The node is done by another; its one output goes. OOD_NONE is fine. */
void ood_pattern_bury(struct ood_graph *graph, uint32_t node);

/* fuse_attention.c: part of ood_pass_fuse_patterns. */
bool ood_fuse_attention(struct ood_passes *passes, struct ood_error *err) OOD_MUST_CHECK;

#endif
