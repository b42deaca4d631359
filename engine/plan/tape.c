/* The tape: parameters, gradients of values, steps that run once; and the compilation of a network into one. */
#include <string.h>

#include "plan/tape_internal.h"

/* ---- asking ---- */

struct ood_builder *ood_tape_builder(struct ood_tape *tape) { return &tape->builder; }
size_t ood_tape_slice_in(const struct ood_tape *tape) { return tape->slice_in; }
enum ood_statistics ood_tape_statistics(const struct ood_tape *tape) { return tape->statistics; }
double ood_tape_momentum(const struct ood_tape *tape) { return tape->momentum; }
const struct ood_slices *ood_tape_slices(const struct ood_tape *tape) { return &tape->slices; }
bool ood_tape_wants(const struct ood_tape *tape, uint32_t value) { return value != OOD_NONE && tape->wanted[value]; }

static const char *value_name(const struct ood_tape *tape, uint32_t value) { return tape->model->graph->values[value].name; }

/* ---- memory ---- */

/* Memory of a slice from the step being built on; beyond the arena's knowledge of steps where `lasting`. */
static bool slice_memory(struct ood_tape *tape, size_t bytes, bool lasting, struct ood_operand *out, struct ood_error *err)
{
    if (!ood_builder_scratch(&tape->builder, bytes, out, err))
        return false;
    if (lasting) {
        tape->plan.buffers[out->buffer].place.first_step = 0;
        tape->plan.buffers[out->buffer].place.last_step = UINT32_MAX;
    }
    return true;
}

static bool find_kept(const struct ood_tape *tape, const struct ood_node *node, const char *key, struct ood_operand *out)
{
    for (size_t i = 0; i < tape->kept_count; i++)
        if (tape->kept[i].node == node && strcmp(tape->kept[i].key, key) == 0) {
            *out = tape->kept[i].operand;
            return true;
        }
    return false;
}

static bool remember(struct ood_tape *tape, const struct ood_node *node, const char *key, struct ood_operand operand, struct ood_error *err)
{
    if (!ood_grow(&tape->kept, &tape->kept_capacity, tape->kept_count + 1, sizeof *tape->kept, err))
        return false;
    tape->kept[tape->kept_count++] = (struct ood_tape_kept){ node, key, operand };
    return true;
}

static void *shared_memory(struct ood_tape *tape, size_t bytes, struct ood_error *err)
{
    if (!ood_grow(&tape->shared, &tape->shared_capacity, tape->shared_count + 1, sizeof *tape->shared, err))
        return NULL;
    void *memory = ood_alloc_aligned(bytes, 1, err);
    if (memory == NULL)
        return NULL;
    memset(memory, 0, bytes);
    tape->shared_bytes += bytes;
    return tape->shared[tape->shared_count++] = memory;
}

bool ood_tape_shared(struct ood_tape *tape, const struct ood_node *node, const char *key, size_t bytes, struct ood_operand *out, struct ood_error *err)
{
    if (key != NULL && find_kept(tape, node, key, out))
        return true;
    void *memory = shared_memory(tape, bytes, err);
    if (memory == NULL)
        return false;
    *out = (struct ood_operand){ OOD_NONE, memory };
    return key == NULL || remember(tape, node, key, *out, err);
}

/* ---- parameters ---- */

static struct ood_tape_parameter *find_parameter(const struct ood_tape *tape, uint32_t value)
{
    for (size_t i = 0; i < tape->parameter_count; i++)
        if (tape->parameters[i].value == value)
            return &tape->parameters[i];
    return NULL;
}

bool ood_tape_parameter(struct ood_tape *tape, const struct ood_node *node, uint32_t value, enum ood_parameter_kind kind,
                        struct ood_operand *out, struct ood_error *err)
{
    const struct ood_value *v = &tape->model->graph->values[value];
    struct ood_tape_parameter *known = find_parameter(tape, value);
    if (v->constant == NULL || v->type != OOD_FLOAT32 || !tape->initialiser[value])
        return ood_node_fail(node, err, OOD_UNSUPPORTED, "\"%s\" is not a float32 initialiser of the file: training could not write it back", v->name);
    if (known != NULL && (known->kind != kind || (kind == OOD_PARAMETER_STATISTIC && known->node != node)))
        return ood_node_fail(node, err, OOD_UNSUPPORTED, "the initialiser \"%s\" is also read by node %s%s: give each its own", v->name, known->node->name,
                             known->kind != kind ? " as something else" : "");
    if (known == NULL) {
        if (!ood_grow(&tape->parameters, &tape->parameter_capacity, tape->parameter_count + 1, sizeof *tape->parameters, err))
            return false;
        const size_t count = v->constant->count;
        struct ood_tape_parameter made = { .value = value, .kind = kind, .count = count, .buffer = OOD_NONE, .node = node };
        if ((made.data = shared_memory(tape, count * sizeof(float), err)) == NULL ||
            (kind != OOD_PARAMETER_STATISTIC && (made.gradient = shared_memory(tape, count * sizeof(float), err)) == NULL))
            return false;
        memcpy(made.data, ood_f32(v->constant), count * sizeof(float));
        known = &tape->parameters[tape->parameter_count++];
        *known = made;
    }
    *out = (struct ood_operand){ OOD_NONE, known->data };
    return true;
}

bool ood_tape_parameter_gradient(struct ood_tape *tape, uint32_t value, struct ood_operand *out, bool *add, struct ood_error *err)
{
    struct ood_tape_parameter *parameter = find_parameter(tape, value);
    *add = parameter->buffer != OOD_NONE;
    *out = (struct ood_operand){ parameter->buffer, NULL };
    if (*add)
        return true;
    if (!slice_memory(tape, parameter->count * sizeof(float), true, out, err))
        return false;
    parameter->buffer = out->buffer;
    return true;
}

/* ---- gradients of values ---- */

static bool count_of(const struct ood_tape *tape, uint32_t value, size_t *count, struct ood_error *err)
{
    const struct ood_shape shape = ood_builder_shape(&tape->builder, value);
    size_t bytes;
    if (!ood_shape_count(&shape, count) || !ood_mul_size(*count, sizeof(float), &bytes))
        return ood_fail(err, OOD_LIMIT, "the gradient of %s is too large", value_name(tape, value));
    return true;
}

static bool new_gradient(struct ood_tape *tape, uint32_t value, struct ood_operand *out, struct ood_error *err)
{
    size_t count;
    if (!count_of(tape, value, &count, err) || !slice_memory(tape, count * sizeof(float), false, out, err))
        return false;
    tape->gradients[value] = (struct ood_tape_gradient){ out->buffer, true };
    return true;
}

bool ood_tape_gradient(struct ood_tape *tape, uint32_t value, struct ood_operand *out, struct ood_error *err)
{
    if (!tape->gradients[value].set)
        return ood_fail(err, OOD_INVALID, "no gradient reaches %s", value_name(tape, value));
    *out = (struct ood_operand){ tape->gradients[value].buffer, NULL };
    return true;
}

/* Does some value other than `value` and `but`, whose maker's backward pass is not yet built, still need what lies in `buffer`? The node
 * being built reads its own outputs' gradients all along. */
static bool shared_gradient(const struct ood_tape *tape, uint32_t buffer, uint32_t value, uint32_t but)
{
    const struct ood_graph *graph = tape->model->graph;
    for (size_t v = 0; v < graph->value_count; v++)
        if (v != value && v != but && tape->gradients[v].set && tape->gradients[v].buffer == buffer &&
            (graph->values[v].producer == OOD_NONE || graph->values[v].producer <= tape->builder.node_index))
            return true;
    return false;
}

struct copy { size_t count; const struct ood_kernels *kernels; };

static void run_copy(const void *state, void *const *memory)
{
    memcpy(memory[1], memory[0], ((const struct copy *)state)->count * sizeof(float));
}

static void run_add(const void *state, void *const *memory)
{
    const struct copy *c = state;
    c->kernels->binary(OOD_BINARY_ADD, memory[1], memory[1], memory[0], c->count, NULL, 0);
}

static bool copy_step(struct ood_tape *tape, const struct ood_node *node, size_t count, struct ood_operand from, struct ood_operand to,
                      bool add, struct ood_error *err)
{
    const struct copy state = { count, tape->model->kernels };
    const struct ood_operand operands[] = { from, to };
    const struct ood_step_spec step = { .node = node, .kernel = add ? "own:gradient_add" : "own:copy", .run = add ? run_add : run_copy,
                                        .state = &state, .state_size = sizeof state, .operands = operands, .operand_count = 2 };
    return ood_builder_step(&tape->builder, &step, err);
}

bool ood_tape_has_gradient(const struct ood_tape *tape, uint32_t value) { return tape->gradients[value].set; }

bool ood_tape_gradient_into(struct ood_tape *tape, uint32_t value, uint32_t over, struct ood_operand *out, bool *add, struct ood_error *err)
{
    struct ood_tape_gradient *gradient = &tape->gradients[value];
    size_t count, other;
    *add = gradient->set;
    if (!count_of(tape, value, &count, err))
        return false;
    if (!gradient->set) {
        if (over != OOD_NONE && tape->gradients[over].set && count_of(tape, over, &other, err) && other == count &&
            !shared_gradient(tape, tape->gradients[over].buffer, value, over)) {
            *gradient = tape->gradients[over];
            *out = (struct ood_operand){ gradient->buffer, NULL };
            return true;
        }
        return new_gradient(tape, value, out, err);
    }
    const struct ood_operand before = { gradient->buffer, NULL };
    *out = before;
    if (!shared_gradient(tape, before.buffer, value, OOD_NONE))
        return true;
    return new_gradient(tape, value, out, err) &&
           copy_step(tape, &tape->model->graph->nodes[tape->builder.node_index], count, before, *out, false, err);
}

bool ood_tape_gradient_replace(struct ood_tape *tape, uint32_t value, struct ood_operand *before, struct ood_operand *after, struct ood_error *err)
{
    if (!ood_tape_gradient(tape, value, before, err))
        return false;
    *after = *before;
    return !shared_gradient(tape, before->buffer, value, OOD_NONE) || new_gradient(tape, value, after, err);
}

bool ood_tape_gradient_pass(struct ood_tape *tape, const struct ood_node *node, uint32_t value, uint32_t from, struct ood_error *err)
{
    struct ood_operand source;
    if (!ood_tape_wants(tape, value))
        return true;
    if (!ood_tape_gradient(tape, from, &source, err))
        return false;
    if (!tape->gradients[value].set) {
        tape->gradients[value] = tape->gradients[from];
        return true;
    }
    return ood_tape_gradient_add(tape, node, value, source, err);
}

bool ood_tape_gradient_add(struct ood_tape *tape, const struct ood_node *node, uint32_t value, struct ood_operand from, struct ood_error *err)
{
    struct ood_operand to;
    size_t count;
    bool add;
    return ood_tape_gradient_into(tape, value, OOD_NONE, &to, &add, err) && count_of(tape, value, &count, err) &&
           copy_step(tape, node, count, from, to, add, err);
}

/* ---- steps ---- */

bool ood_tape_once(struct ood_tape *tape, const struct ood_step_spec *spec, struct ood_error *err)
{
    const size_t at = tape->plan.step_count, before = tape->once_capacity;
    if (!ood_grow(&tape->once, &tape->once_capacity, at + 1, sizeof *tape->once, err))
        return false;
    memset(tape->once + before, 0, (tape->once_capacity - before) * sizeof *tape->once);
    if (!ood_builder_step(&tape->builder, spec, err))
        return false;
    tape->once[at] = true;
    return true;
}

bool ood_tape_add_prepare(struct ood_tape *tape, struct ood_step *step, struct ood_error *err)
{
    if (!ood_grow(&tape->prepare, &tape->prepare_capacity, tape->prepare_count + 1, sizeof *tape->prepare, err)) {
        ood_step_clear(step);
        return false;
    }
    tape->prepare[tape->prepare_count++] = *step;
    *step = (struct ood_step){ .node = NULL };
    return true;
}

bool ood_tape_prepare(struct ood_tape *tape, const struct ood_step_spec *spec, struct ood_error *err)
{
    struct ood_step step = { .node = spec->node, .kernel = spec->kernel, .run = spec->run, .operand_count = spec->operand_count, .value = OOD_NONE };
    step.state = ood_alloc(1, spec->state_size, err);
    if (step.state == NULL)
        return false;
    memcpy(step.state, spec->state, spec->state_size);
    memcpy(step.operands, spec->operands, spec->operand_count * sizeof *spec->operands);
    return ood_tape_add_prepare(tape, &step, err);
}

/* ---- compilation ---- */

/* The gradient of features that are maps, [N,C,H,W], delivered as their mean over H, W. */
struct spread { size_t batch, rows, channels; };

static void run_spread(const void *state, void *const *memory)
{
    const struct spread *s = state;
    const float *from = memory[0];
    float *to = memory[1];
    for (size_t n = 0; n < s->batch; n++)
        for (size_t r = 0; r < s->rows; r++)
            for (size_t c = 0; c < s->channels; c++)
                to[(n * s->rows + r) * s->channels + c] = from[n * s->channels + c] / (float)s->rows;
}

static bool is_pooled(const struct ood_tape *tape, size_t i)
{
    return tape->model->output_shapes[i].rank != tape->model->graph->values[tape->model->outputs[i]].shape.rank;
}

/* The gradient that the caller writes for output i: [batch][columns]. */
static bool seed(struct ood_tape *tape, size_t i, size_t columns, struct ood_operand *out, struct ood_error *err)
{
    const uint32_t value = tape->model->outputs[i];
    const size_t bytes = tape->plan.batch * columns * sizeof(float);
    if (!slice_memory(tape, bytes, true, out, err))
        return false;
    if (!is_pooled(tape, i)) {
        if (tape->gradients[value].set)      /* logits that are the features as well */
            return ood_tape_gradient_add(tape, NULL, value, *out, err);
        tape->gradients[value] = (struct ood_tape_gradient){ out->buffer, true };
        return true;
    }
    const struct ood_shape shape = ood_builder_shape(&tape->builder, value);
    const struct spread state = { tape->plan.batch, (size_t)(shape.dims[2] * shape.dims[3]), columns };
    struct ood_operand operands[2] = { *out };
    const struct ood_step_spec step = { .kernel = "own:spread", .run = run_spread, .state = &state, .state_size = sizeof state,
                                        .operands = operands, .operand_count = 2 };
    return new_gradient(tape, value, &operands[1], err) && ood_builder_step(&tape->builder, &step, err);
}

/* Values on a way from a parameter, known once the forward pass is built. */
static void find_wanted(struct ood_tape *tape)
{
    const struct ood_graph *graph = tape->model->graph;
    for (size_t i = 0; i < tape->parameter_count; i++)
        tape->wanted[tape->parameters[i].value] = tape->parameters[i].kind != OOD_PARAMETER_STATISTIC;
    for (size_t n = 0; n < graph->node_count; n++) {
        const struct ood_node *node = &graph->nodes[n];
        bool wanted = false;
        for (size_t i = 0; !node->dead && i < node->input_count; i++)
            wanted = wanted || ood_tape_wants(tape, node->inputs[i]);
        for (size_t i = 0; !node->dead && i < node->post_count; i++)
            wanted = wanted || (node->posts[i].kind == OOD_POST_SUM && ood_tape_wants(tape, node->posts[i].value));
        wanted = wanted || (!node->dead && ood_tape_wants(tape, node->fused_bias));
        for (size_t i = 0; wanted && i < node->output_count; i++)
            tape->wanted[node->outputs[i]] = true;
    }
}

static bool forward(struct ood_tape *tape, struct ood_error *err)
{
    const struct ood_graph *graph = tape->model->graph;
    for (size_t n = 0; n < graph->node_count; n++) {
        const struct ood_node *node = &graph->nodes[n];
        if (node->dead)
            continue;
        if (node->op->backward == NULL)
            return ood_node_fail(node, err, OOD_UNSUPPORTED, "this operator cannot be trained through (it has no backward pass)");
        tape->builder.node_index = (uint32_t)n;
        if (!(node->op->train != NULL ? node->op->train(tape, node, err) : node->op->lower(&tape->builder, node, err)))
            return false;
    }
    tape->builder.node_index = OOD_NONE;
    return true;
}

static bool backward(struct ood_tape *tape, struct ood_error *err)
{
    const struct ood_graph *graph = tape->model->graph;
    tape->builder.node_index = OOD_NONE - 1;             /* all makers are still to come */
    if (!seed(tape, 0, tape->classes, &tape->logits_gradient, err) || !seed(tape, 1, tape->dimension, &tape->features_gradient, err))
        return false;
    for (size_t n = graph->node_count; n-- > 0;) {
        const struct ood_node *node = &graph->nodes[n];
        bool reached = false;
        for (size_t i = 0; !node->dead && i < node->output_count; i++)
            reached = reached || (tape->gradients[node->outputs[i]].set && ood_tape_wants(tape, node->outputs[i]));
        if (!reached)
            continue;
        tape->builder.node_index = (uint32_t)n;
        if (!node->op->backward(tape, node, err))
            return false;
    }
    tape->builder.node_index = OOD_NONE;
    return true;
}

/* The slices' gradients of a parameter, summed in order. */
struct gather { const struct ood_slices *slices; size_t count; };

static void run_gather(const void *state, void *const *memory)
{
    const struct gather *g = state;
    float *to = memory[1];
    for (size_t s = 0; s < g->slices->count; s++) {
        const float *from = (const float *)((const unsigned char *)memory[0] + s * g->slices->stride);
        if (s == 0)
            memcpy(to, from, g->count * sizeof *to);
        else
            for (size_t i = 0; i < g->count; i++)
                to[i] += from[i];
    }
}

static bool gather(struct ood_tape *tape, struct ood_error *err)
{
    for (size_t i = 0; i < tape->parameter_count; i++) {
        const struct ood_tape_parameter *p = &tape->parameters[i];
        if (p->buffer == OOD_NONE)
            continue;
        const struct gather state = { &tape->slices, p->count };
        const struct ood_operand operands[] = { { p->buffer, NULL }, { OOD_NONE, p->gradient } };
        const struct ood_step_spec step = { .node = p->node, .kernel = "own:gather", .run = run_gather, .state = &state,
                                            .state_size = sizeof state, .operands = operands, .operand_count = 2 };
        if (!ood_tape_once(tape, &step, err))
            return false;
    }
    return true;
}

/* ood_builder_add ended lifetimes at the last step that reads; what the caller fills and reads lives longer. */
static void hold(struct ood_tape *tape, struct ood_operand operand)
{
    if (operand.buffer != OOD_NONE)
        tape->plan.buffers[operand.buffer].place.last_step = UINT32_MAX;
}

static bool place(struct ood_tape *tape, struct ood_error *err)
{
    struct ood_plan *plan = &tape->plan;
    hold(tape, tape->logits);
    hold(tape, tape->features);
    plan->buffers[tape->input.buffer].place.first_step = 0;
    struct ood_arena_value *values = ood_new_array(struct ood_arena_value, plan->buffer_count, err);
    if (values == NULL)
        return false;
    for (size_t i = 0; i < plan->buffer_count; i++)
        values[i] = plan->buffers[i].place;
    const bool done = ood_arena_plan(values, plan->buffer_count, &plan->arena_bytes, err);
    for (size_t i = 0; done && i < plan->buffer_count; i++)
        plan->buffers[i].place.offset = values[i].offset;
    ood_free(values);
    tape->slices.stride = (plan->arena_bytes + 4095) / 4096 * 4096 + 64;     /* slices do not meet in the same cache sets */
    return done;
}

static bool compile(struct ood_tape *tape, struct ood_error *err)
{
    struct ood_model *model = tape->model;
    struct ood_graph *graph = model->graph;
    if (graph->input_count != 1)
        return ood_fail(err, OOD_UNSUPPORTED, "the network has %zu inputs, expected one", graph->input_count);
    const struct ood_value *input = &graph->values[graph->inputs[0]];
    const struct ood_shape shape = ood_shape_bind(&input->shape, 1);
    if (input->type != OOD_FLOAT32 || !ood_shape_count(&shape, &tape->input_floats))
        return ood_fail(err, OOD_UNSUPPORTED, "input %s is %s, expected float32", input->name, ood_type_name(input->type));
    tape->classes = (size_t)model->output_shapes[0].dims[1];
    tape->dimension = (size_t)model->output_shapes[1].dims[1];
    if (!ood_builder_output(&tape->builder, graph->inputs[0], OOD_PLAIN, &tape->input, err) || !forward(tape, err))
        return false;
    struct ood_operand outputs[2];
    for (size_t i = 0; i < 2; i++)
        if (!(is_pooled(tape, i) ? ood_builder_pool_output(&tape->builder, model->outputs[i], &outputs[i], err)
                                 : ood_builder_input(&tape->builder, model->outputs[i], OOD_PLAIN, &outputs[i], err)))
            return false;
    tape->logits = outputs[0];
    tape->features = outputs[1];
    tape->forward_steps = tape->plan.step_count;
    find_wanted(tape);
    return backward(tape, err) && gather(tape, err) && place(tape, err);
}

struct ood_tape *ood_tape_new(const struct ood_bytes *onnx, const struct ood_tape_options *options, struct ood_error *err)
{
    struct ood_tape *tape = ood_new(struct ood_tape, err);
    if (tape == NULL)
        return NULL;
    const struct ood_model_options reading = { .operators = options->operators, .input_shape = options->input_shape, .logits = options->logits,
                                               .features = options->features };
    tape->slice_in = options->slice_in;
    tape->statistics = options->statistics;
    tape->momentum = options->momentum;
    tape->slices.count = options->slices;
    tape->model = ood_model_for_training(onnx, &reading, &tape->initialiser, err);
    if (tape->model == NULL)
        goto fail;
    const size_t values = tape->model->graph->value_count;
    tape->plan.batch = options->slice_pictures;
    tape->last_reader = ood_new_array(uint32_t, values, err);
    tape->wanted = ood_new_array(bool, values, err);
    tape->gradients = ood_new_array(struct ood_tape_gradient, values, err);
    tape->builder = (struct ood_builder){ .model = tape->model, .plan = &tape->plan, .batch = tape->plan.batch, .last_reader = tape->last_reader };
    tape->builder.placed = ood_new_array(struct ood_placed, values, err);
    if (tape->last_reader == NULL || tape->wanted == NULL || tape->gradients == NULL || tape->builder.placed == NULL)
        goto fail;
    for (size_t v = 0; v < values; v++)
        tape->last_reader[v] = OOD_NONE;
    const int threads = omp_get_max_threads();
    omp_set_num_threads(1);
    const bool done = compile(tape, err);
    omp_set_num_threads(threads);
    if (done)
        return tape;
fail:
    ood_tape_free(tape);
    return NULL;
}

void ood_tape_free(struct ood_tape *tape)
{
    if (tape == NULL)
        return;
    ood_plan_clear(&tape->plan);
    for (size_t i = 0; i < tape->prepare_count; i++)
        ood_step_clear(&tape->prepare[i]);
    ood_free(tape->prepare);
    for (size_t i = 0; i < tape->shared_count; i++)
        ood_free(tape->shared[i]);
    ood_free(tape->shared);
    ood_free(tape->parameters);
    ood_free(tape->kept);
    ood_free(tape->once);
    ood_free(tape->last_reader);
    ood_free(tape->wanted);
    ood_free(tape->initialiser);
    ood_free(tape->gradients);
    ood_free(tape->builder.placed);
    ood_model_free(tape->model);
    ood_free(tape);
}
