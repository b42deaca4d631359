/* Networks to train from scratch, as ONNX files with random weights:
 *
 *     wrn-D-K      WideResNet (Zagoruyko and Komodakis 2016): pre-activation, D = 6 n + 4, widths 16, 16 K, 32 K, 64 K
 *     resnet-D     the residual network for CIFAR of He et al. 2015, D = 6 n + 2 (20, 32, 44, 56, 110): widths 16, 32, 64; where the
 *                  shape changes the shortcut is a 1x1 convolution with batch normalisation (their option B)
 *     resnet-9     a small fast one, after the DAWNBench entries for CIFAR-10 at half their width: four 3x3 convolutions of 32, 64, 128
 *                  and 256 channels, maximum pools between them, two residual blocks of 64 and 256; all convolutions have stride 1
 *
 * Each ends in a global average pool and one fully connected layer, so it works at any size of picture. Convolutions: normal
 * numbers of deviation sqrt(2 / (outputs · kernel)) (He et al., fan out); batch norms 1 and 0; the last layer: deviation
 * sqrt(1 / inputs), biases 0. Taps "logits" and "features". */
#ifndef OOD_TRAIN_ARCHITECTURE_H
#define OOD_TRAIN_ARCHITECTURE_H

#include "base/file.h"

enum ood_architecture_family { OOD_WIDE_RESNET, OOD_RESNET, OOD_RESNET_9 };

struct ood_architecture {
    enum ood_architecture_family family;
    size_t depth, width;                     /* D; K (1 but for wrn) */
    size_t classes;                          /* 0: not said */
};

/* "wrn-40-2", "resnet-20:100". OOD_INVALID: what is expected. */
bool ood_architecture_parse(const char *text, struct ood_architecture *out, struct ood_error *err) OOD_MUST_CHECK;

/* classes must be set. Input "input" [n, channels, height, width], output "logits" [n, classes]. The same seed gives the same bytes.
 * out: freed by ood_bytes_free. */
bool ood_architecture_build(const struct ood_architecture *architecture, size_t channels, size_t height, size_t width, uint64_t seed,
                            struct ood_bytes *out, struct ood_error *err) OOD_MUST_CHECK;

#endif
