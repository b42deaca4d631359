/* NonZero and Compress: answers whose length the data tell. They are written dense into room for the most there can be; where everything is known
 * at load, the answer is. */
#include <string.h>

#include "ops/ops.h"
#include "ops/ops_internal.h"
#include "plan/builder.h"

#define ELEMENTS_MOST (INT64_C(1) << 24)

static bool check_most(const struct ood_node *node, const struct ood_shape *shape, struct ood_error *err)
{
    int64_t elements;
    if (ood_shape_has_batch(shape))
        return ood_node_fail(node, err, OOD_UNSUPPORTED, "a number of elements that depends on the batch");
    return (ood_shape_elements(shape, &elements) && elements <= ELEMENTS_MOST) ||
           ood_node_fail(node, err, OOD_LIMIT, "up to more than %lld elements", (long long)ELEMENTS_MOST);
}

/* ---- NonZero ---- */

struct non_zero { enum ood_type type; size_t count, rank, dims[OOD_MAX_RANK]; };

static bool is_zero(enum ood_type type, const void *x, size_t i)
{
    switch (type) {
    case OOD_FLOAT32:
        return ((const float *)x)[i] == 0;
    case OOD_INT64:
        return ((const int64_t *)x)[i] == 0;
    case OOD_INT32:
        return ((const int32_t *)x)[i] == 0;
    case OOD_BOOL:
        break;
    }
    return ((const unsigned char *)x)[i] == 0;
}

static size_t count_non_zero(const struct non_zero *s, const void *x)
{
    size_t found = 0;
    for (size_t i = 0; i < s->count; i++)
        found += !is_zero(s->type, x, i);
    return found;
}

/* places[rank][found]: row major, one row a dimension. */
static void write_non_zero(const struct non_zero *s, const void *x, size_t found, int64_t *places)
{
    for (size_t i = 0, at = 0; i < s->count && at < found; i++) {
        if (is_zero(s->type, x, i))
            continue;
        for (size_t d = s->rank, rest = i; d-- > 0; rest /= s->dims[d])
            places[d * found + at] = (int64_t)(rest % s->dims[d]);
        at++;
    }
}

/* memory: input, places, how many. */
static void run_non_zero(const void *state, void *const *memory)
{
    const size_t found = count_non_zero(state, memory[0]);
    write_non_zero(state, memory[0], found, memory[1]);
    *(int64_t *)memory[2] = (int64_t)found;
}

static struct non_zero non_zero_of(enum ood_type type, const struct ood_shape *shape)
{
    struct non_zero s = { .type = type, .count = 1, .rank = shape->rank };
    for (size_t i = 0; i < shape->rank; i++) {
        s.dims[i] = (size_t)shape->dims[i];
        s.count *= s.dims[i];
    }
    return s;
}

static bool non_zero_shape(struct ood_graph *graph, const struct ood_node *node, struct ood_error *err)
{
    const struct ood_value *x = ood_node_input(graph, node, 0);
    struct ood_shape shape = { .rank = 2, .dims = { (int64_t)x->shape.rank } };
    if (x->shape.rank == 0)
        return ood_node_fail(node, err, OOD_UNSUPPORTED, "input is a scalar");
    if (!check_most(node, &x->shape, err))
        return false;
    const struct non_zero s = non_zero_of(x->type, &x->shape);
    shape.dims[1] = (int64_t)s.count;
    if (x->constant == NULL)
        return check_most(node, &shape, err) && ood_graph_set_output(graph, node, 0, OOD_INT64, &shape, err);
    const void *data = x->constant->data;
    const size_t found = count_non_zero(&s, data);
    shape.dims[1] = (int64_t)found;
    struct ood_tensor *places = check_most(node, &shape, err) ? ood_tensor_new(OOD_INT64, &shape, err) : NULL;
    if (places != NULL)
        write_non_zero(&s, data, found, ood_i64(places));
    return ood_op_set_known(graph, node, places, err);
}

static bool non_zero_counted(const struct ood_graph *graph, const struct ood_node *node, size_t output, size_t *axis)
{
    (void)graph, (void)node;
    *axis = 1;
    return output == 0;
}

static bool non_zero_lower(struct ood_builder *builder, const struct ood_node *node, struct ood_error *err)
{
    const struct ood_shape x = ood_builder_shape(builder, node->inputs[0]);
    const struct non_zero state = non_zero_of(ood_builder_graph(builder)->values[node->inputs[0]].type, &x);
    struct ood_operand operands[3];
    return ood_builder_input(builder, node->inputs[0], OOD_PLAIN, &operands[0], err) &&
           ood_builder_output(builder, node->outputs[0], OOD_PLAIN, &operands[1], err) &&
           ood_builder_count(builder, node, &operands[2], err) &&
           ood_builder_step(builder, &(struct ood_step_spec){ .node = node, .kernel = "own:non_zero", .run = run_non_zero, .state = &state,
                                                              .state_size = sizeof state, .operands = operands, .operand_count = 3 }, err);
}

const struct ood_op ood_op_non_zero = {
    .name = "NonZero", .since = 9, .least_inputs = 1, .most_inputs = 1, .shape = non_zero_shape, .counted = non_zero_counted,
    .lower = non_zero_lower,
};

/* ---- Compress ---- */

/* The first `told` slices are told of; a slice's part is of `bytes`. */
struct compress { struct ood_op_slices slices; size_t bytes, told; };

static size_t count_told(const struct compress *s, const unsigned char *condition)
{
    size_t found = 0;
    for (size_t i = 0; i < s->told; i++)
        found += condition[i] != 0;
    return found;
}

static void write_compress(const struct compress *s, const char *x, const unsigned char *condition, char *y)
{
    for (size_t o = 0; o < s->slices.outer; o++, x += s->slices.count * s->bytes)
        for (size_t i = 0; i < s->told; i++)
            if (condition[i] != 0) {
                memcpy(y, x + i * s->bytes, s->bytes);
                y += s->bytes;
            }
}

/* memory: input, condition, output, how many. */
static void run_compress(const void *state, void *const *memory)
{
    write_compress(state, memory[0], memory[1], memory[2]);
    *(int64_t *)memory[3] = (int64_t)count_told(state, memory[1]);
}

static struct compress compress_of(const struct ood_shape *x, enum ood_type type, size_t axis, size_t conditions)
{
    const struct ood_op_slices slices = ood_op_slices_of(x, axis);
    return (struct compress){ slices, slices.inner * ood_type_size(type), conditions < slices.count ? conditions : slices.count };
}

static bool compress_shape(struct ood_graph *graph, const struct ood_node *node, struct ood_error *err)
{
    const struct ood_value *x = ood_node_input(graph, node, 0), *condition = ood_node_input(graph, node, 1);
    struct ood_shape shape = x->shape;
    size_t axis;
    if (condition->type != OOD_BOOL || condition->shape.rank != 1)
        return ood_node_fail(node, err, OOD_INVALID, "the condition is %s with %zu dimensions; expected bool, 1", ood_type_name(condition->type),
                             condition->shape.rank);
    if (!ood_op_slice_axis(node, x->shape.rank, &axis, err) || !check_most(node, &x->shape, err) || !check_most(node, &condition->shape, err))
        return false;
    const struct compress s = compress_of(&x->shape, x->type, axis, (size_t)condition->shape.dims[0]);
    const bool known = x->constant != NULL && condition->constant != NULL;
    const size_t found = known ? count_told(&s, condition->constant->data) : s.told;
    if (axis == OOD_FLAT)
        shape = ood_shape_of(1, (int64_t)found);
    else
        shape.dims[axis] = (int64_t)found;
    if (!known)
        return ood_graph_set_output(graph, node, 0, x->type, &shape, err);
    struct ood_tensor *y = ood_tensor_new(x->type, &shape, err);
    if (y != NULL)
        write_compress(&s, x->constant->data, condition->constant->data, y->data);
    return ood_op_set_known(graph, node, y, err);
}

static bool compress_counted(const struct ood_graph *graph, const struct ood_node *node, size_t output, size_t *axis)
{
    struct ood_error checked = { 0 };        /* by its shape() */
    if (!ood_op_slice_axis(node, ood_node_input(graph, node, 0)->shape.rank, axis, &checked) || *axis == OOD_FLAT)
        *axis = 0;
    return output == 0;
}

static bool compress_lower(struct ood_builder *builder, const struct ood_node *node, struct ood_error *err)
{
    const struct ood_graph *graph = ood_builder_graph(builder);
    const struct ood_shape x = ood_builder_shape(builder, node->inputs[0]), condition = ood_builder_shape(builder, node->inputs[1]);
    struct ood_operand operands[4];
    size_t axis;
    if (!ood_op_slice_axis(node, x.rank, &axis, err))
        return false;
    const struct compress state = compress_of(&x, graph->values[node->inputs[0]].type, axis, (size_t)condition.dims[0]);
    return ood_builder_input(builder, node->inputs[0], OOD_PLAIN, &operands[0], err) &&
           ood_builder_input(builder, node->inputs[1], OOD_PLAIN, &operands[1], err) &&
           ood_builder_output(builder, node->outputs[0], OOD_PLAIN, &operands[2], err) &&
           ood_builder_count(builder, node, &operands[3], err) &&
           ood_builder_step(builder, &(struct ood_step_spec){ .node = node, .kernel = "own:compress", .run = run_compress, .state = &state,
                                                              .state_size = sizeof state, .operands = operands, .operand_count = 4 }, err);
}

const struct ood_op ood_op_compress = {
    .name = "Compress", .since = 9, .least_inputs = 2, .most_inputs = 2, .shape = compress_shape, .counted = compress_counted,
    .lower = compress_lower,
};
