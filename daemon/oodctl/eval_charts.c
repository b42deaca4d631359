/* eval --report: histograms and ROC curves as inline SVG. Colours are classes of the page's style, so that they follow its scheme. */
#include <math.h>
#include <string.h>

#include "daemon/oodctl/eval_page.h"

#define BINS 40
#define WIDTH 220.0
#define HEIGHT 84.0
#define SIDE 150.0

/* ---- histograms ---- */

static void count_bins(const double *scores, size_t n, double low, double high, double bins[BINS])
{
    for (size_t b = 0; b < BINS; b++)
        bins[b] = 0;
    for (size_t i = 0; i < n; i++) {
        double place = high > low ? (scores[i] - low) / (high - low) * BINS : 0;
        size_t b = place < 0 ? 0 : place >= BINS ? BINS - 1 : (size_t)place;      /* what lies outside stands at the ends */
        bins[b] += 1 / (double)n;
    }
}

static void draw_bins(struct page *page, const char *class, const double bins[BINS], double most)
{
    page_add(page, "<path class=\"%s\" d=\"M0 %.0f", class, HEIGHT);
    for (size_t b = 0; b < BINS; b++)
        page_add(page, "V%.1fH%.1f", HEIGHT - (HEIGHT - 4) * bins[b] / most, WIDTH * (double)(b + 1) / BINS);
    page_add(page, "V%.0fZ\"/>", HEIGHT);
}

/* From the least 0.5 % to the greatest 0.5 % of a side: a few far off do not squeeze the rest. */
static void range_of(const double *scores, size_t n, double *low, double *high, bool *known)
{
    struct ood_error err = { 0 };
    double *sorted = ood_sorted_copy(scores, n, &err);
    *known = sorted != NULL;
    if (sorted == NULL)
        return;
    *low = sorted[n / 200];
    *high = sorted[n - 1 - n / 200];
    ood_free(sorted);
}

void chart_histogram(struct page *page, const char *set, const char *score, const double *in, size_t n, const double *out, size_t m, double limit,
                     const struct ood_ranking *ranking)
{
    double low, high, out_low, out_high, in_bins[BINS], out_bins[BINS], most = 0;
    bool known, out_known;
    range_of(in, n, &low, &high, &known);
    range_of(out, m, &out_low, &out_high, &out_known);
    if (!known || !out_known) {
        page->failed = true;
        ood_fail(&page->err, OOD_OUT_OF_MEMORY, "out of memory");
        return;
    }
    low = out_low < low ? out_low : low;
    high = out_high > high ? out_high : high;
    count_bins(in, n, low, high, in_bins);
    count_bins(out, m, low, high, out_bins);
    for (size_t b = 0; b < BINS; b++) {
        most = in_bins[b] > most ? in_bins[b] : most;
        most = out_bins[b] > most ? out_bins[b] : most;
    }
    page_add(page, "<figure><svg viewBox=\"0 -2 %.0f %.0f\" role=\"img\" aria-label=\"", WIDTH, HEIGHT + 16);
    page_text(page, set);
    page_add(page, ", %s: FPR95 %.1f %%, AUROC %.4f\">", score, 100 * ranking->fpr95, ranking->auroc);
    draw_bins(page, "in", in_bins, most);
    draw_bins(page, "out", out_bins, most);
    page_add(page, "<path class=\"axis\" d=\"M0 %.1fH%.0f\"/>", HEIGHT + 0.5, WIDTH);
    if (!isnan(limit) && limit > low && limit < high)
        page_add(page, "<path class=\"limit\" d=\"M%.1f 0V%.0f\"/>", WIDTH * (limit - low) / (high - low), HEIGHT);
    page_add(page, "<text x=\"0\" y=\"%.0f\">%.3g</text><text x=\"%.0f\" y=\"%.0f\" text-anchor=\"end\">%.3g</text></svg>", HEIGHT + 12, low, WIDTH,
             HEIGHT + 12, high);
    page_add(page, "<figcaption>%s · FPR95 %.1f %% · AUROC %.3f</figcaption></figure>\n", score, 100 * ranking->fpr95, ranking->auroc);
}

/* ---- ROC ---- */

/* Points of the curve, thinned: one wherever it has moved half a unit of the drawing. */
static void draw_curve(struct page *page, size_t number, const double *in, size_t n, const double *out, size_t m)
{
    double x = 0, y = 0;
    page_add(page, "<path class=\"curve c%zu\" d=\"M0 %.0f", number, SIDE);
    for (size_t i = n, j = m; i > 0 || j > 0;) {
        double value = j == 0 || (i > 0 && in[i - 1] >= out[j - 1]) ? in[i - 1] : out[j - 1];
        while (i > 0 && in[i - 1] == value)
            i--;
        while (j > 0 && out[j - 1] == value)
            j--;
        double to_x = SIDE * (double)(m - j) / (double)m, to_y = SIDE * (double)(n - i) / (double)n;
        if (to_x - x + to_y - y < 0.5 && (i > 0 || j > 0))
            continue;
        page_add(page, "L%.1f %.1f", to_x, SIDE - to_y);
        x = to_x;
        y = to_y;
    }
    page_add(page, "\"/>");
}

bool chart_roc(struct page *page, const char *set, const struct ood_scores *in, const struct ood_scores *out, const enum ood_contender *which,
               size_t count, struct ood_error *err)
{
    double *in_sorted = ood_new_array(double, in->count, err), *out_sorted = in_sorted != NULL ? ood_new_array(double, out->count, err) : NULL;
    bool done = out_sorted != NULL;
    if (done) {
        page_add(page, "<figure><svg viewBox=\"-1 -1 %.0f %.0f\" role=\"img\" aria-label=\"ROC curves, ", SIDE + 2, SIDE + 2);
        page_text(page, set);
        page_add(page, "\"><path class=\"axis\" d=\"M0 0V%.0fH%.0f\"/><path class=\"grid\" d=\"M0 %.0fL%.0f 0M0 %.1fH%.0f\"/>", SIDE, SIDE, SIDE, SIDE,
                 SIDE * 0.05, SIDE);
    }
    for (size_t c = 0; done && c < count && c < CHART_CURVES; c++) {
        if (in->of[which[c]] == NULL)
            continue;
        memcpy(in_sorted, in->of[which[c]], in->count * sizeof *in_sorted);
        memcpy(out_sorted, out->of[which[c]], out->count * sizeof *out_sorted);
        ood_sort(in_sorted, in->count);
        ood_sort(out_sorted, out->count);
        draw_curve(page, c, in_sorted, in->count, out_sorted, out->count);
    }
    if (done) {
        page_add(page, "</svg><figcaption>");
        page_text(page, set);
        page_add(page, "</figcaption></figure>\n");
    }
    ood_free(in_sorted);
    ood_free(out_sorted);
    return done;
}
