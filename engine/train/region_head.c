/* The head's training: a network of two products through the trainer, the detector's own logits added between it and the losses. */
#include "train/region_head.h"

#include <math.h>
#include <string.h>

#include "base/random.h"
#include "graph/write.h"
#include "ops/ops.h"
#include "train/picture_set.h"
#include "train/training_internal.h"

enum { STREAM_IN = 21, STREAM_OUT = 22 };    /* of the seed */

struct work {
    const struct ood_region_set *set;
    const struct ood_region_head_options *options;
    double scale;                            /* 1/s */
    struct ood_trainer *trainer;
    struct ood_optimiser *optimiser;
    struct ood_loss *loss;
    struct ood_order in_order, out_order;
    size_t *places;                          /* [N] of the step's regions in their sets */
    int32_t *labels;                         /* [N] */
    float *logits;                           /* [N][K]: f' */
    float *prototypes, *prototype_gradient;  /* [K][D] */
    size_t *counts;                          /* [K]: known regions */
};

void ood_region_head_clear(struct ood_region_head *head)
{
    ood_free(head->weights);
    ood_free(head->bias);
    ood_free(head->logit_weights);
    ood_free(head->logit_bias);
    ood_free(head->prototypes);
    *head = (struct ood_region_head){ 0 };
}

static void work_free(struct work *work)
{
    ood_trainer_free(work->trainer);
    ood_optimiser_free(work->optimiser);
    ood_loss_free(work->loss);
    ood_order_clear(&work->in_order);
    ood_order_clear(&work->out_order);
    ood_free(work->places);
    ood_free(work->labels);
    ood_free(work->logits);
    ood_free(work->prototypes);
    ood_free(work->prototype_gradient);
    ood_free(work->counts);
}

/* ---- the network ---- */

/* regions [n, D] to features and what is added to the logits; all numbers 0. */
static bool make_network(size_t classes, size_t dimension, struct ood_bytes *out, struct ood_error *err)
{
    const struct ood_onnx_attribute transposed = { .name = "transB", .i = 1 };
    struct ood_shape square = ood_shape_of(2, (int64_t)dimension, (int64_t)dimension), wide = ood_shape_of(2, (int64_t)classes, (int64_t)dimension);
    struct ood_shape row = ood_shape_of(1, (int64_t)dimension), short_row = ood_shape_of(1, (int64_t)classes);
    struct ood_shape input = ood_shape_of(2, (int64_t)-1, (int64_t)dimension), output = ood_shape_of(2, (int64_t)-1, (int64_t)classes);
    size_t most = dimension > classes ? dimension : classes;
    float *zeros = ood_alloc(most, dimension * sizeof *zeros, err);
    struct ood_onnx_builder *builder = zeros != NULL ? ood_onnx_builder_new("region_head", err) : NULL;
    if (builder == NULL) {
        ood_free(zeros);
        return false;
    }
    ood_onnx_input(builder, "regions", &input);
    ood_onnx_initialiser(builder, "A", &square, zeros);
    ood_onnx_initialiser(builder, "a", &row, zeros);
    ood_onnx_initialiser(builder, "B", &wide, zeros);
    ood_onnx_initialiser(builder, "b", &short_row, zeros);
    ood_onnx_node(builder, "Gemm", (const char *[]){ "regions", "A", "a" }, 3, "change", &transposed, 1);
    ood_onnx_node(builder, "Add", (const char *[]){ "regions", "change" }, 2, "features", NULL, 0);
    ood_onnx_node(builder, "Gemm", (const char *[]){ "features", "B", "b" }, 3, "logits", &transposed, 1);
    ood_onnx_output(builder, "logits", &output);
    bool done = ood_onnx_builder_finish(builder, out, err);
    ood_onnx_builder_free(builder);
    ood_free(zeros);
    return done;
}

static bool make_trainer(struct work *work, struct ood_error *err)
{
    const struct ood_region_head_options *options = work->options;
    struct ood_bytes onnx = { 0 };
    if (!make_network(work->set->classes, work->set->dimension, &onnx, err))
        return false;
    const struct ood_trainer_options trainer = {
        .operators = ood_op_table, .logits = "logits", .features = "features", .in = options->batch_in, .out = options->batch_out,
        .threads = options->threads,
    };
    work->trainer = ood_trainer_new(&onnx, &trainer, err);
    ood_bytes_free(&onnx);
    return work->trainer != NULL;
}

/* ---- what it begins with ---- */

static bool find_scale(struct work *work, struct ood_error *err)
{
    const struct ood_region_set *set = work->set;
    double sum = 0;
    for (size_t i = 0; i < set->in; i++) {
        double squares = 0;
        for (size_t d = 0; d < set->dimension; d++)
            squares += (double)set->in_features[i * set->dimension + d] * (double)set->in_features[i * set->dimension + d];
        sum += sqrt(squares) / (double)set->in;
    }
    if (!isfinite(sum) || !(sum > 1e-30))
        return ood_fail(err, OOD_SCORE_NOT_FINITE, "the regions' features have a mean length of %g, expected a finite one above 0", sum);
    work->scale = 1 / sum;
    return true;
}

/* Class means of z; a random direction where there is no region. */
static bool first_prototypes(struct work *work, struct ood_error *err)
{
    const struct ood_region_set *set = work->set;
    struct ood_prototype_sums sums = { 0 };
    struct ood_random random;
    size_t cells;
    if (!ood_mul_size(set->classes, set->dimension, &cells))
        return ood_fail(err, OOD_LIMIT, "%zu prototypes of %zu values are too many", set->classes, set->dimension);
    work->prototypes = ood_alloc_aligned(cells, sizeof(float), err);
    work->prototype_gradient = ood_alloc_aligned(cells, sizeof(float), err);
    work->counts = ood_new_array(size_t, set->classes, err);
    if (work->prototypes == NULL || work->prototype_gradient == NULL || work->counts == NULL ||
        !ood_prototypes_begin(&sums, set->classes, set->dimension, err))
        return false;
    bool done = true;
    for (size_t i = 0; done && i < set->in; i++)
        done = ood_prototypes_add(&sums, (size_t)set->in_classes[i], set->in_features + i * set->dimension, err) ||
               ood_error_prefix(err, "region %zu", i);
    done = done && ood_prototypes_finish_some(&sums, work->prototypes, err);
    ood_random_seed(&random, work->options->seed);
    for (size_t k = 0; done && k < set->classes; k++) {
        work->counts[k] = sums.counts[k];
        for (size_t d = 0; d < set->dimension && sums.counts[k] == 0; d++)
            work->prototypes[k * set->dimension + d] = (float)ood_random_normal(&random);
    }
    ood_prototypes_free(&sums);
    return done;
}

/* The margins from the start's own scores. */
static bool own_margins(struct work *work, struct ood_loss_options *loss, struct ood_error *err)
{
    const struct ood_region_set *set = work->set;
    size_t most = set->in > set->out ? set->in : set->out;
    double *memory = ood_alloc(3 * (set->in + set->out), sizeof *memory, err);
    int32_t *labels = memory != NULL ? ood_new_array(int32_t, most, err) : NULL;
    struct ood_loss *start = labels != NULL ? ood_loss_new(set->classes, set->dimension, most, loss, err) : NULL;
    double *in = memory, *out = memory + 3 * set->in;
    for (size_t i = 0; start != NULL && i < most; i++)
        labels[i] = -1;
    const struct ood_loss_batch known = { set->in, set->in_logits, set->in_features, set->in_classes, work->prototypes };
    const struct ood_loss_batch foreign = { set->out, set->out_logits, set->out_features, labels, work->prototypes };
    bool done = start != NULL && ood_loss_measure(start, &known, in, in + set->in, in + 2 * set->in, err) &&
                ood_loss_measure(start, &foreign, out, out + set->out, out + 2 * set->out, err);
    if (done) {
        const struct ood_loss_sample sample = { set->in, set->out, in, in + set->in, in + 2 * set->in, out, out + 2 * set->out };
        done = ood_loss_scale(loss, &sample, work->options->own_in, work->options->own_out, err);
    }
    ood_loss_free(start);
    ood_free(labels);
    ood_free(memory);
    return done;
}

static bool make_orders(struct work *work, struct ood_error *err)
{
    const struct ood_region_set *set = work->set;
    size_t most = set->in > set->out ? set->in : set->out, batch = work->options->batch_in + work->options->batch_out;
    size_t *places = ood_new_array(size_t, most, err);
    for (size_t i = 0; places != NULL && i < most; i++)
        places[i] = i;
    work->places = ood_new_array(size_t, batch, err);
    work->labels = ood_new_array(int32_t, batch, err);
    work->logits = ood_alloc(batch, set->classes * sizeof(float), err);
    bool done = places != NULL && work->places != NULL && work->labels != NULL && work->logits != NULL &&
                ood_order_new(&work->in_order, work->options->seed, STREAM_IN, places, set->in, err) &&
                ood_order_new(&work->out_order, work->options->seed, STREAM_OUT, places, set->out, err);
    ood_free(places);
    return done;
}

/* ---- steps ---- */

static bool fill(void *context, size_t index, float *input, struct ood_error *err)
{
    (void)err;
    const struct work *work = context;
    size_t dimension = work->set->dimension;
    const float *features = (index < work->options->batch_in ? work->set->in_features : work->set->out_features) + work->places[index] * dimension;
    for (size_t d = 0; d < dimension; d++)
        input[d] = (float)((double)features[d] * work->scale);
    return true;
}

static void choose(struct work *work, size_t step)
{
    size_t in = work->options->batch_in, out = work->options->batch_out;
    for (size_t i = 0; i < in + out; i++) {
        work->places[i] = i < in ? ood_order_at(&work->in_order, step * in + i) : ood_order_at(&work->out_order, step * out + i - in);
        work->labels[i] = i < in ? work->set->in_classes[work->places[i]] : -1;
    }
}

static bool take_step(struct work *work, size_t step, struct ood_loss_terms *terms, struct ood_error *err)
{
    const struct ood_region_set *set = work->set;
    struct ood_trainer *trainer = work->trainer;
    size_t batch = ood_trainer_pictures(trainer);
    choose(work, step);
    if (!ood_trainer_forward(trainer, fill, work, err))
        return false;
    const float *added = ood_trainer_logits(trainer);
    for (size_t i = 0; i < batch; i++) {
        const float *own = (i < work->options->batch_in ? set->in_logits : set->out_logits) + work->places[i] * set->classes;
        for (size_t k = 0; k < set->classes; k++)
            work->logits[i * set->classes + k] = own[k] + added[i * set->classes + k];
    }
    const struct ood_loss_batch of = { batch, work->logits, ood_trainer_features(trainer), work->labels, work->prototypes };
    const struct ood_loss_gradients gradients = { ood_trainer_logits_gradient(trainer), ood_trainer_features_gradient(trainer), work->prototype_gradient };
    if (!ood_loss(work->loss, &of, &gradients, terms, err))
        return false;
    ood_trainer_backward(trainer);
    if (!ood_optimiser_step(work->optimiser, ood_schedule_rate(&work->options->schedule, (double)step / (double)work->options->steps), NULL, err))
        return false;
    ood_trainer_parameters_changed(trainer);
    return true;
}

/* ---- what came of it ---- */

static const float *parameter(const struct work *work, const char *name)
{
    for (size_t i = 0; i < ood_trainer_parameter_count(work->trainer); i++) {
        struct ood_parameter p = ood_trainer_parameter(work->trainer, i);
        if (strcmp(p.name, name) == 0)
            return p.value;
    }
    return NULL;                             /* make_network made them all */
}

static bool take_out(const struct work *work, struct ood_region_head *head, struct ood_error *err)
{
    size_t dimension = head->dimension = work->set->dimension, classes = head->classes = work->set->classes;
    head->weights = ood_alloc(dimension, dimension * sizeof(float), err);
    head->bias = ood_new_array(float, dimension, err);
    head->logit_weights = ood_alloc(classes, dimension * sizeof(float), err);
    head->logit_bias = ood_new_array(float, classes, err);
    head->prototypes = ood_alloc(classes, dimension * sizeof(float), err);
    if (head->weights == NULL || head->bias == NULL || head->logit_weights == NULL || head->logit_bias == NULL || head->prototypes == NULL)
        return false;
    const float *change = parameter(work, "A");
    for (size_t i = 0; i < dimension; i++)
        for (size_t j = 0; j < dimension; j++)
            head->weights[i * dimension + j] = (float)(work->scale * ((double)change[i * dimension + j] + (i == j)));
    memcpy(head->bias, parameter(work, "a"), dimension * sizeof(float));
    memcpy(head->logit_weights, parameter(work, "B"), classes * dimension * sizeof(float));
    memcpy(head->logit_bias, parameter(work, "b"), classes * sizeof(float));
    ood_training_unit(work->prototypes, classes, dimension, head->prototypes);
    for (size_t k = 0; k < classes; k++)
        if (work->counts[k] == 0)
            memset(head->prototypes + k * dimension, 0, dimension * sizeof(float));
    return true;
}

static bool check(const struct ood_region_set *set, const struct ood_region_head_options *options, struct ood_error *err)
{
    if (set->in < 2 || set->out < 1)
        return ood_fail(err, OOD_INVALID, "%zu known regions and %zu others, expected at least 2 and 1", set->in, set->out);
    if (options->steps < 1 || options->batch_in < 1 || options->batch_out < 1)
        return ood_fail(err, OOD_INVALID, "%zu steps of %zu and %zu regions, expected at least 1 each", options->steps, options->batch_in, options->batch_out);
    for (size_t i = 0; i < set->in; i++)
        if (set->in_classes[i] < 0 || (size_t)set->in_classes[i] >= set->classes)
            return ood_fail(err, OOD_INVALID, "region %zu: class %d, expected 0 to %zu", i, (int)set->in_classes[i], set->classes - 1);
    return true;
}

bool ood_region_head_train(const struct ood_region_set *set, const struct ood_region_head_options *options, struct ood_region_head *head,
                           struct ood_error *err)
{
    struct work work = { .set = set, .options = options };
    struct ood_region_head made = { .loss = options->loss };
    bool done = check(set, options, err) && find_scale(&work, err) && first_prototypes(&work, err) &&
                (isnan(options->own_in) || own_margins(&work, &made.loss, err)) && make_trainer(&work, err) && make_orders(&work, err) &&
                (work.optimiser = ood_training_optimiser(work.trainer, work.prototypes, work.prototype_gradient, set->classes * set->dimension,
                                                         options->prototype_rate, &options->optimiser, err)) != NULL &&
                (work.loss = ood_loss_new(set->classes, set->dimension, options->batch_in + options->batch_out, &made.loss, err)) != NULL;
    for (size_t step = 0; done && step < options->steps; step++) {
        done = take_step(&work, step, &made.last, err) || ood_error_prefix(err, "step %zu", step + 1);
        if (step == 0)
            made.first = made.last;
    }
    if (done)
        ood_optimiser_swap_average(work.optimiser);
    done = done && take_out(&work, &made, err);
    work_free(&work);
    if (done)
        *head = made;
    else
        ood_region_head_clear(&made);
    return done;
}

/* ---- into the file ---- */

static char *free_prefix(const struct ood_bytes *onnx, struct ood_error *err)
{
    for (size_t n = 0; n < 1000; n++) {
        bool has;
        char *prefix = n == 0 ? ood_strdup("oodd.head", err) : ood_format(err, "oodd.head%zu", n);
        if (prefix == NULL || !ood_onnx_has_prefix(onnx, prefix, &has, err)) {
            ood_free(prefix);
            return NULL;
        }
        if (!has)
            return prefix;
        ood_free(prefix);
    }
    ood_fail(err, OOD_LIMIT, "the network has a thousand heads");
    return NULL;
}

struct adding { struct ood_onnx_builder *builder; const struct ood_region_head *head; const char *prefix; struct ood_error *err; bool failed; };

static char *name_of(struct adding *adding, const char *what, size_t i)
{
    char *name = adding->failed ? NULL : ood_format(adding->err, "%s.%s.%zu", adding->prefix, what, i);
    adding->failed = name == NULL;
    return name;
}

/* A 1×1 convolution `from` … to; the bias only of the first map, for the maps are summed. */
static void convolve(struct adding *adding, const char *what, size_t i, const char *from, size_t in, size_t out, const float *weights, const float *bias,
                     const struct ood_region_map *map)
{
    const struct ood_onnx_attribute kernel = { .name = "kernel_shape", .ints = (int64_t[]){ 1, 1 }, .count = 2 };
    struct ood_shape shape = ood_shape_of(4, (int64_t)out, (int64_t)in, (int64_t)1, (int64_t)1), row = ood_shape_of(1, (int64_t)out);
    struct ood_shape output = ood_shape_of(4, (int64_t)-1, (int64_t)out, (int64_t)map->height, (int64_t)map->width);
    char *to = name_of(adding, what, i), *weight_name = name_of(adding, strcmp(what, "features") == 0 ? "weights" : "logit_weights", i);
    char *bias_name = name_of(adding, strcmp(what, "features") == 0 ? "bias" : "logit_bias", i);
    if (!adding->failed) {
        ood_onnx_initialiser(adding->builder, weight_name, &shape, weights);
        if (i == 0)
            ood_onnx_initialiser(adding->builder, bias_name, &row, bias);
        ood_onnx_node(adding->builder, "Conv", (const char *[]){ from, weight_name, bias_name }, i == 0 ? 3 : 2, to, &kernel, 1);
        ood_onnx_output(adding->builder, to, &output);
    }
    ood_free(to);
    ood_free(weight_name);
    ood_free(bias_name);
}

/* Map i's columns of the weights, which begin at `first`. */
static void add_map(struct adding *adding, const struct ood_region_map *map, size_t i, size_t first)
{
    const struct ood_region_head *head = adding->head;
    size_t dimension = head->dimension;
    float *block = ood_alloc(dimension, map->channels * sizeof *block, adding->err);
    char *features = name_of(adding, "features", i);
    adding->failed = adding->failed || block == NULL;
    for (size_t d = 0; block != NULL && d < dimension; d++)
        memcpy(block + d * map->channels, head->weights + d * dimension + first, map->channels * sizeof *block);
    if (!adding->failed)
        convolve(adding, "features", i, map->name, map->channels, dimension, block, head->bias, map);
    if (!adding->failed)
        convolve(adding, "logits", i, features, dimension, head->classes, head->logit_weights, head->logit_bias, map);
    ood_free(features);
    ood_free(block);
}

bool ood_region_head_append(const struct ood_region_head *head, const struct ood_bytes *onnx, const struct ood_region_map *maps, size_t map_count,
                            char **prefix, struct ood_bytes *out, struct ood_error *err)
{
    struct ood_bytes more = { 0 };
    size_t first = 0;
    for (size_t i = 0; i < map_count; i++)
        first += maps[i].channels;
    if (first != head->dimension)
        return ood_fail(err, OOD_INVALID, "the maps have %zu channels together, the head was trained on %zu", first, head->dimension);
    char *made = free_prefix(onnx, err);
    struct adding adding = { .head = head, .prefix = made, .err = err, .builder = made != NULL ? ood_onnx_builder_new("head", err) : NULL };
    if (adding.builder == NULL) {
        ood_free(made);
        return false;
    }
    first = 0;
    for (size_t i = 0; i < map_count; i++) {
        add_map(&adding, &maps[i], i, first);
        first += maps[i].channels;
    }
    bool done = !adding.failed && ood_onnx_builder_finish(adding.builder, &more, err) && ood_onnx_append(onnx, &more, out, err);
    ood_onnx_builder_free(adding.builder);
    ood_bytes_free(&more);
    if (done)
        *prefix = made;
    else
        ood_free(made);
    return done;
}
