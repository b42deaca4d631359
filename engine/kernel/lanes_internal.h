/* Reductions of one vector's lanes. */
#ifndef OOD_KERNEL_LANES_INTERNAL_H
#define OOD_KERNEL_LANES_INTERNAL_H

#include "kernel/vector_internal.h"

/* Two partial results. */
INLINE vec combine(enum ood_reduction reduction, vec a, vec b)
{
    return reduction == OOD_REDUCE_MAX    ? greater(a, b)
           : reduction == OOD_REDUCE_MIN  ? less(a, b)
           : reduction == OOD_REDUCE_PROD ? a * b
                                          : a + b;
}

/* Lanes i + half beside lanes i. */
#if VECTOR == 16
#define UPPER(v, half) __builtin_shufflevector(v, v, (half) + 0, (half) + 1, (half) + 2, (half) + 3, (half) + 4, (half) + 5, (half) + 6, (half) + 7, \
                                               0, 1, 2, 3, 4, 5, 6, 7)
#elif VECTOR == 8
#define UPPER(v, half) __builtin_shufflevector(v, v, (half) + 0, (half) + 1, (half) + 2, (half) + 3, 0, 1, 2, 3)
#else
#define UPPER(v, half) __builtin_shufflevector(v, v, (half) + 0, (half) + 1, 0, 1)
#endif

/* Lanes in halves: each lane of the lower half with its partner of the upper. */
INLINE float reduce_lanes(enum ood_reduction reduction, vec v)
{
#if VECTOR == 16
    v = combine(reduction, v, UPPER(v, 8));
#endif
#if VECTOR >= 8
    v = combine(reduction, v, UPPER(v, 4));
#endif
    v = combine(reduction, v, UPPER(v, 2));
    v = combine(reduction, v, UPPER(v, 1));
    return v[0];
}

#endif
