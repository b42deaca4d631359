/* A scorer without a network behind it: what api/ asks of one is its lengths, labels and bundle. */
#ifndef OOD_TESTS_FAKE_SCORER_H
#define OOD_TESTS_FAKE_SCORER_H

#include "scorer/scorer.h"

/* K = 3, D = 2; labels "cat", "dog \"2\"", "köter". Static memory, set anew by each call. */
struct ood_scorer *fake_scorer(void);
/* Its bundle, for a test to change. */
struct ood_bundle *fake_bundle(struct ood_scorer *scorer);

/* Whether it says of itself that it has a detector. */
void fake_detector(struct ood_scorer *scorer, bool detector);

#endif
