/* Error codes, their words and statuses, and the sentence beside them. */
#include "api/api_internal.h"

#include <stdarg.h>
#include <stdio.h>

const char *api_code_name(enum api_code code)
{
    static const char *const names[] = {
        [API_OK] = "ok",
#define API_CODE(value, word, status) [value] = word,
        API_ERRORS(API_CODE)
#undef API_CODE
    };
    return (size_t)code < sizeof names / sizeof names[0] ? names[code] : "internal_error";
}

unsigned api_code_status(enum api_code code)
{
    static const unsigned short statuses[] = {
        [API_OK] = 200,
#define API_CODE(value, word, status) [value] = status,
        API_ERRORS(API_CODE)
#undef API_CODE
    };
    return (size_t)code < sizeof statuses / sizeof statuses[0] ? statuses[code] : 500;
}

unsigned api_error_status(const struct api_error *err)
{
    if (err->code == API_ITEM && (err->item == OOD_OUT_OF_MEMORY || err->item == OOD_SYSTEM))
        return 500;
    return api_code_status(err->code);
}

const char *api_error_word(const struct api_error *err)
{
    return err->code == API_ITEM ? ood_code_name(err->item) : api_code_name(err->code);
}

/* Through ood_fail, which ends a sentence that is too long at a whole character. */
static void set_message(struct api_error *err, const char *text)
{
    struct ood_error sentence = { 0 };
    _Static_assert(sizeof sentence.message == sizeof err->message, "sentences of one length");
    ood_fail(&sentence, OOD_INVALID, "%s", text);
    memcpy(err->message, sentence.message, sizeof err->message);
}

bool api_fail(struct api_error *err, enum api_code code, const char *format, ...)
{
    char text[2 * sizeof err->message];
    va_list arguments;
    va_start(arguments, format);
    if (vsnprintf(text, sizeof text, format, arguments) < 0)
        text[0] = '\0';
    va_end(arguments);
    set_message(err, text);
    err->code = code;
    err->item = OOD_OK;
    return false;
}

bool api_error_prefix(struct api_error *err, const char *format, ...)
{
    char place[sizeof err->message], text[2 * sizeof err->message + 4];
    va_list arguments;
    va_start(arguments, format);
    if (vsnprintf(place, sizeof place, format, arguments) < 0)
        place[0] = '\0';
    va_end(arguments);
    snprintf(text, sizeof text, "%s: %s", place, err->message);
    set_message(err, text);
    return false;
}

bool api_fail_ood(struct api_error *err, const struct ood_error *cause)
{
    bool ours = cause->code == OOD_OUT_OF_MEMORY || cause->code == OOD_SYSTEM;
    return api_fail(err, ours ? API_INTERNAL : API_BAD_REQUEST, "%s", cause->message);
}
