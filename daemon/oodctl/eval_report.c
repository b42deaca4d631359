/* eval --report: one self-contained page. What comes from files, labels, ids and names, goes through page_text and nothing else. */
#include <math.h>
#include <string.h>

#include "api/api_internal.h"
#include "base/base64.h"
#include "daemon/oodctl/eval_page.h"
#include "daemon/oodctl/eval_style.h"

/* ---- the page ---- */

void page_add(struct page *page, const char *format, ...)
{
    char text[4096];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (page->failed)
        return;
    if (length < 0 || (size_t)length >= sizeof text)
        page->failed = !ood_fail(&page->err, OOD_LIMIT, "a piece of the page is too long");
    else
        page->failed = !ctl_append(&page->text, &page->err, "%s", text);
}

void page_text(struct page *page, const char *text)
{
    static const struct { char byte; const char *entity; } entities[] = {
        { '&', "&amp;" }, { '<', "&lt;" }, { '>', "&gt;" }, { '"', "&quot;" }, { '\'', "&#39;" },
    };
    for (const char *end = text + strlen(text); text < end && !page->failed;) {
        unsigned char byte = (unsigned char)*text;
        size_t step = byte < 0x80 ? (byte >= 0x20 && byte != 0x7f ? 1 : 0) : api_utf8_step(text, end);
        const char *entity = step == 0 ? "\xEF\xBF\xBD" : NULL;
        for (size_t i = 0; i < sizeof entities / sizeof entities[0]; i++)
            if (*text == entities[i].byte)
                entity = entities[i].entity;
        page->failed = entity != NULL ? !ctl_append(&page->text, &page->err, "%s", entity)
                                      : !ctl_append(&page->text, &page->err, "%.*s", (int)step, text);
        text += step > 0 ? step : 1;
    }
}

/* ---- head ---- */

static void tile(struct page *page, const char *title, const char *note, double value, int places, const char *unit)
{
    page_add(page, "<div class=\"tile\"><span>%s</span><b>", title);
    if (isfinite(value))
        page_add(page, "%.*f%s", places, value, unit);
    else
        page_add(page, "–");
    page_add(page, "</b><small>%s</small></div>\n", note);
}

/* What is ranked. */
static const char *things(const struct eval *eval) { return eval->options.detector ? "detections" : "pictures"; }

static void write_head(struct page *page, const struct eval *eval)
{
    const struct eval_subject *subject = &eval->subjects[0];
    const struct ood_subject_figures *figures = &eval->evaluation.subjects[0];
    const struct ood_ranking *mean = &figures->of[OOD_CONTENDER_SCORE].rows[eval->evaluation.rows - 1];
    const struct ood_interval *interval = &figures->accuracy_interval;
    char known[CTL_COUNT_TEXT], note[96] = "of labelled pictures", note_out[96];
    page_add(page, "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
             "<meta name=\"color-scheme\" content=\"light dark\">\n<title>");
    page_text(page, subject->network.bundle->name);
    page_add(page, ": known and foreign %s</title>\n<style>\n", things(eval));
    for (size_t i = 0; i < sizeof eval_style / sizeof eval_style[0]; i++)
        page_add(page, "%s\n", eval_style[i]);
    page_add(page, "</style>\n</head>\n<body>\n<main>\n<h1>How well <em>");
    page_text(page, subject->network.bundle->name);
    page_add(page, "</em> tells known %s from foreign ones</h1>\n<p class=\"sub\">version %.12s · %s known %s, %zu set%s of foreign ones</p>\n",
             things(eval), subject->network.bundle->version, ctl_count(subject->in.count, known), things(eval), eval->set_count,
             eval->set_count == 1 ? "" : "s");
    if (isfinite(interval->low))
        snprintf(note, sizeof note, "95 %%: %.2f to %.2f", 100 * interval->low, 100 * interval->high);
    snprintf(note_out, sizeof note_out, "promised: about %g %%", 100 * subject->network.bundle->judge.alpha);
    page_add(page, "<div class=\"tiles\">\n");
    if (eval->options.detector)
        tile(page, "AP50", "of the known pictures", subject->in.found.ap50, 4, "");
    else
        tile(page, "Accuracy", isnan(figures->accuracy) ? "no labels" : note, 100 * figures->accuracy, 2, " %");
    tile(page, "FPR95 of S", "mean of the sets; low is good", 100 * mean->fpr95, 1, " %");
    tile(page, "AUROC of S", "mean of the sets; high is good", mean->auroc, 4, "");
    tile(page, "Known, called out", note_out, 100 * (double)subject->in.decided[OOD_OUT] / (double)subject->in.count, 2, " %");
    page_add(page, "</div>\n");
}

/* ---- tables ---- */

static void cell(struct page *page, const struct ood_figures *figures, size_t row, size_t figure, bool best)
{
    bool rate = ood_figure_infos[figure].low_is_good;        /* in percent */
    double scale = rate ? 100 : 1, value = scale * ood_figure_of(&figures->rows[row], figure);
    page_add(page, best ? "<td class=\"best\">%.*f" : "<td>%.*f", rate ? 1 : 4, value);
    if (figures->low != NULL)
        page_add(page, "<small>%.*f–%.*f</small>", rate ? 1 : 3, scale * ood_figure_of(&figures->low[row], figure), rate ? 1 : 3,
                 scale * ood_figure_of(&figures->high[row], figure));
    page_add(page, "</td>");
}

/* The best score of a row is set in bold. */
static size_t best_of(const struct ood_subject_figures *figures, size_t row, size_t figure)
{
    size_t best = SIZE_MAX;
    for (size_t c = 0; c < OOD_CONTENDERS; c++) {
        if (!figures->of[c].there)
            continue;
        double value = ood_figure_of(&figures->of[c].rows[row], figure);
        double champion = best == SIZE_MAX ? value : ood_figure_of(&figures->of[best].rows[row], figure);
        if (best == SIZE_MAX || (ood_figure_infos[figure].low_is_good ? value < champion : value > champion))
            best = c;
    }
    return best;
}

/* A folded table with a column a score begins. */
static void open_table(struct page *page, const struct eval *eval, const struct ood_subject_figures *figures, bool open, const char *title, const char *sense)
{
    page_add(page, "<details%s><summary>%s%s</summary>\n<div class=\"wide\"><table>\n<thead><tr><th scope=\"col\">set</th>", open ? " open" : "", title, sense);
    for (size_t c = 0; c < OOD_CONTENDERS; c++)
        if (figures->of[c].there)
            page_add(page, "<th scope=\"col\">%s</th>", eval_title(eval, c));
    page_add(page, "</tr></thead>\n<tbody>\n");
}

static void write_aurc(struct page *page, const struct eval *eval, size_t i)
{
    const struct ood_subject_figures *figures = &eval->evaluation.subjects[i];
    if (isnan(figures->accuracy))
        return;
    size_t best = SIZE_MAX;
    for (size_t c = 0; c < OOD_CONTENDERS; c++)
        if (figures->of[c].there && (best == SIZE_MAX || figures->of[c].aurc < figures->of[best].aurc))
            best = c;
    open_table(page, eval, figures, false, "AURC: the network's own mistakes on known pictures", " (low is good)");
    page_add(page, "<tr><th scope=\"row\">in</th>");
    for (size_t c = 0; c < OOD_CONTENDERS; c++)
        if (figures->of[c].there)
            page_add(page, c == best ? "<td class=\"best\">%.5f</td>" : "<td>%.5f</td>", figures->of[c].aurc);
    page_add(page, "</tr>\n</tbody></table></div></details>\n");
}

static void write_figure(struct page *page, const struct eval *eval, size_t i, size_t figure)
{
    const struct ood_evaluation *evaluation = &eval->evaluation;
    const struct ood_subject_figures *figures = &evaluation->subjects[i];
    char title[OOD_ROW_TEXT];
    open_table(page, eval, figures, figure < 2, ood_figure_infos[figure].title, ood_figure_infos[figure].low_is_good ? ", % (low is good)" : " (high is good)");
    for (size_t row = 0; row < evaluation->rows; row++) {
        size_t best = best_of(figures, row, figure);
        page_add(page, "<tr%s><th scope=\"row\">", row >= evaluation->sets ? " class=\"mean\"" : "");
        page_text(page, ood_row_title(evaluation, eval->names, row, title));
        if (row < evaluation->sets && eval->sets[row].group != NULL) {
            page_add(page, " <small>");
            page_text(page, eval->sets[row].group);
            page_add(page, "</small>");
        }
        page_add(page, "</th>");
        for (size_t c = 0; c < OOD_CONTENDERS; c++)
            if (figures->of[c].there)
                cell(page, &figures->of[c], row, figure, c == best);
        page_add(page, "</tr>\n");
    }
    page_add(page, "</tbody></table></div></details>\n");
}

static void write_tables(struct page *page, const struct eval *eval)
{
    for (size_t i = 0; i < eval->subject_count; i++) {
        page_add(page, "<h2>%s", i == 0 ? "Figures" : "Figures of ");
        if (i > 0)
            page_text(page, eval->subjects[i].network.bundle->name);
        page_add(page, "</h2>\n");
        for (size_t f = 0; f < OOD_FIGURES; f++)
            write_figure(page, eval, i, f);
        write_aurc(page, eval, i);
    }
}

/* FPR95 of ours against the other's, over all sets. */
static void write_reductions(struct page *page, const struct eval *eval)
{
    const struct ood_evaluation *evaluation = &eval->evaluation;
    size_t last = SIZE_MAX;
    if (eval->subject_count < 2)
        return;
    page_add(page, "<h2>Against <em>");
    page_text(page, eval->subjects[1].network.bundle->name);
    page_add(page, "</em></h2>\n<p>How much less the mean FPR95 over all sets is, in %%: 1 − ours / theirs; small, the 95 %% interval over the same resamples. "
             "Our scores down, theirs across.</p>\n<div class=\"wide\"><table>\n<thead><tr><th scope=\"col\">ours</th>");
    for (size_t c = 0; c < OOD_CONTENDERS; c++)
        if (evaluation->subjects[1].of[c].there)
            page_add(page, "<th scope=\"col\">%s</th>", eval_title(eval, c));
    page_add(page, "</tr></thead>\n<tbody>\n");
    for (size_t i = 0; i < evaluation->reduction_count; i++) {
        const struct ood_reduction *reduction = &evaluation->reductions[i];
        if (reduction->row != evaluation->rows - 1)
            continue;
        if (reduction->ours != last)
            page_add(page, "%s<tr><th scope=\"row\">%s</th>", last == SIZE_MAX ? "" : "</tr>\n", eval_title(eval, reduction->ours));
        last = reduction->ours;
        if (!isfinite(reduction->relative))
            page_add(page, "<td>–</td>");
        else
            page_add(page, "<td>%.1f", 100 * reduction->relative);
        if (isfinite(reduction->relative) && isfinite(reduction->interval.low))
            page_add(page, "<small>%.1f to %.1f</small>", 100 * reduction->interval.low, 100 * reduction->interval.high);
        if (isfinite(reduction->relative))
            page_add(page, "</td>");
    }
    page_add(page, "</tr>\n</tbody></table></div>\n");
}

/* ---- charts ---- */

static const enum ood_contender drawn[] = { OOD_CONTENDER_SCORE, OOD_CONTENDER_ENERGY, OOD_CONTENDER_REPRESENTATION, OOD_CONTENDER_MSP };
#define DRAWN (sizeof drawn / sizeof drawn[0])

static void scores_of(const struct eval_pictures *pictures, struct ood_scores *scores)
{
    scores->count = pictures->count;
    for (size_t c = 0; c < OOD_CONTENDERS; c++)
        scores->of[c] = pictures->columns[c];
}

static bool write_charts(struct page *page, const struct eval *eval, struct ood_error *err)
{
    const struct eval_subject *subject = &eval->subjects[0];
    const struct ood_judge *judge = &subject->network.bundle->judge;
    static const char *const titles[] = { "S", "−E", "−D" };       /* as they are drawn: to the right is in */
    struct ood_scores in, out;
    scores_of(&subject->in, &in);
    page_add(page, "<h2>Scores of known and foreign %s</h2>\n<p class=\"legend\"><i class=\"in\"></i>known <i class=\"out\"></i>foreign%s · "
             "to the right is in; the ends hold what lies beyond</p>\n", things(eval),
             judge->per_class ? "" : " <i class=\"limit\"></i>the bundle's threshold");
    for (size_t s = 0; s < eval->set_count; s++) {
        page_add(page, "<section><h3>");
        page_text(page, eval->sets[s].name);
        page_add(page, "</h3>\n<div class=\"row\">\n");
        for (size_t c = 0; c < 3; c++) {
            const struct ood_figures *figures = &eval->evaluation.subjects[0].of[drawn[c]];
            if (figures->there)
                chart_histogram(page, eval->sets[s].name, titles[c], subject->in.columns[drawn[c]], subject->in.count,
                                subject->out[s].columns[drawn[c]], subject->out[s].count,
                                drawn[c] == OOD_CONTENDER_SCORE && !judge->per_class ? judge->threshold : NAN, &figures->rows[s]);
        }
        page_add(page, "</div></section>\n");
    }
    page_add(page, "<h2>ROC curves</h2>\n<p class=\"legend\">");
    for (size_t c = 0; c < DRAWN; c++)
        page_add(page, "<i class=\"c%zu\"></i>%s ", c, eval_title(eval, drawn[c]));
    page_add(page, "· across: foreign %s accepted; up: known %s accepted; the thin line: 95 %% of them</p>\n<div class=\"rocs\">\n", things(eval),
             things(eval));
    for (size_t s = 0; s < eval->set_count; s++) {
        scores_of(&subject->out[s], &out);
        if (!chart_roc(page, eval->sets[s].name, &in, &out, drawn, DRAWN, err))
            return false;
    }
    page_add(page, "</div>\n");
    return true;
}

/* ---- classes ---- */

struct tally { size_t known, right, labelled, out, foreign, accepted; };

static bool write_classes(struct page *page, const struct eval *eval, struct ood_error *err)
{
    const struct eval_subject *subject = &eval->subjects[0];
    const struct ood_bundle *bundle = subject->network.bundle;
    struct tally *tallies = ood_new_array(struct tally, bundle->classes, err);
    if (tallies == NULL)
        return false;
    for (size_t i = 0; i < subject->in.count; i++) {
        const struct eval_picture *picture = &subject->in.items[i];
        struct tally *tally = &tallies[picture->predicted];
        tally->known++;
        tally->out += picture->decision == OOD_OUT;
        if (picture->label == OOD_NONE)
            continue;
        tallies[picture->label].labelled++;
        tallies[picture->label].right += picture->label == picture->predicted;
    }
    for (size_t s = 0; s < eval->set_count; s++)
        for (size_t i = 0; i < subject->out[s].count; i++) {
            struct tally *tally = &tallies[subject->out[s].items[i].predicted];
            tally->foreign++;
            tally->accepted += subject->out[s].items[i].decision != OOD_OUT;
        }
    page_add(page, "<h2>Classes</h2>\n<p>Thresholds of S at α = %g%s. Counts are by the class the network gives%s.</p>\n"
             "<div class=\"wide\"><table>\n<thead><tr><th scope=\"col\">class</th><th scope=\"col\">threshold</th><th scope=\"col\">calibrated on</th>"
             "%s<th scope=\"col\">known</th><th scope=\"col\">of them out</th><th scope=\"col\">foreign</th>"
             "<th scope=\"col\">of them accepted</th></tr></thead>\n<tbody>\n", bundle->judge.alpha,
             bundle->judge.per_class ? ", of the predicted class" : ", one for all classes", eval->options.detector ? "; classes that nothing was given are left out" : "; accuracy by the label",
             eval->options.detector ? "" : "<th scope=\"col\">accuracy</th>");
    for (size_t k = 0; k < bundle->classes; k++) {
        const struct tally *tally = &tallies[k];
        size_t calibrated;
        if (eval->options.detector && tally->known + tally->foreign == 0)
            continue;                        /* detectors know many classes that a set has none of */
        double threshold = ood_judge_threshold(&bundle->judge, k, &calibrated);
        page_add(page, "<tr><th scope=\"row\">");
        page_text(page, bundle->labels[k]);
        page_add(page, "</th><td>%.3f</td><td>%zu</td>", threshold, calibrated);
        if (tally->labelled > 0)
            page_add(page, "<td>%.1f %%</td>", 100 * (double)tally->right / (double)tally->labelled);
        else if (!eval->options.detector)
            page_add(page, "<td>–</td>");
        page_add(page, "<td>%zu</td><td>%zu</td><td>%zu</td><td>%zu</td></tr>\n", tally->known, tally->out, tally->foreign, tally->accepted);
    }
    page_add(page, "</tbody></table></div>\n");
    ood_free(tallies);
    return true;
}

/* ---- pictures ---- */

/* The picture and its boxes as one drawing in the picture's pixels. */
static void write_boxes(struct page *page, const struct eval_worst *worst, const char *encoded)
{
    page_add(page, "<svg class=\"boxes\" viewBox=\"0 0 %zu %zu\" role=\"img\" aria-label=\"", worst->width, worst->height);
    page_text(page, worst->id);
    page_add(page, "\"><image width=\"%zu\" height=\"%zu\" href=\"data:image/jpeg;base64,", worst->width, worst->height);
    page_text(page, encoded);
    page_add(page, "\"/>");
    for (size_t i = worst->box_count; i-- > 0;) {        /* the worst on top */
        const struct eval_box *box = &worst->boxes[i];
        page_add(page, "<rect class=\"%s%s\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"/>", ood_decision_name(box->decision), i == 0 ? " first" : "",
                 box->box[0], box->box[1], box->box[2] - box->box[0], box->box[3] - box->box[1]);
    }
    page_add(page, "</svg>");
}

static bool write_worst(struct page *page, const struct eval *eval, const char *title, const char *what, const struct eval_worst *list, size_t count,
                        struct ood_error *err)
{
    page_add(page, "<h2>%s</h2>\n<p>%s</p>\n<div class=\"thumbs%s\">\n", title, count > 0 ? what : "There are none.",
             eval->options.detector ? " large" : "");
    for (size_t i = 0; i < count; i++) {
        char *encoded = ood_base64(list[i].jpeg.data, list[i].jpeg.size, err);
        if (encoded == NULL)
            return false;
        page_add(page, "<figure>");
        if (list[i].boxes != NULL) {
            write_boxes(page, &list[i], encoded);
        } else {
            page_add(page, "<img src=\"data:image/jpeg;base64,");
            page_text(page, encoded);        /* longer than page_add takes, and without a character to escape */
            page_add(page, "\" alt=\"");
            page_text(page, list[i].id);
            page_add(page, "\">");
        }
        ood_free(encoded);
        page_add(page, "<figcaption><b>%.2f</b> ", list[i].score);
        page_text(page, eval->subjects[0].network.bundle->labels[list[i].class_index]);
        page_add(page, "<small>");
        if (list[i].set != NULL) {
            page_text(page, list[i].set);
            page_add(page, ": ");
        }
        page_text(page, list[i].id);
        page_add(page, "</small></figcaption></figure>\n");
    }
    page_add(page, "</div>\n");
    return true;
}

/* ---- how it was made ---- */

static void count_row(struct page *page, const char *name, const char *group, const struct eval_counts *counts, const size_t *decided)
{
    page_add(page, "<tr><th scope=\"row\">");
    page_text(page, name);
    page_add(page, "</th><td>");
    page_text(page, group != NULL ? group : "–");
    page_add(page, "</td><td>%zu</td><td>%zu</td><td>%zu</td><td>%zu</td>", counts->pictures, counts->unscored, counts->excluded, counts->skipped);
    size_t judged = decided != NULL ? decided[OOD_IN] + decided[OOD_REVIEW] + decided[OOD_OUT] : 0;
    if (judged > 0)
        page_add(page, "<td>%.2f %%</td></tr>\n", 100 * (double)decided[OOD_OUT] / (double)judged);
    else
        page_add(page, "<td>–</td></tr>\n");
}

/* What the detector found, beside the counts of pictures. */
static void found_row(struct page *page, const char *name, const struct eval_pictures *pictures)
{
    const struct eval_found *found = &pictures->found;
    page_add(page, "<tr><th scope=\"row\">");
    page_text(page, name);
    page_add(page, "</th><td>%zu</td><td>%zu</td>", found->detections, pictures->count);
    if (found->annotated && found->objects > 0)
        page_add(page, "<td>%zu</td><td>%zu</td><td>%.1f %%</td></tr>\n", found->objects, found->missed, 100 * (double)found->missed / (double)found->objects);
    else
        page_add(page, "<td>–</td><td>–</td><td>–</td></tr>\n");
}

static void write_found(struct page *page, const struct eval *eval)
{
    const struct eval_subject *subject = &eval->subjects[0];
    page_add(page, "<h2>What the detector finds</h2>\n<p>Detections with a score of %.4f or more. Ranked are, of known pictures, those that match an object "
             "(IoU 0.5, same class), of foreign ones all. An object that no detection matches is never judged at all.</p>\n<div class=\"wide\"><table>\n"
             "<thead><tr><th scope=\"col\">pictures</th><th scope=\"col\">detections</th><th scope=\"col\">ranked</th><th scope=\"col\">objects</th>"
             "<th scope=\"col\">never detected</th><th scope=\"col\">share</th></tr></thead>\n<tbody>\n", subject->network.bundle->detector->limit);
    found_row(page, "in", &subject->in);
    for (size_t s = 0; s < eval->set_count; s++)
        found_row(page, eval->sets[s].name, &subject->out[s]);
    page_add(page, "</tbody></table></div>\n");
}

static void write_made(struct page *page, const struct eval *eval)
{
    const struct eval_subject *subject = &eval->subjects[0];
    page_add(page, "<h2>How this was made</h2>\n<dl>\n<dt>command</dt><dd><code>");
    page_text(page, eval->command.text);
    page_add(page, "</code></dd>\n<dt>program</dt><dd>oodctl %s</dd>\n", ood_version());
    for (size_t i = 0; i < eval->subject_count; i++) {
        page_add(page, "<dt>%s</dt><dd>", i == 0 ? "bundle" : "compared to");
        page_text(page, eval->subjects[i].network.bundle->name);
        page_add(page, ", version <code>%s</code></dd>\n", eval->subjects[i].network.bundle->version);
    }
    page_add(page, "<dt>convention</dt><dd>%s</dd>\n", ood_convention_sentence(OOD_CONVENTION_DEFAULT));
    if (eval->options.resamples > 0)
        page_add(page, "<dt>intervals</dt><dd>95 %%, percentiles of %zu bootstrap resamples of the pictures, the same for every score; seed %zu</dd>\n",
                 eval->options.resamples, eval->options.seed);
    page_add(page, "</dl>\n<div class=\"wide\"><table>\n<thead><tr><th scope=\"col\">pictures</th><th scope=\"col\">group</th><th scope=\"col\">scored</th>"
             "<th scope=\"col\">not scored</th><th scope=\"col\">excluded</th><th scope=\"col\">other files</th><th scope=\"col\">decided out</th></tr></thead>\n<tbody>\n");
    count_row(page, "in", NULL, &subject->in.counts, subject->in.decided);
    for (size_t s = 0; s < eval->set_count; s++)
        count_row(page, eval->sets[s].name, eval->sets[s].group, &subject->out[s].counts, subject->out[s].decided);
    if (eval->options.fit != NULL)
        count_row(page, "fit", NULL, &subject->fit, NULL);
    page_add(page, "</tbody></table></div>\n<div class=\"wide\"><table class=\"words\">\n<thead><tr><th scope=\"col\">score</th><th scope=\"col\">what it is</th>"
             "<th scope=\"col\">by</th></tr></thead>\n<tbody>\n");
    for (size_t c = 0; c < OOD_CONTENDERS; c++) {
        const struct ood_contender_info *info = ood_contender_info((enum ood_contender)c);
        bool own = eval->options.detector && c == OOD_CONTENDER_MSP;
        if (eval->options.detector && subject->in.columns[c] == NULL)
            continue;
        page_add(page, "<tr><th scope=\"row\">%s</th><td>", eval_title(eval, c));
        page_text(page, own ? "the detector's probability of its best class" : info->formula);
        if (subject->missing[c] != NULL) {
            page_add(page, "<br><small>left out: ");
            page_text(page, subject->missing[c]);
            page_add(page, "</small>");
        }
        page_add(page, "</td><td>");
        page_text(page, info->source);
        page_add(page, "</td></tr>\n");
    }
    page_add(page, "</tbody></table></div>\n");
}

bool eval_report(const struct eval *eval, struct ood_error *err)
{
    static const char accepted[] = "Foreign pictures the bundle did not call out, the highest S first: S, the class given, the set.",
                      rejected[] = "Known pictures the bundle called out, the lowest S first.",
                      accepted_boxes[] = "Foreign pictures with the detection of the highest S that was not called out (the thick box): its S, the class "
                                         "given, the set. <i class=\"key in\"></i>in <i class=\"key review\"></i>review <i class=\"key out\"></i>out",
                      rejected_boxes[] = "Known pictures with the matched detection of the lowest S that was called out (the thick box), and their other "
                                         "matched detections.";
    struct page page = { 0 };
    const struct eval_worsts *worsts = &eval->worsts;
    write_head(&page, eval);
    write_tables(&page, eval);
    write_reductions(&page, eval);
    if (eval->options.detector)
        write_found(&page, eval);
    bool done = write_charts(&page, eval, err) && write_classes(&page, eval, err) &&
                write_worst(&page, eval, "Most wrongly accepted", eval->options.detector ? accepted_boxes : accepted, worsts->accepted,
                            worsts->accepted_count, err) &&
                write_worst(&page, eval, "Most wrongly rejected", eval->options.detector ? rejected_boxes : rejected, worsts->rejected,
                            worsts->rejected_count, err);
    if (done)
        write_made(&page, eval);
    page_add(&page, "</main>\n</body>\n</html>\n");
    if (done && page.failed) {
        *err = page.err;
        done = false;
    }
    done = done && ood_file_write(eval->options.report, page.text.text, page.text.length, err);
    ood_free(page.text.text);
    return done;
}
