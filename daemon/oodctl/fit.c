/* oodctl fit: a network and pictures it knows become a bundle. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "daemon/oodctl/fit.h"

#define FIELD(name) offsetof(struct fit_options, name)

static const struct ctl_option options[] = {
    { "model", "M.onnx", "the network (needed)", CTL_TEXT, FIELD(model), 0, 0 },
    { "images", "SOURCE", "pictures it knows: DIR/CLASS/*, DIR, shard, folder of shards, @LIST (needed)", CTL_TEXT, FIELD(images), 0, 0 },
    { "only", "LIST", "of --images, only the ids in this file, one a line", CTL_TEXT, FIELD(only), 0, 0 },
    { "calibration", "SOURCE", "calibrate on these (default: half of each class of --images)", CTL_TEXT, FIELD(calibration), 0, 0 },
    { "outliers", "SOURCE", "choose beta on these held-out outliers; may be given again", CTL_TEXTS, FIELD(outliers), 0, 0 },
    FIT_DETECTOR_ROWS(FIELD),
    FIT_BUNDLE_ROWS(FIELD),
    { "seed", "N", "of the split (default: 1)", CTL_SIZE, FIELD(seed), 0, 9007199254740992.0 },
    { "threads", "T", "threads (default: the CPUs it may use); changes no result", CTL_SIZE, FIELD(threads), 1, 1024 },
    { 0 },
};

static const struct fit_options defaults = FIT_DEFAULTS;

static const struct { const char *option; size_t offset; } needed[] = {
    { "--model", FIELD(model) }, { "--images", FIELD(images) }, { "--out", FIELD(out) },
};

/* What a detector's declaration says in place of these. */
static const struct { const char *option; size_t offset; } classifiers[] = {
    { "--preprocess", FIELD(preprocess) }, { "--channels", FIELD(channels) }, { "--layout", FIELD(layout) }, { "--resize", FIELD(resize) },
    { "--filter", FIELD(filter) }, { "--scale", FIELD(scale) }, { "--mean", FIELD(mean) }, { "--std", FIELD(std) }, { "--fill", FIELD(fill) },
    { "--logits", FIELD(logits) }, { "--features", FIELD(features) },
};

int fit_check_detector(const struct ctl_command *command, const struct fit_options *given)
{
    if (given->detector == NULL)
        return given->annotations == NULL ? CTL_DONE : ctl_usage(command, "--annotations without --detector");
    for (size_t i = 0; i < sizeof classifiers / sizeof classifiers[0]; i++)
        if (*(const char *const *)(const void *)((const char *)given + classifiers[i].offset) != NULL)
            return ctl_usage(command, "%s with --detector: the declaration tells it", classifiers[i].option);
    return strcmp(given->convolution, "winograd") != 0 ? CTL_DONE
           : ctl_usage(command, "--convolution winograd with --detector: detectors are run by direct convolution");
}

/* *name: the bundle's, fresh memory. */
static int check_usage(const struct ctl_command *command, struct fit_options *given, int operands, char **name)
{
    if (operands > 0)
        return ctl_usage(command, "unexpected operand");
    bool bundled = given->detector != NULL && given->model == NULL && fit_detector_is_bundle(given->detector);
    for (size_t i = bundled ? 1 : 0; i < sizeof needed / sizeof needed[0]; i++)
        if (*(const char *const *)(const void *)((const char *)given + needed[i].offset) == NULL)
            return ctl_usage(command, "%s missing", needed[i].option);
    int status = fit_check_detector(command, given);
    return status != CTL_DONE ? status : fit_check_words(command, given, name);
}

/* ---- the run ---- */

void fit_set_free(struct fit_set *set)
{
    ood_free(set->logits);
    ood_free(set->features);
    ood_free(set->labels);
    ood_free(set->positions);
    *set = (struct fit_set){ 0 };
}

void fit_forget(struct fit *fit)
{
    struct fit bare = {
        .options = fit->options, .onnx = fit->onnx, .preprocess = fit->preprocess, .preset = fit->preset, .preset_guessed = fit->preset_guessed,
        .convolution = fit->convolution, .model = fit->model, .classes = fit->classes, .dimension = fit->dimension, .bundle = fit->bundle,
        .only = fit->only, .tool = fit->tool, .learned = fit->learned, .training = fit->training,
    };
    fit_set_free(&fit->images);
    fit_set_free(&fit->calibration);
    fit_set_free(&fit->outliers);
    for (size_t i = 0; i < fit->label_count; i++)
        ood_free(fit->label_texts[i]);
    for (size_t i = 0; fit->labels != NULL && i < fit->classes; i++)
        ood_free(fit->labels[i]);
    for (size_t i = 0; i < fit->kept_count; i++)
        ctl_picture_free(&fit->kept[i].picture);
    ood_free(fit->parts);
    ood_free(fit->label_texts);
    ood_free(fit->labels);
    ood_free(fit->label_classes);
    ood_free(fit->image_classes);
    ood_free(fit->is_fit);
    ood_free(fit->is_background);
    ood_free(fit->fit_counts);
    ood_free(fit->calibration_counts);
    ood_free(fit->seen);
    ood_free(fit->correct);
    ood_free(fit->worst_id);
    ood_judge_clear(&fit->judge);
    *fit = bare;
}

void fit_free(struct fit *fit)
{
    ood_decoder_free(fit->decoder);          /* a detector's, which is never measured twice */
    ood_declaration_clear(&fit->declaration);
    ood_annotations_free(&fit->annotations);
    ood_free(fit->name_classes);
    fit_forget(fit);
    ood_bundle_free(fit->bundle);
    ood_model_free(fit->model);
    ood_bytes_free(&fit->onnx);
    ctl_keys_free(fit->only);
    ood_free(fit->learned);
    ood_free(fit->training);
    ood_free(fit->options.outliers.items);
}

/* Pictures to numbers, by the model as it is compiled. */
static bool measure_all(struct fit *fit, struct ood_error *err)
{
    const struct fit_options *given = &fit->options;
    if (!fit_gather(fit, given->images, fit->only, "fit: pictures", &fit->images, err) ||
        (given->calibration != NULL && !fit_gather(fit, given->calibration, NULL, "fit: calibration pictures", &fit->calibration, err)))
        return false;
    size_t labels = fit->label_count;        /* outliers have none that count */
    for (size_t i = 0; i < given->outliers.count; i++)
        if (!fit_gather(fit, given->outliers.items[i], NULL, "fit: outliers", &fit->outliers, err))
            return false;
    while (fit->label_count > labels)
        ood_free(fit->label_texts[--fit->label_count]);
    return fit_labels(fit, err) && fit_judge(fit, err);
}

/* Winograd convolutions if they were compiled and agree; else, unless they were insisted on, all of it again with direct ones. */
static bool settle_convolution(struct fit *fit, struct ood_error *err)
{
    const struct fit_agreement *agreement = &fit->agreement;
    if (fit->convolution != OOD_CONVOLUTION_WINOGRAD)
        return true;
    if (!fit_compare(fit, err))
        return false;
    if (agreement->outside == 0)
        return true;
    struct ood_error why = { 0 };
    ood_fail(&why, OOD_INVALID, "%s: winograd convolution does not agree with direct on %zu of %zu pictures: %s: %s %.9g, direct %.9g, "
             "a difference of %.3g, expected within 1e-4 + 1e-3·|x|", fit->options.model, agreement->outside, agreement->count, fit->worst_id, agreement->worst_score,
             agreement->worst_found, agreement->worst_direct, fabs(agreement->worst_found - agreement->worst_direct));
    if (strcmp(fit->options.convolution, "winograd") == 0) {
        *err = why;
        return false;
    }
    ctl_say("fit: warning: %s; the bundle uses direct convolution", why.message);
    struct fit_agreement kept = *agreement;
    ood_model_free(fit->model);
    fit->convolution = OOD_CONVOLUTION_DIRECT;
    fit->model = fit_compile(fit, fit->convolution, err);
    fit_forget(fit);
    fit->again = true;
    fit->agreement = kept;
    return fit->model != NULL && measure_all(fit, err);
}

bool fit_make_detector(struct fit *fit, const char *command, struct ood_error *err)
{
    return fit_regions(fit, err) && fit_judge(fit, err) && fit_write(fit, command, err);
}

bool fit_make(struct fit *fit, const char *command, struct ood_error *err)
{
    return measure_all(fit, err) && settle_convolution(fit, err) && fit_write(fit, command, err);
}

static bool run_all(const struct ctl_command *command, struct fit *fit, struct ood_error *err)
{
    /* --out and --threads change nothing inside */
    static const char *const left_out[] = { "out", "threads", NULL };
    struct ctl_buffer text = { 0 };
    double start = ood_clock();
    bool detects = fit->options.detector != NULL;
    fit->convolution = detects || strcmp(fit->options.convolution, "direct") == 0 ? OOD_CONVOLUTION_DIRECT : OOD_CONVOLUTION_WINOGRAD;
    bool done = fit_check_out(fit->options.out, err) &&
                (fit->options.only == NULL || (fit->only = ctl_keys_read(fit->options.only, err)) != NULL) &&
                ctl_command_text(command, &fit->options, &defaults, left_out, &text, err) &&
                (detects ? fit_detector_input(fit, err) : fit_input(fit, err)) &&
                (detects ? fit_make_detector(fit, text.text, err) : fit_make(fit, text.text, err));
    ood_free(text.text);
    if (done)
        fit_summary(fit, ood_clock() - start);
    return done;
}

int fit_unreadable(const char *command, size_t count)
{
    if (count == 0)
        return CTL_DONE;
    ctl_say("%s: %zu picture%s could not be read; the bundle was made without", command, count, count == 1 ? "" : "s");
    return CTL_NO;
}

static int run_fit(const struct ctl_command *command, int argc, char **argv)
{
    struct fit fit = { .options = defaults };
    struct ood_error err = { 0 };
    char *name = NULL;
    int first, status;
    if (ctl_parse(command, argc, argv, &fit.options, &first, &status))
        status = check_usage(command, &fit.options, argc - first, &name);
    else
        goto out;
    if (status != CTL_DONE)
        goto out;
    if (!run_all(command, &fit, &err)) {
        status = ctl_fail(&err);
        if (fit.agreement.outside > 0 && fit.convolution == OOD_CONVOLUTION_WINOGRAD)
            status = CTL_NO;                 /* insisted on, and checked */
        goto out;
    }
    size_t unreadable = fit.images.unreadable + fit.calibration.unreadable + fit.outliers.unreadable;
    status = fit_unreadable("fit", unreadable);
out:
    fit_free(&fit);
    ood_free(name);
    return status;
}

const struct ctl_command ctl_fit = {
    "fit", "--model M.onnx --images SOURCE --out BUNDLE", "Makes a bundle: prototypes, scales and thresholds from pictures the network knows",
    options, run_fit,
};
