/* The options of the two benches of single layers. */
#ifndef OOD_TESTS_LAYER_OPTIONS_H
#define OOD_TESTS_LAYER_OPTIONS_H

#include <stdio.h>
#include <string.h>

#include "base/number.h"

/* --batch B, --seconds S, --only CASE over what is there; false: usage was printed. */
static inline bool layer_options(const char *program, int argc, char **argv, size_t *batch, double *seconds, const char **only)
{
    for (int i = 1; i < argc; i += 2) {
        bool good = i + 1 == argc                     ? false
                    : strcmp(argv[i], "--batch") == 0   ? ood_parse_size(argv[i + 1], batch) && *batch > 0 && *batch <= 128
                    : strcmp(argv[i], "--seconds") == 0 ? ood_parse_double(argv[i + 1], seconds)
                    : strcmp(argv[i], "--only") == 0    ? (*only = argv[i + 1], true)
                                                        : false;
        if (!good) {
            fprintf(stderr, "usage: %s [--batch B] [--seconds S] [--only CASE]\n", program);
            return false;
        }
    }
    return true;
}

#endif
