/* A bundle or a bare ONNX file, compiled for `inspect` and `bench`. */
#include "daemon/oodctl/network.h"

#include <string.h>

#include "base/number.h"
#include "base/random.h"
#include "ops/ops.h"
#include "scorer/scorer.h"

bool ctl_input_shape_parse(const char *text, struct ood_shape *out)
{
    *out = (struct ood_shape){ 0 };
    if (text == NULL)
        return true;
    struct ood_shape shape = { .rank = 1, .dims = { ood_batch_dim(1) } };
    for (const char *word = text;;) {
        char one[24];
        size_t length = strcspn(word, "x"), dim;
        if (shape.rank == OOD_MAX_RANK || length == 0 || length >= sizeof one)
            return false;
        memcpy(one, word, length);
        one[length] = '\0';
        if (!ood_parse_size(one, &dim) || dim == 0 || dim > (size_t)1 << 30)
            return false;
        shape.dims[shape.rank++] = (int64_t)dim;
        if (word[length] == '\0')
            break;
        word += length + 1;
    }
    *out = shape;
    return true;
}

bool ctl_network_open(const char *path, const struct ood_shape *input_shape, struct ctl_network *network, struct ood_error *err)
{
    *network = (struct ctl_network){ .model_path = path, .input_shape = *input_shape };
    if (ood_is_folder(path)) {
        network->bundle = ood_bundle_read(path, err);
        if (network->bundle == NULL)
            return ood_error_prefix(err, "%s", path);
        network->onnx = &network->bundle->onnx;
        network->input_shape = ood_preprocess_shape(&network->bundle->input);
        return true;
    }
    network->onnx = &network->bytes;
    return ood_file_read(path, OOD_MODEL_BYTES_MOST, &network->bytes, err);
}

void ctl_network_close(struct ctl_network *network)
{
    ood_bundle_free(network->bundle);
    ood_bytes_free(&network->bytes);
}

bool ctl_convolution_parse(const char *word, enum ood_convolution *out)
{
    static const char *const words[] = { "auto", "direct", "winograd" };
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strcmp(word, words[i]) == 0) {
            *out = (enum ood_convolution)i;
            return true;
        }
    return false;
}

/* The bytes of a bare file go as its weights are read; another attempt reads it again. */
static struct ood_model *attempt(struct ctl_network *network, struct ood_model_options *options, struct ood_error *err)
{
    if (!ctl_network_bytes(network, err))
        return NULL;
    options->spend = network->spent = network->bundle == NULL && ood_is_file(network->model_path);
    struct ood_model *model = ood_model_new(network->onnx, options, err);
    if (network->spent)
        ood_bytes_free(&network->bytes);
    return model;
}

bool ctl_network_bytes(struct ctl_network *network, struct ood_error *err)
{
    if (!network->spent)
        return true;
    if (!ood_file_read(network->model_path, OOD_MODEL_BYTES_MOST, &network->bytes, err))
        return false;
    network->spent = false;
    return true;
}

struct ood_model *ctl_network_compile(struct ctl_network *network, size_t batch, bool up_to, enum ood_convolution convolution,
                                      struct ood_error *why, struct ood_error *err)
{
    const struct ood_bundle *bundle = network->bundle;
    struct ood_model_options options = {
        .one_if_needed = true, .operators = ood_op_table, .input_shape = network->input_shape, .batch = batch, .one_plan = !up_to, .stages = true,
        .convolution = convolution == OOD_CONVOLUTION_AUTO && bundle != NULL ? bundle->convolution : convolution,
        .logits = bundle != NULL ? bundle->logits_tap : NULL, .features = bundle != NULL ? bundle->features_tap : NULL,
    };
    const char *tensors[OOD_DETECTOR_TENSORS];
    if (bundle != NULL && bundle->detector != NULL) {        /* all that its declaration reads, one picture at a time */
        options.outputs = tensors;
        options.output_count = ood_detector_tensors(bundle->detector, tensors);
        options.only_batch = 1;
        if (why != NULL)
            ood_fail(why, OOD_UNSUPPORTED, "a detector, whose declaration reads these outputs");
    }
    struct ood_error first = { 0 };
    struct ood_model *model = attempt(network, &options, &first);
    if (model == NULL && bundle == NULL) {
        options.no_taps = true;
        struct ood_error second = { 0 };
        model = attempt(network, &options, &second);
        if (model != NULL && why != NULL)
            *why = first;
    }
    if (model == NULL && !up_to) {               /* shape arithmetic may allow just one batch */
        struct ood_error third = { 0 };
        options.only_batch = (int64_t)batch;
        model = attempt(network, &options, &third);
    }
    if (model == NULL) {
        *err = first;
        ood_error_prefix(err, "%s", network->model_path);
    }
    return model;
}

size_t ctl_network_pictures(const struct ood_model *model, size_t batch)
{
    return ood_model_is_staged(model) && ood_model_input_shape(model, 0).rank == 3 ? 1 : batch;
}

/* ---- what it is run on ---- */

/* The picture as the bundle's preprocessing has it. */
static bool load_picture(const struct ctl_network *network, const char *picture, const struct ctl_input *input, struct ood_error *err)
{
    struct ood_bytes bytes;
    struct ood_workspace workspace = { 0 };
    if (network->bundle == NULL)
        return ood_fail(err, OOD_INVALID, "--picture: %s is a bare network; how a picture becomes its input, only a bundle says", network->model_path);
    if (!ood_file_read(picture, (size_t)1 << 28, &bytes, err))
        return false;
    bool done = (input->floats == ood_preprocess_floats(&network->bundle->input) ||
                 ood_fail(err, OOD_INVALID, "the network's input is not a picture's")) &&
                ood_picture_load(bytes.data, bytes.size, 0, &network->bundle->input, &workspace, input->values, NULL, err);
    ood_workspace_free(&workspace);
    ood_bytes_free(&bytes);
    return done || ood_error_prefix(err, "%s", picture);
}

bool ctl_network_input(const struct ctl_network *network, const char *picture, const struct ood_model *model, size_t batch, struct ctl_input *out,
                       struct ood_error *err)
{
    const struct ood_shape shape = ood_model_input_shape(model, 0), bound = ood_shape_bind(&shape, batch);
    struct ctl_input input = { 0 };
    if (ood_model_input_type(model, 0) != OOD_FLOAT32 || !ood_shape_count(&bound, &input.floats)) {
        *out = (struct ctl_input){ 0 };
        return true;
    }
    input.floats /= batch;
    input.values = ood_new_array(float, input.floats, err);
    struct ood_random random;
    ood_random_seed(&random, 1);
    for (size_t i = 0; input.values != NULL && picture == NULL && i < input.floats; i++)
        input.values[i] = (float)ood_random_normal(&random);
    if (input.values == NULL || (picture != NULL && !load_picture(network, picture, &input, err))) {
        ood_free(input.values);
        return false;
    }
    *out = input;
    return true;
}

bool ctl_input_run(const struct ctl_input *input, struct ood_run *run, size_t batch, struct ood_error *err)
{
    ctl_input_place(input, run, batch);
    return ood_run_all(run, batch, err);
}

void ctl_input_place(const struct ctl_input *input, struct ood_run *run, size_t batch)
{
    float *to = input->values != NULL ? ood_run_input(run, batch, 0) : NULL;
    for (size_t p = 0; to != NULL && p < batch; p++)
        memcpy(to + p * input->floats, input->values, input->floats * sizeof *input->values);
}
