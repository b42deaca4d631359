/* train: what is trained on, what is held out. Held-out pictures are never trained on: half of each class sets prototypes, means and
 * deviations, the other half the thresholds, and evaluations on the way look at some of them. */
#include <string.h>

#include "base/random.h"
#include "daemon/oodctl/train.h"

/* ---- classes ---- */

static bool find_classes(struct train *train, struct ood_error *err)
{
    struct fit *fit = &train->fit;
    const struct train_pictures *images = &train->images;
    for (size_t i = 0; i < images->count; i++)
        if (images->labels[i] == OOD_NONE)
            return ood_fail(err, OOD_INVALID, "%s: %s has no label; every picture to train on needs one", fit->options.images, images->ids[i]);
    if (images->count == 0)
        return ood_fail(err, OOD_INVALID, "%s: no pictures that can be read", fit->options.images);
    if (!fit_label_classes(fit, err) || (train->classes = ood_new_array(int32_t, images->count, err)) == NULL)
        return false;
    for (size_t i = 0; i < images->count; i++)
        train->classes[i] = (int32_t)fit->label_classes[images->labels[i]];
    return true;
}

/* ---- held out ---- */

static bool by_list(struct train *train, bool *held, struct ood_error *err)
{
    struct ctl_keys *keys = ctl_keys_read(train->options.holdout, err);
    if (keys == NULL)
        return false;
    for (size_t i = 0; i < train->images.count; i++)
        held[i] = ctl_keys_take(keys, train->images.ids[i]);
    bool done = train->images.unreadable > 0 || ctl_keys_all_met(keys, err) ||
                ood_error_prefix(err, "%s: %s", train->fit.options.images, train->options.holdout);
    ctl_keys_free(keys);
    return done;
}

/* A seeded share of each class, rounded up to an even number so that both halves are as large. */
static bool by_share(struct train *train, bool *held, struct ood_error *err)
{
    struct ood_random random;
    size_t *members = ood_new_array(size_t, train->images.count, err);
    if (members == NULL)
        return false;
    ood_random_seed(&random, train->fit.options.seed);
    for (size_t k = 0; k < train->fit.classes; k++) {
        size_t count = 0;
        for (size_t i = 0; i < train->images.count; i++)
            if (train->classes[i] == (int32_t)k)
                members[count++] = i;
        ood_random_shuffle(&random, members, count);
        size_t wanted = (size_t)ceil(train->options.holdout_share * (double)count);
        wanted += wanted % 2;
        for (size_t i = 0; i < wanted && i < count; i++)
            held[members[i]] = true;
    }
    ood_free(members);
    return true;
}

/* What `fit` will ask of the held-out pictures when hours are spent. */
static bool check_held(const struct train *train, const bool *held, struct ood_error *err)
{
    const struct fit *fit = &train->fit;
    size_t calibration = 0, least = (size_t)ceil(1 / fit->options.alpha) - 1;
    size_t *counts = ood_new_array(size_t, fit->classes, err), *left = ood_new_array(size_t, fit->classes, err);
    bool done = counts != NULL && left != NULL;
    for (size_t i = 0; i < train->images.count && done; i++)
        (held[i] ? counts : left)[train->classes[i]]++;
    for (size_t k = 0; k < fit->classes && done; k++) {
        calibration += counts[k] / 2;
        if (left[k] == 0)
            done = ood_fail(err, OOD_INVALID, "%s: class %s: no pictures to train on (%zu held out)", fit->options.images, fit->labels[k], counts[k]);
        else if (counts[k] < 3)
            done = ood_fail(err, OOD_INVALID, "%s: class %s: %zu pictures held out, at least 3 are needed: 2 to fit, 1 to calibrate; --holdout-share "
                            "takes more", fit->options.images, fit->labels[k], counts[k]);
    }
    if (done && calibration < least)
        done = ood_fail(err, OOD_INVALID, "%s: half of the pictures held out are %zu to calibrate, at least %zu are needed for alpha %g; --holdout-share "
                        "takes more", fit->options.images, calibration, least, fit->options.alpha);
    ood_free(counts);
    ood_free(left);
    return done;
}

/* ---- parts ---- */

/* Places i of n where flags[i] == wanted; all without flags. */
static bool make_part(const bool *flags, bool wanted, size_t n, struct train_part *part, struct ood_error *err)
{
    part->places = ood_new_array(size_t, n, err);
    if (part->places == NULL)
        return false;
    for (size_t i = 0; i < n; i++)
        if (flags == NULL || flags[i] == wanted)
            part->places[part->count++] = i;
    return true;
}

/* At most `most` of a part, a seeded draw, in order. */
static bool draw(const struct train_part *from, size_t most, size_t seed, struct train_part *part, struct ood_error *err)
{
    struct ood_random random;
    size_t wanted = from->count < most ? from->count : most;
    part->places = ood_new_array(size_t, wanted, err);
    if (part->places == NULL)
        return false;
    ood_random_seed(&random, seed);
    for (size_t i = 0; part->count < wanted; i++)
        if (ood_random_below(&random, from->count - i) < wanted - part->count)
            part->places[part->count++] = from->places[i];
    return true;
}

/* Ids and labels, so that a checkpoint knows what it was trained on. places NULL: all. */
static bool hash(const struct train *train, const struct train_pictures *pictures, const struct train_part *part, char hex[OOD_HASH_HEX], struct ood_error *err)
{
    struct ctl_buffer text = { 0 };
    bool done = ctl_append(&text, err, "%zu\n", part->count);
    for (size_t i = 0; i < part->count && done; i++) {
        size_t place = part->places[i];
        const char *label = pictures->labels[place] != OOD_NONE && pictures == &train->images ? train->fit.label_texts[pictures->labels[place]] : "";
        done = ctl_append(&text, err, "%s\t%s\n", pictures->ids[place], label);
    }
    if (done)
        ood_sha256_hex(text.text, text.length, hex);
    ood_free(text.text);
    return done;
}

bool train_split(struct train *train, struct ood_error *err)
{
    size_t seed = train->fit.options.seed, shown = train->options.evaluation_pictures;
    bool *held = NULL, done = false;
    if (!find_classes(train, err) || (held = ood_new_array(bool, train->images.count, err)) == NULL)
        goto out;
    if (!(train->options.holdout != NULL ? by_list(train, held, err) : by_share(train, held, err)) || !check_held(train, held, err))
        goto out;
    done = make_part(held, false, train->images.count, &train->fit_in, err) && make_part(held, true, train->images.count, &train->held, err) &&
           make_part(NULL, true, train->outliers.count, &train->all_outliers, err) &&
           make_part(NULL, true, train->validation.count, &train->all_validation, err) &&
           draw(&train->held, shown, seed, &train->shown_in, err) && draw(&train->all_validation, shown, seed, &train->shown_out, err) &&
           hash(train, &train->images, &train->fit_in, train->images_hash, err) && hash(train, &train->images, &train->held, train->held_hash, err) &&
           hash(train, &train->outliers, &train->all_outliers, train->outliers_hash, err);
out:
    ood_free(held);
    return done;
}
