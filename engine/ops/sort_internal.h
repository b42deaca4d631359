/* A stable sort of places: no memory but what the caller gives, the same order for the same comparisons. */
#ifndef OOD_OPS_SORT_INTERNAL_H
#define OOD_OPS_SORT_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Sorts places[count]; before(context, a, b): must a stand before b? A strict weak order. spare[count] is written over. */
void ood_sort_places(int64_t *places, int64_t *spare, size_t count, bool (*before)(const void *context, int64_t a, int64_t b),
                     const void *context);

#endif
