/* fit and train: the usage of what they share, and the command as the provenance names it. */
#include <math.h>
#include <string.h>
#include <sys/stat.h>

#include "base/number.h"
#include "daemon/oodctl/fit.h"
#include "daemon/oodctl/network.h"

/* ---- before any work ---- */

static bool valid_name(const char *name)
{
    size_t length = strlen(name);
    return length >= 1 && length <= 64 && strcmp(name, ".") != 0 && strcmp(name, "..") != 0 &&
           strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") == length;
}

int fit_check_words(const struct ctl_command *command, struct fit_options *given, char **name)
{
    enum ood_convolution convolution;
    struct ood_error err = { 0 };
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

bool fit_check_out(const char *out, struct ood_error *err)
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

bool ctl_option_is_path(const struct ctl_option *option)
{
    static const char *const kinds[] = { "M.onnx", "SOURCE", "LIST", "FILE", "DETECTOR", "TRUTH" };
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (option->argument != NULL && strcmp(option->argument, kinds[i]) == 0)
            return true;
    return false;
}

/* Only the last part of a path: where the files lay says nothing about them. */
static bool append_text(struct ctl_buffer *out, const struct ctl_option *option, const char *text, struct ood_error *err)
{
    const char *at = ctl_option_is_path(option) && text[0] == '@' ? "@" : "", *value = ctl_option_is_path(option) ? ctl_base_name(text + strlen(at)) : text;
    size_t length = strlen(value);
    while (ctl_option_is_path(option) && length > 0 && value[length - 1] == '/')
        length--;
    return ctl_append(out, err, " --%s %s%.*s", option->name, at, (int)length, value);
}

/* Two numbers that are the same, or both not given (NaN). */
static bool same_number(double a, double b)
{
    return a == b || (isnan(a) && isnan(b));
}

static bool append_option(const struct ctl_option *option, const void *field, const void *usual, struct ctl_buffer *out, struct ood_error *err)
{
    const struct ctl_texts *texts = field;
    char number[OOD_NUMBER_TEXT];
    switch (option->kind) {
    case CTL_FLAG:
        return !*(const bool *)field || ctl_append(out, err, " --%s", option->name);
    case CTL_TEXT: {
        const char *text = *(const char *const *)field, *other = *(const char *const *)usual;
        return text == NULL || (other != NULL && strcmp(text, other) == 0) || append_text(out, option, text, err);
    }
    case CTL_SIZE:
        return *(const size_t *)field == *(const size_t *)usual || ctl_append(out, err, " --%s %zu", option->name, *(const size_t *)field);
    case CTL_NUMBER:
        ood_print_double(*(const double *)field, number);
        return same_number(*(const double *)field, *(const double *)usual) || ctl_append(out, err, " --%s %s", option->name, number);
    case CTL_TEXTS:
        for (size_t i = 0; i < texts->count; i++)
            if (!append_text(out, option, texts->items[i], err))
                return false;
        return true;
    }
    return true;
}

bool ctl_command_text(const struct ctl_command *command, const void *given, const void *defaults, const char *const *left_out,
                      struct ctl_buffer *out, struct ood_error *err)
{
    if (!ctl_append(out, err, "oodctl %s", command->name))
        return false;
    for (const struct ctl_option *option = command->options; option->name != NULL; option++) {
        bool left = false;
        for (size_t i = 0; left_out[i] != NULL; i++)
            left = left || strcmp(option->name, left_out[i]) == 0;
        if (!left && !append_option(option, (const char *)given + option->offset, (const char *)defaults + option->offset, out, err))
            return false;
    }
    return true;
}
