/* From an ONNX file to plans for each batch size: read, tap, simplify, lower, place. Read-only once made. */
#include <string.h>

#include "graph/stage.h"
#include "plan/builder_internal.h"
#include "plan/dnnl.h"

/* ---- outputs ---- */

/* The tensors of options->outputs become the graph's outputs; what lies behind them is dead. */
static bool name_outputs(struct ood_graph *graph, const struct ood_model_options *options, struct ood_error *err)
{
    uint32_t *outputs = ood_pool_alloc(&graph->pool, options->output_count, sizeof *outputs, err);
    if (outputs == NULL)
        return false;
    for (size_t i = 0; i < options->output_count; i++) {
        outputs[i] = ood_graph_find(graph, options->outputs[i]);
        if (outputs[i] == OOD_NONE)
            return ood_fail(err, OOD_NOT_FOUND, "the network has no tensor \"%.100s\"", options->outputs[i]);
        if (graph->values[outputs[i]].constant != NULL)
            return ood_fail(err, OOD_UNSUPPORTED, "tensor \"%.100s\" does not depend on the input", options->outputs[i]);
    }
    graph->outputs = outputs;
    graph->output_count = options->output_count;
    return true;
}

static bool set_outputs(struct ood_model *model, bool taps, struct ood_error *err)
{
    struct ood_graph *graph = model->graph;
    size_t count = taps ? 2 : graph->output_count;
    if (taps) {
        uint32_t *outputs = ood_pool_alloc(&graph->pool, 2, sizeof *outputs, err);
        if (outputs == NULL)
            return false;
        outputs[0] = model->taps.logits;
        outputs[1] = model->taps.features;
        graph->outputs = outputs;            /* what lies behind the taps is dead */
        graph->output_count = 2;
    }
    model->outputs = ood_new_array(uint32_t, count, err);
    model->output_shapes = ood_new_array(struct ood_shape, count, err);
    if (model->outputs == NULL || model->output_shapes == NULL)
        return false;
    model->output_count = count;
    for (size_t i = 0; i < count; i++) {
        model->outputs[i] = graph->outputs[i];
        model->output_shapes[i] = graph->values[graph->outputs[i]].shape;
        if (graph->values[graph->outputs[i]].counted)
            model->output_shapes[i].rank = OOD_RANK_FREE;
    }
    model->delivered = model->outputs;
    model->delivered_count = count;
    if (!taps)
        return true;
    static const char *const names[] = { "logits", "features" };
    for (size_t i = 0; i < 2; i++) {
        struct ood_shape *shape = &model->output_shapes[i];
        const struct ood_value *value = &graph->values[model->outputs[i]];
        if (shape->rank == OOD_RANK_FREE)
            return ood_fail(err, OOD_UNSUPPORTED, "%s: the shape of tensor %s depends on the data", names[i], value->name);
        if (value->type != OOD_FLOAT32)
            return ood_fail(err, OOD_UNSUPPORTED, "%s: tensor %s is %s, expected float32", names[i], value->name,
                            ood_type_name(value->type));
        if (shape->rank == 4)
            shape->rank = 2;                 /* pooled by mean over rows and columns */
        if (shape->rank != 2 || shape->dims[1] < 1 || ood_dim_is_batch(shape->dims[1])) {
            char text[OOD_SHAPE_TEXT];
            return ood_fail(err, OOD_UNSUPPORTED, "%s: tensor %s has shape %s, expected NxK or NxCxHxW", names[i], value->name,
                            ood_shape_print(&value->shape, text));
        }
    }
    return true;
}

/* ---- plans ---- */

/* The node after which a value is not read any more; OOD_NONE for outputs and inputs, whose memory stays. */
static uint32_t *find_last_readers(const struct ood_model *model, struct ood_error *err)
{
    const struct ood_graph *graph = model->graph;
    uint32_t *last = ood_new_array(uint32_t, graph->value_count, err);
    if (last == NULL)
        return NULL;
    for (size_t n = 0; n < graph->node_count; n++) {
        const struct ood_node *node = &graph->nodes[n];
        if (node->dead)
            continue;
        for (size_t i = 0; i < node->input_count; i++)
            if (node->inputs[i] != OOD_NONE)
                last[node->inputs[i]] = (uint32_t)n;
        for (size_t i = 0; i < node->post_count; i++)
            if (node->posts[i].kind == OOD_POST_SUM)
                last[node->posts[i].value] = (uint32_t)n;
    }
    for (size_t i = 0; i < graph->input_count; i++)
        last[graph->inputs[i]] = OOD_NONE;
    for (size_t i = 0; i < model->delivered_count; i++)
        last[model->delivered[i]] = OOD_NONE;
    return last;
}

struct pooled { const struct ood_kernels *kernels; size_t batch, rows, channels; };

static void run_pooled(const void *state, void *const *memory)
{
    const struct pooled *p = state;
    p->kernels->mean_rows(memory[1], memory[0], p->batch, p->rows, p->channels);
}

/* Features [N,C,H,W] to [N,C]. */
bool ood_builder_pool_output(struct ood_builder *builder, uint32_t value, struct ood_operand *out, struct ood_error *err)
{
    struct ood_shape shape = ood_builder_shape(builder, value);
    struct pooled state = { builder->model->kernels, builder->plan->batch, (size_t)(shape.dims[2] * shape.dims[3]),
                            (size_t)shape.dims[1] };
    struct ood_operand from, to;
    if (!ood_builder_input(builder, value, OOD_NHWC, &from, err) ||
        !ood_builder_scratch(builder, state.batch * state.channels * sizeof(float), &to, err))
        return false;
    struct ood_step step = { .kernel = "own:mean_rows", .value = value, .run = run_pooled, .operands = { from, to }, .operand_count = 2 };
    step.state = ood_new(struct pooled, err);
    if (step.state == NULL)
        return false;
    memcpy(step.state, &state, sizeof state);
    *out = to;
    return ood_builder_add(builder, &step, err);
}

static bool place_inputs(struct ood_builder *builder, bool pieces, struct ood_error *err)
{
    const struct ood_graph *graph = builder->model->graph;
    for (size_t i = 0; i < graph->input_count; i++)
        if (pieces ? !ood_pieces_input(builder, graph->inputs[i], &builder->plan->inputs[i], err)
                   : !ood_builder_output(builder, graph->inputs[i], OOD_PLAIN, &builder->plan->inputs[i], err))
            return false;
    return true;
}

static bool place_outputs(struct ood_builder *builder, struct ood_error *err)
{
    struct ood_model *model = builder->model;
    for (size_t i = 0; i < model->delivered_count; i++) {
        uint32_t value = model->delivered[i];
        bool pooled = model->delivered == model->outputs && model->output_shapes[i].rank != model->graph->values[value].shape.rank;
        if (pooled ? !ood_builder_pool_output(builder, value, &builder->plan->outputs[i], err)
                   : !ood_builder_input(builder, value, OOD_PLAIN, &builder->plan->outputs[i], err))
            return false;
    }
    return true;
}

static bool place_buffers(struct ood_plan *plan, struct ood_error *err)
{
    bool done = false;
    struct ood_arena_value *values = ood_new_array(struct ood_arena_value, plan->buffer_count, err);
    if (values == NULL)
        return false;
    for (size_t i = 0; i < plan->buffer_count; i++)
        values[i] = plan->buffers[i].place;
    if (ood_arena_plan(values, plan->buffer_count, &plan->arena_bytes, err)) {
        for (size_t i = 0; i < plan->buffer_count; i++)
            plan->buffers[i].place.offset = values[i].offset;
        done = true;
    }
    ood_free(values);
    return done;
}

/* Are all outputs without elements? Then there is nothing to compute, by whatever operator. */
static bool is_empty(const struct ood_builder *builder, const struct ood_node *node)
{
    bool empty = node->op->counted == NULL;
    for (size_t i = 0; empty && i < node->output_count; i++) {
        struct ood_shape shape = { 0 };
        size_t count = 0;
        if (node->outputs[i] != OOD_NONE)
            shape = ood_builder_shape(builder, node->outputs[i]);
        empty = node->outputs[i] == OOD_NONE || (ood_shape_count(&shape, &count) && count == 0);
    }
    return empty;
}

static bool place_empty(struct ood_builder *builder, const struct ood_node *node, struct ood_error *err)
{
    struct ood_operand operand;
    for (size_t i = 0; i < node->output_count; i++)
        if (node->outputs[i] != OOD_NONE && ood_builder_constant(builder, node->outputs[i]) == NULL &&
            !ood_builder_output(builder, node->outputs[i], OOD_PLAIN, &operand, err))
            return false;
    return true;
}

bool ood_plan_build(struct ood_model *model, size_t batch, struct ood_error *err)
{
    const struct ood_graph *graph = model->graph;
    if (!ood_grow(&model->plans, &model->plan_capacity, model->plan_count + 1, sizeof *model->plans, err))
        return false;
    struct ood_plan *plan = &model->plans[model->plan_count++];
    *plan = (struct ood_plan){ .batch = batch };
    struct ood_builder builder = { .model = model, .plan = plan, .batch = batch, .views = true };
    bool done = false;
    uint32_t cut = 0, at_cut = OOD_NONE;
    uint32_t *last_reader = find_last_readers(model, err);
    builder.placed = ood_new_array(struct ood_placed, graph->value_count, err);
    plan->inputs = ood_new_array(struct ood_operand, graph->input_count, err);
    plan->outputs = ood_new_array(struct ood_operand, model->delivered_count, err);
    builder.last_reader = last_reader;
    if (last_reader == NULL || builder.placed == NULL || plan->inputs == NULL || plan->outputs == NULL ||
        (batch > 1 && !ood_pieces_cut(model, &cut, &at_cut, err)))
        goto out;
    builder.batch = cut > 0 ? 1 : batch;
    builder.cut = cut;
    if (!place_inputs(&builder, cut > 0, err))
        goto out;
    for (size_t n = 0; n < graph->node_count; n++) {
        if (graph->nodes[n].dead)
            continue;
        builder.node_index = (uint32_t)n;
        if (cut > 0 && n == cut && !ood_pieces_end(&builder, at_cut, err))
            goto out;
        if (!(is_empty(&builder, &graph->nodes[n]) ? place_empty(&builder, &graph->nodes[n], err)
                                                   : graph->nodes[n].op->lower(&builder, &graph->nodes[n], err)))
            goto out;
    }
    builder.node_index = OOD_NONE;
    if (!place_outputs(&builder, err))
        goto out;
    for (size_t i = 0; i < graph->input_count; i++)          /* filled before the first step, by the caller */
        plan->buffers[plan->inputs[i].buffer].place.first_step = 0;
    for (size_t i = 0; model->base != NULL && i < graph->input_count; i++)           /* lie where an earlier stage left them */
        plan->buffers[plan->inputs[i].buffer].place.bytes = 0;
    for (size_t i = 0; i < plan->counted_count; i++)
        plan->buffers[plan->counted[i].operand.buffer].place.last_step = UINT32_MAX;
    for (size_t i = 0; i < model->delivered_count; i++)      /* read after the last */
        if (plan->outputs[i].buffer != OOD_NONE)
            plan->buffers[plan->outputs[i].buffer].place.last_step = UINT32_MAX;
    done = place_buffers(plan, err);
out:
    ood_free(last_reader);
    ood_free(builder.placed);
    return done;
}

void ood_plan_clear(struct ood_plan *plan)
{
    for (size_t i = 0; i < plan->step_count; i++)
        ood_step_clear(&plan->steps[i]);
    ood_free(plan->steps);
    ood_free(plan->buffers);
    ood_free(plan->inputs);
    ood_free(plan->outputs);
    ood_free(plan->moves);
    ood_free(plan->counted);
}

/* What waits in a queue is any number: up to here each has a plan, since seven pictures in one run are an eighth faster than in
 * runs of four, two and one. Beyond, doubling. */
#define EVERY_BATCH 8

static bool build_plans(struct ood_model *model, const struct ood_model_options *options, struct ood_error *err)
{
    model->last_plan = true;
    if (model->graph->fixed_batch > 0)
        return ood_plan_build(model, (size_t)model->graph->fixed_batch, err);
    if (options->only_batch > 0)
        return ood_plan_build(model, (size_t)options->only_batch, err);
    model->last_plan = false;
    size_t most = options->batch == 0 ? 8 : options->batch;
    for (size_t batch = options->one_plan ? most : 1; batch < most; batch += batch < EVERY_BATCH ? 1 : batch)
        if (!ood_plan_build(model, batch, err))
            return false;
    model->last_plan = true;
    return ood_plan_build(model, most, err);
}

/* ---- weights ---- */

static bool used_as_it_is(const struct ood_model *model, const void *data)
{
    for (size_t p = 0; p < model->plan_count; p++) {
        const struct ood_plan *plan = &model->plans[p];
        for (size_t s = 0; s < plan->step_count; s++)
            for (size_t i = 0; i < plan->steps[s].operand_count; i++)
                if (plan->steps[s].operands[i].weights == data)
                    return true;
        for (size_t i = 0; i < model->delivered_count; i++)
            if (plan->outputs[i].weights == data)
                return true;
    }
    return false;
}

/* What later stages read, and constants that are outputs. */
static bool needed_later(const struct ood_model *model, const struct ood_tensor *tensor)
{
    const struct ood_graph *graph = model->graph;
    for (size_t i = 0; i < graph->later_count; i++)
        for (size_t k = 0; k < graph->later[i].input_count; k++)
            if (graph->later[i].inputs[k] != OOD_NONE && graph->values[graph->later[i].inputs[k]].constant == tensor)
                return true;
    for (size_t i = 0; graph->later_count > 0 && i < graph->output_count; i++)
        if (graph->values[graph->outputs[i]].constant == tensor)
            return true;
    return false;
}

/* Constants that were packed into another layout, or folded away, are not needed a second time. */
static void drop_unused_constants(struct ood_model *model)
{
    struct ood_graph *graph = model->graph;
    for (size_t i = 0; i < graph->tensor_count; i++) {
        struct ood_tensor *tensor = graph->tensors[i];
        if (tensor->owned && tensor->type == OOD_FLOAT32 && tensor->count > 64 && !used_as_it_is(model, tensor->data) &&
            !needed_later(model, tensor)) {
            ood_free(tensor->data);
            tensor->data = NULL;
            tensor->owned = false;
        }
    }
}

/* Written in the file as a tensor: an initialiser or, as Paddle's exporter has its weights, a Constant node of more than a number. */
static bool is_of_file(const struct ood_graph *graph, const struct ood_value *value)
{
    if (value->constant == NULL || value->producer == OOD_NONE)
        return value->constant != NULL;
    return graph->nodes[value->producer].input_count == 0 && value->constant->count > 1;
}

static size_t count_statistics(const struct ood_graph *graph, const struct ood_node *nodes, size_t count)
{
    size_t statistics = 0;
    for (size_t i = 0; i < count; i++)
        for (size_t k = 3; (nodes[i].op->traits & OOD_OP_BATCH_NORM) != 0 && k < nodes[i].input_count && k < 5; k++) {
            const struct ood_value *value = ood_node_input(graph, &nodes[i], k);
            if (value != NULL && is_of_file(graph, value))
                statistics += value->constant->count;
        }
    return statistics;
}

/* What training adjusts: every float32 constant of the file but the running statistics of batch norms. */
static size_t count_parameters(const struct ood_graph *graph)
{
    size_t parameters = 0;
    for (size_t i = 0; i < graph->value_count; i++)
        if (graph->values[i].type == OOD_FLOAT32 && is_of_file(graph, &graph->values[i]))
            parameters += graph->values[i].constant->count;
    return parameters - count_statistics(graph, graph->nodes, graph->node_count) - count_statistics(graph, graph->later, graph->later_count);
}

/* ---- models ---- */

/* A map of one picture that eight of push out of the caches. */
#define PIECE_BYTES ((size_t)1 << 20)

bool ood_model_is_staged(const struct ood_model *model)
{
    bool staged = model->graph->later_count > 0;
    for (size_t i = 0; i < model->output_count; i++)
        staged = staged || model->graph->values[model->outputs[i]].counted;
    return staged;
}

static void forget(struct ood_model *model)
{
    if (model->graph != NULL)
        ood_graph_restore(model->graph);
    ood_graph_free(model->graph);
    ood_free(model->outputs);
    ood_free(model->output_shapes);
    model->graph = NULL;
    model->outputs = NULL;
    model->output_shapes = NULL;
}

static bool read_graph(struct ood_model *model, const struct ood_bytes *onnx, const struct ood_model_options *options, int64_t batch, bool stages,
                       struct ood_error *err)
{
    const struct ood_graph_options reading = { .operators = options->operators, .input_shape = options->input_shape, .batch = batch,
                                               .stages = stages, .one_if_needed = options->one_if_needed, .spend = options->spend };
    const bool taps = !options->no_taps && options->output_count == 0;
    forget(model);
    model->graph = ood_graph_read(onnx, &reading, err);
    if (model->graph == NULL)
        return false;
    model->parameters = count_parameters(model->graph);
    return (!taps || ood_graph_taps(model->graph, options->logits, options->features, &model->taps, err)) &&
           (options->output_count == 0 || name_outputs(model->graph, options, err)) && set_outputs(model, taps, err) &&
           (!stages || ood_graph_prune_later(model->graph, err));
}

/* As a whole, as nearly every graph can be; or what cannot in stages: where no output needs a later one, that is a whole again, else a staged model
 * has a fixed batch. */
static bool read_in_stages(struct ood_model *model, const struct ood_bytes *onnx, const struct ood_model_options *options, struct ood_error *err)
{
    struct ood_error whole = { 0 }, staged = { 0 };
    if (read_graph(model, onnx, options, options->only_batch, false, &whole))
        return true;
    if (whole.code == OOD_UNSUPPORTED || (whole.code == OOD_INVALID && options->one_if_needed)) {
        bool done = read_graph(model, onnx, options, options->only_batch, true, &staged);
        if (done && !ood_model_is_staged(model))
            return true;
        if (options->stages && options->only_batch == 0 && (!done || model->graph->fixed_batch == 0)) {
            struct ood_error bound = { 0 };
            done = read_graph(model, onnx, options, 1, true, &bound);
            staged = staged.code == OOD_OK ? bound : staged;
        }
        if (done && options->stages) {
            model->graph->fixed_batch = model->graph->fixed_batch > 0 ? model->graph->fixed_batch : options->only_batch > 0 ? options->only_batch : 1;
            return true;
        }
    }
    *err = options->stages && staged.code != OOD_OK ? staged : whole;
    return false;
}

/* Of a staged model: what is made here and read later, or asked for. */
static bool find_delivered(struct ood_model *model, struct ood_error *err)
{
    struct ood_graph *graph = model->graph;
    const uint32_t *list;
    size_t count, left = 0;
    if (!ood_graph_delivered(graph, &list, &count, err))
        return false;
    uint32_t *own = ood_pool_alloc(&graph->pool, count, sizeof *own, err);
    if (own == NULL)
        return false;
    for (size_t i = 0; i < count; i++) {
        bool here = graph->values[list[i]].producer != OOD_NONE;
        for (size_t k = 0; model->base == NULL && !here && k < graph->input_count; k++)
            here = graph->inputs[k] == list[i];
        if (here && graph->values[list[i]].constant == NULL)
            own[left++] = list[i];
    }
    model->delivered = own;
    model->delivered_count = left;
    return true;
}

static bool compile(struct ood_model *model, const struct ood_bytes *onnx, const struct ood_model_options *options,
                    struct ood_error *err)
{
    model->passes = options->passes == 0 ? OOD_PASS_ALL : options->passes & ~OOD_PASS_NONE;
    if (!read_in_stages(model, onnx, options, err) || (ood_model_is_staged(model) && !find_delivered(model, err)) ||
        !ood_graph_simplify(model->graph, model->passes, model->delivered, model->delivered_count, err))
        return false;
    dnnl_status_t status = dnnl_engine_create(&model->engine, dnnl_cpu, 0);
    if (status != dnnl_success)
        return ood_fail(err, OOD_SYSTEM, "oneDNN gives no CPU engine (status %d)", (int)status);
    return build_plans(model, options, err);
}

static struct ood_model *new_model(struct ood_error *err)
{
    struct ood_model *model = ood_new(struct ood_model, err);
    if (model == NULL)
        return NULL;
    atomic_init(&model->references, 1);
    pthread_mutex_init(&model->lock, NULL);
    model->kernels = ood_kernels_choose();
    return model;
}

struct ood_model *ood_model_new(const struct ood_bytes *onnx, const struct ood_model_options *options, struct ood_error *err)
{
    struct ood_model *model = new_model(err);
    if (model == NULL)
        return NULL;
    model->convolution = options->convolution;
    model->piece_bytes = options->piece_bytes == 0 ? PIECE_BYTES : options->piece_bytes;
    int threads = omp_get_max_threads();
    omp_set_num_threads(1);              /* primitives remember the team they were made for */
    bool done = compile(model, onnx, options, err);
    omp_set_num_threads(threads);
    if (!done) {
        ood_model_free(model);
        return NULL;
    }
    drop_unused_constants(model);
    ood_memory_trim();                   /* tensors were freed between the weights they were packed into */
    return model;
}

struct ood_model *ood_model_of_stage(struct ood_model *base, struct ood_graph *graph, struct ood_error *err)
{
    struct ood_model *model = new_model(err);
    if (model == NULL) {
        ood_graph_free(graph);
        return NULL;
    }
    model->base = base;
    model->graph = graph;
    model->engine = base->engine;
    model->convolution = base->convolution;
    model->passes = base->passes;
    model->piece_bytes = base->piece_bytes;
    const int threads = omp_get_max_threads();
    omp_set_num_threads(1);
    const bool done = find_delivered(model, err) &&
                      ood_graph_simplify(graph, model->passes, model->delivered, model->delivered_count, err) && ood_plan_build(model, 1, err);
    omp_set_num_threads(threads);
    if (done)
        return model;
    ood_model_free(model);
    return NULL;
}

/* ---- for training: read and simplified, no plans ---- */

static bool read_for_training(struct ood_model *model, const struct ood_bytes *onnx, const struct ood_model_options *options, bool **initialiser,
                              struct ood_error *err)
{
    const struct ood_graph_options reading = { .operators = options->operators, .input_shape = options->input_shape };
    struct ood_graph *graph = model->graph = ood_graph_read(onnx, &reading, err);
    if (graph == NULL || !ood_graph_taps(graph, options->logits, options->features, &model->taps, err) || !set_outputs(model, true, err))
        return false;
    const size_t count = graph->value_count;
    bool *of_file = ood_new_array(bool, count, err);
    if (of_file == NULL)
        return false;
    for (size_t i = 0; i < count; i++)
        of_file[i] = graph->values[i].constant != NULL && graph->values[i].producer == OOD_NONE;
    bool done = ood_graph_simplify(graph, OOD_PASS_DROP_IDENTITIES | OOD_PASS_FUSE_TRAINING, model->outputs, model->output_count, err);
    *initialiser = done ? ood_new_array(bool, graph->value_count, err) : NULL;       /* folding may have added constants */
    if (*initialiser != NULL)
        memcpy(*initialiser, of_file, count * sizeof *of_file);
    ood_free(of_file);
    if (*initialiser == NULL)
        return false;
    const dnnl_status_t status = dnnl_engine_create(&model->engine, dnnl_cpu, 0);
    return status == dnnl_success || ood_fail(err, OOD_SYSTEM, "oneDNN gives no CPU engine (status %d)", (int)status);
}

struct ood_model *ood_model_for_training(const struct ood_bytes *onnx, const struct ood_model_options *options, bool **initialiser,
                                         struct ood_error *err)
{
    struct ood_model *model = new_model(err);
    if (model == NULL)
        return NULL;
    model->convolution = OOD_CONVOLUTION_WINOGRAD;
    if (read_for_training(model, onnx, options, initialiser, err))
        return model;
    ood_model_free(model);
    return NULL;
}

struct ood_model *ood_model_ref(struct ood_model *model)
{
    atomic_fetch_add_explicit(&model->references, 1, memory_order_relaxed);
    return model;
}

void ood_model_free(struct ood_model *model)
{
    /* acq_rel: what other threads did with it comes before the freeing */
    if (model == NULL || atomic_fetch_sub_explicit(&model->references, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t i = 0; i < model->plan_count; i++)
        ood_plan_clear(&model->plans[i]);
    ood_free(model->plans);
    for (size_t i = 0; i < model->weights_count; i++) {
        ood_free(model->weights[i].key);
        ood_free(model->weights[i].memory);
    }
    ood_free(model->weights);
    ood_free(model->outputs);
    ood_free(model->output_shapes);
    ood_graph_free(model->graph);
    if (model->engine != NULL && model->base == NULL)
        dnnl_engine_destroy(model->engine);
    pthread_mutex_destroy(&model->lock);
    ood_free(model);
}

/* ---- asking ---- */

const struct ood_graph *ood_model_graph(const struct ood_model *model) { return model->graph; }
struct ood_taps ood_model_taps(const struct ood_model *model) { return model->taps; }
size_t ood_model_input_count(const struct ood_model *model) { return model->graph->input_count; }
size_t ood_model_output_count(const struct ood_model *model) { return model->output_count; }

static const struct ood_value *input_value(const struct ood_model *model, size_t i) { return &model->graph->values[model->graph->inputs[i]]; }
static const struct ood_value *output_value(const struct ood_model *model, size_t i) { return &model->graph->values[model->outputs[i]]; }

const char *ood_model_input_name(const struct ood_model *model, size_t i) { return input_value(model, i)->name; }
const char *ood_model_output_name(const struct ood_model *model, size_t i) { return output_value(model, i)->name; }
struct ood_shape ood_model_input_shape(const struct ood_model *model, size_t i) { return input_value(model, i)->shape; }
struct ood_shape ood_model_output_shape(const struct ood_model *model, size_t i) { return model->output_shapes[i]; }
enum ood_type ood_model_input_type(const struct ood_model *model, size_t i) { return input_value(model, i)->type; }
enum ood_type ood_model_output_type(const struct ood_model *model, size_t i) { return output_value(model, i)->type; }
size_t ood_model_parameters(const struct ood_model *model) { return model->parameters; }
size_t ood_model_most_batch(const struct ood_model *model) { return model->plans[model->plan_count - 1].batch; }

size_t ood_model_plan_batch(const struct ood_model *model, size_t n)
{
    size_t best = model->plans[0].batch;
    for (size_t i = 1; i < model->plan_count && model->plans[i].batch <= n; i++)
        best = model->plans[i].batch;
    return best;
}

static const struct ood_plan *plan_for(const struct ood_model *model, size_t batch)
{
    size_t i = 0;
    while (i + 1 < model->plan_count && model->plans[i].batch != batch)
        i++;
    return &model->plans[i];
}

size_t ood_model_step_count(const struct ood_model *model, size_t batch) { return plan_for(model, batch)->step_count; }
size_t ood_model_arena_bytes(const struct ood_model *model, size_t batch) { return plan_for(model, batch)->arena_bytes; }

size_t ood_model_live_bytes(const struct ood_model *model, size_t batch)
{
    const struct ood_plan *plan = plan_for(model, batch);
    size_t most = 0;
    for (size_t step = 0; step < plan->step_count; step++) {
        size_t alive = 0;
        for (size_t i = 0; i < plan->buffer_count; i++)
            if (plan->buffers[i].place.first_step <= step && plan->buffers[i].place.last_step >= step)
                alive += plan->buffers[i].place.bytes;
        most = alive > most ? alive : most;
    }
    return most;
}

struct ood_step_info ood_model_step(const struct ood_model *model, size_t batch, size_t i)
{
    const struct ood_plan *plan = plan_for(model, batch);
    const struct ood_step *step = &plan->steps[i];
    const size_t times = i < plan->piece_steps ? plan->batch : 1;
    struct ood_step_info info = { .node = step->node != NULL ? step->node->name : "", .kernel = step->kernel,
                                  .op = step->node != NULL ? step->node->op->name : "", .flops = step->flops * (double)times,
                                  .bytes = step->bytes * times, .slow = step->slow };
    if (step->value != OOD_NONE)
        info.output = ood_shape_bind(&model->graph->values[step->value].shape, plan->batch);
    return info;
}

size_t ood_model_weight_bytes(const struct ood_model *model)
{
    size_t bytes = 0;
    for (size_t i = 0; i < model->weights_count; i++)
        bytes += model->weights[i].bytes;
    for (size_t i = 0; i < model->graph->tensor_count; i++)
        if (model->graph->tensors[i]->owned)
            bytes += model->graph->tensors[i]->count * ood_type_size(model->graph->tensors[i]->type);
    return bytes;
}

void ood_engine_description(char *text, size_t size)
{
    char onednn[96];
    ood_dnnl_describe(onednn, sizeof onednn);
    snprintf(text, size, "%s, own kernels %s", onednn, ood_kernels_choose()->isa);
}

const char *ood_engine_isa(void) { return ood_dnnl_isa(); }

/* Goes up when other kernels do the same arithmetic, or in another order: bundles made before are then held to a tolerance, not to the bit. */
#define KERNELS 4

const char *ood_engine_identity(char text[OOD_ENGINE_IDENTITY])
{
    char onednn[OOD_ENGINE_IDENTITY - 12];
    snprintf(text, OOD_ENGINE_IDENTITY, "%s kernels %d", ood_dnnl_identity(onednn, sizeof onednn), KERNELS);
    return text;
}
