/* A running oodd: the current generation, queue, workers, watcher and HTTP server, and how they start, reload and stop. */
#ifndef OODD_SERVICE_H
#define OODD_SERVICE_H

#include "generation.h"
#include "watcher.h"

/* How to make the configuration, again on each reload: a new one, or NULL. */
struct oodd_config_source {
    struct oodd_config *(*read)(void *context, struct ood_error *err);
    void *context;
};

struct oodd_service;

/* Loads, binds, starts everything. Errors of the configuration and of bundles keep their codes; the kernel's are OOD_SYSTEM. */
struct oodd_service *oodd_service_start(const struct oodd_config_source *source, struct ood_error *err) OOD_MUST_CHECK;

/* A new generation beside the running one; on failure the old one stays. Says so in the log and to systemd. */
void oodd_service_reload(struct oodd_service *service);

/* Feeds the watchdog if the workers live. */
void oodd_service_tick(struct oodd_service *service);

/* Not ready from now on, but still accepting. */
void oodd_service_unready(struct oodd_service *service);
/* No new connections, no new work; waits for what was admitted until `deadline` or until interrupted() says so, then gives up
 * what waits. Frees. False: a worker hangs; nothing is freed, and only the process's end helps. */
bool oodd_service_stop(struct oodd_service *service, double deadline, bool (*interrupted)(void)) OOD_MUST_CHECK;
/* limits.drain_delay_seconds and limits.drain_seconds of the current generation. */
void oodd_service_drain_times(struct oodd_service *service, double *delay, double *drain);

/* ---- for the HTTP side ---- */

struct oodd_queue *oodd_service_queue(struct oodd_service *service);
struct oodd_watcher *oodd_service_watcher(struct oodd_service *service);
/* A reference to the current generation, the caller's. */
struct oodd_generation *oodd_service_generation(struct oodd_service *service);
/* Why /readyz says no; NULL: it says yes. */
const char *oodd_service_not_ready(struct oodd_service *service, const struct oodd_generation *generation);
/* No work is admitted any more; connections are not kept. */
bool oodd_service_closing(struct oodd_service *service);
size_t oodd_service_workers(const struct oodd_service *service);

#endif
