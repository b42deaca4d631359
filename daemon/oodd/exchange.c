/* A request from its header to its answer, on the HTTP thread. libmicrohttpd calls oodd_exchange_handle
 *
 *     once with the header       route, method, model, lengths: what is wrong is answered before a body is sent, where one
 *                                announced itself (Expect) or is long; a short one is read first, so that the connection lives
 *     with each piece of body    collected, bounded
 *     at the end                 answered at once, or parsed, admitted and suspended
 *     after it was resumed       the answer
 *
 * and oodd_exchange_completed exactly once, whatever happened. */
#include "exchange.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "log.h"
#include "metrics.h"

#define HEADER_MOST 16384                    /* of a request; libmicrohttpd's own limit, by its memory, is about twice that */
#define DISCARD_MOST 65536                   /* a refused body up to here is read, so that the connection can go on */
#define BODY_FIRST 16384                     /* reserved for a body whose length is not believed before it comes */
#define RETRY_UNREADY 5                      /* [s] Retry-After of 503 */

struct oodd_exchange {
    struct oodd_request request;             /* first: the queue gives it back */
    struct oodd_service *service;
    struct MHD_Connection *connection;
    struct oodd_watch *watch;
    const struct api_route *route;           /* NULL: none */
    const char *tail;                        /* what stood for {name} */
    const char *method, *url;                /* libmicrohttpd's, until completed */
    char id[OODD_REQUEST_ID];
    double started;                          /* [s] end of the header */
    unsigned char *body;
    size_t body_size, body_capacity;
    bool discard;                            /* what comes of the body is not kept */
    bool began, bounced, suspended, parsed, interim, last;
    struct api_error refusal;                /* code API_OK: none */
    unsigned retry_after, status;
    size_t answer_bytes;
};

static const struct oodd_config *config_of(const struct oodd_exchange *exchange)
{
    return oodd_generation_config(exchange->request.generation);
}

static const struct api_model *model_of(const struct oodd_exchange *exchange)
{
    return &oodd_generation_service(exchange->request.generation)->models[exchange->request.model];
}

/* Does the route take a body to score? */
static bool takes_work(const struct api_route *route)
{
    return route->kind == API_ROUTE_SCORE || route->kind == API_ROUTE_DETECTIONS;
}

/* ---- ids ---- */

/* 16 hexadecimal digits: a count, stirred (splitmix64), from a random beginning. */
void oodd_exchange_new_id(char id[OODD_REQUEST_ID])
{
    static _Atomic uint64_t count;
    static _Atomic bool begun;
    if (!atomic_exchange(&begun, true)) {
        uint64_t start = 0;
        if (getrandom(&start, sizeof start, GRND_NONBLOCK) == (ssize_t)sizeof start)
            atomic_fetch_add(&count, start);
    }
    uint64_t z = atomic_fetch_add_explicit(&count, 1, memory_order_relaxed) * UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    snprintf(id, OODD_REQUEST_ID, "%016llx", (unsigned long long)(z ^ z >> 31));
}

/* ---- making and destroying ---- */

static void resume(struct oodd_request *request)
{
    MHD_resume_connection(((struct oodd_exchange *)request)->connection);
}

static void destroy(struct oodd_request *request)
{
    struct oodd_exchange *exchange = (struct oodd_exchange *)request;
    if (exchange->parsed)
        api_work_free(&request->work);
    ood_free(exchange->body);
    oodd_generation_free(request->generation);
    ood_free(exchange);
}

static const char *header(const struct oodd_exchange *exchange, const char *name)
{
    return MHD_lookup_connection_value(exchange->connection, MHD_HEADER_KIND, name);
}

static const char *argument(const struct oodd_exchange *exchange, const char *name)
{
    return MHD_lookup_connection_value(exchange->connection, MHD_GET_ARGUMENT_KIND, name);
}

static struct oodd_exchange *exchange_new(struct oodd_service *service, struct MHD_Connection *connection, const char *url,
                                          const char *method, const char *version)
{
    struct ood_error err = { 0 };
    struct oodd_exchange *exchange = ood_new(struct oodd_exchange, &err);
    if (exchange == NULL)
        return NULL;
    exchange->service = service;
    exchange->connection = connection;
    exchange->watch = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
    exchange->url = url;
    exchange->method = method;
    exchange->interim = strcmp(version, MHD_HTTP_VERSION_1_1) == 0;
    exchange->started = ood_clock();
    exchange->request.generation = oodd_service_generation(service);
    exchange->request.resume = resume;
    exchange->request.destroy = destroy;
    exchange->request.deadline = exchange->started + config_of(exchange)->request_seconds;
    exchange->request.batch = config_of(exchange)->batch;
    const char *id = header(exchange, "X-Request-Id");
    if (id != NULL && api_request_id_valid(id))
        snprintf(exchange->id, sizeof exchange->id, "%s", id);
    else
        oodd_exchange_new_id(exchange->id);
    return exchange;
}

/* ---- answering ---- */

/* False: the watcher has closed the connection. */
static bool begin_sending(struct oodd_exchange *exchange)
{
    return oodd_watch_phase(oodd_service_watcher(exchange->service), exchange->watch, OODD_PHASE_SENDING,
                            ood_clock() + config_of(exchange)->body_seconds, NULL, false);
}

static enum MHD_Result respond(struct oodd_exchange *exchange, struct api_answer *answer)
{
    struct MHD_Response *response =
        answer->static_body ? MHD_create_response_from_buffer(answer->size, answer->body, MHD_RESPMEM_PERSISTENT)
                            : MHD_create_response_from_buffer_with_free_callback(answer->size, answer->body, free);
    char seconds[16];
    if (response == NULL) {
        api_answer_free(answer);
        return MHD_NO;
    }
    bool good = MHD_add_response_header(response, "X-Request-Id", exchange->id) == MHD_YES &&
                MHD_add_response_header(response, "Content-Type", answer->content_type) == MHD_YES;
    snprintf(seconds, sizeof seconds, "%u", answer->retry_after);
    if (good && answer->retry_after > 0)
        good = MHD_add_response_header(response, "Retry-After", seconds) == MHD_YES;
    if (good && answer->allow != NULL)
        good = MHD_add_response_header(response, "Allow", answer->allow) == MHD_YES;
    if (good && (exchange->last || oodd_service_closing(exchange->service)))
        good = MHD_add_response_header(response, "Connection", "close") == MHD_YES;
    exchange->status = answer->status;
    exchange->answer_bytes = strcmp(exchange->method, MHD_HTTP_METHOD_HEAD) != 0 ? answer->size : 0;
    good = good && (exchange->suspended || begin_sending(exchange));
    enum MHD_Result result = good ? MHD_queue_response(exchange->connection, answer->status, response) : MHD_NO;
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result respond_error(struct oodd_exchange *exchange, const struct api_error *error, unsigned retry_after)
{
    struct api_answer answer = { 0 };
    const char *allow = error->code == API_METHOD_NOT_ALLOWED ? exchange->route->allow : NULL;
    api_answer_error(error, exchange->id, retry_after, allow, &answer);
    if (exchange->request.state == OODD_COLLECTING)
        oodd_queue_refuse(oodd_service_queue(exchange->service), &exchange->request);
    return respond(exchange, &answer);
}

size_t oodd_exchange_raw_error(const struct api_error *error, const char *id, char *text, size_t size)
{
    struct api_answer answer = { 0 };
    api_answer_error(error, id, 0, NULL, &answer);
    int length = snprintf(text, size,
                          "HTTP/1.1 %u %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\nX-Request-Id: %s\r\nConnection: close\r\n\r\n%.*s",
                          answer.status, MHD_get_reason_phrase_for(answer.status), answer.content_type, answer.size, id,
                          (int)answer.size, answer.body);
    api_answer_free(&answer);
    return length < 0 ? 0 : (size_t)length < size ? (size_t)length : size - 1;
}

/* ---- the header ---- */

static bool refuse(struct oodd_exchange *exchange, enum api_code code, unsigned retry_after)
{
    exchange->refusal.code = code;
    exchange->retry_after = retry_after;
    return false;
}

/* The declared length of the body; false: none is declared (it may come in chunks). libmicrohttpd checked its digits. */
static bool declared_length(const struct oodd_exchange *exchange, uint64_t *length)
{
    const char *text = header(exchange, "Content-Length");
    *length = 0;
    if (text == NULL)
        return false;
    for (; *text >= '0' && *text <= '9'; text++)
        if (__builtin_mul_overflow(*length, 10u, length) || __builtin_add_overflow(*length, (uint64_t)(*text - '0'), length))
            *length = UINT64_MAX;
    return true;
}

/* What can be said before the body. False: refusal is set. */
static bool inspect_score(struct oodd_exchange *exchange, bool declared)
{
    const struct api_service *service = oodd_generation_service(exchange->request.generation);
    if (oodd_service_closing(exchange->service)) {
        api_fail(&exchange->refusal, API_DRAINING, "the service is stopping");
        oodd_metrics_rejected(OODD_REJECTED_DRAINING);
        return refuse(exchange, API_DRAINING, RETRY_UNREADY);
    }
    const struct api_model *model = api_model_find(service, argument(exchange, "model"), &exchange->refusal);
    if (model == NULL) {
        if (exchange->refusal.code == API_NO_MODEL)
            oodd_metrics_rejected(OODD_REJECTED_NO_MODEL);
        return refuse(exchange, exchange->refusal.code, exchange->refusal.code == API_NO_MODEL ? RETRY_UNREADY : 0);
    }
    exchange->request.model = (size_t)(model - service->models);
    if (!declared && header(exchange, "Transfer-Encoding") == NULL)
        return api_fail(&exchange->refusal, API_LENGTH_REQUIRED, "a body with Content-Length (at most %zu bytes) or in chunks is "
                        "expected", config_of(exchange)->body_bytes);
    return true;
}

static bool inspect(struct oodd_exchange *exchange, uint64_t length, bool declared)
{
    size_t header_size = MHD_get_connection_info(exchange->connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE)->header_size;
    size_t most = config_of(exchange)->body_bytes;
    if (header_size > HEADER_MOST)
        return api_fail(&exchange->refusal, API_HEADERS_TOO_LARGE, "the request's header has %zu bytes: expected at most %d",
                        header_size, HEADER_MOST);
    exchange->route = api_route_find(exchange->url, &exchange->tail);
    if (exchange->route == NULL)
        return api_fail(&exchange->refusal, API_NOT_FOUND, "no route %.200s; GET /openapi.json describes those there are",
                        exchange->url);
    if (!api_route_allows(exchange->route, exchange->method))
        return api_fail(&exchange->refusal, API_METHOD_NOT_ALLOWED, "%.32s is not a method of %s: expected %s", exchange->method,
                        exchange->route->path, exchange->route->allow);
    if (length > most)
        return api_fail(&exchange->refusal, API_BODY_TOO_LARGE, "the body has %llu bytes: expected at most %zu",
                        (unsigned long long)length, most);
    return !takes_work(exchange->route) || inspect_score(exchange, declared);
}

static enum MHD_Result begin(struct oodd_exchange *exchange)
{
    uint64_t length;
    bool declared = declared_length(exchange, &length), chunks = header(exchange, "Transfer-Encoding") != NULL;
    exchange->began = true;
    if (!oodd_watch_phase(oodd_service_watcher(exchange->service), exchange->watch, OODD_PHASE_BODY,
                          exchange->started + config_of(exchange)->body_seconds, NULL, false))
        return MHD_NO;
    bool good = inspect(exchange, length, declared);
    exchange->discard = !good || !takes_work(exchange->route);
    if (!good && (chunks || length > DISCARD_MOST || (length > 0 && header(exchange, "Expect") != NULL))) {
        exchange->last = true;
        return respond_error(exchange, &exchange->refusal, exchange->retry_after);
    }
    if (good && !exchange->discard && length > 0) {
        struct ood_error err = { 0 };
        if (!ood_grow(&exchange->body, &exchange->body_capacity, length < BODY_FIRST ? (size_t)length : BODY_FIRST, 1, &err))
            exchange->discard = !api_fail(&exchange->refusal, API_INTERNAL, "%s", err.message);
    }
    return MHD_YES;
}

/* ---- the body ---- */

/* Too late for libmicrohttpd to be asked for an answer: it is sent past it, and the connection closed. */
static enum MHD_Result cut_off(struct oodd_exchange *exchange)
{
    char text[2048];
    int fd = MHD_get_connection_info(exchange->connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
    size_t size = oodd_exchange_raw_error(&exchange->refusal, exchange->id, text, sizeof text);
    oodd_queue_refuse(oodd_service_queue(exchange->service), &exchange->request);
    if (begin_sending(exchange)) {
        (void)!send(fd, text, size, MSG_DONTWAIT | MSG_NOSIGNAL);
        exchange->status = api_error_status(&exchange->refusal);
        exchange->answer_bytes = size;
    }
    return MHD_NO;
}

static enum MHD_Result collect(struct oodd_exchange *exchange, const char *data, size_t size)
{
    struct ood_error err = { 0 };
    size_t most = exchange->discard ? DISCARD_MOST : config_of(exchange)->body_bytes;
    if (exchange->route != NULL && !takes_work(exchange->route) && exchange->refusal.code == API_OK)
        most = config_of(exchange)->body_bytes;          /* a body nobody asked for is read, and forgotten */
    if (size > most - exchange->body_size) {
        api_fail(&exchange->refusal, API_BODY_TOO_LARGE, "the body is longer than %zu bytes", most);
        return cut_off(exchange);
    }
    if (!exchange->discard && !ood_grow(&exchange->body, &exchange->body_capacity, exchange->body_size + size, 1, &err)) {
        api_fail(&exchange->refusal, API_INTERNAL, "%s", err.message);
        return cut_off(exchange);
    }
    if (!exchange->discard)
        memcpy(exchange->body + exchange->body_size, data, size);
    exchange->body_size += size;
    return MHD_YES;
}

/* ---- the end ---- */

static enum MHD_Result answer_metrics(struct oodd_exchange *exchange)
{
    struct ood_error err = { 0 };
    struct oodd_queue_state queue = oodd_queue_look(oodd_service_queue(exchange->service));
    struct oodd_gauges gauges = { .queue_items = queue.items, .queue_limit = queue.limit, .workers_busy = queue.busy,
                                  .workers = oodd_service_workers(exchange->service),
                                  .connections = oodd_watcher_connections(oodd_service_watcher(exchange->service)),
                                  .service = oodd_generation_service(exchange->request.generation) };
    struct api_answer answer = { .status = 200, .content_type = "text/plain; version=0.0.4; charset=utf-8" };
    answer.body = oodd_metrics_text(&gauges, &answer.size, &err);
    if (answer.body == NULL) {
        struct api_error error = { 0 };
        api_fail(&error, API_INTERNAL, "%s", err.message);
        return respond_error(exchange, &error, 0);
    }
    oodd_queue_refuse(oodd_service_queue(exchange->service), &exchange->request);
    return respond(exchange, &answer);
}

static enum MHD_Result answer_at_once(struct oodd_exchange *exchange)
{
    struct api_service service = *oodd_generation_service(exchange->request.generation);
    struct api_answer answer = { 0 };
    struct api_error error = { 0 };
    const struct api_model *model;
    switch (exchange->route->kind) {
    case API_ROUTE_MODELS:
        (void)api_answer_models(&service, &answer);
        break;
    case API_ROUTE_MODEL:
        model = api_model_find(&service, exchange->tail, &error);
        if (model == NULL)
            return respond_error(exchange, &error, 0);
        (void)api_answer_model(&service, model, &answer);
        break;
    case API_ROUTE_HEALTH:
        api_answer_health(&answer);
        break;
    case API_ROUTE_READY:
        service.not_ready = oodd_service_not_ready(exchange->service, exchange->request.generation);
        api_answer_ready(&service, exchange->id, &answer);
        break;
    case API_ROUTE_OPENAPI:
        api_answer_openapi(&answer);
        break;
    case API_ROUTE_METRICS:
    case API_ROUTE_SCORE:
    case API_ROUTE_DETECTIONS:
        return answer_metrics(exchange);
    }
    oodd_queue_refuse(oodd_service_queue(exchange->service), &exchange->request);
    return respond(exchange, &answer);
}

static bool parse(struct oodd_exchange *exchange, struct api_error *error)
{
    static const enum oodd_way ways[] = { [API_WORK_ITEMS] = OODD_BY_ITEMS, [API_WORK_BOXES] = OODD_CUT_FIRST, [API_WORK_SCENE] = OODD_ALONE };
    const struct oodd_config *config = config_of(exchange);
    const struct api_limits limits = { config->items, config->body_bytes };
    const struct ood_scorer *scorer = model_of(exchange)->scorer;
    const unsigned char *body = exchange->body != NULL ? exchange->body : (const unsigned char *)"";
    const char *type = header(exchange, "Content-Type");
    struct oodd_request *request = &exchange->request;
    exchange->parsed = exchange->route->kind == API_ROUTE_DETECTIONS
                           ? api_scene_parse(type, body, exchange->body_size, &limits, scorer, &request->work, error)
                           : api_work_parse(type, argument(exchange, "top"), body, exchange->body_size, &limits, scorer, &request->work, error);
    request->way = ways[request->work.kind];
    return exchange->parsed;
}

/* Parses and admits. The connection is suspended before the push, after which the request may be resumed at any moment. */
static enum MHD_Result admit(struct oodd_exchange *exchange)
{
    struct oodd_queue *queue = oodd_service_queue(exchange->service);
    struct api_error error = { 0 };
    if (!parse(exchange, &error))
        return respond_error(exchange, &error, 0);
    enum oodd_admission admission = oodd_queue_reserve(queue, exchange->request.work.count);
    if (admission == OODD_CLOSED) {
        oodd_metrics_rejected(OODD_REJECTED_DRAINING);
        api_fail(&error, API_DRAINING, "the service is stopping");
        return respond_error(exchange, &error, RETRY_UNREADY);
    }
    if (admission == OODD_FULL) {
        oodd_metrics_rejected(OODD_REJECTED_QUEUE_FULL);
        api_fail(&error, API_QUEUE_FULL, "%zu items do not fit into the queue of %zu", exchange->request.work.count,
                 oodd_queue_look(queue).limit);
        return respond_error(exchange, &error, oodd_queue_retry_after(queue));
    }
    exchange->suspended = true;
    MHD_suspend_connection(exchange->connection);
    (void)oodd_watch_phase(oodd_service_watcher(exchange->service), exchange->watch, OODD_PHASE_WAITING, exchange->request.deadline,
                           &exchange->request, exchange->interim);
    oodd_queue_push(queue, &exchange->request);
    return MHD_YES;
}

static enum MHD_Result answer_scored(struct oodd_exchange *exchange)
{
    struct oodd_request *request = &exchange->request;
    struct api_timing timing = { .queue = request->taken - request->admitted, .decode = request->timing.decode,
                                 .infer = request->timing.infer };
    struct api_answer answer = { 0 };
    size_t slot = oodd_generation_slot(request->generation, request->model);
    oodd_metrics_queued(timing.queue);
    if (request->work.kind == API_WORK_ITEMS) {
        for (size_t i = 0; i < request->work.count; i++)
            oodd_metrics_item(slot, &request->work.verdicts[i]);
        api_answer_score(model_of(exchange), &request->work, exchange->id, &timing, &answer);
    } else {
        const struct api_scene *scene = &request->work.scene;
        for (size_t i = 0; scene->result.error.code == OOD_OK && i < scene->result.count; i++)
            oodd_metrics_item(slot, &scene->detections[i].verdict);
        api_answer_detections(model_of(exchange), &request->work, exchange->id, &timing, &answer);
    }
    return respond(exchange, &answer);
}

static enum MHD_Result answer_resumed(struct oodd_exchange *exchange)
{
    struct api_error error = { 0 };
    switch (exchange->request.outcome) {
    case OODD_SCORED:
        return answer_scored(exchange);
    case OODD_EXPIRED:
        oodd_metrics_rejected(OODD_REJECTED_DEADLINE);
        api_fail(&error, API_DEADLINE, "not scored within %g seconds", config_of(exchange)->request_seconds);
        return respond_error(exchange, &error, 0);
    case OODD_GONE:
        oodd_metrics_rejected(OODD_REJECTED_CLIENT_GONE);
        return MHD_NO;
    case OODD_STOPPED:
        oodd_metrics_rejected(OODD_REJECTED_DRAINING);
        api_fail(&error, API_DRAINING, "the service is stopping");
        return respond_error(exchange, &error, RETRY_UNREADY);
    case OODD_FAILED:
        oodd_log(OODD_ERROR, "request %s: %s", exchange->id, exchange->request.error.message);
        api_fail(&error, API_INTERNAL, "%s", exchange->request.error.message);
        return respond_error(exchange, &error, 0);
    case OODD_PENDING:
    case OODD_REFUSED:
        break;
    }
    return MHD_NO;
}

static enum MHD_Result finish(struct oodd_exchange *exchange)
{
    if (exchange->suspended) {
        /* Leaving phase WAITING before anything else: from here on the watcher keeps its hands off the request. */
        return begin_sending(exchange) ? answer_resumed(exchange) : MHD_NO;
    }
    if (exchange->refusal.code != API_OK)
        return respond_error(exchange, &exchange->refusal, exchange->retry_after);
    if (!takes_work(exchange->route))
        return answer_at_once(exchange);
    if (!exchange->bounced) {
        /* libmicrohttpd 0.9.75 reads once more from a connection it resumes, and takes the end of a half-closed one for the
         * client's leaving, unless it was suspended while it waited for us. Saying nothing makes it so: it calls again. */
        exchange->bounced = true;
        return MHD_YES;
    }
    return admit(exchange);
}

enum MHD_Result oodd_exchange_handle(void *context, struct MHD_Connection *connection, const char *url, const char *method,
                                     const char *version, const char *upload, size_t *upload_size, void **slot)
{
    struct oodd_exchange *exchange = *slot;
    if (exchange == NULL) {
        exchange = exchange_new(context, connection, url, method, version);
        *slot = exchange;
        if (exchange == NULL || exchange->watch == NULL)
            return MHD_NO;
    }
    if (!exchange->began)
        return begin(exchange);
    if (*upload_size == 0)
        return finish(exchange);
    size_t size = *upload_size;
    *upload_size = 0;
    return collect(exchange, upload, size);
}

/* ---- after it ---- */

void oodd_exchange_completed(void *context, struct MHD_Connection *connection, void **slot, enum MHD_RequestTerminationCode how)
{
    struct oodd_exchange *exchange = *slot;
    (void)context, (void)connection, (void)how;
    if (exchange == NULL)
        return;
    *slot = NULL;
    const struct oodd_config *config = config_of(exchange);
    double seconds = ood_clock() - exchange->started;
    if (exchange->watch != NULL &&
        !oodd_watch_idle(oodd_service_watcher(exchange->service), exchange->watch, config->request_seconds, config->header_seconds) &&
        exchange->status == 0)
        exchange->status = 408;              /* said by the watcher */
    oodd_metrics_request(exchange->route, exchange->status, seconds);
    struct oodd_access access = { .client = exchange->watch != NULL ? oodd_watch_client(exchange->watch) : "", .method = exchange->method,
                                  .path = exchange->url, .request_id = exchange->id, .bytes = exchange->answer_bytes,
                                  .status = exchange->status, .seconds = seconds };
    if (exchange->parsed) {
        access.model = model_of(exchange)->name;
        access.items = exchange->request.work.count;
    }
    oodd_log_access(&access);
    oodd_queue_complete(oodd_service_queue(exchange->service), &exchange->request);
}
