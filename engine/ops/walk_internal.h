/* Loops over the elements of an output and of up to three operands that broadcast to it: what comparisons, Where, Expand, integer
 * arithmetic and their kin come down to, for every type. Rows of the innermost dimension are handed to a function. */
#ifndef OOD_OPS_WALK_INTERNAL_H
#define OOD_OPS_WALK_INTERNAL_H

#include "plan/builder.h"

enum { OOD_WALK_OPERANDS = 3 };

struct ood_walk {
    size_t rank;                             /* 0: one element */
    size_t dims[OOD_MAX_RANK];               /* as the output lies in memory, outermost first */
    size_t strides[OOD_WALK_OPERANDS][OOD_MAX_RANK];     /* in elements; 0 where an operand is repeated */
    size_t operand_count;
};

/* Shapes have their batch bound and broadcast to y's. Operands of rank 4 and an output of rank 4 lie in `layout`. */
void ood_walk_make(struct ood_walk *walk, const struct ood_shape *y, const struct ood_shape *const *operands, size_t count,
                   enum ood_layout layout);

/* n elements of the output from element y on; operand i from element at[i] on, strides[i] apart. */
typedef void ood_walk_row(const void *state, void *const *memory, size_t y, const size_t at[OOD_WALK_OPERANDS],
                          const size_t strides[OOD_WALK_OPERANDS], size_t n);

/* memory[0] is the output, memory[1 + i] operand i. */
void ood_walk_run(const struct ood_walk *walk, ood_walk_row *row, const void *state, void *const *memory);

/* The layout in which a node's output of rank 4 is made with the fewest reorders: that of an operand of its shape that is not known
 * at load, else of any that is not; OOD_PLAIN where none is. Operands of lower rank lie as they
 * do: walks take their dimensions for the last of NCHW whatever the layout. */
enum ood_layout ood_walk_layout(const struct ood_builder *builder, const struct ood_node *node, size_t operand_count);

/* lower() of such an operator: operands are the node's first inputs, state is copied (at most OOD_WALK_STATE bytes). */
enum { OOD_WALK_STATE = 64 };
bool ood_walk_step(struct ood_builder *builder, const struct ood_node *node, size_t operand_count, ood_walk_row *row, const void *state,
                   size_t state_size, const char *kernel, struct ood_error *err) OOD_MUST_CHECK;

/* evaluate() of the same: a fresh tensor of output 0's type and shape. */
struct ood_tensor *ood_walk_evaluate(const struct ood_graph *graph, const struct ood_node *node, const struct ood_tensor *const *inputs,
                                     size_t operand_count, ood_walk_row *row, const void *state, struct ood_error *err) OOD_MUST_CHECK;

/* shape() of the same: what the first inputs broadcast to. */
bool ood_walk_shape(const struct ood_graph *graph, const struct ood_node *node, size_t operand_count, struct ood_shape *out,
                    struct ood_error *err) OOD_MUST_CHECK;

#endif
