/* From items to logits and features: decode, preprocess, and run what decoded in the largest plans that fit. An item that
 * cannot be decoded takes no place in a batch. */
#include <string.h>

#include "base/clock.h"
#include "scorer/scorer_internal.h"

struct ood_shape ood_preprocess_shape(const struct ood_preprocess *preprocess)
{
    int64_t channels = preprocess->channels == OOD_CHANNELS_GREY ? 1 : 3;
    int64_t height = (int64_t)preprocess->height, width = (int64_t)preprocess->width;
    return preprocess->layout == OOD_INPUT_NCHW ? ood_shape_of(4, ood_batch_dim(1), channels, height, width)
                                                : ood_shape_of(4, ood_batch_dim(1), height, width, channels);
}

/* Elements of one item in a shape whose first dimension is the batch. */
static bool item_count(const struct ood_shape *shape, size_t *out)
{
    if (shape->rank == 0)
        return false;
    struct ood_shape item = *shape;
    item.dims[0] = 1;
    return !ood_shape_has_batch(&item) && ood_shape_count(&item, out);
}

bool scorer_check_input(const struct ood_model *model, const struct ood_preprocess *preprocess, struct ood_error *err)
{
    char found_text[OOD_SHAPE_TEXT], expected_text[OOD_SHAPE_TEXT];
    if (ood_model_input_count(model) != 1)
        return ood_fail(err, OOD_UNSUPPORTED, "the network has %zu inputs, expected one picture", ood_model_input_count(model));
    const char *name = ood_model_input_name(model, 0);
    if (ood_model_input_type(model, 0) != OOD_FLOAT32)
        return ood_fail(err, OOD_UNSUPPORTED, "input %s: type %s, expected float32", name,
                        ood_type_name(ood_model_input_type(model, 0)));
    struct ood_shape found = ood_model_input_shape(model, 0), expected = ood_preprocess_shape(preprocess), same = found;
    if (found.rank == 4)
        same.dims[0] = expected.dims[0];     /* free or fixed: both are run */
    const bool single = found.rank == 3 && found.dims[0] == expected.dims[1] && found.dims[1] == expected.dims[2] && found.dims[2] == expected.dims[3];
    if (!ood_shape_equal(&same, &expected) && !single)       /* single: one picture, without a batch */
        return ood_fail(err, OOD_INVALID, "input %s: shape %s, but the preprocessing makes %s", name,
                        ood_shape_print(&found, found_text), ood_shape_print(&expected, expected_text));
    return true;
}

static bool check_output(const struct ood_model *model, size_t i, const char *what, size_t *count, struct ood_error *err)
{
    char text[OOD_SHAPE_TEXT];
    struct ood_shape shape = ood_model_output_shape(model, i);
    if (ood_model_output_type(model, i) != OOD_FLOAT32)
        return ood_fail(err, OOD_UNSUPPORTED, "%s %s: type %s, expected float32", what, ood_model_output_name(model, i),
                        ood_type_name(ood_model_output_type(model, i)));
    if (!item_count(&shape, count) || *count == 0)
        return ood_fail(err, OOD_UNSUPPORTED, "%s %s: shape %s, expected the batch and a fixed number of values", what,
                        ood_model_output_name(model, i), ood_shape_print(&shape, text));
    return true;
}

struct ood_forward *ood_forward_new(struct ood_model *model, const struct ood_preprocess *preprocess, uint64_t picture_pixels,
                                    struct ood_error *err)
{
    struct ood_forward *forward = ood_new(struct ood_forward, err);
    if (forward == NULL)
        return NULL;
    forward->preprocess = *preprocess;
    forward->picture_pixels = picture_pixels != 0 ? picture_pixels : OOD_PICTURE_PIXELS;
    forward->floats = ood_preprocess_floats(preprocess);
    forward->most = ood_model_most_batch(model);
    if (!scorer_check_input(model, preprocess, err))
        goto fail;
    if (ood_model_output_count(model) != 2) {
        ood_fail(err, OOD_UNSUPPORTED, "the network was compiled with %zu outputs, expected logits and features",
                 ood_model_output_count(model));
        goto fail;
    }
    if (!check_output(model, 0, "logits", &forward->classes, err) ||
        !check_output(model, 1, "features", &forward->dimension, err))
        goto fail;
    forward->model = ood_model_ref(model);
    size_t floats;
    if (!ood_mul_size(forward->most, forward->floats, &floats)) {
        ood_fail(err, OOD_LIMIT, "a batch of %zu inputs of %zu values is too large", forward->most, forward->floats);
        goto fail;
    }
    forward->inputs = ood_alloc_aligned(floats, sizeof *forward->inputs, err);
    forward->places = ood_new_array(size_t, forward->most, err);
    forward->run = ood_run_new(model, err);
    if (forward->inputs == NULL || forward->places == NULL || forward->run == NULL)
        goto fail;
    return forward;
fail:
    ood_forward_free(forward);
    return NULL;
}

void ood_forward_free(struct ood_forward *forward)
{
    if (forward == NULL)
        return;
    ood_run_free(forward->run);
    ood_workspace_free(&forward->workspace);
    ood_free(forward->inputs);
    ood_free(forward->places);
    ood_model_free(forward->model);
    ood_free(forward);
}

size_t ood_forward_classes(const struct ood_forward *forward) { return forward->classes; }
size_t ood_forward_dimension(const struct ood_forward *forward) { return forward->dimension; }

void ood_forward_inputs(struct ood_forward *forward, const float *inputs, size_t n, size_t batch, float *logits, float *features)
{
    float *memory = ood_run_input(forward->run, batch, 0);
    memcpy(memory, inputs, n * forward->floats * sizeof *memory);
    memset(memory + n * forward->floats, 0, (batch - n) * forward->floats * sizeof *memory);
    ood_run_execute(forward->run, batch);
    if (logits != NULL)
        memcpy(logits, ood_run_output(forward->run, batch, 0), n * forward->classes * sizeof *logits);
    if (features != NULL)
        memcpy(features, ood_run_output(forward->run, batch, 1), n * forward->dimension * sizeof *features);
}

/* The caller ran the network: lengths are all there is to check. */
bool scorer_take_tensors(size_t classes, size_t dimension, const struct ood_item *item, float *logits, float *features,
                         struct ood_error *err)
{
    if (item->logits == NULL || item->features == NULL)
        return ood_fail(err, OOD_TENSOR_MISMATCH, "%s missing: logits and features are given together",
                        item->logits == NULL ? "logits" : "features");
    if (item->logits_count != classes)
        return ood_fail(err, OOD_TENSOR_MISMATCH, "logits: %zu values, the model has %zu classes", item->logits_count, classes);
    if (item->features_count != dimension)
        return ood_fail(err, OOD_TENSOR_MISMATCH, "features: %zu values, the model has %zu", item->features_count, dimension);
    memcpy(logits, item->logits, classes * sizeof *logits);
    memcpy(features, item->features, dimension * sizeof *features);
    return true;
}

/* Does item need the network, with its input now at `input`? Otherwise it is done, or its verdict says why not. */
static bool prepare(struct ood_forward *forward, const struct ood_item *item, float *input, struct ood_verdict *verdict)
{
    struct ood_error err = { 0 };
    bool loaded = false;
    *verdict = (struct ood_verdict){ 0 };
    if (item->crop != NULL)
        loaded = ood_preprocess_normalise(&forward->preprocess, item->crop, &forward->workspace, input, &err);
    else if (item->picture == NULL && (item->logits != NULL || item->features != NULL))
        (void)!scorer_take_tensors(forward->classes, forward->dimension, item, item->logits_out, item->features_out, &err);
    else if (item->picture == NULL || item->picture_size == 0)
        ood_fail(&err, OOD_PICTURE_EMPTY, "no bytes, expected an encoded picture");
    else
        loaded = ood_picture_load(item->picture, item->picture_size, forward->picture_pixels, &forward->preprocess,
                                  &forward->workspace, input, verdict, &err);
    if (err.code != OOD_OK)
        *verdict = (struct ood_verdict){ .error = err };
    return loaded;
}

/* Runs the `held` inputs that wait, and hands out the outputs. */
static void run_held(struct ood_forward *forward, size_t held, const struct ood_item *items)
{
    for (size_t first = 0, count; first < held; first += count) {
        size_t batch = ood_model_plan_batch(forward->model, held - first);
        count = batch < held - first ? batch : held - first;
        ood_forward_inputs(forward, forward->inputs + first * forward->floats, count, batch, NULL, NULL);
        const float *logits = ood_run_output(forward->run, batch, 0), *features = ood_run_output(forward->run, batch, 1);
        for (size_t i = 0; i < count; i++) {
            const struct ood_item *item = &items[forward->places[first + i]];
            memcpy(item->logits_out, logits + i * forward->classes, forward->classes * sizeof *logits);
            memcpy(item->features_out, features + i * forward->dimension, forward->dimension * sizeof *features);
        }
    }
}

void ood_forward_run(struct ood_forward *forward, const struct ood_item *items, size_t n, float *inputs,
                     struct ood_verdict *verdicts, struct ood_timing *timing)
{
    for (size_t next = 0; next < n;) {
        double start = ood_clock();
        size_t held = 0;
        for (; next < n && held < forward->most; next++) {
            float *input = forward->inputs + held * forward->floats;
            if (!prepare(forward, &items[next], input, &verdicts[next]))
                continue;
            if (inputs != NULL)
                memcpy(inputs + next * forward->floats, input, forward->floats * sizeof *input);
            forward->places[held++] = next;
        }
        double decoded = ood_clock();
        run_held(forward, held, items);
        if (timing != NULL) {
            timing->decode += decoded - start;
            timing->infer += ood_clock() - decoded;
        }
    }
}
