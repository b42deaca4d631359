/* Annotations as fit and eval take them: read, with what is left out said, and their names matched with a detector's classes. */
#include "daemon/oodctl/truths.h"

#include "detect/match.h"

bool ctl_truths_read(const char *command, const char *path, struct ood_annotations *annotations, size_t **classes, struct ood_error *err)
{
    if (!ood_annotations_read(path, annotations, err))
        return false;
    if (annotations->skipped > 0)
        ctl_say("%s: %s: %zu boxes without area were left out", command, path, annotations->skipped);
    *classes = ood_new_array(size_t, annotations->name_count, err);
    return *classes != NULL;
}

bool ctl_truths_match(const char *command, const char *path, const struct ood_annotations *annotations, char *const *labels, size_t label_count,
                      bool quiet, size_t *classes, struct ood_error *err)
{
    size_t known = 0;
    ood_match_names(annotations, labels, label_count, classes);
    for (size_t i = 0; i < annotations->name_count; i++) {
        known += classes[i] != SIZE_MAX;
        if (classes[i] == SIZE_MAX && !quiet)
            ctl_say("%s: %s: category %s is none of the detector's classes", command, path, annotations->names[i]);
    }
    return known > 0 || ood_fail(err, OOD_INVALID, "%s: no category is one of the detector's classes; --labels of fit names those in the detector's order",
                                 path);
}
