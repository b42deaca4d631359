/* The HTTP server: libmicrohttpd's threads, and what they call back. */
#ifndef OODD_LISTENER_H
#define OODD_LISTENER_H

#include "service.h"

struct oodd_listener;

/* Starts `threads` threads that serve the connections given to oodd_listener_add. */
struct oodd_listener *oodd_listener_start(struct oodd_service *service, size_t threads, size_t connections,
                                          struct ood_error *err) OOD_MUST_CHECK;
/* Takes fd. */
void oodd_listener_add(struct oodd_listener *listener, int fd, const struct sockaddr *address, socklen_t size);
/* Closes every connection; none may be suspended. Takes NULL. */
void oodd_listener_stop(struct oodd_listener *listener);

/* The whole 408 for a client whose header or body is too slow, so that libmicrohttpd has no request to answer; counts it. */
size_t oodd_listener_too_slow(void *service, enum oodd_phase phase, const char *client, char *text, size_t size);

#endif
