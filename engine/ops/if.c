/* If: gives way to the branch that its condition names, once that is known (graph/infer.c). It is never run itself. */
#include "ops/ops.h"

static bool if_shape(struct ood_graph *graph, const struct ood_node *node, struct ood_error *err)
{
    (void)graph;
    return ood_node_fail(node, err, OOD_UNSUPPORTED, "the condition is not known");
}

static bool if_lower(struct ood_builder *builder, const struct ood_node *node, struct ood_error *err)
{
    (void)builder;
    return ood_node_fail(node, err, OOD_UNSUPPORTED, "the condition is not known");
}

const struct ood_op ood_op_if = {
    .name = "If", .since = 1, .least_inputs = 1, .most_inputs = SIZE_MAX, .traits = OOD_OP_BRANCHES, .decided_by = 1 << 0,
    .shape = if_shape, .lower = if_lower,
};
