/* train: sources into memory, decoded by several threads, in the order of the source. */
#include <string.h>

#include "daemon/oodctl/crew.h"
#include "daemon/oodctl/train.h"

#define BATCH 32

struct reading {
    struct train *train;
    struct train_pictures *pictures;
    struct ctl_source *source;
    struct ctl_keys *exclude;
    struct ctl_progress progress;
};

static void *state_new(void *context, struct ood_error *err)
{
    (void)context;
    return ood_new(struct ood_workspace, err);
}

static void state_free(void *state)
{
    ood_workspace_free(state);
    ood_free(state);
}

static bool fill(void *context, struct ctl_job *job, struct ood_error *err)
{
    struct reading *reading = context;
    return ctl_source_fill(reading->source, reading->exclude, job->pictures, BATCH, &job->count, NULL, err);
}

/* The crew's "logits" are the pixels here. */
static bool work(void *context, void *state, struct ctl_job *job)
{
    const struct ood_preprocess *pixels = ood_picture_set_pixels(((struct reading *)context)->pictures->set);
    for (size_t i = 0; i < job->count; i++) {
        struct ood_error err = { 0 };
        job->verdicts[i] = (struct ood_verdict){ 0 };
        if (job->items[i].picture_size == 0)
            ood_fail(&err, OOD_PICTURE_EMPTY, "no bytes, expected an encoded picture");
        else if (ood_picture_load(job->items[i].picture, job->items[i].picture_size, 0, pixels, state, job->items[i].logits_out, NULL, &err))
            continue;
        job->verdicts[i].error = err;
    }
    return true;
}

static bool take_one(struct reading *reading, struct ctl_picture *picture, const float *pixels, struct ood_error *err)
{
    struct train_pictures *pictures = reading->pictures;
    uint32_t label = OOD_NONE;
    char *path = picture->path;
    /* outliers need none, and theirs are no classes */
    if (picture->label != NULL && pictures == &reading->train->images && !fit_intern_label(&reading->train->fit, picture->label, &label, err))
        return false;
    if (!ood_grow(&pictures->ids, &pictures->ids_capacity, pictures->count + 1, sizeof *pictures->ids, err) ||
        !ood_grow(&pictures->labels, &pictures->labels_capacity, pictures->count + 1, sizeof *pictures->labels, err))
        return false;
    picture->path = NULL;
    if (!ood_picture_set_add(pictures->set, pixels, path, &picture->bytes, err))
        return false;
    pictures->ids[pictures->count] = picture->id;
    pictures->labels[pictures->count++] = label;
    picture->id = NULL;
    return true;
}

static bool take(void *context, struct ctl_job *job, struct ood_error *err)
{
    struct reading *reading = context;
    size_t floats = ood_preprocess_floats(ood_picture_set_pixels(reading->pictures->set));
    for (size_t i = 0; i < job->count; i++)
        if (job->verdicts[i].error.code == OOD_OUT_OF_MEMORY) {
            *err = job->verdicts[i].error;
            return false;
        } else if (job->verdicts[i].error.code != OOD_OK) {
            reading->pictures->unreadable++;
            ctl_say("%s: unreadable: %s", job->pictures[i].id, job->verdicts[i].error.message);
        } else if (!take_one(reading, &job->pictures[i], job->logits + i * floats, err))
            return false;
    ctl_progress_at(&reading->progress, reading->pictures->count + reading->pictures->unreadable);
    return true;
}

bool train_read(struct train *train, const char *spec, struct ctl_keys *only, struct ctl_keys *exclude, const char *what, struct train_pictures *pictures,
                struct ood_error *err)
{
    struct reading reading = { .train = train, .pictures = pictures, .exclude = exclude };
    reading.source = ctl_source_open(spec, only, err);
    if (reading.source == NULL)
        return false;
    struct ctl_crew crew = {
        .threads = train_threads(train), .batch = BATCH, .classes = ood_preprocess_floats(ood_picture_set_pixels(pictures->set)), .dimension = 1,
        .context = &reading, .state_new = state_new, .state_free = state_free, .fill = fill, .work = work, .take = take,
    };
    ctl_progress_start(&reading.progress, what, exclude == NULL ? ctl_source_total(reading.source) : 0);
    bool done = ctl_crew_run(&crew, err);
    ctl_progress_end(&reading.progress);
    pictures->skipped += ctl_source_skipped(reading.source);
    ctl_source_close(reading.source);
    return done;
}

void train_pictures_free(struct train_pictures *pictures)
{
    for (size_t i = 0; i < pictures->count; i++)
        ood_free(pictures->ids[i]);
    ood_free(pictures->ids);
    ood_free(pictures->labels);
    ood_picture_set_free(pictures->set);
    *pictures = (struct train_pictures){ 0 };
}

bool train_count_labels(const char *spec, struct ctl_keys *only, struct ctl_keys *exclude, size_t *count, struct ood_error *err)
{
    struct fit labels = { 0 };               /* its label texts alone */
    struct ctl_source *source = ctl_source_open(spec, only, err);
    bool done = source != NULL, end = false;
    while (done) {
        struct ctl_picture picture = { 0 };
        uint32_t unused;
        done = ctl_source_next(source, &picture, &end, err);
        if (!done || end)
            break;
        if (picture.label != NULL && (exclude == NULL || !ctl_keys_take(exclude, picture.id)))
            done = fit_intern_label(&labels, picture.label, &unused, err);
        ctl_picture_free(&picture);
    }
    ctl_source_close(source);
    if (done && labels.label_count < 2)
        done = ood_fail(err, OOD_INVALID, "%s: %zu different labels, expected at least 2", spec, labels.label_count);
    *count = labels.label_count;
    for (size_t i = 0; i < labels.label_count; i++)
        ood_free(labels.label_texts[i]);
    ood_free(labels.label_texts);
    return done;
}
