/* What the files of `oodctl fit` share. In the order of a run: fit_input.c settles the preprocessing and compiles the network,
 * fit_gather.c runs it over the pictures, fit_labels.c gives labels their classes, fit_judge.c makes the numbers of METHOD
 * sections 2 to 4 (of a detector fit_detector.c and fit_regions.c do all this up to here, and fit_background.c chooses), fit_convolution.c holds them against direct
 * convolution (by the rule of fit_agreement.c), fit_bundle.c writes them, fit.c holds the options and the order of all this,
 * fit_usage.c looks at them first, fit_summary.c tells. */
#ifndef OODCTL_FIT_H
#define OODCTL_FIT_H

#include "bundle/bundle.h"
#include "daemon/oodctl/fit_agreement.h"
#include "daemon/oodctl/oodctl.h"
#include "daemon/oodctl/sources.h"
#include "detect/match.h"
#include "scorer/scorer.h"

#define FIT_BATCH 8
#define FIT_SELFTEST 8                       /* inputs of the bundle's self-test */
#define FIT_KEPT 64                          /* encoded pictures kept to draw them from */
#define FIT_BACKGROUND_LEAST 10              /* detections of each side, for T and beta to be chosen by them */

/* The rows of an options table that concern the bundle and the network's input: `fit` and `train` share them. AT(field): the offset of
 * a field of struct fit_options. */
#define FIT_BUNDLE_ROWS(AT) \
    { "out", "BUNDLE", "the folder to write (needed)", CTL_TEXT, AT(out), 0, 0 }, \
    { "name", "NAME", "the bundle's name (default: the folder's)", CTL_TEXT, AT(name), 0, 0 }, \
    { "labels", "FILE", "class names in the network's order, one a line (default: the file's metadata, the sorted folder names)", CTL_TEXT, AT(labels), 0, 0 }, \
    { "preprocess", "PRESET", "cifar or imagenet (default: by the input's size)", CTL_TEXT, AT(preprocess), 0, 0 }, \
    { "width", "N", "the input's width, where the network leaves it open", CTL_SIZE, AT(width), 1, 65536 }, \
    { "height", "N", "its height", CTL_SIZE, AT(height), 1, 65536 }, \
    { "channels", "ORDER", "rgb, bgr or grey", CTL_TEXT, AT(channels), 0, 0 }, \
    { "layout", "LAYOUT", "nchw or nhwc", CTL_TEXT, AT(layout), 0, 0 }, \
    { "resize", "HOW", "short_side, exact or letterbox", CTL_TEXT, AT(resize), 0, 0 }, \
    { "resize-to", "N", "short_side: the length before the centre crop", CTL_SIZE, AT(resize_to), 1, 65536 }, \
    { "filter", "FILTER", "bilinear or bicubic", CTL_TEXT, AT(filter), 0, 0 }, \
    { "scale", "X", "value = (pixel * scale - mean) / std", CTL_TEXT, AT(scale), 0, 0 }, \
    { "mean", "A[,B,C]", "in the order of the channels", CTL_TEXT, AT(mean), 0, 0 }, \
    { "std", "A[,B,C]", "likewise", CTL_TEXT, AT(std), 0, 0 }, \
    { "fill", "R[,G,B]", "letterbox: the colour around, 0 to 255", CTL_TEXT, AT(fill), 0, 0 }, \
    { "logits", "TENSOR", "the scores before any softmax (default: found)", CTL_TEXT, AT(logits), 0, 0 }, \
    { "features", "TENSOR", "the last layer's input (default: found)", CTL_TEXT, AT(features), 0, 0 }, \
    { "distance", "WHICH", "nearest or predicted: the prototype D is measured to (default: nearest)", CTL_TEXT, AT(distance), 0, 0 }, \
    { "temperature", "T", "of the energy (default: 1; a detector's is chosen where there are --annotations)", CTL_NUMBER, AT(temperature), 1e-6, 1e6 }, \
    { "alpha", "A", "the share of known pictures that may be called out (default: 0.05)", CTL_NUMBER, AT(alpha), 1e-6, 0.999999 }, \
    { "alpha-review", "A", "the share below the review threshold (default: alpha, no review zone)", CTL_NUMBER, AT(alpha_review), 1e-6, 0.999999 }, \
    { "convolution", "KIND", "auto, direct or winograd (default: auto: winograd where its scores agree with direct)", CTL_TEXT, AT(convolution), 0, 0 }, \
    { "per-class", NULL, "thresholds of the predicted class", CTL_FLAG, AT(per_class), 0, 0 }

#define FIT_DETECTOR_ROWS(AT) \
    { "detector", "DETECTOR", "the network finds objects: a preset (fastestdet, yolov8, ...), a declaration's file, or a bundle, which has the network", \
      CTL_TEXT, AT(detector), 0, 0 }, \
    { "annotations", "TRUTH", "of --images: COCO's JSON or a folder of Pascal VOC's XML", CTL_TEXT, AT(annotations), 0, 0 }

#define FIT_DEFAULTS { .distance = "nearest", .convolution = "auto", .alpha = 0.05, .seed = 1 }

struct fit_options {
    const char *model, *images, *only, *calibration, *out, *name, *labels;
    struct ctl_texts outliers;
    const char *preprocess, *channels, *layout, *resize, *filter, *scale, *mean, *std, *fill;
    size_t width, height, resize_to;         /* 0: not given */
    const char *logits, *features, *distance, *convolution;
    const char *detector, *annotations;
    double temperature, alpha, alpha_review; /* temperature 0: not given; alpha_review 0: alpha */
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
struct fit_part { const char *spec; struct ctl_keys *only; struct fit_set *set; size_t first, count; };

struct fit_kept { size_t index; struct ctl_picture picture; };      /* index: in images */

struct fit {
    struct fit_options options;
    struct ood_bytes onnx;                   /* empty: read from options.model */
    struct ctl_keys *only;                   /* of images; NULL: all */
    const char *tool;                        /* for the provenance; NULL: "oodctl fit" */
    float *learned;                          /* [K][D] the prototypes, of unit length; NULL: class means */
    char *training;                          /* a JSON object for the provenance; NULL: none */
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
    const char *labels_key;                  /* of the network's metadata, where the names are from there; else NULL */
    size_t *label_classes;                   /* [label_count]: the class of each label text */
    bool labelled;
    size_t *image_classes;                   /* [images.count]: label's or, without labels, predicted */
    bool *is_fit;                            /* [images.count] */
    size_t *fit_counts, *calibration_counts; /* [K] */
    size_t fit_total, calibration_total;

    struct ood_judge judge;                  /* handed to the bundle at the end */
    size_t *seen, *correct;                  /* [K], of labelled pictures, both parts */
    double accepted, reviewed;               /* shares of the calibration pictures above the thresholds */
    enum ood_beta_from beta_from;
    double outlier_auroc;                    /* at the chosen beta */
    double temperature_auroc;                /* of E at the chosen T; 0: it was not chosen */

    /* A detector's (fit_detector.c): the items of the sets are detections, a set's positions the pictures they are in. */
    struct ood_declaration declaration;
    struct ood_decoder *decoder;             /* NULL: a classifier */
    struct ood_annotations annotations;
    size_t *name_classes;                    /* [annotations.name_count]: the detector's class, SIZE_MAX none */
    bool trains;                             /* train --detector: one picture of each pair is for the head, half of the others each to fit and calibrate */
    bool learns_detections, learns_boxes;    /* with `trains`: what a known region is: a detection that matches an object, an annotated box */
    size_t box_count, boxes_missed;          /* such boxes; those that no region of the detector overlaps, which are left out */
    double ap50, best_f1;                    /* of the pictures with annotations */
    size_t picture_count, matched;           /* of --images: pictures read, detections that match an annotation */
    bool *is_background;                     /* [images.count]: overlaps no object by IoU 0.5, whatever its class */
    size_t image_class_capacity, is_fit_capacity, is_background_capacity;

    struct fit_agreement agreement;          /* of Winograd with direct convolution; count 0: not compared */
    char *worst_id;                          /* the picture with the worst score */
    struct ood_bundle *bundle;
};

/* ---- before any work (fit_usage.c) ---- */

/* The words and ranges of what FIT_BUNDLE_ROWS read; given->name is set where it was not: *name, fresh memory. CTL_DONE, or the status. */
int fit_check_words(const struct ctl_command *command, struct fit_options *given, char **name);
/* What --detector goes together with. */
int fit_check_detector(const struct ctl_command *command, const struct fit_options *given);
/* What is at --out is replaced in the end: only a bundle, or nothing, may be there. */
bool fit_check_out(const char *out, struct ood_error *err) OOD_MUST_CHECK;
/* Is the option's argument the place of a file? */
bool ctl_option_is_path(const struct ctl_option *option);
/* "oodctl COMMAND --option value …": the options that differ from their defaults, in the order of the table, paths cut to their last
 * part; without those named in left_out, which ends in NULL. */
bool ctl_command_text(const struct ctl_command *command, const void *given, const void *defaults, const char *const *left_out,
                      struct ctl_buffer *out, struct ood_error *err) OOD_MUST_CHECK;

/* ---- the run ---- */

/* The words and numbers of the preprocessing options, before any work. */
bool fit_options_valid(const struct fit_options *options, struct ood_error *err) OOD_MUST_CHECK;
bool fit_input(struct fit *fit, struct ood_error *err) OOD_MUST_CHECK;
bool fit_gather(struct fit *fit, const char *spec, struct ctl_keys *only, const char *what, struct fit_set *set,
                struct ood_error *err) OOD_MUST_CHECK;
/* A label text's number among fit->label_texts. */
bool fit_intern_label(struct fit *fit, const char *text, uint32_t *out, struct ood_error *err) OOD_MUST_CHECK;
/* The names in the network's metadata as fit->labels, with fit->labels_key: if there are any for its classes, and of texts[count], which
 * `source` brought, all (or, where not `all`, one) are among them or numbers of classes. Else they stay NULL, and a warning says why.
 * False: out of memory. */
bool fit_names_from_network(struct fit *fit, const char *const *texts, size_t count, bool all, const char *source,
                            struct ood_error *err) OOD_MUST_CHECK;
/* The names of the classes, and which class each label text is. */
bool fit_label_classes(struct fit *fit, struct ood_error *err) OOD_MUST_CHECK;
bool fit_labels(struct fit *fit, struct ood_error *err) OOD_MUST_CHECK;
bool fit_judge(struct fit *fit, struct ood_error *err) OOD_MUST_CHECK;
/* Scores of the pictures gathered (a seeded draw of 2,000 where there are more) against those of direct convolution. */
bool fit_compare(struct fit *fit, struct ood_error *err) OOD_MUST_CHECK;
bool fit_uses_winograd(const struct ood_model *model);
struct ood_model *fit_compile(const struct fit *fit, enum ood_convolution convolution, struct ood_error *err) OOD_MUST_CHECK;
/* ---- detectors ---- */

/* The word of --detector: a preset or a file. */
bool fit_declaration(const char *word, struct ood_declaration *out, struct ood_error *err) OOD_MUST_CHECK;
bool fit_detector_input(struct fit *fit, struct ood_error *err) OOD_MUST_CHECK;
/* Is the word a bundle's folder, which has the network too? */
bool fit_detector_is_bundle(const char *word);
/* The model, its decoder and what they decide, from fit->onnx and the declaration; in place of those there were. */
bool fit_detector_model(struct fit *fit, struct ood_error *err) OOD_MUST_CHECK;
/* The score limit, then every detection above it: images, calibration and outliers are filled, and split. */
bool fit_regions(struct fit *fit, struct ood_error *err) OOD_MUST_CHECK;
/* With `trains`: the score limit, then of the pictures for the head every detection of a quarter of it, into images, and with learns_boxes every
 * annotated box of the detector's classes; without learns_detections, of detections only those that match nothing. Of the pictures of the sources
 * every detection above the limit, into *foreign. */
bool fit_training_regions(struct fit *fit, const struct ctl_texts *sources, struct fit_set *foreign, struct ood_error *err) OOD_MUST_CHECK;
/* What became of the regions is forgotten; the counts of what could not be read stay. */
void fit_drop_regions(struct fit *fit);
void fit_set_free(struct fit_set *set);
/* Are there enough detections of each side in the fit part to choose T and beta by? */
bool fit_has_background(const struct fit *fit);
/* judge.temperature: 1, or of 0.1 to 4 the one whose E tells them best and better than at 1. */
bool fit_choose_temperature(struct fit *fit, struct ood_error *err) OOD_MUST_CHECK;
/* E and D of the fit part [fit_total], each picture's by prototypes of the others. */
bool fit_measure_apart(const struct fit *fit, double *energy, double *representation, struct ood_error *err) OOD_MUST_CHECK;
/* judge.beta likewise, from such numbers of the fit part: 0.5, or what is better. */
bool fit_choose_beta(struct fit *fit, const double *energy, const double *representation, struct ood_error *err) OOD_MUST_CHECK;
/* The self-test's inputs and the scores of the best detection in each. */
bool fit_self_test_allocate(struct fit *fit, size_t count, struct ood_error *err) OOD_MUST_CHECK;
bool fit_regions_self_test(struct fit *fit, struct ood_error *err) OOD_MUST_CHECK;

/* From the compiled network (fit_input) to the bundle on disk. command: what made it, without this machine's paths. */
bool fit_make(struct fit *fit, const char *command, struct ood_error *err) OOD_MUST_CHECK;
bool fit_write(struct fit *fit, const char *command, struct ood_error *err) OOD_MUST_CHECK;
/* The same of a detector (fit_detector_input). */
bool fit_make_detector(struct fit *fit, const char *command, struct ood_error *err) OOD_MUST_CHECK;
/* The exit status of a command that could not read so many pictures, which it says. */
int fit_unreadable(const char *command, size_t count);
/* Back to what fit_input left: pictures, labels and numbers are gone. */
void fit_forget(struct fit *fit);
void fit_free(struct fit *fit);
void fit_summary(const struct fit *fit, double seconds);
size_t fit_threads(const struct fit *fit);

static inline const float *fit_logits(const struct fit *fit, const struct fit_set *set, size_t i) { return set->logits + i * fit->classes; }
static inline const float *fit_features(const struct fit *fit, const struct fit_set *set, size_t i) { return set->features + i * fit->dimension; }

#endif
