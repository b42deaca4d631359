/* The step builder: values to buffers, layouts to reorders, operators' words to steps. */
#include "plan/builder.h"

#include <stdio.h>
#include <string.h>

#include "plan/builder_internal.h"
#include "plan/move.h"

/* ---- asking ---- */

const struct ood_graph *ood_builder_graph(const struct ood_builder *builder) { return builder->model->graph; }
size_t ood_builder_batch(const struct ood_builder *builder) { return builder->batch; }
const struct ood_kernels *ood_builder_kernels(const struct ood_builder *builder) { return builder->model->kernels; }
enum ood_convolution ood_builder_convolution(const struct ood_builder *builder) { return builder->model->convolution; }

static const struct ood_value *value_at(const struct ood_builder *builder, uint32_t value)
{
    return &builder->model->graph->values[value];
}

struct ood_shape ood_builder_shape(const struct ood_builder *builder, uint32_t value)
{
    return ood_shape_bind(&value_at(builder, value)->shape, builder->batch);
}

const struct ood_tensor *ood_builder_constant(const struct ood_builder *builder, uint32_t value)
{
    return value_at(builder, value)->constant;
}

const struct ood_node *ood_builder_only_reader(const struct ood_builder *builder, uint32_t value)
{
    const struct ood_graph *graph = builder->model->graph;
    const uint32_t reader = builder->last_reader[value];
    const bool apart = reader != OOD_NONE && builder->node_index < builder->cut && reader >= builder->cut;
    return reader == OOD_NONE || reader == builder->node_index || apart || graph->values[value].uses != 1 ? NULL : &graph->nodes[reader];
}

bool ood_builder_is_made(const struct ood_builder *builder, uint32_t value) { return builder->placed[value].set; }

enum ood_layout ood_builder_layout(const struct ood_builder *builder, uint32_t value)
{
    return builder->placed[value].set ? builder->placed[value].layout : OOD_PLAIN;
}

/* Do both layouts of this shape describe the same order of elements? */
static bool same_order(const struct ood_shape *shape)
{
    return shape->rank != 4 || shape->dims[1] == 1 || (shape->dims[2] == 1 && shape->dims[3] == 1);
}

/* ---- buffers ---- */

static uint32_t now(const struct ood_builder *builder) { return (uint32_t)builder->plan->step_count; }

bool ood_builder_new_buffer(struct ood_builder *builder, size_t bytes, uint32_t last_reader, uint32_t *out, struct ood_error *err)
{
    struct ood_plan *plan = builder->plan;
    if (plan->buffer_count >= OOD_NONE - 1)
        return ood_fail(err, OOD_LIMIT, "the network has too many values");
    if (!ood_grow(&plan->buffers, &plan->buffer_capacity, plan->buffer_count + 1, sizeof *plan->buffers, err))
        return false;
    plan->buffers[plan->buffer_count] = (struct ood_buffer){
        .place = { .bytes = bytes, .first_step = now(builder), .last_step = now(builder) }, .last_reader = last_reader
    };
    *out = (uint32_t)plan->buffer_count++;
    return true;
}

bool ood_builder_value_bytes(const struct ood_builder *builder, uint32_t value, size_t *bytes, struct ood_error *err)
{
    struct ood_shape shape = ood_builder_shape(builder, value);
    size_t count;
    if (!ood_shape_count(&shape, &count) || !ood_mul_size(count, ood_type_size(value_at(builder, value)->type), bytes))
        return ood_fail(err, OOD_LIMIT, "value %s is too large", value_at(builder, value)->name);
    return true;
}

static void put_value(struct ood_builder *builder, uint32_t value, enum ood_layout layout, uint32_t buffer)
{
    struct ood_placed *placed = &builder->placed[value];
    *placed = (struct ood_placed){ .buffer = { OOD_NONE, OOD_NONE }, .layout = layout, .set = true };
    placed->buffer[layout] = buffer;
    ood_builder_hold(builder, value, buffer);
}

void ood_builder_hold(struct ood_builder *builder, uint32_t value, uint32_t buffer)
{
    struct ood_buffer *b = &builder->plan->buffers[buffer];
    uint32_t reader = builder->last_reader[value];
    if (b->last_reader != OOD_NONE && (reader == OOD_NONE || reader > b->last_reader))
        b->last_reader = reader;
}

/* ---- layouts ---- */

struct transpose { size_t outer, rows, columns, size; };  /* y[o][c][r] = x[o][r][c], elements of `size` bytes */

static void run_transpose_any(const struct transpose *t, const char *x, char *y)
{
    for (size_t o = 0; o < t->outer; o++, x += t->rows * t->columns * t->size, y += t->rows * t->columns * t->size)
        for (size_t r = 0; r < t->rows; r++)
            for (size_t c = 0; c < t->columns; c++)
                memcpy(y + (c * t->rows + r) * t->size, x + (r * t->columns + c) * t->size, t->size);
}

static void run_transpose(const void *state, void *const *memory)
{
    const struct transpose *t = state;
    const float *x = memory[0];
    float *y = memory[1];
    if (t->size != sizeof(float))
        run_transpose_any(t, memory[0], memory[1]);
    else
        for (size_t o = 0; o < t->outer; o++, x += t->rows * t->columns, y += t->rows * t->columns)
            ood_move_turn(x, y, t->rows, t->columns, t->columns, t->rows);
}

static struct transpose transpose_to(const struct ood_shape *shape, enum ood_layout layout, enum ood_type type)
{
    size_t channels = (size_t)shape->dims[1], spatial = (size_t)(shape->dims[2] * shape->dims[3]);
    return layout == OOD_NHWC ? (struct transpose){ (size_t)shape->dims[0], channels, spatial, ood_type_size(type) }
                              : (struct transpose){ (size_t)shape->dims[0], spatial, channels, ood_type_size(type) };
}

static bool add_reorder(struct ood_builder *builder, uint32_t value, enum ood_layout layout, struct ood_error *err)
{
    struct ood_placed *placed = &builder->placed[value];
    struct ood_shape shape = ood_builder_shape(builder, value);
    if (same_order(&shape)) {
        placed->buffer[layout] = placed->buffer[placed->layout];
        return true;
    }
    size_t bytes;
    uint32_t buffer = OOD_NONE;
    if (!ood_builder_value_bytes(builder, value, &bytes, err) || !ood_builder_new_buffer(builder, bytes, builder->last_reader[value], &buffer, err))
        return false;
    struct transpose state = transpose_to(&shape, layout, value_at(builder, value)->type);
    struct ood_step step = {
        .kernel = layout == OOD_NHWC ? "own:to_nhwc" : "own:to_nchw", .value = value, .run = run_transpose, .operand_count = 2,
        .operands = { { .buffer = placed->buffer[placed->layout] }, { .buffer = buffer } }
    };
    step.state = ood_new(struct transpose, err);
    if (step.state == NULL)
        return false;
    memcpy(step.state, &state, sizeof state);
    if (!ood_builder_add(builder, &step, err))
        return false;
    placed->buffer[layout] = buffer;
    return true;
}

/* ---- memory ---- */

struct constant_form { const struct ood_tensor *tensor; const struct transpose *transpose; size_t batch; };

/* Plain numbers for this batch, in the layout asked for. */
static bool fill_constant(void *memory, const void *context, struct ood_error *err)
{
    const struct constant_form *form = context;
    const struct ood_tensor *tensor = form->tensor;
    struct ood_tensor *bound = ood_tensor_copy(tensor, err);
    if (bound == NULL)
        return false;
    for (size_t i = 0; tensor->type == OOD_INT64 && i < tensor->count; i++)
        ood_i64(bound)[i] = ood_dim_bind(ood_i64(tensor)[i], form->batch);
    if (form->transpose != NULL)
        run_transpose(form->transpose, (void *const[]){ bound->data, memory });
    else
        memcpy(memory, bound->data, bound->count * ood_type_size(bound->type));
    ood_tensor_free(bound);
    return true;
}

static bool depends_on_batch(const struct ood_tensor *tensor)
{
    for (size_t i = 0; tensor->type == OOD_INT64 && i < tensor->count; i++)
        if (ood_dim_is_batch(ood_i64(tensor)[i]))
            return true;
    return false;
}

static bool constant_operand(struct ood_builder *builder, uint32_t value, enum ood_layout layout, struct ood_operand *out,
                             struct ood_error *err)
{
    const struct ood_tensor *tensor = value_at(builder, value)->constant;
    const bool turned = layout != OOD_PLAIN && !same_order(&tensor->shape), batch = depends_on_batch(tensor);
    if (!turned && !batch) {
        *out = (struct ood_operand){ OOD_NONE, tensor->data };
        return true;
    }
    char key[64];
    snprintf(key, sizeof key, "value %u %s %zu", (unsigned)value, turned ? "nhwc" : "plain", batch ? builder->plan->batch : 0);
    const struct transpose transpose = turned ? transpose_to(&tensor->shape, layout, tensor->type) : (struct transpose){ 0 };
    const struct constant_form context = { tensor, turned ? &transpose : NULL, builder->plan->batch };
    const void *memory = ood_builder_weights(builder, NULL, key, tensor->count * ood_type_size(tensor->type), fill_constant, &context, err);
    if (memory == NULL)
        return false;
    *out = (struct ood_operand){ OOD_NONE, memory };
    return true;
}

bool ood_builder_input(struct ood_builder *builder, uint32_t value, enum ood_layout layout, struct ood_operand *out,
                       struct ood_error *err)
{
    const struct ood_value *v = value_at(builder, value);
    if (v->shape.rank != 4)
        layout = OOD_PLAIN;
    if (v->constant != NULL)
        return constant_operand(builder, value, layout, out, err);
    struct ood_placed *placed = &builder->placed[value];
    if (!placed->set)
        return ood_fail(err, OOD_INVALID, "value %s is read before it is made", v->name);
    if (placed->buffer[layout] == OOD_NONE &&
        !(placed->is_view ? ood_builder_copy_view(builder, value, layout, err) : add_reorder(builder, value, layout, err)))
        return false;
    *out = (struct ood_operand){ placed->buffer[layout], NULL };
    return true;
}

bool ood_builder_output(struct ood_builder *builder, uint32_t value, enum ood_layout layout, struct ood_operand *out,
                        struct ood_error *err)
{
    size_t bytes;
    uint32_t buffer = OOD_NONE;
    if (value_at(builder, value)->shape.rank != 4)
        layout = OOD_PLAIN;
    if (!ood_builder_value_bytes(builder, value, &bytes, err) || !ood_builder_new_buffer(builder, bytes, 0, &buffer, err))
        return false;
    put_value(builder, value, layout, buffer);
    *out = (struct ood_operand){ buffer, NULL };
    return true;
}

bool ood_builder_output_over(struct ood_builder *builder, uint32_t value, uint32_t input, enum ood_layout layout,
                             struct ood_operand *out, bool *shared, struct ood_error *err)
{
    const struct ood_value *v = value_at(builder, value), *i = value_at(builder, input);
    enum ood_layout used = v->shape.rank != 4 ? OOD_PLAIN : layout;
    *shared = false;
    if (i->constant == NULL && builder->placed[input].set && i->shape.rank == v->shape.rank && i->type == v->type) {
        uint32_t buffer = builder->placed[input].buffer[used];
        size_t bytes;
        if (!ood_builder_value_bytes(builder, value, &bytes, err))
            return false;
        if (buffer != OOD_NONE && builder->plan->buffers[buffer].last_reader == builder->node_index &&
            builder->plan->buffers[buffer].place.bytes == bytes) {
            put_value(builder, value, used, buffer);
            *out = (struct ood_operand){ buffer, NULL };
            *shared = true;
            return true;
        }
    }
    return ood_builder_output(builder, value, layout, out, err);
}

bool ood_builder_alias(struct ood_builder *builder, uint32_t value, uint32_t of, struct ood_error *err)
{
    struct ood_shape from = ood_builder_shape(builder, of), to = ood_builder_shape(builder, value);
    bool done = false;
    if (!ood_builder_reshape_view(builder, value, of, &done, err) || done)
        return done;
    enum ood_layout layout = ood_shape_equal(&from, &to) ? ood_builder_layout(builder, of) : OOD_PLAIN;
    return ood_builder_alias_as(builder, value, layout, of, layout, err);
}

bool ood_builder_alias_as(struct ood_builder *builder, uint32_t value, enum ood_layout layout, uint32_t of, enum ood_layout of_layout,
                          struct ood_error *err)
{
    struct ood_operand operand;
    if (!ood_builder_input(builder, of, of_layout, &operand, err))
        return false;
    if (operand.buffer == OOD_NONE)
        return ood_fail(err, OOD_INVALID, "value %s is a view of a constant that was not folded", value_at(builder, value)->name);
    put_value(builder, value, layout, operand.buffer);
    return true;
}

bool ood_builder_scratch(struct ood_builder *builder, size_t bytes, struct ood_operand *out, struct ood_error *err)
{
    uint32_t buffer = OOD_NONE;
    if (!ood_builder_new_buffer(builder, bytes, 0, &buffer, err))
        return false;
    *out = (struct ood_operand){ buffer, NULL };
    return true;
}

bool ood_builder_count(struct ood_builder *builder, const struct ood_node *node, struct ood_operand *out, struct ood_error *err)
{
    struct ood_plan *plan = builder->plan;
    uint32_t buffer = OOD_NONE;
    if (!ood_grow(&plan->counted, &plan->counted_capacity, plan->counted_count + 1, sizeof *plan->counted, err) ||
        !ood_builder_new_buffer(builder, sizeof(int64_t), OOD_NONE, &buffer, err))
        return false;
    *out = (struct ood_operand){ buffer, NULL };
    plan->counted[plan->counted_count++] = (struct ood_counted){ node, *out };
    return true;
}

/* ---- weights ---- */

/* Later stages are compiled anew for new shapes: the prepared weights of a linear operator, which do not hang on shapes, are made once. Its
 * number in the file; 0: these are the stage's own. */
static uint32_t shared_origin(const struct ood_builder *builder, const struct ood_node *node, const char *key)
{
    const struct ood_model *model = builder->model, *base = model->base;
    if (base == NULL || node == NULL || (node->op->traits & OOD_OP_LINEAR) == 0 || node->input_count < 2 || strcmp(key, "bias") == 0)
        return 0;
    const uint32_t weights = node->inputs[1];
    const bool of_file = weights < base->graph->value_count && model->graph->values[weights].constant != NULL &&
                         model->graph->values[weights].constant == base->graph->values[weights].constant;
    return of_file ? node->origin : 0;
}

static const void *look_up(const struct ood_model *base, uint32_t origin, const char *key)
{
    for (size_t i = 0; i < base->weights_count; i++)
        if (base->weights[i].origin == origin && strcmp(base->weights[i].key, key) == 0)
            return base->weights[i].memory;
    return NULL;
}

/* Weights once kept stay as long as the model. */
static const void *find_shared(struct ood_model *base, uint32_t origin, const char *key)
{
    pthread_mutex_lock(&base->lock);
    const void *memory = look_up(base, origin, key);
    pthread_mutex_unlock(&base->lock);
    return memory;
}

/* Takes what is made, unless another thread was first. */
static const void *keep_shared(struct ood_model *base, struct ood_weights *made, struct ood_error *err)
{
    pthread_mutex_lock(&base->lock);
    const void *memory = look_up(base, made->origin, made->key);
    const bool first = memory == NULL;
    bool kept = !first || ood_grow(&base->weights, &base->weights_capacity, base->weights_count + 1, sizeof *base->weights, err);
    if (first && kept) {
        base->weights[base->weights_count++] = *made;
        memory = made->memory;
    }
    pthread_mutex_unlock(&base->lock);
    if (!first || !kept) {
        ood_free(made->key);
        ood_free(made->memory);
    }
    return memory;
}

const void *ood_builder_weights(struct ood_builder *builder, const struct ood_node *node, const char *key, size_t bytes,
                                bool (*fill)(void *memory, const void *context, struct ood_error *err),
                                const void *context, struct ood_error *err)
{
    struct ood_model *model = builder->model;
    const uint32_t origin = shared_origin(builder, node, key);
    const void *shared = origin == 0 ? NULL : find_shared(model->base, origin, key);
    if (shared != NULL)
        return shared;
    for (size_t i = 0; i < model->weights_count; i++)
        if (model->weights[i].node == node && strcmp(model->weights[i].key, key) == 0)
            return model->weights[i].memory;
    if (!ood_grow(&model->weights, &model->weights_capacity, model->weights_count + 1, sizeof *model->weights, err))
        return NULL;
    char *name = ood_strdup(key, err);
    void *memory = name == NULL ? NULL : ood_alloc_aligned(bytes, 1, err);
    if (memory == NULL || !fill(memory, context, err)) {
        ood_free(name);
        ood_free(memory);
        return NULL;
    }
    if (origin != 0)
        return keep_shared(model->base, &(struct ood_weights){ NULL, origin, name, memory, bytes }, err);
    model->weights[model->weights_count++] = (struct ood_weights){ node, 0, name, memory, bytes };
    return memory;
}

#define LEAST_SPENT ((size_t)1 << 14)        /* elements; small ones stay */

bool ood_builder_sole(const struct ood_builder *builder, uint32_t value)
{
    const struct ood_graph *graph = builder->model->graph;
    const struct ood_tensor *tensor = graph->values[value].constant;
    if (graph->later_count > 0 || builder->model->base != NULL || tensor == NULL || !tensor->owned || tensor->type != OOD_FLOAT32 ||
        tensor->count < LEAST_SPENT || graph->values[value].uses != 1)
        return false;
    for (size_t i = 0; i < graph->value_count; i++)
        if (i != value && graph->values[i].constant == tensor)
            return false;
    return true;
}

void ood_builder_spent(struct ood_builder *builder, uint32_t value, bool shared)
{
    struct ood_tensor *tensor = builder->model->graph->values[value].constant;
    if ((!shared && !builder->model->last_plan) || !ood_builder_sole(builder, value))
        return;
    ood_forget(tensor->data, tensor->count * sizeof(float));         /* what is made next seldom fits into the gap */
    ood_free(tensor->data);
    tensor->data = NULL;
    tensor->owned = false;
}

/* ---- steps ---- */

void ood_step_clear(struct ood_step *step)
{
    ood_free(step->state);
    if (step->primitive != NULL)
        dnnl_primitive_destroy(step->primitive);
    for (size_t i = 0; i < OOD_DNNL_ARGUMENTS; i++)
        ood_dnnl_layout_free(step->layouts[i]);
    *step = (struct ood_step){ .node = NULL };
}

bool ood_builder_add(struct ood_builder *builder, struct ood_step *step, struct ood_error *err)
{
    struct ood_plan *plan = builder->plan;
    if (!ood_grow(&plan->steps, &plan->step_capacity, plan->step_count + 1, sizeof *plan->steps, err)) {
        ood_step_clear(step);
        return false;
    }
    uint32_t at = now(builder);
    for (size_t i = 0; i < step->operand_count; i++)
        if (step->operands[i].buffer != OOD_NONE) {
            struct ood_arena_value *place = &plan->buffers[step->operands[i].buffer].place;
            if (place->last_step < at)
                place->last_step = at;
        }
    plan->steps[plan->step_count++] = *step;
    *step = (struct ood_step){ .node = NULL };       /* taken */
    return true;
}

bool ood_builder_step(struct ood_builder *builder, const struct ood_step_spec *spec, struct ood_error *err)
{
    struct ood_step step = {
        .node = spec->node, .kernel = spec->kernel, .run = spec->run, .operand_count = spec->operand_count, .flops = spec->flops,
        .value = spec->node != NULL && spec->node->output_count > 0 ? spec->node->outputs[0] : OOD_NONE
    };
    if (spec->operand_count > OOD_STEP_OPERANDS)
        return ood_fail(err, OOD_LIMIT, "a step has %zu operands, at most %d can be told", spec->operand_count, OOD_STEP_OPERANDS);
    for (size_t i = 0; i < spec->operand_count; i++) {
        step.operands[i] = spec->operands[i];
        if (spec->operands[i].buffer != OOD_NONE)
            step.bytes += builder->plan->buffers[spec->operands[i].buffer].place.bytes;
    }
    step.state = ood_alloc(1, spec->state_size, err);
    if (step.state == NULL)
        return false;
    if (spec->state_size > 0)
        memcpy(step.state, spec->state, spec->state_size);
    return ood_builder_add(builder, &step, err);
}
