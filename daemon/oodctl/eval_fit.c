/* eval: the pictures scores are fitted on, 4 D bytes each while the scores are made, and the contenders made of them. */
#include <string.h>

#include "daemon/oodctl/eval.h"

struct bank {
    const struct ood_bundle *bundle;
    size_t count, labelled;
    float *features;                         /* [count][D] */
    uint32_t *classes;
    double *max_logits;
    size_t features_capacity, classes_capacity, logits_capacity;
};

static bool keep(void *context, const struct eval_seen *seen, struct ood_error *err)
{
    struct bank *bank = context;
    size_t dimension = bank->bundle->judge.dimension;
    uint32_t class_index = (uint32_t)seen->verdict->class_index;
    double most = (double)seen->logits[class_index];
    if (seen->picture->label != NULL && !eval_class_of(bank->bundle, seen->picture->label, &class_index))
        return ood_fail(err, OOD_INVALID, "%s: label \"%s\" is neither one of the bundle's %zu nor a class's number", seen->picture->id,
                        seen->picture->label, bank->bundle->classes);
    if (!ood_grow(&bank->features, &bank->features_capacity, bank->count + 1, dimension * sizeof *bank->features, err) ||
        !ood_grow(&bank->classes, &bank->classes_capacity, bank->count + 1, sizeof *bank->classes, err) ||
        !ood_grow(&bank->max_logits, &bank->logits_capacity, bank->count + 1, sizeof *bank->max_logits, err))
        return false;
    memcpy(bank->features + bank->count * dimension, seen->features, dimension * sizeof *bank->features);
    bank->labelled += seen->picture->label != NULL;
    bank->max_logits[bank->count] = most;
    bank->classes[bank->count++] = class_index;
    return true;
}

static bool read_bank(const struct eval *eval, struct eval_subject *subject, bool quiet, struct bank *bank, struct ood_error *err)
{
    const struct eval_options *given = &eval->options;
    const struct eval_source source = { "eval: fit", given->fit, given->fit_only, given->fit_exclude };
    const struct eval_gathering gathering = { .network = &subject->network, .threads = given->threads, .quiet = quiet, .context = bank, .see = keep };
    bank->bundle = subject->network.bundle;
    if (!eval_gather(&gathering, &source, &subject->fit, err))
        return false;
    return bank->labelled == 0 || bank->labelled == bank->count ||
           ood_fail(err, OOD_INVALID, "%s: %zu of %zu pictures have a label; expected all or none", given->fit, bank->labelled, bank->count);
}

/* *why: OOD_OK, or why the network has no last layer to be found. False: something else is wrong. */
static bool find_layer(struct eval_subject *subject, struct ood_error *why, struct ood_error *err)
{
    struct ood_bundle *bundle = ood_bundle_read(subject->network.path, err);
    bool done = bundle != NULL;
    if (done && strcmp(bundle->version, subject->network.bundle->version) != 0)
        done = ood_fail(err, OOD_CHANGED, "%s: was replaced while it was read", subject->network.path);
    if (done && !ood_last_layer_find(bundle, &subject->layer, why) && why->code == OOD_OUT_OF_MEMORY) {
        *err = *why;
        done = false;
    }
    ood_bundle_free(bundle);
    return done;
}

bool eval_fit(struct eval *eval, struct eval_subject *subject, bool quiet, struct ood_error *err)
{
    const struct eval_options *given = &eval->options;
    struct ood_contender_options options = ood_contender_defaults();
    struct ood_error no_layer = { 0 };
    struct bank bank = { 0 };
    bool done = find_layer(subject, &no_layer, err) && (given->fit == NULL || read_bank(eval, subject, quiet, &bank, err));
    options.neighbours = given->neighbours;
    options.react_percentile = given->react_percentile;
    if (given->ash_percentile >= 0)
        options.ash_s_percentile = options.ash_b_percentile = given->ash_percentile;
    if (done) {
        const struct ood_fit_part fit = { bank.count, bank.features, bank.classes, bank.max_logits };
        subject->network.contenders = ood_contenders_new(&subject->network.bundle->judge, subject->layer.weights != NULL ? &subject->layer : NULL,
                                                         no_layer.message, given->fit != NULL ? &fit : NULL, &options, err);
        done = subject->network.contenders != NULL;
    }
    ood_free(bank.features);
    ood_free(bank.classes);
    ood_free(bank.max_logits);
    return done;
}
