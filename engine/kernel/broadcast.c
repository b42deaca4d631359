/* How two operands meet: dims of one are dropped, neighbours that both operands walk evenly are joined. */
#include "kernel/kernel.h"

bool ood_broadcast_make(struct ood_broadcast *out, size_t rank, const size_t *dims, const size_t *a_strides,
                        const size_t *b_strides)
{
    struct ood_broadcast walk = { 0 };
    for (size_t i = 0; i < rank; i++) {
        if (dims[i] == 1)
            continue;
        size_t last = walk.rank - 1;
        if (walk.rank > 0 && walk.a_strides[last] == a_strides[i] * dims[i] &&
            walk.b_strides[last] == b_strides[i] * dims[i]) {
            walk.dims[last] *= dims[i];
        } else {
            last = walk.rank++;
            walk.dims[last] = dims[i];
        }
        walk.a_strides[last] = a_strides[i];
        walk.b_strides[last] = b_strides[i];
    }
    if (walk.rank == 0)
        walk = (struct ood_broadcast){ .rank = 1, .dims = { 1 } };
    size_t inner = walk.rank - 1;
    if (walk.a_strides[inner] > 1 || walk.b_strides[inner] > 1)
        return false;
    *out = walk;
    return true;
}
