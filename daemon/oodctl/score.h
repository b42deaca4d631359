/* What the two halves of `oodctl score` share: rows of its table, and pictures with boxes. */
#ifndef OODCTL_SCORE_H
#define OODCTL_SCORE_H

#include "ood.h"

int ctl_score_label_width(const struct ood_scorer *scorer);
/* The line of column names; what: of the last. */
void ctl_score_head(int label_width, const char *what);
/* All of a row but its last column and its end. */
void ctl_score_row(const struct ood_scorer *scorer, int label_width, const struct ood_verdict *verdict);

/* The boxes of a file in each picture, or, file NULL, what a detector's bundle finds there; draw: NULL, or the folder where each picture
 * is written to with its boxes. path: the next one, valid until asked again, NULL at the end. Returns the exit status. */
int ctl_score_boxes(const struct ood_scorer *scorer, const char *file, bool json, const char *draw, const char *(*path)(void *context),
                    void *context);

/* The picture with its detections' boxes, green (in), yellow (review), red (out) or grey (failed), as DRAW/NNNN-NAME.png. */
bool ctl_draw(const char *folder, size_t index, const char *path, const void *bytes, size_t size, const struct ood_detection *detections,
              size_t count, struct ood_error *err) OOD_MUST_CHECK;

#endif
