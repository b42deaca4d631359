/* NonMaxSuppression: of each picture's boxes and each class the best by score, less those that overlap a better one. Scores descend, equal ones
 * stand in the order of their boxes; arithmetic is float32, as the runtimes that detectors are exported for have it. What is not a number:
 * a score that is NaN is never chosen, a score limit that is NaN lets none through, an overlap limit that is NaN lets all; a box with a coordinate
 * that is NaN, or whose area is infinite, overlaps none. */
#include <math.h>

#include "ops/ops.h"
#include "ops/ops_internal.h"
#include "ops/sort_internal.h"
#include "plan/builder.h"

#define BOXES_MOST (INT64_C(1) << 20)
#define ROWS_MOST (INT64_C(1) << 22)

enum { BOXES, SCORES, MOST, IOU, SCORE };

static bool check_scalar(const struct ood_graph *graph, const struct ood_node *node, size_t i, enum ood_type type, struct ood_error *err)
{
    const struct ood_value *value = ood_node_input(graph, node, i);
    int64_t count;
    if (value == NULL || (value->type == type && value->shape.rank <= 1 && ood_shape_elements(&value->shape, &count) && count == 1))
        return true;
    char text[OOD_SHAPE_TEXT];
    return ood_node_fail(node, err, OOD_INVALID, "input %zu is %s %s; expected one %s", i, ood_type_name(value->type),
                         ood_shape_print(&value->shape, text), ood_type_name(type));
}

/* The most boxes of one class: what is known of max_output_boxes_per_class, at most all. */
static int64_t most_of_class(const struct ood_graph *graph, const struct ood_node *node, int64_t boxes)
{
    const struct ood_value *most = ood_node_input(graph, node, MOST);
    const int64_t given = most == NULL ? 0 : most->constant != NULL ? ood_i64(most->constant)[0] : boxes;
    return given < 0 ? 0 : given < boxes ? given : boxes;
}

static bool suppress_shape(struct ood_graph *graph, const struct ood_node *node, struct ood_error *err)
{
    const struct ood_value *boxes = ood_node_input(graph, node, BOXES), *scores = ood_node_input(graph, node, SCORES);
    const struct ood_shape *b = &boxes->shape, *s = &scores->shape;
    char b_text[OOD_SHAPE_TEXT], s_text[OOD_SHAPE_TEXT];
    int64_t classes, rows;
    if (boxes->type != OOD_FLOAT32 || scores->type != OOD_FLOAT32)
        return ood_node_fail(node, err, OOD_UNSUPPORTED, "boxes are %s, scores %s; expected float32", ood_type_name(boxes->type),
                             ood_type_name(scores->type));
    if (b->rank != 3 || s->rank != 3 || b->dims[2] != 4 || b->dims[0] != s->dims[0] || b->dims[1] != s->dims[2])
        return ood_node_fail(node, err, OOD_INVALID, "boxes %s, scores %s; expected NxBx4, NxCxB", ood_shape_print(b, b_text),
                             ood_shape_print(s, s_text));
    if (ood_shape_has_batch(b) || ood_shape_has_batch(s))
        return ood_node_fail(node, err, OOD_UNSUPPORTED, "a number of pictures or boxes that depends on the batch");
    if (!check_scalar(graph, node, MOST, OOD_INT64, err) || !check_scalar(graph, node, IOU, OOD_FLOAT32, err) ||
        !check_scalar(graph, node, SCORE, OOD_FLOAT32, err))
        return false;
    const int64_t most = most_of_class(graph, node, b->dims[1]);
    if (b->dims[1] > BOXES_MOST || !ood_dim_mul(s->dims[0], s->dims[1], &classes) || !ood_dim_mul(classes, most, &rows) || rows > ROWS_MOST)
        return ood_node_fail(node, err, OOD_LIMIT, "%lld boxes, up to %lld of each of %lld classes: more than %lld boxes or %lld answers",
                             (long long)b->dims[1], (long long)most, (long long)s->dims[1], (long long)BOXES_MOST, (long long)ROWS_MOST);
    const struct ood_shape shape = ood_shape_of(2, rows, INT64_C(3));
    return ood_graph_set_output(graph, node, 0, OOD_INT64, &shape, err);
}

static bool suppress_counted(const struct ood_graph *graph, const struct ood_node *node, size_t output, size_t *axis)
{
    (void)graph, (void)node;
    *axis = 0;
    return output == 0;
}

/* ---- running ---- */

struct suppress { size_t pictures, classes, boxes, most; bool centre, has_most, has_iou, has_score; };

struct corners { float x1, y1, x2, y2; };

/* Corners in either order, or centre and size. */
static struct corners corners_of(const float box[4], bool centre)
{
    if (centre) {
        const float w = box[2] / 2, h = box[3] / 2;
        return (struct corners){ box[0] - w, box[1] - h, box[0] + w, box[1] + h };
    }
    return (struct corners){ fminf(box[0], box[2]), fminf(box[1], box[3]), fmaxf(box[0], box[2]), fmaxf(box[1], box[3]) };
}

static bool overlap(struct corners a, struct corners b, float limit)
{
    const float w = fminf(a.x2, b.x2) - fmaxf(a.x1, b.x1), h = fminf(a.y2, b.y2) - fmaxf(a.y1, b.y1);
    if (!(w > 0) || !(h > 0))
        return false;
    const float shared = w * h, area_a = (a.x2 - a.x1) * (a.y2 - a.y1), area_b = (b.x2 - b.x1) * (b.y2 - b.y1);
    return area_a > 0 && area_b > 0 && shared / (area_a + area_b - shared) > limit;
}

static bool better(const void *context, int64_t a, int64_t b)
{
    const float *scores = context;
    return scores[a] > scores[b];
}

/* One class: appends its rows {picture, class, box} to rows[3·most]; returns how many. order, spare: [boxes]. */
static size_t suppress_class(const struct suppress *s, const float *boxes, const float *scores, float iou, const float *limit, size_t most,
                             int64_t *order, int64_t *spare, int64_t *rows)
{
    size_t count = 0, kept = 0;
    for (size_t i = 0; i < s->boxes; i++)
        if (limit == NULL ? !isnan(scores[i]) : scores[i] > *limit)
            order[count++] = (int64_t)i;
    ood_sort_places(order, spare, count, better, scores);
    for (size_t i = 0; i < count && kept < most; i++) {
        const struct corners box = corners_of(boxes + 4 * order[i], s->centre);
        bool stays = true;
        for (size_t k = 0; stays && k < kept; k++)
            stays = !overlap(box, corners_of(boxes + 4 * rows[3 * k + 2], s->centre), iou);
        if (stays)
            rows[3 * kept++ + 2] = order[i];
    }
    return kept;
}

/* memory: boxes, scores, rows, how many, order and spare, then max_output_boxes_per_class, iou_threshold, score_threshold where given. */
static void run_suppress(const void *state, void *const *memory)
{
    const struct suppress *s = state;
    void *const *given = memory + 5;
    const int64_t asked = s->has_most ? *(const int64_t *)*given++ : 0;
    const float iou = s->has_iou ? *(const float *)*given++ : 0;
    const float *limit = s->has_score ? *given++ : NULL;
    const size_t most = asked <= 0 ? 0 : (uint64_t)asked < s->most ? (size_t)asked : s->most;
    int64_t *rows = memory[2], *order = memory[4], count = 0;
    for (size_t p = 0; p < s->pictures; p++)
        for (size_t c = 0; c < s->classes; c++) {
            const float *scores = (const float *)memory[1] + (p * s->classes + c) * s->boxes;
            const size_t kept = suppress_class(s, (const float *)memory[0] + p * s->boxes * 4, scores, iou, limit, most, order, order + s->boxes, rows);
            for (size_t k = 0; k < kept; k++, rows += 3) {
                rows[0] = (int64_t)p;
                rows[1] = (int64_t)c;
            }
            count += (int64_t)kept;
        }
    *(int64_t *)memory[3] = count;
}

static bool suppress_lower(struct ood_builder *builder, const struct ood_node *node, struct ood_error *err)
{
    const struct ood_graph *graph = ood_builder_graph(builder);
    const struct ood_shape boxes = ood_builder_shape(builder, node->inputs[BOXES]), scores = ood_builder_shape(builder, node->inputs[SCORES]);
    struct suppress state = { .pictures = (size_t)boxes.dims[0], .boxes = (size_t)boxes.dims[1], .classes = (size_t)scores.dims[1],
                              .most = (size_t)most_of_class(graph, node, boxes.dims[1]), .centre = ood_node_int(node, "center_point_box", 0) != 0 };
    bool *const given[] = { &state.has_most, &state.has_iou, &state.has_score };
    struct ood_operand operands[8];
    size_t count = 5;
    if (!ood_builder_input(builder, node->inputs[BOXES], OOD_PLAIN, &operands[0], err) ||
        !ood_builder_input(builder, node->inputs[SCORES], OOD_PLAIN, &operands[1], err))
        return false;
    for (size_t i = MOST; i <= SCORE; i++) {
        *given[i - MOST] = ood_node_input(graph, node, i) != NULL;
        if (*given[i - MOST] && !ood_builder_input(builder, node->inputs[i], OOD_PLAIN, &operands[count++], err))
            return false;
    }
    return ood_builder_output(builder, node->outputs[0], OOD_PLAIN, &operands[2], err) &&
           ood_builder_count(builder, node, &operands[3], err) &&
           ood_builder_scratch(builder, 2 * state.boxes * sizeof(int64_t), &operands[4], err) &&
           ood_builder_step(builder, &(struct ood_step_spec){ .node = node, .kernel = "own:suppress", .run = run_suppress, .state = &state,
                                                              .state_size = sizeof state, .operands = operands, .operand_count = count }, err);
}

const struct ood_op ood_op_non_max_suppression = {
    .name = "NonMaxSuppression", .since = 10, .least_inputs = 2, .most_inputs = 5, .shape = suppress_shape, .counted = suppress_counted,
    .lower = suppress_lower,
};
