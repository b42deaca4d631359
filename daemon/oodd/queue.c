/* The queue: one owner of a request at a time.
 *
 *   COLLECTING --reserve, suspend, push--> QUEUED --pop--> SCORING --finish, last item--> ANSWERED --complete--> destroyed
 *       |                                   | ^ |             |                              ^ ^
 *       |                               pop v | | cut         |                              | |
 *       |                                 CUTTING ------------|--cut in vain, drop-----------+ |
 *       +--refuse-------------------------------+--drop, abandon-+-----------------------------+
 *
 *   COLLECTING  HTTP thread       the body arrives; nothing of the request is known here
 *   QUEUED      the queue         connection suspended; in the line; nothing taken: next == 0, items_left == items > 0
 *   CUTTING     one worker        connection suspended; not in the line; it makes the items, of which none can be taken yet:
 *                                 next == 0, in_hands == 1, items_left == items. Only on the way OODD_CUT_FIRST, once
 *   SCORING     queue and workers connection suspended; in the line while next < items; in_hands + items - next == items_left
 *   ANSWERED    HTTP thread       not in the line; outcome says why. SCORED: items_left == in_hands == 0, each item has a
 *                                 verdict. Given up: workers may still bring items back (in_hands > 0), which are dropped
 *
 * 1. Reserve, suspend, push, in this order: a worker may finish before the push returns, and resuming a connection that was
 *    not suspended is undefined in libmicrohttpd. Reserving first makes that refusal need no way back.
 * 2. The one who makes a request ANSWERED resumes it, after leaving the lock; while it is `held`, release does.
 * 3. A request is destroyed when the HTTP thread has completed it and no worker has an item of it: its body, which items point
 *    into, lives until then.
 * 4. `waiting` counts items reserved, in the line or being cut, never more than `limit` at admission.
 * 5. Turns: the first of the line gives a batch; with items left it goes to the end, so that who has many holds up nobody who has
 *    few. What was cut goes to the front: it had its turn when it was taken. */
#include "queue.h"

#include <assert.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "base/clock.h"

struct oodd_queue {
    pthread_mutex_t lock;
    pthread_cond_t filled;                   /* workers wait: items came, a beat, closing */
    pthread_cond_t emptied;                  /* oodd_queue_wait_…: active or suspended became 0 */
    struct oodd_request *first, *last;       /* the line */
    size_t limit, waiting, suspended, active, busy, workers;
    uint64_t beat;
    bool closed, abandoned;
    double seconds_per_item;                 /* of one worker, smoothed; 0: nothing was measured yet */
};

static void request_check(const struct oodd_queue *queue, const struct oodd_request *request)
{
    const size_t items = request->work.count;
    const bool in_line = request->earlier != NULL || request->later != NULL || queue->first == request;
    const bool cutting = request->state == OODD_CUTTING;
    assert(request->next <= items && request->in_hands <= request->next + cutting && request->items_left <= items);
    switch (request->state) {
    case OODD_COLLECTING:
        assert(!in_line && request->next == 0 && request->outcome == OODD_PENDING);
        break;
    case OODD_QUEUED:
        assert(in_line && request->next == 0 && request->items_left == items && items > 0);
        assert(request->outcome == OODD_PENDING && !request->completed);
        break;
    case OODD_CUTTING:
        assert(!in_line && request->next == 0 && request->in_hands == 1 && request->items_left == items && items > 0);
        assert(request->way == OODD_CUT_FIRST && !request->cut && request->outcome == OODD_PENDING && !request->completed);
        break;
    case OODD_SCORING:
        assert(request->way != OODD_CUT_FIRST || request->cut);
        assert(in_line == (request->next < items) && request->items_left > 0);
        assert(request->in_hands + (items - request->next) == request->items_left);
        assert(request->outcome == OODD_PENDING && !request->completed);
        break;
    case OODD_ANSWERED:
        assert(!in_line && request->outcome != OODD_PENDING);
        assert(request->outcome != OODD_SCORED || (request->items_left == 0 && request->in_hands == 0));
        break;
    }
    (void)items, (void)in_line, (void)cutting;
}

/* ---- the line ---- */

static void line_append(struct oodd_queue *queue, struct oodd_request *request)
{
    request->earlier = queue->last;
    request->later = NULL;
    if (queue->last != NULL)
        queue->last->later = request;
    else
        queue->first = request;
    queue->last = request;
}

static void line_prepend(struct oodd_queue *queue, struct oodd_request *request)
{
    request->earlier = NULL;
    request->later = queue->first;
    if (queue->first != NULL)
        queue->first->earlier = request;
    else
        queue->last = request;
    queue->first = request;
}

static void line_remove(struct oodd_queue *queue, struct oodd_request *request)
{
    if (request->earlier != NULL)
        request->earlier->later = request->later;
    else
        queue->first = request->later;
    if (request->later != NULL)
        request->later->earlier = request->earlier;
    else
        queue->last = request->earlier;
    request->earlier = request->later = NULL;
}

/* ---- making and closing ---- */

struct oodd_queue *oodd_queue_new(size_t limit, size_t workers, struct ood_error *err)
{
    struct oodd_queue *queue = ood_new(struct oodd_queue, err);
    if (queue == NULL)
        return NULL;
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&queue->lock, NULL);
    pthread_cond_init(&queue->filled, NULL);
    pthread_cond_init(&queue->emptied, &monotonic);
    pthread_condattr_destroy(&monotonic);
    queue->limit = limit;
    queue->workers = workers > 0 ? workers : 1;
    return queue;
}

void oodd_queue_free(struct oodd_queue *queue)
{
    if (queue == NULL)
        return;
    assert(queue->first == NULL && queue->active == 0);
    pthread_mutex_destroy(&queue->lock);
    pthread_cond_destroy(&queue->filled);
    pthread_cond_destroy(&queue->emptied);
    ood_free(queue);
}

void oodd_queue_limit(struct oodd_queue *queue, size_t limit)
{
    pthread_mutex_lock(&queue->lock);
    queue->limit = limit;
    pthread_mutex_unlock(&queue->lock);
}

void oodd_queue_close(struct oodd_queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    queue->closed = true;
    pthread_cond_broadcast(&queue->filled);
    pthread_mutex_unlock(&queue->lock);
}

struct oodd_queue_state oodd_queue_look(struct oodd_queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    struct oodd_queue_state state = { queue->waiting, queue->limit, queue->suspended, queue->active, queue->busy };
    pthread_mutex_unlock(&queue->lock);
    return state;
}

uint64_t oodd_queue_beat(struct oodd_queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    uint64_t beat = ++queue->beat;
    pthread_cond_broadcast(&queue->filled);
    pthread_mutex_unlock(&queue->lock);
    return beat;
}

static bool wait_for_none(struct oodd_queue *queue, const size_t *count, double deadline)
{
    struct timespec until = { (time_t)floor(deadline), (long)((deadline - floor(deadline)) * 1e9) };
    pthread_mutex_lock(&queue->lock);
    while (*count > 0 && pthread_cond_timedwait(&queue->emptied, &queue->lock, &until) == 0)
        ;
    bool none = *count == 0;
    pthread_mutex_unlock(&queue->lock);
    return none;
}

bool oodd_queue_wait_active(struct oodd_queue *queue, double deadline) { return wait_for_none(queue, &queue->active, deadline); }
bool oodd_queue_wait_suspended(struct oodd_queue *queue, double deadline) { return wait_for_none(queue, &queue->suspended, deadline); }

/* ---- admission ---- */

enum oodd_admission oodd_queue_reserve(struct oodd_queue *queue, size_t items)
{
    enum oodd_admission admission = OODD_ADMITTED;
    pthread_mutex_lock(&queue->lock);
    if (queue->closed)
        admission = OODD_CLOSED;
    else if (queue->waiting > queue->limit || items > queue->limit - queue->waiting)
        admission = OODD_FULL;
    else
        queue->waiting += items;
    pthread_mutex_unlock(&queue->lock);
    return admission;
}

void oodd_queue_push(struct oodd_queue *queue, struct oodd_request *request)
{
    pthread_mutex_lock(&queue->lock);
    request_check(queue, request);
    assert(request->state == OODD_COLLECTING);
    request->state = OODD_QUEUED;
    request->items_left = request->work.count;
    request->admitted = ood_clock();
    line_append(queue, request);
    queue->active++;
    queue->suspended++;
    request_check(queue, request);
    pthread_cond_signal(&queue->filled);
    pthread_mutex_unlock(&queue->lock);
}

void oodd_queue_refuse(struct oodd_queue *queue, struct oodd_request *request)
{
    pthread_mutex_lock(&queue->lock);
    request_check(queue, request);
    assert(request->state == OODD_COLLECTING);
    request->state = OODD_ANSWERED;
    request->outcome = OODD_REFUSED;
    request_check(queue, request);
    pthread_mutex_unlock(&queue->lock);
}

void oodd_queue_complete(struct oodd_queue *queue, struct oodd_request *request)
{
    pthread_mutex_lock(&queue->lock);
    request_check(queue, request);
    assert(request->state == OODD_COLLECTING || request->state == OODD_ANSWERED);
    request->completed = true;
    if (request->state == OODD_ANSWERED && request->outcome != OODD_REFUSED && --queue->active == 0)
        pthread_cond_broadcast(&queue->emptied);
    bool last = request->in_hands == 0;
    pthread_mutex_unlock(&queue->lock);
    if (last)
        request->destroy(request);
}

unsigned oodd_queue_retry_after(struct oodd_queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    double seconds = (double)queue->waiting * queue->seconds_per_item / (double)queue->workers;
    pthread_mutex_unlock(&queue->lock);
    return seconds <= 1 ? 1 : seconds >= 3600 ? 3600 : (unsigned)ceil(seconds);
}

/* ---- giving up ---- */

/* Under the lock: a QUEUED, CUTTING or SCORING request becomes ANSWERED. True: to be resumed once the lock is left. */
static bool answer(struct oodd_queue *queue, struct oodd_request *request, enum oodd_outcome outcome)
{
    if (request->next < request->work.count) {
        if (request->state != OODD_CUTTING)
            line_remove(queue, request);
        queue->waiting -= request->work.count - request->next;
        request->next = request->work.count;
    }
    request->state = OODD_ANSWERED;
    request->outcome = outcome;
    request_check(queue, request);
    if (--queue->suspended == 0)
        pthread_cond_broadcast(&queue->emptied);
    if (!request->held)
        return true;
    request->resume_due = true;
    return false;
}

static bool waits(const struct oodd_request *request)
{
    return request->state == OODD_QUEUED || request->state == OODD_CUTTING || request->state == OODD_SCORING;
}

bool oodd_queue_drop(struct oodd_queue *queue, struct oodd_request *request, enum oodd_outcome outcome)
{
    pthread_mutex_lock(&queue->lock);
    request_check(queue, request);
    bool resume = waits(request) && answer(queue, request, outcome);
    pthread_mutex_unlock(&queue->lock);
    return resume;
}

bool oodd_queue_hold(struct oodd_queue *queue, struct oodd_request *request)
{
    pthread_mutex_lock(&queue->lock);
    bool waiting = waits(request) && !request->held;
    if (waiting)
        request->held = true;
    pthread_mutex_unlock(&queue->lock);
    return waiting;
}

bool oodd_queue_release(struct oodd_queue *queue, struct oodd_request *request)
{
    pthread_mutex_lock(&queue->lock);
    assert(request->held);
    bool resume = request->resume_due;
    request->held = request->resume_due = false;
    pthread_mutex_unlock(&queue->lock);
    return resume;
}

void oodd_queue_abandon(struct oodd_queue *queue)
{
    for (;;) {
        pthread_mutex_lock(&queue->lock);
        struct oodd_request *request = queue->first;
        queue->abandoned = true;
        bool resume = request != NULL && answer(queue, request, OODD_STOPPED);
        pthread_mutex_unlock(&queue->lock);
        if (request == NULL)
            return;
        if (resume)
            request->resume(request);
    }
}

/* ---- workers ---- */

/* Under the lock: gives up those in the line past their deadline; returns them for resuming. */
static struct oodd_request *expire(struct oodd_queue *queue, double now)
{
    struct oodd_request *expired = NULL, *later;
    for (struct oodd_request *request = queue->first; request != NULL; request = later) {
        later = request->later;
        request_check(queue, request);
        if (request->deadline <= now && answer(queue, request, OODD_EXPIRED)) {
            request->next_resume = expired;
            expired = request;
        }
    }
    return expired;
}

static bool in_one_piece(const struct oodd_request *request)
{
    return request->way == OODD_ALONE || (request->way == OODD_CUT_FIRST && !request->cut);
}

/* Under the lock: the first of the line to be cut. */
static void take_to_cut(struct oodd_queue *queue, struct oodd_request *request, double now, struct oodd_batch *batch)
{
    line_remove(queue, request);
    request->state = OODD_CUTTING;
    request->taken = now;
    request->in_hands = 1;
    batch->entries[batch->count++] = (struct oodd_entry){ request, 0 };
    request_check(queue, request);
}

/* Under the lock: as many of its items as the batch has room for. */
static void take_items(struct oodd_queue *queue, struct oodd_request *request, double now, size_t most, struct oodd_batch *batch)
{
    request_check(queue, request);
    if (request->state == OODD_QUEUED && !request->cut)
        request->taken = now;
    request->state = OODD_SCORING;
    while (request->next < request->work.count && batch->count < most) {
        batch->entries[batch->count++] = (struct oodd_entry){ request, request->next++ };
        request->in_hands++;
        queue->waiting--;
    }
    line_remove(queue, request);
    if (request->next < request->work.count)
        line_append(queue, request);
    request_check(queue, request);
}

/* Under the lock, the line not empty: what the first request has, filled up from those behind it of the same model. */
static void take(struct oodd_queue *queue, double now, struct oodd_batch *batch)
{
    struct oodd_request *first = queue->first, *later;
    size_t most = first->batch < OODD_BATCH_MOST ? first->batch : OODD_BATCH_MOST;
    batch->generation = first->generation;
    batch->model = first->model;
    batch->count = 0;
    batch->to_cut = first->way == OODD_CUT_FIRST && !first->cut;
    if (batch->to_cut) {
        take_to_cut(queue, first, now, batch);
        return;
    }
    if (in_one_piece(first)) {
        take_items(queue, first, now, 1, batch);
        return;
    }
    for (struct oodd_request *request = first; request != NULL && batch->count < most; request = later) {
        later = request->later;
        if (request->generation == batch->generation && request->model == batch->model && !in_one_piece(request))
            take_items(queue, request, now, most, batch);
    }
}

bool oodd_queue_pop(struct oodd_queue *queue, struct oodd_batch *batch, _Atomic uint64_t *heartbeat)
{
    struct oodd_request *expired = NULL;
    bool taken = false, over = false;
    while (!taken && !over) {
        pthread_mutex_lock(&queue->lock);
        atomic_store_explicit(heartbeat, queue->beat, memory_order_relaxed);
        while (queue->first == NULL && !queue->closed) {
            pthread_cond_wait(&queue->filled, &queue->lock);
            atomic_store_explicit(heartbeat, queue->beat, memory_order_relaxed);
        }
        double now = ood_clock();
        expired = expire(queue, now);
        if (queue->first != NULL) {
            take(queue, now, batch);
            queue->busy++;
            taken = true;
        }
        over = queue->closed && !taken;
        if (queue->first != NULL)
            pthread_cond_signal(&queue->filled);         /* more waits: another worker's turn */
        pthread_mutex_unlock(&queue->lock);
        for (struct oodd_request *next; expired != NULL; expired = next) {
            next = expired->next_resume;
            expired->resume(expired);
        }
    }
    return taken;
}

/* Under the lock: one item comes back. True: its request is to be resumed. */
static bool bring_back(struct oodd_queue *queue, struct oodd_request *request, const struct ood_error *error)
{
    request_check(queue, request);
    request->in_hands--;
    request->items_left--;
    if (request->state != OODD_SCORING)
        return false;
    if (error != NULL) {
        request->error = *error;
        return answer(queue, request, OODD_FAILED);
    }
    return request->items_left == 0 && answer(queue, request, OODD_SCORED);
}

void oodd_queue_cut(struct oodd_queue *queue, const struct oodd_batch *batch, const struct ood_timing *timing, bool in_vain,
                    const struct ood_error *error)
{
    struct oodd_request *request = batch->entries[0].request;
    bool resume = false;
    pthread_mutex_lock(&queue->lock);
    request_check(queue, request);
    assert(batch->to_cut && batch->count == 1);
    request->timing.decode += timing->decode;
    request->in_hands = 0;
    queue->busy--;
    if (request->state == OODD_CUTTING && error != NULL) {
        request->error = *error;
        resume = answer(queue, request, OODD_FAILED);
    } else if (request->state == OODD_CUTTING && in_vain) {
        request->items_left = 0;
        resume = answer(queue, request, OODD_SCORED);
    } else if (request->state == OODD_CUTTING && queue->abandoned) {
        resume = answer(queue, request, OODD_STOPPED);
    } else if (request->state == OODD_CUTTING) {
        request->cut = true;
        request->state = OODD_QUEUED;
        line_prepend(queue, request);
        request_check(queue, request);
        pthread_cond_signal(&queue->filled);
    }
    bool destroy = request->completed;
    pthread_mutex_unlock(&queue->lock);
    if (resume)
        request->resume(request);
    else if (destroy)
        request->destroy(request);
}

void oodd_queue_finish(struct oodd_queue *queue, const struct oodd_batch *batch, const struct ood_timing *timing,
                       double seconds, const struct ood_error *error)
{
    struct oodd_request *resume = NULL, *destroy = NULL, *previous = NULL, *next;
    pthread_mutex_lock(&queue->lock);
    for (size_t i = 0; i < batch->count; i++) {
        struct oodd_request *request = batch->entries[i].request;
        if (request != previous) {                       /* a request's entries stand side by side */
            request->timing.decode += timing->decode;
            request->timing.infer += timing->infer;
            request->timing.score += timing->score;
            previous = request;
        }
        if (bring_back(queue, request, error)) {
            request->next_resume = resume;
            resume = request;
        }
        if (request->completed && request->in_hands == 0) {
            request->next_destroy = destroy;
            destroy = request;
        }
    }
    double per_item = seconds / (double)batch->count;
    queue->seconds_per_item = queue->seconds_per_item > 0 ? 0.9 * queue->seconds_per_item + 0.1 * per_item : per_item;
    queue->busy--;
    pthread_mutex_unlock(&queue->lock);
    for (; resume != NULL; resume = next) {
        next = resume->next_resume;
        resume->resume(resume);
    }
    for (; destroy != NULL; destroy = next) {
        next = destroy->next_destroy;
        destroy->destroy(destroy);
    }
}
