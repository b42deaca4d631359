/* Passes over arrays: activations, two operands with broadcasting, scale and shift. Each element's arithmetic is the same in
 * a block of vectors, a single vector and the tail, so its bits do not depend on its place.
 *
 * Tails. A row of at least one vector ends with a vector that overlaps the one before: its inputs are loaded before anything
 * of the row is stored, so this holds in place too. Shorter rows go through a padded copy. */
#include "kernel/kernels_internal.h"

INLINE vec operate(enum ood_binary op, vec a, vec b)
{
    switch (op) {
    case OOD_BINARY_ADD: return a + b;
    case OOD_BINARY_SUB: return a - b;
    case OOD_BINARY_MUL: return a * b;
    case OOD_BINARY_DIV: return a / b;
    case OOD_BINARY_MAX: return greater(a, b);
    case OOD_BINARY_MIN: return less(a, b);
    case OOD_BINARY_PRELU: break;
    }
    return choose((vec_bits)(a < (vec){ 0 }), a * b, a);
}

INLINE void unary_vectors(float *y, const float *x, size_t count, const struct ood_unary_step *steps, size_t step_count)
{
    vec v[BLOCK];
    UNROLL for (size_t i = 0; i < count; i++)
        v[i] = load(x + i * VECTOR);
    apply_steps(v, count, steps, step_count);
    UNROLL for (size_t i = 0; i < count; i++)
        store(y + i * VECTOR, v[i]);
}

void KERNEL(ood_unary)(float *y, const float *x, size_t n, const struct ood_unary_step *steps, size_t step_count)
{
    size_t i = 0;
    for (; n - i >= BLOCK * VECTOR; i += BLOCK * VECTOR)
        unary_vectors(y + i, x + i, BLOCK, steps, step_count);
    for (; n - i >= VECTOR; i += VECTOR)
        unary_vectors(y + i, x + i, 1, steps, step_count);
    if (i < n) {
        vec v = load_part(x + i, n - i, 0);
        apply_steps(&v, 1, steps, step_count);
        store_part(y + i, n - i, v);
    }
}

/* ---- two operands ---- */

/* `count` vectors of a row; a and b are dense or one repeated value, both constants where this is inlined. */
INLINE void binary_vectors(enum ood_binary op, float *y, const float *a, bool a_dense, const float *b, bool b_dense,
                           size_t count, const struct ood_unary_step *steps, size_t step_count)
{
    vec v[BLOCK], w[BLOCK];
    UNROLL for (size_t i = 0; i < count; i++) {
        v[i] = a_dense ? load(a + i * VECTOR) : splat(*a);
        w[i] = b_dense ? load(b + i * VECTOR) : splat(*b);
    }
    switch (op) {                            /* once a block, not once a vector */
    case OOD_BINARY_ADD:
        UNROLL for (size_t i = 0; i < count; i++)
            v[i] = v[i] + w[i];
        break;
    case OOD_BINARY_SUB:
        UNROLL for (size_t i = 0; i < count; i++)
            v[i] = v[i] - w[i];
        break;
    case OOD_BINARY_MUL:
        UNROLL for (size_t i = 0; i < count; i++)
            v[i] = v[i] * w[i];
        break;
    case OOD_BINARY_DIV:
        UNROLL for (size_t i = 0; i < count; i++)
            v[i] = v[i] / w[i];
        break;
    case OOD_BINARY_PRELU:
        UNROLL for (size_t i = 0; i < count; i++)
            v[i] = operate(OOD_BINARY_PRELU, v[i], w[i]);
        break;
    case OOD_BINARY_MAX:
    case OOD_BINARY_MIN:
        UNROLL for (size_t i = 0; i < count; i++)
            v[i] = operate(op, v[i], w[i]);
        break;
    }
    apply_steps(v, count, steps, step_count);
    UNROLL for (size_t i = 0; i < count; i++)
        store(y + i * VECTOR, v[i]);
}

INLINE void binary_row(enum ood_binary op, float *y, const float *a, bool a_dense, const float *b, bool b_dense, size_t n,
                       const struct ood_unary_step *steps, size_t step_count)
{
    size_t tail = n % VECTOR;
    vec v = { 0 };
    if (n < VECTOR) {
        v = operate(op, a_dense ? load_part(a, n, 0) : splat(*a), b_dense ? load_part(b, n, 1) : splat(*b));
        apply_steps(&v, 1, steps, step_count);
        store_part(y, n, v);
        return;
    }
    if (tail > 0)
        v = operate(op, a_dense ? load(a + n - VECTOR) : splat(*a), b_dense ? load(b + n - VECTOR) : splat(*b));
    size_t i = 0;
    for (; n - i >= BLOCK * VECTOR; i += BLOCK * VECTOR)
        binary_vectors(op, y + i, a_dense ? a + i : a, a_dense, b_dense ? b + i : b, b_dense, BLOCK, steps, step_count);
    for (; n - i >= VECTOR; i += VECTOR)
        binary_vectors(op, y + i, a_dense ? a + i : a, a_dense, b_dense ? b + i : b, b_dense, 1, steps, step_count);
    if (tail > 0) {
        apply_steps(&v, 1, steps, step_count);
        store(y + n - VECTOR, v);
    }
}

void KERNEL(ood_binary)(enum ood_binary op, float *y, const float *a, const float *b, size_t n,
                        const struct ood_unary_step *steps, size_t step_count)
{
    if (n > 0)
        binary_row(op, y, a, true, b, true, n, steps, step_count);
}

static void broadcast_row(enum ood_binary op, float *y, const float *a, size_t a_stride, const float *b, size_t b_stride,
                          size_t n, const struct ood_unary_step *steps, size_t step_count)
{
    if (a_stride != 0 && b_stride != 0)
        binary_row(op, y, a, true, b, true, n, steps, step_count);
    else if (a_stride != 0)
        binary_row(op, y, a, true, b, false, n, steps, step_count);
    else if (b_stride != 0)
        binary_row(op, y, a, false, b, true, n, steps, step_count);
    else
        binary_row(op, y, a, false, b, false, n, steps, step_count);
}

void KERNEL(ood_broadcast)(enum ood_binary op, float *y, const float *a, const float *b, const struct ood_broadcast *walk,
                           const struct ood_unary_step *steps, size_t step_count)
{
    size_t inner = walk->rank - 1, n = walk->dims[inner], index[OOD_BROADCAST_RANK] = { 0 };
    for (size_t i = 0; i < walk->rank; i++)
        if (walk->dims[i] == 0)
            return;
    for (;;) {
        broadcast_row(op, y, a, walk->a_strides[inner], b, walk->b_strides[inner], n, steps, step_count);
        y += n;
        size_t i = inner;
        for (; i > 0; i--) {
            a += walk->a_strides[i - 1];
            b += walk->b_strides[i - 1];
            if (++index[i - 1] < walk->dims[i - 1])
                break;
            a -= walk->a_strides[i - 1] * walk->dims[i - 1];
            b -= walk->b_strides[i - 1] * walk->dims[i - 1];
            index[i - 1] = 0;
        }
        if (i == 0)
            return;
    }
}

/* ---- scale and shift ---- */

INLINE void scale_shift_vectors(float *y, const float *x, const float *scale, const float *shift, const float *sum,
                                size_t count, const struct ood_unary_step *steps, size_t step_count)
{
    vec v[BLOCK];
    UNROLL for (size_t i = 0; i < count; i++)
        v[i] = multiply_add(load(x + i * VECTOR), load(scale + i * VECTOR), load(shift + i * VECTOR));
    if (sum != NULL) {
        UNROLL for (size_t i = 0; i < count; i++)
            v[i] = v[i] + load(sum + i * VECTOR);
    }
    apply_steps(v, count, steps, step_count);
    UNROLL for (size_t i = 0; i < count; i++)
        store(y + i * VECTOR, v[i]);
}

/* channels >= VECTOR: row by row. */
static void scale_shift_wide(float *y, const float *x, const float *scale, const float *shift, const float *sum,
                             size_t rows, size_t channels, const struct ood_unary_step *steps, size_t step_count)
{
    size_t tail = channels % VECTOR, last = channels - VECTOR;
    for (size_t row = 0; row < rows; row++, y += channels, x += channels) {
        vec v = { 0 };
        if (tail > 0) {
            v = multiply_add(load(x + last), load(scale + last), load(shift + last));
            if (sum != NULL)
                v = v + load(sum + last);
        }
        size_t i = 0;
        for (; channels - i >= BLOCK * VECTOR; i += BLOCK * VECTOR)
            scale_shift_vectors(y + i, x + i, scale + i, shift + i, sum != NULL ? sum + i : NULL, BLOCK, steps, step_count);
        for (; channels - i >= VECTOR; i += VECTOR)
            scale_shift_vectors(y + i, x + i, scale + i, shift + i, sum != NULL ? sum + i : NULL, 1, steps, step_count);
        if (tail > 0) {
            apply_steps(&v, 1, steps, step_count);
            store(y + last, v);
        }
        if (sum != NULL)
            sum += channels;
    }
}

/* Few channels, or a number that is no multiple of a block: the array as one run, with scale and shift written out cyclically
 * far enough that a block can begin at any channel. */
#define PERIODIC_MOST 1024

static void scale_shift_periodic(float *y, const float *x, const float *scale, const float *shift, const float *sum,
                                 size_t rows, size_t channels, const struct ood_unary_step *steps, size_t step_count)
{
    float scales[PERIODIC_MOST + BLOCK * VECTOR], shifts[PERIODIC_MOST + BLOCK * VECTOR];
    for (size_t i = 0, c = 0; i < channels + BLOCK * VECTOR; i++, c = c + 1 < channels ? c + 1 : 0) {
        scales[i] = scale[c];
        shifts[i] = shift[c];
    }
    size_t n = rows * channels, i = 0, channel = 0, advance = BLOCK * VECTOR % channels;
    for (; n - i >= BLOCK * VECTOR; i += BLOCK * VECTOR) {
        scale_shift_vectors(y + i, x + i, scales + channel, shifts + channel, sum != NULL ? sum + i : NULL, BLOCK,
                            steps, step_count);
        channel += advance;
        channel = channel >= channels ? channel - channels : channel;
    }
    for (size_t part; i < n; i += part, channel = (channel + part) % channels) {
        part = n - i < VECTOR ? n - i : VECTOR;
        vec v = multiply_add(load_part(x + i, part, 0), load(scales + channel), load(shifts + channel));
        if (sum != NULL)
            v = v + load_part(sum + i, part, 0);
        apply_steps(&v, 1, steps, step_count);
        store_part(y + i, part, v);
    }
}

void KERNEL(ood_scale_shift)(float *y, const float *x, const float *scale, const float *shift, const float *sum,
                             size_t rows, size_t channels, const struct ood_unary_step *steps, size_t step_count)
{
    if (rows == 0 || channels == 0)
        return;
    if (channels < VECTOR || (channels % (BLOCK * VECTOR) != 0 && channels <= PERIODIC_MOST && rows >= 8))
        scale_shift_periodic(y, x, scale, shift, sum, rows, channels, steps, step_count);
    else
        scale_shift_wide(y, x, scale, shift, sum, rows, channels, steps, step_count);
}
