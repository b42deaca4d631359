/* Reference loops, part one: arithmetic. Each function is the operator's definition, index by index. */
#include "tensor/reference.h"

#include <math.h>

static struct ood_tensor *misfit(struct ood_error *err, const char *what)
{
    ood_fail(err, OOD_INVALID, "reference %s: the inputs do not fit together", what);
    return NULL;
}

/* Element at index (n, c, h, w) of [N, C, H, W]. */
static double at4(const struct ood_tensor *t, int64_t n, int64_t c, int64_t h, int64_t w)
{
    const int64_t *d = t->shape.dims;
    return (double)ood_f32(t)[((n * d[1] + c) * d[2] + h) * d[3] + w];
}

/* ---- windows ---- */

struct span { int64_t out, begin, end; };

static int64_t floor_div(int64_t a, int64_t b) { return a >= 0 ? a / b : -((-a + b - 1) / b); }

/* ONNX's formulas for one spatial dimension: output size and the padding auto_pad comes to. */
static struct span window_span(const struct ood_reference_window *window, size_t i, int64_t size)
{
    int64_t stride = window->strides[i], reach = (window->kernel[i] - 1) * window->dilations[i] + 1;
    struct span span = { 0, window->begin[i], window->end[i] };
    if (window->auto_pad == OOD_AUTO_PAD_VALID)
        span.begin = span.end = 0;
    if (window->auto_pad == OOD_AUTO_PAD_SAME_UPPER || window->auto_pad == OOD_AUTO_PAD_SAME_LOWER) {
        span.out = (size + stride - 1) / stride;
        int64_t total = (span.out - 1) * stride + reach - size, half;
        total = total > 0 ? total : 0;
        half = total / 2;
        span.begin = window->auto_pad == OOD_AUTO_PAD_SAME_UPPER ? half : total - half;
        span.end = total - span.begin;
        return span;
    }
    int64_t room = size + span.begin + span.end - reach;
    span.out = (window->ceil_mode ? floor_div(room + stride - 1, stride) : floor_div(room, stride)) + 1;
    if (window->ceil_mode && (span.out - 1) * stride >= size + span.begin)      /* begins in the end padding: PyTorch's rule */
        span.out--;
    return span;
}

struct ood_tensor *ood_reference_conv(const struct ood_tensor *x, const struct ood_tensor *w, const struct ood_tensor *bias,
                                      const struct ood_reference_window *given, int64_t groups, struct ood_error *err)
{
    if (x->shape.rank != 4 || w->shape.rank != 4 || groups < 1 || w->shape.dims[0] % groups != 0 ||
        w->shape.dims[1] * groups != x->shape.dims[1])
        return misfit(err, "conv");
    struct ood_reference_window window = *given;
    window.kernel[0] = w->shape.dims[2], window.kernel[1] = w->shape.dims[3];
    window.ceil_mode = false;
    int64_t maps = w->shape.dims[0], depth = w->shape.dims[1], height = x->shape.dims[2], width = x->shape.dims[3];
    struct span rows = window_span(&window, 0, height), columns = window_span(&window, 1, width);
    struct ood_shape shape = ood_shape_of(4, x->shape.dims[0], maps, rows.out, columns.out);
    struct ood_tensor *y = ood_tensor_new(OOD_FLOAT32, &shape, err);
    if (y == NULL)
        return NULL;
    float *out = ood_f32(y);
    for (int64_t n = 0; n < x->shape.dims[0]; n++)
        for (int64_t m = 0; m < maps; m++)
            for (int64_t oh = 0; oh < rows.out; oh++)
                for (int64_t ow = 0; ow < columns.out; ow++) {
                    double sum = bias != NULL ? (double)ood_f32(bias)[m] : 0;
                    for (int64_t c = 0; c < depth; c++)
                        for (int64_t kh = 0; kh < window.kernel[0]; kh++)
                            for (int64_t kw = 0; kw < window.kernel[1]; kw++) {
                                int64_t h = oh * window.strides[0] - rows.begin + kh * window.dilations[0];
                                int64_t v = ow * window.strides[1] - columns.begin + kw * window.dilations[1];
                                if (h >= 0 && h < height && v >= 0 && v < width)
                                    sum += at4(x, n, m / (maps / groups) * depth + c, h, v) * at4(w, m, c, kh, kw);
                            }
                    *out++ = (float)sum;
                }
    return y;
}

static struct ood_tensor *pool(const struct ood_tensor *x, const struct ood_reference_window *window, bool average,
                               struct ood_error *err)
{
    if (x->shape.rank != 4)
        return misfit(err, "pool");
    int64_t height = x->shape.dims[2], width = x->shape.dims[3];
    struct span rows = window_span(window, 0, height), columns = window_span(window, 1, width);
    struct ood_shape shape = ood_shape_of(4, x->shape.dims[0], x->shape.dims[1], rows.out, columns.out);
    struct ood_tensor *y = ood_tensor_new(OOD_FLOAT32, &shape, err);
    if (y == NULL)
        return NULL;
    float *out = ood_f32(y);
    for (int64_t n = 0; n < shape.dims[0]; n++)
        for (int64_t c = 0; c < shape.dims[1]; c++)
            for (int64_t oh = 0; oh < rows.out; oh++)
                for (int64_t ow = 0; ow < columns.out; ow++) {
                    double sum = 0, most = -INFINITY;
                    int64_t inside = 0, padded = 0;
                    for (int64_t kh = 0; kh < window->kernel[0]; kh++)
                        for (int64_t kw = 0; kw < window->kernel[1]; kw++) {
                            int64_t h = oh * window->strides[0] - rows.begin + kh * window->dilations[0];
                            int64_t w = ow * window->strides[1] - columns.begin + kw * window->dilations[1];
                            padded += h < height + rows.end && w < width + columns.end;
                            if (h < 0 || h >= height || w < 0 || w >= width)
                                continue;
                            sum += at4(x, n, c, h, w);
                            most = fmax(most, at4(x, n, c, h, w));
                            inside++;
                        }
                    *out++ = (float)(average ? sum / (double)(window->count_include_pad ? padded : inside) : most);
                }
    return y;
}

struct ood_tensor *ood_reference_max_pool(const struct ood_tensor *x, const struct ood_reference_window *window,
                                          struct ood_error *err)
{
    return pool(x, window, false, err);
}

struct ood_tensor *ood_reference_average_pool(const struct ood_tensor *x, const struct ood_reference_window *window,
                                              struct ood_error *err)
{
    return pool(x, window, true, err);
}

/* ---- element by element ---- */

struct ood_tensor *ood_reference_batch_norm(const struct ood_tensor *x, const struct ood_tensor *scale,
                                            const struct ood_tensor *bias, const struct ood_tensor *mean,
                                            const struct ood_tensor *variance, double epsilon, struct ood_error *err)
{
    if (x->shape.rank < 2 || (int64_t)scale->count != x->shape.dims[1])
        return misfit(err, "batch norm");
    struct ood_tensor *y = ood_tensor_copy(x, err);
    if (y == NULL)
        return NULL;
    size_t channels = scale->count, inner = 1;
    for (size_t i = 2; i < x->shape.rank; i++)
        inner *= (size_t)x->shape.dims[i];
    for (size_t i = 0; i < y->count; i++) {
        size_t c = i / inner % channels;
        double normal = ((double)ood_f32(x)[i] - (double)ood_f32(mean)[c]) / sqrt((double)ood_f32(variance)[c] + epsilon);
        ood_f32(y)[i] = (float)(normal * (double)ood_f32(scale)[c] + (double)ood_f32(bias)[c]);
    }
    return y;
}

struct ood_tensor *ood_reference_unary(const struct ood_tensor *x, enum ood_reference_unary kind, double alpha, double beta,
                                       struct ood_error *err)
{
    struct ood_tensor *y = ood_tensor_copy(x, err);
    for (size_t i = 0; y != NULL && i < y->count; i++) {
        double v = (double)ood_f32(x)[i], r = v;
        switch (kind) {
        case OOD_REFERENCE_RELU: r = v > 0 ? v : 0; break;
        case OOD_REFERENCE_LEAKY_RELU: r = v >= 0 ? v : alpha * v; break;
        case OOD_REFERENCE_CLIP: r = fmin(fmax(v, alpha), beta); break;
        case OOD_REFERENCE_SIGMOID: r = 1 / (1 + exp(-v)); break;
        }
        ood_f32(y)[i] = (float)r;
    }
    return y;
}

/* Offset in `t` of the element that meets `index` of the broadcast shape. */
static size_t broadcast_offset(const struct ood_tensor *t, const struct ood_shape *shape, const int64_t *index)
{
    size_t offset = 0, missing = shape->rank - t->shape.rank;
    for (size_t i = 0; i < t->shape.rank; i++)
        offset = offset * (size_t)t->shape.dims[i] + (size_t)(t->shape.dims[i] == 1 ? 0 : index[i + missing]);
    return offset;
}

/* Coordinates of element `offset`. */
static void index_of(const struct ood_shape *shape, size_t offset, int64_t index[OOD_MAX_RANK])
{
    for (size_t i = shape->rank; i-- > 0;) {
        index[i] = (int64_t)(offset % (size_t)shape->dims[i]);
        offset /= (size_t)shape->dims[i];
    }
}

static double binary_float(enum ood_reference_binary kind, double a, double b)
{
    switch (kind) {
    case OOD_REFERENCE_ADD: return a + b;
    case OOD_REFERENCE_SUB: return a - b;
    case OOD_REFERENCE_MUL: return a * b;
    case OOD_REFERENCE_DIV: return a / b;
    }
    return NAN;
}

static bool binary_int(enum ood_reference_binary kind, int64_t a, int64_t b, int64_t *out)
{
    switch (kind) {
    case OOD_REFERENCE_ADD: return !__builtin_add_overflow(a, b, out);
    case OOD_REFERENCE_SUB: return !__builtin_sub_overflow(a, b, out);
    case OOD_REFERENCE_MUL: return !__builtin_mul_overflow(a, b, out);
    case OOD_REFERENCE_DIV: break;
    }
    if (b == 0 || (a == INT64_MIN && b == -1))
        return false;
    *out = a / b;
    return true;
}

struct ood_tensor *ood_reference_binary(const struct ood_tensor *a, const struct ood_tensor *b, enum ood_reference_binary kind,
                                        struct ood_error *err)
{
    struct ood_shape shape;
    if (a->type != b->type || (a->type != OOD_FLOAT32 && a->type != OOD_INT64) || !ood_shape_broadcast(&a->shape, &b->shape, &shape))
        return misfit(err, "binary");
    struct ood_tensor *y = ood_tensor_new(a->type, &shape, err);
    bool fine = true;
    for (size_t i = 0; y != NULL && i < y->count; i++) {
        int64_t index[OOD_MAX_RANK];
        index_of(&shape, i, index);
        size_t ia = broadcast_offset(a, &shape, index), ib = broadcast_offset(b, &shape, index);
        if (a->type == OOD_FLOAT32)
            ood_f32(y)[i] = (float)binary_float(kind, (double)ood_f32(a)[ia], (double)ood_f32(b)[ib]);
        else
            fine = fine && binary_int(kind, ood_i64(a)[ia], ood_i64(b)[ib], &ood_i64(y)[i]);
    }
    if (fine)
        return y;
    ood_tensor_free(y);
    return misfit(err, "binary");
}

/* ---- products ---- */

struct ood_tensor *ood_reference_gemm(const struct ood_tensor *a, const struct ood_tensor *b, const struct ood_tensor *c,
                                      double alpha, double beta, bool transpose_a, bool transpose_b, struct ood_error *err)
{
    if (a->shape.rank != 2 || b->shape.rank != 2)
        return misfit(err, "gemm");
    const int64_t *da = a->shape.dims, *db = b->shape.dims;
    int64_t rows = da[transpose_a], depth = da[!transpose_a], columns = db[!transpose_b];
    struct ood_shape shape = ood_shape_of(2, rows, columns), joined;
    if (db[transpose_b] != depth ||
        (c != NULL && (!ood_shape_broadcast(&c->shape, &shape, &joined) || !ood_shape_equal(&joined, &shape))))
        return misfit(err, "gemm");
    struct ood_tensor *y = ood_tensor_new(OOD_FLOAT32, &shape, err);
    for (int64_t i = 0; y != NULL && i < rows; i++)
        for (int64_t j = 0; j < columns; j++) {
            double sum = 0;
            for (int64_t k = 0; k < depth; k++)
                sum += (double)ood_f32(a)[transpose_a ? k * da[1] + i : i * da[1] + k] *
                       (double)ood_f32(b)[transpose_b ? j * db[1] + k : k * db[1] + j];
            sum *= alpha;
            if (c != NULL)
                sum += beta * (double)ood_f32(c)[broadcast_offset(c, &shape, (const int64_t[]){ i, j })];
            ood_f32(y)[i * columns + j] = (float)sum;
        }
    return y;
}

/* What matmul multiplies for one output matrix: a vector is one row (left) or one column (right). */
static bool matmul_shape(const struct ood_tensor *t, bool left, struct ood_shape *matrix, struct ood_shape *stack)
{
    size_t rank = t->shape.rank;
    if (rank == 0)
        return false;
    if (rank == 1)
        *matrix = left ? ood_shape_of(2, INT64_C(1), t->shape.dims[0]) : ood_shape_of(2, t->shape.dims[0], INT64_C(1));
    else
        *matrix = ood_shape_of(2, t->shape.dims[rank - 2], t->shape.dims[rank - 1]);
    *stack = t->shape;
    stack->rank = rank > 2 ? rank - 2 : 0;
    return true;
}

struct ood_tensor *ood_reference_matmul(const struct ood_tensor *a, const struct ood_tensor *b, struct ood_error *err)
{
    struct ood_shape ma, mb, sa, sb, stack;
    size_t matrices;
    if (!matmul_shape(a, true, &ma, &sa) || !matmul_shape(b, false, &mb, &sb) || ma.dims[1] != mb.dims[0] ||
        !ood_shape_broadcast(&sa, &sb, &stack) || !ood_shape_count(&stack, &matrices) || stack.rank + 2 > OOD_MAX_RANK)
        return misfit(err, "matmul");
    int64_t rows = ma.dims[0], depth = ma.dims[1], columns = mb.dims[1];
    struct ood_shape shape = stack;
    if (a->shape.rank > 1)
        shape.dims[shape.rank++] = rows;
    if (b->shape.rank > 1)
        shape.dims[shape.rank++] = columns;
    struct ood_tensor *y = ood_tensor_new(OOD_FLOAT32, &shape, err);
    const struct ood_tensor ta = { .shape = sa }, tb = { .shape = sb };
    for (size_t m = 0; y != NULL && m < matrices; m++) {
        int64_t index[OOD_MAX_RANK];
        index_of(&stack, m, index);
        const float *pa = ood_f32(a) + broadcast_offset(&ta, &stack, index) * (size_t)(rows * depth);
        const float *pb = ood_f32(b) + broadcast_offset(&tb, &stack, index) * (size_t)(depth * columns);
        for (int64_t i = 0; i < rows; i++)
            for (int64_t j = 0; j < columns; j++) {
                double sum = 0;
                for (int64_t k = 0; k < depth; k++)
                    sum += (double)pa[i * depth + k] * (double)pb[k * columns + j];
                ood_f32(y)[((int64_t)m * rows + i) * columns + j] = (float)sum;
            }
    }
    return y;
}

/* ---- over axes ---- */

struct ood_tensor *ood_reference_softmax(const struct ood_tensor *x, size_t axis, bool flat, bool logarithm,
                                         struct ood_error *err)
{
    if (axis >= x->shape.rank)
        return misfit(err, "softmax");
    struct ood_tensor *y = ood_tensor_copy(x, err);
    if (y == NULL || y->count == 0)
        return y;
    size_t size = 1, inner = 1;
    for (size_t i = axis; i < x->shape.rank; i++)
        *(i == axis || flat ? &size : &inner) *= (size_t)x->shape.dims[i];
    for (size_t start = 0; start < y->count; start++) {
        if (start / inner % size != 0)                        /* not the first of its group */
            continue;
        double most = -INFINITY, sum = 0;
        for (size_t i = 0; i < size; i++)
            most = fmax(most, (double)ood_f32(x)[start + i * inner]);
        for (size_t i = 0; i < size; i++)
            sum += exp((double)ood_f32(x)[start + i * inner] - most);
        for (size_t i = 0; i < size; i++) {
            double v = (double)ood_f32(x)[start + i * inner] - most;
            ood_f32(y)[start + i * inner] = (float)(logarithm ? v - log(sum) : exp(v) / sum);
        }
    }
    return y;
}

struct ood_tensor *ood_reference_reduce(const struct ood_tensor *x, const bool reduced[OOD_MAX_RANK], bool keep,
                                        enum ood_reference_reduce kind, struct ood_error *err)
{
    struct ood_shape kept = x->shape, shape = { .rank = 0 };
    for (size_t i = 0; i < x->shape.rank; i++) {
        if (reduced[i])
            kept.dims[i] = 1;
        if (!reduced[i] || keep)
            shape.dims[shape.rank++] = kept.dims[i];
    }
    struct ood_tensor *y = ood_tensor_new(OOD_FLOAT32, &shape, err);
    if (y == NULL)
        return NULL;
    const struct ood_tensor under = { .shape = kept };
    for (size_t target = 0; target < y->count; target++) {
        double sum = 0, most = -INFINITY;
        size_t count = 0;
        for (size_t i = 0; i < x->count; i++) {
            int64_t index[OOD_MAX_RANK];
            index_of(&x->shape, i, index);
            if (broadcast_offset(&under, &x->shape, index) != target)
                continue;
            sum += (double)ood_f32(x)[i];
            most = fmax(most, (double)ood_f32(x)[i]);
            count++;
        }
        ood_f32(y)[target] = (float)(kind == OOD_REFERENCE_MEAN ? sum / (double)count : most);
    }
    return y;
}
