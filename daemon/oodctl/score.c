/* oodctl score: verdicts for files, in their order, as a table or as the JSON the service answers with. */
#include <stdio.h>
#include <string.h>

#include "api/api.h"
#include "base/cpus.h"
#include "daemon/oodctl/crew.h"
#include "daemon/oodctl/network.h"
#include "daemon/oodctl/oodctl.h"
#include "daemon/oodctl/score.h"
#include "score/score.h"

#define BATCH 8

struct score_options { bool json; size_t top, threads, pixels; const char *convolution, *boxes, *draw; };

static const struct ctl_option options[] = {
    { "json", NULL, "one JSON object a line, as in the service's \"results\"", CTL_FLAG, offsetof(struct score_options, json), 0, 0 },
    { "top", "K", "the K most likely classes as well", CTL_SIZE, offsetof(struct score_options, top), 1, 1e9 },
    { "boxes", "FILE", "verdicts for these boxes in each picture: JSON, as the service's part \"boxes\"", CTL_TEXT, offsetof(struct score_options, boxes), 0, 0 },
    { "draw", "DIR", "write each picture here with its boxes coloured by decision (a detector's bundle, or --boxes)", CTL_TEXT, offsetof(struct score_options, draw), 0, 0 },
    { "threads", "T", "threads (default: the CPUs it may use)", CTL_SIZE, offsetof(struct score_options, threads), 1, 1024 },
    { "pixels", "N", "the most pixels a picture may have (default: 40000000)", CTL_SIZE, offsetof(struct score_options, pixels), 1, 1e12 },
    { "convolution", "KIND", "auto, direct or winograd (default: auto, as the bundle says)", CTL_TEXT, offsetof(struct score_options, convolution), 0, 0 },
    { 0 },
};

struct score_run {
    struct score_options options;
    struct ood_scorer *scorer;
    char **files;                            /* operands; "-": paths on standard input */
    size_t file_count, next_file, batch;
    bool reading_input;
    char *line;                              /* getline's */
    size_t line_capacity;
    size_t index, failed, decided[3];
    int label_width;
};

/* ---- the pictures ---- */

/* The next path, or NULL at the end. */
static const char *next_path(struct score_run *run)
{
    for (;;) {
        if (run->reading_input) {
            ssize_t length = getline(&run->line, &run->line_capacity, stdin);
            if (length < 0) {
                run->reading_input = false;
                continue;
            }
            while (length > 0 && (run->line[length - 1] == '\n' || run->line[length - 1] == '\r'))
                run->line[--length] = '\0';
            if (length > 0)
                return run->line;
            continue;
        }
        if (run->next_file == run->file_count)
            return NULL;
        const char *path = run->files[run->next_file++];
        if (strcmp(path, "-") != 0)
            return path;
        run->reading_input = true;
    }
}

static const char *path_of(void *context)
{
    return next_path(context);
}

static bool fill(void *context, struct ctl_job *job, struct ood_error *err)
{
    struct score_run *run = context;
    for (const char *path; job->count < run->batch && (path = next_path(run)) != NULL; job->count++) {
        struct ctl_picture *picture = &job->pictures[job->count];
        picture->path = ood_strdup(path, err);
        picture->id = picture->path != NULL ? ood_strdup(path, err) : NULL;
        if (picture->id == NULL) {
            ctl_picture_free(picture);
            return false;
        }
    }
    return true;
}

/* ---- scoring ---- */

static void *state_new(void *context, struct ood_error *err)
{
    return ood_scorer_session(((struct score_run *)context)->scorer, err);
}

static void state_free(void *state)
{
    ood_session_free(state);
}

static bool work(void *context, void *state, struct ctl_job *job)
{
    const struct score_run *run = context;
    return ood_score(run->scorer, state, job->items, job->count, job->verdicts, NULL, &job->err);
}

/* ---- the results ---- */

static bool print_json(const struct score_run *run, const struct ctl_picture *picture, const struct ood_verdict *verdict,
                       const float *logits, struct ood_error *err)
{
    char *text = api_result_json(run->scorer, run->index, picture->id, verdict, run->options.top > 0 ? logits : NULL, run->options.top);
    if (text == NULL)
        return ood_fail(err, OOD_OUT_OF_MEMORY, "%s: out of memory", picture->id);
    puts(text);
    api_text_free(text);
    return true;
}

static bool print_top(const struct score_run *run, const float *logits, struct ood_error *err)
{
    size_t classes = ood_scorer_classes(run->scorer), top = run->options.top < classes ? run->options.top : classes;
    size_t *indices = ood_new_array(size_t, top, err);
    double *probabilities = ood_new_array(double, classes, err);
    bool done = indices != NULL && probabilities != NULL;
    if (done) {
        ood_top(logits, classes, top, indices);
        ood_softmax(logits, classes, probabilities);
        for (size_t i = 0; i < top; i++)
            printf("%11s%zu. %-*s  %6.2f %%\n", "", i + 1, run->label_width, ood_scorer_label(run->scorer, indices[i]),
                   100 * probabilities[indices[i]]);
    }
    ood_free(indices);
    ood_free(probabilities);
    return done;
}

void ctl_score_head(int label_width, const char *what)
{
    printf("%-9s  %-*s  %8s  %9s  %8s  %8s  %8s  %s\n", "decision", label_width, "class", "prob", "energy", "repr", "score", "p", what);
}

void ctl_score_row(const struct ood_scorer *scorer, int label_width, const struct ood_verdict *verdict)
{
    printf("%-9s  %-*s  %6.2f %%  %9.4f  %8.5f  %8.4f  %8.5f  ", ood_decision_name(verdict->decision), label_width,
           ood_scorer_label(scorer, verdict->class_index), 100 * verdict->class_probability, verdict->energy,
           verdict->representation_score, verdict->score, verdict->p_value);
}

static bool print_row(const struct score_run *run, const struct ctl_picture *picture, const struct ood_verdict *verdict,
                      const float *logits, struct ood_error *err)
{
    ctl_score_row(run->scorer, run->label_width, verdict);
    ctl_put(stdout, picture->id);
    putchar('\n');
    for (size_t i = 0; i < verdict->warning_count; i++)
        ctl_say("%s: warning: %s", picture->id, verdict->warnings[i]);
    return run->options.top == 0 || print_top(run, logits, err);
}

static bool take(void *context, struct ctl_job *job, struct ood_error *err)
{
    struct score_run *run = context;
    for (size_t i = 0; i < job->count; i++, run->index++) {
        const struct ood_verdict *verdict = &job->verdicts[i];
        const float *logits = job->logits + i * ood_scorer_classes(run->scorer);
        bool scored = verdict->error.code == OOD_OK;
        if (scored)
            run->decided[verdict->decision]++;
        else
            run->failed++;
        if (run->options.json) {
            if (!print_json(run, &job->pictures[i], verdict, logits, err))
                return false;
        } else if (scored) {
            if (!print_row(run, &job->pictures[i], verdict, logits, err))
                return false;
        } else {
            /* file errors begin with the path already */
            size_t length = strlen(job->pictures[i].id);
            bool named = strncmp(verdict->error.message, job->pictures[i].id, length) == 0;
            printf("%-9s  ", "failed");
            ctl_put(stdout, job->pictures[i].id);
            putchar('\n');
            ctl_say("%s%s%s", named ? "" : job->pictures[i].id, named ? "" : ": ", verdict->error.message);
        }
    }
    return true;
}

int ctl_score_label_width(const struct ood_scorer *scorer)
{
    size_t width = 5;
    for (size_t i = 0; i < ood_scorer_classes(scorer); i++) {
        size_t length = strlen(ood_scorer_label(scorer, i));
        width = length > width ? length : width;
    }
    return width < 32 ? (int)width : 32;
}

/* Threads, and pictures a job: a few files are shared out evenly and need no more threads than there are files. */
static size_t settle_threads(struct score_run *run)
{
    size_t threads = run->options.threads > 0 ? run->options.threads : ood_cpus();
    run->batch = BATCH;
    for (size_t i = 0; i < run->file_count; i++)
        if (strcmp(run->files[i], "-") == 0)
            return threads;                  /* who knows how many */
    if (threads > run->file_count)
        threads = run->file_count;
    size_t share = (run->file_count + threads - 1) / threads;
    run->batch = share < BATCH ? share : BATCH;
    return threads;
}

static int run_score(const struct ctl_command *command, int argc, char **argv)
{
    struct score_run run = { .options.convolution = "auto" };
    enum ood_convolution convolution;
    struct ood_error err = { 0 };
    int first, status;
    if (!ctl_parse(command, argc, argv, &run.options, &first, &status))
        return status;
    if (argc - first < 2)
        return ctl_usage(command, argc == first ? "BUNDLE missing" : "nothing to score: expected FILE… or -");
    if (!ctl_convolution_parse(run.options.convolution, &convolution))
        return ctl_usage(command, "--convolution %s: expected auto, direct or winograd", run.options.convolution);
    if (run.options.boxes != NULL && run.options.top > 0)
        return ctl_usage(command, "--top and --boxes do not go together");
    run.files = argv + first + 1;
    run.file_count = (size_t)(argc - first - 1);
    size_t threads = settle_threads(&run);
    struct ood_scorer_options scorer_options = { .batch = BATCH, .picture_pixels = run.options.pixels, .convolution = convolution };
    run.scorer = ood_scorer_open(argv[first], &scorer_options, &err);
    if (run.scorer == NULL)
        return ctl_fail(&err);
    run.label_width = ctl_score_label_width(run.scorer);
    bool detects = ood_scorer_is_detector(run.scorer);
    if ((detects && run.options.top > 0) || (run.options.draw != NULL && !detects && run.options.boxes == NULL)) {
        ood_scorer_free(run.scorer);
        return ctl_usage(command, detects ? "--top: a detector's detections have their own class" : "--draw: nothing to draw without --boxes");
    }
    if (run.options.boxes != NULL || detects) {
        status = ctl_score_boxes(run.scorer, run.options.boxes, run.options.json, run.options.draw, path_of, &run);
        ood_scorer_free(run.scorer);
        ood_free(run.line);
        return status;
    }
    struct ctl_crew crew = {
        .threads = threads, .batch = run.batch, .classes = ood_scorer_classes(run.scorer), .context = &run,
        .state_new = state_new, .state_free = state_free, .fill = fill, .work = work, .take = take,
    };
    if (!run.options.json)
        ctl_score_head(run.label_width, "picture");
    if (!ctl_crew_run(&crew, &err))
        status = ctl_fail(&err);
    else if (run.failed > 0) {
        ctl_say("score: %zu of %zu pictures could not be scored", run.failed, run.index);
        status = CTL_NO;
    }
    if (!run.options.json && run.index > 1)
        printf("%zu in, %zu review, %zu out, %zu failed\n", run.decided[OOD_IN], run.decided[OOD_REVIEW], run.decided[OOD_OUT], run.failed);
    ood_scorer_free(run.scorer);
    ood_free(run.line);
    return status;
}

const struct ctl_command ctl_score = {
    "score", "BUNDLE FILE…|-", "Scores pictures with a bundle: in, review or out, and why", options, run_score,
};
