/* Verdicts and errors to the answers of docs/INTERFACE.md section 3, members in its order. */
#include "api/boxes_internal.h"

#include "score/score.h"

/* ---- errors ---- */

static void write_error(struct api_writer *writer, const char *word, const char *message)
{
    api_write(writer, "{\"code\":");
    api_write_string(writer, word);
    api_write(writer, ",\"message\":");
    api_write_string(writer, message);
}

void api_answer_error(const struct api_error *error, const char *request_id, unsigned retry_after, const char *allow,
                      struct api_answer *answer)
{
    struct api_writer writer = { 0 };
    api_write(&writer, "{\"error\":");
    write_error(&writer, api_error_word(error), error->message);
    api_write(&writer, ",\"request_id\":");
    api_write_string(&writer, request_id != NULL ? request_id : "");
    api_write(&writer, "}}");
    api_answer_from_writer(&writer, api_error_status(error), answer);
    answer->retry_after = retry_after;
    answer->allow = allow;
}

/* ---- one result ---- */

static void write_class(struct api_writer *writer, const struct ood_scorer *scorer, size_t class_index, double probability)
{
    api_write(writer, "{\"index\":");
    api_write_size(writer, class_index);
    api_write(writer, ",\"label\":");
    api_write_string(writer, ood_scorer_label(scorer, class_index));
    api_write(writer, ",\"probability\":");
    api_write_double(writer, probability);
    api_write(writer, "}");
}

static void write_top(struct api_writer *writer, const struct ood_scorer *scorer, const float *logits, size_t top)
{
    struct ood_error err = { 0 };
    size_t classes = ood_scorer_classes(scorer);
    if (top > classes)
        top = classes;
    double *probabilities = ood_new_array(double, classes, &err);
    size_t *indices = ood_new_array(size_t, top, &err);
    if (probabilities == NULL || indices == NULL) {
        writer->failed = true;
    } else {
        ood_softmax(logits, classes, probabilities);
        ood_top(logits, classes, top, indices);
        api_write(writer, ",\"top\":[");
        for (size_t i = 0; i < top; i++) {
            if (i > 0)
                api_write(writer, ",");
            write_class(writer, scorer, indices[i], probabilities[indices[i]]);
        }
        api_write(writer, "]");
    }
    ood_free(probabilities);
    ood_free(indices);
}

static void write_number(struct api_writer *writer, const char *name, double value)
{
    api_write(writer, ",\"");
    api_write_text(writer, name);
    api_write(writer, "\":");
    api_write_double(writer, value);
}

static void write_warnings(struct api_writer *writer, const char (*warnings)[120], size_t count)
{
    api_write(writer, ",\"warnings\":[");
    for (size_t i = 0; i < count && i < OOD_WARNINGS; i++) {
        if (i > 0)
            api_write(writer, ",");
        api_write_string(writer, warnings[i]);
    }
    api_write(writer, "]");
}

static void write_numbers(struct api_writer *writer, const struct ood_scorer *scorer, const struct ood_verdict *verdict)
{
    write_number(writer, "energy", verdict->energy);
    write_number(writer, "representation_score", verdict->representation_score);
    write_number(writer, "score", verdict->score);
    write_number(writer, "threshold", verdict->threshold);
    write_number(writer, "p_value", verdict->p_value);
    write_number(writer, "alpha", verdict->alpha);
    api_write(writer, ",\"nearest\":[");
    for (size_t i = 0; i < verdict->nearest_count && i < OOD_NEAREST; i++) {
        api_write_text(writer, i > 0 ? ",{\"label\":" : "{\"label\":");
        api_write_string(writer, ood_scorer_label(scorer, verdict->nearest[i].class_index));
        write_number(writer, "distance", verdict->nearest[i].distance);
        api_write(writer, "}");
    }
    api_write(writer, "]");
}

/* Decision, reason, class, numbers. logits NULL: no top. */
static void write_verdict(struct api_writer *writer, const struct ood_scorer *scorer, const struct ood_verdict *verdict,
                          const float *logits, size_t top)
{
    api_write(writer, ",\"decision\":");
    api_write_string(writer, ood_decision_name(verdict->decision));
    api_write(writer, ",\"reason\":");
    api_write_string(writer, ood_decision_reason(verdict->decision));
    api_write(writer, ",\"class\":");
    write_class(writer, scorer, verdict->class_index, verdict->class_probability);
    if (top > 0 && logits != NULL)
        write_top(writer, scorer, logits, top);
    write_numbers(writer, scorer, verdict);
}

static void write_place(struct api_writer *writer, size_t index, const char *id)
{
    api_write(writer, "{\"index\":");
    api_write_size(writer, index);
    if (id != NULL) {
        api_write(writer, ",\"id\":");
        api_write_string(writer, id);
    }
}

/* Ends the object whose item failed. */
static void write_item_error(struct api_writer *writer, const struct ood_error *error)
{
    api_write(writer, ",\"error\":");
    write_error(writer, ood_code_name(error->code), error->message);
    api_write(writer, "}}");
}

static void write_result(struct api_writer *writer, const struct ood_scorer *scorer, size_t index, const char *id,
                         const struct ood_verdict *verdict, const float *logits, size_t top)
{
    write_place(writer, index, id);
    if (verdict->error.code != OOD_OK) {
        write_item_error(writer, &verdict->error);
        return;
    }
    write_verdict(writer, scorer, verdict, logits, top);
    write_warnings(writer, verdict->warnings, verdict->warning_count);
    api_write(writer, "}");
}

/* The text written so far, for a caller; NULL: out of memory. */
static char *hand_over(struct api_writer *writer)
{
    api_write_bytes(writer, "", 1);
    if (!writer->failed)
        return writer->data;
    ood_free(writer->data);
    return NULL;
}

char *api_result_json(const struct ood_scorer *scorer, size_t index, const char *id, const struct ood_verdict *verdict,
                      const float *logits, size_t top)
{
    struct api_writer writer = { 0 };
    write_result(&writer, scorer, index, id, verdict, logits, top);
    return hand_over(&writer);
}

void api_text_free(char *text) { ood_free(text); }

/* ---- a scene ---- */

static void write_detection(struct api_writer *writer, const struct ood_scorer *scorer, size_t index, const char *id,
                            const struct ood_detection *detection)
{
    write_place(writer, index, id);
    api_write(writer, ",\"box\":[");
    for (size_t i = 0; i < 4; i++) {
        if (i > 0)
            api_write(writer, ",");
        api_write_double(writer, detection->box[i]);
    }
    api_write(writer, "]");
    if (detection->verdict.error.code != OOD_OK) {
        write_item_error(writer, &detection->verdict.error);
        return;
    }
    if (ood_scorer_is_detector(scorer)) {
        write_number(writer, "objectness", detection->objectness);
        write_number(writer, "detection_score", detection->detection_score);
    }
    write_verdict(writer, scorer, &detection->verdict, NULL, 0);
    api_write(writer, "}");
}

/* From "width" to "warnings". */
static void write_scene(struct api_writer *writer, const struct ood_scorer *scorer, const struct ood_scene *scene,
                        const struct ood_detection *detections, char *const *ids)
{
    static const char *const names[] = { "{\"in\":", ",\"review\":", ",\"out\":", ",\"error\":" };
    size_t summary[4] = { 0 };
    api_write(writer, "\"width\":");
    api_write_size(writer, scene->width);
    api_write(writer, ",\"height\":");
    api_write_size(writer, scene->height);
    api_write(writer, ",\"detections\":[");
    for (size_t i = 0; i < scene->count; i++) {
        const struct ood_verdict *verdict = &detections[i].verdict;
        summary[verdict->error.code == OOD_OK ? (size_t)verdict->decision : 3]++;
        if (i > 0)
            api_write(writer, ",");
        write_detection(writer, scorer, i, ids != NULL ? ids[i] : NULL, &detections[i]);
    }
    api_write(writer, "],\"summary\":");
    for (size_t i = 0; i < 4; i++) {
        api_write_text(writer, names[i]);
        api_write_size(writer, summary[i]);
    }
    api_write(writer, "}");
    write_warnings(writer, scene->warnings, scene->warning_count);
}

/* Why a scene failed, the box it failed for named. */
static struct api_error scene_error(const struct ood_scene *scene, char *const *ids)
{
    struct api_error error = { .code = API_ITEM, .item = scene->error.code };
    memcpy(error.message, scene->error.message, sizeof error.message);
    if (scene->error.code == OOD_BOX_INVALID)
        api_box_prefix(&error, scene->box, ids != NULL ? ids[scene->box] : NULL);
    return error;
}

char *api_scene_json(const struct ood_scorer *scorer, size_t index, const char *id, const struct ood_scene *scene,
                     const struct ood_detection *detections, char *const *ids)
{
    struct api_writer writer = { 0 };
    write_place(&writer, index, id);
    if (scene->error.code == OOD_OK) {
        api_write(&writer, ",");
        write_scene(&writer, scorer, scene, detections, ids);
        api_write(&writer, "}");
    } else {
        struct api_error error = scene_error(scene, ids);
        api_write(&writer, ",\"error\":");
        write_error(&writer, api_error_word(&error), error.message);
        api_write(&writer, "}}");
    }
    return hand_over(&writer);
}

/* ---- a whole answer ---- */

static void begin_answer(struct api_writer *writer, const struct api_model *model, const char *request_id)
{
    api_write(writer, "{\"model\":");
    api_write_string(writer, model->name);
    api_write(writer, ",\"version\":");
    api_write_string(writer, ood_scorer_version(model->scorer));
    api_write(writer, ",\"request_id\":");
    api_write_string(writer, request_id != NULL ? request_id : "");
}

static void end_answer(struct api_writer *writer, const struct api_timing *timing)
{
    api_write(writer, ",\"timing\":{\"queue\":");
    api_write_seconds(writer, timing->queue);
    api_write(writer, ",\"decode\":");
    api_write_seconds(writer, timing->decode);
    api_write(writer, ",\"infer\":");
    api_write_seconds(writer, timing->infer);
    api_write(writer, "}}");
}

void api_answer_detections(const struct api_model *model, const struct api_work *work, const char *request_id,
                           const struct api_timing *timing, struct api_answer *answer)
{
    struct api_writer writer = { 0 };
    const struct api_scene *scene = &work->scene;
    if (scene->result.error.code != OOD_OK) {
        struct api_error error = scene_error(&scene->result, work->ids);
        api_answer_error(&error, request_id, 0, NULL, answer);
        return;
    }
    begin_answer(&writer, model, request_id);
    api_write(&writer, ",");
    write_scene(&writer, model->scorer, &scene->result, scene->detections, work->ids);
    end_answer(&writer, timing);
    api_answer_from_writer(&writer, 200, answer);
}

/* A raw body has no results to stand in: its picture's failure is the request's. */
static void answer_single_error(const struct ood_error *cause, const char *request_id, struct api_answer *answer)
{
    struct api_error error = { .code = API_ITEM, .item = cause->code };
    memcpy(error.message, cause->message, sizeof error.message);
    api_answer_error(&error, request_id, 0, NULL, answer);
}

void api_answer_score(const struct api_model *model, const struct api_work *work, const char *request_id,
                      const struct api_timing *timing, struct api_answer *answer)
{
    struct api_writer writer = { 0 };
    if (work->single && work->count == 1 && work->verdicts[0].error.code != OOD_OK) {
        answer_single_error(&work->verdicts[0].error, request_id, answer);
        return;
    }
    size_t classes = ood_scorer_classes(model->scorer);
    begin_answer(&writer, model, request_id);
    api_write(&writer, ",\"results\":[");
    for (size_t i = 0; i < work->count; i++) {
        const float *logits = work->logits != NULL ? work->logits + i * classes : NULL;
        if (i > 0)
            api_write(&writer, ",");
        write_result(&writer, model->scorer, i, work->ids[i], &work->verdicts[i], logits, work->top);
    }
    api_write(&writer, "]");
    end_answer(&writer, timing);
    api_answer_from_writer(&writer, 200, answer);
}

/* ---- probes ---- */

void api_answer_health(struct api_answer *answer)
{
    static const char body[] = "{\"status\":\"ok\"}";
    *answer = (struct api_answer){ .status = 200, .content_type = api_json_type, .body = (char *)body,
                                   .size = sizeof body - 1, .static_body = true };
}

void api_answer_ready(const struct api_service *service, const char *request_id, struct api_answer *answer)
{
    struct api_writer writer = { 0 };
    struct api_error error = { 0 };
    if (service->not_ready != NULL || service->model_count == 0) {
        api_fail(&error, API_NOT_READY, "%s", service->not_ready != NULL ? service->not_ready : "no model is loaded");
        api_answer_error(&error, request_id, 0, NULL, answer);
        return;
    }
    api_write(&writer, "{\"status\":\"ready\",\"models\":[");
    for (size_t i = 0; i < service->model_count; i++) {
        if (i > 0)
            api_write(&writer, ",");
        api_write_string(&writer, service->models[i].name);
    }
    api_write(&writer, "]}");
    api_answer_from_writer(&writer, 200, answer);
}
