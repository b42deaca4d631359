/* Cast among the four types. */
#include <math.h>
#include <string.h>

#include "ops/ops.h"
#include "ops/ops_internal.h"
#include "plan/builder.h"

static bool cast_check(const struct ood_graph *graph, const struct ood_node *node, struct ood_error *err)
{
    (void)graph;
    enum ood_type type;
    int64_t to = ood_node_int(node, "to", 0);
    if (!ood_op_type_of(to, &type))
        return ood_node_fail(node, err, OOD_UNSUPPORTED, "casts to type %lld; expected float32 (1), int32 (6), int64 (7) or bool (9)",
                             (long long)to);
    return true;
}

static bool cast_shape(struct ood_graph *graph, const struct ood_node *node, struct ood_error *err)
{
    const struct ood_value *input = ood_node_input(graph, node, 0);
    enum ood_type type = OOD_FLOAT32;
    (void)ood_op_type_of(ood_node_int(node, "to", 0), &type);     /* checked */
    return ood_graph_set_output(graph, node, 0, type, &input->shape, err);
}

struct cast { enum ood_type from, to; size_t count; };

/* Towards zero; what does not fit becomes the nearest that does, NaN becomes 0: C leaves both open, and results must not
 * depend on the compiler. */
static int64_t float_to_int(float value, int64_t least, int64_t most)
{
    if (isnan(value))
        return 0;
    if (value <= (float)least)
        return least;
    return value >= (float)most ? most : (int64_t)value;
}

static int64_t cast_int(const struct cast *cast, const void *from, size_t i)
{
    switch (cast->from) {
    case OOD_INT64: return ((const int64_t *)from)[i];
    case OOD_INT32: return ((const int32_t *)from)[i];
    case OOD_BOOL: return ((const unsigned char *)from)[i] != 0;
    case OOD_FLOAT32:
        return cast->to == OOD_INT32 ? float_to_int(((const float *)from)[i], INT32_MIN, INT32_MAX)
                                     : float_to_int(((const float *)from)[i], INT64_MIN, INT64_MAX);
    }
    return 0;
}

static void cast_run(const void *state, void *const *memory)
{
    const struct cast *cast = state;
    const void *from = memory[0];
    void *to = memory[1];
    for (size_t i = 0; i < cast->count; i++) {
        if (cast->to == OOD_FLOAT32)
            ((float *)to)[i] = cast->from == OOD_FLOAT32 ? ((const float *)from)[i] : (float)cast_int(cast, from, i);
        else if (cast->to == OOD_BOOL)
            ((unsigned char *)to)[i] = cast->from == OOD_FLOAT32 ? ((const float *)from)[i] != 0 : cast_int(cast, from, i) != 0;
        else if (cast->to == OOD_INT32)
            ((int32_t *)to)[i] = (int32_t)cast_int(cast, from, i);        /* int64 wraps, as everywhere */
        else
            ((int64_t *)to)[i] = cast_int(cast, from, i);
    }
}

static struct ood_tensor *cast_evaluate(const struct ood_graph *graph, const struct ood_node *node,
                                        const struct ood_tensor *const *inputs, struct ood_error *err)
{
    const struct ood_value *value = &graph->values[node->outputs[0]];
    const struct cast cast = { inputs[0]->type, value->type, inputs[0]->count };
    for (size_t i = 0; cast.from == OOD_INT64 && cast.to != OOD_INT64 && i < cast.count; i++)
        if (ood_dim_is_batch(ood_i64(inputs[0])[i])) {
            ood_node_fail(node, err, OOD_UNSUPPORTED, "casts a dimension that depends on the batch to %s", ood_type_name(cast.to));
            return NULL;
        }
    struct ood_tensor *output = ood_tensor_new(value->type, &value->shape, err);
    if (output != NULL)
        cast_run(&cast, (void *const[]){ inputs[0]->data, output->data });
    return output;
}

static bool cast_lower(struct ood_builder *builder, const struct ood_node *node, struct ood_error *err)
{
    const struct ood_graph *graph = ood_builder_graph(builder);
    const struct ood_shape shape = ood_builder_shape(builder, node->outputs[0]);
    struct cast cast = { graph->values[node->inputs[0]].type, graph->values[node->outputs[0]].type, 0 };
    if (cast.from == cast.to)
        return ood_op_lower_alias(builder, node, err);
    if (!ood_shape_count(&shape, &cast.count))
        return ood_node_fail(node, err, OOD_INVALID, "too many elements");
    enum ood_layout layout = ood_builder_layout(builder, node->inputs[0]);
    struct ood_operand operands[2];
    return ood_builder_input(builder, node->inputs[0], layout, &operands[0], err) &&
           ood_builder_output(builder, node->outputs[0], layout, &operands[1], err) &&
           ood_builder_step(builder, &(struct ood_step_spec){ .node = node, .kernel = "own:cast", .run = cast_run,
                                                              .state = &cast, .state_size = sizeof cast,
                                                              .operands = operands, .operand_count = 2 }, err);
}

static bool cast_identity(const struct ood_graph *graph, const struct ood_node *node)
{
    return graph->values[node->inputs[0]].type == graph->values[node->outputs[0]].type;
}

const struct ood_op ood_op_cast = {
    .name = "Cast", .since = 6, .least_inputs = 1, .most_inputs = 1,
    .check = cast_check, .shape = cast_shape, .evaluate = cast_evaluate, .lower = cast_lower, .identity = cast_identity,
};
