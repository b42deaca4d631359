/* Strided copies: an odometer over the outer dimensions, rows of the innermost one copied at once where they can be. */
#include "plan/move.h"

#include <string.h>
#ifdef __SSE__
#include <xmmintrin.h>
#endif

const size_t *ood_move_order(size_t rank, enum ood_layout layout)
{
    static const size_t plain[OOD_MAX_RANK] = { 0, 1, 2, 3, 4, 5, 6, 7 }, nhwc[] = { 0, 2, 3, 1 };
    return layout == OOD_NHWC && rank == 4 ? nhwc : plain;
}

void ood_move_strides(const struct ood_shape *shape, enum ood_layout layout, size_t strides[OOD_MAX_RANK])
{
    const size_t *order = ood_move_order(shape->rank, layout);
    size_t stride = 1;
    for (size_t i = shape->rank; i-- > 0;) {
        strides[order[i]] = stride;
        stride *= (size_t)shape->dims[order[i]];
    }
}

static void swap(size_t *values, size_t i, size_t j)
{
    size_t kept = values[i];
    values[i] = values[j];
    values[j] = kept;
}

void ood_move_simplify(struct ood_move *move)
{
    size_t rank = 0;
    for (size_t i = 0; i < move->rank; i++) {
        if (move->dims[i] == 1)
            continue;
        move->dims[rank] = move->dims[i], move->from[rank] = move->from[i], move->to[rank] = move->to[i];
        rank++;
    }
    for (size_t i = 1; i < rank; i++)
        for (size_t j = i; j > 0 && move->to[j - 1] < move->to[j]; j--)
            swap(move->dims, j, j - 1), swap(move->from, j, j - 1), swap(move->to, j, j - 1);
    size_t kept = 0;
    for (size_t i = 1; i < rank; i++) {
        size_t dim = move->dims[i];
        bool joined = move->from[kept] == move->from[i] * dim && move->to[kept] == move->to[i] * dim;
        if (!joined)
            move->dims[++kept] = dim;
        else
            move->dims[kept] *= dim;
        move->from[kept] = move->from[i], move->to[kept] = move->to[i];
    }
    move->rank = rank > 0 ? kept + 1 : 0;
}

bool ood_move_is_copy(const struct ood_move *move)
{
    return move->rank == 0 || (move->rank == 1 && move->from[0] == 1 && move->to[0] == 1);
}

static void move_row(char *to, const char *from, size_t count, size_t to_stride, size_t from_stride, size_t size)
{
    if (to_stride == 1 && from_stride == 1) {
        memcpy(to, from, count * size);
    } else if (size == 4) {
        for (size_t i = 0; i < count; i++)
            memcpy(to + i * to_stride * 4, from + i * from_stride * 4, 4);
    } else if (size == 8) {
        for (size_t i = 0; i < count; i++)
            memcpy(to + i * to_stride * 8, from + i * from_stride * 8, 8);
    } else {
        for (size_t i = 0; i < count; i++)
            memcpy(to + i * to_stride * size, from + i * from_stride * size, size);
    }
}

/* Rows first..end and columns left..right, one by one. */
static void turn_part(const float *from, float *to, size_t first, size_t end, size_t left, size_t right, size_t from_stride, size_t to_stride)
{
    for (size_t c = left; c < right; c++)
        for (size_t r = first; r < end; r++)
            to[c * to_stride + r] = from[r * from_stride + c];
}

/* Blocks of 4x4, in stripes of rows that fit the first-level cache both ways; moves only, so every bit stays. */
void ood_move_turn(const float *from, float *to, size_t rows, size_t columns, size_t from_stride, size_t to_stride)
{
    enum { STRIPE = 16 };
    size_t whole_rows = 0, whole_columns = 0;
#ifdef __SSE__
    whole_rows = rows - rows % 4;
    whole_columns = columns - columns % 4;
    for (size_t stripe = 0; stripe < whole_rows; stripe += STRIPE)
        for (size_t c = 0; c < whole_columns; c += 4)
            for (size_t r = stripe; r < whole_rows && r < stripe + STRIPE; r += 4) {
                const float *x = from + r * from_stride + c;
                float *y = to + c * to_stride + r;
                __m128 a0 = _mm_loadu_ps(x), a1 = _mm_loadu_ps(x + from_stride);
                __m128 a2 = _mm_loadu_ps(x + 2 * from_stride), a3 = _mm_loadu_ps(x + 3 * from_stride);
                _MM_TRANSPOSE4_PS(a0, a1, a2, a3);
                _mm_storeu_ps(y, a0);
                _mm_storeu_ps(y + to_stride, a1);
                _mm_storeu_ps(y + 2 * to_stride, a2);
                _mm_storeu_ps(y + 3 * to_stride, a3);
            }
#endif
    turn_part(from, to, 0, whole_rows, whole_columns, columns, from_stride, to_stride);
    for (size_t stripe = whole_rows; stripe < rows; stripe += STRIPE)
        turn_part(from, to, stripe, rows - stripe < STRIPE ? rows : stripe + STRIPE, 0, columns, from_stride, to_stride);
}

/* The dimension whose neighbours lie together in the source, where it is not the last, whose do in the target; or rank. */
static size_t turned_dimension(const struct ood_move *move)
{
    const size_t last = move->rank - 1;
    for (size_t i = 0; i < last && move->size == sizeof(float) && move->to[last] == 1 && move->from[last] != 1; i++)
        if (move->from[i] == 1)
            return i;
    return move->rank;
}

void ood_move_run(const struct ood_move *move, const void *from, void *to)
{
    const char *source = (const char *)from + move->from_start * move->size;
    char *target = (char *)to + move->to_start * move->size;
    if (move->rank == 0) {
        memcpy(target, source, move->size);
        return;
    }
    for (size_t i = 0; i < move->rank; i++)
        if (move->dims[i] == 0)
            return;
    const size_t last = move->rank - 1, turned = turned_dimension(move);
    size_t at[OOD_MAX_RANK] = { 0 };
    for (;;) {
        if (turned < move->rank)
            ood_move_turn((const float *)(const void *)source, (float *)(void *)target, move->dims[last], move->dims[turned], move->from[last],
                          move->to[turned]);
        else
            move_row(target, source, move->dims[last], move->to[last], move->from[last], move->size);
        size_t i = last;
        while (i-- > 0) {
            if (i == turned)
                continue;
            source += move->from[i] * move->size, target += move->to[i] * move->size;
            if (++at[i] < move->dims[i])
                break;
            source -= move->dims[i] * move->from[i] * move->size, target -= move->dims[i] * move->to[i] * move->size;
            at[i] = 0;
        }
        if (i == SIZE_MAX)
            return;
    }
}

struct ood_move ood_move_part(const struct ood_shape *whole, const struct ood_shape *part, enum ood_layout layout, size_t axis, size_t start,
                              bool into, size_t size)
{
    struct ood_move move = { .rank = part->rank, .size = size };
    ood_move_strides(part, layout, into ? move.from : move.to);
    ood_move_strides(whole, layout, into ? move.to : move.from);
    for (size_t i = 0; i < move.rank; i++)
        move.dims[i] = (size_t)part->dims[i];
    if (into)
        move.to_start = start * move.to[axis];
    else
        move.from_start = start * move.from[axis];
    ood_move_simplify(&move);
    return move;
}
