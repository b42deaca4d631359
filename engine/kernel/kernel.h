/* Our own arithmetic over plain arrays: knows neither graph nor oneDNN. One source (elementwise.c, product.c, rows.c, winograd*.c, …),
 * compiled once per instruction set; ood_kernels_choose takes the best this CPU can do, limited by the variable that limits
 * oneDNN (ONEDNN_MAX_CPU_ISA). All arrays are float32, distinct or exactly equal (in place) where said. Sums run in a fixed
 * order that depends on the index summed over alone, so a picture's bits depend on neither batch nor place. Every function
 * passes NaN on: no maximum, clip or ReLU hides one. */
#ifndef OOD_KERNEL_KERNEL_H
#define OOD_KERNEL_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Functions as ONNX defines them. alpha, beta: LEAKY_RELU's slope; CLIP's least and most (most wins where they cross);
 * alpha of ELU, CELU, THRESHOLDED_RELU; SELU's alpha and gamma; HARD_SIGMOID's alpha·x + beta; SHRINK's lambd and bias. SILU is
 * x·sigmoid(x), GELU x·(1 + erf(x/√2))/2, GELU_TANH its approximation by tanh. ROUND goes to the even one of two. Within 4 units in
 * the last place. */
enum ood_unary {
    /* a few instructions: written out in every loop */
    OOD_UNARY_RELU, OOD_UNARY_LEAKY_RELU, OOD_UNARY_CLIP, OOD_UNARY_SIGMOID, OOD_UNARY_SILU, OOD_UNARY_HARD_SWISH,
    /* called: functions.c */
    OOD_UNARY_ABS, OOD_UNARY_NEG, OOD_UNARY_SIGN, OOD_UNARY_SQUARE, OOD_UNARY_CUBE, OOD_UNARY_SQRT, OOD_UNARY_RECIPROCAL, OOD_UNARY_FLOOR, OOD_UNARY_CEIL,
    OOD_UNARY_ROUND, OOD_UNARY_EXP, OOD_UNARY_LOG, OOD_UNARY_TANH, OOD_UNARY_ERF, OOD_UNARY_SOFTPLUS, OOD_UNARY_SOFTSIGN, OOD_UNARY_ELU,
    OOD_UNARY_SELU, OOD_UNARY_CELU, OOD_UNARY_HARD_SIGMOID, OOD_UNARY_THRESHOLDED_RELU, OOD_UNARY_SHRINK, OOD_UNARY_MISH, OOD_UNARY_GELU,
    OOD_UNARY_GELU_TANH,
};
/* MAX and MIN give NaN where either operand is; PRELU is a below 0 times b, else a. */
enum ood_binary { OOD_BINARY_ADD, OOD_BINARY_SUB, OOD_BINARY_MUL, OOD_BINARY_DIV, OOD_BINARY_MAX, OOD_BINARY_MIN, OOD_BINARY_PRELU };
/* SUM_ABS and SUM_SQUARE: of |x| and x². MAX and MIN are NaN where an element is. */
enum ood_reduction { OOD_REDUCE_MEAN, OOD_REDUCE_MAX, OOD_REDUCE_SUM, OOD_REDUCE_MIN, OOD_REDUCE_PROD, OOD_REDUCE_SUM_ABS, OOD_REDUCE_SUM_SQUARE };

/* y = f(x) in sequence. */
struct ood_unary_step { enum ood_unary function; float alpha, beta; };

/* How two operands meet in a dense output: a walk over dims, each operand with its stride (in floats, 0: repeated). Made by
 * ood_broadcast_make, which joins what can be joined, so that the same shape, a scalar and a row are each one or two loops. */
#define OOD_BROADCAST_RANK 8
struct ood_broadcast {
    size_t rank;                             /* at least 1 */
    size_t dims[OOD_BROADCAST_RANK];
    size_t a_strides[OOD_BROADCAST_RANK], b_strides[OOD_BROADCAST_RANK];
};

/* The output's dims outermost first; rank 0 is one element. False: the innermost stride of an operand is neither 0 nor 1. */
bool ood_broadcast_make(struct ood_broadcast *out, size_t rank, const size_t *dims, const size_t *a_strides,
                        const size_t *b_strides);

/* Names of the functions as `inspect` shows them: "own:product avx2". */
struct ood_kernel_names {
    const char *unary, *binary, *scale_shift, *product, *reduce, *normalise, *softmax, *attention, *transpose, *shuffle, *resample, *winograd, *depthwise,
        *pointwise, *stem, *stem_pool, *training;
};

/* A place along a dimension and what it counts. */
struct ood_tap { size_t place; float weight; };

struct ood_pixel_colour { float *out; float mean, std, inverse; };
struct ood_pixel_planes { float scale; struct ood_pixel_colour colour[3]; };

/* How values of a widened row, three a pixel, are made of the source's bytes: by quads, each from eight bytes and eight more, the even ones of
 * OOD_PIXEL_QUADS before the odd ones. 64-byte aligned for speed. */
#define OOD_PIXEL_QUADS 8
struct ood_pixel_group {
    uint32_t at[OOD_PIXEL_QUADS][2];         /* bytes of the row where these begin */
    signed char place[OOD_PIXEL_QUADS][16];  /* and where among them each value's low and high byte are, -1 behind each */
    int16_t weight[OOD_PIXEL_QUADS][8];      /* low, high */
};

struct ood_attention_shape;                  /* kernel/attention.h */
struct ood_attention_call;
struct ood_depthwise_shape;                  /* kernel/depthwise.h */
struct ood_depthwise_call;
struct ood_pointwise_shape;                  /* kernel/pointwise.h */
struct ood_pointwise_call;
struct ood_stem_shape;                       /* kernel/stem.h */
struct ood_stem_call;
struct ood_max_columns;
struct ood_winograd_shape;                   /* kernel/winograd.h */
struct ood_winograd_call;
struct ood_winograd_gradient_call;
struct ood_norm_gradient_call;               /* kernel/training.h */

#define OOD_PRODUCT_RUN 768                  /* of k, that a product goes through at a time */

struct ood_kernels {
    const char *isa;                         /* "baseline", "avx2", "avx512" */
    struct ood_kernel_names name;

    /* y[i] = steps(x[i]); in place allowed. */
    void (*unary)(float *y, const float *x, size_t n, const struct ood_unary_step *steps, size_t step_count);

    /* y[i] = a[i] op b[i]; in place with either allowed; then steps. */
    void (*binary)(enum ood_binary op, float *y, const float *a, const float *b, size_t n,
                   const struct ood_unary_step *steps, size_t step_count);

    /* The same with broadcasting. In place with an operand that is dense and as large as the output. */
    void (*broadcast)(enum ood_binary op, float *y, const float *a, const float *b, const struct ood_broadcast *walk,
                      const struct ood_unary_step *steps, size_t step_count);

    /* y[r][c] = steps(x[r][c] * scale[c] + shift[c] (+ sum[r][c] if not NULL)); rows × channels; in place allowed. */
    void (*scale_shift)(float *y, const float *x, const float *scale, const float *shift, const float *sum,
                        size_t rows, size_t channels, const struct ood_unary_step *steps, size_t step_count);

    /* C[m][n] = steps(A[m][k] · B[k][n] + bias[n] + sum[m][n]); B packed by pack_b, bias and sum NULL or there; sum may be C where
     * k <= OOD_PRODUCT_RUN. Each element's sum runs over k in order, whatever m: the same bits for a row alone or among others. packed is packed_b_floats(k, n) floats (0 where that
     * overflows), 64-byte aligned for speed; its form is this instruction set's own. */
    size_t (*packed_b_floats)(size_t k, size_t n);
    void (*pack_b)(float *packed, const float *b, size_t k, size_t n, size_t row_stride, size_t column_stride);
    void (*product)(float *c, const float *a, const float *packed, const float *bias, const float *sum, size_t m, size_t k, size_t n,
                    const struct ood_unary_step *steps, size_t step_count);

    /* y[c] = mean over rows of x[row][c], for each of n pictures: x [n][rows][channels], y [n][channels]. */
    void (*mean_rows)(float *y, const float *x, size_t n, size_t rows, size_t channels);
    /* The same with the reduction to choose. rows 0: NaN for the mean, -infinity for the maximum. */
    void (*reduce_rows)(enum ood_reduction reduction, float *y, const float *x, size_t n, size_t rows, size_t channels);
    /* y[r] = reduction over x[r][0 … columns-1]. */
    void (*reduce_columns)(enum ood_reduction reduction, float *y, const float *x, size_t rows, size_t columns);

    /* y[r][c] = (x[r][c] - mean) / sqrt(variance + epsilon) · scale[c] + shift[c], mean and variance those of row r; shift NULL or
     * [columns]; means and inverses (1 / sqrt(variance + epsilon)) NULL or [rows]. In place allowed. */
    void (*layer_norm)(float *y, float *means, float *inverses, const float *x, const float *scale, const float *shift, size_t rows,
                       size_t columns, float epsilon);
    /* The same with scale[r mod channels], shift[r mod channels] for the whole row. */
    void (*instance_norm)(float *y, const float *x, const float *scale, const float *shift, size_t rows, size_t channels,
                          size_t columns, float epsilon);

    /* Softmax (logarithm: its logarithm) of each row; in place allowed. A NaN makes its whole row NaN. */
    void (*softmax)(float *y, const float *x, size_t rows, size_t columns, bool logarithm);

    /* One head's attention, kernel/attention.h. */
    size_t (*attention_scratch_floats)(const struct ood_attention_shape *shape);
    void (*attention)(const struct ood_attention_call *call);

    /* y[i][c][r] = x[i][r][c] for each of n matrices. */
    void (*transpose)(float *y, const float *x, size_t n, size_t rows, size_t columns);

    /* y[r][2i] = a[r][i], y[r][2i + 1] = b[r][i] for i < n and r < rows; rows lie the strides apart. And back. Nothing overlaps. */
    void (*interleave)(float *y, size_t y_stride, const float *a, const float *b, size_t x_stride, size_t rows, size_t n);
    void (*deinterleave)(float *a, float *b, size_t y_stride, const float *x, size_t x_stride, size_t rows, size_t n);

    /* y[o][j][i] = sum over t of x[o][place][i] · weight, place and weight those of taps[j][t]: x [outer][from][inner], y [outer][to][inner].
     * One tap: a copy, its weight is not looked at. */
    void (*resample)(float *y, const float *x, const struct ood_tap *taps, size_t tap_count, size_t outer, size_t from, size_t to,
                     size_t inner);

    /* A picture's bytes. Each gives how many of the n are done, all or none: the caller does what is not.
     * out[i] = ((upper[i] · upper_weight >> 16) + (lower[i] · lower_weight >> 16) + 2) >> 2, clipped to a byte. */
    size_t (*blend_rows)(unsigned char *out, const int16_t *upper, const int16_t *lower, int16_t upper_weight, int16_t lower_weight, size_t n);
    /* out[i][c] = (row[at[i] + c] · low + row[at[i] + 3 + c] · high) >> 4, c < 3, weights[i] = high << 16 | low; eight bytes from row + at[i] on
     * are read, and out has room for one value more. */
    size_t (*weigh_pixels)(int16_t *out, const unsigned char *row, const uint32_t *at, const int32_t *weights, size_t n);
    /* The same by groups, all of them; near: at[1] is at[0] + 8. NULL: not in this instruction set. */
    void (*weigh_groups)(int16_t *out, const unsigned char *row, const struct ood_pixel_group *groups, size_t count, bool near);
    /* colour[c].out[i] = (rgb[i][c] · scale - mean) / std, each step rounded; by the inverse of std, so that the last bit is to be checked. */
    size_t (*pixel_planes)(const struct ood_pixel_planes *to, const unsigned char *rgb, size_t n);

    /* Depthwise convolution, kernel/depthwise.h: the shapes there are tiles for, of at least a vector of channels. */
    bool (*depthwise_serves)(const struct ood_depthwise_shape *shape);
    void (*depthwise)(const struct ood_depthwise_call *call);

    /* Convolutions of 1x1 with few channels, kernel/pointwise.h: those for which this is faster than what else there is. weights
     * [out_channels][channels] and bias ([out_channels] or NULL) are brought once into this instruction set's form, pointwise_weights_floats
     * floats (0 where that overflows). */
    bool (*pointwise_serves)(const struct ood_pointwise_shape *shape);
    size_t (*pointwise_weights_floats)(const struct ood_pointwise_shape *shape);
    void (*pointwise_weights)(float *out, const float *weights, const float *bias, const struct ood_pointwise_shape *shape);
    void (*pointwise)(const struct ood_pointwise_call *call);

    /* A network's first convolution, kernel/stem.h. weights [out_channels][channels][window] are brought once into this instruction set's form,
     * stem_weights_floats floats (0 where that overflows). */
    bool (*stem_serves)(const struct ood_stem_shape *shape);
    size_t (*stem_weights_floats)(const struct ood_stem_shape *shape);
    void (*stem_weights)(float *out, const float *weights, const struct ood_stem_shape *shape);
    void (*stem)(const struct ood_stem_call *call);
    /* A max pool of a map [height][width][channels], a row at a time: its columns, y [out_width][channels], row [width][channels], where every
     * window has a column of the map; then its rows, n floats each. A NaN may be lost, as in oneDNN's pools. */
    void (*max_columns)(float *y, const float *row, const struct ood_max_columns *shape);
    void (*max_rows)(float *y, const float *const *rows, size_t row_count, size_t n);

    /* 3x3 convolution, kernel/winograd.h. weights [out_channels][channels][3][3] are brought once into this instruction
     * set's form: `out` is winograd_weights_floats floats. Sizes are 0 where they overflow or a shape makes no sense. */
    size_t (*winograd_weights_floats)(size_t channels, size_t out_channels);
    void (*winograd_weights)(float *out, const float *weights, size_t channels, size_t out_channels);
    size_t (*winograd_scratch_floats)(const struct ood_winograd_shape *shape);
    void (*winograd_forward)(const struct ood_winograd_call *call);

    /* Its gradients, kernel/winograd.h. data_weights takes the same weights [out_channels][channels][3][3] and makes those of
     * the backward data pass, winograd_weights_floats(out_channels, channels) floats. */
    void (*winograd_data_weights)(float *out, const float *weights, size_t channels, size_t out_channels);
    size_t (*winograd_gradient_scratch_floats)(const struct ood_winograd_shape *shape);
    void (*winograd_gradient)(const struct ood_winograd_gradient_call *call);

    /* Training, kernel/training.h. Mean of x [rows][channels] and the sum of squared differences from it, [channels] each. */
    void (*moments)(double *mean, double *m2, const float *x, size_t rows, size_t channels);
    void (*norm_gradient_sums)(const struct ood_norm_gradient_call *call);
    void (*norm_gradient_apply)(const struct ood_norm_gradient_call *call);
    /* dx = (add: dx +) g · f'(x), told by y = f(x), for HARD_SWISH by x; dx may be g. */
    void (*unary_gradient)(float *dx, bool add, const float *g, const float *y, size_t n, const struct ood_unary_step *step);
};

/* The version for this CPU. ONEDNN_MAX_CPU_ISA (or DNNL_MAX_CPU_ISA) in oneDNN's words: SSE41 and AVX leave the baseline,
 * AVX2 and AVX2_VNNI the avx2 version, anything else no limit. */
const struct ood_kernels *ood_kernels_choose(void);

/* One version by name, for tests; NULL where this CPU or build lacks it. */
const struct ood_kernels *ood_kernels_named(const char *isa);

/* Do AVX-512's vectors go through units of half their width, one half after the other (Zen 4)? Half a vector then costs half. */
bool ood_kernels_halve_vectors(void);

#endif
