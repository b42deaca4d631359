/* Real ONNX files, changed by a seed: each loads, is refused in a sentence, or runs, with the same bits for a picture alone and in a batch;
 * graphs in stages (graph/stage.h) whatever was run before.
 * None crashes, hangs or reads what was never written (sanitizers, valgrind).
 *
 *     mutate [--count N] [--seed S] [--only CASE] [--verbose] [--no-fork] FILE…
 *
 * Case i changes a file drawn by a seed of (S, i) alone: --only CASE repeats one. Each runs in a child with a time limit; the
 * parent tells how it ended. --no-fork, for valgrind and debuggers, runs all in one process. Exit status 1: a case went wrong. */
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/number.h"
#include "change.h"
#include "graph/read_internal.h"
#include "ops/ops.h"
#include "plan/plan.h"

#define SECONDS 60                           /* for one case: under a sanitizer on a busy machine */
#define RUN_FLOPS 2e9                        /* what is larger by a change is loaded, not run */
#define RUN_BYTES ((size_t)256 << 20)
#define SEED_BYTES ((size_t)64 << 20)

enum outcome { REFUSED, LOADED, RAN, OUTCOMES };

/* Between parent and child. */
struct shared { size_t at; size_t outcomes[OUTCOMES]; size_t failed; char told[CHANGE_TEXT]; };

struct mutation {
    const char *const *files;
    size_t file_count, count, seed;
    bool verbose;
    const char **operators;
    struct shared *shared;
    size_t cached;                           /* which file `bytes` is */
    struct ood_bytes bytes;
};

static void die(const char *what)
{
    fprintf(stderr, "mutate: %s\n", what);
    exit(99);
}

/* ---- running what loads ---- */

static void fill_input(struct ood_random *random, enum ood_type type, void *memory, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (type == OOD_FLOAT32)
            ((float *)memory)[i] = (float)(ood_random_uniform(random) * 4 - 2);
        else if (type == OOD_INT64)
            ((int64_t *)memory)[i] = (int64_t)ood_random_below(random, 5) - 2;
        else if (type == OOD_INT32)
            ((int32_t *)memory)[i] = (int32_t)ood_random_below(random, 5) - 2;
        else
            ((unsigned char *)memory)[i] = (unsigned char)ood_random_below(random, 2);
}

/* Bytes of a value in a plan; 0 where they cannot be counted. */
static size_t bytes_of(struct ood_shape shape, enum ood_type type, size_t batch)
{
    size_t count, bytes;
    shape = ood_shape_bind(&shape, batch);
    return ood_shape_count(&shape, &count) && ood_mul_size(count, ood_type_size(type), &bytes) ? bytes : 0;
}

static bool same_numbers(const void *a, const void *b, enum ood_type type, size_t bytes)
{
    if (memcmp(a, b, bytes) == 0)
        return true;
    if (type != OOD_FLOAT32)
        return false;
    const float *x = a, *y = b;
    for (size_t i = 0; i < bytes / sizeof *x; i++)
        if (memcmp(&x[i], &y[i], sizeof *x) != 0 && !(isnan(x[i]) && isnan(y[i])))
            return false;
    return true;
}

static bool is_a_batch(struct ood_shape shape)
{
    bool batch = shape.rank > 0 && shape.dims[0] == ood_batch_dim(1);
    for (size_t i = 1; i < shape.rank; i++)
        batch = batch && !ood_dim_is_batch(shape.dims[i]);
    return batch;
}

/* The first picture of both batches is the same; everything else of the second is drawn on. */
static bool run_batches(struct ood_model *model, struct ood_run *run, uint64_t seed, struct ood_error *err)
{
    struct ood_random random;
    const size_t outputs = ood_model_output_count(model), first = ood_model_plan_batch(model, 1), last = ood_model_most_batch(model);
    void **kept = ood_new_array(void *, outputs, err);
    bool same = kept != NULL, comparable = first == 1 && last == 2;
    for (size_t i = 0; i < ood_model_input_count(model); i++)
        comparable = comparable && is_a_batch(ood_model_input_shape(model, i));
    for (size_t batch = first; same; batch = last) {
        for (size_t i = 0; i < ood_model_input_count(model); i++) {
            const enum ood_type type = ood_model_input_type(model, i);
            ood_random_seed(&random, seed + i);
            fill_input(&random, type, ood_run_input(run, batch, i), bytes_of(ood_model_input_shape(model, i), type, batch) / ood_type_size(type));
        }
        ood_run_execute(run, batch);
        for (size_t i = 0; i < outputs && same; i++) {
            const enum ood_type type = ood_model_output_type(model, i);
            const size_t bytes = bytes_of(ood_model_output_shape(model, i), type, batch);
            const unsigned char *found = ood_run_output(run, batch, i);
            size_t sum = 0;
            for (size_t k = 0; k < bytes; k++)
                sum += found[k];
            if (sum == SIZE_MAX)             /* so that valgrind sees each byte decide something */
                fputs("mutate: never\n", stderr);
            if (batch == first && bytes > 0 && (kept[i] = ood_alloc(bytes, 1, err)) != NULL)
                memcpy(kept[i], found, bytes);
            else if (batch != first && comparable && is_a_batch(ood_model_output_shape(model, i)))
                same = same_numbers(kept[i], found, type, bytes / 2) ||
                       ood_fail(err, OOD_INVALID, "output %zu (%s): other bits in a batch of two than alone", i, ood_model_output_name(model, i));
        }
        if (batch == last)
            break;
    }
    for (size_t i = 0; kept != NULL && i < outputs; i++)
        ood_free(kept[i]);
    ood_free(kept);
    return same;
}

/* ---- graphs in stages ---- */

/* What a staged run answered: the outputs one behind the other, or the sentence. */
struct answer { unsigned char *bytes; size_t size; struct ood_error err; };

static bool answer_of(struct ood_model *model, struct ood_run *run, uint64_t seed, struct answer *answer, struct ood_error *err)
{
    const size_t batch = ood_model_most_batch(model);
    size_t capacity = 0, sum = 0;
    *answer = (struct answer){ 0 };
    for (size_t i = 0; i < ood_model_input_count(model); i++) {
        struct ood_random random;
        const enum ood_type type = ood_model_input_type(model, i);
        ood_random_seed(&random, seed + i);
        fill_input(&random, type, ood_run_input(run, batch, i), bytes_of(ood_model_input_shape(model, i), type, batch) / ood_type_size(type));
    }
    if (!ood_run_all(run, batch, &answer->err))
        return (answer->err.code != OOD_OK && answer->err.message[0] != '\0') || ood_fail(err, OOD_INVALID, "a run failed without a sentence");
    for (size_t i = 0; i < ood_model_output_count(model); i++) {
        const size_t bytes = bytes_of(ood_run_output_shape(run, batch, i), ood_run_output_type(run, batch, i), batch);
        if (!ood_grow(&answer->bytes, &capacity, answer->size + bytes, 1, err))
            return false;
        if (bytes > 0)
            memcpy(answer->bytes + answer->size, ood_run_output(run, batch, i), bytes);
        answer->size += bytes;
    }
    for (size_t i = 0; i < answer->size; i++)
        sum += answer->bytes[i];
    if (sum == SIZE_MAX)                     /* as above */
        fputs("mutate: never\n", stderr);
    return true;
}

static bool same_answer(const struct answer *a, const struct answer *b)
{
    return a->err.code == b->err.code && strcmp(a->err.message, b->err.message) == 0 && a->size == b->size &&
           (a->size == 0 || memcmp(a->bytes, b->bytes, a->size) == 0);
}

/* One input, others, and the first again, by stages compiled before and by a fresh run's: the same bits, or the same sentence. */
static bool run_stages(struct ood_model *model, struct ood_run *run, uint64_t seed, struct ood_error *err)
{
    struct answer answers[5] = { 0 };
    struct ood_run *fresh = ood_run_new(model, err);
    bool same = fresh != NULL;
    for (size_t i = 0; same && i < 5; i++)
        same = answer_of(model, i < 4 ? run : fresh, i == 1 || i == 2 ? seed + 1000 * i : seed, &answers[i], err);
    for (size_t i = 3; same && i < 5; i++)
        same = same_answer(&answers[0], &answers[i]) ||
               ood_fail(err, OOD_INVALID, "the same inputs, another answer %s: %.80s; %.80s", i == 3 ? "later" : "in a fresh run", answers[0].err.message,
                        answers[i].err.message);
    for (size_t i = 0; i < 5; i++)
        ood_free(answers[i].bytes);
    ood_run_free(fresh);
    return same;
}

/* Small enough to run: a change may make an honest network of a million times the work. */
static bool is_small(const struct ood_model *model)
{
    double flops = 0;
    const size_t batch = ood_model_most_batch(model);
    size_t bytes = ood_model_arena_bytes(model, batch);
    for (size_t i = 0; i < ood_model_step_count(model, batch); i++) {
        const struct ood_step_info step = ood_model_step(model, batch, i);
        flops += step.flops + (double)step.bytes;
    }
    return flops <= RUN_FLOPS * (double)batch && bytes <= RUN_BYTES;
}

static enum outcome try_model(const struct ood_bytes *onnx, const struct ood_model_options *options, uint64_t seed, struct ood_error *err)
{
    struct ood_model *model = ood_model_new(onnx, options, err);
    enum outcome outcome = REFUSED;
    if (model != NULL) {
        outcome = LOADED;
        struct ood_run *run = is_small(model) ? ood_run_new(model, err) : NULL;
        if (run != NULL) {
            outcome = RAN;
            if (!(ood_model_is_staged(model) ? run_stages : run_batches)(model, run, seed, err))
                outcome = OUTCOMES;
        }
        ood_run_free(run);
    }
    ood_model_free(model);
    return outcome;
}

/* ---- cases ---- */

static size_t file_of(const struct mutation *m, size_t i)
{
    struct ood_random random;
    ood_random_seed(&random, m->seed * UINT64_C(0xD1342543DE82EF95) + i);
    return (size_t)ood_random_below(&random, m->file_count);
}

/* The bytes of case i. */
static void make_case(struct mutation *m, size_t i, struct ood_random *random, struct ood_bytes *out, char told[CHANGE_TEXT])
{
    struct ood_pool pool = { 0 };
    struct ood_error err = { 0 };
    const size_t file = file_of(m, i);
    if (m->bytes.data == NULL || m->cached != file) {
        ood_bytes_free(&m->bytes);
        if (!ood_file_read(m->files[file], SEED_BYTES, &m->bytes, &err))
            die(err.message);
        m->cached = file;
    }
    struct change change = { .random = random, .pool = &pool, .operators = m->operators };
    if (ood_random_below(random, 8) == 0) {
        out->data = ood_alloc(m->bytes.size, 1, &err);
        out->size = m->bytes.size;
        if (out->data == NULL)
            die(err.message);
        memcpy(out->data, m->bytes.data, out->size);
        change_bytes(&change, out->data, &out->size);
    } else {
        ProtobufCMessage *message = ood_onnx_unpack(&onnx__model_proto__descriptor, &m->bytes, &pool, &err);
        if (message == NULL)
            die(err.message);
        pool.limit = 0;
        for (uint64_t n = 1 + ood_random_below(random, 6) / 4; n > 0; n--)      /* mostly one: two seldom load */
            change_model(&change, (Onnx__ModelProto *)message);
        const size_t size = protobuf_c_message_get_packed_size(message);
        out->data = ood_alloc(size + (size == 0), 1, &err);
        if (out->data == NULL)
            die(err.message);
        out->size = protobuf_c_message_pack(message, out->data);
    }
    memcpy(told, change.told, CHANGE_TEXT);
    ood_pool_free(&pool);
}

static void run_case(struct mutation *m, size_t i)
{
    static const char *const names[] = { "refused", "loaded", "ran", "WRONG" };
    struct ood_random random;
    struct ood_bytes onnx = { 0 };
    struct ood_error err = { 0 };
    ood_random_seed(&random, m->seed * UINT64_C(0x9E3779B97F4A7C15) + i);
    make_case(m, i, &random, &onnx, m->shared->told);
    struct ood_model_options options = {
        .operators = ood_op_table, .batch = 2, .no_taps = ood_random_below(&random, 8) > 0, .one_if_needed = ood_random_below(&random, 2) == 0,
        .convolution = ood_random_below(&random, 2) == 0 ? OOD_CONVOLUTION_DIRECT : OOD_CONVOLUTION_WINOGRAD,
        .stages = ood_random_below(&random, 4) > 0,
    };
    if (m->verbose)
        fprintf(stderr, "%zu %s: %s\n", i, m->files[file_of(m, i)], m->shared->told);
    enum outcome outcome = try_model(&onnx, &options, i, &err);
    const bool told = outcome != REFUSED || (err.code != OOD_OK && err.message[0] != '\0');
    if (m->verbose)
        fprintf(stderr, "    %s %s\n", names[outcome], err.message);
    if (outcome == OUTCOMES || !told) {
        fprintf(stderr, "case %zu (%s; last change: %s): %s\n", i, m->files[file_of(m, i)], m->shared->told,
                told ? err.message : "refused without a sentence");
        m->shared->failed++;
    } else {
        m->shared->outcomes[outcome]++;
    }
    ood_bytes_free(&onnx);
}

static void run_from(struct mutation *m, size_t first, unsigned seconds)
{
    for (m->shared->at = first; m->shared->at < m->count; m->shared->at++) {
        alarm(seconds);
        run_case(m, m->shared->at);
    }
    ood_bytes_free(&m->bytes);
}

/* Children until all cases are through: one that dies names its case, and the next goes on behind it. */
static void run_children(struct mutation *m)
{
    for (size_t first = 0; first < m->count;) {
        fflush(NULL);
        const pid_t child = fork();
        if (child < 0)
            die("no child process");
        if (child == 0) {
            run_from(m, first, SECONDS);
            exit(0);
        }
        int status;
        if (waitpid(child, &status, 0) != child)
            die("waitpid");
        if (WIFEXITED(status) && WEXITSTATUS(status) == 99)
            exit(99);
        if (WIFEXITED(status) && WEXITSTATUS(status) == 0 && m->shared->at == m->count)
            return;
        const size_t at = m->shared->at;
        fprintf(stderr, "case %zu (%s; last change: %s): %s\n", at, m->files[file_of(m, at)], m->shared->told,
                WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM ? "took more than a minute" : WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : "a sanitizer's finding");
        m->shared->failed++;
        first = at + 1;
    }
}

static const char **operator_names(void)
{
    struct ood_error err = { 0 };
    size_t count = 0;
    while (ood_op_table[count] != NULL)
        count++;
    const char **names = ood_new_array(const char *, count + 1, &err);
    if (names == NULL)
        die(err.message);
    for (size_t i = 0; i < count; i++)
        names[i] = ood_op_table[i]->name;
    return names;
}

int main(int argc, char **argv)
{
    struct mutation m = { .count = 300, .seed = 1 };
    size_t only = SIZE_MAX;
    bool children = true;
    int i = 1;
    for (; i < argc && strncmp(argv[i], "--", 2) == 0; i++) {
        size_t *number = strcmp(argv[i], "--count") == 0 ? &m.count : strcmp(argv[i], "--seed") == 0 ? &m.seed : strcmp(argv[i], "--only") == 0 ? &only : NULL;
        if (strcmp(argv[i], "--verbose") == 0)
            m.verbose = true;
        else if (strcmp(argv[i], "--no-fork") == 0)
            children = false;
        else if (number == NULL || ++i == argc || !ood_parse_size(argv[i], number))
            die("usage: mutate [--count N] [--seed S] [--only CASE] [--verbose] [--no-fork] FILE...");
    }
    m.files = (const char *const *)argv + i;
    m.file_count = (size_t)(argc - i);
    if (m.file_count == 0)
        die("no files");
    m.operators = operator_names();
    m.shared = mmap(NULL, sizeof *m.shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (m.shared == MAP_FAILED)
        die("mmap");
    if (only != SIZE_MAX) {
        m.verbose = true;
        run_case(&m, only);
        ood_bytes_free(&m.bytes);
    } else if (children) {
        run_children(&m);
    } else {
        run_from(&m, 0, 0);
    }
    printf("%zu refused, %zu loaded, %zu ran, %zu wrong of %zu cases from %zu files\n", m.shared->outcomes[REFUSED], m.shared->outcomes[LOADED],
           m.shared->outcomes[RAN], m.shared->failed, only != SIZE_MAX ? 1 : m.count, m.file_count);
    const int status = m.shared->failed > 0;
    munmap(m.shared, sizeof *m.shared);
    ood_free(m.operators);
    return status;
}
