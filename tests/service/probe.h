/* What the tests of the queue share: requests that stand for clients, a thread that stands for libmicrohttpd, sessions of the fake
 * scorer. */
#ifndef OOD_TESTS_SERVICE_PROBE_H
#define OOD_TESTS_SERVICE_PROBE_H

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "base/clock.h"
#include "base/random.h"
#include "check.h"
#include "queue.h"
#include "workers.h"

#define WORKERS 2
#define ITEMS_MOST 12

struct probe {
    struct oodd_request request;
    struct ood_item items[ITEMS_MOST];
    struct ood_verdict verdicts[ITEMS_MOST];
    struct ood_detection detections[ITEMS_MOST];
    double corners[ITEMS_MOST][4];
    atomic_int resumed;
    atomic_bool *destroyed;
    char text[32];
};

/* Where those resumed wait for their HTTP thread. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static struct ood_scorer *scorer;
static struct ood_session *sessions[WORKERS];
static char generations[2];                  /* their addresses stand for two generations */

static inline struct oodd_generation *generation(size_t i) { return (struct oodd_generation *)(void *)&generations[i]; }

static inline struct oodd_bench bench(const struct oodd_generation *of, size_t model, size_t worker)
{
    (void)of, (void)model;
    return (struct oodd_bench){ scorer, sessions[worker] };
}

static inline void resume(struct oodd_request *request)
{
    struct probe *probe = (struct probe *)request;
    pthread_mutex_lock(&lock);
    assert_int_equal(atomic_fetch_add(&probe->resumed, 1), 0);
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static inline void destroy(struct oodd_request *request)
{
    struct probe *probe = (struct probe *)request;
    if (probe->destroyed != NULL)
        atomic_store(probe->destroyed, true);
    for (size_t i = 0; probe->request.work.kind == API_WORK_BOXES && i < probe->request.work.count; i++)
        ood_free((void *)(uintptr_t)probe->items[i].crop);
    free(probe);
}

static inline struct probe *probe_new(size_t items, const char *text, double seconds)
{
    struct probe *probe = calloc(1, sizeof *probe);
    assert_non_null(probe);
    snprintf(probe->text, sizeof probe->text, "%s", text);
    for (size_t i = 0; i < items; i++)
        probe->items[i] = (struct ood_item){ .picture = probe->text, .picture_size = strlen(text) };
    probe->request = (struct oodd_request){ .generation = generation(0), .batch = 8, .deadline = ood_clock() + seconds,
                                            .resume = resume, .destroy = destroy,
                                            .work = { .count = items, .items = probe->items, .verdicts = probe->verdicts } };
    return probe;
}

/* A picture with boxes, to be cut: box i begins at x = i. Cutting does what the text says. */
static inline struct probe *probe_boxes(size_t boxes, const char *text, double seconds)
{
    struct probe *probe = probe_new(boxes, text, seconds);
    struct api_work *work = &probe->request.work;
    probe->request.way = OODD_CUT_FIRST;
    work->kind = API_WORK_BOXES;
    work->scene = (struct api_scene){ .picture = probe->text, .picture_size = strlen(text), .detections = probe->detections,
                                      .boxes = { .corners = (const double (*)[4])probe->corners, .count = boxes } };
    for (size_t i = 0; i < boxes; i++) {
        probe->items[i] = (struct ood_item){ 0 };
        memcpy(probe->corners[i], (const double[4]){ (double)i, 0, 20, 20 }, sizeof probe->corners[i]);
    }
    return probe;
}

static inline void await(struct probe *probe)
{
    pthread_mutex_lock(&lock);
    while (atomic_load(&probe->resumed) == 0)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
}

static inline void pause_for(double seconds)
{
    struct timespec pause = { (time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9) };
    nanosleep(&pause, NULL);
}

static inline struct oodd_queue *queue_new(size_t limit)
{
    struct ood_error err = { 0 };
    struct oodd_queue *queue = oodd_queue_new(limit, WORKERS, &err);
    assert_non_null(queue);
    return queue;
}

static inline void push(struct oodd_queue *queue, struct probe *probe)
{
    assert_int_equal(oodd_queue_reserve(queue, probe->request.work.count), OODD_ADMITTED);
    oodd_queue_push(queue, &probe->request);
}

static inline struct oodd_workers *start(struct oodd_queue *queue)
{
    struct ood_error err = { 0 };
    struct oodd_workers *workers = oodd_workers_start(queue, WORKERS, bench, &err);
    if (workers == NULL)
        fail_msg("%s", err.message);
    return workers;
}

static inline void stop(struct oodd_queue *queue, struct oodd_workers *workers)
{
    oodd_queue_close(queue);
    oodd_workers_join(workers);
    oodd_queue_free(queue);
}

static inline int open_scorer(void **state)
{
    (void)state;
    struct ood_error err = { 0 };
    scorer = ood_scorer_open("fake", NULL, &err);
    for (size_t i = 0; i < WORKERS; i++)
        sessions[i] = ood_scorer_session(scorer, &err);
    return scorer == NULL;
}

static inline int close_scorer(void **state)
{
    (void)state;
    for (size_t i = 0; i < WORKERS; i++)
        ood_session_free(sessions[i]);
    ood_scorer_free(scorer);
    return 0;
}

#endif
