/* fit: preprocessing from a preset, single options and the network's own input; then the compiled network. */
#include <string.h>

#include "base/number.h"
#include "daemon/oodctl/fit.h"
#include "ops/ops.h"

/* Rank-4 input of 1 or 3 channels: where are they, and how large is the picture? */
static bool read_shape(const struct ood_shape *shape, struct ood_preprocess *preprocess)
{
    if (shape->rank != 4)
        return false;
    bool first = shape->dims[1] == 1 || shape->dims[1] == 3, last = shape->dims[3] == 1 || shape->dims[3] == 3;
    if (!first && !last)
        return false;
    preprocess->layout = first ? OOD_INPUT_NCHW : OOD_INPUT_NHWC;
    int64_t channels = shape->dims[first ? 1 : 3];
    preprocess->channels = channels == 1 ? OOD_CHANNELS_GREY : OOD_CHANNELS_RGB;
    preprocess->height = (size_t)shape->dims[first ? 2 : 1];
    preprocess->width = (size_t)shape->dims[first ? 3 : 2];
    return true;
}

/* What the file says of its input; false where it leaves the size open. */
static bool ask_network(const struct fit *fit, struct ood_preprocess *found, bool *known, struct ood_error *err)
{
    char text[OOD_SHAPE_TEXT];
    struct ood_error reading = { 0 };
    struct ood_graph_options options = { .operators = ood_op_table, .one_if_needed = true };
    struct ood_graph *graph = ood_graph_read(&fit->onnx, &options, &reading);
    *known = graph != NULL;
    if (graph == NULL) {                     /* an open size is settled by --width and --height; all else is told again then */
        if (fit->options.width != 0 || fit->options.height != 0 || fit->options.preprocess != NULL)
            return true;
        *err = reading;
        return ood_error_prefix(err, "%s", fit->options.model);
    }
    const struct ood_value *input = graph->input_count > 0 ? &graph->values[graph->inputs[0]] : NULL;
    bool picture = input != NULL && read_shape(&input->shape, found);
    if (!picture)
        ood_fail(err, OOD_UNSUPPORTED, "%s: input %s of shape %s, expected pictures (N×C×H×W or N×H×W×C with 1 or 3 channels)",
                 fit->options.model, input != NULL ? input->name : "(none)", input != NULL ? ood_shape_print(&input->shape, text) : "[]");
    ood_graph_free(graph);
    return picture;
}

static bool parse_triple(const char *name, const char *text, float out[3], struct ood_error *err)
{
    double numbers[3];
    size_t count;
    if (!ctl_numbers(text, 1, 3, numbers, &count) || count == 2)
        return ood_fail(err, OOD_INVALID, "--%s %s: expected one number or three, comma separated", name, text);
    for (size_t i = 0; i < 3; i++)
        out[i] = (float)numbers[count == 1 ? 0 : i];
    return true;
}

/* Means and deviations of the presets are in the order R, G, B. */
static void order_channels(struct ood_preprocess *preprocess, const struct fit_options *options)
{
    float *triples[] = { preprocess->mean, preprocess->std };
    for (size_t k = 0; k < 2; k++) {
        float *v = triples[k];
        if ((k == 0 ? options->mean : options->std) != NULL)
            continue;                        /* given: in the order of the channels */
        if (preprocess->channels == OOD_CHANNELS_BGR) {
            float red = v[0];
            v[0] = v[2];
            v[2] = red;
        } else if (preprocess->channels == OOD_CHANNELS_GREY)
            v[0] = v[1] = v[2] = (v[0] + v[1] + v[2]) / 3;
    }
}

static bool apply_word(const char *name, const char *word, const char *expected, bool parsed, struct ood_error *err)
{
    return parsed || ood_fail(err, OOD_INVALID, "--%s %s: expected %s", name, word, expected);
}

static bool apply_options(const struct fit_options *options, struct ood_preprocess *p, struct ood_error *err)
{
    double number;
    if (options->width != 0)
        p->width = options->width;
    if (options->height != 0)
        p->height = options->height;
    if (options->resize_to != 0)
        p->resize_to = options->resize_to;
    if (options->scale != NULL) {
        if (!ctl_numbers(options->scale, 1, 1, &number, NULL) || !(number > 0))
            return ood_fail(err, OOD_INVALID, "--scale %s: expected a number above 0", options->scale);
        p->scale = (float)number;
    }
    if (options->fill != NULL) {
        float fill[3];
        if (!parse_triple("fill", options->fill, fill, err))
            return false;
        for (size_t i = 0; i < 3; i++) {
            if (!(fill[i] >= 0 && fill[i] <= 255))
                return ood_fail(err, OOD_INVALID, "--fill %s: expected values 0 to 255", options->fill);
            p->fill[i] = (unsigned char)fill[i];
        }
    }
    if ((options->mean != NULL && !parse_triple("mean", options->mean, p->mean, err)) ||
        (options->std != NULL && !parse_triple("std", options->std, p->std, err)))
        return false;
    for (size_t i = 0; i < 3; i++)
        if (!(p->std[i] > 0))
            return ood_fail(err, OOD_INVALID, "--std %s: expected values above 0", options->std);
    return (options->channels == NULL || apply_word("channels", options->channels, "rgb, bgr or grey", ood_channels_parse(options->channels, &p->channels), err)) &&
           (options->layout == NULL || apply_word("layout", options->layout, "nchw or nhwc", ood_input_layout_parse(options->layout, &p->layout), err)) &&
           (options->resize == NULL || apply_word("resize", options->resize, "short_side, exact or letterbox", ood_resize_parse(options->resize, &p->resize), err)) &&
           (options->filter == NULL || apply_word("filter", options->filter, "bilinear or bicubic", ood_filter_parse(options->filter, &p->filter), err));
}

bool fit_options_valid(const struct fit_options *options, struct ood_error *err)
{
    struct ood_preprocess scratch;
    if (!ood_preprocess_preset(options->preprocess != NULL ? options->preprocess : "cifar", &scratch))
        return ood_fail(err, OOD_INVALID, "--preprocess %s: expected cifar or imagenet", options->preprocess);
    return apply_options(options, &scratch, err);
}

/* preset, then the network's size and channels, then single options. */
static bool settle_preprocess(struct fit *fit, struct ood_error *err)
{
    const struct fit_options *options = &fit->options;
    struct ood_preprocess found = { 0 };
    bool known;
    if (!ask_network(fit, &found, &known, err))
        return false;
    fit->preset_guessed = options->preprocess == NULL;
    fit->preset = !fit->preset_guessed ? options->preprocess : known && found.width <= 64 && found.height <= 64 ? "cifar" : "imagenet";
    struct ood_preprocess *p = &fit->preprocess;
    if (!ood_preprocess_preset(fit->preset, p))
        return ood_fail(err, OOD_INVALID, "preset %s is not known", fit->preset);
    if (known) {
        size_t preset_side = p->width < p->height ? p->width : p->height;
        size_t side = found.width < found.height ? found.width : found.height;
        if (p->resize_to != 0 && side != preset_side)        /* the same margin around the crop */
            p->resize_to = (p->resize_to * side + preset_side / 2) / preset_side;
        p->width = found.width;
        p->height = found.height;
        p->layout = found.layout;
        p->channels = found.channels;
    }
    if (!apply_options(options, p, err))
        return false;
    order_channels(p, options);
    return true;
}

struct ood_model *fit_compile(const struct fit *fit, enum ood_convolution convolution, struct ood_error *err)
{
    struct ood_model_options options = {
        .one_if_needed = true, .operators = ood_op_table, .input_shape = ood_preprocess_shape(&fit->preprocess), .batch = FIT_BATCH,
        .logits = fit->options.logits, .features = fit->options.features, .convolution = convolution,
    };
    return ood_model_new(&fit->onnx, &options, err);
}

bool fit_input(struct fit *fit, struct ood_error *err)
{
    const struct fit_options *options = &fit->options;
    if (fit->onnx.data == NULL && !ood_file_read(options->model, OOD_MODEL_BYTES_MOST, &fit->onnx, err))
        return false;
    if (!settle_preprocess(fit, err))
        return false;
    fit->model = fit_compile(fit, fit->convolution, err);
    struct ood_forward *forward = fit->model != NULL ? ood_forward_new(fit->model, &fit->preprocess, 0, err) : NULL;
    if (forward == NULL)
        return ood_error_prefix(err, "%s", options->model);
    fit->classes = ood_forward_classes(forward);
    fit->dimension = ood_forward_dimension(forward);
    ood_forward_free(forward);
    if (!fit_uses_winograd(fit->model))
        fit->convolution = OOD_CONVOLUTION_DIRECT;
    if (fit->classes < 2)
        return ood_fail(err, OOD_INVALID, "%s: one class; in or out of distribution is told from at least two", options->model);
    return true;
}
