/* How a changed byte is found: model.json carries the hashes of the other files and a seal over its own text. */
#include <string.h>

#include "bundle/bundle_internal.h"

#define SEAL_START (sizeof BUNDLE_SEAL_START - 1)
#define SEAL_DIGITS (OOD_HASH_HEX - 1)

bool bundle_seal_check(const struct ood_bytes *model, struct ood_error *err)
{
    char hex[OOD_HASH_HEX];
    if (model->size < SEAL_START + SEAL_DIGITS + 2 || memcmp(model->data, BUNDLE_SEAL_START, SEAL_START) != 0)
        return ood_fail(err, OOD_CHANGED, "changed since it was written: does not begin with its seal, expected "
                        BUNDLE_SEAL_START "<64 hex digits>\"");
    char *copy = ood_strndup((const char *)model->data, model->size, err);
    if (copy == NULL)
        return false;
    memset(copy + SEAL_START, '0', SEAL_DIGITS);
    ood_sha256_hex(copy, model->size, hex);
    ood_free(copy);
    if (memcmp(model->data + SEAL_START, hex, SEAL_DIGITS) != 0)
        return ood_fail(err, OOD_CHANGED, "changed since it was written: found SHA-256 %s, its seal is another", hex);
    return true;
}

void bundle_seal_set(char *model, size_t size)
{
    char hex[OOD_HASH_HEX];
    memset(model + SEAL_START, '0', SEAL_DIGITS);
    ood_sha256_hex(model, size, hex);
    memcpy(model + SEAL_START, hex, SEAL_DIGITS);
}

bool bundle_hash_check(const json_t *model, const char *name, const struct ood_bytes *bytes, struct ood_error *err)
{
    static const char *const known[] = { BUNDLE_NETWORK, BUNDLE_PROTOTYPES, BUNDLE_SELFTEST, NULL };
    struct bundle_fields files;
    const char *expected;
    char found[OOD_HASH_HEX];
    if (!bundle_fields_open(&files, model, "files", known, err) || !bundle_field_text(&files, name, &expected, err))
        return ood_error_prefix(err, BUNDLE_MODEL);
    ood_sha256_hex(bytes->data, bytes->size, found);
    if (strcmp(found, expected) != 0)
        return ood_fail(err, OOD_CHANGED, "%s: changed since the bundle was written: found SHA-256 %s, expected %.64s",
                        name, found, expected);
    return true;
}
