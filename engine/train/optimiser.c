/* SGD with Nesterov momentum. A step is two passes over the blocks: the gradients' norm, which also finds what is not finite before anything
 * changes, and the update. In float32 as PyTorch does it; the norm is summed in double. */
#include <math.h>

#include "train/optimiser.h"

struct state {
    struct ood_block block;
    char *name;
    float *momentum, *average;
};

struct ood_optimiser {
    struct ood_optimiser_options options;
    size_t count;
    struct state *states;
    uint64_t steps;
    bool swapped;
};

struct ood_optimiser_options ood_optimiser_defaults(void)
{
    return (struct ood_optimiser_options){ .momentum = 0.9, .weight_decay = 5e-4 };
}

static bool check_options(const struct ood_optimiser_options *options, struct ood_error *err)
{
    const struct { const char *name; double value; bool share; } ranges[] = {
        { "momentum", options->momentum, true }, { "weight decay", options->weight_decay, false },
        { "clipping norm", options->clip_norm, false }, { "decay of the average", options->average_decay, true },
    };
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++)
        if (!isfinite(ranges[i].value) || ranges[i].value < 0 || (ranges[i].share && ranges[i].value >= 1))
            return ood_fail(err, OOD_INVALID, "%s: found %g, expected %s", ranges[i].name, ranges[i].value,
                            ranges[i].share ? "0 to less than 1" : "a finite number of at least 0");
    return true;
}

static bool take_block(struct state *state, const struct ood_block *block, bool averaged, struct ood_error *err)
{
    if (!isfinite(block->rate) || block->rate < 0)
        return ood_fail(err, OOD_INVALID, "parameter \"%s\": found a rate of %g, expected a finite number of at least 0", block->name, block->rate);
    if ((state->name = ood_strdup(block->name, err)) == NULL)
        return false;
    state->block = *block;
    state->block.name = state->name;
    if (block->gradient != NULL && (state->momentum = ood_alloc_aligned(block->count, sizeof(float), err)) == NULL)
        return false;
    if (averaged && (state->average = ood_alloc_aligned(block->count, sizeof(float), err)) == NULL)
        return false;
    if (averaged && block->count > 0)
        memcpy(state->average, block->value, block->count * sizeof(float));
    return true;
}

struct ood_optimiser *ood_optimiser_new(const struct ood_block *blocks, size_t count, const struct ood_optimiser_options *options,
                                        struct ood_error *err)
{
    if (!check_options(options, err)) {
        ood_error_prefix(err, "optimiser");
        return NULL;
    }
    struct ood_optimiser *optimiser = ood_new(struct ood_optimiser, err);
    if (optimiser == NULL)
        return NULL;
    optimiser->options = *options;
    if ((optimiser->states = ood_new_array(struct state, count, err)) == NULL)
        goto fail;
    optimiser->count = count;
    for (size_t i = 0; i < count; i++)
        if (!take_block(&optimiser->states[i], &blocks[i], options->average_decay > 0, err))
            goto fail;
    return optimiser;
fail:
    ood_optimiser_free(optimiser);
    return NULL;
}

void ood_optimiser_free(struct ood_optimiser *optimiser)
{
    if (optimiser == NULL)
        return;
    for (size_t i = 0; i < optimiser->count; i++) {
        ood_free(optimiser->states[i].name);
        ood_free(optimiser->states[i].momentum);
        ood_free(optimiser->states[i].average);
    }
    ood_free(optimiser->states);
    ood_free(optimiser);
}

/* Sixteen running sums that are added in a fixed order. Squares of float32 are finite in double, so the sum is finite where the gradient is. */
static double sum_of_squares(const float *x, size_t n)
{
    double sums[16] = { 0 }, sum = 0;
    size_t i = 0;
    for (; n - i >= 16; i += 16)
        for (size_t j = 0; j < 16; j++)
            sums[j] += (double)x[i + j] * (double)x[i + j];
    for (size_t j = 0; i < n; i++, j++)
        sums[j] += (double)x[i] * (double)x[i];
    for (size_t j = 0; j < 16; j++)
        sum += sums[j];
    return sum;
}

static bool trained(const struct ood_block *block)
{
    return block->gradient != NULL && block->rate > 0;
}

static bool global_norm(const struct ood_optimiser *optimiser, double *norm, struct ood_error *err)
{
    double sum = 0;
    for (size_t i = 0; i < optimiser->count; i++) {
        const struct ood_block *block = &optimiser->states[i].block;
        double squares = !trained(block) ? 0 : sum_of_squares(block->gradient, block->count);
        if (!isfinite(squares))
            return ood_fail(err, OOD_SCORE_NOT_FINITE, "the gradient of parameter \"%s\" is not finite", block->name);
        sum += squares;
    }
    *norm = sqrt(sum);
    return true;
}

struct coefficients { float clip, decay, momentum, rate; };

static void update(float *restrict value, const float *restrict gradient, float *restrict momentum, size_t count, struct coefficients by)
{
    for (size_t i = 0; i < count; i++) {
        float g = gradient[i] * by.clip + by.decay * value[i];
        momentum[i] = by.momentum * momentum[i] + g;
        value[i] -= by.rate * (g + by.momentum * momentum[i]);
    }
}

static void average(float *restrict average, const float *restrict value, size_t count, float share)
{
    for (size_t i = 0; i < count; i++)
        average[i] += share * (value[i] - average[i]);
}

bool ood_optimiser_step(struct ood_optimiser *optimiser, double rate, double *norm, struct ood_error *err)
{
    const struct ood_optimiser_options *options = &optimiser->options;
    double found = 0;
    if (optimiser->swapped)
        return ood_fail(err, OOD_INVALID, "optimiser: a step while the averages are in the parameters' place");
    if (!isfinite(rate) || rate < 0)
        return ood_fail(err, OOD_INVALID, "learning rate: found %g, expected a finite number of at least 0", rate);
    if (!global_norm(optimiser, &found, err))
        return false;
    optimiser->steps++;
    double clip = options->clip_norm > 0 ? fmin(1, options->clip_norm / (found + 1e-6)) : 1, t = (double)optimiser->steps;
    double share = 1 - fmin(options->average_decay, (1 + t) / (10 + t));
    for (size_t i = 0; i < optimiser->count; i++) {
        struct state *state = &optimiser->states[i];
        const struct ood_block *block = &state->block;
        struct coefficients by = {
            (float)clip, block->decay ? (float)options->weight_decay : 0, (float)options->momentum, (float)(rate * block->rate),
        };
        if (trained(block))
            update(block->value, block->gradient, state->momentum, block->count, by);
        if (state->average != NULL)
            average(state->average, block->value, block->count, (float)share);
    }
    if (norm != NULL)
        *norm = found;
    return true;
}

void ood_optimiser_swap_average(struct ood_optimiser *optimiser)
{
    if (optimiser->options.average_decay == 0)
        return;
    optimiser->swapped = !optimiser->swapped;
    for (size_t i = 0; i < optimiser->count; i++) {
        struct state *state = &optimiser->states[i];
        for (size_t j = 0; j < state->block.count; j++) {
            float value = state->block.value[j];
            state->block.value[j] = state->average[j];
            state->average[j] = value;
        }
    }
}

size_t ood_optimiser_block_count(const struct ood_optimiser *optimiser)
{
    return optimiser->count;
}

struct ood_optimiser_state ood_optimiser_state(struct ood_optimiser *optimiser, size_t block)
{
    struct state *state = &optimiser->states[block];
    return (struct ood_optimiser_state){ state->name, state->block.count, state->momentum, state->average };
}

uint64_t ood_optimiser_steps(const struct ood_optimiser *optimiser)
{
    return optimiser->steps;
}

void ood_optimiser_set_steps(struct ood_optimiser *optimiser, uint64_t steps)
{
    optimiser->steps = steps;
}
