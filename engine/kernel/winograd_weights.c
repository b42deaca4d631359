/* Weights for the Winograd kernel: G·g·Gᵀ in double, rounded once; for the data pass those of the rotated window; and the
 * gradient back: Gᵀ·dU·G, likewise. */
#include <stdint.h>

#include "kernel/winograd_internal.h"

size_t KERNEL(ood_winograd_weights_floats)(size_t channels, size_t out_channels)
{
    size_t columns, floats;
    if (__builtin_add_overflow(out_channels, (size_t)VECTOR - 1, &columns) ||
        __builtin_mul_overflow(columns / VECTOR * VECTOR, channels, &floats) ||
        __builtin_mul_overflow(floats, (size_t)PLANES, &floats) || floats > SIZE_MAX / sizeof(float))
        return 0;
    return floats;
}

static void make_g(double g[IN][3])
{
    static const double points[IN - 1] = { 0, POINT_A, -POINT_A, POINT_B, -POINT_B };
    for (size_t p = 0; p < IN - 1; p++) {
        double n = 1;
        for (size_t q = 0; q < IN - 1; q++)
            n *= p == q ? 1 : points[p] - points[q];
        g[p][0] = 1 / n;
        g[p][1] = points[p] / n;
        g[p][2] = points[p] * points[p] / n;
    }
    g[IN - 1][0] = g[IN - 1][1] = 0;
    g[IN - 1][2] = 1;
}

/* Half a vector's lanes, in double. */
#define LANES (VECTOR / 2)
typedef double lanes __attribute__((vector_size(VECTOR * 4)));
typedef float narrow __attribute__((vector_size(VECTOR * 2)));

INLINE lanes combine(const double g[3], lanes a, lanes b, lanes c) { return g[0] * a + g[1] * b + g[2] * c; }

/* G·g·Gᵀ of LANES pairs of channels into their place on the 36 planes. */
INLINE void transform(float *to, size_t plane, const double g[IN][3], const lanes w[9])
{
    lanes half[IN][3];
    for (size_t i = 0; i < IN; i++)
        UNROLL for (size_t j = 0; j < 3; j++)
            half[i][j] = combine(g[i], w[j], w[3 + j], w[6 + j]);
    for (size_t i = 0; i < IN; i++)
        for (size_t j = 0; j < IN; j++) {
            narrow rounded = __builtin_convertvector(combine(g[j], half[i][0], half[i][1], half[i][2]), narrow);
            memcpy(to + (i * IN + j) * plane, &rounded, sizeof rounded);
        }
}

/* How the weights are read: floats from one to the next, and whether by the window's end first. */
struct order { size_t channel, out_channel; bool rotated; };

#define AT_ONCE 4                            /* channels: planes lie whole pages apart, so a few lines of each are written together */

/* n channels of LANES out channels from `weights` on; `there` of these exist. w[channel][window][lane]. */
INLINE void gather(lanes w[AT_ONCE][9], const float *weights, size_t n, size_t there, struct order order)
{
    double numbers[AT_ONCE][9][LANES] = { 0 };
    for (size_t lane = 0; lane < there; lane++)
        for (size_t c = 0; c < n; c++) {
            const float *from = weights + lane * order.out_channel + c * order.channel;
            UNROLL for (size_t i = 0; i < 9; i++)
                numbers[c][i][lane] = (double)from[order.rotated ? 8 - i : i];
        }
    memcpy(w, numbers, sizeof numbers);
}

/* A panel's `n` channels from c on into its place on the planes. */
INLINE void make_panel(float *to, size_t plane, const float *weights, const double g[IN][3], size_t n, size_t width, size_t there,
                       struct order order)
{
    float block[PLANES][AT_ONCE * 2 * VECTOR];
    for (size_t k = 0; k < width; k += LANES) {
        lanes w[AT_ONCE][9];
        gather(w, weights + k * order.out_channel, n, k >= there ? 0 : there - k < LANES ? there - k : LANES, order);
        for (size_t c = 0; c < n; c++)
            transform(block[0] + c * width + k, AT_ONCE * 2 * VECTOR, g, w[c]);
    }
    for (size_t p = 0; p < PLANES; p++)
        memcpy(to + p * plane, block[p], n * width * sizeof *to);
}

static void make_u(float *out, const float *weights, size_t channels, size_t out_channels, struct order order)
{
    const size_t vectors = (out_channels + VECTOR - 1) / VECTOR, plane = vectors * VECTOR * channels;
    double g[IN][3];
    make_g(g);
    for (size_t k = 0; k < vectors * VECTOR; k += 2 * VECTOR) {
        const size_t width = vectors * VECTOR - k < 2 * VECTOR ? VECTOR : 2 * VECTOR, there = out_channels - k;
        for (size_t c = 0; c < channels; c += AT_ONCE) {
            const float *from = weights + k * order.out_channel + c * order.channel;
            float *to = out + k * channels + c * width;
            if (channels - c >= AT_ONCE)
                make_panel(to, plane, from, g, AT_ONCE, width, there, order);
            else
                make_panel(to, plane, from, g, channels - c, width, there, order);
        }
    }
}

void KERNEL(ood_winograd_weights)(float *out, const float *weights, size_t channels, size_t out_channels)
{
    make_u(out, weights, channels, out_channels, (struct order){ 9, 9 * channels, false });
}

void KERNEL(ood_winograd_data_weights)(float *out, const float *weights, size_t channels, size_t out_channels)
{
    make_u(out, weights, out_channels, channels, (struct order){ 9 * channels, 9, true });
}

/* ---- and back ---- */

/* Gᵀ·dU·G of LANES pairs of channels, from their place on the 36 planes. */
INLINE void transform_back(lanes w[9], const float *from, size_t plane, const double g[IN][3])
{
    lanes half[3][IN];
    memset(half, 0, sizeof half);
    for (size_t j = 0; j < IN; j++)
        UNROLL for (size_t i = 0; i < IN; i++) {
            narrow value;
            memcpy(&value, from + (i * IN + j) * plane, sizeof value);
            UNROLL for (size_t r = 0; r < 3; r++)
                half[r][j] += g[i][r] * __builtin_convertvector(value, lanes);
        }
    UNROLL for (size_t r = 0; r < 3; r++)
        UNROLL for (size_t s = 0; s < 3; s++) {
            lanes sum = { 0 };
            UNROLL for (size_t j = 0; j < IN; j++)
                sum += g[j][s] * half[r][j];
            w[r * 3 + s] = sum;
        }
}

void KERNEL(ood_winograd_weights_back)(const struct winograd_block *block, const float *du, float *weights, bool add)
{
    const size_t channels = block->call->shape->channels, out_channels = block->call->shape->out_channels;
    const size_t rows = block->in_vectors * VECTOR, plane = block->out_vectors * VECTOR * rows;
    double g[IN][3];
    make_g(g);
    for (size_t k = 0; k < out_channels; k += LANES) {
        const size_t panel = k / (2 * VECTOR), width = block->out_vectors - 2 * panel < 2 ? VECTOR : 2 * VECTOR;
        const float *from = du + panel * 2 * VECTOR * rows + k % (2 * VECTOR);
        for (size_t c = 0; c < channels; c++, from += width) {
            lanes w[9];
            transform_back(w, from, plane, g);
            for (size_t lane = 0; lane < LANES && k + lane < out_channels; lane++) {
                float *to = weights + ((k + lane) * channels + c) * 9;
                for (size_t i = 0; i < 9; i++)
                    to[i] = add ? to[i] + (float)w[i][lane] : (float)w[i][lane];
            }
        }
    }
}
