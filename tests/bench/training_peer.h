/* What the benches of training's convolutions share: a layer's three passes by oneDNN, in float32 or bfloat16, and by our Winograd kernel. */
#ifndef OOD_TESTS_BENCH_TRAINING_PEER_H
#define OOD_TESTS_BENCH_TRAINING_PEER_H

#include <oneapi/dnnl/dnnl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "kernel/winograd.h"
#include "tests/bench/median.h"

/* Square, the kernel too; padded so that the result has size / stride a side. */
struct layer { const char *name; size_t in, out, size, kernel, stride; };

enum pass { FORWARD, DATA, WEIGHTS, TRANSFORM };
static const char *const pass_names[] = { "forward", "data", "weights", "transform" };

static void need(bool good, const char *what)
{
    if (good)
        return;
    fprintf(stderr, "bench: %s failed\n", what);
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

/* The pass's primitive descriptor: any layouts; in bfloat16 sums and the weights' gradient stay float32. */
static dnnl_primitive_desc_t describe(dnnl_engine_t engine, enum pass pass, const struct layer *l, size_t batch, dnnl_data_type_t type)
{
    const dnnl_dims_t source = { (dnnl_dim_t)batch, (dnnl_dim_t)l->in, (dnnl_dim_t)l->size, (dnnl_dim_t)l->size };
    const dnnl_dims_t target = { (dnnl_dim_t)batch, (dnnl_dim_t)l->out, (dnnl_dim_t)(l->size / l->stride), (dnnl_dim_t)(l->size / l->stride) };
    const dnnl_dims_t weights = { (dnnl_dim_t)l->out, (dnnl_dim_t)l->in, (dnnl_dim_t)l->kernel, (dnnl_dim_t)l->kernel };
    const dnnl_dims_t stride = { (dnnl_dim_t)l->stride, (dnnl_dim_t)l->stride }, none = { 0, 0 };
    const dnnl_dims_t begin = { (dnnl_dim_t)(l->kernel / 2), (dnnl_dim_t)(l->kernel / 2) };
    const dnnl_dim_t last = l->kernel > l->stride ? (dnnl_dim_t)(l->kernel - l->stride) / 2 : 0;
    const dnnl_dims_t end = { last, last };
    dnnl_primitive_desc_t forward = NULL, pd = NULL;
#if DNNL_VERSION_MAJOR < 3
    dnnl_memory_desc_t x, y, w, dw;
    need(dnnl_memory_desc_init_by_tag(&dw, 4, weights, dnnl_f32, dnnl_format_tag_any) == 0 &&
         dnnl_memory_desc_init_by_tag(&x, 4, source, type, dnnl_format_tag_any) == 0 &&
         dnnl_memory_desc_init_by_tag(&y, 4, target, type, dnnl_format_tag_any) == 0 &&
         dnnl_memory_desc_init_by_tag(&w, 4, weights, type, dnnl_format_tag_any) == 0, "oneDNN's layouts");
    dnnl_convolution_desc_t operation;
    need(dnnl_dilated_convolution_forward_desc_init(&operation, dnnl_forward_training, dnnl_convolution_direct, &x, &w, NULL, &y,
                                                    stride, none, begin, end) == 0 &&
         dnnl_primitive_desc_create(&forward, &operation, NULL, engine, NULL) == 0, "oneDNN's forward pass");
    if (pass == FORWARD)
        return forward;
    need((pass == DATA ? dnnl_dilated_convolution_backward_data_desc_init(&operation, dnnl_convolution_direct, &x, &w, &y, stride, none, begin, end)
                       : dnnl_dilated_convolution_backward_weights_desc_init(&operation, dnnl_convolution_direct, &x, &dw, NULL, &y, stride, none,
                                                                             begin, end)) == 0 &&
         dnnl_primitive_desc_create(&pd, &operation, NULL, engine, forward) == 0, "oneDNN's backward pass");
#else
    dnnl_memory_desc_t x, y, w, dw;
    need(dnnl_memory_desc_create_with_tag(&dw, 4, weights, dnnl_f32, dnnl_format_tag_any) == 0 &&
         dnnl_memory_desc_create_with_tag(&x, 4, source, type, dnnl_format_tag_any) == 0 &&
         dnnl_memory_desc_create_with_tag(&y, 4, target, type, dnnl_format_tag_any) == 0 &&
         dnnl_memory_desc_create_with_tag(&w, 4, weights, type, dnnl_format_tag_any) == 0, "oneDNN's layouts");
    need(dnnl_convolution_forward_primitive_desc_create(&forward, engine, dnnl_forward_training, dnnl_convolution_direct, x, w, NULL, y,
                                                        stride, none, begin, end, NULL) == 0, "oneDNN's forward pass");
    if (pass == FORWARD)
        return forward;
    need((pass == DATA ? dnnl_convolution_backward_data_primitive_desc_create(&pd, engine, dnnl_convolution_direct, x, w, y, stride, none, begin,
                                                                              end, forward, NULL)
                       : dnnl_convolution_backward_weights_primitive_desc_create(&pd, engine, dnnl_convolution_direct, x, dw, NULL, y, stride,
                                                                                 none, begin, end, forward, NULL)) == 0, "oneDNN's backward pass");
#endif
    dnnl_primitive_desc_destroy(forward);
    return pd;
}

static void make_peer(struct peer *peer, dnnl_engine_t engine, enum pass pass, const struct layer *l, size_t batch, dnnl_data_type_t type)
{
    static const struct { dnnl_query_t query; int argument; } operands[3][3] = {
        { { dnnl_query_src_md, DNNL_ARG_SRC }, { dnnl_query_weights_md, DNNL_ARG_WEIGHTS }, { dnnl_query_dst_md, DNNL_ARG_DST } },
        { { dnnl_query_diff_dst_md, DNNL_ARG_DIFF_DST }, { dnnl_query_weights_md, DNNL_ARG_WEIGHTS }, { dnnl_query_diff_src_md, DNNL_ARG_DIFF_SRC } },
        { { dnnl_query_src_md, DNNL_ARG_SRC }, { dnnl_query_diff_dst_md, DNNL_ARG_DIFF_DST }, { dnnl_query_diff_weights_md, DNNL_ARG_DIFF_WEIGHTS } },
    };
    dnnl_primitive_desc_t pd = describe(engine, pass, l, batch, type);
    const char *kernel;
    need(dnnl_primitive_desc_query(pd, dnnl_query_impl_info_str, 0, (void *)&kernel) == 0, "kernel");
    snprintf(peer->kernel, sizeof peer->kernel, "%s", kernel);
    need(dnnl_primitive_create(&peer->primitive, pd) == 0, "primitive");
    for (size_t i = 0; i < 3; i++) {
        peer->arguments[i].arg = operands[pass][i].argument;
        const size_t bytes = dnnl_memory_desc_get_size(dnnl_primitive_desc_query_md(pd, operands[pass][i].query, 0));
        peer->memory[i] = aligned((bytes + sizeof(float) - 1) / sizeof(float));
        if (type == dnnl_bf16)               /* the upper halves of the same numbers */
            for (size_t k = 0; k < bytes / 2; k++) {
                const float number = (float)(k % 7) * 0.01f - 0.03f;
                uint32_t bits;
                memcpy(&bits, &number, sizeof bits);
                ((uint16_t *)peer->memory[i])[k] = (uint16_t)(bits >> 16);
            }
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

#endif
