/* oneDNN's convolutions in training: the forward pass with weights that are brought into the kernel's layout whenever they changed, and both
 * gradients. Channels last, as in inference. */
#include <string.h>

#include "plan/dnnl_internal.h"
#include "plan/tape_internal.h"

/* The layouts and the forward descriptor of a convolution, from its spec. */
struct made {
    struct ood_dnnl_layout *source, *target, *weights, *any, *bias, *chosen;
    struct ood_dnnl_convolution operation;
    dnnl_primitive_attr_t attributes;
    dnnl_primitive_desc_t forward, pd;
};

static void clear(struct made *m)
{
    ood_dnnl_layout_free(m->source);
    ood_dnnl_layout_free(m->target);
    ood_dnnl_layout_free(m->weights);
    ood_dnnl_layout_free(m->any);
    ood_dnnl_layout_free(m->bias);
    ood_dnnl_layout_free(m->chosen);
    dnnl_primitive_desc_destroy(m->forward);
    dnnl_primitive_desc_destroy(m->pd);
    dnnl_primitive_attr_destroy(m->attributes);
}

static bool make(struct ood_tape *tape, const struct ood_convolution_spec *spec, bool posts, bool bias, struct made *m, struct ood_error *err)
{
    const dnnl_dim_t n = (dnnl_dim_t)spec->batch, c = (dnnl_dim_t)spec->channels, o = (dnnl_dim_t)spec->out_channels, g = (dnnl_dim_t)spec->groups;
    const dnnl_dim_t kh = (dnnl_dim_t)spec->window.kernel[0], kw = (dnnl_dim_t)spec->window.kernel[1];
    const dnnl_dims_t source = { n, c, (dnnl_dim_t)spec->height, (dnnl_dim_t)spec->width };
    const dnnl_dims_t target = { n, o, (dnnl_dim_t)spec->out_height, (dnnl_dim_t)spec->out_width };
    const dnnl_dims_t grouped = { g, o / g, c / g, kh, kw }, plain = { o, c, kh, kw }, biases = { o };
    const int rank = g > 1 ? 5 : 4;
    m->operation.algorithm = dnnl_convolution_direct;
    m->attributes = ood_dnnl_attributes(spec->node, posts, err);
    if (m->attributes == NULL)
        return false;
    dnnl_status_t status = ood_dnnl_layout_new(&m->source, 4, source, dnnl_nhwc);
    if (status == dnnl_success)
        status = ood_dnnl_layout_new(&m->target, 4, target, dnnl_nhwc);
    if (status == dnnl_success)
        status = ood_dnnl_layout_new(&m->weights, rank, g > 1 ? grouped : plain, g > 1 ? dnnl_goihw : dnnl_oihw);
    if (status == dnnl_success)
        status = ood_dnnl_layout_new(&m->any, rank, g > 1 ? grouped : plain, dnnl_format_tag_any);
    if (status == dnnl_success && bias)
        status = ood_dnnl_layout_new(&m->bias, 1, biases, dnnl_a);
    ood_dnnl_window(&spec->window, m->operation.strides, m->operation.dilates, m->operation.begin, m->operation.end);
    m->operation.end[0] = ood_dnnl_exact_end(spec->height, spec->out_height, &spec->window, 0);
    m->operation.end[1] = ood_dnnl_exact_end(spec->width, spec->out_width, &spec->window, 1);
    m->operation.source = m->source;
    m->operation.weights = m->any;
    m->operation.bias = m->bias;
    m->operation.destination = m->target;
    if (status == dnnl_success)
        status = ood_dnnl_convolution(&m->forward, &m->operation, m->attributes, tape->model->engine, NULL);
    return status == dnnl_success || ood_dnnl_fail(spec->node, err, status, "convolution");
}

static double flops_of(const struct ood_convolution_spec *spec)
{
    return 2.0 * (double)spec->batch * (double)spec->out_channels * (double)(spec->channels / spec->groups) *
           (double)(spec->window.kernel[0] * spec->window.kernel[1] * spec->out_height * spec->out_width);
}

/* A reorder as a step of the pass being built, or of prepare(). Takes both layouts. */
static bool add_reorder(struct ood_tape *tape, const struct ood_node *node, struct ood_dnnl_layout **from, struct ood_operand source,
                        struct ood_dnnl_layout **to, struct ood_operand target, bool add, bool prepare, struct ood_error *err)
{
    dnnl_primitive_desc_t pd = NULL;
    struct ood_step step = { .node = node, .kernel = "onednn:reorder", .value = OOD_NONE };
    dnnl_status_t status = ood_dnnl_reorder(&pd, *from, *to, add, tape->model->engine);
    if (status == dnnl_success)
        status = dnnl_primitive_create(&step.primitive, pd);
    dnnl_primitive_desc_destroy(pd);
    if (status != dnnl_success)
        return ood_dnnl_fail(node, err, status, "reordering the weights");
    ood_dnnl_argument(&step, DNNL_ARG_FROM, from, source);
    ood_dnnl_argument(&step, DNNL_ARG_TO, to, target);
    const bool done = prepare ? ood_tape_add_prepare(tape, &step, err) : ood_builder_add(&tape->builder, &step, err);
    ood_step_clear(&step);
    return done;
}

/* The weights in the layout that `pd` asks for, made again by prepare(). */
static bool prepared_weights(struct ood_tape *tape, const struct ood_node *node, struct made *m, const_dnnl_primitive_desc_t pd,
                             struct ood_operand weights, struct ood_operand *out, struct ood_error *err)
{
    struct ood_dnnl_layout *to = NULL;
    dnnl_status_t status = ood_dnnl_layout_query(&m->chosen, pd, dnnl_query_weights_md);
    if (status == dnnl_success)
        status = ood_dnnl_layout_query(&to, pd, dnnl_query_weights_md);
    if (status != dnnl_success)
        return ood_dnnl_fail(node, err, status, "the weights' layout");
    const bool done = ood_tape_shared(tape, node, NULL, ood_dnnl_layout_bytes(to), out, err) &&
                      add_reorder(tape, node, &m->weights, weights, &to, *out, false, true, err);
    ood_dnnl_layout_free(to);
    return done;
}

bool ood_tape_convolution(struct ood_tape *tape, const struct ood_convolution_spec *spec, struct ood_operand weights,
                          const struct ood_operand *bias, struct ood_error *err)
{
    struct made m = { .source = NULL };
    struct ood_step step = { .flops = flops_of(spec) };
    struct ood_operand prepared;
    bool done = make(tape, spec, true, bias != NULL, &m, err) && prepared_weights(tape, spec->node, &m, m.forward, weights, &prepared, err);
    if (done) {
        ood_dnnl_argument(&step, DNNL_ARG_SRC, &m.source, spec->source);
        ood_dnnl_argument(&step, DNNL_ARG_WEIGHTS, &m.chosen, prepared);
        if (bias != NULL)
            ood_dnnl_argument(&step, DNNL_ARG_BIAS, &m.bias, *bias);
        ood_dnnl_argument(&step, DNNL_ARG_DST, &m.target, spec->destination);
        done = ood_dnnl_finish(&tape->builder, spec->node, m.forward, &step, err);
    }
    ood_step_clear(&step);
    clear(&m);
    return done;
}

bool ood_tape_convolution_data(struct ood_tape *tape, const struct ood_convolution_spec *spec, struct ood_operand weights, struct ood_error *err)
{
    struct made m = { .source = NULL };
    struct ood_step step = { .flops = flops_of(spec) };
    struct ood_operand prepared;
    bool done = make(tape, spec, false, false, &m, err);
    if (done) {
        const dnnl_status_t status = ood_dnnl_convolution_backward(&m.pd, &m.operation, false, m.attributes, tape->model->engine, m.forward);
        done = status == dnnl_success || ood_dnnl_fail(spec->node, err, status, "the gradient of a convolution's data");
    }
    done = done && prepared_weights(tape, spec->node, &m, m.pd, weights, &prepared, err);
    if (done) {
        ood_dnnl_argument(&step, DNNL_ARG_DIFF_SRC, &m.source, spec->source);
        ood_dnnl_argument(&step, DNNL_ARG_WEIGHTS, &m.chosen, prepared);
        ood_dnnl_argument(&step, DNNL_ARG_DIFF_DST, &m.target, spec->destination);
        done = ood_dnnl_finish(&tape->builder, spec->node, m.pd, &step, err);
    }
    ood_step_clear(&step);
    clear(&m);
    return done;
}

bool ood_tape_convolution_weights(struct ood_tape *tape, const struct ood_convolution_spec *spec, struct ood_operand gradient, bool add,
                                  struct ood_error *err)
{
    struct made m = { .source = NULL };
    struct ood_step step = { .flops = flops_of(spec) };
    struct ood_dnnl_layout *from = NULL;
    struct ood_operand scratch;
    bool done = make(tape, spec, false, false, &m, err);
    dnnl_status_t status = dnnl_success;
    if (done)
        status = ood_dnnl_convolution_backward(&m.pd, &m.operation, true, m.attributes, tape->model->engine, m.forward);
    if (done && status == dnnl_success)
        status = ood_dnnl_layout_query(&m.chosen, m.pd, dnnl_query_diff_weights_md);
    if (done && status == dnnl_success)
        status = ood_dnnl_layout_query(&from, m.pd, dnnl_query_diff_weights_md);
    done = done && (status == dnnl_success || ood_dnnl_fail(spec->node, err, status, "the gradient of a convolution's weights")) &&
           ood_builder_scratch(&tape->builder, ood_dnnl_layout_bytes(from), &scratch, err);
    if (done) {
        ood_dnnl_argument(&step, DNNL_ARG_SRC, &m.source, spec->source);
        ood_dnnl_argument(&step, DNNL_ARG_DIFF_WEIGHTS, &m.chosen, scratch);
        ood_dnnl_argument(&step, DNNL_ARG_DIFF_DST, &m.target, spec->destination);
        done = ood_dnnl_finish(&tape->builder, spec->node, m.pd, &step, err) &&
               add_reorder(tape, spec->node, &from, scratch, &m.weights, gradient, add, false, err);
    }
    ood_step_clear(&step);
    ood_dnnl_layout_free(from);
    clear(&m);
    return done;
}
