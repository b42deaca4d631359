/* Tensors: owned or borrowed dense memory. */
#include "tensor/tensor.h"

#include <string.h>

size_t ood_type_size(enum ood_type type)
{
    static const size_t sizes[] = { [OOD_FLOAT32] = 4, [OOD_INT64] = 8, [OOD_INT32] = 4, [OOD_BOOL] = 1 };
    return sizes[type];
}

const char *ood_type_name(enum ood_type type)
{
    static const char *const names[] = {
        [OOD_FLOAT32] = "float32", [OOD_INT64] = "int64", [OOD_INT32] = "int32", [OOD_BOOL] = "bool"
    };
    return names[type];
}

struct ood_tensor *ood_tensor_view(enum ood_type type, const struct ood_shape *shape, void *data, struct ood_error *err)
{
    size_t count;
    if (!ood_shape_count(shape, &count)) {
        char text[OOD_SHAPE_TEXT];
        ood_fail(err, OOD_INVALID, "shape %s: negative or too large", ood_shape_print(shape, text));
        return NULL;
    }
    struct ood_tensor *tensor = ood_new(struct ood_tensor, err);
    if (tensor != NULL)
        *tensor = (struct ood_tensor){ .type = type, .shape = *shape, .count = count, .data = data };
    return tensor;
}

struct ood_tensor *ood_tensor_new(enum ood_type type, const struct ood_shape *shape, struct ood_error *err)
{
    struct ood_tensor *tensor = ood_tensor_view(type, shape, NULL, err);
    if (tensor == NULL)
        return NULL;
    tensor->data = ood_alloc_aligned(tensor->count, ood_type_size(type), err);
    if (tensor->data == NULL) {
        ood_free(tensor);
        return NULL;
    }
    tensor->owned = true;
    return tensor;
}

struct ood_tensor *ood_tensor_copy(const struct ood_tensor *tensor, struct ood_error *err)
{
    struct ood_tensor *copy = ood_tensor_new(tensor->type, &tensor->shape, err);
    if (copy != NULL && tensor->count > 0)
        memcpy(copy->data, tensor->data, tensor->count * ood_type_size(tensor->type));
    return copy;
}

void ood_tensor_free(struct ood_tensor *tensor)
{
    if (tensor == NULL)
        return;
    if (tensor->owned)
        ood_free(tensor->data);
    ood_free(tensor);
}
