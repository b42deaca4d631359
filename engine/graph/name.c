/* Names found in files: what may be kept, and how they are shown in messages. */
#include "graph/graph_internal.h"

#include <string.h>

/* Length of the well-formed, printable UTF-8 character at text (RFC 3629), or 0. */
static size_t printable_character(const unsigned char *text)
{
    unsigned char first = text[0];
    if (first < 0x80)
        return first >= 0x20 && first != 0x7F;
    size_t length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
    if (first < 0xC2 || first > 0xF4)
        return 0;
    for (size_t i = 1; i < length; i++)
        if ((text[i] & 0xC0) != 0x80)
            return 0;
    bool control = first == 0xC2 && text[1] < 0xA0;                  /* U+0080 … U+009F move terminals, too */
    bool overlong = (first == 0xE0 && text[1] < 0xA0) || (first == 0xF0 && text[1] < 0x90);
    bool outside = (first == 0xED && text[1] > 0x9F) || (first == 0xF4 && text[1] > 0x8F);
    return control || overlong || outside ? 0 : length;
}

bool ood_name_is_clean(const char *name)
{
    const unsigned char *text = (const unsigned char *)name;
    for (size_t length; *text != 0; text += length) {
        length = printable_character(text);
        if (length == 0)
            return false;
    }
    return true;
}

struct ood_printable ood_printable(const char *name)
{
    struct ood_printable out = { "" };
    const unsigned char *text = (const unsigned char *)name;
    size_t used = 0;
    const size_t most = sizeof out.text - 4;                         /* room for "..." and the end */
    while (*text != 0) {
        size_t length = printable_character(text), put = length == 0 ? 1 : length;
        if (used + put > most) {
            memcpy(out.text + used, "...", 3);
            break;
        }
        if (length == 0)
            out.text[used] = '?';
        else
            memcpy(out.text + used, text, length);
        used += put;
        text += put;
    }
    return out;
}
