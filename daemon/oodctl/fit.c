/* oodctl fit: a network and pictures it knows become a bundle. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/number.h"
#include "daemon/oodctl/fit.h"
#include "daemon/oodctl/network.h"

#define FIELD(name) offsetof(struct fit_options, name)

static const struct ctl_option options[] = {
    { "model", "M.onnx", "the network (needed)", CTL_TEXT, FIELD(model), 0, 0 },
    { "images", "SOURCE", "pictures it knows: DIR/CLASS/*, DIR, shard, folder of shards, @LIST (needed)", CTL_TEXT, FIELD(images), 0, 0 },
    { "only", "LIST", "of --images, only the ids in this file, one a line", CTL_TEXT, FIELD(only), 0, 0 },
    { "calibration", "SOURCE", "calibrate on these (default: half of each class of --images)", CTL_TEXT, FIELD(calibration), 0, 0 },
    { "out", "BUNDLE", "the folder to write (needed)", CTL_TEXT, FIELD(out), 0, 0 },
    { "name", "NAME", "the bundle's name (default: the folder's)", CTL_TEXT, FIELD(name), 0, 0 },
    { "labels", "FILE", "class names in the network's order, one a line (default: the sorted folder names)", CTL_TEXT, FIELD(labels), 0, 0 },
    { "outliers", "SOURCE", "choose beta on these held-out outliers; may be given again", CTL_TEXTS, FIELD(outliers), 0, 0 },
    { "preprocess", "PRESET", "cifar or imagenet (default: by the input's size)", CTL_TEXT, FIELD(preprocess), 0, 0 },
    { "width", "N", "the input's width, where the network leaves it open", CTL_SIZE, FIELD(width), 1, 65536 },
    { "height", "N", "its height", CTL_SIZE, FIELD(height), 1, 65536 },
    { "channels", "ORDER", "rgb, bgr or grey", CTL_TEXT, FIELD(channels), 0, 0 },
    { "layout", "LAYOUT", "nchw or nhwc", CTL_TEXT, FIELD(layout), 0, 0 },
    { "resize", "HOW", "short_side, exact or letterbox", CTL_TEXT, FIELD(resize), 0, 0 },
    { "resize-to", "N", "short_side: the length before the centre crop", CTL_SIZE, FIELD(resize_to), 1, 65536 },
    { "filter", "FILTER", "bilinear or bicubic", CTL_TEXT, FIELD(filter), 0, 0 },
    { "scale", "X", "value = (pixel * scale - mean) / std", CTL_TEXT, FIELD(scale), 0, 0 },
    { "mean", "A[,B,C]", "in the order of the channels", CTL_TEXT, FIELD(mean), 0, 0 },
    { "std", "A[,B,C]", "likewise", CTL_TEXT, FIELD(std), 0, 0 },
    { "fill", "R[,G,B]", "letterbox: the colour around, 0 to 255", CTL_TEXT, FIELD(fill), 0, 0 },
    { "logits", "TENSOR", "the scores before any softmax (default: found)", CTL_TEXT, FIELD(logits), 0, 0 },
    { "features", "TENSOR", "the last layer's input (default: found)", CTL_TEXT, FIELD(features), 0, 0 },
    { "distance", "WHICH", "nearest or predicted: the prototype D is measured to (default: nearest)", CTL_TEXT, FIELD(distance), 0, 0 },
    { "temperature", "T", "of the energy (default: 1)", CTL_NUMBER, FIELD(temperature), 1e-6, 1e6 },
    { "alpha", "A", "the share of known pictures that may be called out (default: 0.05)", CTL_NUMBER, FIELD(alpha), 1e-6, 0.999999 },
    { "alpha-review", "A", "the share below the review threshold (default: alpha, no review zone)", CTL_NUMBER, FIELD(alpha_review), 1e-6, 0.999999 },
    { "convolution", "KIND", "auto, direct or winograd (default: auto: winograd where its scores agree with direct)", CTL_TEXT, FIELD(convolution), 0, 0 },
    { "per-class", NULL, "thresholds of the predicted class", CTL_FLAG, FIELD(per_class), 0, 0 },
    { "seed", "N", "of the split (default: 1)", CTL_SIZE, FIELD(seed), 0, 9007199254740992.0 },
    { "threads", "T", "threads (default: the CPUs it may use); changes no result", CTL_SIZE, FIELD(threads), 1, 1024 },
    { 0 },
};

static const struct fit_options defaults = { .distance = "nearest", .convolution = "auto", .temperature = 1, .alpha = 0.05, .seed = 1 };

/* ---- before any work ---- */

static bool valid_name(const char *name)
{
    size_t length = strlen(name);
    return length >= 1 && length <= 64 && strcmp(name, ".") != 0 && strcmp(name, "..") != 0 &&
           strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") == length;
}

static const struct { const char *option; size_t offset; } needed[] = {
    { "--model", FIELD(model) }, { "--images", FIELD(images) }, { "--out", FIELD(out) },
};

/* *name: the bundle's, fresh memory. */
static int check_usage(const struct ctl_command *command, struct fit_options *given, int operands, char **name)
{
    enum ood_convolution convolution;
    struct ood_error err = { 0 };
    if (operands > 0)
        return ctl_usage(command, "unexpected operand");
    for (size_t i = 0; i < sizeof needed / sizeof needed[0]; i++)
        if (*(const char *const *)(const void *)((const char *)given + needed[i].offset) == NULL)
            return ctl_usage(command, "%s missing", needed[i].option);
    if (strcmp(given->distance, "nearest") != 0 && strcmp(given->distance, "predicted") != 0)
        return ctl_usage(command, "--distance %s: expected nearest or predicted", given->distance);
    if (!ctl_convolution_parse(given->convolution, &convolution))
        return ctl_usage(command, "--convolution %s: expected auto, direct or winograd", given->convolution);
    if (given->alpha_review != 0 && given->alpha_review < given->alpha)
        return ctl_usage(command, "--alpha-review %g: expected at least --alpha, %g", given->alpha_review, given->alpha);
    if (!fit_options_valid(given, &err))
        return ctl_usage(command, "%s", err.message);
    if (given->name == NULL) {
        const char *base = ctl_base_name(given->out);
        size_t length = strlen(base);
        while (length > 0 && base[length - 1] == '/')
            length--;
        *name = ood_strndup(base, length, &err);
        if (*name == NULL)
            return ctl_fail(&err);
        given->name = *name;
    }
    if (!valid_name(given->name))
        return ctl_usage(command, "name \"%s\": expected 1 to 64 of A-Z a-z 0-9 . _ -; --name gives one", given->name);
    return CTL_DONE;
}

/* What is at --out is replaced in the end: only a bundle, or nothing, may be there. */
static bool check_out(const char *out, struct ood_error *err)
{
    static const char *const ours[] = { "model.json", "model.onnx", "prototypes.safetensors", "selftest.safetensors" };
    struct stat status;
    struct ood_names names;
    if (lstat(out, &status) != 0)
        return true;
    if (!S_ISDIR(status.st_mode))
        return ood_fail(err, OOD_INVALID, "%s: exists and is not a folder", out);
    if (!ood_folder_names(out, &names, err))
        return false;
    bool bundle = true;
    for (size_t i = 0; i < names.count && bundle; i++) {
        bool known = false;
        for (size_t k = 0; k < sizeof ours / sizeof ours[0]; k++)
            known = known || strcmp(names.items[i], ours[k]) == 0;
        if (!known)
            bundle = ood_fail(err, OOD_INVALID, "%s: exists and is not a bundle: it holds %s", out, names.items[i]);
    }
    ood_names_free(&names);
    return bundle;
}

/* ---- the command as the provenance names it ---- */

static bool is_path(const struct ctl_option *option)
{
    static const char *const kinds[] = { "M.onnx", "SOURCE", "LIST", "FILE" };
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (option->argument != NULL && strcmp(option->argument, kinds[i]) == 0)
            return true;
    return false;
}

/* Only the last part of a path: where the files lay says nothing about them. */
static bool append_text(struct ctl_buffer *out, const struct ctl_option *option, const char *text, struct ood_error *err)
{
    const char *at = is_path(option) && text[0] == '@' ? "@" : "", *value = is_path(option) ? ctl_base_name(text + strlen(at)) : text;
    size_t length = strlen(value);
    while (is_path(option) && length > 0 && value[length - 1] == '/')
        length--;
    return ctl_append(out, err, " --%s %s%.*s", option->name, at, (int)length, value);
}

/* The options that differ from their defaults, in the order of the table. --out and --threads change nothing inside. */
static bool command_text(const struct fit_options *given, struct ctl_buffer *out, struct ood_error *err)
{
    if (!ctl_append(out, err, "oodctl fit"))
        return false;
    for (const struct ctl_option *option = options; option->name != NULL; option++) {
        const void *field = (const char *)given + option->offset, *other = (const char *)&defaults + option->offset;
        const struct ctl_texts *texts = field;
        char number[OOD_NUMBER_TEXT];
        bool done = true;
        if (strcmp(option->name, "out") == 0 || strcmp(option->name, "threads") == 0)
            continue;
        switch (option->kind) {
        case CTL_FLAG:
            done = !*(const bool *)field || ctl_append(out, err, " --%s", option->name);
            break;
        case CTL_TEXT: {
            const char *text = *(const char *const *)field, *usual = *(const char *const *)other;
            done = text == NULL || (usual != NULL && strcmp(text, usual) == 0) || append_text(out, option, text, err);
            break;
        }
        case CTL_SIZE:
            done = *(const size_t *)field == *(const size_t *)other || ctl_append(out, err, " --%s %zu", option->name, *(const size_t *)field);
            break;
        case CTL_NUMBER:
            ood_print_double(*(const double *)field, number);
            done = *(const double *)field == *(const double *)other || ctl_append(out, err, " --%s %s", option->name, number);
            break;
        case CTL_TEXTS:
            for (size_t i = 0; i < texts->count && done; i++)
                done = append_text(out, option, texts->items[i], err);
            break;
        }
        if (!done)
            return false;
    }
    return true;
}

/* ---- the run ---- */

static void set_free(struct fit_set *set)
{
    ood_free(set->logits);
    ood_free(set->features);
    ood_free(set->labels);
    ood_free(set->positions);
    *set = (struct fit_set){ 0 };
}

/* Back to what fit_input left: pictures, labels and numbers are gone. */
static void forget(struct fit *fit)
{
    struct fit bare = {
        .options = fit->options, .onnx = fit->onnx, .preprocess = fit->preprocess, .preset = fit->preset, .preset_guessed = fit->preset_guessed,
        .convolution = fit->convolution, .model = fit->model, .classes = fit->classes, .dimension = fit->dimension, .bundle = fit->bundle,
    };
    set_free(&fit->images);
    set_free(&fit->calibration);
    set_free(&fit->outliers);
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
    ood_free(fit->fit_counts);
    ood_free(fit->calibration_counts);
    ood_free(fit->seen);
    ood_free(fit->correct);
    ood_free(fit->worst_id);
    ood_judge_clear(&fit->judge);
    *fit = bare;
}

static void fit_free(struct fit *fit)
{
    forget(fit);
    ood_bundle_free(fit->bundle);
    ood_model_free(fit->model);
    ood_bytes_free(&fit->onnx);
    ood_free(fit->options.outliers.items);
}

/* Pictures to numbers, by the model as it is compiled. */
static bool measure_all(struct fit *fit, struct ood_error *err)
{
    const struct fit_options *given = &fit->options;
    if (!fit_gather(fit, given->images, given->only, "fit: pictures", &fit->images, err) ||
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
    forget(fit);
    fit->again = true;
    fit->agreement = kept;
    return fit->model != NULL && measure_all(fit, err);
}

static bool run_all(struct fit *fit, struct ood_error *err)
{
    struct ctl_buffer command = { 0 };
    double start = ood_clock();
    fit->convolution = strcmp(fit->options.convolution, "direct") == 0 ? OOD_CONVOLUTION_DIRECT : OOD_CONVOLUTION_WINOGRAD;
    if (!check_out(fit->options.out, err) || !fit_input(fit, err) || !measure_all(fit, err) || !settle_convolution(fit, err))
        return false;
    bool done = command_text(&fit->options, &command, err) && fit_write(fit, command.text, err);
    ood_free(command.text);
    if (done)
        fit_summary(fit, ood_clock() - start);
    return done;
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
    if (!run_all(&fit, &err)) {
        status = ctl_fail(&err);
        if (fit.agreement.outside > 0 && fit.convolution == OOD_CONVOLUTION_WINOGRAD)
            status = CTL_NO;                 /* insisted on, and checked */
        goto out;
    }
    size_t unreadable = fit.images.unreadable + fit.calibration.unreadable + fit.outliers.unreadable;
    if (unreadable > 0) {
        ctl_say("fit: %zu picture%s could not be read; the bundle was made without", unreadable, unreadable == 1 ? "" : "s");
        status = CTL_NO;
    }
out:
    fit_free(&fit);
    ood_free(name);
    return status;
}

const struct ctl_command ctl_fit = {
    "fit", "--model M.onnx --images SOURCE --out BUNDLE", "Makes a bundle: prototypes, scales and thresholds from pictures the network knows",
    options, run_fit,
};
