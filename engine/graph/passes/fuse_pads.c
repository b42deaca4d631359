/* A Pad of zeros around rows and columns becomes pads of the convolution that alone reads it (Keras' ZeroPadding2D), or of the AveragePool
 * (PyTorch's exports, which count them). */
#include "graph/passes/passes.h"

#include <string.h>

#define MOST 65536                           /* what an operator takes for a pad */

/* May a pool that averages over zeros around the map take these pads? Its own, if there are any, must count already. */
static bool counts_pads(const struct ood_node *node, const int64_t *pads, const int64_t more[4])
{
    size_t count;
    const int64_t *kernel = ood_node_ints(node, "kernel_shape", &count);
    bool fits = kernel != NULL && count == 2 && ood_node_int(node, "ceil_mode", 0) == 0;
    for (size_t i = 0; fits && i < 4; i++) {
        const int64_t own = pads == NULL ? 0 : pads[i];
        fits = own + more[i] < kernel[i % 2] && (own == 0 || ood_node_int(node, "count_include_pad", 0) != 0);
    }
    return fits;
}

/* The node's `pads` grown by `more`, in a new list of attributes: the old one is the file's. False: out of memory, or they do not add up (*fits). */
static bool grow_pads(struct ood_graph *graph, struct ood_node *node, const int64_t more[4], bool *fits, struct ood_error *err)
{
    const char *automatic = ood_node_string(node, "auto_pad", "NOTSET");
    size_t count;
    const int64_t *pads = ood_node_ints(node, "pads", &count);
    *fits = (strcmp(automatic, "NOTSET") == 0 || (strcmp(automatic, "VALID") == 0 && pads == NULL)) && (pads == NULL || count == 4);
    for (size_t i = 0; *fits && i < 4; i++)
        *fits = more[i] >= 0 && more[i] <= MOST && (pads == NULL || (pads[i] >= 0 && pads[i] <= MOST - more[i]));
    const bool counted = (node->op->traits & OOD_OP_PADS_COUNTED) != 0;
    *fits = *fits && (!counted || counts_pads(node, pads, more));
    if (!*fits)
        return true;
    struct ood_attribute *attributes = ood_pool_alloc(&graph->pool, node->attribute_count + 2, sizeof *attributes, err);
    int64_t *sum = ood_pool_alloc(&graph->pool, 4, sizeof *sum, err);
    if (attributes == NULL || sum == NULL)
        return false;
    for (size_t i = 0; i < 4; i++)
        sum[i] = more[i] + (pads == NULL ? 0 : pads[i]);
    size_t kept = 0;
    for (size_t i = 0; i < node->attribute_count; i++)
        if (strcmp(node->attributes[i].name, "pads") != 0 && strcmp(node->attributes[i].name, "auto_pad") != 0 &&
            strcmp(node->attributes[i].name, "count_include_pad") != 0)
            attributes[kept++] = node->attributes[i];
    attributes[kept++] = (struct ood_attribute){ .name = "pads", .kind = OOD_ATTR_INTS, .count = 4, .ints = sum };
    if (counted)
        attributes[kept++] = (struct ood_attribute){ .name = "count_include_pad", .kind = OOD_ATTR_INT, .i = 1 };
    node->attributes = attributes;
    node->attribute_count = kept;
    return true;
}

bool ood_pass_fuse_pads(struct ood_passes *passes, struct ood_error *err)
{
    struct ood_graph *graph = passes->graph;
    for (uint32_t i = 0; i < graph->node_count; i++) {
        struct ood_node *node = &graph->nodes[i];
        int64_t pads[4];
        bool fits;
        if (node->dead || (node->op->traits & (OOD_OP_PADS | OOD_OP_PADS_COUNTED)) == 0 || node->input_count == 0)
            continue;
        const uint32_t padded = node->inputs[0], producer = ood_sole_producer(passes, padded);
        if (producer == OOD_NONE || graph->nodes[producer].op->zero_pads == NULL ||
            !graph->nodes[producer].op->zero_pads(graph, &graph->nodes[producer], pads))
            continue;
        if (!grow_pads(graph, node, pads, &fits, err))
            return false;
        if (!fits)
            continue;
        struct ood_node *pad = &graph->nodes[producer];
        node->inputs[0] = pad->inputs[0];    /* its use goes over */
        for (size_t k = 1; k < pad->input_count; k++)
            if (pad->inputs[k] != OOD_NONE)
                graph->values[pad->inputs[k]].uses--;
        graph->values[padded].producer = OOD_NONE;
        graph->values[padded].uses = 0;
        pad->dead = true;
    }
    return true;
}
