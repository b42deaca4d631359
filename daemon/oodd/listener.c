/* libmicrohttpd's daemon without a listening socket: the watcher accepts and hands connections over, so that several
 * addresses share server.threads threads and stopping to listen is ours. All its limits and timeouts are off: the watcher's
 * hold. */
#include "listener.h"

#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <unistd.h>

#include "exchange.h"
#include "log.h"
#include "metrics.h"

#define STACK_BYTES (512 * 1024)
#define CONNECTION_BYTES (32 * 1024)         /* a connection's memory: header and read buffer */

struct oodd_listener { struct MHD_Daemon *daemon; };

static void log_message(void *context, const char *format, va_list arguments) __attribute__((format(printf, 2, 0)));
static void log_message(void *context, const char *format, va_list arguments)
{
    char text[512];
    (void)context;
    vsnprintf(text, sizeof text, format, arguments);
    text[strcspn(text, "\n")] = '\0';
    oodd_log(OODD_DEBUG, "libmicrohttpd: %s", text);
}

/* %XX in place; %00 and what is not two hex digits stay as they are and so match nothing. */
static size_t unescape(void *context, struct MHD_Connection *connection, char *text)
{
    char *out = text;
    (void)context, (void)connection;
    for (const char *in = text; *in != '\0';) {
        unsigned value = 0;
        size_t digits = 0;
        for (; in[0] == '%' && digits < 2; digits++) {
            char c = in[1 + digits];
            unsigned digit = c >= '0' && c <= '9' ? (unsigned)(c - '0') : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10
                             : c >= 'A' && c <= 'F' ? (unsigned)(c - 'A') + 10 : 16;
            if (digit == 16)
                break;
            value = value * 16 + digit;
        }
        if (digits == 2 && value != 0) {
            *out++ = (char)value;
            in += 3;
        } else {
            *out++ = *in++;
        }
    }
    *out = '\0';
    return (size_t)(out - text);
}

static void notify_connection(void *context, struct MHD_Connection *connection, void **socket_context,
                              enum MHD_ConnectionNotificationCode how)
{
    struct oodd_service *service = context;
    struct oodd_watcher *watcher = oodd_service_watcher(service);
    if (how == MHD_CONNECTION_NOTIFY_CLOSED) {
        if (*socket_context != NULL)
            oodd_watcher_remove(watcher, *socket_context);
        *socket_context = NULL;
        return;
    }
    int fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd, reason = 0;
    const struct sockaddr *address = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS)->client_addr;
    struct oodd_generation *generation = oodd_service_generation(service);
    const struct oodd_config *config = oodd_generation_config(generation);
    socklen_t size = address->sa_family == AF_INET ? (socklen_t)sizeof(struct sockaddr_in)
                     : address->sa_family == AF_INET6 ? (socklen_t)sizeof(struct sockaddr_in6) : (socklen_t)sizeof(sa_family_t);
    *socket_context = oodd_watcher_add(watcher, fd, address, size, config->header_seconds, config->connections_per_address, &reason);
    if (*socket_context == NULL) {
        oodd_metrics_rejected((enum oodd_rejection)reason);
        shutdown(fd, SHUT_RDWR);             /* libmicrohttpd reads the end and closes it */
    }
    oodd_generation_free(generation);
}

struct oodd_listener *oodd_listener_start(struct oodd_service *service, size_t threads, size_t connections, struct ood_error *err)
{
    struct oodd_listener *listener = ood_new(struct oodd_listener, err);
    if (listener == NULL)
        return NULL;
    /* Far above ours: in 0.9.75 a thread that reaches its share of this limit never unlocks its list of connections. */
    size_t limit = ((connections > 0 ? connections : 65536) + 4096) * threads;
    struct MHD_OptionItem options[] = {
        { MHD_OPTION_NOTIFY_COMPLETED, (intptr_t)oodd_exchange_completed, service },
        { MHD_OPTION_NOTIFY_CONNECTION, (intptr_t)notify_connection, service },
        { MHD_OPTION_UNESCAPE_CALLBACK, (intptr_t)unescape, NULL },
        { MHD_OPTION_CONNECTION_LIMIT, (intptr_t)(limit < INT_MAX ? limit : INT_MAX), NULL },
        { MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_BYTES, NULL },
        { MHD_OPTION_THREAD_STACK_SIZE, STACK_BYTES, NULL },
        { MHD_OPTION_STRICT_FOR_CLIENT, 1, NULL },
        { threads > 1 ? MHD_OPTION_THREAD_POOL_SIZE : MHD_OPTION_END, (intptr_t)threads, NULL },
        { MHD_OPTION_END, 0, NULL },
    };
    listener->daemon = MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_NO_LISTEN_SOCKET |
                                            MHD_USE_ITC | MHD_USE_ERROR_LOG,
                                        0, NULL, NULL, oodd_exchange_handle, service, MHD_OPTION_EXTERNAL_LOGGER, log_message,
                                        NULL, MHD_OPTION_ARRAY, options, MHD_OPTION_END);
    if (listener->daemon == NULL) {
        ood_fail(err, OOD_SYSTEM, "cannot start %zu HTTP threads", threads);
        ood_free(listener);
        return NULL;
    }
    return listener;
}

void oodd_listener_add(struct oodd_listener *listener, int fd, const struct sockaddr *address, socklen_t size)
{
    (void)MHD_add_connection(listener->daemon, fd, address, size);         /* closes it on failure */
}

void oodd_listener_stop(struct oodd_listener *listener)
{
    if (listener == NULL)
        return;
    MHD_stop_daemon(listener->daemon);
    ood_free(listener);
}

size_t oodd_listener_too_slow(void *service, enum oodd_phase phase, const char *client, char *text, size_t size)
{
    struct api_error error = { 0 };
    char id[OODD_REQUEST_ID];
    bool header = phase == OODD_PHASE_HEADER;
    (void)service;
    oodd_exchange_new_id(id);
    api_fail(&error, API_DEADLINE, "the request's %s did not arrive in time", header ? "header" : "body");
    oodd_metrics_rejected(OODD_REJECTED_DEADLINE);
    if (header)
        oodd_metrics_request(NULL, 408, 0);              /* of a body: oodd_exchange_completed, which knows the route */
    oodd_log(OODD_DEBUG, "%s: %s", client, error.message);
    return oodd_exchange_raw_error(&error, id, text, size);
}
