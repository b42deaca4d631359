/* The reader of class names in metadata: literals of Python and JSON, one level deep. Hostile: a cursor with an end, no recursion. */
#include "graph/labels.h"

#include <stdlib.h>
#include <string.h>

#include "base/number.h"
#include "graph/graph_internal.h"

void ood_labels_clear(struct ood_labels *labels)
{
    for (size_t i = 0; labels->names != NULL && i < labels->count; i++)
        ood_free(labels->names[i]);
    ood_free(labels->names);
    *labels = (struct ood_labels){ 0 };
}

/* ---- the cursor ---- */

struct reader { const char *start, *at, *end; };

static bool expected(const struct reader *r, const char *what, struct ood_error *err)
{
    char found[2] = { r->at < r->end ? *r->at : '\0', '\0' };
    return r->at < r->end ? ood_fail(err, OOD_INVALID, "byte %zu: found \"%s\", expected %s", (size_t)(r->at - r->start), ood_printable(found).text, what)
                          : ood_fail(err, OOD_INVALID, "byte %zu: found the end, expected %s", (size_t)(r->at - r->start), what);
}

static bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

/* The next character that is no blank, or 0 at the end. */
static char look(struct reader *r)
{
    while (r->at < r->end && is_blank(*r->at))
        r->at++;
    return r->at < r->end ? *r->at : '\0';
}

/* ---- strings ---- */

/* Of the bytes of one name, one more than fits: OOD_INVALID. */
struct name { char text[OOD_LABEL_BYTES + 1]; size_t size; };

static bool put(const struct reader *r, struct name *name, char c, struct ood_error *err)
{
    if (name->size == OOD_LABEL_BYTES)
        return ood_fail(err, OOD_INVALID, "byte %zu: a name of more than %d bytes", (size_t)(r->at - r->start), OOD_LABEL_BYTES);
    name->text[name->size++] = c;
    return true;
}

static bool put_character(const struct reader *r, struct name *name, uint32_t c, struct ood_error *err)
{
    if (c < 0x80)
        return put(r, name, (char)c, err);
    if (c < 0x800)
        return put(r, name, (char)(0xC0 | c >> 6), err) && put(r, name, (char)(0x80 | (c & 0x3F)), err);
    if (c < 0x10000)
        return put(r, name, (char)(0xE0 | c >> 12), err) && put(r, name, (char)(0x80 | (c >> 6 & 0x3F)), err) &&
               put(r, name, (char)(0x80 | (c & 0x3F)), err);
    return put(r, name, (char)(0xF0 | c >> 18), err) && put(r, name, (char)(0x80 | (c >> 12 & 0x3F)), err) &&
           put(r, name, (char)(0x80 | (c >> 6 & 0x3F)), err) && put(r, name, (char)(0x80 | (c & 0x3F)), err);
}

static bool read_hex(struct reader *r, size_t digits, uint32_t *out, struct ood_error *err)
{
    uint32_t value = 0;
    for (size_t i = 0; i < digits; i++, r->at++) {
        const char c = r->at < r->end ? *r->at : '\0';
        if (c >= '0' && c <= '9')
            value = value << 4 | (uint32_t)(c - '0');
        else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
            value = value << 4 | (uint32_t)((c | 0x20) - 'a' + 10);
        else
            return expected(r, "a hexadecimal digit", err);
    }
    *out = value;
    return true;
}

/* Behind \u: one unit, or the two of a pair. What is no character is found by the check of the whole name. */
static bool read_unit(struct reader *r, uint32_t *out, struct ood_error *err)
{
    uint32_t low = 0;
    if (!read_hex(r, 4, out, err))
        return false;
    if (*out < 0xD800 || *out > 0xDBFF || r->end - r->at < 6 || r->at[0] != '\\' || r->at[1] != 'u')
        return true;
    r->at += 2;
    if (!read_hex(r, 4, &low, err))
        return false;
    if (low < 0xDC00 || low > 0xDFFF)
        return ood_fail(err, OOD_INVALID, "byte %zu: half a character", (size_t)(r->at - r->start));
    *out = 0x10000 + ((*out - 0xD800) << 10) + (low - 0xDC00);
    return true;
}

/* r->at is behind the backslash. */
static bool read_escape(struct reader *r, struct name *name, struct ood_error *err)
{
    static const char letters[] = "\\\\''\"\"//a\ab\bf\fn\nr\rt\tv\v";       /* what is written, what is meant */
    const char c = r->at < r->end ? *r->at : '\0';
    uint32_t character = 0;
    for (size_t i = 0; c != '\0' && i + 1 < sizeof letters - 1; i += 2)
        if (letters[i] == c) {
            r->at++;
            return put(r, name, letters[i + 1], err);
        }
    if (c != 'x' && c != 'u' && c != 'U')
        return expected(r, "an escape: one of \\ ' \" / a b f n r t v x u U", err);
    r->at++;
    if (!(c == 'u' ? read_unit(r, &character, err) : read_hex(r, c == 'x' ? 2 : 8, &character, err)))
        return false;
    if (character == 0 || character > 0x10FFFF)
        return ood_fail(err, OOD_INVALID, "byte %zu: no character has this number", (size_t)(r->at - r->start));
    return put_character(r, name, character, err);
}

static bool check_name(const struct reader *r, struct name *name, struct ood_error *err)
{
    name->text[name->size] = '\0';
    if (name->size == 0)
        return ood_fail(err, OOD_INVALID, "byte %zu: a name is empty", (size_t)(r->at - r->start));
    return (memchr(name->text, '\0', name->size) == NULL && ood_name_is_clean(name->text)) ||
           ood_fail(err, OOD_INVALID, "byte %zu: a name is not UTF-8, or holds control characters", (size_t)(r->at - r->start));
}

/* r->at is at the quote. */
static bool read_string(struct reader *r, struct name *name, struct ood_error *err)
{
    const char quote = *r->at++;
    name->size = 0;
    while (r->at < r->end && *r->at != quote) {
        const char c = *r->at++;
        if (!(c == '\\' ? read_escape(r, name, err) : put(r, name, c, err)))
            return false;
    }
    if (r->at == r->end)
        return expected(r, "the end of a name", err);
    r->at++;
    return check_name(r, name, err);
}

/* ---- lists of names ---- */

struct list {
    struct ood_labels labels;
    size_t capacity, index_capacity;
    size_t *indices;                         /* of maps: [labels.count]: the class of each name */
};

static bool add(struct list *list, const struct name *name, size_t index, struct ood_error *err)
{
    const size_t count = list->labels.count;
    if (count == OOD_LABELS_MOST)
        return ood_fail(err, OOD_LIMIT, "more than %d names", OOD_LABELS_MOST);
    if (!ood_grow(&list->labels.names, &list->capacity, count + 1, sizeof *list->labels.names, err) ||
        !ood_grow(&list->indices, &list->index_capacity, count + 1, sizeof *list->indices, err))
        return false;
    list->labels.names[count] = ood_strdup(name->text, err);
    list->indices[count] = index;
    list->labels.count += list->labels.names[count] != NULL;
    return list->labels.names[count] != NULL;
}

/* Digits, bare or in the quotes of JSON's keys. */
static bool read_number(struct reader *r, size_t *out, struct ood_error *err)
{
    char digits[16] = "";
    size_t used = 0;
    const char quote = r->at < r->end && (*r->at == '"' || *r->at == '\'') ? *r->at++ : '\0';
    while (r->at < r->end && *r->at >= '0' && *r->at <= '9' && used + 1 < sizeof digits)
        digits[used++] = *r->at++;
    digits[used] = '\0';
    if (!ood_parse_size(digits, out))
        return expected(r, "a class's number", err);
    if (quote != '\0') {
        if (r->at == r->end || *r->at != quote)
            return expected(r, "the end of a class's number", err);
        r->at++;
    }
    return true;
}

/* A quoted key is a number if digits are all of it: {"0": "cat"}. */
static bool at_number(const struct reader *r)
{
    const char *at = r->at;
    if (at < r->end && *at >= '0' && *at <= '9')
        return true;
    if (at == r->end || (*at != '"' && *at != '\''))
        return false;
    const char *first = ++at;
    while (at < r->end && *at >= '0' && *at <= '9')
        at++;
    return at > first && at < r->end && *at == *r->at;
}

/* `number: 'name'`, or the other way round, which the first decides. */
static bool read_pair(struct reader *r, bool *name_first, bool first, struct list *list, struct name *name, struct ood_error *err)
{
    size_t index = 0;
    if (first)
        *name_first = !at_number(r);
    for (size_t side = 0; side < 2; side++) {
        if (side == 1) {
            if (look(r) != ':')
                return expected(r, "\":\"", err);
            r->at++;
            look(r);
        }
        const bool quoted = r->at < r->end && (*r->at == '"' || *r->at == '\'');
        if (*name_first == (side == 1) ? !read_number(r, &index, err)
                                       : quoted ? !read_string(r, name, err) : !expected(r, "a name in quotes", err))
            return false;
    }
    return add(list, name, index, err);
}

/* Behind the opening bracket, up to and with the closing one. */
static bool read_items(struct reader *r, char close, struct list *list, struct name *name, struct ood_error *err)
{
    bool name_first = false;
    for (;;) {
        const char c = look(r);
        if (c == close && list->labels.count > 0)
            break;
        if (close == '}' ? !read_pair(r, &name_first, list->labels.count == 0, list, name, err)
                         : c == '"' || c == '\'' ? !read_string(r, name, err) || !add(list, name, list->labels.count, err)
                                                 : !expected(r, "a name in quotes", err))
            return false;
        if (look(r) == ',')
            r->at++;
        else if (look(r) != close)
            return expected(r, close == '}' ? "\",\" or \"}\"" : close == ']' ? "\",\" or \"]\"" : "\",\" or \")\"", err);
    }
    r->at++;
    return look(r) == '\0' && r->at == r->end ? true : expected(r, "the end", err);
}

/* A name a line, or behind commas. */
static bool read_plain(struct reader *r, struct list *list, struct name *name, struct ood_error *err)
{
    while (r->end > r->at && is_blank(r->end[-1]))
        r->end--;
    const char separator = memchr(r->at, '\n', (size_t)(r->end - r->at)) != NULL ? '\n' : ',';
    for (bool more = true; more;) {
        name->size = 0;
        while (r->at < r->end && *r->at != separator && is_blank(*r->at))
            r->at++;
        while (r->at < r->end && *r->at != separator)
            if (!put(r, name, *r->at++, err))
                return false;
        while (name->size > 0 && is_blank(name->text[name->size - 1]))
            name->size--;
        if (!check_name(r, name, err) || !add(list, name, list->labels.count, err))
            return false;
        more = r->at < r->end;
        r->at += more;
    }
    return true;
}

/* ---- in the order of the classes, and no two alike ---- */

static bool order(struct list *list, struct ood_error *err)
{
    const size_t count = list->labels.count;
    char **names = ood_new_array(char *, count, err);
    if (names == NULL)
        return false;
    for (size_t i = 0; i < count; i++) {
        const size_t k = list->indices[i];
        if (k >= count || names[k] != NULL) {
            ood_free(names);
            return k >= count ? ood_fail(err, OOD_INVALID, "class %zu of %zu names, expected 0 to %zu", k, count, count - 1)
                              : ood_fail(err, OOD_INVALID, "class %zu is named twice", k);
        }
        names[k] = list->labels.names[i];
    }
    ood_free(list->labels.names);
    list->labels.names = names;
    return true;
}

struct entry { const char *name; size_t index; };

static int by_name(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    const int order = strcmp(x->name, y->name);
    return order != 0 ? order : (x->index > y->index) - (x->index < y->index);
}

/* Those of entries[first … end), which are alike, get their class behind. */
static bool tell_apart(struct ood_labels *labels, const struct entry *entries, size_t first, size_t end, struct ood_error *err)
{
    for (size_t i = first; end - first > 1 && i < end; i++) {
        const size_t k = entries[i].index;
        char *longer = ood_format(err, "%s (%zu)", labels->names[k], k);
        if (longer == NULL)
            return false;
        ood_free(labels->names[k]);
        labels->names[k] = longer;
    }
    return true;
}

/* `again`: after the longer names are there, two that are alike are refused. */
static bool settle_twins(struct ood_labels *labels, bool again, struct ood_error *err)
{
    const size_t count = labels->count;
    struct entry *entries = ood_new_array(struct entry, count, err);
    if (entries == NULL)
        return false;
    for (size_t i = 0; i < count; i++)
        entries[i] = (struct entry){ labels->names[i], i };
    qsort(entries, count, sizeof *entries, by_name);
    bool done = true;
    for (size_t first = 0, end; done && first < count; first = end) {
        for (end = first + 1; end < count && strcmp(entries[first].name, entries[end].name) == 0; end++)
            ;
        if (again && end - first > 1)
            done = ood_fail(err, OOD_INVALID, "classes %zu and %zu are both \"%s\"", entries[first].index, entries[first + 1].index,
                            ood_printable(entries[first].name).text);
        else
            done = tell_apart(labels, entries, first, end, err);
    }
    ood_free(entries);
    return done;
}

/* ---- all of it ---- */

static bool read_text(struct reader *r, struct list *list, struct name *name, struct ood_error *err)
{
    static const char brackets[] = "{}[]()";
    const char c = look(r);
    const char *open = c != '\0' ? strchr(brackets, c) : NULL;
    if (r->at == r->end)
        return expected(r, "names", err);
    if (open == NULL || (open - brackets) % 2 != 0)
        return read_plain(r, list, name, err);
    r->at++;
    return read_items(r, open[1], list, name, err) && (*open != '{' || order(list, err));
}

bool ood_labels_parse(const char *text, size_t size, struct ood_labels *out, struct ood_error *err)
{
    struct reader reader = { text, text, text + size };
    struct list list = { 0 };
    struct name *name = ood_new(struct name, err);
    const bool done = name != NULL && read_text(&reader, &list, name, err) && settle_twins(&list.labels, false, err) &&
                      settle_twins(&list.labels, true, err);
    ood_free(name);
    ood_free(list.indices);
    if (!done) {
        ood_labels_clear(&list.labels);
        return false;
    }
    *out = list.labels;
    return true;
}

/* ---- a network's ---- */

const char *const ood_label_keys[] = {
    "names", "labels", "classes", "class_names", "label_names", "class_labels", "categories", "id2label", NULL,
};

bool ood_graph_labels(const struct ood_graph *graph, size_t classes, struct ood_labels *out, struct ood_error *err)
{
    struct ood_error first = { 0 };
    for (size_t i = 0; i < graph->label_text_count; i++) {
        struct ood_error why = { 0 };
        struct ood_labels labels = { 0 };
        const struct ood_label_text *text = &graph->label_texts[i];
        bool done = ood_labels_parse(text->text, strlen(text->text), &labels, &why);
        if (done && labels.count == classes) {
            labels.key = text->key;
            *out = labels;
            return true;
        }
        if (done)
            ood_fail(&why, OOD_INVALID, "%zu names, the network has %zu classes", labels.count, classes);
        ood_labels_clear(&labels);
        if (why.code == OOD_OUT_OF_MEMORY) {
            *err = why;
            return false;
        }
        if (first.code == OOD_OK) {
            first = why;
            ood_error_prefix(&first, "%s", text->key);
        }
    }
    if (first.code != OOD_OK) {
        *err = first;
        return false;
    }
    *out = (struct ood_labels){ 0 };
    return true;
}
