/* The configuration: each key at its default, its bounds, one past each, nonsense; files with errors at known lines; what is
 * printed reads back. */
#include "configuration.h"

#include "address.h"
#include "base/file.h"
#include "base/number.h"
#include "check.h"

static struct oodd_config *config_new(void)
{
    struct ood_error err = { 0 };
    struct oodd_config *config = oodd_config_new(&err);
    if (config == NULL)
        fail_msg("%s", err.message);
    return config;
}

static void set(struct oodd_config *config, const char *name, const char *value, bool good)
{
    struct ood_error err = { 0 };
    char text[256];
    snprintf(text, sizeof text, "%s=%s", name, value);
    if (oodd_config_set(config, text, &err) != good)
        fail_msg("%s: %s", text, good ? err.message : "accepted");
    if (!good && (strstr(err.message, name) == NULL || strstr(err.message, "expected") == NULL))
        fail_msg("%s: %s: expected the key's name and what was expected", text, err.message);
}

static void defaults_are_accepted_and_shown(void **state)
{
    (void)state;
    struct oodd_config *config = config_new();
    for (size_t i = 0; i < oodd_key_count; i++) {
        char text[256];
        if (oodd_keys[i].type == OODD_KEY_MODEL)
            continue;
        oodd_config_value(config, &oodd_keys[i], text, sizeof text);
        if (strcmp(text, oodd_keys[i].standard) != 0)
            fail_msg("%s is %s, its row says %s", oodd_keys[i].name, text, oodd_keys[i].standard);
        assert_null(config->from[i]);
    }
    oodd_config_free(config);
}

static void numbers_have_bounds(void **state)
{
    (void)state;
    struct oodd_config *config = config_new();
    for (size_t i = 0; i < oodd_key_count; i++) {
        const struct oodd_key *key = &oodd_keys[i];
        char past[64];
        size_t least = 0, most = 0;
        double low = 0, high = 0;
        if (key->least == NULL)
            continue;
        set(config, key->name, key->least, true);
        set(config, key->name, key->most, true);
        if (key->type == OODD_KEY_SIZE) {
            assert_true(ood_parse_size(key->least, &least) && ood_parse_size(key->most, &most));
            snprintf(past, sizeof past, "%zu", most + 1);
            set(config, key->name, past, false);
            if (least > 0) {
                snprintf(past, sizeof past, "%zu", least - 1);
                set(config, key->name, past, false);
            }
            set(config, key->name, "1.5", false);
            set(config, key->name, "18446744073709551616", false);
        } else {
            assert_true(ood_parse_double(key->least, &low) && ood_parse_double(key->most, &high));
            snprintf(past, sizeof past, "%g", high + 1);
            set(config, key->name, past, false);
            snprintf(past, sizeof past, "%g", low - 0.01);
            set(config, key->name, past, false);
            set(config, key->name, "nan", false);
            set(config, key->name, "1e999", false);
        }
        set(config, key->name, "", false);
        set(config, key->name, "ten", false);
        set(config, key->name, "10 s", false);
    }
    oodd_config_free(config);
}

static void words_and_switches(void **state)
{
    (void)state;
    struct oodd_config *config = config_new();
    set(config, "engine.convolution", "winograd", true);
    assert_int_equal(config->convolution, OOD_CONVOLUTION_WINOGRAD);
    set(config, "engine.convolution", "wino", false);
    set(config, "engine.convolution", "", false);
    set(config, "engine.workers", "auto", true);
    assert_int_equal(config->workers, 0);
    set(config, "engine.workers", "0", false);
    set(config, "log.access", "off", true);
    assert_false(config->log_access);
    set(config, "log.access", "1", true);
    assert_true(config->log_access);
    set(config, "log.access", "maybe", false);
    set(config, "log.level", "debug", true);
    assert_int_equal(config->log_level, OODD_DEBUG);
    oodd_config_free(config);
}

static void addresses(void **state)
{
    (void)state;
    static const struct { const char *list; size_t count; } good[] = {
        { "127.0.0.1:8620", 1 }, { "[::1]:8620", 1 }, { "unix:/run/oodd/socket", 1 }, { "localhost:0", 1 },
        { "127.0.0.1:1, [::]:65535 ,unix:/a", 3 },
    };
    static const char *bad[] = { "", "8620", "127.0.0.1", "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:", "::1:80", "[::1]", "[]:1",
                                 "[::1]8620", "host.example:80", "unix:", "unix:socket", "127.0.0.1:80,", ",", "256.0.0.1:80",
                                 "127.0.0.1:80 80", "[::1%lo]:80" };
    struct oodd_config *config = config_new();
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct oodd_address address;
        size_t count = 0;
        set(config, "server.listen", good[i].list, true);
        for (const char *list = good[i].list; oodd_addresses_next(&list, &address);)
            count++;
        assert_int_equal(count, good[i].count);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        set(config, "server.listen", bad[i], false);
    char path[256] = "unix:/";
    memset(path + 6, 'p', 106);
    path[6 + 106] = '\0';
    set(config, "server.listen", path, true);
    path[6 + 106] = 'p';
    path[6 + 107] = '\0';
    set(config, "server.listen", path, false);
    oodd_config_free(config);
}

static void files_with_errors(void **state)
{
    (void)state;
    static const struct { const char *text, *error; } bad[] = {
        { "[server]\nlisten = 127.0.0.1:80\n\nport = 80\n", "f.conf:4: unknown key server.port" },
        { "[limits]\nbodybytes = 5\n", "f.conf:2: unknown key limits.bodybytes; did you mean limits.body_bytes?" },
        { "[server]\nbody_bytes = 4096\n", "f.conf:2: unknown key server.body_bytes; did you mean limits.body_bytes?" },
        { "[limits]\nitems = 5\nqueue_items = 9\nitems = 5\n", "f.conf:4: limits.items: duplicate of f.conf:2" },
        { "[limits]\nitems = 5\n[log]\nlevel = info\n[limits]\nitems = 6\n", "f.conf:6: limits.items: duplicate of f.conf:2" },
        { "[model.a]\npath = /x\n[model.a]\npath = /y\n", "f.conf:4: model.a.path: duplicate of f.conf:2" },
        { "[model.a]\nroute = /x\n", "f.conf:2: unknown key model.a.route" },
        { "[model.]\npath = /x\n", "f.conf:2: unknown key model..path" },
        { "[model.a b]\npath = /x\n", "f.conf:2: model name \"a b\": expected" },
        { "[model.a]\npath =\n", "f.conf:2: model.a.path is empty" },
        { "[limits]\nitems = many\n", "f.conf:2: limits.items = many: expected a whole number from 1 to 65536" },
        { "\n\n[limits\nitems = 1\n", "f.conf:3: expected [section] or key = value" },
        { "[limits]\nitems\n", "f.conf:2: expected [section] or key = value" },
        { "items = 1\n", "f.conf:1: unknown key items" },
        { "[server]\ntoken_file = /etc/oodd/tokens\n", "f.conf:2: unknown key server.token_file" },
        { "[drift]\nwindow = 1000\n", "f.conf:2: unknown key drift.window" },
        { "[model.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa]\npath = /x\n", "f.conf:1: a name of 63 bytes" },
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct ood_error err = { 0 };
        struct oodd_config *config = config_new();
        if (oodd_config_read_text(config, "f.conf", bad[i].text, strlen(bad[i].text), &err))
            fail_msg("accepted: %s", bad[i].text);
        if (strncmp(err.message, bad[i].error, strlen(bad[i].error)) != 0)
            fail_msg("%s\n  instead of: %s", err.message, bad[i].error);
        oodd_config_free(config);
    }
}

static void hostile_files(void **state)
{
    (void)state;
    struct ood_error err = { 0 };
    struct oodd_config *config = config_new();
    static char line[20000];
    check_fails(oodd_config_read_text(config, "f", "[log]\nlevel = in\0fo\n", 20, &err), OOD_INVALID, "f:2: the line holds a zero byte");
    memset(line, 'x', sizeof line);
    check_fails(oodd_config_read_text(config, "f", line, sizeof line, &err), OOD_LIMIT, "f:1: the line has 20000 bytes");
    line[0] = '#';
    line[4000] = '\n';
    check_fails(oodd_config_read_text(config, "f", line, sizeof line, &err), OOD_LIMIT, "f:2: the line has");
    check_fails(oodd_config_read_file(config, "/no/such/file", &err), OOD_NOT_FOUND, "/no/such/file");
    check_fails(oodd_config_set(config, "log.level", &err), OOD_INVALID, "--set log.level: expected section.key=value");
    check_fails(oodd_config_set(config, "=", &err), OOD_INVALID, "unknown key");
    static const char whole[] = "\xEF\xBB\xBF# a comment\r\n[server]\r\nlisten = [::1]:80 ; another\r\n  threads=4\n[model.x]\npath: /m/x\n";
    for (size_t size = 0; size < sizeof whole; size++) {           /* every prefix is read or refused, never more */
        struct oodd_config *part = config_new();
        if (!oodd_config_read_text(part, "f", whole, size, &err))
            assert_non_null(strstr(err.message, "f:"));
        err = (struct ood_error){ 0 };
        oodd_config_free(part);
    }
    check_ok(oodd_config_read_text(config, "f", whole, sizeof whole - 1, &err));
    assert_string_equal(config->listen, "[::1]:80");
    assert_int_equal(config->threads, 4);
    assert_int_equal(config->model_count, 1);
    assert_string_equal(config->models[0].path, "/m/x");
    oodd_config_free(config);
}

static void later_wins(void **state)
{
    (void)state;
    struct ood_error err = { 0 };
    struct oodd_config *config = config_new();
    static const char file[] = "[limits]\nitems = 5\n[model.b]\npath = /file/b\n[model.a]\npath = /file/a\n";
    check_ok(oodd_config_read_text(config, "f", file, sizeof file - 1, &err));
    check_ok(oodd_config_set(config, "limits.items=6", &err));
    check_ok(oodd_config_set(config, "limits.items=7", &err));
    check_ok(oodd_config_set(config, "model.a.path=/set/a", &err));
    check_ok(oodd_config_add_bundle(config, "models/c/", &err));
    check_ok(oodd_config_add_bundle(config, "/d", &err));
    assert_int_equal(config->items, 7);
    assert_int_equal(config->model_count, 4);
    static const char *const models[][3] = { { "c", "models/c/", "command line" }, { "d", "/d", "command line" },
                                             { "b", "/file/b", "f:4" }, { "a", "/set/a", "--set" } };
    for (size_t i = 0; i < 4; i++) {
        assert_string_equal(config->models[i].name, models[i][0]);
        assert_string_equal(config->models[i].path, models[i][1]);
        assert_string_equal(config->models[i].from, models[i][2]);
    }
    check_fails(oodd_config_add_bundle(config, "other/c", &err), OOD_INVALID, "two bundles named c: models/c/ and other/c");
    check_fails(oodd_config_add_bundle(config, "/", &err), OOD_INVALID, "model name");
    check_fails(oodd_config_add_bundle(config, "a b", &err), OOD_INVALID, "model name \"a b\"");
    check_ok(oodd_config_check(config, &err));
    check_ok(oodd_config_set(config, "limits.queue_items=6", &err));
    check_fails(oodd_config_check(config, &err), OOD_INVALID, "limits.items = 7 is more than limits.queue_items = 6");
    oodd_config_free(config);
    config = config_new();
    check_fails(oodd_config_check(config, &err), OOD_INVALID, "no bundle");
    oodd_config_free(config);
}

static void printed_reads_back(void **state)
{
    (void)state;
    struct ood_error err = { 0 };
    struct oodd_config *config = config_new(), *back = config_new();
    check_ok(oodd_config_set(config, "limits.header_seconds=0.25", &err));
    check_ok(oodd_config_set(config, "engine.convolution=direct", &err));
    check_ok(oodd_config_set(config, "server.listen=127.0.0.1:0, unix:/run/oodd/socket", &err));
    check_ok(oodd_config_add_bundle(config, "/models/cifar10", &err));
    char *text = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&text, &size);
    oodd_config_print(config, file);
    fclose(file);
    assert_non_null(strstr(text, "header_seconds = 0.25    ; --set\n"));
    assert_non_null(strstr(text, "body_seconds = 30    ; default\n"));
    assert_non_null(strstr(text, "[model.cifar10]\npath = /models/cifar10    ; command line\n"));
    check_ok(oodd_config_read_text(back, "printed", text, size, &err));
    for (size_t i = 0; i < oodd_key_count; i++) {
        char was[256], is[256];
        if (oodd_keys[i].type == OODD_KEY_MODEL)
            continue;
        oodd_config_value(config, &oodd_keys[i], was, sizeof was);
        oodd_config_value(back, &oodd_keys[i], is, sizeof is);
        assert_string_equal(was, is);
    }
    assert_int_equal(back->model_count, 1);
    free(text);
    const struct oodd_key *changed = oodd_config_restart_key(config, back, NULL);
    assert_null(changed);
    check_ok(oodd_config_set(back, "server.threads=3", &err));
    check_ok(oodd_config_set(back, "limits.items=3", &err));
    changed = oodd_config_restart_key(config, back, NULL);
    assert_non_null(changed);
    assert_string_equal(changed->name, "server.threads");
    assert_null(oodd_config_restart_key(config, back, changed));
    oodd_config_free(config);
    oodd_config_free(back);
}

/* ---- the same keys in three documents ---- */

static char *document(const char *name)
{
    struct ood_error err = { 0 };
    struct ood_bytes bytes = { 0 };
    const char *source = getenv("OOD_SOURCE");
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", source != NULL ? source : "../..", name);
    check_ok(ood_file_read(path, 1 << 20, &bytes, &err));
    return (char *)bytes.data;
}

static size_t count(const char *text, const char *part)
{
    size_t n = 0;
    for (const char *at = text; (at = strstr(at, part)) != NULL; at++)
        n++;
    return n;
}

static void manual_has_each_key(void **state)
{
    (void)state;
    char *page = document("daemon/oodd/oodd.conf.5"), head[256], bounds[128];
    for (size_t i = 0; i < oodd_key_count; i++) {
        const struct oodd_key *key = &oodd_keys[i];
        const bool empty = key->standard[0] == '\0';
        snprintf(head, sizeof head, "\n.TP\n.B %s\n(default %s%s%s", key->name, empty ? "empty" : "\\fB", empty ? "" : key->standard,
                 empty ? "" : "\\fR");
        char *at = strstr(page, head);
        if (at == NULL)
            fail_msg("oodd.conf.5: %s is not there with its default", key->name);
        char *end = strstr(at + strlen(head), "\n.TP");
        if (end != NULL)
            *end = '\0';
        if (key->least != NULL) {
            snprintf(bounds, sizeof bounds, "from %s to %s", key->least, key->most);
            if (strstr(at, bounds) == NULL)
                fail_msg("oodd.conf.5: %s: expected \"%s\"", key->name, bounds);
        }
        if (strstr(at, key->help) == NULL)
            fail_msg("oodd.conf.5: %s: expected \"%s\"", key->name, key->help);
        if ((strstr(at, "\\fIon restart\\fR)") != NULL) != (key->effect == OODD_ON_RESTART))
            fail_msg("oodd.conf.5: %s: on restart, or not?", key->name);
        if (end != NULL)
            *end = '\n';
    }
    assert_int_equal(count(page, "\n.TP\n"), oodd_key_count);
    free(page);
}

static void sample_has_each_key(void **state)
{
    (void)state;
    char *sample = document("deploy/oodd.conf"), line[256], section[64];
    const char *at = sample;
    size_t keys = 0;
    for (size_t i = 0; i < oodd_key_count; i++) {
        const char *name = oodd_keys[i].name, *dot = oodd_keys[i].type == OODD_KEY_MODEL ? strrchr(name, '.') : strchr(name, '.');
        snprintf(section, sizeof section, "[%.*s]\n", (int)(dot - name), name);
        const char *head = strstr(sample, section);
        snprintf(line, sizeof line, "\n#%s =%s%s\n", dot + 1, oodd_keys[i].standard[0] != '\0' ? " " : "", oodd_keys[i].standard);
        at = strstr(at, line);
        if (head == NULL || at == NULL || head > at)
            fail_msg("deploy/oodd.conf: no %s with its default, in the table's order", name);
    }
    for (at = sample; (at = strstr(at, "\n#")) != NULL; at++)
        keys += at[2] != ' ' && at[2] != '[';
    assert_int_equal(keys, oodd_key_count);
    struct ood_error err = { 0 };
    struct oodd_config *config = config_new();
    check_ok(oodd_config_read_text(config, "oodd.conf", sample, strlen(sample), &err));
    oodd_config_free(config);
    free(sample);
}

/* Rows "| a.b, a.c | 1, 2 | …" of section 6; "(later)" ones are not accepted yet. */
static void interface_has_each_key(void **state)
{
    (void)state;
    char *page = document("docs/INTERFACE.md"), *rest = strstr(page, "\n## 6. "), *line;
    size_t keys = 0;
    assert_non_null(rest);
    *strstr(rest + 1, "\n## 7. ") = '\0';
    strsep(&rest, "\n");
    while ((line = strsep(&rest, "\n")) != NULL) {
        char *names = strsep(&line, "|"), *defaults;
        if (line == NULL || *names != '\0' || (names = strsep(&line, "|")) == NULL || strchr(names, '.') == NULL || strstr(names, "(later)") != NULL)
            continue;
        defaults = strsep(&line, "|");
        for (char *name; (name = strsep(&names, ",")) != NULL;) {
            char *standard = defaults != NULL ? strsep(&defaults, ",") : NULL;
            name += strspn(name, " ");
            name[strcspn(name, " ")] = '\0';
            standard += standard != NULL ? strspn(standard, " ") : 0;
            if (standard != NULL)
                standard[strcspn(standard, " ")] = '\0';
            size_t i = 0;
            while (i < oodd_key_count && strcmp(oodd_keys[i].name, name) != 0)
                i++;
            if (i == oodd_key_count)
                fail_msg("INTERFACE.md: %s is no key", name);
            if (standard == NULL || strcmp(standard, oodd_keys[i].standard) != 0)
                fail_msg("INTERFACE.md: %s = %s, its row says %s", name, standard, oodd_keys[i].standard);
            keys++;
        }
    }
    assert_int_equal(keys, oodd_key_count);
    free(page);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_accepted_and_shown), cmocka_unit_test(numbers_have_bounds), cmocka_unit_test(words_and_switches),
        cmocka_unit_test(addresses), cmocka_unit_test(files_with_errors), cmocka_unit_test(hostile_files), cmocka_unit_test(later_wins),
        cmocka_unit_test(printed_reads_back), cmocka_unit_test(manual_has_each_key), cmocka_unit_test(sample_has_each_key),
        cmocka_unit_test(interface_has_each_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
