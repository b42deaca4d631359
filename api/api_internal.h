/* What the files of api/ share: header parameters, the builder that collects items, the writer of JSON text. */
#ifndef OODD_API_INTERNAL_H
#define OODD_API_INTERNAL_H

#include <string.h>

#include "api/api.h"
#include "api/writer.h"
#include "base/memory.h"

#define API_ID_BYTES 256                /* the longest id */
#define API_QUOTE_BYTES 64              /* of what a caller sent, the most an error sentence repeats */
#define API_JSON_DEPTH 8                /* a body we understand needs 4 */

/* ---- errors (errors.c) ---- */

/* Puts "WHERE: " in front of the sentence. Returns false. */
bool api_error_prefix(struct api_error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A failure of libood while a request is read: out of memory is ours, the rest the caller's. Returns false. */
bool api_fail_ood(struct api_error *err, const struct ood_error *cause);

/* ---- UTF-8 (writer.c) ---- */

/* Bytes of the well-formed character at p (RFC 3629: no surrogates, nothing overlong), 0: not well formed. p < end. */
size_t api_utf8_step(const char *p, const char *end);
bool api_utf8_valid(const char *text, size_t size);

/* ---- header values (header.c): RFC 9110 section 5.6 ---- */

struct api_slice { const char *data; size_t size; };

#define API_VALUE_ROOM 320
struct api_parameter {
    struct api_slice name;
    size_t size;                        /* the value's true length; what does not fit into value is not kept */
    char value[API_VALUE_ROOM];
};

/* The part of a header's value before its first ";" without blanks around it; *at then stands at the parameters. */
struct api_slice api_header_word(const char **at, const char *end);
/* The next parameter: 1 found, 0 no more, -1 malformed. */
int api_header_parameter(const char **at, const char *end, struct api_parameter *parameter);
bool api_slice_is(struct api_slice slice, const char *word);                /* ASCII case does not matter */
bool api_slice_starts(struct api_slice slice, const char *word);
/* type "/" subtype, both tokens. */
bool api_slice_is_media_type(struct api_slice slice);
bool api_is_token_byte(char byte);

/* ---- collecting items (request.c) ---- */

struct api_builder {
    struct api_work *work;
    const struct api_limits *limits;
    size_t classes, dimension;          /* K, D: how many numbers a body may sensibly hold */
    struct ood_pool *pool;              /* lives as long as the work */
    size_t item_capacity, id_capacity;
};

/* id NULL: none was given. Too many items, an id too long or not UTF-8: false. */
bool api_builder_add(struct api_builder *builder, const struct ood_item *item, const char *id, size_t id_size,
                     struct api_error *err) OOD_MUST_CHECK;

/* An id's length and bytes. */
bool api_id_check(const char *id, size_t size, struct api_error *err) OOD_MUST_CHECK;

/* multipart/form-data (multipart.c): each part in its order; *parts: how many. A taker's API_BAD_REQUEST gets the part's number
 * in front. An empty body has no parts. */
struct api_part {
    bool file;                          /* a filename or an image type */
    const char *name;                   /* what fits into API_VALUE_ROOM; name_size is the true length */
    size_t name_size;
    const unsigned char *data;          /* in the body */
    size_t size;
};
typedef bool api_part_taker(void *context, const struct api_part *part, struct api_error *err);
bool api_multipart_parse(const char *content_type, const unsigned char *body, size_t size, api_part_taker *take, void *context,
                         size_t *parts, struct api_error *err) OOD_MUST_CHECK;

/* A body's media type (request.c): of those both routes take; NULL, or another: API_UNSUPPORTED_MEDIA_TYPE. */
enum api_media { API_MEDIA_PICTURE, API_MEDIA_MULTIPART, API_MEDIA_JSON };
bool api_media_parse(const char *content_type, enum api_media *media, struct api_error *err) OOD_MUST_CHECK;

/* A body to items (json.c). */
bool api_json_parse(struct api_builder *builder, const unsigned char *body, size_t size, struct api_error *err) OOD_MUST_CHECK;

/* ---- writing JSON (writer.h) ---- */

/* Hands the text over as an answer, or the static answer for no memory. */
void api_answer_from_writer(struct api_writer *writer, unsigned status, struct api_answer *answer);
extern const char api_json_type[];

#endif
