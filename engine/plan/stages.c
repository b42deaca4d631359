/* Stages of a run form a tree: below a stage stand those that followed it, each under the bytes that decided. A run walks down, compiling what is
 * not there. A stage reads what those above it left where it lies, which does not move while they are there: children go before parents. */
#include "plan/stages_internal.h"

#include <string.h>

#include "graph/stage.h"

/* What a stage's run decides for the next: the elements of a value, or how many there are along an axis. */
struct decision { uint32_t value; size_t axis, bytes; const void *elements; const int64_t *count; };

struct stage {
    struct stage *parent, *children, *sibling;
    struct ood_model *model;                 /* the first's: the caller's */
    struct ood_run *run;                     /* the first's: the caller's */
    const void **places;                     /* [value_count]: where each value that may still be read lies */
    struct decision *decisions;
    size_t decision_count, key_size;         /* bytes of all decisions */
    unsigned char *key;                      /* [parent->key_size]: what the parent decided */
    uint64_t used;                           /* the last run that came here */
    size_t bytes;
};

struct ood_stages {
    struct ood_model *model;
    struct stage first;
    const struct stage *last;                /* the last run came to */
    unsigned char *key;                      /* of the stage looked for; key_capacity bytes */
    size_t key_capacity;
    size_t kept, bytes;
    uint64_t runs;
    struct ood_stages_output *outputs;       /* [output_count] */
};

/* One value that decides, and all that do. */
#define DECISION_BYTES ((size_t)64 << 10)
#define KEY_BYTES ((size_t)1 << 20)

/* Values computed at load of one stage. */
#define EVALUATION_BYTES ((size_t)64 << 20)

/* ---- what a stage decides ---- */

static bool add_decision(struct stage *stage, size_t *capacity, struct decision decision, struct ood_error *err)
{
    const char *name = stage->model->graph->values[decision.value].name;
    if (decision.bytes > DECISION_BYTES || stage->key_size + decision.bytes > KEY_BYTES)
        return ood_fail(err, OOD_LIMIT, "value %.100s: %zu bytes decide on shapes, with others %zu; at most %zu and %zu", name, decision.bytes,
                        stage->key_size, DECISION_BYTES, KEY_BYTES);
    if (decision.elements == NULL && decision.count == NULL)
        return ood_fail(err, OOD_INVALID, "value %.100s decides before it is made", name);
    if (!ood_grow(&stage->decisions, capacity, stage->decision_count + 1, sizeof *stage->decisions, err))
        return false;
    stage->key_size += decision.bytes;
    stage->decisions[stage->decision_count++] = decision;
    return true;
}

static bool find_decisions(struct stage *stage, struct ood_error *err)
{
    const struct ood_graph *graph = stage->model->graph;
    const struct ood_plan *plan = &stage->model->plans[0];
    size_t capacity = 0, count, bytes, axis;
    for (uint32_t v = 0; v < graph->value_count; v++) {
        const struct ood_value *value = &graph->values[v];
        if (!value->decides || value->constant != NULL)
            continue;
        if (!ood_shape_count(&value->shape, &count) || !ood_mul_size(count, ood_type_size(value->type), &bytes))
            bytes = SIZE_MAX / 2;
        if (!add_decision(stage, &capacity, (struct decision){ .value = v, .bytes = bytes, .elements = stage->places[v] }, err))
            return false;
    }
    for (size_t i = 0; i < plan->counted_count; i++) {
        const struct ood_node *node = plan->counted[i].node;
        for (size_t k = 0; k < node->output_count; k++) {
            if (node->outputs[k] == OOD_NONE || !node->op->counted(graph, node, k, &axis))
                continue;
            const struct decision decision = { .value = node->outputs[k], .axis = axis, .bytes = sizeof(int64_t),
                                               .count = ood_run_place(stage->run, plan->counted[i].operand) };
            if (!add_decision(stage, &capacity, decision, err))
                return false;
        }
    }
    return true;
}

/* Where the values lie that the stage made; those of the stages above are there. */
static bool find_places(struct stage *stage, struct ood_error *err)
{
    const struct ood_model *model = stage->model;
    const size_t above = stage->parent == NULL ? 0 : stage->parent->model->graph->value_count;
    stage->places = ood_new_array(const void *, model->graph->value_count, err);
    if (stage->places == NULL)
        return false;
    for (size_t v = 0; v < above; v++)
        stage->places[v] = stage->parent->places[v];
    for (size_t i = 0; i < model->delivered_count; i++)
        stage->places[model->delivered[i]] = ood_run_place(stage->run, model->plans[0].outputs[i]);
    return true;
}

/* ---- making and dropping ---- */

static void stage_free(struct stage *stage)
{
    if (stage == NULL)
        return;
    if (stage->parent != NULL) {
        ood_run_free(stage->run);
        ood_model_free(stage->model);
    }
    ood_free(stage->places);
    ood_free(stage->decisions);
    ood_free(stage->key);
    if (stage->parent != NULL)
        ood_free(stage);
}

static void drop(struct ood_stages *stages, struct stage *stage)
{
    struct stage **link = &stage->parent->children;
    while (*link != stage)
        link = &(*link)->sibling;
    *link = stage->sibling;
    stages->kept--;
    stages->bytes -= stage->bytes;
    stage_free(stage);
}

/* The leaf that was used the longest ago, but not by the run under way; NULL: there is none. */
static struct stage *oldest_leaf(const struct ood_stages *stages)
{
    struct stage *oldest = NULL;
    for (struct stage *at = stages->first.children; at != NULL;) {
        if (at->children != NULL) {
            at = at->children;
            continue;
        }
        if (at->used != stages->runs && (oldest == NULL || at->used < oldest->used))
            oldest = at;
        while (at != NULL && at->sibling == NULL)
            at = at->parent != &stages->first ? at->parent : NULL;
        at = at != NULL ? at->sibling : NULL;
    }
    return oldest;
}

static void make_room(struct ood_stages *stages)
{
    struct stage *oldest;
    while ((stages->kept > OOD_STAGES_KEPT || stages->bytes > OOD_STAGES_BYTES) && (oldest = oldest_leaf(stages)) != NULL)
        drop(stages, oldest);
}

/* The graph below `parent` with what it decided. */
static struct ood_graph *next_graph(const struct stage *parent, struct ood_error *err)
{
    const struct ood_graph *before = parent->model->graph;
    struct ood_stage_fact *facts = ood_new_array(struct ood_stage_fact, parent->decision_count, err);
    struct ood_graph *graph = NULL;
    bool done = facts != NULL;
    for (size_t i = 0; done && i < parent->decision_count; i++) {
        const struct decision *decision = &parent->decisions[i];
        facts[i] = (struct ood_stage_fact){ decision->value, before->values[decision->value].shape, decision->elements };
        if (decision->count != NULL && (*decision->count < 0 || *decision->count > facts[i].shape.dims[decision->axis]))
            done = ood_fail(err, OOD_INVALID, "value %.100s: %lld elements were counted", before->values[decision->value].name,
                            (long long)*decision->count);
        else if (decision->count != NULL)
            facts[i].shape.dims[decision->axis] = *decision->count;
    }
    if (done)
        graph = ood_graph_next(before, facts, parent->decision_count, EVALUATION_BYTES, err);
    ood_free(facts);
    return graph;
}

/* What the stage reads of those above it, where it lies. */
static bool place_inputs(struct stage *stage, struct ood_error *err)
{
    struct ood_plan *plan = &stage->model->plans[0];
    const struct ood_graph *graph = stage->model->graph;
    for (size_t i = 0; i < graph->input_count; i++) {
        union { const void *constant; void *mutable; } place = { stage->parent->places[graph->inputs[i]] };      /* steps only read inputs */
        if (place.constant == NULL)
            return ood_fail(err, OOD_INVALID, "value %.100s is read before it is made", graph->values[graph->inputs[i]].name);
        plan->buffers[plan->inputs[i].buffer].memory = place.mutable;
    }
    return plan->arena_bytes <= OOD_STAGE_BYTES_MOST ||
           ood_fail(err, OOD_LIMIT, "the shapes that the data ask for need %zu bytes, at most %zu are taken", plan->arena_bytes,
                    OOD_STAGE_BYTES_MOST);
}

static size_t bytes_of(const struct stage *stage)
{
    const struct ood_graph *graph = stage->model->graph;
    return ood_model_arena_bytes(stage->model, 1) + ood_model_weight_bytes(stage->model) +
           graph->value_count * (sizeof *graph->values + sizeof *stage->places) + graph->node_count * sizeof *graph->nodes +
           graph->later_count * sizeof *graph->later;
}

static struct stage *make_stage(struct ood_stages *stages, struct stage *parent, struct ood_error *err)
{
    struct stage *stage = ood_new(struct stage, err);
    struct ood_graph *graph = stage == NULL ? NULL : next_graph(parent, err);
    if (graph == NULL) {
        ood_free(stage);
        return NULL;
    }
    stage->parent = parent;
    stage->model = ood_model_of_stage(stages->model, graph, err);
    stage->key = stage->model == NULL ? NULL : ood_alloc(parent->key_size, 1, err);
    if (stage->key == NULL || !place_inputs(stage, err))
        goto fail;
    stage->run = ood_run_new(stage->model, err);
    if (stage->run == NULL || !find_places(stage, err) || !find_decisions(stage, err))
        goto fail;
    if (parent->key_size > 0)
        memcpy(stage->key, stages->key, parent->key_size);
    stage->bytes = bytes_of(stage);
    stage->sibling = parent->children;
    parent->children = stage;
    stage->used = stages->runs;
    stages->kept++;
    stages->bytes += stage->bytes;
    make_room(stages);
    return stage;
fail:
    stage_free(stage);
    return NULL;
}

/* ---- running ---- */

static bool write_key(struct ood_stages *stages, const struct stage *stage, struct ood_error *err)
{
    size_t at = 0;
    if (!ood_grow(&stages->key, &stages->key_capacity, stage->key_size, 1, err))
        return false;
    for (size_t i = 0; i < stage->decision_count; at += stage->decisions[i++].bytes) {
        const struct decision *decision = &stage->decisions[i];
        if (decision->bytes > 0)
            memcpy(stages->key + at, decision->count != NULL ? (const void *)decision->count : decision->elements, decision->bytes);
    }
    return true;
}

static struct stage *next_stage(struct ood_stages *stages, struct stage *stage, struct ood_error *err)
{
    if (!write_key(stages, stage, err))
        return NULL;
    for (struct stage *child = stage->children; child != NULL; child = child->sibling)
        if (stage->key_size == 0 || memcmp(child->key, stages->key, stage->key_size) == 0) {
            child->used = stages->runs;
            return child;
        }
    return make_stage(stages, stage, err);
}

/* The last stage tells of every output: it made it, or one above did. */
static void set_outputs(struct ood_stages *stages, const struct stage *last)
{
    const struct ood_graph *graph = last->model->graph;
    for (size_t i = 0; i < stages->model->output_count; i++) {
        const uint32_t v = stages->model->outputs[i];
        const struct ood_value *value = &graph->values[v];
        stages->outputs[i] = (struct ood_stages_output){ value->constant != NULL ? value->constant->data : last->places[v], value->shape, value->type };
        for (size_t k = 0; k < last->decision_count; k++)
            if (last->decisions[k].value == v && last->decisions[k].count != NULL)
                stages->outputs[i].shape.dims[last->decisions[k].axis] = *last->decisions[k].count;
    }
}

bool ood_stages_run(struct ood_stages *stages, struct ood_error *err)
{
    struct stage *stage = &stages->first;
    stages->runs++;
    stages->last = stage;
    for (size_t depth = 1; stage->model->graph->later_count > 0; depth++) {
        if (depth == OOD_STAGES_DEEP)
            return ood_fail(err, OOD_LIMIT, "shapes are decided in more than %d stages", OOD_STAGES_DEEP);
        stage = next_stage(stages, stage, err);
        if (stage == NULL)
            return false;
        ood_run_execute(stage->run, 1);
        stages->last = stage;
    }
    set_outputs(stages, stage);
    return true;
}

const struct ood_stages_output *ood_stages_output(const struct ood_stages *stages, size_t i) { return &stages->outputs[i]; }

size_t ood_stages_behind(const struct ood_stages *stages)
{
    size_t count = 0;
    for (const struct stage *at = stages->last; at != &stages->first; at = at->parent)
        count++;
    return count;
}

struct ood_run *ood_stages_at(const struct ood_stages *stages, size_t i)
{
    const struct stage *at = stages->last;
    for (size_t count = ood_stages_behind(stages); count > i; count--)
        at = at->parent;
    return at->run;
}

/* ---- their life ---- */

struct ood_stages *ood_stages_new(struct ood_run *run, struct ood_model *model, struct ood_error *err)
{
    struct ood_stages *stages = ood_new(struct ood_stages, err);
    if (stages == NULL)
        return NULL;
    stages->model = model;
    stages->first.model = model;
    stages->first.run = run;
    stages->last = &stages->first;
    stages->outputs = ood_new_array(struct ood_stages_output, model->output_count, err);
    if (stages->outputs != NULL && find_places(&stages->first, err) && find_decisions(&stages->first, err))
        return stages;
    ood_stages_free(stages);
    return NULL;
}

void ood_stages_free(struct ood_stages *stages)
{
    if (stages == NULL)
        return;
    stages->runs++;                          /* none is under way */
    for (struct stage *leaf; (leaf = oldest_leaf(stages)) != NULL;)
        drop(stages, leaf);
    stage_free(&stages->first);
    ood_free(stages->outputs);
    ood_free(stages->key);
    ood_free(stages);
}
