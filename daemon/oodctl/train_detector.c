/* oodctl train --detector: a head on a frozen detector's regions (train/region_head.h), written into the network's file, and a bundle of it. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "daemon/oodctl/train.h"
#include "train/region_head.h"

#define AT(name) offsetof(struct train_options, name)

/* ---- before any work ---- */

/* What a head that is trained in a minute has no use for. */
static const struct { const char *option; size_t offset; } others[] = {
    { "--arch", AT(arch) }, { "--exclude", AT(exclude) }, { "--holdout", AT(holdout) }, { "--prototypes", AT(prototypes) }, { "--early-crop", AT(early_crop) },
    { "--statistics", AT(statistics) }, { "--precision", AT(precision) }, { "--checkpoint", AT(checkpoint) }, { "--log", AT(log) },
};

int train_check_detector(struct train *train)
{
    static const double margins[2] = { 0.25, 0.75 };
    struct train_options *o = &train->options;
    const struct ctl_command *command = train->command;
    int status = fit_check_detector(command, &o->fit);
    if (status != CTL_DONE)
        return status;
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if (*(const char *const *)(const void *)((const char *)o + others[i].offset) != NULL)
            return ctl_usage(command, "%s with --detector: the head has no use for it", others[i].option);
    if (o->resume || !isnan(o->minutes) || !isnan(o->epochs))
        return ctl_usage(command, "--%s with --detector: expected --steps", o->resume ? "resume" : !isnan(o->minutes) ? "minutes" : "epochs");
    if (o->fit.images == NULL || o->fit.annotations == NULL || o->fit.out == NULL)
        return ctl_usage(command, "--%s missing", o->fit.images == NULL ? "images" : o->fit.annotations == NULL ? "annotations" : "out");
    if (o->fit.model == NULL && !fit_detector_is_bundle(o->fit.detector))
        return ctl_usage(command, "--model missing: --detector names no bundle, which would have one");
    if (o->regions != NULL && strcmp(o->regions, "detections") != 0 && strcmp(o->regions, "boxes") != 0 && strcmp(o->regions, "both") != 0)
        return ctl_usage(command, "--regions %s: expected detections, boxes or both", o->regions);
    if (!train_parse_batch(train, 64, 1, 1, &train->training_options.trainer.in, &train->training_options.trainer.out))
        return ctl_usage(command, "--batch %s: expected IN or IN,OUT, whole numbers from 1 to 65,536", o->batch);
    status = train_check_rates(train, 0.01);
    return status != CTL_DONE ? status : train_check_loss(train, margins, true);
}

/* ---- regions ---- */

/* Copies of what the detector said, parted into known and others. */
struct regions { struct ood_region_set set; float *logits, *features; int32_t *classes; };

static void regions_free(struct regions *regions)
{
    ood_free(regions->logits);
    ood_free(regions->features);
    ood_free(regions->classes);
}

static void put(struct regions *regions, size_t place, const struct fit *fit, const struct fit_set *set, size_t i)
{
    memcpy(regions->logits + place * fit->classes, fit_logits(fit, set, i), fit->classes * sizeof(float));
    memcpy(regions->features + place * fit->dimension, fit_features(fit, set, i), fit->dimension * sizeof(float));
}

/* Known: what matches an object, or is annotated (--regions). Others: background, and all that is in the outliers' pictures. */
static bool part_regions(const struct fit *fit, const struct fit_set *foreign, struct regions *regions, struct ood_error *err)
{
    struct ood_region_set *set = &regions->set;
    size_t known = 0, background = 0;
    for (size_t i = 0; i < fit->images.count; i++) {
        known += fit->image_classes[i] != SIZE_MAX;
        background += fit->is_background[i];
    }
    if (known < FIT_BACKGROUND_LEAST || background + foreign->count < FIT_BACKGROUND_LEAST)
        return ood_fail(err, OOD_INVALID, "%s: %zu known regions, %zu of them annotated boxes, %zu of background and %zu in the outliers, expected at least %d of "
                        "known ones and of others", fit->options.images, known, fit->box_count, background, foreign->count, FIT_BACKGROUND_LEAST);
    size_t count = known + background + foreign->count;
    regions->logits = ood_alloc(count, fit->classes * sizeof(float), err);
    regions->features = ood_alloc(count, fit->dimension * sizeof(float), err);
    regions->classes = ood_new_array(int32_t, known, err);
    if (regions->logits == NULL || regions->features == NULL || regions->classes == NULL)
        return false;
    size_t in = 0, out = known;
    for (size_t i = 0; i < fit->images.count; i++)
        if (fit->image_classes[i] != SIZE_MAX) {
            regions->classes[in] = (int32_t)fit->image_classes[i];
            put(regions, in++, fit, &fit->images, i);
        } else if (fit->is_background[i]) {
            put(regions, out++, fit, &fit->images, i);
        }
    for (size_t i = 0; i < foreign->count; i++)
        put(regions, out++, fit, foreign, i);
    *set = (struct ood_region_set){
        .classes = fit->classes, .dimension = fit->dimension, .in = known, .out = count - known, .in_logits = regions->logits,
        .in_features = regions->features, .in_classes = regions->classes, .out_logits = regions->logits + known * fit->classes,
        .out_features = regions->features + known * fit->dimension,
    };
    return true;
}

/* ---- the head ---- */

static const char *regions_of(const struct train *train) { return train->options.regions != NULL ? train->options.regions : "detections"; }
static size_t steps_of(const struct train *train) { return train->options.steps > 0 ? train->options.steps : 300; }

/* The energy the head is trained with is the one it is used with: T, unless given, by METHOD section 7's rule from the regions it is trained on. */
static bool settle_temperature(struct train *train, struct ood_error *err)
{
    struct fit *fit = &train->fit;
    fit->judge.classes = fit->classes;
    fit->judge.energy_form = OOD_ENERGY_SOFTMAX;
    fit->judge.temperature = 1;
    if (train->options.fit.temperature > 0)
        return true;
    if (fit_has_background(fit) && !fit_choose_temperature(fit, err))
        return false;
    fit->options.temperature = train->options.fit.temperature = fit->judge.temperature;
    fit->temperature_auroc = 0;              /* that was of the start */
    return true;
}

static bool train_head(struct train *train, const struct ood_region_set *set, struct ood_region_head *head, struct ood_error *err)
{
    const struct ood_training_options *given = &train->training_options;
    if (!train_loss(train, set->classes, err))
        return false;
    const struct ood_region_head_options options = {
        .loss = given->loss, .own_in = train->own_in, .own_out = train->own_out, .optimiser = given->optimiser, .schedule = given->schedule,
        .prototype_rate = given->prototype_rate, .batch_in = given->trainer.in, .batch_out = given->trainer.out, .steps = steps_of(train),
        .threads = train_threads(train), .seed = given->seed,
    };
    return ood_region_head_train(set, &options, head, err);
}

/* PREFIX.WHAT.i for each map. */
static bool name_maps(struct ood_detector *detector, const char *prefix, struct ood_error *err)
{
    for (size_t i = 0; i < detector->map_count; i++) {
        detector->head_features[i] = ood_format(err, "%s.features.%zu", prefix, i);
        detector->head_logits[i] = ood_format(err, "%s.logits.%zu", prefix, i);
        if (detector->head_features[i] == NULL || detector->head_logits[i] == NULL)
            return false;
    }
    detector->head_count = detector->map_count;
    return true;
}

/* The network with the head in it, in place of the one without. */
static bool take_head(struct fit *fit, struct ood_region_head *head, struct ood_error *err)
{
    struct ood_detector *detector = &fit->declaration.detector;
    struct ood_region_map maps[OOD_DETECTOR_MAPS];
    struct ood_bytes onnx = { 0 };
    char *prefix = NULL;
    for (size_t i = 0; i < detector->map_count; i++) {
        struct ood_shape shape = ood_decoder_map(fit->decoder, i);
        maps[i] = (struct ood_region_map){ detector->maps[i], (size_t)shape.dims[1], (size_t)shape.dims[2], (size_t)shape.dims[3] };
    }
    if (!ood_region_head_append(head, &fit->onnx, maps, detector->map_count, &prefix, &onnx, err))
        return ood_error_prefix(err, "%s", fit->options.model);
    ood_bytes_free(&fit->onnx);
    fit->onnx = onnx;
    bool done = name_maps(detector, prefix, err) && fit_detector_model(fit, err);
    ood_free(prefix);
    fit->learned = head->prototypes;
    head->prototypes = NULL;
    return done;
}

static char *make_training(const struct train *train, const struct ood_region_set *set, const struct ood_region_head *head, const char *start,
                           struct ood_error *err)
{
    const struct ood_training_options *o = &train->training_options;
    json_t *object = json_pack("{s:s, s:I, s:[I,I], s:f, s:s, s:f, s:f, s:{s:s, s:I, s:I, s:I}}", "starting_network_sha256", start, "steps",
                               (json_int_t)steps_of(train), "batch", (json_int_t)o->trainer.in, (json_int_t)o->trainer.out, "rate", o->schedule.peak,
                               "schedule", train->options.schedule, "momentum", o->optimiser.momentum, "weight_decay", o->optimiser.weight_decay,
                               "regions", "from", regions_of(train), "known", (json_int_t)set->in, "boxes", (json_int_t)train->fit.box_count,
                               "others", (json_int_t)set->out);
    return train_provenance(train, &head->loss, object, err);
}

static void tell(const struct train *train, const struct ood_region_set *set, const struct ood_region_head *head, double seconds)
{
    char in[CTL_COUNT_TEXT], out[CTL_COUNT_TEXT];
    const struct ood_loss_terms *first = &head->first, *last = &head->last;
    printf("head            %zu steps on %s known regions (%s) and %s others, %.1f s\n", steps_of(train), ctl_count(set->in, in), regions_of(train),
           ctl_count(set->out, out), seconds);
    if (train->fit.boxes_missed > 0)
        ctl_say("train: %zu annotated boxes that no region of the detector overlaps were left out", train->fit.boxes_missed);
    printf("                loss %.4f to %.4f; E known %.2f to %.2f, others %.2f to %.2f; D known %.3f to %.3f, others %.3f to %.3f\n", first->total, last->total,
           first->mean_energy_in, last->mean_energy_in, first->mean_energy_out, last->mean_energy_out, first->mean_representation_in,
           last->mean_representation_in, first->mean_representation_out, last->mean_representation_out);
}

/* ---- all of it ---- */

static bool make_head(struct train *train, struct ood_error *err)
{
    struct fit *fit = &train->fit;
    struct fit_set foreign = { 0 };
    struct regions regions = { 0 };
    struct ood_region_head head = { 0 };
    char start[OOD_HASH_HEX];
    ood_sha256_hex(fit->onnx.data, fit->onnx.size, start);
    bool done = fit_training_regions(fit, &train->options.outliers, &foreign, err) && part_regions(fit, &foreign, &regions, err);
    double began = ood_clock();
    done = done && settle_temperature(train, err) && train_head(train, &regions.set, &head, err);
    if (done) {
        tell(train, &regions.set, &head, ood_clock() - began);
        fit->training = make_training(train, &regions.set, &head, start, err);
        done = fit->training != NULL && take_head(fit, &head, err);
    }
    fit_drop_regions(fit);
    ood_region_head_clear(&head);
    regions_free(&regions);
    train->outliers.unreadable = foreign.unreadable;
    fit_set_free(&foreign);
    return done;
}

static bool run(struct train *train, struct ood_error *err)
{
    static const char *const left_out[] = { "out", "threads", NULL };
    struct fit *fit = &train->fit;
    struct train_options plain;
    struct ctl_buffer command = { 0 };
    double start = ood_clock();
    train_defaults(&plain);
    fit->options = train->options.fit;
    fit->tool = "oodctl train";
    fit->convolution = OOD_CONVOLUTION_DIRECT;
    fit->trains = true;
    fit->learns_boxes = strcmp(regions_of(train), "detections") != 0;
    fit->learns_detections = strcmp(regions_of(train), "boxes") != 0;
    bool done = fit_check_out(fit->options.out, err) && (fit->options.only == NULL || (fit->only = ctl_keys_read(fit->options.only, err)) != NULL) &&
                ctl_command_text(train->command, &train->options, &plain, left_out, &command, err) && fit_detector_input(fit, err);
    if (done && fit->declaration.detector.head_count > 0)
        done = ood_fail(err, OOD_UNSUPPORTED, "%s: the bundle has a trained head already; train from the one without", fit->options.detector);
    fit->options.outliers = train->options.validation;       /* what beta is chosen by; none: the background held out */
    done = done && make_head(train, err) && fit_make_detector(fit, command.text, err);
    ood_free(command.text);
    if (done)
        fit_summary(fit, ood_clock() - start);
    return done;
}

int train_detector(struct train *train)
{
    struct ood_error err = { 0 };
    if (!run(train, &err))
        return ctl_fail(&err);
    size_t unreadable = train->fit.images.unreadable + train->fit.outliers.unreadable + train->fit.calibration.unreadable + train->outliers.unreadable;
    return fit_unreadable("train", unreadable);
}
