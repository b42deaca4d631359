/* Identity, and Dropout, which is one when a network is only run. */
#include "ops/gradient_internal.h"
#include "ops/ops_internal.h"
#include "ops/ops.h"

static bool identity_shape(struct ood_graph *graph, const struct ood_node *node, struct ood_error *err)
{
    const struct ood_value *input = ood_node_input(graph, node, 0);
    return ood_graph_set_output(graph, node, 0, input->type, &input->shape, err);
}

const struct ood_op ood_op_identity = {
    .name = "Identity", .since = 1, .least_inputs = 1, .most_inputs = 1, .traits = OOD_OP_IDENTITY,
    .shape = identity_shape, .evaluate = ood_op_evaluate_same, .lower = ood_op_lower_alias, .backward = ood_reshape_backward,
};

/* Is the ratio of what is dropped known to be 0? */
static bool drops_nothing(const struct ood_value *ratio)
{
    return ratio != NULL && ratio->type == OOD_FLOAT32 && ratio->constant != NULL && ratio->constant->count == 1 &&
           ood_f32(ratio->constant)[0] == 0;
}

/* The mask, output 1, says which elements were kept. It gets no shape, so the reader refuses whoever reads it. */
static bool dropout_shape(struct ood_graph *graph, const struct ood_node *node, struct ood_error *err)
{
    const struct ood_value *training = ood_node_input(graph, node, 2);
    if (training != NULL && (training->type != OOD_BOOL || training->constant == NULL || training->constant->count != 1))
        return ood_node_fail(node, err, OOD_UNSUPPORTED, "training_mode (input 2) is not a bool known at load");
    if (training != NULL && *(const unsigned char *)training->constant->data != 0 && !drops_nothing(ood_node_input(graph, node, 1)))
        return ood_node_fail(node, err, OOD_UNSUPPORTED, "training_mode is true; only networks that are run are supported");
    const struct ood_value *input = ood_node_input(graph, node, 0);
    if (input->type != OOD_FLOAT32)
        return ood_node_fail(node, err, OOD_INVALID, "input is %s; expected float32", ood_type_name(input->type));
    return ood_graph_set_output(graph, node, 0, OOD_FLOAT32, &input->shape, err);
}

const struct ood_op ood_op_dropout = {
    .name = "Dropout", .since = 7, .least_inputs = 1, .most_inputs = 3, .traits = OOD_OP_IDENTITY,
    .shape = dropout_shape, .evaluate = ood_op_evaluate_same, .lower = ood_op_lower_alias, .backward = ood_reshape_backward,
};
