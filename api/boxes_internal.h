/* Boxes as JSON has them, for the bodies of POST /v1/detections and the files of oodctl (boxes.c). */
#ifndef OODD_API_BOXES_INTERNAL_H
#define OODD_API_BOXES_INTERNAL_H

#include "api/json_internal.h"

/* A text that may hold boxes, as a tree: NaN, infinities and numbers too large, which JSON has not, become objects that the readers
 * below tell from others, so that the error can name their box. NULL: malformed. */
json_t *api_boxes_load(const unsigned char *text, size_t size, const struct api_limits *limits, struct api_error *err) OOD_MUST_CHECK;

/* Members of such a tree into work->scene (find: no boxes) and work->ids. pool lives as long as the work. */
bool api_boxes_read(json_t *boxes, json_t *format, json_t *unit, json_t *margin, bool detector, const struct api_limits *limits,
                    struct ood_pool *pool, struct api_work *work, struct api_error *err) OOD_MUST_CHECK;

/* A text of boxes alone: the array, or an object of boxes, format, unit and margin. */
bool api_boxes_text(const unsigned char *text, size_t size, bool detector, const struct api_limits *limits, struct ood_pool *pool,
                    struct api_work *work, struct api_error *err) OOD_MUST_CHECK;

/* Puts "boxes[INDEX] (id "ID"): " in front of the sentence; id NULL: none. Returns false. */
bool api_box_prefix(struct api_error *err, size_t index, const char *id);

#endif
