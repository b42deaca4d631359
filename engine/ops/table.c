/* The operators, one line each, by name. Adding one: its file and its line here. */
#include "ops/ops.h"

#define ROWS(X)         \
    X(average_pool)     \
    X(cast)             \
    X(concat)           \
    X(constant)         \
    X(conv)             \
    X(dropout)          \
    X(flatten)          \
    X(gather)           \
    X(identity)         \
    X(max_pool)         \
    X(pad)              \
    X(pad_11)           \
    X(reshape)          \
    X(shape)            \
    X(squeeze)          \
    X(squeeze_13)       \
    X(transpose)        \
    X(unsqueeze)        \
    X(unsqueeze_13)

#define DECLARE(row) extern const struct ood_op ood_op_##row;
ROWS(DECLARE)

#define ENTRY(row) &ood_op_##row,
const struct ood_op *const ood_op_table[] = { ROWS(ENTRY) NULL };
