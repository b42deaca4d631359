/* Resamples as weights: how often each picture, and so each item in it, was drawn. Scores are sorted once; a resample is a sweep over
 * distinct scores with its weights. Inside, a side's scores are groups of equal ones, ascending. */
#include "eval/bootstrap.h"

#include <math.h>
#include <string.h>

#include "base/random.h"

/* ---- sorted once ---- */

struct groups {
    size_t count;                            /* distinct scores */
    double *values;                          /* [count], ascending */
    uint32_t *order;                         /* [n]: items by ascending score */
    uint32_t *starts;                        /* [count + 1]: into order */
};

/* How a score's outliers of one set lie among its ID groups. */
struct meeting {
    struct groups out;
    uint32_t *from, *after;                  /* [out.count]: the first ID group with a score >= this one's, and > it */
    uint32_t *next_out;                      /* [ID groups]: the first group of outliers with a score >= this one's; out.count: none */
};

struct prepared { struct groups in; struct meeting *meetings; };

static void groups_free(struct groups *groups)
{
    ood_free(groups->values);
    ood_free(groups->order);
    ood_free(groups->starts);
}

static void prepared_free(struct prepared *prepared, size_t sets)
{
    for (size_t s = 0; prepared->meetings != NULL && s < sets; s++) {
        groups_free(&prepared->meetings[s].out);
        ood_free(prepared->meetings[s].from);
        ood_free(prepared->meetings[s].after);
        ood_free(prepared->meetings[s].next_out);
    }
    ood_free(prepared->meetings);
    groups_free(&prepared->in);
}

struct item { double score; uint32_t place; };

static int ascending(const void *a, const void *b)
{
    const struct item *x = a, *y = b;
    if (x->score != y->score)
        return x->score < y->score ? -1 : 1;
    return (x->place > y->place) - (x->place < y->place);
}

static bool group(const char *name, const double *scores, size_t n, struct groups *groups, struct ood_error *err)
{
    if (n == 0 || n > UINT32_MAX)
        return ood_fail(err, n == 0 ? OOD_INVALID : OOD_LIMIT, "%s scores: found %zu, expected 1 to %u", name, n, UINT32_MAX);
    for (size_t i = 0; i < n; i++)
        if (!isfinite(scores[i]))
            return ood_fail(err, OOD_SCORE_NOT_FINITE, "%s scores: found NaN or infinity at %zu, expected a finite number", name, i);
    struct item *items = ood_new_array(struct item, n, err);
    groups->values = ood_new_array(double, n, err);
    groups->order = ood_new_array(uint32_t, n, err);
    groups->starts = ood_new_array(uint32_t, n + 1, err);
    bool done = items != NULL && groups->values != NULL && groups->order != NULL && groups->starts != NULL;
    if (done) {
        for (size_t i = 0; i < n; i++)
            items[i] = (struct item){ scores[i], (uint32_t)i };
        qsort(items, n, sizeof *items, ascending);
        for (size_t i = 0; i < n; i++) {
            groups->order[i] = items[i].place;
            if (i == 0 || items[i].score != items[i - 1].score) {
                groups->starts[groups->count] = (uint32_t)i;
                groups->values[groups->count++] = items[i].score;
            }
        }
        groups->starts[groups->count] = (uint32_t)n;
    }
    ood_free(items);
    return done;
}

static bool meet(const struct groups *in, struct meeting *meeting, struct ood_error *err)
{
    const struct groups *out = &meeting->out;
    meeting->from = ood_new_array(uint32_t, out->count, err);
    meeting->after = ood_new_array(uint32_t, out->count, err);
    meeting->next_out = ood_new_array(uint32_t, in->count, err);
    if (meeting->from == NULL || meeting->after == NULL || meeting->next_out == NULL)
        return false;
    size_t g = 0;
    for (size_t h = 0; h < out->count; h++) {
        for (; g < in->count && in->values[g] < out->values[h]; g++)
            meeting->next_out[g] = (uint32_t)h;
        meeting->from[h] = (uint32_t)g;
        if (g < in->count && in->values[g] == out->values[h])
            meeting->next_out[g++] = (uint32_t)h;
        meeting->after[h] = (uint32_t)g;
    }
    for (; g < in->count; g++)
        meeting->next_out[g] = (uint32_t)out->count;
    return true;
}

/* Items of a score: of ID, of a set. */
static size_t in_count(const struct ood_bootstrap *bootstrap, size_t score)
{
    const struct ood_bootstrap_items *items = bootstrap->scores[score].items;
    return items != NULL ? items->in_count : bootstrap->in_count;
}

static size_t out_count(const struct ood_bootstrap *bootstrap, size_t score, size_t s)
{
    const struct ood_bootstrap_items *items = bootstrap->scores[score].items;
    return items != NULL ? items->out_counts[s] : bootstrap->out_counts[s];
}

static bool prepare(const struct ood_bootstrap *bootstrap, size_t k, struct prepared *prepared, struct ood_error *err)
{
    const struct ood_bootstrap_score *score = &bootstrap->scores[k];
    prepared->meetings = ood_new_array(struct meeting, bootstrap->sets, err);
    if (prepared->meetings == NULL || !group("in-distribution", score->in, in_count(bootstrap, k), &prepared->in, err))
        return false;
    for (size_t s = 0; s < bootstrap->sets; s++)
        if (!group("outlier", score->out[s], out_count(bootstrap, k, s), &prepared->meetings[s].out, err) ||
            !meet(&prepared->in, &prepared->meetings[s], err))
            return false;
    return true;
}

/* ---- one resample ---- */

/* Weights of one side's groups: of each alone, and of it and all above. Whole numbers, exact in double. */
struct side { double *weight, *above; };     /* [n], [n + 1] */

/* drawn: by picture; pictures: of the items, NULL where they are the pictures. */
static void weigh(const struct groups *groups, const uint32_t *drawn, const size_t *pictures, struct side *side)
{
    double above = 0;
    side->above[groups->count] = 0;
    for (size_t g = groups->count; g-- > 0;) {
        uint32_t weight = 0;
        for (size_t i = groups->starts[g]; i < groups->starts[g + 1]; i++)
            weight += drawn[pictures != NULL ? pictures[groups->order[i]] : groups->order[i]];
        side->weight[g] = (double)weight;
        side->above[g] = above += (double)weight;
    }
}

/* The ID group that holds the (floor(0.05 n) + 1)th score: the first with more than `below` at or below it. */
static size_t group_of_rank(const struct side *in, size_t count, size_t n)
{
    double below = (double)(n / 20);
    size_t low = 0, high = count - 1;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if ((double)n - in->above[middle + 1] > below)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

/* Four sums, so that a division need not wait for the addition before; added in a fixed order. */
static double precision_sum(const struct side *in, size_t count, const double *out_above, const uint32_t *next_out)
{
    double sums[4] = { 0 };
    size_t g = 0;
    for (; count - g >= 4; g += 4)
        for (size_t k = 0; k < 4; k++) {
            double positives = in->above[g + k] + 1e-300;      /* none above: 0 / 1e-300 and not 0 / 0 */
            sums[k] += in->weight[g + k] * positives / (positives + out_above[next_out[g + k]]);
        }
    for (; g < count; g++) {
        double positives = in->above[g] + 1e-300;
        sums[0] += in->weight[g] * positives / (positives + out_above[next_out[g]]);
    }
    return (sums[0] + sums[2]) + (sums[1] + sums[3]);
}

static struct ood_ranking rank_weighted(const struct prepared *prepared, const struct meeting *meeting, const struct side *in, const struct side *out)
{
    double all_in = in->above[0], all_out = out->above[0], pairs = 0, precision = 0, least = 0.5;
    if (!(all_in > 0 && all_out > 0))
        return (struct ood_ranking){ NAN, NAN, NAN, NAN, NAN };
    for (size_t h = 0; h < meeting->out.count; h++) {
        double from = in->above[meeting->from[h]], after = in->above[meeting->after[h]];
        double up_to = all_out - out->above[h + 1];
        pairs += out->weight[h] * 0.5 * (from + after);
        if (out->weight[h] > 0)
            precision += out->weight[h] * up_to / (up_to + (all_in - after));
        double error = 0.5 * (all_in - after) / all_in + 0.5 * out->above[h + 1] / all_out;      /* accept what is above this score */
        least = error < least ? error : least;
    }
    size_t limit = group_of_rank(in, prepared->in.count, (size_t)all_in);
    return (struct ood_ranking){
        .auroc = pairs / (all_in * all_out),
        .fpr95 = out->above[meeting->next_out[limit]] / all_out,
        .aupr_in = precision_sum(in, prepared->in.count, out->above, meeting->next_out) / all_in,
        .aupr_out = precision / all_out,
        .detection_error = least,
    };
}

static void draw(struct ood_random *random, uint32_t *drawn, size_t n)
{
    memset(drawn, 0, n * sizeof *drawn);
    for (size_t i = 0; i < n; i++)
        drawn[ood_random_below(random, n)]++;
}

/* ---- all of them ---- */

struct workspace {
    uint32_t *drawn_in, **drawn_out;         /* by picture: [n]; [sets][m] */
    struct side in, out;
};

static void workspace_free(struct workspace *space, size_t sets)
{
    for (size_t s = 0; space->drawn_out != NULL && s < sets; s++)
        ood_free(space->drawn_out[s]);
    ood_free(space->drawn_out);
    ood_free(space->drawn_in);
    ood_free(space->in.weight);
    ood_free(space->in.above);
    ood_free(space->out.weight);
    ood_free(space->out.above);
}

static bool workspace_new(const struct ood_bootstrap *bootstrap, struct workspace *space, struct ood_error *err)
{
    size_t most_in = 0, most_out = 0;
    space->drawn_in = ood_new_array(uint32_t, bootstrap->in_count, err);
    space->drawn_out = ood_new_array(uint32_t *, bootstrap->sets, err);
    for (size_t s = 0; space->drawn_out != NULL && s < bootstrap->sets; s++) {
        space->drawn_out[s] = ood_new_array(uint32_t, bootstrap->out_counts[s], err);
        if (space->drawn_out[s] == NULL)
            return false;
        for (size_t k = 0; k < bootstrap->score_count; k++)
            most_out = out_count(bootstrap, k, s) > most_out ? out_count(bootstrap, k, s) : most_out;
    }
    for (size_t k = 0; k < bootstrap->score_count; k++)
        most_in = in_count(bootstrap, k) > most_in ? in_count(bootstrap, k) : most_in;
    space->in = (struct side){ ood_new_array(double, most_in, err), ood_new_array(double, most_in + 1, err) };
    space->out = (struct side){ ood_new_array(double, most_out, err), ood_new_array(double, most_out + 1, err) };
    return space->drawn_in != NULL && space->drawn_out != NULL && space->in.weight != NULL && space->in.above != NULL &&
           space->out.weight != NULL && space->out.above != NULL;
}

static void resample(const struct ood_bootstrap *bootstrap, const struct prepared *prepared, struct workspace *space, size_t r,
                     struct ood_ranking *figures)
{
    for (size_t k = 0; k < bootstrap->score_count; k++) {
        const struct ood_bootstrap_items *items = bootstrap->scores[k].items;
        weigh(&prepared[k].in, space->drawn_in, items != NULL ? items->in_pictures : NULL, &space->in);
        for (size_t s = 0; s < bootstrap->sets; s++) {
            const struct meeting *meeting = &prepared[k].meetings[s];
            weigh(&meeting->out, space->drawn_out[s], items != NULL ? items->out_pictures[s] : NULL, &space->out);
            figures[(k * bootstrap->sets + s) * bootstrap->resamples + r] = rank_weighted(&prepared[k], meeting, &space->in, &space->out);
        }
    }
}

static double share(const bool *flags, const uint32_t *drawn, size_t n)
{
    size_t sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += flags[i] ? drawn[i] : 0;
    return (double)sum / (double)n;
}

bool ood_bootstrap_run(const struct ood_bootstrap *bootstrap, struct ood_ranking *figures, double *shares, struct ood_error *err)
{
    struct workspace space = { 0 };
    struct ood_random random;
    bool done = false;
    struct prepared *prepared = ood_new_array(struct prepared, bootstrap->score_count, err);
    if (prepared == NULL)
        return false;
    for (size_t k = 0; k < bootstrap->score_count; k++)
        if (!prepare(bootstrap, k, &prepared[k], err))
            goto out;
    if (!workspace_new(bootstrap, &space, err))
        goto out;
    ood_random_seed(&random, bootstrap->seed);
    for (size_t r = 0; r < bootstrap->resamples; r++) {
        draw(&random, space.drawn_in, bootstrap->in_count);
        for (size_t s = 0; s < bootstrap->sets; s++)
            draw(&random, space.drawn_out[s], bootstrap->out_counts[s]);
        resample(bootstrap, prepared, &space, r, figures);
        for (size_t f = 0; f < bootstrap->flag_count; f++)
            shares[f * bootstrap->resamples + r] = share(bootstrap->flags[f], space.drawn_in, bootstrap->in_count);
    }
    done = true;
out:
    for (size_t k = 0; k < bootstrap->score_count; k++)
        prepared_free(&prepared[k], bootstrap->sets);
    ood_free(prepared);
    workspace_free(&space, bootstrap->sets);
    return done;
}

/* ---- intervals ---- */

static double percentile(const double *sorted, size_t n, double share_below)
{
    double place = share_below * (double)(n - 1), whole = floor(place);
    size_t i = (size_t)whole;
    return i + 1 < n ? sorted[i] + (place - whole) * (sorted[i + 1] - sorted[i]) : sorted[n - 1];
}

struct ood_interval ood_interval_of(double *values, size_t n)
{
    size_t there = 0;
    for (size_t i = 0; i < n; i++)
        if (!isnan(values[i]))
            values[there++] = values[i];
    n = there;
    if (n == 0)
        return (struct ood_interval){ NAN, NAN };
    ood_sort(values, n);
    return (struct ood_interval){ percentile(values, n, 0.025), percentile(values, n, 0.975) };
}
