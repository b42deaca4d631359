/* train: how it goes: evaluations on held-out pictures, a line for people, JSON lines for programs. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "daemon/oodctl/train.h"

/* ---- evaluations ---- */

static bool outputs(struct train *train, struct ood_model *model, const struct train_pictures *pictures, const struct train_part *part, struct ood_outputs *out,
                    struct ood_error *err)
{
    return ood_inference(model, pictures->set, part->places, part->count, train_threads(train), out, err);
}

bool train_evaluate(struct train *train, const struct train_part *in, const struct train_part *out, struct ood_validation *result, struct ood_error *err)
{
    struct fit *fit = &train->fit;
    struct ood_bytes onnx = { 0 };
    struct ood_outputs known = { 0 }, foreign = { 0 };
    struct ood_model *model = NULL;
    bool done = false;
    int32_t *classes = ood_new_array(int32_t, in->count, err);
    float *prototypes = ood_new_array(float, fit->classes * fit->dimension, err);
    if (classes == NULL || prototypes == NULL || !ood_training_onnx(train->training, &onnx, err))
        goto out;
    for (size_t i = 0; i < in->count; i++)
        classes[i] = train->classes[in->places[i]];
    model = ood_inference_model(&onnx, train->images.set, fit->options.logits, fit->options.features, err);
    if (model == NULL || !outputs(train, model, &train->images, in, &known, err) || !outputs(train, model, &train->validation, out, &foreign, err))
        goto out;
    bool learned = ood_training_prototypes(train->training, prototypes);
    done = ood_validate(&known, classes, &foreign, learned ? prototypes : NULL, train->training_options.loss.temperature, result, err);
out:
    if (!done)
        ood_error_prefix(err, "evaluation after step %llu", (unsigned long long)ood_training_steps(train->training));
    ood_model_free(model);
    ood_outputs_free(&known);
    ood_outputs_free(&foreign);
    ood_bytes_free(&onnx);
    ood_free(classes);
    ood_free(prototypes);
    return done;
}

/* ---- sums ---- */

/* The terms that are told, and where they stand. */
static const struct { const char *name; size_t value, weight; } terms[] = {
#define TERM(name, field, weight) { name, offsetof(struct ood_loss_terms, field), offsetof(struct ood_loss_options, weight) }
    TERM("cross_entropy", cross_entropy, cross_entropy_weight), TERM("energy", energy, energy_weight), TERM("cluster", cluster, cluster_weight),
    TERM("representation", representation, representation_weight), TERM("uniform", uniform, uniform_weight), TERM("score", score, score_weight),
#undef TERM
};
#define TERMS (sizeof terms / sizeof terms[0])

static double term(const struct ood_loss_terms *from, size_t i)
{
    return *(const double *)(const void *)((const char *)from + terms[i].value);
}

static double weight(const struct train *train, size_t i)
{
    return *(const double *)(const void *)((const char *)ood_training_loss(train->training) + terms[i].weight);
}

void train_add(struct train_sums *sums, const struct ood_training_report *report)
{
    const struct ood_loss_terms *from = &report->terms;
    struct ood_loss_terms *to = &sums->terms;
    to->total += from->total;
    for (size_t i = 0; i < TERMS; i++)
        *(double *)(void *)((char *)to + terms[i].value) += term(from, i);
    to->mean_energy_in += from->mean_energy_in;
    to->mean_energy_out += from->mean_energy_out;
    to->mean_own_in += from->mean_own_in;
    to->mean_representation_in += from->mean_representation_in;
    to->mean_representation_out += from->mean_representation_out;
    to->in += from->in;
    to->correct += from->correct;
    to->nearest_correct += from->nearest_correct;
    sums->rate = report->rate;
    sums->norm = report->norm;
    sums->pictures += from->in + from->out;
    sums->steps++;
}

static double pictures_per_second(const struct train_sums *sums)
{
    double seconds = ood_clock() - sums->since;
    return seconds > 0 ? (double)sums->pictures / seconds : 0;
}

/* ---- lines for people ---- */

static double seconds_left(const struct train *train, double progress)
{
    double elapsed = train_elapsed(train);
    return progress > 0 && progress < 1 ? elapsed / progress * (1 - progress) : 0;
}

void train_line(const struct train *train, const struct train_sums *sums, double epoch, double progress, char *text, size_t size)
{
    static const char *const shorts[TERMS] = { "ce", "energy", "cluster", "repr", "uniform", "score" };
    char parts[256] = "";
    size_t length = 0;
    double n = (double)sums->steps, left = seconds_left(train, progress);
    for (size_t i = 0; i < TERMS && length < sizeof parts; i++)
        if (weight(train, i) > 0)
            length += (size_t)snprintf(parts + length, sizeof parts - length, " %s %.4g", shorts[i], term(&sums->terms, i) / n);
    snprintf(text, size, "train: epoch %.2f, step %llu (%.1f %%), %.0f pictures/s, loss %.4g:%s, accuracy %.1f %%, rate %.3g, %.0f min %02.0f s left", epoch,
             (unsigned long long)ood_training_steps(train->training), 100 * progress, pictures_per_second(sums), sums->terms.total / n, parts,
             100 * (double)sums->terms.correct / (double)sums->terms.in, sums->rate, floor(left / 60), floor(fmod(left, 60)));
}

void train_say_evaluation(const struct train *train, const struct ood_validation *e, double epoch)
{
    char in[CTL_COUNT_TEXT], out[CTL_COUNT_TEXT];
    if (!e->told)
        ctl_say("train: epoch %.2f, step %llu: accuracy %.2f %% of %s held out", epoch, (unsigned long long)ood_training_steps(train->training), 100 * e->accuracy,
                ctl_count(e->in, in));
    else
        ctl_say("train: epoch %.2f, step %llu: accuracy %.2f %% of %s held out; FPR95 of %s outliers of other classes: E %.2f %%, D %.2f %%, S %.2f %%", epoch,
                (unsigned long long)ood_training_steps(train->training), 100 * e->accuracy, ctl_count(e->in, in), ctl_count(e->out, out), 100 * e->energy_fpr95,
                100 * e->representation_fpr95, 100 * e->score_fpr95);
}

/* ---- lines for programs ---- */

/* Takes the object; appends it as a line. */
static bool log_line(const struct train *train, json_t *object, struct ood_error *err)
{
    if (train->options.log == NULL) {
        json_decref(object);
        return true;
    }
    char *text = object != NULL ? json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
    json_decref(object);
    if (text == NULL)
        return ood_fail(err, OOD_INVALID, "%s: a line cannot be written as JSON", train->options.log);
    char *line = ood_format(err, "%s\n", text);
    bool done = line != NULL && ood_file_append(train->options.log, line, strlen(line), err);
    ood_free(line);
    free(text);
    return done;
}

static json_t *number(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *begin_line(const struct train *train, const char *event)
{
    return json_pack("{s:s, s:I, s:f}", "event", event, "step", (json_int_t)ood_training_steps(train->training), "seconds", train_elapsed(train));
}

bool train_log_event(const struct train *train, const char *event, struct ood_error *err)
{
    return log_line(train, begin_line(train, event), err);
}

bool train_log_steps(const struct train *train, const struct train_sums *sums, double epoch, double progress, struct ood_error *err)
{
    const struct ood_loss_terms *t = &sums->terms;
    double n = (double)sums->steps, in = (double)t->in;
    json_t *line = begin_line(train, "steps"), *losses = json_object();
    json_object_set_new(losses, "total", number(t->total / n));
    for (size_t i = 0; i < TERMS; i++)
        json_object_set_new(losses, terms[i].name, number(term(t, i) / n));
    const struct { const char *name; double value; } numbers[] = {
        { "epoch", epoch }, { "progress", progress }, { "rate", sums->rate }, { "gradient_norm", sums->norm }, { "pictures_per_second", pictures_per_second(sums) },
        { "accuracy", (double)t->correct / in }, { "nearest_accuracy", (double)t->nearest_correct / in }, { "energy_in", t->mean_energy_in / n },
        { "energy_out", t->mean_energy_out / n }, { "own_distance_in", t->mean_own_in / n }, { "representation_in", t->mean_representation_in / n },
        { "representation_out", t->mean_representation_out / n } };
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        json_object_set_new(line, numbers[i].name, number(numbers[i].value));
    json_object_set_new(line, "losses", losses);
    return log_line(train, line, err);
}

void train_add_rankings(json_t *object, const struct ood_validation *e)
{
    const struct { const char *name; double value; } numbers[] = {
        { "energy_fpr95", e->energy_fpr95 }, { "representation_fpr95", e->representation_fpr95 }, { "score_fpr95", e->score_fpr95 },
        { "energy_auroc", e->energy_auroc }, { "representation_auroc", e->representation_auroc }, { "score_auroc", e->score_auroc } };
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0] && e->told; i++)
        json_object_set_new(object, numbers[i].name, number(numbers[i].value));
}

bool train_log_evaluation(const struct train *train, const struct ood_validation *e, double epoch, struct ood_error *err)
{
    json_t *line = begin_line(train, "evaluation");
    json_object_set_new(line, "epoch", number(epoch));
    json_object_set_new(line, "in", json_integer((json_int_t)e->in));
    json_object_set_new(line, "out", json_integer((json_int_t)e->out));
    json_object_set_new(line, "accuracy", number(e->accuracy));
    train_add_rankings(line, e);
    return log_line(train, line, err);
}
