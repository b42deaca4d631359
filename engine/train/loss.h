/* METHOD section 6: the losses of a batch and their gradients. From the logits on all arithmetic is in double; sums run over the pictures in
 * order, so the same batch always gets the same bits.
 *
 *     ood_loss_preset("sde", K, &options, err)               METHOD's defaults; change what differs
 *     loss = ood_loss_new(K, D, most, &options, err)         all memory a call needs
 *     each step:  ood_loss(loss, &batch, &gradients, &terms, err)
 *
 * f: logits, h: features, z = h/|h|, v: prototypes as learned, c_k = v_k/|v_k|, d_k = 1 - z·c_k, D = min_k d_k (the lower index on a tie),
 * a_k = s z·c_k, q = softmax(a), E = -T log sum_k exp(f_k / T). A picture with label -1 is an outlier; <.> is the mean over the pictures of the
 * in-distribution part or of the outliers, and a part without pictures contributes 0. */
#ifndef OOD_TRAIN_LOSS_H
#define OOD_TRAIN_LOSS_H

#include "score/score.h"

/* ---- options ---- */

/* What a pair of margins (in < out, of a quantity u that is low for in-distribution pictures) asks for:
 *     HINGE      <max(0, u - in)^2>_in + <max(0, out - u)^2>_out                      METHOD's
 *     LOGISTIC   <log(1 + exp t)>_in + <log(1 + exp -t)>_out,  t = (u - (in + out)/2) / ((out - in)/2)        (ours; after VOS, Du et al. 2022) */
enum ood_margin_form { OOD_MARGIN_HINGE, OOD_MARGIN_LOGISTIC };

/* What the energy is taken of: f, or the cosine logits a = s z·c_k (hyperspherical energy). */
enum ood_energy_space { OOD_ENERGY_LOGITS, OOD_ENERGY_COSINE };

/* L = w_ce L_ce + w_E L_energy + w_C L_cfl + w_R L_rep + w_U L_uniform + w_S L_score. Weights are >= 0 and finite; 0 leaves a term out. */
struct ood_loss_options {
    double cross_entropy_weight;             /* w_ce: <-log softmax_y f>_in. METHOD: 1 */
    double energy_weight;                    /* w_E: margins of E */
    double cluster_weight;                   /* w_C: Cluster Focal Loss <-(1 - q_y)^gamma log q_y>_in. With gamma = 0 it is the cross-entropy of
                                                the cosine classifier; with w_ce = 0 beside it, that instead of the linear one's */
    double representation_weight;            /* w_R: margins of d_y (in) and D (outliers), whose gradient goes to the arg min */
    double temperature;                      /* T > 0 */
    double energy_in, energy_out;            /* m_in < m_out */
    double focus;                            /* gamma >= 0 */
    double scale;                            /* s > 0 */
    double representation_in, representation_out;        /* r_in < r_out */

    /* Other readings of the paper, off in every preset. */
    enum ood_energy_space energy_space;      /* of E everywhere on this page; set before ood_loss_default_margins */
    enum ood_margin_form energy_form, representation_form;
    double uniform_weight;                   /* w_U: <-1/K sum_k log softmax_k f>_out, outlier exposure (Hendrycks et al. 2019: 0.5) */
    double score_weight;                     /* w_S: margins of the fused score (below) for both parts, with D for both */
    enum ood_margin_form score_form;         /* LOGISTIC by default */
    double score_in, score_out;              /* s_in > s_out, in deviations: u = -S, in = -s_in, out = -s_out. (1, -1) and LOGISTIC give
                                                <log(1 + exp -S)>_in + <log(1 + exp S)>_out */
    double beta;                             /* S = -[(1 - beta)(E - mu_E)/sigma_E + beta (D - mu_D)/sigma_D]: constants, no gradient */
    double energy_mean, energy_std, representation_mean, representation_std;
};

/* METHOD's defaults with the weights of a preset: "ce", "energy" or "sde"; another name is OOD_INVALID. classes sets the margins. */
bool ood_loss_preset(const char *name, size_t classes, struct ood_loss_options *options, struct ood_error *err) OOD_MUST_CHECK;

/* m_in and m_out by K and the energy's space: of the logits -23 and -5 up to K = 31, -27 and -5 above (Liu et al.'s for 10 and 100 classes); of the
 * cosine logits -s(1 - r_in) and -s(1 - r_out) - log K, the energies of pictures at the representation's margins (ours). */
void ood_loss_default_margins(struct ood_loss_options *options, size_t classes);

/* What ood_loss_measure tells of the starting network's fit pictures and outliers; see ood_loss_scale. */
struct ood_loss_sample {
    size_t in, out;
    const double *in_energy, *in_own, *in_representation;        /* [in] E, d_y, D */
    const double *out_energy, *out_representation;               /* [out] E, D */
};

/* Scales the options to a network's own scores (ours): m_in and r_in become the quantile_in of the E and d_y in, m_out and r_out the quantile_out
 * of the outliers' E and D; mean and deviation of E and D in become the constants of S. Quantiles interpolate linearly. in >= 2, out >= 1,
 * quantiles in [0, 1]. Where a pair does not come out as in < out the network does not separate that far: OOD_INVALID naming the pair.
 * Options are unchanged on failure. */
bool ood_loss_scale(struct ood_loss_options *options, const struct ood_loss_sample *sample, double quantile_in, double quantile_out,
                    struct ood_error *err) OOD_MUST_CHECK;

/* ---- a batch ---- */

struct ood_loss;

/* Checks the options and allocates for batches of up to `most` pictures. NULL on failure. Not for two threads at once. */
struct ood_loss *ood_loss_new(size_t classes, size_t dimension, size_t most, const struct ood_loss_options *options,
                              struct ood_error *err) OOD_MUST_CHECK;
void ood_loss_free(struct ood_loss *loss);                     /* NULL is fine */

/* Whether a term (or the energy) reads features and prototypes. Without one the gradients of both are 0. */
bool ood_loss_needs_prototypes(const struct ood_loss *loss);

/* All row-major; the caller's. */
struct ood_loss_batch {
    size_t pictures;                         /* N: 1 … most */
    const float *logits;                     /* [N][K] */
    const float *features;                   /* [N][D] */
    const int32_t *labels;                   /* [N]: 0 … K - 1, -1: an outlier */
    const float *prototypes;                 /* v [K][D], any length but 0; NULL where none are needed: then what depends on them is told as 0 */
};

/* Derivatives of the total, written whole; each may be NULL. The caller's. */
struct ood_loss_gradients { float *logits, *features, *prototypes; };        /* [N][K], [N][D], [K][D] */

/* The terms before their weights, told whatever their weight (but for score, 0 where its weight is 0, and for what needs prototypes where there
 * are none), and what progress shows. Means over a part without pictures are 0. */
struct ood_loss_terms {
    double total;                            /* with weights */
    double cross_entropy, energy, cluster, representation, uniform, score;
    double mean_energy_in, mean_energy_out;
    double mean_own_in;                      /* d_y */
    double mean_representation_in, mean_representation_out;      /* D */
    size_t in, out;                          /* pictures of each part */
    size_t correct, nearest_correct;         /* of the part in: argmax f = y, arg min d = y (ties: the lower index) */
};

/* A picture whose features are all 0 has d_k = 1 for every class and no gradient by them (ours: one such picture ends no run). A label out of
 * range: OOD_INVALID. What is not finite or has no direction (NaN logits or features, a prototype of length 0, a gradient beyond float32) is OOD_SCORE_NOT_FINITE, "the energy term is not finite: picture 3 (an outlier): …". On failure neither
 * gradients nor terms are written. */
bool ood_loss(struct ood_loss *loss, const struct ood_loss_batch *batch, const struct ood_loss_gradients *gradients, struct ood_loss_terms *terms,
              struct ood_error *err) OOD_MUST_CHECK;

/* E, d_y (an outlier's: D) and D of each picture into [N] each (NULL: not wanted). own and representation need prototypes. Errors as ood_loss. */
bool ood_loss_measure(struct ood_loss *loss, const struct ood_loss_batch *batch, double *energy, double *own, double *representation,
                      struct ood_error *err) OOD_MUST_CHECK;

/* ---- the first prototypes (METHOD section 3) ---- */

/* Adds the z of a batch's in-distribution pictures to the class sums; outliers are passed over. Begin, add batches, ood_prototypes_finish writes v
 * as unit class means (score/score.h, which refuses a class with fewer than 2 pictures). Errors name the picture; the sums hold those before it. */
bool ood_prototypes_add_batch(struct ood_prototype_sums *sums, const float *features, const int32_t *labels, size_t pictures,
                              struct ood_error *err) OOD_MUST_CHECK;

#endif
