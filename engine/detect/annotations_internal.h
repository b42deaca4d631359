/* What annotations.c gives its readers to build with. */
#ifndef OOD_DETECT_ANNOTATIONS_INTERNAL_H
#define OOD_DETECT_ANNOTATIONS_INTERNAL_H

#include "detect/annotations.h"

const char *annotations_base(const char *path);      /* behind the last '/' */
/* The number of a name, a new one where there is none. */
bool annotations_name(struct ood_annotations *annotations, const char *name, size_t *out, struct ood_error *err) OOD_MUST_CHECK;
/* A new picture; pointers to others are not valid afterwards. */
struct ood_annotated *annotations_picture(struct ood_annotations *annotations, const char *file, struct ood_error *err) OOD_MUST_CHECK;
/* A box without area is counted, not kept. */
bool annotations_truth(struct ood_annotations *annotations, struct ood_annotated *picture, const struct ood_truth *truth,
                       struct ood_error *err) OOD_MUST_CHECK;

#endif
