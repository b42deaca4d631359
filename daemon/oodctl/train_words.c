/* train: the words and numbers of the options as the engine's options, before any work. */
#include <string.h>

#include "base/cpus.h"
#include "daemon/oodctl/train.h"
#include "ops/ops.h"

/* ---- small parts ---- */

/* "IN" or "IN,OUT". */
bool train_parse_batch(const struct train *train, double usual, double out_share, double least_out, size_t *in, size_t *out)
{
    double numbers[2] = { usual, out_share * usual };
    size_t count;
    if (train->options.batch != NULL && (!ctl_numbers(train->options.batch, 1, 2, numbers, &count)))
        return false;
    if (train->options.batch != NULL && count == 1)
        numbers[1] = out_share * numbers[0];
    for (size_t i = 0; i < 2; i++)
        if (!(numbers[i] >= (i == 0 ? 1 : least_out) && numbers[i] <= 65536) || numbers[i] != floor(numbers[i]))
            return false;
    *in = (size_t)numbers[0];
    *out = (size_t)numbers[1];
    return true;
}

/* "crop,mirror", one of them, or "none". */
static bool parse_augment(const char *text, struct ood_augment *augment)
{
    if (strcmp(text, "none") == 0)
        return true;
    for (const char *word = text;;) {
        size_t length = strcspn(word, ",");
        if (length == 4 && strncmp(word, "crop", 4) == 0)
            augment->crop = true;
        else if (length == 6 && strncmp(word, "mirror", 6) == 0)
            augment->mirror = true;
        else
            return false;
        if (word[length] == '\0')
            return true;
        word += length + 1;
    }
}

/* "24:0.45" */
static bool parse_early(const char *text, size_t *side, double *share)
{
    char copy[64];
    double numbers[2];
    size_t length = strlen(text), colon = strcspn(text, ":");
    if (length >= sizeof copy || text[colon] != ':')
        return false;
    memcpy(copy, text, length + 1);
    copy[colon] = ',';
    if (!ctl_numbers(copy, 2, 2, numbers, NULL) || !(numbers[0] >= 1 && numbers[0] <= 65536) || numbers[0] != floor(numbers[0]) ||
        !(numbers[1] > 0 && numbers[1] <= 1))
        return false;
    *side = (size_t)numbers[0];
    *share = numbers[1];
    return true;
}

/* One of words[n], NULL: the first. False: another. */
static bool word_index(const char *text, const char *const *words, size_t n, size_t *index)
{
    *index = 0;
    for (size_t i = 0; text != NULL && i < n; i++)
        if (strcmp(text, words[i]) == 0) {
            *index = i;
            return true;
        }
    return text == NULL;
}

static void set_if_given(double given, double *field)
{
    if (!isnan(given))
        *field = given;
}

/* ---- losses ---- */

bool train_loss(struct train *train, size_t classes, struct ood_error *err)
{
    static const char *const spaces[] = { "logits", "cosine" }, *const forms[] = { "hinge", "logistic" }, *const score_forms[] = { "logistic", "hinge" };
    const struct train_options *o = &train->options;
    struct ood_loss_options loss;
    size_t index;
    if (!ood_loss_preset(o->loss, classes, &loss, err))
        return ood_error_prefix(err, "--loss");
    const struct { const char *option, *text; } words[] = {
        { "energy-space", o->energy_space }, { "energy-form", o->energy_form }, { "representation-form", o->representation_form }, { "score-form", o->score_form } };
    size_t chosen[4];
    for (size_t i = 0; i < 4; i++) {
        if (!word_index(words[i].text, i == 0 ? spaces : i == 3 ? score_forms : forms, 2, &index))
            return ood_fail(err, OOD_INVALID, "--%s %s: expected %s", words[i].option, words[i].text, i == 0 ? "logits or cosine" : "hinge or logistic");
        chosen[i] = index;
    }
    loss.energy_space = chosen[0] == 1 ? OOD_ENERGY_COSINE : OOD_ENERGY_LOGITS;
    loss.energy_form = chosen[1] == 1 ? OOD_MARGIN_LOGISTIC : OOD_MARGIN_HINGE;
    loss.representation_form = chosen[2] == 1 ? OOD_MARGIN_LOGISTIC : OOD_MARGIN_HINGE;
    loss.score_form = chosen[3] == 1 ? OOD_MARGIN_HINGE : OOD_MARGIN_LOGISTIC;
    loss.temperature = o->fit.temperature > 0 ? o->fit.temperature : 1;
    set_if_given(o->ce_weight, &loss.cross_entropy_weight);
    set_if_given(o->energy_weight, &loss.energy_weight);
    set_if_given(o->cluster_weight, &loss.cluster_weight);
    set_if_given(o->representation_weight, &loss.representation_weight);
    set_if_given(o->uniform_weight, &loss.uniform_weight);
    set_if_given(o->score_weight, &loss.score_weight);
    set_if_given(o->gamma, &loss.focus);
    set_if_given(o->cosine_scale, &loss.scale);
    set_if_given(o->representation_in, &loss.representation_in);
    set_if_given(o->representation_out, &loss.representation_out);
    ood_loss_default_margins(&loss, classes);            /* they read the space, the scale and the representation's margins */
    set_if_given(o->energy_in, &loss.energy_in);
    set_if_given(o->energy_out, &loss.energy_out);
    set_if_given(o->score_in, &loss.score_in);
    set_if_given(o->score_out, &loss.score_out);
    set_if_given(o->score_beta, &loss.beta);
    train->training_options.loss = loss;
    return true;
}

/* ---- the rest ---- */

static int check_sources(struct train *train)
{
    struct ood_error err = { 0 };
    const struct train_options *o = &train->options;
    const struct ctl_command *command = train->command;
    if (o->regions != NULL)
        return ctl_usage(command, "--regions without --detector");
    if ((o->fit.model == NULL) == (o->arch == NULL))
        return ctl_usage(command, o->arch == NULL ? "--model or --arch missing" : "--model and --arch: expected one of them");
    if (o->arch != NULL && !ood_architecture_parse(o->arch, &train->architecture, &err))
        return ctl_usage(command, "--arch: %s", err.message);
    if (o->fit.images == NULL || o->fit.out == NULL)
        return ctl_usage(command, "--%s missing", o->fit.images == NULL ? "images" : "out");
    if (o->steps == 0 && isnan(o->epochs) && isnan(o->minutes))
        return ctl_usage(command, "--epochs, --steps or --minutes missing: how long is the training to be?");
    if (o->resume && o->checkpoint == NULL)
        return ctl_usage(command, "--resume needs --checkpoint FILE, to go on from");
    return CTL_DONE;
}

static int check_batch(struct train *train)
{
    static const char *const statistics[] = { "joint", "in", "frozen" }, *const precisions[] = { "float32", "bfloat16", "auto" };
    static const char *const prototypes[] = { "auto", "means", "random" };
    const struct train_options *o = &train->options;
    struct ood_trainer_options *trainer = &train->training_options.trainer;
    size_t index;
    if (!train_parse_batch(train, 128, o->outliers.count > 0 ? 2 : 0, 0, &trainer->in, &trainer->out))
        return ctl_usage(train->command, "--batch %s: expected IN or IN,OUT, whole numbers to 65,536", o->batch);
    if (trainer->out > 0 && o->outliers.count == 0)
        return ctl_usage(train->command, "--batch %s: outliers are asked for, --outliers SOURCE is missing", o->batch);
    if (o->slices > 0 && (trainer->in % o->slices != 0 || trainer->out % o->slices != 0))
        return ctl_usage(train->command, "--slices %zu: expected a divisor of the batch, %zu and %zu", o->slices, trainer->in, trainer->out);
    if (!word_index(o->statistics, statistics, 3, &index))
        return ctl_usage(train->command, "--statistics %s: expected joint, in or frozen", o->statistics);
    trainer->statistics = index == 0 ? OOD_STATISTICS_JOINT : index == 1 ? OOD_STATISTICS_IN : OOD_STATISTICS_FROZEN;
    if (!word_index(o->precision, precisions, 3, &index))
        return ctl_usage(train->command, "--precision %s: expected float32, bfloat16 or auto", o->precision);
    trainer->precision = index == 1 ? OOD_PRECISION_BFLOAT16 : OOD_PRECISION_FLOAT32;
    train->automatic_precision = index == 2;
    if (!word_index(o->prototypes, prototypes, 3, &index))
        return ctl_usage(train->command, "--prototypes %s: expected auto, means or random", o->prototypes);
    trainer->operators = ood_op_table;
    trainer->logits = o->fit.logits;
    trainer->features = o->fit.features;
    trainer->slices = o->slices;
    trainer->threads = o->fit.threads > 0 ? o->fit.threads : ood_cpus();
    trainer->statistics_momentum = o->statistics_momentum;
    return CTL_DONE;
}

int train_check_rates(struct train *train, double usual)
{
    const struct train_options *o = &train->options;
    struct ood_training_options *t = &train->training_options;
    struct ood_error err = { 0 };
    double rate = !isnan(o->rate) ? o->rate : usual;
    if (!ood_schedule_named(o->schedule, rate, &t->schedule, &err))
        return ctl_usage(train->command, "--%s", err.message);
    set_if_given(o->warmup, &t->schedule.warmup);
    t->optimiser = (struct ood_optimiser_options){ .momentum = o->momentum, .weight_decay = o->weight_decay, .clip_norm = o->clip, .average_decay = o->ema };
    t->prototype_rate = o->prototype_rate;
    t->seed = o->fit.seed;
    t->augment.pad = o->pad;
    t->augment.strange = o->strange_outliers;
    if (!parse_augment(o->augment, &t->augment))
        return ctl_usage(train->command, "--augment %s: expected crop, mirror, both with a comma, or none", o->augment);
    if (o->early_crop != NULL && !parse_early(o->early_crop, &t->early_side, &t->early_share))
        return ctl_usage(train->command, "--early-crop %s: expected SIZE:SHARE, such as 24:0.45", o->early_crop);
    return CTL_DONE;
}

int train_check_loss(struct train *train, const double usual[2], bool outliers)
{
    const struct train_options *o = &train->options;
    struct ood_error err = { 0 };
    double quantiles[2];
    if (!train_loss(train, 10, &err))        /* the words and numbers; the classes are not known yet */
        return ctl_usage(train->command, "%s", err.message);
    struct ood_loss *loss = ood_loss_new(2, 1, 1, &train->training_options.loss, &err);
    if (loss == NULL)
        return err.code == OOD_INVALID ? ctl_usage(train->command, "%s", err.message) : ctl_fail(&err);
    ood_loss_free(loss);
    train->own_in = usual[0];
    train->own_out = usual[1];
    if (o->own_margins == NULL)
        return CTL_DONE;
    if (!ctl_numbers(o->own_margins, 2, 2, quantiles, NULL) || !(quantiles[0] >= 0 && quantiles[0] <= 1 && quantiles[1] >= 0 && quantiles[1] <= 1))
        return ctl_usage(train->command, "--own-margins %s: expected two quantiles, IN,OUT, from 0 to 1", o->own_margins);
    if (!outliers)
        return ctl_usage(train->command, "--own-margins needs --outliers");
    train->own_in = quantiles[0];
    train->own_out = quantiles[1];
    return CTL_DONE;
}

int train_check_words(struct train *train)
{
    static const double none[2] = { NAN, NAN };
    int status = check_sources(train);
    if (status == CTL_DONE)
        status = check_batch(train);
    if (status == CTL_DONE)
        status = train_check_rates(train, train->options.arch != NULL ? 0.1 : 0.001);       /* METHOD: from scratch; fine-tuning */
    return status != CTL_DONE ? status : train_check_loss(train, none, train->options.outliers.count > 0);
}
