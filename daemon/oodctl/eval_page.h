/* The HTML of `oodctl eval --report`: a text that grows, whose parts are markup of ours or text of anyone's. */
#ifndef OODCTL_EVAL_PAGE_H
#define OODCTL_EVAL_PAGE_H

#include "daemon/oodctl/eval.h"

/* After a failed allocation nothing more is written; asked once, at the end. */
struct page { struct ctl_buffer text; bool failed; struct ood_error err; };

/* Our own markup. */
void page_add(struct page *page, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Anyone's text, as content or between double quotes: & < > " ' become entities, control characters and what is not UTF-8 U+FFFD. */
void page_text(struct page *page, const char *text);

/* ---- charts (eval_charts.c): inline SVG ---- */

/* Shares of two sets over one range; limit: a line, NAN none. The title is read aloud. */
void chart_histogram(struct page *page, const char *set, const char *score, const double *in, size_t n, const double *out, size_t m, double limit,
                     const struct ood_ranking *ranking);

#define CHART_CURVES 4
/* ROC curves, ID positive, of up to CHART_CURVES scores (NULL: skipped). False: memory. */
bool chart_roc(struct page *page, const char *set, const struct ood_scores *in, const struct ood_scores *out, const enum ood_contender *which,
               size_t count, struct ood_error *err) OOD_MUST_CHECK;

#endif
