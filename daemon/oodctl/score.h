/* What the two halves of `oodctl score` share: rows of its table, and pictures with boxes. */
#ifndef OODCTL_SCORE_H
#define OODCTL_SCORE_H

#include "ood.h"

int ctl_score_label_width(const struct ood_scorer *scorer);
/* The line of column names; what: of the last. */
void ctl_score_head(int label_width, const char *what);
/* All of a row but its last column and its end. */
void ctl_score_row(const struct ood_scorer *scorer, int label_width, const struct ood_verdict *verdict);

/* The boxes of a file in each picture; path: the next one, valid until asked again, NULL at the end. Returns the exit status. */
int ctl_score_boxes(const struct ood_scorer *scorer, const char *file, bool json, const char *(*path)(void *context), void *context);

#endif
