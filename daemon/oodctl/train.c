/* oodctl train: a network, pictures it is to know and pictures it is not become a bundle. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "daemon/oodctl/train.h"

#define AT(name) offsetof(struct train_options, name)
#define FIT_AT(name) (offsetof(struct train_options, fit) + offsetof(struct fit_options, name))

static const struct ctl_option options[] = {
    { "model", "M.onnx", "the network to begin with; or", CTL_TEXT, FIT_AT(model), 0, 0 },
    { "arch", "NAME", "one from scratch: wrn-D-K, resnet-D or resnet-9, perhaps with :CLASSES", CTL_TEXT, AT(arch), 0, 0 },
    { "images", "SOURCE", "labelled pictures it is to know: DIR/CLASS/*, shard, folder of shards, @LIST (needed)", CTL_TEXT, FIT_AT(images), 0, 0 },
    { "only", "LIST", "of --images, only the ids in this file, one a line", CTL_TEXT, FIT_AT(only), 0, 0 },
    { "exclude", "LIST", "of --images, leave these ids out altogether", CTL_TEXT, AT(exclude), 0, 0 },
    { "holdout", "LIST", "of --images, hold these out of training, to fit and calibrate (default: a share of each class)", CTL_TEXT, AT(holdout), 0, 0 },
    { "holdout-share", "X", "that share (default: 0.1)", CTL_NUMBER, AT(holdout_share), 0.001, 0.9 },
    { "outliers", "SOURCE", "pictures it is not to know, to train with; labels are not needed; may be given again", CTL_TEXTS, AT(outliers), 0, 0 },
    FIT_DETECTOR_ROWS(FIT_AT),
    { "regions", "WHICH", "with --detector, what its head learns the classes of: detections (that match an annotated object), boxes (the annotated ones) or both "
      "(default: detections)", CTL_TEXT, AT(regions), 0, 0 },
    { "validation-outliers", "SOURCE", "outliers of other classes, never trained on, to show progress and choose beta by; may be given again", CTL_TEXTS,
      AT(validation), 0, 0 },
    FIT_BUNDLE_ROWS(FIT_AT),
    { "loss", "PRESET", "ce, energy or sde: weights and margins as docs/METHOD.md section 6 (default: sde with --outliers, else ce)", CTL_TEXT, AT(loss), 0, 0 },
    { "ce-weight", "W", "of the cross-entropy", CTL_NUMBER, AT(ce_weight), 0, 1e9 },
    { "energy-weight", "W", "w_E", CTL_NUMBER, AT(energy_weight), 0, 1e9 },
    { "cluster-weight", "W", "w_C", CTL_NUMBER, AT(cluster_weight), 0, 1e9 },
    { "representation-weight", "W", "w_R", CTL_NUMBER, AT(representation_weight), 0, 1e9 },
    { "uniform-weight", "W", "of outlier exposure (default: 0)", CTL_NUMBER, AT(uniform_weight), 0, 1e9 },
    { "score-weight", "W", "of margins of the fused score (default: 0)", CTL_NUMBER, AT(score_weight), 0, 1e9 },
    { "energy-in", "M", "m_in", CTL_NUMBER, AT(energy_in), -1e9, 1e9 },
    { "energy-out", "M", "m_out", CTL_NUMBER, AT(energy_out), -1e9, 1e9 },
    { "gamma", "G", "focus of the Cluster Focal Loss (default: 2)", CTL_NUMBER, AT(gamma), 0, 100 },
    { "cosine-scale", "S", "s (default: 16)", CTL_NUMBER, AT(cosine_scale), 1e-6, 1e6 },
    { "representation-in", "R", "r_in (default: 0.05)", CTL_NUMBER, AT(representation_in), -10, 10 },
    { "representation-out", "R", "r_out (default: 0.7)", CTL_NUMBER, AT(representation_out), -10, 10 },
    { "score-in", "S", "in deviations (default: 1)", CTL_NUMBER, AT(score_in), -1e6, 1e6 },
    { "score-out", "S", "likewise (default: -1)", CTL_NUMBER, AT(score_out), -1e6, 1e6 },
    { "score-beta", "B", "beta of that score (default: 0.5)", CTL_NUMBER, AT(score_beta), 0, 1 },
    { "energy-space", "WHICH", "logits or cosine: what the energy is taken of (default: logits)", CTL_TEXT, AT(energy_space), 0, 0 },
    { "energy-form", "FORM", "hinge or logistic (default: hinge)", CTL_TEXT, AT(energy_form), 0, 0 },
    { "representation-form", "FORM", "likewise", CTL_TEXT, AT(representation_form), 0, 0 },
    { "score-form", "FORM", "likewise (default: logistic)", CTL_TEXT, AT(score_form), 0, 0 },
    { "own-margins", "QIN,QOUT", "margins from these quantiles of the starting network's own scores", CTL_TEXT, AT(own_margins), 0, 0 },
    { "prototypes", "WHICH", "begin with class means or random directions (default: means, random with --arch)", CTL_TEXT, AT(prototypes), 0, 0 },
    { "prototype-rate", "X", "factor of the learning rate for the prototypes (default: 1)", CTL_NUMBER, AT(prototype_rate), 0, 1e6 },
    { "epochs", "N", "how long: passes over the pictures, or", CTL_NUMBER, AT(epochs), 1e-6, 1e6 },
    { "steps", "N", "steps, or", CTL_SIZE, AT(steps), 1, 1e12 },
    { "minutes", "N", "minutes; of several, what ends first", CTL_NUMBER, AT(minutes), 1e-3, 1e6 },
    { "batch", "IN[,OUT]", "pictures a step (default: 128, and 256 outliers where there are any)", CTL_TEXT, AT(batch), 0, 0 },
    { "lr", "X", "the greatest learning rate (default: 0.001, with --arch 0.1)", CTL_NUMBER, AT(rate), 0, 1e6 },
    { "schedule", "KIND", "cosine, one-cycle or constant (default: cosine)", CTL_TEXT, AT(schedule), 0, 0 },
    { "warmup", "SHARE", "of the run (default: 0.05, one-cycle 0.3)", CTL_NUMBER, AT(warmup), 0, 0.99 },
    { "momentum", "X", "Nesterov's (default: 0.9)", CTL_NUMBER, AT(momentum), 0, 0.9999 },
    { "weight-decay", "X", "of weights, not of biases, batch norms and prototypes (default: 0.0005)", CTL_NUMBER, AT(weight_decay), 0, 1 },
    { "clip", "NORM", "of all gradients together (default: 0, not at all)", CTL_NUMBER, AT(clip), 0, 1e9 },
    { "ema", "DECAY", "evaluate and write a moving average of the weights (default: 0, none)", CTL_NUMBER, AT(ema), 0, 0.999999 },
    { "augment", "HOW", "crop,mirror, one of them, or none (default: crop,mirror)", CTL_TEXT, AT(augment), 0, 0 },
    { "pad", "N", "pixels of the mean colour around a picture before the crop (default: 4)", CTL_SIZE, AT(pad), 0, 1024 },
    { "strange-outliers", "SHARE", "this share of the outliers becomes grey, negative, tiles, blocks, one colour, noise, ... (default: 0)", CTL_NUMBER, AT(strange_outliers), 0, 1 },
    { "early-crop", "SIZE:SHARE", "smaller crops for the first share of the run, such as 24:0.45", CTL_TEXT, AT(early_crop), 0, 0 },
    { "statistics", "WHICH", "joint, in or frozen: what batch norms normalise by (default: joint)", CTL_TEXT, AT(statistics), 0, 0 },
    { "statistics-momentum", "X", "of running statistics (default: 0.1)", CTL_NUMBER, AT(statistics_momentum), 1e-6, 1 },
    { "precision", "WHICH", "float32, bfloat16 or auto, the faster one here, of convolutions (default: float32)", CTL_TEXT, AT(precision), 0, 0 },
    { "slices", "N", "parts of a batch that go through the network one by one (default: the largest of 4, 2, 1)", CTL_SIZE, AT(slices), 1, 65536 },
    { "memory", "MIB", "for decoded pictures; others are decoded again each time (default: 4096)", CTL_SIZE, AT(memory), 0, 1e9 },
    { "checkpoint", "FILE", "write the state there now and then", CTL_TEXT, AT(checkpoint), 0, 0 },
    { "checkpoint-minutes", "N", "between two (default: 5)", CTL_NUMBER, AT(checkpoint_minutes), 0, 1e6 },
    { "resume", NULL, "go on from the checkpoint, if it is there", CTL_FLAG, AT(resume), 0, 0 },
    { "evaluations", "N", "looks at held-out pictures on the way (default: 10)", CTL_SIZE, AT(evaluations), 0, 1e6 },
    { "evaluation-pictures", "N", "at most, of each kind (default: 1000)", CTL_SIZE, AT(evaluation_pictures), 1, 1e9 },
    { "log", "FILE", "append a JSON line every ten steps and evaluation", CTL_TEXT, AT(log), 0, 0 },
    { "seed", "N", "of everything drawn (default: 1)", CTL_SIZE, FIT_AT(seed), 0, 9007199254740992.0 },
    { "threads", "T", "threads (default: the CPUs it may use); changes no result", CTL_SIZE, FIT_AT(threads), 1, 1024 },
    { 0 },
};

static const struct train_options defaults = {
    .fit = FIT_DEFAULTS, .holdout_share = 0.1,
    .ce_weight = TRAIN_OPEN, .energy_weight = TRAIN_OPEN, .cluster_weight = TRAIN_OPEN, .representation_weight = TRAIN_OPEN, .uniform_weight = TRAIN_OPEN,
    .score_weight = TRAIN_OPEN, .energy_in = TRAIN_OPEN, .energy_out = TRAIN_OPEN, .gamma = TRAIN_OPEN, .cosine_scale = TRAIN_OPEN,
    .representation_in = TRAIN_OPEN, .representation_out = TRAIN_OPEN, .score_in = TRAIN_OPEN, .score_out = TRAIN_OPEN, .score_beta = TRAIN_OPEN,
    .prototype_rate = 1, .epochs = TRAIN_OPEN, .minutes = TRAIN_OPEN, .rate = TRAIN_OPEN, .schedule = "cosine", .warmup = TRAIN_OPEN, .momentum = 0.9,
    .weight_decay = 5e-4, .augment = "crop,mirror", .pad = 4, .statistics_momentum = 0.1, .memory = 4096, .checkpoint_minutes = 5, .evaluations = 10,
    .evaluation_pictures = 1000,
};

void train_defaults(struct train_options *out) { *out = defaults; }

/* ---- pictures ---- */

static bool read_keys(const char *path, struct ctl_keys **keys, struct ood_error *err)
{
    return path == NULL || (*keys = ctl_keys_read(path, err)) != NULL;
}

/* The network's bytes: the user's, or fresh ones for as many classes as there are labels. */
static bool make_network(struct train *train, struct ctl_keys *only, struct ctl_keys *exclude, struct ood_error *err)
{
    struct fit *fit = &train->fit;
    const struct fit_options *o = &fit->options;
    if (train->options.arch == NULL)
        return ood_file_read(o->model, OOD_MODEL_BYTES_MOST, &fit->onnx, err);
    struct ood_architecture *architecture = &train->architecture;
    struct ctl_labels labels = { 0 };
    if (architecture->classes == 0 && o->labels != NULL) {
        if (!ctl_labels_read(o->labels, &labels, err))
            return false;
        architecture->classes = labels.count;
        ctl_labels_free(&labels);
    }
    if (architecture->classes == 0 && !train_count_labels(o->images, only, exclude, &architecture->classes, err))
        return false;
    size_t channels = o->channels != NULL && strcmp(o->channels, "grey") == 0 ? 1 : 3;
    fit->options.model = train->options.arch;
    return ood_architecture_build(architecture, channels, o->height > 0 ? o->height : 32, o->width > 0 ? o->width : 32, o->seed, &fit->onnx, err);
}

/* Decoded pictures share the memory in the order they are read. */
static bool make_set(const struct train *train, struct train_pictures *pictures, size_t *room, struct ood_error *err)
{
    pictures->set = ood_picture_set_new(&train->fit.preprocess, *room, err);
    return pictures->set != NULL;
}

static void take_room(const struct train_pictures *pictures, size_t *room)
{
    size_t used = ood_picture_set_decoded(pictures->set) * ood_preprocess_floats(ood_picture_set_pixels(pictures->set));
    *room -= used < *room ? used : *room;
}

static bool read_all(struct train *train, const struct ctl_texts *sources, const char *what, struct train_pictures *pictures, size_t *room, struct ood_error *err)
{
    if (!make_set(train, pictures, room, err))
        return false;
    for (size_t i = 0; i < sources->count; i++)
        if (!train_read(train, sources->items[i], NULL, NULL, what, pictures, err))
            return false;
    take_room(pictures, room);
    if (sources->count > 0 && pictures->count == 0)
        return ood_fail(err, OOD_INVALID, "%s: no pictures that can be read", sources->items[0]);
    return true;
}

static bool read_pictures(struct train *train, struct ctl_keys *only, struct ctl_keys *exclude, struct ood_error *err)
{
    const struct train_options *o = &train->options;
    size_t room = o->memory << 20;
    if (!make_set(train, &train->images, &room, err) ||
        !train_read(train, train->fit.options.images, only, exclude, "train: pictures", &train->images, err))
        return false;
    take_room(&train->images, &room);
    if ((only != NULL && !ctl_keys_all_met(only, err)) || (exclude != NULL && !ctl_keys_all_met(exclude, err)))
        return ood_error_prefix(err, "%s", train->fit.options.images);
    return read_all(train, &o->validation, "train: validation outliers", &train->validation, &room, err) &&
           read_all(train, &o->outliers, "train: outliers", &train->outliers, &room, err);
}

/* Everything up to the first step. */
static bool prepare(struct train *train, struct ood_error *err)
{
    struct ctl_keys *only = NULL, *exclude = NULL;
    struct fit *fit = &train->fit;
    fit->options = train->options.fit;
    fit->tool = "oodctl train";
    fit->convolution = strcmp(fit->options.convolution, "direct") == 0 ? OOD_CONVOLUTION_DIRECT : OOD_CONVOLUTION_WINOGRAD;
    bool done = fit_check_out(fit->options.out, err) && read_keys(fit->options.only, &only, err) && read_keys(train->options.exclude, &exclude, err) &&
                make_network(train, only, exclude, err) && fit_input(fit, err) && train_loss(train, fit->classes, err) &&
                read_pictures(train, only, exclude, err) && train_check_apart(train, err) && train_split(train, err);
    ctl_keys_free(only);
    ctl_keys_free(exclude);
    if (done)
        ood_sha256_hex(fit->onnx.data, fit->onnx.size, train->model_hash);
    return done && train_start(train, err);
}

/* ---- the run ---- */

static void train_free(struct train *train)
{
    struct train_part *parts[] = { &train->fit_in, &train->held, &train->all_outliers, &train->all_validation, &train->shown_in, &train->shown_out };
    ood_training_free(train->training);
    train_pictures_free(&train->images);
    train_pictures_free(&train->outliers);
    train_pictures_free(&train->validation);
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        ood_free(parts[i]->places);
    ood_free(train->classes);
    train->fit.options.outliers = (struct ctl_texts){ 0 };             /* the validation's, below */
    fit_free(&train->fit);
    ood_free(train->options.outliers.items);
    ood_free(train->options.validation.items);
}

static int run_train(const struct ctl_command *command, int argc, char **argv)
{
    struct train train = { .options = defaults, .command = command };
    struct ood_error err = { 0 };
    char *name = NULL;
    int first, status;
    double start = ood_clock();
    if (!ctl_parse(command, argc, argv, &train.options, &first, &status))
        goto out;
    bool detects = train.options.fit.detector != NULL || train.options.fit.annotations != NULL;
    if (train.options.loss == NULL)          /* of a detector the background is among the outliers */
        train.options.loss = detects || train.options.outliers.count > 0 ? "sde" : "ce";
    status = argc > first ? ctl_usage(command, "unexpected operand") : detects ? train_check_detector(&train) : train_check_words(&train);
    if (status == CTL_DONE)
        status = fit_check_words(command, &train.options.fit, &name);
    if (status != CTL_DONE)
        goto out;
    if (detects) {
        status = train_detector(&train);
        goto out;
    }
    bool done = prepare(&train, &err) && train_loop(&train, &err);
    if (done && train.signal != 0) {
        status = 128 + train.signal;
        goto out;
    }
    if (!done || !train_end(&train, ood_clock() - start, &err)) {
        status = ctl_fail(&err);
        goto out;
    }
    size_t unreadable = train.images.unreadable + train.outliers.unreadable + train.validation.unreadable;
    status = fit_unreadable("train", unreadable);
out:
    train_free(&train);
    ood_free(name);
    return status;
}

const struct ctl_command ctl_train = {
    "train", "--model M.onnx | --arch NAME | --detector DETECTOR --images SOURCE [--outliers SOURCE]… --out BUNDLE",
    "Trains a network and makes a bundle of it: docs/METHOD.md section 6", options, run_train,
};
