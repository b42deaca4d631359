/* Operators as ONNX defines them, written down as loops over elements: slow and obvious, sums in double. What the tests
 * hold the engine's own arithmetic against; nothing on the way of a request comes here.
 *
 * Each call gives a fresh tensor (ood_tensor_free) whose shape it works out itself, or NULL: OOD_OUT_OF_MEMORY, or
 * OOD_INVALID where the inputs do not fit together. Float32 unless said; pictures are [N, C, H, W], axes count from 0. */
#ifndef OOD_TENSOR_REFERENCE_H
#define OOD_TENSOR_REFERENCE_H

#include "tensor/tensor.h"

enum ood_auto_pad { OOD_AUTO_PAD_NOTSET, OOD_AUTO_PAD_SAME_UPPER, OOD_AUTO_PAD_SAME_LOWER, OOD_AUTO_PAD_VALID };

/* A sliding window; [0] is H, [1] is W. */
struct ood_reference_window {
    int64_t kernel[2], strides[2], dilations[2];
    int64_t begin[2], end[2];                /* padding, where auto_pad is NOTSET */
    enum ood_auto_pad auto_pad;
    bool ceil_mode;                          /* pools */
    bool count_include_pad;                  /* average pool */
};

/* w [M, C/groups, kH, kW] (its size is the kernel), bias [M] or NULL. */
struct ood_tensor *ood_reference_conv(const struct ood_tensor *x, const struct ood_tensor *w, const struct ood_tensor *bias,
                                      const struct ood_reference_window *window, int64_t groups,
                                      struct ood_error *err) OOD_MUST_CHECK;

struct ood_tensor *ood_reference_max_pool(const struct ood_tensor *x, const struct ood_reference_window *window,
                                          struct ood_error *err) OOD_MUST_CHECK;
struct ood_tensor *ood_reference_average_pool(const struct ood_tensor *x, const struct ood_reference_window *window,
                                              struct ood_error *err) OOD_MUST_CHECK;

/* (x − mean) / sqrt(variance + epsilon) · scale + bias; each [C], C the second dimension of x. */
struct ood_tensor *ood_reference_batch_norm(const struct ood_tensor *x, const struct ood_tensor *scale,
                                            const struct ood_tensor *bias, const struct ood_tensor *mean,
                                            const struct ood_tensor *variance, double epsilon,
                                            struct ood_error *err) OOD_MUST_CHECK;

/* alpha·A'·B' + beta·C, A' = A or its transpose; c broadcasts to the output, or NULL. */
struct ood_tensor *ood_reference_gemm(const struct ood_tensor *a, const struct ood_tensor *b, const struct ood_tensor *c,
                                      double alpha, double beta, bool transpose_a, bool transpose_b,
                                      struct ood_error *err) OOD_MUST_CHECK;

/* numpy.matmul, vectors included. */
struct ood_tensor *ood_reference_matmul(const struct ood_tensor *a, const struct ood_tensor *b,
                                        struct ood_error *err) OOD_MUST_CHECK;

enum ood_reference_unary { OOD_REFERENCE_RELU, OOD_REFERENCE_LEAKY_RELU, OOD_REFERENCE_CLIP, OOD_REFERENCE_SIGMOID };

/* alpha, beta: slope of LEAKY_RELU; least and most of CLIP. */
struct ood_tensor *ood_reference_unary(const struct ood_tensor *x, enum ood_reference_unary kind, double alpha, double beta,
                                       struct ood_error *err) OOD_MUST_CHECK;

enum ood_reference_binary { OOD_REFERENCE_ADD, OOD_REFERENCE_SUB, OOD_REFERENCE_MUL, OOD_REFERENCE_DIV };

/* numpy's broadcasting. Float32 or int64 (Div of int64 goes towards zero; by zero: OOD_INVALID). */
struct ood_tensor *ood_reference_binary(const struct ood_tensor *a, const struct ood_tensor *b, enum ood_reference_binary kind,
                                        struct ood_error *err) OOD_MUST_CHECK;

/* Over one axis (opset 13); flat: over everything from the axis on, as one (opsets before). */
struct ood_tensor *ood_reference_softmax(const struct ood_tensor *x, size_t axis, bool flat, bool logarithm,
                                         struct ood_error *err) OOD_MUST_CHECK;

enum ood_reference_reduce { OOD_REFERENCE_MEAN, OOD_REFERENCE_MAX };

/* reduced[i]: dimension i goes (stays as 1 with keep). */
struct ood_tensor *ood_reference_reduce(const struct ood_tensor *x, const bool reduced[OOD_MAX_RANK], bool keep,
                                        enum ood_reference_reduce kind, struct ood_error *err) OOD_MUST_CHECK;

/* ---- elements in other places: any type ---- */

/* Output dimension i is input dimension order[i]. */
struct ood_tensor *ood_reference_transpose(const struct ood_tensor *x, const size_t order[OOD_MAX_RANK],
                                           struct ood_error *err) OOD_MUST_CHECK;
struct ood_tensor *ood_reference_concat(const struct ood_tensor *const *inputs, size_t count, size_t axis,
                                        struct ood_error *err) OOD_MUST_CHECK;

enum ood_reference_pad { OOD_REFERENCE_PAD_CONSTANT, OOD_REFERENCE_PAD_REFLECT, OOD_REFERENCE_PAD_EDGE };

/* pads[2·rank]: before each dimension, then after each; negative crops. value: one element, or NULL for zero. */
struct ood_tensor *ood_reference_pad(const struct ood_tensor *x, const int64_t *pads, enum ood_reference_pad mode,
                                     const void *value, struct ood_error *err) OOD_MUST_CHECK;

/* x[starts:ends:steps] along each dimension, as numpy reads it: negative from the end, held within the dimension. */
struct ood_tensor *ood_reference_slice(const struct ood_tensor *x, const int64_t starts[OOD_MAX_RANK],
                                       const int64_t ends[OOD_MAX_RANK], const int64_t steps[OOD_MAX_RANK],
                                       struct ood_error *err) OOD_MUST_CHECK;

/* numpy.take; indices int64 or int32, negative from the end. */
struct ood_tensor *ood_reference_gather(const struct ood_tensor *x, const struct ood_tensor *indices, size_t axis,
                                        struct ood_error *err) OOD_MUST_CHECK;

/* The same elements under another shape of as many. */
struct ood_tensor *ood_reference_reshape(const struct ood_tensor *x, const struct ood_shape *shape,
                                         struct ood_error *err) OOD_MUST_CHECK;

struct ood_tensor *ood_reference_cast(const struct ood_tensor *x, enum ood_type to, struct ood_error *err) OOD_MUST_CHECK;

#endif
