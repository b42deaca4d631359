/* The losses' functions of one number with their derivatives: margins and the focal weight. */
#include <math.h>

#include "train/loss_internal.h"

static struct ood_slope hinge(double excess, double direction)
{
    if (!(excess > 0) && !isnan(excess))
        return (struct ood_slope){ 0, 0 };
    return (struct ood_slope){ excess * excess, 2 * excess * direction };
}

/* log(1 + exp t) without overflow; its derivative is the sigmoid. */
static struct ood_slope softplus(double t)
{
    double e = exp(-fabs(t));
    return (struct ood_slope){ fmax(t, 0) + log1p(e), t > 0 ? 1 / (1 + e) : e / (1 + e) };
}

struct ood_slope ood_margin(enum ood_margin_form form, double u, double margin_in, double margin_out, bool in)
{
    if (form == OOD_MARGIN_HINGE)
        return in ? hinge(u - margin_in, 1) : hinge(margin_out - u, -1);
    double middle = margin_in + (margin_out - margin_in) / 2, half = (margin_out - margin_in) / 2, direction = in ? 1 : -1;
    struct ood_slope result = softplus(direction * (u - middle) / half);
    result.slope *= direction / half;
    return result;
}

struct ood_slope ood_cluster_focal(double log_q, double focus)
{
    double rest = -expm1(log_q), q = exp(log_q);                   /* 1 - q, exact where q is near 1 */
    double weight = focus == 0 ? 1 : pow(rest, focus);
    double weight_slope = focus == 0 || rest == 0 ? 0 : focus * pow(rest, focus - 1) * q * log_q;
    return (struct ood_slope){ -weight * log_q, weight_slope - weight };
}
