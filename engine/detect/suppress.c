/* Greedy non-maximum suppression. Candidates leave a heap best first, so that a picture with few detections among thousands of
 * candidates sorts no more than it must; those kept grow at the front of the same array. */
#include <math.h>

#include "detect/detect.h"

double ood_iou(const double a[4], const double b[4])
{
    double width = fmin(a[2], b[2]) - fmax(a[0], b[0]), height = fmin(a[3], b[3]) - fmax(a[1], b[1]);
    if (!(width > 0 && height > 0))
        return 0;
    double both = width * height, either = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both;
    double iou = both / either;
    return iou > 1 ? 1 : iou >= 0 ? iou : 0;     /* rounding; NaN of areas that overflow */
}

static bool better(const struct ood_candidate *a, const struct ood_candidate *b)
{
    return a->score > b->score || (a->score == b->score && a->index < b->index);
}

/* heap[0] is the best of heap[count]. */
static void sift_down(struct ood_candidate *heap, size_t count, size_t place)
{
    struct ood_candidate moved = heap[place];
    for (size_t child; (child = 2 * place + 1) < count; place = child) {
        if (child + 1 < count && better(&heap[child + 1], &heap[child]))
            child++;
        if (!better(&heap[child], &moved))
            break;
        heap[place] = heap[child];
    }
    heap[place] = moved;
}

size_t ood_suppress(struct ood_candidate *candidates, size_t count, enum ood_suppression kind, double iou, size_t most)
{
    size_t kept = 0, left = count;
    for (size_t place = left / 2; place-- > 0;)
        sift_down(candidates, left, place);
    /* The heap shrinks from its end; what is kept is stored there, from the end of the array on: kept + left <= count. */
    while (left > 0 && kept < most) {
        struct ood_candidate best = candidates[0];
        candidates[0] = candidates[--left];
        if (left > 0)
            sift_down(candidates, left, 0);
        bool stays = true;
        for (size_t i = 0; i < kept && stays && kind != OOD_SUPPRESS_NONE; i++) {
            const struct ood_candidate *other = &candidates[count - 1 - i];
            if (kind == OOD_SUPPRESS_AGNOSTIC || other->class_index == best.class_index)
                stays = !(ood_iou(best.box, other->box) > iou);
        }
        if (stays)
            candidates[count - 1 - kept++] = best;
    }
    for (size_t i = 0; i < kept; i++) {          /* to the front, best first */
        size_t from = count - 1 - i;
        if (from <= i)
            break;
        struct ood_candidate swap = candidates[i];
        candidates[i] = candidates[from];
        candidates[from] = swap;
    }
    return kept;
}
