/* The way of a request between its last byte and its answer: admission, waiting, being scored, being given up. One lock,
 * held for a few assignments; whoever ends a request's waiting resumes its connection, exactly once, outside the lock.
 * Knows neither HTTP nor scorers. The machine is drawn at the head of queue.c. */
#ifndef OODD_QUEUE_H
#define OODD_QUEUE_H

#include "api/api.h"
#include "base/memory.h"

struct oodd_generation;

enum oodd_request_state { OODD_COLLECTING, OODD_QUEUED, OODD_CUTTING, OODD_SCORING, OODD_ANSWERED };

/* How workers take a request. */
enum oodd_way {
    OODD_BY_ITEMS,                           /* each item by itself, beside those of others */
    OODD_ALONE,                              /* one item, in a batch of its own */
    OODD_CUT_FIRST,                          /* whole, by one worker, which makes the items (oodd_queue_cut); then by items */
};

/* Why a request is ANSWERED. */
enum oodd_outcome {
    OODD_PENDING,
    OODD_SCORED,                             /* each item has a verdict */
    OODD_REFUSED,                            /* never admitted: the HTTP thread knows its answer */
    OODD_EXPIRED,                            /* past its deadline: 408 */
    OODD_GONE,                               /* the client hung up: nobody to answer */
    OODD_STOPPED,                            /* the daemon stops: 503 */
    OODD_FAILED,                             /* ood_score failed as a whole, see error: 500 */
};

struct oodd_request {
    /* Set before admission, by the HTTP thread. */
    struct oodd_generation *generation;      /* a reference */
    size_t model;                            /* in generation */
    struct api_work work;                    /* work.count items */
    enum oodd_way way;
    size_t batch;                            /* the most items a worker may take with it */
    double deadline;                         /* [s] of ood_clock */
    void (*resume)(struct oodd_request *);   /* wakes the HTTP thread for it */
    void (*destroy)(struct oodd_request *);  /* frees it and all it holds */

    /* The queue's, under its lock; the HTTP thread may read them once it was resumed. */
    enum oodd_request_state state;
    enum oodd_outcome outcome;
    size_t next;                             /* the first item no worker has taken */
    size_t in_hands;                         /* items workers have and have not brought back */
    size_t items_left;                       /* items without a verdict */
    bool cut;                                /* OODD_CUT_FIRST: done */
    bool held;                               /* not to be resumed just now */
    bool resume_due;                         /* it should have been, while held */
    bool completed;                          /* the HTTP thread is done with it */
    double admitted, taken;                  /* [s] of ood_clock: pushed; first taken */
    struct ood_timing timing;                /* of the batches its items were in, added up */
    struct ood_error error;                  /* OODD_FAILED */
    struct oodd_request *earlier, *later;    /* the line of those with items to take */
    struct oodd_request *next_resume, *next_destroy;     /* a caller's list of what to do once it left the lock */
};

struct oodd_queue;

/* limit: items that may wait. workers: how many will pop, for oodd_queue_retry_after. */
struct oodd_queue *oodd_queue_new(size_t limit, size_t workers, struct ood_error *err) OOD_MUST_CHECK;
void oodd_queue_free(struct oodd_queue *queue);
void oodd_queue_limit(struct oodd_queue *queue, size_t limit);

/* ---- HTTP thread: reserve, then suspend the connection, then push, in this order ---- */

enum oodd_admission { OODD_ADMITTED, OODD_FULL, OODD_CLOSED };
enum oodd_admission oodd_queue_reserve(struct oodd_queue *queue, size_t items);
/* From here on the request may be resumed at any moment, even before this returns. */
void oodd_queue_push(struct oodd_queue *queue, struct oodd_request *request);
/* COLLECTING to ANSWERED without having been admitted. */
void oodd_queue_refuse(struct oodd_queue *queue, struct oodd_request *request);
/* The HTTP thread is done with it, whatever its state; the request is destroyed, now or by the last worker. */
void oodd_queue_complete(struct oodd_queue *queue, struct oodd_request *request);
/* Whole seconds, at least 1, until what waits now is likely to have been scored. */
unsigned oodd_queue_retry_after(struct oodd_queue *queue);

/* ---- worker ---- */

#define OODD_BATCH_MOST 64

struct oodd_batch {
    struct oodd_generation *generation;      /* valid as long as an entry is in the worker's hands */
    size_t model, count;
    bool to_cut;                             /* the one entry stands for its whole request: ends in oodd_queue_cut */
    struct oodd_entry { struct oodd_request *request; size_t item; } entries[OODD_BATCH_MOST];
};

/* Waits for items and takes those of one model that wait, at most as many as the request whose turn it is, and which goes
 * first, allows; never waits for more. A request of which items are left waits for another turn. Requests past their deadline
 * are given up instead. `heartbeat` becomes the queue's beat whenever the worker is here. False: the queue was closed and is empty. */
bool oodd_queue_pop(struct oodd_queue *queue, struct oodd_batch *batch, _Atomic uint64_t *heartbeat) OOD_MUST_CHECK;

/* Brings a batch back, after its verdicts were written into the requests' work (also into those of requests given up
 * meanwhile: nobody reads them). error NULL: scored; else why the call failed as a whole. `seconds` of this worker. */
void oodd_queue_finish(struct oodd_queue *queue, const struct oodd_batch *batch, const struct ood_timing *timing,
                       double seconds, const struct ood_error *error);

/* Brings a request back that was to be cut. Its items can be taken now; in_vain: there is nothing to take, it is SCORED as it is.
 * error: as below. */
void oodd_queue_cut(struct oodd_queue *queue, const struct oodd_batch *batch, const struct ood_timing *timing, bool in_vain,
                    const struct ood_error *error);

/* ---- watcher: the caller knows that the request was not completed ---- */

/* Gives up a request that is QUEUED, CUTTING or SCORING. True: the caller must call request->resume. */
bool oodd_queue_drop(struct oodd_queue *queue, struct oodd_request *request, enum oodd_outcome outcome) OOD_MUST_CHECK;
/* Keeps such a request from being resumed until released (for a byte on its connection). False: too late.
 * Release returns true if the caller must call request->resume. */
bool oodd_queue_hold(struct oodd_queue *queue, struct oodd_request *request) OOD_MUST_CHECK;
bool oodd_queue_release(struct oodd_queue *queue, struct oodd_request *request) OOD_MUST_CHECK;

/* ---- main thread ---- */

struct oodd_queue_state { size_t items, limit, suspended, active, busy; };
/* suspended: requests QUEUED, CUTTING or SCORING. active: these and those ANSWERED and not completed. busy: workers that have a batch. */
struct oodd_queue_state oodd_queue_look(struct oodd_queue *queue);
/* A new beat: every worker that waits answers it; the others when they come back. */
uint64_t oodd_queue_beat(struct oodd_queue *queue);
/* Nothing is admitted any more; workers finish what waits and leave. */
void oodd_queue_close(struct oodd_queue *queue);
/* All that has items in the line is given up as OODD_STOPPED and resumed, now and when it comes back cut; what else workers hold comes
 * back by itself. */
void oodd_queue_abandon(struct oodd_queue *queue);
/* Waits until no request is active (or suspended), at most until `deadline` [s] of ood_clock. */
bool oodd_queue_wait_active(struct oodd_queue *queue, double deadline);
bool oodd_queue_wait_suspended(struct oodd_queue *queue, double deadline);

#endif
