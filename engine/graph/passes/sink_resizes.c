/* A 1x1 convolution of an enlarged map is done before it is enlarged, on as many pixels less. What Resize makes are weighted sums of elements of the
 * same channel, the same for all channels, so both orders give the same numbers:
 *
 *   Conv(Resize(x), w)            = Resize(Conv(x, w))
 *   Conv(Concat(a, Resize(x)), w) = Conv(a, w's channels of a) + Resize(Conv(x, w's channels of x)),  the sum a post of the first
 *
 * as the necks of YOLO and other feature pyramids have it. Bias stays where it was: a constant map stays itself when it is resized. */
#include "graph/passes/pattern.h"

#include <string.h>

#define CHANNELS_LEAST 32                    /* of the enlarged map: a narrower one saves less than the sum costs */

struct sink {
    uint32_t conv, resize, join;             /* nodes; join: the Concat between them, or OOD_NONE */
    size_t which;                            /* of the Concat's inputs */
    size_t first, channels;                  /* of the convolution's input that are the enlarged map's */
};

static bool all(const struct ood_node *node, const char *attribute, int64_t number)
{
    size_t count;
    const int64_t *ints = ood_node_ints(node, attribute, &count);
    for (size_t i = 0; i < count; i++)
        if (ints[i] != number)
            return false;
    return true;
}

/* A convolution that makes each pixel of that pixel alone, of all channels; behind it there may be our own sum. */
static bool is_pointwise(const struct ood_graph *graph, const struct ood_node *node)
{
    if (node->dead || (node->op->traits & OOD_OP_LINEAR) == 0 || (node->op->traits & OOD_OP_TAKES_POSTS) == 0 || node->post_count >= OOD_POSTS - 1)
        return false;
    const struct ood_value *x = ood_node_input(graph, node, 0), *w = ood_node_input(graph, node, 1);
    return x != NULL && w != NULL && x->shape.rank == 4 && w->shape.rank == 4 && w->constant != NULL && w->type == OOD_FLOAT32 &&
           w->shape.dims[1] == x->shape.dims[1] && w->shape.dims[2] == 1 && w->shape.dims[3] == 1 && all(node, "strides", 1) && all(node, "pads", 0);
}

/* Rows and columns alone become more, at least twice as many pixels, by scales, or by sizes in order. */
static bool enlarges(const struct ood_graph *graph, uint32_t at)
{
    if (!ood_pattern_is_alive(graph, at, OOD_OP_RESIZES))
        return false;
    const struct ood_node *node = &graph->nodes[at];
    const struct ood_value *from = ood_node_input(graph, node, 0), *sizes = ood_node_input(graph, node, 3);
    const struct ood_shape *x = &from->shape, *y = &graph->values[node->outputs[0]].shape;
    if (from->type != OOD_FLOAT32 || from->constant != NULL || x->rank != 4 || x->dims[0] != y->dims[0] || x->dims[1] != y->dims[1] ||
        x->dims[1] < CHANNELS_LEAST)
        return false;
    if (sizes != NULL && sizes->shape.rank == 1 && sizes->shape.dims[0] != 0 &&
        (sizes->constant == NULL || sizes->constant->count != 4 || ood_node_attribute(node, "axes") != NULL))
        return false;
    return y->dims[2] >= x->dims[2] && y->dims[3] >= x->dims[3] && y->dims[2] * y->dims[3] >= 2 * x->dims[2] * x->dims[3];
}

static bool find(const struct ood_graph *graph, uint32_t conv, struct sink *out)
{
    const uint32_t value = graph->nodes[conv].inputs[0], before = graph->values[value].producer;
    struct sink sink = { .conv = conv, .resize = before, .join = OOD_NONE, .channels = (size_t)graph->values[value].shape.dims[1] };
    *out = sink;
    if (enlarges(graph, before))
        return graph->nodes[conv].post_count == 0;
    if (!ood_pattern_is_alive(graph, before, OOD_OP_CONCAT))
        return false;
    const struct ood_node *join = &graph->nodes[before];
    const int64_t axis = ood_node_int(join, "axis", 0), whole = graph->values[value].shape.dims[1];
    sink.join = before;
    for (size_t i = 0; (axis == 1 || axis == -3) && join->input_count > 1 && i < join->input_count; i++) {
        const struct ood_value *part = &graph->values[join->inputs[i]];
        sink.which = i;
        sink.resize = part->producer;
        sink.channels = (size_t)part->shape.dims[1];
        *out = sink;
        if (part->shape.dims[1] < whole && enlarges(graph, sink.resize))      /* what is beside it is not empty */
            return true;
        sink.first += sink.channels;
    }
    return false;
}

/* The weights [out channels][channels] of the enlarged map's channels, or (`others`) of all but those, as a new constant. */
static uint32_t part_of_weights(struct ood_graph *graph, const struct ood_node *conv, const struct sink *sink, bool others, struct ood_error *err)
{
    const struct ood_tensor *whole = graph->values[conv->inputs[1]].constant;
    const size_t channels = (size_t)whole->shape.dims[1], behind = channels - sink->first - sink->channels;
    struct ood_shape shape = whole->shape;
    shape.dims[1] = (int64_t)(others ? channels - sink->channels : sink->channels);
    struct ood_tensor *part = ood_tensor_new(OOD_FLOAT32, &shape, err);
    if (part == NULL)
        return OOD_NONE;
    float *to = ood_f32(part);
    for (size_t o = 0; o < (size_t)shape.dims[0]; o++, to += shape.dims[1]) {
        const float *from = ood_f32(whole) + o * channels;
        if (others) {
            memcpy(to, from, sink->first * sizeof *to);
            memcpy(to + sink->first, from + channels - behind, behind * sizeof *to);
        } else {
            memcpy(to, from + sink->first, sink->channels * sizeof *to);
        }
    }
    return ood_graph_add_constant(graph, conv->name, part, err);
}

/* Puts the node, which has lists of its own, at the end with a new value as its output. The value, or OOD_NONE. */
static uint32_t append(struct ood_graph *graph, struct ood_node *node, struct ood_error *err)
{
    const uint32_t value = ood_graph_add_value(graph, node->name, err);
    if (value == OOD_NONE || !ood_grow(&graph->nodes, &graph->node_capacity, graph->node_count + 1, sizeof *graph->nodes, err))
        return OOD_NONE;
    node->outputs[0] = value;
    graph->values[value].producer = (uint32_t)graph->node_count;
    graph->nodes[graph->node_count++] = *node;
    return node->op->shape(graph, node, err) ? value : OOD_NONE;
}

/* The convolution of what is to be enlarged. With its bias where nothing else is summed. */
static uint32_t append_convolution(struct ood_graph *graph, const struct sink *sink, struct ood_error *err)
{
    struct ood_node conv;
    if (!ood_node_copy(graph, &graph->nodes[sink->conv], &conv, err))
        return OOD_NONE;
    conv.inputs[0] = graph->nodes[sink->resize].inputs[0];
    if (sink->join != OOD_NONE) {
        conv.inputs[1] = part_of_weights(graph, &conv, sink, false, err);
        conv.input_count = 2;
        conv.fused_bias = OOD_NONE;
        conv.post_count = 0;
        if (conv.inputs[1] == OOD_NONE)
            return OOD_NONE;
    }
    return append(graph, &conv, err);
}

/* A Resize of `value` like the one there was. Sizes name the channels, too. */
static bool copy_resize(struct ood_graph *graph, const struct sink *sink, uint32_t value, struct ood_node *resize, struct ood_error *err)
{
    if (!ood_node_copy(graph, &graph->nodes[sink->resize], resize, err))
        return false;
    resize->inputs[0] = value;
    const struct ood_value *sizes = ood_node_input(graph, resize, 3);
    if (sizes == NULL || sizes->constant == NULL || sizes->constant->count != 4)
        return true;
    struct ood_tensor *copy = ood_tensor_copy(sizes->constant, err);
    if (copy == NULL)
        return false;
    ood_i64(copy)[1] = graph->values[value].shape.dims[1];
    resize->inputs[3] = ood_graph_add_constant(graph, resize->name, copy, err);
    return resize->inputs[3] != OOD_NONE;
}

/* What else the convolution reads: the other input of the Concat, or a Concat of the others. */
static uint32_t append_others(struct ood_graph *graph, const struct sink *sink, struct ood_error *err)
{
    struct ood_node join;
    if (!ood_node_copy(graph, &graph->nodes[sink->join], &join, err))
        return OOD_NONE;
    join.input_count--;
    memmove(join.inputs + sink->which, join.inputs + sink->which + 1, (join.input_count - sink->which) * sizeof *join.inputs);
    return join.input_count == 1 ? join.inputs[0] : append(graph, &join, err);
}

static bool apply(struct ood_graph *graph, const struct sink *sink, struct ood_error *err)
{
    struct ood_node resize;
    const uint32_t small = append_convolution(graph, sink, err);
    if (small == OOD_NONE || !copy_resize(graph, sink, small, &resize, err))
        return false;
    if (sink->join == OOD_NONE) {            /* in the convolution's place */
        resize.outputs[0] = graph->nodes[sink->conv].outputs[0];
        graph->nodes[sink->conv] = resize;
        return true;
    }
    const uint32_t enlarged = append(graph, &resize, err), others = enlarged == OOD_NONE ? OOD_NONE : append_others(graph, sink, err);
    const uint32_t weights = others == OOD_NONE ? OOD_NONE : part_of_weights(graph, &graph->nodes[sink->conv], sink, true, err);
    if (weights == OOD_NONE)
        return false;
    struct ood_node *conv = &graph->nodes[sink->conv];
    conv->inputs[0] = others;
    conv->inputs[1] = weights;
    conv->posts[conv->post_count++] = (struct ood_post){ .kind = OOD_POST_SUM, .value = enlarged };
    return true;
}

bool ood_pass_sink_resizes(struct ood_passes *passes, struct ood_error *err)
{
    struct ood_graph *graph = passes->graph;
    bool changed = false;
    for (uint32_t i = 0; i < graph->node_count; i++) {
        struct sink sink;
        for (; is_pointwise(graph, &graph->nodes[i]) && find(graph, i, &sink); changed = true)
            if (!apply(graph, &sink, err))
                return false;
    }
    return !changed || ood_graph_order(graph, err);
}
