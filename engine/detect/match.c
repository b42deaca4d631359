/* Matching by COCO's rules, and what is summed up over pictures. */
#include "detect/match.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "detect/detect.h"

void ood_match_names(const struct ood_annotations *annotations, char *const *labels, size_t label_count, size_t *classes)
{
    for (size_t i = 0; i < annotations->name_count; i++) {
        classes[i] = SIZE_MAX;
        for (size_t k = label_count; k-- > 0;)
            if (strcasecmp(annotations->names[i], labels[k]) == 0)
                classes[i] = k;
    }
}

/* Share of the detection inside an ignored region: what counts there, as in COCO. */
static double inside(const double box[4], const double region[4])
{
    double width = fmin(box[2], region[2]) - fmax(box[0], region[0]), height = fmin(box[3], region[3]) - fmax(box[1], region[1]);
    return width > 0 && height > 0 ? width * height / ((box[2] - box[0]) * (box[3] - box[1])) : 0;
}

void ood_match(const struct ood_found *found, size_t n, const struct ood_annotated *truth, const size_t *classes, bool any_class,
               enum ood_match *result, bool *free)
{
    size_t m = truth == NULL ? 0 : truth->count;
    for (size_t t = 0; t < m; t++)
        free[t] = true;
    for (size_t i = 0; i < n; i++) {
        size_t best = SIZE_MAX;
        double best_iou = 0;
        result[i] = OOD_UNMATCHED;
        for (size_t t = 0; t < m; t++) {
            const struct ood_truth *object = &truth->truths[t];
            if (!any_class && classes[object->name] != found[i].class_index)
                continue;
            if (object->ignored) {
                if (result[i] == OOD_UNMATCHED && inside(found[i].box, object->box) >= OOD_MATCH_IOU)
                    result[i] = OOD_MATCH_IGNORED;
                continue;
            }
            double iou = ood_iou(found[i].box, object->box);
            if (free[t] && iou >= OOD_MATCH_IOU && iou > best_iou) {
                best_iou = iou;
                best = t;
            }
        }
        if (best != SIZE_MAX) {
            free[best] = false;
            result[i] = OOD_MATCHED;
        }
    }
}

bool ood_tally_begin(struct ood_tally *tally, size_t classes, struct ood_error *err)
{
    *tally = (struct ood_tally){ .classes = classes, .truths = ood_new_array(size_t, classes, err) };
    return tally->truths != NULL;
}

bool ood_tally_add(struct ood_tally *tally, const struct ood_found *found, size_t n, const struct ood_annotated *truth,
                       const size_t *classes, struct ood_error *err)
{
    size_t m = truth == NULL ? 0 : truth->count;
    enum ood_match *result = ood_new_array(enum ood_match, n, err);
    bool *free = ood_new_array(bool, m, err);
    bool done = result != NULL && free != NULL &&
                ood_grow(&tally->records, &tally->capacity, tally->count + n, sizeof *tally->records, err);
    if (done) {
        ood_match(found, n, truth, classes, false, result, free);
        for (size_t i = 0; i < n; i++)
            if (result[i] != OOD_MATCH_IGNORED)
                tally->records[tally->count++] = (struct ood_tally_record){ found[i].score, (uint32_t)found[i].class_index,
                                                                                        result[i] == OOD_MATCHED };
        for (size_t t = 0; t < m; t++)
            if (!truth->truths[t].ignored && classes[truth->truths[t].name] < tally->classes)
                tally->truths[classes[truth->truths[t].name]]++;
    }
    ood_free(result);
    ood_free(free);
    return done;
}

/* By class, then falling score; equal scores keep wrong before right, so that no order of pictures flatters. */
static int by_class(const void *a, const void *b)
{
    const struct ood_tally_record *x = a, *y = b;
    if (x->class_index != y->class_index)
        return x->class_index < y->class_index ? -1 : 1;
    return x->score != y->score ? (x->score > y->score ? -1 : 1) : (int)x->right - (int)y->right;
}

static int by_falling_score(const void *a, const void *b)
{
    const struct ood_tally_record *x = a, *y = b;
    return x->score != y->score ? (x->score > y->score ? -1 : 1) : (int)x->right - (int)y->right;
}

/* 101-point interpolated precision of one class's records, best first. Precision is made to fall from the back: what was reached
 * at a recall or any greater one. */
static double average_precision(const struct ood_tally_record *records, size_t n, size_t truths)
{
    double sum = 0, envelope = 0;
    size_t right = 0, next = 101;            /* recall points not yet passed: next / 100 and below */
    for (size_t i = 0; i < n; i++)
        right += records[i].right;
    for (size_t i = n; i-- > 0;) {
        double recall = (double)right / (double)truths, precision = (double)right / (double)(i + 1);
        /* recall points above this recall take the envelope of what lies behind */
        while (next > 0 && (double)(next - 1) / 100 > recall + 1e-12) {
            sum += envelope;
            next--;
        }
        envelope = fmax(envelope, precision);
        right -= records[i].right;
    }
    return (sum + (double)next * envelope) / 101;
}

double ood_tally_ap50(struct ood_tally *tally)
{
    double sum = 0;
    size_t present = 0, at = 0;
    if (tally->count > 0)
        qsort(tally->records, tally->count, sizeof *tally->records, by_class);
    for (size_t k = 0; k < tally->classes; k++) {
        size_t first = at;
        while (at < tally->count && tally->records[at].class_index == k)
            at++;
        if (tally->truths[k] == 0)
            continue;
        present++;
        sum += at > first ? average_precision(tally->records + first, at - first, tally->truths[k]) : 0;
    }
    return present == 0 ? (double)NAN : sum / (double)present;
}

double ood_tally_best_limit(struct ood_tally *tally, double *f1)
{
    size_t truths = 0, right = 0;
    double best = -1, limit = (double)NAN;
    for (size_t k = 0; k < tally->classes; k++)
        truths += tally->truths[k];
    if (tally->count > 0)
        qsort(tally->records, tally->count, sizeof *tally->records, by_falling_score);
    for (size_t i = 0; i < tally->count; i++) {
        right += tally->records[i].right;
        if (i + 1 < tally->count && tally->records[i + 1].score == tally->records[i].score)
            continue;                        /* a limit takes all of one score or none */
        double f = 2 * (double)right / (double)(i + 1 + truths);
        if (right > 0 && f > best) {
            best = f;
            limit = tally->records[i].score;
        }
    }
    if (f1 != NULL && !isnan(limit))
        *f1 = best;
    return limit;
}

void ood_tally_free(struct ood_tally *tally)
{
    ood_free(tally->truths);
    ood_free(tally->records);
    *tally = (struct ood_tally){ 0 };
}
