/* Merge sort from the bottom up. */
#include "ops/sort_internal.h"

#include <string.h>

void ood_sort_places(int64_t *places, int64_t *spare, size_t count, bool (*before)(const void *context, int64_t a, int64_t b),
                     const void *context)
{
    int64_t *from = places, *to = spare;
    for (size_t width = 1; width < count; width *= 2) {
        for (size_t start = 0; start < count; start += 2 * width) {
            const size_t middle = start + width < count ? start + width : count, end = middle + width < count ? middle + width : count;
            size_t a = start, b = middle;
            for (size_t i = start; i < end; i++)
                to[i] = a < middle && (b >= end || !before(context, from[b], from[a])) ? from[a++] : from[b++];
        }
        int64_t *sorted = to;
        to = from;
        from = sorted;
    }
    if (from != places)
        memcpy(places, from, count * sizeof *places);
}
