/* Pascal VOC's XML: <annotation><filename>, <object> with <name>, <difficult> and <bndbox><xmin> <ymin> <xmax> <ymax>. What else there
 * is, <part>s of an object too, is passed over. */
#include "detect/annotations_internal.h"

#include <expat.h>
#include <string.h>

#include "base/number.h"

enum { DEPTH_MOST = 16, TEXT_MOST = 4096 };

/* An object as far as it was read. */
struct object { char name[TEXT_MOST]; double box[4]; unsigned corners; bool difficult; };

struct reading {
    XML_Parser parser;
    struct ood_annotations *out;
    struct ood_error *err;
    bool failed;
    char path[256];                          /* "annotation/object/bndbox" */
    size_t depth;
    char text[TEXT_MOST];
    size_t length;
    char file[TEXT_MOST];
    struct object object;
    struct ood_truth *truths;                /* their names are numbers of out->names already */
    size_t count, capacity;
};

static unsigned long line_of(XML_Parser parser)
{
#if XML_MAJOR_VERSION > 2 || XML_MINOR_VERSION >= 9          /* where the other is deprecated */
    return (unsigned long)XML_GetCurrentLineNumber64(parser);
#else
    return (unsigned long)XML_GetCurrentLineNumber(parser);
#endif
}

static void fail(struct reading *reading, const char *why)
{
    if (!reading->failed && why != NULL)
        ood_fail(reading->err, OOD_INVALID, "line %lu: %s", line_of(reading->parser), why);
    reading->failed = true;
    XML_StopParser(reading->parser, XML_FALSE);
}

static void on_start(void *state, const XML_Char *name, const XML_Char **attributes)
{
    struct reading *reading = state;
    (void)attributes;
    size_t used = strlen(reading->path), length = strlen(name);
    if (reading->failed)
        return;
    if (++reading->depth > DEPTH_MOST || used + length + 2 > sizeof reading->path) {
        fail(reading, "elements nested too deep, or with too long names");
        return;
    }
    if (reading->depth == 1 && strcmp(name, "annotation") != 0)
        fail(reading, "found another root element, expected <annotation>");
    if (used > 0)
        reading->path[used++] = '/';
    memcpy(reading->path + used, name, length + 1);
    reading->length = 0;
    if (strcmp(reading->path, "annotation/object") == 0)
        reading->object = (struct object){ 0 };
}

static void on_text(void *state, const XML_Char *text, int length)
{
    struct reading *reading = state;
    if (reading->failed)
        return;
    if (reading->length + (size_t)length >= TEXT_MOST) {
        if (reading->depth > 1)
            fail(reading, "more than 4095 bytes of text in an element");
        return;
    }
    memcpy(reading->text + reading->length, text, (size_t)length);
    reading->length += (size_t)length;
}

/* The element's text without blanks around it. */
static const char *text_of(struct reading *reading)
{
    char *text = reading->text;
    size_t length = reading->length;
    while (length > 0 && strchr(" \t\r\n", text[length - 1]) != NULL)
        length--;
    text[length] = '\0';
    return text + strspn(text, " \t\r\n");
}

static void end_object(struct reading *reading)
{
    const struct object *object = &reading->object;
    struct ood_truth truth = { .ignored = object->difficult };
    if (object->corners != 15 || object->name[0] == '\0') {
        fail(reading, "an <object> without <name> or without the four corners of its <bndbox>");
        return;
    }
    for (size_t i = 0; i < 4; i++)
        truth.box[i] = object->box[i] - (i < 2 ? 1 : 0);     /* pixels count from 1, the last is inside */
    if (!annotations_name(reading->out, object->name, &truth.name, reading->err) ||
        !ood_grow(&reading->truths, &reading->capacity, reading->count + 1, sizeof truth, reading->err)) {
        fail(reading, NULL);
        return;
    }
    reading->truths[reading->count++] = truth;
}

static void on_end(void *state, const XML_Char *name)
{
    static const char *const corners[] = { "annotation/object/bndbox/xmin", "annotation/object/bndbox/ymin", "annotation/object/bndbox/xmax",
                                           "annotation/object/bndbox/ymax" };
    struct reading *reading = state;
    (void)name;
    if (reading->failed)
        return;
    const char *text = text_of(reading);
    for (size_t i = 0; i < 4; i++)
        if (strcmp(reading->path, corners[i]) == 0) {
            if (!ood_parse_double(text, &reading->object.box[i])) {
                fail(reading, "a corner of a <bndbox> that is no number");
                return;
            }
            reading->object.corners |= 1u << i;
        }
    if (strcmp(reading->path, "annotation/filename") == 0)
        memcpy(reading->file, text, strlen(text) + 1);
    else if (strcmp(reading->path, "annotation/object/name") == 0)
        memcpy(reading->object.name, text, strlen(text) + 1);
    else if (strcmp(reading->path, "annotation/object/difficult") == 0)
        reading->object.difficult = strcmp(text, "1") == 0;
    else if (strcmp(reading->path, "annotation/object") == 0)
        end_object(reading);
    char *slash = strrchr(reading->path, '/');
    *(slash == NULL ? reading->path : slash) = '\0';
    reading->depth--;
    reading->length = 0;
}

/* A document type could declare entities that grow without end; annotations have none. */
static void on_doctype(void *state, const XML_Char *name, const XML_Char *system, const XML_Char *public, int internal)
{
    (void)name, (void)system, (void)public, (void)internal;
    fail(state, "a document type declaration, which annotations do not have");
}

/* What was read becomes a picture of out. */
static bool keep(struct reading *reading)
{
    if (reading->file[0] == '\0')
        return ood_fail(reading->err, OOD_INVALID, "no <filename>");
    struct ood_annotated *picture = annotations_picture(reading->out, reading->file, reading->err);
    for (size_t i = 0; picture != NULL && i < reading->count; i++)
        if (!annotations_truth(reading->out, picture, &reading->truths[i], reading->err))
            return false;
    return picture != NULL;
}

bool ood_annotations_voc(const struct ood_bytes *xml, struct ood_annotations *out, struct ood_error *err)
{
    bool done = false;
    struct reading *reading = ood_new(struct reading, err);
    if (reading == NULL)
        return false;
    reading->out = out;
    reading->err = err;
    reading->parser = XML_ParserCreate(NULL);
    if (reading->parser == NULL) {
        ood_fail(err, OOD_OUT_OF_MEMORY, "out of memory");
        goto out;
    }
    XML_SetUserData(reading->parser, reading);
    XML_SetElementHandler(reading->parser, on_start, on_end);
    XML_SetCharacterDataHandler(reading->parser, on_text);
    XML_SetStartDoctypeDeclHandler(reading->parser, on_doctype);
    enum XML_Status status = xml->size > OOD_ANNOTATION_XML_BYTES ? XML_STATUS_ERROR
                             : XML_Parse(reading->parser, (const char *)xml->data, (int)xml->size, XML_TRUE);
    if (reading->failed)
        goto out;
    if (status != XML_STATUS_OK)
        ood_fail(err, OOD_INVALID, "line %lu: %s", line_of(reading->parser),
                 xml->size > OOD_ANNOTATION_XML_BYTES ? "larger than 16 MiB" : XML_ErrorString(XML_GetErrorCode(reading->parser)));
    else
        done = keep(reading);
out:
    if (reading->parser != NULL)
        XML_ParserFree(reading->parser);
    ood_free(reading->truths);
    ood_free(reading);
    return done;
}
