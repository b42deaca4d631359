/* What a declaration leaves to the network: tensors told by the number of an output, the number of classes, the feature map. */
#include <string.h>

#include "base/number.h"
#include "detect/detect.h"
#include "graph/graph.h"

/* "#2" is output 2. */
static bool resolve_name(char **name, const struct ood_graph *graph, struct ood_error *err)
{
    size_t i;
    if (*name == NULL || (*name)[0] != '#')
        return true;
    if (!ood_parse_size(*name + 1, &i) || i >= graph->output_count)
        return ood_fail(err, OOD_NOT_FOUND, "tensor %.40s: the network has %zu outputs, #0 to #%zu", *name, graph->output_count,
                        graph->output_count - 1);
    char *found = ood_strdup(graph->values[graph->outputs[i]].name, err);
    if (found == NULL)
        return false;
    ood_free(*name);
    *name = found;
    return true;
}

/* Is the value a map of the picture [1, C, H, W] at this stride? */
static bool at_stride(const struct ood_value *value, size_t width, size_t height, size_t stride)
{
    const struct ood_shape *shape = &value->shape;
    return value->type == OOD_FLOAT32 && value->constant == NULL && value->producer != OOD_NONE && shape->rank == 4 &&
           shape->dims[0] == 1 && shape->dims[1] >= 1 && shape->dims[2] == (int64_t)((height + stride - 1) / stride) &&
           shape->dims[3] == (int64_t)((width + stride - 1) / stride);
}

static bool is_read(const struct ood_detector *detector, const char *name)
{
    const char *names[OOD_DETECTOR_TENSORS];
    size_t count = ood_detector_tensors(detector, names);
    for (size_t i = 0; i < count; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

/* The deepest map: of the greatest stride up to 32 (halving from there), the most channels; of these the last. */
static bool find_map(struct ood_detector *detector, const struct ood_graph *graph, size_t width, size_t height, struct ood_error *err)
{
    const struct ood_value *best = NULL;
    for (size_t stride = 32; best == NULL && stride >= 1; stride /= 2)
        for (size_t n = 0; n < graph->node_count; n++)
            for (size_t o = 0; o < graph->nodes[n].output_count; o++) {
                uint32_t v = graph->nodes[n].outputs[o];
                if (v == OOD_NONE || !at_stride(&graph->values[v], width, height, stride) || is_read(detector, graph->values[v].name))
                    continue;
                if (best == NULL || graph->values[v].shape.dims[1] >= best->shape.dims[1])
                    best = &graph->values[v];
            }
    if (best == NULL)
        return ood_fail(err, OOD_UNSUPPORTED, "maps: the network has no feature map 1xCxHxW of a stride up to 32; name one");
    detector->maps[0] = ood_strdup(best->name, err);
    detector->map_count = detector->maps[0] != NULL;
    return detector->maps[0] != NULL;
}

/* Channels behind the first of the first level's classes, without background. */
static bool count_classes(struct ood_detector *detector, const struct ood_graph *graph, struct ood_error *err)
{
    const struct ood_view *view = &detector->levels[0].classes;
    uint32_t value = ood_graph_find(graph, view->tensor);
    size_t background = detector->background != OOD_BACKGROUND_NONE, channels = 0;
    const struct ood_shape *shape = value == OOD_NONE ? NULL : &graph->values[value].shape;
    if (shape == NULL)
        return ood_fail(err, OOD_NOT_FOUND, "the network has no tensor \"%.100s\"", view->tensor);
    if (detector->levels[0].labels.tensor != NULL || shape->rank > OOD_MAX_RANK)
        return ood_fail(err, OOD_INVALID, "classes: cannot be told from tensor %.100s; name the number", view->tensor);
    if (shape->rank >= 2)
        channels = (size_t)(view->layout == OOD_VIEW_CHANNELS_LAST ? shape->dims[shape->rank - 1]
                                                                  : shape->dims[shape->rank >= 3 ? 1 : 0]);
    if (view->anchors == OOD_VIEW_CHANNELS && view->anchor_step > 0)
        channels = view->anchor_step + view->channel;
    if (channels <= view->channel + background || channels > 1000000)
        return ood_fail(err, OOD_INVALID, "classes: cannot be told from tensor %.100s; name the number", view->tensor);
    detector->classes = channels - view->channel - background;
    return true;
}

/* Exporters write scores and labels in either order: labels are the whole numbers. */
static void tell_labels(struct ood_level *level, const struct ood_graph *graph)
{
    if (level->labels.tensor == NULL)
        return;
    const uint32_t scores = ood_graph_find(graph, level->classes.tensor), labels = ood_graph_find(graph, level->labels.tensor);
    if (scores == OOD_NONE || labels == OOD_NONE || graph->values[scores].type == OOD_FLOAT32 || graph->values[labels].type != OOD_FLOAT32)
        return;
    char *tensor = level->classes.tensor;
    level->classes.tensor = level->labels.tensor;
    level->labels.tensor = tensor;
}

bool ood_detector_resolve(struct ood_detector *detector, const struct ood_graph *graph, size_t width, size_t height, struct ood_error *err)
{
    for (size_t i = 0; i < detector->level_count; i++) {
        struct ood_level *level = &detector->levels[i];
        char **const names[] = { &level->boxes.tensor, &level->objectness.tensor, &level->classes.tensor, &level->logits.tensor,
                                 &level->labels.tensor, &level->sizes.tensor };
        for (size_t r = 0; r < sizeof names / sizeof names[0]; r++)
            if (!resolve_name(names[r], graph, err))
                return ood_error_prefix(err, "levels[%zu]", i);
        tell_labels(level, graph);
    }
    for (size_t i = 0; i < detector->map_count; i++)
        if (!resolve_name(&detector->maps[i], graph, err))
            return ood_error_prefix(err, "maps[%zu]", i);
    return (detector->classes > 0 || count_classes(detector, graph, err)) &&
           (detector->map_count > 0 || find_map(detector, graph, width, height, err));
}
