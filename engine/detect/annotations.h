/* Ground truth of detection pictures: COCO's JSON ("instances"), or a folder of Pascal VOC's XML files. */
#ifndef OOD_DETECT_ANNOTATIONS_H
#define OOD_DETECT_ANNOTATIONS_H

#include "base/file.h"

#define OOD_ANNOTATION_BYTES ((size_t)1 << 30)       /* of a JSON file */
#define OOD_ANNOTATION_XML_BYTES ((size_t)16 << 20)  /* of one XML file */

struct ood_truth {
    double box[4];                           /* x1, y1, x2, y2 in pixels, finite, not empty */
    size_t name;                             /* of ood_annotations.names */
    bool ignored;                            /* COCO: iscrowd; VOC: difficult. Neither asked for nor wrong to find */
};

struct ood_annotated { char *file; struct ood_truth *truths; size_t count, capacity; };      /* file: without folders */

struct ood_annotations {
    char **names;                            /* categories; COCO: in the order of their ids, VOC: as they are met */
    size_t name_count, name_capacity;
    struct ood_annotated *pictures;          /* by the bytes of `file`, each once */
    size_t picture_count, picture_capacity;
    size_t truth_count;                      /* not ignored */
    size_t skipped;                          /* boxes without area */
};

/* Zero *out before; on failure it is left so. Sentences name the member or line: OOD_INVALID. */
bool ood_annotations_coco(const struct ood_bytes *json, struct ood_annotations *out, struct ood_error *err) OOD_MUST_CHECK;

/* One XML file is added; entities and document types are refused. ood_annotations_sort when all are there. VOC counts pixels from 1 and
 * includes the last: x1 and y1 become one less. */
bool ood_annotations_voc(const struct ood_bytes *xml, struct ood_annotations *out, struct ood_error *err) OOD_MUST_CHECK;
/* Refuses a file named twice. */
bool ood_annotations_sort(struct ood_annotations *annotations, struct ood_error *err) OOD_MUST_CHECK;

/* FILE.json, or a folder of *.xml. Sentences begin with the path. */
bool ood_annotations_read(const char *path, struct ood_annotations *out, struct ood_error *err) OOD_MUST_CHECK;
void ood_annotations_free(struct ood_annotations *annotations);      /* leaves it zeroed */

/* The picture whose file is the last part of `path`; NULL: none. */
const struct ood_annotated *ood_annotations_find(const struct ood_annotations *annotations, const char *path);

#endif
