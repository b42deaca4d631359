/* The options of the losses: presets with METHOD section 6's defaults, margins by the number of classes or by a network's own scores, and the
 * check of what a user set. */
#include <math.h>

#include "train/loss_internal.h"

bool ood_loss_preset(const char *name, size_t classes, struct ood_loss_options *options, struct ood_error *err)
{
    static const struct { const char *name; double energy, cluster, representation; } presets[] = {
        { "ce", 0, 0, 0 }, { "energy", 0.1, 0, 0 }, { "sde", 0.1, 0.5, 1 },
    };
    for (size_t i = 0; i < sizeof presets / sizeof presets[0]; i++) {
        if (strcmp(name, presets[i].name) != 0)
            continue;
        struct ood_loss_options made = {
            .cross_entropy_weight = 1, .energy_weight = presets[i].energy, .cluster_weight = presets[i].cluster,
            .representation_weight = presets[i].representation, .temperature = 1, .focus = 2, .scale = 16,
            .representation_in = 0.05, .representation_out = 0.7,
            .score_form = OOD_MARGIN_LOGISTIC, .score_in = 1, .score_out = -1,
            .beta = 0.5, .energy_std = 1, .representation_std = 1,
        };
        ood_loss_default_margins(&made, classes);
        *options = made;
        return true;
    }
    return ood_fail(err, OOD_INVALID, "loss: found \"%.40s\", expected ce, energy or sde", name);
}

void ood_loss_default_margins(struct ood_loss_options *options, size_t classes)
{
    if (options->energy_space == OOD_ENERGY_COSINE) {
        options->energy_in = -options->scale * (1 - options->representation_in);
        options->energy_out = -options->scale * (1 - options->representation_out) - log((double)classes);
        return;
    }
    options->energy_in = classes <= 31 ? -23 : -27;      /* 31 is half way from 10 to 100 in log K */
    options->energy_out = -5;
}

/* ---- the check ---- */

struct range { const char *name; double value, low, high; bool open; };      /* open: low itself is no value */

static bool in_range(const struct range *range, struct ood_error *err)
{
    if (isfinite(range->value) && range->value <= range->high && (range->open ? range->value > range->low : range->value >= range->low))
        return true;
    if (isinf(range->low))
        return ood_fail(err, OOD_INVALID, "%s: found %g, expected a finite number", range->name, range->value);
    if (isinf(range->high))
        return ood_fail(err, OOD_INVALID, "%s: found %g, expected a finite number %s %g", range->name, range->value,
                        range->open ? "above" : "of at least", range->low);
    return ood_fail(err, OOD_INVALID, "%s: found %g, expected %g to %g", range->name, range->value, range->low, range->high);
}

static bool ordered(const char *pair, double in, double out, struct ood_error *err)
{
    if (in < out)
        return true;
    return ood_fail(err, OOD_INVALID, "the %s margins: found %g in and %g out, expected in below out", pair, in, out);
}

bool ood_loss_check(const struct ood_loss_options *o, struct ood_error *err)
{
    const struct range ranges[] = {
        { "cross-entropy weight", o->cross_entropy_weight, 0, INFINITY, false },
        { "energy weight", o->energy_weight, 0, INFINITY, false },
        { "cluster weight", o->cluster_weight, 0, INFINITY, false },
        { "representation weight", o->representation_weight, 0, INFINITY, false },
        { "uniform weight", o->uniform_weight, 0, INFINITY, false },
        { "score weight", o->score_weight, 0, INFINITY, false },
        { "temperature", o->temperature, 0, INFINITY, true },
        { "gamma", o->focus, 0, INFINITY, false },
        { "scale of the cosines", o->scale, 0, INFINITY, true },
        { "energy margin in", o->energy_in, -INFINITY, INFINITY, false },
        { "energy margin out", o->energy_out, -INFINITY, INFINITY, false },
        { "representation margin in", o->representation_in, -INFINITY, INFINITY, false },
        { "representation margin out", o->representation_out, -INFINITY, INFINITY, false },
        { "score margin in", o->score_in, -INFINITY, INFINITY, false },
        { "score margin out", o->score_out, -INFINITY, INFINITY, false },
        { "beta", o->beta, 0, 1, false },
        { "energy mean", o->energy_mean, -INFINITY, INFINITY, false },
        { "energy deviation", o->energy_std, 1e-12, INFINITY, false },
        { "representation mean", o->representation_mean, -INFINITY, INFINITY, false },
        { "representation deviation", o->representation_std, 1e-12, INFINITY, false },
    };
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++)
        if (!in_range(&ranges[i], err))
            return false;
    return ordered("energy", o->energy_in, o->energy_out, err)
        && ordered("representation", o->representation_in, o->representation_out, err)
        && ordered("(negated) score", -o->score_in, -o->score_out, err);
}

bool ood_loss_reads_prototypes(const struct ood_loss_options *options)
{
    return options->cluster_weight > 0 || options->representation_weight > 0 || options->score_weight > 0
        || options->energy_space == OOD_ENERGY_COSINE;
}

/* ---- margins from a network's own scores ---- */

static int ascending(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

/* The quantile of values[n], interpolated between its two neighbours; sorted is scratch of n. */
static bool quantile(const char *what, const double *values, size_t n, double at, double *sorted, double *result, struct ood_error *err)
{
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(values[i]))
            return ood_fail(err, OOD_SCORE_NOT_FINITE, "%s of picture %zu: found %g, expected a finite number", what, i, values[i]);
        sorted[i] = values[i];
    }
    qsort(sorted, n, sizeof *sorted, ascending);
    double place = at * (double)(n - 1);
    size_t below = (size_t)place;
    double rest = place - (double)below;
    *result = below + 1 < n ? sorted[below] + rest * (sorted[below + 1] - sorted[below]) : sorted[n - 1];
    return true;
}

static bool scale_with(struct ood_loss_options *options, const struct ood_loss_sample *sample, double quantile_in, double quantile_out,
                       double *scratch, struct ood_error *err)
{
    struct ood_loss_options made = *options;
    if (!quantile("energy in", sample->in_energy, sample->in, quantile_in, scratch, &made.energy_in, err)
        || !quantile("distance in", sample->in_own, sample->in, quantile_in, scratch, &made.representation_in, err)
        || !quantile("energy out", sample->out_energy, sample->out, quantile_out, scratch, &made.energy_out, err)
        || !quantile("representation score out", sample->out_representation, sample->out, quantile_out, scratch, &made.representation_out, err))
        return false;
    ood_mean_std(sample->in_energy, sample->in, &made.energy_mean, &made.energy_std);
    ood_mean_std(sample->in_representation, sample->in, &made.representation_mean, &made.representation_std);
    if (!ood_loss_check(&made, err))
        return ood_error_prefix(err, "margins from the network's own scores (quantiles %g in, %g out)", quantile_in, quantile_out);
    *options = made;
    return true;
}

bool ood_loss_scale(struct ood_loss_options *options, const struct ood_loss_sample *sample, double quantile_in, double quantile_out,
                    struct ood_error *err)
{
    const struct range ranges[] = { { "quantile in", quantile_in, 0, 1, false }, { "quantile out", quantile_out, 0, 1, false } };
    if (!in_range(&ranges[0], err) || !in_range(&ranges[1], err))
        return false;
    if (sample->in < 2 || sample->out < 1)
        return ood_fail(err, OOD_INVALID, "margins from the network's own scores: found %zu pictures in and %zu outliers, expected at least 2 and 1",
                        sample->in, sample->out);
    double *scratch = ood_new_array(double, sample->in > sample->out ? sample->in : sample->out, err);
    if (scratch == NULL)
        return false;
    bool good = scale_with(options, sample, quantile_in, quantile_out, scratch, err);
    ood_free(scratch);
    return good;
}
