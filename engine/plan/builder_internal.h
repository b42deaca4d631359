/* What plan/ keeps to itself: models, plans, steps, and the builder that makes them. */
#ifndef OOD_PLAN_BUILDER_INTERNAL_H
#define OOD_PLAN_BUILDER_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "kernel/kernel.h"
#include "plan/arena.h"
#include "plan/builder.h"
#include "plan/dnnl.h"
#include "plan/plan.h"

#define OOD_DNNL_ARGUMENTS 6

/* One step of a plan. Either `run` with `state`, or a oneDNN primitive with the layouts of its arguments. */
struct ood_step {
    const struct ood_node *node;             /* NULL: the plan's own (a reorder, the pooling of features) */
    const char *kernel;
    uint32_t value;                          /* what it computes, for inspect; OOD_NONE */
    ood_step_run *run;
    void *state;
    dnnl_primitive_t primitive;
    int dnnl_arguments[OOD_DNNL_ARGUMENTS];  /* DNNL_ARG_… of operand i */
    struct ood_dnnl_layout *layouts[OOD_DNNL_ARGUMENTS];     /* owned */
    struct ood_operand operands[OOD_STEP_OPERANDS];
    size_t operand_count;
    double flops;
    size_t bytes;
    bool slow;
};

struct ood_buffer {
    struct ood_arena_value place;
    uint32_t last_reader;                    /* node index after which no value in it is read; OOD_NONE: an output, an input */
    void *memory;                            /* not in the arena but here: what an earlier stage left. Else NULL */
};

/* How many of a node's outputs there are. */
struct ood_counted { const struct ood_node *node; struct ood_operand operand; };

/* One picture's part of a value, moved between the memory of all pictures and that of the one under way. */
struct ood_piece_move { struct ood_operand from, to; size_t bytes; };

struct ood_plan {
    size_t batch;
    struct ood_step *steps;
    size_t step_count, step_capacity;
    size_t piece_steps;                      /* the first steps, which run for one picture at a time; 0: none do */
    struct ood_piece_move *moves;            /* in before each picture's, all but the last, which goes out behind them */
    size_t move_count, move_capacity;
    struct ood_buffer *buffers;
    size_t buffer_count, buffer_capacity;
    struct ood_operand *inputs;              /* of the graph, in order */
    struct ood_operand *outputs;             /* what is delivered, in order */
    struct ood_counted *counted;
    size_t counted_count, counted_capacity;
    size_t arena_bytes;
};

struct ood_weights {
    const struct ood_node *node;             /* NULL: a value's, or shared by stages: */
    uint32_t origin;                         /* the node of the file, or 0 */
    char *key;
    void *memory;
    size_t bytes;
};

struct ood_model {
    atomic_size_t references;
    struct ood_graph *graph;
    struct ood_taps taps;
    uint32_t *outputs;                       /* values asked for, in order */
    struct ood_shape *output_shapes;         /* as delivered: features pooled; rank OOD_RANK_FREE: only a run can tell */
    size_t output_count;
    const uint32_t *delivered;               /* what a plan leaves behind: the outputs, or what the next stage reads as well (plan/stages.h) */
    size_t delivered_count;
    struct ood_model *base;                  /* of a later stage: the first stage's model, whose engine and weights it shares. Not a reference */
    pthread_mutex_t lock;                    /* of the first: holds `weights` once plans are built, when stages share them */
    const struct ood_kernels *kernels;
    enum ood_convolution convolution;
    size_t piece_bytes;
    unsigned passes;
    bool last_plan;                          /* while plans are built: none follows */
    dnnl_engine_t engine;
    struct ood_plan *plans;                  /* ascending batch */
    size_t plan_count, plan_capacity;
    struct ood_weights *weights;
    size_t weights_count, weights_capacity;
    size_t parameters;
};

/* Where a value lies while its plan is built. */
struct ood_placed {
    uint32_t buffer[2];                      /* by enum ood_layout; OOD_NONE: not there */
    enum ood_layout layout;                  /* the producer's */
    bool set;
    bool is_view;                            /* lies in memory as `view` says; buffer[] are copies of it */
    struct ood_strided view;
};

struct ood_builder {
    struct ood_model *model;
    struct ood_plan *plan;
    size_t batch;                            /* of the step being built: the plan's, or 1 where pictures go one by one */
    struct ood_placed *placed;               /* [value_count] */
    const uint32_t *last_reader;             /* [value_count]: node index, OOD_NONE for outputs */
    uint32_t node_index;                     /* being lowered */
    uint32_t cut;                            /* nodes from here on see all pictures at once, those before one at a time; 0: no such thing */
    uint32_t scratch_first;                  /* buffers from here on are scratch of the step being built */
    bool views;                              /* values may be views of others */
};

/* Builds the plan for one batch size at the end of model->plans. */
bool ood_plan_build(struct ood_model *model, size_t batch, struct ood_error *err) OOD_MUST_CHECK;
void ood_plan_clear(struct ood_plan *plan);

/* A later stage's model over a graph just made, which it takes (also on failure), with its one plan. */
struct ood_model *ood_model_of_stage(struct ood_model *base, struct ood_graph *graph, struct ood_error *err) OOD_MUST_CHECK;

/* Features [N,C,H,W] as [N,C]: their mean over H, W, at the end of a pass. */
bool ood_builder_pool_output(struct ood_builder *builder, uint32_t value, struct ood_operand *out, struct ood_error *err) OOD_MUST_CHECK;

/* A model without plans whose graph keeps batch norms and posts as training wants them. (*initialiser)[value_count], the caller's: which values
 * are constants of the file. */
struct ood_model *ood_model_for_training(const struct ood_bytes *onnx, const struct ood_model_options *options, bool **initialiser,
                                         struct ood_error *err) OOD_MUST_CHECK;

/* ---- pictures one by one: plan/pieces.c ---- */

/* The node before which pictures go through one by one, and the one value that it and those behind it read; *cut 0: none. Sizes of
 * one picture decide, so all plans of a model agree. False: no memory. */
bool ood_pieces_cut(const struct ood_model *model, uint32_t *cut, uint32_t *value, struct ood_error *err) OOD_MUST_CHECK;
/* An input: the memory of all pictures. */
bool ood_pieces_input(struct ood_builder *builder, uint32_t value, struct ood_operand *whole, struct ood_error *err) OOD_MUST_CHECK;
/* From here on the whole batch. */
bool ood_pieces_end(struct ood_builder *builder, uint32_t value, struct ood_error *err) OOD_MUST_CHECK;

/* ---- shared by builder.c and view.c ---- */

bool ood_builder_new_buffer(struct ood_builder *builder, size_t bytes, uint32_t last_reader, uint32_t *out, struct ood_error *err) OOD_MUST_CHECK;
bool ood_builder_value_bytes(const struct ood_builder *builder, uint32_t value, size_t *bytes, struct ood_error *err) OOD_MUST_CHECK;
/* The buffer is needed as long as `value` has readers. */
void ood_builder_hold(struct ood_builder *builder, uint32_t value, uint32_t buffer);
/* A view in a layout: its own memory where it lies so, else a copy. */
bool ood_builder_copy_view(struct ood_builder *builder, uint32_t value, enum ood_layout layout, struct ood_error *err) OOD_MUST_CHECK;
/* `value` is the same elements in the same order as `of`, as a view of it; *done false: its strides do not allow it. */
bool ood_builder_reshape_view(struct ood_builder *builder, uint32_t value, uint32_t of, bool *done, struct ood_error *err) OOD_MUST_CHECK;

/* Frees what a step holds. */
void ood_step_clear(struct ood_step *step);

/* Adds a step; takes what it holds, also on failure. */
bool ood_builder_add(struct ood_builder *builder, struct ood_step *step, struct ood_error *err) OOD_MUST_CHECK;

#endif
