/* Conv (ONNX opset 1, 11): 2-D. Channels last; direct kernels of oneDNN, our depthwise, pointwise and stem kernels, or our Winograd kernel
 * where the model asks for it. */
#include <string.h>

#include "ops/gradient_internal.h"
#include "ops/ops.h"
#include "ops/own_convolution_internal.h"
#include "ops/window.h"
#include "ops/winograd_internal.h"

static bool conv_check(const struct ood_graph *graph, const struct ood_node *node, struct ood_error *err)
{
    int64_t groups = ood_node_int(node, "group", 1);
    if (groups < 1 || groups > INT32_MAX)
        return ood_node_fail(node, err, OOD_INVALID, "group is %lld, expected 1 or more", (long long)groups);
    const struct ood_value *weights = ood_node_input(graph, node, 1);
    if (weights == NULL)
        return ood_node_fail(node, err, OOD_INVALID, "the weights are missing");
    return true;
}

static bool conv_shape(struct ood_graph *graph, const struct ood_node *node, struct ood_error *err)
{
    const struct ood_value *source = ood_node_input(graph, node, 0), *weights = ood_node_input(graph, node, 1);
    const struct ood_value *bias = ood_node_input(graph, node, 2);
    const struct ood_shape *x = &source->shape, *w = &weights->shape;
    char text[OOD_SHAPE_TEXT];
    int64_t groups = ood_node_int(node, "group", 1);
    if (weights->constant == NULL)
        return ood_node_fail(node, err, OOD_UNSUPPORTED, "the weights %s are computed, expected a constant", weights->name);
    if (source->type != OOD_FLOAT32 || weights->type != OOD_FLOAT32)
        return ood_node_fail(node, err, OOD_UNSUPPORTED, "%s by %s, expected float32", ood_type_name(source->type), ood_type_name(weights->type));
    if (x->rank != 4 || w->rank != 4)
        return ood_node_fail(node, err, OOD_UNSUPPORTED, "a source of shape %s, expected 4 dimensions (NxCxHxW)", ood_shape_print(x, text));
    if (ood_dim_is_batch(x->dims[1]) || x->dims[1] != w->dims[1] * groups || w->dims[0] % groups != 0 || w->dims[0] < 1 || w->dims[1] < 1)
        return ood_node_fail(node, err, OOD_INVALID, "weights of shape %s in %lld groups do not fit %lld channels",
                             ood_shape_print(w, text), (long long)groups, (long long)x->dims[1]);
    if (bias != NULL && (bias->constant == NULL || bias->type != OOD_FLOAT32 || bias->shape.rank != 1 || bias->shape.dims[0] != w->dims[0]))
        return ood_node_fail(node, err, OOD_INVALID, "the bias %s is not a constant of %lld float32", bias->name, (long long)w->dims[0]);
    struct ood_window window;
    int64_t out[2];
    if (!ood_window_read(node, &w->dims[2], &window, err) || !ood_window_output(node, &window, &x->dims[2], out, err))
        return false;
    struct ood_shape shape = ood_shape_of(4, x->dims[0], w->dims[0], out[0], out[1]);
    return ood_graph_set_output(graph, node, 0, OOD_FLOAT32, &shape, err);
}

/* The bias of the file and the one a pass found behind, added. *out is NULL where there is neither; *made is to be freed. */
static bool whole_bias(struct ood_builder *builder, const struct ood_node *node, size_t channels, const float **out,
                       float **made, struct ood_error *err)
{
    const struct ood_graph *graph = ood_builder_graph(builder);
    const struct ood_value *own = ood_node_input(graph, node, 2);
    const struct ood_tensor *fused = node->fused_bias == OOD_NONE ? NULL : graph->values[node->fused_bias].constant;
    *made = NULL;
    *out = own != NULL ? ood_f32(own->constant) : fused != NULL ? ood_f32(fused) : NULL;
    if (own == NULL || fused == NULL)
        return true;
    *made = ood_new_array(float, channels, err);
    if (*made == NULL)
        return false;
    for (size_t i = 0; i < channels; i++)
        (*made)[i] = ood_f32(own->constant)[i] + ood_f32(fused)[i];
    *out = *made;
    return true;
}

struct copy { size_t bytes; };

static void run_copy(const void *state, void *const *memory)
{
    memcpy(memory[1], memory[0], ((const struct copy *)state)->bytes);
}

/* Where the result goes: over the first sum's memory if this node is its last reader and does not read it as its source as
 * well (and no later sum needs it). *sum is set where there is one. */
static bool place_destination(struct ood_builder *builder, const struct ood_node *node, const struct ood_posts *posts,
                              struct ood_operand source, struct ood_operand *sum, struct ood_operand *out, struct ood_error *err)
{
    if (posts->sum_count == 0)
        return ood_builder_output(builder, node->outputs[0], OOD_NHWC, out, err);
    return ood_builder_input(builder, posts->sums[0], OOD_NHWC, sum, err) &&
           ood_posts_output(builder, node, posts, 1, posts->sums, sum, sum->buffer == source.buffer ? 0 : 1, OOD_NHWC, out, err);
}

static bool add_copy(struct ood_builder *builder, const struct ood_node *node, struct ood_operand from, struct ood_operand to, struct ood_error *err)
{
    const struct copy state = { ood_posts_count(builder, node->outputs[0]) * sizeof(float) };
    const struct ood_operand operands[] = { from, to };
    const struct ood_step_spec step = { .node = node, .kernel = "own:copy", .run = run_copy, .state = &state,
                                        .state_size = sizeof state, .operands = operands, .operand_count = 2 };
    return ood_builder_step(builder, &step, err);
}

/* oneDNN's kernel, which adds into what lies in the destination: the first sum, copied there unless it is there. */
static bool lower_direct(struct ood_builder *builder, const struct ood_convolution_spec *spec, const struct ood_posts *posts,
                         struct ood_operand sum, struct ood_error *err)
{
    if (posts->sum_count > 0 && sum.buffer != spec->destination.buffer && !add_copy(builder, spec->node, sum, spec->destination, err))
        return false;
    return ood_builder_convolution_direct(builder, spec, err);
}

/* Shapes, window and weights; memory is still to be placed. */
static bool fill_spec(struct ood_builder *builder, const struct ood_node *node, struct ood_convolution_spec *spec, struct ood_error *err)
{
    const struct ood_tensor *weights = ood_node_input(ood_builder_graph(builder), node, 1)->constant;
    const struct ood_shape x = ood_builder_shape(builder, node->inputs[0]);
    int64_t out[2];
    *spec = (struct ood_convolution_spec){
        .node = node, .batch = (size_t)x.dims[0], .channels = (size_t)x.dims[1], .height = (size_t)x.dims[2], .width = (size_t)x.dims[3],
        .out_channels = (size_t)weights->shape.dims[0], .groups = (size_t)ood_node_int(node, "group", 1), .weights = weights
    };
    if (!ood_window_read(node, &weights->shape.dims[2], &spec->window, err) || !ood_window_output(node, &spec->window, &x.dims[2], out, err))
        return false;
    spec->out_height = (size_t)out[0];
    spec->out_width = (size_t)out[1];
    return true;
}

static bool conv_lower(struct ood_builder *builder, const struct ood_node *node, struct ood_error *err)
{
    struct ood_convolution_spec spec;
    struct ood_operand sum = { OOD_NONE, NULL };
    struct ood_posts posts;
    float *made;
    ood_posts_read(node, &posts);
    if (!fill_spec(builder, node, &spec, err))
        return false;
    const bool stem = ood_stem_serves(builder, &spec, &posts), depthwise = ood_depthwise_serves(builder, &spec, &posts);
    if (!ood_builder_input(builder, node->inputs[0], stem ? OOD_PLAIN : OOD_NHWC, &spec.source, err) ||
        !(stem ? ood_stem_place(builder, &spec, &spec.destination, err)
               : place_destination(builder, node, &posts, spec.source, &sum, &spec.destination, err)) ||
        !whole_bias(builder, node, spec.out_channels, &spec.bias, &made, err))
        return false;
    const bool winograd = ood_winograd_serves(builder, &spec), pointwise = ood_pointwise_serves(builder, &spec);
    const bool product = ood_one_pixel_serves(&spec, &posts);
    bool done = winograd    ? ood_winograd_lower(builder, &spec, &posts, sum, err)
                : stem      ? ood_stem_lower(builder, &spec, &posts, err)
                : depthwise ? ood_depthwise_lower(builder, &spec, &posts, err)
                : pointwise ? ood_pointwise_lower(builder, &spec, &posts, sum, err)
                : product   ? ood_one_pixel_lower(builder, &spec, &posts, err)
                            : lower_direct(builder, &spec, &posts, sum, err);
    if (done)
        ood_builder_spent(builder, node->inputs[1], winograd || depthwise || pointwise || product || stem);      /* oneDNN may ask for other layouts in other plans */
    done = done && ood_posts_sums(builder, node, &posts, 1, spec.destination, OOD_NHWC, err);
    ood_free(made);
    return done;
}

/* ---- training ---- */

/* The kernel's gradients know no groups. */
static bool trains_by_winograd(const struct ood_builder *builder, const struct ood_convolution_spec *spec)
{
    return spec->groups == 1 && ood_winograd_serves(builder, spec);
}

static bool conv_train(struct ood_tape *tape, const struct ood_node *node, struct ood_error *err)
{
    struct ood_builder *builder = ood_tape_builder(tape);
    struct ood_convolution_spec spec;
    struct ood_operand weights, bias, sum;
    struct ood_posts posts;
    ood_posts_read(node, &posts);            /* a sum or nothing: see OOD_PASS_FUSE_TRAINING */
    const bool biased = ood_node_input(ood_builder_graph(builder), node, 2) != NULL, summed = posts.sum_count > 0;
    if (!fill_spec(builder, node, &spec, err) ||
        !ood_tape_parameter(tape, node, node->inputs[1], OOD_PARAMETER_WEIGHTS, &weights, err) ||
        (biased && !ood_tape_parameter(tape, node, node->inputs[2], OOD_PARAMETER_PLAIN, &bias, err)) ||
        !ood_builder_input(builder, node->inputs[0], OOD_NHWC, &spec.source, err) ||
        (summed && !ood_builder_input(builder, posts.sums[0], OOD_NHWC, &sum, err)) ||
        !ood_builder_output(builder, node->outputs[0], OOD_NHWC, &spec.destination, err))
        return false;
    if (trains_by_winograd(builder, &spec))
        return ood_winograd_train(tape, &spec, weights, biased ? &bias : NULL, summed ? &sum : NULL, err);
    return (!summed || add_copy(builder, node, sum, spec.destination, err)) &&
           ood_tape_convolution(tape, &spec, weights, biased ? &bias : NULL, err);
}

static bool conv_backward(struct ood_tape *tape, const struct ood_node *node, struct ood_error *err)
{
    struct ood_builder *builder = ood_tape_builder(tape);
    struct ood_convolution_spec spec;
    struct ood_operand weights, gradient;
    struct ood_posts posts;
    bool add;
    ood_posts_read(node, &posts);
    if ((posts.sum_count > 0 && !ood_tape_gradient_pass(tape, node, posts.sums[0], node->outputs[0], err)) ||
        !fill_spec(builder, node, &spec, err) || !ood_tape_gradient(tape, node->outputs[0], &spec.destination, err) ||
        !ood_tape_parameter(tape, node, node->inputs[1], OOD_PARAMETER_WEIGHTS, &weights, err))
        return false;
    const bool winograd = trains_by_winograd(builder, &spec);
    if (ood_node_input(ood_builder_graph(builder), node, 2) != NULL &&
        !ood_bias_gradient(tape, node, node->inputs[2], spec.destination, spec.batch * spec.out_height * spec.out_width, spec.out_channels, err))
        return false;
    if (!ood_tape_parameter_gradient(tape, node->inputs[1], &gradient, &add, err) ||
        !ood_builder_input(builder, node->inputs[0], OOD_NHWC, &spec.source, err) ||
        !(winograd ? ood_winograd_weights_gradient(tape, &spec, gradient, add, err)
                   : ood_tape_convolution_weights(tape, &spec, gradient, add, err)))
        return false;
    if (!ood_tape_wants(tape, node->inputs[0]))
        return true;
    if (winograd)
        return ood_tape_gradient_into(tape, node->inputs[0], OOD_NONE, &spec.source, &add, err) &&
               ood_winograd_data_gradient(tape, &spec, weights, add, err);
    if (!ood_tape_has_gradient(tape, node->inputs[0]))
        return ood_tape_gradient_into(tape, node->inputs[0], OOD_NONE, &spec.source, &add, err) &&
               ood_tape_convolution_data(tape, &spec, weights, err);
    return ood_builder_scratch(builder, spec.batch * spec.height * spec.width * spec.channels * sizeof(float), &spec.source, err) &&
           ood_tape_convolution_data(tape, &spec, weights, err) && ood_tape_gradient_add(tape, node, node->inputs[0], spec.source, err);
}

const struct ood_op ood_op_conv = {
    .name = "Conv", .since = 1, .least_inputs = 2, .most_inputs = 3, .traits = OOD_OP_LINEAR | OOD_OP_TAKES_POSTS | OOD_OP_PADS,
    .check = conv_check, .shape = conv_shape, .lower = conv_lower, .train = conv_train, .backward = conv_backward,
};
