/* Arithmetic on int64 and int32 with broadcasting, at load and on the way of a request. Results wrap around. */
#ifndef OOD_OPS_INTEGERS_INTERNAL_H
#define OOD_OPS_INTEGERS_INTERNAL_H

#include "plan/builder.h"

typedef int64_t ood_integer_function(int64_t a, int64_t b);

int64_t ood_integer_add(int64_t a, int64_t b);
int64_t ood_integer_subtract(int64_t a, int64_t b);
int64_t ood_integer_multiply(int64_t a, int64_t b);
int64_t ood_integer_divide(int64_t a, int64_t b);            /* towards zero; by zero: 0 */
int64_t ood_integer_most(int64_t a, int64_t b);
int64_t ood_integer_least(int64_t a, int64_t b);

/* evaluate and lower of output 0 = function(input 0, input 1), all of one type, int64 or int32. Multiples of the batch are refused. */
struct ood_tensor *ood_integers_evaluate(const struct ood_graph *graph, const struct ood_node *node,
                                         const struct ood_tensor *const *inputs, ood_integer_function *function, struct ood_error *err);
bool ood_integers_lower(struct ood_builder *builder, const struct ood_node *node, ood_integer_function *function, struct ood_error *err);

/* For walks of their own: state is a struct ood_integers. */
struct ood_integers { ood_integer_function *function; enum ood_type type; };
void ood_integers_row(const void *state, void *const *memory, size_t y, const size_t *at, const size_t *strides, size_t n);

#endif
