/* Where a batch goes through the first part of the network picture by picture: large maps of one picture stay in cache, those of
 * eight do not. Behind, where maps are small and weights large, all pictures go on together. */
#include <string.h>

#include "plan/builder_internal.h"

/* Values and the nodes they are needed at. */
struct lives { uint32_t *first, *last; };    /* [value_count]: alive before node k where first < k <= last (first counted from 1) */

static void read_at(const struct ood_graph *graph, uint32_t *last, uint32_t value, size_t node)
{
    if (value != OOD_NONE && graph->values[value].constant == NULL)
        last[value] = (uint32_t)node;
}

/* Inputs are there before node 0; what is delivered is needed behind the last. */
static void find_lives(const struct ood_model *model, const struct lives *lives)
{
    const struct ood_graph *graph = model->graph;
    for (size_t n = 0; n < graph->node_count; n++) {
        const struct ood_node *node = &graph->nodes[n];
        for (size_t i = 0; i < node->output_count; i++)
            if (node->outputs[i] != OOD_NONE)
                lives->first[node->outputs[i]] = (uint32_t)n + 1;
        for (size_t i = 0; i < node->input_count; i++)
            read_at(graph, lives->last, node->inputs[i], n);
        for (size_t i = 0; i < node->post_count; i++)
            if (node->posts[i].kind == OOD_POST_SUM)
                read_at(graph, lives->last, node->posts[i].value, n);
    }
    for (size_t i = 0; i < model->delivered_count; i++)
        read_at(graph, lives->last, model->delivered[i], graph->node_count);
}

/* One picture's, if the value is a batch of float32; 0 if not. */
static size_t picture_bytes(const struct ood_value *value)
{
    struct ood_shape shape = ood_shape_bind(&value->shape, 1);
    size_t count, bytes;
    bool batch = value->type == OOD_FLOAT32 && value->shape.rank > 1 && value->shape.dims[0] == ood_batch_dim(1);
    for (size_t i = 1; i < value->shape.rank; i++)
        batch = batch && !ood_dim_is_batch(value->shape.dims[i]);
    return batch && ood_shape_count(&shape, &count) && ood_mul_size(count, sizeof(float), &bytes) ? bytes : 0;
}

/* The first place behind the last large value where one value alone is alive. Every value before is a batch of pictures. */
static uint32_t place_of_cut(const struct ood_model *model, const struct lives *lives, int32_t *alive, uint64_t *sum, uint32_t *value)
{
    const struct ood_graph *graph = model->graph;
    const size_t large = model->piece_bytes;
    uint32_t cut = 0;
    bool wanted = false;
    for (uint32_t v = 0; v < graph->value_count; v++)        /* sum: of the numbers of those alive, modulo 2^64 */
        if (lives->last[v] > 0 && lives->first[v] <= lives->last[v]) {
            alive[lives->first[v]]++, alive[lives->last[v] + 1]--;
            sum[lives->first[v]] += v, sum[lives->last[v] + 1] -= v;
        }
    for (size_t k = 1; k < graph->node_count; k++) {
        const struct ood_node *before = &graph->nodes[k - 1];
        size_t bytes = 0;
        alive[k] += alive[k - 1];
        sum[k] += sum[k - 1];
        for (size_t i = 0; i < before->output_count; i++) {
            bytes = before->outputs[i] == OOD_NONE ? 0 : picture_bytes(&graph->values[before->outputs[i]]);
            if (bytes == 0)
                return cut;
        }
        wanted = wanted || bytes >= large;
        if (wanted && alive[k] == 1 && bytes < large && (uint32_t)sum[k] < graph->value_count) {
            cut = (uint32_t)k;
            *value = (uint32_t)sum[k];
            wanted = false;
        }
    }
    return cut;
}

bool ood_pieces_cut(const struct ood_model *model, uint32_t *cut, uint32_t *value, struct ood_error *err)
{
    const struct ood_graph *graph = model->graph;
    struct lives lives = { ood_new_array(uint32_t, graph->value_count, err), NULL };
    lives.last = lives.first == NULL ? NULL : ood_new_array(uint32_t, graph->value_count, err);
    int32_t *alive = lives.last == NULL ? NULL : ood_new_array(int32_t, graph->node_count + 2, err);
    uint64_t *sum = alive == NULL ? NULL : ood_new_array(uint64_t, graph->node_count + 2, err);
    *cut = 0;
    if (sum != NULL) {
        bool batches = true;
        for (size_t i = 0; i < graph->input_count; i++)
            batches = batches && picture_bytes(&graph->values[graph->inputs[i]]) > 0;
        find_lives(model, &lives);
        if (batches)
            *cut = place_of_cut(model, &lives, alive, sum, value);
    }
    ood_free(lives.first);
    ood_free(lives.last);
    ood_free(alive);
    ood_free(sum);
    return sum != NULL;
}

/* ---- building ---- */

static bool add_move(struct ood_plan *plan, struct ood_operand from, struct ood_operand to, size_t bytes, struct ood_error *err)
{
    if (!ood_grow(&plan->moves, &plan->move_capacity, plan->move_count + 1, sizeof *plan->moves, err))
        return false;
    plan->moves[plan->move_count++] = (struct ood_piece_move){ from, to, bytes };
    return true;
}

bool ood_pieces_input(struct ood_builder *builder, uint32_t value, struct ood_operand *whole, struct ood_error *err)
{
    struct ood_operand piece;
    const size_t bytes = picture_bytes(&builder->model->graph->values[value]);
    size_t all;
    if (!ood_mul_size(bytes, builder->plan->batch, &all))
        return ood_fail(err, OOD_LIMIT, "value %s is too large", builder->model->graph->values[value].name);
    return ood_builder_scratch(builder, all, whole, err) && ood_builder_output(builder, value, OOD_PLAIN, &piece, err) &&
           add_move(builder->plan, *whole, piece, bytes, err);
}

/* Both memories are there for all of the pieces: the whole one fills up, the piece is read behind the last step. */
bool ood_pieces_end(struct ood_builder *builder, uint32_t value, struct ood_error *err)
{
    struct ood_plan *plan = builder->plan;
    const enum ood_layout layout = ood_builder_layout(builder, value);
    struct ood_operand piece, whole;
    if (!ood_builder_input(builder, value, layout, &piece, err))
        return false;
    builder->batch = plan->batch;
    if (!ood_builder_output(builder, value, layout, &whole, err) ||
        !add_move(plan, piece, whole, picture_bytes(&builder->model->graph->values[value]), err))
        return false;
    plan->piece_steps = plan->step_count;
    for (size_t i = 0; i < plan->move_count; i++) {
        const bool in = i + 1 < plan->move_count;
        struct ood_arena_value *all = &plan->buffers[(in ? plan->moves[i].from : whole).buffer].place;
        all->first_step = 0;
        all->last_step = (uint32_t)plan->piece_steps;
    }
    plan->buffers[piece.buffer].place.last_step = (uint32_t)plan->piece_steps;
    return true;
}
