/* The queue and the workers, without HTTP: a thread that stands for libmicrohttpd admits requests, is resumed, completes
 * them; clients hang up and deadlines pass at random; nothing is resumed twice, lost, or freed early. */
#include "base/random.h"
#include "probe.h"

/* ---- without workers: this thread pops ---- */

static void admission_is_all_or_nothing(void **state)
{
    (void)state;
    struct oodd_queue *queue = queue_new(10);
    assert_int_equal(oodd_queue_reserve(queue, 11), OODD_FULL);
    struct probe *six = probe_new(6, "x", 10), *five = probe_new(5, "x", 10), *four = probe_new(4, "x", 10);
    push(queue, six);
    assert_int_equal(oodd_queue_reserve(queue, 5), OODD_FULL);
    oodd_queue_refuse(queue, &five->request);
    assert_int_equal(five->request.outcome, OODD_REFUSED);
    oodd_queue_complete(queue, &five->request);
    push(queue, four);
    assert_int_equal(oodd_queue_look(queue).items, 10);
    assert_int_equal(oodd_queue_look(queue).active, 2);
    assert_int_equal(oodd_queue_reserve(queue, 1), OODD_FULL);
    oodd_queue_limit(queue, 4);              /* a reload may lower it below what waits */
    assert_int_equal(oodd_queue_reserve(queue, 1), OODD_FULL);
    oodd_queue_abandon(queue);
    assert_int_equal(atomic_load(&six->resumed) + atomic_load(&four->resumed), 2);
    assert_int_equal(six->request.outcome, OODD_STOPPED);
    assert_int_equal(oodd_queue_look(queue).items, 0);
    oodd_queue_complete(queue, &six->request);
    oodd_queue_complete(queue, &four->request);
    assert_int_equal(oodd_queue_look(queue).active, 0);
    oodd_queue_close(queue);
    assert_int_equal(oodd_queue_reserve(queue, 1), OODD_CLOSED);
    oodd_queue_free(queue);
}

static void a_batch_is_of_one_model(void **state)
{
    (void)state;
    struct oodd_queue *queue = queue_new(100);
    _Atomic uint64_t heartbeat = 0;
    struct oodd_batch batch;
    static const struct { size_t items, generation, model; } lined[] = { { 3, 0, 0 }, { 2, 0, 1 }, { 3, 0, 0 }, { 4, 1, 0 }, { 9, 0, 0 }, { 1, 0, 1 } };
    struct probe *probes[6];
    for (size_t i = 0; i < 6; i++) {
        probes[i] = probe_new(lined[i].items, "x", 10);
        probes[i]->request.generation = generation(lined[i].generation);
        probes[i]->request.model = lined[i].model;
        push(queue, probes[i]);
    }
    /* who stands where, then how many of him, batch by batch; at most 8 */
    static const struct { size_t count; struct { size_t probe, items; } parts[3]; } expected[] = {
        { 8, { { 0, 3 }, { 2, 3 }, { 4, 2 } } }, { 3, { { 1, 2 }, { 5, 1 } } }, { 4, { { 3, 4 } } }, { 7, { { 4, 7 } } },
    };
    const struct ood_timing timing = { 0.001, 0.002, 0.003 };
    for (size_t b = 0; b < 4; b++) {
        assert_true(oodd_queue_pop(queue, &batch, &heartbeat));
        assert_int_equal(batch.count, expected[b].count);
        for (size_t at = 0, part = 0; at < batch.count; part++)
            for (size_t n = 0; n < expected[b].parts[part].items; n++, at++)
                assert_ptr_equal(batch.entries[at].request, &probes[expected[b].parts[part].probe]->request);
        oodd_queue_finish(queue, &batch, &timing, 0.01, NULL);
    }
    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(atomic_load(&probes[i]->resumed), 1);
        assert_int_equal(probes[i]->request.outcome, OODD_SCORED);
        check_close(probes[i]->request.timing.infer, i == 4 ? 0.004 : 0.002, 1e-12, 0);
        oodd_queue_complete(queue, &probes[i]->request);
    }
    oodd_queue_free(queue);
}

static void given_up_while_scored(void **state)
{
    (void)state;
    struct oodd_queue *queue = queue_new(100);
    _Atomic uint64_t heartbeat = 0;
    struct oodd_batch batch;
    atomic_bool destroyed = false;
    struct probe *probe = probe_new(10, "x", 10);
    const struct ood_timing timing = { 0 };
    probe->destroyed = &destroyed;
    push(queue, probe);
    assert_true(oodd_queue_pop(queue, &batch, &heartbeat));
    assert_int_equal(batch.count, 8);
    assert_int_equal(oodd_queue_look(queue).items, 2);
    assert_true(oodd_queue_drop(queue, &probe->request, OODD_GONE));
    assert_false(oodd_queue_drop(queue, &probe->request, OODD_EXPIRED));
    assert_int_equal(oodd_queue_look(queue).items, 0);
    assert_int_equal(probe->request.outcome, OODD_GONE);
    oodd_queue_complete(queue, &probe->request);
    assert_false(atomic_load(&destroyed));   /* its body is still being read */
    oodd_queue_finish(queue, &batch, &timing, 0.01, NULL);
    assert_true(atomic_load(&destroyed));
    assert_int_equal(oodd_queue_look(queue).active, 0);
    oodd_queue_free(queue);
}

static void held_back(void **state)
{
    (void)state;
    struct oodd_queue *queue = queue_new(100);
    _Atomic uint64_t heartbeat = 0;
    struct oodd_batch batch;
    struct probe *probe = probe_new(1, "x", 10);
    const struct ood_timing timing = { 0 };
    push(queue, probe);
    assert_true(oodd_queue_pop(queue, &batch, &heartbeat));
    assert_true(oodd_queue_hold(queue, &probe->request));
    oodd_queue_finish(queue, &batch, &timing, 0.01, NULL);
    assert_int_equal(atomic_load(&probe->resumed), 0);
    assert_true(oodd_queue_release(queue, &probe->request));
    assert_false(oodd_queue_hold(queue, &probe->request));
    assert_int_equal(probe->request.outcome, OODD_SCORED);
    oodd_queue_complete(queue, &probe->request);
    oodd_queue_free(queue);
}

static void past_its_deadline_at_pop(void **state)
{
    (void)state;
    struct oodd_queue *queue = queue_new(100);
    _Atomic uint64_t heartbeat = 0;
    struct oodd_batch batch;
    struct probe *late = probe_new(1, "x", -1), *good = probe_new(1, "x", 10);
    const struct ood_timing timing = { 0 };
    push(queue, late);
    push(queue, good);
    assert_true(oodd_queue_pop(queue, &batch, &heartbeat));
    assert_int_equal(batch.count, 1);
    assert_ptr_equal(batch.entries[0].request, &good->request);
    assert_int_equal(late->request.outcome, OODD_EXPIRED);
    assert_int_equal(atomic_load(&late->resumed), 1);
    oodd_queue_complete(queue, &late->request);
    oodd_queue_finish(queue, &batch, &timing, 0.01, NULL);
    oodd_queue_complete(queue, &good->request);
    oodd_queue_free(queue);
}

static void retry_after_follows_the_queue(void **state)
{
    (void)state;
    struct oodd_queue *queue = queue_new(1000);
    _Atomic uint64_t heartbeat = 0;
    struct oodd_batch batch;
    const struct ood_timing timing = { 0 };
    assert_int_equal(oodd_queue_retry_after(queue), 1);
    struct probe *first = probe_new(1, "x", 10), *others[5];
    push(queue, first);
    assert_true(oodd_queue_pop(queue, &batch, &heartbeat));
    oodd_queue_finish(queue, &batch, &timing, 2.0, NULL);          /* 2 s an item, 2 workers */
    oodd_queue_complete(queue, &first->request);
    for (size_t i = 0; i < 5; i++)
        push(queue, others[i] = probe_new(3, "x", 10));
    assert_int_equal(oodd_queue_retry_after(queue), 15);
    oodd_queue_abandon(queue);
    for (size_t i = 0; i < 5; i++)
        oodd_queue_complete(queue, &others[i]->request);
    assert_int_equal(oodd_queue_retry_after(queue), 1);
    oodd_queue_free(queue);
}

/* ---- with workers ---- */

static void each_item_has_its_verdict(void **state)
{
    (void)state;
    struct oodd_queue *queue = queue_new(100);
    struct oodd_workers *workers = start(queue);
    struct probe *good = probe_new(12, "x", 10), *bad = probe_new(2, "bad", 10), *failing = probe_new(2, "fail", 10);
    push(queue, good);
    await(good);
    push(queue, bad);
    await(bad);
    push(queue, failing);
    await(failing);
    for (size_t i = 0; i < 12; i++)
        assert_true(good->verdicts[i].error.code == OOD_OK && good->verdicts[i].score == 0.64);
    assert_int_equal(bad->request.outcome, OODD_SCORED);
    assert_int_equal(bad->verdicts[1].error.code, OOD_PICTURE_UNKNOWN);
    assert_int_equal(failing->request.outcome, OODD_FAILED);
    assert_string_equal(failing->request.error.message, "failed on purpose");
    oodd_queue_complete(queue, &good->request);
    oodd_queue_complete(queue, &bad->request);
    oodd_queue_complete(queue, &failing->request);
    stop(queue, workers);
}

static void closing_finishes_what_waits(void **state)
{
    (void)state;
    struct oodd_queue *queue = queue_new(100);
    struct oodd_workers *workers = start(queue);
    struct probe *probes[8];
    for (size_t i = 0; i < 8; i++) {
        probes[i] = probe_new(1, "sleep 0.01", 10);
        probes[i]->request.batch = 1;
        push(queue, probes[i]);
    }
    oodd_queue_close(queue);
    for (size_t i = 0; i < 8; i++) {
        await(probes[i]);
        assert_int_equal(probes[i]->request.outcome, OODD_SCORED);
        oodd_queue_complete(queue, &probes[i]->request);
    }
    assert_true(oodd_queue_wait_active(queue, ood_clock() + 10));
    oodd_workers_join(workers);
    oodd_queue_free(queue);
}

static void idle_workers_answer_a_beat_and_stuck_ones_do_not(void **state)
{
    (void)state;
    struct oodd_queue *queue = queue_new(100);
    struct oodd_workers *workers = start(queue);
    struct probe *slow[WORKERS];
    assert_true(oodd_workers_alive(workers));
    for (size_t tries = 0; !oodd_workers_alive(workers); tries++) {
        assert_true(tries < 1000);
        pause_for(0.01);
    }
    for (size_t i = 0; i < WORKERS; i++) {
        slow[i] = probe_new(1, "sleep 0.5", 10);
        slow[i]->request.model = i;          /* one for each */
        push(queue, slow[i]);
    }
    while (oodd_queue_look(queue).busy < WORKERS)
        pause_for(0.001);
    (void)oodd_workers_alive(workers);       /* what was before; asks for a new beat */
    assert_false(oodd_workers_alive(workers));
    for (size_t i = 0; i < WORKERS; i++) {
        await(slow[i]);
        oodd_queue_complete(queue, &slow[i]->request);
    }
    pause_for(0.05);
    assert_true(oodd_workers_alive(workers));
    stop(queue, workers);
}

struct client { struct oodd_queue *queue; uint64_t seed; size_t requests; size_t outcomes[8]; };

static void *live(void *context)
{
    struct client *client = context;
    struct ood_random random;
    ood_random_seed(&random, client->seed);
    for (size_t i = 0; i < client->requests; i++) {
        bool sleeps = ood_random_below(&random, 4) == 0;
        double seconds = ood_random_below(&random, 8) == 0 ? 0.0005 : 10;
        bool boxes = ood_random_below(&random, 2) == 0;
        struct probe *probe = (boxes ? probe_boxes : probe_new)(1 + ood_random_below(&random, ITEMS_MOST), sleeps ? "sleep 0.001" : "x", seconds);
        probe->request.model = ood_random_below(&random, 2);
        probe->request.batch = 1 + ood_random_below(&random, 8);
        size_t items = probe->request.work.count;
        if (oodd_queue_reserve(client->queue, items) != OODD_ADMITTED) {
            oodd_queue_refuse(client->queue, &probe->request);
            client->outcomes[OODD_REFUSED]++;
            oodd_queue_complete(client->queue, &probe->request);
            pause_for(0.0002);
            continue;
        }
        oodd_queue_push(client->queue, &probe->request);
        uint64_t what = ood_random_below(&random, 4);
        if (what == 0 && oodd_queue_drop(client->queue, &probe->request, OODD_GONE))
            resume(&probe->request);
        if (what == 1 && oodd_queue_hold(client->queue, &probe->request)) {
            pause_for(0.0005);
            if (oodd_queue_release(client->queue, &probe->request))
                resume(&probe->request);
        }
        await(probe);
        if (probe->request.outcome == OODD_SCORED)
            for (size_t item = 0; item < items; item++)
                assert_true(boxes ? probe->detections[item].verdict.score == (double)item : probe->verdicts[item].score == 0.64);
        client->outcomes[probe->request.outcome]++;
        oodd_queue_complete(client->queue, &probe->request);
    }
    return NULL;
}

static void many_clients(void **state)
{
    (void)state;
    struct oodd_queue *queue = queue_new(24);
    struct oodd_workers *workers = start(queue);
    struct client clients[6];
    pthread_t threads[6];
    size_t outcomes[8] = { 0 };
    for (size_t i = 0; i < 6; i++) {
        clients[i] = (struct client){ queue, 7 + i, 350, { 0 } };
        assert_int_equal(pthread_create(&threads[i], NULL, live, &clients[i]), 0);
    }
    for (size_t i = 0; i < 6; i++) {
        pthread_join(threads[i], NULL);
        for (size_t outcome = 0; outcome < 8; outcome++)
            outcomes[outcome] += clients[i].outcomes[outcome];
    }
    struct oodd_queue_state left = oodd_queue_look(queue);
    assert_int_equal(left.items + left.active, 0);
    assert_true(outcomes[OODD_SCORED] > 100 && outcomes[OODD_GONE] > 10);
    assert_int_equal(outcomes[OODD_PENDING] + outcomes[OODD_STOPPED] + outcomes[OODD_FAILED], 0);
    stop(queue, workers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(admission_is_all_or_nothing), cmocka_unit_test(a_batch_is_of_one_model), cmocka_unit_test(given_up_while_scored),
        cmocka_unit_test(held_back), cmocka_unit_test(past_its_deadline_at_pop), cmocka_unit_test(retry_after_follows_the_queue),
        cmocka_unit_test(each_item_has_its_verdict), cmocka_unit_test(closing_finishes_what_waits),
        cmocka_unit_test(idle_workers_answer_a_beat_and_stuck_ones_do_not), cmocka_unit_test(many_clients),
    };
    return cmocka_run_group_tests(tests, open_scorer, close_scorer);
}
