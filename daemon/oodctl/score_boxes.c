/* oodctl score --boxes, and of a detector's bundle: the same boxes, or those found, in each picture, a line for each box, or the JSON the service answers with for a picture. */
#include <string.h>

#include "api/api.h"
#include "base/file.h"
#include "daemon/oodctl/oodctl.h"
#include "daemon/oodctl/score.h"
#include "daemon/oodctl/sources.h"

#define BOXES_BYTES ((size_t)16 << 20)
#define BOXES_MOST 65536

struct boxes_run {
    const struct ood_scorer *scorer;
    struct ood_session *session;
    struct api_work work;                    /* the boxes, and room for their detections */
    bool json;
    const char *draw;                        /* NULL: no pictures are written */
    int label_width;
    size_t room;                             /* for what a detector finds */
    size_t index, decided[3], failed, failed_pictures;
};

static bool read_boxes(const char *file, const struct ood_scorer *scorer, struct api_work *work, struct ood_error *err)
{
    const struct api_limits limits = { .items = BOXES_MOST, .body_bytes = BOXES_BYTES };
    struct api_error error = { 0 };
    struct ood_bytes text;
    if (!ood_file_read(file, BOXES_BYTES, &text, err))
        return false;
    bool good = api_boxes_parse((const char *)text.data, text.size, &limits, scorer, work, &error);
    ood_bytes_free(&text);
    return good || ood_fail(err, error.code == API_INTERNAL ? OOD_OUT_OF_MEMORY : OOD_INVALID, "%s: %s", file, error.message);
}

/* What became of the picture, in work.scene. False: the call failed as a whole. */
static bool score(struct boxes_run *run, const char *path, struct ood_error *err)
{
    struct api_scene *scene = &run->work.scene;
    struct ood_error reading = { 0 };
    struct ood_bytes bytes;
    scene->result = (struct ood_scene){ 0 };
    if (!ood_file_read(path, CTL_PICTURE_BYTES, &bytes, &reading)) {
        scene->result.error = reading;
        return true;
    }
    bool good = scene->find
        ? ood_detect(run->scorer, run->session, bytes.data, bytes.size, scene->detections, run->room, &scene->result, NULL, err)
        : ood_score_boxes(run->scorer, run->session, bytes.data, bytes.size, &scene->boxes, scene->detections, &scene->result, NULL, err);
    if (good && run->draw != NULL && scene->result.error.code == OOD_OK)
        good = ctl_draw(run->draw, run->index, path, bytes.data, bytes.size, scene->detections, scene->result.count, err);
    ood_bytes_free(&bytes);
    return good;
}

static void print_rows(const struct boxes_run *run, const char *path)
{
    const struct api_scene *scene = &run->work.scene;
    for (size_t i = 0; i < scene->result.count; i++) {
        const struct ood_detection *detection = &scene->detections[i];
        if (detection->verdict.error.code == OOD_OK)
            ctl_score_row(run->scorer, run->label_width, &detection->verdict);
        else
            printf("%-9s  ", "failed");
        printf("%.6g,%.6g,%.6g,%.6g  ", detection->box[0], detection->box[1], detection->box[2], detection->box[3]);
        if (run->work.ids != NULL && run->work.ids[i] != NULL) {
            ctl_put(stdout, run->work.ids[i]);
            printf("  ");
        }
        ctl_put(stdout, path);
        putchar('\n');
        if (detection->verdict.error.code != OOD_OK)
            ctl_say("%s: boxes[%zu]: %s", path, i, detection->verdict.error.message);
    }
    for (size_t i = 0; i < scene->result.warning_count; i++)
        ctl_say("%s: warning: %s", path, scene->result.warnings[i]);
}

static bool print(struct boxes_run *run, const char *path, struct ood_error *err)
{
    const struct ood_scene *result = &run->work.scene.result;
    for (size_t i = 0; result->error.code == OOD_OK && i < result->count; i++) {
        const struct ood_verdict *verdict = &run->work.scene.detections[i].verdict;
        if (verdict->error.code == OOD_OK)
            run->decided[verdict->decision]++;
        else
            run->failed++;
    }
    run->failed_pictures += result->error.code != OOD_OK;
    if (run->json) {
        char *text = api_scene_json(run->scorer, run->index, path, result, run->work.scene.detections, run->work.ids);
        if (text == NULL)
            return ood_fail(err, OOD_OUT_OF_MEMORY, "%s: out of memory", path);
        puts(text);
        api_text_free(text);
    } else if (result->error.code == OOD_OK) {
        print_rows(run, path);
    } else {
        bool named = strncmp(result->error.message, path, strlen(path)) == 0;        /* file errors begin with the path already */
        printf("%-9s  ", "failed");
        ctl_put(stdout, path);
        putchar('\n');
        if (result->error.code == OOD_BOX_INVALID)
            ctl_say("%s: boxes[%zu]: %s", path, result->box, result->error.message);
        else
            ctl_say("%s%s%s", named ? "" : path, named ? "" : ": ", result->error.message);
    }
    return true;
}

/* Room for what a detector finds. */
static bool make_room(struct boxes_run *run, struct ood_error *err)
{
    struct api_scene *scene = &run->work.scene;
    run->room = ood_scorer_detections_most(run->scorer);
    scene->find = true;
    scene->detections = ood_new_array(struct ood_detection, run->room, err);
    return scene->detections != NULL;
}

int ctl_score_boxes(const struct ood_scorer *scorer, const char *file, bool json, const char *draw, const char *(*path_of)(void *context),
                    void *context)
{
    struct boxes_run run = { .scorer = scorer, .json = json, .draw = draw, .label_width = ctl_score_label_width(scorer) };
    struct ood_error err = { 0 };
    bool good = file != NULL ? read_boxes(file, scorer, &run.work, &err) : make_room(&run, &err);
    run.session = good ? ood_scorer_session((struct ood_scorer *)(uintptr_t)scorer, &err) : NULL;
    good = run.session != NULL;
    if (good && !json)
        ctl_score_head(run.label_width, "box, picture");
    for (const char *path; good && (path = path_of(context)) != NULL; run.index++)
        good = score(&run, path, &err) && print(&run, path, &err);
    int status = good ? CTL_DONE : ctl_fail(&err);
    if (good && run.failed_pictures + run.failed > 0) {
        ctl_say("score: %zu of %zu pictures and %zu boxes could not be scored", run.failed_pictures, run.index, run.failed);
        status = CTL_NO;
    }
    if (good && !json)
        printf("%zu in, %zu review, %zu out, %zu failed\n", run.decided[OOD_IN], run.decided[OOD_REVIEW], run.decided[OOD_OUT], run.failed);
    ood_session_free(run.session);
    api_work_free(&run.work);
    return status;
}
