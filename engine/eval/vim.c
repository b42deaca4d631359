/* ViM (Wang et al. 2022, ViM: Out-Of-Distribution with Virtual-logit Matching): energy less a virtual logit, the length of what the
 * fit pictures' main directions do not explain. */
#include <math.h>
#include <string.h>

#include "eval/contenders_internal.h"

/* The paper's code: 1000 for D >= 2048, 512 for D >= 768, else D/2. */
static size_t principal(size_t dimension) { return dimension >= 2048 ? 1000 : dimension >= 768 ? 512 : dimension / 2; }

static double residual_length(const struct contender_vim *vim, const float *features, double *scratch)
{
    double squares = 0;
    for (size_t d = 0; d < vim->dimension; d++)
        scratch[d] = (double)features[d] - vim->origin[d];
    for (size_t r = 0; r < vim->residual; r++) {
        const double *row = vim->directions + r * vim->dimension;
        double sum = 0;
        for (size_t d = 0; d < vim->dimension; d++)
            sum += row[d] * scratch[d];
        squares += sum * sum;
    }
    return sqrt(squares);
}

bool contender_vim_make(struct contender_vim *out, const struct ood_last_layer *layer, const struct ood_fit_part *fit, struct ood_error *err)
{
    size_t dimension = layer->dimension;
    struct contender_vim made = { .dimension = dimension, .residual = dimension - principal(dimension) };
    double *values = ood_new_array(double, dimension, err), *scratch = ood_new_array(double, dimension, err);
    double logits = 0, lengths = 0;
    made.origin = ood_new_array(double, dimension, err);
    made.directions = ood_alloc(dimension, dimension * sizeof *made.directions, err);
    bool done = values != NULL && scratch != NULL && made.origin != NULL && made.directions != NULL && contender_origin(layer, made.origin, err);
    if (done) {
        for (size_t i = 0; i < fit->count; i++)
            contender_add_outer(made.directions, fit->features + i * dimension, made.origin, dimension, scratch);
        for (size_t i = 0; i < dimension * dimension; i++)
            made.directions[i] /= (double)fit->count;
        done = contender_directions(made.directions, dimension, values, err);      /* ascending: the first rows are the residual space */
    }
    for (size_t i = 0; done && i < fit->count; i++) {
        logits += fit->max_logits[i];
        lengths += residual_length(&made, fit->features + i * dimension, scratch);
    }
    if (done && !(lengths > 0))
        done = ood_fail(err, OOD_INVALID, "the fit pictures lie in their main directions alone");
    made.alpha = logits / lengths;
    ood_free(values);
    ood_free(scratch);
    if (done)
        *out = made;
    else
        contender_vim_clear(&made);
    return done;
}

void contender_vim_clear(struct contender_vim *vim)
{
    ood_free(vim->origin);
    ood_free(vim->directions);
    *vim = (struct contender_vim){ 0 };
}

double contender_vim_score(const struct contender_vim *vim, double energy, const float *features, double *scratch)
{
    return energy - vim->alpha * residual_length(vim, features, scratch);
}
