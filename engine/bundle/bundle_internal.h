/* What the bundle's files share: model.json from bytes to fields and back. Everything works on memory, so that tests and
 * fuzzers need no folder. */
#ifndef OOD_BUNDLE_BUNDLE_INTERNAL_H
#define OOD_BUNDLE_BUNDLE_INTERNAL_H

#include <jansson.h>

#include "bundle/bundle.h"

#define BUNDLE_MODEL "model.json"
#define BUNDLE_NETWORK "model.onnx"
#define BUNDLE_PROTOTYPES "prototypes.safetensors"
#define BUNDLE_SELFTEST "selftest.safetensors"

#define BUNDLE_CLASSES_MOST 1000000
#define BUNDLE_SELFTEST_MOST 1024
#define BUNDLE_TEXT_MOST 4096           /* bytes of a name, a label, a tap */

/* ---- JSON (json.c) ---- */

/* A JSON object from bytes: no duplicate keys, nothing behind it, 2048 levels at most (Jansson's own limit). */
json_t *bundle_json_load(const void *data, size_t size, struct ood_error *err) OOD_MUST_CHECK;

/* Compact text with sorted keys and shortest numbers: the same value always gives the same bytes, and reading them and
 * writing them again too. At most 64 levels. Freed by ood_free. */
char *bundle_json_text(const json_t *value, struct ood_error *err) OOD_MUST_CHECK;

/* A value for an error sentence: "\"x\"", "3.5", "null", "an object" … */
#define BUNDLE_FOUND_TEXT 64
void bundle_json_found(const json_t *value, char text[BUNDLE_FOUND_TEXT]);
/* At most 40 bytes of a stranger's text, cut between characters, control characters replaced. */
void bundle_text_shown(const char *text, size_t length, char shown[BUNDLE_FOUND_TEXT]);

/* ---- typed members of an object (fields.c); sentences: `decision.threshold: found "x", expected a number` ---- */

struct bundle_fields { const json_t *object; const char *section; };

/* Opens root's member `section` (or root itself: NULL), which must be an object with no member but those of `known`. */
bool bundle_fields_open(struct bundle_fields *fields, const json_t *root, const char *section, const char *const *known,
                        struct ood_error *err) OOD_MUST_CHECK;
/* The same for an object at hand; `section` is its name in sentences and must stay. */
bool bundle_fields_of(struct bundle_fields *fields, const json_t *object, const char *section, const char *const *known,
                      struct ood_error *err) OOD_MUST_CHECK;
bool bundle_field_number(const struct bundle_fields *fields, const char *key, double least, double most, double *out,
                         struct ood_error *err) OOD_MUST_CHECK;
/* null is `absent`. */
bool bundle_field_number_or_null(const struct bundle_fields *fields, const char *key, double least, double most,
                                 double absent, double *out, struct ood_error *err) OOD_MUST_CHECK;
bool bundle_field_size(const struct bundle_fields *fields, const char *key, size_t least, size_t most, size_t *out,
                       struct ood_error *err) OOD_MUST_CHECK;
bool bundle_field_bool(const struct bundle_fields *fields, const char *key, bool *out, struct ood_error *err) OOD_MUST_CHECK;
/* 1 to BUNDLE_TEXT_MOST bytes without control characters; the JSON value's memory. */
bool bundle_field_text(const struct bundle_fields *fields, const char *key, const char **out,
                       struct ood_error *err) OOD_MUST_CHECK;
/* "section.key: found …, expected EXPECTED"; false. */
bool bundle_field_fail(const struct bundle_fields *fields, const char *key, const char *expected, struct ood_error *err);
/* An array of `count` numbers. */
bool bundle_field_floats(const struct bundle_fields *fields, const char *key, size_t count, double least, double most,
                         float *out, struct ood_error *err) OOD_MUST_CHECK;
/* Text without control characters, and not too long? */
bool bundle_text_is_plain(const json_t *value);

/* ---- model.json and the tensors beside it (parse.c) ---- */

/* model.json opens with {"seal":"…"}: the SHA-256 of its own text in which the seal's digits are zeros. */
#define BUNDLE_SEAL_START "{\"seal\":\""
bool bundle_seal_check(const struct ood_bytes *model, struct ood_error *err) OOD_MUST_CHECK;
/* Sets the digits of a text that bundle_seal_check's form fits. */
void bundle_seal_set(char *model, size_t size);

/* The file's bytes against model.json's "files". Errors begin with the name. */
bool bundle_hash_check(const json_t *model, const char *name, const struct ood_bytes *bytes,
                       struct ood_error *err) OOD_MUST_CHECK;

/* root's member "input" (input.c); *tensor is the JSON value's memory. */
bool bundle_parse_input(const json_t *root, struct ood_preprocess *out, const char **tensor, struct ood_error *err) OOD_MUST_CHECK;

/* root's member "detector" (detector.c): every member there and of its type; ood_detector_check is the caller's. *out is zeroed
 * before, and freed by ood_detector_clear also on failure. */
bool bundle_parse_detector(const json_t *root, struct ood_detector *out, struct ood_error *err) OOD_MUST_CHECK;
json_t *bundle_detector_json(const struct ood_detector *detector);       /* NULL: a name is not UTF-8, or out of memory */

/* All of a bundle but its onnx bytes and version. Errors begin with the file's name. */
struct ood_bundle *bundle_parse(const json_t *model, const struct ood_bytes *prototypes, const struct ood_bytes *selftest,
                                struct ood_error *err) OOD_MUST_CHECK;

#endif
