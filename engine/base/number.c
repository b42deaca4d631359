/* Numbers as text in the "C" locale: a locale object of our own for reading, and a decimal point put back for printing. */
#include "base/number.h"

#include <errno.h>
#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

static locale_t c_locale;
static pthread_once_t c_locale_once = PTHREAD_ONCE_INIT;

static void make_c_locale(void) { c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0); }

bool ood_parse_double(const char *text, double *out)
{
    if (!((text[0] >= '0' && text[0] <= '9') || text[0] == '-' || text[0] == '+' || text[0] == '.'))
        return false;
    pthread_once(&c_locale_once, make_c_locale);
    if (c_locale == (locale_t)0)
        return false;
    char *end;
    double value = strtod_l(text, &end, c_locale);
    if (end == text || *end != '\0' || !isfinite(value))
        return false;
    *out = value;
    return true;
}

bool ood_parse_uint64(const char *text, uint64_t *out)
{
    uint64_t value = 0;
    if (*text == '\0')
        return false;
    for (; *text != '\0'; text++)
        if (*text < '0' || *text > '9' || __builtin_mul_overflow(value, 10u, &value) ||
            __builtin_add_overflow(value, (uint64_t)(*text - '0'), &value))
            return false;
    *out = value;
    return true;
}

bool ood_parse_size(const char *text, size_t *out)
{
    uint64_t value;
    if (!ood_parse_uint64(text, &value) || value > SIZE_MAX)
        return false;
    *out = (size_t)value;
    return true;
}

void ood_print_double(double value, char text[OOD_NUMBER_TEXT])
{
    for (int digits = 15; digits <= 17; digits++) {
        double back;
        snprintf(text, OOD_NUMBER_TEXT, "%.*g", digits, value);
        for (char *c = text; *c != '\0'; c++)
            if (*c == ',')
                *c = '.';
        if (digits == 17 || (ood_parse_double(text, &back) && back == value))
            return;
    }
}
