#ifndef OOD_BASE_BASE64_H
#define OOD_BASE_BASE64_H

#include "base/memory.h"

/* RFC 4648 section 4, padded, on one line; fresh memory, zero terminated. */
char *ood_base64(const void *data, size_t size, struct ood_error *err) OOD_MUST_CHECK;

#endif
