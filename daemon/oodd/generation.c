/* Building a generation: names of models from configuration and folder, scorers, sessions. */
#include "generation.h"

#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "base/file.h"
#include "metrics.h"

struct oodd_generation {
    atomic_int references;
    struct oodd_config *config;
    size_t workers;
    struct api_model *models;                /* [service.model_count]; their names are owned */
    size_t *slots;
    struct ood_session **sessions;           /* [model][worker] */
    struct api_service service;
};

/* Every folder of models.directory, after the models that were named; a name that was is not looked for there. */
static bool add_directory(struct oodd_config *config, struct ood_error *err)
{
    struct ood_names names;
    const char *folder = config->models_directory;
    if (folder[0] == '\0')
        return true;
    if (!ood_folder_names(folder, &names, err))
        return ood_error_prefix(err, "models.directory");
    bool good = true;
    for (size_t i = 0; good && i < names.count; i++) {
        char *path = ood_format(err, "%s/%s", folder, names.items[i]), *set = NULL;
        good = path != NULL;
        bool named = names.items[i][0] == '.' || !good || !ood_is_folder(path);
        for (size_t m = 0; m < config->model_count && !named; m++)
            named = strcmp(config->models[m].name, names.items[i]) == 0;
        if (good && !named)
            good = (set = ood_format(err, "model.%s.path=%s", names.items[i], path)) != NULL &&
                   (oodd_config_set(config, set, err) || ood_error_prefix(err, "models.directory %s", folder));
        ood_free(set);
        ood_free(path);
    }
    ood_names_free(&names);
    return good;
}

static bool choose_default(struct oodd_generation *generation, struct ood_error *err)
{
    const char *name = generation->config->default_model;
    for (size_t i = 0; i < generation->service.model_count; i++)
        if (strcmp(generation->models[i].name, name) == 0) {
            generation->service.default_model = i;
            return true;
        }
    if (strcmp(name, "first") == 0)
        return true;
    return ood_fail(err, OOD_NOT_FOUND, "models.default = %s: no model of that name among %zu", name,
                    generation->service.model_count);
}

static bool open_model(struct oodd_generation *generation, size_t i, struct ood_error *err)
{
    const struct oodd_config *config = generation->config;
    const struct ood_scorer_options options = { .batch = config->batch, .picture_pixels = config->picture_pixels,
                                                .convolution = (enum ood_convolution)config->convolution };
    struct api_model *model = &generation->models[i];
    struct timespec now;
    if ((model->name = ood_strdup(config->models[i].name, err)) == NULL)
        return false;
    model->scorer = ood_scorer_open(config->models[i].path, &options, err);
    if (model->scorer == NULL)
        return ood_error_prefix(err, "model %s", model->name);
    clock_gettime(CLOCK_REALTIME, &now);
    model->loaded_at = (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
    for (size_t worker = 0; worker < generation->workers; worker++) {
        struct ood_session *session = ood_scorer_session(model->scorer, err);
        if (session == NULL)
            return ood_error_prefix(err, "model %s", model->name);
        generation->sessions[i * generation->workers + worker] = session;
    }
    return true;
}

struct oodd_generation *oodd_generation_open(struct oodd_config *config, size_t workers, void (*tick)(void *), void *context,
                                             struct ood_error *err)
{
    struct oodd_generation *generation = ood_new(struct oodd_generation, err);
    size_t sessions;
    if (generation == NULL) {
        oodd_config_free(config);
        return NULL;
    }
    atomic_init(&generation->references, 1);
    generation->config = config;
    generation->workers = workers;
    if (!add_directory(config, err))
        goto fail;
    if (!ood_mul_size(config->model_count, workers, &sessions)) {
        ood_fail(err, OOD_LIMIT, "%zu models for %zu workers are too many", config->model_count, workers);
        goto fail;
    }
    generation->models = ood_new_array(struct api_model, config->model_count, err);
    generation->slots = ood_new_array(size_t, config->model_count, err);
    generation->sessions = ood_new_array(struct ood_session *, sessions, err);
    if (generation->models == NULL || generation->slots == NULL || generation->sessions == NULL)
        goto fail;
    generation->service.models = generation->models;
    for (size_t i = 0; i < config->model_count; i++) {
        tick(context);
        generation->service.model_count = i + 1;         /* what is half open is freed, too */
        if (!open_model(generation, i, err))
            goto fail;
    }
    if (!choose_default(generation, err))
        goto fail;
    for (size_t i = 0; i < config->model_count; i++)
        generation->slots[i] = oodd_metrics_model(generation->models[i].name);
    generation->service.not_ready = config->model_count == 0 ? "no model is loaded" : NULL;
    return generation;
fail:
    oodd_generation_free(generation);
    return NULL;
}

struct oodd_generation *oodd_generation_ref(struct oodd_generation *generation)
{
    atomic_fetch_add_explicit(&generation->references, 1, memory_order_relaxed);
    return generation;
}

void oodd_generation_free(struct oodd_generation *generation)
{
    /* release: what this thread did is seen by the one who frees; acquire: by that one */
    if (generation == NULL || atomic_fetch_sub_explicit(&generation->references, 1, memory_order_acq_rel) > 1)
        return;
    for (size_t i = 0; i < generation->service.model_count; i++) {
        for (size_t worker = 0; worker < generation->workers; worker++)
            ood_session_free(generation->sessions[i * generation->workers + worker]);
        ood_scorer_free(generation->models[i].scorer);
        ood_free((char *)(uintptr_t)generation->models[i].name);
    }
    ood_free(generation->models);
    ood_free(generation->slots);
    ood_free(generation->sessions);
    oodd_config_free(generation->config);
    ood_free(generation);
}

const struct oodd_config *oodd_generation_config(const struct oodd_generation *generation) { return generation->config; }
const struct api_service *oodd_generation_service(const struct oodd_generation *generation) { return &generation->service; }
size_t oodd_generation_slot(const struct oodd_generation *generation, size_t model) { return generation->slots[model]; }

struct oodd_bench oodd_generation_bench(const struct oodd_generation *generation, size_t model, size_t worker)
{
    return (struct oodd_bench){ generation->models[model].scorer, generation->sessions[model * generation->workers + worker] };
}
