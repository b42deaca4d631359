/* fit: which class of the network each label is. */
#include <stdlib.h>
#include <string.h>

#include "base/number.h"
#include "daemon/oodctl/fit.h"
#include "graph/labels.h"

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* A label that is a class's number, as .cls members are. */
static bool is_number(const struct fit *fit, const char *text, size_t *class_index)
{
    size_t number;
    if (!ood_parse_size(text, &number) || number >= fit->classes)
        return false;
    *class_index = number;
    return true;
}

static bool names_from_file(struct fit *fit, struct ood_error *err)
{
    struct ctl_labels read = { 0 };
    if (!ctl_labels_read(fit->options.labels, &read, err))
        return false;
    if (read.count != fit->classes) {
        ood_fail(err, OOD_INVALID, "%s: %zu labels, the network has %zu classes", fit->options.labels, read.count, fit->classes);
        ctl_labels_free(&read);
        return false;
    }
    fit->labels = read.names;
    return true;
}

/* How many of the label texts `labels` has; *stranger: the first it has not, numbers of classes aside. */
static size_t count_known(const struct fit *fit, const struct ood_labels *labels, const char *const *texts, size_t count, const char **stranger)
{
    size_t known = 0, unused;
    *stranger = NULL;
    for (size_t i = 0, k; i < count; i++) {
        for (k = 0; k < labels->count && strcmp(labels->names[k], texts[i]) != 0; k++)
            ;
        if (k < labels->count || is_number(fit, texts[i], &unused))
            known++;
        else if (*stranger == NULL)
            *stranger = texts[i];
    }
    return known;
}

bool fit_names_from_network(struct fit *fit, const char *const *texts, size_t count, bool all, const char *source, struct ood_error *err)
{
    struct ood_error why = { 0 };
    struct ood_labels labels = { 0 };
    const char *stranger;
    if (!ood_graph_labels(ood_model_graph(fit->model), fit->classes, &labels, &why)) {
        if (why.code == OOD_OUT_OF_MEMORY) {
            *err = why;
            return false;
        }
        if (!fit->again)
            ctl_say("fit: warning: %s: the class names in its metadata are not used: %s", fit->options.model, why.message);
        return true;
    }
    if (labels.count == 0)
        return true;
    const size_t known = count_known(fit, &labels, texts, count, &stranger);
    if (all ? known < count : known == 0 && count > 0) {
        if (!fit->again)
            ctl_say("fit: warning: %s: \"%s\" is none of the class names in the metadata of %s (%s, …), which are not used; --labels "
                    "names the classes in the network's order", source, stranger, fit->options.model, labels.names[0]);
        ood_labels_clear(&labels);
        return true;
    }
    fit->labels = labels.names;              /* handed over */
    fit->labels_key = labels.key;
    return true;
}

/* The sorted label texts, which is the order networks are commonly trained in; or "0" … "K-1". */
static bool names_from_sources(struct fit *fit, struct ood_error *err)
{
    bool numbers = true;
    size_t unused;
    for (size_t i = 0; i < fit->label_count; i++)
        numbers = numbers && is_number(fit, fit->label_texts[i], &unused);
    if (!numbers && fit->label_count != fit->classes)
        return ood_fail(err, OOD_INVALID, "%s: %zu classes (%s, …), the network has %zu; --labels names them in the network's order",
                        fit->options.images, fit->label_count, fit->label_texts[0], fit->classes);
    fit->labels = ood_new_array(char *, fit->classes, err);
    if (fit->labels == NULL)
        return false;
    for (size_t i = 0; i < fit->classes; i++) {
        fit->labels[i] = numbers ? ood_format(err, "%zu", i) : ood_strdup(fit->label_texts[i], err);
        if (fit->labels[i] == NULL)
            return false;
    }
    if (!numbers)
        qsort(fit->labels, fit->classes, sizeof *fit->labels, compare);
    return true;
}

static bool find_class(const struct fit *fit, const char *text, size_t *class_index)
{
    for (size_t k = 0; k < fit->classes; k++)
        if (strcmp(fit->labels[k], text) == 0) {
            *class_index = k;
            return true;
        }
    return is_number(fit, text, class_index);
}

/* All pictures have labels, or none has. */
static bool check_labelled(const struct fit_set *set, const char *source, bool labelled, struct ood_error *err)
{
    size_t with = 0;
    for (size_t i = 0; i < set->count; i++)
        with += set->labels[i] != OOD_NONE;
    if (with != (labelled ? set->count : 0))
        return ood_fail(err, OOD_INVALID, "%s: %zu of %zu pictures have a label; expected all%s", source, with, set->count,
                        labelled ? "" : " or none");
    return true;
}

bool fit_label_classes(struct fit *fit, struct ood_error *err)
{
    const struct fit_options *options = &fit->options;
    const char *const *texts = (const char *const *)fit->label_texts;
    if (options->labels == NULL && !fit_names_from_network(fit, texts, fit->label_count, true, options->images, err))
        return false;
    if (fit->labels == NULL && !(options->labels != NULL ? names_from_file(fit, err) : names_from_sources(fit, err)))
        return false;
    fit->label_classes = ood_new_array(size_t, fit->label_count, err);
    if (fit->label_classes == NULL)
        return false;
    for (size_t i = 0; i < fit->label_count; i++)
        if (!find_class(fit, fit->label_texts[i], &fit->label_classes[i]))
            return ood_fail(err, OOD_INVALID, "label \"%s\" is neither one of the %zu in %s nor a class's number", fit->label_texts[i],
                            fit->classes, options->labels != NULL ? options->labels : fit->labels_key != NULL ? options->model : options->images);
    return true;
}

bool fit_labels(struct fit *fit, struct ood_error *err)
{
    fit->labelled = fit->images.count > 0 && fit->images.labels[0] != OOD_NONE;
    return check_labelled(&fit->images, fit->options.images, fit->labelled, err) && fit_label_classes(fit, err);
}
