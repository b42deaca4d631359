/* eval --report: the pictures that were judged most wrongly, as thumbnails. They are made as the pictures pass: a few hundred times in a
 * long run, and a picture in a shard would be gone afterwards. */
#include <string.h>

#include "daemon/oodctl/eval.h"

#define SIDE 128
#define BOXES_SIDE 320

static void clear(struct eval_worst *worst)
{
    ood_free(worst->id);
    ood_bytes_free(&worst->jpeg);
    ood_free(worst->boxes);
    *worst = (struct eval_worst){ 0 };
}

/* What is filled in: all but the id, the picture and the boxes, which are copied. Kept sorted, the worst first; of two as wrong the earlier
 * stands first. */
static bool insert(struct eval_worst *list, size_t *count, struct eval_worst made, const struct ctl_picture *picture, const struct eval_box *boxes,
                   uint64_t pixels, struct ood_error *err)
{
    struct ood_error broken = { 0 };
    if (*count == EVAL_WORST && made.wrongness <= list[EVAL_WORST - 1].wrongness)
        return true;
    made.id = ood_strdup(picture->id, err);
    made.boxes = boxes != NULL ? ood_new_array(struct eval_box, made.box_count, err) : NULL;
    if (made.id == NULL || (boxes != NULL && made.boxes == NULL)) {
        clear(&made);
        return false;
    }
    if (boxes != NULL)
        memcpy(made.boxes, boxes, made.box_count * sizeof *boxes);
    if (!ood_picture_thumbnail(picture->bytes.data, picture->bytes.size, pixels, boxes != NULL ? BOXES_SIDE : SIDE, &made.jpeg, &broken)) {
        clear(&made);
        if (broken.code != OOD_OUT_OF_MEMORY)
            return true;                     /* it could be scored a moment ago: then without it */
        *err = broken;
        return false;
    }
    if (*count == EVAL_WORST)
        clear(&list[--*count]);
    size_t place = *count;
    for (; place > 0 && list[place - 1].wrongness < made.wrongness; place--)
        list[place] = list[place - 1];
    list[place] = made;
    ++*count;
    return true;
}

bool eval_worst_see(struct eval_worsts *worsts, const struct eval_seen *seen, const char *set, uint64_t pixels, struct ood_error *err)
{
    bool out = seen->verdict->decision == OOD_OUT;
    struct eval_worst made = { .wrongness = set == NULL ? -seen->verdict->score : seen->verdict->score, .set = set, .score = seen->verdict->score,
                               .class_index = seen->verdict->class_index };
    if (set == NULL && out)
        return insert(worsts->rejected, &worsts->rejected_count, made, seen->picture, NULL, pixels, err);
    if (set != NULL && !out)
        return insert(worsts->accepted, &worsts->accepted_count, made, seen->picture, NULL, pixels, err);
    return true;
}

/* Its most wrong detection speaks for the picture: of foreign ones the highest score not called out, of known ones the lowest called out. */
bool eval_worst_boxes(struct eval_worsts *worsts, const struct ctl_picture *picture, struct eval_box *boxes, size_t count, const size_t size[2],
                      const char *set, uint64_t pixels, struct ood_error *err)
{
    size_t worst = SIZE_MAX;
    double sign = set == NULL ? -1 : 1;
    for (size_t i = 0; i < count; i++)
        if ((boxes[i].decision == OOD_OUT) == (set == NULL) && (worst == SIZE_MAX || sign * boxes[i].score > sign * boxes[worst].score))
            worst = i;
    if (worst == SIZE_MAX)
        return true;
    struct eval_box first = boxes[worst];
    boxes[worst] = boxes[0];
    boxes[0] = first;
    struct eval_worst made = { .wrongness = sign * first.score, .set = set, .score = first.score, .class_index = first.class_index,
                               .width = size[0], .height = size[1], .box_count = count };
    return set == NULL ? insert(worsts->rejected, &worsts->rejected_count, made, picture, boxes, pixels, err)
                       : insert(worsts->accepted, &worsts->accepted_count, made, picture, boxes, pixels, err);
}

void eval_worsts_free(struct eval_worsts *worsts)
{
    for (size_t i = 0; i < worsts->accepted_count; i++)
        clear(&worsts->accepted[i]);
    for (size_t i = 0; i < worsts->rejected_count; i++)
        clear(&worsts->rejected[i]);
}
