/* Every answer a test sees is written down, one JSON line each, where OOD_API_ANSWERS names a file: openapi_check.py then
 * holds each against openapi.json. */
#ifndef OOD_TESTS_RECORD_H
#define OOD_TESTS_RECORD_H

#include "api/api.h"

/* route: as in api_routes, "/v1/models/{name}". */
void record_answer(const char *method, const char *route, const struct api_answer *answer);

#endif
