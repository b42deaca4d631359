/* What backward passes of several operators share. */
#ifndef OOD_OPS_GRADIENT_INTERNAL_H
#define OOD_OPS_GRADIENT_INTERNAL_H

#include "kernel/kernel.h"
#include "plan/move.h"
#include "ops/walk_internal.h"
#include "plan/tape.h"

/* The gradient of a bias: the sums of `gradient` [rows][channels] a channel. */
bool ood_bias_gradient(struct ood_tape *tape, const struct ood_node *node, uint32_t bias, struct ood_operand gradient, size_t rows, size_t channels,
                       struct ood_error *err) OOD_MUST_CHECK;

/* The gradient of `input`, of which `output` is an activation `step`; `told`: which of the two tells the slope (kernel.h, unary_gradient). */
bool ood_activation_gradient(struct ood_tape *tape, const struct ood_node *node, uint32_t input, uint32_t output, uint32_t told,
                             struct ood_unary_step step, struct ood_error *err) OOD_MUST_CHECK;

/* BatchNormalization in training (batch_norm_training.c). */
bool ood_batch_norm_train(struct ood_tape *tape, const struct ood_node *node, struct ood_error *err) OOD_MUST_CHECK;
bool ood_batch_norm_backward(struct ood_tape *tape, const struct ood_node *node, struct ood_error *err) OOD_MUST_CHECK;

/* Gemm and MatMul by a parameter (gemm_training.c). */
bool ood_gemm_train(struct ood_tape *tape, const struct ood_node *node, struct ood_error *err) OOD_MUST_CHECK;
bool ood_gemm_backward(struct ood_tape *tape, const struct ood_node *node, struct ood_error *err) OOD_MUST_CHECK;

/* Output 0 is input 0 under another shape: Reshape and its kin, Identity. */
bool ood_reshape_backward(struct ood_tape *tape, const struct ood_node *node, struct ood_error *err) OOD_MUST_CHECK;

/* The gradient of `input`, whose elements `move` finds in the gradient of `output` (rank 4: both channels last). partial: elements that are
 * not moved get 0. */
bool ood_move_gradient(struct ood_tape *tape, const struct ood_node *node, uint32_t input, uint32_t output, struct ood_move move, bool partial,
                       struct ood_error *err) OOD_MUST_CHECK;

/* Of both operands of y = a op b, repeated ones summed. */
bool ood_arithmetic_gradient(struct ood_tape *tape, const struct ood_node *node, enum ood_binary op, struct ood_error *err) OOD_MUST_CHECK;

#endif
