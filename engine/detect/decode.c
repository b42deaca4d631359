/* From a picture's output tensors to candidates, logits and region features. Everything in double from the tensors on. */
#include <math.h>

#include "detect/detect_internal.h"
#include "kernel/roi_align.h"

#define LEAST_PROBABILITY 1e-7               /* METHOD section 7 */
#define PROBABILITY_ROUNDING 1e-4

struct at { const struct detect_grid *grid; const struct ood_level *level; size_t cell, anchor; };

static struct at at_index(const struct ood_decoder *decoder, size_t index)
{
    size_t i = 0;
    while (i + 1 < decoder->detector.level_count && index >= decoder->grids[i + 1].first)
        i++;
    const struct detect_grid *grid = &decoder->grids[i];
    size_t inside = index - grid->first;
    return (struct at){ grid, &decoder->detector.levels[i], inside / grid->anchors, inside % grid->anchors };
}

static const float *start_of(const struct detect_place *place, const float *const *tensors, const struct at *at)
{
    return tensors[place->tensor] + place->base + at->cell * place->cell_step + at->anchor * place->anchor_step;
}

static double activate(enum ood_activation activation, double x)
{
    switch (activation) {
    case OOD_ACTIVATION_SIGMOID:
        return 1 / (1 + exp(-x));
    case OOD_ACTIVATION_TANH:
        return tanh(x);
    case OOD_ACTIVATION_EXP:
        return exp(x);
    case OOD_ACTIVATION_RELU:
        return x < 0 ? 0 : x;
    case OOD_ACTIVATION_NONE:
    case OOD_ACTIVATION_SOFTMAX:
        break;
    }
    return x;
}

/* ---- boxes ---- */

/* One direction: 0 is x, 1 is y. */
struct axis { double input, stride, anchor, point; };

static double apply(const struct ood_box_part *part, const struct axis *axis, double t)
{
    double value = part->scale * activate(part->activation, part->input_scale * t) + part->shift;
    double unit = part->unit == OOD_UNIT_INPUT ? axis->input : part->unit == OOD_UNIT_STRIDE ? axis->stride
                  : part->unit == OOD_UNIT_ANCHOR ? axis->anchor : 1;
    return unit * (part->power == 2 ? value * value : value);
}

/* The mean of 0 … bins − 1 under softmax of the values. */
static double mean_bin(const float *values, size_t step, size_t bins)
{
    double most = (double)values[0], sum = 0, weighted = 0;
    for (size_t k = 1; k < bins; k++)
        most = fmax(most, (double)values[k * step]);
    for (size_t k = 0; k < bins; k++) {
        double share = exp((double)values[k * step] - most);
        sum += share;
        weighted += (double)k * share;
    }
    return weighted / sum;
}

static void decode_box(const struct ood_decoder *decoder, const float *const *tensors, const struct at *at, double box[4])
{
    const struct ood_box_form *form = &decoder->detector.box;
    const struct detect_place *place = &at->grid->boxes;
    const float *values = start_of(place, tensors, at);
    const bool apart = at->level->sizes.tensor != NULL;
    const float *sizes = apart ? start_of(&at->grid->sizes, tensors, at) : NULL;
    size_t bins = form->bins > 0 ? form->bins : 1, step = place->channel_step;
    for (size_t d = 0; d < 2; d++) {
        size_t first = form->rows_first ? 1 - d : d;
        const float *low = values + first * bins * step, *high = apart ? sizes + first * at->grid->sizes.channel_step : values + (first + 2) * bins * step;
        double cell = d == 0 ? (double)(at->cell % at->grid->width) : (double)(at->cell / at->grid->width);
        struct axis axis = { .input = d == 0 ? decoder->input_width : decoder->input_height, .anchor = at->level->anchors[at->anchor][d] };
        axis.stride = at->level->cells[d] > 0 ? axis.input / (double)at->level->cells[d] : (double)at->level->stride;
        axis.point = (cell + form->cell) * axis.stride + form->cell_pixels;
        double base = form->center.unit >= OOD_UNIT_STRIDE ? axis.point : 0, a, b;
        switch (form->coding) {
        case OOD_BOX_CORNERS:
            box[d] = base + apply(&form->center, &axis, (double)*low);
            box[d + 2] = base + apply(&form->center, &axis, (double)*high);
            break;
        case OOD_BOX_CENTER_SIZE:
            a = base + apply(&form->center, &axis, (double)*low);
            b = apply(&form->size, &axis, (double)*high);
            box[d] = a - b / 2;
            box[d + 2] = a + b / 2;
            break;
        case OOD_BOX_SIDES:
            box[d] = axis.point - apply(&form->size, &axis, (double)*low);
            box[d + 2] = axis.point + apply(&form->size, &axis, (double)*high);
            break;
        case OOD_BOX_DISTRIBUTION:
            box[d] = axis.point - apply(&form->size, &axis, mean_bin(low, step, bins));
            box[d + 2] = axis.point + apply(&form->size, &axis, mean_bin(high, step, bins));
            break;
        }
    }
}

static bool finite_box(const double box[4])
{
    return isfinite(box[0]) && isfinite(box[1]) && isfinite(box[2]) && isfinite(box[3]);
}

/* ---- scores ---- */

/* The channels of the classes without background: first of `count`. */
static size_t first_class(const struct ood_detector *detector) { return detector->background == OOD_BACKGROUND_FIRST; }

/* The best class and its probability; the first of equals. NaN in any class makes the probability NaN. */
static double best_class(const struct ood_detector *detector, const float *values, size_t step, size_t *class_index)
{
    size_t first = first_class(detector), all = detector->classes + (detector->background != OOD_BACKGROUND_NONE), best = first;
    bool finite = true;
    for (size_t k = first; k < first + detector->classes; k++) {
        float value = values[k * step];
        finite = finite && !isnan(value);
        if (value > values[best * step])
            best = k;
    }
    *class_index = best - first;
    double greatest = (double)values[best * step];
    if (!finite)
        return (double)NAN;
    if (detector->class_activation == OOD_ACTIVATION_NONE)
        return greatest;
    if (detector->class_activation == OOD_ACTIVATION_SIGMOID)
        return 1 / (1 + exp(-greatest));
    double sum = 0;
    for (size_t k = 0; k < all; k++)
        sum += exp((double)values[k * step] - greatest);
    return 1 / sum;
}

/* The class that the network named, and its score; 0 where it named none of the classes. */
static double class_found(const struct ood_decoder *decoder, const float *const *tensors, const struct at *at, size_t *class_index)
{
    const double label = (double)*start_of(&at->grid->labels, tensors, at) - (double)first_class(&decoder->detector);
    const bool known = label >= 0 && label < (double)decoder->detector.classes;
    *class_index = known ? (size_t)label : 0;
    return known ? (double)*start_of(&at->grid->classes, tensors, at) : 0;
}

/* No cell around has more of the class. */
static bool is_peak(const struct ood_decoder *decoder, const float *const *tensors, const struct at *at, size_t class_index)
{
    const struct detect_grid *grid = at->grid;
    const size_t x = at->cell % grid->width, y = at->cell / grid->width, k = first_class(&decoder->detector) + class_index;
    const float value = start_of(&grid->classes, tensors, at)[k * grid->classes.channel_step];
    for (size_t r = y > 0 ? y - 1 : 0; r <= y + 1 && r < grid->height; r++)
        for (size_t c = x > 0 ? x - 1 : 0; c <= x + 1 && c < grid->width; c++) {
            struct at near = *at;
            near.cell = r * grid->width + c;
            if (start_of(&grid->classes, tensors, &near)[k * grid->classes.channel_step] > value)
                return false;
        }
    return true;
}

static double raise(double x, double power)
{
    return power == 1 ? x : pow(x, power);
}

static double objectness_of(const struct ood_decoder *decoder, const float *const *tensors, const struct at *at)
{
    if (at->level->objectness.tensor == NULL)
        return 1;
    return activate(decoder->detector.objectness_activation, (double)*start_of(&at->grid->objectness, tensors, at));
}

static void score(const struct ood_decoder *decoder, const float *const *tensors, const struct at *at, struct ood_candidate *candidate)
{
    const struct ood_detector *detector = &decoder->detector;
    const struct detect_place *classes = &at->grid->classes;
    if (at->level->labels.tensor != NULL)
        candidate->probability = class_found(decoder, tensors, at, &candidate->class_index);
    else
        candidate->probability = best_class(detector, start_of(classes, tensors, at), classes->channel_step, &candidate->class_index);
    candidate->score = raise(candidate->objectness, detector->objectness_power) * raise(candidate->probability, detector->class_power);
}

static bool is_probability(double p)
{
    return p >= -PROBABILITY_ROUNDING && p <= 1 + PROBABILITY_ROUNDING;
}

static double clamp(double p) { return p < 0 ? 0 : p > 1 ? 1 : p; }

bool ood_decode(const struct ood_decoder *decoder, const float *const *tensors, double limit, struct ood_candidate *out, size_t *count,
                size_t *dropped, struct ood_error *err)
{
    size_t found = 0, not_finite = 0;
    for (size_t index = 0; index < decoder->candidates; index++) {
        struct at at = at_index(decoder, index);
        struct ood_candidate candidate = { .index = index };
        double objectness = objectness_of(decoder, tensors, &at);
        if (!is_probability(objectness))
            return ood_fail(err, OOD_SCORE_NOT_FINITE, "candidate %zu: objectness %g, expected 0 to 1", index, objectness);
        candidate.objectness = clamp(objectness);
        /* No probability lifts it over the limit. */
        if (raise(candidate.objectness, decoder->detector.objectness_power) < limit)
            continue;
        score(decoder, tensors, &at, &candidate);
        if (!is_probability(candidate.probability))
            return ood_fail(err, OOD_SCORE_NOT_FINITE, "candidate %zu: class probability %g, expected 0 to 1", index, candidate.probability);
        candidate.probability = clamp(candidate.probability);
        if (!(candidate.score >= limit) || (decoder->detector.peaks && !is_peak(decoder, tensors, &at, candidate.class_index)))
            continue;
        decode_box(decoder, tensors, &at, candidate.box);
        if (finite_box(candidate.box))
            out[found++] = candidate;
        else
            not_finite++;
    }
    *count = found;
    *dropped = not_finite;
    return true;
}

bool ood_decode_one(const struct ood_decoder *decoder, const float *const *tensors, size_t index, struct ood_candidate *out)
{
    struct at at = at_index(decoder, index);
    struct ood_candidate candidate = { .index = index, .objectness = objectness_of(decoder, tensors, &at) };
    score(decoder, tensors, &at, &candidate);
    decode_box(decoder, tensors, &at, candidate.box);
    if (!is_probability(candidate.objectness) || !is_probability(candidate.probability) || !isfinite(candidate.score) ||
        !finite_box(candidate.box))
        return false;
    candidate.objectness = clamp(candidate.objectness);
    candidate.probability = clamp(candidate.probability);
    *out = candidate;
    return true;
}

/* ---- what a verdict is made of ---- */

static double logit_of(double probability)
{
    double p = probability < LEAST_PROBABILITY ? LEAST_PROBABILITY : probability > 1 - LEAST_PROBABILITY ? 1 - LEAST_PROBABILITY : probability;
    return log(p / (1 - p));
}

/* All that is left of the classes is the best one's probability: the others are taken to be absent. */
static void found_logits(const struct ood_decoder *decoder, const float *const *tensors, const struct at *at, float *logits)
{
    size_t named;
    const double probability = class_found(decoder, tensors, at, &named);
    for (size_t k = 0; k < decoder->detector.classes; k++)
        logits[k] = (float)logit_of(0);
    logits[named] = isnan(probability) ? NAN : (float)logit_of(probability);
}

void ood_decoder_logits(const struct ood_decoder *decoder, const float *const *tensors, size_t index, float *logits)
{
    const struct ood_detector *detector = &decoder->detector;
    struct at at = at_index(decoder, index);
    bool tapped = at.level->logits.tensor != NULL, raw = tapped || detector->class_activation != OOD_ACTIVATION_NONE;
    if (at.level->labels.tensor != NULL) {
        found_logits(decoder, tensors, &at, logits);
        return;
    }
    const struct detect_place *place = tapped ? &at.grid->logits : &at.grid->classes;
    const float *values = start_of(place, tensors, &at) + first_class(detector) * place->channel_step;
    for (size_t k = 0; k < detector->classes; k++) {
        double value = (double)values[k * place->channel_step];
        if (!raw && !isnan(value))
            value = logit_of(value);
        logits[k] = (float)value;
    }
}

static void pool(const struct ood_decoder *decoder, const struct detect_map *map, const float *const *tensors, const double box[4], double *scratch,
                 float *means)
{
    struct ood_roi_map roi = {
        .values = tensors[map->tensor], .channels = map->channels, .height = map->height, .width = map->width,
        .scale_x = (double)map->width / decoder->input_width, .scale_y = (double)map->height / decoder->input_height,
    };
    ood_roi_mean(&roi, box, scratch, means);
}

/* The maps' means are added to sum. */
static void add_pooled(const struct ood_decoder *decoder, const struct detect_map *maps, const float *const *tensors, const double box[4],
                       double *scratch, float *sum)
{
    float *part = (float *)(void *)(scratch + decoder->part);
    for (size_t i = 0; i < decoder->map_count; i++) {
        pool(decoder, &maps[i], tensors, box, scratch, part);
        for (size_t c = 0; c < maps[i].channels; c++)
            sum[c] += part[c];
    }
}

void ood_decoder_add_head(const struct ood_decoder *decoder, const float *const *tensors, const double box[4], double *scratch, float *logits)
{
    if (decoder->detector.head_count > 0)
        add_pooled(decoder, decoder->logits, tensors, box, scratch, logits);
}

void ood_decoder_features(const struct ood_decoder *decoder, const float *const *tensors, const double box[4], double *scratch,
                          float *features)
{
    if (decoder->detector.head_count > 0) {
        memset(features, 0, decoder->dimension * sizeof *features);
        add_pooled(decoder, decoder->maps, tensors, box, scratch, features);
        return;
    }
    for (size_t i = 0; i < decoder->map_count; i++) {
        pool(decoder, &decoder->maps[i], tensors, box, scratch, features);
        features += decoder->maps[i].channels;
    }
}
