/* The folder a model is deployed as (docs/DESIGN.md "The bundle", docs/INTERFACE.md section 2): model.onnx, model.json,
 * prototypes.safetensors, selftest.safetensors. A reader accepts nothing unhashed; a writer is all or nothing. */
#ifndef OOD_BUNDLE_BUNDLE_H
#define OOD_BUNDLE_BUNDLE_H

#include "base/file.h"
#include "base/hash.h"
#include "detect/detect.h"
#include "picture/picture.h"
#include "score/score.h"

#define OOD_BUNDLE_SCHEMA 1

/* What beta was chosen by: METHOD's default, outliers, or the background of a detector's own pictures (METHOD section 7). */
enum ood_beta_from { OOD_BETA_DEFAULT, OOD_BETA_OUTLIERS, OOD_BETA_BACKGROUND };
const char *ood_beta_from_name(enum ood_beta_from from);                 /* "default", "outliers", "background" */

struct ood_bundle {
    char *name;                              /* [A-Za-z0-9._-]{1,64} */
    char version[OOD_HASH_HEX];              /* SHA-256 of model.json; set by read and write */
    size_t classes;
    char **labels;                           /* [classes] */
    char *input_tensor, *logits_tap, *features_tap;
    struct ood_preprocess input;
    struct ood_judge judge;                  /* prepared */
    enum ood_beta_from beta_from;
    enum ood_convolution convolution;        /* section "engine"; DIRECT until a Winograd kernel was checked */
    double largest_difference;               /* NAN: not checked */
    struct ood_detector *detector;           /* section "detector"; NULL: a classifier's bundle */
    char *provenance;                        /* the JSON object as text, kept verbatim (compact, sorted) */
    struct ood_bytes onnx;                   /* the network's file */
    /* Self-test: preprocessed inputs [n][floats] and what they must score on load. */
    size_t selftest_count, selftest_floats;
    float *selftest_inputs;
    double *selftest_energy, *selftest_representation, *selftest_score;      /* [n] */
    char *selftest_isa;                      /* the instruction set that made it: same bits there */
};

/* Everything is checked: schema, names, types, ranges, lengths, the seal of model.json and the hashes of the other files; what
 * model.json does not name is not opened. Errors begin with the file's name inside the folder: "model.json:
 * decision.threshold: …"; the folder is the caller's to put in front. A changed byte is OOD_CHANGED. Freed by ood_bundle_free. */
struct ood_bundle *ood_bundle_read(const char *folder, struct ood_error *err) OOD_MUST_CHECK;

/* Writes atomically; sets bundle->version. The judge is prepared; provenance NULL is {}. What the reader would refuse is
 * refused here with the same sentence, before a file is touched. The same content gives the same bytes. */
bool ood_bundle_write(struct ood_bundle *bundle, const char *folder, struct ood_error *err) OOD_MUST_CHECK;

/* ---- a detector's declaration, as `oodctl fit --detector` takes it ---- */

/* {"input":{…},"detector":{…}} as in model.json, where members that have usual values may be left out. Tensors may be named "#0",
 * "#1", …: the network's outputs (its inputs, in "input") in their order; classes 0 and no maps: found from the network. Zero it
 * first; freed by ood_declaration_clear. */
struct ood_declaration {
    struct ood_preprocess input;
    char *input_tensor;
    struct ood_detector detector;
};
bool ood_declaration_read(const struct ood_bytes *text, struct ood_declaration *out, struct ood_error *err) OOD_MUST_CHECK;
void ood_declaration_clear(struct ood_declaration *declaration);

/* The declarations that come with the library: text of preset `name`, or NULL; and the name of preset i, or NULL at the end. */
const char *ood_declaration_preset(const char *name);
const char *ood_declaration_preset_name(size_t i);

/* NULL is fine. */
void ood_bundle_free(struct ood_bundle *bundle);

#endif
