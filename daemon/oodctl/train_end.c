/* train: the trained network through the code of `fit` into a bundle, with how it was made. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "daemon/oodctl/train.h"

/* ---- the provenance ---- */

static json_t *loss_json(const struct train *train, const struct ood_loss_options *l)
{
    return json_pack("{s:s, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:s}", "preset", train->options.loss, "cross_entropy_weight",
                     l->cross_entropy_weight, "energy_weight", l->energy_weight, "cluster_weight", l->cluster_weight, "representation_weight",
                     l->representation_weight, "uniform_weight", l->uniform_weight, "score_weight", l->score_weight, "temperature", l->temperature, "energy_in",
                     l->energy_in, "energy_out", l->energy_out, "gamma", l->focus, "cosine_scale", l->scale, "representation_in", l->representation_in,
                     "representation_out", l->representation_out, "energy_space", l->energy_space == OOD_ENERGY_COSINE ? "cosine" : "logits");
}

char *train_provenance(const struct train *train, const struct ood_loss_options *loss, json_t *object, struct ood_error *err)
{
    char *text = NULL;
    if (object != NULL && json_object_set_new(object, "loss", loss_json(train, loss)) == 0) {
        char *dumped = json_dumps(object, JSON_COMPACT | JSON_SORT_KEYS);
        text = dumped != NULL ? ood_strdup(dumped, err) : NULL;
        free(dumped);
    }
    json_decref(object);
    if (text == NULL && err->code == OOD_OK)
        ood_fail(err, OOD_INVALID, "how the network was trained cannot be written as JSON");
    return text;
}

static json_t *evaluation_json(const struct ood_validation *e)
{
    json_t *object = json_pack("{s:I, s:I, s:f}", "held_out", (json_int_t)e->in, "validation_outliers", (json_int_t)e->out, "accuracy", e->accuracy);
    if (object != NULL)
        train_add_rankings(object, e);
    return object;
}

static char *make_training(const struct train *train, struct ood_error *err)
{
    static const char *const statistics[] = { "joint", "in", "frozen" };
    const struct ood_training_options *o = &train->training_options;
    json_t *object = json_pack("{s:s, s:I, s:[I,I], s:f, s:s, s:f, s:f, s:f, s:f, s:s, s:f, s:s, s:s, s:{s:I, s:I, s:I, s:I}}", "starting_network_sha256", train->model_hash,
                               "steps", (json_int_t)ood_training_steps(train->training), "batch", (json_int_t)o->trainer.in, (json_int_t)o->trainer.out, "rate",
                               o->schedule.peak, "schedule", train->options.schedule, "warmup", o->schedule.warmup, "momentum", o->optimiser.momentum, "weight_decay",
                               o->optimiser.weight_decay, "average_decay", o->optimiser.average_decay, "augment", train->options.augment, "strange_outliers", o->augment.strange, "statistics",
                               statistics[o->trainer.statistics], "precision", o->trainer.precision == OOD_PRECISION_BFLOAT16 ? "bfloat16" : "float32", "pictures",
                               "trained_on", (json_int_t)train->fit_in.count, "held_out", (json_int_t)train->held.count, "outliers", (json_int_t)train->outliers.count,
                               "unreadable", (json_int_t)(train->images.unreadable + train->outliers.unreadable + train->validation.unreadable));
    if (object != NULL && json_object_set_new(object, "final", evaluation_json(&train->last)) != 0) {
        json_decref(object);
        object = NULL;
    }
    return train_provenance(train, ood_training_loss(train->training), object, err);
}

/* ---- the bundle ---- */

/* The ids held out, as `fit` takes them. */
static bool held_keys(struct train *train, struct ood_error *err)
{
    char **ids = ood_new_array(char *, train->held.count, err);
    if (ids == NULL)
        return false;
    for (size_t i = 0; i < train->held.count; i++)
        ids[i] = train->images.ids[train->held.places[i]];
    train->fit.only = ctl_keys_make(ids, train->held.count, err);
    ood_free(ids);
    return train->fit.only != NULL;
}

/* What was known of the starting network makes room for the trained one. */
static bool hand_over(struct train *train, struct ood_error *err)
{
    struct fit *fit = &train->fit;
    struct ood_bytes onnx = { 0 };
    if (!ood_training_onnx(train->training, &onnx, err))
        return false;
    fit->learned = ood_new_array(float, fit->classes * fit->dimension, err);
    fit->training = make_training(train, err);
    if (fit->learned == NULL || fit->training == NULL || !held_keys(train, err)) {
        ood_bytes_free(&onnx);
        return false;
    }
    if (!ood_training_prototypes(train->training, fit->learned)) {
        ood_free(fit->learned);
        fit->learned = NULL;
    }
    fit_forget(fit);
    ood_model_free(fit->model);
    ood_training_free(train->training);      /* it reads the bytes that go now */
    train->training = NULL;
    ood_bytes_free(&fit->onnx);
    fit->onnx = onnx;
    fit->options.only = NULL;
    fit->options.outliers = train->options.validation;
    fit->model = fit_compile(fit, fit->convolution, err);
    return fit->model != NULL;
}

static void summary(const struct train *train, uint64_t steps, double seconds)
{
    char in[CTL_COUNT_TEXT], out[CTL_COUNT_TEXT], held[CTL_COUNT_TEXT];
    const struct ood_validation *e = &train->last;
    printf("\ntrained         %llu steps on %s pictures and %s outliers; %s held out; %.0f s\n", (unsigned long long)steps, ctl_count(train->fit_in.count, in),
           ctl_count(train->outliers.count, out), ctl_count(train->held.count, held), seconds);
    printf("held out        accuracy %.2f %% of %s\n", 100 * e->accuracy, ctl_count(e->in, held));
    if (e->told)
        printf("                FPR95 of %s outliers of other classes: E %.2f %%, D %.2f %%, S %.2f %%; AUROC %.4f, %.4f, %.4f\n", ctl_count(e->out, out),
               100 * e->energy_fpr95, 100 * e->representation_fpr95, 100 * e->score_fpr95, e->energy_auroc, e->representation_auroc, e->score_auroc);
}

bool train_end(struct train *train, double seconds, struct ood_error *err)
{
    /* what changes nothing inside, or is of this run alone */
    static const char *const left_out[] = { "out", "threads", "checkpoint", "checkpoint-minutes", "resume", "log", "memory", NULL };
    struct train_options plain;
    struct ctl_buffer command = { 0 };
    uint64_t steps = ood_training_steps(train->training);
    double start = ood_clock();
    train_defaults(&plain);
    if (!train_evaluate(train, &train->held, &train->all_validation, &train->last, err))
        return false;
    train_say_evaluation(train, &train->last, (double)steps * (double)train->training_options.trainer.in / (double)train->fit_in.count);
    bool done = train_log_evaluation(train, &train->last, (double)steps * (double)train->training_options.trainer.in / (double)train->fit_in.count, err) &&
                hand_over(train, err) && ctl_command_text(train->command, &train->options, &plain, left_out, &command, err) &&
                fit_make(&train->fit, command.text, err);
    ood_free(command.text);
    if (done) {
        fit_summary(&train->fit, ood_clock() - start);
        summary(train, steps, seconds);
    }
    return done;
}
