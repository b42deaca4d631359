/* What the files of `oodctl eval` and `oodctl calibrate` share. In the order of a run: eval_sets.c reads what --out names, eval_gather.c
 * runs a network over the pictures of a source (eval_detector.c a detector), eval_fit.c makes the scores that need fit pictures or the
 * last layer, eval.c holds the options and the order of all this, eval_table.c, eval_json.c (with the draws) and eval_report.c (with
 * eval_page.h, eval_charts.c, eval_worst.c) tell. */
#ifndef OODCTL_EVAL_H
#define OODCTL_EVAL_H

#include "daemon/oodctl/crew.h"
#include "daemon/oodctl/oodctl.h"
#include "detect/match.h"
#include "eval/evaluation.h"
#include "scorer/scorer.h"

/* ---- pictures through a network (eval_gather.c) ---- */

struct eval_network {
    const char *path;
    struct ood_scorer *scorer;
    const struct ood_bundle *bundle;         /* the scorer's */
    struct ood_contenders *contenders;       /* NULL: only verdicts are wanted */
};

struct eval_source { const char *what, *spec, *only, *exclude; };        /* what: for progress, "eval: flowers" */

struct eval_seen {
    const struct ctl_picture *picture;       /* its bytes are there */
    size_t position;                         /* in the source, those that could not be scored counted */
    const struct ood_verdict *verdict;
    const float *logits, *features;
    const double *scores;                    /* [OOD_CONTENDERS]; NULL without contenders */
};

struct eval_counts { size_t pictures, unscored, skipped, excluded; };

/* A way through a source. counts is the caller's, zero before; the crew's own functions count pictures and unscored, the rest is counted here. */
struct eval_pass {
    struct eval_counts *counts;
    struct ctl_source *source;               /* while it runs, as what follows */
    struct ctl_keys *exclude;
    struct ctl_progress progress;
};
/* What a crew's fill does. */
bool eval_pass_fill(struct eval_pass *pass, struct ctl_job *job, size_t batch, struct ood_error *err) OOD_MUST_CHECK;
/* Ids of --only and --exclude that never came, and a source of which nothing can be scored, are failures. */
bool eval_pass_run(struct eval_pass *pass, const struct eval_source *source, const struct ctl_crew *crew, struct ood_error *err) OOD_MUST_CHECK;

struct eval_gathering {
    const struct eval_network *network;
    size_t threads;
    bool quiet;                              /* unreadable pictures were named before */
    void *context;
    bool (*see)(void *context, const struct eval_seen *seen, struct ood_error *err);      /* in the order of the source */
};

/* Every picture of the source through ood_score, and `see`. One that cannot be scored is counted and named. None at all that can:
 * OOD_INVALID. */
bool eval_gather(const struct eval_gathering *gathering, const struct eval_source *source, struct eval_counts *counts,
                 struct ood_error *err) OOD_MUST_CHECK;

/* ---- what one network said of one source ---- */

struct eval_picture {
    size_t position;
    uint32_t label, predicted;               /* class indices; OOD_NONE: no label */
    enum ood_decision decision;
    double scores[OOD_CONTENDERS];
};

/* What a detector found in the pictures of a source. */
struct eval_found {
    size_t pictures;                         /* of the source, unreadable ones too: what the items' positions are below */
    size_t detections;                       /* above the bundle's limit */
    size_t unscored;                         /* of those to be ranked */
    bool annotated;
    size_t objects, missed;                  /* annotated; of them those no detection above the limit matches */
    double ap50;                             /* NAN: not of known pictures */
};

struct eval_pictures {
    struct eval_counts counts;
    struct eval_picture *items;              /* with --detector detections, whose position is their picture's */
    size_t count, capacity;
    size_t decided[3];                       /* by ood_decision */
    double *columns[OOD_CONTENDERS];         /* [count], made by eval_columns; NULL: left out */
    size_t *owners;                          /* [count]: the items' pictures; NULL: they are pictures themselves */
    struct eval_found found;
};

/* A label's class: one of the bundle's labels, or a class's number. */
bool eval_class_of(const struct ood_bundle *bundle, const char *text, uint32_t *class_index);

/* ---- the sets (eval_sets.c) ---- */

struct eval_set { char *name, *group; const char *spec; };     /* group: NULL, none */

/* "NAME=SOURCE" or "NAME:GROUP=SOURCE". False: *why says what is wrong with the text. */
bool eval_set_parse(const char *text, struct eval_set *set, const char **why, struct ood_error *err);

/* ---- detectors (eval_detector.c) ---- */

/* The ground truth of a source, and the class of each of its names. */
struct eval_truth { const char *path; struct ood_annotations annotations; size_t *classes; };

/* ---- the worst judged (eval_worst.c), for the report ---- */

#define EVAL_WORST 24
#define EVAL_BOXES 64                        /* drawn in one picture */

struct eval_box { double box[4]; enum ood_decision decision; double score; size_t class_index; };

/* A picture, and with boxes those of its detections that are ranked: the worst first, whose the score and the class are. */
struct eval_worst {
    double wrongness, score;
    char *id;
    const char *set;                         /* NULL: known */
    size_t class_index;
    struct ood_bytes jpeg;
    size_t width, height, box_count;         /* of the picture; boxes in its pixels */
    struct eval_box *boxes;
};
struct eval_worsts { struct eval_worst accepted[EVAL_WORST], rejected[EVAL_WORST]; size_t accepted_count, rejected_count; };

/* set: NULL for known pictures. Its text must stay. */
bool eval_worst_see(struct eval_worsts *worsts, const struct eval_seen *seen, const char *set, uint64_t pixels, struct ood_error *err) OOD_MUST_CHECK;
/* A detector's picture of width × height and its ranked detections. Reorders them. */
bool eval_worst_boxes(struct eval_worsts *worsts, const struct ctl_picture *picture, struct eval_box *boxes, size_t count, const size_t size[2],
                      const char *set, uint64_t pixels, struct ood_error *err) OOD_MUST_CHECK;
void eval_worsts_free(struct eval_worsts *worsts);

/* ---- a run ---- */

struct eval_options {
    const char *in, *only, *exclude, *fit, *fit_only, *fit_exclude, *compare, *convention, *kernels, *report, *draws, *annotations;
    struct ctl_texts out, out_annotations;
    bool json, detector;
    size_t threads, seed, resamples, pixels, neighbours;
    double react_percentile, ash_percentile; /* ash_percentile -1: each its own default */
};

struct eval_subject {
    struct eval_network network;
    struct eval_pictures in, *out;           /* [sets] */
    char *missing[OOD_CONTENDERS];           /* why a score was left out; NULL: it is there */
    bool *correct;                           /* [in.count]; NULL: no labels */
    struct ood_last_layer layer;
    struct eval_counts fit;                  /* of --fit */
    size_t layer_checked;                    /* pictures on which the last layer was held against the network's logits */
    char *layer_fails;                       /* the first of them where it does not hold */
};

struct eval {
    struct eval_options options;
    enum ood_convention convention;
    struct eval_set *sets;
    struct ood_out_set *names;               /* [sets]: the same, as evaluation.h wants them */
    struct eval_truth in_truth, *out_truths; /* --annotations; [sets]: path NULL, none */
    size_t set_count;
    size_t subject_count;
    struct eval_subject subjects[2];         /* the bundle; the one of --compare */
    struct ood_evaluation evaluation;
    struct eval_worsts worsts;               /* of the bundle, not of --compare's */
    struct ctl_buffer command;               /* as the report names it, paths cut to their last part */
};

/* The fit pictures, where there are any, then contenders of them and the last layer (eval_fit.c). */
bool eval_fit(struct eval *eval, struct eval_subject *subject, bool quiet, struct ood_error *err) OOD_MUST_CHECK;

/* One set through a detector, or --in (s = set_count): items, found, and with a report the worst. */
bool eval_detect(struct eval *eval, size_t subject, size_t s, struct ood_error *err) OOD_MUST_CHECK;
/* Reads --annotations and --out-annotations. */
bool eval_truths(struct eval *eval, struct ood_error *err) OOD_MUST_CHECK;
void eval_truths_free(struct eval *eval);
/* Which set `--out-annotations NAME=TRUTH` is of; false: *why. */
bool eval_truth_parse(struct eval *eval, const char *text, const char **why);

/* A score's name and title; with --detector msp is the detector's own class probability. */
static inline const char *eval_title(const struct eval *eval, size_t contender)
{
    return eval->options.detector && contender == OOD_CONTENDER_MSP ? "probability" : ood_contender_info((enum ood_contender)contender)->title;
}

void eval_table(const struct eval *eval);
bool eval_draws(const struct eval *eval, struct ood_error *err) OOD_MUST_CHECK;     /* eval_json.c: writes options.draws */
bool eval_report(const struct eval *eval, struct ood_error *err) OOD_MUST_CHECK;    /* eval_report.c: writes options.report */
bool eval_json(const struct eval *eval, struct ood_error *err) OOD_MUST_CHECK;      /* one line on standard output */

#endif
