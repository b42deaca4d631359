/* train: are the same pictures trained on and held out? By a hash of their pixels, pictures kept decoded alone. */
#include <stdlib.h>
#include <string.h>

#include "daemon/oodctl/train.h"

struct print { uint64_t hash; size_t index; };

static int by_hash(const void *a, const void *b)
{
    const struct print *x = a, *y = b;
    return (x->hash > y->hash) - (x->hash < y->hash);
}

/* FNV-1a over the bytes of each picture's input. */
static struct print *make_prints(const struct train_pictures *pictures, struct ood_error *err)
{
    size_t floats = ood_preprocess_floats(ood_picture_set_pixels(pictures->set)), count = pictures->count;
    struct ood_crop whole = ood_picture_set_whole(pictures->set);
    struct print *prints = ood_new_array(struct print, count, err);
    float *input = ood_new_array(float, floats, err);
    bool done = prints != NULL && input != NULL;
    for (size_t i = 0; i < count && done; i++) {
        const unsigned char *bytes = (const unsigned char *)input;
        uint64_t hash = 14695981039346656037u;
        done = ood_picture_set_fill(pictures->set, i, &whole, input, err);
        for (size_t k = 0; k < floats * sizeof *input && done; k++)
            hash = (hash ^ bytes[k]) * 1099511628211u;
        prints[i] = (struct print){ hash, i };
    }
    ood_free(input);
    if (done)
        return prints;
    ood_free(prints);
    return NULL;
}

bool train_check_apart(const struct train *train, struct ood_error *err)
{
    const struct train_pictures *trained = &train->outliers, *held = &train->validation;
    if (held->count == 0 || trained->count == 0 || ood_picture_set_decoded(trained->set) < trained->count)
        return true;                         /* what was not kept decoded would all be decoded once more */
    struct print *prints = make_prints(trained, err), *others = prints != NULL ? make_prints(held, err) : NULL;
    bool done = others != NULL;
    size_t same = 0, first = 0;
    if (done)
        qsort(prints, trained->count, sizeof *prints, by_hash);
    for (size_t i = held->count; i-- > 0 && done;)
        if (bsearch(&others[i], prints, trained->count, sizeof *prints, by_hash) != NULL) {
            same++;
            first = i;
        }
    if (done && same > 0)
        done = ood_fail(err, OOD_INVALID, "--validation-outliers: %zu of the %zu pictures are also among --outliers, the first: %s; they are to be of classes "
                        "never trained on", same, held->count, held->ids[first]);
    ood_free(prints);
    ood_free(others);
    return done;
}
