/* Raising and growing a struct ood_error (ood.h). The first error stands: callers on the way up only put their place in
 * front of the sentence. Messages are truncated to the buffer at a UTF-8 boundary, never overrun. */
#ifndef OOD_BASE_ERROR_H
#define OOD_BASE_ERROR_H

#include <stdarg.h>

#include "ood.h"

/* Sets code and sentence; returns false so that a caller may write `return ood_fail(err, …)`. */
bool ood_fail(struct ood_error *err, enum ood_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The same with ": " and the kernel's words for errno_value behind it. ENOMEM becomes OOD_OUT_OF_MEMORY, ENOENT and
 * ENOTDIR OOD_NOT_FOUND, the rest OOD_SYSTEM. */
bool ood_fail_errno(struct ood_error *err, int errno_value, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts "WHERE: " in front of the sentence. Returns false. */
bool ood_error_prefix(struct ood_error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
