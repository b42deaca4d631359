/* Where each value of a plan lies in the arena: arithmetic over sizes and lifetimes, no graph and no oneDNN. */
#ifndef OOD_PLAN_ARENA_H
#define OOD_PLAN_ARENA_H

#include "base/memory.h"

struct ood_arena_value {
    size_t bytes;
    uint32_t first_step, last_step;      /* alive from the first to the last, both included */
    size_t offset;                       /* the answer: a multiple of OOD_ARENA_ALIGNMENT */
};

#define OOD_ARENA_ALIGNMENT 64

/* Gives each value its offset so that no two values alive at the same step share a byte; *total is the arena's size. Values are
 * placed largest first, each at the lowest gap that fits (a first-fit of decreasing sizes, which comes within a few per cent
 * of the lower bound on chains). Same input, same offsets. */
bool ood_arena_plan(struct ood_arena_value *values, size_t count, size_t *total, struct ood_error *err) OOD_MUST_CHECK;

#endif
