/* Deadlines in a heap, hang-ups by epoll, new connections.
 *
 * 1. A watch is found from an epoll event by its place and a number that grows with each use of the place, so that an event
 *    of a connection that is gone meanwhile finds nothing.
 * 2. A watch is removed, under the lock, before its socket is closed; who acts on a socket without the lock acts on a
 *    duplicate made under it. So no act ever hits a number that was given to another connection.
 * 3. A request of a watch in phase WAITING is not completed: the phase is left, under the lock, before. So under the lock it
 *    may be given up or held (lock order: watcher, then queue); it is resumed after the lock was left, which is safe because
 *    nobody else resumes it (queue.c, 2).
 * 4. EPOLLRDHUP says that the client sends no more: it closed, or half-closed and still waits for its answer. TCP cannot
 *    tell them apart before something is sent; so an interim answer is sent, which an HTTP/1.1 client that waits passes
 *    over (RFC 9110, 15.2), and which a closed one answers by a reset. A reset or EPOLLHUP: the client is gone.
 * 5. libmicrohttpd 0.9.75 misses the end of a stream that comes together with its last bytes (it waits for an edge that was
 *    already reported), and would keep the connection until a deadline. So while the client is known to send no more and it
 *    is libmicrohttpd's turn to read, its epoll is woken every now and then: shutdown(SHUT_RD) changes nothing else. */
#include "watcher.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "metrics.h"

#define LISTEN_MOST 64
#define WATCHES_MOST 65536                   /* where there is no limit of connections */
#define EVENTS_MOST 64
#define ACCEPTS_AT_ONCE 32
#define BACKOFF_SECONDS 0.2                  /* without a free file descriptor: how long not to accept */
#define WAKE_SECONDS 0.05                    /* see 5 */
#define NOT_IN_HEAP SIZE_MAX

/* What an epoll event's number says: a watch's place and use, or one of */
#define EVENT_WAKE UINT64_MAX
#define EVENT_LISTEN (UINT64_MAX - 1 - LISTEN_MOST)      /* + the socket's place */

struct oodd_watch {
    int fd;                                  /* -1: free */
    bool tcp, half_closed, gone, probe;
    uint32_t use;
    enum oodd_phase phase;
    double due;                              /* when the phase must have ended */
    double deadline;                         /* when to look at it: in the heap */
    double header_seconds;
    uint64_t received;                       /* bytes, when the last answer was about to be sent */
    size_t heap;                             /* place in the heap */
    struct oodd_request *request;            /* WAITING */
    struct sockaddr_storage address;
    char client[OODD_ADDRESS_TEXT];
    struct oodd_watch *next_free;
};

struct oodd_watcher {
    struct oodd_watcher_options options;
    pthread_t thread;
    int epoll, wake;
    pthread_mutex_t lock;
    pthread_cond_t deafened;
    struct oodd_watch *watches;              /* [watch_count]; those from `fresh` on were never used */
    size_t watch_count, fresh, used;
    struct oodd_watch *free;
    struct oodd_watch **heap;                /* least deadline first */
    size_t heap_count;
    double wakes_at;                         /* when the thread looks at the heap without being asked */
    int listening[LISTEN_MOST];
    size_t listening_count;
    bool paused, deafen, stop;
    double paused_until;
};

/* ---- the heap; all under the lock ---- */

static void heap_put(struct oodd_watcher *watcher, size_t at, struct oodd_watch *watch)
{
    watcher->heap[at] = watch;
    watch->heap = at;
}

static void heap_up(struct oodd_watcher *watcher, size_t at, struct oodd_watch *watch)
{
    for (; at > 0 && watcher->heap[(at - 1) / 2]->deadline > watch->deadline; at = (at - 1) / 2)
        heap_put(watcher, at, watcher->heap[(at - 1) / 2]);
    heap_put(watcher, at, watch);
}

static void heap_down(struct oodd_watcher *watcher, size_t at, struct oodd_watch *watch)
{
    for (size_t child; (child = 2 * at + 1) < watcher->heap_count; at = child) {
        if (child + 1 < watcher->heap_count && watcher->heap[child + 1]->deadline < watcher->heap[child]->deadline)
            child++;
        if (watcher->heap[child]->deadline >= watch->deadline)
            break;
        heap_put(watcher, at, watcher->heap[child]);
    }
    heap_put(watcher, at, watch);
}

static void heap_remove(struct oodd_watcher *watcher, struct oodd_watch *watch)
{
    size_t at = watch->heap;
    if (at == NOT_IN_HEAP)
        return;
    watch->heap = NOT_IN_HEAP;
    struct oodd_watch *last = watcher->heap[--watcher->heap_count];
    if (last == watch)
        return;
    if (at > 0 && watcher->heap[(at - 1) / 2]->deadline > last->deadline)
        heap_up(watcher, at, last);
    else
        heap_down(watcher, at, last);
}

static void heap_set(struct oodd_watcher *watcher, struct oodd_watch *watch, double deadline)
{
    heap_remove(watcher, watch);
    watch->deadline = deadline;
    heap_up(watcher, watcher->heap_count++, watch);
    if (deadline < watcher->wakes_at) {
        watcher->wakes_at = deadline;
        eventfd_write(watcher->wake, 1);
    }
}

/* ---- what the HTTP threads tell ---- */

static bool same_address(const struct sockaddr_storage *a, const struct sockaddr_storage *b)
{
    if (a->ss_family != b->ss_family)
        return false;
    if (a->ss_family == AF_INET)
        return ((const struct sockaddr_in *)a)->sin_addr.s_addr == ((const struct sockaddr_in *)b)->sin_addr.s_addr;
    return a->ss_family == AF_INET6 && memcmp(&((const struct sockaddr_in6 *)a)->sin6_addr,
                                              &((const struct sockaddr_in6 *)b)->sin6_addr, sizeof(struct in6_addr)) == 0;
}

static size_t of_address(const struct oodd_watcher *watcher, const struct sockaddr_storage *address)
{
    size_t count = 0;
    for (size_t i = 0; i < watcher->fresh; i++)
        count += watcher->watches[i].fd >= 0 && same_address(&watcher->watches[i].address, address);
    return count;
}

struct oodd_watch *oodd_watcher_add(struct oodd_watcher *watcher, int fd, const struct sockaddr *address, socklen_t size,
                                    double header_seconds, size_t per_address, int *reason)
{
    struct sockaddr_storage copy = { 0 };
    memcpy(&copy, address, size < sizeof copy ? size : sizeof copy);
    pthread_mutex_lock(&watcher->lock);
    struct oodd_watch *watch = NULL;
    if (watcher->used == watcher->watch_count) {
        *reason = OODD_REJECTED_CONNECTIONS;
    } else if (per_address > 0 && of_address(watcher, &copy) >= per_address) {
        *reason = OODD_REJECTED_CONNECTIONS_PER_ADDRESS;
    } else {
        watch = watcher->free != NULL ? watcher->free : &watcher->watches[watcher->fresh++];
        if (watch == watcher->free)
            watcher->free = watch->next_free;
        watcher->used++;
        *watch = (struct oodd_watch){ .fd = fd, .use = watch->use + 1, .phase = OODD_PHASE_HEADER, .heap = NOT_IN_HEAP,
                                      .address = copy, .tcp = copy.ss_family != AF_UNIX, .header_seconds = header_seconds };
        oodd_address_describe(address, size, watch->client);
        watch->due = ood_clock() + header_seconds;
        heap_set(watcher, watch, watch->due);
        struct epoll_event event = { .events = EPOLLRDHUP | EPOLLET,
                                     .data.u64 = (uint64_t)watch->use << 32 | (uint64_t)(watch - watcher->watches) };
        (void)epoll_ctl(watcher->epoll, EPOLL_CTL_ADD, fd, &event);        /* without: only hang-ups are seen late */
    }
    pthread_mutex_unlock(&watcher->lock);
    return watch;
}

void oodd_watcher_remove(struct oodd_watcher *watcher, struct oodd_watch *watch)
{
    pthread_mutex_lock(&watcher->lock);
    (void)epoll_ctl(watcher->epoll, EPOLL_CTL_DEL, watch->fd, NULL);
    heap_remove(watcher, watch);
    watch->fd = -1;
    watch->request = NULL;
    watch->next_free = watcher->free;
    watcher->free = watch;
    watcher->used--;
    pthread_mutex_unlock(&watcher->lock);
}

/* Bytes that ever arrived on a TCP connection; 0: not known. */
static uint64_t bytes_received(int fd)
{
    struct tcp_info info;
    socklen_t size = sizeof info;
    memset(&info, 0, sizeof info);
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0 || size < offsetof(struct tcp_info, tcpi_segs_out))
        return 0;
    return info.tcpi_bytes_received;
}

bool oodd_watch_phase(struct oodd_watcher *watcher, struct oodd_watch *watch, enum oodd_phase phase, double deadline,
                      struct oodd_request *request, bool probe)
{
    /* Before the answer is sent: what comes from now on belongs to another request. */
    uint64_t received = phase == OODD_PHASE_SENDING && watch->tcp ? bytes_received(watch->fd) : 0;
    pthread_mutex_lock(&watcher->lock);
    bool alive = watch->phase != OODD_PHASE_OVER;
    if (alive) {
        if (phase == OODD_PHASE_SENDING)
            watch->received = received;
        watch->phase = phase;
        watch->request = request;
        watch->probe = probe && watch->tcp;
        watch->due = deadline;
        heap_set(watcher, watch, watch->half_closed || watch->gone ? 0 : deadline);
    }
    pthread_mutex_unlock(&watcher->lock);
    return alive;
}

bool oodd_watch_idle(struct oodd_watcher *watcher, struct oodd_watch *watch, double idle_seconds, double header_seconds)
{
    double now = ood_clock();
    pthread_mutex_lock(&watcher->lock);
    bool alive = watch->phase != OODD_PHASE_OVER;
    if (alive) {
        watch->phase = OODD_PHASE_IDLE;
        watch->request = NULL;
        watch->due = now + idle_seconds;
        watch->header_seconds = header_seconds;
        heap_set(watcher, watch, watch->half_closed ? 0 : now + fmin(idle_seconds, header_seconds));
    }
    pthread_mutex_unlock(&watcher->lock);
    return alive;
}

const char *oodd_watch_client(const struct oodd_watch *watch) { return watch->client; }

size_t oodd_watcher_connections(struct oodd_watcher *watcher)
{
    pthread_mutex_lock(&watcher->lock);
    size_t used = watcher->used;
    pthread_mutex_unlock(&watcher->lock);
    return used;
}

/* ---- what the thread does, decided under the lock, done without it ---- */

struct act {
    enum { ACT_NOTHING, ACT_RESUME, ACT_PROBE, ACT_CLOSE, ACT_ANSWER_AND_CLOSE } what;
    struct oodd_request *request;            /* RESUME; PROBE: held, to be released after an interim answer */
    int fd;                                  /* the others: a duplicate to act on, or -1 */
    enum oodd_phase phase;                   /* that ended */
    char client[OODD_ADDRESS_TEXT];
};

static void act_close(struct oodd_watcher *watcher, struct oodd_watch *watch, bool answer, struct act *act)
{
    heap_remove(watcher, watch);
    act->phase = watch->phase;
    watch->phase = OODD_PHASE_OVER;
    act->what = answer ? ACT_ANSWER_AND_CLOSE : ACT_CLOSE;
    act->fd = dup(watch->fd);
    memcpy(act->client, watch->client, sizeof act->client);
    if (act->fd < 0)
        shutdown(watch->fd, SHUT_RDWR);      /* no number left for a duplicate: at least it ends */
}

static void act_drop(struct oodd_watcher *watcher, struct oodd_watch *watch, enum oodd_outcome outcome, struct act *act)
{
    if (!oodd_queue_drop(watcher->options.queue, watch->request, outcome))
        return;
    act->what = ACT_RESUME;
    act->request = watch->request;
}

/* What a hang-up asks for before the phase is due; looks again when it should. */
static void act_hangup(struct oodd_watcher *watcher, struct oodd_watch *watch, double now, struct act *act)
{
    bool reads = watch->phase == OODD_PHASE_HEADER || watch->phase == OODD_PHASE_BODY || watch->phase == OODD_PHASE_IDLE;
    if (watch->phase == OODD_PHASE_OVER)
        return;
    if (reads && watch->half_closed && !watch->gone)
        shutdown(watch->fd, SHUT_RD);
    heap_set(watcher, watch, reads ? fmin(watch->due, now + WAKE_SECONDS) : watch->due);
    if (watch->phase != OODD_PHASE_WAITING)
        return;
    if (watch->gone) {
        act_drop(watcher, watch, OODD_GONE, act);
    } else if (watch->half_closed && watch->probe && oodd_queue_hold(watcher->options.queue, watch->request)) {
        watch->probe = false;
        act->what = ACT_PROBE;
        act->request = watch->request;
        act->fd = dup(watch->fd);
    }
}

/* The phase should have ended. */
static void act_due(struct oodd_watcher *watcher, struct oodd_watch *watch, struct act *act)
{
    switch (watch->phase) {
    case OODD_PHASE_HEADER:
        act_close(watcher, watch, !watch->tcp || bytes_received(watch->fd) != watch->received, act);
        break;
    case OODD_PHASE_BODY:
        act_close(watcher, watch, true, act);
        break;
    case OODD_PHASE_SENDING:
    case OODD_PHASE_IDLE:
        act_close(watcher, watch, false, act);
        break;
    case OODD_PHASE_WAITING:
        heap_remove(watcher, watch);
        act_drop(watcher, watch, OODD_EXPIRED, act);
        break;
    case OODD_PHASE_OVER:
        heap_remove(watcher, watch);
        break;
    }
}

static void act_deadline(struct oodd_watcher *watcher, struct oodd_watch *watch, double now, struct act *act)
{
    if (watch->phase == OODD_PHASE_IDLE && watch->tcp && bytes_received(watch->fd) != watch->received) {
        watch->phase = OODD_PHASE_HEADER;                /* another request has begun */
        watch->due = now + watch->header_seconds;
        heap_set(watcher, watch, watch->due);
    }
    if (now >= watch->due)
        act_due(watcher, watch, act);
    else if (watch->half_closed || watch->gone)
        act_hangup(watcher, watch, now, act);
    else
        heap_set(watcher, watch, fmin(watch->due, now + watch->header_seconds));
}

static void perform(struct oodd_watcher *watcher, struct act *act)
{
    static const char interim[] = "HTTP/1.1 100 Continue\r\n\r\n";
    char text[2048];
    switch (act->what) {
    case ACT_NOTHING:
        return;
    case ACT_RESUME:
        act->request->resume(act->request);
        return;
    case ACT_PROBE:
        (void)!send(act->fd, interim, sizeof interim - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (oodd_queue_release(watcher->options.queue, act->request))
            act->request->resume(act->request);
        break;
    case ACT_ANSWER_AND_CLOSE: {
        size_t size = watcher->options.too_slow(watcher->options.context, act->phase, act->client, text, sizeof text);
        (void)!send(act->fd, text, size, MSG_DONTWAIT | MSG_NOSIGNAL);
        shutdown(act->fd, SHUT_RDWR);        /* its HTTP thread reads the end and closes it */
        break;
    }
    case ACT_CLOSE:
        shutdown(act->fd, SHUT_RDWR);
        break;
    }
    if (act->fd >= 0)
        close(act->fd);
}

static void deadlines(struct oodd_watcher *watcher)
{
    for (bool more = true; more;) {
        struct act act = { .fd = -1 };
        double now = ood_clock();
        pthread_mutex_lock(&watcher->lock);
        more = watcher->heap_count > 0 && watcher->heap[0]->deadline <= now;
        if (more)
            act_deadline(watcher, watcher->heap[0], now, &act);
        pthread_mutex_unlock(&watcher->lock);
        perform(watcher, &act);
    }
}

static void hangup(struct oodd_watcher *watcher, uint64_t number, uint32_t events)
{
    struct act act = { .fd = -1 };
    size_t place = (size_t)(number & UINT32_MAX);
    pthread_mutex_lock(&watcher->lock);
    struct oodd_watch *watch = place < watcher->fresh ? &watcher->watches[place] : NULL;
    if (watch != NULL && watch->fd >= 0 && watch->use == (uint32_t)(number >> 32)) {
        watch->half_closed = watch->half_closed || (events & EPOLLRDHUP) != 0;
        watch->gone = watch->gone || (events & (EPOLLHUP | EPOLLERR)) != 0;
        act_hangup(watcher, watch, ood_clock(), &act);
    }
    pthread_mutex_unlock(&watcher->lock);
    perform(watcher, &act);
}

/* ---- new connections ---- */

static void listening_events(struct oodd_watcher *watcher, uint32_t events)
{
    for (size_t i = 0; i < watcher->listening_count; i++) {
        struct epoll_event event = { .events = events, .data.u64 = EVENT_LISTEN + i };
        (void)epoll_ctl(watcher->epoll, EPOLL_CTL_MOD, watcher->listening[i], &event);
    }
}

static void accept_some(struct oodd_watcher *watcher, size_t place)
{
    pthread_mutex_lock(&watcher->lock);
    int listening = place < watcher->listening_count ? watcher->listening[place] : -1;
    pthread_mutex_unlock(&watcher->lock);
    for (int i = 0; i < ACCEPTS_AT_ONCE; i++) {
        struct sockaddr_storage address = { 0 };
        socklen_t size = sizeof address;
        int fd = accept4(listening, (struct sockaddr *)&address, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            watcher->options.accepted(watcher->options.context, fd, (struct sockaddr *)&address,
                                      size < sizeof(sa_family_t) ? (socklen_t)sizeof(sa_family_t) : size);
            continue;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            /* those who wait keep the socket readable: look away for a while */
            pthread_mutex_lock(&watcher->lock);
            watcher->paused = true;
            watcher->paused_until = ood_clock() + BACKOFF_SECONDS;
            listening_events(watcher, 0);
            pthread_mutex_unlock(&watcher->lock);
        }
        return;                              /* nobody waits, or who waited left */
    }
}

bool oodd_watcher_listen(struct oodd_watcher *watcher, int fd, struct ood_error *err)
{
    pthread_mutex_lock(&watcher->lock);
    bool good = watcher->listening_count < LISTEN_MOST ||
                ood_fail(err, OOD_LIMIT, "more than %d addresses to listen on", LISTEN_MOST);
    if (good) {
        struct epoll_event event = { .events = EPOLLIN, .data.u64 = EVENT_LISTEN + watcher->listening_count };
        watcher->listening[watcher->listening_count++] = fd;
        good = epoll_ctl(watcher->epoll, EPOLL_CTL_ADD, fd, &event) == 0 || ood_fail_errno(err, errno, "epoll_ctl");
        watcher->listening_count -= !good;
    }
    pthread_mutex_unlock(&watcher->lock);
    if (!good)
        close(fd);
    return good;
}

/* Under the lock. */
static void close_listening(struct oodd_watcher *watcher)
{
    for (size_t i = 0; i < watcher->listening_count; i++)
        close(watcher->listening[i]);
    watcher->listening_count = 0;
    watcher->paused = watcher->deafen = false;
    pthread_cond_broadcast(&watcher->deafened);
}

void oodd_watcher_deafen(struct oodd_watcher *watcher)
{
    pthread_mutex_lock(&watcher->lock);
    watcher->deafen = true;
    eventfd_write(watcher->wake, 1);
    while (watcher->deafen)
        pthread_cond_wait(&watcher->deafened, &watcher->lock);
    pthread_mutex_unlock(&watcher->lock);
}

/* ---- the thread ---- */

/* [ms] to sleep at most; -1: until woken. Sees to what main asked for. */
static int prepare(struct oodd_watcher *watcher, bool *stop)
{
    double now = ood_clock();
    pthread_mutex_lock(&watcher->lock);
    if (watcher->paused && now >= watcher->paused_until) {
        watcher->paused = false;
        listening_events(watcher, EPOLLIN);
    }
    if (watcher->deafen || watcher->stop)
        close_listening(watcher);
    double until = watcher->heap_count > 0 ? watcher->heap[0]->deadline : INFINITY;
    if (watcher->paused)
        until = fmin(until, watcher->paused_until);
    watcher->wakes_at = until;
    *stop = watcher->stop;
    pthread_mutex_unlock(&watcher->lock);
    return isinf(until) ? -1 : until <= now ? 0 : (int)fmin(ceil((until - now) * 1e3), 3.6e6);
}

static void *watch(void *context)
{
    struct oodd_watcher *watcher = context;
    struct epoll_event events[EVENTS_MOST];
    bool stop = false;
    pthread_setname_np(pthread_self(), "watcher");
    for (;;) {
        deadlines(watcher);
        int timeout = prepare(watcher, &stop);
        if (stop)
            return NULL;
        int count = epoll_wait(watcher->epoll, events, EVENTS_MOST, timeout);
        for (int i = 0; i < count; i++) {
            uint64_t number = events[i].data.u64;
            eventfd_t wakes;
            if (number == EVENT_WAKE)
                (void)eventfd_read(watcher->wake, &wakes);
            else if (number >= EVENT_LISTEN)
                accept_some(watcher, (size_t)(number - EVENT_LISTEN));
            else
                hangup(watcher, number, events[i].events);
        }
    }
}

void oodd_watcher_free(struct oodd_watcher *watcher)
{
    if (watcher == NULL)
        return;
    assert(watcher->used == 0);
    if (watcher->epoll >= 0)
        close(watcher->epoll);
    if (watcher->wake >= 0)
        close(watcher->wake);
    pthread_mutex_destroy(&watcher->lock);
    pthread_cond_destroy(&watcher->deafened);
    ood_free(watcher->watches);
    ood_free(watcher->heap);
    ood_free(watcher);
}

struct oodd_watcher *oodd_watcher_start(const struct oodd_watcher_options *options, struct ood_error *err)
{
    struct oodd_watcher *watcher = ood_new(struct oodd_watcher, err);
    if (watcher == NULL)
        return NULL;
    watcher->options = *options;
    watcher->watch_count = options->connections > 0 ? options->connections : WATCHES_MOST;
    watcher->wakes_at = INFINITY;
    watcher->epoll = epoll_create1(EPOLL_CLOEXEC);
    watcher->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    pthread_mutex_init(&watcher->lock, NULL);
    pthread_cond_init(&watcher->deafened, NULL);
    watcher->watches = ood_new_array(struct oodd_watch, watcher->watch_count, err);
    watcher->heap = ood_new_array(struct oodd_watch *, watcher->watch_count, err);
    struct epoll_event event = { .events = EPOLLIN, .data.u64 = EVENT_WAKE };
    if (watcher->watches == NULL || watcher->heap == NULL)
        goto fail;
    if (watcher->epoll < 0 || watcher->wake < 0 || epoll_ctl(watcher->epoll, EPOLL_CTL_ADD, watcher->wake, &event) != 0) {
        ood_fail_errno(err, errno, "cannot watch connections");
        goto fail;
    }
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 256 * 1024);
    int reason = pthread_create(&watcher->thread, &attributes, watch, watcher);
    pthread_attr_destroy(&attributes);
    if (reason == 0)
        return watcher;
    ood_fail_errno(err, reason, "cannot start the watcher");
fail:
    oodd_watcher_free(watcher);
    return NULL;
}

void oodd_watcher_stop(struct oodd_watcher *watcher)
{
    pthread_mutex_lock(&watcher->lock);
    watcher->stop = true;
    eventfd_write(watcher->wake, 1);
    pthread_mutex_unlock(&watcher->lock);
    pthread_join(watcher->thread, NULL);
}
