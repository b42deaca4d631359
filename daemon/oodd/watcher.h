/* The watcher: one thread that accepts connections, and watches those libmicrohttpd does not: deadlines of each phase of a
 * request (absolute times, not idle times), and hang-ups of clients whose connection is suspended while their request waits.
 *
 * A connection's phase is told by the thread that serves it; the watcher acts on a deadline as the phase demands. */
#ifndef OODD_WATCHER_H
#define OODD_WATCHER_H

#include "address.h"
#include "queue.h"

enum oodd_phase {
    OODD_PHASE_HEADER,                       /* deadline: 408, or silence if not a byte came; closed */
    OODD_PHASE_BODY,                         /* 408; closed */
    OODD_PHASE_WAITING,                      /* suspended; 408 by the HTTP thread. A hang-up drops the request */
    OODD_PHASE_SENDING,                      /* closed */
    OODD_PHASE_IDLE,                         /* kept alive: silence; closed */
    OODD_PHASE_OVER,                         /* the watcher closed it for one of the above */
};

struct oodd_watcher;
struct oodd_watch;                           /* a connection; from add to remove */

struct oodd_watcher_options {
    struct oodd_queue *queue;
    size_t connections;                      /* the most; 0: no limit */
    void *context;
    /* A connection for the server: takes fd. */
    void (*accepted)(void *context, int fd, const struct sockaddr *address, socklen_t size);
    /* The whole answer, header and body, for who was too slow in phase HEADER or BODY; returns its size. */
    size_t (*too_slow)(void *context, enum oodd_phase phase, const char *client, char *text, size_t size);
};

struct oodd_watcher *oodd_watcher_start(const struct oodd_watcher_options *options, struct ood_error *err) OOD_MUST_CHECK;
/* Listening sockets are closed and the thread ends: no request is resumed by it any more. Connections may still be removed. */
void oodd_watcher_stop(struct oodd_watcher *watcher);
/* After stop, once every connection was removed. Takes NULL. */
void oodd_watcher_free(struct oodd_watcher *watcher);

/* Accepts from this socket from now on; takes fd. */
bool oodd_watcher_listen(struct oodd_watcher *watcher, int fd, struct ood_error *err) OOD_MUST_CHECK;
/* No new connections: closes the listening sockets. Returns once they are closed. */
void oodd_watcher_deafen(struct oodd_watcher *watcher);
size_t oodd_watcher_connections(struct oodd_watcher *watcher);

/* A new connection, in phase HEADER. per_address: the most of one address, 0: no limit. NULL: too many, *reason says of
 * what (an enum oodd_rejection). */
struct oodd_watch *oodd_watcher_add(struct oodd_watcher *watcher, int fd, const struct sockaddr *address, socklen_t size,
                                    double header_seconds, size_t per_address, int *reason);
/* Before its socket is closed. */
void oodd_watcher_remove(struct oodd_watcher *watcher, struct oodd_watch *watch);

/* The connection enters a phase that must end by `deadline` [s]. request: of phase WAITING; before it is pushed. probe: the
 * client understands 1xx answers. False: too late, the watcher has answered and closed the connection. */
bool oodd_watch_phase(struct oodd_watcher *watcher, struct oodd_watch *watch, enum oodd_phase phase, double deadline,
                      struct oodd_request *request, bool probe);
/* Kept alive for idle_seconds; once the first byte of another request came, its header has header_seconds. False: as above. */
bool oodd_watch_idle(struct oodd_watcher *watcher, struct oodd_watch *watch, double idle_seconds, double header_seconds);

const char *oodd_watch_client(const struct oodd_watch *watch);    /* its address as text */

#endif
