/* Our own arithmetic over plain arrays: knows neither graph nor oneDNN. One source (kernels.c), compiled once per
 * instruction set; ood_kernels_choose takes the best this CPU can do, limited by the variable that limits oneDNN
 * (ONEDNN_MAX_CPU_ISA). All arrays are float32, distinct or exactly equal (in place) where said. Sums run in a fixed order
 * that depends on the index summed over alone, so a picture's bits depend on neither batch nor place. */
#ifndef OOD_KERNEL_KERNEL_H
#define OOD_KERNEL_KERNEL_H

#include <stdbool.h>
#include <stddef.h>

enum ood_unary { OOD_UNARY_RELU, OOD_UNARY_LEAKY_RELU, OOD_UNARY_CLIP, OOD_UNARY_SIGMOID };
enum ood_binary { OOD_BINARY_ADD, OOD_BINARY_SUB, OOD_BINARY_MUL, OOD_BINARY_DIV };

/* y = f(x) in sequence; alpha, beta as ood_post. */
struct ood_unary_step { enum ood_unary function; float alpha, beta; };

struct ood_kernels {
    const char *isa;                         /* "baseline", "avx2", "avx512" */

    /* y[i] = steps(x[i]); in place allowed. */
    void (*unary)(float *y, const float *x, size_t n, const struct ood_unary_step *steps, size_t step_count);

    /* y[i] = a[i] op b[i]; in place with either allowed; then steps. */
    void (*binary)(enum ood_binary op, float *y, const float *a, const float *b, size_t n,
                   const struct ood_unary_step *steps, size_t step_count);

    /* y[r][c] = steps(x[r][c] * scale[c] + shift[c] (+ sum[r][c] if not NULL)); rows × channels; in place allowed. */
    void (*scale_shift)(float *y, const float *x, const float *scale, const float *shift, const float *sum,
                        size_t rows, size_t channels, const struct ood_unary_step *steps, size_t step_count);

    /* C[m][n] = steps(A[m][k] · B[k][n] + bias[n]); B packed by pack_b, bias NULL or [n]. Each element's sum runs over k in
     * order, whatever m: the same bits for a row alone or among others. */
    size_t (*packed_b_floats)(size_t k, size_t n);
    void (*pack_b)(float *packed, const float *b, size_t k, size_t n, size_t row_stride, size_t column_stride);
    void (*product)(float *c, const float *a, const float *packed, const float *bias, size_t m, size_t k, size_t n,
                    const struct ood_unary_step *steps, size_t step_count);

    /* y[c] = mean over rows of x[row][c], for each of n pictures: x [n][rows][channels], y [n][channels]. */
    void (*mean_rows)(float *y, const float *x, size_t n, size_t rows, size_t channels);
};

const struct ood_kernels *ood_kernels_choose(void);

/* One version by name, for tests; NULL where this CPU or build lacks it. */
const struct ood_kernels *ood_kernels_named(const char *isa);

#endif
