/* The floor of WRN-40-2: its 40 convolutions alone, each with its own weights, bias and ReLU as post-operations, in a row,
 * by oneDNN in the calling thread. What an engine on the same kernels cannot beat.
 *
 *     floor [--batch B] [--seconds S] [--layout nhwc|blocked]
 *
 * One line, tab separated: floor, layout and kernel of the most convolutions, threads, batch, pictures/s median, best. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "plan/dnnl.h"
#include "base/number.h"

struct layer { int in, out, size, kernel, stride, count; };        /* size: of the source */

static const struct layer layers[] = {
    { 3, 16, 32, 3, 1, 1 },
    { 16, 32, 32, 3, 1, 1 }, { 16, 32, 32, 1, 1, 1 }, { 32, 32, 32, 3, 1, 11 },
    { 32, 64, 32, 3, 2, 1 }, { 32, 64, 32, 1, 2, 1 }, { 64, 64, 16, 3, 1, 11 },
    { 64, 128, 16, 3, 2, 1 }, { 64, 128, 16, 1, 2, 1 }, { 128, 128, 8, 3, 1, 11 },
};

#define MOST_STEPS 64
static dnnl_primitive_t primitives[MOST_STEPS];
static dnnl_exec_arg_t arguments[MOST_STEPS][5];
static size_t step_count;

static void need(dnnl_status_t status, const char *what)
{
    if (status == dnnl_success)
        return;
    fprintf(stderr, "floor: %s: oneDNN status %d\n", what, (int)status);
    exit(4);
}

static void *aligned(size_t bytes)
{
    float *memory = aligned_alloc(64, (bytes + 63) / 64 * 64);
    if (memory == NULL)
        exit(4);
    for (size_t i = 0; i < bytes / sizeof *memory; i++)
        memory[i] = (float)(i % 7) * 0.01f - 0.03f;
    return memory;
}

static const char *add(dnnl_engine_t engine, const struct layer *l, int batch, dnnl_format_tag_t tag, float *source, float *target)
{
    int out = l->size / l->stride, pad = l->kernel / 2;
    const dnnl_dims_t source_dims = { batch, l->in, l->size, l->size }, target_dims = { batch, l->out, out, out };
    const dnnl_dims_t weights_dims = { l->out, l->in, l->kernel, l->kernel }, bias_dims = { l->out };
    const int end = (out - 1) * l->stride + l->kernel - l->size - pad;
    struct ood_dnnl_layout *s, *w, *b, *t, *chosen;
    need(ood_dnnl_layout_new(&s, 4, source_dims, l->in > 3 || tag == dnnl_nhwc ? tag : dnnl_nchw), "source");
    need(ood_dnnl_layout_new(&t, 4, target_dims, tag), "target");
    need(ood_dnnl_layout_new(&w, 4, weights_dims, dnnl_format_tag_any), "weights");
    need(ood_dnnl_layout_new(&b, 1, bias_dims, dnnl_a), "bias");
    dnnl_primitive_attr_t attributes;
    dnnl_post_ops_t posts;
    need(dnnl_primitive_attr_create(&attributes), "attributes");
    need(dnnl_post_ops_create(&posts), "posts");
    need(ood_dnnl_append_eltwise(posts, dnnl_eltwise_relu, 0, 0), "posts");
    need(dnnl_primitive_attr_set_post_ops(attributes, posts), "attributes");
    const struct ood_dnnl_convolution operation = {
        dnnl_convolution_direct, s, w, b, t, .strides = { l->stride, l->stride }, .begin = { pad, pad }, .end = { end, end }
    };
    dnnl_primitive_desc_t pd;
    need(ood_dnnl_convolution(&pd, &operation, attributes, engine, NULL), "convolution");
    need(ood_dnnl_layout_query(&chosen, pd, dnnl_query_weights_md), "weights");
    const char *kernel;
    need(dnnl_primitive_desc_query(pd, dnnl_query_impl_info_str, 0, &kernel), "kernel");
    for (int i = 0; i < l->count; i++) {
        dnnl_exec_arg_t *a = arguments[step_count];
        need(dnnl_primitive_create(&primitives[step_count], pd), "primitive");
        float *from = i % 2 == 0 ? source : target, *to = i % 2 == 0 ? target : source;
        a[0].arg = DNNL_ARG_SRC;
        need(ood_dnnl_memory(&a[0].memory, s, engine, from), "memory");
        a[1].arg = DNNL_ARG_WEIGHTS;
        need(ood_dnnl_memory(&a[1].memory, chosen, engine, aligned(ood_dnnl_layout_bytes(chosen))), "memory");
        a[2].arg = DNNL_ARG_BIAS;
        need(ood_dnnl_memory(&a[2].memory, b, engine, aligned(ood_dnnl_layout_bytes(b))), "memory");
        a[3].arg = DNNL_ARG_DST;
        need(ood_dnnl_memory(&a[3].memory, t, engine, to), "memory");
        step_count++;
    }
    return kernel;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

int main(int argc, char **argv)
{
    size_t batch = 1;
    double seconds = 2;
    const char *layout = "nhwc", *kernel = "";
    for (int i = 1; i + 1 < argc; i += 2) {
        bool good = strcmp(argv[i], "--batch") == 0     ? ood_parse_size(argv[i + 1], &batch) && batch > 0 && batch <= 1024
                    : strcmp(argv[i], "--seconds") == 0 ? ood_parse_double(argv[i + 1], &seconds)
                    : strcmp(argv[i], "--layout") == 0  ? (layout = argv[i + 1], true)
                                                        : false;
        if (!good) {
            fprintf(stderr, "usage: floor [--batch B] [--seconds S] [--layout nhwc|blocked]\n");
            return 2;
        }
    }
    omp_set_num_threads(1);
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    need(dnnl_engine_create(&engine, dnnl_cpu, 0), "engine");
    need(dnnl_stream_create(&stream, engine, dnnl_stream_default_flags), "stream");
    bool wide = (dnnl_get_effective_cpu_isa() & dnnl_cpu_isa_avx512_core) == dnnl_cpu_isa_avx512_core;
    dnnl_format_tag_t tag = strcmp(layout, "nhwc") == 0 ? dnnl_nhwc : wide ? dnnl_nChw16c : dnnl_nChw8c;
    float *source = aligned(batch * 64 * 1024 * sizeof(float)), *target = aligned(batch * 64 * 1024 * sizeof(float));
    for (size_t i = 0; i < sizeof layers / sizeof layers[0]; i++)
        kernel = add(engine, &layers[i], (int)batch, tag, source, target);

    static double times[100000];
    size_t runs = 0;
    double begin = ood_clock();
    while (runs < sizeof times / sizeof times[0] && (runs < 5 || ood_clock() - begin < seconds)) {
        double before = ood_clock();
        for (size_t i = 0; i < step_count; i++)
            need(dnnl_primitive_execute(primitives[i], stream, 4, arguments[i]), "execute");
        times[runs++] = ood_clock() - before;
    }
    qsort(times, runs, sizeof times[0], ascending);
    printf("floor\t%s %s\t1\t%zu\t%.1f\t%.1f\n", layout, kernel, batch, (double)batch / times[runs / 2], (double)batch / times[0]);
    return 0;
}
