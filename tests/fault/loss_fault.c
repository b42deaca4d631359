/* Losses and optimiser when memory is short: each allocation of making them fails once and from then on; the call says so and nothing leaks. A
 * batch, a measure and a step allocate nothing at all. */
#include "check.h"

#include "base/fault.h"
#include "train/loss.h"
#include "train/optimiser.h"

static float value[6] = { 1, 2, 3, 4, 5, 6 }, gradient[6] = { 1, -1, 1, -1, 1, -1 };
static const struct ood_block blocks[] = { { "weight", value, gradient, 4, true, 1 }, { "statistic", value + 4, NULL, 2, false, 1 } };
static const struct ood_optimiser_options average = { .momentum = 0.9, .average_decay = 0.9 };

static struct ood_loss *make_loss(struct ood_error *err)
{
    struct ood_loss_options options;
    return ood_loss_preset("sde", 2, &options, err) ? ood_loss_new(2, 3, 2, &options, err) : NULL;
}

static bool make_loss_once(struct ood_error *err)
{
    struct ood_loss *loss = make_loss(err);
    ood_loss_free(loss);
    return loss != NULL;
}

static bool make_optimiser_once(struct ood_error *err)
{
    struct ood_optimiser *optimiser = ood_optimiser_new(blocks, 2, &average, err);
    ood_optimiser_free(optimiser);
    return optimiser != NULL;
}

static bool scale_once(struct ood_error *err)
{
    static const double in[] = { -9, -8 }, near[] = { 0.1, 0.2 }, out[] = { -2 }, far[] = { 0.9 };
    struct ood_loss_options options, before;
    if (!ood_loss_preset("sde", 2, &options, err))
        return false;
    before = options;
    bool good = ood_loss_scale(&options, &(struct ood_loss_sample){ 2, 1, in, near, near, out, far }, 0.5, 0.5, err);
    assert_true(good == (memcmp(&options, &before, sizeof options) != 0));
    return good;
}

static void making(void **state)
{
    (void)state;
    static const struct { bool (*make)(struct ood_error *err); unsigned long allocations; } calls[] = {
        { make_loss_once, 15 }, { make_optimiser_once, 7 }, { scale_once, 1 },
    };
    for (size_t c = 0; c < sizeof calls / sizeof calls[0]; c++)
        for (int persist = 0; persist < 2; persist++) {
            unsigned long nth = 1;
            for (bool fired = true; fired; nth++) {
                struct ood_error err = { 0 };
                ood_fault_arm(OOD_FAULT_ALLOC, nth, persist);
                bool made = calls[c].make(&err);
                fired = ood_fault_disarm();
                if (made == fired || (fired && err.code != OOD_OUT_OF_MEMORY))
                    fail_msg("call %zu, allocation %lu: %s: %s", c, nth, ood_code_name(err.code), err.message);
            }
            assert_int_equal(nth - 2, calls[c].allocations);         /* it did run through */
        }
}

static void a_step_allocates_nothing(void **state)
{
    (void)state;
    struct ood_error err = { 0 };
    struct ood_loss *loss = make_loss(&err);
    struct ood_optimiser *optimiser = ood_optimiser_new(blocks, 2, &average, &err);
    assert_true(loss != NULL && optimiser != NULL);
    static const float logits[] = { 3, 1, 0, 0 }, features[] = { 1, 2, 3, 3, 2, 1 }, prototypes[] = { 1, 0, 0, 0, 1, 0 };
    static const int32_t labels[] = { 0, -1 };
    const struct ood_loss_batch batch = { 2, logits, features, labels, prototypes };
    float by_logits[4], by_features[6], by_prototypes[6];
    double energy[2], own[2], representation[2], norm;
    struct ood_loss_terms terms;
    ood_fault_arm(OOD_FAULT_ALLOC, 1, true);
    bool good = ood_loss(loss, &batch, &(struct ood_loss_gradients){ by_logits, by_features, by_prototypes }, &terms, &err)
        && ood_loss_measure(loss, &batch, energy, own, representation, &err) && ood_optimiser_step(optimiser, 0.1, &norm, &err);
    ood_optimiser_swap_average(optimiser);
    assert_false(ood_fault_disarm());
    check_ok(good);
    ood_loss_free(loss);
    ood_optimiser_free(optimiser);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(making), cmocka_unit_test(a_step_allocates_nothing) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
