/* RoiAlign: features of boxes from a map, by kernel/roi_align.h. Both maps lie channels last. */
#include <math.h>
#include <string.h>

#include "kernel/roi_align.h"
#include "ops/indexing_internal.h"
#include "ops/ops.h"

#define BINS_MOST 1024
#define SAMPLES_MOST 64

/* Attributes; opset 16 gave coordinate_transformation_mode, whose default shifts by half a pixel. */
static bool form_of(const struct ood_node *node, struct ood_roi_form *form, struct ood_error *err)
{
    const char *mode = ood_node_string(node, "mode", "avg");
    const char *coordinates = ood_node_string(node, "coordinate_transformation_mode", node->opset >= 16 ? "half_pixel" : "output_half_pixel");
    const int64_t rows = ood_node_int(node, "output_height", 1), columns = ood_node_int(node, "output_width", 1);
    const int64_t samples = ood_node_int(node, "sampling_ratio", 0);
    if (strcmp(mode, "avg") != 0 && strcmp(mode, "max") != 0)
        return ood_node_fail(node, err, OOD_INVALID, "a mode other than avg and max");
    if (strcmp(coordinates, "half_pixel") != 0 && strcmp(coordinates, "output_half_pixel") != 0)
        return ood_node_fail(node, err, OOD_INVALID, "a coordinate_transformation_mode other than half_pixel and output_half_pixel");
    if (rows < 1 || columns < 1 || rows > BINS_MOST || columns > BINS_MOST || samples < 0 || samples > SAMPLES_MOST)
        return ood_node_fail(node, err, OOD_INVALID, "%lld by %lld bins of %lld samples; expected 1 to %d and at most %d", (long long)rows,
                             (long long)columns, (long long)samples, BINS_MOST, SAMPLES_MOST);
    *form = (struct ood_roi_form){ .rows = (size_t)rows, .columns = (size_t)columns, .samples = (size_t)samples,
                                   .half_pixel = coordinates[0] == 'h', .greatest = mode[0] == 'm' };
    return true;
}

static bool roi_align_shape(struct ood_graph *graph, const struct ood_node *node, struct ood_error *err)
{
    const struct ood_value *x = ood_node_input(graph, node, 0), *boxes = ood_node_input(graph, node, 1), *which = ood_node_input(graph, node, 2);
    const float scale = ood_node_float(node, "spatial_scale", 1);
    struct ood_roi_form form;
    char a[OOD_SHAPE_TEXT], b[OOD_SHAPE_TEXT], c[OOD_SHAPE_TEXT];
    if (!form_of(node, &form, err))
        return false;
    if (x->type != OOD_FLOAT32 || boxes->type != OOD_FLOAT32 || which->type != OOD_INT64)
        return ood_node_fail(node, err, OOD_UNSUPPORTED, "%s, %s and %s; expected float32, float32 and int64", ood_type_name(x->type),
                             ood_type_name(boxes->type), ood_type_name(which->type));
    if (x->shape.rank != 4 || boxes->shape.rank != 2 || boxes->shape.dims[1] != 4 || which->shape.rank != 1 ||
        which->shape.dims[0] != boxes->shape.dims[0])
        return ood_node_fail(node, err, OOD_INVALID, "a map %s, boxes %s, pictures %s; expected NxCxHxW, Rx4, R",
                             ood_shape_print(&x->shape, a), ood_shape_print(&boxes->shape, b), ood_shape_print(&which->shape, c));
    if (ood_dim_is_batch(x->shape.dims[0]) || ood_dim_is_batch(boxes->shape.dims[0]))
        return ood_node_fail(node, err, OOD_UNSUPPORTED, "boxes of several pictures: the batch must be fixed");
    if (x->shape.dims[1] < 1 || x->shape.dims[2] < 1 || x->shape.dims[3] < 1 || !isfinite(scale))
        return ood_node_fail(node, err, OOD_INVALID, "a map of shape %s, a scale of %g", ood_shape_print(&x->shape, a), (double)scale);
    const struct ood_shape shape = ood_shape_of(4, boxes->shape.dims[0], x->shape.dims[1], (int64_t)form.rows, (int64_t)form.columns);
    return ood_graph_set_output(graph, node, 0, OOD_FLOAT32, &shape, err);
}

struct roi_align { struct ood_roi_form form; struct ood_roi_map map; size_t pictures, boxes; };

/* memory: map, boxes, pictures, scratch, output. A box of a picture that is not there gives NaN. */
static void run_roi_align(const void *state, void *const *memory)
{
    const struct roi_align *s = state;
    const float *boxes = memory[1];
    float *out = memory[4];
    const size_t plane = s->map.height * s->map.width * s->map.channels, bins = s->form.rows * s->form.columns * s->map.channels;
    for (size_t i = 0; i < s->boxes; i++, boxes += 4, out += bins) {
        struct ood_roi_map map = s->map;
        size_t picture;
        if (!ood_index_at(memory[2], OOD_INT64, i, s->pictures, &picture)) {
            ood_index_missing(out, OOD_FLOAT32, bins);
            continue;
        }
        map.values = (const float *)memory[0] + picture * plane;
        ood_roi_form_align(&s->form, &map, boxes, memory[3], out);
    }
}

static bool roi_align_lower(struct ood_builder *builder, const struct ood_node *node, struct ood_error *err)
{
    const struct ood_shape x = ood_builder_shape(builder, node->inputs[0]), y = ood_builder_shape(builder, node->outputs[0]);
    const double scale = (double)ood_node_float(node, "spatial_scale", 1);
    struct roi_align state = { .map = { .channels = (size_t)x.dims[1], .height = (size_t)x.dims[2], .width = (size_t)x.dims[3],
                                        .scale_x = scale, .scale_y = scale },
                               .pictures = (size_t)x.dims[0], .boxes = (size_t)y.dims[0] };
    struct ood_operand operands[5];
    if (!form_of(node, &state.form, err))
        return false;
    const size_t scratch = ood_roi_form_scratch(state.map.channels, state.map.height, state.map.width);
    return ood_builder_input(builder, node->inputs[0], OOD_NHWC, &operands[0], err) &&
           ood_builder_input(builder, node->inputs[1], OOD_PLAIN, &operands[1], err) &&
           ood_builder_input(builder, node->inputs[2], OOD_PLAIN, &operands[2], err) &&
           ood_builder_scratch(builder, scratch * sizeof(double), &operands[3], err) &&
           ood_builder_output(builder, node->outputs[0], OOD_NHWC, &operands[4], err) &&
           ood_builder_step(builder, &(struct ood_step_spec){ .node = node, .kernel = "own:roi_align", .run = run_roi_align, .state = &state,
                                                              .state_size = sizeof state, .operands = operands, .operand_count = 5 }, err);
}

const struct ood_op ood_op_roi_align = {
    .name = "RoiAlign", .since = 10, .least_inputs = 3, .most_inputs = 3, .shape = roi_align_shape, .lower = roi_align_lower,
};
