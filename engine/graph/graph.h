/* A network as a checked graph: values (edges) and nodes in topological order. ood_graph_read makes it from an ONNX
 * file; ood_graph_simplify runs the passes; after that it is immutable and shared. */
#ifndef OOD_GRAPH_GRAPH_H
#define OOD_GRAPH_GRAPH_H

#include "base/file.h"
#include "tensor/tensor.h"

struct ood_op;                               /* graph/op.h */

#define OOD_NONE UINT32_MAX                  /* no value, no node; also an omitted optional input */

struct ood_value {
    const char *name;
    enum ood_type type;
    struct ood_shape shape;
    struct ood_tensor *constant;             /* known at load (initialiser, folded), the graph's; else NULL */
    uint32_t producer;                       /* node index, or OOD_NONE (graph input, initialiser) */
    uint32_t uses;                           /* node inputs and fused operands that read it, plus one if a graph output or tap */
    bool counted;                            /* staged: one dimension is the most there can be; how many there are, the run tells */
    bool decides;                            /* staged: the next stage's shapes hang on what is in it */
};

enum ood_attribute_kind { OOD_ATTR_INT, OOD_ATTR_FLOAT, OOD_ATTR_STRING, OOD_ATTR_INTS, OOD_ATTR_FLOATS, OOD_ATTR_TENSOR, OOD_ATTR_OTHER };

struct ood_attribute {
    const char *name;
    enum ood_attribute_kind kind;
    int64_t i;
    float f;
    const char *s;                           /* zero terminated; s_size bytes before */
    size_t count;                            /* of ints, floats; bytes of s */
    const int64_t *ints;
    const float *floats;
    struct ood_tensor *tensor;               /* the graph's */
};

/* What follows an operator's own arithmetic, in this order, on each output element: set by the fusion passes, honoured by
 * lower. Elementwise functions as ONNX defines them; OOD_POST_SUM adds the element of another value of the same shape. */
enum ood_post_kind { OOD_POST_RELU, OOD_POST_LEAKY_RELU, OOD_POST_CLIP, OOD_POST_SIGMOID, OOD_POST_SILU, OOD_POST_HARD_SWISH,
                     OOD_POST_HARD_SIGMOID, OOD_POST_GELU, OOD_POST_SUM };

struct ood_post {
    enum ood_post_kind kind;
    float alpha, beta;                       /* LEAKY_RELU: slope; CLIP: least and most; HARD_SIGMOID: slope and offset */
    uint32_t value;                          /* SUM: which */
};

#define OOD_POSTS 4

struct ood_node;

/* One way an If may go: nodes over the graph's own values, in order, the last of which hand its outputs on, one each. */
struct ood_branch { struct ood_node *nodes; size_t node_count, output_count; };

struct ood_node {
    const struct ood_op *op;
    const char *name;                        /* the node's, or "OP_<index>" where the file gives none */
    int opset;
    size_t input_count, output_count, attribute_count;
    uint32_t *inputs;                        /* value indices; OOD_NONE where omitted */
    uint32_t *outputs;
    struct ood_attribute *attributes;
    uint32_t fused_bias;                     /* a constant [channels] value added before the posts, or OOD_NONE */
    size_t post_count;
    struct ood_post posts[OOD_POSTS];
    bool dead;                               /* taken out by a pass; skipped everywhere */
    uint32_t origin;                         /* the same in every copy of a node of the file; 0: none */
    struct ood_branch *branches;             /* If: [2], then and else; inputs 1, 2, … are what they read from outside. Else NULL */
};

struct ood_label_text { const char *key, *text; };     /* of the file's metadata: see graph/labels.h */

struct ood_spent { void *place; const struct ood_tensor *tensor; };

struct ood_graph {
    struct ood_value *values;
    size_t value_count, value_capacity;
    struct ood_node *nodes;                  /* topological order */
    size_t node_count, node_capacity;
    struct ood_node *later;                  /* staged: nodes whose shapes hang on what the nodes compute, in order */
    size_t later_count, later_capacity;
    bool staged;                             /* read with options.stages: `later` may hold nodes */
    uint32_t origins;                        /* the greatest ood_node.origin */
    uint32_t *inputs, *outputs;              /* graph inputs (initialisers left out), outputs */
    size_t input_count, output_count;
    int opset;
    const char *producer;                    /* "pytorch 1.13.0" */
    const struct ood_label_text *label_texts;
    size_t label_text_count;
    int64_t fixed_batch;                     /* the first dimension of the first input where the file, or one_if_needed, fixes it; 0: free */
    struct ood_pool pool;                    /* names, lists, attributes */
    struct ood_tensor **tensors;             /* every tensor the graph owns */
    size_t tensor_count, tensor_capacity;
    struct ood_spent *spent;                 /* initialisers whose bytes in the file were given up: where they lay */
    size_t spent_count;
};

struct ood_graph_options {
    /* The operators known: a table ending in NULL (ops/ops.h: ood_op_table). */
    const struct ood_op *const *operators;
    /* Sizes for symbolic or missing input dimensions other than the batch: the first input becomes this shape.
     * rank 0: as the file says, and a free dimension other than the first is an error that names it. */
    struct ood_shape input_shape;
    /* Bind the batch instead of leaving it free (`verify` on models whose shape arithmetic allows just one); 0: free. */
    int64_t batch;
    /* Where shape arithmetic allows no free batch, bind it to 1, as if the file fixed it: pictures then go one by one. */
    bool one_if_needed;
    /* Nodes whose shapes depend on data are put off to `later` instead of being refused: graph/stage.h. */
    bool stages;
    /* The caller wants the file's bytes no longer: as weights are taken out of them, their memory goes back to the system. What they hold
     * afterwards is undefined, also on failure; they are still the caller's to free. */
    bool spend;
};

#define OOD_MODEL_BYTES_MOST ((size_t)1 << 31)

/* bytes: an ONNX file. Everything is checked: wire format (graph/scan.h), opsets 7 to 18, operators, attributes, types,
 * shapes, names, cycles, missing and duplicate values. Shapes are inferred, not believed. Errors name node, operator and
 * opset: "node Conv_3 (Conv, opset 13): …". The bytes are not needed afterwards. */
struct ood_graph *ood_graph_read(const struct ood_bytes *bytes, const struct ood_graph_options *options,
                                 struct ood_error *err) OOD_MUST_CHECK;
/* Before the passes: what `spend` gave up is put back into the file's bytes, which may then be read again. */
void ood_graph_restore(struct ood_graph *graph);
void ood_graph_free(struct ood_graph *graph);                                  /* NULL is fine */

/* bytes: one serialised TensorProto, as ONNX's test folders hold (input_0.pb). Freed by ood_tensor_free. */
struct ood_tensor *ood_tensor_read_onnx(const struct ood_bytes *bytes, struct ood_error *err) OOD_MUST_CHECK;

/* ---- passes: one file each in passes/, run in the order of the one list in passes/passes.c ---- */

enum ood_pass {
    OOD_PASS_FOLD_CONSTANTS = 1 << 0,        /* nodes with known inputs are evaluated; Shape and its arithmetic */
    OOD_PASS_DROP_IDENTITIES = 1 << 1,       /* Identity, Dropout, Cast to the same type, one-input Concat, zero Pad … */
    OOD_PASS_FOLD_BATCH_NORM = 1 << 2,       /* into the weights and bias of the Conv or Gemm before */
    OOD_PASS_FUSE_BIAS = 1 << 3,             /* Add of a constant [C,1,1] behind Conv, [M] behind MatMul, Gemm */
    OOD_PASS_FUSE_POSTS = 1 << 4,            /* activation and residual sum behind Conv, Gemm, MatMul, BatchNormalization, Add */
    OOD_PASS_FUSE_PADS = 1 << 5,             /* Pad by zeros before a Conv becomes its pads */
    OOD_PASS_FUSE_PATTERNS = 1 << 6,         /* GELU, LayerNormalization, attention, channel shuffles as exporters write them: one node each */
    OOD_PASS_SINK_RESIZES = 1 << 7,          /* 1x1 convolutions of enlarged maps are done before these are enlarged */
    OOD_PASS_ALL = (1 << 8) - 1,
    /* For training, instead of FUSE_POSTS: behind a linear operator a sum, behind BatchNormalization a sum, then an activation; no more. */
    OOD_PASS_FUSE_TRAINING = 1 << 8,
};

/* Runs the passes of `which` (fold constants and dead-node removal at the end always run) on a graph just read.
 * Values in keep[n] (taps) stay as they are: never folded away, renamed or fused over. */
bool ood_graph_simplify(struct ood_graph *graph, unsigned which, const uint32_t *keep, size_t n,
                        struct ood_error *err) OOD_MUST_CHECK;

/* ---- looking things up and building ---- */

uint32_t ood_graph_find(const struct ood_graph *graph, const char *name);      /* value index or OOD_NONE */

const struct ood_attribute *ood_node_attribute(const struct ood_node *node, const char *name);
int64_t ood_node_int(const struct ood_node *node, const char *name, int64_t otherwise);
float ood_node_float(const struct ood_node *node, const char *name, float otherwise);
const char *ood_node_string(const struct ood_node *node, const char *name, const char *otherwise);
/* ints attribute: count into *count, NULL and 0 where absent. */
const int64_t *ood_node_ints(const struct ood_node *node, const char *name, size_t *count);

/* Input value i, or NULL where omitted or absent. */
const struct ood_value *ood_node_input(const struct ood_graph *graph, const struct ood_node *node, size_t i);

/* From an operator's shape(): type and shape of output i. Negative or overflowing: OOD_INVALID. */
bool ood_graph_set_output(struct ood_graph *graph, const struct ood_node *node, size_t i, enum ood_type type,
                          const struct ood_shape *shape, struct ood_error *err) OOD_MUST_CHECK;
/* The same, with a value known at load; the graph takes the tensor (also on failure). */
bool ood_graph_set_constant(struct ood_graph *graph, uint32_t value, struct ood_tensor *tensor,
                            struct ood_error *err) OOD_MUST_CHECK;
/* A new constant value under a made-up name; its index, or OOD_NONE. The graph takes the tensor (also on failure). */
uint32_t ood_graph_add_constant(struct ood_graph *graph, const char *stem, struct ood_tensor *tensor,
                                struct ood_error *err) OOD_MUST_CHECK;
/* Fails with "node NAME (OP, opset V): …" in front. Returns false. */
bool ood_node_fail(const struct ood_node *node, struct ood_error *err, enum ood_code code, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* ---- taps: where logits and features are (issue text: "Taps") ---- */

struct ood_taps { uint32_t logits, features; };

/* Names given (not NULL) are looked up; defaults: from the one N×K output back over Softmax, LogSoftmax, Identity, Reshape,
 * Flatten to the logits; features are the input of the last Gemm, MatMul (+ Add), or 1×1 Conv before a global pool. Call
 * before ood_graph_simplify and give both as `keep`. Features that are [N,C,H,W] are to be pooled by mean over H,W by the
 * reader. Fails with the list of candidates (OOD_NOT_FOUND or OOD_UNSUPPORTED). */
bool ood_graph_taps(const struct ood_graph *graph, const char *logits, const char *features, struct ood_taps *out,
                    struct ood_error *err) OOD_MUST_CHECK;

#endif
