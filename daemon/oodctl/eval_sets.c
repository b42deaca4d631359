/* eval: the sets of outliers as --out names them. */
#include <string.h>

#include "daemon/oodctl/eval.h"

static bool plain(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
            return false;
    return length >= 1 && length <= 100;
}

bool eval_set_parse(const char *text, struct eval_set *set, const char **why, struct ood_error *err)
{
    const char *equals = strchr(text, '=');
    *why = "expected NAME=SOURCE or NAME:GROUP=SOURCE";
    if (equals == NULL || equals[1] == '\0')
        return false;
    size_t length = (size_t)(equals - text), name = strcspn(text, ":=");
    bool grouped = name < length;
    *why = "a name and a group have 1 to 100 bytes and no control characters";
    if (!plain(text, name) || (grouped && !plain(text + name + 1, length - name - 1)))
        return false;
    *why = NULL;
    *set = (struct eval_set){ .name = ood_strndup(text, name, err), .spec = equals + 1 };
    if (set->name != NULL && grouped)
        set->group = ood_strndup(text + name + 1, length - name - 1, err);
    return set->name != NULL && (!grouped || set->group != NULL);
}
