/* fit --detector: the declaration, what the network says to it, the labels and the annotations. */
#include <string.h>

#include "daemon/oodctl/fit.h"
#include "daemon/oodctl/truths.h"
#include "ops/ops.h"

#define DECLARATION_BYTES ((size_t)1 << 20)

/* "fastestdet, nanodet_m, …" */
static bool fail_unknown(const char *word, struct ood_error *err)
{
    struct ctl_buffer names = { 0 };
    const char *name;
    for (size_t i = 0; (name = ood_declaration_preset_name(i)) != NULL; i++)
        if (!ctl_append(&names, err, "%s%s", i > 0 ? ", " : "", name)) {
            ood_free(names.text);
            return false;
        }
    ood_fail(err, OOD_NOT_FOUND, "--detector %s: no such file, nor a preset; those are %s", word, names.text);
    ood_free(names.text);
    return false;
}

bool fit_declaration(const char *word, struct ood_declaration *out, struct ood_error *err)
{
    const char *preset = ood_declaration_preset(word);
    struct ood_bytes bytes = { 0 };
    if (preset != NULL) {
        bytes = (struct ood_bytes){ (unsigned char *)(uintptr_t)preset, strlen(preset) };
        return ood_declaration_read(&bytes, out, err) || ood_error_prefix(err, "preset %s", word);
    }
    if (strchr(word, '/') == NULL && strchr(word, '.') == NULL)
        return fail_unknown(word, err);
    if (!ood_file_read(word, DECLARATION_BYTES, &bytes, err))
        return false;
    bool done = ood_declaration_read(&bytes, out, err) || ood_error_prefix(err, "%s", word);
    ood_bytes_free(&bytes);
    return done;
}

/* A network that fixes its input's size has the last word: presets are of the usual size. */
static void take_size(struct ood_preprocess *input, const struct ood_bytes *onnx)
{
    struct ood_error ignored = { 0 };
    struct ood_graph_options options = { .operators = ood_op_table, .one_if_needed = true, .stages = true };
    struct ood_graph *graph = ood_graph_read(onnx, &options, &ignored);
    if (graph == NULL)
        return;                              /* its size is open, or the next reading tells why */
    const size_t rank = graph->input_count >= 1 ? graph->values[graph->inputs[0]].shape.rank : 0;
    if (rank == 3 || rank == 4) {            /* 3: one picture, without a batch */
        const int64_t *dims = graph->values[graph->inputs[0]].shape.dims + rank - 3;
        bool planes = input->layout == OOD_INPUT_NCHW;
        int64_t height = dims[planes ? 1 : 0], width = dims[planes ? 2 : 1];
        if (height >= 1 && height <= OOD_INPUT_SIDE && width >= 1 && width <= OOD_INPUT_SIDE) {
            input->height = (size_t)height;
            input->width = (size_t)width;
        }
    }
    ood_graph_free(graph);
}

static bool resolve(struct fit *fit, struct ood_error *err)
{
    struct ood_graph_options options = { .operators = ood_op_table, .input_shape = ood_preprocess_shape(&fit->preprocess), .batch = 1,
                                         .stages = true };
    struct ood_graph *graph = ood_graph_read(&fit->onnx, &options, err);
    if (graph == NULL)
        return false;
    bool done = ood_detector_resolve(&fit->declaration.detector, graph, fit->preprocess.width, fit->preprocess.height, err) ||
                ood_error_prefix(err, "--detector %s", fit->options.detector);
    ood_graph_free(graph);
    return done;
}

/* From --labels; else the network's metadata; else the annotations' categories, where there are as many; else numbers. */
static bool take_labels(struct fit *fit, struct ood_error *err)
{
    struct ctl_labels read = { 0 };
    if (fit->options.labels != NULL) {
        if (!ctl_labels_read(fit->options.labels, &read, err))
            return false;
        if (read.count != fit->classes) {
            ood_fail(err, OOD_INVALID, "%s: %zu labels, the detector has %zu classes", fit->options.labels, read.count, fit->classes);
            ctl_labels_free(&read);
            return false;
        }
        fit->labels = read.names;
        return true;
    }
    if (!fit_names_from_network(fit, (const char *const *)fit->annotations.names, fit->annotations.name_count, false, fit->options.annotations, err))
        return false;
    if (fit->labels != NULL)
        return true;
    bool named = fit->annotations.name_count == fit->classes;
    fit->labels = ood_new_array(char *, fit->classes, err);
    for (size_t k = 0; fit->labels != NULL && k < fit->classes; k++) {
        fit->labels[k] = named ? ood_strdup(fit->annotations.names[k], err) : ood_format(err, "%zu", k);
        if (fit->labels[k] == NULL)
            return false;
    }
    return fit->labels != NULL;
}

bool fit_detector_is_bundle(const char *word)
{
    return ood_declaration_preset(word) == NULL && ood_is_folder(word);
}

/* Network, declaration and labels of a bundle made before. */
static bool take_bundle(struct fit *fit, struct ood_error *err)
{
    const char *path = fit->options.detector;
    struct ood_bundle *bundle = ood_bundle_read(path, err);
    if (bundle == NULL)
        return ood_error_prefix(err, "%s", path);
    bool done = bundle->detector != NULL || ood_fail(err, OOD_INVALID, "%s: the bundle holds no detector", path);
    if (done) {
        fit->onnx = bundle->onnx;
        bundle->onnx = (struct ood_bytes){ 0 };
        fit->declaration.detector = *bundle->detector;
        *bundle->detector = (struct ood_detector){ 0 };
        fit->declaration.input = bundle->input;
        fit->options.model = path;
    }
    if (done && fit->options.labels == NULL) {
        fit->labels = bundle->labels;
        bundle->labels = NULL;
    }
    ood_bundle_free(bundle);
    return done;
}

/* A preset or a file, and the network it is of. */
static bool take_declaration(struct fit *fit, struct ood_error *err)
{
    const struct fit_options *options = &fit->options;
    if (!fit_declaration(options->detector, &fit->declaration, err) || !ood_file_read(options->model, OOD_MODEL_BYTES_MOST, &fit->onnx, err))
        return false;
    take_size(&fit->declaration.input, &fit->onnx);
    if (options->width > 0)
        fit->declaration.input.width = options->width;
    if (options->height > 0)
        fit->declaration.input.height = options->height;
    fit->preprocess = fit->declaration.input;
    return resolve(fit, err) || ood_error_prefix(err, "%s", options->model);
}

bool fit_detector_model(struct fit *fit, struct ood_error *err)
{
    ood_model_free(fit->model);
    ood_decoder_free(fit->decoder);
    fit->decoder = NULL;
    fit->model = ood_detector_model(&fit->onnx, &fit->declaration.detector, &fit->preprocess, fit->convolution, &fit->decoder, err);
    if (fit->model == NULL)
        return ood_error_prefix(err, "%s", fit->options.model);
    fit->classes = fit->declaration.detector.classes;
    fit->dimension = ood_decoder_dimension(fit->decoder);
    return true;
}

bool fit_detector_input(struct fit *fit, struct ood_error *err)
{
    const struct fit_options *options = &fit->options;
    const char *command = fit->trains ? "train" : "fit";
    if (options->annotations != NULL && !ctl_truths_read(command, options->annotations, &fit->annotations, &fit->name_classes, err))
        return false;
    if (options->model == NULL ? !take_bundle(fit, err) : !take_declaration(fit, err))
        return false;
    fit->preset = fit->declaration.detector.family;
    fit->preprocess = fit->declaration.input;
    return fit_detector_model(fit, err) && (fit->labels != NULL || take_labels(fit, err)) &&
           (options->annotations == NULL ||
            ctl_truths_match(command, options->annotations, &fit->annotations, fit->labels, fit->classes, false, fit->name_classes, err));
}
