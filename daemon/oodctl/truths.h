/* Annotations as fit and eval take them. */
#ifndef OODCTL_TRUTHS_H
#define OODCTL_TRUTHS_H

#include "daemon/oodctl/oodctl.h"
#include "detect/annotations.h"

#define CTL_LIMIT_LEAST 0.01                 /* detections that AP50, and a score limit, are looked for among */

/* The file or folder at path into *annotations, which is zero before; *classes: fresh memory for a class a name. What is left out is said. */
bool ctl_truths_read(const char *command, const char *path, struct ood_annotations *annotations, size_t **classes,
                     struct ood_error *err) OOD_MUST_CHECK;
/* classes[names]: of each name the class with that label, SIZE_MAX for none, which is said unless `quiet`; a failure where all have none. */
bool ctl_truths_match(const char *command, const char *path, const struct ood_annotations *annotations, char *const *labels, size_t label_count,
                      bool quiet, size_t *classes, struct ood_error *err) OOD_MUST_CHECK;

#endif
