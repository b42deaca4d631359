/* The loop's body: order, augmentation, forward, losses, backward, optimiser; and the change from small windows to the full size. */
#include "train/training.h"

#include <math.h>
#include <string.h>

#include "graph/write.h"
#include "train/training_internal.h"

enum { STREAM_IN = 1, STREAM_OUT = 2 };

/* ---- the trainer, for one of the two sizes ---- */

static struct ood_shape input_shape(const struct ood_training *training, bool early)
{
    struct ood_shape shape = training->options.trainer.input_shape;
    bool first = ood_picture_set_layout(training->data.in) == OOD_INPUT_NCHW;
    int64_t side = (int64_t)training->options.early_side;
    if (early)
        shape.dims[first ? 2 : 1] = shape.dims[first ? 3 : 2] = side;
    return shape;
}

static struct ood_trainer *make_trainer(const struct ood_training *training, bool early, struct ood_error *err)
{
    struct ood_trainer_options options = training->options.trainer;
    struct ood_trainer *trainer = NULL;
    struct ood_bytes resized = { 0 };
    options.input_shape = input_shape(training, early);
    if (!early)
        return ood_trainer_new(training->onnx, &options, err);
    const struct ood_graph_options full = { .operators = options.operators, .input_shape = input_shape(training, false) };
    struct ood_shape size = options.input_shape;
    size.dims[0] = 0;                        /* the batch stays as it is */
    if (ood_onnx_resize_input(training->onnx, &full, &size, &resized, err))
        trainer = ood_trainer_new(&resized, &options, err);
    ood_bytes_free(&resized);
    if (trainer == NULL)
        ood_error_prefix(err, "the network at %zux%zu", training->options.early_side, training->options.early_side);
    return trainer;
}

struct ood_optimiser *ood_training_optimiser(struct ood_trainer *trainer, float *prototypes, float *gradient, size_t cells, double rate,
                                             const struct ood_optimiser_options *options, struct ood_error *err)
{
    size_t count = ood_trainer_parameter_count(trainer);
    struct ood_block *blocks = ood_new_array(struct ood_block, count + 1, err);
    if (blocks == NULL)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        struct ood_parameter parameter = ood_trainer_parameter(trainer, i);
        blocks[i] = (struct ood_block){ parameter.name, parameter.value, parameter.gradient, parameter.count, parameter.decay, 1 };
    }
    if (prototypes != NULL)
        blocks[count++] = (struct ood_block){ "the prototypes", prototypes, gradient, cells, false, rate };
    struct ood_optimiser *optimiser = ood_optimiser_new(blocks, count, options, err);
    ood_free(blocks);
    return optimiser;
}

static struct ood_optimiser *make_optimiser(struct ood_training *training, struct ood_trainer *trainer, struct ood_error *err)
{
    return ood_training_optimiser(trainer, training->prototypes, training->prototype_gradient, training->classes * training->dimension,
                                  training->options.prototype_rate, &training->options.optimiser, err);
}

static void copy(float *to, const float *from, size_t count)
{
    if (to != NULL && from != NULL && count > 0)
        memcpy(to, from, count * sizeof *to);
}

/* From the small windows to the full size: another trainer and optimiser, the same numbers in them. */
static bool leave_early(struct ood_training *training, struct ood_error *err)
{
    struct ood_trainer *trainer = make_trainer(training, false, err);
    if (trainer == NULL)
        return false;
    size_t count = ood_trainer_parameter_count(trainer);
    struct ood_optimiser *optimiser = NULL;
    if (count != ood_trainer_parameter_count(training->trainer))
        ood_fail(err, OOD_INVALID, "the network has other parameters at its full size");
    else
        optimiser = make_optimiser(training, trainer, err);
    if (optimiser == NULL) {
        ood_trainer_free(trainer);
        return false;
    }
    for (size_t i = 0; i < count; i++)
        copy(ood_trainer_parameter(trainer, i).value, ood_trainer_parameter(training->trainer, i).value, ood_trainer_parameter(trainer, i).count);
    ood_trainer_parameters_changed(trainer);
    for (size_t i = 0; i < ood_optimiser_block_count(optimiser); i++) {
        struct ood_optimiser_state to = ood_optimiser_state(optimiser, i), from = ood_optimiser_state(training->optimiser, i);
        copy(to.momentum, from.momentum, to.count);
        copy(to.average, from.average, to.count);
    }
    ood_optimiser_set_steps(optimiser, ood_optimiser_steps(training->optimiser));
    ood_optimiser_free(training->optimiser);
    ood_trainer_free(training->trainer);
    training->optimiser = optimiser;
    training->trainer = trainer;
    training->early = false;
    return true;
}

/* ---- making one ---- */

bool ood_training_set_loss(struct ood_training *training, const struct ood_loss_options *options, struct ood_error *err)
{
    struct ood_loss *loss = ood_loss_new(training->classes, training->dimension, ood_trainer_pictures(training->trainer), options, err);
    if (loss == NULL)
        return false;
    ood_loss_free(training->loss);
    training->loss = loss;
    training->options.loss = *options;
    return true;
}

static bool make_data(struct ood_training *training, struct ood_error *err)
{
    const struct ood_training_data *data = &training->data;
    const struct ood_trainer_options *batch = &training->options.trainer;
    size_t pictures = ood_trainer_pictures(training->trainer);
    if (data->in_count == 0 || (batch->out > 0 && data->out_count == 0))
        return ood_fail(err, OOD_INVALID, "no pictures to train on%s", data->in_count == 0 ? "" : " among the outliers");
    training->places = ood_new_array(size_t, pictures, err);
    training->labels = ood_new_array(int32_t, pictures, err);
    return training->places != NULL && training->labels != NULL &&
           ood_order_new(&training->in_order, training->options.seed, STREAM_IN, data->in_places, data->in_count, err) &&
           (batch->out == 0 || ood_order_new(&training->out_order, training->options.seed, STREAM_OUT, data->out_places, data->out_count, err));
}

static bool make_prototypes(struct ood_training *training, const float *prototypes, struct ood_error *err)
{
    size_t count;
    training->has_prototypes = prototypes != NULL;
    if (prototypes == NULL)
        return !ood_loss_needs_prototypes(training->loss) || ood_fail(err, OOD_INVALID, "the losses need prototypes, none are given");
    if (!ood_mul_size(training->classes, training->dimension, &count))
        return ood_fail(err, OOD_LIMIT, "%zu prototypes of %zu values are too many", training->classes, training->dimension);
    training->prototypes = ood_alloc_aligned(count, sizeof(float), err);
    training->prototype_gradient = ood_alloc_aligned(count, sizeof(float), err);
    if (training->prototypes == NULL || training->prototype_gradient == NULL)
        return false;
    copy(training->prototypes, prototypes, count);
    return true;
}

struct ood_training *ood_training_new(const struct ood_bytes *onnx, const struct ood_training_options *options, const struct ood_training_data *data,
                                      const float *prototypes, struct ood_error *err)
{
    struct ood_training *training = ood_new(struct ood_training, err);
    if (training == NULL)
        return NULL;
    training->options = *options;
    training->data = *data;
    training->onnx = onnx;
    training->early = options->early_side > 0 && options->early_share > 0;
    training->trainer = make_trainer(training, training->early, err);
    if (training->trainer == NULL)
        goto fail;
    training->classes = ood_trainer_classes(training->trainer);
    training->dimension = ood_trainer_dimension(training->trainer);
    if (!ood_training_set_loss(training, &options->loss, err) || !make_data(training, err) || !make_prototypes(training, prototypes, err))
        goto fail;
    training->optimiser = make_optimiser(training, training->trainer, err);
    if (training->optimiser == NULL)
        goto fail;
    return training;
fail:
    ood_training_free(training);
    return NULL;
}

void ood_training_free(struct ood_training *training)
{
    if (training == NULL)
        return;
    ood_optimiser_free(training->optimiser);
    ood_loss_free(training->loss);
    ood_trainer_free(training->trainer);
    ood_order_clear(&training->in_order);
    ood_order_clear(&training->out_order);
    ood_free(training->prototypes);
    ood_free(training->prototype_gradient);
    ood_free(training->places);
    ood_free(training->labels);
    ood_free(training);
}

uint64_t ood_training_steps(const struct ood_training *training) { return training->step; }
size_t ood_training_bytes(const struct ood_training *training) { return ood_trainer_bytes(training->trainer); }
const struct ood_loss_options *ood_training_loss(const struct ood_training *training) { return &training->options.loss; }
struct ood_trainer *ood_training_trainer(struct ood_training *training) { return training->trainer; }

/* ---- a step ---- */

/* Which pictures: the next of each order. */
static void choose(struct ood_training *training)
{
    size_t in = training->options.trainer.in, out = training->options.trainer.out;
    for (size_t i = 0; i < in; i++) {
        training->places[i] = ood_order_at(&training->in_order, training->step * in + i);
        training->labels[i] = training->data.in_classes[training->places[i]];
    }
    for (size_t i = 0; i < out; i++) {
        training->places[in + i] = ood_order_at(&training->out_order, training->step * out + i);
        training->labels[in + i] = -1;
    }
}

static bool fill(void *context, size_t index, float *input, struct ood_error *err)
{
    struct ood_training *training = context;
    const bool in = index < training->options.trainer.in;
    struct ood_picture_set *set = in ? training->data.in : training->data.out;
    struct ood_augment augment = training->options.augment;
    if (in)
        augment.strange = 0;
    if (training->early)
        augment.width = augment.height = training->options.early_side;
    struct ood_crop window = ood_augment_draw(set, &augment, training->options.seed, training->step, index);
    return ood_picture_set_fill(set, training->places[index], &window, input, err);
}

bool ood_training_step(struct ood_training *training, double progress, struct ood_training_report *report, struct ood_error *err)
{
    struct ood_training_report made = { .rate = ood_schedule_rate(&training->options.schedule, progress) };
    if (training->early && progress >= training->options.early_share && !leave_early(training, err))
        return false;
    struct ood_trainer *trainer = training->trainer;
    choose(training);
    if (!ood_trainer_forward(trainer, fill, training, err))
        return false;
    struct ood_loss_batch batch = { ood_trainer_pictures(trainer), ood_trainer_logits(trainer), ood_trainer_features(trainer), training->labels,
                                    training->prototypes };
    struct ood_loss_gradients gradients = { ood_trainer_logits_gradient(trainer), ood_trainer_features_gradient(trainer), training->prototype_gradient };
    if (!ood_loss(training->loss, &batch, &gradients, &made.terms, err))
        return false;
    ood_trainer_backward(trainer);
    if (!ood_optimiser_step(training->optimiser, made.rate, &made.norm, err))
        return false;
    ood_trainer_parameters_changed(trainer);
    training->step++;
    *report = made;
    return true;
}

/* ---- what came of it ---- */

bool ood_training_onnx(struct ood_training *training, struct ood_bytes *out, struct ood_error *err)
{
    size_t count = ood_trainer_parameter_count(training->trainer);
    struct ood_onnx_values *values = ood_new_array(struct ood_onnx_values, count, err);
    if (values == NULL)
        return false;
    for (size_t i = 0; i < count; i++) {
        struct ood_parameter parameter = ood_trainer_parameter(training->trainer, i);
        values[i] = (struct ood_onnx_values){ parameter.name, parameter.value, parameter.count };
    }
    ood_optimiser_swap_average(training->optimiser);
    bool done = ood_onnx_replace(training->onnx, values, count, out, err);
    ood_optimiser_swap_average(training->optimiser);
    ood_free(values);
    return done;
}

void ood_training_unit(const float *prototypes, size_t classes, size_t dimension, float *unit)
{
    for (size_t k = 0; k < classes; k++) {
        const float *v = prototypes + k * dimension;
        double squares = 0;
        for (size_t i = 0; i < dimension; i++)
            squares += (double)v[i] * (double)v[i];
        for (size_t i = 0; i < dimension; i++)
            unit[k * dimension + i] = (float)((double)v[i] / sqrt(squares));
    }
}

bool ood_training_prototypes(struct ood_training *training, float *unit)
{
    if (!training->has_prototypes)
        return false;
    ood_optimiser_swap_average(training->optimiser);
    ood_training_unit(training->prototypes, training->classes, training->dimension, unit);
    ood_optimiser_swap_average(training->optimiser);
    return true;
}
