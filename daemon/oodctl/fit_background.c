/* fit --detector: METHOD section 7's choice of T and beta by what the detector sees that is no object, and D of a picture's detections by
 * prototypes that picture had no part in. */
#include <math.h>
#include <string.h>

#include "daemon/oodctl/fit.h"
#include "daemon/oodctl/fit_choice.h"

static double energy_of(const struct ood_judge *judge, const float *logits, double temperature)
{
    return judge->energy_form == OOD_ENERGY_JOINT ? ood_joint_energy(logits, judge->classes, temperature)
                                                  : ood_energy(logits, judge->classes, temperature);
}

/* Detections of the fit part that match an object, and background. */
static void count_sides(const struct fit *fit, size_t *known, size_t *background)
{
    size_t in = 0, out = 0;
    for (size_t i = 0; i < fit->images.count; i++) {
        in += fit->is_fit[i] && fit->image_classes[i] != SIZE_MAX;
        out += fit->is_fit[i] && fit->is_background[i];
    }
    *known = in;
    if (background != NULL)
        *background = out;
}

bool fit_has_background(const struct fit *fit)
{
    size_t known = 0, background = 0;
    if (fit->decoder == NULL || fit->options.annotations == NULL)
        return false;
    count_sides(fit, &known, &background);
    return known >= FIT_BACKGROUND_LEAST && (background >= FIT_BACKGROUND_LEAST || fit->outliers.count > 0);
}

/* ---- T ---- */

static const double temperatures[] = { 1, 0.5, 2, 0.25, 4, 0.1 };

/* -E at this temperature: of detections that match an object, and of outliers, or background where there are none. */
static void score_by_energy(const void *context, size_t way, double *in, double *out)
{
    const struct fit *fit = context;
    size_t n = 0, m = 0;
    for (size_t i = 0; i < fit->images.count; i++) {
        if (!fit->is_fit[i])
            continue;
        if (fit->image_classes[i] != SIZE_MAX)
            in[n++] = -energy_of(&fit->judge, fit_logits(fit, &fit->images, i), temperatures[way]);
        else if (fit->is_background[i] && fit->outliers.count == 0)
            out[m++] = -energy_of(&fit->judge, fit_logits(fit, &fit->images, i), temperatures[way]);
    }
    for (size_t i = 0; i < fit->outliers.count; i++)
        out[m++] = -energy_of(&fit->judge, fit_logits(fit, &fit->outliers, i), temperatures[way]);
}

bool fit_choose_temperature(struct fit *fit, struct ood_error *err)
{
    struct fit_choice choice = { .ways = sizeof temperatures / sizeof temperatures[0], .score = score_by_energy, .context = fit, .m = fit->outliers.count };
    count_sides(fit, &choice.n, fit->outliers.count > 0 ? NULL : &choice.m);
    if (!fit_choose(&choice, err))
        return false;
    fit->judge.temperature = temperatures[choice.chosen];
    fit->temperature_auroc = choice.auroc;
    return true;
}

/* ---- D without the picture's own part in the prototypes ---- */

struct apart {
    struct ood_prototype_sums all, others;   /* of the fit part; of it without one picture */
    struct ood_judge judge;                  /* the fit's, with prototypes of `others` */
};

static bool take_away(const struct fit *fit, struct apart *apart, size_t first, size_t end, struct ood_error *err)
{
    struct ood_error ignored = { 0 };
    size_t cells = fit->classes * fit->dimension;
    memcpy(apart->others.sums, apart->all.sums, cells * sizeof *apart->all.sums);
    memcpy(apart->others.counts, apart->all.counts, fit->classes * sizeof *apart->all.counts);
    struct ood_prototype_sums own;
    if (!ood_prototypes_begin(&own, fit->classes, fit->dimension, err))
        return false;
    bool done = true;
    for (size_t i = first; done && i < end; i++)
        if (fit->image_classes[i] != SIZE_MAX)
            done = ood_prototypes_add(&own, fit->image_classes[i], fit_features(fit, &fit->images, i), err);
    for (size_t k = 0; k < fit->classes; k++)
        apart->others.counts[k] -= own.counts[k];
    for (size_t c = 0; c < cells; c++)
        apart->others.sums[c] -= own.sums[c];
    ood_prototypes_free(&own);
    /* where nothing is left, the picture's own must do */
    if (done && !ood_prototypes_finish_some(&apart->others, apart->judge.prototypes, &ignored))
        memcpy(apart->judge.prototypes, fit->judge.prototypes, cells * sizeof(float));
    return done;
}

static bool sum_up(const struct fit *fit, struct apart *apart, struct ood_error *err)
{
    if (!ood_prototypes_begin(&apart->all, fit->classes, fit->dimension, err) || !ood_prototypes_begin(&apart->others, fit->classes, fit->dimension, err))
        return false;
    apart->judge = fit->judge;
    apart->judge.prototypes = ood_new_array(float, fit->classes * fit->dimension, err);
    for (size_t i = 0; i < fit->images.count && apart->judge.prototypes != NULL; i++)
        if (fit->is_fit[i] && fit->image_classes[i] != SIZE_MAX &&
            !ood_prototypes_add(&apart->all, fit->image_classes[i], fit_features(fit, &fit->images, i), err))
            return false;
    return apart->judge.prototypes != NULL;
}

bool fit_measure_apart(const struct fit *fit, double *energy, double *representation, struct ood_error *err)
{
    struct apart apart = { 0 };
    size_t count = 0;
    bool done = sum_up(fit, &apart, err);
    for (size_t first = 0, end; done && first < fit->images.count; first = end) {
        for (end = first; end < fit->images.count && fit->images.positions[end] == fit->images.positions[first];)
            end++;
        if (!fit->is_fit[first])
            continue;                        /* a picture's detections stay together */
        done = take_away(fit, &apart, first, end, err);
        for (size_t i = first; done && i < end; i++) {
            struct ood_verdict verdict = { 0 };
            done = ood_measure(&apart.judge, fit_logits(fit, &fit->images, i), fit_features(fit, &fit->images, i), &verdict, err);
            energy[count] = verdict.energy;
            representation[count++] = verdict.representation_score;
        }
    }
    ood_prototypes_free(&apart.all);
    ood_prototypes_free(&apart.others);
    ood_free(apart.judge.prototypes);
    return done;
}

/* ---- beta ---- */

struct fusing { const struct ood_judge *judge; const double *energy, *representation, *out_energy, *out_representation; size_t n, m; };

/* 0.5, then outwards from it, the lower side first. */
static double beta_of(size_t way) { return 0.5 + (way % 2 == 1 ? -0.05 : 0.05) * (double)((way + 1) / 2); }

static void score_by_beta(const void *context, size_t way, double *in, double *out)
{
    const struct fusing *fusing = context;
    struct ood_judge judge = *fusing->judge;
    judge.beta = beta_of(way);
    for (size_t i = 0; i < fusing->n; i++)
        in[i] = ood_fuse(&judge, fusing->energy[i], fusing->representation[i]);
    for (size_t i = 0; i < fusing->m; i++)
        out[i] = ood_fuse(&judge, fusing->out_energy[i], fusing->out_representation[i]);
}

bool fit_choose_beta(struct fit *fit, const double *energy, const double *representation, struct ood_error *err)
{
    size_t n, m, at = 0;
    count_sides(fit, &n, &m);
    double *memory = ood_alloc(2 * (n + m), sizeof *memory, err);
    if (memory == NULL)
        return false;
    double *in[2] = { memory, memory + n }, *out[2] = { memory + 2 * n, memory + 2 * n + m };
    struct fusing fusing = { &fit->judge, in[0], in[1], out[0], out[1], 0, 0 };
    for (size_t i = 0; i < fit->images.count; i++) {
        if (!fit->is_fit[i])
            continue;
        if (fit->image_classes[i] != SIZE_MAX) {
            in[0][fusing.n] = energy[at];
            in[1][fusing.n++] = representation[at];
        } else if (fit->is_background[i]) {
            out[0][fusing.m] = energy[at];
            out[1][fusing.m++] = representation[at];
        }
        at++;
    }
    struct fit_choice choice = { .ways = 21, .n = n, .m = m, .score = score_by_beta, .context = &fusing };
    bool done = fit_choose(&choice, err);
    if (done) {
        fit->judge.beta = fmin(fmax(beta_of(choice.chosen), 0), 1);
        fit->outlier_auroc = choice.auroc;
    }
    ood_free(memory);
    return done;
}
