/* METHOD section 7: the joint energy, and classes that have no prototype. */
#include "check.h"

#include <math.h>

#include "score/score.h"

static struct ood_error err;

static void joint_energy(void **state)
{
    (void)state;
    const float logits[] = { 0, 1, -2 }, large[] = { 1000, -1000 };
    double expected = log(2) + log(1 + exp(1)) + log(1 + exp(-2));
    check_close(ood_joint_energy(logits, 3, 1), -expected, 1e-14, 0);
    check_close(ood_joint_energy(logits, 3, 2), -2 * (log(2) + log(1 + exp(0.5)) + log(1 + exp(-1))), 1e-14, 0);
    check_close(ood_joint_energy(large, 2, 1), -1000, 0, 0);
}

/* Class 1 has no prototype. */
static struct ood_judge small_judge(float prototypes[6])
{
    return (struct ood_judge){ .classes = 3, .dimension = 2, .temperature = 1, .energy_form = OOD_ENERGY_JOINT, .classes_may_lack = true,
                               .prototypes = prototypes };
}

static void classes_without_prototypes(void **state)
{
    (void)state;
    float prototypes[6] = { 1, 0, 0, 0, 0, 1 };
    const float logits[] = { 0, 1, -2 }, features[] = { 0.6f, 0.8f };
    struct ood_judge judge = small_judge(prototypes);
    struct ood_verdict verdict = { 0 };
    check_ok(ood_measure(&judge, logits, features, &verdict, &err));
    assert_int_equal(verdict.class_index, 1);
    check_close(verdict.class_probability, 1 / (1 + exp(-1)), 1e-14, 0);
    assert_int_equal(verdict.nearest_count, 2);
    assert_true(verdict.nearest[0].class_index == 2 && verdict.nearest[1].class_index == 0);
    check_close(verdict.representation_score, 0.2, 1e-6, 0);
    judge.distance = OOD_DISTANCE_PREDICTED;         /* the predicted class has none: the nearest */
    check_ok(ood_measure(&judge, logits, features, &verdict, &err));
    check_close(verdict.representation_score, 0.2, 1e-6, 0);
    const float other[] = { 2, 1, -2 };
    check_ok(ood_measure(&judge, other, features, &verdict, &err));
    check_close(verdict.representation_score, 0.4, 1e-6, 0);
}

static void prototypes_of_some(void **state)
{
    (void)state;
    struct ood_prototype_sums sums = { 0 };
    float prototypes[6];
    check_ok(ood_prototypes_begin(&sums, 3, 2, &err));
    check_fails(ood_prototypes_finish_some(&sums, prototypes, &err), OOD_INVALID, "no class has a region to fit");
    check_ok(ood_prototypes_add(&sums, 2, (const float[]){ 3, 4 }, &err));
    check_fails(ood_prototypes_finish(&sums, prototypes, &err), OOD_INVALID, "class 0: found 0 pictures");
    check_ok(ood_prototypes_finish_some(&sums, prototypes, &err));
    assert_true(prototypes[0] == 0 && prototypes[3] == 0);
    check_close((double)prototypes[4], 0.6, 1e-7, 0);
    ood_prototypes_free(&sums);
}

static void what_a_judge_accepts(void **state)
{
    (void)state;
    float prototypes[6] = { 1, 0, 0, 0, 0, 1 };
    double scores[20];
    for (size_t i = 0; i < 20; i++)
        scores[i] = (double)i;
    struct ood_judge judge = small_judge(prototypes);
    judge.beta = 0.5;
    judge.energy_std = judge.representation_std = 1;
    judge.alpha = judge.alpha_review = 0.05;
    judge.calibration_count = 20;
    judge.calibration_scores = scores;
    check_ok(ood_judge_prepare(&judge, &err));
    judge.classes_may_lack = false;
    check_fails(ood_judge_prepare(&judge, &err), OOD_INVALID, "class 1 has length 0, expected 1");
    judge.classes_may_lack = true;
    prototypes[0] = prototypes[5] = 0;
    check_fails(ood_judge_prepare(&judge, &err), OOD_INVALID, "all are zeros");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(joint_energy), cmocka_unit_test(classes_without_prototypes), cmocka_unit_test(prototypes_of_some),
        cmocka_unit_test(what_a_judge_accepts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
