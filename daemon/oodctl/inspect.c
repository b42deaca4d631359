/* oodctl inspect: what a bundle or a network is, and what the engine makes of it on this machine. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/oodctl/network.h"
#include "daemon/oodctl/oodctl.h"
#include "ops/ops.h"

struct inspect_options { size_t batch; bool profile; const char *convolution, *input_shape; };

#define FIELD(name) offsetof(struct inspect_options, name)
static const struct ctl_option options[] = {
    { "batch", "B", "show the plan for this batch (default: 1)", CTL_SIZE, FIELD(batch), 1, 4096 },
    { "profile", NULL, "run it and show each step's time", CTL_FLAG, FIELD(profile), 0, 0 },
    { "convolution", "KIND", "auto, direct or winograd (default: auto)", CTL_TEXT, FIELD(convolution), 0, 0 },
    { "input-shape", "CxHxW", "a bare network's input, where it leaves sizes open", CTL_TEXT, FIELD(input_shape), 0, 0 },
    { 0 },
};

/* ---- the network as its file says ---- */

struct op_count { const char *name; size_t count; };

static int by_count(const void *a, const void *b)
{
    const struct op_count *x = a, *y = b;
    if (x->count != y->count)
        return x->count < y->count ? 1 : -1;
    return strcmp(x->name, y->name);
}

static bool print_operators(const struct ood_graph *graph, struct ood_error *err)
{
    struct op_count *counts = ood_new_array(struct op_count, graph->node_count, err);
    size_t kinds = 0;
    if (counts == NULL)
        return false;
    for (size_t n = 0; n < graph->node_count; n++) {
        size_t i = 0;
        if (graph->nodes[n].dead)
            continue;
        while (i < kinds && strcmp(counts[i].name, graph->nodes[n].op->name) != 0)
            i++;
        if (i == kinds)
            counts[kinds++].name = graph->nodes[n].op->name;
        counts[i].count++;
    }
    qsort(counts, kinds, sizeof *counts, by_count);
    printf("operators     ");
    for (size_t i = 0; i < kinds; i++)
        printf("%s%s %zu", i > 0 ? ", " : "", counts[i].name, counts[i].count);
    printf(" (opset %d%s%s)\n", graph->opset, graph->producer[0] != '\0' ? ", written by " : "", graph->producer);
    ood_free(counts);
    return true;
}

static bool print_file(const struct ctl_network *network, struct ood_error *err)
{
    struct ood_graph_options reading = { .operators = ood_op_table, .input_shape = network->input_shape };
    struct ood_graph *graph = ood_graph_read(network->onnx, &reading, err);
    if (graph == NULL)
        return ood_error_prefix(err, "%s", network->model_path);
    bool done = print_operators(graph, err);
    ood_graph_free(graph);
    return done;
}

static void print_ends(const struct ood_model *model, const struct ood_error *why)
{
    char text[OOD_SHAPE_TEXT];
    for (size_t i = 0; i < ood_model_input_count(model); i++) {
        struct ood_shape shape = ood_model_input_shape(model, i);
        printf("input         %s %s %s\n", ood_model_input_name(model, i), ood_type_name(ood_model_input_type(model, i)),
               ood_shape_print(&shape, text));
    }
    bool tapped = why->code == OOD_OK;
    for (size_t i = 0; i < ood_model_output_count(model); i++) {
        struct ood_shape shape = ood_model_output_shape(model, i);
        printf("%-12s  %s %s %s\n", !tapped ? "output" : i == 0 ? "logits" : "features", ood_model_output_name(model, i),
               ood_type_name(ood_model_output_type(model, i)), ood_shape_print(&shape, text));
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

/* One run to warm up, then the least time of each step over a few. */
static bool profile(struct ood_model *model, size_t batch, double *seconds, struct ood_error *err)
{
    size_t steps = ood_model_step_count(model, batch);
    double *once = ood_new_array(double, steps, err);
    struct ood_run *run = once != NULL ? ood_run_new(model, err) : NULL;
    for (size_t round = 0; run != NULL && round < 6; round++) {
        ood_run_profile(run, batch, once);
        for (size_t i = 0; round > 0 && i < steps; i++)
            if (round == 1 || once[i] < seconds[i])
                seconds[i] = once[i];
    }
    bool done = run != NULL;
    ood_run_free(run);
    ood_free(once);
    return done;
}

static bool print_steps(struct ood_model *model, size_t batch, bool profiled, struct ood_error *err)
{
    char text[OOD_SHAPE_TEXT];
    size_t steps = ood_model_step_count(model, batch), slow = 0;
    double flops = 0, total = 0;
    double *seconds = ood_new_array(double, steps, err);
    if (seconds == NULL || (profiled && !profile(model, batch, seconds, err))) {
        ood_free(seconds);
        return false;
    }
    for (size_t i = 0; i < steps; i++) {
        flops += ood_model_step(model, batch, i).flops;
        total += seconds[i];
    }
    printf("\nplan for batch %zu: %zu steps, %.4g GFLOP%s\n\n", batch, steps, 1e-9 * flops, batch > 1 ? " a batch" : " a picture");
    printf("  %-26s  %-18s  %-16s  %9s  %9s%s  %s\n", "node", "operator", "output", "MFLOP", "KiB", profiled ? "         us       %" : "", "kernel");
    for (size_t i = 0; i < steps; i++) {
        struct ood_step_info step = ood_model_step(model, batch, i);
        printf("  %-26s  %-18.18s  %-16s  %9.3f  %9.1f", tail(step.node, 26), step.op, ood_shape_print(&step.output, text), 1e-6 * step.flops,
               (double)step.bytes / 1024);
        if (profiled)
            printf("  %9.1f  %5.1f%%", 1e6 * seconds[i], total > 0 ? 100 * seconds[i] / total : 0);
        printf("  %s%s\n", step.kernel, step.slow ? "   << slow" : "");
        slow += step.slow;
    }
    putchar('\n');
    if (profiled)
        printf("time          %.1f us a batch, %.1f pictures/s, %.1f GFLOP/s\n", 1e6 * total, (double)batch / total, 1e-9 * flops / total);
    printf("memory        %.1f KiB arena a thread, %.1f KiB weights shared\n", (double)ood_model_arena_bytes(model, batch) / 1024,
           (double)ood_model_weight_bytes(model) / 1024);
    if (slow > 0)
        ctl_say("inspect: warning: %zu convolution%s served by a slow kernel", slow, slow == 1 ? " is" : "s are");
    ood_free(seconds);
    return true;
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
           judge->distance == OOD_DISTANCE_PREDICTED ? "predicted" : "nearest", judge->beta, bundle->beta_from_outliers ? "outliers" : "default");
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

static bool inspect(const char *path, const struct inspect_options *given, const struct ood_shape *shape, enum ood_convolution convolution, struct ood_error *err)
{
    struct ctl_network network;
    struct ood_model *model = NULL;
    struct ood_error why = { 0 };
    char hex[OOD_HASH_HEX], count[CTL_COUNT_TEXT], text[256];
    bool done = false;
    if (!ctl_network_open(path, shape, &network, err))
        goto out;
    model = ctl_network_compile(&network, given->batch, true, convolution, &why, err);
    if (model == NULL)
        goto out;
    if (network.bundle != NULL)
        print_bundle(network.bundle);
    ood_sha256_hex(network.onnx->data, network.onnx->size, hex);
    printf("network       %s bytes, sha256 %s\n", ctl_count(network.onnx->size, count), hex);
    if (!print_file(&network, err))
        goto out;
    printf("parameters    %s\n", ctl_count(ood_model_parameters(model), count));
    print_ends(model, &why);
    ood_engine_description(text, sizeof text);
    printf("machine       %s\n", text);
    done = print_steps(model, ood_model_most_batch(model), given->profile, err);
out:
    ood_model_free(model);
    ctl_network_close(&network);
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
