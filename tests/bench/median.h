/* Of a bench's rounds. */
#ifndef OOD_TESTS_BENCH_MEDIAN_H
#define OOD_TESTS_BENCH_MEDIAN_H

#include <stdlib.h>

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* Sorts x[n]. */
static double median(double *x, size_t n)
{
    qsort(x, n, sizeof *x, ascending);
    return x[n / 2];
}

#endif
