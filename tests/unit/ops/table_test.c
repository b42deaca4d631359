/* The table of operators: sorted, one row for each opset from an operator's first on, and what docs/OPERATORS.md says of opsets and training. */
#include "base/file.h"
#include "check.h"
#include "ops/ops.h"

enum { OPSETS = 18 };

static void rows_are_sorted(void **state)
{
    (void)state;
    for (size_t i = 1; ood_op_table[i] != NULL; i++)
        if (strcmp(ood_op_table[i - 1]->name, ood_op_table[i]->name) > 0)
            fail_msg("%s stands before %s", ood_op_table[i - 1]->name, ood_op_table[i]->name);
}

/* The last opset that knows the operator: 0 in `until` means the newest. */
static int last_opset(const char *name)
{
    int last = 0;
    for (size_t i = 0; ood_op_table[i] != NULL; i++)
        if (strcmp(ood_op_table[i]->name, name) == 0 && (ood_op_table[i]->until == 0 || ood_op_table[i]->until > last))
            last = ood_op_table[i]->until == 0 ? OPSETS : ood_op_table[i]->until;
    return last;
}

static void each_opset_has_one_row(void **state)
{
    (void)state;
    for (size_t i = 0; ood_op_table[i] != NULL; i++)
        for (int opset = ood_op_table[i]->since > 7 ? ood_op_table[i]->since : 7; opset <= last_opset(ood_op_table[i]->name); opset++) {
            const char *name = ood_op_table[i]->name;
            size_t rows = 0;
            for (size_t k = 0; ood_op_table[k] != NULL; k++)
                rows += strcmp(ood_op_table[k]->name, name) == 0 && ood_op_table[k]->since <= opset &&
                        (ood_op_table[k]->until == 0 || ood_op_table[k]->until >= opset);
            if (rows != 1 || ood_op_find(ood_op_table, name, opset) == NULL)
                fail_msg("%s has %zu rows at opset %d", name, rows, opset);
        }
}

/* What ONNX itself ended: everything else must go on to the newest opset. */
static void rows_go_on(void **state)
{
    static const char *const ended[] = { "Scatter", "Upsample" };
    (void)state;
    for (size_t i = 0; ood_op_table[i] != NULL; i++) {
        const char *name = ood_op_table[i]->name;
        if (last_opset(name) != OPSETS && strcmp(name, ended[0]) != 0 && strcmp(name, ended[1]) != 0)
            fail_msg("%s ends at opset %d", name, last_opset(name));
    }
}

static void rows_are_whole(void **state)
{
    (void)state;
    for (size_t i = 0; ood_op_table[i] != NULL; i++) {
        const struct ood_op *op = ood_op_table[i];
        if (op->shape == NULL || op->lower == NULL || op->least_inputs > op->most_inputs)
            fail_msg("%s", op->name);
    }
    assert_null(ood_op_find(ood_op_table, "Loop", 13));
    assert_null(ood_op_find(ood_op_table, "", 13));
    assert_null(ood_op_find(ood_op_table, "relu", 13));
}

/* How the operator's line in the page begins: its name, the opsets, and whether it can be trained through. */
static void line_of(const char *name, char line[96])
{
    int first = OPSETS;
    bool backward = false;
    for (size_t i = 0; ood_op_table[i] != NULL; i++)
        if (strcmp(ood_op_table[i]->name, name) == 0) {
            first = ood_op_table[i]->since < first ? ood_op_table[i]->since : first;
            backward = backward || ood_op_table[i]->backward != NULL;
        }
    snprintf(line, 96, "\n| %s | %d to %d | %s | ", name, first < 7 ? 7 : first, last_opset(name), backward ? "yes" : "");
}

static void page_tells_the_same(void **state)
{
    struct ood_error err = { 0 };
    struct ood_bytes page;
    char path[4096], name[64], expected[96];
    const char *source = getenv("OOD_SOURCE");
    (void)state;
    snprintf(path, sizeof path, "%s/docs/OPERATORS.md", source != NULL ? source : ".");
    check_ok(ood_file_read(path, (size_t)1 << 20, &page, &err));
    for (size_t i = 0; ood_op_table[i] != NULL; i++) {
        line_of(ood_op_table[i]->name, expected);
        if (strstr((const char *)page.data, expected) == NULL)
            fail_msg("docs/OPERATORS.md has no line that begins with \"%s\"", expected + 1);
    }
    size_t lines = 0;
    for (const char *line = strstr((const char *)page.data, "\n|---"); (line = strstr(line + 1, "\n| ")) != NULL; lines++) {
        snprintf(name, sizeof name, "%.*s", (int)strcspn(line + 3, " "), line + 3);
        if (last_opset(name) == 0)
            fail_msg("docs/OPERATORS.md names %s, the table does not", name);
    }
    assert_true(lines > 30);
    ood_bytes_free(&page);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_sorted), cmocka_unit_test(each_opset_has_one_row), cmocka_unit_test(rows_go_on), cmocka_unit_test(rows_are_whole),
        cmocka_unit_test(page_tells_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
