/* A worker's life: take what waits, score it, bring it back. Nothing is allocated on the way but what boxes become. */
#include "workers.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "metrics.h"

#define STACK_BYTES (1024 * 1024)            /* libjpeg-turbo and oneDNN are content with a quarter */

struct worker {
    struct oodd_workers *all;
    size_t index;
    pthread_t thread;
    bool started;
    _Atomic uint64_t heartbeat;              /* the last beat it answered */
    _Atomic uint64_t batches;                /* it has brought back */
    uint64_t seen_batches;                   /* at the last oodd_workers_alive */
    struct oodd_batch batch;
    struct ood_item items[OODD_BATCH_MOST];
    struct ood_verdict verdicts[OODD_BATCH_MOST];
};

struct oodd_workers {
    struct oodd_queue *queue;
    oodd_bench_for *bench;
    size_t count;
    uint64_t beat;                           /* asked for by the last oodd_workers_alive */
    struct worker *workers;
};

/* ---- a picture's boxes ---- */

/* Memory for a crop of each box, then the boxes of the picture; on failure what there is goes with the work. */
static bool cut_boxes(const struct oodd_bench *bench, struct api_work *work, struct ood_timing *timing, struct ood_error *err)
{
    struct api_scene *scene = &work->scene;
    size_t bytes = ood_scorer_crop_bytes(bench->scorer);
    unsigned char **crops = ood_new_array(unsigned char *, work->count, err);
    bool good = crops != NULL;
    for (size_t i = 0; good && i < work->count; i++) {
        work->items[i].crop = crops[i] = ood_alloc(bytes, 1, err);
        good = crops[i] != NULL;
    }
    good = good && ood_cut(bench->scorer, bench->session, scene->picture, scene->picture_size, &scene->boxes, scene->detections, crops,
                           &scene->result, timing, err);
    ood_free(crops);
    return good;
}

static void cut(struct worker *worker)
{
    struct oodd_batch *batch = &worker->batch;
    struct api_work *work = &batch->entries[0].request->work;
    struct ood_error err = { 0 };
    struct ood_timing timing = { 0 };
    struct oodd_bench bench = worker->all->bench(batch->generation, batch->model, worker->index);
    bool good = cut_boxes(&bench, work, &timing, &err);
    oodd_metrics_cut(&timing);
    oodd_queue_cut(worker->all->queue, batch, &timing, good && work->scene.result.error.code != OOD_OK, good ? NULL : &err);
}

/* The objects a detector finds: room for the most there can be, then no more than there are. */
static bool find(const struct oodd_bench *bench, struct api_scene *scene, struct ood_timing *timing, struct ood_error *err)
{
    size_t most = ood_scorer_detections_most(bench->scorer);
    struct ood_detection *found = ood_new_array(struct ood_detection, most, err);
    bool good = found != NULL && ood_detect(bench->scorer, bench->session, scene->picture, scene->picture_size, found, most,
                                            &scene->result, timing, err);
    if (good && scene->result.error.code == OOD_OK) {
        scene->detections = ood_new_array(struct ood_detection, scene->result.count, err);
        good = scene->detections != NULL;
        if (good && scene->result.count > 0)
            memcpy(scene->detections, found, scene->result.count * sizeof *found);
    }
    ood_free(found);
    return good;
}

static bool score_scene(const struct oodd_bench *bench, struct api_scene *scene, struct ood_timing *timing, struct ood_error *err)
{
    return scene->find ? find(bench, scene, timing, err)
                       : ood_score_boxes(bench->scorer, bench->session, scene->picture, scene->picture_size, &scene->boxes,
                                         scene->detections, &scene->result, timing, err);
}

/* ---- items ---- */

static bool score_items(struct worker *worker, const struct oodd_bench *bench, struct ood_timing *timing, struct ood_error *err)
{
    const struct oodd_batch *batch = &worker->batch;
    for (size_t i = 0; i < batch->count; i++)
        worker->items[i] = batch->entries[i].request->work.items[batch->entries[i].item];
    bool scored = ood_score(bench->scorer, bench->session, worker->items, batch->count, worker->verdicts, timing, err);
    for (size_t i = 0; i < batch->count; i++) {
        struct api_work *work = &batch->entries[i].request->work;
        size_t item = batch->entries[i].item;
        if (scored)
            *(work->kind == API_WORK_BOXES ? &work->scene.detections[item].verdict : &work->verdicts[item]) = worker->verdicts[i];
        if (work->kind == API_WORK_BOXES) {              /* so that no more crops are held than items wait */
            ood_free((void *)(uintptr_t)work->items[item].crop);
            work->items[item].crop = NULL;
        }
    }
    return scored;
}

static void score(struct worker *worker)
{
    struct oodd_batch *batch = &worker->batch;
    struct ood_error err = { 0 };
    struct ood_timing timing = { 0 };
    double start = ood_clock();
    struct oodd_bench bench = worker->all->bench(batch->generation, batch->model, worker->index);
    struct api_work *first = &batch->entries[0].request->work;
    bool scored = first->kind == API_WORK_SCENE ? score_scene(&bench, &first->scene, &timing, &err)
                                                : score_items(worker, &bench, &timing, &err);
    oodd_metrics_batch(batch->count, &timing);
    oodd_queue_finish(worker->all->queue, batch, &timing, ood_clock() - start, scored ? NULL : &err);
}

static void *work(void *context)
{
    struct worker *worker = context;
    char name[16];
    snprintf(name, sizeof name, "worker-%u", (unsigned)worker->index);
    pthread_setname_np(pthread_self(), name);
    while (oodd_queue_pop(worker->all->queue, &worker->batch, &worker->heartbeat)) {
        if (worker->batch.to_cut)
            cut(worker);
        else
            score(worker);
        atomic_fetch_add_explicit(&worker->batches, 1, memory_order_relaxed);
    }
    return NULL;
}

struct oodd_workers *oodd_workers_start(struct oodd_queue *queue, size_t count, oodd_bench_for *bench, struct ood_error *err)
{
    struct oodd_workers *workers = ood_new(struct oodd_workers, err);
    if (workers == NULL)
        return NULL;
    workers->queue = queue;
    workers->bench = bench;
    workers->count = count;
    workers->workers = ood_new_array(struct worker, count, err);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    bool good = workers->workers != NULL;
    for (size_t i = 0; good && i < count; i++) {
        struct worker *worker = &workers->workers[i];
        worker->all = workers;
        worker->index = i;
        int reason = pthread_create(&worker->thread, &attributes, work, worker);
        if (reason != 0)
            good = ood_fail_errno(err, reason, "cannot start worker %zu of %zu", i + 1, count);
        else
            worker->started = true;
    }
    pthread_attr_destroy(&attributes);
    if (good)
        return workers;
    oodd_queue_close(queue);
    oodd_workers_join(workers);
    return NULL;
}

bool oodd_workers_alive(struct oodd_workers *workers)
{
    bool alive = true;
    for (size_t i = 0; i < workers->count; i++) {
        struct worker *worker = &workers->workers[i];
        uint64_t batches = atomic_load_explicit(&worker->batches, memory_order_relaxed);
        bool answered = atomic_load_explicit(&worker->heartbeat, memory_order_relaxed) >= workers->beat;
        alive = alive && (answered || batches != worker->seen_batches);
        worker->seen_batches = batches;
    }
    workers->beat = oodd_queue_beat(workers->queue);
    return alive;
}

void oodd_workers_join(struct oodd_workers *workers)
{
    if (workers == NULL)
        return;
    for (size_t i = 0; workers->workers != NULL && i < workers->count; i++)
        if (workers->workers[i].started)
            pthread_join(workers->workers[i].thread, NULL);
    ood_free(workers->workers);
    ood_free(workers);
}
