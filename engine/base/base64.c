/* Bytes as text (nettle). */
#include "base/base64.h"

#include <nettle/base64.h>

char *ood_base64(const void *data, size_t size, struct ood_error *err)
{
    if (size > SIZE_MAX / 2) {
        ood_fail(err, OOD_LIMIT, "%zu bytes are too many for base64", size);
        return NULL;
    }
    char *text = ood_alloc((size + 2) / 3 * 4 + 1, 1, err);
    if (text != NULL)
        base64_encode_raw(text, size, data);
    return text;
}
