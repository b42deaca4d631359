/* inspect --json: all that the text shows, as one JSON value. A bundle's members are named as in its model.json. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "daemon/oodctl/inspect.h"
#include "daemon/oodctl/json_members.h"

static void bool_member(struct api_writer *w, const char *key, bool value)
{
    name(w, key);
    api_write_bool(w, value);
}

static void floats_member(struct api_writer *w, const char *key, const float *values, size_t count)
{
    name(w, key);
    api_write(w, "[");
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            api_write(w, ",");
        api_write_float(w, values[i]);
    }
    api_write(w, "]");
}

/* Numbers, and "N", "2N", … for what depends on the batch. */
static void shape_member(struct api_writer *w, const char *key, const struct ood_shape *shape)
{
    name(w, key);
    api_write(w, "[");
    for (size_t i = 0; i < shape->rank; i++) {
        struct ood_shape one = { .rank = 1, .dims = { shape->dims[i] } };
        char text[OOD_SHAPE_TEXT];
        if (i > 0)
            api_write(w, ",");
        if (ood_dim_is_batch(shape->dims[i]))
            api_write_string(w, ood_shape_print(&one, text));
        else
            api_write_text(w, ood_shape_print(&one, text));
    }
    api_write(w, "]");
}

/* ---- the bundle ---- */

static void write_input(struct api_writer *w, const struct ood_bundle *bundle)
{
    const struct ood_preprocess *p = &bundle->input;
    size_t channels = p->channels == OOD_CHANNELS_GREY ? 1 : 3;
    name(w, "input");
    api_write(w, "{");
    text_member(w, "tensor", bundle->input_tensor);
    size_member(w, "width", p->width);
    size_member(w, "height", p->height);
    text_member(w, "channels", ood_channels_name(p->channels));
    text_member(w, "layout", ood_input_layout_name(p->layout));
    text_member(w, "resize", ood_resize_name(p->resize));
    size_member(w, "resize_to", p->resize_to);
    text_member(w, "filter", ood_filter_name(p->filter));
    name(w, "fill");
    api_write(w, "[");
    for (size_t i = 0; i < 3; i++) {
        if (i > 0)
            api_write(w, ",");
        api_write_size(w, p->fill[i]);
    }
    api_write(w, "]");
    floats_member(w, "mean", p->mean, channels);
    floats_member(w, "std", p->std, channels);
    name(w, "scale");
    api_write_float(w, p->scale);
    api_write(w, "}");
}

static void write_judge(struct api_writer *w, const struct ood_bundle *bundle)
{
    const struct ood_judge *judge = &bundle->judge;
    name(w, "score");
    api_write(w, "{");
    number_member(w, "temperature", judge->temperature);
    text_member(w, "distance", judge->distance == OOD_DISTANCE_PREDICTED ? "predicted" : "nearest");
    number_member(w, "beta", judge->beta);
    text_member(w, "beta_from", ood_beta_from_name(bundle->beta_from));
    number_member(w, "energy_mean", judge->energy_mean);
    number_member(w, "energy_std", judge->energy_std);
    number_member(w, "representation_mean", judge->representation_mean);
    number_member(w, "representation_std", judge->representation_std);
    api_write(w, "}");
    name(w, "decision");
    api_write(w, "{");
    number_member(w, "alpha", judge->alpha);
    number_member(w, "alpha_review", judge->alpha_review);
    number_member(w, "threshold", judge->threshold);
    number_member(w, "review_threshold", judge->review_threshold);
    bool_member(w, "per_class", judge->per_class);
    size_member(w, "calibration_items", judge->calibration_count);
    api_write(w, "}");
}

static void write_bundle(struct api_writer *w, const struct ood_bundle *bundle)
{
    name(w, "bundle");
    if (bundle == NULL) {
        api_write(w, "null");
        return;
    }
    api_write(w, "{");
    text_member(w, "name", bundle->name);
    text_member(w, "version", bundle->version);
    name(w, "labels");
    api_write(w, "[");
    for (size_t i = 0; i < bundle->classes; i++) {
        if (i > 0)
            api_write(w, ",");
        api_write_string(w, bundle->labels[i]);
    }
    api_write(w, "]");
    write_input(w, bundle);
    write_judge(w, bundle);
    name(w, "engine");
    api_write(w, "{");
    text_member(w, "convolution", bundle->convolution == OOD_CONVOLUTION_WINOGRAD ? "winograd" : "direct");
    text_member(w, "checked_against", isnan(bundle->largest_difference) ? NULL : "direct");
    number_member(w, "largest_difference", bundle->largest_difference);
    api_write(w, "}");
    name(w, "selftest");
    api_write(w, "{");
    size_member(w, "items", bundle->selftest_count);
    text_member(w, "isa", bundle->selftest_isa);
    api_write(w, "}");
    name(w, "provenance");
    api_write_text(w, bundle->provenance);   /* JSON already, checked when it was read */
    api_write(w, "}");
}

/* ---- the network ---- */

static void write_network(struct api_writer *w, const struct inspection *in)
{
    char hex[OOD_HASH_HEX];
    ood_sha256_hex(in->network.onnx->data, in->network.onnx->size, hex);
    name(w, "network");
    api_write(w, "{");
    size_member(w, "bytes", in->network.onnx->size);
    text_member(w, "sha256", hex);
    size_member(w, "opset", (size_t)in->graph->opset);
    text_member(w, "producer", in->graph->producer);
    size_member(w, "parameters", ood_model_parameters(in->model));
    name(w, "operators");
    api_write(w, "{");
    for (size_t i = 0; i < in->kinds; i++)
        size_member(w, in->operators[i].name, in->operators[i].count);
    api_write(w, "}}");
}

/* shape NULL: only a run can tell. */
static void write_end(struct api_writer *w, const char *tensor, enum ood_type type, const struct ood_shape *shape)
{
    api_write(w, "{");
    text_member(w, "name", tensor);
    text_member(w, "type", ood_type_name(type));
    if (shape != NULL) {
        shape_member(w, "shape", shape);
    } else {
        name(w, "shape");
        api_write(w, "null");
    }
    api_write(w, "}");
}

static void write_ends(struct api_writer *w, const struct inspection *in)
{
    const struct ood_model *model = in->model;
    bool tapped = in->untapped.code == OOD_OK;
    name(w, "inputs");
    api_write(w, "[");
    for (size_t i = 0; i < ood_model_input_count(model); i++) {
        struct ood_shape shape = ood_model_input_shape(model, i);
        if (i > 0)
            api_write(w, ",");
        write_end(w, ood_model_input_name(model, i), ood_model_input_type(model, i), &shape);
    }
    api_write(w, "]");
    name(w, "outputs");
    api_write(w, "[");
    for (size_t i = 0; i < ood_model_output_count(model); i++) {
        const struct ood_shape shape = ood_model_output_shape(model, i);
        if (i > 0)
            api_write(w, ",");
        if (shape.rank == OOD_RANK_FREE)
            write_end(w, ood_model_output_name(model, i), ood_run_output_type(in->run, in->stages[0].batch, i), NULL);
        else
            write_end(w, ood_model_output_name(model, i), ood_model_output_type(model, i), &shape);
    }
    api_write(w, "]");
    name(w, "taps");
    if (tapped) {
        api_write(w, "{");
        text_member(w, "logits", ood_model_output_name(model, 0));
        text_member(w, "features", ood_model_output_name(model, 1));
        api_write(w, "}");
    } else
        api_write(w, "null");
    text_member(w, "untapped", tapped ? NULL : in->untapped.message);
}

/* ---- the plan ---- */

static void write_step(struct api_writer *w, const struct ood_step_info *step, const double *seconds)
{
    api_write(w, "{");
    text_member(w, "node", step->node);
    text_member(w, "operator", step->op);
    text_member(w, "kernel", step->kernel);
    shape_member(w, "output", &step->output);
    number_member(w, "flops", step->flops);
    size_member(w, "bytes", step->bytes);
    bool_member(w, "slow", step->slow);
    if (seconds != NULL)
        number_member(w, "seconds", *seconds);
    api_write(w, "}");
}

static void write_plan(struct api_writer *w, const struct inspect_stage *stage)
{
    const struct ood_model *model = stage->model;
    double flops = 0, seconds = 0;
    api_write(w, "{");
    size_member(w, "batch", stage->batch);
    size_member(w, "arena_bytes", ood_model_arena_bytes(model, stage->batch));
    size_member(w, "live_bytes", ood_model_live_bytes(model, stage->batch));
    size_member(w, "weight_bytes", ood_model_weight_bytes(model));
    name(w, "steps");
    api_write(w, "[");
    for (size_t i = 0; i < ood_model_step_count(model, stage->batch); i++) {
        struct ood_step_info step = ood_model_step(model, stage->batch, i);
        if (i > 0)
            api_write(w, ",");
        write_step(w, &step, stage->seconds != NULL ? &stage->seconds[i] : NULL);
        flops += step.flops;
        seconds += stage->seconds != NULL ? stage->seconds[i] : 0;
    }
    api_write(w, "]");
    number_member(w, "flops", flops);
    if (stage->seconds != NULL)
        number_member(w, "seconds", seconds);
    api_write(w, "}");
}

/* The plan, or the first stage's, and those of the stages behind it. */
static void write_plans(struct api_writer *w, const struct inspection *in)
{
    name(w, "plan");
    write_plan(w, &in->stages[0]);
    name(w, "later_stages");
    api_write(w, "[");
    for (size_t i = 1; i < in->stage_count; i++) {
        if (i > 1)
            api_write(w, ",");
        write_plan(w, &in->stages[i]);
    }
    api_write(w, "]");
}

bool inspect_json(const struct inspection *in, struct ood_error *err)
{
    struct api_writer w = { 0 };
    char machine[256];
    ood_engine_description(machine, sizeof machine);
    api_write(&w, "{");
    write_bundle(&w, in->network.bundle);
    write_network(&w, in);
    write_ends(&w, in);
    text_member(&w, "machine", machine);
    write_plans(&w, in);
    api_write(&w, "}\n");
    bool done = !w.failed || ood_fail(err, OOD_OUT_OF_MEMORY, "out of memory");
    if (done)
        fwrite(w.data, 1, w.size, stdout);
    ood_free(w.data);
    return done;
}
