/* The arena planner: lifetimes drawn by hand, then thousands at random against the one property that counts. */
#include "check.h"

#include "base/random.h"
#include "plan/arena.h"

static void by_hand(void **state)
{
    (void)state;
    struct ood_error err = { 0 };
    /* a chain: 0 makes a, 1 reads a makes b, 2 reads b makes c: two buffers do */
    struct ood_arena_value chain[] = { { 640, 0, 1, 0 }, { 640, 1, 2, 0 }, { 640, 2, 3, 0 } };
    size_t total;
    check_ok(ood_arena_plan(chain, 3, &total, &err));
    assert_int_equal(total, 1280);
    assert_int_equal(chain[0].offset, chain[2].offset);
    assert_int_not_equal(chain[0].offset, chain[1].offset);
    /* a value alive throughout, small ones beside it: rounded up to the alignment */
    struct ood_arena_value wide[] = { { 1, 0, 9, 0 }, { 1, 0, 0, 0 }, { 1, 1, 1, 0 }, { 1, 2, 2, 0 } };
    check_ok(ood_arena_plan(wide, 4, &total, &err));
    assert_int_equal(total, 128);
    check_ok(ood_arena_plan(NULL, 0, &total, &err));
    assert_int_equal(total, 0);
    struct ood_arena_value huge[] = { { SIZE_MAX - 1, 0, 0, 0 } };
    check_fails(ood_arena_plan(huge, 1, &total, &err), OOD_LIMIT, "more memory");
}

static void at_random(void **state)
{
    (void)state;
    struct ood_error err = { 0 };
    struct ood_random random;
    double bound_sum = 0, total_sum = 0;
    for (uint64_t seed = 1; seed <= 1000; seed++) {
        struct ood_arena_value values[40];
        size_t n = 1 + (size_t)(seed % 40), total, alive[64] = { 0 }, bound = 0;
        ood_random_seed(&random, seed);
        for (size_t i = 0; i < n; i++) {
            uint32_t first = (uint32_t)ood_random_below(&random, 60);
            values[i] = (struct ood_arena_value){ ood_random_below(&random, 5000), first,
                                                  first + (uint32_t)ood_random_below(&random, 64 - first), SIZE_MAX };
            for (uint32_t s = first; s <= values[i].last_step; s++)
                alive[s] += (values[i].bytes + 63) / 64 * 64;
        }
        check_ok(ood_arena_plan(values, n, &total, &err));
        for (size_t i = 0; i < n; i++) {
            if (values[i].offset % OOD_ARENA_ALIGNMENT != 0 || values[i].offset + values[i].bytes > total)
                fail_msg("seed %llu: value %zu at %zu", (unsigned long long)seed, i, values[i].offset);
            for (size_t j = 0; j < i; j++)
                if (values[i].first_step <= values[j].last_step && values[j].first_step <= values[i].last_step &&
                    values[i].offset < values[j].offset + values[j].bytes && values[j].offset < values[i].offset + values[i].bytes)
                    fail_msg("seed %llu: values %zu and %zu share memory", (unsigned long long)seed, i, j);
        }
        for (size_t s = 0; s < 64; s++)
            bound = alive[s] > bound ? alive[s] : bound;
        assert_true(total >= bound);
        bound_sum += (double)bound;
        total_sum += (double)total;
    }
    assert_true(total_sum <= 1.15 * bound_sum);      /* not wasteful: within 15 % of what is alive at once */
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(by_hand), cmocka_unit_test(at_random) };
    return cmocka_run_group_tests_name("arena", tests, NULL, NULL);
}
