/* oneDNN 2.x: primitives made from shapes, weights brought into the layout the kernel asks for, kernels told by name. */
#include "plan/dnnl.h"

#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "plan/builder_internal.h"

/* ---- who it is ---- */

static const struct { dnnl_cpu_isa_t isa; const char *word, *text; } isas[] = {
    { dnnl_cpu_isa_sse41, "sse41", "SSE4.1" },
    { dnnl_cpu_isa_avx, "avx", "AVX" },
    { dnnl_cpu_isa_avx2, "avx2", "AVX2" },
    { dnnl_cpu_isa_avx2_vnni, "avx2_vnni", "AVX2 with VNNI" },
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

static bool dnnl_fail(const struct ood_node *node, struct ood_error *err, dnnl_status_t status, const char *what)
{
    static const char *const words[] = { "success", "out of memory", "invalid arguments", "unimplemented", "iterator ends",
                                         "runtime error", "not required" };
    enum ood_code code = status == dnnl_out_of_memory ? OOD_OUT_OF_MEMORY : OOD_UNSUPPORTED;
    return ood_node_fail(node, err, code, "oneDNN: %s: %s", what,
                         (size_t)status < sizeof words / sizeof words[0] ? words[status] : "unknown status");
}

/* ---- descriptors ---- */

static dnnl_status_t describe(dnnl_memory_desc_t *md, int rank, const dnnl_dims_t dims, dnnl_format_tag_t tag)
{
    return dnnl_memory_desc_init_by_tag(md, rank, dims, dnnl_f32, tag);
}

static const dnnl_memory_desc_t *queried(const_dnnl_primitive_desc_t pd, dnnl_query_t what)
{
    return dnnl_primitive_desc_query_md(pd, what, 0);
}

/* ---- weights ---- */

struct reordered_weights {
    dnnl_engine_t engine;
    const dnnl_memory_desc_t *from, *to;
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
    dnnl_status_t status = dnnl_reorder_primitive_desc_create(&pd, w->from, w->engine, w->to, w->engine, NULL);
    union { const void *data; void *mutable; } source = { w->data };      /* oneDNN only reads it */
    if (status == dnnl_success)
        status = dnnl_primitive_create(&reorder, pd);
    if (status == dnnl_success)
        status = dnnl_memory_create(&from, w->from, w->engine, source.mutable);
    if (status == dnnl_success)
        status = dnnl_memory_create(&to, w->to, w->engine, memory);
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
    return status == dnnl_success ? true : dnnl_fail(w->node, err, status, "reordering the weights");
}

/* One copy for each distinct layout: kernels of several batch sizes that ask for the same share it. */
static bool prepare_weights(struct ood_builder *builder, const struct ood_node *node, const dnnl_memory_desc_t *from,
                            const dnnl_memory_desc_t *to, const void *data, struct ood_operand *out, struct ood_error *err)
{
    char key[OOD_HASH_HEX];
    ood_sha256_hex(to, sizeof *to, key);
    struct reordered_weights context = { builder->model->engine, from, to, data, node };
    const void *memory = ood_builder_weights(builder, node, key, dnnl_memory_desc_get_size(to), fill_weights, &context, err);
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
            status = dnnl_post_ops_append_eltwise(posts, 1, dnnl_eltwise_relu, 0, 0);
            break;
        case OOD_POST_LEAKY_RELU:
            status = dnnl_post_ops_append_eltwise(posts, 1, dnnl_eltwise_relu, post->alpha, 0);
            break;
        case OOD_POST_CLIP:
            status = dnnl_post_ops_append_eltwise(posts, 1, dnnl_eltwise_clip, post->alpha, post->beta);
            break;
        case OOD_POST_SIGMOID:
            status = dnnl_post_ops_append_eltwise(posts, 1, dnnl_eltwise_logistic, 0, 0);
            break;
        case OOD_POST_SUM:
            status = dnnl_post_ops_append_sum(posts, 1);
            break;
        }
        if (status != dnnl_success)
            return dnnl_fail(node, err, status, "a fused operation");
    }
    return true;
}

/* User scratchpad mode and the node's posts. NULL on failure. */
static dnnl_primitive_attr_t make_attributes(const struct ood_node *node, bool with_posts, struct ood_error *err)
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
        dnnl_fail(node, err, status, "attributes");
    else if (!with_posts || append_posts(node, posts, err)) {
        status = dnnl_primitive_attr_set_post_ops(attributes, posts);
        done = status == dnnl_success ? true : dnnl_fail(node, err, status, "attributes");
    }
    dnnl_post_ops_destroy(posts);
    if (!done) {
        dnnl_primitive_attr_destroy(attributes);
        attributes = NULL;
    }
    return attributes;
}

/* ---- steps ---- */

static void add_argument(struct ood_step *step, int argument, const dnnl_memory_desc_t *md, struct ood_operand operand)
{
    step->dnnl_arguments[step->operand_count] = argument;
    step->descriptors[step->operand_count] = *md;
    step->operands[step->operand_count++] = operand;
    step->bytes += argument == DNNL_ARG_SCRATCHPAD ? 0 : dnnl_memory_desc_get_size(md);
}

/* Kernel names are oneDNN's static strings; "ref" and "gemm" are what a convolution should not get (ONEDNN notes: up to a
 * thousand times slower). */
static bool finish_step(struct ood_builder *builder, const struct ood_node *node, const_dnnl_primitive_desc_t pd,
                        struct ood_step *step, struct ood_error *err)
{
    const dnnl_memory_desc_t *scratch = queried(pd, dnnl_query_scratchpad_md);
    if (dnnl_memory_desc_get_size(scratch) > 0) {
        struct ood_operand operand;
        if (!ood_builder_scratch(builder, dnnl_memory_desc_get_size(scratch), &operand, err))
            return false;
        add_argument(step, DNNL_ARG_SCRATCHPAD, scratch, operand);
    }
    const char *kernel = NULL;
    dnnl_status_t status = dnnl_primitive_desc_query(pd, dnnl_query_impl_info_str, 0, &kernel);
    if (status == dnnl_success)
        status = dnnl_primitive_create(&step->primitive, pd);
    if (status != dnnl_success)
        return dnnl_fail(node, err, status, "making the primitive");
    step->node = node;
    step->value = node->outputs[0];
    step->kernel = kernel;
    step->slow = strstr(kernel, "ref") != NULL || strstr(kernel, "gemm") != NULL;
    return ood_builder_add(builder, step, err);
}

static void window_dims(const struct ood_window *window, dnnl_dims_t strides, dnnl_dims_t dilates, dnnl_dims_t begin,
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
static dnnl_dim_t exact_end(size_t size, size_t out, const struct ood_window *window, int i)
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
    dnnl_memory_desc_t source, target, weights, any_weights, bias;
    dnnl_dims_t strides, dilates, begin, end;
    dnnl_primitive_desc_t pd = NULL;
    struct ood_step step = { .flops = 2.0 * (double)n * (double)o * (double)(c / g) * (double)(kh * kw) *
                                      (double)spec->out_height * (double)spec->out_width };
    struct ood_operand weights_operand, bias_operand = { OOD_NONE, NULL };
    bool done = false;
    dnnl_primitive_attr_t attributes = make_attributes(node, true, err);
    if (attributes == NULL)
        return false;
    dnnl_status_t status = describe(&source, 4, source_dims, dnnl_nhwc);
    if (status == dnnl_success)
        status = describe(&target, 4, target_dims, dnnl_nhwc);
    if (status == dnnl_success)
        status = g > 1 ? describe(&weights, 5, grouped, dnnl_goihw) : describe(&weights, 4, plain, dnnl_oihw);
    if (status == dnnl_success)
        status = g > 1 ? describe(&any_weights, 5, grouped, dnnl_format_tag_any) : describe(&any_weights, 4, plain, dnnl_format_tag_any);
    if (status == dnnl_success)
        status = describe(&bias, 1, bias_dims, dnnl_a);
    window_dims(&spec->window, strides, dilates, begin, end);
    end[0] = exact_end(spec->height, spec->out_height, &spec->window, 0);
    end[1] = exact_end(spec->width, spec->out_width, &spec->window, 1);
    if (status == dnnl_success) {
        dnnl_convolution_desc_t operation;
        status = dnnl_dilated_convolution_forward_desc_init(&operation, dnnl_forward_inference, dnnl_convolution_direct, &source,
                                                            &any_weights, spec->bias != NULL ? &bias : NULL, &target, strides,
                                                            dilates, begin, end);
        if (status == dnnl_success)
            status = dnnl_primitive_desc_create(&pd, &operation, attributes, builder->model->engine, NULL);
    }
    if (status != dnnl_success) {
        dnnl_fail(node, err, status, "convolution");
        goto out;
    }
    if (!prepare_weights(builder, node, &weights, queried(pd, dnnl_query_weights_md), spec->weights->data, &weights_operand, err))
        goto out;
    add_argument(&step, DNNL_ARG_SRC, &source, spec->source);
    add_argument(&step, DNNL_ARG_WEIGHTS, queried(pd, dnnl_query_weights_md), weights_operand);
    if (spec->bias != NULL) {
        struct bias context = { spec->bias, spec->out_channels * sizeof(float) };
        bias_operand.weights = ood_builder_weights(builder, node, "bias", context.bytes, fill_bias, &context, err);
        if (bias_operand.weights == NULL)
            goto out;
        add_argument(&step, DNNL_ARG_BIAS, &bias, bias_operand);
    }
    add_argument(&step, DNNL_ARG_DST, &target, spec->destination);
    done = finish_step(builder, node, pd, &step, err);
out:
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
    dnnl_memory_desc_t source, target;
    dnnl_dims_t strides, dilates, begin, end;
    dnnl_primitive_desc_t pd = NULL;
    struct ood_step step = { .flops = 0 };
    bool done = false;
    dnnl_primitive_attr_t attributes = make_attributes(node, false, err);
    if (attributes == NULL)
        return false;
    window_dims(&spec->window, strides, dilates, begin, end);
    end[0] = exact_end(spec->height, spec->out_height, &spec->window, 0);
    end[1] = exact_end(spec->width, spec->out_width, &spec->window, 1);
    dnnl_status_t status = describe(&source, 4, source_dims, dnnl_nhwc);
    if (status == dnnl_success)
        status = describe(&target, 4, target_dims, dnnl_nhwc);
    if (status == dnnl_success) {
        dnnl_pooling_v2_desc_t operation;
        status = dnnl_pooling_v2_forward_desc_init(&operation, dnnl_forward_inference, kinds[spec->kind], &source, &target,
                                                   strides, kernel, dilates, begin, end);
        if (status == dnnl_success)
            status = dnnl_primitive_desc_create(&pd, &operation, attributes, builder->model->engine, NULL);
    }
    if (status != dnnl_success) {
        dnnl_fail(node, err, status, "pooling");
        goto out;
    }
    add_argument(&step, DNNL_ARG_SRC, &source, spec->source);
    add_argument(&step, DNNL_ARG_DST, &target, spec->destination);
    done = finish_step(builder, node, pd, &step, err);
out:
    dnnl_primitive_desc_destroy(pd);
    dnnl_primitive_attr_destroy(attributes);
    return done;
}
