/* The parts of contenders.c: each is made of fit pictures or the last layer, then asked for one item. */
#ifndef OOD_EVAL_CONTENDERS_INTERNAL_H
#define OOD_EVAL_CONTENDERS_INTERNAL_H

#include "eval/contenders.h"

/* ---- symmetric.c: covariances and their directions (LAPACKE) ---- */

/* sum += (x - centre)(x - centre)' of x[D]: the upper triangle of sum[D][D]. scratch[D]. */
void contender_add_outer(double *sum, const float *x, const double *centre, size_t dimension, double *scratch);
/* Eigenvalues ascending into values[D]; eigenvector i becomes row i of matrix[D][D], whose upper triangle was filled. */
bool contender_directions(double *matrix, size_t dimension, double *values, struct ood_error *err) OOD_MUST_CHECK;
/* The shortest u with W u = -b in the least-squares sense, u[D]. */
bool contender_origin(const struct ood_last_layer *layer, double *u, struct ood_error *err) OOD_MUST_CHECK;

/* ---- neighbours.c ---- */

struct contender_neighbours { size_t count, dimension, k; float *packed; const struct ood_kernels *kernels; };
bool contender_neighbours_make(struct contender_neighbours *out, const struct ood_fit_part *fit, size_t dimension, size_t k,
                               struct ood_error *err) OOD_MUST_CHECK;
void contender_neighbours_clear(struct contender_neighbours *neighbours);
/* similarities[count + D] of scratch. */
double contender_neighbours_score(const struct contender_neighbours *neighbours, const float *features, float *similarities);

/* ---- mahalanobis.c ---- */

struct contender_gaussian {
    size_t classes, dimension, rank;
    double *whitening;                       /* [rank][D] */
    double *means;                           /* [K][rank], whitened; only classes that have pictures */
    size_t present;                          /* rows of means */
};
bool contender_gaussian_make(struct contender_gaussian *out, const struct ood_fit_part *fit, size_t classes, size_t dimension,
                             struct ood_error *err) OOD_MUST_CHECK;
void contender_gaussian_clear(struct contender_gaussian *gaussian);
double contender_gaussian_score(const struct contender_gaussian *gaussian, const float *features, double *scratch);      /* [rank] */

/* ---- vim.c ---- */

struct contender_vim { size_t dimension, residual; double alpha, *origin, *directions; };        /* [D], [residual][D] */
bool contender_vim_make(struct contender_vim *out, const struct ood_last_layer *layer, const struct ood_fit_part *fit,
                        struct ood_error *err) OOD_MUST_CHECK;
void contender_vim_clear(struct contender_vim *vim);
double contender_vim_score(const struct contender_vim *vim, double energy, const float *features, double *scratch);      /* [D] */

/* ---- shaping.c: changed features through the last layer ---- */

/* The percentile of count·D features (linear between neighbours, as NumPy's default). */
bool contender_percentile(const struct ood_fit_part *fit, size_t dimension, double percentile, double *out, struct ood_error *err) OOD_MUST_CHECK;
/* shaped[D], logits[K], order[D] are scratch. */
double contender_react(const struct ood_last_layer *layer, double limit, const float *features, double *shaped, double *logits);
double contender_ash(const struct ood_last_layer *layer, double percentile, bool binary, const float *features, double *shaped,
                     double *logits, size_t *order);

#endif
