/* Branches and graphs in stages: any bytes give a graph, read as a whole and in stages, or an error with a code and a sentence. What a run would tell is
 * made up, and each next stage is made of it until nothing is left or a sentence says why not. */
#include <string.h>

#include "fuzz.h"
#include "graph/stage.h"
#include "ops/ops.h"

#define STAGES 6
#define ELEMENTS 65536                       /* of one made up value; those of a hostile file may be many */

static void require_told(const struct ood_error *err)
{
    fuzz_require(err->code != OOD_OK && err->message[0] != '\0');
}

/* Numbers of no meaning, the same for the same file: mostly small, as counts and sizes are. */
static uint64_t draw(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *state >> 33;
}

static void fill(uint64_t *state, enum ood_type type, void *memory, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const int64_t number = draw(state) % 16 == 0 ? (int64_t)(draw(state) << 33) : (int64_t)(draw(state) % 8) - 1;
        if (type == OOD_INT64)
            ((int64_t *)memory)[i] = number;
        else if (type == OOD_INT32)
            ((int32_t *)memory)[i] = (int32_t)(number % INT32_MAX);
        else if (type == OOD_FLOAT32)
            ((float *)memory)[i] = (float)number / 2;
        else
            ((unsigned char *)memory)[i] = number > 2;
    }
}

/* Whether `fact` tells of the value now: elements that decide, or how many there are of what was counted. */
static bool make_up(const struct ood_graph *graph, uint32_t v, uint64_t *state, struct ood_stage_fact *fact, void **memory)
{
    const struct ood_value *value = &graph->values[v];
    struct ood_error err = { 0 };
    size_t count;
    if (value->constant != NULL || value->shape.rank > OOD_MAX_RANK || (!value->decides && !value->counted))
        return false;
    *fact = (struct ood_stage_fact){ .value = v, .shape = ood_shape_bind(&value->shape, 1) };
    for (size_t i = 0; value->counted && i < fact->shape.rank; i++)
        if (fact->shape.dims[i] > 4 && draw(state) % 2 == 0)
            fact->shape.dims[i] = (int64_t)(draw(state) % 5);
    if (!value->decides)
        return true;
    if (!ood_shape_count(&fact->shape, &count) || count > ELEMENTS)
        return false;
    *memory = ood_alloc(count + (count == 0), ood_type_size(value->type), &err);
    fuzz_require(*memory != NULL);
    fill(state, value->type, *memory, count);
    fact->data = *memory;
    return true;
}

static struct ood_graph *next(const struct ood_graph *before, uint64_t *state)
{
    struct ood_error err = { 0 };
    struct ood_stage_fact *facts = ood_new_array(struct ood_stage_fact, before->value_count, &err);
    void **memory = ood_new_array(void *, before->value_count, &err);
    size_t count = 0;
    fuzz_require(facts != NULL && memory != NULL);
    for (uint32_t v = 0; v < before->value_count; v++)
        count += make_up(before, v, state, &facts[count], &memory[v]);
    struct ood_graph *graph = ood_graph_next(before, facts, count, (size_t)1 << 22, &err);
    if (graph == NULL)
        require_told(&err);
    else
        fuzz_require(graph->value_count >= before->value_count);
    for (size_t v = 0; v < before->value_count; v++)
        ood_free(memory[v]);
    ood_free(memory);
    ood_free(facts);
    return graph;
}

/* The passes, as a model runs them. */
static void simplify(struct ood_graph *graph)
{
    struct ood_error err = { 0 };
    const uint32_t *kept;
    size_t count;
    if (!ood_graph_delivered(graph, &kept, &count, &err) || !ood_graph_simplify(graph, OOD_PASS_ALL, kept, count, &err))
        require_told(&err);
}

static void walk(struct ood_graph *first, uint64_t state)
{
    struct ood_graph *graphs[STAGES] = { first };
    struct ood_error err = { 0 };
    size_t count = 1;
    fuzz_require(ood_graph_prune_later(first, &err));
    simplify(first);
    while (count < STAGES && graphs[count - 1]->later_count > 0 && (graphs[count] = next(graphs[count - 1], &state)) != NULL)
        simplify(graphs[count++]);
    while (count > 0)
        ood_graph_free(graphs[--count]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ood_bytes bytes = { (unsigned char *)data, size };
    uint64_t state = size;
    for (size_t i = 0; i < size; i++)
        state = state * 31 + data[i];
    for (int stages = 0; stages < 2; stages++) {
        struct ood_error err = { 0 };
        struct ood_graph_options options = { .operators = ood_op_table, .stages = stages, .batch = stages };
        struct ood_graph *graph = ood_graph_read(&bytes, &options, &err);
        if (graph == NULL)
            require_told(&err);
        else if (stages)
            walk(graph, state);
        else
            ood_graph_free(graph);
    }
    return 0;
}
