/* REST in meaning (docs/INTERFACE.md section 3): bodies to work, verdicts to answers, errors. Bytes in, bytes out; no
 * sockets, no threads, no clocks. The daemon owns transport, queue and metrics and calls, in this order:
 *
 *     route = api_route_find(path, &tail)              NULL: api_answer_error(API_NOT_FOUND)
 *     api_route_allows(route, method)                  no: api_answer_error(API_METHOD_NOT_ALLOWED), with Allow
 *     by route->kind: an answer at once, or for API_ROUTE_SCORE and API_ROUTE_DETECTIONS
 *     api_work_parse(…), api_scene_parse(…)            body to work                  | failure: api_answer_error
 *     … the daemon scores work->items into the verdicts, see enum api_work_kind …
 *     api_answer_score(…), api_answer_detections(…)    verdicts to JSON
 *     api_work_free */
#ifndef OODD_API_H
#define OODD_API_H

#include "ood.h"

/* Every error code a caller can see: code, word, HTTP status. Those of libood (OOD_CODES) an item or a request failed with
 * are API_ITEM: their word is ood_code_name's. docs/INTERFACE.md lists them all; a test compares. */
#define API_ERRORS(X)                                                                                                 \
    X(API_BAD_REQUEST, "bad_request", 400)                 /* malformed: JSON, base64, multipart, a header */         \
    X(API_BAD_PARAMETER, "bad_parameter", 400)             /* ?top=, ?model= of the wrong form */                     \
    X(API_NO_ITEMS, "no_items", 400)                       /* nothing to score in the body */                         \
    X(API_NOT_FOUND, "route_not_found", 404)                                                                          \
    X(API_MODEL_NOT_FOUND, "model_not_found", 404)                                                                    \
    X(API_METHOD_NOT_ALLOWED, "method_not_allowed", 405)   /* with Allow */                                           \
    X(API_DEADLINE, "deadline_exceeded", 408)                                                                         \
    X(API_LENGTH_REQUIRED, "length_required", 411)                                                                    \
    X(API_BODY_TOO_LARGE, "body_too_large", 413)                                                                      \
    X(API_TOO_MANY_ITEMS, "too_many_items", 413)                                                                      \
    X(API_UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", 415)                                                      \
    X(API_ITEM, "", 422)                                   /* the only item failed; the word is the item's */         \
    X(API_TOO_MANY_BOXES, "too_many_boxes", 422)                                                                      \
    X(API_NO_DETECTOR, "no_detector", 422)                 /* no boxes, and the model cannot find objects */          \
    X(API_QUEUE_FULL, "queue_full", 429)                   /* with Retry-After */                                     \
    X(API_HEADERS_TOO_LARGE, "headers_too_large", 431)                                                                \
    X(API_INTERNAL, "internal_error", 500)                                                                            \
    X(API_DRAINING, "draining", 503)                       /* with Retry-After */                                     \
    X(API_NO_MODEL, "no_model", 503)                                                                                  \
    X(API_NOT_READY, "not_ready", 503)                     /* /readyz, with the reason */

enum api_code {
    API_OK = 0,
#define API_CODE(code, word, status) code,
    API_ERRORS(API_CODE)
#undef API_CODE
};
const char *api_code_name(enum api_code code);
unsigned api_code_status(enum api_code code);

/* What went wrong with a request as a whole. item: the libood code where code is API_ITEM. */
struct api_error { enum api_code code; enum ood_code item; char message[504]; };
bool api_fail(struct api_error *err, enum api_code code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* The status of an error: its code's; API_ITEM is 422, but 500 where the machine and not the item is to blame (out of memory,
 * system). And its word: the code's, or for API_ITEM the item's. */
unsigned api_error_status(const struct api_error *err);
const char *api_error_word(const struct api_error *err);

/* An answer: body from malloc (free() is right for it), freed by api_answer_free. Never NULL. */
struct api_answer {
    unsigned status;
    const char *content_type;                /* static */
    char *body;
    size_t size;
    const char *allow;                       /* 405: the header's value, static; else NULL */
    unsigned retry_after;                    /* seconds; 0: no header */
    bool static_body;                        /* body is static memory: not freed */
};
void api_answer_free(struct api_answer *answer);

/* ---- routes ---- */

enum api_route_kind {
    API_ROUTE_SCORE, API_ROUTE_DETECTIONS, API_ROUTE_MODELS, API_ROUTE_MODEL, API_ROUTE_HEALTH, API_ROUTE_READY, API_ROUTE_METRICS,
    API_ROUTE_OPENAPI,
};

struct api_route {
    const char *path;                        /* "/v1/score"; "/v1/models/" + NAME: "/v1/models/{name}" */
    enum api_route_kind kind;
    const char *allow;                       /* "POST" or "GET, HEAD" */
    bool probe;                              /* /healthz, /readyz: never needs a token; also on the metrics listener */
};

extern const struct api_route api_routes[];
extern const size_t api_route_count;
/* path: decoded, without query. *tail: what stood for {name}, inside path, else NULL. NULL: no such route, *tail untouched. */
const struct api_route *api_route_find(const char *path, const char **tail);
bool api_route_allows(const struct api_route *route, const char *method);

/* ---- what is served: given by the daemon, one generation ---- */

struct api_model { const char *name; struct ood_scorer *scorer; double loaded_at; /* Unix time */ };
struct api_service {
    const struct api_model *models;
    size_t model_count, default_model;
    const char *not_ready;                   /* NULL: ready; else why not */
};

/* name NULL or "": the default. NULL: unknown, err says which names there are. */
const struct api_model *api_model_find(const struct api_service *service, const char *name, struct api_error *err);

/* False: out of memory; *answer is then a whole answer, too (500, static). HEAD is the daemon's: the same answer without body. */
bool api_answer_models(const struct api_service *service, struct api_answer *answer);
bool api_answer_model(const struct api_service *service, const struct api_model *model, struct api_answer *answer);
void api_answer_health(struct api_answer *answer);
void api_answer_ready(const struct api_service *service, const char *request_id, struct api_answer *answer);
void api_answer_openapi(struct api_answer *answer);
/* Never fails: out of memory gives a static body. request_id NULL: "". Any bytes are fine in message and request_id: what is
 * not UTF-8 is replaced. */
void api_answer_error(const struct api_error *error, const char *request_id, unsigned retry_after, const char *allow,
                      struct api_answer *answer);

/* ---- scoring ---- */

struct api_limits { size_t items, body_bytes; };

/* What the daemon does with a work. */
enum api_work_kind {
    API_WORK_ITEMS,                          /* items[count] into verdicts[count], each alone */
    API_WORK_BOXES,                          /* the scene's boxes by ood_cut, once, its crops into items[count].crop (each from
                                              * ood_alloc); then items[count] into scene.detections[count].verdict, each alone */
    API_WORK_SCENE,                          /* count is 1; the scene as a whole: ood_detect where scene.find, else ood_score_boxes */
};

/* POST /v1/detections: one picture, and boxes or none. */
struct api_scene {
    const void *picture;                     /* in the body or in memory of the work */
    size_t picture_size;
    bool find;                               /* no boxes were given: a detector finds the objects */
    struct ood_boxes boxes;
    struct ood_detection *detections;        /* [boxes.count] zeroed; where find: NULL, the daemon's from ood_alloc [result.count] */
    struct ood_scene result;
};

struct api_work {
    enum api_work_kind kind;
    size_t count;
    struct ood_item *items;                  /* point into body or into memory of the work */
    char **ids;                              /* [count] or [scene.boxes.count], NULL where the caller gave none */
    struct api_scene scene;
    struct ood_verdict *verdicts;            /* [count], zeroed: the daemon fills */
    float *logits;                           /* [count][K] if top > 0 (items' logits_out point here), else NULL */
    size_t top;                              /* ?top=, 0: not asked */
    bool single;                             /* a raw body: a failed picture is the request's own status, 422 */
    void *memory;                            /* private: what decoded base64 and tensors live in */
};

/* content_type: the header's value or NULL. body must outlive the work. top: the query's text or NULL; more than there are
 * classes means all. Everything about the request as a whole is checked here: media type, JSON (depth, duplicate keys, unknown
 * members), base64, ids (UTF-8, at most 256 bytes), items; lengths of tensors are left to ood_score. On failure nothing is to
 * be freed and *work is untouched. */
bool api_work_parse(const char *content_type, const char *top, const unsigned char *body, size_t size,
                    const struct api_limits *limits, const struct ood_scorer *scorer, struct api_work *work,
                    struct api_error *err) OOD_MUST_CHECK;
void api_work_free(struct api_work *work);

/* The same of POST /v1/detections. A malformed box is API_ITEM with OOD_BOX_INVALID, and like API_TOO_MANY_BOXES names the box by
 * index and id. Without boxes, and the scorer no detector: API_NO_DETECTOR. */
bool api_scene_parse(const char *content_type, const unsigned char *body, size_t size, const struct api_limits *limits,
                     const struct ood_scorer *scorer, struct api_work *work, struct api_error *err) OOD_MUST_CHECK;

/* Boxes alone, as a file of oodctl holds them: the text of the part `boxes`. work->scene.picture is left NULL. */
bool api_boxes_parse(const char *text, size_t size, const struct api_limits *limits, const struct ood_scorer *scorer,
                     struct api_work *work, struct api_error *err) OOD_MUST_CHECK;

struct api_timing { double queue, decode, infer; };       /* seconds */

/* Verdicts to the answer of INTERFACE section 3. A single failed picture: its own error under 422. The same function serves
 * `oodctl score --json` through api_result_json, so both print the same bytes. */
void api_answer_score(const struct api_model *model, const struct api_work *work, const char *request_id,
                      const struct api_timing *timing, struct api_answer *answer);

/* The answer of /v1/detections. A scene that failed: its own error, the box named by index and id. */
void api_answer_detections(const struct api_model *model, const struct api_work *work, const char *request_id,
                           const struct api_timing *timing, struct api_answer *answer);

/* A scene as `oodctl score --json` prints it: index, id, then the bytes of the answer from "width" to "warnings"; or "error".
 * ids NULL: none. Freed as below; NULL: out of memory. */
char *api_scene_json(const struct ood_scorer *scorer, size_t index, const char *id, const struct ood_scene *scene,
                     const struct ood_detection *detections, char *const *ids);

/* One element of "results" as compact JSON text (malloc, freed by ood_free of base/ or api_text_free), NULL: out of memory.
 * index and id as in the answer; logits [K] or NULL, top as in the work. */
char *api_result_json(const struct ood_scorer *scorer, size_t index, const char *id, const struct ood_verdict *verdict,
                      const float *logits, size_t top);
void api_text_free(char *text);

/* A request id: the caller's if it matches [A-Za-z0-9._-]{1,64}, else false. */
bool api_request_id_valid(const char *text);

#endif
