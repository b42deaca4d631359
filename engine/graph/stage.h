/* Graphs in stages. Where a node's shape hangs on what others compute (NonZero's length, a Reshape to computed sizes, an If by a computed
 * condition), a graph read with options.stages keeps it, and all that reads it, for later. Once the nodes before have run, the numbers that
 * decide are known: the next stage's graph takes them for constants, infers shapes and folds as the reader does, and may in turn leave
 * nodes for later. Values keep their indices from stage to stage. */
#ifndef OOD_GRAPH_STAGE_H
#define OOD_GRAPH_STAGE_H

#include "graph/graph.h"

/* Drops the later nodes that none of graph->outputs needs. */
bool ood_graph_prune_later(struct ood_graph *graph, struct ood_error *err) OOD_MUST_CHECK;

/* What a stage must hand on: values it knows (its own inputs, too) that later nodes read, and those of graph->outputs whose shape is known; each
 * once, ascending. *list is the graph's memory. Constants only where they are outputs. */
bool ood_graph_delivered(struct ood_graph *graph, const uint32_t **list, size_t *count, struct ood_error *err) OOD_MUST_CHECK;

/* What a run of a stage told of one value: its shape, and its elements where they decide (else NULL). */
struct ood_stage_fact { uint32_t value; struct ood_shape shape; const void *data; };

/* The graph of the next stage, as if just read: nodes that can be inferred now, the rest in `later` (fewer than before). Its inputs are the values
 * from before that are still read, its outputs those of `before`. Values computed at load may take `budget` bytes. `before` must outlive
 * it: names, attributes and constants are shared. */
struct ood_graph *ood_graph_next(const struct ood_graph *before, const struct ood_stage_fact *facts, size_t count, size_t budget,
                                 struct ood_error *err) OOD_MUST_CHECK;

#endif
