/* What the readers of JSON bodies share (json.c): bounds before parsing, members, base64, the words of their errors. */
#ifndef OODD_API_JSON_INTERNAL_H
#define OODD_API_JSON_INTERNAL_H

#include <jansson.h>

#include "api/api_internal.h"

/* Depth and number of values, before the parser allocates for them. */
bool api_json_scan(const unsigned char *body, size_t size, size_t values_limit, struct api_error *err) OOD_MUST_CHECK;
/* The tree, integers as reals; NULL: malformed, err says where. */
json_t *api_json_load(const unsigned char *body, size_t size, struct api_error *err) OOD_MUST_CHECK;

const char *api_json_type_name(const json_t *value);            /* "an object", … */
bool api_json_wrong_type(struct api_error *err, const char *name, const json_t *value, const char *expected);

/* A member of an object, counted in *known; NULL: not there. */
json_t *api_json_member(json_t *object, const char *name, size_t *known);
/* Names the first member that is none of known[] (ends in NULL). Returns false. */
bool api_json_unknown_member(json_t *object, const char *const *known, const char *expected, struct api_error *err);

/* RFC 4648 section 4, strictly, into the pool: item->picture and picture_size. name: the member's, for errors. */
bool api_json_base64(struct ood_pool *pool, const char *name, const char *text, size_t size, struct ood_item *item,
                     struct api_error *err) OOD_MUST_CHECK;

#endif
