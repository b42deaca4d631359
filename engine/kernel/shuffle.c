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

/* What n columns leave behind whole vectors: woven they are nothing, less than a vector, one, or more. */
enum rest { NONE, LESS, ONE, MORE };

INLINE enum rest rest_of(size_t n)
{
    const size_t woven = n % VECTOR * 2;
    return woven == 0 ? NONE : woven < VECTOR ? LESS : woven == VECTOR ? ONE : MORE;
}

/* rest is a constant where this is inlined: a loop over rows of what each needs. */
INLINE void weave(float *y, size_t y_stride, const float *a, const float *b, size_t x_stride, size_t rows, size_t n, enum rest rest)
{
    const size_t whole = n - n % VECTOR, part = n % VECTOR;
    for (size_t r = 0; r < rows; r++, y += y_stride, a += x_stride, b += x_stride) {
        for (size_t i = 0; i < whole; i += VECTOR) {
            const vec p = load(a + i), q = load(b + i);
            store(y + 2 * i, LOW(p, q));
            store(y + 2 * i + VECTOR, HIGH(p, q));
        }
        if (rest == NONE)
            continue;
        const vec p = load_part(a + whole, part, 0), q = load_part(b + whole, part, 0);
        if (rest == LESS)
            store_part(y + 2 * whole, 2 * part, LOW(p, q));
        else
            store(y + 2 * whole, LOW(p, q));
        if (rest == MORE)
            store_part(y + 2 * whole + VECTOR, 2 * part - VECTOR, HIGH(p, q));
    }
}

INLINE void unravel(float *a, float *b, size_t y_stride, const float *x, size_t x_stride, size_t rows, size_t n, enum rest rest)
{
    const size_t whole = n - n % VECTOR, part = n % VECTOR;
    for (size_t r = 0; r < rows; r++, a += y_stride, b += y_stride, x += x_stride) {
        for (size_t i = 0; i < whole; i += VECTOR) {
            const vec p = load(x + 2 * i), q = load(x + 2 * i + VECTOR);
            store(a + i, EVEN(p, q));
            store(b + i, ODD(p, q));
        }
        if (rest == NONE)
            continue;
        const vec p = rest == LESS ? load_part(x + 2 * whole, 2 * part, 0) : load(x + 2 * whole);
        const vec q = rest == MORE ? load_part(x + 2 * whole + VECTOR, 2 * part - VECTOR, 0) : (vec){ 0 };
        store_part(a + whole, part, EVEN(p, q));
        store_part(b + whole, part, ODD(p, q));
    }
}

void KERNEL(ood_interleave)(float *y, size_t y_stride, const float *a, const float *b, size_t x_stride, size_t rows, size_t n)
{
    switch (rest_of(n)) {
    case NONE: weave(y, y_stride, a, b, x_stride, rows, n, NONE); break;
    case LESS: weave(y, y_stride, a, b, x_stride, rows, n, LESS); break;
    case ONE: weave(y, y_stride, a, b, x_stride, rows, n, ONE); break;
    case MORE: weave(y, y_stride, a, b, x_stride, rows, n, MORE); break;
    }
}

void KERNEL(ood_deinterleave)(float *a, float *b, size_t y_stride, const float *x, size_t x_stride, size_t rows, size_t n)
{
    switch (rest_of(n)) {
    case NONE: unravel(a, b, y_stride, x, x_stride, rows, n, NONE); break;
    case LESS: unravel(a, b, y_stride, x, x_stride, rows, n, LESS); break;
    case ONE: unravel(a, b, y_stride, x, x_stride, rows, n, ONE); break;
    case MORE: unravel(a, b, y_stride, x, x_stride, rows, n, MORE); break;
    }
}
