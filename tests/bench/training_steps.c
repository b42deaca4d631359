/* Pictures/s of training steps: forward, loss, backward, optimiser, as `oodctl train` runs them, on random pictures.
 *
 *     training_steps MODEL.onnx [--in N] [--out N] [--threads N] [--seconds S] [--profile yes] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/number.h"
#include "base/random.h"
#include "ops/ops.h"
#include "train/loss.h"
#include "train/optimiser.h"
#include "train/trainer.h"

struct run {
    size_t in, out, threads, profile;
    double seconds;
    struct ood_trainer *trainer;
    struct ood_loss *loss;
    struct ood_optimiser *optimiser;
    float *pictures, *prototypes, *gradient;
    int32_t *labels;
};

static bool fill(void *context, size_t index, float *input, struct ood_error *err)
{
    const struct run *run = context;
    const size_t floats = ood_trainer_input_floats(run->trainer);
    (void)err;
    memcpy(input, run->pictures + index * floats, floats * sizeof *input);
    return true;
}

static bool prepare(struct run *run, const char *path, struct ood_error *err)
{
    struct ood_bytes onnx = { 0 };
    struct ood_loss_options options;
    if (!ood_file_read(path, (size_t)1 << 31, &onnx, err))
        return false;
    const struct ood_trainer_options training = { .operators = ood_op_table, .in = run->in, .out = run->out, .threads = run->threads };
    run->trainer = ood_trainer_new(&onnx, &training, err);
    ood_bytes_free(&onnx);
    if (run->trainer == NULL)
        return false;
    const size_t n = run->in + run->out, classes = ood_trainer_classes(run->trainer), dimension = ood_trainer_dimension(run->trainer);
    const size_t floats = n * ood_trainer_input_floats(run->trainer), count = ood_trainer_parameter_count(run->trainer);
    struct ood_block *blocks = ood_new_array(struct ood_block, count + 1, err);
    run->pictures = ood_new_array(float, floats, err);
    run->prototypes = ood_new_array(float, classes * dimension, err);
    run->gradient = ood_new_array(float, classes * dimension, err);
    run->labels = ood_new_array(int32_t, n, err);
    if (blocks == NULL || run->pictures == NULL || run->prototypes == NULL || run->gradient == NULL || run->labels == NULL ||
        !ood_loss_preset(run->out > 0 ? "sde" : "ce", classes, &options, err) ||
        (run->loss = ood_loss_new(classes, dimension, n, &options, err)) == NULL)
        return false;
    struct ood_random random;
    ood_random_seed(&random, 1);
    for (size_t i = 0; i < floats; i++)
        run->pictures[i] = (float)(4 * ood_random_uniform(&random) - 2);
    for (size_t i = 0; i < classes * dimension; i++)
        run->prototypes[i] = (float)(ood_random_uniform(&random) - 0.5);
    for (size_t i = 0; i < n; i++)
        run->labels[i] = i < run->in ? (int32_t)(i % classes) : -1;
    size_t used = 0;
    for (size_t i = 0; i < count; i++) {
        const struct ood_parameter p = ood_trainer_parameter(run->trainer, i);
        if (p.gradient != NULL)
            blocks[used++] = (struct ood_block){ p.name, p.value, p.gradient, p.count, p.decay, 1 };
    }
    blocks[used++] = (struct ood_block){ "prototypes", run->prototypes, run->gradient, classes * dimension, false, 1 };
    const struct ood_optimiser_options defaults = ood_optimiser_defaults();
    run->optimiser = ood_optimiser_new(blocks, used, &defaults, err);
    ood_free(blocks);
    return run->optimiser != NULL;
}

static bool step(struct run *run, double *total, struct ood_error *err)
{
    struct ood_loss_terms terms;
    if (!ood_trainer_forward(run->trainer, fill, run, err))
        return false;
    const struct ood_loss_batch batch = { run->in + run->out, ood_trainer_logits(run->trainer), ood_trainer_features(run->trainer), run->labels,
                                          run->prototypes };
    const struct ood_loss_gradients gradients = { ood_trainer_logits_gradient(run->trainer), ood_trainer_features_gradient(run->trainer), run->gradient };
    if (!ood_loss(run->loss, &batch, &gradients, &terms, err))
        return false;
    ood_trainer_backward(run->trainer);
    if (!ood_optimiser_step(run->optimiser, 1e-4, NULL, err))
        return false;
    ood_trainer_parameters_changed(run->trainer);
    *total = terms.total;
    return true;
}

/* Seconds a step by pass, operator and kernel. */
static void print_profile(const struct run *run, size_t steps)
{
    const size_t count = ood_trainer_step_count(run->trainer);
    for (size_t i = 0; i < count; i++) {
        const struct ood_trainer_step_info a = ood_trainer_step(run->trainer, i);
        double seconds = 0;
        size_t before = 0;
        for (size_t k = 0; k < count; k++) {
            const struct ood_trainer_step_info b = ood_trainer_step(run->trainer, k);
            if (a.backward != b.backward || strcmp(a.op, b.op) != 0 || strcmp(a.kernel, b.kernel) != 0)
                continue;
            seconds += b.seconds;
            before += k < i;
        }
        if (before == 0)
            printf("%s\t%s\t%s\t%.2f ms\n", a.backward ? "backward" : "forward", a.op, a.kernel, 1e3 * seconds / (double)steps);
    }
}

int main(int argc, char **argv)
{
    struct ood_error err = { 0 };
    struct run run = { .in = 128, .threads = 2, .seconds = 5 };
    bool good = argc >= 2 && argc % 2 == 0;
    for (int i = 2; good && i + 1 < argc; i += 2)
        good = strcmp(argv[i], "--in") == 0        ? ood_parse_size(argv[i + 1], &run.in)
               : strcmp(argv[i], "--out") == 0     ? ood_parse_size(argv[i + 1], &run.out)
               : strcmp(argv[i], "--threads") == 0 ? ood_parse_size(argv[i + 1], &run.threads)
               : strcmp(argv[i], "--seconds") == 0 ? ood_parse_double(argv[i + 1], &run.seconds)
               : strcmp(argv[i], "--profile") == 0 ? (run.profile = 1, true)
                                                   : false;
    if (!good) {
        fprintf(stderr, "usage: training_steps MODEL.onnx [--in N] [--out N] [--threads N] [--seconds S] [--profile yes]\n");
        return 2;
    }
    double total = 0;
    good = prepare(&run, argv[1], &err) && step(&run, &total, &err);        /* the first one warms up */
    size_t steps = 0;
    const double start = ood_clock();
    if (good)
        ood_trainer_profile(run.trainer, run.profile != 0);
    while (good && (steps < 2 || ood_clock() - start < run.seconds)) {
        good = step(&run, &total, &err);
        steps++;
    }
    const double seconds = ood_clock() - start;
    if (good)
        printf("oodd\tfloat32\t%zu\t%zu\t%.1f\tloss %.6f\n", run.threads, run.in + run.out, (double)(steps * (run.in + run.out)) / seconds, total);
    if (good && run.profile != 0)
        print_profile(&run, steps);
    if (!good)
        fprintf(stderr, "training_steps: %s\n", err.message);
    ood_loss_free(run.loss);
    ood_optimiser_free(run.optimiser);
    ood_trainer_free(run.trainer);
    ood_free(run.pictures);
    ood_free(run.prototypes);
    ood_free(run.gradient);
    ood_free(run.labels);
    return good ? 0 : 1;
}
