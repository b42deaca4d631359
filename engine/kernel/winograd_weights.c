/* Weights for the Winograd kernel: G·g·Gᵀ in double, rounded once. */
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

void KERNEL(ood_winograd_weights)(float *out, const float *weights, size_t channels, size_t out_channels)
{
    const size_t vectors = (out_channels + VECTOR - 1) / VECTOR, plane = vectors * VECTOR * channels;
    double g[IN][3];
    make_g(g);
    for (size_t k = 0; k < vectors * VECTOR; k++) {
        size_t panel = k / (2 * VECTOR), width = vectors - 2 * panel < 2 ? VECTOR : 2 * VECTOR;
        float *to = out + panel * 2 * VECTOR * channels + k % (2 * VECTOR);
        for (size_t c = 0; c < channels; c++, to += width) {
            if (k >= out_channels) {
                for (size_t p = 0; p < PLANES; p++)
                    to[p * plane] = 0;
                continue;
            }
            const float *w = weights + (k * channels + c) * 9;
            double half[IN][3];
            for (size_t i = 0; i < IN; i++)
                for (size_t j = 0; j < 3; j++)
                    half[i][j] = g[i][0] * (double)w[j] + g[i][1] * (double)w[3 + j] + g[i][2] * (double)w[6 + j];
            for (size_t i = 0; i < IN; i++)
                for (size_t j = 0; j < IN; j++)
                    to[(i * IN + j) * plane] = (float)(half[i][0] * g[j][0] + half[i][1] * g[j][1] + half[i][2] * g[j][2]);
        }
    }
}
