/* What an operator is: a row of ops/table.c, defined in one file of ops/. graph/ and plan/ know operators only so.
 *
 * The order of a model's life: check (attributes, counts, types: once, when read), shape (output types and shapes from the
 * inputs'; batch dims allowed), evaluate (all inputs known: compute now), lower (describe the work for one batch size); in training
 * train (the forward pass) and backward. */
#ifndef OOD_GRAPH_OP_H
#define OOD_GRAPH_OP_H

#include "graph/graph.h"

struct ood_builder;                          /* plan/builder.h */
struct ood_tape;                             /* plan/tape.h */

/* What passes may assume about an operator, instead of its name. */
enum ood_op_traits {
    OOD_OP_LINEAR = 1 << 0,                  /* Conv, Gemm, MatMul: takes fused_bias; scaling output channels = scaling weights */
    OOD_OP_TAKES_POSTS = 1 << 1,             /* lower honours posts */
    OOD_OP_IDENTITY = 1 << 2,                /* output 0 is input 0, always (inference): Identity, Dropout */
    OOD_OP_RESHAPE = 1 << 3,                 /* same elements in the same order: Reshape, Flatten, Squeeze, Unsqueeze */
    OOD_OP_SOFTMAX = 1 << 4,                 /* Softmax, LogSoftmax: what comes before are logits */
    OOD_OP_POOL_GLOBAL = 1 << 5,             /* GlobalAveragePool, GlobalMaxPool, ReduceMean over H,W (see its check) */
    OOD_OP_BATCH_NORM = 1 << 6,
    OOD_OP_ADD = 1 << 7,
    OOD_OP_MUL = 1 << 8,                     /* by element, with broadcasting; these too: */
    OOD_OP_SUB = 1 << 15,
    OOD_OP_DIV = 1 << 10,
    OOD_OP_POW = 1 << 11,
    OOD_OP_SQRT = 1 << 12,                   /* of each element; this too: */
    OOD_OP_ERF = 1 << 13,
    OOD_OP_PADS = 1 << 14,                   /* input 0 is rows and columns (NCHW) with zeros around them, as its attribute `pads` says */
    OOD_OP_PADS_COUNTED = 1 << 18,           /* the same where its attribute count_include_pad is 1; pads below kernel_shape */
    OOD_OP_TRANSPOSE = 1 << 16,              /* attribute perm */
    OOD_OP_CONCAT = 1 << 17,                 /* attribute axis */
    OOD_OP_RESIZES = 1 << 19,                /* Resize, Upsample: elements are weighted sums of the same channel's, by weights that add up to 1 */
    OOD_OP_BRANCHES = 1 << 9,                /* If: two graphs as attributes, one of which takes its place */
};

/* Elements start … start + size - 1 along one axis of input 0, all of the others. */
struct ood_part { size_t axis; int64_t start, size; bool dropped; };     /* dropped: size is 1 and the axis gone */

struct ood_op {
    const char *name;                        /* ONNX op_type, default domain */
    int since, until;                        /* first and last opset this row serves; until 0: no end (18) */
    size_t least_inputs, most_inputs;        /* checked by the reader; outputs: exactly 1 unless check says otherwise */
    unsigned traits;
    bool (*check)(const struct ood_graph *graph, const struct ood_node *node, struct ood_error *err);   /* may be NULL */
    bool (*shape)(struct ood_graph *graph, const struct ood_node *node, struct ood_error *err);
    /* inputs[i] is NULL where omitted; gives a fresh tensor for output 0 with the shape that shape() gave. NULL: this operator is
     * never evaluated at load. int64 values may be batch multiples (tensor.h): moved unchanged, or refused. */
    struct ood_tensor *(*evaluate)(const struct ood_graph *graph, const struct ood_node *node,
                                   const struct ood_tensor *const *inputs, struct ood_error *err);
    bool (*lower)(struct ood_builder *builder, const struct ood_node *node, struct ood_error *err);
    /* Training: the forward pass where it differs from lower (parameters that change, something kept), and the backward pass, which may
     * ask for the gradients of its outputs and gives those of its inputs. backward NULL: cannot be trained through. */
    bool (*train)(struct ood_tape *tape, const struct ood_node *node, struct ood_error *err);
    bool (*backward)(struct ood_tape *tape, const struct ood_node *node, struct ood_error *err);
    /* If set: is this node a plain activation that can become a post? Fills *post. */
    bool (*as_post)(const struct ood_graph *graph, const struct ood_node *node, struct ood_post *post);
    /* If set: is output 0 input 0 for this very node (a Cast to the same type, a Pad by zero, a Concat of one)? */
    bool (*identity)(const struct ood_graph *graph, const struct ood_node *node);
    /* Inputs (bit i: input i) on whose elements the outputs' shapes, or what lower() makes, depend: shape() wants them known. */
    unsigned decided_by;
    /* If set: how many there are along *axis of output i, only a run can tell; shape() gives the most (or, where all is known, a constant),
     * lower() writes the outputs dense and the number to ood_builder_count. False: not this output. */
    bool (*counted)(const struct ood_graph *graph, const struct ood_node *node, size_t output, size_t *axis);
    /* If set: does this very node add zeros around rows and columns (NCHW), nothing else? Fills pads in Conv's order: before, before, after, after. */
    bool (*zero_pads)(const struct ood_graph *graph, const struct ood_node *node, int64_t pads[4]);
    /* If set: is this the mean over the last axis alone, which stays as 1? */
    bool (*last_mean)(const struct ood_graph *graph, const struct ood_node *node);
    /* If set: is output i of this very node a part of input 0? (Split, Slice, Gather of one place) */
    bool (*part)(const struct ood_graph *graph, const struct ood_node *node, size_t output, struct ood_part *part);
    /* If set: is this a softmax (not its logarithm) along the last axis alone? */
    bool (*last_softmax)(const struct ood_graph *graph, const struct ood_node *node);
    /* If set: is this input 0's matrices (the last two dimensions) times input 1's, or (*turned) their transposes, one to one? */
    bool (*products)(const struct ood_graph *graph, const struct ood_node *node, bool *turned);
    /* The row that does at once what exporters write around this operator: of Erf GELU, of ReduceMean LayerNormalization, of
     * Transpose a channel shuffle, of Softmax attention. */
    const struct ood_op *whole;
    /* What tells the rows of one family apart (which function, which comparison): read by the family's own functions alone. */
    const void *detail;
};

/* The row for a name at an opset, or NULL. */
const struct ood_op *ood_op_find(const struct ood_op *const *table, const char *name, int opset);

#endif
