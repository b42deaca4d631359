/* From a picture to a detector's regions: decode, preprocess, run, decode the outputs, suppress, back to the picture. */
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "ops/ops.h"
#include "scorer/scorer_internal.h"

struct ood_regions {
    struct ood_model *model;                 /* a reference */
    const struct ood_decoder *decoder;       /* the caller's */
    struct ood_preprocess preprocess;
    uint64_t picture_pixels;
    struct ood_run *run;
    struct ood_workspace workspace;
    size_t batch, tensor_count;
    const float *tensors[OOD_DETECTOR_TENSORS];
    float *found[OOD_DETECTOR_TENSORS];      /* [OOD_DETECTOR_FOUND][columns]: rows that a run tells the number of; else NULL */
    size_t columns[OOD_DETECTOR_TENSORS];
    struct ood_candidate *candidates;        /* [ood_decoder_candidates] */
    double *scratch;
    struct ood_placement placement;          /* of the last picture */
};

struct ood_model *ood_detector_model(const struct ood_bytes *onnx, const struct ood_detector *detector,
                                     const struct ood_preprocess *preprocess, enum ood_convolution convolution,
                                     struct ood_decoder **decoder, struct ood_error *err)
{
    const char *names[OOD_DETECTOR_TENSORS];
    struct ood_shape shapes[OOD_DETECTOR_TENSORS];
    if (!ood_detector_check(detector, err)) {
        ood_error_prefix(err, "detector");
        return NULL;
    }
    size_t count = ood_detector_tensors(detector, names);
    struct ood_model_options options = {
        .one_if_needed = true, .operators = ood_op_table, .input_shape = ood_preprocess_shape(preprocess), .outputs = names, .output_count = count,
        .batch = 1, .only_batch = 1, .convolution = convolution, .stages = true,
    };
    struct ood_model *model = ood_model_new(onnx, &options, err);
    if (model == NULL)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        const size_t found = ood_detector_found(detector, names[i]);
        struct ood_shape shape = ood_model_output_shape(model, i);
        if (found > 0) {
            shapes[i] = ood_shape_of(2, (int64_t)OOD_DETECTOR_FOUND, (int64_t)found);
            continue;
        }
        if (shape.rank == OOD_RANK_FREE) {
            ood_fail(err, OOD_UNSUPPORTED, "detector: tensor %s: its shape depends on the picture; only what levels with labels read may", names[i]);
            goto fail;
        }
        shapes[i] = ood_shape_bind(&shape, 1);
        if (ood_model_output_type(model, i) == OOD_FLOAT32)
            continue;
        ood_fail(err, OOD_UNSUPPORTED, "detector: tensor %s: type %s, expected float32", names[i],
                 ood_type_name(ood_model_output_type(model, i)));
        goto fail;
    }
    *decoder = ood_decoder_new(detector, preprocess->width, preprocess->height, shapes, count, err);
    if (*decoder != NULL)
        return model;
    ood_error_prefix(err, "detector");
fail:
    ood_model_free(model);
    return NULL;
}

struct ood_regions *ood_regions_new(struct ood_model *model, const struct ood_decoder *decoder, const struct ood_preprocess *preprocess,
                                    uint64_t picture_pixels, struct ood_error *err)
{
    const char *names[OOD_DETECTOR_TENSORS];
    struct ood_regions *regions = ood_new(struct ood_regions, err);
    if (regions == NULL || !scorer_check_input(model, preprocess, err))
        goto fail;
    regions->model = ood_model_ref(model);
    regions->decoder = decoder;
    regions->preprocess = *preprocess;
    regions->picture_pixels = picture_pixels != 0 ? picture_pixels : OOD_PICTURE_PIXELS;
    regions->batch = ood_model_plan_batch(model, 1);
    regions->tensor_count = ood_detector_tensors(ood_decoder_detector(decoder), names);
    regions->run = ood_run_new(model, err);
    regions->candidates = ood_new_array(struct ood_candidate, ood_decoder_candidates(decoder), err);
    regions->scratch = ood_new_array(double, ood_decoder_scratch(decoder), err);
    if (regions->run == NULL || regions->candidates == NULL || regions->scratch == NULL)
        goto fail;
    for (size_t i = 0; i < regions->tensor_count; i++) {
        regions->columns[i] = ood_detector_found(ood_decoder_detector(decoder), names[i]);
        if (regions->columns[i] == 0)
            continue;
        regions->found[i] = ood_new_array(float, OOD_DETECTOR_FOUND * regions->columns[i], err);
        if (regions->found[i] == NULL)
            goto fail;
    }
    return regions;
fail:
    ood_regions_free(regions);
    return NULL;
}

void ood_regions_free(struct ood_regions *regions)
{
    if (regions == NULL)
        return;
    ood_run_free(regions->run);
    ood_workspace_free(&regions->workspace);
    ood_free(regions->candidates);
    ood_free(regions->scratch);
    for (size_t i = 0; i < OOD_DETECTOR_TENSORS; i++)
        ood_free(regions->found[i]);
    ood_model_free(regions->model);
    ood_free(regions);
}

struct ood_workspace *scorer_regions_workspace(struct ood_regions *regions) { return &regions->workspace; }

/* ---- boxes there and back ---- */

static double clip(double value, double most) { return value < 0 ? 0 : value > most ? most : value; }

static bool cut_to_picture(const struct ood_placement *placement, double box[4])
{
    for (size_t i = 0; i < 4; i++)
        box[i] = clip(box[i], (double)(i % 2 == 0 ? placement->width : placement->height));
    return box[2] > box[0] && box[3] > box[1];
}

/* False: nothing of it lies in the picture. */
static bool to_picture(const struct ood_placement *placement, const double input_box[4], double box[4])
{
    for (size_t i = 0; i < 4; i++)
        box[i] = i % 2 == 0 ? (input_box[i] - placement->left) * placement->scale_x : (input_box[i] - placement->top) * placement->scale_y;
    return cut_to_picture(placement, box);
}

static void to_input(const struct ood_placement *placement, const double box[4], double input_box[4])
{
    for (size_t i = 0; i < 4; i++)
        input_box[i] = i % 2 == 0 ? box[i] / placement->scale_x + placement->left : box[i] / placement->scale_y + placement->top;
}

/* ---- finding ---- */

static void warn(struct ood_scene *scene, const char *text)
{
    if (scene->warning_count < OOD_WARNINGS)
        snprintf(scene->warnings[scene->warning_count++], sizeof scene->warnings[0], "%s", text);
}

/* Rows that the network found, as many as there are, as float32 behind each other. */
static bool take_found(struct ood_regions *regions, size_t i, struct ood_error *err)
{
    const struct ood_shape shape = ood_run_output_shape(regions->run, regions->batch, i);
    const enum ood_type type = ood_run_output_type(regions->run, regions->batch, i);
    const void *data = ood_run_output(regions->run, regions->batch, i);
    const size_t columns = regions->columns[i];
    float *to = regions->found[i];
    size_t count;
    char text[OOD_SHAPE_TEXT];
    if (!ood_shape_count(&shape, &count) || count % columns != 0 || type == OOD_BOOL || (columns > 1 && shape.dims[shape.rank - 1] != (int64_t)columns))
        return ood_fail(err, OOD_INVALID, "tensor %s: %s %s, expected rows of %zu", ood_model_output_name(regions->model, i), ood_type_name(type),
                        ood_shape_print(&shape, text), columns);
    if (count / columns > OOD_DETECTOR_FOUND)
        return ood_fail(err, OOD_LIMIT, "tensor %s: %zu rows, at most %d are read", ood_model_output_name(regions->model, i), count / columns,
                        OOD_DETECTOR_FOUND);
    for (size_t k = 0; k < count; k++)
        to[k] = type == OOD_FLOAT32 ? ((const float *)data)[k] : type == OOD_INT64 ? (float)((const int64_t *)data)[k]
                                                                                   : (float)((const int32_t *)data)[k];
    memset(to + count, 0, (OOD_DETECTOR_FOUND * columns - count) * sizeof *to);
    return true;
}

/* The network, whose input is there: it may write over it. */
static bool execute(struct ood_regions *regions, struct ood_error *err)
{
    if (!ood_run_all(regions->run, regions->batch, err))
        return false;
    for (size_t i = 0; i < regions->tensor_count; i++) {
        if (regions->found[i] != NULL && !take_found(regions, i, err))
            return false;
        regions->tensors[i] = regions->found[i] != NULL ? regions->found[i] : ood_run_output(regions->run, regions->batch, i);
    }
    return true;
}

/* The outputs to regions of the picture that regions->placement tells of. */
static void decode_outputs(struct ood_regions *regions, double limit, struct ood_region *out, struct ood_scene *scene)
{
    const struct ood_detector *detector = ood_decoder_detector(regions->decoder);
    struct ood_error err = { 0 };
    size_t count, dropped, kept = 0;
    if (!ood_decode(regions->decoder, regions->tensors, limit, regions->candidates, &count, &dropped, &err)) {
        *scene = (struct ood_scene){ .error = err };
        return;
    }
    if (dropped > 0)
        warn(scene, "the detector gave boxes that are not finite; they were left out");
    count = ood_suppress(regions->candidates, count, detector->suppression, detector->iou, detector->most);
    for (size_t i = 0; i < count; i++) {
        const struct ood_candidate *candidate = &regions->candidates[i];
        struct ood_region region = { .score = candidate->score, .objectness = candidate->objectness,
                                     .probability = candidate->probability, .class_index = candidate->class_index,
                                     .candidate = candidate->index };
        if (to_picture(&regions->placement, candidate->box, region.box))
            out[kept++] = region;
    }
    scene->width = regions->placement.width;
    scene->height = regions->placement.height;
    scene->count = kept;
}

static float *own_input(struct ood_regions *regions) { return ood_run_input(regions->run, regions->batch, 0); }

bool ood_regions_load(struct ood_regions *regions, const void *picture, size_t picture_size, float *input, struct ood_scene *scene)
{
    struct ood_verdict warnings = { 0 };
    struct ood_error err = { 0 };
    *scene = (struct ood_scene){ 0 };
    if (picture == NULL || picture_size == 0)
        ood_fail(&err, OOD_PICTURE_EMPTY, "no bytes, expected an encoded picture");
    else if (ood_picture_load_placed(picture, picture_size, regions->picture_pixels, &regions->preprocess, &regions->workspace,
                                     input, &warnings, &regions->placement, &err)) {
        for (size_t i = 0; i < warnings.warning_count; i++)
            warn(scene, warnings.warnings[i]);
        return true;
    }
    scene->error = err;
    return false;
}

void ood_regions_find(struct ood_regions *regions, const void *picture, size_t picture_size, double limit, struct ood_region *out,
                      struct ood_scene *scene, struct ood_timing *timing)
{
    double start = ood_clock();
    struct ood_error err = { 0 };
    bool loaded = ood_regions_load(regions, picture, picture_size, own_input(regions), scene);
    double decoded = ood_clock();
    if (loaded && !execute(regions, &err)) {
        scene->error = err;
        loaded = false;
    }
    double inferred = ood_clock();
    if (loaded)
        decode_outputs(regions, limit, out, scene);
    if (timing != NULL) {
        timing->decode += decoded - start;
        timing->infer += inferred - decoded;
        timing->score += ood_clock() - inferred;
    }
}

void ood_regions_find_input(struct ood_regions *regions, const float *input, double limit, struct ood_region *out, struct ood_scene *scene)
{
    *scene = (struct ood_scene){ 0 };
    memcpy(own_input(regions), input, ood_preprocess_floats(&regions->preprocess) * sizeof *input);
    regions->placement = (struct ood_placement){ .width = regions->preprocess.width, .height = regions->preprocess.height,
                                                 .scale_x = 1, .scale_y = 1 };
    struct ood_error err = { 0 };
    if (!execute(regions, &err)) {
        scene->error = err;
        return;
    }
    decode_outputs(regions, limit, out, scene);
}

void ood_regions_vectors(struct ood_regions *regions, const struct ood_region *region, float *logits, float *features)
{
    double box[4];
    to_input(&regions->placement, region->box, box);
    ood_decoder_logits(regions->decoder, regions->tensors, region->candidate, logits);
    ood_decoder_add_head(regions->decoder, regions->tensors, box, regions->scratch, logits);
    ood_decoder_features(regions->decoder, regions->tensors, box, regions->scratch, features);
}

bool ood_regions_match(struct ood_regions *regions, struct ood_region *region, struct ood_error *err)
{
    double box[4], best = 0;
    struct ood_candidate candidate, matched = { 0 };
    if (!cut_to_picture(&regions->placement, region->box))
        return ood_fail(err, OOD_INVALID, "the box has no area inside the picture of %zux%zu pixels", regions->placement.width,
                        regions->placement.height);
    to_input(&regions->placement, region->box, box);
    for (size_t i = 0; i < ood_decoder_candidates(regions->decoder); i++) {
        if (!ood_decode_one(regions->decoder, regions->tensors, i, &candidate))
            continue;
        double iou = ood_iou(box, candidate.box);
        if (iou > best || (iou == best && iou > 0 && candidate.score > matched.score)) {
            best = iou;
            matched = candidate;
        }
    }
    if (best == 0)
        return ood_fail(err, OOD_UNSUPPORTED, "no region of the detector overlaps the box");
    region->score = matched.score;
    region->objectness = matched.objectness;
    region->probability = matched.probability;
    region->class_index = matched.class_index;
    region->candidate = matched.index;
    return true;
}
