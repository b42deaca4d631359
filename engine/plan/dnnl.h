/* All of oneDNN that the engine uses, in terms of shapes and layouts. What differs between oneDNN's versions stands in
 * dnnl.c alone. oneDNN runs inside the calling thread (an OpenMP team of one); primitives are made in user scratchpad
 * mode, so they belong to no thread. */
#ifndef OOD_PLAN_DNNL_H
#define OOD_PLAN_DNNL_H

#include <oneapi/dnnl/dnnl.h>

#include "plan/builder.h"

/* OpenMP's two calls, of libgomp which oneDNN links; clang has no omp.h without a package of its own. */
void omp_set_num_threads(int threads);
int omp_get_max_threads(void);

/* "2.6.3" and the instruction set in use ("AVX-512 with BF16"). */
void ood_dnnl_describe(char *text, size_t size);

/* The widest instruction set oneDNN will use, as a short stable word: "avx2", "avx512_core", … */
const char *ood_dnnl_isa(void);

/* "oneDNN 2.6.3 avx2": version and that word. Returns text. */
const char *ood_dnnl_identity(char *text, size_t size);

/* ---- what differs between oneDNN 2.x and 3.x; statuses are oneDNN's ---- */

/* Shape and layout of float32 values in memory: a memory descriptor that its holder owns. */
struct ood_dnnl_layout;
dnnl_status_t ood_dnnl_layout_new(struct ood_dnnl_layout **layout, int rank, const dnnl_dims_t dims, dnnl_format_tag_t tag) OOD_MUST_CHECK;
/* A copy of what a primitive descriptor answers (dnnl_query_…_md). */
dnnl_status_t ood_dnnl_layout_query(struct ood_dnnl_layout **layout, const_dnnl_primitive_desc_t pd, dnnl_query_t what) OOD_MUST_CHECK;
void ood_dnnl_layout_free(struct ood_dnnl_layout *layout);           /* NULL is fine */
size_t ood_dnnl_layout_bytes(const struct ood_dnnl_layout *layout);

/* A memory object over `at`, which stays the caller's; the layout may go. */
dnnl_status_t ood_dnnl_memory(dnnl_memory_t *memory, const struct ood_dnnl_layout *layout, dnnl_engine_t engine, void *at) OOD_MUST_CHECK;

dnnl_status_t ood_dnnl_append_eltwise(dnnl_post_ops_t posts, dnnl_alg_kind_t kind, float alpha, float beta) OOD_MUST_CHECK;

/* The descriptor of a forward convolution of the first kernel whose name contains `kernel` (NULL: the first);
 * dnnl_unimplemented where there is none. bias may be NULL; dilates are gaps, 0 for none. */
struct ood_dnnl_convolution {
    dnnl_alg_kind_t algorithm;
    const struct ood_dnnl_layout *source, *weights, *bias, *destination;
    dnnl_dims_t strides, dilates, begin, end;
};
dnnl_status_t ood_dnnl_convolution(dnnl_primitive_desc_t *pd, const struct ood_dnnl_convolution *convolution,
                                   const_dnnl_primitive_attr_t attributes, dnnl_engine_t engine, const char *kernel) OOD_MUST_CHECK;

/* Its backward pass: by the weights (weights: their gradient), else by the data (source: its gradient); destination: the gradient read.
 * forward: the descriptor of the forward pass. */
dnnl_status_t ood_dnnl_convolution_backward(dnnl_primitive_desc_t *pd, const struct ood_dnnl_convolution *convolution, bool weights,
                                            const_dnnl_primitive_attr_t attributes, dnnl_engine_t engine,
                                            const_dnnl_primitive_desc_t forward) OOD_MUST_CHECK;

/* The same values in another layout; add: to what is there. */
dnnl_status_t ood_dnnl_reorder(dnnl_primitive_desc_t *pd, const struct ood_dnnl_layout *from, const struct ood_dnnl_layout *to, bool add,
                               dnnl_engine_t engine) OOD_MUST_CHECK;

/* ---- steps from shapes ---- */

struct ood_window {                          /* rows first, then columns */
    size_t kernel[2], stride[2], dilation[2];
    size_t pad_begin[2], pad_end[2];
};

/* A direct 2-D convolution, nhwc to nhwc. weights: the constant [O, I/groups, kh, kw]; bias: [O] or NULL (borrowed for the call).
 * posts are the node's up to the second OOD_POST_SUM, with which the caller goes on; the first one's operand must already lie
 * in dst. source, dst: nhwc operands. */
struct ood_convolution_spec {
    const struct ood_node *node;
    size_t batch, channels, height, width;               /* of the source */
    size_t out_channels, out_height, out_width, groups;
    struct ood_window window;
    const struct ood_tensor *weights;
    const float *bias;
    struct ood_operand source, destination;
};
bool ood_builder_convolution_direct(struct ood_builder *builder, const struct ood_convolution_spec *spec,
                                    struct ood_error *err) OOD_MUST_CHECK;

/* Pooling, nhwc to nhwc. Padding is left out of the average unless include_padding. */
enum ood_pooling { OOD_POOLING_MAX, OOD_POOLING_AVERAGE, OOD_POOLING_AVERAGE_PADDED };
struct ood_pooling_spec {
    const struct ood_node *node;
    enum ood_pooling kind;
    size_t batch, channels, height, width, out_height, out_width;
    struct ood_window window;
    struct ood_operand source, destination;
};
bool ood_builder_pooling(struct ood_builder *builder, const struct ood_pooling_spec *spec, struct ood_error *err) OOD_MUST_CHECK;

#endif
