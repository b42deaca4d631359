/* Turns and pictures that are cut first: who has many items does not hold up who has few; the state CUTTING, every way into and out
 * of it; a scene in a batch of its own. */
#include "probe.h"

static const struct ood_timing timing = { 0.001, 0.002, 0.003 };

static void expect(const struct oodd_batch *batch, bool to_cut, const struct probe *probe, size_t first, size_t count)
{
    assert_int_equal(batch->to_cut, to_cut);
    assert_int_equal(batch->count, count);
    for (size_t i = 0; i < count; i++) {
        assert_ptr_equal(batch->entries[i].request, &probe->request);
        assert_int_equal(batch->entries[i].item, first + i);
    }
}

static void pop(struct oodd_queue *queue, struct oodd_batch *batch)
{
    _Atomic uint64_t heartbeat = 0;
    assert_true(oodd_queue_pop(queue, batch, &heartbeat));
}

static void score(struct oodd_queue *queue, const struct oodd_batch *batch)
{
    oodd_queue_finish(queue, batch, &timing, 0.01, NULL);
}

/* 12 items, and two requests of one: theirs are in the second batch, not behind all twelve. */
static void many_items_wait_for_another_turn(void **state)
{
    (void)state;
    struct oodd_queue *queue = queue_new(100);
    struct oodd_batch batch;
    struct probe *many = probe_new(12, "x", 10), *few = probe_new(1, "x", 10), *other = probe_new(1, "x", 10);
    other->request.model = 1;
    push(queue, many);
    push(queue, few);
    push(queue, other);
    pop(queue, &batch);
    expect(&batch, false, many, 0, 8);
    score(queue, &batch);
    pop(queue, &batch);                      /* few, filled up with what is left of many */
    assert_int_equal(batch.count, 5);
    assert_ptr_equal(batch.entries[0].request, &few->request);
    assert_ptr_equal(batch.entries[4].request, &many->request);
    assert_int_equal(batch.entries[4].item, 11);
    score(queue, &batch);
    pop(queue, &batch);
    expect(&batch, false, other, 0, 1);
    score(queue, &batch);
    struct probe *probes[] = { many, few, other };
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(probes[i]->request.outcome, OODD_SCORED);
        oodd_queue_complete(queue, &probes[i]->request);
    }
    oodd_queue_free(queue);
}

static void cut_then_by_items(void **state)
{
    (void)state;
    struct oodd_queue *queue = queue_new(100);
    struct oodd_batch cutting, batch;
    struct probe *boxes = probe_boxes(10, "x", 10), *plain = probe_new(3, "x", 10);
    push(queue, boxes);
    push(queue, plain);
    pop(queue, &cutting);
    expect(&cutting, true, boxes, 0, 1);
    assert_int_equal(boxes->request.state, OODD_CUTTING);
    assert_int_equal(oodd_queue_look(queue).items, 13);      /* none was taken */
    assert_int_equal(oodd_queue_look(queue).busy, 1);
    double taken = boxes->request.taken;
    pop(queue, &batch);                      /* another worker meanwhile */
    expect(&batch, false, plain, 0, 3);
    score(queue, &batch);
    oodd_queue_cut(queue, &cutting, &timing, false, NULL);
    assert_int_equal(boxes->request.state, OODD_QUEUED);
    struct probe *late = probe_new(2, "x", 10);
    push(queue, late);
    pop(queue, &batch);
    expect(&batch, false, boxes, 0, 8);
    pop(queue, &cutting);                    /* two workers at the boxes of one picture, one of them at another's too */
    assert_int_equal(cutting.count, 4);
    assert_ptr_equal(cutting.entries[3].request, &boxes->request);
    assert_true(boxes->request.taken == taken);
    score(queue, &batch);
    assert_int_equal(atomic_load(&boxes->resumed), 0);
    score(queue, &cutting);
    assert_int_equal(boxes->request.outcome, OODD_SCORED);
    check_close(boxes->request.timing.decode, 0.003, 1e-12, 0);
    check_close(boxes->request.timing.infer, 0.004, 1e-12, 0);
    struct probe *probes[] = { boxes, plain, late };
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(atomic_load(&probes[i]->resumed), 1);
        oodd_queue_complete(queue, &probes[i]->request);
    }
    assert_int_equal(oodd_queue_look(queue).items + oodd_queue_look(queue).active + oodd_queue_look(queue).busy, 0);
    oodd_queue_free(queue);
}

/* In vain, failed, given up while it was cut, too late, stopped: answered once, nothing left waiting. */
static void ways_out_of_cutting(void **state)
{
    (void)state;
    enum { IN_VAIN, FAILED, DROPPED, DROPPED_AND_COMPLETED, EXPIRED, ABANDONED, HELD, WAYS };
    static const enum oodd_outcome outcomes[WAYS] = { OODD_SCORED, OODD_FAILED, OODD_GONE, OODD_GONE, OODD_EXPIRED, OODD_STOPPED, OODD_SCORED };
    const struct ood_error error = { OOD_SYSTEM, "why" };
    for (int way = 0; way < WAYS; way++) {
        struct oodd_queue *queue = queue_new(12);
        struct oodd_batch batch;
        _Atomic uint64_t heartbeat = 0;
        atomic_bool destroyed = false;
        struct probe *probe = probe_boxes(12, "x", way == EXPIRED ? 0.05 : 10);
        probe->destroyed = &destroyed;
        push(queue, probe);
        pop(queue, &batch);
        assert_int_equal(oodd_queue_reserve(queue, 1), OODD_FULL);
        if (way == DROPPED || way == DROPPED_AND_COMPLETED) {
            assert_true(oodd_queue_drop(queue, &probe->request, OODD_GONE));
            resume(&probe->request);
        }
        if (way == DROPPED_AND_COMPLETED)
            oodd_queue_complete(queue, &probe->request);
        assert_false(atomic_load(&destroyed));           /* its picture is being read */
        if (way == ABANDONED) {
            oodd_queue_close(queue);
            oodd_queue_abandon(queue);
            assert_int_equal(atomic_load(&probe->resumed), 0);
        }
        if (way == HELD)
            assert_true(oodd_queue_hold(queue, &probe->request));
        oodd_queue_cut(queue, &batch, &timing, way == IN_VAIN || way == HELD, way == FAILED ? &error : NULL);
        if (way == HELD) {
            assert_int_equal(atomic_load(&probe->resumed), 0);
            assert_true(oodd_queue_release(queue, &probe->request));
            resume(&probe->request);
        }
        if (way == EXPIRED) {
            assert_int_equal(probe->request.state, OODD_QUEUED);
            pause_for(0.06);
            oodd_queue_close(queue);
            assert_false(oodd_queue_pop(queue, &batch, &heartbeat));
        }
        if (way != DROPPED_AND_COMPLETED) {
            assert_int_equal(probe->request.outcome, outcomes[way]);
            assert_int_equal(atomic_load(&probe->resumed), 1);
            if (way == FAILED)
                assert_string_equal(probe->request.error.message, "why");
            oodd_queue_complete(queue, &probe->request);
        }
        assert_true(atomic_load(&destroyed));
        struct oodd_queue_state left = oodd_queue_look(queue);
        assert_int_equal(left.items + left.active + left.suspended + left.busy, 0);
        oodd_queue_free(queue);
    }
}

static void a_scene_is_alone(void **state)
{
    (void)state;
    struct oodd_queue *queue = queue_new(100);
    struct oodd_batch batch;
    struct probe *before = probe_new(1, "x", 10), *scene = probe_new(1, "x", 10), *behind = probe_new(1, "x", 10);
    scene->request.way = OODD_ALONE;
    push(queue, before);
    push(queue, scene);
    push(queue, behind);
    pop(queue, &batch);
    assert_int_equal(batch.count, 2);        /* one before and one behind it */
    assert_ptr_equal(batch.entries[1].request, &behind->request);
    score(queue, &batch);
    pop(queue, &batch);
    expect(&batch, false, scene, 0, 1);
    score(queue, &batch);
    oodd_queue_complete(queue, &before->request);
    oodd_queue_complete(queue, &scene->request);
    oodd_queue_complete(queue, &behind->request);
    oodd_queue_free(queue);
}

/* ---- with workers ---- */

static void each_box_has_its_verdict(void **state)
{
    (void)state;
    struct oodd_queue *queue = queue_new(100);
    struct oodd_workers *workers = start(queue);
    struct probe *good = probe_boxes(12, "x", 10), *bad = probe_boxes(3, "bad", 10), *failing = probe_boxes(2, "fail", 10);
    struct probe *probes[] = { good, bad, failing };
    for (size_t i = 0; i < 3; i++) {
        push(queue, probes[i]);
        await(probes[i]);
    }
    for (size_t i = 0; i < 12; i++) {
        assert_true(good->detections[i].verdict.score == (double)i && good->detections[i].box[2] == 20);
        assert_null(good->items[i].crop);    /* given back as it was scored */
    }
    assert_int_equal(good->request.work.scene.result.count, 12);
    assert_int_equal(bad->request.outcome, OODD_SCORED);
    assert_int_equal(bad->request.work.scene.result.error.code, OOD_PICTURE_UNKNOWN);
    assert_int_equal(failing->request.outcome, OODD_FAILED);
    for (size_t i = 0; i < 3; i++)
        oodd_queue_complete(queue, &probes[i]->request);
    stop(queue, workers);
}

/* 12 boxes of 20 ms each, taken 2 at a time, and single pictures that come meanwhile: each waits for a batch or two, not for all. */
static void boxes_do_not_starve_others(void **state)
{
    (void)state;
    struct oodd_queue *queue = queue_new(1000);
    struct oodd_workers *workers = start(queue);
    struct probe *big[4];
    for (size_t i = 0; i < 4; i++) {
        big[i] = probe_boxes(12, "crops 0.02", 60);
        big[i]->request.batch = 2;
        push(queue, big[i]);
    }
    size_t before = 0;
    for (size_t i = 0; i < 3; i++) {
        struct probe *one = probe_new(1, "x", 60);
        one->request.batch = 2;
        push(queue, one);
        await(one);
        oodd_queue_complete(queue, &one->request);
        for (size_t k = 0; k < 4; k++)
            before += atomic_load(&big[k]->resumed) > 0;
    }
    assert_int_equal(before, 0);             /* none of the big ones was through when the third small one was */
    for (size_t i = 0; i < 4; i++) {
        await(big[i]);
        oodd_queue_complete(queue, &big[i]->request);
    }
    stop(queue, workers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_items_wait_for_another_turn), cmocka_unit_test(cut_then_by_items), cmocka_unit_test(ways_out_of_cutting),
        cmocka_unit_test(a_scene_is_alone), cmocka_unit_test(each_box_has_its_verdict), cmocka_unit_test(boxes_do_not_starve_others),
    };
    return cmocka_run_group_tests_name("turns", tests, open_scorer, close_scorer);
}
