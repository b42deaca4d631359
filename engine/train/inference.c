/* Batches of eight handed out to threads, each with a run of its own; then METHOD sections 2 and 5 over what came. */
#include "train/inference.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "ops/ops.h"
#include "scorer/scorer.h"
#include "score/score.h"

#define BATCH 8

void ood_outputs_free(struct ood_outputs *outputs)
{
    ood_free(outputs->logits);
    ood_free(outputs->features);
    *outputs = (struct ood_outputs){ 0 };
}

struct ood_model *ood_inference_model(const struct ood_bytes *onnx, const struct ood_picture_set *set, const char *logits, const char *features,
                                      struct ood_error *err)
{
    struct ood_preprocess preprocess = *ood_picture_set_pixels(set);
    preprocess.layout = ood_picture_set_layout(set);
    struct ood_model_options options = {
        .operators = ood_op_table, .input_shape = ood_preprocess_shape(&preprocess), .batch = BATCH, .logits = logits, .features = features,
        .convolution = OOD_CONVOLUTION_WINOGRAD,
    };
    return ood_model_new(onnx, &options, err);
}

/* ---- running ---- */

struct inference {
    struct ood_model *model;
    struct ood_picture_set *set;
    const size_t *places;
    struct ood_outputs *out;
    size_t floats;                           /* of an input */
    atomic_size_t next;                      /* the first picture nobody took */
};

struct hand { struct inference *inference; struct ood_run *run; pthread_t thread; bool running, failed; struct ood_error err; };

static bool run_batch(struct hand *hand, size_t first, size_t count)
{
    struct inference *inference = hand->inference;
    struct ood_outputs *out = inference->out;
    struct ood_crop whole = ood_picture_set_whole(inference->set);
    for (size_t done = 0, batch; done < count; done += batch) {
        batch = ood_model_plan_batch(inference->model, count - done);
        size_t held = batch < count - done ? batch : count - done;
        float *input = ood_run_input(hand->run, batch, 0);
        for (size_t i = 0; i < held; i++)
            if (!ood_picture_set_fill(inference->set, inference->places[first + done + i], &whole, input + i * inference->floats, &hand->err))
                return false;
        memset(input + held * inference->floats, 0, (batch - held) * inference->floats * sizeof *input);
        ood_run_execute(hand->run, batch);
        memcpy(out->logits + (first + done) * out->classes, ood_run_output(hand->run, batch, 0), held * out->classes * sizeof(float));
        memcpy(out->features + (first + done) * out->dimension, ood_run_output(hand->run, batch, 1), held * out->dimension * sizeof(float));
        batch = held;
    }
    return true;
}

static void *work(void *argument)
{
    struct hand *hand = argument;
    struct inference *inference = hand->inference;
    size_t count = inference->out->count;
    for (size_t first; !hand->failed && (first = atomic_fetch_add(&inference->next, BATCH)) < count;)
        hand->failed = !run_batch(hand, first, count - first < BATCH ? count - first : BATCH);
    return NULL;
}

/* The calling thread is one of them. */
static bool run_all(struct inference *inference, struct hand *hands, size_t threads, struct ood_error *err)
{
    bool done = true;
    for (size_t i = 0; i < threads && done; i++) {
        hands[i].inference = inference;
        hands[i].run = ood_run_new(inference->model, err);
        done = hands[i].run != NULL;
    }
    for (size_t i = 1; i < threads && done; i++) {
        int why = pthread_create(&hands[i].thread, NULL, work, &hands[i]);
        hands[i].running = why == 0;
        done = why == 0 || ood_fail_errno(err, why, "thread %zu of %zu", i + 1, threads);
    }
    if (!done)
        atomic_store(&inference->next, inference->out->count);
    else
        work(&hands[0]);
    for (size_t i = 0; i < threads; i++) {
        if (hands[i].running)
            pthread_join(hands[i].thread, NULL);
        if (done && hands[i].failed) {
            *err = hands[i].err;
            done = false;
        }
        ood_run_free(hands[i].run);
    }
    return done;
}

/* Elements of one item in an output. */
static size_t item_count(const struct ood_model *model, size_t output)
{
    struct ood_shape shape = ood_model_output_shape(model, output);
    size_t count = 0;
    shape.dims[0] = 1;
    return ood_shape_count(&shape, &count) ? count : 0;
}

bool ood_inference(struct ood_model *model, struct ood_picture_set *set, const size_t *places, size_t count, size_t threads, struct ood_outputs *out,
                   struct ood_error *err)
{
    struct ood_outputs made = { .count = count, .classes = item_count(model, 0), .dimension = item_count(model, 1) };
    struct inference inference = { .model = model, .set = set, .places = places, .out = &made, .floats = ood_preprocess_floats(ood_picture_set_pixels(set)) };
    size_t logits, features;
    if (!ood_mul_size(count, made.classes, &logits) || !ood_mul_size(count, made.dimension, &features))
        return ood_fail(err, OOD_LIMIT, "%zu pictures are too many", count);
    struct hand *hands = ood_new_array(struct hand, threads, err);
    made.logits = ood_new_array(float, logits, err);
    made.features = ood_new_array(float, features, err);
    bool done = hands != NULL && made.logits != NULL && made.features != NULL && run_all(&inference, hands, threads, err);
    ood_free(hands);
    if (done)
        *out = made;
    else
        ood_outputs_free(&made);
    return done;
}

/* ---- what it says ---- */

/* *enough: were there two pictures of each class? */
static bool class_means(const struct ood_outputs *in, const int32_t *classes, float *prototypes, bool *enough, struct ood_error *err)
{
    struct ood_prototype_sums sums = { 0 };
    bool done = ood_prototypes_begin(&sums, in->classes, in->dimension, err);
    for (size_t i = 0; i < in->count && done; i++)
        done = classes[i] < 0 || ood_prototypes_add(&sums, (size_t)classes[i], in->features + i * in->dimension, err);
    *enough = done;
    for (size_t k = 0; k < in->classes && done; k++)
        *enough = *enough && sums.counts[k] >= 2;
    done = done && (!*enough || ood_prototypes_finish(&sums, prototypes, err));
    ood_prototypes_free(&sums);
    return done;
}

/* E and D of each, low = in, negated so that greater is more in. Without prototypes D is 0. */
static bool measure(const struct ood_judge *judge, const struct ood_outputs *outputs, double *energy, double *representation, struct ood_error *err)
{
    for (size_t i = 0; i < outputs->count; i++) {
        struct ood_verdict verdict = { 0 };
        if (judge->prototypes == NULL) {
            energy[i] = -ood_energy(outputs->logits + i * outputs->classes, outputs->classes, judge->temperature);
            representation[i] = 0;
            continue;
        }
        if (!ood_measure(judge, outputs->logits + i * outputs->classes, outputs->features + i * outputs->dimension, &verdict, err))
            return false;
        energy[i] = -verdict.energy;
        representation[i] = -verdict.representation_score;
    }
    return true;
}

static void fuse(double *energy, const double *representation, size_t n, const double mean[2], const double std[2])
{
    for (size_t i = 0; i < n; i++)
        energy[i] = 0.5 * (energy[i] - mean[0]) / std[0] + 0.5 * (representation[i] - mean[1]) / std[1];
}

static bool rank(const double *in, size_t n, const double *out, size_t m, double *fpr95, double *auroc, struct ood_error *err)
{
    struct ood_ranking ranking;
    if (!ood_rank(in, n, out, m, &ranking, err))
        return false;
    *fpr95 = ranking.fpr95;
    *auroc = ranking.auroc;
    return true;
}

/* scores: E of in, D of in, E of out, D of out. */
static bool rank_all(double *scores, size_t n, size_t m, bool with_prototypes, struct ood_validation *r, struct ood_error *err)
{
    double *energy = scores, *representation = scores + n, *out_energy = scores + 2 * n, *out_representation = out_energy + m;
    double mean[2], std[2];
    r->representation_fpr95 = r->representation_auroc = r->score_fpr95 = r->score_auroc = NAN;
    if (!rank(energy, n, out_energy, m, &r->energy_fpr95, &r->energy_auroc, err))
        return false;
    if (!with_prototypes)
        return true;
    if (!rank(representation, n, out_representation, m, &r->representation_fpr95, &r->representation_auroc, err))
        return false;
    ood_mean_std(energy, n, &mean[0], &std[0]);
    ood_mean_std(representation, n, &mean[1], &std[1]);
    if (!(std[0] > 0 && std[1] > 0))
        std[0] = std[1] = 1;
    fuse(energy, representation, n, mean, std);
    fuse(out_energy, out_representation, m, mean, std);
    return rank(energy, n, out_energy, m, &r->score_fpr95, &r->score_auroc, err);
}

bool ood_validate(const struct ood_outputs *in, const int32_t *classes, const struct ood_outputs *out, const float *prototypes, double temperature,
                  struct ood_validation *result, struct ood_error *err)
{
    struct ood_validation made = { .in = in->count, .out = out->count, .told = in->count >= 2 && out->count > 0 };
    struct ood_judge judge = { .classes = in->classes, .dimension = in->dimension, .temperature = temperature };
    size_t correct = 0, labelled = 0;
    for (size_t i = 0; i < in->count; i++) {
        size_t best;
        ood_top(in->logits + i * in->classes, in->classes, 1, &best);
        labelled += classes[i] >= 0;
        correct += classes[i] >= 0 && best == (size_t)classes[i];
    }
    made.accuracy = labelled > 0 ? (double)correct / (double)labelled : 0;
    if (!made.told) {
        *result = made;
        return true;
    }
    float *means = ood_new_array(float, in->classes * in->dimension, err);
    double *scores = ood_new_array(double, 2 * (in->count + out->count), err);
    bool done = means != NULL && scores != NULL, enough = true;
    if (done && prototypes == NULL)
        done = class_means(in, classes, means, &enough, err);
    judge.prototypes = prototypes != NULL ? (float *)(uintptr_t)prototypes : enough ? means : NULL;
    done = done && measure(&judge, in, scores, scores + in->count, err) &&
           measure(&judge, out, scores + 2 * in->count, scores + 2 * in->count + out->count, err) && rank_all(scores, in->count, out->count, judge.prototypes != NULL, &made, err);
    ood_free(means);
    ood_free(scores);
    if (done)
        *result = made;
    return done;
}
