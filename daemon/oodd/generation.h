/* A generation: a configuration and the scorers it asks for, built whole beside the running one. Counted; a request holds a
 * reference from its header to its end, so that it ends on the generation it began with. */
#ifndef OODD_GENERATION_H
#define OODD_GENERATION_H

#include "api/api.h"
#include "configuration.h"
#include "workers.h"

struct oodd_generation;

/* Takes config, also on failure. Opens each bundle (which self-tests it) and makes a session in it for each worker; `tick`
 * is called before each, which may take seconds. Errors name the bundle. */
struct oodd_generation *oodd_generation_open(struct oodd_config *config, size_t workers, void (*tick)(void *), void *context,
                                             struct ood_error *err) OOD_MUST_CHECK;
struct oodd_generation *oodd_generation_ref(struct oodd_generation *generation);
/* The last reference frees. Takes NULL. */
void oodd_generation_free(struct oodd_generation *generation);

const struct oodd_config *oodd_generation_config(const struct oodd_generation *generation);
const struct api_service *oodd_generation_service(const struct oodd_generation *generation);
/* The slot of model i in the metrics. */
size_t oodd_generation_slot(const struct oodd_generation *generation, size_t model);
struct oodd_bench oodd_generation_bench(const struct oodd_generation *generation, size_t model, size_t worker);

#endif
