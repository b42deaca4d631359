/* Posts of operators on our own kernels. */
#include "ops/posts_internal.h"

static struct ood_unary_step step_of(const struct ood_post *post)
{
    static const enum ood_unary functions[] = {
        [OOD_POST_RELU] = OOD_UNARY_RELU, [OOD_POST_LEAKY_RELU] = OOD_UNARY_LEAKY_RELU,
        [OOD_POST_CLIP] = OOD_UNARY_CLIP, [OOD_POST_SIGMOID] = OOD_UNARY_SIGMOID,
        [OOD_POST_SILU] = OOD_UNARY_SILU, [OOD_POST_HARD_SWISH] = OOD_UNARY_HARD_SWISH, [OOD_POST_HARD_SIGMOID] = OOD_UNARY_HARD_SIGMOID,
        [OOD_POST_GELU] = OOD_UNARY_GELU,
    };
    return (struct ood_unary_step){ functions[post->kind], post->alpha, post->beta };
}

void ood_posts_read(const struct ood_node *node, struct ood_posts *out)
{
    *out = (struct ood_posts){ 0 };
    struct ood_steps *steps = &out->before;
    for (size_t i = 0; i < node->post_count; i++) {
        const struct ood_post *post = &node->posts[i];
        if (post->kind == OOD_POST_SUM) {
            steps = &out->after[out->sum_count];
            out->sums[out->sum_count++] = post->value;
        } else {
            steps->steps[steps->count++] = step_of(post);
        }
    }
}

size_t ood_posts_count(const struct ood_builder *builder, uint32_t value)
{
    struct ood_shape shape = ood_builder_shape(builder, value);
    size_t count = 0;
    return ood_shape_count(&shape, &count) ? count : 0;
}

/* Is this memory read by a pass behind the step that writes the output? */
static bool read_later(struct ood_builder *builder, const struct ood_posts *posts, size_t first, enum ood_layout layout,
                       struct ood_operand operand, bool *out, struct ood_error *err)
{
    *out = false;
    for (size_t i = first; i < posts->sum_count; i++) {
        struct ood_operand sum;
        if (!ood_builder_input(builder, posts->sums[i], layout, &sum, err))
            return false;
        *out = *out || sum.buffer == operand.buffer;
    }
    return true;
}

bool ood_posts_output(struct ood_builder *builder, const struct ood_node *node, const struct ood_posts *posts, size_t first,
                      const uint32_t *inputs, const struct ood_operand *operands, size_t count, enum ood_layout layout,
                      struct ood_operand *out, struct ood_error *err)
{
    const struct ood_graph *graph = ood_builder_graph(builder);
    const struct ood_value *value = &graph->values[node->outputs[0]];
    uint32_t over = OOD_NONE;
    for (size_t i = 0; i < count; i++) {
        const struct ood_value *input = &graph->values[inputs[i]];
        bool later;
        if (input->constant != NULL || operands[i].buffer == OOD_NONE || !ood_shape_equal(&input->shape, &value->shape))
            continue;
        if (!read_later(builder, posts, first, layout, operands[i], &later, err))
            return false;
        if (!later && (over == OOD_NONE || graph->values[over].uses > input->uses))
            over = inputs[i];
    }
    bool shared;
    if (over == OOD_NONE)
        return ood_builder_output(builder, node->outputs[0], layout, out, err);
    return ood_builder_output_over(builder, node->outputs[0], over, layout, out, &shared, err);
}

struct sum { const struct ood_kernels *kernels; size_t count; struct ood_steps steps; };

static void run_sum(const void *state, void *const *memory)
{
    const struct sum *s = state;
    s->kernels->binary(OOD_BINARY_ADD, memory[0], memory[0], memory[1], s->count, s->steps.steps, s->steps.count);
}

bool ood_posts_sums(struct ood_builder *builder, const struct ood_node *node, const struct ood_posts *posts, size_t first,
                    struct ood_operand output, enum ood_layout layout, struct ood_error *err)
{
    struct sum state = { .kernels = ood_builder_kernels(builder), .count = ood_posts_count(builder, node->outputs[0]) };
    for (size_t i = first; i < posts->sum_count; i++) {
        struct ood_operand operands[] = { output, { 0 } };
        state.steps = posts->after[i];
        struct ood_step_spec step = {
            .node = node, .kernel = state.kernels->name.binary, .run = run_sum, .state = &state, .state_size = sizeof state,
            .operands = operands, .operand_count = 2, .flops = (double)state.count * (double)(1 + state.steps.count)
        };
        if (!ood_builder_input(builder, posts->sums[i], layout, &operands[1], err) || !ood_builder_step(builder, &step, err))
            return false;
    }
    return true;
}
