/* Operators in plain loops over coordinates: what tensor/reference.h does not have. */
#include "op_plain.h"

#include <math.h>

#include "../kernel/functions.h"

static bool is(const char *a, const char *b) { return strcmp(a, b) == 0; }

static double get(const struct ood_tensor *t, size_t i)
{
    return t->type == OOD_FLOAT32 ? (double)ood_f32(t)[i] : t->type == OOD_INT64 ? (double)ood_i64(t)[i]
           : t->type == OOD_INT32 ? (double)((const int32_t *)t->data)[i] : (double)((const unsigned char *)t->data)[i];
}

static void set(struct ood_tensor *t, size_t i, double x)
{
    if (t->type == OOD_FLOAT32)
        ood_f32(t)[i] = (float)x;
    else if (t->type == OOD_INT64)
        ood_i64(t)[i] = (int64_t)x;
    else if (t->type == OOD_INT32)
        ((int32_t *)t->data)[i] = (int32_t)x;
    else
        ((unsigned char *)t->data)[i] = x != 0;
}

/* The element of t that meets element i of a shape it broadcasts to. */
static double met(const struct ood_tensor *t, const struct ood_shape *shape, size_t i)
{
    size_t at = 0, stride = 1;
    for (size_t d = shape->rank; d-- > 0; i /= (size_t)shape->dims[d]) {
        const size_t missing = shape->rank - t->shape.rank;
        if (d < missing)
            break;
        at += t->shape.dims[d - missing] == 1 ? 0 : i % (size_t)shape->dims[d] * stride;
        stride *= (size_t)t->shape.dims[d - missing];
    }
    return get(t, at);
}

/* ---- one operand ---- */

static const struct { const char *name; enum ood_unary function; const char *alpha, *beta; double a, b; } functions[] = {
    { "Abs", OOD_UNARY_ABS, "", "", 0, 0 }, { "Ceil", OOD_UNARY_CEIL, "", "", 0, 0 }, { "Celu", OOD_UNARY_CELU, "alpha", "", 1, 0 },
    { "Elu", OOD_UNARY_ELU, "alpha", "", 1, 0 }, { "Erf", OOD_UNARY_ERF, "", "", 0, 0 }, { "Exp", OOD_UNARY_EXP, "", "", 0, 0 },
    { "Floor", OOD_UNARY_FLOOR, "", "", 0, 0 }, { "HardSwish", OOD_UNARY_HARD_SWISH, "", "", 0, 0 },
    { "Log", OOD_UNARY_LOG, "", "", 0, 0 }, { "Mish", OOD_UNARY_MISH, "", "", 0, 0 }, { "Neg", OOD_UNARY_NEG, "", "", 0, 0 },
    { "Reciprocal", OOD_UNARY_RECIPROCAL, "", "", 0, 0 }, { "Round", OOD_UNARY_ROUND, "", "", 0, 0 },
    { "Selu", OOD_UNARY_SELU, "alpha", "gamma", 1.67326319, 1.05070102 }, { "Shrink", OOD_UNARY_SHRINK, "lambd", "bias", 0.5, 0 },
    { "Sign", OOD_UNARY_SIGN, "", "", 0, 0 }, { "Softplus", OOD_UNARY_SOFTPLUS, "", "", 0, 0 }, { "Softsign", OOD_UNARY_SOFTSIGN, "", "", 0, 0 },
    { "Sqrt", OOD_UNARY_SQRT, "", "", 0, 0 }, { "Tanh", OOD_UNARY_TANH, "", "", 0, 0 },
    { "ThresholdedRelu", OOD_UNARY_THRESHOLDED_RELU, "alpha", "", 1, 0 },
};

static struct ood_tensor *unary(size_t f, const struct op_attributes *attributes, const struct ood_tensor *x, struct ood_error *err)
{
    const struct ood_unary_step step = { functions[f].function, (float)op_attribute_float(attributes, functions[f].alpha, functions[f].a),
                                         (float)op_attribute_float(attributes, functions[f].beta, functions[f].b) };
    struct ood_tensor *y = ood_tensor_copy(x, err);
    for (size_t i = 0; y != NULL && i < y->count; i++)
        set(y, i, step_reference(&step, get(x, i)));
    return y;
}

/* ---- two or more, broadcast ---- */

static double combined(const char *op, double a, double b)
{
    return is(op, "Max") ? fmax(a, b) : is(op, "Min") ? fmin(a, b) : is(op, "Pow") ? pow(a, b) : is(op, "PRelu") ? (a < 0 ? a * b : a)
           : is(op, "Mod") ? a - b * floor(a / b) : is(op, "Equal") ? a == b : is(op, "Greater") ? a > b : is(op, "GreaterOrEqual") ? a >= b
           : is(op, "Less") ? a < b : is(op, "LessOrEqual") ? a <= b : is(op, "And") ? a != 0 && b != 0 : is(op, "Or") ? a != 0 || b != 0
           : is(op, "Xor") ? (a != 0) != (b != 0) : a + b;
}

static bool answers_bool(const char *op)
{
    static const char *const names[] = { "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "And", "Or", "Xor", "Not" };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (is(op, names[i]))
            return true;
    return false;
}

static struct ood_tensor *broadcast(const char *op, const struct ood_tensor *const *inputs, size_t count, struct ood_error *err)
{
    struct ood_shape shape = inputs[0]->shape;
    for (size_t i = 1; i < count; i++) {
        const struct ood_shape before = shape;
        if (!ood_shape_broadcast(&before, &inputs[i]->shape, &shape))
            return NULL;
    }
    const bool where = is(op, "Where");
    struct ood_tensor *y = ood_tensor_new(answers_bool(op) ? OOD_BOOL : inputs[where]->type, &shape, err);
    for (size_t i = 0; y != NULL && i < y->count; i++) {
        double x = met(inputs[0], &shape, i);
        if (where)
            x = met(inputs[x != 0 ? 1 : 2], &shape, i);
        else if (is(op, "Not"))
            x = x == 0;
        else
            for (size_t k = 1; k < count; k++)
                x = combined(op, x, met(inputs[k], &shape, i));
        set(y, i, is(op, "Mean") ? x / (double)count : x);
    }
    return y;
}

static struct ood_tensor *expand(const struct ood_tensor *x, const struct ood_tensor *target, struct ood_error *err)
{
    struct ood_shape wanted = { .rank = target->count }, shape;
    for (size_t i = 0; i < wanted.rank; i++)
        wanted.dims[i] = ood_i64(target)[i];
    if (!ood_shape_broadcast(&x->shape, &wanted, &shape))
        return NULL;
    struct ood_tensor *y = ood_tensor_new(x->type, &shape, err);
    for (size_t i = 0; y != NULL && i < y->count; i++)
        set(y, i, met(x, &shape, i));
    return y;
}

/* ---- along axes ---- */

static double reduced(const char *op, double sum, double x)
{
    return is(op, "ReduceMax") ? fmax(sum, x) : is(op, "ReduceMin") ? fmin(sum, x) : is(op, "ReduceProd") ? sum * x
           : is(op, "ReduceL1") ? sum + fabs(x) : is(op, "ReduceL2") || is(op, "ReduceSumSquare") ? sum + x * x
           : is(op, "ReduceLogSumExp") ? sum + exp(x) : sum + x;
}

static struct ood_tensor *reduce(const char *op, const struct op_attributes *attributes, const struct ood_tensor *const *inputs, size_t count,
                                 struct ood_error *err)
{
    const struct ood_tensor *x = inputs[0];
    const struct op_attribute *axes = op_attribute(attributes, "axes");
    const bool keep = op_attribute_int(attributes, "keepdims", 1) != 0;
    const size_t given = count > 1 ? inputs[1]->count : axes != NULL ? axes->count : 0;
    struct ood_shape kept = x->shape, shape = { 0 };
    bool gone[OOD_MAX_RANK] = { false };
    for (size_t i = 0; i < given; i++) {
        const int64_t axis = count > 1 ? ood_i64(inputs[1])[i] : axes->ints[i];
        gone[axis < 0 ? axis + (int64_t)x->shape.rank : axis] = true;
    }
    for (size_t i = 0; i < x->shape.rank; i++) {
        kept.dims[i] = gone[i] ? 1 : x->shape.dims[i];
        if (!gone[i] || keep)
            shape.dims[shape.rank++] = kept.dims[i];
    }
    struct ood_tensor *y = ood_tensor_new(x->type, &shape, err);
    double *sums = y != NULL ? ood_new_array(double, y->count, err) : NULL;
    for (size_t i = 0; sums != NULL && i < y->count; i++)
        sums[i] = is(op, "ReduceMax") ? -INFINITY : is(op, "ReduceMin") ? INFINITY : is(op, "ReduceProd");
    for (size_t i = 0; sums != NULL && i < x->count; i++) {
        size_t at = 0, stride = 1, rest = i;
        for (size_t d = x->shape.rank; d-- > 0; rest /= (size_t)x->shape.dims[d]) {
            at += gone[d] ? 0 : rest % (size_t)x->shape.dims[d] * stride;
            stride *= (size_t)kept.dims[d];
        }
        sums[at] = reduced(op, sums[at], get(x, i));
    }
    for (size_t i = 0; sums != NULL && i < y->count; i++)
        set(y, i, is(op, "ReduceL2") ? sqrt(sums[i]) : strncmp(op, "ReduceLog", 9) == 0 ? log(sums[i]) : sums[i]);
    ood_free(sums);
    return y;
}

/* Rows of the last dimension. */
static struct ood_tensor *layer_norm(const struct op_attributes *attributes, const struct ood_tensor *const *inputs, struct ood_error *err)
{
    const struct ood_tensor *x = inputs[0];
    const size_t n = (size_t)x->shape.dims[x->shape.rank - 1];
    struct ood_tensor *y = ood_tensor_copy(x, err);
    for (size_t row = 0; y != NULL && row < x->count; row += n) {
        double mean = 0, variance = 0;
        for (size_t i = 0; i < n; i++)
            mean += get(x, row + i) / (double)n;
        for (size_t i = 0; i < n; i++)
            variance += (get(x, row + i) - mean) * (get(x, row + i) - mean) / (double)n;
        for (size_t i = 0; i < n; i++)
            set(y, row + i, (get(x, row + i) - mean) / sqrt(variance + op_attribute_float(attributes, "epsilon", 1e-5)) * get(inputs[1], i) + get(inputs[2], i));
    }
    return y;
}

/* [N,C,…]: a picture's channel by its own mean and variance. */
static struct ood_tensor *instance_norm(const struct op_attributes *attributes, const struct ood_tensor *const *inputs, struct ood_error *err)
{
    const struct ood_tensor *x = inputs[0];
    const size_t channels = (size_t)x->shape.dims[1], n = x->count / (size_t)x->shape.dims[0] / channels;
    struct ood_tensor *y = ood_tensor_copy(x, err);
    for (size_t row = 0; y != NULL && row < x->count; row += n) {
        double mean = 0, variance = 0;
        for (size_t i = 0; i < n; i++)
            mean += get(x, row + i) / (double)n;
        for (size_t i = 0; i < n; i++)
            variance += (get(x, row + i) - mean) * (get(x, row + i) - mean) / (double)n;
        for (size_t i = 0; i < n; i++)
            set(y, row + i, (get(x, row + i) - mean) / sqrt(variance + op_attribute_float(attributes, "epsilon", 1e-5)) *
                            get(inputs[1], row / n % channels) + get(inputs[2], row / n % channels));
    }
    return y;
}

/* Over channels of [N,C,H,W]. */
static struct ood_tensor *arg(const char *op, const struct op_attributes *attributes, const struct ood_tensor *x, struct ood_error *err)
{
    const size_t axis = (size_t)op_attribute_int(attributes, "axis", 0), n = (size_t)x->shape.dims[axis];
    struct ood_shape shape = x->shape;
    size_t inner = 1;
    for (size_t i = axis + 1; i < shape.rank; i++)
        inner *= (size_t)shape.dims[i];
    shape.dims[axis] = 1;
    struct ood_tensor *y = ood_tensor_new(OOD_INT64, &shape, err);
    for (size_t i = 0; y != NULL && i < y->count; i++) {
        const size_t start = i / inner * n * inner + i % inner;
        size_t best = 0;
        for (size_t k = 1; k < n; k++)
            if (is(op, "ArgMax") ? get(x, start + k * inner) > get(x, start + best * inner) : get(x, start + k * inner) < get(x, start + best * inner))
                best = k;
        set(y, i, (double)best);
    }
    return y;
}

/* ---- maps ---- */

/* Twice as large, each pixel four times. */
static struct ood_tensor *doubled(const struct ood_tensor *x, struct ood_error *err)
{
    const struct ood_shape shape = ood_shape_of(4, x->shape.dims[0], x->shape.dims[1], 2 * x->shape.dims[2], 2 * x->shape.dims[3]);
    const size_t h = (size_t)shape.dims[2], w = (size_t)shape.dims[3];
    struct ood_tensor *y = ood_tensor_new(x->type, &shape, err);
    for (size_t i = 0; y != NULL && i < y->count; i++)
        set(y, i, get(x, i / (h * w) * (h * w / 4) + i / w % h / 2 * (w / 2) + i % w / 2));
    return y;
}

/* w [C, M/g, kH, kW], strides 2 where asked, no padding. */
static struct ood_tensor *conv_transpose(const struct op_attributes *attributes, const struct ood_tensor *x, const struct ood_tensor *w,
                                         const struct ood_tensor *bias, struct ood_error *err)
{
    const struct op_attribute *strides = op_attribute(attributes, "strides"), *pads = op_attribute(attributes, "pads");
    const int64_t s = strides != NULL ? strides->ints[0] : 1, p = pads != NULL ? pads->ints[0] : 0, g = op_attribute_int(attributes, "group", 1);
    const int64_t in = x->shape.dims[1], m = w->shape.dims[1], k = w->shape.dims[2];
    const struct ood_shape shape = ood_shape_of(4, x->shape.dims[0], m * g, s * (x->shape.dims[2] - 1) + k - 2 * p, s * (x->shape.dims[3] - 1) + k - 2 * p);
    struct ood_tensor *y = ood_tensor_new(OOD_FLOAT32, &shape, err);
    size_t at = 0;
    for (int64_t n = 0; n < shape.dims[0]; n++)
        for (int64_t o = 0; o < shape.dims[1]; o++)
            for (int64_t r = 0; r < shape.dims[2]; r++)
                for (int64_t c = 0; y != NULL && c < shape.dims[3]; c++, at++) {
                    double sum = bias != NULL ? get(bias, (size_t)o) : 0;
                    for (int64_t i = o / m * (in / g); i < (o / m + 1) * (in / g); i++)
                        for (int64_t a = 0; a < k; a++)
                            for (int64_t b = 0; b < k; b++) {
                                const int64_t row = r + p - a, column = c + p - b;
                                if (row < 0 || column < 0 || row % s != 0 || column % s != 0 || row / s >= x->shape.dims[2] || column / s >= x->shape.dims[3])
                                    continue;
                                sum += get(x, (size_t)(((n * in + i) * x->shape.dims[2] + row / s) * x->shape.dims[3] + column / s)) *
                                       get(w, (size_t)(((i * m + o % m) * k + a) * k + b));
                            }
                    set(y, at, sum);
                }
    return y;
}

struct ood_tensor *op_plain(const char *op, const struct op_attributes *attributes, const struct ood_tensor *const *inputs, size_t count,
                            struct ood_error *err)
{
    static const char *const broadcasts[] = { "Max", "Min", "Sum", "Mean", "Pow", "PRelu", "Mod", "Where" };
    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++)
        if (is(op, functions[i].name))
            return unary(i, attributes, inputs[0], err);
    for (size_t i = 0; i < sizeof broadcasts / sizeof broadcasts[0]; i++)
        if (is(op, broadcasts[i]) || answers_bool(op))
            return broadcast(op, inputs, count, err);
    if (is(op, "Expand"))
        return expand(inputs[0], inputs[1], err);
    if (strncmp(op, "Reduce", 6) == 0)
        return reduce(op, attributes, inputs, count, err);
    if (is(op, "LayerNormalization"))
        return layer_norm(attributes, inputs, err);
    if (is(op, "InstanceNormalization"))
        return instance_norm(attributes, inputs, err);
    if (is(op, "ArgMax") || is(op, "ArgMin"))
        return arg(op, attributes, inputs[0], err);
    if (is(op, "Resize"))
        return doubled(inputs[0], err);
    if (is(op, "ConvTranspose"))
        return conv_transpose(attributes, inputs[0], inputs[1], count > 2 ? inputs[2] : NULL, err);
    ood_fail(err, OOD_UNSUPPORTED, "no reference for %s", op);
    return NULL;
}
