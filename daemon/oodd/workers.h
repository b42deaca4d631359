/* The threads that score: made once, each with its own sessions, alive until the queue is closed. */
#ifndef OODD_WORKERS_H
#define OODD_WORKERS_H

#include "queue.h"

/* What a worker needs of a generation: the model's scorer, and this worker's session in it. */
struct oodd_bench { const struct ood_scorer *scorer; struct ood_session *session; };
typedef struct oodd_bench oodd_bench_for(const struct oodd_generation *generation, size_t model, size_t worker);

struct oodd_workers;
/* Starts `count` threads that pop from queue. */
struct oodd_workers *oodd_workers_start(struct oodd_queue *queue, size_t count, oodd_bench_for *bench,
                                        struct ood_error *err) OOD_MUST_CHECK;
/* Every worker has finished a batch or answered a beat since the last call; the first call says true. */
bool oodd_workers_alive(struct oodd_workers *workers);
/* Waits for the workers to leave: after oodd_queue_close. Takes NULL. */
void oodd_workers_join(struct oodd_workers *workers);

#endif
