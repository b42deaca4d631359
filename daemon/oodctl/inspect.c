/* oodctl inspect: what a bundle or a network is, and what the engine makes of it on this machine. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/oodctl/inspect.h"
#include "daemon/oodctl/oodctl.h"
#include "ops/ops.h"

struct inspect_options { size_t batch; bool json, profile; const char *convolution, *input_shape, *picture; };

#define FIELD(name) offsetof(struct inspect_options, name)
static const struct ctl_option options[] = {
    { "json", NULL, "all of it as one JSON value", CTL_FLAG, FIELD(json), 0, 0 },
    { "batch", "B", "show the plan for this batch (default: 1)", CTL_SIZE, FIELD(batch), 1, 4096 },
    { "profile", NULL, "run it and show each step's time", CTL_FLAG, FIELD(profile), 0, 0 },
    { "convolution", "KIND", "auto, direct or winograd (default: auto)", CTL_TEXT, FIELD(convolution), 0, 0 },
    { "input-shape", "CxHxW", "a bare network's input, where it leaves sizes open", CTL_TEXT, FIELD(input_shape), 0, 0 },
    { "picture", "FILE", "what a bundle is run on (default: random numbers)", CTL_TEXT, FIELD(picture), 0, 0 },
    { 0 },
};

/* ---- the network as its file says ---- */

static int by_count(const void *a, const void *b)
{
    const struct inspect_count *x = a, *y = b;
    if (x->count != y->count)
        return x->count < y->count ? 1 : -1;
    return strcmp(x->name, y->name);
}

static void count_operators(struct inspection *in, const struct ood_node *nodes, size_t count)
{
    for (size_t n = 0; n < count; n++) {
        size_t i = 0;
        if (nodes[n].dead)
            continue;
        while (i < in->kinds && strcmp(in->operators[i].name, nodes[n].op->name) != 0)
            i++;
        if (i == in->kinds)
            in->operators[in->kinds++].name = nodes[n].op->name;
        in->operators[i].count++;
    }
}

static bool read_file(struct inspection *in, struct ood_error *err)
{
    struct ood_graph_options reading = { .operators = ood_op_table, .input_shape = in->network.input_shape, .one_if_needed = !in->staged,
                                         .stages = in->staged, .batch = in->staged ? ood_model_graph(in->model)->fixed_batch : 0 };
    struct ood_graph *graph = in->graph = ood_graph_read(in->network.onnx, &reading, err);
    if (graph == NULL)
        return ood_error_prefix(err, "%s", in->network.model_path);
    in->operators = ood_new_array(struct inspect_count, graph->node_count + graph->later_count, err);
    if (in->operators == NULL)
        return false;
    count_operators(in, graph->nodes, graph->node_count);
    count_operators(in, graph->later, graph->later_count);
    qsort(in->operators, in->kinds, sizeof *in->operators, by_count);
    return true;
}

static void print_network(const struct inspection *in)
{
    char hex[OOD_HASH_HEX], count[CTL_COUNT_TEXT];
    const struct ood_graph *graph = in->graph;
    ood_sha256_hex(in->network.onnx->data, in->network.onnx->size, hex);
    printf("network       %s bytes, sha256 %s\n", ctl_count(in->network.onnx->size, count), hex);
    printf("operators     ");
    for (size_t i = 0; i < in->kinds; i++)
        printf("%s%s %zu", i > 0 ? ", " : "", in->operators[i].name, in->operators[i].count);
    printf(" (opset %d%s%s)\n", graph->opset, graph->producer[0] != '\0' ? ", written by " : "", graph->producer);
    printf("parameters    %s\n", ctl_count(ood_model_parameters(in->model), count));
}

static void print_ends(const struct inspection *in)
{
    const struct ood_model *model = in->model;
    const struct ood_error *why = &in->untapped;
    char text[OOD_SHAPE_TEXT];
    for (size_t i = 0; i < ood_model_input_count(model); i++) {
        struct ood_shape shape = ood_model_input_shape(model, i);
        printf("input         %s %s %s\n", ood_model_input_name(model, i), ood_type_name(ood_model_input_type(model, i)),
               ood_shape_print(&shape, text));
    }
    bool tapped = why->code == OOD_OK;
    for (size_t i = 0; i < ood_model_output_count(model); i++) {
        const struct ood_shape told = ood_model_output_shape(model, i);
        const bool open = told.rank == OOD_RANK_FREE;
        const struct ood_shape shape = open ? ood_run_output_shape(in->run, in->stages[0].batch, i) : told;
        const enum ood_type type = open ? ood_run_output_type(in->run, in->stages[0].batch, i) : ood_model_output_type(model, i);
        printf("%-12s  %s %s %s%s\n", !tapped ? "output" : i == 0 ? "logits" : "features", ood_model_output_name(model, i), ood_type_name(type),
               ood_shape_print(&shape, text), open ? " in this run" : "");
    }
    if (!tapped)
        printf("taps          none: %s\n", why->message);
}

/* ---- the plan ---- */

/* The end of a long name, where names differ. */
static const char *tail(const char *name, size_t most)
{
    size_t length = strlen(name);
    return length > most ? name + length - most : name;
}

static bool add_stages(struct inspection *in, struct ood_error *err)
{
    in->stage_count = in->run != NULL ? ood_run_stage_count(in->run) : 1;
    in->stages = ood_new_array(struct inspect_stage, in->stage_count, err);
    for (size_t i = 0; in->stages != NULL && i < in->stage_count; i++) {
        const struct ood_model *model = in->run != NULL ? ood_run_model(ood_run_stage(in->run, i)) : in->model;
        in->stages[i] = (struct inspect_stage){ .model = model, .batch = ood_model_most_batch(model) };
    }
    return in->stages != NULL;
}

/* Stages are known once they have run. */
static bool run(struct inspection *in, const char *picture, bool wanted, struct ctl_input *input, struct ood_error *err)
{
    const size_t batch = ood_model_most_batch(in->model);
    if (!wanted && !in->staged)
        return add_stages(in, err);
    in->run = ctl_network_input(&in->network, picture, in->model, batch, input, err) ? ood_run_new(in->model, err) : NULL;
    if (in->run == NULL)
        return false;
    if (in->staged && !ctl_input_run(input, in->run, batch, err))
        return ood_error_prefix(err, "%s, run on %s", in->network.model_path, picture != NULL ? picture : "random numbers");
    return add_stages(in, err);
}

/* One run to warm up, then the least time of each step over a few. Stages come in order, each behind what it reads. */
static bool profile(struct inspection *in, const struct ctl_input *input, struct ood_error *err)
{
    size_t most = 1;
    for (size_t s = 0; s < in->stage_count; s++) {
        const size_t steps = ood_model_step_count(in->stages[s].model, in->stages[s].batch);
        most = steps > most ? steps : most;
        in->stages[s].seconds = ood_new_array(double, steps, err);
        if (in->stages[s].seconds == NULL)
            return false;
    }
    double *once = ood_new_array(double, most, err);
    for (size_t round = 0; once != NULL && round < 6; round++) {
        ctl_input_place(input, in->run, in->stages[0].batch);
        for (size_t s = 0; s < in->stage_count; s++) {
            ood_run_profile(ood_run_stage(in->run, s), in->stages[s].batch, once);
            for (size_t i = 0; round > 0 && i < ood_model_step_count(in->stages[s].model, in->stages[s].batch); i++)
                if (round == 1 || once[i] < in->stages[s].seconds[i])
                    in->stages[s].seconds[i] = once[i];
        }
    }
    ood_free(once);
    return once != NULL;
}

/* Direct operations a second, whatever arithmetic the kernel has: 1e9 of them. */
static double giga_a_second(double flops, double seconds)
{
    return seconds > 0 ? 1e-9 * flops / seconds : 0;
}

static void print_step(const struct ood_step_info *step, const double *seconds, double total)
{
    char text[OOD_SHAPE_TEXT];
    printf("  %-26s  %-18.18s  %-16s  %9.3f  %9.1f", tail(step->node, 26), step->op, ood_shape_print(&step->output, text), 1e-6 * step->flops,
           (double)step->bytes / 1024);
    if (seconds != NULL)
        printf("  %9.1f  %5.1f%%  %8.1f", 1e6 * *seconds, total > 0 ? 100 * *seconds / total : 0, giga_a_second(step->flops, *seconds));
    printf("  %s%s\n", step->kernel, step->slow ? "   << slow" : "");
}

static void sum_stage(const struct inspect_stage *stage, double *flops, double *seconds)
{
    *flops = *seconds = 0;
    for (size_t i = 0; i < ood_model_step_count(stage->model, stage->batch); i++) {
        *flops += ood_model_step(stage->model, stage->batch, i).flops;
        *seconds += stage->seconds != NULL ? stage->seconds[i] : 0;
    }
}

/* `all`: the seconds of all stages, of which each step's share is told. */
static void print_steps(const struct inspect_stage *stage, double all)
{
    printf("  %-26s  %-18s  %-16s  %9s  %9s%s  %s\n", "node", "operator", "output", "MFLOP", "KiB",
           stage->seconds != NULL ? "         us       %   GFLOP/s" : "", "kernel");
    for (size_t i = 0; i < ood_model_step_count(stage->model, stage->batch); i++) {
        struct ood_step_info step = ood_model_step(stage->model, stage->batch, i);
        print_step(&step, stage->seconds != NULL ? &stage->seconds[i] : NULL, all);
    }
}

static void print_plans(const struct inspection *in)
{
    const size_t batch = ctl_network_pictures(in->model, in->stages[0].batch);
    double flops = 0, seconds = 0, own, time;
    size_t arena = 0, live = 0, weights = 0;
    for (size_t s = 0; s < in->stage_count; s++) {
        const struct ood_model *model = in->stages[s].model;
        sum_stage(&in->stages[s], &own, &time);
        flops += own;
        seconds += time;
        arena += ood_model_arena_bytes(model, in->stages[s].batch);
        live += ood_model_live_bytes(model, in->stages[s].batch);
        weights += ood_model_weight_bytes(model);
    }
    if (in->staged)
        printf("stages        %zu in this run, %.4g GFLOP: shapes hang on what is in the picture\n", in->stage_count, 1e-9 * flops);
    for (size_t s = 0; s < in->stage_count; s++) {
        const size_t steps = ood_model_step_count(in->stages[s].model, in->stages[s].batch);
        sum_stage(&in->stages[s], &own, &time);
        if (in->staged)
            printf("\nstage %zu of %zu: %zu step%s, %.4g GFLOP\n\n", s + 1, in->stage_count, steps, steps == 1 ? "" : "s", 1e-9 * own);
        else
            printf("\nplan for batch %zu: %zu steps, %.4g GFLOP%s\n\n", batch, steps, 1e-9 * own, batch > 1 ? " a batch" : " a picture");
        print_steps(&in->stages[s], seconds);
    }
    putchar('\n');
    if (in->stages[0].seconds != NULL)
        printf("time          %.1f us a batch, %.1f pictures/s, %.1f GFLOP/s\n", 1e6 * seconds, (double)batch / seconds, giga_a_second(flops, seconds));
    printf("memory        %.1f KiB arena a thread (%.1f KiB at least), %.1f KiB weights shared\n", (double)arena / 1024, (double)live / 1024,
           (double)weights / 1024);
}

static void warn_of_slow_steps(const struct inspection *in)
{
    size_t slow = 0;
    for (size_t s = 0; s < in->stage_count; s++)
        for (size_t i = 0; i < ood_model_step_count(in->stages[s].model, in->stages[s].batch); i++)
            slow += ood_model_step(in->stages[s].model, in->stages[s].batch, i).slow;
    if (slow > 0)
        ctl_say("inspect: warning: %zu convolution%s served by a slow kernel", slow, slow == 1 ? " is" : "s are");
}

/* ---- the bundle ---- */

static void print_bundle(const struct ood_bundle *bundle)
{
    const struct ood_judge *judge = &bundle->judge;
    const struct ood_preprocess *p = &bundle->input;
    static const char *const convolutions[] = { "auto", "direct", "winograd" };
    printf("bundle        %s, version %s\n", bundle->name, bundle->version);
    printf("classes       %zu:", bundle->classes);
    for (size_t i = 0; i < bundle->classes && i < 10; i++)
        printf("%s %s", i > 0 ? "," : "", bundle->labels[i]);
    printf("%s\n", bundle->classes > 10 ? ", …" : "");
    printf("preprocess    %zux%zu %s %s, %s", p->width, p->height, ood_channels_name(p->channels), ood_input_layout_name(p->layout),
           ood_resize_name(p->resize));
    if (p->resize_to != 0)
        printf(" to %zu", p->resize_to);
    printf(" %s, scale %.6g, mean %.6g %.6g %.6g, std %.6g %.6g %.6g\n", ood_filter_name(p->filter), (double)p->scale, (double)p->mean[0],
           (double)p->mean[1], (double)p->mean[2], (double)p->std[0], (double)p->std[1], (double)p->std[2]);
    printf("score         T %g, distance %s, beta %g (%s)\n", judge->temperature,
           judge->distance == OOD_DISTANCE_PREDICTED ? "predicted" : "nearest", judge->beta, ood_beta_from_name(bundle->beta_from));
    printf("energy        mean %.6g, deviation %.6g\n", judge->energy_mean, judge->energy_std);
    printf("repr          mean %.6g, deviation %.6g\n", judge->representation_mean, judge->representation_std);
    printf("decision      out below %.6g (alpha %g), review below %.6g (alpha %g)%s; %zu calibration scores\n", judge->threshold, judge->alpha,
           judge->review_threshold, judge->alpha_review, judge->per_class ? ", per class" : "", judge->calibration_count);
    printf("engine        %s", convolutions[bundle->convolution]);
    if (!isnan(bundle->largest_difference))
        printf(", largest difference from direct %.3g", bundle->largest_difference);
    printf("; self-test of %zu made on %s\n", bundle->selftest_count, bundle->selftest_isa);
    printf("provenance    %s\n", bundle->provenance);
}

/* ---- the command ---- */

static void print_all(const struct inspection *in)
{
    char text[256];
    if (in->network.bundle != NULL)
        print_bundle(in->network.bundle);
    print_network(in);
    print_ends(in);
    ood_engine_description(text, sizeof text);
    printf("machine       %s\n", text);
    print_plans(in);
}

static bool inspect(const char *path, const struct inspect_options *given, const struct ood_shape *shape, enum ood_convolution convolution, struct ood_error *err)
{
    struct inspection in = { 0 };
    struct ctl_input input = { 0 };
    bool done = false;
    if (!ctl_network_open(path, shape, &in.network, err))
        goto out;
    in.model = ctl_network_compile(&in.network, given->batch, true, convolution, &in.untapped, err);
    if (in.model == NULL)
        goto out;
    in.staged = ood_model_is_staged(in.model);
    if (!run(&in, given->picture, given->profile, &input, err) || !ctl_network_bytes(&in.network, err) || !read_file(&in, err) ||
        (given->profile && !profile(&in, &input, err)))
        goto out;
    done = true;
    if (given->json)
        done = inspect_json(&in, err);
    else
        print_all(&in);
    warn_of_slow_steps(&in);
out:
    for (size_t s = 0; in.stages != NULL && s < in.stage_count; s++)
        ood_free(in.stages[s].seconds);
    ood_free(in.stages);
    ood_run_free(in.run);
    ood_free(input.values);
    ood_free(in.operators);
    ood_graph_free(in.graph);
    ood_model_free(in.model);
    ctl_network_close(&in.network);
    return done;
}

static int run_inspect(const struct ctl_command *command, int argc, char **argv)
{
    struct inspect_options given = { .batch = 1, .convolution = "auto" };
    enum ood_convolution convolution;
    struct ood_shape shape;
    struct ood_error err = { 0 };
    int first, status;
    if (!ctl_parse(command, argc, argv, &given, &first, &status))
        return status;
    if (argc - first != 1)
        return ctl_usage(command, argc == first ? "BUNDLE or M.onnx missing" : "more than one operand");
    if (!ctl_convolution_parse(given.convolution, &convolution))
        return ctl_usage(command, "--convolution %s: expected auto, direct or winograd", given.convolution);
    if (!ctl_input_shape_parse(given.input_shape, &shape))
        return ctl_usage(command, "--input-shape %s: expected sizes like 3x224x224", given.input_shape);
    return inspect(argv[first], &given, &shape, convolution, &err) ? CTL_DONE : ctl_fail(&err);
}

const struct ctl_command ctl_inspect = {
    "inspect", "BUNDLE|M.onnx", "Shows inputs, outputs, operators, kernels chosen, thresholds, provenance", options, run_inspect,
};
