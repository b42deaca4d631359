/* Sentences in a fixed buffer: made at the place of failure, grown at the front on the way up. */
#include "base/error.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Ends text at its last whole UTF-8 character. */
static void trim_utf8(char *text)
{
    size_t length = strlen(text), start = length;
    while (start > 0 && ((unsigned char)text[start - 1] & 0xC0) == 0x80)
        start--;
    if (start == 0)
        return;
    unsigned char lead = (unsigned char)text[start - 1];
    size_t need = lead >= 0xF0 ? 3 : lead >= 0xE0 ? 2 : lead >= 0xC0 ? 1 : 0;
    if (length - start < need)
        text[start - 1] = '\0';
}

__attribute__((format(printf, 2, 0)))
static void set_message(struct ood_error *err, const char *format, va_list arguments)
{
    int written = vsnprintf(err->message, sizeof err->message, format, arguments);
    if (written < 0)
        err->message[0] = '\0';
    else if ((size_t)written >= sizeof err->message)
        trim_utf8(err->message);
}

bool ood_fail(struct ood_error *err, enum ood_code code, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    set_message(err, format, arguments);
    va_end(arguments);
    err->code = code;
    return false;
}

static void put_in_front(struct ood_error *err, const char *place)
{
    char message[sizeof err->message];
    memcpy(message, err->message, sizeof message);
    int written = snprintf(err->message, sizeof err->message, "%s: %s", place, message);
    if (written >= 0 && (size_t)written >= sizeof err->message)
        trim_utf8(err->message);
}

bool ood_fail_errno(struct ood_error *err, int errno_value, const char *format, ...)
{
    char words[128];
    const char *text = strerror_r(errno_value, words, sizeof words);     /* GNU's: returns the text */
    struct ood_error place;
    va_list arguments;
    va_start(arguments, format);
    set_message(&place, format, arguments);
    va_end(arguments);
    snprintf(err->message, sizeof err->message, "%s", text);
    put_in_front(err, place.message);
    err->code = errno_value == ENOMEM                              ? OOD_OUT_OF_MEMORY
                : errno_value == ENOENT || errno_value == ENOTDIR ? OOD_NOT_FOUND
                                                                   : OOD_SYSTEM;
    return false;
}

bool ood_error_prefix(struct ood_error *err, const char *format, ...)
{
    struct ood_error place;
    va_list arguments;
    va_start(arguments, format);
    set_message(&place, format, arguments);
    va_end(arguments);
    put_in_front(err, place.message);
    return false;
}

const char *ood_code_name(enum ood_code code)
{
    static const char *const names[] = {
        [OOD_OK] = "ok",
#define OOD_CODE(value, word) [value] = word,
        OOD_CODES(OOD_CODE)
#undef OOD_CODE
    };
    return (size_t)code < sizeof names / sizeof names[0] ? names[code] : "internal_error";
}
