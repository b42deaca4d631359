/* Resize (ONNX opset 10, 11 to 17, 18) and Upsample (7 to 9): nearest, linear and cubic, one dimension after the other. What an output
 * element takes from a dimension is a table of places and weights, made at load. */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "plan/move.h"
#include "ops/ops.h"
#include "ops/ops_internal.h"
#include "ops/posts_internal.h"

enum coordinates { HALF_PIXEL, PYTORCH_HALF_PIXEL, ALIGN_CORNERS, ASYMMETRIC, TF_HALF_PIXEL_FOR_NN };
enum mode { NEAREST, LINEAR, CUBIC };
enum rounding { ROUND_PREFER_FLOOR, ROUND_PREFER_CEIL, FLOOR, CEIL };

struct resize {
    enum mode mode;
    enum coordinates coordinates;
    enum rounding rounding;
    bool exclude_outside;
    double cubic;
    size_t rank;
    int64_t sizes[OOD_MAX_RANK];             /* of the output; dims that stay as they are may be batch multiples */
    double scales[OOD_MAX_RANK];             /* output for input, as the coordinates take it */
};

/* The place of a word in a list that ends in NULL. */
static bool word(const struct ood_node *node, const char *attribute, const char *otherwise, const char *const *words, int *out,
                 struct ood_error *err)
{
    const char *text = ood_node_string(node, attribute, otherwise);
    for (int i = 0; words[i] != NULL; i++)
        if (strcmp(words[i], text) == 0) {
            *out = i;
            return true;
        }
    return ood_node_fail(node, err, OOD_UNSUPPORTED, "%s is %.40s", attribute, text);
}

static bool read_modes(const struct ood_node *node, struct resize *out, struct ood_error *err)
{
    static const char *const modes[] = { "nearest", "linear", "cubic", NULL };
    static const char *const coordinates[] = { "half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric", "tf_half_pixel_for_nn", NULL };
    static const char *const roundings[] = { "round_prefer_floor", "round_prefer_ceil", "floor", "ceil", NULL };
    int mode, at = ASYMMETRIC, rounding = FLOOR;
    if (!word(node, "mode", "nearest", modes, &mode, err))
        return false;
    if (node->opset >= 11 && (!word(node, "coordinate_transformation_mode", "half_pixel", coordinates, &at, err) ||
                              !word(node, "nearest_mode", "round_prefer_floor", roundings, &rounding, err)))
        return false;
    if (node->opset < 11 && mode == CUBIC)
        return ood_node_fail(node, err, OOD_INVALID, "mode is cubic; expected nearest or linear");
    if (ood_node_int(node, "antialias", 0) != 0)
        return ood_node_fail(node, err, OOD_UNSUPPORTED, "antialias is 1; expected 0");
    if (strcmp(ood_node_string(node, "keep_aspect_ratio_policy", "stretch"), "stretch") != 0)
        return ood_node_fail(node, err, OOD_UNSUPPORTED, "keep_aspect_ratio_policy is %.40s; expected stretch",
                             ood_node_string(node, "keep_aspect_ratio_policy", ""));
    out->mode = (enum mode)mode;
    out->coordinates = (enum coordinates)at;
    out->rounding = (enum rounding)rounding;
    out->exclude_outside = ood_node_int(node, "exclude_outside", 0) != 0;
    out->cubic = (double)ood_node_float(node, "cubic_coeff_a", -0.75f);
    return true;
}

/* Is optional input i there and not empty? */
static bool given(const struct ood_graph *graph, const struct ood_node *node, size_t i)
{
    const struct ood_value *value = ood_node_input(graph, node, i);
    return value != NULL && !(value->shape.rank == 1 && value->shape.dims[0] == 0);
}

static bool set_scale(const struct ood_node *node, const struct ood_shape *x, size_t axis, float scale, struct resize *out,
                      struct ood_error *err)
{
    const int64_t dim = x->dims[axis];
    if (!(scale > 0) || !isfinite(scale))
        return ood_node_fail(node, err, OOD_INVALID, "scale %zu is %g; expected more than 0", axis, (double)scale);
    if (scale == 1)
        return true;
    if (ood_dim_is_batch(dim))
        return ood_node_fail(node, err, OOD_UNSUPPORTED, "resizes the batch (axis %zu)", axis);
    const float size = floorf(scale * (float)dim);           /* in float32, as ONNX Runtime has it */
    if (!(size < (float)INT32_MAX))
        return ood_node_fail(node, err, OOD_INVALID, "axis %zu becomes too large", axis);
    if (out->coordinates == ALIGN_CORNERS && size != scale * (float)dim)     /* ONNX aligns an edge between pixels, others the last pixel */
        return ood_node_fail(node, err, OOD_UNSUPPORTED, "align_corners with axis %zu of %lld times %g, no whole number", axis, (long long)dim,
                             (double)scale);
    out->sizes[axis] = (int64_t)size;
    out->scales[axis] = (double)scale;
    return true;
}

static bool set_size(const struct ood_node *node, const struct ood_shape *x, size_t axis, int64_t size, struct resize *out,
                     struct ood_error *err)
{
    const int64_t dim = x->dims[axis];
    if (size == dim)
        return true;
    if (ood_dim_is_batch(dim) || ood_dim_is_batch(size))
        return ood_node_fail(node, err, OOD_UNSUPPORTED, "resizes the batch (axis %zu)", axis);
    if (size < 0 || size > INT32_MAX)
        return ood_node_fail(node, err, OOD_INVALID, "axis %zu becomes %lld", axis, (long long)size);
    out->sizes[axis] = size;
    out->scales[axis] = dim > 0 ? (double)size / (double)dim : 1;
    return true;
}

/* Entry i of scales or sizes is about which axis? `axes` since opset 18; else they are in order. */
static bool axis_of(const struct ood_node *node, size_t i, size_t rank, size_t *axis, struct ood_error *err)
{
    size_t count;
    const int64_t *axes = node->opset >= 18 ? ood_node_ints(node, "axes", &count) : NULL;
    *axis = i;
    if (axes == NULL)
        return i < rank || ood_node_fail(node, err, OOD_INVALID, "more entries than dimensions");
    if (i >= count)
        return ood_node_fail(node, err, OOD_INVALID, "%zu axes for more sizes", count);
    return ood_op_axis(node, axes[i], rank, axis, err);
}

static bool read_targets(const struct ood_graph *graph, const struct ood_node *node, const struct ood_shape *x, struct resize *out,
                         struct ood_error *err)
{
    const size_t scales_at = node->opset < 11 ? 1 : 2;
    const float *scales = NULL;
    const int64_t *sizes = NULL;
    size_t count = 0, axis, axes_count = x->rank;
    if (node->op->most_inputs == 1) {
        const struct ood_attribute *attribute = ood_node_attribute(node, "scales");
        if (attribute == NULL || attribute->kind != OOD_ATTR_FLOATS)
            return ood_node_fail(node, err, OOD_INVALID, "attribute scales is missing");
        scales = attribute->floats, count = attribute->count;
    } else if (given(graph, node, scales_at)) {
        if (!ood_op_known_floats(graph, node, scales_at, "scales", OOD_MAX_RANK, &scales, &count, err))
            return false;
    } else if (node->opset < 11 || !given(graph, node, 3)) {
        return ood_node_fail(node, err, OOD_INVALID, "neither scales nor sizes");
    } else if (!ood_op_known_ints(graph, node, 3, "sizes", OOD_MAX_RANK, &sizes, &count, err)) {
        return false;
    }
    if (node->opset >= 18 && ood_node_attribute(node, "axes") != NULL)
        (void)ood_node_ints(node, "axes", &axes_count);
    if (count != axes_count)
        return ood_node_fail(node, err, OOD_INVALID, "%zu scales or sizes; expected %zu", count, axes_count);
    for (size_t i = 0; i < count; i++)
        if (!axis_of(node, i, x->rank, &axis, err) || (scales != NULL ? !set_scale(node, x, axis, scales[i], out, err)
                                                                       : !set_size(node, x, axis, sizes[i], out, err)))
            return false;
    return true;
}

static bool resize_read(const struct ood_graph *graph, const struct ood_node *node, struct resize *out, struct ood_error *err)
{
    const struct ood_shape *x = &ood_node_input(graph, node, 0)->shape;
    struct resize resize = { .rank = x->rank };
    for (size_t i = 0; i < x->rank; i++)
        resize.sizes[i] = x->dims[i], resize.scales[i] = 1;
    if (!read_modes(node, &resize, err) || !read_targets(graph, node, x, &resize, err))
        return false;
    *out = resize;
    return true;
}

static bool resize_shape(struct ood_graph *graph, const struct ood_node *node, struct ood_error *err)
{
    const struct ood_value *x = ood_node_input(graph, node, 0);
    struct ood_shape shape = x->shape;
    struct resize resize;
    if (x->type != OOD_FLOAT32)
        return ood_node_fail(node, err, OOD_UNSUPPORTED, "input is %s; expected float32", ood_type_name(x->type));
    if (!resize_read(graph, node, &resize, err))
        return false;
    for (size_t i = 0; i < shape.rank; i++) {
        if (shape.dims[i] == 0 && resize.sizes[i] > 0)
            return ood_node_fail(node, err, OOD_INVALID, "axis %zu has no elements", i);
        shape.dims[i] = resize.sizes[i];
    }
    return ood_graph_set_output(graph, node, 0, OOD_FLOAT32, &shape, err);
}

/* ---- tables ---- */

static size_t taps_of(enum mode mode) { return mode == NEAREST ? 1 : mode == LINEAR ? 2 : 4; }

/* Where output element i lies on the input's axis of `from` elements. */
static double place_of(enum coordinates coordinates, double scale, int64_t from, int64_t to, int64_t i)
{
    switch (coordinates) {
    case PYTORCH_HALF_PIXEL: return to > 1 ? ((double)i + 0.5) / scale - 0.5 : 0;
    case ALIGN_CORNERS: return to > 1 ? (double)i * (double)(from - 1) / (double)(to - 1) : 0;
    case ASYMMETRIC: return (double)i / scale;
    case TF_HALF_PIXEL_FOR_NN: return ((double)i + 0.5) / scale;
    case HALF_PIXEL: break;
    }
    return ((double)i + 0.5) / scale - 0.5;
}

static double rounded(enum rounding rounding, double place)
{
    switch (rounding) {
    case FLOOR: return floor(place);
    case CEIL: return ceil(place);
    case ROUND_PREFER_CEIL: return floor(place + 0.5);
    case ROUND_PREFER_FLOOR: break;
    }
    return ceil(place - 0.5);
}

/* Keys' kernel with parameter a at distance d. */
static double cubic_weight(double a, double d)
{
    d = fabs(d);
    if (d <= 1)
        return ((a + 2) * d - (a + 3)) * d * d + 1;
    return d < 2 ? ((a * d - 5 * a) * d + 8 * a) * d - 4 * a : 0;
}

static size_t held(double place, int64_t from)
{
    return place < 0 ? 0 : place > (double)(from - 1) ? (size_t)(from - 1) : (size_t)place;
}

struct table { const struct resize *resize; size_t axis; int64_t from; };

static bool fill_table(void *memory, const void *context, struct ood_error *err)
{
    const struct table *t = context;
    const struct resize *r = t->resize;
    const size_t count = taps_of(r->mode);
    const int64_t to = r->sizes[t->axis];
    struct ood_tap *taps = memory;
    (void)err;
    for (int64_t i = 0; i < to; i++, taps += count) {
        const double place = place_of(r->coordinates, r->scales[t->axis], t->from, to, i), base = floor(place);
        if (r->mode == NEAREST) {
            taps[0] = (struct ood_tap){ held(rounded(r->rounding, place), t->from), 1 };
        } else if (r->mode == LINEAR) {
            taps[0] = (struct ood_tap){ held(base, t->from), (float)(1 - (place - base)) };
            taps[1] = (struct ood_tap){ held(base + 1, t->from), (float)(place - base) };
        } else {
            double weights[4], sum = 0;
            for (size_t k = 0; k < 4; k++) {
                const double at = base - 1 + (double)k;
                const bool outside = at < 0 || at > (double)(t->from - 1);
                weights[k] = outside && r->exclude_outside ? 0 : cubic_weight(r->cubic, place - at);
                sum += weights[k];
            }
            for (size_t k = 0; k < 4; k++)
                taps[k] = (struct ood_tap){ held(base - 1 + (double)k, t->from), (float)(r->exclude_outside ? weights[k] / sum : weights[k]) };
        }
    }
    return true;
}

/* ---- lower ---- */

struct pass { const struct ood_kernels *kernels; size_t taps, outer, from, to, inner; };

static void run_pass(const void *state, void *const *memory)
{
    const struct pass *p = state;
    p->kernels->resample(memory[2], memory[0], memory[1], p->taps, p->outer, p->from, p->to, p->inner);
}

static bool add_pass(struct ood_builder *builder, const struct ood_node *node, const struct resize *resize, size_t axis,
                     const struct pass *pass, struct ood_operand source, struct ood_operand target, struct ood_error *err)
{
    const struct table table = { resize, axis, (int64_t)pass->from };
    struct ood_operand operands[3] = { source, { .buffer = OOD_NONE }, target };
    char key[32];
    size_t bytes;
    snprintf(key, sizeof key, "axis %zu", axis);
    if (!ood_mul_size(pass->to * pass->taps, sizeof(struct ood_tap), &bytes))
        return ood_node_fail(node, err, OOD_LIMIT, "axis %zu becomes too large", axis);
    operands[1].weights = ood_builder_weights(builder, node, key, bytes, fill_table, &table, err);
    return operands[1].weights != NULL &&
           ood_builder_step(builder, &(struct ood_step_spec){ .node = node, .kernel = pass->kernels->name.resample, .run = run_pass,
                                                              .state = pass, .state_size = sizeof *pass, .operands = operands,
                                                              .operand_count = 3,
                                                              .flops = 2 * (double)(pass->outer * pass->to) * (double)(pass->inner * pass->taps) }, err);
}

static bool resize_lower(struct ood_builder *builder, const struct ood_node *node, struct ood_error *err)
{
    struct ood_shape x = ood_builder_shape(builder, node->inputs[0]);
    const struct ood_shape y = ood_builder_shape(builder, node->outputs[0]);
    const enum ood_layout layout = ood_builder_layout(builder, node->inputs[0]);
    const size_t *order = ood_move_order(x.rank, layout);
    struct ood_operand source, target;
    struct resize resize;
    size_t changed[OOD_MAX_RANK], count = 0, elements;
    if (!resize_read(ood_builder_graph(builder), node, &resize, err))
        return false;
    for (size_t i = 0; i < x.rank; i++)
        if (resize.scales[order[i]] != 1 || x.dims[order[i]] != y.dims[order[i]])
            changed[count++] = i;
    if (count == 0)
        return ood_op_lower_alias(builder, node, err);
    if (!ood_shape_count(&y, &elements) || !ood_builder_input(builder, node->inputs[0], layout, &source, err) ||
        !ood_builder_output(builder, node->outputs[0], layout, &target, err))
        return false;
    for (size_t at = 0; at < count && elements > 0; at++) {
        struct pass pass = { .kernels = ood_builder_kernels(builder), .taps = taps_of(resize.mode), .outer = 1, .inner = 1 };
        struct ood_operand next = target;
        const size_t axis = order[changed[at]];
        for (size_t i = 0; i < x.rank; i++)
            if (i != changed[at])
                *(i < changed[at] ? &pass.outer : &pass.inner) *= (size_t)x.dims[order[i]];
        pass.from = (size_t)x.dims[axis];
        x.dims[axis] = y.dims[axis];
        pass.to = (size_t)x.dims[axis];
        if (at + 1 < count && !ood_builder_scratch(builder, pass.outer * pass.to * pass.inner * sizeof(float), &next, err))
            return false;
        if (!add_pass(builder, node, &resize, axis, &pass, source, next, err))
            return false;
        source = next;
    }
    return true;
}

const struct ood_op ood_op_resize_10 = {
    .name = "Resize", .since = 10, .until = 10, .least_inputs = 2, .most_inputs = 2,
    .decided_by = 1 << 1, .traits = OOD_OP_RESIZES, .shape = resize_shape, .lower = resize_lower,
};

const struct ood_op ood_op_resize = {
    .name = "Resize", .since = 11, .least_inputs = 1, .most_inputs = 4,
    .decided_by = 1 << 2 | 1 << 3, .traits = OOD_OP_RESIZES, .shape = resize_shape, .lower = resize_lower,
};

const struct ood_op ood_op_upsample = {
    .name = "Upsample", .since = 7, .until = 8, .least_inputs = 1, .most_inputs = 1, .traits = OOD_OP_RESIZES, .shape = resize_shape, .lower = resize_lower,
};

const struct ood_op ood_op_upsample_9 = {
    .name = "Upsample", .since = 9, .until = 9, .least_inputs = 2, .most_inputs = 2,
    .decided_by = 1 << 1, .traits = OOD_OP_RESIZES, .shape = resize_shape, .lower = resize_lower,
};
