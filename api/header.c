/* Values of header fields: a word, then parameters (RFC 9110 section 5.6.6), as Content-Type and Content-Disposition have
 * them. Nothing is copied but a parameter's value, whose quotes come off. */
#include "api/api_internal.h"

static bool is_blank(char byte) { return byte == ' ' || byte == '\t'; }

static char lower(char byte) { return byte >= 'A' && byte <= 'Z' ? (char)(byte - 'A' + 'a') : byte; }

bool api_is_token_byte(char byte)
{
    return (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
           (byte != '\0' && strchr("!#$%&'*+-.^_`|~", byte) != NULL);
}

bool api_slice_starts(struct api_slice slice, const char *word)
{
    for (size_t i = 0; word[i] != '\0'; i++)
        if (i >= slice.size || lower(slice.data[i]) != lower(word[i]))
            return false;
    return true;
}

bool api_slice_is(struct api_slice slice, const char *word)
{
    return slice.size == strlen(word) && api_slice_starts(slice, word);
}

bool api_slice_is_media_type(struct api_slice slice)
{
    size_t slashes = 0;
    for (size_t i = 0; i < slice.size; i++) {
        if (slice.data[i] == '/' && i > 0 && i + 1 < slice.size)
            slashes++;
        else if (!api_is_token_byte(slice.data[i]))
            return false;
    }
    return slashes == 1;
}

struct api_slice api_header_word(const char **at, const char *end)
{
    const char *start = *at;
    while (start < end && is_blank(*start))
        start++;
    const char *stop = start;
    while (stop < end && *stop != ';')
        stop++;
    *at = stop;
    while (stop > start && is_blank(stop[-1]))
        stop--;
    return (struct api_slice){ start, (size_t)(stop - start) };
}

static void keep(struct api_parameter *parameter, char byte)
{
    if (parameter->size < sizeof parameter->value)
        parameter->value[parameter->size] = byte;
    parameter->size++;
}

/* A backslash escapes only a quote or itself: file names with plain backslashes are in the wild (WHATWG, RFC 7578 4.2). */
static const char *read_quoted(const char *p, const char *end, struct api_parameter *parameter)
{
    for (; p < end && *p != '"'; p++) {
        if (*p == '\\' && end - p > 1 && (p[1] == '"' || p[1] == '\\'))
            p++;
        keep(parameter, *p);
    }
    return p < end ? p + 1 : NULL;
}

int api_header_parameter(const char **at, const char *end, struct api_parameter *parameter)
{
    const char *p = *at;
    while (p < end && (is_blank(*p) || *p == ';'))
        p++;
    if (p == end)
        return 0;
    const char *name = p;
    while (p < end && api_is_token_byte(*p))
        p++;
    parameter->name = (struct api_slice){ name, (size_t)(p - name) };
    parameter->size = 0;
    if (p == name || p == end || *p != '=')
        return -1;
    p++;
    if (p < end && *p == '"') {
        p = read_quoted(p + 1, end, parameter);
        if (p == NULL)
            return -1;
    } else {
        for (; p < end && *p != ';' && *p != '"' && !is_blank(*p); p++)
            keep(parameter, *p);
        if (parameter->size == 0)
            return -1;
    }
    while (p < end && is_blank(*p))
        p++;
    if (p < end && *p != ';')
        return -1;
    *at = p;
    return 1;
}
