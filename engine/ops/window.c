/* The arithmetic of sliding windows (ONNX Conv, MaxPool, AveragePool). */
#include "ops/window.h"

#include <string.h>

#define MOST 65536

static bool read_pair(const struct ood_node *node, const char *name, size_t out[2], int64_t least, struct ood_error *err)
{
    size_t count;
    const int64_t *values = ood_node_ints(node, name, &count);
    if (values == NULL)
        return true;
    if (count != 2)
        return ood_node_fail(node, err, OOD_UNSUPPORTED, "%s has %zu values, expected 2 (rows, columns)", name, count);
    for (int i = 0; i < 2; i++) {
        if (values[i] < least || values[i] > MOST)
            return ood_node_fail(node, err, OOD_INVALID, "%s is %lld, expected %lld to %d", name, (long long)values[i],
                                 (long long)least, MOST);
        out[i] = (size_t)values[i];
    }
    return true;
}

bool ood_window_read(const struct ood_node *node, const int64_t kernel[2], struct ood_window *out, struct ood_error *err)
{
    struct ood_window window = { .kernel = { 0, 0 }, .stride = { 1, 1 }, .dilation = { 1, 1 } };
    size_t count;
    if (!read_pair(node, "kernel_shape", window.kernel, 1, err) || !read_pair(node, "strides", window.stride, 1, err) ||
        !read_pair(node, "dilations", window.dilation, 1, err))
        return false;
    for (int i = 0; i < 2; i++) {
        if (kernel != NULL && (kernel[i] < 1 || kernel[i] > MOST))
            return ood_node_fail(node, err, OOD_INVALID, "a kernel of %lld, expected 1 to %d", (long long)kernel[i], MOST);
        if (kernel != NULL && window.kernel[i] != 0 && window.kernel[i] != (size_t)kernel[i])
            return ood_node_fail(node, err, OOD_INVALID, "kernel_shape says %zu, the weights have %lld", window.kernel[i],
                                 (long long)kernel[i]);
        if (kernel != NULL)
            window.kernel[i] = (size_t)kernel[i];
        if (window.kernel[i] == 0)
            return ood_node_fail(node, err, OOD_INVALID, "kernel_shape is missing");
    }
    const int64_t *pads = ood_node_ints(node, "pads", &count);
    if (pads != NULL && count != 4)
        return ood_node_fail(node, err, OOD_UNSUPPORTED, "pads has %zu values, expected 4", count);
    for (int i = 0; pads != NULL && i < 4; i++) {
        if (pads[i] < 0 || pads[i] > MOST)
            return ood_node_fail(node, err, OOD_INVALID, "a pad of %lld, expected 0 to %d", (long long)pads[i], MOST);
        (i < 2 ? window.pad_begin : window.pad_end)[i % 2] = (size_t)pads[i];
    }
    *out = window;
    return true;
}

static bool is(const char *text, const char *word) { return strcmp(text, word) == 0; }

bool ood_window_output(const struct ood_node *node, struct ood_window *window, const int64_t size[2], int64_t out[2],
                       struct ood_error *err)
{
    const char *automatic = ood_node_string(node, "auto_pad", "NOTSET");
    bool same = is(automatic, "SAME_UPPER") || is(automatic, "SAME_LOWER"), ceil_mode = ood_node_int(node, "ceil_mode", 0) != 0;
    if (!same && !is(automatic, "NOTSET") && !is(automatic, "VALID"))
        return ood_node_fail(node, err, OOD_INVALID, "auto_pad is \"%.40s\", expected NOTSET, VALID, SAME_UPPER or SAME_LOWER", automatic);
    for (int i = 0; i < 2; i++) {
        if (size[i] < 1 || size[i] > INT32_MAX)
            return ood_node_fail(node, err, OOD_INVALID, "a map of %lld, expected 1 or more", (long long)size[i]);
        int64_t stride = (int64_t)window->stride[i], reach = (int64_t)((window->kernel[i] - 1) * window->dilation[i] + 1);
        if (is(automatic, "VALID"))
            window->pad_begin[i] = window->pad_end[i] = 0;
        if (same) {
            int64_t padding = ((size[i] + stride - 1) / stride - 1) * stride + reach - size[i];
            padding = padding < 0 ? 0 : padding;
            size_t half = (size_t)(padding / 2), rest = (size_t)padding - half;
            window->pad_begin[i] = is(automatic, "SAME_UPPER") ? half : rest;
            window->pad_end[i] = is(automatic, "SAME_UPPER") ? rest : half;
        }
        int64_t begin = (int64_t)window->pad_begin[i], room = size[i] + begin + (int64_t)window->pad_end[i] - reach;
        if (room < 0)
            return ood_node_fail(node, err, OOD_INVALID, "a kernel that reaches over %lld on a padded map of %lld",
                                 (long long)reach, (long long)(room + reach));
        out[i] = (ceil_mode && !same ? (room + stride - 1) / stride : room / stride) + 1;
        if (ceil_mode && (out[i] - 1) * stride >= size[i] + begin)       /* pools; a padded 1x1 convolution does reach there */
            out[i]--;
    }
    return true;
}
