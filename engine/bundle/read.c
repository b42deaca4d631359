/* A bundle from its folder: each file read once, bounded, held against its hash, then parsed. Files that model.json does not
 * name are not opened. */
#include <string.h>

#include "bundle/bundle_internal.h"

#define LARGE (((size_t)1 << 31) - 1)

/* Reads folder/name; the sentence begins with the name alone, as the folder is the caller's to put in front. */
static bool read_file(const char *folder, const char *name, size_t limit, struct ood_bytes *out, struct ood_error *err)
{
    char *path = ood_format(err, "%s/%s", folder, name);
    if (path == NULL)
        return ood_error_prefix(err, "%s", name);
    bool done = ood_file_read(path, limit, out, err);
    size_t skipped = strlen(path) - strlen(name);
    if (!done && strncmp(err->message, path, strlen(path)) == 0)
        memmove(err->message, err->message + skipped, strlen(err->message + skipped) + 1);
    else if (!done)
        ood_error_prefix(err, "%s", name);      /* a path so long that the sentence was cut */
    ood_free(path);
    return done;
}

static bool read_hashed(const json_t *model, const char *folder, const char *name, size_t limit, struct ood_bytes *out,
                        struct ood_error *err)
{
    struct ood_bytes bytes;
    if (!read_file(folder, name, limit, &bytes, err))
        return false;
    if (!bundle_hash_check(model, name, &bytes, err)) {
        ood_bytes_free(&bytes);
        return false;
    }
    *out = bytes;
    return true;
}

struct ood_bundle *ood_bundle_read(const char *folder, struct ood_error *err)
{
    struct ood_bytes text = { 0 }, onnx = { 0 }, prototypes = { 0 }, selftest = { 0 };
    struct ood_bundle *bundle = NULL;
    json_t *model = NULL;
    if (!ood_is_folder(folder)) {
        ood_fail(err, OOD_NOT_FOUND, "no such folder, expected a bundle");
        return NULL;
    }
    if (!read_file(folder, BUNDLE_MODEL, (size_t)64 << 20, &text, err))
        return NULL;
    if (!bundle_seal_check(&text, err) || (model = bundle_json_load(text.data, text.size, err)) == NULL) {
        ood_error_prefix(err, BUNDLE_MODEL);
        goto out;
    }
    if (!read_hashed(model, folder, BUNDLE_NETWORK, LARGE, &onnx, err) ||
        !read_hashed(model, folder, BUNDLE_PROTOTYPES, LARGE, &prototypes, err) ||
        !read_hashed(model, folder, BUNDLE_SELFTEST, (size_t)512 << 20, &selftest, err))
        goto out;
    bundle = bundle_parse(model, &prototypes, &selftest, err);
    if (bundle == NULL)
        goto out;
    ood_sha256_hex(text.data, text.size, bundle->version);
    bundle->onnx = onnx;
    onnx = (struct ood_bytes){ 0 };
out:
    json_decref(model);
    ood_bytes_free(&text);
    ood_bytes_free(&onnx);
    ood_bytes_free(&prototypes);
    ood_bytes_free(&selftest);
    return bundle;
}
