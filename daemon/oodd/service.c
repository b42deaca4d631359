/* Starting, reloading and stopping. Everything here runs on the main thread but what the HTTP side asks at the end.
 *
 * Order of the start: bind (a taken port is told before bundles are read), load, workers, watcher, HTTP threads, accept.
 * Order of the stop: accept nothing, admit nothing, wait, give up what waits, workers gone, watcher's thread gone — after
 * which nobody can resume a connection any more and none is suspended —, libmicrohttpd, watches, generation. */
#include "service.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "address.h"
#include "base/clock.h"
#include "base/cpus.h"
#include "listener.h"
#include "log.h"
#include "metrics.h"
#include "systemd.h"

#define SOCKETS_MOST 64
#define FILES_BESIDES 128                    /* descriptors beside those of connections */
#define STUCK_SECONDS 10                     /* a batch that takes longer at the stop is not waited for */
#define LAST_ANSWERS_SECONDS 1

struct oodd_service {
    struct oodd_config_source source;
    pthread_mutex_t lock;                    /* of current: taking the pointer and a reference is one step */
    struct oodd_generation *current;
    struct oodd_queue *queue;
    struct oodd_workers *workers;
    struct oodd_watcher *watcher;
    struct oodd_listener *listener;
    size_t worker_count;
    double last_tick, watchdog;
    bool was_ready;                          /* systemd was told so */
    atomic_bool unready, closing;
    struct { int fd; bool own; struct oodd_address address; } sockets[SOCKETS_MOST];
    size_t socket_count;
};

/* ---- sockets ---- */

static bool adopt_sockets(struct oodd_service *service, struct ood_error *err)
{
    int first;
    size_t count = oodd_systemd_sockets(&first);
    if (count > SOCKETS_MOST)
        return ood_fail(err, OOD_LIMIT, "%zu sockets were handed over: expected at most %d", count, SOCKETS_MOST);
    for (size_t i = 0; i < count; i++) {
        int fd = first + (int)i, listening = 0;
        socklen_t size = sizeof listening;
        struct oodd_address *address = &service->sockets[i].address;
        if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) != 0 || listening == 0)
            return ood_fail(err, OOD_INVALID, "file descriptor %d was handed over: expected a listening stream socket", fd);
        fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
        fcntl(fd, F_SETFD, FD_CLOEXEC);
        address->size = (socklen_t)sizeof address->socket;
        getsockname(fd, (struct sockaddr *)&address->socket, &address->size);
        oodd_address_describe((struct sockaddr *)&address->socket, address->size, address->text);
        service->sockets[service->socket_count++].fd = fd;
    }
    return true;
}

/* Those handed over, or else those of server.listen. */
static bool open_sockets(struct oodd_service *service, const struct oodd_config *config, struct ood_error *err)
{
    const char *list = config->listen;
    struct oodd_address address;
    if (!adopt_sockets(service, err) || service->socket_count > 0)
        return service->socket_count > 0;
    while (oodd_addresses_next(&list, &address)) {
        if (service->socket_count == SOCKETS_MOST)
            return ood_fail(err, OOD_LIMIT, "server.listen: more than %d addresses", SOCKETS_MOST);
        const char *colon = strrchr(address.text, ':');
        bool any_port = address.socket.ss_family != AF_UNIX && colon != NULL && strspn(colon + 1, "0") == strlen(colon + 1);
        int fd = oodd_address_listen(&address, err);
        if (fd < 0)
            return false;
        if (any_port) {
            printf("listening on %s\n", address.text);
            fflush(stdout);
        }
        service->sockets[service->socket_count].fd = fd;
        service->sockets[service->socket_count].own = true;
        service->sockets[service->socket_count++].address = address;
    }
    return true;
}

static bool accept_from_now_on(struct oodd_service *service, struct ood_error *err)
{
    for (size_t i = 0; i < service->socket_count; i++) {
        int fd = service->sockets[i].fd;
        service->sockets[i].fd = -1;
        if (!oodd_watcher_listen(service->watcher, fd, err))
            return false;
        oodd_log(OODD_INFO, "listening on %s", service->sockets[i].address.text);
    }
    return true;
}

/* Socket files are ours to remove, but not those handed over. */
static void forget_sockets(struct oodd_service *service)
{
    for (size_t i = 0; i < service->socket_count; i++) {
        if (service->sockets[i].fd >= 0)
            close(service->sockets[i].fd);
        if (service->sockets[i].own && service->sockets[i].address.socket.ss_family == AF_UNIX)
            unlink(((const struct sockaddr_un *)&service->sockets[i].address.socket)->sun_path);
    }
    service->socket_count = 0;
}

/* ---- generations ---- */

static void tick(void *context) { oodd_service_tick(context); }

/* The configuration as it says now, with models; NULL and why not. */
static struct oodd_generation *load(struct oodd_service *service, struct oodd_config *config, struct ood_error *err)
{
    double start = ood_clock();
    struct oodd_generation *generation = oodd_generation_open(config, service->worker_count, tick, service, err);
    if (generation == NULL)
        return NULL;
    const struct api_service *models = oodd_generation_service(generation);
    for (size_t i = 0; i < models->model_count; i++)
        oodd_log(OODD_INFO, "model %s: version %.12s, %zu classes%s", models->models[i].name,
                 ood_scorer_version(models->models[i].scorer), ood_scorer_classes(models->models[i].scorer),
                 i == models->default_model ? ", the default" : "");
    oodd_log(OODD_INFO, "%zu models loaded in %.2f s", models->model_count, ood_clock() - start);
    return generation;
}

/* The one commit point of a reload. */
static void commit(struct oodd_service *service, struct oodd_generation *generation)
{
    const struct oodd_config *config = oodd_generation_config(generation);
    oodd_log_level((enum oodd_log_level)config->log_level, config->log_access);
    if (service->queue != NULL)
        oodd_queue_limit(service->queue, config->queue_items);
    pthread_mutex_lock(&service->lock);
    struct oodd_generation *old = service->current;
    service->current = generation;
    pthread_mutex_unlock(&service->lock);
    oodd_generation_free(old);
}

/* Started is who is ready; a reload is over in any case. */
static void notify_ready(struct oodd_service *service)
{
    const struct api_service *models = oodd_generation_service(service->current);
    if (models->not_ready != NULL)
        oodd_systemd_notify("%sSTATUS=Not ready: %s", service->was_ready ? "READY=1\n" : "", models->not_ready);
    else
        oodd_systemd_notify("READY=1\nSTATUS=Serving %zu model%s, %s by default", models->model_count,
                            models->model_count == 1 ? "" : "s", models->models[models->default_model].name);
    service->was_ready = service->was_ready || models->not_ready == NULL;
}

void oodd_service_reload(struct oodd_service *service)
{
    struct ood_error err = { 0 };
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    oodd_systemd_notify("RELOADING=1\nMONOTONIC_USEC=%llu\nSTATUS=Reloading",
                        (unsigned long long)now.tv_sec * 1000000 + (unsigned long long)now.tv_nsec / 1000);
    struct oodd_config *config = service->source.read(service->source.context, &err);
    const struct oodd_key *key = NULL;
    const struct oodd_config *running = oodd_generation_config(service->current);
    while (config != NULL && (key = oodd_config_restart_key(running, config, key)) != NULL)
        oodd_log(OODD_WARNING, "%s has changed: it takes effect on the next start", key->name);
    struct oodd_generation *generation = config != NULL ? load(service, config, &err) : NULL;
    oodd_metrics_reload(generation != NULL);
    if (generation != NULL) {
        commit(service, generation);
        oodd_log(OODD_INFO, "reloaded");
    } else {
        oodd_log(OODD_ERROR, "reload failed, the old configuration and models stay: %s", err.message);
    }
    notify_ready(service);
}

/* ---- start and stop ---- */

/* As many files as the connections need, if the kernel lets us. */
static void allow_files(size_t connections)
{
    struct rlimit limit;
    rlim_t needed = (rlim_t)(connections > 0 ? connections : 65536) + FILES_BESIDES;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= needed)
        return;
    limit.rlim_cur = needed < limit.rlim_max ? needed : limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur < needed)
        oodd_log(OODD_WARNING, "limits.connections = %zu needs %llu file descriptors, there are %llu", connections,
                 (unsigned long long)needed, (unsigned long long)limit.rlim_cur);
}

static void accepted(void *context, int fd, const struct sockaddr *address, socklen_t size)
{
    oodd_listener_add(((struct oodd_service *)context)->listener, fd, address, size);
}

static bool start_threads(struct oodd_service *service, struct ood_error *err)
{
    const struct oodd_config *config = oodd_generation_config(service->current);
    service->queue = oodd_queue_new(config->queue_items, service->worker_count, err);
    if (service->queue == NULL)
        return false;
    const struct oodd_watcher_options options = { .queue = service->queue, .connections = config->connections, .context = service,
                                                  .accepted = accepted, .too_slow = oodd_listener_too_slow };
    service->workers = oodd_workers_start(service->queue, service->worker_count, oodd_generation_bench, err);
    service->watcher = service->workers != NULL ? oodd_watcher_start(&options, err) : NULL;
    service->listener = service->watcher != NULL ? oodd_listener_start(service, config->threads, config->connections, err) : NULL;
    return service->listener != NULL && accept_from_now_on(service, err);
}

static void service_free(struct oodd_service *service)
{
    forget_sockets(service);
    oodd_watcher_free(service->watcher);
    oodd_queue_free(service->queue);
    oodd_generation_free(service->current);
    pthread_mutex_destroy(&service->lock);
    ood_free(service);
}

struct oodd_service *oodd_service_start(const struct oodd_config_source *source, struct ood_error *err)
{
    struct oodd_service *service = ood_new(struct oodd_service, err);
    if (service == NULL)
        return NULL;
    pthread_mutex_init(&service->lock, NULL);
    service->source = *source;
    service->watchdog = oodd_systemd_watchdog();
    struct oodd_config *config = source->read(source->context, err);
    if (config == NULL || !oodd_log_open((enum oodd_log_format)config->log_format, config->log_file, err)) {
        oodd_config_free(config);
        goto fail;
    }
    oodd_log_level((enum oodd_log_level)config->log_level, config->log_access);
    allow_files(config->connections);
    service->worker_count = config->workers > 0 ? config->workers : ood_cpus();
    if (!open_sockets(service, config, err)) {
        oodd_config_free(config);
        goto fail;
    }
    struct oodd_generation *generation = load(service, config, err);
    if (generation == NULL)
        goto fail;
    commit(service, generation);
    if (!start_threads(service, err)) {
        bool stopped = oodd_service_stop(service, 0, NULL);
        (void)stopped;                       /* nothing was admitted: nothing hangs */
        return NULL;
    }
    oodd_log(OODD_INFO, "ready: %zu workers, %zu HTTP threads", service->worker_count,
             oodd_generation_config(service->current)->threads);
    notify_ready(service);
    return service;
fail:
    service_free(service);
    return NULL;
}

void oodd_service_tick(struct oodd_service *service)
{
    double now = ood_clock();
    if (service->watchdog <= 0 || (service->workers != NULL && now - service->last_tick < service->watchdog / 4))
        return;
    service->last_tick = now;
    if (service->workers == NULL || oodd_workers_alive(service->workers))
        oodd_systemd_notify("WATCHDOG=1");
    else
        oodd_log(OODD_WARNING, "a worker has made no progress for a while: the watchdog is not fed");
}

void oodd_service_unready(struct oodd_service *service)
{
    atomic_store(&service->unready, true);
    oodd_systemd_notify("STOPPING=1\nSTATUS=Draining");
}

void oodd_service_drain_times(struct oodd_service *service, double *delay, double *drain)
{
    *delay = oodd_generation_config(service->current)->drain_delay_seconds;
    *drain = oodd_generation_config(service->current)->drain_seconds;
}

bool oodd_service_stop(struct oodd_service *service, double deadline, bool (*interrupted)(void))
{
    atomic_store(&service->unready, true);
    atomic_store(&service->closing, true);
    if (service->watcher != NULL)
        oodd_watcher_deafen(service->watcher);
    forget_sockets(service);
    if (service->queue != NULL) {
        oodd_queue_close(service->queue);
        while (!oodd_queue_wait_active(service->queue, fmin(deadline, ood_clock() + 0.1)) && ood_clock() < deadline &&
               !interrupted())
            oodd_service_tick(service);
        oodd_queue_abandon(service->queue);
        if (!oodd_queue_wait_suspended(service->queue, ood_clock() + STUCK_SECONDS)) {
            oodd_log(OODD_ERROR, "a worker did not come back within %d s", STUCK_SECONDS);
            return false;
        }
    }
    oodd_workers_join(service->workers);
    if (service->queue != NULL)              /* what was resumed last still has its answer to send: libmicrohttpd would cut it off */
        (void)!oodd_queue_wait_active(service->queue, ood_clock() + LAST_ANSWERS_SECONDS);
    if (service->watcher != NULL)
        oodd_watcher_stop(service->watcher);
    oodd_listener_stop(service->listener);
    service_free(service);
    return true;
}

/* ---- for the HTTP side ---- */

struct oodd_queue *oodd_service_queue(struct oodd_service *service) { return service->queue; }
struct oodd_watcher *oodd_service_watcher(struct oodd_service *service) { return service->watcher; }

struct oodd_generation *oodd_service_generation(struct oodd_service *service)
{
    pthread_mutex_lock(&service->lock);
    struct oodd_generation *generation = oodd_generation_ref(service->current);
    pthread_mutex_unlock(&service->lock);
    return generation;
}

const char *oodd_service_not_ready(struct oodd_service *service, const struct oodd_generation *generation)
{
    return atomic_load(&service->unready) ? "draining" : oodd_generation_service(generation)->not_ready;
}

bool oodd_service_closing(struct oodd_service *service) { return atomic_load(&service->closing); }
size_t oodd_service_workers(const struct oodd_service *service) { return service->worker_count; }
