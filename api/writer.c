/* Writing JSON text: bytes, escaped strings, numbers. Jansson prints 17 digits where 1 is enough and takes a tree first. */
#include "api/api_internal.h"

#include <math.h>
#include <stdio.h>

#include "base/number.h"

/* ---- UTF-8 ---- */

size_t api_utf8_step(const char *text, const char *end)
{
    const unsigned char *p = (const unsigned char *)text;
    size_t left = (size_t)(end - text), length = p[0] < 0x80 ? 1 : p[0] >= 0xC2 && p[0] <= 0xDF ? 2
                                                : p[0] >= 0xE0 && p[0] <= 0xEF ? 3 : p[0] >= 0xF0 && p[0] <= 0xF4 ? 4 : 0;
    if (length == 0 || length > left)
        return 0;
    for (size_t i = 1; i < length; i++)
        if ((p[i] & 0xC0) != 0x80)
            return 0;
    bool overlong = (p[0] == 0xE0 && p[1] < 0xA0) || (p[0] == 0xF0 && p[1] < 0x90);
    bool outside = (p[0] == 0xED && p[1] > 0x9F) || (p[0] == 0xF4 && p[1] > 0x8F);      /* surrogates; above U+10FFFF */
    return overlong || outside ? 0 : length;
}

bool api_utf8_valid(const char *text, size_t size)
{
    for (const char *end = text + size; text < end;) {
        size_t step = api_utf8_step(text, end);
        if (step == 0)
            return false;
        text += step;
    }
    return true;
}

/* ---- the text ---- */

static bool reserve(struct api_writer *writer, size_t more)
{
    struct ood_error err = { 0 };
    size_t needed;
    if (writer->failed)
        return false;
    if (!ood_add_size(writer->size, more, &needed) ||
        !ood_grow(&writer->data, &writer->capacity, needed < 1024 ? 1024 : needed, 1, &err))
        writer->failed = true;
    return !writer->failed;
}

void api_write_bytes(struct api_writer *writer, const char *bytes, size_t size)
{
    if (writer->failed || (writer->capacity - writer->size < size && !reserve(writer, size)) || size == 0)
        return;
    memcpy(writer->data + writer->size, bytes, size);
    writer->size += size;
}

void api_write_text(struct api_writer *writer, const char *text)
{
    api_write_bytes(writer, text, strlen(text));
}

static void write_escape(struct api_writer *writer, unsigned char byte)
{
    static const char named[] = "\"\"\\\\\bb\ff\nn\rr\tt";
    char text[8];
    for (size_t i = 0; named[i] != '\0'; i += 2)
        if ((unsigned char)named[i] == byte) {
            api_write_bytes(writer, (const char[]){ '\\', named[i + 1] }, 2);
            return;
        }
    snprintf(text, sizeof text, "\\u%04x", byte);
    api_write_bytes(writer, text, 6);
}

void api_write_string(struct api_writer *writer, const char *text)
{
    if (text == NULL) {
        api_write(writer, "null");
        return;
    }
    const char *end = text + strlen(text), *run = text;
    api_write(writer, "\"");
    while (text < end) {
        unsigned char byte = (unsigned char)*text;
        size_t step = byte < 0x80 ? 1 : api_utf8_step(text, end);
        bool plain = step > 0 && byte >= 0x20 && byte != '"' && byte != '\\';
        if (!plain) {
            api_write_bytes(writer, run, (size_t)(text - run));
            if (step == 0)
                api_write(writer, "\xEF\xBF\xBD");
            else
                write_escape(writer, byte);
        }
        text += step > 0 ? step : 1;
        if (!plain)
            run = text;
    }
    api_write_bytes(writer, run, (size_t)(text - run));
    api_write(writer, "\"");
}

void api_write_size(struct api_writer *writer, size_t value)
{
    char text[24], *p = text + sizeof text;
    do
        *--p = (char)('0' + value % 10);
    while ((value /= 10) > 0);
    api_write_bytes(writer, p, (size_t)(text + sizeof text - p));
}

void api_write_double(struct api_writer *writer, double value)
{
    char text[OOD_NUMBER_TEXT];
    if (!isfinite(value)) {
        api_write(writer, "null");
        return;
    }
    ood_print_double(value, text);
    api_write_text(writer, text);
}

void api_write_float(struct api_writer *writer, float value)
{
    char text[OOD_NUMBER_TEXT];
    double back;
    if (!isfinite(value)) {
        api_write(writer, "null");
        return;
    }
    for (int digits = 6; digits <= 9; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, (double)value);
        for (char *c = text; *c != '\0'; c++)
            if (*c == ',')                                  /* another locale's point */
                *c = '.';
        if (ood_parse_double(text, &back) && (float)back == value)
            break;
    }
    api_write_text(writer, text);
}

void api_write_bool(struct api_writer *writer, bool value)
{
    api_write_text(writer, value ? "true" : "false");
}

void api_write_seconds(struct api_writer *writer, double seconds)
{
    char digits[8] = ".000000";
    if (!(seconds > 0))
        seconds = 0;
    if (seconds > 1e12)                                     /* in range of the integer below */
        seconds = 1e12;
    size_t microseconds = (size_t)(seconds * 1e6 + 0.5), length = 7;
    api_write_size(writer, microseconds / 1000000);
    microseconds %= 1000000;
    for (size_t i = 6; i > 0; i--, microseconds /= 10)
        digits[i] = (char)('0' + microseconds % 10);
    while (length > 1 && digits[length - 1] == '0')
        length--;
    api_write_bytes(writer, digits, length > 1 ? length : 0);
}

/* ---- answers ---- */

const char api_json_type[] = "application/json; charset=utf-8";

void api_answer_from_writer(struct api_writer *writer, unsigned status, struct api_answer *answer)
{
    static const char no_memory[] = "{\"error\":{\"code\":\"internal_error\",\"message\":\"out of memory\",\"request_id\":\"\"}}";
    if (writer->failed) {
        ood_free(writer->data);
        *answer = (struct api_answer){ .status = 500, .content_type = api_json_type, .body = (char *)no_memory,
                                       .size = sizeof no_memory - 1, .static_body = true };
        return;
    }
    *answer = (struct api_answer){ .status = status, .content_type = api_json_type, .body = writer->data, .size = writer->size };
}

void api_answer_free(struct api_answer *answer)
{
    if (!answer->static_body)
        ood_free(answer->body);
    *answer = (struct api_answer){ 0 };
}
