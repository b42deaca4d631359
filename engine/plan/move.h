/* Copies between two arrays that hold the same elements in another order: what Transpose, Concat and their kin come down
 * to. A move says for each dimension how far apart its elements lie on either side. */
#ifndef OOD_PLAN_MOVE_H
#define OOD_PLAN_MOVE_H

#include "plan/builder.h"

struct ood_move {
    size_t rank;
    size_t dims[OOD_MAX_RANK];
    size_t from[OOD_MAX_RANK], to[OOD_MAX_RANK];     /* strides in elements */
    size_t from_start, to_start;                     /* elements */
    size_t size;                                     /* bytes of an element: 1, 4 or 8 */
};

/* The dimensions of a value of `rank` from the outermost in memory to the innermost; [rank], static memory. */
const size_t *ood_move_order(size_t rank, enum ood_layout layout);

/* How far apart neighbours of each dimension lie in memory, in elements. shape has its batch bound. */
void ood_move_strides(const struct ood_shape *shape, enum ood_layout layout, size_t strides[OOD_MAX_RANK]);

/* Drops dimensions of size 1, orders the others as the target lies in memory, merges what is contiguous on both sides. Does
 * not change what is moved. */
void ood_move_simplify(struct ood_move *move);

/* Is the simplified move one run of bytes? */
bool ood_move_is_copy(const struct ood_move *move);

/* to[c·to_stride + r] = from[r·from_stride + c] for every row and column. */
void ood_move_turn(const float *from, float *to, size_t rows, size_t columns, size_t from_stride, size_t to_stride);

void ood_move_run(const struct ood_move *move, const void *from, void *to);

/* A part of a value along an axis, beginning at element `start` of it: out of the whole, or into it. Both lie in `layout`; size: bytes of an element. */
struct ood_move ood_move_part(const struct ood_shape *whole, const struct ood_shape *part, enum ood_layout layout, size_t axis, size_t start,
                              bool into, size_t size);

#endif
