/* Passes of training over rows of channels (kernel/training.h). */
#include "kernel/kernels_internal.h"
#include "kernel/training.h"

#define RUN 32                               /* rows summed as float32 before they join the total in double */

INLINE void add_to(double *total, vec part, size_t lanes)
{
    float values[VECTOR];
    store(values, part);
    for (size_t i = 0; i < lanes; i++)
        total[i] += (double)values[i];
}

/* ---- statistics ---- */

/* Up to BLOCK vectors of channels; `part` lanes of the only one where it is less than a vector. Values are taken relative to the first row's, so that
 * a mean far from zero costs no digits. */
INLINE void moments_of(double *mean, double *m2, const float *x, size_t rows, size_t channels, size_t count, size_t part)
{
    vec origin[BLOCK], sum[BLOCK], square[BLOCK];
    double sums[BLOCK * VECTOR] = { 0 }, squares[BLOCK * VECTOR] = { 0 };
    UNROLL for (size_t i = 0; i < count; i++)
        origin[i] = part < VECTOR ? load_part(x, part, 0) : load(x + i * VECTOR);
    for (size_t row = 0; row < rows; row += RUN) {
        const size_t end = rows - row < RUN ? rows : row + RUN;
        UNROLL for (size_t i = 0; i < count; i++)
            sum[i] = square[i] = (vec){ 0 };
        for (size_t r = row; r < end; r++)
            UNROLL for (size_t i = 0; i < count; i++) {
                const vec d = (part < VECTOR ? load_part(x + r * channels, part, 0) : load(x + r * channels + i * VECTOR)) - origin[i];
                sum[i] += d;
                square[i] = multiply_add(d, d, square[i]);
            }
        UNROLL for (size_t i = 0; i < count; i++) {
            add_to(sums + i * VECTOR, sum[i], VECTOR);
            add_to(squares + i * VECTOR, square[i], VECTOR);
        }
    }
    const double n = (double)rows;
    for (size_t i = 0; i < (part < VECTOR ? part : count * VECTOR); i++) {
        mean[i] = (double)x[i] + sums[i] / n;
        m2[i] = squares[i] - sums[i] * sums[i] / n;
        m2[i] = m2[i] < 0 ? 0 : m2[i];
    }
}

void KERNEL(ood_moments)(double *mean, double *m2, const float *x, size_t rows, size_t channels)
{
    size_t c = 0;
    if (rows == 0)
        return;
    for (; channels - c >= BLOCK * VECTOR; c += BLOCK * VECTOR)
        moments_of(mean + c, m2 + c, x + c, rows, channels, BLOCK, VECTOR);
    for (; channels - c >= VECTOR; c += VECTOR)
        moments_of(mean + c, m2 + c, x + c, rows, channels, 1, VECTOR);
    if (c < channels)
        moments_of(mean + c, m2 + c, x + c, rows, channels, 1, channels - c);
}

/* ---- the gradient of a batch normalisation ---- */

INLINE vec load_lanes(const float *p, size_t part) { return part < VECTOR ? load_part(p, part, 0) : load(p); }

/* g where the activation lets it through; a NaN in y is let through, as the forward pass lets it. */
INLINE vec gated(const struct ood_gate *gate, vec g, vec x, vec scale, vec shift)
{
    const vec y = multiply_add(x, scale, shift);
    const vec_bits shut = (vec_bits)(y <= splat(gate->low)) | (vec_bits)(y >= splat(gate->high));
    return (vec)((vec_bits)g & ~shut);
}

INLINE void sums_of(const struct ood_norm_gradient_call *call, size_t c, size_t count, size_t part, bool open, bool product)
{
    const size_t lanes = part < VECTOR ? part : VECTOR;
    vec scale[BLOCK], shift[BLOCK], mean[BLOCK], sum[BLOCK], dot[BLOCK];
    double sums[BLOCK * VECTOR] = { 0 }, dots[BLOCK * VECTOR] = { 0 };
    UNROLL for (size_t i = 0; i < count; i++) {
        scale[i] = open ? (vec){ 0 } : load_lanes(call->gate.scale + c + i * VECTOR, part);
        shift[i] = open ? (vec){ 0 } : load_lanes(call->gate.shift + c + i * VECTOR, part);
        mean[i] = product ? load_lanes(call->mean + c + i * VECTOR, part) : (vec){ 0 };
    }
    for (size_t row = 0; row < call->rows; row += RUN) {
        const size_t end = call->rows - row < RUN ? call->rows : row + RUN;
        UNROLL for (size_t i = 0; i < count; i++)
            sum[i] = dot[i] = (vec){ 0 };
        for (size_t r = row; r < end; r++)
            UNROLL for (size_t i = 0; i < count; i++) {
                const size_t at = r * call->channels + c + i * VECTOR;
                vec g = load_lanes(call->g + at, part);
                const vec x = open && !product ? (vec){ 0 } : load_lanes(call->x + at, part);
                g = open ? g : gated(&call->gate, g, x, scale[i], shift[i]);
                sum[i] += g;
                dot[i] = product ? multiply_add(g, x - mean[i], dot[i]) : dot[i];
            }
        UNROLL for (size_t i = 0; i < count; i++) {
            add_to(sums + i * VECTOR, sum[i], VECTOR);
            if (product)
                add_to(dots + i * VECTOR, dot[i], VECTOR);
        }
    }
    memcpy(call->sum + c, sums, ((count - 1) * VECTOR + lanes) * sizeof *sums);
    if (product)
        memcpy(call->product + c, dots, ((count - 1) * VECTOR + lanes) * sizeof *dots);
}

INLINE void sums_all(const struct ood_norm_gradient_call *call, bool open, bool product)
{
    size_t c = 0;
    for (; call->channels - c >= BLOCK * VECTOR; c += BLOCK * VECTOR)
        sums_of(call, c, BLOCK, VECTOR, open, product);
    for (; call->channels - c >= VECTOR; c += VECTOR)
        sums_of(call, c, 1, VECTOR, open, product);
    if (c < call->channels)
        sums_of(call, c, 1, call->channels - c, open, product);
}

void KERNEL(ood_norm_gradient_sums)(const struct ood_norm_gradient_call *call)
{
    if (call->product == NULL)
        sums_all(call, call->gate.open, false);
    else if (call->gate.open)
        sums_all(call, true, true);
    else
        sums_all(call, false, true);
}

INLINE void apply_of(const struct ood_norm_gradient_call *call, size_t c, size_t count, size_t part, bool open, bool centred)
{
    vec scale[BLOCK], shift[BLOCK], mean[BLOCK], a[BLOCK], b[BLOCK], k[BLOCK];
    UNROLL for (size_t i = 0; i < count; i++) {
        const size_t at = c + i * VECTOR;
        scale[i] = open ? (vec){ 0 } : load_lanes(call->gate.scale + at, part);
        shift[i] = open ? (vec){ 0 } : load_lanes(call->gate.shift + at, part);
        mean[i] = centred ? load_lanes(call->mean + at, part) : (vec){ 0 };
        a[i] = load_lanes(call->a + at, part);
        b[i] = centred ? load_lanes(call->b + at, part) : (vec){ 0 };
        k[i] = centred ? load_lanes(call->c + at, part) : (vec){ 0 };
    }
    for (size_t r = 0; r < call->rows; r++)
        UNROLL for (size_t i = 0; i < count; i++) {
            const size_t at = r * call->channels + c + i * VECTOR;
            vec g = load_lanes(call->g + at, part);
            const vec x = open && !centred ? (vec){ 0 } : load_lanes(call->x + at, part);
            g = open ? g : gated(&call->gate, g, x, scale[i], shift[i]);
            vec d = a[i] * g;
            d = centred ? multiply_add(b[i], x - mean[i], d) + k[i] : d;
            if (call->add)
                d += load_lanes(call->dx + at, part);
            if (part < VECTOR)
                store_part(call->dx + at, part, d);
            else
                store(call->dx + at, d);
        }
}

INLINE void apply_all(const struct ood_norm_gradient_call *call, bool open, bool centred)
{
    size_t c = 0;
    for (; call->channels - c >= BLOCK * VECTOR; c += BLOCK * VECTOR)
        apply_of(call, c, BLOCK, VECTOR, open, centred);
    for (; call->channels - c >= VECTOR; c += VECTOR)
        apply_of(call, c, 1, VECTOR, open, centred);
    if (c < call->channels)
        apply_of(call, c, 1, call->channels - c, open, centred);
}

void KERNEL(ood_norm_gradient_apply)(const struct ood_norm_gradient_call *call)
{
    if (call->gate.open)
        apply_all(call, true, call->b != NULL);
    else
        apply_all(call, false, call->b != NULL);
}

/* ---- the gradient of an activation, from its output ---- */

INLINE vec activation_slope(vec y, const struct ood_unary_step *step)
{
    const vec one = splat(1.0f);
    switch (step->function) {
    case OOD_UNARY_RELU:
        return choose((vec_bits)(y <= (vec){ 0 }), (vec){ 0 }, one);
    case OOD_UNARY_LEAKY_RELU:
        return choose((vec_bits)(y < (vec){ 0 }), splat(step->alpha), one);
    case OOD_UNARY_CLIP:
        return choose((vec_bits)(y <= splat(step->alpha)) | (vec_bits)(y >= splat(step->beta)), (vec){ 0 }, one);
    case OOD_UNARY_SIGMOID:
        return y * (one - y);
    case OOD_UNARY_HARD_SIGMOID:
        return choose((vec_bits)(y <= (vec){ 0 }) | (vec_bits)(y >= one), (vec){ 0 }, splat(step->alpha));
    case OOD_UNARY_HARD_SWISH:               /* of x */
        return choose((vec_bits)(y <= splat(-3.0f)), (vec){ 0 },
                      choose((vec_bits)(y >= splat(3.0f)), one, multiply_add(y, splat(1.0f / 3), splat(0.5f))));
    default:
        return one;
    }
}

void KERNEL(ood_unary_gradient)(float *dx, bool add, const float *g, const float *y, size_t n, const struct ood_unary_step *step)
{
    for (size_t i = 0; i < n; i += VECTOR) {
        const size_t part = n - i < VECTOR ? n - i : VECTOR;
        vec d = load_lanes(g + i, part) * activation_slope(load_lanes(y + i, part), step);
        if (add)
            d += load_lanes(dx + i, part);
        if (part < VECTOR)
            store_part(dx + i, part, d);
        else
            store(dx + i, d);
    }
}
