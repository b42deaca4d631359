/* A network in training: pictures into slices, a tape run over them, logits and features out; gradients in, parameter gradients out. */
#include "train/trainer.h"

#include <string.h>

#include "plan/tape_run.h"

struct ood_trainer {
    struct ood_tape *tape;
    struct ood_tape_run *run;
    size_t in, out, slices;
    size_t classes, dimension, input_floats;
    float *logits, *features, *logits_gradient, *features_gradient;      /* [N][K], [N][D], by index */
    size_t *order;                           /* parameters first, running statistics last: indices of the tape's */
    struct ood_error *errors;                /* [N]: of filling */
    bool changed;                            /* parameters are to be brought into kernels' forms */
    ood_trainer_fill *fill;
    void *context;
};

/* Picture `index` is picture *place of slice *slice: each slice has its share of in-distribution pictures, then of outliers. */
static void find_place(const struct ood_trainer *t, size_t index, size_t *slice, size_t *place)
{
    const size_t in = t->in / t->slices, out = t->out / t->slices;
    *slice = index < t->in ? index / in : (index - t->in) / out;
    *place = index < t->in ? index % in : in + (index - t->in) % out;
}

static size_t default_slices(const struct ood_trainer_options *options)
{
    size_t slices = 4;
    while (options->in % slices != 0 || options->out % slices != 0)
        slices /= 2;
    return slices;
}

static bool allocate(struct ood_trainer *t, struct ood_error *err)
{
    const size_t n = t->in + t->out;
    size_t logits, features;
    if (!ood_mul_size(n, t->classes, &logits) || !ood_mul_size(n, t->dimension, &features))
        return ood_fail(err, OOD_LIMIT, "the batch is too large");
    t->logits = ood_new_array(float, logits, err);
    t->features = ood_new_array(float, features, err);
    t->logits_gradient = ood_new_array(float, logits, err);
    t->features_gradient = ood_new_array(float, features, err);
    t->errors = ood_new_array(struct ood_error, n, err);
    t->order = ood_new_array(size_t, ood_tape_parameter_count(t->tape) + 1, err);
    if (t->logits == NULL || t->features == NULL || t->logits_gradient == NULL || t->features_gradient == NULL || t->errors == NULL || t->order == NULL)
        return false;
    size_t count = 0;
    for (int statistics = 0; statistics < 2; statistics++)
        for (size_t i = 0; i < ood_tape_parameter_count(t->tape); i++)
            if ((ood_tape_parameter_info(t->tape, i).kind == OOD_PARAMETER_STATISTIC) == (statistics == 1))
                t->order[count++] = i;
    return true;
}

struct ood_trainer *ood_trainer_new(const struct ood_bytes *onnx, const struct ood_trainer_options *options, struct ood_error *err)
{
    const size_t slices = options->slices > 0 ? options->slices : default_slices(options);
    if (options->in < 1 || options->in % slices != 0 || options->out % slices != 0) {
        ood_fail(err, OOD_INVALID, "a batch of %zu and %zu pictures cannot be cut into %zu slices of equal size", options->in, options->out, slices);
        return NULL;
    }
    if (options->precision == OOD_PRECISION_BFLOAT16) {
        ood_fail(err, OOD_UNSUPPORTED, "bfloat16: oneDNN's bfloat16 convolutions are not faster than this engine's float32 ones (docs/WINOGRAD.md)");
        return NULL;
    }
    struct ood_trainer *t = ood_new(struct ood_trainer, err);
    if (t == NULL)
        return NULL;
    const struct ood_tape_options compiling = {
        .operators = options->operators, .input_shape = options->input_shape, .logits = options->logits, .features = options->features,
        .slices = slices, .slice_pictures = (options->in + options->out) / slices, .slice_in = options->in / slices,
        .statistics = options->statistics,
        .momentum = options->statistics_momentum == 0 ? 0.1 : options->statistics_momentum
    };
    t->in = options->in;
    t->out = options->out;
    t->slices = slices;
    t->changed = true;
    t->tape = ood_tape_new(onnx, &compiling, err);
    t->run = t->tape != NULL ? ood_tape_run_new(t->tape, options->threads, err) : NULL;
    if (t->run != NULL) {
        t->classes = ood_tape_classes(t->tape);
        t->dimension = ood_tape_dimension(t->tape);
        t->input_floats = ood_tape_input_floats(t->tape);
        if (allocate(t, err))
            return t;
    }
    ood_trainer_free(t);
    return NULL;
}

void ood_trainer_free(struct ood_trainer *t)
{
    if (t == NULL)
        return;
    ood_tape_run_free(t->run);
    ood_tape_free(t->tape);
    ood_free(t->logits);
    ood_free(t->features);
    ood_free(t->logits_gradient);
    ood_free(t->features_gradient);
    ood_free(t->order);
    ood_free(t->errors);
    ood_free(t);
}

size_t ood_trainer_classes(const struct ood_trainer *t) { return t->classes; }
size_t ood_trainer_dimension(const struct ood_trainer *t) { return t->dimension; }
size_t ood_trainer_pictures(const struct ood_trainer *t) { return t->in + t->out; }
size_t ood_trainer_input_floats(const struct ood_trainer *t) { return t->input_floats; }
size_t ood_trainer_bytes(const struct ood_trainer *t) { return ood_tape_bytes(t->tape); }
size_t ood_trainer_parameter_count(const struct ood_trainer *t) { return ood_tape_parameter_count(t->tape); }

struct ood_parameter ood_trainer_parameter(const struct ood_trainer *t, size_t i)
{
    const struct ood_tape_parameter_info info = ood_tape_parameter_info(t->tape, t->order[i]);
    return (struct ood_parameter){ info.name, info.shape, info.count, info.value, info.gradient, info.kind == OOD_PARAMETER_WEIGHTS };
}

void ood_trainer_parameters_changed(struct ood_trainer *t) { t->changed = true; }

/* ---- a step ---- */

static void fill_one(void *context, size_t index)
{
    struct ood_trainer *t = context;
    size_t slice, place;
    find_place(t, index, &slice, &place);
    t->errors[index].code = OOD_OK;
    if (!t->fill(t->context, index, ood_tape_run_input(t->run, slice) + place * t->input_floats, &t->errors[index]) && t->errors[index].code == OOD_OK)
        t->errors[index].code = OOD_INVALID;
}

bool ood_trainer_forward(struct ood_trainer *t, ood_trainer_fill *fill, void *context, struct ood_error *err)
{
    const size_t n = t->in + t->out;
    t->fill = fill;
    t->context = context;
    ood_tape_run_each(t->run, n, fill_one, t);
    for (size_t i = 0; i < n; i++)
        if (t->errors[i].code != OOD_OK) {
            *err = t->errors[i];
            return false;
        }
    if (t->changed)
        ood_tape_run_prepare(t->run);
    t->changed = false;
    ood_tape_run_forward(t->run);
    for (size_t i = 0; i < n; i++) {
        size_t slice, place;
        find_place(t, i, &slice, &place);
        memcpy(t->logits + i * t->classes, ood_tape_run_logits(t->run, slice) + place * t->classes, t->classes * sizeof(float));
        memcpy(t->features + i * t->dimension, ood_tape_run_features(t->run, slice) + place * t->dimension, t->dimension * sizeof(float));
    }
    return true;
}

const float *ood_trainer_logits(const struct ood_trainer *t) { return t->logits; }
const float *ood_trainer_features(const struct ood_trainer *t) { return t->features; }
float *ood_trainer_logits_gradient(struct ood_trainer *t) { return t->logits_gradient; }
float *ood_trainer_features_gradient(struct ood_trainer *t) { return t->features_gradient; }

void ood_trainer_backward(struct ood_trainer *t)
{
    for (size_t i = 0; i < t->in + t->out; i++) {
        size_t slice, place;
        find_place(t, i, &slice, &place);
        memcpy(ood_tape_run_logits_gradient(t->run, slice) + place * t->classes, t->logits_gradient + i * t->classes, t->classes * sizeof(float));
        memcpy(ood_tape_run_features_gradient(t->run, slice) + place * t->dimension, t->features_gradient + i * t->dimension,
               t->dimension * sizeof(float));
    }
    ood_tape_run_backward(t->run);
}

/* ---- profile ---- */

void ood_trainer_profile(struct ood_trainer *t, bool on) { ood_tape_run_profile(t->run, on); }
size_t ood_trainer_step_count(const struct ood_trainer *t) { return ood_tape_run_step_count(t->run); }

struct ood_trainer_step_info ood_trainer_step(const struct ood_trainer *t, size_t i)
{
    const struct ood_tape_step_info info = ood_tape_run_step(t->run, i);
    return (struct ood_trainer_step_info){ info.node, info.op, info.kernel, info.backward, info.seconds };
}
