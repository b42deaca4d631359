/* A run: one thread's arena and the oneDNN memory objects that point into it, made once, so that running is a loop. */
#include <string.h>

#include "base/clock.h"
#include "plan/builder_internal.h"
#include "plan/dnnl.h"
#include "plan/stages_internal.h"

/* A step with its addresses. */
struct bound_step {
    const struct ood_step *step;
    void *memory[OOD_STEP_OPERANDS];
    dnnl_exec_arg_t arguments[OOD_DNNL_ARGUMENTS];
};

struct bound_plan {
    const struct ood_plan *plan;
    struct bound_step *steps;
};

struct ood_run {
    struct ood_model *model;
    unsigned char *arena;
    dnnl_stream_t stream;
    struct bound_plan *plans;            /* as model->plans */
    struct ood_stages *stages;           /* of a staged model's run: what comes behind the first; else NULL */
};

static void *address(const struct ood_run *run, const struct ood_plan *plan, struct ood_operand operand)
{
    if (operand.buffer != OOD_NONE) {
        const struct ood_buffer *buffer = &plan->buffers[operand.buffer];
        return buffer->memory != NULL ? buffer->memory : run->arena + buffer->place.offset;
    }
    union { const void *constant; void *mutable; } weights = { operand.weights };      /* steps only read weights */
    return weights.mutable;
}

static bool bind_step(struct ood_run *run, const struct ood_plan *plan, const struct ood_step *step, struct bound_step *bound,
                      struct ood_error *err)
{
    bound->step = step;
    for (size_t i = 0; i < step->operand_count; i++)
        bound->memory[i] = address(run, plan, step->operands[i]);
    if (step->primitive == NULL)
        return true;
    for (size_t i = 0; i < step->operand_count; i++) {
        dnnl_status_t status = ood_dnnl_memory(&bound->arguments[i].memory, step->layouts[i], run->model->engine, bound->memory[i]);
        if (status != dnnl_success)
            return ood_fail(err, OOD_OUT_OF_MEMORY, "oneDNN gives no memory object (status %d)", (int)status);
        bound->arguments[i].arg = step->dnnl_arguments[i];
    }
    return true;
}

struct ood_run *ood_run_new(struct ood_model *model, struct ood_error *err)
{
    size_t arena = 0;
    struct ood_run *run = ood_new(struct ood_run, err);
    if (run == NULL)
        return NULL;
    run->model = ood_model_ref(model);
    for (size_t i = 0; i < model->plan_count; i++)
        arena = model->plans[i].arena_bytes > arena ? model->plans[i].arena_bytes : arena;
    run->arena = ood_alloc_aligned(arena, 1, err);
    run->plans = ood_new_array(struct bound_plan, model->plan_count, err);
    if (run->arena == NULL || run->plans == NULL)
        goto fail;
    dnnl_status_t status = dnnl_stream_create(&run->stream, model->engine, dnnl_stream_default_flags);
    if (status != dnnl_success) {
        ood_fail(err, OOD_SYSTEM, "oneDNN gives no stream (status %d)", (int)status);
        goto fail;
    }
    for (size_t p = 0; p < model->plan_count; p++) {
        const struct ood_plan *plan = &model->plans[p];
        run->plans[p].steps = ood_new_array(struct bound_step, plan->step_count, err);
        if (run->plans[p].steps == NULL)
            goto fail;
        run->plans[p].plan = plan;
        for (size_t i = 0; i < plan->step_count; i++)
            if (!bind_step(run, plan, &plan->steps[i], &run->plans[p].steps[i], err))
                goto fail;
    }
    if (model->base == NULL && ood_model_is_staged(model)) {
        run->stages = ood_stages_new(run, model, err);
        if (run->stages == NULL)
            goto fail;
    }
    return run;
fail:
    ood_run_free(run);
    return NULL;
}

void ood_run_free(struct ood_run *run)
{
    if (run == NULL)
        return;
    ood_stages_free(run->stages);
    for (size_t p = 0; run->plans != NULL && p < run->model->plan_count; p++) {
        for (size_t i = 0; run->plans[p].plan != NULL && i < run->plans[p].plan->step_count; i++)
            for (size_t a = 0; a < OOD_DNNL_ARGUMENTS; a++)
                if (run->plans[p].steps[i].arguments[a].memory != NULL)
                    dnnl_memory_destroy(run->plans[p].steps[i].arguments[a].memory);
        ood_free(run->plans[p].steps);
    }
    if (run->stream != NULL)
        dnnl_stream_destroy(run->stream);
    ood_free(run->plans);
    ood_free(run->arena);
    ood_model_free(run->model);
    ood_free(run);
}

static const struct bound_plan *bound_for(const struct ood_run *run, size_t batch)
{
    size_t i = 0;
    while (i + 1 < run->model->plan_count && run->model->plans[i].batch != batch)
        i++;
    return &run->plans[i];
}

void *ood_run_input(struct ood_run *run, size_t batch, size_t i)
{
    const struct ood_plan *plan = bound_for(run, batch)->plan;
    return address(run, plan, plan->inputs[i]);
}

const void *ood_run_output(const struct ood_run *run, size_t batch, size_t i)
{
    const struct ood_plan *plan = bound_for(run, batch)->plan;
    if (run->stages != NULL)
        return ood_stages_output(run->stages, i)->data;
    return address(run, plan, plan->outputs[i]);
}

const void *ood_run_place(const struct ood_run *run, struct ood_operand operand) { return address(run, run->plans[0].plan, operand); }

struct ood_shape ood_run_output_shape(const struct ood_run *run, size_t batch, size_t i)
{
    return run->stages != NULL ? ood_stages_output(run->stages, i)->shape : ood_shape_bind(&run->model->output_shapes[i], batch);
}

enum ood_type ood_run_output_type(const struct ood_run *run, size_t batch, size_t i)
{
    (void)batch;
    return run->stages != NULL ? ood_stages_output(run->stages, i)->type : run->model->graph->values[run->model->outputs[i]].type;
}

const struct ood_model *ood_run_model(const struct ood_run *run) { return run->model; }
size_t ood_run_stage_count(const struct ood_run *run) { return run->stages != NULL ? 1 + ood_stages_behind(run->stages) : 1; }
struct ood_run *ood_run_stage(struct ood_run *run, size_t i) { return i == 0 ? run : ood_stages_at(run->stages, i); }

bool ood_run_all(struct ood_run *run, size_t batch, struct ood_error *err)
{
    ood_run_execute(run, batch);
    return run->stages == NULL || ood_stages_run(run->stages, err);
}

static inline void run_step(const struct ood_run *run, const struct bound_step *bound)
{
    const struct ood_step *step = bound->step;
    if (step->primitive == NULL)
        step->run(step->state, bound->memory);
    else
        dnnl_primitive_execute(step->primitive, run->stream, (int)step->operand_count, bound->arguments);
}

/* The first steps for one picture; its time is added to `seconds`. */
static void run_piece(const struct ood_run *run, const struct bound_plan *bound, size_t picture, double *seconds)
{
    const struct ood_plan *plan = bound->plan;
    const struct ood_piece_move *move = plan->moves, *last = move + plan->move_count - 1;
    for (; move < last; move++)
        memcpy(address(run, plan, move->to), (const char *)address(run, plan, move->from) + picture * move->bytes, move->bytes);
    for (size_t i = 0; i < plan->piece_steps; i++) {
        double before = seconds != NULL ? ood_clock() : 0;
        run_step(run, &bound->steps[i]);
        if (seconds != NULL)
            seconds[i] += ood_clock() - before;
    }
    memcpy((char *)address(run, plan, last->to) + picture * last->bytes, address(run, plan, last->from), last->bytes);
}

void ood_run_execute(struct ood_run *run, size_t batch)
{
    ood_run_profile(run, batch, NULL);
}

void ood_run_profile(struct ood_run *run, size_t batch, double *seconds)
{
    const struct bound_plan *bound = bound_for(run, batch);
    int threads = omp_get_max_threads();
    if (threads != 1)
        omp_set_num_threads(1);          /* the calling thread's own setting, put back below */
    for (size_t i = 0; seconds != NULL && i < bound->plan->piece_steps; i++)
        seconds[i] = 0;
    for (size_t picture = 0; bound->plan->piece_steps > 0 && picture < bound->plan->batch; picture++)
        run_piece(run, bound, picture, seconds);
    for (size_t i = bound->plan->piece_steps; i < bound->plan->step_count; i++) {
        double before = seconds != NULL ? ood_clock() : 0;
        run_step(run, &bound->steps[i]);
        if (seconds != NULL)
            seconds[i] = ood_clock() - before;
    }
    if (threads != 1)
        omp_set_num_threads(threads);
}
