/* METHOD section 7: a small head trained on a frozen detector's regions, with METHOD section 6's losses. From a region's features r and logits f
 *
 *     h = r/s + A r/s + a        f' = f + B h + b        s: the mean length of r over the known regions
 *
 * with A, a, B, b = 0 to begin with, so that the head starts as the detector is; prototypes are learned beside. What comes out is linear in r, and
 * so is the pooling of a region out of a map (RoIAlign): the head can stand in the network's file as 1×1 convolutions of the maps. */
#ifndef OOD_TRAIN_REGION_HEAD_H
#define OOD_TRAIN_REGION_HEAD_H

#include "base/file.h"
#include "train/loss.h"
#include "train/optimiser.h"
#include "train/schedule.h"

/* What is trained on, the caller's: known regions with their classes, and others (background, foreign). */
struct ood_region_set {
    size_t classes, dimension;               /* K, D */
    size_t in, out;                          /* at least 1 each */
    const float *in_logits, *in_features;    /* [in][K], [in][D] */
    const int32_t *in_classes;               /* [in]: 0 … K - 1 */
    const float *out_logits, *out_features;  /* [out][K], [out][D] */
};

struct ood_region_head_options {
    struct ood_loss_options loss;
    double own_in, own_out;                  /* quantiles of the start's own E, d_y and D that the margins become (ood_loss_scale); NAN: as they are */
    struct ood_optimiser_options optimiser;
    struct ood_schedule schedule;
    double prototype_rate;
    size_t batch_in, batch_out, steps, threads;      /* regions a step; each set is gone through in a seeded order, again and again */
    uint64_t seed;
};

struct ood_region_head {
    size_t classes, dimension;
    float *weights, *bias;                   /* h = weights r + bias: [D][D], [D] */
    float *logit_weights, *logit_bias;       /* f' = f + logit_weights h + logit_bias: [K][D], [K] */
    float *prototypes;                       /* [K][D], of unit length; zeros: no known region is of the class */
    struct ood_loss_options loss;            /* as they were used */
    struct ood_loss_terms first, last;       /* of the first and the last step's batch */
};

/* The same bits whatever the threads. Zero *head before; freed by ood_region_head_clear, on failure nothing is left. Features that are not finite
 * or have no direction: OOD_SCORE_NOT_FINITE. Margins that the start does not separate: OOD_INVALID (ood_loss_scale). */
bool ood_region_head_train(const struct ood_region_set *set, const struct ood_region_head_options *options, struct ood_region_head *head,
                           struct ood_error *err) OOD_MUST_CHECK;
void ood_region_head_clear(struct ood_region_head *head);

/* One of a network's maps that r is joined of, in their order. */
struct ood_region_map { const char *name; size_t channels, height, width; };

/* The network's file with the head behind its own nodes: for map i tensors PREFIX.features.i and PREFIX.logits.i, whose pooled values, summed over
 * the maps, are h and what is added to f; they are outputs too. *prefix: "oodd.head", or with a number where names of the network begin so; fresh
 * memory. Channels of all maps: D. */
bool ood_region_head_append(const struct ood_region_head *head, const struct ood_bytes *onnx, const struct ood_region_map *maps, size_t map_count,
                            char **prefix, struct ood_bytes *out, struct ood_error *err) OOD_MUST_CHECK;

#endif
