/* The description of the interface, api/openapi.json, as it stands in the source tree. */
#include "api/api_internal.h"

static const unsigned char description[] = {
#include "api/openapi_json.h"
};

void api_answer_openapi(struct api_answer *answer)
{
    *answer = (struct api_answer){ .status = 200, .content_type = api_json_type, .body = (char *)description,
                                   .size = sizeof description, .static_body = true };
}
