/* A caller's boxes to verdicts: checked against the picture's header, the picture decoded once, each box cut and resized as a
 * picture of its own would be. A detector's bundle takes them to its regions instead. */
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "scorer/scorer_internal.h"

size_t ood_scorer_crop_bytes(const struct ood_scorer *scorer)
{
    const struct ood_preprocess *input = &ood_scorer_bundle(scorer)->input;
    return input->width * input->height * 3;
}

/* One box in pixels, cut to the picture. */
static bool place(const struct ood_boxes *boxes, size_t i, size_t width, size_t height, double box[4], struct ood_error *err)
{
    const double *corners = boxes->corners[i];
    double across = boxes->relative ? (double)width : 1, down = boxes->relative ? (double)height : 1;
    for (size_t k = 0; k < 4; k++)
        if (!isfinite(corners[k]))
            return ood_fail(err, OOD_BOX_INVALID, "coordinate %zu is %g; expected finite numbers", k, corners[k]);
    if (!(corners[0] < corners[2] && corners[1] < corners[3]))
        return ood_fail(err, OOD_BOX_INVALID, "no area: from %.9g,%.9g to %.9g,%.9g", corners[0], corners[1], corners[2], corners[3]);
    double placed[4] = { fmax(corners[0] * across, 0), fmax(corners[1] * down, 0), fmin(corners[2] * across, (double)width),
                         fmin(corners[3] * down, (double)height) };
    if (!(placed[0] < placed[2] && placed[1] < placed[3]))
        return ood_fail(err, OOD_BOX_INVALID, "from %.9g,%.9g to %.9g,%.9g is outside of the picture of %zu×%zu pixels", corners[0] * across,
                        corners[1] * down, corners[2] * across, corners[3] * down, width, height);
    memcpy(box, placed, sizeof placed);
    return true;
}

/* The picture's sides, and every box in it. False: scene->error says why not. */
static bool place_all(struct ood_session *session, const void *picture, size_t picture_size, const struct ood_boxes *boxes,
                      struct ood_detection *detections, struct ood_scene *scene)
{
    struct ood_error err = { 0 };
    double box[4];
    size_t width, height;
    if (!ood_picture_size(picture, picture_size, session->scorer->picture_pixels, scorer_session_workspace(session), &width, &height, &err)) {
        *scene = (struct ood_scene){ .error = err };
        return false;
    }
    for (size_t i = 0; i < boxes->count; i++)
        if (!place(boxes, i, width, height, box, &err)) {
            *scene = (struct ood_scene){ .error = err, .box = i };
            return false;
        }
    for (size_t i = 0; i < boxes->count; i++) {
        detections[i] = (struct ood_detection){ .objectness = 1, .detection_score = 1 };
        (void)place(boxes, i, width, height, detections[i].box, &err);
    }
    *scene = (struct ood_scene){ .width = width, .height = height, .count = boxes->count };
    return true;
}

/* Decodes what place_all has looked at. */
static bool decode(struct ood_forward *forward, const void *bytes, size_t size, struct ood_picture *picture, struct ood_scene *scene)
{
    struct ood_error err = { 0 };
    if (!ood_picture_borrow(bytes, size, forward->picture_pixels, &forward->workspace, picture, &err)) {
        *scene = (struct ood_scene){ .error = err };
        return false;
    }
    scene->warning_count = picture->warning_count;
    memcpy(scene->warnings, picture->warnings, sizeof scene->warnings);
    return true;
}

static bool cut_one(struct ood_forward *forward, const struct ood_picture *picture, const double box[4], double margin,
                    unsigned char *crop, struct ood_error *err)
{
    double across = margin * (box[2] - box[0]), down = margin * (box[3] - box[1]);
    struct ood_box wide = { box[0] - across, box[1] - down, box[2] + across, box[3] + down };
    struct ood_picture part;
    return ood_picture_crop(picture, &wide, &part, err) &&
           ood_preprocess_resize(&forward->preprocess, &part, &forward->workspace, crop, err);
}

static bool check_call(const struct ood_scorer *scorer, const struct ood_session *session, const struct ood_boxes *boxes,
                       struct ood_error *err)
{
    double most = ood_scorer_is_detector(scorer) ? 0 : OOD_MARGIN_MOST;
    if (ood_session_scorer(session) != scorer)
        return ood_fail(err, OOD_INVALID, "the session was made for another scorer");
    if (!(boxes->margin >= 0 && boxes->margin <= most))
        return ood_fail(err, OOD_INVALID, "margin %g; expected 0 to %g", boxes->margin, most);
    return true;
}

bool ood_cut(const struct ood_scorer *scorer, struct ood_session *session, const void *picture, size_t picture_size,
             const struct ood_boxes *boxes, struct ood_detection *detections, unsigned char *const *crops,
             struct ood_scene *scene, struct ood_timing *timing, struct ood_error *err)
{
    struct ood_forward *forward = ood_session_forward(session);
    struct ood_error cause = { 0 };
    struct ood_picture decoded;
    double start = ood_clock();
    if (ood_scorer_is_detector(scorer))
        return ood_fail(err, OOD_UNSUPPORTED, "a detector's bundle takes boxes to its regions, not crops");
    if (!check_call(scorer, session, boxes, err))
        return false;
    bool good = place_all(session, picture, picture_size, boxes, detections, scene) &&
                decode(forward, picture, picture_size, &decoded, scene);
    for (size_t i = 0; good && i < boxes->count; i++)
        if (!cut_one(forward, &decoded, detections[i].box, boxes->margin, crops[i], &cause)) {
            *scene = (struct ood_scene){ .error = cause, .box = i };
            good = false;
        }
    ood_workspace_trim(&forward->workspace);
    if (timing != NULL)
        *timing = (struct ood_timing){ .decode = ood_clock() - start };
    return true;
}

/* ---- in one call ---- */

/* Crops and items of one run of the network. */
struct chunk {
    size_t most, bytes;
    unsigned char *crops;                    /* [most][bytes] */
    struct ood_item *items;                  /* [most] */
    struct ood_verdict *verdicts;            /* [most] */
};

static bool chunk_make(struct chunk *chunk, const struct ood_scorer *scorer, size_t most, struct ood_error *err)
{
    chunk->most = most;
    chunk->bytes = ood_scorer_crop_bytes(scorer);
    chunk->crops = ood_alloc(most, chunk->bytes, err);
    chunk->items = ood_new_array(struct ood_item, most, err);
    chunk->verdicts = ood_new_array(struct ood_verdict, most, err);
    return chunk->crops != NULL && chunk->items != NULL && chunk->verdicts != NULL;
}

static void chunk_free(struct chunk *chunk)
{
    ood_free(chunk->crops);
    ood_free(chunk->items);
    ood_free(chunk->verdicts);
}

/* Detections first … first + count, placed already. A failure of cutting is the call's: the picture was decoded. */
static bool score_chunk(const struct ood_scorer *scorer, struct ood_session *session, const struct ood_picture *picture,
                        double margin, struct chunk *chunk, struct ood_detection *detections, size_t count,
                        struct ood_timing *timing, struct ood_error *err)
{
    struct ood_forward *forward = ood_session_forward(session);
    struct ood_timing spent;
    double start = ood_clock();
    for (size_t i = 0; i < count; i++) {
        unsigned char *crop = chunk->crops + i * chunk->bytes;
        chunk->items[i] = (struct ood_item){ .crop = crop };
        if (!cut_one(forward, picture, detections[i].box, margin, crop, err))
            return false;
    }
    timing->decode += ood_clock() - start;
    if (!ood_score(scorer, session, chunk->items, count, chunk->verdicts, &spent, err))
        return false;
    for (size_t i = 0; i < count; i++)
        detections[i].verdict = chunk->verdicts[i];
    timing->decode += spent.decode;
    timing->infer += spent.infer;
    timing->score += spent.score;
    return true;
}

static bool score_crops(const struct ood_scorer *scorer, struct ood_session *session, const void *picture, size_t picture_size,
                        const struct ood_boxes *boxes, struct ood_detection *detections, struct ood_scene *scene,
                        struct ood_timing *timing, struct ood_error *err)
{
    struct ood_forward *forward = ood_session_forward(session);
    struct ood_picture decoded;
    struct chunk chunk = { 0 };
    double start = ood_clock();
    if (!decode(forward, picture, picture_size, &decoded, scene))
        return true;
    timing->decode += ood_clock() - start;
    bool good = chunk_make(&chunk, scorer, forward->most, err);
    for (size_t first = 0, count; good && first < boxes->count; first += count) {
        count = boxes->count - first < chunk.most ? boxes->count - first : chunk.most;
        good = score_chunk(scorer, session, &decoded, boxes->margin, &chunk, detections + first, count, timing, err);
    }
    chunk_free(&chunk);
    ood_workspace_trim(&forward->workspace);
    return good;
}

bool ood_score_boxes(const struct ood_scorer *scorer, struct ood_session *session, const void *picture, size_t picture_size,
                     const struct ood_boxes *boxes, struct ood_detection *detections, struct ood_scene *scene,
                     struct ood_timing *timing, struct ood_error *err)
{
    struct ood_timing spent = { 0 };
    if (!check_call(scorer, session, boxes, err))
        return false;
    double start = ood_clock();
    if (place_all(session, picture, picture_size, boxes, detections, scene)) {
        spent.decode = ood_clock() - start;
        if (ood_scorer_is_detector(scorer))
            ood_detect_boxes(session, picture, picture_size, detections, boxes->count, scene, &spent);
        else if (!score_crops(scorer, session, picture, picture_size, boxes, detections, scene, &spent, err))
            return false;
    }
    if (timing != NULL)
        *timing = spent;
    return true;
}
