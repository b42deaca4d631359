/* The arena planner. */
#include "plan/arena.h"

#include <stdlib.h>

struct order { const struct ood_arena_value *value; size_t index; };

static int largest_first(const void *a, const void *b)
{
    const struct order *x = a, *y = b;
    if (x->value->bytes != y->value->bytes)
        return x->value->bytes > y->value->bytes ? -1 : 1;
    if (x->value->first_step != y->value->first_step)
        return x->value->first_step < y->value->first_step ? -1 : 1;
    return x->index < y->index ? -1 : x->index > y->index;
}

static int by_offset(const void *a, const void *b)
{
    const struct ood_arena_value *x = *(const struct ood_arena_value *const *)a, *y = *(const struct ood_arena_value *const *)b;
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

static size_t rounded(size_t bytes)
{
    return (bytes + OOD_ARENA_ALIGNMENT - 1) / OOD_ARENA_ALIGNMENT * OOD_ARENA_ALIGNMENT;
}

bool ood_arena_plan(struct ood_arena_value *values, size_t count, size_t *total, struct ood_error *err)
{
    bool done = false;
    size_t end = 0;
    struct order *order = ood_new_array(struct order, count, err);
    const struct ood_arena_value **beside = ood_new_array(const struct ood_arena_value *, count, err);
    if (order == NULL || beside == NULL)
        goto out;
    for (size_t i = 0; i < count; i++)
        order[i] = (struct order){ &values[i], i };
    if (count > 0)
        qsort(order, count, sizeof *order, largest_first);
    for (size_t i = 0; i < count; i++) {
        struct ood_arena_value *value = &values[order[i].index];
        size_t n = 0, offset = 0, next;
        for (size_t j = 0; j < i; j++) {
            const struct ood_arena_value *placed = order[j].value;
            if (placed->first_step <= value->last_step && value->first_step <= placed->last_step)
                beside[n++] = placed;
        }
        if (n > 0)
            qsort(beside, n, sizeof *beside, by_offset);
        for (size_t j = 0; j < n && beside[j]->offset < offset + rounded(value->bytes); j++)
            if (beside[j]->offset + rounded(beside[j]->bytes) > offset)
                offset = beside[j]->offset + rounded(beside[j]->bytes);
        if (value->bytes > SIZE_MAX / 4 || !ood_add_size(offset, rounded(value->bytes), &next)) {
            ood_fail(err, OOD_LIMIT, "the network's values need more memory than there are addresses");
            goto out;
        }
        value->offset = offset;
        end = next > end ? next : end;
    }
    *total = end;
    done = true;
out:
    ood_free(order);
    ood_free(beside);
    return done;
}
