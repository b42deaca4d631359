/* Every allocation, open and read of opening a scorer and of making a session made to fail, once or from then on: the call says
 * so and nothing leaks. Scoring itself allocates nothing once it is warm. */
#include <unistd.h>

#include "base/fault.h"
#include "bundle/small.h"
#include "scorer/tiny.h"

static void write_tiny(char folder[64], char path[128])
{
    struct ood_error err = { 0 };
    small_folder(folder);
    snprintf(path, 128, "%s/b", folder);
    struct ood_bundle *bundle = bundle_with_self_test(2);
    check_ok(ood_bundle_write(bundle, path, &err));
    ood_bundle_free(bundle);
}

static void opening(void **state)
{
    (void)state;
    static const struct { enum ood_fault kind; enum ood_code code; } kinds[] = {
        { OOD_FAULT_ALLOC, OOD_OUT_OF_MEMORY }, { OOD_FAULT_OPEN, OOD_SYSTEM }, { OOD_FAULT_READ, OOD_SYSTEM },
    };
    char folder[64], path[128];
    write_tiny(folder, path);
    for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++)
        for (int persist = 0; persist < 2; persist++) {
            unsigned long nth = 1;
            for (bool fired = true; fired; nth++) {
                struct ood_error err = { 0 };
                struct ood_session *session = NULL;
                ood_fault_arm(kinds[k].kind, nth, persist);
                struct ood_scorer *scorer = ood_scorer_open(path, NULL, &err);
                if (scorer != NULL)
                    session = ood_scorer_session(scorer, &err);
                fired = ood_fault_disarm();
                if (fired ? session != NULL || err.code != kinds[k].code : session == NULL)
                    fail_msg("kind %zu, call %lu: %s: %s", k, nth, ood_code_name(err.code), err.message);
                ood_session_free(session);
                ood_scorer_free(scorer);
            }
            assert_true(nth > (kinds[k].kind == OOD_FAULT_ALLOC ? 100u : 4u));    /* it did run through */
        }
    small_remove(folder);
}

/* The budget of a warm session: no allocation at all, whatever the count of items. */
static void scoring(void **state)
{
    (void)state;
    struct ood_error err = { 0 };
    struct ood_bytes pictures[PICTURES];
    struct ood_item items[PICTURES];
    struct ood_verdict verdicts[PICTURES];
    struct ood_scorer *scorer = open_tiny(-1);
    struct ood_session *session = ood_scorer_session(scorer, &err);
    check_ok(session != NULL);
    read_pictures(pictures);
    for (size_t i = 0; i < PICTURES; i++)
        items[i] = (struct ood_item){ .picture = pictures[i].data, .picture_size = pictures[i].size };
    check_ok(ood_score(scorer, session, items, PICTURES, verdicts, NULL, &err));
    ood_fault_arm(OOD_FAULT_ALLOC, 1, true);
    bool done = ood_score(scorer, session, items, PICTURES, verdicts, NULL, &err);
    bool fired = ood_fault_disarm();
    for (size_t i = 0; i < PICTURES; i++)
        if (verdicts[i].error.code != OOD_OK)
            fail_msg("%s: %s", picture_names[i], verdicts[i].error.message);
    assert_true(done && !fired);
    ood_session_free(session);
    ood_scorer_free(scorer);
    free_pictures(pictures);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(opening), cmocka_unit_test(scoring) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
