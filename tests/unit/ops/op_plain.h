/* Operators in plain loops, for the cases of families_test.c. */
#ifndef OOD_TESTS_OP_PLAIN_H
#define OOD_TESTS_OP_PLAIN_H

#include "op_case.h"

struct ood_tensor *op_plain(const char *op, const struct op_attributes *attributes, const struct ood_tensor *const *inputs, size_t count,
                            struct ood_error *err);

#endif
