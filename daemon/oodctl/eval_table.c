/* eval: the figures as tables for people: one a figure, a row a set, a column a score. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "daemon/oodctl/eval.h"

#define COLUMN 10
#define WIDEST 28

/* Columns of the terminal a UTF-8 text takes, near enough: its characters. */
static size_t characters(const char *text)
{
    size_t count = 0;
    for (; *text != '\0'; text++)
        count += ((unsigned char)*text & 0xc0) != 0x80;
    return count;
}

static void pad(const char *text, size_t width)
{
    ctl_put(stdout, text);
    for (size_t used = characters(text); used < width; used++)
        putchar(' ');
}

static void pad_left(const char *text, size_t width)
{
    for (size_t used = characters(text); used < width; used++)
        putchar(' ');
    ctl_put(stdout, text);
}

static void figure_text(size_t figure, double value, char text[16])
{
    bool percent = ood_figure_infos[figure].low_is_good;       /* rates; areas have four places */
    if (!isfinite(value))
        snprintf(text, 16, "-");
    else
        snprintf(text, 16, percent ? "%.2f" : "%.4f", percent ? 100 * value : value);
}

static void print_row(const struct eval *eval, const struct ood_subject_figures *figures, const char *title, size_t width, size_t figure,
                      size_t row, size_t part)
{
    pad(title, width);
    for (size_t c = 0; c < OOD_CONTENDERS; c++) {
        const struct ood_figures *of = &figures->of[c];
        char text[16];
        if (!of->there)
            continue;
        const struct ood_ranking *rows[] = { of->rows, of->low, of->high, of->other };
        figure_text(figure, ood_figure_of(&rows[part][row], figure), text);
        pad_left(text, (size_t)COLUMN + 2 * eval->options.detector);
    }
    putchar('\n');
}

static size_t title_width(const struct eval *eval)
{
    size_t width = 8;
    for (size_t row = 0; row < eval->evaluation.rows; row++) {
        char text[OOD_ROW_TEXT];
        size_t length = characters(ood_row_title(&eval->evaluation, eval->names, row, text)) + 2;
        width = length > width ? length : width;
    }
    return width < WIDEST ? width : WIDEST;
}

static void print_head(const struct eval *eval, const struct ood_subject_figures *figures, const char *title, size_t width)
{
    putchar('\n');
    pad(title, width);
    for (size_t c = 0; c < OOD_CONTENDERS; c++)
        if (figures->of[c].there)
            pad_left(eval_title(eval, c), (size_t)COLUMN + 2 * eval->options.detector);
    putchar('\n');
}

static void print_figure(const struct eval *eval, const struct ood_subject_figures *figures, size_t figure, bool other)
{
    const struct ood_evaluation *evaluation = &eval->evaluation;
    const struct ood_figure_info *info = &ood_figure_infos[figure];
    char title[OOD_ROW_TEXT];
    size_t width = title_width(eval);
    bool intervals = !other && eval->options.resamples > 0;
    if (other)
        snprintf(title, sizeof title, "%s, %s%s", info->title, ood_convention_name(eval->convention), info->low_is_good ? " (%)" : "");
    else
        snprintf(title, sizeof title, "%s%s", info->title, info->low_is_good ? " (%)" : "");
    print_head(eval, figures, title, width);
    for (size_t row = 0; row < evaluation->rows; row++) {
        ood_row_title(evaluation, eval->names, row, title);
        print_row(eval, figures, title, width, figure, row, other ? 3 : 0);
        if (intervals && row >= evaluation->sets) {
            print_row(eval, figures, "  95 % from", width, figure, row, 1);
            print_row(eval, figures, "  to", width, figure, row, 2);
        }
    }
}

static void print_aurc(const struct eval *eval, const struct ood_subject_figures *figures)
{
    char text[16];
    size_t width = title_width(eval);
    if (isnan(figures->accuracy))
        return;
    print_head(eval, figures, "AURC", width);
    pad("in", width);
    for (size_t c = 0; c < OOD_CONTENDERS; c++)
        if (figures->of[c].there) {
            snprintf(text, sizeof text, "%.5f", figures->of[c].aurc);
            pad_left(text, COLUMN);
        }
    putchar('\n');
}

/* The end of a source's line. */
static void print_left_out(const struct eval_counts *counts)
{
    if (counts->skipped > 0)
        printf("   %zu other files left out", counts->skipped);
    if (counts->excluded > 0)
        printf("   %zu excluded", counts->excluded);
    putchar('\n');
}

static void print_counts_of(const char *title, const char *group, const struct eval_pictures *pictures, size_t width, size_t group_width)
{
    char text[CTL_COUNT_TEXT];
    pad(title, width);
    pad(group != NULL ? group : "", group_width);
    pad_left(ctl_count(pictures->count, text), 10);
    pad_left(ctl_count(pictures->counts.unscored, text), 12);
    snprintf(text, sizeof text, "%.2f %%", 100 * (double)pictures->decided[OOD_OUT] / (double)pictures->count);
    pad_left(text, 14);
    print_left_out(&pictures->counts);
}

static void print_found_of(const char *title, const struct eval_pictures *pictures, size_t width)
{
    const struct eval_found *found = &pictures->found;
    char text[CTL_COUNT_TEXT];
    pad(title, width);
    pad_left(ctl_count(pictures->counts.pictures, text), 10);
    pad_left(ctl_count(pictures->counts.unscored, text), 12);
    pad_left(ctl_count(found->detections, text), 12);
    pad_left(ctl_count(pictures->count, text), 10);
    snprintf(text, sizeof text, "%.2f %%", 100 * (double)pictures->decided[OOD_OUT] / (double)pictures->count);
    pad_left(text, 14);
    if (found->annotated && found->objects > 0) {
        pad_left(ctl_count(found->objects, text), 11);
        snprintf(text, sizeof text, "%.2f %%", 100 * (double)found->missed / (double)found->objects);
        pad_left(text, 16);
    }
    print_left_out(&pictures->counts);
}

/* A detector's pictures: what is ranked of them, and what was never found. */
static void print_found(const struct eval *eval, const struct eval_subject *subject)
{
    size_t width = title_width(eval);
    putchar('\n');
    pad("set", width);
    printf("%10s%12s%12s%10s%14s%11s%16s\n", "pictures", "not scored", "detections", "ranked", "decided out", "objects", "never detected");
    print_found_of("in", &subject->in, width);
    for (size_t s = 0; s < eval->set_count; s++)
        print_found_of(eval->sets[s].name, &subject->out[s], width);
}

static void print_counts(const struct eval *eval, const struct eval_subject *subject)
{
    size_t width = title_width(eval), group_width = 8;
    for (size_t s = 0; s < eval->set_count; s++)
        if (eval->sets[s].group != NULL && characters(eval->sets[s].group) + 2 > group_width)
            group_width = characters(eval->sets[s].group) + 2;
    putchar('\n');
    pad("set", width);
    pad("group", group_width);
    printf("%10s%12s%14s\n", "pictures", "not scored", "decided out");
    print_counts_of("in", NULL, &subject->in, width, group_width);
    for (size_t s = 0; s < eval->set_count; s++)
        print_counts_of(eval->sets[s].name, eval->sets[s].group, &subject->out[s], width, group_width);
    if (eval->options.fit != NULL) {
        char text[CTL_COUNT_TEXT];
        pad("fit", width + group_width);
        pad_left(ctl_count(subject->fit.pictures, text), 10);
        pad_left(ctl_count(subject->fit.unscored, text), 12);
        putchar('\n');
    }
}

static void print_accuracy(const struct ood_subject_figures *figures)
{
    if (isnan(figures->accuracy)) {
        printf("accuracy    no labels\n");
        return;
    }
    printf("accuracy    %.2f %%", 100 * figures->accuracy);
    if (!isnan(figures->accuracy_interval.low))
        printf(" (95 %%: %.2f to %.2f)", 100 * figures->accuracy_interval.low, 100 * figures->accuracy_interval.high);
    putchar('\n');
}

/* S less the detector's own probability, of the means. */
static void print_difference(const struct eval *eval, const struct ood_subject_figures *figures)
{
    size_t row = eval->evaluation.rows - 1;
    double less = figures->of[OOD_CONTENDER_SCORE].rows[row].fpr95 - figures->of[OOD_CONTENDER_MSP].rows[row].fpr95;
    struct ood_interval interval = { NAN, NAN };
    struct ood_error err = { 0 };
    printf("\nS less probability, mean FPR95: %+.2f points", 100 * less);
    if (ood_difference_interval(figures, OOD_CONTENDER_SCORE, OOD_CONTENDER_MSP, row, 0, eval->options.resamples, &interval, &err) && isfinite(interval.low))
        printf(" (95 %%: %+.2f to %+.2f)", 100 * interval.low, 100 * interval.high);
    putchar('\n');
}

static void print_subject(const struct eval *eval, size_t i)
{
    const struct eval_subject *subject = &eval->subjects[i];
    const struct ood_subject_figures *figures = &eval->evaluation.subjects[i];
    const struct ood_bundle *bundle = subject->network.bundle;
    printf("%s%s (version %.12s)\n", i == 0 ? "bundle      " : "\ncompared to ", bundle->name, bundle->version);
    if (eval->options.detector) {
        printf("AP50        %.4f\nlimit       %.4f\n", subject->in.found.ap50, bundle->detector->limit);
        print_found(eval, subject);
    } else {
        print_accuracy(figures);
        print_counts(eval, subject);
    }
    for (size_t f = 0; f < OOD_FIGURES; f++)
        print_figure(eval, figures, f, false);
    if (eval->options.detector)
        print_difference(eval, figures);
    print_aurc(eval, figures);
    for (size_t f = 0; eval->convention != OOD_CONVENTION_DEFAULT && f < OOD_FIGURES; f++)
        print_figure(eval, figures, f, true);
    bool said = false;
    for (size_t c = 0; c < OOD_CONTENDERS; c++)
        if (subject->missing[c] != NULL) {
            printf("%s%s left out: ", said ? "" : "\n", ood_contender_info((enum ood_contender)c)->title);
            said = true;
            ctl_put(stdout, subject->missing[c]);
            putchar('\n');
        }
}

/* A matrix for one mean: our scores down, the reference's across. */
static void print_reductions(const struct eval *eval, size_t row)
{
    const struct ood_evaluation *evaluation = &eval->evaluation;
    const struct ood_subject_figures *reference = &evaluation->subjects[1];
    char title[OOD_ROW_TEXT], text[64];
    const size_t width = 26;
    printf("\n%s of FPR95: how much less than %s's (1 - ours / theirs, %%; below it the 95 %% interval)\n", ood_row_title(evaluation, eval->names, row, title),
           eval->subjects[1].network.bundle->name);
    pad("ours \\ theirs", 14);
    for (size_t c = 0; c < OOD_CONTENDERS; c++)
        if (reference->of[c].there)
            pad_left(eval_title(eval, c), width);
    for (size_t i = 0, last = SIZE_MAX; i < evaluation->reduction_count; i++) {
        const struct ood_reduction *reduction = &evaluation->reductions[i];
        if (reduction->row != row)
            continue;
        if (reduction->ours != last) {
            putchar('\n');
            pad(eval_title(eval, reduction->ours), 14);
            last = reduction->ours;
        }
        if (!isfinite(reduction->relative))
            snprintf(text, sizeof text, "-");
        else if (isfinite(reduction->interval.low))
            snprintf(text, sizeof text, "%.2f [%.2f, %.2f]", 100 * reduction->relative, 100 * reduction->interval.low, 100 * reduction->interval.high);
        else
            snprintf(text, sizeof text, "%.2f", 100 * reduction->relative);
        pad_left(text, width);
    }
    putchar('\n');
}

void eval_table(const struct eval *eval)
{
    const struct ood_evaluation *evaluation = &eval->evaluation;
    for (size_t i = 0; i < eval->subject_count; i++)
        print_subject(eval, i);
    if (eval->subject_count > 1) {
        const struct ood_interval *difference = &evaluation->accuracy_difference;
        double change = evaluation->subjects[0].accuracy - evaluation->subjects[1].accuracy;
        if (!isnan(change))
            printf("\naccuracy less %s's: %+.2f points", eval->subjects[1].network.bundle->name, 100 * change);
        if (!isnan(change) && !isnan(difference->low))
            printf(" (95 %%: %+.2f to %+.2f)", 100 * difference->low, 100 * difference->high);
        if (!isnan(change))
            putchar('\n');
        for (size_t row = evaluation->sets; row < evaluation->rows; row++)
            print_reductions(eval, row);
    }
    printf("\nconvention  %s\n", ood_convention_sentence(OOD_CONVENTION_DEFAULT));
    if (eval->options.detector)
        printf("unit        a detection with a score of limit or more; known: those that match an object (IoU 0.5, same class), foreign: all\n");
    if (eval->convention != OOD_CONVENTION_DEFAULT)
        printf("%-11s %s\n", ood_convention_name(eval->convention), ood_convention_sentence(eval->convention));
    if (eval->options.resamples > 0)
        printf("intervals   95 %%, percentiles of %zu resamples of the pictures, the same for every score; seed %zu\n", eval->options.resamples,
               eval->options.seed);
}
