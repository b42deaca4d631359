/* The loop's body and its checkpoints: it learns; threads and restarts change no bit; what is damaged or of another run is refused. */
#include <math.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/file.h"
#include "graph/graph.h"
#include "train/inference.h"
#include "train/small_training.h"

/* Everything that comes of a run: the file and the prototypes. */
struct result { struct ood_bytes onnx; float prototypes[SMALL_CLASSES * SMALL_FEATURES]; };

static struct result result_of(struct ood_training *training)
{
    struct ood_error err = { 0 };
    struct result result = { 0 };
    check_ok(ood_training_onnx(training, &result.onnx, &err));
    ood_training_prototypes(training, result.prototypes);
    return result;
}

static bool same(const struct result *a, const struct result *b)
{
    return a->onnx.size == b->onnx.size && memcmp(a->onnx.data, b->onnx.data, a->onnx.size) == 0 && memcmp(a->prototypes, b->prototypes, sizeof a->prototypes) == 0;
}

static struct result run_whole(struct small *small, size_t steps)
{
    struct ood_training *training = small_start(small);
    small_run(training, 0, steps, steps);
    struct result result = result_of(training);
    ood_training_free(training);
    return result;
}

static char path[64];

static int make_folder(void **state)
{
    (void)state;
    snprintf(path, sizeof path, "/tmp/oodd-training-XXXXXX");
    if (mkdtemp(path) == NULL)
        return -1;
    snprintf(path + strlen(path), sizeof path - strlen(path), "/c");
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    unlink(path);
    *strrchr(path, '/') = '\0';
    return rmdir(path);                      /* fails where something was left */
}

static void test_learns(void **state)
{
    (void)state;
    static const char *const presets[] = { "ce", "energy", "sde" };
    for (size_t i = 0; i < 3; i++) {
        struct small small;
        small_open(&small, presets[i]);
        struct ood_training *training = small_start(&small);
        struct ood_training_report first = small_run(training, 0, 1, 40), last = small_run(training, 1, 40, 40);
        assert_true(first.terms.cross_entropy > 0.3);
        assert_true(last.terms.cross_entropy < 0.1 && last.terms.correct == 12);
        if (i > 0)
            assert_true(last.terms.mean_energy_out - last.terms.mean_energy_in > 1);
        if (i == 2)
            assert_true(last.terms.mean_representation_out - last.terms.mean_representation_in > 0.1 && last.terms.mean_own_in < first.terms.mean_own_in - 0.3);
        assert_int_equal(ood_training_steps(training), 40);
        /* the file holds the parameters, and inference agrees with what training told of its own */
        struct result result = result_of(training);
        struct ood_error err = { 0 };
        struct ood_model *model = ood_inference_model(&result.onnx, small.in, NULL, NULL, &err);
        check_ok(model != NULL);
        struct ood_outputs in = { 0 }, out = { 0 }, again = { 0 };
        check_ok(ood_inference(model, small.in, small.places, SMALL_IN, 1, &in, &err));
        check_ok(ood_inference(model, small.in, small.places, SMALL_IN, 3, &again, &err));
        check_ok(ood_inference(model, small.out, small.places, SMALL_OUT, 2, &out, &err));
        assert_memory_equal(in.logits, again.logits, SMALL_IN * SMALL_CLASSES * sizeof(float));
        struct ood_validation validation;
        check_ok(ood_validate(&in, small.classes, &out, i == 2 ? result.prototypes : NULL, 1, &validation, &err));
        assert_true(validation.accuracy > 0.95 && validation.told);
        if (i > 0)
            assert_true(validation.energy_auroc > 0.9 && validation.score_auroc > 0.9);
        ood_outputs_free(&in);
        ood_outputs_free(&again);
        ood_outputs_free(&out);
        ood_model_free(model);
        ood_bytes_free(&result.onnx);
        ood_training_free(training);
        small_close(&small);
    }
}

static void test_threads(void **state)
{
    (void)state;
    struct small small;
    small_open(&small, "sde");
    struct result one = run_whole(&small, 6);
    small.options.trainer.threads = 2;
    struct result two = run_whole(&small, 6);
    assert_true(same(&one, &two));
    small.options.seed = 6;
    struct result other = run_whole(&small, 6);
    assert_false(same(&one, &other));
    ood_bytes_free(&one.onnx);
    ood_bytes_free(&two.onnx);
    ood_bytes_free(&other.onnx);
    small_close(&small);
}

/* Stopped after any step and gone on from the checkpoint, with an average and with small crops at first: the same bits. */
static void test_resume(void **state)
{
    (void)state;
    struct small small;
    struct ood_error err = { 0 };
    small_open(&small, "sde");
    small.options.optimiser.average_decay = 0.9;
    small.options.optimiser.clip_norm = 5;
    small.options.early_side = 12;
    small.options.early_share = 0.5;
    struct result whole = run_whole(&small, 8);
    for (size_t stop = 0; stop <= 8; stop++) {
        struct ood_training *training = small_start(&small);
        small_run(training, 0, stop, 8);
        check_ok(ood_checkpoint_write(training, path, (const char *const[]){ "a key", "its \"seal\":\"value\"" }, 1, 1.5 * (double)stop, &err));
        ood_training_free(training);
        struct ood_checkpoint *checkpoint = ood_checkpoint_read(path, &err);
        check_ok(checkpoint != NULL);
        assert_int_equal(ood_checkpoint_steps(checkpoint), stop);
        assert_true(ood_checkpoint_elapsed(checkpoint) == 1.5 * (double)stop);
        assert_string_equal(ood_checkpoint_text(checkpoint, "a key"), "its \"seal\":\"value\"");
        assert_null(ood_checkpoint_text(checkpoint, "another"));
        training = small_start(&small);
        check_ok(ood_training_restore(training, checkpoint, &err));
        small_run(training, stop, 8, 8);
        struct result rest = result_of(training);
        if (!same(&whole, &rest))
            fail_msg("stopped after %zu of 8 steps: other bits", stop);
        ood_bytes_free(&rest.onnx);
        ood_training_free(training);
        ood_checkpoint_free(checkpoint);
    }
    ood_bytes_free(&whole.onnx);
    small_close(&small);
}

static void test_damaged(void **state)
{
    (void)state;
    struct small small;
    struct ood_error err = { 0 };
    struct ood_bytes good;
    small_open(&small, "ce");
    struct ood_training *training = small_start(&small);
    check_ok(ood_checkpoint_write(training, path, NULL, 0, 0, &err));
    check_ok(ood_file_read(path, SIZE_MAX, &good, &err));
    struct ood_random random;
    ood_random_seed(&random, 1);
    for (size_t i = 0; i < 300; i++) {       /* a bit anywhere; the header more often than it is large */
        size_t at = (size_t)ood_random_below(&random, i % 3 == 0 ? 2000 : good.size);
        good.data[at] ^= (unsigned char)(1u << (i % 8));
        check_ok(ood_file_write(path, good.data, good.size, &err));
        good.data[at] ^= (unsigned char)(1u << (i % 8));
        struct ood_checkpoint *checkpoint = ood_checkpoint_read(path, &err);
        if (checkpoint != NULL || (err.code != OOD_CHANGED && err.code != OOD_INVALID))
            fail_msg("bit %zu of byte %zu: %s", i % 8, at, err.message);
        assert_non_null(strstr(err.message, path));
        err = (struct ood_error){ 0 };
    }
    for (size_t size = 0; size < good.size; size += 1 + good.size / 200) {
        check_ok(ood_file_write(path, good.data, size, &err));
        assert_null(ood_checkpoint_read(path, &err));
        err = (struct ood_error){ 0 };
    }
    check_fails(ood_checkpoint_read("/nowhere/c", &err) != NULL, OOD_NOT_FOUND, "/nowhere/c");
    ood_bytes_free(&good);
    ood_training_free(training);
    small_close(&small);
}

/* A checkpoint of another network: what does not fit is named. */
static void test_other_network(void **state)
{
    (void)state;
    struct small small, other;
    struct ood_error err = { 0 };
    struct ood_architecture architecture;
    small_open(&small, "sde");
    small_open(&other, "sde");
    ood_bytes_free(&other.onnx);
    check_ok(ood_architecture_parse("wrn-16-1:3", &architecture, &err));
    check_ok(ood_architecture_build(&architecture, 3, SMALL_SIDE, SMALL_SIDE, 4, &other.onnx, &err));
    struct ood_training *training = small_start(&small), *second = small_start(&other);
    check_ok(ood_checkpoint_write(training, path, NULL, 0, 0, &err));
    struct ood_checkpoint *checkpoint = ood_checkpoint_read(path, &err);
    check_ok(checkpoint != NULL);
    check_fails(ood_training_restore(second, checkpoint, &err), OOD_INVALID, "parameter.blocks.");
    ood_checkpoint_free(checkpoint);
    ood_training_free(training);
    ood_training_free(second);
    small_close(&small);
    small_close(&other);
}

/* A disk that is full, or fails in any other way, at any call: said, and the checkpoint before is whole. */
static void test_faults(void **state)
{
    (void)state;
    static const enum ood_fault kinds[] = { OOD_FAULT_ALLOC, OOD_FAULT_OPEN, OOD_FAULT_WRITE, OOD_FAULT_SYNC, OOD_FAULT_RENAME };
    struct small small;
    struct ood_error err = { 0 };
    struct ood_bytes good, now;
    small_open(&small, "ce");
    struct ood_training *training = small_start(&small);
    check_ok(ood_checkpoint_write(training, path, NULL, 0, 0, &err));
    check_ok(ood_file_read(path, SIZE_MAX, &good, &err));
    small_run(training, 0, 1, 10);
    for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
        bool fired = true;
        for (unsigned long nth = 1; fired; nth += kinds[k] == OOD_FAULT_ALLOC && nth > 8 ? 29 : 1) {
            ood_fault_arm(kinds[k], nth, false);
            bool done = ood_checkpoint_write(training, path, NULL, 0, 0, &err);
            fired = ood_fault_disarm();
            if (fired == done || (fired && err.code != (kinds[k] == OOD_FAULT_ALLOC ? OOD_OUT_OF_MEMORY : OOD_SYSTEM)))
                fail_msg("kind %d, call %lu: %s: %s", (int)kinds[k], nth, ood_code_name(err.code), err.message);
            err = (struct ood_error){ 0 };
            if (!fired || (kinds[k] == OOD_FAULT_SYNC && nth == 2) || (kinds[k] == OOD_FAULT_OPEN && nth == 2))
                check_ok(ood_file_write(path, good.data, good.size, &err));        /* after the rename: the new one stands */
            check_ok(ood_file_read(path, SIZE_MAX, &now, &err));
            assert_int_equal(now.size, good.size);
            assert_memory_equal(now.data, good.data, good.size);
            ood_bytes_free(&now);
        }
    }
    ood_bytes_free(&good);
    ood_training_free(training);
    small_close(&small);
}

/* Every allocation of making a run made to fail. */
static void test_memory(void **state)
{
    (void)state;
    struct small small;
    struct ood_error err = { 0 };
    small_open(&small, "sde");
    bool fired = true;
    for (unsigned long nth = 1; fired; nth += 1 + nth / 20) {
        ood_fault_arm(OOD_FAULT_ALLOC, nth, false);
        struct ood_training *training = ood_training_new(&small.onnx, &small.options, &small.data, small.prototypes, &err);
        fired = ood_fault_disarm();
        if (fired ? training != NULL || err.code != OOD_OUT_OF_MEMORY : training == NULL)
            fail_msg("call %lu: %s: %s", nth, ood_code_name(err.code), err.message);
        ood_training_free(training);
        err = (struct ood_error){ 0 };
    }
    small_close(&small);
}

static void test_refuses(void **state)
{
    (void)state;
    struct small small;
    struct ood_error err = { 0 };
    struct ood_training_report report;
    small_open(&small, "sde");
    check_fails(ood_training_new(&small.onnx, &small.options, &small.data, NULL, &err) != NULL, OOD_INVALID, "prototypes");
    small.data.out_count = 0;
    check_fails(ood_training_new(&small.onnx, &small.options, &small.data, small.prototypes, &err) != NULL, OOD_INVALID, "outliers");
    small.data.out_count = SMALL_OUT;
    small.options.loss.scale = -1;
    check_fails(ood_training_new(&small.onnx, &small.options, &small.data, small.prototypes, &err) != NULL, OOD_INVALID, "scale");
    small.options.loss.scale = 16;
    /* a rate that blows up: it ends with the term or the parameter that did, not with numbers that are none */
    small.options.schedule.peak = 1e30;
    struct ood_training *training = small_start(&small);
    bool done = true;
    for (size_t i = 0; i < 20 && done; i++)
        done = ood_training_step(training, 0.5, &report, &err);
    assert_false(done);
    assert_int_equal(err.code, OOD_SCORE_NOT_FINITE);
    assert_true(strstr(err.message, "term") != NULL || strstr(err.message, "parameter") != NULL);
    ood_training_free(training);
    small_close(&small);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_learns), cmocka_unit_test(test_threads), cmocka_unit_test(test_resume), cmocka_unit_test(test_damaged), cmocka_unit_test(test_other_network),
        cmocka_unit_test(test_faults), cmocka_unit_test(test_memory), cmocka_unit_test(test_refuses),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
