/* oneDNN 2.6 to 3.x: primitives made from shapes, weights brought into the layout the kernel asks for, kernels told by name. */
#include "plan/dnnl.h"

#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "base/memory.h"
#include "plan/builder_internal.h"
#include "plan/dnnl_internal.h"

/* ---- who it is ---- */

static const struct { dnnl_cpu_isa_t isa; const char *word, *text; } isas[] = {
    { dnnl_cpu_isa_sse41, "sse41", "SSE4.1" },
    { dnnl_cpu_isa_avx, "avx", "AVX" },
    { dnnl_cpu_isa_avx2, "avx2", "AVX2" },
    { dnnl_cpu_isa_avx2_vnni, "avx2_vnni", "AVX2 with VNNI" },
#if DNNL_VERSION_MAJOR >= 3
    { dnnl_cpu_isa_avx2_vnni_2, "avx2_vnni_2", "AVX2 with VNNI and its 16-bit conversions" },
    { dnnl_cpu_isa_avx512_core_fp16, "avx512_core_fp16", "AVX-512 with FP16" },
    { dnnl_cpu_isa_avx512_core_amx_fp16, "avx512_core_amx_fp16", "AVX-512 with AMX and FP16" },
#endif
    { dnnl_cpu_isa_avx512_core, "avx512_core", "AVX-512" },
    { dnnl_cpu_isa_avx512_core_vnni, "avx512_core_vnni", "AVX-512 with VNNI" },
    { dnnl_cpu_isa_avx512_core_bf16, "avx512_core_bf16", "AVX-512 with BF16" },
    { dnnl_cpu_isa_avx512_core_amx, "avx512_core_amx", "AVX-512 with AMX" },
};

static size_t isa_row(void)
{
    dnnl_cpu_isa_t isa = dnnl_get_effective_cpu_isa();
    size_t i = 0;
    while (i < sizeof isas / sizeof isas[0] && isas[i].isa != isa)
        i++;
    return i;
}

const char *ood_dnnl_isa(void)
{
    size_t row = isa_row();
    return row < sizeof isas / sizeof isas[0] ? isas[row].word : "other";
}

const char *ood_dnnl_identity(char *text, size_t size)
{
    const dnnl_version_t *version = dnnl_version();
    snprintf(text, size, "oneDNN %d.%d.%d %s", version->major, version->minor, version->patch, ood_dnnl_isa());
    return text;
}

void ood_dnnl_describe(char *text, size_t size)
{
    size_t row = isa_row();
    const dnnl_version_t *version = dnnl_version();
    snprintf(text, size, "oneDNN %d.%d.%d (%s)", version->major, version->minor, version->patch,
             row < sizeof isas / sizeof isas[0] ? isas[row].text : "another instruction set");
}

bool ood_dnnl_fail(const struct ood_node *node, struct ood_error *err, dnnl_status_t status, const char *what)
{
    static const char *const words[] = { "success", "out of memory", "invalid arguments", "unimplemented", "iterator ends",
                                         "runtime error", "not required" };
    enum ood_code code = status == dnnl_out_of_memory ? OOD_OUT_OF_MEMORY : OOD_UNSUPPORTED;
    return ood_node_fail(node, err, code, "oneDNN: %s: %s", what,
                         (size_t)status < sizeof words / sizeof words[0] ? words[status] : "unknown status");
}

/* ---- what differs between versions ---- */

#if DNNL_VERSION_MAJOR >= 3

/* Descriptors are opaque, made and destroyed by oneDNN. */
typedef const_dnnl_memory_desc_t borrowed_md;
struct ood_dnnl_layout { dnnl_memory_desc_t md; };

static borrowed_md md_of(const struct ood_dnnl_layout *layout) { return layout != NULL ? layout->md : NULL; }
static dnnl_status_t copy_md(dnnl_memory_desc_t *md, borrowed_md from) { return dnnl_memory_desc_clone(md, from); }
static void destroy_md(dnnl_memory_desc_t md) { dnnl_memory_desc_destroy(md); }

static dnnl_status_t make_md(dnnl_memory_desc_t *md, int rank, const dnnl_dims_t dims, dnnl_format_tag_t tag)
{
    return dnnl_memory_desc_create_with_tag(md, rank, dims, dnnl_f32, tag);
}

static dnnl_status_t append_sum(dnnl_post_ops_t posts) { return dnnl_post_ops_append_sum(posts, 1, 0, dnnl_data_type_undef); }

dnnl_status_t ood_dnnl_append_eltwise(dnnl_post_ops_t posts, dnnl_alg_kind_t kind, float alpha, float beta)
{
    return dnnl_post_ops_append_eltwise(posts, kind, alpha, beta);
}

/* The descriptor's own bytes have gaps of no set value: its fields, one by one. */
static dnnl_status_t layout_key(const struct ood_dnnl_layout *layout, char key[OOD_HASH_HEX])
{
    static const dnnl_query_t lists[] = { dnnl_query_dims, dnnl_query_padded_dims, dnnl_query_strides, dnnl_query_inner_blks,
                                          dnnl_query_inner_idxs };
    enum { LISTS = sizeof lists / sizeof lists[0] };
    struct { int32_t rank, blocks; dnnl_dims_t lists[LISTS]; } fields;
    memset(&fields, 0, sizeof fields);
    dnnl_status_t status = dnnl_memory_desc_query(layout->md, dnnl_query_ndims_s32, &fields.rank);
    if (status == dnnl_success)
        status = dnnl_memory_desc_query(layout->md, dnnl_query_inner_nblks_s32, &fields.blocks);
    for (size_t i = 0; i < LISTS && status == dnnl_success; i++) {
        const dnnl_dims_t *list = NULL;
        const bool inner = lists[i] == dnnl_query_inner_blks || lists[i] == dnnl_query_inner_idxs;
        status = dnnl_memory_desc_query(layout->md, lists[i], &list);
        if (status == dnnl_success)
            memcpy(fields.lists[i], *list, (size_t)(inner ? fields.blocks : fields.rank) * sizeof(dnnl_dim_t));
    }
    if (status == dnnl_success)
        ood_sha256_hex(&fields, sizeof fields, key);
    return status;
}

dnnl_status_t ood_dnnl_convolution(dnnl_primitive_desc_t *pd, const struct ood_dnnl_convolution *c,
                                   const_dnnl_primitive_attr_t attributes, dnnl_engine_t engine, const char *kernel)
{
    dnnl_primitive_desc_t found = NULL;
    dnnl_status_t status = dnnl_convolution_forward_primitive_desc_create(
        &found, engine, dnnl_forward_inference, c->algorithm, md_of(c->source), md_of(c->weights), md_of(c->bias),
        md_of(c->destination), c->strides, c->dilates, c->begin, c->end, attributes);
    while (status == dnnl_success && kernel != NULL) {
        const char *name = "";
        status = dnnl_primitive_desc_query(found, dnnl_query_impl_info_str, 0, (void *)&name);
        if (status != dnnl_success || strstr(name, kernel) != NULL)
            break;
        status = dnnl_primitive_desc_next_impl(found);
    }
    if (status == dnnl_success)
        *pd = found;
    else
        dnnl_primitive_desc_destroy(found);
    return status == dnnl_last_impl_reached ? dnnl_unimplemented : status;
}

dnnl_status_t ood_dnnl_convolution_backward(dnnl_primitive_desc_t *pd, const struct ood_dnnl_convolution *c, bool weights,
                                            const_dnnl_primitive_attr_t attributes, dnnl_engine_t engine, const_dnnl_primitive_desc_t forward)
{
    return weights ? dnnl_convolution_backward_weights_primitive_desc_create(pd, engine, c->algorithm, md_of(c->source), md_of(c->weights), NULL,
                                                                             md_of(c->destination), c->strides, c->dilates, c->begin, c->end,
                                                                             forward, attributes)
                   : dnnl_convolution_backward_data_primitive_desc_create(pd, engine, c->algorithm, md_of(c->source), md_of(c->weights),
                                                                          md_of(c->destination), c->strides, c->dilates, c->begin, c->end,
                                                                          forward, attributes);
}

static dnnl_status_t make_pooling(dnnl_primitive_desc_t *pd, dnnl_alg_kind_t kind, const struct ood_dnnl_layout *source,
                                  const struct ood_dnnl_layout *target, const dnnl_dims_t strides, const dnnl_dims_t kernel,
                                  const dnnl_dims_t dilates, const dnnl_dims_t begin, const dnnl_dims_t end,
                                  const_dnnl_primitive_attr_t attributes, dnnl_engine_t engine)
{
    return dnnl_pooling_forward_primitive_desc_create(pd, engine, dnnl_forward_inference, kind, md_of(source), md_of(target),
                                                      strides, kernel, dilates, begin, end, attributes);
}

#else

/* Descriptors are structures without pointers, handed over by address. */
typedef const dnnl_memory_desc_t *borrowed_md;
struct ood_dnnl_layout { dnnl_memory_desc_t md; };

static borrowed_md md_of(const struct ood_dnnl_layout *layout) { return layout != NULL ? &layout->md : NULL; }
static void destroy_md(dnnl_memory_desc_t md) { (void)md; }

static dnnl_status_t copy_md(dnnl_memory_desc_t *md, borrowed_md from)
{
    *md = *from;
    return dnnl_success;
}

static dnnl_status_t make_md(dnnl_memory_desc_t *md, int rank, const dnnl_dims_t dims, dnnl_format_tag_t tag)
{
    return dnnl_memory_desc_init_by_tag(md, rank, dims, dnnl_f32, tag);
}

static dnnl_status_t append_sum(dnnl_post_ops_t posts) { return dnnl_post_ops_append_sum(posts, 1); }

dnnl_status_t ood_dnnl_append_eltwise(dnnl_post_ops_t posts, dnnl_alg_kind_t kind, float alpha, float beta)
{
    return dnnl_post_ops_append_eltwise(posts, 1, kind, alpha, beta);
}

static dnnl_status_t layout_key(const struct ood_dnnl_layout *layout, char key[OOD_HASH_HEX])
{
    ood_sha256_hex(&layout->md, sizeof layout->md, key);
    return dnnl_success;
}

dnnl_status_t ood_dnnl_convolution(dnnl_primitive_desc_t *pd, const struct ood_dnnl_convolution *c,
                                   const_dnnl_primitive_attr_t attributes, dnnl_engine_t engine, const char *kernel)
{
    dnnl_convolution_desc_t operation;
    dnnl_primitive_desc_iterator_t iterator = NULL;
    dnnl_primitive_desc_t found = NULL;
    dnnl_status_t status = dnnl_dilated_convolution_forward_desc_init(
        &operation, dnnl_forward_inference, c->algorithm, md_of(c->source), md_of(c->weights), md_of(c->bias), md_of(c->destination),
        c->strides, c->dilates, c->begin, c->end);
    if (status == dnnl_success && kernel == NULL)
        return dnnl_primitive_desc_create(pd, &operation, attributes, engine, NULL);
    if (status == dnnl_success)
        status = dnnl_primitive_desc_iterator_create(&iterator, &operation, attributes, engine, NULL);
    while (status == dnnl_success) {
        const char *name = "";
        found = dnnl_primitive_desc_iterator_fetch(iterator);
        status = dnnl_primitive_desc_query(found, dnnl_query_impl_info_str, 0, (void *)&name);
        if (status != dnnl_success || strstr(name, kernel) != NULL)
            break;
        dnnl_primitive_desc_destroy(found);
        found = NULL;
        status = dnnl_primitive_desc_iterator_next(iterator);
    }
    if (iterator != NULL)
        dnnl_primitive_desc_iterator_destroy(iterator);
    if (status == dnnl_success)
        *pd = found;
    else
        dnnl_primitive_desc_destroy(found);
    return status == dnnl_iterator_ends ? dnnl_unimplemented : status;
}

dnnl_status_t ood_dnnl_convolution_backward(dnnl_primitive_desc_t *pd, const struct ood_dnnl_convolution *c, bool weights,
                                            const_dnnl_primitive_attr_t attributes, dnnl_engine_t engine, const_dnnl_primitive_desc_t forward)
{
    dnnl_convolution_desc_t operation;
    const dnnl_status_t status =
        weights ? dnnl_dilated_convolution_backward_weights_desc_init(&operation, c->algorithm, md_of(c->source), md_of(c->weights), NULL,
                                                                      md_of(c->destination), c->strides, c->dilates, c->begin, c->end)
                : dnnl_dilated_convolution_backward_data_desc_init(&operation, c->algorithm, md_of(c->source), md_of(c->weights),
                                                                   md_of(c->destination), c->strides, c->dilates, c->begin, c->end);
    return status != dnnl_success ? status : dnnl_primitive_desc_create(pd, &operation, attributes, engine, forward);
}

static dnnl_status_t make_pooling(dnnl_primitive_desc_t *pd, dnnl_alg_kind_t kind, const struct ood_dnnl_layout *source,
                                  const struct ood_dnnl_layout *target, const dnnl_dims_t strides, const dnnl_dims_t kernel,
                                  const dnnl_dims_t dilates, const dnnl_dims_t begin, const dnnl_dims_t end,
                                  const_dnnl_primitive_attr_t attributes, dnnl_engine_t engine)
{
    dnnl_pooling_v2_desc_t operation;
    dnnl_status_t status = dnnl_pooling_v2_forward_desc_init(&operation, dnnl_forward_inference, kind, md_of(source), md_of(target),
                                                             strides, kernel, dilates, begin, end);
    return status != dnnl_success ? status : dnnl_primitive_desc_create(pd, &operation, attributes, engine, NULL);
}

#endif

/* ---- layouts ---- */

static dnnl_status_t new_layout(struct ood_dnnl_layout **layout)
{
    struct ood_error err;
    *layout = ood_new(struct ood_dnnl_layout, &err);
    return *layout != NULL ? dnnl_success : dnnl_out_of_memory;
}

/* What follows the making: kept, or the shell freed. */
static dnnl_status_t kept(struct ood_dnnl_layout **layout, dnnl_status_t status)
{
    if (status != dnnl_success) {
        ood_free(*layout);
        *layout = NULL;
    }
    return status;
}

dnnl_status_t ood_dnnl_layout_new(struct ood_dnnl_layout **layout, int rank, const dnnl_dims_t dims, dnnl_format_tag_t tag)
{
    dnnl_status_t status = new_layout(layout);
    return status != dnnl_success ? status : kept(layout, make_md(&(*layout)->md, rank, dims, tag));
}

dnnl_status_t ood_dnnl_layout_query(struct ood_dnnl_layout **layout, const_dnnl_primitive_desc_t pd, dnnl_query_t what)
{
    dnnl_status_t status = new_layout(layout);
    return status != dnnl_success ? status : kept(layout, copy_md(&(*layout)->md, dnnl_primitive_desc_query_md(pd, what, 0)));
}

void ood_dnnl_layout_free(struct ood_dnnl_layout *layout)
{
    if (layout == NULL)
        return;
    destroy_md(layout->md);
    ood_free(layout);
}

size_t ood_dnnl_layout_bytes(const struct ood_dnnl_layout *layout) { return dnnl_memory_desc_get_size(md_of(layout)); }

dnnl_status_t ood_dnnl_memory(dnnl_memory_t *memory, const struct ood_dnnl_layout *layout, dnnl_engine_t engine, void *at)
{
    return dnnl_memory_create(memory, md_of(layout), engine, at);
}

dnnl_status_t ood_dnnl_reorder(dnnl_primitive_desc_t *pd, const struct ood_dnnl_layout *from, const struct ood_dnnl_layout *to, bool add,
                               dnnl_engine_t engine)
{
    dnnl_primitive_attr_t attributes = NULL;
    dnnl_post_ops_t posts = NULL;
    dnnl_status_t status = dnnl_primitive_attr_create(&attributes);
    if (status == dnnl_success)
        status = dnnl_primitive_attr_set_scratchpad_mode(attributes, dnnl_scratchpad_mode_user);
    if (status == dnnl_success)
        status = dnnl_post_ops_create(&posts);
    if (status == dnnl_success && add)
        status = append_sum(posts);
    if (status == dnnl_success)
        status = dnnl_primitive_attr_set_post_ops(attributes, posts);
    if (status == dnnl_success)
        status = dnnl_reorder_primitive_desc_create(pd, md_of(from), engine, md_of(to), engine, attributes);
    dnnl_post_ops_destroy(posts);
    dnnl_primitive_attr_destroy(attributes);
    return status;
}

/* ---- weights ---- */

struct reordered_weights {
    dnnl_engine_t engine;
    const struct ood_dnnl_layout *from, *to;
    const void *data;
    const struct ood_node *node;
};

static bool fill_weights(void *memory, const void *context, struct ood_error *err)
{
    const struct reordered_weights *w = context;
    dnnl_primitive_desc_t pd = NULL;
    dnnl_primitive_t reorder = NULL;
    dnnl_memory_t from = NULL, to = NULL;
    dnnl_stream_t stream = NULL;
    dnnl_status_t status = dnnl_reorder_primitive_desc_create(&pd, md_of(w->from), w->engine, md_of(w->to), w->engine, NULL);
    union { const void *data; void *mutable; } source = { w->data };      /* oneDNN only reads it */
    if (status == dnnl_success)
        status = dnnl_primitive_create(&reorder, pd);
    if (status == dnnl_success)
        status = ood_dnnl_memory(&from, w->from, w->engine, source.mutable);
    if (status == dnnl_success)
        status = ood_dnnl_memory(&to, w->to, w->engine, memory);
    if (status == dnnl_success)
        status = dnnl_stream_create(&stream, w->engine, dnnl_stream_default_flags);
    if (status == dnnl_success) {
        dnnl_exec_arg_t arguments[] = { { DNNL_ARG_FROM, from }, { DNNL_ARG_TO, to } };
        status = dnnl_primitive_execute(reorder, stream, 2, arguments);
    }
    if (status == dnnl_success)
        status = dnnl_stream_wait(stream);
    dnnl_stream_destroy(stream);
    dnnl_memory_destroy(to);
    dnnl_memory_destroy(from);
    dnnl_primitive_destroy(reorder);
    dnnl_primitive_desc_destroy(pd);
    return status == dnnl_success ? true : ood_dnnl_fail(w->node, err, status, "reordering the weights");
}

/* One copy for each distinct layout: kernels of several batch sizes that ask for the same share it. */
static bool prepare_weights(struct ood_builder *builder, const struct ood_node *node, const struct ood_dnnl_layout *from,
                            const struct ood_dnnl_layout *to, const void *data, struct ood_operand *out, struct ood_error *err)
{
    char key[OOD_HASH_HEX];
    dnnl_status_t status = layout_key(to, key);
    if (status != dnnl_success)
        return ood_dnnl_fail(node, err, status, "the weights' layout");
    struct reordered_weights context = { builder->model->engine, from, to, data, node };
    const void *memory = ood_builder_weights(builder, node, key, ood_dnnl_layout_bytes(to), fill_weights, &context, err);
    *out = (struct ood_operand){ OOD_NONE, memory };
    return memory != NULL;
}

struct bias { const float *data; size_t bytes; };

static bool fill_bias(void *memory, const void *context, struct ood_error *err)
{
    const struct bias *bias = context;
    (void)err;
    memcpy(memory, bias->data, bias->bytes);
    return true;
}

/* ---- what follows ---- */

/* Up to the second sum: a sum adds what lay in the destination, and there lay only one tensor. */
static bool append_posts(const struct ood_node *node, dnnl_post_ops_t posts, struct ood_error *err)
{
    size_t sums = 0;
    for (size_t i = 0; i < node->post_count; i++) {
        const struct ood_post *post = &node->posts[i];
        sums += post->kind == OOD_POST_SUM;
        if (sums > 1)
            return true;
        dnnl_status_t status = dnnl_invalid_arguments;
        switch (post->kind) {
        case OOD_POST_RELU:
            status = ood_dnnl_append_eltwise(posts, dnnl_eltwise_relu, 0, 0);
            break;
        case OOD_POST_LEAKY_RELU:
            status = ood_dnnl_append_eltwise(posts, dnnl_eltwise_relu, post->alpha, 0);
            break;
        case OOD_POST_CLIP:
            status = ood_dnnl_append_eltwise(posts, dnnl_eltwise_clip, post->alpha, post->beta);
            break;
        case OOD_POST_SIGMOID:
            status = ood_dnnl_append_eltwise(posts, dnnl_eltwise_logistic, 0, 0);
            break;
        case OOD_POST_SILU:
            status = ood_dnnl_append_eltwise(posts, dnnl_eltwise_swish, 1, 0);
            break;
        case OOD_POST_HARD_SWISH:            /* 2.x takes no parameters and means these */
            status = ood_dnnl_append_eltwise(posts, dnnl_eltwise_hardswish, 1.0f / 6, 0.5f);
            break;
        case OOD_POST_HARD_SIGMOID:
            status = ood_dnnl_append_eltwise(posts, dnnl_eltwise_linear, post->alpha, post->beta);
            if (status == dnnl_success)
                status = ood_dnnl_append_eltwise(posts, dnnl_eltwise_clip, 0, 1);
            break;
        case OOD_POST_GELU:
            status = ood_dnnl_append_eltwise(posts, dnnl_eltwise_gelu_erf, 0, 0);
            break;
        case OOD_POST_SUM:
            status = append_sum(posts);
            break;
        }
        if (status != dnnl_success)
            return ood_dnnl_fail(node, err, status, "a fused operation");
    }
    return true;
}

/* User scratchpad mode and the node's posts. NULL on failure. */
dnnl_primitive_attr_t ood_dnnl_attributes(const struct ood_node *node, bool with_posts, struct ood_error *err)
{
    dnnl_primitive_attr_t attributes = NULL;
    dnnl_post_ops_t posts = NULL;
    bool done = false;
    dnnl_status_t status = dnnl_primitive_attr_create(&attributes);
    if (status == dnnl_success)
        status = dnnl_primitive_attr_set_scratchpad_mode(attributes, dnnl_scratchpad_mode_user);
    if (status == dnnl_success)
        status = dnnl_post_ops_create(&posts);
    if (status != dnnl_success)
        ood_dnnl_fail(node, err, status, "attributes");
    else if (!with_posts || append_posts(node, posts, err)) {
        status = dnnl_primitive_attr_set_post_ops(attributes, posts);
        done = status == dnnl_success ? true : ood_dnnl_fail(node, err, status, "attributes");
    }
    dnnl_post_ops_destroy(posts);
    if (!done) {
        dnnl_primitive_attr_destroy(attributes);
        attributes = NULL;
    }
    return attributes;
}

/* ---- steps ---- */

/* Takes *layout and leaves NULL. */
void ood_dnnl_argument(struct ood_step *step, int argument, struct ood_dnnl_layout **layout, struct ood_operand operand)
{
    step->dnnl_arguments[step->operand_count] = argument;
    step->layouts[step->operand_count] = *layout;
    step->operands[step->operand_count++] = operand;
    step->bytes += argument == DNNL_ARG_SCRATCHPAD ? 0 : ood_dnnl_layout_bytes(*layout);
    *layout = NULL;
}

static bool add_scratchpad(struct ood_builder *builder, const struct ood_node *node, const_dnnl_primitive_desc_t pd,
                           struct ood_step *step, struct ood_error *err)
{
    struct ood_dnnl_layout *scratch;
    struct ood_operand operand;
    dnnl_status_t status = ood_dnnl_layout_query(&scratch, pd, dnnl_query_scratchpad_md);
    if (status != dnnl_success)
        return ood_dnnl_fail(node, err, status, "the scratchpad");
    bool needed = ood_dnnl_layout_bytes(scratch) > 0;
    bool done = !needed || ood_builder_scratch(builder, ood_dnnl_layout_bytes(scratch), &operand, err);
    if (needed && done)
        ood_dnnl_argument(step, DNNL_ARG_SCRATCHPAD, &scratch, operand);
    ood_dnnl_layout_free(scratch);
    return done;
}

/* Kernel names are oneDNN's static strings; "ref" and "gemm" are what a convolution should not get (ONEDNN notes: up to a
 * thousand times slower). On success the step is taken. */
bool ood_dnnl_finish(struct ood_builder *builder, const struct ood_node *node, const_dnnl_primitive_desc_t pd,
                        struct ood_step *step, struct ood_error *err)
{
    if (!add_scratchpad(builder, node, pd, step, err))
        return false;
    const char *kernel = NULL;
    dnnl_status_t status = dnnl_primitive_desc_query(pd, dnnl_query_impl_info_str, 0, &kernel);
    if (status == dnnl_success)
        status = dnnl_primitive_create(&step->primitive, pd);
    if (status != dnnl_success)
        return ood_dnnl_fail(node, err, status, "making the primitive");
    step->node = node;
    step->value = node->outputs[0];
    step->kernel = kernel;
    step->slow = strstr(kernel, "ref") != NULL || strstr(kernel, "gemm") != NULL;
    return ood_builder_add(builder, step, err);
}

void ood_dnnl_window(const struct ood_window *window, dnnl_dims_t strides, dnnl_dims_t dilates, dnnl_dims_t begin,
                        dnnl_dims_t end)
{
    for (int i = 0; i < 2; i++) {
        strides[i] = (dnnl_dim_t)window->stride[i];
        dilates[i] = (dnnl_dim_t)window->dilation[i] - 1;         /* oneDNN counts the gaps */
        begin[i] = (dnnl_dim_t)window->pad_begin[i];
        end[i] = (dnnl_dim_t)window->pad_end[i];
    }
}

/* oneDNN wants the end padding that makes its size formula exact; rows and columns beyond it are never read. */
dnnl_dim_t ood_dnnl_exact_end(size_t size, size_t out, const struct ood_window *window, int i)
{
    size_t reach = (window->kernel[i] - 1) * window->dilation[i] + 1;
    return (dnnl_dim_t)((out - 1) * window->stride[i] + reach) - (dnnl_dim_t)(size + window->pad_begin[i]);
}

bool ood_builder_convolution_direct(struct ood_builder *builder, const struct ood_convolution_spec *spec,
                                    struct ood_error *err)
{
    const struct ood_node *node = spec->node;
    dnnl_dim_t n = (dnnl_dim_t)spec->batch, c = (dnnl_dim_t)spec->channels, o = (dnnl_dim_t)spec->out_channels;
    dnnl_dim_t g = (dnnl_dim_t)spec->groups, kh = (dnnl_dim_t)spec->window.kernel[0], kw = (dnnl_dim_t)spec->window.kernel[1];
    const dnnl_dims_t source_dims = { n, c, (dnnl_dim_t)spec->height, (dnnl_dim_t)spec->width };
    const dnnl_dims_t target_dims = { n, o, (dnnl_dim_t)spec->out_height, (dnnl_dim_t)spec->out_width };
    const dnnl_dims_t grouped = { g, o / g, c / g, kh, kw }, plain = { o, c, kh, kw }, bias_dims = { o };
    struct ood_dnnl_layout *source = NULL, *target = NULL, *weights = NULL, *any = NULL, *chosen = NULL, *bias = NULL;
    struct ood_dnnl_convolution operation = { .algorithm = dnnl_convolution_direct };
    dnnl_primitive_desc_t pd = NULL;
    struct ood_step step = { .flops = 2.0 * (double)n * (double)o * (double)(c / g) * (double)(kh * kw) *
                                      (double)spec->out_height * (double)spec->out_width };
    struct ood_operand weights_operand = { OOD_NONE, NULL }, bias_operand = { OOD_NONE, NULL };
    const int rank = g > 1 ? 5 : 4;
    bool done = false;
    dnnl_primitive_attr_t attributes = ood_dnnl_attributes(node, true, err);
    if (attributes == NULL)
        return false;
    dnnl_status_t status = ood_dnnl_layout_new(&source, 4, source_dims, dnnl_nhwc);
    if (status == dnnl_success)
        status = ood_dnnl_layout_new(&target, 4, target_dims, dnnl_nhwc);
    if (status == dnnl_success)
        status = ood_dnnl_layout_new(&weights, rank, g > 1 ? grouped : plain, g > 1 ? dnnl_goihw : dnnl_oihw);
    if (status == dnnl_success)
        status = ood_dnnl_layout_new(&any, rank, g > 1 ? grouped : plain, dnnl_format_tag_any);
    if (status == dnnl_success && spec->bias != NULL)
        status = ood_dnnl_layout_new(&bias, 1, bias_dims, dnnl_a);
    ood_dnnl_window(&spec->window, operation.strides, operation.dilates, operation.begin, operation.end);
    operation.end[0] = ood_dnnl_exact_end(spec->height, spec->out_height, &spec->window, 0);
    operation.end[1] = ood_dnnl_exact_end(spec->width, spec->out_width, &spec->window, 1);
    operation.source = source, operation.weights = any, operation.bias = bias, operation.destination = target;
    if (status == dnnl_success)
        status = ood_dnnl_convolution(&pd, &operation, attributes, builder->model->engine, NULL);
    if (status == dnnl_success)
        status = ood_dnnl_layout_query(&chosen, pd, dnnl_query_weights_md);
    if (status != dnnl_success) {
        ood_dnnl_fail(node, err, status, "convolution");
        goto out;
    }
    if (!prepare_weights(builder, node, weights, chosen, spec->weights->data, &weights_operand, err))
        goto out;
    ood_dnnl_argument(&step, DNNL_ARG_SRC, &source, spec->source);
    ood_dnnl_argument(&step, DNNL_ARG_WEIGHTS, &chosen, weights_operand);
    if (spec->bias != NULL) {
        struct bias context = { spec->bias, spec->out_channels * sizeof(float) };
        bias_operand.weights = ood_builder_weights(builder, node, "bias", context.bytes, fill_bias, &context, err);
        if (bias_operand.weights == NULL)
            goto out;
        ood_dnnl_argument(&step, DNNL_ARG_BIAS, &bias, bias_operand);
    }
    ood_dnnl_argument(&step, DNNL_ARG_DST, &target, spec->destination);
    done = ood_dnnl_finish(builder, node, pd, &step, err);
out:
    ood_step_clear(&step);                   /* empty where it was taken */
    ood_dnnl_layout_free(source);
    ood_dnnl_layout_free(target);
    ood_dnnl_layout_free(weights);
    ood_dnnl_layout_free(any);
    ood_dnnl_layout_free(chosen);
    ood_dnnl_layout_free(bias);
    dnnl_primitive_desc_destroy(pd);
    dnnl_primitive_attr_destroy(attributes);
    return done;
}

bool ood_builder_pooling(struct ood_builder *builder, const struct ood_pooling_spec *spec, struct ood_error *err)
{
    static const dnnl_alg_kind_t kinds[] = { [OOD_POOLING_MAX] = dnnl_pooling_max,
                                             [OOD_POOLING_AVERAGE] = dnnl_pooling_avg_exclude_padding,
                                             [OOD_POOLING_AVERAGE_PADDED] = dnnl_pooling_avg_include_padding };
    const struct ood_node *node = spec->node;
    const dnnl_dims_t source_dims = { (dnnl_dim_t)spec->batch, (dnnl_dim_t)spec->channels, (dnnl_dim_t)spec->height,
                                       (dnnl_dim_t)spec->width };
    const dnnl_dims_t target_dims = { (dnnl_dim_t)spec->batch, (dnnl_dim_t)spec->channels, (dnnl_dim_t)spec->out_height,
                                       (dnnl_dim_t)spec->out_width };
    const dnnl_dims_t kernel = { (dnnl_dim_t)spec->window.kernel[0], (dnnl_dim_t)spec->window.kernel[1] };
    struct ood_dnnl_layout *source = NULL, *target = NULL;
    dnnl_dims_t strides, dilates, begin, end;
    dnnl_primitive_desc_t pd = NULL;
    struct ood_step step = { .flops = 0 };
    bool done = false;
    dnnl_primitive_attr_t attributes = ood_dnnl_attributes(node, false, err);
    if (attributes == NULL)
        return false;
    ood_dnnl_window(&spec->window, strides, dilates, begin, end);
    end[0] = ood_dnnl_exact_end(spec->height, spec->out_height, &spec->window, 0);
    end[1] = ood_dnnl_exact_end(spec->width, spec->out_width, &spec->window, 1);
    dnnl_status_t status = ood_dnnl_layout_new(&source, 4, source_dims, dnnl_nhwc);
    if (status == dnnl_success)
        status = ood_dnnl_layout_new(&target, 4, target_dims, dnnl_nhwc);
    if (status == dnnl_success)
        status = make_pooling(&pd, kinds[spec->kind], source, target, strides, kernel, dilates, begin, end, attributes,
                              builder->model->engine);
    if (status != dnnl_success) {
        ood_dnnl_fail(node, err, status, "pooling");
        goto out;
    }
    ood_dnnl_argument(&step, DNNL_ARG_SRC, &source, spec->source);
    ood_dnnl_argument(&step, DNNL_ARG_DST, &target, spec->destination);
    done = ood_dnnl_finish(builder, node, pd, &step, err);
out:
    ood_step_clear(&step);                   /* empty where it was taken */
    ood_dnnl_layout_free(source);
    ood_dnnl_layout_free(target);
    dnnl_primitive_desc_destroy(pd);
    dnnl_primitive_attr_destroy(attributes);
    return done;
}
