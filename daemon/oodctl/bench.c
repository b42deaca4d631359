/* oodctl bench: pictures a second through the network alone, a line for each batch. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "daemon/oodctl/network.h"
#include "daemon/oodctl/oodctl.h"

#define BATCHES 16
#define ROUNDS 15
#define LEAST_ROUNDS 3                       /* of one iteration each, where that alone takes longer than a round should */

struct bench_options { size_t threads; const char *batch, *convolution, *input_shape, *picture; double seconds; };

#define FIELD(name) offsetof(struct bench_options, name)
static const struct ctl_option options[] = {
    { "threads", "T", "threads, each with pictures of its own (default: 1)", CTL_SIZE, FIELD(threads), 1, 1024 },
    { "batch", "B,…", "batches to run (default: 1,8)", CTL_TEXT, FIELD(batch), 0, 0 },
    { "seconds", "S", "for each batch (default: 3)", CTL_NUMBER, FIELD(seconds), 0.01, 3600 },
    { "convolution", "KIND", "auto, direct or winograd (default: auto)", CTL_TEXT, FIELD(convolution), 0, 0 },
    { "input-shape", "CxHxW", "a bare network's input, where it leaves sizes open", CTL_TEXT, FIELD(input_shape), 0, 0 },
    { "picture", "FILE", "what a bundle is run on (default: random numbers)", CTL_TEXT, FIELD(picture), 0, 0 },
    { 0 },
};

/* Rounds: the caller says how many iterations and counts the threads in when they are through. */
struct bench {
    struct ood_model *model;
    size_t batch, threads;
    struct ctl_input input;                  /* the same in every thread, so the checksum is, too */
    pthread_mutex_t lock;
    pthread_cond_t start, stop;
    size_t round, iterations, finished;      /* under the lock, like quit */
    bool quit;
};

struct thread { struct bench *bench; struct ood_run *run; pthread_t id; bool running; struct ood_error err; };

static void *thread_main(void *argument)
{
    struct thread *thread = argument;
    struct bench *bench = thread->bench;
    pthread_mutex_lock(&bench->lock);
    for (size_t round = 1;; round++) {
        while (bench->round < round && !bench->quit)
            pthread_cond_wait(&bench->start, &bench->lock);
        if (bench->quit)
            break;
        size_t iterations = bench->iterations;
        pthread_mutex_unlock(&bench->lock);
        for (size_t i = 0; i < iterations; i++)
            if (!ctl_input_run(&bench->input, thread->run, bench->batch, &thread->err))
                break;
        pthread_mutex_lock(&bench->lock);
        bench->finished++;
        pthread_cond_signal(&bench->stop);
    }
    pthread_mutex_unlock(&bench->lock);
    return NULL;
}

/* One round of `iterations` on every thread: its seconds. */
static double round_of(struct bench *bench, size_t iterations)
{
    pthread_mutex_lock(&bench->lock);
    bench->iterations = iterations;
    bench->finished = 0;
    bench->round++;
    double start = ood_clock();
    pthread_cond_broadcast(&bench->start);
    while (bench->finished < bench->threads)
        pthread_cond_wait(&bench->stop, &bench->lock);
    pthread_mutex_unlock(&bench->lock);
    return ood_clock() - start;
}

static void end_rounds(struct bench *bench, struct thread *threads)
{
    pthread_mutex_lock(&bench->lock);
    bench->quit = true;
    pthread_cond_broadcast(&bench->start);
    pthread_mutex_unlock(&bench->lock);
    for (size_t t = 0; t < bench->threads; t++)
        if (threads[t].running)
            pthread_join(threads[t].id, NULL);
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void measure(struct bench *bench, double seconds, double *median, double *best, double *per_cpu)
{
    double rates[ROUNDS], warm = round_of(bench, 1);
    warm = round_of(bench, 1);
    size_t iterations = warm > 0 ? (size_t)(seconds / ROUNDS / warm) : 1;
    size_t rounds = ROUNDS;
    if (iterations == 0) {
        iterations = 1;
        rounds = seconds / warm < LEAST_ROUNDS ? LEAST_ROUNDS : (size_t)(seconds / warm);
    }
    double cpu = ood_clock_process(), pictures = (double)(bench->threads * ctl_network_pictures(bench->model, bench->batch) * iterations);
    for (size_t i = 0; i < rounds; i++)
        rates[i] = pictures / round_of(bench, iterations);
    cpu = ood_clock_process() - cpu;
    qsort(rates, rounds, sizeof rates[0], compare);
    *median = rates[rounds / 2];
    *best = rates[rounds - 1];
    *per_cpu = (double)rounds * pictures / cpu;
}

/* The first picture's first output, as 12 hex digits; *same: on every thread. */
static bool checksum(const struct bench *bench, struct thread *threads, char text[OOD_HASH_HEX], bool *same, struct ood_error *err)
{
    *same = true;
    for (size_t t = 0; t < bench->threads; t++) {
        char other[OOD_HASH_HEX];
        size_t count = 0;
        if (!ctl_input_run(&bench->input, threads[t].run, bench->batch, err))
            return false;
        const struct ood_shape shape = ood_run_output_shape(threads[t].run, bench->batch, 0);
        if (ood_shape_count(&shape, &count) && shape.rank > 0 && shape.dims[0] == (int64_t)bench->batch)
            count /= bench->batch;
        ood_sha256_hex(ood_run_output(threads[t].run, bench->batch, 0), count * ood_type_size(ood_run_output_type(threads[t].run, bench->batch, 0)), other);
        if (t == 0)
            memcpy(text, other, OOD_HASH_HEX);
        *same = *same && memcmp(text, other, OOD_HASH_HEX) == 0;
    }
    text[12] = '\0';
    return true;
}

static bool start_threads(struct bench *bench, struct thread *threads, struct ood_error *err)
{
    for (size_t t = 0; t < bench->threads; t++) {
        threads[t].bench = bench;
        threads[t].run = ood_run_new(bench->model, err);
        if (threads[t].run == NULL)
            return false;
    }
    for (size_t t = 0; t < bench->threads; t++) {
        if (!ctl_input_run(&bench->input, threads[t].run, bench->batch, err))      /* compiles what hangs on the picture; may say no */
            return false;
        int why = pthread_create(&threads[t].id, NULL, thread_main, &threads[t]);
        if (why != 0)
            return ood_fail_errno(err, why, "thread %zu of %zu", t + 1, bench->threads);
        threads[t].running = true;
    }
    return true;
}

static bool run_batch(const struct ctl_network *network, struct ood_model *model, const struct bench_options *given, bool *same, struct ood_error *err)
{
    const size_t batch = ood_model_most_batch(model);
    struct bench bench = { .model = model, .batch = batch, .threads = given->threads };
    struct thread *threads = ood_new_array(struct thread, given->threads, err);
    double median = 0, best = 0, per_cpu = 0;
    char sum[OOD_HASH_HEX];
    if (threads == NULL)
        return false;
    pthread_mutex_init(&bench.lock, NULL);
    pthread_cond_init(&bench.start, NULL);
    pthread_cond_init(&bench.stop, NULL);
    bool done = ctl_network_input(network, given->picture, model, batch, &bench.input, err) && start_threads(&bench, threads, err);
    if (done)
        measure(&bench, given->seconds, &median, &best, &per_cpu);
    end_rounds(&bench, threads);
    for (size_t t = 0; done && t < given->threads; t++)
        if (threads[t].err.code != OOD_OK) {
            *err = threads[t].err;
            done = false;
        }
    done = done && checksum(&bench, threads, sum, same, err);
    if (done) {
        printf("oodd %s\t%zu\t%zu\t%.2f\t%.2f\t%.2f\t%s\n", ood_version(), given->threads, ctl_network_pictures(model, batch), median, best, per_cpu, sum);
        fflush(stdout);
    }
    for (size_t t = 0; t < given->threads; t++)
        ood_run_free(threads[t].run);
    ood_free(threads);
    ood_free(bench.input.values);
    pthread_cond_destroy(&bench.stop);
    pthread_cond_destroy(&bench.start);
    pthread_mutex_destroy(&bench.lock);
    return done;
}

static int bench_all(struct ctl_network *network, const struct bench_options *given, const size_t *batches, size_t count,
                     enum ood_convolution convolution)
{
    bool all_same = true;
    struct ood_error err = { 0 };
    printf("engine\tthreads\tbatch\tmedian\tbest\tper_cpu_second\tchecksum\n");
    for (size_t i = 0; i < count; i++) {
        bool same = true;
        struct ood_model *model = ctl_network_compile(network, batches[i], false, convolution, NULL, &err);
        if (model == NULL)
            return ctl_fail(&err);
        const size_t pictures = ctl_network_pictures(model, ood_model_most_batch(model));
        if (pictures != batches[i])
            ctl_say("bench: %s: its batch is fixed at %zu; batch %zu left out", network->model_path, pictures, batches[i]);
        else if (!run_batch(network, model, given, &same, &err)) {
            ood_model_free(model);
            return ctl_fail(&err);
        }
        if (!same)
            ctl_say("bench: batch %zu: the threads disagree", batches[i]);
        all_same = all_same && same;
        ood_model_free(model);
    }
    return all_same ? CTL_DONE : CTL_NO;
}

static int run_bench(const struct ctl_command *command, int argc, char **argv)
{
    struct bench_options given = { .threads = 1, .batch = "1,8", .seconds = 3, .convolution = "auto" };
    enum ood_convolution convolution;
    struct ood_shape shape;
    struct ctl_network network;
    struct ood_error err = { 0 };
    double numbers[BATCHES];
    size_t batches[BATCHES], count;
    int first, status;
    if (!ctl_parse(command, argc, argv, &given, &first, &status))
        return status;
    if (argc - first != 1)
        return ctl_usage(command, argc == first ? "BUNDLE or M.onnx missing" : "more than one operand");
    if (!ctl_convolution_parse(given.convolution, &convolution))
        return ctl_usage(command, "--convolution %s: expected auto, direct or winograd", given.convolution);
    if (!ctl_input_shape_parse(given.input_shape, &shape))
        return ctl_usage(command, "--input-shape %s: expected sizes like 3x224x224", given.input_shape);
    if (!ctl_numbers(given.batch, 1, BATCHES, numbers, &count))
        return ctl_usage(command, "--batch %s: expected 1 to %d whole numbers, comma separated", given.batch, BATCHES);
    for (size_t i = 0; i < count; i++) {
        if (!(numbers[i] >= 1 && numbers[i] <= 4096) || numbers[i] != (double)(size_t)numbers[i])
            return ctl_usage(command, "--batch %s: expected whole numbers, 1 to 4096", given.batch);
        batches[i] = (size_t)numbers[i];
    }
    if (ctl_network_open(argv[first], &shape, &network, &err))
        status = bench_all(&network, &given, batches, count, convolution);
    else
        status = ctl_fail(&err);
    ctl_network_close(&network);
    return status;
}

const struct ctl_command ctl_bench = {
    "bench", "BUNDLE|M.onnx", "Measures pictures/s through the network, a tab separated line for each batch", options, run_bench,
};
