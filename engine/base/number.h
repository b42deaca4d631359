/* Numbers as text, always in the "C" locale whatever the program's. */
#ifndef OOD_BASE_NUMBER_H
#define OOD_BASE_NUMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The whole of text must be the number: no blanks around it, nothing behind. Not finite: false. */
bool ood_parse_double(const char *text, double *out);
bool ood_parse_uint64(const char *text, uint64_t *out);     /* decimal digits only */
bool ood_parse_size(const char *text, size_t *out);

/* The shortest of 15, 16 and 17 significant digits that reads back as the same double. */
#define OOD_NUMBER_TEXT 32
void ood_print_double(double value, char text[OOD_NUMBER_TEXT]);

/* The double of the shortest decimal that reads back as this float: 0.1f is 0.1, not 0.10000000149. A float made of it is
 * the same float. Not finite: as it is. */
double ood_float_as_double(float value);

#endif
