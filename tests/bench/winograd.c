/* Our Winograd convolution beside oneDNN's direct one (channels last) and, where it exists, oneDNN's Winograd 4x3 (blocked
 * layout), each with bias and ReLU, in the calling thread. The three take turns, so that a busy machine slows all of them:
 * trust the ratios. ONEDNN_MAX_CPU_ISA=AVX2 limits all.
 *
 *     winograd [--batch B] [--seconds S] [--only CASE]
 *
 * S seconds a case. A line a case, tab separated: name, batch, oneDNN direct ms, oneDNN Winograd ms, ours ms, ours GFLOP/s
 * (direct count), direct / ours and oneDNN Winograd / ours (medians of the rounds' ratios; - where not offered). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "plan/dnnl.h"
#include "kernel/winograd.h"
#include "tests/bench/layer_options.h"
#include "tests/bench/median.h"

struct layer { size_t in, out, size, count; };

#define MOST_LAYERS 4
static const struct bench_case { const char *name; struct layer layers[MOST_LAYERS]; } cases[] = {
    { "32x32x32", { { 32, 32, 32, 1 } } },
    { "64x16x16", { { 64, 64, 16, 1 } } },
    { "128x8x8", { { 128, 128, 8, 1 } } },
    { "16to32x32x32", { { 16, 32, 32, 1 } } },
    { "64x56x56", { { 64, 64, 56, 1 } } },
    { "128x28x28", { { 128, 128, 28, 1 } } },
    { "256x14x14", { { 256, 256, 14, 1 } } },
    { "512x7x7", { { 512, 512, 7, 1 } } },
    /* the 3x3 convolutions of stride 1 and 16 channels and more, each with its own weights */
    { "wrn40_2", { { 16, 32, 32, 1 }, { 32, 32, 32, 11 }, { 64, 64, 16, 11 }, { 128, 128, 8, 11 } } },
    { "resnet18", { { 64, 64, 56, 4 }, { 128, 128, 28, 3 }, { 256, 256, 14, 3 }, { 512, 512, 7, 3 } } },
};

static void need(dnnl_status_t status, const char *what)
{
    if (status == dnnl_success)
        return;
    fprintf(stderr, "winograd: %s: oneDNN status %d\n", what, (int)status);
    exit(4);
}

static void *aligned(size_t floats)
{
    float *memory = aligned_alloc(64, (floats * sizeof *memory + 63) / 64 * 64);
    if (memory == NULL)
        exit(4);
    for (size_t i = 0; i < floats; i++)
        memory[i] = (float)(i % 7) * 0.01f - 0.03f;
    return memory;
}

/* ---- oneDNN ---- */

struct step { dnnl_primitive_t primitive; dnnl_exec_arg_t arguments[5]; };

#define MOST_STEPS 48
struct chain {
    struct step steps[MOST_STEPS];
    struct ood_winograd_call calls[MOST_STEPS];
    struct ood_winograd_shape shapes[MOST_STEPS];
    size_t count;
};

static dnnl_memory_t memory_of(dnnl_engine_t engine, const struct ood_dnnl_layout *layout, float *at)
{
    dnnl_memory_t memory;
    need(ood_dnnl_memory(&memory, layout, engine, at != NULL ? at : aligned(ood_dnnl_layout_bytes(layout) / sizeof(float))), "memory");
    return memory;
}

/* The primitive descriptor; NULL where oneDNN has no such kernel. */
static dnnl_primitive_desc_t find(dnnl_engine_t engine, const struct layer *l, size_t batch, bool winograd, struct ood_dnnl_layout *layouts[4])
{
    const dnnl_dims_t source = { (dnnl_dim_t)batch, (dnnl_dim_t)l->in, (dnnl_dim_t)l->size, (dnnl_dim_t)l->size };
    const dnnl_dims_t target = { (dnnl_dim_t)batch, (dnnl_dim_t)l->out, (dnnl_dim_t)l->size, (dnnl_dim_t)l->size };
    const dnnl_dims_t weights = { (dnnl_dim_t)l->out, (dnnl_dim_t)l->in, 3, 3 }, bias = { (dnnl_dim_t)l->out };
    dnnl_format_tag_t tag = winograd ? dnnl_nChw16c : dnnl_nhwc;
    need(ood_dnnl_layout_new(&layouts[0], 4, source, tag), "source");
    need(ood_dnnl_layout_new(&layouts[1], 4, target, tag), "target");
    need(ood_dnnl_layout_new(&layouts[2], 4, weights, dnnl_format_tag_any), "weights");
    need(ood_dnnl_layout_new(&layouts[3], 1, bias, dnnl_a), "bias");
    dnnl_primitive_attr_t attributes;
    dnnl_post_ops_t posts;
    need(dnnl_primitive_attr_create(&attributes), "attributes");
    need(dnnl_post_ops_create(&posts), "posts");
    need(ood_dnnl_append_eltwise(posts, dnnl_eltwise_relu, 0, 0), "posts");
    need(dnnl_primitive_attr_set_post_ops(attributes, posts), "attributes");
    const struct ood_dnnl_convolution operation = {
        winograd ? dnnl_convolution_winograd : dnnl_convolution_direct, layouts[0], layouts[2], layouts[3], layouts[1],
        .strides = { 1, 1 }, .begin = { 1, 1 }, .end = { 1, 1 }
    };
    dnnl_primitive_desc_t pd = NULL;
    if (ood_dnnl_convolution(&pd, &operation, attributes, engine, winograd ? "4x3" : NULL) != dnnl_success)
        pd = NULL;
    dnnl_post_ops_destroy(posts);
    dnnl_primitive_attr_destroy(attributes);
    return pd;
}

static bool add_dnnl(struct step *step, dnnl_engine_t engine, const struct layer *l, size_t batch, bool winograd, float *source, float *target)
{
    struct ood_dnnl_layout *layouts[4], *weights;
    dnnl_primitive_desc_t pd = find(engine, l, batch, winograd, layouts);
    if (pd == NULL)
        return false;
    need(dnnl_primitive_create(&step->primitive, pd), "primitive");
    need(ood_dnnl_layout_query(&weights, pd, dnnl_query_weights_md), "weights");
    step->arguments[0] = (dnnl_exec_arg_t){ DNNL_ARG_SRC, memory_of(engine, layouts[0], source) };
    step->arguments[1] = (dnnl_exec_arg_t){ DNNL_ARG_DST, memory_of(engine, layouts[1], target) };
    step->arguments[2] = (dnnl_exec_arg_t){ DNNL_ARG_WEIGHTS, memory_of(engine, weights, NULL) };
    step->arguments[3] = (dnnl_exec_arg_t){ DNNL_ARG_BIAS, memory_of(engine, layouts[3], NULL) };
    dnnl_primitive_desc_destroy(pd);
    return true;
}

static double run_dnnl(const struct chain *chain, dnnl_stream_t stream)
{
    double before = ood_clock();
    for (size_t i = 0; i < chain->count; i++)
        need(dnnl_primitive_execute(chain->steps[i].primitive, stream, 4, chain->steps[i].arguments), "execute");
    return ood_clock() - before;
}

/* ---- ours ---- */

static const struct ood_unary_step relu = { OOD_UNARY_RELU, 0, 0 };

static void add_own(struct chain *chain, size_t i, const struct ood_kernels *kernels, const struct layer *l, size_t batch,
                    float *source, float *target, float *scratch)
{
    struct ood_winograd_shape *shape = &chain->shapes[i];
    *shape = (struct ood_winograd_shape){ batch, l->in, l->size, l->size, l->out, 1, 1, 1, 1, 0, 0 };
    float *plain = aligned(l->in * l->out * 9), *weights = aligned(kernels->winograd_weights_floats(l->in, l->out));
    kernels->winograd_weights(weights, plain, l->in, l->out);
    free(plain);
    chain->calls[i] = (struct ood_winograd_call){ .shape = shape, .source = source, .weights = weights, .bias = aligned(l->out),
                                                  .steps = &relu, .step_count = 1, .destination = target, .scratch = scratch };
}

static double run_own(const struct chain *chain, const struct ood_kernels *kernels)
{
    double before = ood_clock();
    for (size_t i = 0; i < chain->count; i++)
        kernels->winograd_forward(&chain->calls[i]);
    return ood_clock() - before;
}

/* ---- a case ---- */

#define MOST_ROUNDS 20000
static double times[5][MOST_ROUNDS];         /* direct, oneDNN's Winograd, ours, ratios */

static void run_case(const struct bench_case *c, size_t batch, double seconds, dnnl_engine_t engine, dnnl_stream_t stream)
{
    const struct ood_kernels *kernels = ood_kernels_choose();
    static struct chain direct, peer, own;
    bool peer_offered = true;
    size_t n = 0, floats = 0, scratch_floats = 0;
    double flops = 0;
    for (const struct layer *l = c->layers; l < c->layers + MOST_LAYERS && l->count > 0; l++) {
        const size_t most = batch * l->size * l->size * (l->in > l->out ? l->in : l->out);
        const size_t scratch = kernels->winograd_scratch_floats(&(struct ood_winograd_shape){ batch, l->in, l->size, l->size, l->out, 1, 1, 1, 1, 0, 0 });
        floats = most > floats ? most : floats;
        scratch_floats = scratch > scratch_floats ? scratch : scratch_floats;
    }
    float *source = aligned(floats), *target = aligned(floats), *scratch = aligned(scratch_floats);
    for (const struct layer *l = c->layers; l < c->layers + MOST_LAYERS && l->count > 0; l++)
        for (size_t i = 0; i < l->count; i++, n++) {
            float *from = n % 2 == 0 ? source : target, *to = n % 2 == 0 ? target : source;
            add_dnnl(&direct.steps[n], engine, l, batch, false, from, to);
            peer_offered = peer_offered && add_dnnl(&peer.steps[n], engine, l, batch, true, from, to);
            add_own(&own, n, kernels, l, batch, from, to, scratch);
            flops += 18.0 * (double)(batch * l->in * l->out * l->size * l->size);
        }
    direct.count = own.count = n;
    peer.count = peer_offered ? n : 0;
    run_dnnl(&direct, stream);
    run_dnnl(&peer, stream);
    run_own(&own, kernels);
    size_t rounds = 0;
    for (double begin = ood_clock(); rounds < MOST_ROUNDS && (rounds < 5 || ood_clock() - begin < seconds); rounds++) {
        times[0][rounds] = run_dnnl(&direct, stream);
        times[1][rounds] = run_dnnl(&peer, stream);
        times[2][rounds] = run_own(&own, kernels);
        times[3][rounds] = times[0][rounds] / times[2][rounds];
        times[4][rounds] = times[1][rounds] / times[2][rounds];
    }
    double m[5];
    for (size_t i = 0; i < 5; i++)
        m[i] = median(times[i], rounds);
    printf("%s\t%zu\t%.3f\t", c->name, batch, m[0] * 1e3);
    if (peer_offered)
        printf("%.3f\t%.3f\t%.0f\t%.2f\t%.2f\n", m[1] * 1e3, m[2] * 1e3, flops / m[2] * 1e-9, m[3], m[4]);
    else
        printf("-\t%.3f\t%.0f\t%.2f\t-\n", m[2] * 1e3, flops / m[2] * 1e-9, m[3]);
    fflush(stdout);
}                                            /* what it holds goes with the program */

int main(int argc, char **argv)
{
    size_t batch = 1;
    double seconds = 1;
    const char *only = "";
    if (!layer_options("winograd", argc, argv, &batch, &seconds, &only))
        return 2;
    omp_set_num_threads(1);
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    need(dnnl_engine_create(&engine, dnnl_cpu, 0), "engine");
    need(dnnl_stream_create(&stream, engine, dnnl_stream_default_flags), "stream");
    printf("# own kernels %s\n# case\tbatch\tdirect ms\toneDNN Winograd ms\town ms\town GFLOP/s\tdirect / own\toneDNN Winograd / own\n", ood_kernels_choose()->isa);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if (*only == '\0' || strcmp(only, cases[i].name) == 0)
            run_case(&cases[i], batch, seconds, engine, stream);
    return 0;
}
