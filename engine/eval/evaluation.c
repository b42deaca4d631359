/* Figures of every score and set, their means, and the intervals of both from the same resamples. */
#include "eval/evaluation.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define FIGURE(field) offsetof(struct ood_ranking, field)
const struct ood_figure_info ood_figure_infos[OOD_FIGURES] = {
    { "fpr95", "FPR95", FIGURE(fpr95), true },
    { "auroc", "AUROC", FIGURE(auroc), false },
    { "aupr_in", "AUPR-In", FIGURE(aupr_in), false },
    { "aupr_out", "AUPR-Out", FIGURE(aupr_out), false },
    { "detection_error", "detection error", FIGURE(detection_error), true },
};

/* ---- rows ---- */

bool ood_row_has(const struct ood_evaluation *evaluation, const struct ood_out_set *sets, size_t row, size_t s)
{
    if (row < evaluation->sets)
        return row == s;
    if (row == evaluation->rows - 1)
        return true;
    return sets[s].group != NULL && strcmp(sets[s].group, evaluation->group_names[row - evaluation->sets]) == 0;
}

const char *ood_row_title(const struct ood_evaluation *evaluation, const struct ood_out_set *sets, size_t row, char text[OOD_ROW_TEXT])
{
    if (row < evaluation->sets)
        snprintf(text, OOD_ROW_TEXT, "%s", sets[row].name);
    else if (row < evaluation->rows - 1)
        snprintf(text, OOD_ROW_TEXT, "mean, %s", evaluation->group_names[row - evaluation->sets]);
    else
        snprintf(text, OOD_ROW_TEXT, "mean");
    return text;
}

static bool find_groups(struct ood_evaluation *evaluation, const struct ood_out_set *sets, struct ood_error *err)
{
    evaluation->group_names = ood_new_array(const char *, evaluation->sets, err);
    if (evaluation->group_names == NULL)
        return false;
    for (size_t s = 0; s < evaluation->sets; s++) {
        bool known = sets[s].group == NULL;
        for (size_t g = 0; g < evaluation->groups && !known; g++)
            known = strcmp(evaluation->group_names[g], sets[s].group) == 0;
        if (!known)
            evaluation->group_names[evaluation->groups++] = sets[s].group;
    }
    evaluation->rows = evaluation->sets + evaluation->groups + 1;
    return true;
}

/* The rows behind the sets: means of the sets' figures, [rows] with the first [sets] filled in. */
static void add_means(const struct ood_evaluation *evaluation, const struct ood_out_set *sets, struct ood_ranking *rows)
{
    for (size_t row = evaluation->sets; row < evaluation->rows; row++) {
        struct ood_ranking mean = { 0 };
        size_t count = 0;
        for (size_t s = 0; s < evaluation->sets; s++) {
            if (!ood_row_has(evaluation, sets, row, s))
                continue;
            count++;
            for (size_t f = 0; f < OOD_FIGURES; f++)
                *ood_figure(&mean, f) += ood_figure_of(&rows[s], f);
        }
        for (size_t f = 0; f < OOD_FIGURES; f++)
            *ood_figure(&mean, f) /= (double)count;
        rows[row] = mean;
    }
}

/* ---- figures ---- */

static bool rank_sets(const struct ood_evaluation *evaluation, const struct ood_subject *subject, size_t contender, const struct ood_out_set *sets,
                      enum ood_convention convention, uint64_t seed, struct ood_ranking **out, struct ood_error *err)
{
    struct ood_ranking *rows = ood_new_array(struct ood_ranking, evaluation->rows, err);
    if (rows == NULL)
        return false;
    *out = rows;
    for (size_t s = 0; s < evaluation->sets; s++)
        if (!ood_rank_as(convention, subject->in.of[contender], subject->in.count, subject->out[s].of[contender], subject->out[s].count, seed,
                         &rows[s], err))
            return ood_error_prefix(err, "%s: score %s", sets[s].name, ood_contender_info((enum ood_contender)contender)->name);
    add_means(evaluation, sets, rows);
    return true;
}

static bool measure(const struct ood_evaluation *evaluation, const struct ood_subject *subject, const struct ood_out_set *sets,
                    const struct ood_evaluation_options *options, struct ood_subject_figures *result, struct ood_error *err)
{
    size_t right = 0;
    result->accuracy = NAN;
    result->accuracy_interval = (struct ood_interval){ NAN, NAN };
    for (size_t i = 0; subject->correct != NULL && i < subject->in.count; i++)
        right += subject->correct[i];
    if (subject->correct != NULL)
        result->accuracy = (double)right / (double)subject->in.count;
    for (size_t c = 0; c < OOD_CONTENDERS; c++) {
        struct ood_figures *figures = &result->of[c];
        figures->there = subject->in.of[c] != NULL;
        figures->aurc = NAN;
        if (!figures->there)
            continue;
        if (!rank_sets(evaluation, subject, c, sets, OOD_CONVENTION_DEFAULT, options->seed, &figures->rows, err) ||
            (options->convention != OOD_CONVENTION_DEFAULT &&
             !rank_sets(evaluation, subject, c, sets, options->convention, options->seed, &figures->other, err)) ||
            (subject->correct != NULL && !ood_aurc(subject->in.of[c], subject->correct, subject->in.count, &figures->aurc, err)))
            return false;
    }
    return true;
}

/* ---- intervals ---- */

/* The resamples' figures: [contenders there, subject 0's then 1's][rows][resamples]. */
struct resampled {
    size_t resamples, rows, scores;
    struct { size_t subject, contender; } *which;      /* [scores] */
    struct ood_ranking *figures;
    double *shares;                          /* [subjects with labels][resamples] */
    double *column;                          /* [resamples]: for sorting */
};

static void resampled_free(struct resampled *drawn)
{
    ood_free(drawn->which);
    ood_free(drawn->figures);
    ood_free(drawn->shares);
    ood_free(drawn->column);
}

static struct ood_ranking *at(const struct resampled *drawn, size_t score, size_t row, size_t r)
{
    return &drawn->figures[(score * drawn->rows + row) * drawn->resamples + r];
}

static size_t pictures_of(const struct ood_scores *scores) { return scores->pictures != NULL ? scores->picture_count : scores->count; }

/* What the bootstrap reads, gathered from the subjects. */
struct layout {
    size_t *counts;                          /* [sets]: pictures */
    struct ood_bootstrap_score *scores;      /* [scores] */
    const double **rows;                     /* [scores][sets] */
    struct ood_bootstrap_items items[2];     /* of the subjects */
    size_t *item_counts;                     /* [subjects][sets] */
    const size_t **item_pictures;            /* [subjects][sets] */
};

static void layout_free(struct layout *layout)
{
    ood_free(layout->counts);
    ood_free(layout->scores);
    ood_free(layout->rows);
    ood_free(layout->item_counts);
    ood_free(layout->item_pictures);
}

static bool lay_out(const struct ood_evaluation *evaluation, const struct ood_subject *subjects, const struct resampled *drawn, struct layout *layout,
                    struct ood_error *err)
{
    size_t sets = evaluation->sets;
    layout->counts = ood_new_array(size_t, sets, err);
    layout->scores = ood_new_array(struct ood_bootstrap_score, drawn->scores, err);
    layout->rows = ood_alloc(drawn->scores, sets * sizeof *layout->rows, err);
    layout->item_counts = ood_alloc(2, sets * sizeof *layout->item_counts, err);
    layout->item_pictures = ood_alloc(2, sets * sizeof *layout->item_pictures, err);
    if (layout->counts == NULL || layout->scores == NULL || layout->rows == NULL || layout->item_counts == NULL || layout->item_pictures == NULL)
        return false;
    for (size_t s = 0; s < sets; s++)
        layout->counts[s] = pictures_of(&subjects[0].out[s]);
    for (size_t i = 0; i < evaluation->subject_count; i++) {
        for (size_t s = 0; s < sets; s++) {
            layout->item_counts[i * sets + s] = subjects[i].out[s].count;
            layout->item_pictures[i * sets + s] = subjects[i].out[s].pictures;
        }
        layout->items[i] = (struct ood_bootstrap_items){ subjects[i].in.count, subjects[i].in.pictures, layout->item_counts + i * sets,
                                                         layout->item_pictures + i * sets };
    }
    for (size_t k = 0; k < drawn->scores; k++) {
        const struct ood_subject *subject = &subjects[drawn->which[k].subject];
        for (size_t s = 0; s < sets; s++)
            layout->rows[k * sets + s] = subject->out[s].of[drawn->which[k].contender];
        layout->scores[k] = (struct ood_bootstrap_score){ subject->in.of[drawn->which[k].contender], layout->rows + k * sets,
                                                          subject->in.pictures != NULL ? &layout->items[drawn->which[k].subject] : NULL };
    }
    return true;
}

/* Fills the rows of sets; `figures` of the bootstrap have no rows of means in between. */
static bool draw(const struct ood_evaluation *evaluation, const struct ood_subject *subjects, const struct ood_evaluation_options *options,
                 struct resampled *drawn, struct ood_error *err)
{
    size_t sets = evaluation->sets, flags = 0, total;
    const bool *flag_rows[2];
    struct layout layout = { 0 };
    struct ood_ranking *figures = NULL;
    bool done = false;
    if (!ood_mul_size(drawn->scores * sets, drawn->resamples, &total)) {
        ood_fail(err, OOD_LIMIT, "%zu resamples of %zu scores and %zu sets are too many", drawn->resamples, drawn->scores, sets);
        goto out;
    }
    figures = ood_new_array(struct ood_ranking, total, err);
    if (figures == NULL || !lay_out(evaluation, subjects, drawn, &layout, err))
        goto out;
    for (size_t i = 0; i < evaluation->subject_count; i++)
        if (subjects[i].correct != NULL)
            flag_rows[flags++] = subjects[i].correct;
    const struct ood_bootstrap bootstrap = {
        .resamples = drawn->resamples, .seed = options->seed, .in_count = pictures_of(&subjects[0].in), .sets = sets, .out_counts = layout.counts,
        .score_count = drawn->scores, .scores = layout.scores, .flag_count = flags, .flags = flag_rows,
    };
    done = ood_bootstrap_run(&bootstrap, figures, drawn->shares, err);
    for (size_t k = 0; done && k < drawn->scores; k++)
        for (size_t s = 0; s < sets; s++)
            memcpy(at(drawn, k, s, 0), figures + (k * sets + s) * drawn->resamples, drawn->resamples * sizeof *figures);
out:
    layout_free(&layout);
    ood_free(figures);
    return done;
}

static bool draw_means(const struct ood_evaluation *evaluation, const struct ood_out_set *sets, struct resampled *drawn, struct ood_error *err)
{
    struct ood_ranking *rows = ood_new_array(struct ood_ranking, evaluation->rows, err);
    if (rows == NULL)
        return false;
    for (size_t k = 0; k < drawn->scores; k++)
        for (size_t r = 0; r < drawn->resamples; r++) {
            for (size_t s = 0; s < evaluation->sets; s++)
                rows[s] = *at(drawn, k, s, r);
            add_means(evaluation, sets, rows);
            for (size_t row = evaluation->sets; row < evaluation->rows; row++)
                *at(drawn, k, row, r) = rows[row];
        }
    ood_free(rows);
    return true;
}

static bool set_intervals(const struct ood_evaluation *evaluation, struct ood_figures *figures, const struct resampled *drawn, size_t k, struct ood_error *err)
{
    figures->low = ood_new_array(struct ood_ranking, evaluation->rows, err);
    figures->high = ood_new_array(struct ood_ranking, evaluation->rows, err);
    if (figures->low == NULL || figures->high == NULL)
        return false;
    for (size_t row = 0; row < evaluation->rows; row++)
        for (size_t f = 0; f < OOD_FIGURES; f++) {
            for (size_t r = 0; r < drawn->resamples; r++)
                drawn->column[r] = ood_figure_of(at(drawn, k, row, r), f);
            struct ood_interval interval = ood_interval_of(drawn->column, drawn->resamples);
            *ood_figure(&figures->low[row], f) = interval.low;
            *ood_figure(&figures->high[row], f) = interval.high;
        }
    return true;
}

static void accuracy_intervals(struct ood_evaluation *evaluation, const struct ood_subject *subjects, const struct resampled *drawn)
{
    size_t flags = 0, resamples = drawn->resamples;
    const double *of[2] = { NULL, NULL };
    for (size_t i = 0; i < evaluation->subject_count; i++)
        if (subjects[i].correct != NULL)
            of[i] = drawn->shares + flags++ * resamples;
    for (size_t i = 0; i < evaluation->subject_count; i++)
        if (of[i] != NULL) {
            memcpy(drawn->column, of[i], resamples * sizeof *drawn->column);
            evaluation->subjects[i].accuracy_interval = ood_interval_of(drawn->column, resamples);
        }
    if (of[0] == NULL || of[1] == NULL)
        return;
    for (size_t r = 0; r < resamples; r++)
        drawn->column[r] = of[0][r] - of[1][r];
    evaluation->accuracy_difference = ood_interval_of(drawn->column, resamples);
}

static bool keep_draws(const struct ood_evaluation *evaluation, struct ood_figures *figures, const struct resampled *drawn, size_t k, struct ood_error *err)
{
    size_t total;
    if (!ood_mul_size(evaluation->rows, drawn->resamples, &total))
        return ood_fail(err, OOD_LIMIT, "%zu resamples are too many", drawn->resamples);
    figures->draws = ood_new_array(struct ood_ranking, total, err);
    if (figures->draws != NULL)
        memcpy(figures->draws, at(drawn, k, 0, 0), total * sizeof *figures->draws);
    return figures->draws != NULL;
}

bool ood_difference_interval(const struct ood_subject_figures *figures, enum ood_contender ours, enum ood_contender reference, size_t row,
                             size_t figure, size_t resamples, struct ood_interval *interval, struct ood_error *err)
{
    const struct ood_ranking *a = figures->of[ours].draws, *b = figures->of[reference].draws;
    *interval = (struct ood_interval){ NAN, NAN };
    if (a == NULL || b == NULL)
        return true;
    double *values = ood_new_array(double, resamples, err);
    if (values == NULL)
        return false;
    for (size_t r = 0; r < resamples; r++)
        values[r] = ood_figure_of(&a[row * resamples + r], figure) - ood_figure_of(&b[row * resamples + r], figure);
    *interval = ood_interval_of(values, resamples);
    ood_free(values);
    return true;
}

/* ---- one network against another ---- */

static double relative(double ours, double reference) { return reference > 0 ? 1 - ours / reference : NAN; }

/* k and j: places among the resampled scores. */
static struct ood_interval reduction_interval(const struct resampled *drawn, size_t k, size_t j, size_t row)
{
    for (size_t r = 0; r < drawn->resamples; r++) {
        drawn->column[r] = relative(at(drawn, k, row, r)->fpr95, at(drawn, j, row, r)->fpr95);
        if (isnan(drawn->column[r]))
            return (struct ood_interval){ NAN, NAN };
    }
    return ood_interval_of(drawn->column, drawn->resamples);
}

static bool reduce(struct ood_evaluation *evaluation, const struct resampled *drawn, struct ood_error *err)
{
    size_t scores = drawn->scores;
    evaluation->reductions = ood_alloc(scores * scores, (evaluation->groups + 1) * sizeof *evaluation->reductions, err);
    if (evaluation->reductions == NULL)
        return false;
    for (size_t row = evaluation->sets; row < evaluation->rows; row++)
        for (size_t k = 0; k < scores; k++)
            for (size_t j = 0; j < scores; j++) {
                if (drawn->which[k].subject != 0 || drawn->which[j].subject != 1)
                    continue;
                size_t ours = drawn->which[k].contender, reference = drawn->which[j].contender;
                evaluation->reductions[evaluation->reduction_count++] = (struct ood_reduction){
                    .ours = (enum ood_contender)ours, .reference = (enum ood_contender)reference, .row = row,
                    .relative = relative(evaluation->subjects[0].of[ours].rows[row].fpr95, evaluation->subjects[1].of[reference].rows[row].fpr95),
                    .interval = drawn->resamples > 0 ? reduction_interval(drawn, k, j, row) : (struct ood_interval){ NAN, NAN },
                };
            }
    return true;
}

/* ---- all of it ---- */

static bool resample(struct ood_evaluation *evaluation, const struct ood_subject *subjects, const struct ood_out_set *sets,
                     const struct ood_evaluation_options *options, struct ood_error *err)
{
    struct resampled drawn = { .resamples = options->resamples, .rows = evaluation->rows };
    size_t total;
    bool done = false;
    drawn.which = ood_alloc(2 * OOD_CONTENDERS, sizeof *drawn.which, err);
    if (drawn.which == NULL)
        return false;
    for (size_t i = 0; i < evaluation->subject_count; i++)
        for (size_t c = 0; c < OOD_CONTENDERS; c++)
            if (evaluation->subjects[i].of[c].there) {
                drawn.which[drawn.scores].subject = i;
                drawn.which[drawn.scores++].contender = c;
            }
    if (drawn.resamples > 0) {
        if (!ood_mul_size(drawn.scores * drawn.rows, drawn.resamples, &total)) {
            ood_fail(err, OOD_LIMIT, "%zu resamples of %zu scores are too many", drawn.resamples, drawn.scores);
            goto out;
        }
        drawn.figures = ood_new_array(struct ood_ranking, total, err);
        drawn.shares = ood_alloc(drawn.resamples, 2 * sizeof *drawn.shares, err);
        drawn.column = ood_new_array(double, drawn.resamples, err);
        if (drawn.figures == NULL || drawn.shares == NULL || drawn.column == NULL || !draw(evaluation, subjects, options, &drawn, err) ||
            !draw_means(evaluation, sets, &drawn, err))
            goto out;
        for (size_t k = 0; k < drawn.scores; k++) {
            struct ood_figures *figures = &evaluation->subjects[drawn.which[k].subject].of[drawn.which[k].contender];
            if (!set_intervals(evaluation, figures, &drawn, k, err) || (options->keep_draws && !keep_draws(evaluation, figures, &drawn, k, err)))
                goto out;
        }
        accuracy_intervals(evaluation, subjects, &drawn);
    }
    done = evaluation->subject_count < 2 || reduce(evaluation, &drawn, err);
out:
    resampled_free(&drawn);
    return done;
}

bool ood_evaluate(const struct ood_subject *subjects, size_t subject_count, const struct ood_out_set *sets, size_t set_count,
                  const struct ood_evaluation_options *options, struct ood_evaluation *evaluation, struct ood_error *err)
{
    if (set_count == 0)
        return ood_fail(err, OOD_INVALID, "sets of outliers: found none, expected at least 1");
    for (size_t s = 0; s < set_count && subject_count > 1; s++)
        if (pictures_of(&subjects[0].out[s]) != pictures_of(&subjects[1].out[s]))
            return ood_fail(err, OOD_INVALID, "%s: %zu pictures against %zu, expected the same", sets[s].name, pictures_of(&subjects[0].out[s]),
                            pictures_of(&subjects[1].out[s]));
    if (subject_count > 1 && pictures_of(&subjects[0].in) != pictures_of(&subjects[1].in))
        return ood_fail(err, OOD_INVALID, "in-distribution: %zu pictures against %zu, expected the same", pictures_of(&subjects[0].in),
                        pictures_of(&subjects[1].in));
    evaluation->sets = set_count;
    evaluation->subject_count = subject_count;
    evaluation->accuracy_difference = (struct ood_interval){ NAN, NAN };
    if (!find_groups(evaluation, sets, err))
        return false;
    for (size_t i = 0; i < subject_count; i++)
        if (!measure(evaluation, &subjects[i], sets, options, &evaluation->subjects[i], err))
            return false;
    return resample(evaluation, subjects, sets, options, err);
}

void ood_evaluation_free(struct ood_evaluation *evaluation)
{
    for (size_t i = 0; i < 2; i++)
        for (size_t c = 0; c < OOD_CONTENDERS; c++) {
            struct ood_figures *figures = &evaluation->subjects[i].of[c];
            ood_free(figures->rows);
            ood_free(figures->low);
            ood_free(figures->high);
            ood_free(figures->other);
            ood_free(figures->draws);
        }
    ood_free(evaluation->group_names);
    ood_free(evaluation->reductions);
    *evaluation = (struct ood_evaluation){ 0 };
}
