/* Detections against ground truth: who matches whom, average precision at IoU 0.5, the score limit with the best F1. */
#ifndef OOD_DETECT_MATCH_H
#define OOD_DETECT_MATCH_H

#include "detect/annotations.h"

#define OOD_MATCH_IOU 0.5

enum ood_match { OOD_UNMATCHED, OOD_MATCHED, OOD_MATCH_IGNORED };    /* ignored: covers an ignored truth, neither right nor wrong */

struct ood_found { double box[4]; double score; size_t class_index; };

/* Detections n by falling score; each takes the truth of its class with the greatest IoU (ties: the first) of those still free, if that
 * is 0.5 or more (COCO's rule). classes[name]: the detector's class of an annotation's name, SIZE_MAX: none. result[n]. free[m] is
 * scratch: true where no detection took the truth. `any_class`: classes need not agree. */
void ood_match(const struct ood_found *found, size_t n, const struct ood_annotated *truth, const size_t *classes, bool any_class,
               enum ood_match *result, bool *free);

/* ---- AP50 and F1 over many pictures ---- */

struct ood_tally_record { double score; uint32_t class_index; bool right; };
struct ood_tally {
    size_t classes;
    size_t *truths;                          /* [classes]: not ignored */
    struct ood_tally_record *records;    /* ignored detections left out */
    size_t count, capacity;
};
bool ood_tally_begin(struct ood_tally *tally, size_t classes, struct ood_error *err) OOD_MUST_CHECK;
/* truth may be NULL: a picture without annotations has no objects. */
bool ood_tally_add(struct ood_tally *tally, const struct ood_found *found, size_t n, const struct ood_annotated *truth,
                       const size_t *classes, struct ood_error *err) OOD_MUST_CHECK;
/* Mean over the classes that have truths of the 101-point interpolated average precision at IoU 0.5 (COCO). NAN: no truths. */
double ood_tally_ap50(struct ood_tally *tally);
/* The score at and above which 2·TP/(detections + truths) over all classes is greatest (ties: the greater score); *f1 (may be NULL).
 * NAN: no detection is right. */
double ood_tally_best_limit(struct ood_tally *tally, double *f1);
void ood_tally_free(struct ood_tally *tally);

/* The class of each annotation name by its label, letters' case aside; SIZE_MAX: none of them. classes[names]. */
void ood_match_names(const struct ood_annotations *annotations, char *const *labels, size_t label_count, size_t *classes);

#endif
