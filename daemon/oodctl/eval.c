/* oodctl eval: how well a bundle's scores, and others, tell known pictures from sets of foreign ones. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "daemon/oodctl/eval.h"
#include "daemon/oodctl/fit.h"
#include "daemon/oodctl/network.h"

#define FIELD(name) offsetof(struct eval_options, name)

static const struct ctl_option options[] = {
    { "in", "SOURCE", "pictures of what the network knows, not trained, fitted or calibrated on (needed)", CTL_TEXT, FIELD(in), 0, 0 },
    { "out", "NAME[:GROUP]=SOURCE", "a set of foreign pictures (needed); may be given again; means are given per group", CTL_TEXTS, FIELD(out), 0, 0 },
    { "only", "LIST", "of --in, only the ids in this file, one a line", CTL_TEXT, FIELD(only), 0, 0 },
    { "exclude", "LIST", "of --in, not the ids in this file", CTL_TEXT, FIELD(exclude), 0, 0 },
    { "fit", "SOURCE", "pictures to fit KNN, Mahalanobis, cosine, ViM and ReAct on, of what the network knows", CTL_TEXT, FIELD(fit), 0, 0 },
    { "fit-only", "LIST", "of --fit, only the ids in this file", CTL_TEXT, FIELD(fit_only), 0, 0 },
    { "fit-exclude", "LIST", "of --fit, not the ids in this file", CTL_TEXT, FIELD(fit_exclude), 0, 0 },
    { "neighbours", "K", "KNN: distance to the K-th nearest (default: 50)", CTL_SIZE, FIELD(neighbours), 1, 1e9 },
    { "react-percentile", "P", "ReAct: of the fit pictures' features, where they are cut off (default: 90)", CTL_NUMBER, FIELD(react_percentile), 0, 100 },
    { "ash-percentile", "P", "ASH: how many percent of the features become 0 (default: 90 for ASH-S, 65 for ASH-B)", CTL_NUMBER, FIELD(ash_percentile), 0, 99.999 },
    { "detector", NULL, "the bundles hold detectors: every detection is ranked, not every picture", CTL_FLAG, FIELD(detector), 0, 0 },
    { "annotations", "TRUTH", "--detector: of --in, COCO's JSON or a folder of Pascal VOC's XML (needed)", CTL_TEXT, FIELD(annotations), 0, 0 },
    { "out-annotations", "NAME=TRUTH", "--detector: of a set, to count its objects that are never detected; may be given again", CTL_TEXTS,
      FIELD(out_annotations), 0, 0 },
    { "compare", "BUNDLE", "the same for another bundle on the same pictures, and how much less the mean FPR95 is", CTL_TEXT, FIELD(compare), 0, 0 },
    { "convention", "NAME", "liu or openood: the figures by that convention beside the default ones", CTL_TEXT, FIELD(convention), 0, 0 },
    { "resamples", "N", "of the bootstrap (default: 2000); 0: no intervals", CTL_SIZE, FIELD(resamples), 0, 1000000 },
    { "seed", "N", "of the resamples and draws (default: 1)", CTL_SIZE, FIELD(seed), 0, 9007199254740992.0 },
    { "json", NULL, "all of it as one JSON value", CTL_FLAG, FIELD(json), 0, 0 },
    { "report", "FILE", "write an HTML page with charts and the most wrongly judged pictures", CTL_TEXT, FIELD(report), 0, 0 },
    { "draws", "FILE", "write the mean figures of every resample: lines of tab separated columns", CTL_TEXT, FIELD(draws), 0, 0 },
    { "threads", "T", "threads (default: the CPUs it may use); changes no result", CTL_SIZE, FIELD(threads), 1, 1024 },
    { "pixels", "N", "the most pixels a picture may have (default: 40000000)", CTL_SIZE, FIELD(pixels), 1, 1e12 },
    { "convolution", "KIND", "auto, direct or winograd (default: auto, as the bundle says)", CTL_TEXT, FIELD(kernels), 0, 0 },
    { 0 },
};

static const struct eval_options defaults = { .convention = "default", .kernels = "auto", .resamples = 2000, .seed = 1,
                                               .neighbours = 50, .react_percentile = 90, .ash_percentile = -1 };

/* ---- before any work ---- */

static int read_sets(const struct ctl_command *command, struct eval *eval)
{
    const struct ctl_texts *given = &eval->options.out;
    struct ood_error err = { 0 };
    eval->sets = ood_new_array(struct eval_set, given->count, &err);
    eval->names = ood_new_array(struct ood_out_set, given->count, &err);
    eval->out_truths = ood_new_array(struct eval_truth, given->count, &err);
    if (eval->sets == NULL || eval->names == NULL || eval->out_truths == NULL)
        return ctl_fail(&err);
    for (size_t s = 0; s < given->count; s++) {
        const char *why;
        bool parsed = eval_set_parse(given->items[s], &eval->sets[s], &why, &err);
        eval->set_count++;
        if (!parsed)
            return why != NULL ? ctl_usage(command, "--out %s: %s", given->items[s], why) : ctl_fail(&err);
        eval->names[s] = (struct ood_out_set){ eval->sets[s].name, eval->sets[s].group };
        for (size_t t = 0; t < s; t++)
            if (strcmp(eval->sets[t].name, eval->sets[s].name) == 0)
                return ctl_usage(command, "--out %s: there is a set of this name already", given->items[s]);
    }
    return CTL_DONE;
}

static int check_detector(const struct ctl_command *command, struct eval *eval)
{
    const struct eval_options *given = &eval->options;
    const char *why;
    if (!given->detector)
        return given->annotations == NULL && given->out_annotations.count == 0
               ? CTL_DONE : ctl_usage(command, "%s without --detector", given->annotations != NULL ? "--annotations" : "--out-annotations");
    if (given->annotations == NULL)
        return ctl_usage(command, "--annotations missing: they tell which detections of --in are known objects");
    if (given->fit != NULL)
        return ctl_usage(command, "--fit with --detector: the scores it is for are not of detections");
    for (size_t i = 0; i < given->out_annotations.count; i++)
        if (!eval_truth_parse(eval, given->out_annotations.items[i], &why))
            return ctl_usage(command, "--out-annotations %s: %s", given->out_annotations.items[i], why);
    return CTL_DONE;
}

static int check_usage(const struct ctl_command *command, struct eval *eval, int operands)
{
    const struct eval_options *given = &eval->options;
    enum ood_convolution kernels;
    if (operands != 1)
        return ctl_usage(command, operands == 0 ? "the bundle is missing" : "more than one bundle; --compare names the other");
    if (given->in == NULL)
        return ctl_usage(command, "--in missing");
    if (given->out.count == 0)
        return ctl_usage(command, "--out missing");
    if (!ood_convention_parse(given->convention, &eval->convention))
        return ctl_usage(command, "--convention %s: expected default, liu or openood", given->convention);
    if (!ctl_convolution_parse(given->kernels, &kernels))
        return ctl_usage(command, "--convolution %s: expected auto, direct or winograd", given->kernels);
    if (given->fit == NULL && (given->fit_only != NULL || given->fit_exclude != NULL))
        return ctl_usage(command, "--fit-only and --fit-exclude: there is no --fit");
    if (given->draws != NULL && given->resamples == 0)
        return ctl_usage(command, "--draws with --resamples 0: there are none");
    int status = read_sets(command, eval);
    return status != CTL_DONE ? status : check_detector(command, eval);
}

/* ---- pictures ---- */

struct keeping { struct eval *eval; const char *set; struct eval_subject *subject; struct eval_pictures *pictures; const struct ood_bundle *bundle; bool labelled; };

#define LAYER_CHECKS 256

/* The graph says where the last layer is; the first pictures prove it. */
static bool check_layer(struct eval_subject *subject, const struct eval_seen *seen, struct ood_error *err)
{
    if (subject->layer.weights == NULL || subject->layer_fails != NULL || subject->layer_checked++ >= LAYER_CHECKS ||
        ood_last_layer_holds(&subject->layer, seen->logits, seen->features))
        return true;
    subject->layer_fails = ood_format(err, "the last layer's weights do not give the network's logits for %s", seen->picture->id);
    return subject->layer_fails != NULL;
}

static bool keep(void *context, const struct eval_seen *seen, struct ood_error *err)
{
    struct keeping *keeping = context;
    struct eval_pictures *pictures = keeping->pictures;
    struct eval_picture picture = { .position = seen->position, .label = OOD_NONE, .predicted = (uint32_t)seen->verdict->class_index,
                                    .decision = seen->verdict->decision };
    if (keeping->labelled && seen->picture->label != NULL && !eval_class_of(keeping->bundle, seen->picture->label, &picture.label))
        return ood_fail(err, OOD_INVALID, "%s: label \"%s\" is neither one of the bundle's %zu nor a class's number", seen->picture->id,
                        seen->picture->label, keeping->bundle->classes);
    memcpy(picture.scores, seen->scores, sizeof picture.scores);
    if (!check_layer(keeping->subject, seen, err) ||
        (keeping->eval->options.report != NULL && keeping->subject == keeping->eval->subjects &&
         !eval_worst_see(&keeping->eval->worsts, seen, keeping->set, keeping->eval->options.pixels, err)))
        return false;
    if (!ood_grow(&pictures->items, &pictures->capacity, pictures->count + 1, sizeof *pictures->items, err))
        return false;
    pictures->items[pictures->count++] = picture;
    return true;
}

static bool read_set(struct eval *eval, size_t subject, size_t s, struct ood_error *err)
{
    const struct eval_options *given = &eval->options;
    struct eval_subject *of = &eval->subjects[subject];
    bool in = s == eval->set_count;
    struct keeping keeping = { eval, in ? NULL : eval->sets[s].name, of, in ? &of->in : &of->out[s], of->network.bundle, in };
    char *what = ood_format(err, "eval: %s", in ? "in" : eval->sets[s].name);
    const struct eval_source source = { what, in ? given->in : eval->sets[s].spec, in ? given->only : NULL, in ? given->exclude : NULL };
    const struct eval_gathering gathering = { .network = &of->network, .threads = given->threads, .quiet = subject > 0, .context = &keeping, .see = keep };
    bool done = what != NULL && eval_gather(&gathering, &source, &keeping.pictures->counts, err);
    ood_free(what);
    return done || (!in && ood_error_prefix(err, "%s", eval->sets[s].name));
}

static bool open_network(const struct eval *eval, struct eval_network *network, struct ood_error *err)
{
    struct ood_scorer_options scorer_options = { .picture_pixels = eval->options.pixels };
    if (!ctl_convolution_parse(eval->options.kernels, &scorer_options.convolution))
        return false;
    network->scorer = ood_scorer_open(network->path, &scorer_options, err);
    if (network->scorer == NULL)
        return false;
    network->bundle = ood_scorer_bundle(network->scorer);
    if (ood_scorer_is_detector(network->scorer) == eval->options.detector)
        return true;
    return ood_fail(err, OOD_UNSUPPORTED, eval->options.detector ? "%s: holds no detector, expected one for --detector"
                                                                 : "%s: holds a detector; --detector evaluates it", network->path);
}

static bool read_subject(struct eval *eval, size_t i, struct ood_error *err)
{
    struct eval_subject *subject = &eval->subjects[i];
    subject->out = ood_new_array(struct eval_pictures, eval->set_count, err);
    if (subject->out == NULL || !open_network(eval, &subject->network, err) || (!eval->options.detector && !eval_fit(eval, subject, i > 0, err)))
        return false;
    bool (*read)(struct eval *, size_t, size_t, struct ood_error *) = eval->options.detector ? eval_detect : read_set;
    if (!read(eval, i, eval->set_count, err))
        return false;
    for (size_t s = 0; s < eval->set_count; s++)
        if (!read(eval, i, s, err))
            return false;
    return true;
}

/* ---- from pictures to columns ---- */

/* Two networks are compared on the pictures that both could score. */
static void keep_common(struct eval_pictures *a, struct eval_pictures *b)
{
    size_t kept = 0, j = 0;
    for (size_t i = 0; i < a->count; i++) {
        while (j < b->count && b->items[j].position < a->items[i].position)
            j++;
        if (j == b->count)
            break;
        if (b->items[j].position != a->items[i].position)
            continue;
        a->items[kept] = a->items[i];
        b->items[kept++] = b->items[j++];
    }
    for (int side = 0; side < 2; side++) {
        struct eval_pictures *of = side == 0 ? a : b;
        of->counts.unscored += of->count - kept;
        of->counts.pictures = of->count = kept;
    }
}

/* The scores of a detection: its verdict's, and the detector's own class probability. */
static bool of_detections(size_t contender)
{
    return contender == OOD_CONTENDER_ENERGY || contender == OOD_CONTENDER_REPRESENTATION || contender == OOD_CONTENDER_SCORE ||
           contender == OOD_CONTENDER_MSP;
}

static bool make_columns(struct eval_subject *subject, struct eval_pictures *pictures, struct ood_error *err)
{
    for (size_t i = 0; i < pictures->count; i++)
        pictures->decided[pictures->items[i].decision]++;
    for (size_t c = 0; c < OOD_CONTENDERS; c++) {
        if (subject->missing[c] != NULL || (pictures->owners != NULL && !of_detections(c)))
            continue;
        pictures->columns[c] = ood_new_array(double, pictures->count, err);
        if (pictures->columns[c] == NULL)
            return false;
        for (size_t i = 0; i < pictures->count; i++)
            pictures->columns[c][i] = pictures->items[i].scores[c];
    }
    return true;
}

/* A score that is not finite for some picture ranks nothing: it is left out, and why is said. */
static bool find_missing(const struct eval *eval, struct eval_subject *subject, struct ood_error *err)
{
    for (size_t c = 0; c < OOD_CONTENDERS; c++) {
        const char *why = ood_contender_missing(subject->network.contenders, (enum ood_contender)c);
        if (why == NULL && subject->layer_fails != NULL && ood_contender_needs_layer((enum ood_contender)c))
            why = subject->layer_fails;
        if (why != NULL && (subject->missing[c] = ood_strdup(why, err)) == NULL)
            return false;
        for (size_t s = 0; s <= eval->set_count && subject->missing[c] == NULL; s++) {
            const struct eval_pictures *pictures = s == eval->set_count ? &subject->in : &subject->out[s];
            for (size_t i = 0; i < pictures->count && subject->missing[c] == NULL; i++)
                if (!isfinite(pictures->items[i].scores[c])) {
                    subject->missing[c] = ood_format(err, "it is not finite for picture %zu of %s", pictures->items[i].position + 1,
                                                     s == eval->set_count ? "--in" : eval->sets[s].name);
                    if (subject->missing[c] == NULL)
                        return false;
                }
        }
    }
    return true;
}

/* All pictures have labels, or none has. */
static bool judge_labels(const struct eval *eval, struct eval_subject *subject, struct ood_error *err)
{
    const struct eval_pictures *in = &subject->in;
    size_t labelled = 0;
    for (size_t i = 0; i < in->count; i++)
        labelled += in->items[i].label != OOD_NONE;
    if (labelled == 0)
        return true;
    if (labelled < in->count)
        return ood_fail(err, OOD_INVALID, "%s: %zu of %zu pictures have a label; expected all or none", eval->options.in, labelled, in->count);
    subject->correct = ood_new_array(bool, in->count, err);
    for (size_t i = 0; subject->correct != NULL && i < in->count; i++)
        subject->correct[i] = in->items[i].label == in->items[i].predicted;
    return subject->correct != NULL;
}

static bool prepare_subject(const struct eval *eval, struct eval_subject *subject, struct ood_error *err)
{
    if (!eval->options.detector && (!find_missing(eval, subject, err) || !judge_labels(eval, subject, err)))
        return false;
    if (!make_columns(subject, &subject->in, err))
        return false;
    for (size_t s = 0; s < eval->set_count; s++)
        if (!make_columns(subject, &subject->out[s], err))
            return false;
    return true;
}

static bool pair(struct eval *eval, struct ood_error *err)
{
    struct eval_subject *a = &eval->subjects[0], *b = &eval->subjects[1];
    for (size_t s = 0; s <= eval->set_count; s++) {
        bool in = s == eval->set_count;
        keep_common(in ? &a->in : &a->out[s], in ? &b->in : &b->out[s]);
        if ((in ? a->in.count : a->out[s].count) == 0)
            return ood_fail(err, OOD_INVALID, "%s: no picture that both bundles can score", in ? eval->options.in : eval->sets[s].spec);
    }
    return true;
}

static void point_at(const struct eval_pictures *pictures, struct ood_scores *scores)
{
    scores->count = pictures->count;
    scores->pictures = pictures->owners;
    scores->picture_count = pictures->found.pictures;
    for (size_t c = 0; c < OOD_CONTENDERS; c++)
        scores->of[c] = pictures->columns[c];
}

static bool evaluate(struct eval *eval, struct ood_error *err)
{
    struct ood_subject subjects[2] = { 0 };
    struct ood_scores *out = ood_alloc(eval->subject_count, eval->set_count * sizeof *out, err);
    bool done = out != NULL && (eval->subject_count < 2 || eval->options.detector || pair(eval, err));
    for (size_t i = 0; done && i < eval->subject_count; i++) {
        struct eval_subject *of = &eval->subjects[i];
        done = prepare_subject(eval, of, err);
        point_at(&of->in, &subjects[i].in);
        subjects[i].correct = of->correct;
        subjects[i].out = out + i * eval->set_count;
        for (size_t s = 0; s < eval->set_count; s++)
            point_at(&of->out[s], &out[i * eval->set_count + s]);
    }
    const struct ood_evaluation_options how = { eval->options.resamples, eval->options.seed, eval->convention,
                                                 eval->options.draws != NULL || eval->options.detector };
    done = done && ood_evaluate(subjects, eval->subject_count, eval->names, eval->set_count, &how, &eval->evaluation, err);
    ood_free(out);
    return done;
}

/* ---- the run ---- */

static size_t unscored(const struct eval *eval)
{
    const struct eval_subject *subject = &eval->subjects[0];
    size_t sum = subject->in.counts.unscored + subject->fit.unscored;
    for (size_t s = 0; s < eval->set_count; s++)
        sum += subject->out[s].counts.unscored;
    return sum;
}

static size_t unscored_detections(const struct eval *eval)
{
    size_t sum = eval->subjects[0].in.found.unscored;
    for (size_t s = 0; s < eval->set_count; s++)
        sum += eval->subjects[0].out[s].found.unscored;
    return sum;
}

/* The command as it could be given again, without this machine's folders. */
static bool command_text(struct eval *eval, struct ood_error *err)
{
    static const char *const left_out[] = { "report", "draws", "json", "threads", "out", "out-annotations", "compare", NULL };
    if (!ctl_command_text(&ctl_eval, &eval->options, &defaults, left_out, &eval->command, err) ||
        !ctl_append(&eval->command, err, " %s", ctl_base_name(eval->subjects[0].network.path)))
        return false;
    if (eval->options.compare != NULL && !ctl_append(&eval->command, err, " --compare %s", ctl_base_name(eval->options.compare)))
        return false;
    for (size_t s = 0; s < eval->set_count; s++) {
        const struct eval_set *set = &eval->sets[s];
        if (!ctl_append(&eval->command, err, " --out %s%s%s=%s", set->name, set->group != NULL ? ":" : "", set->group != NULL ? set->group : "",
                        ctl_base_name(set->spec)))
            return false;
        if (eval->out_truths[s].path != NULL && !ctl_append(&eval->command, err, " --out-annotations %s=%s", set->name, ctl_base_name(eval->out_truths[s].path)))
            return false;
    }
    return true;
}

static bool run_all(struct eval *eval, struct ood_error *err)
{
    if (!eval_truths(eval, err))
        return false;
    for (size_t i = 0; i < eval->subject_count; i++)
        if (!read_subject(eval, i, err))
            return false;
    if (!evaluate(eval, err))
        return false;
    if (eval->options.report != NULL && (!command_text(eval, err) || !eval_report(eval, err)))
        return false;
    if (eval->options.draws != NULL && !eval_draws(eval, err))
        return false;
    if (eval->options.json)
        return eval_json(eval, err);
    eval_table(eval);
    return true;
}

static void pictures_free(struct eval_pictures *pictures)
{
    ood_free(pictures->items);
    ood_free(pictures->owners);
    for (size_t c = 0; c < OOD_CONTENDERS; c++)
        ood_free(pictures->columns[c]);
}

static void eval_free(struct eval *eval)
{
    for (size_t i = 0; i < 2; i++) {
        struct eval_subject *subject = &eval->subjects[i];
        pictures_free(&subject->in);
        for (size_t s = 0; subject->out != NULL && s < eval->set_count; s++)
            pictures_free(&subject->out[s]);
        ood_free(subject->out);
        for (size_t c = 0; c < OOD_CONTENDERS; c++)
            ood_free(subject->missing[c]);
        ood_free(subject->correct);
        ood_free(subject->layer_fails);
        ood_last_layer_clear(&subject->layer);
        ood_contenders_free(subject->network.contenders);
        ood_scorer_free(subject->network.scorer);
    }
    eval_truths_free(eval);
    for (size_t s = 0; s < eval->set_count; s++) {
        ood_free(eval->sets[s].name);
        ood_free(eval->sets[s].group);
    }
    ood_free(eval->sets);
    ood_free(eval->names);
    ood_free(eval->options.out.items);
    ood_free(eval->options.out_annotations.items);
    ood_evaluation_free(&eval->evaluation);
    eval_worsts_free(&eval->worsts);
    ood_free(eval->command.text);
}

static int run_eval(const struct ctl_command *command, int argc, char **argv)
{
    struct eval eval = { .options = defaults, .subject_count = 1 };
    struct ood_error err = { 0 };
    int first, status;
    if (ctl_parse(command, argc, argv, &eval.options, &first, &status))
        status = check_usage(command, &eval, argc - first);
    else
        goto out;
    if (status != CTL_DONE)
        goto out;
    eval.subjects[0].network.path = argv[first];
    if (eval.options.compare != NULL)
        eval.subjects[eval.subject_count++].network.path = eval.options.compare;
    if (!run_all(&eval, &err))
        status = ctl_fail(&err);
    else if (unscored(&eval) > 0) {
        ctl_say("eval: %zu picture%s could not be scored; the figures are of the others", unscored(&eval), unscored(&eval) == 1 ? "" : "s");
        status = CTL_NO;
    } else if (unscored_detections(&eval) > 0) {
        ctl_say("eval: %zu detections could not be scored; the figures are of the others", unscored_detections(&eval));
        status = CTL_NO;
    }
out:
    eval_free(&eval);
    return status;
}

const struct ctl_command ctl_eval = {
    "eval", "BUNDLE --in SOURCE --out NAME=SOURCE…", "How well a bundle's scores tell known pictures from foreign ones, by the figures of the field",
    options, run_eval,
};
