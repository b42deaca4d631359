/* Memory that runs out while the daemon builds what it runs on: configuration, generation, queue, the text of a scrape. The
 * nth allocation fails, until none did; the leak checker watches. */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"
#include "check.h"
#include "generation.h"
#include "metrics.h"
#include "queue.h"

static void tick(void *context) { (void)context; }

static char folder[] = "/tmp/oodd-fault-XXXXXX";

static struct oodd_config *read_config(struct ood_error *err)
{
    char text[256], path[64];
    snprintf(text, sizeof text, "[models]\ndirectory = %s\n[model.named]\npath = %s/a\n[log]\nfile = /x\n", folder, folder);
    snprintf(path, sizeof path, "%s/b", folder);
    struct oodd_config *config = oodd_config_new(err);
    if (config != NULL && oodd_config_read_text(config, "f", text, strlen(text), err) && oodd_config_set(config, "limits.items=3", err) &&
        oodd_config_add_bundle(config, path, err) && oodd_config_check(config, err))
        return config;
    oodd_config_free(config);
    return NULL;
}

static bool generation(struct ood_error *err)
{
    struct oodd_config *config = read_config(err);
    struct oodd_generation *generation = config != NULL ? oodd_generation_open(config, 2, tick, NULL, err) : NULL;
    if (generation != NULL) {
        assert_int_equal(oodd_generation_service(generation)->model_count, 3);       /* b, named, a */
        assert_string_equal(oodd_generation_service(generation)->models[0].name, "b");
    }
    oodd_generation_free(generation);
    return generation != NULL;
}

static bool queue(struct ood_error *err)
{
    struct oodd_queue *queue = oodd_queue_new(4, 1, err);
    oodd_queue_free(queue);
    return queue != NULL;
}

static bool scrape(struct ood_error *err)
{
    const struct api_service service = { .model_count = 0 };
    const struct oodd_gauges gauges = { .service = &service };
    size_t size = 0;
    char *text = oodd_metrics_text(&gauges, &size, err);
    assert_true(text == NULL || (size > 1000 && text[size] == '\0'));
    ood_free(text);
    return text != NULL;
}

static void each_allocation_fails(void **state)
{
    (void)state;
    static bool (*const cases[])(struct ood_error *) = { generation, queue, scrape };
    size_t failed = 0;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        bool fired = true;
        for (unsigned long nth = 1; fired; nth++) {
            struct ood_error err = { 0 };
            ood_fault_arm(OOD_FAULT_ALLOC, nth, false);
            bool made = cases[i](&err);
            fired = ood_fault_disarm();
            if (fired ? made || err.code != OOD_OUT_OF_MEMORY : !made)
                fail_msg("case %zu, allocation %lu: %s: %s", i, nth, ood_code_name(err.code), err.message);
            assert_true(nth < 10000);
            failed += fired;
        }
    }
    assert_true(failed > 30);                /* the hook was there */
}

static int make_folders(void **state)
{
    (void)state;
    char path[64];
    bool good = mkdtemp(folder) != NULL;
    for (const char *name = "ab"; good && *name != '\0'; name++) {
        snprintf(path, sizeof path, "%s/%c", folder, *name);
        good = mkdir(path, 0700) == 0;
    }
    return !good;
}

static int remove_folders(void **state)
{
    (void)state;
    char path[64];
    for (const char *name = "ab"; *name != '\0'; name++) {
        snprintf(path, sizeof path, "%s/%c", folder, *name);
        rmdir(path);
    }
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(each_allocation_fails) };
    return cmocka_run_group_tests(tests, make_folders, remove_folders);
}
