/* A declaration bound to the shapes of its tensors: where each channel of each candidate is, or which shape does not fit. */
#include <string.h>

#include "detect/detect_internal.h"

/* A tensor's shape as rows and channels. */
struct table { size_t rows, channels; };

struct binding {
    const struct ood_detector *detector;
    const char *names[OOD_DETECTOR_TENSORS];
    const struct ood_shape *shapes;
    size_t count;
};

static size_t tensor_of(const struct binding *binding, const char *name)
{
    size_t i = 0;
    while (strcmp(binding->names[i], name) != 0)
        i++;
    return i;
}

static bool table_of(const struct binding *binding, size_t tensor, enum ood_view_layout layout, struct table *out, struct ood_error *err)
{
    const struct ood_shape *shape = &binding->shapes[tensor];
    char text[OOD_SHAPE_TEXT];
    size_t elements, rows = 1, last = shape->rank == 0 ? 0 : (size_t)shape->dims[shape->rank - 1];
    if (shape->rank < 2 || (shape->rank > 2 && shape->dims[0] != 1) || !ood_shape_count(shape, &elements) || elements == 0)
        return ood_fail(err, OOD_INVALID, "tensor %s: shape %s, expected rows and channels, of one picture", binding->names[tensor],
                        ood_shape_print(shape, text));
    if (layout == OOD_VIEW_CHANNELS_LAST)
        rows = elements / last;
    else
        rows = shape->rank >= 4 ? last * (size_t)shape->dims[shape->rank - 2] : last;
    *out = (struct table){ rows, elements / rows };
    return true;
}

/* What a view is read with, and which member of the level it is. */
struct role { const char *name; const struct ood_view *view; size_t channels; };

static struct role role_of(const struct ood_detector *detector, const struct ood_level *level, size_t r)
{
    const bool found = level->labels.tensor != NULL;
    size_t classes = found ? 1 : detector->classes + (detector->background != OOD_BACKGROUND_NONE);
    const struct role roles[] = {
        { "boxes", &level->boxes, level->sizes.tensor != NULL ? 2 : 4 * (detector->box.bins > 0 ? detector->box.bins : 1) },
        { "objectness", &level->objectness, 1 }, { "classes", &level->classes, classes }, { "logits", &level->logits, classes },
        { "labels", &level->labels, 1 }, { "sizes", &level->sizes, 2 },
    };
    return roles[r];
}

enum { ROLES = 6 };

static size_t rows_of(const struct ood_view *view, const struct detect_grid *grid)
{
    return view->anchors == OOD_VIEW_ROWS || view->anchors == OOD_VIEW_PLANES ? grid->cells * grid->anchors : grid->cells;
}

/* Where the view's rows begin in its tensor: behind those that levels before read from it in the same role. */
static size_t first_row(const struct ood_decoder *decoder, size_t level, size_t r, const char *tensor)
{
    size_t first = 0;
    for (size_t i = 0; i < level; i++) {
        struct role before = role_of(&decoder->detector, &decoder->detector.levels[i], r);
        if (before.view->tensor != NULL && strcmp(before.view->tensor, tensor) == 0)
            first += rows_of(before.view, &decoder->grids[i]);
    }
    return first;
}

static bool bind_view(const struct ood_decoder *decoder, const struct binding *binding, size_t i, size_t r, struct detect_place *out,
                      struct ood_error *err)
{
    const struct detect_grid *grid = &decoder->grids[i];
    struct role role = role_of(&decoder->detector, &decoder->detector.levels[i], r);
    const struct ood_view *view = role.view;
    char text[OOD_SHAPE_TEXT];
    struct table table;
    if (view->tensor == NULL)
        return true;
    size_t tensor = tensor_of(binding, view->tensor);
    if (!table_of(binding, tensor, view->layout, &table, err))
        return ood_error_prefix(err, "levels[%zu].%s", i, role.name);
    size_t first = first_row(decoder, i, r, view->tensor), rows = rows_of(view, grid);
    size_t groups = view->anchors == OOD_VIEW_CHANNELS ? grid->anchors - 1 : 0;
    size_t channels = view->channel + groups * view->anchor_step + role.channels;
    if (first + rows > table.rows || channels > table.channels)
        return ood_fail(err, OOD_INVALID, "levels[%zu].%s: tensor %s of shape %s has %zu rows of %zu channels, expected at least %zu of %zu",
                        i, role.name, view->tensor, ood_shape_print(&binding->shapes[tensor], text), table.rows, table.channels,
                        first + rows, channels);
    const char *next = i + 1 == decoder->detector.level_count ? NULL : role_of(&decoder->detector, &decoder->detector.levels[i + 1], r).view->tensor;
    if (next == NULL || strcmp(next, view->tensor) != 0)
        if (first + rows != table.rows)
            return ood_fail(err, OOD_INVALID, "levels[%zu].%s: tensor %s of shape %s has %zu rows, but the levels have %zu", i, role.name,
                            view->tensor, ood_shape_print(&binding->shapes[tensor], text), table.rows, first + rows);
    bool last = view->layout == OOD_VIEW_CHANNELS_LAST;
    size_t row_step = last ? table.channels : 1, channel_step = last ? 1 : table.rows;
    *out = (struct detect_place){ .tensor = tensor, .base = first * row_step + view->channel * channel_step,
                                  .cell_step = row_step, .channel_step = channel_step };
    if (view->anchors == OOD_VIEW_ROWS) {
        out->cell_step = grid->anchors * row_step;
        out->anchor_step = row_step;
    } else if (view->anchors == OOD_VIEW_PLANES) {
        out->anchor_step = grid->cells * row_step;
    } else if (view->anchors == OOD_VIEW_CHANNELS) {
        out->anchor_step = view->anchor_step * channel_step;
    }
    return true;
}

/* Cells of a level; without a stride, the rows of its boxes. */
static bool bind_grid(struct ood_decoder *decoder, const struct binding *binding, size_t i, struct ood_error *err)
{
    const struct ood_level *level = &decoder->detector.levels[i];
    struct detect_grid *grid = &decoder->grids[i];
    grid->anchors = level->anchor_count;
    grid->first = decoder->candidates;
    if (level->cells[0] > 0) {
        grid->width = level->cells[0];
        grid->height = level->cells[1];
    } else if (level->stride > 0) {
        grid->width = ((size_t)decoder->input_width + level->stride - 1) / level->stride;
        grid->height = ((size_t)decoder->input_height + level->stride - 1) / level->stride;
    } else {
        struct table table;
        if (!table_of(binding, tensor_of(binding, level->boxes.tensor), level->boxes.layout, &table, err))
            return ood_error_prefix(err, "levels[%zu].boxes", i);
        grid->width = table.rows;
        grid->height = 1;
    }
    grid->cells = grid->width * grid->height;
    if (grid->cells > OOD_DETECTOR_CANDIDATES || decoder->candidates + grid->cells * grid->anchors > OOD_DETECTOR_CANDIDATES)
        return ood_fail(err, OOD_LIMIT, "levels[%zu]: more than %d candidates", i, OOD_DETECTOR_CANDIDATES);
    decoder->candidates += grid->cells * grid->anchors;
    struct detect_place *places[ROLES] = { &grid->boxes, &grid->objectness, &grid->classes, &grid->logits, &grid->labels, &grid->sizes };
    for (size_t r = 0; r < ROLES; r++)
        if (!bind_view(decoder, binding, i, r, places[r], err))
            return false;
    return true;
}

static bool bind_map(struct ood_decoder *decoder, const struct binding *binding, const char *member, size_t i, const char *name, struct detect_map *map,
                     struct ood_error *err)
{
    size_t tensor = tensor_of(binding, name), elements;
    const struct ood_shape *shape = &binding->shapes[tensor];
    char text[OOD_SHAPE_TEXT];
    if (shape->rank != 4 || shape->dims[0] != 1 || !ood_shape_count(shape, &elements) || elements == 0 || shape->dims[1] > 65536 ||
        shape->dims[2] > 8192 || shape->dims[3] > 8192)
        return ood_fail(err, OOD_INVALID, "%s[%zu]: tensor %s of shape %s, expected 1xCxHxW with C up to 65536", member, i,
                        binding->names[tensor], ood_shape_print(shape, text));
    *map = (struct detect_map){ tensor, (size_t)shape->dims[1], (size_t)shape->dims[2], (size_t)shape->dims[3] };
    if (map->height + map->width > decoder->scratch)
        decoder->scratch = map->height + map->width;
    return true;
}

static bool bind_maps(struct ood_decoder *decoder, const struct binding *binding, struct ood_error *err)
{
    decoder->map_count = decoder->detector.map_count;
    for (size_t i = 0; i < decoder->map_count; i++) {
        if (!bind_map(decoder, binding, "maps", i, decoder->detector.maps[i], &decoder->maps[i], err))
            return false;
        decoder->dimension += decoder->maps[i].channels;
    }
    return true;
}

/* All maps of a kind have the same channels, for they are summed. */
static bool bind_head(struct ood_decoder *decoder, const struct binding *binding, struct ood_error *err)
{
    const struct ood_detector *detector = &decoder->detector;
    decoder->map_count = detector->head_count;
    for (size_t i = 0; i < detector->head_count; i++) {
        if (!bind_map(decoder, binding, "head.features", i, detector->head_features[i], &decoder->maps[i], err) ||
            !bind_map(decoder, binding, "head.logits", i, detector->head_logits[i], &decoder->logits[i], err))
            return false;
        if (decoder->maps[i].channels != decoder->maps[0].channels || decoder->logits[i].channels != detector->classes)
            return ood_fail(err, OOD_INVALID, "head: map %zu has %zu features and %zu logits, expected %zu and %zu", i, decoder->maps[i].channels,
                            decoder->logits[i].channels, decoder->maps[0].channels, detector->classes);
    }
    decoder->dimension = decoder->maps[0].channels;
    decoder->part = decoder->scratch;        /* behind what a map's pooling needs: a map's own means */
    decoder->scratch += (decoder->dimension > detector->classes ? decoder->dimension : detector->classes) / 2 + 1;
    return true;
}

struct ood_decoder *ood_decoder_new(const struct ood_detector *detector, size_t input_width, size_t input_height,
                                    const struct ood_shape *shapes, size_t n, struct ood_error *err)
{
    struct binding binding = { .detector = detector, .shapes = shapes };
    if (!ood_detector_check(detector, err))
        return NULL;
    struct ood_decoder *decoder = ood_new(struct ood_decoder, err);
    if (decoder == NULL || !ood_detector_copy(detector, &decoder->detector, err))
        goto fail;
    binding.count = ood_detector_tensors(&decoder->detector, binding.names);
    if (binding.count != n) {
        ood_fail(err, OOD_INVALID, "%zu tensors given, the detector reads %zu", n, binding.count);
        goto fail;
    }
    decoder->input_width = (double)input_width;
    decoder->input_height = (double)input_height;
    for (size_t i = 0; i < detector->level_count; i++)
        if (!bind_grid(decoder, &binding, i, err))
            goto fail;
    if (detector->head_count > 0 ? bind_head(decoder, &binding, err) : bind_maps(decoder, &binding, err))
        return decoder;
fail:
    ood_decoder_free(decoder);
    return NULL;
}

void ood_decoder_free(struct ood_decoder *decoder)
{
    if (decoder == NULL)
        return;
    ood_detector_clear(&decoder->detector);
    ood_free(decoder);
}

const struct ood_detector *ood_decoder_detector(const struct ood_decoder *decoder) { return &decoder->detector; }
size_t ood_decoder_candidates(const struct ood_decoder *decoder) { return decoder->candidates; }
size_t ood_decoder_dimension(const struct ood_decoder *decoder) { return decoder->dimension; }
size_t ood_decoder_scratch(const struct ood_decoder *decoder) { return decoder->scratch; }

struct ood_shape ood_decoder_map(const struct ood_decoder *decoder, size_t i)
{
    const struct detect_map *map = &decoder->maps[i];
    return ood_shape_of(4, (int64_t)1, (int64_t)map->channels, (int64_t)map->height, (int64_t)map->width);
}
