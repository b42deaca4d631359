/* cmocka with what it needs in front of it, and the assertions our tests share. */
#ifndef OOD_TESTS_CHECK_H
#define OOD_TESTS_CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"

/* A call that must succeed: prints the error where it does not. */
#define check_ok(call)                                                                                                \
    do {                                                                                                              \
        if (!(call))                                                                                                  \
            fail_msg("%s: %s: %s", #call, ood_code_name(err.code), err.message);                                      \
    } while (0)

/* A call that must fail with a code and a sentence that contains `part`; err is cleared afterwards. */
#define check_fails(call, expected, part)                                                                             \
    do {                                                                                                              \
        err = (struct ood_error){ 0 };                                                                                \
        if (call)                                                                                                     \
            fail_msg("%s: succeeded", #call);                                                                         \
        if (err.code != (expected) || strstr(err.message, (part)) == NULL)                                            \
            fail_msg("%s: %s: %s; expected %s with \"%s\"", #call, ood_code_name(err.code), err.message,              \
                     ood_code_name(expected), (part));                                                                \
        err = (struct ood_error){ 0 };                                                                                \
    } while (0)

/* |a - b| <= absolute + relative·|b| */
#define check_close(a, b, absolute, relative)                                                                         \
    do {                                                                                                              \
        double check_a = (a), check_b = (b), check_d = check_a > check_b ? check_a - check_b : check_b - check_a;     \
        if (!(check_d <= (absolute) + (relative) * (check_b < 0 ? -check_b : check_b)))                               \
            fail_msg("%s = %.17g, expected %.17g", #a, check_a, check_b);                                             \
    } while (0)

/* Files of tests/data and of the shared material. check_shared skips the test where there is none. */
static inline const char *check_data(const char *name)
{
    static char path[4096];
    const char *folder = getenv("OOD_TEST_DATA");
    snprintf(path, sizeof path, "%s/%s", folder != NULL ? folder : "tests/data", name);
    return path;
}

static inline const char *check_shared(const char *name)
{
    static char path[4096];
    const char *folder = getenv("OOD_SHARED");
    snprintf(path, sizeof path, "%s/%s", folder != NULL ? folder : "../shared", name);
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        print_message("SKIP: needs shared/%s\n", name);
        skip();
    }
    fclose(file);
    return path;
}

#endif
