/* Operators by name through the reference loops: attributes and their defaults as ONNX's Operators.md gives them. */
#include "op_case.h"
#include "op_plain.h"

#include <math.h>
#include "tensor/reference.h"

static bool is(const char *a, const char *b) { return strcmp(a, b) == 0; }

const struct op_attribute *op_attribute(const struct op_attributes *attributes, const char *name)
{
    for (size_t i = 0; i < attributes->count; i++)
        if (is(attributes->items[i].name, name))
            return &attributes->items[i];
    return NULL;
}

int64_t op_attribute_int(const struct op_attributes *attributes, const char *name, int64_t otherwise)
{
    const struct op_attribute *found = op_attribute(attributes, name);
    return found != NULL ? found->ints[0] : otherwise;
}

double op_attribute_float(const struct op_attributes *attributes, const char *name, double otherwise)
{
    const struct op_attribute *found = op_attribute(attributes, name);
    return found != NULL ? (double)found->floats[0] : otherwise;
}

static size_t axis_of(int64_t axis, size_t rank) { return (size_t)(axis < 0 ? axis + (int64_t)rank : axis); }

/* An attribute's list, or an int64 input's. NULL where neither is there. */
static const int64_t *list_of(const struct op_attributes *attributes, const char *name, const struct ood_tensor *input, size_t *count)
{
    const struct op_attribute *found = op_attribute(attributes, name);
    *count = found != NULL ? found->count : input != NULL ? input->count : 0;
    return found != NULL ? found->ints : input != NULL ? ood_i64(input) : NULL;
}

static struct ood_reference_window window_of(const struct op_attributes *attributes)
{
    static const char *const modes[] = { "NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID" };
    struct ood_reference_window window = { .strides = { 1, 1 }, .dilations = { 1, 1 } };
    const struct op_attribute *kernel = op_attribute(attributes, "kernel_shape"), *strides = op_attribute(attributes, "strides");
    const struct op_attribute *dilations = op_attribute(attributes, "dilations"), *pads = op_attribute(attributes, "pads");
    const struct op_attribute *automatic = op_attribute(attributes, "auto_pad");
    for (size_t i = 0; i < 2; i++) {
        window.kernel[i] = kernel != NULL ? kernel->ints[i] : 0;
        window.strides[i] = strides != NULL ? strides->ints[i] : 1;
        window.dilations[i] = dilations != NULL ? dilations->ints[i] : 1;
        window.begin[i] = pads != NULL ? pads->ints[i] : 0;
        window.end[i] = pads != NULL ? pads->ints[2 + i] : 0;
    }
    for (size_t i = 0; automatic != NULL && i < 4; i++)
        if (is(automatic->text, modes[i]))
            window.auto_pad = (enum ood_auto_pad)i;
    window.ceil_mode = op_attribute_int(attributes, "ceil_mode", 0) != 0;
    window.count_include_pad = op_attribute_int(attributes, "count_include_pad", 0) != 0;
    return window;
}

/* ---- shapes ---- */

static struct ood_tensor *reshape(int opset, const struct op_attributes *attributes, const struct ood_tensor *x,
                                  const struct ood_tensor *target, struct ood_error *err)
{
    bool zero = opset >= 14 && op_attribute_int(attributes, "allowzero", 0) != 0;
    struct ood_shape shape = { .rank = target->count };
    int64_t known = 1;
    size_t open = SIZE_MAX;
    for (size_t i = 0; i < shape.rank; i++) {
        int64_t dim = ood_i64(target)[i];
        shape.dims[i] = dim == 0 && !zero ? x->shape.dims[i] : dim;
        if (dim == -1)
            open = i;
        else
            known *= shape.dims[i];
    }
    /* what exporters write for a batch of one stands for any batch: the one liberty taken with the definition */
    if (shape.rank > 0 && shape.dims[0] == 1 && (open != SIZE_MAX || known != (int64_t)x->count)) {
        shape.dims[0] = x->shape.dims[0];
        known *= shape.dims[0];
    }
    if (open != SIZE_MAX)
        shape.dims[open] = (int64_t)x->count / known;
    return ood_reference_reshape(x, &shape, err);
}

static struct ood_tensor *flatten(const struct op_attributes *attributes, const struct ood_tensor *x, struct ood_error *err)
{
    size_t axis = axis_of(op_attribute_int(attributes, "axis", 1), x->shape.rank);
    struct ood_shape shape = ood_shape_of(2, INT64_C(1), INT64_C(1));
    for (size_t i = 0; i < x->shape.rank; i++)
        shape.dims[i >= axis] *= x->shape.dims[i];
    return ood_reference_reshape(x, &shape, err);
}

static struct ood_tensor *squeeze(const struct op_attributes *attributes, const struct ood_tensor *x,
                                  const struct ood_tensor *input, struct ood_error *err)
{
    size_t count;
    const int64_t *axes = list_of(attributes, "axes", input, &count);
    struct ood_shape shape = { .rank = 0 };
    for (size_t i = 0; i < x->shape.rank; i++) {
        bool named = axes == NULL && i > 0 && x->shape.dims[i] == 1;      /* a batch of one stays */
        for (size_t k = 0; k < count; k++)
            named = named || axis_of(axes[k], x->shape.rank) == i;
        if (!named)
            shape.dims[shape.rank++] = x->shape.dims[i];
    }
    return ood_reference_reshape(x, &shape, err);
}

static struct ood_tensor *unsqueeze(const struct op_attributes *attributes, const struct ood_tensor *x,
                                    const struct ood_tensor *input, struct ood_error *err)
{
    size_t count;
    const int64_t *axes = list_of(attributes, "axes", input, &count);
    struct ood_shape shape = { .rank = x->shape.rank + count };
    for (size_t i = 0, from = 0; i < shape.rank; i++) {
        bool named = false;
        for (size_t k = 0; k < count; k++)
            named = named || axis_of(axes[k], shape.rank) == i;
        shape.dims[i] = named ? 1 : x->shape.dims[from++];
    }
    return ood_reference_reshape(x, &shape, err);
}

static struct ood_tensor *shape_of(const struct op_attributes *attributes, const struct ood_tensor *x, struct ood_error *err)
{
    int64_t rank = (int64_t)x->shape.rank, start = op_attribute_int(attributes, "start", 0);
    int64_t end = op_attribute_int(attributes, "end", rank);
    start = start < 0 ? start + rank : start, end = end < 0 ? end + rank : end;
    start = start < 0 ? 0 : start, end = end > rank ? rank : end;
    struct ood_shape shape = ood_shape_of(1, end > start ? end - start : INT64_C(0));
    struct ood_tensor *y = ood_tensor_new(OOD_INT64, &shape, err);
    for (size_t i = 0; y != NULL && i < y->count; i++)
        ood_i64(y)[i] = x->shape.dims[start + (int64_t)i];
    return y;
}

static struct ood_tensor *constant(const struct op_attributes *attributes, struct ood_error *err)
{
    const struct op_attribute *value = &attributes->items[0];
    bool ints = value->kind == OP_INT || value->kind == OP_INT_LIST, list = value->kind == OP_INT_LIST || value->kind == OP_FLOAT_LIST;
    struct ood_shape shape = { .rank = list, .dims = { (int64_t)value->count } };
    struct ood_tensor *y = ood_tensor_new(ints ? OOD_INT64 : OOD_FLOAT32, &shape, err);
    for (size_t i = 0; y != NULL && i < y->count; i++) {
        if (ints)
            ood_i64(y)[i] = value->ints[i];
        else
            ood_f32(y)[i] = value->floats[i];
    }
    return y;
}

/* ---- places ---- */

static struct ood_tensor *transpose(const struct op_attributes *attributes, const struct ood_tensor *x, struct ood_error *err)
{
    const struct op_attribute *perm = op_attribute(attributes, "perm");
    size_t order[OOD_MAX_RANK] = { 0 };
    for (size_t i = 0; i < x->shape.rank; i++)
        order[i] = perm != NULL ? (size_t)perm->ints[i] : x->shape.rank - 1 - i;
    return ood_reference_transpose(x, order, err);
}

static struct ood_tensor *pad(const struct op_attributes *attributes, const struct ood_tensor *const *inputs, size_t count,
                              struct ood_error *err)
{
    size_t ignored;
    const int64_t *pads = list_of(attributes, "pads", count > 1 ? inputs[1] : NULL, &ignored);
    const struct op_attribute *mode = op_attribute(attributes, "mode");
    enum ood_reference_pad kind = mode == NULL || is(mode->text, "constant") ? OOD_REFERENCE_PAD_CONSTANT
                                  : is(mode->text, "reflect")                ? OOD_REFERENCE_PAD_REFLECT
                                                                             : OOD_REFERENCE_PAD_EDGE;
    float value = (float)op_attribute_float(attributes, "value", 0);
    return ood_reference_pad(inputs[0], pads, kind, count > 2 && inputs[2] != NULL ? inputs[2]->data : &value, err);
}

/* starts, ends, axes, steps: attributes before opset 10, inputs since. */
static struct ood_tensor *slice(const struct op_attributes *attributes, const struct ood_tensor *const *inputs, size_t count,
                                struct ood_error *err)
{
    size_t n, axes_count, steps_count;
    const int64_t *starts = list_of(attributes, "starts", count > 1 ? inputs[1] : NULL, &n);
    const int64_t *ends = list_of(attributes, "ends", count > 2 ? inputs[2] : NULL, &n);
    const int64_t *axes = list_of(attributes, "axes", count > 3 ? inputs[3] : NULL, &axes_count);
    const int64_t *steps = list_of(attributes, "steps", count > 4 ? inputs[4] : NULL, &steps_count);
    int64_t from[OOD_MAX_RANK] = { 0 }, to[OOD_MAX_RANK], by[OOD_MAX_RANK];
    for (size_t i = 0; i < inputs[0]->shape.rank; i++)
        to[i] = inputs[0]->shape.dims[i], by[i] = 1;
    for (size_t i = 0; i < n; i++) {
        size_t axis = axes != NULL ? axis_of(axes[i], inputs[0]->shape.rank) : i;
        from[axis] = starts[i], to[axis] = ends[i], by[axis] = steps != NULL ? steps[i] : 1;
    }
    return ood_reference_slice(inputs[0], from, to, by, err);
}

/* Zeros, which is all the cases ask for. */
static struct ood_tensor *constant_of_shape(const struct ood_tensor *dims, struct ood_error *err)
{
    struct ood_shape shape = { .rank = dims->count };
    for (size_t i = 0; i < shape.rank; i++)
        shape.dims[i] = ood_i64(dims)[i];
    return ood_tensor_new(OOD_FLOAT32, &shape, err);
}

static enum ood_type cast_type(int64_t to)
{
    return to == 1 ? OOD_FLOAT32 : to == 6 ? OOD_INT32 : to == 7 ? OOD_INT64 : OOD_BOOL;
}

static struct ood_tensor *reduce(const struct op_attributes *attributes, const struct ood_tensor *x, bool keep,
                                 struct ood_error *err)
{
    const struct op_attribute *axes = op_attribute(attributes, "axes");
    bool reduced[OOD_MAX_RANK];
    for (size_t i = 0; i < x->shape.rank; i++)
        reduced[i] = axes == NULL;
    for (size_t i = 0; axes != NULL && i < axes->count; i++)
        reduced[axis_of(axes->ints[i], x->shape.rank)] = true;
    return ood_reference_reduce(x, reduced, keep, OOD_REFERENCE_MEAN, err);
}

static struct ood_tensor *pool_global(const struct ood_tensor *x, enum ood_reference_reduce kind, struct ood_error *err)
{
    bool reduced[OOD_MAX_RANK];
    for (size_t i = 0; i < OOD_MAX_RANK; i++)
        reduced[i] = i >= 2;
    return ood_reference_reduce(x, reduced, true, kind, err);
}

static struct ood_tensor *clip(int opset, const struct op_attributes *attributes, const struct ood_tensor *const *inputs,
                               size_t count, struct ood_error *err)
{
    double least = op_attribute_float(attributes, "min", -3.4028234663852886e38), most = op_attribute_float(attributes, "max", 3.4028234663852886e38);
    if (opset >= 11 && count > 1 && inputs[1] != NULL)
        least = (double)ood_f32(inputs[1])[0];
    if (opset >= 11 && count > 2 && inputs[2] != NULL)
        most = (double)ood_f32(inputs[2])[0];
    return ood_reference_unary(inputs[0], OOD_REFERENCE_CLIP, least, most, err);
}

static struct ood_tensor *softmax(int opset, const struct op_attributes *attributes, const struct ood_tensor *x, bool logarithm,
                                  struct ood_error *err)
{
    size_t axis = axis_of(op_attribute_int(attributes, "axis", opset >= 13 ? -1 : 1), x->shape.rank);
    return ood_reference_softmax(x, axis, opset < 13, logarithm, err);
}

/* ---- by name ---- */

static struct ood_tensor *hard(const char *op, const struct op_attributes *attributes, const struct ood_tensor *x, struct ood_error *err)
{
    const bool swish = is(op, "HardSwish");
    const double alpha = swish ? 1.0 / 6 : op_attribute_float(attributes, "alpha", 0.2);
    const double beta = swish ? 0.5 : op_attribute_float(attributes, "beta", 0.5);
    struct ood_tensor *y = ood_tensor_new(OOD_FLOAT32, &x->shape, err);
    for (size_t i = 0; y != NULL && i < y->count; i++) {
        const double v = (double)ood_f32(x)[i], gate = fmin(fmax(alpha * v + beta, 0), 1);
        ood_f32(y)[i] = (float)(swish ? v * gate : gate);
    }
    return y;
}

static struct ood_tensor *arithmetic(const char *op, int opset, const struct op_attributes *attributes,
                                     const struct ood_tensor *const *inputs, size_t count, struct ood_error *err)
{
    const struct ood_tensor *x = inputs[0], *c = count > 2 ? inputs[2] : NULL;
    struct ood_reference_window window = window_of(attributes);
    if (is(op, "Conv"))
        return ood_reference_conv(x, inputs[1], c, &window, op_attribute_int(attributes, "group", 1), err);
    if (is(op, "MaxPool"))
        return ood_reference_max_pool(x, &window, err);
    if (is(op, "AveragePool"))
        return ood_reference_average_pool(x, &window, err);
    if (is(op, "GlobalAveragePool"))
        return pool_global(x, OOD_REFERENCE_MEAN, err);
    if (is(op, "GlobalMaxPool"))
        return pool_global(x, OOD_REFERENCE_MAX, err);
    if (is(op, "BatchNormalization"))
        return ood_reference_batch_norm(x, inputs[1], inputs[2], inputs[3], inputs[4],
                                        op_attribute_float(attributes, "epsilon", 1e-5), err);
    if (is(op, "Gemm"))
        return ood_reference_gemm(x, inputs[1], c, op_attribute_float(attributes, "alpha", 1), op_attribute_float(attributes, "beta", 1),
                                  op_attribute_int(attributes, "transA", 0) != 0, op_attribute_int(attributes, "transB", 0) != 0, err);
    if (is(op, "MatMul"))
        return ood_reference_matmul(x, inputs[1], err);
    if (is(op, "Relu"))
        return ood_reference_unary(x, OOD_REFERENCE_RELU, 0, 0, err);
    if (is(op, "LeakyRelu"))
        return ood_reference_unary(x, OOD_REFERENCE_LEAKY_RELU, op_attribute_float(attributes, "alpha", 0.01), 0, err);
    if (is(op, "Sigmoid"))
        return ood_reference_unary(x, OOD_REFERENCE_SIGMOID, 0, 0, err);
    if (is(op, "HardSwish") || is(op, "HardSigmoid"))
        return hard(op, attributes, x, err);
    if (is(op, "Clip"))
        return clip(opset, attributes, inputs, count, err);
    if (is(op, "Softmax") || is(op, "LogSoftmax"))
        return softmax(opset, attributes, x, is(op, "LogSoftmax"), err);
    if (is(op, "ReduceMean"))
        return reduce(attributes, x, op_attribute_int(attributes, "keepdims", 1) != 0, err);
    static const char *const binary[] = { "Add", "Sub", "Mul", "Div" };
    for (size_t i = 0; i < 4; i++)
        if (is(op, binary[i]))
            return ood_reference_binary(x, inputs[1], (enum ood_reference_binary)i, err);
    return op_plain(op, attributes, inputs, count, err);
}

struct ood_tensor *op_reference(const char *op, int opset, const struct op_attributes *attributes,
                                const struct ood_tensor *const *inputs, size_t count, struct ood_error *err)
{
    const struct ood_tensor *second = count > 1 ? inputs[1] : NULL;
    if (is(op, "Constant"))
        return constant(attributes, err);
    if (is(op, "Identity") || is(op, "Dropout"))
        return ood_tensor_copy(inputs[0], err);
    if (is(op, "Reshape"))
        return reshape(opset, attributes, inputs[0], inputs[1], err);
    if (is(op, "Flatten"))
        return flatten(attributes, inputs[0], err);
    if (is(op, "Squeeze"))
        return squeeze(attributes, inputs[0], second, err);
    if (is(op, "Unsqueeze"))
        return unsqueeze(attributes, inputs[0], second, err);
    if (is(op, "Shape"))
        return shape_of(attributes, inputs[0], err);
    if (is(op, "Gather"))
        return ood_reference_gather(inputs[0], inputs[1], axis_of(op_attribute_int(attributes, "axis", 0), inputs[0]->shape.rank), err);
    if (is(op, "Transpose"))
        return transpose(attributes, inputs[0], err);
    if (is(op, "Concat"))
        return ood_reference_concat(inputs, count, axis_of(op_attribute_int(attributes, "axis", 0), inputs[0]->shape.rank), err);
    if (is(op, "Pad"))
        return pad(attributes, inputs, count, err);
    if (is(op, "Slice"))
        return slice(attributes, inputs, count, err);
    if (is(op, "ConstantOfShape"))
        return constant_of_shape(inputs[0], err);
    if (is(op, "Cast"))
        return ood_reference_cast(inputs[0], cast_type(op_attribute_int(attributes, "to", 1)), err);
    return arithmetic(op, opset, attributes, inputs, count, err);
}
