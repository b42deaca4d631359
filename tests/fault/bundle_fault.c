/* Every allocation, open, read, write, sync and rename of reading and writing a bundle made to fail, once or from then on:
 * the call says so, nothing leaks, and what stood in the folder stands there still. */
#include "base/fault.h"

#include "bundle/small.h"
#include "score/score.h"

static enum ood_code code_of(enum ood_fault kind)
{
    return kind == OOD_FAULT_ALLOC ? OOD_OUT_OF_MEMORY : OOD_SYSTEM;
}

static void reading(void **state)
{
    (void)state;
    static const enum ood_fault kinds[] = { OOD_FAULT_ALLOC, OOD_FAULT_OPEN, OOD_FAULT_READ };
    struct ood_error err = { 0 };
    char folder[64], path[128];
    small_folder(folder);
    snprintf(path, sizeof path, "%s/b", folder);
    struct ood_bundle *bundle = small_bundle();
    bundle->judge.per_class = true;
    bundle->judge.calibration_classes = ood_new_array(int64_t, 20, &err);
    assert_non_null(bundle->judge.calibration_classes);
    check_ok(ood_judge_prepare(&bundle->judge, &err));
    check_ok(ood_bundle_write(bundle, path, &err));
    ood_bundle_free(bundle);
    for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++)
        for (int persist = 0; persist < 2; persist++) {
            unsigned long nth = 1;
            for (bool fired = true; fired; nth++) {
                err = (struct ood_error){ 0 };
                ood_fault_arm(kinds[k], nth, persist);
                bundle = ood_bundle_read(path, &err);
                fired = ood_fault_disarm();
                if (fired ? bundle != NULL || err.code != code_of(kinds[k]) : bundle == NULL)
                    fail_msg("kind %d, call %lu: %s: %s", (int)kinds[k], nth, ood_code_name(err.code), err.message);
                ood_bundle_free(bundle);
            }
            assert_true(nth > (kinds[k] == OOD_FAULT_ALLOC ? 30u : 4u));      /* it did run through */
        }
    small_remove(folder);
}

/* The version tells which bundle stands there. A fault after the rename (the parent's last sync) may leave the new one. */
static void writing(void **state)
{
    (void)state;
    static const enum ood_fault kinds[] = { OOD_FAULT_ALLOC, OOD_FAULT_OPEN, OOD_FAULT_WRITE, OOD_FAULT_SYNC,
                                            OOD_FAULT_RENAME };
    struct ood_error err = { 0 };
    char folder[64], path[128], old_version[OOD_HASH_HEX], new_version[OOD_HASH_HEX];
    small_folder(folder);
    snprintf(path, sizeof path, "%s/b", folder);
    struct ood_bundle *old = small_bundle(), *bundle = small_bundle();
    bundle->name[0] = 'S';
    check_ok(ood_bundle_write(bundle, path, &err));
    memcpy(new_version, bundle->version, sizeof new_version);
    check_ok(ood_bundle_write(old, path, &err));
    memcpy(old_version, old->version, sizeof old_version);
    for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++)
        for (int persist = 0; persist < 2; persist++) {
            unsigned long nth = 1;
            for (bool fired = true; fired; nth++) {
                bundle->version[0] = '\0';
                ood_fault_arm(kinds[k], nth, persist);
                bool done = ood_bundle_write(bundle, path, &err);
                fired = ood_fault_disarm();
                if (fired ? done || err.code != code_of(kinds[k]) : !done)
                    fail_msg("kind %d, call %lu: %s: %s", (int)kinds[k], nth, ood_code_name(err.code), err.message);
                assert_string_equal(bundle->version, done ? new_version : "");
                err = (struct ood_error){ 0 };
                struct ood_bundle *there = ood_bundle_read(path, &err);
                check_ok(there != NULL);      /* whole, whichever it is */
                bool kept = strcmp(there->version, old_version) == 0;
                if (!kept)
                    assert_string_equal(there->version, new_version);
                if (!done)
                    assert_true(kept || kinds[k] == OOD_FAULT_SYNC || kinds[k] == OOD_FAULT_OPEN);
                else
                    assert_false(kept);
                ood_bundle_free(there);
                if (!kept)
                    check_ok(ood_bundle_write(old, path, &err));
                struct ood_names names;      /* and no temporary folder beside it */
                check_ok(ood_folder_names(folder, &names, &err));
                assert_int_equal(names.count, 1);
                ood_names_free(&names);
            }
            assert_true(nth > (kinds[k] == OOD_FAULT_ALLOC ? 30u : kinds[k] == OOD_FAULT_RENAME ? 1u : 4u));
        }
    ood_bundle_free(old);
    ood_bundle_free(bundle);
    small_remove(folder);
}

/* Scores allocate at the start and in ranking; never for an item. */
static void scores(void **state)
{
    (void)state;
    struct ood_error err = { 0 };
    struct ood_bundle *bundle = small_bundle();
    const double in[] = { 3, 1, 2 }, out[] = { 0, 1.5 };
    unsigned long nth = 1;
    for (bool fired = true; fired; nth++) {
        struct ood_ranking ranking;
        struct ood_prototype_sums sums = { 0 };
        struct ood_judge judge = bundle->judge, before = judge;
        ood_fault_arm(OOD_FAULT_ALLOC, nth, false);
        bool done = ood_rank(in, 3, out, 2, &ranking, &err) && ood_prototypes_begin(&sums, 3, 4, &err) &&
                    ood_choose_beta(in, in, 3, out, out, 2, &judge, &err);
        fired = ood_fault_disarm();
        assert_true(fired ? !done && err.code == OOD_OUT_OF_MEMORY : done);
        if (fired)
            assert_true(judge.beta == before.beta);
        err = (struct ood_error){ 0 };
        ood_prototypes_free(&sums);
    }
    assert_int_equal(nth - 1, 7);      /* two copies, two tables, two lists, and the run without a fault */
    struct ood_judge *judge = &bundle->judge;
    judge->per_class = true;
    judge->calibration_classes = ood_new_array(int64_t, 20, &err);
    assert_non_null(judge->calibration_classes);
    nth = 1;
    for (bool fired = true; fired; nth++) {
        ood_fault_arm(OOD_FAULT_ALLOC, nth, false);
        bool done = ood_judge_prepare(judge, &err);
        fired = ood_fault_disarm();
        assert_true(fired ? !done && err.code == OOD_OUT_OF_MEMORY : done);
        err = (struct ood_error){ 0 };
    }
    assert_int_equal(nth - 1, 4);
    ood_fault_arm(OOD_FAULT_ALLOC, 1, true);
    struct ood_verdict verdict = { 0 };
    bool done = ood_judge_item(judge, (float[]){ 1, 2, 3 }, (float[]){ 1, 1 }, &verdict, &err);
    bool failed = !ood_judge_item(judge, (float[]){ 1, 2, 3 }, (float[]){ 0, 0 }, &verdict, &err);
    double distance = ood_ks_distance(in, 3), p = ood_ks_p_value(0.5, 100) + ood_p_batch((double[]){ 0.5 }, 1);
    bool fired = ood_fault_disarm();
    assert_true(done && failed && err.code == OOD_SCORE_NOT_FINITE);
    assert_true(fired && isnan(distance) && p > 0);      /* the distance's copy is the one that fired */
    ood_bundle_free(bundle);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reading),
        cmocka_unit_test(writing),
        cmocka_unit_test(scores),
    };
    return cmocka_run_group_tests_name("bundle faults", tests, NULL, NULL);
}
