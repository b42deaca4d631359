/* The network's last layer, logits = W · features + b, where the graph has one between its two taps: what scores that change the
 * features (ReAct, ASH) or look at W's null space (ViM) need. */
#ifndef OOD_EVAL_LAST_LAYER_H
#define OOD_EVAL_LAST_LAYER_H

#include "bundle/bundle.h"

struct ood_last_layer {
    size_t classes, dimension;               /* K, D */
    float *weights;                          /* [K][D] */
    float *bias;                             /* [K] */
};

/* Between the taps of a bundle just read (a scorer's has released its network): a Gemm, a MatMul with an Add, or a 1×1 convolution (with
 * a global mean behind it), reshapes aside. OOD_UNSUPPORTED says what stands there instead. Freed by ood_last_layer_clear. */
bool ood_last_layer_find(const struct ood_bundle *bundle, struct ood_last_layer *out, struct ood_error *err) OOD_MUST_CHECK;
void ood_last_layer_clear(struct ood_last_layer *layer);

/* Does it give these logits from these features, each within 1e-3 + 1e-3·|x|? The graph's shape alone does not prove it. */
bool ood_last_layer_holds(const struct ood_last_layer *layer, const float *logits, const float *features);

/* logits [K] of changed features [D], in double. */
void ood_last_layer_apply(const struct ood_last_layer *layer, const double *features, double *logits);

#endif
