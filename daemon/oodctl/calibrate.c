/* oodctl calibrate: new calibration scores, and the thresholds they give, from new in-distribution pictures; nothing else of a bundle
 * changes but what its provenance says. */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/oodctl/eval.h"
#include "daemon/oodctl/fit.h"

struct calibrate_options {
    const char *images, *only, *exclude, *out;
    double alpha, alpha_review;              /* 0: the bundle's */
    size_t threads, pixels;
};

#define FIELD(name) offsetof(struct calibrate_options, name)

static const struct ctl_option options[] = {
    { "images", "SOURCE", "pictures of what the network knows, neither trained nor fitted on (needed)", CTL_TEXT, FIELD(images), 0, 0 },
    { "only", "LIST", "of --images, only the ids in this file, one a line", CTL_TEXT, FIELD(only), 0, 0 },
    { "exclude", "LIST", "of --images, not the ids in this file", CTL_TEXT, FIELD(exclude), 0, 0 },
    { "alpha", "A", "the share of known pictures that may be called out (default: the bundle's)", CTL_NUMBER, FIELD(alpha), 1e-6, 0.999999 },
    { "alpha-review", "A", "the share below the review threshold (default: the bundle's; no review zone where it had none)", CTL_NUMBER, FIELD(alpha_review), 1e-6, 0.999999 },
    { "out", "BUNDLE", "write it here (default: the bundle itself is replaced, in one step)", CTL_TEXT, FIELD(out), 0, 0 },
    { "threads", "T", "threads (default: the CPUs it may use); changes no result", CTL_SIZE, FIELD(threads), 1, 1024 },
    { "pixels", "N", "the most pixels a picture may have (default: 40000000)", CTL_SIZE, FIELD(pixels), 1, 1e12 },
    { 0 },
};

static const struct calibrate_options defaults = { 0 };

struct scored { double score; int64_t class_index; };

struct calibrate {
    struct calibrate_options options;
    const struct ctl_command *command;
    struct eval_network network;             /* the bundle as it was */
    struct ood_bundle *bundle;               /* as it becomes */
    struct eval_counts counts;
    struct scored *scored;                   /* [count] */
    size_t count, capacity;
};

/* ---- pictures ---- */

static bool see(void *context, const struct eval_seen *seen, struct ood_error *err)
{
    struct calibrate *calibrate = context;
    if (!ood_grow(&calibrate->scored, &calibrate->capacity, calibrate->count + 1, sizeof *calibrate->scored, err))
        return false;
    calibrate->scored[calibrate->count++] = (struct scored){ seen->verdict->score, (int64_t)seen->verdict->class_index };
    return true;
}

static int by_score(const void *a, const void *b)
{
    const struct scored *x = a, *y = b;
    if (x->score != y->score)
        return x->score < y->score ? -1 : 1;
    return (x->class_index > y->class_index) - (x->class_index < y->class_index);
}

/* ---- the bundle ---- */

static bool replace_scores(struct calibrate *calibrate, struct ood_error *err)
{
    const struct calibrate_options *given = &calibrate->options;
    struct ood_judge *judge = &calibrate->bundle->judge;
    size_t n = calibrate->count;
    double *scores = ood_new_array(double, n, err);
    int64_t *classes = scores != NULL && judge->per_class ? ood_new_array(int64_t, n, err) : NULL;
    if (scores == NULL || (judge->per_class && classes == NULL)) {
        ood_free(scores);
        return false;
    }
    qsort(calibrate->scored, n, sizeof *calibrate->scored, by_score);
    for (size_t i = 0; i < n; i++) {
        scores[i] = calibrate->scored[i].score;
        if (classes != NULL)
            classes[i] = calibrate->scored[i].class_index;
    }
    ood_free(judge->calibration_scores);
    ood_free(judge->calibration_classes);
    judge->calibration_scores = scores;
    judge->calibration_classes = classes;
    judge->calibration_count = n;
    bool review = judge->alpha_review > judge->alpha;
    if (given->alpha != 0)
        judge->alpha = given->alpha;
    if (given->alpha_review != 0)
        judge->alpha_review = given->alpha_review;
    if ((!review && given->alpha_review == 0) || judge->alpha_review < judge->alpha)
        judge->alpha_review = judge->alpha;
    size_t least = (size_t)ceil(1 / judge->alpha) - 1;
    if (n < least)
        return ood_fail(err, OOD_INVALID, "%s: %zu pictures to calibrate, at least %zu are needed for alpha %g", given->images, n, least, judge->alpha);
    return ood_judge_prepare(judge, err);
}

/* What it was keeps standing; "calibration" says what was done last, and to which version. */
static bool add_provenance(struct calibrate *calibrate, struct ood_error *err)
{
    static const char *const left_out[] = { "out", "threads", NULL };
    struct ood_bundle *bundle = calibrate->bundle;
    struct ctl_buffer command = { 0 };
    if (!ctl_command_text(calibrate->command, &calibrate->options, &defaults, left_out, &command, err)) {
        ood_free(command.text);
        return false;
    }
    json_t *object = json_loads(bundle->provenance, 0, NULL);
    json_t *calibration = json_pack("{s:s, s:s, s:s, s:s, s:{s:I, s:I}}", "tool", "oodctl calibrate", "version", ood_version(), "created_by_command",
                                    command.text, "of_version", calibrate->network.bundle->version, "pictures", "calibration",
                                    (json_int_t)calibrate->count, "unreadable", (json_int_t)calibrate->counts.unscored);
    char *text = json_is_object(object) && calibration != NULL && json_object_set(object, "calibration", calibration) == 0
                     ? json_dumps(object, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    json_decref(object);
    json_decref(calibration);
    ood_free(command.text);
    if (text == NULL)
        return ood_fail(err, OOD_INVALID, "the provenance cannot be written as JSON (is a name not UTF-8?)");
    char *copy = ood_strdup(text, err);
    free(text);
    if (copy == NULL)
        return false;
    ood_free(bundle->provenance);
    bundle->provenance = copy;
    return true;
}

/* ---- old and new ---- */

static double accepted(const struct calibrate *calibrate, double threshold)
{
    size_t above = 0;
    for (size_t i = 0; i < calibrate->count; i++)
        above += calibrate->scored[i].score >= threshold;
    return 100 * (double)above / (double)calibrate->count;
}

static void print_judge(const char *title, const struct calibrate *calibrate, const struct ood_judge *judge)
{
    char text[CTL_COUNT_TEXT];
    printf("%-6s%12.4f%8g", title, judge->threshold, judge->alpha);
    if (judge->alpha_review > judge->alpha)
        printf("%12.4f%8g", judge->review_threshold, judge->alpha_review);
    else
        printf("%12s%8s", "-", "-");
    printf("%12s%14.2f %%\n", ctl_count(judge->calibration_count, text), accepted(calibrate, judge->threshold));
}

static void print_classes(const struct ood_bundle *old, const struct ood_bundle *new)
{
    printf("\n%-28s%12s%10s%12s%10s\n", "class", "old", "of", "new", "of");
    for (size_t k = 0; k < new->classes; k++) {
        char name[64];
        snprintf(name, sizeof name, "%.27s", new->labels[k]);
        size_t of[2];
        double before = ood_judge_threshold(&old->judge, k, &of[0]), now = ood_judge_threshold(&new->judge, k, &of[1]);
        printf("%-28s%12.4f%10zu%12.4f%10zu\n", name, before, of[0], now, of[1]);
    }
}

static void summary(const struct calibrate *calibrate, const char *out)
{
    const struct ood_bundle *old = calibrate->network.bundle, *new = calibrate->bundle;
    char text[CTL_COUNT_TEXT];
    fputs("bundle    ", stdout);
    ctl_put(stdout, out);
    printf(" (%s, version %.12s, was %.12s)\n", new->name, new->version, old->version);
    printf("pictures  %s, %zu unreadable", ctl_count(calibrate->count, text), calibrate->counts.unscored);
    printf(calibrate->counts.excluded > 0 ? ", %zu excluded\n\n" : "\n\n", calibrate->counts.excluded);
    printf("%6s%12s%8s%12s%8s%12s%16s\n", "", "threshold", "alpha", "review", "alpha", "pictures", "new accepted");
    print_judge("old", calibrate, &old->judge);
    print_judge("new", calibrate, &new->judge);
    if (new->judge.per_class && new->classes <= 40)
        print_classes(old, new);
}

/* ---- the run ---- */

static bool run_all(struct calibrate *calibrate, struct ood_error *err)
{
    const struct calibrate_options *given = &calibrate->options;
    const char *path = calibrate->network.path, *out = given->out != NULL ? given->out : path;
    const struct ood_scorer_options scorer_options = { .picture_pixels = given->pixels };
    const struct eval_source source = { "calibrate", given->images, given->only, given->exclude };
    const struct eval_gathering gathering = { .network = &calibrate->network, .threads = given->threads, .context = calibrate, .see = see };
    if (!fit_check_out(out, err))
        return false;
    calibrate->network.scorer = ood_scorer_open(path, &scorer_options, err);
    if (calibrate->network.scorer == NULL)
        return false;
    if (ood_scorer_is_detector(calibrate->network.scorer))
        return ood_fail(err, OOD_UNSUPPORTED, "%s: holds a detector; calibrate takes classifiers", path);
    calibrate->network.bundle = ood_scorer_bundle(calibrate->network.scorer);
    if (!eval_gather(&gathering, &source, &calibrate->counts, err))
        return false;
    calibrate->bundle = ood_bundle_read(path, err);
    if (calibrate->bundle == NULL)
        return ood_error_prefix(err, "%s", path);
    if (strcmp(calibrate->bundle->version, calibrate->network.bundle->version) != 0)
        return ood_fail(err, OOD_CHANGED, "%s: was replaced while the pictures were scored; run it again", path);
    if (!replace_scores(calibrate, err) || !add_provenance(calibrate, err) || !ood_bundle_write(calibrate->bundle, out, err))
        return false;
    summary(calibrate, out);
    return true;
}

static int run_calibrate(const struct ctl_command *command, int argc, char **argv)
{
    struct calibrate calibrate = { .options = defaults, .command = command };
    const struct calibrate_options *given = &calibrate.options;
    struct ood_error err = { 0 };
    int first, status;
    if (!ctl_parse(command, argc, argv, &calibrate.options, &first, &status))
        return status;
    if (argc - first != 1)
        return ctl_usage(command, argc == first ? "the bundle is missing" : "more than one bundle; --out names the one to write");
    if (given->images == NULL)
        return ctl_usage(command, "--images missing");
    if (given->alpha_review != 0 && given->alpha != 0 && given->alpha_review < given->alpha)
        return ctl_usage(command, "--alpha-review %g: expected at least --alpha, %g", given->alpha_review, given->alpha);
    calibrate.network.path = argv[first];
    if (!run_all(&calibrate, &err))
        status = ctl_fail(&err);
    else if (calibrate.counts.unscored > 0) {
        ctl_say("calibrate: %zu picture%s could not be scored; the thresholds were made without", calibrate.counts.unscored,
                calibrate.counts.unscored == 1 ? "" : "s");
        status = CTL_NO;
    }
    ood_bundle_free(calibrate.bundle);
    ood_scorer_free(calibrate.network.scorer);
    ood_free(calibrate.scored);
    return status;
}

const struct ctl_command ctl_calibrate = {
    "calibrate", "BUNDLE --images SOURCE", "New thresholds from new pictures the network knows; nothing else of the bundle changes", options, run_calibrate,
};
