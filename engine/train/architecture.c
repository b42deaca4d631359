/* Residual networks from scratch: their layers one by one, names as PyTorch's exports have them. */
#include "train/architecture.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/number.h"
#include "base/random.h"
#include "graph/write.h"

#define NAME 96                              /* the longest name made here, and its end */
#define DEPTH_MOST 1202                      /* of He et al. */
#define WIDTH_MOST 64
#define CLASSES_MOST 100000

/* ---- the text ---- */

static bool parse_number(const char *text, size_t length, size_t most, size_t *out)
{
    char copy[24];
    if (length == 0 || length >= sizeof copy)
        return false;
    memcpy(copy, text, length);
    copy[length] = '\0';
    return ood_parse_size(copy, out) && *out >= 1 && *out <= most;
}

static bool parse_sizes(const char *text, size_t length, struct ood_architecture *out)
{
    const char wide[] = "wrn-", plain[] = "resnet-";
    out->width = 1;
    if (length > sizeof wide - 1 && strncmp(text, wide, sizeof wide - 1) == 0) {
        const char *depth = text + sizeof wide - 1, *dash = memchr(depth, '-', length - (sizeof wide - 1));
        out->family = OOD_WIDE_RESNET;
        return dash != NULL && parse_number(depth, (size_t)(dash - depth), DEPTH_MOST, &out->depth) &&
               parse_number(dash + 1, length - (size_t)(dash + 1 - text), WIDTH_MOST, &out->width) && out->depth >= 10 &&
               (out->depth - 4) % 6 == 0;
    }
    if (length <= sizeof plain - 1 || strncmp(text, plain, sizeof plain - 1) != 0 ||
        !parse_number(text + sizeof plain - 1, length - (sizeof plain - 1), DEPTH_MOST, &out->depth))
        return false;
    out->family = out->depth == 9 ? OOD_RESNET_9 : OOD_RESNET;
    return out->depth == 9 || (out->depth >= 8 && (out->depth - 2) % 6 == 0);
}

bool ood_architecture_parse(const char *text, struct ood_architecture *out, struct ood_error *err)
{
    struct ood_architecture parsed = { 0 };
    size_t length = strcspn(text, ":");
    if (!parse_sizes(text, length, &parsed))
        return ood_fail(err, OOD_INVALID, "architecture %s: expected wrn-D-K (D = 10, 16, 22, 28, 40, …), resnet-D (D = 20, 32, 44, 56, …) or "
                        "resnet-9, each perhaps with :CLASSES behind it", text);
    if (text[length] == ':' && (!parse_number(text + length + 1, strlen(text + length + 1), CLASSES_MOST, &parsed.classes) || parsed.classes < 2))
        return ood_fail(err, OOD_INVALID, "architecture %s: expected 2 to %d classes behind the colon", text, CLASSES_MOST);
    *out = parsed;
    return true;
}

/* ---- layers: each appends its nodes and numbers, and makes the name of its output ---- */

struct making {
    struct ood_onnx_builder *builder;
    struct ood_random random;
    struct ood_error *err;
    bool failed;                             /* memory for numbers; the builder keeps its own errors */
};

static void name(char out[NAME], const char *stem, const char *layer)
{
    snprintf(out, NAME, "%.60s%s%.30s", stem, stem[0] != '\0' ? "." : "", layer);       /* none made here is as long */
}

/* count numbers of this deviation around 0, or with deviation 0 all `constant`. */
static void numbers(struct making *making, const char *stem, const char *what, const struct ood_shape *shape, double deviation, float constant)
{
    char full[NAME];
    size_t count;
    name(full, stem, what);
    float *values = ood_shape_count(shape, &count) ? ood_new_array(float, count, making->err) : NULL;
    if (values == NULL) {
        making->failed = true;
        return;
    }
    for (size_t i = 0; i < count; i++)
        values[i] = deviation > 0 ? (float)(deviation * ood_random_normal(&making->random)) : constant;
    ood_onnx_initialiser(making->builder, full, shape, values);
    ood_free(values);
}

/* kernel 3 (pad 1) or 1 (no pad), no bias. */
static void convolution(struct making *making, const char *stem, const char *from, size_t in, size_t out, size_t kernel, size_t stride, char to[NAME])
{
    int64_t side = (int64_t)kernel, pad = (int64_t)(kernel / 2), step = (int64_t)stride;
    struct ood_shape shape = ood_shape_of(4, (int64_t)out, (int64_t)in, side, side);
    const struct ood_onnx_attribute attributes[] = {
        { .name = "kernel_shape", .ints = (int64_t[]){ side, side }, .count = 2 },
        { .name = "pads", .ints = (int64_t[]){ pad, pad, pad, pad }, .count = 4 },
        { .name = "strides", .ints = (int64_t[]){ step, step }, .count = 2 },
    };
    char weight[NAME];
    numbers(making, stem, "weight", &shape, sqrt(2.0 / (double)(out * kernel * kernel)), 0);
    name(weight, stem, "weight");
    name(to, stem, "output");
    ood_onnx_node(making->builder, "Conv", (const char *[]){ from, weight }, 2, to, attributes, 3);
}

static void batch_norm(struct making *making, const char *stem, const char *from, size_t channels, char to[NAME])
{
    static const char *const parts[] = { "weight", "bias", "running_mean", "running_var" };
    const struct ood_onnx_attribute attributes[] = { { .name = "epsilon", .f = 1e-5f, .real = true }, { .name = "momentum", .f = 0.9f, .real = true } };
    struct ood_shape shape = ood_shape_of(1, (int64_t)channels);
    char names[4][NAME];
    for (size_t i = 0; i < 4; i++) {
        numbers(making, stem, parts[i], &shape, 0, i % 3 == 0 ? 1 : 0);
        name(names[i], stem, parts[i]);
    }
    name(to, stem, "output");
    ood_onnx_node(making->builder, "BatchNormalization", (const char *[]){ from, names[0], names[1], names[2], names[3] }, 5, to, attributes, 2);
}

static void plain(struct making *making, const char *op, const char *stem, const char *layer, const char *from, const char *other, char to[NAME])
{
    name(to, stem, layer);
    ood_onnx_node(making->builder, op, (const char *[]){ from, other }, other != NULL ? 2 : 1, to, NULL, 0);
}

static void relu(struct making *making, const char *stem, const char *layer, const char *from, char to[NAME])
{
    plain(making, "Relu", stem, layer, from, NULL, to);
}

static void part(char out[NAME], const char *stem, const char *layer)
{
    name(out, stem, layer);
}

/* Pool, features, logits. */
static void head(struct making *making, const char *from, size_t features, size_t classes)
{
    char pooled[NAME], flat[NAME];
    struct ood_shape weight = ood_shape_of(2, (int64_t)classes, (int64_t)features), bias = ood_shape_of(1, (int64_t)classes);
    const struct ood_onnx_attribute attributes[] = { { .name = "transB", .i = 1 } };
    plain(making, "GlobalAveragePool", "", "pool", from, NULL, pooled);
    plain(making, "Flatten", "", "features", pooled, NULL, flat);
    numbers(making, "fc", "weight", &weight, sqrt(1.0 / (double)features), 0);
    numbers(making, "fc", "bias", &bias, 0, 0);
    ood_onnx_node(making->builder, "Gemm", (const char *[]){ flat, "fc.weight", "fc.bias" }, 3, "logits", attributes, 1);
}

/* ---- WideResNet ---- */

/* Batch norm and ReLU before each convolution; where the shape changes the shortcut reads behind the first ReLU. x becomes the output. */
static void wide_block(struct making *making, size_t index, size_t in, size_t out, size_t stride, char x[NAME])
{
    char stem[NAME], layer[NAME], a[NAME], b[NAME], shortcut[NAME];
    snprintf(stem, sizeof stem, "blocks.%zu", index);
    part(layer, stem, "bn1");
    batch_norm(making, layer, x, in, a);
    relu(making, stem, "relu1", a, b);
    memcpy(shortcut, x, NAME);
    if (in != out || stride != 1) {
        part(layer, stem, "short");
        convolution(making, layer, b, in, out, 1, stride, shortcut);
    }
    part(layer, stem, "conv1");
    convolution(making, layer, b, in, out, 3, stride, a);
    part(layer, stem, "bn2");
    batch_norm(making, layer, a, out, b);
    relu(making, stem, "relu2", b, a);
    part(layer, stem, "conv2");
    convolution(making, layer, a, out, out, 3, 1, b);
    plain(making, "Add", stem, "sum", shortcut, b, x);
}

static void wide_resnet(struct making *making, const struct ood_architecture *architecture, size_t channels)
{
    char x[NAME], y[NAME];
    size_t blocks = (architecture->depth - 4) / 6, in = 16;
    convolution(making, "conv1", "input", channels, in, 3, 1, x);
    for (size_t stage = 0; stage < 3; stage++)
        for (size_t i = 0; i < blocks; i++) {
            size_t out = (16 * architecture->width) << stage;
            wide_block(making, stage * blocks + i, in, out, stage > 0 && i == 0 ? 2 : 1, x);
            in = out;
        }
    batch_norm(making, "bn", x, in, y);
    relu(making, "", "relu", y, x);
    head(making, x, in, architecture->classes);
}

/* ---- ResNet ---- */

/* Convolution, batch norm, ReLU: one name for the three. */
static void unit(struct making *making, const char *stem, const char *suffix, const char *from, size_t in, size_t out, size_t stride, bool active, char to[NAME])
{
    char layer[NAME], short_name[NAME], a[NAME];
    snprintf(short_name, sizeof short_name, "conv%s", suffix);
    part(layer, stem, short_name);
    convolution(making, layer, from, in, out, 3, stride, a);
    snprintf(short_name, sizeof short_name, "bn%s", suffix);
    part(layer, stem, short_name);
    batch_norm(making, layer, a, out, to);
    if (active) {
        memcpy(a, to, NAME);
        snprintf(short_name, sizeof short_name, "relu%s", suffix);
        relu(making, stem, short_name, a, to);
    }
}

static void block(struct making *making, const char *stem, size_t in, size_t out, size_t stride, char x[NAME])
{
    char layer[NAME], a[NAME], b[NAME], shortcut[NAME];
    memcpy(shortcut, x, NAME);
    if (in != out || stride != 1) {
        part(layer, stem, "short.conv");
        convolution(making, layer, x, in, out, 1, stride, a);
        part(layer, stem, "short.bn");
        batch_norm(making, layer, a, out, shortcut);
    }
    unit(making, stem, "1", x, in, out, stride, true, a);
    unit(making, stem, "2", a, out, out, 1, false, b);
    plain(making, "Add", stem, "sum", b, shortcut, a);
    relu(making, stem, "output", a, x);
}

static void resnet(struct making *making, const struct ood_architecture *architecture, size_t channels)
{
    char x[NAME], stem[NAME];
    size_t blocks = (architecture->depth - 2) / 6, in = 16;
    unit(making, "", "1", "input", channels, in, 1, true, x);
    for (size_t stage = 0; stage < 3; stage++)
        for (size_t i = 0; i < blocks; i++) {
            size_t out = (size_t)16 << stage;
            snprintf(stem, sizeof stem, "blocks.%zu", stage * blocks + i);
            block(making, stem, in, out, stage > 0 && i == 0 ? 2 : 1, x);
            in = out;
        }
    head(making, x, in, architecture->classes);
}

static void resnet_9(struct making *making, const struct ood_architecture *architecture, size_t channels)
{
    const struct ood_onnx_attribute attributes[] = {
        { .name = "kernel_shape", .ints = (int64_t[]){ 2, 2 }, .count = 2 }, { .name = "strides", .ints = (int64_t[]){ 2, 2 }, .count = 2 } };
    char x[NAME], y[NAME], stem[NAME];
    size_t in = 32;
    unit(making, "", "1", "input", channels, in, 1, true, x);
    for (size_t stage = 1; stage <= 3; stage++) {
        snprintf(stem, sizeof stem, "stages.%zu", stage);
        unit(making, stem, "", x, in, 2 * in, 1, true, y);
        part(x, stem, "pool");
        ood_onnx_node(making->builder, "MaxPool", (const char *[]){ y }, 1, x, attributes, 2);
        in *= 2;
        part(y, stem, "residual");
        if (stage != 2)
            block(making, y, in, in, 1, x);
    }
    head(making, x, in, architecture->classes);
}

bool ood_architecture_build(const struct ood_architecture *architecture, size_t channels, size_t height, size_t width, uint64_t seed,
                            struct ood_bytes *out, struct ood_error *err)
{
    struct ood_shape input = ood_shape_of(4, (int64_t)-1, (int64_t)channels, (int64_t)height, (int64_t)width);
    struct ood_shape output = ood_shape_of(2, (int64_t)-1, (int64_t)architecture->classes);
    struct making making = { .err = err };
    char graph[NAME];
    if (architecture->family == OOD_WIDE_RESNET)
        snprintf(graph, sizeof graph, "wrn-%zu-%zu", architecture->depth, architecture->width);
    else
        snprintf(graph, sizeof graph, "resnet-%zu", architecture->depth);
    making.builder = ood_onnx_builder_new(graph, err);
    if (making.builder == NULL)
        return false;
    ood_random_seed(&making.random, seed);
    ood_onnx_input(making.builder, "input", &input);
    if (architecture->family == OOD_WIDE_RESNET)
        wide_resnet(&making, architecture, channels);
    else if (architecture->family == OOD_RESNET)
        resnet(&making, architecture, channels);
    else
        resnet_9(&making, architecture, channels);
    ood_onnx_output(making.builder, "logits", &output);
    bool done = !making.failed && ood_onnx_builder_finish(making.builder, out, err);
    ood_onnx_builder_free(making.builder);
    return done;
}
