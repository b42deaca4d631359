/* JSON as text that grows: what the answers of the service and the tools' --json are written with. The numbers are the shortest
 * that read back, in any locale. */
#ifndef OODD_API_WRITER_H
#define OODD_API_WRITER_H

#include "base/memory.h"

/* Zero it first; data is freed by ood_free. After a failed allocation nothing more is written and `failed` stays: asked once,
 * at the end. data is not zero terminated. */
struct api_writer { char *data; size_t size, capacity; bool failed; };

void api_write_bytes(struct api_writer *writer, const char *bytes, size_t size);
#define api_write(writer, literal) api_write_bytes((writer), "" literal, sizeof(literal) - 1)
void api_write_text(struct api_writer *writer, const char *text);            /* as it is */
/* In quotes, escaped; what is not UTF-8 becomes U+FFFD. NULL: null. */
void api_write_string(struct api_writer *writer, const char *text);
void api_write_size(struct api_writer *writer, size_t value);
void api_write_double(struct api_writer *writer, double value);              /* shortest that reads back; not finite: null */
void api_write_float(struct api_writer *writer, float value);                /* shortest that reads back as this float */
void api_write_bool(struct api_writer *writer, bool value);
void api_write_seconds(struct api_writer *writer, double seconds);           /* to the microsecond; below 0: 0 */

#endif
