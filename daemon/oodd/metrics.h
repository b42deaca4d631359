/* What the daemon counts (docs/INTERFACE.md section 4). Counters live in shards, one a thread as far as they last, and are
 * summed on a scrape; a metric with a fixed set of label values is a row in one of the tables below. Any thread. */
#ifndef OODD_METRICS_H
#define OODD_METRICS_H

#include "api/api.h"
#include "base/memory.h"

/* Why a request or a connection was turned away or given up: the values of oodd_rejected_total's label. */
#define OODD_REJECTIONS(X)                                                                                            \
    X(OODD_REJECTED_QUEUE_FULL, "queue_full")                                                                         \
    X(OODD_REJECTED_DEADLINE, "deadline")                                                                             \
    X(OODD_REJECTED_CLIENT_GONE, "client_gone")                                                                       \
    X(OODD_REJECTED_DRAINING, "draining")                                                                             \
    X(OODD_REJECTED_NO_MODEL, "no_model")                                                                             \
    X(OODD_REJECTED_CONNECTIONS, "connections")                                                                       \
    X(OODD_REJECTED_CONNECTIONS_PER_ADDRESS, "connections_per_address")

enum oodd_rejection {
#define OODD_REJECTION(name, word) name,
    OODD_REJECTIONS(OODD_REJECTION)
#undef OODD_REJECTION
    OODD_REJECTION_COUNT
};

enum oodd_stage { OODD_STAGE_QUEUE, OODD_STAGE_DECODE, OODD_STAGE_INFER, OODD_STAGE_SCORE, OODD_STAGE_COUNT };

/* route NULL: other. code 0: nobody was answered (counted nowhere). */
void oodd_metrics_request(const struct api_route *route, unsigned code, double seconds);
void oodd_metrics_rejected(enum oodd_rejection reason);
void oodd_metrics_reload(bool succeeded);
void oodd_metrics_queued(double seconds);
void oodd_metrics_batch(size_t items, const struct ood_timing *timing);
void oodd_metrics_cut(const struct ood_timing *timing);          /* a picture was decoded for its boxes */
/* slot: of oodd_metrics_model. verdict: of a kept item. */
void oodd_metrics_item(size_t slot, const struct ood_verdict *verdict);

/* The slot of a model's name, the same for each generation; the names beyond OODD_METRICS_MODELS share one, "other". */
#define OODD_METRICS_MODELS 64
size_t oodd_metrics_model(const char *name);

/* What is looked up on a scrape rather than counted. */
struct oodd_gauges {
    size_t queue_items, queue_limit, workers, workers_busy, connections;
    const struct api_service *service;
};
/* Prometheus text format 0.0.4; freed by ood_free. NULL: out of memory. */
char *oodd_metrics_text(const struct oodd_gauges *gauges, size_t *size, struct ood_error *err) OOD_MUST_CHECK;

#endif
