/* Running a warm plan allocates nothing, and a model that cannot be made for want of memory leaves nothing behind: the
 * test build's allocator counts. */
#include "check.h"

#include "base/fault.h"
#include "ops/ops.h"
#include "plan/plan.h"

static struct ood_model *load(const char *path, struct ood_error *err)
{
    struct ood_bytes onnx;
    if (!ood_file_read(path, (size_t)1 << 30, &onnx, err))
        return NULL;
    struct ood_model *model = ood_model_new(&onnx, &(struct ood_model_options){ .operators = ood_op_table, .batch = 2 }, err);
    ood_bytes_free(&onnx);
    return model;
}

static const char *own_model(void)
{
    static char path[4200];
    const char *source = getenv("OOD_SOURCE");
    snprintf(path, sizeof path, "%s/deploy/models/cifar10/model.onnx", source != NULL ? source : ".");
    return path;
}

static void a_run_allocates_nothing(void **state)
{
    (void)state;
    struct ood_error err = { 0 };
    struct ood_model *model = load(own_model(), &err);
    assert_non_null(model);
    struct ood_run *run = ood_run_new(model, &err);
    assert_non_null(run);
    ood_run_execute(run, 1);
    ood_fault_arm(OOD_FAULT_ALLOC, 1, true);
    ood_run_execute(run, 1);
    ood_run_execute(run, 2);
    assert_false(ood_fault_disarm());
    ood_run_free(run);
    ood_model_free(model);
}

/* Every 37th allocation of making a model and a run fails once. */
static void want_of_memory(void **state)
{
    (void)state;
    bool fired = true;
    for (unsigned long nth = 1; fired; nth += 37) {
        struct ood_error err = { 0 };
        ood_fault_arm(OOD_FAULT_ALLOC, nth, false);
        struct ood_model *model = load(own_model(), &err);
        struct ood_run *run = model != NULL ? ood_run_new(model, &err) : NULL;
        fired = ood_fault_disarm();
        if (fired ? run != NULL || err.code != OOD_OUT_OF_MEMORY : run == NULL)
            fail_msg("allocation %lu: %s: %s", nth, ood_code_name(err.code), err.message);
        ood_run_free(run);
        ood_model_free(model);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(a_run_allocates_nothing), cmocka_unit_test(want_of_memory) };
    return cmocka_run_group_tests_name("run", tests, NULL, NULL);
}
