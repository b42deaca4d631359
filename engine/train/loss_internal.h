/* What the files of the losses share. */
#ifndef OOD_TRAIN_LOSS_INTERNAL_H
#define OOD_TRAIN_LOSS_INTERNAL_H

#include "train/loss.h"

/* The terms in the order they are looked at; names in loss.c. */
enum ood_loss_term {
    OOD_TERM_CROSS_ENTROPY, OOD_TERM_ENERGY, OOD_TERM_CLUSTER, OOD_TERM_REPRESENTATION, OOD_TERM_UNIFORM, OOD_TERM_SCORE, OOD_TERM_COUNT,
};

bool ood_loss_check(const struct ood_loss_options *options, struct ood_error *err) OOD_MUST_CHECK;
bool ood_loss_reads_prototypes(const struct ood_loss_options *options);

/* A function of one number and its derivative. */
struct ood_slope { double value, slope; };

/* One side of a pair of margins of u (enum ood_margin_form): of an in-distribution picture or of an outlier. */
struct ood_slope ood_margin(enum ood_margin_form form, double u, double margin_in, double margin_out, bool in);

/* -(1 - q)^focus log q of log_q <= 0; the slope is q d/dq, so that the gradient to a_k is slope (delta_ky - q_k). */
struct ood_slope ood_cluster_focal(double log_q, double focus);

#endif
