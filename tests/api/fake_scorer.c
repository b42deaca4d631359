/* The calls of ood.h and scorer/scorer.h that api/ makes, answered from constants. Defined here, the engine's own are not
 * linked. */
#include "fake_scorer.h"

#include <math.h>
#include <string.h>

struct ood_scorer { struct ood_bundle bundle; bool detector; };

struct ood_scorer *fake_scorer(void)
{
    static char cat[] = "cat", dog[] = "dog \"2\"", mutt[] = "k\xC3\xB6ter", name[] = "small", input[] = "input",
                logits[] = "logits", features[] = "features", provenance[] = "{\"made_by\":\"a test\"}";
    static char *labels[] = { cat, dog, mutt };
    static struct ood_scorer scorer;
    scorer.bundle = (struct ood_bundle){
        .name = name, .classes = 3, .labels = labels, .input_tensor = input, .logits_tap = logits,
        .features_tap = features,
        .input = { .width = 32, .height = 32, .scale = 1.0f / 255, .mean = { 0.4914f, 0.4822f, 0.4465f },
                   .std = { 0.2470f, 0.2435f, 0.2616f } },
        .judge = { .classes = 3, .dimension = 2, .temperature = 1, .beta = 0.5, .energy_mean = -9.5, .energy_std = 2.25,
                   .representation_mean = 0.1, .representation_std = 0.05, .alpha = 0.05, .alpha_review = 0.1,
                   .calibration_count = 2500, .threshold = -1.7123456789, .review_threshold = -INFINITY },
        .largest_difference = NAN, .provenance = provenance,
    };
    memset(scorer.bundle.version, 'a', sizeof scorer.bundle.version - 1);
    return &scorer;
}

void fake_detector(struct ood_scorer *scorer, bool detector) { scorer->detector = detector; }
struct ood_bundle *fake_bundle(struct ood_scorer *scorer) { return &scorer->bundle; }

size_t ood_scorer_classes(const struct ood_scorer *scorer) { return scorer->bundle.classes; }
size_t ood_scorer_dimension(const struct ood_scorer *scorer) { return scorer->bundle.judge.dimension; }
const char *ood_scorer_version(const struct ood_scorer *scorer) { return scorer->bundle.version; }
const struct ood_bundle *ood_scorer_bundle(const struct ood_scorer *scorer) { return &scorer->bundle; }
bool ood_scorer_is_detector(const struct ood_scorer *scorer) { return scorer->detector; }
const char *ood_scorer_label(const struct ood_scorer *scorer, size_t class_index) { return scorer->bundle.labels[class_index]; }
