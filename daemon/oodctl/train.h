/* What the files of `oodctl train` share. In the order of a run: train.c holds the options and the order of all this, train_words.c makes the
 * engine's options of them, train_read.c brings the pictures into memory, train_split.c parts them, train_same.c sees that
 * what is held out is, train_start.c makes the run (the
 * first prototypes, margins, a checkpoint to go on from), train_loop.c takes its steps, train_watch.c evaluates and tells, train_end.c
 * makes the bundle, through the code of `fit`. A detector's head is trained by train_detector.c alone. */
#ifndef OODCTL_TRAIN_H
#define OODCTL_TRAIN_H

#include <jansson.h>
#include <math.h>

#include "daemon/oodctl/fit.h"
#include "train/architecture.h"
#include "train/inference.h"
#include "train/training.h"

/* A number that was not given: the default depends on other options. */
#define TRAIN_OPEN NAN

struct train_options {
    struct fit_options fit;
    const char *arch, *exclude, *holdout, *regions;
    double holdout_share;
    struct ctl_texts outliers, validation;
    const char *loss, *energy_space, *energy_form, *representation_form, *score_form, *own_margins, *prototypes;
    double ce_weight, energy_weight, cluster_weight, representation_weight, uniform_weight, score_weight;
    double energy_in, energy_out, gamma, cosine_scale, representation_in, representation_out, score_in, score_out, score_beta;
    double prototype_rate;
    size_t steps;                            /* 0: not given, as the next two */
    double epochs, minutes;
    const char *batch, *schedule, *augment, *early_crop, *statistics, *precision;
    double rate, warmup, momentum, weight_decay, clip, ema, strange_outliers, statistics_momentum;
    size_t pad, slices, memory;
    const char *checkpoint, *log;
    double checkpoint_minutes;
    bool resume;
    size_t evaluations, evaluation_pictures;
};

/* The pictures of one kind of source. */
struct train_pictures {
    struct ood_picture_set *set;
    char **ids;                              /* [count] */
    uint32_t *labels;                        /* [count]: of fit.label_texts, or OOD_NONE */
    size_t count, ids_capacity, labels_capacity, unreadable, skipped;
};

/* A part of pictures: places in their set. */
struct train_part { size_t *places, count; };

struct train {
    struct train_options options;
    const struct ctl_command *command;
    struct fit fit;                          /* preprocessing, labels, and in the end the bundle */
    struct ood_architecture architecture;    /* with --arch */
    struct ood_training_options training_options;
    double own_in, own_out;                  /* --own-margins; NaN: none */
    bool automatic_precision;

    struct train_pictures images, outliers, validation;
    int32_t *classes;                        /* [images.count] */
    struct train_part fit_in, held;          /* of images: to train on; held out, to fit and calibrate */
    struct train_part all_outliers, all_validation;
    struct train_part shown_in, shown_out;   /* looked at by evaluations: some of held and validation */
    char model_hash[OOD_HASH_HEX], images_hash[OOD_HASH_HEX], outliers_hash[OOD_HASH_HEX], held_hash[OOD_HASH_HEX];

    struct ood_training *training;
    double elapsed_before;                   /* seconds of runs this one goes on from */
    double started;                          /* the clock when this run's first step began */
    uint64_t resumed_at;
    struct ood_validation first, last;
    bool has_first, has_last;
    int signal;                              /* that ended it; 0: none */
};

/* ---- train_words.c ---- */

/* --batch IN[,OUT]; `usual` is IN where it is not given, out_share times IN is OUT. False: no such numbers from 1 and least_out to 65,536. */
bool train_parse_batch(const struct train *train, double usual, double out_share, double least_out, size_t *in, size_t *out);
/* Rate, schedule and optimiser; `usual`: the rate that is not given. */
int train_check_rates(struct train *train, double usual);
/* The words of the losses, and --own-margins, of which `usual` are those not given. */
int train_check_loss(struct train *train, const double usual[2], bool outliers);

/* What does not depend on the network: usage errors. Sets training_options but for what the classes decide. */
int train_check_words(struct train *train);
/* The losses, for so many classes. */
bool train_loss(struct train *train, size_t classes, struct ood_error *err) OOD_MUST_CHECK;

/* ---- train_read.c ---- */

/* Streams one source into pictures. only, exclude: NULL or ids to take or to leave out. */
bool train_read(struct train *train, const char *spec, struct ctl_keys *only, struct ctl_keys *exclude, const char *what, struct train_pictures *pictures,
                struct ood_error *err) OOD_MUST_CHECK;
void train_pictures_free(struct train_pictures *pictures);
/* The different labels of a source: as many classes a network from scratch has. */
bool train_count_labels(const char *spec, struct ctl_keys *only, struct ctl_keys *exclude, size_t *count, struct ood_error *err) OOD_MUST_CHECK;

/* ---- train_split.c ---- */

bool train_split(struct train *train, struct ood_error *err) OOD_MUST_CHECK;

/* ---- train_same.c ---- */

/* Refuses validation outliers whose pixels are also among the outliers to train with: they would not be held out. */
bool train_check_apart(const struct train *train, struct ood_error *err) OOD_MUST_CHECK;

/* ---- train_start.c ---- */

/* Makes the training, perhaps from a checkpoint. */
bool train_start(struct train *train, struct ood_error *err) OOD_MUST_CHECK;
bool train_checkpoint(struct train *train, struct ood_error *err) OOD_MUST_CHECK;

/* ---- train_loop.c ---- */

/* Steps to the end of the budget, or to a signal. */
bool train_loop(struct train *train, struct ood_error *err) OOD_MUST_CHECK;
double train_elapsed(const struct train *train);

/* ---- train_watch.c ---- */

/* The network as it is now over these parts of the held-out pictures. */
bool train_evaluate(struct train *train, const struct train_part *in, const struct train_part *out, struct ood_validation *result, struct ood_error *err) OOD_MUST_CHECK;

struct train_sums { struct ood_loss_terms terms; double rate, norm; size_t steps, pictures; double since; };      /* since a line was written */
void train_add(struct train_sums *sums, const struct ood_training_report *report);
bool train_log_steps(const struct train *train, const struct train_sums *sums, double epoch, double progress, struct ood_error *err) OOD_MUST_CHECK;
bool train_log_evaluation(const struct train *train, const struct ood_validation *evaluation, double epoch, struct ood_error *err) OOD_MUST_CHECK;
bool train_log_event(const struct train *train, const char *event, struct ood_error *err) OOD_MUST_CHECK;
/* The FPR95 and AUROC of an evaluation as members of a JSON object; null where open. */
void train_add_rankings(json_t *object, const struct ood_validation *evaluation);
/* One line for people. */
void train_line(const struct train *train, const struct train_sums *sums, double epoch, double progress, char *text, size_t size);
void train_say_evaluation(const struct train *train, const struct ood_validation *evaluation, double epoch);

/* ---- train.c and train_end.c ---- */

void train_defaults(struct train_options *options);

bool train_end(struct train *train, double seconds, struct ood_error *err) OOD_MUST_CHECK;
/* How a network was trained, for its bundle: `object`, which it takes (NULL: no memory), with the losses. Fresh memory, NULL on failure. */
char *train_provenance(const struct train *train, const struct ood_loss_options *loss, json_t *object, struct ood_error *err) OOD_MUST_CHECK;

/* ---- train_detector.c ---- */

int train_check_detector(struct train *train);
/* All of it; the exit status. */
int train_detector(struct train *train);

static inline size_t train_threads(const struct train *train) { return fit_threads(&train->fit); }

#endif
