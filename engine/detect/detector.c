/* A detector's declaration: words, usual values, what must hold without knowing the tensors. */
#include <math.h>
#include <string.h>

#include "detect/detect.h"

static const char *const activation_names[] = { "none", "sigmoid", "tanh", "exp", "relu", "softmax" };
static const char *const layout_names[] = { "channels_last", "channels_first" };
static const char *const anchors_names[] = { "rows", "planes", "channels", "shared" };
static const char *const coding_names[] = { "corners", "center_size", "sides", "distribution" };
static const char *const unit_names[] = { "pixel", "input", "stride", "anchor" };
static const char *const background_names[] = { "none", "first", "last" };
static const char *const suppression_names[] = { "class_wise", "agnostic", "none" };

#define COUNT(names) (sizeof(names) / sizeof(names)[0])

#define NAMES(type, stem, names)                                                                                      \
    const char *ood_##stem##_name(enum type value)                                                                    \
    {                                                                                                                 \
        return (size_t)value < COUNT(names) ? names[value] : "?";                                                     \
    }                                                                                                                 \
    bool ood_##stem##_parse(const char *name, enum type *out)                                                         \
    {                                                                                                                 \
        for (size_t i = 0; i < COUNT(names); i++)                                                                     \
            if (strcmp(names[i], name) == 0) {                                                                        \
                *out = (enum type)i;                                                                                  \
                return true;                                                                                          \
            }                                                                                                         \
        return false;                                                                                                 \
    }

NAMES(ood_activation, activation, activation_names)
NAMES(ood_view_layout, view_layout, layout_names)
NAMES(ood_view_anchors, view_anchors, anchors_names)
NAMES(ood_box_coding, box_coding, coding_names)
NAMES(ood_box_unit, box_unit, unit_names)
NAMES(ood_background, background, background_names)
NAMES(ood_suppression, suppression, suppression_names)

/* ---- making, copying, freeing ---- */

void ood_detector_usual(struct ood_detector *detector)
{
    static const struct ood_box_part plain = { .input_scale = 1, .scale = 1, .power = 1 };
    *detector = (struct ood_detector){
        .objectness_power = 1, .class_power = 1, .limit = 0.25, .iou = 0.45, .most = 300, .box = { .center = plain, .size = plain },
    };
}

static void each_text(struct ood_detector *detector, void (*visit)(char **text, void *state), void *state)
{
    visit(&detector->family, state);
    for (size_t i = 0; i < OOD_DETECTOR_LEVELS; i++) {
        struct ood_level *level = &detector->levels[i];
        visit(&level->boxes.tensor, state);
        visit(&level->objectness.tensor, state);
        visit(&level->classes.tensor, state);
        visit(&level->logits.tensor, state);
        visit(&level->labels.tensor, state);
        visit(&level->sizes.tensor, state);
    }
    for (size_t i = 0; i < OOD_DETECTOR_MAPS; i++) {
        visit(&detector->maps[i], state);
        visit(&detector->head_features[i], state);
        visit(&detector->head_logits[i], state);
    }
}

static void drop_text(char **text, void *state)
{
    (void)state;
    ood_free(*text);
}

void ood_detector_clear(struct ood_detector *detector)
{
    each_text(detector, drop_text, NULL);
    *detector = (struct ood_detector){ 0 };
}

struct copying { struct ood_error *err; bool failed; };

/* The text is still the original's; where memory ends the rest becomes NULL, so that clearing frees copies only. */
static void copy_text(char **text, void *state)
{
    struct copying *copying = state;
    if (*text == NULL)
        return;
    *text = copying->failed ? NULL : ood_strdup(*text, copying->err);
    copying->failed = copying->failed || *text == NULL;
}

bool ood_detector_copy(const struct ood_detector *from, struct ood_detector *to, struct ood_error *err)
{
    struct ood_detector copy = *from;
    struct copying copying = { err, false };
    each_text(&copy, copy_text, &copying);
    if (copying.failed) {
        ood_detector_clear(&copy);
        return false;
    }
    *to = copy;
    return true;
}

/* ---- checking ---- */

static bool in_range(const char *member, double value, double least, double most, struct ood_error *err)
{
    return (value >= least && value <= most) ||          /* false for NaN */
           ood_fail(err, OOD_INVALID, "%s: found %g, expected %g to %g", member, value, least, most);
}

static bool check_part(const char *member, const struct ood_box_part *part, struct ood_error *err)
{
    if (part->activation == OOD_ACTIVATION_SOFTMAX)
        return ood_fail(err, OOD_INVALID, "box.%s.activation: found softmax, expected none, sigmoid, tanh, exp or relu", member);
    if (part->power != 1 && part->power != 2)
        return ood_fail(err, OOD_INVALID, "box.%s.power: found %zu, expected 1 or 2", member, part->power);
    if (!isfinite(part->input_scale) || !isfinite(part->scale) || !isfinite(part->shift))
        return ood_fail(err, OOD_INVALID, "box.%s: found a number that is not finite", member);
    return true;
}

static bool check_box(const struct ood_box_form *box, struct ood_error *err)
{
    bool distribution = box->coding == OOD_BOX_DISTRIBUTION;
    if (!check_part("center", &box->center, err) || !check_part("size", &box->size, err))
        return false;
    if (distribution ? box->bins < 2 || box->bins > OOD_DETECTOR_BINS : box->bins != 0)
        return ood_fail(err, OOD_INVALID, "box.bins: found %zu, expected %s", box->bins,
                        distribution ? "2 to 64" : "0, since the coding is no distribution");
    return in_range("box.cell", box->cell, -1, 1, err) && in_range("box.cell_pixels", box->cell_pixels, -1e4, 1e4, err);
}

static bool has_grid(const struct ood_level *level) { return level->stride != 0 || level->cells[0] != 0; }

/* Does the coding need a grid? */
static bool needs_grid(const struct ood_detector *detector)
{
    const struct ood_box_form *box = &detector->box;
    if (detector->peaks)
        return true;
    if (box->coding == OOD_BOX_SIDES || box->coding == OOD_BOX_DISTRIBUTION)
        return true;
    bool size = box->coding == OOD_BOX_CENTER_SIZE && box->size.unit >= OOD_UNIT_STRIDE;
    return size || box->center.unit >= OOD_UNIT_STRIDE;
}

static bool check_view(const char *role, size_t i, const struct ood_view *view, bool needed, struct ood_error *err)
{
    if (view->tensor == NULL)
        return !needed || ood_fail(err, OOD_INVALID, "levels[%zu].%s: no tensor", i, role);
    if (view->channel > 1000000 || view->anchor_step > 1000000)
        return ood_fail(err, OOD_INVALID, "levels[%zu].%s: found channel %zu, anchor_step %zu, expected at most 1000000", i, role,
                        view->channel, view->anchor_step);
    return true;
}

/* What the network found by itself is one list of boxes with the probability of one class each. */
static bool check_labels(const struct ood_detector *detector, size_t i, struct ood_error *err)
{
    const struct ood_level *level = &detector->levels[i];
    const char *wrong = detector->level_count != 1 || has_grid(level) ? "one level without a stride"
                        : level->objectness.tensor != NULL || level->logits.tensor != NULL || level->sizes.tensor != NULL ? "no objectness, logits and sizes"
                        : detector->class_softmax || detector->class_activation != OOD_ACTIVATION_NONE ? "class_head sigmoid, class_activation none"
                        : detector->background == OOD_BACKGROUND_LAST ? "background none or first" : NULL;
    return wrong == NULL || ood_fail(err, OOD_INVALID, "levels[%zu].labels: expected %s", i, wrong);
}

static bool check_level(const struct ood_detector *detector, size_t i, struct ood_error *err)
{
    const struct ood_level *level = &detector->levels[i];
    if (level->anchor_count < 1 || level->anchor_count > OOD_DETECTOR_ANCHORS)
        return ood_fail(err, OOD_INVALID, "levels[%zu].anchors: found %zu, expected 1 to %d", i, level->anchor_count,
                        OOD_DETECTOR_ANCHORS);
    if (level->stride > 65536)
        return ood_fail(err, OOD_INVALID, "levels[%zu].stride: found %zu, expected 0 to 65536", i, level->stride);
    if (level->cells[0] > 65536 || level->cells[1] > 65536 || (level->cells[0] == 0) != (level->cells[1] == 0) ||
        (level->cells[0] != 0 && level->stride != 0))
        return ood_fail(err, OOD_INVALID, "levels[%zu].cells: found %zu and %zu, stride %zu, expected 1 to 65536 each and stride 0", i, level->cells[0],
                        level->cells[1], level->stride);
    if (level->sizes.tensor != NULL && detector->box.coding != OOD_BOX_CENTER_SIZE)
        return ood_fail(err, OOD_INVALID, "levels[%zu].sizes: expected the coding center_size", i);
    if (!has_grid(level) && (needs_grid(detector) || level->anchor_count > 1))
        return ood_fail(err, OOD_INVALID, "levels[%zu].stride: found 0, expected a grid for this coding", i);
    bool anchors = detector->box.center.unit == OOD_UNIT_ANCHOR || detector->box.size.unit == OOD_UNIT_ANCHOR;
    for (size_t a = 0; anchors && a < level->anchor_count; a++)
        if (!in_range("anchors", level->anchors[a][0], 1e-3, 1e6, err) || !in_range("anchors", level->anchors[a][1], 1e-3, 1e6, err))
            return ood_error_prefix(err, "levels[%zu]", i);
    if ((level->logits.tensor != NULL) != (detector->levels[0].logits.tensor != NULL) ||
        (level->objectness.tensor != NULL) != (detector->levels[0].objectness.tensor != NULL))
        return ood_fail(err, OOD_INVALID, "levels[%zu]: logits and objectness are of all levels or of none", i);
    if (level->labels.tensor != NULL && !check_labels(detector, i, err))
        return false;
    return check_view("boxes", i, &level->boxes, true, err) && check_view("labels", i, &level->labels, false, err) &&
           check_view("objectness", i, &level->objectness, false, err) && check_view("classes", i, &level->classes, true, err) &&
           check_view("logits", i, &level->logits, false, err) && check_view("sizes", i, &level->sizes, false, err);
}

bool ood_detector_check(const struct ood_detector *detector, struct ood_error *err)
{
    if (detector->classes < 1 || detector->classes > 100000)
        return ood_fail(err, OOD_INVALID, "classes: found %zu, expected 1 to 100000", detector->classes);
    if (detector->level_count < 1 || detector->level_count > OOD_DETECTOR_LEVELS)
        return ood_fail(err, OOD_INVALID, "levels: found %zu, expected 1 to %d", detector->level_count, OOD_DETECTOR_LEVELS);
    if (!check_box(&detector->box, err))
        return false;
    if (detector->objectness_activation > OOD_ACTIVATION_SIGMOID)
        return ood_fail(err, OOD_INVALID, "objectness_activation: found %s, expected none or sigmoid",
                        ood_activation_name(detector->objectness_activation));
    if (detector->class_activation != OOD_ACTIVATION_NONE &&
        detector->class_activation != (detector->class_softmax ? OOD_ACTIVATION_SOFTMAX : OOD_ACTIVATION_SIGMOID))
        return ood_fail(err, OOD_INVALID, "class_activation: found %s, expected none or the head's, %s",
                        ood_activation_name(detector->class_activation), detector->class_softmax ? "softmax" : "sigmoid");
    if (detector->map_count < 1 || detector->map_count > OOD_DETECTOR_MAPS)
        return ood_fail(err, OOD_INVALID, "maps: found %zu, expected 1 to %d", detector->map_count, OOD_DETECTOR_MAPS);
    for (size_t i = 0; i < detector->map_count; i++)
        if (detector->maps[i] == NULL)
            return ood_fail(err, OOD_INVALID, "maps[%zu]: no tensor", i);
    if (detector->head_count > OOD_DETECTOR_MAPS)
        return ood_fail(err, OOD_INVALID, "head: found %zu maps, expected at most %d", detector->head_count, OOD_DETECTOR_MAPS);
    for (size_t i = 0; i < detector->head_count; i++)
        if (detector->head_features[i] == NULL || detector->head_logits[i] == NULL)
            return ood_fail(err, OOD_INVALID, "head: map %zu: no tensor", i);
    if (detector->most < 1 || detector->most > OOD_DETECTOR_MOST)
        return ood_fail(err, OOD_INVALID, "most: found %zu, expected 1 to %d", detector->most, OOD_DETECTOR_MOST);
    if (!in_range("objectness_power", detector->objectness_power, 0, 16, err) ||
        !in_range("class_power", detector->class_power, 0, 16, err) || !in_range("limit", detector->limit, 1e-6, 1, err) ||
        !in_range("iou", detector->iou, 0, 1, err))
        return false;
    for (size_t i = 0; i < detector->level_count; i++)
        if (!check_level(detector, i, err))
            return false;
    return true;
}

enum ood_energy_form ood_detector_energy(const struct ood_detector *detector)
{
    return detector->class_softmax || detector->head_count > 0 ? OOD_ENERGY_SOFTMAX : OOD_ENERGY_JOINT;
}

static size_t add_tensor(const char *names[OOD_DETECTOR_TENSORS], size_t count, const char *tensor)
{
    for (size_t i = 0; i < count && tensor != NULL; i++)
        if (strcmp(names[i], tensor) == 0)
            return count;
    if (tensor == NULL)
        return count;
    names[count] = tensor;
    return count + 1;
}

size_t ood_detector_found(const struct ood_detector *detector, const char *tensor)
{
    const struct ood_level *level = &detector->levels[0];
    const struct { const struct ood_view *view; size_t channels; } roles[] = { { &level->boxes, 4 }, { &level->classes, 1 }, { &level->labels, 1 } };
    size_t columns = 0;
    for (size_t i = 0; level->labels.tensor != NULL && i < sizeof roles / sizeof roles[0]; i++)
        if (strcmp(roles[i].view->tensor, tensor) == 0 && roles[i].view->channel + roles[i].channels > columns)
            columns = roles[i].view->channel + roles[i].channels;
    return columns;
}

size_t ood_detector_tensors(const struct ood_detector *detector, const char *names[OOD_DETECTOR_TENSORS])
{
    size_t count = 0;
    for (size_t i = 0; i < detector->level_count; i++) {
        const struct ood_level *level = &detector->levels[i];
        count = add_tensor(names, count, level->boxes.tensor);
        count = add_tensor(names, count, level->objectness.tensor);
        count = add_tensor(names, count, level->classes.tensor);
        count = add_tensor(names, count, level->logits.tensor);
        count = add_tensor(names, count, level->labels.tensor);
        count = add_tensor(names, count, level->sizes.tensor);
    }
    for (size_t i = 0; i < detector->map_count && detector->head_count == 0; i++)
        count = add_tensor(names, count, detector->maps[i]);
    for (size_t i = 0; i < detector->head_count; i++) {
        count = add_tensor(names, count, detector->head_features[i]);
        count = add_tensor(names, count, detector->head_logits[i]);
    }
    return count;
}
