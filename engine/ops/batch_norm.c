/* BatchNormalization (ONNX opset 7 to 15), as inference has it: y = x · scale + shift a channel, both computed once in double
 * from the four parameters. */
#include <math.h>

#include "ops/gradient_internal.h"
#include "plan/move.h"
#include "ops/ops.h"
#include "ops/posts_internal.h"

static bool batch_norm_check(const struct ood_graph *graph, const struct ood_node *node, struct ood_error *err)
{
    (void)graph;
    if (ood_node_int(node, "training_mode", 0) != 0)
        return ood_node_fail(node, err, OOD_UNSUPPORTED, "training_mode is not 0; only networks that are run are supported");
    if (node->opset < 9 && ood_node_int(node, "spatial", 1) != 1)
        return ood_node_fail(node, err, OOD_UNSUPPORTED, "spatial is not 1");
    return true;
}

static bool batch_norm_shape(struct ood_graph *graph, const struct ood_node *node, struct ood_error *err)
{
    static const char *const names[] = { "X", "scale", "B", "mean", "var" };
    const struct ood_value *x = ood_node_input(graph, node, 0);
    char text[OOD_SHAPE_TEXT];
    if (x->type != OOD_FLOAT32 || x->shape.rank < 2 || ood_dim_is_batch(x->shape.dims[1]))
        return ood_node_fail(node, err, OOD_UNSUPPORTED, "input X is %s of shape %s; expected float32 NxC or NxCx…",
                             ood_type_name(x->type), ood_shape_print(&x->shape, text));
    for (size_t i = 1; i < 5; i++) {
        const struct ood_value *value = ood_node_input(graph, node, i);
        if (value->type != OOD_FLOAT32 || value->shape.rank != 1 || value->shape.dims[0] != x->shape.dims[1])
            return ood_node_fail(node, err, OOD_INVALID, "input %zu (%s) is %s of shape %s; expected %lld float32", i, names[i],
                                 ood_type_name(value->type), ood_shape_print(&value->shape, text), (long long)x->shape.dims[1]);
        if (value->constant == NULL)
            return ood_node_fail(node, err, OOD_UNSUPPORTED, "input %zu (%s) is not known at load", i, names[i]);
    }
    return ood_graph_set_output(graph, node, 0, OOD_FLOAT32, &x->shape, err);
}

/* ---- weights: [scale | shift], each padded to a cache line ---- */

struct parameters { const float *scale, *bias, *mean, *variance; float epsilon; size_t channels, offset; };

static size_t shift_offset(size_t channels) { return (channels + 15) / 16 * 16; }

static bool fill_weights(void *memory, const void *context, struct ood_error *err)
{
    const struct parameters *p = context;
    float *weights = memory;
    (void)err;
    for (size_t c = 0; c < p->channels; c++) {
        double scale = (double)p->scale[c] / sqrt((double)p->variance[c] + (double)p->epsilon);
        weights[c] = (float)scale;
        weights[p->offset + c] = (float)((double)p->bias[c] - (double)p->mean[c] * scale);
    }
    return true;
}

static bool weights_of(struct ood_builder *builder, const struct ood_node *node, size_t channels, struct ood_operand *out,
                       struct ood_error *err)
{
    const struct ood_graph *graph = ood_builder_graph(builder);
    const float *inputs[5] = { NULL };
    for (size_t i = 1; i < 5; i++)
        inputs[i] = ood_f32(ood_node_input(graph, node, i)->constant);
    struct parameters context = { inputs[1], inputs[2], inputs[3], inputs[4], ood_node_float(node, "epsilon", 1e-5f), channels,
                                  shift_offset(channels) };
    *out = (struct ood_operand){ .buffer = OOD_NONE };
    out->weights = ood_builder_weights(builder, node, "scale_shift", 2 * context.offset * sizeof(float), fill_weights, &context, err);
    return out->weights != NULL;
}

/* ---- steps ---- */

struct batch_norm {
    const struct ood_kernels *kernels;
    size_t rows, channels, offset;
    bool planes;                             /* channels are not innermost: two passes along walk */
    bool sum;                                /* memory[3] is added */
    struct ood_broadcast walk;
    struct ood_steps steps;
};

static void run_rows(const void *state, void *const *memory)
{
    const struct batch_norm *s = state;
    const float *weights = memory[1];
    s->kernels->scale_shift(memory[2], memory[0], weights, weights + s->offset, s->sum ? memory[3] : NULL, s->rows, s->channels,
                            s->steps.steps, s->steps.count);
}

static void run_planes(const void *state, void *const *memory)
{
    const struct batch_norm *s = state;
    const float *weights = memory[1];
    s->kernels->broadcast(OOD_BINARY_MUL, memory[2], memory[0], weights, &s->walk, NULL, 0);
    s->kernels->broadcast(OOD_BINARY_ADD, memory[2], memory[2], weights + s->offset, &s->walk, s->steps.steps, s->steps.count);
}

/* Rows of channels where they are innermost in memory: rank 2, and pictures, which are brought into NHWC. */
static bool describe(const struct ood_shape *x, enum ood_layout layout, struct batch_norm *state)
{
    size_t inner = 1;
    state->rows = (size_t)x->dims[0];
    state->channels = (size_t)x->dims[1];
    state->offset = shift_offset(state->channels);
    for (size_t i = 2; i < x->rank; i++)
        inner *= (size_t)x->dims[i];
    state->planes = layout == OOD_PLAIN && inner != 1;
    if (!state->planes) {
        state->rows *= inner;
        return true;
    }
    return ood_broadcast_make(&state->walk, 3, (size_t[]){ state->rows, state->channels, inner },
                              (size_t[]){ state->channels * inner, inner, 1 }, (size_t[]){ 0, 1, 0 });
}

/* Lines [N,C,L] that lie as [N,L,C], between two Transposes as some exporters write it, stay so: then these are rows. */
static bool is_turned(struct ood_builder *builder, uint32_t value, const struct ood_shape *x, struct ood_strided *view, bool *turned,
                      struct ood_error *err)
{
    *turned = x->rank == 3 && ood_builder_is_view(builder, value);
    if (!*turned)
        return true;
    if (!ood_builder_view(builder, value, view, err))
        return false;
    const size_t channels = (size_t)x->dims[1];
    *turned = view->start == 0 && view->strides[1] == 1 && view->strides[2] == channels &&
              (x->dims[0] == 1 || view->strides[0] == channels * (size_t)x->dims[2]);
    return true;
}

static bool lower_turned(struct ood_builder *builder, const struct ood_node *node, const struct ood_shape *x, const struct ood_strided *from,
                         const struct ood_posts *posts, struct ood_error *err)
{
    struct batch_norm state = { .kernels = ood_builder_kernels(builder), .steps = posts->before };
    struct ood_operand operands[3] = { from->operand };
    struct ood_strided to;
    state.channels = (size_t)x->dims[1];
    state.rows = (size_t)(x->dims[0] * x->dims[2]);
    state.offset = shift_offset(state.channels);
    if (!weights_of(builder, node, state.channels, &operands[1], err) ||
        !ood_builder_output_order(builder, node->outputs[0], (const size_t[]){ 0, 2, 1 }, &to, err))
        return false;
    operands[2] = to.operand;
    return ood_builder_step(builder, &(struct ood_step_spec){
        .node = node, .kernel = state.kernels->name.scale_shift, .run = run_rows, .state = &state, .state_size = sizeof state,
        .operands = operands, .operand_count = 3,
        .flops = (double)ood_posts_count(builder, node->outputs[0]) * (double)(2 + state.steps.count) }, err);
}

static bool batch_norm_lower(struct ood_builder *builder, const struct ood_node *node, struct ood_error *err)
{
    const struct ood_shape x = ood_builder_shape(builder, node->inputs[0]);
    enum ood_layout layout = x.rank != 4 ? OOD_PLAIN
                             : x.dims[2] == 1 && x.dims[3] == 1 ? ood_builder_layout(builder, node->inputs[0]) : OOD_NHWC;
    struct batch_norm state = { .kernels = ood_builder_kernels(builder) };
    struct ood_operand operands[4];
    struct ood_posts posts;
    struct ood_strided view;
    bool turned;
    if (!describe(&x, layout, &state))
        return ood_node_fail(node, err, OOD_UNSUPPORTED, "its input does not lie in rows");
    ood_posts_read(node, &posts);
    if (!is_turned(builder, node->inputs[0], &x, &view, &turned, err))
        return false;
    if (turned && posts.sum_count == 0)
        return lower_turned(builder, node, &x, &view, &posts, err);
    state.steps = posts.before;
    /* a sum right behind rides along; others are passes of their own */
    state.sum = !state.planes && posts.sum_count > 0 && posts.before.count == 0;
    size_t first = state.sum ? 1 : 0;
    if (state.sum)
        state.steps = posts.after[0];
    if (!ood_builder_input(builder, node->inputs[0], layout, &operands[0], err) ||
        !weights_of(builder, node, state.channels, &operands[1], err) ||
        (state.sum && !ood_builder_input(builder, posts.sums[0], layout, &operands[3], err)))
        return false;
    const uint32_t over[] = { node->inputs[0], posts.sums[0] };
    const struct ood_operand read[] = { operands[0], state.sum ? operands[3] : operands[0] };
    if (!ood_posts_output(builder, node, &posts, first, over, read, 1 + first, layout, &operands[2], err))
        return false;
    struct ood_step_spec step = {
        .node = node, .kernel = state.kernels->name.scale_shift, .run = state.planes ? run_planes : run_rows,
        .state = &state, .state_size = sizeof state, .operands = operands, .operand_count = state.sum ? 4 : 3,
        .flops = (double)ood_posts_count(builder, node->outputs[0]) * (double)(2 + first + state.steps.count)
    };
    return ood_builder_step(builder, &step, err) && ood_posts_sums(builder, node, &posts, first, operands[2], layout, err);
}

const struct ood_op ood_op_batch_norm = {
    .name = "BatchNormalization", .since = 7, .least_inputs = 5, .most_inputs = 5,
    .traits = OOD_OP_TAKES_POSTS | OOD_OP_BATCH_NORM,
    .check = batch_norm_check, .shape = batch_norm_shape, .lower = batch_norm_lower,
    .train = ood_batch_norm_train, .backward = ood_batch_norm_backward,
};
