/* The step builder: how an operator's lower() describes its work for one batch size. A plan is a list of steps over
 * buffers; the arena planner gives each buffer its place afterwards, a session its memory.
 *
 * Layouts. A value of rank 4 lies in memory as OOD_PLAIN (row major over its shape, NCHW) or OOD_NHWC (channels last);
 * every other rank is OOD_PLAIN. A value has the layout its producer chose; a reader asks for the layout it needs and gets
 * a reordered copy if they differ (made once per value and layout). Float32 only for what is computed on the way of a
 * request, except where an operator says otherwise; what is known at load is a constant. */
#ifndef OOD_PLAN_BUILDER_H
#define OOD_PLAN_BUILDER_H

#include "graph/op.h"

enum ood_layout { OOD_PLAIN, OOD_NHWC };

struct ood_builder;

/* A piece of memory a step reads or writes: a buffer of the plan, or prepared weights of the model. */
struct ood_operand {
    uint32_t buffer;                         /* OOD_NONE: weights */
    const void *weights;                     /* the model's, immutable */
};

/* ---- asking ---- */

const struct ood_graph *ood_builder_graph(const struct ood_builder *builder);
size_t ood_builder_batch(const struct ood_builder *builder);
/* Shape of a value with the batch bound. */
struct ood_shape ood_builder_shape(const struct ood_builder *builder, uint32_t value);
const struct ood_tensor *ood_builder_constant(const struct ood_builder *builder, uint32_t value);   /* or NULL */
/* The layout a value's producer left it in (constants: OOD_PLAIN). */
enum ood_layout ood_builder_layout(const struct ood_builder *builder, uint32_t value);
/* The one node that reads this value, which the node being lowered makes, and may be done with it at once; NULL: several do, it is asked for, or that
 * node sees other pictures. */
const struct ood_node *ood_builder_only_reader(const struct ood_builder *builder, uint32_t value);
/* Has an earlier node's step made it already? */
bool ood_builder_is_made(const struct ood_builder *builder, uint32_t value);
/* Our own arithmetic for this CPU (kernel/kernel.h). */
const struct ood_kernels *ood_builder_kernels(const struct ood_builder *builder);
enum ood_convolution ood_builder_convolution(const struct ood_builder *builder);

/* ---- memory ---- */

/* A value to read, in a layout. A constant becomes weights in that layout. */
bool ood_builder_input(struct ood_builder *builder, uint32_t value, enum ood_layout layout,
                       struct ood_operand *out, struct ood_error *err) OOD_MUST_CHECK;

/* A value to write, in a layout. Once per value. */
bool ood_builder_output(struct ood_builder *builder, uint32_t value, enum ood_layout layout,
                        struct ood_operand *out, struct ood_error *err) OOD_MUST_CHECK;

/* A value to write over the memory of `input` if the step being built is its last reader and the sizes agree; otherwise
 * like ood_builder_output. Use for elementwise steps that read and write the same place, and for a sum that accumulates
 * into its operand. *shared says which. */
bool ood_builder_output_over(struct ood_builder *builder, uint32_t value, uint32_t input, enum ood_layout layout,
                             struct ood_operand *out, bool *shared, struct ood_error *err) OOD_MUST_CHECK;

/* `value` is `of` under another shape: no step, no memory. `of` is first brought into OOD_PLAIN unless both layouts
 * describe the same order (spatial size 1, or one channel). */
bool ood_builder_alias(struct ood_builder *builder, uint32_t value, uint32_t of, struct ood_error *err) OOD_MUST_CHECK;

/* `value` in layout `layout` has the very bytes of `of` in layout `of_layout` (a transposition between NHWC and NCHW): no step, no memory. */
bool ood_builder_alias_as(struct ood_builder *builder, uint32_t value, enum ood_layout layout, uint32_t of, enum ood_layout of_layout,
                          struct ood_error *err) OOD_MUST_CHECK;

/* Where a value's elements lie: (i0, i1, …) is element start + Σ i·strides of the operand's memory. */
struct ood_strided { struct ood_operand operand; size_t start; size_t strides[OOD_MAX_RANK]; };

/* A value to read where it lies, in whatever order its producer left it. A constant lies plain. */
bool ood_builder_view(struct ood_builder *builder, uint32_t value, struct ood_strided *out, struct ood_error *err) OOD_MUST_CHECK;

/* `value` is what `view` (as ood_builder_view gave it, with other strides) shows of another's memory: no step. Readers that ask for a layout
 * get a copy, made once. Not in training, where ood_builder_views is false: there every value lies in a layout. */
bool ood_builder_views(const struct ood_builder *builder);
/* Is it one, and there is no copy yet? */
bool ood_builder_is_view(const struct ood_builder *builder, uint32_t value);
bool ood_builder_place_view(struct ood_builder *builder, uint32_t value, const struct ood_strided *view, struct ood_error *err) OOD_MUST_CHECK;

/* A value to write, dense, its dimensions from the outermost in memory to the innermost as order[rank] says. Where views are not had: plain. */
bool ood_builder_output_order(struct ood_builder *builder, uint32_t value, const size_t *order, struct ood_strided *out,
                              struct ood_error *err) OOD_MUST_CHECK;

/* Memory that lives for the step being built. 64-byte aligned. */
bool ood_builder_scratch(struct ood_builder *builder, size_t bytes, struct ood_operand *out,
                         struct ood_error *err) OOD_MUST_CHECK;

/* Where a step of an operator with ood_op.counted writes how many there are: one int64. Once per node. */
bool ood_builder_count(struct ood_builder *builder, const struct ood_node *node, struct ood_operand *out, struct ood_error *err) OOD_MUST_CHECK;

/* Prepared weights, made once per model and shared by all plans and threads: looked up by (node, key); if new, `bytes`
 * of zeroed 64-byte aligned memory are filled by fill(memory, context). NULL on failure. */
const void *ood_builder_weights(struct ood_builder *builder, const struct ood_node *node, const char *key, size_t bytes,
                                bool (*fill)(void *memory, const void *context, struct ood_error *err),
                                const void *context, struct ood_error *err) OOD_MUST_CHECK;

/* Is the node that reads this constant the only one, and is it a large one that ood_builder_spent would give back? */
bool ood_builder_sole(const struct ood_builder *builder, uint32_t value);

/* The constant `value` was read into weights that every plan of the model shares (`shared`), or that the model's last plan has: if nobody else
 * reads it, its memory is given back now. */
void ood_builder_spent(struct ood_builder *builder, uint32_t value, bool shared);

/* ---- steps ---- */

/* memory[i] is operand i's address. state is the step's own, immutable. Called by one thread a session. */
typedef void ood_step_run(const void *state, void *const *memory);

struct ood_step_spec {
    const struct ood_node *node;
    const char *kernel;                      /* as `inspect` shows it, static memory: "own:scale_shift avx2" */
    ood_step_run *run;
    const void *state;                       /* copied: state_size bytes */
    size_t state_size;
    const struct ood_operand *operands;      /* at most OOD_STEP_OPERANDS */
    size_t operand_count;
    double flops;                            /* multiply-adds count two; for inspect */
};
#define OOD_STEP_OPERANDS 8

bool ood_builder_step(struct ood_builder *builder, const struct ood_step_spec *spec, struct ood_error *err) OOD_MUST_CHECK;

/* A oneDNN step: see plan/dnnl.h for ood_builder_dnnl. */

#endif
