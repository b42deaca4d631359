/* Weighted sums of a few places along one dimension: what resizing comes down to, one dimension at a time. */
#include "kernel/kernels_internal.h"

/* One output row of `inner` floats from `taps` rows of the source. */
static void weigh_rows(float *y, const float *x, const struct ood_tap *taps, size_t count, size_t inner)
{
    size_t i = 0;
    for (; inner - i >= VECTOR; i += VECTOR) {
        vec sum = load(x + taps[0].place * inner + i) * splat(taps[0].weight);
        for (size_t t = 1; t < count; t++)
            sum = multiply_add(load(x + taps[t].place * inner + i), splat(taps[t].weight), sum);
        store(y + i, sum);
    }
    if (i < inner) {
        vec sum = load_part(x + taps[0].place * inner + i, inner - i, 0) * splat(taps[0].weight);
        for (size_t t = 1; t < count; t++)
            sum = multiply_add(load_part(x + taps[t].place * inner + i, inner - i, 0), splat(taps[t].weight), sum);
        store_part(y + i, inner - i, sum);
    }
}

static void weigh_single(float *y, const float *x, const struct ood_tap *taps, size_t count, size_t to)
{
    for (size_t j = 0; j < to; j++, taps += count) {
        float sum = 0;
        for (size_t t = 0; t < count; t++)
            sum += x[taps[t].place] * taps[t].weight;
        y[j] = sum;
    }
}

void KERNEL(ood_resample)(float *y, const float *x, const struct ood_tap *taps, size_t tap_count, size_t outer, size_t from,
                          size_t to, size_t inner)
{
    for (size_t o = 0; o < outer; o++, x += from * inner, y += to * inner) {
        if (inner == 1 && tap_count > 1) {
            weigh_single(y, x, taps, tap_count, to);
            continue;
        }
        for (size_t j = 0; j < to; j++) {
            if (tap_count > 1)
                weigh_rows(y + j * inner, x, taps + j * tap_count, tap_count, inner);
            else if (inner == 1)
                y[j] = x[taps[j].place];
            else
                memcpy(y + j * inner, x + taps[j].place * inner, inner * sizeof *y);
        }
    }
}
