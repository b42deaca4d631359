/* eval --json: everything the table shows, as one JSON value (docs/INTERFACE.md section 1); and --draws. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/number.h"
#include "daemon/oodctl/eval.h"
#include "daemon/oodctl/json_members.h"

static void open_member(struct api_writer *w, const char *key)
{
    name(w, key);
    api_write(w, "{");
}

/* [low, high], or null. */
static void interval_member(struct api_writer *w, const char *key, double low, double high)
{
    name(w, key);
    if (!isfinite(low) || !isfinite(high)) {
        api_write(w, "null");
        return;
    }
    api_write(w, "[");
    api_write_double(w, low);
    api_write(w, ",");
    api_write_double(w, high);
    api_write(w, "]");
}

static void write_ranking(struct api_writer *w, const struct ood_ranking *ranking)
{
    for (size_t f = 0; f < OOD_FIGURES; f++)
        number_member(w, ood_figure_infos[f].name, ood_figure_of(ranking, f));
}

/* The members of one row of one score. */
static void write_row(struct api_writer *w, const struct eval *eval, const struct ood_figures *figures, size_t row)
{
    write_ranking(w, &figures->rows[row]);
    if (figures->low != NULL) {
        open_member(w, "intervals");
        for (size_t f = 0; f < OOD_FIGURES; f++)
            interval_member(w, ood_figure_infos[f].name, ood_figure_of(&figures->low[row], f), ood_figure_of(&figures->high[row], f));
        api_write(w, "}");
    }
    if (figures->other != NULL) {
        open_member(w, ood_convention_name(eval->convention));
        write_ranking(w, &figures->other[row]);
        api_write(w, "}");
    }
}

/* Of detections: the means less those of the detector's own probability, over the same resamples. */
static bool write_difference(struct api_writer *w, const struct eval *eval, const struct ood_subject_figures *subject, size_t c, struct ood_error *err)
{
    size_t row = eval->evaluation.rows - 1;
    struct ood_interval intervals[OOD_FIGURES];
    open_member(w, "less_msp");
    for (size_t f = 0; f < OOD_FIGURES; f++) {
        number_member(w, ood_figure_infos[f].name, ood_figure_of(&subject->of[c].rows[row], f) - ood_figure_of(&subject->of[OOD_CONTENDER_MSP].rows[row], f));
        if (!ood_difference_interval(subject, (enum ood_contender)c, OOD_CONTENDER_MSP, row, f, eval->options.resamples, &intervals[f], err))
            return false;
    }
    open_member(w, "intervals");
    for (size_t f = 0; f < OOD_FIGURES; f++)
        interval_member(w, ood_figure_infos[f].name, intervals[f].low, intervals[f].high);
    api_write(w, "}}");
    return true;
}

static void write_score(struct api_writer *w, const struct eval *eval, const struct ood_figures *figures)
{
    const struct ood_evaluation *evaluation = &eval->evaluation;
    if (!eval->options.detector)
        number_member(w, "aurc", figures->aurc);
    open_member(w, "sets");
    for (size_t row = 0; row < evaluation->sets; row++) {
        open_member(w, eval->sets[row].name);
        write_row(w, eval, figures, row);
        api_write(w, "}");
    }
    api_write(w, "}");
    open_member(w, "groups");
    for (size_t g = 0; g < evaluation->groups; g++) {
        open_member(w, evaluation->group_names[g]);
        write_row(w, eval, figures, evaluation->sets + g);
        api_write(w, "}");
    }
    api_write(w, "}");
    open_member(w, "mean");
    write_row(w, eval, figures, evaluation->rows - 1);
    api_write(w, "}");
}

static void write_counts(struct api_writer *w, const struct eval_pictures *pictures)
{
    const struct eval_found *found = &pictures->found;
    bool detector = pictures->owners != NULL;
    size_member(w, "pictures", detector ? pictures->counts.pictures : pictures->count);
    size_member(w, "not_scored", pictures->counts.unscored);
    size_member(w, "excluded", pictures->counts.excluded);
    size_member(w, "other_files", pictures->counts.skipped);
    size_member(w, "decided_out", pictures->decided[OOD_OUT]);
    size_member(w, "decided_review", pictures->decided[OOD_REVIEW]);
    if (!detector)
        return;
    size_member(w, "detections", found->detections);
    size_member(w, "ranked", pictures->count);
    size_member(w, "detections_not_scored", found->unscored);
    number_member(w, "objects", found->annotated ? (double)found->objects : NAN);
    number_member(w, "never_detected", found->annotated ? (double)found->missed : NAN);
}

static bool write_subject(struct api_writer *w, const struct eval *eval, size_t i, struct ood_error *err)
{
    const struct eval_subject *subject = &eval->subjects[i];
    const struct ood_subject_figures *figures = &eval->evaluation.subjects[i];
    open_member(w, "bundle");
    text_member(w, "name", subject->network.bundle->name);
    text_member(w, "version", subject->network.bundle->version);
    api_write(w, "}");
    if (eval->options.detector) {
        number_member(w, "ap50", subject->in.found.ap50);
        number_member(w, "limit", subject->network.bundle->detector->limit);
    } else {
        number_member(w, "accuracy", figures->accuracy);
        interval_member(w, "accuracy_interval", figures->accuracy_interval.low, figures->accuracy_interval.high);
    }
    open_member(w, "in");
    write_counts(w, &subject->in);
    api_write(w, "}");
    if (eval->options.fit != NULL) {
        open_member(w, "fit");
        size_member(w, "pictures", subject->fit.pictures);
        size_member(w, "not_scored", subject->fit.unscored);
        size_member(w, "excluded", subject->fit.excluded);
        size_member(w, "other_files", subject->fit.skipped);
        api_write(w, "}");
    }
    open_member(w, "sets");
    for (size_t s = 0; s < eval->set_count; s++) {
        open_member(w, eval->sets[s].name);
        text_member(w, "group", eval->sets[s].group);
        write_counts(w, &subject->out[s]);
        api_write(w, "}");
    }
    api_write(w, "}");
    open_member(w, "scores");
    for (size_t c = 0; c < OOD_CONTENDERS; c++)
        if (figures->of[c].there) {
            open_member(w, ood_contender_info((enum ood_contender)c)->name);
            write_score(w, eval, &figures->of[c]);
            if (eval->options.detector && !write_difference(w, eval, figures, c, err))
                return false;
            api_write(w, "}");
        }
    api_write(w, "}");
    open_member(w, "left_out");
    for (size_t c = 0; c < OOD_CONTENDERS; c++)
        if (subject->missing[c] != NULL)
            text_member(w, ood_contender_info((enum ood_contender)c)->name, subject->missing[c]);
    api_write(w, "}");
    return true;
}

static bool write_comparison(struct api_writer *w, const struct eval *eval, struct ood_error *err)
{
    const struct ood_evaluation *evaluation = &eval->evaluation;
    open_member(w, "compare");
    if (!write_subject(w, eval, 1, err))
        return false;
    if (!eval->options.detector) {
        number_member(w, "accuracy_difference", evaluation->subjects[0].accuracy - evaluation->subjects[1].accuracy);
        interval_member(w, "accuracy_difference_interval", evaluation->accuracy_difference.low, evaluation->accuracy_difference.high);
    }
    name(w, "reductions");
    api_write(w, "[");
    for (size_t i = 0; i < evaluation->reduction_count; i++) {
        const struct ood_reduction *reduction = &evaluation->reductions[i];
        if (i > 0)
            api_write(w, ",");
        api_write(w, "{");
        text_member(w, "group", reduction->row < evaluation->rows - 1 ? evaluation->group_names[reduction->row - evaluation->sets] : NULL);
        text_member(w, "score", ood_contender_info(reduction->ours)->name);
        text_member(w, "reference", ood_contender_info(reduction->reference)->name);
        number_member(w, "relative_reduction", reduction->relative);
        interval_member(w, "interval", reduction->interval.low, reduction->interval.high);
        api_write(w, "}");
    }
    api_write(w, "]}");
    return true;
}

bool eval_json(const struct eval *eval, struct ood_error *err)
{
    struct api_writer w = { 0 };
    api_write(&w, "{");
    bool done = write_subject(&w, eval, 0, err) && (eval->subject_count < 2 || write_comparison(&w, eval, err));
    open_member(&w, "conventions");
    text_member(&w, "default", ood_convention_sentence(OOD_CONVENTION_DEFAULT));
    if (eval->convention != OOD_CONVENTION_DEFAULT)
        text_member(&w, ood_convention_name(eval->convention), ood_convention_sentence(eval->convention));
    api_write(&w, "}");
    size_member(&w, "resamples", eval->options.resamples);
    size_member(&w, "seed", eval->options.seed);
    api_write(&w, "}\n");
    done = done && (!w.failed || ood_fail(err, OOD_OUT_OF_MEMORY, "out of memory"));
    if (done)
        fwrite(w.data, 1, w.size, stdout);
    ood_free(w.data);
    return done;
}

/* Seeds and pictures alike give the same resamples, so that draws of several bundles can be laid side by side. */
bool eval_draws(const struct eval *eval, struct ood_error *err)
{
    const struct ood_evaluation *evaluation = &eval->evaluation;
    struct ctl_buffer text = { 0 };
    bool done = ctl_append(&text, err, "resample\tscore");
    for (size_t f = 0; done && f < OOD_FIGURES; f++)
        done = ctl_append(&text, err, "\t%s", ood_figure_infos[f].name);
    done = done && ctl_append(&text, err, "\n");
    for (size_t r = 0; done && r < eval->options.resamples; r++)
        for (size_t c = 0; done && c < OOD_CONTENDERS; c++) {
            const struct ood_figures *figures = &evaluation->subjects[0].of[c];
            if (!figures->there)
                continue;
            done = ctl_append(&text, err, "%zu\t%s", r, ood_contender_info((enum ood_contender)c)->name);
            for (size_t f = 0; done && f < OOD_FIGURES; f++) {
                char number[OOD_NUMBER_TEXT] = "nan";        /* a resample without a detection */
                double value = ood_figure_of(&figures->draws[(evaluation->rows - 1) * eval->options.resamples + r], f);
                if (isfinite(value))
                    ood_print_double(value, number);
                done = ctl_append(&text, err, "\t%s", number);
            }
            done = done && ctl_append(&text, err, "\n");
        }
    done = done && ood_file_write(eval->options.draws, text.text, text.length, err);
    ood_free(text.text);
    return done;
}
