/* Compiled networks. A model is a graph, its prepared weights and one plan for each batch size up to 8, then 16, 32, … and the most;
 * read-only once made and shared by all threads. A session is one thread's memory to run them in. */
#ifndef OOD_PLAN_PLAN_H
#define OOD_PLAN_PLAN_H

#include "graph/graph.h"

struct ood_model;
struct ood_run;                              /* one thread's arena and oneDNN objects; the scorer's ood_session holds one */

struct ood_model_options {
    const struct ood_op *const *operators;   /* ops/ops.h: ood_op_table */
    struct ood_shape input_shape;            /* see ood_graph_options; rank 0: as the file says */
    const char *logits, *features;           /* taps by name; NULL: the defaults */
    const char *const *outputs;              /* [output_count] tensors by name, delivered as they are, in place of the taps */
    size_t output_count;
    bool no_taps;                            /* `verify`, `bench`: keep every graph output instead, look for no taps */
    size_t batch;                            /* the most a plan takes; 0: 8. Plans: 1 to 8, then 16, 32, …, batch */
    bool one_plan;                           /* the plan for `batch` alone */
    int64_t only_batch;                      /* one plan, for exactly this batch, to which the graph is bound; 0: as above */
    bool one_if_needed;                      /* see ood_graph_options: pictures one by one where the network allows no free batch */
    unsigned passes;                         /* 0: OOD_PASS_ALL; else the passes to run, for tests; OOD_PASS_NONE: none */
    enum ood_convolution convolution;        /* AUTO: as DIRECT */
    bool stages;                             /* take graphs whose shapes hang on data: ood_model_is_staged, ood_run_all */
    bool spend;                              /* see ood_graph_options: the file's bytes go as weights are read */
    size_t piece_bytes;                      /* pictures go one by one until their maps are smaller; 0: 1 MiB */
};
#define OOD_PASS_NONE (1u << 31)

/* Reads, checks and compiles. The caller owns one reference. A model whose file fixes the batch to B has one plan, for B. */
struct ood_model *ood_model_new(const struct ood_bytes *onnx, const struct ood_model_options *options,
                                struct ood_error *err) OOD_MUST_CHECK;
struct ood_model *ood_model_ref(struct ood_model *model);
void ood_model_free(struct ood_model *model);

const struct ood_graph *ood_model_graph(const struct ood_model *model);
struct ood_taps ood_model_taps(const struct ood_model *model);

/* Inputs and outputs in order. Outputs: {logits, features} (or those named, or every graph output with no_taps). Shapes have batch dims.
 * Features of shape [N,C,H,W] are pooled to [N,C] by the plan: the shape told is what is delivered. */
size_t ood_model_input_count(const struct ood_model *model);
size_t ood_model_output_count(const struct ood_model *model);
const char *ood_model_input_name(const struct ood_model *model, size_t i);
const char *ood_model_output_name(const struct ood_model *model, size_t i);
struct ood_shape ood_model_input_shape(const struct ood_model *model, size_t i);
struct ood_shape ood_model_output_shape(const struct ood_model *model, size_t i);
enum ood_type ood_model_input_type(const struct ood_model *model, size_t i);
enum ood_type ood_model_output_type(const struct ood_model *model, size_t i);

/* The largest plan's batch that is <= n; n >= 1. For a fixed batch B: B (fill the rest as you like). */
size_t ood_model_plan_batch(const struct ood_model *model, size_t n);
size_t ood_model_most_batch(const struct ood_model *model);

/* One thread's memory for a model, whose reference it holds. */
struct ood_run *ood_run_new(struct ood_model *model, struct ood_error *err) OOD_MUST_CHECK;
void ood_run_free(struct ood_run *run);

/* The memory of input i for the plan of `batch` (row major, [batch, …], float32 unless the input's type says otherwise):
 * fill it, run, then read the outputs, which stay until the next run. A run cannot fail: everything was made before. */
void *ood_run_input(struct ood_run *run, size_t batch, size_t i);
void ood_run_execute(struct ood_run *run, size_t batch);
const void *ood_run_output(const struct ood_run *run, size_t batch, size_t i);

/* ---- stages: graphs whose shapes hang on what is computed (options.stages; graph/stage.h) ----
 *
 * The nodes whose shapes are known at load are compiled then, for a fixed batch (1 where the file leaves it free), as any network. The rest is
 * compiled when a run has told what decides, for the very shapes, and kept by the run under what decided: the least recently used goes
 * when there are more than OOD_STAGES_KEPT, or they hold more than OOD_STAGES_BYTES. Bits depend on the inputs alone. */
#define OOD_STAGES_KEPT 64
#define OOD_STAGES_BYTES ((size_t)512 << 20)     /* arenas and own weights of the stages kept */
#define OOD_STAGE_BYTES_MOST ((size_t)2 << 30)   /* the arena of one */
#define OOD_STAGES_DEEP 256                      /* stages of one run */
#define OOD_RANK_FREE SIZE_MAX                   /* rank of an output whose shape only a run can tell */

bool ood_model_is_staged(const struct ood_model *model);

/* ood_run_execute and, of a staged model, everything behind. It can fail only if the model is staged: OOD_UNSUPPORTED, OOD_INVALID (a shape that does
 * not fit, named), OOD_LIMIT, OOD_OUT_OF_MEMORY; the run may be used again. Outputs that are known at load need no more than ood_run_output. */
bool ood_run_all(struct ood_run *run, size_t batch, struct ood_error *err) OOD_MUST_CHECK;
/* Of output i after ood_run_all: shape without batch dims, and type. */
struct ood_shape ood_run_output_shape(const struct ood_run *run, size_t batch, size_t i);
enum ood_type ood_run_output_type(const struct ood_run *run, size_t batch, size_t i);

/* The stages of the last ood_run_all, the model's own first; 1 where it is not staged. Each is a run of its own model (ood_run_model), to be asked and
 * profiled in order with what the stages before left, for the batch ood_model_most_batch tells. They stay until the next ood_run_all. */
size_t ood_run_stage_count(const struct ood_run *run);
struct ood_run *ood_run_stage(struct ood_run *run, size_t i);
const struct ood_model *ood_run_model(const struct ood_run *run);

/* ---- inspect ---- */

struct ood_step_info {
    const char *node, *op, *kernel;
    struct ood_shape output;                 /* batch bound */
    double flops;
    size_t bytes;                            /* read and written, weights included */
    bool slow;                               /* a reference or gemm kernel on a convolution: inspect warns */
};
size_t ood_model_step_count(const struct ood_model *model, size_t batch);
struct ood_step_info ood_model_step(const struct ood_model *model, size_t batch, size_t i);
size_t ood_model_arena_bytes(const struct ood_model *model, size_t batch);
/* The most bytes of values and scratch alive at once: no arena is smaller. */
size_t ood_model_live_bytes(const struct ood_model *model, size_t batch);
size_t ood_model_weight_bytes(const struct ood_model *model);
size_t ood_model_parameters(const struct ood_model *model);

/* Like ood_run_execute with a clock around each step: seconds[step_count], or NULL. */
void ood_run_profile(struct ood_run *run, size_t batch, double *seconds);

/* "oneDNN 2.6.3 (AVX-512 with BF16), own kernels avx512"; the instruction set alone as a stable word ("avx2",
 * "avx512_core_bf16", …); and what made a score, oneDNN's version with it ("oneDNN 2.6.3 avx2"): the same words, the same bits. */
void ood_engine_description(char *text, size_t size);
const char *ood_engine_isa(void);
#define OOD_ENGINE_IDENTITY 64
const char *ood_engine_identity(char text[OOD_ENGINE_IDENTITY]);

#endif
