/* eval --report: the pictures that were judged most wrongly, as thumbnails. They are made as the pictures pass: a few hundred times in a
 * long run, and a picture in a shard would be gone afterwards. */
#include <string.h>

#include "daemon/oodctl/eval.h"

#define SIDE 128

static void clear(struct eval_worst *worst)
{
    ood_free(worst->id);
    ood_bytes_free(&worst->jpeg);
    *worst = (struct eval_worst){ 0 };
}

/* wrongness: greater is worse. Kept sorted, the worst first; of two as wrong the earlier stands first. */
static bool insert(struct eval_worst *list, size_t *count, double wrongness, const struct eval_seen *seen, const char *set, uint64_t pixels,
                   struct ood_error *err)
{
    struct ood_error broken = { 0 };
    if (*count == EVAL_WORST && wrongness <= list[EVAL_WORST - 1].wrongness)
        return true;
    struct eval_worst made = { .wrongness = wrongness, .set = set, .score = seen->verdict->score, .class_index = seen->verdict->class_index };
    made.id = ood_strdup(seen->picture->id, err);
    if (made.id == NULL)
        return false;
    if (!ood_picture_thumbnail(seen->picture->bytes.data, seen->picture->bytes.size, pixels, SIDE, &made.jpeg, &broken)) {
        clear(&made);
        if (broken.code != OOD_OUT_OF_MEMORY)
            return true;                     /* it could be scored a moment ago: then without it */
        *err = broken;
        return false;
    }
    if (*count == EVAL_WORST)
        clear(&list[--*count]);
    size_t place = *count;
    for (; place > 0 && list[place - 1].wrongness < wrongness; place--)
        list[place] = list[place - 1];
    list[place] = made;
    ++*count;
    return true;
}

bool eval_worst_see(struct eval_worsts *worsts, const struct eval_seen *seen, const char *set, uint64_t pixels, struct ood_error *err)
{
    bool out = seen->verdict->decision == OOD_OUT;
    if (set == NULL && out)
        return insert(worsts->rejected, &worsts->rejected_count, -seen->verdict->score, seen, NULL, pixels, err);
    if (set != NULL && !out)
        return insert(worsts->accepted, &worsts->accepted_count, seen->verdict->score, seen, set, pixels, err);
    return true;
}

void eval_worsts_free(struct eval_worsts *worsts)
{
    for (size_t i = 0; i < worsts->accepted_count; i++)
        clear(&worsts->accepted[i]);
    for (size_t i = 0; i < worsts->rejected_count; i++)
        clear(&worsts->rejected[i]);
}
