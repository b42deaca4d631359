/* The operators, one line each, by name. Adding one: its file and its line here. */
#include "ops/ops.h"

#define ROWS(X)             \
    X(abs)                  \
    X(add)                  \
    X(and)                  \
    X(average_pool)         \
    X(batch_norm)           \
    X(cast)                 \
    X(ceil)                 \
    X(celu)                 \
    X(clip)                 \
    X(clip_11)              \
    X(concat)               \
    X(constant)             \
    X(constant_of_shape)    \
    X(conv)                 \
    X(div)                  \
    X(dropout)              \
    X(elu)                  \
    X(equal)                \
    X(erf)                  \
    X(exp)                  \
    X(expand)               \
    X(flatten)              \
    X(floor)                \
    X(gather)               \
    X(gemm)                 \
    X(global_average_pool)  \
    X(global_max_pool)      \
    X(greater)              \
    X(greater_or_equal)     \
    X(hard_sigmoid)         \
    X(hard_swish)           \
    X(identity)             \
    X(is_inf)               \
    X(is_nan)               \
    X(leaky_relu)           \
    X(less)                 \
    X(less_or_equal)        \
    X(log)                  \
    X(log_softmax)          \
    X(matmul)               \
    X(max)                  \
    X(max_pool)             \
    X(mean)                 \
    X(min)                  \
    X(mish)                 \
    X(mul)                  \
    X(neg)                  \
    X(not)                  \
    X(or)                   \
    X(prelu)                \
    X(pad)                  \
    X(pad_11)               \
    X(pow)                  \
    X(reciprocal)           \
    X(reduce_mean)          \
    X(relu)                 \
    X(reshape)              \
    X(resize)               \
    X(resize_10)            \
    X(round)                \
    X(selu)                 \
    X(shape)                \
    X(shrink)               \
    X(sigmoid)              \
    X(sign)                 \
    X(slice)                \
    X(slice_10)             \
    X(softmax)              \
    X(softplus)             \
    X(softsign)             \
    X(split)                \
    X(split_13)             \
    X(sqrt)                 \
    X(squeeze)              \
    X(squeeze_13)           \
    X(sub)                  \
    X(sum)                  \
    X(tanh)                 \
    X(thresholded_relu)     \
    X(transpose)            \
    X(unsqueeze)            \
    X(unsqueeze_13)         \
    X(upsample)             \
    X(upsample_9)           \
    X(where)                \
    X(xor)

#define DECLARE(row) extern const struct ood_op ood_op_##row;
ROWS(DECLARE)

#define ENTRY(row) &ood_op_##row,
const struct ood_op *const ood_op_table[] = { ROWS(ENTRY) NULL };
