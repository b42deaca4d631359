/* Running a tape. A pass is a list of segments: steps that every slice runs by itself, taken up by whichever thread is free, or steps that
 * one thread runs when all slices are there. Threads meet at a barrier between segments; what is computed does not depend on who
 * computed it. */
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "base/clock.h"
#include "plan/tape_internal.h"

struct bound {
    void *memory[OOD_STEP_OPERANDS];
    dnnl_exec_arg_t arguments[OOD_DNNL_ARGUMENTS];
};

struct segment { size_t first, end; bool once; };

enum job { JOB_EACH, JOB_STEPS, JOB_END };

struct thread { struct ood_tape_run *run; pthread_t id; dnnl_stream_t stream; double *seconds; bool started; };

struct ood_tape_run {
    const struct ood_tape *tape;
    unsigned char *arena;                    /* slices.count times slices.stride */
    struct bound **bound;                    /* [slices][steps] */
    struct bound *prepare;                   /* [prepare_count] */
    struct segment *segments;
    size_t segment_count, forward_segments;
    struct thread *threads;
    size_t thread_count;
    pthread_mutex_t gate;                    /* held while threads are started */
    bool abandoned;                          /* not all could be */
    pthread_barrier_t barrier;
    bool barrier_made;
    bool profile;

    /* the job: written by the caller before the barrier that starts it */
    enum job job;
    size_t first_segment, end_segment;
    atomic_size_t *taken;                    /* [segment_count]: slices taken; JOB_EACH: taken[0] */
    size_t each_count;
    void (*work)(void *context, size_t i);
    void *context;
};

/* ---- asking ---- */

size_t ood_tape_classes(const struct ood_tape *tape) { return tape->classes; }
size_t ood_tape_dimension(const struct ood_tape *tape) { return tape->dimension; }
size_t ood_tape_input_floats(const struct ood_tape *tape) { return tape->input_floats; }
size_t ood_tape_bytes(const struct ood_tape *tape) { return tape->slices.count * tape->slices.stride + tape->shared_bytes; }
size_t ood_tape_parameter_count(const struct ood_tape *tape) { return tape->parameter_count; }

struct ood_tape_parameter_info ood_tape_parameter_info(const struct ood_tape *tape, size_t i)
{
    const struct ood_tape_parameter *p = &tape->parameters[i];
    const struct ood_value *value = &tape->model->graph->values[p->value];
    return (struct ood_tape_parameter_info){ value->name, value->shape, p->count, p->data, p->gradient, p->kind };
}

static void *address(const struct ood_tape_run *run, size_t slice, struct ood_operand operand)
{
    if (operand.buffer != OOD_NONE)
        return run->arena + slice * run->tape->slices.stride + run->tape->plan.buffers[operand.buffer].place.offset;
    union { const void *constant; void *mutable; } shared = { operand.weights };       /* the tape's own, or a constant that is only read */
    return shared.mutable;
}

float *ood_tape_run_input(const struct ood_tape_run *run, size_t slice) { return address(run, slice, run->tape->input); }
const float *ood_tape_run_logits(const struct ood_tape_run *run, size_t slice) { return address(run, slice, run->tape->logits); }
const float *ood_tape_run_features(const struct ood_tape_run *run, size_t slice) { return address(run, slice, run->tape->features); }
float *ood_tape_run_logits_gradient(const struct ood_tape_run *run, size_t slice) { return address(run, slice, run->tape->logits_gradient); }
float *ood_tape_run_features_gradient(const struct ood_tape_run *run, size_t slice) { return address(run, slice, run->tape->features_gradient); }

/* ---- running ---- */

static void run_step(const struct thread *thread, const struct ood_step *step, const struct bound *bound, size_t index)
{
    const double before = thread->run->profile ? ood_clock() : 0;
    if (step->primitive == NULL)
        step->run(step->state, bound->memory);
    else
        dnnl_primitive_execute(step->primitive, thread->stream, (int)step->operand_count, bound->arguments);
    if (thread->run->profile)
        thread->seconds[index] += ood_clock() - before;
}

static void run_segments(const struct thread *thread)
{
    struct ood_tape_run *run = thread->run;
    const struct ood_step *steps = run->tape->plan.steps;
    for (size_t g = run->first_segment; g < run->end_segment; g++) {
        const struct segment *segment = &run->segments[g];
        const size_t slices = segment->once ? 1 : run->tape->slices.count;
        for (size_t slice; (slice = atomic_fetch_add_explicit(&run->taken[g], 1, memory_order_relaxed)) < slices;)
            for (size_t i = segment->first; i < segment->end; i++)
                run_step(thread, &steps[i], &run->bound[slice][i], i);
        pthread_barrier_wait(&run->barrier);
    }
}

static void run_each(const struct ood_tape_run *run)
{
    for (size_t i; (i = atomic_fetch_add_explicit(&run->taken[0], 1, memory_order_relaxed)) < run->each_count;)
        run->work(run->context, i);
}

static void *thread_main(void *argument)
{
    const struct thread *thread = argument;
    struct ood_tape_run *run = thread->run;
    omp_set_num_threads(1);
    pthread_mutex_lock(&run->gate);
    const bool abandoned = run->abandoned;
    pthread_mutex_unlock(&run->gate);
    while (!abandoned) {
        pthread_barrier_wait(&run->barrier);
        if (run->job == JOB_END)
            return NULL;
        if (run->job == JOB_EACH)
            run_each(run);
        else
            run_segments(thread);
        pthread_barrier_wait(&run->barrier);
    }
    return NULL;
}

/* The caller's thread is thread 0. */
static void run_job(struct ood_tape_run *run, enum job job)
{
    const int threads = omp_get_max_threads();
    omp_set_num_threads(1);
    run->job = job;
    for (size_t g = 0; g <= run->segment_count; g++)
        atomic_store_explicit(&run->taken[g], 0, memory_order_relaxed);
    pthread_barrier_wait(&run->barrier);
    if (job == JOB_EACH)
        run_each(run);
    else
        run_segments(&run->threads[0]);
    pthread_barrier_wait(&run->barrier);
    omp_set_num_threads(threads);
}

void ood_tape_run_each(struct ood_tape_run *run, size_t count, void (*work)(void *context, size_t i), void *context)
{
    run->each_count = count;
    run->work = work;
    run->context = context;
    run_job(run, JOB_EACH);
}

static void prepare_one(void *context, size_t i)
{
    const struct ood_tape_run *run = context;
    const struct ood_step *step = &run->tape->prepare[i];
    if (step->primitive == NULL) {
        step->run(step->state, run->prepare[i].memory);
        return;
    }
    dnnl_stream_t stream = NULL;             /* which thread this is does not matter: reorders are rare and short */
    if (dnnl_stream_create(&stream, run->tape->model->engine, dnnl_stream_default_flags) == dnnl_success)
        dnnl_primitive_execute(step->primitive, stream, (int)step->operand_count, run->prepare[i].arguments);
    dnnl_stream_destroy(stream);
}

void ood_tape_run_prepare(struct ood_tape_run *run) { ood_tape_run_each(run, run->tape->prepare_count, prepare_one, run); }

void ood_tape_run_forward(struct ood_tape_run *run)
{
    run->first_segment = 0;
    run->end_segment = run->forward_segments;
    run_job(run, JOB_STEPS);
}

void ood_tape_run_backward(struct ood_tape_run *run)
{
    run->first_segment = run->forward_segments;
    run->end_segment = run->segment_count;
    run_job(run, JOB_STEPS);
}

/* ---- profile ---- */

size_t ood_tape_run_step_count(const struct ood_tape_run *run) { return run->tape->plan.step_count; }

void ood_tape_run_profile(struct ood_tape_run *run, bool on)
{
    for (size_t t = 0; t < run->thread_count; t++)
        memset(run->threads[t].seconds, 0, run->tape->plan.step_count * sizeof *run->threads[t].seconds);
    run->profile = on;
}

struct ood_tape_step_info ood_tape_run_step(const struct ood_tape_run *run, size_t i)
{
    const struct ood_step *step = &run->tape->plan.steps[i];
    struct ood_tape_step_info info = { .node = step->node != NULL ? step->node->name : "", .op = step->node != NULL ? step->node->op->name : "",
                                       .kernel = step->kernel, .backward = i >= run->tape->forward_steps, .flops = step->flops };
    for (size_t t = 0; t < run->thread_count; t++)
        info.seconds += run->threads[t].seconds[i];
    return info;
}

/* ---- making ---- */

static bool bind(const struct ood_tape_run *run, const struct ood_step *step, size_t slice, struct bound *bound, struct ood_error *err)
{
    for (size_t i = 0; i < step->operand_count; i++)
        bound->memory[i] = address(run, slice, step->operands[i]);
    for (size_t i = 0; step->primitive != NULL && i < step->operand_count; i++) {
        const dnnl_status_t status = ood_dnnl_memory(&bound->arguments[i].memory, step->layouts[i], run->tape->model->engine, bound->memory[i]);
        if (status != dnnl_success)
            return ood_fail(err, OOD_OUT_OF_MEMORY, "oneDNN gives no memory object (status %d)", (int)status);
        bound->arguments[i].arg = step->dnnl_arguments[i];
    }
    return true;
}

static bool is_once(const struct ood_tape *tape, size_t i) { return i < tape->once_capacity && tape->once[i]; }

static bool find_segments(struct ood_tape_run *run, struct ood_error *err)
{
    const struct ood_tape *tape = run->tape;
    const size_t count = tape->plan.step_count;
    run->segments = ood_new_array(struct segment, count + 1, err);
    if (run->segments == NULL)
        return false;
    for (size_t i = 0; i < count; i++) {
        const bool once = is_once(tape, i);
        if (i == tape->forward_steps)
            run->forward_segments = run->segment_count;
        if (i == 0 || i == tape->forward_steps || once != run->segments[run->segment_count - 1].once)
            run->segments[run->segment_count++] = (struct segment){ i, i, once };
        run->segments[run->segment_count - 1].end = i + 1;
    }
    if (tape->forward_steps == count)
        run->forward_segments = run->segment_count;
    return true;
}

static bool bind_all(struct ood_tape_run *run, struct ood_error *err)
{
    const struct ood_tape *tape = run->tape;
    const size_t slices = tape->slices.count;
    run->bound = ood_new_array(struct bound *, slices, err);
    run->prepare = ood_new_array(struct bound, tape->prepare_count + 1, err);
    if (run->bound == NULL || run->prepare == NULL)
        return false;
    for (size_t s = 0; s < slices; s++) {
        run->bound[s] = ood_new_array(struct bound, tape->plan.step_count, err);
        if (run->bound[s] == NULL)
            return false;
        for (size_t i = 0; i < tape->plan.step_count; i++)
            if (!bind(run, &tape->plan.steps[i], s, &run->bound[s][i], err))
                return false;
    }
    for (size_t i = 0; i < tape->prepare_count; i++)
        if (!bind(run, &tape->prepare[i], 0, &run->prepare[i], err))
            return false;
    return true;
}

static bool start_threads(struct ood_tape_run *run, size_t threads, struct ood_error *err)
{
    run->threads = ood_new_array(struct thread, threads, err);
    run->taken = ood_new_array(atomic_size_t, run->segment_count + 1, err);
    if (run->threads == NULL || run->taken == NULL)
        return false;
    run->thread_count = threads;
    for (size_t t = 0; t < threads; t++) {
        run->threads[t].run = run;
        run->threads[t].seconds = ood_new_array(double, run->tape->plan.step_count + 1, err);
        if (run->threads[t].seconds == NULL)
            return false;
        if (dnnl_stream_create(&run->threads[t].stream, run->tape->model->engine, dnnl_stream_default_flags) != dnnl_success)
            return ood_fail(err, OOD_SYSTEM, "oneDNN gives no stream");
    }
    if (pthread_barrier_init(&run->barrier, NULL, (unsigned)threads) != 0)
        return ood_fail(err, OOD_SYSTEM, "no barrier for %zu threads", threads);
    run->barrier_made = true;
    pthread_mutex_lock(&run->gate);
    for (size_t t = 1; t < threads && !run->abandoned; t++) {
        run->threads[t].started = pthread_create(&run->threads[t].id, NULL, thread_main, &run->threads[t]) == 0;
        run->abandoned = !run->threads[t].started;
    }
    const bool done = !run->abandoned;
    pthread_mutex_unlock(&run->gate);
    return done ? true : ood_fail(err, OOD_SYSTEM, "%zu threads could not be started", threads);
}

struct ood_tape_run *ood_tape_run_new(const struct ood_tape *tape, size_t threads, struct ood_error *err)
{
    struct ood_tape_run *run = ood_new(struct ood_tape_run, err);
    size_t bytes;
    if (run == NULL)
        return NULL;
    run->tape = tape;
    pthread_mutex_init(&run->gate, NULL);
    threads = threads < 1 ? 1 : threads > tape->slices.count ? tape->slices.count : threads;
    if (!ood_mul_size(tape->slices.count, tape->slices.stride, &bytes)) {
        ood_fail(err, OOD_LIMIT, "the batch is too large");
        goto fail;
    }
    run->arena = ood_alloc_aligned(bytes, 1, err);
    if (run->arena == NULL || !find_segments(run, err) || !bind_all(run, err) || !start_threads(run, threads, err))
        goto fail;
    return run;
fail:
    ood_tape_run_free(run);
    return NULL;
}

static void free_bound(struct bound *bound, size_t count)
{
    for (size_t i = 0; bound != NULL && i < count; i++)
        for (size_t a = 0; a < OOD_DNNL_ARGUMENTS; a++)
            if (bound[i].arguments[a].memory != NULL)
                dnnl_memory_destroy(bound[i].arguments[a].memory);
    ood_free(bound);
}

static void end_threads(struct ood_tape_run *run)
{
    if (run->barrier_made && !run->abandoned) {
        run->job = JOB_END;
        pthread_barrier_wait(&run->barrier);
    }
    for (size_t t = 1; t < run->thread_count; t++)
        if (run->threads[t].started)
            pthread_join(run->threads[t].id, NULL);
    if (run->barrier_made)
        pthread_barrier_destroy(&run->barrier);
}

void ood_tape_run_free(struct ood_tape_run *run)
{
    if (run == NULL)
        return;
    if (run->threads != NULL)
        end_threads(run);
    for (size_t t = 0; t < run->thread_count; t++) {
        dnnl_stream_destroy(run->threads[t].stream);
        ood_free(run->threads[t].seconds);
    }
    ood_free(run->threads);
    ood_free(run->taken);
    for (size_t s = 0; run->bound != NULL && s < run->tape->slices.count; s++)
        free_bound(run->bound[s], run->tape->plan.step_count);
    ood_free(run->bound);
    free_bound(run->prepare, run->tape->prepare_count);
    ood_free(run->segments);
    ood_free(run->arena);
    pthread_mutex_destroy(&run->gate);
    ood_free(run);
}
