/* train: the first prototypes, margins from the network's own scores, bfloat16 or not, and the state of an earlier run. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/number.h"
#include "base/random.h"
#include "daemon/oodctl/train.h"

#define SAMPLE 5000                          /* pictures that begin prototypes and margins */

/* ---- what the starting network says of some pictures ---- */

struct sample { struct train_part in, out; struct ood_outputs in_outputs, out_outputs; int32_t *classes; };

static void sample_free(struct sample *sample)
{
    ood_free(sample->in.places);
    ood_free(sample->out.places);
    ood_free(sample->classes);
    ood_outputs_free(&sample->in_outputs);
    ood_outputs_free(&sample->out_outputs);
}

/* The first of a seeded permutation. */
static bool draw(const struct train_part *from, size_t seed, struct train_part *part, struct ood_error *err)
{
    struct ood_random random;
    part->places = ood_new_array(size_t, from->count, err);
    if (part->places == NULL)
        return false;
    memcpy(part->places, from->places, from->count * sizeof *part->places);
    ood_random_seed(&random, seed);
    ood_random_shuffle(&random, part->places, from->count);
    part->count = from->count < SAMPLE ? from->count : SAMPLE;
    return true;
}

/* Pictures to train on, as inference sees them. */
static bool look(struct train *train, bool outliers, struct sample *sample, struct ood_error *err)
{
    struct fit *fit = &train->fit;
    if (!draw(&train->fit_in, fit->options.seed, &sample->in, err) || (sample->classes = ood_new_array(int32_t, sample->in.count, err)) == NULL)
        return false;
    for (size_t i = 0; i < sample->in.count; i++)
        sample->classes[i] = train->classes[sample->in.places[i]];
    struct ood_model *model = ood_inference_model(&fit->onnx, train->images.set, fit->options.logits, fit->options.features, err);
    bool done = model != NULL && ood_inference(model, train->images.set, sample->in.places, sample->in.count, train_threads(train), &sample->in_outputs, err);
    if (done && outliers)
        done = draw(&train->all_outliers, fit->options.seed, &sample->out, err) &&
               ood_inference(model, train->outliers.set, sample->out.places, sample->out.count, train_threads(train), &sample->out_outputs, err);
    ood_model_free(model);
    return done;
}

/* ---- prototypes ---- */

static void random_directions(struct train *train, float *prototypes)
{
    struct ood_random random;
    ood_random_seed(&random, train->fit.options.seed ^ 0x70726f746fu);
    for (size_t i = 0; i < train->fit.classes * train->fit.dimension; i++)
        prototypes[i] = (float)ood_random_normal(&random);
}

static bool class_means(const struct train *train, const struct sample *sample, float *prototypes, struct ood_error *err)
{
    struct ood_prototype_sums sums = { 0 };
    bool done = ood_prototypes_begin(&sums, train->fit.classes, train->fit.dimension, err) &&
                ood_prototypes_add_batch(&sums, sample->in_outputs.features, sample->classes, sample->in.count, err) &&
                ood_prototypes_finish(&sums, prototypes, err);
    ood_prototypes_free(&sums);
    return done || ood_error_prefix(err, "the first prototypes, of %zu pictures to train on", sample->in.count);
}

/* ---- margins ---- */

static bool measure(struct train *train, const struct ood_outputs *outputs, const int32_t *classes, const float *prototypes, double *numbers, struct ood_error *err)
{
    size_t n = outputs->count;
    struct ood_loss *loss = ood_loss_new(outputs->classes, outputs->dimension, n, &train->training_options.loss, err);
    struct ood_loss_batch batch = { n, outputs->logits, outputs->features, classes, prototypes };
    bool done = loss != NULL && ood_loss_measure(loss, &batch, numbers, numbers + n, numbers + 2 * n, err);
    ood_loss_free(loss);
    return done;
}

static bool scale(struct train *train, const struct sample *sample, const float *prototypes, struct ood_error *err)
{
    size_t n = sample->in.count, m = sample->out.count;
    double *in = ood_new_array(double, 3 * n, err), *out = ood_new_array(double, 3 * m, err);
    int32_t *labels = ood_new_array(int32_t, m, err);
    bool done = in != NULL && out != NULL && labels != NULL;
    for (size_t i = 0; i < m && done; i++)
        labels[i] = -1;
    struct ood_loss_sample scores = { n, m, in, in + n, in + 2 * n, out, out + 2 * m };
    done = done && measure(train, &sample->in_outputs, sample->classes, prototypes, in, err) &&
           measure(train, &sample->out_outputs, labels, prototypes, out, err) &&
           ood_loss_scale(&train->training_options.loss, &scores, train->own_in, train->own_out, err);
    ood_free(in);
    ood_free(out);
    ood_free(labels);
    return done;
}

/* *prototypes: fresh memory, or NULL where the losses read none. */
static bool begin_prototypes(struct train *train, float **prototypes, struct ood_error *err)
{
    const struct train_options *o = &train->options;
    const struct ood_loss_options *loss = &train->training_options.loss;
    struct sample sample = { 0 };
    bool own = !isnan(train->own_in), done = false;
    bool needed = loss->cluster_weight > 0 || loss->representation_weight > 0 || loss->score_weight > 0 || loss->energy_space == OOD_ENERGY_COSINE;
    bool random = o->prototypes != NULL && strcmp(o->prototypes, "auto") != 0 ? strcmp(o->prototypes, "random") == 0 : o->arch != NULL;
    *prototypes = NULL;
    if (!needed && !own)
        return true;
    float *made = ood_new_array(float, train->fit.classes * train->fit.dimension, err);
    if (made == NULL)
        return false;
    if ((!random || own) && !look(train, own, &sample, err))
        goto out;
    if (random)
        random_directions(train, made);
    else if (!class_means(train, &sample, made, err))
        goto out;
    done = !own || scale(train, &sample, made, err);
out:
    sample_free(&sample);
    if (done && needed)
        *prototypes = made;
    else
        ood_free(made);
    return done;
}

/* ---- precision ---- */

#define TRIED 3                              /* steps; the first warms up */

/* Seconds a step takes, or infinity where it cannot be made. */
static double try_precision(struct train *train, const struct ood_training_data *data, const float *prototypes, enum ood_precision precision)
{
    struct ood_training_options options = train->training_options;
    struct ood_training_report report;
    struct ood_error ignored = { 0 };
    double start = 0;
    options.trainer.precision = precision;
    options.early_side = 0;
    struct ood_training *training = ood_training_new(&train->fit.onnx, &options, data, prototypes, &ignored);
    bool done = training != NULL;
    for (size_t i = 0; i < TRIED && done; i++) {
        if (i == 1)
            start = ood_clock();
        done = ood_training_step(training, 0, &report, &ignored);
    }
    double seconds = (ood_clock() - start) / (TRIED - 1);
    ood_training_free(training);
    return done ? seconds : INFINITY;
}

static void choose_precision(struct train *train, const struct ood_training_data *data, const float *prototypes)
{
    double half = try_precision(train, data, prototypes, OOD_PRECISION_BFLOAT16);
    bool faster = !isinf(half) && half < try_precision(train, data, prototypes, OOD_PRECISION_FLOAT32);
    train->training_options.trainer.precision = faster ? OOD_PRECISION_BFLOAT16 : OOD_PRECISION_FLOAT32;
    ctl_say("train: precision %s: %s", faster ? "bfloat16" : "float32", faster ? "measured faster here" : isinf(half) ? "this CPU has no bfloat16" : "bfloat16 is not faster here");
}

/* ---- checkpoints: what must be the same ---- */

/* Options that change no bit of the training, or whose files are known by their hashes. */
static bool matters(const struct ctl_option *option)
{
    static const char *const free_ones[] = { "out", "name", "distance", "alpha", "alpha-review", "convolution", "per-class", "precision", "memory", "checkpoint",
        "checkpoint-minutes", "resume", "evaluations", "evaluation-pictures", "log", "threads", "holdout-share" };
    for (size_t i = 0; i < sizeof free_ones / sizeof free_ones[0]; i++)
        if (strcmp(option->name, free_ones[i]) == 0)
            return false;
    return !ctl_option_is_path(option);
}

static char *option_text(const struct train_options *options, const struct ctl_option *option, struct ood_error *err)
{
    const void *field = (const char *)options + option->offset;
    char number[OOD_NUMBER_TEXT];
    switch (option->kind) {
    case CTL_FLAG:
        return ood_strdup(*(const bool *)field ? "yes" : "no", err);
    case CTL_TEXT:
        return ood_strdup(*(const char *const *)field != NULL ? *(const char *const *)field : "", err);
    case CTL_SIZE:
        return ood_format(err, "%zu", *(const size_t *)field);
    case CTL_NUMBER:
        if (isnan(*(const double *)field))
            return ood_strdup("", err);
        ood_print_double(*(const double *)field, number);
        return ood_strdup(number, err);
    case CTL_TEXTS:
        break;
    }
    return ood_strdup("", err);
}

/* Key, value, …: fresh memory all of it. */
struct texts { char **items; size_t pairs; };

static void texts_free(struct texts *texts)
{
    for (size_t i = 0; texts->items != NULL && i < 2 * texts->pairs; i++)
        ood_free(texts->items[i]);
    ood_free(texts->items);
    *texts = (struct texts){ 0 };
}

/* Takes both. */
static bool add_text(struct texts *texts, char *key, char *value)
{
    if (key == NULL || value == NULL) {
        ood_free(key);
        ood_free(value);
        return false;
    }
    texts->items[2 * texts->pairs] = key;
    texts->items[2 * texts->pairs++ + 1] = value;
    return true;
}

static bool make_texts(const struct train *train, struct texts *texts, struct ood_error *err)
{
    const struct { const char *key, *value; } hashes[] = {
        { "network to begin with", train->model_hash }, { "pictures to train on", train->images_hash }, { "held-out pictures", train->held_hash },
        { "outliers", train->outliers_hash } };
    size_t most = sizeof hashes / sizeof hashes[0];
    for (const struct ctl_option *option = train->command->options; option->name != NULL; option++)
        most++;
    texts->items = ood_new_array(char *, 2 * most, err);
    bool done = texts->items != NULL;
    for (const struct ctl_option *option = train->command->options; option->name != NULL && done; option++)
        if (matters(option))
            done = add_text(texts, ood_format(err, "--%s", option->name), option_text(&train->options, option, err));
    for (size_t i = 0; i < sizeof hashes / sizeof hashes[0] && done; i++)
        done = add_text(texts, ood_strdup(hashes[i].key, err), ood_strdup(hashes[i].value, err));
    return done;
}

/* Did the option come after the checkpoint was written, and is it not used now either? */
static bool came_later(const struct train *train, const char *key, const char *now)
{
    struct train_options usual;
    train_defaults(&usual);
    for (const struct ctl_option *option = train->command->options; option->name != NULL; option++)
        if (key[0] == '-' && strcmp(option->name, key + 2) == 0) {
            struct ood_error ignored = { 0 };
            char *text = option_text(&usual, option, &ignored);
            bool same = text != NULL && strcmp(text, now) == 0;
            ood_free(text);
            return same;
        }
    return false;
}

/* The first text that is another one is named. */
static bool same_texts(const struct train *train, const struct ood_checkpoint *checkpoint, struct ood_error *err)
{
    struct texts texts = { 0 };
    bool done = make_texts(train, &texts, err);
    for (size_t i = 0; i < texts.pairs && done; i++) {
        const char *key = texts.items[2 * i], *now = texts.items[2 * i + 1], *then = ood_checkpoint_text(checkpoint, key);
        if (then != NULL ? strcmp(then, now) == 0 : came_later(train, key, now))
            continue;
        if (key[0] == '-')
            done = ood_fail(err, OOD_INVALID, "%s: %s was \"%s\" when it was written, now it is \"%s\"", train->options.checkpoint, key, then != NULL ? then : "", now);
        else
            done = ood_fail(err, OOD_INVALID, "%s: written with another one: the %s", train->options.checkpoint, key);
    }
    texts_free(&texts);
    return done;
}

bool train_checkpoint(struct train *train, struct ood_error *err)
{
    struct texts texts = { 0 };
    bool done = make_texts(train, &texts, err) &&
                ood_checkpoint_write(train->training, train->options.checkpoint, (const char *const *)texts.items, texts.pairs, train_elapsed(train), err);
    texts_free(&texts);
    return done;
}

static bool resume(struct train *train, struct ood_error *err)
{
    const char *path = train->options.checkpoint;
    struct stat status;
    if (!train->options.resume)
        return true;
    if (stat(path, &status) != 0 && errno == ENOENT) {
        ctl_say("train: %s is not there: from the beginning", path);
        return true;
    }
    struct ood_checkpoint *checkpoint = ood_checkpoint_read(path, err);
    bool done = checkpoint != NULL && same_texts(train, checkpoint, err) &&
                (ood_training_restore(train->training, checkpoint, err) || ood_error_prefix(err, "%s", path));
    if (done) {
        train->elapsed_before = ood_checkpoint_elapsed(checkpoint);
        train->resumed_at = ood_checkpoint_steps(checkpoint);
        ctl_say("train: going on after step %llu", (unsigned long long)train->resumed_at);
    }
    ood_checkpoint_free(checkpoint);
    return done;
}

bool train_start(struct train *train, struct ood_error *err)
{
    struct ood_training_options *options = &train->training_options;
    const struct ood_preprocess *preprocess = &train->fit.preprocess;
    struct ood_training_data data = {
        .in = train->images.set, .out = train->outliers.set, .in_places = train->fit_in.places, .out_places = train->all_outliers.places,
        .in_count = train->fit_in.count, .out_count = train->all_outliers.count, .in_classes = train->classes,
    };
    float *prototypes = NULL;
    options->trainer.input_shape = ood_preprocess_shape(preprocess);
    options->augment.width = preprocess->width;
    options->augment.height = preprocess->height;
    if (options->early_side > preprocess->width || options->early_side > preprocess->height)
        return ood_fail(err, OOD_INVALID, "--early-crop %s: larger than the network's input, %zux%zu", train->options.early_crop, preprocess->width, preprocess->height);
    bool done = begin_prototypes(train, &prototypes, err);
    if (done && train->automatic_precision)
        choose_precision(train, &data, prototypes);
    train->training = done ? ood_training_new(&train->fit.onnx, options, &data, prototypes, err) : NULL;
    ood_free(prototypes);
    if (done && train->training == NULL)
        return ood_error_prefix(err, "%s", train->fit.options.model);
    return done && resume(train, err);
}
