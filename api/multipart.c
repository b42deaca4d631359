/* multipart/form-data (RFC 7578, RFC 2046 section 5.1) over a body that is all here. The parts' contents stay where they are in
 * the body; what becomes of them is the taker's. */
#include "api/api_internal.h"

#define PART_HEADER_BYTES 8192
#define BOUNDARY_BYTES 70               /* RFC 2046 section 5.1.1 */

struct part {
    bool disposed, named, file;         /* Content-Disposition seen, its name, a filename or an image type */
    size_t name_size;
    char name[API_VALUE_ROOM];          /* what fits; name_size is the true length */
};

struct delimiter { size_t size; char text[4 + BOUNDARY_BYTES]; };       /* "\r\n--" boundary */

static bool is_boundary_byte(char byte)
{
    return (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
           (byte != '\0' && strchr("'()+_,-./:=? ", byte) != NULL);
}

static bool read_boundary(const char *content_type, struct delimiter *delimiter, struct api_error *err)
{
    const char *at = content_type, *end = content_type + strlen(content_type);
    struct api_parameter parameter = { 0 };
    size_t size = 0;
    int found;
    api_header_word(&at, end);
    while ((found = api_header_parameter(&at, end, &parameter)) == 1) {
        if (!api_slice_is(parameter.name, "boundary"))
            continue;
        if (size > 0)
            return api_fail(err, API_BAD_REQUEST, "Content-Type: multipart/form-data has two boundaries");
        size = parameter.size;
        if (size == 0 || size > BOUNDARY_BYTES)
            return api_fail(err, API_BAD_REQUEST, "Content-Type: the boundary has %zu bytes; expected 1 to %d", size, BOUNDARY_BYTES);
        for (size_t i = 0; i < size; i++)
            if (!is_boundary_byte(parameter.value[i]))
                return api_fail(err, API_BAD_REQUEST, "Content-Type: byte %zu of the boundary may not stand in one", i + 1);
        memcpy(delimiter->text, "\r\n--", 4);
        memcpy(delimiter->text + 4, parameter.value, size);
        delimiter->size = 4 + size;
    }
    if (found < 0)
        return api_fail(err, API_BAD_REQUEST, "Content-Type: a parameter of multipart/form-data is malformed");
    if (size == 0)
        return api_fail(err, API_BAD_REQUEST, "Content-Type: multipart/form-data without a boundary");
    return true;
}

static bool read_disposition(const char *at, const char *end, struct part *part, struct api_error *err)
{
    struct api_parameter parameter = { 0 };
    int found;
    if (part->disposed)
        return api_fail(err, API_BAD_REQUEST, "two Content-Disposition headers");
    part->disposed = true;
    if (!api_slice_is(api_header_word(&at, end), "form-data"))
        return api_fail(err, API_BAD_REQUEST, "Content-Disposition is not form-data");
    while ((found = api_header_parameter(&at, end, &parameter)) == 1) {
        if (api_slice_is(parameter.name, "filename") || api_slice_is(parameter.name, "filename*"))
            part->file = true;
        if (!api_slice_is(parameter.name, "name"))
            continue;
        if (part->named)
            return api_fail(err, API_BAD_REQUEST, "Content-Disposition has two names");
        part->named = true;
        part->name_size = parameter.size;
        memcpy(part->name, parameter.value, sizeof part->name);
    }
    return found == 0 || api_fail(err, API_BAD_REQUEST, "a parameter of Content-Disposition is malformed");
}

/* One header line [at, end) without its CRLF. */
static bool read_header(const char *at, const char *end, struct part *part, struct api_error *err)
{
    const char *name = at;
    while (at < end && api_is_token_byte(*at))
        at++;
    struct api_slice field = { name, (size_t)(at - name) };
    if (field.size == 0 || at == end || *at != ':')
        return api_fail(err, API_BAD_REQUEST, "a header line is not NAME: VALUE");
    at++;
    for (const char *p = at; p < end; p++)
        if (*p == '\0' || *p == '\r' || *p == '\n')
            return api_fail(err, API_BAD_REQUEST, "a header value contains a control character");
    if (api_slice_is(field, "content-disposition"))
        return read_disposition(at, end, part, err);
    struct api_slice word = api_header_word(&at, end);
    if (api_slice_is(field, "content-type"))
        part->file = part->file || api_slice_starts(word, "image/");
    if (api_slice_is(field, "content-transfer-encoding") && !api_slice_is(word, "binary") && !api_slice_is(word, "8bit") &&
        !api_slice_is(word, "7bit"))
        return api_fail(err, API_BAD_REQUEST, "Content-Transfer-Encoding is \"%.*s\"; expected binary",
                        (int)(word.size < API_QUOTE_BYTES ? word.size : API_QUOTE_BYTES), word.data);
    return true;
}

/* The headers from *at, up to and with the empty line behind them. */
static bool read_headers(const char **at, const char *end, struct part *part, struct api_error *err)
{
    const char *limit = end - *at > PART_HEADER_BYTES ? *at + PART_HEADER_BYTES : end;
    for (;;) {
        const char *line = *at, *stop = memmem(line, (size_t)(limit - line), "\r\n", 2);
        if (stop == NULL && limit < end)
            return api_fail(err, API_BAD_REQUEST, "the headers have more than %d bytes", PART_HEADER_BYTES);
        if (stop == NULL)
            return api_fail(err, API_BAD_REQUEST, "the body ends inside the headers");
        *at = stop + 2;
        if (stop == line)
            break;
        if (!read_header(line, stop, part, err))
            return false;
    }
    if (!part->named)
        return api_fail(err, API_BAD_REQUEST, "Content-Disposition: form-data with a name is missing");
    return true;
}

/* The rest of a boundary's line: *last for "--". */
static bool end_boundary(const char **at, const char *end, bool *last, struct api_error *err)
{
    const char *p = *at;
    *last = end - p >= 2 && p[0] == '-' && p[1] == '-';
    if (*last)
        return true;
    while (p < end && (*p == ' ' || *p == '\t'))
        p++;
    if (end - p < 2 && (p == end || *p == '\r' || *p == '-'))
        return api_fail(err, API_BAD_REQUEST, "the body ends inside a boundary: its final one is missing");
    if (p[0] != '\r' || p[1] != '\n')
        return api_fail(err, API_BAD_REQUEST, "a boundary is followed by other bytes than the end of its line");
    *at = p + 2;
    return true;
}

static bool read_part(api_part_taker *take, void *context, const struct delimiter *delimiter, const char **at, const char *end,
                      struct api_error *err)
{
    struct part part = { 0 };
    if (!read_headers(at, end, &part, err))
        return false;
    /* The search begins at the line end of the empty line: a part without content may share it with the boundary. */
    const char *data = *at, *stop = memmem(data - 2, (size_t)(end - data) + 2, delimiter->text, delimiter->size);
    if (stop == NULL)
        return api_fail(err, API_BAD_REQUEST, "no boundary behind it: the final one is missing");
    *at = stop + delimiter->size;
    struct api_part taken = { .file = part.file, .name = part.name, .name_size = part.name_size, .data = (const unsigned char *)data,
                              .size = stop > data ? (size_t)(stop - data) : 0 };
    return take(context, &taken, err);
}

bool api_multipart_parse(const char *content_type, const unsigned char *body, size_t size, api_part_taker *take, void *context,
                         size_t *parts, struct api_error *err)
{
    struct delimiter delimiter = { 0 };
    if (!read_boundary(content_type, &delimiter, err))
        return false;
    *parts = 0;
    if (size == 0)
        return true;                                        /* the caller says that it is empty */
    const char *at = (const char *)body, *end = at + size;
    if (size >= delimiter.size - 2 && memcmp(at, delimiter.text + 2, delimiter.size - 2) == 0)
        at += delimiter.size - 2;
    else if ((at = memmem(at, size, delimiter.text, delimiter.size)) != NULL)
        at += delimiter.size;                               /* behind a preamble */
    else
        return api_fail(err, API_BAD_REQUEST, "multipart/form-data: the body has no line \"%.*s\", the boundary of its Content-Type",
                        (int)(delimiter.size - 2), delimiter.text + 2);
    for (size_t number = 1;; number++) {
        bool last;
        if (!end_boundary(&at, end, &last, err))
            return api_error_prefix(err, "multipart/form-data");
        if (last)
            return true;
        if (!read_part(take, context, &delimiter, &at, end, err))
            return err->code == API_BAD_REQUEST ? api_error_prefix(err, "multipart/form-data: part %zu", number) : false;
        *parts = number;
    }
}
