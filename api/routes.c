/* The table of routes: adding one is a row here, its kind in api.h, its paragraph in openapi.json. */
#include "api/api_internal.h"

const struct api_route api_routes[] = {
    { "/v1/score",         API_ROUTE_SCORE,   "POST",      false },
    { "/v1/detections",    API_ROUTE_DETECTIONS, "POST",   false },
    { "/v1/models",        API_ROUTE_MODELS,  "GET, HEAD", false },
    { "/v1/models/{name}", API_ROUTE_MODEL,   "GET, HEAD", false },
    { "/healthz",          API_ROUTE_HEALTH,  "GET, HEAD", true },
    { "/readyz",           API_ROUTE_READY,   "GET, HEAD", true },
    { "/metrics",          API_ROUTE_METRICS, "GET, HEAD", false },
    { "/openapi.json",     API_ROUTE_OPENAPI, "GET, HEAD", false },
};
const size_t api_route_count = sizeof api_routes / sizeof api_routes[0];

const struct api_route *api_route_find(const char *path, const char **tail)
{
    for (size_t i = 0; i < api_route_count; i++) {
        const char *pattern = api_routes[i].path, *hole = strchr(pattern, '{');
        size_t fixed = hole != NULL ? (size_t)(hole - pattern) : strlen(pattern);
        if (strncmp(path, pattern, fixed) != 0)
            continue;
        const char *rest = path + fixed;
        bool fits = hole != NULL ? *rest != '\0' && strchr(rest, '/') == NULL : *rest == '\0';
        if (fits) {
            *tail = hole != NULL ? rest : NULL;
            return &api_routes[i];
        }
    }
    return NULL;
}

bool api_route_allows(const struct api_route *route, const char *method)
{
    size_t length = strlen(method);
    const char *at = route->allow;
    while (length > 0) {
        size_t word = strcspn(at, ",");
        if (word == length && memcmp(at, method, length) == 0)
            return true;
        if (at[word] == '\0')
            return false;
        at += word + strspn(at + word, ", ");
    }
    return false;
}
