/* Class names from any bytes: what is accepted is clean, without twins, and reads the same when it is written as a list. */
#include <string.h>

#include "fuzz.h"
#include "graph/graph_internal.h"
#include "graph/labels.h"

/* ["a", "b"], with backslashes before what needs one. */
static char *written(const struct ood_labels *labels, size_t *size)
{
    struct ood_error err = { 0 };
    size_t room = 2, used = 0;
    for (size_t i = 0; i < labels->count; i++)
        room += 2 * strlen(labels->names[i]) + 4;
    char *text = ood_alloc(room, 1, &err);
    fuzz_require(text != NULL);
    text[used++] = '[';
    for (size_t i = 0; i < labels->count; i++) {
        text[used++] = '"';
        for (const char *c = labels->names[i]; *c != '\0'; c++) {
            if (*c == '"' || *c == '\\')
                text[used++] = '\\';
            text[used++] = *c;
        }
        text[used++] = '"';
        text[used++] = ',';
    }
    text[used++] = ']';
    *size = used;
    return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ood_error err = { 0 };
    struct ood_labels labels = { 0 }, again = { 0 };
    char *text = ood_alloc(size + (size == 0), 1, &err);
    fuzz_require(text != NULL);
    if (size > 0)
        memcpy(text, data, size);
    const bool done = ood_labels_parse(text, size, &labels, &err);
    ood_free(text);
    if (!done) {
        fuzz_require(err.code != OOD_OK && err.message[0] != '\0' && labels.names == NULL);
        return 0;
    }
    fuzz_require(labels.count > 0);
    for (size_t i = 0; i < labels.count; i++)
        fuzz_require(labels.names[i][0] != '\0' && strlen(labels.names[i]) < OOD_LABEL_BYTES + 16 && ood_name_is_clean(labels.names[i]));
    for (size_t i = 0; i < labels.count && labels.count < 200; i++)
        for (size_t k = 0; k < i; k++)
            fuzz_require(strcmp(labels.names[i], labels.names[k]) != 0);
    text = written(&labels, &size);
    if (ood_labels_parse(text, size, &again, &err)) {
        fuzz_require(again.count == labels.count);
        for (size_t i = 0; i < labels.count; i++)
            fuzz_require(strcmp(again.names[i], labels.names[i]) == 0);
    } else {
        fuzz_require(strstr(err.message, "a name of more than") != NULL);        /* a twin's longer name */
    }
    ood_labels_clear(&again);
    ood_labels_clear(&labels);
    ood_free(text);
    return 0;
}
