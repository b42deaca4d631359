/* A training step's three passes of a 3x3 convolution (forward, gradient of the data, of the weights): our Winograd kernel
 * beside oneDNN's direct ones in the layout oneDNN prefers, in the calling thread, one after the other in each round, so that
 * a busy machine slows both: trust the ratios. ONEDNN_MAX_CPU_ISA=AVX2 limits both.
 *
 *     winograd_training [--batch B] [--seconds S] [--only CASE]
 *
 * S seconds a case. A line a case and pass, tab separated: name, pass, oneDNN's kernel and ms, ours ms, ours GFLOP/s (direct
 * count), ratio (median of the rounds'). Neither side's time has the weights' own transform or reorder, which a step makes
 * once for all slices of a batch; ours: a line of its own. Last: geometric means of the ratios. */
#include <math.h>
#include <oneapi/dnnl/dnnl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "kernel/winograd.h"
#include "plan/dnnl.h"
#include "tests/bench/layer_options.h"

struct layer { const char *name; size_t in, out, size; };

/* The 3x3 convolutions of stride 1 of WRN-40-2 and ResNet-18. */
static const struct layer layers[] = {
    { "16to32x32x32", 16, 32, 32 }, { "32x32x32", 32, 32, 32 },   { "64x16x16", 64, 64, 16 },   { "128x8x8", 128, 128, 8 },
    { "64x56x56", 64, 64, 56 },     { "128x28x28", 128, 128, 28 }, { "256x14x14", 256, 256, 14 }, { "512x7x7", 512, 512, 7 },
};
#define LAYERS (sizeof layers / sizeof layers[0])

enum pass { FORWARD, DATA, WEIGHTS, TRANSFORM };
static const char *const pass_names[] = { "forward", "data", "weights", "transform" };

static void need(bool good, const char *what)
{
    if (good)
        return;
    fprintf(stderr, "winograd_training: %s failed\n", what);
    exit(4);
}

static float *aligned(size_t floats)
{
    float *memory = aligned_alloc(64, (floats * sizeof *memory + 63) / 64 * 64);
    need(memory != NULL, "allocation");
    for (size_t i = 0; i < floats; i++)
        memory[i] = (float)(i % 7) * 0.01f - 0.03f;
    return memory;
}

/* ---- oneDNN: all that depends on its version ---- */

struct peer {
    dnnl_primitive_t primitive;
    dnnl_exec_arg_t arguments[3];
    float *memory[3];
    char kernel[64];
};

/* The pass's primitive descriptor: any layouts. */
static dnnl_primitive_desc_t describe(dnnl_engine_t engine, enum pass pass, const struct layer *l, size_t batch)
{
    const dnnl_dims_t source = { (dnnl_dim_t)batch, (dnnl_dim_t)l->in, (dnnl_dim_t)l->size, (dnnl_dim_t)l->size };
    const dnnl_dims_t target = { (dnnl_dim_t)batch, (dnnl_dim_t)l->out, (dnnl_dim_t)l->size, (dnnl_dim_t)l->size };
    const dnnl_dims_t weights = { (dnnl_dim_t)l->out, (dnnl_dim_t)l->in, 3, 3 }, one = { 1, 1 }, none = { 0, 0 };
    dnnl_primitive_desc_t forward = NULL, pd = NULL;
#if DNNL_VERSION_MAJOR < 3
    dnnl_memory_desc_t x, y, w;
    need(dnnl_memory_desc_init_by_tag(&x, 4, source, dnnl_f32, dnnl_format_tag_any) == 0 &&
         dnnl_memory_desc_init_by_tag(&y, 4, target, dnnl_f32, dnnl_format_tag_any) == 0 &&
         dnnl_memory_desc_init_by_tag(&w, 4, weights, dnnl_f32, dnnl_format_tag_any) == 0, "oneDNN's layouts");
    dnnl_convolution_desc_t operation;
    need(dnnl_dilated_convolution_forward_desc_init(&operation, dnnl_forward_training, dnnl_convolution_direct, &x, &w, NULL, &y,
                                                    one, none, one, one) == 0 &&
         dnnl_primitive_desc_create(&forward, &operation, NULL, engine, NULL) == 0, "oneDNN's forward pass");
    if (pass == FORWARD)
        return forward;
    need((pass == DATA ? dnnl_dilated_convolution_backward_data_desc_init(&operation, dnnl_convolution_direct, &x, &w, &y, one, none, one, one)
                       : dnnl_dilated_convolution_backward_weights_desc_init(&operation, dnnl_convolution_direct, &x, &w, NULL, &y, one, none,
                                                                             one, one)) == 0 &&
         dnnl_primitive_desc_create(&pd, &operation, NULL, engine, forward) == 0, "oneDNN's backward pass");
#else
    dnnl_memory_desc_t x, y, w;
    need(dnnl_memory_desc_create_with_tag(&x, 4, source, dnnl_f32, dnnl_format_tag_any) == 0 &&
         dnnl_memory_desc_create_with_tag(&y, 4, target, dnnl_f32, dnnl_format_tag_any) == 0 &&
         dnnl_memory_desc_create_with_tag(&w, 4, weights, dnnl_f32, dnnl_format_tag_any) == 0, "oneDNN's layouts");
    need(dnnl_convolution_forward_primitive_desc_create(&forward, engine, dnnl_forward_training, dnnl_convolution_direct, x, w, NULL, y,
                                                        one, none, one, one, NULL) == 0, "oneDNN's forward pass");
    if (pass == FORWARD)
        return forward;
    need((pass == DATA ? dnnl_convolution_backward_data_primitive_desc_create(&pd, engine, dnnl_convolution_direct, x, w, y, one, none, one,
                                                                              one, forward, NULL)
                       : dnnl_convolution_backward_weights_primitive_desc_create(&pd, engine, dnnl_convolution_direct, x, w, NULL, y, one,
                                                                                 none, one, one, forward, NULL)) == 0, "oneDNN's backward pass");
#endif
    dnnl_primitive_desc_destroy(forward);
    return pd;
}

static void make_peer(struct peer *peer, dnnl_engine_t engine, enum pass pass, const struct layer *l, size_t batch)
{
    static const struct { dnnl_query_t query; int argument; } operands[3][3] = {
        { { dnnl_query_src_md, DNNL_ARG_SRC }, { dnnl_query_weights_md, DNNL_ARG_WEIGHTS }, { dnnl_query_dst_md, DNNL_ARG_DST } },
        { { dnnl_query_diff_dst_md, DNNL_ARG_DIFF_DST }, { dnnl_query_weights_md, DNNL_ARG_WEIGHTS }, { dnnl_query_diff_src_md, DNNL_ARG_DIFF_SRC } },
        { { dnnl_query_src_md, DNNL_ARG_SRC }, { dnnl_query_diff_dst_md, DNNL_ARG_DIFF_DST }, { dnnl_query_diff_weights_md, DNNL_ARG_DIFF_WEIGHTS } },
    };
    dnnl_primitive_desc_t pd = describe(engine, pass, l, batch);
    const char *kernel;
    need(dnnl_primitive_desc_query(pd, dnnl_query_impl_info_str, 0, (void *)&kernel) == 0, "kernel");
    snprintf(peer->kernel, sizeof peer->kernel, "%s", kernel);
    need(dnnl_primitive_create(&peer->primitive, pd) == 0, "primitive");
    for (size_t i = 0; i < 3; i++) {
        peer->arguments[i].arg = operands[pass][i].argument;
        const size_t bytes = dnnl_memory_desc_get_size(dnnl_primitive_desc_query_md(pd, operands[pass][i].query, 0));
        peer->memory[i] = aligned(bytes / sizeof(float));
        need(dnnl_memory_create(&peer->arguments[i].memory, dnnl_primitive_desc_query_md(pd, operands[pass][i].query, 0), engine,
                                peer->memory[i]) == 0, "memory");
    }
    dnnl_primitive_desc_destroy(pd);
}

static double run_peer(const struct peer *peer, dnnl_stream_t stream)
{
    const double before = ood_clock();
    need(dnnl_primitive_execute(peer->primitive, stream, 3, peer->arguments) == 0, "execution");
    return ood_clock() - before;
}

static void end_peer(struct peer *peer)
{
    dnnl_primitive_destroy(peer->primitive);
    for (size_t i = 0; i < 3; i++) {
        dnnl_memory_destroy(peer->arguments[i].memory);
        free(peer->memory[i]);
    }
}

/* ---- ours ---- */

struct own {
    const struct ood_kernels *kernels;
    struct ood_winograd_shape shape, back;
    float *source, *target, *weights, *u, *back_u, *scratch;
};

static void make_own(struct own *own, const struct layer *l, size_t batch)
{
    const struct ood_kernels *kernels = ood_kernels_choose();
    own->kernels = kernels;
    own->shape = (struct ood_winograd_shape){ batch, l->in, l->size, l->size, l->out, 1, 1, 1, 1, 0, 0 };
    own->back = ood_winograd_data_shape(&own->shape);
    const size_t needs[] = { kernels->winograd_scratch_floats(&own->shape), kernels->winograd_scratch_floats(&own->back),
                             kernels->winograd_gradient_scratch_floats(&own->shape) };
    size_t scratch = needs[0] > needs[1] ? needs[0] : needs[1];
    own->scratch = aligned(scratch > needs[2] ? scratch : needs[2]);
    own->source = aligned(batch * l->in * l->size * l->size);
    own->target = aligned(batch * l->out * l->size * l->size);
    own->weights = aligned(l->in * l->out * 9);
    own->u = aligned(kernels->winograd_weights_floats(l->in, l->out));
    own->back_u = aligned(kernels->winograd_weights_floats(l->out, l->in));
    kernels->winograd_weights(own->u, own->weights, l->in, l->out);
    kernels->winograd_data_weights(own->back_u, own->weights, l->in, l->out);
}

static double run_own(const struct own *own, enum pass pass)
{
    const double before = ood_clock();
    switch (pass) {
    case FORWARD:
        own->kernels->winograd_forward(&(struct ood_winograd_call){
            .shape = &own->shape, .source = own->source, .weights = own->u, .destination = own->target, .scratch = own->scratch });
        break;
    case DATA:
        own->kernels->winograd_forward(&(struct ood_winograd_call){
            .shape = &own->back, .source = own->target, .weights = own->back_u, .destination = own->source, .scratch = own->scratch });
        break;
    case WEIGHTS:
        own->kernels->winograd_gradient(&(struct ood_winograd_gradient_call){
            .shape = &own->shape, .source = own->source, .gradient = own->target, .weights_gradient = own->weights, .scratch = own->scratch });
        break;
    case TRANSFORM:
        own->kernels->winograd_data_weights(own->back_u, own->weights, own->shape.channels, own->shape.out_channels);
        break;
    }
    return ood_clock() - before;
}

static void end_own(struct own *own)
{
    float *const memory[] = { own->source, own->target, own->weights, own->u, own->back_u, own->scratch };
    for (size_t i = 0; i < sizeof memory / sizeof memory[0]; i++)
        free(memory[i]);
}

/* ---- a case ---- */

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double median(double *x, size_t n)
{
    qsort(x, n, sizeof *x, ascending);
    return x[n / 2];
}

#define MOST_ROUNDS 2000
#define LEAST_ROUNDS 5
static double theirs[3][MOST_ROUNDS], ours[4][MOST_ROUNDS], ratios[3][MOST_ROUNDS];

/* Adds the ratios' logarithms to `sums`. */
static void run_case(const struct layer *l, size_t batch, double seconds, dnnl_engine_t engine, dnnl_stream_t stream, double sums[3])
{
    struct peer peers[3];
    struct own own;
    make_own(&own, l, batch);
    for (enum pass pass = FORWARD; pass < TRANSFORM; pass++)
        make_peer(&peers[pass], engine, pass, l, batch);
    size_t rounds = 0;
    for (double begin = ood_clock(); rounds < MOST_ROUNDS && (rounds < LEAST_ROUNDS || ood_clock() - begin < seconds); rounds++) {
        for (enum pass pass = FORWARD; pass < TRANSFORM; pass++) {
            if (rounds == 0) {               /* to warm both */
                run_peer(&peers[pass], stream);
                run_own(&own, pass);
            }
            theirs[pass][rounds] = run_peer(&peers[pass], stream);
            ours[pass][rounds] = run_own(&own, pass);
            ratios[pass][rounds] = theirs[pass][rounds] / ours[pass][rounds];
        }
        ours[TRANSFORM][rounds] = run_own(&own, TRANSFORM);
    }
    const double flops = 18.0 * (double)(batch * l->in * l->out * l->size * l->size);
    for (enum pass pass = FORWARD; pass < TRANSFORM; pass++) {
        const double ms = median(ours[pass], rounds), ratio = median(ratios[pass], rounds);
        printf("%s\t%s\t%s\t%.3f\t%.3f\t%.0f\t%.2f\n", l->name, pass_names[pass], peers[pass].kernel,
               median(theirs[pass], rounds) * 1e3, ms * 1e3, flops / ms * 1e-9, ratio);
        sums[pass] += log(ratio);
        end_peer(&peers[pass]);
    }
    printf("%s\t%s\t-\t-\t%.3f\t-\t-\n", l->name, pass_names[TRANSFORM], median(ours[TRANSFORM], rounds) * 1e3);
    fflush(stdout);
    end_own(&own);
}

int main(int argc, char **argv)
{
    size_t batch = 32, cases = 0;
    double seconds = 1, sums[3] = { 0, 0, 0 };
    const char *only = "";
    if (!layer_options("winograd_training", argc, argv, &batch, &seconds, &only))
        return 2;
    omp_set_num_threads(1);
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    need(dnnl_engine_create(&engine, dnnl_cpu, 0) == 0 && dnnl_stream_create(&stream, engine, dnnl_stream_default_flags) == 0, "oneDNN");
    printf("# own kernels %s, batch %zu\n# case\tpass\toneDNN's kernel\toneDNN ms\town ms\town GFLOP/s\toneDNN / own\n",
           ood_kernels_choose()->isa, batch);
    for (size_t i = 0; i < LAYERS; i++)
        if (*only == '\0' || strcmp(only, layers[i].name) == 0) {
            run_case(&layers[i], batch, seconds, engine, stream, sums);
            cases++;
        }
    for (enum pass pass = FORWARD; pass < TRANSFORM && cases > 0; pass++)
        printf("geometric mean\t%s\t-\t-\t-\t-\t%.2f\n", pass_names[pass], exp(sums[pass] / (double)cases));
    return 0;
}
