/* What is served: finding a model by its name, and describing it (docs/INTERFACE.md section 3, GET /v1/models). */
#include "api/api_internal.h"

#include <stdio.h>

#include "scorer/scorer.h"

/* "a, b, c", as much of it as fits. */
static void list_names(const struct api_service *service, char *text, size_t size)
{
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; i < service->model_count; i++) {
        int written = snprintf(text + used, size - used, "%s%s", i > 0 ? ", " : "", service->models[i].name);
        if (written < 0 || (size_t)written >= size - used)
            break;
        used += (size_t)written;
    }
}

const struct api_model *api_model_find(const struct api_service *service, const char *name, struct api_error *err)
{
    char names[256];
    if (service->model_count == 0) {
        api_fail(err, API_NO_MODEL, "no model is loaded");
        return NULL;
    }
    if (name == NULL || *name == '\0')
        return &service->models[service->default_model < service->model_count ? service->default_model : 0];
    for (size_t i = 0; i < service->model_count; i++)
        if (strcmp(service->models[i].name, name) == 0)
            return &service->models[i];
    list_names(service, names, sizeof names);
    api_fail(err, API_MODEL_NOT_FOUND, "no model is named \"%.*s\"; there are: %s", API_QUOTE_BYTES, name, names);
    return NULL;
}

static void write_name(struct api_writer *writer, const char *name)
{
    api_write(writer, ",\"");
    api_write_text(writer, name);
    api_write(writer, "\":");
}

static void write_word(struct api_writer *writer, const char *name, const char *word)
{
    write_name(writer, name);
    api_write_string(writer, word);
}

static void write_count(struct api_writer *writer, const char *name, size_t count)
{
    write_name(writer, name);
    api_write_size(writer, count);
}

static void write_real(struct api_writer *writer, const char *name, double value)
{
    write_name(writer, name);
    api_write_double(writer, value);
}

static void write_floats(struct api_writer *writer, const char *name, const float *values, size_t count)
{
    write_name(writer, name);
    api_write(writer, "[");
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            api_write(writer, ",");
        api_write_float(writer, values[i]);
    }
    api_write(writer, "]");
}

static void write_input(struct api_writer *writer, const struct ood_bundle *bundle)
{
    const struct ood_preprocess *input = &bundle->input;
    size_t channels = input->channels == OOD_CHANNELS_GREY ? 1 : 3;
    api_write(writer, ",\"input\":{\"tensor\":");
    api_write_string(writer, bundle->input_tensor);
    write_count(writer, "width", input->width);
    write_count(writer, "height", input->height);
    write_word(writer, "channels", ood_channels_name(input->channels));
    write_word(writer, "layout", ood_input_layout_name(input->layout));
    write_word(writer, "resize", ood_resize_name(input->resize));
    if (input->resize == OOD_RESIZE_SHORT_SIDE)
        write_count(writer, "resize_to", input->resize_to);
    write_word(writer, "filter", ood_filter_name(input->filter));
    write_name(writer, "scale");
    api_write_float(writer, input->scale);
    write_floats(writer, "mean", input->mean, channels);
    write_floats(writer, "std", input->std, channels);
    api_write(writer, "}");
}

static void write_score(struct api_writer *writer, const struct ood_bundle *bundle)
{
    const struct ood_judge *judge = &bundle->judge;
    api_write(writer, ",\"score\":{\"temperature\":");
    api_write_double(writer, judge->temperature);
    write_word(writer, "distance", judge->distance == OOD_DISTANCE_NEAREST ? "nearest" : "predicted");
    write_real(writer, "beta", judge->beta);
    write_word(writer, "beta_from", ood_beta_from_name(bundle->beta_from));
    write_real(writer, "energy_mean", judge->energy_mean);
    write_real(writer, "energy_std", judge->energy_std);
    write_real(writer, "representation_mean", judge->representation_mean);
    write_real(writer, "representation_std", judge->representation_std);
    api_write(writer, "},\"decision\":{\"alpha\":");
    api_write_double(writer, judge->alpha);
    write_real(writer, "alpha_review", judge->alpha_review);
    write_real(writer, "threshold", judge->threshold);
    write_real(writer, "review_threshold", judge->review_threshold);
    write_name(writer, "per_class");
    api_write_bool(writer, judge->per_class);
    write_count(writer, "calibration_items", judge->calibration_count);
    api_write(writer, "}");
}

static const char *convolution_name(enum ood_convolution convolution)
{
    return convolution == OOD_CONVOLUTION_WINOGRAD ? "winograd" : "direct";
}

static void write_model(struct api_writer *writer, const struct api_service *service, const struct api_model *model)
{
    const struct ood_bundle *bundle = ood_scorer_bundle(model->scorer);
    api_write(writer, "{\"name\":");
    api_write_string(writer, model->name);
    write_word(writer, "version", bundle->version);
    write_name(writer, "default");
    api_write_bool(writer, model == api_model_find(service, NULL, &(struct api_error){ 0 }));
    write_name(writer, "loaded_at");
    api_write_seconds(writer, model->loaded_at);
    write_count(writer, "classes", bundle->classes);
    write_count(writer, "dimension", bundle->judge.dimension);
    api_write(writer, ",\"labels\":[");
    for (size_t i = 0; i < bundle->classes; i++) {
        if (i > 0)
            api_write(writer, ",");
        api_write_string(writer, bundle->labels[i]);
    }
    api_write(writer, "]");
    write_input(writer, bundle);
    api_write(writer, ",\"taps\":{\"logits\":");
    api_write_string(writer, bundle->logits_tap);
    write_word(writer, "features", bundle->features_tap);
    api_write(writer, "}");
    write_score(writer, bundle);
    api_write(writer, ",\"engine\":{\"convolution\":");
    api_write_string(writer, convolution_name(bundle->convolution));
    write_real(writer, "largest_difference", bundle->largest_difference);
    api_write(writer, "},\"provenance\":");
    api_write_text(writer, bundle->provenance != NULL ? bundle->provenance : "{}");
    api_write(writer, "}");
}

bool api_answer_model(const struct api_service *service, const struct api_model *model, struct api_answer *answer)
{
    struct api_writer writer = { 0 };
    write_model(&writer, service, model);
    bool written = !writer.failed;
    api_answer_from_writer(&writer, 200, answer);
    return written;
}

bool api_answer_models(const struct api_service *service, struct api_answer *answer)
{
    struct api_writer writer = { 0 };
    api_write(&writer, "{\"models\":[");
    for (size_t i = 0; i < service->model_count; i++) {
        if (i > 0)
            api_write(&writer, ",");
        write_model(&writer, service, &service->models[i]);
    }
    api_write(&writer, "]}");
    bool written = !writer.failed;
    api_answer_from_writer(&writer, 200, answer);
    return written;
}
