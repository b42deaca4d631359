/* Two rows woven into one by turns, and taken apart again: channel shuffles of two groups, a row a pixel. */
#include "kernel/kernels_internal.h"

#if VECTOR == 16
#define LOW(a, b) __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)
#define HIGH(a, b) __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31)
#define EVEN(a, b) __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30)
#define ODD(a, b) __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31)
#elif VECTOR == 8
#define LOW(a, b) __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11)
#define HIGH(a, b) __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15)
#define EVEN(a, b) __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14)
#define ODD(a, b) __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15)
#else
#define LOW(a, b) __builtin_shufflevector(a, b, 0, 4, 1, 5)
#define HIGH(a, b) __builtin_shufflevector(a, b, 2, 6, 3, 7)
#define EVEN(a, b) __builtin_shufflevector(a, b, 0, 2, 4, 6)
#define ODD(a, b) __builtin_shufflevector(a, b, 1, 3, 5, 7)
#endif

void KERNEL(ood_interleave)(float *y, size_t y_stride, const float *a, const float *b, size_t x_stride, size_t rows, size_t n)
{
    for (size_t r = 0; r < rows; r++, y += y_stride, a += x_stride, b += x_stride) {
        size_t i = 0;
        for (; n - i >= VECTOR; i += VECTOR) {
            const vec p = load(a + i), q = load(b + i);
            store(y + 2 * i, LOW(p, q));
            store(y + 2 * i + VECTOR, HIGH(p, q));
        }
        const size_t rest = n - i;
        if (rest == 0)
            continue;
        const vec p = load_part(a + i, rest, 0), q = load_part(b + i, rest, 0);
        if (2 * rest < VECTOR) {
            store_part(y + 2 * i, 2 * rest, LOW(p, q));
            continue;
        }
        store(y + 2 * i, LOW(p, q));
        if (2 * rest > VECTOR)
            store_part(y + 2 * i + VECTOR, 2 * rest - VECTOR, HIGH(p, q));
    }
}

void KERNEL(ood_deinterleave)(float *a, float *b, size_t y_stride, const float *x, size_t x_stride, size_t rows, size_t n)
{
    for (size_t r = 0; r < rows; r++, a += y_stride, b += y_stride, x += x_stride) {
        size_t i = 0;
        for (; n - i >= VECTOR; i += VECTOR) {
            const vec p = load(x + 2 * i), q = load(x + 2 * i + VECTOR);
            store(a + i, EVEN(p, q));
            store(b + i, ODD(p, q));
        }
        const size_t rest = n - i;
        if (rest == 0)
            continue;
        vec p, q = { 0 };
        if (2 * rest < VECTOR) {
            p = load_part(x + 2 * i, 2 * rest, 0);
        } else {
            p = load(x + 2 * i);
            if (2 * rest > VECTOR)
                q = load_part(x + 2 * i + VECTOR, 2 * rest - VECTOR, 0);
        }
        store_part(a + i, rest, EVEN(p, q));
        store_part(b + i, rest, ODD(p, q));
    }
}
