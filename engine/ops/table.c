/* The operators, one line each, by name. Adding one: its file and its line here. */
#include "ops/ops.h"

#define ROWS(X)             \
    X(add)                  \
    X(average_pool)         \
    X(batch_norm)           \
    X(cast)                 \
    X(clip)                 \
    X(clip_11)              \
    X(concat)               \
    X(constant)             \
    X(constant_of_shape)    \
    X(conv)                 \
    X(div)                  \
    X(dropout)              \
    X(flatten)              \
    X(gather)               \
    X(gemm)                 \
    X(global_average_pool)  \
    X(global_max_pool)      \
    X(identity)             \
    X(leaky_relu)           \
    X(log_softmax)          \
    X(matmul)               \
    X(max_pool)             \
    X(mul)                  \
    X(pad)                  \
    X(pad_11)               \
    X(reduce_mean)          \
    X(relu)                 \
    X(reshape)              \
    X(shape)                \
    X(sigmoid)              \
    X(slice)                \
    X(slice_10)             \
    X(softmax)              \
    X(squeeze)              \
    X(squeeze_13)           \
    X(sub)                  \
    X(transpose)            \
    X(unsqueeze)            \
    X(unsqueeze_13)

#define DECLARE(row) extern const struct ood_op ood_op_##row;
ROWS(DECLARE)

#define ENTRY(row) &ood_op_##row,
const struct ood_op *const ood_op_table[] = { ROWS(ENTRY) NULL };
