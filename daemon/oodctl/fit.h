/* What the files of `oodctl fit` share. In the order of a run: fit_input.c settles the preprocessing and compiles the network,
 * fit_gather.c runs it over the pictures, fit_labels.c gives labels their classes, fit_judge.c makes the numbers of METHOD
 * sections 2 to 4, fit_convolution.c holds them against direct convolution (by the rule of fit_agreement.c), fit_bundle.c writes
 * them, fit.c holds the options and the order of all this, fit_summary.c tells. */
#ifndef OODCTL_FIT_H
#define OODCTL_FIT_H

#include "bundle/bundle.h"
#include "daemon/oodctl/fit_agreement.h"
#include "daemon/oodctl/oodctl.h"
#include "daemon/oodctl/sources.h"
#include "scorer/scorer.h"

#define FIT_BATCH 8
#define FIT_SELFTEST 8                       /* inputs of the bundle's self-test */
#define FIT_KEPT 64                          /* encoded pictures kept to draw them from */

struct fit_options {
    const char *model, *images, *only, *calibration, *out, *name, *labels;
    struct ctl_texts outliers;
    const char *preprocess, *channels, *layout, *resize, *filter, *scale, *mean, *std, *fill;
    size_t width, height, resize_to;         /* 0: not given */
    const char *logits, *features, *distance, *convolution;
    double temperature, alpha, alpha_review; /* alpha_review 0: alpha */
    bool per_class;
    size_t seed, threads;
};

/* What the network said about the pictures of one source, in its order. */
struct fit_set {
    size_t count, unreadable, skipped;
    float *logits, *features;                /* [count][K], [count][D] */
    uint32_t *labels;                        /* [count]: of fit->label_texts, or OOD_NONE */
    size_t *positions;                       /* [count]: place in its source, unreadable ones counted */
    size_t logits_capacity, features_capacity, labels_capacity, positions_capacity;
};

/* One source that was read: its pictures are first … first + count of the set. */
struct fit_part { const char *spec, *only; struct fit_set *set; size_t first, count; };

struct fit_kept { size_t index; struct ctl_picture picture; };      /* index: in images */

struct fit {
    struct fit_options options;
    struct ood_bytes onnx;
    struct ood_preprocess preprocess;
    const char *preset;                      /* where it began */
    bool preset_guessed;
    enum ood_convolution convolution;        /* DIRECT or WINOGRAD: what the model is compiled for, and the bundle made with */
    struct ood_model *model;
    size_t classes, dimension;               /* K, D */

    struct fit_set images, calibration, outliers;
    struct fit_part *parts;
    size_t part_count, part_capacity;
    bool again;                              /* the pictures are read once more: what is wrong with them was said */
    char **label_texts;                      /* as the sources have them, each once */
    size_t label_count, label_capacity;
    struct fit_kept kept[FIT_KEPT];          /* a seeded sample of images */
    size_t kept_count;

    char **labels;                           /* [K] names */
    size_t *label_classes;                   /* [label_count]: the class of each label text */
    bool labelled;
    size_t *image_classes;                   /* [images.count]: label's or, without labels, predicted */
    bool *is_fit;                            /* [images.count] */
    size_t *fit_counts, *calibration_counts; /* [K] */
    size_t fit_total, calibration_total;

    struct ood_judge judge;                  /* handed to the bundle at the end */
    size_t *seen, *correct;                  /* [K], of labelled pictures, both parts */
    double accepted, reviewed;               /* shares of the calibration pictures above the thresholds */
    double outlier_auroc;                    /* at the chosen beta */

    struct fit_agreement agreement;          /* of Winograd with direct convolution; count 0: not compared */
    char *worst_id;                          /* the picture with the worst score */
    struct ood_bundle *bundle;
};

/* The words and numbers of the preprocessing options, before any work. */
bool fit_options_valid(const struct fit_options *options, struct ood_error *err) OOD_MUST_CHECK;
bool fit_input(struct fit *fit, struct ood_error *err) OOD_MUST_CHECK;
bool fit_gather(struct fit *fit, const char *spec, const char *only, const char *what, struct fit_set *set,
                struct ood_error *err) OOD_MUST_CHECK;
bool fit_labels(struct fit *fit, struct ood_error *err) OOD_MUST_CHECK;
bool fit_judge(struct fit *fit, struct ood_error *err) OOD_MUST_CHECK;
/* Scores of the pictures gathered (a seeded draw of 2,000 where there are more) against those of direct convolution. */
bool fit_compare(struct fit *fit, struct ood_error *err) OOD_MUST_CHECK;
bool fit_uses_winograd(const struct ood_model *model);
struct ood_model *fit_compile(const struct fit *fit, enum ood_convolution convolution, struct ood_error *err) OOD_MUST_CHECK;
/* command: what made it, without this machine's paths. */
bool fit_write(struct fit *fit, const char *command, struct ood_error *err) OOD_MUST_CHECK;
void fit_summary(const struct fit *fit, double seconds);
size_t fit_threads(const struct fit *fit);

static inline const float *fit_logits(const struct fit *fit, const struct fit_set *set, size_t i) { return set->logits + i * fit->classes; }
static inline const float *fit_features(const struct fit *fit, const struct fit_set *set, size_t i) { return set->features + i * fit->dimension; }

#endif
