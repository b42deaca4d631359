/* A fuzz target: one function that takes any bytes and asserts what must hold. With --enable-fuzzers libFuzzer calls it; else
 * replay.c does, as a plain test, with the files of TARGET.in (seeds and former finds). */
#ifndef OOD_TESTS_FUZZ_H
#define OOD_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* An assert that -DNDEBUG does not take away. */
#define fuzz_require(condition)                                                                                       \
    do {                                                                                                              \
        if (!(condition))                                                                                             \
            abort();                                                                                                  \
    } while (0)

#endif
