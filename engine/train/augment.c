/* Random windows and orders: each number comes from the seed and the place it is for, and from nothing that happened before. */
#include <string.h>

#include "base/random.h"
#include "train/picture_set.h"

#define STREAM_AUGMENT 0x617567u             /* apart from the streams of orders */

/* A generator for (seed, a, b, c): each word is mixed in through the generator's own seeding. */
static struct ood_random generator(uint64_t seed, uint64_t a, uint64_t b, uint64_t c)
{
    const uint64_t words[] = { a, b, c };
    struct ood_random random;
    ood_random_seed(&random, seed);
    for (size_t i = 0; i < 3; i++)
        ood_random_seed(&random, ood_random_next(&random) ^ words[i]);
    return random;
}

/* Where a window of `inner` may begin in `outer` padded by `pad` on both sides. */
static ptrdiff_t place(struct ood_random *random, bool anywhere, size_t outer, size_t inner, size_t pad)
{
    if (!anywhere)
        return ((ptrdiff_t)outer - (ptrdiff_t)inner) / 2;
    if (inner < outer)
        pad = 0;
    size_t padded = outer + 2 * pad;
    size_t room = padded > inner ? padded - inner : 0;
    return (ptrdiff_t)ood_random_below(random, room + 1) - (ptrdiff_t)pad;
}

struct ood_crop ood_augment_draw(const struct ood_picture_set *set, const struct ood_augment *augment, uint64_t seed, uint64_t step, uint64_t index)
{
    struct ood_random random = generator(seed, STREAM_AUGMENT, step, index);
    struct ood_crop whole = ood_picture_set_whole(set), window = { .width = augment->width, .height = augment->height };
    window.x = place(&random, augment->crop, whole.width, window.width, augment->pad);
    window.y = place(&random, augment->crop, whole.height, window.height, augment->pad);
    window.mirror = augment->mirror && ood_random_below(&random, 2) == 1;
    if (augment->strange > 0 && ood_random_uniform(&random) < augment->strange) {
        window.strange = (enum ood_strange)(1 + ood_random_below(&random, OOD_STRANGE_KINDS - 1));
        window.draw = ood_random_next(&random);
    }
    return window;
}

bool ood_order_new(struct ood_order *order, uint64_t seed, uint64_t stream, const size_t *places, size_t count, struct ood_error *err)
{
    struct ood_order made = { .seed = seed, .stream = stream, .count = count };
    size_t both;
    if (!ood_mul_size(count, 2, &both) || (made.places = ood_new_array(size_t, both, err)) == NULL)
        return false;
    if (count > 0)
        memcpy(made.places + count, places, count * sizeof *places);       /* the second half stays as it is */
    *order = made;
    return true;
}

void ood_order_clear(struct ood_order *order)
{
    ood_free(order->places);
    *order = (struct ood_order){ 0 };
}

size_t ood_order_at(struct ood_order *order, uint64_t position)
{
    uint64_t epoch = position / order->count;
    if (!order->made || epoch != order->epoch) {
        struct ood_random random = generator(order->seed, order->stream, epoch, 0);
        memcpy(order->places, order->places + order->count, order->count * sizeof *order->places);
        ood_random_shuffle(&random, order->places, order->count);
        order->epoch = epoch;
        order->made = true;
    }
    return order->places[position % order->count];
}
