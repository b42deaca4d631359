/* The crew: a ring of jobs, one lock, workers that take the next filled job, a caller that takes them back in order. */
#include "daemon/oodctl/crew.h"

#include <pthread.h>
#include <string.h>

struct ring {
    const struct ctl_crew *crew;
    struct ctl_job *jobs;
    bool *done;                              /* [size]: worked on, waits to be taken */
    size_t size;
    /* under the lock; counts since the start: taken <= started <= filled <= taken + size */
    size_t filled, started, taken;
    bool closing;
    pthread_mutex_t lock;
    pthread_cond_t work_waits, job_done;
};

struct worker { struct ring *ring; void *state; pthread_t thread; bool running; };

static void do_job(const struct ctl_crew *crew, void *state, struct ctl_job *job)
{
    for (size_t i = 0; i < job->count; i++) {
        struct ctl_picture *picture = &job->pictures[i];
        ctl_picture_read(picture);           /* a failure stays with the picture, and has no bytes */
        job->items[i] = (struct ood_item){
            .picture = picture->bytes.data,
            .picture_size = picture->bytes.size,
            .logits_out = crew->classes > 0 ? job->logits + i * crew->classes : NULL,
            .features_out = crew->dimension > 0 ? job->features + i * crew->dimension : NULL,
        };
    }
    job->failed = !crew->work(crew->context, state, job);
    for (size_t i = 0; i < job->count; i++)
        if (job->pictures[i].error.code != OOD_OK)
            job->verdicts[i] = (struct ood_verdict){ .error = job->pictures[i].error };
}

static void *worker_main(void *argument)
{
    struct worker *worker = argument;
    struct ring *ring = worker->ring;
    pthread_mutex_lock(&ring->lock);
    for (;;) {
        while (ring->started == ring->filled && !ring->closing)
            pthread_cond_wait(&ring->work_waits, &ring->lock);
        if (ring->closing)
            break;
        size_t place = ring->started++ % ring->size;
        pthread_mutex_unlock(&ring->lock);
        do_job(ring->crew, worker->state, &ring->jobs[place]);
        pthread_mutex_lock(&ring->lock);
        ring->done[place] = true;
        pthread_cond_signal(&ring->job_done);
    }
    pthread_mutex_unlock(&ring->lock);
    return NULL;
}

static void clear_job(const struct ctl_crew *crew, struct ctl_job *job)
{
    for (size_t i = 0; i < job->count; i++)
        ctl_picture_free(&job->pictures[i]);
    for (size_t i = 0; i < job->count && crew->result_free != NULL; i++) {
        crew->result_free(job->results[i]);
        job->results[i] = NULL;
    }
    job->count = 0;
    job->failed = false;
    job->err = (struct ood_error){ 0 };
}

static bool job_new(const struct ctl_crew *crew, struct ctl_job *job, struct ood_error *err)
{
    job->pictures = ood_new_array(struct ctl_picture, crew->batch, err);
    job->items = ood_new_array(struct ood_item, crew->batch, err);
    job->verdicts = ood_new_array(struct ood_verdict, crew->batch, err);
    job->results = ood_new_array(void *, crew->batch, err);
    job->logits = ood_alloc(crew->batch, crew->classes * sizeof *job->logits, err);
    job->features = ood_alloc(crew->batch, crew->dimension * sizeof *job->features, err);
    job->values = ood_alloc(crew->batch, crew->values * sizeof *job->values, err);
    return job->pictures != NULL && job->items != NULL && job->verdicts != NULL && job->logits != NULL && job->features != NULL &&
           job->values != NULL && job->results != NULL;
}

static void job_free(const struct ctl_crew *crew, struct ctl_job *job)
{
    if (job->pictures != NULL && job->results != NULL)
        clear_job(crew, job);
    ood_free(job->pictures);
    ood_free(job->items);
    ood_free(job->verdicts);
    ood_free(job->results);
    ood_free(job->logits);
    ood_free(job->features);
    ood_free(job->values);
}

/* The caller's side: fill what is free, take what is done, oldest first. */
static bool drive(struct ring *ring, struct ood_error *err)
{
    const struct ctl_crew *crew = ring->crew;
    for (bool end = false;;) {
        while (!end && ring->filled - ring->taken < ring->size) {
            struct ctl_job *job = &ring->jobs[ring->filled % ring->size];
            if (!crew->fill(crew->context, job, err))
                return false;
            end = job->count < crew->batch;
            if (job->count == 0)
                break;
            pthread_mutex_lock(&ring->lock);
            ring->filled++;
            pthread_cond_signal(&ring->work_waits);
            pthread_mutex_unlock(&ring->lock);
        }
        if (ring->taken == ring->filled)
            return true;
        size_t place = ring->taken % ring->size;
        pthread_mutex_lock(&ring->lock);
        while (!ring->done[place])
            pthread_cond_wait(&ring->job_done, &ring->lock);
        ring->done[place] = false;
        pthread_mutex_unlock(&ring->lock);
        struct ctl_job *job = &ring->jobs[place];
        if (job->failed) {
            *err = job->err;
            return false;
        }
        if (!crew->take(crew->context, job, err))
            return false;
        clear_job(crew, job);
        ring->taken++;
    }
}

bool ctl_crew_run(const struct ctl_crew *crew, struct ood_error *err)
{
    bool done = false;
    struct ring ring = { .crew = crew, .size = 2 * crew->threads + 2 };
    struct worker *workers = ood_new_array(struct worker, crew->threads, err);
    pthread_mutex_init(&ring.lock, NULL);
    pthread_cond_init(&ring.work_waits, NULL);
    pthread_cond_init(&ring.job_done, NULL);
    ring.jobs = ood_new_array(struct ctl_job, ring.size, err);
    ring.done = ood_new_array(bool, ring.size, err);
    if (workers == NULL || ring.jobs == NULL || ring.done == NULL)
        goto out;
    for (size_t i = 0; i < ring.size; i++)
        if (!job_new(crew, &ring.jobs[i], err))
            goto out;
    for (size_t i = 0; i < crew->threads; i++) {
        workers[i].ring = &ring;
        workers[i].state = crew->state_new(crew->context, err);
        if (workers[i].state == NULL)
            goto out;
    }
    for (size_t i = 0; i < crew->threads; i++) {
        int why = pthread_create(&workers[i].thread, NULL, worker_main, &workers[i]);
        if (why != 0) {
            ood_fail_errno(err, why, "thread %zu of %zu", i + 1, crew->threads);
            goto out;
        }
        workers[i].running = true;
    }
    done = drive(&ring, err);
out:
    pthread_mutex_lock(&ring.lock);
    ring.closing = true;
    pthread_cond_broadcast(&ring.work_waits);
    pthread_mutex_unlock(&ring.lock);
    for (size_t i = 0; workers != NULL && i < crew->threads; i++) {
        if (workers[i].running)
            pthread_join(workers[i].thread, NULL);
        if (workers[i].state != NULL)
            crew->state_free(workers[i].state);
    }
    for (size_t i = 0; ring.jobs != NULL && i < ring.size; i++)
        job_free(crew, &ring.jobs[i]);
    ood_free(ring.jobs);
    ood_free(ring.done);
    ood_free(workers);
    pthread_cond_destroy(&ring.job_done);
    pthread_cond_destroy(&ring.work_waits);
    pthread_mutex_destroy(&ring.lock);
    return done;
}
