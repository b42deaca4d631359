/* What the convolutions by our own kernels share. */
#include "ops/own_convolution_internal.h"

#include <string.h>

static bool fill_bias(void *memory, const void *context, struct ood_error *err)
{
    const struct ood_convolution_spec *spec = context;
    (void)err;
    memcpy(memory, spec->bias, spec->out_channels * sizeof *spec->bias);
    return true;
}

bool ood_own_bias(struct ood_builder *builder, const struct ood_convolution_spec *spec, struct ood_operand *out, struct ood_error *err)
{
    const void *bias = ood_builder_weights(builder, spec->node, "bias", spec->out_channels * sizeof(float), fill_bias, spec, err);
    if (bias == NULL)
        return false;
    *out = (struct ood_operand){ OOD_NONE, bias };
    return true;
}

const struct ood_kernels *ood_half_kernels(const struct ood_kernels *kernels, size_t channels)
{
    const size_t rest = channels % 16;
    return strcmp(kernels->isa, "avx512") == 0 && rest != 0 && rest <= 8 ? ood_kernels_named("avx2") : NULL;
}
